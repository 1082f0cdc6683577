//! What is counted: each kernel on a tensor of two windows, the second ragged, of a base and its near fine-tunes.

use half::{bf16, f16};
use merge_studio::gauge::near;
use merge_studio::kernel::cpu::Cpu;
use merge_studio::kernel::{
    Backend, Coin, Combine, Cut, Float, Frame, Gram, Groups, Histogram, Mask, Mix, Norms, Power, Precision, Query, Raw,
    Score, Selection, Space, TieHunt, Window,
};
use pollster::block_on;

/// Elements of the tensor: 64 blocks in the first window; 33 and two thirds of one in the second.
const LEN: usize = 100_000;
const WINDOW: usize = 1 << 16;
/// Elements of a row, where rows matter.
const ROW: u64 = 625;

/// A kernel's work on a tensor, which may be done again and again.
pub type Work = Box<dyn FnMut()>;

/// A name, and what makes the work.
type Case = (&'static str, fn() -> Work);

/// Every case.
pub const ALL: [Case; 13] = [
    ("linear, 2 x bf16", || mix(2, Float::BF16, Space::Inputs, Mask::All, sum())),
    ("linear, 2 x f16", || mix(2, Float::F16, Space::Inputs, Mask::All, sum())),
    ("linear, 2 x f32", || mix(2, Float::F32, Space::Inputs, Mask::All, sum())),
    ("slerp's products, 2 x bf16", || gram(2, Float::BF16, Space::Inputs, Groups::Whole)),
    ("slerp's products, 2 x f16", || gram(2, Float::F16, Space::Inputs, Groups::Whole)),
    ("model stock's products, 3 x bf16", || gram(3, Float::BF16, DELTAS, Groups::Rows(ROW))),
    ("ties' selection, 3 x bf16", || selection(Float::BF16)),
    ("ties' selection, 3 x f16", || selection(Float::F16)),
    ("ties' vote, 3 x bf16", || mix(3, Float::BF16, DELTAS, band(Float::BF16), vote())),
    ("ties' vote, 3 x f16", || mix(3, Float::F16, DELTAS, band(Float::F16), vote())),
    ("dare's norms, 3 x bf16", norms),
    ("dare's coins and sum, 3 x bf16", || mix(3, Float::BF16, DELTAS, COIN, sum())),
    ("dare's coins and vote, 3 x bf16", || mix(3, Float::BF16, DELTAS, COIN, vote())),
];

const DELTAS: Space = Space::Deltas { base: 0 };
const COIN: Mask = Mask::Coin(Coin { key: [1, 2], stream: [3, 4], threshold: 1 << 31 });

fn sum() -> Combine {
    Combine::Sum { coefficients: vec![0.7, 0.3] }
}

fn vote() -> Combine {
    Combine::Vote {
        coefficients: vec![0.5; 2],
        weights: vec![0.5; 2],
        unweighted: false,
        normalize: true,
        least: f64::NEG_INFINITY,
        lambda: 1.0,
    }
}

/// The bytes of every model.
struct Models {
    dtype: Float,
    bytes: Vec<Vec<u8>>,
}

impl Models {
    fn new(count: u64, dtype: Float) -> Self {
        let round = move |weight: f32| match dtype {
            Float::F16 => f16::from_f32(weight).to_f32(),
            Float::BF16 => bf16::from_f32(weight).to_f32(),
            Float::F32 | Float::F64 => weight,
        };
        let encode = |weight: f32| match dtype {
            Float::F16 => f16::from_f32(weight).to_le_bytes().to_vec(),
            Float::BF16 => bf16::from_f32(weight).to_le_bytes().to_vec(),
            Float::F32 => weight.to_le_bytes().to_vec(),
            Float::F64 => f64::from(weight).to_le_bytes().to_vec(),
        };
        let model = |number| near::weights(number, round).take(LEN).flat_map(encode).collect();
        Self { dtype, bytes: (0..count).map(model).collect() }
    }

    /// Shows every window to `work`.
    fn each(&self, mut work: impl FnMut(Window<'_>)) {
        let size = self.dtype.size();
        for first in (0..LEN).step_by(WINDOW) {
            let len = WINDOW.min(LEN - first);
            let range = first * size..(first + len) * size;
            let inputs = self.bytes.iter().map(|bytes| Raw { dtype: self.dtype, bytes: &bytes[range.clone()] });
            let inputs: Vec<Raw<'_>> = inputs.collect();
            work(Window::new(first as u64, len, &inputs));
        }
    }
}

fn mix(models: u64, dtype: Float, space: Space, mask: Mask, combine: Combine) -> Work {
    let models = Models::new(models, dtype);
    let mix = Mix { masks: vec![mask; space.terms(models.bytes.len())], combine, out: dtype };
    let mut cpu = Cpu::default();
    Box::new(move || {
        let frame = Frame::new(Precision::F32, space);
        models.each(|window| block_on(cpu.mix(&frame, &mix, &mut window.alone())).expect(DECLINES));
    })
}

fn gram(models: u64, dtype: Float, space: Space, groups: Groups) -> Work {
    let models = Models::new(models, dtype);
    let mut cpu = Cpu::default();
    let mut gram = Gram::new(space.terms(models.bytes.len()), groups, LEN as u64);
    Box::new(move || {
        let frame = Frame { row: ROW, ..Frame::new(Precision::F32, space) };
        models.each(|window| block_on(cpu.gram(&frame, &mut window.alone(), &mut gram)).expect(DECLINES));
    })
}

fn norms() -> Work {
    let models = Models::new(3, Float::BF16);
    let (mut cpu, mut norms) = (Cpu::default(), [Norms::default(); 2]);
    let mut stream = 0;
    Box::new(move || {
        let frame = Frame::new(Precision::F32, DELTAS);
        // Coins of their own each time: the backend remembers those it has tossed.
        stream += 1;
        let masks = [0, 1].map(|term| Mask::Coin(Coin { key: [1, 2], stream: [stream, term], threshold: 1 << 31 }));
        models.each(|window| {
            block_on(cpu.norms(&frame, Power::One, &masks, &mut window.alone(), &mut norms)).expect(DECLINES);
        });
    })
}

fn selection(dtype: Float) -> Work {
    let models = Models::new(3, dtype);
    let mut cpu = Cpu::default();
    Box::new(move || drop(cuts(&models, &mut cpu)))
}

/// What ties keeps of both task vectors at a density of one half.
fn band(dtype: Float) -> Mask {
    let from = cuts(&Models::new(3, dtype), &mut Cpu::default())[0];
    Mask::Band { score: Score::Magnitude, from, above: Cut::NONE }
}

fn cuts(models: &Models, cpu: &mut Cpu) -> Vec<Cut> {
    let (frame, score) = (Frame::new(Precision::F32, DELTAS), Score::Magnitude);
    let mut selections = vec![Selection::new(cpu.digits(Precision::F32, LEN as u64), LEN as u64 / 2); 2];
    while selections.iter().any(|selection| selection.digit().is_some()) {
        let query = |(term, selection): (usize, &Selection)| Some(Query { term, score, digit: selection.digit()? });
        let queries: Vec<Query> = selections.iter().enumerate().filter_map(query).collect();
        let mut counts: Vec<Histogram> = queries.iter().map(|query| Histogram::new(query.digit)).collect();
        models.each(|window| {
            block_on(cpu.histogram(&frame, &queries, &mut window.alone(), &mut counts)).expect(DECLINES);
        });
        let open = selections.iter_mut().filter(|selection| selection.digit().is_some());
        open.zip(&counts).for_each(|(selection, counts)| selection.narrow(counts));
    }
    let mut hunts: Vec<TieHunt> =
        selections.iter().enumerate().filter_map(|(term, selection)| selection.tie_hunt(term, score)).collect();
    models.each(|window| block_on(cpu.ties(&frame, &mut window.alone(), &mut hunts)).expect(DECLINES));
    let hunt = |term| hunts.iter().find(|hunt| hunt.term == term).copied();
    selections.iter().enumerate().map(|(term, selection)| selection.cut(hunt(term))).collect()
}

const DECLINES: &str = "the CPU declines nothing";
