//! The commands that only look: `plan`, `inspect`, `link` and `methods`.

use std::path::Path;

use anyhow::Context as _;
use merge_studio::method;
use merge_studio::model::Model;
use merge_studio::output;
use merge_studio::plan::{Job, Plan, Rule, SourceTensor};
use merge_studio::recipe::{
    BaseUse, DefaultValue, Link, MethodInfo, ParameterInfo, ParameterKind, Scope, Value, write,
};
use serde::Serialize;

use super::failure::Failure;
use super::merge::{self, Prepared};
use super::{PlanArgs, RecipeArgs, models, recipe, words};

/// Where `./studio serve` serves the page.
pub(super) const PAGE: &str = "http://127.0.0.1:8080/";

pub(super) fn plan(args: &RecipeArgs, options: &PlanArgs, json: bool) -> Result<(), Failure> {
    let prepared = prepare(args, options.random_seed.unwrap_or(0), options.out_shard_size)?;
    let plan = &prepared.plan;
    if json {
        print!("{}", output::ledger(plan, &write(&prepared.loaded.recipe)));
        return Ok(());
    }
    for stage in &prepared.stages {
        println!("Stage {}", stage.name);
        show(&stage.plan);
        println!();
    }
    if !prepared.stages.is_empty() {
        println!("Output ({} of stages are kept meanwhile)", words::bytes(plan.kept_at_most()));
    }
    show(plan);
    Ok(())
}

/// Prints a line for every tensor, and one for the whole.
fn show(plan: &Plan) {
    for job in &plan.jobs {
        println!("{:<56} {:>5} {:<16} {}", job.name, job.dtype.name(), shape(&job.shape), how(plan, job));
    }
    for left_out in &plan.left_out {
        println!(
            "{:<56} left out of {}: {}",
            left_out.tensor,
            plan.inputs[left_out.input].name,
            words::left_out_reason(left_out.reason)
        );
    }
    let merged = plan.jobs.iter().filter(|job| matches!(job.rule, Rule::Merge(_))).count();
    println!(
        "{}: {merged} merged, {} copied, {} left out; {} in {}, seed {}",
        plan.method,
        plan.jobs.len() - merged,
        plan.left_out.len(),
        words::bytes(plan.files.iter().map(|file| file.len).sum()),
        words::count(plan.files.len(), "file"),
        plan.seed,
    );
}

pub(super) fn link(args: &RecipeArgs, seed: u64, page: &str) -> Result<(), Failure> {
    // Shards are no part of a link.
    let prepared = prepare(args, seed, u64::MAX)?;
    println!("{}", address(page, &merge::link(&prepared)));
    Ok(())
}

/// The link as an address of the page.
pub(super) fn address(page: &str, link: &Link) -> String {
    format!("{page}#r={}", link.encode())
}

pub(super) fn inspect(path: &Path, tensors: bool, json: bool) -> Result<(), Failure> {
    let (_, model) = models::open(path)?;
    if json {
        return print_json(&model);
    }
    println!("{}", model.name);
    for (what, value) in facts(&model) {
        println!("  {what:<14}{value}");
    }
    for notice in &model.notices {
        super::failure::warn(words::model_notice(notice));
    }
    if tensors {
        for (name, tensor) in &model.tensors {
            println!("{name:<56} {:>5} {}", tensor.dtype.name(), shape(&tensor.shape));
        }
    }
    Ok(())
}

pub(super) fn methods(json: bool, markdown: bool) -> Result<(), Failure> {
    let methods = method::infos();
    if json {
        return print_json(&methods);
    }
    if markdown {
        print!("{}", methods_page(&methods));
        return Ok(());
    }
    for method in methods {
        println!("{}: {}\n  {}", method.id, method.summary, method.paper);
        for parameter in &method.parameters {
            let default = default_words(parameter);
            println!("  {:<18}{}, {default}: {}", parameter.name, kind_words(parameter), parameter.help);
        }
    }
    Ok(())
}

fn default_words(parameter: &ParameterInfo) -> String {
    match parameter.default {
        DefaultValue::Required => "required".to_owned(),
        DefaultValue::Absent => "optional".to_owned(),
        DefaultValue::Number(number) => format!("default {number}"),
        DefaultValue::Flag(flag) => format!("default {flag}"),
    }
}

fn kind_words(parameter: &ParameterInfo) -> &'static str {
    match parameter.kind {
        ParameterKind::Number { .. } => "number",
        ParameterKind::Flag => "flag",
    }
}

/// docs/methods.md.
fn methods_page(methods: &[MethodInfo]) -> String {
    let mut page = String::from(
        "# Merge methods\n\nMade by `merge-studio methods --markdown` from the methods' own descriptions; a test compares the two.\n\
         Names, defaults and meanings are mergekit 0.1.5's. A range is what is useful, not what is allowed.\n",
    );
    for method in methods {
        let base = match method.base {
            BaseUse::Required => "`base_model` is required",
            BaseUse::Optional => "`base_model` is optional: with one, the method works on task vectors",
            BaseUse::Ordinary => "`base_model` is an ordinary input",
        };
        let models = match method.models {
            (0, _) => "any number of models".to_owned(),
            (least, Some(most)) if least == most => words::count(least, "model"),
            (least, _) => format!("{} or more", words::count(least, "model")),
        };
        let beside = if method.has_base() { ", a base not counted" } else { "" };
        let (id, title, summary, paper) = (method.id, method.title, method.summary, method.paper);
        page += &format!("\n## {id}\n\n{title}. {summary} (<{paper}>)\n\n{base}. It takes {models}{beside}.\n");
        if method.parameters.is_empty() {
            page += "\nIt has no parameters.\n";
            continue;
        }
        page += "\n| parameter | what it is | of | |\n| --- | --- | --- | --- |\n";
        for parameter in &method.parameters {
            let kind = match parameter.kind {
                ParameterKind::Number { min, max, floor } => {
                    let floor = floor.map_or_else(String::new, |floor| format!(", at least {floor}"));
                    format!("number, {min} to {max}{floor}")
                }
                ParameterKind::Flag => "flag".to_owned(),
            };
            let of = match parameter.scope {
                Scope::Shared => "the merge",
                Scope::Input => "each model",
                Scope::NonBase => "each model but the base",
            };
            let (name, default, help) = (parameter.name, default_words(parameter), parameter.help);
            page += &format!("| `{name}` | {kind}; {default} | {of} | {help} |\n");
        }
    }
    page
}

fn prepare(args: &RecipeArgs, seed: u64, shard_size: u64) -> Result<Prepared, Failure> {
    let loaded = recipe::from_file(&args.recipe, &args.reading)?;
    merge::prepare(loaded, args.recipe.parent(), &args.reading, seed, shard_size)
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).context("it cannot be printed").map_err(Failure::Merge)?;
    println!("{text}");
    Ok(())
}

fn facts(model: &Model) -> Vec<(&'static str, String)> {
    let config = model.config.as_ref();
    let dtypes: Vec<String> = model.dtypes().iter().map(|(dtype, count)| format!("{dtype} × {count}")).collect();
    let unknown = || "unknown".to_owned();
    vec![
        ("architecture", config.and_then(|config| config.architecture.clone()).unwrap_or_else(unknown)),
        ("parameters", model.parameters().to_string()),
        ("size", format!("{} in {}", words::bytes(model.size()), words::count(model.weight_files.len(), "file"))),
        ("dtypes", dtypes.join(", ")),
        ("layers", model.layers().to_string()),
        ("tied", if model.is_tied() { "yes" } else { "no" }.to_owned()),
        ("vocabulary", model.vocabulary.as_ref().map_or_else(unknown, |vocabulary| vocabulary.tokens.to_string())),
        ("companions", model.companions.keys().cloned().collect::<Vec<_>>().join(", ")),
        ("fingerprint", model.fingerprint.clone()),
    ]
}

fn shape(shape: &[u64]) -> String {
    let sizes: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

/// The rule of a tensor in a line: where it comes from, with which parameters.
fn how(plan: &Plan, job: &Job) -> String {
    let name = |index: usize| plan.inputs[job.sources[index].input].name.as_str();
    let made = |index: usize| made_of(&job.sources[index], &job.name);
    let Rule::Merge(rule) = &job.rule else {
        let reason = if let Rule::Copy(reason) = job.rule { words::copy_reason(reason) } else { "" };
        return format!("copied from {}{}: {reason}", name(0), made(0));
    };
    let sources: Vec<String> = (0..job.sources.len())
        .map(|index| {
            let base = if rule.base == Some(index) { "base" } else { "" };
            let values = rule.parameters.inputs.get(index).into_iter().flatten();
            let words: Vec<String> = values.map(|(key, value)| format!("{key} {}", plain(value))).collect();
            let inside = [base.to_owned(), words.join(", ")].into_iter().filter(|part| !part.is_empty());
            format!("{}{} ({})", name(index), made(index), inside.collect::<Vec<_>>().join(", ")).replace(" ()", "")
        })
        .collect();
    let shared = rule.parameters.shared.iter().map(|(key, value)| format!("; {key} {}", plain(value)));
    sources.join(" + ") + &shared.collect::<String>()
}

/// What a source is, if not the tensor called `name` as it lies in the file.
fn made_of(source: &SourceTensor, name: &str) -> String {
    let mut words = if source.name == name { String::new() } else { format!(" {}", source.name) };
    if let Some(assembly) = &source.assembly {
        if let Some(change) = &assembly.change {
            words.push_str(&format!(", changed by {} · rank {}", change.scale, change.rank));
        }
        if assembly.rows.is_some() {
            words.push_str(", rows aligned");
        }
    }
    words
}

fn plain(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}
