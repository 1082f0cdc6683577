//! Measures, a block at a time: sums in f64 with a fixed order, counts of digits, ties.

use super::block::{Block, LANES, Span};
use super::real::{Real, Score};
use crate::kernel::{Digit, TieHunt};

/// Σ f(j) over a block. Element j is added to lane j mod 8; then the lanes are added as a tree.
#[inline(always)]
fn reduce<R: Real>(a: &Block<R>, b: &Block<R>, of: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            lanes[lane] += of(a[lane].to_f64(), b[lane].to_f64());
        }
    }
    tree(lanes)
}

/// The lanes' sum.
pub(super) fn tree(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// ⟨a, b⟩.
pub(super) fn product<R: Real>(a: &Block<R>, b: &Block<R>) -> f64 {
    reduce(a, b, |a, b| a * b)
}

/// Σ|a|.
pub(super) fn magnitude<R: Real>(a: &Block<R>) -> f64 {
    reduce(a, a, |a, _| a.abs())
}

/// Counters of one term's digit. Neighbours often share a digit (two thirds of the changes of a real fine-tune are zero),
/// and a counter cannot be raised again before it was stored: so they take turns in four tables.
pub(super) struct Counters {
    tables: Box<[[u32; TABLE]; TABLES]>,
    blocks: u32,
}

const TABLES: usize = 4;
/// 11 bits, the widest digit.
const TABLE: usize = 1 << 11;
/// Blocks that cannot overflow a counter.
const MOST_BLOCKS: u32 = 1 << 20;

impl Default for Counters {
    fn default() -> Self {
        Self { tables: Box::new([[0; TABLE]; TABLES]), blocks: 0 }
    }
}

impl Counters {
    /// Counts a block.
    pub(super) fn count<R: Real>(&mut self, digit: Digit, term: &Block<R>, span: Span, into: &mut [u64]) {
        if digit.shift + digit.bits >= R::Score::BITS {
            // Nothing is above the digit: every element counts.
            for (j, value) in term[..span.len].iter().enumerate() {
                self.tables[j % TABLES][(value.score() >> digit.shift).to_u64() as usize % TABLE] += 1;
            }
        } else {
            self.count_prefixed(digit, &term[..span.len]);
        }
        self.blocks += 1;
        if self.blocks == MOST_BLOCKS {
            self.flush(into);
        }
    }

    fn count_prefixed<R: Real>(&mut self, digit: Digit, term: &[R]) {
        let counts = |value: &R| (value.score() >> (digit.shift + digit.bits)).to_u64() == digit.prefix;
        for values in term.chunks(LANES) {
            // Few elements have the prefix: most groups are passed over at one branch.
            if !values.iter().fold(false, |any, value| any | counts(value)) {
                continue;
            }
            for (j, value) in values.iter().enumerate() {
                let low = (value.score() >> digit.shift).to_u64() as usize & ((1 << digit.bits) - 1);
                self.tables[j % TABLES][low % TABLE] += u32::from(counts(value));
            }
        }
    }

    /// Moves what was counted to the totals.
    pub(super) fn flush(&mut self, into: &mut [u64]) {
        for table in self.tables.iter_mut() {
            for (total, count) in into.iter_mut().zip(table) {
                *total += u64::from(std::mem::take(count));
            }
        }
        self.blocks = 0;
    }
}

/// Shows a block to a hunt.
pub(super) fn hunt<R: Real>(hunt: &mut TieHunt, term: &Block<R>, span: Span) {
    let threshold = R::Score::at_most(hunt.threshold);
    if hunt.met >= hunt.wanted || threshold.to_u64() != hunt.threshold {
        return;
    }
    let term = &term[..span.len];
    let met = u64::from(term.iter().map(|value| u32::from(value.score() == threshold)).sum::<u32>());
    let wanted = hunt.wanted - hunt.met;
    if met < wanted {
        hunt.met += met;
        return;
    }
    let mut ties = term.iter().enumerate().filter(|(_, value)| value.score() == threshold);
    hunt.end = ties.nth(wanted as usize - 1).map(|(j, _)| span.first + j as u64 + 1);
    hunt.met = hunt.wanted;
}
