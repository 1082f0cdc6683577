//! Linear: the weighted average of the inputs ("model soups", arXiv 2203.05482).

use super::{Measured, Method, Missing, Program, Refusal, TensorInputs};
use crate::kernel::{Combine, MaskRule};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, Scope};

/// Σ wᵢ·xᵢ, divided by Σ wᵢ when `normalize` is on.
pub(super) struct Linear;

impl Method for Linear {
    fn info(&self) -> MethodInfo {
        let weight = "How much of this model goes into the average.";
        MethodInfo {
            id: "linear",
            title: "Linear",
            summary: "The weighted average of the models.",
            paper: "https://arxiv.org/abs/2203.05482",
            base: BaseUse::Ordinary,
            models: (1, None),
            parameters: vec![
                ParameterInfo::number("weight", 0.0, 1.0, DefaultValue::Required, weight).of(Scope::Input),
                ParameterInfo::flag("normalize", true, "Divide by the sum of the weights."),
            ],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        Program::new(tensor.space(), vec![MaskRule::All; tensor.terms()])
    }

    fn combine(&self, tensor: &TensorInputs<'_>, _: &Measured) -> Combine {
        let weights = tensor.numbers("weight");
        let divisor = if tensor.parameters.flag("normalize") { weights.iter().sum() } else { 1.0 };
        Combine::Sum { coefficients: weights.iter().map(|weight| weight / divisor).collect() }
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }

    fn check(&self, tensor: &TensorInputs<'_>) -> Result<(), Refusal> {
        let divides = tensor.parameters.flag("normalize");
        if divides && tensor.numbers("weight").iter().sum::<f64>() == 0.0 { Err(Refusal::ZeroWeights) } else { Ok(()) }
    }
}
