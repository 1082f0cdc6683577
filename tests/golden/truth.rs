//! The formulas of the six methods in double precision, straight from their papers and mergekit's rules, one element at a time.
//!
//! Written apart from the engine: it takes a planned tensor's resolved parameters and its raw inputs, and nothing else. Where the
//! answer hangs on a choice (which of equal magnitudes is trimmed, the sign of a vote that almost cancels), it can give all of them.

use merge_studio::kernel::{Precision, TIE_SHARE};
use merge_studio::method::Resolved;
use merge_studio::plan::{Job, MergeRule, Rule};

use crate::case::decode;
use crate::engine::Made;

/// How choices are made.
#[derive(Clone, Copy, Debug)]
pub enum Choices {
    /// By our rules: equal magnitudes from the lowest index on, votes below [`TIE_SHARE`] elect plus.
    Ours,
    /// Both ways, within these slacks.
    Open {
        /// Distance from the trim threshold, as a share of it.
        threshold: f64,
        /// Distance of a vote from zero, as a share of the sum of its magnitudes.
        vote: f64,
        /// Share of their magnitude that inputs lost when they were rounded, which moves both.
        inputs: f64,
    },
}

/// What one element may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Every admissible value; one, unless a choice was open.
    pub values: Vec<f64>,
    /// The largest number on the way: inputs, terms, result.
    pub magnitude: f64,
}

/// The truth about one tensor.
pub struct Truth {
    inputs: Vec<Vec<f64>>,
    formula: Formula,
}

enum Formula {
    Copy,
    /// Σ cᵢ·xᵢ.
    Sum(Vec<f64>),
    Deltas(Deltas),
}

/// base + λ·(what the masked task vectors combine to).
struct Deltas {
    base: usize,
    terms: Vec<Term>,
    precision: Precision,
    elect: bool,
    normalize: bool,
    lambda: f64,
    choices: Choices,
}

struct Term {
    input: usize,
    /// Multiplies the task vector: weight, and what rescaling makes of it.
    coefficient: f64,
    weight: f64,
    mask: Mask,
}

enum Mask {
    All,
    Nothing,
    /// Magnitudes above `high` are kept, those below `low` are not, and between them `ties` has the indices that are.
    Band {
        low: f64,
        high: f64,
        ties: Ties,
    },
}

enum Ties {
    Open,
    Below(usize),
}

impl Truth {
    /// The truth about the tensor that `job` makes; none where coins decide.
    pub fn of(made: &Made, job: &Job, choices: Choices) -> Option<Self> {
        let inputs: Vec<Vec<f64>> =
            (0..job.sources.len()).map(|source| decode(job.sources[source].dtype, made.input(job, source))).collect();
        let formula = match &job.rule {
            Rule::Copy(_) => Formula::Copy,
            Rule::Merge(rule) => match made.plan.method.as_str() {
                "linear" => Formula::Sum(linear(&rule.parameters)),
                "slerp" => Formula::Sum(slerp(&inputs, rule)),
                method => Formula::Deltas(Deltas::new(method, &inputs, rule, choices)?),
            },
        };
        Some(Self { inputs, formula })
    }

    /// Element `e`.
    pub fn at(&self, e: usize) -> Answer {
        let x = |input: usize| self.inputs[input][e];
        let largest = (0..self.inputs.len()).map(|input| x(input).abs()).fold(0.0, f64::max);
        match &self.formula {
            Formula::Copy => Answer { values: vec![x(0)], magnitude: x(0).abs() },
            Formula::Sum(coefficients) => {
                let terms: Vec<f64> = coefficients.iter().enumerate().map(|(input, c)| c * x(input)).collect();
                let magnitude = terms.iter().map(|term| term.abs()).fold(0.0, f64::max);
                let value: f64 = terms.iter().sum();
                Answer { values: vec![value], magnitude: magnitude.max(value.abs()) }
            }
            Formula::Deltas(deltas) => deltas.at(e, &x, largest),
        }
    }

    /// The indices of trimmed-or-not elements that equal the threshold, and whether our rule keeps them, for the first term that
    /// has such.
    pub fn ties(&self) -> Option<(Vec<usize>, usize)> {
        let Formula::Deltas(deltas) = &self.formula else { return None };
        deltas.terms.iter().find_map(|term| {
            let Mask::Band { low, high, ties: Ties::Below(end) } = term.mask else { return None };
            let score = |e: usize| score(self.inputs[term.input][e], self.inputs[deltas.base][e], deltas.precision);
            if low == 0.0 {
                return None; // Keeping a zero or not is the same.
            }
            let ties: Vec<usize> =
                (0..self.inputs[term.input].len()).filter(|&e| low <= score(e) && score(e) <= high).collect();
            Some((ties, end))
        })
    }
}

fn linear(parameters: &Resolved) -> Vec<f64> {
    let weights: Vec<f64> =
        (0..parameters.inputs.len()).map(|input| parameters.input_number(input, "weight")).collect();
    let divisor = if parameters.flag("normalize") { weights.iter().sum() } else { 1.0 };
    weights.iter().map(|weight| weight / divisor).collect()
}

fn slerp(inputs: &[Vec<f64>], rule: &MergeRule) -> Vec<f64> {
    let t = rule.parameters.number("t");
    let base = rule.base.unwrap_or(0);
    let (v0, v1) = (&inputs[base], &inputs[1 - base]);
    let norm = |v: &[f64]| {
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm > 1e-8 { norm } else { 1.0 }
    };
    let (n0, n1) = (norm(v0), norm(v1));
    let cosine = v0.iter().zip(v1).map(|(a, b)| (a / n0) * (b / n1)).sum::<f64>().clamp(-1.0, 1.0);
    let (c0, c1) = if cosine.abs() > 0.9995 {
        (1.0 - t, t)
    } else {
        let angle = cosine.acos();
        (((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin())
    };
    if base == 0 { vec![c0, c1] } else { vec![c1, c0] }
}

impl Deltas {
    fn new(method: &str, inputs: &[Vec<f64>], rule: &MergeRule, choices: Choices) -> Option<Self> {
        let base = rule.base?;
        let parameters = &rule.parameters;
        let mut terms = Vec::new();
        for input in (0..inputs.len()).filter(|&input| input != base) {
            let density = parameters.input_number(input, "density");
            let (mask, scale) = match method {
                "task_arithmetic" => (Mask::All, 1.0),
                _ if density >= 1.0 => (Mask::All, 1.0),
                _ if density <= 0.0 => (Mask::Nothing, 1.0),
                "ties" => trim(&inputs[input], &inputs[base], rule.precision, density, choices),
                _ => return None, // Coins.
            };
            let weight = parameters.input_number(input, "weight");
            let scale = if parameters.flag("rescale") { scale } else { 1.0 };
            terms.push(Term { input, coefficient: weight * scale, weight, mask });
        }
        let elect = matches!(method, "ties" | "dare_ties");
        let (normalize, lambda) = (parameters.flag("normalize"), parameters.number("lambda"));
        Some(Self { base, terms, precision: rule.precision, elect, normalize, lambda, choices })
    }

    fn at(&self, e: usize, x: &impl Fn(usize) -> f64, largest: f64) -> Answer {
        let base = x(self.base);
        let delta = |term: &Term| x(term.input) - base;
        // Which of the terms take part: every combination of those that are open.
        let mut keeps: Vec<Vec<bool>> = vec![Vec::new()];
        for term in &self.terms {
            let unsure = self.inputs_lost() * (x(term.input).abs() + base.abs());
            match term.mask.keeps(score(x(term.input), base, self.precision), unsure, e) {
                Some(keep) => keeps.iter_mut().for_each(|kept| kept.push(keep)),
                None => {
                    keeps = keeps
                        .iter()
                        .flat_map(|kept| [false, true].map(|keep| [kept.as_slice(), &[keep]].concat()))
                        .collect();
                }
            }
        }
        let mut answer = Answer { values: Vec::new(), magnitude: largest };
        for kept in keeps {
            let taking: Vec<(f64, f64)> = self
                .terms
                .iter()
                .zip(&kept)
                .map(|(term, keep)| (if *keep { term.coefficient * delta(term) } else { 0.0 }, term.weight))
                .collect();
            if self.elect {
                let lost = |term: &Term| term.coefficient.abs() * (x(term.input).abs() + base.abs());
                let lost = self.inputs_lost() * self.terms.iter().map(lost).sum::<f64>();
                for sign in self.signs(&taking, lost) {
                    self.combine(base, taking.iter().filter(|(value, _)| value * sign > 0.0), &mut answer);
                }
            } else {
                self.combine(base, taking.iter(), &mut answer);
            }
        }
        answer
    }

    fn inputs_lost(&self) -> f64 {
        if let Choices::Open { inputs, .. } = self.choices { inputs } else { 0.0 }
    }

    /// The signs that the vote may elect, if its sum may be off by `lost`.
    fn signs(&self, taking: &[(f64, f64)], lost: f64) -> Vec<f64> {
        let vote: f64 = taking.iter().map(|(value, _)| value).sum();
        let all: f64 = taking.iter().map(|(value, _)| value.abs()).sum();
        let tie = f64::from(TIE_SHARE) * all;
        let plus = if vote >= 0.0 || vote.abs() < tie { 1.0 } else { -1.0 };
        match self.choices {
            Choices::Open { vote: slack, .. } if vote.abs() <= tie.max(slack * all) + lost => vec![1.0, -1.0],
            _ => vec![plus],
        }
    }

    fn combine<'a>(&self, base: f64, taking: impl Iterator<Item = &'a (f64, f64)>, answer: &mut Answer) {
        let (mut sum, mut divisor) = (0.0, 0.0);
        let mut largest: f64 = 0.0;
        for (value, weight) in taking {
            sum += value;
            divisor += weight;
            largest = largest.max(value.abs());
        }
        let none = if self.elect { divisor == 0.0 } else { divisor.abs() < 1e-8 };
        let scale = self.lambda / if !self.normalize || none { 1.0 } else { divisor };
        let value = base + sum * scale;
        answer.values.push(value);
        answer.magnitude = answer.magnitude.max(largest * scale.abs()).max(value.abs());
    }
}

/// |δ|, as the engine ranks it: in the width of its arithmetic.
fn score(tuned: f64, base: f64, precision: Precision) -> f64 {
    match precision {
        Precision::F32 => f64::from((tuned as f32 - base as f32).abs()),
        Precision::F64 => (tuned - base).abs(),
    }
}

/// The mask that keeps the largest, and what brings the rest back to the L1 norm of all.
fn trim(tuned: &[f64], base: &[f64], precision: Precision, density: f64, choices: Choices) -> (Mask, f64) {
    let scores: Vec<f64> = tuned.iter().zip(base).map(|(x, b)| score(*x, *b, precision)).collect();
    let keep = ((density * scores.len() as f64) as usize).max(1);
    if keep >= scores.len() {
        return (Mask::All, 1.0);
    }
    let mut sorted = scores.clone();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let (all, kept): (f64, f64) = (sorted.iter().sum(), sorted[..keep].iter().sum());
    let scale = if all < 1e-7 || kept < 1e-7 { 1.0 } else { all / kept };
    let threshold = sorted[keep - 1];
    let mask = match choices {
        Choices::Ours => {
            let above = sorted.partition_point(|score| *score > threshold);
            let last = scores.iter().enumerate().filter(|(_, score)| **score == threshold).nth(keep - above - 1);
            let end = last.map_or(scores.len(), |(index, _)| index + 1);
            Mask::Band { low: threshold, high: threshold, ties: Ties::Below(end) }
        }
        // No slack, and the last kept one has no equals among the dropped: nothing is open.
        Choices::Open { threshold: 0.0, .. } if sorted[keep] < threshold => {
            Mask::Band { low: threshold, high: threshold, ties: Ties::Below(scores.len()) }
        }
        Choices::Open { threshold: slack, .. } => {
            Mask::Band { low: threshold * (1.0 - slack), high: threshold * (1.0 + slack), ties: Ties::Open }
        }
    };
    (mask, scale)
}

impl Mask {
    /// Whether the element at `e` of magnitude `score`, give or take `unsure`, is kept; `None` if that is open.
    fn keeps(&self, score: f64, unsure: f64, e: usize) -> Option<bool> {
        match self {
            Self::All => Some(true),
            Self::Nothing => Some(false),
            Self::Band { high, .. } if score - unsure > *high => Some(true),
            Self::Band { low, .. } if score + unsure < *low => Some(false),
            Self::Band { ties: Ties::Below(end), .. } => Some(e < *end),
            Self::Band { ties: Ties::Open, .. } => None,
        }
    }
}
