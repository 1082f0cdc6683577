//! What is said of the goldens as a whole, of the comparator, and of the differences from mergekit that are on purpose.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use merge_studio::format::DType;
use merge_studio::method;
use merge_studio::recipe::Recipe;

use crate::case::{self, Case, Inputs, decode};
use crate::compare;
use crate::engine::{self, Made};
use crate::truth::{Choices, Truth};
use crate::{root, trial};

/// One trial a function, under its own name.
pub fn trials(names: &[String]) -> Vec<Trial> {
    macro_rules! trials {
        ($($name:ident)*) => { vec![$(trial(stringify!($name).to_owned(), $name)),*] };
    }
    let mut trials = trials![
        a_folder_without_cases_is_an_error
        a_perturbed_element_is_rejected
        a_perturbed_element_is_rejected_where_trimming_is_open
        a_perturbed_sample_of_a_large_tensor_is_rejected
        a_wrong_type_or_shape_or_a_missing_tensor_is_rejected
        a_result_off_by_two_thirds_of_a_unit_is_not_true
        windows_cannot_be_seen_in_the_bytes
        trim_ties_go_to_the_lowest_index_where_mergekit_takes_any
        opposite_vectors_take_the_chord_where_mergekit_takes_noise
        rows_that_hardly_differ_have_no_negative_divergence
        outliers_of_a_large_tensor_are_from_exact_quartiles_where_mergekit_samples
        ranks_decide_how_often_della_keeps
        a_share_of_the_density_is_kept_and_brought_back_to_its_norm
        coins_of_two_models_are_independent
        seeds_choose_the_coins
    ];
    let names = names.to_vec();
    trials.push(trial("every_method_has_goldens_of_distant_near_edge_and_large_inputs".to_owned(), move || {
        every_method_has_goldens_of_distant_near_edge_and_large_inputs(&names)
    }));
    trials
}

fn check(holds: bool, otherwise: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn made(name: &str) -> Result<Made, String> {
    let made = engine::run(Case::read(root(), name)?, &mut engine::cpu(), engine::NARROW)?;
    check(engine::made_by_the_cpu(&made), "the CPU did not make it")?;
    Ok(made)
}

fn every_method_has_goldens_of_distant_near_edge_and_large_inputs(names: &[String]) -> Result<(), String> {
    let mut covered = BTreeSet::new();
    for name in names {
        let recipe = Case::read(root(), name)?.recipe;
        for model in recipe.models {
            let kind = model.model.split('-').next().unwrap_or_default().to_owned();
            covered.insert((recipe.merge_method.clone(), kind));
        }
    }
    for info in method::infos() {
        for kind in ["far", "near", "edge", "wide"] {
            if (info.id, kind) == ("arcee_fusion", "wide") {
                continue; // mergekit samples there: outliers_of_a_large_tensor_… holds us to the truth.
            }
            let has = covered.contains(&(info.id.to_owned(), kind.to_owned()));
            check(has, format!("{} has no golden of {kind} inputs", info.id))?;
        }
    }
    Ok(())
}

fn a_folder_without_cases_is_an_error() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    check(case::names(folder.path()).is_err(), "an empty folder passed for a set of cases")?;
    check(case::names(&folder.path().join("absent")).is_err(), "an absent folder passed for a set of cases")?;
    std::fs::create_dir(folder.path().join("no-recipe")).map_err(|error| error.to_string())?;
    check(case::names(folder.path()).is_err(), "a folder without a recipe passed for a case")
}

/// Moves element `e` of every tensor of `made` by `units` of its last place at its largest term, and expects the comparator to see it.
fn perturbed(made: &Made, e: usize, units: f64) -> Result<(), String> {
    for job in &made.plan.jobs {
        let expected = &made.case.expected[&job.name];
        compare::tensor(made, job, expected, made.output(job))?;
        let truth = Truth::of(made, job, made.case.tolerance.choices()).ok_or("coins decide")?;
        let mut bytes = made.output(job).to_vec();
        let value = decode(job.dtype, &bytes)[e];
        let moved = value + units * compare::spacing(job.dtype, truth.at(e).magnitude);
        bytes[4 * e..4 * e + 4].copy_from_slice(&(moved as f32).to_le_bytes());
        check(compare::tensor(made, job, expected, &bytes).is_err(), format!("{}: nothing was noticed", job.name))?;
    }
    Ok(())
}

fn a_perturbed_element_is_rejected() -> Result<(), String> {
    let made = made("linear-far")?;
    perturbed(&made, 7, 2.0 * made.case.tolerance.ulps + 1.0)
}

fn a_perturbed_element_is_rejected_where_trimming_is_open() -> Result<(), String> {
    let made = made("ties-near")?;
    perturbed(&made, 11, 2.0 * made.case.tolerance.ulps + 1.0)
}

fn a_perturbed_sample_of_a_large_tensor_is_rejected() -> Result<(), String> {
    let made = made("linear-wide")?;
    let stride = made.case.expected["model.embed_tokens.weight"].stride;
    check(stride > 1, "the large tensor is stored whole")?;
    perturbed(&made, 0, 2.0 * made.case.tolerance.ulps + 1.0)
}

fn a_wrong_type_or_shape_or_a_missing_tensor_is_rejected() -> Result<(), String> {
    let mut made = made("linear-far")?;
    let job = made.plan.jobs[0].clone();
    let good = made.case.expected[&job.name].clone();
    let wrong = [
        case::ExpectedTensor { dtype: DType::BF16, ..good.clone() },
        case::ExpectedTensor { shape: good.shape.iter().rev().copied().collect(), ..good.clone() },
        case::ExpectedTensor { bytes: good.bytes[4..].to_vec(), ..good.clone() },
    ];
    check(job.shape.iter().rev().ne(job.shape.iter()), "a square tensor shows no wrong shape")?;
    for expected in wrong {
        let compared = compare::tensor(&made, &job, &expected, made.output(&job));
        check(compared.is_err(), format!("{} {:?} passed", expected.dtype, expected.shape))?;
    }
    made.case.expected.remove(&job.name);
    check(compare::with_mergekit(&made).is_err(), "a tensor that mergekit does not have passed")?;
    made.case.expected.insert(job.name, good.clone());
    made.case.expected.insert("one.more".to_owned(), good);
    check(compare::with_mergekit(&made).is_err(), "a tensor that we do not have passed")
}

fn a_result_off_by_two_thirds_of_a_unit_is_not_true() -> Result<(), String> {
    // The rounding of a rounding: what merging in bf16 throughout gives now and then.
    let made = made("task-arithmetic-bfloat16")?;
    compare::with_truth(&made)?;
    let mut worse = made;
    let job = worse.plan.jobs[0].clone();
    let truth = Truth::of(&worse, &job, Choices::Ours).ok_or("coins decide")?;
    let values = decode(job.dtype, worse.output(&job));
    let unit = |e: usize| compare::spacing(job.dtype, values[e].abs());
    let off = |e: usize| truth.at(e).values[0] - values[e];
    // The element that was rounded furthest, rounded the other way.
    let e = (0..values.len())
        .filter(|&e| off(e).abs() < unit(e) / 3.0)
        .max_by(|&a, &b| (off(a).abs() / unit(a)).total_cmp(&(off(b).abs() / unit(b))));
    let e = e.ok_or("no element was rounded by less than a third")?;
    let other = half::bf16::from_f64(values[e] + unit(e) * off(e).signum());
    worse.output_mut(&job)[2 * e..2 * e + 2].copy_from_slice(&other.to_le_bytes());
    check(compare::with_truth(&worse).is_err(), "rounding the wrong way passed for the truth")
}

fn windows_cannot_be_seen_in_the_bytes() -> Result<(), String> {
    for name in [
        "ties-near",
        "ties-rescale",
        "slerp-far",
        "dare-ties-half",
        "linear-wide",
        "nuslerp-far-rows-base",
        "nuslerp-near-columns",
        "model-stock-near-filter-wise",
        "della-half",
        "breadcrumbs-ties-near",
        "sce-three",
        "ramplus-tl-three",
        "arcee-fusion-far",
    ] {
        let narrow = made(name)?;
        let wide = engine::run(Case::read(root(), name)?, &mut engine::cpu(), engine::WIDE)?;
        check(narrow.files() == wide.files(), format!("{name} depends on the windows"))?;
    }
    Ok(())
}

/// A known difference: which of equal magnitudes are kept is unspecified there, and the lowest indices here.
fn trim_ties_go_to_the_lowest_index_where_mergekit_takes_any() -> Result<(), String> {
    let made = made("ties-near-alone")?;
    let mut otherwise = 0;
    let mut seen = 0;
    for job in &made.plan.jobs {
        let truth = Truth::of(&made, job, Choices::Ours).ok_or("coins decide")?;
        let Some((ties, end)) = truth.ties() else { continue };
        let ours = decode(job.dtype, made.output(job));
        let theirs = decode(job.dtype, &made.case.expected[&job.name].bytes);
        let base = decode(job.sources[0].dtype, made.input(job, 0));
        let kept = |side: &[f64]| ties.iter().filter(|&&e| side[e] != base[e]).count();
        check(ties.iter().all(|&e| (ours[e] != base[e]) == (e < end)), format!("{}: not the lowest", job.name))?;
        check(kept(&ours) == kept(&theirs), format!("{}: not as many as mergekit keeps", job.name))?;
        seen += ties.len();
        otherwise += ties.iter().filter(|&&e| (theirs[e] != base[e]) != (e < end)).count();
    }
    check(seen > 100 && otherwise > 0, format!("{seen} ties, {otherwise} of them otherwise: the case shows nothing"))
}

/// A known difference: between opposite vectors there is no arc, and mergekit's answer hangs on the last bit of a cosine.
fn opposite_vectors_take_the_chord_where_mergekit_takes_noise() -> Result<(), String> {
    for name in ["nuslerp-edge-rows", "nuslerp-edge-columns"] {
        let made = made(name)?;
        let mut otherwise = 0;
        for job in made.plan.jobs.iter().filter(|job| job.name.contains("o_proj")) {
            let inputs = [0, 1].map(|source| decode(job.sources[source].dtype, made.input(job, source)));
            let ours = decode(job.dtype, made.output(job));
            let chord = |e: usize| (2.0 * inputs[0][e] + inputs[1][e]) / 3.0;
            let near = |e: usize, value: f64| (value - chord(e)).abs() <= 1e-6 * inputs[0][e].abs();
            check((0..ours.len()).all(|e| near(e, ours[e])), format!("{name}, {}: not the chord", job.name))?;
            let expected = &made.case.expected[&job.name];
            let theirs = decode(expected.dtype, &expected.bytes);
            otherwise += theirs.iter().enumerate().filter(|(at, x)| !near(at * expected.stride, **x)).count();
        }
        check(otherwise > 0, format!("{name}: mergekit agrees, and the difference is none"))?;
    }
    Ok(())
}

/// A known difference: a divergence is never below zero, and mergekit's is, by rounding.
fn rows_that_hardly_differ_have_no_negative_divergence() -> Result<(), String> {
    let made = made("arcee-fusion-edge")?;
    compare::with_truth(&made)?;
    let jobs = made.plan.jobs.iter().filter(|job| job.name.contains("post_attention"));
    let differ =
        jobs.filter(|job| compare::tensor(&made, job, &made.case.expected[&job.name], made.output(job)).is_err());
    check(differ.count() > 0, "mergekit agrees, and the difference is none")
}

/// What we make of a recipe of tests/golden's inputs that mergekit has no say in.
fn seeded(text: &str, seed: u64) -> Result<Made, String> {
    let recipe: Recipe = case::read_recipe(text)?;
    let inputs = Inputs::open(root(), &recipe)?;
    let (tolerance, expected, config) = Default::default();
    let case = Case { recipe, tolerance, expected, config, inputs };
    engine::run_seeded(case, &mut engine::cpu(), engine::NARROW, seed)
}

/// A known difference: mergekit draws a million elements where there are more, and takes their quartiles.
fn outliers_of_a_large_tensor_are_from_exact_quartiles_where_mergekit_samples() -> Result<(), String> {
    let recipe = "models: [{model: wide-a}]\nmerge_method: arcee_fusion\nbase_model: wide-base\ndtype: float32\n";
    let made = seeded(recipe, 0)?;
    let job = &made.plan.jobs[0];
    check(job.shape.iter().product::<u64>() > 1_000_000, "the tensor is not large")?;
    compare::with_truth(&made)?;
    let base = decode(job.sources[1].dtype, made.input(job, 1));
    let moved = decode(job.dtype, made.output(job)).iter().zip(&base).filter(|(x, b)| x != b).count();
    check(moved > 1000 && moved < base.len() / 2, format!("{moved} of {} moved", base.len()))
}

/// Of every row the larger half is kept with the chance density + epsilon/2 on the average, the smaller with density − epsilon/2.
fn ranks_decide_how_often_della_keeps() -> Result<(), String> {
    let made = seeded(
        "models:\n  - model: far-a\n    parameters: {weight: 1, density: 0.5, epsilon: 0.3}\n\
         merge_method: della_linear\nbase_model: far-base\nparameters: {rescale: false}\ndtype: float32\n",
        0,
    )?;
    let mut kept = [0.0; 2];
    let mut rows = 0.0;
    for (job, (delta, moved)) in made.plan.jobs.iter().zip(task_vectors(&made, 0)) {
        let row = *job.shape.last().unwrap_or(&1) as usize;
        for (delta, moved) in delta.chunks(row).zip(moved.chunks(row)) {
            let mut order: Vec<usize> = (0..row).collect();
            order.sort_by(|&a, &b| delta[a].abs().total_cmp(&delta[b].abs()));
            for (half, places) in [&order[..row / 2], &order[row / 2..]].into_iter().enumerate() {
                kept[half] += places.iter().filter(|&&e| moved[e] != 0.0).count() as f64;
            }
            rows += (row / 2) as f64;
        }
    }
    for (kept, chance) in kept.into_iter().zip([0.35, 0.65]) {
        let share = kept / rows;
        let deviation = (chance * (1.0 - chance) / rows).sqrt();
        check((share - chance).abs() < 5.0 * deviation, format!("{share} kept instead of {chance}"))?;
    }
    Ok(())
}

/// base + what coins leave of one task vector, at weight 1, by the tensors large enough to count in.
fn dropped(method: &str, extra: &str, seed: u64) -> Result<Made, String> {
    let text = format!(
        "models:\n  - model: far-a\n    parameters: {{weight: 1, density: 0.3}}\n{extra}\
         merge_method: {method}\nbase_model: far-base\ndtype: float32\n"
    );
    seeded(&text, seed)
}

/// The task vector of `source` and what of it is in the output, tensor by tensor.
fn task_vectors(made: &Made, source: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
    let vectors = made.plan.jobs.iter().map(|job| {
        let base = decode(job.sources[job.sources.len() - 1].dtype, made.input(job, job.sources.len() - 1));
        let less = |x: Vec<f64>| x.iter().zip(&base).map(|(x, b)| x - b).collect::<Vec<f64>>();
        (less(decode(job.sources[source].dtype, made.input(job, source))), less(decode(job.dtype, made.output(job))))
    });
    vectors.collect()
}

fn a_share_of_the_density_is_kept_and_brought_back_to_its_norm() -> Result<(), String> {
    for method in ["dare_linear", "dare_ties", "della_linear", "della"] {
        let (mut elements, mut kept) = (0, 0);
        for (delta, moved) in task_vectors(&dropped(method, "", 1)?, 0) {
            elements += delta.len();
            kept += moved.iter().filter(|x| **x != 0.0).count();
            let norm = |vector: &[f64]| vector.iter().map(|x| x.abs()).sum::<f64>();
            let scale =
                norm(&delta) / delta.iter().zip(&moved).filter(|(_, x)| **x != 0.0).map(|(d, _)| d.abs()).sum::<f64>();
            check((norm(&moved) / norm(&delta) - 1.0).abs() < 1e-5, "the L1 norm is not brought back")?;
            let exact = delta.iter().zip(&moved).all(|(d, x)| *x == 0.0 || (x - d * scale).abs() < 1e-6);
            check(exact, "a kept element is not the task vector's, rescaled")?;
        }
        let share = kept as f64 / elements as f64;
        check((share - 0.3).abs() < 5.0 * (0.3 * 0.7 / elements as f64).sqrt(), format!("{share} kept of 0.3"))?;
    }
    Ok(())
}

fn coins_of_two_models_are_independent() -> Result<(), String> {
    let second = "  - model: far-b\n    parameters: {weight: 1, density: 0.3}\nparameters: {rescale: false}\n";
    let made = dropped("dare_linear", second, 3)?;
    let (mut both, mut elements) = (0, 0);
    let vectors = task_vectors(&made, 0).into_iter().zip(task_vectors(&made, 1));
    for ((a, moved), (b, _)) in vectors {
        elements += moved.len();
        both += moved.iter().zip(a.iter().zip(&b)).filter(|(x, (a, b))| (*x - (*a + *b)).abs() < 1e-6).count();
    }
    let share = both as f64 / elements as f64;
    check((share - 0.09).abs() < 5.0 * (0.09 * 0.91 / elements as f64).sqrt(), format!("{share} kept by both, of 0.09"))
}

fn seeds_choose_the_coins() -> Result<(), String> {
    let files = |seed| dropped("dare_ties", "", seed).map(|made| made.files().to_vec());
    check(files(1)? == files(1)?, "one seed, two outputs")?;
    check(files(1)? != files(2)?, "two seeds, one output")
}
