//! Aligned vocabularies, held to mergekit 0.1.5: ids and added tokens of the output's tokenizer, the rows that every input gets, and
//! the files that are written. The cases are those of `tests/golden/tokenizer-cases`, which `tools/golden_tokenizer.py` makes and
//! describes. The recipes are read by hand here, as far as alignment needs them.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::bf16;
use merge_studio::format::DType;
use merge_studio::model::tokenizer::{AddedToken, Tokenizer, TokenizerFiles};
use merge_studio::model::{self, Folder, Model};
use merge_studio::output::{Content, template, tokenizer};
use merge_studio::plan::vocabulary::{Alignment, VocabularyInput, VocabularyNotice, align};
use merge_studio::plan::{RowMap, RowOrigin};
use merge_studio::recipe::{TokenRule, TokenSource, TokenizerRule, TokenizerSource};
use safetensors::SafeTensors;
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The next node of a YAML text; scalars stay text.
fn node<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Value {
    loop {
        match events.next().unwrap() {
            Event::Scalar(text, ..) => return Value::from(text.into_owned()),
            Event::MappingStart(..) => {
                let mut map = Map::new();
                while let Some(key) = member(events) {
                    map.insert(key.as_str().unwrap().to_owned(), node(events));
                }
                return map.into();
            }
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                while let Some(item) = member(events) {
                    list.push(item);
                }
                return list.into();
            }
            Event::MappingEnd | Event::SequenceEnd => return Value::Null,
            _ => {}
        }
    }
}

fn member<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Option<Value> {
    Some(node(events)).filter(|value| !value.is_null())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn source_of(value: &Value) -> TokenSource {
    let model = || text(&value["model"]);
    match value {
        Value::String(model) => TokenSource::Model(model.clone()),
        _ if value["kind"] == "zero" => TokenSource::Zero,
        _ => match value.get("token") {
            Some(token) => TokenSource::Token { model: model(), token: text(token) },
            None => TokenSource::Id { model: model(), id: text(&value["token_id"]).parse().unwrap() },
        },
    }
}

fn rule_of(recipe: &Value) -> TokenizerRule {
    let section = &recipe["tokenizer"];
    let source = match section.get("source").or_else(|| recipe.get("tokenizer_source")).map(text).as_deref() {
        None | Some("union") => TokenizerSource::Union,
        Some("base") => TokenizerSource::Base,
        Some(model) => TokenizerSource::Model(model.to_owned()),
    };
    let tokens = section.get("tokens").and_then(Value::as_object).into_iter().flatten();
    let tokens = tokens.map(|(token, rule)| {
        let force = rule.get("force").is_some_and(|force| force == "true");
        (token.clone(), TokenRule { source: rule.get("source").map(source_of), force })
    });
    TokenizerRule {
        source,
        tokens: tokens.collect(),
        pad_to_multiple_of: section.get("pad_to_multiple_of").map(|multiple| text(multiple).parse().unwrap()),
    }
}

struct Input {
    folder: Folder<Vec<u8>>,
    model: Model,
    files: TokenizerFiles,
}

struct Case {
    folder: PathBuf,
    recipe: Value,
    inputs: Vec<Input>,
    base: Option<usize>,
    alignment: Alignment,
    expected: Value,
}

fn is_embedding(tensor: &str) -> bool {
    tensor.ends_with("embed_tokens.weight") || tensor.ends_with("word_embeddings.weight")
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
    let recipe = fs::read_to_string(folder.join("recipe.yml")).unwrap();
    let recipe = node(&mut Parser::new_from_str(&recipe).map(|event| event.unwrap().0));
    let mut names: Vec<String> =
        recipe["models"].as_array().unwrap().iter().map(|entry| text(&entry["model"])).collect();
    let base_name = recipe.get("base_model").map(text);
    names.extend(base_name.clone().filter(|base| !names.contains(base)));
    let base = base_name.map(|base| names.iter().position(|name| *name == base).unwrap());
    let inputs: Vec<Input> = names.iter().map(|name| open(name)).collect();
    let known: Vec<VocabularyInput> = inputs
        .iter()
        .map(|input| VocabularyInput {
            name: input.model.name.clone(),
            tokenizer: Tokenizer::of(&input.files),
            vocab_size: input.model.config.as_ref().unwrap().vocab_size,
            rows: input.model.tensors.iter().find(|(name, _)| is_embedding(name)).unwrap().1.shape[0],
        })
        .collect();
    let alignment = align(&rule_of(&recipe), &known, base).unwrap();
    let expected = fs::read_to_string(folder.join("expected-tokenizer.json")).unwrap();
    Case { recipe, inputs, base, alignment, expected: serde_json::from_str(&expected).unwrap(), folder }
}

/// Runs `check` on every case.
fn every_case(check: impl Fn(&Case)) {
    let folders = fs::read_dir(root().join("tokenizer-cases")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<PathBuf> = folders.collect();
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
    every_case(|Case { alignment, inputs, expected, .. }| {
        let text = alignment.tokenizer.to_json().unwrap();
        let again = Tokenizer::parse(&text).unwrap();
        assert_eq!(vocabulary(&again), vocabulary(&alignment.tokenizer));
        assert!(again.is_as_written());
        let files: Vec<TokenizerFiles> = inputs.iter().map(|input| input.files.clone()).collect();
        let output = tokenizer::files(&files, 0, Some(alignment), None).unwrap();
        let mut written = TokenizerFiles::default();
        for file in output.files {
            written.insert(
                &file.name,
                match file.content {
                    Content::Bytes(bytes) => bytes,
                    Content::CopyOf { input, file } => inputs[input].folder.files[&file].clone(),
                },
            );
        }
        let opened = Tokenizer::of(&written).unwrap();
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
    every_case(|Case { recipe, inputs, expected, .. }| {
        let Some(rule) = recipe.get("chat_template") else { return };
        let files: Vec<&TokenizerFiles> = inputs.iter().map(|input| &input.files).collect();
        let template = template::chosen(&text(rule), &files).unwrap().unwrap();
        assert_eq!(json!(template), expected["template"]);
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
