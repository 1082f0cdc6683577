//! The linter: text → a recipe, or what keeps it from being one.
//!
//! What mergekit fails on is an error; what it ignores without a word, or what has no effect, is a warning. It knows
//! mergekit's whole language, so that what is still to come is refused by name.

mod fixes;
mod parameters;
pub(super) mod words;

use std::collections::BTreeMap;

use super::describe::{BaseUse, DefaultValue, MethodInfo, Scope};
use super::problem::{Expected, Feature, FixKind, Found, Place, Problem, ProblemKind, Severity};
use super::reader::{self, Data, Map, Node, Pair};
use super::scalar::Scalar;
use super::setting::{Setting, Settings, Value};
use super::span::{Lines, Span};
use super::suggest::suggest;
use super::write::plain_or_quoted;
use super::{FloatName, ModelEntry, Recipe};
use parameters::Parameters;

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
    let (root, problems) = reader::read(text);
    let lines = Lines::new(text);
    let mut checker = Checker { lines: &lines, methods, problems };
    let recipe = root.and_then(|root| checker.recipe(&root));
    let mut problems = checker.problems;
    problems.sort_by_key(Problem::span);
    // What an alias repeats is said once.
    problems.dedup_by(|a, b| a.span == b.span && a.kind == b.kind);
    (recipe, problems)
}

struct Checker<'a> {
    lines: &'a Lines<'a>,
    methods: &'a [MethodInfo],
    problems: Vec<Problem>,
}

/// A model of the recipe, and where its name stands.
struct Model<'n> {
    name: String,
    span: Span,
    parameters: Option<Parameters<'n>>,
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
        let Data::Map(map) = &root.data else {
            self.shape(None, &Node { span: root.span.start(), ..root.clone() }, Expected::Mapping);
            return None;
        };
        self.top_keys(map);
        let method_name = self.required_text(map, root, "merge_method");
        let methods = self.methods;
        let method = method_name.as_ref().and_then(|(name, span)| self.method(name, *span, methods));
        let models = self.models(map, root, method);
        let base = self.base(map);
        let shared =
            map.get("parameters").and_then(|pair| self.parameters(&pair.value, Place::Parameters, map, method));
        if let (Some(method), Some((_, method_span)), Some(models)) = (method, &method_name, &models) {
            self.together(map, method, *method_span, models, base.as_ref(), shared.as_ref());
        }
        let dtype = self.dtype(map, "dtype");
        let out_dtype = self.dtype(map, "out_dtype");
        let settings = |parameters: Option<Parameters<'_>>| parameters.map_or_else(Settings::new, |own| own.settings);
        Some(Recipe {
            merge_method: method_name?.0,
            base_model: base.map(|(name, _)| name),
            models: models?
                .into_iter()
                .map(|model| ModelEntry { model: model.name, parameters: settings(model.parameters) })
                .collect(),
            parameters: settings(shared),
            dtype,
            out_dtype,
            ..Recipe::default()
        })
    }

    /// Keys that the language lacks, that stand in the wrong place, or whose feature is still to come.
    fn top_keys(&mut self, map: &Map) {
        for pair in &map.pairs {
            let Some(key) = pair.key.text().filter(|key| words::TOP.contains(key)) else {
                self.stray_key(pair, map, map, Place::Top);
                continue;
            };
            let feature = match key {
                "slices" => Feature::Slices,
                "modules" => Feature::Modules,
                "tokenizer" => Feature::Tokenizer,
                "tokenizer_source" => Feature::TokenizerSource,
                "chat_template" => Feature::ChatTemplate,
                _ => continue,
            };
            // An empty `tokenizer` means a union; the others say nothing when they are empty.
            let says_nothing = if key == "tokenizer" { pair.value.is_null() } else { pair.value.is_empty() };
            if !says_nothing {
                self.say(pair.key.span, ProblemKind::NotSupported { feature });
            }
        }
    }

    /// A key that means nothing in `map`, at `place`: it belongs elsewhere, is misspelt, or neither.
    fn stray_key(&mut self, pair: &Pair, map: &Map, root: &Map, place: Place) {
        let Some(key) = pair.key.text() else {
            let key = self.lines.slice(pair.key.span).to_owned();
            self.say(pair.key.span, ProblemKind::UnknownKey { key, place, suggestion: None });
            return;
        };
        let here: &[&str] = match place {
            Place::Top => &words::TOP,
            Place::Filter => &words::FILTER,
            _ => &words::MODEL,
        };
        let is_parameter = self.methods.iter().any(|method| method.parameter(key).is_some());
        let (belongs, fix) = match place {
            Place::Top if is_parameter => {
                (Some(Place::Parameters), fixes::move_to_parameters(self.lines, pair, map, Place::Parameters))
            }
            Place::Model if is_parameter => {
                let shared = self.methods.iter().filter_map(|method| method.parameter(key));
                if shared.clone().all(|parameter| parameter.scope == Scope::Shared) {
                    (Some(Place::Parameters), fixes::move_to_parameters(self.lines, pair, root, Place::Parameters))
                } else {
                    let to = Place::ModelParameters;
                    (Some(to), fixes::move_to_parameters(self.lines, pair, map, to))
                }
            }
            Place::Model if words::TOP.contains(&key) => (Some(Place::Top), fixes::move_to_top(self.lines, pair, root)),
            _ => (None, None),
        };
        if let Some(belongs) = belongs {
            let kind = ProblemKind::Misplaced { key: key.into(), belongs };
            self.problems.push(Problem::new(pair.key.span, kind).with(fix));
            return;
        }
        let suggestion = suggest(key, here.iter().copied()).filter(|suggestion| map.get(suggestion).is_none());
        let kind = ProblemKind::UnknownKey { key: key.into(), place, suggestion: suggestion.map(str::to_owned) };
        let fix = suggestion.map(|suggestion| fixes::replace(pair.key.span, suggestion));
        self.problems.push(Problem::new(pair.key.span, kind).with(fix));
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

    fn models<'n>(&mut self, map: &'n Map, root: &Node, method: Option<&MethodInfo>) -> Option<Vec<Model<'n>>> {
        let Some(pair) = map.get("models") else {
            let elsewhere = ["slices", "modules"].iter().any(|key| map.get(key).is_some());
            if !elsewhere {
                self.say(root.span.start(), ProblemKind::MissingKey { key: "models".into() });
            }
            return None;
        };
        let Data::List(items) = &pair.value.data else {
            self.shape(Some("models"), &pair.value, Expected::List);
            return None;
        };
        if items.is_empty() {
            self.say(pair.value.span, ProblemKind::NoModels);
            return None;
        }
        let mut models: Vec<Model<'n>> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut complete = true;
        for item in items {
            let Some(model) = self.model(item, map, method) else {
                complete = false;
                continue;
            };
            if let Some(first) = lines.insert(model.name.clone(), model.span.line) {
                self.say(model.span, ProblemKind::DuplicateModel { name: model.name.clone(), first });
                complete = false;
            }
            models.push(model);
        }
        complete.then_some(models)
    }

    fn model<'n>(&mut self, item: &'n Node, root: &Map, method: Option<&MethodInfo>) -> Option<Model<'n>> {
        let Data::Map(map) = &item.data else {
            self.shape(None, item, Expected::Model);
            return None;
        };
        for pair in &map.pairs {
            if !pair.key.text().is_some_and(|key| words::MODEL.contains(&key)) {
                self.stray_key(pair, map, root, Place::Model);
            }
        }
        let parameters =
            map.get("parameters").and_then(|pair| self.parameters(&pair.value, Place::ModelParameters, root, method));
        let Some(pair) = map.get("model") else {
            self.say(item.span.start(), ProblemKind::MissingKey { key: "model".into() });
            return None;
        };
        let name = self.model_name("model", &pair.value)?;
        Some(Model { name, span: pair.value.span, parameters })
    }

    fn model_name(&mut self, key: &str, node: &Node) -> Option<String> {
        if let Data::Map(_) = node.data {
            self.say(node.span, ProblemKind::NotSupported { feature: Feature::ModelMapping });
            return None;
        }
        let name = self.text(key, node)?;
        let count = |sign| name.matches(sign).count();
        let kind =
            if name.trim().is_empty() || count('+') > 1 || name.split('+').any(|part| part.matches('@').count() > 1) {
                ProblemKind::ModelName { name }
            } else if count('+') == 1 {
                ProblemKind::NotSupported { feature: Feature::Lora }
            } else {
                return Some(name);
            };
        self.say(node.span, kind);
        None
    }

    fn base(&mut self, map: &Map) -> Option<(String, Span)> {
        let pair = map.get("base_model").filter(|pair| !pair.value.is_null())?;
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

    /// What concerns models, base and parameters at once.
    fn together(
        &mut self,
        map: &Map,
        method: &MethodInfo,
        method_span: Span,
        models: &[Model<'_>],
        base: Option<&(String, Span)>,
        shared: Option<&Parameters<'_>>,
    ) {
        let listed = |name: &str| models.iter().any(|model| model.name == name);
        let unlisted_base = base.filter(|(name, _)| !listed(name));
        let base_key = map.get("base_model");
        if base.is_none() && method.base == BaseUse::Required {
            // A base that was given, but badly, has its own problem.
            if base_key.is_none_or(|pair| pair.value.is_null()) {
                let fix = base_key.is_none().then(|| {
                    let model = &models[0].name;
                    let kind = FixKind::SetBase { model: model.clone() };
                    fixes::append(self.lines, map, "base_model", &plain_or_quoted(model), kind)
                });
                let kind = ProblemKind::MissingBase { method: method.id.into() };
                self.problems.push(Problem::new(method_span, kind).with(fix.flatten()));
            }
            return;
        }
        let base_apart = usize::from(method.has_base() && base.is_some());
        let inputs = models.len() + usize::from(unlisted_base.is_some()) - base_apart;
        let (min, max) = method.models;
        if inputs < min || max.is_some_and(|max| inputs > max) {
            let kind = ProblemKind::ModelCount { method: method.id.into(), found: inputs, min, max };
            self.say(map.get("models").map_or(method_span, |pair| pair.key.span), kind);
        }
        self.required(method, method_span, models, base, shared);
        if let (BaseUse::Ordinary, Some((name, span))) = (method.base, unlisted_base) {
            let lacking = method.parameters.iter().find(|parameter| {
                parameter.scope != Scope::Shared
                    && parameter.default == DefaultValue::Required
                    && !shared.is_some_and(|shared| shared.gives(parameter.name))
            });
            if let Some(parameter) = lacking {
                let kind = ProblemKind::BaseIsInput {
                    method: method.id.into(),
                    base: name.clone(),
                    parameter: parameter.name.into(),
                };
                let fix = base_key.and_then(|pair| fixes::remove(self.lines, pair));
                self.problems.push(Problem::new(*span, kind).with(fix));
            }
        }
        if method.has_base()
            && let Some((base, _)) = base
        {
            self.base_parameters(method, models, base);
        }
        self.densities(method, models, base, shared);
        self.zero_weights(method, models, unlisted_base.is_some(), shared);
    }

    /// Parameters without which the method cannot run.
    fn required(
        &mut self,
        method: &MethodInfo,
        method_span: Span,
        models: &[Model<'_>],
        base: Option<&(String, Span)>,
        shared: Option<&Parameters<'_>>,
    ) {
        for parameter in method.parameters.iter().filter(|parameter| parameter.default == DefaultValue::Required) {
            if shared.is_some_and(|shared| shared.gives(parameter.name)) {
                continue;
            }
            let missing = |model: Option<&String>| ProblemKind::MissingParameter {
                method: method.id.into(),
                parameter: parameter.name.into(),
                model: model.cloned(),
            };
            if parameter.scope == Scope::Shared {
                self.say(method_span, missing(None));
                continue;
            }
            for model in models {
                let exempt = parameter.scope == Scope::NonBase && base.is_some_and(|(base, _)| *base == model.name);
                let given = model.parameters.as_ref().is_some_and(|own| own.gives(parameter.name));
                if !exempt && !given {
                    self.say(model.span, missing(Some(&model.name)));
                }
            }
        }
    }

    fn base_parameters(&mut self, method: &MethodInfo, models: &[Model<'_>], base: &str) {
        let Some(own) = models.iter().find(|model| model.name == base).and_then(|model| model.parameters.as_ref())
        else {
            return;
        };
        for pair in own.pairs {
            let Some(key) = pair.key.text() else { continue };
            if method.parameter(key).is_some_and(|parameter| parameter.scope == Scope::NonBase) {
                let kind = ProblemKind::BaseParameter { base: base.into(), parameter: key.into() };
                let fix = fixes::remove(self.lines, pair);
                self.problems.push(Problem::new(pair.key.span, kind).with(fix));
            }
        }
    }

    /// Densities that are written, and all 1.
    fn densities(
        &mut self,
        method: &MethodInfo,
        models: &[Model<'_>],
        base: Option<&(String, Span)>,
        shared: Option<&Parameters<'_>>,
    ) {
        if method.parameter("density").is_none() || method.is_idle("density") {
            return;
        }
        let mut place = None;
        for model in models.iter().filter(|model| base.is_none_or(|(base, _)| *base != model.name)) {
            let own = model.parameters.as_ref().filter(|own| own.gives("density")).or(shared);
            let pair = own.and_then(|own| own.pair("density"));
            let setting = own.and_then(|own| own.settings.get("density"));
            match (pair, setting) {
                (Some(pair), Some(Setting::Scalar(Value::Number(1.0)))) => place = place.or(Some(pair.value.span)),
                _ => return,
            }
        }
        if let Some(span) = place {
            self.say(span, ProblemKind::DensityKeepsAll { method: method.id.into() });
        }
    }

    /// Weights whose sum is the divisor, and zero. Only plain numbers are added up here; the plan knows the others.
    fn zero_weights(
        &mut self,
        method: &MethodInfo,
        models: &[Model<'_>],
        base_joins: bool,
        shared: Option<&Parameters<'_>>,
    ) {
        let Some(normalize) = method.parameter("normalize").filter(|_| method.base == BaseUse::Ordinary) else {
            return;
        };
        let written = shared.and_then(|shared| shared.settings.get("normalize"));
        let divides = match written {
            None => normalize.default == DefaultValue::Flag(true),
            Some(setting) => *setting == Setting::Scalar(Value::Flag(true)),
        };
        let weight = |own: Option<&Parameters<'_>>| {
            let own = own.filter(|own| own.gives("weight")).or(shared);
            match own.and_then(|own| own.settings.get("weight")) {
                Some(Setting::Scalar(Value::Number(number))) => Some(*number),
                _ => None,
            }
        };
        let weights: Option<Vec<f64>> = models
            .iter()
            .map(|model| model.parameters.as_ref())
            .chain(base_joins.then_some(None))
            .map(weight)
            .collect();
        if divides && weights.is_some_and(|weights| weights.iter().sum::<f64>() == 0.0) {
            let first = models.first().and_then(|model| model.parameters.as_ref()).filter(|own| own.gives("weight"));
            let place = first.or(shared).and_then(|own| own.pair("weight"));
            if let Some(pair) = place {
                self.say(pair.value.span, ProblemKind::ZeroWeights { method: method.id.into() });
            }
        }
    }
}
