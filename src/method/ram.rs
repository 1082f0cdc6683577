//! Reinforced Agent Merging (arXiv 2601.13572): what one model alone changed is added whole, what several changed is averaged.
//! RAM+ adds more of a model's own changes the more of its other changes it shares, here tensor by tensor.

use super::{Measured, Method, Missing, Program, TensorInputs};
use crate::kernel::{Combine, MaskRule};
use crate::recipe::{BaseUse, DefaultValue, MethodInfo, ParameterInfo};

/// A model changed an element if |δ| > epsilon. base + Σ of: λᵢ·δᵢ where i alone changed it, δᵢ/k where k models did.
pub(super) struct Ram {
    plus: bool,
}

pub(super) static RAM: Ram = Ram { plus: false };
pub(super) static RAMPLUS_TL: Ram = Ram { plus: true };

impl Method for Ram {
    fn info(&self) -> MethodInfo {
        let number =
            |name, max, default, help| ParameterInfo::number(name, 0.0, max, DefaultValue::Number(default), help);
        let mut parameters = vec![number("epsilon", 1e-3, 1e-5, "Changes up to this size count as none.")];
        if self.plus {
            parameters.push(number("r", 1.0, 0.1, "How strongly a model's own changes grow with what it shares."));
            parameters.push(number("alpha", 1.0, 0.2, "The most that sharing counts."));
        }
        let summary = if self.plus {
            "RAM, with more of a model's own changes the more of its others it shares."
        } else {
            "Add what one model alone changed, average what several did."
        };
        MethodInfo {
            id: if self.plus { "ramplus_tl" } else { "ram" },
            title: if self.plus { "RAM+ (tensor-local)" } else { "RAM" },
            summary,
            paper: "https://arxiv.org/abs/2601.13572",
            base: BaseUse::Required,
            models: (0, None),
            parameters,
        }
    }

    fn program(&self, tensor: &TensorInputs<'_>) -> Program {
        let epsilon = tensor.parameters.number("epsilon");
        let mask = if epsilon < 0.0 { MaskRule::All } else { MaskRule::Above(epsilon) };
        let measures = self.plus && tensor.terms() > 0 && epsilon >= 0.0;
        Program { overlap: measures, ..Program::new(tensor.space(), vec![mask; tensor.terms()]) }
    }

    fn combine(&self, tensor: &TensorInputs<'_>, measured: &Measured) -> Combine {
        let terms = tensor.terms();
        let epsilon = tensor.parameters.number("epsilon");
        if epsilon < 0.0 {
            // Even no change counts as one, so that every element has changed in every model.
            return Combine::Sum { coefficients: vec![1.0 / terms as f64; terms] };
        }
        let mut coefficients = vec![1.0; terms];
        let (r, alpha) = (tensor.parameters.number("r"), tensor.parameters.number("alpha"));
        for (coefficient, overlap) in coefficients.iter_mut().zip(&measured.overlap) {
            let shared = overlap.shared as f64 / (overlap.alone as f64).max(epsilon);
            // 0/0: a model that changed nothing has nothing to scale.
            let shared = if shared.is_nan() { 0.0 } else { shared };
            *coefficient = 1.0 + r * shared.max(0.0).min(alpha);
        }
        Combine::Overlap { coefficients }
    }

    fn missing(&self) -> Missing {
        Missing::MergeRest
    }
}
