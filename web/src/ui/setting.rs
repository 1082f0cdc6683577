//! One parameter in the form: a value, a curve along the layers, or a list of filters over tensor names.

use merge_studio::recipe::{ParameterInfo, ParameterKind, Setting, Value};
use yew::prelude::*;

use super::curve::Curve;
use super::edit::{Edit, Owner, first_value};
use super::field::{NumberProps, entered, number, selected};
use super::filters::{FiltersProps, filters};
use super::state::Action;
use super::{points, words};

/// What [`parameter`] shows.
pub struct ParameterProps {
    /// The accessible name: "weight of NAME", or the parameter's own.
    pub label: AttrValue,
    /// What it is, its range and its default.
    pub info: ParameterInfo,
    /// Whose.
    pub owner: Owner,
    /// What is written here.
    pub own: Option<Setting>,
    /// What is written for all models, where nothing is written here.
    pub inherited: Option<Setting>,
    /// Where edits go.
    pub act: Callback<Action>,
}

/// The parameter's row.
pub fn parameter(props: &ParameterProps) -> Html {
    let info = &props.info;
    let shown = props.own.clone().or_else(|| props.inherited.clone());
    let shown = shown.unwrap_or_else(|| Setting::Scalar(first_value(info)));
    let onset = {
        let (owner, name) = (props.owner, info.name);
        props.act.reform(move |setting: Option<Setting>| {
            Action::Edit(Edit::Set { owner, parameter: name.to_owned(), setting })
        })
    };
    let change = onset.reform(Some);
    let rekind = {
        let (shown, info, change) = (shown.clone(), info.clone(), change.clone());
        Callback::from(move |event: Event| change.emit(as_kind(&shown, &selected(&event), &info)))
    };
    let kind = kind_of(&shown);
    let option = |value: &'static str, words: &'static str| {
        html! { <option value={value} selected={kind == value}>{ words }</option> }
    };
    let note = match (&props.own, &props.inherited) {
        (Some(_), _) => None,
        (None, Some(setting)) => Some(words::recipe::inherited(&points::text(setting))),
        (None, None) => info.default.value().map(|value| words::recipe::default_is(&points::plain(&value))),
    };
    let reset = onset.reform(|_: MouseEvent| None);
    let can_reset = props.own.is_some() && (props.inherited.is_some() || info.default.value().is_some());
    html! {
        <div key={info.name} class={classes!("parameter", props.own.is_none().then_some("is-unset"))}>
            <div class="parameter-head">
                <span class="parameter-name" title={info.help}>{ info.name }</span>
                if let Some(note) = note {
                    <span class="parameter-note">{ note }</span>
                }
                if can_reset {
                    <button type="button" class="link small" aria-label={words::recipe::reset(&props.label)} onclick={reset}>
                        { words::recipe::RESET }
                    </button>
                }
                <select class="bare" aria-label={words::recipe::kind_of(&props.label)} onchange={rekind}>
                    { option(SCALAR, words::recipe::ONE_VALUE) }
                    { option(GRADIENT, words::recipe::ALONG_LAYERS) }
                    { option(FILTERS, words::recipe::BY_NAME) }
                </select>
            </div>
            { control(props, &shown, &change) }
            <p class="parameter-help">{ info.help }</p>
        </div>
    }
}

fn control(props: &ParameterProps, shown: &Setting, change: &Callback<Setting>) -> Html {
    let info = &props.info;
    match (shown, info.kind) {
        (Setting::Filters(entries), kind) => html! {
            { filters(&FiltersProps { label: props.label.clone(), kind, entries: entries.clone(), onset: change.reform(Setting::Filters) }) }
        },
        (Setting::Gradient(_), kind) => {
            let curve = points::curve(shown);
            html! {
                <>
                    if let (Some(curve), ParameterKind::Number { min, max, .. }) = (curve, kind) {
                        <Curve label={props.label.clone()} points={curve} {min} {max}
                            onset={change.reform(|curve: Vec<f64>| points::gradient(&curve))} />
                    }
                    { list_text(words::recipe::points_of(&props.label).into(), kind, shown, change.clone()) }
                </>
            }
        }
        (Setting::Scalar(Value::Number(value)), ParameterKind::Number { min, max, floor }) => html! {
            { number(&NumberProps {
                label: props.label.clone(),
                value: *value,
                min,
                max,
                floor,
                unset: props.own.is_none(),
                onset: change.reform(|number| Setting::Scalar(Value::Number(number))),
            }) }
        },
        (Setting::Scalar(Value::Flag(flag)), ParameterKind::Flag) => {
            let toggle = change.reform(|event: Event| {
                let input: web_sys::HtmlInputElement = event.target_unchecked_into();
                Setting::Scalar(Value::Flag(input.checked()))
            });
            html! {
                <label class="switch">
                    <input type="checkbox" aria-label={props.label.clone()} checked={*flag} onchange={toggle} />
                    <span>{ if *flag { "true" } else { "false" } }</span>
                </label>
            }
        }
        (Setting::Scalar(_), kind) => list_text(props.label.clone(), kind, shown, change.clone()),
    }
}

const SCALAR: &str = "scalar";
const GRADIENT: &str = "gradient";
const FILTERS: &str = "filters";

fn kind_of(setting: &Setting) -> &'static str {
    match setting {
        Setting::Scalar(_) => SCALAR,
        Setting::Gradient(_) => GRADIENT,
        Setting::Filters(_) => FILTERS,
    }
}

/// The setting in another form, its first value kept.
fn as_kind(setting: &Setting, kind: &str, info: &ParameterInfo) -> Setting {
    let value = first(setting).unwrap_or_else(|| first_value(info));
    match kind {
        GRADIENT => match setting {
            Setting::Gradient(_) => setting.clone(),
            _ => Setting::Gradient(vec![value; 3]),
        },
        FILTERS if matches!(setting, Setting::Filters(_)) => setting.clone(),
        FILTERS => {
            let attention = (Some("self_attn".to_owned()), Setting::Scalar(value));
            Setting::Filters(vec![attention, (None, setting.clone())])
        }
        _ => Setting::Scalar(value),
    }
}

fn first(setting: &Setting) -> Option<Value> {
    match setting {
        Setting::Scalar(value) => Some(value.clone()),
        Setting::Gradient(values) => values.first().cloned(),
        Setting::Filters(entries) => entries.last().and_then(|(_, setting)| first(setting)),
    }
}

/// A plain field for a value or a list of values: what the curve shows, exactly. `onset` is called when the text reads as that; until
/// then the field is marked, in the document alone.
pub fn list_text(label: AttrValue, kind: ParameterKind, setting: &Setting, onset: Callback<Setting>) -> Html {
    let enter = Callback::from(move |event: Event| {
        let parsed = points::parse(&entered(&event), kind);
        let field: web_sys::HtmlInputElement = event.target_unchecked_into();
        // Setting an attribute of a valid name cannot fail.
        let _ = if parsed.is_some() { field.remove_attribute(INVALID) } else { field.set_attribute(INVALID, "true") };
        if let Some(setting) = parsed {
            onset.emit(setting);
        }
    });
    html! { <input type="text" class="points" aria-label={label} value={points::text(setting)} onchange={enter} spellcheck="false" /> }
}

const INVALID: &str = "aria-invalid";
