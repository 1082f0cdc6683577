//! Model Stock: the base plus the mean of what the models learned, as far as they learned the same (arXiv 2403.19522).

use super::{Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Combine, Groups, MaskRule};
use crate::recipe::{BaseUse, MethodInfo, ParameterInfo};

/// Products of norms below this are taken for it, as mergekit does.
const TINY_PRODUCT: f64 = 1e-6;
/// Denominators closer to zero than this leave the base as it is.
const SINGULAR: f64 = 1e-6;

/// t = N·cos θ / (1 + (N − 1)·cos θ) of the way from the base to the average of N models, θ the mean angle between task vectors.
pub(super) struct ModelStock;

impl Method for ModelStock {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            id: "model_stock",
            title: "Model Stock",
            summary: "From the base towards the average of the models, the further the more they agree.",
            paper: "https://arxiv.org/abs/2403.19522",
            base: BaseUse::Required,
            models: (2, None),
            parameters: vec![ParameterInfo::flag("filter_wise", false, "Decide how far for each row by itself.")],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let by_rows = tensor.parameters.flag("filter_wise");
        let groups = if by_rows { Groups::Rows(tensor.row()) } else { Groups::Whole };
        Program { gram: Some(groups), ..Program::new(tensor.space(), vec![MaskRule::All; tensor.terms()]) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let count = tensor.terms();
        measured.weigh(|product| {
            let norm = |term: usize| product(term, term).sqrt();
            let cosine = |i: usize, j: usize| (product(i, j) / (norm(i) * norm(j)).max(TINY_PRODUCT)).clamp(-1.0, 1.0);
            let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
            let cosines: Vec<f64> = pairs.map(|(i, j)| cosine(i, j)).collect();
            let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
            let denominator = 1.0 + (count - 1) as f64 * mean;
            let t = if denominator.abs() < SINGULAR { 0.0 } else { count as f64 * mean / denominator };
            vec![t / count as f64; count]
        })
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }
}
