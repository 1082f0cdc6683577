//! What an evaluation takes in, and what comes of it.
#![allow(clippy::unwrap_used)]

use merge_studio_eval::task::{Output, Scores, Value, Worth};

use super::*;

fn record(document: usize, is_right: bool) -> Record {
    let worth = Worth::Number(f64::from(u8::from(is_right)));
    Record {
        document,
        contexts: vec![format!("question {document}")],
        continuations: Vec::new(),
        choices: Vec::new(),
        log_likelihoods: Vec::new(),
        greedy: Vec::new(),
        unconditional: Vec::new(),
        chosen: None,
        gold: Vec::new(),
        target: Value::Int(0),
        generated: None,
        scores: vec![Scores { filter: "none".into(), answer: None, worths: vec![(Metric::Acc, worth)] }],
    }
}

fn measured() -> Measured {
    Measured { metric: "acc".into(), filter: "none".into(), value: 0.5, error: None, higher_is_better: true }
}

/// Answers from `first` on, right or wrong.
fn answered(first: usize, right: &[bool], is_round: bool) -> Said {
    let results = Results {
        task: "sums".into(),
        alias: "sums".into(),
        documents: 9,
        questions: 9,
        answered: first + right.len(),
        shots: 0,
        measured: vec![measured()],
    };
    let records = right.iter().enumerate().map(|(at, right)| record(first + at, *right)).collect();
    Said::Answered { task: 0, records, results, is_round }
}

fn run() -> Run {
    let task =
        TaskInfo { name: "sums".into(), output: Output::MultipleChoice, questions: 9, written: None, is_public: false };
    Run::new(vec!["a".into(), "b".into(), "c".into()], vec![task], Vec::new(), Some(4))
}

#[test]
fn the_best_is_found_when_rounds_are_over_among_those_that_can_be_evaluated() {
    let mut run = run();
    let best = |run: &Run| run.best(0, &measured());
    run.take_in(0, answered(0, &[true, true], true));
    assert_eq!(best(&run), None, "nobody to compare with");
    run.take_in(1, answered(0, &[false], false));
    assert_eq!(best(&run), None, "the round is not over");
    run.take_in(1, answered(1, &[false], true));
    assert_eq!(best(&run), Some(0));
    run.take_in(2, answered(0, &[true, true], true));
    assert_eq!(best(&run), None, "two are as good");
    // Answers of a round that is not over do not count.
    run.take_in(2, answered(2, &[true], false));
    run.take_in(2, Said::Died("out of memory".into()));
    assert_eq!(best(&run), None);
    run.take_in(0, answered(2, &[true, true], true));
    assert_eq!(best(&run), None);
    run.take_in(2, Said::Refused(Refusal::Adapter));
    assert_eq!(best(&run), Some(0));
}

#[test]
fn a_worker_that_dies_leaves_what_it_and_the_others_have_answered() {
    let mut run = run();
    run.take_in(0, answered(0, &[true, true], true));
    run.take_in(1, answered(0, &[true], false));
    assert_eq!(run.answered(), (3, 12));
    run.take_in(1, Said::Died("out of memory".into()));
    assert_eq!(run.states, [State::Asking, State::Died("out of memory".into()), State::Waiting]);
    assert_eq!(run.answered(), (3, 9), "it answers no more");
    assert_eq!(run.cells[0][1].records.len(), 1);
    run.take_in(2, Said::Refused(Refusal::Adapter));
    assert_eq!(run.answered(), (3, 5));
    run.take_in(0, answered(2, &[true, true], true));
    run.take_in(0, Said::Finished { report: Some("{}".into()) });
    assert_eq!(run.answered(), (5, 5));
    assert!(run.states.iter().all(State::is_over));
    assert_eq!(run.reports, [Some("{}".into()), None, None]);
}

#[test]
fn two_models_are_compared_on_what_both_have_answered() {
    let mut run = run();
    assert_eq!(run.compared(0, 0, 1), None);
    run.take_in(0, answered(0, &[true, false, true], false));
    assert_eq!(run.compared(0, 0, 1), None, "the other has answered nothing");
    run.take_in(1, answered(0, &[false, true], false));
    let found = run.compared(0, 0, 1).unwrap();
    assert_eq!((found.questions, found.won, found.lost), (2, vec![0], vec![1]));
    assert_eq!(run.compared(0, 1, 0).unwrap().won, [1]);
    assert_eq!(run.compared(0, 1, 1), None);
}

#[test]
fn what_was_known_counts_at_once_and_what_comes_stands_behind_it() {
    let mut run = run();
    let Said::Answered { task, records, results, .. } = answered(0, &[true, true], true) else { unreachable!() };
    run.take_in(0, Said::Known { task, records, results });
    assert_eq!((run.known, run.answered()), (2, (2, 12)));
    run.take_in(1, answered(0, &[false, false], true));
    assert_eq!(run.best(0, &measured()), Some(0));
    run.take_in(0, answered(2, &[true], false));
    assert_eq!((run.known, run.cells[0][0].records.len()), (2, 3));
}

#[test]
fn a_model_that_cannot_go_on_with_a_task_keeps_its_answers_and_is_waited_for_no_more() {
    let mut run = run();
    run.take_in(0, answered(0, &[true], false));
    run.take_in(0, Said::Stuck { task: 0, why: "no room".into() });
    run.take_in(0, Said::Finished { report: None });
    assert_eq!(run.answered(), (1, 9));
    assert_eq!(run.cells[0][0].stuck.as_deref(), Some("no room"));
    assert_eq!(run.states[0], State::Done);
}
