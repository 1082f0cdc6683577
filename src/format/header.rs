//! The header of a safetensors file.

use std::collections::BTreeMap;

use super::DType;

/// A parsed and checked header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Tensors in the order of their bytes.
    pub tensors: Vec<Entry>,
    /// `__metadata__`.
    pub metadata: BTreeMap<String, String>,
    /// Where the tensors' bytes begin in the file.
    pub data_start: u64,
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its dimensions; empty for a scalar.
    pub shape: Vec<u64>,
    /// First byte, counted from [`Header::data_start`].
    pub start: u64,
    /// One past the last byte, counted likewise.
    pub end: u64,
}
