//! The tokenizer's files of hand-made alignments.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::output::template::BUILT_IN;
use crate::plan::vocabulary::{VocabularyInput, align};
use crate::recipe::{TokenRule, TokenizerRule, TokenizerSource};

const X: &str = r#"{"added_tokens": [{"id": 2, "content": "<s>", "special": true}],
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}"#;
const Y: &str = r#"{"added_tokens": [{"id": 3, "content": "<s>", "special": true}],
    "model": {"type": "BPE", "vocab": {"c": 0, "b": 1, "a": 2}, "merges": []}}"#;

fn folder(files: &[(&str, &str)]) -> TokenizerFiles {
    let mut read = TokenizerFiles::default();
    for (name, text) in files {
        read.insert(name, text.as_bytes().to_vec());
    }
    read
}

fn x() -> TokenizerFiles {
    folder(&[
        ("tokenizer.json", X),
        ("tokenizer_config.json", "{\n  \"added_tokens_decoder\": {},\n  \"chat_template\": \"{{ old }}\"\n}\n"),
        ("added_tokens.json", "{\"<s>\": 2}"),
        ("vocab.json", "{}"),
        ("merges.txt", ""),
        ("chat_template.json", "{}"),
        ("special_tokens_map.json", "{}"),
        ("generation_config.json", "{\"eos_token_id\": [2, 1], \"pad_token_id\": 40}"),
    ])
}

fn y() -> TokenizerFiles {
    folder(&[("tokenizer.json", Y), ("generation_config.json", "{}")])
}

fn aligned(folders: &[TokenizerFiles], source: TokenizerSource, vocab_size: u64) -> Alignment {
    let inputs: Vec<VocabularyInput> = ["x", "y"]
        .into_iter()
        .zip(folders)
        .map(|(name, files)| VocabularyInput {
            name: name.into(),
            tokenizer: Tokenizer::of(files),
            vocab_size: Some(vocab_size),
            rows: vocab_size,
        })
        .collect();
    align(&TokenizerRule { source, ..TokenizerRule::default() }, &inputs, Some(0)).unwrap()
}

fn text<'a>(output: &'a TokenizerOutput, name: &str) -> &'a str {
    match &output.files.iter().find(|file| file.name == name).unwrap().content {
        Content::Bytes(bytes) => std::str::from_utf8(bytes).unwrap(),
        Content::CopyOf { .. } => panic!("{name} is a copy"),
    }
}

fn copies(output: &TokenizerOutput) -> Vec<(usize, &str)> {
    let copies = output.files.iter().filter_map(|file| match &file.content {
        Content::CopyOf { input, file } => Some((*input, file.as_str())),
        Content::Bytes(_) => None,
    });
    copies.collect()
}

#[test]
fn without_anything_to_change_all_files_are_copies() {
    let folders = [x(), y()];
    let alignment = aligned(&folders, TokenizerSource::Base, 40);
    for alignment in [None, Some(&alignment)] {
        let output = files(&folders.each_ref(), 0, alignment, None).unwrap();
        assert_eq!(copies(&output).len(), 8);
        assert!(output.files.iter().all(|file| is_of_the_tokenizer(&file.name)));
    }
}

#[test]
fn added_tokens_are_written_wherever_they_are_listed() {
    let folders = [x(), y()];
    let alignment = aligned(&folders, TokenizerSource::Union, 4);
    let output = files(&folders.each_ref(), 0, Some(&alignment), None).unwrap();
    let written = Tokenizer::parse(text(&output, "tokenizer.json")).unwrap();
    assert_eq!(written.ids()["c"], 3);
    let config: Value = serde_json::from_str(text(&output, "tokenizer_config.json")).unwrap();
    assert_eq!(config["added_tokens_decoder"]["3"]["content"], "c");
    assert_eq!(config["added_tokens_decoder"]["2"]["special"], true);
    assert_eq!(config["chat_template"], "{{ old }}");
    let copied: Vec<&str> = copies(&output).into_iter().map(|(_, name)| name).collect();
    let kept = ["chat_template.json", "generation_config.json", "merges.txt", "special_tokens_map.json", "vocab.json"];
    assert_eq!(copied, kept, "added_tokens.json would be out of date");
}

#[test]
fn a_stripped_vocabulary_stands_in_tokenizer_json_alone() {
    let folders = [x(), y()];
    let alignment = aligned(&folders, TokenizerSource::Base, 1);
    let output = files(&folders.each_ref(), 0, Some(&alignment), None).unwrap();
    assert!(!output.files.iter().any(|file| ["vocab.json", "merges.txt"].contains(&file.name.as_str())));
    assert_eq!(Tokenizer::parse(text(&output, "tokenizer.json")).unwrap().len(), 1);
    assert!(copies(&output).contains(&(0, "tokenizer_config.json")), "it lists no token that is gone");
}

#[test]
fn another_models_tokenizer_comes_with_its_files_and_the_ids_of_the_donor_move() {
    let folders = [x(), y()];
    let alignment = aligned(&folders, TokenizerSource::Model("y".into()), 5);
    let output = files(&folders.each_ref(), 0, Some(&alignment), None).unwrap();
    assert_eq!(copies(&output), [(1, "tokenizer.json")]);
    assert_eq!(text(&output, "generation_config.json"), "{\"eos_token_id\": [3,1], \"pad_token_id\": 40}");
    let kept = FilesNotice::IdsKept { file: "generation_config.json".into(), members: vec!["pad_token_id".into()] };
    assert_eq!(output.notices, [kept]);
    let config = "{\"vocab_size\": 5, \"bos_token_id\": 2, \"eos_token_id\": 0}";
    let expected = "{\"vocab_size\": 4, \"bos_token_id\": 3, \"eos_token_id\": 2}";
    assert_eq!(with_vocabulary(config, &alignment, 0), (expected.to_owned(), vec![]));
}

#[test]
fn a_template_is_written_where_old_and_new_programs_look() {
    let template = BUILT_IN[1].1;
    let output = files(&[&x()], 0, None, Some(template)).unwrap();
    assert_eq!(text(&output, TEMPLATE_FILE), template);
    let config = text(&output, "tokenizer_config.json");
    assert!(config.starts_with("{\n  \"added_tokens_decoder\": {},\n  \"chat_template\": \""), "{config}");
    assert_eq!(serde_json::from_str::<Value>(config).unwrap()["chat_template"], template);
    assert!(!output.files.iter().any(|file| file.name == OLD_TEMPLATE_FILE));
    let bare = files(&[&y()], 0, None, Some(template)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(text(&bare, "tokenizer_config.json")).unwrap()["chat_template"], template);
}

#[test]
fn without_a_tokenizer_there_is_no_template_and_that_is_said() {
    let output = files(&[&folder(&[("generation_config.json", "{}")])], 0, None, Some("{{ x }}")).unwrap();
    assert_eq!(copies(&output), [(0, "generation_config.json")]);
    assert_eq!(output.notices, [FilesNotice::NoTokenizerForTemplate]);
}

#[test]
fn a_rules_new_token_is_in_the_written_files() {
    let folders = [x(), y()];
    let inputs =
        [VocabularyInput { name: "x".into(), tokenizer: Tokenizer::of(&folders[0]), vocab_size: None, rows: 3 }];
    let tokens = vec![("<new>".to_owned(), TokenRule::default())];
    let rule = TokenizerRule { source: TokenizerSource::Base, tokens, pad_to_multiple_of: Some(16) };
    let alignment = align(&rule, &inputs, None).unwrap();
    let output = files(&folders.each_ref(), 0, Some(&alignment), None).unwrap();
    assert!(text(&output, "tokenizer.json").contains("\"<new>\""));
    assert_eq!(with_vocabulary("{}", &alignment, 0).0, "{\"vocab_size\": 16}");
}
