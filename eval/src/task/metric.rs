//! Metrics: what a document is worth, and what all documents are together.

use serde::{Deserialize, Serialize};

use super::fields;
use super::yaml::{Data, Node};
use super::{Error, Output};
use crate::python::pattern::Pattern;
use crate::python::random::Random;

/// What is measured, by lm-evaluation-harness's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    /// The share whose likeliest choice is right (for one continuation: which the model would have written).
    Acc,
    /// As `acc`, each log-likelihood divided by its choice's characters.
    AccNorm,
    /// As `acc`, each log-likelihood divided by its choice's UTF-8 bytes.
    AccBytes,
    /// As `acc`, less each choice's log-likelihood without the question.
    AccMutualInfo,
    /// The share of answers that are the target.
    ExactMatch,
    /// The mean squared distance of the choices' probabilities from the right ones.
    BrierScore,
    /// F1 of the second of two classes.
    F1,
    /// Matthews's correlation coefficient.
    Mcc,
    /// Of the targets, each as one.
    Perplexity,
    /// By words.
    WordPerplexity,
    /// By bytes.
    BytePerplexity,
    /// Bits that a byte takes.
    BitsPerByte,
}

/// How documents' worths become one number, by lm-evaluation-harness's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aggregation {
    /// The arithmetic mean.
    Mean,
    /// The mean of those that are numbers.
    NanMean,
    /// The upper median.
    Median,
    /// e to the negative mean.
    Perplexity,
    /// e to the negative sum over the sum of weights.
    WeightedPerplexity,
    /// The negative sum over the sum of weights, in bits.
    BitsPerByte,
    /// F1 of class 1.
    F1,
    /// Matthews's correlation coefficient.
    Matthews,
    /// Mean squared distance.
    Brier,
}

/// A document's worth to one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Worth {
    /// A number; right and wrong are 1 and 0.
    Number(f64),
    /// A log-likelihood, and the words or bytes it is of.
    Weighted(f64, f64),
    /// The right class and the chosen one.
    Classes(i64, i64),
    /// The right choice's place (below 0: none) and every choice's probability.
    Probabilities(i64, Vec<f64>),
}

/// A metric of a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measure {
    pub(super) metric: Metric,
    pub(super) aggregation: Aggregation,
    pub(super) higher_is_better: bool,
    pub(super) matching: Matching,
}

/// How answers are compared by `exact_match`.
#[derive(Clone, Debug, Default)]
pub(super) struct Matching {
    case: bool,
    punctuation: bool,
    numbers: bool,
    ignored: Vec<(String, Pattern)>,
}

impl PartialEq for Matching {
    fn eq(&self, other: &Self) -> bool {
        let plain = |one: &Self| (one.case, one.punctuation, one.numbers);
        let patterns = |one: &Self| one.ignored.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
        plain(self) == plain(other) && patterns(self) == patterns(other)
    }
}

const METRICS: [(Metric, &str, Aggregation, bool); 12] = [
    (Metric::Acc, "acc", Aggregation::Mean, true),
    (Metric::AccNorm, "acc_norm", Aggregation::Mean, true),
    (Metric::AccBytes, "acc_bytes", Aggregation::Mean, true),
    (Metric::AccMutualInfo, "acc_mutual_info", Aggregation::Mean, true),
    (Metric::ExactMatch, "exact_match", Aggregation::Mean, true),
    (Metric::BrierScore, "brier_score", Aggregation::Brier, false),
    (Metric::F1, "f1", Aggregation::F1, true),
    (Metric::Mcc, "mcc", Aggregation::Matthews, true),
    (Metric::Perplexity, "perplexity", Aggregation::Perplexity, false),
    (Metric::WordPerplexity, "word_perplexity", Aggregation::WeightedPerplexity, false),
    (Metric::BytePerplexity, "byte_perplexity", Aggregation::WeightedPerplexity, false),
    (Metric::BitsPerByte, "bits_per_byte", Aggregation::BitsPerByte, false),
];

const AGGREGATIONS: [(Aggregation, &str); 9] = [
    (Aggregation::Mean, "mean"),
    (Aggregation::NanMean, "nanmean"),
    (Aggregation::Median, "median"),
    (Aggregation::Perplexity, "perplexity"),
    (Aggregation::WeightedPerplexity, "weighted_perplexity"),
    (Aggregation::BitsPerByte, "bits_per_byte"),
    (Aggregation::F1, "f1"),
    (Aggregation::Matthews, "matthews_corrcoef"),
    (Aggregation::Brier, "brier_score"),
];

impl Metric {
    /// The metric of that name.
    pub fn named(name: &str) -> Option<Self> {
        METRICS.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Its name in task files and results.
    pub fn name(self) -> &'static str {
        METRICS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    fn fits(self, output: Output) -> bool {
        match self {
            Self::Acc => matches!(output, Output::MultipleChoice | Output::LogLikelihood),
            Self::ExactMatch => matches!(output, Output::MultipleChoice | Output::GenerateUntil),
            Self::Perplexity => output == Output::LogLikelihood,
            Self::WordPerplexity | Self::BytePerplexity | Self::BitsPerByte => output == Output::LogLikelihoodRolling,
            _ => output == Output::MultipleChoice,
        }
    }

    fn aggregates(self, aggregation: Aggregation) -> bool {
        use Aggregation::{BitsPerByte, Brier, F1, Matthews, Mean, Median, NanMean, Perplexity, WeightedPerplexity};
        match self {
            Self::BrierScore => aggregation == Brier,
            Self::F1 | Self::Mcc => matches!(aggregation, F1 | Matthews),
            Self::WordPerplexity | Self::BytePerplexity | Self::BitsPerByte => {
                matches!(aggregation, WeightedPerplexity | BitsPerByte)
            }
            _ => matches!(aggregation, Mean | NanMean | Median | Perplexity),
        }
    }
}

impl Measure {
    pub(super) fn of(metric: Metric) -> Self {
        let row = METRICS.iter().find(|row| row.0 == metric).unwrap_or(&METRICS[0]);
        Self { metric, aggregation: row.2, higher_is_better: row.3, matching: Matching::default() }
    }

    /// What lm-evaluation-harness measures where a task says nothing.
    pub(super) fn usual(output: Output) -> Vec<Self> {
        let metrics: &[Metric] = match output {
            Output::MultipleChoice => &[Metric::Acc, Metric::AccNorm],
            Output::LogLikelihood => &[Metric::Perplexity, Metric::Acc],
            Output::LogLikelihoodRolling => &[Metric::WordPerplexity, Metric::BytePerplexity, Metric::BitsPerByte],
            Output::GenerateUntil => &[Metric::ExactMatch],
        };
        metrics.iter().map(|metric| Self::of(*metric)).collect()
    }

    /// One of `metric_list`.
    pub(super) fn read(node: &Node, output: Output) -> Result<Self, Error> {
        let pairs = fields::map(node, "metric_list")?;
        let Some((_, named)) = pairs.iter().find(|(key, _)| key.value.text() == Some("metric")) else {
            return Err(Error::MissingKey { file: node.at.to_string(), key: "metric" });
        };
        let name = fields::text(named, "metric")?;
        let Some(row) = METRICS.iter().find(|row| row.1 == name) else {
            return fields::unsupported_value(named, "metric", "it is none of the metrics that are computed here");
        };
        let mut measure = Self::of(row.0);
        if !measure.metric.fits(output) {
            return fields::unsupported_value(named, "metric", "it says nothing of this output_type");
        }
        for (key, value) in pairs {
            let name = fields::name(key);
            let full = format!("metric_list.{name}");
            match name.as_str() {
                "metric" => {}
                "aggregation" => {
                    let name = fields::text(value, &full)?;
                    let found = AGGREGATIONS.iter().find(|row| row.1 == name).map(|row| row.0);
                    match found {
                        Some(aggregation) if measure.metric.aggregates(aggregation) => {
                            measure.aggregation = aggregation;
                        }
                        _ => return fields::unsupported_value(value, &full, "not for this metric"),
                    }
                }
                "higher_is_better" => measure.higher_is_better = fields::flag(value, &full)?,
                "hf_evaluate" => {
                    if fields::flag(value, &full)? {
                        return fields::unsupported_value(value, &full, "it is a package of Python's");
                    }
                }
                "ignore_case" => measure.matching.case = fields::flag(value, &full)?,
                "ignore_punctuation" => measure.matching.punctuation = fields::flag(value, &full)?,
                "ignore_numbers" => measure.matching.numbers = fields::flag(value, &full)?,
                "regexes_to_ignore" => measure.matching.ignored = ignored(value, &full)?,
                // Public tasks have them, and lm-evaluation-harness hands them on to what compares written answers only.
                "weight_by_size" | "average" if output != Output::GenerateUntil => {}
                _ => return fields::unknown(key, "metric_list"),
            }
        }
        Ok(measure)
    }
}

fn ignored(node: &Node, key: &str) -> Result<Vec<(String, Pattern)>, Error> {
    if matches!(node.data, Data::Scalar(super::Value::None)) {
        return Ok(Vec::new());
    }
    fields::list(node, key)?
        .iter()
        .map(|item| {
            let text = fields::text(item, key)?;
            let pattern = Pattern::new(&text)
                .map_err(|wrong| Error::Pattern { pattern: text.clone(), detail: wrong.to_string() })?;
            Ok((text, pattern))
        })
        .collect()
}

impl Matching {
    fn plain(&self, text: &str) -> Result<String, Error> {
        let mut text = text.to_owned();
        for (written, pattern) in &self.ignored {
            text = pattern
                .replace(&text, "", 0)
                .map_err(|wrong| Error::Pattern { pattern: written.clone(), detail: wrong.to_string() })?;
        }
        if self.case {
            text = text.to_lowercase();
        }
        text.retain(|c| !(self.punctuation && c.is_ascii_punctuation() || self.numbers && c.is_ascii_digit()));
        Ok(text)
    }

    /// Whether an answer is the target, once what is ignored is taken from both.
    pub(super) fn equal(&self, answer: &str, target: &str) -> Result<bool, Error> {
        Ok(self.plain(answer)? == self.plain(target)?)
    }
}

fn sum(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(0.0, |sum, number| sum + number)
}

/// One after the other from the first, as Python before 3.12 adds.
pub(super) fn mean(numbers: &[f64]) -> f64 {
    sum(numbers.iter().copied()) / numbers.len() as f64
}

fn sample_deviation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    (sum(numbers.iter().map(|number| (number - mean) * (number - mean))) / (numbers.len() as f64 - 1.0)).sqrt()
}

/// The standard error of a mean of two numbers or more.
pub(super) fn mean_error(numbers: &[f64]) -> f64 {
    sample_deviation(numbers) / (numbers.len() as f64).sqrt()
}

fn numbers<'a>(worths: &'a [&Worth]) -> impl Iterator<Item = f64> + 'a {
    worths.iter().map(|worth| match worth {
        Worth::Number(number) | Worth::Weighted(number, _) => *number,
        _ => f64::NAN,
    })
}

fn weighted_mean(worths: &[&Worth]) -> f64 {
    let weights = worths.iter().map(|worth| match worth {
        Worth::Weighted(_, weight) => *weight,
        _ => 1.0,
    });
    sum(numbers(worths)) / sum(weights)
}

fn classes(worths: &[&Worth]) -> Vec<(i64, i64)> {
    let pair = |worth: &&Worth| match worth {
        Worth::Classes(gold, chosen) => Some((*gold, *chosen)),
        _ => None,
    };
    worths.iter().filter_map(pair).collect()
}

/// The number that documents' worths make together; why there is none where there is none.
pub(super) fn aggregate(aggregation: Aggregation, worths: &[&Worth]) -> Result<f64, String> {
    let plain = || numbers(worths).collect::<Vec<_>>();
    Ok(match aggregation {
        Aggregation::Mean => mean(&plain()),
        Aggregation::NanMean => {
            let there: Vec<f64> = numbers(worths).filter(|number| !number.is_nan()).collect();
            mean(&there)
        }
        Aggregation::Median => {
            let mut sorted = plain();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        }
        Aggregation::Perplexity => libm::exp(-mean(&plain())),
        Aggregation::WeightedPerplexity => libm::exp(-weighted_mean(worths)),
        Aggregation::BitsPerByte => -weighted_mean(worths) / std::f64::consts::LN_2,
        Aggregation::F1 => f1(&classes(worths))?,
        Aggregation::Matthews => matthews(&classes(worths)),
        Aggregation::Brier => brier(worths)?,
    })
}

/// Of class 1 among two classes; 0 where it is neither right nor chosen anywhere.
fn f1(pairs: &[(i64, i64)]) -> Result<f64, String> {
    let mut found: Vec<i64> = pairs.iter().flat_map(|(gold, chosen)| [*gold, *chosen]).collect();
    found.sort_unstable();
    found.dedup();
    if found.len() > 2 || found.len() == 2 && !found.contains(&1) {
        return Err(format!("f1 is of class 1 and one other; there are {found:?}"));
    }
    let count = |wanted: (i64, i64)| pairs.iter().filter(|pair| **pair == wanted).count() as f64;
    let right = count((1, 1));
    let wrong = pairs.iter().filter(|(gold, chosen)| gold != chosen).count() as f64;
    Ok(if right + wrong == 0.0 { 0.0 } else { 2.0 * right / (2.0 * right + wrong) })
}

/// The coefficient for any number of classes; 0 where one class is all there is.
fn matthews(pairs: &[(i64, i64)]) -> f64 {
    let mut found: Vec<i64> = pairs.iter().flat_map(|(gold, chosen)| [*gold, *chosen]).collect();
    found.sort_unstable();
    found.dedup();
    let count = |wanted: &dyn Fn(&(i64, i64)) -> bool| pairs.iter().filter(|pair| wanted(pair)).count() as f64;
    let all = pairs.len() as f64;
    let right = count(&|(gold, chosen)| gold == chosen);
    let (mut both, mut chosen_squares, mut gold_squares) = (0.0, 0.0, 0.0);
    for class in found {
        let gold = count(&|pair| pair.0 == class);
        let chosen = count(&|pair| pair.1 == class);
        both += gold * chosen;
        gold_squares += gold * gold;
        chosen_squares += chosen * chosen;
    }
    let spread = (all * all - chosen_squares) * (all * all - gold_squares);
    if spread == 0.0 { 0.0 } else { (right * all - both) / spread.sqrt() }
}

/// The squared distance of one document's probabilities from the right ones.
pub(super) fn squared_distance(gold: i64, probabilities: &[f64]) -> f64 {
    sum(probabilities.iter().enumerate().map(|(index, probability)| {
        let off = probability - if index as i64 == gold { 1.0 } else { 0.0 };
        off * off
    }))
}

fn brier(worths: &[&Worth]) -> Result<f64, String> {
    let mut distances = Vec::with_capacity(worths.len());
    let mut width = None;
    for worth in worths {
        let Worth::Probabilities(gold, probabilities) = worth else { continue };
        if *width.get_or_insert(probabilities.len()) != probabilities.len() {
            return Err("brier_score wants as many choices in every document".into());
        }
        if *gold < 0 {
            return Err("brier_score wants a right choice in every document".into());
        }
        distances.push(squared_distance(*gold, probabilities));
    }
    Ok(mean(&distances))
}

/// How standard errors are found that have no formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// Not at all: quick enough to be shown while an evaluation runs.
    Formula,
    /// From this many resamplings; lm-evaluation-harness takes 100,000.
    Bootstrap(usize),
}

impl Errors {
    /// lm-evaluation-harness's own.
    pub const FULL: Self = Self::Bootstrap(100_000);
}

/// The standard error of what documents' worths make together, where lm-evaluation-harness gives one.
pub(super) fn error(aggregation: Aggregation, worths: &[&Worth], errors: Errors) -> Option<f64> {
    if worths.len() < 2 || errors == Errors::Bootstrap(0) {
        return None;
    }
    match (aggregation, errors) {
        (Aggregation::Mean, _) => Some(mean_error(&numbers(worths).collect::<Vec<_>>())),
        (
            Aggregation::NanMean
            | Aggregation::Median
            | Aggregation::Perplexity
            | Aggregation::F1
            | Aggregation::Matthews,
            Errors::Bootstrap(resamplings),
        ) => {
            let mut found = Vec::with_capacity(resamplings);
            let each = resamplings.min(1000);
            for seed in 0..resamplings / each {
                let mut random = Random::new(seed as u64);
                for _ in 0..each {
                    let drawn: Vec<&Worth> = worths.iter().map(|_| worths[random.choice(worths.len())]).collect();
                    found.push(aggregate(aggregation, &drawn).ok()?);
                }
            }
            Some(sample_deviation(&found))
        }
        _ => None,
    }
}

/// Probabilities of which `logits` are the logarithms, but for a constant.
pub(super) fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - most)).collect();
    let total = sum(powers.iter().copied());
    powers.iter().map(|power| power / total).collect()
}
