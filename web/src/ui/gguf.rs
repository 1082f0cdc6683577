//! The result as one GGUF file: which type, how far it is, and what came of it.

use merge_studio::output::gguf::GgufType;
use yew::prelude::*;

use super::field::selected;
use super::merging::{Gguf, Outcome};
use super::progress::bytes_view;
use super::state::Action;
use super::words::gguf as words;
use crate::bridge::Bridge;

/// The types to choose from, as the select calls them.
const TYPES: [(Option<GgufType>, &str); 4] =
    [(None, words::SAME), (Some(GgufType::F16), "F16"), (Some(GgufType::BF16), "BF16"), (Some(GgufType::F32), "F32")];

/// Whether GGUF may have a form of the result: it has a configuration. What else it needs is said when it is tried.
pub fn is_offered(outcome: &Outcome) -> bool {
    outcome.files.iter().any(|file| file.name == "config.json")
}

/// One button in one place, Download or Cancel, and the type; below them what there is to say.
pub fn gguf_row(gguf: &Gguf, chosen: Option<GgufType>, bridge: &Bridge, act: &Callback<Action>) -> Html {
    let choose = act.reform(|event: Event| {
        let chosen = selected(&event);
        Action::GgufType(TYPES.iter().find(|(_, words)| *words == chosen).and_then(|(dtype, _)| *dtype))
    });
    let is_writing = matches!(gguf, Gguf::Writing(..));
    let press = act.reform(move |_: MouseEvent| if is_writing { Action::CancelGguf } else { Action::Gguf });
    let status = match gguf {
        Gguf::None => words::WHAT.to_owned(),
        Gguf::Writing(..) => words::WRITING.to_owned(),
        Gguf::Done(_) => words::done(bridge.gguf().map_or(0, |file| file.size() as u64)),
        Gguf::Failed(_) => String::new(),
    };
    html! {
        <div class="gguf">
            <div class="buttons">
                <button type="button" onclick={press}>{ if is_writing { words::CANCEL } else { words::DOWNLOAD } }</button>
                <select aria-label={words::TYPE} onchange={choose} disabled={is_writing}>
                    { for TYPES.iter().map(|(each, words)| html! { <option selected={*each == chosen}>{ *words }</option> }) }
                </select>
            </div>
            <p class="aside" role="status">{ status }</p>
            { match gguf {
                Gguf::None => html! {},
                Gguf::Writing(done, total) => bytes_view(words::PROGRESS, total.map(|total| (*done, total))),
                Gguf::Done(notices) => html! {
                    { for notices.iter().map(|notice| html! { <p class="note">{ words::notice(notice) }</p> }) }
                },
                Gguf::Failed(why) => html! { <p class="note is-error" role="alert">{ words::failed(why) }</p> },
            } }
        </div>
    }
}
