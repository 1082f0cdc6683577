//! The files around a tokenizer, read from a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::format::{Source, set_of};
use crate::model::{Folder, MAX_SMALL_FILE, ModelError};

use super::TokenizerError;

/// Files that are read.
const TEXTS: [&str; 9] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];
/// Files of SentencePiece, in a binary form.
const SENTENCE_PIECE: [&str; 3] = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"];
/// Files that belong to a tokenizer and are only copied.
const COPIED: [&str; 1] = ["merges.txt"];

/// The texts of a tokenizer's files, and the names of its others. A copy shares the texts, which may have megabytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizerFiles {
    texts: BTreeMap<String, Arc<str>>,
    /// Files that are no text, or not read as one.
    others: BTreeSet<String>,
}

impl TokenizerFiles {
    /// Reads them from a model's folder. Files above [`MAX_SMALL_FILE`] are left out, as they are when the model is opened.
    pub async fn read<S: Source>(folder: &Folder<S>) -> Result<Self, ModelError> {
        let mut files = Self::default();
        for name in TEXTS.into_iter().chain(SENTENCE_PIECE).chain(COPIED) {
            let Some(source) = folder.files.get(name).filter(|source| source.len() <= MAX_SMALL_FILE) else { continue };
            if TEXTS.contains(&name) {
                files.insert(name, crate::model::open::read_small(name, source).await?);
            } else {
                files.others.insert(name.to_owned());
            }
        }
        Ok(files)
    }

    /// Adds a file.
    pub fn insert(&mut self, name: &str, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) => drop(self.texts.insert(name.to_owned(), text.into())),
            Err(_) => drop(self.others.insert(name.to_owned())),
        }
    }

    /// Adds `file` of another tokenizer as `name`.
    pub fn take_over(&mut self, name: &str, from: &Self, file: &str) {
        if let Some(text) = from.texts.get(file) {
            self.texts.insert(name.to_owned(), text.clone());
        } else if from.others.contains(file) {
            self.others.insert(name.to_owned());
        }
    }

    /// The text of a file.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(AsRef::as_ref)
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.texts.contains_key(name) || self.others.contains(name)
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> BTreeSet<&str> {
        set_of(self.texts.keys().chain(&self.others).map(String::as_str))
    }

    /// The text of a file that is there.
    pub(super) fn require(&self, name: &str) -> Result<&str, TokenizerError> {
        self.text(name).ok_or_else(|| TokenizerError::Malformed {
            file: name.to_owned(),
            problem: "it is not text in UTF-8".to_owned(),
        })
    }

    /// A SentencePiece model among them.
    pub(super) fn sentence_piece(&self) -> Option<&'static str> {
        SENTENCE_PIECE.into_iter().find(|name| self.has(name))
    }
}
