//! The test bodies: each runs one kernel over all cases, on the backend under test and on the definition.

use merge_studio_kernel::cpu::Reference;
use merge_studio_kernel::{BLOCK, Backend, BackendError, Coin, Combine, Float, Mask, Mix, Precision, Space};

use crate::case::{self, Case, decode, encode};
use crate::compare::{self, Tolerance};
use crate::drive::{self, Driven};

/// Gives `$then!` what is passed on and the name of every body: a backend cannot leave one out.
macro_rules! each {
    ($then:ident $($before:tt)*) => {
        $then! {
            $($before)*
            sums_are_as_defined
            votes_are_as_defined
            gram_matrices_are_as_defined
            norms_are_as_defined
            selections_keep_exactly_what_sorting_keeps
            coins_fall_as_defined
            votes_that_cancel_elect_plus
            every_output_type_is_rounded_once
            lone_bases_come_through
        }
    };
}
pub(crate) use each;

/// Windows smaller than the larger cases, and of more than one block.
const CUT: usize = 2 * BLOCK;

/// What the backend gave, unless it declined what it may decline.
fn given<T>(tolerance: &Tolerance, case: &Case, outcome: Driven<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(BackendError::Unsupported | BackendError::UnsafeValues) if tolerance.may_decline && case.hostile => None,
        Err(error) => panic!("{}: {error}", case.name),
    }
}

/// A mask of every kind in turn, the band's threshold being a value that occurs.
fn masks(case: &Case, turn: usize) -> Vec<Mask> {
    (0..case.terms())
        .map(|term| match (turn + term) % 5 {
            0 => Mask::All,
            1 => Mask::Nothing,
            2 => {
                Mask::Band { threshold: score(case, case.term(term, case.len / 2)), ties_end: case.len as u64 / 2 + 1 }
            }
            3 => Mask::Band { threshold: score(case, case.term(term, case.len / 3)), ties_end: u64::MAX },
            _ => Mask::Coin(Coin { key: [7, term as u32], stream: [1, 2], threshold: 0x9000_0000 }),
        })
        .collect()
}

fn score(case: &Case, value: f64) -> u64 {
    match case.precision {
        _ if value.is_nan() => u64::from(f32::NAN.to_bits()),
        Precision::F32 => u64::from((value as f32).abs().to_bits()),
        Precision::F64 => value.abs().to_bits(),
    }
}

fn coefficients(terms: usize) -> Vec<f64> {
    [0.3, -0.45, 0.8, 1.0].into_iter().cycle().take(terms).collect()
}

fn sum_of(case: &Case, masks: Vec<Mask>, out: Float) -> Mix {
    let combine = Combine::Sum { coefficients: coefficients(case.terms()) };
    Mix { space: case.space, masks, combine, precision: case.precision, out }
}

fn vote_of(case: &Case, masks: Vec<Mask>, normalize: bool, out: Float) -> Mix {
    let coefficients = coefficients(case.terms());
    // Weights that are not the coefficients, one of them negative: what a rescaled recipe may have.
    let weights = [0.25, -0.5, 0.75, 1.0].into_iter().cycle().take(case.terms()).collect();
    let combine = Combine::Vote { coefficients, weights, normalize, lambda: 1.25 };
    Mix { space: case.space, masks, combine, precision: case.precision, out }
}

/// A bound on every intermediate value of an element.
fn magnitude(case: &Case, mix: &Mix, index: usize) -> f64 {
    let (coefficients, factor) = match &mix.combine {
        Combine::Sum { coefficients } => (coefficients, 1.0),
        Combine::Vote { coefficients, weights, normalize, lambda } => {
            let smallest = weights.iter().fold(1.0_f64, |least, weight| least.min(weight.abs()));
            (coefficients, lambda / if *normalize { smallest } else { 1.0 })
        }
    };
    let base = if let Space::Deltas { base } = case.space { case.value(base, index).abs() } else { 0.0 };
    let terms = coefficients.iter().enumerate();
    terms.map(|(term, coefficient)| (coefficient * case.term(term, index) * factor).abs()).fold(base, f64::max)
}

fn same_mix(backend: &mut impl Backend, tolerance: &Tolerance, case: &Case, mix: &Mix) {
    let Some(actual) = given(tolerance, case, drive::mix(backend, case, mix, CUT)) else { return };
    let expected = drive::mix(&mut Reference, case, mix, CUT).unwrap();
    compare::values(tolerance, mix.out, &expected, &actual, |index| magnitude(case, mix, index))
        .unwrap_or_else(|difference| panic!("{}, {mix:?}: {difference}", case.name));
}

pub fn sums_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for turn in 0..5 {
            same_mix(backend, tolerance, &case, &sum_of(&case, masks(&case, turn), Float::F32));
        }
        same_mix(backend, tolerance, &case, &sum_of(&case, vec![Mask::All; case.terms()], Float::BF16));
    }
}

pub fn votes_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for turn in 0..5 {
            same_mix(backend, tolerance, &case, &vote_of(&case, masks(&case, turn), turn % 2 == 0, Float::F32));
        }
        same_mix(backend, tolerance, &case, &vote_of(&case, vec![Mask::All; case.terms()], true, Float::F16));
    }
}

pub fn gram_matrices_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        let Some(actual) = given(tolerance, &case, drive::gram(backend, &case, CUT)) else { continue };
        let expected = drive::gram(&mut Reference, &case, CUT).unwrap();
        compare::grams(tolerance, &expected, &actual)
            .unwrap_or_else(|difference| panic!("{}: {difference}", case.name));
    }
}

pub fn norms_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for turn in 0..5 {
            let masks = masks(&case, turn);
            let Some(actual) = given(tolerance, &case, drive::l1(backend, &case, &masks, CUT)) else { continue };
            let expected = drive::l1(&mut Reference, &case, &masks, CUT).unwrap();
            compare::norms(tolerance, &expected, &actual)
                .unwrap_or_else(|difference| panic!("{}, {masks:?}: {difference}", case.name));
        }
    }
}

pub fn selections_keep_exactly_what_sorting_keeps(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all().into_iter().filter(|case| case.len > 1) {
        let len = case.len as u64;
        for keep in [1, len / 5, len / 2, len - 1] {
            let keep: Vec<Option<u64>> =
                (0..case.terms()).map(|term| (term != 1).then_some((keep + term as u64).clamp(1, len - 1))).collect();
            let Some(masks) = given(tolerance, &case, drive::select(backend, &case, &keep, CUT)) else { continue };
            for (term, (mask, keep)) in masks.iter().zip(keep).enumerate() {
                let Some(keep) = keep else {
                    assert_eq!(*mask, Mask::All);
                    continue;
                };
                assert_eq!(kept_by(&case, term, mask), sorted(&case, term, keep), "{}, keep {keep}", case.name);
            }
        }
    }
}

/// The indices that a band keeps; zeros are left out, for whether they are kept cannot be seen.
fn kept_by(case: &Case, term: usize, mask: &Mask) -> Vec<usize> {
    let Mask::Band { threshold, ties_end } = *mask else { panic!("{mask:?} is no band") };
    let kept = |index: &usize| {
        let score = score_of(case, term, *index);
        score != 0 && (score > threshold || (score == threshold && (*index as u64) < ties_end))
    };
    (0..case.len).filter(kept).collect()
}

/// The indices of the `keep` largest, the lowest index first among equals, zeros left out.
fn sorted(case: &Case, term: usize, keep: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..case.len).collect();
    indices.sort_by_key(|&index| (std::cmp::Reverse(score_of(case, term, index)), index));
    indices.truncate(keep as usize);
    indices.retain(|&index| score_of(case, term, index) != 0);
    indices.sort_unstable();
    indices
}

fn score_of(case: &Case, term: usize, index: usize) -> u64 {
    score(case, case.term(term, index))
}

pub fn coins_fall_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all().into_iter().filter(|case| !case.hostile) {
        for threshold in [0, 1, 0x4000_0000, 0x8000_0000, u32::MAX] {
            let coin = |term| Mask::Coin(Coin { key: [3, 4], stream: [term as u32, 0xFFFF_FFFF], threshold });
            let masks = (0..case.terms()).map(coin).collect();
            same_mix(backend, tolerance, &case, &sum_of(&case, masks, Float::F32));
        }
    }
}

pub fn votes_that_cancel_elect_plus(backend: &mut impl Backend, tolerance: &Tolerance) {
    // Two changes that cancel, exactly or within rounding, in either order: what stays is the positive one.
    let changes = [(0.1, -0.1), (-0.1, 0.1), (0.3, -0.300_000_03), (-0.300_000_03, 0.3), (-0.25, 0.25)];
    let len = changes.len();
    let input = |values: Vec<f64>| (Float::F32, encode(Float::F32, &values));
    let case = Case {
        name: "votes that cancel".into(),
        precision: Precision::F32,
        space: Space::Deltas { base: 0 },
        len,
        inputs: vec![
            input(vec![0.0; len]),
            input(changes.iter().map(|change| change.0).collect()),
            input(changes.iter().map(|change| change.1).collect()),
        ],
        hostile: false,
    };
    let combine = Combine::Vote { coefficients: vec![1.0; 2], weights: vec![1.0; 2], normalize: true, lambda: 1.0 };
    let mix = Mix { space: case.space, masks: vec![Mask::All; 2], combine, precision: Precision::F32, out: Float::F32 };
    let bytes = drive::mix(backend, &case, &mix, CUT).unwrap();
    for (index, change) in changes.iter().enumerate() {
        assert!(decode(Float::F32, &bytes, index) > 0.0, "{change:?} elected minus");
    }
    same_mix(backend, tolerance, &case, &mix);
}

pub fn every_output_type_is_rounded_once(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for out in [Float::F16, Float::BF16, Float::F32, Float::F64] {
            if out == Float::F64 && tolerance.may_decline {
                continue;
            }
            same_mix(backend, tolerance, &case, &sum_of(&case, vec![Mask::All; case.terms()], out));
        }
    }
}

pub fn lone_bases_come_through(backend: &mut impl Backend, tolerance: &Tolerance) {
    for mut case in case::all() {
        case.inputs.truncate(1);
        case.space = Space::Deltas { base: 0 };
        let out = if case.precision == Precision::F64 { Float::F64 } else { Float::F32 };
        for mix in [sum_of(&case, vec![], out), vote_of(&case, vec![], true, out)] {
            let Some(bytes) = given(tolerance, &case, drive::mix(backend, &case, &mix, CUT)) else { continue };
            for index in 0..case.len {
                let (expected, actual) = (case.value(0, index), decode(out, &bytes, index));
                let same = expected.to_bits() == actual.to_bits() || (expected.is_nan() && actual.is_nan());
                assert!(same, "{}: {actual:e} instead of {expected:e}", case.name);
            }
        }
    }
}
