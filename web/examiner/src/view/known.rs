//! What models and merges have answered before: it is not asked again, however many questions are wanted next.

use std::cell::RefCell;
use std::rc::Rc;

use merge_studio::recipe::Recipe;
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

/// Who answers.
#[derive(Clone)]
pub enum Subject {
    Model(Given),
    /// A merge in memory: what its recipe says, the seed, and the models that its names stand for.
    Merge {
        recipe: Box<Recipe>,
        seed: u64,
        inputs: Vec<(String, Given)>,
    },
}

impl Subject {
    /// Whether it is the very same.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Model(one), Self::Model(other)) => one.is_same(other),
            (
                Self::Merge { recipe, seed, inputs },
                Self::Merge { recipe: other_recipe, seed: other_seed, inputs: others },
            ) => {
                let mut pairs = inputs.iter().zip(others);
                (recipe, seed, inputs.len()) == (other_recipe, other_seed, others.len())
                    && pairs.all(|((name, one), (other_name, other))| name == other_name && one.is_same(other))
            }
            _ => false,
        }
    }

    /// Whether all that it is made of is there.
    fn is_among(&self, models: &[Given]) -> bool {
        let is_there = |wanted: &Given| models.iter().any(|model| model.is_same(wanted));
        match self {
            Self::Model(model) => is_there(model),
            Self::Merge { inputs, .. } => inputs.iter().all(|(_, model)| is_there(model)),
        }
    }
}

/// Somebody's answers to a task.
struct Entry {
    subject: Subject,
    source: Source,
    records: Vec<Record>,
}

/// All answers, wherever they were given: each copy knows what the others do.
#[derive(Clone, Default)]
pub struct Known(Rc<RefCell<Vec<Entry>>>);

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Known {
    /// Takes an evaluation's answers.
    pub fn add(&self, run: Run) {
        let mut known = self.0.borrow_mut();
        for (cells, source) in run.cells.into_iter().zip(&run.sources) {
            for (cell, subject) in cells.into_iter().zip(&run.subjects) {
                match known.iter_mut().find(|entry| entry.is_of(subject, source)) {
                    // Both begin with the first question.
                    Some(entry) if entry.records.len() >= cell.records.len() => {}
                    Some(entry) => entry.records = cell.records,
                    None => {
                        let (subject, source) = (subject.clone(), source.clone());
                        known.push(Entry { subject, source, records: cell.records });
                    }
                }
            }
        }
    }

    /// Forgets the answers of models that are gone, and those to tasks that are.
    pub fn keep(&self, models: &[Given], is_there: impl Fn(&Source) -> bool) {
        self.0.borrow_mut().retain(|entry| entry.subject.is_among(models) && is_there(&entry.source));
    }

    /// Somebody's answers to each of these tasks, from the first question on.
    pub fn of(&self, subject: &Subject, sources: &[Source]) -> Vec<Vec<Record>> {
        let known = self.0.borrow();
        let records = |source| {
            let found = known.iter().find(|entry| entry.is_of(subject, source));
            found.map(|entry| entry.records.clone()).unwrap_or_default()
        };
        sources.iter().map(records).collect()
    }
}

impl Entry {
    fn is_of(&self, subject: &Subject, source: &Source) -> bool {
        self.source == *source && self.subject.is_same(subject)
    }
}
