//! A model as one GGUF file, the format of llama.cpp: F16, BF16 or F32, not quantised.
//!
//! As everywhere, first the plan, then the bytes: [`Texts::read`] takes the small files of a folder, [`plan`] makes the file's
//! header and a list of its pieces from them and the headers of the weights, and [`GgufPlan::write_piece`] streams a piece in
//! windows. What GGUF cannot say exactly is refused by name. `docs/gguf.md` says what is written and how it was checked.

mod error;
mod header;
mod pretokenizer;
mod sentencepiece;
mod settings;
mod special;
mod stream;
mod tensors;
mod vocabulary;

pub use error::{GgufError, GgufNotice, LeftOut};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::format::{DType, Source};
use crate::model::{Folder, MAX_SMALL_FILE, Model, Tensor};
use header::{ALIGNMENT, Metadata};
use settings::Settings;
use vocabulary::Vocabulary;

/// The element type of a file's matrices. Norms and biases are F32 in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum GgufType {
    F16,
    BF16,
    F32,
}

impl GgufType {
    /// The type of most of the model's elements. F64 counts as F32.
    pub fn of(model: &Model) -> Self {
        let count = |wanted: &[DType]| -> u64 {
            let of_type = model.tensors.values().filter(|tensor| wanted.contains(&tensor.dtype));
            of_type.map(|tensor| tensor.len / tensor.dtype.size()).sum()
        };
        let (half, brain, full) = (count(&[DType::F16]), count(&[DType::BF16]), count(&[DType::F32, DType::F64]));
        if full >= half.max(brain) {
            Self::F32
        } else if brain >= half {
            Self::BF16
        } else {
            Self::F16
        }
    }

    /// Bytes an element.
    pub fn size(self) -> u64 {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
        }
    }

    /// How the format numbers it for one tensor, and for a file of which it is most.
    fn numbers(self) -> (u32, u32) {
        match self {
            Self::F32 => (0, 0),
            Self::F16 => (1, 1),
            Self::BF16 => (30, 32),
        }
    }
}

impl std::fmt::Display for GgufType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F32 => "F32",
        })
    }
}

/// A file that is not written yet.
#[derive(Clone, Debug)]
pub struct GgufPlan {
    /// Everything before the tensors: a few megabytes, most of it the vocabulary.
    pub header: Vec<u8>,
    /// The tensors, in the order of their bytes.
    pub pieces: Vec<Piece>,
    /// Length of the whole file in bytes.
    pub len: u64,
    /// The matrices' element type.
    pub dtype: GgufType,
    /// llama.cpp's name of the architecture.
    pub architecture: &'static str,
    /// What is odd.
    pub notices: Vec<GgufNotice>,
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its name in GGUF.
    pub name: String,
    /// Where it begins in the file.
    pub offset: u64,
    /// Length in bytes. Zeros follow up to the next multiple of 32.
    pub len: u64,
    /// Its element type.
    pub dtype: GgufType,
    content: Content,
}

/// Where a tensor's bytes come from.
#[derive(Clone, Debug)]
enum Content {
    /// Computed from config.json.
    Bytes(Vec<u8>),
    /// One of the model's.
    Tensor {
        name: String,
        tensor: Tensor,
        /// Rows of a head, where rows of its two halves take turns.
        interleave: Option<u64>,
    },
}

/// The small files that say how text becomes tokens.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    files: BTreeMap<&'static str, Vec<u8>>,
    /// Whether there is a vocabulary of an older form.
    has_old_tokenizer: bool,
}

/// The files that [`Texts`] holds.
const TEXTS: [&str; 6] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    vocabulary::TOKENIZER,
    "tokenizer.model",
    "tokenizer_config.json",
];

impl Texts {
    /// Reads them from a folder: each at most [`MAX_SMALL_FILE`] bytes, those that are there.
    pub async fn read<S: Source>(folder: &Folder<S>) -> Result<Self, GgufError> {
        let mut texts = Self { has_old_tokenizer: folder.files.contains_key("vocab.json"), ..Self::default() };
        for name in TEXTS {
            let Some(source) = folder.files.get(name) else { continue };
            if source.len() > MAX_SMALL_FILE {
                let (file, len) = (name.to_owned(), source.len());
                return Err(GgufError::TooLarge { file, len, limit: MAX_SMALL_FILE });
            }
            let mut bytes = vec![0; source.len() as usize];
            source.read(0, &mut bytes).await.map_err(|error| GgufError::Read { what: name.to_owned(), error })?;
            texts.files.insert(name, bytes);
        }
        Ok(texts)
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// A file that is a JSON object.
    fn object(&self, name: &'static str) -> Result<Option<Map<String, Value>>, GgufError> {
        let parse = |bytes| serde_json::from_slice(bytes);
        let problem = |error: serde_json::Error| GgufError::BadTokenizer { file: name, problem: error.to_string() };
        self.get(name).map(parse).transpose().map_err(problem)
    }
}

/// Plans the GGUF file of a model whose small files are `texts`, with matrices of type `dtype`, or of [`GgufType::of`] the model.
///
/// Reads no weights. Everything that the file cannot say is an error here; only values too large for the type show when they are
/// written.
pub fn plan(model: &Model, texts: &Texts, dtype: Option<GgufType>) -> Result<GgufPlan, GgufError> {
    let mut notices = Vec::new();
    let config = model.config.as_ref().ok_or(GgufError::NoConfig)?;
    let settings = Settings::read(&config.text, &mut notices)?;
    let rows = tensors::rows(model, &settings)?;
    let wanted = tensors::wanted(model, &settings, rows, &mut notices)?;
    let vocabulary = Vocabulary::read(texts, rows, &mut notices)?;
    let dtype = dtype.unwrap_or_else(|| GgufType::of(model));

    let mut metadata = Metadata::default();
    metadata.text("general.architecture", settings.architecture.name);
    metadata.text("general.type", "model");
    metadata.text("general.name", &model.name);
    metadata.number("general.file_type", dtype.numbers().1);
    settings.write(rows, &mut metadata);
    let tokenizer = texts.object("tokenizer_config.json")?.unwrap_or_default();
    vocabulary.write(tokenizer.get("add_prefix_space").and_then(Value::as_bool), &mut metadata);
    special::write(texts, &config.text, &vocabulary, &mut metadata)?;

    let mut pieces = Vec::with_capacity(wanted.len() + 1);
    let mut shapes = Vec::with_capacity(wanted.len() + 1);
    let mut end = 0_u64;
    let mut put = |name, shape: Vec<u64>, dtype: GgufType, elements: u64, content| {
        let len = elements * dtype.size();
        pieces.push(Piece { name, offset: end, len, dtype, content });
        shapes.push(shape);
        end += len.next_multiple_of(ALIGNMENT);
    };
    if let Some(factors) = settings.frequency_factors() {
        let bytes = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
        let count = factors.len() as u64;
        put("rope_freqs.weight".to_owned(), vec![count], GgufType::F32, count, Content::Bytes(bytes));
    }
    for wanted in wanted {
        // Elements are at most the file's bytes, and twice a file's length still fits.
        let elements = wanted.tensor.len / wanted.tensor.dtype.size();
        let (name, tensor) = (wanted.source.to_owned(), wanted.tensor.clone());
        let dtype = wanted.dtype(dtype);
        let content = Content::Tensor { name, tensor, interleave: wanted.interleave };
        put(wanted.name, wanted.tensor.shape.clone(), dtype, elements, content);
    }
    let infos = pieces
        .iter()
        .zip(&shapes)
        .map(|(piece, shape)| (piece.name.as_str(), shape.as_slice(), piece.dtype.numbers().0, piece.offset));
    let header = metadata.header(infos);
    for piece in &mut pieces {
        piece.offset += header.len() as u64;
    }
    let len = header.len() as u64 + end;
    Ok(GgufPlan { header, pieces, len, dtype, architecture: settings.architecture.name, notices })
}
