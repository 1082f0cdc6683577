//! Why a recipe and its models make no plan.

use serde::{Deserialize, Serialize};

use super::vocabulary::VocabularyError;
use crate::format::DType;
use crate::model::{AdapterError, Quantized};

/// A plan that cannot be made. Nothing was read or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[allow(missing_docs)] // The messages name the fields.
pub enum PlanError {
    /// The recipe's method is not in the registry.
    #[error("merge method {0} is unknown")]
    UnknownMethod(String),
    /// A name of the recipe stands for no opened model.
    #[error("no loaded model is bound to {0}")]
    Unbound(String),
    /// The method works on task vectors and the recipe names no base.
    #[error("{method} needs a base_model")]
    BaseMissing { method: String },
    /// Too few or too many models.
    #[error("{method} takes {least}{} models, a base not counted; the recipe names {found}", most_words(*.least, *.most))]
    ModelCount { method: String, least: usize, most: Option<usize>, found: usize },
    /// The inputs are not equally deep.
    #[error(
        "{first} has {first_layers} layers and {second} has {second_layers}: models of different depth cannot be merged layer by layer"
    )]
    LayersDiffer { first: String, first_layers: u64, second: String, second_layers: u64 },
    /// A slice asks for layers that a model does not have.
    #[error("layer_range ends at {end}, and {model} has {layers} layers: the last range it can give ends at {layers}")]
    LayerRange { model: String, end: u64, layers: u64 },
    /// The sources of a slice give unequal numbers of layers. Slices count from 1.
    #[error("the sources of slice {slice} have layer_ranges of different lengths: layers are merged one with one")]
    SliceLengths { slice: usize },
    /// The base of a method that works from one is not among a slice's sources. Slices count from 1.
    #[error(
        "{base} is the base, and slice {slice} has no source of it: add one, for a base never joins a slice by itself"
    )]
    BaseNotInSlice { base: String, slice: usize },
    /// A folder that holds an adapter stands where a model should.
    #[error("{name} is a LoRA adapter and no model: write MODEL+{name}{}", .base.as_ref().map_or_else(String::new, |base| format!("; it was trained on {base}")))]
    IsAdapter { name: String, base: Option<String> },
    /// A model's weights are quantized.
    #[error("{name} {how}")]
    Quantized { name: String, how: Box<Quantized> },
    /// An adapter does not go with its model, or is of a kind that is not supported.
    #[error("{name}: {error}")]
    Adapter { name: String, error: Box<AdapterError> },
    /// The vocabularies cannot be aligned.
    #[error("{0}")]
    Vocabulary(Box<VocabularyError>),
    /// A module of the recipe has no tensors in the model that gives the configuration.
    #[error("there is no module {module} in this model; it has {}", list_of(.known))]
    NoSuchModule { module: String, known: Vec<String> },
    /// Two inputs disagree about a tensor's shape.
    #[error("{tensor} has shape {first_shape:?} in {first} and {second_shape:?} in {second}{}", if *.vocabulary { ": the vocabularies differ in size; add `tokenizer_source: union` to the recipe, or `base`, to align them" } else { "" })]
    ShapesDiffer {
        tensor: String,
        first: String,
        first_shape: Vec<u64>,
        second: String,
        second_shape: Vec<u64>,
        /// Whether only the rows of an embedding or a head differ.
        vocabulary: bool,
    },
    /// Two inputs disagree about what kind of numbers a tensor holds.
    #[error("{tensor} is {first_dtype} in {first} and {second_dtype} in {second}: these cannot be combined")]
    KindsDiffer { tensor: String, first: String, first_dtype: DType, second: String, second_dtype: DType },
    /// The base lacks a tensor that other inputs have.
    #[error("{tensor} is in {input} but not in the base {base}: there is no task vector to form")]
    MissingInBase { tensor: String, input: String, base: String },
    /// Fewer inputs have a tensor than the method can do with.
    #[error("{tensor} is missing from {missing:?}")]
    MissingTensor { tensor: String, missing: Vec<String> },
    /// A required parameter has no value for a tensor (no filter matched, say).
    #[error("parameter {parameter} has no value for {tensor}{}", of_input(.input.as_deref()))]
    NoValue { parameter: String, tensor: String, input: Option<String> },
    /// A parameter has a value that is not of its kind, not finite, or below what the method takes.
    #[error("parameter {parameter} is {value} for {tensor}{}: {}", of_input(.input.as_deref()), .expected.words())]
    BadValue { parameter: String, value: String, tensor: String, input: Option<String>, expected: Expected },
    /// The weights of an average sum to zero.
    #[error(
        "the weights for {tensor} sum to zero, and the average divides by that sum; change a weight or set normalize: false"
    )]
    ZeroWeights { tensor: String },
    /// DELLA's chances leave the range of chances.
    #[error(
        "density {density} ± epsilon {epsilon} of {input} for {tensor} must both lie between 0 and 1: lower epsilon, or bring density nearer to 0.5"
    )]
    Chances { tensor: String, input: String, density: f64, epsilon: f64 },
    /// One of the merges before the output's cannot be planned.
    #[error("stage {stage}: {error}")]
    InStage { stage: String, error: Box<PlanError> },
    /// The files beside the weights of such a merge cannot be made.
    #[error("stage {stage}: {why}")]
    StageFiles { stage: String, why: String },
    /// The models have no tensors.
    #[error("the models hold no tensors")]
    NothingToMerge,
}

/// What a parameter's value should have been.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expected {
    /// A finite number.
    Number,
    /// true or false.
    Flag,
    /// A whole number.
    Whole,
    /// A number that is at least this.
    AtLeast(f64),
}

impl Expected {
    fn words(self) -> String {
        match self {
            Self::Number => "expected a finite number".to_owned(),
            Self::Flag => "expected true or false".to_owned(),
            Self::Whole => "expected a whole number".to_owned(),
            Self::AtLeast(floor) => format!("expected at least {floor}"),
        }
    }
}

fn of_input(input: Option<&str>) -> String {
    input.map_or_else(String::new, |input| format!(" of {input}"))
}

fn list_of(names: &[String]) -> String {
    std::iter::once("default").chain(names.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
}

fn most_words(least: usize, most: Option<usize>) -> String {
    match most {
        Some(most) if most == least => String::new(),
        Some(most) => format!(" to {most}"),
        None => " or more".to_owned(),
    }
}
