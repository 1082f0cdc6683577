//! The test bodies: each runs one kernel over all cases, on the backend under test and on the definition.

use merge_studio_kernel::cpu::Reference;
use merge_studio_kernel::{
    BLOCK, Backend, BackendError, Coin, Combine, Cut, Float, Groups, Mask, Mix, Power, Precision, Score, Space,
};

use crate::case::{self, Case, decode, encode};
use crate::compare::{self, Tolerance};
use crate::drive::{self, Driven, Wanted};

/// Gives `$then!` what is passed on and the name of every body: a backend cannot leave one out.
macro_rules! each {
    ($then:ident $($before:tt)*) => {
        $then! {
            $($before)*
            sums_are_as_defined
            sums_of_groups_are_as_defined
            votes_are_as_defined
            overlaps_are_as_defined
            near_values_are_swapped_as_defined
            gram_matrices_are_as_defined
            norms_are_as_defined
            selections_keep_exactly_what_sorting_keeps
            zeros_are_counted
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

/// How many turns [`masks`] has.
const TURNS: usize = 8;

/// A mask of every kind in turn, the cuts' thresholds being scores that occur. What is drawn and what is scaled do not meet.
fn masks(case: &Case, turn: usize) -> Vec<Mask> {
    let at = |term, score, index, ties_end| Cut { threshold: score_of(case, term, score, index), ties_end };
    let from =
        |term, score, index, ties_end| Mask::Band { score, from: at(term, score, index, ties_end), above: Cut::NONE };
    let (len, middle) = (case.len as u64, case.len / 2);
    (0..case.terms())
        .map(|term| match turn {
            5 => from(0, Score::Variance, middle, len / 2 + 1),
            6 if term % 2 == 0 => from(term, Score::Scaled, middle, len / 2 + 1),
            7 if term % 2 == 0 => Mask::Drawn,
            _ => match (turn + term) % 5 {
                0 => Mask::All,
                1 => Mask::Nothing,
                2 => from(term, Score::Magnitude, middle, len / 2 + 1),
                3 => {
                    let cuts = [middle, case.len / 3].map(|index| at(term, Score::Magnitude, index, len / 3));
                    let [from, above] = if cuts[0].threshold < cuts[1].threshold { cuts } else { [cuts[1], cuts[0]] };
                    Mask::Band { score: Score::Magnitude, from, above }
                }
                _ => Mask::Coin(Coin { key: [7, term as u32], stream: [1, 2], threshold: 0x9000_0000 }),
            },
        })
        .collect()
}

fn score_of(case: &Case, term: usize, score: Score, index: usize) -> u64 {
    let value = case.ranked(term, score, index);
    match case.precision {
        Precision::F32 if value.is_nan() => u64::from(f32::NAN.to_bits()),
        Precision::F64 if value.is_nan() => f64::NAN.to_bits(),
        Precision::F32 => u64::from((value as f32).abs().to_bits()),
        Precision::F64 => value.abs().to_bits(),
    }
}

fn coefficients(terms: usize) -> Vec<f64> {
    [0.3, -0.45, 0.8, 1.0].into_iter().cycle().take(terms).collect()
}

fn sum_of(case: &Case, masks: Vec<Mask>, out: Float) -> Mix {
    Mix { masks, combine: Combine::Sum { coefficients: coefficients(case.terms()) }, out }
}

fn vote_of(case: &Case, masks: Vec<Mask>, normalize: bool, out: Float) -> Mix {
    let coefficients = coefficients(case.terms());
    // Weights that are not the coefficients, one of them negative: what a rescaled recipe may have.
    let weights = [0.25, -0.5, 0.75, 1.0].into_iter().cycle().take(case.terms()).collect();
    let least = f64::NEG_INFINITY;
    let combine = Combine::Vote { coefficients, weights, unweighted: false, normalize, least, lambda: 1.25 };
    Mix { masks, combine, out }
}

/// A bound on every intermediate value of an element.
fn magnitude(case: &Case, mix: &Mix, index: usize) -> f64 {
    let (factors, factor): (Vec<f64>, f64) = match &mix.combine {
        Combine::Sum { coefficients } => (coefficients.clone(), 1.0),
        Combine::Vote { coefficients, weights, normalize, lambda, .. } => {
            let smallest = weights.iter().fold(1.0_f64, |least, weight| least.min(weight.abs()));
            (coefficients.clone(), lambda / if *normalize { smallest } else { 1.0 })
        }
        Combine::Grouped { .. } | Combine::Overlap { .. } | Combine::Near { .. } => (vec![2.0; case.terms()], 1.0),
    };
    let base = if let Space::Deltas { base } = case.space { case.value(base, index).abs() } else { 0.0 };
    let terms = factors.iter().enumerate();
    terms.map(|(term, by)| (by * case.term(term, index) * factor).abs()).fold(base, f64::max)
}

fn same_mix(backend: &mut impl Backend, tolerance: &Tolerance, case: &Case, mix: &Mix) {
    let Some(actual) = given(tolerance, case, drive::mix(backend, case, mix, CUT)) else { return };
    let expected = drive::mix(&mut Reference, case, mix, CUT).unwrap();
    compare::values(tolerance, mix.out, &expected, &actual, |index| magnitude(case, mix, index))
        .unwrap_or_else(|difference| panic!("{}, {mix:?}: {difference}", case.name));
}

pub fn sums_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for turn in 0..TURNS {
            same_mix(backend, tolerance, &case, &sum_of(&case, masks(&case, turn), Float::F32));
        }
        same_mix(backend, tolerance, &case, &sum_of(&case, vec![Mask::All; case.terms()], Float::BF16));
    }
}

/// Groups that do not fit blocks, lanes or windows.
fn groups(case: &Case) -> [Groups; 4] {
    let len = case.len as u64;
    [Groups::Whole, Groups::Rows(case.row), Groups::Columns(37.min(len)), Groups::Columns(len.div_ceil(3))]
}

pub fn sums_of_groups_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for groups in groups(&case) {
            let count = groups.count(case.len as u64) as usize;
            let coefficients = (0..count * case.terms()).map(|at| 0.25 + (at % 11) as f64 / 8.0).collect();
            // Masks that are drawn or scaled do not come with groups.
            for masks in [masks(&case, 3), vec![Mask::All; case.terms()]] {
                let combine = Combine::Grouped { groups, coefficients: Vec::clone(&coefficients) };
                same_mix(backend, tolerance, &case, &Mix { masks, combine, out: Float::F32 });
            }
        }
    }
}

pub fn votes_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for turn in 0..TURNS {
            let mut mix = vote_of(&case, masks(&case, turn), turn % 2 == 0, Float::F32);
            same_mix(backend, tolerance, &case, &mix);
            if let Combine::Vote { weights, unweighted, least, .. } = &mut mix.combine {
                *unweighted = true;
                *weights = weights.iter().map(|weight| weight.abs()).collect();
                *least = 0.5;
            }
            same_mix(backend, tolerance, &case, &mix);
        }
        same_mix(backend, tolerance, &case, &vote_of(&case, vec![Mask::All; case.terms()], true, Float::F16));
    }
}

pub fn overlaps_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for turn in 0..TURNS {
            let masks = masks(&case, turn);
            if let Some(actual) = given(tolerance, &case, drive::overlap(backend, &case, &masks, CUT)) {
                let expected = drive::overlap(&mut Reference, &case, &masks, CUT).unwrap();
                assert_eq!(actual, expected, "{}, {masks:?}", case.name);
            }
            let combine = Combine::Overlap { coefficients: coefficients(case.terms()) };
            same_mix(backend, tolerance, &case, &Mix { masks, combine, out: Float::F32 });
        }
    }
}

pub fn near_values_are_swapped_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for mut case in case::all() {
        case.truncate(2);
        case.space = Space::Inputs;
        for (base, t) in [(0, 1e-3), (1, 0.25), (0, 0.0), (1, 2.0)] {
            let mix = Mix { masks: vec![Mask::All; 2], combine: Combine::Near { base, t }, out: Float::F32 };
            same_mix(backend, tolerance, &case, &mix);
        }
    }
}

pub fn gram_matrices_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for groups in groups(&case) {
            let Some(actual) = given(tolerance, &case, drive::gram(backend, &case, groups, CUT)) else { continue };
            let expected = drive::gram(&mut Reference, &case, groups, CUT).unwrap();
            compare::grams(tolerance, &expected, &actual)
                .unwrap_or_else(|difference| panic!("{}, {groups:?}: {difference}", case.name));
        }
    }
}

pub fn norms_are_as_defined(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for turn in 0..TURNS {
            let masks = masks(&case, turn);
            for power in [Power::One, Power::Two] {
                let actual = drive::norms(backend, &case, power, &masks, CUT);
                let Some(actual) = given(tolerance, &case, actual) else { continue };
                let expected = drive::norms(&mut Reference, &case, power, &masks, CUT).unwrap();
                compare::norms(tolerance, &expected, &actual)
                    .unwrap_or_else(|difference| panic!("{}, {power:?}, {masks:?}: {difference}", case.name));
            }
        }
    }
}

pub fn selections_keep_exactly_what_sorting_keeps(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all().into_iter().filter(|case| case.len > 1) {
        let len = case.len as u64;
        for keep in [1, len / 5, len / 2, len - 1] {
            // Now and then by a large tensor's digits.
            let large = keep == len / 2;
            let keep = |more: usize| (keep + more as u64).clamp(1, len - 1);
            let mut wanted: Vec<Wanted> = (0..case.terms()).map(|term| (term, Score::Magnitude, keep(term))).collect();
            // Two of one term, as a band has.
            wanted.push((0, Score::Magnitude, keep(7)));
            for wanted in [wanted, vec![(0, Score::Variance, keep(1))], vec![(1, Score::Scaled, keep(0))]] {
                let elements = if large { u64::MAX } else { len };
                let selected = drive::select(backend, &case, &wanted, elements, CUT);
                let Some(cuts) = given(tolerance, &case, selected) else { continue };
                for (cut, &(term, score, keep)) in cuts.iter().zip(&wanted) {
                    let kept = kept_by(&case, term, score, *cut);
                    assert_eq!(kept, sorted(&case, term, score, keep), "{}, {score:?}, keep {keep}", case.name);
                }
            }
        }
    }
}

pub fn zeros_are_counted(backend: &mut impl Backend, tolerance: &Tolerance) {
    for case in case::all() {
        for score in [Score::Magnitude, Score::Variance] {
            let Some(actual) = given(tolerance, &case, drive::zeros(backend, &case, score, CUT)) else { continue };
            let expected = (0..case.len).filter(|&index| score_of(&case, 0, score, index) == 0).count();
            assert_eq!(actual, expected as u64, "{}, {score:?}", case.name);
        }
    }
}

/// The indices of a cut; zeros are left out, for whether they are kept cannot be seen.
fn kept_by(case: &Case, term: usize, score: Score, cut: Cut) -> Vec<usize> {
    let kept = |index: &usize| {
        let score = score_of(case, term, score, *index);
        score != 0 && cut.has(score, *index as u64)
    };
    (0..case.len).filter(kept).collect()
}

/// The indices of the `keep` largest, the lowest index first among equals, zeros left out.
fn sorted(case: &Case, term: usize, score: Score, keep: u64) -> Vec<usize> {
    let score = |index: usize| score_of(case, term, score, index);
    let mut indices: Vec<usize> = (0..case.len).collect();
    indices.sort_by_key(|&index| (std::cmp::Reverse(score(index)), index));
    indices.truncate(keep as usize);
    indices.retain(|&index| score(index) != 0);
    indices.sort_unstable();
    indices
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
    let inputs = vec![
        input(vec![0.0; len]),
        input(changes.iter().map(|change| change.0).collect()),
        input(changes.iter().map(|change| change.1).collect()),
    ];
    let case = Case::new("votes that cancel".into(), Precision::F32, Space::Deltas { base: 0 }, len, inputs);
    let mut mix = vote_of(&case, vec![Mask::All; 2], true, Float::F32);
    if let Combine::Vote { coefficients, weights, .. } = &mut mix.combine {
        (*coefficients, *weights) = (vec![1.0; 2], vec![1.0; 2]);
    }
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
        case.truncate(1);
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
