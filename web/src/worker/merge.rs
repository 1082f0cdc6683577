//! A merge on its way, as the desk sees it: who does what, what is written, what is reported. It sends no message.

use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use merge_studio::kernel::cpu::REMEMBERED;
use merge_studio::kernel::{BLOCK, BackendKind, GpuCounters, Precision};
use merge_studio::model::{Folder, Model};
use merge_studio::output::{CrcRange, zip};
use merge_studio::plan::{Job, Plan, Rule};
use merge_studio::run::{JobReport, Limits};
use merge_studio_crc32::crc32;

use super::compute::IN_FLIGHT;
use super::stretch::{Stretch, halve, stretches};
use crate::io::{Output, OutputError, WebFile};
use crate::protocol::{MergeError, Progress, Report, RunNotice, StageAt};

/// Raw inputs that all workers together may keep between passes.
const KEEP: u64 = 128 << 20;
/// Windows that all workers together may hold.
const WINDOWS: u64 = 256 << 20;
/// Sizes of one window of one input, in bytes.
const WINDOW: std::ops::RangeInclusive<u64> = 1 << 20..=4 << 20;
/// What a worker takes before it holds a weight.
const WORKER: u64 = 12 << 20;
/// Milliseconds that the rate is averaged over.
const RATE_OVER: f64 = 3000.0;
/// Milliseconds between reports.
const REPORT_EVERY: f64 = 100.0;

/// What each of `workers` workers may hold in a merge of `inputs` inputs.
pub(super) fn limits(workers: u32, inputs: usize) -> Limits {
    let workers = u64::from(workers.max(1));
    let bytes = (WINDOWS / (workers * (inputs as u64 + 1))).clamp(*WINDOW.start(), *WINDOW.end());
    let elements = bytes as usize / 4;
    Limits { keep: KEEP / workers, window: elements - elements % BLOCK }
}

/// An estimate of what `workers` workers allocate together at most, in bytes.
pub(super) fn peak_memory(plan: &Plan, workers: u32) -> u64 {
    let limits = limits(workers, plan.inputs.len());
    let coins = plan.jobs.iter().map(coins).max().unwrap_or(0);
    let total: u64 = plan.jobs.iter().map(|job| job.len).sum();
    u64::from(workers) * (WORKER + limits.peak(plan) + coins) + total.min(u64::from(workers) * IN_FLIGHT)
}

/// What a worker remembers of the coins that a tensor draws, in bytes.
fn coins(job: &Job) -> u64 {
    let terms = if let Rule::Merge(rule) = &job.rule { rule.coins.len() as u64 } else { 0 };
    (job.shape.iter().product::<u64>().div_ceil(8) * terms).min(REMEMBERED)
}

/// What progress counts beside the merge that runs: of a recipe with stages, all of them are one.
#[derive(Clone, Default)]
pub(super) struct Around {
    /// Bytes and tensors that earlier merges made.
    pub(super) bytes_before: u64,
    pub(super) tensors_before: u32,
    /// Those of all merges.
    pub(super) bytes_total: u64,
    pub(super) tensors_total: u32,
    /// The stage that runs.
    pub(super) stage: Option<StageAt>,
}

impl Around {
    /// Of a merge alone.
    pub(super) fn nothing(plan: &Plan) -> Self {
        Self {
            bytes_total: plan.jobs.iter().map(|job| job.len).sum(),
            tensors_total: plan.jobs.len() as u32,
            ..Self::default()
        }
    }

    /// What is said before the merge's first byte is read.
    pub(super) fn progress(&self) -> Progress {
        Progress {
            bytes_done: self.bytes_before,
            bytes_total: self.bytes_total,
            tensors_done: self.tensors_before,
            tensors_total: self.tensors_total,
            stage: self.stage.clone(),
            ..Progress::default()
        }
    }
}

/// The weight files of a plan's inputs, an array an input.
pub(super) fn sources(plan: &Plan, models: &[Model], folders: &[Folder<WebFile>]) -> Array {
    let weights = plan.inputs.iter().map(|input| match (folders.get(input.model), models.get(input.model)) {
        (Some(folder), Some(model)) => folder.weight_sources(model).iter().map(|file| file.blob()).collect(),
        _ => Array::new(),
    });
    weights.collect()
}

/// Whether the GPU can make this tensor at all.
fn for_gpu(job: &Job) -> bool {
    matches!(&job.rule, Rule::Merge(rule) if rule.precision == Precision::F32)
}

/// Why file number `file` was not written.
pub(super) fn merge_error(error: OutputError, plan: &Plan, file: usize) -> MergeError {
    match error {
        OutputError::NoSpace(short) => MergeError::NoSpace { short },
        OutputError::Failed(why) => {
            MergeError::Write { file: plan.files.get(file).map_or(String::new(), |file| file.name.clone()), why }
        }
    }
}

/// What a compute worker has in hand.
#[derive(Default)]
struct Hand {
    /// What is left of its stretch.
    left: Stretch,
    /// What it is at, and the share that is done.
    at: Option<(usize, f64)>,
    /// Bytes of its wasm memory after its last job.
    memory: Option<u64>,
}

/// What a worker has in hand; nothing yet, if it is new.
fn hand_of(hands: &mut Vec<(u32, Hand)>, worker: u32) -> &mut Hand {
    let at = hands.iter().position(|(number, _)| *number == worker).unwrap_or_else(|| {
        hands.push((worker, Hand::default()));
        hands.len() - 1
    });
    &mut hands[at].1
}

/// The running merge.
pub(super) struct Merge {
    pub(super) number: u32,
    pub(super) plan: Rc<Plan>,
    /// Taken while it is being finished.
    pub(super) output: Option<Output>,
    /// Whether tensors wait for the worker with the GPU.
    pub(super) gpu: bool,
    for_gpu: VecDeque<Stretch>,
    for_cpu: VecDeque<Stretch>,
    /// Bytes of input of every job.
    inputs: Vec<u64>,
    /// With the workers' numbers.
    hands: Vec<(u32, Hand)>,
    reports: Vec<Option<JobReport>>,
    bytes_done: u64,
    pub(super) started: f64,
    told: f64,
    /// Times and bytes done at them.
    pace: VecDeque<(f64, f64)>,
    notices: Vec<RunNotice>,
    around: Around,
    header_crcs: Vec<CrcRange>,
}

impl Merge {
    /// A merge for `workers` workers of which nothing is done. Writes the headers.
    pub(super) fn new(
        number: u32,
        plan: Rc<Plan>,
        mut output: Output,
        workers: u32,
        gpu: bool,
        started: f64,
        around: Around,
    ) -> Result<Self, OutputError> {
        let mut header_crcs = Vec::new();
        for (index, file) in plan.files.iter().enumerate() {
            output.write(index, 0, &Uint8Array::from(file.header.as_slice()))?;
            header_crcs.push((0, file.header.len() as u64, crc32(&file.header)));
        }
        let (mut gpus, mut cpus) = (VecDeque::new(), VecDeque::new());
        let bytes = |job: &Job| job.sources.iter().map(|source| source.len).sum();
        let inputs: Vec<u64> = plan.jobs.iter().map(bytes).collect();
        for stretch in stretches(&inputs, workers) {
            let (on_gpu, on_cpu): (Stretch, Stretch) =
                stretch.into_iter().partition(|job| gpu && for_gpu(&plan.jobs[*job]));
            gpus.extend((!on_gpu.is_empty()).then_some(on_gpu));
            cpus.extend((!on_cpu.is_empty()).then_some(on_cpu));
        }
        Ok(Self {
            number,
            reports: vec![None; plan.jobs.len()],
            plan,
            output: Some(output),
            gpu,
            for_gpu: gpus,
            for_cpu: cpus,
            inputs,
            hands: Vec::new(),
            bytes_done: 0,
            started,
            told: 0.0,
            pace: VecDeque::new(),
            notices: Vec::new(),
            around,
            header_crcs,
        })
    }

    /// The next job for a worker that has none.
    pub(super) fn next(&mut self, worker: u32, has_gpu: bool) -> Option<usize> {
        let Hand { left, at, .. } = hand_of(&mut self.hands, worker);
        if at.is_some() {
            return None;
        }
        let mut left = std::mem::take(left);
        if left.is_empty() {
            let queued = if self.gpu && has_gpu { self.for_gpu.pop_front() } else { None };
            left = queued.or_else(|| self.for_cpu.pop_front()).or_else(|| self.halve())?;
        }
        let job = left.pop_front()?;
        let hand = hand_of(&mut self.hands, worker);
        (hand.left, hand.at) = (left, Some((job, 0.0)));
        Some(job)
    }

    /// Half of what another worker has left. Not of what is the GPU's.
    fn halve(&mut self) -> Option<Stretch> {
        if self.gpu { None } else { halve(self.hands.iter_mut().map(|(_, hand)| &mut hand.left), &self.inputs) }
    }

    /// The GPU is gone: the CPU takes what waits for it.
    pub(super) fn lose_gpu(&mut self) {
        self.gpu = false;
        self.for_cpu.append(&mut self.for_gpu);
        // What is left of the stretch of the worker that had it is shared out, too.
        for (_, Hand { left, .. }) in &mut self.hands {
            self.for_cpu.extend((!left.is_empty()).then(|| std::mem::take(left)));
        }
    }

    /// Notes how far a worker is.
    pub(super) fn working(&mut self, worker: u32, job: usize, share: f64) {
        hand_of(&mut self.hands, worker).at = Some((job, share));
    }

    /// Notes a finished job; true when it was the last one.
    pub(super) fn done(&mut self, worker: u32, job: usize, report: JobReport, memory: u64) -> bool {
        let hand = hand_of(&mut self.hands, worker);
        (hand.at, hand.memory) = (None, Some(memory));
        if let Some(slot) = self.reports.get_mut(job)
            && slot.is_none()
        {
            self.bytes_done += self.plan.jobs[job].len;
            *slot = Some(report);
        }
        self.reports.iter().all(Option::is_some)
    }

    /// Whether the GPU was asked for this tensor, so that its refusal is news.
    pub(super) fn was_for_gpu(&self, job: usize) -> bool {
        self.plan.jobs.get(job).is_some_and(for_gpu)
    }

    /// What was noted so far.
    pub(super) fn noted(&self) -> Vec<RunNotice> {
        self.notices.clone()
    }

    /// Keeps a notice for the report.
    pub(super) fn note(&mut self, notice: RunNotice) {
        self.notices.push(notice);
    }

    /// How far it is, if that is due to be said at `now`.
    pub(super) fn progress(&mut self, now: f64) -> Option<Progress> {
        if now - self.told < REPORT_EVERY {
            return None;
        }
        self.told = now;
        let under_way = || self.hands.iter().filter_map(|(_, hand)| hand.at);
        let parts = under_way().map(|(job, share)| self.plan.jobs.get(job).map_or(0.0, |job| job.len as f64 * share));
        let bytes = self.bytes_done as f64 + parts.sum::<f64>();
        self.pace.push_back((now, bytes));
        while self.pace.len() > 2 && self.pace.front().is_some_and(|(at, _)| now - at > RATE_OVER) {
            self.pace.pop_front();
        }
        let rate = self.pace.front().map_or(0.0, |(at, then)| {
            if now - at < REPORT_EVERY { 0.0 } else { ((bytes - then) / (now - at) * 1000.0).max(0.0) }
        });
        let tensor = under_way().next().map_or("", |(job, _)| self.plan.jobs[job].name.as_str());
        Some(Progress {
            bytes_done: self.around.bytes_before + bytes as u64,
            tensors_done: self.around.tensors_before + self.reports.iter().flatten().count() as u32,
            tensor: tensor.to_owned(),
            rate,
            seconds: (now - self.started) / 1000.0,
            ..self.around.progress()
        })
    }

    /// Bytes of the output that are not written yet.
    pub(super) fn bytes_left(&self) -> u64 {
        self.plan.jobs.iter().map(|job| job.len).sum::<u64>() - self.bytes_done
    }

    /// The CRC-32 of every weight file.
    pub(super) fn crcs(&self) -> Vec<u32> {
        let of_file = |(index, header): (usize, &CrcRange)| {
            let jobs = self.plan.jobs.iter().zip(&self.reports).filter(|(job, _)| job.file == index);
            let windows = jobs.filter_map(|(_, report)| report.as_ref()).flat_map(|report| &report.crcs);
            let mut pieces: Vec<CrcRange> = windows.map(|crc| (crc.offset, crc.len, crc.crc32)).collect();
            pieces.push(*header);
            zip::combine(&pieces)
        };
        self.header_crcs.iter().enumerate().map(of_file).collect()
    }

    /// What the page shows afterwards.
    pub(super) fn report(&self, now: f64) -> Report {
        let reports = || self.reports.iter().flatten();
        let mut gpu = GpuCounters::default();
        reports().for_each(|report| gpu += report.gpu);
        Report {
            gpu,
            seconds: (now - self.started) / 1000.0,
            read: reports().map(|report| report.read).sum(),
            written: self.plan.files.iter().map(|file| file.len).sum(),
            tensors: self
                .plan
                .jobs
                .iter()
                .zip(&self.reports)
                .map(|(job, report)| (job.name.clone(), report.as_ref().and_then(|report| report.backend)))
                .collect(),
            largest_allocation: reports().map(|report| report.largest_allocation).max().unwrap_or(0),
            wasm_memory: self.hands.iter().filter_map(|(_, hand)| hand.memory).collect(),
            notices: self.notices.clone(),
        }
    }

    /// Whether the CPU made everything: only then are the bytes the same everywhere.
    pub(super) fn cpu_only(&self) -> bool {
        self.reports.iter().flatten().all(|report| report.backend != Some(BackendKind::Gpu))
    }
}
