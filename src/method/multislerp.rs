//! Multi-SLERP: the weighted barycentre on a sphere, in the tangent space at the weighted mean
//! (<https://goddard.blog/posts/multislerp-wow-what-a-cool-idea>).

use super::{Measured, Method, Missing, Program, Refusal, TensorInputs};
use crate::kernel::{Combine, Groups, MaskRule, Space};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo, Scope};

/// Unit vectors to their weighted mean m, logarithms there, their weighted sum, and back along the exponential map; times the
/// weighted mean of the norms. All of it happens in the span of the inputs, and needs their Gram matrix only.
pub(super) struct MultiSlerp;

impl Method for MultiSlerp {
    fn info(&self) -> MethodInfo {
        let weight = "How much of this model goes into the mean.";
        MethodInfo {
            id: "multislerp",
            title: "Multi-SLERP",
            summary: "The weighted mean of several models on the sphere, or, given a base, of what they learned.",
            paper: "https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
            base: BaseUse::Optional,
            models: (1, None),
            parameters: vec![
                ParameterInfo::number("weight", 0.0, 1.0, DefaultValue::Required, weight).of(Scope::NonBase),
                ParameterInfo::flag("normalize_weights", true, "Divide the weights by their sum."),
                ParameterInfo::number("eps", 0.0, 1e-6, DefaultValue::Number(1e-8), "Keeps divisions from zero."),
            ],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        if tensor.terms() == 1 {
            // A model alone is what comes out, to the byte: no delta is formed.
            let mask = |input| if Some(input) == tensor.base { MaskRule::Nothing } else { MaskRule::All };
            return Program::new(Space::Inputs, (0..tensor.parameters.inputs.len()).map(mask).collect());
        }
        let masks = vec![MaskRule::All; tensor.terms()];
        Program { gram: Some(Groups::Whole), ..Program::new(tensor.space(), masks) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let mut weights = tensor.numbers("weight");
        if let [_] = weights[..] {
            return Combine::Sum { coefficients: vec![1.0; tensor.parameters.inputs.len()] };
        }
        if tensor.parameters.flag("normalize_weights") {
            let sum: f64 = weights.iter().sum();
            for weight in &mut weights {
                *weight /= sum;
            }
        }
        let eps = tensor.parameters.number("eps");
        measured.weigh(|product| {
            let count = weights.len();
            let norms: Vec<f64> = (0..count).map(|term| product(term, term).sqrt()).collect();
            // Unit vectors are the terms over these.
            let unit = |term: usize| norms[term] + eps;
            // ⟨a, b⟩ of two combinations of unit vectors.
            let inner = |a: &[f64], b: &[f64]| -> f64 {
                let rows = (0..count)
                    .map(|i| (0..count).map(|j| a[i] * b[j] * product(i, j) / (unit(i) * unit(j))).sum::<f64>());
                rows.sum()
            };
            let length = |a: &[f64]| inner(a, a).max(0.0).sqrt();
            let mean_length = length(&weights);
            if mean_length < eps {
                // Opposite vectors in balance have no mean direction: the chord is all there is. (mergekit stops at three of them.)
                return weights.clone();
            }
            let mean: Vec<f64> = weights.iter().map(|weight| weight / mean_length).collect();
            let mut tangent = vec![0.0; count];
            for (term, weight) in weights.iter().enumerate() {
                let mut own = vec![0.0; count];
                own[term] = 1.0;
                let along = inner(&own, &mean);
                for at in 0..count {
                    tangent[at] += weight * (own[at] - along * mean[at]);
                }
            }
            let angle = length(&tangent) + eps;
            let (cosine, sine) = (libm::cos(angle), libm::sin(angle) / angle);
            let norm: f64 = norms.iter().zip(&weights).map(|(norm, weight)| norm * weight).sum();
            (0..count).map(|term| norm * (mean[term] * cosine + tangent[term] * sine) / unit(term)).collect()
        })
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }

    fn check(&self, tensor: &TensorInputs<'_>) -> Result<(), Refusal> {
        let weights = tensor.numbers("weight");
        let divides = tensor.parameters.flag("normalize_weights") && weights.len() > 1;
        if divides && weights.iter().sum::<f64>() == 0.0 { Err(Refusal::ZeroWeights) } else { Ok(()) }
    }
}
