//! Tokenizers on hand-made vocabularies.
#![allow(clippy::unwrap_used)]

use super::*;

const BPE: &str = r#"{
  "version": "1.0",
  "added_tokens": [
    {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
    {"id": 6, "content": "<x>", "single_word": false, "lstrip": true, "rstrip": false, "normalized": true, "special": false}
  ],
  "post_processor": {"vocab": 1e-5},
  "model": {
    "type": "BPE",
    "vocab": {"<s>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5},
    "merges": ["a b", ["ab", "c"]]
  }
}
"#;

fn files(files: &[(&str, &str)]) -> TokenizerFiles {
    let mut read = TokenizerFiles::default();
    for (name, text) in files {
        read.insert(name, text.as_bytes().to_vec());
    }
    read
}

fn ids(tokenizer: &Tokenizer) -> Vec<(&str, u64)> {
    let mut ids: Vec<(&str, u64)> = tokenizer.ids().iter().map(|(token, &id)| (token.as_str(), id)).collect();
    ids.sort_by_key(|&(_, id)| id);
    ids
}

/// A tokenizer of this vocabulary and these added tokens.
fn bpe(vocab: &str, added: &str) -> Tokenizer {
    Tokenizer::parse(&format!(
        r#"{{"added_tokens": [{added}], "model": {{"type": "BPE", "vocab": {vocab}, "merges": []}}}}"#
    ))
    .unwrap()
}

#[test]
fn every_kind_of_vocabulary_is_read() {
    let tokenizer = Tokenizer::parse(BPE).unwrap();
    assert_eq!(ids(&tokenizer), [("<s>", 0), ("a", 1), ("b", 2), ("c", 3), ("ab", 4), ("abc", 5), ("<x>", 6)]);
    assert_eq!((tokenizer.kind(), tokenizer.model_tokens(), tokenizer.len()), (TokenizerKind::Bpe, 6, 7));
    assert!(tokenizer.is_added("<s>") && tokenizer.is_added("<x>") && !tokenizer.is_added("a"));
    for kind in ["WordPiece", "WordLevel"] {
        let text = format!(r#"{{"model": {{"type": "{kind}", "vocab": {{"a": 0, "b": 1}}, "unk_token": "a"}}}}"#);
        assert_eq!(Tokenizer::parse(&text).unwrap().kind().to_string(), kind);
    }
    let unigram = r#"{"model": {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -1.5e3]], "unk_id": 0}}"#;
    assert_eq!(ids(&Tokenizer::parse(unigram).unwrap()), [("<unk>", 0), ("a", 1)]);
    let old = r#"{"model": {"vocab": {"a": 0}, "merges": []}}"#;
    assert_eq!(Tokenizer::parse(old).unwrap().kind(), TokenizerKind::Bpe);
}

#[test]
fn what_is_written_back_unchanged_is_the_same_text() {
    let tokenizer = Tokenizer::parse(BPE).unwrap();
    assert!(tokenizer.is_as_written());
    let text = tokenizer.to_json().unwrap();
    assert_eq!(text, BPE);
}

#[test]
fn a_new_token_takes_the_next_id_and_nothing_else_changes() {
    let mut tokenizer = Tokenizer::parse(BPE).unwrap();
    assert_eq!(tokenizer.add(AddedToken::plain("<\"é\n")), Some(7));
    assert_eq!(tokenizer.add(AddedToken::plain("")), None);
    // One that is there keeps its id and becomes an added one.
    assert_eq!(tokenizer.add(AddedToken::special("b")), Some(2));
    assert!(!tokenizer.is_as_written());
    let text = tokenizer.to_json().unwrap();
    assert!(text.ends_with(&BPE[BPE.find("  \"post_processor\"").unwrap()..]), "{text}");
    let again = Tokenizer::parse(&text).unwrap();
    assert_eq!(again.ids(), tokenizer.ids());
    assert!(again.added().eq(tokenizer.added()));
    let flags: Vec<_> =
        again.added().map(|token| (token.id, token.lstrip, token.normalized(), token.special)).collect();
    assert_eq!(
        flags,
        [(0, false, false, true), (2, false, false, true), (6, true, true, false), (7, false, true, false)]
    );
}

#[test]
fn a_file_without_added_tokens_gets_them() {
    let mut tokenizer = Tokenizer::parse(r#" {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#).unwrap();
    tokenizer.add(AddedToken::plain("<x>"));
    let text = tokenizer.to_json().unwrap();
    assert!(text.starts_with(" {\"added_tokens\": [{\"id\": 1, \"content\": \"<x>\","), "{text}");
    assert_eq!(Tokenizer::parse(&text).unwrap().ids(), tokenizer.ids());
}

#[test]
fn added_tokens_are_numbered_as_the_library_numbers_them() {
    // As `tokenizers` 0.23 does: behind the vocabulary's count or the last added token, whatever the file says.
    let renumbered = bpe(r#"{"a": 0, "b": 1, "ab": 2}"#, r#"{"id": 7, "content": "<x>"}, {"id": 1, "content": "b"}"#);
    assert_eq!(renumbered.ids()["<x>"], 3);
    assert_eq!(renumbered.renumbered(), Some(&Renumbered { token: "<x>".into(), written: 7, id: 3 }));
    assert!(!renumbered.is_as_written());
    let mut holes = bpe(r#"{"a": 0, "b": 1, "ab": 5}"#, r#"{"id": 3, "content": "<x>"}"#);
    assert_eq!((holes.ids()["<x>"], holes.renumbered()), (3, None));
    assert_eq!(holes.add(AddedToken::plain("z")), Some(4));
    let mut inside = bpe(r#"{"a": 0, "b": 1}"#, r#"{"id": 0, "content": "a"}"#);
    assert_eq!(inside.add(AddedToken::plain("z")), Some(2));
}

#[test]
fn tokens_beyond_a_size_are_taken_out_of_bpe_with_their_merges() {
    let mut tokenizer = Tokenizer::parse(BPE).unwrap();
    tokenizer.strip(7).unwrap();
    assert!(!tokenizer.is_stripped());
    // "abc" goes, and with it the merge that makes it; `<x>` goes, too.
    tokenizer.strip(5).unwrap();
    assert_eq!(ids(&tokenizer), [("<s>", 0), ("a", 1), ("b", 2), ("c", 3), ("ab", 4)]);
    let text = tokenizer.to_json().unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["model"]["merges"], serde_json::json!([["a", "b"]]));
    assert_eq!(json["model"]["vocab"].as_object().unwrap().len(), 5);
    assert_eq!(json["added_tokens"].as_array().unwrap().len(), 1);
    assert_eq!(json["post_processor"]["vocab"].to_string(), "1e-5");
    assert_eq!(tokenizer.add(AddedToken::plain("new")), Some(5));
}

#[test]
fn only_bpe_can_be_stripped() {
    let mut tokenizer =
        Tokenizer::parse(r#"{"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "c": 2}}}"#).unwrap();
    let refused = TokenizerError::CannotStrip { tokens: 2, first: "b".into(), vocab_size: 1, kind: "WordLevel".into() };
    assert_eq!(tokenizer.strip(1), Err(refused));
    assert_eq!(tokenizer.strip(3), Ok(()));
}

#[test]
fn the_configuration_adds_tokens_as_transformers_does() {
    let config = r#"{"added_tokens_decoder": {
        "8": {"content": "<late>", "special": false, "normalized": true, "lstrip": false, "rstrip": false, "single_word": false},
        "7": {"content": "<early>", "special": true}}, "pad_token": "<pad>", "bos_token": "<s>", "eos_token": {"content": "a"},
        "unk_token": null, "additional_special_tokens": ["<more>"]}"#;
    let tokenizer = Tokenizer::of(&files(&[("tokenizer.json", BPE), ("tokenizer_config.json", config)])).unwrap();
    let added: Vec<(&str, u64, bool)> =
        tokenizer.added().map(|token| (token.content.as_str(), token.id, token.special)).collect();
    assert_eq!(
        added,
        [
            ("<s>", 0, true),
            ("a", 1, true),
            ("<x>", 6, false),
            ("<early>", 7, true),
            ("<late>", 8, false),
            ("<pad>", 9, true),
            ("<more>", 10, true)
        ]
    );
    let map = r#"{"pad_token": {"content": "<pad>", "lstrip": true}}"#;
    let old = [("tokenizer.json", BPE), ("tokenizer_config.json", "{}"), ("special_tokens_map.json", map)];
    let tokenizer = Tokenizer::of(&files(&old)).unwrap();
    let pad = tokenizer.added_token("<pad>").unwrap();
    assert_eq!((pad.id, pad.lstrip, pad.special), (7, true, true));
}

#[test]
fn a_list_of_tokens_is_a_vocabulary_but_no_tokenizer_to_write() {
    let gpt2 = [("vocab.json", r#"{"a": 0, "b": 1}"#), ("added_tokens.json", r#"{"<y>": 3, "<x>": 2}"#)];
    let gpt2 = Tokenizer::of(&files(&gpt2)).unwrap();
    assert_eq!(ids(&gpt2), [("a", 0), ("b", 1), ("<x>", 2), ("<y>", 3)]);
    assert_eq!(gpt2.to_json(), Err(TokenizerError::NoTokenizerJson));
    let bert = Tokenizer::of(&files(&[("vocab.txt", "[PAD]\r\n##a\nb\n")])).unwrap();
    assert_eq!(ids(&bert), [("[PAD]", 0), ("##a", 1), ("b", 2)]);
    assert_eq!(bert.kind(), TokenizerKind::List);
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let sentence_piece = Tokenizer::of(&files(&[("tokenizer.model", "\n")])).unwrap_err();
    assert!(sentence_piece.to_string().contains("tokenizer.model is a SentencePiece model"), "{sentence_piece}");
    assert_eq!(Tokenizer::of(&files(&[])).unwrap_err(), TokenizerError::Missing);
    let mut binary = TokenizerFiles::default();
    binary.insert("tokenizer.json", vec![0xff]);
    assert!(matches!(Tokenizer::of(&binary), Err(TokenizerError::Malformed { .. })));
    let huge = r#"{"model": {"type": "BPE", "vocab": {"a": 99999999999}, "merges": []}}"#;
    assert_eq!(
        Tokenizer::parse(huge).unwrap_err(),
        TokenizerError::IdTooLarge { token: "a".into(), id: 99_999_999_999 }
    );
    let other = r#"{"model": {"type": "Hashed", "vocab": {}}}"#;
    assert_eq!(Tokenizer::parse(other).unwrap_err(), TokenizerError::UnknownKind { kind: "Hashed".into() });
    for text in
        ["", "{}", "[]", r#"{"model": {"vocab": {"a": -1}}}"#, r#"{"model": {"vocab": {}}, "added_tokens": null}"#]
    {
        assert!(matches!(Tokenizer::parse(text), Err(TokenizerError::Malformed { .. })), "{text}");
    }
    let merge = r#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b c"]}}"#;
    let mut merge = Tokenizer::parse(merge).unwrap();
    merge.strip(1).unwrap();
    assert!(merge.to_json().is_err());
}

#[test]
fn damaged_texts_are_errors_or_other_tokenizers_and_nothing_worse() {
    let bytes = BPE.as_bytes();
    let mut read = 0;
    for at in 0..bytes.len() {
        for new in [b"".as_slice(), b"9", b"\"", b"{", b"]", b"\xc3", b"\\", b"null"] {
            let mut damaged = bytes.to_vec();
            damaged.splice(at..=at, new.iter().copied());
            let mut files = TokenizerFiles::default();
            files.insert("tokenizer.json", damaged);
            let Ok(mut tokenizer) = Tokenizer::of(&files) else { continue };
            tokenizer.add(AddedToken::plain("new"));
            let stripped = tokenizer.strip(4);
            if let Ok(text) = tokenizer.to_json() {
                let again = Tokenizer::parse(&text);
                assert!(stripped.is_err() || again.is_ok_and(|again| again.ids() == tokenizer.ids()), "{text}");
                read += 1;
            }
        }
    }
    assert!(read > 100, "{read}");
}
