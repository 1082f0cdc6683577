//! Layer numbers and places from tensor names.

use super::names::is_head;
use super::{Family, Model, Place};

impl Family {
    /// The first family whose layers occur among `names`.
    pub fn detect(names: &[&str]) -> Self {
        [Self::Llama, Self::Bert, Self::Gpt2]
            .into_iter()
            .find(|family| names.iter().any(|name| family.layer(name).is_some()))
            .unwrap_or(Self::Generic)
    }

    /// The number of the layer that `tensor` is part of.
    pub fn layer(self, tensor: &str) -> Option<u64> {
        self.number(tensor)?.parse().ok()
    }

    /// The name of the same tensor in another layer; `tensor` itself where it is in none.
    pub fn with_layer(self, tensor: &str, layer: u64) -> String {
        let Some(number) = self.number(tensor) else { return tensor.to_owned() };
        let start = number.as_ptr() as usize - tensor.as_ptr() as usize;
        format!("{}{layer}{}", &tensor[..start], &tensor[start + number.len()..])
    }

    /// The digits that name the layer, where they stand in `tensor`.
    fn number(self, tensor: &str) -> Option<&str> {
        let (prefix, layers) = match self {
            Self::Llama => ("model.", "layers."),
            Self::Bert => return number_after(without_module(tensor), "encoder.layer."),
            Self::Gpt2 => ("transformer.", "h."),
            Self::Generic => return first_number(tensor),
        };
        number_after(tensor.strip_prefix(prefix).unwrap_or(tensor), layers)
    }
}

/// Without the name of the whole encoder that heads put in front: `bert.encoder.…`, `roberta.encoder.…`.
fn without_module(tensor: &str) -> &str {
    match tensor.split_once('.') {
        Some((_, rest)) if rest.starts_with("encoder.layer.") => rest,
        _ => tensor,
    }
}

/// The number in `{layers}N.…`.
fn number_after<'a>(tensor: &'a str, layers: &str) -> Option<&'a str> {
    number(tensor.strip_prefix(layers)?.split_once('.')?.0)
}

/// The first number that stands between two dots.
fn first_number(tensor: &str) -> Option<&str> {
    let (_, rest) = tensor.split_once('.')?;
    let (between, _) = rest.rsplit_once('.')?;
    between.split('.').find_map(number)
}

/// Digits only, and no more than a number takes: `parse` alone would take a sign as well.
fn number(text: &str) -> Option<&str> {
    (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok()).then_some(text)
}

impl Model {
    /// Where `tensor` stands along the layers. Embeddings, their norms included, come before the first layer; final norm,
    /// pooler, head and whatever else has no layer number come after the last one.
    ///
    /// A number may be past [`Model::layers`], where config.json counts fewer layers than the file has (extra layers that
    /// predict further tokens, say).
    pub fn place(&self, tensor: &str) -> Place {
        if let Some(layer) = self.family.layer(tensor) {
            Place::Layer(layer)
        } else if !is_head(tensor) && is_embedding(tensor) {
            Place::Before
        } else {
            Place::After
        }
    }

    /// Number of layers: what config.json says, or one more than the highest layer number in the tensors' names.
    pub fn layers(&self) -> u64 {
        self.config.as_ref().and_then(|config| config.layers).unwrap_or_else(|| {
            self.tensors
                .keys()
                .filter_map(|name| self.family.layer(name))
                .max()
                .map_or(0, |last| last.saturating_add(1))
        })
    }
}

fn is_embedding(tensor: &str) -> bool {
    tensor.split('.').any(|part| part.contains("embed") || matches!(part, "wte" | "wpe"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::model_of;

    #[test]
    fn families_are_told_by_their_layers() {
        let detect = Family::detect;
        assert_eq!(detect(&["lm_head.weight", "model.layers.0.mlp.up_proj.weight"]), Family::Llama);
        assert_eq!(detect(&["layers.0.mlp.up_proj.weight", "norm.weight"]), Family::Llama);
        assert_eq!(detect(&["bert.encoder.layer.0.output.dense.weight"]), Family::Bert);
        assert_eq!(detect(&["encoder.layer.0.output.dense.weight"]), Family::Bert);
        assert_eq!(detect(&["h.0.attn.c_attn.weight"]), Family::Gpt2);
        assert_eq!(detect(&["transformer.h.0.attn.c_attn.weight"]), Family::Gpt2);
        assert_eq!(detect(&["gpt_neox.layers.0.attention.dense.weight"]), Family::Generic);
        assert_eq!(detect(&[]), Family::Generic);
    }

    #[test]
    fn each_family_places_its_tensors() {
        use Place::{After, Before, Layer};
        let places: [(&[(&str, Place)], Family); 4] = [
            (
                &[
                    ("model.embed_tokens.weight", Before),
                    ("model.layers.11.self_attn.q_proj.weight", Layer(11)),
                    ("model.layers.+1.x", After),
                    ("model.norm.weight", After),
                    ("lm_head.weight", After),
                ],
                Family::Llama,
            ),
            (
                &[
                    ("bert.embeddings.word_embeddings.weight", Before),
                    ("embeddings.LayerNorm.weight", Before),
                    ("encoder.layer.5.output.dense.weight", Layer(5)),
                    ("roberta.encoder.layer.5.output.dense.weight", Layer(5)),
                    ("pooler.dense.weight", After),
                    ("cls.predictions.decoder.weight", After),
                ],
                Family::Bert,
            ),
            (
                &[
                    ("wte.weight", Before),
                    ("transformer.wpe.weight", Before),
                    ("h.3.ln_1.weight", Layer(3)),
                    ("transformer.h.3.ln_1.weight", Layer(3)),
                    ("transformer.ln_f.weight", After),
                ],
                Family::Gpt2,
            ),
            (
                &[
                    ("gpt_neox.embed_in.weight", Before),
                    ("gpt_neox.layers.7.mlp.dense.bias", Layer(7)),
                    ("encoder.block.2.layer.0.q.weight", Layer(2)),
                    ("gpt_neox.final_layer_norm.weight", After),
                    ("embed_out.weight", After),
                    ("0.weight", After),
                    ("a.0", After),
                ],
                Family::Generic,
            ),
        ];
        for (names, family) in places {
            let mut model = model_of(&[]);
            model.family = family;
            for (name, place) in names {
                assert_eq!(model.place(name), *place, "{name}");
            }
        }
    }

    #[test]
    fn layers_come_from_the_config_or_are_counted() {
        let mut model = model_of(&["model.layers.0.a.weight", "model.layers.9.a.weight", "model.norm.weight"]);
        assert_eq!(model.layers(), 10);
        model.config = crate::model::Config::parse(r#"{"num_hidden_layers": 8}"#.into()).ok();
        assert_eq!(model.layers(), 8);
        assert_eq!(model_of(&["weight"]).layers(), 0);
    }
}
