//! What every measure, mask and mix is, one element at a time: the definition that [`super::Cpu`] and the GPU are held to.
//!
//! It is written to be read. Nothing runs it but tests and the page's step-by-step view of a method.

use std::ops::Range;

use super::block::LANES;
use super::float16::{bf16_to_f32, f16_to_f32};
use super::real::{Bits, Real};
use crate::{
    BLOCK, Backend, BackendKind, Combine, Digit, Float, Frame, Gram, Groups, Histogram, Mask, Mix, NEAREST, Norms,
    Overlap, Pass, Power, Precision, Query, Raw, Score, Space, TieHunt, Window,
};

/// The definition, as a backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// An element of an input, widened to the width of the arithmetic.
fn element<R: Real>(raw: Raw<'_>, index: usize) -> R {
    let bytes = &raw.bytes[index * raw.dtype.size()..];
    match raw.dtype {
        Float::F16 => R::from_f32(f16_to_f32(u16::from_le_bytes(first(bytes)))),
        Float::BF16 => R::from_f32(bf16_to_f32(u16::from_le_bytes(first(bytes)))),
        Float::F32 => R::from_f32(f32::from_le_bytes(first(bytes))),
        Float::F64 => R::nearest(f64::from_le_bytes(first(bytes))),
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|byte| bytes[byte])
}

/// An element of a term: of the input itself, or of the input minus the base.
fn term<R: Real>(space: Space, term: usize, window: &Window<'_>, index: usize) -> R {
    let value: R = element(window.inputs[space.input_of(term)], index);
    match space {
        Space::Inputs => value,
        Space::Deltas { base } => value - element(window.inputs[base], index),
    }
}

/// The score of a term's element.
fn score<R: Real>(frame: &Frame<'_>, of: usize, score: Score, window: &Window<'_>, index: usize) -> u64 {
    let value: R = term(frame.space, of, window, index);
    let ranked = match score {
        Score::Magnitude => value,
        Score::Variance => variance(frame, window, index),
        Score::Scaled => value.abs() * R::nearest(frame.scales[Groups::Rows(frame.row).of(position(window, index))]),
    };
    ranked.bits().to_u64()
}

/// The population variance of all terms at an element, in f64 from differences that are nearly always exact, rounded once.
fn variance<R: Real>(frame: &Frame<'_>, window: &Window<'_>, index: usize) -> R {
    let terms = frame.space.terms(window.inputs.len());
    let values: Vec<f64> = (0..terms).map(|of| term::<R>(frame.space, of, window, index).to_f64()).collect();
    let from_first = || values.iter().map(|value| value - values[0]);
    let mean = from_first().fold(0.0, |sum, value| sum + value) / terms as f64;
    let squares = from_first().fold(0.0, |sum, value| sum + (value - mean) * (value - mean));
    R::nearest(squares / terms as f64)
}

/// The index in the tensor of an element of the window.
fn position(window: &Window<'_>, index: usize) -> u64 {
    window.first + index as u64
}

/// Whether a mask keeps an element of a term.
fn keeps<R: Real>(frame: &Frame<'_>, of: usize, mask: &Mask, window: &Window<'_>, index: usize) -> bool {
    match *mask {
        Mask::All => true,
        Mask::Nothing => false,
        Mask::Band { score: by, from, above } => {
            let (score, at) = (score::<R>(frame, of, by, window, index), position(window, index));
            from.has(score, at) && !above.has(score, at)
        }
        Mask::Coin(coin) => coin.keeps(position(window, index)),
        Mask::Drawn => window.drawn[of][index / 32] >> (index % 32) & 1 == 1,
    }
}

/// An element of a masked term: zero where it is not kept.
fn masked<R: Real>(frame: &Frame<'_>, of: usize, mask: &Mask, window: &Window<'_>, index: usize) -> R {
    if keeps::<R>(frame, of, mask, window, index) { term(frame.space, of, window, index) } else { R::ZERO }
}

/// Adds f(index) over a window to a running total: in each block, element j to lane j mod 8, the lanes as a tree, blocks in order.
fn accumulate(window: &Window<'_>, total: &mut f64, f: impl Fn(usize) -> f64) {
    for block in (0..window.len).step_by(BLOCK) {
        *total += part(block..window.len.min(block + BLOCK), &f);
    }
}

/// The sum over a block or a part of it.
fn part(range: Range<usize>, f: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for (j, index) in range.enumerate() {
        lanes[j % LANES] += f(index);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

fn gram<R: Real>(frame: &Frame<'_>, window: &Window<'_>, into: &mut Gram) {
    let at = |of, index| term::<R>(frame.space, of, window, index).to_f64();
    let (terms, groups) = (into.terms, into.groups);
    let pairs = || (0..terms).flat_map(move |i| (i..terms).map(move |j| (i, j)));
    match groups {
        Groups::Whole => {
            for ((i, j), sum) in pairs().zip(&mut into.sums) {
                accumulate(window, sum, |index| at(i, index) * at(j, index));
            }
        }
        Groups::Rows(row) => {
            let mut first = 0;
            while first < window.len {
                // Up to the end of the block, of the row, or of the tensor.
                let left_of_row = row - position(window, first) % row;
                let end = (first + 1).next_multiple_of(BLOCK).min(window.len);
                let end = end.min(first + usize::try_from(left_of_row).unwrap_or(BLOCK));
                let group = groups.of(position(window, first));
                for (pair, (i, j)) in pairs().enumerate() {
                    into.sums[group * Gram::pairs(terms) + pair] +=
                        part(first..end, |index| at(i, index) * at(j, index));
                }
                first = end;
            }
        }
        Groups::Columns(_) => {
            for index in 0..window.len {
                let group = groups.of(position(window, index));
                for (pair, (i, j)) in pairs().enumerate() {
                    into.sums[group * Gram::pairs(terms) + pair] += at(i, index) * at(j, index);
                }
            }
        }
    }
}

fn norms<R: Real>(frame: &Frame<'_>, power: Power, masks: &[Mask], window: &Window<'_>, into: &mut [Norms]) {
    let measure = |value: R| match power {
        Power::One => value.abs().to_f64(),
        Power::Two => value.to_f64() * value.to_f64(),
    };
    for (of, (mask, norms)) in masks.iter().zip(into).enumerate() {
        accumulate(window, &mut norms.all, |index| measure(term(frame.space, of, window, index)));
        accumulate(window, &mut norms.kept, |index| measure(masked(frame, of, mask, window, index)));
    }
}

fn overlap<R: Real>(frame: &Frame<'_>, masks: &[Mask], window: &Window<'_>, into: &mut [Overlap]) {
    for index in 0..window.len {
        let there = |(of, mask): (usize, &Mask)| masked::<R>(frame, of, mask, window, index) != R::ZERO;
        let count = masks.iter().enumerate().filter(|&of| there(of)).count();
        for (of, overlap) in masks.iter().enumerate().zip(&mut *into) {
            match (there(of), count) {
                (false, _) => {}
                (true, 1) => overlap.alone += 1,
                (true, _) => overlap.shared += 1,
            }
        }
    }
}

fn histogram<R: Real>(frame: &Frame<'_>, queries: &[Query], window: &Window<'_>, into: &mut [Histogram]) {
    for (query, histogram) in queries.iter().zip(into) {
        let Digit { shift, bits, prefix } = query.digit;
        for index in 0..window.len {
            let score = score::<R>(frame, query.term, query.score, window, index);
            if score >> (shift + bits) == prefix {
                let value = (score >> shift) as usize & ((1 << bits) - 1);
                histogram.counts[value] += 1;
                histogram.exact[value] += u64::from(score & ((1 << shift) - 1) == 0);
            }
        }
    }
}

fn ties<R: Real>(frame: &Frame<'_>, window: &Window<'_>, hunts: &mut [TieHunt]) {
    for hunt in hunts {
        for index in 0..window.len {
            let score = score::<R>(frame, hunt.term, hunt.score, window, index);
            if score == hunt.threshold && hunt.met < hunt.wanted {
                hunt.met += 1;
                if hunt.met == hunt.wanted {
                    hunt.end = Some(position(window, index) + 1);
                }
            }
        }
    }
}

/// One merged value, before it is rounded.
fn mixed<R: Real>(frame: &Frame<'_>, mix: &Mix, window: &Window<'_>, index: usize) -> R {
    let base = match frame.space {
        Space::Inputs => None,
        Space::Deltas { base } => Some(element(window.inputs[base], index)),
    };
    let values: Vec<R> =
        mix.masks.iter().enumerate().map(|(of, mask)| masked(frame, of, mask, window, index)).collect();
    let scaled = |coefficients: &[f64]| -> Vec<R> {
        values.iter().zip(coefficients).map(|(&value, &by)| R::nearest(by) * value).collect()
    };
    let sum = |values: Vec<R>| values.into_iter().reduce(|sum, value| sum + value);
    let combined = match &mix.combine {
        _ if values.is_empty() => None,
        Combine::Sum { coefficients } => sum(scaled(coefficients)),
        Combine::Grouped { groups, coefficients } => {
            sum(scaled(&coefficients[groups.of(position(window, index)) * values.len()..]))
        }
        Combine::Vote { coefficients, weights, unweighted, normalize, least, lambda } => {
            let scaled = scaled(coefficients);
            let votes = if *unweighted { &values } else { &scaled };
            let (elected, divisor) = elect(votes, &scaled, weights);
            let divisor = if divisor < R::nearest(*least) { R::nearest(*least) } else { divisor };
            let divides = *normalize && divisor != R::ZERO;
            Some((if divides { elected / divisor } else { elected }) * R::nearest(*lambda))
        }
        Combine::Overlap { coefficients } => {
            let count = values.iter().filter(|value| **value != R::ZERO).count();
            if count < 2 {
                sum(scaled(coefficients))
            } else {
                sum(values.iter().map(|&value| value / R::nearest(count as f64)).collect())
            }
        }
        Combine::Near { base, t } => {
            let (base, other) = (values[*base], values[1 - base]);
            Some(swapped(base, other, R::nearest(*t)))
        }
    };
    match (combined, base) {
        (Some(combined), Some(base)) => base + combined,
        (Some(value), None) | (None, Some(value)) => value,
        (None, None) => R::ZERO,
    }
}

/// NearSwap's w·other + (1 − w)·base.
fn swapped<R: Real>(base: R, other: R, t: R) -> R {
    let apart = (base - other).abs();
    let least = R::nearest(NEAREST);
    let share = t / if apart < least { least } else { apart };
    let share = if share < R::ZERO { R::ZERO } else { share };
    let share = if share > R::ONE { R::ONE } else { share };
    share * other + (R::ONE - share) * base
}

/// The summed values whose votes have the elected sign, and the sum of their weights.
fn elect<R: Real>(votes: &[R], values: &[R], weights: &[f64]) -> (R, R) {
    let (mut sum, mut magnitude) = (R::ZERO, R::ZERO);
    for &vote in votes {
        sum += vote;
        magnitude += vote.abs();
    }
    let tie = sum.abs() < magnitude * R::TIE_SHARE;
    let minus = sum < R::ZERO && !tie;

    let (mut elected, mut divisor) = (R::ZERO, R::ZERO);
    for ((&vote, &value), &weight) in votes.iter().zip(values).zip(weights) {
        let agrees = if minus { vote < R::ZERO } else { vote > R::ZERO };
        let undefined = vote.partial_cmp(&vote).is_none();
        if agrees || undefined {
            elected += value;
            divisor += R::nearest(weight);
        }
    }
    (elected, divisor)
}

fn mix_window<R: Real>(frame: &Frame<'_>, mix: &Mix, window: &Window<'_>, into: &mut Vec<u8>) {
    for index in 0..window.len {
        let value: R = mixed(frame, mix, window, index);
        match mix.out {
            Float::F16 => into.extend(value.encode_f16().to_le_bytes()),
            Float::BF16 => into.extend(value.encode_bf16().to_le_bytes()),
            Float::F32 => into.extend(value.encode_f32().to_le_bytes()),
            Float::F64 => into.extend(value.encode_f64().to_le_bytes()),
        }
    }
}

/// Calls `$f` at the width of the frame's arithmetic.
macro_rules! at_width {
    ($frame:expr, $f:ident($($argument:expr),*)) => {
        match $frame.precision {
            Precision::F32 => $f::<f32>($($argument),*),
            Precision::F64 => $f::<f64>($($argument),*),
        }
    };
}

impl Backend for Reference {
    fn kind(&self) -> BackendKind {
        BackendKind::Cpu
    }

    async fn gram<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, into: &mut Gram) -> Result<(), P::Error> {
        while pass.next().await? {
            pass.see(|window| at_width!(frame, gram(frame, &window, into)));
        }
        Ok(())
    }

    async fn norms<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        power: Power,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Norms],
    ) -> Result<(), P::Error> {
        while pass.next().await? {
            pass.see(|window| at_width!(frame, norms(frame, power, masks, &window, into)));
        }
        Ok(())
    }

    async fn overlap<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Overlap],
    ) -> Result<(), P::Error> {
        while pass.next().await? {
            pass.see(|window| at_width!(frame, overlap(frame, masks, &window, into)));
        }
        Ok(())
    }

    async fn histogram<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        queries: &[Query],
        pass: &mut P,
        into: &mut [Histogram],
    ) -> Result<(), P::Error> {
        while pass.next().await? {
            pass.see(|window| at_width!(frame, histogram(frame, queries, &window, into)));
        }
        Ok(())
    }

    async fn ties<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, hunts: &mut [TieHunt]) -> Result<(), P::Error> {
        while !hunts.iter().all(TieHunt::over) && pass.next().await? {
            pass.see(|window| at_width!(frame, ties(frame, &window, hunts)));
        }
        Ok(())
    }

    async fn mix<P: Pass>(&mut self, frame: &Frame<'_>, mix: &Mix, pass: &mut P) -> Result<(), P::Error> {
        while pass.next().await? {
            let mut values = Vec::new();
            pass.see(|window| at_width!(frame, mix_window(frame, mix, &window, &mut values)));
            pass.put(values);
        }
        Ok(())
    }
}
