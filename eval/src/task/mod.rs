//! Tasks, as lm-evaluation-harness 0.4.13 defines them: from files to requests, from answers to numbers.
//!
//! A [`Task`] is read from a task file ([`Task::read`]), from a bare data file ([`Task::plain`]; [`open()`] sees which is which), or is a public one's settings on data
//! files that are given ([`builtin`]). An [`Evaluation`] asks its questions one after the other and can be stopped after any; it says
//! at any moment what the answers so far make ([`Evaluation::results`]). Reports and comparisons are made of evaluations.
//! What is supported and where this differs: `docs/evaluate-tasks.md`.

pub mod builtin;
mod compare;
mod config;
mod data;
mod error;
mod evaluation;
mod fields;
mod filter;
mod metric;
mod mmlu;
mod open;
mod plain;
mod prompt;
mod report;
mod sampler;
mod score;
mod template;
mod value;
mod yaml;

use serde::{Deserialize, Serialize};

pub use compare::{Paired, best, paired};
pub use data::Documents;
pub use error::{Error, Place};
pub use evaluation::{Answer, Ask, Evaluation, Options, Question, StepError};
pub use metric::{Aggregation, Errors, Metric, Worth};
pub use open::open;
pub use prompt::Task;
pub use report::{Group, Measured, Results, lm_eval_report, short_report};
pub use score::{Record, Scores};
pub use value::Value;

/// What is asked about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Which of several continuations is likeliest.
    MultipleChoice,
    /// How likely one continuation is.
    LogLikelihood,
    /// How likely a whole text is.
    LogLikelihoodRolling,
    /// What the model writes.
    GenerateUntil,
}

impl Output {
    /// Its name in task files.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultipleChoice => "multiple_choice",
            Self::LogLikelihood => "loglikelihood",
            Self::LogLikelihoodRolling => "loglikelihood_rolling",
            Self::GenerateUntil => "generate_until",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::MultipleChoice, Self::LogLikelihood, Self::LogLikelihoodRolling, Self::GenerateUntil]
            .into_iter()
            .find(|output| output.name() == name)
    }
}
