//! What is written is read back as it was, by us and by PyYAML.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use merge_studio::method::infos;
use merge_studio::recipe::{
    FloatName, ModelEntry, Module, Recipe, Setting, Settings, Slice, SliceSource, TokenRule, TokenSource,
    TokenizerRule, TokenizerSource, Value, check, examples, write,
};
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

/// mergekit 0.1.5 reads this text as the recipe beside it (tried by hand).
#[test]
fn slices_tokenizers_and_templates_are_written_as_people_write_them() {
    let text = "slices:
  - sources:
      - model: a
        layer_range: [0, 16]
      - model: b+c@d
        layer_range: [8, 24]
        parameters:
          weight: 2
    base_model: a
    parameters:
      weight: 1
merge_method: task_arithmetic
tokenizer:
  source: union
  pad_to_multiple_of: 64
  tokens:
    \"<|im_start|>\":
      source:
        kind: model_token
        model: b+c@d
        token_id: 5
      force: true
    \"<pad>\":
      source:
        kind: zero
    x:
      source: a
chat_template: |-
  {% for message in messages %}
    {{ message }}

  # {% endfor %}
";
    let recipe = check(text, &infos()).recipe.unwrap();
    let template = "{% for message in messages %}\n  {{ message }}\n\n# {% endfor %}";
    assert_eq!(recipe.chat_template.as_deref(), Some(template));
    assert_eq!(write(&recipe), text);
    let text = "modules:
  text_model:
    models:
      - model: a
      - model: b
    parameters:
      weight: 1
  vision:
    slices:
      - sources:
          - model: a
            layer_range: [0, 2]
merge_method: linear
parameters:
  weight: 0.5
tokenizer:
  source: {model: union}
chat_template: auto
";
    assert_eq!(write(&check(text, &infos()).recipe.unwrap()), text);
}

/// Line breaks, blanks and characters that a block of lines would not keep.
#[test]
fn templates_that_a_block_would_change_are_quoted() {
    for (template, quoted) in [
        ("{{ a }} and so on and on\n{{ b }}", false),
        ("{{ a }} and so on and on\n{{ b }}\n", false),
        ("{{ a }} and so on and on\n{{ b }}\n\n", true),
        ("\n{{ a }} and so on and on", true),
        ("  {{ a }} and so on and on\nb", true),
        ("{{ a }} and so on and on \nb", true),
        ("{{ a }} and\tso on and on\nb", true),
        ("{{ a }} and so on and on\r\nb", true),
        ("{{ a }} and so on and on", true),
    ] {
        let recipe = Recipe {
            merge_method: "karcher".into(),
            models: vec![ModelEntry { model: "a".into(), ..ModelEntry::default() }],
            chat_template: Some(template.into()),
            ..Recipe::default()
        };
        let text = write(&recipe);
        assert_eq!(text.contains("chat_template: \""), quoted, "{text}");
        assert_eq!(check(&text, &infos()).recipe, Some(recipe));
    }
}

fn word() -> impl Strategy<Value = String> {
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
            "y",
            "union",
            "base",
            "zero"
        ])
        .prop_map(str::to_owned),
    ]
}

/// A model's name, with or without a revision and an adapter: `@` and `+` have a meaning in it.
fn name() -> impl Strategy<Value = String> {
    let part = || {
        word()
            .prop_map(|name| name.replace(['+', '@'], "_"))
            .prop_filter("says something", |name| !name.trim().is_empty())
    };
    (part(), prop::option::weighted(0.2, part()), prop::option::weighted(0.2, part())).prop_map(
        |(mut name, revision, adapter)| {
            name.extend(revision.map(|revision| format!("@{revision}")));
            name.extend(adapter.map(|adapter| format!("+{adapter}")));
            name
        },
    )
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

/// Lines as templates have them, and others.
fn template() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[ -~]{0,30}",
        any::<String>(),
        Just("{% for m in messages %}{{ m }}".to_owned()),
        Just(String::new()),
        Just("# a: b".to_owned()),
        Just("---".to_owned()),
    ];
    let text = prop::collection::vec(line, 1..6).prop_map(|lines| lines.join("\n"));
    let text = (text, "\n{0,2}").prop_map(|(text, end)| format!("{text}{{{{ messages }}}} and more{end}"));
    prop_oneof![text, Just("auto".to_owned()), Just("chatml".to_owned())]
}

/// A tokenizer whose tokens come from `names`.
fn tokenizer(names: &[String]) -> impl Strategy<Value = TokenizerRule> + use<> {
    let name = || prop::sample::select(names.to_vec());
    let source = prop_oneof![
        Just(TokenizerSource::Union),
        Just(TokenizerSource::Base),
        name().prop_map(TokenizerSource::Model),
        word().prop_map(|name| TokenizerSource::Model(name.replace(['+', '@'], "_") + "x")),
        prop::sample::select(vec!["union", "base"]).prop_map(|name| TokenizerSource::Model(name.into())),
    ];
    let from = prop_oneof![
        Just(TokenSource::Zero),
        name().prop_map(TokenSource::Model),
        (name(), word()).prop_map(|(model, token)| TokenSource::Token { model, token }),
        (name(), any::<u32>()).prop_map(|(model, id)| TokenSource::Id { model, id: id.into() }),
    ];
    let rule = (from, any::<bool>()).prop_map(|(source, force)| TokenRule { source: Some(source), force });
    let rule = prop_oneof![4 => rule, 1 => Just(TokenRule::default())];
    let tokens = prop::collection::btree_map(word(), rule, 0..4);
    (source, tokens, prop::option::of(1_u64..1000)).prop_map(|(source, tokens, pad_to_multiple_of)| TokenizerRule {
        source,
        tokens: tokens.into_iter().collect(),
        pad_to_multiple_of,
    })
}

/// The models as a list, as one slice or more, or as two modules.
fn arranged(models: &[ModelEntry], how: usize, layers: &[(u64, u64)], base: &str, own: &Settings) -> Recipe {
    let slice = |&(first, count): &(u64, u64)| Slice {
        sources: models
            .iter()
            .enumerate()
            .map(|(at, entry)| SliceSource {
                model: entry.model.clone(),
                layers: (first + at as u64, first + at as u64 + count),
                parameters: entry.parameters.clone(),
            })
            .collect(),
        base_model: how.is_multiple_of(2).then(|| base.to_owned()),
        parameters: if count.is_multiple_of(2) { own.clone() } else { Settings::new() },
    };
    let (models, slices) = (models.to_vec(), layers.iter().map(slice).collect());
    match how {
        0 => Recipe { models, ..Recipe::default() },
        1 | 2 => Recipe { slices, ..Recipe::default() },
        _ => {
            let of = |name: &str| Module { name: name.into(), parameters: own.clone(), ..Module::default() };
            Recipe {
                modules: vec![Module { models, ..of("text: a") }, Module { slices, ..of("") }],
                ..Recipe::default()
            }
        }
    }
}

prop_compose! {
    fn merged()(
        names in prop::collection::btree_set(name(), 1..4),
        weight in setting(),
        lambda in setting(),
        flag in any::<bool>(),
        (key, other) in ("[a-z]{1,3}|on|~|1", foreign()),
        how in 0..4_usize,
        layers in prop::collection::vec((0..1000_u64, 0..100_u64), 1..3),
        outside in name(),
        dtype in prop::option::of(prop::sample::select(FloatName::ALL.to_vec())),
        out_dtype in prop::option::of(prop::sample::select(FloatName::ALL.to_vec())),
        chat_template in prop::option::of(template()),
    ) -> Recipe {
        let parameters: Settings = [("weight".to_owned(), weight), (key, other)].into();
        let shared: Settings =
            [("lambda".to_owned(), lambda), ("normalize".to_owned(), Setting::Scalar(Value::Flag(flag)))].into();
        let mut models: Vec<_> =
            names.into_iter().map(|model| ModelEntry { model, parameters: parameters.clone() }).collect();
        // A base must be among the sources of a slice, and beside at least one of them.
        let base = if how == 0 { outside } else { models[0].model.clone() };
        if how > 0 && models.len() == 1 {
            models.push(ModelEntry { model: "another one".into(), parameters });
        }
        Recipe {
            merge_method: "ties".into(),
            base_model: Some(base.clone()),
            dtype,
            out_dtype,
            chat_template,
            parameters: shared.clone(),
            ..arranged(&models, how, &layers, &base, &shared)
        }
    }
}

fn recipe() -> impl Strategy<Value = Recipe> {
    merged().prop_flat_map(|recipe| {
        let parts = recipe.parts();
        let models = parts.iter().flat_map(|part| part.models).map(|entry| entry.model.clone());
        let sources = parts.iter().flat_map(|part| part.slices).flat_map(|slice| &slice.sources);
        let names: Vec<String> = models.chain(sources.map(|source| source.model.clone())).collect();
        (Just(recipe.clone()), prop::option::of(tokenizer(&names)))
            .prop_map(|(recipe, tokenizer)| Recipe { tokenizer, ..recipe })
    })
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
