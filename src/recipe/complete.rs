//! Completion for an editor: the words that may stand at a place in a recipe's text.
//!
//! A text that is being typed does not parse, so this looks at the lines above and their indentation only.

use std::ops::Range;

use super::check::words;
use super::span::Lines;
use super::{FloatName, MethodInfo, ParameterInfo, Scope};

/// A word that may stand at the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The word.
    pub label: String,
    /// One line about it; empty if there is nothing to say.
    pub detail: String,
}

/// What may stand at a line and column (from 1), by what is already typed of it. `methods` are those that can run.
pub fn complete(text: &str, line: usize, column: usize, methods: &[MethodInfo]) -> Vec<Completion> {
    let lines = Lines::new(text);
    let before: String = lines.line(line).chars().take(column.saturating_sub(1)).collect();
    let body = before.trim_start();
    if body.starts_with('#') {
        return Vec::new();
    }
    let document = document(&lines, line);
    let owners = owners(&lines, document.start, line, indentation(&before));
    let (typed, mut words) = match body.trim_start_matches("- ").split_once(':') {
        Some((key, value)) => (value.trim_start().to_owned(), values(key.trim(), &owners, &lines, methods)),
        None => (body.trim_start_matches("- ").to_owned(), keys(&owners, &lines, document, methods)),
    };
    words.retain(|word| word.label.starts_with(&typed) && word.label != typed);
    words
}

/// The lines of the document that a line is in.
fn document(lines: &Lines<'_>, line: usize) -> Range<usize> {
    let separates = |number: &usize| lines.line(*number).trim_end() == "---";
    let start = (1..line).rev().find(separates).map_or(1, |above| above + 1);
    start..(line..=lines.count()).find(separates).unwrap_or(lines.count() + 1)
}

/// The keys that a line hangs on, the nearest first: those of the lines above that are indented less and less.
fn owners<'a>(lines: &Lines<'a>, start: usize, line: usize, indent: usize) -> Vec<&'a str> {
    let mut owners = Vec::new();
    let mut indent = indent;
    for number in (start..line).rev() {
        let above = lines.line(number);
        if above.trim().is_empty() || above.trim_start().starts_with('#') || indentation(above) >= indent {
            continue;
        }
        // A key behind a dash is inside of the list as well: `- sources:` hangs on `slices`.
        indent = indentation(above);
        owners.push(above.trim_start().trim_start_matches("- ").split(':').next().unwrap_or("").trim());
        if indent == 0 {
            break;
        }
    }
    owners
}

fn plain(label: impl Into<String>) -> Completion {
    Completion { label: label.into(), detail: String::new() }
}

fn parameter(parameter: &ParameterInfo) -> Completion {
    Completion { label: parameter.name.into(), detail: parameter.help.into() }
}

fn values(key: &str, owners: &[&str], lines: &Lines<'_>, methods: &[MethodInfo]) -> Vec<Completion> {
    let all = |words: &[&str]| words.iter().copied().map(plain).collect::<Vec<_>>();
    let of_token = owners.get(1) == Some(&"tokens");
    match key {
        "merge_method" => {
            methods.iter().map(|method| Completion { label: method.id.into(), detail: method.summary.into() }).collect()
        }
        "dtype" | "out_dtype" => FloatName::ALL.iter().map(|float| plain(float.name())).collect(),
        "chat_template" => all(&words::TEMPLATES),
        "kind" => all(&words::TOKEN_KINDS),
        "force" => all(&["true", "false"]),
        "base_model" => models(lines),
        "source" if of_token => models(lines),
        "model" if owners.first() == Some(&"source") => models(lines),
        "source" | "tokenizer_source" => [all(&words::TOKENIZER_SOURCES), models(lines)].concat(),
        _ => Vec::new(),
    }
}

/// The names of the models, and of the documents whose results may be some, each once.
fn models(lines: &Lines<'_>) -> Vec<Completion> {
    let mut names: Vec<Completion> = Vec::new();
    let named = |key: &str| key == "model" || key == words::STAGE_NAME;
    for (_, name) in entries(lines, 1..lines.count() + 1).filter(|(key, value)| named(key) && !value.is_empty()) {
        if names.iter().all(|other| other.label != name) {
            names.push(plain(name));
        }
    }
    names
}

/// The keys and values of lines.
fn entries<'a>(lines: &'a Lines<'a>, of: Range<usize>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = of.map(|number| lines.line(number).trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()))
}

fn keys(owners: &[&str], lines: &Lines<'_>, document: Range<usize>, methods: &[MethodInfo]) -> Vec<Completion> {
    let all = |words: &[&str]| words.iter().copied().map(plain).collect();
    let Some(owner) = owners.first() else { return all(&words::TOP) };
    match (*owner, owners.get(1).copied()) {
        ("models" | "model", _) => all(&words::MODEL),
        // `residual_weight` does nothing.
        ("slices", _) => words::SLICE.into_iter().filter(|key| *key != "residual_weight").map(plain).collect(),
        ("sources", _) => all(&words::SOURCE),
        // Names of one's own.
        ("modules" | "tokens", _) => Vec::new(),
        ("tokenizer", _) => all(&words::TOKENIZER),
        ("source", _) => all(&words::TOKEN_SOURCE),
        ("parameters", above) => parameters(above, lines, document, methods),
        (_, Some("modules")) => all(&words::MODULE),
        (_, Some("tokens")) => all(&words::TOKEN),
        _ => all(&words::FILTER),
    }
}

/// The parameters of the chosen method, or of all; under a model without those for all models.
fn parameters(
    above: Option<&str>,
    lines: &Lines<'_>,
    document: Range<usize>,
    methods: &[MethodInfo],
) -> Vec<Completion> {
    let chosen = entries(lines, document).find(|(key, _)| *key == "merge_method").map(|(_, name)| name);
    let under_model = matches!(above, Some("models" | "sources"));
    let mut found: Vec<Completion> = Vec::new();
    for method in methods.iter().filter(|method| chosen.is_none_or(|name| name == method.id)) {
        let fitting = method.parameters.iter().filter(|info| !under_model || info.scope != Scope::Shared);
        for word in fitting.map(parameter) {
            if found.iter().all(|other| other.label != word.label) {
                found.push(word);
            }
        }
    }
    found
}

/// How far a line is indented, the dash of an item included: `- a` and `  a` are keys of one mapping.
fn indentation(line: &str) -> usize {
    let rest = line.trim_start_matches(' ');
    let dash = if rest.starts_with("- ") { rest.len() - rest[1..].trim_start().len() } else { 0 };
    line.len() - rest.len() + dash
}
