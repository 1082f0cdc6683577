//! The reducer's tests: what a person does, and what the page then knows. No browser, no worker.

use merge_studio::method;
use merge_studio::recipe::{TokenizerSource, examples};

use super::super::agreement::Agreement;
use super::super::edit::Owner;
use super::super::edit_slices::SliceEdit;
use super::super::merging::Gguf;
use super::*;
use crate::protocol::{GgufEvent, GgufFailure};

fn fresh() -> State {
    State::new(method::infos(), Saved::default())
}

fn model(name: &str, fingerprint: &str) -> Model {
    Model {
        name: name.to_owned(),
        weight_files: Vec::new(),
        tensors: BTreeMap::new(),
        config: None,
        family: merge_studio::model::Family::Generic,
        companions: BTreeMap::new(),
        vocabulary: None,
        adapter: None,
        fingerprint: fingerprint.to_owned(),
        notices: Vec::new(),
    }
}

fn load(state: &mut State, id: u32, name: &str) {
    open(state, id, model(name, &format!("print of {name}")));
}

fn open(state: &mut State, id: u32, model: Model) {
    let id = ModelId(id);
    state.apply(Action::Opening { id, name: model.name.clone() });
    state.apply(Action::Heard(Event::Opened { id, model: Box::new(model) }));
}

/// A model of so many layers.
fn deep(name: &str, layers: u64) -> Model {
    let config = merge_studio::model::Config {
        architecture: None,
        model_type: None,
        layers: Some(layers),
        vocab_size: None,
        tied: None,
        text: String::new(),
    };
    Model { config: Some(config), ..model(name, name) }
}

/// A LoRA adapter.
fn lora(name: &str) -> Model {
    let adapter = merge_studio::model::Adapter {
        rank: 2,
        other_ranks: Vec::new(),
        alpha: 2.0,
        alphas: Vec::new(),
        rank_stabilised: false,
        fan_in_fan_out: false,
        saved: Vec::new(),
        base: Some("demo-base".to_owned()),
    };
    Model { adapter: Some(adapter), ..model(name, name) }
}

fn with_demo() -> State {
    let mut state = fresh();
    for (id, name) in (0..).zip(["demo-base", "demo-reverse", "demo-sort"]) {
        load(&mut state, id, name);
    }
    state
}

fn example(id: &str) -> String {
    let example = examples().iter().find(|example| example.id == id).expect("an example of this name");
    example.text.to_owned()
}

fn plan() -> Plan {
    let input = plan::PlannedInput { name: "a".to_owned(), fingerprint: "print".to_owned(), ..Default::default() };
    Plan { method: "ties".to_owned(), inputs: vec![input], ..Plan::default() }
}

/// A state whose plan was asked for and came.
fn planned() -> State {
    let mut state = with_demo();
    state.apply(Action::Given(example("ties")));
    let token = PlanToken(1);
    state.apply(Action::Asked(Some(token)));
    state.apply(Action::Heard(Event::Planned { token, plan: Box::new(plan()), peak_memory: 1 }));
    state
}

#[test]
fn a_fresh_page_misses_models_and_a_recipe_and_complains_of_nothing() {
    let state = fresh();
    assert_eq!(state.missing(), [Missing::Models, Missing::Recipe]);
    assert!(state.checked.problems.is_empty());
    assert!(state.wanted().is_none());
}

#[test]
fn demo_models_and_any_example_are_enough_for_a_plan() {
    for example in examples() {
        let mut state = with_demo();
        state.apply(Action::Given(example.text.to_owned()));
        assert_eq!(state.missing(), [], "{}", example.id);
        let wanted = state.wanted().expect("a plan can be asked for");
        assert_eq!(wanted.binding.len(), plan::input_names(&wanted.recipe).len(), "{}", example.id);
    }
}

#[test]
fn the_seed_and_a_choice_of_model_change_what_is_planned() {
    let mut state = with_demo();
    state.apply(Action::Given(example("ties")));
    let first = state.wanted();
    state.apply(Action::Seed(7));
    let second = state.wanted();
    assert_ne!(first, second);
    let name = plan::input_names(&second.clone().expect("planned").recipe)[0].clone();
    state.apply(Action::Choose { name, model: Some("demo-sort".to_owned()) });
    assert_ne!(state.wanted(), second);
}

#[test]
fn a_form_edit_is_written_into_the_text_and_read_back() {
    let mut state = with_demo();
    state.apply(Action::Edit(Edit::Method("ties".to_owned())));
    assert!(state.text.contains("merge_method: ties"), "{}", state.text);
    assert!(state.text.contains("base_model: demo-base"), "{}", state.text);
    assert_eq!(state.checked.recipe.as_ref(), state.form.as_deref());
    assert_eq!(state.missing(), []);
}

#[test]
fn the_form_goes_on_from_a_recipe_that_it_left_incomplete_but_not_from_a_broken_text() {
    let mut state = fresh();
    state.apply(Action::Edit(Edit::Method("ties".to_owned())));
    assert!(state.errors() > 0, "there is no model yet");
    assert_eq!(state.form.as_ref().map(|form| form.merge_method.as_str()), Some("ties"));
    state.apply(Action::Typed("merge_method: [".to_owned()));
    assert!(state.form.is_none());
    assert!(matches!(state.missing()[..], [Missing::Models, Missing::Errors(_)]));
}

#[test]
fn a_form_edit_of_a_commented_recipe_says_that_the_comments_are_gone() {
    let mut state = with_demo();
    state.apply(Action::Typed(format!("# mine\n{}", example("linear"))));
    assert!(!state.comments_lost);
    state.apply(Action::Edit(Edit::Dtype(None)));
    assert!(state.comments_lost && !state.text.contains("# mine"));
}

#[test]
fn a_fix_changes_the_text_and_takes_its_problem_away() {
    let mut state = fresh();
    state.apply(Action::Typed(example("ties").replace("density", "densty")));
    let before = state.checked.problems.len();
    let at = state.checked.problems.iter().position(|problem| problem.fix.is_some()).expect("a misspelling has a fix");
    state.apply(Action::Fix(at));
    assert!(state.checked.problems.len() < before);
    assert!(state.text.contains("density"));
}

#[test]
fn a_flattened_recipe_is_repaired_when_given_and_undo_brings_it_back() {
    let lines: Vec<String> = example("dare_ties").lines().map(|line| line.trim_start().to_owned()).collect();
    let flat = lines.join("\n");
    let mut state = fresh();
    state.apply(Action::Given(flat.clone()));
    assert!(matches!(state.repair, Some(Repaired::Done { .. })));
    assert!(state.checked.recipe.is_some());
    state.apply(Action::UndoRepair);
    assert_eq!(state.text, flat);
    assert!(state.repair.is_none());
    state.apply(Action::Typed(flat));
    assert!(state.repair.is_none(), "what is typed is not repaired under the person's hands");
}

#[test]
fn an_answer_to_an_older_plan_is_ignored() {
    let mut state = with_demo();
    state.apply(Action::Asked(Some(PlanToken(2))));
    let late = Event::Planned { token: PlanToken(1), plan: Box::new(plan()), peak_memory: 1 };
    state.apply(Action::Heard(late));
    assert_eq!(state.planning, Planning::Waiting(PlanToken(2)));
}

#[test]
fn a_merge_runs_from_a_plan_to_its_result_and_its_hashes_arrive_later() {
    let mut state = planned();
    state.apply(Action::Merge);
    assert!(state.is_merging());
    state.apply(Action::Heard(Event::Finished { files: Vec::new(), report: Box::default() }));
    state.apply(Action::Heard(Event::Hashed { name: "model.safetensors".to_owned(), sha256: "ab".to_owned() }));
    state.apply(Action::Heard(Event::AllHashed { output: Some("cd".to_owned()) }));
    let outcome = state.merging.outcome().expect("it is done");
    assert_eq!(outcome.hashes.get("model.safetensors").map(String::as_str), Some("ab"));
    assert_eq!(link_to(outcome).output.as_deref(), Some("cd"));
    assert_eq!(link_to(outcome).recipe, state.text);
}

#[test]
fn without_a_plan_merge_does_nothing() {
    let mut state = with_demo();
    state.apply(Action::Merge);
    assert_eq!(state.merging, Merging::Idle);
}

#[test]
fn a_cancelled_or_failed_merge_keeps_models_and_recipe() {
    for event in [Event::Cancelled, Event::MergeFailed { error: crate::protocol::MergeError::StalePlan }] {
        let mut state = planned();
        let text = state.text.clone();
        state.apply(Action::Merge);
        state.apply(Action::Cancel);
        state.apply(Action::Heard(event));
        assert!(!state.is_merging());
        assert_eq!((state.text.as_str(), state.models.len()), (text.as_str(), 3));
    }
}

#[test]
fn a_result_that_the_disk_does_not_keep_is_withdrawn() {
    let mut state = planned();
    state.apply(Action::Merge);
    state.apply(Action::Heard(Event::Finished { files: Vec::new(), report: Box::default() }));
    let error = crate::protocol::MergeError::Write { file: "model.safetensors".to_owned(), why: "a fault".to_owned() };
    state.apply(Action::Heard(Event::MergeFailed { error: error.clone() }));
    assert_eq!(state.merging, Merging::Failed(error));
}

fn link(recipe: String) -> Link {
    let input =
        |name: &str, fingerprint: &str| LinkInput { name: name.to_owned(), fingerprint: Some(fingerprint.to_owned()) };
    let inputs = vec![
        input("demo-base", "print of demo-base"),
        input("demo-reverse", "another print"),
        input("demo-sort", "print of demo-sort"),
    ];
    Link { recipe, seed: 9, inputs, output: None }
}

fn demo_recipe() -> String {
    let mut state = with_demo();
    state.apply(Action::Edit(Edit::Method("ties".to_owned())));
    state.text
}

#[test]
fn a_link_brings_recipe_and_seed_says_what_agrees_and_starts_nothing() {
    let mut state = with_demo();
    state.apply(Action::OpenLink(Ok(link(demo_recipe()))));
    assert_eq!((state.seed, state.is_merging()), (9, false));
    let found: Vec<Agreement> = state.agreements().into_iter().map(|(_, agreement)| agreement).collect();
    assert_eq!(found, [Agreement::Same, Agreement::Different, Agreement::Same]);
}

#[test]
fn a_link_takes_nothing_away_for_good() {
    let mut state = with_demo();
    state.apply(Action::Typed(example("linear")));
    let mine = state.saved();
    state.apply(Action::OpenLink(Ok(link(demo_recipe()))));
    assert_eq!(
        (state.saved().text, state.saved().seed),
        (mine.text.clone(), mine.seed),
        "a reload without the link brings mine back"
    );
    state.apply(Action::LeaveLink);
    assert_eq!((state.text.clone(), state.seed), (mine.text, mine.seed));
}

#[test]
fn a_damaged_link_says_so_and_changes_nothing() {
    let mut state = with_demo();
    state.apply(Action::Typed(example("linear")));
    let before = state.clone();
    state.apply(Action::OpenLink(Link::decode("no link")));
    assert!(state.link.as_ref().is_some_and(|opened| opened.link.is_err()));
    state.link = None;
    assert_eq!(state, before);
}

#[test]
fn a_reload_brings_recipe_and_settings_back_and_names_the_models_that_are_gone() {
    let mut state = with_demo();
    state.apply(Action::Typed(example("slerp")));
    state.apply(Action::Seed(5));
    state.apply(Action::RunOn(RunOn::Cpu));
    let mut again = State::new(method::infos(), state.saved());
    assert_eq!((again.text.as_str(), again.seed, again.run_on), (state.text.as_str(), 5, RunOn::Cpu));
    assert_eq!(again.missed, ["demo-base", "demo-reverse", "demo-sort"]);
    load(&mut again, 9, "demo-base");
    assert_eq!(again.missed, ["demo-reverse", "demo-sort"]);
}

#[test]
fn two_models_of_one_name_get_two_names() {
    let mut state = fresh();
    load(&mut state, 0, "model");
    load(&mut state, 1, "model (2)");
    assert_eq!(state.free_name("model"), "model (3)");
    assert_eq!(state.free_name("other"), "other");
}

#[test]
fn a_model_that_could_not_be_read_is_named_among_what_is_missing() {
    let mut state = fresh();
    for (id, name) in (0..).zip(["demo-base", "demo-reverse"]) {
        load(&mut state, id, name);
    }
    let id = ModelId(5);
    state.apply(Action::Opening { id, name: "demo-sort".to_owned() });
    state.apply(Action::Given(example("ties")));
    assert_eq!(state.missing(), [Missing::Unread(vec!["demo-sort".to_owned()])]);
    let error = OpenError::Browser("gone".to_owned());
    state.apply(Action::Heard(Event::OpenFailed { id, error }));
    assert_eq!(state.missing(), [Missing::Unread(vec!["demo-sort".to_owned()])]);
    state.apply(Action::Remove(id));
    assert!(matches!(state.missing()[..], [Missing::Unbound(_)]));
}

#[test]
fn whole_models_become_slices_of_all_layers_in_the_text_and_come_back() {
    let mut state = fresh();
    for (id, name) in (0..).zip(["demo-base", "demo-sort"]) {
        open(&mut state, id, deep(name, 6));
    }
    state.apply(Action::Edit(Edit::Method("ties".to_owned())));
    let whole = state.form.clone();
    assert_eq!(state.depths().of("demo-sort"), Some(6));
    state.apply(Action::Edit(Edit::Slices(SliceEdit::FromModels(6))));
    assert!(state.text.contains("layer_range: [0, 6]"), "{}", state.text);
    assert_eq!(state.missing(), []);
    state.apply(Action::Edit(Edit::Slices(SliceEdit::IntoModels)));
    let names = |form: &Option<Rc<Recipe>>| form.as_deref().map(|form| form.base_model.clone());
    assert_eq!(names(&state.form), names(&whole));
    assert!(!state.text.contains("slices"), "{}", state.text);
}

#[test]
fn a_recipe_of_modules_keeps_them_through_edits_of_all_else() {
    let text = "modules:\n  text_decoder:\n    models:\n      - model: demo-base\n      - model: demo-sort\n    parameters:\n      weight: 0.5\nmerge_method: linear\n";
    let mut state = with_demo();
    state.apply(Action::Typed(text.to_owned()));
    assert_eq!(state.errors(), 0, "{:?}", state.checked.problems);
    let modules = state.form.as_ref().map(|form| form.modules.clone());
    for edit in [Edit::Dtype(None), Edit::Tokenizer(Some(TokenizerSource::Union)), Edit::Base(Some("demo-base".into()))]
    {
        state.apply(Action::Edit(edit));
    }
    assert_eq!(state.form.as_ref().map(|form| form.modules.clone()), modules);
    assert!(state.form.as_ref().is_some_and(|form| form.parameters.is_empty()), "{}", state.text);
    assert!(state.text.contains("source: union"), "{}", state.text);
}

#[test]
fn the_vocabulary_is_edited_in_place_and_its_rules_stay_until_they_are_removed() {
    let mut state = with_demo();
    let zero = |token: &str| format!("    {token}:\n      source: {{kind: zero}}\n");
    let rules = zero("\"<a>\"") + &zero("\"<b>\"");
    let text = example("ties") + "tokenizer:\n  source: base\n  tokens:\n" + &rules;
    state.apply(Action::Typed(text));
    assert_eq!(state.errors(), 0, "{:?}", state.checked.problems);
    for edit in
        [Edit::Tokenizer(Some(TokenizerSource::Union)), Edit::PadTo(Some(64)), Edit::DropToken(0), Edit::DropToken(9)]
    {
        state.apply(Action::Edit(edit));
    }
    state.apply(Action::Edit(Edit::ChatTemplate(Some("chatml".to_owned()))));
    let form = state.checked.recipe.clone().expect("it is sound");
    let rule = form.tokenizer.expect("a tokenizer");
    assert_eq!((rule.source, rule.pad_to_multiple_of), (TokenizerSource::Union, Some(64)));
    assert_eq!(rule.tokens.iter().map(|(token, _)| token.as_str()).collect::<Vec<_>>(), ["<b>"]);
    assert_eq!(form.chat_template.as_deref(), Some("chatml"));
    state.apply(Action::Edit(Edit::ChatTemplate(Some(String::new()))));
    state.apply(Action::Edit(Edit::Tokenizer(None)));
    assert!(!state.text.contains("tokenizer") && !state.text.contains("chat_template"), "{}", state.text);
}

#[test]
fn an_adapter_is_no_model_by_itself_and_both_parts_of_a_name_are_bound() {
    let mut state = with_demo();
    open(&mut state, 9, lora("my-lora"));
    assert_eq!(state.adapters(), ["my-lora"]);
    state.apply(Action::Edit(Edit::Method("linear".to_owned())));
    assert!(!state.text.contains("my-lora"), "a first recipe is of models");
    state.apply(Action::Edit(Edit::Adapter { owner: Owner::Model(0), adapter: Some("my-lora".to_owned()) }));
    assert!(state.text.contains("model: demo-base+my-lora"), "{}", state.text);
    let bound = state.wanted().expect("all names are models'").binding;
    assert_eq!((bound.get("demo-base"), bound.get("my-lora")), (Some(&ModelId(0)), Some(&ModelId(9))));
    state.apply(Action::Edit(Edit::Adapter { owner: Owner::Model(0), adapter: None }));
    assert!(!state.text.contains("my-lora"));
}

#[test]
fn a_refused_plan_keeps_its_reason_so_that_it_can_be_mended() {
    let mut state = with_demo();
    state.apply(Action::Given(example("ties")));
    let token = PlanToken(1);
    state.apply(Action::Asked(Some(token)));
    let error = PlanError::NothingToMerge;
    state.apply(Action::Heard(Event::PlanFailed { token, error: error.clone() }));
    assert_eq!(state.planning, Planning::Refused(Rc::new(error)));
}

#[test]
fn a_gguf_file_is_written_from_a_result_and_goes_with_it() {
    let mut state = planned();
    state.apply(Action::Merge);
    state.apply(Action::Heard(Event::Finished { files: Vec::new(), report: Box::default() }));
    let gguf = |event| Action::Heard(Event::Gguf(event));
    state.apply(Action::Gguf);
    state.apply(gguf(GgufEvent::Progress { done: 1, total: 2 }));
    assert_eq!(*state.merging.gguf(), Gguf::Writing(1, Some(2)));
    state.apply(Action::CancelGguf);
    state.apply(gguf(GgufEvent::Done { notices: Vec::new() }));
    assert_eq!(*state.merging.gguf(), Gguf::None, "late news of a file that nobody wants any more");
    state.apply(Action::Gguf);
    state.apply(gguf(GgufEvent::Failed(GgufFailure::Refused("no tokenizer".to_owned()))));
    assert_eq!(*state.merging.gguf(), Gguf::Failed(GgufFailure::Refused("no tokenizer".to_owned())));
    state.apply(Action::Gguf);
    state.apply(gguf(GgufEvent::Done { notices: Vec::new() }));
    state.apply(Action::Gguf);
    assert_eq!(*state.merging.gguf(), Gguf::Done(Vec::new()), "a file that is there is not written again");
    state.apply(Action::GgufType(Some(GgufType::F32)));
    assert_eq!(
        (state.merging.gguf(), state.gguf_type),
        (&Gguf::None, Some(GgufType::F32)),
        "another type is another file"
    );
    state.apply(Action::Discard);
    state.apply(Action::Gguf);
    assert_eq!(*state.merging.gguf(), Gguf::None, "there is no result to write");
}
