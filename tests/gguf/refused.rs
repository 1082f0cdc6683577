//! What is refused, and that nothing else happens to hostile folders.

use merge_studio::format::DType;
use merge_studio::output::gguf::{GgufError, GgufType};
use serde_json::{Value, json};

use crate::{HEAD, HEADS, INNER, Made, WIDTH};

fn llama() -> Made {
    Made::new("LlamaForCausalLM")
}

#[test]
fn an_architecture_that_is_not_known_is_refused_with_those_that_are() {
    let said = Made::new("GPT2LMHeadModel").plan(None).unwrap_err().to_string();
    assert!(said.contains("GPT2LMHeadModel") && said.contains("LlamaForCausalLM, MistralForCausalLM, Qwen2"), "{said}");
    let mut made = llama();
    made.set("architectures", json!(null));
    assert!(matches!(made.plan(None), Err(GgufError::UnsupportedArchitecture { .. })));
    made.set("model_type", json!("llama"));
    assert!(made.plan(None).is_ok());
    made.config = Value::Null;
    assert_eq!(made.plan(None).unwrap_err(), GgufError::NoConfig);
}

#[test]
fn settings_that_would_be_ignored_or_make_no_sense_are_refused() {
    for (key, value) in [
        ("hidden_act", json!("gelu")),
        ("partial_rotary_factor", json!(0.5)),
        ("quantization_config", json!({ "bits": 4 })),
        ("rope_scaling", json!({ "rope_type": "dynamic", "factor": 2 })),
        ("rope_scaling", json!({ "rope_type": "longrope" })),
        ("rope_scaling", json!({ "rope_type": "yarn", "factor": 2, "attention_factor": 1.2 })),
    ] {
        let mut made = llama();
        made.set(key, value);
        assert!(matches!(made.plan(None), Err(GgufError::UnsupportedSetting { .. })), "{key}");
    }
    let hostile = [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("8"),
        json!([]),
        json!({}),
        json!(true),
        json!(4_294_967_296_u64),
        json!(u64::MAX),
        json!(3),
        json!(1_000_000_007),
        json!(null),
    ];
    for key in [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "head_dim",
        "rms_norm_eps",
        "rope_scaling",
    ] {
        for value in &hostile {
            let mut made = llama();
            made.set(key, value.clone());
            // Whatever it says, it says it in finite time and memory. Two of them are sound: epsilons and absent settings.
            let _ = made.plan(None);
        }
        let mut made = llama();
        made.set(key, json!([[]]));
        assert!(matches!(made.plan(None), Err(GgufError::BadSetting { .. })), "{key}");
    }
    let mut made = llama();
    made.set("rms_norm_eps", json!(null));
    assert_eq!(made.plan(None).unwrap_err(), GgufError::MissingSetting { key: "rms_norm_eps" });
    made = llama();
    made.set(
        "rope_scaling",
        json!({ "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4 }),
    );
    assert!(matches!(made.plan(None), Err(GgufError::BadSetting { key: "low_freq_factor", .. })));
}

#[test]
fn tensors_that_do_not_fit_the_architecture_are_refused_by_name() {
    let name = "model.layers.1.mlp.up_proj.weight";
    let mut made = llama();
    made.tensors.remove(name);
    let missing = |tensor: &str| GgufError::MissingTensor { tensor: tensor.into(), architecture: "llama" };
    assert_eq!(made.plan(None).unwrap_err(), missing(name));
    made = llama();
    made.tensors.remove("lm_head.weight");
    assert_eq!(made.plan(None).unwrap_err(), missing("lm_head.weight"));
    made = llama();
    made.set("num_hidden_layers", json!(1));
    let unknown = |tensor: &str| GgufError::UnknownTensor { tensor: tensor.into(), architecture: "llama" };
    assert!(matches!(made.plan(None), Err(GgufError::UnknownTensor { tensor, .. }) if tensor.contains("layers.1.")));
    made = llama();
    made.put("model.layers.0.block_sparse_moe.gate.weight", &[2, WIDTH]);
    assert_eq!(made.plan(None).unwrap_err(), unknown("model.layers.0.block_sparse_moe.gate.weight"));
    made = llama();
    made.put("norm.weight", &[WIDTH]);
    assert_eq!(made.plan(None).unwrap_err(), unknown("norm.weight"));

    made = llama();
    made.put("model.layers.0.self_attn.q_proj.weight", &[HEADS * HEAD / 2, 2 * WIDTH]);
    assert!(
        matches!(made.plan(None), Err(GgufError::ShapeDiffers { expected, .. }) if expected == [HEADS * HEAD, WIDTH])
    );
    made = llama();
    let integers = (DType::I32, vec![INNER, WIDTH], vec![0; (INNER * WIDTH * 4) as usize]);
    made.tensors.insert(name.into(), integers);
    assert_eq!(made.plan(None).unwrap_err(), GgufError::UnsupportedType { tensor: name.into(), found: DType::I32 });
    let mut qwen = Made::new("Qwen2ForCausalLM");
    qwen.tensors.remove("model.layers.0.self_attn.k_proj.bias");
    assert!(matches!(qwen.plan(None), Err(GgufError::MissingTensor { .. })));
}

#[test]
fn values_beyond_the_type_stop_the_work_with_their_number() {
    let mut made = llama();
    let name = "model.layers.0.mlp.gate_proj.weight";
    let bytes = &mut made.tensors.get_mut(name).unwrap().2;
    for (at, value) in [(0, 65_520.0_f32), (5, -1e30), (7, f32::INFINITY), (8, 65_519.0)] {
        bytes[at * 4..][..4].copy_from_slice(&value.to_le_bytes());
    }
    let overflow = GgufError::Overflow { tensor: name.into(), count: 2, dtype: GgufType::F16 };
    assert_eq!(made.bytes(Some(GgufType::F16)).err(), Some(overflow.clone()));
    assert!(overflow.to_string().contains("BF16 or F32"));
    // An infinity of the model's own is copied, as everywhere.
    assert!(made.bytes(Some(GgufType::BF16)).is_ok());
}

#[test]
fn without_a_tokenizer_there_is_no_file() {
    let mut made = llama();
    made.files.remove("tokenizer.json");
    assert_eq!(made.plan(None).unwrap_err(), GgufError::NoTokenizer { old_files: false });
    made.file("vocab.json", &json!({}));
    let error = made.plan(None).unwrap_err();
    assert!(error.to_string().contains("vocab.json and merges.txt are not enough"), "{error}");
    for text in ["", "{}", "[]", r#"{"model": 7}"#, r#"{"model": {"vocab": {"a": -1}}}"#, "\u{1}"] {
        made.files.insert("tokenizer.json".into(), text.into());
        assert!(matches!(made.plan(None), Err(GgufError::BadTokenizer { .. })), "{text}");
    }
}
