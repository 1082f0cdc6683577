//! Evaluates causal language models with lm-evaluation-harness's own task files, to its numbers (0.4.13, float32).
//!
//! Two halves that meet in [`Lm`]: tasks make requests of their documents and metrics of the answers, and never see a model; models
//! answer requests, and never see a task. Neither knows files: a host hands over bytes.

mod lm;
pub mod model;
mod python;
pub mod task;

pub use lm::{Answered, Generation, Lm, Scored};
