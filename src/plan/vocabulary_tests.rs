//! Alignments of hand-made vocabularies.
#![allow(clippy::unwrap_used)]

use super::*;
use RowOrigin::{Mean, MeanAbove, Own, Zero};

/// An input with these tokens, in the order of their ids; those in angle brackets are added ones.
fn input(name: &str, tokens: &str) -> VocabularyInput {
    let tokens: Vec<&str> = tokens.split(' ').collect();
    let (added, model): (Vec<_>, Vec<_>) = tokens.iter().zip(0..).partition(|(token, _)| token.starts_with('<'));
    let model: Vec<String> = model.iter().map(|(token, id): &(&&str, u64)| format!("\"{token}\": {id}")).collect();
    let added: Vec<String> = added
        .iter()
        .map(|(token, id): &(&&str, u64)| format!(r#"{{"id": {id}, "content": "{token}", "special": true}}"#))
        .collect();
    let json = format!(
        r#"{{"added_tokens": [{}], "model": {{"type": "BPE", "vocab": {{{}}}, "merges": []}}}}"#,
        added.join(","),
        model.join(",")
    );
    let rows = tokens.len() as u64;
    VocabularyInput { name: name.to_owned(), tokenizer: Tokenizer::parse(&json), vocab_size: Some(rows), rows }
}

fn rule(source: TokenizerSource) -> TokenizerRule {
    TokenizerRule { source, ..TokenizerRule::default() }
}

fn tokens(rules: &[(&str, Option<TokenSource>, bool)]) -> TokenizerRule {
    let rules = rules
        .iter()
        .map(|(token, source, force)| ((*token).to_owned(), TokenRule { source: source.clone(), force: *force }));
    TokenizerRule { source: TokenizerSource::Union, tokens: rules.collect(), pad_to_multiple_of: None }
}

/// The output's tokens in the order of their ids.
fn order(alignment: &Alignment) -> String {
    let ids = alignment.tokenizer.ids().iter().map(|(token, &id)| (token.as_str(), id)).collect();
    let tokens: Vec<&str> = in_order(ids, |(_, id)| *id).into_iter().map(|(token, _)| token).collect();
    tokens.join(" ")
}

/// The maps of all of `count` inputs.
fn maps(alignment: &Alignment, count: usize, base: Option<usize>) -> Vec<Vec<(u64, RowOrigin)>> {
    let present: Vec<usize> = (0..count).collect();
    alignment.row_maps(&present, base).unwrap().into_iter().map(|map| map.runs).collect()
}

#[test]
fn the_same_vocabulary_is_one_run_of_own_rows() {
    let inputs = [input("x", "a b c"), input("y", "a b c")];
    for source in [TokenizerSource::Base, TokenizerSource::Union, TokenizerSource::Model("y".into())] {
        let alignment = align(&rule(source), &inputs, None).unwrap();
        assert!(alignment.is_unchanged() && alignment.notices.is_empty() && alignment.added.is_empty());
        assert_eq!((alignment.tokens, alignment.rows), (3, 3));
        assert_eq!(maps(&alignment, 2, None), vec![vec![(3, Own(0))]; 2]);
    }
}

#[test]
fn the_bases_tokens_are_found_in_the_others_wherever_they_stand() {
    let inputs = [input("x", "a b c d"), input("y", "c d a")];
    let alignment = align(&rule(TokenizerSource::Base), &inputs, Some(0)).unwrap();
    assert_eq!(order(&alignment), "a b c d");
    // y lacks b, which only x has.
    let [x, y] = maps(&alignment, 2, Some(0)).try_into().unwrap();
    assert_eq!(x, [(4, Own(0))]);
    assert_eq!(y, [(1, Own(2)), (1, Mean(vec![(0, 1)])), (2, Own(0))]);
}

#[test]
fn a_union_has_the_bases_tokens_then_the_others_then_their_added_ones() {
    let inputs = [input("x", "a b <x>"), input("y", "c a d <y>"), input("z", "e <z> <y>")];
    let alignment = align(&rule(TokenizerSource::Union), &inputs, None).unwrap();
    assert_eq!(order(&alignment), "a b <x> c d e <y> <z>");
    assert_eq!(alignment.added, ["c", "d", "e", "<y>", "<z>"]);
    assert!(!alignment.is_unchanged());
    assert!(alignment.tokenizer.added_token("<z>").unwrap().special);
    assert!(!alignment.tokenizer.added_token("c").unwrap().special);
    // Another base: its tokens come first, the others' in the order of the recipe.
    let alignment = align(&rule(TokenizerSource::Union), &inputs, Some(2)).unwrap();
    assert_eq!(order(&alignment), "e <z> <y> a b c d <x>");
}

#[test]
fn a_token_that_several_have_is_the_bases_or_their_mean() {
    let inputs = [input("x", "a"), input("y", "a b"), input("z", "a c b")];
    let alignment = align(&rule(TokenizerSource::Union), &inputs, Some(0)).unwrap();
    assert_eq!(order(&alignment), "a b c");
    let [x, y, z] = maps(&alignment, 3, Some(0)).try_into().unwrap();
    assert_eq!(x, [(1, Own(0)), (1, Mean(vec![(1, 1), (2, 2)])), (1, Mean(vec![(2, 1)]))]);
    assert_eq!(y, [(2, Own(0)), (1, Mean(vec![(2, 1)]))]);
    assert_eq!(z, [(1, Own(0)), (1, Own(2)), (1, Own(1))]);
    // y as the base of this tensor: b is its own.
    let x = maps(&alignment, 3, Some(1)).swap_remove(0);
    assert_eq!(x, [(1, Own(0)), (1, Mean(vec![(1, 1)])), (1, Mean(vec![(2, 1)]))]);
}

#[test]
fn only_inputs_that_have_the_tensor_count() {
    let inputs = [input("x", "a"), input("y", "a b"), input("z", "a b")];
    let alignment = align(&rule(TokenizerSource::Union), &inputs, Some(1)).unwrap();
    let maps = alignment.row_maps(&[0, 2], Some(1)).unwrap();
    assert_eq!(maps[0].runs, [(1, Own(0)), (1, Mean(vec![(2, 1)]))]);
    assert_eq!(maps[1].runs, [(2, Own(0))]);
}

#[test]
fn runs_of_means_go_on_while_all_their_rows_do() {
    let inputs = [input("x", "a"), input("y", "a b c d"), input("z", "a b c e d")];
    let alignment = align(&rule(TokenizerSource::Union), &inputs, None).unwrap();
    let x = maps(&alignment, 3, None).swap_remove(0);
    assert_eq!(
        x,
        [(1, Own(0)), (2, Mean(vec![(1, 1), (2, 1)])), (1, Mean(vec![(1, 3), (2, 4)])), (1, Mean(vec![(2, 3)]))]
    );
}

#[test]
fn rules_give_rows_to_models_that_lack_a_token_and_with_force_to_all() {
    let inputs = [input("x", "a b"), input("y", "a c d")];
    let from = |token: &str| Some(TokenSource::Token { model: "y".into(), token: token.into() });
    let rule = tokens(&[
        ("b", Some(TokenSource::Zero), false),
        ("c", Some(TokenSource::Model("y".into())), true),
        ("a", from("d"), true),
        ("<new>", Some(TokenSource::Id { model: "x".into(), id: 1 }), false),
        ("<zero>", Some(TokenSource::Zero), true),
    ]);
    let alignment = align(&rule, &inputs, Some(0)).unwrap();
    assert_eq!(order(&alignment), "a b c d <new> <zero>");
    assert!(!alignment.tokenizer.added_token("<new>").unwrap().special);
    let [x, y] = maps(&alignment, 2, Some(0)).try_into().unwrap();
    assert_eq!(x, [(1, Mean(vec![(1, 2)])), (1, Own(1)), (2, Mean(vec![(1, 1)])), (1, Own(1)), (1, Zero)],);
    assert_eq!(y, [(1, Own(2)), (1, Zero), (2, Own(1)), (1, Mean(vec![(0, 1)])), (1, Zero)]);
    assert!(alignment.notices.is_empty());
}

#[test]
fn a_forced_rule_without_a_source_is_as_usual_for_all() {
    let inputs = [input("x", "a b"), input("y", "b a")];
    let alignment = align(&tokens(&[("b", None, true)]), &inputs, Some(0)).unwrap();
    let [x, y] = maps(&alignment, 2, Some(0)).try_into().unwrap();
    assert_eq!(x, [(2, Own(0))]);
    assert_eq!(y, [(1, Own(1)), (1, Mean(vec![(0, 1)]))]);
}

#[test]
fn tokens_added_to_the_bases_vocabulary_are_absent_from_the_base() {
    let inputs = [VocabularyInput { rows: 4, vocab_size: Some(4), ..input("x", "a b") }, input("y", "a b")];
    let id = Some(TokenSource::Id { model: "y".into(), id: 0 });
    let rule = TokenizerRule { source: TokenizerSource::Base, ..tokens(&[("<n>", id, false)]) };
    let alignment = align(&rule, &inputs, Some(0)).unwrap();
    let [x, y] = maps(&alignment, 2, Some(0)).try_into().unwrap();
    assert_eq!(x, [(2, Own(0)), (1, Mean(vec![(1, 0)]))]);
    assert_eq!(y, [(2, Own(0)), (1, Own(0))]);
}

#[test]
fn rules_that_name_what_is_not_there_are_refused_by_name() {
    let inputs = [input("x", "a b"), input("y", "a")];
    let refused = |source: TokenSource, token: &str| {
        let alignment = align(&tokens(&[(token, Some(source), false)]), &inputs, Some(0));
        alignment.and_then(|alignment| alignment.row_maps(&[0, 1], Some(0))).unwrap_err().to_string()
    };
    let of = |token: &str| TokenSource::Token { model: "y".into(), token: token.into() };
    assert_eq!(refused(of("z"), "b"), "the embedding of \"b\" is to come from \"z\" of y, which has no such token");
    assert_eq!(
        refused(TokenSource::Model("y".into()), "b"),
        "the embedding of \"b\" is to come from \"b\" of y, which has no such token"
    );
    assert_eq!(
        refused(TokenSource::Id { model: "y".into(), id: 1 }, "<n>"),
        "the embedding of \"<n>\" is to come from row 1 of y, which has 1 rows"
    );
    assert_eq!(
        refused(TokenSource::Model("w".into()), "b"),
        "the tokenizer section names w, which is none of the recipe's models"
    );
    let alignment = align(&tokens(&[("b", Some(of("a")), false)]), &inputs, Some(0)).unwrap();
    assert!(alignment.row_maps(&[0], Some(0)).is_ok(), "x has b itself");
    let forced = align(&tokens(&[("b", Some(of("a")), true)]), &inputs, Some(0)).unwrap();
    assert!(matches!(forced.row_maps(&[0], Some(0)), Err(VocabularyError::TensorNotThere { .. })));
    // Nobody needs the row that is not there.
    let unneeded = align(&tokens(&[("a", Some(of("z")), false)]), &inputs, Some(0)).unwrap();
    assert!(unneeded.row_maps(&[0, 1], Some(0)).is_ok());
}

#[test]
fn rows_are_filled_up_to_a_multiple_with_their_mean() {
    let inputs = [input("x", "a b c"), input("y", "c b a")];
    let padded = |multiple| TokenizerRule { pad_to_multiple_of: Some(multiple), ..rule(TokenizerSource::Base) };
    let alignment = align(&padded(8), &inputs, None).unwrap();
    assert_eq!((alignment.tokens, alignment.rows), (3, 8));
    let [x, y] = maps(&alignment, 2, None).try_into().unwrap();
    assert_eq!(x, [(3, Own(0)), (5, MeanAbove)]);
    assert_eq!(y, [(1, Own(2)), (1, Own(1)), (1, Own(0)), (5, MeanAbove)]);
    for exact in [0, 1, 3] {
        assert_eq!(align(&padded(exact), &inputs, None).unwrap().rows, 3);
    }
    assert!(matches!(align(&padded(u64::MAX), &inputs, None), Err(VocabularyError::TooManyRows { .. })));
}

#[test]
fn rows_that_only_pad_are_dropped() {
    let inputs = [VocabularyInput { rows: 64, vocab_size: Some(64), ..input("x", "a b") }, input("y", "a b")];
    let alignment = align(&rule(TokenizerSource::Base), &inputs, None).unwrap();
    assert_eq!(alignment.rows, 2);
    assert_eq!(maps(&alignment, 2, None), vec![vec![(2, Own(0))]; 2]);
}

#[test]
fn tokens_beyond_a_models_rows_are_cut_off_the_base_and_absent_elsewhere() {
    let short =
        |name, tokens: &str, size| VocabularyInput { vocab_size: Some(size), rows: size, ..input(name, tokens) };
    let inputs = [short("x", "a b c", 2), short("y", "c a b", 2)];
    let alignment = align(&rule(TokenizerSource::Base), &inputs, None).unwrap();
    assert_eq!(order(&alignment), "a b");
    assert!(alignment.tokenizer.is_stripped() && !alignment.is_unchanged());
    let y = maps(&alignment, 2, None).swap_remove(1);
    assert_eq!(y, [(1, Own(1)), (1, Mean(vec![(0, 1)]))]);
    assert_eq!(alignment.notices, [VocabularyNotice::BeyondRows { input: "y".into(), tokens: 1, first: "b".into() }]);
    // c comes back with y, where it has a row.
    let union = align(&rule(TokenizerSource::Union), &inputs, None).unwrap();
    assert_eq!(order(&union), "a b c");
}

#[test]
fn a_model_without_a_tokenizer_is_taken_to_have_the_bases() {
    let none = VocabularyInput { tokenizer: Err(TokenizerError::Missing), ..input("y", "a b") };
    let inputs = [input("x", "a b"), none.clone()];
    let alignment = align(&rule(TokenizerSource::Union), &inputs, None).unwrap();
    assert_eq!(maps(&alignment, 2, None), vec![vec![(2, Own(0))]; 2]);
    let error = TokenizerError::Missing;
    assert_eq!(alignment.notices, [VocabularyNotice::TakenForTheBases { input: "y".into(), error: error.clone() }]);
    let refused = VocabularyError::Tokenizer { input: "y".into(), error };
    assert_eq!(align(&rule(TokenizerSource::Base), &inputs, Some(1)).unwrap_err(), refused);
    assert_eq!(align(&rule(TokenizerSource::Model("y".into())), &inputs, Some(0)).unwrap_err(), refused);
}

#[test]
fn a_token_of_no_model_is_zeros_and_said() {
    let inputs = [input("x", "a b"), input("y", "a b")];
    let alignment = align(&tokens(&[("<n>", None, false)]), &inputs, None).unwrap();
    assert_eq!(maps(&alignment, 2, None), vec![vec![(2, Own(0)), (1, Zero)]; 2]);
    assert_eq!(alignment.notices, [VocabularyNotice::InNoModel { tokens: 1, first: "<n>".into() }]);
}

#[test]
fn ids_that_skip_numbers_have_rows_of_zeros() {
    let gap = r#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 3}, "merges": []}}"#;
    let inputs = [VocabularyInput { name: "x".into(), tokenizer: Tokenizer::parse(gap), vocab_size: Some(4), rows: 4 }];
    let alignment = align(&rule(TokenizerSource::Base), &inputs, None).unwrap();
    assert_eq!((alignment.tokens, alignment.notices.as_slice()), (4, &[VocabularyNotice::Gaps { rows: 2 }][..]));
    assert_eq!(maps(&alignment, 1, None), [vec![(1, Own(0)), (2, Zero), (1, Own(3))]]);
}

#[test]
fn ids_move_with_their_tokens() {
    let inputs = [input("x", "a b <s>"), input("y", "b a c <s>")];
    let alignment = align(&rule(TokenizerSource::Model("y".into())), &inputs, Some(0)).unwrap();
    assert_eq!((alignment.moved(0, 2), alignment.moved(0, 0), alignment.moved(0, 9)), (Some(3), Some(1), None));
    assert_eq!(alignment.source, 1);
}

#[test]
fn an_added_token_is_found_as_the_first_input_says() {
    let with = |name: &str, flags: &str| VocabularyInput {
        name: name.into(),
        tokenizer: Tokenizer::parse(&format!(
            r#"{{"added_tokens": [{{"id": 1, "content": "<n>"{flags}}}],
                "model": {{"type": "BPE", "vocab": {{"a": 0}}, "merges": []}}}}"#
        )),
        vocab_size: Some(2),
        rows: 2,
    };
    let inputs = [input("x", "a"), with("y", ", \"rstrip\": true"), with("z", "")];
    let alignment = align(&rule(TokenizerSource::Union), &inputs, Some(0)).unwrap();
    assert!(alignment.tokenizer.added_token("<n>").unwrap().rstrip);
    assert_eq!(alignment.notices, [VocabularyNotice::FoundDifferently { token: "<n>".into(), input: "z".into() }]);
}

#[test]
fn a_vocabulary_alone_aligns_but_is_no_output() {
    let mut files = crate::model::tokenizer::TokenizerFiles::default();
    files.insert("vocab.txt", b"b\na\n".to_vec());
    let list = VocabularyInput { tokenizer: Tokenizer::of(&files), ..input("y", "b a") };
    let inputs = [input("x", "a b"), list];
    let alignment = align(&rule(TokenizerSource::Base), &inputs, Some(0)).unwrap();
    assert_eq!(maps(&alignment, 2, Some(0))[1], [(1, Own(1)), (1, Own(0))]);
    let refused = align(&rule(TokenizerSource::Union), &inputs, Some(1)).unwrap_err().to_string();
    assert!(refused.contains("the tokenizer of y: there is no tokenizer.json"), "{refused}");
    assert!(refused.contains("save_pretrained"), "{refused}");
}
