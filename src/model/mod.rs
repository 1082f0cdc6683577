//! What a folder of files is: its tensors, configuration, architecture family, tokenizer and fingerprint.
//!
//! Opening a model reads headers and small text files only, never weights.

mod config;
mod error;
mod family;
mod fingerprint;
mod lora;
mod names;
mod open;
mod quantized;
mod section;
pub mod tokenizer;
mod vocabulary;
mod weights;

pub use error::{ModelError, OtherFormat};
pub use lora::{Adapter, AdapterError, Change, MAX_FACTOR, Patch};
pub use names::is_vocabulary;
pub use open::{MAX_SMALL_FILE, is_companion, open};
pub use quantized::Quantized;
pub use section::Section;

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
    /// SHA-256 over every weight file's length, header and 64 fixed 4-KiB blocks (lower-case hex). What it is over exactly is
    /// written where it is made, in `fingerprint.rs`.
    pub fingerprint: String,
    /// What is missing or odd, and what that means.
    pub notices: Vec<ModelNotice>,
    /// What adapter_config.json says, if this is a LoRA adapter and no whole model.
    pub adapter: Option<Adapter>,
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
    /// `tie_word_embeddings`, or where the file does not say, the default of its model type; `None` where that is not known either.
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
    /// `layers.N.` with or without `model.`.
    Llama,
    /// `encoder.layer.N.` with or without `bert.` or its like.
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
    /// The index does not name these tensors of its shards. They are part of the model all the same.
    NotInIndex(Vec<String>),
    /// A file is left out.
    IgnoredFile {
        /// Path inside the folder.
        name: String,
        /// Why.
        reason: IgnoredReason,
    },
    /// tokenizer.json is carried into the output, but its vocabulary cannot be compared.
    UnknownVocabulary {
        /// The parser's words.
        problem: String,
    },
}

/// Why a file is left out of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IgnoredReason {
    /// An adapter beside a whole model.
    Adapter,
    /// The same weights once more, under their publisher's names.
    Consolidated,
    /// The index does not name it.
    NotInIndex,
    /// It is larger than such a file ever is.
    TooLarge {
        /// The most that is read, in bytes.
        limit: u64,
    },
}

impl Model {
    /// Number of elements of all tensors.
    pub fn parameters(&self) -> u64 {
        // An element has at least one byte, so no sum passes the files' lengths.
        self.tensors.values().map(|tensor| tensor.len / tensor.dtype.size()).sum()
    }

    /// Bytes of all tensors together.
    pub fn size(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.len).sum()
    }

    /// How many tensors there are of each element type.
    pub fn dtypes(&self) -> BTreeMap<DType, u64> {
        let mut counts = BTreeMap::new();
        for tensor in self.tensors.values() {
            *counts.entry(tensor.dtype).or_default() += 1;
        }
        counts
    }
}

impl<S: Source> Folder<S> {
    /// The sources of `model`'s weight files, in the order that [`Tensor::file`] counts in.
    pub fn weight_sources<'a>(&'a self, model: &Model) -> Vec<&'a S> {
        model.weight_files.iter().filter_map(|file| self.files.get(&file.name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with tensors of these names, and nothing else.
    pub(super) fn model_of(names: &[&str]) -> Model {
        let tensor = Tensor { file: 0, dtype: DType::F32, shape: vec![], offset: 0, len: 4 };
        Model {
            name: "test".into(),
            weight_files: Vec::new(),
            tensors: names.iter().map(|name| ((*name).to_owned(), tensor.clone())).collect(),
            config: None,
            family: Family::detect(names),
            companions: BTreeMap::new(),
            vocabulary: None,
            fingerprint: String::new(),
            notices: Vec::new(),
            adapter: None,
        }
    }

    #[test]
    fn parameters_size_and_types_are_counted() {
        let mut model = model_of(&["a", "b"]);
        model.tensors.insert("c".into(), Tensor { file: 0, dtype: DType::I64, shape: vec![5], offset: 0, len: 40 });
        assert_eq!((model.parameters(), model.size()), (7, 48));
        assert_eq!(model.dtypes(), BTreeMap::from([(DType::F32, 2), (DType::I64, 1)]));
    }
}
