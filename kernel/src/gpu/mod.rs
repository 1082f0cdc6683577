//! The WebGPU backend, through wgpu. Nothing outside this folder names wgpu.
//!
//! A call cuts its window into chunks that fit WebGPU's default limits (one, as a rule), uploads the files' bytes as they
//! are, and runs one submission a chunk. The shaders decode, form terms, mask and combine by the rules of
//! [the vocabulary](crate), in the CPU's order; only results come back.
//!
//! **What agrees with the CPU, and how far.** Masks, coins, counts, ties and elected signs: exactly. Merged values: to the
//! bit, except that results below the smallest normal number of F32 or BF16 may be zero. Gram matrices and norms are summed
//! in f32 within a block of 1,024 and in f64 from there on.
//!
//! **What it declines.** 64-bit types and arithmetic ([`BackendError::Unsupported`]). Inputs or terms that are NaN,
//! infinite, from 2⁵⁸ on, or below 2⁻⁸⁰ (2⁻⁶⁰ in a Gram matrix) but not zero, and coefficients outside 2⁻²⁰ … 2⁴⁰: there,
//! what a GPU flushes, overflows or assumes away could be seen ([`BackendError::UnsafeValues`]). A call that fails leaves
//! its totals as they were.

mod answer;
mod device;
mod layout;
mod pool;
mod probe;
mod shaders;
mod window;

pub use layout::WORKGROUP;
pub use shaders::Kernel;

use super::{
    BLOCK, Backend, BackendError, BackendKind, Combine, Digit, Float, Gram, L1, Mask, Mix, Precision, Space, TieHunt,
    Window,
};
use device::Device;
use layout::{BINS, BLOCKS_COUNTED, DigitRow, HuntRow, Pair, Term};
use window::{call, chunks, coefficient, dtype_word, masked_term, saturated, score_word, workgroups};

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

/// What a [`Gpu`] has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuCounters {
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

/// How a [`Gpu`] is opened.
pub struct GpuOptions {
    /// The source of each kernel's shader: [`Kernel::wgsl`]. Tests put in faults.
    pub wgsl: Box<dyn Fn(Kernel) -> String>,
    /// Bytes that one buffer binding may hold, at most WebGPU's default of 128 MiB. Tests make it small.
    pub binding: u64,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { wgsl: Box::new(Kernel::wgsl), binding: BINDING }
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
        let device = Device::open(&options.wgsl).await?;
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

/// The terms of a mix with their masks and coefficients, seen from a chunk.
fn mix_rows(mix: &Mix, chunk: window::Chunk) -> Result<Vec<Term>, BackendError> {
    let (coefficients, weights) = match &mix.combine {
        Combine::Sum { coefficients } => (coefficients, coefficients),
        Combine::Vote { coefficients, weights, .. } => (coefficients, weights),
    };
    let terms = mix.masks.iter().zip(coefficients).zip(weights).enumerate();
    terms
        .map(|(term, ((&mask, &by), &weight))| {
            let row = masked_term(mix.space, term, mask, chunk);
            Ok(Term { coefficient: coefficient(by)?, weight: coefficient(weight)?, ..row })
        })
        .collect()
}

impl Backend for Gpu {
    fn kind(&self) -> BackendKind {
        BackendKind::Gpu
    }

    async fn gram(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        into: &mut Gram,
    ) -> Result<(), BackendError> {
        let input = |term| space.input_of(term) as u32;
        let pairs: Vec<_> = (0..into.terms)
            .flat_map(|i| (i..into.terms).map(move |j| Pair { left: input(i), right: input(j) }))
            .collect();
        let mut sums = into.sums.clone();
        for chunk in chunks(precision, &window, pairs.len(), pairs.len() * 4, self.binding)? {
            let mut call = call(space, &window, chunk, &pairs);
            call.dispatches.push((Kernel::Gram, [chunk.blocks() as u32, pairs.len() as u32]));
            call.results = (pairs.len() * chunk.blocks() * 4) as u64;
            call.read = call.results;
            let add = |results: &[u8]| {
                for (sum, blocks) in sums.iter_mut().zip(results.chunks_exact(chunk.blocks() * 4)) {
                    floats(blocks).for_each(|block| *sum += block);
                }
            };
            self.device.run(&call, add).await?;
        }
        into.sums = sums;
        Ok(())
    }

    async fn l1(
        &mut self,
        precision: Precision,
        space: Space,
        masks: &[Mask],
        window: Window<'_>,
        into: &mut [L1],
    ) -> Result<(), BackendError> {
        let mut norms = into.to_vec();
        for chunk in chunks(precision, &window, masks.len(), masks.len() * 8, self.binding)? {
            let rows: Vec<_> =
                masks.iter().enumerate().map(|(term, &mask)| masked_term(space, term, mask, chunk)).collect();
            let mut call = call(space, &window, chunk, &rows);
            call.dispatches.push((Kernel::L1, [chunk.blocks() as u32, masks.len() as u32]));
            call.results = (masks.len() * chunk.blocks() * 8) as u64;
            call.read = call.results;
            let add = |results: &[u8]| {
                for (norm, blocks) in norms.iter_mut().zip(results.chunks_exact(chunk.blocks() * 8)) {
                    let (all, kept) = (floats(blocks).step_by(2), floats(blocks).skip(1).step_by(2));
                    all.for_each(|block| norm.all += block);
                    kept.for_each(|block| norm.kept += block);
                }
            };
            self.device.run(&call, add).await?;
        }
        into.copy_from_slice(&norms);
        Ok(())
    }

    async fn histogram(
        &mut self,
        precision: Precision,
        space: Space,
        digits: &[Option<Digit>],
        window: Window<'_>,
        into: &mut [Vec<u64>],
    ) -> Result<(), BackendError> {
        let asked = || digits.iter().enumerate().filter_map(|(term, digit)| digit.map(|digit| (term, digit)));
        if asked().any(|(_, digit)| 1 << digit.bits > BINS) {
            return Err(BackendError::Unsupported);
        }
        let rows: Vec<_> = asked()
            .map(|(term, digit)| DigitRow {
                source: space.input_of(term) as u32,
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
        for chunk in chunks(precision, &window, rows.len(), 0, self.binding)? {
            let mut call = call(space, &window, chunk, &rows);
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
        for ((term, _), counts) in asked().zip(counts.chunks_exact(BINS as usize)) {
            into[term].iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        Ok(())
    }

    async fn ties(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        hunts: &mut [Option<TieHunt>],
    ) -> Result<(), BackendError> {
        let mut state = hunts.to_vec();
        for chunk in chunks(precision, &window, hunts.len(), hunts.len() * 8 + 4, self.binding)? {
            let mut open: Vec<_> = state.iter_mut().enumerate().filter_map(|(t, h)| Some((t, h.as_mut()?))).collect();
            open.retain(|(_, hunt)| hunt.met < hunt.wanted);
            if open.is_empty() {
                break;
            }
            let rows: Vec<_> = open
                .iter()
                .map(|(term, hunt)| HuntRow {
                    source: space.input_of(*term) as u32,
                    threshold: score_word(hunt.threshold),
                    wanted: saturated(hunt.wanted - hunt.met),
                })
                .collect();
            let mut call = call(space, &window, chunk, &rows);
            call.dispatches.push((Kernel::Ties, [chunk.blocks() as u32, rows.len() as u32]));
            call.dispatches.push((Kernel::TiesEnd, [rows.len() as u32, 1]));
            call.results = (rows.len() * (chunk.blocks() + 2) * 4) as u64;
            call.read = rows.len() as u64 * 8;
            let advance = |results: &[u8]| {
                for ((_, hunt), answer) in open.iter_mut().zip(results.chunks_exact(8)) {
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

    async fn mix(&mut self, mix: &Mix, window: Window<'_>, into: &mut Vec<u8>) -> Result<(), BackendError> {
        if mix.out == Float::F64 {
            return Err(BackendError::Unsupported);
        }
        let start = into.len();
        let size = mix.out.size();
        for chunk in chunks(mix.precision, &window, mix.masks.len(), size * BLOCK, self.binding)? {
            let outcome = self.mix_chunk(mix, &window, chunk, into).await;
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
        mix: &Mix,
        window: &Window<'_>,
        chunk: window::Chunk,
        into: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        let mut call = call(mix.space, window, chunk, &mix_rows(mix, chunk)?);
        call.head.dtype = dtype_word(mix.out);
        let kernel = match mix.combine {
            Combine::Sum { .. } => Kernel::Sum,
            Combine::Vote { normalize, lambda, .. } => {
                call.head.normalize = u32::from(normalize);
                call.head.lambda = coefficient(lambda)?;
                Kernel::Vote
            }
        };
        call.dispatches.push((kernel, [workgroups(chunk), 1]));
        call.results = (chunk.len.next_multiple_of(4) * mix.out.size()) as u64;
        call.read = call.results;
        let bytes = chunk.len * mix.out.size();
        self.device.run(&call, |results| into.extend_from_slice(&results[..bytes])).await
    }
}
