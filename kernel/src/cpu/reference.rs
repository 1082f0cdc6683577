//! What every measure, mask and mix is, one element at a time: the definition that [`super::Cpu`] and the GPU are held to.
//!
//! It is written to be read. Nothing runs it but tests and the page's step-by-step view of a method.

use super::block::LANES;
use super::float16::{bf16_to_f32, f16_to_f32};
use super::real::{Real, Score};
use crate::{
    BLOCK, Backend, BackendError, BackendKind, Combine, Digit, Float, Gram, L1, Mask, Mix, Precision, Raw, Space,
    TieHunt, Window,
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

/// Whether a mask keeps a value at an index of the tensor.
fn keeps<R: Real>(mask: &Mask, value: R, index: u64) -> bool {
    match *mask {
        Mask::All => true,
        Mask::Nothing => false,
        Mask::Band { threshold, ties_end } => {
            let score = value.score().to_u64();
            score > threshold || (score == threshold && index < ties_end)
        }
        Mask::Coin(coin) => coin.keeps(index),
    }
}

/// An element of a masked term: zero where it is not kept.
fn masked<R: Real>(space: Space, of: usize, mask: &Mask, window: &Window<'_>, index: usize) -> R {
    let value = term(space, of, window, index);
    if keeps(mask, value, window.first + index as u64) { value } else { R::ZERO }
}

/// Adds f(index) over a window to a running total: in each block, element j to lane j mod 8, the lanes as a tree, blocks in order.
fn accumulate(window: &Window<'_>, total: &mut f64, f: impl Fn(usize) -> f64) {
    for start in (0..window.len).step_by(BLOCK) {
        let mut lanes = [0.0; LANES];
        for index in start..window.len.min(start + BLOCK) {
            lanes[index % LANES] += f(index);
        }
        let [a, b, c, d, e, f, g, h] = lanes;
        *total += ((a + b) + (c + d)) + ((e + f) + (g + h));
    }
}

fn gram<R: Real>(space: Space, window: &Window<'_>, into: &mut Gram) {
    let mut sums = into.sums.iter_mut();
    for i in 0..into.terms {
        for (j, sum) in (i..into.terms).zip(&mut sums) {
            let at = |of, index| term::<R>(space, of, window, index).to_f64();
            accumulate(window, sum, |index| at(i, index) * at(j, index));
        }
    }
}

fn l1<R: Real>(space: Space, masks: &[Mask], window: &Window<'_>, into: &mut [L1]) {
    for (of, (mask, norms)) in masks.iter().zip(into).enumerate() {
        accumulate(window, &mut norms.all, |index| term::<R>(space, of, window, index).abs().to_f64());
        accumulate(window, &mut norms.kept, |index| masked::<R>(space, of, mask, window, index).abs().to_f64());
    }
}

fn histogram<R: Real>(space: Space, digits: &[Option<Digit>], window: &Window<'_>, into: &mut [Vec<u64>]) {
    for (of, (digit, counts)) in digits.iter().zip(into).enumerate() {
        let Some(Digit { shift, bits, prefix }) = *digit else { continue };
        for index in 0..window.len {
            let score = term::<R>(space, of, window, index).score().to_u64();
            if score >> (shift + bits) == prefix {
                counts[(score >> shift) as usize & ((1 << bits) - 1)] += 1;
            }
        }
    }
}

fn ties<R: Real>(space: Space, window: &Window<'_>, hunts: &mut [Option<TieHunt>]) {
    for (of, hunt) in hunts.iter_mut().enumerate() {
        let Some(hunt) = hunt else { continue };
        for index in 0..window.len {
            let score = term::<R>(space, of, window, index).score().to_u64();
            if score == hunt.threshold && hunt.met < hunt.wanted {
                hunt.met += 1;
                if hunt.met == hunt.wanted {
                    hunt.end = Some(window.first + index as u64 + 1);
                }
            }
        }
    }
}

/// One merged value, before it is rounded.
fn mixed<R: Real>(mix: &Mix, window: &Window<'_>, index: usize) -> R {
    let base = match mix.space {
        Space::Inputs => None,
        Space::Deltas { base } => Some(element(window.inputs[base], index)),
    };
    let combined = (0..mix.masks.len())
        .map(|of| masked(mix.space, of, &mix.masks[of], window, index))
        .zip(coefficients(&mix.combine))
        .map(|(value, coefficient)| R::nearest(coefficient) * value);
    let combined = match &mix.combine {
        Combine::Sum { .. } => combined.reduce(|sum, product| sum + product),
        Combine::Vote { weights, normalize, lambda, .. } => {
            let votes: Vec<R> = combined.collect();
            (!votes.is_empty()).then(|| elect(&votes, weights, *normalize) * R::nearest(*lambda))
        }
    };
    match (combined, base) {
        (Some(combined), Some(base)) => base + combined,
        (Some(value), None) | (None, Some(value)) => value,
        (None, None) => R::ZERO,
    }
}

fn coefficients(combine: &Combine) -> impl Iterator<Item = f64> {
    let (Combine::Sum { coefficients } | Combine::Vote { coefficients, .. }) = combine;
    coefficients.iter().copied()
}

/// The votes of the elected sign, summed, and divided by their weights.
fn elect<R: Real>(votes: &[R], weights: &[f64], normalize: bool) -> R {
    let (mut sum, mut magnitude) = (R::ZERO, R::ZERO);
    for &vote in votes {
        sum += vote;
        magnitude += vote.abs();
    }
    let tie = sum.abs() < magnitude * R::TIE_SHARE;
    let minus = sum < R::ZERO && !tie;

    let (mut elected, mut divisor) = (R::ZERO, R::ZERO);
    for (&vote, &weight) in votes.iter().zip(weights) {
        let agrees = if minus { vote < R::ZERO } else { vote > R::ZERO };
        let undefined = vote.partial_cmp(&vote).is_none();
        if agrees || undefined {
            elected += vote;
            divisor += R::nearest(weight);
        }
    }
    match (normalize, divisor == R::ZERO) {
        (true, false) => elected / divisor,
        _ => elected,
    }
}

fn mix_window<R: Real>(mix: &Mix, window: &Window<'_>, into: &mut Vec<u8>) {
    for index in 0..window.len {
        let value: R = mixed(mix, window, index);
        match mix.out {
            Float::F16 => into.extend(value.encode_f16().to_le_bytes()),
            Float::BF16 => into.extend(value.encode_bf16().to_le_bytes()),
            Float::F32 => into.extend(value.encode_f32().to_le_bytes()),
            Float::F64 => into.extend(value.encode_f64().to_le_bytes()),
        }
    }
}

impl Backend for Reference {
    fn kind(&self) -> BackendKind {
        BackendKind::Cpu
    }

    async fn gram(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        into: &mut Gram,
    ) -> Result<(), BackendError> {
        match precision {
            Precision::F32 => gram::<f32>(space, &window, into),
            Precision::F64 => gram::<f64>(space, &window, into),
        }
        Ok(())
    }

    async fn l1(
        &mut self,
        precision: Precision,
        space: Space,
        masks: &[Mask],
        window: Window<'_>,
        into: &mut [L1],
    ) -> Result<(), BackendError> {
        match precision {
            Precision::F32 => l1::<f32>(space, masks, &window, into),
            Precision::F64 => l1::<f64>(space, masks, &window, into),
        }
        Ok(())
    }

    async fn histogram(
        &mut self,
        precision: Precision,
        space: Space,
        digits: &[Option<Digit>],
        window: Window<'_>,
        into: &mut [Vec<u64>],
    ) -> Result<(), BackendError> {
        match precision {
            Precision::F32 => histogram::<f32>(space, digits, &window, into),
            Precision::F64 => histogram::<f64>(space, digits, &window, into),
        }
        Ok(())
    }

    async fn ties(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        hunts: &mut [Option<TieHunt>],
    ) -> Result<(), BackendError> {
        match precision {
            Precision::F32 => ties::<f32>(space, &window, hunts),
            Precision::F64 => ties::<f64>(space, &window, hunts),
        }
        Ok(())
    }

    async fn mix(&mut self, mix: &Mix, window: Window<'_>, into: &mut Vec<u8>) -> Result<(), BackendError> {
        match mix.precision {
            Precision::F32 => mix_window::<f32>(mix, &window, into),
            Precision::F64 => mix_window::<f64>(mix, &window, into),
        }
        Ok(())
    }
}
