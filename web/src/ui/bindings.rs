//! Names of the recipe that are not names of loaded models: which model is meant?

use yew::prelude::*;

use super::binding::{Bound, How};
use super::field::selected;
use super::state::{Action, State};
use super::words::recipe as words;

/// One select a name; nothing where every name is a model's.
pub fn bindings(state: &State, act: &Callback<Action>) -> Html {
    let bound = state.bound();
    let open: Vec<&Bound> = bound.iter().filter(|bound| bound.model.is_none_or(|(_, how)| how != How::Named)).collect();
    if open.is_empty() || state.models.is_empty() {
        return html! {};
    }
    html! {
        <fieldset class="bindings">
            <legend>{ words::BINDINGS }</legend>
            { for open.into_iter().enumerate().map(|(at, bound)| row(state, act, at, bound)) }
        </fieldset>
    }
}

fn row(state: &State, act: &Callback<Action>, at: usize, bound: &Bound) -> Html {
    let id = format!("binding-{at}");
    let name = bound.name.clone();
    let choose = act.reform(move |event: Event| {
        let model = Some(selected(&event)).filter(|model| !model.is_empty());
        Action::Choose { name: name.clone(), model }
    });
    let chosen = bound.model.map(|(model, _)| model);
    html! {
        <div class="field binding" key={bound.name.clone()}>
            <label for={id.clone()}>{ words::which(&bound.name) }</label>
            <select {id} onchange={choose}>
                <option value="" selected={chosen.is_none()}>{ words::NO_MODEL }</option>
                { for state.models.iter().enumerate().map(|(at, model)| html! {
                    <option key={model.id.0} value={model.name.clone()} selected={chosen == Some(at)}>{ &model.name }</option>
                }) }
            </select>
            if let Some((_, how)) = bound.model {
                <span class={classes!("how", (how == How::Suggested).then_some("is-suggested"))}>{ words::how(how) }</span>
            }
        </div>
    }
}
