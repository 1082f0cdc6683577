//! Sweep: one number of the recipe varied over a few values, each merge made in memory and asked.

mod chart;
mod knob;
mod table;
mod text;
mod words;

use std::collections::BTreeMap;

use js_sys::{Array, Function};
use merge_studio::recipe::{self, Recipe, Severity};
use merge_studio::{method, plan};
use merge_studio_web::ui::{field, progress};
use wasm_bindgen::JsValue;
use web_sys::HtmlInputElement;
use yew::html::Scope;
use yew::prelude::*;

use super::Given;
use super::crew::Job;
use super::known::{Known, Subject};
use super::run::{Asked, Run};
use crate::protocol::{Candidate, MergeOrder, Said};
use knob::{Knob, Now};

/// Beside the view's own.
pub const STYLE: &str = include_str!("sweep/style.css");
/// Values that can be tried.
const POINTS: (usize, usize) = (2, 9);

/// The page's recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRecipe {
    text: String,
    seed: u64,
    /// Which of the models its names stand for.
    binding: BTreeMap<String, usize>,
    /// Takes another text.
    set: Function,
}

impl PageRecipe {
    /// As the page gives it: an array of the text, the seed, and names, each with a model's place.
    pub fn read(given: &Array, set: Function) -> Option<Self> {
        let mut binding = BTreeMap::new();
        for at in (2..given.length()).step_by(2) {
            binding.insert(given.get(at).as_string()?, given.get(at + 1).as_f64()? as usize);
        }
        Some(Self { text: given.get(0).as_string()?, seed: u64::try_from(given.get(1)).ok()?, binding, set })
    }
}

/// Properties of [`Sweep`].
#[derive(Properties, Clone, PartialEq)]
pub struct Props {
    /// None before the page has spoken.
    pub page: Option<PageRecipe>,
    pub models: Vec<Given>,
    pub asked: Asked,
    /// What was answered before.
    pub known: Known,
    /// Whether an evaluation needs the memory.
    pub busy: bool,
    /// Told when a sweep begins, and when it is over: it needs memory.
    pub ongoing: Callback<bool>,
}

/// Why there is nothing to vary.
pub enum Missing {
    Recipe,
    Errors(usize),
    Stages,
    /// No model stands for this name.
    Model(String),
    /// The method of this name has no numbers.
    Numbers(String),
}

/// What the region is told.
pub enum Msg {
    /// The choice of this name is to be varied.
    Vary(String),
    From(f64),
    To(f64),
    Points(usize),
    Start,
    Cancel,
    /// A worker, by its number.
    Heard(u32, Said),
    /// This point is to be the recipe.
    Use(usize),
    /// What the recipe was before is to be it again.
    Back,
}

/// A sweep, on its way or over.
pub struct Swept {
    knob: Knob,
    values: Vec<f64>,
    /// The recipe with each value.
    texts: Vec<String>,
    /// Whether these say it in the recipe's own words.
    keeps_comments: bool,
    /// The recipe when it began.
    began_with: String,
    /// Models are the points.
    run: Run,
    /// The point that is the recipe now.
    used: Option<usize>,
    /// The recipe before points were used, one after another.
    before: Option<String>,
}

/// The region.
pub struct Sweep {
    recipe: Result<(Recipe, Vec<Knob>), Missing>,
    /// What the choice is called.
    vary: Option<String>,
    /// Ends of the range; none for the useful one.
    from: Option<f64>,
    to: Option<f64>,
    points: usize,
    swept: Option<Swept>,
}

impl Component for Sweep {
    type Message = Msg;
    type Properties = Props;

    fn create(ctx: &Context<Self>) -> Self {
        Self { recipe: read(ctx.props()), vary: None, from: None, to: None, points: 5, swept: None }
    }

    fn changed(&mut self, ctx: &Context<Self>, old: &Props) -> bool {
        let page = &ctx.props().page;
        if *page != old.page {
            self.recipe = read(ctx.props());
            if let (Some(swept), Some(page)) = (&mut self.swept, page) {
                swept.used = swept.used.filter(|used| swept.texts[*used] == page.text);
            }
        }
        true
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Msg) -> bool {
        match msg {
            Msg::Vary(name) => (self.vary, self.from, self.to) = (Some(name), None, None),
            Msg::From(from) => self.from = Some(from),
            Msg::To(to) => self.to = Some(to),
            Msg::Points(points) => self.points = points,
            Msg::Start => self.start(ctx),
            Msg::Cancel => {
                if let Some(swept) = &mut self.swept {
                    swept.run.cancel();
                    ctx.props().ongoing.emit(false);
                }
            }
            Msg::Heard(worker, said) => {
                let Some(swept) = self.swept.as_mut() else { return false };
                if !swept.run.hear(worker, said) {
                    return false;
                }
                if !swept.run.is_going() {
                    ctx.props().ongoing.emit(false);
                }
            }
            Msg::Use(at) => {
                if let (Some(swept), Some(page)) = (&mut self.swept, &ctx.props().page) {
                    if swept.used.is_none() {
                        swept.before = Some(page.text.clone());
                    }
                    swept.used = Some(at);
                    page.set(&swept.texts[at]);
                }
            }
            Msg::Back => {
                if let (Some(swept), Some(page)) = (&mut self.swept, &ctx.props().page)
                    && let Some(before) = swept.before.take()
                {
                    swept.used = None;
                    page.set(&before);
                }
            }
        }
        true
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let link = ctx.link();
        html! {
            <section class="pane evaluate sweep" aria-labelledby="sweep-title">
                <style>{ STYLE }</style>
                <div class="evaluate-setup">
                    <h2 id="sweep-title">{ words::REGION }</h2>
                    <p class="aside">{ words::WHAT }</p>
                    { match &self.recipe {
                        Ok((recipe, knobs)) => self.setup(recipe, knobs, ctx.props(), link),
                        Err(missing) => html! { <p class="note">{ words::missing(missing) }</p> },
                    } }
                </div>
                <div class="evaluate-results">
                    <p class="status" role="status">{ self.swept.as_ref().map(|swept| self.status(swept)) }</p>
                    if let Some(swept) = &self.swept {
                        { self.results(swept, ctx) }
                    }
                </div>
            </section>
        }
    }
}

impl PageRecipe {
    /// The names of what a recipe merges, with the models that they stand for.
    fn inputs(&self, recipe: &Recipe, models: &[Given]) -> Option<Vec<(String, Given)>> {
        let input = |name: String| models.get(*self.binding.get(&name)?).cloned().map(|model| (name, model));
        plan::input_names(recipe).into_iter().map(input).collect()
    }

    fn set(&self, text: &str) {
        // The page's own function: it does not throw.
        let _ = self.set.call1(&JsValue::NULL, &text.into());
    }
}

/// The page's recipe, and what can be varied.
fn read(props: &Props) -> Result<(Recipe, Vec<Knob>), Missing> {
    let Some(page) = props.page.as_ref().filter(|page| !page.text.trim().is_empty()) else {
        return Err(Missing::Recipe);
    };
    let methods = method::infos();
    let checked = recipe::check(&page.text, &methods);
    let errors = checked.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let recipe = checked.recipe.ok_or(Missing::Errors(errors))?;
    if !recipe.stages.is_empty() {
        return Err(Missing::Stages);
    }
    if let Some(name) = plan::input_names(&recipe).into_iter().find(|name| !page.binding.contains_key(name)) {
        return Err(Missing::Model(name));
    }
    let knobs = knob::knobs(&recipe, &methods);
    if knobs.is_empty() {
        return Err(Missing::Numbers(recipe.merge_method));
    }
    Ok((recipe, knobs))
}

impl Sweep {
    fn is_going(&self) -> bool {
        self.swept.as_ref().is_some_and(|swept| swept.run.is_going())
    }

    fn knob<'a>(&self, knobs: &'a [Knob]) -> Option<&'a Knob> {
        let is_it = |knob: &&Knob| self.vary.as_ref() == Some(&words::knob(knob));
        knobs.iter().find(is_it).or(knobs.first())
    }

    /// The ends of the range.
    fn range(&self, knob: &Knob) -> (f64, f64) {
        (self.from.unwrap_or(knob.range.0), self.to.unwrap_or(knob.range.1))
    }

    fn setup(&self, recipe: &Recipe, knobs: &[Knob], props: &Props, link: &Scope<Self>) -> Html {
        let Props { asked, busy, .. } = props;
        let Some(knob) = self.knob(knobs) else { return html! {} };
        let going = self.is_going();
        let (from, to) = self.range(knob);
        let values = knob::values(from, to, self.points);
        let tasks: Vec<String> = asked.tasks.iter().map(|task| task.name.clone()).collect();
        let now = knob.now(recipe);
        let points = link.callback(|points: f64| Msg::Points(points as usize));
        html! {
            <>
                <div class="field">
                    <label for="sweep-vary">{ words::VARY }</label>
                    <select id="sweep-vary" disabled={going} onchange={link.callback(|event: Event| Msg::Vary(field::selected(&event)))}>
                        { for knobs.iter().map(|each| html! {
                            <option selected={each == knob}>{ words::knob(each) }</option>
                        }) }
                    </select>
                </div>
                <p class="aside">{ words::about(knob, now) }</p>
                if now == Now::Several {
                    <p class="note">{ words::SEVERAL }</p>
                }
                <div class="controls">
                    { number("sweep-from", words::FROM, from, None, going, &link.callback(Msg::From)) }
                    { number("sweep-to", words::TO, to, None, going, &link.callback(Msg::To)) }
                    { number("sweep-points", words::POINTS, self.points as f64, Some(POINTS), going, &points) }
                </div>
                if from < to {
                    <p class="aside">{ words::plan(&values, &tasks, asked.questions.limit) }</p>
                } else {
                    <p class="note is-error" role="alert">{ words::NO_RANGE }</p>
                }
                <div class="buttons">
                    if going {
                        <button type="button" class="main is-cancel" onclick={link.callback(|_: MouseEvent| Msg::Cancel)}>{ words::CANCEL }</button>
                    } else {
                        <button type="button" class="main" disabled={tasks.is_empty() || from >= to || *busy}
                            onclick={link.callback(|_: MouseEvent| Msg::Start)}>{ words::START }</button>
                    }
                </div>
                if *busy {
                    <p class="aside">{ words::EVALUATING }</p>
                }
            </>
        }
    }

    fn status(&self, swept: &Swept) -> String {
        match swept.used {
            Some(at) if !self.is_going() => words::used(&swept.run.models[at], swept.keeps_comments),
            _ => words::stage(&swept.run),
        }
    }

    fn results(&self, swept: &Swept, ctx: &Context<Self>) -> Html {
        let link = ctx.link();
        let now = match &self.recipe {
            Ok((recipe, _)) => match swept.knob.now(recipe) {
                Now::One(now) => Some(now),
                Now::Nothing | Now::Several => None,
            },
            Err(_) => None,
        };
        let known = |page: &PageRecipe| page.text == swept.began_with || swept.texts.contains(&page.text);
        let is_changed = !ctx.props().page.as_ref().is_some_and(known);
        let (done, all) = swept.run.answered();
        html! {
            <>
                if self.is_going() {
                    <div class="progress">
                        { progress::bar(words::PROGRESS, done as f64 / all.max(1) as f64 * 100.0, &super::words::answered(done, all)) }
                        <p class="progress-numbers"><span>{ super::words::answered(done, all) }</span></p>
                    </div>
                }
                if is_changed {
                    <p class="note">{ words::CHANGED }</p>
                }
                if swept.used.is_some() {
                    <div class="buttons">
                        <button type="button" onclick={link.callback(|_: MouseEvent| Msg::Back)}>{ words::BACK }</button>
                    </div>
                }
                { chart::charts(swept, now, &link.callback(Msg::Use)) }
                { table::table(swept, now) }
            </>
        }
    }

    fn start(&mut self, ctx: &Context<Self>) {
        let Props { page: Some(page), models, asked, known, ongoing, .. } = ctx.props() else { return };
        if let Some(swept) = self.swept.take() {
            known.add(swept.run);
        }
        let Ok((recipe, knobs)) = &self.recipe else { return };
        let Some(knob) = self.knob(knobs) else { return };
        let (from, to) = self.range(knob);
        let values = knob::values(from, to, self.points);
        let recipes: Vec<Recipe> = values.iter().map(|value| knob.set(recipe, *value)).collect();
        let with = |value: f64| text::with(&page.text, recipe, knob, value);
        let kept: Option<Vec<String>> = values.iter().map(|value| with(*value)).collect();
        let keeps_comments = kept.is_some();
        let texts = kept.unwrap_or_else(|| recipes.iter().map(recipe::write).collect());
        let points: Vec<String> = values.iter().map(|value| words::point(knob, *value)).collect();
        let Some(inputs) = page.inputs(recipe, models) else { return };
        // Only what is merged is opened, and once.
        let mut used: Vec<&Given> = Vec::new();
        let mut binding = BTreeMap::new();
        for (name, model) in &inputs {
            let at = used.iter().position(|known| known.is_same(model)).unwrap_or(used.len());
            if at == used.len() {
                used.push(model);
            }
            binding.insert(name.clone(), at);
        }
        let files: Vec<_> = used.iter().map(|model| model.files.clone()).collect();
        let blobs: Array = used.iter().map(|model| &model.blobs).collect();
        // A merge is about as large as what it is made of.
        let bytes = used.first().map_or(0, |model| model.memory());
        let job = |((name, text), recipe): ((&String, &String), Recipe)| -> (Subject, Job) {
            let subject = Subject::Merge { recipe: Box::new(recipe), seed: page.seed, inputs: inputs.clone() };
            let known = known.of(&subject, &asked.sources);
            let (name, recipe, inputs, binding) = (name.clone(), text.clone(), files.clone(), binding.clone());
            let merge = MergeOrder { name, recipe, inputs, binding, seed: page.seed };
            // Points come one after another rather than all of them at the end.
            (subject, asked.of(Candidate::Merge(merge), &blobs, bytes, known, false))
        };
        let jobs = points.iter().zip(&texts).zip(recipes).map(job).collect();
        let mut run = Run::new(points, asked.tasks.clone(), Vec::new(), asked.questions.limit);
        ongoing.emit(true);
        run.begin(jobs, asked.sources.clone(), ctx.link().callback(|(worker, said)| Msg::Heard(worker, said)));
        let began_with = page.text.clone();
        let knob = knob.clone();
        self.swept = Some(Swept { knob, values, texts, keeps_comments, began_with, run, used: None, before: None });
    }
}

/// A spin button. What is no number goes back to what counts.
fn number(
    id: &'static str,
    label: &'static str,
    value: f64,
    range: Option<(usize, usize)>,
    disabled: bool,
    onset: &Callback<f64>,
) -> Html {
    let onset = onset.clone();
    let onchange = Callback::from(move |event: Event| {
        let input: HtmlInputElement = event.target_unchecked_into();
        let typed = input.value().trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let whole = |(min, max): (usize, usize), number: f64| number.round().clamp(min as f64, max as f64);
        let number = typed.map_or(value, |number| range.map_or(number, |range| whole(range, number)));
        // Drawing touches the field only where the number changes.
        input.set_value_as_number(number);
        onset.emit(number);
    });
    let (min, max) = range.map(|(min, max)| (min.to_string(), max.to_string())).unzip();
    html! {
        <div class="field">
            <label for={id}>{ label }</label>
            <input {id} type="number" inputmode="decimal" step={if range.is_some() { "1" } else { "any" }} {min} {max} {disabled}
                ~valueAsNumber={value} {onchange} />
        </div>
    }
}
