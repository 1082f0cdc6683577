//! Why a folder cannot be opened as a model, and what to do about it.

use serde::{Deserialize, Serialize};

use super::AdapterError;
use crate::format::{HeaderError, IndexError, ReadError};

/// Why a folder cannot be opened as a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ModelError {
    /// A safetensors file is damaged, or is none.
    #[error("{file}: {error}")]
    Header {
        /// Path inside the folder.
        file: String,
        /// What is wrong.
        error: HeaderError,
    },
    /// The shard index is damaged.
    #[error("{file}: {error}")]
    Index {
        /// Path inside the folder.
        file: String,
        /// What is wrong.
        error: IndexError,
    },
    /// A file could not be read.
    #[error("{file}: {error}")]
    Read {
        /// Path inside the folder.
        file: String,
        /// What the host says.
        error: ReadError,
    },
    /// There is no safetensors file at the top of the folder.
    #[error("no .safetensors file here{}", .nested.as_ref().map_or_else(String::new, |path| format!(": open the folder that {path} lies in")))]
    NoWeights {
        /// A safetensors file further down, if there is one.
        nested: Option<String>,
    },
    /// The weights are in another format only.
    #[error("{file} holds {format}, and there is no .safetensors file: {}", .format.advice())]
    OtherFormat {
        /// Path inside the folder of one such file.
        file: String,
        /// The format, by the file's name.
        format: OtherFormat,
    },
    /// Of the shards that the index names, not one is there.
    #[error("none of the shards that the index names is here: {}", .0.join(", "))]
    NoShards(Vec<String>),
    /// The index says that a shard holds a tensor, and it does not.
    #[error(
        "the index says that tensor {tensor} is in {shard}, but it is not: index and shards are not of the same model"
    )]
    NotInShard {
        /// The tensor.
        tensor: String,
        /// The shard.
        shard: String,
    },
    /// Two files hold a tensor of the same name.
    #[error("tensor {tensor} is both in {first} and in {second}: keep the files of one checkpoint only")]
    DuplicateTensor {
        /// The tensor.
        tensor: String,
        /// One of the files.
        first: String,
        /// The other one.
        second: String,
    },
    /// The weight files hold no tensor at all.
    #[error("the weight files hold no tensors")]
    NoTensors,
    /// config.json cannot be read as a JSON object.
    #[error("config.json: line {line}, column {column}: {problem}")]
    BadConfig {
        /// Line of the first offence, counted from 1.
        line: u64,
        /// Column of the first offence, counted from 1.
        column: u64,
        /// The parser's words.
        problem: String,
    },
    /// The folder is an adapter that cannot be used.
    #[error("{0}")]
    Adapter(AdapterError),
    /// A file that is read whole is larger than such a file ever is.
    #[error("{file} has {len} bytes; at most {limit} are read of such a file")]
    TooLarge {
        /// Path inside the folder.
        file: String,
        /// Its length in bytes.
        len: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A file that should be text is not UTF-8.
    #[error("{file} is not a text in UTF-8 (byte {at})")]
    NotText {
        /// Path inside the folder.
        file: String,
        /// Offset of the first offending byte.
        at: u64,
    },
}

/// Formats that hold weights and are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum OtherFormat {
    /// `adapter_model.bin`.
    #[error("a LoRA adapter as a pickle")]
    PickledAdapter,
    /// `.bin`, `.pt`, `.pth`, `.ckpt`.
    #[error("PyTorch weights")]
    PyTorch,
    /// `.gguf`, `.ggml`.
    #[error("GGUF weights")]
    Gguf,
    /// `.h5`, `.msgpack`, `.onnx`.
    #[error("weights for another framework")]
    Foreign,
}

impl OtherFormat {
    /// The format of a file called `name`.
    pub(super) fn of(name: &str) -> Option<Self> {
        if name == "adapter_model.bin" {
            return Some(Self::PickledAdapter);
        }
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "bin" | "pt" | "pth" | "ckpt" => Some(Self::PyTorch),
            "gguf" | "ggml" => Some(Self::Gguf),
            "h5" | "msgpack" | "onnx" => Some(Self::Foreign),
            _ => None,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::PickledAdapter => {
                "convert it in its folder with: python -c \"import torch, safetensors.torch as s; \
                 s.save_file({k: v.clone() for k, v in torch.load('adapter_model.bin', map_location='cpu', weights_only=True).items()}, \
                 'adapter_model.safetensors')\""
            }
            Self::PyTorch | Self::Foreign => {
                "load it with the transformers library and save it again, which writes safetensors"
            }
            Self::Gguf => "its weights are quantized; take the safetensors checkpoint that it was made from",
        }
    }
}
