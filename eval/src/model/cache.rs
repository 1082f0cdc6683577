//! Keys and values of the tokens on the way to where a model stands.

use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};

use super::ops;
use super::spec::Spec;

/// A pair of tensors a layer, each of shape [key heads, capacity, head size]: a token has a slot in all of them. What is in which
/// slot is the [`super::path::Path`]'s business.
pub struct Cache {
    layers: Vec<[Tensor; 2]>,
    key_heads: usize,
    size: usize,
    capacity: usize,
}

impl Cache {
    pub fn new(spec: &Spec) -> Self {
        let (key_heads, size) = (spec.key_heads, spec.head_dim);
        Self { layers: Vec::new(), key_heads, size, capacity: 0 }
    }

    /// Makes room for `slots` slots; what was in the first ones stays there.
    pub fn reserve(&mut self, slots: usize, layers: usize) -> Result<()> {
        if slots <= self.capacity && self.layers.len() == layers {
            return Ok(());
        }
        // In large steps: growing copies everything.
        let capacity = slots.next_multiple_of(super::decoder::PASS);
        let empty = || Tensor::zeros((self.key_heads, capacity, self.size), DType::F32, &Device::Cpu);
        let old = std::mem::take(&mut self.layers);
        for layer in 0..layers {
            let new = [empty()?, empty()?];
            if let Some(old) = old.get(layer) {
                for (new, old) in new.iter().zip(old) {
                    new.slice_set(old, 1, 0)?;
                }
            }
            self.layers.push(new);
        }
        self.capacity = capacity;
        Ok(())
    }

    /// A layer's keys and values in the first `slots` slots.
    pub fn seen(&self, layer: usize, slots: usize) -> Result<[Tensor; 2]> {
        let [keys, values] = &self.layers[layer];
        Ok([keys.narrow(1, 0, slots)?, values.narrow(1, 0, slots)?])
    }

    /// Takes keys and values out of [tokens, heads · size, then keys, then values] into the slots from `start`.
    pub fn write(&self, layer: usize, start: usize, projected: &Tensor) -> Result<()> {
        let (tokens, width) = projected.dims2()?;
        let all = self.key_heads * self.size;
        for (part, tensor) in self.layers[layer].iter().enumerate() {
            let from = width - (2 - part) * all;
            ops::change_by(tensor, projected, |slots, projected| {
                for (head, slots) in slots.chunks_exact_mut(self.capacity * self.size).enumerate() {
                    let slots = slots[start * self.size..].chunks_exact_mut(self.size).take(tokens);
                    for (slot, row) in slots.zip(projected.chunks_exact(width)) {
                        slot.copy_from_slice(&row[from + head * self.size..][..self.size]);
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Moves slots to the front: the first range's, then the second's … They are in ascending order.
    pub fn gather(&self, ranges: &[Range<usize>]) -> Result<()> {
        let mut length = 0;
        let moves: Vec<_> = ranges
            .iter()
            .map(|range| {
                let to = length;
                length += range.len();
                (range.clone(), to)
            })
            .filter(|(range, to)| range.start != *to)
            .collect();
        if moves.is_empty() {
            return Ok(());
        }
        for tensor in self.layers.iter().flatten() {
            ops::change(tensor, |values| {
                for slots in values.chunks_exact_mut(self.capacity * self.size) {
                    for (range, to) in &moves {
                        slots.copy_within(range.start * self.size..range.end * self.size, to * self.size);
                    }
                }
            })?;
        }
        Ok(())
    }
}
