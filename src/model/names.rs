//! Names that mean the same tensor in different checkpoints: aliases, and the head of a model with tied embeddings.

use super::{Model, Tensor};

/// What a checkpoint with a head puts before the names of the same model saved without one.
const MODULES: [&str; 4] = ["bert.", "roberta.", "transformer.", "model."];

/// Old and new name of a norm's weight and bias.
const NORMS: [(&str, &str); 2] = [(".gamma", ".weight"), (".beta", ".bias")];

/// Ends of the names of output embeddings.
const HEADS: [&str; 4] =
    ["lm_head.weight", "lm_head.decoder.weight", "cls.predictions.decoder.weight", "embed_out.weight"];

/// Ends of the names of input embeddings.
const EMBEDDINGS: [&str; 5] = [
    "embed_tokens.weight",
    "wte.weight",
    "embeddings.word_embeddings.weight",
    "transformer.word_embeddings.weight",
    "embed_in.weight",
];

/// Ends of the names of biases with an element a token.
const HEAD_BIASES: [&str; 4] =
    ["lm_head.bias", "cls.predictions.bias", "cls.predictions.decoder.bias", "embed_out.bias"];

/// True for the names of tensors that have a row a token: input and output embeddings, and the latter's biases.
pub fn is_vocabulary(name: &str) -> bool {
    // An encoder's and a decoder's embedding is called so, and only at the top.
    let shared = ["shared.weight", "model.shared.weight"].contains(&name);
    shared || is_head(name) || EMBEDDINGS.iter().chain(&HEAD_BIASES).any(|end| ends_with_path(name, end))
}

/// True for the names of output embeddings.
pub(super) fn is_head(name: &str) -> bool {
    HEADS.into_iter().any(|head| ends_with_path(name, head))
}

/// True if `name` is `path`, or ends in a dot and `path`.
pub(super) fn ends_with_path(name: &str, path: &str) -> bool {
    name.strip_suffix(path).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The other names that `name`'s tensor may have, the likelier first.
fn aliases(name: &str) -> Vec<String> {
    let renamed = NORMS.into_iter().find_map(|(old, new)| {
        let swap = |from, to| name.strip_suffix(from).map(|stem| format!("{stem}{to}"));
        swap(old, new).or_else(|| swap(new, old))
    });
    let mut aliases: Vec<String> = renamed.into_iter().collect();
    for name in std::iter::once(name).chain(aliases.clone().iter().map(String::as_str)) {
        let shorter = MODULES.into_iter().find_map(|module| name.strip_prefix(module)).map(str::to_owned);
        match shorter {
            Some(shorter) => aliases.push(shorter),
            None => aliases.extend(MODULES.map(|module| format!("{module}{name}"))),
        }
    }
    aliases
}

impl Model {
    /// The tensor called `name`, or what stands for it here, and its name here:
    ///
    /// - the same name with or without the module that a head's checkpoint puts in front (`bert.`, `transformer.`, `model.` …);
    /// - `gamma` for a norm's `weight` and `beta` for its `bias`, and the reverse;
    /// - with tied embeddings, the input embedding for an absent head.
    pub fn find(&self, name: &str) -> Option<(&str, &Tensor)> {
        let get = |name: &str| self.tensors.get_key_value(name).map(|(name, tensor)| (name.as_str(), tensor));
        get(name)
            .or_else(|| aliases(name).iter().find_map(|alias| get(alias)))
            .or_else(|| (self.is_head(name) && self.is_tied()).then(|| self.embedding())?)
    }

    /// True for the names of output embeddings: `lm_head.weight` and its like.
    pub fn is_head(&self, name: &str) -> bool {
        is_head(name)
    }

    /// True if the head's weights are the input embedding's: as config.json says, or by default of its model type.
    pub fn is_tied(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.tied == Some(true))
    }

    /// How many rows the input embedding has, or without one, the head; 0 without either.
    pub fn vocabulary_rows(&self) -> u64 {
        let head = || self.tensors.iter().find(|(name, _)| is_head(name)).map(|(_, tensor)| tensor);
        let found = self.embedding().map(|(_, tensor)| tensor).or_else(head);
        found.and_then(|tensor| tensor.shape.first().copied()).unwrap_or(0)
    }

    fn embedding(&self) -> Option<(&str, &Tensor)> {
        EMBEDDINGS.into_iter().find_map(|embedding| {
            self.tensors
                .iter()
                .find(|(name, _)| ends_with_path(name, embedding))
                .map(|(name, tensor)| (name.as_str(), tensor))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Config;
    use crate::model::tests::model_of;

    fn found<'a>(model: &'a Model, name: &str) -> Option<&'a str> {
        model.find(name).map(|(name, _)| name)
    }

    #[test]
    fn a_tensor_is_found_under_its_aliases() {
        let model =
            model_of(&["bert.embeddings.LayerNorm.gamma", "pooler.dense.weight", "wte.weight", "model.norm.weight"]);
        assert_eq!(found(&model, "pooler.dense.weight"), Some("pooler.dense.weight"));
        assert_eq!(found(&model, "bert.pooler.dense.weight"), Some("pooler.dense.weight"));
        assert_eq!(found(&model, "embeddings.LayerNorm.gamma"), Some("bert.embeddings.LayerNorm.gamma"));
        assert_eq!(found(&model, "embeddings.LayerNorm.weight"), Some("bert.embeddings.LayerNorm.gamma"));
        assert_eq!(found(&model, "embeddings.LayerNorm.bias"), None);
        assert_eq!(found(&model, "transformer.wte.weight"), Some("wte.weight"));
        assert_eq!(found(&model, "norm.weight"), Some("model.norm.weight"));
    }

    #[test]
    fn the_exact_name_wins_over_an_alias() {
        let model = model_of(&["bert.a.weight", "a.weight"]);
        assert_eq!(found(&model, "a.weight"), Some("a.weight"));
        assert_eq!(found(&model, "bert.a.weight"), Some("bert.a.weight"));
    }

    #[test]
    fn the_embedding_stands_for_an_absent_head_only_if_tied() {
        let mut model = model_of(&["model.embed_tokens.weight"]);
        assert_eq!(found(&model, "lm_head.weight"), None);
        model.config = Config::parse(r#"{"tie_word_embeddings": true}"#.into()).ok();
        assert_eq!(found(&model, "lm_head.weight"), Some("model.embed_tokens.weight"));
        assert_eq!(found(&model, "lm_head.bias"), None);
        model.config = Config::parse(r#"{"model_type": "llama"}"#.into()).ok();
        assert_eq!(found(&model, "lm_head.weight"), None);
    }

    #[test]
    fn a_head_of_its_own_is_found_even_if_tied() {
        let mut model = model_of(&["lm_head.weight", "model.embed_tokens.weight"]);
        model.config = Config::parse(r#"{"tie_word_embeddings": true}"#.into()).ok();
        assert_eq!(found(&model, "lm_head.weight"), Some("lm_head.weight"));
    }

    #[test]
    fn heads_are_told_by_name() {
        let model = model_of(&[]);
        for head in
            ["lm_head.weight", "cls.predictions.decoder.weight", "language_model.lm_head.weight", "embed_out.weight"]
        {
            assert!(model.is_head(head), "{head}");
        }
        for other in ["lm_head.bias", "model.embed_tokens.weight", "not_lm_head.weight", "pooler.dense.weight"] {
            assert!(!model.is_head(other), "{other}");
        }
    }
}
