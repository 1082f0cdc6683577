//! The formulas of the methods in double precision, straight from their papers and mergekit's rules, one element at a time.
//!
//! Written apart from the engine: it takes a planned tensor's resolved parameters and its raw inputs, and nothing else. Where the
//! answer hangs on a choice (which of equal magnitudes is trimmed, the sign of a vote that almost cancels), it can give all of them.

use merge_studio::kernel::{Precision, TIE_SHARE};
use merge_studio::method::Resolved;
use merge_studio::plan::{Job, MergeRule, Rule};

use crate::assembled;
use crate::engine::Made;
use crate::geometry::{divergences, karcher, model_stock, multislerp, nuslerp, shares};

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
    /// base + Σ cᵢ·δᵢ, or Σ cᵢ·xᵢ, with coefficients by group; which group an element is in.
    Grouped {
        base: Option<usize>,
        coefficients: Vec<Vec<f64>>,
        group: Box<dyn Fn(usize) -> usize>,
    },
    Deltas(Deltas),
    /// RAM: what counts as a change, and what scales a change that is a model's alone.
    Overlap {
        base: usize,
        epsilon: f64,
        alone: Vec<f64>,
    },
    /// NearSwap.
    Near {
        base: usize,
        t: f64,
    },
}

/// base + λ·(what the masked task vectors combine to).
struct Deltas {
    base: usize,
    terms: Vec<Term>,
    vote: Vote,
    normalize: bool,
    /// Divisors of an election are at least this.
    least: f64,
    lambda: f64,
    choices: Choices,
}

#[derive(Clone, Copy, PartialEq)]
enum Vote {
    /// No election: everything is summed.
    None,
    /// By what the terms add to the sum.
    Weighted,
    /// By the terms themselves.
    Plain,
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
    /// What is in the first cut and not in the second.
    Band {
        scores: Vec<f64>,
        from: Cut,
        above: Option<Cut>,
    },
}

/// Scores above `high` are in it, those below `low` are not, and between them `ties` has the indices that are.
struct Cut {
    low: f64,
    high: f64,
    ties: Ties,
    /// The sum of its scores.
    total: f64,
}

enum Ties {
    Open,
    Below(usize),
}

impl Truth {
    /// The truth about the tensor that `job` makes; none where coins decide.
    pub fn of(made: &Made, job: &Job, choices: Choices) -> Option<Self> {
        let inputs: Vec<Vec<f64>> =
            (0..job.sources.len()).map(|source| assembled::numbers(made, job, source)).collect();
        let formula = match &job.rule {
            Rule::Copy(_) => Formula::Copy,
            Rule::Merge(rule) => formula(&made.plan.method, &inputs, &job.shape, rule, choices)?,
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
            Formula::Grouped { base, coefficients, group } => {
                let coefficients = &coefficients[group(e)];
                let others = (0..self.inputs.len()).filter(|input| Some(*input) != *base);
                let origin = base.map_or(0.0, x);
                let terms: Vec<f64> = others.zip(coefficients).map(|(input, c)| c * (x(input) - origin)).collect();
                let value = origin + terms.iter().sum::<f64>();
                let magnitude = terms.iter().map(|term| term.abs()).fold(largest.max(value.abs()), f64::max);
                Answer { values: vec![value], magnitude }
            }
            Formula::Deltas(deltas) => deltas.at(e, &x, largest),
            Formula::Overlap { base, epsilon, alone } => {
                let others: Vec<usize> = (0..self.inputs.len()).filter(|input| input != base).collect();
                let changed: Vec<(f64, f64)> = others
                    .iter()
                    .zip(alone)
                    .map(|(&input, alone)| (x(input) - x(*base), *alone))
                    .filter(|(delta, _)| delta.abs() > *epsilon)
                    .collect();
                let value = match changed.as_slice() {
                    [(delta, alone)] => x(*base) + alone * delta,
                    several => {
                        let sum: f64 = several.iter().map(|(delta, _)| delta).sum();
                        x(*base) + sum / several.len().max(1) as f64
                    }
                };
                Answer { values: vec![value], magnitude: largest.max(value.abs()) }
            }
            Formula::Near { base, t } => {
                let (a, b) = (x(*base), x(1 - base));
                let share = (t / (a - b).abs().max(1e-6)).clamp(0.0, 1.0);
                Answer { values: vec![share * b + (1.0 - share) * a], magnitude: largest }
            }
        }
    }

    /// The indices of trimmed-or-not elements that equal the threshold, and whether our rule keeps them, for the first term that
    /// has such.
    pub fn ties(&self) -> Option<(Vec<usize>, usize)> {
        let Formula::Deltas(deltas) = &self.formula else { return None };
        deltas.terms.iter().find_map(|term| {
            let Mask::Band { scores, from: Cut { low, high, ties: Ties::Below(end), .. }, above: None } = &term.mask
            else {
                return None;
            };
            if *low == 0.0 {
                return None; // Keeping a zero or not is the same.
            }
            Some(((0..scores.len()).filter(|&e| *low <= scores[e] && scores[e] <= *high).collect(), *end))
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

/// The formula of one tensor; none where coins decide.
fn formula(method: &str, inputs: &[Vec<f64>], shape: &[u64], rule: &MergeRule, choices: Choices) -> Option<Formula> {
    let parameters = &rule.parameters;
    let others: Vec<usize> = (0..inputs.len()).filter(|input| Some(*input) != rule.base).collect();
    let weights = || others.iter().map(|&input| parameters.input_number(input, "weight")).collect::<Vec<f64>>();
    // The vectors that a geometric method works on.
    let vectors: Vec<Vec<f64>> = match rule.base {
        None => inputs.to_vec(),
        Some(base) => {
            others.iter().map(|&input| inputs[input].iter().zip(&inputs[base]).map(|(x, b)| x - b).collect()).collect()
        }
    };
    let row = shape.last().map_or(1, |row| *row as usize);
    let column = shape.iter().skip(1).product::<u64>() as usize;
    let grouped = |which: Grouping, of: &dyn Fn(&[Vec<f64>]) -> Vec<f64>| {
        let group: Box<dyn Fn(usize) -> usize> = match which {
            Grouping::Whole => Box::new(|_| 0),
            Grouping::Rows => Box::new(move |e| e / row),
            Grouping::Columns => Box::new(move |e| e % column),
        };
        let count = (0..inputs[0].len()).map(&group).max().map_or(0, |last| last + 1);
        let mut parts: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); vectors.len()]; count];
        for (number, vector) in vectors.iter().enumerate() {
            for (e, value) in vector.iter().enumerate() {
                parts[group(e)][number].push(*value);
            }
        }
        Formula::Grouped { base: rule.base, coefficients: parts.iter().map(|part| of(part)).collect(), group }
    };
    Some(match method {
        "linear" => Formula::Sum(linear(parameters)),
        "slerp" => Formula::Sum(slerp(inputs, rule)),
        "passthrough" => Formula::Sum(vec![parameters.input_number(0, "scale")]),
        "nearswap" => Formula::Near { base: rule.base?, t: parameters.number("t") },
        "nuslerp" => {
            let which = match (parameters.flag("nuslerp_flatten"), parameters.flag("nuslerp_row_wise")) {
                (true, _) => Grouping::Whole,
                (false, false) => Grouping::Rows,
                (false, true) => Grouping::Columns,
            };
            grouped(which, &|part| nuslerp(part, &weights()))
        }
        "multislerp" if others.len() == 1 => {
            Formula::Sum(inputs.iter().enumerate().map(|(at, _)| f64::from(u8::from(at == others[0]))).collect())
        }
        "multislerp" => grouped(Grouping::Whole, &|part| multislerp(part, &weights(), parameters)),
        "karcher" => grouped(Grouping::Whole, &|part| karcher(part, parameters)),
        "model_stock" => {
            let which = if parameters.flag("filter_wise") { Grouping::Rows } else { Grouping::Whole };
            grouped(which, &model_stock)
        }
        "ram" | "ramplus_tl" => {
            let epsilon = match rule.precision {
                Precision::F32 => f64::from(parameters.number("epsilon") as f32),
                Precision::F64 => parameters.number("epsilon"),
            };
            let alone = if method == "ram" { vec![1.0; vectors.len()] } else { shares(&vectors, epsilon, parameters) };
            Formula::Overlap { base: rule.base?, epsilon, alone }
        }
        _ => Formula::Deltas(Deltas::new(method, inputs, shape, rule, choices)?),
    })
}

#[derive(Clone, Copy)]
enum Grouping {
    Whole,
    Rows,
    Columns,
}

/// The population variance of the task vectors at every element, rounded as the engine ranks it.
fn variances(deltas: &[Vec<f64>], precision: Precision) -> Vec<f64> {
    let count = deltas.len() as f64;
    (0..deltas[0].len())
        .map(|e| {
            let mean = deltas.iter().map(|delta| delta[e] - deltas[0][e]).sum::<f64>() / count;
            let squares = deltas.iter().map(|delta| (delta[e] - deltas[0][e] - mean).powi(2)).sum::<f64>();
            rounded(squares / count, precision)
        })
        .collect()
}

fn rounded(value: f64, precision: Precision) -> f64 {
    match precision {
        Precision::F32 => f64::from(value as f32),
        Precision::F64 => value,
    }
}

impl Deltas {
    fn new(method: &str, inputs: &[Vec<f64>], shape: &[u64], rule: &MergeRule, choices: Choices) -> Option<Self> {
        let base = rule.base?;
        let parameters = &rule.parameters;
        let others: Vec<usize> = (0..inputs.len()).filter(|&input| input != base).collect();
        let magnitudes = |input: usize| -> Vec<f64> {
            inputs[input].iter().zip(&inputs[base]).map(|(x, b)| score(*x, *b, rule.precision)).collect()
        };
        let own = Self {
            base,
            terms: Vec::new(),
            vote: match method {
                "ties" | "dare_ties" | "breadcrumbs_ties" | "della" => Vote::Weighted,
                "sce" => Vote::Plain,
                _ => Vote::None,
            },
            normalize: parameters.flag("normalize"),
            least: f64::NEG_INFINITY,
            lambda: parameters.number("lambda"),
            choices,
        };
        match method {
            "sce" => {
                let terms = sce(inputs, base, rule, choices);
                return Some(Self { terms, normalize: true, least: 1e-6, lambda: 1.0, ..own });
            }
            "arcee_fusion" => {
                let row = shape.last().map_or(1, |row| *row as usize);
                let scales = divergences(&inputs[others[0]], &inputs[base], row);
                let scores: Vec<f64> = magnitudes(others[0])
                    .iter()
                    .enumerate()
                    .map(|(e, x)| rounded(x * rounded(scales[e / row], rule.precision), rule.precision))
                    .collect();
                let mut sorted = scores.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                let [first, median, third] =
                    [0.25, 0.5, 0.75].map(|q| sorted[(q * (sorted.len() - 1) as f64) as usize]);
                let threshold = rounded(median + 1.5 * (third - first), rule.precision);
                let slack = if let Choices::Open { threshold: slack, .. } = choices { slack * threshold } else { 0.0 };
                let ties = if slack > 0.0 { Ties::Open } else { Ties::Below(scores.len()) };
                let from = Cut { low: threshold - slack, high: threshold + slack, ties, total: 0.0 };
                let mask = Mask::Band { scores, from, above: None };
                let terms = vec![Term { input: others[0], coefficient: 1.0, weight: 1.0, mask }];
                return Some(Self { terms, normalize: false, lambda: 1.0, ..own });
            }
            _ => {}
        }
        let mut terms = Vec::new();
        for input in others {
            let density = parameters.input_number(input, "density");
            let share = |of: f64| (of * inputs[input].len() as f64) as usize;
            let mask = match method {
                "task_arithmetic" => Mask::All,
                _ if density >= 1.0 => Mask::All,
                _ if density <= 0.0 => Mask::Nothing,
                "ties" => band(magnitudes(input), 0, share(density).max(1), choices),
                "breadcrumbs" | "breadcrumbs_ties" => {
                    let keep = share(density);
                    let dropped = share(parameters.input_number(input, "gamma")).min(inputs[input].len() - keep);
                    band(magnitudes(input), dropped, keep, choices)
                }
                _ => return None, // Coins.
            };
            let weight = parameters.input_number(input, "weight");
            let scale = if parameters.flag("rescale") { mask.rescale() } else { 1.0 };
            terms.push(Term { input, coefficient: weight * scale, weight, mask });
        }
        Some(Self { terms, ..own })
    }

    fn at(&self, e: usize, x: &impl Fn(usize) -> f64, largest: f64) -> Answer {
        let base = x(self.base);
        let delta = |term: &Term| x(term.input) - base;
        // Which of the terms take part: every combination of those that are open.
        let mut keeps: Vec<Vec<bool>> = vec![Vec::new()];
        for term in &self.terms {
            let unsure = self.inputs_lost() * (x(term.input).abs() + base.abs());
            match term.mask.keeps(unsure, e) {
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
            let taken = |term: &Term, keep: bool| if keep { delta(term) } else { 0.0 };
            let taking: Vec<Taking> = self
                .terms
                .iter()
                .zip(&kept)
                .map(|(term, keep)| Taking {
                    vote: if self.vote == Vote::Plain { 1.0 } else { term.coefficient } * taken(term, *keep),
                    value: term.coefficient * taken(term, *keep),
                    weight: term.weight,
                })
                .collect();
            if self.vote == Vote::None {
                self.combine(base, taking.iter(), &mut answer);
                continue;
            }
            let by = |term: &Term| if self.vote == Vote::Plain { 1.0 } else { term.coefficient.abs() };
            let lost = |term: &Term| by(term) * (x(term.input).abs() + base.abs());
            let lost = self.inputs_lost() * self.terms.iter().map(lost).sum::<f64>();
            for sign in self.signs(&taking, lost) {
                self.combine(base, taking.iter().filter(|taking| taking.vote * sign > 0.0), &mut answer);
            }
        }
        answer
    }

    fn inputs_lost(&self) -> f64 {
        if let Choices::Open { inputs, .. } = self.choices { inputs } else { 0.0 }
    }

    /// The signs that the vote may elect, if its sum may be off by `lost`.
    fn signs(&self, taking: &[Taking], lost: f64) -> Vec<f64> {
        let vote: f64 = taking.iter().map(|taking| taking.vote).sum();
        let all: f64 = taking.iter().map(|taking| taking.vote.abs()).sum();
        let tie = f64::from(TIE_SHARE) * all;
        let plus = if vote >= 0.0 || vote.abs() < tie { 1.0 } else { -1.0 };
        match self.choices {
            Choices::Open { vote: slack, .. } if vote.abs() <= tie.max(slack * all) + lost => vec![1.0, -1.0],
            _ => vec![plus],
        }
    }

    fn combine<'a>(&self, base: f64, taking: impl Iterator<Item = &'a Taking>, answer: &mut Answer) {
        let (mut sum, mut divisor) = (0.0, 0.0);
        let mut largest: f64 = 0.0;
        for taking in taking {
            sum += taking.value;
            divisor += taking.weight;
            largest = largest.max(taking.value.abs());
        }
        let divisor = if self.vote == Vote::None { divisor } else { divisor.max(self.least) };
        let none = if self.vote == Vote::None { divisor.abs() < 1e-8 } else { divisor == 0.0 };
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

/// What one term has to say at an element.
struct Taking {
    vote: f64,
    value: f64,
    weight: f64,
}

/// SCE's terms: masked by variance, weighed by the mean squares of what the mask leaves.
fn sce(inputs: &[Vec<f64>], base: usize, rule: &MergeRule, choices: Choices) -> Vec<Term> {
    let others: Vec<usize> = (0..inputs.len()).filter(|&input| input != base).collect();
    let deltas: Vec<Vec<f64>> = others
        .iter()
        .map(|&input| inputs[input].iter().zip(&inputs[base]).map(|(x, b)| rounded(x - b, rule.precision)).collect())
        .collect();
    if deltas.is_empty() {
        return Vec::new();
    }
    let topk = rule.parameters.number("select_topk");
    let mask = || {
        if topk >= 1.0 {
            return Mask::All;
        }
        let scores = variances(&deltas, rule.precision);
        let keep = (scores.iter().filter(|score| **score != 0.0).count() as f64 * topk) as usize;
        if topk <= 0.0 { Mask::Nothing } else { band(scores, 0, keep, choices) }
    };
    // Which of equal scores are kept hardly moves a mean square: ours stand for all.
    let kept = |delta: &Vec<f64>| -> f64 {
        let mask = mask();
        (0..delta.len()).filter(|&e| mask.keeps(0.0, e).unwrap_or(true)).map(|e| delta[e] * delta[e]).sum()
    };
    let energies: Vec<f64> = deltas.iter().map(|delta| kept(delta) / delta.len() as f64).collect();
    let sum: f64 = energies.iter().sum();
    let weight = |energy: f64| if sum < 1e-6 { 1.0 / energies.len() as f64 } else { energy / sum };
    others
        .iter()
        .zip(&energies)
        .map(|(&input, energy)| Term { input, coefficient: weight(*energy), weight: weight(*energy), mask: mask() })
        .collect()
}

/// The mask that drops the `skip` largest scores and keeps the `keep` largest of the rest.
fn band(scores: Vec<f64>, skip: usize, keep: usize, choices: Choices) -> Mask {
    match (skip, keep) {
        (_, 0) => Mask::Nothing,
        (0, keep) if keep >= scores.len() => Mask::All,
        _ => {
            let total = scores.iter().sum();
            let everything = || Cut { low: f64::NEG_INFINITY, high: f64::NEG_INFINITY, ties: Ties::Open, total };
            let from = if skip + keep < scores.len() { cut(&scores, skip + keep, choices) } else { everything() };
            let above = (skip > 0).then(|| cut(&scores, skip, choices));
            Mask::Band { from, above, scores }
        }
    }
}

/// The `keep` largest scores, fewer than all.
fn cut(scores: &[f64], keep: usize, choices: Choices) -> Cut {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let (threshold, total) = (sorted[keep - 1], sorted[..keep].iter().sum());
    match choices {
        Choices::Ours => {
            let above = sorted.partition_point(|score| *score > threshold);
            let last = scores.iter().enumerate().filter(|(_, score)| **score == threshold).nth(keep - above - 1);
            let end = last.map_or(scores.len(), |(index, _)| index + 1);
            Cut { low: threshold, high: threshold, ties: Ties::Below(end), total }
        }
        // No slack, and the last kept one has no equals among the dropped: nothing is open.
        Choices::Open { threshold: 0.0, .. } if sorted[keep] < threshold => {
            Cut { low: threshold, high: threshold, ties: Ties::Below(scores.len()), total }
        }
        Choices::Open { threshold: slack, .. } => {
            Cut { low: threshold * (1.0 - slack), high: threshold * (1.0 + slack), ties: Ties::Open, total }
        }
    }
}

impl Cut {
    /// Whether the element at `e` of this score, give or take `unsure`, is in it; `None` if that is open.
    fn has(&self, score: f64, unsure: f64, e: usize) -> Option<bool> {
        match self.ties {
            _ if score - unsure > self.high => Some(true),
            _ if score + unsure < self.low => Some(false),
            Ties::Below(end) => Some(e < end),
            Ties::Open => None,
        }
    }
}

impl Mask {
    /// Whether the element at `e`, whose score may be off by `unsure`, is kept; `None` if that is open.
    fn keeps(&self, unsure: f64, e: usize) -> Option<bool> {
        match self {
            Self::All => Some(true),
            Self::Nothing => Some(false),
            Self::Band { scores, from, above } => {
                let has = |cut: &Cut| cut.has(scores[e], unsure, e);
                match (has(from), above.as_ref().map_or(Some(false), has)) {
                    (Some(false), _) | (_, Some(true)) => Some(false),
                    (Some(true), Some(false)) => Some(true),
                    _ => None,
                }
            }
        }
    }

    /// What brings the kept scores back to the sum of all.
    fn rescale(&self) -> f64 {
        let Self::Band { scores, from, above } = self else { return 1.0 };
        let all: f64 = scores.iter().sum();
        let kept = from.total - above.as_ref().map_or(0.0, |above| above.total);
        if all < 1e-7 || kept < 1e-7 { 1.0 } else { all / kept }
    }
}
