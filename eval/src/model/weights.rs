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

    /// Appends the tensor's values to `values`.
    pub fn append(&mut self, name: &str, shape: &[usize], values: &mut Vec<f32>) -> Result<()> {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.raw(&name)?.ok_or_else(|| Error::TensorMissing(name.clone()))?;
        widen(&name, &tensor, shape, values)
    }

    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        self.append(name, shape, &mut values)?;
        Ok(values)
    }

    /// As [`Self::read`], of a tensor that is outside of the decoder's prefix or may be missing.
    pub fn find(&mut self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.raw(name)? else { return Ok(None) };
        let mut values = Vec::new();
        widen(name, &tensor, shape, &mut values)?;
        Ok(Some(values))
    }
}

fn widen(name: &str, tensor: &RawTensor, shape: &[usize], values: &mut Vec<f32>) -> Result<()> {
    if tensor.shape != shape {
        return Err(Error::TensorShape {
            name: name.to_owned(),
            found: tensor.shape.clone(),
            expected: shape.to_vec(),
        });
    }
    let count: u64 = shape.iter().map(|size| *size as u64).product();
    let width = match tensor.dtype.as_str() {
        "F64" => 8,
        "F32" => 4,
        "F16" | "BF16" => 2,
        found => return Err(Error::TensorType { name: name.to_owned(), found: found.to_owned() }),
    };
    if tensor.bytes.len() as u64 != count * width {
        return Err(Error::TensorBytes { name: name.to_owned(), found: tensor.bytes.len(), expected: count * width });
    }
    values.reserve_exact(count as usize);
    match tensor.dtype.as_str() {
        "F64" => extend(values, &tensor.bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        "F32" => extend(values, &tensor.bytes, f32::from_le_bytes),
        "F16" => extend(values, &tensor.bytes, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
        _ => extend(values, &tensor.bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
    }
    Ok(())
}

fn extend<const WIDTH: usize>(values: &mut Vec<f32>, bytes: &[u8], widened: impl Fn([u8; WIDTH]) -> f32) {
    values.extend(bytes.as_chunks().0.iter().map(|bytes| widened(*bytes)));
}
