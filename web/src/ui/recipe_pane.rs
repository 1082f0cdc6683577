//! The Recipe pane: one recipe, as a form and as YAML, with what is wrong below and where it came from above.

use merge_studio::recipe;
use yew::prelude::*;

use super::bindings::bindings;
use super::form::{FormProps, form as recipe_form};
use super::link_banner::link_banner;
use super::problems::problems;
use super::shared::Shared;
use super::state::{Action, Repaired, State, Tab};
use super::words::{self as common, recipe as words};
use super::yaml::Yaml;
use super::{field, files};

/// More repairs than this are folded away: the recipe below matters more.
const SHOWN_NOTES: usize = 3;

/// Properties of [`RecipePane`].
#[derive(Properties, PartialEq)]
pub struct RecipePaneProps {
    /// The page's state.
    pub state: Shared<State>,
    /// Where actions go.
    pub act: Callback<Action>,
    /// Where a recipe's file goes.
    pub on_open: Callback<web_sys::File>,
    /// A place that the editor shall go to; a new number is a new wish.
    pub go_to: Option<(u32, usize, usize)>,
    /// Called to go to a place in the editor.
    pub on_go: Callback<(usize, usize)>,
}

/// The pane.
#[component(RecipePane)]
pub fn recipe_pane(props: &RecipePaneProps) -> Html {
    let state = &props.state;
    let blank = state.text.trim().is_empty();
    html! {
        <section class="pane recipe" aria-labelledby="recipe-title">
            <div class="pane-head">
                <h2 id="recipe-title"><span class="step" aria-hidden="true">{ "2" }</span>{ words::REGION }</h2>
                <Menu text={state.text.clone()} act={props.act.clone()} on_open={props.on_open.clone()} />
            </div>
            { link_banner(state, &props.act) }
            { repair_banner(state, &props.act) }
            if blank {
                <p class="teach">{ words::EMPTY }</p>
            }
            { bindings(state, &props.act) }
            { tabs(state.tab, &props.act) }
            if state.tab == Tab::Form {
                <div id="panel-form" role="tabpanel" aria-labelledby="tab-form">
                    if let Some(form) = &state.form {
                        { recipe_form(&FormProps::new(form, state, &props.act)) }
                        { comments(state) }
                    } else {
                        <div class="note">
                            <p>{ words::FORM_BLIND }</p>
                            <button type="button" class="quiet" onclick={props.act.reform(|_: MouseEvent| Action::Show(Tab::Yaml))}>
                                { words::TO_YAML }
                            </button>
                        </div>
                    }
                </div>
            } else {
                <div id="panel-yaml" role="tabpanel" aria-labelledby="tab-yaml">
                    <Yaml text={state.text.clone()} checked={Shared(state.checked.clone())} methods={Shared(state.methods.clone())}
                        models={state.names().into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()}
                        go_to={props.go_to} act={props.act.clone()} />
                </div>
            }
            { problems(&state.checked, blank, &props.act, &props.on_go) }
        </section>
    }
}

fn comments(state: &State) -> Html {
    let at_risk = state.text.lines().any(|line| line.trim_start().starts_with('#'));
    let words = if state.comments_lost {
        words::COMMENTS_LOST
    } else if at_risk {
        words::COMMENTS_AT_RISK
    } else {
        return html! {};
    };
    html! { <p class="aside">{ words }</p> }
}

fn tabs(open: Tab, act: &Callback<Action>) -> Html {
    let tab = |tab: Tab, id: &'static str, panel: &'static str, words: &'static str| {
        let is_open = open == tab;
        let show = act.reform(move |_: MouseEvent| Action::Show(tab));
        html! {
            <button type="button" role="tab" {id} aria-selected={is_open.to_string()} aria-controls={is_open.then_some(panel)}
                tabindex={if is_open { "0" } else { "-1" }} onclick={show}>{ words }</button>
        }
    };
    // Arrow keys move between tabs, as the pattern has it; there are two, so either arrow means the other one.
    let other = act.clone();
    let key = Callback::from(move |event: KeyboardEvent| {
        let (to, id) = if open == Tab::Form { (Tab::Yaml, "tab-yaml") } else { (Tab::Form, "tab-form") };
        if matches!(event.key().as_str(), "ArrowLeft" | "ArrowRight") {
            event.prevent_default();
            other.emit(Action::Show(to));
            let tab = gloo::utils::document().get_element_by_id(id);
            if let Some(tab) = tab.and_then(|tab| wasm_bindgen::JsCast::dyn_into::<web_sys::HtmlElement>(tab).ok()) {
                // An element without focus keeps the old one's: nothing to do about it.
                let _ = tab.focus();
            }
        }
    });
    html! {
        <div class="tabs" role="tablist" aria-label={words::VIEWS} onkeydown={key}>
            { tab(Tab::Form, "tab-form", "panel-form", words::FORM) }
            { tab(Tab::Yaml, "tab-yaml", "panel-yaml", words::YAML) }
        </div>
    }
}

fn repair_banner(state: &State, act: &Callback<Action>) -> Html {
    let dismiss = act.reform(|_: MouseEvent| Action::DismissRepair);
    match &state.repair {
        None => html! {},
        Some(Repaired::Done { notes, .. }) => html! {
            <div class="banner" role="alert">
                <p><strong>{ words::REPAIRED }</strong></p>
                <details open={notes.len() <= SHOWN_NOTES}>
                    <summary>{ words::repairs(notes.len() as u64) }</summary>
                    <ul>{ for notes.iter().map(|note| html! { <li>{ common::sentence(note) }</li> }) }</ul>
                </details>
                <div class="buttons">
                    <button type="button" class="quiet" onclick={act.reform(|_: MouseEvent| Action::UndoRepair)}>{ words::UNDO_REPAIR }</button>
                    <button type="button" class="quiet" onclick={dismiss}>{ common::DISMISS }</button>
                </div>
            </div>
        },
        Some(Repaired::Refused(why)) => html! {
            <div class="banner is-warning" role="alert">
                <p><strong>{ words::NOT_REPAIRED }</strong></p>
                <p>{ common::sentence(why) }</p>
                <div class="buttons"><button type="button" class="quiet" onclick={dismiss}>{ common::DISMISS }</button></div>
            </div>
        },
    }
}

/// Properties of [`Menu`].
#[derive(Properties, PartialEq)]
struct MenuProps {
    text: String,
    act: Callback<Action>,
    on_open: Callback<web_sys::File>,
}

/// Examples, open, save.
#[component(Menu)]
fn menu(props: &MenuProps) -> Html {
    let (input, examples) = (use_node_ref(), use_node_ref());
    let expanded = use_state_eq(|| false);
    let pick = {
        let input = input.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(input) = input.cast::<web_sys::HtmlInputElement>() {
                input.click();
            }
        })
    };
    let picked = {
        let on_open = props.on_open.clone();
        Callback::from(move |event: Event| {
            let given = files::of_input(&event.target_unchecked_into());
            if let Some(given) = given.into_iter().next() {
                on_open.emit(given.file);
            }
        })
    };
    let save = {
        let text = props.text.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(blob) = files::text_blob(&text) {
                files::save(&blob, words::FILE_NAME);
            }
        })
    };
    let toggle = {
        let expanded = expanded.clone();
        Callback::from(move |_: MouseEvent| expanded.set(!*expanded))
    };
    let close = {
        let (expanded, button) = (expanded.clone(), examples.clone());
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Escape" && *expanded {
                expanded.set(false);
                field::focus(&button);
            }
        })
    };
    let example = |example: &'static recipe::Example| {
        let (act, expanded, button) = (props.act.clone(), expanded.clone(), examples.clone());
        let take = Callback::from(move |_: MouseEvent| {
            act.emit(Action::Given(example.text.to_owned()));
            expanded.set(false);
            field::focus(&button);
        });
        html! { <li key={example.id}><button type="button" class="quiet" onclick={take}>{ example.title }</button></li> }
    };
    html! {
        <div class="menu" onkeydown={close}>
            <button ref={examples.clone()} type="button" aria-expanded={expanded.to_string()} aria-controls="examples" onclick={toggle}>
                { words::EXAMPLES }
            </button>
            <button type="button" class="quiet" onclick={pick}>{ words::OPEN }</button>
            <button type="button" class="quiet" onclick={save} disabled={props.text.trim().is_empty()}>{ words::SAVE }</button>
            <input ref={input} type="file" hidden=true accept=".yaml,.yml,.txt,text/plain" onchange={picked} data-pick="recipe" />
            <ul id="examples" class="examples" hidden={!*expanded}>{ for recipe::examples().iter().map(example) }</ul>
        </div>
    }
}
