//! Masks, a block at a time: what is not kept becomes zero.

use super::block::{Block, Span};
use super::real::{Real, Score};
use crate::{BLOCK, Coin, Mask, philox};

/// Zeroes the elements of `term` that `mask` does not keep.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn apply<R: Real>(mask: &Mask, span: Span, term: &mut Block<R>) {
    match mask {
        Mask::All => {}
        Mask::Nothing => term.fill(R::ZERO),
        Mask::Band { threshold, ties_end } => band(*threshold, *ties_end, span, term),
        Mask::Coin(coin) => flip(coin, span, term),
    }
}

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
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

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn keep_above<R: Real>(limit: R::Score, values: &mut [R]) {
    for value in values {
        *value = if value.score() > limit { *value } else { R::ZERO };
    }
}

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn flip<R: Real>(coin: &Coin, span: Span, term: &mut Block<R>) {
    let mut words = [[0; 4]; BLOCK / 4];
    draw(coin, span.first, &mut words);
    for (value, word) in term.iter_mut().zip(words.as_flattened()) {
        *value = if *word < coin.threshold { *value } else { R::ZERO };
    }
}

/// The words of the block whose first element is `first`. Counters differ in their low word only: LLVM makes them lanes.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn draw(coin: &Coin, first: u64, words: &mut [[u32; 4]; BLOCK / 4]) {
    // `first` is a multiple of BLOCK, so that the low word does not wrap within a block.
    let (low, high) = ((first / 4) as u32, (first >> 34) as u32);
    for (lane, words) in words.iter_mut().enumerate() {
        *words = philox([low + lane as u32, high, coin.stream[0], coin.stream[1]], coin.key);
    }
}
