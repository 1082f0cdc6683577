//! The model folder around the merged weights: configuration, tokenizer, model card, recipe, ledger, shard index, zip.
//!
//! Plain data in, bytes out: nothing here reads or writes a file. What comes out depends on recipe, inputs and seed alone, so
//! none of it holds a time, a host, a backend or a number of threads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::format::{ShardIndex, retain};
use crate::model::Model;
use crate::model::tokenizer::{TokenizerError, TokenizerFiles};
use crate::plan::vocabulary::VocabularyError;
use crate::plan::{self, Plan};
use crate::recipe::{self, Recipe};

mod card;
mod config;
pub mod gguf;
mod json;
mod ledger;
mod stages;
mod template;
mod tokenizer;
pub mod zip;

pub use ledger::ledger;
pub use stages::{StagePlan, Staged, foresee, plan_all};
pub use template::TemplateError;
pub use tokenizer::FilesNotice;

/// A stretch of a file and its checksum: (first byte, length in bytes, CRC-32).
pub type CrcRange = (u64, u64, u32);

/// The recipe's file name, the one that mergekit uses.
pub const RECIPE_FILE: &str = "mergekit_config.yml";
/// The ledger's file name.
pub const LEDGER_FILE: &str = "merge-studio.json";
/// The model card's file name.
pub const CARD_FILE: &str = "README.md";
/// The configuration's file name.
pub const CONFIG_FILE: &str = "config.json";
/// The shard index's file name.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// A file of the output that is not weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallFile {
    /// Path inside the folder.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// What a small file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The bytes of a file of an input's folder.
    CopyOf {
        /// Index into [`Plan::inputs`].
        input: usize,
        /// Path inside that input's folder.
        file: String,
    },
}

/// Every file of the output but its weights, sorted by name, and what was met while they were made. `models` and `tokenizers` are
/// those that the plan was made from.
///
/// # Errors
/// The recipe's chat template is none, or its tokenizer cannot be written: see [`SmallFilesError`].
pub fn small_files(
    plan: &Plan,
    recipe: &Recipe,
    models: &[Model],
    tokenizers: &BTreeMap<usize, TokenizerFiles>,
) -> Result<SmallFiles, SmallFilesError> {
    let recipe_text = recipe::write(recipe);
    let mut files: BTreeMap<String, Content> = BTreeMap::new();
    let mut notices = Vec::new();
    let donor = plan.inputs.get(plan.donor).and_then(|input| models.get(input.model));
    if let Some(donor) = donor {
        for file in donor.companions.keys() {
            files.insert(file.clone(), Content::CopyOf { input: plan.donor, file: file.clone() });
        }
    }
    let alignment = plan::vocabulary::of_plan(plan, recipe, models, tokenizers)?;
    if alignment.is_some() || recipe.chat_template.is_some() {
        let none = TokenizerFiles::default();
        let of_inputs: Vec<&TokenizerFiles> =
            plan.inputs.iter().map(|input| tokenizers.get(&input.model).unwrap_or(&none)).collect();
        let template = match &recipe.chat_template {
            Some(rule) => template::chosen(rule, &of_inputs)?,
            None => None,
        };
        retain(&mut files, &mut |name, _| !tokenizer::is_of_the_tokenizer(name));
        let made = tokenizer::files(&of_inputs, plan.donor, alignment.as_ref(), template.as_deref())?;
        files.extend(made.files.into_iter().map(|file| (file.name, file.content)));
        notices.extend(made.notices);
    }
    // What describes this merge replaces whatever of that name described the donor.
    let mut put = |name: &str, text: String| files.insert(name.to_owned(), Content::Bytes(text.into_bytes()));
    if let Some(config) = donor.and_then(|donor| donor.config.as_ref()) {
        let mut text = config::with_layers(&config.text, plan, models);
        if let Some(dtype) = config::output_dtype(plan) {
            text = config::with_dtype(&text, dtype);
        }
        if let Some(alignment) = &alignment {
            let (aligned, met) = tokenizer::with_vocabulary(&text, alignment, plan.donor);
            text = aligned;
            notices.extend(met);
        }
        put(CONFIG_FILE, text);
    }
    if plan.files.len() > 1 {
        put(INDEX_FILE, shard_index(plan).to_json());
    }
    put(CARD_FILE, card::card(plan, &recipe_text));
    put(LEDGER_FILE, ledger(plan, &recipe_text));
    put(RECIPE_FILE, recipe_text);
    let files = files.into_iter().map(|(name, content)| SmallFile { name, content }).collect();
    Ok(SmallFiles { files, notices })
}

/// What [`small_files`] makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmallFiles {
    /// The files, sorted by name.
    pub files: Vec<SmallFile>,
    /// What a person should know.
    pub notices: Vec<FilesNotice>,
}

/// Why the files beside the weights cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SmallFilesError {
    /// The recipe's chat template is none.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// The vocabularies could not be aligned once more.
    #[error("{0}")]
    Vocabulary(#[from] VocabularyError),
    /// The tokenizer could not be written.
    #[error("{0}")]
    Tokenizer(#[from] TokenizerError),
}

/// What goes into every weight file's `__metadata__`: enough to say where a lone file came from.
///
/// `inputs` are the names and fingerprints of [`plan::input_names`]' models, in that order.
pub fn metadata(recipe: &Recipe, seed: u64, inputs: &[(String, String)]) -> BTreeMap<String, String> {
    let mut fingerprints = serde_json::Map::new();
    for (name, fingerprint) in inputs {
        fingerprints.insert(name.clone(), fingerprint.clone().into());
    }
    let mut metadata = BTreeMap::new();
    for (key, value) in [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("method", recipe.merge_method.clone()),
        ("seed", seed.to_string()),
        ("recipe_sha256", hex(&Sha256::digest(recipe::write(recipe)))),
        ("inputs", serde_json::Value::Object(fingerprints).to_string()),
    ] {
        metadata.insert(format!("merge_studio.{key}"), value);
    }
    metadata
}

fn shard_index(plan: &Plan) -> ShardIndex {
    let file = |index: usize| plan.files.get(index).map_or(String::new(), |file| file.name.clone());
    let mut weight_map = BTreeMap::new();
    weight_map.extend(plan.jobs.iter().map(|job| (job.name.clone(), file(job.file))));
    ShardIndex { weight_map, total_size: Some(plan.jobs.iter().map(|job| job.len).sum()) }
}

/// What a link calls the hash of an output: of its weight files' names and SHA-256s, or of the only file itself.
///
/// One file: its own SHA-256. Several: the SHA-256 of what `sha256sum` prints for them, in the order of their names.
pub fn output_hash<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let mut named = BTreeMap::new();
    named.extend(files);
    let files: BTreeMap<&str, &str> = named;
    match files.len() {
        0 => None,
        1 => files.into_values().next().map(str::to_owned),
        _ => {
            let mut hash = Sha256::new();
            for (name, sum) in files {
                hash.update(format!("{sum}  {name}\n"));
            }
            Some(hex(&hash.finalize()))
        }
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}

#[cfg(test)]
mod tests;
