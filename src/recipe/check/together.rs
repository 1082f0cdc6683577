//! What concerns models, base and parameters at once: in each list of models, and in each slice.

use super::super::describe::{BaseUse, DefaultValue, MethodInfo, Scope};
use super::super::problem::{FixKind, Problem, ProblemKind};
use super::super::setting::{Setting, Value};
use super::super::span::Span;
use super::super::write::plain_or_quoted;
use super::parameters::Parameters;
use super::parts::{Group, Model, Part};
use super::{Checker, fixes};

/// The recipe around the groups.
pub(super) struct Around<'p, 'n> {
    pub(super) method: &'p MethodInfo,
    /// Where `merge_method` has its value.
    pub(super) method_span: Span,
    pub(super) base: Option<&'p (String, Span)>,
    pub(super) shared: Option<&'p Parameters<'n>>,
}

/// A group with what counts in it.
struct View<'p, 'n> {
    method: &'p MethodInfo,
    group: &'p Group<'n>,
    base: Option<&'p str>,
    /// The settings for all of its models, what counts first first.
    scopes: Vec<&'p Parameters<'n>>,
    /// No tensor comes from it: a slice of no layers, neither the first nor the last.
    idle: bool,
}

impl<'p, 'n> View<'p, 'n> {
    /// The settings that a parameter of a model is taken from; without a model, one of all.
    fn gives(&self, own: Option<&'p Parameters<'n>>, parameter: &str) -> Option<&'p Parameters<'n>> {
        own.into_iter().chain(self.scopes.iter().copied()).find(|settings| settings.gives(parameter))
    }

    fn lists(&self, name: &str) -> bool {
        self.group.models.iter().any(|model| model.name == name)
    }

    /// A base that mergekit adds to the models: it is none of them. Slices get none.
    fn joining(&self) -> Option<&'p str> {
        self.base.filter(|base| self.group.slice.is_none() && !self.lists(base))
    }

    fn lacks(&self, parameter: &str) -> bool {
        !self.idle && self.gives(None, parameter).is_none()
    }
}

impl Checker<'_> {
    pub(super) fn together(&mut self, around: &Around<'_, '_>, parts: &[Part<'_>]) {
        let method = around.method;
        let mut views = Vec::new();
        for part in parts {
            for (at, group) in part.groups.iter().enumerate() {
                let slice = group.slice.as_ref();
                let own = slice.and_then(|slice| slice.parameters.as_ref());
                let scopes = own.into_iter().chain(part.parameters.as_ref()).chain(around.shared).collect();
                let base = slice.and_then(|slice| slice.base.as_ref()).map(|(base, _)| base.as_str());
                let base = base.or(around.base.map(|(base, _)| base.as_str()));
                let inside = at > 0 && at + 1 < part.groups.len();
                let idle = inside && slice.is_some_and(|slice| slice.layers == 0);
                views.push(View { method, group, base, scopes, idle });
            }
        }
        if self.missing_bases(around, &views) {
            return;
        }
        self.shared_parameters(around, &views);
        for view in &views {
            self.count(view);
            self.required(around, view);
            self.bases(view);
            self.densities(view);
            self.zero_weights(view);
        }
    }

    /// Whether a base is missing.
    fn missing_bases(&mut self, around: &Around<'_, '_>, views: &[View<'_, '_>]) -> bool {
        let method = around.method;
        let lacking = || views.iter().filter(|view| method.base == BaseUse::Required && view.base.is_none());
        if lacking().next().is_none() {
            return false;
        }
        let written = self.root.get("base_model");
        // A base that was given, but badly, has its own problem.
        if written.is_some_and(|pair| !pair.value.is_null()) {
            return true;
        }
        let kind = ProblemKind::MissingBase { method: method.id.into() };
        if lacking().count() < views.len() {
            for view in lacking() {
                self.say(view.group.span, kind.clone());
            }
            return true;
        }
        // A base has to be among the sources of every slice.
        let first = views.first().and_then(|view| view.group.models.first()).map(|model| &model.name);
        let first = first.filter(|name| views.iter().all(|view| view.group.slice.is_none() || view.lists(name)));
        let fix = first.filter(|_| written.is_none()).and_then(|model| {
            let kind = FixKind::SetBase { model: model.clone() };
            fixes::append(self.lines, self.root, "base_model", &plain_or_quoted(model), kind)
        });
        self.problems.push(Problem::new(around.method_span, kind).with(fix));
        true
    }

    fn count(&mut self, view: &View<'_, '_>) {
        let method = view.method;
        let base_apart =
            view.base.is_some_and(|base| method.has_base() && (view.group.slice.is_none() || view.lists(base)));
        let inputs = view.group.models.len() + usize::from(view.joining().is_some()) - usize::from(base_apart);
        let (min, max) = method.models;
        if inputs < min || max.is_some_and(|max| inputs > max) {
            let kind = ProblemKind::ModelCount { method: method.id.into(), found: inputs, min, max };
            self.say(view.group.span, kind);
        }
    }

    /// Parameters for all models, without which the method cannot run.
    fn shared_parameters(&mut self, around: &Around<'_, '_>, views: &[View<'_, '_>]) {
        let required = around.method.parameters.iter().filter(|parameter| parameter.default == DefaultValue::Required);
        for parameter in required.filter(|parameter| parameter.scope == Scope::Shared) {
            let kind = ProblemKind::MissingParameter {
                method: around.method.id.into(),
                parameter: parameter.name.into(),
                model: None,
            };
            let lacking = || views.iter().filter(|view| view.lacks(parameter.name));
            if lacking().count() == views.len() {
                self.say(around.method_span, kind);
                continue;
            }
            for view in lacking() {
                self.say(view.group.span, kind.clone());
            }
        }
    }

    /// Parameters of the models' own, without which the method cannot run.
    fn required(&mut self, around: &Around<'_, '_>, view: &View<'_, '_>) {
        let method = view.method;
        let required = method.parameters.iter().filter(|parameter| parameter.default == DefaultValue::Required);
        for parameter in required.filter(|parameter| parameter.scope != Scope::Shared && view.lacks(parameter.name)) {
            for model in &view.group.models {
                let exempt = parameter.scope == Scope::NonBase && view.base == Some(&model.name);
                if !exempt && view.gives(model.parameters.as_ref(), parameter.name).is_none() {
                    let kind = ProblemKind::MissingParameter {
                        method: method.id.into(),
                        parameter: parameter.name.into(),
                        model: Some(model.name.clone()),
                    };
                    self.say(model.span, kind);
                }
            }
            if let (BaseUse::Ordinary, Some(base), Some((_, span))) = (method.base, view.joining(), around.base) {
                let kind = ProblemKind::BaseIsInput {
                    method: method.id.into(),
                    base: base.into(),
                    parameter: parameter.name.into(),
                };
                let fix = self.root.get("base_model").and_then(|pair| fixes::remove(self.lines, pair));
                self.problems.push(Problem::new(*span, kind).with(fix));
            }
        }
    }

    /// Whether the base is where it has to be, and what it says for nothing.
    fn bases(&mut self, view: &View<'_, '_>) {
        let method = view.method;
        let own = view.group.slice.as_ref().and_then(|slice| slice.base.as_ref());
        if !method.has_base() {
            if let Some((_, pair)) = own {
                let kind = ProblemKind::SliceBase { method: method.id.into() };
                let fix = fixes::remove(self.lines, pair);
                self.problems.push(Problem::new(pair.key.span, kind).with(fix));
            }
            return;
        }
        let Some(base) = view.base else { return };
        if view.group.slice.is_some() && !view.lists(base) {
            let span = own.map_or(view.group.span, |(_, pair)| pair.value.span);
            self.say(span, ProblemKind::BaseNotInSlice { base: base.into() });
        }
        let listed = view.group.models.iter().find(|model| model.name == base);
        let Some(own) = listed.and_then(|model| model.parameters.as_ref()) else { return };
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
    fn densities(&mut self, view: &View<'_, '_>) {
        let method = view.method;
        if method.parameter("density").is_none() || method.is_idle("density") {
            return;
        }
        let mut place = None;
        for model in view.group.models.iter().filter(|model| view.base != Some(&model.name)) {
            let given = view.gives(model.parameters.as_ref(), "density");
            let pair = given.and_then(|given| given.pair("density"));
            match (pair, given.and_then(|given| given.settings.get("density"))) {
                (Some(pair), Some(Setting::Scalar(Value::Number(1.0)))) => place = place.or(Some(pair.value.span)),
                _ => return,
            }
        }
        if let Some(span) = place {
            self.say(span, ProblemKind::DensityKeepsAll { method: method.id.into() });
        }
    }

    /// Weights whose sum is the divisor, and zero. Only plain numbers are added up here; the plan knows the others.
    fn zero_weights(&mut self, view: &View<'_, '_>) {
        let method = view.method;
        let Some(normalize) = method.parameter("normalize").filter(|_| method.base == BaseUse::Ordinary) else {
            return;
        };
        let written = view.gives(None, "normalize").and_then(|given| given.settings.get("normalize"));
        let divides = match written {
            None => normalize.default == DefaultValue::Flag(true),
            Some(setting) => *setting == Setting::Scalar(Value::Flag(true)),
        };
        let weight = |own| match view.gives(own, "weight").and_then(|given| given.settings.get("weight")) {
            Some(Setting::Scalar(Value::Number(number))) => Some(*number),
            _ => None,
        };
        let own = view.group.models.iter().map(|model: &Model<'_>| model.parameters.as_ref());
        let weights: Option<Vec<f64>> = own.chain(view.joining().map(|_| None)).map(weight).collect();
        if divides && !view.idle && weights.is_some_and(|weights| weights.iter().sum::<f64>() == 0.0) {
            let first = view.group.models.first().and_then(|model| model.parameters.as_ref());
            if let Some(pair) = view.gives(first, "weight").and_then(|given| given.pair("weight")) {
                self.say(pair.value.span, ProblemKind::ZeroWeights { method: method.id.into() });
            }
        }
    }
}
