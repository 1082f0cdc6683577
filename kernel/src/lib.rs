//! Measure → mask → mix: the vocabulary that every backend speaks and every method is written in.
//!
//! A backend knows inputs, terms, measures, masks and mixes. It has never heard of TIES. The CPU ([`cpu`]) is the
//! reference to the byte; the GPU ([`gpu`]) keeps the same elements and agrees within a few ULP.
//!
//! All of it works on **windows**: the same range of elements of every input of one tensor, as the raw bytes of the files.
//! A window starts at a multiple of [`BLOCK`] elements, so that reductions do not depend on how a tensor was cut.

use serde::{Deserialize, Serialize};

pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
mod philox;
mod select;

pub use philox::{MULTIPLIERS as PHILOX_MULTIPLIERS, ROUNDS as PHILOX_ROUNDS, WEYL as PHILOX_WEYL, philox};
pub use select::{Digit, Selection, digits};

/// Elements whose products are summed together in f64 before they join the tensor's total, in block order.
pub const BLOCK: usize = 1024;

/// Votes whose weighted sum is below this share of the sum of their magnitudes are ties, and elect plus.
pub const TIE_SHARE: f32 = 1.0 / (1 << 20) as f32;

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

/// The raw little-endian bytes of one input within a window.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// Element type of `bytes`.
    pub dtype: Float,
    /// Exactly `len · dtype.size()` bytes of the window.
    pub bytes: &'a [u8],
}

/// The same range of elements of every input of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Index in the tensor of the window's first element: a multiple of [`BLOCK`].
    pub first: u64,
    /// Elements in the window: a multiple of [`BLOCK`], except in the tensor's last window.
    pub len: usize,
    /// One entry an input, in recipe order (the base, if any, among them).
    pub inputs: &'a [Raw<'a>],
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

/// Which elements of a term take part: asked for by a method, before anything was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaskRule {
    /// Every element.
    All,
    /// No element.
    Nothing,
    /// The `keep` elements of largest magnitude; among equals the lowest index first. `1 ≤ keep < n`.
    Top {
        /// How many elements are kept.
        keep: u64,
    },
    /// Elements whose coin says so.
    Coin(Coin),
}

/// A mask rule with its measures in: two numbers at most, never an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mask {
    /// Every element.
    All,
    /// No element.
    Nothing,
    /// Elements whose score is above `threshold`, or equals it at an index below `ties_end`.
    ///
    /// The score is the bit pattern of |term| without its sign: 31 bits at [`Precision::F32`], 63 at [`Precision::F64`].
    /// Every NaN scores the same, above infinity: hosts differ in the NaNs that they compute.
    Band {
        /// The k-th largest score.
        threshold: u64,
        /// One past the index of the last kept element that equals `threshold`.
        ties_end: u64,
    },
    /// Elements whose coin says so.
    Coin(Coin),
}

/// Sums of products of the terms, accumulated in f64: block by block, in block order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Gram {
    /// Number of terms.
    pub terms: usize,
    /// Upper triangle by rows, the diagonal included: (0,0), (0,1), …, (1,1), ….
    pub sums: Vec<f64>,
}

impl Gram {
    /// A Gram matrix of nothing yet.
    pub fn new(terms: usize) -> Self {
        Self { terms, sums: vec![0.0; terms * (terms + 1) / 2] }
    }

    /// ⟨term i, term j⟩.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        let (i, j) = if i <= j { (i, j) } else { (j, i) };
        self.sums[i * self.terms - i * (i + 1) / 2 + j]
    }
}

/// L1 norms of one term, accumulated like [`Gram`].
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct L1 {
    /// Σ|t| over all elements.
    pub all: f64,
    /// Σ|t| over the elements that its mask keeps.
    pub kept: f64,
}

/// The hunt for the last kept tie of one term. Windows are shown to it in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TieHunt {
    /// The score looked for.
    pub threshold: u64,
    /// How many elements of that score are kept (from the lowest index on).
    pub wanted: u64,
    /// How many were met so far.
    pub met: u64,
    /// One past the index of the `wanted`-th one, once met.
    pub end: Option<u64>,
}

/// One elementwise pass over all inputs: the merged values, rounded once.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// What the terms are. With [`Space::Deltas`] the base is added to the combined terms.
    pub space: Space,
    /// One a term.
    pub masks: Vec<Mask>,
    /// How masked terms combine.
    pub combine: Combine,
    /// The width of the arithmetic.
    pub precision: Precision,
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
    /// TIES: elect the sign of v = Σ cᵢ·tᵢ (a tie or zero elects plus), then sum the cᵢ·tᵢ of that sign (a zero
    /// has no sign), divide by the sum of their weights if `normalize` (a zero sum divides by one), times `lambda`.
    Vote {
        /// One a term: what multiplies it in the vote and in the sum.
        coefficients: Vec<f64>,
        /// One a term: what it adds to the divisor.
        weights: Vec<f64>,
        /// Whether to divide.
        normalize: bool,
        /// Scales the combined value.
        lambda: f64,
    },
}

/// Which backend ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum BackendKind {
    Cpu,
    Gpu,
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

/// Something that measures and mixes windows. Each measure adds a window to a running total;
/// windows of a tensor come in order, each exactly once a measure.
#[allow(async_fn_in_trait)] // Every host runs a job on one thread: natively `block_on`, in a page a worker.
pub trait Backend {
    /// Which one it is.
    fn kind(&self) -> BackendKind;

    /// Adds the window's ⟨tᵢ, tⱼ⟩ of every pair of terms.
    async fn gram(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        into: &mut Gram,
    ) -> Result<(), BackendError>;

    /// Adds the window's Σ|t| and Σ|masked t| of every term. `masks` and `into` have one entry a term.
    async fn l1(
        &mut self,
        precision: Precision,
        space: Space,
        masks: &[Mask],
        window: Window<'_>,
        into: &mut [L1],
    ) -> Result<(), BackendError>;

    /// Counts, for every term that has a [`Digit`], the values of that digit among scores whose higher bits equal the
    /// digit's prefix. `digits` and `into` have one entry a term; `into[t].len() == 1 << digit.bits`.
    async fn histogram(
        &mut self,
        precision: Precision,
        space: Space,
        digits: &[Option<Digit>],
        window: Window<'_>,
        into: &mut [Vec<u64>],
    ) -> Result<(), BackendError>;

    /// Advances the hunt of every term that has one.
    async fn ties(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        hunts: &mut [Option<TieHunt>],
    ) -> Result<(), BackendError>;

    /// Appends the window's merged values, `window.len · mix.out.size()` bytes, to `into`.
    async fn mix(&mut self, mix: &Mix, window: Window<'_>, into: &mut Vec<u8>) -> Result<(), BackendError>;
}
