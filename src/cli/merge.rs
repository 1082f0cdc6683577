//! `merge`: recipe and models in, a model folder out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail};
#[cfg(feature = "gpu")]
use merge_studio::kernel::gpu::Gpu;
use merge_studio::output::{self, Content, SmallFile, SmallFiles, StagePlan, Staged, output_hash};
use merge_studio::plan::{self, Plan, PlanOptions};
use merge_studio::recipe::{Link, LinkInput};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::failure::{Failure, warn};
use super::files::{FileSource, STOP, WeightFiles};
use super::models::{self, Opened, Places};
use super::progress::Progress;
use super::publish::{Draft, FileDraft, Scratch};
use super::recipe::{self, Loaded};
use super::workers::{Crew, Tally, input_bytes};
use super::{Device, GgufKind, MergeArgs, ReadingArgs, gguf, show, stages, words};

/// Set by Ctrl-C and its like, as opposed to a failure.
pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A recipe with its models and plans: everything before the first weight is read.
pub(super) struct Prepared {
    pub(super) loaded: Loaded,
    /// The folders are of the models that are there; the models behind them are the stages' results.
    pub(super) opened: Opened,
    /// What is merged before it.
    pub(super) stages: Vec<StagePlan>,
    pub(super) plan: Plan,
    /// The files beside the output's weights.
    pub(super) small: SmallFiles,
}

/// What takes time once the last weight is written, in seconds.
#[derive(Serialize)]
struct After {
    /// Until the disk has the files.
    seconds_synced: f64,
    /// Until their SHA-256 are known.
    seconds_hashed: f64,
}

/// What `--counters` writes.
#[derive(Serialize)]
struct Counters<'a> {
    #[serde(flatten)]
    tally: &'a Tally,
    #[serde(flatten)]
    after: After,
}

/// Opens the models of a recipe and plans the merge and its stages.
pub(super) fn prepare(
    loaded: Loaded,
    folder: Option<&Path>,
    reading: &ReadingArgs,
    seed: u64,
    shard_size: u64,
) -> Result<Prepared, Failure> {
    let names = plan::input_names(&loaded.recipe);
    let mut opened = models::open_all(&names, &Places { recipe: folder, models: reading.models.as_deref() })?;
    let options = PlanOptions { seed, shard_size, ..PlanOptions::default() };
    opened.read_tokenizers(&loaded.recipe)?;
    let (models, tokenizers) = (std::mem::take(&mut opened.models), std::mem::take(&mut opened.tokenizers));
    let staged = output::plan_all(&loaded.recipe, models, &opened.binding, tokenizers, &options)?;
    let Staged { stages, plan, models, tokenizers } = staged;
    (opened.models, opened.tokenizers) = (models, tokenizers);
    for notice in &plan.notices {
        warn(words::plan_notice(notice));
    }
    let small = output::small_files(&plan, &loaded.recipe, &opened.models, &opened.tokenizers);
    let small = small.map_err(|error| Failure::Model(error.into()))?;
    small.notices.iter().for_each(warn);
    Ok(Prepared { loaded, opened, stages, plan, small })
}

pub(super) fn merge(args: &MergeArgs) -> Result<(), Failure> {
    let began = Instant::now();
    let (mut prepared, link) = match (&args.recipe, &args.from_link) {
        (Some(file), _) => {
            let loaded = recipe::from_file(file, &args.reading)?;
            let seed = args.options.random_seed.unwrap_or(0);
            (prepare(loaded, file.parent(), &args.reading, seed, args.options.out_shard_size)?, None)
        }
        (None, Some(link)) => {
            let (loaded, link) = recipe::from_link(link, &args.reading)?;
            let prepared = prepare(loaded, None, &args.reading, link.seed, args.options.out_shard_size)?;
            check_fingerprints(&prepared.plan, &link)?;
            (prepared, Some(link))
        }
        (None, None) => return Err(Failure::Usage(anyhow!("name a recipe, or give a link with --from-link"))),
    };
    if let Some(file) = &args.gguf {
        FileDraft::new(file, args.force, &[]).map_err(Failure::Usage)?;
        gguf::foresee(&prepared, &args.out)?;
    }
    stop_on_interrupt().map_err(Failure::Merge)?;
    let draft = Draft::new(&args.out, args.force, &prepared.opened.paths).map_err(Failure::Usage)?;

    let expected = link.and_then(|link| link.output);
    let written = write_all(args, &mut prepared, draft.folder(), expected.is_some());
    let finished = written.and_then(|(tally, hashes, after)| {
        let link = finished_link(&prepared, &tally, &hashes);
        if let (Some(expected), Some(found)) = (&expected, &link.output)
            && expected != found
        {
            bail!("the output is not the link's: its SHA-256 is {found}, the link says {expected}; nothing was kept");
        }
        if STOP.load(Ordering::Relaxed) {
            bail!("stopped");
        }
        draft.publish().with_context(|| format!("{} could not be put in its place", args.out.display()))?;
        Ok((tally, hashes, after, link))
    });
    if INTERRUPTED.load(Ordering::Relaxed) && finished.is_err() {
        return Err(Failure::Interrupted);
    }
    let (tally, hashes, after, link) = finished.map_err(Failure::Merge)?;
    if let Some(file) = &args.counters {
        let counters = serde_json::to_string_pretty(&Counters { tally: &tally, after })
            .map_err(|error| Failure::Merge(error.into()))?;
        fs::write(file, counters + "\n").with_context(|| file.display().to_string()).map_err(Failure::Merge)?;
    }
    report(&args.out, &tally, &hashes, began);
    // The merge is done whatever becomes of the file, so its link is printed all the same.
    let written = args.gguf.as_ref().map(|file| {
        let (folder, model) = models::open(&args.out)?;
        gguf::convert(&folder, &model, file, GgufKind::Auto, args.force)
    });
    let written = written.transpose();
    if let Ok(Some(lines)) = &written {
        println!("{lines}");
    }
    println!("{}", show::address(show::PAGE, &link));
    written.map(|_| ())
}

/// Makes the stages, and writes every file of the output to `folder`; gives what was counted, the files' SHA-256 by name, and what the
/// disk and the hashes took.
fn write_all(
    args: &MergeArgs,
    prepared: &mut Prepared,
    folder: &Path,
    to_compare: bool,
) -> anyhow::Result<(Tally, BTreeMap<String, String>, After)> {
    let scratch = if prepared.stages.is_empty() { None } else { Some(Scratch::new(&args.out)?) };
    let mut tally = match &scratch {
        Some(scratch) => stages::make(args, prepared, scratch, to_compare)?,
        None => Tally::default(),
    };
    let Prepared { opened, plan, small, .. } = &*prepared;
    let (files, merged) = write_weights(args, plan, opened, folder, to_compare)?;
    tally.join(merged);
    write_small(&small.files, plan, opened, folder)?;
    let written = Instant::now();
    files.sync()?;
    let synced = Instant::now();
    let threads = args.threads.map_or_else(default_threads, usize::from);
    let hashes = hashes(folder, threads)?;
    let after = After {
        seconds_synced: synced.duration_since(written).as_secs_f64(),
        seconds_hashed: synced.elapsed().as_secs_f64(),
    };
    Ok((tally, hashes, after))
}

/// Writes the weight files of `plan` to `folder`; gives them and what was counted.
pub(super) fn write_weights(
    args: &MergeArgs,
    plan: &Plan,
    opened: &Opened,
    folder: &Path,
    to_compare: bool,
) -> anyhow::Result<(WeightFiles, Tally)> {
    let files = WeightFiles::create(folder, plan.files.iter().map(|file| (file.name.as_str(), file.len)))?;
    for (index, file) in plan.files.iter().enumerate() {
        files.write_at(index, 0, &file.header)?;
    }
    let sources: Vec<Vec<&FileSource>> = plan
        .inputs
        .iter()
        .map(|input| opened.folders[input.model].weight_sources(&opened.models[input.model]))
        .collect();
    let threads = args.threads.map_or_else(default_threads, usize::from);
    let progress = Progress::new((0..plan.jobs.len()).map(|job| input_bytes(plan, job)).sum());
    let crew = Crew::new(plan, &sources, &files, &progress, threads);
    let merged = compute(crew, args.device, to_compare, threads);
    progress.finish();
    Ok((files, merged?))
}

/// Writes files beside the weights to `folder`.
pub(super) fn write_small(files: &[SmallFile], plan: &Plan, opened: &Opened, folder: &Path) -> anyhow::Result<()> {
    for file in files {
        let to = folder.join(&file.name);
        match &file.content {
            Content::Bytes(bytes) => {
                fs::write(&to, bytes).with_context(|| format!("{} could not be written", file.name))
            }
            Content::CopyOf { input, file: name } => {
                let source = &opened.folders[plan.inputs[*input].model].files[name];
                fs::copy(&source.path, &to).map(|_| ()).with_context(|| format!("{name} could not be copied"))
            }
        }?;
    }
    Ok(())
}

/// Merges where `device` says. A link's output can only be compared with the CPU's, so `auto` means the CPU then.
#[cfg(feature = "gpu")]
fn compute(crew: Crew<'_>, device: Device, to_compare: bool, threads: usize) -> anyhow::Result<Tally> {
    /// Names of adapters that only simulate a GPU: slower than the CPU's own code.
    const SIMULATED: [&str; 4] = ["llvmpipe", "lavapipe", "SwiftShader", "Microsoft Basic Render"];
    if device == Device::Cpu || (device == Device::Auto && to_compare) {
        return on_cpu(crew, threads);
    }
    match pollster::block_on(Gpu::open()) {
        Ok(gpu) if device == Device::Auto && SIMULATED.iter().any(|name| gpu.name().contains(name)) => {
            on_cpu(crew, threads)
        }
        Ok(gpu) => {
            eprintln!("Merging on the GPU, {}", gpu.name());
            Ok(crew.run_with_gpu(gpu, threads)?)
        }
        Err(error) => {
            if device == Device::Gpu {
                warn(format!("{error}; the merge runs on the CPU"));
            }
            on_cpu(crew, threads)
        }
    }
}

#[cfg(not(feature = "gpu"))]
fn compute(crew: Crew<'_>, device: Device, _: bool, threads: usize) -> anyhow::Result<Tally> {
    if device == Device::Gpu {
        warn("this program was built without GPU support; the merge runs on the CPU");
    }
    on_cpu(crew, threads)
}

fn on_cpu(crew: Crew<'_>, threads: usize) -> anyhow::Result<Tally> {
    eprintln!("Merging on the CPU, {}", words::count(threads, "thread"));
    Ok(crew.run(threads)?)
}

pub(super) fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Lets Ctrl-C end the work within a window's time; what was written is removed on the way out.
pub(super) fn stop_on_interrupt() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::Relaxed);
        STOP.store(true, Ordering::Relaxed);
    })
    .context("Ctrl-C cannot be caught")
}

fn check_fingerprints(plan: &Plan, link: &Link) -> Result<(), Failure> {
    for expected in &link.inputs {
        let Some(fingerprint) = &expected.fingerprint else { continue };
        let folders = plan.folders();
        let Some((name, found)) = folders.into_iter().find(|(name, _)| *name == expected.name) else { continue };
        if found != fingerprint {
            return Err(Failure::Model(anyhow!(
                "{name} is not the model that the link was made with: its fingerprint is {found}, the link says {fingerprint}"
            )));
        }
    }
    Ok(())
}

/// The SHA-256 of every file in `folder`, by name.
fn hashes(folder: &Path, threads: usize) -> anyhow::Result<BTreeMap<String, String>> {
    let names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    let queue = Mutex::new(names.iter());
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> anyhow::Result<Vec<(String, String)>> {
        let mut done = Vec::new();
        while let Some(name) = take() {
            done.push((name.clone(), sha256(&folder.join(name)).with_context(|| name.clone())?));
        }
        Ok(done)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(names.len())).map(|_| scope.spawn(work)).collect();
        let mut hashes = BTreeMap::new();
        for worker in workers {
            hashes.extend(worker.join().map_err(|_| anyhow!("a thread ended early"))??);
        }
        Ok(hashes)
    })
}

pub(super) fn sha256(file: &Path) -> anyhow::Result<String> {
    let mut file = File::open(file)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        if STOP.load(Ordering::Relaxed) {
            bail!("stopped");
        }
        match file.read(&mut piece)? {
            0 => return Ok(output::hex(&hash.finalize())),
            count => hash.update(&piece[..count]),
        }
    }
}

/// The link that repeats this merge. It carries the output's hash if no GPU had a part in it.
fn finished_link(prepared: &Prepared, tally: &Tally, hashes: &BTreeMap<String, String>) -> Link {
    let weights =
        prepared.plan.files.iter().filter_map(|file| Some((file.name.as_str(), hashes.get(&file.name)?.as_str())));
    let output = if tally.backends.contains_key("gpu") { None } else { output_hash(weights) };
    Link { output, ..link(prepared) }
}

/// The link of a merge that has not run.
pub(super) fn link(prepared: &Prepared) -> Link {
    let input = |(name, fingerprint): (&str, &str)| LinkInput {
        name: name.to_owned(),
        fingerprint: Some(fingerprint.to_owned()),
    };
    Link {
        recipe: prepared.loaded.text.clone(),
        seed: prepared.plan.seed,
        inputs: prepared.plan.folders().into_iter().map(input).collect(),
        output: None,
    }
}

fn report(out: &Path, tally: &Tally, hashes: &BTreeMap<String, String>, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let label = |kind: &str| match kind {
        "cpu" => "on the CPU",
        "gpu" => "on the GPU",
        _ => "copied",
    };
    let counts: Vec<String> = tally.backends.iter().map(|(kind, count)| format!("{count} {}", label(kind))).collect();
    println!(
        "{}: {} ({}) in {seconds:.1} s; {} read, {} written",
        out.display(),
        words::count(tally.backends.values().sum(), "tensor"),
        counts.join(", "),
        words::bytes(tally.bytes_read),
        words::bytes(tally.bytes_written),
    );
    for (reason, count) in &tally.declined {
        println!("{} on the CPU instead of the GPU: {reason}", words::count(*count, "tensor"));
    }
    for (name, hash) in hashes {
        println!("{hash}  {name}");
    }
}
