//! What lm-evaluation-harness 0.4.13 makes of task files (tools/eval_golden.py), compared with what is made here: every prompt byte for
//! byte, every answer's worth, every result and its standard error.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use merge_studio_eval::task::{
    Errors, Evaluation, Group, Measured, Options, Record, Results, Task, Worth, builtin, lm_eval_report,
};
use merge_studio_eval::{Answered, Generation, Lm, Scored};
use serde_json::Value as Json;

/// Of numbers that exponentials and logarithms are in: NumPy's, the C library's and ours differ in the last bit, and sums of them
/// in a few.
const RELATIVE: f64 = 4e-15;
/// Standard errors of resampled numbers are differences of such sums.
const RESAMPLED: f64 = 1e-12;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn checksum(text: &str) -> u64 {
    text.bytes().fold(7, |value, byte| (value * 31 + u64::from(byte)) % 1_000_003)
}

/// The model of tools/eval_golden.py.
struct Arithmetic;

impl Lm for Arithmetic {
    type Error = std::convert::Infallible;

    fn log_likelihoods(&mut self, requests: &[(String, String)]) -> Result<Vec<Scored>, Self::Error> {
        let score = |(context, continuation): &(String, String)| {
            let value = checksum(&format!("{context}\0{continuation}"));
            let log_likelihood = -((value % 4096) as f64) / 256.0 - continuation.len() as f64 / 8.0;
            Scored { log_likelihood, greedy: value.is_multiple_of(3) }
        };
        Ok(requests.iter().map(score).collect())
    }

    fn rolling_log_likelihood(&mut self, text: &str) -> Result<f64, Self::Error> {
        Ok(-((checksum(text) % 65536) as f64) / 1024.0 - text.len() as f64 / 4.0)
    }

    fn generate(&mut self, prompt: &str, how: &Generation) -> Result<Answered, Self::Error> {
        let mut parts = vec![prompt.to_owned(), how.max_tokens.to_string()];
        parts.extend(how.until.clone());
        let last = prompt.split_whitespace().last().unwrap_or("nothing");
        let text = match checksum(&parts.join("\u{1}")) % 7 {
            0 => "The answer is (B).".to_owned(),
            1 => " 42\n".to_owned(),
            2 => format!(" {last} "),
            3 => "#### 7".to_owned(),
            4 => "Final: C, not D".to_owned(),
            5 => format!("{}!", last.to_uppercase()),
            _ => "I think forty-two, or seven: B".to_owned(),
        };
        Ok(Answered { text, tokens: 1 })
    }
}

/// Every file of a folder: name and content.
fn files(folder: &str, extension: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|other| other == extension))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

fn number(json: &Json) -> f64 {
    match json {
        Json::String(text) => text.parse().unwrap_or_else(|_| panic!("{text} is no number")),
        Json::Bool(flag) => f64::from(u8::from(*flag)),
        other => other.as_f64().unwrap_or_else(|| panic!("{other} is no number")),
    }
}

fn close(ours: f64, theirs: f64, relative: f64) -> bool {
    ours == theirs || ours.is_nan() && theirs.is_nan() || (ours - theirs).abs() <= relative * theirs.abs()
}

/// Means are theirs to the bit, what has exponentials in it nearly.
fn tolerance(metric: &str) -> f64 {
    match metric {
        "acc" | "acc_norm" | "acc_bytes" | "acc_mutual_info" | "exact_match" | "bits_per_byte" => 0.0,
        _ => RELATIVE,
    }
}

fn check_record(case: &str, record: &Record, sample: &Json) {
    let place = format!("{case}, document {}, filter {}", record.document, sample["filter"]);
    assert_eq!(record.document as u64, sample["doc_id"].as_u64().unwrap(), "{place}");
    let texts = |json: &Json| -> Vec<String> {
        json.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let contexts = texts(&sample["contexts"]);
    if record.contexts.is_empty() {
        // A whole text is asked for by itself.
        assert_eq!(record.continuations, contexts, "{place}");
    } else if record.unconditional.is_empty() {
        assert_eq!(record.contexts, contexts, "{place}");
    } else {
        assert_eq!(record.contexts[0], contexts[0], "{place}");
        assert!(contexts[record.choices.len()..].iter().all(String::is_empty), "{place}");
    }
    if record.generated.is_none() && !record.contexts.is_empty() {
        let asked = texts(&sample["asked"]);
        assert_eq!(record.continuations, asked[..record.continuations.len()], "{place}");
    }
    assert_eq!(record.target.to_json(), sample["target"], "{place}");
    let filter = sample["filter"].as_str().unwrap();
    let scores = record.scores.iter().find(|scores| scores.filter == filter).expect(&place);
    if let Some(answer) = &scores.answer {
        assert_eq!(sample["filtered"], Json::from(vec![answer.as_str()]), "{place}");
    }
    assert!(!scores.worths.is_empty(), "{place}");
    for (metric, worth) in &scores.worths {
        let theirs = &sample[metric.name()];
        let place = format!("{place}, {}: {worth:?} against {theirs}", metric.name());
        match worth {
            Worth::Number(ours) => assert_eq!(*ours, number(theirs), "{place}"),
            Worth::Weighted(ours, weight) => {
                assert_eq!([*ours, *weight], [0, 1].map(|at| number(&theirs[at])), "{place}");
            }
            Worth::Classes(gold, chosen) => {
                assert_eq!([*gold, *chosen], [0, 1].map(|at| theirs[at].as_i64().unwrap()), "{place}");
            }
            Worth::Probabilities(gold, probabilities) => {
                assert_eq!(*gold, theirs[0].as_i64().unwrap(), "{place}");
                for (ours, theirs) in probabilities.iter().zip(theirs[1].as_array().unwrap()) {
                    assert!(close(*ours, number(theirs), RELATIVE), "{place}");
                }
            }
        }
    }
}

fn check_results(case: &str, ours: &Results, theirs: &Json) {
    assert_eq!(ours.alias, theirs["alias"].as_str().unwrap(), "{case}");
    assert_eq!(ours.answered as u64, theirs["sample_len"].as_u64().unwrap(), "{case}");
    let metrics = theirs.as_object().unwrap().keys().filter(|key| key.contains(',')).count();
    assert_eq!(ours.measured.len() * 2, metrics, "{case}: other metrics");
    for Measured { metric, filter, value, error, .. } in &ours.measured {
        let expected = &theirs[format!("{metric},{filter}")];
        let place = format!("{case}: {metric},{filter}");
        assert!(close(*value, number(expected), tolerance(metric)), "{place}: {value} is not {expected}");
        match (&theirs[format!("{metric}_stderr,{filter}")], error) {
            (Json::String(none), None) if none == "N/A" => {}
            (expected, Some(error)) => {
                let allowed = if tolerance(metric) == 0.0 { 0.0 } else { RESAMPLED };
                assert!(close(*error, number(expected), allowed), "{place}: ± {error} is not ± {expected}");
            }
            (expected, None) => panic!("{place}: no error, where theirs is {expected}"),
        }
    }
}

fn check(case: &str, golden: &Json, tasks: Vec<Task>, groups: &[Group]) {
    let option = |name: &str| golden["options"][name].as_u64().map(|number| number as usize);
    let errors = option("resamplings").map_or(Errors::FULL, Errors::Bootstrap);
    let options = Options { shots: option("num_fewshot"), limit: option("limit"), ..Options::default() };
    let mut evaluations = Vec::new();
    for task in tasks {
        let mut evaluation = Evaluation::new(Arc::new(task), options).unwrap();
        while evaluation.step(&mut Arithmetic, 3).unwrap() > 0 {}
        let name = evaluation.task().name().to_owned();
        let samples = golden["samples"][&name].as_array().unwrap_or_else(|| panic!("{case}: no task {name}"));
        for sample in samples {
            let document = sample["doc_id"].as_u64().unwrap() as usize;
            check_record(case, &evaluation.records()[document], sample);
        }
        let filters = evaluation.records()[0].scores.len();
        assert_eq!(evaluation.records().len() * filters, samples.len(), "{case}");
        check_results(case, &evaluation.results(errors).unwrap(), &golden["results"][&name]);
        evaluations.push(evaluation);
    }
    let evaluations: Vec<&Evaluation> = evaluations.iter().collect();
    let report = lm_eval_report("arithmetic", &evaluations, groups, errors, false).unwrap();
    for (part, under) in
        [("n-shot", ""), ("higher_is_better", ""), ("n-samples", ""), ("versions", ""), ("group_subtasks", "")]
    {
        assert_eq!(report[part], golden[part], "{case}: {part} {under}");
    }
    for evaluation in &evaluations {
        assert_eq!(report["configs"][evaluation.task().name()]["num_fewshot"], evaluation.shots(), "{case}");
    }
    let keys = |json: &Json| -> Vec<String> {
        let mut keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&report["results"]), keys(&golden["results"]), "{case}");
    for (name, theirs) in golden["results"].as_object().unwrap() {
        assert_eq!(keys(&report["results"][name]), keys(theirs), "{case}");
    }
    let all: Vec<Results> = evaluations.iter().map(|evaluation| evaluation.results(errors).unwrap()).collect();
    assert_eq!(golden["groups"].as_object().unwrap().len(), groups.len(), "{case}");
    for group in groups {
        check_results(case, &group.results(&all, groups).unwrap(), &golden["results"][&group.name]);
    }
}

fn goldens(wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Json> {
    let found: BTreeMap<String, Json> = files("golden/tasks", "json")
        .into_iter()
        .filter(|(name, _)| name != "templates.json" && wanted(name))
        .map(|(name, bytes)| (name, serde_json::from_slice(&bytes).unwrap()))
        .collect();
    assert!(found.len() > 5, "the goldens are not there");
    found
}

#[test]
fn task_files_give_what_lm_evaluation_harness_gives() {
    let mut all = files("tasks", "yaml");
    all.extend(files("data", "jsonl"));
    for (case, golden) in goldens(|name| !name.starts_with("public-")) {
        let task = Task::read(golden["file"].as_str().unwrap(), &borrowed(&all))
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        check(&case, &golden, vec![task], &[]);
    }
}

#[test]
fn public_tasks_give_what_lm_evaluation_harness_gives() {
    let data = files("data", "jsonl");
    for (case, golden) in goldens(|name| name.starts_with("public-")) {
        let name = golden["task"].as_str().unwrap();
        let prefix = builtin::BUILT_INS.iter().find(|built_in| name.starts_with(built_in.name)).unwrap().name;
        let prefix = prefix.split('_').next().unwrap();
        let own: Vec<_> = data.iter().filter(|(file, _)| file.starts_with(prefix)).cloned().collect();
        let (tasks, groups) = builtin::open(name, &borrowed(&own)).unwrap_or_else(|error| panic!("{case}: {error}"));
        check(&case, &golden, tasks, &groups);
    }
}

/// The comparison can fail.
#[test]
fn other_numbers_and_other_prompts_are_told_apart() {
    let (_, golden) =
        goldens(|name| !name.starts_with("public-")).into_iter().find(|(name, _)| name == "drawn.json").unwrap();
    let mut all = files("tasks", "yaml");
    all.extend(files("data", "jsonl"));
    let refused = |change: &dyn Fn(&mut Json)| {
        let mut golden = golden.clone();
        change(&mut golden);
        let task = Task::read("drawn.yaml", &borrowed(&all)).unwrap();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check("changed", &golden, vec![task], &[]))).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|golden| golden["results"]["drawn"]["acc,none"] = 0.123.into()));
    assert!(refused(&|golden| golden["results"]["drawn"]["acc_stderr,none"] = 0.123.into()));
    assert!(refused(&|golden| golden["samples"]["drawn"][3]["acc"] = 2.0.into()));
    assert!(refused(&|golden| {
        let context = golden["samples"]["drawn"][11]["contexts"][0].as_str().unwrap().to_owned() + " ";
        golden["samples"]["drawn"][11]["contexts"][0] = context.into();
    }));
}
