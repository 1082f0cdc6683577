//! The shaders, composed: the prelude, the fragments that a kernel needs, the kernel.

use super::layout;

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // What each does is said at the head of its file.
pub enum Kernel {
    Sum,
    Vote,
    Gram,
    L1,
    Histogram,
    Ties,
    TiesEnd,
}

impl Kernel {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 7] =
        [Self::Sum, Self::Vote, Self::Gram, Self::L1, Self::Histogram, Self::Ties, Self::TiesEnd];

    /// The file it is in, without `.wgsl`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Vote => "vote",
            Self::Gram => "gram",
            Self::L1 => "l1",
            Self::Histogram => "histogram",
            Self::Ties => "ties",
            Self::TiesEnd => "ties_end",
        }
    }

    /// The whole shader, as the device gets it.
    pub fn wgsl(self) -> String {
        const BINDINGS: &str = include_str!("../shader/shared/bindings.wgsl");
        const EXACT: &str = include_str!("../shader/shared/exact.wgsl");
        const DECODE: &str = include_str!("../shader/shared/decode.wgsl");
        const MASK: &str = include_str!("../shader/shared/mask.wgsl");
        const ENCODE: &str = include_str!("../shader/shared/encode.wgsl");
        const BLOCK_SUM: &str = include_str!("../shader/shared/block_sum.wgsl");
        const TIES: &str = include_str!("../shader/shared/ties.wgsl");
        let own: &[&str] = match self {
            Self::Sum => &[MASK, ENCODE, include_str!("../shader/sum.wgsl")],
            Self::Vote => &[MASK, ENCODE, include_str!("../shader/vote.wgsl")],
            Self::Gram => &[BLOCK_SUM, include_str!("../shader/gram.wgsl")],
            Self::L1 => &[MASK, BLOCK_SUM, include_str!("../shader/l1.wgsl")],
            Self::Histogram => &[include_str!("../shader/histogram.wgsl")],
            Self::Ties => &[TIES, include_str!("../shader/ties.wgsl")],
            Self::TiesEnd => &[TIES, include_str!("../shader/ties_end.wgsl")],
        };
        let mut wgsl = layout::prelude();
        for fragment in [BINDINGS, EXACT, DECODE].iter().chain(own) {
            wgsl += fragment;
            wgsl.push('\n');
        }
        wgsl
    }
}
