//! Windows in words that the device understands: cut into chunks that fit its limits, laid out one input after another.

use std::ops::Range;

use super::device::{Call, Data, QUAD};
use super::layout::{
    COEFFICIENTS, DTYPE_BF16, DTYPE_F16, DTYPE_F32, Head, MASK_ALL, MASK_BAND, MASK_COIN, MASK_DRAWN, MASK_NOTHING,
    NO_BASE, SCORE_MAGNITUDE, SCORE_SCALED, SCORE_VARIANCE, Source, Term, WORKGROUP, Words,
};
use merge_studio_kernel::{BLOCK, BackendError, Float, Frame, Mask, Precision, Score, Space, Window};

/// WebGPU's default limit of workgroups along one dimension.
pub(super) const MOST_WORKGROUPS: usize = 65_535;

/// Rows are shorter, and columns fewer: what kernels add to a place within them stays below 2³².
const LONGEST_ROW: u64 = 1 << 30;

/// A part of a window that one submission does.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    /// Index in the tensor of its first element.
    pub first: u64,
    /// Index in the window of its first element.
    at: usize,
    /// Elements: a multiple of [`BLOCK`], except in the tensor's last chunk.
    pub len: usize,
    /// Where in the window the inputs that are sent begin, and how many elements of them: all of the window if they fit.
    sent: (usize, usize),
}

impl Chunk {
    pub(super) fn blocks(self) -> usize {
        self.len.div_ceil(BLOCK)
    }
}

/// Cuts a window so that neither its inputs nor `results` bytes a block exceed `limit` bytes, nor `rows` the workgroups.
pub(super) fn chunks(
    frame: &Frame<'_>,
    window: &Window<'_>,
    rows: usize,
    results: usize,
    limit: u64,
) -> Result<Vec<Chunk>, BackendError> {
    let wide = window.inputs.iter().any(|raw| raw.dtype == Float::F64);
    if frame.precision == Precision::F64 || wide || rows > MOST_WORKGROUPS {
        return Err(BackendError::Unsupported);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(QUAD * window.inputs.len());
    let inputs: usize = window.inputs.iter().map(|raw| raw.dtype.size() * BLOCK).sum();
    let blocks = (limit / inputs.max(results).max(1)).min(MOST_WORKGROUPS);
    if blocks == 0 {
        return Err(BackendError::Unsupported);
    }
    let fits = window.len.div_ceil(BLOCK) * inputs <= limit;
    let cut = |at| {
        let len = (blocks * BLOCK).min(window.len - at);
        Chunk { first: window.first + at as u64, at, len, sent: if fits { (0, window.len) } else { (at, len) } }
    };
    Ok((0..window.len).step_by(blocks * BLOCK).map(cut).collect())
}

/// A call on a chunk of a window that does nothing yet.
pub(super) fn call<'a, R: Words>(frame: &Frame<'_>, window: &Window<'a>, chunk: Chunk, rows: &[R]) -> Call<'a> {
    let mut pieces = Vec::with_capacity(window.inputs.len());
    let mut sources = Vec::new();
    let mut offset = 0;
    let (from, len) = chunk.sent;
    for raw in window.inputs {
        let size = raw.dtype.size();
        let bytes = &raw.bytes[from * size..(from + len) * size];
        // A chunk begins with a block: at a whole word.
        let first = offset + (chunk.at - from) * size;
        Source { offset: (first / 4) as u32, dtype: dtype_word(raw.dtype) }.put(&mut sources);
        pieces.push((offset as u64, bytes));
        offset += bytes.len().next_multiple_of(QUAD);
    }
    let generation = window.generation;
    let data = Data { generation, first: window.first + from as u64, len, pieces, bytes: offset as u64 };
    let mut words = Vec::new();
    for row in rows {
        row.put(&mut words);
    }
    let first_quad = chunk.first / 4;
    let head = Head {
        len: chunk.len as u32,
        quads: chunk.len.div_ceil(4) as u32,
        blocks: chunk.blocks() as u32,
        rows: rows.len() as u32,
        inputs: window.inputs.len() as u32,
        base: match frame.space {
            Space::Inputs => NO_BASE,
            Space::Deltas { base } => base as u32,
        },
        first_quad_low: first_quad as u32,
        first_quad_high: (first_quad >> 32) as u32,
        ..Head::default()
    };
    Call {
        data,
        head,
        sources,
        rows: words,
        extra: Vec::new(),
        dispatches: Vec::new(),
        results: 0,
        clear: false,
        read: 0,
    }
}

impl Call<'_> {
    /// Says where in the tensor's rows the chunk lies; gives the rows that it has a part of.
    pub(super) fn rows_of(&mut self, row: u64, chunk: Chunk) -> Result<Range<usize>, BackendError> {
        let rows = (chunk.first / row) as usize..(chunk.first + chunk.len as u64).div_ceil(row) as usize;
        self.head.groups = rows.len() as u32;
        self.period(row, chunk).map(|()| rows)
    }

    /// Says where the chunk begins in what comes again every `row` elements: a row, or all columns.
    pub(super) fn period(&mut self, row: u64, chunk: Chunk) -> Result<(), BackendError> {
        if row > LONGEST_ROW {
            return Err(BackendError::Unsupported);
        }
        self.head.row = saturated(row);
        self.head.phase = saturated(chunk.first % row);
        Ok(())
    }

    /// Takes what the kernel looks up beside inputs and rows. There is room for one of scales, coefficients and what was drawn;
    /// no method needs two.
    pub(super) fn look_up(&mut self, words: Vec<u32>) -> Result<(), BackendError> {
        if !self.extra.is_empty() {
            return Err(BackendError::Unsupported);
        }
        self.extra = words;
        Ok(())
    }

    /// The call ranks elements by these scores.
    pub(super) fn rank(
        &mut self,
        frame: &Frame<'_>,
        chunk: Chunk,
        scores: impl Iterator<Item = Score>,
    ) -> Result<(), BackendError> {
        let mut scaled = false;
        for score in scores {
            self.head.varied |= u32::from(score == Score::Variance);
            scaled |= score == Score::Scaled;
        }
        if scaled {
            let rows = self.rows_of(frame.row, chunk)?;
            self.look_up(frame.scales[rows].iter().map(|scale| (*scale as f32).to_bits()).collect())?;
        }
        Ok(())
    }
}

/// A kernel's rows for masked terms, and a call on a chunk that has them.
pub(super) fn masked_call<'a>(
    frame: &Frame<'_>,
    masks: &[Mask],
    window: &Window<'a>,
    chunk: Chunk,
    mut finish: impl FnMut(usize, &mut Term) -> Result<(), BackendError>,
) -> Result<Call<'a>, BackendError> {
    let mut drawn = Vec::new();
    let mut rows = Vec::with_capacity(masks.len());
    for (term, &mask) in masks.iter().enumerate() {
        let mut row = masked_term(frame.space, term, mask, chunk);
        if mask == Mask::Drawn {
            row.drawn = drawn.len() as u32;
            drawn.extend(&window.drawn[term][chunk.at / 32..(chunk.at + chunk.len).div_ceil(32)]);
        }
        finish(term, &mut row)?;
        rows.push(row);
    }
    let mut call = call(frame, window, chunk, &rows);
    call.rank(
        frame,
        chunk,
        masks.iter().filter_map(|mask| if let Mask::Band { score, .. } = mask { Some(*score) } else { None }),
    )?;
    if !drawn.is_empty() {
        call.look_up(drawn)?;
    }
    Ok(call)
}

/// What a shader calls a score.
pub(super) fn score_kind(score: Score) -> u32 {
    match score {
        Score::Magnitude => SCORE_MAGNITUDE,
        Score::Variance => SCORE_VARIANCE,
        Score::Scaled => SCORE_SCALED,
    }
}

/// What a shader calls an element type; [`chunks`] has refused F64.
pub(super) fn dtype_word(dtype: Float) -> u32 {
    match dtype {
        Float::F16 => DTYPE_F16,
        Float::BF16 => DTYPE_BF16,
        Float::F32 | Float::F64 => DTYPE_F32,
    }
}

/// A term with its mask, seen from a chunk.
fn masked_term(space: Space, term: usize, mask: Mask, chunk: Chunk) -> Term {
    let source = space.input_of(term) as u32;
    match mask {
        Mask::All => Term { source, mask: MASK_ALL, ..Term::default() },
        Mask::Nothing => Term { source, mask: MASK_NOTHING, ..Term::default() },
        Mask::Drawn => Term { source, mask: MASK_DRAWN, ..Term::default() },
        Mask::Band { score, from, above } => Term {
            source,
            mask: MASK_BAND,
            score: score_kind(score),
            threshold: score_word(from.threshold),
            ties_end: saturated(from.ties_end.saturating_sub(chunk.first)),
            above: score_word(above.threshold),
            above_end: saturated(above.ties_end.saturating_sub(chunk.first)),
            ..Term::default()
        },
        Mask::Coin(coin) => Term {
            source,
            mask: MASK_COIN,
            threshold: coin.threshold,
            key_0: coin.key[0],
            key_1: coin.key[1],
            stream_0: coin.stream[0],
            stream_1: coin.stream[1],
            ..Term::default()
        },
    }
}

/// A score at 32-bit precision has 31 bits: a larger one is one that no element has.
pub(super) fn score_word(score: u64) -> u32 {
    saturated(score)
}

pub(super) fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A coefficient at the arithmetic's width, if products with it are as exact here as on the CPU.
pub(super) fn coefficient(value: f64) -> Result<f32, BackendError> {
    let rounded = value as f32;
    if rounded == 0.0 || COEFFICIENTS.contains(&rounded.abs()) { Ok(rounded) } else { Err(BackendError::UnsafeValues) }
}

/// Workgroups that have a thread for every quad of a chunk.
pub(super) fn workgroups(chunk: Chunk) -> u32 {
    chunk.len.div_ceil(4).div_ceil(WORKGROUP as usize) as u32
}
