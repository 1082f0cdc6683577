//! What will happen before it happens: counts, sizes, and what a person should know.

use std::collections::BTreeMap;

use merge_studio::plan::{CopyReason, LeftOutReason, Plan, PlanNotice, Rule};
use yew::prelude::*;

use super::numbers;
use super::words::run as words;

/// More notices of one kind than this are folded away.
const SHOWN_NOTICES: usize = 4;

/// The facts, then the notices: `peak_memory` bytes are what the workers will allocate at most, and the seed counts if it `draws`.
pub fn preview(plan: &Plan, peak_memory: u64, draws: bool) -> Html {
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
    let tensors = |count: u64| super::words::count(count, "tensor", "tensors");
    let copies = copies(plan);
    let tied = left_out(plan);
    html! {
        <div class="preview">
            <dl class="facts">
                { fact(words::MERGED, tensors(merged as u64), vec![]) }
                if !copies.is_empty() {
                    { fact(words::COPIED, tensors(copies.values().sum()), copies.keys().map(|why| (*why).to_owned()).collect()) }
                }
                if !tied.is_empty() {
                    { fact(words::TIED, tensors(tied.values().map(|(count, _)| count).sum()),
                        tied.values().map(|&(count, reason)| words::left_out_count(count, reason)).collect()) }
                }
                { fact(words::OUTPUT, format!("{} · {}", numbers::bytes(size), numbers::dtypes(plan.jobs.iter().map(|job| (job.dtype, job.len)))), vec![]) }
                { fact(words::MEMORY, numbers::bytes(peak_memory), vec![]) }
            </dl>
            if !plan.stages.is_empty() {
                <p class="aside">{ words::stages(plan) }</p>
            }
            if !draws {
                <p class="aside">{ words::SEED_IDLE }</p>
            }
            { notices(&plan.notices) }
        </div>
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
fn copies(plan: &Plan) -> BTreeMap<&'static str, u64> {
    let reason =
        |rule: &Rule| -> Option<CopyReason> { if let Rule::Copy(reason) = rule { Some(*reason) } else { None } };
    let mut counts = BTreeMap::new();
    for reason in plan.jobs.iter().filter_map(|job| reason(&job.rule)) {
        *counts.entry(words::copied(reason)).or_default() += 1;
    }
    counts
}

/// How many tensors are left out, by reason.
fn left_out(plan: &Plan) -> BTreeMap<&'static str, (u64, LeftOutReason)> {
    let mut counts = BTreeMap::new();
    for left_out in &plan.left_out {
        counts.entry(words::left_out(left_out.reason)).or_insert((0, left_out.reason)).0 += 1;
    }
    counts
}
