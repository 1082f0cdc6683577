//! The start-up probe: every kernel on a little data whose answers are known, before any model is touched.
//!
//! The data are what GPUs get wrong: rounding halfway between neighbours, subnormal F16s, votes that cancel, equal scores,
//! 64-bit products, NaN. Expected values are written out here: the CPU backend has no part in it.

use super::{Gpu, GpuError};
use merge_studio_kernel::{
    Backend, BackendError, Coin, Combine, Cut, Digit, Float, Frame, Gram, Groups, Histogram, Mask, Mix, Norms, Power,
    Precision, Query, Raw, Score, Space, TieHunt, Window,
};

/// Terms are the inputs, or changes to the first of them.
const INPUTS: Frame<'_> = Frame { precision: Precision::F32, space: Space::Inputs, row: 1, scales: &[] };
const TASK_VECTORS: Frame<'_> = Frame { space: Space::Deltas { base: 0 }, ..INPUTS };

fn window<'a>(len: usize, inputs: &'a [Raw<'a>]) -> Window<'a> {
    Window::new(0, len, inputs)
}

fn band(from: f32, ties_end: u64) -> Mask {
    let from = Cut { threshold: u64::from(from.to_bits()), ties_end };
    Mask::Band { score: Score::Magnitude, from, above: Cut::NONE }
}

/// The first thing that is not as it should be.
pub(super) async fn probe(gpu: &mut Gpu) -> Result<(), GpuError> {
    let checks = [
        ("sums", sums(gpu).await),
        ("rounding to F16", rounding(gpu, Float::F16, &HALFWAY_F16).await),
        ("rounding to BF16", rounding(gpu, Float::BF16, &HALFWAY_BF16).await),
        ("F16 inputs", f16_inputs(gpu).await),
        ("votes", votes(gpu).await),
        ("quotients", quotients(gpu).await),
        ("coins", coins(gpu).await),
        ("bands", bands(gpu).await),
        ("Gram matrices", gram(gpu).await),
        ("variances", variances(gpu).await),
        ("overlaps", overlaps(gpu).await),
        ("distances", distances(gpu).await),
        ("groups", groups(gpu).await),
        ("norms", norms(gpu).await),
        ("histograms", histogram(gpu).await),
        ("ties", ties(gpu).await),
        ("NaN", refusals(gpu).await),
    ];
    for (what, outcome) in checks {
        match outcome {
            Ok(true) => {}
            Ok(false) => return Err(GpuError::ProbeFailed { what }),
            Err(error) => return Err(GpuError::NoDevice(error.to_string())),
        }
    }
    Ok(())
}

type Outcome = Result<bool, BackendError>;

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn u16s(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Mixes inputs that all have one type and as many elements as the first.
async fn mixed(
    gpu: &mut Gpu,
    frame: &Frame<'_>,
    mix: &Mix,
    dtype: Float,
    inputs: &[Vec<u8>],
) -> Result<Vec<u8>, BackendError> {
    let inputs: Vec<_> = inputs.iter().map(|bytes| Raw { dtype, bytes }).collect();
    let len = inputs[0].bytes.len() / dtype.size();
    gpu.mix_window(frame, mix, window(len, &inputs)).await
}

fn sum(masks: Vec<Mask>, coefficients: Vec<f64>, out: Float) -> Mix {
    Mix { masks, combine: Combine::Sum { coefficients }, out }
}

/// 0.1·3 is rounded before it meets 0.3·−1: fused, they would leave −7·10⁻⁹. (2²⁴ + 1) − 2²⁴ is zero in this order only.
async fn sums(gpu: &mut Gpu) -> Outcome {
    let large = 16_777_216.0;
    let base = f32s(&[0.0, 0.0, 1.0, -2.5, 0.0]);
    let first = f32s(&[3.0, 3.0, 3.0, 0.5, 10.0 * large]);
    let second = f32s(&[-1.0, 0.0, 2.0, -1.0, -10.0 / 3.0 * large]);
    let mix = sum(vec![Mask::All; 2], vec![f64::from(0.1_f32), f64::from(0.3_f32)], Float::F32);
    let values = mixed(gpu, &TASK_VECTORS, &mix, Float::F32, &[base, first, second]).await?;
    // Fused results differ from these by less than the GPU may differ from the CPU, so what is asked is that.
    let expected = [0.0, 0.3, 1.5, -1.75, 0.0];
    let largest = [0.3, 0.3, 1.0, 2.5, large];
    let close = values.as_chunks().0.iter().zip(expected).zip(largest).all(|((value, expected), largest): (_, f32)| {
        (f32::from_le_bytes(*value) - expected).abs() <= 2.0 * f32::EPSILON * largest
    });
    Ok(values.len() == 20 && close)
}

/// F32 values, most of them halfway between two F16s, and what they round to: subnormals, overflow, signs of zero.
const HALFWAY_F16: [(f32, u16); 14] = [
    (1.0 + 1.0 / 2048.0, 0x3C00),
    (1.0 + 3.0 / 2048.0, 0x3C02),
    (-1.0 - 1.0 / 2048.0 - 1.0 / 1_048_576.0, 0xBC01),
    (1.0 / 33_554_432.0, 0x0000),
    (3.0 / 33_554_432.0, 0x0002),
    (1.1 / 33_554_432.0, 0x0001),
    (0.9 / 33_554_432.0, 0x0000),
    (-5.0 / 16_777_216.0, 0x8005),
    (1023.5 / 16_777_216.0, 0x0400),
    (1.0 / 16_384.0, 0x0400),
    (65_519.0, 0x7BFF),
    (65_520.0, 0x7C00),
    (-1e9, 0xFC00),
    (0.0, 0x0000),
];

/// The same for BF16.
const HALFWAY_BF16: [(f32, u16); 7] = [
    (1.0 + 1.0 / 256.0, 0x3F80),
    (1.0 + 3.0 / 256.0, 0x3F82),
    (-1.0 - 1.0 / 256.0 - 1.0 / 1_048_576.0, 0xBF81),
    (1.0 - 1.0 / 512.0, 0x3F80),
    (65_520.0, 0x4780),
    (-1e9, 0xCE6E),
    (0.0, 0x0000),
];

async fn rounding(gpu: &mut Gpu, out: Float, cases: &[(f32, u16)]) -> Outcome {
    let (values, expected): (Vec<f32>, Vec<u16>) = cases.iter().copied().unzip();
    let mix = sum(vec![Mask::All], vec![1.0], out);
    Ok(mixed(gpu, &INPUTS, &mix, Float::F32, &[f32s(&values)]).await? == u16s(&expected))
}

/// Every kind of F16, subnormals included, widened.
async fn f16_inputs(gpu: &mut Gpu) -> Outcome {
    let unit = 1.0 / 16_777_216.0;
    let input = u16s(&[0x0001, 0x8003, 0x03FF, 0x0400, 0x3C01, 0xFBFF, 0x8000, 0x0200]);
    let expected =
        f32s(&[unit, -3.0 * unit, 1023.0 * unit, 1024.0 * unit, 1.0 + 1.0 / 1024.0, -65_504.0, -0.0, 512.0 * unit]);
    let mix = sum(vec![Mask::All], vec![1.0], Float::F32);
    let mut values = mixed(gpu, &INPUTS, &mix, Float::F16, &[input]).await?;
    // The sign of a zero may be lost.
    values[27] |= 0x80;
    Ok(values == expected)
}

fn vote(coefficients: &[f32], normalize: bool) -> Mix {
    let coefficients: Vec<f64> = coefficients.iter().map(|&coefficient| f64::from(coefficient)).collect();
    let masks = vec![Mask::All; coefficients.len()];
    let combine = Combine::Vote {
        weights: coefficients.clone(),
        coefficients,
        unweighted: false,
        normalize,
        least: f64::NEG_INFINITY,
        lambda: 1.0,
    };
    Mix { masks, combine, out: Float::BF16 }
}

/// Votes that cancel elect plus, in whichever order, exactly or but for rounding; others elect their sign.
async fn votes(gpu: &mut Gpu) -> Outcome {
    let base = f32s(&[0.0; 8]);
    let first = f32s(&[3.0, -3.0, 0.0, 1.0, -1.0, 3.0, 2.0, -6.0]);
    let second = f32s(&[-1.0, 1.0, 0.0, 1.0, -1.0, -1.001, -1.0, 0.0]);
    let third = f32s(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    let values =
        mixed(gpu, &TASK_VECTORS, &vote(&[0.1, 0.3, 0.1], false), Float::F32, &[base, first, second, third]).await?;
    let expected: [f32; 8] = [0.3, 0.3, 0.0, 0.4, -0.4, -0.3003, 0.3, -0.6];
    Ok(values == u16s(&expected.map(|value| half::bf16::from_f32(value).to_bits())))
}

/// Quotients that are rounded up, down, and not at all; a divisor of zero is one.
async fn quotients(gpu: &mut Gpu) -> Outcome {
    let mut mix = vote(&[3.0, 1.0], true);
    mix.out = Float::F32;
    let base = f32s(&[0.0; 6]);
    let first = f32s(&[1.0, 0.0, 5.0, -7.0, 1.000_000_1, 1e10]);
    let second = f32s(&[1.0, 0.0, -1.0, -1.0, 0.1, 1.0]);
    let terms: [(f32, f32); 6] = [(4.0, 4.0), (0.0, 1.0), (15.0, 3.0), (-22.0, 4.0), (3.100_000_4, 4.0), (3e10, 4.0)];
    let values = mixed(gpu, &TASK_VECTORS, &mix, Float::F32, &[base.clone(), first, second]).await?;
    let whole = values == f32s(&terms.map(|(sum, weight)| sum / weight));
    let thirds: Vec<f32> = [1.0, 2.0, -5.0, 1.0 / 7.0, 1e-20, 10.0].to_vec();
    let mut mix = vote(&[1.0], true);
    mix.out = Float::F32;
    if let Combine::Vote { weights, .. } = &mut mix.combine {
        *weights = vec![3.0];
    }
    let values = mixed(gpu, &TASK_VECTORS, &mix, Float::F32, &[base, f32s(&thirds)]).await?;
    Ok(whole && values == f32s(&thirds.iter().map(|value| value / 3.0).collect::<Vec<_>>()))
}

/// Random123's known answer for a counter and key of zeros: each word is kept just above itself, not at itself.
async fn coins(gpu: &mut Gpu) -> Outcome {
    const WORDS: [u32; 4] = [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8];
    for word in WORDS {
        for threshold in [word, word + 1] {
            let coin = Mask::Coin(Coin { key: [0; 2], stream: [0; 2], threshold });
            let mix = sum(vec![coin], vec![1.0], Float::F32);
            let values = mixed(gpu, &INPUTS, &mix, Float::F32, &[f32s(&[1.0; 4])]).await?;
            if values != f32s(&WORDS.map(|word| if word < threshold { 1.0 } else { 0.0 })) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Of four equal scores the first two are kept.
async fn bands(gpu: &mut Gpu) -> Outcome {
    let mix = sum(vec![band(2.0, 4)], vec![1.0], Float::F32);
    let values = mixed(gpu, &INPUTS, &mix, Float::F32, &[f32s(&[1.0, 2.0, -3.0, -2.0, 2.0, -2.0, 4.0])]).await?;
    Ok(values == f32s(&[0.0, 2.0, -3.0, -2.0, 0.0, 0.0, 4.0]))
}

/// A block and a half in which element i is i mod 7 − 3, and half of that in BF16.
struct Pattern {
    whole: Vec<u8>,
    halves: Vec<u8>,
}

/// A block and a half, and three elements.
const PATTERN: usize = 1_539;

impl Pattern {
    fn new() -> Self {
        let value = |i| (i % 7) as f32 - 3.0;
        let halves: Vec<u16> = (0..PATTERN).map(|i| half::bf16::from_f32(value(i) / 2.0).to_bits()).collect();
        Self { whole: f32s(&(0..PATTERN).map(value).collect::<Vec<_>>()), halves: u16s(&halves) }
    }

    fn inputs(&self) -> [Raw<'_>; 2] {
        [Raw { dtype: Float::F32, bytes: &self.whole }, Raw { dtype: Float::BF16, bytes: &self.halves }]
    }
}

/// 219 times −3 … 3 has 28 as its sum of squares; six more elements, −3 … 2, have 19.
async fn gram(gpu: &mut Gpu) -> Outcome {
    const SQUARES: f64 = 219.0 * 28.0 + 19.0;
    let pattern = Pattern::new();
    let mut gram = Gram::new(2, Groups::Whole, PATTERN as u64);
    let inputs = pattern.inputs();
    let window = window(PATTERN, &inputs);
    gpu.gram(&INPUTS, &mut window.alone(), &mut gram).await?;
    Ok(gram.sums == [SQUARES, SQUARES / 2.0, SQUARES / 4.0])
}

/// Changes of three models at a dozen elements, from nearly alike to far apart: each variance to its last bit.
async fn variances(gpu: &mut Gpu) -> Outcome {
    const LEN: usize = 12;
    let change =
        |model: usize, at: usize| 1.0 + ((at * 7 + model * 5) % 11) as f32 * f32::EPSILON.powf(at as f32 / 12.0);
    let bytes: Vec<Vec<u8>> = (0..4)
        .map(|model| f32s(&(0..LEN).map(|at| if model == 0 { 0.0 } else { change(model, at) }).collect::<Vec<_>>()))
        .collect();
    let inputs: Vec<_> = bytes.iter().map(|bytes| Raw { dtype: Float::F32, bytes }).collect();
    let hunts = (0..LEN).map(|at| {
        let changes = [1, 2, 3].map(|model| f64::from(change(model, at)));
        let mean = changes.iter().sum::<f64>() / 3.0;
        let variance = changes.iter().map(|change| (change - mean) * (change - mean)).sum::<f64>() / 3.0;
        let threshold = u64::from((variance as f32).to_bits());
        TieHunt { term: 0, score: Score::Variance, threshold, wanted: LEN as u64, met: 0, end: None }
    });
    let mut hunts: Vec<_> = hunts.collect();
    gpu.ties(&TASK_VECTORS, &mut window(LEN, &inputs).alone(), &mut hunts).await?;
    Ok(hunts.iter().all(|hunt| hunt.met > 0))
}

/// What one term alone holds is scaled, what two or three hold is averaged; votes of their own count without coefficients.
async fn overlaps(gpu: &mut Gpu) -> Outcome {
    let inputs =
        [[0.0; 4], [3.0, 1.0, 1.0, 0.0], [0.0, 2.0, 4.0, 0.0], [0.0, 0.0, -4.0, 0.0]].map(|input| f32s(&input));
    let combine = Combine::Overlap { coefficients: vec![0.5; 3] };
    let mix = Mix { masks: vec![Mask::All; 3], combine, out: Float::F32 };
    let values = mixed(gpu, &TASK_VECTORS, &mix, Float::F32, &inputs).await?;
    // Each third is rounded before it is added.
    let thirds = (1.0_f32 / 3.0 + 4.0 / 3.0) - 4.0 / 3.0;
    let mut own = vote(&[0.125, 4.0, 1.0], true);
    if let Combine::Vote { unweighted, least, .. } = &mut own.combine {
        (*unweighted, *least) = (true, 0.5);
    }
    own.out = Float::F32;
    let votes = [[0.0; 2], [4.0, 3.0], [-1.0, 0.0], [0.0, 0.0]].map(|input| f32s(&input));
    let elected = mixed(gpu, &TASK_VECTORS, &own, Float::F32, &votes).await?;
    // The first vote wins although the second weighs more; its weight, an eighth, counts as a half.
    Ok(values == f32s(&[1.5, 1.5, thirds, 0.0]) && elected == f32s(&[1.0, 0.75]))
}

/// Half of the way where values are twice as far apart as they may be, all of it where they are as near.
async fn distances(gpu: &mut Gpu) -> Outcome {
    let mix = Mix { masks: vec![Mask::All; 2], combine: Combine::Near { base: 1, t: 0.25 }, out: Float::F32 };
    let inputs = [[1.0, 1.125, 3.0, 0.0], [0.5, 1.0, 1.0, 0.0]].map(|input| f32s(&input));
    let values = mixed(gpu, &INPUTS, &mix, Float::F32, &inputs).await?;
    Ok(values == f32s(&[0.75, 1.125, 1.25, 0.0]))
}

/// Five elements in rows of three or in three columns, and what each group is multiplied by.
async fn groups(gpu: &mut Gpu) -> Outcome {
    let input = f32s(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let inputs = [Raw { dtype: Float::F32, bytes: &input }];
    for (groups, sums, values) in [
        (Groups::Rows(3), vec![14.0, 41.0], [1.0, 2.0, 3.0, 8.0, 10.0]),
        (Groups::Columns(3), vec![17.0, 29.0, 9.0], [1.0, 4.0, 12.0, 4.0, 10.0]),
    ] {
        let mut gram = Gram::new(1, groups, 5);
        gpu.gram(&INPUTS, &mut window(5, &inputs).alone(), &mut gram).await?;
        let combine = Combine::Grouped { groups, coefficients: vec![1.0, 2.0, 4.0] };
        let mix = Mix { masks: vec![Mask::All], combine, out: Float::F32 };
        let mixed = mixed(gpu, &INPUTS, &mix, Float::F32, std::slice::from_ref(&input)).await?;
        if gram.sums != sums || mixed != f32s(&values) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The magnitudes of −3 … 3 have 12 as their sum, those of −3 … 2 have 9; the ones that are 3 make half of the first.
async fn norms(gpu: &mut Gpu) -> Outcome {
    const ALL: f64 = 219.0 * 12.0 + 9.0;
    const THREES: f64 = 219.0 * 6.0 + 3.0;
    let pattern = Pattern::new();
    let inputs = pattern.inputs();
    let window = window(PATTERN, &inputs);
    let mut norms = [Norms::default(); 2];
    gpu.norms(&INPUTS, Power::One, &[band(2.0, 0), Mask::Nothing], &mut window.alone(), &mut norms).await?;
    Ok(norms == [Norms { all: ALL, kept: THREES }, Norms { all: ALL / 2.0, kept: 0.0 }])
}

/// The highest digit tells 0, 1, 2 and 3 apart, the lowest finds nothing but zeros; by their exponents alone 2 and 3 are the same, and 3
/// has something below.
async fn histogram(gpu: &mut Gpu) -> Outcome {
    let pattern = Pattern::new();
    let inputs = pattern.inputs();
    let window = window(PATTERN, &inputs);
    let three = u64::from(3_f32.to_bits());
    let query = |term, digit| Query { term, score: Score::Magnitude, digit };
    let queries = [
        query(0, Digit { shift: 20, bits: 11, prefix: 0 }),
        query(1, Digit { shift: 10, bits: 10, prefix: u64::from(1.5_f32.to_bits()) >> 20 }),
        query(0, Digit { shift: 23, bits: 8, prefix: 0 }),
    ];
    let mut found = queries.map(|query| Histogram::new(query.digit));
    gpu.histogram(&INPUTS, &queries, &mut window.alone(), &mut found).await?;
    let at = |value: f32| (value.to_bits() >> 20) as usize;
    let mut expected = vec![0; 1 << 11];
    expected[0] = 220;
    expected[at(1.0)] = 440;
    expected[at(2.0)] = 440;
    expected[(three >> 20) as usize] = 439;
    let mut halved = vec![0; 1 << 10];
    halved[0] = 439;
    let [wide, narrow, exponents] = found;
    let alike = [&wide, &narrow].into_iter().all(|histogram| histogram.exact == histogram.counts);
    let apart = exponents.counts[128] == 879 && exponents.exact[127..129] == [440, 440];
    Ok(alike && apart && [wide.counts, narrow.counts] == [expected, halved])
}

/// Two of every seven elements are 3 or −3: the 299th and 300th are elements 1,043, the last of its quad, and 1,049.
async fn ties(gpu: &mut Gpu) -> Outcome {
    let pattern = Pattern::new();
    let inputs = pattern.inputs();
    let window = window(PATTERN, &inputs);
    let hunt = |term, value: f32, wanted| {
        let threshold = u64::from(value.to_bits());
        TieHunt { term, score: Score::Magnitude, threshold, wanted, met: 0, end: None }
    };
    let mut hunts = [hunt(0, 3.0, 299), hunt(1, 1.5, 300)];
    gpu.ties(&INPUTS, &mut window.alone(), &mut hunts).await?;
    let found = |end, hunt: TieHunt| TieHunt { met: hunt.wanted, end: Some(end), ..hunt };
    let mut missed = [hunt(1, 1.5, 1_000)];
    gpu.ties(&INPUTS, &mut window.alone(), &mut missed).await?;
    Ok(hunts == [found(1_044, hunt(0, 3.0, 299)), found(1_050, hunt(1, 1.5, 300))]
        && missed == [TieHunt { met: 439, ..hunt(1, 1.5, 1_000) }])
}

/// NaN, infinity and what is nearly zero are refused, in a mix and in a measure; zero is not.
async fn refusals(gpu: &mut Gpu) -> Outcome {
    let mix = sum(vec![Mask::All], vec![1.0], Float::BF16);
    for value in [f32::NAN, f32::NEG_INFINITY, 1e-40, 1e-25] {
        let input = f32s(&[1.0, -0.0, 0.0, value, 1.0]);
        let inputs = [Raw { dtype: Float::F32, bytes: &input }];
        let mixed = gpu.mix_window(&INPUTS, &mix, window(5, &inputs)).await.map(drop);
        let measured = gpu.gram(&INPUTS, &mut window(5, &inputs).alone(), &mut Gram::new(1, Groups::Whole, 5)).await;
        for outcome in [mixed, measured] {
            match outcome {
                Err(BackendError::UnsafeValues) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(false),
            }
        }
    }
    let zeros = f32s(&[-0.0, 0.0]);
    let inputs = [Raw { dtype: Float::F32, bytes: &zeros }];
    gpu.gram(&INPUTS, &mut window(2, &inputs).alone(), &mut Gram::new(1, Groups::Whole, 2)).await?;
    Ok(true)
}
