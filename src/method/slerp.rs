//! SLERP: from the base to the other model along the arc between them (Shoemake, "Animating rotation with quaternion curves", 1985).

use super::{Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Combine, Groups, MaskRule, Space};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo};

/// Above this |cos| the arc is taken for its chord, as mergekit does.
const COLLINEAR: f64 = 0.9995;
/// A norm up to this is taken for 1, as mergekit does.
const TINY_NORM: f64 = 1e-8;

/// sin((1−t)·θ)/sin θ of the base plus sin(t·θ)/sin θ of the other.
pub(super) struct Slerp;

impl Method for Slerp {
    fn info(&self) -> MethodInfo {
        let t = "Where on the arc: 0 is the base, 1 is the other model.";
        MethodInfo {
            id: "slerp",
            title: "SLERP",
            summary: "From the base to the other model along the arc between them.",
            paper: "https://en.wikipedia.org/wiki/Slerp",
            base: BaseUse::Required,
            models: (1, Some(1)),
            parameters: vec![ParameterInfo::number("t", 0.0, 1.0, DefaultValue::Required, t)],
        }
    }

    fn program(&self, _: &TensorInputs<'_>) -> Program {
        Program { gram: Some(Groups::Whole), ..Program::new(Space::Inputs, vec![MaskRule::All; 2]) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let t = tensor.parameters.number("t");
        let base = tensor.base.unwrap_or(0);
        measured.weigh(|product| {
            let norm = |input| {
                let norm = product(input, input).sqrt();
                if norm > TINY_NORM { norm } else { 1.0 }
            };
            let cosine = (product(0, 1) / (norm(0) * norm(1))).clamp(-1.0, 1.0);
            let (of_base, of_other) = if cosine.abs() > COLLINEAR {
                (1.0 - t, t)
            } else {
                let angle = libm::acos(cosine);
                let sine = libm::sin(angle);
                (libm::sin((1.0 - t) * angle) / sine, libm::sin(t * angle) / sine)
            };
            let mut coefficients = vec![of_other; 2];
            coefficients[base] = of_base;
            coefficients
        })
    }

    fn missing(&self) -> Missing {
        Missing::CopySingle
    }
}
