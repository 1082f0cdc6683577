//! The GPU, held to the definition by the twins' bodies, and what only a GPU can do: cut, refuse, be lost, be wrong.
//!
//! Without a GPU every test here is ignored, with the reason; where `MERGE_STUDIO_NEED_GPU` is 1, it fails instead.

#![allow(clippy::unwrap_used)]

#[path = "../../../tests/twins/bodies.rs"]
mod bodies;
#[path = "../../../tests/twins/case.rs"]
mod case;
// Its own tests run with the twins.
#[allow(dead_code, unused_imports, clippy::wildcard_imports)]
#[path = "../../../tests/twins/compare.rs"]
mod compare;
#[path = "../../../tests/twins/drive.rs"]
mod drive;
mod faults;
mod flight;
mod held;
mod own;
#[path = "../../../../tests/support/gpu.rs"]
mod support;

use std::sync::{Arc, Mutex, PoisonError};

use compare::Tolerance;
use libtest_mimic::{Arguments, Trial};
use merge_studio_gpu::{Gpu, GpuError, GpuOptions};
use pollster::block_on;
use support::on_gpu;

/// Outputs agree to the bit; sums over a block have 48 bits on the GPU, where the CPU has 53.
const TOLERANCE: Tolerance = Tolerance { ulps_of_16: 0.0, ulps_of_32: 0.0, sums: 1e-12, may_decline: true };

/// Room for one block of most cases' inputs, so that most windows are cut.
const SMALL_BINDING: u64 = 13 << 10;

type Body = fn(&mut Gpu);
type Shared = Arc<Mutex<Result<Gpu, GpuError>>>;

macro_rules! twins {
    ($($body:ident)*) => {
        [$((stringify!($body), (|gpu: &mut Gpu| bodies::$body(gpu, &TOLERANCE)) as Body),)*]
    };
}

/// A test of the opened GPU.
fn trial(name: String, gpu: &Shared, body: Body) -> Trial {
    let gpu = Arc::clone(gpu);
    Trial::ignorable_test(name, move || {
        // A test that failed has not harmed the device.
        on_gpu(&mut gpu.lock().unwrap_or_else(PoisonError::into_inner), |gpu| {
            body(gpu);
            Ok(())
        })
    })
}

fn main() {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let open = |options| -> Shared { Arc::new(Mutex::new(block_on(Gpu::open_with(&options)))) };
    let gpu = open(GpuOptions::default());
    let small = open(GpuOptions { binding: SMALL_BINDING, held: 2 * SMALL_BINDING, ..GpuOptions::default() });
    if let Ok(gpu) = &*gpu.lock().unwrap_or_else(PoisonError::into_inner) {
        eprintln!("on {}", gpu.name());
    }
    let twins = bodies::each!(twins);
    let mut trials = Vec::new();
    for (name, body) in twins {
        trials.push(trial(format!("gpu::{name}"), &gpu, body));
        trials.push(trial(format!("gpu_in_chunks::{name}"), &small, body));
    }
    for (name, body) in own::TESTS.iter().chain(held::TESTS).chain(flight::TESTS).chain(faults::TESTS) {
        trials.push(trial(format!("gpu::{name}"), &gpu, *body));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
