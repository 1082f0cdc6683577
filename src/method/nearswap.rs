//! NearSwap: take the other model's weights where they are near the base's (alchemonaut's QuartetAnemoi).

use super::{Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Combine, MaskRule, Space};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo};

/// w·other + (1 − w)·base with w = t/|base − other|, at most 1.
pub(super) struct NearSwap;

impl Method for NearSwap {
    fn info(&self) -> MethodInfo {
        let t = "Weights nearer than this are the other model's; those further apart move by this much.";
        MethodInfo {
            id: "nearswap",
            title: "NearSwap",
            summary: "Swap in the other model's weights where they are near the base's.",
            paper: "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
            base: BaseUse::Required,
            models: (1, Some(1)),
            parameters: vec![ParameterInfo::number("t", 0.0, 0.01, DefaultValue::Required, t)],
        }
    }

    fn program(&self, _: &TensorInputs<'_>) -> Program {
        Program::new(Space::Inputs, vec![MaskRule::All; 2])
    }

    fn combine(&self, tensor: &TensorInputs<'_>, _: &Measured) -> Combine {
        Combine::Near { base: tensor.base.unwrap_or(0), t: tensor.parameters.number("t") }
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }
}
