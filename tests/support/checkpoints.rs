//! Generated checkpoints in the shapes of SmolLM2-135M: a base and near fine-tunes of it, in bf16.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use half::bf16;
use merge_studio::gauge::near;

/// The sizes of a llama with tied embeddings.
#[derive(Clone, Copy)]
pub struct Shape {
    /// How many layers.
    pub layers: u64,
    /// Width of the model.
    pub hidden: u64,
    /// Width of keys and values.
    pub key_value: u64,
    /// Width of the MLP.
    pub mlp: u64,
}

/// SmolLM2-135M: 272 tensors, 269 MB in bf16.
pub const SMALL: Shape = Shape { layers: 30, hidden: 576, key_value: 192, mlp: 1536 };

const TOKENS: u64 = 49_152;

impl Shape {
    /// Names and shapes of the tensors.
    pub fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        let Self { layers, hidden, key_value, mlp } = *self;
        let mut tensors = vec![
            ("model.embed_tokens.weight".to_owned(), vec![TOKENS, hidden]),
            ("model.norm.weight".to_owned(), vec![hidden]),
        ];
        for layer in 0..layers {
            for (name, shape) in [
                ("input_layernorm", vec![hidden]),
                ("post_attention_layernorm", vec![hidden]),
                ("self_attn.q_proj", vec![hidden, hidden]),
                ("self_attn.k_proj", vec![key_value, hidden]),
                ("self_attn.v_proj", vec![key_value, hidden]),
                ("self_attn.o_proj", vec![hidden, hidden]),
                ("mlp.gate_proj", vec![mlp, hidden]),
                ("mlp.up_proj", vec![mlp, hidden]),
                ("mlp.down_proj", vec![hidden, mlp]),
            ] {
                tensors.push((format!("model.layers.{layer}.{name}.weight"), shape));
            }
        }
        tensors
    }
}

/// Writes a checkpoint of that shape: number 0 is the base, each other number another fine-tune of it. Gives the bytes of its
/// tensors.
pub fn write(folder: &Path, shape: &Shape, number: u64) -> io::Result<u64> {
    fs::create_dir_all(folder)?;
    let mut offset = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shape.tensors() {
        let len = shape.iter().product::<u64>() * 2;
        let entry = serde_json::json!({ "dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + len] });
        header.insert(name, entry);
        offset += len;
    }
    let header = serde_json::to_vec(&header)?;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(folder.join("model.safetensors"))?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for weight in near::weights(number, |weight| bf16::from_f32(weight).to_f32()).take(offset as usize / 2) {
        file.write_all(&bf16::from_f32(weight).to_bits().to_le_bytes())?;
    }
    file.flush()?;
    let config = serde_json::json!({ "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "num_hidden_layers": shape.layers, "hidden_size": shape.hidden, "intermediate_size": shape.mlp,
        "num_attention_heads": shape.hidden / 64, "num_key_value_heads": shape.key_value / 64, "vocab_size": TOKENS,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16" });
    fs::write(folder.join("config.json"), config.to_string())?;
    Ok(offset)
}
