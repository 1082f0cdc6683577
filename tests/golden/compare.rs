//! What "agrees" means: with mergekit, and with the truth.

use std::collections::BTreeSet;

use merge_studio::format::DType;
use merge_studio::kernel::Precision;
use merge_studio::output::{self, Content};
use merge_studio::plan::{Job, Rule};

use crate::assembled;
use crate::case::{ExpectedTensor, Inputs, Tolerance, decode};
use crate::engine::Made;
use crate::truth::{Answer, Choices, Truth};

/// An f32 result may be this many units of the largest number on the way away from the truth: the longest chain (task vector,
/// rescaled weight, product, sums, quotient, lambda, base) rounds a dozen times, by half a unit at most.
const ULPS_OF_F32: f64 = 6.0;
/// A result that is rounded to 16 bits once is half a unit away from the truth, and as much as f32 lost of the largest term.
const LOST_BY_F32: f64 = 1e-6;
/// The same where arithmetic is in f64.
const LOST_BY_F64: f64 = 1e-12;
/// Shares and norms of masked tensors may be this many standard deviations apart.
const DEVIATIONS: f64 = 5.0;
/// Tensors with fewer elements say nothing about shares.
const ENOUGH: usize = 512;

/// Names, shapes and types are mergekit's, and every element is as near as the case's tolerance asks.
pub fn with_mergekit(made: &Made) -> Result<(), String> {
    let tolerance = &made.case.tolerance;
    let ours: BTreeSet<&str> = made.plan.jobs.iter().map(|job| job.name.as_str()).collect();
    let theirs: BTreeSet<&str> = made.case.expected.keys().map(String::as_str).collect();
    let left_out: BTreeSet<&str> = theirs.difference(&ours).copied().collect();
    let added: Vec<&str> = ours.difference(&theirs).copied().collect();
    if left_out != tolerance.left_out.iter().map(String::as_str).collect() || !added.is_empty() {
        return Err(format!("mergekit's output also has {left_out:?}; ours also has {added:?}"));
    }
    let otherwise = |name: &str| tolerance.otherwise.iter().any(|part| name.contains(part));
    if !tolerance.otherwise.iter().all(|part| ours.iter().any(|name| name.contains(part))) {
        return Err(format!("not all of {:?} are there to be otherwise", tolerance.otherwise));
    }
    for job in made.plan.jobs.iter().filter(|job| !otherwise(&job.name)) {
        let expected = &made.case.expected[&job.name];
        tensor(made, job, expected, made.output(job)).map_err(|error| format!("{}: {error}", job.name))?;
    }
    config(made)
}

/// What the recipe changes in config.json is what mergekit changes in it.
fn config(made: &Made) -> Result<(), String> {
    if made.case.config.is_empty() {
        return Ok(());
    }
    let Inputs { models, tokenizers, .. } = &made.case.inputs;
    let small = output::small_files(&made.plan, &made.case.recipe, models, tokenizers);
    let content = small
        .map_err(|error| error.to_string())?
        .files
        .into_iter()
        .find(|file| file.name == output::CONFIG_FILE)
        .map(|file| file.content);
    let Some(Content::Bytes(text)) = content else { return Err("there is no config.json".to_owned()) };
    let ours: serde_json::Value = serde_json::from_slice(&text).map_err(|error| format!("config.json: {error}"))?;
    for (key, theirs) in &made.case.config {
        if ours.get(key) != Some(theirs) {
            return Err(format!("config.json has {key}: {:?} instead of {theirs}", ours.get(key)));
        }
    }
    Ok(())
}

/// One tensor against mergekit's.
pub fn tensor(made: &Made, job: &Job, expected: &ExpectedTensor, bytes: &[u8]) -> Result<(), String> {
    let tolerance = &made.case.tolerance;
    if (expected.dtype, &expected.shape) != (job.dtype, &job.shape) {
        return Err(format!("{} {:?} instead of {} {:?}", job.dtype, job.shape, expected.dtype, expected.shape));
    }
    if !job.dtype.is_float() {
        return if expected.bytes == bytes { Ok(()) } else { Err("the bytes differ".to_owned()) };
    }
    let (theirs, ours) = (decode(expected.dtype, &expected.bytes), decode(job.dtype, bytes));
    if theirs.len() != ours.len().div_ceil(expected.stride) {
        return Err(format!("{} elements instead of {}", ours.len(), theirs.len() * expected.stride));
    }
    if tolerance.statistics {
        return statistics(made, job, &theirs, &ours);
    }
    let truth =
        Truth::of(made, job, tolerance.choices()).ok_or("coins decide this tensor, and the case has no statistics")?;
    let largest = assembled::largest(made, job);
    for (sample, &theirs) in theirs.iter().enumerate() {
        let e = sample * expected.stride;
        let mut answer = truth.at(e);
        answer.magnitude = answer.magnitude.max(largest.as_ref().map_or(0.0, |largest| largest[e]));
        element(tolerance, job.dtype, &answer, theirs, ours[e])
            .map_err(|error| format!("element {e} of {}: {error}", ours.len()))?;
    }
    Ok(())
}

/// One element. Where a choice was open, both sides must have made an admissible one.
fn element(tolerance: &Tolerance, dtype: DType, answer: &Answer, theirs: f64, ours: f64) -> Result<(), String> {
    let allowed = tolerance.ulps * spacing(dtype, answer.magnitude);
    let agree = match answer.values.as_slice() {
        [_] => (theirs - ours).abs() <= allowed,
        choices => [theirs, ours].iter().all(|side| choices.iter().any(|value| (value - side).abs() <= allowed)),
    };
    if agree {
        return Ok(());
    }
    Err(format!(
        "{ours:e} instead of {theirs:e}, {:.1} units of {:e} away; it may be {:?}",
        (theirs - ours).abs() / spacing(dtype, answer.magnitude),
        answer.magnitude,
        answer.values
    ))
}

/// The share of elements that moved from the base, and how far they moved in all.
fn statistics(made: &Made, job: &Job, theirs: &[f64], ours: &[f64]) -> Result<(), String> {
    let Rule::Merge(rule) = &job.rule else { return Err("coins are drawn for merged tensors only".to_owned()) };
    let base = rule.base.ok_or("a method that draws coins has a base")?;
    let base = assembled::numbers(made, job, base);
    if base.len() < ENOUGH {
        return Ok(());
    }
    let moves = |side: &[f64]| side.iter().zip(&base).map(|(x, b)| (x - b).abs()).collect::<Vec<f64>>();
    let (theirs, ours) = (moves(theirs), moves(ours));
    let count = base.len() as f64;
    let share = |side: &[f64]| side.iter().filter(|x| **x > 0.0).count() as f64 / count;
    let (p, q) = (share(&theirs), share(&ours));
    if (p - q).abs() > DEVIATIONS * (2.0 * p * (1.0 - p) / count).sqrt() {
        return Err(format!("{q} of the elements moved instead of {p}"));
    }
    let mean = |side: &[f64]| side.iter().sum::<f64>() / count;
    let variance = theirs.iter().map(|x| (x - mean(&theirs)).powi(2)).sum::<f64>() / count;
    if (mean(&theirs) - mean(&ours)).abs() > DEVIATIONS * (2.0 * variance / count).sqrt() {
        return Err(format!("elements moved by {:e} instead of {:e}", mean(&ours), mean(&theirs)));
    }
    Ok(())
}

/// Every element is as near to the double-precision truth as its type and the width of the arithmetic allow.
pub fn with_truth(made: &Made) -> Result<(), String> {
    for job in made.plan.jobs.iter().filter(|job| job.dtype.is_float()) {
        let Some(truth) = Truth::of(made, job, Choices::Ours) else { continue };
        let lost = match &job.rule {
            Rule::Merge(rule) if rule.precision == Precision::F32 => LOST_BY_F32,
            _ => LOST_BY_F64,
        };
        for (e, ours) in decode(job.dtype, made.output(job)).into_iter().enumerate() {
            let answer = truth.at(e);
            let value = answer.values[0];
            let allowed = match (job.dtype, lost == LOST_BY_F32) {
                (DType::F32, true) => ULPS_OF_F32 * spacing(DType::F32, answer.magnitude),
                (dtype, _) => spacing(dtype, value.abs().max(ours.abs())) / 2.0 + lost * answer.magnitude,
            };
            if (value - ours).abs() > allowed || answer.values.len() != 1 {
                return Err(format!("{}, element {e}: {ours:e} instead of {value:e}", job.name));
            }
        }
    }
    Ok(())
}

/// The distance between neighbouring values of a type at a magnitude.
pub fn spacing(dtype: DType, magnitude: f64) -> f64 {
    let (fraction, lowest) = match dtype {
        DType::F16 => (10, -14),
        DType::BF16 => (7, -126),
        DType::F32 => (23, -126),
        _ => (52, -1022),
    };
    let exponent = if magnitude > 0.0 { magnitude.log2().floor() as i32 } else { lowest };
    2.0_f64.powi(exponent.max(lowest) - fraction)
}
