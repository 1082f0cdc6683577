//! The output's config.json: the donor's, with the element type set to the output's.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::format::{DType, in_order};
use crate::plan::Plan;

/// Keys that hold the element type: transformers 5 writes `dtype`, older ones `torch_dtype`.
const TYPE_KEYS: [&str; 2] = ["dtype", "torch_dtype"];
/// Parts of a configuration that may say the type again, for the language model inside a larger one.
const NESTED: [&str; 1] = ["text_config"];

/// `text` with its element types set to `dtype`, and every other byte as it stands.
///
/// Only keys that are there are set. A text that is not a JSON object is returned unchanged: opening the model has said so.
pub(super) fn with_dtype(text: &str, dtype: DType) -> String {
    let Some(name) = torch_name(dtype) else { return text.to_owned() };
    let mut places = Vec::new();
    find(text, text, &mut places);
    let mut edited = text.to_owned();
    for (start, end) in in_order(places, |(start, _)| u64::MAX - *start as u64) {
        edited.replace_range(start..end, &format!("\"{name}\""));
    }
    edited
}

/// The type that a reader of the config should expect: the one that most of the output's float elements have.
pub(super) fn output_dtype(plan: &Plan) -> Option<DType> {
    let mut elements: BTreeMap<DType, u64> = BTreeMap::new();
    for job in plan.jobs.iter().filter(|job| job.dtype.is_float()) {
        *elements.entry(job.dtype).or_default() += job.len / job.dtype.size();
    }
    elements.into_iter().max_by_key(|&(_, count)| count).map(|(dtype, _)| dtype)
}

/// Collects where in `whole` the types of `object`, a part of it, stand.
fn find(whole: &str, object: &str, places: &mut Vec<(usize, usize)>) {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(object) else { return };
    for key in TYPE_KEYS {
        if let Some(value) = members.get(key) {
            let start = value.get().as_ptr() as usize - whole.as_ptr() as usize;
            places.push((start, start + value.get().len()));
        }
    }
    for key in NESTED {
        if let Some(value) = members.get(key) {
            find(whole, value.get(), places);
        }
    }
}

fn torch_name(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::F16 => Some("float16"),
        DType::BF16 => Some("bfloat16"),
        DType::F32 => Some("float32"),
        DType::F64 => Some("float64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_type_changes_and_order_and_style_stay() {
        let before =
            "{\n  \"z\": 1e-05,\n  \"dtype\":   \"bfloat16\",\n  \"a\": [1,2],\n  \"tie_word_embeddings\": true\n}\n";
        let after = before.replace("bfloat16", "float32");
        assert_eq!(with_dtype(before, DType::F32), after);
        assert_eq!(with_dtype(before, DType::BF16), before);
    }

    #[test]
    fn both_spellings_are_set_and_nested_text_configurations_too() {
        let before = r#"{"torch_dtype": null, "text_config": {"x": {"dtype": "k"}, "dtype": "float16"}, "dtype": "é"}"#;
        let after = r#"{"torch_dtype": "float64", "text_config": {"x": {"dtype": "k"}, "dtype": "float64"}, "dtype": "float64"}"#;
        assert_eq!(with_dtype(before, DType::F64), after);
    }

    #[test]
    fn a_configuration_without_a_type_gets_none() {
        assert_eq!(with_dtype("{\"a\": \"dtype\"}", DType::F16), "{\"a\": \"dtype\"}");
    }

    #[test]
    fn what_is_not_an_object_is_left_alone() {
        for text in ["", "[{\"dtype\": \"float16\"}]", "{\"dtype\": \"float16\"", "null"] {
            assert_eq!(with_dtype(text, DType::F32), text);
        }
    }
}
