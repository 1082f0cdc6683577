//! `eval`: models and lm-evaluation-harness's tasks in, numbers out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use merge_studio::format::Source as _;
use merge_studio::model::Folder;
use merge_studio::model::tokenizer::TokenizerFiles;
use merge_studio_eval::model::{self as lm, Files, Model, RawTensor, SourceError, Weights};
use merge_studio_eval::task::{
    Error, Errors, Evaluation, Group, Metric, Options, Record, StepError, Task, best, builtin, lm_eval_report,
    short_report,
};
use serde_json::{Map, Value as Json};

use super::failure::{Failure, warn};
use super::files::FileSource;
use super::merge::{INTERRUPTED, stop_on_interrupt};
use super::{EvalArgs, Report, models, words};

/// Documents that are asked about at a time: what they share is computed once.
const STEP: usize = 16;

/// How many of a task's questions are asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// The first so many.
    Count(usize),
    /// This share of all, rounded up.
    Share(f64),
}

impl Limit {
    /// Reads `--limit`: a count, or a share below 1.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match (text.parse::<usize>(), text.parse::<f64>()) {
            (Ok(count), _) if count > 0 => Ok(Self::Count(count)),
            (_, Ok(share)) if share > 0.0 && share < 1.0 => Ok(Self::Share(share)),
            _ => Err("expected how many questions, or a share of them below 1".into()),
        }
    }

    fn of(self, questions: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => (questions as f64 * share).ceil() as usize,
        }
    }
}

pub(super) fn eval(args: &EvalArgs) -> Result<(), Failure> {
    let (tasks, groups) = tasks(args).map_err(Failure::Recipe)?;
    stop_on_interrupt().map_err(Failure::Merge)?;
    let mut evaluated: Vec<(String, Vec<Evaluation>)> = Vec::new();
    for path in &args.models {
        let (name, mut model) = open(path)?;
        let name = if evaluated.iter().any(|(other, _)| *other == name) { path.display().to_string() } else { name };
        let mut evaluations = Vec::new();
        for task in &tasks {
            evaluations.push(evaluate(&name, &mut model, task, args)?);
        }
        evaluated.push((name, evaluations));
    }
    let report = match args.json {
        None => table(&evaluated, &groups),
        Some(kind) => json(kind, &evaluated, &groups, args.log_samples).map(|json| format!("{json:#}")),
    };
    println!("{}", report.map_err(|error| Failure::Merge(error.into()))?);
    Ok(())
}

/// The tasks that are named, and the groups of which some are parts.
fn tasks(args: &EvalArgs) -> anyhow::Result<(Vec<Arc<Task>>, Vec<Group>)> {
    let (mut tasks, mut groups) = (Vec::new(), Vec::new());
    let data = read_all(&args.data)?;
    let mut data_is_used = false;
    let names: Vec<&str> = args.tasks.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(anyhow!("--tasks names no task"));
    }
    for name in names {
        let path = Path::new(name);
        let kind = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match kind.as_deref() {
            Some("yaml" | "yml") => tasks.push(written(path)?),
            Some("json" | "jsonl") => {
                let bytes = fs::read(path).with_context(|| name.to_owned())?;
                tasks.push(Task::plain(&file_name(path), &bytes)?);
            }
            _ => {
                data_is_used = true;
                let (members, of) = builtin::open(name, &borrowed(&data)).map_err(|error| match error {
                    Error::UnknownTask { .. } => anyhow!(error).context(format!("--tasks {name}")),
                    _ if data.is_empty() => anyhow!("--tasks {name}: --data must name the files of its documents"),
                    _ => anyhow!(error).context(format!("--tasks {name}, with --data")),
                })?;
                tasks.extend(members);
                groups.extend(of);
            }
        }
    }
    if !data.is_empty() && !data_is_used {
        warn("--data is of public tasks, and --tasks names none: it is not used");
    }
    for (index, task) in tasks.iter().enumerate() {
        if tasks[..index].iter().any(|other| other.name() == task.name()) {
            return Err(anyhow!("two tasks are called {}", task.name()));
        }
    }
    Ok((tasks.into_iter().map(Arc::new).collect(), groups))
}

/// The task of a YAML file, with the files that it names: from its folder, or else from the one where the program runs, where
/// lm-evaluation-harness finds data.
fn written(path: &Path) -> anyhow::Result<Task> {
    // With a folder: names without one stand for files of any.
    let path = if path.components().count() == 1 { Path::new(".").join(path) } else { path.to_owned() };
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.to_string_lossy().into_owned();
    let mut files = vec![(name.clone(), fs::read(&path).with_context(|| name.clone())?)];
    loop {
        match Task::read(&name, &borrowed(&files)) {
            Err(Error::NoFile { at, name: wanted }) => {
                let here = Path::new(&wanted).strip_prefix(folder).unwrap_or(Path::new(&wanted));
                let bytes = fs::read(&wanted).or_else(|error| fs::read(here).map_err(|_| error));
                let bytes = bytes.with_context(|| format!("{at}: {wanted}"))?;
                files.push((wanted, bytes));
            }
            outcome => return Ok(outcome?),
        }
    }
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let read = |path: &PathBuf| Ok((file_name(path), fs::read(path).with_context(|| path.display().to_string())?));
    paths.iter().map(read).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

/// A model of a folder, and its name.
fn open(path: &Path) -> Result<(String, Model), Failure> {
    let (folder, model) = models::open(path)?;
    for notice in &model.notices {
        warn(format!("{}: {}", model.name, words::model_notice(notice)));
    }
    let name = model.name.clone();
    let opened = read(&folder, model).with_context(|| format!("{name} cannot be evaluated")).map_err(Failure::Model)?;
    Ok((name, opened))
}

fn read(folder: &Folder<FileSource>, model: merge_studio::model::Model) -> anyhow::Result<Model> {
    let config = model.config.as_ref().map(|config| config.text.clone()).context("config.json is missing")?;
    let texts = pollster::block_on(TokenizerFiles::read(folder))?;
    let generation_config = match folder.files.get("generation_config.json") {
        Some(source) => Some(fs::read_to_string(&source.path).context("generation_config.json")?),
        None => None,
    };
    let files = Files {
        config: &config,
        tokenizer: lm::TokenizerFiles {
            tokenizer: texts.text("tokenizer.json").context("tokenizer.json is missing")?.as_bytes(),
            config: texts.text("tokenizer_config.json"),
            special_tokens: texts.text("special_tokens_map.json"),
            chat_template: texts.text("chat_template.jinja"),
        },
        generation_config: generation_config.as_deref(),
    };
    Ok(Model::open(&files, &mut FolderWeights { folder, model })?)
}

/// The tensors of a folder.
struct FolderWeights<'a> {
    folder: &'a Folder<FileSource>,
    model: merge_studio::model::Model,
}

impl Weights for FolderWeights<'_> {
    fn tensor(&mut self, name: &str) -> Result<Option<RawTensor>, SourceError> {
        let Some(tensor) = self.model.tensors.get(name) else { return Ok(None) };
        let source = self.folder.weight_sources(&self.model)[tensor.file];
        let mut bytes = vec![0; tensor.len as usize];
        pollster::block_on(source.read(tensor.offset, &mut bytes))?;
        let shape = tensor.shape.iter().map(|size| *size as usize).collect();
        Ok(Some(RawTensor { dtype: tensor.dtype.name().to_owned(), shape, bytes }))
    }

    fn has(&mut self, name: &str) -> Result<bool, SourceError> {
        Ok(self.model.tensors.contains_key(name))
    }
}

/// Asks a model all of a task's questions.
fn evaluate(name: &str, model: &mut Model, task: &Arc<Task>, args: &EvalArgs) -> Result<Evaluation, Failure> {
    let limit = args.limit.map(|limit| limit.of(task.len()));
    let options = Options { shots: args.num_fewshot, limit, seed: args.seed };
    let mut evaluation = Evaluation::new(Arc::clone(task), options).map_err(|error| Failure::Recipe(error.into()))?;
    let bar = ProgressBar::new(evaluation.questions() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:32} {pos} of {len} questions  {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(format!("{name}, {}", task.name()));
    loop {
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        let failed = |error: anyhow::Error| error.context(format!("{name}, {}", task.name()));
        match evaluation.step(model, STEP) {
            Ok(0) => break,
            Ok(answered) => bar.inc(answered as u64),
            Err(StepError::Task(error)) => return Err(Failure::Recipe(failed(error.into()))),
            Err(StepError::Model(error)) => return Err(Failure::Model(failed(error.into()))),
        }
    }
    bar.finish_and_clear();
    let without = evaluation.records().iter().filter(|record| !record.choices.is_empty() && record.gold.is_empty());
    match without.count() {
        0 => {}
        count => warn(format!(
            "{name}, {}: of {} questions {count} have a target that names none of their choices: no answer to them is right",
            task.name(),
            evaluation.records().len()
        )),
    }
    Ok(evaluation)
}

/// One model's report, or several by name.
fn json(kind: Report, evaluated: &[(String, Vec<Evaluation>)], groups: &[Group], samples: bool) -> Result<Json, Error> {
    let one = |(name, evaluations): &(String, Vec<Evaluation>)| -> Result<Json, Error> {
        let evaluations: Vec<&Evaluation> = evaluations.iter().collect();
        let mut report = match kind {
            Report::Short => short_report(&evaluations, groups, Errors::FULL)?,
            Report::LmEval => lm_eval_report(name, &evaluations, groups, Errors::FULL, samples)?,
        };
        if let (false, Some(report)) = (samples, report.as_object_mut()) {
            report.remove("samples");
        }
        Ok(report)
    };
    match evaluated {
        [alone] => one(alone),
        many => {
            let reports = many.iter().map(|model| Ok((model.0.clone(), one(model)?)));
            reports.collect::<Result<Map<_, _>, _>>().map(Json::Object)
        }
    }
}

/// A row for each metric of each task, a column for each model. A star is at the best, where it is better than each of the others by
/// more than the error of the difference.
fn table(evaluated: &[(String, Vec<Evaluation>)], groups: &[Group]) -> Result<String, Error> {
    let mut rows = vec![vec!["task".to_owned(), "metric".to_owned()]];
    rows[0].extend(evaluated.iter().map(|(name, _)| name.clone()));
    let mut results = Vec::new();
    for (_, evaluations) in evaluated {
        let own: Result<Vec<_>, _> = evaluations.iter().map(|evaluation| evaluation.results(Errors::FULL)).collect();
        let mut own = own?;
        let grouped: Vec<_> = groups.iter().filter_map(|group| group.results(&own, groups)).collect();
        own.extend(grouped);
        results.push(own);
    }
    for (task, first) in results[0].iter().enumerate() {
        for measured in &first.measured {
            let filter = if measured.filter == "none" { String::new() } else { format!(" ({})", measured.filter) };
            let mut row = vec![first.task.clone(), format!("{}{filter}", measured.metric)];
            let of_task: Option<Vec<&[Record]>> =
                evaluated.iter().map(|(_, own)| own.get(task).map(Evaluation::records)).collect();
            let winner = match (of_task, Metric::named(&measured.metric)) {
                // A metric that is no sum over questions, such as f1, has none.
                (Some(records), Some(metric)) => best(&records, metric, &measured.filter).unwrap_or(None),
                _ => None,
            };
            for (model, results) in results.iter().enumerate() {
                let star = if winner == Some(model) { " *" } else { "" };
                let cell = results[task].get(&measured.metric, &measured.filter).map_or_else(String::new, |found| {
                    let error = found.error.map_or_else(String::new, |error| format!(" ± {error:.4}"));
                    format!("{:.4}{error}{star}", found.value)
                });
                row.push(cell);
            }
            rows.push(row);
        }
    }
    Ok(aligned(&rows))
}

/// Columns of one width each.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_count_or_a_share() {
        let of_ten = |text: &str| Limit::parse(text).map(|limit| limit.of(10));
        assert_eq!(of_ten("3"), Ok(3));
        assert_eq!(of_ten("0.25"), Ok(3), "a share is rounded up");
        for text in ["0", "-1", "1.5", "", "all", "nan", "1.0"] {
            assert!(of_ten(text).is_err(), "{text}");
        }
    }
}
