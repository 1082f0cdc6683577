//! A real model beside lm-evaluation-harness's `HFLM`, by hand:
//!
//! ```text
//! python tools/eval_models.py FOLDER answers.json
//! EVAL_FOLDER=FOLDER EVAL_ANSWERS=answers.json cargo test --release -p merge-studio-eval --test real -- --ignored --nocapture
//! ```
#![allow(clippy::unwrap_used)]

mod folder;

use std::path::PathBuf;

use merge_studio_eval::{Generation, Lm};
use serde_json::Value;

/// What two float32 computations of thirty layers may be apart.
const TOLERANCE: f64 = 1e-3;

/// More, for each token: torch sums the exponentials of all logits in f32, and is off by up to 6·10⁻⁶ a token with SmolLM2's 49,152, always
/// in the same direction (docs/evaluate-models.md).
const LOG_SOFTMAX: f64 = 1e-5;

#[test]
#[ignore = "needs a model's folder and what HFLM answered for it"]
fn a_real_model_answers_as_lm_eval() {
    let folder = PathBuf::from(std::env::var("EVAL_FOLDER").unwrap());
    let answers = std::fs::read_to_string(std::env::var("EVAL_ANSWERS").unwrap()).unwrap();
    let golden: Value = serde_json::from_str(&answers).unwrap();
    let list = |name: &str| golden[name].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut model = folder::open(&folder, &folder).unwrap();

    let pairs = list("pairs");
    let requests: Vec<_> = pairs.iter().map(|pair| (text(&pair["context"]), text(&pair["continuation"]))).collect();
    let scored = model.log_likelihoods(&requests).unwrap();
    let mut largest: f64 = 0.0;
    for (scored, pair) in scored.iter().zip(&pairs) {
        let distance = (scored.log_likelihood - pair["log_likelihood"].as_f64().unwrap()).abs();
        let tokens = model.tokenizer().encode_bare(pair["continuation"].as_str().unwrap()).unwrap().len() + 1;
        assert!(distance < TOLERANCE + LOG_SOFTMAX * tokens as f64, "{scored:?}, expected {pair}");
        largest = largest.max(distance);
        assert_eq!(scored.greedy, pair["greedy"].as_bool().unwrap(), "{pair}");
    }
    println!("{} continuations, largest difference {largest:e}", pairs.len());

    for case in list("texts") {
        let scored = model.rolling_log_likelihood(&text(&case["text"])).unwrap();
        let expected = case["log_likelihood"].as_f64().unwrap();
        let tokens = model.tokenizer().encode(&text(&case["text"])).unwrap().len();
        let distance = (scored - expected).abs();
        println!("a text of {tokens} tokens: {scored}, difference {distance:e}");
        assert!(distance < TOLERANCE + LOG_SOFTMAX * tokens as f64, "{scored}, expected {expected}");
    }
    for case in list("prompts") {
        let how = Generation {
            until: case["until"].as_array().unwrap().iter().map(text).collect(),
            max_tokens: case["most"].as_u64().unwrap() as usize,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            seed: 0,
        };
        let answered = model.generate(&text(&case["prompt"]), &how).unwrap();
        println!("{:?}", answered.text);
        assert_eq!(answered.text, text(&case["text"]), "{case}");
    }
}
