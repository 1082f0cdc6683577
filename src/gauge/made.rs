//! A file of made-up weights: a stretch in memory that comes again and again.

use std::sync::Arc;

use super::near;
use crate::format::{ReadError, Source};

/// Weights in bf16. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Made {
    stretch: Arc<[u8]>,
    len: u64,
}

impl Made {
    /// Model number `model` (0 is the base), `len` bytes long; its elements come again after the first `elements` of them.
    pub(super) fn new(model: u64, elements: usize, len: u64) -> Self {
        let weights = near::weights(model, |weight| f32::from_bits(u32::from(bf16(weight)) << 16));
        Self { stretch: weights.take(elements).flat_map(|weight| bf16(weight).to_le_bytes()).collect(), len }
    }
}

/// To nearest even. The weights are finite.
fn bf16(weight: f32) -> u16 {
    let bits = weight.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

impl Source for Made {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let wanted = into.len() as u64;
        if offset.checked_add(wanted).is_none_or(|end| end > self.len) {
            return Err(ReadError::PastEnd { offset, wanted, len: self.len });
        }
        let mut at = (offset % self.stretch.len() as u64) as usize;
        let mut left = into;
        while !left.is_empty() {
            let part = left.len().min(self.stretch.len() - at);
            let (now, later) = left.split_at_mut(part);
            now.copy_from_slice(&self.stretch[at..at + part]);
            (left, at) = (later, 0);
        }
        Ok(())
    }
}
