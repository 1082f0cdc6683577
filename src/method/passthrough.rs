//! Passthrough: one model's tensors as they are, or scaled.

use super::{Measured, Method, Missing, Program, Resolved, TensorInputs};
use crate::kernel::{Combine, MaskRule};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, Scope};

/// s·x.
pub(super) struct Passthrough;

impl Method for Passthrough {
    fn info(&self) -> MethodInfo {
        let scale = "Multiplies the weights. Without it they are copied to the byte.";
        MethodInfo {
            id: "passthrough",
            title: "Passthrough",
            summary: "One model's weights as they are, or scaled.",
            paper: "https://github.com/arcee-ai/mergekit",
            base: BaseUse::Ordinary,
            models: (1, Some(1)),
            parameters: vec![ParameterInfo::number("scale", 0.0, 1.0, DefaultValue::Absent, scale).of(Scope::Input)],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        Program::new(tensor.space(), vec![MaskRule::All; tensor.terms()])
    }

    fn combine(&self, tensor: &TensorInputs<'_>, _: &Measured) -> Combine {
        Combine::Sum { coefficients: tensor.numbers("scale") }
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }

    fn copies(&self, parameters: &Resolved) -> bool {
        parameters.input_number(0, "scale").is_nan()
    }
}
