//! Mixes, a block at a time: masked terms in, merged values out.

use super::block::Block;
use super::real::Real;
use crate::{BLOCK, Combine};

/// A [`Combine`] at the width of the arithmetic.
pub(super) enum Formula<R> {
    Sum { coefficients: Vec<R> },
    Vote { coefficients: Vec<R>, weights: Vec<R>, normalize: bool, lambda: R },
}

impl<R: Real> Formula<R> {
    pub(super) fn new(combine: &Combine) -> Self {
        let rounded = |values: &[f64]| values.iter().copied().map(R::nearest).collect();
        match combine {
            Combine::Sum { coefficients } => Self::Sum { coefficients: rounded(coefficients) },
            Combine::Vote { coefficients, weights, normalize, lambda } => Self::Vote {
                coefficients: rounded(coefficients),
                weights: rounded(weights),
                normalize: *normalize,
                lambda: R::nearest(*lambda),
            },
        }
    }

    /// The merged values of a block: the combined terms, plus the base if there is one.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) fn combine(&self, terms: &[Block<R>], base: Option<&Block<R>>, values: &mut Block<R>) {
        match (self, terms) {
            (_, []) => values.fill(R::ZERO),
            (Self::Sum { coefficients }, _) => sum(coefficients, terms, values),
            (Self::Vote { coefficients, weights, normalize: false, lambda }, _) => {
                vote::<R, false>(coefficients, weights, *lambda, terms, values);
            }
            (Self::Vote { coefficients, weights, normalize: true, lambda }, _) => {
                vote::<R, true>(coefficients, weights, *lambda, terms, values);
            }
        }
        match base {
            Some(base) if terms.is_empty() => *values = *base,
            Some(base) => values.iter_mut().zip(base).for_each(|(value, base)| *value += *base),
            None => {}
        }
    }
}

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn sum<R: Real>(coefficients: &[R], terms: &[Block<R>], values: &mut Block<R>) {
    match (coefficients, terms) {
        ([a, b], [first, second]) => each(values, |j, _| *a * first[j] + *b * second[j]),
        ([coefficient, others @ ..], [first, terms @ ..]) => {
            each(values, |j, _| *coefficient * first[j]);
            for (coefficient, term) in others.iter().zip(terms) {
                each(values, |j, sum| sum + *coefficient * term[j]);
            }
        }
        _ => values.fill(R::ZERO),
    }
}

/// Replaces every value by what `of` makes of its index and itself.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn each<R: Real>(values: &mut Block<R>, of: impl Fn(usize, R) -> R) {
    for (j, value) in values.iter_mut().enumerate() {
        *value = of(j, *value);
    }
}

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn vote<R: Real, const NORMALIZE: bool>(
    coefficients: &[R],
    weights: &[R],
    lambda: R,
    terms: &[Block<R>],
    values: &mut Block<R>,
) {
    let (mut signs, mut magnitudes) = ([R::ZERO; BLOCK], [R::ZERO; BLOCK]);
    for (&coefficient, term) in coefficients.iter().zip(terms) {
        for j in 0..BLOCK {
            let vote = coefficient * term[j];
            signs[j] += vote;
            magnitudes[j] += vote.abs();
        }
    }
    each(&mut signs, |j, sum| {
        let tie = sum.abs() < magnitudes[j] * R::TIE_SHARE;
        if sum < R::ZERO && !tie { -R::ONE } else { R::ONE }
    });
    let mut divisors = [R::ZERO; BLOCK];
    values.fill(R::ZERO);
    for ((&coefficient, &weight), term) in coefficients.iter().zip(weights).zip(terms) {
        for j in 0..BLOCK {
            let vote = coefficient * term[j];
            // The product is exact. A NaN is against nothing, and spoils the sum as it should.
            let against = vote * signs[j] <= R::ZERO;
            values[j] += if against { R::ZERO } else { vote };
            divisors[j] += if against { R::ZERO } else { weight };
        }
    }
    each(values, |j, elected| {
        let divisor = if divisors[j] == R::ZERO { R::ONE } else { divisors[j] };
        if NORMALIZE { elected / divisor * lambda } else { elected * lambda }
    });
}
