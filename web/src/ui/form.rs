//! The recipe as a form. Every control is one edit of the recipe; the text is written from it.

use std::collections::BTreeSet;

use merge_studio::recipe::{BaseUse, FloatName, MethodInfo, ParameterInfo, Recipe, Scope};
use yew::prelude::*;

use super::edit::{self, Edit, Owner};
use super::field::selected;
use super::setting::{ParameterProps, parameter};
use super::state::Action;
use super::words::recipe as words;

/// What [`form`] shows.
pub struct FormProps<'a> {
    /// The recipe.
    pub form: &'a Recipe,
    /// What methods there are.
    pub methods: &'a [MethodInfo],
    /// Names of the loaded models.
    pub loaded: Vec<&'a str>,
    /// Where edits go.
    pub act: &'a Callback<Action>,
}

/// The form.
pub fn form(props: &FormProps<'_>) -> Html {
    let form = props.form;
    let info = props.methods.iter().find(|info| info.id == form.merge_method);
    let choose = props.act.reform(|event: Event| Action::Edit(Edit::Method(selected(&event))));
    html! {
        <div class="form">
            <div class="field">
                <label for="method">{ words::METHOD }</label>
                <select id="method" onchange={choose}>
                    <option value="" selected={info.is_none()} disabled=true hidden=true>{ words::CHOOSE_METHOD }</option>
                    { for props.methods.iter().map(|each| html! {
                        <option key={each.id} value={each.id} selected={each.id == form.merge_method}>{ each.title }</option>
                    }) }
                </select>
                if let Some(info) = info {
                    <p class="summary">
                        { info.summary }{ " " }
                        <a href={info.paper} target="_blank" rel="noreferrer">{ words::PAPER }</a>
                    </p>
                }
            </div>
            if let Some(info) = info {
                { base(props, info) }
                { inputs(props, info) }
                { shared(props, info) }
                <fieldset class="dtypes">
                    <legend>{ words::RESULT }</legend>
                    { dtype("dtype", words::DTYPE, words::DTYPE_AUTO, form.dtype, props.act, Edit::Dtype) }
                    { dtype("out-dtype", words::OUT_DTYPE, words::OUT_DTYPE_AUTO, form.out_dtype, props.act, Edit::OutDtype) }
                </fieldset>
            }
        </div>
    }
}

fn base(props: &FormProps<'_>, info: &MethodInfo) -> Html {
    if info.base == BaseUse::Ordinary && props.form.base_model.is_none() {
        return html! {};
    }
    let chosen = props.form.base_model.as_deref();
    let mut names = BTreeSet::new();
    names.extend(chosen);
    names.extend(props.form.models.iter().map(|entry| entry.model.as_str()));
    names.extend(&props.loaded);
    let choose = props
        .act
        .reform(|event: Event| Action::Edit(Edit::Base(Some(selected(&event)).filter(|name| !name.is_empty()))));
    let none = if info.base == BaseUse::Required { words::CHOOSE_BASE } else { words::NO_BASE };
    html! {
        <div class="field">
            <label for="base">{ words::BASE }</label>
            <select id="base" onchange={choose}>
                <option value="" selected={chosen.is_none()} disabled={info.base == BaseUse::Required}>{ none }</option>
                { for names.iter().map(|name| html! {
                    <option key={(*name).to_owned()} value={(*name).to_owned()} selected={chosen == Some(*name)}>{ *name }</option>
                }) }
            </select>
        </div>
    }
}

fn inputs(props: &FormProps<'_>, info: &MethodInfo) -> Html {
    let form = props.form;
    let count = form.models.len();
    let row = |at: usize| {
        let name = &form.models[at].model;
        let own = edit::of_input(info, form, at);
        let button = |label: String, sign: &'static str, disabled: bool, edit: Edit| {
            let act = props.act.reform(move |_: MouseEvent| Action::Edit(edit.clone()));
            html! { <button type="button" class="icon" aria-label={label.clone()} title={label} {disabled} onclick={act}>{ sign }</button> }
        };
        html! {
            <li key={format!("{name}#{at}")} class="input">
                <div class="input-head">
                    <span class="input-name" title={name.clone()}>{ name }</span>
                    { button(words::up(name), "↑", at == 0, Edit::Move { from: at, to: at.saturating_sub(1) }) }
                    { button(words::down(name), "↓", at + 1 == count, Edit::Move { from: at, to: at + 1 }) }
                    { button(words::remove(name), "×", false, Edit::Remove(at)) }
                </div>
                if own.is_empty() && Some(name) == form.base_model.as_ref() {
                    <p class="aside">{ words::IS_BASE }</p>
                }
                { for own.into_iter().map(|parameter| parameter_of(props, Owner::Model(at), parameter, words::of_model(parameter.name, name))) }
            </li>
        }
    };
    html! {
        <fieldset>
            <legend>{ words::INPUTS }</legend>
            <ol class="inputs">{ for (0..count).map(row) }</ol>
            { add(props) }
        </fieldset>
    }
}

fn add(props: &FormProps<'_>) -> Html {
    let form = props.form;
    let used =
        |name: &str| form.models.iter().any(|entry| entry.model == name) || form.base_model.as_deref() == Some(name);
    let free: Vec<&str> = props.loaded.iter().copied().filter(|name| !used(name)).collect();
    let choose = props.act.clone();
    let choose = Callback::from(move |event: Event| {
        let name = selected(&event);
        event.target_unchecked_into::<web_sys::HtmlSelectElement>().set_value("");
        if !name.is_empty() {
            choose.emit(Action::Edit(Edit::Add(name)));
        }
    });
    if free.is_empty() {
        return html! {};
    }
    html! {
        <div class="field is-inline">
            <label for="add-model">{ words::ADD_MODEL }</label>
            <select id="add-model" onchange={choose}>
                <option value="" selected=true>{ words::ADD_MODEL_HINT }</option>
                { for free.iter().map(|name| html! { <option key={(*name).to_owned()} value={(*name).to_owned()}>{ *name }</option> }) }
            </select>
        </div>
    }
}

/// The method's shared parameters, and those of the inputs that are written for all of them.
fn shared(props: &FormProps<'_>, info: &MethodInfo) -> Html {
    let written = |parameter: &&ParameterInfo| {
        parameter.scope == Scope::Shared || props.form.parameters.contains_key(parameter.name)
    };
    let parameters: Vec<&ParameterInfo> = info.parameters.iter().filter(written).collect();
    if parameters.is_empty() {
        return html! {};
    }
    html! {
        <fieldset class="shared">
            <legend>{ words::SHARED }</legend>
            { for parameters.into_iter().map(|parameter| parameter_of(props, Owner::Recipe, parameter, parameter.name.to_owned())) }
        </fieldset>
    }
}

fn parameter_of(props: &FormProps<'_>, owner: Owner, info: &ParameterInfo, label: String) -> Html {
    let recipe = props.form;
    let outer = recipe.parameters.get(info.name);
    let (own, inherited) = match owner {
        Owner::Recipe => (outer, None),
        Owner::Model(at) => (recipe.models.get(at).and_then(|entry| entry.parameters.get(info.name)), outer),
    };
    parameter(&ParameterProps {
        label: label.into(),
        info: info.clone(),
        owner,
        own: own.cloned(),
        inherited: inherited.cloned(),
        act: props.act.clone(),
    })
}

fn dtype(
    id: &'static str,
    label: &'static str,
    none: &'static str,
    chosen: Option<FloatName>,
    act: &Callback<Action>,
    edit: fn(Option<FloatName>) -> Edit,
) -> Html {
    let choose = act.reform(move |event: Event| {
        let name = selected(&event);
        Action::Edit(edit(FloatName::ALL.into_iter().find(|float| float.name() == name)))
    });
    html! {
        <div class="field">
            <label for={id}>{ label }</label>
            <select {id} onchange={choose}>
                <option value="" selected={chosen.is_none()}>{ none }</option>
                { for FloatName::ALL.into_iter().map(|float| html! {
                    <option key={float.name()} value={float.name()} selected={chosen == Some(float)}>{ float.name() }</option>
                }) }
            </select>
        </div>
    }
}
