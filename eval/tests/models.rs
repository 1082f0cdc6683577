//! Every architecture beside transformers' float32 logits (`tools/eval_models.py`): one random checkpoint a case, whose settings show
//! what is special to it.
#![allow(clippy::unwrap_used)]

mod folder;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use merge_studio_eval::model::{Model, architectures};
use serde_json::Value;

/// Both round sums of some dozen products in another order, through two layers; logits are below 30.
const TOLERANCE: f32 = 1e-4;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root().join("tests/golden/models")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 22, "cases are missing");
    cases
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn open(case: &Path) -> Model {
    folder::open(case, &root().join("../static/demo/demo-base")).unwrap()
}

struct Golden {
    tokens: Vec<u32>,
    logits: BTreeMap<usize, Vec<f32>>,
}

fn golden(case: &Path) -> Golden {
    let golden = read(&case.join("logits.json"));
    let logits = golden["logits"].as_object().unwrap().iter().map(|(at, logits)| {
        let logits = logits.as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap() as f32);
        (at.parse().unwrap(), logits.collect())
    });
    let tokens = golden["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32);
    Golden { tokens: tokens.collect(), logits: logits.collect() }
}

/// The largest difference.
fn distance(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).fold(0.0, |largest, (left, right)| largest.max((left - right).abs()))
}

#[test]
fn logits_are_transformers() {
    let mut worst: Vec<String> = Vec::new();
    for case in cases() {
        let golden = golden(&case);
        let logits = open(&case).logits(&golden.tokens, 0).unwrap();
        for (at, expected) in &golden.logits {
            let distance = distance(&logits[*at], expected);
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            println!("{name} {at}: {distance:e}");
            if distance >= TOLERANCE || distance.is_nan() {
                worst.push(format!("{name}, position {at}: {distance}"));
            }
        }
    }
    assert!(worst.is_empty(), "{worst:#?}");
}

#[test]
fn every_architecture_has_a_case() {
    let shown: Vec<String> = cases()
        .iter()
        .map(|case| read(&case.join("config.json"))["architectures"][0].as_str().unwrap().to_owned())
        .collect();
    for architecture in architectures() {
        assert!(shown.iter().any(|shown| shown == architecture), "{architecture} has no case");
    }
}

#[test]
fn tokens_one_by_one_are_the_text_at_once() {
    for case in cases() {
        let golden = golden(&case);
        let mut model = open(&case);
        let at_once = model.logits(&golden.tokens, 0).unwrap();
        // Another text first: nothing of it may stay.
        model.next_logits(&[5, 6, 7]).unwrap();
        for length in 1..=golden.tokens.len() {
            let logits = model.next_logits(&golden.tokens[..length]).unwrap();
            let distance = distance(&logits, &at_once[length - 1]);
            assert!(distance < 1e-5 * 30.0, "{}, {length} tokens: {distance}", case.display());
        }
    }
}

/// What a setting of a case is changed to, and whether it is refused or the logits differ: no setting is ignored.
#[test]
fn every_setting_counts() {
    let changes: [(&str, &str, Value); 34] = [
        ("llama", "rms_norm_eps", 0.5.into()),
        ("llama", "hidden_act", "gelu".into()),
        ("llama", "hidden_act", "gelu_new".into()),
        ("llama", "hidden_act", "relu".into()),
        ("llama", "num_key_value_heads", 4.into()),
        ("llama", "head_dim", 8.into()),
        ("llama", "rope_parameters", serde_json::json!({"rope_type": "default", "rope_theta": 77.0})),
        ("llama-llama3", "tie_word_embeddings", false.into()),
        ("llama-llama3", "rope_parameters", serde_json::json!({"rope_type": "default", "rope_theta": 100.0})),
        (
            "llama-linear",
            "rope_parameters",
            serde_json::json!({"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}),
        ),
        ("llama-yarn", "rope_parameters", serde_json::json!({"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0})),
        ("mistral", "sliding_window", 6.into()),
        ("mistral", "sliding_window", Value::Null),
        ("qwen2", "layer_types", serde_json::json!(["full_attention", "full_attention"])),
        ("gemma", "hidden_size", 16.into()),
        ("gemma2", "attn_logit_softcapping", Value::Null),
        ("gemma2", "final_logit_softcapping", 4.0.into()),
        ("gemma2", "query_pre_attn_scalar", 8.into()),
        ("gemma2", "layer_types", serde_json::json!(["full_attention", "sliding_attention"])),
        ("gemma3", "layer_types", serde_json::json!(["full_attention", "full_attention"])),
        ("gemma3", "final_logit_softcapping", 1.0.into()),
        ("gemma3", "use_bidirectional_attention", true.into()),
        ("phi", "rope_parameters", serde_json::json!({"rope_theta": 10000.0, "partial_rotary_factor": 0.25})),
        ("phi", "qk_layernorm", true.into()),
        ("phi3", "rope_parameters", serde_json::json!({"rope_type": "longrope"})),
        ("gpt2", "scale_attn_by_inverse_layer_idx", false.into()),
        ("gpt2", "scale_attn_weights", false.into()),
        ("gpt_neox", "use_parallel_residual", false.into()),
        ("olmo", "clip_qkv", Value::Null),
        ("granite", "residual_multiplier", 1.0.into()),
        ("granite", "logits_scaling", 1.0.into()),
        ("smollm3", "no_rope_layers", serde_json::json!([1, 1])),
        ("smollm3", "use_sliding_window", false.into()),
        ("starcoder2", "quantization_config", serde_json::json!({"quant_method": "gptq"})),
    ];
    for (case, field, value) in changes {
        let case = root().join("tests/golden/models").join(case);
        let golden = golden(&case);
        let mut config = read(&case.join("config.json"));
        config[field] = value.clone();
        let opened = folder::open_as(&config.to_string(), &case, &root().join("../static/demo/demo-base"));
        let Ok(mut model) = opened else { continue };
        let logits = model.logits(&golden.tokens, 0).unwrap();
        let differs = golden.logits.iter().any(|(at, expected)| distance(&logits[*at], expected) > 100.0 * TOLERANCE);
        assert!(differs, "{}: {field} = {value} changes nothing", case.display());
    }
}

/// What transformers wrote before version 5 says the same.
#[test]
fn older_configurations_are_read() {
    let older = |case: &str, remove: &[&str], set: Value| {
        let case = root().join("tests/golden/models").join(case);
        let mut config = read(&case.join("config.json"));
        for field in remove {
            config.as_object_mut().unwrap().remove(*field);
        }
        config.as_object_mut().unwrap().extend(set.as_object().unwrap().clone());
        let golden = golden(&case);
        let mut model = folder::open_as(&config.to_string(), &case, &root().join("../static/demo/demo-base")).unwrap();
        let logits = model.logits(&golden.tokens, 0).unwrap();
        for (at, expected) in &golden.logits {
            assert!(distance(&logits[*at], expected) < TOLERANCE, "{}", case.display());
        }
    };
    older(
        "llama-llama3",
        &["rope_parameters", "head_dim"],
        serde_json::json!({"rope_theta": 100.0, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 24}}),
    );
    older(
        "llama-linear",
        &["rope_parameters"],
        serde_json::json!({"rope_theta": 100.0, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    );
    older("gpt_neox", &["rope_parameters"], serde_json::json!({"rotary_pct": 0.25, "rotary_emb_base": 10000}));
    older("phi", &["rope_parameters"], serde_json::json!({"partial_rotary_factor": 0.5, "rope_theta": 10000.0}));
    older(
        "gemma3",
        &["rope_parameters", "layer_types"],
        serde_json::json!({"rope_theta": 1000.0, "rope_local_base_freq": 100.0, "sliding_window_pattern": 2,
            "rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    );
    older("gemma", &[], serde_json::json!({"hidden_act": "gelu"}));
    older("gemma2", &["layer_types"], serde_json::json!({}));
    older("qwen2", &["layer_types"], serde_json::json!({}));
    older("smollm3", &["layer_types", "no_rope_layers"], serde_json::json!({"no_rope_layer_interval": 2}));
}
