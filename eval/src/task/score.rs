//! What an answer is worth.

use serde::{Deserialize, Serialize};

use super::metric::{Metric, Worth, softmax};
use super::prompt::{Task, View, place};
use super::{Error, Output, Value};
use crate::Scored;
use crate::python::text::{display, is_space};

/// What was asked about a document, what was answered and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The document's place in its split, from 0.
    pub document: usize,
    /// What stood before the answer: one text, or one a choice where choices are contexts.
    pub contexts: Vec<String>,
    /// What was scored after it, in the order of the choices; for a whole text, the text.
    pub continuations: Vec<String>,
    /// The choices as the task writes them; empty where there are none.
    pub choices: Vec<String>,
    /// Of the continuations.
    pub log_likelihoods: Vec<f64>,
    /// Whether each is what the model would have written.
    pub greedy: Vec<bool>,
    /// Of the continuations with nothing before them, where a metric wants it.
    pub unconditional: Vec<f64>,
    /// The likeliest choice.
    pub chosen: Option<usize>,
    /// The right choices.
    pub gold: Vec<usize>,
    /// What the task says is right.
    pub target: Value,
    /// What the model wrote.
    pub generated: Option<String>,
    /// What the answer is worth, by filter.
    pub scores: Vec<Scores>,
}

/// What one filter leaves of an answer, and its worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The filter's name; `none` where a task has none.
    pub filter: String,
    /// What of the generated text was compared.
    pub answer: Option<String>,
    /// By metric, in the task's order.
    pub worths: Vec<(Metric, Worth)>,
}

impl Record {
    /// Right or wrong, by the task's first metric that says so and its first filter.
    pub fn right(&self) -> Option<bool> {
        self.scores.first()?.worths.iter().find_map(|(metric, worth)| match (metric, worth) {
            (
                Metric::Acc | Metric::AccNorm | Metric::AccBytes | Metric::AccMutualInfo | Metric::ExactMatch,
                Worth::Number(number),
            ) => Some(*number == 1.0),
            _ => None,
        })
    }

    /// Its worth to a metric.
    pub fn worth(&self, metric: Metric, filter: &str) -> Option<&Worth> {
        let scores = self.scores.iter().find(|scores| scores.filter == filter)?;
        scores.worths.iter().find(|(other, _)| *other == metric).map(|(_, worth)| worth)
    }
}

/// Where the largest number stands: the first, and the first that is none if there is one.
fn likeliest(numbers: &[f64]) -> usize {
    let mut best = 0;
    for (index, number) in numbers.iter().enumerate() {
        if numbers[best].is_nan() {
            break;
        }
        if number.is_nan() || *number > numbers[best] {
            best = index;
        }
    }
    best
}

fn flag(right: bool) -> Worth {
    Worth::Number(if right { 1.0 } else { 0.0 })
}

/// What is the right class, where a document says it: `None` is a choice that there is not.
enum Gold {
    One(Option<i64>),
    Any(Vec<Option<i64>>),
}

impl Task {
    fn all<T>(&self, worth: impl Fn(Metric) -> Result<Worth, T>) -> Result<Vec<Scores>, T> {
        let worths = self
            .config
            .measures
            .iter()
            .map(|measure| Ok((measure.metric, worth(measure.metric)?)))
            .collect::<Result<Vec<_>, T>>()?;
        let scores = |name: &String| Scores { filter: name.clone(), answer: None, worths: worths.clone() };
        Ok(self.config.pipelines.iter().map(|pipeline| scores(&pipeline.name)).collect())
    }

    /// One continuation's worth.
    pub(super) fn score_continuation(&self, scored: Scored) -> Vec<Scores> {
        let worth = |metric| match metric {
            Metric::Perplexity => Worth::Number(scored.log_likelihood),
            _ => flag(scored.greedy),
        };
        self.all(|metric| Ok::<_, std::convert::Infallible>(worth(metric))).unwrap_or_default()
    }

    /// A whole text's worth.
    pub(super) fn score_text(&self, text: &str, log_likelihood: f64) -> Vec<Scores> {
        let (mut words, mut inside) = (1, false);
        for character in text.chars() {
            let space = is_space(character);
            words += usize::from(space && !inside);
            inside = space;
        }
        let worth = |metric| match metric {
            Metric::WordPerplexity => Worth::Weighted(log_likelihood, words as f64),
            _ => Worth::Weighted(log_likelihood, text.len() as f64),
        };
        self.all(|metric| Ok::<_, std::convert::Infallible>(worth(metric))).unwrap_or_default()
    }

    fn gold(&self, view: &View<'_>, choices: &[String]) -> Result<Gold, Error> {
        let key = if self.many_inputs { "doc_to_text" } else { "doc_to_target" };
        let value = if self.many_inputs { self.text(view, None)? } else { self.target(view, None)? };
        let there = |number: i64| (number < choices.len() as i64).then_some(number);
        let wrong = || self.wrong(view, key, format!("it is {}, which names no choice", display(&value)));
        match &value {
            Value::List(items) if self.many_targets => {
                let numbers: Option<Vec<_>> = items.iter().map(|item| item.int().map(there)).collect();
                Ok(Gold::Any(numbers.ok_or_else(wrong)?))
            }
            _ if self.many_targets => Err(wrong()),
            Value::Text(text) => {
                Ok(Gold::One(choices.iter().position(|choice| choice == text).map(|index| index as i64)))
            }
            value => Ok(Gold::One(there(value.int().ok_or_else(wrong)?))),
        }
    }

    /// Choices' worth; the log-likelihoods without a context follow those with one where there are any.
    pub(super) fn score_choices(&self, view: &View<'_>, record: &mut Record, scored: &[Scored]) -> Result<(), Error> {
        let choices = &record.choices;
        let (with, without) = scored.split_at(choices.len());
        let likelihoods: Vec<f64> = with.iter().map(|one| one.log_likelihood).collect();
        let unconditional: Vec<f64> = without.iter().map(|one| one.log_likelihood).collect();
        let by = |length: fn(&String) -> usize| -> Vec<f64> {
            likelihoods.iter().zip(choices).map(|(likelihood, choice)| likelihood / length(choice) as f64).collect()
        };
        let gold = self.gold(view, choices)?;
        let right = |chosen: usize| match &gold {
            Gold::One(gold) => *gold == Some(chosen as i64),
            Gold::Any(gold) => gold.contains(&Some(chosen as i64)),
        };
        let greedy = |gold: &Option<i64>| -> Result<bool, Error> {
            let Some(gold) = gold else { return Ok(false) };
            let at = place(*gold, scored.len());
            let at = at.ok_or_else(|| self.wrong(view, "doc_to_target", format!("{gold} names no choice")))?;
            Ok(scored[at].greedy)
        };
        let class = || match &gold {
            Gold::One(gold) => Ok(gold.unwrap_or(-100)),
            Gold::Any(_) => Err(self.wrong(view, "doc_to_target", "this metric wants one right choice")),
        };
        let chosen = likeliest(&likelihoods);
        let worth = |metric| {
            Ok(match metric {
                Metric::AccNorm => flag(right(likeliest(&by(|choice| choice.chars().count())))),
                Metric::AccBytes => flag(right(likeliest(&by(String::len)))),
                Metric::AccMutualInfo => {
                    let gained: Vec<f64> =
                        likelihoods.iter().zip(&unconditional).map(|(with, without)| with - without).collect();
                    let likeliest = likeliest(&gained);
                    // Of several right choices none counts here, as in lm-evaluation-harness.
                    flag(matches!(gold, Gold::One(Some(gold)) if gold == likeliest as i64))
                }
                Metric::ExactMatch => flag(match &gold {
                    Gold::One(gold) => greedy(gold)?,
                    Gold::Any(gold) => gold.iter().map(greedy).collect::<Result<Vec<_>, _>>()?.contains(&true),
                }),
                Metric::BrierScore => Worth::Probabilities(class()?, softmax(&likelihoods)),
                Metric::F1 | Metric::Mcc => Worth::Classes(class()?, chosen as i64),
                _ => flag(right(chosen)),
            })
        };
        let scores = self.all(worth)?;
        let known = |gold: &Option<i64>| gold.and_then(|gold| usize::try_from(gold).ok());
        record.gold = match &gold {
            Gold::One(gold) => known(gold).into_iter().collect(),
            Gold::Any(gold) => gold.iter().filter_map(known).collect(),
        };
        record.chosen = Some(chosen);
        record.greedy = with.iter().map(|one| one.greedy).collect();
        record.scores = scores;
        record.log_likelihoods = likelihoods;
        record.unconditional = unconditional;
        Ok(())
    }

    /// What a generated text is worth.
    pub(super) fn score_generated(&self, view: &View<'_>, written: &str) -> Result<Vec<Scores>, Error> {
        let targets = self.targets(view)?;
        self.config
            .pipelines
            .iter()
            .map(|pipeline| {
                let answer =
                    pipeline.apply(written, view.value).map_err(|detail| self.wrong(view, "filter_list", detail))?;
                let worths = self.config.measures.iter().map(|measure| {
                    let mut right = false;
                    for target in &targets {
                        right |= measure.matching.equal(&answer, target)?;
                    }
                    Ok((measure.metric, flag(right)))
                });
                let worths = worths.collect::<Result<Vec<_>, Error>>()?;
                Ok(Scores { filter: pipeline.name.clone(), answer: Some(answer), worths })
            })
            .collect()
    }

    /// The texts of which a generated one must be one.
    fn targets(&self, view: &View<'_>) -> Result<Vec<String>, Error> {
        let target = self.target(view, None)?;
        let wrong = |detail: &str| self.wrong(view, "doc_to_target", format!("it is {}; {detail}", display(&target)));
        if let Some(choices) = self.choices(view, None)? {
            let at = target.int().and_then(|number| place(number, choices.len()));
            return Ok(vec![choices[at.ok_or_else(|| wrong("with doc_to_choice it must name a choice"))?].clone()]);
        }
        if self.many_targets {
            let texts = target.list().map(|items| items.iter().map(|item| item.text().map(str::to_owned)));
            let texts: Option<Vec<String>> = texts.and_then(Iterator::collect);
            return texts.ok_or_else(|| wrong("the first document's is a list, so it must be a list of texts"));
        }
        Ok(vec![display(&target)])
    }

    /// A target that is a text, for what is scored as it is.
    pub(super) fn target_text(&self, view: &View<'_>) -> Result<String, Error> {
        match self.target(view, None)? {
            Value::Text(text) => Ok(text),
            other => {
                let output = self.config.output.name();
                Err(self.wrong(view, "doc_to_target", format!("it is {}; {output} wants a text", display(&other))))
            }
        }
    }

    pub(super) fn wants_unconditional(&self) -> bool {
        self.config.output == Output::MultipleChoice
            && self.config.measures.iter().any(|measure| measure.metric == Metric::AccMutualInfo)
    }
}
