//! What "agrees" means, and proof that it can fail.

use merge_studio_kernel::{Float, Gram, Groups, Norms};

use crate::case::decode;

/// How far a backend may be from the definition.
pub struct Tolerance {
    /// Units in the last place of a 16-bit output, at the magnitude of the largest term.
    pub ulps_of_16: f64,
    /// Units in the last place of an F32 output, at the magnitude of the largest term.
    pub ulps_of_32: f64,
    /// Relative error of a sum, at the magnitude of its largest possible value.
    pub sums: f64,
    /// Whether it may decline hostile values and 64-bit arithmetic.
    pub may_decline: bool,
}

impl Tolerance {
    /// Equal to the bit.
    pub const EXACT: Self = Self { ulps_of_16: 0.0, ulps_of_32: 0.0, sums: 0.0, may_decline: false };

    fn ulps(&self, out: Float) -> f64 {
        match out {
            Float::F16 | Float::BF16 => self.ulps_of_16,
            Float::F32 | Float::F64 => self.ulps_of_32,
        }
    }
}

/// The distance between neighbouring values of a type at a magnitude.
fn spacing(out: Float, magnitude: f64) -> f64 {
    let (bits, smallest) = match out {
        Float::F16 => (10, -24),
        Float::BF16 => (7, -133),
        Float::F32 => (23, -149),
        Float::F64 => (52, -1074),
    };
    let exponent = if magnitude > 0.0 { magnitude.log2().floor() as i32 } else { i32::MIN / 2 };
    2_f64.powi((exponent - bits).max(smallest))
}

/// Compares encoded values. `magnitudes` gives the largest term of every element.
pub fn values(
    tolerance: &Tolerance,
    out: Float,
    expected: &[u8],
    actual: &[u8],
    magnitudes: impl Fn(usize) -> f64,
) -> Result<(), String> {
    if expected.len() != actual.len() {
        return Err(format!("{} bytes instead of {}", actual.len(), expected.len()));
    }
    let ulps = tolerance.ulps(out);
    let size = out.size();
    for index in 0..expected.len() / size {
        let bits = index * size..(index + 1) * size;
        if expected[bits.clone()] == actual[bits] {
            continue;
        }
        let (expected, actual) = (decode(out, expected, index), decode(out, actual, index));
        let allowed = ulps * spacing(out, magnitudes(index).max(expected.abs()));
        let close = (expected - actual).abs() <= allowed;
        if ulps == 0.0 || !close {
            return Err(format!("element {index} is {actual:e} instead of {expected:e}"));
        }
    }
    Ok(())
}

/// Compares two sums whose magnitudes cannot exceed `bound`.
fn sum(tolerance: &Tolerance, expected: f64, actual: f64, bound: f64) -> bool {
    // A sum of a NaN is a NaN, which one does not matter: it reaches no output but through the canonical NaN.
    (expected.is_nan() && actual.is_nan())
        || expected.to_bits() == actual.to_bits()
        || (expected - actual).abs() <= tolerance.sums * bound
}

pub fn grams(tolerance: &Tolerance, expected: &Gram, actual: &Gram) -> Result<(), String> {
    for group in 0..expected.sums.len() / Gram::pairs(expected.terms) {
        for i in 0..expected.terms {
            for j in i..expected.terms {
                // Cauchy and Schwarz.
                let bound = (expected.at(group, i, i) * expected.at(group, j, j)).sqrt();
                let (expected, actual) = (expected.at(group, i, j), actual.at(group, i, j));
                if !sum(tolerance, expected, actual, bound) {
                    return Err(format!("⟨{i}, {j}⟩ of group {group} is {actual:e} instead of {expected:e}"));
                }
            }
        }
    }
    Ok(())
}

pub fn norms(tolerance: &Tolerance, expected: &[Norms], actual: &[Norms]) -> Result<(), String> {
    for (term, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        for (expected, actual) in [(expected.all, actual.all), (expected.kept, actual.kept)] {
            if !sum(tolerance, expected, actual, expected) {
                return Err(format!("the norm of term {term} is {actual:e} instead of {expected:e}"));
            }
        }
    }
    Ok(())
}

mod tests {
    use super::*;
    use crate::case::encode;

    const LOOSE: Tolerance = Tolerance { ulps_of_16: 1.0, ulps_of_32: 4.0, sums: 1e-6, may_decline: true };

    #[test]
    fn one_perturbed_element_is_rejected() {
        let original: Vec<f64> = (1_u8..100).map(f64::from).collect();
        for out in [Float::F16, Float::BF16, Float::F32, Float::F64] {
            let expected = encode(out, &original);
            values(&Tolerance::EXACT, out, &expected, &expected, |_| 0.0).unwrap();
            for at in [0, 50, 98] {
                let mut perturbed = expected.clone();
                perturbed[at * out.size()] ^= 1;
                values(&Tolerance::EXACT, out, &expected, &perturbed, |_| 0.0).unwrap_err();
                values(&LOOSE, out, &expected, &perturbed, |_| 0.0).unwrap();
                perturbed[at * out.size()] ^= 16;
                values(&LOOSE, out, &expected, &perturbed, |_| 0.0).unwrap_err();
                // The same error beside a term that is a thousand times larger is only rounding.
                values(&LOOSE, out, &expected, &perturbed, |_| 1e5).unwrap();
            }
            values(&LOOSE, out, &expected, &expected[..expected.len() - out.size()], |_| 0.0).unwrap_err();
        }
    }

    #[test]
    fn a_nan_in_place_of_a_number_is_rejected() {
        let (number, nan) = (encode(Float::F32, &[1.0]), encode(Float::F32, &[f64::NAN]));
        values(&LOOSE, Float::F32, &number, &nan, |_| 1e30).unwrap_err();
        values(&LOOSE, Float::F32, &nan, &number, |_| 1e30).unwrap_err();
    }

    #[test]
    fn one_perturbed_sum_is_rejected() {
        let expected = Gram { terms: 2, groups: Groups::Whole, sums: vec![4.0, 1.0, 9.0] };
        for at in 0..3 {
            let mut perturbed = expected.clone();
            perturbed.sums[at] = perturbed.sums[at].next_up();
            grams(&Tolerance::EXACT, &expected, &perturbed).unwrap_err();
            grams(&LOOSE, &expected, &perturbed).unwrap();
            perturbed.sums[at] += 1e-4;
            grams(&LOOSE, &expected, &perturbed).unwrap_err();
        }
        let expected = [Norms { all: 4.0, kept: 2.0 }];
        for perturbed in
            [Norms { all: 4.0, kept: 2.0001 }, Norms { all: 4.0001, kept: 2.0 }, Norms { all: 4.0, kept: f64::NAN }]
        {
            norms(&LOOSE, &expected, &[perturbed]).unwrap_err();
        }
        norms(&Tolerance::EXACT, &expected, &[Norms { all: 4.0, kept: 2.0_f64.next_up() }]).unwrap_err();
    }
}
