//! What tasks ask of a model.

/// How likely a continuation is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Natural logarithm of the probability of the continuation's tokens after the context's.
    pub log_likelihood: f64,
    /// Whether each of them is the one that the model finds most likely there.
    pub greedy: bool,
}

/// How text is generated.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Generation ends before the first of these.
    pub until: Vec<String>,
    /// The most tokens that are generated.
    pub max_tokens: usize,
    /// 0 is greedy: the most likely token each time. Otherwise tokens are drawn from the softmax of logits / temperature.
    pub temperature: f64,
    /// Draws only from the fewest most likely tokens whose probabilities together reach this.
    pub top_p: f64,
    /// Draws only from this many most likely tokens; 0: from all.
    pub top_k: usize,
    /// Of what is drawn.
    pub seed: u64,
}

/// What comes back of a generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The text, without what ended it.
    pub text: String,
    /// Tokens generated.
    pub tokens: usize,
}

/// A causal language model with its tokenizer, as lm-evaluation-harness's `HFLM` answers requests.
///
/// A host may call it from an event loop, so each call answers one request of a few; what several requests share (a few-shot prefix, a
/// question before its choices) an implementation finds by itself in the requests of one call.
pub trait Lm {
    /// Why a request cannot be answered.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Scores continuations, each after its context: `(context, continuation)`. An empty context stands for the beginning of a text.
    fn log_likelihoods(&mut self, requests: &[(String, String)]) -> Result<Vec<Scored>, Self::Error>;

    /// Natural logarithm of the probability of a whole text of any length, in windows of the model's context: every token is scored
    /// once, with as much before it as its window has.
    fn rolling_log_likelihood(&mut self, text: &str) -> Result<f64, Self::Error>;

    /// Generates what follows a prompt.
    fn generate(&mut self, prompt: &str, how: &Generation) -> Result<Answered, Self::Error>;
}
