//! What each pass computes: how its windows are cut, what is asked of the device for a part, and what is made of the answer.

use std::ops::Range;

use super::BINDING;
use super::device::Call;
use super::layout::{BINS, BLOCKS_COUNTED, DigitRow, HuntRow, Pair, STRIP_ROWS, STRIPS, Term, WORKGROUP};
use super::shaders::Kernel;
use super::window::{
    Chunk, MOST_WORKGROUPS, call, chunks, coefficient, dtype_word, masked_call, saturated, score_kind, score_word,
    workgroups,
};
use merge_studio_kernel::{
    BLOCK, BackendError, Combine, Float, Frame, Gram, Groups, Histogram, Mask, Mix, Norms, Overlap, Power, Precision,
    Query, Space, TieHunt, Window,
};

/// Parts of windows that are on their way at a time: one is sent, one computed, one fetched. The next window is read while two are.
const IN_FLIGHT: usize = 3;

/// What one submission does.
pub(super) struct Part {
    chunk: Chunk,
    /// Which rows of the kernel.
    rows: Range<usize>,
}

/// The parts that do all of `rows` rows.
fn parts(chunks: Vec<Chunk>, rows: usize) -> Vec<Part> {
    chunks.into_iter().map(|chunk| Part { chunk, rows: 0..rows }).collect()
}

/// One pass's work.
pub(super) trait Work {
    /// Cuts a window so that nothing exceeds `binding` bytes.
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError>;

    /// What is asked for a part; `None` where there is nothing left to ask.
    fn call<'w>(&self, window: &Window<'w>, part: &Part) -> Result<Option<Call<'w>>, BackendError>;

    /// Takes the answer; gives merged values.
    fn take(&mut self, part: &Part, results: &[u8]) -> Option<Vec<u8>>;

    /// How many parts may be asked for before the first is answered.
    fn most_in_flight(&self) -> usize {
        IN_FLIGHT
    }

    /// Whether there is nothing left to ask, of any window.
    fn is_over(&self) -> bool {
        false
    }
}

/// The values that `results` holds, from little-endian bytes.
fn words(results: &[u8]) -> impl Iterator<Item = u32> + '_ {
    results.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

fn floats(results: &[u8]) -> impl Iterator<Item = f64> + '_ {
    words(results).map(|word| f64::from(f32::from_bits(word)))
}

/// Sums of twice the width: high and low parts in turn.
fn sums(results: &[u8]) -> impl Iterator<Item = f64> + '_ {
    results.chunks_exact(8).map(|parts| floats(parts).sum())
}

/// The number at 32 bits, infinity being none of WGSL's.
fn finite(value: f64) -> f32 {
    (value as f32).max(f32::MIN)
}

pub(super) struct Grams<'a> {
    frame: &'a Frame<'a>,
    groups: Groups,
    pairs: Vec<Pair>,
    pub(super) sums: Vec<f64>,
}

impl<'a> Grams<'a> {
    pub(super) fn new(frame: &'a Frame<'a>, into: &Gram) -> Self {
        let input = |term| frame.space.input_of(term) as u32;
        let pairs = (0..into.terms)
            .flat_map(|i| (i..into.terms).map(move |j| Pair { left: input(i), right: input(j) }))
            .collect();
        Self { frame, groups: into.groups, pairs, sums: into.sums.clone() }
    }

    /// Columns that a chunk has a part of, rows of a strip, and strips.
    fn strips(columns: u64, chunk: Chunk) -> (usize, u32, u32) {
        let lanes = usize::try_from(columns).unwrap_or(usize::MAX).min(chunk.len);
        let rows = chunk.len.div_ceil(lanes) as u32;
        let strip = rows.div_ceil(STRIPS).max(STRIP_ROWS);
        (lanes, strip, rows.div_ceil(strip))
    }
}

impl Work for Grams<'_> {
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError> {
        // Parts of groups that a block may have of one pair, none of them empty, and how many pairs' parts fit.
        let of_block = match self.groups {
            Groups::Whole => 1,
            Groups::Rows(row) => (BLOCK / usize::try_from(row).unwrap_or(BLOCK).clamp(1, BLOCK) + 2).min(BLOCK),
            Groups::Columns(_) => BLOCK,
        };
        let all = self.pairs.len();
        let at_once = (usize::try_from(binding).unwrap_or(usize::MAX) / (of_block * 8)).clamp(1, all.max(1));
        let mut parts = Vec::new();
        for first in (0..all).step_by(at_once) {
            let rows = first..all.min(first + at_once);
            let chunks = chunks(self.frame, window, rows.len(), rows.len() * of_block * 8, binding)?;
            parts.extend(chunks.into_iter().map(|chunk| Part { chunk, rows: rows.clone() }));
        }
        Ok(parts)
    }

    fn call<'w>(&self, window: &Window<'w>, Part { chunk, rows }: &Part) -> Result<Option<Call<'w>>, BackendError> {
        let (chunk, pairs) = (*chunk, &self.pairs[rows.clone()]);
        let mut call = call(self.frame, window, chunk, pairs);
        let count = pairs.len() as u32;
        let lanes = match self.groups {
            Groups::Whole => {
                call.dispatches.push((Kernel::Gram, [chunk.blocks() as u32, count]));
                chunk.blocks()
            }
            Groups::Rows(row) => {
                let rows = call.rows_of(row, chunk)?.len();
                call.dispatches.push((Kernel::GramRows, [rows.min(MOST_WORKGROUPS) as u32, count]));
                rows
            }
            Groups::Columns(columns) => {
                let (lanes, strip, strips) = Self::strips(columns, chunk);
                call.head.row = lanes as u32;
                call.head.groups = lanes as u32;
                call.head.strip_rows = strip;
                call.head.strips = strips;
                let workgroups = lanes.div_ceil(WORKGROUP as usize) as u32;
                call.dispatches.push((Kernel::GramColumns, [workgroups, count * strips]));
                lanes * strips as usize
            }
        };
        call.results = (pairs.len() * lanes * 8) as u64;
        call.read = call.results;
        Ok(Some(call))
    }

    fn take(&mut self, Part { chunk, rows }: &Part, results: &[u8]) -> Option<Vec<u8>> {
        let all = self.pairs.len();
        let of_pair = results.len() / (8 * rows.len()).max(1);
        for (at, value) in sums(results).enumerate() {
            let (pair, lane) = (rows.start + at / of_pair, at % of_pair);
            let group = match self.groups {
                Groups::Whole => 0,
                Groups::Rows(row) => (chunk.first / row) as usize + lane,
                groups @ Groups::Columns(columns) => {
                    groups.of(chunk.first + (lane % Self::strips(columns, *chunk).0) as u64)
                }
            };
            self.sums[group * all + pair] += value;
        }
        None
    }
}

pub(super) struct Normed<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) power: Power,
    pub(super) masks: &'a [Mask],
    pub(super) norms: Vec<Norms>,
}

impl Work for Normed<'_> {
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError> {
        let rows = self.masks.len();
        chunks(self.frame, window, rows, rows * 16, binding).map(|chunks| parts(chunks, rows))
    }

    fn call<'w>(&self, window: &Window<'w>, Part { chunk, .. }: &Part) -> Result<Option<Call<'w>>, BackendError> {
        let mut call = masked_call(self.frame, self.masks, window, *chunk, |_, _| Ok(()))?;
        call.head.squares = u32::from(self.power == Power::Two);
        call.dispatches.push((Kernel::Norms, [chunk.blocks() as u32, self.masks.len() as u32]));
        call.results = (self.masks.len() * chunk.blocks() * 16) as u64;
        call.read = call.results;
        Ok(Some(call))
    }

    fn take(&mut self, Part { chunk, .. }: &Part, results: &[u8]) -> Option<Vec<u8>> {
        for (norm, blocks) in self.norms.iter_mut().zip(results.chunks_exact(chunk.blocks() * 16)) {
            let (all, kept) = (sums(blocks).step_by(2), sums(blocks).skip(1).step_by(2));
            all.for_each(|block| norm.all += block);
            kept.for_each(|block| norm.kept += block);
        }
        None
    }
}

pub(super) struct Overlaps<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) masks: &'a [Mask],
    pub(super) counts: Vec<Overlap>,
}

impl Work for Overlaps<'_> {
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError> {
        let rows = self.masks.len();
        chunks(self.frame, window, rows, 0, binding).map(|chunks| parts(chunks, rows))
    }

    fn call<'w>(&self, window: &Window<'w>, Part { chunk, .. }: &Part) -> Result<Option<Call<'w>>, BackendError> {
        let mut call = masked_call(self.frame, self.masks, window, *chunk, |_, _| Ok(()))?;
        let groups = (chunk.blocks() as u32).div_ceil(BLOCKS_COUNTED);
        call.dispatches.push((Kernel::Overlap, [groups, self.masks.len() as u32]));
        call.results = self.masks.len() as u64 * 8;
        call.clear = true;
        call.read = call.results;
        Ok(Some(call))
    }

    fn take(&mut self, _: &Part, results: &[u8]) -> Option<Vec<u8>> {
        for (count, found) in self.counts.iter_mut().zip(results.chunks_exact(8)) {
            let mut found = words(found).map(u64::from);
            count.alone += found.next().unwrap_or(0);
            count.shared += found.next().unwrap_or(0);
        }
        None
    }
}

pub(super) struct Digits<'a> {
    frame: &'a Frame<'a>,
    queries: &'a [Query],
    rows: Vec<DigitRow>,
    /// A histogram a query.
    found: Vec<Histogram>,
}

impl<'a> Digits<'a> {
    pub(super) fn new(frame: &'a Frame<'a>, queries: &'a [Query]) -> Result<Self, BackendError> {
        if queries.iter().any(|query| 1 << query.digit.bits > BINS) {
            return Err(BackendError::Unsupported);
        }
        let row = |Query { term, score, digit }: &Query| DigitRow {
            source: frame.space.input_of(*term) as u32,
            score: score_kind(*score),
            shift: digit.shift,
            values: 1 << digit.bits,
            above: digit.shift + digit.bits,
            prefix: score_word(digit.prefix),
        };
        let rows: Vec<_> = queries.iter().map(row).collect();
        let found = queries.iter().map(|query| Histogram::new(query.digit)).collect();
        Ok(Self { frame, queries, rows, found })
    }

    /// Adds what was found to what was counted before.
    pub(super) fn add_to(self, into: &mut [Histogram]) {
        for (into, found) in into.iter_mut().zip(self.found) {
            into.counts.iter_mut().zip(found.counts).for_each(|(total, count)| *total += count);
            into.exact.iter_mut().zip(found.exact).for_each(|(total, count)| *total += count);
        }
    }
}

impl Work for Digits<'_> {
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError> {
        let rows = self.rows.len();
        chunks(self.frame, window, rows, 0, binding).map(|chunks| parts(chunks, rows))
    }

    fn call<'w>(&self, window: &Window<'w>, Part { chunk, .. }: &Part) -> Result<Option<Call<'w>>, BackendError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let mut call = call(self.frame, window, *chunk, &self.rows);
        call.rank(self.frame, *chunk, self.queries.iter().map(|query| query.score))?;
        let groups = (chunk.blocks() as u32).div_ceil(BLOCKS_COUNTED);
        call.dispatches.push((Kernel::Histogram, [groups, self.rows.len() as u32]));
        call.results = self.rows.len() as u64 * u64::from(BINS) * 8;
        call.clear = true;
        call.read = call.results;
        Ok(Some(call))
    }

    fn take(&mut self, _: &Part, results: &[u8]) -> Option<Vec<u8>> {
        for (found, results) in self.found.iter_mut().zip(results.chunks_exact(BINS as usize * 8)) {
            let mut words = words(results).map(u64::from);
            for (count, exact) in found.counts.iter_mut().zip(&mut found.exact) {
                *count += words.next().unwrap_or(0);
                *exact += words.next().unwrap_or(0);
            }
        }
        None
    }
}

pub(super) struct Hunts<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) hunts: Vec<TieHunt>,
}

impl Work for Hunts<'_> {
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError> {
        let rows = self.hunts.len();
        chunks(self.frame, window, rows, rows * 8 + 4, binding).map(|chunks| parts(chunks, rows))
    }

    fn call<'w>(&self, window: &Window<'w>, Part { chunk, .. }: &Part) -> Result<Option<Call<'w>>, BackendError> {
        let open = || self.hunts.iter().filter(|hunt| !hunt.over());
        let rows: Vec<_> = open()
            .map(|hunt| HuntRow {
                source: self.frame.space.input_of(hunt.term) as u32,
                score: score_kind(hunt.score),
                threshold: score_word(hunt.threshold),
                wanted: saturated(hunt.wanted - hunt.met),
            })
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut call = call(self.frame, window, *chunk, &rows);
        call.rank(self.frame, *chunk, open().map(|hunt| hunt.score))?;
        call.dispatches.push((Kernel::Ties, [chunk.blocks() as u32, rows.len() as u32]));
        call.dispatches.push((Kernel::TiesEnd, [rows.len() as u32, 1]));
        call.results = (rows.len() * (chunk.blocks() + 2) * 4) as u64;
        call.read = rows.len() as u64 * 8;
        Ok(Some(call))
    }

    fn take(&mut self, Part { chunk, .. }: &Part, results: &[u8]) -> Option<Vec<u8>> {
        let open = self.hunts.iter_mut().filter(|hunt| !hunt.over());
        for (hunt, answer) in open.zip(results.chunks_exact(8)) {
            let mut answer = words(answer);
            let (met, end) = (answer.next().unwrap_or(0), answer.next().unwrap_or(0));
            hunt.met = hunt.wanted.min(hunt.met + u64::from(met));
            hunt.end = (end != 0).then_some(chunk.first + u64::from(end));
        }
        None
    }

    /// How many ties are wanted of a part depends on those before.
    fn most_in_flight(&self) -> usize {
        1
    }

    fn is_over(&self) -> bool {
        self.hunts.iter().all(TieHunt::over)
    }
}

pub(super) struct Mixed<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) mix: &'a Mix,
}

impl Work for Mixed<'_> {
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError> {
        let Mix { masks, out, .. } = self.mix;
        if *out == Float::F64 {
            return Err(BackendError::Unsupported);
        }
        let rows = masks.len();
        chunks(self.frame, window, rows, out.size() * BLOCK, binding).map(|chunks| parts(chunks, rows))
    }

    fn call<'w>(&self, window: &Window<'w>, Part { chunk, .. }: &Part) -> Result<Option<Call<'w>>, BackendError> {
        let (frame, mix, chunk) = (self.frame, self.mix, *chunk);
        let none: &[f64] = &[];
        let (coefficients, weights) = match &mix.combine {
            Combine::Sum { coefficients } | Combine::Overlap { coefficients } => (&coefficients[..], none),
            Combine::Vote { coefficients, weights, .. } => (&coefficients[..], &weights[..]),
            Combine::Grouped { .. } | Combine::Near { .. } => (none, none),
        };
        let by = |values: &[f64], term: usize| coefficient(values.get(term).copied().unwrap_or(0.0));
        let mut call = masked_call(frame, &mix.masks, window, chunk, |term, row| {
            row.coefficient = by(coefficients, term)?;
            row.weight = by(weights, term)?;
            Ok(())
        })?;
        call.head.dtype = dtype_word(mix.out);
        let kernel = match &mix.combine {
            // Without terms there is nothing to elect, and the base comes through as it is.
            _ if mix.masks.is_empty() => Kernel::Sum,
            Combine::Sum { .. } => Kernel::Sum,
            Combine::Grouped { groups, coefficients } => {
                let terms = mix.masks.len();
                let rows = match *groups {
                    Groups::Rows(row) => call.rows_of(row, chunk)?,
                    groups => {
                        let count = if let Groups::Columns(columns) = groups { columns } else { 1 };
                        call.head.columns = 1;
                        call.period(count, chunk)?;
                        0..coefficients.len() / terms.max(1)
                    }
                };
                let own = &coefficients[rows.start * terms..rows.end * terms];
                if own.len() as u64 * 4 > BINDING {
                    return Err(BackendError::Unsupported);
                }
                let words = own.iter().map(|value| coefficient(*value).map(f32::to_bits));
                call.look_up(words.collect::<Result<_, BackendError>>()?)?;
                Kernel::Grouped
            }
            Combine::Vote { unweighted, normalize, least, lambda, .. } => {
                call.head.unweighted = u32::from(*unweighted);
                call.head.normalize = u32::from(*normalize);
                call.head.least = finite(*least);
                call.head.lambda = coefficient(*lambda)?;
                Kernel::Vote
            }
            Combine::Overlap { .. } => Kernel::OverlapMix,
            Combine::Near { .. } if frame.space != Space::Inputs => return Err(BackendError::Unsupported),
            Combine::Near { base, t } => {
                call.head.swapped = *base as u32;
                call.head.t = coefficient(*t)?;
                Kernel::Near
            }
        };
        call.dispatches.push((kernel, [workgroups(chunk), 1]));
        call.results = (chunk.len.next_multiple_of(4) * mix.out.size()) as u64;
        call.read = call.results;
        Ok(Some(call))
    }

    fn take(&mut self, Part { chunk, .. }: &Part, results: &[u8]) -> Option<Vec<u8>> {
        Some(results[..chunk.len * self.mix.out.size()].to_vec())
    }
}

/// Inputs that are only sent, and results that are only fetched.
pub(super) struct Copied {
    pub(super) out: Float,
}

impl Copied {
    const FRAME: Frame<'static> = Frame { precision: Precision::F32, space: Space::Inputs, row: 1, scales: &[] };
}

impl Work for Copied {
    fn parts(&self, window: &Window<'_>, binding: u64) -> Result<Vec<Part>, BackendError> {
        chunks(&Self::FRAME, window, 0, self.out.size() * BLOCK, binding).map(|chunks| parts(chunks, 0))
    }

    fn call<'w>(&self, window: &Window<'w>, Part { chunk, .. }: &Part) -> Result<Option<Call<'w>>, BackendError> {
        let mut call = call::<Term>(&Self::FRAME, window, *chunk, &[]);
        call.results = (chunk.len.next_multiple_of(4) * self.out.size()) as u64;
        call.read = call.results;
        Ok(Some(call))
    }

    fn take(&mut self, Part { chunk, .. }: &Part, results: &[u8]) -> Option<Vec<u8>> {
        Some(results[..chunk.len * self.out.size()].to_vec())
    }
}
