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
pub use problem::{Expected, Feature, Fix, FixKind, Found, Place, Problem, ProblemKind, Severity};
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
    /// `models`, in order.
    pub models: Vec<ModelEntry>,
    /// The recipe's own `parameters`.
    pub parameters: Settings,
    /// `dtype`: the type of the result unless `out_dtype` says otherwise.
    pub dtype: Option<FloatName>,
    /// `out_dtype`.
    pub out_dtype: Option<FloatName>,
}

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
