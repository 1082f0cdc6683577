//! Mixes, a block at a time: masked terms in, merged values out.

use super::block::{Block, LANES};
use super::real::Real;
use crate::kernel::Combine;

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

fn sum<R: Real>(coefficients: &[R], terms: &[Block<R>], values: &mut Block<R>) {
    for (group, out) in values.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let of = |term: usize, lane: usize| coefficients[term] * terms[term][group * LANES + lane];
        let mut sum: [R; LANES] = std::array::from_fn(|lane| of(0, lane));
        for term in 1..terms.len() {
            for (lane, sum) in sum.iter_mut().enumerate() {
                *sum += of(term, lane);
            }
        }
        *out = sum;
    }
}

fn vote<R: Real, const NORMALIZE: bool>(
    coefficients: &[R],
    weights: &[R],
    lambda: R,
    terms: &[Block<R>],
    values: &mut Block<R>,
) {
    for (group, out) in values.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let of = |term: usize, lane: usize| coefficients[term] * terms[term][group * LANES + lane];
        let (mut sum, mut magnitude) = ([R::ZERO; LANES], [R::ZERO; LANES]);
        for term in 0..terms.len() {
            for lane in 0..LANES {
                let vote = of(term, lane);
                sum[lane] += vote;
                magnitude[lane] += vote.abs();
            }
        }
        // Multiplying by the elected sign is exact, and makes "agrees" mean "is not zero or less" (a NaN always agrees).
        let sign: [R; LANES] = std::array::from_fn(|lane| {
            let tie = sum[lane].abs() < magnitude[lane] * R::TIE_SHARE;
            if (sum[lane] < R::ZERO) & !tie { -R::ONE } else { R::ONE }
        });
        let (mut elected, mut divisor) = ([R::ZERO; LANES], [R::ZERO; LANES]);
        for term in 0..terms.len() {
            for lane in 0..LANES {
                let vote = of(term, lane);
                let against = vote * sign[lane] <= R::ZERO;
                elected[lane] += if against { R::ZERO } else { vote };
                divisor[lane] += if against { R::ZERO } else { weights[term] };
            }
        }
        for lane in 0..LANES {
            if NORMALIZE {
                elected[lane] = elected[lane] / if divisor[lane] == R::ZERO { R::ONE } else { divisor[lane] };
            }
            out[lane] = elected[lane] * lambda;
        }
    }
}
