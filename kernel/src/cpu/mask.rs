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
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline(always)]
fn draw(coin: &Coin, first: u64, words: &mut [[u32; 4]; BLOCK / 4]) {
    // `first` is a multiple of BLOCK, so that the low word does not wrap within a block.
    let (low, high) = ((first / 4) as u32, (first >> 34) as u32);
    for (lane, words) in words.iter_mut().enumerate() {
        *words = philox([low + lane as u32, high, coin.stream[0], coin.stream[1]], coin.key);
    }
}

/// The same, four counters at a time: LLVM does not find WebAssembly's products of 32 by 32 bits, and its own of 64 by 64 are slow.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn draw(coin: &Coin, first: u64, words: &mut [[u32; 4]; BLOCK / 4]) {
    use std::arch::wasm32::{
        u32x4, u32x4_add, u32x4_extract_lane, u32x4_shuffle, u32x4_splat, u64x2_extmul_high_u32x4,
        u64x2_extmul_low_u32x4, v128, v128_xor,
    };

    use crate::{PHILOX_MULTIPLIERS, PHILOX_ROUNDS, PHILOX_WEYL};

    /// Low and high halves of the products of every lane.
    fn products(lanes: v128, by: v128) -> (v128, v128) {
        let (first, last) = (u64x2_extmul_low_u32x4(lanes, by), u64x2_extmul_high_u32x4(lanes, by));
        (u32x4_shuffle::<0, 2, 4, 6>(first, last), u32x4_shuffle::<1, 3, 5, 7>(first, last))
    }

    let [first_by, third_by] = PHILOX_MULTIPLIERS.map(|word| u32x4_splat(word));
    let [grow_0, grow_1] = PHILOX_WEYL.map(|word| u32x4_splat(word));
    let (low, high) = ((first / 4) as u32, (first >> 34) as u32);
    for (group, words) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        // Lane i belongs to counter i.
        let low = u32x4_add(u32x4_splat(low + 4 * group as u32), u32x4(0, 1, 2, 3));
        let mut counter = [low, u32x4_splat(high), u32x4_splat(coin.stream[0]), u32x4_splat(coin.stream[1])];
        let [mut key_0, mut key_1] = coin.key.map(|word| u32x4_splat(word));
        for _ in 0..PHILOX_ROUNDS {
            let (first_low, first_high) = products(counter[0], first_by);
            let (third_low, third_high) = products(counter[2], third_by);
            counter = [
                v128_xor(v128_xor(third_high, counter[1]), key_0),
                third_low,
                v128_xor(v128_xor(first_high, counter[3]), key_1),
                first_low,
            ];
            (key_0, key_1) = (u32x4_add(key_0, grow_0), u32x4_add(key_1, grow_1));
        }
        *words = [
            counter.map(|lanes| u32x4_extract_lane::<0>(lanes)),
            counter.map(|lanes| u32x4_extract_lane::<1>(lanes)),
            counter.map(|lanes| u32x4_extract_lane::<2>(lanes)),
            counter.map(|lanes| u32x4_extract_lane::<3>(lanes)),
        ];
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
