//! mergekit's YAML: what a recipe is, how its text is read, checked, repaired, written and shared.
//!
//! Everything here is plain data and text. What methods exist and which parameters they take comes in as data
//! ([`MethodInfo`]); this module imports nothing else of the engine.

mod check;
mod complete;
mod describe;
mod examples;
mod link;
mod problem;
mod reader;
mod repair;
mod scalar;
mod setting;
mod span;
mod suggest;
mod write;

pub use check::{Checked, check};
pub use complete::{Completion, complete};
pub use describe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, ParameterKind, Scope};
pub use examples::{Example, examples};
pub use link::{Link, LinkError, LinkInput};
pub use problem::{Expected, Fix, FixKind, Found, Place, Problem, ProblemKind, Severity};
pub use repair::{RefusedReason, Repair, RepairKind, RepairNote, repair};
pub use setting::{Setting, Settings, Value};
pub use span::{Edit, Span};
pub use suggest::suggest;
pub use write::write;

use serde::{Deserialize, Serialize};

/// A recipe that was read and found sound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// `merge_method`, as written.
    pub merge_method: String,
    /// `base_model`: a name, in the list of models or not.
    pub base_model: Option<String>,
    /// `models`, in order; empty where there are `slices` or `modules`.
    pub models: Vec<ModelEntry>,
    /// `slices`, in the order of the output's layers.
    pub slices: Vec<Slice>,
    /// `modules`: the parts of a model that has several, each with models or slices of its own.
    pub modules: Vec<Module>,
    /// The recipe's own `parameters`.
    pub parameters: Settings,
    /// `dtype`: the type of the result unless `out_dtype` says otherwise.
    pub dtype: Option<FloatName>,
    /// `out_dtype`.
    pub out_dtype: Option<FloatName>,
    /// `tokenizer`, or what `tokenizer_source` says of it.
    pub tokenizer: Option<TokenizerRule>,
    /// `chat_template`: `auto`, a built-in name, or a Jinja text.
    pub chat_template: Option<String>,
    /// What is merged before it, each an input of a later one or of the recipe itself, in an order in which all can be made. Their
    /// own `stages` are empty.
    pub stages: Vec<Stage>,
}

/// A recipe whose result is an input of another: a document of its own in the text, with a `name`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `name`: models of this name (with a revision or an adapter behind it, or without) are its result.
    pub name: String,
    /// What it merges.
    pub recipe: Recipe,
}

impl Recipe {
    /// Which of the stages the model called `name` is the result of.
    pub fn stage_of(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == model_path(name))
    }

    /// The parts that are merged each by itself: `modules`, or the recipe's own models or slices as one part called `default`.
    pub fn parts(&self) -> Vec<Part<'_>> {
        if self.modules.is_empty() {
            let parameters = None;
            return vec![Part { name: DEFAULT_MODULE, models: &self.models, slices: &self.slices, parameters }];
        }
        self.modules
            .iter()
            .map(|Module { name, models, slices, parameters }| Part {
                name,
                models,
                slices,
                parameters: Some(parameters),
            })
            .collect()
    }
}

/// The name of the only part of a model that has one.
pub const DEFAULT_MODULE: &str = "default";

/// A part of the merge: all of a model, or one of its modules. Either `models` or `slices` is empty.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The module's name.
    pub name: &'a str,
    /// Whole models, layer by layer.
    pub models: &'a [ModelEntry],
    /// Ranges of layers.
    pub slices: &'a [Slice],
    /// The module's own `parameters`.
    pub parameters: Option<&'a Settings>,
}

/// One entry of `slices`: as many layers of the output as each of its sources has in its range.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// `sources`, in order.
    pub sources: Vec<SliceSource>,
    /// A `base_model` for this slice alone.
    pub base_model: Option<String>,
    /// The slice's `parameters`.
    pub parameters: Settings,
}

/// One entry of a slice's `sources`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceSource {
    /// The name or path, as written.
    pub model: String,
    /// `layer_range`: first layer, and the one after the last. May be empty; mergekit takes a reversed range for an empty one.
    pub layers: (u64, u64),
    /// Its own `parameters`.
    pub parameters: Settings,
}

/// One entry of `modules`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// Its key: what the architecture calls the part.
    pub name: String,
    /// `models`; empty where there are `slices`.
    pub models: Vec<ModelEntry>,
    /// `slices`.
    pub slices: Vec<Slice>,
    /// The module's `parameters`.
    pub parameters: Settings,
}

/// `tokenizer`: the output's vocabulary, and where the embeddings of its tokens come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenizerRule {
    /// `source`.
    pub source: TokenizerSource,
    /// `tokens`, in order: tokens with a rule of their own, which are added where the source lacks them.
    pub tokens: Vec<(String, TokenRule)>,
    /// `pad_to_multiple_of`: rows of embedding and head are filled up to a multiple of this.
    pub pad_to_multiple_of: Option<u64>,
}

/// Whose vocabulary the output has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenizerSource {
    /// The base's tokens, then those that only the others have.
    #[default]
    Union,
    /// The base's; without a base, the first model's.
    Base,
    /// That of the model of this name.
    Model(String),
}

/// Where one token's embedding comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRule {
    /// `source`; without one, as for any other token.
    pub source: Option<TokenSource>,
    /// `force`: also for models that have the token.
    pub force: bool,
}

/// `source` of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenSource {
    /// `kind: zero`.
    Zero,
    /// The same token of a model.
    Model(String),
    /// `kind: model_token` with `token`: another token of a model.
    Token {
        /// The model's name.
        model: String,
        /// The token.
        token: String,
    },
    /// `kind: model_token` with `token_id`: a row of a model.
    Id {
        /// The model's name.
        model: String,
        /// The row.
        id: u64,
    },
}

/// A model's name in its parts: the model, and the adapter behind a `+`.
pub fn split_adapter(name: &str) -> (&str, Option<&str>) {
    match name.split_once('+') {
        Some((model, adapter)) => (model, Some(adapter)),
        None => (name, None),
    }
}

/// A model's name without its adapter and its revision.
pub fn model_path(name: &str) -> &str {
    let model = split_adapter(name).0;
    model.split_once('@').map_or(model, |(path, _)| path)
}

/// The chat templates that a recipe may name instead of giving a text; `auto` is the one that most of its models have.
pub const CHAT_TEMPLATES: [&str; 6] = check::words::TEMPLATES;

/// One entry of `models`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The name or path, as written.
    pub model: String,
    /// Its own `parameters`.
    pub parameters: Settings,
}

/// The spellings of `dtype` that stand for a floating-point type (with or without `torch.`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum FloatName {
    Float16,
    Bfloat16,
    Float32,
    Float64,
}

impl FloatName {
    /// Every spelling.
    pub const ALL: [Self; 4] = [Self::Float16, Self::Bfloat16, Self::Float32, Self::Float64];

    /// The spelling without `torch.`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}
