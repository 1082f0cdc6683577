//! How fast this device merges: the dialog that measures it, the table, and the results to copy.

use merge_studio::gauge::markdown;
use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlDialogElement;
use yew::prelude::*;

use super::gauging::{Gauging, Phase};
use super::progress::bar;
use super::results::to_clipboard;
use super::state::{Action, State};
use super::words::{benchmark as words, machine, run};
use crate::protocol::GpuState;

/// The dialog's id.
const ID: &str = "benchmark";

/// The dialog, if it is there: shown over a page that can do nothing meanwhile that would be measured with it.
fn dialog() -> Option<HtmlDialogElement> {
    gloo::utils::document().get_element_by_id(ID).map(wasm_bindgen::JsCast::unchecked_into)
}

/// Opens the dialog, if it was just put into the page.
pub fn show() {
    if let Some(dialog) = dialog().filter(|dialog| !dialog.open()) {
        // It is in the document, and closed.
        let _ = dialog.show_modal();
    }
}

/// The dialog. Closing it ends the measurement.
pub fn benchmark(state: &State, gauging: &Gauging, act: &Callback<Action>) -> Html {
    let Gauging { phase, told } = gauging;
    let running = *phase == Phase::Running;
    let busy = state.is_merging();
    let (start, status) = match (phase, &told.why) {
        (Phase::Idle, _) => (words::START, if busy { words::BUSY } else { "" }),
        (Phase::Running, _) => (words::CANCEL, words::MEASURING),
        (Phase::Over, None) => (words::AGAIN, words::DONE),
        (Phase::Over, Some(_)) => (words::AGAIN, words::STOPPED),
        (Phase::Cancelled, _) => (words::AGAIN, words::CANCELLED),
    };
    let class = if running { "main is-cancel" } else { "main" };
    let press = act.reform(move |_: MouseEvent| if running { Action::StopGauge } else { Action::Gauge });
    let mut buttons = vec![button(class, start, busy, press)];
    let mut results = String::new();
    if !running && told.done > 0 {
        results = self::results(&told.table, &state.gpu);
        let (act, results) = (act.clone(), results.clone());
        let copy = Callback::from(move |_: MouseEvent| {
            let (act, results) = (act.clone(), results.clone());
            spawn_local(async move { act.emit(Action::GaugeCopied(to_clipboard(&results).await)) });
        });
        buttons.push(button("", words::COPY_RESULTS, false, copy));
    }
    // The browser gives the focus back to where it was.
    let close = Callback::from(|_: MouseEvent| {
        if let Some(dialog) = dialog() {
            dialog.close();
        }
    });
    buttons.push(button("quiet", words::CLOSE, false, close));
    let status = if state.gauge_copied == Some(true) { words::COPIED } else { status };

    let mut below = Vec::new();
    if running {
        below.push(progress(told.done, told.all));
    }
    if let Some(why) = &told.why {
        below.push(text("p", "note is-error", words::failed(why)));
    }
    if state.gauge_copied == Some(false) {
        below.push(text("p", "aside", words::COPY_HERE));
        below.push(html! { <textarea readonly=true aria-label={words::RESULTS} rows="4" value={results} /> });
    }
    if !told.table.is_empty() {
        below.push(table(&told.table));
        if let Some(why) = no_gpu(&state.gpu) {
            below.push(text("p", "note", why));
        }
    }
    let mut how = vec![text("summary", "", words::READ)];
    for line in words::HOW {
        how.push(text("p", "aside", line));
    }
    below.push(element("details", "more", how));
    html! {
        <dialog id={ID} class="benchmark" aria-label={words::TITLE} onclose={act.reform(|_: Event| Action::ShowGauge(false))}>
            { text("h2", "", words::TITLE) }
            { text("p", "aside", words::WHAT) }
            { element("div", "buttons", buttons) }
            <p class="status" role="status">{ status }</p>
            { for below }
        </dialog>
    }
}

fn button(class: &'static str, words: &'static str, disabled: bool, onclick: Callback<MouseEvent>) -> Html {
    html! { <button type="button" {class} {disabled} {onclick}>{ words }</button> }
}

/// An element that holds words alone.
fn text(tag: &'static str, class: &'static str, words: impl ToString) -> Html {
    element(tag, class, vec![Html::from(words)])
}

/// A function, since what the macro writes out for each element takes ten times the bytes of a call.
#[allow(clippy::ignored_unit_patterns)] // In what the macro writes.
fn element(tag: &'static str, class: &'static str, children: Vec<Html>) -> Html {
    html! { <@{tag} {class}>{ for children }</@> }
}

/// Why there is no GPU, if there is none.
fn no_gpu(gpu: &GpuState) -> Option<String> {
    if let GpuState::Absent(why) = gpu { Some(words::no_gpu(&machine::no_gpu(why))) } else { None }
}

fn results(table: &[Vec<String>], gpu: &GpuState) -> String {
    let browser = gloo::utils::window().navigator().user_agent().unwrap_or_default();
    words::results(&markdown(table), &browser, &no_gpu(gpu).unwrap_or_default())
}

fn progress(done: usize, all: usize) -> Html {
    let words = if all == 0 { run::STARTING.to_owned() } else { words::of(done, all) };
    let bar = bar(words::PROGRESS, done as f64 / all.max(1) as f64 * 100.0, &words);
    element("div", "progress", vec![bar, text("p", "progress-numbers", words)])
}

fn table(table: &[Vec<String>]) -> Html {
    let mut lines = Vec::new();
    for (at, line) in table.iter().enumerate() {
        let cell = |(column, words)| text(if at == 0 || column == 0 { "th" } else { "td" }, "", words);
        lines.push(element("tr", "", line.iter().enumerate().map(cell).collect()));
    }
    element("table", "", vec![element("tbody", "", lines)])
}
