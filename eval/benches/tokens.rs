//! Tokens a second of a model's folder: `cargo bench -p merge-studio-eval --bench tokens -- FOLDER [SECONDS]`. `RAYON_NUM_THREADS`
//! says on how many threads.
#![allow(clippy::unwrap_used)]

#[path = "../tests/folder/mod.rs"]
mod folder;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use merge_studio_eval::model::Model;
use merge_studio_eval::{Generation, Lm};

/// Repeats until the time is over; tokens a second, of the fastest time.
fn fastest(limit: Duration, mut once: impl FnMut() -> usize) -> f64 {
    let begun = Instant::now();
    let mut best: f64 = 0.0;
    while begun.elapsed() < limit {
        let start = Instant::now();
        let tokens = once();
        best = best.max(tokens as f64 / start.elapsed().as_secs_f64());
    }
    best
}

/// As many tokens as wanted, no two texts beginning alike.
fn words(model: &Model, seed: usize, tokens: usize) -> String {
    let mut text = format!("{seed}");
    let mut word = seed;
    while model.tokenizer().encode(&text).unwrap().len() < tokens {
        word = (word * 1103 + 12_345) % 100_003;
        for _ in 0..8 {
            text.push_str([" the", " of", " river", " and", " seven", " is", " green", " to"][word % 8]);
            word = word * 7 + 3;
        }
    }
    text
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        println!("FOLDER is missing: nothing is measured");
        return;
    };
    let limit = Duration::from_secs(arguments.get(1).map_or(10, |seconds| seconds.parse().unwrap()));
    let start = Instant::now();
    let mut model = folder::open(&folder, &folder).unwrap();
    println!("opened in {:.2} s", start.elapsed().as_secs_f64());

    let mut seed = 0;
    let rate = fastest(limit, || {
        seed += 1;
        let text = words(&model, seed, 512);
        let tokens = model.tokenizer().encode(&text).unwrap();
        model.logits(&tokens[..512], 511).unwrap();
        512
    });
    println!("a text of 512 tokens: {rate:.1} tokens/s");

    let rate = fastest(limit, || {
        seed += 1;
        let mut requests = Vec::new();
        let mut tokens = 0;
        for question in 0..8 {
            let question = words(&model, 1000 * seed + question, 48);
            for choice in [" the green river", " seven", " of the seven and", " to"] {
                tokens += model.tokenizer().encode(&format!("{question}{choice}")).unwrap().len();
                requests.push((question.clone(), choice.to_owned()));
            }
        }
        model.log_likelihoods(&requests).unwrap();
        tokens
    });
    println!("8 questions of 48 tokens with 4 choices: {rate:.1} tokens/s, each choice with its question");

    let how = Generation { until: Vec::new(), max_tokens: 32, temperature: 0.0, top_p: 1.0, top_k: 0, seed: 0 };
    let prompt = words(&model, 1, 64);
    let mut best: f64 = 0.0;
    let begun = Instant::now();
    while begun.elapsed() < limit {
        let mut generator = model.generator(&prompt, &how).unwrap();
        generator.step(&mut model).unwrap();
        let start = Instant::now();
        while generator.step(&mut model).unwrap().is_some() {}
        best = best.max((generator.answered().tokens - 1) as f64 / start.elapsed().as_secs_f64());
    }
    println!("generating: {best:.1} tokens/s");
}
