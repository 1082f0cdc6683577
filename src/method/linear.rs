//! Linear: the weighted average of the inputs ("model soups", arXiv 2203.05482).

use super::{Measured, Method, Missing, Program, Resolved, TensorInputs};
use crate::kernel::{Combine, MaskRule, Space};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, ParameterKind, Scope};

/// Σ wᵢ·xᵢ, divided by Σ wᵢ when `normalize` is on.
pub(super) struct Linear;

impl Method for Linear {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            id: "linear",
            title: "Linear",
            summary: "The weighted average of the models.",
            paper: "https://arxiv.org/abs/2203.05482",
            base: BaseUse::Ordinary,
            models: (1, None),
            parameters: vec![
                ParameterInfo {
                    name: "weight",
                    kind: ParameterKind::Number { min: 0.0, max: 1.0, floor: None },
                    scope: Scope::Input,
                    default: DefaultValue::Required,
                    help: "How much of this model goes into the average.",
                },
                ParameterInfo {
                    name: "normalize",
                    kind: ParameterKind::Flag,
                    scope: Scope::Shared,
                    default: DefaultValue::Flag(true),
                    help: "Divide by the sum of the weights.",
                },
            ],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let inputs = tensor.parameters.inputs.len();
        Program { space: Space::Inputs, masks: vec![MaskRule::All; inputs], gram: false, l1: false }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, _: &Measured) -> Combine {
        let weights: Vec<f64> =
            (0..tensor.parameters.inputs.len()).map(|input| tensor.parameters.input_number(input, "weight")).collect();
        let divisor = if tensor.parameters.flag("normalize") { weights.iter().sum() } else { 1.0 };
        Combine::Sum { coefficients: weights.iter().map(|weight| weight / divisor).collect() }
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }

    fn divides_by_weights(&self, parameters: &Resolved) -> bool {
        parameters.flag("normalize")
    }
}
