//! Merges in memory: nothing is written, and a tensor is made when it is asked for.
//!
//! A decoder that is loaded from one takes no more than it would from a folder, and a tensor's inputs. The tensors are the merge's own
//! bytes, and so are the files beside them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use merge_studio::format::Source;
use merge_studio::kernel::cpu::Cpu;
use merge_studio::method;
use merge_studio::model::tokenizer::TokenizerFiles;
use merge_studio::model::{self, Folder, Model};
use merge_studio::output::{self, Content, Staged};
use merge_studio::plan::{self, Plan, PlanOptions};
use merge_studio::recipe::{self, Severity};
use merge_studio::run::{self, Limits};
use merge_studio_eval::model::{RawTensor, SourceError, Weights};

/// Bytes of a tensor's inputs that are kept from pass to pass: to read them again takes longer than all the rest.
const KEEP: u64 = 256 << 20;

/// What recipes merge.
pub struct Inputs<S> {
    folders: Vec<Folder<S>>,
    models: Vec<Model>,
    /// Which of them the recipes' names stand for.
    binding: BTreeMap<String, usize>,
}

impl<S: Source + Clone> Inputs<S> {
    /// Reads the headers of models.
    pub fn open(folders: Vec<Folder<S>>, binding: BTreeMap<String, usize>) -> Result<Self, String> {
        let mut models = Vec::with_capacity(folders.len());
        for folder in &folders {
            let opened = now(model::open(folder))?.map_err(|error| format!("{}: {error}", folder.name))?;
            models.push(opened);
        }
        Ok(Self { folders, models, binding })
    }

    /// Plans a recipe, as far as it can be merged without writing anything.
    pub fn plan(&self, text: &str, seed: u64) -> Result<Merged<S>, String> {
        let checked = recipe::check(text, &method::infos());
        let Some(recipe) = checked.recipe else {
            let error = checked.problems.iter().find(|problem| problem.severity == Severity::Error);
            return Err(error.map(|problem| problem.kind.to_string()).unwrap_or_default());
        };
        if let Some(stage) = recipe.stages.first() {
            return Err(format!("the stage {} would have to be written first", stage.name));
        }
        let mut tokenizers = BTreeMap::new();
        for index in plan::tokenizers_wanted(&recipe, &self.models, &self.binding) {
            let files = now(TokenizerFiles::read(&self.folders[index]))?;
            tokenizers.insert(index, files.map_err(|error| format!("{}: {error}", self.folders[index].name))?);
        }
        let options = PlanOptions { seed, ..PlanOptions::default() };
        let planned = output::plan_all(&recipe, self.models.clone(), &self.binding, tokenizers, &options);
        let Staged { plan, models, tokenizers, .. } = planned.map_err(|error| error.to_string())?;
        let small = output::small_files(&plan, &recipe, &models, &tokenizers).map_err(|error| error.to_string())?;
        let mut files = BTreeMap::new();
        for file in small.files {
            let content = match file.content {
                Content::Bytes(bytes) => File::Made(bytes),
                Content::CopyOf { input, file } => match self.folders[plan.inputs[input].model].files.get(&file) {
                    Some(source) => File::Copied(source.clone()),
                    None => continue,
                },
            };
            files.insert(file.name, content);
        }
        let source = |input: &plan::PlannedInput| {
            let sources = self.folders[input.model].weight_sources(&self.models[input.model]);
            sources.into_iter().cloned().collect()
        };
        let sources = plan.inputs.iter().map(source).collect();
        let jobs = plan.jobs.iter().enumerate().map(|(at, job)| (job.name.clone(), at)).collect();
        Ok(Merged {
            plan,
            sources,
            jobs,
            files,
            cpu: Cpu::default(),
            limits: Limits { keep: KEEP, ..Limits::default() },
        })
    }
}

/// A file beside the weights.
enum File<S> {
    Made(Vec<u8>),
    /// An input's own.
    Copied(S),
}

/// A merge that is planned.
pub struct Merged<S> {
    plan: Plan,
    /// Weight files, by input.
    sources: Vec<Vec<S>>,
    /// Places in the plan, by the tensors' names.
    jobs: BTreeMap<String, usize>,
    files: BTreeMap<String, File<S>>,
    cpu: Cpu,
    limits: Limits,
}

impl<S: Source> Merged<S> {
    /// The file beside the weights at this path, if there is one.
    pub fn file(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match self.files.get(path) {
            None => Ok(None),
            Some(File::Made(bytes)) => Ok(Some(bytes.clone())),
            Some(File::Copied(source)) => {
                let mut bytes = vec![0; source.len() as usize];
                now(source.read(0, &mut bytes))??;
                Ok(Some(bytes))
            }
        }
    }

    /// Bytes that making a tensor takes at most, the tensor not counted.
    pub fn room(&self) -> u64 {
        self.limits.peak(&self.plan)
    }

    /// The inputs' weight files.
    pub fn sources(&self) -> impl Iterator<Item = &S> {
        self.sources.iter().flatten()
    }
}

impl<S: Source> Weights for Merged<S> {
    fn tensor(&mut self, name: &str) -> Result<Option<RawTensor>, SourceError> {
        let Some(&job) = self.jobs.get(name) else { return Ok(None) };
        let bytes = now(run::tensor(&self.plan, job, &self.sources, &mut self.cpu, &self.limits))??;
        let job = &self.plan.jobs[job];
        let shape = job.shape.iter().map(|size| *size as usize).collect();
        Ok(Some(RawTensor { dtype: job.dtype.name().to_owned(), shape, bytes }))
    }

    fn has(&mut self, name: &str) -> Result<bool, SourceError> {
        Ok(self.jobs.contains_key(name))
    }
}

/// What a future comes to that waits for nothing: files are read at once here, and the CPU computes.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Result<T, &'static str> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("a file is not there yet"),
    }
}
