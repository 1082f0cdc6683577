//! Text to tokens and back, as lm-evaluation-harness does it with transformers' tokenizers.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, ModelWrapper};

use super::error::{Error, Result};

/// The files of a model's folder that have to do with its tokenizer; all but the first may be missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenizerFiles<'a> {
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `tokenizer_config.json`.
    pub config: Option<&'a str>,
    /// `special_tokens_map.json`: what the configuration leaves out.
    pub special_tokens: Option<&'a str>,
    /// `chat_template.jinja`: goes before the configuration's.
    pub chat_template: Option<&'a str>,
}

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Special tokens by role (`bos_token` …).
    pub(super) roles: Vec<(String, String)>,
    /// What stands before a text with an empty context: the beginning of a text, or where that has no token its end.
    prefix: u32,
    prefix_text: String,
    beginning: Option<String>,
    /// The end of a text.
    pub(super) end: Option<String>,
    pub(super) chat_template: Option<String>,
}

/// What transformers' classes take where the files name no token, by the class or the kind of model: beginning, end.
fn class_tokens(class: &str, model_type: &str) -> [Option<&'static str>; 2] {
    let class = class.strip_suffix("Fast").unwrap_or(class);
    match (class, model_type) {
        ("GPT2Tokenizer" | "GPTNeoXTokenizer", _) | ("", "gpt2" | "gpt_neox") => [Some("<|endoftext|>"); 2],
        ("Qwen2Tokenizer", _) | ("", "qwen2" | "qwen3") => [None, Some("<|endoftext|>")],
        ("LlamaTokenizer", _) | ("", "llama") => [Some("<s>"), Some("</s>")],
        ("GemmaTokenizer", _) | ("", "gemma" | "gemma2" | "gemma3_text") => [Some("<bos>"), Some("<eos>")],
        _ => [None, None],
    }
}

fn parse(file: &'static str, text: Option<&str>) -> Result<Value> {
    let Some(text) = text else { return Ok(Value::Null) };
    serde_json::from_str(text).map_err(|error| Error::Json { file, message: error.to_string() })
}

/// The library panics where some of the file's parts are no JSON. Its vocabulary, which is most of it, is not built twice.
fn check(tokenizer: &[u8]) -> Result<()> {
    let broken = |error: String| Error::Json { file: "tokenizer.json", message: error };
    let text = std::str::from_utf8(tokenizer).map_err(|error| broken(error.to_string()))?;
    let parts: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    for part in ["normalizer", "pre_tokenizer", "post_processor", "decoder"] {
        if let Some(part) = parts.get(part) {
            serde_json::from_str::<Value>(part.get()).map_err(|error| broken(error.to_string()))?;
        }
    }
    Ok(())
}

/// A token is a text, or an object with its text and how it is found.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content").and_then(Value::as_str))
}

const ROLES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

impl Tokenizer {
    /// `model_type` is `config.json`'s: it says the tokenizer's class where the files do not.
    pub fn read(files: &TokenizerFiles, model_type: &str) -> Result<Self> {
        let failed = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
        check(files.tokenizer)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(files.tokenizer).map_err(failed)?;
        inner.with_padding(None).with_truncation(None).map_err(failed)?;
        let config = parse("tokenizer_config.json", files.config)?;
        let more = parse("special_tokens_map.json", files.special_tokens)?;
        let flag = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
        let byte_pairs = matches!(inner.get_model(), ModelWrapper::BPE(_));
        if flag("clean_up_tokenization_spaces") && !byte_pairs {
            return Err(Error::Tokenizer("clean_up_tokenization_spaces is not supported for this kind".into()));
        }

        let mut roles: Vec<(String, String)> = Vec::new();
        for role in ROLES {
            // A null says that there is none.
            let given = config.get(role).or_else(|| more.get(role));
            if let Some(text) = given.and_then(token_text) {
                roles.push((role.to_owned(), text.to_owned()));
            } else if given.is_none() {
                let class = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or("");
                let [beginning, end] = class_tokens(class, model_type);
                let default = match role {
                    "bos_token" => beginning,
                    "eos_token" => end,
                    _ => None,
                };
                if let Some(text) = default.filter(|text| inner.token_to_id(text).is_some()) {
                    roles.push((role.to_owned(), text.to_owned()));
                }
            }
        }
        // Tokens with a role are found whole in a text, and left out of what is decoded.
        let added = inner.get_added_vocabulary().get_vocab();
        let lacking: Vec<AddedToken> = roles
            .iter()
            .filter(|(_, text)| !added.contains_key(text))
            .map(|(_, text)| AddedToken::from(text.clone(), true).normalized(false))
            .collect();
        if !lacking.is_empty() {
            inner.add_special_tokens(lacking).map_err(failed)?;
        }

        let of = |role: &str| roles.iter().find(|(known, _)| known == role).map(|(_, text)| text.clone());
        let (beginning, end) = (of("bos_token"), of("eos_token"));
        let said = ["add_bos_token", "add_eos_token"].iter().any(|name| config.get(name).is_some());
        if said || inner.get_post_processor().is_none() {
            let first = beginning.as_ref().filter(|_| flag("add_bos_token"));
            let last = end.as_ref().filter(|_| flag("add_eos_token"));
            let id = |text: &&String| Some(((*text).clone(), inner.token_to_id(text)?));
            let special: Vec<(String, u32)> = [first, last].iter().flatten().filter_map(id).collect();
            let template: Vec<&str> =
                [first.map(String::as_str), Some("$A"), last.map(String::as_str)].into_iter().flatten().collect();
            let processor = TemplateProcessing::builder()
                .try_single(template)
                .and_then(|builder| builder.special_tokens(special).build().map_err(|error| error.to_string()))
                .map_err(Error::Tokenizer)?;
            inner.with_post_processor(Some(processor));
        }

        let prefix = [&beginning, &end].into_iter().flatten().find_map(|text| inner.token_to_id(text));
        let prefix = prefix.ok_or(Error::NoPrefixToken)?;
        let prefix_text = inner.decode(&[prefix], false).map_err(failed)?;
        let chat_template = match (files.chat_template, config.get("chat_template")) {
            (Some(template), _) => Some(template.to_owned()),
            (None, Some(Value::String(template))) => Some(template.clone()),
            (None, Some(Value::Array(named))) => named
                .iter()
                .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
                .and_then(|entry| entry.get("template").and_then(Value::as_str))
                .map(str::to_owned),
            _ => None,
        };
        Ok(Self { inner, roles, prefix, prefix_text, beginning, end, chat_template })
    }

    fn tokens(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, special).map_err(|error| Error::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// A text's tokens, with those special ones around it that this tokenizer puts there, unless it begins with one.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokens(text, !text.starts_with(&self.prefix_text))
    }

    /// As [`Self::encode`], of a prompt: here only the token for a text's beginning counts.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        let begun = self.beginning.as_ref().is_some_and(|beginning| text.starts_with(beginning));
        self.tokens(text, !begun)
    }

    /// A text's own tokens alone.
    pub fn encode_bare(&self, text: &str) -> Result<Vec<u32>> {
        self.tokens(text, false)
    }

    /// What stands before a text with an empty context.
    pub fn prefix(&self) -> u32 {
        self.prefix
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn decode(&self, tokens: &[u32], without_special: bool) -> Result<String> {
        self.inner.decode(tokens, without_special).map_err(|error| Error::Tokenizer(error.to_string()))
    }

    /// A context's tokens and those of its continuation: spaces at the context's end belong to the continuation, and the two are cut
    /// out of the tokens of the whole, which may join what is on both sides of the cut.
    pub fn encode_pair(&self, context: &str, continuation: &str) -> Result<(Vec<u32>, Vec<u32>)> {
        if context.is_empty() {
            let mut tokens = self.encode_bare(continuation)?;
            if tokens.first() == Some(&self.prefix) {
                let rest = tokens.split_off(1);
                return Ok((tokens, rest));
            }
            return Ok((vec![self.prefix], tokens));
        }
        let whole = self.encode(&format!("{context}{continuation}"))?;
        let context = self.encode(context.trim_end_matches(is_space))?;
        let continuation = whole.get(context.len()..).unwrap_or_default().to_vec();
        Ok((context, continuation))
    }
}

/// Python's `str.isspace`, which knows four separators more than Unicode's property.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}
