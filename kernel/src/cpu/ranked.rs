//! Coins whose chance grows with the rank within a line (DELLA): the one mask that is written down, a bit an element of a window.

use std::ops::Range;

use super::block::{Block, Span, decode_base, form};
use super::real::{Bits, Real};
use crate::{BLOCK, Frame, Precision, RankedCoin, Window};

/// The bits of [`Window::drawn`] for one term and the elements `window` of the tensor (the range begins at a multiple of 32).
/// `around` holds whole lines: all those that the range touches.
pub fn draw(frame: &Frame<'_>, term: usize, coin: &RankedCoin, around: &Window<'_>, window: Range<u64>) -> Vec<u32> {
    match frame.precision {
        Precision::F32 => at_width::<f32>(frame, term, coin, around, window),
        Precision::F64 => at_width::<f64>(frame, term, coin, around, window),
    }
}

fn at_width<R: Real>(
    frame: &Frame<'_>,
    term: usize,
    ranked: &RankedCoin,
    around: &Window<'_>,
    window: Range<u64>,
) -> Vec<u32> {
    let mut bits = vec![0_u32; ((window.end - window.start) as usize).div_ceil(32)];
    let (line, stride) = (ranked.line as usize, ranked.stride as usize);
    let mut scores = Vec::with_capacity(line * stride);
    let mut order: Vec<(u64, u32)> = Vec::with_capacity(line);
    for at in (0..around.len).step_by(line * stride) {
        rank::<R>(frame, term, around, at..at + line * stride, &mut scores);
        for first in 0..stride {
            order.clear();
            order.extend((0..line).map(|place| (scores[first + place * stride], place as u32)));
            order.sort_unstable();
            for (rank, &(_, place)) in order.iter().enumerate() {
                let index = around.first + (at + first + place as usize * stride) as u64;
                if window.contains(&index) && ranked.coin.word(index) < threshold(ranked, rank) {
                    let bit = (index - window.start) as usize;
                    bits[bit / 32] |= 1 << (bit % 32);
                }
            }
        }
    }
    bits
}

/// What a coin's word must be below at a rank.
fn threshold(coin: &RankedCoin, rank: usize) -> u32 {
    let along = if coin.line > 1 { rank as f64 / (coin.line - 1) as f64 } else { 0.5 };
    ((coin.low + (coin.high - coin.low) * along) * 4_294_967_296.0) as u32
}

/// Fills `scores` with those of some of a term's elements, which `around` has.
fn rank<R: Real>(frame: &Frame<'_>, term: usize, around: &Window<'_>, elements: Range<usize>, scores: &mut Vec<u64>) {
    let (mut base, mut values): (Block<R>, Block<R>) = ([R::ZERO; BLOCK], [R::ZERO; BLOCK]);
    scores.clear();
    for at in elements.clone().step_by(BLOCK) {
        let span = Span { at, first: around.first + at as u64, len: BLOCK.min(elements.end - at) };
        decode_base(frame.space, around, span, &mut base);
        form(frame.space, term, around, span, &base, &mut values);
        scores.extend(values[..span.len].iter().map(|value| value.bits().to_u64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Coin, Float, Raw, Space};

    fn drawn(values: &[f32], coin: &RankedCoin) -> Vec<usize> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let inputs = [Raw { dtype: Float::F32, bytes: &bytes }];
        let window = Window::new(0, values.len(), &inputs);
        let frame = Frame::new(Precision::F32, Space::Inputs);
        let bits = draw(&frame, 0, coin, &window, 0..values.len() as u64);
        (0..values.len()).filter(|at| bits[at / 32] >> (at % 32) & 1 == 1).collect()
    }

    fn coin(low: f64, high: f64, line: u64, stride: u64) -> RankedCoin {
        RankedCoin { coin: Coin { key: [1, 2], stream: [3, 4], threshold: 0 }, low, high, line, stride }
    }

    #[test]
    fn a_sure_coin_keeps_the_largest_of_every_line_and_never_the_smallest() {
        // From 0 at the smallest to 1 at the largest: two a line are decided.
        let values = [3.0, -1.0, 0.5, 0.0, 2.0, -9.0];
        let kept = drawn(&values, &coin(0.0, 1.0, 3, 1));
        assert!(kept.contains(&0) && !kept.contains(&2));
        assert!(kept.contains(&5) && !kept.contains(&3));
        // The same numbers as columns: lines are 0 2 4 and 1 3 5.
        let kept = drawn(&values, &coin(0.0, 1.0, 3, 2));
        assert!(kept.contains(&0) && !kept.contains(&2));
        assert!(kept.contains(&5) && !kept.contains(&3));
    }

    #[test]
    fn of_equal_magnitudes_the_lowest_index_ranks_lowest() {
        assert_eq!(threshold(&coin(0.25, 0.75, 3, 1), 0), 1 << 30);
        let kept = drawn(&[1.0, -1.0], &coin(0.0, 1.0, 2, 1));
        assert_eq!(kept, [1]);
    }

    #[test]
    fn an_element_alone_in_its_line_is_kept_with_the_mean_chance() {
        let values = vec![1.0; 40_000];
        let kept = drawn(&values, &coin(0.1, 0.4, 1, 1)).len();
        // A quarter of 40,000, give or take six standard deviations.
        assert!((9_480..=10_520).contains(&kept), "{kept}");
    }

    #[test]
    fn the_chance_grows_with_the_rank() {
        let values: Vec<f32> = (0..40_000).map(|at| at as f32).collect();
        let kept = drawn(&values, &coin(0.35, 0.65, 40_000, 1));
        let upper = kept.iter().filter(|&&at| at >= 20_000).count();
        // Chances of 0.425 and 0.575 on the average of the halves, six standard deviations of √(20,000·0.25).
        assert!((11_075..=11_925).contains(&upper), "{upper}");
        assert!((8_075..=8_925).contains(&(kept.len() - upper)), "{}", kept.len() - upper);
    }
}
