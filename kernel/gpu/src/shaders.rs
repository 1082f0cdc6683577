//! The shaders, composed: the prelude, the fragments that a kernel needs, the kernel.

use super::layout;

/// A shader's text, without comments: see build.rs.
macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/shader/", $name))
    };
}

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // What each does is said at the head of its file.
pub enum Kernel {
    Sum,
    Grouped,
    Vote,
    OverlapMix,
    Near,
    Gram,
    GramRows,
    GramColumns,
    Norms,
    Overlap,
    Histogram,
    Ties,
    TiesEnd,
}

impl Kernel {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 13] = [
        Self::Sum,
        Self::Grouped,
        Self::Vote,
        Self::OverlapMix,
        Self::Near,
        Self::Gram,
        Self::GramRows,
        Self::GramColumns,
        Self::Norms,
        Self::Overlap,
        Self::Histogram,
        Self::Ties,
        Self::TiesEnd,
    ];

    /// The file it is in, without `.wgsl`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Grouped => "grouped",
            Self::Vote => "vote",
            Self::OverlapMix => "overlap_mix",
            Self::Near => "near",
            Self::Gram => "gram",
            Self::GramRows => "gram_rows",
            Self::GramColumns => "gram_columns",
            Self::Norms => "norms",
            Self::Overlap => "overlap",
            Self::Histogram => "histogram",
            Self::Ties => "ties",
            Self::TiesEnd => "ties_end",
        }
    }

    /// The whole shader, as the device gets it.
    pub fn wgsl(self) -> String {
        const BINDINGS: &str = shader!("shared/bindings.wgsl");
        const EXACT: &str = shader!("shared/exact.wgsl");
        const DECODE: &str = shader!("shared/decode.wgsl");
        const TWOFOLD: &str = shader!("shared/twofold.wgsl");
        const SCORE: &str = shader!("shared/score.wgsl");
        const MASK: &str = shader!("shared/mask.wgsl");
        const ENCODE: &str = shader!("shared/encode.wgsl");
        const BLOCK_SUM: &str = shader!("shared/block_sum.wgsl");
        const PRODUCT: &str = shader!("shared/product.wgsl");
        const TIES: &str = shader!("shared/ties.wgsl");
        let own: &[&str] = match self {
            Self::Sum => &[SCORE, MASK, ENCODE, shader!("sum.wgsl")],
            Self::Grouped => &[SCORE, MASK, ENCODE, shader!("grouped.wgsl")],
            Self::Vote => &[SCORE, MASK, ENCODE, shader!("vote.wgsl")],
            Self::OverlapMix => &[SCORE, MASK, ENCODE, shader!("overlap_mix.wgsl")],
            Self::Near => &[SCORE, MASK, ENCODE, shader!("near.wgsl")],
            Self::Gram => &[BLOCK_SUM, shader!("gram.wgsl")],
            Self::GramRows => &[BLOCK_SUM, PRODUCT, shader!("gram_rows.wgsl")],
            Self::GramColumns => &[PRODUCT, shader!("gram_columns.wgsl")],
            Self::Norms => &[SCORE, MASK, BLOCK_SUM, shader!("norms.wgsl")],
            Self::Overlap => &[SCORE, MASK, shader!("overlap.wgsl")],
            Self::Histogram => &[SCORE, shader!("histogram.wgsl")],
            Self::Ties => &[SCORE, TIES, shader!("ties.wgsl")],
            Self::TiesEnd => &[SCORE, TIES, shader!("ties_end.wgsl")],
        };
        let mut wgsl = layout::prelude();
        for fragment in [BINDINGS, EXACT, DECODE, TWOFOLD].iter().chain(own) {
            wgsl += fragment;
            wgsl.push('\n');
        }
        wgsl
    }
}
