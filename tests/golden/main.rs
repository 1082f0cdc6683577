//! Goldens: what mergekit 0.1.5 makes of a recipe, and what we make of it, tensor by tensor.
//!
//! A case is a folder of `cases/`: its recipe, what mergekit made of it, and how far we may be from that, with the reason. Its inputs
//! are in `inputs/`, or generated here ([`wide`]). `tools/make_goldens.py` makes all of them. Every case runs on every backend;
//! on the CPU it is also held to a double-precision evaluation of the formulas ([`truth`]). A GPU that is not there is ignored, with the
//! reason, and fails where `MERGE_STUDIO_NEED_GPU` is 1.

#![allow(clippy::unwrap_used)]

mod assembled;
mod case;
mod compare;
mod engine;
mod geometry;
mod properties;
#[cfg(feature = "gpu")]
#[path = "../support/gpu.rs"]
mod support;
mod truth;
mod wide;

use std::path::Path;

use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};
#[cfg(feature = "gpu")]
use support::on_gpu;

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
    Trial::ignorable_test(format!("gpu::{name}"), move || {
        on_gpu(&mut engine::gpu(), |bench| {
            let made = engine::run(Case::read(root(), &name)?, bench, engine::WIDE)?;
            engine::made_by_the_gpu(&made)?;
            Ok(compare::with_mergekit(&made)?)
        })
    })
}
