//! Repair of pasted recipes: those that lost their indentation, or took on a page's typography.
//!
//! Nothing is guessed. A text without structural problems is left alone; typography is undone first; and if that is not
//! enough the structure is built anew from the grammar of recipes. Where more than one structure would be sound and they
//! mean different things, the repair refuses and says why.

mod structure;
mod tidy;

use serde::{Deserialize, Serialize};

use super::Recipe;
use super::check::draft;
use super::describe::{MethodInfo, Scope};
use super::problem::{Place, Problem, ProblemKind, Severity};
use super::setting::{Setting, Settings};
use super::span::sort_short;

/// Most lines that are given a new structure: every `parameters` is tried in two places, each with all lines.
const MAX_LINES: usize = 1000;

/// What [`repair`] did.
#[derive(Clone, Debug, PartialEq)]
pub enum Repair {
    /// The text has no structural problem. It may have others, which the linter tells of.
    NotNeeded,
    /// The text was repaired.
    Repaired {
        /// The repaired text.
        text: String,
        /// What was done, in the order of the lines.
        notes: Vec<RepairNote>,
    },
    /// There is no repair without guessing.
    Refused(RefusedReason),
}

/// What was done to a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairNote {
    /// The line, in the text as it was.
    pub line: usize,
    /// What was done.
    pub kind: RepairKind,
}

impl std::fmt::Display for RepairNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

/// What a repair does to a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RepairKind {
    /// Tabs, no-break spaces and their like became spaces.
    #[error("replaced tabs or unusual spaces")]
    Spaces,
    /// Typographic quotation marks, colons and dashes became plain ones.
    #[error("replaced typographic marks")]
    Marks,
    /// A line that is no part of the recipe went away.
    #[error("removed a line that is no part of the recipe")]
    Removed,
    /// The line was indented.
    #[error("put `{key}` {place}{}", model.as_ref().map_or(String::new(), |model| format!(" ({model})")))]
    Placed {
        /// Its key.
        key: String,
        /// Where it went.
        place: Place,
        /// Which model's, if it went to one.
        model: Option<String>,
    },
}

/// Why a text was not repaired.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum RefusedReason {
    /// It is no text, or far too long for a recipe.
    #[error("not repaired: {0}")]
    NotText(ProblemKind),
    /// It has too many lines to try every structure.
    #[error("not repaired: more than {limit} lines; indent them")]
    TooManyLines {
        /// The most allowed.
        limit: usize,
    },
    /// A line that means nothing.
    #[error("not repaired: line {line} is neither `key: value` nor `- item`")]
    Unreadable {
        /// The line.
        line: usize,
    },
    /// A key that could belong anywhere.
    #[error("not repaired: line {line} has the unknown key `{key}`, which could belong anywhere")]
    UnknownKey {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key that cannot stand where it does, whatever the indentation.
    #[error("not repaired: `{key}` in line {line} has nothing above it to belong to")]
    NoOwner {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key that stands twice.
    #[error("not repaired: `{key}` in line {line} stands there a second time")]
    Repeated {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// A `parameters` that could be a model's or everyone's.
    #[error(
        "not repaired: the `parameters` in line {line} could be for `{model}` alone or for all models; indent them"
    )]
    Ambiguous {
        /// The line.
        line: usize,
        /// The model.
        model: String,
    },
    /// No structure makes a sound recipe.
    #[error("not repaired: however it is indented, {0}")]
    NoStructure(ProblemKind),
}

/// Repairs a recipe's text if it needs that.
pub fn repair(text: &str, methods: &[MethodInfo]) -> Repair {
    let (recipe, problems) = draft(text, methods);
    let unreadable = |problem: &&Problem| match problem.kind {
        ProblemKind::TooLong { .. } => true,
        ProblemKind::Character { code } => !tidy::knows(code),
        _ => false,
    };
    if let Some(problem) = problems.iter().find(unreadable) {
        return Repair::Refused(RefusedReason::NotText(problem.kind.clone()));
    }
    let tidied = tidy::tidy(text);
    let error = problems.iter().any(|problem| problem.severity == Severity::Error);
    let sound = !problems.iter().any(is_structural);
    let empty = recipe.is_none() && problems.iter().any(|problem| problem.kind == ProblemKind::Empty);
    if empty || (sound && !(error && tidied.changed())) {
        return Repair::NotNeeded;
    }
    if tidied.changed() {
        let text = tidied.text();
        let (_, problems) = draft(&text, methods);
        if !problems.iter().any(is_structural) {
            return Repair::Repaired { text, notes: tidied.notes };
        }
    }
    if tidied.lines.len() > MAX_LINES {
        return Repair::Refused(RefusedReason::TooManyLines { limit: MAX_LINES });
    }
    let (documents, mut notes) = tidied.documents();
    let rebuilt: Result<Vec<_>, _> = documents.iter().map(|document| rebuilt(document, methods)).collect();
    match rebuilt {
        Ok(rebuilt) => {
            notes.extend(rebuilt.iter().flat_map(|(_, notes)| notes.iter().cloned()));
            let text = rebuilt.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("---\n");
            sort_short(&mut notes, |one, other| one.line > other.line);
            Repair::Repaired { text, notes }
        }
        Err(reason) => Repair::Refused(reason),
    }
}

/// A document as it is, if its structure is sound, else with a new one.
fn rebuilt(document: &tidy::Tidied<'_>, methods: &[MethodInfo]) -> Result<(String, Vec<RepairNote>), RefusedReason> {
    let text = document.text();
    let sound = !draft(&text, methods).1.iter().any(is_structural);
    if sound { Ok((text, Vec::new())) } else { rebuild(document, methods) }
}

/// The one structure that is sound, or the first of several that mean the same.
fn rebuild(tidied: &tidy::Tidied<'_>, methods: &[MethodInfo]) -> Result<(String, Vec<RepairNote>), RefusedReason> {
    let outline = structure::outline(tidied, methods)?;
    let mut chosen: Option<(structure::Built, Option<Recipe>)> = None;
    let mut obstacle = None;
    for built in outline.candidates() {
        let (recipe, problems) = draft(&built.text, methods);
        if let Some(problem) = problems.into_iter().find(is_obstacle) {
            obstacle.get_or_insert(problem.kind);
            continue;
        }
        match &chosen {
            None => chosen = Some((built, recipe)),
            Some((_, first)) if same_meaning(first.as_ref(), recipe.as_ref(), methods) => {}
            Some((first, _)) => {
                let (line, model) = built.shared.or_else(|| first.shared.clone()).unwrap_or_default();
                return Err(RefusedReason::Ambiguous { line, model });
            }
        }
    }
    // Where models have blocks of their own, one with nothing but such parameters is not everyone's just because another
    // model's lost something.
    let doubtful = |(built, recipe): &(structure::Built, Option<Recipe>)| {
        let method = recipe.as_ref().and_then(|recipe| methods.iter().find(|method| method.id == recipe.merge_method));
        let own = |key: &String| {
            method.and_then(|method| method.parameter(key)).is_some_and(|parameter| parameter.scope != Scope::Shared)
        };
        built.shared.is_some()
            && outline.blocks() > 1
            && recipe.as_ref().is_some_and(|recipe| recipe.parameters.keys().all(own))
    };
    // Behind several slices, what is for all models may be for those of the last slice alone.
    if let Some((line, model)) =
        chosen.as_ref().and_then(|(built, _)| built.shared.clone()).filter(|_| outline.slices() > 1)
    {
        return Err(RefusedReason::Ambiguous { line, model });
    }
    match chosen.filter(|chosen| !doubtful(chosen)) {
        Some((built, _)) => Ok((built.text, built.notes)),
        None => Err(RefusedReason::NoStructure(obstacle.unwrap_or(ProblemKind::Empty))),
    }
}

/// Problems that lost indentation makes.
fn is_structural(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemKind::Syntax { .. }
            | ProblemKind::Tab
            | ProblemKind::Character { .. }
            | ProblemKind::Shape { .. }
            | ProblemKind::KeyNotScalar
            | ProblemKind::Misplaced { .. }
            | ProblemKind::DuplicateKey { .. }
    )
}

/// Problems that speak against a structure.
fn is_obstacle(problem: &Problem) -> bool {
    is_structural(problem)
        || matches!(
            problem.kind,
            ProblemKind::SharedUnderModel { .. }
                | ProblemKind::MissingParameter { .. }
                | ProblemKind::BaseIsInput { .. }
                | ProblemKind::MissingKey { .. }
                | ProblemKind::UnknownKey { .. }
        )
}

/// Whether two recipes from the same lines give every model and the method the same parameters.
fn same_meaning(a: Option<&Recipe>, b: Option<&Recipe>, methods: &[MethodInfo]) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    let Some(method) = methods.iter().find(|method| method.id == a.merge_method) else { return a == b };
    let (of_a, of_b) = (owners(a), owners(b));
    method.parameters.iter().all(|parameter| match parameter.scope {
        Scope::Shared => a.parameters.get(parameter.name) == b.parameters.get(parameter.name),
        scope => of_a.iter().zip(&of_b).all(|((name, of_a), (_, of_b))| {
            let exempt = scope == Scope::NonBase && a.base_model.as_deref() == Some(name);
            exempt
                || effective(&[of_a, &a.parameters], parameter.name)
                    == effective(&[of_b, &b.parameters], parameter.name)
        }),
    })
}

/// The models and sources, with their own settings. (Slices get none in a repair.)
fn owners(recipe: &Recipe) -> Vec<(&str, &Settings)> {
    let models = recipe.models.iter().map(|entry| (entry.model.as_str(), &entry.parameters));
    let sources = recipe.slices.iter().flat_map(|slice| &slice.sources);
    models.chain(sources.map(|source| (source.model.as_str(), &source.parameters))).collect()
}

/// The settings that a model's parameter is looked up in, in order.
fn effective<'r>(scopes: &[&'r Settings], parameter: &str) -> Vec<&'r Setting> {
    let mut settings = Vec::new();
    for scope in scopes {
        if let Some(setting) = scope.get(parameter) {
            settings.push(setting);
            if !matches!(setting, Setting::Filters(_)) {
                break;
            }
        }
    }
    settings
}
