//! The bytes of safetensors checkpoints: element types, headers, shard indexes, and the trait that bytes come in by.
//!
//! No I/O happens here and nothing else of the engine is imported. All offsets are `u64`: a browser's `usize` is 32 bits.

mod dtype;
mod header;
mod source;

pub use dtype::DType;
pub use header::{Entry, Header};
pub use source::{ReadError, Source};
