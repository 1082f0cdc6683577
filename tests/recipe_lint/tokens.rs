//! The linter on tokenizers and chat templates: what is wrong, and where exactly.

use merge_studio::method::infos;
use merge_studio::recipe::{
    Expected, Found, Place, Problem, ProblemKind as Kind, Recipe, TokenRule, TokenSource, TokenizerRule,
    TokenizerSource, check,
};

use super::shape;

/// A recipe of `a` and `b`, in two lines, with more text behind it.
fn recipe(more: &str) -> String {
    format!("models: [{{model: a}}, {{model: b}}]\nmerge_method: karcher\n{more}\n")
}

fn problems(text: &str) -> Vec<Problem> {
    check(text, &infos()).problems
}

fn read(more: &str) -> Recipe {
    let checked = check(&recipe(more), &infos());
    checked.recipe.unwrap_or_else(|| panic!("{:?} in {more}", checked.problems))
}

/// The problems of what stands behind the models, by column of its first line.
fn assert_problems(more: &str, expected: &[(usize, Kind)]) {
    let found: Vec<(usize, Kind)> = problems(&recipe(more)).into_iter().map(|p| (p.span.column, p.kind)).collect();
    assert_eq!(found, expected, "in\n{more}");
}

/// What the only fix makes of what stands behind the models.
fn fixed(more: &str) -> String {
    let fixes: Vec<_> = problems(&recipe(more)).into_iter().filter_map(|problem| problem.fix).collect();
    let [fix] = fixes.as_slice() else { panic!("{} fixes for\n{more}", fixes.len()) };
    fix.apply(&recipe(more)).trim_start_matches(recipe("").trim_end()).trim().to_owned()
}

#[test]
fn tokenizers_are_read_in_both_spellings() {
    let rule = |source| Some(TokenizerRule { source, ..TokenizerRule::default() });
    for (more, expected) in [
        ("tokenizer:", None),
        ("tokenizer_source: ~", None),
        ("tokenizer: {}", rule(TokenizerSource::Union)),
        ("tokenizer: {tokens: ~, pad_to_multiple_of: ~}", rule(TokenizerSource::Union)),
        ("tokenizer: {pad_to_multiple_of: 0}", rule(TokenizerSource::Union)),
        ("tokenizer: {source: base}", rule(TokenizerSource::Base)),
        ("tokenizer: {source: {model: {path: a}}}", rule(TokenizerSource::Model("a".into()))),
        ("tokenizer_source: union", rule(TokenizerSource::Union)),
        ("tokenizer_source: base", rule(TokenizerSource::Base)),
        ("tokenizer_source: b", rule(TokenizerSource::Model("b".into()))),
        ("tokenizer_source: ~\ntokenizer: {}", rule(TokenizerSource::Union)),
    ] {
        assert_problems(more, &[]);
        assert_eq!(read(more).tokenizer, expected, "{more}");
    }
    for (value, multiple) in [("8", 8), ("'8'", 8), ("64.0", 64)] {
        let more = format!("tokenizer: {{pad_to_multiple_of: {value}}}");
        assert_eq!(read(&more).tokenizer.unwrap().pad_to_multiple_of, Some(multiple));
    }
}

#[test]
fn tokenizers_that_mergekit_refuses_are_refused() {
    let both = "tokenizer_source: union\ntokenizer: {source: base}";
    assert_problems(both, &[(1, Kind::Exclusive { first: "tokenizer".into(), second: "tokenizer_source".into() })]);
    assert_eq!(fixed(both), "tokenizer: {source: base}");
    assert_problems("tokenizer: union", &[(12, shape("tokenizer", Expected::Mapping, Found::Text("union".into())))]);
    assert_problems("tokenizer: {source: ~}", &[(21, shape("source", Expected::Text, Found::Nothing))]);
    assert_problems("tokenizer: {tokens: []}", &[(21, shape("tokens", Expected::Mapping, Found::List))]);
    assert_problems(
        "tokenizer: {pad_to_multiple_of: 8.5}",
        &[(33, shape("pad_to_multiple_of", Expected::Whole, Found::Number(8.5)))],
    );
    // mergekit takes them, and its tensors fail.
    for value in [-8.0, 99_999_999_999.0] {
        let kind = Kind::OutOfRange { key: "pad_to_multiple_of".into(), value, max: 1 << 20 };
        assert_problems(&format!("tokenizer: {{pad_to_multiple_of: {value}}}"), &[(33, kind)]);
    }
    assert_problems(
        "tokenizer: {sorce: base}",
        &[(13, Kind::UnknownKey { key: "sorce".into(), place: Place::Tokenizer, suggestion: Some("source".into()) })],
    );
    assert_eq!(fixed("tokenizer: {sorce: base}"), "tokenizer: {source: base}");
    assert_problems(
        "pad_to_multiple_of: 8",
        &[(1, Kind::Misplaced { key: "pad_to_multiple_of".into(), belongs: Place::Tokenizer })],
    );
}

#[test]
fn a_tokenizer_of_no_model_of_the_recipe_is_told_of() {
    let kind = |name: &str, suggestion: Option<&str>| Kind::TokenizerModel {
        name: name.into(),
        suggestion: suggestion.map(Into::into),
    };
    assert_problems("tokenizer_source: Union", &[(19, kind("Union", Some("union")))]);
    assert_eq!(fixed("tokenizer_source: Union"), "tokenizer_source: union");
    assert_problems("tokenizer: {source: other}", &[(21, kind("other", None))]);
    assert_eq!(
        read("tokenizer: {source: other}").tokenizer.unwrap().source,
        TokenizerSource::Model("other".into()),
        "mergekit loads it"
    );
}

#[test]
fn tokens_are_read_in_all_their_shapes() {
    let token = |source: TokenSource, force| TokenRule { source: Some(source), force };
    let (model, text) = (|| "a".to_owned(), || "x".to_owned());
    for (written, expected) in [
        ("{source: a}", token(TokenSource::Model(model()), false)),
        ("{source: {model: {path: a}}}", token(TokenSource::Model(model()), false)),
        ("{source: {kind: zero}, force: true}", token(TokenSource::Zero, true)),
        ("{source: {kind: zero}, force: 'yes'}", token(TokenSource::Zero, true)),
        (
            "{source: {kind: model_token, model: a, token: x}}",
            token(TokenSource::Token { model: model(), token: text() }, false),
        ),
        (
            "{source: {kind: model_token, model: a, token_id: 3}}",
            token(TokenSource::Id { model: model(), id: 3 }, false),
        ),
        (
            "{source: {kind: model_token, model: {model: a}, token: ~, token_id: '3'}, force: 0}",
            token(TokenSource::Id { model: model(), id: 3 }, false),
        ),
    ] {
        let more = format!("tokenizer: {{tokens: {{<t>: {written}}}}}");
        assert_problems(&more, &[]);
        assert_eq!(read(&more).tokenizer.unwrap().tokens, [("<t>".to_owned(), expected)], "{written}");
    }
    let tokens = read("tokenizer: {tokens: {z: {source: b}, a: {source: a}}}").tokenizer.unwrap().tokens;
    assert_eq!(tokens.iter().map(|(token, _)| token.as_str()).collect::<Vec<_>>(), ["z", "a"]);
}

#[test]
fn tokens_that_say_two_things_or_nothing_are_refused_by_name() {
    let at = |value: &str, column, kind| {
        assert_problems(&format!("tokenizer: {{tokens: {{x: {value}}}}}"), &[(column, kind)]);
    };
    at("~", 25, shape("x", Expected::Mapping, Found::Nothing));
    at("a", 25, shape("x", Expected::Mapping, Found::Text("a".into())));
    at("{source: a, force: 2}", 44, shape("force", Expected::Flag, Found::Number(2.0)));
    at("{source: [a]}", 34, shape("source", Expected::TokenSource, Found::List));
    let kind = "{source: {kind: model_token, model: a";
    at(&format!("{kind}}}}}"), 35, Kind::TokenOrId { both: false });
    at(&format!("{kind}, token: x, token_id: 3}}}}"), 35, Kind::TokenOrId { both: true });
    at(&format!("{kind}, token: 3}}}}"), 71, shape("token", Expected::Text, Found::Number(3.0)));
    let outside = Kind::OutOfRange { key: "token_id".into(), value: -3.0, max: u32::MAX.into() };
    at(&format!("{kind}, token_id: -3}}}}"), 74, outside);
    at("{source: {kind: model_token, token: x}}", 35, Kind::MissingKey { key: "model".into() });
    at("{source: {model: a, token: x}}", 34, Kind::MissingKey { key: "kind".into() });
    at("{source: {}}", 34, Kind::MissingKey { key: "kind".into() });
    at("{source: {kind: zero, model: a}}", 35, Kind::ZeroWithModel);
    at("{source: {kind: zero, token: x}}", 47, Kind::NoEffect { key: "token".into() });
    let unknown = |name: &str, suggestion: Option<&str>| Kind::UnknownKind {
        name: name.into(),
        suggestion: suggestion.map(Into::into),
    };
    at("{source: {kind: Zero}}", 41, unknown("Zero", Some("zero")));
    at("{source: {kind: random, model: a}}", 41, unknown("random", None));
    assert_problems("tokenizer: {tokens: {1: {source: a}}}", &[(22, Kind::KeyNotText { found: Found::Number(1.0) })]);
}

#[test]
fn a_token_comes_from_a_model_of_the_recipe() {
    let model = |name: &str, suggestion: Option<&str>| Kind::TokenModel {
        name: name.into(),
        suggestion: suggestion.map(Into::into),
    };
    assert_problems("tokenizer: {tokens: {x: {source: c}}}", &[(34, model("c", None))]);
    let text = recipe("tokenizer: {tokens: {x: {source: lama}}}").replace("model: a", "model: llama");
    assert_eq!(problems(&text)[0].kind, model("lama", Some("llama")));
    // A base that joins the models counts, and so does a slice's source.
    for text in [
        "models: [{model: a}]\nbase_model: z\nmerge_method: ties\nparameters: {weight: 1}\ntokenizer: {tokens: {x: {source: z}}}",
        "slices: [{sources: [{model: z, layer_range: [0, 1]}]}]\nmerge_method: karcher\ntokenizer: {tokens: {x: {source: z}}}",
    ] {
        assert_eq!(problems(text), []);
    }
    assert_problems("tokenizer: {tokens: {x: {source: zero}}}", &[(34, model("zero", Some("{kind: zero}")))]);
    assert_eq!(fixed("tokenizer: {tokens: {x: {source: zero}}}"), "tokenizer: {tokens: {x: {source: {kind: zero}}}}");
    let nothing = |force| Kind::TokenWithoutSource { token: "x".into(), force };
    assert_problems("tokenizer: {tokens: {x: {}}}", &[(22, nothing(false))]);
    assert_problems("tokenizer: {tokens: {x: {force: true}}}", &[(22, nothing(true))]);
    assert_eq!(read("tokenizer: {tokens: {x: {source: ~}}}").tokenizer.unwrap().tokens[0].1, TokenRule::default());
    assert!(check(&recipe("tokenizer: {tokens: {x: {force: true}}}"), &infos()).recipe.is_none());
}

#[test]
fn chat_templates_are_names_or_templates() {
    for name in ["auto", "alpaca", "chatml", "exaone", "llama3", "mistral"] {
        assert_eq!(read(&format!("chat_template: {name}")).chat_template.as_deref(), Some(name));
    }
    assert_eq!(read("chat_template: ''").chat_template, None);
    let jinja = "{% for m in messages %}{{ m }}{% endfor %}";
    assert_eq!(read(&format!("chat_template: \"{jinja}\"")).chat_template.as_deref(), Some(jinja));
    assert_eq!(read(&format!("chat_template: |\n  {jinja}\n  x")).chat_template, Some(format!("{jinja}\nx\n")));
    let unknown = |name: &str, suggestion: Option<&str>| Kind::UnknownTemplate {
        name: name.into(),
        known: "auto, alpaca, chatml, exaone, llama3, mistral".into(),
        suggestion: suggestion.map(Into::into),
    };
    for (name, suggestion) in [
        ("ChatML", Some("chatml")),
        ("lama3", Some("llama3")),
        ("vicuna", None),
        ("a text without the sign that templates have", None),
        ("'{{ x }}'", None),
    ] {
        assert_problems(&format!("chat_template: {name}"), &[(16, unknown(name.trim_matches('\''), suggestion))]);
    }
    assert_eq!(fixed("chat_template: ChatML"), "chat_template: chatml");
    assert_problems("chat_template: 3", &[(16, shape("chat_template", Expected::Text, Found::Number(3.0)))]);
}
