//! How fast a device merges: a fixed merge of made-up models, by several methods, beside a plain copy of the same bytes.
//!
//! Models and plans are made here, and figures of what was timed. It has no clock and runs no merge: the host runs the plans as it runs
//! any other ([`crate::run::job`]), and says how long each round took. No file is read or written.

mod copy;
mod figures;
mod kept;
mod made;
pub mod near;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use copy::copy;
pub use figures::{Beside, Figure, Row, Timed, markdown, table};
pub use kept::Kept;
pub use made::Made;

use crate::format::DType;
use crate::method;
use crate::model::{Family, Model, Tensor, WeightFile};
use crate::plan::{self, Plan, PlanError, PlanOptions};
use crate::recipe;

/// What is timed, in this order. The copy moves what ties reads and writes.
pub const TASKS: [&str; 5] = [COPY, "linear", "slerp", "ties", "dare_ties"];
/// The first of them.
pub const COPY: &str = "copy";
/// Their recipes.
const RECIPES: [&str; 5] = [TIES, LINEAR, SLERP, TIES, DARE_TIES];
const LINEAR: &str = "\
merge_method: linear
models: [{model: base}, {model: one}, {model: two}]
parameters: {weight: 0.3}
dtype: bfloat16
";
const SLERP: &str = "\
merge_method: slerp
base_model: base
models: [{model: base}, {model: one}]
parameters: {t: 0.4}
dtype: bfloat16
";
const TIES: &str = "\
merge_method: ties
base_model: base
models: [{model: one}, {model: two}]
parameters: {weight: 0.5, density: 0.5}
dtype: bfloat16
";
const DARE_TIES: &str = "\
merge_method: dare_ties
base_model: base
models: [{model: one}, {model: two}]
parameters: {weight: 0.5, density: 0.5}
dtype: bfloat16
";
/// Layers of the models: 67 MB each.
pub const LAYERS: u64 = 16;

/// Rows and columns of a layer's matrix. Beside it stands a vector of as many columns, so that small tensors have a part in it.
const MATRIX: [u64; 2] = [1024, 2048];
/// The base and two fine-tunes.
const MODELS: [&str; 3] = ["base", "one", "two"];

/// The models' weights in memory, in the order in which [`plan`] counts them.
pub fn models() -> [Made; 3] {
    let elements = MATRIX.iter().product::<u64>() as usize;
    [0, 1, 2].map(|model| Made::new(model, elements))
}

/// The plan of a task: a base and fine-tunes of it in bf16, of `layers` layers each; slerp takes one of the fine-tunes.
///
/// # Errors
/// None that is known: what plans any merge says so.
pub fn plan(task: usize, layers: u64) -> Result<Plan, PlanError> {
    let recipe = recipe::check(RECIPES[task], &method::infos()).recipe.unwrap_or_default();
    let mut binding = BTreeMap::new();
    binding.extend((0..).zip(MODELS).map(|(model, name)| (name.to_owned(), model)));
    plan::plan(&recipe, &vec![model(layers); MODELS.len()], &binding, &BTreeMap::new(), &PlanOptions::default())
}

/// The weights of a plan's inputs.
pub fn sources(plan: &Plan, models: &[Made]) -> Vec<Vec<Made>> {
    plan.inputs.iter().map(|input| models.get(input.model).cloned().into_iter().collect()).collect()
}

/// Any of the models, as if its file had been opened: no header stands before the weights.
fn model(layers: u64) -> Model {
    let mut tensors = BTreeMap::new();
    let mut offset = 0;
    for layer in 0..layers {
        for (part, shape) in [("proj", &MATRIX[..]), ("norm", &MATRIX[1..])] {
            let len = shape.iter().product::<u64>() * DType::BF16.size();
            let tensor = Tensor { file: 0, dtype: DType::BF16, shape: shape.to_vec(), offset, len };
            tensors.insert(format!("layers.{layer}.{part}.weight"), tensor);
            offset += len;
        }
    }
    Model {
        name: String::new(),
        weight_files: vec![WeightFile { name: "model.safetensors".to_owned(), len: offset }],
        tensors,
        config: None,
        family: Family::Llama,
        companions: BTreeMap::new(),
        vocabulary: None,
        fingerprint: String::new(),
        notices: Vec::new(),
        adapter: None,
    }
}
