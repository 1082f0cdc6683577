//! The recipe as a form. Every control is one edit of the recipe; the text is written from it.

use std::collections::BTreeSet;

use merge_studio::format::set_of;
use merge_studio::recipe::{BaseUse, FloatName, MethodInfo, ParameterInfo, Recipe, Scope, split_adapter};
use yew::prelude::*;

use super::edit::{self, Edit, Owner};
use super::edit_slices::SliceEdit;
use super::field::selected;
use super::setting::{ParameterProps, parameter};
use super::slices::slices;
use super::state::{Action, Depths, State, Tab};
use super::vocabulary::vocabulary;
use super::words::recipe as words;

/// What [`form`] shows.
pub struct FormProps<'a> {
    /// The recipe.
    pub form: &'a Recipe,
    /// What methods there are.
    pub methods: &'a [MethodInfo],
    /// Names of the loaded models that are models by themselves.
    pub loaded: Vec<&'a str>,
    /// Names of the loaded adapters.
    pub adapters: Vec<&'a str>,
    /// How many layers models have, where it is known.
    pub depths: Depths,
    /// Where edits go.
    pub act: &'a Callback<Action>,
}

impl<'a> FormProps<'a> {
    /// What there is to show of the page's state.
    pub fn new(form: &'a Recipe, state: &'a State, act: &'a Callback<Action>) -> Self {
        let (loaded, adapters) = (state.whole_models(), state.adapters());
        Self { form, methods: &state.methods, loaded, adapters, depths: state.depths(), act }
    }

    /// How many layers the model has that the recipe calls `name`.
    pub fn depth(&self, name: &str) -> Option<u64> {
        self.depths.of(name)
    }

    /// The names that may stand where a model's is wanted: the recipe's own and those that are loaded.
    pub fn names(&self) -> BTreeSet<&'a str> {
        set_of(edit::names(self.form).into_iter().chain(self.loaded.iter().copied()))
    }

    /// A small button for one edit.
    pub fn icon(&self, label: String, sign: &'static str, disabled: bool, edit: Edit) -> Html {
        let act = self.act.reform(move |_: MouseEvent| Action::Edit(edit.clone()));
        html! { <button type="button" class="icon" aria-label={label.clone()} title={label} {disabled} onclick={act}>{ sign }</button> }
    }
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
                if form.modules.is_empty() {
                    { shape(props) }
                    if form.slices.is_empty() {
                        { inputs(props, info) }
                    } else {
                        { slices(props, info) }
                    }
                } else {
                    { modules(props) }
                }
                { shared(props, info) }
                { vocabulary(props) }
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
    let choose = props
        .act
        .reform(|event: Event| Action::Edit(Edit::Base(Some(selected(&event)).filter(|name| !name.is_empty()))));
    let none = if info.base == BaseUse::Required { words::CHOOSE_BASE } else { words::NO_BASE };
    html! {
        <div class="field">
            <label for="base">{ words::BASE }</label>
            <select id="base" onchange={choose}>
                <option value="" selected={chosen.is_none()} disabled={info.base == BaseUse::Required}>{ none }</option>
                { for props.names().into_iter().map(|name| option(name, chosen == Some(name))) }
            </select>
        </div>
    }
}

/// A name to choose.
pub fn option(name: &str, selected: bool) -> Html {
    html! { <option key={name.to_owned()} value={name.to_owned()} {selected}>{ name }</option> }
}

/// Whole models, or slices.
fn shape(props: &FormProps<'_>) -> Html {
    let form = props.form;
    let in_slices = !form.slices.is_empty();
    // As deep as the shallowest, so that the slice is one that every model has.
    let depths: Option<Vec<u64>> = edit::names(form).into_iter().map(|name| props.depth(name)).collect();
    let depth = depths.and_then(|depths| depths.into_iter().min()).filter(|depth| *depth > 0);
    let radio = |label: &'static str, checked: bool, disabled: bool, edit: SliceEdit| {
        let choose = props.act.reform(move |_: Event| Action::Edit(Edit::Slices(edit.clone())));
        html! {
            <label class="choice">
                <input type="radio" name="shape" {checked} {disabled} onchange={choose} />
                <span>{ label }</span>
            </label>
        }
    };
    html! {
        <fieldset class="shape">
            <legend>{ words::SHAPE }</legend>
            { radio(words::WHOLE, !in_slices, false, SliceEdit::IntoModels) }
            { radio(words::SLICES, in_slices, !in_slices && depth.is_none(), SliceEdit::FromModels(depth.unwrap_or(0))) }
            if !in_slices && depth.is_none() {
                <p class="aside">{ words::SLICES_WANT_MODELS }</p>
            }
        </fieldset>
    }
}

fn inputs(props: &FormProps<'_>, info: &MethodInfo) -> Html {
    let form = props.form;
    let count = form.models.len();
    let row = |at: usize| {
        let name = &form.models[at].model;
        let owner = Owner::Model(at);
        let own = edit::of_input(info, form, owner);
        html! {
            <li key={format!("{name}#{at}")} class="input">
                <div class="input-head">
                    <span class="input-name" title={name.clone()}>{ name }</span>
                    { props.icon(words::up(name), "↑", at == 0, Edit::Move { from: at, to: at.saturating_sub(1) }) }
                    { props.icon(words::down(name), "↓", at + 1 == count, Edit::Move { from: at, to: at + 1 }) }
                    { props.icon(words::remove(name), "×", false, Edit::Remove(at)) }
                </div>
                if own.is_empty() && Some(name) == form.base_model.as_ref() {
                    <p class="aside">{ words::IS_BASE }</p>
                }
                { adapter(props, owner, name, words::adapter_for(split_adapter(name).0)) }
                { for own.into_iter().map(|parameter| parameter_of(props, owner, parameter, words::of_model(parameter.name, name))) }
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

/// Which adapter is on a model, where there are any.
pub fn adapter(props: &FormProps<'_>, owner: Owner, name: &str, label: String) -> Html {
    let chosen = split_adapter(name).1;
    let names = set_of(props.adapters.iter().copied().chain(chosen));
    if names.is_empty() {
        return html! {};
    }
    let choose = props.act.reform(move |event: Event| {
        let adapter = Some(selected(&event)).filter(|name| !name.is_empty());
        Action::Edit(Edit::Adapter { owner, adapter })
    });
    html! {
        <label class="field is-row">
            <span>{ words::ADAPTER }</span>
            <select aria-label={label} onchange={choose}>
                <option value="" selected={chosen.is_none()}>{ words::NO_ADAPTER }</option>
                { for names.into_iter().map(|name| option(name, chosen == Some(name))) }
            </select>
        </label>
    }
}

fn add(props: &FormProps<'_>) -> Html {
    let form = props.form;
    let listed = |name: &str| form.models.iter().any(|entry| entry.model == name);
    let base = form.base_model.as_deref();
    let free = props.loaded.iter().copied().filter(|name| !listed(name) && base != Some(*name));
    // A base is most often no input itself; with an adapter it is one.
    let own = base.map(|base| split_adapter(base).0).or(props.loaded.first().copied());
    let adapted = props.adapters.iter().filter_map(|adapter| Some(format!("{}+{adapter}", own?)));
    let free: Vec<String> = free.map(ToOwned::to_owned).chain(adapted.filter(|name| !listed(name))).collect();
    if free.is_empty() {
        return html! {};
    }
    html! { { chooser("add-model", words::ADD_MODEL, &free, props.act.reform(|name| Action::Edit(Edit::Add(name)))) } }
}

/// A select that does something with every choice and goes back to none.
pub fn chooser(id: &str, label: &'static str, names: &[String], chosen: Callback<String>) -> Html {
    let choose = Callback::from(move |event: Event| {
        let name = selected(&event);
        event.target_unchecked_into::<web_sys::HtmlSelectElement>().set_value("");
        if !name.is_empty() {
            chosen.emit(name);
        }
    });
    html! {
        <div class="field is-inline">
            <label for={id.to_owned()}>{ label }</label>
            <select id={id.to_owned()} onchange={choose}>
                <option value="" selected=true>{ words::ADD_MODEL_HINT }</option>
                { for names.iter().map(|name| option(name, false)) }
            </select>
        </div>
    }
}

/// What a recipe of modules merges: to be read here, and edited as YAML.
fn modules(props: &FormProps<'_>) -> Html {
    html! {
        <fieldset>
            <legend>{ words::MODULES }</legend>
            <p>{ words::MODULES_IN_YAML }</p>
            <dl class="modules">
                { for props.form.parts().iter().map(|part| html! {
                    <div><dt>{ part.name }</dt><dd>{ words::module(part) }</dd></div>
                }) }
            </dl>
            { to_yaml(props.act) }
        </fieldset>
    }
}

/// A button to the YAML tab.
pub fn to_yaml(act: &Callback<Action>) -> Html {
    html! {
        <button type="button" class="quiet small" onclick={act.reform(|_: MouseEvent| Action::Show(Tab::Yaml))}>{ words::EDIT_YAML }</button>
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

/// The row of a parameter of `owner`.
pub fn parameter_of(props: &FormProps<'_>, owner: Owner, info: &ParameterInfo, label: String) -> Html {
    parameter(&ParameterProps {
        label: label.into(),
        info: info.clone(),
        owner,
        own: edit::settings(props.form, owner).and_then(|settings| settings.get(info.name)).cloned(),
        inherited: edit::inherited(props.form, owner, info.name).cloned(),
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
                { for FloatName::ALL.into_iter().map(|float| option(float.name(), chosen == Some(float))) }
            </select>
        </div>
    }
}
