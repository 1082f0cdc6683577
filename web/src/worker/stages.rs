//! The merges before the output's, while they run: what is made of each, and which results may go.

use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::Array;
use merge_studio::model::Folder;
use merge_studio::output::{self, StagePlan, Staged};
use merge_studio::plan::Plan;
use merge_studio::recipe::Recipe;
use web_sys::Blob;

use super::finish::{SmallBlob, small_blobs};
use super::merge::{Around, sources};
use crate::io::WebFile;
use crate::protocol::{MergeError, RunNotice, StageAt};
use crate::wire::words;

/// A merge to begin: a stage's, or the output's.
pub(super) struct Step {
    pub(super) plan: Rc<Plan>,
    /// Where in the store it goes; the output has no place of its own.
    pub(super) place: Option<usize>,
    /// The files beside the weights.
    pub(super) small: Vec<SmallBlob>,
    /// The weight files of its inputs, an array an input.
    pub(super) sources: Array,
    pub(super) notices: Vec<RunNotice>,
    pub(super) around: Around,
}

/// A recipe with stages, being made. It holds on to all that it needs: models may be closed meanwhile.
pub(super) struct Stages {
    /// The stages, and the models and tokenizers of all merges.
    pub(super) staged: Rc<Staged>,
    pub(super) plan: Rc<Plan>,
    pub(super) recipe: Recipe,
    /// Of the models that are there: those that were opened, and the results so far.
    pub(super) folders: Vec<Folder<WebFile>>,
    /// How many stages are made.
    pub(super) made: usize,
}

impl Stages {
    /// What is merged before the output.
    fn before(&self) -> &[StagePlan] {
        &self.staged.stages
    }

    /// Whether the running merge is a stage's.
    pub(super) fn is_stage(&self) -> bool {
        self.made < self.before().len()
    }

    /// The next merge.
    pub(super) fn step(&self) -> Result<Step, MergeError> {
        let plans = self.before().iter().map(|stage| &stage.plan).chain([&*self.plan]);
        let bytes = |plan: &Plan| plan.jobs.iter().map(|job| job.len).sum::<u64>();
        let mut around = Around::default();
        for (number, plan) in plans.enumerate() {
            around.bytes_total += bytes(plan);
            around.tensors_total += plan.jobs.len() as u32;
            if number < self.made {
                around.bytes_before += bytes(plan);
                around.tensors_before += plan.jobs.len() as u32;
            }
        }
        let (plan, small, notices) = if let Some(stage) = self.before().get(self.made) {
            around.stage = Some(StageAt {
                name: stage.name.clone(),
                number: self.made as u32 + 1,
                of: self.before().len() as u32,
            });
            (Rc::new(stage.plan.clone()), stage.small.clone(), stage.small.notices.clone())
        } else {
            let Staged { models, tokenizers, .. } = &*self.staged;
            let made = output::small_files(&self.plan, &self.recipe, models, tokenizers);
            let made = made.map_err(MergeError::Files)?;
            let notices = made.notices.clone();
            (self.plan.clone(), made, notices)
        };
        Ok(Step {
            small: small_blobs(small.files, &plan, &self.folders)?,
            sources: sources(&plan, &self.staged.models, &self.folders),
            place: self.is_stage().then_some(self.made),
            notices: notices.into_iter().map(RunNotice::Files).collect(),
            plan,
            around,
        })
    }

    /// Takes in what the running stage made: its weight files and the files beside them. Gives the places of those results that no
    /// later merge reads.
    pub(super) fn done(&mut self, weights: Vec<Blob>, small: Vec<SmallBlob>) -> Result<Vec<usize>, MergeError> {
        let Some(stage) = self.staged.stages.get(self.made) else { return Ok(Vec::new()) };
        let names = stage.plan.files.iter().map(|file| file.name.clone());
        let mut files = BTreeMap::new();
        for (name, blob) in names.zip(weights).chain(small.into_iter().map(SmallBlob::into_parts)) {
            let file = WebFile::new(blob)
                .map_err(|error| MergeError::SmallFiles { file: name.clone(), why: words(&error) })?;
            files.insert(name, file);
        }
        self.folders.push(Folder { name: stage.name.clone(), files });
        let given = self.folders.len() - 1 - self.made;
        let over = self.until(self.made);
        for number in &over {
            // In memory, they last as long as anything holds them.
            self.folders[given + number].files.clear();
        }
        self.made += 1;
        Ok(over)
    }

    /// The places of the results that the output's own merge read last.
    pub(super) fn until_the_end(&self) -> Vec<usize> {
        self.until(self.before().len())
    }

    /// The stages whose results merge number `merge` reads last.
    fn until(&self, merge: usize) -> Vec<usize> {
        let stages = self.plan.stages.iter().enumerate();
        stages.filter(|(_, stage)| stage.until == merge).map(|(number, _)| number).collect()
    }
}
