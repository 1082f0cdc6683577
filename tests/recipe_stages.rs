//! Several documents in one text: stages, whose results are the inputs of what comes after them.
#![allow(clippy::unwrap_used)]

use merge_studio::method::infos;
use merge_studio::recipe::{Link, ProblemKind as Kind, Recipe, Repair, Severity, check, complete, repair, write};

/// A document that merges `models`, called `name` unless that is empty.
fn document(name: &str, models: &[&str]) -> String {
    let name = if name.is_empty() { String::new() } else { format!("name: {name}\n") };
    let models: String =
        models.iter().map(|model| format!("  - model: {model}\n    parameters:\n      weight: 0.5\n")).collect();
    format!("{name}models:\n{models}merge_method: linear\n")
}

fn text(documents: &[(&str, &[&str])]) -> String {
    documents.iter().map(|(name, models)| document(name, models)).collect::<Vec<_>>().join("---\n")
}

fn recipe(text: &str) -> Recipe {
    let checked = check(text, &infos());
    assert_eq!(checked.problems, [], "{text}");
    checked.recipe.unwrap()
}

/// The problems by line and kind.
fn problems(text: &str) -> Vec<(usize, Kind)> {
    check(text, &infos()).problems.into_iter().map(|problem| (problem.span.line, problem.kind)).collect()
}

fn stages(recipe: &Recipe) -> Vec<&str> {
    recipe.stages.iter().map(|stage| stage.name.as_str()).collect()
}

#[test]
fn stages_are_put_in_an_order_in_which_they_can_be_made() {
    let read = recipe(&text(&[
        ("last", &["first", "second@main"]),
        ("", &["last", "a"]),
        ("second", &["first", "b"]),
        ("first", &["a", "b"]),
    ]));
    assert_eq!(stages(&read), ["first", "second", "last"]);
    assert_eq!(read.models[0].model, "last");
    assert_eq!(read.stage_of("second@main"), Some(1));
    assert_eq!(read.stage_of("a"), None);
    assert!(read.stages.iter().all(|stage| stage.recipe.stages.is_empty()));
}

#[test]
fn without_a_nameless_document_the_output_is_the_one_that_no_other_uses() {
    let read = recipe(&text(&[("end", &["first", "a"]), ("first", &["a", "b"])]));
    assert_eq!((stages(&read), read.models[0].model.as_str()), (vec!["first"], "first"));
    let several = text(&[("one", &["a", "b"]), ("two", &["a", "b"])]);
    assert_eq!(problems(&several), [(11, Kind::SeveralOutputs { names: vec!["one".into(), "two".into()] })]);
}

#[test]
fn a_document_that_nobody_uses_is_left_out_with_a_warning() {
    let unused = text(&[("idle", &["first", "b"]), ("first", &["a", "b"]), ("", &["first", "a"])]);
    let checked = check(&unused, &infos());
    assert_eq!(problems(&unused), [(1, Kind::UnusedStage { name: "idle".into() })]);
    assert_eq!(checked.problems[0].severity, Severity::Warning);
    assert_eq!(stages(&checked.recipe.unwrap()), ["first"]);
}

#[test]
fn names_are_given_once_and_only_the_output_may_be_without() {
    let twice = text(&[("x", &["a", "b"]), ("x", &["a", "b"]), ("", &["x", "a"])]);
    assert_eq!(problems(&twice), [(11, Kind::DuplicateName { name: "x".into(), first: 1 })]);
    let nameless = text(&[("", &["a", "b"]), ("", &["a", "b"])]);
    assert_eq!(problems(&nameless), [(10, Kind::SecondOutput { first: 1 })]);
    let blank = text(&[("' '", &["a", "b"]), ("", &["a", "b"])]);
    assert_eq!(problems(&blank), [(1, Kind::BlankName)]);
    let number = check(&text(&[("7", &["a", "b"]), ("", &["a", "b"])]), &infos());
    assert!(matches!(number.problems[0].kind, Kind::Shape { .. }) && number.problems[0].fix.is_some());
}

#[test]
fn documents_that_need_each_other_are_refused_by_name() {
    let circle = text(&[("", &["z", "a"]), ("x", &["y", "a"]), ("y", &["x", "b"]), ("z", &["x", "b"])]);
    assert_eq!(problems(&circle), [(10, Kind::Circle { names: vec!["x".into(), "y".into()] })]);
    assert_eq!(
        problems(&text(&[("x", &["x", "a"]), ("", &["a", "b"])])),
        [(1, Kind::Circle { names: vec!["x".into()] })]
    );
    let circle = check(&circle, &infos()).problems[0].kind.to_string();
    assert_eq!(
        circle,
        "x is made from itself: `x` from `y` from `x`; a result can only be used by what comes after it"
    );
}

#[test]
fn a_result_is_no_adapter() {
    let adapter = text(&[("x", &["a", "b"]), ("", &["x", "a+x@main"])]);
    assert_eq!(problems(&adapter), [(15, Kind::StageAsAdapter { name: "x".into() })]);
    recipe(&text(&[("x", &["a", "b"]), ("", &["x+lora", "a+lora"])]));
}

#[test]
fn a_base_a_source_and_a_tokenizer_can_be_a_result() {
    let first = document("x", &["a", "b"]);
    for output in [
        "models:\n  - model: a\nmerge_method: task_arithmetic\nbase_model: x\nparameters:\n  weight: 1\n",
        "slices:\n  - sources:\n      - model: x\n        layer_range: [0, 1]\nmerge_method: passthrough\n",
        "models:\n  - model: x@main\nmerge_method: passthrough\ntokenizer:\n  source: x@main\n",
    ] {
        assert_eq!(stages(&recipe(&format!("{first}---\n{output}"))), ["x"], "{output}");
    }
}

#[test]
fn the_name_of_a_lone_document_does_nothing() {
    let alone = document("x", &["x", "b"]);
    assert_eq!(problems(&alone), [(1, Kind::NoEffect { key: "name".into() })]);
    let checked = check(&alone, &infos());
    assert_eq!(checked.problems[0].fix.as_ref().unwrap().apply(&alone), document("", &["x", "b"]));
    assert!(checked.recipe.unwrap().stages.is_empty());
}

#[test]
fn problems_have_their_places_in_the_one_text() {
    let wrong =
        text(&[("x", &["a", "b"]), ("", &["x", "a"])]).replace("merge_method: linear\n---", "merge_method: liner\n---");
    let checked = check(&wrong, &infos());
    assert_eq!(checked.problems[0].span.line, 9);
    assert!(checked.recipe.is_none());
    let fixed = checked.problems[0].fix.as_ref().unwrap().apply(&wrong);
    assert_eq!(stages(&recipe(&fixed)), ["x"]);
    let empty = text(&[("x", &["a", "b"])]) + "---\n";
    assert_eq!(problems(&empty), [(10, Kind::EmptyDocument)]);
}

#[test]
fn what_is_written_reads_back_equal() {
    let read =
        recipe(&text(&[("end", &["'odd: name'", "b"]), ("\"odd: name\"", &["first", "b"]), ("first", &["a", "b"])]));
    let written = write(&read);
    assert_eq!(written.matches("---\n").count(), 2);
    assert!(written.starts_with("name: first\n") && written.contains("\n---\nname: \"odd: name\"\n"));
    assert_eq!(recipe(&written), read);
    assert_eq!(write(&recipe(&written)), written);
}

#[test]
fn the_loss_of_indentation_is_repaired_document_by_document() {
    let sound = text(&[("x", &["a", "b"]), ("", &["x", "c"])]);
    let flat: String = sound.lines().map(|line| line.trim_start().to_owned() + "\n").collect();
    let Repair::Repaired { text: repaired, notes } = repair(&flat, &infos()) else { panic!("{flat}") };
    assert_eq!(repaired, sound);
    assert!(notes.iter().any(|note| note.line > 10) && notes.is_sorted_by_key(|note| note.line));
    assert_eq!(repair(&sound, &infos()), Repair::NotNeeded);
}

#[test]
fn completion_knows_the_document_and_the_names_of_all() {
    let ties = "models:\n  - model: x\n  - model: \n    parameters:\n      \nmerge_method: ties\nbase_model: a\n";
    let both = format!("{}---\n{ties}", document("x", &["a", "b"]));
    let labels = |line, column| -> Vec<String> {
        complete(&both, line, column, &infos()).into_iter().map(|word| word.label).collect()
    };
    assert_eq!(labels(17, 13), ["x", "a", "b"]);
    assert!(labels(15, 7).contains(&"density".to_owned()));
    assert!(!labels(5, 7).contains(&"density".to_owned()));
}

#[test]
fn a_link_carries_all_documents() {
    let text = text(&[("x", &["a", "b"]), ("", &["x", "a"])]);
    let link = Link { recipe: text.clone(), seed: 3, inputs: Vec::new(), output: None };
    assert_eq!(Link::decode(&link.encode()).unwrap().recipe, text);
}
