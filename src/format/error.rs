//! What can be wrong with a checkpoint's files: one variant a failure, naming the tensor, the expected and the found.

use serde::{Deserialize, Serialize};

use super::DType;

/// Why bytes are not a safetensors header. Offsets count from the beginning of the tensors' bytes, except where said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum HeaderError {
    /// The file begins like a file of another kind.
    #[error("not a safetensors file: it is {0}")]
    Foreign(Foreign),
    /// The file is too short to say how long its header is.
    #[error("the file has {len} bytes; a safetensors file has at least 8, the length of its header")]
    TooShort {
        /// Length of the file.
        len: u64,
    },
    /// The header is longer than any reader accepts.
    #[error(
        "the first 8 bytes ask for a header of {found} bytes; at most {limit} are accepted. This is not a safetensors file, or it is damaged"
    )]
    TooLong {
        /// Length that the first eight bytes give.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The header reaches past the end of the file.
    #[error(
        "the header should have {expected} bytes, but only {found} follow: the file is cut short, or not a safetensors file"
    )]
    HeaderCut {
        /// Length that the first eight bytes give.
        expected: u64,
        /// Bytes in the file after the first eight.
        found: u64,
    },
    /// The header is not UTF-8.
    #[error("the header is not UTF-8 text (byte {at} of the header)")]
    NotUtf8 {
        /// Index in the header of the first offending byte.
        at: u64,
    },
    /// The header does not begin with `{`.
    #[error("the header does not begin with {{: this is not a safetensors file, or it is damaged")]
    NotAnObject,
    /// Brackets nest deeper than a header's ever need to.
    #[error("the header nests deeper than {limit} levels (byte {at} of the header)")]
    TooDeep {
        /// Index in the header of the bracket that is too many.
        at: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The header is not JSON.
    #[error("the header is not JSON: {problem}")]
    NotJson {
        /// The parser's words, with its line and column.
        problem: String,
    },
    /// A value of `__metadata__` is not a text, or `__metadata__` is not an object.
    #[error("__metadata__ must hold texts only: {problem}")]
    MetadataNotText {
        /// The parser's words, with its line and column.
        problem: String,
    },
    /// A key of `__metadata__`, or `__metadata__` itself, is there twice.
    #[error("{key} is in the header's metadata twice")]
    DuplicateMetadata {
        /// The key.
        key: String,
    },
    /// A tensor's entry lacks `dtype`, `shape` or `data_offsets`, or one of them is not what it must be.
    #[error("tensor {tensor}: its entry in the header is malformed: {problem}")]
    MalformedEntry {
        /// The tensor.
        tensor: String,
        /// The parser's words, with its line and column.
        problem: String,
    },
    /// Two tensors have one name.
    #[error("tensor {tensor} is in the header twice")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// An element type that is not read.
    #[error("tensor {tensor}: the element type {found:?} is not known")]
    UnknownDType {
        /// The tensor.
        tensor: String,
        /// The type as written.
        found: String,
    },
    /// The dimensions multiply to more bytes than 64 bits can count.
    #[error("tensor {tensor}: a shape of {shape:?} is too large to be real")]
    ShapeOverflow {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        shape: Vec<u64>,
    },
    /// The end offset is before the start offset.
    #[error("tensor {tensor}: its bytes end at {end}, before they start at {start}")]
    OffsetsReversed {
        /// The tensor.
        tensor: String,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// Shape and type ask for another number of bytes than the offsets give.
    #[error("tensor {tensor}: {dtype} of shape {shape:?} takes {expected} bytes, but the header gives it {found}")]
    SizeMismatch {
        /// The tensor.
        tensor: String,
        /// Its element type.
        dtype: DType,
        /// Its dimensions.
        shape: Vec<u64>,
        /// Bytes that shape and type ask for.
        expected: u64,
        /// Bytes that the offsets give.
        found: u64,
    },
    /// A tensor's bytes start inside another's.
    #[error("tensor {tensor}: its bytes start at {found}, inside those of tensor {other}, which end at {expected}")]
    Overlap {
        /// The tensor.
        tensor: String,
        /// The one that it overlaps.
        other: String,
        /// Where it should start.
        expected: u64,
        /// Where it does.
        found: u64,
    },
    /// Bytes before a tensor belong to none.
    #[error("tensor {tensor}: its bytes start at {found}, but those before it end at {expected}: the file has a hole")]
    Hole {
        /// The tensor after the hole.
        tensor: String,
        /// Where it should start.
        expected: u64,
        /// Where it does.
        found: u64,
    },
    /// A tensor's bytes end past the end of the file.
    #[error("tensor {tensor}: its bytes end at {expected}, but the file ends at {found}: the file is cut short")]
    DataCut {
        /// The first such tensor.
        tensor: String,
        /// Where its bytes end.
        expected: u64,
        /// Where the file ends.
        found: u64,
    },
    /// Bytes after the last tensor belong to none.
    #[error("the tensors end at {expected}, but the file goes on until {found}")]
    TrailingBytes {
        /// Where the last tensor ends.
        expected: u64,
        /// Where the file ends.
        found: u64,
    },
}

/// Kinds of files that are taken for safetensors now and then, told by their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Foreign {
    /// `PK`: PyTorch's own format is such an archive.
    #[error(
        "a zip archive. If it is a PyTorch checkpoint (.bin, .pt), convert it to safetensors first; if an archive of models, unpack it"
    )]
    Zip,
    /// Python's pickle: PyTorch's old format.
    #[error("a Python pickle (an old PyTorch checkpoint): convert it to safetensors first")]
    Pickle,
    /// llama.cpp's format.
    #[error("a GGUF file: take the safetensors files that it was made from")]
    Gguf,
    /// A web page saved in place of the file.
    #[error("a web page that was saved in place of the file: download the file itself")]
    Html,
    /// What git leaves of a large file until git-lfs fetches it.
    #[error("a git-lfs pointer, not the file itself: run `git lfs pull`, or download the file")]
    LfsPointer,
    /// gzip.
    #[error("compressed with gzip: unpack it first")]
    Gzip,
    /// HDF5: Keras' and TensorFlow's weights.
    #[error("an HDF5 file (TensorFlow or Keras weights): convert it to safetensors first")]
    Hdf5,
    /// A JSON text.
    #[error("a JSON text")]
    Json,
}

impl Foreign {
    /// The kind of a file that begins with these eight bytes, if they are telling.
    pub(super) fn of(first: [u8; 8]) -> Option<Self> {
        let blank = first.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let text = first[blank..].to_ascii_lowercase();
        match first {
            [b'P', b'K', 3 | 5 | 7, 4 | 6 | 8, ..] => Some(Self::Zip),
            [0x80, 2..=5, ..] => Some(Self::Pickle),
            [b'G', b'G', b'U', b'F', ..] => Some(Self::Gguf),
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x89, b'H', b'D', b'F', ..] => Some(Self::Hdf5),
            _ if text.starts_with(b"<!doc") || text.starts_with(b"<html") => Some(Self::Html),
            _ if text.starts_with(b"version ") => Some(Self::LfsPointer),
            _ if text.starts_with(b"{") => Some(Self::Json),
            _ => None,
        }
    }
}

/// Why a text is not a shard index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum IndexError {
    /// It is not JSON, or `weight_map` is absent or not texts by name.
    #[error("not a shard index: {problem}")]
    Malformed {
        /// The parser's words, with its line and column.
        problem: String,
    },
    /// A tensor is in `weight_map` twice.
    #[error("tensor {tensor} is in weight_map twice")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// A shard is not a plain file name of the same folder.
    #[error("tensor {tensor}: its shard {shard:?} is not the name of a file beside the index")]
    NotAFileName {
        /// The tensor.
        tensor: String,
        /// The shard as written.
        shard: String,
    },
}
