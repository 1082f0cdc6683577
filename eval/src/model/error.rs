//! Why a model cannot be opened or a request cannot be answered: data, not sentences, as far as a host can act on it.

/// What a host's weights may fail with.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A JSON file (`config.json`, `tokenizer_config.json` …) cannot be parsed.
    #[error("{file}: {message}")]
    Json { file: &'static str, message: String },
    #[error("config.json lacks `{0}`")]
    FieldMissing(&'static str),
    /// A value of the wrong type, or outside of what is possible.
    #[error("config.json: `{field}` is {found}, expected {expected}")]
    FieldInvalid { field: String, found: String, expected: String },
    /// A setting that would change the numbers and that this decoder does not know.
    #[error("config.json: `{field}` = {found} is not supported")]
    FieldUnsupported { field: String, found: String },
    #[error("the architecture {found} is not supported; supported are {}", .supported.join(", "))]
    Architecture { found: String, supported: Vec<&'static str> },
    #[error("tensor {0} is missing")]
    TensorMissing(String),
    #[error("tensor {name} has the shape {found:?}, expected {expected:?}")]
    TensorShape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor {name} is of type {found}; weights are F64, F32, F16 or BF16")]
    TensorType { name: String, found: String },
    #[error("tensor {name} has {found} bytes, expected {expected}")]
    TensorBytes { name: String, found: usize, expected: u64 },
    #[error("tensor {name} cannot be read: {source}")]
    Weights { name: String, source: SourceError },
    #[error("tokenizer.json: {0}")]
    Tokenizer(String),
    /// Neither a beginning nor an end of a text has a token, so an empty context has nothing to stand for it.
    #[error("the tokenizer names neither a bos_token nor an eos_token of its vocabulary")]
    NoPrefixToken,
    #[error("token {token} is outside of the embedding of {vocabulary} tokens")]
    TokenOutside { token: u32, vocabulary: usize },
    #[error("the context has no tokens")]
    EmptyContext,
    #[error("the continuation has no tokens of its own")]
    EmptyContinuation,
    #[error("the continuation has {found} tokens, the model's context {most}")]
    ContinuationTooLong { found: usize, most: usize },
    #[error("{wanted} tokens are to be generated, which leaves no room for a prompt in a context of {context}")]
    NoRoom { wanted: usize, context: usize },
    #[error("generation_config.json: `{0}` is not supported")]
    GenerationUnsupported(String),
    #[error("{field} is {found}, expected {expected}")]
    SamplingInvalid { field: &'static str, found: f64, expected: &'static str },
    #[error("the model gives a value that is no number")]
    NotANumber,
    #[error("the model has no chat template")]
    NoTemplate,
    #[error("chat template: {0}")]
    Template(String),
    #[error("computing: {0}")]
    Compute(#[from] candle_core::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
