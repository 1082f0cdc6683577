//! Measure → mask → mix: the vocabulary that every backend speaks and every method is written in.
//!
//! A backend knows inputs, terms, measures, masks and mixes. It has never heard of TIES. The CPU ([`cpu`]) is the
//! reference to the byte; the GPU (the package in `gpu/`) keeps the same elements and agrees within a few ULP.
//!
//! All of it works on **windows**: the same range of elements of every input of one tensor, as the raw bytes of the files.
//! A window starts at a multiple of [`BLOCK`] elements, so that reductions do not depend on how a tensor was cut.

use serde::{Deserialize, Serialize};

pub mod cpu;
mod pass;
mod philox;
mod select;

pub use pass::{Generation, Given, Pass, Raw, Window};
pub use philox::{MULTIPLIERS as PHILOX_MULTIPLIERS, ROUNDS as PHILOX_ROUNDS, WEYL as PHILOX_WEYL, philox};
pub use select::{Digit, Digits, Histogram, Selection, narrow_digits, wide_digits};

/// Elements whose products are summed together in f64 before they join the tensor's total, in block order.
pub const BLOCK: usize = 1024;

/// Votes whose weighted sum is below this share of the sum of their magnitudes are ties, and elect plus.
pub const TIE_SHARE: f32 = 1.0 / (1 << 20) as f32;

/// NearSwap takes no two values for nearer than this, as mergekit does.
pub const NEAREST: f64 = 1e-6;

/// A floating-point element type that arithmetic reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Float {
    F16,
    BF16,
    F32,
    F64,
}

impl Float {
    /// Bytes an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// The width that arithmetic is done in. `F64` when an input is F64 or the recipe says `dtype: float64`; CPU only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Precision {
    F32,
    F64,
}

impl Precision {
    /// The [`Score`] of a magnitude.
    pub fn bits(self, magnitude: f64) -> u64 {
        match self {
            Self::F32 => u64::from((magnitude as f32).to_bits()),
            Self::F64 => magnitude.to_bits(),
        }
    }

    /// The score from which on others are outliers: median + 1.5 · (third − first), from the quartiles' scores.
    pub fn fence(self, first: u64, median: u64, third: u64) -> u64 {
        match self {
            Self::F32 => {
                let [first, median, third] = [first, median, third].map(|score| f32::from_bits(score as u32));
                u64::from((median + 1.5 * (third - first)).to_bits())
            }
            Self::F64 => {
                let [first, median, third] = [first, median, third].map(f64::from_bits);
                (median + 1.5 * (third - first)).to_bits()
            }
        }
    }
}

/// How a tensor is looked at: what stays the same over all its windows.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The width of the arithmetic.
    pub precision: Precision,
    /// What the terms are.
    pub space: Space,
    /// Elements of a row: the tensor's last dimension, at least 1. Only [`Score::Scaled`] looks at it.
    pub row: u64,
    /// One a row, for [`Score::Scaled`]; empty where nothing is scaled.
    pub scales: &'a [f64],
}

impl Frame<'_> {
    /// A frame without rows.
    pub fn new(precision: Precision, space: Space) -> Self {
        Self { precision, space, row: 1, scales: &[] }
    }
}

/// What the terms of a merge are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Space {
    /// Term i is input i.
    Inputs,
    /// The terms are the task vectors: every input but the base, in order, minus the base. δ is formed first, always.
    Deltas {
        /// Which input is the base.
        base: usize,
    },
}

impl Space {
    /// Number of terms that `inputs` inputs give.
    pub fn terms(self, inputs: usize) -> usize {
        match self {
            Self::Inputs => inputs,
            Self::Deltas { .. } => inputs - 1,
        }
    }

    /// The input that term `term` comes from.
    pub fn input_of(self, term: usize) -> usize {
        match self {
            Self::Deltas { base } if term >= base => term + 1,
            _ => term,
        }
    }
}

/// A random keep: Philox 4x32-10 at (key, stream, element index), kept where the drawn word is below `threshold`.
///
/// Element e is word `e % 4` of the block with counter `[lo(e / 4), hi(e / 4), stream[0], stream[1]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    /// Philox key.
    pub key: [u32; 2],
    /// The upper half of the counter.
    pub stream: [u32; 2],
    /// Kept when the word is smaller: density · 2³².
    pub threshold: u32,
}

/// What the elements of a term are ranked by. As a number it is the bit pattern of a magnitude: 31 bits at [`Precision::F32`],
/// 63 at [`Precision::F64`]. Every NaN scores the same, above infinity: hosts differ in the NaNs that they compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Score {
    /// |t|.
    Magnitude,
    /// The population variance of the terms at the element, the same for every term: eᵢ = tᵢ − t₀, Σ(eᵢ − ē)²/n in f64, rounded
    /// once to the width of the arithmetic.
    Variance,
    /// |t| times the scale of the element's row (see [`Frame::scales`]), rounded to the width of the arithmetic.
    Scaled,
}

/// Which elements of a term take part: asked for by a method, before anything was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum MaskRule {
    /// Every element.
    All,
    /// No element.
    Nothing,
    /// The `keep` elements of largest magnitude after the `skip` largest; among equals the lowest index counts as larger.
    /// `1 ≤ keep`, `skip + keep ≤ n`, and not all of them.
    Band {
        /// How many of the largest are dropped.
        skip: u64,
        /// How many of the rest are kept.
        keep: u64,
    },
    /// Of all elements whose variance across the terms is not zero, ⌊`share` · their number⌋: those of largest variance, among
    /// equals the lowest index first. The same for every term.
    Varied {
        /// 0 to 1, both excluded.
        share: f64,
    },
    /// Elements whose magnitude is above this number, at the width of the arithmetic.
    Above(f64),
    /// Elements whose scaled score is at least median + 1.5 · (third − first quartile) of the scaled scores; quartile q is
    /// the score at rank ⌊q · (n − 1)⌋.
    Outliers,
    /// Elements whose coin says so.
    Coin(Coin),
    /// Elements whose coin says so, with a chance that grows with the rank of the magnitude within its line.
    Ranked(RankedCoin),
}

/// A coin whose threshold depends on rank: of n elements in a line, the one of rank r from 0 on (equal magnitudes: the lowest index
/// first) is kept with the chance `low` + (`high` − `low`) · r / (n − 1), and with their mean if it is alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedCoin {
    /// Key and stream; its threshold is not used.
    pub coin: Coin,
    /// The chance of the smallest magnitude.
    pub low: f64,
    /// The chance of the largest magnitude.
    pub high: f64,
    /// Elements of a line.
    pub line: u64,
    /// From one element of a line to the next; elements that are fewer apart belong to different lines.
    pub stride: u64,
}

/// The elements from the largest score down to a place in the order (score, then lowest index).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Scores above it belong to the cut.
    pub threshold: u64,
    /// So do scores equal to it at an index below this one.
    pub ties_end: u64,
}

impl Cut {
    /// No element.
    pub const NONE: Self = Self { threshold: u64::MAX, ties_end: 0 };

    /// Whether the element of that score and index belongs to it.
    pub fn has(self, score: u64, index: u64) -> bool {
        score > self.threshold || (score == self.threshold && index < self.ties_end)
    }
}

/// A mask rule with its measures in: a few numbers, never an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mask {
    /// Every element.
    All,
    /// No element.
    Nothing,
    /// Elements of `from` that are not of `above`.
    Band {
        /// What they are ranked by.
        score: Score,
        /// The larger cut.
        from: Cut,
        /// The smaller cut, which is dropped.
        above: Cut,
    },
    /// Elements whose coin says so.
    Coin(Coin),
    /// What was drawn for the window (see [`Window::drawn`]): ranks within a line are the one rule that needs to be written down.
    Drawn,
}

/// How elements belong together where each group is measured and mixed for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Groups {
    /// All of them.
    Whole,
    /// Elements that follow each other, this many a group.
    Rows(u64),
    /// Every so many-th element: the group is the index modulo this number.
    Columns(u64),
}

impl Groups {
    /// How many groups `elements` elements have.
    pub fn count(self, elements: u64) -> u64 {
        match self {
            Self::Whole => 1,
            Self::Rows(row) => elements.div_ceil(row.max(1)),
            Self::Columns(columns) => columns.min(elements),
        }
    }

    /// The group of the element with this index.
    pub fn of(self, index: u64) -> usize {
        match self {
            Self::Whole => 0,
            Self::Rows(row) => (index / row) as usize,
            Self::Columns(columns) => (index % columns) as usize,
        }
    }
}

/// Sums of products of the terms, a Gram matrix a group, accumulated in f64: block by block, in block order. Within a block, element
/// j of the part that is the group's goes to lane j mod 8 and the lanes are added as a tree; by columns, in the order of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    /// Number of terms.
    pub terms: usize,
    /// Which elements belong together.
    pub groups: Groups,
    /// Group after group: the upper triangle by rows, the diagonal included: (0,0), (0,1), …, (1,1), ….
    pub sums: Vec<f64>,
}

impl Gram {
    /// Gram matrices of nothing yet.
    pub fn new(terms: usize, groups: Groups, elements: u64) -> Self {
        Self { terms, groups, sums: vec![0.0; groups.count(elements) as usize * Self::pairs(terms)] }
    }

    /// Sums of one group.
    pub fn pairs(terms: usize) -> usize {
        terms * (terms + 1) / 2
    }

    /// ⟨term i, term j⟩ of a group.
    pub fn at(&self, group: usize, i: usize, j: usize) -> f64 {
        let (i, j) = if i <= j { (i, j) } else { (j, i) };
        self.sums[group * Self::pairs(self.terms) + i * self.terms - i * (i + 1) / 2 + j]
    }
}

/// Which sum over a term's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Σ|t|.
    One,
    /// Σt².
    Two,
}

/// Norms of one term (see [`Power`]), accumulated like [`Gram`].
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Norms {
    /// Over all elements.
    pub all: f64,
    /// Over the elements that its mask keeps.
    pub kept: f64,
}

/// How often one term's masked value is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Overlap {
    /// Where every other term's is.
    pub alone: u64,
    /// Where another term's is not, either.
    pub shared: u64,
}

/// A digit of a term's scores to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Whose ([`Score::Variance`] is nobody's).
    pub term: usize,
    /// Which score.
    pub score: Score,
    /// Which digit.
    pub digit: Digit,
}

/// The hunt for the last kept tie of one term. Windows are shown to it in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TieHunt {
    /// Whose ([`Score::Variance`] is nobody's).
    pub term: usize,
    /// Which score.
    pub score: Score,
    /// The score looked for.
    pub threshold: u64,
    /// How many elements of that score are kept (from the lowest index on).
    pub wanted: u64,
    /// How many were met so far.
    pub met: u64,
    /// One past the index of the `wanted`-th one, once met.
    pub end: Option<u64>,
}

impl TieHunt {
    /// Whether it ended: what windows it is shown from here on makes no difference.
    pub fn over(&self) -> bool {
        self.met >= self.wanted
    }
}

/// One elementwise pass over all inputs: the merged values, rounded once.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// One a term.
    pub masks: Vec<Mask>,
    /// How masked terms combine. With [`Space::Deltas`] the base is added to the combined terms.
    pub combine: Combine,
    /// The type of the result.
    pub out: Float,
}

/// How masked terms become one value. Coefficients are rounded to the arithmetic's width before use;
/// products and sums are unfused and in term order.
#[derive(Clone, Debug, PartialEq)]
pub enum Combine {
    /// Σ cᵢ·tᵢ, from the first product on. (No terms at all: zero; with [`Space::Deltas`] the base as it is.)
    Sum {
        /// One a term.
        coefficients: Vec<f64>,
    },
    /// The same with coefficients of each group's own.
    Grouped {
        /// Which elements belong together.
        groups: Groups,
        /// Group after group, one a term.
        coefficients: Vec<f64>,
    },
    /// TIES: elect the sign of v = Σ vᵢ, where term i votes vᵢ = cᵢ·tᵢ (a tie or zero elects plus), then sum the cᵢ·tᵢ whose
    /// vote has that sign (a zero has no sign), divide by the sum of their weights if `normalize`, times `lambda`.
    Vote {
        /// One a term: what multiplies it in the vote and in the sum.
        coefficients: Vec<f64>,
        /// One a term: what it adds to the divisor.
        weights: Vec<f64>,
        /// Whether terms vote with their own values, vᵢ = tᵢ.
        unweighted: bool,
        /// Whether to divide.
        normalize: bool,
        /// Divisors below this are taken for it; a zero divides by one.
        least: f64,
        /// Scales the combined value.
        lambda: f64,
    },
    /// RAM: where one masked term alone is not zero, cᵢ·tᵢ; where several are, the sum of tᵢ/k for the k of them.
    Overlap {
        /// One a term.
        coefficients: Vec<f64>,
    },
    /// NearSwap, of two inputs: w·other + (1 − w)·base with w = t / max(|base − other|, 10⁻⁶), at least 0 and at most 1.
    Near {
        /// Which term is the base.
        base: usize,
        /// How far apart values may be to be swapped whole.
        t: f64,
    },
}

/// Which backend ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum BackendKind {
    Cpu,
    Gpu,
}

/// What a GPU has done: what crossed the bus, and how often it was spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuCounters {
    /// Passes over a tensor.
    pub passes: u64,
    /// Bytes sent to the device.
    pub bytes_up: u64,
    /// Bytes read back.
    pub bytes_down: u64,
    /// Kernels started.
    pub dispatches: u64,
    /// Command buffers submitted.
    pub submissions: u64,
    /// Buffers mapped for reading.
    pub readbacks: u64,
}

impl GpuCounters {
    /// What was done since it had done `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        self.with(before, |now, before| now - before)
    }

    fn with(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            passes: of(self.passes, other.passes),
            bytes_up: of(self.bytes_up, other.bytes_up),
            bytes_down: of(self.bytes_down, other.bytes_down),
            dispatches: of(self.dispatches, other.dispatches),
            submissions: of(self.submissions, other.submissions),
            readbacks: of(self.readbacks, other.readbacks),
        }
    }
}

impl std::ops::AddAssign for GpuCounters {
    fn add_assign(&mut self, other: Self) {
        *self = self.with(other, |one, other| one + other);
    }
}

/// Why a backend did not do a window's work. Every one of them is answered by running the tensor on the CPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BackendError {
    /// The work is not for this backend (64-bit arithmetic on a GPU).
    #[error("64-bit arithmetic runs on the CPU")]
    Unsupported,
    /// The inputs hold values (NaN, infinity, magnitudes below 2⁻⁸⁰) that GPUs may treat differently.
    #[error("the tensor holds values (NaN, infinity or nearly zero) that GPUs may treat differently")]
    UnsafeValues,
    /// The device ran out of memory.
    #[error("the GPU ran out of memory")]
    OutOfMemory,
    /// The device is gone.
    #[error("the GPU was lost: {0}")]
    Lost(String),
}

/// Something that measures and mixes: a pass a call. A measure adds the pass's windows to a running total, and where it fails leaves the
/// total as it was. A backend may begin with a window before it is done with those before.
#[allow(async_fn_in_trait)] // As in `Pass`.
pub trait Backend {
    /// Which one it is.
    fn kind(&self) -> BackendKind;

    /// Adds ⟨tᵢ, tⱼ⟩ of every pair of terms.
    async fn gram<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, into: &mut Gram) -> Result<(), P::Error>;

    /// Adds the norms of every term. `masks` and `into` have one entry a term.
    async fn norms<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        power: Power,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Norms],
    ) -> Result<(), P::Error>;

    /// Counts the elements where masked terms are not zero. `masks` and `into` have one entry a term.
    async fn overlap<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Overlap],
    ) -> Result<(), P::Error>;

    /// The digits that it counts the scores of a tensor of so many elements by.
    fn digits(&self, precision: Precision, _elements: u64) -> Digits {
        narrow_digits(precision)
    }

    /// Counts, for every query, the values of its digit among scores whose higher bits equal the digit's prefix.
    /// `into` has one entry a query.
    async fn histogram<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        queries: &[Query],
        pass: &mut P,
        into: &mut [Histogram],
    ) -> Result<(), P::Error>;

    /// Advances every hunt. The pass ends where all of them are over.
    async fn ties<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, hunts: &mut [TieHunt]) -> Result<(), P::Error>;

    /// Gives the pass its merged values, `mix.out.size()` bytes an element.
    async fn mix<P: Pass>(&mut self, frame: &Frame<'_>, mix: &Mix, pass: &mut P) -> Result<(), P::Error>;

    /// The merged values of one window.
    async fn mix_window(&mut self, frame: &Frame<'_>, mix: &Mix, window: Window<'_>) -> Result<Vec<u8>, BackendError> {
        let mut pass = window.alone();
        self.mix(frame, mix, &mut pass).await?;
        Ok(pass.values)
    }
}
