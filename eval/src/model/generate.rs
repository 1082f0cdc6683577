//! Generating text, a token a step.

use serde_json::Value;

use super::Model;
use super::error::{Error, Result};
use super::sample;
use crate::{Answered, Generation};

/// What `generation_config.json` says, as far as it has to do with which tokens come.
#[derive(Debug)]
pub(super) struct Settings {
    /// Tokens that end a generation.
    ends: Vec<u32>,
    penalty: f32,
    /// transformers takes it for the number of tokens, whatever a task asks for.
    pub most: Option<usize>,
    /// A setting that is not known here.
    unsupported: Option<String>,
}

/// Settings that change which tokens come, with the values that leave them as they are.
const NEUTRAL: [(&str, &[f64]); 10] = [
    ("num_beams", &[1.0]),
    ("num_beam_groups", &[1.0]),
    ("penalty_alpha", &[0.0]),
    ("no_repeat_ngram_size", &[0.0]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("min_length", &[0.0]),
    ("min_new_tokens", &[0.0]),
    ("guidance_scale", &[1.0]),
    ("length_penalty", &[1.0]),
];

/// Settings that change which tokens come, whatever they say.
const ALWAYS: [&str; 10] = [
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "bad_words_ids",
    "force_words_ids",
    "sequence_bias",
    "exponential_decay_length_penalty",
    "watermarking_config",
    "constraints",
];

impl Settings {
    /// Where there is no `generation_config.json`, `config.json` says the end.
    pub fn read(generation_config: Option<&str>, config: &Value) -> Result<Self> {
        let file = "generation_config.json";
        let parsed = match generation_config {
            None => None,
            Some(text) => Some(
                serde_json::from_str::<Value>(text)
                    .map_err(|error| Error::Json { file, message: error.to_string() })?,
            ),
        };
        let settings = parsed.as_ref().unwrap_or(&Value::Null);
        let ends = match parsed.as_ref().unwrap_or(config).get("eos_token_id") {
            Some(Value::Array(ends)) => ends.iter().filter_map(Value::as_u64).map(|token| token as u32).collect(),
            Some(end) => end.as_u64().map(|token| token as u32).into_iter().collect(),
            None => Vec::new(),
        };
        let set = |name: &str| settings.get(name).filter(|value| !value.is_null());
        let changed = NEUTRAL.iter().filter(|(name, neutral)| {
            set(name).is_some_and(|value| value.as_f64().is_none_or(|value| !neutral.contains(&value)))
        });
        let mut unsupported =
            changed.map(|(name, _)| *name).chain(ALWAYS.into_iter().filter(|name| set(name).is_some()));
        Ok(Self {
            ends,
            penalty: set("repetition_penalty").and_then(Value::as_f64).unwrap_or(1.0) as f32,
            most: set("max_new_tokens").and_then(Value::as_u64).map(|most| most as usize),
            unsupported: unsupported.next().map(str::to_owned),
        })
    }
}

/// A text that ends a generation, and how many tokens it may be spread over.
struct Stop {
    text: String,
    tokens: usize,
}

/// A generation under way. It holds no model: any model that is asked in between only makes the next step slower.
pub struct Generator {
    how: Generation,
    most: usize,
    stops: Vec<Stop>,
    tokens: Vec<u32>,
    /// Of the prompt.
    start: usize,
    /// What was given out, in bytes.
    given: usize,
    text: String,
    finished: bool,
    cut: bool,
}

impl Generator {
    /// `most`: how many tokens come at most; `how.max_tokens` is what there is to be room for behind the prompt.
    pub(super) fn new(model: &Model, prompt: &str, how: &Generation, most: usize) -> Result<Self> {
        sample::check(how)?;
        if let Some(name) = &model.settings.unsupported {
            return Err(Error::GenerationUnsupported(name.clone()));
        }
        let context = model.context();
        let room = context.checked_sub(how.max_tokens).filter(|room| *room > 0);
        let room = room.ok_or(Error::NoRoom { wanted: how.max_tokens, context })?;
        let mut tokens = model.tokenizer.encode_prompt(prompt)?;
        tokens.drain(..tokens.len().saturating_sub(room));
        if tokens.is_empty() {
            return Err(Error::EmptyContext);
        }
        let mut until = how.until.clone();
        until.extend(model.tokenizer.end.clone().filter(|end| !how.until.contains(end)));
        until.retain(|text| !text.is_empty());
        let stop = |text: String| -> Result<Stop> {
            // Its letters may come in other tokens than its own.
            let tokens = model.tokenizer.encode_bare(&text)?.len() + 2;
            Ok(Stop { text, tokens })
        };
        let stops = until.into_iter().map(stop).collect::<Result<_>>()?;
        let start = tokens.len();
        let most = most.min(context - start);
        let how = how.clone();
        Ok(Self { how, most, stops, tokens, start, given: 0, text: String::new(), finished: most == 0, cut: most == 0 })
    }

    /// Generates a token. Gives the text that is certain by now and was not given before, which may be empty: a piece never ends within a
    /// letter, nor within what may become a text that ends the generation. None when the generation has ended.
    pub fn step(&mut self, model: &mut Model) -> Result<Option<String>> {
        if self.finished {
            return Ok(None);
        }
        let mut logits = model.next_logits(&self.tokens)?;
        sample::penalise(&mut logits, &self.tokens, model.settings.penalty);
        let place = self.tokens.len() - self.start;
        let token = sample::choose(&logits, &self.how, place as u64)?;
        self.tokens.push(token);
        let generated = &self.tokens[self.start..];
        let mut ended = model.settings.ends.contains(&token);
        for stop in &self.stops {
            let last = &generated[generated.len().saturating_sub(stop.tokens)..];
            ended |= model.tokenizer.decode(last, false)?.contains(&stop.text);
        }
        self.cut = !ended && generated.len() == self.most;
        ended |= self.cut;
        self.finished = ended;
        self.text = model.tokenizer.decode(generated, true)?;
        for stop in &self.stops {
            if let Some(at) = self.text.find(&stop.text) {
                self.text.truncate(at);
            }
        }
        let certain = if ended { self.text.len() } else { self.certain() };
        let piece = self.text.get(self.given..certain).unwrap_or_default().to_owned();
        self.given = self.given.max(certain);
        Ok(Some(piece))
    }

    /// How much of the text will stay as it is.
    fn certain(&self) -> usize {
        let whole = self.text.trim_end_matches('\u{fffd}');
        let starts = whole.char_indices().map(|(at, _)| at);
        let mut open = starts.filter(|at| self.stops.iter().any(|stop| stop.text.starts_with(&whole[*at..])));
        open.next().unwrap_or(whole.len())
    }

    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether it ended only because no more tokens might come.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// What was generated so far, without what ended it.
    pub fn answered(&self) -> Answered {
        Answered { text: self.text.clone(), tokens: self.tokens.len() - self.start }
    }
}
