//! Aligned vocabularies, held to mergekit 0.1.5: ids and added tokens of the output's tokenizer, the rows that every input gets, and
//! the files that are written. The cases are the goldens with an `expected-tokenizer.json`, which `tools/golden_tokenizer.py` makes
//! and describes; what is merged of those rows is compared by the goldens' own test.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::bf16;
use merge_studio::format::DType;
use merge_studio::method;
use merge_studio::model::tokenizer::{AddedToken, Tokenizer, TokenizerFiles};
use merge_studio::model::{self, Folder, Model};
use merge_studio::output::{self, Content};
use merge_studio::plan::vocabulary::{Alignment, VocabularyInput, VocabularyNotice, align};
use merge_studio::plan::{self, PlanOptions, RowMap, RowOrigin};
use merge_studio::recipe::{self, Recipe};
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

struct Input {
    folder: Folder<Vec<u8>>,
    model: Model,
    files: TokenizerFiles,
}

struct Case {
    folder: PathBuf,
    recipe: Recipe,
    inputs: Vec<Input>,
    base: Option<usize>,
    alignment: Alignment,
    expected: Value,
}

fn open(name: &str) -> Input {
    let files = fs::read_dir(root().join("inputs").join(name)).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
    });
    let folder = Folder { name: name.to_owned(), files: files.collect() };
    let model = pollster::block_on(model::open(&folder)).unwrap();
    let files = pollster::block_on(TokenizerFiles::read(&folder)).unwrap();
    Input { folder, model, files }
}

fn case(folder: PathBuf) -> Case {
    let text = fs::read_to_string(folder.join("recipe.yml")).unwrap();
    let recipe = recipe::check(&text, &method::infos()).recipe.unwrap();
    let names = plan::input_names(&recipe);
    let base = recipe.base_model.as_ref().map(|base| names.iter().position(|name| name == base).unwrap());
    let inputs: Vec<Input> = names.iter().map(|name| open(name)).collect();
    let known: Vec<VocabularyInput> =
        inputs.iter().map(|Input { model, files, .. }| VocabularyInput::of(&model.name, model, Some(files))).collect();
    let alignment = align(recipe.tokenizer.as_ref().unwrap(), &known, base).unwrap();
    let expected = fs::read_to_string(folder.join("expected-tokenizer.json")).unwrap();
    Case { recipe, inputs, base, alignment, expected: serde_json::from_str(&expected).unwrap(), folder }
}

/// The files beside the weights of the case's output, by name.
fn written(case: &Case) -> BTreeMap<String, Vec<u8>> {
    let models: Vec<Model> = case.inputs.iter().map(|input| input.model.clone()).collect();
    let binding = models.iter().enumerate().map(|(index, model)| (model.name.clone(), index)).collect();
    let tokenizers = case.inputs.iter().map(|input| input.files.clone()).enumerate().collect();
    let plan = plan::plan(&case.recipe, &models, &binding, &tokenizers, &PlanOptions::default()).unwrap();
    let small = output::small_files(&plan, &case.recipe, &models, &tokenizers).unwrap();
    let bytes = |content| match content {
        Content::Bytes(bytes) => bytes,
        Content::CopyOf { input, file } => case.inputs[plan.inputs[input].model].folder.files[&file].clone(),
    };
    small.files.into_iter().map(|file| (file.name, bytes(file.content))).collect()
}

/// Runs `check` on every case.
fn every_case(check: impl Fn(&Case)) {
    let folders = fs::read_dir(root().join("cases")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<PathBuf> = folders.filter(|folder| folder.join("expected-tokenizer.json").exists()).collect();
    assert!(folders.len() > 15, "{} cases are too few to be all", folders.len());
    for folder in folders {
        println!("{}", folder.display());
        check(&case(folder));
    }
}

fn flags(token: &AddedToken) -> Value {
    let AddedToken { content, single_word, lstrip, rstrip, special, .. } = token;
    let normalized = token.normalized();
    json!({ "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip, "normalized": normalized, "special": special })
}

fn vocabulary(tokenizer: &Tokenizer) -> BTreeMap<String, u64> {
    tokenizer.ids().clone()
}

#[test]
fn tokens_ids_and_added_tokens_are_mergekits() {
    every_case(|Case { alignment, expected, .. }| {
        let vocab: BTreeMap<String, u64> = serde_json::from_value(expected["vocab"].clone()).unwrap();
        assert_eq!(vocabulary(&alignment.tokenizer), vocab);
        let added: BTreeMap<String, Value> =
            alignment.tokenizer.added().map(|token| (token.id.to_string(), flags(token))).collect();
        assert_eq!(json!(added), expected["added"]);
        assert_eq!(json!(alignment.rows), expected["vocab_size"]);
    });
}

#[test]
fn what_is_written_reads_back_as_the_same_vocabulary() {
    every_case(|case| {
        let Case { alignment, expected, .. } = case;
        let text = alignment.tokenizer.to_json().unwrap();
        let again = Tokenizer::parse(&text).unwrap();
        assert_eq!(vocabulary(&again), vocabulary(&alignment.tokenizer));
        assert!(again.is_as_written());
        let mut files = TokenizerFiles::default();
        for (name, bytes) in written(case) {
            if name == "config.json" {
                let config: Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(config["vocab_size"], expected["vocab_size"]);
            }
            files.insert(&name, bytes);
        }
        let opened = Tokenizer::of(&files).unwrap();
        let vocab: BTreeMap<String, u64> = serde_json::from_value(expected["vocab"].clone()).unwrap();
        // A special token that was cut off is named by the configuration all the same: loading adds it behind the others.
        let beyond: BTreeMap<&String, u64> = opened
            .ids()
            .iter()
            .map(|(token, &id)| (token, id))
            .filter(|(token, _)| !vocab.contains_key(*token))
            .collect();
        assert!(beyond.values().all(|&id| id >= vocab.len() as u64), "{beyond:?}");
        assert!(vocab.iter().all(|(token, id)| opened.ids()[token] == *id));
        let said = alignment.notices.iter().any(|notice| matches!(notice, VocabularyNotice::SpecialWithoutRow { .. }));
        assert_eq!(said, !beyond.is_empty());
    });
}

#[test]
fn templates_are_mergekits() {
    let seen = Cell::new(0);
    every_case(|case| {
        if case.recipe.chat_template.is_none() {
            return;
        }
        let files = written(case);
        let template = String::from_utf8(files["chat_template.jinja"].clone()).unwrap();
        assert_eq!(json!(template), case.expected["template"]);
        let config: Value = serde_json::from_slice(&files["tokenizer_config.json"]).unwrap();
        assert_eq!(config["chat_template"], case.expected["template"], "for older readers");
        seen.set(seen.get() + 1);
    });
    assert_eq!(seen.get(), 2);
}

fn numbers(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        DType::F32 => bytes.as_chunks().0.iter().map(|&le| f64::from(f32::from_le_bytes(le))).collect(),
        DType::F64 => bytes.as_chunks().0.iter().map(|&le| f64::from_le_bytes(le)).collect(),
        DType::BF16 => bytes.as_chunks().0.iter().map(|&le| bf16::from_le_bytes(le).to_f64()).collect(),
        other => panic!("{other} is not among the cases"),
    }
}

/// The rows that `map` gives `input`, from every input's own.
fn assembled(map: &RowMap, input: usize, own: &BTreeMap<usize, Vec<f64>>, width: usize) -> Vec<f64> {
    let row = |input: usize, row: u64| own[&input][row as usize * width..][..width].iter();
    let mut made: Vec<f64> = Vec::new();
    for (len, origin) in &map.runs {
        let above = made.clone();
        for step in 0..*len {
            match origin {
                RowOrigin::Own(start) => made.extend(row(input, start + step)),
                RowOrigin::Zero => made.extend(std::iter::repeat_n(0.0, width)),
                RowOrigin::Mean(starts) => made.extend((0..width).map(|column| {
                    let sum: f64 =
                        starts.iter().map(|(input, start)| row(*input, start + step).as_slice()[column]).sum();
                    sum / starts.len() as f64
                })),
                RowOrigin::MeanAbove => made.extend((0..width).map(|column| {
                    let rows = above.chunks(width);
                    let count = rows.len() as f64;
                    rows.map(|row| row[column]).sum::<f64>() / count
                })),
            }
        }
    }
    made
}

/// The first row of an aligned tensor that is not mergekit's, as a sentence. `change` is what is done to each map before.
fn first_difference(case: &Case, change: impl Fn(&mut RowMap)) -> Option<String> {
    let Case { folder, inputs, base, alignment, .. } = case;
    let bytes = fs::read(folder.join("expected-rows.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<&str> = expected.names().iter().map(|name| name.split_once('/').unwrap().1).collect();
    tensors.sort_unstable();
    tensors.dedup();
    assert!(!tensors.is_empty());
    for tensor in tensors {
        let mut own = BTreeMap::new();
        let mut width = 0;
        for (index, input) in inputs.iter().enumerate() {
            let Some(found) = input.model.tensors.get(tensor) else { continue };
            let file = input.folder.weight_sources(&input.model)[found.file];
            let bytes = &file[found.offset as usize..(found.offset + found.len) as usize];
            own.insert(index, numbers(found.dtype, bytes));
            width = found.shape[1] as usize;
        }
        let present: Vec<usize> = own.keys().copied().collect();
        let mut maps = alignment.row_maps(&present, *base).unwrap();
        for (map, &input) in maps.iter_mut().zip(&present) {
            change(map);
            let name = format!("{}/{tensor}", inputs[input].model.name);
            let view = expected.tensor(&name).unwrap();
            assert_eq!(view.shape(), [alignment.rows as usize, width]);
            let dtype = serde_json::from_value(serde_json::to_value(view.dtype()).unwrap()).unwrap();
            let expected = numbers(dtype, view.data());
            let made = assembled(map, input, &own, width);
            assert_eq!(made.len(), expected.len());
            // Every sum of a mean is rounded there: numbers of about 0.1, to 24 bits or to 8.
            let slack = if dtype == DType::BF16 { 2e-3 } else { 1e-7 };
            let differs = |(made, expected): (&f64, &f64)| (made - expected).abs() > slack;
            if let Some(at) = made.iter().zip(&expected).position(differs) {
                return Some(format!("{name}, row {}: {} is not {}", at / width, made[at], expected[at]));
            }
        }
    }
    None
}

#[test]
fn every_inputs_rows_are_mergekits() {
    every_case(|case| assert_eq!(first_difference(case, |_| ()), None));
}

#[test]
fn a_row_that_is_another_is_seen() {
    every_case(|case| {
        let other = |map: &mut RowMap| {
            if let Some((_, RowOrigin::Own(start))) =
                map.runs.iter_mut().find(|(_, origin)| matches!(origin, RowOrigin::Own(start) if *start > 0))
            {
                *start -= 1;
            }
        };
        assert!(first_difference(case, other).is_some());
    });
}
