//! Measures, a block at a time: sums in f64 with a fixed order, counts of digits, ties.

use super::block::{Block, LANES, Span};
use super::real::{Bits, Real};
use crate::{BLOCK, Digit, Histogram, Overlap, Power, TieHunt};

/// Σ f(j) over a block. Element j is added to lane j mod 8; then the lanes are added as a tree.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
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
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn tree(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// ⟨a, b⟩.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn product<R: Real>(a: &Block<R>, b: &Block<R>) -> f64 {
    reduce(a, b, |a, b| a * b)
}

/// ⟨a, b⟩ over a part of a block.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn part<R: Real>(a: &[R], b: &[R]) -> f64 {
    let mut lanes = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a.to_f64() * b.to_f64();
        }
    }
    tree(lanes)
}

/// Σ|a| or Σa².
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn norm<R: Real>(power: Power, a: &Block<R>) -> f64 {
    match power {
        Power::One => reduce(a, a, |a, _| a.abs()),
        Power::Two => product(a, a),
    }
}

/// The variance of the terms at every element: see [`crate::Score::Variance`].
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn variance<R: Real>(terms: &[Block<R>], values: &mut Block<R>) {
    let count = terms.len() as f64;
    let mut means = [0.0; BLOCK];
    let mut squares = [0.0; BLOCK];
    for term in terms {
        for j in 0..BLOCK {
            means[j] += term[j].to_f64() - terms[0][j].to_f64();
        }
    }
    for mean in &mut means {
        *mean /= count;
    }
    for term in terms {
        for j in 0..BLOCK {
            let apart = (term[j].to_f64() - terms[0][j].to_f64()) - means[j];
            squares[j] += apart * apart;
        }
    }
    for (value, square) in values.iter_mut().zip(squares) {
        *value = R::nearest(square / count);
    }
}

/// Adds how often each masked term is alone in not being zero, and how often it is not.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn overlap<R: Real>(terms: &[Block<R>], into: &mut [Overlap]) {
    let mut counts = [0_u32; BLOCK];
    for term in terms {
        for (count, value) in counts.iter_mut().zip(term) {
            *count += u32::from(*value != R::ZERO);
        }
    }
    for (term, overlap) in terms.iter().zip(into) {
        let (mut alone, mut there) = (0, 0);
        for (count, value) in counts.iter().zip(term) {
            let is_there = u32::from(*value != R::ZERO);
            alone += is_there & u32::from(*count == 1);
            there += is_there;
        }
        overlap.alone += u64::from(alone);
        overlap.shared += u64::from(there - alone);
    }
}

/// Counters of one term's digit. Neighbours often share a digit (two thirds of the changes of a real fine-tune are zero), and a counter
/// cannot be raised again before it was stored: so every value has four, side by side, which neighbours take in turn.
pub(super) struct Counters {
    counts: Vec<[u32; TURNS]>,
    blocks: u32,
}

const TURNS: usize = 4;
/// Elements whose slots are found, by vector code, before they are counted one by one.
const GROUP: usize = 32;
/// Slots, for digits of 15 bits and what is below them.
const VALUES: usize = 1 << 16;
/// The slot of elements without the prefix.
const REST: u32 = VALUES as u32;
/// Blocks that cannot overflow a counter.
const MOST_BLOCKS: u32 = 1 << 20;

impl Default for Counters {
    fn default() -> Self {
        Self { counts: vec![[0; TURNS]; VALUES], blocks: 0 }
    }
}

impl Counters {
    /// Counts a block.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) fn count<R: Real>(&mut self, digit: Digit, term: &Block<R>, span: Span, into: &mut Histogram) {
        // Of fixed length: no index of 16 bits is out of bounds.
        let Some(counts) = self.counts.first_chunk_mut::<VALUES>() else { return };
        let above = digit.shift + digit.bits;
        let below = R::Bits::at_most((1 << digit.shift) - 1);
        // The lowest bit of a slot says whether something is below the digit. The last digit has nothing below, and needs its bits.
        let marked = u32::from(digit.shift > 0);
        let mark = R::Bits::at_most(u64::from(marked));
        let slot_of =
            |score: R::Bits| ((score >> (digit.shift - marked)).low() & !marked) | (score & below).min(mark).low();
        if above >= R::Bits::BITS {
            let mut raise = |slot: u32, turn: usize| counts[slot as usize % VALUES][turn] += 1;
            let (groups, rest) = term[..span.len].as_chunks::<GROUP>();
            for values in groups {
                let slots = values.map(|value| slot_of(value.bits()));
                for slots in slots.as_chunks::<TURNS>().0 {
                    for (turn, &slot) in slots.iter().enumerate() {
                        raise(slot, turn);
                    }
                }
            }
            for value in rest {
                raise(slot_of(value.bits()), 0);
            }
        } else {
            let mut slots = [REST; BLOCK];
            let (prefix, mask) = (R::Bits::at_most(digit.prefix), (1 << (digit.bits + marked)) - 1);
            for (slot, value) in slots.iter_mut().zip(&term[..span.len]) {
                let score = value.bits();
                *slot = if score >> above == prefix { slot_of(score) & mask } else { REST };
            }
            for slots in slots.as_chunks::<LANES>().0 {
                // In the later passes few elements have the prefix: most groups are passed over.
                if *slots == [REST; LANES] {
                    continue;
                }
                for (j, &slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != REST) {
                    counts[slot as usize % VALUES][j % TURNS] += 1;
                }
            }
        }
        self.blocks += 1;
        if self.blocks == MOST_BLOCKS {
            self.flush(digit, into);
        }
    }

    /// Moves what was counted of a digit to the totals.
    pub(super) fn flush(&mut self, digit: Digit, into: &mut Histogram) {
        let slots = if digit.shift > 0 { 2 } else { 1 };
        let totals = into.counts.iter_mut().zip(&mut into.exact);
        for ((count, exact), slots) in totals.zip(self.counts.chunks_exact_mut(slots)) {
            // Few values of a digit occur.
            if slots.iter().all(|turns| *turns == [0; TURNS]) {
                continue;
            }
            let mut sum = |turns: &[u32; TURNS]| turns.iter().map(|count| u64::from(*count)).sum::<u64>();
            let alike = sum(&slots[0]);
            *exact += alike;
            *count += alike + slots.get(1).map_or(0, &mut sum);
            slots.fill([0; TURNS]);
        }
        self.blocks = 0;
    }
}

/// Shows a block to a hunt that is not over.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn hunt<R: Real>(hunt: &mut TieHunt, term: &Block<R>, span: Span) {
    let threshold = R::Bits::at_most(hunt.threshold);
    if threshold.to_u64() != hunt.threshold {
        return;
    }
    let term = &term[..span.len];
    let met = u64::from(term.iter().map(|value| u32::from(value.bits() == threshold)).sum::<u32>());
    let wanted = hunt.wanted - hunt.met;
    if met < wanted {
        hunt.met += met;
        return;
    }
    let mut ties = term.iter().enumerate().filter(|(_, value)| value.bits() == threshold);
    hunt.end = ties.nth(wanted as usize - 1).map(|(j, _)| span.first + j as u64 + 1);
    hunt.met = hunt.wanted;
}
