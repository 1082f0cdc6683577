//! Masks, a block at a time: what is not kept becomes zero.

use super::block::{Block, Span};
use super::real::{Bits, Real};
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use crate::philox;
use crate::{BLOCK, Coin, Cut};

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

/// The bits of a word. Masking with these is vector code everywhere, shifting by their numbers is not.
const PLACES: [u32; 32] = {
    let mut places = [1; 32];
    let mut j = 1;
    while j < 32 {
        places[j] = 1 << j;
        j += 1;
    }
    places
};

/// Zeroes the elements of `term` whose bit in `bits` is not set.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn keep<R: Real>(bits: &[u32], term: &mut [R]) {
    for (values, bits) in term.chunks_mut(32).zip(bits) {
        for (value, place) in values.iter_mut().zip(PLACES) {
            *value = if bits & place == 0 { R::ZERO } else { *value };
        }
    }
}

/// A bit an element of a block: whether its coin keeps it.
type Tossed = [u32; BLOCK / 32];

/// What one term's coin said, from the first block on: whoever measures what a coin keeps mixes it next.
#[derive(Default)]
pub(super) struct Tosses {
    coin: Option<Coin>,
    blocks: Vec<Tossed>,
}

/// What the coins of all terms together may take that are remembered, in bytes: a bit an element.
pub const REMEMBERED: u64 = 8 << 20;
const MOST_BLOCKS: usize = REMEMBERED as usize / size_of::<Tossed>();

impl Tosses {
    /// The coins of the block whose first element is `first`, of one of `terms` terms.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) fn of(&mut self, coin: &Coin, first: u64, terms: usize) -> Tossed {
        if self.coin != Some(*coin) {
            self.coin = Some(*coin);
            self.blocks.clear();
        }
        let block = (first / BLOCK as u64) as usize;
        if let Some(tossed) = self.blocks.get(block) {
            return *tossed;
        }
        let tossed = toss(coin, first);
        if block == self.blocks.len() && block < MOST_BLOCKS / terms {
            self.blocks.push(tossed);
        }
        tossed
    }
}

/// Tosses the coins of the block whose first element is `first`. Counters differ in their low word only: LLVM makes them lanes.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline(always)]
fn toss(coin: &Coin, first: u64) -> Tossed {
    // `first` is a multiple of BLOCK, so that the low word does not wrap within a block.
    let (low, high) = ((first / 4) as u32, (first >> 34) as u32);
    // Four bits a counter.
    let mut kept = [0; BLOCK / 4];
    for (lane, kept) in kept.iter_mut().enumerate() {
        let words = philox([low + lane as u32, high, coin.stream[0], coin.stream[1]], coin.key);
        let [a, b, c, d] = words.map(|word| u32::from(word < coin.threshold));
        *kept = a | b << 1 | c << 2 | d << 3;
    }
    let mut tossed = [0; BLOCK / 32];
    for (bits, kept) in tossed.iter_mut().zip(kept.as_chunks::<8>().0) {
        *bits = kept.iter().enumerate().fold(0, |bits, (lane, kept)| bits | kept << (4 * lane));
    }
    tossed
}

/// The same, twice four counters at a time: LLVM does not find WebAssembly's products of 32 by 32 bits, and its own of 64 by 64 are
/// slow.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn toss(coin: &Coin, first: u64) -> Tossed {
    use std::arch::wasm32::{
        u32x4, u32x4_add, u32x4_ge, u32x4_shl, u32x4_shuffle, u32x4_splat, u64x2_extmul_high_u32x4,
        u64x2_extmul_low_u32x4, u64x2_extract_lane, v128, v128_and, v128_or, v128_xor,
    };
    use std::hint::black_box;

    use crate::{PHILOX_MULTIPLIERS, PHILOX_ROUNDS, PHILOX_WEYL};

    /// Low and high halves of the products of every lane.
    fn products(lanes: v128, by: v128) -> (v128, v128) {
        let (first, last) = (u64x2_extmul_low_u32x4(lanes, by), u64x2_extmul_high_u32x4(lanes, by));
        (u32x4_shuffle::<0, 2, 4, 6>(first, last), u32x4_shuffle::<1, 3, 5, 7>(first, last))
    }

    let mut key = coin.key;
    let rounds: [_; PHILOX_ROUNDS as usize] = std::array::from_fn(|_| {
        let round = [PHILOX_MULTIPLIERS[0], PHILOX_MULTIPLIERS[1], key[0], key[1]].map(|word| u32x4_splat(word));
        key = [key[0].wrapping_add(PHILOX_WEYL[0]), key[1].wrapping_add(PHILOX_WEYL[1])];
        round
    });
    // Hidden: LLVM would widen the multipliers, and then find no product of 32 by 32 bits either.
    let rounds = black_box(&rounds);
    let threshold = u32x4_splat(coin.threshold);
    let (low, high) = ((first / 4) as u32, (first >> 34) as u32);
    let mut tossed = [0; BLOCK / 32];
    for (number, bits) in tossed.iter_mut().enumerate() {
        // Lane i belongs to counter i of each half.
        let low = u32x4_add(u32x4_splat(low + 8 * number as u32), u32x4(0, 1, 2, 3));
        let [second, third, fourth] = [high, coin.stream[0], coin.stream[1]].map(|word| u32x4_splat(word));
        let mut halves = [low, u32x4_add(low, u32x4_splat(4))].map(|low| [low, second, third, fourth]);
        for [first_by, third_by, key_0, key_1] in rounds {
            halves = halves.map(|[first, second, third, fourth]| {
                let (first_low, first_high) = products(first, *first_by);
                let (third_low, third_high) = products(third, *third_by);
                [
                    v128_xor(v128_xor(third_high, second), *key_0),
                    third_low,
                    v128_xor(v128_xor(first_high, fourth), *key_1),
                    first_low,
                ]
            });
        }
        let mut dropped = u32x4_splat(0);
        for (place, words) in halves.as_flattened().iter().enumerate() {
            // Word i of a counter has bit i of its four; the second half has the upper 16.
            let place = u32x4_shl(u32x4(1, 1 << 4, 1 << 8, 1 << 12), (place % 4 + 16 * (place / 4)) as u32);
            dropped = v128_or(dropped, v128_and(u32x4_ge(*words, threshold), place));
        }
        let dropped = u64x2_extract_lane::<0>(dropped) | u64x2_extract_lane::<1>(dropped);
        *bits = !(dropped as u32 | (dropped >> 32) as u32);
    }
    tossed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_the_same_whether_remembered_or_not() {
        let mut tosses = Tosses::default();
        let coins = [1, 2].map(|stream| Coin { key: [7, 8], stream: [9, stream], threshold: 1 << 30 });
        let far = (1 << 34) / BLOCK as u64;
        for (coin, blocks) in coins.iter().zip([[0, 1, 0, far, 2, 1], [0, 0, 1, 5, 0, far]]) {
            for block in blocks {
                let first = block * BLOCK as u64;
                let tossed = tosses.of(coin, first, 2);
                for j in 0..BLOCK {
                    assert_eq!(tossed[j / 32] >> (j % 32) & 1 == 1, coin.keeps(first + j as u64), "{j} of {block}");
                }
            }
        }
        // The last coin's, without a gap.
        assert_eq!(tosses.blocks.len(), 2);
    }
}
