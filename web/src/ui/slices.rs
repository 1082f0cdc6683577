//! The form's slices: which layers of which models follow each other in the output, and how layers of one slice are merged.

use merge_studio::recipe::{MethodInfo, Slice};
use yew::prelude::*;

use super::edit::{self, Edit, Owner};
use super::edit_slices::{self, SliceEdit, count};
use super::field::{entered, selected};
use super::form::{FormProps, adapter, chooser, option, parameter_of};
use super::state::Action;
use super::words::{self as common, recipe as words};

/// Colours there are for models; with more models they come again.
const HUES: usize = 6;

/// The list, and above it a picture of the output's layers.
pub fn slices(props: &FormProps<'_>, info: &MethodInfo) -> Html {
    let next = edit_slices::next(props.form, |name| props.depth(name));
    let add = props.act.reform(move |_: MouseEvent| Action::Edit(Edit::Slices(SliceEdit::Add(next.clone()))));
    html! {
        <fieldset class="slices">
            <legend>{ words::SLICES_LEGEND }</legend>
            { picture(props) }
            <ol>{ for props.form.slices.iter().enumerate().map(|(at, one)| slice(props, info, at, one)) }</ol>
            <button type="button" onclick={add}>{ words::ADD_SLICE }</button>
        </fieldset>
    }
}

/// Which colour a model has.
fn hue(props: &FormProps<'_>, model: &str) -> String {
    let place = edit::names(props.form).into_iter().position(|name| name == model).unwrap_or_default();
    format!("hue-{}", place % HUES)
}

/// The output's layers from the first to the last: a block a slice, a stripe a source.
fn picture(props: &FormProps<'_>) -> Html {
    let slices = &props.form.slices;
    let layers = |slice: &Slice| slice.sources.first().map_or(0, |source| count(source.layers));
    let all = slices.iter().fold(0_u64, |sum, slice| sum.saturating_add(layers(slice)));
    let stripe = |model: &str| html! { <span class={hue(props, model)} /> };
    let block = |slice: &Slice| {
        html! {
            <span class="layers-slice" style={format!("flex-grow: {}", layers(slice))}>
                { for slice.sources.iter().map(|source| stripe(&source.model)) }
            </span>
        }
    };
    html! {
        <div class="layers">
            <p>{ words::output_layers(all, slices.len() as u64) }</p>
            <div class="layers-picture" aria-hidden="true">{ for slices.iter().map(block) }</div>
            <ul class="layers-key">
                { for edit_slices::taken(slices, |name| props.depth(name)).iter().map(|taken| html! {
                    <li><span class={classes!("swatch", hue(props, &taken.model))} aria-hidden="true" />{ words::taken(taken) }</li>
                }) }
            </ul>
        </div>
    }
}

fn slice(props: &FormProps<'_>, info: &MethodInfo, at: usize, slice: &Slice) -> Html {
    let last = props.form.slices.len() - 1;
    let number = at + 1;
    let edit = |edit: SliceEdit| Edit::Slices(edit);
    let layers = slice.sources.first().map_or(0, |source| count(source.layers));
    let names: Vec<String> = props.names().into_iter().map(ToOwned::to_owned).collect();
    let add = props.act.reform(move |model| Action::Edit(edit(SliceEdit::AddSource(at, model))));
    let title = format!("slice-{number}");
    html! {
        <li key={at}><div class="slice" role="group" aria-labelledby={title.clone()}>
            <div class="input-head">
                <span class="input-name" id={title}>{ words::slice(number) }</span>
                <span class="parameter-note">{ common::count(layers, "layer", "layers") }</span>
                { props.icon(words::up(&words::slice(number)), "↑", at == 0, edit(SliceEdit::Move { from: at, to: at.saturating_sub(1) })) }
                { props.icon(words::down(&words::slice(number)), "↓", at == last, edit(SliceEdit::Move { from: at, to: at + 1 })) }
                { props.icon(words::remove(&words::slice(number)), "×", last == 0, edit(SliceEdit::Remove(at))) }
            </div>
            <ol class="inputs">{ for (0..slice.sources.len()).map(|source| source_row(props, info, at, source)) }</ol>
            { chooser(&format!("add-source-{at}"), words::ADD_SOURCE, &names, add) }
            { own(props, info, at, slice) }
        </div></li>
    }
}

fn source_row(props: &FormProps<'_>, info: &MethodInfo, slice: usize, at: usize) -> Html {
    let sources = &props.form.slices[slice].sources;
    let source = &sources[at];
    let number = slice + 1;
    let name = words::in_slice(&source.model, number);
    let owner = Owner::Source(slice, at);
    let edit = |edit: SliceEdit| Edit::Slices(edit);
    let choose = props.act.reform(move |event: Event| {
        Action::Edit(Edit::Slices(SliceEdit::Model { slice, source: at, model: selected(&event) }))
    });
    let mv = |to: usize| edit(SliceEdit::MoveSource { slice, from: at, to });
    let own = edit::of_input(info, props.form, owner);
    html! {
        <li key={at} class="input">
            <div class="input-head">
                <span class={classes!("swatch", hue(props, &source.model))} aria-hidden="true" />
                <select class="input-name" aria-label={words::model_of_source(at + 1, number)} onchange={choose}>
                    { for props.names().into_iter().map(|each| option(each, each == source.model)) }
                </select>
                if sources.len() > 1 {
                    { props.icon(words::up(&name), "↑", at == 0, mv(at.saturating_sub(1))) }
                    { props.icon(words::down(&name), "↓", at + 1 == sources.len(), mv(at + 1)) }
                }
                { props.icon(words::remove(&name), "×", sources.len() == 1, edit(SliceEdit::RemoveSource(slice, at))) }
            </div>
            { range(props, slice, at, &name) }
            { adapter(props, owner, &source.model, words::adapter_for(&name)) }
            { for own.into_iter().map(|parameter| parameter_of(props, owner, parameter, words::of_model(parameter.name, &name))) }
        </li>
    }
}

/// First and last layer, both counted in: what people say, where the recipe says the one after the last.
fn range(props: &FormProps<'_>, slice: usize, at: usize, name: &str) -> Html {
    let source = &props.form.slices[slice].sources[at];
    let (first, end) = source.layers;
    let depth = props.depth(&source.model);
    let field = |label: String, value: i128, least: i128, to: fn((u64, u64), i128) -> (u64, u64)| {
        let layers = source.layers;
        let enter = {
            let act = props.act.clone();
            Callback::from(move |event: Event| match entered(&event).trim().parse::<i128>() {
                Ok(number) if number >= least && number < i128::from(u64::MAX) => {
                    act.emit(Action::Edit(Edit::Slices(SliceEdit::Range {
                        slice,
                        source: at,
                        layers: to(layers, number),
                    })));
                }
                // A broken field goes back to what counts.
                _ => event.target_unchecked_into::<web_sys::HtmlInputElement>().set_value(&value.to_string()),
            })
        };
        let most = depth.map(|depth| (i128::from(depth) - 1).to_string());
        html! {
            <input type="number" step="1" inputmode="numeric" aria-label={label} min={least.to_string()} max={most}
                ~valueAsNumber={value as f64} onchange={enter} />
        }
    };
    html! {
        <div class="range">
            <span aria-hidden="true">{ words::RANGE_FROM }</span>
            { field(words::first_layer(name), i128::from(first), 0, |(_, end), number| (number as u64, end)) }
            <span aria-hidden="true">{ words::RANGE_TO }</span>
            { field(words::last_layer(name), i128::from(end) - 1, -1, |(first, _), number| (first, (number + 1) as u64)) }
            <span class="parameter-note">{ words::range(source.layers, depth) }</span>
        </div>
    }
}

/// What is said for all sources of a slice.
fn own(props: &FormProps<'_>, info: &MethodInfo, at: usize, slice: &Slice) -> Html {
    let name = words::slice(at + 1);
    let chosen = slice.base_model.as_deref();
    let choose = props.act.reform(move |event: Event| {
        let base = Some(selected(&event)).filter(|name| !name.is_empty());
        Action::Edit(Edit::Slices(SliceEdit::Base(at, base)))
    });
    html! {
        <details class="more" open={chosen.is_some() || !slice.parameters.is_empty()}>
            <summary>{ words::settings_of(&name) }</summary>
            if info.has_base() || chosen.is_some() {
                <div class="field">
                    <label for={format!("slice-base-{at}")}>{ words::base_of(&name) }</label>
                    <select id={format!("slice-base-{at}")} onchange={choose}>
                        <option value="" selected={chosen.is_none()}>{ words::BASE_OF_RECIPE }</option>
                        { for props.names().into_iter().map(|name| option(name, chosen == Some(name))) }
                    </select>
                </div>
            }
            { for info.parameters.iter().map(|parameter| parameter_of(props, Owner::Slice(at), parameter, words::of_model(parameter.name, &name))) }
        </details>
    }
}
