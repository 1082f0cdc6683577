//! The linter on slices, modules and the names of models: what is wrong, and where exactly.

use merge_studio::recipe::{Expected, Found, Place, ProblemKind as Kind, Setting, Severity, Value};

use super::{assert_problems, fixed, lint, shape};

/// The SLERP of two models' layers that model cards show.
const SLERP: &str = "slices:
  - sources:
      - model: a
        layer_range: [0, 32]
      - model: b
        layer_range: [0, 32]
merge_method: slerp
base_model: a
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: bfloat16
";

/// Two slices of one source each, one on top of the other.
const STACK: &str = "slices:
  - sources:
      - model: a
        layer_range: [0, 16]
  - sources:
      - model: b
        layer_range: [8, 24]
merge_method: passthrough
";

#[test]
fn slices_are_read() {
    assert_problems(SLERP, &[]);
    let recipe = lint(SLERP).recipe.unwrap();
    assert!(recipe.models.is_empty() && recipe.modules.is_empty());
    let sources = &recipe.slices[0].sources;
    assert_eq!(sources.iter().map(|source| source.model.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(sources[1].layers, (0, 32));
    assert_problems(STACK, &[]);
    let recipe = lint(STACK).recipe.unwrap();
    assert_eq!(recipe.slices.iter().map(|slice| slice.sources[0].layers).collect::<Vec<_>>(), [(0, 16), (8, 24)]);
}

#[test]
fn modules_are_read() {
    let text = "modules:
  text:
    slices:
      - sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]
        parameters: {weight: 0.25}
  vision:
    models: [{model: a}, {model: b, parameters: {weight: 3}}]
    parameters: {weight: 2}
merge_method: linear
";
    assert_problems(text, &[]);
    let modules = lint(text).recipe.unwrap().modules;
    let weight = |number| Some(Setting::Scalar(Value::Number(number)));
    assert_eq!(modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["text", "vision"]);
    assert_eq!(modules[0].slices[0].parameters.get("weight").cloned(), weight(0.25));
    assert_eq!(modules[1].parameters.get("weight").cloned(), weight(2.0));
    assert_eq!(modules[1].models[1].parameters.get("weight").cloned(), weight(3.0));
}

#[test]
fn one_of_models_slices_and_modules_is_given() {
    let exclusive = |first: &str, second: &str| Kind::Exclusive { first: first.into(), second: second.into() };
    let models = "models: [{model: a}]\nmerge_method: karcher\n";
    let slices = "slices: [{sources: [{model: a, layer_range: [0, 1]}]}]\n";
    let modules = "modules: {m: {models: [{model: a}]}}\n";
    assert_problems(&format!("{models}{slices}"), &[(3, 1, exclusive("models", "slices"))]);
    assert_problems(&format!("{models}{modules}"), &[(3, 1, exclusive("models", "modules"))]);
    assert_problems(&format!("{models}slices: []\nmodules: ~\n"), &[]);
    assert_problems(&format!("{slices}models: []\nmerge_method: karcher\n"), &[]);
    let empty = |key: &str| Kind::NoEntries { key: key.into() };
    assert_problems("slices: []\nmerge_method: karcher\n", &[(1, 9, empty("slices"))]);
    assert_problems("modules: {}\nmerge_method: karcher\n", &[(1, 10, empty("modules"))]);
    assert_problems("slices: [{sources: []}]\nmerge_method: karcher\n", &[(1, 20, empty("sources"))]);
    assert_problems("modules: {m: {}}\nmerge_method: karcher\n", &[(1, 11, Kind::MissingKey { key: "models".into() })]);
    let both = "modules: {m: {models: [{model: a}], slices: [{sources: [{model: a, layer_range: [0, 1]}]}]}}\nmerge_method: karcher\n";
    assert_problems(both, &[(1, 37, exclusive("models", "slices"))]);
    assert_problems(
        "modules: {1: {models: [{model: a}]}}\nmerge_method: karcher\n",
        &[(1, 11, Kind::KeyNotText { found: Found::Number(1.0) })],
    );
    assert_problems(
        "modules: [m]\nslices: {}\nmerge_method: karcher\n",
        &[
            (1, 10, shape("modules", Expected::Mapping, Found::List)),
            (2, 9, shape("slices", Expected::List, Found::Mapping)),
        ],
    );
}

#[test]
fn layer_ranges_are_two_whole_numbers() {
    let range =
        |value: &str| format!("slices: [{{sources: [{{model: a, layer_range: {value}}}]}}]\nmerge_method: karcher\n");
    for value in
        ["[0, 2]", "['0', '2']", "[0.0, 2.0]", "[0, ' 2 ']", "[0, '2.0']", "[0, 0x2]", "[0, 010]", "[0, '1_0']"]
    {
        assert_problems(&range(value), &[]);
    }
    assert_eq!(lint(&range("['1_0', 010]")).recipe.unwrap().slices[0].sources[0].layers, (10, 8));
    let flag = Kind::FlagForNumber { parameter: "layer_range".into(), flag: true };
    assert_problems(&range("[false, true]").replace("false", "0"), &[(1, 49, flag)]);
    for (value, column, found) in [
        ("[0, 1.5]", 49, Found::Number(1.5)),
        ("[0, 1e3]", 49, Found::Text("1e3".into())),
        ("[0, '1.5']", 49, Found::Text("1.5".into())),
        ("[0, .inf]", 49, Found::Number(f64::INFINITY)),
        ("[0, ~]", 49, Found::Nothing),
    ] {
        assert_problems(&range(value), &[(1, column, shape("layer_range", Expected::Whole, found))]);
    }
    for (value, found) in [("[0]", Found::List), ("[0, 1, 2]", Found::List), ("'0,2'", Found::Text("0,2".into()))] {
        assert_problems(&range(value), &[(1, 45, shape("layer_range", Expected::Layers, found))]);
    }
    // mergekit takes -1 for the layer of that number, and stops where no tensor has it.
    let outside = |value| Kind::OutOfRange { key: "layer_range".into(), value, max: 100_000 };
    assert_problems(&range("[-1, 2]"), &[(1, 46, outside(-1.0))]);
    assert_problems(&range("[0, 99999999999]"), &[(1, 49, outside(99_999_999_999.0))]);
    for (value, first, end) in [("[2, 2]", 2, 2), ("[3, 1]", 3, 1)] {
        assert_problems(&range(value), &[(1, 45, Kind::EmptyRange { first, end })]);
        assert!(lint(&range(value)).recipe.is_some(), "mergekit runs it");
    }
    let text = STACK.replace("        layer_range: [0, 16]\n", "");
    assert_problems(&text, &[(3, 9, Kind::MissingKey { key: "layer_range".into() })]);
    let text = STACK.replace("layer_range: [0, 16]", "layer_rang: [0, 16]");
    let kind =
        Kind::UnknownKey { key: "layer_rang".into(), place: Place::Source, suggestion: Some("layer_range".into()) };
    assert_problems(&text, &[(3, 9, Kind::MissingKey { key: "layer_range".into() }), (4, 9, kind)]);
    assert_eq!(fixed(&text), STACK);
}

#[test]
fn a_slice_is_sound_in_itself() {
    let text = SLERP.replacen("[0, 32]", "[0, 16]", 1);
    assert_problems(&text, &[(6, 22, Kind::SliceLengths { found: 32, wanted: 16, line: 4 })]);
    let text = SLERP.replace("model: b", "model: a");
    assert_problems(&text, &[(5, 16, Kind::DuplicateModel { name: "a".into(), first: 3 })]);
    let text = SLERP.replace("base_model: a", "base_model: z");
    let count = Kind::ModelCount { method: "slerp".into(), found: 2, min: 1, max: Some(1) };
    assert_problems(&text, &[(2, 5, count), (2, 5, Kind::BaseNotInSlice { base: "z".into() })]);
    let text = STACK.replace("passthrough", "slerp\nparameters: {t: 0.5}");
    assert_problems(&text, &[(8, 15, Kind::MissingBase { method: "slerp".into() })]);
    assert!(lint(&text).problems[0].fix.is_none(), "no model is in every slice");
    let text = SLERP.replace("base_model: a\n", "");
    assert_eq!(fixed(&text), text.clone() + "base_model: a\n");
    let text = "slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]}]\nmerge_method: passthrough\n";
    assert_problems(
        text,
        &[(1, 11, Kind::ModelCount { method: "passthrough".into(), found: 2, min: 1, max: Some(1) })],
    );
}

#[test]
fn a_slice_may_have_a_base_of_its_own() {
    let own = SLERP.replace("base_model: a\n", "").replace("merge_method", "    base_model: b\nmerge_method");
    assert_problems(&own, &[]);
    assert_eq!(lint(&own).recipe.unwrap().slices[0].base_model.as_deref(), Some("b"));
    let text = own.replace("base_model: b", "base_model: z");
    let count = Kind::ModelCount { method: "slerp".into(), found: 2, min: 1, max: Some(1) };
    assert_problems(&text, &[(2, 5, count), (7, 17, Kind::BaseNotInSlice { base: "z".into() })]);
    let text = STACK.replace("  - sources:\n      - model: b", "    base_model: b\n  - sources:\n      - model: b");
    assert_problems(&text, &[(5, 5, Kind::SliceBase { method: "passthrough".into() })]);
    assert_eq!(fixed(&text), STACK);
    // A base for the whole recipe gives its config and its tokenizer.
    assert_problems(&format!("{STACK}base_model: z\n"), &[]);
}

#[test]
fn parameters_are_looked_for_in_source_slice_module_and_recipe() {
    let slice = |of_a: &str, of_slice: &str, of_module: &str, of_all: &str| {
        format!(
            "modules:\n  m:\n    slices:\n      - sources:\n          - {{model: a, layer_range: [0, 2], parameters: {{{of_a}}}}}\n          - {{model: b, layer_range: [0, 2], parameters: {{weight: 1}}}}\n        parameters: {{{of_slice}}}\n    parameters: {{{of_module}}}\nmerge_method: linear\nparameters: {{{of_all}}}\n"
        )
    };
    for text in [
        slice("weight: 1", "", "", ""),
        slice("", "weight: 1", "", ""),
        slice("", "", "weight: 1", ""),
        slice("", "", "", "weight: 1"),
    ] {
        assert_problems(&text, &[]);
    }
    let missing = |model| Kind::MissingParameter { method: "linear".into(), parameter: "weight".into(), model };
    assert_problems(&slice("", "", "", ""), &[(5, 21, missing(Some("a".into())))]);
    assert_problems(&slice("weight: -1", "", "", ""), &[(5, 66, Kind::ZeroWeights { method: "linear".into() })]);
    assert_problems(&slice("weight: -1", "normalize: false", "", ""), &[]);
    assert_problems(
        &slice("weight: -1", "normalize: true", "normalize: false", ""),
        &[(5, 66, Kind::ZeroWeights { method: "linear".into() })],
    );

    let text = SLERP.replace("dtype", "dtyp").split("parameters:").next().unwrap().to_owned();
    let no_t = Kind::MissingParameter { method: "slerp".into(), parameter: "t".into(), model: None };
    assert_problems(&text, &[(7, 15, no_t.clone())]);
    let twice = text.replace(
        "merge_method",
        "    parameters: {t: 0.5}\n  - sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]\nmerge_method",
    );
    assert_problems(&twice, &[(8, 5, no_t)]);
}

#[test]
fn a_parameter_for_all_models_moves_from_a_source_to_its_slice() {
    let text = SLERP
        .replace("dtype: bfloat16\n", "")
        .replace("      - model: b", "        parameters:\n          t: 1\n      - model: b");
    let kind = Kind::SharedUnderModel { parameter: "t".into(), belongs: Place::SliceParameters };
    assert_problems(&text, &[(6, 11, kind)]);
    let moved = fixed(&text);
    assert!(moved.contains("layer_range: [0, 32]\n    parameters:\n      t: 1\nmerge_method"), "{moved}");
    assert_problems(&moved, &[]);
}

#[test]
fn keys_in_the_wrong_place_of_a_slice_are_told_of() {
    let misplaced = |key: &str, belongs| Kind::Misplaced { key: key.into(), belongs };
    let in_slice = |line: &str| {
        STACK.replacen("  - sources:\n      - model: b", &format!("    {line}\n  - sources:\n      - model: b"), 1)
    };
    let in_source = |line: &str| STACK.replacen("[0, 16]\n", &format!("[0, 16]\n        {line}\n"), 1);
    assert_problems(&in_slice("scale: 2"), &[(5, 5, misplaced("scale", Place::SliceParameters))]);
    assert!(fixed(&in_slice("scale: 2")).contains("    parameters:\n      scale: 2\n"));
    assert_problems(&in_source("scale: 2"), &[(5, 9, misplaced("scale", Place::ModelParameters))]);
    assert!(fixed(&in_source("scale: 2")).contains("        parameters:\n          scale: 2\n"));
    assert_problems(&in_slice("dtype: float16"), &[(5, 5, misplaced("dtype", Place::Top))]);
    assert_eq!(
        fixed(&in_slice("dtype: float16")),
        format!(
            "{STACK}dtype: float16
"
        )
    );
    assert_problems(&in_source("base_model: a"), &[(5, 9, misplaced("base_model", Place::Slice))]);
    assert_problems(&in_slice("residual_weight: 1"), &[(5, 5, Kind::NoEffect { key: "residual_weight".into() })]);
    assert_eq!(fixed(&in_slice("residual_weight: 1")), STACK);
    assert_problems(
        &in_slice("residual_weight: x"),
        &[(5, 22, Kind::NotANumber { parameter: "residual_weight".into(), found: Found::Text("x".into()) })],
    );
    let models = STACK.replacen("sources", "models", 1);
    let unknown = Kind::UnknownKey { key: "models".into(), place: Place::Slice, suggestion: Some("sources".into()) };
    assert_problems(&models, &[(2, 5, Kind::MissingKey { key: "sources".into() }), (2, 5, unknown)]);
    assert_eq!(fixed(&models), STACK);
    assert_problems(
        "models:\n  - model: a\n    layer_range: [0, 2]\nmerge_method: karcher\n",
        &[(3, 5, misplaced("layer_range", Place::Source))],
    );
    assert_problems(
        "modules: {m: {models: [{model: a}], base_model: a}}\nmerge_method: karcher\n",
        &[(1, 37, misplaced("base_model", Place::Top))],
    );
    assert_problems(
        "slices:\n  - 3\n  - sources: {}\nmerge_method: karcher\n",
        &[
            (2, 5, Kind::Shape { key: None, expected: Expected::Slice, found: Found::Number(3.0) }),
            (3, 14, shape("sources", Expected::List, Found::Mapping)),
        ],
    );
}

#[test]
fn names_may_have_an_adapter_and_be_mappings() {
    let name = |name: &str| format!("models: [{{model: {name}}}]\nmerge_method: karcher\n");
    for (written, read) in [
        ("b+c", "b+c"),
        ("b@x+c@d", "b@x+c@d"),
        ("{model: b}", "b"),
        ("{model: b@r}", "b@r"),
        ("{model: {path: b, revision: r}}", "b@r"),
        ("{model: {path: b, revision: ~}, lora: ~}", "b"),
        ("{model: b, lora: c}", "b+c"),
        ("{model: b, lora: {path: c, revision: q}, override_architecture: ~}", "b+c@q"),
    ] {
        assert_problems(&name(written), &[]);
        assert_eq!(lint(&name(written)).recipe.unwrap().models[0].model, read);
    }
    for (written, column, bad) in [
        ("b+c+d", 18, "b+c+d"),
        ("b@c@d", 18, "b@c@d"),
        ("b+", 18, "b+"),
        ("+b", 18, "+b"),
        ("' '", 18, " "),
        ("{model: b, lora: c@d@e}", 18, "b+c@d@e"),
    ] {
        assert_problems(&name(written), &[(1, column, Kind::ModelName { name: bad.into() })]);
    }
    // A sign within a path: mergekit reads it, but there is no text that says it.
    for (written, column, bad) in [
        ("{model: b+c}", 26, "b+c"),
        ("{model: {path: b@r}}", 33, "b@r"),
        ("{model: {path: b, revision: x+y}}", 46, "x+y"),
        ("{model: b, lora: {path: a+b}}", 42, "a+b"),
    ] {
        assert_problems(&name(written), &[(1, column, Kind::PathSign { path: bad.into() })]);
    }
    assert_problems(
        &name("{path: b}"),
        &[
            (1, 18, Kind::MissingKey { key: "model".into() }),
            (1, 19, Kind::UnknownKey { key: "path".into(), place: Place::Name, suggestion: None }),
        ],
    );
    assert_problems(&name("{model: {path: 3}}"), &[(1, 33, shape("path", Expected::Text, Found::Number(3.0)))]);
    assert_problems(&name("{model: b, override_architecture: X}"), &[(1, 29, Kind::OverrideArchitecture)]);
    let twice = "models: [{model: b@r}, {model: {model: {path: b, revision: r}}}]\nmerge_method: karcher\n";
    assert_problems(twice, &[(1, 32, Kind::DuplicateModel { name: "b@r".into(), first: 1 })]);
}

#[test]
fn what_an_alias_repeats_is_said_once() {
    let text = "slices:\n  - &s\n    sources: [{model: a, layer_range: [2, 2]}]\n    colour: red\n  - *s\n  - *s\nmerge_method: karcher\n";
    let checked = lint(text);
    assert_eq!(checked.problems.len(), 2, "{:?}", checked.problems);
    assert!(checked.problems.iter().all(|problem| problem.severity == Severity::Warning));
    assert_eq!(checked.recipe.unwrap().slices.len(), 3);
}

#[test]
fn messages_say_what_where_and_what_to_do() {
    let message = |text: &str| lint(text).problems[0].to_string();
    assert_eq!(
        message(&STACK.replace("[0, 16]", "[-1, 16]")),
        "line 4, column 23: error: `layer_range` must lie between 0 and 100000, but here is -1; layers count from 0"
    );
    assert_eq!(
        message(&STACK.replace("[0, 16]", "[16, 16]")),
        "line 4, column 22: warning: no layer lies from 16 to before 16: this slice adds none to the result; the second number is that of the layer after the last"
    );
    assert_eq!(
        message(&SLERP.replacen("[0, 32]", "[0, 16]", 1)),
        "line 6, column 22: error: this range has 32 layers, and the one in line 4 has 16: the sources of a slice are merged layer by layer and need the same number"
    );
}
