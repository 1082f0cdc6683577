//! What models have answered before: it is not asked again, however many questions are wanted next.

use merge_studio_eval::task::Record;
use web_sys::File;

use super::Given;
use super::run::Run;

/// Where a task comes from: the files that it was given with, and its place among their tasks. The very same files are the same task.
#[derive(Clone, PartialEq)]
pub struct Source {
    pub files: Vec<File>,
    pub at: usize,
}

/// A model's answers to a task.
struct Entry {
    model: Given,
    source: Source,
    records: Vec<Record>,
}

/// All answers.
#[derive(Default)]
pub struct Known(Vec<Entry>);

impl Known {
    /// Takes an evaluation's answers: its models' and its tasks', in its order.
    pub fn add(&mut self, run: Run, models: &[Given], sources: &[Source]) {
        for (cells, source) in run.cells.into_iter().zip(sources) {
            for (cell, model) in cells.into_iter().zip(models) {
                match self.0.iter_mut().find(|entry| entry.is_of(model, source)) {
                    // Both begin with the first question.
                    Some(entry) if entry.records.len() >= cell.records.len() => {}
                    Some(entry) => entry.records = cell.records,
                    None => self.0.push(Entry { model: model.clone(), source: source.clone(), records: cell.records }),
                }
            }
        }
    }

    /// Forgets the answers of models that are gone, and those to tasks that are.
    pub fn keep(&mut self, models: &[Given], is_there: impl Fn(&Source) -> bool) {
        self.0.retain(|entry| models.iter().any(|model| model.is_same(&entry.model)) && is_there(&entry.source));
    }

    /// A model's answers to a task, from the first question on.
    pub fn of(&self, model: &Given, source: &Source) -> Vec<Record> {
        let found = self.0.iter().find(|entry| entry.is_of(model, source));
        found.map(|entry| entry.records.clone()).unwrap_or_default()
    }
}

impl Entry {
    fn is_of(&self, model: &Given, source: &Source) -> bool {
        self.source == *source && self.model.is_same(model)
    }
}
