//! The linter: text → a recipe, or what keeps it from being one.
//!
//! What mergekit fails on is an error; what it ignores without a word, or what has no effect, is a warning.

mod fixes;
mod keys;
mod names;
mod parameters;
mod parts;
mod stages;
mod together;
mod tokenizer;
pub(super) mod words;

use super::describe::MethodInfo;
use super::problem::{Expected, Found, Place, Problem, ProblemKind, Severity};
use super::reader::{self, Data, Map, Node};
use super::scalar::{self, Scalar};
use super::span::{Lines, Span, sort_short};
use super::suggest::suggest;
use super::{FloatName, Recipe};
use parameters::Owner;
use parts::Merged;
use stages::Document;
use together::Around;

/// What [`check`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The recipe; none if there is an error.
    pub recipe: Option<Recipe>,
    /// What is wrong with the text, in its order.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// Whether the recipe can run.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Reads and checks a recipe. `methods` are those that can run.
pub fn check(text: &str, methods: &[MethodInfo]) -> Checked {
    let (recipe, problems) = draft(text, methods);
    let error = problems.iter().any(|problem| problem.severity == Severity::Error);
    Checked { recipe: recipe.filter(|_| !error), problems }
}

/// What [`check`] finds, and the recipe as far as it can be told, errors or not.
pub(super) fn draft(text: &str, methods: &[MethodInfo]) -> (Option<Recipe>, Vec<Problem>) {
    let (roots, mut problems) = reader::read(text);
    let lines = Lines::new(text);
    let nothing = Map::default();
    let names = stages::names(&roots);
    let mut documents = Vec::with_capacity(roots.len());
    for root in &roots {
        let map = if let Data::Map(map) = &root.data { map } else { &nothing };
        let stages = if roots.len() > 1 { names.as_slice() } else { &[] };
        let mut checker = Checker { lines: &lines, methods, root: map, stages, problems };
        let name = checker.name(roots.len() > 1);
        let recipe = checker.recipe(root);
        documents.push(Document { start: root.span.start(), name, recipe });
        problems = checker.problems;
    }
    let recipe = stages::join(documents, &mut problems);
    sort_short(&mut problems, |one, other| one.span() > other.span());
    (recipe, said_once(problems))
}

/// What an alias repeats is said once. Only so many problems of one place are compared, since there may be thousands.
fn said_once(problems: Vec<Problem>) -> Vec<Problem> {
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        let mut here = kept.iter().rev().take(16).take_while(|other| other.span == problem.span);
        if here.all(|other| other.kind != problem.kind) {
            kept.push(problem);
        }
    }
    kept
}

struct Checker<'a> {
    lines: &'a Lines<'a>,
    methods: &'a [MethodInfo],
    /// The recipe's own keys.
    root: &'a Map,
    /// The names of the documents, where there are several.
    stages: &'a [&'a str],
    problems: Vec<Problem>,
}

fn found(node: &Node) -> Found {
    match &node.data {
        Data::Scalar(Scalar::Null) => Found::Nothing,
        Data::Scalar(Scalar::Flag(flag)) => Found::Flag(*flag),
        Data::Scalar(Scalar::Number(number)) => Found::Number(*number),
        Data::Scalar(Scalar::Date) => Found::Date,
        Data::Scalar(Scalar::Text(text)) => Found::Text(text.clone()),
        Data::List(_) => Found::List,
        Data::Map(_) => Found::Mapping,
    }
}

impl Checker<'_> {
    fn say(&mut self, span: Span, kind: ProblemKind) {
        self.problems.push(Problem::new(span, kind));
    }

    fn shape(&mut self, key: Option<&str>, node: &Node, expected: Expected) {
        let kind = ProblemKind::Shape { key: key.map(str::to_owned), expected, found: found(node) };
        self.say(node.span, kind);
    }

    fn recipe(&mut self, root: &Node) -> Option<Recipe> {
        if !matches!(root.data, Data::Map(_)) {
            self.shape(None, &Node { span: root.span.start(), ..root.clone() }, Expected::Mapping);
            return None;
        }
        let map = self.root;
        self.stray_keys(map, Place::Top, None);
        let method_name = self.required_text(map, root, "merge_method");
        let methods = self.methods;
        let method = method_name.as_ref().and_then(|(name, span)| self.method(name, *span, methods));
        let parts = self.parts(root, method);
        let base = self.base();
        let shared = (map, Place::Parameters);
        let shared = self.parameters_of(map, Owner { place: Place::Parameters, shared }, method);
        if let (Some(method), Some((_, method_span)), Some(parts)) = (method, &method_name, &parts) {
            let around = Around { method, method_span: *method_span, base: base.as_ref(), shared: shared.as_ref() };
            self.together(&around, parts);
        }
        let dtype = self.dtype(map, "dtype");
        let out_dtype = self.dtype(map, "out_dtype");
        let base_model = base.map(|(name, _)| name);
        let names = parts.as_ref().map(|parts| parts::names(parts, base_model.as_ref()));
        let tokenizer = self.tokenizer(names.as_ref());
        let chat_template = self.chat_template();
        let Merged { models, slices, modules } = Merged::of(parts?);
        Some(Recipe {
            merge_method: method_name?.0,
            base_model,
            models,
            slices,
            modules,
            parameters: parts::settings(shared),
            dtype,
            out_dtype,
            tokenizer,
            chat_template,
            stages: Vec::new(),
        })
    }

    fn required_text(&mut self, map: &Map, root: &Node, key: &str) -> Option<(String, Span)> {
        let Some(pair) = map.get(key) else {
            self.say(root.span.start(), ProblemKind::MissingKey { key: key.into() });
            return None;
        };
        Some((self.text(key, &pair.value)?, pair.value.span))
    }

    /// A text, or an error with the offer of quotation marks.
    fn text(&mut self, key: &str, node: &Node) -> Option<String> {
        if let Some(text) = node.text() {
            return Some(text.to_owned());
        }
        let kind = ProblemKind::Shape { key: Some(key.into()), expected: Expected::Text, found: found(node) };
        let fix = match &node.data {
            Data::Scalar(Scalar::Flag(_) | Scalar::Number(_) | Scalar::Date) => fixes::quote(self.lines, node.span),
            _ => None,
        };
        self.problems.push(Problem::new(node.span, kind).with(fix));
        None
    }

    /// A whole number from 0 to `max`, with pydantic's leniency.
    pub(super) fn whole(&mut self, key: &str, node: &Node, max: u64) -> Option<u64> {
        let value = self.integer(key, node)?;
        if !(0.0..=max as f64).contains(&value) {
            self.say(node.span, ProblemKind::OutOfRange { key: key.into(), value, max });
            return None;
        }
        Some(value as u64)
    }

    fn integer(&mut self, key: &str, node: &Node) -> Option<f64> {
        let number = match &node.data {
            Data::Scalar(Scalar::Flag(flag)) => {
                self.say(node.span, ProblemKind::FlagForNumber { parameter: key.into(), flag: *flag });
                Some(f64::from(u8::from(*flag)))
            }
            Data::Scalar(Scalar::Number(number)) => Some(*number).filter(|number| number.fract() == 0.0),
            Data::Scalar(Scalar::Text(text)) => scalar::whole_of(text),
            _ => None,
        };
        if number.is_none() {
            self.shape(Some(key), node, Expected::Whole);
        }
        number
    }

    fn method<'m>(&mut self, name: &str, span: Span, methods: &'m [MethodInfo]) -> Option<&'m MethodInfo> {
        let known = methods.iter().find(|method| method.id == name);
        if known.is_none() {
            let suggestion = suggest(name.trim(), methods.iter().map(|method| method.id));
            let kind = ProblemKind::UnknownMethod { name: name.into(), suggestion: suggestion.map(str::to_owned) };
            let fix = suggestion.map(|suggestion| fixes::replace(span, suggestion));
            self.problems.push(Problem::new(span, kind).with(fix));
        }
        known
    }

    fn base(&mut self) -> Option<(String, Span)> {
        let pair = self.root.get("base_model").filter(|pair| !pair.value.is_null())?;
        Some((self.model_name("base_model", &pair.value)?, pair.value.span))
    }

    fn dtype(&mut self, map: &Map, key: &str) -> Option<FloatName> {
        let pair = map.get(key).filter(|pair| !pair.value.is_null() && pair.value.text() != Some(""))?;
        let name = self.text(key, &pair.value)?;
        let plain = name.strip_prefix("torch.").unwrap_or(&name);
        let known = FloatName::ALL.into_iter().find(|float| float.name() == plain);
        if known.is_none() {
            if plain == "int64" {
                self.say(pair.value.span, ProblemKind::IntegerDtype { name });
            } else {
                let names = FloatName::ALL.map(FloatName::name);
                let suggestion = words::intended_dtype(&name).or_else(|| suggest(plain, names));
                let kind = ProblemKind::UnknownDtype { name, suggestion: suggestion.map(str::to_owned) };
                let fix = suggestion.map(|suggestion| fixes::replace(pair.value.span, suggestion));
                self.problems.push(Problem::new(pair.value.span, kind).with(fix));
            }
        }
        known
    }
}
