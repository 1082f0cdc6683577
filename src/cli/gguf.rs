//! `gguf`: a model folder in, one file for llama.cpp out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Context as _;
use merge_studio::format::Source;
use merge_studio::model::{Folder, Model};
use merge_studio::output::gguf::{self, GgufError, GgufPlan, GgufType, Texts};
use merge_studio::output::{self, Content, SmallFile};

use super::failure::{Failure, warn};
use super::files::{FileSource, STOP, WeightFiles};
use super::merge::{INTERRUPTED, Prepared, sha256, stop_on_interrupt};
use super::progress::Progress;
use super::publish::FileDraft;
use super::{GgufArgs, GgufKind, models, words};

pub(super) fn gguf(args: &GgufArgs) -> Result<(), Failure> {
    let (folder, model) = models::open(&args.model)?;
    for notice in &model.notices {
        warn(words::model_notice(notice));
    }
    stop_on_interrupt().map_err(Failure::Merge)?;
    println!("{}", convert(&folder, &model, &args.out, args.r#type, args.force)?);
    Ok(())
}

/// Plans the file of a model, or says why there is none.
fn prepare<S: Source>(folder: &Folder<S>, model: &Model, kind: GgufKind) -> Result<GgufPlan, Failure> {
    let texts = pollster::block_on(Texts::read(folder));
    texts
        .and_then(|texts| gguf::plan(model, &texts, kind.dtype()))
        .with_context(|| format!("{} cannot be written as GGUF", model.name))
        .map_err(Failure::Model)
}

/// Plans the file of a merge's output before anything is merged, or says why there will be none.
pub(super) fn foresee(prepared: &Prepared, out: &Path) -> Result<(), Failure> {
    let Prepared { opened, stages, plan, small, .. } = prepared;
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let model = output::foresee(&name, plan, small, &opened.models, &opened.tokenizers);
    let (model, _) = model.map_err(|error| Failure::Model(error.into()))?;
    let mut made: Vec<BTreeMap<String, Vec<u8>>> = Vec::new();
    for (plan, small) in stages.iter().map(|stage| (&stage.plan, &stage.small)).chain([(plan, small)]) {
        let bytes = |file: &SmallFile| match &file.content {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::CopyOf { input, file } => {
                let model = plan.inputs[*input].model;
                match opened.folders.get(model) {
                    Some(folder) => {
                        fs::read(&folder.files[file].path).with_context(|| format!("{file} cannot be read"))
                    }
                    None => Ok(made[model - opened.folders.len()][file].clone()),
                }
            }
        };
        let files = small.files.iter().map(|file| Ok((file.name.clone(), bytes(file)?)));
        made.push(files.collect::<anyhow::Result<_>>().map_err(Failure::Model)?);
    }
    let files = made.pop().unwrap_or_default();
    prepare(&Folder { name: name.into_owned(), files }, &model, GgufKind::Auto).map(|_| ())
}

/// Writes the file; gives the lines that say what it is.
pub(super) fn convert(
    folder: &Folder<FileSource>,
    model: &Model,
    out: &Path,
    kind: GgufKind,
    force: bool,
) -> Result<String, Failure> {
    let began = Instant::now();
    let plan = prepare(folder, model, kind)?;
    for notice in &plan.notices {
        warn(notice);
    }
    let sources = folder.weight_sources(model);
    let inputs: Vec<PathBuf> = sources.iter().map(|source| source.path.clone()).collect();
    let draft = FileDraft::new(out, force, &inputs).map_err(Failure::Usage)?;
    let written = write(&plan, &sources, &draft).and_then(|hash| {
        draft.publish().with_context(|| format!("{} could not be put in its place", out.display()))?;
        Ok(hash)
    });
    if INTERRUPTED.load(Ordering::Relaxed) && written.is_err() {
        return Err(Failure::Interrupted);
    }
    let hash = written.map_err(Failure::Merge)?;
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!(
        "{}: {}, {}, {} in {:.1} s; {}\n{hash}  {name}",
        out.display(),
        plan.architecture,
        plan.dtype,
        words::count(plan.pieces.len(), "tensor"),
        began.elapsed().as_secs_f64(),
        words::bytes(plan.len),
    ))
}

/// Writes the draft; gives its SHA-256.
fn write(plan: &GgufPlan, sources: &[&FileSource], draft: &FileDraft) -> anyhow::Result<String> {
    let files = WeightFiles::create(draft.folder(), [(draft.name(), plan.len)].into_iter())?;
    let progress = Progress::new(plan.len);
    let mut sink = &files;
    let written: Result<(), GgufError> =
        pollster::block_on(plan.write(sources, &mut sink, &mut |bytes| progress.add(bytes)));
    progress.finish();
    written?;
    files.sync()?;
    if STOP.load(Ordering::Relaxed) {
        anyhow::bail!("stopped");
    }
    sha256(&draft.folder().join(draft.name()))
}

impl GgufKind {
    /// The type that was asked for; `None` for the model's own.
    fn dtype(self) -> Option<GgufType> {
        match self {
            Self::Auto => None,
            Self::F16 => Some(GgufType::F16),
            Self::Bf16 => Some(GgufType::BF16),
            Self::F32 => Some(GgufType::F32),
        }
    }
}
