//! Whatever the text: no panic, bounded work, and a repair only ever yields a recipe that needs none.
#![allow(clippy::unwrap_used)]

use merge_studio::method::infos;
use merge_studio::recipe::{Link, ProblemKind, Repair, check, examples, repair};
use proptest::prelude::*;

/// A recipe's lines, some of them lost, doubled, indented otherwise, or replaced by something else.
fn mangled() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..6_usize, "[ -~\\t\u{a0}“—：é]{0,12}");
    (prop::sample::select(recipes()), prop::collection::vec(change, 0..6)).prop_map(|(example, changes)| {
        let mut lines: Vec<String> = example.lines().map(str::to_owned).collect();
        for (index, what, text) in changes {
            let at = index.index(lines.len());
            match what {
                0 => lines[at] = lines[at].trim_start().into(),
                1 => lines[at].insert_str(0, &text),
                2 => lines[at].push_str(&text),
                3 => lines.insert(at, lines[at].clone()),
                4 => lines.insert(at, text),
                _ if lines.len() > 1 => drop(lines.remove(at)),
                _ => {}
            }
        }
        lines.join("\n")
    })
}

fn try_all(text: &str) {
    let checked = check(text, &infos());
    assert_eq!(checked.recipe.is_none(), checked.has_errors(), "{text}");
    for problem in checked.problems {
        assert!(problem.span.line >= 1 && problem.span.column >= 1, "{problem:?}");
        assert!((problem.span.line, problem.span.column) <= (problem.span.end_line, problem.span.end_column));
        if let Some(fix) = problem.fix {
            let fixed = fix.apply(text);
            assert_ne!(fixed, text, "{:?} does nothing", fix.kind);
            let again = check(&fixed, &infos()).problems;
            assert!(
                !again.iter().any(|other| other.kind == problem.kind && other.span == problem.span),
                "{:?} does not help in\n{text}\n{fixed}",
                fix.kind
            );
        }
    }
    if let Repair::Repaired { text: repaired, .. } = repair(text, &infos()) {
        assert_eq!(repair(&repaired, &infos()), Repair::NotNeeded, "{text}\n{repaired}");
    }
}

/// A frankenmerge and a SLERP by layers, as model cards show them, and a recipe with all the rest.
const MORE: [&str; 3] = [
    "slices:\n- sources:\n  - model: a\n    layer_range: [0, 16]\n- sources:\n  - model: b\n    layer_range: [8, 24]\nmerge_method: passthrough\ndtype: float16\n",
    "slices:\n  - sources:\n      - model: a\n        layer_range: [0, 32]\n      - model: b\n        layer_range: [0, 32]\nmerge_method: slerp\nbase_model: a\nparameters:\n  t:\n    - filter: mlp\n      value: [0, 1]\n    - value: 0.5\ndtype: bfloat16\n",
    "modules:\n  m:\n    models:\n      - model: {model: a, lora: b}\n    parameters:\n      weight: 1\nmerge_method: linear\ntokenizer:\n  source: union\n  tokens:\n    x:\n      source:\n        kind: model_token\n        model: a+b\n        token: y\n      force: true\n  pad_to_multiple_of: 8\nchat_template: chatml\n",
];

fn recipes() -> Vec<&'static str> {
    examples().iter().map(|example| example.text).chain(MORE).collect()
}

#[test]
fn layers_beyond_reason_are_refused_before_anything_is_made_of_them() {
    let slice = |range: &str| format!("- sources: [{{model: a, layer_range: {range}}}]\n");
    let text = |slices: &str| format!("slices:\n{slices}merge_method: passthrough\n");
    for range in
        ["[0, 99999999999]", "[0, 1.0e+300]", "[99999999999, 0]", "[0, 0xffffffffffffffffffffffff]", "[-1.0e+300, 0]"]
    {
        let checked = check(&text(&slice(range)), &infos());
        assert!(matches!(checked.problems[0].kind, ProblemKind::OutOfRange { .. }), "{:?}", checked.problems);
    }
    assert!(check(&text(&slice("[0, 100000]")), &infos()).recipe.is_some());
    let twice = check(&text(&slice("[0, 100000]").repeat(2)), &infos());
    assert_eq!(twice.problems[0].kind, ProblemKind::TooManyLayers { limit: 100_000 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mangled_recipes_are_told_of(text in mangled()) {
        try_all(&text);
    }

    #[test]
    fn any_text_is_told_of(text in any::<String>()) {
        try_all(&text);
        let _ = Link::decode(&text);
    }

    #[test]
    fn any_yaml_like_text_is_told_of(text in "[a-c:\\-\\[\\]{},#&*!|>'\"%@<~ \\n\\t0-2.]{0,60}") {
        try_all(&text);
        try_all(&format!("models:\n  - model: a\n    parameters: {text}\nmerge_method: linear\n"));
    }
}

#[test]
fn long_texts_take_no_long_time() {
    let start = std::time::Instant::now();
    for text in [
        "- model: a\n".repeat(20_000),
        "[".repeat(1 << 17),
        "a: ".repeat(1 << 16),
        "\t".repeat(1 << 18),
        format!("models:\n{}", "- model: a\nparameters:\nweight: 1\n".repeat(7_000)),
        format!("models:\n{}", "- model: a\nparameters:\nweight: 1\n".repeat(300)),
        format!("slices:\n{}", "- sources:\n- model: a\nlayer_range: [0, 1]\n".repeat(7_000)),
        format!("slices:\n{}", "- sources:\n- model: a\nlayer_range: [0, 1]\nparameters:\nscale: 1\n".repeat(150)),
        format!("slices:\n{}merge_method: slerp\n", "- sources: [{model: a, layer_range: [0, 1]}]\n".repeat(2_000)),
        format!("slices: &s\n- sources: [{{model: a, layer_range: [0, 1]}}]\n- *s\n{}", "- a\n".repeat(1_000)),
    ] {
        try_all(&text);
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
