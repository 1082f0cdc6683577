//! `config.json` as a [`Spec`]: with transformers' defaults for what it leaves out, and an error by name for what would change the
//! numbers and is not known here.

use serde_json::{Map, Value};

use super::error::{Error, Result};
use super::families::ARCHITECTURES;
use super::fields::Fields;
use super::math::Activation;
use super::rotary::{LONGEST, Rotary};
use super::spec::{HeadNorm, Joined, Layer, Names, Norm, NormKind, Spec, Up};

/// The largest sizes that are taken for real. Their products stay far below 2⁶⁴.
pub(super) const MOST_HIDDEN: usize = 1 << 16;
pub(super) const MOST_HEADS: usize = 1 << 12;
pub(super) const MOST_LAYERS: usize = 1 << 12;
pub(super) const MOST_INNER: usize = 1 << 20;
pub(super) const MOST_TOKENS: usize = 1 << 24;

/// The supported architectures, by transformers' names.
pub fn architectures() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|(name, ..)| *name).collect()
}

impl Spec {
    /// From the text of a `config.json`.
    pub fn read(config: &str) -> Result<Self> {
        let broken = |message: String| Error::Json { file: "config.json", message };
        let value: Value = serde_json::from_str(config).map_err(|error| broken(error.to_string()))?;
        let Value::Object(map) = value else { return Err(broken("not an object".into())) };
        let fields = Fields(&map);
        let architecture = match fields.get("architectures") {
            None => None,
            Some(Value::Array(names)) => names.first().and_then(Value::as_str),
            Some(value) => return Err(Fields::invalid("architectures", value, "a list of names")),
        };
        let model_type = fields.text("model_type")?;
        let known = ARCHITECTURES.iter().find(|(name, of_type, _)| {
            architecture.is_none_or(|architecture| architecture == *name)
                && model_type.is_none_or(|model_type| model_type == *of_type)
                && (architecture.is_some() || model_type.is_some())
        });
        let Some((.., read)) = known else {
            let found = [architecture, model_type].into_iter().flatten().collect::<Vec<_>>().join(", model_type ");
            let found = if found.is_empty() { "(none)".to_owned() } else { found.chars().take(80).collect() };
            return Err(Error::Architecture { found, supported: architectures() });
        };
        for field in ["quantization_config", "per_layer_config"] {
            if fields.has(field) {
                return Err(fields.unsupported(field));
            }
        }
        for field in ["is_encoder_decoder", "add_cross_attention", "use_bidirectional_attention", "qk_layernorm"] {
            if fields.flag_or(field, false)? {
                return Err(fields.unsupported(field));
            }
        }
        read(&Config { fields })
    }
}

pub(super) struct Config<'a> {
    pub fields: Fields<'a>,
}

/// llama's, which most are.
pub(super) const NAMES: Names = Names {
    prefix: "model.",
    embedding: "embed_tokens",
    positions: None,
    layers: "layers.",
    before_attention: Some("input_layernorm"),
    after_attention: None,
    before_mlp: Some("post_attention_layernorm"),
    after_mlp: None,
    projections: Joined::No(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    output: "self_attn.o_proj",
    up: Up::Gated(["mlp.gate_proj", "mlp.up_proj"]),
    down: "mlp.down_proj",
    norm: "norm",
    head: "lm_head",
};

/// What a family's classes take where a configuration is silent.
pub(super) struct Defaults {
    pub key_heads: Option<usize>,
    pub head_dim: Option<usize>,
    pub context: usize,
    pub theta: f64,
    pub tied: bool,
    pub activation: (&'static str, &'static str),
}

pub(super) const DEFAULTS: Defaults = Defaults {
    key_heads: None,
    head_dim: None,
    context: 2048,
    theta: 10_000.0,
    tied: false,
    activation: ("hidden_act", "silu"),
};

impl Config<'_> {
    /// llama's description with sizes, activation, positions and tying as configured; what is special to a family is changed after.
    pub fn plain(&self, defaults: &Defaults) -> Result<Spec> {
        let fields = &self.fields;
        let hidden = fields.count("hidden_size", MOST_HIDDEN)?;
        let heads = fields.count("num_attention_heads", MOST_HEADS)?;
        let layers = fields.count("num_hidden_layers", MOST_LAYERS)?;
        let inner = fields.count("intermediate_size", MOST_INNER)?;
        // Null says "as many as heads" where a missing one is the class's default.
        let silent = |field: &str, default: Option<usize>| default.filter(|_| !fields.0.contains_key(field));
        let key_heads = match fields.maybe_count("num_key_value_heads", MOST_HEADS)? {
            Some(count) => count,
            None => silent("num_key_value_heads", defaults.key_heads).unwrap_or(heads),
        };
        let head_dim = match fields.maybe_count("head_dim", MOST_HIDDEN)? {
            Some(size) => size,
            None => match silent("head_dim", defaults.head_dim) {
                Some(size) => size,
                None => divided(hidden, heads, "num_attention_heads", "a divisor of hidden_size")?,
            },
        };
        divided(heads, key_heads, "num_key_value_heads", "a divisor of num_attention_heads")?;
        if heads * head_dim > MOST_HIDDEN {
            return Err(Error::FieldInvalid {
                field: "head_dim".into(),
                found: head_dim.to_string(),
                expected: format!("at most {MOST_HIDDEN} elements in all heads"),
            });
        }
        let context = fields.count_or("max_position_embeddings", LONGEST, defaults.context)?;
        let layer = Layer { window: None, rotary: Some(0), scale: 1.0 / (head_dim as f32).sqrt() };
        Ok(Spec {
            vocabulary: fields.count("vocab_size", MOST_TOKENS)?,
            hidden,
            heads,
            key_heads,
            head_dim,
            inner,
            context,
            layers: vec![layer; layers],
            rotaries: Vec::new(),
            norm: Norm { kind: NormKind::Rms, eps: fields.positive_or("rms_norm_eps", 1e-6)? as f32 },
            head_norm: HeadNorm::None,
            projection_bias: false,
            output_bias: false,
            mlp_bias: false,
            head_bias: false,
            transposed: false,
            activation: self.activation(defaults.activation.0, defaults.activation.1)?,
            parallel: false,
            clip: None,
            score_cap: None,
            logit_cap: None,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            tied: fields.flag_or("tie_word_embeddings", defaults.tied)?,
            names: NAMES,
        })
    }

    /// As [`Self::plain`], with one set of rotary frequencies for whole heads.
    pub fn turned(&self, defaults: &Defaults) -> Result<Spec> {
        let mut spec = self.plain(defaults)?;
        let whole = |fields: &Fields| match fields.maybe_number("partial_rotary_factor")? {
            Some(fraction) if fraction != 1.0 => Err(fields.unsupported("partial_rotary_factor")),
            _ => Ok(()),
        };
        whole(&self.fields)?;
        whole(&Fields(&self.rotary_parameters()?))?;
        spec.rotaries = vec![self.rotary(&spec, defaults.theta, 1.0)?];
        Ok(spec)
    }

    pub fn activation(&self, field: &'static str, default: &'static str) -> Result<Activation> {
        let name = self.fields.text(field)?.unwrap_or(default);
        Activation::named(name).ok_or_else(|| self.fields.unsupported(field))
    }

    /// `rope_scaling` of old, else `rope_parameters`, without its layer types.
    pub fn rotary_parameters(&self) -> Result<Map<String, Value>> {
        let given = match self.fields.map("rope_scaling")? {
            Some(old) => Some(old),
            None => self.fields.map("rope_parameters")?,
        };
        let map = given.map(|fields| fields.0.clone()).unwrap_or_default();
        if map.values().any(Value::is_object) {
            return Err(self.fields.unsupported("rope_parameters"));
        }
        Ok(map)
    }

    pub fn rotary(&self, spec: &Spec, theta: f64, fraction: f64) -> Result<Rotary> {
        let mut parameters = self.rotary_parameters()?;
        for field in ["rope_theta", "partial_rotary_factor"] {
            if let (Some(value), false) = (self.fields.get(field), parameters.contains_key(field)) {
                parameters.insert(field.to_owned(), value.clone());
            }
        }
        // Beside the parameters it goes before what is among them.
        if let Some(value) = self.fields.get("original_max_position_embeddings") {
            parameters.insert("original_max_position_embeddings".to_owned(), value.clone());
        }
        Rotary::read(&Fields(&parameters), theta, fraction, spec.head_dim, spec.context)
    }

    /// One window for all layers.
    pub fn window(&self, spec: &mut Spec, default: Option<usize>) -> Result<()> {
        let missing = !self.fields.0.contains_key("sliding_window");
        let window = self.fields.maybe_count("sliding_window", LONGEST)?.or(default.filter(|_| missing));
        spec.layers.iter_mut().for_each(|layer| layer.window = window);
        Ok(())
    }

    /// Which layers have a window: `layer_types`, or where that is missing what `default` says of a layer's number.
    pub fn sliding(
        &self,
        spec: &mut Spec,
        window: Option<usize>,
        default: impl Fn(usize) -> bool,
    ) -> Result<Vec<bool>> {
        let sliding: Vec<bool> = match self.fields.list("layer_types", spec.layers.len())? {
            None => (0..spec.layers.len()).map(default).collect(),
            Some(types) => types
                .iter()
                .map(|kind| match kind.as_str() {
                    Some("full_attention") => Ok(false),
                    Some("sliding_attention") if window.is_some() => Ok(true),
                    _ => Err(self.fields.unsupported("layer_types")),
                })
                .collect::<Result<_>>()?,
        };
        for (layer, &sliding) in spec.layers.iter_mut().zip(&sliding) {
            layer.window = window.filter(|_| sliding);
        }
        Ok(sliding)
    }

    /// A window that `use_sliding_window` turns on (Qwen, SmolLM3).
    pub fn optional_window(&self, default: Option<usize>) -> Result<Option<usize>> {
        let missing = !self.fields.0.contains_key("sliding_window");
        let window = self.fields.maybe_count("sliding_window", LONGEST)?.or(default.filter(|_| missing));
        Ok(window.filter(|_| self.fields.flag_or("use_sliding_window", false).is_ok_and(|on| on)))
    }

    pub fn attention_bias(&self, spec: &mut Spec) -> Result<()> {
        spec.projection_bias = self.fields.flag_or("attention_bias", false)?;
        spec.output_bias = spec.projection_bias;
        Ok(())
    }
}

pub(super) fn divided(of: usize, by: usize, field: &str, expected: &str) -> Result<usize> {
    if by != 0 && of.is_multiple_of(by) {
        return Ok(of / by);
    }
    Err(Error::FieldInvalid { field: field.to_owned(), found: by.to_string(), expected: format!("{expected} ({of})") })
}
