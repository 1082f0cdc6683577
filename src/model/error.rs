//! Why a folder cannot be opened as a model, and what to do about it.

use serde::{Deserialize, Serialize};

use super::AdapterError;
use crate::format::{Foreign, HeaderError, IndexError, ReadError};

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
    #[error("{file} holds {format}, not safetensors. {}", .format.advice(.file))]
    OtherFormat {
        /// Path inside the folder of one such file.
        file: String,
        /// The format, by the file's name or its first bytes.
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

    /// The format of a file called `name` that was read as safetensors in vain, if its first bytes or its name tell.
    pub(super) fn instead(name: &str, error: &HeaderError) -> Option<Self> {
        match error {
            HeaderError::Foreign(Foreign::Gguf) => Some(Self::Gguf),
            HeaderError::Foreign(Foreign::Pickle) => Some(Self::PyTorch),
            _ => Self::of(name),
        }
    }

    fn advice(self, file: &str) -> String {
        // The line is meant to be pasted: a name that a shell or Python could read as more than a name is left for the reader to fill in.
        let plain = file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
        let file = if plain { file } else { "FILE" };
        match self {
            Self::PickledAdapter => {
                "Convert it in its folder with: python -c \"import torch, safetensors.torch as s; \
                 s.save_file({k: v.clone() for k, v in torch.load('adapter_model.bin', map_location='cpu', weights_only=True).items()}, \
                 'adapter_model.safetensors')\""
                    .to_owned()
            }
            Self::PyTorch => format!(
                "Such files can run code when they are read; this makes a safetensors file of it, and runs none: \
                 python -c \"import torch, safetensors.torch as s; t = torch.load('{file}', map_location='cpu', weights_only=True); \
                 t = t.get('state_dict', t); \
                 s.save_file({{n: x.clone().contiguous() for n, x in t.items() if torch.is_tensor(x)}}, 'model.safetensors', {{'format': 'pt'}})\""
            ),
            Self::Gguf => "GGUF is what models are turned into for llama.cpp, most often with their numbers coarsened, and nothing is merged from it. Take \
                           the model's safetensors files that it was made from: on a hub, those of the repository without GGUF in its name"
                .to_owned(),
            Self::Foreign => {
                "Load it with the library that it is for, or with transformers, and save it as safetensors".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_come_with_what_to_do() {
        let said = |file: &str, format| ModelError::OtherFormat { file: file.into(), format }.to_string();
        let gguf = said("a.Q4_0.gguf", OtherFormat::Gguf);
        assert!(gguf.starts_with("a.Q4_0.gguf holds GGUF weights, not safetensors. ") && gguf.contains("without GGUF"));
        let pickle = said("pytorch_model.bin", OtherFormat::PyTorch);
        assert!(pickle.contains("torch.load('pytorch_model.bin', map_location='cpu', weights_only=True)"), "{pickle}");
        let odd = said("a'); evil('.bin", OtherFormat::PyTorch);
        assert!(odd.contains("torch.load('FILE', "), "{odd}");
        let lines = "t = t.get('state_dict', t); s.save_file({n: x.clone().contiguous() for n, x in t.items() if ";
        assert!(pickle.contains(lines), "{pickle}");
    }
}
