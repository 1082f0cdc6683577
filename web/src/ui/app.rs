//! The page as a whole: holds the state, talks to the workers, listens to the window.

use std::rc::Rc;

use gloo::events::{EventListener, EventListenerOptions};
use gloo::storage::{LocalStorage, Storage};
use js_sys::Array;
use merge_studio::method;
use merge_studio::recipe::Link;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::binding::Bound;
use super::evaluate::Evaluate;
use super::files::{self, Given};
use super::header::{HeaderProps, header};
use super::merging::Gguf;
use super::models::Models;
use super::recipe_pane::RecipePane;
use super::run_pane::{RunPaneProps, run_pane};
use super::shared::Shared;
use super::state::{Action, Alert, Planning, State, Tab, Wanted};
use super::theme::Theme;
use super::words::{self, model, recipe, run};
use super::{benchmark, demo, grouping, results};
use crate::bridge::Bridge;
use crate::protocol::{self, GgufEvent, ModelId};

/// Where a reload finds what was here.
const SAVED: &str = "merge-studio.session";

/// What the page is told.
pub enum Msg {
    /// Something happens to the state.
    Act(Action),
    /// Files were given: models, or a recipe.
    Files(Vec<Given>),
    /// A recipe's file was chosen.
    Open(web_sys::File),
    /// The demo models are wanted.
    Demo,
    /// They came, or which file did not.
    DemoCame(Result<Vec<Given>, String>),
    /// Files hover over the page, or no longer do.
    Hover(bool),
    /// The person wants to see a place of the recipe.
    Go(usize, usize),
    /// Other colours.
    Theme(Theme),
    /// Models are to be evaluated, or merged.
    Evaluate(bool),
}

/// The page.
pub struct App {
    state: Rc<State>,
    bridge: Bridge,
    /// What the desk was last asked to plan.
    asked: Option<Wanted>,
    theme: Theme,
    evaluate: Evaluate,
    evaluating: bool,
    hovering: bool,
    loading_demo: bool,
    go_to: Option<(u32, usize, usize)>,
    _listeners: Vec<EventListener>,
}

impl Component for App {
    type Message = Msg;
    type Properties = ();

    fn create(ctx: &Context<Self>) -> Self {
        let link = ctx.link();
        let theme = Theme::current();
        theme.wear();
        let mut state = State::new(method::infos(), LocalStorage::get(SAVED).unwrap_or_default());
        if let Some(opened) = link_in_address() {
            state.apply(Action::OpenLink(opened));
        }
        Self {
            state: Rc::new(state),
            bridge: Bridge::start(link.callback(|event| Msg::Act(Action::Heard(event)))),
            asked: None,
            theme,
            evaluate: Evaluate::new(link.callback(|text| Msg::Act(Action::Typed(text)))),
            evaluating: false,
            hovering: false,
            loading_demo: false,
            go_to: None,
            _listeners: listeners(link),
        }
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Self::Message) -> bool {
        match msg {
            Msg::Act(action) => self.act(action),
            Msg::Files(given) => self.take(ctx, &given),
            Msg::Open(file) => open_recipe(ctx, file),
            Msg::Demo => {
                self.loading_demo = true;
                let came = ctx.link().callback(Msg::DemoCame);
                spawn_local(async move { came.emit(demo::fetch().await) });
            }
            Msg::DemoCame(came) => {
                self.loading_demo = false;
                match came {
                    Ok(given) => self.take(ctx, &given),
                    Err(file) => self.act(Action::Alert(Alert::DemoUnreachable(file))),
                }
            }
            Msg::Hover(hovering) if self.hovering == hovering => return false,
            Msg::Hover(hovering) => self.hovering = hovering,
            Msg::Go(line, column) => {
                let wish = self.go_to.map_or(0, |(wish, ..)| wish + 1);
                self.go_to = Some((wish, line, column));
                self.act(Action::Show(Tab::Yaml));
            }
            Msg::Theme(theme) => {
                theme.choose();
                self.theme = theme;
            }
            Msg::Evaluate(evaluating) => self.evaluating = evaluating,
        }
        self.evaluate.show(self.evaluating.then(|| (self.bridge.given(results::FOLDER), self.recipe())));
        true
    }

    fn rendered(&mut self, _: &Context<Self>, _: bool) {
        benchmark::show();
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let link = ctx.link();
        let act = link.callback(Msg::Act);
        let state = Shared(self.state.clone());
        let (here, what) = if self.evaluating {
            (words::DROP_TASKS_HERE, words::DROP_TASKS_WHAT)
        } else {
            (words::DROP_HERE, words::DROP_WHAT)
        };
        html! {
            <>
                { header(&HeaderProps {
                    state: &state,
                    theme: self.theme,
                    on_theme: link.callback(Msg::Theme),
                    evaluating: self.evaluating,
                    on_evaluate: link.callback(Msg::Evaluate),
                }) }
                <main id="studio" tabindex="-1" hidden={self.evaluating}>
                    { self.alerts(&act) }
                    <div class="panes">
                        <Models state={state.clone()} loading_demo={self.loading_demo} act={act.clone()}
                            on_files={link.callback(Msg::Files)} on_demo={link.callback(|()| Msg::Demo)} />
                        <RecipePane state={state.clone()} act={act.clone()} on_open={link.callback(Msg::Open)}
                            go_to={self.go_to} on_go={link.callback(|(line, column)| Msg::Go(line, column))} />
                        { run_pane(&RunPaneProps { state, bridge: self.bridge.clone(), act }) }
                    </div>
                </main>
                if let Some(gauging) = &self.state.gauge {
                    { benchmark::benchmark(&self.state, gauging, &link.callback(Msg::Act)) }
                }
                if self.hovering {
                    <div class="drop"><p><strong>{ here }</strong>{ what }</p></div>
                }
            </>
        }
    }
}

impl App {
    /// The recipe for the view Evaluate: its text, the seed, and names in it, each with its model's place in the list.
    fn recipe(&self) -> Array {
        let recipe = Array::of2(&self.state.text.as_str().into(), &self.state.seed.into());
        for Bound { name, model } in self.state.bound() {
            if let Some((model, _)) = model {
                recipe.push(&name.into());
                recipe.push(&(model as u32).into());
            }
        }
        recipe
    }

    /// Lets an action happen, here and in the workers.
    fn act(&mut self, action: Action) {
        match &action {
            Action::Merge => {
                if let Planning::Ready { token, .. } = self.state.planning {
                    self.bridge.merge(token, self.state.run_on);
                }
            }
            Action::Cancel => self.bridge.cancel(),
            Action::Discard => self.bridge.discard(),
            Action::Gguf => match self.state.merging.gguf() {
                Gguf::Done(_) => results::save_gguf(&self.bridge),
                _ => self.bridge.write_gguf(results::FOLDER, self.state.gguf_type),
            },
            Action::Heard(protocol::Event::Gguf(GgufEvent::Done { .. })) => results::save_gguf(&self.bridge),
            Action::CancelGguf => self.bridge.forget_gguf(),
            Action::Gauge => self.bridge.gauge(),
            Action::StopGauge | Action::ShowGauge(false) => self.bridge.stop_gauge(),
            Action::Remove(id) => self.bridge.close(*id),
            _ => {}
        }
        let state = Rc::make_mut(&mut self.state);
        state.apply(action);
        // The desk keeps one plan: while a merge runs it must stay the one that runs.
        if !state.is_merging() {
            let wanted = state.wanted();
            if wanted != self.asked {
                let token =
                    wanted.clone().map(|wanted| self.bridge.plan(&wanted.recipe, wanted.binding, wanted.options));
                self.asked = wanted;
                state.apply(Action::Asked(token));
            }
        }
        // A full or closed storage costs the reload its memory, no more.
        let _ = LocalStorage::set(SAVED, state.saved());
    }

    /// Sorts given files into models and a recipe.
    fn take(&mut self, ctx: &Context<Self>, given: &[Given]) {
        if given.is_empty() {
            return;
        }
        let paths: Vec<String> = given.iter().map(|given| given.path.clone()).collect();
        let groups = grouping::models(&paths);
        // A folder's own mergekit_config.yml says how it was made: it is no recipe to open.
        if self.evaluating && groups.is_empty() {
            return self.evaluate.take(&given.iter().map(|given| &given.file).collect());
        }
        let recipe = given.iter().find(|given| groups.is_empty() && grouping::is_recipe(&given.path));
        match recipe {
            Some(recipe) => open_recipe(ctx, recipe.file.clone()),
            None if groups.is_empty() => self.act(Action::Alert(Alert::NoWeights)),
            None => {}
        }
        for group in groups {
            let name = self.state.free_name(&group.name);
            let files = group.files.into_iter().filter_map(|(at, path)| Some((path, given.get(at)?.file.clone())));
            let id: ModelId = self.bridge.open(name.clone(), files.collect());
            self.act(Action::Opening { id, name });
        }
    }

    fn alerts(&self, act: &Callback<Action>) -> Html {
        let words = |alert: &Alert| match alert {
            Alert::Crashed(message) => run::crashed(message),
            Alert::DemoUnreachable(file) => model::demo_unreachable(file),
            Alert::NoWeights => model::NO_WEIGHTS.to_owned(),
            Alert::NotText(name) => recipe::not_text(name),
        };
        let alert = |(at, alert): (usize, &Alert)| {
            let dismiss = act.reform(move |_: MouseEvent| Action::Dismiss(at));
            html! {
                <div class="alert" role="alert" key={at}>
                    <p>{ words(alert) }</p>
                    <button type="button" class="quiet" onclick={dismiss}>{ words::DISMISS }</button>
                </div>
            }
        };
        html! { <>{ for self.state.alerts.iter().enumerate().map(alert) }</> }
    }
}

/// Reads a recipe's file and hands its text on.
fn open_recipe(ctx: &Context<App>, file: web_sys::File) {
    let act = ctx.link().callback(Msg::Act);
    spawn_local(async move {
        act.emit(match files::text_of(&file).await {
            Some(text) => Action::Given(text),
            None => Action::Alert(Alert::NotText(file.name())),
        });
    });
}

/// The share link in the page's address, read.
fn link_in_address() -> Option<Result<Link, merge_studio::recipe::LinkError>> {
    let hash = gloo::utils::window().location().hash().ok()?;
    hash.strip_prefix("#r=").map(Link::decode)
}

/// Drops anywhere on the page, and links opened in this tab.
fn listeners(link: &yew::html::Scope<App>) -> Vec<EventListener> {
    let window = gloo::utils::window();
    let on = |name: &'static str, handle: Box<dyn FnMut(&Event)>| {
        EventListener::new_with_options(&window, name, EventListenerOptions::enable_prevent_default(), handle)
    };
    let (over, leave, drop, hash) = (link.clone(), link.clone(), link.clone(), link.clone());
    vec![
        on(
            "dragover",
            Box::new(move |event| {
                if holds_files(event) {
                    event.prevent_default();
                    over.send_message(Msg::Hover(true));
                }
            }),
        ),
        on(
            "dragleave",
            Box::new(move |event| {
                // Leaving one element for another is not leaving the page.
                if event.dyn_ref::<DragEvent>().is_some_and(|event| event.related_target().is_none()) {
                    leave.send_message(Msg::Hover(false));
                }
            }),
        ),
        on(
            "drop",
            Box::new(move |event| {
                drop.send_message(Msg::Hover(false));
                if let Some(transfer) =
                    event.dyn_ref::<DragEvent>().filter(|_| holds_files(event)).and_then(DragEvent::data_transfer)
                {
                    event.prevent_default();
                    let files = drop.callback(Msg::Files);
                    let given = files::of_drop(&transfer);
                    spawn_local(async move { files.emit(given.await) });
                }
            }),
        ),
        on(
            "hashchange",
            Box::new(move |_| {
                if let Some(opened) = link_in_address() {
                    hash.send_message(Msg::Act(Action::OpenLink(opened)));
                }
            }),
        ),
    ]
}

/// Whether a drag carries files rather than a piece of text.
fn holds_files(event: &Event) -> bool {
    let transfer = event.dyn_ref::<DragEvent>().and_then(DragEvent::data_transfer);
    transfer.is_some_and(|transfer| transfer.types().iter().any(|kind| kind.as_string().as_deref() == Some("Files")))
}
