//! Tokens a second on one thread: this package, transformers, and the page, the same texts in turn, round after round.
//!
//! `./studio bench --tokens --models FOLDER` runs it. Reading the model is no part of any figure. The result is Markdown on standard output.
#![allow(clippy::unwrap_used)]

#[path = "../tests/folder/mod.rs"]
mod folder;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Parser;
use merge_studio_eval::model::Model;
use merge_studio_eval::{Generation, Lm};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many times transformers' tokens are aimed at, natively and in the page.
const AIMS: [f64; 2] = [0.7, 0.35];
/// Tokens of a text, of a question, of a prompt, and of an answer to that.
const TEXT: usize = 512;
const QUESTION: usize = 48;
const PROMPT: usize = 64;
const ANSWER: usize = 32;
const CHOICES: [&str; 4] = [" the green river", " seven", " of the seven and", " to"];

#[derive(Parser)]
#[command(name = "./studio bench --tokens")]
struct Options {
    /// The model's folder
    #[arg(long, value_name = "FOLDER")]
    models: PathBuf,
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The built page; without it the page is not measured
    #[arg(long)]
    dist: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is asked: a task of lm-evaluation-harness, and each question's tokens.
struct Asked {
    name: &'static str,
    what: &'static str,
    /// What the task file says beside its name and its data.
    says: &'static str,
    documents: Vec<Value>,
    /// Of a question, answers included.
    tokens: Vec<usize>,
}

impl Asked {
    fn new(name: &'static str, what: &'static str, says: &'static str, documents: Vec<Value>) -> Self {
        Self { name, what, says, documents, tokens: Vec::new() }
    }

    /// Asks natively; tokens a second. The first question only warms up.
    fn native(&mut self, model: &mut Model) -> f64 {
        self.tokens.clear();
        let mut start = Instant::now();
        for document in &self.documents {
            let text = |field: &str| document[field].as_str().unwrap().to_owned();
            let count = |model: &Model, text: &str| model.tokenizer().encode(text).unwrap().len();
            let tokens = match self.name {
                "text" => {
                    model.rolling_log_likelihood(&text("text")).unwrap();
                    count(model, &text("text"))
                }
                "choices" => {
                    let question = text("text");
                    let requests: Vec<_> = CHOICES.map(|choice| (question.clone(), choice.to_owned())).to_vec();
                    model.log_likelihoods(&requests).unwrap();
                    CHOICES.iter().map(|choice| count(model, &format!("{question}{choice}"))).sum()
                }
                _ => {
                    let how = Generation {
                        until: Vec::new(),
                        max_tokens: ANSWER,
                        temperature: 0.0,
                        top_p: 1.0,
                        top_k: 0,
                        seed: 0,
                    };
                    model.generate(&text("text"), &how).unwrap().tokens
                }
            };
            self.tokens.push(tokens);
            if self.tokens.len() == 1 {
                start = Instant::now();
            }
        }
        self.tokens[1..].iter().sum::<usize>() as f64 / start.elapsed().as_secs_f64()
    }

    /// Writes it for the page; the task file.
    fn write(&self, folder: &Path) -> PathBuf {
        let lines: String = self.documents.iter().map(|document| format!("{document}\n")).collect();
        fs::write(folder.join(self.name).with_extension("jsonl"), lines).unwrap();
        let path = folder.join(self.name).with_extension("yaml");
        let (name, says) = (self.name, self.says);
        let data =
            format!("dataset_path: json\ndataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}\ntest_split: test");
        fs::write(&path, format!("task: {name}\n{data}\n{says}\n")).unwrap();
        path
    }
}

/// As many tokens as wanted, no two texts beginning alike.
fn words(model: &Model, seed: usize, tokens: usize) -> String {
    let mut text = format!("{seed}");
    let mut word = seed;
    while model.tokenizer().encode(&text).unwrap().len() < tokens {
        word = (word * 1103 + 12_345) % 100_003;
        text.push_str([" the", " of", " river", " and", " seven", " is", " green", " to"][word / 8 % 8]);
    }
    text
}

fn asked(model: &Model) -> Vec<Asked> {
    let texts = |seed: usize, count: usize, tokens: usize| -> Vec<Value> {
        (0..count).map(|text| json!({ "text": words(model, seed + text, tokens), "choices": CHOICES })).collect()
    };
    vec![
        Asked::new(
            "text",
            "texts of 512 tokens",
            "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'",
            texts(1000, 5, TEXT),
        ),
        Asked::new(
            "choices",
            "questions of 48 tokens with 4 choices, a choice counted with its question",
            "output_type: multiple_choice\ntarget_delimiter: ''\ndoc_to_text: '{{text}}'\ndoc_to_choice: choices\ndoc_to_target: 0",
            texts(2000, 33, QUESTION),
        ),
        Asked::new(
            "answers",
            "answers of 32 tokens to prompts of 64, a prompt's tokens not counted",
            "output_type: generate_until\ndoc_to_text: '{{text}}'\ndoc_to_target: ''\ngeneration_kwargs: {until: [], max_gen_toks: 32, do_sample: false}",
            texts(3000, 9, PROMPT),
        ),
    ]
}

/// A line of `tools/measure_examiner.mjs`.
#[derive(Deserialize)]
struct InPage {
    answers: usize,
    seconds: f64,
}

/// Tokens a second of each task in the page. All questions of a task are of about as many tokens.
fn page(root: &Path, model: &Path, dist: &Path, asked: &[Asked], tasks: &[PathBuf]) -> Vec<f64> {
    let mut command = Command::new("node");
    command.arg("tools/measure_examiner.mjs").arg(model).args(tasks).arg("--dist").arg(dist).current_dir(root);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the page could not be measured");
    let lines = String::from_utf8(output.stdout).unwrap();
    let rate = |(line, asked): (&str, &Asked)| {
        let measured: InPage = serde_json::from_str(line).unwrap();
        let mean = asked.tokens.iter().sum::<usize>() as f64 / asked.tokens.len() as f64;
        measured.answers as f64 * mean / measured.seconds
    };
    lines.lines().zip(asked).map(rate).collect()
}

/// Tokens a second of transformers; nothing where there is no Python with it.
fn transformers(root: &Path, model: &Path) -> Option<Vec<f64>> {
    let mut command = Command::new("python");
    command.arg("tools/eval_speed.py").arg(model).env("OMP_NUM_THREADS", "1").current_dir(root);
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect())
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn main() {
    if !std::env::args().any(|argument| argument == "--models") {
        println!("--models FOLDER is missing: no tokens are measured");
        return;
    }
    let options = Options::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokens");
    fs::create_dir_all(&scratch).unwrap();
    let mut model = folder::open(&options.models, &options.models).unwrap();
    let mut asked = asked(&model);
    let tasks: Vec<PathBuf> = asked.iter().map(|asked| asked.write(&scratch)).collect();
    // By task: natively, in the page, by transformers.
    let mut rates = vec![[const { Vec::new() }; 3]; asked.len()];
    for round in 1..=options.runs {
        eprintln!("Tokens, round {round} of {}", options.runs);
        let native: Vec<f64> = asked.iter_mut().map(|asked| asked.native(&mut model)).collect();
        let page = options.dist.as_ref().map(|dist| page(root, &options.models, dist, &asked, &tasks));
        let others = transformers(root, &options.models);
        for (column, found) in [Some(native), page, others].into_iter().enumerate() {
            for (rates, rate) in rates.iter_mut().zip(found.into_iter().flatten()) {
                rates[column].push(rate);
            }
        }
    }
    println!("| tokens a second, one thread | transformers | native | × | aim | page | × | aim |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (asked, rates) in asked.iter().zip(&rates) {
        let cell = |rate: Option<f64>, digits: usize| rate.map_or("–".to_owned(), |rate| format!("{rate:.digits$}"));
        let other = median(&rates[2]);
        let own = [0, 1].map(|column| {
            let rate = median(&rates[column]);
            let share = rate.zip(other).map(|(rate, other)| rate / other);
            format!("{} | {} | {}", cell(rate, 0), cell(share, 2), AIMS[column])
        });
        println!("| {} | {} | {} |", asked.what, cell(other, 0), own.join(" | "));
    }
    println!("\nRounds: {}; medians. Reading the model is no part of it, nor is the first question.\n", options.runs);
}
