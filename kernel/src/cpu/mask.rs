//! Masks, a block at a time: what is not kept becomes zero.

use super::block::{Block, Span};
use super::real::{Bits, Real};
use crate::{BLOCK, Coin, Cut, philox};

/// Zeroes the elements of `term` that are not in the cut (or, where `KEEP` is false, those that are). They are ranked by `by`, or by
/// their own magnitude.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn cut<R: Real, const KEEP: bool>(cut: Cut, span: Span, by: Option<&Block<R>>, term: &mut Block<R>) {
    let limit = R::Bits::at_most(cut.threshold);
    if limit.to_u64() != cut.threshold {
        // No score reaches it.
        if KEEP {
            term.fill(R::ZERO);
        }
        return;
    }
    let ties = cut.ties_end.saturating_sub(span.first).min(BLOCK as u64) as usize;
    let (with_ties, without) = term.split_at_mut(ties);
    let (by_with, by_without) = by.map(|by| by.split_at(ties)).unzip();
    beyond::<R, KEEP>(limit.before(), by_with, with_ties);
    beyond::<R, KEEP>(limit, by_without, without);
}

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn beyond<R: Real, const KEEP: bool>(limit: R::Bits, by: Option<&[R]>, values: &mut [R]) {
    let kept = |value: R, by: R| if (by.bits() > limit) == KEEP { value } else { R::ZERO };
    match by {
        None => values.iter_mut().for_each(|value| *value = kept(*value, *value)),
        Some(by) => values.iter_mut().zip(by).for_each(|(value, by)| *value = kept(*value, *by)),
    }
}

/// Zeroes the elements whose coin does not keep them.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn flip<R: Real>(coin: &Coin, span: Span, term: &mut Block<R>) {
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

/// Zeroes the elements whose bit in `drawn` (from bit `span.at` on) is not set.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn drawn<R: Real>(drawn: &[u32], span: Span, term: &mut Block<R>) {
    for (values, bits) in term[..span.len].chunks_mut(32).zip(&drawn[span.at / 32..]) {
        for (j, value) in values.iter_mut().enumerate() {
            *value = if bits >> j & 1 == 1 { *value } else { R::ZERO };
        }
    }
}
