//! A parameter by tensor name: a list of filters, the first that matches counts.

use merge_studio::recipe::{ParameterKind, Setting, Value};
use yew::prelude::*;

use super::field::entered;
use super::setting::list_text;
use super::words;

/// A filter (`None`: every name) and its value.
type Entry = (Option<String>, Setting);

/// What [`filters`] shows.
pub struct FiltersProps {
    /// What is filtered.
    pub label: AttrValue,
    /// What values it takes.
    pub kind: ParameterKind,
    /// The list.
    pub entries: Vec<Entry>,
    /// Called with the whole list when it changes.
    pub onset: Callback<Vec<Entry>>,
}

/// The rows and a button for one more.
pub fn filters(props: &FiltersProps) -> Html {
    let changed = |change: fn(&mut Vec<Entry>, usize, Change), at: usize| {
        let (entries, onset) = (props.entries.clone(), props.onset.clone());
        move |what: Change| {
            let mut entries = entries.clone();
            change(&mut entries, at, what);
            onset.emit(entries);
        }
    };
    let row = |(at, (filter, setting)): (usize, &Entry)| {
        let update = changed(apply, at);
        let rename = {
            let update = update.clone();
            Callback::from(move |event: Event| update(Change::Filter(entered(&event))))
        };
        let revalue = {
            let update = update.clone();
            Callback::from(move |setting: Setting| update(Change::Value(setting)))
        };
        let remove = Callback::from(move |_: MouseEvent| update(Change::Gone));
        html! {
            <li key={at} class="filter">
                <input type="text" aria-label={words::recipe::filter_of(&props.label, at)} placeholder={words::recipe::EVERY_TENSOR}
                    value={filter.clone().unwrap_or_default()} onchange={rename} spellcheck="false" autocapitalize="off" />
                { list_text(words::recipe::filter_value_of(&props.label, at).into(), props.kind, setting, revalue) }
                <button type="button" class="icon" aria-label={words::recipe::remove_filter(&props.label, at)}
                    disabled={props.entries.len() < 2} onclick={remove}>{ "×" }</button>
            </li>
        }
    };
    let add = {
        let update = changed(apply, 0);
        let first = props.entries.first().map(|(_, setting)| setting.clone());
        Callback::from(move |_: MouseEvent| {
            update(Change::More(first.clone().unwrap_or(Setting::Scalar(Value::Number(0.0)))));
        })
    };
    html! {
        <div class="filters">
            <ol>{ for props.entries.iter().enumerate().map(row) }</ol>
            <button type="button" class="quiet small" onclick={add}>{ words::recipe::ADD_FILTER }</button>
        </div>
    }
}

/// What happens to a row.
enum Change {
    Filter(String),
    Value(Setting),
    Gone,
    More(Setting),
}

fn apply(entries: &mut Vec<Entry>, at: usize, change: Change) {
    match change {
        Change::Filter(filter) => entries[at].0 = Some(filter.trim().to_owned()).filter(|filter| !filter.is_empty()),
        Change::Value(setting) => entries[at].1 = setting,
        Change::Gone => drop(entries.remove(at)),
        // A new filter goes first: behind one that matches everything it would never count.
        Change::More(setting) => entries.insert(0, (Some("mlp".to_owned()), setting)),
    }
}
