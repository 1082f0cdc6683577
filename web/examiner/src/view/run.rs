//! An evaluation as the view knows it: what was asked, what was answered so far, how the models compare.

use js_sys::Date;
use merge_studio_eval::task::{Group, Measured, Record, Results};

use crate::protocol::{Pair, Refusal, Said, TaskInfo, Verdict};

/// Where it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The worker is being started.
    Starting,
    /// A model is being read.
    Loading(usize),
    Asking,
    Done,
    Cancelled,
    /// The worker died: its last words.
    Died(String),
}

/// A model's answers to a task.
#[derive(Clone, Default)]
pub struct Cell {
    pub records: Vec<Record>,
    pub results: Option<Results>,
}

pub struct Run {
    pub models: Vec<String>,
    pub tasks: Vec<TaskInfo>,
    /// Of which some of the tasks may be parts.
    pub groups: Vec<Group>,
    /// Questions of each task.
    pub limit: Option<usize>,
    /// By task, then model.
    pub cells: Vec<Vec<Cell>>,
    /// By task.
    pub verdicts: Vec<Vec<Verdict>>,
    /// Tasks that could not go on: why.
    pub broken: Vec<Option<String>>,
    /// Models that could not be evaluated: why.
    pub refused: Vec<Option<Refusal>>,
    pub stage: Stage,
    /// lm-evaluation-harness's results, by model.
    pub reports: Vec<Option<String>>,
    /// Milliseconds since 1970.
    pub began: f64,
    /// How long it took, when it is over.
    pub seconds: f64,
}

impl Run {
    /// Nothing is answered.
    pub fn new(models: Vec<String>, tasks: Vec<TaskInfo>, groups: Vec<Group>, limit: Option<usize>) -> Self {
        Self {
            cells: vec![vec![Cell::default(); models.len()]; tasks.len()],
            verdicts: vec![Vec::new(); tasks.len()],
            broken: vec![None; tasks.len()],
            refused: vec![None; models.len()],
            models,
            tasks,
            groups,
            limit,
            stage: Stage::Starting,
            reports: Vec::new(),
            began: Date::now(),
            seconds: 0.0,
        }
    }

    pub fn is_going(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Loading(_) | Stage::Asking)
    }

    /// Takes in what the worker says of its work.
    pub fn hear(&mut self, said: Said) {
        match said {
            Said::Loading { model } => self.stage = Stage::Loading(model),
            Said::Refused { model, why } => self.refused[model] = Some(why),
            Said::Broken { task, why } => self.broken[task] = Some(why),
            Said::Answered { model, task, records, results } => {
                self.stage = Stage::Asking;
                let cell = &mut self.cells[task][model];
                cell.records.extend(records);
                cell.results = Some(results);
            }
            Said::Judged { task, verdicts } => self.verdicts[task] = verdicts,
            Said::Tasks(_) | Said::Finished { .. } | Said::Reply { .. } | Said::Died(_) => {}
        }
    }

    /// Questions of a task to each model.
    pub fn questions(&self, task: usize) -> usize {
        let all = self.tasks[task].questions;
        self.limit.map_or(all, |limit| limit.min(all))
    }

    /// Questions answered, and in all, of the models and tasks that go on.
    pub fn answered(&self) -> (usize, usize) {
        let (mut done, mut all) = (0, 0);
        for (task, cells) in self.cells.iter().enumerate().filter(|(task, _)| self.broken[*task].is_none()) {
            for (cell, _) in cells.iter().zip(&self.refused).filter(|(_, refused)| refused.is_none()) {
                done += cell.records.len();
                all += self.questions(task);
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

    /// How the models compare on a task by a metric, if they do.
    pub fn verdict(&self, task: usize, measured: &Measured) -> Option<&Verdict> {
        let is_it = |verdict: &&Verdict| verdict.metric == measured.metric && verdict.filter == measured.filter;
        self.verdicts[task].iter().find(is_it)
    }

    /// Documents that `one` won and lost against `other`, by the task's first metric that can be compared.
    pub fn won_and_lost(&self, task: usize, one: usize, other: usize) -> Option<(&[usize], &[usize])> {
        let verdict = self.verdicts[task].first()?;
        let is_it = |pair: &&Pair| (pair.one, pair.other) == (one, other) || (pair.other, pair.one) == (one, other);
        let pair = verdict.pairs.iter().find(is_it)?;
        Some(if pair.one == one { (&pair.won, &pair.lost) } else { (&pair.lost, &pair.won) })
    }
}
