//! What is special to each architecture, and what its classes take where a configuration is silent.

use serde_json::{Map, Value};

use super::config::{
    Config, DEFAULTS, Defaults, MOST_HEADS, MOST_HIDDEN, MOST_INNER, MOST_LAYERS, MOST_TOKENS, NAMES, divided,
};
use super::error::Result;
use super::fields::Fields;
use super::math::Activation;
use super::rotary::{LONGEST, Rotary};
use super::spec::{HeadNorm, Joined, Layer, Names, Norm, NormKind, Spec, Up};

type Reader = fn(&Config) -> Result<Spec>;

/// Architecture, model type, reader.
pub(super) const ARCHITECTURES: [(&str, &str, Reader); 16] = [
    ("LlamaForCausalLM", "llama", llama),
    ("MistralForCausalLM", "mistral", mistral),
    ("Qwen2ForCausalLM", "qwen2", qwen2),
    ("Qwen3ForCausalLM", "qwen3", qwen3),
    ("GemmaForCausalLM", "gemma", gemma),
    ("Gemma2ForCausalLM", "gemma2", gemma2),
    ("Gemma3ForCausalLM", "gemma3_text", gemma3),
    ("PhiForCausalLM", "phi", phi),
    ("Phi3ForCausalLM", "phi3", phi3),
    ("GPT2LMHeadModel", "gpt2", gpt2),
    ("GPTNeoXForCausalLM", "gpt_neox", gpt_neox),
    ("OlmoForCausalLM", "olmo", olmo),
    ("Olmo2ForCausalLM", "olmo2", olmo2),
    ("Starcoder2ForCausalLM", "starcoder2", starcoder2),
    ("GraniteForCausalLM", "granite", granite),
    ("SmolLM3ForCausalLM", "smollm3", smollm3),
];

fn llama(config: &Config) -> Result<Spec> {
    let mut spec = config.turned(&DEFAULTS)?;
    config.attention_bias(&mut spec)?;
    spec.mlp_bias = config.fields.flag_or("mlp_bias", false)?;
    Ok(spec)
}

fn mistral(config: &Config) -> Result<Spec> {
    let mut spec = config.turned(&Defaults { key_heads: Some(8), context: 131_072, ..DEFAULTS })?;
    config.window(&mut spec, Some(4096))?;
    Ok(spec)
}

fn qwen2(config: &Config) -> Result<Spec> {
    let mut spec = config.turned(&Defaults { key_heads: Some(32), context: 32_768, ..DEFAULTS })?;
    qwen_windows(config, &mut spec)?;
    spec.projection_bias = true;
    Ok(spec)
}

fn qwen_windows(config: &Config, spec: &mut Spec) -> Result<()> {
    config.fields.flag_or("use_sliding_window", false)?;
    let window = config.optional_window(Some(4096))?;
    // Here 0 is a number of layers like any other.
    let first = match config.fields.get("max_window_layers") {
        None => 28,
        Some(value) => value.as_u64().ok_or_else(|| Fields::invalid("max_window_layers", value, "a whole number"))?,
    };
    config.sliding(spec, window, |layer| layer as u64 >= first)?;
    Ok(())
}

fn qwen3(config: &Config) -> Result<Spec> {
    let mut spec =
        config.turned(&Defaults { key_heads: Some(32), head_dim: Some(128), context: 32_768, ..DEFAULTS })?;
    qwen_windows(config, &mut spec)?;
    config.attention_bias(&mut spec)?;
    spec.head_norm = HeadNorm::Head;
    Ok(spec)
}

const GEMMA: Defaults = Defaults {
    key_heads: Some(4),
    head_dim: Some(256),
    context: 8192,
    tied: true,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    ..DEFAULTS
};

fn gemma(config: &Config) -> Result<Spec> {
    let mut spec =
        config.turned(&Defaults { key_heads: Some(16), activation: ("hidden_act", "gelu_pytorch_tanh"), ..GEMMA })?;
    // The first releases say "gelu" and mean this.
    if spec.activation == Activation::Gelu {
        spec.activation = Activation::GeluTanh;
    }
    config.attention_bias(&mut spec)?;
    gemma_norm(&mut spec);
    Ok(spec)
}

fn gemma_norm(spec: &mut Spec) {
    spec.norm.kind = NormKind::RmsOffset;
    spec.embedding_scale = (spec.hidden as f64).sqrt() as f32;
}

/// What Gemma 2 and 3 have in common.
fn gemma_later(config: &Config, spec: &mut Spec, caps: [Option<f64>; 2]) -> Result<()> {
    config.attention_bias(spec)?;
    gemma_norm(spec);
    spec.names.after_attention = Some("post_attention_layernorm");
    spec.names.before_mlp = Some("pre_feedforward_layernorm");
    spec.names.after_mlp = Some("post_feedforward_layernorm");
    let scale = 1.0 / config.fields.positive_or("query_pre_attn_scalar", 256.0)?.sqrt();
    spec.layers.iter_mut().for_each(|layer| layer.scale = scale as f32);
    let cap = |field: &'static str, default: Option<f64>| -> Result<Option<f32>> {
        let missing = !config.fields.0.contains_key(field);
        Ok(config.fields.maybe_positive(field)?.or(default.filter(|_| missing)).map(|cap| cap as f32))
    };
    spec.score_cap = cap("attn_logit_softcapping", caps[0])?;
    spec.logit_cap = cap("final_logit_softcapping", caps[1])?;
    Ok(())
}

fn gemma2(config: &Config) -> Result<Spec> {
    let mut spec = config.turned(&GEMMA)?;
    gemma_later(config, &mut spec, [Some(50.0), Some(30.0)])?;
    let window = config.fields.count_or("sliding_window", LONGEST, 4096)?;
    config.sliding(&mut spec, Some(window), |layer| layer % 2 == 0)?;
    Ok(spec)
}

fn gemma3(config: &Config) -> Result<Spec> {
    let mut spec = config.plain(&Defaults { context: 131_072, ..GEMMA })?;
    gemma_later(config, &mut spec, [None, None])?;
    // transformers reads a cap on scores and does not apply it.
    spec.score_cap = None;
    spec.head_norm = HeadNorm::Head;
    let window = config.fields.count_or("sliding_window", LONGEST, 4096)?;
    let pattern = config.fields.count_or("sliding_window_pattern", MOST_LAYERS, 6)?;
    let sliding = config.sliding(&mut spec, Some(window), |layer| !(layer + 1).is_multiple_of(pattern))?;
    let given = config.fields.map("rope_parameters")?;
    let mut rotaries = Vec::new();
    for (kind, beside, theta) in
        [("full_attention", "rope_theta", 1_000_000.0), ("sliding_attention", "rope_local_base_freq", 10_000.0)]
    {
        let mut parameters = match &given {
            None => Map::new(),
            Some(given) => match given.map(kind)? {
                Some(parameters) => parameters.0.clone(),
                None if given.0.is_empty() => Map::new(),
                None => return Err(config.fields.unsupported("rope_parameters")),
            },
        };
        if let (Some(old), "full_attention") = (config.fields.map("rope_scaling")?, kind) {
            parameters.extend(old.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let theta = config.fields.positive_or(beside, theta)?;
        rotaries.push(Rotary::read(&Fields(&parameters), theta, 1.0, spec.head_dim, spec.context)?);
    }
    spec.rotaries = rotaries;
    for (layer, sliding) in spec.layers.iter_mut().zip(sliding) {
        layer.rotary = Some(usize::from(sliding));
    }
    Ok(spec)
}

fn layer_norm(config: &Config, field: &'static str) -> Result<Norm> {
    Ok(Norm { kind: NormKind::Layer, eps: config.fields.positive_or(field, 1e-5)? as f32 })
}

fn phi(config: &Config) -> Result<Spec> {
    let mut spec = config.plain(&Defaults { activation: ("hidden_act", "gelu_new"), ..DEFAULTS })?;
    spec.rotaries = vec![config.rotary(&spec, 10_000.0, 0.5)?];
    spec.norm = layer_norm(config, "layer_norm_eps")?;
    spec.parallel = true;
    (spec.projection_bias, spec.output_bias, spec.mlp_bias, spec.head_bias) = (true, true, true, true);
    spec.names = Names {
        before_mlp: None,
        output: "self_attn.dense",
        up: Up::Plain("mlp.fc1"),
        down: "mlp.fc2",
        norm: "final_layernorm",
        ..NAMES
    };
    Ok(spec)
}

fn phi3(config: &Config) -> Result<Spec> {
    let mut spec = config.plain(&Defaults { context: 4096, ..DEFAULTS })?;
    for field in ["rope_type", "type"] {
        // transformers takes it for the family's own long scaling.
        if config.rotary_parameters()?.get(field).and_then(Value::as_str) == Some("yarn") {
            return Err(Fields(&config.rotary_parameters()?).unsupported(field));
        }
    }
    spec.rotaries = vec![config.rotary(&spec, 10_000.0, 1.0)?];
    spec.norm.eps = config.fields.positive_or("rms_norm_eps", 1e-5)? as f32;
    config.window(&mut spec, None)?;
    spec.names.projections = Joined::Blocks("self_attn.qkv_proj");
    spec.names.up = Up::GatedJoined("mlp.gate_up_proj");
    Ok(spec)
}

fn gpt2(config: &Config) -> Result<Spec> {
    let fields = &config.fields;
    let hidden = fields.count("n_embd", MOST_HIDDEN)?;
    let heads = fields.count("n_head", MOST_HEADS)?;
    let head_dim = divided(hidden, heads, "n_head", "a divisor of n_embd")?;
    let scale = if fields.flag_or("scale_attn_weights", true)? { 1.0 / (head_dim as f32).sqrt() } else { 1.0 };
    let by_layer = fields.flag_or("scale_attn_by_inverse_layer_idx", false)?;
    let layer = |index: usize| Layer {
        window: None,
        rotary: None,
        scale: if by_layer { scale / (index + 1) as f32 } else { scale },
    };
    Ok(Spec {
        vocabulary: fields.count("vocab_size", MOST_TOKENS)?,
        hidden,
        heads,
        key_heads: heads,
        head_dim,
        inner: fields.count_or("n_inner", MOST_INNER, 4 * hidden)?,
        // Its positions are a tensor, so that there is an end to them.
        context: fields.count_or("n_positions", MOST_TOKENS, 1024)?,
        layers: (0..fields.count("n_layer", MOST_LAYERS)?).map(layer).collect(),
        rotaries: Vec::new(),
        norm: layer_norm(config, "layer_norm_epsilon")?,
        head_norm: HeadNorm::None,
        projection_bias: true,
        output_bias: true,
        mlp_bias: true,
        head_bias: false,
        transposed: true,
        activation: config.activation("activation_function", "gelu_new")?,
        parallel: false,
        clip: None,
        score_cap: None,
        logit_cap: None,
        embedding_scale: 1.0,
        residual_scale: 1.0,
        logit_scale: 1.0,
        tied: fields.flag_or("tie_word_embeddings", true)?,
        names: Names {
            prefix: "transformer.",
            embedding: "wte",
            positions: Some("wpe"),
            layers: "h.",
            before_attention: Some("ln_1"),
            before_mlp: Some("ln_2"),
            projections: Joined::Blocks("attn.c_attn"),
            output: "attn.c_proj",
            up: Up::Plain("mlp.c_fc"),
            down: "mlp.c_proj",
            norm: "ln_f",
            ..NAMES
        },
    })
}

fn gpt_neox(config: &Config) -> Result<Spec> {
    let fields = &config.fields;
    let mut spec = config.plain(&Defaults { activation: ("hidden_act", "gelu"), ..DEFAULTS })?;
    // It has as many keys as queries, whatever is said of them.
    spec.key_heads = spec.heads;
    let theta = fields.positive_or("rotary_emb_base", 10_000.0)?;
    let fraction = fields.positive_or("rotary_pct", 0.25)?;
    spec.rotaries = vec![config.rotary(&spec, theta, fraction)?];
    spec.norm = layer_norm(config, "layer_norm_eps")?;
    spec.parallel = fields.flag_or("use_parallel_residual", true)?;
    spec.projection_bias = fields.flag_or("attention_bias", true)?;
    spec.output_bias = spec.projection_bias;
    spec.mlp_bias = true;
    spec.names = Names {
        prefix: "gpt_neox.",
        embedding: "embed_in",
        projections: Joined::Heads("attention.query_key_value"),
        output: "attention.dense",
        up: Up::Plain("mlp.dense_h_to_4h"),
        down: "mlp.dense_4h_to_h",
        norm: "final_layer_norm",
        head: "embed_out",
        ..NAMES
    };
    Ok(spec)
}

fn olmo(config: &Config) -> Result<Spec> {
    let mut spec = config.turned(&DEFAULTS)?;
    config.attention_bias(&mut spec)?;
    spec.norm = Norm { kind: NormKind::Plain, eps: 1e-5 };
    spec.clip = config.fields.maybe_positive("clip_qkv")?.map(|clip| clip as f32);
    Ok(spec)
}

fn olmo2(config: &Config) -> Result<Spec> {
    let mut spec = config.turned(&DEFAULTS)?;
    config.attention_bias(&mut spec)?;
    spec.norm.eps = config.fields.positive_or("rms_norm_eps", 1e-5)? as f32;
    spec.head_norm = HeadNorm::Whole;
    spec.names.before_attention = None;
    spec.names.after_attention = Some("post_attention_layernorm");
    spec.names.before_mlp = None;
    spec.names.after_mlp = Some("post_feedforward_layernorm");
    Ok(spec)
}

fn starcoder2(config: &Config) -> Result<Spec> {
    let mut spec = config.turned(&Defaults {
        key_heads: Some(2),
        context: 4096,
        tied: true,
        activation: ("hidden_act", "gelu_pytorch_tanh"),
        ..DEFAULTS
    })?;
    config.window(&mut spec, None)?;
    spec.norm = layer_norm(config, "norm_epsilon")?;
    let bias = config.fields.flag_or("use_bias", true)?;
    (spec.projection_bias, spec.output_bias, spec.mlp_bias) = (bias, bias, bias);
    spec.names.up = Up::Plain("mlp.c_fc");
    spec.names.down = "mlp.c_proj";
    Ok(spec)
}

fn granite(config: &Config) -> Result<Spec> {
    let mut spec = llama(config)?;
    let fields = &config.fields;
    let scale = fields.number_or("attention_multiplier", 1.0)? as f32;
    spec.layers.iter_mut().for_each(|layer| layer.scale = scale);
    spec.embedding_scale = fields.number_or("embedding_multiplier", 1.0)? as f32;
    spec.residual_scale = fields.number_or("residual_multiplier", 1.0)? as f32;
    spec.logit_scale = (1.0 / fields.positive_or("logits_scaling", 1.0)?) as f32;
    Ok(spec)
}

fn smollm3(config: &Config) -> Result<Spec> {
    let fields = &config.fields;
    let mut spec =
        config.turned(&Defaults { key_heads: Some(4), context: 32_768, theta: 2_000_000.0, tied: true, ..DEFAULTS })?;
    config.attention_bias(&mut spec)?;
    spec.mlp_bias = fields.flag_or("mlp_bias", false)?;
    let every = fields.count_or("no_rope_layer_interval", MOST_LAYERS, 4)?;
    // Despite its name, 1 says that a layer turns.
    let turned: Vec<bool> = match fields.list("no_rope_layers", spec.layers.len())? {
        None => (1..=spec.layers.len()).map(|layer| !layer.is_multiple_of(every)).collect(),
        Some(list) => list
            .iter()
            .map(|value| match value.as_u64() {
                Some(turned @ 0..=1) => Ok(turned == 1),
                _ => Err(Fields::invalid("no_rope_layers", value, "0 or 1")),
            })
            .collect::<Result<_>>()?,
    };
    for (layer, &turned) in spec.layers.iter_mut().zip(&turned) {
        layer.rotary = layer.rotary.filter(|_| turned);
    }
    let on = fields.flag_or("use_sliding_window", false)?;
    let window = config.optional_window(None)?;
    config.sliding(&mut spec, window, |layer| on && !turned[layer])?;
    Ok(spec)
}
