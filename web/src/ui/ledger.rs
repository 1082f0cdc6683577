//! The ledger: every output tensor with its sources, resolved parameters and rule; filterable, a page at a time.

use std::collections::BTreeMap;

use merge_studio::plan::{Job, Plan, Rule};
use merge_studio::recipe::Value;
use yew::prelude::*;

use super::shared::Shared;
use super::words::run as words;
use super::{numbers, points};

/// Rows of a page: enough to read on, few enough to draw at once.
const PAGE: usize = 50;

/// Properties of [`Ledger`].
#[derive(Properties, PartialEq)]
pub struct LedgerProps {
    /// The plan.
    pub plan: Shared<Plan>,
}

/// The table and its filter.
#[component(Ledger)]
pub fn ledger(props: &LedgerProps) -> Html {
    let wanted = use_state_eq(String::new);
    let page = use_state_eq(|| 0_usize);
    let plan = &*props.plan;
    let rows: Vec<&Job> = plan.jobs.iter().filter(|job| matches_all(plan, job, &wanted)).collect();
    let last_page = rows.len().saturating_sub(1) / PAGE;
    let at = (*page).min(last_page);
    let first = at * PAGE;
    let shown = &rows[first.min(rows.len())..(first + PAGE).min(rows.len())];
    let search = {
        let (wanted, page) = (wanted.clone(), page.clone());
        Callback::from(move |event: InputEvent| {
            wanted.set(event.target_unchecked_into::<web_sys::HtmlInputElement>().value());
            page.set(0);
        })
    };
    let turn = |to: usize| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.set(to))
    };
    html! {
        <div class="ledger">
            <div class="ledger-head">
                <h3 id="ledger-title">{ words::TENSORS }</h3>
                <input type="search" aria-label={words::FILTER} placeholder={words::FILTER_HINT} value={(*wanted).clone()} oninput={search} />
            </div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="ledger-title">
                <table aria-labelledby="ledger-title" aria-rowcount={(rows.len() + 1).to_string()}>
                    <thead><tr>{ for words::COLUMNS.iter().map(|column| html! { <th scope="col">{ *column }</th> }) }</tr></thead>
                    <tbody>
                        { for shown.iter().map(|job| row(plan, job)) }
                        if rows.is_empty() {
                            <tr><td colspan="6">{ words::NO_MATCH }</td></tr>
                        }
                    </tbody>
                </table>
            </div>
            if rows.len() > PAGE {
                <div class="pages">
                    <button type="button" class="quiet small" disabled={at == 0} onclick={turn(at.saturating_sub(1))}>{ words::PREVIOUS }</button>
                    <span>{ words::shown(first + 1, first + shown.len(), rows.len()) }</span>
                    <button type="button" class="quiet small" disabled={at == last_page} onclick={turn(at + 1)}>{ words::NEXT }</button>
                </div>
            }
        </div>
    }
}

fn row(plan: &Plan, job: &Job) -> Html {
    html! {
        <tr key={job.name.clone()}>
            <th scope="row">{ for job.name.split_inclusive('.').map(|part| html! { <>{ part }<wbr /></> }) }</th>
            <td>{ rule(plan, job) }</td>
            <td>{ for parameters(plan, job).into_iter().map(|line| html! { <div>{ line }</div> }) }</td>
            <td>{ sources(plan, job) }</td>
            <td class="is-number">{ numbers::shape(&job.shape) }</td>
            <td>{ job.dtype.name() }</td>
        </tr>
    }
}

/// Whether every word of the filter stands somewhere in the row.
fn matches_all(plan: &Plan, job: &Job, wanted: &str) -> bool {
    let mut words = wanted.split_whitespace().map(str::to_ascii_lowercase).peekable();
    if words.peek().is_none() {
        return true;
    }
    let row =
        format!("{} {} {} {}", job.name, job.dtype.name(), sources(plan, job), rule(plan, job)).to_ascii_lowercase();
    words.all(|word| row.contains(&word))
}

/// The inputs by name, with a source's own name where it has another one.
fn sources(plan: &Plan, job: &Job) -> String {
    let name = |source: &merge_studio::plan::SourceTensor| {
        let input = short(plan.inputs.get(source.input).map_or("", |input| input.name.as_str()));
        if source.name == job.name { input.to_owned() } else { format!("{input} ({})", source.name) }
    };
    job.sources.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn rule(plan: &Plan, job: &Job) -> String {
    match &job.rule {
        Rule::Merge(_) => plan.method.clone(),
        Rule::Copy(reason) => words::copied(*reason).to_owned(),
    }
}

/// Resolved parameters, a line each: those of the sources (once where all have the same), then the shared ones.
fn parameters(plan: &Plan, job: &Job) -> Vec<String> {
    let Rule::Merge(merge) = &job.rule else { return Vec::new() };
    let values = |values: &BTreeMap<String, Value>| {
        values.iter().map(|(name, value)| format!("{name} {}", points::plain(value))).collect::<Vec<_>>().join(" · ")
    };
    let named: Vec<(&str, String)> = job
        .sources
        .iter()
        .zip(&merge.parameters.inputs)
        .filter(|(_, own)| !own.is_empty())
        .map(|(source, own)| (plan.inputs.get(source.input).map_or("", |input| input.name.as_str()), values(own)))
        .collect();
    let mut lines = match named.first() {
        Some((_, first)) if named.len() > 1 && named.iter().all(|(_, own)| own == first) => vec![words::each(first)],
        _ => named.iter().map(|(name, own)| format!("{}: {own}", short(name))).collect(),
    };
    lines.extend(Some(values(&merge.parameters.shared)).filter(|shared| !shared.is_empty()));
    lines
}

/// The last part of a path: enough to tell the inputs of one recipe apart.
fn short(name: &str) -> &str {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
}
