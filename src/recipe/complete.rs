//! Completion for an editor: the words that may stand at a place in a recipe's text.
//!
//! A text that is being typed does not parse, so this looks at the lines above and their indentation only.

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
    let (typed, mut words) = match body.trim_start_matches("- ").split_once(':') {
        Some((key, value)) => (value.trim_start().to_owned(), values(key.trim(), &lines, methods)),
        None => (body.trim_start_matches("- ").to_owned(), keys(&lines, line, &before, methods)),
    };
    words.retain(|word| word.label.starts_with(&typed) && word.label != typed);
    words
}

fn plain(label: impl Into<String>) -> Completion {
    Completion { label: label.into(), detail: String::new() }
}

fn parameter(parameter: &ParameterInfo) -> Completion {
    Completion { label: parameter.name.into(), detail: parameter.help.into() }
}

fn values(key: &str, lines: &Lines<'_>, methods: &[MethodInfo]) -> Vec<Completion> {
    match key {
        "merge_method" => {
            methods.iter().map(|method| Completion { label: method.id.into(), detail: method.summary.into() }).collect()
        }
        "dtype" | "out_dtype" => FloatName::ALL.iter().map(|float| plain(float.name())).collect(),
        "base_model" => entries(lines)
            .filter(|(key, value)| *key == "model" && !value.is_empty())
            .map(|(_, name)| plain(name))
            .collect(),
        _ => Vec::new(),
    }
}

/// The keys and values of all lines.
fn entries<'a>(lines: &'a Lines<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = (1..=lines.count()).map(|number| lines.line(number).trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()))
}

fn keys(lines: &Lines<'_>, line: usize, before: &str, methods: &[MethodInfo]) -> Vec<Completion> {
    let indent = indentation(before);
    // The line that this one hangs on: the nearest above that is indented less.
    let owner = (1..line).rev().find(|number| {
        let line = lines.line(*number);
        !line.trim().is_empty() && indentation(line) < indent
    });
    let Some(owner) = owner.filter(|_| indent > 0) else {
        return words::TOP.into_iter().map(plain).collect();
    };
    let owner_line = lines.line(owner);
    let key = owner_line.trim_start().trim_start_matches("- ").split(':').next().unwrap_or("").trim();
    match key {
        "models" | "model" => words::MODEL.into_iter().map(plain).collect(),
        "parameters" => {
            let chosen = entries(lines).find(|(key, _)| *key == "merge_method").map(|(_, name)| name);
            let under_model = indentation(owner_line) > 0;
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
        _ => words::FILTER.into_iter().map(plain).collect(),
    }
}

/// How far a line is indented, the dash of an item included: `- a` and `  a` are keys of one mapping.
fn indentation(line: &str) -> usize {
    let rest = line.trim_start_matches(' ');
    let dash = if rest.starts_with("- ") { rest.len() - rest[1..].trim_start().len() } else { 0 };
    line.len() - rest.len() + dash
}
