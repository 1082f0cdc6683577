//! `tokenizer`, `tokenizer_source` and `chat_template`.

use std::collections::BTreeSet;

use super::super::problem::{Expected, Place, Problem, ProblemKind};
use super::super::reader::{Data, Map, Node, Pair};
use super::super::scalar::{Scalar, flag_of};
use super::super::span::Span;
use super::super::suggest::suggest;
use super::{Checker, fixes, words};
use crate::recipe::{TokenRule, TokenSource, TokenizerRule, TokenizerSource};

/// Most rows that may be filled up: several times the largest vocabulary.
const MAX_MULTIPLE: u64 = 1 << 20;

/// Highest number of a token.
const MAX_TOKEN: u64 = u32::MAX as u64;

/// The names of the recipe's models, where they could all be read.
type Names<'n> = Option<&'n BTreeSet<String>>;

impl<'a> Checker<'a> {
    pub(super) fn tokenizer(&mut self, names: Names<'_>) -> Option<TokenizerRule> {
        let given = |map: &'a Map, key| map.get(key).filter(|pair| !pair.value.is_null());
        let (source, whole) = (given(self.root, "tokenizer_source"), given(self.root, "tokenizer"));
        if let (Some(source), Some(_)) = (source, whole) {
            let kind = ProblemKind::Exclusive { first: "tokenizer".into(), second: "tokenizer_source".into() };
            let fix = fixes::remove(self.lines, source);
            self.problems.push(Problem::new(source.key.span, kind).with(fix));
        }
        let short = source.map(|pair| {
            let source = self.tokenizer_source("tokenizer_source", pair, names)?;
            Some(TokenizerRule { source, ..TokenizerRule::default() })
        });
        whole.map_or(short.flatten(), |pair| self.whole_tokenizer(pair, names))
    }

    fn tokenizer_source(&mut self, key: &str, pair: &Pair, names: Names<'_>) -> Option<TokenizerSource> {
        match pair.value.text() {
            Some("union") => return Some(TokenizerSource::Union),
            Some("base") => return Some(TokenizerSource::Base),
            _ => {}
        }
        let name = self.model_name(key, &pair.value)?;
        if names.is_some_and(|names| !names.contains(&name)) {
            let suggestion = suggest(&name, words::TOKENIZER_SOURCES);
            let fix = suggestion.map(|suggestion| fixes::replace(pair.value.span, suggestion));
            let kind = ProblemKind::TokenizerModel { name: name.clone(), suggestion: suggestion.map(str::to_owned) };
            self.problems.push(Problem::new(pair.value.span, kind).with(fix));
        }
        Some(TokenizerSource::Model(name))
    }

    fn whole_tokenizer(&mut self, pair: &'a Pair, names: Names<'_>) -> Option<TokenizerRule> {
        let Data::Map(map) = &pair.value.data else {
            self.shape(Some("tokenizer"), &pair.value, Expected::Mapping);
            return None;
        };
        self.stray_keys(map, Place::Tokenizer, None);
        let mut rule = TokenizerRule::default();
        if let Some(pair) = map.get("source") {
            rule.source = self.tokenizer_source("source", pair, names)?;
        }
        if let Some(pair) = map.get("pad_to_multiple_of").filter(|pair| !pair.value.is_null()) {
            // To mergekit, 0 is as good as nothing.
            let multiple = self.whole("pad_to_multiple_of", &pair.value, MAX_MULTIPLE)?;
            rule.pad_to_multiple_of = Some(multiple).filter(|multiple| *multiple > 0);
        }
        let Some(pair) = map.get("tokens").filter(|pair| !pair.value.is_null()) else { return Some(rule) };
        let Data::Map(tokens) = &pair.value.data else {
            self.shape(Some("tokens"), &pair.value, Expected::Mapping);
            return None;
        };
        for pair in &tokens.pairs {
            let Some(token) = pair.key.text() else {
                self.key_not_text(pair);
                continue;
            };
            if let Some(found) = self.token(token, pair, names) {
                rule.tokens.push((token.to_owned(), found));
            }
        }
        Some(rule)
    }

    fn token(&mut self, token: &str, pair: &'a Pair, names: Names<'_>) -> Option<TokenRule> {
        let Data::Map(map) = &pair.value.data else {
            self.shape(Some(token), &pair.value, Expected::Mapping);
            return None;
        };
        self.stray_keys(map, Place::Token, None);
        let force = match map.get("force").map(|pair| &pair.value) {
            None => Some(false),
            Some(node) => self.flag("force", node),
        };
        let source = map.get("source").filter(|pair| !pair.value.is_null());
        if source.is_none() {
            let kind = ProblemKind::TokenWithoutSource { token: token.into(), force: force == Some(true) };
            self.say(pair.key.span, kind);
        }
        let source = source.map(|pair| self.token_source(&pair.value, names));
        Some(TokenRule { source: source.map_or(Some(None), |source| source.map(Some))?, force: force? })
    }

    fn flag(&mut self, key: &str, node: &Node) -> Option<bool> {
        let flag = match &node.data {
            Data::Scalar(Scalar::Flag(flag)) => Some(*flag),
            Data::Scalar(Scalar::Number(number)) if *number == 0.0 || *number == 1.0 => Some(*number == 1.0),
            Data::Scalar(Scalar::Text(text)) => flag_of(text),
            _ => None,
        };
        if flag.is_none() {
            self.shape(Some(key), node, Expected::Flag);
        }
        flag
    }

    /// A model's name, a name as a mapping, or a mapping with a `kind`. Where a mapping with a `kind` lacks something, mergekit
    /// takes it for a name and forgets the rest: those are refused.
    fn token_source(&mut self, node: &Node, names: Names<'_>) -> Option<TokenSource> {
        let map = match &node.data {
            Data::Map(map) => map,
            Data::Scalar(Scalar::Text(_)) => return self.token_model("source", node, names).map(TokenSource::Model),
            _ => {
                self.shape(Some("source"), node, Expected::TokenSource);
                return None;
            }
        };
        let given = |key: &str| map.get(key).filter(|pair| !pair.value.is_null());
        let (token, id) = (given("token"), given("token_id"));
        let Some(kind) = map.get("kind") else {
            if token.or(id).is_none() && map.get("model").is_some() {
                return self.token_model("source", node, names).map(TokenSource::Model);
            }
            self.say(node.span.start(), ProblemKind::MissingKey { key: "kind".into() });
            return None;
        };
        self.stray_keys(map, Place::TokenSource, None);
        let span = kind.key.span;
        match self.text("kind", &kind.value)?.as_str() {
            "zero" if given("model").is_some() => {
                self.say(span, ProblemKind::ZeroWithModel);
                None
            }
            "zero" => {
                for pair in [token, id].into_iter().flatten() {
                    self.no_effect(pair);
                }
                Some(TokenSource::Zero)
            }
            "model_token" => self.other_token(map, span, token, id, names),
            name => {
                let suggestion = suggest(name, words::TOKEN_KINDS);
                let fix = suggestion.map(|suggestion| fixes::replace(kind.value.span, suggestion));
                let suggestion = suggestion.map(str::to_owned);
                let unknown = ProblemKind::UnknownKind { name: name.to_owned(), suggestion };
                self.problems.push(Problem::new(kind.value.span, unknown).with(fix));
                None
            }
        }
    }

    fn other_token(
        &mut self,
        map: &Map,
        span: Span,
        token: Option<&Pair>,
        id: Option<&Pair>,
        names: Names<'_>,
    ) -> Option<TokenSource> {
        let Some(model) = map.get("model") else {
            self.say(span, ProblemKind::MissingKey { key: "model".into() });
            return None;
        };
        let model = self.token_model("model", &model.value, names);
        match (token, id) {
            (Some(pair), None) => {
                let token = self.text("token", &pair.value)?;
                Some(TokenSource::Token { model: model?, token })
            }
            (None, Some(pair)) => {
                let id = self.whole("token_id", &pair.value, MAX_TOKEN)?;
                Some(TokenSource::Id { model: model?, id })
            }
            (both, _) => {
                self.say(span, ProblemKind::TokenOrId { both: both.is_some() });
                None
            }
        }
    }

    /// The name of a model that gives an embedding: it must be one of the recipe's.
    fn token_model(&mut self, key: &str, node: &Node, names: Names<'_>) -> Option<String> {
        let name = self.model_name(key, node)?;
        let Some(names) = names.filter(|names| !names.contains(&name)) else { return Some(name) };
        let (suggestion, to) = if key == "source" && name == "zero" {
            let zero = "{kind: zero}";
            (Some(zero), Some(zero.to_owned()))
        } else {
            let suggestion = suggest(&name, names.iter().map(String::as_str));
            (suggestion, suggestion.map(super::super::write::plain_or_quoted))
        };
        let fix = to.map(|to| fixes::replace(node.span, &to));
        let kind = ProblemKind::TokenModel { name, suggestion: suggestion.map(str::to_owned) };
        self.problems.push(Problem::new(node.span, kind).with(fix));
        None
    }

    /// An empty text is none.
    pub(super) fn chat_template(&mut self) -> Option<String> {
        let pair = self.root.get("chat_template").filter(|pair| !pair.value.is_null())?;
        let text = self.text("chat_template", &pair.value).filter(|text| !text.is_empty())?;
        let template = text.contains('{') && text.chars().nth(19).is_some();
        if !template && !words::TEMPLATES.contains(&text.as_str()) {
            let suggestion = suggest(text.trim(), words::TEMPLATES);
            let fix = suggestion.map(|suggestion| fixes::replace(pair.value.span, suggestion));
            let suggestion = suggestion.map(str::to_owned);
            let kind = ProblemKind::UnknownTemplate { name: text, known: words::TEMPLATES.join(", "), suggestion };
            self.problems.push(Problem::new(pair.value.span, kind).with(fix));
            return None;
        }
        Some(text)
    }
}
