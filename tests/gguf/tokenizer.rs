//! Tokenizers of both kinds, read back.

use merge_studio::output::gguf::GgufNotice;
use serde_json::{Value, json};

use crate::{Made, ROWS};

/// A byte-level tokenizer of seven tokens, in GPT-2's manner.
pub fn bytes() -> Value {
    json!({
        "added_tokens": [
            { "id": 1, "content": "<b>", "special": true },
            { "id": 2, "content": "<e>", "special": true },
            { "id": 6, "content": "<user>", "special": false },
        ],
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": null,
        "model": {
            "type": "BPE", "vocab": { "a": 0, "<b>": 1, "<e>": 2, "b": 3, "ab": 4, "Ġ": 5 },
            "merges": [["a", "b"]], "ignore_merges": false,
        },
    })
}

/// What a SentencePiece tokenizer of Llama 2's kind says: three special tokens, 256 bytes, then `pieces`, merged in their order.
fn pieces(pieces: &[&str], merges: &[(&str, &str)]) -> Value {
    let mut vocab = serde_json::Map::new();
    for text in ["<unk>", "<s>", "</s>"] {
        vocab.insert(text.into(), vocab.len().into());
    }
    for byte in 0..256 {
        vocab.insert(format!("<0x{byte:02X}>"), vocab.len().into());
    }
    for piece in pieces {
        vocab.insert((*piece).into(), vocab.len().into());
    }
    let added = ["<unk>", "<s>", "</s>"].into_iter().enumerate();
    let added: Vec<Value> = added.map(|(id, text)| json!({ "id": id, "content": text, "special": true })).collect();
    let start = json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
    json!({
        "added_tokens": added,
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ]},
        "pre_tokenizer": null,
        "post_processor": { "type": "TemplateProcessing", "single": [start, { "Sequence": { "id": "A", "type_id": 0 } }] },
        "model": { "type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "vocab": vocab, "merges": merges },
    })
}

const PIECES: [&str; 6] = ["▁a", "ab", "▁ab", "▁", "a", "b"];
const MERGES: [(&str, &str); 4] = [("▁", "a"), ("a", "b"), ("▁a", "b"), ("▁", "ab")];

/// tokenizer.model with the same pieces, scored as SentencePiece scores BPE; `algorithm` 2 is BPE.
fn sentencepiece(pieces: &[&str], algorithm: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let mut put = |text: &str, score: f32, kind: u8| {
        let mut piece = vec![0x0A, text.len() as u8];
        piece.extend_from_slice(text.as_bytes());
        piece.push(0x15);
        piece.extend_from_slice(&score.to_le_bytes());
        piece.extend_from_slice(&[0x18, kind]);
        file.extend_from_slice(&[0x0A, piece.len() as u8]);
        file.extend_from_slice(&piece);
    };
    put("<unk>", 0.0, 2);
    put("<s>", 0.0, 3);
    put("</s>", 0.0, 3);
    for byte in 0..256 {
        put(&format!("<0x{byte:02X}>"), 0.0, 6);
    }
    for (rank, piece) in pieces.iter().enumerate() {
        put(piece, -(rank as f32), 1);
    }
    // The trainer's settings (the algorithm is field 3), the normalizer's (the dummy prefix is field 3), a field that is not read.
    file.extend_from_slice(&[0x12, 2, 0x18, algorithm, 0x1A, 2, 0x18, 0, 0x79, 1, 2, 3, 4, 5, 6, 7, 8]);
    file
}

/// A llama with `rows` tokens.
fn llama(rows: u64) -> Made {
    let mut made = Made::new("LlamaForCausalLM");
    made.put("model.embed_tokens.weight", &[rows, crate::WIDTH]);
    made.put("lm_head.weight", &[rows, crate::WIDTH]);
    made.file("tokenizer_config.json", &json!({ "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>" }));
    made
}

#[test]
fn byte_level_tokens_are_padded_to_the_rows_of_the_embedding() {
    let gguf = Made::new("LlamaForCausalLM").read(None);
    assert_eq!(gguf.text("tokenizer.ggml.model"), Some("gpt2"));
    assert_eq!(gguf.text("tokenizer.ggml.pre"), Some("gpt-2"));
    let tokens = ["a", "<b>", "<e>", "b", "ab", "Ġ", "<user>", "[PAD7]", "[PAD8]", "[PAD9]"];
    assert_eq!(gguf.texts("tokenizer.ggml.tokens"), tokens);
    assert_eq!(gguf.integers("tokenizer.ggml.token_type"), [1, 3, 3, 1, 1, 1, 4, 5, 5, 5]);
    assert_eq!(gguf.texts("tokenizer.ggml.merges"), ["a b"]);
    assert!(!gguf.metadata.contains_key("tokenizer.ggml.scores"));
    // <e> by tokenizer_config.json; <b>, of which it says nothing, by config.json's id.
    assert_eq!(gguf.number("tokenizer.ggml.bos_token_id"), Some(1));
    assert_eq!(gguf.number("tokenizer.ggml.eos_token_id"), Some(2));
    assert_eq!(gguf.number("tokenizer.ggml.padding_token_id"), Some(2));
    assert_eq!(gguf.number("tokenizer.ggml.unknown_token_id"), None);
    assert_eq!(gguf.flag("tokenizer.ggml.add_bos_token"), Some(false));
    assert_eq!(gguf.text("tokenizer.chat_template"), None);
    assert_eq!(tokens.len() as u64, ROWS);
}

#[test]
fn merges_may_be_texts_and_hold_spaces_only_as_bytes() {
    let mut made = Made::new("LlamaForCausalLM");
    let mut tokenizer = bytes();
    tokenizer["model"]["merges"] = json!(["a b"]);
    made.file("tokenizer.json", &tokenizer);
    assert_eq!(made.read(None).texts("tokenizer.ggml.merges"), ["a b"]);
    tokenizer["model"]["merges"] = json!([["a", "b"], [" ", "a"]]);
    made.file("tokenizer.json", &tokenizer);
    assert_eq!(made.read(None).texts("tokenizer.ggml.merges"), ["a b", "Ġ a"]);
}

#[test]
fn a_cut_that_is_not_known_is_said_to_be_the_default_with_a_notice() {
    let mut made = Made::new("LlamaForCausalLM");
    assert!(made.plan(None).unwrap().notices.is_empty());
    let mut tokenizer = bytes();
    tokenizer["pre_tokenizer"]["add_prefix_space"] = json!(true);
    made.file("tokenizer.json", &tokenizer);
    assert_eq!(made.plan(None).unwrap().notices, [GgufNotice::UnknownPreTokenizer]);
    assert_eq!(made.read(None).text("tokenizer.ggml.pre"), Some("default"));
}

#[test]
fn what_is_put_around_a_text_is_what_the_post_processor_or_the_settings_say() {
    let mut made = Made::new("LlamaForCausalLM");
    let special = |id: &str| json!({ "SpecialToken": { "id": id, "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let template = json!({ "type": "TemplateProcessing", "single": [special("<b>"), text, special("<e>")] });
    let mut tokenizer = bytes();
    tokenizer["post_processor"] = json!({ "type": "Sequence", "processors": [{ "type": "ByteLevel" }, template] });
    made.file("tokenizer.json", &tokenizer);
    let added = |made: &Made| {
        let gguf = made.read(None);
        ["bos", "eos"].map(|name| gguf.flag(&format!("tokenizer.ggml.add_{name}_token")))
    };
    assert_eq!(added(&made), [Some(true), Some(true)]);
    made.file("tokenizer_config.json", &json!({ "bos_token": "<b>", "eos_token": "<b>", "add_bos_token": false }));
    assert_eq!(added(&made), [Some(false), Some(false)]);
}

#[test]
fn chat_templates_come_from_their_own_file_or_the_settings() {
    let mut made = Made::new("LlamaForCausalLM");
    let several = json!([{ "name": "default", "template": "{{ a }}" }, { "name": "tools", "template": "{{ b }}" }]);
    made.file("tokenizer_config.json", &json!({ "chat_template": several }));
    let gguf = made.read(None);
    assert_eq!(gguf.text("tokenizer.chat_template"), Some("{{ a }}"));
    assert_eq!(gguf.text("tokenizer.chat_template.tools"), Some("{{ b }}"));
    assert_eq!(gguf.texts("tokenizer.chat_templates"), ["tools"]);
    made.files.insert("chat_template.jinja".into(), "{{ é }}\n".into());
    assert_eq!(made.read(None).text("tokenizer.chat_template"), Some("{{ é }}\n"));
    made.files.remove("chat_template.jinja");
    made.files.remove("tokenizer_config.json");
    made.file("chat_template.json", &json!({ "chat_template": "{{ c }}" }));
    assert_eq!(made.read(None).text("tokenizer.chat_template"), Some("{{ c }}"));
}

#[test]
fn pieces_are_scored_by_the_order_of_merges_or_as_tokenizer_model_says() {
    let mut made = llama(266);
    made.file("tokenizer.json", &pieces(&PIECES, &MERGES));
    let gguf = made.read(None);
    assert_eq!(gguf.text("tokenizer.ggml.model"), Some("llama"));
    assert_eq!(gguf.text("tokenizer.ggml.pre"), Some("default"));
    assert_eq!(gguf.texts("tokenizer.ggml.tokens")[259..], ["▁a", "ab", "▁ab", "▁", "a", "b", "[PAD265]"]);
    assert_eq!(gguf.floats("tokenizer.ggml.scores")[259..], [0.0, -1.0, -2.0, -3.0, -3.0, -3.0, -10_000.0]);
    let kinds = gguf.integers("tokenizer.ggml.token_type");
    assert_eq!((&kinds[..4], &kinds[258..260], kinds[265]), (&[3, 3, 3, 6][..], &[6, 1][..], 5));
    assert_eq!(gguf.flag("tokenizer.ggml.add_space_prefix"), Some(true));
    assert_eq!(gguf.flag("tokenizer.ggml.add_bos_token"), Some(true));
    assert_eq!(gguf.flag("tokenizer.ggml.add_eos_token"), Some(false));
    assert_eq!(gguf.number("tokenizer.ggml.unknown_token_id"), Some(0));
    assert!(!gguf.metadata.contains_key("tokenizer.ggml.merges"));

    made.files.insert("tokenizer.model".into(), sentencepiece(&PIECES, 2));
    assert_eq!(made.read(None).floats("tokenizer.ggml.scores")[259..265], [0.0, -1.0, -2.0, -3.0, -4.0, -5.0]);
    // One of another vocabulary, left by a merge that made a new tokenizer.json, is not believed.
    made.files.insert("tokenizer.model".into(), sentencepiece(&["▁b"], 2));
    assert_eq!(made.read(None).floats("tokenizer.ggml.scores"), gguf.floats("tokenizer.ggml.scores"));
}

#[test]
fn tokenizer_model_alone_is_enough() {
    let mut made = llama(268);
    made.files.remove("tokenizer.json");
    made.files.insert("tokenizer.model".into(), sentencepiece(&PIECES, 2));
    made.file("added_tokens.json", &json!({ "<pad>": 265, "▁own▁": 266 }));
    let gguf = made.read(None);
    assert_eq!(gguf.texts("tokenizer.ggml.tokens")[263..], ["a", "b", "<pad>", " own ", "[PAD267]"]);
    assert_eq!(gguf.integers("tokenizer.ggml.token_type")[263..], [1, 1, 3, 4, 5]);
    assert_eq!(gguf.floats("tokenizer.ggml.scores")[263..], [-4.0, -5.0, -1000.0, -1000.0, -10_000.0]);
    assert_eq!(gguf.integers("tokenizer.ggml.token_type")[..4], [2, 3, 3, 6]);
    assert_eq!(gguf.flag("tokenizer.ggml.add_space_prefix"), Some(false));
    // llama.cpp's default stands.
    assert_eq!(gguf.flag("tokenizer.ggml.add_bos_token"), None);
}

#[test]
fn tokenizers_without_an_exact_form_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Value), word: &str| {
        let mut made = llama(266);
        let mut tokenizer = pieces(&PIECES, &MERGES);
        change(&mut tokenizer);
        made.file("tokenizer.json", &tokenizer);
        let error = made.plan(None).unwrap_err().to_string();
        assert!(error.contains(word), "{word} is not in: {error}");
    };
    refused(&|tokenizer| tokenizer["model"]["type"] = json!("Unigram"), "Unigram");
    refused(&|tokenizer| tokenizer["model"]["byte_fallback"] = json!(false), "neither of bytes");
    refused(&|tokenizer| tokenizer["model"]["merges"] = json!([["▁", "a"]]), "every way to part");
    refused(&|tokenizer| tokenizer["normalizer"] = json!({ "type": "NFKC" }), "prepares text");
    refused(&|tokenizer| tokenizer["model"]["merges"] = json!(["x"]), "cannot be read");
    refused(&|tokenizer| tokenizer["model"]["vocab"] = json!({ "a": 266 }), "266 rows");
    refused(&|tokenizer| drop(tokenizer["model"]["vocab"].as_object_mut().unwrap().remove("<0xFF>")), "255 of the 256");
    let mut made = llama(266);
    made.files.remove("tokenizer.json");
    made.files.insert("tokenizer.model".into(), sentencepiece(&PIECES, 1));
    assert!(made.plan(None).unwrap_err().to_string().contains("not a BPE model"));
}
