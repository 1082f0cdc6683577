//! config.json: the few fields that merging reads.

use serde_json::Value;

use super::{Config, ModelError};

/// Where the number of layers may be written, in order of preference.
const LAYERS: [&str; 5] = ["num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers"];

/// Model types whose input and output embeddings are tied unless their config says otherwise, as the defaults of the
/// transformers library have it. All other types are untied by default.
const TIED_BY_DEFAULT: [&str; 52] = [
    "albert",
    "bart",
    "bert",
    "big_bird",
    "bloom",
    "camembert",
    "cohere",
    "cohere2",
    "convbert",
    "ctrl",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "esm",
    "falcon",
    "falcon_mamba",
    "fnet",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma3n",
    "gemma3n_text",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "jetmoe",
    "lfm2",
    "longformer",
    "mamba",
    "mbart",
    "mobilebert",
    "modernbert",
    "mpnet",
    "mpt",
    "mt5",
    "nomic_bert",
    "openai-gpt",
    "opt",
    "recurrent_gemma",
    "roberta",
    "roformer",
    "smollm3",
    "starcoder2",
    "switch_transformers",
    "t5",
    "umt5",
    "xglm",
    "xlm-roberta",
    "xlnet",
];

impl Config {
    /// Reads config.json. Models of several parts keep the language model's fields in `text_config`: what the top level lacks is
    /// looked for there.
    ///
    /// # Errors
    /// [`ModelError::BadConfig`] if it is no JSON object.
    pub fn parse(text: String) -> Result<Self, ModelError> {
        let root: serde_json::Map<String, Value> =
            serde_json::from_str(&text).map_err(|error| ModelError::BadConfig {
                line: error.line() as u64,
                column: error.column() as u64,
                problem: without_position(&error),
            })?;
        let nested = root.get("text_config").and_then(Value::as_object);
        let field = |key: &str| {
            root.get(key).into_iter().chain(nested.and_then(|nested| nested.get(key))).find(|value| !value.is_null())
        };
        let model_type = field("model_type").and_then(Value::as_str).map(str::to_owned);
        let tied = field("tie_word_embeddings")
            .and_then(Value::as_bool)
            .or_else(|| model_type.as_deref().map(|model_type| TIED_BY_DEFAULT.contains(&model_type)));
        Ok(Self {
            architecture: field("architectures")
                .and_then(|architectures| architectures.get(0))
                .and_then(Value::as_str)
                .map(str::to_owned),
            layers: LAYERS.into_iter().find_map(|key| field(key).and_then(Value::as_u64)),
            vocab_size: field("vocab_size").and_then(Value::as_u64),
            model_type,
            tied,
            text,
        })
    }

    /// The entries of the list called `key`, as JSON each; of the language model's, where the configuration is of several parts.
    pub fn list(&self, key: &str) -> Option<Vec<String>> {
        let root: serde_json::Map<String, Value> = serde_json::from_str(&self.text).ok()?;
        let list = root.get(key).or_else(|| root.get("text_config")?.get(key))?.as_array()?;
        Some(list.iter().map(Value::to_string).collect())
    }
}

/// serde_json's words end in a position, which is told apart from them here.
pub(super) fn without_position(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    words.strip_suffix(&position).map_or(words.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text.into()).unwrap()
    }

    #[test]
    fn fields_go_by_several_names_and_may_be_nested() {
        assert_eq!(parse(r#"{"n_layer": 12, "architectures": ["GPT2LMHeadModel"]}"#).layers, Some(12));
        assert_eq!(parse(r#"{"num_layers": 6}"#).layers, Some(6));
        let nested = parse(
            r#"{"model_type": "llava", "num_hidden_layers": null, "text_config":
                {"model_type": "llama", "num_hidden_layers": 4, "vocab_size": 32000, "tie_word_embeddings": true}}"#,
        );
        assert_eq!((nested.layers, nested.vocab_size, nested.tied), (Some(4), Some(32000), Some(true)));
        assert_eq!(nested.model_type.as_deref(), Some("llava"));
    }

    #[test]
    fn tied_embeddings_default_by_model_type() {
        let tied = |model_type: &str| parse(&format!(r#"{{"model_type": "{model_type}"}}"#)).tied;
        assert_eq!(tied("llama"), Some(false));
        assert_eq!(tied("gpt2"), Some(true));
        assert_eq!(tied("gemma2"), Some(true));
        assert_eq!(tied("bert"), Some(true));
        assert_eq!(parse(r#"{"model_type": "llama", "tie_word_embeddings": true}"#).tied, Some(true));
        assert_eq!(parse("{}").tied, None);
    }

    #[test]
    fn a_config_that_is_not_json_says_where() {
        assert_eq!(
            Config::parse("{\n  \"a\": nil\n}".into()),
            Err(ModelError::BadConfig { line: 2, column: 9, problem: "expected ident".into() })
        );
        assert!(matches!(Config::parse("[1, 2]".into()), Err(ModelError::BadConfig { line: 1, .. })));
    }
}
