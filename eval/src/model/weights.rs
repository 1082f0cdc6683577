//! Weights as they come from a host, one tensor at a time, widened to f32.

use super::error::{Error, Result, SourceError};

/// A tensor as a safetensors file holds it: row-major, little endian.
pub struct RawTensor {
    /// safetensors' name: `F64`, `F32`, `F16` or `BF16`; anything else is refused by name.
    pub dtype: String,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Where weights come from: files of a folder, a merge's output, a test's memory.
pub trait Weights {
    /// The tensor of that name, or none if there is none.
    fn tensor(&mut self, name: &str) -> std::result::Result<Option<RawTensor>, SourceError>;

    /// Whether there is one. A host that knows without reading or making it says so.
    fn has(&mut self, name: &str) -> std::result::Result<bool, SourceError> {
        Ok(self.tensor(name)?.is_some())
    }
}

/// Reads tensors of a known shape. The bytes are let go before the next tensor is asked for.
pub(super) struct Reader<'a> {
    weights: &'a mut dyn Weights,
    /// Before every name: a checkpoint of the bare decoder has none.
    prefix: String,
}

impl<'a> Reader<'a> {
    pub fn new(weights: &'a mut dyn Weights) -> Self {
        Self { weights, prefix: String::new() }
    }

    /// Puts `prefix` before every name, if the checkpoint has the tensor `probe` with it.
    pub fn prefix(&mut self, prefix: &str, probe: &str) -> Result<()> {
        let name = format!("{prefix}{probe}");
        if self.weights.has(&name).map_err(|source| Error::Weights { name, source })? {
            prefix.clone_into(&mut self.prefix);
        }
        Ok(())
    }

    fn raw(&mut self, name: &str) -> Result<Option<RawTensor>> {
        self.weights.tensor(name).map_err(|source| Error::Weights { name: name.to_owned(), source })
    }

    /// The tensor of that name.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored> {
        let name = format!("{}{name}", self.prefix);
        match self.find(&name, shape)? {
            Some(tensor) => Ok(tensor),
            None => Err(Error::TensorMissing(name)),
        }
    }

    /// As [`Self::tensor`], of one that is outside of the decoder's prefix or may be missing.
    pub fn find(&mut self, name: &str, shape: &[usize]) -> Result<Option<Stored>> {
        self.raw(name)?.map(|tensor| Stored::new(name, tensor, shape)).transpose()
    }
}

/// A tensor whose shape, type and number of bytes are as they should be.
pub(super) struct Stored {
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    F64,
    F32,
    F16,
    Bf16,
}

impl Kind {
    /// Bytes of an element.
    fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

impl Stored {
    fn new(name: &str, tensor: RawTensor, shape: &[usize]) -> Result<Self> {
        let name = || name.to_owned();
        if tensor.shape != shape {
            return Err(Error::TensorShape { name: name(), found: tensor.shape, expected: shape.to_vec() });
        }
        let kind = match tensor.dtype.as_str() {
            "F64" => Kind::F64,
            "F32" => Kind::F32,
            "F16" => Kind::F16,
            "BF16" => Kind::Bf16,
            _ => return Err(Error::TensorType { name: name(), found: tensor.dtype }),
        };
        let expected = shape.iter().map(|size| *size as u64).product::<u64>() * kind.width() as u64;
        if tensor.bytes.len() as u64 != expected {
            return Err(Error::TensorBytes { name: name(), found: tensor.bytes.len(), expected });
        }
        Ok(Self { bytes: tensor.bytes, kind })
    }

    /// All elements, widened.
    pub fn values(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.bytes.len() / self.kind.width());
        self.widen(&self.bytes, &mut values);
        values
    }

    /// Hands over rows of `columns` elements, one after another.
    pub fn rows(&self, columns: usize, mut each: impl FnMut(&[f32])) {
        let mut row = Vec::with_capacity(columns);
        for bytes in self.bytes.chunks_exact(columns * self.kind.width()) {
            row.clear();
            self.widen(bytes, &mut row);
            each(&row);
        }
    }

    fn widen(&self, bytes: &[u8], values: &mut Vec<f32>) {
        match self.kind {
            Kind::F64 => extend(values, bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            Kind::F32 => extend(values, bytes, f32::from_le_bytes),
            Kind::F16 => extend(values, bytes, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
            Kind::Bf16 => extend(values, bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
        }
    }
}

fn extend<const WIDTH: usize>(values: &mut Vec<f32>, bytes: &[u8], widened: impl Fn([u8; WIDTH]) -> f32) {
    values.extend(bytes.as_chunks().0.iter().map(|bytes| widened(*bytes)));
}
