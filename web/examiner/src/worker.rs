//! The worker: carries out its order, a few questions or tokens at a time, and tells the view of each few.

mod answer;
mod merged;
#[cfg(test)]
mod merged_tests;
mod models;
mod shelf;
mod tasks;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Date};
use merge_studio_eval::model::Model;
use merge_studio_eval::task::{Errors, Evaluation, Group, Options, Record, StepError, Task, lm_eval_report};
use merge_studio_web::wire;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, MessageEvent};

use crate::protocol::{Batches, Candidate, EvaluateOrder, Opened, OpenedBatch, Order, Said, TaskInfo};
use models::Origin;
use shelf::Shelf;

/// So many questions of every task are asked before more of any: a sample first, which then sharpens.
const ROUNDS: [usize; 4] = [20, 50, 200, usize::MAX];
/// Milliseconds between reports, and about as many that a step shall take.
const REPORT_EVERY: f64 = 200.0;
/// Questions that are asked together at most.
const TOGETHER: usize = 32;

/// What stays between orders.
#[derive(Default)]
struct Kept {
    desk: answer::Desk,
    examination: RefCell<Option<Examination>>,
}

/// Waits for orders.
pub fn start() {
    std::panic::set_hook(Box::new(|info| tell(&Said::Died(info.to_string()))));
    let kept = Rc::new(Kept::default());
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some((order, files)) = wire::parse::<Order>(&event.data()) {
            spawn_local(carry_out(order, files, kept.clone()));
        }
    });
    wire::scope().set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
    wire::say_loaded();
}

fn tell(said: &Said) {
    wire::post(&wire::scope(), said, None, None);
}

async fn carry_out(order: Order, beside: JsValue, kept: Rc<Kept>) {
    let beside: Array = beside.unchecked_into();
    let (batches, mut models) = (files(&beside, 0), files(&beside, 1));
    match order {
        Order::Read(names) => {
            tell(&Said::Tasks(open(&names, &batches).iter().map(tasks::Batch::opened).collect()));
        }
        Order::Evaluate(order) => {
            let mut examination = begin(order, &batches, models).await;
            if let Some(examination) = &mut examination {
                examination.go_on();
            }
            kept.examination.replace(examination);
        }
        Order::GoOn => {
            if let Some(examination) = &mut *kept.examination.borrow_mut() {
                examination.go_on();
            }
        }
        Order::Ask(prompt) => kept.desk.take(prompt, models.pop().unwrap_or_default()).await,
        Order::Stop => kept.desk.stop(),
    }
}

/// A model's name, and where it comes from.
fn origin(model: Candidate, mut files: Vec<Vec<Blob>>) -> (String, Origin) {
    let shelf = Shelf::default();
    match model {
        Candidate::Folder(given) => {
            let folder = models::folder(&given, files.pop().unwrap_or_default(), &shelf);
            (given.name, Origin::Folder(folder))
        }
        Candidate::Merge(merge) => {
            let folder = |(given, blobs)| models::readable(&models::folder(given, blobs, &shelf));
            let inputs = merge.inputs.iter().zip(files).map(folder).collect();
            let planned =
                merged::Inputs::open(inputs, merge.binding).and_then(|inputs| inputs.plan(&merge.recipe, merge.seed));
            (merge.name, Origin::Merge(planned.map(Box::new)))
        }
    }
}

/// Lists of files that came beside an order.
fn files(beside: &Array, at: u32) -> Vec<Vec<Blob>> {
    let lists = beside.get(at).unchecked_into::<Array>().into_iter();
    lists.map(|list| list.unchecked_into::<Array>().into_iter().map(JsCast::unchecked_into).collect()).collect()
}

fn open(names: &Batches, files: &[Vec<Blob>]) -> Vec<tasks::Batch> {
    names.iter().zip(files).map(|(names, blobs)| tasks::open(names, blobs)).collect()
}

/// Reads the model; nothing where there is nothing to ask, or nobody.
async fn begin(order: EvaluateOrder, batches: &[Vec<Blob>], models: Vec<Vec<Blob>>) -> Option<Examination> {
    let EvaluateOrder { questions, model, known, rests } = order;
    let (name, mut origin) = origin(model, models);
    let mut batches = open(&questions.batches, batches);
    let groups: Vec<Group> = batches.iter_mut().flat_map(|batch| std::mem::take(&mut batch.groups)).collect();
    let chosen = |&(batch, at): &(usize, usize)| batches.get(batch)?.tasks.get(at)?.task.as_ref().ok().cloned();
    let options = Options { limit: questions.limit, ..Options::default() };
    let begin = |(task, content)| {
        let begun = Evaluation::new(content, options);
        begun.map_err(|error| tell(&Said::Broken { task, why: error.to_string() })).ok()
    };
    let mut evaluations: Vec<Option<Evaluation>> =
        questions.tasks.iter().filter_map(chosen).enumerate().map(begin).collect();
    for (task, (evaluation, known)) in evaluations.iter_mut().zip(&known).enumerate() {
        go_on_from(task, evaluation, known);
    }
    if is_over(&evaluations) {
        tell(&Said::Finished { report: report(&name, &evaluations, &groups) });
        return None;
    }
    tell(&Said::Loading);
    match origin.load().await {
        Ok(model) => Some(Examination { name, model, evaluations, groups, round: 0, rests }),
        Err(why) => {
            tell(&Said::Refused(why));
            None
        }
    }
}

/// Takes what is known of a task, and tells what of it counts.
fn go_on_from(task: usize, evaluation: &mut Option<Evaluation>, known: &[Record]) {
    let Some(begun) = evaluation.as_mut().filter(|_| !known.is_empty()) else { return };
    match begun.go_on_from(known).and_then(|_| begun.results(errors(begun))) {
        Ok(results) => tell(&Said::Known { task, records: begun.records().to_vec(), results }),
        Err(error) => {
            tell(&Said::Broken { task, why: error.to_string() });
            *evaluation = None;
        }
    }
}

/// How standard errors are found: those that take long, once all is answered.
fn errors(evaluation: &Evaluation) -> Errors {
    if is_answered(evaluation) { Errors::FULL } else { Errors::Formula }
}

fn is_answered(evaluation: &Evaluation) -> bool {
    evaluation.records().len() == evaluation.questions()
}

/// Whether all is answered that can be.
fn is_over(evaluations: &[Option<Evaluation>]) -> bool {
    evaluations.iter().flatten().all(is_answered)
}

/// lm-evaluation-harness's results, where anything was answered.
fn report(name: &str, evaluations: &[Option<Evaluation>], groups: &[Group]) -> Option<String> {
    let answered: Vec<&Evaluation> = evaluations.iter().flatten().filter(|one| !one.records().is_empty()).collect();
    if answered.is_empty() {
        return None;
    }
    let report = lm_eval_report(name, &answered, groups, Errors::FULL, false).ok()?;
    serde_json::to_string_pretty(&report).ok()
}

impl tasks::Batch {
    fn opened(&self) -> OpenedBatch {
        OpenedBatch { files: self.tasks.iter().map(tasks::Given::opened).collect(), groups: self.groups.clone() }
    }
}

impl tasks::Given {
    fn opened(&self) -> Opened {
        let info = |task: &Arc<Task>| TaskInfo {
            name: task.name().to_owned(),
            output: task.output(),
            questions: task.len(),
            written: task.written().map(ToOwned::to_owned),
            is_public: self.is_public,
        };
        Opened { file: self.file.clone(), task: self.task.as_ref().map(info).map_err(Clone::clone) }
    }
}

/// A model and its answers.
struct Examination {
    name: String,
    model: Model,
    /// One a task that goes on.
    evaluations: Vec<Option<Evaluation>>,
    groups: Vec<Group>,
    /// The next of [`ROUNDS`].
    round: usize,
    /// After each round.
    rests: bool,
}

impl Examination {
    /// Asks the next round, or all of them.
    fn go_on(&mut self) {
        while let Some(&until) = ROUNDS.get(self.round).filter(|_| !is_over(&self.evaluations)) {
            self.round += 1;
            let mut has_asked = false;
            for task in 0..self.evaluations.len() {
                has_asked |= self.ask(task, until);
            }
            if self.rests && has_asked && !is_over(&self.evaluations) {
                return tell(&Said::Rested);
            }
        }
        tell(&Said::Finished { report: report(&self.name, &self.evaluations, &self.groups) });
    }

    /// Asks a task's questions until so many are answered; whether there were any.
    fn ask(&mut self, task: usize, until: usize) -> bool {
        let Some(evaluation) = &mut self.evaluations[task] else { return false };
        let until = until.min(evaluation.questions());
        let mut told = evaluation.records().len();
        if told >= until {
            return false;
        }
        let mut together = 1;
        let mut last = Date::now();
        while evaluation.records().len() < until {
            let began = Date::now();
            let count = together.min(until - evaluation.records().len());
            let broken = match evaluation.step(&mut self.model, count) {
                Ok(_) => None,
                Err(StepError::Task(error)) => Some(error),
                Err(StepError::Model(error)) => {
                    tell(&Said::Stuck { task, why: error.to_string() });
                    self.evaluations[task] = None;
                    return true;
                }
            };
            let now = Date::now();
            together =
                if now - began < REPORT_EVERY / 4.0 { (2 * together).min(TOGETHER) } else { together.div_ceil(2) };
            let is_round = evaluation.records().len() >= until;
            let results = match broken {
                Some(error) => Err(error),
                None if is_round || now - last >= REPORT_EVERY => evaluation.results(errors(evaluation)),
                None => continue,
            };
            match results {
                Ok(results) => {
                    let records = evaluation.records()[told..].to_vec();
                    told = evaluation.records().len();
                    tell(&Said::Answered { task, records, results, is_round });
                }
                Err(error) => {
                    self.evaluations[task] = None;
                    tell(&Said::Broken { task, why: error.to_string() });
                    return true;
                }
            }
            last = now;
        }
        true
    }
}
