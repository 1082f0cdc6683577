//! Reads a recipe and says what is wrong with it, line by line.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use console::style;
use merge_studio::method;
use merge_studio::recipe::{self, Link, Problem, Recipe, Repair, Severity};

use super::ReadingArgs;
use super::failure::{Failure, warn};

/// A recipe that can run.
pub(super) struct Loaded {
    /// Its text, repaired if that was asked for.
    pub(super) text: String,
    pub(super) recipe: Recipe,
}

/// Reads the recipe in `file`.
pub(super) fn from_file(file: &Path, reading: &ReadingArgs) -> Result<Loaded, Failure> {
    let bytes = fs::read(file).with_context(|| file.display().to_string()).map_err(Failure::Recipe)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::Recipe(anyhow!("{} is not a text in UTF-8 (byte {at}): is it a recipe?", file.display()))
    })?;
    examine(text, &file.display().to_string(), reading)
}

/// Reads the recipe in a link.
pub(super) fn from_link(text: &str, reading: &ReadingArgs) -> Result<(Loaded, Link), Failure> {
    let link = Link::decode(text).context("the link cannot be read").map_err(Failure::Recipe)?;
    Ok((examine(link.recipe.clone(), "link", reading)?, link))
}

fn examine(mut text: String, label: &str, reading: &ReadingArgs) -> Result<Loaded, Failure> {
    let methods = method::infos();
    match (recipe::repair(&text, &methods), reading.repair) {
        (Repair::Repaired { text: repaired, notes }, true) => {
            for note in notes {
                warn(format!("{label}: repaired: {note}"));
            }
            text = repaired;
        }
        (Repair::Repaired { text: repaired, .. }, false) => {
            let refused = recipe::check(&text, &methods).recipe.is_none();
            warn(format!("{label} seems to have lost its indentation. It may have meant:\n\n{repaired}"));
            eprintln!("To take it for this, run again with --repair.\n");
            if refused {
                show_problems(&text, label, &recipe::check(&text, &methods).problems, false);
                return Err(Failure::Recipe(anyhow!("{label} was refused")));
            }
        }
        (Repair::Refused(reason), true) => {
            return Err(Failure::Recipe(anyhow!("{label} cannot be repaired: {reason}")));
        }
        (Repair::Refused(_) | Repair::NotNeeded, _) => {}
    }
    let checked = recipe::check(&text, &methods);
    let refused = show_problems(&text, label, &checked.problems, reading.strict);
    match checked.recipe {
        Some(recipe) if !refused => Ok(Loaded { text, recipe }),
        _ => Err(Failure::Recipe(anyhow!("{label} was refused"))),
    }
}

/// Prints every problem with its line; true if one of them stops the merge.
fn show_problems(text: &str, label: &str, problems: &[Problem], strict: bool) -> bool {
    let mut refused = false;
    for problem in problems {
        let error = problem.severity == Severity::Error || strict;
        refused |= error;
        let severity = if error { style("error").red() } else { style("warning").yellow() };
        let span = problem.span;
        eprintln!("{label}:{}:{}: {}: {}", span.line, span.column, severity.for_stderr().bold(), problem.kind);
        if let Some(line) = text.lines().nth(span.line.saturating_sub(1)) {
            let end = if span.end_line == span.line { span.end_column } else { line.chars().count() + 1 };
            let indent = " ".repeat(span.column.saturating_sub(1));
            let mark = "^".repeat(end.saturating_sub(span.column).max(1));
            eprintln!("    {line}\n    {indent}{}", style(mark).for_stderr().cyan());
        }
        if let Some(fix) = &problem.fix {
            eprintln!("    {} {}", style("fix:").for_stderr().green(), fix.kind);
        }
    }
    refused
}
