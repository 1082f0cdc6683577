//! One task's questions, asked one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::compare::same_questions;
use super::metric::{self, Errors, Worth};
use super::prompt::{Task, View};
use super::report::{Measured, Results};
use super::sampler;
use super::score::Record;
use super::{Error, Output, Value};
use crate::python::random::Random;
use crate::{Answered, Generation, Lm, Scored};

/// lm-evaluation-harness's seed of the examples.
const SEED: u64 = 1234;

/// What may be asked otherwise than the task says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Examples before each question. A task whose file says 0 keeps 0, as in lm-evaluation-harness.
    pub shots: Option<usize>,
    /// The first so many documents only.
    pub limit: Option<usize>,
    /// Of which examples are drawn.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { shots: None, limit: None, seed: SEED }
    }
}

/// What is asked of a model about a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The document's place, from 0.
    pub document: usize,
    /// The requests.
    pub ask: Ask,
}

/// Requests to a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// [`Lm::log_likelihoods`]: `(context, continuation)`.
    LogLikelihoods(Vec<(String, String)>),
    /// [`Lm::rolling_log_likelihood`].
    Rolling(String),
    /// [`Lm::generate`].
    Generate(String, Generation),
}

/// What a model answers; of the same kind as what was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One for each continuation.
    LogLikelihoods(Vec<Scored>),
    /// Of the whole text.
    Rolling(f64),
    /// What was written.
    Generate(Answered),
}

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum StepError<E: std::error::Error> {
    /// The task's fault.
    #[error(transparent)]
    Task(Error),
    /// The model's.
    #[error(transparent)]
    Model(E),
}

/// A task's questions to one model, and its answers so far.
///
/// Documents are asked about in the order of their file, so that after any N of them results are those of
/// lm-evaluation-harness with `--limit N`.
pub struct Evaluation {
    task: Arc<Task>,
    shots: usize,
    questions: usize,
    options: Options,
    random: Random,
    /// Documents about which questions were made.
    asked: usize,
    /// Questions made and not answered, in order.
    waiting: VecDeque<(Question, Record)>,
    records: Vec<Record>,
}

impl Evaluation {
    /// Before the first question.
    pub fn new(task: Arc<Task>, options: Options) -> Result<Self, Error> {
        let shots = match (task.config.shots, options.shots) {
            (Some(0), _) | (None, None) => 0,
            (_, Some(shots)) | (Some(shots), None) => shots,
        };
        if shots > 0 && task.pool.is_none() {
            let split = task.config.examples_split().cloned().unwrap_or_default();
            return Err(Error::NoSplit { task: task.name().into(), key: "fewshot_split", split });
        }
        let questions = options.limit.map_or(task.len(), |limit| limit.min(task.len()));
        let random = Random::new(options.seed);
        Ok(Self { task, shots, questions, options, random, asked: 0, waiting: VecDeque::new(), records: Vec::new() })
    }

    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// What it was begun with.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Examples before each question.
    pub fn shots(&self) -> usize {
        self.shots
    }

    /// Questions in all, the limit considered.
    pub fn questions(&self) -> usize {
        self.questions
    }

    /// What was answered, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Takes answers that the same model gave to the same task before; how many. Only those count, from the first on, that are to the
    /// questions that are asked here, in the same words and with the same examples. Nothing may have been asked so far.
    pub fn go_on_from(&mut self, known: &[Record]) -> Result<usize, Error> {
        for record in known.iter().take(self.questions) {
            let before = self.random.clone();
            let (_, asked) = self.question()?;
            if same_questions(std::slice::from_ref(&asked), std::slice::from_ref(record)).is_err() {
                self.random = before;
                break;
            }
            self.asked += 1;
            self.records.push(record.clone());
        }
        Ok(self.records.len())
    }

    /// The next questions, of `documents` documents at most; none when all are asked. Those that are asked and not answered come
    /// first and alone.
    pub fn ask(&mut self, documents: usize) -> Result<Vec<Question>, Error> {
        if self.waiting.is_empty() {
            while self.waiting.len() < documents && self.asked < self.questions {
                let question = self.question()?;
                self.waiting.push_back(question);
                self.asked += 1;
            }
        }
        Ok(self.waiting.iter().map(|(question, _)| question.clone()).collect())
    }

    fn question(&mut self) -> Result<(Question, Record), Error> {
        let task = Arc::clone(&self.task);
        let document = self.asked;
        let view = &View::new(document, &task.documents.rows[document]);
        let empty = Vec::new();
        let pool = task.pool.as_ref().map_or(&empty, |documents| &documents.rows);
        let mut examples = Vec::new();
        if self.shots > 0 {
            let own = task.pool_is_own.then_some(view.value);
            // What was drawn counts only when the question is made.
            let mut random = self.random.clone();
            let places = sampler::draw(task.config.examples.sampler, &mut random, pool, self.shots, own);
            let places =
                places.map_err(|wanted| Error::FewExamples { task: task.name().into(), wanted, there: pool.len() })?;
            examples = places.into_iter().map(|place| &pool[place]).collect::<Vec<&Value>>();
            self.random = random;
        }
        let mut record = Record {
            document,
            contexts: task.contexts(view, &examples)?,
            continuations: Vec::new(),
            choices: Vec::new(),
            log_likelihoods: Vec::new(),
            greedy: Vec::new(),
            unconditional: Vec::new(),
            chosen: None,
            gold: Vec::new(),
            target: task.target(view, None)?,
            generated: None,
            scores: Vec::new(),
        };
        let ask = match task.output() {
            Output::MultipleChoice => {
                record.choices = task.choices(view, None)?.unwrap_or_default();
                let delimiter = &task.config.target_delimiter;
                let after = |text: &str| format!("{delimiter}{text}");
                record.continuations = if task.many_inputs {
                    vec![after(&crate::python::text::display(&record.target)); record.choices.len()]
                } else {
                    record.choices.iter().map(|choice| after(choice)).collect()
                };
                let contexts = record.contexts.iter().cycle();
                let mut requests: Vec<(String, String)> = contexts.cloned().zip(record.continuations.clone()).collect();
                if task.wants_unconditional() {
                    requests.extend(record.choices.iter().map(|choice| (String::new(), after(choice))));
                }
                Ask::LogLikelihoods(requests)
            }
            Output::LogLikelihood => {
                record.continuations = vec![task.target_text(view)?];
                Ask::LogLikelihoods(vec![(record.contexts[0].clone(), record.continuations[0].clone())])
            }
            Output::LogLikelihoodRolling => {
                record.continuations = vec![task.target_text(view)?];
                record.contexts.clear();
                Ask::Rolling(record.continuations[0].clone())
            }
            Output::GenerateUntil => Ask::Generate(record.contexts[0].clone(), task.config.generation.clone()),
        };
        Ok((Question { document, ask }, record))
    }

    /// Takes the answer to the first question that is asked and not answered.
    pub fn answer(&mut self, answer: Answer) -> Result<&Record, Error> {
        let Some((question, mut record)) = self.waiting.front().cloned() else {
            return Err(Error::Answer { document: self.asked });
        };
        let document = question.document;
        let task = &self.task;
        let view = &View::new(document, &task.documents.rows[document]);
        match (&question.ask, answer) {
            (Ask::LogLikelihoods(requests), Answer::LogLikelihoods(scored)) if requests.len() == scored.len() => {
                if task.output() == Output::MultipleChoice {
                    task.score_choices(view, &mut record, &scored)?;
                } else {
                    record.log_likelihoods = vec![scored[0].log_likelihood];
                    record.greedy = vec![scored[0].greedy];
                    record.scores = task.score_continuation(scored[0]);
                }
            }
            (Ask::Rolling(text), Answer::Rolling(log_likelihood)) => {
                record.log_likelihoods = vec![log_likelihood];
                record.scores = task.score_text(text, log_likelihood);
            }
            (Ask::Generate(..), Answer::Generate(answered)) => {
                record.scores = task.score_generated(view, &answered.text)?;
                record.generated = Some(answered.text);
            }
            _ => return Err(Error::Answer { document }),
        }
        self.waiting.pop_front();
        self.records.push(record);
        self.records.last().ok_or(Error::Answer { document })
    }

    /// Asks a model about the next `documents` documents, all of their continuations in one call; how many were answered.
    pub fn step<L: Lm>(&mut self, model: &mut L, documents: usize) -> Result<usize, StepError<L::Error>> {
        let questions = self.ask(documents).map_err(StepError::Task)?;
        let continuations: Vec<(String, String)> = questions
            .iter()
            .filter_map(|question| match &question.ask {
                Ask::LogLikelihoods(requests) => Some(requests.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let scored = if continuations.is_empty() {
            Vec::new()
        } else {
            model.log_likelihoods(&continuations).map_err(StepError::Model)?
        };
        let mut scored = scored.into_iter();
        let count = questions.len();
        for question in questions {
            let answer = match question.ask {
                Ask::LogLikelihoods(requests) => Answer::LogLikelihoods(scored.by_ref().take(requests.len()).collect()),
                Ask::Rolling(text) => Answer::Rolling(model.rolling_log_likelihood(&text).map_err(StepError::Model)?),
                Ask::Generate(prompt, how) => {
                    Answer::Generate(model.generate(&prompt, &how).map_err(StepError::Model)?)
                }
            };
            self.answer(answer).map_err(StepError::Task)?;
        }
        Ok(count)
    }

    /// What the answers so far make; nothing before the first.
    pub fn results(&self, errors: Errors) -> Result<Results, Error> {
        let config = &self.task.config;
        let mut measured = Vec::new();
        for pipeline in &config.pipelines {
            for measure in &config.measures {
                let worths: Vec<&Worth> =
                    self.records.iter().filter_map(|record| record.worth(measure.metric, &pipeline.name)).collect();
                if worths.is_empty() {
                    continue;
                }
                let value = metric::aggregate(measure.aggregation, &worths).map_err(|detail| Error::Metric {
                    task: config.name.clone(),
                    metric: measure.metric.name(),
                    detail,
                })?;
                measured.push(Measured {
                    metric: measure.metric.name().into(),
                    filter: pipeline.name.clone(),
                    value,
                    error: metric::error(measure.aggregation, &worths, errors),
                    higher_is_better: measure.higher_is_better,
                });
            }
        }
        Ok(Results {
            task: config.name.clone(),
            alias: config.alias.clone().unwrap_or_else(|| config.name.clone()),
            documents: self.task.len(),
            questions: self.questions,
            answered: self.records.len(),
            shots: self.shots,
            measured,
        })
    }
}
