//! Masks, a block at a time: what is not kept becomes zero.

use super::block::{Block, LANES, Span};
use super::real::{Real, Score};
use crate::kernel::philox::{MULTIPLIERS, ROUNDS, WEYL};
use crate::kernel::{BLOCK, Coin, Mask};

/// Zeroes the elements of `term` that `mask` does not keep.
pub(super) fn apply<R: Real>(mask: &Mask, span: Span, term: &mut Block<R>) {
    match mask {
        Mask::All => {}
        Mask::Nothing => term.fill(R::ZERO),
        Mask::Band { threshold, ties_end } => band(*threshold, *ties_end, span, term),
        Mask::Coin(coin) => flip(coin, span, term),
    }
}

fn band<R: Real>(threshold: u64, ties_end: u64, span: Span, term: &mut Block<R>) {
    let limit = R::Score::at_most(threshold);
    if limit.to_u64() != threshold {
        // No score reaches it.
        return term.fill(R::ZERO);
    }
    let ties = ties_end.saturating_sub(span.first).min(BLOCK as u64) as usize;
    let (with_ties, without) = term.split_at_mut(ties);
    keep_above(limit.before(), with_ties);
    keep_above(limit, without);
}

#[inline(always)]
fn keep_above<R: Real>(limit: R::Score, values: &mut [R]) {
    for value in values {
        *value = if value.score() > limit { *value } else { R::ZERO };
    }
}

fn flip<R: Real>(coin: &Coin, span: Span, term: &mut Block<R>) {
    let mut words = [[0; 4]; BLOCK / 4];
    draw(coin, span.first, &mut words);
    for (value, word) in term.iter_mut().zip(words.as_flattened()) {
        *value = if *word < coin.threshold { *value } else { R::ZERO };
    }
}

/// The words of the block whose first element is `first`: eight Philox counters at a time.
fn draw(coin: &Coin, first: u64, words: &mut [[u32; 4]; BLOCK / 4]) {
    // `first` is a multiple of BLOCK, so that the low word of the counter does not wrap within a block.
    let (low, high) = ((first / 4) as u32, (first >> 34) as u32);
    for (group, out) in words.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut a: [u32; LANES] = std::array::from_fn(|lane| low + (group * LANES + lane) as u32);
        let mut b = [high; LANES];
        let mut c = [coin.stream[0]; LANES];
        let mut d = [coin.stream[1]; LANES];
        let mut key = coin.key;
        for _ in 0..ROUNDS {
            for lane in 0..LANES {
                let first = u64::from(MULTIPLIERS[0]) * u64::from(a[lane]);
                let third = u64::from(MULTIPLIERS[1]) * u64::from(c[lane]);
                a[lane] = (third >> 32) as u32 ^ b[lane] ^ key[0];
                b[lane] = third as u32;
                c[lane] = (first >> 32) as u32 ^ d[lane] ^ key[1];
                d[lane] = first as u32;
            }
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        for (lane, words) in out.iter_mut().enumerate() {
            *words = [a[lane], b[lane], c[lane], d[lane]];
        }
    }
}
