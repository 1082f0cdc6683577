//! The small files of a hand-made plan.
#![allow(clippy::unwrap_used)]

use serde_json::Value as Json;

use super::*;
use crate::format::DType;
use crate::kernel::{Float, Precision};
use crate::method::{self, Resolved};
use crate::model::{Companion, Config, Family};
use crate::plan::{
    CopyReason, Job, LeftOut, LeftOutReason, MergeRule, OutputFile, PlanNotice, PlannedInput, Rule, SourceTensor,
};
use crate::recipe::{FloatName, ModelEntry, Setting, Value};

fn model(name: &str, companions: &[&str]) -> Model {
    Model {
        name: name.into(),
        weight_files: Vec::new(),
        tensors: BTreeMap::new(),
        config: Some(Config {
            architecture: None,
            model_type: None,
            layers: None,
            vocab_size: None,
            tied: None,
            text: format!("{{\n  \"name\": \"{name}\",\n  \"dtype\": \"float32\"\n}}\n"),
        }),
        family: Family::Generic,
        companions: companions
            .iter()
            .map(|file| ((*file).to_owned(), Companion { len: 1, sha256: String::new() }))
            .collect(),
        vocabulary: None,
        fingerprint: String::new(),
        notices: Vec::new(),
        adapter: None,
    }
}

fn recipe() -> Recipe {
    let weight = |weight| BTreeMap::from([("weight".to_owned(), Setting::Scalar(Value::Number(weight)))]);
    Recipe {
        merge_method: "linear".into(),
        models: vec![
            ModelEntry { model: "owner/first".into(), parameters: weight(0.25) },
            ModelEntry { model: "./second|`x`".into(), parameters: weight(0.75) },
        ],
        dtype: Some(FloatName::Bfloat16),
        ..Recipe::default()
    }
}

fn source(input: usize, name: &str, dtype: DType) -> SourceTensor {
    SourceTensor { input, name: name.into(), dtype, file: 0, offset: 0, len: 8, assembly: None }
}

/// Two models: one tensor merged, one copied, one left out. The second model gives the configuration.
fn plan(files: usize) -> Plan {
    let weights = |values: &[f64]| {
        values.iter().map(|value| BTreeMap::from([("weight".to_owned(), Value::Number(*value))])).collect()
    };
    let merged = Job {
        name: "w".into(),
        shape: vec![2, 2],
        dtype: DType::BF16,
        rule: Rule::Merge(MergeRule {
            base: Some(1),
            parameters: Resolved {
                shared: BTreeMap::from([("normalize".to_owned(), Value::Flag(true))]),
                inputs: weights(&[0.25, 0.75]),
            },
            coins: Vec::new(),
            precision: Precision::F32,
            out: Float::BF16,
        }),
        sources: vec![source(0, "w", DType::F32), source(1, "alias.w", DType::BF16)],
        file: 0,
        offset: 100,
        len: 8,
    };
    let copied = Job {
        name: "ids".into(),
        shape: vec![1],
        dtype: DType::I64,
        rule: Rule::Copy(CopyReason::NotFloat),
        sources: vec![source(0, "ids", DType::I64)],
        file: files - 1,
        offset: 100,
        len: 8,
    };
    let input = |model, name: &str| PlannedInput {
        name: name.into(),
        model,
        fingerprint: format!("{model}{model}ff"),
        ..PlannedInput::default()
    };
    Plan {
        method: "linear".into(),
        inputs: vec![input(0, "owner/first"), input(1, "./second|`x`")],
        donor: 1,
        jobs: vec![merged, copied],
        files: (0..files)
            .map(|n| OutputFile { name: format!("model-{n}.safetensors"), header: vec![], len: 9 })
            .collect(),
        left_out: vec![LeftOut { input: 0, tensor: "lm_head.weight".into(), reason: LeftOutReason::Tied }],
        notices: vec![PlanNotice::NoTokenizer { input: "owner/first".into() }],
        seed: u64::MAX,
        ..Plan::default()
    }
}

fn files(plan: &Plan) -> BTreeMap<String, Content> {
    let models = [model("first", &["first.txt"]), model("second", &["tokenizer.json", "README.md"])];
    let made = small_files(plan, &recipe(), &models, &BTreeMap::new()).unwrap();
    made.files.into_iter().map(|file| (file.name, file.content)).collect()
}

fn text(files: &BTreeMap<String, Content>, name: &str) -> String {
    match &files[name] {
        Content::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Content::CopyOf { .. } => panic!("{name} is a copy"),
    }
}

#[test]
fn the_folder_has_the_donors_companions_and_our_own_files() {
    let files = files(&plan(1));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["README.md", "config.json", "merge-studio.json", "mergekit_config.yml", "tokenizer.json"]);
    assert_eq!(files["tokenizer.json"], Content::CopyOf { input: 1, file: "tokenizer.json".into() });
    assert_eq!(text(&files, CONFIG_FILE), "{\n  \"name\": \"second\",\n  \"dtype\": \"bfloat16\"\n}\n");
}

#[test]
fn the_recipe_in_the_folder_reads_back_as_the_recipe() {
    let written = text(&files(&plan(1)), RECIPE_FILE);
    assert_eq!(recipe::check(&written, &method::infos()).recipe, Some(recipe()));
}

#[test]
fn shards_come_with_an_index() {
    let files = files(&plan(2));
    let index: Json = serde_json::from_str(&text(&files, INDEX_FILE)).unwrap();
    assert_eq!(index["metadata"]["total_size"], 16);
    assert_eq!(index["weight_map"]["w"], "model-0.safetensors");
    assert_eq!(index["weight_map"]["ids"], "model-1.safetensors");
}

#[test]
fn the_ledger_says_where_every_tensor_comes_from_one_a_line() {
    let text = text(&files(&plan(1)), LEDGER_FILE);
    let ledger: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(ledger["seed"].to_string(), u64::MAX.to_string());
    assert_eq!(ledger["inputs"][1]["name"], "./second|`x`");
    assert_eq!(ledger["recipe"], recipe::write(&recipe()));
    let merged = &ledger["tensors"][0];
    assert_eq!(merged["rule"], "merge");
    assert_eq!(merged["parameters"]["normalize"], true);
    assert_eq!(merged["sources"][0]["input"], "owner/first");
    assert_eq!(merged["sources"][0]["parameters"]["weight"].to_string(), "0.25");
    assert_eq!(merged["sources"][1]["tensor"], "alias.w");
    assert_eq!(merged["sources"][1]["base"], true);
    assert_eq!(ledger["tensors"][1]["because"], "NotFloat");
    assert_eq!(ledger["left_out"][0]["tensor"], "lm_head.weight");
    assert_eq!(text.lines().filter(|line| line.contains("\"shape\"")).count(), 2);
}

#[test]
fn the_card_names_hub_models_counts_and_method() {
    let card = text(&files(&plan(1)), CARD_FILE);
    let front =
        "---\nbase_model:\n- owner/first\nlibrary_name: transformers\ntags:\n- mergekit\n- merge\n---\n# Linear";
    assert!(card.starts_with(front), "{card}");
    for line in [
        "| `` ./second\\|`x` `` | `11ff` |",
        "| tensors merged | 1 |",
        "| tensors copied | 1 |",
        "| tensors left out | 1 |",
        "| parameters | 5 |",
        "| dtype | BF16 |",
        "| seed | 18446744073709551615 |",
        "merge_method: linear",
    ] {
        assert!(card.lines().any(|found| found == line), "{line} is not in\n{card}");
    }
    assert!(card.contains("[Linear](https://arxiv.org/abs/2203.05482)"));
}

#[test]
fn the_hash_of_an_output_is_its_files_or_the_sum_of_several() {
    assert_eq!(output_hash([]), None);
    assert_eq!(output_hash([("model.safetensors", "12ab")]), Some("12ab".into()));
    // printf '1a  a\n2b  b\n' | sha256sum
    let two = output_hash([("b", "2b"), ("a", "1a")]);
    assert_eq!(two, Some("24a26187a1246b480513ce02ebd334e4309712a062a53cfaa381d1e0be1aec16".into()));
}

#[test]
fn the_metadata_tells_recipes_and_seeds_apart() {
    let inputs = [("a".to_owned(), "1f".to_owned()), ("b\"".to_owned(), "2f".to_owned())];
    let metadata = |recipe: &Recipe, seed| super::metadata(recipe, seed, &inputs);
    let first = metadata(&recipe(), 7);
    assert_eq!(first["merge_studio.inputs"], r#"{"a":"1f","b\"":"2f"}"#);
    assert_eq!(first["merge_studio.method"], "linear");
    assert_eq!(first, metadata(&recipe(), 7));
    assert_ne!(first, metadata(&recipe(), 8));
    assert_ne!(first, metadata(&Recipe { dtype: None, ..recipe() }, 7));
}
