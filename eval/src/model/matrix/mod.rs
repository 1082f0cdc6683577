//! Matrices of weights, and rows of activations times them.
//!
//! Natively the product is candle's. In WebAssembly it is [`panels`]': the tile that candle's library works in there needs more registers
//! than browsers' compilers have, so that sums go through the stack, at a third to two thirds of the speed by how the stack happens to lie;
//! and it packs the weights anew for every product, which a few tokens do not make up for (docs/evaluate-models.md has the figures).

#[cfg(any(test, target_family = "wasm"))]
mod panels;

use candle_core::{Device, Tensor};

use super::error::Result;
#[cfg(target_family = "wasm")]
use super::ops;

#[cfg(target_family = "wasm")]
type Values = panels::Panels;
#[cfg(not(target_family = "wasm"))]
type Values = Tensor;

/// Of shape [rows, columns].
pub struct Matrix(Values);

impl Matrix {
    /// `write` hands all rows over, one after another. Memory is taken once the first is there: a configuration may promise anything.
    pub fn build(
        rows: usize,
        columns: usize,
        write: impl FnOnce(&mut dyn FnMut(&[f32])) -> Result<()>,
    ) -> Result<Self> {
        #[cfg(target_family = "wasm")]
        let values = {
            let mut panels = panels::Panels::new(rows, columns);
            write(&mut |row| panels.push(row))?;
            panels
        };
        #[cfg(not(target_family = "wasm"))]
        let values = {
            let mut values = Vec::new();
            write(&mut |row| {
                if values.is_empty() {
                    values.reserve_exact(rows * columns);
                }
                values.extend_from_slice(row);
            })?;
            Tensor::from_vec(values, (rows, columns), &Device::Cpu)?
        };
        Ok(Self(values))
    }

    /// Some of the rows: [indices, columns].
    pub fn gather(&self, indices: &[u32]) -> Result<Tensor> {
        #[cfg(target_family = "wasm")]
        let rows = {
            let values: Vec<f32> = indices.iter().flat_map(|row| self.0.row(*row as usize)).collect();
            Tensor::from_vec(values, (indices.len(), self.0.columns()), &Device::Cpu)?
        };
        #[cfg(not(target_family = "wasm"))]
        let rows = self.0.index_select(&Tensor::new(indices, &Device::Cpu)?, 0)?;
        Ok(rows)
    }

    /// [tokens, columns] times this, transposed: [tokens, rows].
    pub fn product(&self, input: &Tensor) -> Result<Tensor> {
        #[cfg(target_family = "wasm")]
        let output = ops::map(input, (input.dim(0)?, self.0.rows()), |input| self.0.product(input))?;
        #[cfg(not(target_family = "wasm"))]
        let output = input.matmul(&self.0.t()?)?;
        Ok(output)
    }
}
