//! Models, read from their files or merged as they are read.

use merge_studio::format::Source;
use merge_studio::model::{self, Folder};
use merge_studio_eval::model::{Error, Memory, Model, RawTensor, SourceError, TokenizerFiles, Weights, foresee};
use merge_studio_web::io::WebFile;
use web_sys::Blob;

use super::merged::{Merged, now};
use super::shelf::{self, Shelf, Shelved};
use crate::protocol::{ModelFiles, Refusal};

/// Tokens of the texts for which room is foreseen. Longer ones take more when they come.
const TOKENS: usize = 4096;
/// Bytes that a program in a browser can have, less what is not the models'.
const MOST: u64 = (4 << 30) - (256 << 20);

/// A model's file.
pub type File = Shelved<WebFile>;

/// Where a model comes from. None of its weights is read before it is loaded.
pub enum Origin {
    /// Its files; none where the browser cannot read one.
    Folder(Folder<Option<File>>),
    /// A merge that is not written, or why it cannot be planned.
    Merge(Result<Box<Merged<File>>, String>),
}

impl Origin {
    /// What the model will take.
    fn foresee(&self) -> Result<Memory, Refusal> {
        let (read, room): (&Read<'_>, u64) = match self {
            Self::Folder(folder) if folder.files.contains_key("adapter_config.json") => return Err(Refusal::Adapter),
            Self::Folder(folder) => (&|path| file(folder, path), shelf::room(folder.files.values().flatten())),
            Self::Merge(Ok(merged)) => (&|path| merged.file(path), merged.room() + shelf::room(merged.sources())),
            Self::Merge(Err(why)) => return Err(Refusal::Words(why.clone())),
        };
        let memory = foresee(&needed(read, "config.json")?, TOKENS).map_err(|error| refused(&error))?;
        needed(read, "tokenizer.json")?;
        let memory = Memory { largest_tensor: memory.largest_tensor + room, ..memory };
        if memory.peak() > MOST {
            return Err(Refusal::Memory { wanted: memory.peak() });
        }
        Ok(memory)
    }

    /// Reads it, or merges it.
    pub async fn load(&mut self) -> Result<Model, Refusal> {
        let memory = self.foresee()?;
        if !is_there(memory.peak()) {
            return Err(Refusal::Memory { wanted: memory.peak() });
        }
        match self {
            Self::Folder(folder) => {
                let readable = readable(folder);
                let opened = model::open(&readable).await.map_err(|error| Refusal::Words(error.to_string()))?;
                Texts::read(&|path| file(folder, path))?.open(&mut Tensors { folder: readable, opened })
            }
            Self::Merge(Ok(merged)) => {
                let texts = Texts::read(&|path| merged.file(path))?;
                texts.open(&mut **merged)
            }
            Self::Merge(Err(why)) => Err(Refusal::Words(why.clone())),
        }
    }
}

/// A model's files by their paths.
pub fn folder(given: &ModelFiles, blobs: Vec<Blob>, shelf: &Shelf) -> Folder<Option<File>> {
    let file = |blob| WebFile::new(blob).ok().map(|file| shelf.keep(file));
    let files = given.paths.iter().cloned().zip(blobs.into_iter().map(file)).collect();
    Folder { name: given.name.clone(), files }
}

/// Those that the browser can read.
pub fn readable(folder: &Folder<Option<File>>) -> Folder<File> {
    let files = folder.files.iter().filter_map(|(path, file)| Some((path.clone(), file.clone()?))).collect();
    Folder { name: folder.name.clone(), files }
}

/// A file beside the weights, by its path, if there is one.
type Read<'a> = dyn Fn(&str) -> Result<Option<Vec<u8>>, SourceError> + 'a;

fn file(folder: &Folder<Option<File>>, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
    let Some(file) = folder.files.get(path) else { return Ok(None) };
    let file = file.as_ref().ok_or("it cannot be read here")?;
    let mut bytes = vec![0; file.len() as usize];
    now(file.read(0, &mut bytes))??;
    Ok(Some(bytes))
}

fn text(read: &Read<'_>, path: &str) -> Result<Option<String>, Refusal> {
    let unread = |why: SourceError| Refusal::Words(format!("{path}: {why}"));
    let bytes = read(path).map_err(unread)?;
    bytes.map(String::from_utf8).transpose().map_err(|error| unread(error.into()))
}

fn needed(read: &Read<'_>, path: &str) -> Result<String, Refusal> {
    text(read, path)?.ok_or_else(|| Refusal::Lacks(path.to_owned()))
}

/// What a model says of itself beside its weights.
struct Texts {
    config: String,
    tokenizer: String,
    tokenizer_config: Option<String>,
    special_tokens: Option<String>,
    chat_template: Option<String>,
    generation_config: Option<String>,
}

impl Texts {
    fn read(read: &Read<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            config: needed(read, "config.json")?,
            tokenizer: needed(read, "tokenizer.json")?,
            tokenizer_config: text(read, "tokenizer_config.json")?,
            special_tokens: text(read, "special_tokens_map.json")?,
            chat_template: text(read, "chat_template.jinja")?,
            generation_config: text(read, "generation_config.json")?,
        })
    }

    fn open(&self, weights: &mut dyn Weights) -> Result<Model, Refusal> {
        let files = merge_studio_eval::model::Files {
            config: &self.config,
            tokenizer: TokenizerFiles {
                tokenizer: self.tokenizer.as_bytes(),
                config: self.tokenizer_config.as_deref(),
                special_tokens: self.special_tokens.as_deref(),
                chat_template: self.chat_template.as_deref(),
            },
            generation_config: self.generation_config.as_deref(),
        };
        Model::open(&files, weights).map_err(|error| refused(&error))
    }
}

/// What a model's own error means to the view.
pub fn refused(error: &Error) -> Refusal {
    Refusal::Words(error.to_string())
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
    folder: Folder<File>,
    opened: model::Model,
}

impl Weights for Tensors {
    fn tensor(&mut self, name: &str) -> Result<Option<RawTensor>, SourceError> {
        let Some(tensor) = self.opened.tensors.get(name) else { return Ok(None) };
        let path = self.opened.weight_files.get(tensor.file).map_or("", |file| file.name.as_str());
        let file = self.folder.files.get(path).ok_or_else(|| format!("{path} is not there"))?;
        let mut bytes = vec![0; tensor.len as usize];
        now(file.read(tensor.offset, &mut bytes))??;
        Ok(Some(RawTensor {
            dtype: tensor.dtype.name().to_owned(),
            shape: tensor.shape.iter().map(|size| *size as usize).collect(),
            bytes,
        }))
    }

    fn has(&mut self, name: &str) -> Result<bool, SourceError> {
        Ok(self.opened.tensors.contains_key(name))
    }
}
