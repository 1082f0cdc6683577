//! config.json in GGUF's words: the architecture and its numbers.

use serde_json::{Map, Value};

use super::header::Metadata;
use super::{GgufError, GgufNotice};

/// No model's rows are longer. It bounds what a window of a few rows holds.
const WIDEST: u64 = 1 << 20;

/// An architecture of llama.cpp.
pub(super) struct Architecture {
    /// Its name there, which its settings' keys begin with.
    pub(super) name: &'static str,
    /// The first of `architectures` in config.json, …
    classes: &'static [&'static str],
    /// … or `model_type`, where there is none.
    model_types: &'static [&'static str],
    /// Whether llama.cpp turns neighbouring elements of a head together, where transformers turns its halves: then the rows of
    /// queries and keys change places.
    pub(super) interleaved: bool,
    /// The biases of queries, keys and values.
    pub(super) bias: Bias,
    /// The biases of a layer's other matrices.
    pub(super) other_bias: Bias,
    /// Whether queries and keys are normed by head.
    pub(super) head_norms: bool,
}

/// Whether a matrix has a bias.
#[derive(Clone, Copy)]
pub(super) enum Bias {
    None,
    May,
    Must,
}

/// Every architecture that can be written.
const ARCHITECTURES: [Architecture; 3] = [
    Architecture {
        name: "llama",
        classes: &["LlamaForCausalLM", "MistralForCausalLM"],
        model_types: &["llama", "mistral"],
        interleaved: true,
        bias: Bias::May,
        other_bias: Bias::May,
        head_norms: false,
    },
    Architecture {
        name: "qwen2",
        classes: &["Qwen2ForCausalLM"],
        model_types: &["qwen2"],
        interleaved: false,
        bias: Bias::Must,
        other_bias: Bias::None,
        head_norms: false,
    },
    Architecture {
        name: "qwen3",
        classes: &["Qwen3ForCausalLM"],
        model_types: &["qwen3"],
        interleaved: false,
        bias: Bias::May,
        other_bias: Bias::None,
        head_norms: true,
    },
];

/// What the tensors' shapes and the metadata follow from.
pub(super) struct Settings {
    pub(super) architecture: &'static Architecture,
    pub(super) layers: u64,
    /// Elements of a token's vector.
    pub(super) width: u64,
    /// Elements between a feed-forward layer's two halves.
    pub(super) inner: u64,
    pub(super) heads: u64,
    pub(super) key_heads: u64,
    /// Elements of a head.
    pub(super) head: u64,
    context: Option<u64>,
    epsilon: f64,
    base: Option<f64>,
    scaling: Scaling,
}

/// How positions are stretched beyond the length that the model was first trained on.
enum Scaling {
    None,
    Linear {
        factor: f64,
    },
    Yarn {
        factor: f64,
        original: u64,
        more: Vec<(&'static str, f64)>,
    },
    /// By frequency: a tensor says by how much.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
}

/// Settings of YaRN beyond the factor: config.json's names, and GGUF's.
const YARN: [(&str, &str); 2] = [("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")];
/// Settings of YaRN that llama.cpp has none for, or one of another meaning: its attention factor multiplies the usual one.
const NOT_YARN: [&str; 4] = ["attention_factor", "mscale", "mscale_all_dim", "truncate"];

/// Members of config.json, of one object in it.
struct Reader<'a>(&'a Map<String, Value>);

impl Reader<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A number that may be absent: whole, at least 1, and no larger than 32 bits hold.
    fn count(&self, key: &'static str) -> Result<Option<u64>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_u64().filter(|count| (1..=u64::from(u32::MAX)).contains(count)).map(Some).ok_or_else(|| {
            GgufError::BadSetting { key, found: value.to_string(), expected: "a whole number of at least 1" }
        })
    }

    fn needed(&self, key: &'static str) -> Result<u64, GgufError> {
        self.count(key)?.ok_or(GgufError::MissingSetting { key })
    }

    fn float(&self, key: &'static str) -> Result<Option<f64>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| GgufError::BadSetting { key, found: value.to_string(), expected: "a number" })
    }

    /// A number above zero.
    fn factor(&self, key: &'static str) -> Result<Option<f64>, GgufError> {
        match self.float(key)? {
            Some(number) if number <= 0.0 => {
                Err(GgufError::BadSetting { key, found: number.to_string(), expected: "a number above zero" })
            }
            number => Ok(number),
        }
    }
}

impl Settings {
    /// Reads the text of config.json; adds what is odd to `notices`.
    pub(super) fn read(config: &str, notices: &mut Vec<GgufNotice>) -> Result<Self, GgufError> {
        let root: Map<String, Value> = serde_json::from_str(config).map_err(|error| GgufError::BadSetting {
            key: "the whole text",
            found: error.to_string(),
            expected: "an object",
        })?;
        let config = Reader(&root);
        let architecture = architecture(&config)?;
        refuse_what_is_ignored(&config)?;

        let width = config.needed("hidden_size")?;
        if width > WIDEST {
            return Err(GgufError::BadSetting {
                key: "hidden_size",
                found: width.to_string(),
                expected: "no more than a million",
            });
        }
        let heads = config.needed("num_attention_heads")?;
        let key_heads = config.count("num_key_value_heads")?.unwrap_or(heads);
        let head = config.count("head_dim")?.unwrap_or(width / heads);
        if head == 0 || head % 2 == 1 || head > WIDEST {
            let found = head.to_string();
            return Err(GgufError::BadSetting { key: "head_dim", found, expected: "an even number of elements" });
        }
        let context = config.count("max_position_embeddings")?;
        let window = config.count("sliding_window")?.filter(|window| context.is_none_or(|context| *window < context));
        if let Some(window) = window.filter(|_| config.get("use_sliding_window") != Some(&Value::Bool(false))) {
            notices.push(GgufNotice::SlidingWindow { window });
        }
        let (base, scaling) = rope(&config)?;
        Ok(Self {
            architecture,
            layers: config.needed("num_hidden_layers")?,
            width,
            inner: config.needed("intermediate_size")?,
            heads,
            key_heads,
            head,
            context,
            epsilon: config.factor("rms_norm_eps")?.ok_or(GgufError::MissingSetting { key: "rms_norm_eps" })?,
            base,
            scaling,
        })
    }

    /// Writes the settings.
    pub(super) fn write(&self, vocabulary: u64, metadata: &mut Metadata) {
        let key = |name: &str| format!("{}.{name}", self.architecture.name);
        // Every count was checked against 32 bits when it was read.
        let mut number = |name: &str, value: u64| metadata.number(&key(name), value as u32);
        number("block_count", self.layers);
        if let Some(context) = self.context {
            number("context_length", context);
        }
        number("embedding_length", self.width);
        number("feed_forward_length", self.inner);
        number("attention.head_count", self.heads);
        number("attention.head_count_kv", self.key_heads);
        if self.head * self.heads != self.width {
            number("attention.key_length", self.head);
            number("attention.value_length", self.head);
        }
        number("vocab_size", vocabulary);
        number("rope.dimension_count", self.head);
        metadata.float(&key("attention.layer_norm_rms_epsilon"), self.epsilon as f32);
        if let Some(base) = self.base {
            metadata.float(&key("rope.freq_base"), base as f32);
        }
        match &self.scaling {
            Scaling::None | Scaling::Llama3 { .. } => {}
            Scaling::Linear { factor } => {
                metadata.text(&key("rope.scaling.type"), "linear");
                metadata.float(&key("rope.scaling.factor"), *factor as f32);
            }
            Scaling::Yarn { factor, original, more } => {
                metadata.text(&key("rope.scaling.type"), "yarn");
                metadata.float(&key("rope.scaling.factor"), *factor as f32);
                metadata.number(&key("rope.scaling.original_context_length"), *original as u32);
                for (name, value) in more {
                    metadata.float(&key(&format!("rope.scaling.{name}")), *value as f32);
                }
            }
        }
    }

    /// What divides each frequency, for scaling by frequency: one number for every pair of a head's elements.
    ///
    /// Long waves are stretched by the factor, short ones not at all, and those between by a mean of the two frequencies.
    pub(super) fn frequency_factors(&self) -> Option<Vec<f32>> {
        let Scaling::Llama3 { factor, low, high, original } = self.scaling else { return None };
        let logarithm = libm::log(self.base.unwrap_or(10_000.0));
        let factors = (0..self.head / 2).map(|pair| {
            let exponent = (2 * pair) as f64 / self.head as f64;
            let wavelength = 2.0 * std::f64::consts::PI * libm::exp(logarithm * exponent);
            let stretched = if wavelength < original / high {
                1.0
            } else if wavelength > original / low {
                factor
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            };
            stretched as f32
        });
        Some(factors.collect())
    }
}

fn architecture(config: &Reader<'_>) -> Result<&'static Architecture, GgufError> {
    let class = config.get("architectures").and_then(|classes| classes.get(0)).and_then(Value::as_str);
    let model_type = config.get("model_type").and_then(Value::as_str);
    let known = ARCHITECTURES.iter().find(|known| match class {
        Some(class) => known.classes.contains(&class),
        None => model_type.is_some_and(|model_type| known.model_types.contains(&model_type)),
    });
    known.ok_or_else(|| {
        let supported: Vec<&str> = ARCHITECTURES.iter().flat_map(|known| known.classes).copied().collect();
        let found = class.or(model_type).unwrap_or("a config.json without `architectures`").to_owned();
        GgufError::UnsupportedArchitecture { found, supported: supported.join(", ") }
    })
}

/// Settings that would make another model of the same tensors, and that GGUF has no word for.
fn refuse_what_is_ignored(config: &Reader<'_>) -> Result<(), GgufError> {
    let refused = |key: &'static str, value: &Value| GgufError::UnsupportedSetting { key, found: value.to_string() };
    if let Some(value) = config.get("hidden_act").filter(|value| value.as_str() != Some("silu")) {
        return Err(refused("hidden_act", value));
    }
    if let Some(value) = config.get("partial_rotary_factor").filter(|value| value.as_f64() != Some(1.0)) {
        return Err(refused("partial_rotary_factor", value));
    }
    match config.get("quantization_config") {
        Some(value) => Err(refused("quantization_config", value)),
        None => Ok(()),
    }
}

/// The base of the rotary embedding's frequencies and how they are scaled: in `rope_parameters` since transformers 5, in
/// `rope_theta` and `rope_scaling` before.
fn rope(config: &Reader<'_>) -> Result<(Option<f64>, Scaling), GgufError> {
    let nothing = Map::new();
    let (key, value) = match config.get("rope_parameters") {
        Some(value) => ("rope_parameters", Some(value)),
        None => ("rope_scaling", config.get("rope_scaling")),
    };
    let members = match value {
        None => &nothing,
        Some(Value::Object(members)) => members,
        Some(value) => {
            return Err(GgufError::BadSetting { key, found: value.to_string(), expected: "an object" });
        }
    };
    let rope = Reader(members);
    let base = match rope.factor("rope_theta")? {
        Some(base) => Some(base),
        None => config.factor("rope_theta")?,
    };
    let factor = || rope.factor("factor")?.ok_or(GgufError::MissingSetting { key: "rope_scaling.factor" });
    let original = |default: Option<u64>| match rope.count("original_max_position_embeddings")? {
        Some(original) => Ok(Some(original)),
        None => Ok(config.count("original_max_position_embeddings")?.or(default)),
    };
    let kind = rope.get("rope_type").or_else(|| rope.get("type"));
    let scaling = match kind.map_or(Some("default"), Value::as_str) {
        Some("default") => Scaling::None,
        Some("linear") => Scaling::Linear { factor: factor()? },
        Some("yarn") => {
            let other = NOT_YARN.into_iter().find_map(|key| Some((key, rope.get(key)?)));
            if let Some((key, value)) = other.filter(|other| *other != ("truncate", &Value::Bool(true))) {
                return Err(GgufError::UnsupportedSetting { key, found: value.to_string() });
            }
            let mut more = Vec::new();
            for (from, to) in YARN {
                more.extend(rope.float(from)?.map(|value| (to, value)));
            }
            let original = original(config.count("max_position_embeddings")?)?;
            let original = original.ok_or(GgufError::MissingSetting { key: "original_max_position_embeddings" })?;
            Scaling::Yarn { factor: factor()?, original, more }
        }
        Some("llama3") => {
            let (low, high) =
                (rope.factor("low_freq_factor")?.unwrap_or(1.0), rope.factor("high_freq_factor")?.unwrap_or(4.0));
            if low >= high {
                return Err(GgufError::BadSetting {
                    key: "low_freq_factor",
                    found: low.to_string(),
                    expected: "less than high_freq_factor",
                });
            }
            let original = original(Some(8192))?.unwrap_or(8192) as f64;
            Scaling::Llama3 { factor: factor()?, low, high, original }
        }
        _ => {
            let found = kind.map_or_else(String::new, Value::to_string);
            return Err(GgufError::UnsupportedSetting { key: "rope_type", found });
        }
    };
    Ok((base, scaling))
}
