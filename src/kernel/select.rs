//! The exact k-th largest score of a stream: a radix select, one digit a pass, the same on every backend.

use super::{Mask, Precision, TieHunt};

/// One digit of a score, and the bits above it that an element must have to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// Position of the digit's lowest bit.
    pub shift: u32,
    /// Width of the digit.
    pub bits: u32,
    /// The bits above the digit: only scores with `score >> (shift + bits) == prefix` count.
    pub prefix: u64,
}

/// The digits of a score from the top, as (shift, bits). At most 11 bits a digit: 2,048 counters fit a workgroup.
pub fn digits(precision: Precision) -> &'static [(u32, u32)] {
    match precision {
        Precision::F32 => &[(20, 11), (10, 10), (0, 10)],
        Precision::F64 => &[(52, 11), (41, 11), (30, 11), (20, 10), (10, 10), (0, 10)],
    }
}

/// The state of one term's selection: feed it the histogram of [`Selection::digit`] until that is `None`.
#[derive(Clone, Debug)]
pub struct Selection {
    precision: Precision,
    keep: u64,
    prefix: u64,
    passes: usize,
    ties: u64,
}

impl Selection {
    /// The hunt for the `keep`-th largest score, `keep ≥ 1`.
    pub fn new(precision: Precision, keep: u64) -> Self {
        Self { precision, keep, prefix: 0, passes: 0, ties: 0 }
    }

    /// The digit to count next; `None` when the threshold is known.
    pub fn digit(&self) -> Option<Digit> {
        digits(self.precision).get(self.passes).map(|&(shift, bits)| Digit { shift, bits, prefix: self.prefix })
    }

    /// Takes the complete histogram of [`Selection::digit`] over the tensor.
    pub fn narrow(&mut self, histogram: &[u64]) {
        let Some(digit) = self.digit() else { return };
        for (value, &count) in histogram.iter().enumerate().rev() {
            if count >= self.keep || value == 0 {
                self.prefix = (self.prefix << digit.bits) | value as u64;
                self.ties = count;
                break;
            }
            self.keep -= count;
        }
        self.passes += 1;
    }

    /// The hunt for the last kept tie; `None` when every tie is kept, or when the threshold is zero: a zero adds nothing
    /// to any sum and has no sign, so whether it is kept cannot be seen.
    pub fn tie_hunt(&self) -> Option<TieHunt> {
        (self.keep < self.ties && self.prefix != 0).then_some(TieHunt {
            threshold: self.prefix,
            wanted: self.keep,
            met: 0,
            end: None,
        })
    }

    /// The finished mask, given where the hunt (if there was one) ended.
    pub fn mask(&self, hunt: Option<TieHunt>) -> Mask {
        Mask::Band { threshold: self.prefix, ties_end: hunt.and_then(|hunt| hunt.end).unwrap_or(u64::MAX) }
    }
}
