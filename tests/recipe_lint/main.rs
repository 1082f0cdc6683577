//! The linter, by table: what is wrong with a text, and where exactly.
#![allow(clippy::unwrap_used)]

mod parts;
mod tokens;

use merge_studio::method::infos;
use merge_studio::recipe::{
    Checked, Expected, Found, Place, ProblemKind as Kind, Setting, Severity, Value, check, examples,
};

fn lint(text: &str) -> Checked {
    check(text, &infos())
}

/// The problems of a text, by line and column.
fn assert_problems(text: &str, expected: &[(usize, usize, Kind)]) {
    let found: Vec<(usize, usize, Kind)> =
        lint(text).problems.into_iter().map(|problem| (problem.span.line, problem.span.column, problem.kind)).collect();
    assert_eq!(found, expected, "in\n{text}");
}

/// The text after the only fix that its problems have.
fn fixed(text: &str) -> String {
    let fixes: Vec<_> = lint(text).problems.into_iter().filter_map(|problem| problem.fix).collect();
    let [fix] = fixes.as_slice() else { panic!("{} fixes for\n{text}", fixes.len()) };
    fix.apply(text)
}

/// A linear recipe of `a` and `b`, with more text behind it.
fn linear(more: &str) -> String {
    format!(
        "models:\n  - model: a\n    parameters: {{weight: 1}}\n  - model: b\n    parameters: {{weight: 1}}\nmerge_method: linear\n{more}"
    )
}

/// A ties recipe of `a` and `b` on `z`; `of_a` are the parameters of `a`.
fn ties(of_a: &str, more: &str) -> String {
    format!(
        "models:\n  - model: a\n    parameters:\n{of_a}\n  - model: b\n    parameters:\n      weight: 1\nmerge_method: ties\nbase_model: z\n{more}"
    )
}

fn shape(key: &str, expected: Expected, found: Found) -> Kind {
    Kind::Shape { key: Some(key.into()), expected, found }
}

/// The same of a value that has no key.
fn nameless(expected: Expected, found: Found) -> Kind {
    Kind::Shape { key: None, expected, found }
}

#[test]
fn the_examples_are_clean() {
    for example in examples() {
        let checked = lint(example.text);
        assert_eq!(checked.problems, [], "{}", example.id);
        assert_eq!(checked.recipe.unwrap().merge_method, example.id);
    }
}

#[test]
fn structure() {
    assert_problems("- a", &[(1, 1, nameless(Expected::Mapping, Found::List))]);
    assert_problems("hello", &[(1, 1, nameless(Expected::Mapping, Found::Text("hello".into())))]);
    assert_problems(
        "dtype: float16",
        &[(1, 1, Kind::MissingKey { key: "merge_method".into() }), (1, 1, Kind::MissingKey { key: "models".into() })],
    );
    assert_problems("models: []\nmerge_method: linear", &[(1, 9, Kind::NoEntries { key: "models".into() })]);
    assert_problems(
        "models: {model: a}\nmerge_method: linear",
        &[(1, 9, shape("models", Expected::List, Found::Mapping))],
    );
    assert_problems(
        "models:\n  - a\nmerge_method: linear",
        &[(2, 5, nameless(Expected::Model, Found::Text("a".into())))],
    );
    assert_problems(
        "models:\n  - parameters: {weight: 1}\nmerge_method: linear",
        &[(2, 5, Kind::MissingKey { key: "model".into() })],
    );
    assert_problems(
        "models:\n  - model: a\n    parameters: [1]\nmerge_method: linear\n",
        &[
            (
                2,
                12,
                Kind::MissingParameter { method: "linear".into(), parameter: "weight".into(), model: Some("a".into()) },
            ),
            (3, 17, shape("parameters", Expected::Mapping, Found::List)),
        ],
    );
    assert_problems(&linear("parameters:\n  1: 2\n"), &[(8, 3, Kind::KeyNotText { found: Found::Number(1.0) })]);
    assert_problems(
        &linear("parameters: ~\nbase_model: ~\ndtype: ~\nslices: []\nmodules: {}\ntokenizer:\nchat_template: ''\n"),
        &[],
    );
}

#[test]
fn an_architecture_that_a_recipe_claims_is_refused_by_name() {
    assert_problems(
        &linear("base_model: {model: a, override_architecture: X}"),
        &[(7, 24, Kind::OverrideArchitecture)],
    );
}

#[test]
fn misspelt_words_get_a_suggestion_and_a_fix() {
    let text = ties("      weight: 1\n      densty: 0.5", "");
    let kind = Kind::ForeignParameter {
        parameter: "densty".into(),
        method: "ties".into(),
        suggestion: Some("density".into()),
    };
    assert_problems(&text, &[(5, 7, kind)]);
    assert!(fixed(&text).contains("      density: 0.5\n"));

    let text = linear("dtyp: float16");
    let kind = Kind::UnknownKey { key: "dtyp".into(), place: Place::Top, suggestion: Some("dtype".into()) };
    assert_problems(&text, &[(7, 1, kind)]);
    assert_eq!(fixed(&text), linear("dtype: float16"));

    let text = linear("").replace("linear", "liner");
    assert_problems(&text, &[(6, 15, Kind::UnknownMethod { name: "liner".into(), suggestion: Some("linear".into()) })]);
    assert_eq!(fixed(&text), linear(""));

    assert_problems(
        &linear("colour: red"),
        &[(7, 1, Kind::UnknownKey { key: "colour".into(), place: Place::Top, suggestion: None })],
    );
}

#[test]
fn dtypes() {
    for (word, suggestion) in [
        ("fp16", "float16"),
        ("bf16", "bfloat16"),
        ("bfloat", "bfloat16"),
        ("half", "float16"),
        ("Float16", "float16"),
        ("torch.bfloa16", "bfloat16"),
        ("double", "float64"),
    ] {
        let text = linear(&format!("dtype: {word}\n"));
        let kind = Kind::UnknownDtype { name: word.into(), suggestion: Some(suggestion.into()) };
        assert_problems(&text, &[(7, 8, kind)]);
        assert_eq!(fixed(&text), linear(&format!("dtype: {suggestion}\n")));
    }
    assert_problems(&linear("dtype: torch.float16\nout_dtype: bfloat16"), &[]);
    assert_problems(&linear("out_dtype: int64"), &[(7, 12, Kind::IntegerDtype { name: "int64".into() })]);
    assert_problems(&linear("dtype: 16"), &[(7, 8, shape("dtype", Expected::Text, Found::Number(16.0)))]);
}

#[test]
fn misplaced_keys_move_where_they_count() {
    let misplaced = |key: &str, belongs| Kind::Misplaced { key: key.into(), belongs };
    let text = linear("normalize: false\ndtype: float16\n");
    assert_problems(&text, &[(7, 1, misplaced("normalize", Place::Parameters))]);
    assert_eq!(fixed(&text), linear("parameters:\n  normalize: false\ndtype: float16\n"));

    let text = linear("normalize: false # why\nparameters:\n    weight: 1");
    assert!(fixed(&text).ends_with("parameters:\n    weight: 1\n    normalize: false # why"));

    let flat = "models:\n- model: a\n- model: b\nmerge_method: slerp\nbase_model: a\nparameters:\nt:\n- value: 0.5\ndtype: float16";
    assert_problems(
        flat,
        &[
            (4, 15, Kind::MissingParameter { method: "slerp".into(), parameter: "t".into(), model: None }),
            (7, 1, misplaced("t", Place::Parameters)),
        ],
    );
    let repaired = fixed(flat);
    assert!(repaired.contains("\nparameters:\n  t:\n  - value: 0.5\ndtype: float16"), "{repaired}");
    assert_problems(&repaired, &[]);

    let text = "models:\n  - model: a\n    weight: 1\n    merge_method: linear\n";
    let checked = lint(text);
    let kinds: Vec<Kind> = checked.problems.iter().map(|problem| problem.kind.clone()).collect();
    assert!(kinds.contains(&misplaced("weight", Place::ModelParameters)), "{kinds:?}");
    assert!(kinds.contains(&misplaced("merge_method", Place::Top)), "{kinds:?}");
    let mut text = text.to_owned();
    while let Some(fix) = lint(&text).problems.into_iter().find_map(|problem| problem.fix) {
        text = fix.apply(&text);
    }
    assert_eq!(text, "models:\n  - model: a\n    parameters:\n      weight: 1\nmerge_method: linear\n");

    let text = linear("parameters:\n  dtype: float16\n");
    assert_problems(&text, &[(8, 3, misplaced("dtype", Place::Top))]);
    assert_eq!(fixed(&text), linear("parameters:\ndtype: float16\n"));

    let text = ties("      weight: 1\n      lambda: 2", "");
    assert_problems(
        &text,
        &[(5, 7, Kind::SharedUnderModel { parameter: "lambda".into(), belongs: Place::Parameters })],
    );
    assert_eq!(
        fixed(&text),
        ties("      weight: 1", "parameters:\n  lambda: 2\n").trim_end_matches('\n').to_owned() + "\n"
    );
}

#[test]
fn parameters_must_be_what_the_method_wants() {
    let weight = |value: &str| ties(&format!("      weight: {value}"), "");
    let at = |kind| vec![(4, 15, kind)];
    let not_a_number = |found| Kind::NotANumber { parameter: "weight".into(), found };
    assert_problems(&weight("heavy"), &at(not_a_number(Found::Text("heavy".into()))));
    assert_problems(&weight("0,5"), &at(not_a_number(Found::Text("0,5".into()))));
    assert_eq!(fixed(&weight("0,5")), weight("0.5"));
    assert_problems(&weight(".inf"), &at(Kind::NotFinite { parameter: "weight".into() }));
    assert_problems(&weight("true"), &at(Kind::FlagForNumber { parameter: "weight".into(), flag: true }));
    assert_problems(&weight("2001-01-01"), &at(shape("weight", Expected::Setting, Found::Date)));
    assert_problems(&ties("      weight:", ""), &[(4, 7, shape("weight", Expected::Setting, Found::Nothing))]);
    assert_problems(
        &weight("[]"),
        &[
            (
                2,
                12,
                Kind::MissingParameter { method: "ties".into(), parameter: "weight".into(), model: Some("a".into()) },
            ),
            (4, 15, Kind::EmptyList { parameter: "weight".into() }),
        ],
    );
    assert_problems(&weight("[0, [1]]"), &[(4, 19, nameless(Expected::Gradient, Found::List))]);
    assert_problems(
        &weight("[{value: 1}, 2]"),
        &[(4, 28, Kind::Unreachable { catch_all: 4 }), (4, 28, nameless(Expected::Filter, Found::Number(2.0)))],
    );
    assert_problems(
        &weight("[{filter: mlp, value: {value: 1}}]"),
        &[(4, 37, shape("weight", Expected::Gradient, Found::Mapping))],
    );
    assert_problems(&weight("[{filter: mlp}]"), &[(4, 16, Kind::MissingKey { key: "value".into() })]);
    assert_problems(
        &weight("[{filter: 1, value: 1}]"),
        &[(4, 25, shape("filter", Expected::Text, Found::Number(1.0)))],
    );
    assert_problems(
        &weight("[{filtr: mlp, value: 1}]"),
        &[(4, 17, Kind::UnknownKey { key: "filtr".into(), place: Place::Filter, suggestion: Some("filter".into()) })],
    );
    assert_problems(
        &weight("[{filter: '*', value: 1}, {filter: mlp, value: 2}]"),
        &[(4, 41, Kind::Unreachable { catch_all: 4 })],
    );
    assert_problems(
        &ties("      weight: 1", "parameters: {normalize: 2}"),
        &[(10, 25, Kind::NotAFlag { parameter: "normalize".into(), found: Found::Number(2.0) })],
    );
}

#[test]
fn numbers_and_flags_are_read_as_leniently_as_mergekit_reads_them() {
    let text = ties(
        "      weight: 1e-5\n      density: '0.5'",
        "parameters:\n  normalize: 'No'\n  rescale: 1\n  int8_mask: on\n  lambda: [1, '2e-1']\n",
    );
    let recipe = lint(&text).recipe.unwrap();
    let number = |number| Setting::Scalar(Value::Number(number));
    let flag = |flag| Setting::Scalar(Value::Flag(flag));
    assert_eq!(recipe.models[0].parameters["weight"], number(1e-5));
    assert_eq!(recipe.models[0].parameters["density"], number(0.5));
    assert_eq!(recipe.parameters["normalize"], flag(false));
    assert_eq!(recipe.parameters["rescale"], flag(true));
    assert_eq!(recipe.parameters["int8_mask"], flag(true));
    assert_eq!(recipe.parameters["lambda"], Setting::Gradient(vec![Value::Number(1.0), Value::Number(0.2)]));
}

#[test]
fn parameters_that_do_nothing_are_told_of() {
    let foreign = |parameter: &str, method: &str| Kind::ForeignParameter {
        parameter: parameter.into(),
        method: method.into(),
        suggestion: None,
    };
    assert_problems(&linear("parameters: {density: 0.5}"), &[(7, 14, foreign("density", "linear"))]);
    let density = |value: &str| ties(&format!("      weight: 1\n      density: {value}"), "");
    assert_problems(&density("1.5"), &[(5, 16, Kind::DensityAboveOne { value: 1.5 })]);
    assert_problems(&density("0"), &[(5, 16, Kind::DensityDropsAll { value: 0.0 })]);
    assert_problems(&density("1"), &[]);
    let all = ties("      weight: 1", "parameters:\n  density: 1\n");
    assert_problems(&all, &[(11, 12, Kind::DensityKeepsAll { method: "ties".into() })]);
    let idle = |parameter: &str| Kind::IdleParameter { method: "task_arithmetic".into(), parameter: parameter.into() };
    assert_problems(&density("0.5").replace("ties", "task_arithmetic"), &[(5, 7, idle("density"))]);
    assert_problems(
        &density("-0.5").replace("ties", "dare_ties"),
        &[(5, 16, Kind::BelowFloor { parameter: "density".into(), value: -0.5, floor: 0.0 })],
    );
    let text = ties("      weight: 1", "").replace("base_model: z", "base_model: a");
    assert_problems(&text, &[(4, 7, Kind::BaseParameter { base: "a".into(), parameter: "weight".into() })]);
}

#[test]
fn bases_and_counts() {
    let text = ties("      weight: 1", "").replace("base_model: z\n", "");
    assert_problems(&text, &[(8, 15, Kind::MissingBase { method: "ties".into() })]);
    assert_eq!(fixed(&text), text + "base_model: a\n");

    let base_is_input = Kind::BaseIsInput { method: "linear".into(), base: "z".into(), parameter: "weight".into() };
    assert_problems(&linear("base_model: z\n"), &[(7, 13, base_is_input)]);
    assert_eq!(fixed(&linear("base_model: z\n")), linear(""));
    assert_problems(&linear("base_model: a\n"), &[]);
    assert_problems(&linear("base_model: z\nparameters: {weight: 1}"), &[]);

    let slerp = |base: &str| {
        format!(
            "models: [{{model: a}}, {{model: b}}]\nmerge_method: slerp\nbase_model: {base}\nparameters: {{t: 0.5}}\n"
        )
    };
    assert_problems(&slerp("a"), &[]);
    let count = Kind::ModelCount { method: "slerp".into(), found: 2, min: 1, max: Some(1) };
    assert_problems(&slerp("c"), &[(1, 1, count)]);
    assert_problems(
        &linear("").replace("model: b", "model: a"),
        &[(4, 12, Kind::DuplicateModel { name: "a".into(), first: 2 })],
    );
}

#[test]
fn weights_that_sum_to_zero_are_refused_where_they_divide() {
    let text = linear("").replacen("weight: 1", "weight: -1", 1);
    assert_problems(&text, &[(3, 26, Kind::ZeroWeights { method: "linear".into() })]);
    assert_problems(&(text + "parameters: {normalize: false}"), &[]);
}

#[test]
fn names_that_yaml_takes_for_numbers_want_quotation_marks() {
    let text = linear("").replace("model: b", "model: 2024");
    assert_problems(&text, &[(4, 12, shape("model", Expected::Text, Found::Number(2024.0)))]);
    assert_eq!(fixed(&text), linear("").replace("model: b", "model: \"2024\""));
    assert_problems(
        &linear("").replace("model: b", "model: b@c@d"),
        &[(4, 12, Kind::ModelName { name: "b@c@d".into() })],
    );
}

#[test]
fn anchors_and_merge_keys_work_and_repeat_no_problem() {
    let text = "models:\n  - model: a\n    parameters: &p\n      weight: 1\n      densty: 0.5\n  - model: b\n    parameters: *p\n  - model: c\n    parameters:\n      <<: *p\n      weight: 2\nmerge_method: ties\nbase_model: z\n";
    let kind = Kind::ForeignParameter {
        parameter: "densty".into(),
        method: "ties".into(),
        suggestion: Some("density".into()),
    };
    assert_problems(text, &[(5, 7, kind)]);
    assert_problems(&text.replace("densty", "density"), &[]);
    let recipe = lint(&text.replace("densty", "density")).recipe.unwrap();
    assert_eq!(recipe.models[2].parameters["weight"], Setting::Scalar(Value::Number(2.0)));
    assert_eq!(recipe.models[2].parameters["density"], Setting::Scalar(Value::Number(0.5)));
}

#[test]
fn what_mergekit_ignores_is_a_warning_and_leaves_a_recipe() {
    let checked = lint(&linear("colour: red\nmerge_method: linear\n"));
    assert!(checked.recipe.is_some());
    assert_eq!(checked.problems.len(), 2);
    assert!(checked.problems.iter().all(|problem| problem.severity == Severity::Warning));
}

#[test]
fn messages_say_what_where_and_what_to_do() {
    let message = |text: &str| lint(text).problems[0].to_string();
    assert_eq!(
        message(&linear("dtype: fp16")),
        "line 7, column 8: error: there is no dtype `fp16` (there are float16, bfloat16, float32 and float64); did you mean `float16`?"
    );
    assert_eq!(
        message(&linear("normalize: true")),
        "line 7, column 1: warning: `normalize` is ignored here; move it under `parameters`"
    );
    assert_eq!(
        message("models: []\nmerge_method: linear"),
        "line 1, column 9: error: `models` lists no model; add an entry `- model: NAME`"
    );
}

#[test]
fn a_blank_that_yaml_does_not_know_is_part_of_a_name_and_goes_with_it() {
    let text = linear("colour: red").replace("merge_method: linear", "merge_method: linear\u{a0}");
    let problems = lint(&text).problems;
    let fix = problems.iter().find_map(|problem| problem.fix.as_ref()).unwrap();
    assert_eq!(fix.apply(&text), text.replace('\u{a0}', ""));
}

#[test]
fn a_repeated_key_is_not_moved_for_its_first_would_stay() {
    let problems = lint(&linear("normalize: true\nnormalize: true")).problems;
    let misplaced = problems.iter().find(|problem| matches!(problem.kind, Kind::Misplaced { .. })).unwrap();
    assert_eq!(misplaced.fix, None);
}
