//! The page's state, and everything that changes it: plain data and one reducer, tested without a browser.
//!
//! The truth about the recipe is its text. The form is a view on it: its edits are written back as text, and checked again.

use std::collections::BTreeMap;
use std::rc::Rc;

use merge_studio::format::retain;
use merge_studio::model::Model;
use merge_studio::output::gguf::GgufType;
use merge_studio::plan::{self, Plan, PlanError, PlanOptions};
use merge_studio::recipe::{
    self, Checked, Link, LinkError, LinkInput, MethodInfo, Problem, Recipe, Repair, Severity, split_adapter,
};
use serde::{Deserialize, Serialize};

use super::agreement::{self, Agreement};
use super::binding::{self, Bound, Question};
use super::edit::{self, Edit};
use super::gauging::Gauging;
use super::merging::{Gguf, Merging, Outcome, Started};
use crate::protocol::{Event, GpuState, ModelId, OpenError, PlanToken, RunOn, Storage};

/// Everything that the page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// What methods there are.
    pub methods: Rc<Vec<MethodInfo>>,
    /// The models, in the order in which they were given.
    pub models: Vec<Loaded>,
    /// Names of models that were here before a reload and are not here now.
    pub missed: Vec<String>,
    /// The recipe's text.
    pub text: String,
    /// What the linter says of it.
    pub checked: Rc<Checked>,
    /// What the form shows: the recipe as read, or, after a form edit that left it incomplete, as edited.
    pub form: Option<Rc<Recipe>>,
    /// Whether the last form edit removed comments from the text.
    pub comments_lost: bool,
    /// What became of a text that was pasted or opened.
    pub repair: Option<Repaired>,
    /// Which view of the recipe is open.
    pub tab: Tab,
    /// The person's choices of models for names.
    pub chosen: BTreeMap<String, String>,
    /// Where to merge.
    pub run_on: RunOn,
    /// Seed of the random methods.
    pub seed: u64,
    /// Where results are kept, once known.
    pub storage: Option<Storage>,
    /// CPU workers; 0 until known.
    pub cpu_workers: u32,
    /// What is known of WebGPU.
    pub gpu: GpuState,
    /// What will happen.
    pub planning: Planning,
    /// What happens, and what came of it.
    pub merging: Merging,
    /// The type of a GGUF file's matrices; `None` for that of the merge.
    pub gguf_type: Option<GgufType>,
    /// How fast this device merges, in a view of its own; `None` while that is closed.
    pub gauge: Option<Gauging>,
    /// Whether the clipboard took its results, once they were to be copied.
    pub gauge_copied: Option<bool>,
    /// The link that the page was opened with.
    pub link: Option<Opened>,
    /// What went wrong beside all this, newest last.
    pub alerts: Vec<Alert>,
}

/// A model in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The desk's name for it.
    pub id: ModelId,
    /// What it is called; unique in the list.
    pub name: String,
    /// How far it is.
    pub state: Opening,
}

impl Loaded {
    /// Whether it is a LoRA adapter and no model by itself.
    pub fn is_adapter(&self) -> bool {
        matches!(&self.state, Opening::Open(model) if model.adapter.is_some())
    }
}

/// How many layers models have, by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depths(Vec<(String, u64)>);

impl Depths {
    /// That of the model that a recipe calls `name`, with an adapter or without; `None` where it is not known.
    pub fn of(&self, name: &str) -> Option<u64> {
        let own = split_adapter(name).0;
        self.0.iter().find(|(name, _)| name == own).map(|(_, depth)| *depth)
    }
}

/// How far a model is.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening {
    /// Its headers are being read.
    Reading,
    /// It is open.
    Open(Rc<Model>),
    /// It could not be opened.
    Failed(OpenError),
}

/// The two views of a recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Tab {
    #[default]
    Form,
    Yaml,
}

/// What became of a text that was pasted or opened and did not read well.
#[derive(Clone, Debug, PartialEq)]
pub enum Repaired {
    /// It was repaired; `before` is what it was.
    Done {
        /// The text as it came.
        before: String,
        /// What was done.
        notes: Vec<String>,
    },
    /// It could not be repaired without guessing: why.
    Refused(String),
}

/// What will happen when the person presses Merge.
#[derive(Clone, Debug, PartialEq)]
pub enum Planning {
    /// Something is missing first: see [`State::missing`].
    Nothing,
    /// The desk is at it.
    Waiting(PlanToken),
    /// It is known.
    Ready {
        /// The desk's name for it.
        token: PlanToken,
        /// The plan.
        plan: Rc<Plan>,
        /// Bytes that the workers will allocate at most, together.
        peak_memory: u64,
    },
    /// The engine refuses: why.
    Refused(Rc<PlanError>),
}

/// A link that was opened, and what stood in the page before.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// What it carries, or why it could not be read.
    pub link: Result<Link, LinkError>,
    /// Recipe and seed before, to go back to.
    pub before: Option<(String, u64)>,
}

/// Something that went wrong beside a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alert {
    /// A worker died of a fault of ours: its message.
    Crashed(String),
    /// The demo models could not be fetched: which file.
    DemoUnreachable(String),
    /// What was dropped or chosen holds no safetensors file.
    NoWeights,
    /// A file that was opened as a recipe is not text.
    NotText(String),
}

/// What is still missing before a merge, in the order in which a person would do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No model is loaded.
    Models,
    /// There is no recipe.
    Recipe,
    /// The recipe has this many errors.
    Errors(usize),
    /// These names stand for no model.
    Unbound(Vec<String>),
    /// These models are still being read or could not be.
    Unread(Vec<String>),
}

/// What a reload brings back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Saved {
    pub text: String,
    pub seed: u64,
    pub run_on: RunOn,
    pub tab: Tab,
    pub chosen: BTreeMap<String, String>,
    pub models: Vec<String>,
}

/// What the desk is asked to plan.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Wanted {
    pub recipe: Recipe,
    pub binding: BTreeMap<String, ModelId>,
    pub options: PlanOptions,
}

/// Everything that can happen to the state.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Action {
    Opening {
        id: ModelId,
        name: String,
    },
    Remove(ModelId),
    Heard(Event),
    /// Typed in the editor.
    Typed(String),
    /// Pasted, opened or an example: worth a repair.
    Given(String),
    UndoRepair,
    DismissRepair,
    Edit(Edit),
    /// The fix of the problem at this index.
    Fix(usize),
    Show(Tab),
    Choose {
        name: String,
        model: Option<String>,
    },
    RunOn(RunOn),
    Seed(u64),
    /// A plan was asked for, or (without a token) can't be.
    Asked(Option<PlanToken>),
    Merge,
    Cancel,
    Discard,
    /// Which type a GGUF file is to be of.
    GgufType(Option<GgufType>),
    /// The result as a GGUF file: it is written, unless there is one.
    Gguf,
    /// It is no longer wanted.
    CancelGguf,
    /// The view of how fast this device merges, open or not; what was measured is gone with it.
    ShowGauge(bool),
    /// Measure it.
    Gauge,
    /// No longer.
    StopGauge,
    /// Its results were to be copied; whether the clipboard took them.
    GaugeCopied(bool),
    OpenLink(Result<Link, LinkError>),
    LeaveLink,
    KeepLink,
    Alert(Alert),
    Dismiss(usize),
}

impl State {
    /// The state of a page that was just opened, with what a reload brings back.
    pub fn new(methods: Vec<MethodInfo>, saved: Saved) -> Self {
        let mut state = Self {
            methods: Rc::new(methods),
            models: Vec::new(),
            missed: saved.models,
            text: String::new(),
            checked: Rc::new(Checked { recipe: None, problems: Vec::new() }),
            form: None,
            comments_lost: false,
            repair: None,
            tab: saved.tab,
            chosen: saved.chosen,
            run_on: saved.run_on,
            seed: saved.seed,
            storage: None,
            cpu_workers: 0,
            gpu: GpuState::Probing,
            planning: Planning::Nothing,
            merging: Merging::Idle,
            gguf_type: None,
            gauge: None,
            gauge_copied: None,
            link: None,
            alerts: Vec::new(),
        };
        state.set_text(saved.text);
        state
    }

    /// Lets `action` happen.
    pub fn apply(&mut self, action: Action) {
        match action {
            Action::Opening { id, name } => {
                self.missed.retain(|missed| *missed != name);
                self.models.push(Loaded { id, name, state: Opening::Reading });
            }
            Action::Remove(id) => self.models.retain(|model| model.id != id),
            Action::Heard(event) => self.hear(event),
            Action::Typed(text) => self.set_text(text),
            Action::Given(text) => self.give(text),
            Action::UndoRepair => {
                if let Some(Repaired::Done { before, .. }) = self.repair.take() {
                    self.set_text(before);
                }
            }
            Action::DismissRepair => self.repair = None,
            Action::Edit(edit) => self.edit(edit),
            Action::Fix(at) => {
                let fix = self.checked.problems.get(at).and_then(|problem| problem.fix.clone());
                if let Some(fix) = fix {
                    self.set_text(fix.apply(&self.text));
                }
            }
            Action::Show(tab) => self.tab = tab,
            Action::Choose { name, model: Some(model) } => drop(self.chosen.insert(name, model)),
            Action::Choose { name, model: None } => retain(&mut self.chosen, &mut |chosen, _| *chosen != name),
            Action::RunOn(run_on) => self.run_on = run_on,
            Action::Seed(seed) => self.seed = seed,
            Action::Asked(token) => self.planning = token.map_or(Planning::Nothing, Planning::Waiting),
            Action::Merge => self.start(),
            Action::Cancel => self.merging.cancel(),
            Action::Discard => self.merging = Merging::Idle,
            // The file of the type before stays until another is written: the browser may still be saving it.
            Action::GgufType(dtype) => {
                self.gguf_type = dtype;
                self.merging.set_gguf(Gguf::None);
            }
            Action::Gguf if matches!(self.merging.gguf(), Gguf::Done(_)) => {}
            Action::Gguf => self.merging.set_gguf(Gguf::Writing(0, None)),
            Action::CancelGguf => self.merging.set_gguf(Gguf::None),
            Action::ShowGauge(open) => (self.gauge, self.gauge_copied) = (open.then(Gauging::default), None),
            Action::Gauge => (self.gauge, self.gauge_copied) = (Some(Gauging::begun()), None),
            Action::GaugeCopied(taken) => self.gauge_copied = Some(taken),
            Action::StopGauge => self.gauge.iter_mut().for_each(Gauging::cancel),
            Action::OpenLink(link) => self.open_link(link),
            Action::LeaveLink => {
                if let Some((text, seed)) = self.link.take().and_then(|opened| opened.before) {
                    self.seed = seed;
                    self.set_text(text);
                }
            }
            Action::KeepLink => self.link = None,
            Action::Alert(alert) => {
                self.alerts.retain(|each| *each != alert);
                self.alerts.push(alert);
            }
            Action::Dismiss(at) if at < self.alerts.len() => drop(self.alerts.remove(at)),
            Action::Dismiss(_) => {}
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Ready { storage } => self.storage = Some(storage),
            Event::Workers { cpu, gpu } => (self.cpu_workers, self.gpu) = (cpu, gpu),
            Event::Opened { id, model } => self.opened(id, Opening::Open(Rc::new(*model))),
            Event::OpenFailed { id, error } => self.opened(id, Opening::Failed(error)),
            Event::Planned { token, plan, peak_memory } if self.planning == Planning::Waiting(token) => {
                self.planning = Planning::Ready { token, plan: Rc::new(*plan), peak_memory };
            }
            Event::PlanFailed { token, error } if self.planning == Planning::Waiting(token) => {
                self.planning = Planning::Refused(Rc::new(error));
            }
            Event::Planned { .. } | Event::PlanFailed { .. } => {}
            Event::Crashed { message } => self.apply(Action::Alert(Alert::Crashed(message))),
            Event::Gauge { gauged, .. } => {
                if let Some(gauge) = &mut self.gauge {
                    gauge.hear(gauged);
                }
            }
            event => self.merging.hear(event),
        }
    }

    fn opened(&mut self, id: ModelId, to: Opening) {
        if let Some(model) = self.models.iter_mut().find(|model| model.id == id) {
            model.state = to;
        }
    }

    /// The text changes: everything that is read from it does.
    fn set_text(&mut self, text: String) {
        let blank = text.trim().is_empty();
        let nothing = || Checked { recipe: None, problems: Vec::new() };
        let checked = if blank { nothing() } else { recipe::check(&text, &self.methods) };
        self.form = if blank { Some(Rc::default()) } else { checked.recipe.clone().map(Rc::new) };
        self.checked = Rc::new(checked);
        self.text = text;
        self.comments_lost = false;
    }

    fn give(&mut self, text: String) {
        self.repair = None;
        match recipe::repair(&text, &self.methods) {
            Repair::NotNeeded => self.set_text(text),
            Repair::Repaired { text: repaired, notes } => {
                self.repair =
                    Some(Repaired::Done { before: text, notes: notes.iter().map(ToString::to_string).collect() });
                self.set_text(repaired);
            }
            Repair::Refused(reason) => {
                self.set_text(text);
                // Where every error has a button of its own, there is no more to say.
                let is_open = |problem: &Problem| problem.severity == Severity::Error && problem.fix.is_none();
                if self.checked.problems.iter().any(is_open) {
                    self.repair = Some(Repaired::Refused(reason.to_string()));
                }
            }
        }
    }

    fn edit(&mut self, edit: Edit) {
        let Some(form) = &self.form else { return };
        let fresh = edit::names(form).is_empty();
        let edited = match &edit {
            Edit::Method(id) if fresh => match self.methods.iter().find(|info| info.id == id) {
                Some(info) => edit::start(info, &self.whole_models(), &self.methods),
                None => edit::apply(form, edit, &self.methods),
            },
            _ => edit::apply(form, edit, &self.methods),
        };
        let had_comments = self.comments_lost || has_comment(&self.text);
        self.set_text(recipe::write(&edited));
        // An edit may leave the recipe incomplete for a while (no model yet): the form goes on from what it has.
        self.form = Some(Rc::new(edited));
        self.comments_lost = had_comments;
        self.repair = None;
    }

    fn open_link(&mut self, link: Result<Link, LinkError>) {
        let mut before = None;
        if let Ok(link) = &link {
            let same = self.text == link.recipe && self.seed == link.seed;
            before = (!same && !self.text.trim().is_empty()).then(|| (self.text.clone(), self.seed));
            self.repair = None;
            self.seed = link.seed;
            self.set_text(link.recipe.clone());
        }
        self.link = Some(Opened { link, before });
    }

    fn start(&mut self) {
        let Planning::Ready { plan, .. } = &self.planning else { return };
        let started = Started { plan: plan.clone(), recipe: self.text.clone(), seed: self.seed };
        self.merging = Merging::start(started);
    }

    /// The names of the loaded models.
    pub fn names(&self) -> Vec<&str> {
        self.models.iter().map(|model| model.name.as_str()).collect()
    }

    /// Those of them that are models by themselves.
    pub fn whole_models(&self) -> Vec<&str> {
        self.models.iter().filter(|model| !model.is_adapter()).map(|model| model.name.as_str()).collect()
    }

    /// Those that are adapters.
    pub fn adapters(&self) -> Vec<&str> {
        self.models.iter().filter(|model| model.is_adapter()).map(|model| model.name.as_str()).collect()
    }

    /// How many layers the models have, by the names that loaded models and the recipe have for them.
    pub fn depths(&self) -> Depths {
        let depth = |model: &Loaded| match &model.state {
            Opening::Open(model) if model.adapter.is_none() => Some(model.layers()),
            _ => None,
        };
        let loaded = self.models.iter().filter_map(|model| Some((model.name.clone(), depth(model)?)));
        let bound = self.bound().into_iter().filter_map(|bound| {
            let (model, _) = bound.model?;
            Some((bound.name, depth(&self.models[model])?))
        });
        Depths(loaded.chain(bound).collect())
    }

    /// `name`, or with a number behind it where a model is called so already.
    pub fn free_name(&self, name: &str) -> String {
        let taken = |name: &str| self.models.iter().any(|model| model.name == name);
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Which model stands for each name of the recipe.
    pub fn bound(&self) -> Vec<Bound> {
        let Some(form) = &self.form else { return Vec::new() };
        let names = plan::input_names(form);
        let adapters: Vec<&str> = edit::names(form).into_iter().filter_map(|name| split_adapter(name).1).collect();
        let models: Vec<(&str, bool)> =
            self.models.iter().map(|model| (model.name.as_str(), model.is_adapter())).collect();
        let base = form.base_model.as_deref().map(|base| split_adapter(base).0);
        binding::bind(&Question { names: &names, adapters: &adapters, base, models: &models }, &self.chosen)
    }

    /// How many of the problems stop the merge.
    pub fn errors(&self) -> usize {
        self.checked.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// What is still missing before a plan can be made.
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if self.models.is_empty() {
            missing.push(Missing::Models);
        }
        if self.text.trim().is_empty() {
            missing.push(Missing::Recipe);
        } else if self.errors() > 0 {
            missing.push(Missing::Errors(self.errors()));
        } else if !self.models.is_empty() {
            let bound = self.bound();
            let unbound = bound.iter().filter(|bound| bound.model.is_none()).map(|bound| bound.name.clone());
            let unbound: Vec<String> = unbound.collect();
            if !unbound.is_empty() {
                missing.push(Missing::Unbound(unbound));
            }
            let used = bound.iter().filter_map(|bound| bound.model).map(|(model, _)| &self.models[model]);
            let unread = used.filter(|model| !matches!(model.state, Opening::Open(_))).map(|model| model.name.clone());
            let unread: Vec<String> = unread.collect();
            if !unread.is_empty() {
                missing.push(Missing::Unread(unread));
            }
        }
        missing
    }

    /// What the desk should plan now, if anything can be.
    pub fn wanted(&self) -> Option<Wanted> {
        if !self.missing().is_empty() {
            return None;
        }
        let recipe = self.checked.recipe.clone()?;
        let id = |bound: Bound| bound.model.map(|(model, _)| (bound.name, self.models[model].id));
        let mut binding = BTreeMap::new();
        binding.extend(self.bound().into_iter().filter_map(id));
        Some(Wanted { recipe, binding, options: PlanOptions { seed: self.seed, ..PlanOptions::default() } })
    }

    /// What a reload should bring back. While a link is open and unchanged, that is still what stood here before it.
    pub fn saved(&self) -> Saved {
        let linked = self.link.as_ref().and_then(|opened| opened.link.as_ref().ok().zip(opened.before.as_ref()));
        let (text, seed) = match linked {
            Some((link, before)) if link.recipe == self.text && link.seed == self.seed => before.clone(),
            _ => (self.text.clone(), self.seed),
        };
        let loaded = self.models.iter().map(|model| model.name.clone());
        let models = loaded.chain(self.missed.iter().cloned()).collect();
        Saved { text, seed, run_on: self.run_on, tab: self.tab, chosen: self.chosen.clone(), models }
    }

    /// For each input of the opened link, whether the model that stands for it is the one meant.
    pub fn agreements(&self) -> Vec<(String, Agreement)> {
        let Some(Opened { link: Ok(link), .. }) = &self.link else { return Vec::new() };
        let fingerprint = |model: &'_ Loaded| match &model.state {
            Opening::Open(model) => Some(model.fingerprint.clone()),
            _ => None,
        };
        let fingerprints: Vec<Option<String>> = self.models.iter().map(fingerprint).collect();
        let fingerprints: Vec<Option<&str>> = fingerprints.iter().map(Option::as_deref).collect();
        agreement::of_inputs(link, &self.bound(), &fingerprints)
    }

    /// Whether a merge is running.
    pub fn is_merging(&self) -> bool {
        matches!(self.merging, Merging::Running { .. })
    }
}

/// The link that reproduces `outcome`.
pub fn link_to(outcome: &Outcome) -> Link {
    let Started { plan, recipe, seed } = &outcome.started;
    let input = |(name, fingerprint): (&str, &str)| LinkInput {
        name: name.to_owned(),
        fingerprint: Some(fingerprint.to_owned()),
    };
    let inputs = plan.folders().into_iter().map(input).collect();
    Link { recipe: recipe.clone(), seed: *seed, inputs, output: outcome.output.clone() }
}

/// Whether a line of the text holds a comment. A `#` inside quotation marks may be taken for one: then the form warns in vain.
fn has_comment(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with('#') || line.contains(" #"))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
