//! What every method asks for and how it mixes, against the papers and mergekit 0.1.5.

use super::*;
use crate::kernel::Coin;
use crate::recipe::DefaultValue;

/// One tensor as a method sees it.
struct Tensor {
    elements: u64,
    base: Option<usize>,
    parameters: Resolved,
    coins: Vec<CoinKey>,
}

impl Tensor {
    /// With every default that the method has.
    fn new(method: &dyn Method, elements: u64, base: Option<usize>, inputs: usize) -> Self {
        let mut parameters = Resolved { inputs: vec![BTreeMap::new(); inputs], ..Resolved::default() };
        for parameter in method.info().parameters {
            let Some(value) = parameter.default.value() else { continue };
            parameters.shared.insert(parameter.name.into(), value.clone());
            for input in &mut parameters.inputs {
                input.insert(parameter.name.into(), value.clone());
            }
        }
        let coins = (0..inputs).map(|input| CoinKey { key: [7, 8], stream: [input as u32, 9] }).collect();
        Self { elements, base, parameters, coins }
    }

    fn shared(mut self, name: &str, value: Value) -> Self {
        self.parameters.shared.insert(name.into(), value);
        self
    }

    fn each(mut self, name: &str, values: &[f64]) -> Self {
        for (input, &value) in self.parameters.inputs.iter_mut().zip(values) {
            input.insert(name.into(), Value::Number(value));
        }
        self
    }

    fn inputs(&self) -> TensorInputs<'_> {
        TensorInputs { elements: self.elements, base: self.base, parameters: &self.parameters, coins: &self.coins }
    }
}

fn method(id: &str) -> &'static dyn Method {
    find(id).expect("the method is registered")
}

fn sum_of(combine: Combine) -> Vec<f64> {
    let Combine::Sum { coefficients } = combine else { panic!("{combine:?} is no sum") };
    coefficients
}

fn near(actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        assert!((actual - expected).abs() < 1e-12, "{actual} instead of {expected}");
    }
}

#[test]
fn ids_are_unique_and_found() {
    for info in infos() {
        assert_eq!(infos().iter().filter(|other| other.id == info.id).count(), 1);
        assert_eq!(method(info.id).info().id, info.id);
    }
    assert!(find("tiess").is_none());
}

#[test]
fn defaults_are_those_of_mergekit() {
    for (id, normalize, rescale) in [
        ("linear", true, None),
        ("task_arithmetic", false, Some(false)),
        ("ties", true, Some(false)),
        ("dare_linear", false, Some(true)),
        ("dare_ties", false, Some(true)),
    ] {
        let info = method(id).info();
        let default = |name| {
            let parameter = info.parameters.iter().find(|parameter| parameter.name == name)?;
            Some(matches!(parameter.default, DefaultValue::Flag(true)))
        };
        assert_eq!(default("normalize"), Some(normalize), "{id}");
        assert_eq!(default("rescale"), rescale, "{id}");
    }
}

#[test]
fn linear_divides_by_the_sum_of_the_weights_unless_told_not_to() {
    let linear = method("linear");
    let tensor = Tensor::new(linear, 4, None, 2).each("weight", &[3.0, 1.0]);
    near(&sum_of(linear.combine(&tensor.inputs(), &Measured::default())), &[0.75, 0.25]);
    let tensor = tensor.shared("normalize", Value::Flag(false));
    near(&sum_of(linear.combine(&tensor.inputs(), &Measured::default())), &[3.0, 1.0]);
}

/// Slerp's coefficients for inputs with these inner products.
fn slerp(t: f64, base: usize, gram: [f64; 3]) -> Vec<f64> {
    let slerp = method("slerp");
    let tensor = Tensor::new(slerp, 4, Some(base), 2).shared("t", Value::Number(t));
    assert!(slerp.program(&tensor.inputs()).gram);
    let measured = Measured { gram: Some(Gram { terms: 2, sums: gram.to_vec() }), l1: vec![] };
    sum_of(slerp.combine(&tensor.inputs(), &measured))
}

#[test]
fn slerp_runs_along_the_arc_from_the_base_to_the_other() {
    let orthogonal = [1.0, 0.0, 1.0];
    let half = 0.5_f64.sqrt();
    near(&slerp(0.5, 0, orthogonal), &[half, half]);
    near(&slerp(0.0, 0, orthogonal), &[1.0, 0.0]);
    near(&slerp(1.0, 0, orthogonal), &[0.0, 1.0]);
    near(&slerp(1.0, 1, orthogonal), &[1.0, 0.0]);
    // 60 degrees between vectors of lengths 2 and 3, a third of the way: sin 40° and sin 20° over sin 60°.
    let degrees = |degrees: f64| degrees.to_radians().sin() / 60_f64.to_radians().sin();
    near(&slerp(1.0 / 3.0, 0, [4.0, 3.0, 9.0]), &[degrees(40.0), degrees(20.0)]);
}

#[test]
fn slerp_of_collinear_or_opposite_inputs_is_a_straight_line() {
    near(&slerp(0.25, 0, [1.0, 2.0, 4.0]), &[0.75, 0.25]);
    near(&slerp(0.25, 0, [1.0, -1.0, 1.0]), &[0.75, 0.25]);
    near(&slerp(0.25, 0, [1.0, 0.9996, 1.0]), &[0.75, 0.25]);
    // Just below the threshold it is the arc again, which bends outwards.
    assert!(slerp(0.25, 0, [1.0, 0.9994, 1.0]).iter().sum::<f64>() > 1.0);
}

#[test]
fn slerp_takes_a_zero_input_for_orthogonal() {
    let half = 0.5_f64.sqrt();
    near(&slerp(0.5, 0, [0.0, 0.0, 4.0]), &[half, half]);
    near(&slerp(0.5, 0, [0.0, 0.0, 0.0]), &[half, half]);
}

#[test]
fn ties_keeps_the_floor_of_the_density_but_at_least_one() {
    let ties = method("ties");
    let mask = |elements, density| {
        let tensor = Tensor::new(ties, elements, Some(0), 2).each("density", &[f64::NAN, density]);
        ties.program(&tensor.inputs()).masks[0]
    };
    assert_eq!(mask(10, 0.59), MaskRule::Top { keep: 5 });
    assert_eq!(mask(10, 0.01), MaskRule::Top { keep: 1 });
    assert_eq!(mask(10, 1.0), MaskRule::All);
    assert_eq!(mask(10, 1.5), MaskRule::All);
    assert_eq!(mask(10, 0.0), MaskRule::Nothing);
    assert_eq!(mask(10, -0.5), MaskRule::Nothing);
    assert_eq!(mask(1, 0.5), MaskRule::All);
}

#[test]
fn dare_draws_coins_of_the_density_for_every_input_but_the_base() {
    let dare = method("dare_ties");
    let tensor = Tensor::new(dare, 10, Some(1), 4).each("density", &[0.5, f64::NAN, 0.0, 1.0]);
    let coin = Coin { key: [7, 8], stream: [0, 9], threshold: 1 << 31 };
    let program = dare.program(&tensor.inputs());
    assert_eq!(program.space, Space::Deltas { base: 1 });
    assert_eq!(program.masks, [MaskRule::Coin(coin), MaskRule::Nothing, MaskRule::All]);
}

#[test]
fn task_arithmetic_keeps_everything_whatever_the_density() {
    let method = method("task_arithmetic");
    let tensor = Tensor::new(method, 10, Some(0), 2).each("density", &[0.1, 0.1]).shared("rescale", Value::Flag(true));
    let program = method.program(&tensor.inputs());
    assert_eq!(program.masks, [MaskRule::All]);
    assert!(!program.l1 && !program.gram);
}

#[test]
fn norms_are_measured_only_to_rescale_what_lost_elements() {
    for (id, density, rescale, measured) in [
        ("ties", 0.5, false, false),
        ("ties", 0.5, true, true),
        ("ties", 1.0, true, false),
        ("ties", 0.0, true, false),
        ("dare_linear", 0.5, true, true),
        ("dare_linear", 0.5, false, false),
    ] {
        let method = method(id);
        let tensor = Tensor::new(method, 10, Some(0), 2).each("density", &[density; 2]);
        let tensor = tensor.shared("rescale", Value::Flag(rescale));
        assert_eq!(method.program(&tensor.inputs()).l1, measured, "{id}, density {density}, rescale {rescale}");
    }
}

#[test]
fn rescaling_restores_the_norm_and_leaves_the_divisor_alone() {
    let ties = method("ties");
    let tensor = Tensor::new(ties, 10, Some(0), 4).each("weight", &[f64::NAN, 0.5, 0.5, 0.5]);
    let l1 = vec![
        L1 { all: 3.0, kept: 1.5 },
        // Norms this small are left alone.
        L1 { all: 9e-8, kept: 4e-8 },
        L1 { all: 1.0, kept: 0.0 },
    ];
    let combine = ties.combine(&tensor.inputs(), &Measured { gram: None, l1 });
    let expected =
        Combine::Vote { coefficients: vec![1.0, 0.5, 0.5], weights: vec![0.5; 3], normalize: true, lambda: 1.0 };
    assert_eq!(combine, expected);
}

#[test]
fn sums_of_deltas_are_scaled_by_lambda_and_divided_only_by_a_sum_that_is_not_zero() {
    let method = method("task_arithmetic");
    let tensor = |weights: &[f64]| {
        Tensor::new(method, 10, Some(0), 3).each("weight", weights).shared("lambda", Value::Number(0.5))
    };
    let combined = |tensor: Tensor| sum_of(method.combine(&tensor.inputs(), &Measured::default()));
    let normalized = |tensor: Tensor| tensor.shared("normalize", Value::Flag(true));
    near(&combined(tensor(&[9.0, 3.0, 1.0])), &[1.5, 0.5]);
    near(&combined(normalized(tensor(&[9.0, 3.0, 1.0]))), &[0.375, 0.125]);
    near(&combined(normalized(tensor(&[9.0, 1.0, -1.0]))), &[0.5, -0.5]);
}

#[test]
fn a_base_alone_asks_for_nothing() {
    for id in ["task_arithmetic", "ties", "dare_linear", "dare_ties"] {
        let method = method(id);
        let program_of = Tensor::new(method, 10, Some(0), 1);
        let program = method.program(&program_of.inputs());
        assert_eq!(
            program,
            Program { space: Space::Deltas { base: 0 }, masks: vec![], gram: false, l1: false },
            "{id}"
        );
    }
}
