//! Inputs to run kernels on: sizes that do not fill a block, values that arithmetic trips over, and near-ties in plenty.

use half::{bf16, f16};
use merge_studio_kernel::{BLOCK, Float, Frame, Generation, Groups, Precision, Raw, Score, Space, Window};

/// One tensor of every input.
pub struct Case {
    pub name: String,
    pub precision: Precision,
    pub space: Space,
    pub len: usize,
    pub inputs: Vec<(Float, Vec<u8>)>,
    /// Elements of a row, and a scale a row.
    pub row: u64,
    pub scales: Vec<f64>,
    /// Bits that were drawn, a list a term.
    pub drawn: Vec<Vec<u32>>,
    /// Whether it holds values that a GPU may decline.
    pub hostile: bool,
    /// Of the inputs: however they are cut, and whatever is asked about them, a backend may have them already.
    generation: Generation,
}

impl Case {
    /// A case of one row, with scales and drawn bits that look random.
    pub fn new(name: String, precision: Precision, space: Space, len: usize, inputs: Vec<(Float, Vec<u8>)>) -> Self {
        let mut numbers = Numbers(len as u64);
        // Rows shorter than a lane, longer than a block, and the whole tensor; never a divisor of a block.
        let row = [3, 1_500, 37, len as u64, 129][len % 5].min(len as u64);
        let scales = (0..(len as u64).div_ceil(row)).map(|_| numbers.signed().abs() + 1e-3).collect();
        let drawn = (0..inputs.len()).map(|_| (0..len.div_ceil(32)).map(|_| numbers.next() as u32).collect()).collect();
        Self {
            name,
            precision,
            space,
            len,
            inputs,
            row,
            scales,
            drawn,
            hostile: false,
            generation: Generation::fresh(),
        }
    }

    pub fn frame(&self) -> Frame<'_> {
        Frame { precision: self.precision, space: self.space, row: self.row, scales: &self.scales }
    }

    /// Element `index` of what term `term` is ranked by, at the width of the arithmetic.
    pub fn ranked(&self, term: usize, score: Score, index: usize) -> f64 {
        let nearest = |value: f64| if self.precision == Precision::F32 { f64::from(value as f32) } else { value };
        match score {
            Score::Magnitude => self.term(term, index),
            Score::Scaled => {
                let scale = nearest(self.scales[Groups::Rows(self.row).of(index as u64)]);
                // The product of two f32 is exact in f64: rounding it is what f32 arithmetic does.
                nearest(self.term(term, index) * scale)
            }
            Score::Variance => {
                let values: Vec<f64> = (0..self.terms()).map(|term| self.term(term, index)).collect();
                let apart: Vec<f64> = values.iter().map(|value| value - values[0]).collect();
                let mean = apart.iter().sum::<f64>() / values.len() as f64;
                nearest(apart.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
            }
        }
    }

    pub fn terms(&self) -> usize {
        self.space.terms(self.inputs.len())
    }

    /// Shows `visit` the tensor cut into windows of at most `cut` elements, in order.
    pub fn windows<T>(&self, cut: usize, visit: impl FnOnce(&[Window<'_>]) -> T) -> T {
        let cuts: Vec<(usize, usize)> =
            (0..self.len).step_by(cut).map(|first| (first, cut.min(self.len - first))).collect();
        let raws = |&(first, len): &(usize, usize)| -> Vec<Raw<'_>> {
            let inputs = self.inputs.iter().map(|(dtype, bytes)| {
                let size = dtype.size();
                Raw { dtype: *dtype, bytes: &bytes[first * size..(first + len) * size] }
            });
            inputs.collect()
        };
        let inputs: Vec<Vec<Raw<'_>>> = cuts.iter().map(raws).collect();
        let drawn: Vec<Vec<Vec<u32>>> = cuts
            .iter()
            .map(|(first, len)| {
                self.drawn.iter().map(|bits| bits[first / 32..(first + len).div_ceil(32)].to_vec()).collect()
            })
            .collect();
        let windows: Vec<Window<'_>> = cuts
            .iter()
            .zip(&inputs)
            .zip(&drawn)
            .map(|((&(first, len), inputs), drawn)| Window {
                generation: self.generation,
                first: first as u64,
                len,
                inputs,
                drawn,
            })
            .collect();
        visit(&windows)
    }

    /// Keeps the first inputs.
    pub fn truncate(&mut self, inputs: usize) {
        self.inputs.truncate(inputs);
        self.generation = Generation::fresh();
    }

    /// Element `index` of input `input`, widened.
    pub fn value(&self, input: usize, index: usize) -> f64 {
        decode(self.inputs[input].0, &self.inputs[input].1, index)
    }

    /// Element `index` of term `term` at the width of the arithmetic.
    pub fn term(&self, term: usize, index: usize) -> f64 {
        let value = self.value(self.space.input_of(term), index);
        match (self.space, self.precision) {
            (Space::Inputs, _) => value,
            (Space::Deltas { base }, Precision::F32) => f64::from(value as f32 - self.value(base, index) as f32),
            (Space::Deltas { base }, Precision::F64) => value - self.value(base, index),
        }
    }
}

/// Element `index` of encoded values, widened.
pub fn decode(dtype: Float, bytes: &[u8], index: usize) -> f64 {
    let at = |size: usize| &bytes[index * size..(index + 1) * size];
    match dtype {
        Float::F16 => f64::from(f16::from_le_bytes(at(2).try_into().unwrap()).to_f32_const()),
        Float::BF16 => f64::from(bf16::from_le_bytes(at(2).try_into().unwrap()).to_f32_const()),
        Float::F32 => f64::from(f32::from_le_bytes(at(4).try_into().unwrap())),
        Float::F64 => f64::from_le_bytes(at(8).try_into().unwrap()),
    }
}

pub fn encode(dtype: Float, values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &value in values {
        match dtype {
            Float::F16 => bytes.extend(f16::from_f32_const(value as f32).to_le_bytes()),
            Float::BF16 => bytes.extend(bf16::from_f32_const(value as f32).to_le_bytes()),
            Float::F32 => bytes.extend((value as f32).to_le_bytes()),
            Float::F64 => bytes.extend(value.to_le_bytes()),
        }
    }
    bytes
}

/// SplitMix64: numbers that look random and are the same everywhere.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In −1..1, with more near zero.
    pub fn signed(&mut self) -> f64 {
        let unit = |bits: u64| (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        unit(self.next()) * unit(self.next()).abs()
    }
}

/// Sizes at and around the edges of lanes, blocks and windows.
const SIZES: [usize; 10] = [1, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5, 5_000];

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (turn, len) in SIZES.into_iter().enumerate() {
        let seed = turn as u64;
        cases.push(plain(len, seed));
        cases.push(fine_tunes(len, seed, Float::BF16));
        cases.push(fine_tunes(len, seed, Float::F16));
        cases.push(mixed_types(len, seed));
        cases.push(wide(len, seed));
        cases.push(hostile(len, seed));
    }
    cases
}

/// Distant F32 inputs.
fn plain(len: usize, seed: u64) -> Case {
    let mut numbers = Numbers(seed);
    let inputs = (0..2)
        .map(|_| (Float::F32, encode(Float::F32, &(0..len).map(|_| numbers.signed()).collect::<Vec<_>>())))
        .collect();
    let name = format!("plain, {len} elements");
    Case::new(name, Precision::F32, Space::Inputs, len, inputs)
}

/// A base and three inputs that moved by a few units in the last place, or not at all.
fn fine_tunes(len: usize, seed: u64, dtype: Float) -> Case {
    let mut numbers = Numbers(seed ^ 0xF1);
    let base: Vec<u16> = (0..len)
        .map(|_| {
            // Magnitudes near 0.02, as weights have.
            let value = numbers.signed() * 0.05 + 0.01;
            u16::from_le_bytes(encode(dtype, &[value]).try_into().unwrap())
        })
        .collect();
    let bytes = |bits: &[u16]| bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>();
    let mut inputs = vec![(dtype, bytes(&base))];
    for _ in 0..3 {
        let moved: Vec<u16> = base
            .iter()
            .map(|bits| match numbers.next() % 6 {
                0 => bits + 1,
                1 => bits - 1,
                2 => bits + (numbers.next() % 9) as u16,
                _ => *bits,
            })
            .collect();
        inputs.push((dtype, bytes(&moved)));
    }
    // The base is not always first.
    let base = (seed % 4) as usize;
    inputs.swap(0, base);
    let name = format!("fine-tunes in {dtype:?}, {len} elements");
    Case::new(name, Precision::F32, Space::Deltas { base }, len, inputs)
}

/// Every 16- and 32-bit type at once.
fn mixed_types(len: usize, seed: u64) -> Case {
    let mut numbers = Numbers(seed ^ 0x3C);
    let inputs = [Float::F32, Float::BF16, Float::F16]
        .into_iter()
        .map(|dtype| (dtype, encode(dtype, &(0..len).map(|_| numbers.signed() + 0.5).collect::<Vec<_>>())))
        .collect();
    let name = format!("mixed types, {len} elements");
    Case::new(name, Precision::F32, Space::Deltas { base: 1 }, len, inputs)
}

/// 64-bit arithmetic, on inputs of every type.
fn wide(len: usize, seed: u64) -> Case {
    let mut numbers = Numbers(seed ^ 0x64);
    let inputs = [Float::F64, Float::F32, Float::BF16, Float::F64]
        .into_iter()
        .map(|dtype| (dtype, encode(dtype, &(0..len).map(|_| numbers.signed()).collect::<Vec<_>>())))
        .collect();
    let name = format!("64-bit, {len} elements");
    Case { hostile: true, ..Case::new(name, Precision::F64, Space::Deltas { base: 0 }, len, inputs) }
}

/// NaNs, infinities, subnormals, extremes and zeros of both signs among ordinary values.
fn hostile(len: usize, seed: u64) -> Case {
    const SPECIAL: [f32; 12] = [
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1e-45,
        -1e-40,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
        6e-8,
    ];
    let mut numbers = Numbers(seed ^ 0xBAD);
    let inputs = [Float::F32, Float::F32, Float::F16, Float::BF16]
        .into_iter()
        .map(|dtype| {
            let values: Vec<f64> = (0..len)
                .map(|_| match numbers.next() % 3 {
                    0 => f64::from(SPECIAL[(numbers.next() % 12) as usize]),
                    _ => numbers.signed(),
                })
                .collect();
            (dtype, encode(dtype, &values))
        })
        .collect();
    let space = if seed.is_multiple_of(2) { Space::Deltas { base: 0 } } else { Space::Inputs };
    let name = format!("hostile, {len} elements");
    Case { hostile: true, ..Case::new(name, Precision::F32, space, len, inputs) }
}
