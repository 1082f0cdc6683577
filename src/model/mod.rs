//! What a folder of files is: its tensors, configuration, architecture family, tokenizer and fingerprint.
//!
//! Opening a model reads headers and small text files only, never weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::{DType, Source};

/// The files that a person gave, before anything was read. A lone file is a folder of one.
#[derive(Clone, Debug)]
pub struct Folder<S> {
    /// What the model is called: the folder's name, or the file's stem.
    pub name: String,
    /// Every file by its path inside the folder.
    pub files: BTreeMap<String, S>,
}

/// A model that was opened: all that planning and showing need, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What it is called.
    pub name: String,
    /// Its safetensors files, in order of their names; [`Tensor::file`] counts in it.
    pub weight_files: Vec<WeightFile>,
    /// Its tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// What config.json says, if there is one.
    pub config: Option<Config>,
    /// How its tensors' names give layer numbers.
    pub family: Family,
    /// The small files beside the weights that an output folder takes over (tokenizer, generation config, chat template …), by name.
    pub companions: BTreeMap<String, Companion>,
    /// The tokenizer's vocabulary as far as two of them are compared: SHA-256 over its tokens and their ids, and how many.
    pub vocabulary: Option<Vocabulary>,
    /// SHA-256 over every weight file's length, header and 64 fixed 4-KiB blocks (lower-case hex).
    pub fingerprint: String,
    /// What is missing or odd, and what that means.
    pub notices: Vec<ModelNotice>,
}

/// One safetensors file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightFile {
    /// Path inside the folder.
    pub name: String,
    /// Length in bytes.
    pub len: u64,
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Index into [`Model::weight_files`].
    pub file: usize,
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Vec<u64>,
    /// First byte in the file (the header counted).
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// config.json, as far as merging reads it, and its whole text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// First of `architectures`.
    pub architecture: Option<String>,
    /// `model_type`.
    pub model_type: Option<String>,
    /// `num_hidden_layers`, `n_layer` or their like.
    pub layers: Option<u64>,
    /// `vocab_size`.
    pub vocab_size: Option<u64>,
    /// `tie_word_embeddings`; `None` where the file does not say.
    pub tied: Option<bool>,
    /// The file as it stands.
    pub text: String,
}

/// A small file beside the weights, carried into the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// Length in bytes.
    pub len: u64,
    /// SHA-256 (lower-case hex).
    pub sha256: String,
}

/// A tokenizer's vocabulary, for comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Number of tokens, added ones included.
    pub tokens: u64,
    /// SHA-256 over (id, token) in order of ids.
    pub sha256: String,
}

/// How tensor names give layer numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    /// `model.layers.N.`; `model.embed_tokens.`, `model.norm.`, `lm_head.`.
    Llama,
    /// `encoder.layer.N.` with or without `bert.`.
    Bert,
    /// `h.N.` with or without `transformer.`.
    Gpt2,
    /// The first number between dots.
    Generic,
}

/// Where a tensor stands along the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the first layer: embeddings.
    Before,
    /// In layer N.
    Layer(u64),
    /// After the last layer: final norm, head, pooler.
    After,
}

/// What is missing or odd about a model that could be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelNotice {
    /// No config.json: the output folder will have none either, and layers are guessed from names.
    NoConfig,
    /// No tokenizer files.
    NoTokenizer,
    /// An index names these shards, and they are not there. Tensors in them cannot be merged.
    MissingShards(Vec<String>),
    /// A file was not understood and is left out: its name and why.
    IgnoredFile {
        /// Path inside the folder.
        name: String,
        /// Why.
        reason: String,
    },
}

impl<S: Source> Folder<S> {
    /// The sources of `model`'s weight files, in the order that [`Tensor::file`] counts in.
    pub fn weight_sources<'a>(&'a self, model: &Model) -> Vec<&'a S> {
        model.weight_files.iter().filter_map(|file| self.files.get(&file.name)).collect()
    }
}
