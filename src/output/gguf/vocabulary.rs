//! The tokenizer's tokens and merges, one token a row of the embedding.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::header::Metadata;
use super::sentencepiece::{self, Model};
use super::{GgufError, GgufNotice, Texts, pretokenizer};

/// The file that tokenizers are read from.
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// The score of tokens that are not merged to: added ones.
const ADDED: f32 = -1000.0;
/// The score of rows without a token.
const PADDING: f32 = -10_000.0;

/// What a token is, as GGUF numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) kind: Kind,
    pub(super) score: f32,
}

/// Tokens, and how text becomes tokens.
pub(super) struct Vocabulary {
    /// By id, as many as the embedding has rows.
    tokens: Vec<Option<Token>>,
    way: Way,
    /// Whether a space is put before a text; `None` where nothing says.
    space_before: Option<bool>,
    /// tokenizer.json's `post_processor`.
    pub(super) post_processor: Option<Value>,
}

enum Way {
    /// Bytes, merged in order.
    Bytes { pre: &'static str, merges: Vec<(String, String)> },
    /// Characters, merged by score.
    Pieces,
}

/// tokenizer.json, as far as it matters.
#[derive(Deserialize)]
struct Tokenizer {
    model: TokenizerModel,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default, rename = "pre_tokenizer")]
    cut: Value,
    #[serde(default)]
    post_processor: Value,
}

#[derive(Deserialize)]
struct TokenizerModel {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    vocab: Ids,
    #[serde(default)]
    merges: Merges,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    unk_token: Option<String>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
    #[serde(default)]
    special: bool,
}

/// Tokens with their ids; empty where the vocabulary is no map.
struct Ids(Vec<(String, u64)>);

/// Pairs, written as such or as a text with a space between.
#[derive(Default)]
struct Merges(Vec<(String, String)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair(String, String),
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Ids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from tokens to ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ids, A::Error> {
                let mut ids = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    ids.push(entry);
                }
                Ok(Ids(ids))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ids, A::Error> {
                while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Ids(Vec::new()))
            }
        }

        deserializer.deserialize_any(Map)
    }
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Merges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
                let mut merges = Vec::new();
                while let Some(merge) = list.next_element()? {
                    let pair = match merge {
                        Merge::Pair(left, right) => Some((left, right)),
                        Merge::Text(text) => {
                            text.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()))
                        }
                    };
                    let pair = pair.filter(|(left, right)| !left.is_empty() && !right.is_empty());
                    merges.push(pair.ok_or_else(|| serde::de::Error::custom("a merge is not of two parts"))?);
                }
                Ok(Merges(merges))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

impl Vocabulary {
    /// Reads the tokenizer of a model whose embedding has `rows` rows.
    pub(super) fn read(texts: &Texts, rows: u64, notices: &mut Vec<GgufNotice>) -> Result<Self, GgufError> {
        let pieces = texts.get("tokenizer.model").map(Model::read);
        match (texts.get(TOKENIZER), pieces) {
            (Some(json), pieces) => {
                let tokenizer: Tokenizer = serde_json::from_slice(json)
                    .map_err(|error| GgufError::BadTokenizer { file: TOKENIZER, problem: error.to_string() })?;
                Self::of_json(tokenizer, pieces, rows, notices)
            }
            (None, Some(model)) => {
                let model = model?;
                let mut vocabulary = Self {
                    tokens: empty(rows),
                    way: Way::Pieces,
                    space_before: model.space_before,
                    post_processor: None,
                };
                for (id, token) in model.pieces.into_iter().enumerate() {
                    vocabulary.put(id as u64, token)?;
                }
                vocabulary.complete(texts)
            }
            (None, None) => Err(GgufError::NoTokenizer { old_files: texts.has_old_tokenizer }),
        }
    }

    fn of_json(
        tokenizer: Tokenizer,
        pieces: Option<Result<Model, GgufError>>,
        rows: u64,
        notices: &mut Vec<GgufNotice>,
    ) -> Result<Self, GgufError> {
        let unsupported = |what: String| GgufError::UnsupportedTokenizer { file: TOKENIZER, what };
        let model = tokenizer.model;
        // Files older than `type` are told by their merges.
        let kind = model.kind.as_deref().unwrap_or(if model.merges.0.is_empty() { "without a type" } else { "BPE" });
        if kind != "BPE" {
            return Err(unsupported(format!("its model is {kind}, and only BPE is known here")));
        }
        let mut vocabulary = Self {
            tokens: empty(rows),
            way: Way::Pieces,
            space_before: None,
            post_processor: Some(tokenizer.post_processor),
        };
        for (text, id) in model.vocab.0 {
            let kind = match () {
                () if model.unk_token.as_ref() == Some(&text) => Kind::Unknown,
                () if model.byte_fallback && is_byte(&text) => Kind::Byte,
                () => Kind::Normal,
            };
            vocabulary.put(id, Token { text, kind, score: 0.0 })?;
        }
        if model.byte_fallback {
            vocabulary.space_before = Some(space_before(&tokenizer.normalizer, &tokenizer.cut).ok_or_else(|| {
                unsupported("it prepares text in a way that llama.cpp's SentencePiece does not".into())
            })?);
            vocabulary.score(pieces, &tokenizer.added_tokens, &model.merges.0).map_err(unsupported)?;
        } else if pretokenizer::is_byte_level(&tokenizer.cut) {
            let pre = pretokenizer::name(&tokenizer.cut, model.ignore_merges).unwrap_or_else(|| {
                notices.push(GgufNotice::UnknownPreTokenizer);
                "default"
            });
            vocabulary.way = Way::Bytes { pre, merges: model.merges.0 };
        } else {
            return Err(unsupported("its BPE is neither of bytes nor falls back to them".into()));
        }
        for added in tokenizer.added_tokens {
            vocabulary.add(added.id, &added.content, added.special)?;
        }
        Ok(vocabulary)
    }

    /// Scores the pieces: as tokenizer.model does where it has the same ones, else by the order of merges.
    fn score(
        &mut self,
        pieces: Option<Result<Model, GgufError>>,
        added: &[Added],
        merges: &[(String, String)],
    ) -> Result<(), String> {
        let bytes = self.tokens.iter().flatten().filter(|token| token.kind == Kind::Byte).count();
        if bytes != 256 {
            return Err(format!("it falls back to bytes, but has {bytes} of the 256"));
        }
        if let Some(Ok(model)) = pieces
            && model
                .pieces
                .iter()
                .zip(&self.tokens)
                .all(|(piece, token)| token.as_ref().is_some_and(|token| token.text == piece.text))
            && self.tokens.iter().skip(model.pieces.len()).all(Option::is_none)
        {
            for (token, piece) in self.tokens.iter_mut().zip(model.pieces) {
                *token = Some(piece);
            }
            return Ok(());
        }
        // Added tokens may stand in the vocabulary as well; they take no part in merging.
        let mut own = std::mem::take(&mut self.tokens);
        let mut aside = Vec::new();
        for token in added {
            let place = usize::try_from(token.id).ok().and_then(|id| own.get_mut(id));
            if let Some(place) = place.filter(|place| place.as_ref().is_some_and(|own| own.kind != Kind::Byte)) {
                aside.push((token.id as usize, place.take()));
            }
        }
        let scored = sentencepiece::score(&mut own, merges);
        for (id, token) in aside {
            own[id] = token;
        }
        self.tokens = own;
        scored
    }

    /// Adds what other files say of added tokens.
    fn complete(mut self, texts: &Texts) -> Result<Self, GgufError> {
        if let Some(added) = texts.object("added_tokens.json")? {
            for (content, id) in &added {
                if let Some(id) = id.as_u64() {
                    self.add(id, content, false)?;
                }
            }
        }
        let config = texts.object("tokenizer_config.json")?.unwrap_or_default();
        for (id, token) in config.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten() {
            let special = token.get("special").and_then(Value::as_bool) == Some(true);
            if let (Ok(id), Some(content)) = (id.parse(), token.get("content").and_then(Value::as_str)) {
                self.add(id, content, special)?;
            }
        }
        Ok(self)
    }

    fn put(&mut self, id: u64, token: Token) -> Result<(), GgufError> {
        let rows = self.tokens.len() as u64;
        match usize::try_from(id).ok().and_then(|id| self.tokens.get_mut(id)) {
            Some(place) => {
                *place = Some(token);
                Ok(())
            }
            None => Err(GgufError::TokenWithoutRow { token: token.text, id, rows }),
        }
    }

    /// An added token: special ones are never made from text, others are found in it as they stand.
    fn add(&mut self, id: u64, content: &str, special: bool) -> Result<(), GgufError> {
        let token = if special || looks_special(content) {
            Token { text: content.to_owned(), kind: Kind::Control, score: ADDED }
        } else {
            // SentencePiece's mark for a space: text is searched before spaces are marked.
            Token { text: content.replace('▁', " "), kind: Kind::UserDefined, score: ADDED }
        };
        self.put(id, token)
    }

    /// The id of a token.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let is = |token: &Option<Token>| token.as_ref().is_some_and(|token| token.text == text);
        self.tokens.iter().position(is).map(|id| id as u32)
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.tokens.len() as u64
    }

    /// Whether text is pieces, not bytes.
    pub(super) fn is_pieces(&self) -> bool {
        matches!(self.way, Way::Pieces)
    }

    /// Writes tokens and merges. `space_before` is what tokenizer_config.json says.
    pub(super) fn write(&self, space_before: Option<bool>, metadata: &mut Metadata) {
        let (model, pre) = match &self.way {
            Way::Bytes { pre, .. } => ("gpt2", *pre),
            Way::Pieces => ("llama", "default"),
        };
        metadata.text("tokenizer.ggml.model", model);
        metadata.text("tokenizer.ggml.pre", pre);
        if let Some(space) = self.space_before.or(space_before) {
            metadata.flag("tokenizer.ggml.add_space_prefix", space);
        }
        let padding: Vec<String> = (0..self.tokens.len())
            .map(|id| if self.tokens[id].is_none() { format!("[PAD{id}]") } else { String::new() })
            .collect();
        let tokens = || self.tokens.iter().zip(&padding);
        metadata.texts(
            "tokenizer.ggml.tokens",
            tokens().map(|(token, padding)| token.as_ref().map_or(padding.as_str(), |token| token.text.as_str())),
        );
        if self.is_pieces() {
            let scores = self.tokens.iter().map(|token| token.as_ref().map_or(PADDING, |token| token.score));
            metadata.floats("tokenizer.ggml.scores", scores);
        }
        let kinds = self.tokens.iter().map(|token| token.as_ref().map_or(Kind::Unused, |token| token.kind) as i32);
        metadata.integers("tokenizer.ggml.token_type", kinds);
        if let Way::Bytes { merges, .. } = &self.way {
            // A space parts the two; one inside a part is written as byte-level vocabularies write it.
            let part = |text: &str| text.replace(' ', "\u{120}");
            let merges: Vec<String> =
                merges.iter().map(|(left, right)| format!("{} {}", part(left), part(right))).collect();
            metadata.texts("tokenizer.ggml.merges", merges.iter().map(String::as_str));
        }
    }
}

fn empty(rows: u64) -> Vec<Option<Token>> {
    (0..rows).map(|_| None).collect()
}

/// `<0x00>` to `<0xFF>`.
fn is_byte(text: &str) -> bool {
    text.strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Some models mark control tokens as ordinary ones; llama.cpp's converter takes these for what they are.
fn looks_special(text: &str) -> bool {
    let between = |open: &str, close: &str| text.starts_with(open) && text.ends_with(close);
    matches!(text, "<pad>" | "<mask>" | "<2mass>" | "[@BOS@]")
        || between("<|", "|>")
        || between("<｜", "｜>")
        || between("<unused", ">")
}

/// Whether tokenizer.json puts a space before a text; `None` where it does more to it than mark spaces.
fn space_before(normalizer: &Value, pre_tokenizer: &Value) -> Option<bool> {
    let kind = |value: &Value| value.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    let mut prepends = false;
    let steps = match (kind(normalizer).as_str(), normalizer.get("normalizers")) {
        ("", _) => Vec::new(),
        ("Sequence", Some(steps)) => steps.as_array()?.iter().collect(),
        _ => vec![normalizer],
    };
    for step in steps {
        let text = |key: &str| step.get(key).and_then(Value::as_str);
        match kind(step).as_str() {
            "Prepend" if text("prepend") == Some("▁") => prepends = true,
            "Replace" if text("content") == Some("▁") && step.get("pattern")?.get("String")?.as_str()? == " " => {}
            _ => return None,
        }
    }
    match kind(pre_tokenizer).as_str() {
        "" => Some(prepends),
        "Metaspace" if pre_tokenizer.get("replacement").and_then(Value::as_str) == Some("▁") => {
            let scheme = pre_tokenizer.get("prepend_scheme").and_then(Value::as_str);
            let older = pre_tokenizer.get("add_prefix_space").and_then(Value::as_bool);
            Some(prepends || scheme.map_or(older != Some(false), |scheme| scheme != "never"))
        }
        _ => None,
    }
}
