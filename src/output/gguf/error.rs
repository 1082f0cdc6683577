//! Why a model cannot be written as GGUF, and what is odd about one that can.

use super::GgufType;
use crate::format::{DType, ReadError};
use crate::kernel::BackendError;
use crate::run::WriteError;

/// Why a GGUF file cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The messages name the fields.
pub enum GgufError {
    /// Nothing says what the tensors mean.
    #[error(
        "there is no config.json, and without it nobody knows what the tensors mean: put the model's own beside the weights"
    )]
    NoConfig,
    /// An architecture whose tensors are not mapped here.
    #[error("{found} cannot be written as GGUF yet; these can: {supported}. llama.cpp's own converter may know it")]
    UnsupportedArchitecture { found: String, supported: String },
    /// config.json lacks a number that GGUF needs.
    #[error("config.json has no {key}, which GGUF needs")]
    MissingSetting { key: &'static str },
    /// config.json says something impossible.
    #[error("config.json: {key} is {found}; expected {expected}")]
    BadSetting { key: &'static str, found: String, expected: &'static str },
    /// config.json says something that llama.cpp would silently ignore.
    #[error(
        "config.json: {key} is {found}, which llama.cpp would silently ignore for this architecture; it cannot be written as GGUF"
    )]
    UnsupportedSetting { key: &'static str, found: String },
    /// No tokenizer, without which llama.cpp loads nothing.
    #[error("there is no tokenizer.json and no tokenizer.model: a GGUF file carries its tokenizer, so put the model's own beside the weights{}", if *.old_files { " (vocab.json and merges.txt are not enough: load the tokenizer with the transformers library and save it again, which writes tokenizer.json)" } else { "" })]
    NoTokenizer { old_files: bool },
    /// A tokenizer that GGUF has no exact form of.
    #[error("{file}: {what}; it cannot be written as GGUF")]
    UnsupportedTokenizer { file: &'static str, what: String },
    /// A tokenizer file that does not say what such files say.
    #[error("{file} cannot be read: {problem}")]
    BadTokenizer { file: &'static str, problem: String },
    /// A file that is read whole is larger than such a file ever is.
    #[error("{file} has {len} bytes; at most {limit} are read of such a file")]
    TooLarge { file: String, len: u64, limit: u64 },
    /// A token without a row in the embedding.
    #[error(
        "the token {token:?} has the id {id}, but the embedding has {rows} rows: tokenizer and weights are not of the same model"
    )]
    TokenWithoutRow { token: String, id: u64, rows: u64 },
    /// The architecture needs a tensor that is not there.
    #[error("the tensor {tensor} is missing; {architecture} needs it")]
    MissingTensor { tensor: String, architecture: &'static str },
    /// A tensor that the architecture does not have.
    #[error("{architecture} has no place for the tensor {tensor}; a GGUF without it would be another model")]
    UnknownTensor { tensor: String, architecture: &'static str },
    /// A tensor's shape is not what config.json makes it.
    #[error("{tensor} has the shape {found:?}, but config.json makes it {expected:?}")]
    ShapeDiffers { tensor: String, found: Vec<u64>, expected: Vec<u64> },
    /// Weights that are no floats.
    #[error("{tensor} is {found}; only F16, BF16, F32 and F64 can be written as GGUF")]
    UnsupportedType { tensor: String, found: DType },
    /// Values that the type cannot hold.
    #[error("{count} values of {tensor} are too large for {dtype} and would become infinite; write {} instead", if *.dtype == GgufType::F16 { "BF16 or F32" } else { "F32" })]
    Overflow { tensor: String, count: u64, dtype: GgufType },
    /// A source could not be read.
    #[error("{what} could not be read: {error}")]
    Read { what: String, error: ReadError },
    /// The file could not be written.
    #[error("the GGUF file could not be written: {0}")]
    Write(WriteError),
    /// The reference backend itself failed.
    #[error("{tensor} could not be converted: {error}")]
    Convert { tensor: String, error: BackendError },
}

/// What is odd about a GGUF file that can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The messages name the fields.
pub enum GgufNotice {
    /// How text is cut before tokens are merged is none of the ways that are known here.
    #[error(
        "tokenizer.json cuts text in a way that is not known here, so the file says `default`: llama.cpp may find other tokens in a text than the model was trained on"
    )]
    UnknownPreTokenizer,
    /// A tensor is left out, and nothing is lost.
    #[error("{tensor} is left out: {}", match .reason { LeftOut::Tied => "the embedding stands for it (tied)", LeftOut::Computed => "llama.cpp computes it" })]
    LeftOut { tensor: String, reason: LeftOut },
    /// The model was trained to look back a limited way; llama.cpp looks back all the way.
    #[error(
        "config.json limits attention to {window} tokens, which llama.cpp ignores for this architecture: longer texts may differ"
    )]
    SlidingWindow { window: u64 },
}

/// Why a tensor is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// The head of a model whose head is its embedding.
    Tied,
    /// A table that the settings already say.
    Computed,
}
