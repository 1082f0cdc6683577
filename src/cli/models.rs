//! From the names in a recipe to opened models: where a name is looked for, and what a folder on disk holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use merge_studio::model::tokenizer::TokenizerFiles;
use merge_studio::model::{self, Folder, Model};
use merge_studio::plan;
use merge_studio::recipe::Recipe;

use super::failure::{Failure, warn};
use super::files::FileSource;
use super::words;

/// The models of a recipe, opened.
#[derive(Default)]
pub(super) struct Opened {
    /// Where each was found; the other lists go with it.
    pub(super) paths: Vec<PathBuf>,
    pub(super) folders: Vec<Folder<FileSource>>,
    pub(super) models: Vec<Model>,
    /// From the recipe's names to places in these lists. Two names may mean one model.
    pub(super) binding: BTreeMap<String, usize>,
    /// The tokenizers that were read, by the models' places in these lists.
    pub(super) tokenizers: BTreeMap<usize, TokenizerFiles>,
}

/// The folders in which relative names are looked up, in their order.
pub(super) struct Places<'a> {
    /// Where the recipe lies, unless it came from a link.
    pub(super) recipe: Option<&'a Path>,
    /// `--models`.
    pub(super) models: Option<&'a Path>,
}

impl Places<'_> {
    /// The folder or safetensors file that `name` means, or every place where it is not.
    fn find(&self, name: &str) -> Result<PathBuf, Vec<PathBuf>> {
        let mut tried = Vec::new();
        // A revision is no part of a folder's name, unless somebody made it one.
        for name in std::iter::once(name).chain(name.split_once('@').map(|(name, _)| name)) {
            tried.push(PathBuf::from(name));
            tried.extend(self.recipe.filter(|folder| !folder.as_os_str().is_empty()).map(|folder| folder.join(name)));
            if let Some(folder) = self.models {
                tried.push(folder.join(name));
                // `owner/model` of a hub, downloaded as `model`.
                tried.extend(name.rsplit_once('/').map(|(_, last)| folder.join(last)));
            }
        }
        let mut seen = Vec::new();
        for place in tried {
            let mut file = place.clone().into_os_string();
            file.push(".safetensors");
            for candidate in [place, file.into()] {
                if candidate.exists() {
                    return Ok(candidate);
                }
                if !seen.contains(&candidate) {
                    seen.push(candidate);
                }
            }
        }
        Err(seen)
    }
}

/// Finds and opens the models called `names`; says what is odd about them.
pub(super) fn open_all(names: &[String], places: &Places<'_>) -> Result<Opened, Failure> {
    let mut opened = Opened::default();
    for name in names {
        let path = places.find(name).map_err(|tried| not_found(name, &tried))?;
        let place = fs::canonicalize(&path).with_context(|| path.display().to_string()).map_err(Failure::Model)?;
        let known = opened.paths.iter().position(|known| *known == place);
        let index = known.unwrap_or(opened.models.len());
        if known.is_none() {
            let (folder, model) = open(&path)?;
            for notice in &model.notices {
                warn(format!("{name}: {}", words::model_notice(notice)));
            }
            opened.paths.push(place);
            opened.folders.push(folder);
            opened.models.push(model);
        }
        opened.binding.insert(name.clone(), index);
    }
    Ok(opened)
}

impl Opened {
    /// Reads the tokenizers that a plan of `recipe` wants to see.
    pub(super) fn read_tokenizers(&mut self, recipe: &Recipe) -> Result<(), Failure> {
        for index in plan::tokenizers_wanted(recipe, &self.models, &self.binding) {
            let read = pollster::block_on(TokenizerFiles::read(&self.folders[index]));
            let files = read.with_context(|| self.paths[index].display().to_string()).map_err(Failure::Model)?;
            self.tokenizers.insert(index, files);
        }
        Ok(())
    }
}

/// Opens the model at `path`, a folder or a file.
pub(super) fn open(path: &Path) -> Result<(Folder<FileSource>, Model), Failure> {
    let folder = list(path).with_context(|| format!("{} cannot be read", path.display())).map_err(Failure::Model)?;
    let model = pollster::block_on(model::open(&folder))
        .with_context(|| format!("{} is no model that can be merged", path.display()))
        .map_err(Failure::Model)?;
    Ok((folder, model))
}

/// The files at `path`: those of a folder and of its subfolders (a model opened one folder too high is told so), or the lone one.
pub(super) fn list(path: &Path) -> anyhow::Result<Folder<FileSource>> {
    let whole = fs::canonicalize(path)?;
    let mut files = BTreeMap::new();
    let name = if whole.is_dir() {
        add_files(&whole, "", &mut files)?;
        whole.file_name()
    } else {
        let name = whole.file_name().ok_or_else(|| anyhow!("it has no name"))?.to_string_lossy().into_owned();
        files.insert(name, FileSource::new(whole.clone(), fs::metadata(&whole)?.len()));
        whole.file_stem()
    };
    Ok(Folder { name: name.unwrap_or_default().to_string_lossy().into_owned(), files })
}

fn add_files(folder: &Path, inside: &str, files: &mut BTreeMap<String, FileSource>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Follows links: a hub's cache keeps its files elsewhere. A dangling one is as good as absent.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if metadata.is_file() {
            files.insert(format!("{inside}{name}"), FileSource::new(entry.path(), metadata.len()));
        } else if metadata.is_dir() && inside.is_empty() && !name.starts_with('.') {
            add_files(&entry.path(), &format!("{name}/"), files)?;
        }
    }
    Ok(())
}

fn not_found(name: &str, tried: &[PathBuf]) -> Failure {
    let places: Vec<String> = tried.iter().map(|place| format!("\n  {}", place.display())).collect();
    Failure::Model(anyhow!(
        "model {name} was not found. These places were tried:{}\nDownload it there, or say with --models where it is",
        places.concat()
    ))
}
