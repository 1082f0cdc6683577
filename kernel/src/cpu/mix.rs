//! Mixes, a block at a time: masked terms in, merged values out.

use super::block::Block;
use super::real::Real;
use crate::{BLOCK, Combine, Groups, NEAREST};

/// A [`Combine`] at the width of the arithmetic.
pub(super) enum Formula<R> {
    Sum { coefficients: Vec<R> },
    Grouped { groups: Groups, coefficients: Vec<R> },
    Vote(Ballot<R>),
    Overlap { coefficients: Vec<R> },
    Near { base: usize, t: R },
}

/// An election ([`Combine::Vote`]): what multiplies the terms in the vote and in the sum, and what they add to the divisor.
pub(super) struct Ballot<R> {
    votes: Vec<R>,
    coefficients: Vec<R>,
    weights: Vec<R>,
    normalize: bool,
    least: R,
    lambda: R,
}

impl<R: Real> Ballot<R> {
    /// What was elected, divided and scaled.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn settled(&self, elected: R, divisor: R) -> R {
        let divisor = if divisor < self.least { self.least } else { divisor };
        let divisor = if divisor == R::ZERO || !self.normalize { R::ONE } else { divisor };
        elected / divisor * self.lambda
    }
}

impl<R: Real> Formula<R> {
    pub(super) fn new(combine: &Combine) -> Self {
        let rounded = |values: &[f64]| -> Vec<R> { values.iter().copied().map(R::nearest).collect() };
        match combine {
            Combine::Sum { coefficients } => Self::Sum { coefficients: rounded(coefficients) },
            Combine::Grouped { groups, coefficients } => {
                Self::Grouped { groups: *groups, coefficients: rounded(coefficients) }
            }
            Combine::Vote { coefficients, weights, unweighted, normalize, least, lambda } => {
                let coefficients = rounded(coefficients);
                Self::Vote(Ballot {
                    votes: if *unweighted { vec![R::ONE; coefficients.len()] } else { coefficients.clone() },
                    coefficients,
                    weights: rounded(weights),
                    normalize: *normalize,
                    least: R::nearest(*least),
                    lambda: R::nearest(*lambda),
                })
            }
            Combine::Overlap { coefficients } => Self::Overlap { coefficients: rounded(coefficients) },
            Combine::Near { base, t } => Self::Near { base: *base, t: R::nearest(*t) },
        }
    }

    /// The merged values of the block whose first element is `first`: the combined terms, plus the base if there is one.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) fn combine(&self, first: u64, terms: &[Block<R>], base: Option<&Block<R>>, values: &mut Block<R>) {
        match (self, terms) {
            (_, []) => values.fill(R::ZERO),
            (Self::Sum { coefficients }, _) => sum(coefficients, terms, values),
            (Self::Grouped { groups, coefficients }, _) => grouped(*groups, coefficients, first, terms, values),
            (Self::Vote(ballot), [first, second]) => vote_of_two(ballot, [first, second], values),
            (Self::Vote(ballot), _) => vote(ballot, terms, values),
            (Self::Overlap { coefficients }, _) => overlap(coefficients, terms, values),
            (Self::Near { base, t }, _) => near(&terms[*base], &terms[1 - base], *t, values),
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

/// Like [`sum`], with coefficients of each group's own.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn grouped<R: Real>(groups: Groups, coefficients: &[R], first: u64, terms: &[Block<R>], values: &mut Block<R>) {
    let mut of = [R::ZERO; BLOCK];
    for (number, term) in terms.iter().enumerate() {
        // Past the end of the tensor there is no group.
        each(&mut of, |j, _| {
            let at = groups.of(first + j as u64) * terms.len() + number;
            coefficients.get(at).copied().unwrap_or(R::ZERO)
        });
        each(values, |j, sum| if number == 0 { of[j] * term[j] } else { sum + of[j] * term[j] });
    }
}

/// Of two terms alone, as most are, an election keeps nothing between its steps.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn vote_of_two<R: Real>(ballot: &Ballot<R>, terms: [&Block<R>; 2], values: &mut Block<R>) {
    let of = |of: &[R]| [of[0], of[1]];
    let (by, coefficients, weights) = (of(&ballot.votes), of(&ballot.coefficients), of(&ballot.weights));
    each(values, |j, _| {
        let (mut sum, mut magnitude) = (R::ZERO, R::ZERO);
        for i in 0..2 {
            let vote = by[i] * terms[i][j];
            sum += vote;
            magnitude += vote.abs();
        }
        let sign = sign(sum, magnitude);
        let (mut elected, mut divisor) = (R::ZERO, R::ZERO);
        for i in 0..2 {
            let term = terms[i][j];
            let against = against(by[i] * term, sign);
            elected += if against { R::ZERO } else { coefficients[i] * term };
            divisor += if against { R::ZERO } else { weights[i] };
        }
        ballot.settled(elected, divisor)
    });
}

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn vote<R: Real>(ballot: &Ballot<R>, terms: &[Block<R>], values: &mut Block<R>) {
    let (mut signs, mut magnitudes) = ([R::ZERO; BLOCK], [R::ZERO; BLOCK]);
    for (&by, term) in ballot.votes.iter().zip(terms) {
        for j in 0..BLOCK {
            let vote = by * term[j];
            signs[j] += vote;
            magnitudes[j] += vote.abs();
        }
    }
    each(&mut signs, |j, sum| sign(sum, magnitudes[j]));
    let mut divisors = [R::ZERO; BLOCK];
    values.fill(R::ZERO);
    let by = ballot.votes.iter().zip(&ballot.coefficients).zip(&ballot.weights);
    for (((&by, &coefficient), &weight), term) in by.zip(terms) {
        for j in 0..BLOCK {
            let against = against(by * term[j], signs[j]);
            values[j] += if against { R::ZERO } else { coefficient * term[j] };
            divisors[j] += if against { R::ZERO } else { weight };
        }
    }
    each(values, |j, elected| ballot.settled(elected, divisors[j]));
}

/// What votes of this sum and this sum of magnitudes elect.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn sign<R: Real>(sum: R, magnitude: R) -> R {
    // Not a tie: what is negative is as far below zero as it is large.
    let apart = sum <= magnitude * -R::TIE_SHARE;
    if sum < R::ZERO && apart { -R::ONE } else { R::ONE }
}

/// Whether a vote is not for the sign. The product with a sign is exact. A NaN is against nothing, and spoils the sum as it should.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn against<R: Real>(vote: R, sign: R) -> bool {
    vote * sign <= R::ZERO
}

/// RAM: what one term alone holds, and the mean of what several hold.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn overlap<R: Real>(coefficients: &[R], terms: &[Block<R>], values: &mut Block<R>) {
    let mut counts = [R::ZERO; BLOCK];
    for term in terms {
        each(&mut counts, |j, count| if term[j] == R::ZERO { count } else { count + R::ONE });
    }
    for (number, (&coefficient, term)) in coefficients.iter().zip(terms).enumerate() {
        each(values, |j, sum| {
            let shared = counts[j] > R::ONE;
            let value = if shared { term[j] / counts[j] } else { coefficient * term[j] };
            if number == 0 { value } else { sum + value }
        });
    }
}

/// NearSwap.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn near<R: Real>(base: &Block<R>, other: &Block<R>, t: R, values: &mut Block<R>) {
    let least = R::nearest(NEAREST);
    each(values, |j, _| {
        let apart = (base[j] - other[j]).abs();
        let share = t / if apart < least { least } else { apart };
        let share = if share < R::ZERO { R::ZERO } else { share };
        let share = if share > R::ONE { R::ONE } else { share };
        share * other[j] + (R::ONE - share) * base[j]
    });
}
