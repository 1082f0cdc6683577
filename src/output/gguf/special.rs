//! The tokens with a meaning of their own, what is put around a text, and the chat template.

use serde_json::{Map, Value};

use super::header::Metadata;
use super::vocabulary::Vocabulary;
use super::{GgufError, Texts};

/// transformers' names of such tokens, and GGUF's. (The misspelling is the format's.)
const SPECIAL: [(&str, &str); 6] =
    [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"), ("pad", "padding"), ("mask", "mask")];

/// Writes the special tokens' ids, whether they are added, and the chat template. `config` is the text of config.json.
pub(super) fn write(
    texts: &Texts,
    config: &str,
    vocabulary: &Vocabulary,
    metadata: &mut Metadata,
) -> Result<(), GgufError> {
    let tokenizer = texts.object("tokenizer_config.json")?.unwrap_or_default();
    let config: Map<String, Value> = serde_json::from_str(config).unwrap_or_default();
    for (name, key) in SPECIAL {
        // config.json may name several; only one can be written.
        let by_id = || {
            let id = config.get(&format!("{name}_token_id")).and_then(Value::as_u64);
            id.filter(|id| *id < vocabulary.rows()).map(|id| id as u32)
        };
        let id = text_of(&tokenizer, name).and_then(|text| vocabulary.find(text)).or_else(by_id);
        if let Some(id) = id {
            metadata.number(&format!("tokenizer.ggml.{key}_token_id"), id);
        }
    }
    for (name, at_end) in [("bos", false), ("eos", true)] {
        let said = tokenizer.get(&format!("add_{name}_token")).and_then(Value::as_bool);
        // tokenizer.json says all that is put around a text. Without it llama.cpp's default stands.
        let derived = vocabulary.post_processor.as_ref().map(|post| adds(post, text_of(&tokenizer, name), at_end));
        if let Some(add) = said.or(derived) {
            metadata.flag(&format!("tokenizer.ggml.add_{name}_token"), add);
        }
    }
    write_templates(texts, &tokenizer, metadata)
}

/// `bos_token` and its like: a text, or an object with one.
fn text_of<'a>(tokenizer: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let token = tokenizer.get(&format!("{name}_token"))?;
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// Whether a post-processor puts `token` at the beginning or the end of a text. Where nothing says which token that is, any will do.
fn adds(post_processor: &Value, token: Option<&str>, at_end: bool) -> bool {
    let one = std::slice::from_ref(post_processor);
    let steps = post_processor.get("processors").and_then(Value::as_array).map_or(one, Vec::as_slice);
    steps.iter().any(|step| {
        let single = step.get("single").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let outer = if at_end { single.last() } else { single.first() };
        let special = outer.and_then(|outer| outer.get("SpecialToken")?.get("id")?.as_str());
        special.is_some_and(|special| token.is_none_or(|token| token == special))
    })
}

/// The chat template: of a file of its own, as transformers prefers, or of tokenizer_config.json, where there may be several.
fn write_templates(texts: &Texts, tokenizer: &Map<String, Value>, metadata: &mut Metadata) -> Result<(), GgufError> {
    const KEY: &str = "tokenizer.chat_template";
    if let Some(template) = texts.get("chat_template.jinja") {
        let template = std::str::from_utf8(template)
            .map_err(|error| GgufError::BadTokenizer { file: "chat_template.jinja", problem: error.to_string() })?;
        metadata.text(KEY, template);
        return Ok(());
    }
    let file = texts.object("chat_template.json")?.unwrap_or_default();
    match tokenizer.get("chat_template").or_else(|| file.get("chat_template")) {
        Some(Value::String(template)) => metadata.text(KEY, template),
        Some(Value::Array(templates)) => {
            let mut names = Vec::new();
            for template in templates {
                let text = |key: &str| template.get(key).and_then(Value::as_str);
                match (text("name"), text("template")) {
                    (Some("default"), Some(template)) => metadata.text(KEY, template),
                    (Some(name), Some(template)) => {
                        metadata.text(&format!("{KEY}.{name}"), template);
                        names.push(name);
                    }
                    _ => {}
                }
            }
            if !names.is_empty() {
                metadata.texts("tokenizer.chat_templates", names.into_iter());
            }
        }
        _ => {}
    }
    Ok(())
}
