//! Recipes as they are pasted from pages.
#![allow(clippy::unwrap_used)]

use merge_studio::method::infos;
use merge_studio::recipe::{RefusedReason, Repair, RepairKind, check, examples, repair};

/// What a page leaves of a text: every line without its indentation.
fn flatten(text: &str) -> String {
    text.lines().map(|line| line.trim_start().to_owned() + "\n").collect()
}

fn repaired(text: &str) -> String {
    match repair(text, &infos()) {
        Repair::Repaired { text, notes } => {
            assert!(!notes.is_empty(), "a repair says what it did");
            text
        }
        other => panic!("{other:?} for\n{text}"),
    }
}

fn refused(text: &str) -> RefusedReason {
    match repair(text, &infos()) {
        Repair::Refused(reason) => reason,
        other => panic!("{other:?} for\n{text}"),
    }
}

#[test]
fn the_recipe_that_the_project_grew_from_is_repaired() {
    let pasted = "models:
- model: meta-llama/Llama-2-7b-hf
- model: meta-llama/Llama-2-7b-chat-hf
parameters:
density: 0.5
weight: 0.5
- model: epfl-llm/meditron-7b
parameters:
density: 0.5
weight: 0.5
merge_method: dare_ties
base_model: meta-llama/Llama-2-7b-hf
parameters:
normalize: false
int8_mask: true
dtype: float16
";
    assert_eq!(repaired(pasted), examples()[0].text);
    assert_eq!(repaired(pasted.trim_end()), examples()[0].text);
}

#[test]
fn every_example_survives_the_loss_of_its_indentation() {
    for example in examples() {
        assert_eq!(repaired(&flatten(example.text)), example.text, "{}", example.id);
        let without_dashes: String =
            flatten(example.text).lines().map(|line| line.trim_start_matches("- ").to_owned() + "\n").collect();
        assert_eq!(repaired(&without_dashes), example.text, "{}", example.id);
    }
}

#[test]
fn every_example_survives_a_pages_typography() {
    for example in examples() {
        let flat = flatten(example.text);
        for pasted in [
            flat.replace('\n', "\n\n"),
            flat.replace('\n', "  \n"),
            flat.replace('\n', "\r\n"),
            flat.replace('\n', "\t\n"),
            flat.replace(' ', "\u{a0}"),
            flat.replace("- ", "-\u{3000}"),
            flat.replace("- ", "– "),
            flat.replace(": ", "：").replace(":\n", "：\n"),
            format!("\n{flat}").replace('\n', "\n\u{a0}\t"),
            format!("```yaml\n{flat}```\n"),
            format!("\u{feff}\u{200b}{flat}"),
            example.text.replace("  ", "\t"),
            example.text.replace(' ', "\u{a0}"),
        ] {
            let recipe = check(&repaired(&pasted), &infos()).recipe;
            assert_eq!(recipe, check(example.text, &infos()).recipe, "{pasted:?}");
        }
        let quoted = example.text.replace("float16", "“float16”");
        assert_eq!(repaired(&quoted), example.text.replace("float16", "\"float16\""));
    }
}

#[test]
fn what_is_sound_is_left_alone() {
    for example in examples() {
        for text in [
            example.text.to_owned(),
            example.text.replace("\n      ", "\n         "),
            example.text.replace("float16", "fp16"),
            example.text.replace('\n', "\r\n"),
            format!("# “quotes”\u{a0}and\ttabs in a comment\n{}", example.text),
        ] {
            assert_eq!(repair(&text, &infos()), Repair::NotNeeded, "{text}");
        }
    }
    assert_eq!(repair("", &infos()), Repair::NotNeeded);
}

#[test]
fn a_repair_can_be_repeated_without_effect() {
    for example in examples() {
        let once = repaired(&flatten(example.text));
        assert_eq!(repair(&once, &infos()), Repair::NotNeeded);
    }
}

#[test]
fn gradients_and_filters_find_their_way_back() {
    let text = "models:
  - model: a
  - model: b
merge_method: slerp
base_model: a
parameters:
  t:
    - filter: self_attn
      value:
        - 0
        - 0.5
    - filter: mlp
      value: [1, 0.5]
    # the rest
    - value: 0.5
dtype: bfloat16
";
    assert_eq!(repaired(&flatten(text)), text);
}

#[test]
fn shared_parameters_may_stand_before_the_method() {
    let text = "models:
  - model: a
  - model: b
parameters:
  t: 0.5
merge_method: slerp
base_model: a
";
    assert_eq!(repaired(&flatten(text)), text);
    let weights = "models:
  - model: a
  - model: b
parameters:
  weight: 0.5
merge_method: linear
";
    assert_eq!(repaired(&flatten(weights)), weights);
    let both = "models:
  - model: a
    parameters:
      weight: 1
  - model: b
    parameters:
      weight: 1
parameters:
  normalize: false
merge_method: linear
";
    assert_eq!(repaired(&flatten(both)), both);
}

#[test]
fn notes_name_the_line_and_where_it_went() {
    let Repair::Repaired { notes, .. } = repair(&flatten(examples()[0].text), &infos()) else { unreachable!() };
    assert_eq!(notes[0].to_string(), "line 2: put `model` into the list of `models`");
    let density = notes.iter().find(|note| note.line == 5).unwrap();
    assert_eq!(
        density.to_string(),
        "line 5: put `density` under the model's `parameters` (meta-llama/Llama-2-7b-chat-hf)"
    );
    assert!(notes.iter().all(|note| matches!(note.kind, RepairKind::Placed { .. })));
}

#[test]
fn what_would_be_a_guess_is_refused_with_the_reason() {
    // Is the density of b's model alone, or everyone's?
    let ambiguous = "models:\n- model: a\nparameters:\nweight: 1\n- model: b\nparameters:\nweight: 1\ndensity: 0.5\nmerge_method: ties\nbase_model: z\n";
    assert_eq!(refused(ambiguous), RefusedReason::Ambiguous { line: 6, model: "b".into() });
    let linear = flatten(examples()[2].text);
    assert_eq!(refused(&(linear.clone() + "what is this\n")), RefusedReason::Unreadable { line: 10 });
    assert_eq!(
        refused(&(linear.clone() + "colour: red\n")),
        RefusedReason::UnknownKey { line: 10, key: "colour".into() }
    );
    assert_eq!(
        refused(&(linear.clone() + "normalize: false\n")),
        RefusedReason::NoOwner { line: 10, key: "normalize".into() }
    );
    assert_eq!(
        refused(&(linear.clone() + "dtype: float32\n")),
        RefusedReason::Repeated { line: 10, key: "dtype".into() }
    );
    assert!(matches!(refused(&linear.replace("weight: 0.7\n", "")), RefusedReason::NoStructure(_)));
    assert!(matches!(refused("models:\n\0"), RefusedReason::NotText(_)));
}

/// A recipe in the canonical form comes back from its words alone, with or without dashes.
fn survives(text: &str) {
    assert_eq!(repaired(&flatten(text)), text);
    let bare: String = flatten(text).lines().map(|line| line.trim_start_matches("- ").to_owned() + "\n").collect();
    assert_eq!(repaired(&bare), text);
}

#[test]
fn slices_find_their_way_back() {
    survives(
        "slices:
  - sources:
      - model: psmathur/orca_mini_v3_13b
        layer_range: [0, 40]
      - model: garage-bAInd/Platypus2-13B
        layer_range: [0, 40]
merge_method: slerp
base_model: psmathur/orca_mini_v3_13b
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: float16
",
    );
    survives(
        "slices:
  - sources:
      - model: a
        layer_range: [0, 16]
        parameters:
          scale: 0.5
  - sources:
      # the upper half
      - layer_range: [8, 24]
        model: b
merge_method: passthrough
dtype: float16
",
    );
    survives(
        "dtype: float16
merge_method: linear
slices:
  - sources:
      - model: a
        layer_range: [0, 16]
        parameters:
          weight: 1
      - model: b
        layer_range: [0, 16]
        parameters:
          weight: 2
  - sources:
      - model: a
        layer_range: [16, 32]
        parameters:
          weight:
            - filter: mlp
              value: 2
            - value: 1
",
    );
    let Repair::Repaired { notes, .. } =
        repair("slices:\n- sources:\n- model: a\nlayer_range: [0, 2]\nmerge_method: passthrough\n", &infos())
    else {
        unreachable!()
    };
    assert_eq!(
        notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "line 2: put `sources` into the list of `slices`",
            "line 3: put `model` into the slice's `sources`",
            "line 4: put `layer_range` into an entry of a slice's `sources`",
        ]
    );
}

#[test]
fn whose_parameters_they_are_is_not_guessed_in_slices() {
    let source = |model: &str| format!("- model: {model}\nlayer_range: [0, 2]\n");
    let weight = "parameters:\nweight: 1\n";
    let two = format!("- sources:\n{}{}", source("a"), source("b"));
    let end = "merge_method: linear\n";
    // One slice: for b alone there would be no weight of a's, and the slice's are everyone's.
    let text = repaired(&format!("slices:\n{two}{weight}{end}"));
    assert!(text.contains("\nparameters:\n  weight: 1\n"), "{text}");
    // Two slices: the slice's, or b's with everyone's still to come?
    let text = format!("slices:\n{two}{weight}{two}{end}{weight}");
    assert_eq!(refused(&text), RefusedReason::Ambiguous { line: 7, model: "b".into() });
    let text = format!("slices:\n{two}- sources:\n{}parameters:\nnormalize: false\n{end}", source("c"));
    assert!(matches!(refused(&text), RefusedReason::NoStructure(_) | RefusedReason::Ambiguous { .. }));
    // Layers without a slice, and a slice without the list.
    assert_eq!(
        refused(&format!("slices:\n{}{end}", source("a"))),
        RefusedReason::NoOwner { line: 2, key: "model".into() }
    );
    assert_eq!(refused(&format!("{end}{two}")), RefusedReason::NoOwner { line: 2, key: "sources".into() });
}
