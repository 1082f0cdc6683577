//! The generated checkpoints: tensors above a million elements that nobody has to store.
//!
//! Values come from a counter and integer arithmetic alone, so that `tools/make_goldens.py`, which defines them in words
//! (`generated`), makes the same ones.

use std::collections::BTreeMap;

use half::bf16;
use merge_studio::format::{DType, Entry, Header};

const HIDDEN: u64 = 16;
const INNER: u64 = 24;
const VOCABULARY: u64 = 70_400;

/// The files of the generated model called `name`, if there is one.
pub fn files(name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let model = ["wide-base", "wide-a", "wide-b"].iter().position(|wide| *wide == name)?;
    let config = format!(
        r#"{{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 1,
            "vocab_size": {VOCABULARY}, "tie_word_embeddings": true}}"#
    );
    let mut header = Header::default();
    let mut data = Vec::new();
    for (number, (name, shape)) in shapes().into_iter().enumerate() {
        let start = data.len() as u64;
        for element in 0..shape.iter().product() {
            data.extend(value(element, number as u64, model as u64).to_le_bytes());
        }
        header.tensors.push(Entry { name, dtype: DType::BF16, shape, start, end: data.len() as u64 });
    }
    let mut weights = header.to_bytes();
    weights.extend(data);
    Some(BTreeMap::from([("config.json".to_owned(), config.into_bytes()), ("model.safetensors".to_owned(), weights)]))
}

/// In the order in which the generator numbers them.
fn shapes() -> Vec<(String, Vec<u64>)> {
    let layer = |name: &str, shape: &[u64]| (format!("model.layers.0.{name}.weight"), shape.to_vec());
    vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
        layer("self_attn.q_proj", &[HIDDEN, HIDDEN]),
        layer("self_attn.k_proj", &[HIDDEN, HIDDEN]),
        layer("self_attn.v_proj", &[HIDDEN, HIDDEN]),
        layer("self_attn.o_proj", &[HIDDEN, HIDDEN]),
        layer("mlp.gate_proj", &[INNER, HIDDEN]),
        layer("mlp.up_proj", &[INNER, HIDDEN]),
        layer("mlp.down_proj", &[HIDDEN, INNER]),
        layer("input_layernorm", &[HIDDEN]),
        layer("post_attention_layernorm", &[HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
    ]
}

fn value(element: u64, tensor: u64, model: u64) -> bf16 {
    let counter = (tensor << 40) + element;
    let words = mix(counter);
    let total = (0..4).map(|word| ((words >> (16 * word)) & 0xFFFF) as i64).sum::<i64>() - 131_070;
    let base = bf16::from_f32(total as f32 / (1 << 20) as f32);
    let step = mix(counter + (model << 56));
    if model == 0 || !step.is_multiple_of(3) || base.to_f32().abs() < 1.0 / 1024.0 {
        return base;
    }
    let size = 1 + ((step >> 8) % 2) as u16;
    let bits = base.to_bits();
    bf16::from_bits(if (step >> 16) & 1 == 1 { bits + size } else { bits - size })
}

/// SplitMix64's finaliser.
fn mix(counter: u64) -> u64 {
    let x = counter.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
