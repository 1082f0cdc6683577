//! Karcher mean: the point of the sphere from which the squared angles to all models are least (arXiv 2603.04972).

use super::{Measured, Method, Missing, Program, Refusal, TensorInputs};
use crate::kernel::{Combine, Groups, MaskRule};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo};

/// Gradient steps on the sphere, on coefficients instead of tensors: every point met is a combination of the inputs, and angles
/// between combinations need the Gram matrix only. The result has the mean of the inputs' norms.
pub(super) struct Karcher;

impl Method for Karcher {
    fn info(&self) -> MethodInfo {
        let tol = "Angles, steps and norms below this are zero.";
        MethodInfo {
            id: "karcher",
            title: "Karcher mean",
            summary: "The mean of the models on the sphere, all counting the same.",
            paper: "https://arxiv.org/abs/2603.04972",
            base: BaseUse::Ordinary,
            models: (1, None),
            parameters: vec![
                ParameterInfo::number("max_iter", 1.0, 50.0, DefaultValue::Number(10.0), "How many steps at most."),
                ParameterInfo::number("tol", 1e-9, 1e-3, DefaultValue::Number(1e-5), tol),
            ],
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let masks = vec![MaskRule::All; tensor.terms()];
        let gram = (masks.len() > 1).then_some(Groups::Whole);
        Program { gram, ..Program::new(tensor.space(), masks) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let count = tensor.terms();
        if count == 1 {
            return Combine::Sum { coefficients: vec![1.0] };
        }
        let (steps, tol) = (tensor.parameters.number("max_iter") as u32, tensor.parameters.number("tol"));
        measured.weigh(|product| {
            let norms: Vec<f64> = (0..count).map(|term| product(term, term).sqrt()).collect();
            let valid: Vec<usize> = (0..count).filter(|&term| norms[term] > tol).collect();
            let Some(&first) = valid.first() else { return vec![0.0; count] };
            // Points are combinations of the unit vectors of the valid terms.
            let inner = |a: &[f64], b: &[f64]| -> f64 {
                let at = |i: usize, j: usize| a[i] * b[j] * product(i, j) / (norms[i] * norms[j]);
                valid.iter().map(|&i| valid.iter().map(|&j| at(i, j)).sum::<f64>()).sum()
            };
            let length = |a: &[f64]| inner(a, a).max(0.0).sqrt();
            let scaled = |a: &[f64], by: f64| -> Vec<f64> { a.iter().map(|value| value * by).collect() };
            let unit = |term: usize| -> Vec<f64> { (0..count).map(|at| f64::from(u8::from(at == term))).collect() };
            let share = 1.0 / valid.len() as f64;

            let mut mean = vec![0.0; count];
            for &term in &valid {
                mean[term] = share;
            }
            match length(&mean) {
                short if short < tol => mean = unit(first),
                length => mean = scaled(&mean, 1.0 / length),
            }
            for _ in 0..steps {
                let mut tangent = vec![0.0; count];
                for &term in &valid {
                    let along = inner(&mean, &unit(term)).clamp(-1.0, 1.0);
                    let angle = libm::acos(along);
                    // Towards the opposite point all ways are equally long. (mergekit takes one that rounding chose.)
                    if angle < tol || std::f64::consts::PI - angle < tol {
                        continue;
                    }
                    let by = share * angle / libm::sin(angle);
                    for at in 0..count {
                        tangent[at] += by * (f64::from(u8::from(at == term)) - along * mean[at]);
                    }
                }
                let step = length(&tangent);
                if step < tol {
                    break;
                }
                let (cosine, sine) = (libm::cos(step), libm::sin(step) / step);
                for at in 0..count {
                    mean[at] = cosine * mean[at] + sine * tangent[at];
                }
                let length = length(&mean);
                if length > tol {
                    mean = scaled(&mean, 1.0 / length);
                }
            }
            let norm = norms.iter().sum::<f64>() / count as f64;
            let coefficient = |term: usize| if norms[term] > tol { norm * mean[term] / norms[term] } else { 0.0 };
            (0..count).map(coefficient).collect()
        })
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }

    fn check(&self, tensor: &TensorInputs<'_>) -> Result<(), Refusal> {
        let value = tensor.parameters.number("max_iter");
        if value.fract() == 0.0 { Ok(()) } else { Err(Refusal::NotWhole { parameter: "max_iter", value }) }
    }
}
