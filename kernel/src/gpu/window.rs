//! Windows in words that the device understands: cut into chunks that fit its limits, laid out one input after another.

use super::device::{Call, QUAD};
use super::layout::{
    COEFFICIENTS, DTYPE_BF16, DTYPE_F16, DTYPE_F32, Head, MASK_ALL, MASK_BAND, MASK_COIN, MASK_NOTHING, NO_BASE,
    Source, Term, WORKGROUP, Words,
};
use crate::{BLOCK, BackendError, Float, Mask, Precision, Space, Window};

/// WebGPU's default limit of workgroups along one dimension.
const MOST_WORKGROUPS: usize = 65_535;

/// A part of a window that one submission does.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    /// Index in the tensor of its first element.
    pub first: u64,
    /// Index in the window of its first element.
    at: usize,
    /// Elements: a multiple of [`BLOCK`], except in the tensor's last chunk.
    pub len: usize,
}

impl Chunk {
    pub(super) fn blocks(self) -> usize {
        self.len.div_ceil(BLOCK)
    }
}

/// Cuts a window so that neither its inputs nor `results` bytes a block exceed `limit` bytes, nor `rows` the workgroups.
pub(super) fn chunks(
    precision: Precision,
    window: &Window<'_>,
    rows: usize,
    results: usize,
    limit: u64,
) -> Result<Vec<Chunk>, BackendError> {
    let wide = window.inputs.iter().any(|raw| raw.dtype == Float::F64);
    if precision == Precision::F64 || wide || rows > MOST_WORKGROUPS {
        return Err(BackendError::Unsupported);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(QUAD * window.inputs.len());
    let inputs: usize = window.inputs.iter().map(|raw| raw.dtype.size() * BLOCK).sum();
    let blocks = (limit / inputs.max(results).max(1)).min(MOST_WORKGROUPS);
    if blocks == 0 {
        return Err(BackendError::Unsupported);
    }
    let cut = |at| Chunk { first: window.first + at as u64, at, len: (blocks * BLOCK).min(window.len - at) };
    Ok((0..window.len).step_by(blocks * BLOCK).map(cut).collect())
}

/// A call on a chunk of a window that does nothing yet.
pub(super) fn call<'a, R: Words>(space: Space, window: &Window<'a>, chunk: Chunk, rows: &[R]) -> Call<'a> {
    let mut data = Vec::with_capacity(window.inputs.len());
    let mut sources = Vec::new();
    let mut offset = 0;
    for raw in window.inputs {
        let size = raw.dtype.size();
        let bytes = &raw.bytes[chunk.at * size..(chunk.at + chunk.len) * size];
        let dtype = dtype_word(raw.dtype);
        Source { offset: (offset / 4) as u32, dtype }.put(&mut sources);
        data.push((offset as u64, bytes));
        offset += bytes.len().next_multiple_of(QUAD);
    }
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
        base: match space {
            Space::Inputs => NO_BASE,
            Space::Deltas { base } => base as u32,
        },
        first_quad_low: first_quad as u32,
        first_quad_high: (first_quad >> 32) as u32,
        ..Head::default()
    };
    Call {
        data,
        data_len: offset as u64,
        head,
        sources,
        rows: words,
        dispatches: Vec::new(),
        results: 0,
        clear: false,
        read: 0,
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
pub(super) fn masked_term(space: Space, term: usize, mask: Mask, chunk: Chunk) -> Term {
    let source = space.input_of(term) as u32;
    match mask {
        Mask::All => Term { source, mask: MASK_ALL, ..Term::default() },
        Mask::Nothing => Term { source, mask: MASK_NOTHING, ..Term::default() },
        Mask::Band { threshold, ties_end } => Term {
            source,
            mask: MASK_BAND,
            threshold: score_word(threshold),
            ties_end: saturated(ties_end.saturating_sub(chunk.first)),
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
