//! Task arithmetic and what grew from it: base + λ·Σ wᵢ·mask(δᵢ), with or without an election of signs.
//!
//! Task arithmetic (arXiv 2212.04089), TIES (2306.01708: trim, elect, disjoint merge) and DARE (2311.03099: drop and rescale).
//! `rescale` brings each masked task vector back to its L1 norm, as mergekit does; it does not divide by the density.

use super::{CoinKey, Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Coin, Combine, MaskRule, Space};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, ParameterKind, Scope};

/// L1 norms below this are not rescaled.
const TINY_NORM: f64 = 1e-7;
/// A divisor closer to zero than this is taken for 1 when nothing is elected.
const TINY_DIVISOR: f64 = 1e-8;

/// How a task vector loses elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sparsify {
    /// It keeps all.
    Nothing,
    /// It keeps its largest ("trim").
    Magnitude,
    /// It keeps what coins say ("drop").
    Random,
}

/// One of the family.
pub(super) struct TaskArithmetic {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    paper: &'static str,
    sparsify: Sparsify,
    elect: bool,
    normalize: bool,
    rescale: bool,
}

pub(super) static TASK_ARITHMETIC: TaskArithmetic = TaskArithmetic {
    id: "task_arithmetic",
    title: "Task arithmetic",
    summary: "The base plus a weighted sum of what each model learned.",
    paper: "https://arxiv.org/abs/2212.04089",
    sparsify: Sparsify::Nothing,
    elect: false,
    normalize: false,
    rescale: false,
};

pub(super) static TIES: TaskArithmetic = TaskArithmetic {
    id: "ties",
    title: "TIES",
    summary: "Trim small changes, elect a sign for each weight, and average the changes that agree with it.",
    paper: "https://arxiv.org/abs/2306.01708",
    sparsify: Sparsify::Magnitude,
    elect: true,
    normalize: true,
    rescale: false,
};

pub(super) static DARE_LINEAR: TaskArithmetic = TaskArithmetic {
    id: "dare_linear",
    title: "DARE linear",
    summary: "Drop changes at random, rescale the rest, and add them up.",
    paper: "https://arxiv.org/abs/2311.03099",
    sparsify: Sparsify::Random,
    elect: false,
    normalize: false,
    rescale: true,
};

pub(super) static DARE_TIES: TaskArithmetic = TaskArithmetic {
    id: "dare_ties",
    title: "DARE TIES",
    summary: "Drop changes at random, rescale the rest, and add up those that agree with the elected sign.",
    paper: "https://arxiv.org/abs/2311.03099",
    sparsify: Sparsify::Random,
    elect: true,
    normalize: false,
    rescale: true,
};

impl Method for TaskArithmetic {
    fn info(&self) -> MethodInfo {
        let flag = |name, default, help| ParameterInfo {
            name,
            kind: ParameterKind::Flag,
            scope: Scope::Shared,
            default: DefaultValue::Flag(default),
            help,
        };
        let density_floor = (self.sparsify == Sparsify::Random).then_some(0.0);
        MethodInfo {
            id: self.id,
            title: self.title,
            summary: self.summary,
            paper: self.paper,
            base: BaseUse::Required,
            models: (1, None),
            parameters: vec![
                ParameterInfo {
                    name: "weight",
                    kind: ParameterKind::Number { min: 0.0, max: 1.0, floor: None },
                    scope: Scope::NonBase,
                    default: DefaultValue::Required,
                    help: "How much of this model's task vector is added.",
                },
                ParameterInfo {
                    name: "density",
                    kind: ParameterKind::Number { min: 0.0, max: 1.0, floor: density_floor },
                    scope: Scope::NonBase,
                    default: DefaultValue::Number(1.0),
                    help: match self.sparsify {
                        Sparsify::Nothing => "Accepted, but this method keeps every change.",
                        Sparsify::Magnitude => "The share of this model's changes that is kept, the largest first.",
                        Sparsify::Random => "The share of this model's changes that is kept, at random.",
                    },
                },
                ParameterInfo {
                    name: "lambda",
                    kind: ParameterKind::Number { min: 0.0, max: 2.0, floor: None },
                    scope: Scope::Shared,
                    default: DefaultValue::Number(1.0),
                    help: "Scales the sum before it is added to the base.",
                },
                flag("normalize", self.normalize, "Divide by the sum of the weights that take part."),
                flag("rescale", self.rescale, "Bring each masked task vector back to the L1 norm it had."),
                flag("int8_mask", false, "Accepted for mergekit's sake: masks here take no memory."),
            ],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let base = tensor.base.unwrap_or(0);
        let space = Space::Deltas { base };
        let terms = space.terms(tensor.parameters.inputs.len());
        let masks: Vec<MaskRule> = (0..terms).map(|term| self.mask(tensor, space.input_of(term))).collect();
        let sparse = masks.iter().any(|mask| matches!(mask, MaskRule::Top { .. } | MaskRule::Coin(_)));
        Program { space, l1: sparse && tensor.parameters.flag("rescale"), masks, gram: false }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let space = Space::Deltas { base: tensor.base.unwrap_or(0) };
        let parameters = tensor.parameters;
        let terms = space.terms(parameters.inputs.len());
        let weights: Vec<f64> =
            (0..terms).map(|term| parameters.input_number(space.input_of(term), "weight")).collect();
        let rescale = |term: usize| match measured.l1.get(term) {
            Some(l1) if l1.all >= TINY_NORM && l1.kept >= TINY_NORM => l1.all / l1.kept,
            _ => 1.0,
        };
        let mut coefficients: Vec<f64> =
            weights.iter().enumerate().map(|(term, weight)| weight * rescale(term)).collect();
        let lambda = parameters.number("lambda");
        let normalize = parameters.flag("normalize");
        if self.elect {
            return Combine::Vote { coefficients, weights, normalize, lambda };
        }
        let sum: f64 = weights.iter().sum();
        let divisor = if normalize && sum.abs() >= TINY_DIVISOR { sum } else { 1.0 };
        for coefficient in &mut coefficients {
            *coefficient = *coefficient * lambda / divisor;
        }
        Combine::Sum { coefficients }
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }

    fn draws_coins(&self) -> bool {
        self.sparsify == Sparsify::Random
    }
}

impl TaskArithmetic {
    fn mask(&self, tensor: &TensorInputs<'_>, input: usize) -> MaskRule {
        let density = tensor.parameters.input_number(input, "density");
        if self.sparsify == Sparsify::Nothing || density >= 1.0 {
            return MaskRule::All;
        }
        if density <= 0.0 || tensor.elements == 0 {
            return MaskRule::Nothing;
        }
        match self.sparsify {
            Sparsify::Random => {
                let CoinKey { key, stream } = tensor.coins[input];
                MaskRule::Coin(Coin { key, stream, threshold: (density * 4_294_967_296.0) as u32 })
            }
            _ => match ((density * tensor.elements as f64) as u64).max(1) {
                keep if keep >= tensor.elements => MaskRule::All,
                keep => MaskRule::Top { keep },
            },
        }
    }
}
