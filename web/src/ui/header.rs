//! The page's head: name, where merging runs and why, theme.

use yew::prelude::*;

use super::state::State;
use super::theme::Theme;
use super::words::{self, machine};
use crate::protocol::{GpuState, RunOn};

/// What [`header`] shows.
pub struct HeaderProps<'a> {
    /// The page's state.
    pub state: &'a State,
    /// What colours it wears.
    pub theme: Theme,
    /// Called to change them.
    pub on_theme: Callback<Theme>,
    /// Whether the view in sight is Evaluate.
    pub evaluating: bool,
    /// Called to change that.
    pub on_evaluate: Callback<bool>,
}

/// The head.
pub fn header(props: &HeaderProps<'_>) -> Html {
    let State { gpu, cpu_workers, run_on, storage, .. } = props.state;
    let other = props.theme.other();
    let toggle = props.on_theme.reform(move |_: MouseEvent| other);
    let view = |words: &'static str, evaluate: bool| {
        let current = (props.evaluating == evaluate).then_some("page");
        let go = props.on_evaluate.reform(move |_: MouseEvent| evaluate);
        html! { <button type="button" class="quiet" aria-current={current} onclick={go}>{ words }</button> }
    };
    let on_gpu = matches!(gpu, GpuState::Ready { .. }) && *run_on != RunOn::Cpu;
    html! {
        <header class="head">
            <a class="skip" href={if props.evaluating { "#evaluate" } else { "#studio" }}>{ words::SKIP }</a>
            <div class="brand">
                { mark() }
                <h1>{ words::NAME }</h1>
                <p class="tagline">{ words::TAGLINE }</p>
            </div>
            <nav aria-label={words::VIEWS}>
                { view(words::MERGE, false) }
                { view(words::EVALUATE, true) }
            </nav>
            <details class="chip">
                <summary title={machine::why(gpu, *run_on)}>
                    <span class={classes!("dot", on_gpu.then_some("is-gpu"))} aria-hidden="true" />
                    { machine::chip(gpu, *cpu_workers, *run_on) }
                </summary>
                <div class="chip-why">
                    <p>{ machine::why(gpu, *run_on) }</p>
                    if let Some(storage) = storage {
                        <p>{ machine::storage(storage) }</p>
                    }
                </div>
            </details>
            <button type="button" class="icon" onclick={toggle} aria-label={props.theme.toggle_words()} title={props.theme.toggle_words()}>
                <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
                    <circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" stroke-width="1.5" />
                    <path d="M10 3a7 7 0 0 1 0 14z" fill="currentColor" />
                </svg>
            </button>
        </header>
    }
}

/// Two strands that become one.
fn mark() -> Html {
    html! {
        <svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
            <path d="M6 5v4c0 5 10 6 10 12v6M26 5v4c0 5-10 6-10 12" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" />
            <circle cx="16" cy="27" r="2.5" fill="currentColor" />
        </svg>
    }
}
