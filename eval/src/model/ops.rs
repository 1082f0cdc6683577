//! What is between the matrix products, as operations of candle on slices of f32.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, InplaceOp1, InplaceOp2, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::math;
use super::spec::{Norm, NormKind};

/// Elements below which another thread does not pay.
const GRAIN: usize = 1 << 14;

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("a tensor is not contiguous") };
    Ok(&storage.as_slice::<f32>()?[from..to])
}

fn contiguous_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("a tensor is not contiguous") };
    let CpuStorage::F32(values) = storage else { bail!("a tensor is not of f32") };
    Ok(&mut values[from..to])
}

struct Op<F>(F);

impl<F: Fn(&[f32]) -> (Vec<f32>, Shape)> CustomOp1 for Op<F> {
    fn name(&self) -> &'static str {
        "map"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (values, shape) = self.0(contiguous(storage, layout)?);
        Ok((CpuStorage::F32(values), shape))
    }
}

impl<F: Fn(&mut [f32])> InplaceOp1 for Op<F> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        self.0(contiguous_mut(storage, layout)?);
        Ok(())
    }
}

impl<F: Fn(&mut [f32], &[f32])> InplaceOp2 for Op<F> {
    fn name(&self) -> &'static str {
        "change by"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout, by: &CpuStorage, by_layout: &Layout) -> Result<()> {
        self.0(contiguous_mut(storage, layout)?, contiguous(by, by_layout)?);
        Ok(())
    }
}

/// A tensor of that shape from another's elements.
pub fn map(tensor: &Tensor, shape: impl Into<Shape>, with: impl Fn(&[f32]) -> Vec<f32>) -> Result<Tensor> {
    let shape = shape.into();
    tensor.apply_op1_no_bwd(&Op(move |values: &[f32]| (with(values), shape.clone())))
}

/// Changes a tensor that nobody else looks at.
pub fn change(tensor: &Tensor, with: impl Fn(&mut [f32])) -> Result<()> {
    tensor.inplace_op1(&Op(with))
}

/// Changes a tensor that nobody else looks at, by another's elements.
pub fn change_by(tensor: &Tensor, by: &Tensor, with: impl Fn(&mut [f32], &[f32])) -> Result<()> {
    tensor.inplace_op2(by, &Op(with))
}

/// Looks at a tensor's elements.
pub fn look<T>(tensor: &Tensor, at: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("a tensor is not in memory") };
    Ok(at(contiguous(storage, layout)?))
}

/// Does something to each row of `width` elements, on several threads where there are any.
pub fn each_row(values: &mut [f32], width: usize, with: impl Fn(usize, &mut [f32]) + Sync) {
    let least = GRAIN.div_ceil(width);
    values.par_chunks_mut(width).with_min_len(least).enumerate().for_each(|(row, values)| with(row, values));
}

/// A norm's learned part.
pub struct NormWeights {
    pub norm: Norm,
    /// The weight as it is multiplied with; empty where nothing is learned.
    pub weight: Vec<f32>,
    /// Empty where there is none.
    pub bias: Vec<f32>,
}

impl NormWeights {
    pub fn row(&self, values: &mut [f32]) {
        let count = values.len() as f32;
        let sum = |values: &[f32]| math::dot(values, values);
        match self.norm.kind {
            NormKind::Rms | NormKind::RmsOffset => {
                let scale = 1.0 / (sum(values) / count + self.norm.eps).sqrt();
                values.iter_mut().zip(&self.weight).for_each(|(value, weight)| *value *= scale * weight);
            }
            NormKind::Layer | NormKind::Plain => {
                let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() as f32 / count;
                for value in values.iter_mut() {
                    *value -= mean;
                }
                let scale = 1.0 / (sum(values) / count + self.norm.eps).sqrt();
                for value in values.iter_mut() {
                    *value *= scale;
                }
                values.iter_mut().zip(&self.weight).for_each(|(value, weight)| *value *= weight);
                values.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
            }
        }
    }

    /// Of a tensor of shape [tokens, elements].
    pub fn apply(&self, tensor: &Tensor) -> Result<Tensor> {
        let width = tensor.dim(1)?;
        map(tensor, tensor.shape(), |values| {
            let mut values = values.to_vec();
            each_row(&mut values, width, |_, row| self.row(row));
            values
        })
    }
}

/// [tokens, elements] plus the same for each token.
pub fn add_bias(tensor: &Tensor, bias: &[f32]) -> Result<()> {
    change(tensor, |values| {
        each_row(values, bias.len(), |_, row| row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias));
    })
}

/// `sum` += `scale` · `addend`.
pub fn add(sum: &Tensor, addend: &Tensor, scale: f32) -> Result<()> {
    change_by(sum, addend, |sum, addend| {
        sum.iter_mut().zip(addend).for_each(|(sum, addend)| *sum += scale * addend);
    })
}

/// Scores of shape [key heads, group · tokens, slots] as weights: each row's softmax over the slots that its token sees, 0 elsewhere.
pub fn softmax(scores: &Tensor, visible: &[Vec<Range<usize>>], cap: Option<f32>) -> Result<()> {
    let slots = scores.dim(2)?;
    change(scores, |values| {
        each_row(values, slots, |row, scores| {
            let ranges = &visible[row % visible.len()];
            let mut largest = f32::NEG_INFINITY;
            for range in ranges {
                let scores = &mut scores[range.clone()];
                if let Some(cap) = cap {
                    for score in scores.iter_mut() {
                        *score = cap * math::tanh(*score / cap);
                    }
                }
                largest = scores.iter().fold(largest, |largest, &score| largest.max(score));
            }
            let mut sum = 0.0;
            for range in ranges {
                for score in &mut scores[range.clone()] {
                    *score = math::exp(*score - largest);
                }
                sum += scores[range.clone()].iter().sum::<f32>();
            }
            let mut unseen = 0;
            for range in ranges {
                scores[unseen..range.start].fill(0.0);
                scores[range.clone()].iter_mut().for_each(|score| *score /= sum);
                unseen = range.end;
            }
            scores[unseen..].fill(0.0);
        });
    })
}

/// [key heads, group · tokens, size] as [tokens, heads · size].
pub fn merge_heads(heads: &Tensor, tokens: usize) -> Result<Tensor> {
    let (key_heads, rows, size) = heads.dims3()?;
    let count = key_heads * rows / tokens;
    map(heads, (tokens, count * size), |values| {
        let mut merged = vec![0.0; values.len()];
        each_row(&mut merged, count * size, |token, row| {
            for (head, part) in row.chunks_exact_mut(size).enumerate() {
                part.copy_from_slice(&values[(head * tokens + token) * size..][..size]);
            }
        });
        merged
    })
}

/// Part `from..from + heads · size` of [tokens, width] as [key heads, group · tokens, size].
pub fn split_heads(tensor: &Tensor, heads: usize, key_heads: usize, size: usize) -> Result<Tensor> {
    let (tokens, width) = tensor.dims2()?;
    map(tensor, (key_heads, heads / key_heads * tokens, size), |values| {
        let mut split = vec![0.0; heads * tokens * size];
        for (head, rows) in split.chunks_exact_mut(tokens * size).enumerate() {
            for (token, row) in rows.chunks_exact_mut(size).enumerate() {
                row.copy_from_slice(&values[token * width + head * size..][..size]);
            }
        }
        split
    })
}
