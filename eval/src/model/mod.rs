//! Models: a causal decoder on candle, its tokenizer, and how both answer requests as lm-evaluation-harness's `HFLM` does.
//!
//! candle-transformers has models of its own. They give the logits of the last position only and hide their caches, so that neither can
//! continuations be scored in one pass nor choices share their question; hence one decoder here, described by data (`spec`) which
//! `config` reads from `config.json`. Everything is computed in f32 by the CPU. There is no file, no thread of its own and no
//! source of randomness: a page runs it as it is.

mod cache;
mod chat;
mod config;
mod decoder;
mod error;
mod families;
mod fields;
mod generate;
mod math;
mod matrix;
mod ops;
mod path;
mod rotary;
mod sample;
mod spec;
mod tokenizer;
mod weights;

pub use chat::Message;
pub use config::architectures;
pub use error::{Error, Result, SourceError};
pub use generate::Generator;
pub use spec::Memory;
pub use tokenizer::{Tokenizer, TokenizerFiles};
pub use weights::{RawTensor, Weights};

use decoder::Decoder;
use path::{Path, Wanted};
use serde_json::Value;
use spec::Spec;

use crate::{Answered, Generation, Lm, Scored};

/// The small files of a model's folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// `config.json`.
    pub config: &'a str,
    pub tokenizer: TokenizerFiles<'a>,
    /// `generation_config.json`, if there is one.
    pub generation_config: Option<&'a str>,
}

pub struct Model {
    decoder: Decoder,
    path: Path,
    tokenizer: Tokenizer,
    settings: generate::Settings,
}

/// What a model with this `config.json` will take, for texts of up to `tokens` tokens. No weight is looked at.
pub fn foresee(config: &str, tokens: usize) -> Result<Memory> {
    Ok(Spec::read(config)?.memory(tokens))
}

impl Model {
    /// Reads the small files, then the weights, a tensor at a time.
    pub fn open(files: &Files, weights: &mut dyn Weights) -> Result<Self> {
        let spec = Spec::read(files.config)?;
        let broken = |error: serde_json::Error| Error::Json { file: "config.json", message: error.to_string() };
        let config: Value = serde_json::from_str(files.config).map_err(broken)?;
        let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
        let tokenizer = Tokenizer::read(&files.tokenizer, model_type)?;
        let settings = generate::Settings::read(files.generation_config, &config)?;
        let decoder = Decoder::load(spec, weights)?;
        Ok(Self { path: Path::new(&decoder), decoder, tokenizer, settings })
    }

    /// The longest text, in tokens.
    pub fn context(&self) -> usize {
        self.decoder.spec.context
    }

    /// Tokens that the model knows.
    pub fn vocabulary(&self) -> usize {
        self.decoder.spec.vocabulary
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Begins to generate what follows a prompt, which loses its beginning where there is not room for all of it.
    pub fn generator(&self, prompt: &str, how: &Generation) -> Result<Generator> {
        Generator::new(self, prompt, how, how.max_tokens)
    }

    /// Logits of what follows tokens, at least one and at most as many as the context.
    pub fn next_logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let last = tokens.len().checked_sub(1).ok_or(Error::EmptyContext)?;
        let all = self.logits(tokens, last)?;
        all.into_iter().next().ok_or(Error::EmptyContext)
    }

    /// Logits of what follows each token from the one at `from` on.
    pub fn logits(&mut self, tokens: &[u32], from: usize) -> Result<Vec<Vec<f32>>> {
        let context = self.context();
        if tokens.len() > context {
            return Err(Error::ContinuationTooLong { found: tokens.len(), most: context });
        }
        let mut all = Vec::new();
        self.path.walk(&self.decoder, &[(tokens, from)], |rows, _| {
            all.extend(self.decoder.logits(rows, |_, logits| logits.to_vec())?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Scores tokens from an index on (at least 1), each after those before it.
    fn score(&mut self, texts: &[Scoring]) -> Result<Vec<Scored>> {
        let inputs: Vec<(&[u32], usize)> =
            texts.iter().map(|text| (&text.tokens[..text.tokens.len() - 1], text.from - 1)).collect();
        let mut scored = vec![Scored { log_likelihood: 0.0, greedy: true }; texts.len()];
        self.path.walk(&self.decoder, &inputs, |rows, wanted| {
            let seen = self.decoder.logits(rows, |row, logits| judge(texts, &wanted[row], logits))?;
            for (text, likelihood, greedy) in seen.into_iter().flatten().flatten() {
                scored[text].log_likelihood += likelihood;
                scored[text].greedy &= greedy;
            }
            Ok(())
        })?;
        if scored.iter().any(|scored| scored.log_likelihood.is_nan()) {
            return Err(Error::NotANumber);
        }
        Ok(scored)
    }

    /// The context and the continuation as one text, which loses its beginning where it is too long.
    fn scoring(&self, mut tokens: Vec<u32>, continuation: &[u32]) -> Result<Scoring> {
        let context = self.context();
        if tokens.is_empty() {
            return Err(Error::EmptyContext);
        }
        if continuation.is_empty() {
            return Err(Error::EmptyContinuation);
        }
        if continuation.len() > context {
            return Err(Error::ContinuationTooLong { found: continuation.len(), most: context });
        }
        tokens.extend_from_slice(continuation);
        // The last token is not passed through: nothing is wanted behind it.
        tokens.drain(..tokens.len().saturating_sub(context + 1));
        let from = tokens.len() - continuation.len();
        Ok(Scoring { tokens, from })
    }
}

struct Scoring {
    tokens: Vec<u32>,
    /// The first that is scored.
    from: usize,
}

/// How likely the tokens are that follow where these logits are: text, likelihood, whether it is the most likely.
fn judge(texts: &[Scoring], wanted: &[Wanted], logits: &[f32]) -> Vec<Option<(usize, f64, bool)>> {
    let largest = math::argmax(logits);
    let sum = largest.map(|(_, largest)| math::log_sum_exp(logits, largest));
    wanted
        .iter()
        .map(|&(text, position)| {
            let token = texts[text].tokens[position + 1] as usize;
            let (Some((first, _)), Some(sum)) = (largest, sum) else { return Some((text, f64::NAN, false)) };
            Some((text, f64::from(*logits.get(token)?) - sum, token == first))
        })
        .collect()
}

impl Lm for Model {
    type Error = Error;

    fn log_likelihoods(&mut self, requests: &[(String, String)]) -> Result<Vec<Scored>> {
        let texts = requests
            .iter()
            .map(|(context, continuation)| {
                let (context, continuation) = self.tokenizer.encode_pair(context, continuation)?;
                self.scoring(context, &continuation)
            })
            .collect::<Result<Vec<_>>>()?;
        self.score(&texts)
    }

    fn rolling_log_likelihood(&mut self, text: &str) -> Result<f64> {
        let tokens = self.tokenizer.encode(text)?;
        let context = self.context();
        let windows = tokens
            .chunks(context)
            .enumerate()
            .map(|(window, part)| {
                let end = window * context + part.len();
                // As much before it as there is room for, at least one token.
                let before = tokens[..end - part.len()].iter().rev().take(context + 1 - part.len()).rev();
                let before = if window == 0 { vec![self.tokenizer.prefix()] } else { before.copied().collect() };
                self.scoring(before, part)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(self.score(&windows)?.iter().map(|scored| scored.log_likelihood).sum())
    }

    fn generate(&mut self, prompt: &str, how: &Generation) -> Result<Answered> {
        let most = self.settings.most.unwrap_or(how.max_tokens);
        let mut generator = Generator::new(self, prompt, how, most)?;
        while generator.step(self)?.is_some() {}
        Ok(generator.answered())
    }
}
