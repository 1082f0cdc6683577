//! The result: what to take away, what it cost, and the link that reproduces it.

use merge_studio::output::gguf::GgufType;
use merge_studio::recipe::Link;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use yew::prelude::*;

use super::agreement::{self, Verdict};
use super::gguf::{gguf_row, is_offered};
use super::merging::Outcome;
use super::qr::qr_code;
use super::shared::Shared;
use super::state::{self, Action};
use super::words::run as words;
use super::{files, numbers};
use crate::bridge::Bridge;
use crate::protocol::{BackendKind, ResultFile};

/// The folder inside the zip, and the zip's stem.
pub const FOLDER: &str = "merged-model";

/// What [`results`] shows.
pub struct ResultsProps {
    /// The finished merge.
    pub outcome: Shared<Outcome>,
    /// The link that the page was opened with.
    pub link: Option<Link>,
    /// Whether recipe, models or seed changed since.
    pub outdated: bool,
    /// Which type a GGUF file is to be of.
    pub gguf_type: Option<GgufType>,
    /// Where the files are.
    pub bridge: Bridge,
    /// Where actions go.
    pub act: Callback<Action>,
}

/// The region.
pub fn results(props: &ResultsProps) -> Html {
    let outcome = &*props.outcome;
    let verdict = props.link.as_ref().and_then(|link| {
        agreement::of_output(link, &outcome.started.recipe, outcome.started.seed, outcome.output.as_deref())
    });
    html! {
        <section class="result" aria-labelledby="result-title">
            <h3 id="result-title">{ words::RESULT }</h3>
            if props.outdated {
                <p class="aside">{ words::OUTDATED }</p>
            }
            if let Some(verdict) = verdict {
                <p class={if verdict == Verdict::Same { "note is-good" } else { "note is-error" }}>{ words::verdict(verdict) }</p>
            }
            <Take bridge={props.bridge.clone()} act={props.act.clone()} />
            if is_offered(outcome) {
                { gguf_row(&outcome.gguf, props.gguf_type, &props.bridge, &props.act) }
            }
            { report(outcome) }
            <Share link={state::link_to(outcome).encode()} words={share_words(outcome)} />
            <h4 id="files-title">{ words::FILES }</h4>
            <Files outcome={props.outcome.clone()} bridge={props.bridge.clone()} />
        </section>
    }
}

/// Saves the GGUF file, if there is one.
pub fn save_gguf(bridge: &Bridge) {
    if let Some(file) = bridge.gguf() {
        files::save(&file, &format!("{FOLDER}.gguf"));
    }
}

fn share_words(outcome: &Outcome) -> &'static str {
    match (&outcome.output, outcome.hashed || outcome.report.made_by(BackendKind::Gpu) > 0) {
        (Some(_), _) => words::OUTPUT_HASHED,
        (None, true) => words::NO_OUTPUT_HASH,
        (None, false) => words::HASHING,
    }
}

fn report(outcome: &Outcome) -> Html {
    let report = &outcome.report;
    let made = words::made_by(report.made_by(BackendKind::Gpu), report.made_by(BackendKind::Cpu), report.copied());
    let fact = |name: &'static str, value: String| html! { <div><dt>{ name }</dt><dd>{ value }</dd></div> };
    html! {
        <>
            <dl class="facts">
                { fact(words::TIME, numbers::seconds(report.seconds)) }
                { fact(words::READ, numbers::bytes(report.read)) }
                { fact(words::WRITTEN, numbers::bytes(report.written)) }
                { fact(words::MADE_BY, made) }
            </dl>
            if !report.notices.is_empty() {
                <details class="more" open={report.notices.len() < 4}>
                    <summary>{ words::NOTICES }</summary>
                    { for report.notices.iter().map(|notice| html! { <p class="note">{ words::run_notice(notice) }</p> }) }
                </details>
            }
        </>
    }
}

/// Properties of [`Take`].
#[derive(Properties, PartialEq)]
struct TakeProps {
    bridge: Bridge,
    act: Callback<Action>,
}

/// The whole result at once: a zip, or a folder where the browser can.
#[component(Take)]
fn take(props: &TakeProps) -> Html {
    let saving = use_state_eq(|| None::<String>);
    let zip = {
        let bridge = props.bridge.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(blob) = bridge.zip(FOLDER) {
                files::save(&blob, &format!("{FOLDER}.zip"));
            }
        })
    };
    let folder = {
        let (bridge, saving) = (props.bridge.clone(), saving.clone());
        Callback::from(move |_: MouseEvent| {
            let (bridge, saving) = (bridge.clone(), saving.clone());
            let told = saving.clone();
            let on_bytes = Callback::from(move |(done, all)| told.set(Some(words::saving(done, all))));
            spawn_local(async move {
                saving.set(match bridge.save_to_folder(on_bytes).await {
                    Ok(()) => Some(words::SAVED.to_owned()),
                    Err(error) => words::save_error(&error),
                });
            });
        })
    };
    let discard = props.act.reform(|_: MouseEvent| Action::Discard);
    html! {
        <>
            <div class="buttons">
                <button type="button" class="main" onclick={zip}>{ words::DOWNLOAD }</button>
                if Bridge::can_save_to_folder() {
                    <button type="button" onclick={folder}>{ words::SAVE_FOLDER }</button>
                }
                <button type="button" class="quiet" onclick={discard}>{ words::DISCARD }</button>
            </div>
            if let Some(saving) = &*saving {
                <p class="aside" aria-live="polite">{ saving }</p>
            }
        </>
    }
}

/// Properties of [`Files`].
#[derive(Properties, PartialEq)]
struct FilesProps {
    outcome: Shared<Outcome>,
    bridge: Bridge,
}

/// One link a file: plain links, so that the browser's own "save as" works as well.
#[component(Files)]
fn result_files(props: &FilesProps) -> Html {
    let names: Vec<String> = props.outcome.files.iter().map(|file| file.name.clone()).collect();
    let links = use_state_eq(Vec::<Option<String>>::new);
    {
        let (bridge, links) = (props.bridge.clone(), links.clone());
        use_effect_with(names, move |names| {
            let made: Vec<Option<String>> =
                names.iter().map(|name| files::link_to(&bridge.result_file(name)?)).collect();
            links.set(made.clone());
            move || made.into_iter().flatten().for_each(|link| files::forget_link(&link))
        });
    }
    let file = |(at, file): (usize, &ResultFile)| {
        let link = links.get(at).cloned().flatten();
        html! {
            <li key={file.name.clone()}>
                <a href={link} download={file.name.clone()}>{ &file.name }</a>
                <span class="is-number">{ numbers::bytes(file.len) }</span>
                if let Some(hash) = props.outcome.hashes.get(&file.name) {
                    <code class="hash" title="SHA-256">{ hash }</code>
                } else if !props.outcome.hashed {
                    <span class="hash">{ words::HASHING }</span>
                }
            </li>
        }
    };
    html! { <ul class="files" aria-labelledby="files-title">{ for props.outcome.files.iter().enumerate().map(file) }</ul> }
}

/// Properties of [`Share`].
#[derive(Properties, PartialEq)]
struct ShareProps {
    /// The fragment without `#r=`.
    link: String,
    /// What it carries.
    words: AttrValue,
}

/// The link: to copy, or as a picture for another device.
#[component(Share)]
fn share(props: &ShareProps) -> Html {
    let copied = use_state_eq(|| None::<bool>);
    let picture = use_state_eq(|| false);
    let url = use_memo(props.link.clone(), |link| page_with(link));
    let copy = {
        let (copied, url, link) = (copied.clone(), url.clone(), props.link.clone());
        Callback::from(move |_: MouseEvent| {
            show_in_address(&link);
            let (copied, url) = (copied.clone(), url.clone());
            spawn_local(async move { copied.set(Some(to_clipboard(&url).await)) });
        })
    };
    let toggle = {
        let picture = picture.clone();
        Callback::from(move |_: MouseEvent| picture.set(!*picture))
    };
    html! {
        <div class="share">
            <div class="buttons">
                <button type="button" onclick={copy}>{ words::COPY_LINK }</button>
                <button type="button" class="quiet" aria-expanded={picture.to_string()} onclick={toggle}>
                    { if *picture { words::HIDE_QR } else { words::SHOW_QR } }
                </button>
                <span aria-live="polite" class="aside">{ if *copied == Some(true) { words::LINK_COPIED } else { "" } }</span>
            </div>
            if *copied == Some(false) {
                <p class="aside">{ words::LINK_HERE }</p>
                <input type="text" readonly=true aria-label={words::LINK_FIELD} value={(*url).clone()} />
            }
            <p class="aside">{ props.words.clone() }</p>
            if *picture {
                { qr_code(&url) }
            }
        </div>
    }
}

/// This page's address with another fragment.
fn page_with(link: &str) -> String {
    let address = gloo::utils::window().location().href().unwrap_or_default();
    let page = address.split('#').next().unwrap_or_default();
    format!("{page}#r={link}")
}

/// Writes the link into the address bar, without a step in the history.
fn show_in_address(link: &str) {
    if let Ok(history) = gloo::utils::window().history() {
        // A page opened as a file may not; then the copied link is all there is.
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&format!("#r={link}")));
    }
}

/// Whether the clipboard took it. Outside a secure context there is none.
pub async fn to_clipboard(text: &str) -> bool {
    let window = gloo::utils::window();
    if !window.is_secure_context() {
        return false;
    }
    JsFuture::from(window.navigator().clipboard().write_text(text)).await.is_ok()
}
