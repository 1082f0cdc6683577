//! README.md: the model card, in the form that Hugging Face reads.

use std::fmt::Write as _;

use crate::method;
use crate::plan::{Plan, Rule};

use super::config::output_dtype;

/// The card of `plan`'s output. `recipe` is its canonical text.
pub(super) fn card(plan: &Plan, recipe: &str) -> String {
    let mut text = front_matter(plan);
    let merged = plan.jobs.iter().filter(|job| matches!(job.rule, Rule::Merge(_))).count();
    let copied = plan.jobs.len() - merged;
    let elements: u64 = plan.jobs.iter().map(|job| job.len / job.dtype.size()).sum();
    let (title, summary, paper) = match method::find(&plan.method) {
        Some(method) => (method.info().title, method.info().summary, method.info().paper),
        None => (plan.method.as_str(), "", ""),
    };
    let names: Vec<String> = plan.inputs.iter().map(|input| code(&input.name)).collect();

    let mut put = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    put(&format!("# {title} merge of {}\n", enumeration(&names)));
    put(&format!(
        "Merged with [Merge Studio]({}) {}, which reads [mergekit](https://github.com/arcee-ai/mergekit)'s recipes.\n",
        env!("CARGO_PKG_REPOSITORY"),
        env!("CARGO_PKG_VERSION"),
    ));
    put("## Method\n");
    put(&format!("[{title}]({paper}): {summary}\n"));
    put("## Models\n");
    put("| model | fingerprint |\n| --- | --- |");
    for input in plan.models() {
        put(&format!("| {} | `{}` |", code(&input.name).replace('|', "\\|"), input.fingerprint));
    }
    if let Some(donor) = names.get(plan.donor) {
        put(&format!("\nConfiguration and tokenizer come from {donor}."));
    }
    if !plan.stages.is_empty() {
        put("\n## Stages\n\nMade before it, in this order:\n");
    }
    for stage in &plan.stages {
        let of: Vec<String> = stage.inputs.iter().map(|input| code(&input.name)).collect();
        let title = method::find(&stage.method).map_or(stage.method.as_str(), |method| method.info().title);
        put(&format!("1. {}: {title} merge of {}", code(&stage.name), enumeration(&of)));
    }
    put("\n## Result\n");
    put("| | |\n| --- | --- |");
    put(&format!("| tensors merged | {merged} |"));
    put(&format!("| tensors copied | {copied} |"));
    put(&format!("| tensors left out | {} |", plan.left_out.len()));
    put(&format!("| parameters | {elements} |"));
    if let Some(dtype) = output_dtype(plan) {
        put(&format!("| dtype | {dtype} |"));
    }
    put(&format!("| seed | {} |", plan.seed));
    put("\n`merge-studio.json` accounts for every tensor.\n");
    put("## Recipe\n");
    let fence = "`".repeat(longest_run(recipe, '`').max(2) + 1);
    put(&format!("{fence}yaml\n{}\n{fence}", recipe.trim_end()));
    text
}

fn front_matter(plan: &Plan) -> String {
    let mut text = String::from("---\n");
    let models = plan.models();
    let ids: Vec<&str> = models.iter().map(|input| input.name.as_str()).filter(|name| is_hub_id(name)).collect();
    if !ids.is_empty() {
        text.push_str("base_model:\n");
        for id in ids {
            // `write!` to a String cannot fail.
            let _ = writeln!(text, "- {id}");
        }
    }
    text.push_str("library_name: transformers\ntags:\n- mergekit\n- merge\n---\n");
    text
}

/// Whether the hub takes `name` for a model's id, `owner/name`. It refuses a card that names anything else as a base.
fn is_hub_id(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    name.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

/// `text` as a code span, whatever backticks it holds.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text, '`') + 1);
    let space = if fence.len() > 1 { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}

fn enumeration(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
