//! LoRA adapters as the PEFT library saves them: what adapter_config.json says, and which tensors of a base an adapter changes.
//!
//! W becomes W + scale · B·A, where scale is alpha / rank, or alpha / √rank with rank-stabilised LoRA. An adapter may bring whole
//! tensors as well (`modules_to_save`), and both at once for an embedding. Whatever else PEFT can do is refused by its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::names::ends_with_path;
use super::{Model, Tensor};

/// The configuration beside an adapter's weights.
pub(super) const CONFIG: &str = "adapter_config.json";

/// The weights beside it.
pub(super) const WEIGHTS: &str = "adapter_model.safetensors";

/// The most bytes of the factor that is held in memory while a tensor is changed, 128 MiB: rank 2,048 on 32,768 columns in bf16.
pub const MAX_FACTOR: u64 = 128 << 20;

/// Settings that make of an adapter more than W + scale · B·A. They may be there, if they are off.
const REFUSED: [&str; 14] = [
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
    "quantization_config",
];

/// How the factors were initialised.
const INIT: &str = "init_lora_weights";

/// Beginnings of initialisations that subtract from the base's weights: the base that is merged would be another than the one that
/// was trained. PEFT writes `true` here for adapters that were converted back.
const REFUSED_INITS: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// Model types whose matrices are stored transposed, and the last names of the modules that hold them.
const CONV1D: [&str; 4] = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"];
const CONV1D_MODULES: [&str; 4] = ["c_attn", "c_fc", "c_proj", "q_attn"];

/// What adapter_config.json says, as far as merging reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adapter {
    /// `r`.
    pub rank: u64,
    /// Values of `rank_pattern`. A module's rank is that of its tensors, and one of these or [`Adapter::rank`].
    pub other_ranks: Vec<u64>,
    /// `lora_alpha`.
    pub alpha: f64,
    /// `alpha_pattern` in its order: the first that a module's name matches counts.
    pub alphas: Vec<(String, f64)>,
    /// `use_rslora`: the scale is alpha / √rank.
    pub rank_stabilised: bool,
    /// `fan_in_fan_out`: matrices are stored transposed. What PEFT knows of the base's modules outweighs it.
    pub fan_in_fan_out: bool,
    /// `modules_to_save`: modules of which the adapter has all tensors.
    pub saved: Vec<String>,
    /// `base_model_name_or_path`: what it was trained on.
    pub base: Option<String>,
}

/// What an adapter does to one tensor of its base.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    /// The adapter's tensor that stands for the base's, of the same shape.
    pub replacement: Option<String>,
    /// What is added to it.
    pub change: Option<Change>,
}

/// A low-rank change: `scale` · B·A, or its transpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The adapter's tensor A: rank × columns (× rows if transposed).
    pub down: String,
    /// The adapter's tensor B: rows × rank (columns × rank if transposed).
    pub up: String,
    /// The rank.
    pub rank: u64,
    /// The factor.
    pub scale: f64,
    /// Whether (B·A)ᵀ is added.
    pub transposed: bool,
}

/// Why an adapter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[allow(missing_docs)] // The messages name the fields.
pub enum AdapterError {
    /// The configuration is no JSON object.
    #[error("{CONFIG}: line {line}, column {column}: {problem}")]
    NotJson { line: u64, column: u64, problem: String },
    /// Prefix tuning, IA³ and the like.
    #[error("{CONFIG}: the adapter's type is {found}; only LORA adapters can be merged")]
    NotLora { found: String },
    /// Something that PEFT can do and that is not supported.
    #[error(
        "{CONFIG}: `{key}` is {value}, which is not supported; merge this adapter into its base with PEFT, and use the result"
    )]
    NotSupported { key: String, value: String },
    /// A number or switch that is none.
    #[error("{CONFIG}: `{key}` is {value}, which makes no sense here")]
    BadValue { key: String, value: String },
    /// A pattern that is more than a name.
    #[error("{CONFIG}: alpha_pattern has the regular expression `{key}`; write out the names of the modules instead")]
    Pattern { key: String },
    /// A model that is not an adapter.
    #[error("{name} is no LoRA adapter: it lacks an {CONFIG}")]
    NotAnAdapter { name: String },
    /// Tensors of the adapter that the base has no place for.
    #[error("the adapter changes what {base} does not have: {}{}", .tensors.join(", "), more(*.count, .tensors.len()))]
    Unmatched { base: String, tensors: Vec<String>, count: u64 },
    /// A without B, or the reverse.
    #[error("the adapter has {tensor} without its other half")]
    Half { tensor: String },
    /// Two tensors of the adapter are for the same tensor of the base.
    #[error("the adapter changes {tensor} of {base} twice, by {first} and by {second}")]
    Twice { base: String, tensor: String, first: String, second: String },
    /// Shapes that do not go together.
    #[error("the adapter's {adapter} is {}, which does not fit {tensor} of {base}, {}", shape(.found), shape(.expected))]
    Shape { base: String, tensor: String, expected: Vec<u64>, adapter: String, found: Vec<u64> },
    /// Integers, or eight-bit floats.
    #[error("{tensor} holds {dtype}; an adapter needs F16, BF16, F32 or F64 on both sides")]
    NotFloat { tensor: String, dtype: String },
    /// A rank that the configuration does not know.
    #[error("the adapter's {tensor} is of rank {found}, but {CONFIG} speaks of {}", ranks(.expected))]
    Rank { tensor: String, found: u64, expected: Vec<u64> },
    /// A factor that would not fit in memory.
    #[error("the adapter's {tensor} has {len} bytes; at most {limit} are held in memory")]
    TooLarge { tensor: String, len: u64, limit: u64 },
    /// A head of its own for a model whose head is its embedding.
    #[error(
        "the adapter brings its own {tensor}, but {base}'s head is its embedding; set tie_word_embeddings to false there and save the head"
    )]
    TiedHead { base: String, tensor: String },
}

fn more(count: u64, named: usize) -> String {
    match count.saturating_sub(named as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

fn shape(dimensions: &[u64]) -> String {
    dimensions.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
}

fn ranks(ranks: &[u64]) -> String {
    ranks.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

impl Adapter {
    /// Reads adapter_config.json.
    pub(super) fn parse(text: &str) -> Result<Self, AdapterError> {
        let root: Map<String, Value> = serde_json::from_str(text).map_err(|error| AdapterError::NotJson {
            line: error.line() as u64,
            column: error.column() as u64,
            problem: super::config::without_position(&error),
        })?;
        let kind = root.get("peft_type").map_or_else(String::new, plain);
        if kind != "LORA" {
            return Err(AdapterError::NotLora { found: kind });
        }
        let is_on = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        };
        for key in REFUSED {
            if let Some(value) = root.get(key).filter(|value| is_on(value)) {
                return Err(AdapterError::NotSupported { key: key.to_owned(), value: short(value) });
            }
        }
        if let Some(Value::String(start)) = root.get(INIT)
            && REFUSED_INITS.iter().any(|refused| start.to_ascii_lowercase().starts_with(refused))
        {
            return Err(AdapterError::NotSupported { key: INIT.to_owned(), value: start.clone() });
        }
        // What a config leaves out is PEFT's default.
        let rank = root.get("r").map_or(Ok(8), |value| rank_of("r", value))?;
        let alpha = root.get("lora_alpha").map_or(Ok(8.0), |value| alpha_of("lora_alpha", value))?;
        let mut other_ranks = Vec::new();
        for (_, value) in members(&root, "rank_pattern")? {
            other_ranks.push(rank_of("rank_pattern", value)?);
        }
        let mut alphas = Vec::new();
        for (key, value) in members(&root, "alpha_pattern")? {
            let name = literal(key).ok_or_else(|| AdapterError::Pattern { key: key.clone() })?;
            alphas.push((name, alpha_of("alpha_pattern", value)?));
        }
        Ok(Self {
            rank,
            other_ranks,
            alpha,
            alphas,
            rank_stabilised: switch(&root, "use_rslora")?,
            fan_in_fan_out: switch(&root, "fan_in_fan_out")?,
            saved: match root.get("modules_to_save") {
                Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            },
            base: root.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// Whether the adapter has `module` whole.
    fn saves(&self, module: &str) -> bool {
        self.saved.iter().any(|name| ends_with_path(module, name))
    }

    /// The factor of a change of `module` (its path in the base).
    fn scale(&self, module: &str, rank: u64) -> f64 {
        let is_named = |name: &str| match name.strip_prefix('^') {
            Some(whole) => module == whole,
            None => ends_with_path(module, name),
        };
        let alpha = self.alphas.iter().find(|(name, _)| is_named(name)).map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
    }
}

/// A value as a person would write it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| short(value), str::to_owned)
}

/// A value's beginning.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

fn bad(key: &str, value: &Value) -> AdapterError {
    AdapterError::BadValue { key: key.to_owned(), value: short(value) }
}

fn rank_of(key: &str, value: &Value) -> Result<u64, AdapterError> {
    value.as_u64().filter(|rank| *rank > 0).ok_or_else(|| bad(key, value))
}

fn alpha_of(key: &str, value: &Value) -> Result<f64, AdapterError> {
    value.as_f64().filter(|alpha| alpha.is_finite()).ok_or_else(|| bad(key, value))
}

fn switch(root: &Map<String, Value>, key: &str) -> Result<bool, AdapterError> {
    match root.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| bad(key, value)),
    }
}

/// The members of an object that may be absent.
fn members<'a>(
    root: &'a Map<String, Value>,
    key: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, AdapterError> {
    let members = match root.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::Object(members)) => Some(members),
        Some(value) => return Err(bad(key, value)),
    };
    Ok(members.into_iter().flatten())
}

/// The name that a pattern is, with `^` before it if it is the whole name. PEFT takes patterns for regular expressions that end
/// a module's path: an escaped dot is one, and a plain one is taken for one here too.
fn literal(pattern: &str) -> Option<String> {
    let (anchor, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("^", rest),
        None => ("", pattern),
    };
    let name = rest.strip_suffix('$').unwrap_or(rest).replace("\\.", ".");
    let is_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
    (!name.is_empty() && name.chars().all(is_name)).then(|| format!("{anchor}{name}"))
}

/// What a tensor of an adapter is, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// A of the module with this path.
    Down(String),
    /// B of it.
    Up(String),
    /// A of an embedding.
    EmbeddingDown(String),
    /// B of an embedding.
    EmbeddingUp(String),
    /// Instead of the tensor with one of these names.
    Whole(Vec<String>),
    /// What stood in the base before a module was trained whole. PEFT does not use it.
    Original,
}

/// `base_model.model.` before the module's path, `.lora_A` behind it, then perhaps the adapter's name, then `.weight`.
fn role(name: &str) -> Role {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    let module = |middle: &str, end: &str| {
        let (module, rest) = name.split_once(middle)?;
        let rest = rest.strip_suffix(end)?;
        let is_it = rest.is_empty() || rest.strip_prefix('.').is_some_and(|adapter| !adapter.contains('.'));
        is_it.then(|| module.to_owned())
    };
    let half = |middle: &str, end: &str, role: fn(String) -> Role| module(middle, end).map(role);
    let half = half(".lora_A", ".weight", Role::Down)
        .or_else(|| half(".lora_B", ".weight", Role::Up))
        .or_else(|| half(".lora_embedding_A", "", Role::EmbeddingDown))
        .or_else(|| half(".lora_embedding_B", "", Role::EmbeddingUp));
    if let Some(half) = half {
        return half;
    }
    if name.contains(".original_module.") {
        return Role::Original;
    }
    let name = name.replace(".base_layer.", ".");
    let Some((module, rest)) = name.split_once(".modules_to_save.") else { return Role::Whole(vec![name]) };
    // The adapter's name is in between, or not.
    let mut names = vec![format!("{module}.{rest}")];
    names.extend(rest.split_once('.').map(|(_, rest)| format!("{module}.{rest}")));
    Role::Whole(names)
}

/// The halves of a change.
#[derive(Default)]
struct Halves<'a> {
    down: Option<&'a str>,
    up: Option<&'a str>,
    embedding: bool,
}

impl Model {
    /// What this model, an adapter, does to `base`: by the names of `base`'s tensors.
    ///
    /// # Errors
    /// What does not fit, and tensors that `base` has no place for: PEFT leaves those out without a word.
    pub fn patches(&self, base: &Self) -> Result<BTreeMap<String, Patch>, AdapterError> {
        let adapter = self.adapter.as_ref().ok_or_else(|| AdapterError::NotAnAdapter { name: self.name.clone() })?;
        let mut patches: BTreeMap<String, Patch> = BTreeMap::new();
        let mut halves: BTreeMap<String, Halves<'_>> = BTreeMap::new();
        let mut unmatched = Vec::new();
        for name in self.tensors.keys() {
            let (module, is_up, embedding) = match role(name) {
                Role::Down(module) => (module, false, false),
                Role::Up(module) => (module, true, false),
                Role::EmbeddingDown(module) => (module, false, true),
                Role::EmbeddingUp(module) => (module, true, true),
                Role::Original => continue,
                Role::Whole(names) => {
                    match names.iter().find_map(|name| Some((name, base.find(name)?))) {
                        Some((wanted, of)) => self.replace(adapter, base, wanted, of, name, &mut patches)?,
                        None => unmatched.push(name.clone()),
                    }
                    continue;
                }
            };
            let of = halves.entry(module).or_default();
            of.embedding |= embedding;
            if let Some(first) = (if is_up { &mut of.up } else { &mut of.down }).replace(name) {
                return Err(twice(base, first, first, name));
            }
        }
        for (module, Halves { down, up, embedding }) in halves {
            let (Some(down), Some(up)) = (down, up) else {
                let tensor = down.or(up).unwrap_or_default().to_owned();
                return Err(AdapterError::Half { tensor });
            };
            let Some((of, tensor)) = base.find(&format!("{module}.weight")) else {
                unmatched.extend([down.to_owned(), up.to_owned()]);
                continue;
            };
            let change = self.change(adapter, base, (of, tensor), &module, [down, up], embedding)?;
            let patch = patches.entry(of.to_owned()).or_default();
            if let Some(first) = patch.change.replace(change) {
                return Err(twice(base, of, &first.down, down));
            }
        }
        if !unmatched.is_empty() {
            let count = unmatched.len() as u64;
            unmatched.truncate(3);
            return Err(AdapterError::Unmatched { base: base.name.clone(), tensors: unmatched, count });
        }
        Ok(patches)
    }

    /// Lets the adapter's tensor `name`, which is for `wanted`, stand for the tensor of the base that was found under that name.
    fn replace(
        &self,
        adapter: &Adapter,
        base: &Self,
        wanted: &str,
        (of, tensor): (&str, &Tensor),
        name: &str,
        patches: &mut BTreeMap<String, Patch>,
    ) -> Result<(), AdapterError> {
        let own = &self.tensors[name];
        is_float(of, tensor)?;
        is_float(name, own)?;
        if own.shape != tensor.shape {
            return Err(misfit(base, of, tensor, name, own));
        }
        let is_tied = |wanted: &str| base.is_head(wanted) && !base.is_head(of);
        let module = wanted.rsplit_once('.').map_or(wanted, |(module, _)| module);
        if is_tied(wanted) && (adapter.saves(module) || name.contains(".modules_to_save.")) {
            return Err(AdapterError::TiedHead { base: base.name.clone(), tensor: name.to_owned() });
        }
        let patch = patches.entry(of.to_owned()).or_default();
        match &patch.replacement {
            // PEFT saves a tied tensor under both its names: the embedding's counts.
            Some(_) if is_tied(wanted) => {}
            Some(first) if !matches!(role(first), Role::Whole(names) if names.iter().any(|name| is_tied(name))) => {
                return Err(twice(base, of, first, name));
            }
            _ => patch.replacement = Some(name.to_owned()),
        }
        Ok(())
    }

    /// The change that A and B make to a tensor of the base.
    fn change(
        &self,
        adapter: &Adapter,
        base: &Self,
        (of, tensor): (&str, &Tensor),
        module: &str,
        [down_name, up_name]: [&str; 2],
        embedding: bool,
    ) -> Result<Change, AdapterError> {
        let (down, up) = (&self.tensors[down_name], &self.tensors[up_name]);
        is_float(of, tensor)?;
        is_float(down_name, down)?;
        is_float(up_name, up)?;
        let misfits = |name, own| Err(misfit(base, of, tensor, name, own));
        let &[rank, down_size] = down.shape.as_slice() else { return misfits(down_name, down) };
        let &[up_size, up_rank] = up.shape.as_slice() else { return misfits(up_name, up) };
        let &[rows, columns] = tensor.shape.as_slice() else { return misfits(down_name, down) };
        let straight = (up_size, down_size) == (rows, columns) && !embedding;
        let turned = (down_size, up_size) == (rows, columns);
        if rank != up_rank || !(straight || turned) {
            return if down_size == columns || down_size == rows && turned {
                misfits(up_name, up)
            } else {
                misfits(down_name, down)
            };
        }
        let mut ranks = vec![adapter.rank];
        ranks.extend(&adapter.other_ranks);
        if !ranks.contains(&rank) {
            return Err(AdapterError::Rank { tensor: down_name.to_owned(), found: rank, expected: ranks });
        }
        let transposed = turned && (!straight || is_conv1d(adapter, base, module));
        let (name, held) = if transposed { (up_name, up) } else { (down_name, down) };
        if held.len > MAX_FACTOR {
            return Err(AdapterError::TooLarge { tensor: name.to_owned(), len: held.len, limit: MAX_FACTOR });
        }
        let (down, up) = (down_name.to_owned(), up_name.to_owned());
        Ok(Change { down, up, rank, scale: adapter.scale(module, rank), transposed })
    }
}

/// Whether a square matrix is stored transposed. PEFT goes by the module's class, and so do we where the model's type tells it.
fn is_conv1d(adapter: &Adapter, base: &Model, module: &str) -> bool {
    match base.config.as_ref().and_then(|config| config.model_type.as_deref()) {
        Some(model_type) => {
            let last = module.rsplit('.').next().unwrap_or(module);
            CONV1D.contains(&model_type) && CONV1D_MODULES.contains(&last)
        }
        None => adapter.fan_in_fan_out,
    }
}

fn is_float(name: &str, tensor: &Tensor) -> Result<(), AdapterError> {
    if tensor.dtype.is_float() {
        return Ok(());
    }
    Err(AdapterError::NotFloat { tensor: name.to_owned(), dtype: tensor.dtype.to_string() })
}

fn misfit(base: &Model, of: &str, tensor: &Tensor, adapter: &str, own: &Tensor) -> AdapterError {
    AdapterError::Shape {
        base: base.name.clone(),
        tensor: of.to_owned(),
        expected: tensor.shape.clone(),
        adapter: adapter.to_owned(),
        found: own.shape.clone(),
    }
}

fn twice(base: &Model, tensor: &str, first: &str, second: &str) -> AdapterError {
    AdapterError::Twice {
        base: base.name.clone(),
        tensor: tensor.to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

#[cfg(test)]
#[path = "lora_tests.rs"]
mod tests;
