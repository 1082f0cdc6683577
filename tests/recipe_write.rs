//! What is written is read back as it was, by us and by PyYAML.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use merge_studio::method::infos;
use merge_studio::recipe::{FloatName, ModelEntry, Recipe, Setting, Settings, Value, check, examples, write};
use proptest::prelude::*;

#[test]
fn the_examples_come_back() {
    for example in examples() {
        let recipe = check(example.text, &infos()).recipe.unwrap();
        assert_eq!(check(&write(&recipe), &infos()).recipe, Some(recipe), "{}", example.id);
    }
}

/// PyYAML 6.0 reads this text as the recipe beside it (tried by hand): nothing in it means something else in YAML 1.1.
#[test]
fn texts_that_yaml_1_1_reads_otherwise_are_quoted() {
    let settings = |key: &str, setting| BTreeMap::from([(key.to_owned(), setting)]);
    let number = |number| Setting::Scalar(Value::Number(number));
    let recipe = Recipe {
        merge_method: "dare_ties".into(),
        base_model: Some("on".into()),
        models: vec![
            ModelEntry { model: "1e5".into(), parameters: settings("weight", number(1e-5)) },
            ModelEntry {
                model: "- a: b # c".into(),
                parameters: settings(
                    "weight",
                    Setting::Filters(vec![
                        (Some("010".into()), Setting::Gradient(vec![Value::Number(0.0), Value::Number(1e300)])),
                        (None, number(-0.25)),
                    ]),
                ),
            },
        ],
        parameters: settings("normalize", Setting::Scalar(Value::Flag(false))),
        dtype: Some(FloatName::Bfloat16),
        out_dtype: None,
        ..Recipe::default()
    };
    let text = "models:
  - model: \"1e5\"
    parameters:
      weight: 1.0e-5
  - model: \"- a: b # c\"
    parameters:
      weight:
        - filter: \"010\"
          value: [0, 1.0e+300]
        - value: -0.25
merge_method: dare_ties
base_model: \"on\"
parameters:
  normalize: false
dtype: bfloat16
";
    assert_eq!(write(&recipe), text);
    assert_eq!(check(text, &infos()).recipe, Some(recipe));
}

fn name() -> impl Strategy<Value = String> {
    // `+` and `@` have a meaning in names.
    prop_oneof![
        any::<String>(),
        "[ -~]{1,12}",
        prop::sample::select(vec![
            "on",
            "1e5",
            "010",
            "0x1F",
            "~",
            "null",
            "1:30",
            "- a",
            "a: b",
            "2001-01-01",
            "=",
            "<<",
            "y"
        ])
        .prop_map(str::to_owned),
    ]
    .prop_map(|name| name.replace(['+', '@'], "_"))
    .prop_filter("a name says something", |name| !name.trim().is_empty())
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![-2.0..2.0, any::<f64>().prop_filter("finite", |number| number.is_finite()), Just(0.0), Just(1e15)]
        .prop_map(Value::Number)
}

fn setting() -> impl Strategy<Value = Setting> {
    let plain = || {
        prop_oneof![
            number().prop_map(Setting::Scalar),
            prop::collection::vec(number(), 1..4).prop_map(Setting::Gradient)
        ]
    };
    let filters = prop::collection::vec((prop::option::of(any::<String>()), plain()), 1..4).prop_map(Setting::Filters);
    prop_oneof![plain(), filters]
}

/// Parameters that the method does not have may say anything.
fn foreign() -> impl Strategy<Value = Setting> {
    prop_oneof![any::<String>().prop_map(Value::Text), any::<bool>().prop_map(Value::Flag), number()]
        .prop_map(Setting::Scalar)
}

prop_compose! {
    fn recipe()(
        names in prop::collection::btree_set(name(), 1..4),
        weight in setting(),
        lambda in setting(),
        flag in any::<bool>(),
        (key, other) in ("[a-z]{1,3}|on|~|1", foreign()),
        base in name(),
        dtype in prop::option::of(prop::sample::select(FloatName::ALL.to_vec())),
        out_dtype in prop::option::of(prop::sample::select(FloatName::ALL.to_vec())),
    ) -> Recipe {
        let parameters: Settings = [("weight".to_owned(), weight), (key, other)].into();
        let shared: Settings =
            [("lambda".to_owned(), lambda), ("normalize".to_owned(), Setting::Scalar(Value::Flag(flag)))].into();
        let models = names.into_iter().map(|model| ModelEntry { model, parameters: parameters.clone() }).collect();
        Recipe {
 merge_method: "ties".into(), base_model: Some(base), models, parameters: shared, dtype, out_dtype, ..Recipe::default() }
    }
}

proptest! {
    #[test]
    fn every_recipe_comes_back(recipe in recipe()) {
        let text = write(&recipe);
        let checked = check(&text, &infos());
        prop_assert_eq!(checked.recipe.as_ref(), Some(&recipe), "{}\n{:?}", text, checked.problems);
        prop_assert_eq!(write(&recipe), text);
    }
}
