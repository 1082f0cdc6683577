//! What will happen before it happens: counts, sizes, and what a person should know.

use merge_studio::plan::{CopyReason, LeftOutReason, Plan, PlanNotice, Rule};
use merge_studio::recipe::TokenizerSource;
use yew::prelude::*;

use super::edit::Edit;
use super::edit_slices::taken;
use super::numbers;
use super::state::{Action, State};
use super::words::{self as common, recipe, run as words};

/// More notices of one kind than this are folded away.
const SHOWN_NOTICES: usize = 4;
/// Names of left-out tensors that are drawn at most: merge-studio.json has them all.
const SHOWN_LEFT_OUT: usize = 200;

/// What [`preview`] shows.
pub struct PreviewProps<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What the workers will allocate at most, in bytes.
    pub peak_memory: u64,
    /// Whether anything is drawn at random, so that the seed counts.
    pub draws: bool,
    /// The page's state.
    pub state: &'a State,
    /// Where edits go.
    pub act: &'a Callback<Action>,
}

/// The facts, then the notices.
pub fn preview(props: &PreviewProps<'_>) -> Html {
    let plan = props.plan;
    let merged = plan.jobs.iter().filter(|job| matches!(job.rule, Rule::Merge(_))).count();
    let size: u64 = plan.files.iter().map(|file| file.len).sum();
    let fact = |name: &'static str, value: String, why: Vec<String>| {
        html! {
            <div>
                <dt>{ name }</dt>
                <dd>{ value }{ for why.into_iter().map(|why| html! { <span class="fact-why">{ why }</span> }) }</dd>
            </div>
        }
    };
    let tensors = |count: u64| common::count(count, "tensor", "tensors");
    let copies = copies(plan);
    let tied = plan.left_out.iter().filter(|left_out| left_out.reason == LeftOutReason::Tied).count() as u64;
    html! {
        <div class="preview">
            <dl class="facts">
                { fact(words::MERGED, tensors(merged as u64), vec![]) }
                if !copies.is_empty() {
                    { fact(words::COPIED, tensors(copies.iter().map(|(_, count)| count).sum()), copies.iter().map(|(why, _)| (*why).to_owned()).collect()) }
                }
                if tied > 0 {
                    { fact(words::TIED, tensors(tied), vec![words::left_out_count(tied, LeftOutReason::Tied)]) }
                }
                if let Some((layers, why)) = layers(props) {
                    { fact(words::LAYERS, numbers::grouped(layers), why) }
                }
                if let Some((rows, why)) = vocabulary(plan) {
                    { fact(words::VOCABULARY, numbers::grouped(rows), why) }
                }
                { fact(words::OUTPUT, format!("{} · {}", numbers::bytes(size), numbers::dtypes(plan.jobs.iter().map(|job| (job.dtype, job.len)))), vec![]) }
                { fact(words::MEMORY, numbers::bytes(props.peak_memory), vec![]) }
            </dl>
            if !plan.stages.is_empty() {
                <p class="aside">{ words::stages(plan) }</p>
            }
            if !props.draws {
                <p class="aside">{ words::SEED_IDLE }</p>
            }
            { notices(&plan.notices) }
            if plan.notices.iter().any(|notice| matches!(notice, PlanNotice::TokenizersDiffer { .. })) {
                { align(props.act) }
            }
            { not_in_slices(plan) }
        </div>
    }
}

/// Buttons that make the recipe match rows by their tokens.
pub fn align(act: &Callback<Action>) -> Html {
    let button = |label: &'static str, source: TokenizerSource| {
        let edit = act.reform(move |_: MouseEvent| Action::Edit(Edit::Tokenizer(Some(source.clone()))));
        html! { <button type="button" onclick={edit}>{ label }</button> }
    };
    html! {
        <div class="buttons">
            { button(words::ALIGN_UNION, TokenizerSource::Union) }
            { button(words::ALIGN_BASE, TokenizerSource::Base) }
        </div>
    }
}

/// How many layers slices make, and what they leave out and repeat.
fn layers(props: &PreviewProps<'_>) -> Option<(u64, Vec<String>)> {
    let slices = &props.state.form.as_ref()?.slices;
    let layers = props.plan.layers.iter().map(|section| section.layers.len() as u64).sum();
    let depths = props.state.depths();
    (!props.plan.layers.is_empty())
        .then(|| (layers, taken(slices, |name| depths.of(name)).iter().map(recipe::taken).collect()))
}

/// How many rows an aligned vocabulary has, and how many it had in each model.
fn vocabulary(plan: &Plan) -> Option<(u64, Vec<String>)> {
    let job = plan.jobs.iter().find(|job| {
        job.sources.iter().any(|source| source.assembly.as_ref().is_some_and(|assembly| assembly.rows.is_some()))
    })?;
    let (rows, row) = job.shape.split_first()?;
    let row = row.iter().fold(1_u64, |all, &dimension| all.saturating_mul(dimension)).max(1);
    let had = |source: &merge_studio::plan::SourceTensor| {
        let name = &plan.inputs.get(source.input)?.name;
        Some(words::had_rows(name, source.len / source.dtype.size() / row))
    };
    Some((*rows, job.sources.iter().filter_map(had).collect()))
}

/// Tensors of layers that no slice takes: their number, and folded away their names.
fn not_in_slices(plan: &Plan) -> Html {
    let left_out: Vec<_> = plan.left_out.iter().filter(|each| each.reason == LeftOutReason::NotInSlices).collect();
    if left_out.is_empty() {
        return html! {};
    }
    let name = |input: usize| plan.inputs.get(input).map_or("", |input| input.name.as_str());
    html! {
        <details class="more">
            <summary>{ words::left_out_count(left_out.len() as u64, LeftOutReason::NotInSlices) }</summary>
            <ul class="left-out" tabindex="0">
                { for left_out.iter().take(SHOWN_LEFT_OUT).map(|each| html! { <li>{ name(each.input) }{ ": " }<code>{ &each.tensor }</code></li> }) }
                if left_out.len() > SHOWN_LEFT_OUT {
                    <li>{ words::and_more((left_out.len() - SHOWN_LEFT_OUT) as u64) }</li>
                }
            </ul>
        </details>
    }
}

fn notices(all: &[PlanNotice]) -> Html {
    let note = |notice: &PlanNotice| html! { <p class="note">{ words::plan_notice(notice) }</p> };
    let (first, rest) = all.split_at(all.len().min(SHOWN_NOTICES));
    html! {
        <>
            { for first.iter().map(note) }
            if !rest.is_empty() {
                <details class="more">
                    <summary>{ words::more_notices(rest.len() as u64) }</summary>
                    { for rest.iter().map(note) }
                </details>
            }
        </>
    }
}

/// How many tensors are copied, by reason.
fn copies(plan: &Plan) -> Vec<(&'static str, u64)> {
    let reason =
        |rule: &Rule| -> Option<CopyReason> { if let Rule::Copy(reason) = rule { Some(*reason) } else { None } };
    let mut counts: Vec<(&'static str, u64)> = Vec::new();
    for reason in plan.jobs.iter().filter_map(|job| reason(&job.rule)).map(words::copied) {
        match counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => counts.push((reason, 1)),
        }
    }
    counts
}
