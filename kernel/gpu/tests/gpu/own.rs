//! What the twins' bodies do not ask: large tensors, refusals, loss, and how much work a call is.

use merge_studio_gpu::Gpu;
use merge_studio_kernel::cpu::Cpu;
use merge_studio_kernel::{
    BLOCK, Backend, BackendError, Coin, Combine, Cut, Digit, Float, Frame, Gram, Groups, Histogram, Mask, Mix, Norms,
    Overlap, Power, Precision, Query, Raw, Score, Space, TieHunt, Window,
};
use pollster::block_on;

use crate::case::{Case, Numbers, encode};
use crate::{Body, TOLERANCE, compare, drive};

pub const TESTS: &[(&str, Body)] = &[
    ("a_tensor_of_over_a_million_elements_merges_as_on_the_cpu", a_large_tensor),
    ("coins_far_into_a_tensor_are_the_cpus", far_coins),
    ("every_dtype_and_every_odd_length_is_read_from_its_own_bytes", odd_lengths),
    ("values_that_a_gpu_may_treat_differently_are_refused", refusals),
    ("coefficients_that_could_underflow_are_refused", coefficients),
    ("a_refused_call_leaves_totals_as_they_were", refused_totals),
    ("sixty_four_bits_are_refused", sixty_four_bits),
    ("no_elements_are_no_work", no_elements),
    ("a_call_is_one_submission_and_reads_back_results_only", one_submission),
    ("what_no_method_asks_for_is_declined_and_not_computed_wrong", unasked),
    ("a_base_alone_keeps_the_sign_of_its_zeros", signed_zeros),
    ("scales_that_a_gpu_may_flush_are_refused", small_scales),
    ("a_lost_gpu_says_so_at_every_call", loss),
];

/// The base and two fine-tunes in BF16: changes of a few units in the last place, two thirds of them none.
fn fine_tunes(len: usize) -> Case {
    let mut numbers = Numbers(11);
    let base: Vec<f64> = (0..len).map(|_| numbers.signed() * 0.05 + 0.01).collect();
    let base = encode(Float::BF16, &base);
    let mut tuned = || {
        let (elements, _) = base.as_chunks::<2>();
        let change = |bits: &[u8; 2]| {
            let bits = u16::from_le_bytes(*bits);
            if numbers.next().is_multiple_of(3) { bits ^ (numbers.next() % 4) as u16 } else { bits }
        };
        let bits: Vec<u16> = elements.iter().map(change).collect();
        (Float::BF16, bits.iter().flat_map(|bits| bits.to_le_bytes()).collect())
    };
    let inputs = vec![tuned(), (Float::BF16, base.clone()), tuned()];
    Case::new("large".into(), Precision::F32, Space::Deltas { base: 1 }, len, inputs)
}

const INPUTS: Frame<'_> = Frame { precision: Precision::F32, space: Space::Inputs, row: 1, scales: &[] };

fn a_large_tensor(gpu: &mut Gpu) {
    let case = fine_tunes((1 << 20) + 3 * BLOCK + 77);
    let (mut cpu, cut) = (Cpu::default(), 1 << 19);
    let wanted = [(0, Score::Magnitude, 300_000), (1, Score::Magnitude, 101), (0, Score::Variance, 200_000)];
    let cuts = drive::select(gpu, &case, &wanted, case.len as u64, cut).unwrap();
    assert_eq!(cuts, drive::select(&mut cpu, &case, &wanted, case.len as u64, cut).unwrap());
    let masks: Vec<Mask> =
        cuts[..2].iter().map(|cut| Mask::Band { score: Score::Magnitude, from: *cut, above: Cut::NONE }).collect();
    for power in [Power::One, Power::Two] {
        let norms = drive::norms(&mut cpu, &case, power, &masks, cut).unwrap();
        compare::norms(&TOLERANCE, &norms, &drive::norms(gpu, &case, power, &masks, cut).unwrap()).unwrap();
    }
    for groups in [Groups::Whole, Groups::Rows(1000), Groups::Columns(1000)] {
        let gram = drive::gram(&mut cpu, &case, groups, cut).unwrap();
        compare::grams(&TOLERANCE, &gram, &drive::gram(gpu, &case, groups, cut).unwrap()).unwrap();
    }
    let combine = Combine::Vote {
        coefficients: vec![0.4, 0.6],
        weights: vec![0.4, 0.6],
        unweighted: false,
        normalize: true,
        least: f64::NEG_INFINITY,
        lambda: 0.9,
    };
    let mix = Mix { masks, combine, out: Float::BF16 };
    assert!(drive::mix(gpu, &case, &mix, cut).unwrap() == drive::mix(&mut cpu, &case, &mix, cut).unwrap());
}

/// Mixes one window on both, and compares.
fn same(gpu: &mut Gpu, mix: &Mix, window: Window<'_>) {
    let ours = block_on(gpu.mix_window(&INPUTS, mix, window)).unwrap();
    let cpus = block_on(Cpu::default().mix_window(&INPUTS, mix, window)).unwrap();
    assert_eq!(ours, cpus, "{mix:?}");
}

fn sum(masks: Vec<Mask>, out: Float) -> Mix {
    let combine = Combine::Sum { coefficients: vec![0.7; masks.len()] };
    Mix { masks, combine, out }
}

fn far_coins(gpu: &mut Gpu) {
    let ones = encode(Float::BF16, &vec![1.0; 3 * BLOCK]);
    let inputs = [Raw { dtype: Float::BF16, bytes: &ones }];
    // At the second one the counter's low word wraps between two blocks.
    for first in [BLOCK as u64 * 77, (1 << 34) - BLOCK as u64, 1 << 50] {
        let coin = Coin { key: [0xDEAD_BEEF, 5], stream: [u32::MAX, 9], threshold: 0x8000_0000 };
        same(gpu, &sum(vec![Mask::Coin(coin)], Float::BF16), Window::new(first, 3 * BLOCK, &inputs));
    }
}

fn odd_lengths(gpu: &mut Gpu) {
    let mut numbers = Numbers(5);
    for len in (1..10).chain(BLOCK - 3..BLOCK + 4) {
        let bytes = [Float::BF16, Float::F16, Float::F32, Float::F16, Float::BF16].map(|dtype| {
            let values: Vec<f64> = (0..len).map(|_| numbers.signed()).collect();
            (dtype, encode(dtype, &values))
        });
        let inputs = bytes.each_ref().map(|(dtype, bytes)| Raw { dtype: *dtype, bytes });
        for out in [Float::F16, Float::BF16, Float::F32] {
            same(gpu, &sum(vec![Mask::All; 5], out), Window::new(0, len, &inputs));
        }
    }
}

/// Calls everything on a window.
fn outcomes(gpu: &mut Gpu, precision: Precision, out: Float, window: Window<'_>) -> Vec<Result<(), BackendError>> {
    let frame = Frame::new(precision, Space::Inputs);
    let (term, score) = (0, Score::Magnitude);
    let query = Query { term, score, digit: Digit { shift: 20, bits: 11, prefix: 0 } };
    let hunt = TieHunt { term, score, threshold: 5, wanted: 1, met: 0, end: None };
    let mix = sum(vec![Mask::All], out);
    let mut gram =
        |groups| block_on(gpu.gram(&frame, &mut window.alone(), &mut Gram::new(1, groups, window.len as u64)));
    let grams = [gram(Groups::Whole), gram(Groups::Rows(3)), gram(Groups::Columns(2))];
    let mut outcomes = vec![block_on(gpu.mix_window(&frame, &mix, window)).map(drop)];
    outcomes.extend(grams);
    outcomes.extend([
        block_on(gpu.norms(&frame, Power::One, &[Mask::All], &mut window.alone(), &mut [Norms::default()])),
        block_on(gpu.overlap(&frame, &[Mask::All], &mut window.alone(), &mut [Overlap::default()])),
        block_on(gpu.histogram(&frame, &[query], &mut window.alone(), &mut [Histogram::new(query.digit)])),
        block_on(gpu.ties(&frame, &mut window.alone(), &mut [hunt])),
    ]);
    outcomes
}

fn outcomes_of(gpu: &mut Gpu, dtype: Float, bytes: &[u8]) -> Vec<Result<(), BackendError>> {
    let inputs = [Raw { dtype, bytes }];
    let window = Window::new(0, bytes.len() / dtype.size(), &inputs);
    outcomes(gpu, Precision::F32, Float::F32, window)
}

fn refusals(gpu: &mut Gpu) {
    for dtype in [Float::F16, Float::BF16, Float::F32] {
        for (value, refused) in [
            (f64::NAN, true),
            (f64::INFINITY, true),
            (-1e30, true),
            (1e-30, dtype != Float::F16),
            (-1e-40, dtype != Float::F16),
            (0.0, false),
            (-0.0, false),
            (6e-8, false),
            (-65_000.0, false),
        ] {
            let mut values = vec![0.5; BLOCK + 2];
            values[BLOCK + 1] = value;
            let expected = if refused { Err(BackendError::UnsafeValues) } else { Ok(()) };
            for outcome in outcomes_of(gpu, dtype, &encode(dtype, &values)) {
                assert_eq!(outcome, expected, "{value:e} in {dtype:?}");
            }
        }
    }
}

fn coefficients(gpu: &mut Gpu) {
    let bytes = encode(Float::F32, &[0.5; 4]);
    let inputs = [Raw { dtype: Float::F32, bytes: &bytes }];
    for (coefficient, expected) in [
        (0.0, Ok(())),
        (-1e-3, Ok(())),
        (1e-8, Err(BackendError::UnsafeValues)),
        (1e20, Err(BackendError::UnsafeValues)),
        (f64::NAN, Err(BackendError::UnsafeValues)),
    ] {
        let mut mix = sum(vec![Mask::All], Float::F32);
        mix.combine = Combine::Sum { coefficients: vec![coefficient] };
        let window = Window::new(0, 4, &inputs);
        let outcome = block_on(gpu.mix_window(&INPUTS, &mix, window)).map(drop);
        assert_eq!(outcome, expected, "{coefficient:e}");
    }
}

fn refused_totals(gpu: &mut Gpu) {
    let bytes = encode(Float::F32, &[1.0, f64::NAN]);
    let inputs = [Raw { dtype: Float::F32, bytes: &bytes }];
    let window = Window::new(0, 2, &inputs);
    let refused = Err(BackendError::UnsafeValues);
    let mut gram = Gram { terms: 1, groups: Groups::Whole, sums: vec![7.0] };
    assert_eq!(block_on(gpu.gram(&INPUTS, &mut window.alone(), &mut gram)), refused);
    assert_eq!(gram.sums, [7.0]);
    let mut pass = window.alone();
    assert_eq!(block_on(gpu.mix(&INPUTS, &sum(vec![Mask::All], Float::BF16), &mut pass)), refused);
    assert!(pass.values.is_empty());
}

fn sixty_four_bits(gpu: &mut Gpu) {
    for outcome in outcomes_of(gpu, Float::F64, &encode(Float::F64, &[1.0; 3])) {
        assert_eq!(outcome, Err(BackendError::Unsupported));
    }
    let bytes = encode(Float::F32, &[1.0; 3]);
    let inputs = [Raw { dtype: Float::F32, bytes: &bytes }];
    let window = Window::new(0, 3, &inputs);
    for outcome in outcomes(gpu, Precision::F64, Float::F32, window) {
        assert_eq!(outcome, Err(BackendError::Unsupported));
    }
    assert_eq!(outcomes(gpu, Precision::F32, Float::F64, window)[0], Err(BackendError::Unsupported));
}

fn no_elements(gpu: &mut Gpu) {
    let before = gpu.counters();
    for outcome in outcomes_of(gpu, Float::BF16, &[]) {
        assert_eq!(outcome, Ok(()));
    }
    assert_eq!(gpu.counters(), before);
}

fn one_submission(gpu: &mut Gpu) {
    let len = 5 * BLOCK + 1;
    let bytes = encode(Float::BF16, &vec![1.0; len]);
    let inputs = [Raw { dtype: Float::BF16, bytes: &bytes }];
    let window = Window::new(0, len, &inputs);
    let before = gpu.counters();
    block_on(gpu.mix_window(&INPUTS, &sum(vec![Mask::All], Float::F32), window)).unwrap();
    let mixed = gpu.counters();
    assert_eq!((mixed.submissions, mixed.readbacks), (before.submissions + 1, before.readbacks + 1));
    assert_eq!(mixed.dispatches, before.dispatches + 1);
    // The inputs and a few words; the values (to a whole quad) and a word.
    let up = mixed.bytes_up - before.bytes_up - bytes.len() as u64;
    assert!(up < 300, "{up}");
    let down = mixed.bytes_down - before.bytes_down - 4 * len as u64;
    assert!(down <= 16, "{down}");
    let threshold = Precision::F32.bits(1.0);
    let mut hunts = [TieHunt { term: 0, score: Score::Magnitude, threshold, wanted: len as u64, met: 0, end: None }];
    block_on(gpu.ties(&INPUTS, &mut window.alone(), &mut hunts)).unwrap();
    assert_eq!(hunts[0].end, Some(len as u64));
    let hunted = gpu.counters();
    assert_eq!(hunted.submissions, mixed.submissions + 1);
    assert_eq!(hunted.bytes_down - mixed.bytes_down, 12);
}

fn unasked(gpu: &mut Gpu) {
    let bytes = encode(Float::F32, &[0.5; 8]);
    let inputs = [Raw { dtype: Float::F32, bytes: &bytes }, Raw { dtype: Float::F32, bytes: &bytes }];
    let drawn = [vec![0x55], vec![0xFF]];
    let window = Window { drawn: &drawn, ..Window::new(0, 8, &inputs) };
    let scales = [1.0, 2.0];
    let frame = Frame { row: 4, scales: &scales, ..INPUTS };
    let scaled = Mask::Band { score: Score::Scaled, from: Cut { threshold: 1, ties_end: 0 }, above: Cut::NONE };
    let sum = || Combine::Sum { coefficients: vec![1.0; 2] };
    let grouped = || Combine::Grouped { groups: Groups::Rows(4), coefficients: vec![1.0; 4] };
    let far = Combine::Grouped { groups: Groups::Rows(1 << 31), coefficients: vec![1.0; 2] };
    for (masks, combine) in [
        ([Mask::Drawn, scaled], sum()),
        ([Mask::Drawn, Mask::All], grouped()),
        ([scaled, Mask::All], grouped()),
        ([Mask::All; 2], far),
    ] {
        let mix = Mix { masks: masks.to_vec(), combine, out: Float::F32 };
        let outcome = block_on(gpu.mix_window(&frame, &mix, window));
        assert_eq!(outcome, Err(BackendError::Unsupported), "{mix:?}");
    }
    let deltas = Frame::new(Precision::F32, Space::Deltas { base: 0 });
    let near = Mix { masks: vec![Mask::All], combine: Combine::Near { base: 0, t: 0.5 }, out: Float::F32 };
    assert_eq!(block_on(gpu.mix_window(&deltas, &near, window)), Err(BackendError::Unsupported));
    for groups in [Groups::Rows(1 << 31), Groups::Rows(u64::MAX)] {
        let outcome = block_on(gpu.gram(&INPUTS, &mut window.alone(), &mut Gram::new(2, groups, 8)));
        assert_eq!(outcome, Err(BackendError::Unsupported), "{groups:?}");
    }
}

fn signed_zeros(gpu: &mut Gpu) {
    let bytes = encode(Float::F32, &[-0.0, 0.0, -1.5]);
    let inputs = [Raw { dtype: Float::F32, bytes: &bytes }];
    let window = Window::new(0, 3, &inputs);
    let frame = Frame::new(Precision::F32, Space::Deltas { base: 0 });
    let none = Vec::<f64>::new;
    let vote = Combine::Vote {
        coefficients: none(),
        weights: none(),
        unweighted: false,
        normalize: true,
        least: f64::NEG_INFINITY,
        lambda: 1.0,
    };
    for combine in [vote, Combine::Sum { coefficients: none() }, Combine::Overlap { coefficients: none() }] {
        let mix = Mix { masks: Vec::new(), combine, out: Float::F32 };
        assert_eq!(block_on(gpu.mix_window(&frame, &mix, window)).unwrap(), bytes, "{mix:?}");
    }
}

fn small_scales(gpu: &mut Gpu) {
    let bytes = encode(Float::F32, &[0.5; 6]);
    let inputs = [Raw { dtype: Float::F32, bytes: &bytes }];
    let window = Window::new(0, 6, &inputs);
    let digit = Digit { shift: 20, bits: 11, prefix: 0 };
    let query = Query { term: 0, score: Score::Scaled, digit };
    for (scale, refused) in [(0.0, false), (1e-3, false), (1e-40, true), (f64::INFINITY, true), (f64::NAN, true)] {
        let scales = [1.0, scale];
        let frame = Frame { row: 4, scales: &scales, ..INPUTS };
        let outcome =
            block_on(gpu.histogram(&frame, &[query], &mut window.alone(), &mut [Histogram::new(query.digit)]));
        assert_eq!(outcome, if refused { Err(BackendError::UnsafeValues) } else { Ok(()) }, "{scale:e}");
    }
}

fn loss(_: &mut Gpu) {
    let mut gpu = block_on(Gpu::open()).unwrap();
    let bytes = encode(Float::F32, &[1.0; 3]);
    for outcome in outcomes_of(&mut gpu, Float::F32, &bytes) {
        assert_eq!(outcome, Ok(()));
    }
    gpu.breaker()();
    for outcome in outcomes_of(&mut gpu, Float::F32, &bytes) {
        assert!(matches!(outcome, Err(BackendError::Lost(_))), "{outcome:?}");
    }
}
