//! tokenizer.json as it stands: its tokens, its added tokens, and where in the text they are written.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What tokenizer.json holds, as far as vocabularies are concerned.
pub(in crate::model) struct Raw {
    /// `type` of the model; files of old leave it out.
    pub kind: Option<String>,
    /// The model's tokens with their ids, in the order of the file.
    pub tokens: Vec<(String, u64)>,
    /// `added_tokens`, in the order of the file.
    pub added: Vec<AddedToken>,
    /// Where `added_tokens`, the model's `vocab` and its `merges` stand in the text, from the first byte to the one after the last.
    pub added_at: Option<(usize, usize)>,
    pub vocab_at: (usize, usize),
    pub merges_at: Option<(usize, usize)>,
    /// `continuing_subword_prefix` of a BPE model: what a merge leaves out of its second part.
    pub prefix: Option<String>,
}

/// One of `added_tokens`: a token that is found in a text before the model sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)] // The flags of the file format.
pub struct AddedToken {
    /// Its id.
    pub id: u64,
    /// Its text.
    pub content: String,
    /// Whether it is found as a word of its own only.
    pub single_word: bool,
    /// Whether it takes the white space to its left.
    pub lstrip: bool,
    /// Whether it takes the white space to its right.
    pub rstrip: bool,
    /// Whether it is looked for in the normalized text; where nothing says so, for all but special tokens.
    #[serde(deserialize_with = "some")]
    pub(super) normalized: Option<bool>,
    /// Whether it is left out when special tokens are skipped.
    pub special: bool,
}

/// A value that is there: `null` is one, not none.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl AddedToken {
    /// A token of this text that is nothing special.
    pub fn plain(content: &str) -> Self {
        Self { content: content.to_owned(), normalized: Some(true), ..Self::default() }
    }

    /// A special token of this text.
    pub fn special(content: &str) -> Self {
        Self { content: content.to_owned(), normalized: Some(false), special: true, ..Self::default() }
    }

    /// Whether it is looked for in the normalized text.
    pub fn normalized(&self) -> bool {
        self.normalized.unwrap_or(!self.special)
    }

    /// Whether the two are found in the same way, whatever their ids.
    pub fn is_found_like(&self, other: &Self) -> bool {
        let flags = |token: &Self| (token.single_word, token.lstrip, token.rstrip, token.normalized(), token.special);
        self.content == other.content && flags(self) == flags(other)
    }

    /// As a JSON object on one line: with its id, as in tokenizer.json, or without, as in tokenizer_config.json.
    pub fn to_json(&self, with_id: bool) -> String {
        let id = if with_id { format!("\"id\": {}, ", self.id) } else { String::new() };
        format!(
            "{{{id}\"content\": {}, \"single_word\": {}, \"lstrip\": {}, \"rstrip\": {}, \"normalized\": {}, \"special\": {}}}",
            quoted(&self.content),
            self.single_word,
            self.lstrip,
            self.rstrip,
            self.normalized(),
            self.special
        )
    }
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "some")]
    added_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ModelPart<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    vocab: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "some")]
    merges: Option<&'a RawValue>,
    continuing_subword_prefix: Option<String>,
}

impl Raw {
    /// Reads the text of a tokenizer.json. The error is the parser's words.
    pub(in crate::model) fn parse(text: &str) -> Result<Self, String> {
        let words = |error: serde_json::Error| error.to_string();
        let file: File<'_> = serde_json::from_str(text).map_err(words)?;
        let model: ModelPart<'_> = serde_json::from_str(file.model.get()).map_err(words)?;
        let tokens: Tokens = serde_json::from_str(model.vocab.get()).map_err(words)?;
        let added = match file.added_tokens {
            Some(added) => serde_json::from_str(added.get()).map_err(words)?,
            None => Vec::new(),
        };
        let place = |value: &RawValue| {
            let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
            (start, start + value.get().len())
        };
        Ok(Self {
            kind: model.kind,
            tokens: tokens.0,
            added,
            added_at: file.added_tokens.map(place),
            vocab_at: place(model.vocab),
            merges_at: model.merges.map(place),
            prefix: model.continuing_subword_prefix,
        })
    }
}

/// Tokens with their ids: a map (BPE, WordPiece, WordLevel), or a list in the order of ids (Unigram).
#[derive(Default)]
pub(super) struct Tokens(pub Vec<(String, u64)>);

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapOrList;

        impl<'de> Visitor<'de> for MapOrList {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from tokens to ids or a list of tokens with scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tokens, A::Error> {
                let mut tokens = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    tokens.push(entry);
                }
                Ok(Tokens(tokens))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tokens, A::Error> {
                let mut tokens = Vec::new();
                while let Some((token, _score)) = list.next_element::<(String, serde::de::IgnoredAny)>()? {
                    tokens.push((token, tokens.len() as u64));
                }
                Ok(Tokens(tokens))
            }
        }

        deserializer.deserialize_any(MapOrList)
    }
}

/// A BPE merge: two tokens in a list, or with a space between them.
pub(super) struct Merge(pub String, pub String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairOrText;

        impl<'de> Visitor<'de> for PairOrText {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge: two tokens in a list, or with one space between them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Merge, E> {
                match text.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => Ok(Merge(left.to_owned(), right.to_owned())),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                let (left, right) = (list.next_element()?, list.next_element()?);
                match (left, right) {
                    (Some(left), Some(right)) => Ok(Merge(left, right)),
                    _ => Err(serde::de::Error::invalid_length(1, &self)),
                }
            }
        }

        deserializer.deserialize_any(PairOrText)
    }
}
