//! Runs a plan's jobs on threads: each takes the next batch, computes it on its own bench, and writes it where it belongs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

#[cfg(feature = "gpu")]
use merge_studio::kernel::gpu::Gpu;
use merge_studio::kernel::{BackendKind, GpuCounters};
use merge_studio::plan::{Job, Plan};
use merge_studio::run::{self, Bench, JobReport, Limits, RunError};
use serde::Serialize;

use super::files::{FileSource, STOP, WeightFiles};
use super::progress::Progress;

/// Inputs that all threads together keep between passes, where to get them again costs more than to keep them: a GPU has them,
/// or they are put together. What is read from a file comes again from the system's memory, and a thread that keeps nothing of it is as fast.
const KEEP: u64 = 128 << 20;
/// The most that one thread keeps.
const KEEP_EACH: u64 = 32 << 20;
/// Elements of a window where nothing is kept. Larger ones are no faster, and memory would grow with the tensors up to their size.
const WINDOW: usize = 1 << 19;

/// What was done, by whom.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    /// Tensors by what made them: `cpu`, `gpu`, or `copy`.
    pub(super) backends: BTreeMap<&'static str, usize>,
    /// Tensors that the GPU was asked for and did not make, by its reason.
    pub(super) declined: BTreeMap<String, usize>,
    /// What the GPU did.
    pub(super) gpu: GpuCounters,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    /// The largest single buffer, in bytes.
    pub(super) largest_allocation: u64,
}

impl Tally {
    /// Adds what another merge counted.
    pub(super) fn join(&mut self, other: Self) {
        for (backend, count) in other.backends {
            *self.backends.entry(backend).or_default() += count;
        }
        for (reason, count) in other.declined {
            *self.declined.entry(reason).or_default() += count;
        }
        self.gpu += other.gpu;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.largest_allocation = self.largest_allocation.max(other.largest_allocation);
    }

    fn add(&mut self, report: JobReport) {
        let backend = match report.backend {
            Some(BackendKind::Cpu) => "cpu",
            Some(BackendKind::Gpu) => "gpu",
            None => "copy",
        };
        *self.backends.entry(backend).or_default() += 1;
        if let Some(reason) = report.declined {
            *self.declined.entry(reason.to_string()).or_default() += 1;
        }
        self.gpu += report.gpu;
        self.bytes_read += report.read;
        self.bytes_written += report.written;
        self.largest_allocation = self.largest_allocation.max(report.largest_allocation);
    }
}

/// The merge that all threads work at.
pub(super) struct Crew<'a> {
    plan: &'a Plan,
    sources: &'a [Vec<&'a FileSource>],
    files: &'a WeightFiles,
    progress: &'a Progress,
    /// How many are at work, if all are.
    threads: usize,
    batches: Vec<Vec<usize>>,
    next: AtomicUsize,
    tally: Mutex<Tally>,
    failure: Mutex<Option<RunError>>,
}

impl<'a> Crew<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        sources: &'a [Vec<&'a FileSource>],
        files: &'a WeightFiles,
        progress: &'a Progress,
        threads: usize,
    ) -> Self {
        Self {
            plan,
            sources,
            files,
            progress,
            threads,
            batches: run::batches(plan, threads),
            next: AtomicUsize::new(0),
            tally: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Works on the CPU with `threads` threads.
    pub(super) fn run(self, threads: usize) -> Result<Tally, RunError> {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.work(&mut Bench::default(), || {}));
            }
        });
        self.outcome()
    }

    /// Works with the GPU, on one thread; should it be lost, on the CPU with `threads` threads.
    #[cfg(feature = "gpu")]
    pub(super) fn run_with_gpu(self, gpu: Gpu, threads: usize) -> Result<Tally, RunError> {
        thread::scope(|scope| {
            let crew = &self;
            scope.spawn(move || {
                crew.work(&mut Bench { gpu: Some(gpu), ..Bench::default() }, || {
                    for _ in 1..threads {
                        scope.spawn(|| crew.work(&mut Bench::default(), || {}));
                    }
                });
            });
        });
        self.outcome()
    }

    fn outcome(self) -> Result<Tally, RunError> {
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(self.tally.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Takes batches until there are none, or until the work is stopped. Calls `on_loss` if the bench loses its GPU.
    fn work(&self, bench: &mut Bench, mut on_loss: impl FnMut()) {
        let mut has_gpu = has_gpu(bench);
        while let Some(batch) = self.batches.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            for &job in batch {
                if STOP.load(Ordering::Relaxed) {
                    return;
                }
                let report = match self.job(job, bench) {
                    Ok(report) => report,
                    Err(error) => {
                        STOP.store(true, Ordering::Relaxed);
                        // The first failure is the cause; those of the other threads follow from it.
                        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        return;
                    }
                };
                if has_gpu && !self::has_gpu(bench) {
                    has_gpu = false;
                    let reason = report.declined.as_ref().map_or_else(String::new, ToString::to_string);
                    self.progress.say(&format!("{reason}; the merge goes on on the CPU"));
                    on_loss();
                }
                self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(report);
            }
        }
    }

    fn job(&self, job: usize, bench: &mut Bench) -> Result<JobReport, RunError> {
        let bytes = input_bytes(self.plan, job);
        let mut counted = 0;
        // A job may read its inputs in several passes, and start over: the bar counts each input once.
        let mut count_to = |share: u64| {
            if share > counted {
                self.progress.add(share - counted);
                counted = share;
            }
        };
        let mut watch = |progress: run::Progress| {
            let share = u128::from(bytes) * u128::from(progress.done) / u128::from(progress.total.max(1));
            count_to((share as u64).min(bytes));
        };
        let mut sink = self.files;
        let limits = limits(&self.plan.jobs[job], self.threads, bench);
        let work = run::job(self.plan, job, self.sources, bench, &limits, &mut sink, &mut watch);
        let report = pollster::block_on(work)?;
        count_to(bytes);
        Ok(report)
    }
}

/// What one of `threads` threads may hold for a job.
pub(super) fn limits(job: &Job, threads: usize, bench: &Bench) -> Limits {
    let made = job.sources.iter().any(|source| source.assembly.is_some());
    if made || has_gpu(bench) {
        Limits { keep: KEEP_EACH.min(KEEP / threads as u64), ..Limits::default() }
    } else {
        Limits { keep: 0, window: WINDOW }
    }
}

/// Bytes of the job's sources.
pub(super) fn input_bytes(plan: &Plan, job: usize) -> u64 {
    plan.jobs[job].sources.iter().map(|source| source.len).sum()
}

#[cfg(feature = "gpu")]
pub(super) fn has_gpu(bench: &Bench) -> bool {
    bench.gpu.is_some()
}

#[cfg(not(feature = "gpu"))]
pub(super) fn has_gpu(_: &Bench) -> bool {
    false
}
