//! Any recipe over any checkpoints: one window or many, one worker or five, the same bytes.
//!
//! For every method, random recipes of models, slices and modules, with and without adapters, aligned vocabularies and types, over
//! checkpoints of a few thousand numbers. Each is planned, written as YAML and read back, and run with different windows, budgets and
//! numbers of workers. What is drawn is the same in every run of the test.
#![allow(clippy::unwrap_used)]

mod draft;
mod work;
mod world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use merge_studio::kernel::{BLOCK, Precision};
use merge_studio::method;
use merge_studio::plan::{self, Job, Plan, PlanError, PlanNotice, PlanOptions, Rule};
use merge_studio::recipe::{self, Recipe, Setting};
use merge_studio::run::Limits;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use draft::Draft;
use work::{Fault, same, sound};
use world::Opened;

/// Cases a method.
const CASES: u32 = 100;

/// One block, an odd number of them, more than any tensor has.
const WINDOWS: [usize; 3] = [BLOCK, 3 * BLOCK, 64 * BLOCK];

/// No tensor is kept between passes, or all are.
const KEEPS: [u64; 2] = [0, 32 << 20];

/// A plan of a draft, and what it takes to run it.
struct Planned {
    plan: Plan,
    recipe: Recipe,
    opened: Opened,
}

fn planned(draft: &Draft, method: &str) -> Result<Planned, Box<PlanError>> {
    let recipe = draft.recipe(&method::find(method).unwrap().info());
    let opened = draft.world.open(draft.one_vocabulary(), draft.vision());
    let Opened { models, binding, tokenizers, .. } = &opened;
    // Some outputs are of several files.
    let shard_size = if draft.seed.is_multiple_of(3) { 20_000 } else { u64::MAX };
    let options = PlanOptions { seed: draft.seed, shard_size, ..PlanOptions::default() };
    let plan = plan::plan(&recipe, models, binding, tokenizers, &options)?;
    Ok(Planned { plan, recipe, opened })
}

/// Runs the plan in every way; `fault` is done to what all but the first write.
fn the_same_in_every_way(planned: &Planned, fault: Option<Fault>) -> Result<(), String> {
    let Planned { plan, opened, .. } = planned;
    let one = |limits, workers, fault| work::run(plan, opened, limits, workers, fault);
    let reference = one(Limits { keep: KEEPS[1], window: WINDOWS[2] }, 1, None)?;
    sound(plan, &reference)?;
    let mut ways = Vec::new();
    for window in WINDOWS {
        ways.extend(KEEPS.map(|keep| (Limits { keep, window }, 1)));
    }
    ways.extend([
        (Limits { keep: KEEPS[0], window: WINDOWS[1] }, 2),
        (Limits { keep: KEEPS[0], window: WINDOWS[0] }, 5),
    ]);
    for (limits, workers) in ways.into_iter().filter(|way| *way != (Limits { keep: KEEPS[1], window: WINDOWS[2] }, 1)) {
        let made = one(limits, workers, fault)?;
        let told = |error: String| format!("{limits:?}, {workers} workers: {error}");
        same(plan, &reference, &made).map_err(told)?;
        sound(plan, &made).map_err(told)?;
    }
    Ok(())
}

fn comes_back(recipe: &Recipe) -> Result<(), String> {
    let text = recipe::write(recipe);
    let checked = recipe::check(&text, &method::infos());
    if checked.recipe.as_ref() == Some(recipe) { Ok(()) } else { Err(format!("{text}\n{:?}", checked.problems)) }
}

/// The draws of one method: the same in every run, and others than another method's.
fn runner(method: &str, cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut seed = [7; 32];
    for (into, byte) in seed.iter_mut().zip(method.bytes()) {
        *into = byte;
    }
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

fn check_method(method: &str) {
    let (made, refused) = (Cell::new(0), Cell::new(0));
    let result = runner(method, CASES).run(&draft::draft(), |draft| {
        match planned(&draft, method) {
            Err(error) => {
                println!("refused: {error}");
                refused.set(refused.get() + 1);
            }
            Ok(planned) => {
                made.set(made.get() + 1);
                let fine = comes_back(&planned.recipe).and_then(|()| the_same_in_every_way(&planned, None));
                fine.map_err(|error| TestCaseError::fail(format!("{error}\n{}", recipe::write(&planned.recipe))))?;
            }
        }
        Ok(())
    });
    if let Err(TestError::Fail(reason, draft)) = result {
        panic!("{reason}\n{draft:#?}");
    }
    result.unwrap();
    assert!(made.get() > 2 * refused.get(), "{} made, {} refused: the recipes show little", made.get(), refused.get());
}

macro_rules! methods {
    ($($method:ident)*) => {
        const METHODS: &[&str] = &[$(stringify!($method)),*];

        /// A test a method.
        mod neither_windows_nor_workers_can_be_seen_in_recipes_of {
            $(#[test]
            fn $method() {
                super::check_method(stringify!($method));
            })*
        }
    };
}

methods! {
    linear slerp nuslerp multislerp karcher task_arithmetic ties dare_linear dare_ties della_linear della breadcrumbs breadcrumbs_ties
    sce ram ramplus_tl model_stock nearswap arcee_fusion passthrough
}

#[test]
fn every_method_has_its_test() {
    let all: Vec<&str> = method::infos().iter().map(|info| info.id).collect();
    assert_eq!(METHODS, all);
}

/// What a plan has that another may not.
fn parts(Planned { plan, recipe, opened }: &Planned) -> Vec<&'static str> {
    let sources = || plan.jobs.iter().flat_map(|job| &job.sources);
    let assemblies = || sources().filter_map(|source| source.assembly.as_deref());
    let rules = || plan.jobs.iter().map(|job| &job.rule);
    let missing = |notice: &PlanNotice| matches!(notice, PlanNotice::Missing { .. });
    let listed = |base: &String| recipe.models.iter().any(|entry| entry.model == *base);
    let settings =
        || recipe.parameters.values().chain(recipe.models.iter().flat_map(|entry| entry.parameters.values()));
    let types_differ = |job: &Job| job.sources.iter().any(|source| source.dtype != job.sources[0].dtype);
    let has = [
        ("slices", !recipe.slices.is_empty()),
        ("modules", !recipe.modules.is_empty()),
        ("a base that is listed", recipe.base_model.as_ref().is_some_and(listed)),
        ("a base that is not listed", recipe.base_model.as_ref().is_some_and(|base| !listed(base))),
        ("a change", assemblies().any(|assembly| assembly.change.is_some())),
        ("rows of a vocabulary", assemblies().any(|assembly| assembly.rows.is_some())),
        ("both", assemblies().any(|assembly| assembly.change.is_some() && assembly.rows.is_some())),
        ("a tensor that some lack", plan.notices.iter().any(missing)),
        ("a tensor left out", !plan.left_out.is_empty()),
        ("f64", rules().any(|rule| matches!(rule, Rule::Merge(merge) if merge.precision == Precision::F64))),
        ("f32", rules().any(|rule| matches!(rule, Rule::Merge(merge) if merge.precision == Precision::F32))),
        ("types that differ", plan.jobs.iter().any(types_differ)),
        ("files", plan.files.len() > 1),
        ("a gradient", settings().any(|setting| matches!(setting, Setting::Gradient(_)))),
        ("filters", settings().any(|setting| matches!(setting, Setting::Filters(_)))),
        (
            "several windows of three blocks",
            plan.jobs.iter().any(|job| job.shape.iter().product::<u64>() > 3 * BLOCK as u64),
        ),
        ("adapters beside models", opened.models.iter().any(|model| model.adapter.is_some())),
    ];
    has.into_iter().filter_map(|(part, has)| has.then_some(part)).collect()
}

#[test]
fn the_recipes_are_of_every_kind() {
    let counts = RefCell::new(BTreeMap::<&str, u32>::new());
    let plans = Cell::new(0);
    for method in METHODS {
        let result = runner(method, CASES).run(&draft::draft(), |draft| {
            if let Ok(planned) = planned(&draft, method) {
                plans.set(plans.get() + 1);
                for part in parts(&planned) {
                    *counts.borrow_mut().entry(part).or_default() += 1;
                }
            }
            Ok(())
        });
        result.unwrap();
    }
    let counts = counts.into_inner();
    println!("{counts:?} of {}", plans.get());
    assert_eq!(counts.len(), 17, "{counts:?}");
    assert!(counts.values().all(|count| count * 50 > plans.get()), "too few: {counts:?} of {}", plans.get());
}

/// A plan of a draft that has one, the first of the method's.
fn some_plan(method: &str) -> Planned {
    let found = Cell::new(None);
    let result = runner(method, 30).run(&draft::draft(), |draft| {
        let had = found.take();
        found.set(had.or_else(|| planned(&draft, method).ok()));
        Ok(())
    });
    result.unwrap();
    found.take().unwrap()
}

#[test]
fn a_result_that_depends_on_the_window_is_found() {
    for method in ["linear", "ties", "della"] {
        let planned = some_plan(method);
        assert_eq!(the_same_in_every_way(&planned, None), Ok(()));
        // The last bit of a window's first number.
        let first: Fault = |bytes| bytes[0] ^= 1;
        let found = the_same_in_every_way(&planned, Some(first)).unwrap_err();
        assert!(found.contains("element 0 differs"), "{found}");
        // And nothing but a window's end where that is not the tensor's.
        let last: Fault = |bytes| {
            if bytes.len() >= 2 * BLOCK && bytes.len().is_multiple_of(2 * BLOCK) {
                let at = bytes.len() - 1;
                bytes[at] ^= 1;
            }
        };
        let found = the_same_in_every_way(&planned, Some(last)).unwrap_err();
        assert!(found.contains("window: 1024") && found.contains(" differs"), "{found}");
    }
}
