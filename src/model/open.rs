//! Opening a folder: headers, config.json and the small files beside the weights. Weights are not read.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::format::{Header, INDEX_NAME, ReadError, ShardIndex, Source};

use super::fingerprint::{Fingerprint, hex};
use super::weights::{self, Choice};
use super::{
    Adapter, Companion, Config, Family, Folder, IgnoredReason, Model, ModelError, ModelNotice, OtherFormat, Tensor,
    Vocabulary, WeightFile, lora,
};

/// The most bytes that are read of a small file (configuration, index, tokenizer, template): 64 MiB.
/// The largest tokenizers in use are half of that.
pub const MAX_SMALL_FILE: u64 = 64 << 20;

/// What is read at once from the beginning of a weight file: most headers fit.
const FIRST_READ: u64 = 64 << 10;

/// Small files that an output folder takes over from the donor.
const COMPANIONS: [&str; 13] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    TOKENIZER,
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

/// Companions that hold a vocabulary: one of them makes a tokenizer.
const VOCABULARIES: [&str; 6] =
    ["sentencepiece.bpe.model", "spiece.model", TOKENIZER, "tokenizer.model", "vocab.json", "vocab.txt"];

const TOKENIZER: &str = "tokenizer.json";

/// Whether a file of this name is taken over from the donor into an output.
pub fn is_companion(name: &str) -> bool {
    COMPANIONS.contains(&name)
}

/// Opens the model in `folder`.
///
/// Its weight files are the shards that `model.safetensors.index.json` names, if there is one, else the safetensors files at the
/// top of the folder, but for an adapter or consolidated weights beside `model….safetensors`. A lone file may have any name. A
/// folder that holds an adapter and no model is opened as an adapter, which is of use together with its base only.
///
/// Reads headers, the blocks that the fingerprint looks at, and small files, each at most [`MAX_SMALL_FILE`] bytes.
pub async fn open<S: Source>(folder: &Folder<S>) -> Result<Model, ModelError> {
    let mut opening = Opening { folder, tensors: BTreeMap::new(), weight_files: Vec::new(), notices: Vec::new() };
    let fingerprint = opening.weights().await?;
    let adapter = opening.adapter().await?;
    let config = opening.config(adapter.is_some()).await?;
    let (companions, vocabulary) = opening.companions(adapter.is_some()).await?;
    let names: Vec<&str> = opening.tensors.keys().map(String::as_str).collect();
    Ok(Model {
        name: folder.name.clone(),
        family: Family::detect(&names),
        weight_files: opening.weight_files,
        tensors: opening.tensors,
        config,
        companions,
        vocabulary,
        fingerprint,
        notices: opening.notices,
        adapter,
    })
}

/// A model on its way.
struct Opening<'a, S> {
    folder: &'a Folder<S>,
    tensors: BTreeMap<String, Tensor>,
    weight_files: Vec<WeightFile>,
    notices: Vec<ModelNotice>,
}

impl<S: Source> Opening<'_, S> {
    /// Reads the headers of all weight files; gives their fingerprint.
    async fn weights(&mut self) -> Result<String, ModelError> {
        let names = self.folder.files.keys().map(String::as_str);
        let index = self.index().await?;
        let Choice { files, notices } = match &index {
            Some(index) => weights::by_index(index, names)?,
            None => weights::without_index(names)?,
        };
        self.notices.extend(notices);
        let mut fingerprint = Fingerprint::default();
        for name in files {
            self.weight_file(name, &mut fingerprint).await?;
        }
        if self.tensors.is_empty() {
            return Err(ModelError::NoTensors);
        }
        if let Some(index) = index {
            self.compare(&index)?;
        }
        Ok(fingerprint.finish())
    }

    async fn index(&self) -> Result<Option<ShardIndex>, ModelError> {
        let Some(source) = self.folder.files.get(INDEX_NAME) else { return Ok(None) };
        let text = read_text(INDEX_NAME, source).await?;
        ShardIndex::parse(&text).map(Some).map_err(|error| ModelError::Index { file: INDEX_NAME.to_owned(), error })
    }

    async fn weight_file(&mut self, name: String, fingerprint: &mut Fingerprint) -> Result<(), ModelError> {
        let Some(source) = self.folder.files.get(&name) else { return Ok(()) };
        let read_error = |error| ModelError::Read { file: name.clone(), error };
        let header_error = |error| match OtherFormat::instead(&name, &error) {
            Some(format) => ModelError::OtherFormat { file: name.clone(), format },
            None => ModelError::Header { file: name.clone(), error },
        };

        let len = source.len();
        let mut head = vec![0; len.min(FIRST_READ) as usize];
        source.read(0, &mut head).await.map_err(read_error)?;
        // A file of less than eight bytes is refused by its length alone.
        let prefix = head.first_chunk().copied().unwrap_or_default();
        let head_len = 8 + Header::length(prefix, len).map_err(header_error)? as usize;
        let first = head.len();
        head.resize(head_len, 0);
        if first < head_len {
            source.read(first as u64, &mut head[first..]).await.map_err(read_error)?;
        }
        let header = Header::parse(&head[8..], len).map_err(header_error)?;
        fingerprint.add(source, &head).await.map_err(read_error)?;

        let file = self.weight_files.len();
        for entry in header.tensors {
            let tensor = Tensor {
                file,
                dtype: entry.dtype,
                shape: entry.shape,
                offset: header.data_start + entry.start,
                len: entry.end - entry.start,
            };
            if let Some(other) = self.tensors.get(&entry.name) {
                let first = self.weight_files[other.file].name.clone();
                return Err(ModelError::DuplicateTensor { tensor: entry.name, first, second: name });
            }
            self.tensors.insert(entry.name, tensor);
        }
        self.weight_files.push(WeightFile { name, len });
        Ok(())
    }

    /// Compares what the index says with what the shards hold.
    fn compare(&mut self, index: &ShardIndex) -> Result<(), ModelError> {
        for (file, shard) in self.weight_files.iter().enumerate() {
            let lacks = |name: &str| self.tensors.get(name).is_none_or(|tensor| tensor.file != file);
            let mut named = index.weight_map.iter().filter(|(_, named)| **named == shard.name);
            if let Some((tensor, _)) = named.find(|(tensor, _)| lacks(tensor)) {
                return Err(ModelError::NotInShard { tensor: tensor.clone(), shard: shard.name.clone() });
            }
        }
        let unnamed: Vec<String> =
            self.tensors.keys().filter(|name| !index.weight_map.contains_key(*name)).cloned().collect();
        if !unnamed.is_empty() {
            self.notices.push(ModelNotice::NotInIndex(unnamed));
        }
        Ok(())
    }

    /// What adapter_config.json says, if the adapter's weights are all that there is.
    async fn adapter(&self) -> Result<Option<Adapter>, ModelError> {
        let Some(source) = self.folder.files.get(lora::CONFIG) else { return Ok(None) };
        if self.weight_files.iter().any(|file| file.name != lora::WEIGHTS) {
            return Ok(None);
        }
        let text = read_text(lora::CONFIG, source).await?;
        Adapter::parse(&text).map(Some).map_err(ModelError::Adapter)
    }

    async fn config(&mut self, is_adapter: bool) -> Result<Option<Config>, ModelError> {
        const NAME: &str = "config.json";
        let Some(source) = self.folder.files.get(NAME) else {
            // An adapter has none, and brings none.
            if !is_adapter {
                self.notices.push(ModelNotice::NoConfig);
            }
            return Ok(None);
        };
        Config::parse(read_text(NAME, source).await?).map(Some)
    }

    /// Hashes the small files that an output folder takes over, and reads the vocabulary.
    async fn companions(
        &mut self,
        is_adapter: bool,
    ) -> Result<(BTreeMap<String, Companion>, Option<Vocabulary>), ModelError> {
        let (mut companions, mut vocabulary) = (BTreeMap::new(), None);
        for name in COMPANIONS {
            let Some(source) = self.folder.files.get(name) else { continue };
            if source.len() > MAX_SMALL_FILE {
                let reason = IgnoredReason::TooLarge { limit: MAX_SMALL_FILE };
                self.notices.push(ModelNotice::IgnoredFile { name: name.to_owned(), reason });
                continue;
            }
            let bytes = read_small(name, source).await?;
            if name == TOKENIZER {
                match Vocabulary::parse(&bytes) {
                    Ok(read) => vocabulary = Some(read),
                    Err(problem) => self.notices.push(ModelNotice::UnknownVocabulary { problem }),
                }
            }
            let sha256 = hex(&Sha256::digest(&bytes));
            companions.insert(name.to_owned(), Companion { len: source.len(), sha256 });
        }
        if !is_adapter && !VOCABULARIES.iter().any(|name| companions.contains_key(*name)) {
            self.notices.push(ModelNotice::NoTokenizer);
        }
        Ok((companions, vocabulary))
    }
}

/// The whole of a small file.
pub(super) async fn read_small<S: Source>(name: &str, source: &S) -> Result<Vec<u8>, ModelError> {
    let (file, len) = (name.to_owned(), source.len());
    if len > MAX_SMALL_FILE {
        return Err(ModelError::TooLarge { file, len, limit: MAX_SMALL_FILE });
    }
    let mut bytes = vec![0; len as usize];
    let read: Result<(), ReadError> = source.read(0, &mut bytes).await;
    read.map_err(|error| ModelError::Read { file, error })?;
    Ok(bytes)
}

/// The whole of a small text.
async fn read_text<S: Source>(name: &str, source: &S) -> Result<String, ModelError> {
    String::from_utf8(read_small(name, source).await?)
        .map_err(|error| ModelError::NotText { file: name.to_owned(), at: error.utf8_error().valid_up_to() as u64 })
}
