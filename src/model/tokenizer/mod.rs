//! A folder's tokenizer, as far as merging knows it: which token has which id, and how tokenizer.json is written back with other
//! tokens. Text is never tokenized here.
//!
//! Ids are those that the `tokenizers` library gives. It keeps the ids of the model's vocabulary, and numbers added tokens anew
//! when it loads a file: one that the vocabulary has keeps that id, every other takes the next after the last added token or after
//! the vocabulary. Like the transformers library, this adds what tokenizer_config.json says of added and special tokens.

mod error;
mod files;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::TokenizerError;
pub use files::TokenizerFiles;
pub use read::AddedToken;
pub(super) use read::Raw;
pub use write::added_tokens_decoder;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest id that is believed: four times the largest vocabulary of today.
const MAX_ID: u64 = 1 << 22;

/// The kinds of vocabularies that tokenizer.json holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenizerKind {
    /// Byte-pair encoding: tokens, and the order in which they are merged.
    Bpe,
    /// BERT's.
    WordPiece,
    /// Whole words.
    WordLevel,
    /// SentencePiece's: tokens with scores.
    Unigram,
    /// A list of tokens without the rest of a tokenizer (vocab.json, vocab.txt).
    List,
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpe => "BPE",
            Self::WordPiece => "WordPiece",
            Self::WordLevel => "WordLevel",
            Self::Unigram => "Unigram",
            Self::List => "a list of tokens",
        })
    }
}

/// A tokenizer: tokens and ids, and the text that it is written back into.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    kind: TokenizerKind,
    /// Of all tokens, added ones included.
    ids: BTreeMap<String, u64>,
    /// Added tokens by id.
    added: BTreeMap<u64, AddedToken>,
    /// How many tokens the model has without the added ones, as the library counts them.
    model_tokens: u64,
    /// tokenizer.json and what it holds.
    source: Option<Arc<Source>>,
    /// The special tokens that its configuration names.
    named: Vec<AddedToken>,
    /// Tokens with this id and those after it were taken out.
    stripped: Option<u64>,
    /// An added token that the file gives another id than it has.
    renumbered: Option<Renumbered>,
}

struct Source {
    text: String,
    /// Added tokens as they stand there.
    added: Vec<AddedToken>,
    added_at: Option<(usize, usize)>,
    vocab_at: (usize, usize),
    merges_at: Option<(usize, usize)>,
    prefix: Option<String>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tokenizer.json of {} bytes", self.text.len())
    }
}

/// An added token whose id in tokenizer.json is not the one that it gets when the file is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renumbered {
    /// The token.
    pub token: String,
    /// Its id in the file.
    pub written: u64,
    /// The one that it gets.
    pub id: u64,
}

impl Tokenizer {
    /// The tokenizer in a folder's files: tokenizer.json, else the vocabulary alone in vocab.json (with added_tokens.json) or
    /// vocab.txt.
    pub fn of(files: &TokenizerFiles) -> Result<Self, TokenizerError> {
        let mut tokenizer = if files.has("tokenizer.json") {
            Self::parse(files.require("tokenizer.json")?)?
        } else if files.has("vocab.json") {
            let mut tokenizer = Self::list(tokens_of("vocab.json", files.require("vocab.json")?)?)?;
            if files.has("added_tokens.json") {
                let mut added = tokens_of("added_tokens.json", files.require("added_tokens.json")?)?;
                sort_by_id(&mut added);
                for (token, _) in added {
                    tokenizer.add(AddedToken::plain(&token));
                }
            }
            tokenizer
        } else if files.has("vocab.txt") {
            let lines = files.require("vocab.txt")?.lines().map(str::to_owned);
            Self::list(lines.zip(0..).collect())?
        } else {
            return Err(match files.sentence_piece() {
                Some(file) => TokenizerError::SentencePiece { file: file.to_owned() },
                None => TokenizerError::Missing,
            });
        };
        tokenizer.configure(files)?;
        Ok(tokenizer)
    }

    /// Reads the text of a tokenizer.json.
    pub fn parse(text: &str) -> Result<Self, TokenizerError> {
        let malformed = |problem| TokenizerError::Malformed { file: "tokenizer.json".to_owned(), problem };
        let raw = Raw::parse(text).map_err(malformed)?;
        let kind = match raw.kind.as_deref() {
            Some("BPE") => TokenizerKind::Bpe,
            Some("WordPiece") => TokenizerKind::WordPiece,
            Some("WordLevel") => TokenizerKind::WordLevel,
            Some("Unigram") => TokenizerKind::Unigram,
            // The first files said nothing: a model with merges is BPE.
            None if raw.merges_at.is_some() => TokenizerKind::Bpe,
            kind => return Err(TokenizerError::UnknownKind { kind: kind.unwrap_or("that is not written").to_owned() }),
        };
        let listed = raw.tokens.len() as u64;
        let mut tokenizer = Self::list(raw.tokens)?;
        tokenizer.kind = kind;
        if kind == TokenizerKind::Unigram {
            // A list may say a token twice, and the library counts it twice.
            tokenizer.model_tokens = listed;
        }
        for token in &raw.added {
            let written = token.id;
            let id = tokenizer.add(token.clone());
            if let Some(id) = id
                && id != written
                && tokenizer.renumbered.is_none()
            {
                tokenizer.renumbered = Some(Renumbered { token: token.content.clone(), written, id });
            }
        }
        tokenizer.source = Some(Arc::new(Source {
            text: text.to_owned(),
            added: raw.added,
            added_at: raw.added_at,
            vocab_at: raw.vocab_at,
            merges_at: raw.merges_at,
            prefix: raw.prefix,
        }));
        Ok(tokenizer)
    }

    /// A vocabulary and nothing else.
    fn list(tokens: Vec<(String, u64)>) -> Result<Self, TokenizerError> {
        let mut ids = BTreeMap::new();
        for (token, id) in tokens {
            if id > MAX_ID {
                return Err(TokenizerError::IdTooLarge { token, id });
            }
            ids.insert(token, id);
        }
        Ok(Self {
            kind: TokenizerKind::List,
            model_tokens: ids.len() as u64,
            ids,
            added: BTreeMap::new(),
            source: None,
            named: Vec::new(),
            stripped: None,
            renumbered: None,
        })
    }

    /// Adds what tokenizer_config.json, or where it lists no added tokens special_tokens_map.json, says of tokens.
    fn configure(&mut self, files: &TokenizerFiles) -> Result<(), TokenizerError> {
        let object = |file: &str| -> Result<serde_json::Map<String, Value>, TokenizerError> {
            if !files.has(file) {
                return Ok(serde_json::Map::new());
            }
            serde_json::from_str(files.require(file)?)
                .map_err(|error| TokenizerError::Malformed { file: file.to_owned(), problem: error.to_string() })
        };
        let mut config = object("tokenizer_config.json")?;
        if let Some(Value::Object(listed)) = config.get("added_tokens_decoder") {
            let mut tokens = BTreeMap::new();
            for (id, token) in listed {
                let token = serde_json::from_value::<AddedToken>(token.clone()).ok();
                if let (Ok(id), Some(token)) = (id.parse::<u64>(), token) {
                    tokens.insert(id, token);
                }
            }
            for token in tokens.into_values() {
                let known = self.ids.get(&token.content).and_then(|id| self.added.get(id));
                if !known.is_some_and(|known| known.is_found_like(&token)) {
                    self.add(token);
                }
            }
        } else {
            for (key, value) in object("special_tokens_map.json")? {
                config.insert(key, value);
            }
        }
        self.named = special_tokens(&config);
        self.add_named();
        Ok(())
    }

    /// Adds the special tokens that the configuration names, where they are no added tokens: whoever loads the tokenizer with its
    /// configuration has them.
    pub fn add_named(&mut self) {
        for token in self.named.clone() {
            if self.added_token(&token.content).is_none() {
                self.add(AddedToken { special: true, ..token });
            }
        }
    }

    /// The special tokens that the configuration names and this tokenizer does not have: they were taken out.
    pub fn named_but_absent(&self) -> impl Iterator<Item = &str> {
        self.named
            .iter()
            .map(|token| token.content.as_str())
            .filter(|&token| !token.is_empty() && !self.ids.contains_key(token))
    }

    /// Every token with its id, added ones included.
    pub fn ids(&self) -> &BTreeMap<String, u64> {
        &self.ids
    }

    /// The added tokens, in the order of their ids.
    pub fn added(&self) -> impl Iterator<Item = &AddedToken> {
        self.added.values()
    }

    /// How many tokens there are: rows that an embedding of exactly this vocabulary has.
    pub fn len(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many tokens there are without the added ones.
    pub fn model_tokens(&self) -> u64 {
        self.model_tokens
    }

    /// Its kind.
    pub fn kind(&self) -> TokenizerKind {
        self.kind
    }

    /// The first added token that tokenizer.json gives another id than it gets.
    pub fn renumbered(&self) -> Option<&Renumbered> {
        self.renumbered.as_ref()
    }

    /// Whether the token is an added one.
    pub fn is_added(&self, token: &str) -> bool {
        self.added_token(token).is_some()
    }

    /// The added token of this text.
    pub fn added_token(&self, token: &str) -> Option<&AddedToken> {
        self.ids.get(token).and_then(|id| self.added.get(id)).filter(|added| added.content == token)
    }

    /// Whether it comes from a tokenizer.json, which can be written back.
    pub fn has_json(&self) -> bool {
        self.source.is_some()
    }

    /// Makes a token an added one, or changes how it is found. A token that is there keeps its id; a new one gets the next.
    /// Gives the id, or nothing for an empty text, which is no token.
    pub fn add(&mut self, token: AddedToken) -> Option<u64> {
        if token.content.is_empty() {
            return None;
        }
        let id = self.ids.get(&token.content).copied().unwrap_or_else(|| match self.added.last_key_value() {
            Some((&last, _)) if last >= self.model_tokens || self.model_tokens == 0 => last + 1,
            _ => self.model_tokens,
        });
        self.ids.insert(token.content.clone(), id);
        self.added.insert(id, AddedToken { id, ..token });
        Some(id)
    }

    /// Takes out every token with an id of `vocab_size` or more. Only BPE tokenizers may have any.
    pub fn strip(&mut self, vocab_size: u64) -> Result<(), TokenizerError> {
        let beyond = || self.ids.iter().filter(|&(_, &id)| id >= vocab_size);
        let Some((first, _)) = beyond().min_by_key(|&(_, &id)| id) else { return Ok(()) };
        if self.kind != TokenizerKind::Bpe {
            return Err(TokenizerError::CannotStrip {
                tokens: beyond().count() as u64,
                first: first.clone(),
                vocab_size,
                kind: self.kind.to_string(),
            });
        }
        // What is left is numbered as when the file is loaded.
        let added = std::mem::take(&mut self.added);
        let outside = |id: u64| id >= vocab_size;
        let model = match &self.source {
            Some(source) => crate::format::set_of(source.model_tokens()?.into_iter().map(|(token, _)| token)),
            None => BTreeSet::new(),
        };
        crate::format::retain(&mut self.ids, &mut |token, id| !outside(*id) && model.contains(token));
        self.model_tokens = self.ids.len() as u64;
        self.stripped = Some(vocab_size);
        for (id, token) in added {
            if !outside(id) {
                self.add(token);
            }
        }
        Ok(())
    }
}

/// The special tokens that a configuration names, in the order in which they are added.
fn special_tokens(config: &serde_json::Map<String, Value>) -> Vec<AddedToken> {
    const NAMED: [&str; 7] =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
    const LISTS: [&str; 2] = ["extra_special_tokens", "additional_special_tokens"];
    let token = |value: &Value| match value {
        Value::String(text) => Some(AddedToken::special(text)),
        Value::Object(_) => serde_json::from_value::<AddedToken>(value.clone()).ok(),
        _ => None,
    };
    let named = NAMED.iter().filter_map(|key| config.get(*key));
    let listed = LISTS.iter().filter_map(|key| config.get(*key)).flat_map(|value| match value {
        Value::Array(list) => list.iter().collect::<Vec<_>>(),
        // Model-specific tokens, by their names.
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    });
    named.chain(listed).filter_map(token).collect()
}

/// A map from tokens to ids.
fn tokens_of(file: &str, text: &str) -> Result<Vec<(String, u64)>, TokenizerError> {
    serde_json::from_str::<read::Tokens>(text)
        .map(|tokens| tokens.0)
        .map_err(|error| TokenizerError::Malformed { file: file.to_owned(), problem: error.to_string() })
}

fn sort_by_id(tokens: &mut Vec<(String, u64)>) {
    *tokens = crate::format::in_order(std::mem::take(tokens), |(_, id)| *id);
}
