//! Recipes of several documents: every stage planned before any weight is read, with models for results that are still to be made.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{CONFIG_FILE, Content, SmallFiles, hex, metadata, small_files};
use crate::model::tokenizer::TokenizerFiles;
use crate::model::{Companion, Config, Family, Model, ModelError, Tensor, Vocabulary, WeightFile, is_companion};
use crate::plan::{self, Plan, PlanError, PlanOptions, PlannedStage};
use crate::recipe::{self, Recipe};

/// A recipe with all its stages, planned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Staged {
    /// The stages, in the order in which they are made.
    pub stages: Vec<StagePlan>,
    /// The recipe's own plan. It tells of the stages, too.
    pub plan: Plan,
    /// The models that were given, and behind them the stages' results as they will be. [`plan::PlannedInput::model`] counts in it.
    pub models: Vec<Model>,
    /// The tokenizers that were given, and those of the stages' results.
    pub tokenizers: BTreeMap<usize, TokenizerFiles>,
}

/// One stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StagePlan {
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// The files beside its weights that later merges may copy, and what was met while they were made.
    pub small: SmallFiles,
}

/// Plans `recipe` and its stages. `binding` says which of `models` each name in [`plan::input_names`] stands for; `tokenizers` are
/// the files of those that [`plan::tokenizers_wanted`] names. The metadata of `options` is made here.
///
/// # Errors
/// What keeps a stage or the recipe from being planned: see [`PlanError`].
pub fn plan_all(
    recipe: &Recipe,
    mut models: Vec<Model>,
    binding: &BTreeMap<String, usize>,
    mut tokenizers: BTreeMap<usize, TokenizerFiles>,
    options: &PlanOptions,
) -> Result<Staged, PlanError> {
    let given = models.len();
    let mut binding = binding.clone();
    binding.extend(plan::stage_binding(recipe, given));
    let mut stages = Vec::with_capacity(recipe.stages.len());
    let mut planned = Vec::with_capacity(recipe.stages.len());
    let mut notices = Vec::new();
    for (number, stage) in recipe.stages.iter().enumerate() {
        let in_stage = |error| PlanError::InStage { stage: stage.name.clone(), error: Box::new(error) };
        let about = |why: String| PlanError::StageFiles { stage: stage.name.clone(), why };
        let names = plan::input_names(&stage.recipe);
        let options = of(&stage.recipe, &named(&names, &models, &binding), options);
        let plan = plan::plan(&stage.recipe, &models, &binding, &tokenizers, &options).map_err(in_stage)?;
        let mut small =
            small_files(&plan, &stage.recipe, &models, &tokenizers).map_err(|error| about(error.to_string()))?;
        let fingerprint = fingerprint(&stage.recipe, &plan);
        let foreseen = foresee(&stage.name, &plan, &small, &models, &tokenizers);
        let (mut model, files) = foreseen.map_err(|error| about(error.to_string()))?;
        model.fingerprint.clone_from(&fingerprint);
        models.push(model);
        // Where no tokenizer was wanted, none is.
        if !tokenizers.is_empty() {
            tokenizers.insert(given + number, files);
        }
        small.files.retain(|file| is_companion(&file.name));
        notices.extend(
            plan.notices.iter().map(|notice| plan::PlanNotice::InStage {
                stage: stage.name.clone(),
                notice: Box::new(notice.clone()),
            }),
        );
        planned.push(PlannedStage {
            name: stage.name.clone(),
            method: plan.method.clone(),
            inputs: plan.inputs.clone(),
            fingerprint,
            tensors: plan.jobs.len(),
            len: plan.files.iter().map(|file| file.len).sum(),
            until: plan::last_use(recipe, number),
        });
        stages.push(StagePlan { name: stage.name.clone(), plan, small });
    }
    let options = of(recipe, &named(&plan::input_names(recipe), &models, &binding), options);
    let mut plan = plan::plan(recipe, &models, &binding, &tokenizers, &options)?;
    plan.stages = planned;
    notices.append(&mut plan.notices);
    plan.notices = notices;
    Ok(Staged { stages, plan, models, tokenizers })
}

/// Names and fingerprints of the models that are bound.
fn named(names: &[String], models: &[Model], binding: &BTreeMap<String, usize>) -> Vec<(String, String)> {
    let fingerprint = |name: &String| Some((name.clone(), models.get(*binding.get(name)?)?.fingerprint.clone()));
    names.iter().filter_map(fingerprint).collect()
}

/// `options` with the metadata of this merge.
fn of(recipe: &Recipe, inputs: &[(String, String)], options: &PlanOptions) -> PlanOptions {
    PlanOptions { metadata: metadata(recipe, options.seed, inputs), ..options.clone() }
}

fn fingerprint(recipe: &Recipe, plan: &Plan) -> String {
    let mut hash = Sha256::new();
    hash.update(b"merge-studio stage 1\0");
    hash.update(recipe::write(recipe));
    hash.update(plan.seed.to_le_bytes());
    for input in &plan.inputs {
        hash.update(b"\0");
        hash.update(&input.fingerprint);
    }
    hex(&hash.finalize())
}

/// The model that `plan` makes with the files in `small`, as it will be when it is opened, and the files of its tokenizer. Its
/// fingerprint is empty: that is the weights'.
///
/// # Errors
/// Its config.json is none.
pub fn foresee(
    name: &str,
    plan: &Plan,
    small: &SmallFiles,
    models: &[Model],
    tokenizers: &BTreeMap<usize, TokenizerFiles>,
) -> Result<(Model, TokenizerFiles), ModelError> {
    let mut model = Model {
        name: name.to_owned(),
        weight_files: Vec::with_capacity(plan.files.len()),
        tensors: BTreeMap::new(),
        config: None,
        family: Family::Generic,
        companions: BTreeMap::new(),
        vocabulary: None,
        fingerprint: String::new(),
        notices: Vec::new(),
        adapter: None,
    };
    for file in &plan.files {
        model.weight_files.push(WeightFile { name: file.name.clone(), len: file.len });
    }
    for job in &plan.jobs {
        let (dtype, shape) = (job.dtype, job.shape.clone());
        let tensor = Tensor { file: job.file, dtype, shape, offset: job.offset, len: job.len };
        model.tensors.insert(job.name.clone(), tensor);
    }
    let names: Vec<&str> = model.tensors.keys().map(String::as_str).collect();
    model.family = Family::detect(&names);
    let mut files = TokenizerFiles::default();
    for file in &small.files {
        if let (CONFIG_FILE, Content::Bytes(bytes)) = (file.name.as_str(), &file.content) {
            model.config = Some(Config::parse(String::from_utf8_lossy(bytes).into_owned())?);
        }
        if !is_companion(&file.name) {
            continue;
        }
        let holds_vocabulary = file.name == "tokenizer.json";
        match &file.content {
            Content::Bytes(bytes) => {
                let companion = Companion { len: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) };
                model.companions.insert(file.name.clone(), companion);
                if holds_vocabulary {
                    model.vocabulary = Vocabulary::parse(bytes).ok();
                }
                files.insert(&file.name, bytes.clone());
            }
            Content::CopyOf { input, file: from } => {
                let source = plan.inputs.get(*input).map(|input| input.model);
                let Some((index, source)) = source.and_then(|index| Some((index, models.get(index)?))) else {
                    continue;
                };
                if let Some(companion) = source.companions.get(from) {
                    model.companions.insert(file.name.clone(), companion.clone());
                }
                if holds_vocabulary {
                    model.vocabulary.clone_from(&source.vocabulary);
                }
                if let Some(own) = tokenizers.get(&index) {
                    files.take_over(&file.name, own, from);
                }
            }
        }
    }
    Ok((model, files))
}
