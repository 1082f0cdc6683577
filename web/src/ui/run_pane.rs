//! The Run pane: what will happen, the choices that are not in the recipe, the merge, and what came of it.

use merge_studio::plan::{Plan, PlanError, Rule};
use yew::prelude::*;

use super::field::{entered, selected};
use super::ledger::Ledger;
use super::merging::Merging;
use super::preview::{PreviewProps, align, preview};
use super::progress::progress_view;
use super::results::{ResultsProps, results};
use super::shared::Shared;
use super::state::{Action, Planning, State};
use super::words::{self as common, benchmark, run as words};
use crate::bridge::Bridge;
use crate::protocol::RunOn;

/// What [`run_pane`] shows.
pub struct RunPaneProps {
    /// The page's state.
    pub state: Shared<State>,
    /// The workers, for the result's files.
    pub bridge: Bridge,
    /// Where actions go.
    pub act: Callback<Action>,
}

/// The pane.
pub fn run_pane(props: &RunPaneProps) -> Html {
    let state = &props.state;
    html! {
        <section class="pane run" aria-labelledby="run-title">
            <div class="pane-head">
                <h2 id="run-title"><span class="step" aria-hidden="true">{ "3" }</span>{ words::REGION }</h2>
                <button type="button" class="quiet small" onclick={props.act.reform(|_: MouseEvent| Action::ShowGauge(true))}>
                    { benchmark::TITLE }
                </button>
            </div>
            if state.models.is_empty() && state.text.trim().is_empty() {
                <p class="teach">{ words::EMPTY }</p>
            }
            { controls(props) }
            <p class="status" role="status">{ status(state) }</p>
            if let Merging::Running { progress, cancelling, notices, .. } = &state.merging {
                { progress_view(progress.as_ref(), *cancelling) }
                { for notices.iter().map(|notice| html! { <p class="note">{ words::run_notice(notice) }</p> }) }
            }
            if let Merging::Failed(error) = &state.merging {
                <p class="note is-error">{ words::merge_error(error) }</p>
            }
            if let Some(outcome) = state.merging.outcome() {
                { results(&ResultsProps {
                    outcome: Shared(outcome.clone()),
                    link: state.link.as_ref().and_then(|opened| opened.link.clone().ok()),
                    outdated: is_outdated(state),
                    gguf_type: state.gguf_type,
                    bridge: props.bridge.clone(),
                    act: props.act.clone(),
                }) }
            }
            { plan(state, &props.act) }
        </section>
    }
}

fn controls(props: &RunPaneProps) -> Html {
    let state = &props.state;
    let run_on = props.act.reform(|event: Event| {
        Action::RunOn(match selected(&event).as_str() {
            "webgpu" => RunOn::WebGpu,
            "cpu" => RunOn::Cpu,
            _ => RunOn::Auto,
        })
    });
    // Taken as it is typed: the pane is drawn again whenever a plan or progress comes in, and would undo what is not yet taken.
    let seed = {
        let act = props.act.clone();
        Callback::from(move |event: InputEvent| {
            if let Ok(seed) = entered(&event).trim().parse() {
                act.emit(Action::Seed(seed));
            }
        })
    };
    let reseed = {
        let now = state.seed;
        Callback::from(move |event: Event| {
            event.target_unchecked_into::<web_sys::HtmlInputElement>().set_value(&now.to_string());
        })
    };
    let option = |value: &'static str, words: &'static str, each: RunOn| {
        html! { <option {value} selected={state.run_on == each}>{ words }</option> }
    };
    html! {
        <div class="controls">
            <div class="field">
                <label for="run-on">{ words::RUN_ON }</label>
                <select id="run-on" onchange={run_on} disabled={state.is_merging()}>
                    { option("auto", words::AUTO, RunOn::Auto) }
                    { option("webgpu", words::WEBGPU, RunOn::WebGpu) }
                    { option("cpu", words::CPU, RunOn::Cpu) }
                </select>
            </div>
            <div class="field">
                <label for="seed">{ words::SEED }</label>
                <input id="seed" type="number" min="0" step="1" inputmode="numeric" value={state.seed.to_string()} oninput={seed} onchange={reseed}
                    disabled={state.is_merging()} />
            </div>
            { button(state, &props.act) }
        </div>
    }
}

/// One button in one place: Merge, and while a merge runs Cancel.
fn button(state: &State, act: &Callback<Action>) -> Html {
    if let Merging::Running { cancelling, .. } = &state.merging {
        let cancel = act.reform(|_: MouseEvent| Action::Cancel);
        let words = if *cancelling { words::CANCELLING } else { words::CANCEL };
        return html! { <button type="button" class="main is-cancel" onclick={cancel} disabled={*cancelling}>{ words }</button> };
    }
    let merge = act.reform(|_: MouseEvent| Action::Merge);
    let ready = matches!(state.planning, Planning::Ready { .. });
    html! { <button type="button" class="main" onclick={merge} disabled={!ready}>{ words::MERGE }</button> }
}

/// What the status line says: it changes only when the moment does, never with the numbers.
fn status(state: &State) -> String {
    match (&state.merging, &state.planning) {
        (Merging::Running { cancelling: true, .. }, _) => words::CANCELLING.to_owned(),
        (Merging::Running { .. }, _) => words::MERGING.to_owned(),
        (Merging::Done(outcome), _) => words::finished(outcome.report.seconds),
        (Merging::Failed(_), _) => words::FAILED.to_owned(),
        (Merging::Cancelled, _) => words::CANCELLED.to_owned(),
        (Merging::Idle, Planning::Ready { .. }) => words::READY.to_owned(),
        (Merging::Idle, Planning::Waiting(_)) => words::PLANNING.to_owned(),
        (Merging::Idle, _) => String::new(),
    }
}

/// What will happen, or what is missing before it can be said.
fn plan(state: &State, act: &Callback<Action>) -> Html {
    match &state.planning {
        Planning::Ready { plan, peak_memory, .. } => html! {
            <>
                { preview(&PreviewProps { plan, peak_memory: *peak_memory, draws: draws(plan), state, act }) }
                <Ledger plan={Shared(plan.clone())} />
            </>
        },
        Planning::Refused(why) => html! {
            <div class="note is-error" role="alert">
                <p><strong>{ words::REFUSED }</strong></p>
                <p>{ common::sentence(&why.to_string()) }</p>
                if matches!(**why, PlanError::ShapesDiffer { vocabulary: true, .. }) {
                    { align(act) }
                }
            </div>
        },
        Planning::Waiting(_) | Planning::Nothing => {
            let missing = state.missing();
            if missing.is_empty() || state.is_merging() {
                return html! {};
            }
            html! {
                <div class="missing">
                    <h3 id="missing-title">{ words::BEFORE }</h3>
                    <ul aria-labelledby="missing-title">
                        { for missing.iter().map(|missing| html! { <li>{ words::missing(missing) }</li> }) }
                    </ul>
                </div>
            }
        }
    }
}

/// Whether any tensor draws coins, so that the seed counts.
fn draws(plan: &Plan) -> bool {
    plan.jobs.iter().any(|job| matches!(&job.rule, Rule::Merge(rule) if !rule.coins.is_empty()))
}

/// Whether the result is another one than the plan in view would give.
fn is_outdated(state: &State) -> bool {
    let Some(outcome) = state.merging.outcome() else { return false };
    let now = match &state.planning {
        Planning::Ready { plan, .. } => Some(plan.inputs.iter().map(|input| &input.fingerprint).collect::<Vec<_>>()),
        _ => None,
    };
    let then: Vec<&String> = outcome.started.plan.inputs.iter().map(|input| &input.fingerprint).collect();
    outcome.started.recipe != state.text || outcome.started.seed != state.seed || now.is_some_and(|now| now != then)
}
