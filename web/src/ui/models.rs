//! The Models pane: how models come in, and the list of those that did.

use merge_studio::recipe::split_adapter;
use yew::prelude::*;

use super::card::{Role, card};
use super::files::{self, Given};
use super::shared::Shared;
use super::state::{Action, State};
use super::words::model as words;

/// Properties of [`Models`].
#[derive(Properties, PartialEq)]
pub struct ModelsProps {
    /// The page's state.
    pub state: Shared<State>,
    /// Whether the demo models are on their way.
    pub loading_demo: bool,
    /// Where actions go.
    pub act: Callback<Action>,
    /// Where files go.
    pub on_files: Callback<Vec<Given>>,
    /// Called for the demo models.
    pub on_demo: Callback<()>,
}

/// The pane.
#[component(Models)]
pub fn models(props: &ModelsProps) -> Html {
    let state = &props.state;
    let (files, folder) = (use_node_ref(), use_node_ref());
    let open = |input: &NodeRef| {
        let input = input.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(input) = input.cast::<web_sys::HtmlInputElement>() {
                input.click();
            }
        })
    };
    let picked = props.on_files.reform(|event: Event| files::of_input(&event.target_unchecked_into()));
    let demo = props.on_demo.reform(|_: MouseEvent| ());
    let base = state.form.as_ref().and_then(|form| form.base_model.clone());
    let base = base.as_deref().map(|base| split_adapter(base).0);
    let bound = state.bound();
    let role = |at: usize, name: &str| {
        let bound = bound.iter().find(|bound| bound.model.is_some_and(|(model, _)| model == at))?;
        let alias = (bound.name != name).then(|| bound.name.clone());
        Some(Role { is_base: Some(bound.name.as_str()) == base, alias })
    };
    let has_demo = state.models.iter().any(|model| model.name.starts_with("demo-"));
    html! {
        <section class="pane models" aria-labelledby="models-title">
            <div class="pane-head">
                <h2 id="models-title"><span class="step" aria-hidden="true">{ "1" }</span>{ words::REGION }</h2>
            </div>
            <div class={classes!("give", state.models.is_empty().then_some("is-empty"))}>
            if state.models.is_empty() {
                <p class="teach">{ words::EMPTY }</p>
            }
            <div class="buttons">
                <button type="button" onclick={open(&files)}>{ words::ADD_FILES }</button>
                <button type="button" onclick={open(&folder)}>{ words::ADD_FOLDER }</button>
                <button type="button" class={classes!((!state.models.is_empty()).then_some("quiet"))} onclick={demo}
                    disabled={props.loading_demo || has_demo}>
                    { if props.loading_demo { words::LOADING_DEMO } else { words::LOAD_DEMO } }
                </button>
                <input ref={files} type="file" multiple=true hidden=true onchange={picked.clone()} data-pick="files" />
                <input ref={folder} type="file" multiple=true hidden=true webkitdirectory=true onchange={picked} data-pick="folder" />
            </div>
            if state.models.is_empty() {
                <p class="aside">{ words::EMPTY_DEMO }</p>
            }
            </div>
            if !state.missed.is_empty() {
                <p class="note">{ words::missed(&state.missed) }</p>
            }
            <div class="cards">
                { for state.models.iter().enumerate().map(|(at, model)| card(model, role(at, &model.name).as_ref(), state.is_merging(), &props.act)) }
            </div>
        </section>
    }
}
