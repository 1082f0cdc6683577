//! Tiny checkpoints from a few drawn numbers: names as Llama has them, every type, ties, gaps, unequal vocabularies, adapters.

use std::collections::BTreeMap;

use half::{bf16, f16};
use merge_studio::format::{DType, Entry, Header};
use merge_studio::model::tokenizer::TokenizerFiles;
use merge_studio::model::{self, Folder, Model};
use proptest::prelude::*;

/// Tokens that a checkpoint may have. The last few are added ones.
const POOL: usize = 40;
const ADDED: usize = 36;

/// What a checkpoint's numbers are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Those of all checkpoints of this kind, and steps away from them that are of few sizes.
    Near,
    /// Of nine values, so that most magnitudes are ties.
    Grid,
    /// Its own.
    Far,
    /// Its own, with infinities, zeros of either sign and subnormal numbers among them.
    Odd,
}

/// One checkpoint, as it is drawn.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The types of its tensors, in turn.
    dtypes: [DType; 3],
    values: Values,
    /// A tensor that it lacks.
    lacks: Option<usize>,
    /// Whether its head is its embedding.
    tied: bool,
    /// Which of the pool's tokens beyond the first 20 it has, and where it begins.
    tokens: u32,
    turn: usize,
    /// Rows beyond its vocabulary.
    spare: u64,
    /// The adapter that goes with it.
    pub adapter: Option<Drawn>,
}

/// An adapter, as it is drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    rank: u64,
    dtype: DType,
    /// Whether it changes the embedding as well, and whether it brings a norm of its own.
    embedding: bool,
    norm: bool,
}

/// All checkpoints of a case, as they are drawn.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    pub layers: u64,
    width: u64,
    pub checkpoints: Vec<Checkpoint>,
}

fn dtype() -> impl Strategy<Value = DType> {
    // F32 is the simplest.
    prop::sample::select(vec![DType::F32, DType::BF16, DType::F16, DType::F64])
}

prop_compose! {
    fn adapter()(rank in 1..5_u64, dtype in dtype(), embedding in any::<bool>(), norm in any::<bool>()) -> Drawn {
        Drawn { rank, dtype, embedding, norm }
    }
}

prop_compose! {
    fn checkpoint()(
        dtypes in prop_oneof![3 => dtype().prop_map(|dtype| [dtype; 3]), 1 => [dtype(), dtype(), dtype()]],
        values in prop::sample::select(vec![Values::Far, Values::Near, Values::Near, Values::Grid, Values::Odd]),
        lacks in prop::option::weighted(0.1, 0..12_usize),
        tied in prop::bool::weighted(0.15),
        tokens in any::<u32>(),
        turn in 0..20_usize,
        spare in 0..3_u64,
        adapter in prop::option::weighted(0.3, adapter()),
    ) -> Checkpoint {
        Checkpoint { dtypes, values, lacks, tied, tokens, turn, spare, adapter }
    }
}

prop_compose! {
    pub fn world(count: usize)(
        seed in any::<u64>(),
        layers in 2..5_u64,
        width in 24..61_u64,
        checkpoints in prop::collection::vec(checkpoint(), count),
    ) -> World {
        World { seed, layers, width, checkpoints }
    }
}

/// The models of a case, opened.
pub struct Opened {
    pub folders: Vec<Folder<Vec<u8>>>,
    pub models: Vec<Model>,
    pub binding: BTreeMap<String, usize>,
    pub tokenizers: BTreeMap<usize, TokenizerFiles>,
}

/// What the recipe calls a checkpoint and its adapter.
pub fn name(checkpoint: usize) -> String {
    format!("m{checkpoint}")
}

pub fn adapter_name(checkpoint: usize) -> String {
    format!("a{checkpoint}")
}

/// The token number `token` of the pool.
pub fn token(token: usize) -> String {
    if token < ADDED { format!("t{token}") } else { format!("<t{token}>") }
}

impl World {
    /// Makes and opens all checkpoints. With `one_vocabulary` all have the first one's tokens and rows; with `vision` a tower beside
    /// the layers.
    pub fn open(&self, one_vocabulary: bool, vision: bool) -> Opened {
        let mut folders = Vec::new();
        for (number, checkpoint) in self.checkpoints.iter().enumerate() {
            let words = if one_vocabulary { &self.checkpoints[0] } else { checkpoint };
            folders.push(self.folder(number, checkpoint, words, vision));
            if let Some(adapter) = &checkpoint.adapter {
                folders.push(self.adapter(number, adapter, words.rows()));
            }
        }
        let models: Vec<Model> =
            folders.iter().map(|folder| pollster::block_on(model::open(folder)).unwrap()).collect();
        let binding = models.iter().enumerate().map(|(index, model)| (model.name.clone(), index)).collect();
        let tokenizers = folders.iter().map(|folder| pollster::block_on(TokenizerFiles::read(folder)).unwrap());
        let tokenizers = tokenizers.enumerate().collect();
        Opened { folders, models, binding, tokenizers }
    }

    fn folder(&self, number: usize, checkpoint: &Checkpoint, words: &Checkpoint, vision: bool) -> Folder<Vec<u8>> {
        let (width, rows) = (self.width, words.rows());
        let mut shapes = vec![("model.embed_tokens.weight".to_owned(), vec![rows, width])];
        for layer in 0..self.layers {
            let at = format!("model.layers.{layer}");
            shapes.push((format!("{at}.self_attn.q_proj.weight"), vec![width + 3, width]));
            shapes.push((format!("{at}.mlp.up_proj.weight"), vec![2 * width, width]));
            shapes.push((format!("{at}.input_layernorm.weight"), vec![width]));
        }
        shapes.push(("model.norm.weight".to_owned(), vec![width]));
        if !checkpoint.tied {
            shapes.push(("lm_head.weight".to_owned(), vec![rows, width]));
        }
        if vision {
            shapes.extend((0..2).map(|block| (format!("vision_tower.blocks.{block}.weight"), vec![width, width])));
        }
        if let Some(lacks) = checkpoint.lacks.filter(|lacks| *lacks < shapes.len()) {
            shapes.remove(lacks);
        }
        let mut tensors = Vec::new();
        for (at, (name, shape)) in shapes.into_iter().enumerate() {
            let dtype = checkpoint.dtypes[at % 3];
            let bytes = self.bytes(number, checkpoint.values, &name, shape.iter().product(), dtype);
            tensors.push((name, dtype, shape, bytes));
        }
        let ids = (0..7_i64).flat_map(i64::to_le_bytes).collect();
        tensors.push(("model.position_ids".to_owned(), DType::I64, vec![7], ids));
        let config = serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "num_hidden_layers": self.layers,
            "vocab_size": rows,
            "tie_word_embeddings": checkpoint.tied,
        });
        let files = [
            ("model.safetensors", safetensors(tensors)),
            ("config.json", config.to_string().into_bytes()),
            ("tokenizer.json", words.tokenizer().into_bytes()),
        ];
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        Folder { name: name(number), files }
    }

    fn adapter(&self, number: usize, adapter: &Drawn, rows: u64) -> Folder<Vec<u8>> {
        let (width, rank) = (self.width, adapter.rank);
        let mut shapes = Vec::new();
        for layer in 0..self.layers {
            let at = format!("base_model.model.model.layers.{layer}");
            shapes.push((format!("{at}.self_attn.q_proj.lora_A.weight"), vec![rank, width]));
            shapes.push((format!("{at}.self_attn.q_proj.lora_B.weight"), vec![width + 3, rank]));
        }
        if adapter.embedding {
            shapes.push(("base_model.model.model.embed_tokens.lora_embedding_A".to_owned(), vec![rank, rows]));
            shapes.push(("base_model.model.model.embed_tokens.lora_embedding_B".to_owned(), vec![width, rank]));
        }
        if adapter.norm {
            shapes.push(("base_model.model.model.norm.weight".to_owned(), vec![width]));
        }
        let tensors = shapes.into_iter().map(|(name, shape)| {
            let bytes = self.bytes(100 + number, Values::Far, &name, shape.iter().product(), adapter.dtype);
            (name, adapter.dtype, shape, bytes)
        });
        let saved: &[&str] = if adapter.norm { &["norm"] } else { &[] };
        let config = serde_json::json!({ "peft_type": "LORA", "r": rank, "lora_alpha": 3, "modules_to_save": saved })
            .to_string();
        let files = [
            ("adapter_model.safetensors".to_owned(), safetensors(tensors.collect())),
            ("adapter_config.json".to_owned(), config.into_bytes()),
        ];
        Folder { name: adapter_name(number), files: files.into() }
    }

    fn bytes(&self, number: usize, values: Values, tensor: &str, elements: u64, dtype: DType) -> Vec<u8> {
        let name = tensor.bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        let mut bytes = Vec::with_capacity((elements * dtype.size()) as usize);
        for e in 0..elements {
            let shared = mix(name.wrapping_add(e));
            let own = mix(shared ^ (number as u64 + 1) << 32);
            let plain = |random: u64| ((random >> 40) as f64 / f64::from(1 << 23) - 1.0) / 8.0;
            let value = match values {
                Values::Far => plain(own),
                Values::Grid => ((own >> 32) % 9) as f64 / 16.0 - 0.25,
                Values::Near => {
                    let step = [0.0, 0.0, 1.0, -1.0, 2.0, -0.5][(own % 6) as usize];
                    plain(shared) + step / 512.0
                }
                Values::Odd => match own % 64 {
                    0 => f64::INFINITY,
                    1 => -0.0,
                    2 => 0.0,
                    3 => 1e-40,
                    4 => -3e-42,
                    5 => f64::NAN,
                    _ => plain(own),
                },
            };
            match dtype {
                DType::F16 => bytes.extend(f16::from_f64(value).to_le_bytes()),
                DType::BF16 => bytes.extend(bf16::from_f64(value).to_le_bytes()),
                DType::F32 => bytes.extend((value as f32).to_le_bytes()),
                _ => bytes.extend(value.to_le_bytes()),
            }
        }
        bytes
    }
}

impl Checkpoint {
    /// Its tokens in the order of their ids: numbers of the pool, those of the model from `turn` on.
    fn tokens(&self) -> Vec<usize> {
        let has = |token: &usize| *token < 20 || self.tokens >> (token - 20) & 1 == 1;
        let mut own: Vec<usize> = (0..ADDED).filter(has).collect();
        own.rotate_left(self.turn);
        own.extend((ADDED..POOL).filter(has));
        own
    }

    fn rows(&self) -> u64 {
        self.tokens().len() as u64 + self.spare
    }

    fn tokenizer(&self) -> String {
        let (mut vocab, mut added) = (serde_json::Map::new(), Vec::new());
        for (id, own) in self.tokens().into_iter().enumerate() {
            if own < ADDED {
                vocab.insert(token(own), id.into());
            } else {
                added.push(serde_json::json!({ "id": id, "content": token(own), "special": true }));
            }
        }
        serde_json::json!({ "added_tokens": added, "model": { "type": "BPE", "vocab": vocab, "merges": [] } })
            .to_string()
    }
}

/// A file of these tensors: names, types, shapes, bytes.
fn safetensors(mut tensors: Vec<(String, DType, Vec<u64>, Vec<u8>)>) -> Vec<u8> {
    tensors.sort_by_key(|(_, dtype, ..)| std::cmp::Reverse(dtype.size()));
    let mut header = Header { tensors: Vec::new(), metadata: BTreeMap::new(), data_start: 0 };
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len() as u64;
        data.extend(bytes);
        header.tensors.push(Entry { name, dtype, shape, start, end: data.len() as u64 });
    }
    let mut file = header.to_bytes();
    file.extend(data);
    file
}

/// SplitMix64's finaliser.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
