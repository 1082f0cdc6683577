//! One model of the list: what it is, what is missing, and what that means.

use merge_studio::model::Model;
use yew::prelude::*;

use super::numbers;
use super::state::{Action, Loaded, Opening};
use super::words::model as words;

/// A model's part in the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Whether it is the base.
    pub is_base: bool,
    /// What the recipe calls it, if not by its name.
    pub alias: Option<String>,
}

/// The article: a model, its part in the recipe if it has one, and whether it must stay for now.
pub fn card(model: &Loaded, role: Option<&Role>, locked: bool, act: &Callback<Action>) -> Html {
    let Loaded { id, name, state } = model;
    let id = *id;
    let remove = act.reform(move |_: MouseEvent| Action::Remove(id));
    let title = format!("model-{}", id.0);
    html! {
        <article key={id.0} class={classes!("card", role.is_some().then_some("is-used"))} aria-labelledby={title.clone()}>
            <div class="card-head">
                <h3 id={title}>{ name }</h3>
                if role.is_some_and(|role| role.is_base) {
                    <span class="tag">{ words::ROLE_BASE }</span>
                }
                <button type="button" class="icon" aria-label={words::remove(name)} onclick={remove}
                    disabled={locked} title={locked.then_some(words::IN_USE)}>{ "×" }</button>
            </div>
            if let Some(alias) = role.and_then(|role| role.alias.as_ref()) {
                <p class="card-alias">{ words::stands_for(alias) }</p>
            }
            { match state {
                Opening::Reading => html! { <p class="aside">{ words::READING }</p> },
                Opening::Failed(error) => html! { <p class="note is-error" role="alert">{ words::open_error(error) }</p> },
                Opening::Open(model) => facts(model),
            } }
        </article>
    }
}

fn facts(model: &Model) -> Html {
    let config = model.config.as_ref();
    let kind = config.and_then(|config| config.architecture.clone().or_else(|| config.model_type.clone()));
    let elements = |shape: &[u64]| shape.iter().fold(1_u64, |all, &dimension| all.saturating_mul(dimension));
    let parameters = model.tensors.values().fold(0_u64, |all, tensor| all.saturating_add(elements(&tensor.shape)));
    let size: u64 = model.weight_files.iter().map(|file| file.len).sum();
    let tokens = model.vocabulary.as_ref().map(|vocabulary| vocabulary.tokens);
    let vocabulary = tokens.or_else(|| config.and_then(|config| config.vocab_size));
    let tied = config.and_then(|config| config.tied);
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| words::UNKNOWN.to_owned());
    let fact = |name: &'static str, value: String| html! { <div><dt>{ name }</dt><dd>{ value }</dd></div> };
    if let Some(adapter) = &model.adapter {
        return html! {
            <>
                <p class="card-kind">{ words::adapter(adapter) }</p>
                <dl class="facts">
                    { fact(words::PARAMETERS, numbers::parameters(parameters)) }
                    { fact(words::DTYPE, numbers::dtypes(model.tensors.values().map(|tensor| (tensor.dtype, tensor.len)))) }
                    { fact(words::SIZE, numbers::bytes(size)) }
                </dl>
                { for model.notices.iter().map(|notice| html! { <p class="note">{ words::notice(notice) }</p> }) }
            </>
        };
    }
    html! {
        <>
            <p class="card-kind">{ kind.unwrap_or_else(|| words::NO_ARCHITECTURE.to_owned()) }</p>
            <dl class="facts">
                { fact(words::PARAMETERS, numbers::parameters(parameters)) }
                { fact(words::DTYPE, numbers::dtypes(model.tensors.values().map(|tensor| (tensor.dtype, tensor.len)))) }
                { fact(words::SIZE, numbers::bytes(size)) }
                { fact(words::LAYERS, numbers::grouped(model.layers())) }
                { fact(words::VOCABULARY, or_unknown(vocabulary.map(numbers::grouped))) }
                { fact(words::EMBEDDINGS, or_unknown(tied.map(|tied| if tied { words::TIED } else { words::UNTIED }.to_owned()))) }
            </dl>
            { for model.notices.iter().map(|notice| html! { <p class="note">{ words::notice(notice) }</p> }) }
        </>
    }
}
