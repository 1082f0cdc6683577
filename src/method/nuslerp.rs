//! NuSLERP: spherical interpolation of two models, or of what they learned, whole or by rows or columns (mergekit).

use super::{Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Combine, Groups, MaskRule};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, Scope};

/// A norm below this is taken for it, as mergekit does.
const TINY_NORM: f64 = 1e-7;
/// Where 1 − cos² is not above this, the vectors are parallel or opposite, and the arc is taken for its chord. (mergekit's 1e-16 is
/// less than the rounding of a cosine: there, what opposite vectors give hangs on its last bit.)
const COLLINEAR: f64 = 1e-12;
/// Weights whose sum is smaller than this count as equal.
const TINY_SUM: f64 = 1e-6;

/// sin((1−t)·θ)/sin θ of the first plus sin(t·θ)/sin θ of the second, t = w₂/(w₁ + w₂).
pub(super) struct NuSlerp;

impl Method for NuSlerp {
    fn info(&self) -> MethodInfo {
        let weight = "How far the arc is followed towards this model; only the ratio of the two weights counts.";
        MethodInfo {
            id: "nuslerp",
            title: "NuSLERP",
            summary: "Along the arc between two models, or, given a base, between what they learned.",
            paper: "https://en.wikipedia.org/wiki/Slerp",
            base: BaseUse::Optional,
            models: (2, Some(2)),
            parameters: vec![
                ParameterInfo::number("weight", 0.0, 1.0, DefaultValue::Required, weight).of(Scope::NonBase),
                ParameterInfo::flag(
                    "nuslerp_flatten",
                    true,
                    "One arc for the whole tensor, instead of one for each row.",
                ),
                ParameterInfo::flag(
                    "nuslerp_row_wise",
                    false,
                    "One arc for each column, where tensors are not flattened.",
                ),
            ],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let groups = match (tensor.parameters.flag("nuslerp_flatten"), tensor.parameters.flag("nuslerp_row_wise")) {
            (true, _) => Groups::Whole,
            (false, false) => Groups::Rows(tensor.row()),
            // mergekit's name speaks of the dimension that is summed over.
            (false, true) => Groups::Columns(tensor.column()),
        };
        Program { gram: Some(groups), ..Program::new(tensor.space(), vec![MaskRule::All; tensor.terms()]) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let weights = tensor.numbers("weight");
        let sum: f64 = weights.iter().sum();
        let t = if sum.abs() < TINY_SUM { 0.5 } else { weights[1] / sum };
        measured.weigh(|product| {
            let norm = |term| product(term, term).sqrt().max(TINY_NORM);
            let cosine = (product(0, 1) / (norm(0) * norm(1))).clamp(-1.0, 1.0);
            if 1.0 - cosine * cosine <= COLLINEAR {
                return vec![1.0 - t, t];
            }
            let angle = libm::acos(cosine);
            let sine = libm::sin(angle);
            vec![libm::sin((1.0 - t) * angle) / sine, libm::sin(t * angle) / sine]
        })
    }

    fn missing(&self) -> Missing {
        Missing::CopySingle
    }
}
