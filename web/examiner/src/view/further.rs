//! What to do with results: save them, and go on with lm-evaluation-harness itself.

use js_sys::{Array, Uint8Array};
use merge_studio::output::zip::{self, Entry, Part};
use merge_studio_web::ui::files;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::Blob;
use yew::html::Scope;
use yew::prelude::*;

use super::run::Run;
use super::{Msg, View, words};

/// The button, and the commands.
pub fn further(run: &Run, link: &Scope<View>) -> Html {
    let has_reports = !run.is_going() && run.reports.iter().any(Option::is_some);
    html! {
        <>
            <div class="buttons">
                <button type="button" disabled={!has_reports} onclick={link.callback(|_: MouseEvent| Msg::Save)}>{ words::SAVE }</button>
                <span class="aside">{ if has_reports { words::SAVE_WHAT } else { words::SAVE_LATER } }</span>
            </div>
            <Commands text={words::commands(&run.models, &run.tasks, run.limit)} />
        </>
    }
}

/// One model's results as they are, several models' in a zip.
pub fn save(run: &Run) {
    let named =
        |(model, report): (&String, &Option<String>)| Some((format!("results_{}.json", safe(model)), report.clone()?));
    let reports: Vec<(String, String)> = run.models.iter().zip(&run.reports).filter_map(named).collect();
    match reports.as_slice() {
        [] => {}
        [(name, report)] => {
            if let Some(blob) = files::text_blob(report) {
                files::save(&blob, name);
            }
        }
        several => {
            if let Some(blob) = zipped(several) {
                files::save(&blob, words::ZIP_NAME);
            }
        }
    }
}

/// A model's name as a part of a file's.
fn safe(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() || "-_.".contains(letter) { letter } else { '_' }).collect()
}

fn zipped(files: &[(String, String)]) -> Option<Blob> {
    let entry = |(name, text): &(String, String)| Entry {
        name: name.clone(),
        len: text.len() as u64,
        crc32: merge_studio_crc32::crc32(text.as_bytes()),
    };
    let entries: Vec<Entry> = files.iter().map(entry).collect();
    let parts: Array = zip::layout(&entries)
        .iter()
        .map(|part| match part {
            Part::Bytes(bytes) => Uint8Array::from(bytes.as_slice()),
            Part::File(at) => Uint8Array::from(files[*at].1.as_bytes()),
        })
        .collect();
    Blob::new_with_u8_array_sequence(&parts).ok()
}

/// Properties of [`Commands`].
#[derive(Properties, PartialEq)]
struct CommandsProps {
    text: String,
}

/// What to type where lm-evaluation-harness is installed.
#[component(Commands)]
fn commands(props: &CommandsProps) -> Html {
    let copied = use_state_eq(|| None::<bool>);
    let copy = {
        let (copied, text) = (copied.clone(), props.text.clone());
        Callback::from(move |_: MouseEvent| {
            let (copied, text) = (copied.clone(), text.clone());
            spawn_local(async move { copied.set(Some(to_clipboard(&text).await)) });
        })
    };
    let said = match *copied {
        None => "",
        Some(true) => words::COPIED,
        Some(false) => words::NOT_COPIED,
    };
    html! {
        <section class="further" aria-labelledby="further-title">
            <h3 id="further-title">{ words::FURTHER }</h3>
            <p class="aside">{ words::FURTHER_WHAT }</p>
            <textarea readonly=true rows="8" aria-label={words::COMMANDS} value={props.text.clone()} />
            <div class="buttons">
                <button type="button" onclick={copy}>{ words::COPY }</button>
                <span aria-live="polite" class="aside">{ said }</span>
            </div>
        </section>
    }
}

/// Whether the clipboard took it. Outside a secure context there is none.
async fn to_clipboard(text: &str) -> bool {
    let window = gloo::utils::window();
    if !window.is_secure_context() {
        return false;
    }
    JsFuture::from(window.navigator().clipboard().write_text(text)).await.is_ok()
}
