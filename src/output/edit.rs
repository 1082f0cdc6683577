//! Edits of a configuration's JSON in place: values are replaced, every other byte stays as it is.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::format::in_order;

/// Parts of a configuration of several models that are gone through as well.
const NESTED: [&str; 2] = ["text_config", "vision_config"];

/// What a value becomes, if anything else: given the part that it stands in (empty for the whole), its key, and itself as JSON.
pub(super) type Change<'a> = &'a dyn Fn(&str, &str, &str) -> Option<String>;

/// `text` with the values that `change` gives for those of the object and of its [`NESTED`] parts.
///
/// Only keys that are there can be set. A text that is not a JSON object is returned unchanged: opening the model has said so.
pub(super) fn edit(text: &str, change: Change<'_>) -> String {
    let mut places = Vec::new();
    find(text, text, "", change, &mut places);
    let mut edited = text.to_owned();
    for (start, end, value) in in_order(places, |(start, ..)| u64::MAX - *start as u64) {
        edited.replace_range(start..end, &value);
    }
    edited
}

/// Collects where in `whole` the values of `object`, a part of it, change, and to what.
fn find(whole: &str, object: &str, part: &str, change: Change<'_>, places: &mut Vec<(usize, usize, String)>) {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(object) else { return };
    for (key, value) in &members {
        if NESTED.contains(&key.as_str()) {
            find(whole, value.get(), key, change, places);
        } else if let Some(new) = change(part, key, value.get()) {
            let start = value.get().as_ptr() as usize - whole.as_ptr() as usize;
            places.push((start, start + value.get().len(), new));
        }
    }
}
