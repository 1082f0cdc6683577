//! What is broken is an error by name: no configuration, tensor or tokenizer makes a panic.
#![allow(clippy::unwrap_used)]

mod folder;

use std::fs;
use std::path::{Path, PathBuf};

use merge_studio_eval::Lm;
use merge_studio_eval::model::{Error, Files, Model, RawTensor, SourceError, TokenizerFiles, Weights, foresee};
use proptest::prelude::*;
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn case(name: &str) -> PathBuf {
    root().join("tests/golden/models").join(name)
}

fn config(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(case(name).join("config.json")).unwrap()).unwrap()
}

fn tokenizer() -> Vec<u8> {
    fs::read(root().join("../static/demo/demo-base/tokenizer.json")).unwrap()
}

/// A checkpoint in which one tensor is changed, or all of them.
struct Changed<F>(folder::Safetensors, F);

impl<F: FnMut(&str, RawTensor) -> Option<RawTensor>> Weights for Changed<F> {
    fn tensor(&mut self, name: &str) -> Result<Option<RawTensor>, SourceError> {
        Ok(self.0.tensor(name)?.and_then(|tensor| self.1(name, tensor)))
    }
}

fn open(
    config: &str,
    weights: &str,
    tokenizer: &[u8],
    change: impl FnMut(&str, RawTensor) -> Option<RawTensor>,
) -> Result<Model, Error> {
    let tokenizer = TokenizerFiles {
        tokenizer,
        config: Some(r#"{"bos_token": "<s>", "eos_token": "</s>"}"#),
        ..TokenizerFiles::default()
    };
    let files = Files { config, tokenizer, generation_config: None };
    let weights = folder::Safetensors(fs::read(case(weights).join("model.safetensors")).unwrap());
    Model::open(&files, &mut Changed(weights, change))
}

/// Opens and, where that succeeds, asks.
fn try_all(config: &str, weights: &str) -> Result<f64, Error> {
    let _ = foresee(config, 1 << 20);
    let mut model = open(config, weights, &tokenizer(), |_, tensor| Some(tensor))?;
    model.rolling_log_likelihood("sort: 52713 = 12357\n")
}

#[test]
fn no_setting_of_any_architecture_makes_a_panic() {
    let values = [
        json!(null),
        json!(0),
        json!(1),
        json!(3),
        json!(-1),
        json!(0.5),
        json!(1e300),
        json!(u64::MAX),
        json!(1 << 16),
        json!("yarn"),
        json!("x".repeat(1000)),
        json!(true),
        json!([]),
        json!([1, 0]),
        json!(["full_attention", "sliding_attention"]),
        json!({}),
        json!({"rope_type": "llama3", "factor": 1e-300, "low_freq_factor": 1.0, "high_freq_factor": 1.0}),
        json!({"rope_type": "yarn", "factor": 1e300, "rope_theta": 1.0}),
        json!({"rope_type": "linear"}),
        json!({"rope_theta": 1e308, "partial_rotary_factor": 1e-9}),
        json!({"full_attention": {"rope_type": "default"}}),
    ];
    let cases =
        ["llama", "llama-yarn", "qwen2", "gemma3", "phi", "phi3", "gpt2", "gpt_neox", "olmo", "granite", "smollm3"];
    let mut refused = 0;
    let mut tried = 0;
    for case in cases {
        let config = config(case);
        let fields: Vec<String> = config.as_object().unwrap().keys().cloned().collect();
        let more =
            ["rope_scaling", "rope_theta", "quantization_config", "sliding_window", "original_max_position_embeddings"];
        for field in fields.iter().map(String::as_str).chain(more) {
            for value in &values {
                let mut changed = config.clone();
                changed[field] = value.clone();
                tried += 1;
                refused += usize::from(try_all(&changed.to_string(), case).is_err());
            }
            let mut changed = config.clone();
            changed.as_object_mut().unwrap().remove(field);
            let _ = try_all(&changed.to_string(), case);
        }
    }
    assert!(refused > tried / 4, "{refused} of {tried} were refused");
}

#[test]
fn refusals_name_the_setting() {
    let refused = |case: &str, field: &str, value: Value| {
        let mut config = config(case);
        config[field] = value;
        try_all(&config.to_string(), case).unwrap_err().to_string()
    };
    for (case, field, value) in [
        ("llama", "num_attention_heads", json!(0)),
        ("llama", "num_attention_heads", json!(1u64 << 40)),
        ("llama", "hidden_size", json!("32")),
        ("llama", "num_key_value_heads", json!(3)),
        ("llama", "hidden_act", json!("quick_gelu")),
        ("llama", "quantization_config", json!({"bits": 4})),
        ("llama", "rope_parameters", json!({"full_attention": {"rope_type": "default"}})),
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("qwen2", "layer_types", json!(["full_attention", "linear_attention"])),
        ("gemma3", "use_bidirectional_attention", json!(true)),
        ("phi", "qk_layernorm", json!(true)),
        ("gpt2", "add_cross_attention", json!(true)),
        ("smollm3", "no_rope_layers", json!([1])),
    ] {
        let message = refused(case, field, value);
        assert!(message.contains(field), "{field}: {message}");
    }
    let message = refused("llama", "rope_scaling", json!({"rope_type": "longrope"}));
    assert!(message.contains("rope_type") && message.contains("longrope"), "{message}");
    let message = refused("llama", "architectures", json!(["BertForMaskedLM"]));
    assert!(message.contains("BertForMaskedLM") && message.contains("LlamaForCausalLM"), "{message}");
    let message = refused("llama", "model_type", json!("mamba"));
    assert!(message.contains("mamba"), "{message}");
    for text in ["", "[]", "{", "{}", "null"] {
        assert!(try_all(text, "llama").is_err());
    }
}

#[test]
fn every_tensor_is_needed_and_checked() {
    for name in ["llama", "gpt2", "gpt_neox", "phi", "gemma2", "qwen3"] {
        let config = config(name).to_string();
        let file = fs::read(case(name).join("model.safetensors")).unwrap();
        let names: Vec<String> =
            safetensors::SafeTensors::deserialize(&file).unwrap().names().into_iter().map(str::to_owned).collect();
        for tensor in names {
            let changed = |change: fn(RawTensor) -> Option<RawTensor>| {
                let change = |name: &str, found: RawTensor| if name == tensor { change(found) } else { Some(found) };
                open(&config, name, &tokenizer(), change).err().unwrap_or_else(|| panic!("{tensor} is not looked at"))
            };
            let missing = changed(|_| None);
            assert!(missing.to_string().contains("missing"), "{missing}");
            let shape = changed(|tensor| {
                let shape = tensor.shape.iter().map(|size| size + 1).collect();
                Some(RawTensor { shape, ..tensor })
            });
            assert!(matches!(&shape, Error::TensorShape { name, .. } if *name == tensor), "{shape}");
            let kind = changed(|tensor| Some(RawTensor { dtype: "F8_E4M3".into(), ..tensor }));
            assert!(matches!(&kind, Error::TensorType { name, .. } if *name == tensor), "{kind}");
            let bytes = changed(|tensor| Some(RawTensor { bytes: tensor.bytes[1..].to_vec(), ..tensor }));
            assert!(matches!(&bytes, Error::TensorBytes { name, .. } if *name == tensor), "{bytes}");
        }
    }
}

#[test]
fn a_model_that_gives_no_numbers_says_so() {
    let config = config("llama").to_string();
    let broken = |_: &str, tensor: RawTensor| {
        let bytes = vec![0xff; tensor.bytes.len()];
        Some(RawTensor { bytes, ..tensor })
    };
    let mut model = open(&config, "llama", &tokenizer(), broken).unwrap();
    assert!(matches!(model.rolling_log_likelihood("sort"), Err(Error::NotANumber)));
    let how = merge_studio_eval::Generation {
        until: Vec::new(),
        max_tokens: 3,
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
        seed: 0,
    };
    assert!(matches!(model.generate("sort", &how), Err(Error::NotANumber)));
}

#[test]
fn a_source_that_fails_is_told_of() {
    struct Failing;
    impl Weights for Failing {
        fn tensor(&mut self, _: &str) -> Result<Option<RawTensor>, SourceError> {
            Err("the disk is gone".into())
        }
    }
    let config = config("llama").to_string();
    let tokenizer = tokenizer();
    let tokenizer =
        TokenizerFiles { tokenizer: &tokenizer, config: Some(r#"{"bos_token": "<s>"}"#), ..TokenizerFiles::default() };
    let files = Files { config: &config, tokenizer, generation_config: None };
    let message = Model::open(&files, &mut Failing).err().unwrap().to_string();
    assert!(message.contains("the disk is gone"), "{message}");
}

#[test]
fn what_is_foreseen_is_what_weights_take() {
    for name in ["llama", "gpt2", "gemma2", "llama-llama3"] {
        let memory = foresee(&config(name).to_string(), 64).unwrap();
        let file = fs::read(case(name).join("model.safetensors")).unwrap();
        let weights: u64 = safetensors::SafeTensors::deserialize(&file)
            .unwrap()
            .tensors()
            .iter()
            .map(|(_, tensor)| 4 * tensor.shape().iter().product::<usize>() as u64)
            .sum();
        assert!(memory.weights >= weights, "{name}: {} for {weights}", memory.weights);
        assert!(memory.weights < weights + weights / 4, "{name}: {} for {weights}", memory.weights);
        assert!(memory.peak() > memory.weights);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// A tokenizer with a byte changed, or cut off.
    #[test]
    fn no_tokenizer_makes_a_panic(at in 0usize..3000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = tokenizer();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let config = config("llama").to_string();
        if let Ok(mut model) = open(&config, "llama", &bytes, |_, tensor| Some(tensor)) {
            let _ = model.rolling_log_likelihood("sort: <s>\u{2603} 1");
            let _ = model.log_likelihoods(&[("a ".into(), "b".into()), (String::new(), "</s>".into())]);
        }
    }

    /// Any text: letters that are no token's, special tokens, spaces of all kinds.
    #[test]
    fn no_text_makes_a_panic(context in ".{0,40}", continuation in ".{0,90}") {
        let mut model = folder::open(&case("mistral"), &root().join("../static/demo/demo-base")).unwrap();
        let _ = model.log_likelihoods(&[(context, continuation.clone())]);
        let _ = model.rolling_log_likelihood(&continuation);
    }
}
