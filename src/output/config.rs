//! The output's config.json: the donor's, with the element type set to the output's, and its layers to those of the slices.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::edit::edit;
use crate::format::DType;
use crate::model::Model;
use crate::plan::{LayerSource, Plan, SectionLayers};

/// Keys that hold the element type: transformers 5 writes `dtype`, older ones `torch_dtype`.
const TYPE_KEYS: [&str; 2] = ["dtype", "torch_dtype"];

/// The configuration's part for what looks at pictures.
const VISION: &str = "vision_config";

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
pub(super) fn with_dtype(text: &str, dtype: DType) -> String {
    let Some(name) = torch_name(dtype) else { return text.to_owned() };
    edit(text, &|part, key, _| (part != VISION && TYPE_KEYS.contains(&key)).then(|| format!("\"{name}\"")))
}

/// `text` with as many layers as `plan` has, where slices say how many: their number, lists with an entry a layer (taken from the
/// configuration of the model that gives the layer, where it has such a list), and lists of layer numbers.
pub(super) fn with_layers(text: &str, plan: &Plan, models: &[Model]) -> String {
    plan.layers.iter().fold(text.to_owned(), |text, section| with_section(&text, section, plan, models))
}

fn with_section(text: &str, section: &SectionLayers, plan: &Plan, models: &[Model]) -> String {
    let SectionLayers { section, layers } = section;
    let counts = LAYER_COUNTS.iter().find(|(name, _)| section.starts_with(name)).map_or(&[][..], |(_, keys)| keys);
    let vision = section.starts_with("vision_");
    // How many layers the donor has: the length of its lists with an entry a layer.
    let count = |part: &str, key: &str, value: &str| {
        ((part == VISION) == vision && counts.contains(&key)).then(|| value.parse().ok())?
    };
    let was = std::cell::Cell::new(None::<usize>);
    let text = edit(text, &|part, key, value| {
        let number = count(part, key, value)?;
        was.set(was.get().or(Some(number)));
        Some(layers.len().to_string())
    });
    let Some(was) = was.get().filter(|_| !vision) else { return text };
    edit(&text, &|part, key, value| {
        if part == VISION {
            return None;
        }
        if A_LAYER_EACH.contains(&key) {
            let own: Vec<&RawValue> = serde_json::from_str(value).ok().filter(|list: &Vec<_>| list.len() == was)?;
            let entries: Option<Vec<String>> =
                layers.iter().map(|layer| entry(key, *layer, plan, models, &own)).collect();
            return Some(format!("[{}]", entries?.join(", ")));
        }
        if LAYER_NUMBERS.contains(&key) {
            let own: Vec<u64> = serde_json::from_str(value).ok()?;
            let kept = layers.iter().enumerate().filter(|(_, source)| own.contains(&source.layer));
            return Some(format!("[{}]", kept.map(|(at, _)| at.to_string()).collect::<Vec<_>>().join(", ")));
        }
        None
    })
}

/// The entry of the list called `key` for one layer of the output: of the model that the layer is of, or the donor's.
fn entry(key: &str, layer: LayerSource, plan: &Plan, models: &[Model], donors: &[&RawValue]) -> Option<String> {
    let config = plan.inputs.get(layer.input).and_then(|input| models.get(input.model)?.config.as_ref());
    let theirs = config.and_then(|config| config.list(key)?.into_iter().nth(layer.layer as usize));
    theirs.or_else(|| donors.get(layer.layer as usize).or(donors.last()).map(|value| value.get().to_owned()))
}

/// The type that a reader of the config should expect: the one that most of the output's float elements have.
pub(super) fn output_dtype(plan: &Plan) -> Option<DType> {
    let mut elements: BTreeMap<DType, u64> = BTreeMap::new();
    for job in plan.jobs.iter().filter(|job| job.dtype.is_float()) {
        *elements.entry(job.dtype).or_default() += job.len / job.dtype.size();
    }
    elements.into_iter().max_by_key(|&(_, count)| count).map(|(dtype, _)| dtype)
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
    fn what_is_not_an_object_is_left_alone() {
        for text in ["", "[{\"dtype\": \"float16\"}]", "{\"dtype\": \"float16\"", "null"] {
            assert_eq!(with_dtype(text, DType::F32), text);
        }
    }
}
