//! A case as it lies on disk: recipe, tolerance, expectation, and the opened inputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use merge_studio::format::DType;
use merge_studio::method;
use merge_studio::model::{self, Folder, Model};
use merge_studio::plan;
use merge_studio::recipe::{self, Recipe};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::truth::Choices;
use crate::wide;

/// The files that an input may have.
const FILES: [&str; 4] = ["adapter_config.json", "adapter_model.safetensors", "config.json", "model.safetensors"];

/// How far from mergekit a case may be. `tools/golden_cases.py` writes it and says what the fields mean.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Units in the last place of the output type, at the magnitude of the largest number on the way to the element.
    pub ulps: f64,
    /// What share of their magnitude inputs lose when mergekit rounds them to `dtype` first.
    #[serde(default)]
    pub inputs_rounded: f64,
    /// How near, relatively, to the trim threshold a magnitude goes either way.
    pub threshold_slack: f64,
    /// How near to a tie, as a share of the sum of magnitudes, a vote goes either way.
    pub vote_slack: f64,
    /// Why that far.
    pub reason: String,
    /// Parts of the names of tensors that we make otherwise on purpose.
    #[serde(default)]
    pub otherwise: Vec<String>,
    /// Tensors that mergekit writes and we, on purpose, do not.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The coins differ: only shares and norms are compared.
    #[serde(default)]
    pub statistics: bool,
}

/// What mergekit made of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedTensor {
    pub dtype: DType,
    pub shape: Vec<u64>,
    /// Every `stride`-th element, little-endian.
    pub bytes: Vec<u8>,
    pub stride: usize,
}

/// One case.
pub struct Case {
    pub recipe: Recipe,
    pub tolerance: Tolerance,
    pub expected: BTreeMap<String, ExpectedTensor>,
    pub inputs: Inputs,
}

/// Opened models, by their names in a recipe.
pub struct Inputs {
    pub folders: Vec<Folder<Vec<u8>>>,
    pub models: Vec<Model>,
    pub binding: BTreeMap<String, usize>,
}

/// The names of all cases, sorted. A folder without any is an error: it must not look like a pass.
pub fn names(cases: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(cases).map_err(|error| format!("{}: {error}", cases.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().join("recipe.yml").is_file() {
            return Err(format!("{name} is not a case: it has no recipe.yml"));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err(format!("{} holds no cases", cases.display()));
    }
    names.sort();
    Ok(names)
}

impl Tolerance {
    /// The choices that it leaves open.
    pub fn choices(&self) -> Choices {
        Choices::Open { threshold: self.threshold_slack, vote: self.vote_slack, inputs: self.inputs_rounded }
    }
}

impl Case {
    /// Reads the case called `name` below `root`.
    pub fn read(root: &Path, name: &str) -> Result<Self, String> {
        let folder = root.join("cases").join(name);
        let tolerance = text(&folder.join("tolerance.json"))?;
        let tolerance: Tolerance = serde_json::from_str(&tolerance).map_err(|error| format!("tolerance: {error}"))?;
        if tolerance.reason.is_empty() {
            return Err("the tolerance gives no reason".to_owned());
        }
        let recipe = read_recipe(&text(&folder.join("recipe.yml"))?)?;
        let inputs = Inputs::open(root, &recipe)?;
        Ok(Self { recipe, tolerance, expected: expected(&folder)?, inputs })
    }
}

/// The recipe in `text`, which must be free of errors.
pub fn read_recipe(text: &str) -> Result<Recipe, String> {
    let checked = recipe::check(text, &method::infos());
    checked.recipe.ok_or_else(|| format!("the recipe has problems: {:?}", checked.problems))
}

impl Inputs {
    /// Opens the models that `recipe` names, from `root` or generated.
    pub fn open(root: &Path, recipe: &Recipe) -> Result<Self, String> {
        let mut inputs = Self { folders: Vec::new(), models: Vec::new(), binding: BTreeMap::new() };
        // `model+adapter` are two folders.
        let mut names: Vec<String> = Vec::new();
        for name in plan::input_names(recipe) {
            let (model, adapter) = recipe::split_adapter(&name);
            for name in [Some(model), adapter].into_iter().flatten().map(str::to_owned) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        for name in names {
            let files = match wide::files(&name) {
                Some(files) => files,
                None => FILES
                    .into_iter()
                    .map(|file| (file, root.join("inputs").join(&name).join(file)))
                    .filter(|(_, path)| path.exists())
                    .map(|(file, path)| Ok((file.to_owned(), bytes(&path)?)))
                    .collect::<Result<_, String>>()?,
            };
            let folder = Folder { name: name.clone(), files };
            let model = pollster::block_on(model::open(&folder)).map_err(|error| format!("{name}: {error}"))?;
            inputs.binding.insert(name, inputs.models.len());
            inputs.folders.push(folder);
            inputs.models.push(model);
        }
        Ok(inputs)
    }
}

fn expected(folder: &Path) -> Result<BTreeMap<String, ExpectedTensor>, String> {
    let whole = folder.join("expected.safetensors");
    let file = bytes(&if whole.exists() { whole } else { folder.join("expected-samples.safetensors") })?;
    let (_, metadata) = SafeTensors::read_metadata(&file).map_err(|error| error.to_string())?;
    let notes = metadata.metadata().clone().unwrap_or_default();
    let stride = notes.get("stride").map_or(1, |stride| stride.parse().unwrap());
    let tensors = SafeTensors::deserialize(&file).map_err(|error| error.to_string())?;
    let mut expected = BTreeMap::new();
    for (name, view) in tensors.tensors() {
        let shape = match notes.get(&name) {
            Some(shape) => serde_json::from_str(shape).map_err(|error| format!("{name}: {error}"))?,
            None => view.shape().iter().map(|&size| size as u64).collect(),
        };
        let dtype = serde_json::from_value(serde_json::to_value(view.dtype()).unwrap())
            .map_err(|error| format!("{name}: {error}"))?;
        expected.insert(name, ExpectedTensor { dtype, shape, bytes: view.data().to_vec(), stride });
    }
    Ok(expected)
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn text(path: &Path) -> Result<String, String> {
    String::from_utf8(bytes(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// The numbers in `bytes`, widened.
pub fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        DType::F16 => bytes.as_chunks().0.iter().map(|&le| half::f16::from_le_bytes(le).to_f64()).collect(),
        DType::BF16 => bytes.as_chunks().0.iter().map(|&le| half::bf16::from_le_bytes(le).to_f64()).collect(),
        DType::F32 => bytes.as_chunks().0.iter().map(|&le| f64::from(f32::from_le_bytes(le))).collect(),
        DType::F64 => bytes.as_chunks().0.iter().map(|&le| f64::from_le_bytes(le)).collect(),
        other => panic!("{other} is not a float"),
    }
}
