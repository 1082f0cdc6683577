//! Tokenizers in this program, in which JSON's numbers are read with the engine's settings: scores and all arrive.
#![allow(clippy::unwrap_used)]

use merge_studio_eval::model::{Tokenizer, TokenizerFiles};
use serde_json::{Value, json};

const CONFIG: &str = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<e>"}"#;

/// A tokenizer around a model.
fn tokenizer(model: &Value) -> Tokenizer {
    let text = json!({
        "version": "1.0",
        "added_tokens": [{
            "id": 0, "content": "<e>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
        }],
        "model": model,
    });
    let text = text.to_string();
    let files = TokenizerFiles { tokenizer: text.as_bytes(), config: Some(CONFIG), ..TokenizerFiles::default() };
    Tokenizer::read(&files, "").unwrap()
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text).unwrap()
}

#[test]
fn unigram_goes_by_its_scores() {
    let with = |pair: f64| {
        let vocabulary = json!([["<e>", 0.0], ["a", -1.25], ["b", -1.5], ["ab", pair]]);
        tokenizer(&json!({"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": false}))
    };
    assert_eq!(tokens(&with(-2.5), "ab"), [3]);
    assert_eq!(tokens(&with(-3.0), "ab"), [1, 2]);
    // A whole number, and one with an exponent.
    assert_eq!(tokens(&with(-2.0), "ab"), [3]);
    assert_eq!(tokens(&with(-1e3), "ab"), [1, 2]);
}

#[test]
fn bpe_goes_by_its_merges() {
    let vocabulary = json!({"<e>": 0, "a": 1, "b": 2, "ab": 3, "c": 4});
    for merges in [json!(["a b"]), json!([["a", "b"]])] {
        let bpe = tokenizer(&json!({"type": "BPE", "dropout": null, "vocab": vocabulary, "merges": merges}));
        assert_eq!(tokens(&bpe, "abc"), [3, 4]);
    }
}

#[test]
fn word_pieces_are_the_longest() {
    let vocabulary = json!({"<e>": 0, "a": 1, "##b": 2, "ab": 3, "##c": 4});
    let model = json!({
        "type": "WordPiece", "unk_token": "<e>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary,
    });
    assert_eq!(tokens(&tokenizer(&model), "abc"), [3, 4]);
}
