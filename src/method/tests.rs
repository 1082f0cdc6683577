//! What every method asks for and how it mixes, against the papers and mergekit 0.1.5.

use super::*;
use crate::kernel::Coin;
use crate::recipe::DefaultValue;

/// One tensor as a method sees it.
struct Tensor {
    shape: Vec<u64>,
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
        Self { shape: vec![elements], base, parameters, coins }
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
        TensorInputs { shape: &self.shape, base: self.base, parameters: &self.parameters, coins: &self.coins }
    }
}

fn method(id: &str) -> &'static dyn Method {
    find(id).expect("the method is registered")
}

fn sum_of(combine: Combine) -> Vec<f64> {
    let Combine::Sum { coefficients } = combine else { panic!("{combine:?} is no sum") };
    coefficients
}

fn vote(coefficients: Vec<f64>, weights: Vec<f64>, normalize: bool, lambda: f64) -> Combine {
    Combine::Vote { coefficients, weights, unweighted: false, normalize, least: f64::NEG_INFINITY, lambda }
}

fn gram_of(terms: usize, groups: Groups, sums: &[f64]) -> Measured {
    Measured { gram: Some(Gram { terms, groups, sums: sums.to_vec() }), ..Measured::default() }
}

/// The Gram matrix of plane vectors.
fn gram_of_vectors(vectors: &[[f64; 2]]) -> Measured {
    let product = |a: &[f64; 2], b: &[f64; 2]| a[0] * b[0] + a[1] * b[1];
    let pairs = vectors.iter().enumerate().flat_map(|(i, a)| vectors[i..].iter().map(move |b| product(a, b)));
    gram_of(vectors.len(), Groups::Whole, &pairs.collect::<Vec<f64>>())
}

/// What coefficients make of plane vectors.
fn combined(vectors: &[[f64; 2]], coefficients: &[f64]) -> [f64; 2] {
    let sum = |axis: usize| vectors.iter().zip(coefficients).map(|(vector, by)| vector[axis] * by).sum();
    [sum(0), sum(1)]
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
    assert_eq!(slerp.program(&tensor.inputs()).gram, Some(Groups::Whole));
    let measured = gram_of(2, Groups::Whole, &gram);
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
    assert_eq!(mask(10, 0.59), MaskRule::Band { skip: 0, keep: 5 });
    assert_eq!(mask(10, 0.01), MaskRule::Band { skip: 0, keep: 1 });
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
    assert!(program.norms.is_none() && program.gram.is_none());
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
        assert_eq!(
            method.program(&tensor.inputs()).norms.is_some(),
            measured,
            "{id}, density {density}, rescale {rescale}"
        );
    }
}

#[test]
fn rescaling_restores_the_norm_and_leaves_the_divisor_alone() {
    let ties = method("ties");
    let tensor = Tensor::new(ties, 10, Some(0), 4).each("weight", &[f64::NAN, 0.5, 0.5, 0.5]);
    let norms = vec![
        Norms { all: 3.0, kept: 1.5 },
        // Norms this small are left alone.
        Norms { all: 9e-8, kept: 4e-8 },
        Norms { all: 1.0, kept: 0.0 },
    ];
    let combine = ties.combine(&tensor.inputs(), &Measured { norms, ..Measured::default() });
    let expected = vote(vec![1.0, 0.5, 0.5], vec![0.5; 3], true, 1.0);
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
        assert_eq!(program, Program::new(Space::Deltas { base: 0 }, vec![]), "{id}");
    }
}

#[test]
fn nuslerp_goes_along_the_arc_in_the_ratio_of_the_weights() {
    let nuslerp = method("nuslerp");
    let right_angle = [[1.0, 0.0], [0.0, 1.0]];
    let at = |weights: [f64; 2], vectors: [[f64; 2]; 2]| {
        let tensor = Tensor::new(nuslerp, 2, None, 2).each("weight", &weights);
        combined(&vectors, &sum_of(nuslerp.combine(&tensor.inputs(), &gram_of_vectors(&vectors))))
    };
    near(&at([2.0, 1.0], right_angle), &[(std::f64::consts::PI / 6.0).cos(), 0.5]);
    // Weights that cancel stand for the middle.
    near(&at([1.0, -1.0], right_angle), &[0.5_f64.sqrt(); 2]);
    // Parallel and opposite vectors have no arc: the chord.
    near(&at([1.0, 3.0], [[1.0, 0.0], [2.0, 0.0]]), &[1.75, 0.0]);
    near(&at([1.0, 3.0], [[1.0, 0.0], [-1.0, 0.0]]), &[-0.5, 0.0]);
}

#[test]
fn nuslerp_has_an_arc_a_row_or_a_column_where_it_does_not_flatten() {
    let nuslerp = method("nuslerp");
    let groups = |shape: &[u64], flatten, row_wise| {
        let mut tensor = Tensor::new(nuslerp, 1, Some(0), 3)
            .shared("nuslerp_flatten", Value::Flag(flatten))
            .shared("nuslerp_row_wise", Value::Flag(row_wise));
        tensor.shape = shape.to_vec();
        nuslerp.program(&tensor.inputs()).gram
    };
    assert_eq!(groups(&[4, 6], true, true), Some(Groups::Whole));
    assert_eq!(groups(&[4, 6], false, false), Some(Groups::Rows(6)));
    assert_eq!(groups(&[4, 6], false, true), Some(Groups::Columns(6)));
    assert_eq!(groups(&[4, 6, 3], false, true), Some(Groups::Columns(18)));
    // A vector is one row either way.
    assert_eq!(groups(&[6], false, false), Some(Groups::Rows(6)));
    assert_eq!(groups(&[6], false, true), Some(Groups::Columns(1)));
    // Each group has its own coefficients.
    let tensor = Tensor::new(nuslerp, 4, None, 2).each("weight", &[0.5; 2]);
    let measured = gram_of(2, Groups::Rows(2), &[1.0, 1.0, 1.0, 1.0, 0.0, 1.0]);
    let Combine::Grouped { groups, coefficients } = nuslerp.combine(&tensor.inputs(), &measured) else { panic!() };
    assert_eq!(groups, Groups::Rows(2));
    near(&coefficients, &[0.5, 0.5, 0.5_f64.sqrt(), 0.5_f64.sqrt()]);
}

#[test]
fn spherical_means_of_two_equal_vectors_halve_the_angle_and_average_the_norms() {
    for (id, weights) in [("multislerp", true), ("karcher", false)] {
        let method = method(id);
        let vectors = [[1.0, 0.0], [0.0, 3.0]];
        let mut tensor = Tensor::new(method, 2, None, 2);
        if weights {
            tensor = tensor.each("weight", &[0.5; 2]);
        }
        let mean = combined(&vectors, &sum_of(method.combine(&tensor.inputs(), &gram_of_vectors(&vectors))));
        for value in mean {
            assert!((value - 2.0 * 0.5_f64.sqrt()).abs() < 1e-6, "{id}: {mean:?}");
        }
    }
}

#[test]
fn spherical_means_leave_out_zeros_and_survive_opposites() {
    let karcher = method("karcher");
    let mean = |vectors: &[[f64; 2]]| {
        let tensor = Tensor::new(karcher, 2, None, vectors.len());
        combined(vectors, &sum_of(karcher.combine(&tensor.inputs(), &gram_of_vectors(vectors))))
    };
    // The zero has no direction, but its norm counts.
    near(&mean(&[[0.0, 0.0], [0.0, 2.0]]), &[0.0, 1.0]);
    near(&mean(&[[0.0, 0.0], [0.0, 0.0]]), &[0.0, 0.0]);
    // Half way there is nothing: the first is the mean to begin with, and its opposite takes no step.
    near(&mean(&[[1.0, 0.0], [-1.0, 0.0]]), &[1.0, 0.0]);
    let multislerp = method("multislerp");
    let opposite = [[1.0, 0.0], [-1.0, 0.0]];
    let tensor = Tensor::new(multislerp, 2, None, 2).each("weight", &[0.5; 2]);
    near(&combined(&opposite, &sum_of(multislerp.combine(&tensor.inputs(), &gram_of_vectors(&opposite)))), &[0.0; 2]);
}

#[test]
fn multislerp_gives_a_model_alone_back_without_forming_a_delta() {
    let multislerp = method("multislerp");
    let tensor = Tensor::new(multislerp, 2, Some(1), 2).each("weight", &[0.3, f64::NAN]);
    let program = multislerp.program(&tensor.inputs());
    assert_eq!(program, Program::new(Space::Inputs, vec![MaskRule::All, MaskRule::Nothing]));
    near(&sum_of(multislerp.combine(&tensor.inputs(), &Measured::default())), &[1.0, 1.0]);
}

#[test]
fn model_stock_follows_the_average_as_far_as_the_models_agree() {
    let stock = method("model_stock");
    let share = |vectors: &[[f64; 2]]| {
        let tensor = Tensor::new(stock, 2, Some(0), vectors.len() + 1);
        sum_of(stock.combine(&tensor.inputs(), &gram_of_vectors(vectors)))
    };
    // In full agreement all the way, at a right angle not at all, at 60 degrees 2·½/(1 + ½) of it.
    near(&share(&[[1.0, 0.0], [2.0, 0.0]]), &[0.5; 2]);
    near(&share(&[[1.0, 0.0], [0.0, 1.0]]), &[0.0; 2]);
    near(&share(&[[1.0, 0.0], [0.5, 0.75_f64.sqrt()]]), &[1.0 / 3.0; 2]);
    // Opposite task vectors make the denominator zero: the base stays.
    near(&share(&[[1.0, 0.0], [-1.0, 0.0]]), &[0.0; 2]);
    let by_rows = Tensor::new(stock, 6, Some(0), 3).shared("filter_wise", Value::Flag(true));
    assert_eq!(stock.program(&by_rows.inputs()).gram, Some(Groups::Rows(6)));
}

#[test]
fn sce_weighs_by_mean_squares_and_votes_without_weights() {
    let sce = method("sce");
    let tensor = Tensor::new(sce, 10, Some(0), 3);
    let combine = |kept: [f64; 2]| {
        let norms = kept.map(|kept| Norms { all: 99.0, kept }).to_vec();
        let Combine::Vote { coefficients, weights, unweighted, normalize, least, .. } =
            sce.combine(&tensor.inputs(), &Measured { norms, ..Measured::default() })
        else {
            panic!()
        };
        assert!(unweighted && normalize && least == 1e-6 && coefficients == weights);
        weights
    };
    near(&combine([3.0, 1.0]), &[0.75, 0.25]);
    near(&combine([3e-6, 1e-6]), &[0.5, 0.5]);
    for (share, mask) in [
        (1.0, MaskRule::All),
        (0.25, MaskRule::Varied { share: 0.25 }),
        (0.0, MaskRule::Nothing),
        (-1.0, MaskRule::Nothing),
    ] {
        let tensor = Tensor::new(sce, 10, Some(0), 3).shared("select_topk", Value::Number(share));
        assert_eq!(sce.program(&tensor.inputs()).masks, [mask; 2]);
    }
}

#[test]
fn breadcrumbs_drops_the_largest_and_the_smallest() {
    let breadcrumbs = method("breadcrumbs");
    let mask = |density, gamma| {
        let tensor = Tensor::new(breadcrumbs, 10, Some(0), 2)
            .each("density", &[f64::NAN, density])
            .each("gamma", &[f64::NAN, gamma]);
        breadcrumbs.program(&tensor.inputs()).masks[0]
    };
    assert_eq!(mask(0.5, 0.2), MaskRule::Band { skip: 2, keep: 5 });
    assert_eq!(mask(0.5, 0.0), MaskRule::Band { skip: 0, keep: 5 });
    // Fewer are dropped where the density could not be met otherwise.
    assert_eq!(mask(0.9, 0.3), MaskRule::Band { skip: 1, keep: 9 });
    assert_eq!(mask(0.05, 0.2), MaskRule::Nothing);
    assert_eq!(mask(1.0, 0.2), MaskRule::All);
}

#[test]
fn della_ranks_along_the_second_dimension_and_needs_chances() {
    let della = method("della");
    let mut tensor = Tensor::new(della, 1, Some(0), 2).each("density", &[f64::NAN, 0.5]);
    tensor.shape = vec![4, 6, 3];
    let MaskRule::Ranked(coin) = della.program(&tensor.inputs()).masks[0] else { panic!() };
    assert_eq!((coin.line, coin.stride), (6, 3));
    near(&[coin.low, coin.high], &[0.35, 0.65]);
    tensor.shape = vec![4];
    let MaskRule::Ranked(coin) = della.program(&tensor.inputs()).masks[0] else { panic!() };
    assert_eq!((coin.line, coin.stride), (4, 1));
    assert_eq!(della.check(&tensor.inputs()), Ok(()));
    let steep = tensor.each("density", &[f64::NAN, 0.9]);
    let refusal = Refusal::Chances { input: 1, density: 0.9, epsilon: 0.15 };
    assert_eq!(della.check(&steep.inputs()), Err(refusal));
    // A density of one draws nothing, whatever epsilon is.
    assert_eq!(della.check(&steep.each("density", &[f64::NAN, 1.0]).inputs()), Ok(()));
}

#[test]
fn ram_plus_scales_what_a_model_changed_alone_by_what_it_shares() {
    let plus = method("ramplus_tl");
    let tensor = Tensor::new(plus, 10, Some(0), 3);
    let coefficients = |overlap: [Overlap; 2]| {
        let measured = Measured { overlap: overlap.to_vec(), ..Measured::default() };
        let Combine::Overlap { coefficients } = plus.combine(&tensor.inputs(), &measured) else { panic!() };
        coefficients
    };
    near(
        &coefficients([Overlap { alone: 100, shared: 10 }, Overlap { alone: 0, shared: 10 }]),
        &[1.0 + 0.1 * 0.1, 1.0 + 0.1 * 0.2],
    );
    let ram = method("ram");
    let tensor = Tensor::new(ram, 10, Some(0), 3);
    assert!(!ram.program(&tensor.inputs()).overlap);
    assert_eq!(ram.combine(&tensor.inputs(), &Measured::default()), Combine::Overlap { coefficients: vec![1.0; 2] });
}

#[test]
fn passthrough_copies_unless_it_scales() {
    let passthrough = method("passthrough");
    let plain = Tensor::new(passthrough, 10, None, 1);
    assert!(passthrough.copies(plain.inputs().parameters));
    let scaled = plain.each("scale", &[0.5]);
    assert!(!passthrough.copies(scaled.inputs().parameters));
    near(&sum_of(passthrough.combine(&scaled.inputs(), &Measured::default())), &[0.5]);
}
