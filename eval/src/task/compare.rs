//! Which of several models answered better: over the same questions, one by one.

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

/// Compares two models' answers to one task, as far as both have answered.
///
/// The standard error is the paired one: of the mean of the questions' differences, which is smaller than the two errors together
/// where models are right and wrong on the same questions. Of perplexities by words or bytes it is the ratio's: of the differences less
/// their mean's share of each question's words or bytes.
pub fn paired(one: &[Record], other: &[Record], metric: Metric, filter: &str) -> Result<Paired, Error> {
    same_questions(one, other)?;
    differences(one, other, metric, filter)
}

/// Which of several models is the best: the one that is better than each other by more than the difference's error, if there is one.
pub fn best(models: &[&[Record]], metric: Metric, filter: &str) -> Result<Option<usize>, Error> {
    // Where all are asked what the one that answered most is, any two are asked the same.
    let Some(longest) = models.iter().max_by_key(|records| records.len()) else { return Ok(None) };
    for records in models {
        same_questions(longest, records)?;
    }
    for (index, one) in models.iter().enumerate() {
        let mut better = models.len() > 1;
        for (_, other) in models.iter().enumerate().filter(|(place, _)| *place != index) {
            better = better && differences(one, other, metric, filter)?.better();
        }
        if better {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Whether answers are to the same questions, which were asked in the same words.
pub(super) fn same_questions(one: &[Record], other: &[Record]) -> Result<(), Error> {
    let incomparable = |what: String| Err(Error::Incomparable { what });
    for (first, second) in one.iter().zip(other) {
        let document = first.document + 1;
        if first.document != second.document {
            return incomparable(format!("question {document} was compared with question {}", second.document + 1));
        }
        if (&first.target, &first.choices) != (&second.target, &second.choices) {
            return incomparable(format!("question {document} is another one, or has another answer"));
        }
        if (&first.contexts, &first.continuations) != (&second.contexts, &second.continuations) {
            return incomparable(format!("question {document} was asked in other words, or with other examples"));
        }
    }
    Ok(())
}

/// The questions' differences and what they make. The questions are the same.
fn differences(one: &[Record], other: &[Record], metric: Metric, filter: &str) -> Result<Paired, Error> {
    let (mut won, mut lost, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for (first, second) in one.iter().zip(other) {
        let (Some((first_part, weight)), Some((second_part, _))) =
            (part(first, metric, filter), part(second, metric, filter))
        else {
            let what = format!("{} of {filter} is not a sum over questions", metric.name());
            return Err(Error::Incomparable { what });
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
