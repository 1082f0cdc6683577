//! What a merge on the GPU costs, counted: every byte of the inputs goes up once, and nothing comes back but the measures and the
//! output. No GPU is timed: with what crosses the bus, and how often it is waited for, at its least, the rest is the device's.
//!
//! A GPU that is not there is ignored, with the reason, and fails where `MERGE_STUDIO_NEED_GPU` is 1.
#![allow(clippy::unwrap_used)]

#[path = "support/gpu.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use half::bf16;
use libtest_mimic::{Arguments, Trial};
use merge_studio::format::DType;
use merge_studio::gauge::{self, Beside};
use merge_studio::kernel::gpu::{Gpu, GpuError};
use merge_studio::kernel::{BLOCK, BackendError, BackendKind, GpuCounters};
use merge_studio::method;
use merge_studio::model::{self, Folder};
use merge_studio::plan::{PlanOptions, plan};
use merge_studio::recipe;
use merge_studio::run::{self, Bench, JobReport, Limits, Sink, WriteError};
use safetensors::tensor::{Dtype, TensorView};
use support::on_gpu;

const ROWS: usize = 96;
const COLUMNS: usize = 128;
const ELEMENTS: usize = ROWS * COLUMNS;
/// Elements of a window, and how many there are.
const WINDOW: usize = 4 * BLOCK;
const WINDOWS: usize = ELEMENTS / WINDOW;
/// Bytes of one input, and of the output.
const TENSOR: u64 = ELEMENTS as u64 * 2;
/// What a call says beside the inputs (lengths, places, rows of terms), at most.
const SAID: u64 = 500;
/// Whether the values were fit for a GPU: a word that comes back with every window.
const REFUSED: u64 = 4;

/// A pass over the windows: what comes back of each.
#[derive(Clone, Copy)]
enum Pass {
    /// Two counts of every value of a digit, of so many selections.
    Digits(u64),
    /// Of so many hunts, window by window.
    Ties([u64; WINDOWS]),
    /// Sums of so many pairs, of so many parts of the window.
    Gram(u64, usize),
    /// Two sums of so many terms, a block.
    Norms(u64),
    /// Two counts of so many terms.
    Overlap(u64),
    /// The merged values.
    Mix,
}

impl Pass {
    fn down(self) -> u64 {
        let of_window = |window: usize| match self {
            Self::Digits(selections) => selections * (1 << 11) * 8,
            Self::Ties(hunts) => hunts[window] * 8,
            Self::Gram(pairs, parts) => pairs * parts as u64 * 8,
            Self::Norms(terms) => terms * (WINDOW / BLOCK) as u64 * 16,
            Self::Overlap(terms) => terms * 8,
            Self::Mix => WINDOW as u64 * 2,
        };
        (0..WINDOWS).map(|window| of_window(window) + REFUSED).sum()
    }

    fn dispatches(self) -> u64 {
        WINDOWS as u64 * if matches!(self, Self::Ties(_)) { 2 } else { 1 }
    }
}

/// A recipe, and what it asks of the GPU.
#[derive(Clone)]
struct Case {
    name: &'static str,
    /// Method and parameters.
    recipe: &'static str,
    inputs: &'static [&'static str],
    passes: Vec<Pass>,
    /// Bytes that go up beside the inputs and are no call's own words: bits that were drawn, scales of rows, coefficients of groups.
    looked_up: u64,
}

fn cases() -> Vec<Case> {
    const TWO: &[&str] = &["a", "b"];
    const THREE: &[&str] = &["a", "b", "c"];
    /// Pairs of two terms, and of three.
    const PAIRS: [u64; 2] = [3, 6];
    let blocks = WINDOW / BLOCK;
    let case =
        |name, recipe, inputs, passes: &[Pass]| Case { name, recipe, inputs, passes: passes.to_vec(), looked_up: 0 };
    let selected = |selections, hunts, rest: &[Pass]| {
        // One digit is enough: these differences, and their variance, have nothing below it.
        [&[Pass::Digits(selections), Pass::Ties(hunts)], rest].concat()
    };
    // Two terms' bits, for the norms and for the mix.
    let drawn = 2 * 2 * ELEMENTS as u64 / 8;
    vec![
        case("linear", "merge_method: linear\nparameters: {weight: 0.6}", THREE, &[Pass::Mix]),
        case("passthrough", "merge_method: passthrough\nparameters: {scale: 0.5}", &["a"], &[Pass::Mix]),
        case(
            "slerp",
            "merge_method: slerp\nbase_model: a\nparameters: {t: 0.3}",
            TWO,
            &[Pass::Gram(PAIRS[0], blocks), Pass::Mix],
        ),
        case(
            "multislerp",
            "merge_method: multislerp\nparameters: {weight: 0.6}",
            THREE,
            &[Pass::Gram(PAIRS[1], blocks), Pass::Mix],
        ),
        case("karcher", "merge_method: karcher", THREE, &[Pass::Gram(PAIRS[1], blocks), Pass::Mix]),
        case(
            "nuslerp",
            "merge_method: nuslerp\nparameters: {weight: 0.6}",
            TWO,
            &[Pass::Gram(PAIRS[0], blocks), Pass::Mix],
        ),
        Case {
            looked_up: WINDOWS as u64 * COLUMNS as u64 * 2 * 4,
            ..case(
                "nuslerp by columns",
                "merge_method: nuslerp\nparameters: {weight: 0.6, nuslerp_flatten: false, nuslerp_row_wise: true}",
                TWO,
                &[Pass::Gram(PAIRS[0], COLUMNS), Pass::Mix],
            )
        },
        case(
            "model_stock",
            "merge_method: model_stock\nbase_model: a",
            THREE,
            &[Pass::Gram(PAIRS[0], blocks), Pass::Mix],
        ),
        Case {
            looked_up: ROWS as u64 * 2 * 4,
            ..case(
                "model_stock by rows",
                "merge_method: model_stock\nbase_model: a\nparameters: {filter_wise: true}",
                THREE,
                &[Pass::Gram(PAIRS[0], WINDOW / COLUMNS), Pass::Mix],
            )
        },
        case(
            "task_arithmetic",
            "merge_method: task_arithmetic\nbase_model: a\nparameters: {weight: 0.6}",
            THREE,
            &[Pass::Mix],
        ),
        case(
            "ties",
            "merge_method: ties\nbase_model: a\nparameters: {weight: 0.6, density: 0.9}",
            THREE,
            &selected(2, [2; WINDOWS], &[Pass::Mix]),
        ),
        case(
            "ties, rescaled",
            "merge_method: ties\nbase_model: a\nparameters: {weight: 0.6, density: 0.9, rescale: true}",
            THREE,
            &selected(2, [2; WINDOWS], &[Pass::Norms(2), Pass::Mix]),
        ),
        case(
            "breadcrumbs",
            "merge_method: breadcrumbs\nbase_model: a\nparameters: {weight: 0.6, density: 0.9, gamma: 0.01, rescale: false}",
            THREE,
            // What is dropped ends in the first window.
            &selected(4, [4, 2, 2], &[Pass::Mix]),
        ),
        case(
            "sce",
            "merge_method: sce\nbase_model: a\nparameters: {select_topk: 0.9}",
            THREE,
            // Which of them vary at all is counted first.
            &[&[Pass::Ties([1; WINDOWS])][..], &selected(1, [1; WINDOWS], &[Pass::Norms(2), Pass::Mix])].concat(),
        ),
        case(
            "dare_ties",
            "merge_method: dare_ties\nbase_model: a\nparameters: {weight: 0.6, density: 0.5, rescale: true}",
            THREE,
            &[Pass::Norms(2), Pass::Mix],
        ),
        Case {
            looked_up: drawn,
            ..case(
                "della",
                "merge_method: della\nbase_model: a\n\
                 parameters: {weight: 0.6, density: 0.5, epsilon: 0.1, rescale: true}",
                THREE,
                &[Pass::Norms(2), Pass::Mix],
            )
        },
        case("ram", "merge_method: ram\nbase_model: a", THREE, &[Pass::Mix]),
        case("ramplus_tl", "merge_method: ramplus_tl\nbase_model: a", THREE, &[Pass::Overlap(2), Pass::Mix]),
        case("nearswap", "merge_method: nearswap\nbase_model: a\nparameters: {t: 0.01}", TWO, &[Pass::Mix]),
        Case {
            // A scale a row, for each digit and for the mix; scaled scores have bits in all three digits.
            looked_up: 4 * ROWS as u64 * 4,
            ..case(
                "arcee_fusion",
                "merge_method: arcee_fusion\nbase_model: a",
                TWO,
                &[&[Pass::Digits(3); 3][..], &[Pass::Mix]].concat(),
            )
        },
    ]
}

/// A model of one tensor. The others differ from `a` by one unit in the last place at every element: ties everywhere.
/// One of the elements may be NaN.
fn model(name: &str, spoiled: Option<usize>) -> Folder<Vec<u8>> {
    let number = u32::from(name.as_bytes()[0] - b'a');
    let mut bytes: Vec<u8> = (0..ELEMENTS as u32)
        .flat_map(|element| {
            let base = 0.5 + (element * 37 % 101 + 2) as f32 / 256.0;
            let step = if number == 0 { 0.0 } else { 1.0 / 256.0 };
            bf16::from_f32(if element / number.max(1) % 2 == 0 { base + step } else { base - step }).to_le_bytes()
        })
        .collect();
    if let Some(element) = spoiled {
        bytes[element * 2..element * 2 + 2].copy_from_slice(&bf16::NAN.to_le_bytes());
    }
    let tensor = TensorView::new(Dtype::BF16, vec![ROWS, COLUMNS], &bytes).unwrap();
    let file = safetensors::serialize([("layer.weight", tensor)], None).unwrap();
    Folder { name: name.to_owned(), files: [("model.safetensors".to_owned(), file)].into() }
}

/// The output's file; a range that is written again counts as it is then.
#[derive(Default)]
struct Written(Vec<u8>);

impl Sink for Written {
    async fn write(&mut self, _: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        let at = offset as usize;
        self.0.resize(self.0.len().max(at + bytes.len()), 0);
        self.0[at..at + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}

/// Runs a case, with NaN in the last of its models if an element is named.
fn merge(case: &Case, limits: &Limits, bench: &mut Bench, spoiled: Option<usize>) -> (JobReport, Vec<u8>) {
    let models: String = case.inputs.iter().map(|name| format!("- model: {name}\n")).collect();
    let text = format!("{}\nmodels:\n{models}dtype: bfloat16\n", case.recipe);
    let checked = recipe::check(&text, &method::infos());
    let recipe = checked.recipe.unwrap_or_else(|| panic!("{}: {:?}", case.name, checked.problems));
    let folders: Vec<_> =
        case.inputs.iter().map(|name| model(name, spoiled.filter(|_| Some(name) == case.inputs.last()))).collect();
    let models: Vec<_> = folders.iter().map(|folder| pollster::block_on(model::open(folder)).unwrap()).collect();
    let binding = case.inputs.iter().enumerate().map(|(index, name)| ((*name).to_owned(), index)).collect();
    let plan = plan(&recipe, &models, &binding, &BTreeMap::new(), &PlanOptions::default()).unwrap();
    assert_eq!((plan.jobs.len(), plan.jobs[0].dtype), (1, DType::BF16));
    let inputs = plan.inputs.iter();
    let sources: Vec<_> = inputs.map(|input| folders[input.model].weight_sources(&models[input.model])).collect();
    let (mut sink, mut watch) = (Written::default(), |_| ());
    let run = run::job(&plan, 0, &sources, bench, limits, &mut sink, &mut watch);
    let report = pollster::block_on(run).unwrap();
    (report, sink.0)
}

type Shared = Arc<Mutex<Result<Bench, GpuError>>>;

/// Runs a case on the GPU, and checks what it counted. `sent`: how often each input goes up.
fn check(case: &Case, limits: &Limits, bench: &mut Bench, sent: u64) {
    let (report, _) = merge(case, limits, bench, None);
    assert_eq!((report.backend, &report.declined), (Some(BackendKind::Gpu), &None), "{}", case.name);
    let (counted, passes) = (report.gpu, case.passes.len() as u64);
    let windows = WINDOWS as u64;
    let expected = GpuCounters {
        passes,
        bytes_down: case.passes.iter().map(|pass| pass.down()).sum(),
        dispatches: case.passes.iter().map(|pass| pass.dispatches()).sum(),
        submissions: passes * windows,
        readbacks: passes * windows,
        bytes_up: counted.bytes_up,
    };
    assert_eq!(counted, expected, "{}", case.name);
    let inputs = case.inputs.len() as u64 * TENSOR;
    let said = counted.bytes_up.checked_sub(inputs * sent + case.looked_up);
    assert!(said.is_some_and(|said| said <= SAID * counted.submissions), "{}: {counted:?}", case.name);
    // Of this test itself: a window that goes up once more would be noticed.
    assert!(passes == 1 || SAID * counted.submissions < inputs / windows, "{}", case.name);
}

/// A value that the GPU declines stops it wherever it stands, and what was written by then is the CPU's in the end.
fn declined_midway(bench: &mut Bench) {
    let limits = Limits { window: WINDOW, ..Limits::default() };
    for case in cases().iter().filter(|case| ["linear", "ties", "dare_ties", "slerp"].contains(&case.name)) {
        for spoiled in [1, WINDOW + 1, ELEMENTS - 1] {
            let (report, bytes) = merge(case, &limits, bench, Some(spoiled));
            let (alone, expected) = merge(case, &limits, &mut Bench::default(), Some(spoiled));
            assert_eq!(report.backend, Some(BackendKind::Cpu), "{}", case.name);
            assert_eq!(report.declined, Some(BackendError::UnsafeValues), "{}", case.name);
            assert!(report.gpu.submissions > 0 && bytes == expected, "{}, element {spoiled}", case.name);
            assert_eq!((report.crcs, report.written), (alone.crcs, alone.written), "{}", case.name);
            // The next tensor is none the worse for it.
            check(case, &limits, bench, 1);
        }
    }
}

/// The fixed merge that devices are measured with: the GPU makes all of it, and its bytes are the CPU's.
fn gauged(bench: &mut Bench) {
    let (limits, models) = (Limits::default(), gauge::models());
    for (task, name) in gauge::TASKS.iter().enumerate().skip(1) {
        let plan = gauge::plan(task, 1).unwrap();
        let sources = gauge::sources(&plan, &models);
        let mut beside = Beside::default();
        for job in 0..plan.jobs.len() {
            let make = |bench: &mut Bench| {
                let (mut sink, mut watch) = (Written::default(), |_| ());
                let run = run::job(&plan, job, &sources, bench, &limits, &mut sink, &mut watch);
                let report = pollster::block_on(run).unwrap();
                (report.backend, sink.0.split_off(plan.jobs[job].offset as usize))
            };
            let ((gpu, made), (cpu, expected)) = (make(bench), make(&mut Bench::default()));
            assert_eq!((gpu, cpu), (Some(BackendKind::Gpu), Some(BackendKind::Cpu)), "{name}");
            assert_eq!(made.len() as u64, plan.jobs[job].len);
            let tensor = Beside::of(&made, &expected);
            beside.elements += tensor.elements;
            beside.differ += tensor.differ;
        }
        assert_eq!((beside.elements, beside.differ), (1025 * 2048, 0), "{name}");
    }
}

/// The plain copy that they are put beside: inputs up once, the output's bytes down, nothing computed.
fn copied(bench: &mut Bench) {
    let plan = gauge::plan(0, 1).unwrap();
    let sources = gauge::sources(&plan, &gauge::models());
    let counted = |bench: &Bench| bench.gpu.as_ref().map(Gpu::counters).unwrap_or_default();
    for (job, windows) in [(0, 4), (1, 1)] {
        let before = counted(bench);
        pollster::block_on(gauge::copy(&plan, job, &sources, bench, 1 << 19)).unwrap();
        let now = counted(bench).since(before);
        let len = plan.jobs[job].len;
        let expected = GpuCounters {
            passes: 1,
            bytes_down: len + windows * REFUSED,
            dispatches: 0,
            submissions: windows,
            readbacks: windows,
            bytes_up: now.bytes_up,
        };
        assert_eq!(now, expected);
        assert!(now.bytes_up.checked_sub(3 * len).is_some_and(|said| said <= SAID * windows), "{now:?}");
    }
}

/// A test that borrows the one GPU.
fn trial(name: String, gpu: &Shared, body: impl FnOnce(&mut Bench) + Send + 'static) -> Trial {
    let gpu = Arc::clone(gpu);
    Trial::ignorable_test(name, move || {
        // A test that failed has not harmed the device.
        on_gpu(&mut gpu.lock().unwrap_or_else(PoisonError::into_inner), |bench| {
            body(bench);
            Ok(())
        })
    })
}

fn main() {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let opened = pollster::block_on(Gpu::open()).map(|gpu| Bench { gpu: Some(gpu), ..Bench::default() });
    let gpu: Shared = Arc::new(Mutex::new(opened));
    let mut trials = vec![
        trial("a_gpu_that_declines_midway_leaves_what_the_cpu_makes".to_owned(), &gpu, declined_midway),
        trial("the_fixed_merge_has_the_cpus_bytes".to_owned(), &gpu, gauged),
        trial("a_plain_copy_computes_nothing".to_owned(), &gpu, copied),
    ];
    for case in cases() {
        let name = case.name;
        let limits = Limits { window: WINDOW, ..Limits::default() };
        let twin = case.clone();
        let kept = move |bench: &mut Bench| check(&twin, &limits, bench, 1);
        trials.push(trial(format!("what_is_kept_goes_up_once::{name}"), &gpu, kept));
        let read_again = move |bench: &mut Bench| {
            check(&case, &Limits { keep: 0, window: WINDOW }, bench, case.passes.len() as u64);
        };
        trials.push(trial(format!("what_is_not_kept_goes_up_once_a_pass::{name}"), &gpu, read_again));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
