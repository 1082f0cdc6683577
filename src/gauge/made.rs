//! A file of made-up weights without an end: a stretch in memory that comes again and again.

use std::sync::Arc;

use super::near;
use crate::format::{ReadError, Source};

/// Weights in bf16. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Made {
    stretch: Arc<Vec<u8>>,
}

impl Made {
    /// Model number `model` (0 is the base), whose elements come again after the first `elements` of them.
    pub(super) fn new(model: u64, elements: usize) -> Self {
        let mut stretch = Vec::with_capacity(2 * elements);
        for weight in near::weights(model, |weight| f32::from_bits(u32::from(bf16(weight)) << 16)).take(elements) {
            stretch.extend(bf16(weight).to_le_bytes());
        }
        Self { stretch: Arc::new(stretch) }
    }
}

/// To nearest even. The weights are finite.
fn bf16(weight: f32) -> u16 {
    let bits = weight.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

impl Source for Made {
    fn len(&self) -> u64 {
        u64::MAX
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let stretch = self.stretch.as_slice();
        let mut at = (offset % stretch.len() as u64) as usize;
        let mut left = into;
        while !left.is_empty() {
            let part = left.len().min(stretch.len() - at);
            let (now, later) = left.split_at_mut(part);
            now.copy_from_slice(&stretch[at..at + part]);
            (left, at) = (later, 0);
        }
        Ok(())
    }
}
