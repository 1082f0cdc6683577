//! Task arithmetic and what grew from it: base + λ·Σ wᵢ·mask(δᵢ), with or without an election of signs.
//!
//! Task arithmetic (arXiv 2212.04089), TIES (2306.01708: trim, elect, disjoint merge), DARE (2311.03099: drop and rescale),
//! DELLA (2406.11617: drop by rank and rescale) and Breadcrumbs (2312.06795: leave out the largest and the smallest).
//! `rescale` brings each masked task vector back to its L1 norm, as mergekit does; it does not divide by the density.

use super::{CoinKey, Measured, Method, Missing, Program, Refusal, TensorInputs};
use crate::kernel::{Coin, Combine, MaskRule, Power, RankedCoin};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, Scope};

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
    /// It keeps what coins say, the larger within its row the likelier.
    Ranked,
    /// It loses its largest and its smallest.
    Middle,
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

pub(super) static DELLA_LINEAR: TaskArithmetic = TaskArithmetic {
    id: "della_linear",
    title: "DELLA linear",
    summary: "Drop changes at random, small ones more often, rescale the rest, and add them up.",
    paper: "https://arxiv.org/abs/2406.11617",
    sparsify: Sparsify::Ranked,
    elect: false,
    normalize: false,
    rescale: true,
};

pub(super) static DELLA: TaskArithmetic = TaskArithmetic {
    id: "della",
    title: "DELLA",
    summary: "Drop changes at random, small ones more often, rescale the rest, and average those that agree with the elected sign.",
    paper: "https://arxiv.org/abs/2406.11617",
    sparsify: Sparsify::Ranked,
    elect: true,
    normalize: true,
    rescale: true,
};

pub(super) static BREADCRUMBS: TaskArithmetic = TaskArithmetic {
    id: "breadcrumbs",
    title: "Model Breadcrumbs",
    summary: "Leave out the largest and the smallest changes, and add up the rest.",
    paper: "https://arxiv.org/abs/2312.06795",
    sparsify: Sparsify::Middle,
    elect: false,
    normalize: false,
    rescale: false,
};

pub(super) static BREADCRUMBS_TIES: TaskArithmetic = TaskArithmetic {
    id: "breadcrumbs_ties",
    title: "Breadcrumbs TIES",
    summary: "Leave out the largest and the smallest changes, and add up those that agree with the elected sign.",
    paper: "https://arxiv.org/abs/2312.06795",
    sparsify: Sparsify::Middle,
    elect: true,
    normalize: false,
    rescale: false,
};

impl Method for TaskArithmetic {
    fn info(&self) -> MethodInfo {
        let own = |name, max, default, help| ParameterInfo::number(name, 0.0, max, default, help).of(Scope::NonBase);
        let weight = "How much of this model's task vector is added.";
        let sums = "Scales the sum before it is added to the base.";
        let mut density = own(
            "density",
            1.0,
            DefaultValue::Number(1.0),
            match self.sparsify {
                Sparsify::Nothing => "Accepted, but this method keeps every change.",
                Sparsify::Magnitude => "The share of this model's changes that is kept, the largest first.",
                Sparsify::Random => "The share of this model's changes that is kept, at random.",
                Sparsify::Ranked => "The share of this model's changes that is kept on the average.",
                Sparsify::Middle => "The share of this model's changes that is kept, after the largest were dropped.",
            },
        );
        let mut rescale =
            ParameterInfo::flag("rescale", self.rescale, "Bring each masked task vector back to the L1 norm it had.");
        if self.sparsify == Sparsify::Random {
            density = density.at_least(0.0);
        }
        if self.sparsify == Sparsify::Nothing {
            (density, rescale) = (density.idle(), rescale.idle());
        }
        let mut parameters = vec![own("weight", 1.0, DefaultValue::Required, weight), density];
        match self.sparsify {
            Sparsify::Middle => {
                let gamma = "The share of this model's changes that is dropped for being the largest.";
                parameters.push(own("gamma", 0.1, DefaultValue::Number(0.01), gamma));
            }
            Sparsify::Ranked => {
                let epsilon =
                    "How much likelier than density the largest change of a row is kept, and the smallest is dropped.";
                parameters.push(own("epsilon", 0.5, DefaultValue::Number(0.15), epsilon));
            }
            _ => {}
        }
        parameters.extend([
            ParameterInfo::number("lambda", 0.0, 2.0, DefaultValue::Number(1.0), sums),
            ParameterInfo::flag("normalize", self.normalize, "Divide by the sum of the weights that take part."),
            rescale,
            ParameterInfo::int8_mask(),
        ]);
        MethodInfo {
            id: self.id,
            title: self.title,
            summary: self.summary,
            paper: self.paper,
            base: BaseUse::Required,
            models: (0, None),
            parameters,
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let space = tensor.space();
        let masks: Vec<MaskRule> = (0..tensor.terms()).map(|term| self.mask(tensor, space.input_of(term))).collect();
        let sparse = masks.iter().any(|mask| !matches!(mask, MaskRule::All | MaskRule::Nothing));
        let norms = (sparse && tensor.parameters.flag("rescale")).then_some(Power::One);
        Program { norms, ..Program::new(space, masks) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let weights = tensor.numbers("weight");
        let rescale = |term: usize| match measured.norms.get(term) {
            Some(norms) if norms.all >= TINY_NORM && norms.kept >= TINY_NORM => norms.all / norms.kept,
            _ => 1.0,
        };
        let mut coefficients: Vec<f64> =
            weights.iter().enumerate().map(|(term, weight)| weight * rescale(term)).collect();
        let lambda = tensor.parameters.number("lambda");
        let normalize = tensor.parameters.flag("normalize");
        if self.elect {
            let least = f64::NEG_INFINITY;
            return Combine::Vote { coefficients, weights, unweighted: false, normalize, least, lambda };
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
        matches!(self.sparsify, Sparsify::Random | Sparsify::Ranked)
    }

    fn check(&self, tensor: &TensorInputs<'_>) -> Result<(), Refusal> {
        if self.sparsify != Sparsify::Ranked {
            return Ok(());
        }
        for term in 0..tensor.terms() {
            let input = tensor.space().input_of(term);
            let [density, epsilon] = ["density", "epsilon"].map(|name| tensor.parameters.input_number(input, name));
            let draws = density > 0.0 && density < 1.0;
            if draws && (density + epsilon >= 1.0 || density - epsilon <= 0.0) {
                return Err(Refusal::Chances { input, density, epsilon });
            }
        }
        Ok(())
    }
}

impl TaskArithmetic {
    fn mask(&self, tensor: &TensorInputs<'_>, input: usize) -> MaskRule {
        let number = |name| tensor.parameters.input_number(input, name);
        let (density, elements) = (number("density"), tensor.elements());
        if self.sparsify == Sparsify::Nothing || density >= 1.0 {
            return MaskRule::All;
        }
        if density <= 0.0 || elements == 0 {
            return MaskRule::Nothing;
        }
        let coin = |threshold| {
            let CoinKey { key, stream } = tensor.coins[input];
            Coin { key, stream, threshold }
        };
        let share = |of: f64| (of * elements as f64) as i64;
        let band = |skip: u64, keep: u64| match (skip, keep) {
            (_, 0) => MaskRule::Nothing,
            (0, keep) if keep >= elements => MaskRule::All,
            (skip, keep) => MaskRule::Band { skip, keep },
        };
        match self.sparsify {
            Sparsify::Nothing => MaskRule::All,
            Sparsify::Magnitude => band(0, (share(density) as u64).max(1)),
            Sparsify::Random => MaskRule::Coin(coin((density * 4_294_967_296.0) as u32)),
            Sparsify::Ranked => {
                let epsilon = number("epsilon");
                // Ranks run along the second dimension; a vector is one line.
                let line = if tensor.shape.len() < 2 { elements } else { tensor.shape[1] };
                let stride = tensor.shape.iter().skip(2).product();
                let (low, high) = (density - epsilon, density + epsilon);
                MaskRule::Ranked(RankedCoin { coin: coin(0), low, high, line, stride })
            }
            Sparsify::Middle => {
                // Counted from the smallest: fewer of the largest are dropped where the density asks for them.
                let elements = elements as i64;
                let smallest = (elements - share(density) - share(number("gamma"))).clamp(0, elements);
                let end = (smallest + share(density)).min(elements);
                band((elements - end) as u64, (end - smallest) as u64)
            }
        }
    }
}
