//! The output's config.json and its like: the donor's, with element type, layers, vocabulary and token ids set to the
//! output's.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json;
use crate::format::DType;
use crate::model::Model;
use crate::plan::{LayerSource, Plan, SectionLayers};

/// Keys that hold the element type: transformers 5 writes `dtype`, older ones `torch_dtype`.
const TYPE_KEYS: [&str; 2] = ["dtype", "torch_dtype"];
/// Where a configuration's members stand: at its top, and for the language model inside a larger one once more below.
const PARTS: [&[&str]; 2] = [&[], &["text_config"]];

/// Where the members for what looks at pictures stand.
const VISION: [&[&str]; 1] = [&["vision_config"]];

/// Keys that hold the number of layers, by the part of the model that they count.
const LAYER_COUNTS: [(&str, &[&str]); 4] = [
    ("encoder", &["num_hidden_layers", "num_layers", "encoder_layers"]),
    ("decoder", &["num_decoder_layers", "decoder_layers"]),
    ("vision_", &["num_hidden_layers", "depth"]),
    ("", &["num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers"]),
];

/// Keys of lists that have an entry a layer, in configurations where they are lists.
const A_LAYER_EACH: [&str; 10] = [
    "layer_types",
    "layers_block_type",
    "block_types",
    "mlp_layer_types",
    "no_rope_layers",
    "num_key_value_heads",
    "num_attention_heads",
    "num_kv_heads",
    "num_query_heads",
    "intermediate_size",
];

/// Keys of lists that name layers by their numbers.
const LAYER_NUMBERS: [&str; 4] = ["mlp_only_layers", "cross_attention_layers", "full_attn_idxs", "attn_layer_indices"];

/// `text` with its element types set to `dtype`, and every other byte as it stands.
///
/// Only keys that are there are set. A text that is not a JSON object is returned unchanged: opening the model has said so.
pub(super) fn with_dtype(text: &str, dtype: DType) -> String {
    let Some(name) = torch_name(dtype) else { return text.to_owned() };
    let mut edited = text.to_owned();
    for part in PARTS {
        for key in TYPE_KEYS {
            edited = json::replace(&edited, &[part, &[key]].concat(), &format!("\"{name}\""));
        }
    }
    edited
}

/// `text` with as many layers as `plan` has, where slices say how many: their number, lists with an entry a layer (taken from the
/// configuration of the model that gives the layer, where it has such a list), and lists of layer numbers.
pub(super) fn with_layers(text: &str, plan: &Plan, models: &[Model]) -> String {
    plan.layers.iter().fold(text.to_owned(), |text, section| with_section(&text, section, plan, models))
}

fn with_section(text: &str, section: &SectionLayers, plan: &Plan, models: &[Model]) -> String {
    let SectionLayers { section, layers } = section;
    let counts = LAYER_COUNTS.iter().find(|(name, _)| section.starts_with(name)).map_or(&[][..], |(_, keys)| keys);
    let parts: &[&[&str]] = if section.starts_with("vision_") { &VISION } else { &PARTS };
    let mut edited = text.to_owned();
    for part in parts {
        let path = |key: &'static str| [*part, &[key]].concat();
        // How many layers the donor has there: the length of its lists with an entry a layer.
        let mut donors = None;
        for path in counts.iter().map(|key| path(key)) {
            if let Some(count) = json::get(&edited, &path).and_then(|value| value.parse::<usize>().ok()) {
                donors = donors.or(Some(count));
                edited = json::set(&edited, &path, &layers.len().to_string());
            }
        }
        for key in A_LAYER_EACH {
            let Some(value) = json::get(&edited, &path(key)) else { continue };
            let Ok(own) = serde_json::from_str::<Vec<Value>>(value) else { continue };
            if Some(own.len()) == donors {
                let entries = layers.iter().map(|layer| entry(key, *layer, plan, models, &own));
                edited = json::set(&edited, &path(key), &list(entries));
            }
        }
        for key in LAYER_NUMBERS {
            let Some(value) = json::get(&edited, &path(key)) else { continue };
            let Ok(own) = serde_json::from_str::<Vec<u64>>(value) else { continue };
            let kept = layers.iter().enumerate().filter(|(_, source)| own.contains(&source.layer));
            let numbers = list(kept.map(|(at, _)| at.to_string()));
            edited = json::set(&edited, &path(key), &numbers);
        }
    }
    edited
}

/// The entry of the list called `key` for one layer of the output: of the model that the layer is of, or the donor's.
fn entry(key: &str, layer: LayerSource, plan: &Plan, models: &[Model], donors: &[Value]) -> String {
    let config = plan.inputs.get(layer.input).and_then(|input| models.get(input.model)?.config.as_ref());
    let theirs = config.and_then(|config| config.list(key)?.into_iter().nth(layer.layer as usize));
    theirs.unwrap_or_else(|| {
        donors.get(layer.layer as usize).or(donors.last()).map_or_else(|| "null".to_owned(), Value::to_string)
    })
}

fn list(entries: impl Iterator<Item = String>) -> String {
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

/// `text` with its `vocab_size` set. Where no part of it has one, the top gets one.
pub fn with_vocab_size(text: &str, vocab_size: u64) -> String {
    let mut edited = text.to_owned();
    let mut found = false;
    for part in PARTS {
        let path = [part, &["vocab_size"]].concat();
        // A part may leave it open; the others then say it.
        if json::get(&edited, &path).is_some_and(|value| value != "null") {
            edited = json::set(&edited, &path, &vocab_size.to_string());
            found = true;
        }
    }
    if found { edited } else { json::set(&edited, &["vocab_size"], &vocab_size.to_string()) }
}

/// `text` with the ids of special tokens as `moved` says: every `…_token_id` and `…_token_ids`, one or a list.
///
/// Gives the text, and the members with an id for which there is no other: they stand as they were.
pub fn with_token_ids(text: &str, moved: impl Fn(u64) -> Option<u64>) -> (String, Vec<String>) {
    let (mut edited, mut lost) = (text.to_owned(), Vec::new());
    for part in PARTS {
        let inside = if part.is_empty() { Some(text) } else { json::get(text, part) };
        let members = inside.and_then(|inside| serde_json::from_str::<BTreeMap<String, Value>>(inside).ok());
        for (key, mut value) in members.unwrap_or_default() {
            if !key.ends_with("_token_id") && !key.ends_with("_token_ids") {
                continue;
            }
            let ids: Vec<&mut Value> = match &mut value {
                Value::Array(list) => list.iter_mut().collect(),
                one => vec![one],
            };
            let (mut changed, mut complete) = (false, true);
            for id in ids {
                // Anything else than an id, like null or −1, means no token.
                let Some(before) = id.as_u64() else { continue };
                match moved(before) {
                    Some(after) => {
                        changed |= after != before;
                        *id = after.into();
                    }
                    None => complete = false,
                }
            }
            if !complete {
                lost.push(key);
            } else if changed {
                edited = json::set(&edited, &[part, &[key.as_str()]].concat(), &value.to_string());
            }
        }
    }
    (edited, lost)
}

/// The type that a reader of the config should expect: the one that most of the output's float elements have.
pub(super) fn output_dtype(plan: &Plan) -> Option<DType> {
    let mut elements: Vec<(u64, DType)> = Vec::new();
    for job in plan.jobs.iter().filter(|job| job.dtype.is_float()) {
        let own = job.len / job.dtype.size();
        match elements.iter_mut().find(|(_, dtype)| *dtype == job.dtype) {
            Some((count, _)) => *count += own,
            None => elements.push((own, job.dtype)),
        }
    }
    elements.into_iter().max().map(|(_, dtype)| dtype)
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
    use crate::plan::PlannedInput;

    /// A plan whose layers are those of these numbers, of the only input.
    fn with(section: &str, layers: &[u64]) -> Plan {
        let layers = layers.iter().map(|&layer| LayerSource { input: 0, layer }).collect();
        let sections = vec![SectionLayers { section: section.to_owned(), layers }];
        Plan { inputs: vec![PlannedInput::default()], layers: sections, ..Plan::default() }
    }

    #[test]
    fn slices_set_the_number_of_layers_and_what_is_said_of_each() {
        let before = r#"{"num_hidden_layers": 3, "n_head": 3, "layer_types": ["a", "b", "c"], "eos_token_id": [1, 2, 3],
            "mlp_only_layers": [0, 2], "vision_config": {"num_hidden_layers": 7}}"#;
        let after = r#"{"num_hidden_layers": 4, "n_head": 3, "layer_types": ["a", "b", "b", "c"], "eos_token_id": [1, 2, 3],
            "mlp_only_layers": [0, 3], "vision_config": {"num_hidden_layers": 7}}"#;
        assert_eq!(with_layers(before, &with("default", &[0, 1, 1, 2]), &[]), after);
        assert_eq!(with_layers(before, &Plan::default(), &[]), before);
    }

    #[test]
    fn each_part_has_its_own_number_of_layers() {
        let before = r#"{"num_layers": 3, "num_decoder_layers": 5, "vision_config": {"depth": 7}}"#;
        let set = |section| with_layers(before, &with(section, &[0]), &[]);
        assert_eq!(set("encoder"), before.replace('3', "1"));
        assert_eq!(set("decoder"), before.replace('5', "1"));
        assert_eq!(set("vision_tower"), before.replace('7', "1"));
    }

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
    fn the_vocabulary_is_set_wherever_it_stands() {
        assert_eq!(with_vocab_size(r#"{"vocab_size": 8, "a": 1}"#, 9), r#"{"vocab_size": 9, "a": 1}"#);
        let nested = r#"{"vocab_size": null, "text_config": {"vocab_size": 8}}"#;
        assert_eq!(with_vocab_size(nested, 9), nested.replace('8', "9"));
        assert_eq!(with_vocab_size(r#"{"a": 1}"#, 9), r#"{"a": 1, "vocab_size": 9}"#);
    }

    #[test]
    fn token_ids_move_one_by_one_and_in_lists() {
        let moved = |id| if id < 10 { Some(id + 10) } else { None };
        let text = r#"{"bos_token_id": 1, "pad_token_id": null, "x_id": 1, "text_config": {"eos_token_id": [2, 3]}}"#;
        let after =
            r#"{"bos_token_id": 11, "pad_token_id": null, "x_id": 1, "text_config": {"eos_token_id": [12,13]}}"#;
        assert_eq!(with_token_ids(text, moved), (after.to_owned(), vec![]));
        let (same, lost) = with_token_ids(r#"{"eos_token_id": [2, 30], "unk_token_id": -1}"#, moved);
        assert_eq!(
            (same.as_str(), lost),
            (r#"{"eos_token_id": [2, 30], "unk_token_id": -1}"#, vec!["eos_token_id".into()])
        );
    }

    #[test]
    fn what_is_not_an_object_is_left_alone() {
        for text in ["", "[{\"dtype\": \"float16\"}]", "{\"dtype\": \"float16\"", "null"] {
            assert_eq!(with_dtype(text, DType::F32), text);
        }
    }
}
