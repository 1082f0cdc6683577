//! What is refused, by name; data files alone; evaluations that stop and go on; reports and comparisons.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use merge_studio_eval::task::{
    Answer, Ask, Error, Errors, Evaluation, Metric, Options, Output, Task, best, builtin, lm_eval_report, open, paired,
    short_report,
};
use merge_studio_eval::{Answered, Generation, Lm, Scored};

const DATA: &str = "{\"q\": \"one\", \"options\": [\"a\", \"bb\"], \"gold\": 0}\n{\"q\": \"two\", \"options\": [\"c\", \"dd\"], \"gold\": 1}\n\
                    {\"q\": \"three\", \"options\": [\"e\", \"ff\"], \"gold\": 1}\n{\"q\": \"four\", \"options\": [\"g\", \"hh\"], \"gold\": 0}\n";
const TASK: &str = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
                    output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: gold\ndoc_to_choice: options\n";
const WRITING: &str = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: d.jsonl}}\ntest_split: test\n\
                       doc_to_text: q\ndoc_to_target: '{{options[0]}}'\n";

fn task(text: &str) -> Result<Task, Error> {
    Task::read("t.yaml", &[("t.yaml", text.as_bytes()), ("d.jsonl", DATA.as_bytes())])
}

/// What a task file says with one more line, or with a line instead of that with the same key.
fn with(base: &str, line: &str) -> String {
    let key = line.split(':').next().unwrap();
    let mut text: String =
        base.lines().filter(|other| !other.starts_with(&format!("{key}:"))).map(|l| l.to_owned() + "\n").collect();
    text.push_str(line);
    text.push('\n');
    text
}

fn refused(base: &str, line: &str) -> (u32, u32, String) {
    match task(&with(base, line)) {
        Err(
            Error::UnknownKey { at, key }
            | Error::UnsupportedKey { at, key, .. }
            | Error::WrongKind { at, key, .. }
            | Error::Function { at, key, .. },
        ) => (at.line, at.column, key),
        Err(Error::UnsupportedValue { at, key, value, .. }) => (at.line, at.column, format!("{key}: {value}")),
        Err(other) => panic!("{line}: {other}"),
        Ok(_) => panic!("{line}: not refused"),
    }
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    for (line, expected) in [
        ("doc_to_txt: q", "doc_to_txt"),
        ("fewshot_config: {smpler: x}", "fewshot_config.smpler"),
        ("fewshot_config: {sampler: balanced}", "fewshot_config.sampler: balanced"),
        ("fewshot_config: {fewshot_indices: [1]}", "fewshot_config.fewshot_indices: […]"),
        ("fewshot_config: {process_docs: x}", "process_docs"),
        ("process_docs: !function utils.f", "process_docs"),
        ("doc_to_text: !function utils.f", "doc_to_text"),
        ("process_results: x", "process_results"),
        ("custom_dataset: x", "custom_dataset"),
        ("class: x", "class"),
        ("doc_to_image: q", "doc_to_image"),
        ("use_prompt: x", "use_prompt"),
        ("group: x", "group"),
        ("merge_method: linear", "merge_method"),
        ("unsafe_code: true", "unsafe_code: True"),
        ("dataset_path: allenai/ai2_arc", "dataset_path: allenai/ai2_arc"),
        ("dataset_kwargs: {data_files: d.jsonl, field: x}", "dataset_kwargs.field"),
        ("output_type: guess", "output_type: guess"),
        ("repeats: 2", "repeats: 2"),
        ("num_fewshot: -1", "num_fewshot"),
        ("num_fewshot: two", "num_fewshot"),
        ("generation_kwargs: {until: x}", "generation_kwargs: {…}"),
        ("metric_list: [{metric: bleu}]", "metric: bleu"),
        ("metric_list: [{metric: perplexity}]", "metric: perplexity"),
        ("metric_list: [{metric: acc, aggregation: f1}]", "metric_list.aggregation: f1"),
        ("metric_list: [{metric: acc, weight: 2}]", "metric_list.weight"),
        ("metric_list: [{metric: acc, hf_evaluate: true}]", "metric_list.hf_evaluate: True"),
        ("metric_list: [{metric: acc}, {metric: acc}]", "metric_list: {…}"),
        ("filter_list: [{name: n, filter: [{function: lowercase}, {function: take_first}]}]", "function: lowercase"),
    ] {
        let (row, _, named) = refused(TASK, line);
        assert_eq!(named, expected, "{line}");
        assert_eq!(row as usize, with(TASK, line).lines().count(), "{line}: it stands on the last line");
    }
    for (line, expected) in [
        ("generation_kwargs: {beams: 2}", "generation_kwargs.beams"),
        ("generation_kwargs: {num_beams: 2}", "generation_kwargs.num_beams: 2"),
        ("metric_list: [{metric: exact_match, weight_by_size: true}]", "metric_list.weight_by_size"),
        ("generation_kwargs: {until: ['']}", "generation_kwargs.until: […]"),
        ("generation_kwargs: {do_sample: true, temperature: 0}", "generation_kwargs: {…}"),
        ("metric_list: [{metric: acc}]", "metric: acc"),
        ("filter_list: [{name: n, filter: [{function: custom}]}]", "function: custom"),
        ("filter_list: [{name: n, filter: [{function: lowercase}]}]", "filter_list: {…}"),
        ("filter_list: [{name: n, filter: [{function: take_first}, {function: lowercase}]}]", "function: lowercase"),
        ("filter_list: [{name: n, filter: [{function: take_first_k, k: 2}]}]", "function: take_first_k"),
        ("filter_list: [{name: n, filter: [{function: map, mapping_dict: {a: b}}]}]", "function: map"),
        ("filter_list: [{name: n, filter: [{function: regex, pattern: x}]}]", "regex.pattern"),
    ] {
        assert_eq!(refused(WRITING, line).2, expected, "{line}");
    }
    assert_eq!(refused(TASK, "filter_list: [{nam: n}]"), (9, 16, "filter_list.nam".into()));
}

#[test]
fn what_is_missing_is_named() {
    assert!(matches!(task(&TASK.replace("task: t\n", "")), Err(Error::MissingKey { key: "task", .. })));
    assert!(matches!(
        task(&TASK.replace("doc_to_choice: options\n", "")),
        Err(Error::MissingKey { key: "doc_to_choice", .. })
    ));
    assert!(matches!(task(&TASK.replace("test_split: test\n", "")), Err(Error::MissingKey { key: "test_split", .. })));
    assert!(matches!(task(&TASK.replace("d.jsonl", "e.jsonl")), Err(Error::NoFile { name, .. }) if name == "e.jsonl"));
    assert!(
        matches!(task(&with(TASK, "include: other.yaml")), Err(Error::NoFile { name, .. }) if name == "other.yaml")
    );
    assert!(matches!(task(&with(TASK, "include: t.yaml")), Err(Error::Circle { .. })));
    assert!(matches!(task(&with(TASK, "test_split: dev")), Err(Error::NoSplit { key: "test_split", .. })));
    assert!(matches!(task(&with(TASK, "doc_to_text: '{{'")), Err(Error::Template { key: "doc_to_text", line: 1, .. })));
    let regex = "filter_list: [{name: n, filter: [{function: regex, regex_pattern: '('}, {function: take_first}]}]";
    assert!(matches!(task(&with(WRITING, regex)), Err(Error::Pattern { pattern, .. }) if pattern == "("));
}

/// Of two files of one name each includes the one that it means; data is found from the task file.
#[test]
fn a_file_is_looked_for_from_the_file_that_includes_it() {
    let own = "include: ../base_yaml\ntask: t\n";
    let (near, far) = ("include: ../base_yaml\ndescription: near\n", TASK.replace("task: t\n", "description: far\n"));
    let all = [
        ("tasks/own/t.yaml", own),
        ("tasks/own/../base_yaml", near),
        ("tasks/own/../../base_yaml", &far),
        ("tasks/own/d.jsonl", DATA),
    ];
    let read = |files: &[(&str, &str)]| {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        Task::read("tasks/own/t.yaml", &files)
    };
    let mut evaluation = Evaluation::new(Arc::new(read(&all).unwrap()), Options::default()).unwrap();
    let Ask::LogLikelihoods(requests) = evaluation.ask(1).unwrap()[0].ask.clone() else { panic!("choices") };
    assert!(requests[0].0.starts_with("near"), "{requests:?}");
    for missing in 1..4 {
        let rest: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, file)| *file).collect();
        assert!(matches!(read(&rest), Err(Error::NoFile { name, .. }) if name == all[missing].0), "{missing}");
    }
    // Without folders, one of each name.
    let plain = [("t.yaml", "include: ../x/base_yaml\ntask: t\n"), ("base_yaml", TASK), ("d.jsonl", DATA)];
    let plain = plain.map(|(name, text)| (name, text.as_bytes()));
    assert!(Task::read("tasks/t.yaml", &[&plain[..], &[("tasks/t.yaml", plain[0].1)]].concat()).is_ok());
    let mut turns = vec![("tasks/own/t.yaml".to_owned(), "include: ../own/t.yaml\n")];
    for _ in 0..20 {
        let last = turns.last().unwrap().0.replace("t.yaml", "../own/t.yaml");
        turns.push((last, turns[0].1));
    }
    let turns: Vec<(&str, &str)> = turns.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    assert!(matches!(read(&turns), Err(Error::Circle { .. })));
}

#[test]
fn the_split_that_is_named_first_says_of_which_kind_numbers_are() {
    let read = |test: &str, train: &str| {
        let text = TASK.replace("{test: d.jsonl}", "{test: d.jsonl, train: e.jsonl}") + "training_split: train\n";
        let row = |n: &str| format!("{{\"q\": \"one\", \"options\": [\"a\"], \"gold\": 0, \"n\": {n}}}\n");
        let (test, train) = (row(test), row(train));
        let files = [("t.yaml", text.as_bytes()), ("d.jsonl", test.as_bytes()), ("e.jsonl", train.as_bytes())];
        Task::read("t.yaml", &files).map(|_| ())
    };
    assert_eq!(read("0.5", "1"), Ok(()));
    assert_eq!(read("{\"x\": [1, null]}", "{\"x\": [2.0]}"), Ok(()));
    for (test, train) in [("1", "0.5"), ("[1, 2]", "[0.5]"), ("{\"x\": 1}", "{\"x\": 0.5}")] {
        let refused = read(test, train).unwrap_err();
        assert!(matches!(&refused, Error::Data { file, detail, .. } if file == "e.jsonl" && detail.contains("`n`")));
    }
}

#[test]
fn a_document_that_does_not_fit_is_named() {
    let first = |text: &str| {
        let mut evaluation = Evaluation::new(Arc::new(task(text)?), Options::default())?;
        evaluation.ask(4)?;
        while let Some((_, answers)) = evaluation.ask(1)?.first().map(|question| (question.document, 2)) {
            evaluation.answer(Answer::LogLikelihoods(vec![Scored { log_likelihood: -1.0, greedy: true }; answers]))?;
        }
        Ok(())
    };
    let document = |line: &str| match first(&with(TASK, line)) {
        Err(Error::Document { document, key, .. }) => (document, key),
        Err(other) => panic!("{line}: {other}"),
        Ok(()) => panic!("{line}: not refused"),
    };
    assert_eq!(document("doc_to_text: '{{missing}}'"), (0, "doc_to_text"));
    assert_eq!(document("doc_to_text: '{{ q if gold == 0 else missing }}'"), (1, "doc_to_text"));
    assert_eq!(document("doc_to_choice: [yes, no]"), (0, "doc_to_choice"));
    assert_eq!(document("doc_to_choice: '{{q}}'"), (0, "doc_to_choice"));
    assert_eq!(document("doc_to_target: '{{ [gold] if gold == 0 else q }}'"), (1, "doc_to_target"));
    assert!(first(TASK).is_ok());
    let wanted = |line: &str| match first(&with(TASK, line)) {
        Err(Error::FewExamples { wanted, there, .. }) => (wanted, there),
        other => panic!("{line}: {other:?}"),
    };
    // The document itself may be drawn, and is left out.
    assert_eq!(wanted("fewshot_split: test\nnum_fewshot: 4"), (5, 4));
    assert!(first(&with(TASK, "fewshot_split: test\nnum_fewshot: 3")).is_ok());
    assert!(matches!(
        first(&with(TASK, "fewshot_split: dev\nnum_fewshot: 1")),
        Err(Error::NoSplit { key: "fewshot_split", .. })
    ));
}

/// Knows the answer to the questions that it is told, in favour of the longest or the shortest choice.
#[derive(Clone, Copy)]
struct Fond(f64);

impl Lm for Fond {
    type Error = std::convert::Infallible;

    fn log_likelihoods(&mut self, requests: &[(String, String)]) -> Result<Vec<Scored>, Self::Error> {
        let score = |(context, continuation): &(String, String)| Scored {
            log_likelihood: self.0 * continuation.len() as f64 - context.len() as f64,
            greedy: false,
        };
        Ok(requests.iter().map(score).collect())
    }

    fn rolling_log_likelihood(&mut self, text: &str) -> Result<f64, Self::Error> {
        Ok(self.0 * text.len() as f64)
    }

    fn generate(&mut self, prompt: &str, _: &Generation) -> Result<Answered, Self::Error> {
        let text = prompt.split_whitespace().nth(1).unwrap_or("").to_uppercase();
        Ok(Answered { text: format!(" {text}"), tokens: 3 })
    }
}

fn evaluated(task: &Arc<Task>, mut model: Fond, documents: usize) -> Evaluation {
    let mut evaluation = Evaluation::new(Arc::clone(task), Options::default()).unwrap();
    for _ in 0..documents {
        assert_eq!(evaluation.step(&mut model, 1).unwrap(), 1);
    }
    evaluation
}

#[test]
fn an_evaluation_says_at_any_moment_what_the_answers_so_far_make() {
    let task = Arc::new(task(TASK).unwrap());
    let mut evaluation = evaluated(&task, Fond(1.0), 0);
    assert!(evaluation.results(Errors::FULL).unwrap().measured.is_empty());
    evaluation.step(&mut Fond(1.0), 3).unwrap();
    let so_far = evaluation.results(Errors::Formula).unwrap();
    assert_eq!((so_far.answered, so_far.questions), (3, 4));
    let limited = Options { limit: Some(3), ..Options::default() };
    let mut other = Evaluation::new(Arc::clone(&task), limited).unwrap();
    while other.step(&mut Fond(1.0), 2).unwrap() > 0 {}
    assert_eq!(other.results(Errors::Formula).unwrap().measured, so_far.measured);
    // Right where the longer choice is: two of the first three, three's deviation by the square root of three.
    let acc = so_far.get("acc", "none").unwrap();
    assert_eq!(acc.value, 2.0 / 3.0);
    assert!((acc.error.unwrap() - 1.0 / 3.0).abs() < 1e-15);
    let record = &evaluation.records()[1];
    assert_eq!((record.right(), record.chosen, record.gold.as_slice()), (Some(true), Some(1), [1].as_slice()));
    assert_eq!(record.contexts, ["two"]);
    assert_eq!(record.log_likelihoods, [2.0 - 3.0, 3.0 - 3.0]);
}

#[test]
fn an_evaluation_goes_on_from_answers_that_are_known_as_if_it_had_asked_them() {
    let drawn = with(&with(TASK, "fewshot_split: test"), "num_fewshot: 2");
    let task = Arc::new(task(&drawn).unwrap());
    let whole = evaluated(&task, Fond(1.0), 4);
    for known in 0..=4 {
        for limit in 1..=4 {
            let options = Options { limit: Some(limit), ..Options::default() };
            let mut evaluation = Evaluation::new(Arc::clone(&task), options).unwrap();
            assert_eq!(evaluation.go_on_from(&whole.records()[..known]).unwrap(), known.min(limit));
            let mut asked = 0;
            while evaluation.step(&mut Fond(1.0), 1).unwrap() > 0 {
                asked += 1;
            }
            assert_eq!(asked, limit.saturating_sub(known));
            assert_eq!(evaluation.records(), &whole.records()[..limit]);
        }
    }
}

#[test]
fn known_answers_to_other_questions_do_not_count_nor_those_behind_them() {
    let task = Arc::new(task(&with(&with(TASK, "fewshot_split: test"), "num_fewshot: 1")).unwrap());
    let whole = evaluated(&task, Fond(1.0), 4);
    let mut known = whole.records().to_vec();
    known[2].contexts[0].push('?');
    let mut evaluation = evaluated(&task, Fond(1.0), 0);
    assert_eq!(evaluation.go_on_from(&known).unwrap(), 2);
    while evaluation.step(&mut Fond(1.0), 3).unwrap() > 0 {}
    assert_eq!(evaluation.records(), whole.records());
}

#[test]
fn questions_stay_until_they_are_answered() {
    let mut evaluation = Evaluation::new(Arc::new(task(TASK).unwrap()), Options::default()).unwrap();
    let questions = evaluation.ask(2).unwrap();
    assert_eq!(evaluation.ask(1).unwrap(), questions);
    assert!(matches!(evaluation.answer(Answer::Rolling(0.0)), Err(Error::Answer { document: 0 })));
    let Ask::LogLikelihoods(requests) = &questions[0].ask else { panic!("choices are scored") };
    assert_eq!(requests[1], ("one".to_owned(), " bb".to_owned()));
    let scored = vec![Scored { log_likelihood: -1.0, greedy: false }; 2];
    assert_eq!(evaluation.answer(Answer::LogLikelihoods(scored.clone())).unwrap().document, 0);
    assert_eq!(evaluation.ask(3).unwrap(), questions[1..]);
    evaluation.answer(Answer::LogLikelihoods(scored)).unwrap();
    assert_eq!(evaluation.ask(9).unwrap().len(), 2);
}

#[test]
fn the_better_model_is_the_one_that_is_better_than_the_difference_is_sure() {
    let task = Arc::new(task(TASK).unwrap());
    let (long, short) = (evaluated(&task, Fond(1.0), 4), evaluated(&task, Fond(-1.0), 4));
    // Two questions won and two lost: no difference.
    let even = paired(long.records(), short.records(), Metric::Acc, "none").unwrap();
    assert_eq!((even.difference, even.won, even.lost), (0.0, vec![1, 2], vec![0, 3]));
    assert_eq!(best(&[long.records(), short.records()], Metric::Acc, "none").unwrap(), None);
    // Of the first three two are won and one is lost: a difference of a third, and two thirds is its error.
    let (long, short) = (evaluated(&task, Fond(1.0), 3), evaluated(&task, Fond(-1.0), 3));
    let paired_three = paired(long.records(), short.records(), Metric::Acc, "none").unwrap();
    assert!((paired_three.difference - 1.0 / 3.0).abs() < 1e-15);
    assert!((paired_three.error.unwrap() - 2.0 / 3.0).abs() < 1e-15);
    assert_eq!(best(&[long.records(), short.records()], Metric::Acc, "none").unwrap(), None);

    // Always right against never: no error, and a difference.
    let right = Arc::new(self::task(&with(TASK, "doc_to_target: 1")).unwrap());
    let (long, short) = (evaluated(&right, Fond(1.0), 4), evaluated(&right, Fond(-1.0), 4));
    assert_eq!(best(&[short.records(), long.records()], Metric::Acc, "none").unwrap(), Some(1));
    assert_eq!(best(&[long.records()], Metric::Acc, "none").unwrap(), None);
    assert_eq!(best(&[long.records(), long.records(), short.records()], Metric::Acc, "none").unwrap(), None);
}

/// Why two models' answers cannot be compared.
fn incomparable(one: &Evaluation, other: &Evaluation, metric: Metric) -> String {
    let Err(Error::Incomparable { what }) = paired(one.records(), other.records(), metric, "none") else {
        panic!("they were compared")
    };
    let of_best = best(&[other.records(), one.records()], metric, "none").unwrap_err().to_string();
    assert_eq!(of_best.contains(" is not a sum "), what.contains(" is not a sum "), "{of_best}");
    what
}

#[test]
fn only_answers_to_the_same_questions_asked_alike_are_compared() {
    let of = |text: &str| evaluated(&Arc::new(task(text).unwrap()), Fond(1.0), 3);
    let one = of(TASK);
    assert_eq!(incomparable(&one, &of(TASK), Metric::BrierScore), "brier_score of none is not a sum over questions");
    for (line, expected) in [
        ("doc_to_target: 1", "question 1 is another one, or has another answer"),
        ("doc_to_choice: [a, b]", "question 1 is another one, or has another answer"),
        ("doc_to_text: 'Q {{q}}'", "question 1 was asked in other words, or with other examples"),
        ("target_delimiter: ':'", "question 1 was asked in other words, or with other examples"),
    ] {
        assert_eq!(incomparable(&one, &of(&with(TASK, line)), Metric::Acc), expected, "{line}");
    }
    let records = one.records();
    let Err(Error::Incomparable { what }) = paired(records, &records[1..], Metric::Acc, "none") else {
        panic!("they were compared")
    };
    assert_eq!(what, "question 1 was compared with question 2");
    // What only one has answered is not looked at.
    assert_eq!(paired(records, &records[..2], Metric::Acc, "none").unwrap().questions, 2);
    assert!(
        best(&[&records[..1], records, &of(&with(TASK, "doc_to_target: 1")).records()[..1]], Metric::Acc, "none")
            .is_err()
    );
}

#[test]
fn perplexities_are_compared_by_what_each_word_takes() {
    let pages = b"{\"text\": \"one two\"}\n{\"text\": \"three\"}\n{\"text\": \"four five six\"}\n";
    let task = Arc::new(Task::plain("pages.jsonl", pages).unwrap());
    assert_eq!(task.output(), Output::LogLikelihoodRolling);
    let (likely, unlikely) = (evaluated(&task, Fond(-1.0), 3), evaluated(&task, Fond(-2.0), 3));
    let paired = paired(likely.records(), unlikely.records(), Metric::BytePerplexity, "none").unwrap();
    // A nat a byte, everywhere.
    assert_eq!((paired.difference, paired.won.len(), paired.lost.len()), (1.0, 3, 0));
    assert!(paired.error.unwrap() < 1e-15 && paired.better());
    let results = likely.results(Errors::FULL).unwrap();
    assert!((results.get("byte_perplexity", "none").unwrap().value - std::f64::consts::E).abs() < 1e-15);
    assert_eq!(results.get("byte_perplexity", "none").unwrap().error, None);
}

#[test]
fn a_data_file_alone_is_a_task_by_its_fields() {
    let plain = |text: &str| Task::plain("folder/skill.jsonl", text.as_bytes());
    let skill = plain("{\"question\": \"upper: usm = \", \"answer\": \"USM\"}\n").unwrap();
    assert_eq!((skill.name(), skill.output(), skill.len()), ("skill", Output::GenerateUntil, 1));
    let mut evaluation = Evaluation::new(Arc::new(skill), Options::default()).unwrap();
    let Ask::Generate(prompt, how) = &evaluation.ask(1).unwrap()[0].ask else { panic!("it is written") };
    assert_eq!(
        (prompt.as_str(), how.until.as_slice(), how.max_tokens, how.temperature),
        ("upper: usm = ", ["\n".to_owned()].as_slice(), 32, 0.0)
    );
    evaluation.step(&mut Fond(0.0), 1).unwrap();
    assert_eq!(evaluation.records()[0].right(), Some(true));

    for (answer, gold) in [("1", 1), ("\"B\"", 1), ("\"x\"", 0)] {
        let task =
            plain(&format!("{{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": {answer}}}\n")).unwrap();
        let mut evaluation = Evaluation::new(Arc::new(task), Options::default()).unwrap();
        evaluation.step(&mut Fond(0.0), 1).unwrap();
        let record = &evaluation.records()[0];
        assert_eq!((record.contexts[0].as_str(), record.gold.as_slice()), ("Question: q\nAnswer:", [gold].as_slice()));
    }
    for text in [
        "{\"q\": \"a\", \"a\": \"b\"}",
        "{\"question\": \"a\", \"answer\": 3}",
        "{\"question\": \"a\", \"choices\": [\"x\"], \"answer\": 1}",
        "{\"question\": \"a\", \"choices\": [\"x\"], \"answer\": \"B\"}",
        "{\"question\": \"a\", \"choices\": [1], \"answer\": 0}",
        "{\"text\": \"a\", \"title\": \"b\"}",
    ] {
        assert!(matches!(plain(text), Err(Error::Fields { .. })), "{text}");
    }
}

#[test]
fn a_data_file_alone_is_the_task_file_that_the_docs_show() {
    let docs = include_str!("../../docs/evaluate-tasks.md");
    let yaml = docs.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let data =
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/demo/reverse.jsonl")).unwrap();
    assert_eq!(Task::plain("reverse.jsonl", &data).unwrap().written(), Some(yaml));
    let files: [(&str, &[u8]); 2] = [("t.yaml", yaml.as_bytes()), ("reverse.jsonl", &data)];
    for shots in [0, 3] {
        let asked = |task: Task| {
            let options = Options { shots: Some(shots), limit: Some(40), ..Options::default() };
            let mut evaluation = Evaluation::new(Arc::new(task), options).unwrap();
            let questions = evaluation.ask(40).unwrap();
            while evaluation.step(&mut Fond(0.0), 8).unwrap() > 0 {}
            (questions, evaluation.records().to_vec(), evaluation.results(Errors::FULL).unwrap())
        };
        let alone = asked(Task::plain("reverse.jsonl", &data).unwrap());
        assert!(alone == asked(Task::read("t.yaml", &files).unwrap()), "{shots} examples");
        assert_eq!(alone.0.len(), 40);
    }
}

#[test]
fn the_demo_skills_are_tasks() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/demo");
    for skill in ["reverse", "sort", "upper"] {
        let file = format!("{skill}.jsonl");
        let bytes = std::fs::read(folder.join(&file)).unwrap();
        let opened = open(&[(&file, &bytes)]);
        assert_eq!(opened[0].1.as_ref().unwrap().len(), 200);
    }
}

#[test]
fn of_files_given_together_those_that_are_included_are_no_tasks() {
    let base = TASK.replace("task: t\n", "");
    let files: [(&str, &[u8]); 4] = [
        ("base.yaml", base.as_bytes()),
        ("a.yaml", b"include: base.yaml\ntask: a"),
        ("b.yml", b"task: b\ninclude: [./base.yaml]\nnum_fewshot: 0\n"),
        ("d.jsonl", DATA.as_bytes()),
    ];
    let opened: Vec<_> = open(&files).into_iter().map(|(name, task)| (name, task.unwrap().name().to_owned())).collect();
    assert_eq!(opened, [("a.yaml".into(), "a".into()), ("b.yml".into(), "b".into())]);
    let failed = open(&[("x.yaml", b"task: [")]);
    assert!(matches!(failed[0].1, Err(Error::Yaml { .. })));
}

#[test]
fn public_tasks_want_their_fields_and_splits() {
    assert!(matches!(builtin::open("arc", &[]), Err(Error::UnknownTask { name, .. }) if name == "arc"));
    let data = DATA.as_bytes();
    assert!(
        matches!(builtin::open("medmcqa", &[("train.jsonl", data)]), Err(Error::NoSplit { split, .. }) if split == "validation")
    );
    assert!(
        matches!(builtin::open("usmle", &[("usmle.jsonl", data)]), Err(Error::Fields { what, .. }) if what == "medqa_4options")
    );
    let mmlu = b"{\"question\": \"q\", \"choices\": [\"1\", \"2\", \"3\", \"4\"], \"answer\": 2}";
    let names = |name: &str, file: &str| {
        let opened = builtin::open(name, &[(file, mmlu)]);
        opened.map(|(tasks, groups)| (tasks[0].name().to_owned(), groups.len()))
    };
    // The subject is in the file's name, or in the task's.
    assert_eq!(names("mmlu", "high_school_physics_test.jsonl").unwrap(), ("mmlu_high_school_physics".into(), 2));
    assert_eq!(names("mmlu_virology", "questions.jsonl").unwrap(), ("mmlu_virology".into(), 0));
    assert!(matches!(names("mmlu", "questions.jsonl"), Err(Error::Data { line: 1, .. })));
    let fields: Vec<String> = ["question", "choices", "answer", "subject"].map(String::from).into();
    assert_eq!(builtin::fitting(&fields).map(|built_in| built_in.name).collect::<Vec<_>>(), ["mmlu"]);
}

#[test]
fn both_reports_say_the_same() {
    let task = Arc::new(task(&with(TASK, "task_alias: T\nmetadata: {version: 1.5}")).unwrap());
    let evaluation = evaluated(&task, Fond(1.0), 4);
    let short = short_report(&[&evaluation], &[], Errors::FULL).unwrap();
    assert_eq!(short["results"]["t"]["acc"], 0.5);
    assert_eq!(short["samples"]["t"][0]["loglikelihoods"], serde_json::json!([-1.0, 0.0]));
    assert_eq!(short["samples"]["t"][0]["correct"], false);
    let long = lm_eval_report("org/m", &[&evaluation], &[], Errors::FULL, true).unwrap();
    assert_eq!(long["config"]["model_args"], "pretrained=org/m,dtype=float32");
    assert_eq!((&long["model_name"], &long["model_name_sanitized"]), (&"org/m".into(), &"org__m".into()));
    assert_eq!(long["results"]["t"]["acc,none"], short["results"]["t"]["acc"]);
    assert_eq!(long["results"]["t"]["acc_stderr,none"], short["results"]["t"]["acc_stderr"]);
    assert_eq!(long["results"]["t"]["alias"], "T");
    assert_eq!(long["versions"]["t"], 1.5);
    assert_eq!(long["configs"]["t"]["doc_to_choice"], "options");
    assert_eq!(long["configs"]["t"]["metric_list"][1]["metric"], "acc_norm");
    assert_eq!(long["samples"]["t"][2]["arguments"][1], serde_json::json!(["three", " ff"]));
    assert_eq!(long["samples"]["t"][2]["resps"][1][0], serde_json::json!([-2.0, false]));
    assert_eq!(long["config"]["fewshot_seed"], 1234);
}
