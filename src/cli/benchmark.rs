//! `benchmark`: how fast this device merges, beside a plain copy.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use merge_studio::gauge::{self, Beside, Kept, Made, Row, TASKS, Timed};
#[cfg(feature = "gpu")]
use merge_studio::kernel::gpu::Gpu;
use merge_studio::run::{self, Bench, JobReport, RunError};

use super::failure::Failure;
use super::workers::{has_gpu, limits};

/// A tensor that was moved or made, and compared or not.
type Done = (JobReport, Option<Beside>);

/// Measures every backend that there is, and prints a table of it, or JSON.
pub(super) fn benchmark(threads: usize, layers: u64, json: bool) -> Result<(), Failure> {
    let models = gauge::models();
    let mut benches: Vec<Bench> = (0..threads).map(|_| Bench::default()).collect();
    let cpu = measure(Row::cpu(threads), &mut benches, &models, layers)?;
    let rows = [Some(cpu), on_gpu(&models, layers)?];
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    if json {
        let json = serde_json::to_string_pretty(&rows).context("the figures").map_err(Failure::Merge)?;
        println!("{json}");
    } else {
        print!("{}", gauge::markdown(&gauge::table(&rows)));
    }
    Ok(())
}

/// A simulated GPU is measured, too: its name tells.
#[cfg(feature = "gpu")]
fn on_gpu(models: &[Made], layers: u64) -> Result<Option<Row>, Failure> {
    match pollster::block_on(Gpu::open()) {
        Ok(gpu) => {
            let row = Row::gpu(&gpu.name());
            measure(row, &mut [Bench { gpu: Some(gpu), ..Bench::default() }], models, layers).map(Some)
        }
        Err(error) => {
            super::failure::warn(error);
            Ok(None)
        }
    }
}

#[cfg(not(feature = "gpu"))]
#[allow(clippy::unnecessary_wraps)] // With a GPU it can fail.
fn on_gpu(_: &[Made], _: u64) -> Result<Option<Row>, Failure> {
    super::failure::warn("this program was built without GPU support");
    Ok(None)
}

/// Measures all tasks on one backend: with as many threads as there are benches.
fn measure(mut row: Row, benches: &mut [Bench], models: &[Made], layers: u64) -> Result<Row, Failure> {
    while let Some(task) = row.next() {
        eprintln!("{}: {}", row.title(), TASKS[task]);
        let mut timed = Timed::new(task, layers)?;
        let sources = gauge::sources(&timed.plan, models);
        let figure = loop {
            let began = Instant::now();
            let done = round(&timed, &row, &sources, benches);
            let seconds = began.elapsed().as_secs_f64();
            let made = done.map_err(|error| error.to_string()).and_then(|done| {
                done.into_iter()
                    .try_for_each(|(report, beside)| timed.made(&report, beside))
                    .map_err(|error| error.to_string())
            });
            if let Err(why) = made {
                row.failed = Some(why);
                return Ok(row);
            }
            if let Some(figure) = timed.round(seconds) {
                break figure;
            }
        };
        row.figures.push(figure);
    }
    Ok(row)
}

/// One round of a task.
fn round(timed: &Timed, row: &Row, sources: &[Vec<Made>], benches: &mut [Bench]) -> Result<Vec<Done>, RunError> {
    let threads = benches.len();
    let (tensors, next, done) = (timed.tensors(row.backend), AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for bench in benches {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= tensors {
                        break;
                    }
                    let one = pollster::block_on(tensor(timed, job, sources, bench, threads));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}

/// Moves or makes one tensor; in a GPU's first round, also without it.
async fn tensor(
    timed: &Timed,
    job: usize,
    sources: &[Vec<Made>],
    bench: &mut Bench,
    threads: usize,
) -> Result<Done, RunError> {
    let plan = &timed.plan;
    let limits = &limits(&plan.jobs[job], threads, bench);
    if timed.is_copy() {
        return gauge::copy(plan, job, sources, bench, limits.window).await.map(|()| Done::default());
    }
    let mut kept = Kept::new(plan.jobs[job].offset, has_gpu(bench) && timed.is_cold());
    let report = run::job(plan, job, sources, bench, limits, &mut kept, &mut |_| {}).await?;
    let Some(made) = kept.take() else { return Ok((report, None)) };
    run::job(plan, job, sources, &mut Bench::default(), limits, &mut kept, &mut |_| {}).await?;
    Ok((report, kept.take().map(|expected| Beside::of(&made, &expected))))
}
