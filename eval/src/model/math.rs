//! The functions that every element passes through, in f32, without a branch, so that they are vectorised.
//!
//! The standard library's are not, and differ between hosts.

/// e to the power of x, within 2 units in the last place. Below −87 it stays at the smallest normal number.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // 1.5 · 2²³: adding it rounds to an integer, which the low bits then hold.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first short enough that its multiples are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.3);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    // The series' terms, their last digits fitted to ±ln 2 / 2 (Cephes' expf).
    let mut series = 1.987_569_1e-4;
    series = series * rest + 1.398_199_9e-3;
    series = series * rest + 8.333_452e-3;
    series = series * rest + 4.166_579_6e-2;
    series = series * rest + 1.666_666_5e-1;
    series = series * rest + 5e-1;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (series * rest * rest + rest + 1.0) * power
}

/// Within 2·10⁻⁷ of the hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// What an MLP does to each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x · sigmoid(x).
    Silu,
    /// With the error function.
    Gelu,
    /// With the hyperbolic tangent in its place.
    GeluTanh,
    Relu,
}

impl Activation {
    /// By transformers' name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_fast" | "gelu_accurate" => Self::GeluTanh,
            "relu" => Self::Relu,
            _ => return None,
        })
    }

    /// Of each element, in place.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Self::Silu => values.iter_mut().for_each(|x| *x /= 1.0 + exp(-*x)),
            Self::Gelu => {
                for x in values.iter_mut() {
                    *x *= 0.5 * (1.0 + libm::erff(*x * std::f32::consts::FRAC_1_SQRT_2));
                }
            }
            Self::GeluTanh => values.iter_mut().for_each(|x| {
                /// √(2/π).
                const SCALE: f32 = 0.797_884_6;
                *x *= 0.5 * (1.0 + tanh(SCALE * (*x + 0.044_715 * *x * *x * *x)));
            }),
            Self::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }
}

/// Sum in lanes, so that it is vectorised, and about as exact as a pairwise sum.
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0f32; LANES];
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    lanes.iter().sum::<f32>() + rest
}

/// The largest element and where it first is; none where one is no number, or there are none.
pub fn argmax(values: &[f32]) -> Option<(usize, f32)> {
    let largest = values.iter().fold(f32::NEG_INFINITY, |largest, &value| largest.max(value));
    // `max` passes over what is no number; a sum does not.
    let sum: f32 = values.iter().map(|value| value * 0.0).sum();
    if sum.is_nan() {
        return None;
    }
    values.iter().position(|&value| value == largest).map(|at| (at, largest))
}

/// ln Σ eˣ, given the largest x.
pub fn log_sum_exp(values: &[f32], largest: f32) -> f64 {
    let sum: f64 = values
        .chunks(256)
        .map(|part| {
            const LANES: usize = 16;
            let mut lanes = [0f32; LANES];
            let (whole, rest) = part.as_chunks::<LANES>();
            for values in whole {
                for lane in 0..LANES {
                    lanes[lane] += exp(values[lane] - largest);
                }
            }
            let rest: f32 = rest.iter().map(|value| exp(value - largest)).sum();
            f64::from(lanes.iter().sum::<f32>() + rest)
        })
        .sum();
    libm::log(sum) + f64::from(largest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_within_2_units_in_the_last_place() {
        for step in -8700..8800 {
            let x = step as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2.4e-7, "{x}: {} and {exact}", exp(x));
        }
        assert!(exp(-1000.0) < 1.3e-38);
    }

    #[test]
    fn the_hyperbolic_tangent_is_within_2e_7() {
        for step in -2000..2000 {
            let x = step as f32 * 0.01;
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 2e-7, "{x}");
        }
    }

    #[test]
    fn what_is_no_number_has_no_largest() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), Some((1, 3.0)));
        assert_eq!(argmax(&[1.0, f32::NAN]), None);
        assert_eq!(argmax(&[1.0, f32::INFINITY]), None);
        assert_eq!(argmax(&[]), None);
    }

    #[test]
    fn sums_are_those_of_double_precision() {
        let left: Vec<f32> = (0..1003).map(|at| (at as f32 * 0.37).sin()).collect();
        let right: Vec<f32> = (0..1003).map(|at| (at as f32 * 0.11).cos()).collect();
        let exact: f64 = left.iter().zip(&right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum();
        assert!((f64::from(dot(&left, &right)) - exact).abs() < 1e-4);
        let exact = left.iter().map(|value| f64::from(*value).exp()).sum::<f64>().ln();
        assert!((log_sum_exp(&left, argmax(&left).unwrap().1) - exact).abs() < 1e-6);
    }
}
