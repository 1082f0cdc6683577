//! Merge methods: the registry, and one file a method (or a family of one formula).
//!
//! A method says what parameters it takes ([`Method::info`]), what it needs measured and masked ([`Method::program`]), and how the
//! masked terms mix once the measures are in ([`Method::combine`]). It knows no backend, no file and no window.

mod arcee_fusion;
mod karcher;
mod linear;
mod model_stock;
mod multislerp;
mod nearswap;
mod nuslerp;
mod passthrough;
mod ram;
mod sce;
mod slerp;
mod task_arithmetic;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::{Combine, Gram, Groups, MaskRule, Norms, Overlap, Power, Space};
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

    /// Whether the tensor is the bytes of its only source.
    fn copies(&self, _: &Resolved) -> bool {
        false
    }

    /// What no tensor can be merged with.
    ///
    /// # Errors
    /// See [`Refusal`].
    fn check(&self, _: &TensorInputs<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Parameters that are of the right kind and still make no merge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// The weights of an average sum to zero, and it divides by their sum.
    ZeroWeights,
    /// A parameter that counts something is no whole number.
    NotWhole {
        /// Which.
        parameter: &'static str,
        /// Its value.
        value: f64,
    },
    /// DELLA's chances, density ± epsilon, are not all between 0 and 1.
    Chances {
        /// Of which input.
        input: usize,
        /// Its density.
        density: f64,
        /// Its epsilon.
        epsilon: f64,
    },
}

/// What a method does when some inputs lack a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It goes on with the inputs that have it. A base must be among them; with fewer others than the method takes, it is copied.
    MergeRest,
    /// It cannot go on with fewer inputs; a single one that has it is copied.
    CopySingle,
}

/// Everything a method knows of one tensor: resolved parameters, never weights.
#[derive(Clone, Copy, Debug)]
pub struct TensorInputs<'a> {
    /// Its dimensions.
    pub shape: &'a [u64],
    /// Which input is the base, if the method uses one and the recipe names one.
    pub base: Option<usize>,
    /// Resolved parameters.
    pub parameters: &'a Resolved,
    /// For the random methods: one coin an input, its threshold yet to be set from a density.
    pub coins: &'a [CoinKey],
}

impl TensorInputs<'_> {
    /// Elements in the tensor.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements of the last dimension: a number or a vector is one row.
    pub fn row(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1).max(1)
    }

    /// Elements of one entry of the first dimension.
    pub fn column(&self) -> u64 {
        self.shape.iter().skip(1).product::<u64>().max(1)
    }

    /// Task vectors where there is a base, the inputs where not.
    pub fn space(&self) -> Space {
        self.base.map_or(Space::Inputs, |base| Space::Deltas { base })
    }

    /// How many terms that gives.
    pub fn terms(&self) -> usize {
        self.space().terms(self.parameters.inputs.len())
    }

    /// The number called `name` of every term's input.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let space = self.space();
        (0..self.terms()).map(|term| self.parameters.input_number(space.input_of(term), name)).collect()
    }
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
    /// Whether Gram matrices of the terms are needed, and of which groups of elements.
    pub gram: Option<Groups>,
    /// Whether the terms' norms, before and after their masks, are needed, and which.
    pub norms: Option<Power>,
    /// Whether it is needed how often the masked terms are not zero.
    pub overlap: bool,
    /// Whether the rows' divergence scales the scores ([`crate::kernel::cpu::Divergence`]): of the base from the other input.
    pub divergence: bool,
}

impl Program {
    /// One that measures nothing but what its masks need.
    pub fn new(space: Space, masks: Vec<MaskRule>) -> Self {
        Self { space, masks, gram: None, norms: None, overlap: false, divergence: false }
    }
}

/// What was measured, as far as the program asked for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// The Gram matrices of the terms.
    pub gram: Option<Gram>,
    /// One a term, or empty.
    pub norms: Vec<Norms>,
    /// One a term, or empty.
    pub overlap: Vec<Overlap>,
}

impl Measured {
    /// A sum of the terms whose coefficients come from the Gram matrix of each group: `of` is given a way to look it up.
    fn weigh(&self, of: impl Fn(&dyn Fn(usize, usize) -> f64) -> Vec<f64>) -> Combine {
        let Some(gram) = &self.gram else { return Combine::Sum { coefficients: of(&|_, _| 0.0) } };
        let groups = gram.sums.len() / Gram::pairs(gram.terms).max(1);
        let coefficients: Vec<f64> = (0..groups).flat_map(|group| of(&|i, j| gram.at(group, i, j))).collect();
        match gram.groups {
            Groups::Whole => Combine::Sum { coefficients },
            groups => Combine::Grouped { groups, coefficients },
        }
    }
}

static REGISTRY: [&dyn Method; 20] = [
    &linear::Linear,
    &slerp::Slerp,
    &nuslerp::NuSlerp,
    &multislerp::MultiSlerp,
    &karcher::Karcher,
    &task_arithmetic::TASK_ARITHMETIC,
    &task_arithmetic::TIES,
    &task_arithmetic::DARE_LINEAR,
    &task_arithmetic::DARE_TIES,
    &task_arithmetic::DELLA_LINEAR,
    &task_arithmetic::DELLA,
    &task_arithmetic::BREADCRUMBS,
    &task_arithmetic::BREADCRUMBS_TIES,
    &sce::Sce,
    &ram::RAM,
    &ram::RAMPLUS_TL,
    &model_stock::ModelStock,
    &nearswap::NearSwap,
    &arcee_fusion::ArceeFusion,
    &passthrough::Passthrough,
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
