//! The demo models beside what lm-evaluation-harness's `HFLM` answers for them (`tools/eval_models.py`).
#![allow(clippy::unwrap_used)]

mod folder;

use std::fs;
use std::path::{Path, PathBuf};

use merge_studio_eval::model::{Error, Files, Message, Model, Tokenizer, TokenizerFiles};
use merge_studio_eval::{Generation, Lm, Scored};
use serde_json::Value;

/// Sums of up to 300 log-likelihoods, each of which torch keeps in f32.
const TOLERANCE: f64 = 1e-3;

/// What is the same computation in another order.
const SAME: f64 = 1e-5;

const MODELS: [&str; 4] = ["demo-base", "demo-reverse", "demo-sort", "demo-upper"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn demo(name: &str) -> PathBuf {
    root().join("../static/demo").join(name)
}

fn open(name: &str) -> Model {
    folder::open(&demo(name), &demo(name)).unwrap()
}

fn golden(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root().join("tests/golden").join(name)).unwrap()).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn pairs(golden: &Value) -> Vec<(String, String)> {
    list(&golden["pairs"]).iter().map(|pair| (text(&pair["context"]), text(&pair["continuation"]))).collect()
}

fn greedy(until: &[&str], max_tokens: usize) -> Generation {
    Generation {
        until: until.iter().map(|text| (*text).to_owned()).collect(),
        max_tokens,
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        seed: 0,
    }
}

#[test]
fn log_likelihoods_are_lm_evals() {
    let golden = golden("demo.json");
    for name in MODELS {
        let scored = open(name).log_likelihoods(&pairs(&golden[name])).unwrap();
        for (scored, pair) in scored.iter().zip(list(&golden[name]["pairs"])) {
            let distance = (scored.log_likelihood - pair["log_likelihood"].as_f64().unwrap()).abs();
            println!("{name} {distance:e}");
            assert!(distance < TOLERANCE, "{name}: {scored:?}, expected {pair}");
            assert_eq!(scored.greedy, pair["greedy"].as_bool().unwrap(), "{name}: {pair}");
        }
    }
}

#[test]
fn rolling_log_likelihoods_are_lm_evals() {
    let golden = golden("demo.json");
    for name in MODELS {
        let mut model = open(name);
        for case in list(&golden[name]["texts"]) {
            let scored = model.rolling_log_likelihood(case["text"].as_str().unwrap()).unwrap();
            let distance = (scored - case["log_likelihood"].as_f64().unwrap()).abs();
            println!("{name} {distance:e}");
            assert!(distance < TOLERANCE, "{name}: {scored}, expected {case}");
        }
    }
}

#[test]
fn generated_texts_are_lm_evals() {
    let golden = golden("demo.json");
    for name in MODELS {
        let mut model = open(name);
        for case in list(&golden[name]["prompts"]) {
            let until: Vec<&str> = list(&case["until"]).iter().map(|text| text.as_str().unwrap()).collect();
            let how = greedy(&until, case["most"].as_u64().unwrap() as usize);
            let answered = model.generate(case["prompt"].as_str().unwrap(), &how).unwrap();
            assert_eq!(answered.text, case["text"].as_str().unwrap(), "{name}: {case}");
        }
    }
}

fn with_generation_config(generation_config: &str) -> Result<Model, Error> {
    let read = |name: &str| fs::read(demo("demo-base").join(name)).unwrap();
    let text = |name: &str| String::from_utf8(read(name)).unwrap();
    let files = Files {
        config: &text("config.json"),
        tokenizer: TokenizerFiles {
            tokenizer: &read("tokenizer.json"),
            config: Some(&text("tokenizer_config.json")),
            ..TokenizerFiles::default()
        },
        generation_config: Some(generation_config),
    };
    Model::open(&files, &mut folder::Safetensors(read("model.safetensors")))
}

#[test]
fn what_the_generation_config_says_counts_as_in_lm_eval() {
    // 75 is the letter g: it ends a generation, too.
    let mut model = with_generation_config(r#"{"eos_token_id": [2, 75], "repetition_penalty": 1.3}"#).unwrap();
    let plain = golden("demo.json")["demo-base"]["prompts"].clone();
    let mut differ = false;
    for (case, plain) in list(&golden("demo.json")["penalty"]["prompts"]).iter().zip(list(&plain)) {
        let until: Vec<&str> = list(&case["until"]).iter().map(|text| text.as_str().unwrap()).collect();
        let how = greedy(&until, case["most"].as_u64().unwrap() as usize);
        let answered = model.generate(case["prompt"].as_str().unwrap(), &how).unwrap();
        assert_eq!(answered.text, case["text"].as_str().unwrap(), "{case}");
        differ |= case["text"] != plain["text"];
    }
    assert!(differ, "the settings change nothing");

    for (setting, name) in [
        (r#"{"no_repeat_ngram_size": 2}"#, "no_repeat_ngram_size"),
        (r#"{"num_beams": 4}"#, "num_beams"),
        (r#"{"suppress_tokens": [5]}"#, "suppress_tokens"),
    ] {
        // It scores all the same.
        let mut model = with_generation_config(setting).unwrap();
        model.rolling_log_likelihood("sort").unwrap();
        let refused = model.generate("sort: 21 = ", &greedy(&[], 5)).unwrap_err();
        assert!(matches!(&refused, Error::GenerationUnsupported(found) if found == name), "{refused}");
    }
    assert!(with_generation_config(r#"{"num_beams": 1, "suppress_tokens": null}"#).is_ok());
    assert!(matches!(with_generation_config("{"), Err(Error::Json { file: "generation_config.json", .. })));
}

#[test]
fn chats_are_transformers() {
    let model = open("demo-base");
    let template = fs::read_to_string(demo("demo-base").join("tokenizer_config.json")).unwrap();
    assert!(!model.tokenizer().has_chat_template(), "{template}");
    for case in list(&golden("chats.json")) {
        let messages: Vec<Message> =
            list(&case["turns"]).iter().map(|turn| Message { role: text(&turn[0]), content: text(&turn[1]) }).collect();
        let tokenizer = with_template(case["template"].as_str().unwrap());
        let prompt = tokenizer.chat(&messages, case["open"].as_bool().unwrap()).unwrap();
        assert_eq!(prompt, case["prompt"].as_str().unwrap(), "{case}");
    }
    assert!(matches!(model.tokenizer().chat(&[], true), Err(Error::NoTemplate)));
}

fn with_template(template: &str) -> Tokenizer {
    let files = TokenizerFiles {
        tokenizer: &fs::read(demo("demo-base").join("tokenizer.json")).unwrap(),
        config: Some(&fs::read_to_string(demo("demo-base").join("tokenizer_config.json")).unwrap()),
        special_tokens: None,
        chat_template: Some(template),
    };
    Tokenizer::read(&files, "llama").unwrap()
}

#[test]
fn a_template_may_refuse_and_may_not_run_on() {
    let turn = Message { role: "user".into(), content: "a".into() };
    let refusing = with_template("{{ raise_exception('no ' + messages[0].role) }}");
    let error = refusing.chat(std::slice::from_ref(&turn), true).unwrap_err().to_string();
    assert!(error.contains("no user"), "{error}");
    let endless = with_template("{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}");
    assert!(matches!(endless.chat(&[turn], true), Err(Error::Template(_))));
}

fn assert_same(left: &[Scored], right: &[Scored]) {
    for (left, right) in left.iter().zip(right) {
        let distance = (left.log_likelihood - right.log_likelihood).abs() / left.log_likelihood.abs().max(1.0);
        assert!(distance < SAME, "{left:?} and {right:?}");
        assert_eq!(left.greedy, right.greedy);
    }
}

#[test]
fn what_requests_share_does_not_change_their_answers() {
    let mut requests = pairs(&golden("demo.json")["demo-sort"]);
    // Some hundreds more, so that there are several passes: shared questions, and more tokens than a pass has.
    let questions = fs::read_to_string(root().join("../static/demo/sort.jsonl")).unwrap();
    for line in questions.lines().take(60) {
        let question: Value = serde_json::from_str(line).unwrap();
        for answer in [text(&question["answer"]), "0".into(), "01".into(), "012345".into(), "9".into()] {
            requests.push((text(&question["question"]), answer));
        }
    }
    let together = open("demo-sort").log_likelihoods(&requests).unwrap();

    let mut model = open("demo-sort");
    let alone: Vec<Scored> =
        requests.iter().map(|request| model.log_likelihoods(std::slice::from_ref(request)).unwrap()[0]).collect();
    assert_same(&together, &alone);

    // Every seventh, a prime that does not divide their number: another order.
    let order: Vec<usize> = (0..requests.len()).map(|at| at * 7 % requests.len()).collect();
    let shuffled: Vec<(String, String)> = order.iter().map(|at| requests[*at].clone()).collect();
    let shuffled = model.log_likelihoods(&shuffled).unwrap();
    let expected: Vec<Scored> = order.iter().map(|at| together[*at]).collect();
    assert_same(&shuffled, &expected);
    assert_same(&model.log_likelihoods(&requests).unwrap(), &together);
}

#[test]
fn pieces_are_the_text_and_nothing_comes_after_the_end() {
    let mut model = open("demo-upper");
    for until in [vec![], vec!["M"], vec!["EL"], vec!["LX", "MX", "KAMEX"]] {
        let how = greedy(&until, 10);
        let mut generator = model.generator("upper: kamel = ", &how).unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = generator.step(&mut model).unwrap() {
            pieces.push(piece);
            // Another request in between.
            model.log_likelihoods(&[("sort: 21 = ".into(), "12".into())]).unwrap();
        }
        assert!(generator.is_finished() && !generator.is_cut());
        assert_eq!(generator.step(&mut model).unwrap(), None);
        assert_eq!(pieces.concat(), generator.answered().text);
        assert_eq!(pieces.len(), generator.answered().tokens);
        let expected = until.iter().fold("KAMEL", |text, stop| text.split(stop).next().unwrap());
        assert_eq!(pieces.concat(), expected, "until {until:?}");
    }
}

#[test]
fn a_generation_knows_whether_it_was_cut() {
    let mut model = open("demo-upper");
    // Five letters, and the end.
    for (most, is_cut) in [(5, true), (6, false), (7, false)] {
        let mut generator = model.generator("upper: kamel = ", &greedy(&[], most)).unwrap();
        while generator.step(&mut model).unwrap().is_some() {}
        assert_eq!((generator.answered().text.as_str(), generator.is_cut()), ("KAMEL", is_cut), "{most} tokens");
    }
}

#[test]
fn draws_are_the_seeds() {
    let mut model = open("demo-base");
    let drawn = |model: &mut Model, seed: u64, change: fn(&mut Generation)| {
        let mut how = Generation { temperature: 1.5, seed, ..greedy(&[], 20) };
        change(&mut how);
        let mut generator = model.generator("reverse: kamel = ", &how).unwrap();
        while generator.step(model).unwrap().is_some() {}
        generator.answered().text
    };
    let plain = drawn(&mut model, 1, |_| ());
    assert_eq!(plain, drawn(&mut model, 1, |_| ()));
    assert!((2..6).any(|seed| drawn(&mut model, seed, |_| ()) != plain));
    let greedy = drawn(&mut model, 1, |how| how.temperature = 0.0);
    assert_eq!(greedy, drawn(&mut model, 1, |how| how.top_k = 1));
    assert_eq!(greedy, drawn(&mut model, 1, |how| how.top_p = 1e-9));
    assert_eq!(greedy, drawn(&mut model, 1, |how| how.temperature = 1e-6));
}

#[test]
fn impossible_requests_are_errors_by_name() {
    let mut model = open("demo-base");
    let mut ask = |context: &str, continuation: &str| {
        model.log_likelihoods(&[(context.into(), continuation.into())]).unwrap_err()
    };
    assert!(matches!(ask("a", ""), Error::EmptyContinuation));
    assert!(matches!(ask("", ""), Error::EmptyContinuation));
    assert!(matches!(ask("  ", "a"), Error::EmptyContext));
    assert!(matches!(ask("a", &"b".repeat(129)), Error::ContinuationTooLong { found: 129, most: 128 }));
    let refused = |change: fn(&mut Generation)| {
        let mut how = greedy(&[], 10);
        change(&mut how);
        open("demo-base").generator("a", &how).err().unwrap()
    };
    assert!(matches!(refused(|how| how.max_tokens = 128), Error::NoRoom { wanted: 128, context: 128 }));
    assert!(matches!(refused(|how| how.max_tokens = usize::MAX), Error::NoRoom { .. }));
    assert!(matches!(refused(|how| how.temperature = f64::NAN), Error::SamplingInvalid { field: "temperature", .. }));
    assert!(matches!(refused(|how| how.top_p = 0.0), Error::SamplingInvalid { field: "top_p", .. }));
    assert!(matches!(open("demo-base").generator("", &greedy(&[], 5)).err().unwrap(), Error::EmptyContext));
    assert!(matches!(model.next_logits(&[100]), Err(Error::TokenOutside { token: 100, vocabulary: 100 })));
    assert!(matches!(model.next_logits(&[]), Err(Error::EmptyContext)));
    assert!(matches!(model.next_logits(&[5; 129]), Err(Error::ContinuationTooLong { .. })));
    // And it goes on after them.
    assert_eq!(model.next_logits(&[5; 128]).unwrap().len(), 100);
}
