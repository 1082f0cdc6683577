//! Recipes of several documents, as a plan knows them: what is merged before it, and which of its inputs that makes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Plan, PlannedInput, groups};
use crate::recipe::{Recipe, model_path, split_adapter};

/// A merge whose result is an input of a later one. It is kept until the last of those is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// Its name in the recipe.
    pub name: String,
    /// The method's id.
    pub method: String,
    /// Its inputs, in recipe order.
    pub inputs: Vec<PlannedInput>,
    /// What stands for the fingerprint of its result: SHA-256 over its recipe, the seed and its inputs' fingerprints.
    pub fingerprint: String,
    /// How many tensors it makes.
    pub tensors: usize,
    /// Bytes of its weight files.
    pub len: u64,
    /// The last merge that reads it: the number of a stage (from 0), or the number of stages for the output's own merge.
    pub until: usize,
}

impl Plan {
    /// The stage that the input called `name` is the result of.
    pub fn stage_of(&self, name: &str) -> Option<&PlannedStage> {
        self.stages.iter().find(|stage| stage.name == model_path(name))
    }

    /// The models that the plan and its stages are made from, each once: all inputs but the stages' results.
    pub fn models(&self) -> Vec<&PlannedInput> {
        let mut models: Vec<&PlannedInput> = Vec::new();
        for input in self.stages.iter().flat_map(|stage| &stage.inputs).chain(&self.inputs) {
            if self.stage_of(&input.name).is_none() && models.iter().all(|known| known.name != input.name) {
                models.push(input);
            }
        }
        models
    }

    /// The most bytes of stages' results that are kept at one time, beside the output.
    pub fn kept_at_most(&self) -> u64 {
        (0..=self.stages.len()).map(|at| self.kept_during(at)).max().unwrap_or(0)
    }

    /// The most bytes of weight files that are there at one time: stages' results, and at the end the output.
    pub fn disk_at_most(&self) -> u64 {
        let output = self.files.iter().map(|file| file.len).fold(0, u64::saturating_add);
        self.kept_at_most().max(self.kept_during(self.stages.len()).saturating_add(output))
    }

    /// Bytes of stages' results while merge number `at` runs, what it makes itself among them.
    fn kept_during(&self, at: usize) -> u64 {
        let there = self.stages.iter().enumerate().filter(|(made, stage)| *made <= at && at <= stage.until);
        there.map(|(_, stage)| stage.len).fold(0, u64::saturating_add)
    }
}

/// For every name by which `recipe` or one of its stages calls a stage's result: `first` and the number of that stage.
pub fn stage_binding(recipe: &Recipe, first: usize) -> BTreeMap<String, usize> {
    let mut binding = BTreeMap::new();
    for name in recipe.stages.iter().map(|stage| &stage.recipe).chain([recipe]).flat_map(groups::merged_names) {
        if let Some(stage) = recipe.stage_of(&name) {
            binding.insert(split_adapter(&name).0.to_owned(), first + stage);
        }
    }
    binding
}

/// The last merge that reads the result of stage number `stage` of `recipe`.
pub fn last_use(recipe: &Recipe, stage: usize) -> usize {
    let uses = |merge: &Recipe| groups::merged_names(merge).iter().any(|name| recipe.stage_of(name) == Some(stage));
    let later = recipe.stages.iter().rposition(|later| uses(&later.recipe));
    if uses(recipe) { recipe.stages.len() } else { later.unwrap_or(stage) }
}
