//! The Evaluate view: what to ask whom, the table of results, the questions one by one, and what to do next.

mod ask;
mod crew;
mod examiner;
mod further;
mod known;
mod questions;
mod run;
mod setup;
mod sweep;
mod table;
mod words;

use std::cell::RefCell;
use std::collections::BTreeSet;

use js_sys::{Array, Function, Promise};
use merge_studio_web::ui::{files, progress};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, File, HtmlElement, Response};
use yew::prelude::*;

use crate::protocol::{Batches, Candidate, ModelFiles, Opened, OpenedBatch, Order, Questions, Said, TaskInfo};
use examiner::Examiner;
use known::{Known, Source, Subject};
use run::{Asked, Run};
use sweep::{PageRecipe, Sweep};

/// Beside the page's own style sheets, which everybody loads.
const STYLE: &str = include_str!("view/style.css");
/// The demo models' own tasks, beside the page.
const DEMO_FOLDER: &str = "demo";
const DEMO_TASKS: [&str; 3] = ["reverse.jsonl", "sort.jsonl", "upper.jsonl"];
/// A model of which the demo models' tasks are asked.
const DEMO_MODEL: &str = "demo-base";
/// Weights on disk are mostly of 16 bits; models compute in 32.
const WIDENED: u64 = 2;

thread_local! {
    static APP: RefCell<Option<yew::AppHandle<View>>> = const { RefCell::new(None) };
}

/// Puts the view into `host`, or tells it of other models, or another recipe.
pub fn show(host: HtmlElement, models: &Array, recipe: &Array, set_recipe: Function) {
    let models = models.iter().filter_map(|model| given(&model.unchecked_into())).collect();
    APP.with_borrow_mut(|app| {
        let app = app.get_or_insert_with(|| {
            host.set_text_content(None);
            yew::Renderer::<View>::with_root(host.into()).render()
        });
        app.send_message(Msg::Models(models));
        app.send_message(Msg::Recipe(PageRecipe::read(recipe, set_recipe)));
    });
}

/// Gives it files: tasks.
pub fn take(given: &Array) {
    let files = given.iter().map(JsCast::unchecked_into).collect();
    APP.with_borrow(|app| {
        if let Some(app) = app {
            app.send_message(Msg::Files(files));
        }
    });
}

fn given(model: &Array) -> Option<Given> {
    let paths: Array = model.get(1).unchecked_into();
    Some(Given {
        files: ModelFiles {
            name: model.get(0).as_string()?,
            paths: paths.iter().filter_map(|path| path.as_string()).collect(),
        },
        blobs: model.get(2).unchecked_into(),
    })
}

/// A model that the page has.
#[derive(Clone, PartialEq)]
pub struct Given {
    files: ModelFiles,
    blobs: Array,
}

impl Given {
    /// Whether it is the very same model.
    fn is_same(&self, other: &Self) -> bool {
        let (own, others) = (&self.blobs, &other.blobs);
        let same_blobs =
            own.length() == others.length() && own.iter().zip(others.iter()).all(|(one, other)| one == other);
        self.files == other.files && same_blobs
    }

    /// Bytes that it takes where it answers, about.
    fn memory(&self) -> u64 {
        let files = self.files.paths.iter().zip(self.blobs.iter());
        let weights = files.filter(|(path, _)| path.ends_with(".safetensors"));
        weights.map(|(_, blob)| blob.unchecked_into::<Blob>().size() as u64 * WIDENED).sum()
    }
}

/// Task files that were given together.
pub struct Batch {
    files: Vec<File>,
    /// What they are, once it is known.
    opened: Option<OpenedBatch>,
}

/// What the view is told.
pub enum Msg {
    /// These models are there.
    Models(Vec<Given>),
    /// This is the page's recipe.
    Recipe(Option<PageRecipe>),
    /// Task files were given.
    Files(Vec<File>),
    /// The demo models' tasks came, or which did not.
    Demo(Result<Vec<File>, &'static str>),
    /// A model takes part, or no longer does.
    Model(String),
    /// A task does.
    Task(String),
    /// A file of this batch is no longer wanted.
    Remove(usize, String),
    /// How many questions of each task; `None` for all.
    Limit(Option<usize>),
    Start,
    Cancel,
    /// The worker that reads task files.
    Read(Said),
    /// A worker that asks, by its number.
    Heard(u32, Said),
    /// A task's questions are wanted, or no longer.
    Show(usize),
    /// They are to be those of two other models.
    Compare(usize, usize),
    /// They are to be those that were won, lost, or all.
    Which(questions::Which),
    /// More of them.
    More,
    /// The results are wanted as files.
    Save,
    /// A sweep begins, or is over.
    Sweeping(bool),
}

/// The view.
pub struct View {
    models: Vec<Given>,
    /// Names of models that take no part.
    models_out: BTreeSet<String>,
    recipe: Option<PageRecipe>,
    batches: Vec<Batch>,
    /// Names of tasks that take no part.
    tasks_out: BTreeSet<String>,
    limit: Option<usize>,
    demo: Demo,
    /// Reads task files.
    reader: Option<Examiner>,
    run: Option<Run>,
    /// What was answered before, here and in sweeps.
    known: Known,
    shown: Option<questions::Shown>,
    is_sweeping: bool,
}

/// The demo models' own tasks.
#[derive(Clone, Copy, PartialEq)]
enum Demo {
    /// They were not wanted so far.
    Not,
    /// They are fetched, or were.
    Wanted,
    /// This one could not be had.
    Lacks(&'static str),
}

impl Component for View {
    type Message = Msg;
    type Properties = ();

    fn create(_: &Context<Self>) -> Self {
        Self {
            models: Vec::new(),
            models_out: BTreeSet::new(),
            recipe: None,
            batches: Vec::new(),
            tasks_out: BTreeSet::new(),
            limit: Some(50),
            demo: Demo::Not,
            reader: None,
            run: None,
            known: Known::default(),
            shown: None,
            is_sweeping: false,
        }
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Self::Message) -> bool {
        match msg {
            Msg::Models(models) => return self.take_models(ctx, models),
            Msg::Recipe(recipe) if self.recipe == recipe => return false,
            Msg::Recipe(recipe) => self.recipe = recipe,
            Msg::Files(files) | Msg::Demo(Ok(files)) => self.add(ctx, files),
            Msg::Demo(Err(file)) => self.demo = Demo::Lacks(file),
            Msg::Model(name) => toggle(&mut self.models_out, name),
            Msg::Task(name) => toggle(&mut self.tasks_out, name),
            Msg::Remove(batch, file) => {
                self.remove(batch, &file);
                self.read(ctx);
            }
            Msg::Limit(limit) => self.limit = limit,
            Msg::Sweeping(is_sweeping) => self.is_sweeping = is_sweeping,
            Msg::Start => self.start(ctx),
            Msg::Cancel => {
                if let Some(run) = &mut self.run {
                    run.cancel();
                }
            }
            Msg::Read(Said::Tasks(opened)) => {
                self.reader = None;
                for (batch, opened) in self.batches.iter_mut().zip(opened) {
                    batch.opened = Some(opened);
                }
                self.tell_apart();
            }
            Msg::Read(Said::Died(why)) => {
                self.reader = None;
                let unread = |file: &File| Opened { file: file.name(), task: Err(why.clone()) };
                for batch in self.batches.iter_mut().filter(|batch| batch.opened.is_none()) {
                    batch.opened =
                        Some(OpenedBatch { files: batch.files.iter().map(unread).collect(), groups: Vec::new() });
                }
            }
            Msg::Heard(worker, said) => return self.run.as_mut().is_some_and(|run| run.hear(worker, said)),
            Msg::Read(_) => return false,
            Msg::Show(task) => {
                let is_shown = self.shown.as_ref().is_some_and(|shown| shown.task == task);
                self.shown = self.run.as_ref().filter(|_| !is_shown).map(|run| questions::Shown::new(run, task));
            }
            Msg::Compare(one, other) => {
                if let Some(shown) = &mut self.shown {
                    (shown.one, shown.other) = (one, other);
                }
            }
            Msg::Which(which) => {
                if let Some(shown) = &mut self.shown {
                    shown.which = which;
                }
            }
            Msg::More => {
                if let Some(shown) = &mut self.shown {
                    shown.count += questions::PAGE;
                }
            }
            Msg::Save => {
                if let Some(run) = &self.run {
                    further::save(run);
                }
                return false;
            }
        }
        true
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let link = ctx.link();
        html! {
            <>
                <style>{ STYLE }</style>
                <section class="pane evaluate" aria-labelledby="evaluate-title">
                    <div class="evaluate-setup">
                        <h2 id="evaluate-title">{ words::REGION }</h2>
                        { setup::setup(self, link) }
                    </div>
                    <div class="evaluate-results">
                        <p class="status" role="status">{ self.run.as_ref().map(words::stage) }</p>
                        if let Some(run) = self.run.as_ref().filter(|run| run.is_going()) {
                            { progress_view(run) }
                        }
                        if let Some(run) = &self.run {
                            { table::table(run, self.shown.as_ref(), link) }
                            if let Some(shown) = &self.shown {
                                { questions::questions(run, shown, link) }
                            }
                            { further::further(run, link) }
                        } else {
                            <p class="teach">{ words::TEACH }</p>
                        }
                    </div>
                </section>
                <Sweep page={self.recipe.clone()} models={self.models.clone()} asked={self.asked()} known={self.known.clone()}
                    busy={self.is_going()} ongoing={link.callback(Msg::Sweeping)} />
                <ask::Ask models={self.models.clone()} busy={self.is_sweeping || self.is_going()} />
            </>
        }
    }
}

fn progress_view(run: &Run) -> Html {
    let (done, all) = run.answered();
    let percent = if all == 0 { 0.0 } else { done as f64 / all as f64 * 100.0 };
    let of = words::answered(done, all);
    html! {
        <div class="progress">
            { progress::bar(words::PROGRESS, percent, &of) }
            <p class="progress-numbers"><span>{ of }</span></p>
        </div>
    }
}

impl View {
    fn take_models(&mut self, ctx: &Context<Self>, models: Vec<Given>) -> bool {
        let same =
            self.models.len() == models.len() && self.models.iter().zip(&models).all(|(old, new)| old.is_same(new));
        if same {
            return false;
        }
        self.models = models;
        if self.demo == Demo::Not && self.models.iter().any(|model| model.files.name == DEMO_MODEL) {
            self.demo = Demo::Wanted;
            let came = ctx.link().callback(Msg::Demo);
            spawn_local(async move { came.emit(demo_tasks().await) });
        }
        true
    }

    fn is_going(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_going)
    }

    /// The models that take part.
    fn chosen(&self) -> Vec<&Given> {
        self.models.iter().filter(|model| !self.models_out.contains(&model.files.name)).collect()
    }

    /// The tasks that can be asked: batch, place in it, and what they are.
    fn tasks(&self) -> Vec<(usize, usize, &TaskInfo)> {
        let mut tasks = Vec::new();
        for (batch, each) in self.batches.iter().enumerate() {
            let opened = each.opened.iter().flat_map(|opened| &opened.files).enumerate();
            tasks.extend(opened.filter_map(|(at, opened)| Some((batch, at, opened.task.as_ref().ok()?))));
        }
        tasks
    }

    /// Those that take part.
    fn chosen_tasks(&self) -> Vec<(usize, usize, &TaskInfo)> {
        self.tasks().into_iter().filter(|(.., task)| !self.tasks_out.contains(&task.name)).collect()
    }

    /// Files with the names of others go before them.
    fn add(&mut self, ctx: &Context<Self>, files: Vec<File>) {
        if files.is_empty() {
            return;
        }
        let names: Vec<String> = files.iter().map(File::name).collect();
        self.batches.retain(|batch| !batch.files.iter().all(|file| names.contains(&file.name())));
        self.batches.push(Batch { files, opened: None });
        self.read(ctx);
    }

    /// Removes a file that is no task; with it those that came with it, where none of them is.
    fn remove(&mut self, batch: usize, file: &str) {
        let files = &mut self.batches[batch].files;
        files.retain(|other| other.name() != file);
        let mut opened = self.batches[batch].opened.iter().flat_map(|opened| &opened.files);
        if self.batches[batch].files.is_empty() || !opened.any(|opened| opened.file != file && opened.task.is_ok()) {
            self.batches.remove(batch);
        }
    }

    /// Lets a worker say what tasks there are.
    fn read(&mut self, ctx: &Context<Self>) {
        let (batches, files) = batch_files(self.batches.iter());
        let beside = Array::of2(&files, &Array::new());
        self.reader =
            Some(Examiner::call(Order::Read(batches), beside.into(), ctx.link().callback(|(_, said)| Msg::Read(said))));
    }

    /// Of tasks of one name the one that was given last counts. Files of which none counts any more go; where some do, the others say why
    /// they do not.
    fn tell_apart(&mut self) {
        let mut names = BTreeSet::new();
        let mut at = self.batches.len();
        while at > 0 {
            at -= 1;
            let is_last = at + 1 == self.batches.len();
            let Some(opened) = &mut self.batches[at].opened else { continue };
            let mut others = 0;
            for given in &mut opened.files {
                let Ok(task) = &given.task else { continue };
                if !names.insert(task.name.clone()) {
                    given.task = Err(words::same_name(&task.name));
                    others += 1;
                }
            }
            if !is_last && others > 0 && others == opened.files.len() {
                self.batches.remove(at);
            }
        }
    }

    /// The tasks that take part, with the files of which they are.
    fn asked(&self) -> Asked {
        let chosen = self.chosen_tasks();
        let mut used: Vec<usize> = chosen.iter().map(|(batch, ..)| *batch).collect();
        used.dedup();
        let place = |batch: usize| used.iter().position(|other| *other == batch).unwrap_or_default();
        let tasks = chosen.iter().map(|(batch, at, _)| (place(*batch), *at)).collect();
        let (batches, files) = batch_files(used.iter().filter_map(|batch| self.batches.get(*batch)));
        let questions = Questions { batches, tasks, limit: self.limit };
        let source =
            |(batch, at, _): &(usize, usize, &TaskInfo)| Source { files: self.batches[*batch].files.clone(), at: *at };
        let sources = chosen.iter().map(source).collect();
        Asked { questions, files, tasks: chosen.into_iter().map(|(.., task)| task.clone()).collect(), sources }
    }

    fn start(&mut self, ctx: &Context<Self>) {
        self.remember();
        let asked = self.asked();
        let chosen = self.chosen();
        let names = chosen.iter().map(|model| model.files.name.clone()).collect();
        let opened = self.batches.iter().filter_map(|batch| batch.opened.as_ref());
        let groups = opened.flat_map(|opened| &opened.groups).cloned().collect();
        let job = |model: &&Given| {
            let subject = Subject::Model((*model).clone());
            let known = self.known.of(&subject, &asked.sources);
            let candidate = Candidate::Folder(model.files.clone());
            (subject, asked.of(candidate, &Array::of1(&model.blobs), model.memory(), known, true))
        };
        let jobs = chosen.iter().map(job).collect();
        let mut run = Run::new(names, asked.tasks, groups, self.limit);
        run.begin(jobs, asked.sources, ctx.link().callback(|(worker, said)| Msg::Heard(worker, said)));
        self.run = Some(run);
        self.shown = None;
    }

    /// Keeps what was answered to what is still there.
    fn remember(&mut self) {
        if let Some(run) = self.run.take() {
            self.known.add(run);
        }
        let batches = &self.batches;
        self.known.keep(&self.models, |source| batches.iter().any(|batch| batch.files == source.files));
    }
}

/// Names of files, and the files.
fn batch_files<'a>(batches: impl Iterator<Item = &'a Batch> + Clone) -> (Batches, Array) {
    let names = batches.clone().map(|batch| batch.files.iter().map(File::name).collect()).collect();
    let files = batches.map(|batch| batch.files.iter().collect::<Array>()).collect();
    (names, files)
}

fn toggle(names: &mut BTreeSet<String>, name: String) {
    if !names.remove(&name) {
        names.insert(name);
    }
}

/// The demo models' tasks, or which cannot be had.
async fn demo_tasks() -> Result<Vec<File>, &'static str> {
    let mut found = Vec::new();
    for name in DEMO_TASKS {
        let blob = fetched(&format!("{DEMO_FOLDER}/{name}")).await.ok_or(name)?;
        found.push(File::new_with_blob_sequence(&Array::of1(&blob), name).map_err(|_| name)?);
    }
    Ok(found)
}

async fn fetched(url: &str) -> Option<Blob> {
    let response = JsFuture::from(gloo::utils::window().fetch_with_str(url)).await.ok()?;
    let response: Response = response.dyn_into().ok()?;
    let blob: Promise = response.ok().then(|| response.blob().ok()).flatten()?;
    JsFuture::from(blob).await.ok()?.dyn_into().ok()
}

/// Files chosen in an input.
fn of_input(event: &Event) -> Vec<File> {
    files::of_input(&event.target_unchecked_into()).into_iter().map(|given| given.file).collect()
}
