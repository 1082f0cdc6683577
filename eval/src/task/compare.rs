//! Which of several models answered better: over the same questions, one by one.

use super::evaluation::Evaluation;
use super::metric::{Metric, Worth, squared_distance};
use super::{Error, Record};

/// How many standard errors a difference must exceed to be one.
const MARGIN: f64 = 1.0;

/// A model against another on the questions that both answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// Questions that both answered.
    pub questions: usize,
    /// How much better the first is, whichever way the metric goes. In the metric's own units for shares and means of squared
    /// distances, in nats (a word, a byte, a target) for perplexities.
    pub difference: f64,
    /// The standard error of the difference, from the questions' own differences; `None` for fewer than two questions.
    pub error: Option<f64>,
    /// Documents on which the first is better.
    pub won: Vec<usize>,
    /// Documents on which the other is.
    pub lost: Vec<usize>,
}

impl Paired {
    /// Whether the first is better by more than the difference's error.
    pub fn better(&self) -> bool {
        self.error.is_some_and(|error| self.difference > MARGIN * error)
    }
}

/// What a question adds to a metric (more is better), and its weight.
fn part(record: &Record, metric: Metric, filter: &str) -> Option<(f64, f64)> {
    match record.worth(metric, filter)? {
        Worth::Number(number) => Some((*number, 1.0)),
        Worth::Weighted(likelihood, weight) => Some((*likelihood, *weight)),
        Worth::Probabilities(gold, probabilities) => Some((-squared_distance(*gold, probabilities), 1.0)),
        Worth::Classes(..) => None,
    }
}

/// Compares two models' answers to one task.
///
/// The standard error is the paired one: of the mean of the questions' differences, which is smaller than the two errors together
/// where models are right and wrong on the same questions. Of perplexities by words or bytes it is the ratio's: of the differences less
/// their mean's share of each question's words or bytes.
pub fn paired(one: &Evaluation, other: &Evaluation, metric: Metric, filter: &str) -> Result<Paired, Error> {
    let incomparable = |what: String| Error::Incomparable { what };
    if one.task().name() != other.task().name() || one.task().documents != other.task().documents {
        return Err(incomparable(format!("{} and {} ask other questions", one.task().name(), other.task().name())));
    }
    if (one.shots(), one.options().seed) != (other.shots(), other.options().seed) {
        return Err(incomparable("the two were asked with other examples".into()));
    }
    let (mut won, mut lost, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for (first, second) in one.records().iter().zip(other.records()) {
        let (Some((first_part, weight)), Some((second_part, _))) =
            (part(first, metric, filter), part(second, metric, filter))
        else {
            return Err(incomparable(format!("{} of {filter} is not a sum over questions", metric.name())));
        };
        let difference = first_part - second_part;
        if difference > 0.0 {
            won.push(first.document);
        } else if difference < 0.0 {
            lost.push(first.document);
        }
        differences.push((difference, weight));
    }
    let questions = differences.len();
    let weights: f64 = differences.iter().map(|(_, weight)| weight).sum();
    let difference = differences.iter().map(|(difference, _)| difference).sum::<f64>() / weights;
    let error = (questions > 1).then(|| {
        let spread: f64 = differences.iter().map(|(own, weight)| (own - difference * weight).powi(2)).sum();
        let count = questions as f64;
        (spread * count / (count - 1.0)).sqrt() / weights
    });
    Ok(Paired { questions, difference, error, won, lost })
}

/// Which of several models is the best: the one that is better than each other by more than the difference's error, if there is one.
pub fn best(evaluations: &[&Evaluation], metric: Metric, filter: &str) -> Result<Option<usize>, Error> {
    for (index, one) in evaluations.iter().enumerate() {
        let mut better = evaluations.len() > 1;
        for (_, other) in evaluations.iter().enumerate().filter(|(place, _)| *place != index) {
            better &= paired(one, other, metric, filter)?.better();
        }
        if better {
            return Ok(Some(index));
        }
    }
    Ok(None)
}
