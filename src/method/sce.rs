//! SCE: select where the models differ most, weigh them by how much they learned, erase what is outvoted (arXiv 2408.07990).

use super::{Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Combine, MaskRule, Power};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo};

/// Mean squares whose sum is below this say nothing: all models count the same.
const TINY_ENERGY: f64 = 1e-6;
/// The least that the merged changes are divided by.
const LEAST_DIVISOR: f64 = 1e-6;

/// The elements of largest variance across the task vectors; weights by mean square; the sum of those that agree with the sign of
/// the plain sum, over their weights.
pub(super) struct Sce;

impl Method for Sce {
    fn info(&self) -> MethodInfo {
        let select =
            "The share of the weights in which the models differ that takes part, those that differ most first.";
        MethodInfo {
            id: "sce",
            title: "SCE",
            summary: "Merge what the models changed most differently, each model counting as much as it learned.",
            paper: "https://arxiv.org/abs/2408.07990",
            base: BaseUse::Required,
            models: (0, None),
            parameters: vec![
                ParameterInfo::number("select_topk", 0.0, 1.0, DefaultValue::Number(1.0), select),
                ParameterInfo::int8_mask(),
            ],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let mask = match tensor.parameters.number("select_topk") {
            share if share >= 1.0 => MaskRule::All,
            share if share > 0.0 => MaskRule::Varied { share },
            _ => MaskRule::Nothing,
        };
        Program { norms: Some(Power::Two), ..Program::new(tensor.space(), vec![mask; tensor.terms()]) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let elements = tensor.elements() as f64;
        let mut weights: Vec<f64> = measured.norms.iter().map(|norms| norms.kept / elements).collect();
        let sum: f64 = weights.iter().sum();
        let count = weights.len() as f64;
        for weight in &mut weights {
            *weight = if sum < TINY_ENERGY { 1.0 / count } else { *weight / sum };
        }
        Combine::Vote {
            coefficients: weights.clone(),
            weights,
            unweighted: true,
            normalize: true,
            least: LEAST_DIVISOR,
            lambda: 1.0,
        }
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }
}
