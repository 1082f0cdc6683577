//! What adapters' configurations say, and what their tensors do to a base.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::format::DType;
use crate::model::tests::model_of;
use crate::model::{Config, Folder, ModelError, OtherFormat, open};

fn parse(members: &str) -> Result<Adapter, AdapterError> {
    Adapter::parse(&format!(r#"{{"peft_type": "LORA"{members}}}"#))
}

/// An adapter with these tensors of F32, and this configuration behind the type.
fn adapter(members: &str, tensors: &[(&str, &[u64])]) -> Model {
    let mut model = shaped(tensors);
    model.name = "tuned".into();
    model.adapter = Some(parse(members).unwrap());
    model
}

fn shaped(tensors: &[(&str, &[u64])]) -> Model {
    let mut model = model_of(&[]);
    for (name, shape) in tensors {
        let len = 4 * shape.iter().product::<u64>();
        let tensor = Tensor { file: 0, dtype: DType::F32, shape: shape.to_vec(), offset: 0, len };
        model.tensors.insert((*name).to_owned(), tensor);
    }
    model
}

/// Two layers and an embedding.
fn base() -> Model {
    shaped(&[
        ("model.embed_tokens.weight", &[9, 6]),
        ("model.layers.0.q_proj.weight", &[6, 6]),
        ("model.layers.1.up_proj.weight", &[8, 6]),
        ("model.layers.1.up_proj.bias", &[8]),
        ("lm_head.weight", &[9, 6]),
    ])
}

const UP: &str = "model.layers.1.up_proj.weight";
const UP_A: &str = "base_model.model.model.layers.1.up_proj.lora_A.weight";
const UP_B: &str = "base_model.model.model.layers.1.up_proj.lora_B.weight";

fn one_change(members: &str, base: &Model, a: (&str, &[u64]), b: (&str, &[u64])) -> Change {
    let patches = adapter(members, &[a, b]).patches(base).unwrap();
    assert_eq!(patches.len(), 1);
    patches.into_values().next().unwrap().change.unwrap()
}

#[test]
fn what_a_configuration_leaves_out_is_pefts_default() {
    let adapter = parse("").unwrap();
    assert_eq!((adapter.rank, adapter.alpha, adapter.rank_stabilised, adapter.fan_in_fan_out), (8, 8.0, false, false));
}

#[test]
fn the_scale_is_alpha_over_the_rank_or_its_root() {
    let scale = |members: &str| one_change(members, &base(), (UP_A, &[4, 6]), (UP_B, &[8, 4])).scale;
    assert_eq!(scale(r#", "r": 4, "lora_alpha": 6"#), 1.5);
    assert_eq!(scale(r#", "r": 4, "lora_alpha": 6, "use_rslora": true"#), 3.0);
    assert_eq!(scale(r#", "r": 2, "rank_pattern": {"up_.*": 4}, "lora_alpha": 6.5"#), 1.625);
    let patterns = |patterns: &str| scale(&format!(r#", "r": 4, "lora_alpha": 4, "alpha_pattern": {{{patterns}}}"#));
    assert_eq!(patterns(r#""up_proj": 8, "layers.1.up_proj": 12"#), 2.0, "the first that matches");
    assert_eq!(patterns(r#""proj": 8, "ayers.1.up_proj": 8, "^layers.1.up_proj": 8"#), 1.0, "names, not their ends");
    assert_eq!(patterns(r#""^model\\.layers\\.1\\.up_proj$": 8"#), 2.0);
}

#[test]
fn tensors_are_found_with_and_without_the_adapters_name_and_the_bases_module() {
    let change = one_change(
        r#", "r": 2"#,
        &base(),
        ("base_model.model.layers.1.up_proj.lora_A.default.weight", &[2, 6]),
        ("base_model.model.layers.1.up_proj.lora_B.default.weight", &[8, 2]),
    );
    assert_eq!((change.rank, change.transposed), (2, false));
    assert_eq!(change.up, "base_model.model.layers.1.up_proj.lora_B.default.weight");
}

#[test]
fn a_matrix_is_turned_where_its_shape_or_its_models_type_says_so() {
    let mut base = shaped(&[("h.0.c_proj.weight", &[6, 6]), ("h.0.c_fc.weight", &[6, 8])]);
    let turned = |base: &Model, members: &str, module: &str, size: u64| {
        let (a, b) = (format!("{module}.lora_A.weight"), format!("{module}.lora_B.weight"));
        one_change(&format!(r#", "r": 2{members}"#), base, (&a, &[2, 6]), (&b, &[size, 2])).transposed
    };
    assert!(turned(&base, "", "h.0.c_fc", 8));
    let said = r#", "fan_in_fan_out": true"#;
    assert!(turned(&base, said, "h.0.c_proj", 6) && !turned(&base, "", "h.0.c_proj", 6));
    base.config = Config::parse(r#"{"model_type": "gpt2"}"#.into()).ok();
    assert!(turned(&base, "", "h.0.c_proj", 6), "gpt2 has such modules, whatever the adapter says");
    base.config = Config::parse(r#"{"model_type": "starcoder2"}"#.into()).ok();
    assert!(!turned(&base, said, "h.0.c_proj", 6), "and others have none");
}

#[test]
fn an_embedding_may_be_replaced_and_changed() {
    let tensors: &[(&str, &[u64])] = &[
        ("base_model.model.model.embed_tokens.base_layer.weight", &[9, 6]),
        ("base_model.model.model.embed_tokens.lora_embedding_A", &[2, 9]),
        ("base_model.model.model.embed_tokens.lora_embedding_B", &[6, 2]),
        ("base_model.model.lm_head.modules_to_save.default.weight", &[9, 6]),
        ("base_model.model.model.layers.1.up_proj.base_layer.bias", &[8]),
    ];
    let patches = adapter(r#", "r": 2"#, tensors).patches(&base()).unwrap();
    let embedding = &patches["model.embed_tokens.weight"];
    assert_eq!(embedding.replacement.as_deref(), Some(tensors[0].0));
    assert!(embedding.change.as_ref().unwrap().transposed);
    assert_eq!(patches["lm_head.weight"], Patch { replacement: Some(tensors[3].0.into()), change: None });
    assert_eq!(patches["model.layers.1.up_proj.bias"].replacement.as_deref(), Some(tensors[4].0));
    assert_eq!(patches.len(), 3);
}

#[test]
fn a_tied_head_is_changed_as_the_embedding_and_not_replaced() {
    let mut base = base();
    base.tensors.remove("lm_head.weight");
    base.config = Config::parse(r#"{"tie_word_embeddings": true}"#.into()).ok();
    let head: [(&str, &[u64]); 2] = [("lm_head.lora_A.weight", &[8, 6]), ("lm_head.lora_B.weight", &[9, 8])];
    let patches = adapter("", &head).patches(&base).unwrap();
    assert_eq!(patches.into_keys().collect::<Vec<_>>(), ["model.embed_tokens.weight"]);
    let both: [(&str, &[u64]); 2] = [("lm_head.base_layer.weight", &[9, 6]), ("model.embed_tokens.weight", &[9, 6])];
    for tensors in [&both[..1], &both[..]] {
        let patches = adapter("", tensors).patches(&base).unwrap();
        let replacement = patches["model.embed_tokens.weight"].replacement.as_deref();
        assert_eq!(replacement, tensors.last().map(|(name, _)| *name), "the embedding's own, if it is there");
    }
    let whole = |members: &str, name: &str| adapter(members, &[(name, &[9, 6])]).patches(&base);
    for whole in
        [whole(r#", "modules_to_save": ["lm_head"]"#, "lm_head.weight"), whole("", "lm_head.modules_to_save.weight")]
    {
        assert!(matches!(whole, Err(AdapterError::TiedHead { .. })), "{whole:?}");
    }
}

#[test]
fn what_the_base_lacks_is_named() {
    let names = ["a.lora_A.weight", "a.lora_B.weight", "b.weight", "q_proj.lora_magnitude_vector", "z.lora_B.bias"];
    let tensors: Vec<(&str, &[u64])> = names.iter().map(|name| (*name, &[8, 8][..])).collect();
    let error = adapter("", &tensors).patches(&base()).unwrap_err();
    let AdapterError::Unmatched { tensors, count: 5, .. } = &error else { panic!("{error:?}") };
    assert_eq!(tensors.len(), 3);
    assert!(error.to_string().ends_with(" and 2 more"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused =
        |members: &str, tensors: &[(&str, &[u64])]| adapter(members, tensors).patches(&base()).unwrap_err().to_string();
    let halves = refused("", &[(UP_A, &[8, 6])]);
    assert_eq!(halves, format!("the adapter has {UP_A} without its other half"));
    let shape = refused("", &[(UP_A, &[8, 5]), (UP_B, &[8, 8])]);
    assert_eq!(shape, format!("the adapter's {UP_A} is 8 × 5, which does not fit {UP} of test, 8 × 6"));
    assert!(refused("", &[(UP_A, &[8, 6]), (UP_B, &[8, 7])]).contains("lora_B"));
    assert!(refused("", &[(UP_A, &[8, 6, 1, 1]), (UP_B, &[8, 8])]).contains("8 × 6 × 1 × 1"), "a convolution");
    assert!(refused(r#", "r": 2, "rank_pattern": {"x": 3}"#, &[(UP_A, &[8, 6]), (UP_B, &[8, 8])]).contains("of 2, 3"));
    assert!(refused("", &[("lm_head.weight", &[10, 6])]).contains("10 × 6"));
    let same: [(&str, &[u64]); 2] = [("lm_head.weight", &[9, 6]), ("lm_head.base_layer.weight", &[9, 6])];
    assert!(refused("", &same).contains("twice"));
    assert!(adapter("", &[("lm_head.original_module.weight", &[9, 6])]).patches(&base()).unwrap().is_empty());
    let (other_a, other_b) = ("model.layers.1.up_proj.lora_A.x.weight", "layers.1.up_proj.lora_B.weight");
    assert!(refused("", &[(UP_A, &[8, 6]), (other_a, &[8, 6])]).contains("twice"));
    let all: [(&str, &[u64]); 4] =
        [(UP_A, &[8, 6]), (UP_B, &[8, 8]), ("layers.1.up_proj.lora_A.weight", &[8, 6]), (other_b, &[8, 8])];
    assert!(refused("", &all).contains("twice"));
    let mut integers = adapter("", &[(UP_A, &[8, 6]), (UP_B, &[8, 8])]);
    integers.tensors.get_mut(UP_B).unwrap().dtype = DType::I8;
    assert!(integers.patches(&base()).unwrap_err().to_string().contains("holds I8"));
    let mut large = adapter("", &[(UP_A, &[8, 6]), (UP_B, &[8, 8])]);
    large.tensors.get_mut(UP_A).unwrap().len = MAX_FACTOR + 1;
    assert!(matches!(large.patches(&base()), Err(AdapterError::TooLarge { .. })));
    assert!(matches!(base().patches(&base()), Err(AdapterError::NotAnAdapter { .. })));
}

#[test]
fn settings_that_are_more_than_a_low_rank_change_are_refused_by_name() {
    for member in [
        r#""use_dora": true"#,
        r#""lora_bias": true"#,
        r#""layer_replication": [[0, 4]]"#,
        r#""target_parameters": ["experts.w"]"#,
        r#""alora_invocation_tokens": [1]"#,
        r#""trainable_token_indices": {"embed": [1]}"#,
        r#""megatron_config": {"a": 1}"#,
        r#""init_lora_weights": "pissa_niter_4""#,
        r#""init_lora_weights": "OLoRA""#,
    ] {
        let error = parse(&format!(", {member}")).unwrap_err();
        let key = member.split('"').nth(1).unwrap();
        assert!(matches!(&error, AdapterError::NotSupported { key: named, .. } if named == key), "{error:?}");
    }
    for member in [
        r#""use_dora": false"#,
        r#""layer_replication": null"#,
        r#""target_parameters": []"#,
        r#""megatron_config": {}"#,
        r#""init_lora_weights": "gaussian""#,
        r#""init_lora_weights": true"#,
        r#""bias": "all""#,
    ] {
        parse(&format!(", {member}")).unwrap();
    }
}

#[test]
fn configurations_that_make_no_sense_say_where() {
    assert!(matches!(Adapter::parse("{\n  \"r\": nil}"), Err(AdapterError::NotJson { line: 2, .. })));
    assert_eq!(Adapter::parse("{}"), Err(AdapterError::NotLora { found: String::new() }));
    assert_eq!(Adapter::parse(r#"{"peft_type": "IA3"}"#), Err(AdapterError::NotLora { found: "IA3".into() }));
    for member in [
        r#""r": 0"#,
        r#""r": "8""#,
        r#""r": -1"#,
        r#""lora_alpha": null"#,
        r#""lora_alpha": 1e999"#,
        r#""rank_pattern": [1]"#,
        r#""rank_pattern": {"a": 0.5}"#,
        r#""use_rslora": 1"#,
    ] {
        let error = parse(&format!(", {member}")).unwrap_err();
        assert!(matches!(error, AdapterError::BadValue { .. }), "{member}: {error:?}");
    }
    for pattern in [r".*q_proj", r"layers.[0-9]+.q", "(a|b)", "a+", ""] {
        let error = parse(&format!(r#", "alpha_pattern": {{"{pattern}": 1}}"#)).unwrap_err();
        assert_eq!(error, AdapterError::Pattern { key: pattern.into() });
    }
}

/// A safetensors file with one tensor.
fn file(name: &str) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
}

fn opened(files: &[(&str, Vec<u8>)]) -> Result<Model, ModelError> {
    let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
    pollster::block_on(open(&Folder { name: "folder".into(), files }))
}

#[test]
fn a_folder_with_an_adapter_alone_opens_as_one() {
    let config = || ("adapter_config.json", br#"{"peft_type": "LORA", "base_model_name_or_path": "x/y"}"#.to_vec());
    let weights = || ("adapter_model.safetensors", file("a.lora_A.weight"));
    let model = opened(&[config(), weights()]).unwrap();
    assert_eq!(model.adapter.unwrap().base.as_deref(), Some("x/y"));
    assert_eq!(model.notices, [], "it needs no config.json and no tokenizer");
    let beside = opened(&[config(), weights(), ("model.safetensors", file("a"))]).unwrap();
    assert_eq!(beside.adapter, None);
    let pickled = opened(&[config(), ("adapter_model.bin", vec![0; 9])]).unwrap_err();
    assert!(matches!(pickled, ModelError::OtherFormat { format: OtherFormat::PickledAdapter, .. }));
    let broken = opened(&[("adapter_config.json", b"{}".to_vec()), weights()]).unwrap_err();
    assert!(matches!(broken, ModelError::Adapter(AdapterError::NotLora { .. })), "{broken:?}");
}
