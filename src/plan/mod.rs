//! Recipe + models → a plan: one job an output tensor, with its sources, resolved parameters, rule, type and place in the
//! output, and the reason for everything that is copied, tied or left out.
//!
//! The plan is plain data. The page previews it, the ledger reports it, the progress bar counts it, and the output's headers are
//! known from it before the first weight is read.

mod build;
mod coin;
mod error;
mod groups;
mod layout;
mod parameters;
mod sources;
mod stages;
mod tensors;
pub mod vocabulary;

#[cfg(test)]
mod tests;

pub use build::{float_of, plan};
pub use error::{Expected, PlanError};
pub use groups::input_names;
pub use stages::{PlannedStage, last_use, stage_binding};
pub use vocabulary::tokenizers_wanted;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::DType;
use crate::kernel::{Float, Precision};
use crate::method::{CoinKey, Resolved};
use crate::recipe::split_adapter;

/// A merge, ready to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The method's id.
    pub method: String,
    /// The inputs in recipe order (the base among them). [`SourceTensor::model`] counts in it.
    pub inputs: Vec<PlannedInput>,
    /// Which input config, tokenizer and companions come from.
    pub donor: usize,
    /// Every output tensor, in the order of its bytes.
    pub jobs: Vec<Job>,
    /// The weight files of the output, with their headers.
    pub files: Vec<OutputFile>,
    /// Tensors of an input that the output does not have, and why.
    pub left_out: Vec<LeftOut>,
    /// What a person should know before running it.
    pub notices: Vec<PlanNotice>,
    /// The seed of the random methods.
    pub seed: u64,
    /// For recipes with slices: where the layers of each part of the output come from. Empty where they are the inputs'.
    pub layers: Vec<SectionLayers>,
    /// Where rows of vocabularies come from; [`Assembly::rows`] counts in it.
    pub row_maps: Vec<RowMap>,
    /// What is merged before it, in this order, to be an input of it or of a later one of these. Empty for one document.
    pub stages: Vec<PlannedStage>,
}

impl Plan {
    /// The folders that the plan and its stages are made from, by the names that the recipe has for them, with their fingerprints; each
    /// once. What is written `model+adapter` is two.
    pub fn folders(&self) -> Vec<(&str, &str)> {
        let mut folders: Vec<(&str, &str)> = Vec::new();
        for input in self.models() {
            let name = split_adapter(&input.name).0;
            if folders.iter().all(|(known, _)| *known != name) {
                folders.push((name, &input.fingerprint));
            }
        }
        folders
    }
}

/// One input of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedInput {
    /// The name in the recipe.
    pub name: String,
    /// Which of the opened models it is bound to.
    pub model: usize,
    /// That model's fingerprint.
    pub fingerprint: String,
    /// The adapter that is applied to it (`model+adapter`): an input of its own, whose tensors only changes are made of.
    pub adapter: Option<usize>,
}

/// The layers of a part of the output, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionLayers {
    /// The part's name in the recipe: a module, or `default`.
    pub section: String,
    /// Where each comes from.
    pub layers: Vec<LayerSource>,
}

/// Where a layer of the output comes from: of a slice with several sources, the first one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSource {
    /// Index into [`Plan::inputs`].
    pub input: usize,
    /// The layer's number there.
    pub layer: u64,
}

/// One output tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<u64>,
    /// Its element type in the output.
    pub dtype: DType,
    /// How it is made.
    pub rule: Rule,
    /// The inputs that it is made from, in recipe order.
    pub sources: Vec<SourceTensor>,
    /// Index into [`Plan::files`].
    pub file: usize,
    /// First byte in that file (the header counted).
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// How an output tensor is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// The method merges its sources.
    Merge(MergeRule),
    /// The bytes of its only source are copied, or cast if the types differ.
    Copy(CopyReason),
}

/// How a merge merges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeRule {
    /// Which of the job's sources is the base.
    pub base: Option<usize>,
    /// Parameters, one entry in `inputs` a source.
    pub parameters: Resolved,
    /// Coins, one a source; empty for methods that draw none.
    pub coins: Vec<CoinKey>,
    /// The width of the arithmetic.
    pub precision: Precision,
    /// The result's type.
    pub out: Float,
}

/// Why a tensor is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyReason {
    /// Integers or booleans, the same in every input (checked while copying).
    NotFloat,
    /// Only one input has it.
    OnlyOne,
    /// The base has it and too few other inputs do.
    OnlyBase,
    /// The method leaves it as it is.
    Untouched,
    /// It is in none of the recipe's modules: the donor's stays.
    OutsideModules,
}

/// One tensor of one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceTensor {
    /// Index into [`Plan::inputs`].
    pub input: usize,
    /// Its name in that model (another than the job's where an alias or a tie was followed).
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Index into the model's weight files.
    pub file: usize,
    /// First byte in that file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// What is done to its numbers before a method sees them; most often nothing.
    pub assembly: Option<Box<Assembly>>,
}

/// How a source's numbers come from more than its own stretch of a file: widened, a low-rank change added, rows put in the order
/// of the output's vocabulary. In this order, in f32 (f64 where the source is F64), and not rounded back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assembly {
    /// A LoRA adapter's change.
    pub change: Option<LowRank>,
    /// Index into [`Plan::row_maps`].
    pub rows: Option<usize>,
}

/// `scale` · B·A, added to a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LowRank {
    /// A: rank × columns.
    pub down: SourceTensor,
    /// B: rows × rank.
    pub up: SourceTensor,
    /// The rank.
    pub rank: u64,
    /// alpha / rank, or with rank-stabilised LoRA alpha / √rank.
    pub scale: f64,
    /// Whether the matrix is stored transposed (`fan_in_fan_out`): then (B·A)ᵀ is added.
    pub transposed: bool,
}

/// The rows of a vocabulary's tensor, from the first to the last, in runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowMap {
    /// How many rows, and where they come from.
    pub runs: Vec<(u64, RowOrigin)>,
}

/// Where a run of rows comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowOrigin {
    /// The source's own, from this row on.
    Own(u64),
    /// The mean of rows of the job's sources, from these (index into [`Plan::inputs`], row) on; of one, that row itself.
    Mean(Vec<(usize, u64)>),
    /// Zeros.
    Zero,
    /// The mean of all rows before the run: what pads a vocabulary.
    MeanAbove,
}

/// One weight file of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// `model.safetensors`, or `model-00001-of-0000N.safetensors`.
    pub name: String,
    /// Length prefix and header, as they stand at the file's beginning.
    pub header: Vec<u8>,
    /// Length in bytes, header included.
    pub len: u64,
}

/// A tensor that the output does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Index into [`Plan::inputs`].
    pub input: usize,
    /// Its name.
    pub tensor: String,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why a tensor is not in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeftOutReason {
    /// It is the head of a model with tied embeddings: the embedding stands for it.
    Tied,
    /// Its layer is in no slice; or it stands before or after the layers, and those are another slice's.
    NotInSlices,
}

/// What a person should know before running a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanNotice {
    /// An input's tokenizer differs from the donor's, and the recipe does not align them: the same token ids mean different things.
    TokenizersDiffer {
        /// The input's name.
        input: String,
        /// How many ids mean different things, and the first of them. Zero where the tokenizers were not read.
        count: u64,
        /// The first few, by id.
        first: Vec<TokenDifference>,
    },
    /// What was met while vocabularies were aligned.
    Vocabulary(vocabulary::VocabularyNotice),
    /// A tensor is missing from some inputs and is merged from the rest, or copied.
    Missing {
        /// Its name.
        tensor: String,
        /// Names of the inputs that lack it.
        inputs: Vec<String>,
    },
    /// Something about a merge before this one.
    InStage {
        /// The stage's name.
        stage: String,
        /// What.
        notice: Box<PlanNotice>,
    },
    /// The donor has no config.json, so the output has none.
    NoConfig {
        /// The donor's name.
        input: String,
    },
    /// The donor has no tokenizer, so the output has none.
    NoTokenizer {
        /// The donor's name.
        input: String,
    },
}

/// An id that stands for different tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDifference {
    /// The id.
    pub id: u64,
    /// What it is in the donor's tokenizer, if anything.
    pub donor: Option<String>,
    /// What it is in the input's.
    pub input: Option<String>,
}

/// Choices of the person that are not in the recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanOptions {
    /// Seed of the random methods.
    pub seed: u64,
    /// Largest size of one weight file in bytes.
    pub shard_size: u64,
    /// Written into every weight file's `__metadata__`, beside `format: pt`.
    pub metadata: BTreeMap<String, String>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { seed: 0, shard_size: 5_000_000_000, metadata: BTreeMap::new() }
    }
}
