//! What is written: tensors, settings, windows.

use half::{bf16, f16};
use merge_studio::format::DType;
use merge_studio::kernel::cpu::Cpu;
use merge_studio::model;
use merge_studio::output::gguf::{GgufNotice, GgufType, LeftOut};
use serde_json::json;

use crate::reader::{Gguf, Value};
use crate::{HEAD, HEADS, INNER, KEY_HEADS, Made, Memory, ROWS, WIDTH};

/// The values in llama.cpp's order of rows, by its definition: of every head, row r of the first half, then row r of the second.
fn by_turns(values: &[f32], head: u64, row: u64) -> Vec<f32> {
    let (head, row) = (head as usize, row as usize);
    let mut turned = Vec::new();
    for rows in values.chunks_exact(head * row) {
        for pair in 0..head / 2 {
            turned.extend_from_slice(&rows[pair * row..][..row]);
            turned.extend_from_slice(&rows[(head / 2 + pair) * row..][..row]);
        }
    }
    turned
}

fn names(gguf: &Gguf) -> Vec<&str> {
    gguf.order.iter().map(String::as_str).collect()
}

#[test]
fn a_llama_is_read_back_value_for_value_with_its_heads_rows_by_turns() {
    let made = Made::new("LlamaForCausalLM");
    let gguf = made.read(Some(GgufType::F32));
    let layer = |layer: u32| {
        ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]
            .map(|part| format!("blk.{layer}.{part}.weight"))
    };
    let between = layer(0).into_iter().chain(layer(1));
    let order: Vec<String> = ["token_embd.weight".into()]
        .into_iter()
        .chain(between)
        .chain(["output_norm.weight".into(), "output.weight".into()])
        .collect();
    assert_eq!(gguf.order, order);
    for (to, from, shape) in [
        ("token_embd", "model.embed_tokens", &[ROWS, WIDTH][..]),
        ("output_norm", "model.norm", &[WIDTH]),
        ("output", "lm_head", &[ROWS, WIDTH]),
        ("blk.1.attn_norm", "model.layers.1.input_layernorm", &[WIDTH]),
        ("blk.1.attn_v", "model.layers.1.self_attn.v_proj", &[KEY_HEADS * HEAD, WIDTH]),
        ("blk.1.attn_output", "model.layers.1.self_attn.o_proj", &[WIDTH, HEADS * HEAD]),
        ("blk.0.ffn_norm", "model.layers.0.post_attention_layernorm", &[WIDTH]),
        ("blk.0.ffn_gate", "model.layers.0.mlp.gate_proj", &[INNER, WIDTH]),
        ("blk.0.ffn_up", "model.layers.0.mlp.up_proj", &[INNER, WIDTH]),
        ("blk.0.ffn_down", "model.layers.0.mlp.down_proj", &[WIDTH, INNER]),
    ] {
        let tensor = &gguf.tensors[&format!("{to}.weight")];
        assert_eq!((&tensor.shape[..], tensor.kind), (shape, 0), "{to}");
        assert_eq!(tensor.values, made.f32s(&format!("{from}.weight")), "{to}");
    }
    for (to, from) in [("attn_q", "q_proj"), ("attn_k", "k_proj")] {
        let plain = made.f32s(&format!("model.layers.1.self_attn.{from}.weight"));
        let written = &gguf.tensors[&format!("blk.1.{to}.weight")].values;
        assert_eq!(*written, by_turns(&plain, HEAD, WIDTH), "{to}");
        assert_ne!(*written, plain, "the order matters");
    }
}

#[test]
fn settings_are_those_of_config_json() {
    let gguf = Made::new("LlamaForCausalLM").read(Some(GgufType::BF16));
    let number = |key: &str| gguf.number(&format!("llama.{key}"));
    for (key, value) in [
        ("block_count", 2),
        ("context_length", 64),
        ("embedding_length", 8),
        ("feed_forward_length", 12),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("attention.key_length", 4),
        ("attention.value_length", 4),
        ("rope.dimension_count", 4),
        ("vocab_size", 10),
    ] {
        assert_eq!(number(key), Some(value), "{key}");
    }
    assert_eq!(gguf.float("llama.attention.layer_norm_rms_epsilon"), Some(1e-5));
    assert_eq!(gguf.float("llama.rope.freq_base"), Some(10_000.0));
    assert_eq!(gguf.text("general.architecture"), Some("llama"));
    assert_eq!((gguf.text("general.name"), gguf.number("general.file_type")), (Some("made"), Some(32)));
    assert!(!gguf.metadata.contains_key("llama.rope.scaling.type"));
}

#[test]
fn matrices_are_rounded_once_to_nearest_even_and_vectors_stay_single() {
    let made = Made::new("LlamaForCausalLM");
    let from = made.f32s("model.layers.0.mlp.up_proj.weight");
    for (dtype, kind, round) in [
        (GgufType::F16, 1, (|value| f16::from_f32(value).to_f32()) as fn(f32) -> f32),
        (GgufType::BF16, 30, |value| bf16::from_f32(value).to_f32()),
    ] {
        let gguf = made.read(Some(dtype));
        let matrix = &gguf.tensors["blk.0.ffn_up.weight"];
        let rounded: Vec<f32> = from.iter().copied().map(round).collect();
        assert_eq!((matrix.kind, &matrix.values), (kind, &rounded));
        assert_ne!(rounded, from);
        let norm = &gguf.tensors["blk.0.ffn_norm.weight"];
        let plain = made.f32s("model.layers.0.post_attention_layernorm.weight");
        assert_eq!((norm.kind, &norm.values), (0, &plain));
        let turned: Vec<f32> = by_turns(&made.f32s("model.layers.0.self_attn.q_proj.weight"), HEAD, WIDTH)
            .into_iter()
            .map(round)
            .collect();
        assert_eq!(gguf.tensors["blk.0.attn_q.weight"].values, turned);
    }
}

#[test]
fn auto_is_the_type_of_most_elements() {
    let mut made = Made::new("LlamaForCausalLM");
    assert_eq!(made.plan(None).unwrap().dtype, GgufType::F32);
    for (wide, narrow) in [(DType::BF16, GgufType::BF16), (DType::F16, GgufType::F16)] {
        for (dtype, shape, bytes) in made.tensors.values_mut().filter(|(_, shape, _)| shape.len() == 2) {
            *dtype = wide;
            bytes.truncate((shape.iter().product::<u64>() * 2) as usize);
        }
        assert_eq!(made.plan(None).unwrap().dtype, narrow);
    }
}

#[test]
fn other_architectures_keep_their_rows_and_have_what_is_theirs() {
    for (class, name, own) in [
        ("Qwen2ForCausalLM", "qwen2", ["attn_q.bias", "attn_v.bias"]),
        ("Qwen3ForCausalLM", "qwen3", ["attn_q_norm.weight", "attn_k_norm.weight"]),
    ] {
        let made = Made::new(class);
        let gguf = made.read(None);
        assert_eq!(gguf.text("general.architecture"), Some(name));
        assert_eq!(gguf.number(&format!("{name}.block_count")), Some(2));
        assert_eq!(gguf.tensors["blk.1.attn_q.weight"].values, made.f32s("model.layers.1.self_attn.q_proj.weight"));
        for part in own {
            assert_eq!(gguf.tensors[&format!("blk.1.{part}")].kind, 0, "{part}");
        }
    }
    let mut made = Made::new("MistralForCausalLM");
    made.set("sliding_window", json!(16));
    assert!(made.plan(None).unwrap().notices.contains(&GgufNotice::SlidingWindow { window: 16 }));
    let gguf = made.read(None);
    assert_eq!(gguf.text("general.architecture"), Some("llama"));
    let plain = made.f32s("model.layers.0.self_attn.k_proj.weight");
    assert_eq!(gguf.tensors["blk.0.attn_k.weight"].values, by_turns(&plain, HEAD, WIDTH));
}

#[test]
fn a_llamas_biases_are_written_and_turned_with_their_rows() {
    let mut made = Made::new("LlamaForCausalLM");
    made.put("model.layers.0.self_attn.q_proj.bias", &[HEADS * HEAD]);
    made.put("model.layers.1.self_attn.o_proj.bias", &[WIDTH]);
    made.put("model.layers.1.mlp.down_proj.bias", &[WIDTH]);
    let gguf = made.read(Some(GgufType::F16));
    let bias = made.f32s("model.layers.0.self_attn.q_proj.bias");
    assert_eq!(gguf.tensors["blk.0.attn_q.bias"].values, by_turns(&bias, HEAD, 1));
    for (to, from) in [("attn_output", "self_attn.o_proj"), ("ffn_down", "mlp.down_proj")] {
        let bias = made.f32s(&format!("model.layers.1.{from}.bias"));
        assert_eq!(gguf.tensors[&format!("blk.1.{to}.bias")].values, bias);
    }
}

#[test]
fn tied_models_have_no_head_and_computed_tables_stay_out() {
    let mut made = Made::new("LlamaForCausalLM");
    made.set("tie_word_embeddings", json!(true));
    made.put("model.layers.0.self_attn.rotary_emb.inv_freq", &[2]);
    let left_out = |tensor: &str, reason| GgufNotice::LeftOut { tensor: tensor.into(), reason };
    let notices = made.plan(None).unwrap().notices;
    assert!(notices.contains(&left_out("lm_head.weight", LeftOut::Tied)));
    assert!(notices.contains(&left_out("model.layers.0.self_attn.rotary_emb.inv_freq", LeftOut::Computed)));
    assert!(!names(&made.read(None)).contains(&"output.weight"));
    made.tensors.remove("lm_head.weight");
    assert!(!names(&made.read(None)).contains(&"output.weight"));
}

#[test]
fn positions_are_scaled_as_config_json_says_in_its_old_form_and_its_new_one() {
    let mut made = Made::new("LlamaForCausalLM");
    made.set("rope_scaling", json!({ "type": "linear", "factor": 4.0 }));
    let gguf = made.read(None);
    assert_eq!(gguf.text("llama.rope.scaling.type"), Some("linear"));
    assert_eq!(gguf.float("llama.rope.scaling.factor"), Some(4.0));

    made.set("rope_theta", json!(null));
    made.set(
        "rope_parameters",
        json!({ "rope_type": "yarn", "rope_theta": 5e5, "factor": 2, "original_max_position_embeddings": 32, "beta_fast": 16 }),
    );
    let gguf = made.read(None);
    assert_eq!(gguf.text("llama.rope.scaling.type"), Some("yarn"));
    assert_eq!(gguf.number("llama.rope.scaling.original_context_length"), Some(32));
    assert_eq!(gguf.float("llama.rope.scaling.yarn_beta_fast"), Some(16.0));
    assert_eq!(gguf.float("llama.rope.freq_base"), Some(5e5));

    // Wavelengths 2π and 2π·100: the short one is left, the long one is stretched to the full.
    made.set(
        "rope_parameters",
        json!({ "rope_type": "llama3", "rope_theta": 1e4, "factor": 8, "original_max_position_embeddings": 100 }),
    );
    let gguf = made.read(Some(GgufType::F16));
    assert_eq!(gguf.order[0], "rope_freqs.weight");
    let factors = &gguf.tensors["rope_freqs.weight"];
    assert_eq!((&factors.shape[..], factors.kind, &factors.values[..]), (&[2][..], 0, &[1.0, 8.0][..]));
    assert_eq!(gguf.float("llama.rope.freq_base"), Some(1e4));
    // A wave of 2π·√… between the two limits: 1 / (0.5 / 8 + 0.5) halfway.
    let between = 100.0 / 2.5 / (2.0 * std::f64::consts::PI);
    made.set("rope_parameters", json!({ "rope_type": "llama3", "rope_theta": between * between, "factor": 8, "original_max_position_embeddings": 100 }));
    let factor = made.read(None).tensors["rope_freqs.weight"].values[1];
    assert!((factor - 1.0 / (0.5 / 8.0 + 0.5)).abs() < 1e-6, "{factor}");
}

#[test]
fn windows_are_of_a_mebibyte_and_pieces_go_in_any_order() {
    let mut made = Made::new("LlamaForCausalLM");
    // A head of 2 MiB, in rows that do not divide a window; an embedding of several windows.
    let (width, head, rows) = (600, 1000, 2000);
    for (key, value) in [
        ("hidden_size", width),
        ("head_dim", head),
        ("num_hidden_layers", 1),
        ("num_attention_heads", 2),
        ("num_key_value_heads", 1),
    ] {
        made.set(key, json!(value));
    }
    made.tensors.clear();
    let layer = |part: &str| format!("model.layers.0.{part}.weight");
    for (name, shape) in [
        ("model.embed_tokens.weight".to_owned(), &[rows, width][..]),
        ("lm_head.weight".to_owned(), &[rows, width]),
        ("model.norm.weight".to_owned(), &[width]),
        (layer("input_layernorm"), &[width]),
        (layer("post_attention_layernorm"), &[width]),
        (layer("self_attn.q_proj"), &[2 * head, width]),
        (layer("self_attn.k_proj"), &[head, width]),
        (layer("self_attn.v_proj"), &[head, width]),
        (layer("self_attn.o_proj"), &[width, 2 * head]),
        (layer("mlp.gate_proj"), &[INNER, width]),
        (layer("mlp.up_proj"), &[INNER, width]),
        (layer("mlp.down_proj"), &[width, INNER]),
    ] {
        made.put(&name, shape);
    }
    for dtype in [GgufType::F32, GgufType::BF16] {
        let whole = made.bytes(Some(dtype)).unwrap();
        assert!(whole.largest <= (1 << 20) + 31, "{}", whole.largest);
        let gguf = Gguf::read(&whole.bytes);
        if dtype == GgufType::F32 {
            let queries = by_turns(&made.f32s(&layer("self_attn.q_proj")), head, width);
            assert!(gguf.tensors["blk.0.attn_q.weight"].values == queries);
            assert!(gguf.tensors["token_embd.weight"].values == made.f32s("model.embed_tokens.weight"));
        }
        let (plan, folder) = (made.plan(Some(dtype)).unwrap(), made.folder());
        let model = pollster::block_on(model::open(&folder)).unwrap();
        let mut parts = Memory { bytes: vec![0xEE; plan.len as usize], ..Memory::default() };
        let mut cpu = Cpu::default();
        for piece in (0..plan.pieces.len()).rev() {
            let sources = folder.weight_sources(&model);
            pollster::block_on(plan.write_piece(piece, &sources, &mut cpu, &mut parts, &mut |_| {})).unwrap();
        }
        pollster::block_on(plan.write_header(&mut parts)).unwrap();
        assert!(parts.bytes == whole.bytes);
    }
}

#[test]
fn values_of_double_precision_are_rounded_once() {
    let mut made = Made::new("LlamaForCausalLM");
    // Just above halfway between two F16s: rounding to F32 first would land on halfway, and then on the even one below.
    let value = 1.0 + f64::from(f16::EPSILON) / 2.0 + 1e-12;
    let elements = (INNER * WIDTH) as usize;
    let wide = (DType::F64, vec![INNER, WIDTH], value.to_le_bytes().repeat(elements));
    made.tensors.insert("model.layers.0.mlp.up_proj.weight".into(), wide);
    let gguf = made.read(Some(GgufType::F16));
    assert!(gguf.tensors["blk.0.ffn_up.weight"].values.iter().all(|value| *value == 1.0 + f16::EPSILON.to_f32()));
}

#[test]
fn a_folder_is_written_the_same_every_time() {
    let made = Made::new("Qwen3ForCausalLM");
    assert_eq!(made.bytes(None).unwrap().bytes, made.bytes(None).unwrap().bytes);
    assert_eq!(made.read(None).metadata["general.type"], Value::Text("model".into()));
}
