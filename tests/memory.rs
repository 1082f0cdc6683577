//! Three models of 269 MB each merge within 250 MB: weights stream, and the peak is measured, not reckoned.
//!
//! Too slow without optimisation: `./studio test` runs it on the release build.
#![allow(clippy::unwrap_used)]
#![cfg(all(target_os = "linux", not(debug_assertions)))]

#[path = "support/checkpoints.rs"]
mod checkpoints;
#[path = "support/watch.rs"]
mod watch;

use std::fs;
use std::process::{Command, Stdio};

/// What the process may hold at most.
const LIMIT: u64 = 250_000_000;

#[test]
fn three_models_of_269_mb_merge_within_250_mb() {
    let folder = tempfile::tempdir().unwrap();
    let mut inputs = 0;
    for (number, name) in (0..).zip(["base", "one", "two"]) {
        inputs += checkpoints::write(&folder.path().join(name), &checkpoints::SMALL, number).unwrap();
    }
    assert!(inputs > 3 * 268_000_000, "{inputs}");
    let recipe = "merge_method: ties\nbase_model: base\nmodels:\n  - model: one\n    parameters: {weight: 0.5, density: 0.5}\n  - model: two\n    parameters: {weight: 0.5, density: 0.5}\ndtype: bfloat16\n";
    fs::write(folder.path().join("r.yml"), recipe).unwrap();

    let taken = watch::watch(
        Command::new(env!("CARGO_BIN_EXE_merge-studio"))
            .args(["merge", "r.yml", "out", "--device", "cpu", "--threads", "2", "--counters", "counters.json"])
            .current_dir(folder.path())
            .stdout(Stdio::null()),
    )
    .unwrap();
    assert!(taken.status.success());
    let counters: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("counters.json")).unwrap()).unwrap();
    println!(
        "3 x 269 MB, ties, 2 threads: {:.1} s, {:.1} s of the processors, peak {:.0} MB, largest allocation {:.1} MB",
        taken.seconds,
        taken.processor_seconds,
        taken.peak as f64 / 1e6,
        counters["largest_allocation"].as_f64().unwrap() / 1e6,
    );
    assert!(taken.peak > 10_000_000, "the peak was not measured");
    assert!(taken.peak < LIMIT, "the peak was {} bytes", taken.peak);
    assert_eq!(counters["backends"], serde_json::json!({ "cpu": checkpoints::SMALL.tensors().len() }));
    assert!(counters["largest_allocation"].as_u64().unwrap() < 40_000_000, "{counters}");
    assert!(fs::metadata(folder.path().join("out/model.safetensors")).unwrap().len() > inputs / 3);
}
