//! Models, read from their files.

use std::collections::BTreeMap;

use merge_studio::model::{self, Folder};
use merge_studio_eval::model::{Error, Memory, Model, RawTensor, SourceError, TokenizerFiles, Weights, foresee};
use merge_studio_web::io::WebFile;
use web_sys::Blob;

use crate::protocol::{ModelFiles, Refusal};

/// Tokens of the texts for which room is foreseen. Longer ones take more when they come.
const TOKENS: usize = 4096;
/// Bytes that a program in a browser can have, less what is not the models'.
const MOST: u64 = (4 << 30) - (256 << 20);

/// A model's files, none read.
pub struct Files {
    folder: Folder<Option<WebFile>>,
}

impl Files {
    /// The files by their paths.
    pub fn new(given: &ModelFiles, blobs: Vec<Blob>) -> Self {
        let files = given.paths.iter().cloned().zip(blobs.into_iter().map(|blob| WebFile::new(blob).ok())).collect();
        Self { folder: Folder { name: given.name.clone(), files } }
    }

    /// What the model will take.
    pub fn foresee(&self) -> Result<Memory, Refusal> {
        if self.folder.files.contains_key("adapter_config.json") {
            return Err(Refusal::Adapter);
        }
        let memory = foresee(&self.needed("config.json")?, TOKENS).map_err(|error| refused(&error))?;
        self.needed("tokenizer.json")?;
        if memory.peak() > MOST {
            return Err(Refusal::Memory { wanted: memory.peak() });
        }
        Ok(memory)
    }

    /// Reads it.
    pub async fn load(&self) -> Result<Model, Refusal> {
        let memory = self.foresee()?;
        if !is_there(memory.peak()) {
            return Err(Refusal::Memory { wanted: memory.peak() });
        }
        let files: BTreeMap<String, WebFile> =
            self.folder.files.iter().filter_map(|(path, file)| Some((path.clone(), file.clone()?))).collect();
        let folder = Folder { name: self.folder.name.clone(), files };
        let opened = model::open(&folder).await.map_err(|error| Refusal::Words(error.to_string()))?;
        let config = self.needed("config.json")?;
        let tokenizer = self.needed("tokenizer.json")?;
        let tokenizer_config = self.text("tokenizer_config.json")?;
        let special_tokens = self.text("special_tokens_map.json")?;
        let chat_template = self.text("chat_template.jinja")?;
        let generation_config = self.text("generation_config.json")?;
        let files = merge_studio_eval::model::Files {
            config: &config,
            tokenizer: TokenizerFiles {
                tokenizer: tokenizer.as_bytes(),
                config: tokenizer_config.as_deref(),
                special_tokens: special_tokens.as_deref(),
                chat_template: chat_template.as_deref(),
            },
            generation_config: generation_config.as_deref(),
        };
        Model::open(&files, &mut Tensors { folder, opened }).map_err(|error| refused(&error))
    }

    fn needed(&self, path: &str) -> Result<String, Refusal> {
        self.text(path)?.ok_or_else(|| Refusal::Lacks(path.to_owned()))
    }

    fn text(&self, path: &str) -> Result<Option<String>, Refusal> {
        let Some(file) = self.folder.files.get(path) else { return Ok(None) };
        let unread = |why: String| Refusal::Words(format!("{path}: {why}"));
        let file = file.as_ref().ok_or_else(|| unread("it cannot be read here".to_owned()))?;
        let mut bytes = vec![0; file.blob().size() as usize];
        file.read_now(0, &mut bytes).map_err(|error| unread(error.to_string()))?;
        String::from_utf8(bytes).map(Some).map_err(|error| unread(error.to_string()))
    }
}

/// What a model's own error means to the view.
pub fn refused(error: &Error) -> Refusal {
    Refusal::Words(error.to_string())
}

/// Room for several models at once.
#[derive(Default)]
pub struct Room {
    models: u64,
    loading: u64,
}

impl Room {
    /// One more.
    pub fn add(&mut self, memory: &Memory) {
        self.models += memory.weights + memory.cache + memory.working;
        self.loading = self.loading.max(memory.largest_tensor);
    }

    /// Whether the browser gives it.
    pub fn is_there(&self) -> bool {
        is_there(self.models + self.loading)
    }
}

/// Whether the browser gives so many bytes. They are taken and given back: the program keeps them for what comes next.
fn is_there(bytes: u64) -> bool {
    let mut room: Vec<Vec<u8>> = Vec::new();
    let mut missing = bytes;
    while bytes <= MOST && missing > 0 {
        // One piece cannot be larger than half of what there is.
        let size = missing.min(1 << 29);
        let mut piece = Vec::new();
        if piece.try_reserve_exact(size as usize).is_err() {
            break;
        }
        room.push(piece);
        missing -= size;
    }
    // An allocation that nobody looks at may be left out.
    std::hint::black_box(&room);
    missing == 0
}

/// Tensors of a folder, each read when it is asked for.
struct Tensors {
    folder: Folder<WebFile>,
    opened: model::Model,
}

impl Weights for Tensors {
    fn tensor(&mut self, name: &str) -> Result<Option<RawTensor>, SourceError> {
        let Some(tensor) = self.opened.tensors.get(name) else { return Ok(None) };
        let path = self.opened.weight_files.get(tensor.file).map_or("", |file| file.name.as_str());
        let file = self.folder.files.get(path).ok_or_else(|| format!("{path} is not there"))?;
        let mut bytes = vec![0; tensor.len as usize];
        file.read_now(tensor.offset, &mut bytes)?;
        Ok(Some(RawTensor {
            dtype: tensor.dtype.name().to_owned(),
            shape: tensor.shape.iter().map(|size| *size as usize).collect(),
            bytes,
        }))
    }
}
