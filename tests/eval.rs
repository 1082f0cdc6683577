//! `merge-studio eval` from end to end: the demo models, and what is refused.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "eval")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_merge-studio");
const SKILLS: [&str; 3] = ["reverse", "sort", "upper"];

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn demo(name: &str) -> String {
    at("static/demo").join(name).to_str().unwrap().to_owned()
}

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).output().unwrap()
}

fn json(words: &[&str]) -> serde_json::Value {
    let output = run(words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Exit code and message.
fn refused(words: &[&str]) -> (i32, String) {
    let output = run(words);
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn skills() -> String {
    SKILLS.map(|skill| demo(&format!("{skill}.jsonl"))).join(",")
}

/// Merges the three demo skills by task arithmetic.
fn merged(folder: &Path, weight: &str) -> String {
    let models: String =
        SKILLS.map(|skill| format!("  - model: demo-{skill}\n    parameters: {{weight: {weight}}}\n")).concat();
    let recipe = folder.join(format!("{weight}.yml"));
    let text = format!("merge_method: task_arithmetic\nbase_model: demo-base\nmodels:\n{models}dtype: bfloat16\n");
    fs::write(&recipe, text).unwrap();
    let out = folder.join(weight).to_str().unwrap().to_owned();
    let output = run(&["merge", recipe.to_str().unwrap(), &out, "--models", &demo(""), "--device", "cpu"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// The shares of right answers by skill that static/demo/README.md gives of the row that begins so.
fn documented(begins: &str) -> [f64; 3] {
    let text = fs::read_to_string(at("static/demo/README.md")).unwrap();
    let row = text.lines().find(|line| line.starts_with(&format!("| {begins}"))).unwrap();
    let cells: Vec<f64> = row.split('|').filter_map(|cell| cell.trim().strip_suffix('%')?.parse().ok()).collect();
    cells.try_into().unwrap()
}

#[test]
fn the_demo_models_know_what_their_readme_says_and_a_merge_knows_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let (careless, chosen) = (merged(folder.path(), "0.25"), merged(folder.path(), "0.50"));
    let rows = [
        (demo("demo-base"), "demo-base"),
        (demo("demo-reverse"), "demo-reverse"),
        (demo("demo-sort"), "demo-sort"),
        (demo("demo-upper"), "demo-upper"),
        (careless, "all three, task arithmetic, weight 0.25"),
        (chosen, "all three, task arithmetic, weight 0.50"),
    ];
    let tasks = skills();
    let mut words = vec!["eval", "--tasks", &tasks, "--json"];
    words.extend(rows.iter().map(|(path, _)| path.as_str()));
    let report = json(&words);
    let mut shares = Vec::new();
    for (path, begins) in &rows {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        let share = |skill: &str| report[name]["results"][skill]["exact_match"].as_f64().unwrap();
        let own = SKILLS.map(share);
        for (found, said) in own.iter().zip(documented(begins)) {
            // One question of 200: the table is transformers', whose sums are in another order.
            assert!((found * 100.0 - said).abs() < 0.51, "{begins}: {own:?}");
        }
        shares.push(own);
    }
    for skill in 0..3 {
        assert!(shares[0][skill] < 0.3, "the base has the skill");
        assert!(shares[1 + skill][skill] > 0.9, "the fine-tune lacks its own");
        assert!(shares[5][skill] > 0.7, "the merge lost a skill");
    }
    assert!(shares[4].iter().any(|share| *share < 0.7), "a careless merge is as good");
}

#[test]
fn several_models_are_a_table_in_which_the_best_has_a_star() {
    let tasks = demo("sort.jsonl");
    let output = run(&["eval", &demo("demo-base"), &demo("demo-sort"), "--tasks", &tasks, "--limit", "0.1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["task", "metric", "demo-base", "demo-sort"]);
    assert_eq!(rows[1][..2], ["sort", "exact_match"]);
    assert_eq!(rows[1][rows[1].len() - 4..], ["1.0000", "±", "0.0000", "*"], "{table}");
}

#[test]
fn a_metric_that_is_no_sum_over_questions_has_a_row_without_a_star() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["tasks/verdict.yaml", "data/verdicts.jsonl"] {
        let from = at("eval/tests").join(file);
        fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    }
    let task = folder.path().join("verdict.yaml");
    let output = run(&["eval", &demo("demo-base"), &demo("demo-sort"), "--tasks", task.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let row = |metric: &str| table.lines().find(|line| line.split_whitespace().nth(1) == Some(metric)).unwrap();
    assert!(!row("f1").contains('*') && row("f1").split_whitespace().count() >= 4, "{table}");
    assert!(row("mcc").starts_with("verdict") && row("brier_score").starts_with("verdict"), "{table}");
}

#[test]
fn answers_are_told_question_by_question_in_either_form() {
    let words = ["eval", &demo("demo-upper"), "--tasks", &demo("upper.jsonl"), "--limit", "5", "--log-samples"];
    let short = json(&[&words[..], &["--json"]].concat());
    let samples = short["samples"]["upper"].as_array().unwrap();
    assert_eq!(samples.len(), 5);
    assert!(samples.iter().enumerate().all(|(index, sample)| sample["doc_id"] == index && sample["correct"] == true));
    let long = json(&[&words[..], &["--json=lm-eval"]].concat());
    assert_eq!(long["results"]["upper"]["exact_match,none"], 1.0);
    assert_eq!(long["n-samples"]["upper"]["effective"], 5);
    let without = json(&[&words[..6], &["--json"]].concat());
    assert!(without.get("samples").is_none() && without["results"] == short["results"]);
}

#[test]
fn a_task_file_finds_its_data_beside_it_and_a_public_task_is_given_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (tasks, data) = (at("eval/tests/tasks"), at("eval/tests/data"));
    fs::copy(tasks.join("written.yaml"), folder.path().join("written.yaml")).unwrap();
    let task = folder.path().join("written.yaml").to_str().unwrap().to_owned();
    let model = demo("demo-base");
    let (code, message) = refused(&["eval", &model, "--tasks", &task]);
    assert!(code == 3 && message.contains("problems.jsonl") && message.contains("written.yaml:4"), "{code}: {message}");
    fs::copy(data.join("problems.jsonl"), folder.path().join("problems.jsonl")).unwrap();
    let files = ["arc_test.jsonl", "arc_train.jsonl"].map(|name| data.join(name).to_str().unwrap().to_owned());
    let both = format!("{task},arc_easy");
    let report = json(&[
        "eval",
        &model,
        "--tasks",
        &both,
        "--data",
        &files.join(","),
        "--limit",
        "2",
        "--num-fewshot",
        "1",
        "--json",
    ]);
    assert!(report["results"]["written"]["exact_match,strict"].is_f64(), "{report}");
    assert!(report["results"]["arc_easy"]["acc"].is_f64(), "{report}");
}

#[test]
fn files_are_found_from_the_file_that_names_them_and_data_also_from_where_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("任务 of mine");
    fs::create_dir_all(there.join("own")).unwrap();
    let base = "dataset_path: json\ndataset_kwargs: {data_files: {test: some.jsonl}}\ntest_split: test\n\
                doc_to_text: question\ndoc_to_target: answer\ngeneration_kwargs: {max_gen_toks: 8}\n";
    for (file, text) in [
        ("own/t.yaml", "include: ../middle_yaml\ntask: t\n"),
        ("middle_yaml", "include: base_yaml\n"),
        ("base_yaml", base),
    ] {
        fs::write(there.join(file), text).unwrap();
    }
    let run = || {
        let words = ["eval", &demo("demo-base"), "--tasks", " 任务 of mine/own/t.yaml,, ", "--limit", "1", "--json"];
        Command::new(PROGRAM).args(words).current_dir(folder.path()).output().unwrap()
    };
    let message = String::from_utf8(run().stderr).unwrap();
    assert!(message.contains("base_yaml:2:") && message.contains("own/some.jsonl: No such file"), "{message}");
    let document = "{\"question\": \"abc\", \"answer\": \"cba\"}\n";
    // A name with white space beside it is the same, and between two commas there may be none.
    for file in [folder.path().join("some.jsonl"), there.join("own/some.jsonl")] {
        fs::write(&file, document).unwrap();
        let output = run();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn targets_that_name_no_choice_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let documents = "{\"q\": \"one\", \"right\": \"a\"}\n{\"q\": \"two\", \"right\": \"c\"}\n";
    fs::write(folder.path().join("d.jsonl"), documents).unwrap();
    let task = folder.path().join("t.yaml");
    let told = |target: &str| {
        let text = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
                    output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [a, b]\ndoc_to_target: ";
        fs::write(&task, format!("{text}{target}\n")).unwrap();
        let output = run(&["eval", &demo("demo-base"), "--tasks", task.to_str().unwrap()]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(told("right").contains("of 2 questions 1 have a target that names none of their choices"));
    assert!(told("rigth").contains("of 2 questions 2 have"));
    assert!(!told("0").contains("target"));
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let task = demo("sort.jsonl");
    let (code, message) = refused(&["eval", &demo("demo-base"), "--tasks", "nosuch"]);
    assert!(code == 3 && message.contains("`nosuch`") && message.contains("medmcqa"), "{code}: {message}");
    let (code, message) = refused(&["eval", &demo("demo-base"), "--tasks", "arc_easy"]);
    assert!(code == 3 && message.contains("arc_easy: --data must name"), "{code}: {message}");
    let (code, message) = refused(&["eval", &demo("demo-base"), "--tasks", " , "]);
    assert!(code == 3 && message.contains("--tasks names no task"), "{code}: {message}");
    let function = folder.path().join("f.yaml");
    fs::write(&function, "task: f\ndataset_path: json\ndoc_to_text: !function utils.text\n").unwrap();
    let (code, message) = refused(&["eval", &demo("demo-base"), "--tasks", function.to_str().unwrap()]);
    assert!(code == 3 && message.contains("utils.text") && message.contains("f.yaml:3"), "{code}: {message}");

    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    for entry in fs::read_dir(demo("demo-base")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    let (path, config) = (model.to_str().unwrap(), model.join("config.json"));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("LlamaForCausalLM", "BertModel").replace("\"llama\"", "\"bert\"")).unwrap();
    let (code, message) = refused(&["eval", path, "--tasks", &task]);
    assert!(code == 4 && message.contains("BertModel") && message.contains("LlamaForCausalLM"), "{code}: {message}");
    fs::write(&config, text.replace("\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5")).unwrap();
    let (code, message) = refused(&["eval", path, "--tasks", &task]);
    assert!(code == 4 && message.contains("model.layers.4."), "{code}: {message}");
    fs::write(&config, text).unwrap();
    fs::remove_file(model.join("tokenizer.json")).unwrap();
    let (code, message) = refused(&["eval", path, "--tasks", &task]);
    assert!(code == 4 && message.contains("tokenizer.json is missing"), "{code}: {message}");
}
