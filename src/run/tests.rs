//! Jobs on sources in memory: the same bytes however they are cut, kept or ordered.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::format::{DType, ReadError};
use crate::kernel::{
    Backend, Frame, Generation, Gram, Histogram, Mask, Mix, Norms, Overlap, Pass, Power, Query, TieHunt, Window,
};
use crate::model::{Family, Model, Tensor, WeightFile};
use crate::plan::{PlanOptions, plan};
use crate::recipe::{ModelEntry, Recipe, Setting, Value};

const TENSORS: [(&str, u64); 4] =
    [("embed.weight", 5_000), ("layers.0.weight", 2_048), ("layers.1.weight", 1), ("norm.weight", 0)];

/// A model in memory: bf16 tensors, and one of integers. `seed` varies the floats a little, as a fine-tune does.
fn model(name: &str, seed: u64, integers: i64) -> (Model, Vec<u8>) {
    let mut bytes = vec![0; 8];
    let mut tensors = BTreeMap::new();
    for (name, elements) in TENSORS {
        let offset = bytes.len() as u64;
        for element in 0..elements {
            let base = ((element * 2_654_435_761) % 997) as f32 / 997.0 - 0.5;
            let moved = if (element * seed) % 3 == 1 { base * 1.01 } else { base };
            bytes.extend(half::bf16::from_f32(moved).to_le_bytes());
        }
        tensors.insert(
            name.to_owned(),
            Tensor { file: 0, dtype: DType::BF16, shape: vec![elements], offset, len: 2 * elements },
        );
    }
    let offset = bytes.len() as u64;
    bytes.extend(integers.to_le_bytes());
    tensors.insert("buffer".to_owned(), Tensor { file: 0, dtype: DType::I64, shape: vec![], offset, len: 8 });
    let model = Model {
        name: name.to_owned(),
        weight_files: vec![WeightFile { name: "model.safetensors".to_owned(), len: bytes.len() as u64 }],
        tensors,
        config: None,
        family: Family::Generic,
        companions: BTreeMap::new(),
        vocabulary: None,
        fingerprint: String::new(),
        notices: Vec::new(),
        adapter: None,
    };
    (model, bytes)
}

fn recipe(method: &str) -> Recipe {
    let entry = |name: &str| ModelEntry { model: name.to_owned(), ..ModelEntry::default() };
    let mut recipe = Recipe {
        merge_method: method.to_owned(),
        base_model: Some("a".to_owned()),
        models: vec![entry("a"), entry("b"), entry("c")],
        ..Recipe::default()
    };
    for (key, value) in [("weight", 0.6), ("density", 0.4), ("t", 0.3)] {
        recipe.parameters.insert(key.to_owned(), Setting::Scalar(Value::Number(value)));
    }
    if method == "slerp" {
        recipe.models.pop();
    }
    recipe
}

pub(super) struct Memory(pub(super) Vec<Vec<u8>>);

impl Sink for Memory {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        self.0[file][offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}

type Outcome = Result<(Vec<Vec<u8>>, Vec<JobReport>), RunError>;

/// Merges three models with the CPU, jobs in the order that `order` makes of the batches.
fn merge(recipe: &Recipe, inputs: &[(Model, Vec<u8>)], limits: &Limits, reverse: bool) -> Outcome {
    let models: Vec<Model> = inputs.iter().map(|(model, _)| model.clone()).collect();
    let binding = models.iter().enumerate().map(|(index, model)| (model.name.clone(), index)).collect();
    let plan = plan(recipe, &models, &binding, &BTreeMap::new(), &PlanOptions::default()).unwrap();
    let sources: Vec<Vec<&Vec<u8>>> = plan.inputs.iter().map(|input| vec![&inputs[input.model].1]).collect();
    let mut sink = Memory(plan.files.iter().map(|file| vec![0xEE; file.len as usize]).collect());
    for (file, bytes) in plan.files.iter().zip(&mut sink.0) {
        bytes[..file.header.len()].copy_from_slice(&file.header);
    }
    let mut jobs: Vec<usize> = batches(&plan, 2).concat();
    assert_eq!(jobs.len(), plan.jobs.len());
    if reverse {
        jobs.reverse();
    }
    let mut bench = Bench::default();
    let mut reports = Vec::new();
    for number in jobs {
        let mut last = None;
        let mut watch = |progress| last = Some(progress);
        let run = job(&plan, number, &sources, &mut bench, limits, &mut sink, &mut watch);
        reports.push(pollster::block_on(run)?);
        if let Some(Progress { done, total, .. }) = last {
            assert_eq!(done, total, "progress ends at its total");
        }
    }
    Ok((sink.0, reports))
}

fn three() -> [(Model, Vec<u8>); 3] {
    [model("a", 0, 7), model("b", 1, 7), model("c", 2, 7)]
}

#[test]
fn bytes_depend_neither_on_windows_nor_on_what_is_kept_nor_on_order() {
    for method in ["linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties"] {
        let inputs = three();
        let (expected, _) = merge(&recipe(method), &inputs, &Limits::default(), false).unwrap();
        for limits in [
            Limits { keep: 0, window: BLOCK },
            Limits { keep: 0, window: 3 * BLOCK },
            Limits { keep: 13_000, window: BLOCK },
        ] {
            for reverse in [false, true] {
                let (bytes, _) = merge(&recipe(method), &inputs, &limits, reverse).unwrap();
                assert!(bytes == expected, "{method} with {limits:?}");
            }
        }
    }
}

#[test]
fn kept_inputs_are_read_once_and_others_once_a_pass() {
    let inputs = three();
    let total: u64 = TENSORS.iter().map(|(_, elements)| 3 * 2 * elements).sum::<u64>() + 3 * 8;
    let read = |limits: &Limits| {
        let (_, reports) = merge(&recipe("ties"), &inputs, limits, false).unwrap();
        reports.iter().map(|report| report.read).sum::<u64>()
    };
    assert_eq!(read(&Limits::default()), total);
    // Of one element nothing is trimmed, and integers are copied: of all others at least one digit is counted before the mix.
    let once = 3 * 8 + 3 * 2;
    assert!(read(&Limits { keep: 0, window: BLOCK }) >= once + 2 * (total - once));
}

#[test]
fn reports_say_who_made_a_tensor_and_hold_the_checksums_of_its_bytes() {
    let (files, reports) = merge(&recipe("ties"), &three(), &Limits { keep: 0, window: BLOCK }, false).unwrap();
    let merged = reports.iter().filter(|report| report.backend == Some(BackendKind::Cpu)).count();
    assert_eq!((merged, reports.len()), (4, 5), "the integers are copied");
    for window in reports.iter().flat_map(|report| &report.crcs) {
        let (start, end) = (window.offset as usize, (window.offset + window.len) as usize);
        assert_eq!(merge_studio_crc32::crc32(&files[0][start..end]), window.crc32);
    }
    assert!(reports.iter().all(|report| report.largest_allocation <= 2 * BLOCK as u64));
    assert!(!files[0].windows(64).any(|bytes| bytes == [0xEE; 64]), "every byte was written");
}

#[test]
fn integers_that_differ_stop_the_merge() {
    let mut inputs = three();
    inputs[2] = model("c", 2, 8);
    let error = merge(&recipe("ties"), &inputs, &Limits::default(), false).unwrap_err();
    let RunError::IntegersDiffer { tensor, first, second } = error else { panic!("{error:?}") };
    assert_eq!((tensor.as_str(), first.as_str(), second.as_str()), ("buffer", "a", "c"));
}

#[test]
fn a_file_that_shrank_since_it_was_opened_is_a_read_error_with_names() {
    let mut inputs = three();
    inputs[1].1.truncate(100);
    let error = merge(&recipe("linear"), &inputs, &Limits::default(), false).unwrap_err();
    assert!(matches!(error, RunError::Read { input, error: ReadError::PastEnd { .. }, .. } if input == "b"));
}

/// What was shown as a generation's window, and its inputs' bytes.
type Shown = RefCell<Vec<(Generation, u64, usize, Vec<Vec<u8>>)>>;

/// A pass that remembers what it shows: the same generation and place are the same bytes for as long as a backend may have kept them.
struct Remembered<'a, P> {
    pass: &'a mut P,
    shown: &'a Shown,
}

impl<P: Pass> Pass for Remembered<'_, P> {
    type Error = P::Error;

    async fn next(&mut self) -> Result<bool, P::Error> {
        self.pass.next().await
    }

    fn see<T>(&self, see: impl FnOnce(Window<'_>) -> T) -> T {
        self.pass.see(|window| {
            let bytes: Vec<_> = window.inputs.iter().map(|raw| raw.bytes.to_vec()).collect();
            let mut shown = self.shown.borrow_mut();
            let key = (window.generation, window.first, window.len);
            match shown.iter().find(|(generation, first, len, _)| (*generation, *first, *len) == key) {
                Some((.., before)) => assert!(*before == bytes, "other bytes under the same generation"),
                None => shown.push((key.0, key.1, key.2, bytes)),
            }
            drop(shown);
            see(window)
        })
    }

    fn put(&mut self, values: Vec<u8>) {
        self.pass.put(values);
    }
}

/// The CPU behind such passes.
#[derive(Default)]
struct Suspicious {
    cpu: Cpu,
    shown: Shown,
}

impl Suspicious {
    fn with<'a, P>(&'a mut self, pass: &'a mut P) -> (&'a mut Cpu, Remembered<'a, P>) {
        (&mut self.cpu, Remembered { pass, shown: &self.shown })
    }
}

impl Backend for Suspicious {
    fn kind(&self) -> BackendKind {
        BackendKind::Cpu
    }

    async fn gram<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, into: &mut Gram) -> Result<(), P::Error> {
        let (cpu, mut pass) = self.with(pass);
        cpu.gram(frame, &mut pass, into).await
    }

    async fn norms<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        power: Power,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Norms],
    ) -> Result<(), P::Error> {
        let (cpu, mut pass) = self.with(pass);
        cpu.norms(frame, power, masks, &mut pass, into).await
    }

    async fn overlap<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Overlap],
    ) -> Result<(), P::Error> {
        let (cpu, mut pass) = self.with(pass);
        cpu.overlap(frame, masks, &mut pass, into).await
    }

    async fn histogram<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        queries: &[Query],
        pass: &mut P,
        into: &mut [Histogram],
    ) -> Result<(), P::Error> {
        let (cpu, mut pass) = self.with(pass);
        cpu.histogram(frame, queries, &mut pass, into).await
    }

    async fn ties<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, hunts: &mut [TieHunt]) -> Result<(), P::Error> {
        let (cpu, mut pass) = self.with(pass);
        cpu.ties(frame, &mut pass, hunts).await
    }

    async fn mix<P: Pass>(&mut self, frame: &Frame<'_>, mix: &Mix, pass: &mut P) -> Result<(), P::Error> {
        let (cpu, mut pass) = self.with(pass);
        cpu.mix(frame, mix, &mut pass).await
    }
}

#[test]
fn a_generation_is_never_of_two_different_bytes_and_lasts_while_inputs_are_kept() {
    let inputs = three();
    let models: Vec<Model> = inputs.iter().map(|(model, _)| model.clone()).collect();
    let binding = models.iter().enumerate().map(|(index, model)| (model.name.clone(), index)).collect();
    for method in ["linear", "slerp", "ties"] {
        let plan = plan(&recipe(method), &models, &binding, &BTreeMap::new(), &PlanOptions::default()).unwrap();
        let sources: Vec<Vec<&Vec<u8>>> = plan.inputs.iter().map(|input| vec![&inputs[input.model].1]).collect();
        // One backend and the same buffers for all: what it saw of one job must not come again with another.
        let (mut backend, mut buffers) = (Suspicious::default(), Vec::new());
        for limits in [
            Limits { window: BLOCK, ..Limits::default() },
            Limits { keep: 0, window: BLOCK },
            Limits { keep: 0, window: 3 * BLOCK },
        ] {
            for (index, job) in plan.jobs.iter().enumerate() {
                let Rule::Merge(_) = &job.rule else { continue };
                let before = backend.shown.borrow().len();
                let (buffers, report) = (&mut buffers, JobReport::default());
                let mut task = Task { plan: &plan, index, sources: &sources, limits: &limits, buffers, report };
                let lowered =
                    super::merge::Lowered::new(&plan, job, &job.rule).unwrap_or_else(|error| panic!("{error}"));
                let mut sink = Memory(plan.files.iter().map(|file| vec![0; file.len as usize]).collect());
                let mut watch = |_| ();
                let run = super::merge::merge(&mut task, &lowered, &mut backend, &mut sink, &mut watch);
                assert!(pollster::block_on(run).is_ok());
                let shown = (backend.shown.borrow().len() - before) as u64;
                let windows = job.shape[0].div_ceil(limits.window as u64);
                if limits.keep > 0 || windows <= 1 {
                    assert_eq!(shown, windows, "{method}: one generation for all passes");
                } else {
                    assert!(shown >= windows && (method == "linear") == (shown == windows), "{method}: one a reading");
                }
            }
        }
    }
}
