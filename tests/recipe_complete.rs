//! Completion in the editor.
#![allow(clippy::unwrap_used)]

use merge_studio::method::infos;
use merge_studio::recipe::{complete, examples};

fn labels(text: &str, line: usize, column: usize) -> Vec<String> {
    complete(text, line, column, &infos()).into_iter().map(|completion| completion.label).collect()
}

#[test]
fn words_fit_their_place() {
    let ties = examples()[1].text;
    let with = |at: usize, line: &str| {
        let mut lines: Vec<&str> = ties.lines().collect();
        lines.insert(at - 1, line);
        labels(&lines.join("\n"), at, line.chars().count() + 1)
    };
    assert_eq!(with(1, "me"), ["merge_method"]);
    assert_eq!(with(5, "      "), ["weight", "density"]);
    assert_eq!(with(6, "      d"), ["density"]);
    assert_eq!(with(14, "  r"), ["rescale"]);
    assert_eq!(with(2, "  - mo"), ["model"]);
    assert_eq!(with(4, "    pa"), ["parameters"]);
    assert_eq!(with(1, "merge_method: ti"), ["ties"]);
    assert_eq!(with(1, "out_dtype: b"), ["bfloat16"]);
    assert_eq!(with(1, "base_model: epfl"), ["epfl-llm/meditron-7b"]);
    assert!(with(1, "# merge").is_empty());
    assert_eq!(labels("parameters:\n  t:\n    - f", 3, 8), ["filter"]);
}

/// The words where `|` stands in a text.
fn at_bar(text: &str) -> Vec<String> {
    let line = text.lines().position(|line| line.contains('|')).unwrap();
    let column = text.lines().nth(line).unwrap().chars().position(|character| character == '|').unwrap();
    labels(&text.replacen('|', "", 1), line + 1, column + 1)
}

#[test]
fn words_fit_their_place_in_slices_and_modules() {
    let slices = "slices:
  - sources:
      - model: a
        layer_range: [0, 16]
        {source}
      - {item}
    {slice}
merge_method: linear
parameters:
  {all}
";
    let with = |place: &str, typed: &str| {
        let text = slices.replace(place, typed);
        at_bar(&["{source}", "{item}", "{slice}", "{all}"].iter().fold(text, |text, other| text.replace(other, "")))
    };
    assert_eq!(with("{source}", "|"), ["model", "layer_range", "parameters"]);
    assert_eq!(with("{item}", "mod|"), ["model"]);
    assert_eq!(with("{source}", "parameters:\n          |"), ["weight"]);
    assert_eq!(with("{slice}", "|"), ["sources", "base_model", "parameters"]);
    assert_eq!(with("{slice}", "base_model: |"), ["a"]);
    assert_eq!(with("{slice}", "parameters:\n      |"), with("{all}", "|"));
    assert!(with("{all}", "|").contains(&"normalize".to_owned()));
    assert_eq!(at_bar("slices:\n  - |"), ["sources", "base_model", "parameters"]);
    assert_eq!(at_bar("modules:\n  text:\n    |"), ["models", "slices", "parameters"]);
    assert_eq!(at_bar("modules:\n  text:\n    slices:\n      - s|"), ["sources"]);
    assert!(at_bar("modules:\n  t|").is_empty());
}

#[test]
fn words_fit_their_place_in_tokenizers() {
    let with = |text: &str| at_bar(&format!("models:\n  - model: a\n  - model: b\n{text}"));
    assert_eq!(with("tokenizer_source: |"), ["union", "base", "a", "b"]);
    assert_eq!(with("tokenizer:\n  |"), ["source", "tokens", "pad_to_multiple_of"]);
    assert_eq!(with("tokenizer:\n  source: u|"), ["union"]);
    assert!(with("tokenizer:\n  tokens:\n    |").is_empty());
    assert_eq!(with("tokenizer:\n  tokens:\n    x:\n      |"), ["source", "force"]);
    assert_eq!(with("tokenizer:\n  tokens:\n    x:\n      source: |"), ["a", "b"]);
    assert_eq!(with("tokenizer:\n  tokens:\n    x:\n      force: t|"), ["true"]);
    let source = "tokenizer:\n  tokens:\n    x:\n      source:\n        ";
    assert_eq!(with(&format!("{source}|")), ["kind", "model", "token", "token_id"]);
    assert_eq!(with(&format!("{source}kind: |")), ["zero", "model_token"]);
    assert_eq!(with(&format!("{source}kind: model_token\n        model: |")), ["a", "b"]);
    assert_eq!(with("chat_template: |"), ["auto", "alpaca", "chatml", "exaone", "llama3", "mistral"]);
}
