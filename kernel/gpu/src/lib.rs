//! The WebGPU backend, through wgpu. Nothing outside this package names wgpu, and it is a package of its own so that it is
//! compiled for size: only the shaders need to be fast.
//!
//! A call cuts its window into chunks that fit WebGPU's default limits (one, as a rule), uploads the files' bytes as they
//! are, unless they lie on the device already, and runs one submission a chunk. The shaders decode, form terms, mask and combine by the rules of
//! [the vocabulary](merge_studio_kernel), in the CPU's order; only results come back.
//!
//! **What agrees with the CPU, and how far.** Masks, coins, counts, ties and elected signs: exactly. Merged values: to the
//! bit, except that results below the smallest normal number of F32 or BF16 may be zero. Gram matrices and norms are summed
//! in pairs of f32 (48 bits) within a block of 1,024 (by rows: within a row; by columns: over a strip of rows) and in f64 from
//! there on, where the CPU has 53 bits: what is made of them and rounded to f32 is the same but for one time in millions.
//!
//! **What it declines.** 64-bit types and arithmetic, rows or columns beyond 2³⁰, and what no method asks for: two lookups in one
//! mix, NearSwap of task vectors ([`BackendError::Unsupported`]). Inputs or terms that are NaN, infinite, from 2⁵⁸ on, or below
//! 2⁻⁸⁰ (2⁻⁶⁰ where they are multiplied, 2⁻³⁸ for deviations from a mean) but not zero, scaled scores and scales below the
//! smallest normal number but not zero, and coefficients outside 2⁻²⁰ … 2⁴⁰: there, what a GPU flushes, overflows or assumes
//! away could be seen ([`BackendError::UnsafeValues`]). A call that fails leaves its totals as they were.

mod answer;
mod device;
mod held;
mod layout;
mod pool;
mod probe;
mod shaders;
mod window;

pub use layout::WORKGROUP;
pub use shaders::Kernel;

use device::Device;
use layout::{BINS, BLOCKS_COUNTED, DigitRow, HuntRow, Pair, STRIP_ROWS, STRIPS};
use merge_studio_kernel::{
    BLOCK, Backend, BackendError, BackendKind, Combine, Float, Frame, GpuCounters, Gram, Groups, Mask, Mix, Norms,
    Overlap, Power, Query, Space, TieHunt, Window,
};
use window::{
    MOST_WORKGROUPS, call, chunks, coefficient, dtype_word, masked_call, saturated, score_kind, score_word, workgroups,
};

/// WebGPU's default limit of one storage buffer binding.
const BINDING: u64 = 128 << 20;

/// Why there is no GPU to compute with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// The system, or the browser, offers none.
    #[error("there is no GPU")]
    NoAdapter,
    /// There is one, and it cannot be used: its own words.
    #[error("the GPU cannot be used: {0}")]
    NoDevice(String),
    /// It computes something else than it should.
    #[error("the GPU does not compute {what} as it should")]
    ProbeFailed {
        /// What it got wrong.
        what: &'static str,
    },
}

/// How a [`Gpu`] is opened.
pub struct GpuOptions {
    /// The source of each kernel's shader: [`Kernel::wgsl`]. Tests put in faults.
    pub wgsl: Box<dyn Fn(Kernel) -> String>,
    /// Bytes that one buffer binding may hold, at most WebGPU's default of 128 MiB. Tests make it small.
    pub binding: u64,
    /// Bytes of inputs that may stay on the device from pass to pass, 128 MiB unless tests make it small.
    pub held: u64,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { wgsl: Box::new(Kernel::wgsl), binding: BINDING, held: BINDING }
    }
}

/// A GPU that has shown that it computes as it should.
pub struct Gpu {
    device: Device,
    binding: u64,
}

impl Gpu {
    /// Opens the GPU that the system recommends for heavy work, and probes it.
    pub async fn open() -> Result<Self, GpuError> {
        Self::open_with(&GpuOptions::default()).await
    }

    /// The same, in another way than usual.
    pub async fn open_with(options: &GpuOptions) -> Result<Self, GpuError> {
        let device = Device::open(&options.wgsl, options.held).await?;
        let mut gpu = Self { device, binding: BINDING };
        probe::probe(&mut gpu).await?;
        gpu.binding = options.binding.min(BINDING);
        gpu.device.counters = GpuCounters::default();
        Ok(gpu)
    }

    /// The adapter's name, as the driver gives it; browsers often give none.
    pub fn name(&self) -> String {
        self.device.name.clone()
    }

    /// What was done since the probe.
    pub fn counters(&self) -> GpuCounters {
        self.device.counters
    }

    /// Loses the device, as a crashed driver would: every call from now on ends in [`BackendError::Lost`].
    pub fn lose(&self) {
        self.device.destroy();
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

/// Adds the sums that the parts of groups have in `results`: `lanes` parts after `lanes` parts, which `place` knows.
fn add_parts(results: &[u8], lanes: usize, into: &mut [f64], place: impl Fn(usize, usize) -> usize) {
    for (at, value) in sums(results).enumerate() {
        into[place(at / lanes, at % lanes)] += value;
    }
}

/// The number at 32 bits, infinity being none of WGSL's.
fn finite(value: f64) -> f32 {
    (value as f32).max(f32::MIN)
}

impl Backend for Gpu {
    fn kind(&self) -> BackendKind {
        BackendKind::Gpu
    }

    async fn gram(&mut self, frame: &Frame<'_>, window: Window<'_>, into: &mut Gram) -> Result<(), BackendError> {
        let input = |term| frame.space.input_of(term) as u32;
        let pairs: Vec<_> = (0..into.terms)
            .flat_map(|i| (i..into.terms).map(move |j| Pair { left: input(i), right: input(j) }))
            .collect();
        let mut sums = into.sums.clone();
        let (all, groups) = (pairs.len(), into.groups);
        // Parts of groups that a block may have of one pair, none of them empty, and how many pairs' parts fit.
        let parts = match groups {
            Groups::Whole => 1,
            Groups::Rows(row) => (BLOCK / usize::try_from(row).unwrap_or(BLOCK).clamp(1, BLOCK) + 2).min(BLOCK),
            Groups::Columns(_) => BLOCK,
        };
        let at_once = usize::try_from(self.binding).unwrap_or(usize::MAX) / (parts * 8);
        for (number, pairs) in pairs.chunks(at_once.clamp(1, all.max(1))).enumerate() {
            let first_pair = number * at_once;
            for chunk in chunks(frame, &window, pairs.len(), pairs.len() * parts * 8, self.binding)? {
                let mut call = call(frame, &window, chunk, pairs);
                let count = pairs.len() as u32;
                let lanes = match groups {
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
                        let lanes = usize::try_from(columns).unwrap_or(usize::MAX).min(chunk.len);
                        let rows = chunk.len.div_ceil(lanes) as u32;
                        call.head.row = lanes as u32;
                        call.head.groups = lanes as u32;
                        call.head.strip_rows = rows.div_ceil(STRIPS).max(STRIP_ROWS);
                        call.head.strips = rows.div_ceil(call.head.strip_rows);
                        let workgroups = lanes.div_ceil(WORKGROUP as usize) as u32;
                        call.dispatches.push((Kernel::GramColumns, [workgroups, count * call.head.strips]));
                        lanes
                    }
                };
                let strips = call.head.strips.max(1) as usize;
                call.results = (pairs.len() * strips * lanes * 8) as u64;
                call.read = call.results;
                let place = |part: usize, lane: usize| {
                    let group = match groups {
                        Groups::Whole => 0,
                        Groups::Rows(row) => (chunk.first / row) as usize + lane,
                        Groups::Columns(_) => groups.of(chunk.first + lane as u64),
                    };
                    group * all + first_pair + part / strips
                };
                self.device.run(&call, |results| add_parts(results, lanes, &mut sums, place)).await?;
            }
        }
        into.sums = sums;
        Ok(())
    }

    async fn norms(
        &mut self,
        frame: &Frame<'_>,
        power: Power,
        masks: &[Mask],
        window: Window<'_>,
        into: &mut [Norms],
    ) -> Result<(), BackendError> {
        let mut norms = into.to_vec();
        for chunk in chunks(frame, &window, masks.len(), masks.len() * 16, self.binding)? {
            let mut call = masked_call(frame, masks, &window, chunk, |_, _| Ok(()))?;
            call.head.squares = u32::from(power == Power::Two);
            call.dispatches.push((Kernel::Norms, [chunk.blocks() as u32, masks.len() as u32]));
            call.results = (masks.len() * chunk.blocks() * 16) as u64;
            call.read = call.results;
            let add = |results: &[u8]| {
                for (norm, blocks) in norms.iter_mut().zip(results.chunks_exact(chunk.blocks() * 16)) {
                    let (all, kept) = (sums(blocks).step_by(2), sums(blocks).skip(1).step_by(2));
                    all.for_each(|block| norm.all += block);
                    kept.for_each(|block| norm.kept += block);
                }
            };
            self.device.run(&call, add).await?;
        }
        into.copy_from_slice(&norms);
        Ok(())
    }

    async fn overlap(
        &mut self,
        frame: &Frame<'_>,
        masks: &[Mask],
        window: Window<'_>,
        into: &mut [Overlap],
    ) -> Result<(), BackendError> {
        let mut counts = into.to_vec();
        for chunk in chunks(frame, &window, masks.len(), 0, self.binding)? {
            let mut call = masked_call(frame, masks, &window, chunk, |_, _| Ok(()))?;
            let groups = (chunk.blocks() as u32).div_ceil(BLOCKS_COUNTED);
            call.dispatches.push((Kernel::Overlap, [groups, masks.len() as u32]));
            call.results = masks.len() as u64 * 8;
            call.clear = true;
            call.read = call.results;
            let add = |results: &[u8]| {
                for (count, found) in counts.iter_mut().zip(results.chunks_exact(8)) {
                    let mut found = words(found).map(u64::from);
                    count.alone += found.next().unwrap_or(0);
                    count.shared += found.next().unwrap_or(0);
                }
            };
            self.device.run(&call, add).await?;
        }
        into.copy_from_slice(&counts);
        Ok(())
    }

    async fn histogram(
        &mut self,
        frame: &Frame<'_>,
        queries: &[Query],
        window: Window<'_>,
        into: &mut [Vec<u64>],
    ) -> Result<(), BackendError> {
        if queries.iter().any(|query| 1 << query.digit.bits > BINS) {
            return Err(BackendError::Unsupported);
        }
        let rows: Vec<_> = queries
            .iter()
            .map(|Query { term, score, digit }| DigitRow {
                source: frame.space.input_of(*term) as u32,
                score: score_kind(*score),
                shift: digit.shift,
                values: 1 << digit.bits,
                above: digit.shift + digit.bits,
                prefix: score_word(digit.prefix),
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut counts = vec![0_u64; rows.len() * BINS as usize];
        for chunk in chunks(frame, &window, rows.len(), 0, self.binding)? {
            let mut call = call(frame, &window, chunk, &rows);
            call.rank(frame, chunk, queries.iter().map(|query| query.score))?;
            let groups = (chunk.blocks() as u32).div_ceil(BLOCKS_COUNTED);
            call.dispatches.push((Kernel::Histogram, [groups, rows.len() as u32]));
            call.results = counts.len() as u64 * 4;
            call.clear = true;
            call.read = call.results;
            let add = |results: &[u8]| {
                counts.iter_mut().zip(words(results)).for_each(|(total, count)| *total += u64::from(count));
            };
            self.device.run(&call, add).await?;
        }
        for (into, counts) in into.iter_mut().zip(counts.chunks_exact(BINS as usize)) {
            into.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        Ok(())
    }

    async fn ties(&mut self, frame: &Frame<'_>, window: Window<'_>, hunts: &mut [TieHunt]) -> Result<(), BackendError> {
        let mut state = hunts.to_vec();
        for chunk in chunks(frame, &window, hunts.len(), hunts.len() * 8 + 4, self.binding)? {
            let mut open: Vec<_> = state.iter_mut().filter(|hunt| hunt.met < hunt.wanted).collect();
            if open.is_empty() {
                break;
            }
            let rows: Vec<_> = open
                .iter()
                .map(|hunt| HuntRow {
                    source: frame.space.input_of(hunt.term) as u32,
                    score: score_kind(hunt.score),
                    threshold: score_word(hunt.threshold),
                    wanted: saturated(hunt.wanted - hunt.met),
                })
                .collect();
            let mut call = call(frame, &window, chunk, &rows);
            call.rank(frame, chunk, open.iter().map(|hunt| hunt.score))?;
            call.dispatches.push((Kernel::Ties, [chunk.blocks() as u32, rows.len() as u32]));
            call.dispatches.push((Kernel::TiesEnd, [rows.len() as u32, 1]));
            call.results = (rows.len() * (chunk.blocks() + 2) * 4) as u64;
            call.read = rows.len() as u64 * 8;
            let advance = |results: &[u8]| {
                for (hunt, answer) in open.iter_mut().zip(results.chunks_exact(8)) {
                    let mut answer = words(answer);
                    let (met, end) = (answer.next().unwrap_or(0), answer.next().unwrap_or(0));
                    hunt.met = hunt.wanted.min(hunt.met + u64::from(met));
                    hunt.end = (end != 0).then_some(chunk.first + u64::from(end));
                }
            };
            self.device.run(&call, advance).await?;
        }
        hunts.copy_from_slice(&state);
        Ok(())
    }

    async fn mix(
        &mut self,
        frame: &Frame<'_>,
        mix: &Mix,
        window: Window<'_>,
        into: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        if mix.out == Float::F64 {
            return Err(BackendError::Unsupported);
        }
        let start = into.len();
        let size = mix.out.size();
        for chunk in chunks(frame, &window, mix.masks.len(), size * BLOCK, self.binding)? {
            let outcome = self.mix_chunk(frame, mix, &window, chunk, into).await;
            if outcome.is_err() {
                into.truncate(start);
                return outcome;
            }
        }
        Ok(())
    }
}

impl Gpu {
    async fn mix_chunk(
        &mut self,
        frame: &Frame<'_>,
        mix: &Mix,
        window: &Window<'_>,
        chunk: window::Chunk,
        into: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
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
        let bytes = chunk.len * mix.out.size();
        self.device.run(&call, |results| into.extend_from_slice(&results[..bytes])).await
    }
}
