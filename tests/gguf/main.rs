//! GGUF files, read back by a reader that is written here from the format's description and knows nothing of the writer.
#![allow(clippy::unwrap_used)]

mod command;
mod reader;
mod refused;
mod tokenizer;
mod written;

use std::collections::BTreeMap;

use merge_studio::format::{DType, Entry, Header};
use merge_studio::model::{self, Folder};
use merge_studio::output::gguf::{self, GgufError, GgufPlan, GgufType, Texts};
use merge_studio::run::{Sink, WriteError};
use serde_json::{Value, json};

use reader::Gguf;

/// A model folder in memory: F32 tensors, config.json, tokenizer.json.
struct Made {
    tensors: BTreeMap<String, (DType, Vec<u64>, Vec<u8>)>,
    config: Value,
    files: BTreeMap<String, Vec<u8>>,
}

const WIDTH: u64 = 8;
const INNER: u64 = 12;
const HEADS: u64 = 4;
const KEY_HEADS: u64 = 2;
const HEAD: u64 = 4;
const ROWS: u64 = 10;

impl Made {
    /// A model of two layers of this architecture; `HEAD · HEADS` is not the width.
    fn new(class: &str) -> Self {
        let config = json!({
            "architectures": [class], "hidden_act": "silu", "hidden_size": WIDTH, "intermediate_size": INNER,
            "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "head_dim": HEAD, "num_hidden_layers": 2,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
            "bos_token_id": 1, "eos_token_id": 2, "vocab_size": ROWS,
        });
        let mut made = Self { tensors: BTreeMap::new(), config, files: BTreeMap::new() };
        made.put("model.embed_tokens.weight", &[ROWS, WIDTH]);
        made.put("model.norm.weight", &[WIDTH]);
        made.put("lm_head.weight", &[ROWS, WIDTH]);
        for layer in 0..2 {
            let mut put = |name: &str, shape: &[u64]| made.put(&format!("model.layers.{layer}.{name}"), shape);
            put("input_layernorm.weight", &[WIDTH]);
            put("post_attention_layernorm.weight", &[WIDTH]);
            put("self_attn.q_proj.weight", &[HEADS * HEAD, WIDTH]);
            put("self_attn.k_proj.weight", &[KEY_HEADS * HEAD, WIDTH]);
            put("self_attn.v_proj.weight", &[KEY_HEADS * HEAD, WIDTH]);
            put("self_attn.o_proj.weight", &[WIDTH, HEADS * HEAD]);
            put("mlp.gate_proj.weight", &[INNER, WIDTH]);
            put("mlp.up_proj.weight", &[INNER, WIDTH]);
            put("mlp.down_proj.weight", &[WIDTH, INNER]);
            if class == "Qwen2ForCausalLM" {
                put("self_attn.q_proj.bias", &[HEADS * HEAD]);
                put("self_attn.k_proj.bias", &[KEY_HEADS * HEAD]);
                put("self_attn.v_proj.bias", &[KEY_HEADS * HEAD]);
            }
            if class == "Qwen3ForCausalLM" {
                put("self_attn.q_norm.weight", &[HEAD]);
                put("self_attn.k_norm.weight", &[HEAD]);
            }
        }
        made.file("tokenizer.json", &tokenizer::bytes());
        made.file("tokenizer_config.json", &json!({ "eos_token": "<e>", "pad_token": { "content": "<e>" } }));
        made
    }

    /// Adds a tensor of numbers that depend on its name and no other's, none of which F16 holds.
    fn put(&mut self, name: &str, shape: &[u64]) {
        let seed = name.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let number = |at: u64| (seed.wrapping_add((at as u32).wrapping_mul(2_654_435_761)) >> 8) as f32 / 1e7 - 0.8;
        let bytes = (0..shape.iter().product()).flat_map(|at| number(at).to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), (DType::F32, shape.to_vec(), bytes));
    }

    fn file(&mut self, name: &str, value: &Value) {
        self.files.insert(name.to_owned(), value.to_string().into_bytes());
    }

    fn set(&mut self, key: &str, value: Value) {
        self.config[key] = value;
    }

    fn f32s(&self, name: &str) -> Vec<f32> {
        self.tensors[name].2.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    fn folder(&self) -> Folder<Vec<u8>> {
        let mut header = Header::default();
        let mut data = Vec::new();
        for (name, (dtype, shape, bytes)) in &self.tensors {
            let start = data.len() as u64;
            data.extend_from_slice(bytes);
            let (end, shape) = (data.len() as u64, shape.clone());
            header.tensors.push(Entry { name: name.clone(), dtype: *dtype, shape, start, end });
        }
        let mut files = self.files.clone();
        files.insert("model.safetensors".into(), [header.to_bytes(), data].concat());
        if !self.config.is_null() {
            files.insert("config.json".into(), self.config.to_string().into_bytes());
        }
        Folder { name: "made".into(), files }
    }

    fn plan(&self, dtype: Option<GgufType>) -> Result<GgufPlan, GgufError> {
        let folder = self.folder();
        let model = pollster::block_on(model::open(&folder)).unwrap();
        let texts = pollster::block_on(Texts::read(&folder))?;
        gguf::plan(&model, &texts, dtype)
    }

    /// Plans and writes the file.
    fn bytes(&self, dtype: Option<GgufType>) -> Result<Memory, GgufError> {
        let plan = self.plan(dtype)?;
        let folder = self.folder();
        let model = pollster::block_on(model::open(&folder)).unwrap();
        let mut memory = Memory { bytes: vec![0xEE; plan.len as usize], ..Memory::default() };
        let mut counted = 0;
        let sources = folder.weight_sources(&model);
        pollster::block_on(plan.write(&sources, &mut memory, &mut |bytes| counted += bytes))?;
        assert_eq!((counted, memory.written), (plan.len, plan.len), "every byte is written once and counted");
        Ok(memory)
    }

    fn read(&self, dtype: Option<GgufType>) -> Gguf {
        Gguf::read(&self.bytes(dtype).unwrap().bytes)
    }
}

/// A sink in memory that knows its largest write.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    written: u64,
    largest: usize,
}

impl Sink for Memory {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        assert_eq!(file, 0);
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        self.written += bytes.len() as u64;
        self.largest = self.largest.max(bytes.len());
        Ok(())
    }
}
