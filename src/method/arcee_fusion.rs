//! Arcee Fusion: take over the changes that stand out (<https://arcee.ai>).

use super::{Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Combine, MaskRule};
use crate::recipe::{BaseUse, MethodInfo};

/// A change's importance is |δ| · KL(softmax of the other's row ‖ softmax of the base's row). Those from
/// median + 1.5·(third − first quartile) on are taken over.
pub(super) struct ArceeFusion;

impl Method for ArceeFusion {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            id: "arcee_fusion",
            title: "Arcee Fusion",
            summary: "Take over the changes that stand out, and leave the rest of the base alone.",
            paper: "https://arcee.ai",
            base: BaseUse::Required,
            models: (1, Some(1)),
            parameters: Vec::new(),
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        Program { divergence: true, ..Program::new(tensor.space(), vec![MaskRule::Outliers]) }
    }

    fn combine(&self, _: &TensorInputs<'_>, _: &Measured) -> Combine {
        Combine::Sum { coefficients: vec![1.0] }
    }

    fn missing(&self) -> Missing {
        Missing::CopySingle
    }
}
