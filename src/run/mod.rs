//! Streams a plan's jobs through a backend: reads windows, measures, masks, mixes, and hands the result to a sink.
//!
//! One job is one tensor and runs on one worker; which worker, and how many there are, cannot be seen in the bytes.
//! The host schedules: it hands [`batches`] of jobs to as many workers as it likes and calls [`job`] for each.

mod assemble;
mod copy;
mod error;
mod feed;
mod merge;

use merge_studio_crc32::crc32;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod assemble_tests;
#[cfg(test)]
mod tests;

pub use error::{RunError, WriteError};

use crate::format::{Source, in_order};
use crate::kernel::cpu::Cpu;
#[cfg(feature = "gpu")]
use crate::kernel::gpu::Gpu;
use crate::kernel::{BLOCK, BackendError, BackendKind, GpuCounters};
use crate::plan::{Job, Plan, Rule, SourceTensor};

/// Where merged bytes go.
#[allow(async_fn_in_trait)] // Every host runs a job on one thread: natively `block_on`, in a page a worker.
pub trait Sink {
    /// Writes `bytes` at `offset` of the output's weight file number `file`. Ranges of different jobs never overlap and come
    /// in any order; a job may write a range a second time (a backend failed midway), and then the later bytes count.
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError>;
}

/// What a worker computes with: the GPU where there is one, the CPU where not or where the GPU declines.
#[derive(Default)]
pub struct Bench {
    /// The reference, always there.
    pub cpu: Cpu,
    /// The GPU; taken away once it is lost.
    #[cfg(feature = "gpu")]
    pub gpu: Option<Gpu>,
    /// What inputs are read into, kept from job to job: fresh memory costs more than to fill it.
    pub buffers: Vec<Vec<u8>>,
}

/// What a job may hold in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of inputs, as methods see them, that may be kept between passes: a tensor whose inputs fit is read once.
    pub keep: u64,
    /// Elements of a window, a multiple of [`BLOCK`]. What does not fit `keep` is read in windows, once a pass.
    pub window: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { keep: 32 << 20, window: 1 << 20 }
    }
}

impl Limits {
    /// The most that a job of the plan holds at a time, in bytes: raw inputs, one window of output, and what putting its sources together takes.
    pub fn peak(&self, plan: &Plan) -> u64 {
        let raw = |job: &Job| job.sources.iter().map(|source| source.len).sum::<u64>() + job.len;
        let largest = plan.jobs.iter().map(raw).max().unwrap_or(0);
        let assembling = plan.jobs.iter().map(|job| self.assembling(job)).max().unwrap_or(0);
        let window = self.window as u64 * 8;
        largest.min(self.keep.max(window * plan.inputs.len() as u64) + window) + assembling
    }

    /// What a job holds besides if its sources are put together: five windows, or the tensor five times where that is less, and the
    /// lines of an adapter's change.
    fn assembling(&self, job: &Job) -> u64 {
        let assemblies = || job.sources.iter().filter_map(|source| source.assembly.as_ref());
        let lines = assemblies().filter_map(|assembly| Some(assembly.change.as_ref()?.down.len)).sum::<u64>();
        let window = job.shape.iter().product::<u64>().min(self.window as u64);
        if assemblies().next().is_some() { window * 8 * 5 + lines } else { 0 }
    }
}

/// How far a job is, in bytes of input over all its passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which job.
    pub job: usize,
    /// Bytes done; starts over if a backend failed.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What became of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReport {
    /// The backend that made the tensor; `None` for a copy of bytes.
    pub backend: Option<BackendKind>,
    /// Why the GPU did not, where it was asked.
    pub declined: Option<BackendError>,
    /// What the GPU did for it, in vain where it declined.
    pub gpu: GpuCounters,
    /// Bytes read.
    pub read: u64,
    /// Bytes written, of the tensor.
    pub written: u64,
    /// The largest single buffer, in bytes.
    pub largest_allocation: u64,
    /// CRC-32 of what was written, by window: what a zip needs, without reading the file again.
    pub crcs: Vec<WindowCrc>,
}

/// The CRC-32 of one written range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowCrc {
    /// Offset in the output file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// CRC-32 (IEEE).
    pub crc32: u32,
}

/// Bytes of input that make the least batch: enough that reads span many small tensors.
const LEAST_BATCH: u64 = 16 << 20;

/// The plan's jobs in groups for `workers` workers to take: neighbours in the files together, so that a worker reads on where it was,
/// the largest group first, so that all end at about the same time.
pub fn batches(plan: &Plan, workers: usize) -> Vec<Vec<usize>> {
    let bytes = |job: usize| plan.jobs[job].sources.iter().map(|source| source.len).sum::<u64>();
    let mut left: u64 = (0..plan.jobs.len()).map(bytes).sum();
    let mut batches: Vec<(u64, Vec<usize>)> = Vec::new();
    let mut room = 0;
    for job in 0..plan.jobs.len() {
        let own = bytes(job);
        match batches.last_mut() {
            Some((total, jobs)) if *total + own <= room => {
                *total += own;
                jobs.push(job);
            }
            _ => {
                // Each takes half of its share of what is left: large batches first, small ones to even out the end.
                room = LEAST_BATCH.max(left / (2 * workers.max(1) as u64));
                batches.push((own, vec![job]));
            }
        }
        left -= own;
    }
    in_order(batches, |(total, _)| u64::MAX - total).into_iter().map(|(_, jobs)| jobs).collect()
}

/// Runs one job: reads its sources, makes the tensor, writes it.
///
/// `sources` has, for every entry of [`Plan::inputs`], that model's weight files. A GPU that declines or is lost is replaced by
/// the CPU for this tensor, and for good when it is lost; the report says so.
pub async fn job<S: Source, K: Sink>(
    plan: &Plan,
    job: usize,
    sources: &[Vec<S>],
    bench: &mut Bench,
    limits: &Limits,
    sink: &mut K,
    watch: &mut impl FnMut(Progress),
) -> Result<JobReport, RunError> {
    let mut task = Task::new(plan, job, sources, &mut bench.buffers, limits);
    #[cfg(feature = "gpu")]
    if let (false, Some(gpu)) = (is_copied(&plan.jobs[job]), &mut bench.gpu) {
        let job = &plan.jobs[job];
        let lowered = merge::Lowered::new(plan, job, &job.rule)?;
        let before = gpu.counters();
        let outcome = merge::merge(&mut task, &lowered, gpu, sink, watch).await;
        task.report.gpu = gpu.counters().since(before);
        match outcome {
            Err(merge::Stop::Backend(error)) => {
                if matches!(error, BackendError::Lost(_) | BackendError::OutOfMemory) {
                    bench.gpu = None;
                }
                let JobReport { gpu, read, .. } = task.report;
                task.report = JobReport { declined: Some(error), gpu, read, ..JobReport::default() };
            }
            Err(merge::Stop::Run(error)) => return Err(error),
            Ok(()) => return Ok(task.report),
        }
    }
    on_cpu(&mut task, &mut bench.cpu, sink, watch).await?;
    Ok(task.report)
}

/// The bytes of one job's tensor, as [`job`] writes them with the CPU. A program that makes tensors only so is not linked with the GPU's
/// code.
pub async fn tensor<S: Source>(
    plan: &Plan,
    job: usize,
    sources: &[Vec<S>],
    cpu: &mut Cpu,
    limits: &Limits,
) -> Result<Vec<u8>, RunError> {
    let mut buffers = Vec::new();
    let mut task = Task::new(plan, job, sources, &mut buffers, limits);
    let job = &plan.jobs[job];
    let mut made = Tensor { offset: job.offset, bytes: vec![0; job.len as usize] };
    on_cpu(&mut task, cpu, &mut made, &mut |_| {}).await?;
    Ok(made.bytes)
}

/// A tensor in memory, and where it would begin in its file.
struct Tensor {
    offset: u64,
    bytes: Vec<u8>,
}

impl Sink for Tensor {
    async fn write(&mut self, _: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        let at = (offset - self.offset) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}

/// Whether a job is its only source's bytes, or those of equal ones.
fn is_copied(job: &Job) -> bool {
    let same = || job.sources.iter().all(|source| source.dtype == job.dtype && source.assembly.is_none());
    matches!(job.rule, Rule::Copy(_)) && same()
}

/// Runs a job on the CPU.
async fn on_cpu<S: Source, K: Sink>(
    task: &mut Task<'_, S>,
    cpu: &mut Cpu,
    sink: &mut K,
    watch: &mut impl FnMut(Progress),
) -> Result<(), RunError> {
    let job = &task.plan.jobs[task.index];
    if is_copied(job) {
        return copy::copy(task, sink, watch).await;
    }
    let lowered = merge::Lowered::new(task.plan, job, &job.rule)?;
    merge::merge(task, &lowered, cpu, sink, watch).await.map_err(|stop| match stop {
        merge::Stop::Run(error) => error,
        merge::Stop::Backend(error) => RunError::Backend { tensor: job.name.clone(), error },
    })
}

/// A job on its way.
struct Task<'a, S> {
    plan: &'a Plan,
    index: usize,
    sources: &'a [Vec<S>],
    limits: &'a Limits,
    /// Those of [`Bench`], while no feed has them.
    buffers: &'a mut Vec<Vec<u8>>,
    report: JobReport,
}

impl<'a, S> Task<'a, S> {
    fn new(
        plan: &'a Plan,
        index: usize,
        sources: &'a [Vec<S>],
        buffers: &'a mut Vec<Vec<u8>>,
        limits: &'a Limits,
    ) -> Self {
        debug_assert!(limits.window > 0 && limits.window.is_multiple_of(BLOCK));
        Self { plan, index, sources, limits, buffers, report: JobReport::default() }
    }

    /// Writes a window of the tensor and notes its checksum.
    async fn write<K: Sink>(&mut self, sink: &mut K, at: u64, bytes: Vec<u8>) -> Result<(), RunError> {
        let job = &self.plan.jobs[self.index];
        let (offset, len) = (job.offset + at, bytes.len() as u64);
        self.report.crcs.push(WindowCrc { offset, len, crc32: crc32(&bytes) });
        self.report.written += len;
        self.allocated(bytes.capacity());
        sink.write(job.file, offset, bytes).await.map_err(RunError::Write)
    }

    /// Fills `into` with bytes of `source` from byte `at` of it on.
    async fn read(&mut self, source: &SourceTensor, at: u64, into: &mut [u8]) -> Result<(), RunError>
    where
        S: Source,
    {
        let read = self.sources[source.input][source.file].read(source.offset + at, into).await;
        self.report.read += into.len() as u64;
        self.allocated(into.len());
        read.map_err(|error| RunError::Read {
            tensor: source.name.clone(),
            input: self.plan.inputs[source.input].name.clone(),
            error,
        })
    }

    fn allocated(&mut self, bytes: usize) {
        self.report.largest_allocation = self.report.largest_allocation.max(bytes as u64);
    }
}
