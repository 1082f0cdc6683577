//! What Rust and WGSL must agree on, written once: numbers, and the structures that a call sends to its kernels.
//!
//! [`prelude`] says all of it in WGSL. Every field is one 32-bit word, so that the two layouts cannot differ.

use std::fmt::Write;

use merge_studio_kernel::{BLOCK, NEAREST, TIE_SHARE};
use merge_studio_kernel::{PHILOX_MULTIPLIERS as MULTIPLIERS, PHILOX_ROUNDS as ROUNDS, PHILOX_WEYL as WEYL};

/// Elements a thread works on: as many as a Philox block has words, and whole words at 16 bits.
pub(super) const LANES: u32 = 4;
/// Threads a workgroup: one block of the reductions is one workgroup's work. WebGPU's default limit.
pub const WORKGROUP: u32 = BLOCK as u32 / LANES;
/// Counters of a histogram: those of the widest digit.
pub(super) const BINS: u32 = 1 << 11;
/// Blocks that one workgroup of a histogram counts before it adds its counters to everyone's: 16 bits hold all of their elements.
pub(super) const BLOCKS_COUNTED: u32 = 16;

/// Inputs and terms that are not zero must have at least this magnitude (2⁻⁸⁰, as bits): with coefficients from
/// [`COEFFICIENTS`], votes that are not ties are then normal numbers.
const SMALLEST: u32 = (127 - 80) << 23;
/// Terms that are multiplied with each other must not be smaller (2⁻⁶⁰, as bits): their products are normal numbers.
const SMALLEST_FACTOR: u32 = (127 - 60) << 23;
/// Inputs and terms must be below this magnitude (2⁵⁸, as bits): sums of their products over a block do not overflow.
const LARGEST: u32 = (127 + 58) << 23;
/// Magnitudes of coefficients, weights and lambda that are not zero.
pub(super) const COEFFICIENTS: std::ops::RangeInclusive<f32> =
    f32::from_bits((127 - 20) << 23)..=f32::from_bits((127 + 40) << 23);

/// Deviations from a mean that are not zero must have at least this magnitude (2⁻³⁸, as bits): the low halves of their squares are
/// normal numbers.
const SMALLEST_DEVIATION: u32 = (127 - 38) << 23;
/// The smallest normal number, as bits.
const SMALLEST_NORMAL: u32 = 1 << 23;
/// Rows of a strip that a thread sums up, at least; and how many strips there are, at most.
pub(super) const STRIP_ROWS: u32 = 32;
pub(super) const STRIPS: u32 = 256;

/// [`Head::base`] where terms are the inputs themselves.
pub(super) const NO_BASE: u32 = u32::MAX;

pub(super) const DTYPE_F16: u32 = 0;
pub(super) const DTYPE_BF16: u32 = 1;
pub(super) const DTYPE_F32: u32 = 2;

pub(super) const MASK_NOTHING: u32 = 0;
pub(super) const MASK_ALL: u32 = 1;
pub(super) const MASK_BAND: u32 = 2;
pub(super) const MASK_COIN: u32 = 3;
pub(super) const MASK_DRAWN: u32 = 4;

pub(super) const SCORE_MAGNITUDE: u32 = 0;
pub(super) const SCORE_VARIANCE: u32 = 1;
pub(super) const SCORE_SCALED: u32 = 2;

/// A field: one word, in Rust and in WGSL by the same name of type.
trait Word {
    fn word(self) -> u32;
}

impl Word for u32 {
    fn word(self) -> u32 {
        self
    }
}

impl Word for f32 {
    fn word(self) -> u32 {
        self.to_bits()
    }
}

/// A structure that goes to the kernels.
pub(super) trait Words {
    /// Appends the fields, in order.
    fn put(&self, words: &mut Vec<u32>);
}

/// Declares a structure for Rust and, as `$name::WGSL`, for the shaders.
macro_rules! shared {
    ($(#[$about:meta])* $name:ident { $($(#[$said:meta])* $field:ident: $type:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default)]
        pub(super) struct $name {
            $($(#[$said])* pub(super) $field: $type,)*
        }

        impl $name {
            const WGSL: &str = concat!(
                "struct ", stringify!($name), " {\n",
                $("    ", stringify!($field), ": ", stringify!($type), ",\n",)*
                "}\n",
            );
        }

        impl Words for $name {
            fn put(&self, words: &mut Vec<u32>) {
                $(words.push(self.$field.word());)*
            }
        }
    };
}

shared!(
    /// What all of a call's threads share. Positions are within the chunk.
    Head {
        /// Elements.
        len: u32,
        /// Threads that have elements.
        quads: u32,
        /// Workgroups that have elements.
        blocks: u32,
        /// Rows of the kernel: terms, pairs, digits or hunts.
        rows: u32,
        inputs: u32,
        /// Which input is the base.
        base: u32,
        /// Whether something is ranked by the variance.
        varied: u32,
        /// Elements of a row, or columns; and where in it the chunk begins.
        row: u32,
        phase: u32,
        /// Groups of which the chunk has a part.
        groups: u32,
        /// Whether groups are columns.
        columns: u32,
        strips: u32,
        strip_rows: u32,
        /// Always zero, which no compiler knows: see shared/exact.wgsl.
        zero: u32,
        /// Index in the tensor of the first quad.
        first_quad_low: u32,
        first_quad_high: u32,
        /// Of the merged values.
        dtype: u32,
        /// Whether norms are sums of squares.
        squares: u32,
        /// Whether terms vote with their own values.
        unweighted: u32,
        /// Whether a vote divides by weights, and by how much at least.
        normalize: u32,
        least: f32,
        /// Scales what a vote gives.
        lambda: f32,
        /// How far apart values may be to be swapped whole, and which term is the base.
        t: f32,
        swapped: u32,
    }
);

shared!(
    /// Where an input lies.
    Source {
        /// Its first word.
        offset: u32,
        dtype: u32,
    }
);

shared!(
    /// A term, its mask and what it counts for.
    Term {
        /// The input it comes from.
        source: u32,
        mask: u32,
        /// Of a band.
        score: u32,
        /// Of a band's score, or of a coin's word.
        threshold: u32,
        /// Of a band.
        ties_end: u32,
        above: u32,
        above_end: u32,
        /// The first word of what was drawn.
        drawn: u32,
        /// Of a coin.
        key_0: u32,
        key_1: u32,
        stream_0: u32,
        stream_1: u32,
        coefficient: f32,
        weight: f32,
    }
);

shared!(
    /// Two terms to be multiplied, by their inputs.
    Pair {
        left: u32,
        right: u32,
    }
);

shared!(
    /// A digit to be counted.
    DigitRow {
        /// The input that the term comes from.
        source: u32,
        score: u32,
        shift: u32,
        /// How many values the digit has.
        values: u32,
        /// Position of the prefix's lowest bit.
        above: u32,
        prefix: u32,
    }
);

shared!(
    /// A hunt for a tie.
    HuntRow {
        /// The input that the term comes from.
        source: u32,
        score: u32,
        threshold: u32,
        /// How many ties are still to be met, one or more.
        wanted: u32,
    }
);

/// The numbers and structures above, in WGSL.
pub(super) fn prelude() -> String {
    let numbers = [
        ("WORKGROUP", WORKGROUP),
        ("LANES", LANES),
        ("BINS", BINS),
        ("BLOCKS_COUNTED", BLOCKS_COUNTED),
        ("SMALLEST", SMALLEST),
        ("SMALLEST_FACTOR", SMALLEST_FACTOR),
        ("SMALLEST_DEVIATION", SMALLEST_DEVIATION),
        ("SMALLEST_NORMAL", SMALLEST_NORMAL),
        ("LARGEST", LARGEST),
        ("NO_BASE", NO_BASE),
        ("DTYPE_BF16", DTYPE_BF16),
        ("DTYPE_F32", DTYPE_F32),
        ("MASK_ALL", MASK_ALL),
        ("MASK_BAND", MASK_BAND),
        ("MASK_COIN", MASK_COIN),
        ("MASK_DRAWN", MASK_DRAWN),
        ("SCORE_MAGNITUDE", SCORE_MAGNITUDE),
        ("SCORE_VARIANCE", SCORE_VARIANCE),
        ("SCORE_SCALED", SCORE_SCALED),
        ("PHILOX_ROUNDS", ROUNDS),
        ("PHILOX_MULTIPLIER_X", MULTIPLIERS[0]),
        ("PHILOX_MULTIPLIER_Z", MULTIPLIERS[1]),
        ("PHILOX_WEYL_X", WEYL[0]),
        ("PHILOX_WEYL_Y", WEYL[1]),
    ];
    let mut wgsl = String::new();
    for (name, value) in numbers {
        let _ = writeln!(wgsl, "const {name}: u32 = {value:#x}u;");
    }
    let _ = writeln!(wgsl, "const TIE_SHARE: f32 = {TIE_SHARE:e}f;\nconst NEAREST: f32 = {:e}f;\n", NEAREST as f32);
    for structure in [Head::WGSL, Source::WGSL, Term::WGSL, Pair::WGSL, DigitRow::WGSL, HuntRow::WGSL] {
        wgsl += structure;
        wgsl.push('\n');
    }
    wgsl
}
