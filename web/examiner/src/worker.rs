//! The worker: carries out its order, a few questions or tokens at a time, and tells the view of each few.

mod answer;
mod merged;
#[cfg(test)]
mod merged_tests;
mod models;
mod tasks;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Date};
use merge_studio_eval::model::Model;
use merge_studio_eval::task::{
    self, Errors, Evaluation, Group, Metric, Options, Record, StepError, Task, best, lm_eval_report, paired,
};
use merge_studio_web::wire;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, MessageEvent};

use crate::protocol::{Batches, EvaluateOrder, MergeOrder, Opened, OpenedBatch, Order, Pair, Said, TaskInfo, Verdict};
use models::Origin;

/// All models answer so many questions of every task before any answers more: a sample first, which then sharpens.
const ROUNDS: [usize; 4] = [20, 50, 200, usize::MAX];
/// Milliseconds between reports, and about as many that a step shall take.
const REPORT_EVERY: f64 = 200.0;
/// Questions that are asked together at most.
const TOGETHER: usize = 32;

/// Waits for orders.
pub fn start() {
    std::panic::set_hook(Box::new(|info| tell(&Said::Died(info.to_string()))));
    let desk = Rc::new(answer::Desk::default());
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some((order, files)) = wire::parse::<Order>(&event.data()) {
            spawn_local(carry_out(order, files, desk.clone()));
        }
    });
    wire::scope().set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
    wire::say_loaded();
}

fn tell(said: &Said) {
    wire::post(&wire::scope(), said, None, None);
}

async fn carry_out(order: Order, beside: JsValue, desk: Rc<answer::Desk>) {
    let beside: Array = beside.unchecked_into();
    let (batches, mut models) = (files(&beside, 0), files(&beside, 1));
    match order {
        Order::Read(names) => {
            tell(&Said::Tasks(open(&names, &batches).iter().map(tasks::Batch::opened).collect()));
        }
        Order::Evaluate(order) => {
            let origins = order
                .models
                .iter()
                .zip(models)
                .map(|(given, blobs)| (given.name.clone(), Origin::Folder(models::folder(given, blobs))));
            evaluate(&order, &batches, origins.collect(), true).await;
        }
        Order::Sweep(order, merges) => {
            let origins = merged(&order, merges, models);
            evaluate(&order, &batches, origins, false).await;
        }
        Order::Ask(prompt) => desk.take(prompt, models.pop().unwrap_or_default()).await,
        Order::Stop => desk.stop(),
    }
}

/// The merges of models, each planned or refused.
fn merged(order: &EvaluateOrder, merges: MergeOrder, models: Vec<Vec<Blob>>) -> Vec<(String, Origin)> {
    let folder = |(given, blobs)| models::readable(&models::folder(given, blobs));
    let inputs = merged::Inputs::open(order.models.iter().zip(models).map(folder).collect(), merges.binding);
    let plan = |text: &str| Ok(Box::new(inputs.as_ref().map_err(Clone::clone)?.plan(text, merges.seed)?));
    merges.recipes.iter().map(|(name, text)| (name.clone(), Origin::Merge(plan(text)))).collect()
}

/// Lists of files that came beside an order.
fn files(beside: &Array, at: u32) -> Vec<Vec<Blob>> {
    let lists = beside.get(at).unchecked_into::<Array>().into_iter();
    lists.map(|list| list.unchecked_into::<Array>().into_iter().map(JsCast::unchecked_into).collect()).collect()
}

fn open(names: &Batches, files: &[Vec<Blob>]) -> Vec<tasks::Batch> {
    names.iter().zip(files).map(|(names, blobs)| tasks::open(names, blobs)).collect()
}

/// Asks models, of which a few may be in memory `together`.
async fn evaluate(order: &EvaluateOrder, batches: &[Vec<Blob>], models: Vec<(String, Origin)>, together: bool) {
    let mut batches = open(&order.batches, batches);
    let groups: Vec<Group> = batches.iter_mut().flat_map(|batch| std::mem::take(&mut batch.groups)).collect();
    let chosen = |&(batch, at): &(usize, usize)| batches.get(batch)?.tasks.get(at)?.task.as_ref().ok().cloned();
    let tasks: Vec<Arc<Task>> = order.tasks.iter().filter_map(chosen).collect();
    let mut examination = Examination { broken: vec![false; tasks.len()], tasks, seats: Vec::new() };
    examination.run(order.limit, models, together).await;
    let reports = examination.seats.iter().map(|seat| seat.report(&groups)).collect();
    tell(&Said::Finished { reports });
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
struct Seat {
    name: String,
    origin: Origin,
    /// Not there before it is needed, and after, where the others need its room.
    model: Option<Model>,
    /// An evaluation a task that can be asked; empty where the model is refused.
    evaluations: Vec<Option<Evaluation>>,
}

impl Seat {
    fn report(&self, groups: &[Group]) -> Option<String> {
        let answered: Vec<&Evaluation> =
            self.evaluations.iter().flatten().filter(|one| !one.records().is_empty()).collect();
        if answered.is_empty() {
            return None;
        }
        let report = lm_eval_report(&self.name, &answered, groups, Errors::FULL, false).ok()?;
        serde_json::to_string_pretty(&report).ok()
    }
}

/// What is asked of all models.
struct Examination {
    tasks: Vec<Arc<Task>>,
    /// Whether a task cannot go on.
    broken: Vec<bool>,
    seats: Vec<Seat>,
}

impl Examination {
    async fn run(&mut self, limit: Option<usize>, models: Vec<(String, Origin)>, together: bool) {
        let options = Options { limit, ..Options::default() };
        for (task, content) in self.tasks.iter().enumerate() {
            if let Err(error) = Evaluation::new(content.clone(), options) {
                self.broken[task] = true;
                tell(&Said::Broken { task, why: error.to_string() });
            }
        }
        let mut room = models::Room::default();
        for (model, (name, origin)) in models.into_iter().enumerate() {
            let evaluations = self.tasks.iter().map(|task| Evaluation::new(task.clone(), options).ok()).collect();
            let mut seat = Seat { name, origin, model: None, evaluations };
            match seat.origin.foresee() {
                Ok(memory) => room.add(&memory),
                Err(why) => {
                    seat.evaluations.clear();
                    tell(&Said::Refused { model, why });
                }
            }
            self.seats.push(seat);
        }
        if together && room.is_there() {
            for until in ROUNDS {
                for task in 0..self.tasks.len() {
                    for model in 0..self.seats.len() {
                        self.ask(model, task, until).await;
                    }
                    self.judge(task);
                }
            }
        } else {
            for model in 0..self.seats.len() {
                for task in 0..self.tasks.len() {
                    self.ask(model, task, usize::MAX).await;
                    self.judge(task);
                }
                self.seats[model].model = None;
            }
        }
    }

    /// Asks a model a task's questions until so many are answered.
    async fn ask(&mut self, model: usize, task: usize, until: usize) {
        let seat = &mut self.seats[model];
        let Some(evaluation) = seat.evaluations.get_mut(task).and_then(Option::as_mut).filter(|_| !self.broken[task])
        else {
            return;
        };
        let until = until.min(evaluation.questions());
        let mut told = evaluation.records().len();
        if told >= until {
            return;
        }
        if seat.model.is_none() {
            tell(&Said::Loading { model });
            match seat.origin.load().await {
                Ok(loaded) => seat.model = Some(loaded),
                Err(why) => {
                    seat.evaluations.clear();
                    return tell(&Said::Refused { model, why });
                }
            }
        }
        let Some(loaded) = seat.model.as_mut() else { return };
        let mut together = 1;
        let mut last = Date::now();
        while evaluation.records().len() < until {
            let began = Date::now();
            let count = together.min(until - evaluation.records().len());
            match evaluation.step(loaded, count) {
                Ok(_) => {}
                Err(StepError::Task(error)) => {
                    self.broken[task] = true;
                    tell(&Said::Broken { task, why: error.to_string() });
                    return;
                }
                Err(StepError::Model(error)) => {
                    seat.evaluations.clear();
                    seat.model = None;
                    return tell(&Said::Refused { model, why: models::refused(&error) });
                }
            }
            let now = Date::now();
            together =
                if now - began < REPORT_EVERY / 4.0 { (2 * together).min(TOGETHER) } else { together.div_ceil(2) };
            let is_last = evaluation.records().len() >= until;
            if is_last || now - last >= REPORT_EVERY {
                let is_end = evaluation.records().len() == evaluation.questions();
                let errors = if is_end { Errors::FULL } else { Errors::Formula };
                match evaluation.results(errors) {
                    Ok(results) => {
                        let records = evaluation.records()[told..].to_vec();
                        told = evaluation.records().len();
                        tell(&Said::Answered { model, task, records, results });
                    }
                    Err(error) => {
                        self.broken[task] = true;
                        return tell(&Said::Broken { task, why: error.to_string() });
                    }
                }
                last = now;
            }
        }
    }

    /// Compares the models that answered as much as any.
    fn judge(&self, task: usize) {
        let answered: Vec<(usize, &Evaluation)> = self
            .seats
            .iter()
            .enumerate()
            .filter_map(|(model, seat)| Some((model, seat.evaluations.get(task)?.as_ref()?)))
            .filter(|(_, evaluation)| !evaluation.records().is_empty())
            .collect();
        let Some((_, first)) = answered.first() else { return };
        let scores = first.records().first().map(|record| &record.scores);
        let measures: Vec<(Metric, &str)> = scores
            .into_iter()
            .flatten()
            .flat_map(|scores| scores.worths.iter().map(|(metric, _)| (*metric, scores.filter.as_str())))
            .collect();
        let records: Vec<&[Record]> = answered.iter().map(|(_, evaluation)| evaluation.records()).collect();
        let verdict = |(metric, filter): (Metric, &str)| -> Result<Verdict, task::Error> {
            let best = best(&records, metric, filter)?.map(|at| answered[at].0);
            let mut pairs = Vec::new();
            for (at, (one, first)) in answered.iter().enumerate() {
                for (other, second) in &answered[at + 1..] {
                    let found = paired(first.records(), second.records(), metric, filter)?;
                    pairs.push(Pair {
                        one: *one,
                        other: *other,
                        won: found.won,
                        lost: found.lost,
                        difference: found.difference,
                        error: found.error,
                    });
                }
            }
            Ok(Verdict { metric: metric.name().to_owned(), filter: filter.to_owned(), best, pairs })
        };
        // Metrics that are no sums over questions have none.
        let verdicts = measures.into_iter().filter_map(|measure| verdict(measure).ok()).collect();
        tell(&Said::Judged { task, verdicts });
    }
}
