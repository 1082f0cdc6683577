//! Runs a case through the engine, in memory.

#[cfg(feature = "gpu")]
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use merge_studio::kernel::BackendKind;
#[cfg(feature = "gpu")]
use merge_studio::kernel::gpu::{Gpu, GpuError};
#[cfg(feature = "gpu")]
use merge_studio::kernel::{BackendError, Precision};
use merge_studio::model::{self, Folder, Model};
use merge_studio::output::{self, Staged};
#[cfg(feature = "gpu")]
use merge_studio::plan::Rule;
use merge_studio::plan::{Job, OutputFile, Plan, PlanOptions, SourceTensor};
use merge_studio::run::{self, Bench, JobReport, Limits, Sink, WriteError};

use crate::case::{Case, Inputs};

/// Small enough that most tensors take several windows, and some are read once a pass.
pub const NARROW: Limits = Limits { keep: 48 << 10, window: 2048 };

/// As in production: most tensors are one window.
pub const WIDE: Limits = Limits { keep: 32 << 20, window: 1 << 20 };

/// A case and what the engine made of it.
pub struct Made {
    pub case: Case,
    pub plan: Plan,
    pub reports: Vec<JobReport>,
    files: Vec<Vec<u8>>,
}

impl Made {
    /// The bytes of the tensor that `job` made.
    pub fn output(&self, job: &Job) -> &[u8] {
        &self.files[job.file][job.offset as usize..(job.offset + job.len) as usize]
    }

    /// The same, to be damaged.
    pub fn output_mut(&mut self, job: &Job) -> &mut [u8] {
        &mut self.files[job.file][job.offset as usize..(job.offset + job.len) as usize]
    }

    /// The bytes of the job's `source`-th source, as they stand in the file.
    pub fn input(&self, job: &Job, source: usize) -> &[u8] {
        self.bytes(&job.sources[source])
    }

    /// The bytes of a stretch of an input's file.
    pub fn bytes(&self, source: &SourceTensor) -> &[u8] {
        let model = self.plan.inputs[source.input].model;
        let Inputs { folders, models, .. } = &self.case.inputs;
        let file = folders[model].weight_sources(&models[model])[source.file];
        &file[source.offset as usize..(source.offset + source.len) as usize]
    }

    /// The whole output, headers included.
    pub fn files(&self) -> &[Vec<u8>] {
        &self.files
    }
}

struct Memory(Vec<Vec<u8>>);

impl Sink for Memory {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        self.0[file][offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}

/// Plans and runs `case`.
pub fn run(case: Case, bench: &mut Bench, limits: Limits) -> Result<Made, String> {
    run_seeded(case, bench, limits, 0)
}

/// The same with a seed. What is merged before the output becomes one of the case's inputs.
pub fn run_seeded(mut case: Case, bench: &mut Bench, limits: Limits, seed: u64) -> Result<Made, String> {
    let options = PlanOptions { seed, ..PlanOptions::default() };
    let (models, tokenizers) = (std::mem::take(&mut case.inputs.models), std::mem::take(&mut case.inputs.tokenizers));
    let staged = output::plan_all(&case.recipe, models, &case.inputs.binding, tokenizers, &options);
    let Staged { stages, plan, models, tokenizers } = staged.map_err(|error| error.to_string())?;
    (case.inputs.models, case.inputs.tokenizers) = (models, tokenizers);
    for stage in stages {
        let (_, files) = run_plan(&stage.plan, &case.inputs, bench, limits)?;
        let name = |file: &OutputFile| file.name.clone();
        let folder = Folder { name: stage.name, files: stage.plan.files.iter().map(name).zip(files).collect() };
        is_as_foreseen(&folder, &case.inputs.models[case.inputs.folders.len()])?;
        case.inputs.folders.push(folder);
    }
    let (reports, files) = run_plan(&plan, &case.inputs, bench, limits)?;
    Ok(Made { case, plan, reports, files })
}

/// The result of a stage is the model that the plans after it were made from.
fn is_as_foreseen(folder: &Folder<Vec<u8>>, foreseen: &Model) -> Result<(), String> {
    let opened = pollster::block_on(model::open(folder)).map_err(|error| error.to_string())?;
    if (&opened.tensors, &opened.weight_files, opened.family)
        == (&foreseen.tensors, &foreseen.weight_files, foreseen.family)
    {
        return Ok(());
    }
    Err(format!("{} is not what was foreseen", folder.name))
}

/// Runs one plan: what was reported, and the weight files.
fn run_plan(
    plan: &Plan,
    inputs: &Inputs,
    bench: &mut Bench,
    limits: Limits,
) -> Result<(Vec<JobReport>, Vec<Vec<u8>>), String> {
    let Inputs { folders, models, .. } = inputs;
    let mut sink = Memory(plan.files.iter().map(|file| vec![0; file.len as usize]).collect());
    for (bytes, file) in sink.0.iter_mut().zip(&plan.files) {
        bytes[..file.header.len()].copy_from_slice(&file.header);
    }
    let sources: Vec<Vec<&Vec<u8>>> =
        plan.inputs.iter().map(|input| folders[input.model].weight_sources(&models[input.model])).collect();
    let mut reports = Vec::new();
    for job in 0..plan.jobs.len() {
        let mut watch = |_| ();
        let report = run::job(plan, job, &sources, bench, &limits, &mut sink, &mut watch);
        reports.push(pollster::block_on(report).map_err(|error| format!("{}: {error}", plan.jobs[job].name))?);
    }
    Ok((reports, sink.0))
}

/// The CPU alone.
pub fn cpu() -> Bench {
    Bench::default()
}

/// One GPU for all cases: opening it compiles every shader.
#[cfg(feature = "gpu")]
static GPU: LazyLock<Result<Mutex<Bench>, GpuError>> =
    LazyLock::new(|| Ok(Mutex::new(Bench { gpu: Some(pollster::block_on(Gpu::open())?), ..Bench::default() })));

/// The GPU, with the CPU for what it declines; opened by the first case that asks.
#[cfg(feature = "gpu")]
pub fn gpu() -> Result<MutexGuard<'static, Bench>, GpuError> {
    let bench = GPU.as_ref().map_err(Clone::clone)?;
    // A case that failed has not harmed the device.
    Ok(bench.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Every merged tensor was made by the GPU, but for those whose values or width it is known to decline; of those with sources that are
/// put together (an adapter's change, rows of vocabularies) one at least, where they are not all of that width. Copies are not asked
/// for: where one changes a type or has its source put together it is widened to f64, which is the CPU's.
#[cfg(feature = "gpu")]
pub fn made_by_the_gpu(made: &Made) -> Result<(), String> {
    let (mut assembled, mut by_the_gpu) = (0, 0);
    for (job, report) in made.plan.jobs.iter().zip(&made.reports) {
        let Rule::Merge(merge) = &job.rule else { continue };
        if merge.precision == Precision::F32 && job.sources.iter().any(|source| source.assembly.is_some()) {
            assembled += 1;
            by_the_gpu += usize::from(report.backend == Some(BackendKind::Gpu));
        }
        let fine = match (report.backend, &report.declined) {
            (Some(BackendKind::Cpu), Some(BackendError::Unsupported)) => merge.precision == Precision::F64,
            (Some(BackendKind::Gpu), None) | (Some(BackendKind::Cpu), Some(BackendError::UnsafeValues)) => true,
            _ => false,
        };
        if !fine {
            return Err(format!("{} was not made by the GPU: {report:?}", job.name));
        }
    }
    if assembled > 0 && by_the_gpu == 0 {
        return Err(format!("of {assembled} tensors whose sources are put together the GPU made none"));
    }
    Ok(())
}

/// Every tensor that is not a copy of bytes was made by the CPU.
pub fn made_by_the_cpu(made: &Made) -> bool {
    made.reports.iter().all(|report| matches!(report.backend, None | Some(BackendKind::Cpu)))
}
