//! Which tensors the file has, of which of the model's, in which shape and order of rows.

use std::collections::BTreeMap;

use super::settings::{Bias, Settings};
use super::{GgufError, GgufNotice, GgufType, LeftOut};
use crate::model::{Model, Tensor};

/// A tensor that the file gets.
pub(super) struct Wanted<'a> {
    /// Its name in GGUF.
    pub(super) name: String,
    /// Its name here.
    pub(super) source: &'a str,
    pub(super) tensor: &'a Tensor,
    /// Rows of a head, where a head's halves are to be interleaved.
    pub(super) interleave: Option<u64>,
}

impl Wanted<'_> {
    /// llama.cpp takes norms and biases in F32 only.
    pub(super) fn dtype(&self, dtype: GgufType) -> GgufType {
        if self.tensor.shape.len() < 2 { GgufType::F32 } else { dtype }
    }
}

/// A matrix or norm of every layer: transformers' name, GGUF's, and its shape.
struct Part {
    from: &'static str,
    to: &'static str,
    shape: Vec<u64>,
    interleave: bool,
    bias: Bias,
}

/// Finds tensors, and knows which were not asked for.
struct Finder<'a> {
    architecture: &'static str,
    /// `None` once it was taken: nothing is removed from the map, which would take code of its own for this type.
    left: BTreeMap<&'a str, Option<(&'a str, &'a Tensor)>>,
}

impl<'a> Finder<'a> {
    /// Takes the tensor called `name`, which has this shape.
    fn take(&mut self, name: &str, shape: &[u64]) -> Result<Option<(&'a str, &'a Tensor)>, GgufError> {
        let Some((source, tensor)) = self.left.get_mut(name).and_then(Option::take) else { return Ok(None) };
        if tensor.shape != shape {
            return Err(GgufError::ShapeDiffers {
                tensor: source.to_owned(),
                found: tensor.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        if !tensor.dtype.is_float() {
            return Err(GgufError::UnsupportedType { tensor: source.to_owned(), found: tensor.dtype });
        }
        Ok(Some((source, tensor)))
    }

    fn need(&mut self, name: &str, shape: &[u64]) -> Result<(&'a str, &'a Tensor), GgufError> {
        let missing = || GgufError::MissingTensor { tensor: format!("model.{name}"), architecture: self.architecture };
        let missing = missing();
        self.take(name, shape)?.ok_or(missing)
    }
}

const EMBEDDING: &str = "embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Rows of the embedding.
pub(super) fn rows(model: &Model, settings: &Settings) -> Result<u64, GgufError> {
    let names = [format!("model.{EMBEDDING}"), EMBEDDING.to_owned()];
    let found = names.iter().find_map(|name| model.tensors.get(name));
    let architecture = settings.architecture.name;
    let tensor = found.ok_or(GgufError::MissingTensor { tensor: names[0].clone(), architecture })?;
    match tensor.shape[..] {
        [rows, width] if width == settings.width && (1..=u64::from(u32::MAX)).contains(&rows) => Ok(rows),
        _ => Err(GgufError::ShapeDiffers {
            tensor: names[0].clone(),
            found: tensor.shape.clone(),
            expected: vec![tensor.shape.first().copied().unwrap_or(0).max(1), settings.width],
        }),
    }
}

/// Every tensor of the file, in its order. What the model has and the file has not is told, or refused.
pub(super) fn wanted<'a>(
    model: &'a Model,
    settings: &Settings,
    rows: u64,
    notices: &mut Vec<GgufNotice>,
) -> Result<Vec<Wanted<'a>>, GgufError> {
    let mut finder = Finder { architecture: settings.architecture.name, left: BTreeMap::new() };
    finder.left.extend(
        model
            .tensors
            .iter()
            .map(|(name, tensor)| (name.strip_prefix("model.").unwrap_or(name), Some((name.as_str(), tensor)))),
    );
    if finder.left.len() < model.tensors.len() {
        // Two names that differ in `model.` only: one of them is no part of the architecture.
        let is_twice = |name: &&String| model.tensors.contains_key(&format!("model.{name}"));
        if let Some(tensor) = model.tensors.keys().find(is_twice).cloned() {
            return Err(GgufError::UnknownTensor { tensor, architecture: finder.architecture });
        }
    }
    let (width, mut found) = (settings.width, Vec::new());
    let mut put = |name: String, (source, tensor): (&'a str, &'a Tensor), interleave| {
        found.push(Wanted { name, source, tensor, interleave });
    };
    put("token_embd.weight".into(), finder.need(EMBEDDING, &[rows, width])?, None);
    let parts = parts(settings);
    for layer in 0..settings.layers {
        for Part { from, to, shape, interleave, bias } in &parts {
            let interleave = interleave.then_some(settings.head);
            let name = |end: &str| (format!("layers.{layer}.{from}.{end}"), format!("blk.{layer}.{to}.{end}"));
            let (from, to) = name("weight");
            put(to, finder.need(&from, shape)?, interleave);
            let (from, to) = name("bias");
            match bias {
                Bias::None => {}
                Bias::May => {
                    if let Some(bias) = finder.take(&from, &shape[..1])? {
                        put(to, bias, interleave);
                    }
                }
                Bias::Must => put(to, finder.need(&from, &shape[..1])?, interleave),
            }
        }
    }
    put("output_norm.weight".into(), finder.need("norm.weight", &[width])?, None);
    if !model.is_tied() {
        match finder.take(HEAD, &[rows, width])? {
            Some(head) => put("output.weight".into(), head, None),
            None => {
                return Err(GgufError::MissingTensor { tensor: HEAD.to_owned(), architecture: finder.architecture });
            }
        }
    }
    for (name, left) in finder.left {
        let Some((source, _)) = left else { continue };
        let reason = match name {
            HEAD => LeftOut::Tied,
            _ if name.ends_with("rotary_emb.inv_freq") => LeftOut::Computed,
            _ => {
                let tensor = source.to_owned();
                return Err(GgufError::UnknownTensor { tensor, architecture: settings.architecture.name });
            }
        };
        notices.push(GgufNotice::LeftOut { tensor: source.to_owned(), reason });
    }
    Ok(found)
}

/// What every layer is made of.
fn parts(settings: &Settings) -> Vec<Part> {
    let Settings { width, inner, head, .. } = *settings;
    let architecture = settings.architecture;
    // Counts of 32 bits each: the products fit.
    let (queries, keys) = (settings.heads * head, settings.key_heads * head);
    let (ours, others, turned) = (architecture.bias, architecture.other_bias, architecture.interleaved);
    let part = |from, to, shape: &[u64], interleave, bias| Part { from, to, shape: shape.to_vec(), interleave, bias };
    let mut parts = vec![
        part("input_layernorm", "attn_norm", &[width], false, Bias::None),
        part("self_attn.q_proj", "attn_q", &[queries, width], turned, ours),
        part("self_attn.k_proj", "attn_k", &[keys, width], turned, ours),
        part("self_attn.v_proj", "attn_v", &[keys, width], false, ours),
        part("self_attn.o_proj", "attn_output", &[width, queries], false, others),
        part("post_attention_layernorm", "ffn_norm", &[width], false, Bias::None),
        part("mlp.gate_proj", "ffn_gate", &[inner, width], false, others),
        part("mlp.up_proj", "ffn_up", &[inner, width], false, others),
        part("mlp.down_proj", "ffn_down", &[width, inner], false, others),
    ];
    if architecture.head_norms {
        parts.push(part("self_attn.q_norm", "attn_q_norm", &[head], false, Bias::None));
        parts.push(part("self_attn.k_norm", "attn_k_norm", &[head], false, Bias::None));
    }
    parts
}
