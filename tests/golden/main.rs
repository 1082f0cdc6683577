//! Goldens: what mergekit 0.1.5 makes of a recipe, and what we make of it, tensor by tensor.
//!
//! A case is a folder of `cases/`: its recipe, what mergekit made of it, and how far we may be from that, with the reason. Its inputs
//! are in `inputs/`, or generated here ([`wide`]). `tools/make_goldens.py` makes all of them. Every case runs on every backend;
//! on the CPU it is also held to a double-precision evaluation of the formulas ([`truth`]). A GPU that is not there is ignored by
//! name, and is a failure where `MERGE_STUDIO_NEED_GPU` is set.

#![allow(clippy::unwrap_used)]

mod case;
mod compare;
mod engine;
mod properties;
mod truth;
mod wide;

use std::path::Path;

use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};

/// The folder of this test: cases and inputs.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

fn main() {
    let mut arguments = Arguments::from_args();
    let names = case::names(&root().join("cases")).unwrap_or_else(|error| panic!("{error}"));
    let mut trials = properties::trials(&names);
    for name in names {
        trials.push(trial(format!("cpu::{name}"), {
            let name = name.clone();
            move || {
                let made = engine::run(Case::read(root(), &name)?, &mut engine::cpu(), engine::NARROW)?;
                compare::with_mergekit(&made)
            }
        }));
        trials.push(trial(format!("cpu::{name}::is_true"), {
            let name = name.clone();
            move || {
                let made = engine::run(Case::read(root(), &name)?, &mut engine::cpu(), engine::NARROW)?;
                compare::with_truth(&made)
            }
        }));
        #[cfg(feature = "gpu")]
        trials.push(gpu(name));
    }
    // Two threads are plenty: a case with generated inputs holds 50 MB.
    arguments.test_threads.get_or_insert(2);
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: String, body: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    Trial::test(name, move || body().map_err(Failed::from))
}

/// The same on the GPU: every tensor must be made there, unless it holds what the GPU is known to decline.
#[cfg(feature = "gpu")]
fn gpu(name: String) -> Trial {
    let needed = std::env::var_os("MERGE_STUDIO_NEED_GPU").is_some();
    let missing = engine::gpu_missing().filter(|_| !needed);
    let title = match &missing {
        Some(why) => format!("gpu::{name} ({why})"),
        None => format!("gpu::{name}"),
    };
    let ignored = missing.is_some();
    trial(title, move || {
        let mut bench = engine::gpu()?;
        let made = engine::run(Case::read(root(), &name)?, &mut bench, engine::WIDE)?;
        engine::made_by_the_gpu(&made)?;
        compare::with_mergekit(&made)
    })
    .with_ignored_flag(ignored)
}
