//! `models`, `slices` and `modules`: what is merged, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use super::super::problem::{Expected, Place, Problem, ProblemKind};
use super::super::reader::{Data, Map, Node, Pair};
use super::super::scalar::{Scalar, number_of};
use super::super::span::Span;
use super::parameters::{Owner, Parameters};
use super::{Checker, fixes, found};
use crate::recipe::{MethodInfo, ModelEntry, Module, Settings, Slice, SliceSource};

/// Most layers of a result, and the highest number of one: a hundred times what the deepest model has.
pub(super) const MAX_LAYERS: u64 = 100_000;

/// A model of a list, and where its name stands.
pub(super) struct Model<'n> {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) parameters: Option<Parameters<'n>>,
    /// In a slice: `layer_range`.
    layers: (u64, u64),
}

/// Models that are merged with each other: a list of `models`, or a slice's `sources`.
pub(super) struct Group<'n> {
    /// The key of the list.
    pub(super) span: Span,
    pub(super) models: Vec<Model<'n>>,
    pub(super) slice: Option<OfSlice<'n>>,
}

/// What only a slice has.
pub(super) struct OfSlice<'n> {
    pub(super) base: Option<(String, &'n Pair)>,
    pub(super) parameters: Option<Parameters<'n>>,
    /// How many layers it adds.
    pub(super) layers: u64,
}

/// What is merged by itself: the recipe's models or slices, or a module's.
pub(super) struct Part<'n> {
    pub(super) name: Option<String>,
    pub(super) groups: Vec<Group<'n>>,
    pub(super) parameters: Option<Parameters<'n>>,
}

/// What the parts are in a recipe.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) models: Vec<ModelEntry>,
    pub(super) slices: Vec<Slice>,
    pub(super) modules: Vec<Module>,
}

pub(super) fn settings(parameters: Option<Parameters<'_>>) -> Settings {
    parameters.map_or_else(Settings::new, |own| own.settings)
}

/// Every model that is merged.
pub(super) fn names(parts: &[Part<'_>], base: Option<&String>) -> BTreeSet<String> {
    let groups = parts.iter().flat_map(|part| &part.groups);
    // Not collected: that would be sorted first, by code of its own for this type.
    let mut names = BTreeSet::new();
    names.extend(groups.flat_map(|group| &group.models).map(|model| &model.name).chain(base).cloned());
    names
}

impl Merged {
    pub(super) fn of(parts: Vec<Part<'_>>) -> Self {
        let mut merged = Self::default();
        for part in parts {
            let (mut models, mut slices) = (Vec::new(), Vec::new());
            for group in part.groups {
                let Some(slice) = group.slice else {
                    let entry =
                        |model: Model<'_>| ModelEntry { model: model.name, parameters: settings(model.parameters) };
                    models = group.models.into_iter().map(entry).collect();
                    continue;
                };
                let source = |model: Model<'_>| SliceSource {
                    model: model.name,
                    layers: model.layers,
                    parameters: settings(model.parameters),
                };
                slices.push(Slice {
                    sources: group.models.into_iter().map(source).collect(),
                    base_model: slice.base.map(|(name, _)| name),
                    parameters: settings(slice.parameters),
                });
            }
            if let Some(name) = part.name {
                merged.modules.push(Module { name, models, slices, parameters: settings(part.parameters) });
            } else {
                (merged.models, merged.slices) = (models, slices);
            }
        }
        merged
    }
}

impl<'a> Checker<'a> {
    /// What the recipe merges. None where part of it could not be read.
    pub(super) fn parts(&mut self, root: &Node, method: Option<&MethodInfo>) -> Option<Vec<Part<'a>>> {
        let map = self.root;
        let lists = self.lists(map);
        let mut modules = None;
        if let Some(pair) = map.get("modules").filter(|pair| !pair.value.is_null()) {
            match &pair.value.data {
                Data::Map(found) if found.pairs.is_empty() => {}
                Data::Map(found) => modules = Some((pair, found)),
                _ => self.shape(Some("modules"), &pair.value, Expected::Mapping),
            }
        }
        let Some((pair, modules)) = modules else {
            if lists.is_empty() {
                self.nothing_merged(map, root.span.start());
                return None;
            }
            let groups = self.groups(&lists, method)?;
            return Some(vec![Part { name: None, groups, parameters: None }]);
        };
        let mut parts = Some(Vec::new());
        for module in &modules.pairs {
            let part = self.module(module, method);
            parts = parts.zip(part).map(|(mut parts, part)| {
                parts.push(part);
                parts
            });
        }
        let Some((first, _)) = lists.first() else { return parts };
        self.exclusive(first, pair);
        // What cannot stand beside the modules has problems of its own.
        self.groups(&lists, method);
        None
    }

    fn module(&mut self, pair: &'a Pair, method: Option<&MethodInfo>) -> Option<Part<'a>> {
        let name = pair.key.text().map(str::to_owned);
        if name.is_none() {
            self.key_not_text(pair);
        }
        let Data::Map(map) = &pair.value.data else {
            self.shape(name.as_deref(), &pair.value, Expected::Mapping);
            return None;
        };
        self.stray_keys(map, Place::Module, None);
        let parameters = self.parameters_of(
            map,
            Owner { place: Place::ModuleParameters, shared: (map, Place::ModuleParameters) },
            method,
        );
        let lists = self.lists(map);
        if lists.is_empty() {
            self.nothing_merged(map, pair.key.span);
            return None;
        }
        let groups = self.groups(&lists, method)?;
        Some(Part { name: Some(name?), groups, parameters })
    }

    /// The lists that say something: `models`, `slices`, or (an error) both.
    fn lists(&mut self, map: &'a Map) -> Vec<(&'a Pair, &'a [Node])> {
        let mut lists = Vec::new();
        for key in ["models", "slices"] {
            let Some(pair) = map.get(key).filter(|pair| !pair.value.is_null()) else { continue };
            match &pair.value.data {
                Data::List(items) if items.is_empty() => {}
                Data::List(items) => lists.push((pair, items.as_slice())),
                _ => self.shape(Some(key), &pair.value, Expected::List),
            }
        }
        if let [(first, _), (second, _)] = lists.as_slice() {
            self.exclusive(first, second);
        }
        lists
    }

    fn exclusive(&mut self, first: &Pair, second: &Pair) {
        let (Some(one), Some(other)) = (first.key.text(), second.key.text()) else { return };
        let kind = ProblemKind::Exclusive { first: one.into(), second: other.into() };
        self.say(second.key.span, kind);
    }

    /// There is no list, or only empty ones. One of the wrong shape has its own problem.
    fn nothing_merged(&mut self, map: &Map, span: Span) {
        let given: Vec<_> =
            ["models", "slices", "modules"].into_iter().filter_map(|key| Some((key, map.get(key)?))).collect();
        let sound = |(key, pair): &(&str, &Pair)| match pair.value.data {
            Data::List(_) => *key != "modules",
            Data::Map(_) => *key == "modules",
            Data::Scalar(_) => pair.value.is_null(),
        };
        match given.first() {
            None => self.say(span, ProblemKind::MissingKey { key: "models".into() }),
            Some((key, pair)) if given.iter().all(sound) => {
                self.say(pair.value.span, ProblemKind::NoEntries { key: (*key).into() });
            }
            Some(_) => {}
        }
    }

    fn groups(&mut self, lists: &[(&'a Pair, &'a [Node])], method: Option<&MethodInfo>) -> Option<Vec<Group<'a>>> {
        let mut groups = (lists.len() == 1).then(Vec::new);
        for (pair, items) in lists {
            if pair.key.text() == Some("models") {
                let models = self.models(
                    items,
                    Owner { place: Place::ModelParameters, shared: (self.root, Place::Parameters) },
                    method,
                );
                let group = models.map(|models| Group { span: pair.key.span, models, slice: None });
                groups = groups.zip(group).map(|(_, group)| vec![group]);
                continue;
            }
            let mut layers = 0;
            for item in *items {
                let slice = self.slice(item, method);
                layers += slice.as_ref().and_then(|group| group.slice.as_ref()).map_or(0, |slice| slice.layers);
                groups = groups.zip(slice).map(|(mut groups, slice)| {
                    groups.push(slice);
                    groups
                });
            }
            if layers > MAX_LAYERS {
                self.say(pair.key.span, ProblemKind::TooManyLayers { limit: MAX_LAYERS });
            }
        }
        groups
    }

    /// The entries of `models`, or those of a slice's `sources`.
    fn models(&mut self, items: &'a [Node], owner: Owner<'a>, method: Option<&MethodInfo>) -> Option<Vec<Model<'a>>> {
        let mut models: Vec<Model<'a>> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut complete = true;
        for item in items {
            let Some(model) = self.model(item, owner, method) else {
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

    fn model(&mut self, item: &'a Node, owner: Owner<'a>, method: Option<&MethodInfo>) -> Option<Model<'a>> {
        let Data::Map(map) = &item.data else {
            self.shape(None, item, Expected::Model);
            return None;
        };
        let slice = (owner.shared.1 == Place::SliceParameters).then_some(owner.shared.0);
        self.stray_keys(map, if slice.is_some() { Place::Source } else { Place::Model }, slice);
        let parameters = self.parameters_of(map, owner, method);
        let layers = match map.get("layer_range") {
            _ if slice.is_none() => Some((0, 0)),
            Some(pair) => self.layers(&pair.value),
            None => {
                self.say(item.span.start(), ProblemKind::MissingKey { key: "layer_range".into() });
                None
            }
        };
        let Some(pair) = map.get("model") else {
            self.say(item.span.start(), ProblemKind::MissingKey { key: "model".into() });
            return None;
        };
        let name = self.model_name("model", &pair.value)?;
        Some(Model { name, span: pair.value.span, parameters, layers: layers? })
    }

    fn layers(&mut self, node: &Node) -> Option<(u64, u64)> {
        let Data::List(items) = &node.data else {
            self.shape(Some("layer_range"), node, Expected::Layers);
            return None;
        };
        let [first, end] = items.as_slice() else {
            self.shape(Some("layer_range"), node, Expected::Layers);
            return None;
        };
        let (first, end) = (self.whole("layer_range", first, MAX_LAYERS), self.whole("layer_range", end, MAX_LAYERS));
        first.zip(end)
    }

    fn slice(&mut self, item: &'a Node, method: Option<&MethodInfo>) -> Option<Group<'a>> {
        let Data::Map(map) = &item.data else {
            self.shape(None, item, Expected::Slice);
            return None;
        };
        self.stray_keys(map, Place::Slice, None);
        let place = (map, Place::SliceParameters);
        let parameters = self.parameters_of(map, Owner { place: Place::SliceParameters, shared: place }, method);
        let base = map.get("base_model").filter(|pair| !pair.value.is_null());
        let base = base.map(|pair| Some((self.model_name("base_model", &pair.value)?, pair)));
        self.residual_weight(map);
        let Some(pair) = map.get("sources") else {
            self.say(item.span.start(), ProblemKind::MissingKey { key: "sources".into() });
            return None;
        };
        let Data::List(items) = &pair.value.data else {
            self.shape(Some("sources"), &pair.value, Expected::List);
            return None;
        };
        if items.is_empty() {
            self.say(pair.value.span, ProblemKind::NoEntries { key: "sources".into() });
            return None;
        }
        let models = self.models(items, Owner { place: Place::ModelParameters, shared: place }, method)?;
        let layers = self.lengths(items, &models)?;
        let base = base.map_or(Some(None), |base| base.map(Some))?;
        Some(Group { span: pair.key.span, models, slice: Some(OfSlice { base, parameters, layers }) })
    }

    /// How many layers all sources of a slice have.
    fn lengths(&mut self, items: &[Node], models: &[Model<'_>]) -> Option<u64> {
        let length = |model: &Model<'_>| model.layers.1 as i64 - model.layers.0 as i64;
        let wanted = length(models.first()?);
        let place = |item: &Node| match &item.data {
            Data::Map(map) => map.get("layer_range").map(|pair| pair.value.span),
            _ => None,
        };
        let line = items.first().and_then(place)?.line;
        let mut same = true;
        for (at, (item, model)) in items.iter().zip(models).enumerate() {
            let Some(span) = place(item) else { continue };
            let (first, end) = model.layers;
            if length(model) != wanted {
                self.say(span, ProblemKind::SliceLengths { found: length(model), wanted, line });
                same = false;
            } else if at == 0 && end <= first {
                self.say(span, ProblemKind::EmptyRange { first, end });
            }
        }
        same.then(|| wanted.try_into().unwrap_or(0))
    }

    /// mergekit wants a number here, and makes nothing of it.
    fn residual_weight(&mut self, map: &Map) {
        let Some(pair) = map.get("residual_weight").filter(|pair| !pair.value.is_null()) else { return };
        let number = match &pair.value.data {
            Data::Scalar(Scalar::Flag(_) | Scalar::Number(_)) => true,
            Data::Scalar(Scalar::Text(text)) => number_of(text).is_some(),
            _ => false,
        };
        if number {
            self.no_effect(pair);
        } else {
            let kind = ProblemKind::NotANumber { parameter: "residual_weight".into(), found: found(&pair.value) };
            self.say(pair.value.span, kind);
        }
    }

    /// A key that mergekit reads and forgets.
    pub(super) fn no_effect(&mut self, pair: &Pair) {
        let kind = ProblemKind::NoEffect { key: pair.key.text().unwrap_or_default().into() };
        let fix = fixes::remove(self.lines, pair);
        self.problems.push(Problem::new(pair.key.span, kind).with(fix));
    }
}
