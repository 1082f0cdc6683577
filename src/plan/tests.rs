//! The plan on hand-made models: no file is read.
#![allow(clippy::unwrap_used)]

mod slices;

use std::collections::BTreeMap;

use super::*;
use crate::model::{Config, Family, Model, Tensor, Vocabulary, WeightFile};
use crate::recipe::{FloatName, ModelEntry, Recipe, Setting, Value};

/// A llama-like model of two tensors a layer; tensors are laid out in the order given.
fn model(name: &str, tensors: &[(&str, DType, &[u64])]) -> Model {
    let mut offset = 8;
    let tensors: BTreeMap<String, Tensor> = tensors
        .iter()
        .map(|&(name, dtype, shape)| {
            let len = shape.iter().product::<u64>() * dtype.size();
            offset += len;
            (name.to_owned(), Tensor { file: 0, dtype, shape: shape.to_vec(), offset: offset - len, len })
        })
        .collect();
    Model {
        name: name.to_owned(),
        weight_files: vec![WeightFile { name: "model.safetensors".to_owned(), len: offset }],
        tensors,
        config: Some(Config {
            architecture: Some("LlamaForCausalLM".to_owned()),
            model_type: Some("llama".to_owned()),
            layers: Some(3),
            vocab_size: Some(8),
            tied: Some(false),
            text: "{}".to_owned(),
        }),
        family: Family::Llama,
        companions: BTreeMap::new(),
        vocabulary: None,
        fingerprint: format!("fingerprint of {name}"),
        notices: Vec::new(),
        adapter: None,
    }
}

const EMBED: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";
const UP: [&str; 3] =
    ["model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight", "model.layers.2.mlp.up_proj.weight"];

fn llama(name: &str, dtype: DType) -> Model {
    model(
        name,
        &[
            (EMBED, dtype, &[8, 4]),
            (UP[0], dtype, &[4, 4]),
            (UP[1], dtype, &[4, 4]),
            (UP[2], dtype, &[4, 4]),
            ("model.norm.weight", dtype, &[4]),
        ],
    )
}

fn number(number: f64) -> Setting {
    Setting::Scalar(Value::Number(number))
}

fn entry(name: &str, parameters: &[(&str, Setting)]) -> ModelEntry {
    ModelEntry {
        model: name.to_owned(),
        parameters: parameters.iter().map(|(key, setting)| ((*key).to_owned(), setting.clone())).collect(),
    }
}

fn recipe(method: &str, base: Option<&str>, models: Vec<ModelEntry>) -> Recipe {
    Recipe { merge_method: method.to_owned(), base_model: base.map(str::to_owned), models, ..Recipe::default() }
}

fn slerp(t: Setting) -> Recipe {
    let mut recipe = recipe("slerp", Some("a"), vec![entry("a", &[]), entry("b", &[])]);
    recipe.parameters.insert("t".to_owned(), t);
    recipe
}

fn ties() -> Recipe {
    let weight = [("weight", number(0.5))];
    recipe("ties", Some("a"), vec![entry("b", &weight), entry("c", &weight)])
}

/// Plans with every model bound to its own name.
fn plan_of(recipe: &Recipe, models: &[Model]) -> Result<Plan, PlanError> {
    plan_with(recipe, models, &PlanOptions::default())
}

fn plan_with(recipe: &Recipe, models: &[Model], options: &PlanOptions) -> Result<Plan, PlanError> {
    let binding = models.iter().enumerate().map(|(index, model)| (model.name.clone(), index)).collect();
    plan(recipe, models, &binding, &BTreeMap::new(), options)
}

fn job<'a>(plan: &'a Plan, name: &str) -> &'a Job {
    plan.jobs.iter().find(|job| job.name == name).unwrap()
}

fn merge_rule<'a>(plan: &'a Plan, name: &str) -> &'a MergeRule {
    match &job(plan, name).rule {
        Rule::Merge(rule) => rule,
        Rule::Copy(reason) => panic!("{name} is copied: {reason:?}"),
    }
}

#[test]
fn an_unlisted_base_comes_last_and_gives_config_and_tokenizer() {
    let models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    let plan = plan_of(&ties(), &models).unwrap();
    let names: Vec<&str> = plan.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["b", "c", "a"]);
    assert_eq!(plan.donor, 2);
    let rule = merge_rule(&plan, EMBED);
    assert_eq!(rule.base, Some(2));
    assert_eq!(rule.parameters.input_number(0, "density"), 1.0);
    assert!(rule.parameters.flag("normalize"), "the default of ties");
    assert!(rule.parameters.inputs[2].is_empty(), "a base has no weight and no density");
    assert_eq!(plan.inputs[2].fingerprint, "fingerprint of a");
}

#[test]
fn a_base_of_linear_is_an_ordinary_input_and_needs_a_weight() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let recipe = recipe("linear", Some("a"), vec![entry("b", &[("weight", number(1.0))])]);
    let error = plan_of(&recipe, &models).unwrap_err();
    assert_eq!(
        error,
        PlanError::NoValue { parameter: "weight".to_owned(), tensor: EMBED.to_owned(), input: Some("a".to_owned()) }
    );
}

#[test]
fn gradients_run_over_the_layers_and_stand_at_zero_elsewhere() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let t = Setting::Gradient(vec![Value::Number(0.0), Value::Text("1e-1".to_owned()), Value::Number(0.3)]);
    let plan = plan_of(&slerp(t), &models).unwrap();
    let t = |name: &str| merge_rule(&plan, name).parameters.number("t");
    assert_eq!([t(UP[0]), t(UP[1]), t(UP[2])], [0.0, 0.1, 0.3]);
    assert_eq!([t(EMBED), t("model.norm.weight")], [0.0, 0.0]);
}

#[test]
fn a_filter_list_without_a_match_falls_through_to_the_next_scope() {
    let models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    let mut recipe = ties();
    recipe.models[0]
        .parameters
        .insert("weight".to_owned(), Setting::Filters(vec![(Some("mlp".to_owned()), number(0.9))]));
    assert!(matches!(
        plan_of(&recipe, &models),
        Err(PlanError::NoValue { tensor, input, .. }) if tensor == EMBED && input.as_deref() == Some("b")
    ));
    recipe.parameters.insert("weight".to_owned(), number(0.1));
    let plan = plan_of(&recipe, &models).unwrap();
    assert_eq!(merge_rule(&plan, UP[0]).parameters.input_number(0, "weight"), 0.9);
    assert_eq!(merge_rule(&plan, EMBED).parameters.input_number(0, "weight"), 0.1);
    assert_eq!(merge_rule(&plan, EMBED).parameters.input_number(1, "weight"), 0.5, "a model's own comes first");
}

#[test]
fn values_that_are_not_numbers_or_too_small_are_refused_by_name() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let bad = |setting| match plan_of(&slerp(setting), &models) {
        Err(PlanError::BadValue { value, expected, .. }) => (value, expected),
        other => panic!("{other:?}"),
    };
    assert_eq!(bad(Setting::Scalar(Value::Text("half".to_owned()))), ("\"half\"".to_owned(), Expected::Number));
    assert_eq!(bad(number(f64::INFINITY)), ("inf".to_owned(), Expected::Number));
    let models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    let mut dare = ties();
    dare.merge_method = "dare_ties".to_owned();
    dare.parameters.insert("density".to_owned(), number(-0.1));
    assert!(
        matches!(plan_of(&dare, &models), Err(PlanError::BadValue { expected: Expected::AtLeast(floor), .. }) if floor == 0.0)
    );
    dare.merge_method = "ties".to_owned();
    assert!(plan_of(&dare, &models).is_ok(), "ties keeps nothing at a density below zero, as mergekit does");
}

#[test]
fn weights_that_sum_to_zero_are_refused_unless_nothing_is_divided() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let mut recipe =
        recipe("linear", None, vec![entry("a", &[("weight", number(1.0))]), entry("b", &[("weight", number(-1.0))])]);
    assert_eq!(plan_of(&recipe, &models), Err(PlanError::ZeroWeights { tensor: EMBED.to_owned() }));
    recipe.parameters.insert("normalize".to_owned(), Setting::Scalar(Value::Flag(false)));
    assert!(plan_of(&recipe, &models).is_ok());
}

#[test]
fn a_tensor_that_a_fine_tune_lacks_is_merged_from_the_rest_and_said() {
    let mut models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    models[1].tensors.remove(UP[1]);
    let plan = plan_of(&ties(), &models).unwrap();
    assert_eq!(job(&plan, UP[1]).sources.len(), 2);
    assert_eq!(merge_rule(&plan, UP[1]).base, Some(1));
    assert!(plan.notices.contains(&PlanNotice::Missing { tensor: UP[1].to_owned(), inputs: vec!["b".to_owned()] }));
    models[2].tensors.remove(UP[1]);
    let plan = plan_of(&ties(), &models).unwrap();
    assert_eq!(job(&plan, UP[1]).rule, Rule::Copy(CopyReason::OnlyBase));
    models[2].tensors = models[0].tensors.clone();
    models[0].tensors.remove(UP[1]);
    assert!(matches!(plan_of(&ties(), &models), Err(PlanError::MissingInBase { tensor, .. }) if tensor == UP[1]));
}

#[test]
fn slerp_copies_what_only_one_model_has() {
    let mut models = ["a", "b"].map(|name| llama(name, DType::F32));
    models[0].tensors.remove(UP[1]);
    let plan = plan_of(&slerp(number(0.5)), &models).unwrap();
    assert_eq!(job(&plan, UP[1]).rule, Rule::Copy(CopyReason::OnlyOne));
    assert_eq!(job(&plan, UP[1]).sources[0].input, 1);
}

#[test]
fn embeddings_of_unequal_rows_are_refused_as_a_matter_of_vocabulary() {
    let mut models = ["a", "b"].map(|name| llama(name, DType::F32));
    let tensor = models[1].tensors.get_mut(EMBED).unwrap();
    (tensor.shape, tensor.len) = (vec![9, 4], 144);
    let error = plan_of(&slerp(number(0.5)), &models).unwrap_err();
    assert!(matches!(error, PlanError::ShapesDiffer { vocabulary: true, .. }));
    models[1] = llama("b", DType::F32);
    let tensor = models[1].tensors.get_mut(UP[0]).unwrap();
    (tensor.shape, tensor.len) = (vec![4, 5], 80);
    let error = plan_of(&slerp(number(0.5)), &models).unwrap_err();
    assert!(matches!(error, PlanError::ShapesDiffer { vocabulary: false, .. }));
}

#[test]
fn integers_are_copied_and_never_mixed_with_floats() {
    let with = |name, dtype| {
        let mut model = llama(name, DType::F32);
        let tensor = Tensor { file: 0, dtype, shape: vec![2], offset: 9_000, len: 2 * dtype.size() };
        model.tensors.insert("model.buffer".to_owned(), tensor);
        model
    };
    let plan = plan_of(&slerp(number(0.5)), &[with("a", DType::I64), with("b", DType::I64)]).unwrap();
    let buffer = job(&plan, "model.buffer");
    assert_eq!((&buffer.rule, buffer.dtype, buffer.sources.len()), (&Rule::Copy(CopyReason::NotFloat), DType::I64, 2));
    for other in [DType::I32, DType::F32] {
        let error = plan_of(&slerp(number(0.5)), &[with("a", DType::I64), with("b", other)]).unwrap_err();
        assert!(matches!(error, PlanError::KindsDiffer { .. }), "{other}");
    }
}

#[test]
fn a_quantized_model_is_refused_by_its_method() {
    let mut models = [llama("a", DType::F32), llama("b", DType::F8E4M3)];
    let error = plan_of(&slerp(number(0.5)), &models).unwrap_err();
    let PlanError::Quantized { name, how } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), how.method.as_deref()), ("b", Some("fp8")));
    assert!(error.to_string().starts_with("b is quantized with fp8 ("), "{error}");
    models[1] = llama("b", DType::F32);
    models[1].config.as_mut().unwrap().text = r#"{"quantization_config": null}"#.to_owned();
    plan_of(&slerp(number(0.5)), &models).unwrap();
}

#[test]
fn a_tied_donor_stays_tied_and_an_untied_one_reads_heads_from_embeddings() {
    let mut untied = llama("b", DType::F32);
    let embedding = untied.tensors[EMBED].clone();
    untied.tensors.insert(HEAD.to_owned(), Tensor { offset: 9_000, ..embedding });
    let mut tied = llama("a", DType::F32);
    tied.config.as_mut().unwrap().tied = Some(true);
    let plan = plan_of(&slerp(number(0.5)), &[tied.clone(), untied.clone()]).unwrap();
    assert!(!plan.jobs.iter().any(|job| job.name == HEAD));
    assert_eq!(plan.left_out.len(), 1);
    assert_eq!((plan.left_out[0].input, plan.left_out[0].reason), (1, LeftOutReason::Tied));
    (untied.name, tied.name) = ("a".to_owned(), "b".to_owned());
    let plan = plan_of(&slerp(number(0.5)), &[untied, tied]).unwrap();
    assert_eq!(job(&plan, HEAD).sources[1].name, EMBED);
    assert_eq!(job(&plan, EMBED).sources[1].name, EMBED);
}

#[test]
fn types_are_promoted_unless_the_recipe_names_one() {
    let models = [llama("a", DType::BF16), llama("b", DType::F16)];
    let mut recipe = slerp(number(0.5));
    assert_eq!(job(&plan_of(&recipe, &models).unwrap(), EMBED).dtype, DType::F32);
    recipe.dtype = Some(FloatName::Float64);
    let plan = plan_of(&recipe, &models).unwrap();
    assert_eq!((job(&plan, EMBED).dtype, merge_rule(&plan, EMBED).precision), (DType::F64, Precision::F64));
    recipe.out_dtype = Some(FloatName::Bfloat16);
    let plan = plan_of(&recipe, &models).unwrap();
    assert_eq!((job(&plan, EMBED).dtype, merge_rule(&plan, EMBED).precision), (DType::BF16, Precision::F64));
}

#[test]
fn files_are_full_without_holes_and_headers_say_so() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    for (shard_size, names) in [
        (u64::MAX, vec!["model.safetensors"]),
        (200, vec!["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]),
        (
            1,
            vec![
                "model-00001-of-00005.safetensors",
                "model-00002-of-00005.safetensors",
                "model-00003-of-00005.safetensors",
                "model-00004-of-00005.safetensors",
                "model-00005-of-00005.safetensors",
            ],
        ),
    ] {
        let options = PlanOptions { shard_size, ..PlanOptions::default() };
        let plan = plan_with(&slerp(number(0.5)), &models, &options).unwrap();
        assert_eq!(plan.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), names);
        for (number, file) in plan.files.iter().enumerate() {
            let json = &file.header[8..];
            let header = crate::format::Header::parse(json, file.len).unwrap();
            assert_eq!(header.metadata["format"], "pt");
            let jobs: Vec<&Job> = plan.jobs.iter().filter(|job| job.file == number).collect();
            assert_eq!(header.tensors.len(), jobs.len());
            for (entry, job) in header.tensors.iter().zip(jobs) {
                assert_eq!((&entry.name, header.data_start + entry.start), (&job.name, job.offset));
                assert_eq!(entry.end - entry.start, job.len);
            }
        }
    }
}

#[test]
fn coins_depend_on_seed_tensor_and_position_and_not_on_names() {
    let models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    let mut dare = ties();
    dare.merge_method = "dare_ties".to_owned();
    let plan = |seed| plan_with(&dare, &models, &PlanOptions { seed, ..PlanOptions::default() }).unwrap();
    let one = plan(1);
    let coins = |plan: &Plan, tensor: &str| merge_rule(plan, tensor).coins.clone();
    assert_ne!(coins(&one, EMBED), coins(&plan(2), EMBED));
    assert_ne!(coins(&one, EMBED), coins(&one, UP[0]));
    assert_ne!(coins(&one, EMBED)[0], coins(&one, EMBED)[1]);
    let mut renamed = dare.clone();
    renamed.models[0].model = "d".to_owned();
    let binding = [("a", 0), ("d", 1), ("c", 2)].map(|(name, index)| (name.to_owned(), index)).into();
    let other =
        super::plan(&renamed, &models, &binding, &BTreeMap::new(), &PlanOptions { seed: 1, ..PlanOptions::default() })
            .unwrap();
    assert_eq!(coins(&one, EMBED), coins(&other, EMBED));
    assert!(coins(&plan_of(&ties(), &models).unwrap(), EMBED).is_empty());
}

#[test]
fn what_cannot_be_planned_is_refused_with_its_reason() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let recipe = slerp(number(0.5));
    assert_eq!(
        plan(&recipe, &models, &BTreeMap::new(), &BTreeMap::new(), &PlanOptions::default()),
        Err(PlanError::Unbound("a".to_owned()))
    );
    let three = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    let mut crowded = recipe.clone();
    crowded.models.push(entry("c", &[]));
    assert!(matches!(plan_of(&crowded, &three), Err(PlanError::ModelCount { found: 2, most: Some(1), .. })));
    let mut baseless = recipe.clone();
    baseless.base_model = None;
    assert!(matches!(plan_of(&baseless, &models), Err(PlanError::BaseMissing { .. })));
    let mut deep = models.clone();
    deep[1].config.as_mut().unwrap().layers = Some(4);
    assert!(matches!(plan_of(&recipe, &deep), Err(PlanError::LayersDiffer { second_layers: 4, .. })));
    let empty = models.map(|model| Model { tensors: BTreeMap::new(), ..model });
    assert_eq!(plan_of(&recipe, &empty), Err(PlanError::NothingToMerge));
}

#[test]
fn tokenizers_that_differ_are_named() {
    let vocabulary = |sha256: &str| Some(Vocabulary { tokens: 8, sha256: sha256.to_owned() });
    let models = [("a", "1"), ("b", "2")]
        .map(|(name, tokens)| Model { vocabulary: vocabulary(tokens), ..llama(name, DType::F32) });
    let plan = plan_of(&slerp(number(0.5)), &models).unwrap();
    assert!(plan.notices.contains(&PlanNotice::TokenizersDiffer {
        input: "b".to_owned(),
        count: 0,
        first: Vec::new()
    }));
}

#[test]
fn a_plan_survives_its_journey_to_a_worker() {
    let models = ["a", "b", "c"].map(|name| llama(name, DType::BF16));
    let options = PlanOptions { seed: u64::MAX, ..PlanOptions::default() };
    let mut dare = ties();
    dare.merge_method = "dare_ties".to_owned();
    dare.parameters.insert("density".to_owned(), number(0.3));
    let plan = plan_with(&dare, &models, &options).unwrap();
    let bytes = postcard::to_allocvec(&plan).unwrap();
    assert_eq!(postcard::from_bytes::<Plan>(&bytes).unwrap(), plan);
}

#[test]
fn a_tensor_that_too_few_models_have_is_the_bases() {
    let mut models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    models[2].tensors.remove(UP[1]);
    let stock = recipe("model_stock", Some("a"), vec![entry("b", &[]), entry("c", &[])]);
    let plan = plan_of(&stock, &models).unwrap();
    assert_eq!(job(&plan, UP[1]).rule, Rule::Copy(CopyReason::OnlyBase));
    assert_eq!(plan.inputs[job(&plan, UP[1]).sources[0].input].name, "a");
    assert!(matches!(job(&plan, UP[0]).rule, Rule::Merge(_)));
}

#[test]
fn a_method_with_an_optional_base_counts_the_others() {
    let models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    let weight = [("weight", number(0.5))];
    let both = vec![entry("b", &weight), entry("c", &weight)];
    let without = plan_of(&recipe("nuslerp", None, both.clone()), &models).unwrap();
    assert_eq!(merge_rule(&without, UP[0]).base, None);
    let with = plan_of(&recipe("nuslerp", Some("a"), both), &models).unwrap();
    assert_eq!(merge_rule(&with, UP[0]).base, Some(2));
    let one = recipe("nuslerp", Some("a"), vec![entry("b", &weight)]);
    assert!(matches!(plan_of(&one, &models), Err(PlanError::ModelCount { found: 1, least: 2, most: Some(2), .. })));
}

#[test]
fn chances_beyond_certainty_are_refused_by_model_and_numbers() {
    let models = ["a", "b", "c"].map(|name| llama(name, DType::F32));
    let mut della = ties();
    della.merge_method = "della".to_owned();
    della.models[1].parameters.insert("density".to_owned(), number(0.95));
    assert!(matches!(
        plan_of(&della, &models),
        Err(PlanError::Chances { input, density, epsilon, .. }) if input == "c" && density == 0.95 && epsilon == 0.15
    ));
}
