//! Everything the desk holds: models and their files, the latest plan, workers, the running merge and what one left.

use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::Array;
use merge_studio::model::tokenizer::TokenizerFiles;
use merge_studio::model::{Folder, Model};
use merge_studio::output::{self, Staged};
use merge_studio::plan::{self, Plan, PlanError, PlanOptions};
use merge_studio::recipe::Recipe;
use merge_studio::run::Limits;
use wasm_bindgen::JsValue;
use web_sys::MessagePort;

use super::finish::{Finished, SmallBlob, small_blobs};
use super::gauge::Gauge;
use super::merge::{Around, Merge, limits, peak_memory, sources};
use super::stages::{Stages, Step};
use crate::io::WebFile;
use crate::protocol::{Event, GpuState, MergeError, ModelId, PlanToken, RunNotice, RunOn};
use crate::wire::{self, ToCompute};

/// A plan that can be run.
pub(super) struct Latest {
    pub(super) token: PlanToken,
    pub(super) recipe: Recipe,
    pub(super) plan: Rc<Plan>,
    /// What is merged before it, with models and tokenizers of its own; none for a recipe without stages.
    pub(super) staged: Option<Rc<Staged>>,
}

/// A compute worker.
pub(super) struct Compute {
    /// Never used twice.
    pub(super) number: u32,
    pub(super) port: MessagePort,
    /// Whether it is the one that tries WebGPU.
    pub(super) gpu: bool,
    /// Which of the result's files it hashes.
    pub(super) hashing: Option<usize>,
}

impl Compute {
    /// Sends it a merge, with the weight files beside it unless they are made up.
    pub(super) fn prepare(&self, merge: u32, plan: &Plan, limits: Limits, gpu: bool, sources: Option<&JsValue>) {
        let message = ToCompute::Prepare { merge, plan: Box::new(plan.clone()), limits, gpu };
        wire::post(&self.port, &message, sources, None);
    }
}

/// What is known of WebGPU.
pub(super) struct Gpu {
    pub(super) state: GpuState,
    /// Whether a probe is under way: its worker listens to nothing until then.
    pub(super) probing: bool,
}

/// Everything the desk holds.
pub(super) struct State {
    pub(super) workers: u32,
    pub(super) ids: Vec<ModelId>,
    pub(super) models: Vec<Model>,
    pub(super) folders: Vec<Folder<WebFile>>,
    /// The tokenizers of those models that a plan wanted to see, by the models' places.
    pub(super) tokenizers: BTreeMap<usize, TokenizerFiles>,
    pub(super) latest: Option<Latest>,
    /// In the order of their numbers.
    pub(super) computes: Vec<Compute>,
    pub(super) gpu: Gpu,
    pub(super) merges: u32,
    pub(super) run_on: RunOn,
    pub(super) merge: Option<Merge>,
    /// What the running merge is one of, if there are stages.
    pub(super) stages: Option<Stages>,
    pub(super) small: Vec<SmallBlob>,
    /// The weight files of the running merge's inputs, an array an input, and the files that workers write to themselves.
    pub(super) files: Array,
    pub(super) finished: Option<Finished>,
    /// How fast this device merges, while it is measured.
    pub(super) gauge: Option<Gauge>,
}

impl State {
    pub(super) fn close(&mut self, id: ModelId) {
        if let Some(at) = self.ids.iter().position(|open| *open == id) {
            self.ids.remove(at);
            self.models.remove(at);
            self.folders.remove(at);
            self.tokenizers.clear();
            // Its indexes no longer hold.
            self.latest = None;
        }
    }

    pub(super) fn plan(
        &mut self,
        token: PlanToken,
        recipe: Recipe,
        binding: &BTreeMap<String, ModelId>,
        mut options: PlanOptions,
    ) -> Event {
        let bound = self.bound(binding);
        if !recipe.stages.is_empty() {
            return self.plan_stages(token, recipe, &bound, &options);
        }
        let inputs: Vec<(String, String)> = plan::input_names(&recipe)
            .into_iter()
            .filter_map(|name| {
                let fingerprint = self.models.get(*bound.get(&name)?)?.fingerprint.clone();
                Some((name, fingerprint))
            })
            .collect();
        options.metadata = output::metadata(&recipe, options.seed, &inputs);
        match plan::plan(&recipe, &self.models, &bound, &self.tokenizers, &options) {
            Ok(plan) => {
                let event = Event::Planned {
                    token,
                    plan: Box::new(plan.clone()),
                    peak_memory: peak_memory(&plan, self.workers),
                };
                self.latest = Some(Latest { token, recipe, plan: Rc::new(plan), staged: None });
                event
            }
            Err(error) => self.unplanned(token, error),
        }
    }

    /// The same for a recipe with stages: all are planned at once.
    fn plan_stages(
        &mut self,
        token: PlanToken,
        recipe: Recipe,
        bound: &BTreeMap<String, usize>,
        options: &PlanOptions,
    ) -> Event {
        let mut staged = match output::plan_all(&recipe, self.models.clone(), bound, self.tokenizers.clone(), options) {
            Ok(staged) => staged,
            Err(error) => return self.unplanned(token, error),
        };
        let plan = std::mem::take(&mut staged.plan);
        let plans = staged.stages.iter().map(|stage| &stage.plan).chain([&plan]);
        let peak_memory = plans.map(|plan| peak_memory(plan, self.workers)).max().unwrap_or(0);
        let event = Event::Planned { token, plan: Box::new(plan.clone()), peak_memory };
        self.latest = Some(Latest { token, recipe, plan: Rc::new(plan), staged: Some(Rc::new(staged)) });
        event
    }

    /// From the recipe's names to places in the lists of models and folders.
    pub(super) fn bound(&self, binding: &BTreeMap<String, ModelId>) -> BTreeMap<String, usize> {
        let index = |id: &ModelId| self.ids.iter().position(|open| open == id);
        let mut bound = BTreeMap::new();
        bound.extend(binding.iter().filter_map(|(name, id)| Some((name.clone(), index(id)?))));
        bound
    }

    pub(super) fn unplanned(&mut self, token: PlanToken, error: PlanError) -> Event {
        self.latest = None;
        Event::PlanFailed { token, error }
    }

    /// The first merge to run. Where there are stages, notes what is needed for the rest.
    pub(super) fn prepare(&mut self, token: PlanToken) -> Result<Step, MergeError> {
        self.stages = None;
        let latest = self.latest.as_ref().filter(|latest| latest.token == token).ok_or(MergeError::StalePlan)?;
        if let Some(staged) = latest.staged.clone() {
            let (plan, recipe) = (latest.plan.clone(), latest.recipe.clone());
            let stages = Stages { staged, plan, recipe, folders: self.folders.clone(), made: 0 };
            let step = stages.step()?;
            self.stages = Some(stages);
            return Ok(step);
        }
        let small = output::small_files(&latest.plan, &latest.recipe, &self.models, &self.tokenizers)
            .map_err(MergeError::Files)?;
        let notices = small.notices.into_iter().map(RunNotice::Files).collect();
        let small = small_blobs(small.files, &latest.plan, &self.folders)?;
        Ok(Step {
            sources: sources(&latest.plan, &self.models, &self.folders),
            around: Around::nothing(&latest.plan),
            plan: latest.plan.clone(),
            place: None,
            small,
            notices,
        })
    }

    /// Sends a worker the running merge, if there is one.
    pub(super) fn prepare_compute(&self, compute: &Compute) {
        let Some(merge) = &self.merge else { return };
        let on_gpu = merge.gpu && compute.gpu;
        let inputs = merge.plan.inputs.len();
        // Beside a GPU the other workers only copy.
        let limits = limits(if on_gpu { 1 } else { self.workers }, inputs);
        // Not from the models: one of them may have been closed meanwhile.
        compute.prepare(merge.number, &merge.plan, limits, on_gpu, Some(&self.files));
    }

    /// A worker is gone; what it was hashing is hashed by another.
    pub(super) fn forget(&mut self, number: u32) {
        let Some(at) = self.computes.iter().position(|compute| compute.number == number) else { return };
        let compute = self.computes.remove(at);
        compute.port.close();
        if let (Some(file), Some(finished)) = (compute.hashing, &mut self.finished) {
            finished.again(file);
        }
    }
}
