//! Slices and modules.

use super::*;
use crate::recipe::{DEFAULT_MODULE, Module, Slice, SliceSource};

fn source(name: &str, layers: (u64, u64), parameters: &[(&str, Setting)]) -> SliceSource {
    SliceSource { model: name.to_owned(), layers, parameters: entry(name, parameters).parameters }
}

fn slice(sources: Vec<SliceSource>) -> Slice {
    Slice { sources, ..Slice::default() }
}

fn sliced(method: &str, base: Option<&str>, slices: Vec<Slice>) -> Recipe {
    Recipe { slices, ..recipe(method, base, Vec::new()) }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.jobs.iter().map(|job| job.name.as_str()).collect()
}

#[test]
fn slices_repeat_drop_and_interleave_layers() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let recipe = sliced(
        "passthrough",
        None,
        vec![
            slice(vec![source("a", (1, 2), &[])]),
            slice(vec![source("b", (0, 2), &[])]),
            slice(vec![source("a", (1, 2), &[])]),
        ],
    );
    let plan = plan_of(&recipe, &models).unwrap();
    let up = |layer: u64| format!("model.layers.{layer}.mlp.up_proj.weight");
    assert_eq!(names(&plan), [EMBED, &up(0), &up(1), &up(2), &up(3), "model.norm.weight"]);
    let from = |layer: u64| {
        let source = &job(&plan, &up(layer)).sources[0];
        (source.input, source.name.clone())
    };
    assert_eq!([from(0), from(1), from(2), from(3)], [(0, up(1)), (1, up(0)), (1, up(1)), (0, up(1))]);
    let layers: Vec<(usize, u64)> = plan.layers[0].layers.iter().map(|layer| (layer.input, layer.layer)).collect();
    assert_eq!(layers, [(0, 1), (1, 0), (1, 1), (0, 1)]);
    let dropped: Vec<(usize, &str)> = plan
        .left_out
        .iter()
        .filter(|left_out| left_out.reason == LeftOutReason::NotInSlices)
        .map(|left_out| (left_out.input, left_out.tensor.as_str()))
        .collect();
    let (first, last) = (up(0), up(2));
    assert_eq!(
        dropped,
        [(0, first.as_str()), (0, last.as_str()), (1, EMBED), (1, last.as_str()), (1, "model.norm.weight")]
    );
}

#[test]
fn gradients_run_within_a_slice_and_a_layer_alone_stands_at_their_end() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let both = |a, b| slice(vec![source("a", a, &[]), source("b", b, &[])]);
    let mut recipe = sliced("slerp", Some("a"), vec![both((0, 3), (0, 3)), both((2, 3), (0, 1))]);
    recipe.parameters.insert("t".to_owned(), Setting::Gradient(vec![Value::Number(0.2), Value::Number(0.6)]));
    recipe.slices[1].parameters.insert(
        "t".to_owned(),
        Setting::Filters(vec![(
            Some("layers.3".to_owned()),
            Setting::Gradient([0.1, 0.9].map(Value::Number).to_vec()),
        )]),
    );
    let plan = plan_of(&recipe, &models).unwrap();
    let t = |name: &str| merge_rule(&plan, name).parameters.number("t");
    assert_eq!([t(UP[0]), t(UP[1]), t(UP[2])], [0.2, 0.4, 0.6]);
    assert_eq!(t("model.layers.3.mlp.up_proj.weight"), 0.9, "the slice's own, at the end");
    assert_eq!([t(EMBED), t("model.norm.weight")], [0.2, 0.2], "the last slice's filter does not match");
}

#[test]
fn a_source_s_setting_comes_before_the_slices_the_modules_and_the_recipes() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let only = |filter: &str, value| Setting::Filters(vec![(Some(filter.to_owned()), number(value))]);
    let own = [("weight", only("layers.0", 0.9))];
    let mut of_slice = slice(vec![source("a", (0, 3), &own), source("b", (0, 3), &[])]);
    of_slice.parameters.insert("weight".to_owned(), only("layers.1", 0.7));
    let mut module = Module { name: DEFAULT_MODULE.to_owned(), slices: vec![of_slice], ..Module::default() };
    module.parameters.insert("weight".to_owned(), only("layers.", 0.5));
    let mut recipe = Recipe { modules: vec![module], ..recipe("linear", None, Vec::new()) };
    recipe.parameters.insert("weight".to_owned(), number(0.3));
    let plan = plan_of(&recipe, &models).unwrap();
    let weight = |name: &str| merge_rule(&plan, name).parameters.input_number(0, "weight");
    assert_eq!([weight(UP[0]), weight(UP[1]), weight(UP[2]), weight(EMBED)], [0.9, 0.7, 0.5, 0.3]);
}

#[test]
fn the_last_slice_gives_norm_and_head_with_as_many_sources_as_the_first_has() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let weight = [("weight", number(0.5))];
    let recipe = sliced(
        "linear",
        None,
        vec![
            slice(vec![source("a", (0, 1), &weight)]),
            slice(vec![source("b", (0, 2), &weight), source("a", (0, 2), &weight)]),
        ],
    );
    let plan = plan_of(&recipe, &models).unwrap();
    let inputs = |name: &str| job(&plan, name).sources.iter().map(|source| source.input).collect::<Vec<_>>();
    assert_eq!([inputs(EMBED), inputs(UP[1]), inputs("model.norm.weight")], [vec![0], vec![1, 0], vec![1]]);
}

#[test]
fn slices_that_cannot_be_cut_are_refused_with_their_reason() {
    let models = ["a", "b"].map(|name| llama(name, DType::F32));
    let beyond = sliced("passthrough", None, vec![slice(vec![source("a", (2, 4), &[])])]);
    assert_eq!(plan_of(&beyond, &models), Err(PlanError::LayerRange { model: "a".to_owned(), end: 4, layers: 3 }));
    let uneven = slice(vec![source("a", (0, 2), &[]), source("b", (0, 1), &[])]);
    let mut recipe = sliced("slerp", Some("a"), vec![uneven]);
    assert_eq!(plan_of(&recipe, &models), Err(PlanError::SliceLengths { slice: 1 }));
    recipe.slices = vec![slice(vec![source("b", (0, 2), &[])])];
    assert_eq!(plan_of(&recipe, &models), Err(PlanError::BaseNotInSlice { base: "a".to_owned(), slice: 1 }));
}

#[test]
fn a_layers_number_may_be_spelt_in_two_ways_and_counts_once() {
    let spelt = ["model.layers.007.mlp.up_proj.weight", "model.layers.7.mlp.up_proj.weight"];
    let mut model = model("a", &[(spelt[0], DType::F32, &[4, 4]), (spelt[1], DType::F32, &[4, 4])]);
    model.config.as_mut().unwrap().layers = Some(8);
    let plan = plan_of(&sliced("passthrough", None, vec![slice(vec![source("a", (7, 8), &[])])]), &[model]).unwrap();
    assert_eq!(names(&plan), [UP[0]]);
    assert_eq!((plan.jobs[0].sources[0].name.as_str(), plan.left_out.len()), (spelt[0], 1));
}

/// mergekit runs such a recipe as well, but subtracts the range's layers from config.json's count.
#[test]
fn a_reversed_range_gives_no_layers_and_takes_none_away() {
    let models = ["a"].map(|name| llama(name, DType::F32));
    let ranges = [(0, 1), (9, 0), (1, 2)].map(|range| slice(vec![source("a", range, &[])]));
    let plan = plan_of(&sliced("passthrough", None, ranges.to_vec()), &models).unwrap();
    assert_eq!(names(&plan), [EMBED, UP[0], UP[1], "model.norm.weight"]);
    assert_eq!(plan.layers[0].layers.len(), 2);
}

#[test]
fn modules_are_merged_each_by_itself_and_the_rest_is_the_donors() {
    let with_eyes = |name: &str| {
        let block = "visual.blocks.0.norm1.weight";
        model(
            name,
            &[
                (UP[0], DType::F32, &[4, 4]),
                (EMBED, DType::F32, &[8, 4]),
                (block, DType::F32, &[4]),
                ("visual.merger.mlp.weight", DType::F32, &[4]),
            ],
        )
    };
    let models = ["a", "b"].map(with_eyes);
    let module = |name: &str, weight| {
        let models = ["a", "b"].map(|model| entry(model, &[("weight", number(weight))])).to_vec();
        Module { name: name.to_owned(), models, ..Module::default() }
    };
    let text = Module {
        slices: vec![slice(vec![source("b", (0, 1), &[("weight", number(1.0))])])],
        models: vec![],
        ..module("text_decoder", 0.5)
    };
    let mut recipe = Recipe { modules: vec![text, module("vision_tower", 0.25)], ..recipe("linear", None, Vec::new()) };
    let plan = plan_of(&recipe, &models).unwrap();
    assert_eq!(job(&plan, UP[0]).sources.len(), 1);
    assert_eq!(merge_rule(&plan, "visual.blocks.0.norm1.weight").parameters.input_number(1, "weight"), 0.25);
    assert_eq!(job(&plan, "visual.merger.mlp.weight").rule, Rule::Copy(CopyReason::OutsideModules));
    assert_eq!(plan.layers.iter().map(|part| part.section.as_str()).collect::<Vec<_>>(), ["text_decoder"]);
    recipe.modules[0].name = "text_encoder".to_owned();
    assert!(
        matches!(plan_of(&recipe, &models), Err(PlanError::NoSuchModule { module, .. }) if module == "text_encoder")
    );
}
