//! A merge in memory is the merge that is written, to the byte.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use merge_studio::format::Source;
use merge_studio::kernel::cpu::Cpu;
use merge_studio::model::{self, Folder, Model};
use merge_studio::output::{self, Content};
use merge_studio::plan::{Plan, PlanOptions};
use merge_studio::run::{self, Bench, Limits, Sink, WriteError};
use merge_studio::{method, recipe};
use merge_studio_eval::model::Weights;

use super::merged::{Inputs, now};

type File = Arc<Vec<u8>>;

const NAMES: [&str; 3] = ["demo-base", "demo-reverse", "demo-sort"];

const RECIPES: [&str; 6] = [
    "merge_method: linear
models:
  - {model: demo-reverse, parameters: {weight: 0.3}}
  - {model: demo-sort, parameters: {weight: 0.7}}
dtype: float16
",
    "merge_method: ties
base_model: demo-base
models:
  - {model: demo-reverse, parameters: {weight: 0.5, density: 0.8}}
  - {model: demo-sort, parameters: {weight: 0.5, density: 0.4}}
",
    "merge_method: dare_ties
base_model: demo-base
models:
  - {model: demo-reverse, parameters: {weight: 0.5, density: 0.5}}
  - {model: demo-sort, parameters: {weight: 0.5, density: 0.5}}
dtype: float32
",
    "merge_method: slerp
base_model: demo-reverse
models: [{model: demo-sort}]
parameters: {t: [0, 0.5, 1]}
",
    "merge_method: passthrough
slices:
  - sources: [{model: demo-reverse, layer_range: [0, 3]}]
  - sources: [{model: demo-sort, layer_range: [1, 4]}]
",
    "merge_method: linear
models:
  - {model: demo-reverse, parameters: {weight: 1}}
  - {model: demo-sort, parameters: {weight: 1}}
tokenizer: {source: union, pad_to_multiple_of: 16}
",
];

fn demo(name: &str) -> Folder<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../static/demo").join(name);
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), Arc::new(fs::read(entry.path()).unwrap()))
    };
    Folder { name: name.to_owned(), files: fs::read_dir(folder).unwrap().map(file).collect() }
}

fn binding() -> BTreeMap<String, usize> {
    NAMES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect()
}

/// Weight files as they are written.
struct Written(Vec<Vec<u8>>);

impl Sink for Written {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        let at = offset as usize;
        self.0[file][at..at + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}

/// The folder that a merge to disk makes: its files by name.
fn written(text: &str, seed: u64) -> Folder<File> {
    let folders: Vec<Folder<File>> = NAMES.map(demo).into();
    let models: Vec<Model> = folders.iter().map(|folder| now(model::open(folder)).unwrap().unwrap()).collect();
    let recipe = recipe::check(text, &method::infos()).recipe.unwrap();
    let mut tokenizers = BTreeMap::new();
    for index in merge_studio::plan::tokenizers_wanted(&recipe, &models, &binding()) {
        let files = now(model::tokenizer::TokenizerFiles::read(&folders[index])).unwrap().unwrap();
        tokenizers.insert(index, files);
    }
    let options = PlanOptions { seed, ..PlanOptions::default() };
    let staged = output::plan_all(&recipe, models, &binding(), tokenizers, &options).unwrap();
    let (plan, models): (Plan, Vec<Model>) = (staged.plan, staged.models);
    let sources: Vec<Vec<&File>> =
        plan.inputs.iter().map(|input| folders[input.model].weight_sources(&models[input.model])).collect();
    let mut out = Written(plan.files.iter().map(|file| vec![0; file.len as usize]).collect());
    for (file, bytes) in plan.files.iter().zip(&mut out.0) {
        bytes[..file.header.len()].copy_from_slice(&file.header);
    }
    // Another division into windows than that of the merge in memory.
    let limits = Limits { keep: 1 << 16, window: 4096 };
    let mut bench = Bench { cpu: Cpu::default(), ..Bench::default() };
    for job in 0..plan.jobs.len() {
        now(run::job(&plan, job, &sources, &mut bench, &limits, &mut out, &mut |_| {})).unwrap().unwrap();
    }
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    for (file, bytes) in plan.files.iter().zip(out.0) {
        files.insert(file.name.clone(), Arc::new(bytes));
    }
    for file in output::small_files(&plan, &recipe, &models, &staged.tokenizers).unwrap().files {
        let bytes = match file.content {
            Content::Bytes(bytes) => Arc::new(bytes),
            Content::CopyOf { input, file } => folders[plan.inputs[input].model].files[&file].clone(),
        };
        files.insert(file.name, bytes);
    }
    Folder { name: "merged".to_owned(), files }
}

#[test]
fn tensors_and_files_of_a_merge_in_memory_are_those_of_one_that_is_written() {
    let inputs = Inputs::open(NAMES.map(demo).into(), binding()).unwrap();
    for text in RECIPES {
        let folder = written(text, 7);
        let expected = now(model::open(&folder)).unwrap().unwrap();
        assert!(expected.tensors.len() > 20, "{text}");
        let mut merged = inputs.plan(text, 7).unwrap();
        for (name, tensor) in &expected.tensors {
            let made = merged.tensor(name).unwrap().unwrap();
            let source = &folder.files[&expected.weight_files[tensor.file].name];
            let bytes = &source[tensor.offset as usize..][..tensor.len as usize];
            assert!(made.bytes == bytes, "{name} of {text}");
            assert_eq!(made.dtype, tensor.dtype.name(), "{name} of {text}");
            assert!(made.shape.iter().map(|size| *size as u64).eq(tensor.shape.iter().copied()), "{name} of {text}");
            assert!(merged.has(name).unwrap());
        }
        assert!(merged.tensor("model.none.weight").unwrap().is_none());
        assert!(!merged.has("model.none.weight").unwrap());
        let weights: Vec<&str> = expected.weight_files.iter().map(|file| file.name.as_str()).collect();
        for (name, bytes) in folder.files.iter().filter(|(name, _)| !weights.contains(&name.as_str())) {
            assert!(merged.file(name).unwrap().as_ref() == Some(&**bytes), "{name} of {text}");
        }
        assert!(merged.file("none.json").unwrap().is_none());
    }
}

#[test]
fn the_seed_is_the_merges() {
    let inputs = Inputs::open(NAMES.map(demo).into(), binding()).unwrap();
    let name = "model.layers.0.mlp.up_proj.weight";
    let bytes = |seed| inputs.plan(RECIPES[2], seed).unwrap().tensor(name).unwrap().unwrap().bytes;
    assert!(bytes(1) == bytes(1));
    assert!(bytes(1) != bytes(2));
}

#[test]
fn what_cannot_be_merged_in_memory_says_why() {
    let inputs = Inputs::open(NAMES.map(demo).into(), binding()).unwrap();
    let why = |text: &str| inputs.plan(text, 0).err().unwrap();
    let staged = format!("name: first\n{}---\n{}", RECIPES[0], RECIPES[0].replace("demo-sort", "first"));
    assert_eq!(why(&staged), "the stage first would have to be written first");
    assert!(why("merge_method: tiez\nmodels: [{model: demo-sort}]\n").contains("tiez"));
    let unknown = why(&RECIPES[0].replace("demo-sort", "other"));
    assert!(unknown.contains("other"), "{unknown}");
}

/// A file that comes later, as none does in a worker.
struct Late;

impl Source for Late {
    fn len(&self) -> u64 {
        1
    }

    async fn read(&self, _: u64, _: &mut [u8]) -> Result<(), merge_studio::format::ReadError> {
        std::future::pending().await
    }
}

#[test]
fn a_file_that_is_not_there_at_once_is_said() {
    assert_eq!(now(Late.read(0, &mut [])).unwrap_err(), "a file is not there yet");
}
