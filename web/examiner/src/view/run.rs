//! An evaluation: what was asked, what was answered so far, which model is the best.

#[cfg(test)]
mod tests;

use js_sys::{Array, Date};
use merge_studio_eval::task::{Group, Measured, Metric, Paired, Record, Results, best, paired};
use yew::Callback;

use super::crew::{Crew, Job};
use super::known::{Source, Subject};
use crate::protocol::{Candidate, EvaluateOrder, Order, Questions, Refusal, Said, TaskInfo};

/// What is asked.
#[derive(Clone, PartialEq)]
pub struct Asked {
    pub questions: Questions,
    /// The task files.
    pub files: Array,
    /// The tasks.
    pub tasks: Vec<TaskInfo>,
    /// Where each of them comes from.
    pub sources: Vec<Source>,
}

impl Asked {
    /// All of it to one model, of these models' files, but what is known; after each round it may rest.
    pub fn of(&self, model: Candidate, files: &Array, bytes: u64, known: Vec<Vec<Record>>, rests: bool) -> Job {
        let order = Order::Evaluate(EvaluateOrder { questions: self.questions.clone(), model, known, rests });
        Job { order, beside: Array::of2(&self.files, files).into(), bytes }
    }
}

/// How far a model is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing was heard so far.
    Waiting,
    /// It is being read.
    Loading,
    Asking,
    Done,
    /// It cannot be evaluated.
    Refused(Refusal),
    /// Its worker died: its last words.
    Died(String),
}

impl State {
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Refused(_) | Self::Died(_))
    }
}

/// A model's answers to a task.
#[derive(Clone, Default)]
pub struct Cell {
    pub records: Vec<Record>,
    pub results: Option<Results>,
    /// Why it cannot go on.
    pub stuck: Option<String>,
    /// Answers until the last round was over: those that count where models are compared.
    compared: usize,
}

/// A model that is better than each other one by more than the difference's error.
struct Best {
    metric: String,
    filter: String,
    model: usize,
}

pub struct Run {
    pub models: Vec<String>,
    pub tasks: Vec<TaskInfo>,
    /// Of which some of the tasks may be parts.
    pub groups: Vec<Group>,
    /// Who is asked, by model, and where the tasks come from.
    pub subjects: Vec<Subject>,
    pub sources: Vec<Source>,
    /// Questions of each task.
    pub limit: Option<usize>,
    /// By task, then model.
    pub cells: Vec<Vec<Cell>>,
    /// By task.
    bests: Vec<Vec<Best>>,
    /// Tasks that could not go on: why.
    pub broken: Vec<Option<String>>,
    /// By model.
    pub states: Vec<State>,
    /// lm-evaluation-harness's results, by model.
    pub reports: Vec<Option<String>>,
    /// It is there until all is asked, or cancelled.
    crew: Option<Crew>,
    pub is_cancelled: bool,
    /// Answers that were known from before.
    pub known: usize,
    /// Milliseconds since 1970.
    began: f64,
    /// How long it took, when it is over.
    pub seconds: f64,
}

impl Run {
    /// Nobody is asked so far.
    pub fn new(models: Vec<String>, tasks: Vec<TaskInfo>, groups: Vec<Group>, limit: Option<usize>) -> Self {
        Self {
            cells: vec![vec![Cell::default(); models.len()]; tasks.len()],
            bests: tasks.iter().map(|_| Vec::new()).collect(),
            broken: vec![None; tasks.len()],
            states: vec![State::Waiting; models.len()],
            reports: vec![None; models.len()],
            models,
            tasks,
            groups,
            subjects: Vec::new(),
            sources: Vec::new(),
            limit,
            crew: None,
            is_cancelled: false,
            known: 0,
            began: 0.0,
            seconds: 0.0,
        }
    }

    /// Asks the models, a job each, tasks that come from there. `hear` gets what workers say, with their numbers.
    pub fn begin(&mut self, jobs: Vec<(Subject, Job)>, sources: Vec<Source>, hear: Callback<(u32, Said)>) {
        self.began = Date::now();
        self.sources = sources;
        let (subjects, jobs) = jobs.into_iter().unzip();
        self.subjects = subjects;
        self.crew = Some(Crew::call(jobs, hear));
    }

    pub fn is_going(&self) -> bool {
        self.crew.is_some()
    }

    /// Models that wait for others to be done.
    pub fn waiting(&self) -> usize {
        self.crew.as_ref().map_or(0, Crew::waiting)
    }

    /// Ends all workers. What was answered stays.
    pub fn cancel(&mut self) {
        self.is_cancelled = true;
        self.finish();
    }

    fn finish(&mut self) {
        self.crew = None;
        self.seconds = (Date::now() - self.began) / 1000.0;
    }

    /// Takes in what a worker says of its work; whether the worker is still one of this evaluation.
    pub fn hear(&mut self, number: u32, said: Said) -> bool {
        let Some(model) = self.crew.as_ref().and_then(|crew| crew.place(number)) else { return false };
        if let (Said::Rested, Some(crew)) = (&said, &mut self.crew) {
            crew.rest(model);
        }
        self.take_in(model, said);
        if let Some(crew) = self.crew.as_mut().filter(|_| self.states[model].is_over()) {
            crew.end(model);
            if crew.is_over() {
                self.finish();
            }
        }
        true
    }

    /// Takes in what is said of a model.
    fn take_in(&mut self, model: usize, said: Said) {
        match said {
            Said::Loading => self.states[model] = State::Loading,
            Said::Refused(why) => {
                self.states[model] = State::Refused(why);
                // It is no longer one of those that are compared.
                for task in 0..self.tasks.len() {
                    self.judge(task);
                }
            }
            Said::Broken { task, why } => self.broken[task] = Some(why),
            Said::Stuck { task, why } => self.cells[task][model].stuck = Some(why),
            Said::Known { task, records, results } => {
                self.known += records.len();
                let compared = records.len();
                self.cells[task][model] = Cell { records, results: Some(results), stuck: None, compared };
                self.judge(task);
            }
            Said::Answered { task, records, results, is_round } => {
                self.states[model] = State::Asking;
                let cell = &mut self.cells[task][model];
                cell.records.extend(records);
                cell.results = Some(results);
                if is_round {
                    cell.compared = cell.records.len();
                    self.judge(task);
                }
            }
            Said::Finished { report } => {
                self.states[model] = State::Done;
                self.reports[model] = report;
            }
            Said::Died(why) => self.states[model] = State::Died(why),
            Said::Tasks(_) | Said::Rested | Said::Reply { .. } => {}
        }
    }

    /// Finds the best of the models that have answered a round of a task, or more. Not at every answer: each model is compared with each.
    fn judge(&mut self, task: usize) {
        let answered = self.cells[task].iter().zip(&self.states).enumerate();
        let (models, records): (Vec<usize>, Vec<&[Record]>) = answered
            .filter(|(_, (cell, state))| cell.compared > 0 && !matches!(state, State::Refused(_)))
            .map(|(model, (cell, _))| (model, &cell.records[..cell.compared]))
            .unzip();
        let found = |measured: &Measured| {
            // Metrics that are no sums over questions have none.
            let place = best(&records, Metric::named(&measured.metric)?, &measured.filter).ok()??;
            let Measured { metric, filter, .. } = measured.clone();
            Some(Best { metric, filter, model: models[place] })
        };
        self.bests[task] = self.measures(task).into_iter().filter_map(found).collect();
    }

    /// Questions of a task to each model.
    pub fn questions(&self, task: usize) -> usize {
        let all = self.tasks[task].questions;
        self.limit.map_or(all, |limit| limit.min(all))
    }

    /// Questions answered, and in all, of the models and tasks that go on. A model whose worker died has answered what it will.
    pub fn answered(&self) -> (usize, usize) {
        let (mut done, mut all) = (0, 0);
        for (task, cells) in self.cells.iter().enumerate().filter(|(task, _)| self.broken[*task].is_none()) {
            for (cell, state) in cells.iter().zip(&self.states) {
                let answered = cell.records.len();
                match state {
                    State::Refused(_) => continue,
                    State::Died(_) => all += answered,
                    _ if cell.stuck.is_some() => all += answered,
                    _ => all += self.questions(task),
                }
                done += answered;
            }
        }
        (done, all)
    }

    /// Metrics of a task, by the first model that has any.
    pub fn measures(&self, task: usize) -> Vec<&Measured> {
        let results = self.cells[task].iter().find_map(|cell| cell.results.as_ref());
        results.map(|results| results.measured.iter().collect()).unwrap_or_default()
    }

    /// What a model's answers make for a group, once it answered to each of the group's tasks.
    pub fn grouped(&self, group: &Group, model: usize) -> Option<Results> {
        let members = group.tasks(&self.groups);
        let cells = self.tasks.iter().zip(&self.cells).filter(|(task, _)| members.contains(&task.name));
        let own: Vec<Results> = cells.map(|(_, cells)| cells[model].results.clone()).collect::<Option<_>>()?;
        group.results(&own, &self.groups)
    }

    /// The best model on a task by a metric, if there is one.
    pub fn best(&self, task: usize, measured: &Measured) -> Option<usize> {
        let is_it = |best: &&Best| best.metric == measured.metric && best.filter == measured.filter;
        self.bests[task].iter().find(is_it).map(|best| best.model)
    }

    /// One model against another on a task, by its first metric that can be compared.
    pub fn compared(&self, task: usize, one: usize, other: usize) -> Option<Paired> {
        if one == other {
            return None;
        }
        let [one, other] = [one, other].map(|model| &self.cells[task][model].records);
        let found = |measured: &Measured| paired(one, other, Metric::named(&measured.metric)?, &measured.filter).ok();
        self.measures(task).into_iter().find_map(found).filter(|found| found.questions > 0)
    }
}
