//! Why a tokenizer cannot be read or used.

use serde::{Deserialize, Serialize};

/// Why a folder's tokenizer cannot be read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TokenizerError {
    /// The folder has no file with a vocabulary.
    #[error("there are no tokenizer files")]
    Missing,
    /// Only a SentencePiece model is there, which is not read.
    #[error("{file} is a SentencePiece model, which cannot be read here: {REMEDY}")]
    SentencePiece {
        /// Path inside the folder.
        file: String,
    },
    /// A file is not what its name says.
    #[error("{file} cannot be read: {problem}")]
    Malformed {
        /// Path inside the folder.
        file: String,
        /// What is wrong, in the parser's words.
        problem: String,
    },
    /// tokenizer.json is of a kind that is not known.
    #[error("the tokenizer is of type {kind}; known are BPE, WordPiece, WordLevel and Unigram")]
    UnknownKind {
        /// `type` of its model.
        kind: String,
    },
    /// A token's id is far beyond any vocabulary.
    #[error("token {token:?} has the id {id}, which is larger than any vocabulary's")]
    IdTooLarge {
        /// The token.
        token: String,
        /// Its id.
        id: u64,
    },
    /// Tokens without an embedding would have to be taken out of a vocabulary of a kind for which that is not possible.
    #[error(
        "its tokenizer has {tokens} tokens beyond the vocab_size of {vocab_size} in config.json, the first of them {first:?}; \
         they can be taken out of a BPE tokenizer only, and this one is {kind}"
    )]
    CannotStrip {
        /// How many there are.
        tokens: u64,
        /// The one with the lowest id.
        first: String,
        /// What config.json says.
        vocab_size: u64,
        /// The tokenizer's type.
        kind: String,
    },
    /// There is a vocabulary, but no tokenizer.json that the output could take over.
    #[error("there is no tokenizer.json, which the output's tokenizer is made from: {REMEDY}")]
    NoTokenizerJson,
}

/// One line of Python that makes a tokenizer.json.
const REMEDY: &str =
    "make a tokenizer.json once, with transformers' AutoTokenizer.from_pretrained(folder).save_pretrained(folder)";
