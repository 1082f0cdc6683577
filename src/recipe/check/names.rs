//! Names of models: a text, or a mapping that says the same.

use super::super::problem::{Place, ProblemKind};
use super::super::reader::{Data, Map, Node};
use super::super::span::Span;
use super::{Checker, words};
use crate::recipe::{model_path, split_adapter};

impl Checker<'_> {
    /// The name of a model: as written, or what a mapping says as a text.
    pub(super) fn model_name(&mut self, key: &str, node: &Node) -> Option<String> {
        let name = match &node.data {
            Data::Map(map) => self.mapped_name(map, node.span)?,
            _ => self.text(key, node)?,
        };
        let (parts, revisions) = (name.split('+'), |part: &str| part.matches('@').count());
        let blank = |part: &str| part.split('@').next().is_none_or(|path| path.trim().is_empty());
        if parts.clone().count() > 2 || parts.clone().any(|part| revisions(part) > 1 || blank(part)) {
            self.say(node.span, ProblemKind::ModelName { name });
            return None;
        }
        let adapter = split_adapter(&name).1.map_or("", model_path);
        if self.stages.contains(&adapter) {
            self.say(node.span, ProblemKind::StageAsAdapter { name: adapter.into() });
            return None;
        }
        Some(name)
    }

    /// `model`, and `lora` behind a `+`.
    fn mapped_name(&mut self, map: &Map, span: Span) -> Option<String> {
        self.stray_keys(map, Place::Name, None);
        let known = map.get("override_architecture").filter(|pair| !pair.value.is_null());
        if let Some(pair) = known {
            self.say(pair.key.span, ProblemKind::OverrideArchitecture);
        }
        let Some(model) = map.get("model") else {
            self.say(span.start(), ProblemKind::MissingKey { key: "model".into() });
            return None;
        };
        let model = self.path("model", &model.value);
        let lora = map.get("lora").filter(|pair| !pair.value.is_null());
        let lora = lora.map(|pair| self.path("lora", &pair.value));
        let (model, lora) = (model?, lora.map_or(Some(None), |lora| lora.map(Some))?);
        let name = lora.map_or_else(|| model.clone(), |lora| format!("{model}+{lora}"));
        known.is_none().then_some(name)
    }

    /// A path with its revision behind an `@`. It may hold neither sign itself: then there is no text for it.
    fn path(&mut self, key: &str, node: &Node) -> Option<String> {
        let Data::Map(map) = &node.data else {
            let path = self.text(key, node)?;
            return self.unambiguous(path, node, &['+']);
        };
        for pair in &map.pairs {
            if !pair.key.text().is_some_and(|key| words::PATH.contains(&key)) {
                let key = self.lines.slice(pair.key.span).to_owned();
                self.say(pair.key.span, ProblemKind::UnknownKey { key, place: Place::Name, suggestion: None });
            }
        }
        let Some(path) = map.get("path") else {
            self.say(node.span.start(), ProblemKind::MissingKey { key: "path".into() });
            return None;
        };
        let path = self.text("path", &path.value).and_then(|text| self.unambiguous(text, &path.value, &['+', '@']))?;
        let Some(revision) = map.get("revision").filter(|pair| !pair.value.is_null()) else { return Some(path) };
        let text = self.text("revision", &revision.value)?;
        Some(format!("{path}@{}", self.unambiguous(text, &revision.value, &['+', '@'])?))
    }

    fn unambiguous(&mut self, text: String, node: &Node, signs: &[char]) -> Option<String> {
        if !text.contains(signs) {
            return Some(text);
        }
        self.say(node.span, ProblemKind::PathSign { path: text });
        None
    }
}
