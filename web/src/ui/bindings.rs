//! Names of the recipe that are not names of loaded models: which model is meant?

use yew::prelude::*;

use super::binding::{Bound, How};
use super::field::selected;
use super::shared::Shared;
use super::state::{Action, State};
use super::words::recipe as words;

/// Properties of [`Bindings`].
#[derive(Properties, PartialEq)]
pub struct BindingsProps {
    /// The page's state.
    pub state: Shared<State>,
    /// Where choices go.
    pub act: Callback<Action>,
}

/// One select a name; nothing where every name is a model's.
#[component(Bindings)]
pub fn bindings(props: &BindingsProps) -> Html {
    let bound = props.state.bound();
    let open: Vec<&Bound> = bound.iter().filter(|bound| bound.model.is_none_or(|(_, how)| how != How::Named)).collect();
    if open.is_empty() || props.state.models.is_empty() {
        return html! {};
    }
    html! {
        <fieldset class="bindings">
            <legend>{ words::BINDINGS }</legend>
            { for open.into_iter().enumerate().map(|(at, bound)| row(props, at, bound)) }
        </fieldset>
    }
}

fn row(props: &BindingsProps, at: usize, bound: &Bound) -> Html {
    let id = format!("binding-{at}");
    let name = bound.name.clone();
    let choose = props.act.reform(move |event: Event| {
        let model = Some(selected(&event)).filter(|model| !model.is_empty());
        Action::Choose { name: name.clone(), model }
    });
    let chosen = bound.model.map(|(model, _)| model);
    html! {
        <div class="field binding" key={bound.name.clone()}>
            <label for={id.clone()}>{ words::which(&bound.name) }</label>
            <select {id} onchange={choose}>
                <option value="" selected={chosen.is_none()}>{ words::NO_MODEL }</option>
                { for props.state.models.iter().enumerate().map(|(at, model)| html! {
                    <option key={model.id.0} value={model.name.clone()} selected={chosen == Some(at)}>{ &model.name }</option>
                }) }
            </select>
            if let Some((_, how)) = bound.model {
                <span class={classes!("how", (how == How::Suggested).then_some("is-suggested"))}>{ words::how(how) }</span>
            }
        </div>
    }
}
