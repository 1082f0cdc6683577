//! Keys that mean nothing where they stand: they belong elsewhere, are misspelt, or neither.

use super::super::problem::{Place, Problem, ProblemKind};
use super::super::reader::{Map, Pair};
use super::super::suggest::suggest;
use super::{Checker, fixes, words};
use crate::recipe::{Scope, problem::Fix};

/// The keys of a place.
fn words_at(place: Place) -> &'static [&'static str] {
    match place {
        Place::Top => &words::TOP,
        Place::Filter => &words::FILTER,
        Place::Source => &words::SOURCE,
        Place::Slice => &words::SLICE,
        Place::Module => &words::MODULE,
        Place::Tokenizer => &words::TOKENIZER,
        Place::Token => &words::TOKEN,
        Place::TokenSource => &words::TOKEN_SOURCE,
        Place::Name => &words::NAME,
        _ => &words::MODEL,
    }
}

impl Checker<'_> {
    /// Tells of every key of `map`, at `place`, that the language does not have there. `owner` is the slice around a source.
    pub(super) fn stray_keys(&mut self, map: &Map, place: Place, owner: Option<&Map>) {
        for pair in &map.pairs {
            if !pair.key.text().is_some_and(|key| words_at(place).contains(&key)) {
                self.stray_key(pair, map, place, owner);
            }
        }
    }

    fn stray_key(&mut self, pair: &Pair, map: &Map, place: Place, owner: Option<&Map>) {
        let Some(key) = pair.key.text() else {
            let key = self.lines.slice(pair.key.span).to_owned();
            self.say(pair.key.span, ProblemKind::UnknownKey { key, place, suggestion: None });
            return;
        };
        if let Some((belongs, fix)) = self.home(pair, key, map, place, owner) {
            let kind = ProblemKind::Misplaced { key: key.into(), belongs };
            self.problems.push(Problem::new(pair.key.span, kind).with(fix));
            return;
        }
        let here = words_at(place).iter().copied();
        // Whoever knows `models` writes it in a slice as well.
        let sources = (place == Place::Slice && key == "models").then_some("sources");
        let suggestion = sources.or_else(|| suggest(key, here)).filter(|suggestion| map.get(suggestion).is_none());
        let kind = ProblemKind::UnknownKey { key: key.into(), place, suggestion: suggestion.map(str::to_owned) };
        let fix = suggestion.map(|suggestion| fixes::replace(pair.key.span, suggestion));
        self.problems.push(Problem::new(pair.key.span, kind).with(fix));
    }

    /// Where a key counts that does not count where it stands, and how it gets there.
    fn home(
        &self,
        pair: &Pair,
        key: &str,
        map: &Map,
        place: Place,
        owner: Option<&Map>,
    ) -> Option<(Place, Option<Fix>)> {
        let under = |owner: &Map, to: Place| Some((to, fixes::move_to_parameters(self.lines, pair, owner, to)));
        let mut parameters = self.methods.iter().filter_map(|method| method.parameter(key)).peekable();
        if parameters.peek().is_some() {
            let shared = parameters.all(|parameter| parameter.scope == Scope::Shared);
            match (place, owner) {
                (Place::Top, _) => return under(map, Place::Parameters),
                (Place::Model, _) if shared => return under(self.root, Place::Parameters),
                (Place::Source, Some(slice)) if shared => return under(slice, Place::SliceParameters),
                (Place::Model | Place::Source, _) => return under(map, Place::ModelParameters),
                (Place::Slice, _) => return under(map, Place::SliceParameters),
                (Place::Module, _) => return under(map, Place::ModuleParameters),
                _ => {}
            }
        }
        let belongs = match (place, key) {
            (Place::Slice, "models") => return None,
            (Place::Top | Place::Model, "sources")
            | (Place::Top | Place::Model | Place::Source, "residual_weight")
            | (Place::Source, "base_model") => Place::Slice,
            (Place::Top | Place::Model | Place::Slice | Place::Module, "layer_range") | (Place::Slice, "model") => {
                Place::Source
            }
            (Place::Top, "tokens" | "pad_to_multiple_of") => Place::Tokenizer,
            (Place::Model | Place::Source | Place::Slice | Place::Module | Place::Tokenizer, _)
                if words::TOP.contains(&key) && key != words::STAGE_NAME =>
            {
                return Some((Place::Top, fixes::move_to_top(self.lines, pair, self.root)));
            }
            _ => return None,
        };
        Some((belongs, None))
    }
}
