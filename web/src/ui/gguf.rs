//! The result as one GGUF file: which type, how far it is, and what came of it.

use yew::prelude::*;

use super::field::selected;
use super::merging::{Gguf, Outcome};
use super::numbers;
use super::results::save_gguf;
use super::state::Action;
use super::words::{self as common, run as words};
use crate::bridge::Bridge;
use crate::protocol::GgufKind;

/// The types to choose from, as the select calls them.
const KINDS: [(GgufKind, &str); 4] =
    [(GgufKind::Same, words::GGUF_SAME), (GgufKind::F16, "F16"), (GgufKind::Bf16, "BF16"), (GgufKind::F32, "F32")];

/// Whether the result may be one that GGUF has a form of: it has a configuration. What else it needs is said when it is tried.
pub fn is_offered(outcome: &Outcome) -> bool {
    outcome.files.iter().any(|file| file.name == "config.json")
}

/// Type and button; while it is written, how far it is; then the file.
pub fn gguf_row(gguf: &Gguf, chosen: GgufKind, bridge: &Bridge, act: &Callback<Action>) -> Html {
    let choose = act.reform(|event: Event| {
        let chosen = selected(&event);
        Action::GgufKind(KINDS.iter().find(|(_, words)| *words == chosen).map_or(GgufKind::Same, |(kind, _)| *kind))
    });
    let write = act.reform(|_: MouseEvent| Action::WriteGguf);
    let writing = matches!(gguf, Gguf::Writing(..));
    html! {
        <div class="gguf">
            <div class="buttons">
                <button type="button" onclick={write} disabled={writing}>{ words::GGUF }</button>
                <select aria-label={words::GGUF_TYPE} onchange={choose} disabled={writing}>
                    { for KINDS.iter().map(|(each, words)| html! { <option value={*words} selected={*each == chosen}>{ *words }</option> }) }
                </select>
            </div>
            { match gguf {
                Gguf::None => html! { <p class="aside">{ words::GGUF_WHAT }</p> },
                Gguf::Writing(done, total) => progress(*done, *total, act),
                Gguf::Done(notices) => done(notices, bridge),
                Gguf::Failed(why) => html! { <p class="note is-error" role="alert">{ words::gguf_failed(why) }</p> },
            } }
        </div>
    }
}

fn progress(done: u64, total: Option<u64>, act: &Callback<Action>) -> Html {
    let cancel = act.reform(|_: MouseEvent| Action::CancelGguf);
    let percent = total.map(|total| done as f64 / total.max(1) as f64 * 100.0);
    let words = total
        .map_or_else(|| words::STARTING.to_owned(), |total| words::of(&numbers::bytes(done), &numbers::bytes(total)));
    html! {
        <div class="progress">
            <div class={classes!("bar", percent.is_none().then_some("is-waiting"))} role="progressbar" aria-label={words::GGUF_PROGRESS}
                aria-valuemin="0" aria-valuemax="100" aria-valuenow={percent.map(|percent| format!("{percent:.0}"))}>
                <span style={percent.map(|percent| format!("inline-size: {percent:.2}%"))} />
            </div>
            <p class="progress-numbers">
                <span>{ words }</span>
                <button type="button" class="link" onclick={cancel}>{ words::GGUF_CANCEL }</button>
            </p>
        </div>
    }
}

fn done(notices: &[String], bridge: &Bridge) -> Html {
    let size = bridge.gguf().map(|file| numbers::bytes(file.size() as u64)).unwrap_or_default();
    let again = {
        let bridge = bridge.clone();
        Callback::from(move |_: MouseEvent| save_gguf(&bridge))
    };
    html! {
        <>
            <p class="aside" role="status">
                { words::gguf_done(&size) }{ " " }
                <button type="button" class="link" onclick={again}>{ words::GGUF_AGAIN }</button>
            </p>
            { for notices.iter().map(|notice| html! { <p class="note">{ common::sentence(notice) }</p> }) }
        </>
    }
}
