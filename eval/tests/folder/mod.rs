//! A model's folder, as tests and the benchmark read it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use merge_studio_eval::model::{Files, Model, RawTensor, Result, SourceError, TokenizerFiles, Weights};

/// Tensors of a folder's `model.safetensors`.
pub struct Safetensors(pub Vec<u8>);

impl Weights for Safetensors {
    fn tensor(&mut self, name: &str) -> std::result::Result<Option<RawTensor>, SourceError> {
        let tensors = safetensors::SafeTensors::deserialize(&self.0)?;
        let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
        Ok(Some(RawTensor {
            dtype: format!("{:?}", tensor.dtype()),
            shape: tensor.shape().to_vec(),
            bytes: tensor.data().to_vec(),
        }))
    }
}

pub fn open(folder: &Path, tokenizer: &Path) -> Result<Model> {
    open_as(&fs::read_to_string(folder.join("config.json")).unwrap(), folder, tokenizer)
}

/// With another `config.json` than the folder's.
pub fn open_as(config: &str, folder: &Path, tokenizer: &Path) -> Result<Model> {
    let text = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).ok();
    let tokenizer_config = text(tokenizer, "tokenizer_config.json");
    let special_tokens = text(tokenizer, "special_tokens_map.json");
    let chat_template = text(tokenizer, "chat_template.jinja");
    let generation_config = text(folder, "generation_config.json");
    let files = Files {
        config,
        tokenizer: TokenizerFiles {
            tokenizer: &fs::read(tokenizer.join("tokenizer.json")).unwrap(),
            config: tokenizer_config.as_deref(),
            special_tokens: special_tokens.as_deref(),
            chat_template: chat_template.as_deref(),
        },
        generation_config: generation_config.as_deref(),
    };
    Model::open(&files, &mut Safetensors(fs::read(folder.join("model.safetensors")).unwrap()))
}
