//! Merge methods: the registry, and one file a method (or a family of one formula).
//!
//! A method says what parameters it takes ([`Method::info`]), what it needs measured and masked ([`Method::program`]), and how the
//! masked terms mix once the measures are in ([`Method::combine`]). It knows no backend, no file and no window.

mod linear;
mod slerp;
mod task_arithmetic;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::{Combine, Gram, L1, MaskRule, Space};
use crate::recipe::{MethodInfo, Value};

/// One merge method.
pub trait Method: Sync {
    /// Its description: the one place where its parameters, ranges and defaults are written.
    fn info(&self) -> MethodInfo;

    /// What to measure and mask for one tensor.
    fn program(&self, tensor: &TensorInputs<'_>) -> Program;

    /// How the masked terms combine, given the measures that the program asked for.
    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine;

    /// How the tensor is made when an input lacks it (see [`Missing`]).
    fn missing(&self) -> Missing;

    /// Whether it draws coins, so that the seed matters.
    fn draws_coins(&self) -> bool {
        false
    }

    /// Whether its coefficients divide by the sum of the inputs' weights, which therefore must not be zero.
    fn divides_by_weights(&self, _: &Resolved) -> bool {
        false
    }
}

/// What a method does when some inputs lack a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It goes on with the inputs that have it. A required base must be among them.
    MergeRest,
    /// It cannot go on with fewer inputs; a single one that has it is copied.
    CopySingle,
}

/// Everything a method knows of one tensor: resolved parameters, never weights.
#[derive(Clone, Copy, Debug)]
pub struct TensorInputs<'a> {
    /// Elements in the tensor.
    pub elements: u64,
    /// Which input is the base, if the method uses one.
    pub base: Option<usize>,
    /// Resolved parameters.
    pub parameters: &'a Resolved,
    /// For the random methods: one coin an input, its threshold yet to be set from a density.
    pub coins: &'a [CoinKey],
}

/// Resolved parameters of one tensor: plain values, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Those that all inputs share.
    pub shared: BTreeMap<String, Value>,
    /// Those of each input, in the order of the inputs; the base has only those of [`crate::recipe::Scope::Input`].
    pub inputs: Vec<BTreeMap<String, Value>>,
}

impl Resolved {
    /// The shared number called `name`; NaN if it is absent, which the plan rules out.
    pub fn number(&self, name: &str) -> f64 {
        number(&self.shared, name)
    }

    /// The shared flag called `name`.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.shared.get(name), Some(Value::Flag(true)))
    }

    /// The number called `name` of input `input`.
    pub fn input_number(&self, input: usize, name: &str) -> f64 {
        self.inputs.get(input).map_or(f64::NAN, |values| number(values, name))
    }
}

fn number(values: &BTreeMap<String, Value>, name: &str) -> f64 {
    match values.get(name) {
        Some(Value::Number(number)) => *number,
        _ => f64::NAN,
    }
}

/// Where an input's coins for one tensor come from: seed, tensor name and model, hashed by the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinKey {
    /// Philox key.
    pub key: [u32; 2],
    /// Upper half of the counter.
    pub stream: [u32; 2],
}

/// What a method asks of the backend for one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What the terms are.
    pub space: Space,
    /// One a term.
    pub masks: Vec<MaskRule>,
    /// Whether the Gram matrix of the terms is needed.
    pub gram: bool,
    /// Whether the terms' L1 norms, before and after their masks, are needed.
    pub l1: bool,
}

/// What was measured, as far as the program asked for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// The Gram matrix of the terms.
    pub gram: Option<Gram>,
    /// One a term, or empty.
    pub l1: Vec<L1>,
}

static REGISTRY: [&dyn Method; 6] = [
    &linear::Linear,
    &slerp::Slerp,
    &task_arithmetic::TASK_ARITHMETIC,
    &task_arithmetic::TIES,
    &task_arithmetic::DARE_LINEAR,
    &task_arithmetic::DARE_TIES,
];

/// Every method, in the order in which they are shown.
pub fn registry() -> &'static [&'static dyn Method] {
    &REGISTRY
}

/// The method called `id` in recipes.
pub fn find(id: &str) -> Option<&'static dyn Method> {
    registry().iter().copied().find(|method| method.info().id == id)
}

/// The descriptions of every method: what linter, form, plan, docs and command line read.
pub fn infos() -> Vec<MethodInfo> {
    registry().iter().map(|method| method.info()).collect()
}
