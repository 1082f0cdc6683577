//! A prompt to one model, and what it writes.

use serde::{Deserialize, Serialize};

use super::{ModelFiles, Refusal};

/// A prompt. A worker that got one gets no other order but this and [`super::Order::Stop`], and always of the same model.
#[derive(Debug, Serialize, Deserialize)]
pub struct Prompt {
    /// Comes back with each reply: those to an earlier prompt may still be on their way.
    pub number: u32,
    pub model: ModelFiles,
    pub text: String,
    /// What the chat begins with; empty for nothing.
    pub system: String,
    /// Whether it goes through the model's chat template, where it has one.
    pub chat: bool,
    /// Tokens of the answer at most.
    pub longest: usize,
    /// `None`: the likeliest token each time.
    pub sampling: Option<Sampling>,
}

/// How tokens are drawn: [`merge_studio_eval::Generation`] has what they mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    pub temperature: f64,
    pub top_p: f64,
    pub top_k: usize,
    pub seed: u64,
}

/// What a model says to a prompt.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It is being read.
    Loading,
    /// It reads the prompt: whether through its chat template, and whether the system message is in it.
    Reading { is_chat: bool, has_system: bool },
    /// It wrote this, behind what it wrote before: tokens in all.
    Wrote { text: String, tokens: usize },
    /// It wrote everything. The pace is that of the tokens behind the first.
    Ended { end: End, tokens_a_second: Option<f64> },
    /// It cannot answer.
    Refused(Refusal),
}

/// Why an answer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The model ended it.
    Itself,
    /// It has as many tokens as were asked for.
    Longest,
    /// There is no room left in the model's context.
    Context,
}
