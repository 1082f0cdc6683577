//! The bytes of safetensors checkpoints: element types, headers, shard indexes, and the trait that bytes come in by.
//!
//! No I/O happens here and nothing else of the engine is imported. All offsets are `u64`: a browser's `usize` is 32 bits.

mod dtype;
mod error;
mod header;
mod index;
mod json;
mod order;
mod source;

pub use dtype::DType;
pub use error::{Foreign, HeaderError, IndexError};
pub use header::{Entry, Header, MAX_HEADER};
pub use index::{INDEX_NAME, ShardIndex};
pub use order::{in_order, order, retain, set_of};
pub use source::{ReadError, Source};
