//! Words about models.

use merge_studio::model::{Adapter, IgnoredReason, ModelNotice};

use super::super::numbers;
use crate::protocol::OpenError;

/// The region.
pub const REGION: &str = "Models";
/// Buttons.
pub const ADD_FILES: &str = "Add files";
/// Buttons.
pub const ADD_FOLDER: &str = "Add folder";
/// Buttons.
pub const LOAD_DEMO: &str = "Load demo models";
/// While they are fetched.
pub const LOADING_DEMO: &str = "Loading demo models…";
/// The first thing a stranger reads in this pane.
pub const EMPTY: &str = "Add the models to merge: folders with safetensors files, or the files alone. You can drop them anywhere on this page.";
/// And what to do without any.
pub const EMPTY_DEMO: &str = "None at hand? The demo models are four small llamas (7 MB) to try everything with.";
/// While headers are read.
pub const READING: &str = "Reading headers…";
/// Facts.
pub const PARAMETERS: &str = "Parameters";
/// Facts.
pub const DTYPE: &str = "Type";
/// Facts.
pub const SIZE: &str = "Size";
/// Facts.
pub const LAYERS: &str = "Layers";
/// Facts.
pub const VOCABULARY: &str = "Vocabulary";
/// Facts.
pub const EMBEDDINGS: &str = "Embeddings";
/// Facts.
pub const TIED: &str = "tied";
/// Facts.
pub const UNTIED: &str = "untied";
/// Where a model does not say.
pub const UNKNOWN: &str = "unknown";
/// A model without config.json.
pub const NO_ARCHITECTURE: &str = "Architecture unknown";
/// After the base of the recipe.
pub const ROLE_BASE: &str = "base";
/// A model in use by the running merge stays.
pub const IN_USE: &str = "Stays while a merge runs";

/// What the recipe calls it.
pub fn stands_for(alias: &str) -> String {
    format!("stands for {alias}")
}

/// What an adapter is.
pub fn adapter(adapter: &Adapter) -> String {
    let base = adapter.base.as_ref().map_or_else(String::new, |base| format!(", for {base}"));
    format!("LoRA adapter, rank {}{base}", numbers::grouped(adapter.rank))
}

/// Remove button.
pub fn remove(name: &str) -> String {
    format!("Remove {name}")
}

/// After a reload.
pub fn missed(names: &[String]) -> String {
    format!(
        "Last time {} here. A page can't reopen files by itself: add {} again to go on.",
        if let [one] = names { format!("{one} was") } else { format!("{} were", super::listed(names)) },
        if names.len() == 1 { "it" } else { "them" }
    )
}

/// What is missing or odd about a model, and what that means.
pub fn notice(notice: &ModelNotice) -> String {
    match notice {
        ModelNotice::NoConfig => {
            "No config.json. Layers are guessed from the tensors' names; as the base, this model gives the result none either."
                .to_owned()
        }
        ModelNotice::NoTokenizer => {
            "No tokenizer files. As the base, this model gives the result none: add the folder rather than the file.".to_owned()
        }
        ModelNotice::MissingShards(names) => {
            format!("Missing: {}. Its index names these files; tensors in them can't be merged. Add the whole folder.", super::listed(names))
        }
        ModelNotice::NotInIndex(tensors) => format!(
            "Its index does not name {}: they are merged all the same.",
            super::count(tensors.len() as u64, "tensor of its shards", "tensors of its shards")
        ),
        ModelNotice::UnknownVocabulary { problem } => {
            format!("The vocabulary in tokenizer.json can't be compared with the others' ({problem}). It is carried over as it is.")
        }
        ModelNotice::IgnoredFile { name, reason } => format!("{name} is left out: {}.", ignored(reason)),
    }
}

fn ignored(reason: &IgnoredReason) -> String {
    match reason {
        IgnoredReason::Adapter => "it is an adapter beside a whole model".to_owned(),
        IgnoredReason::Consolidated => "it holds the same weights once more".to_owned(),
        IgnoredReason::NotInIndex => "the index does not name it".to_owned(),
        IgnoredReason::TooLarge { limit } => {
            format!("it is larger than such a file ever is ({})", numbers::bytes(*limit))
        }
    }
}

/// Why a model could not be opened, and what to do.
pub fn open_error(error: &OpenError) -> String {
    match error {
        OpenError::Model(error) => {
            format!("{} Remove it and add a sound copy.", super::sentence(&format!("can't be read: {error}")))
        }
        OpenError::Browser(why) => format!("The browser can't read it ({why}). Remove it and add it again."),
    }
}

/// Why nothing was added.
pub const NO_WEIGHTS: &str =
    "Nothing there to add: models are .safetensors files, or folders that hold some. Recipes are .yaml files.";

/// The demo models could not be fetched.
pub fn demo_unreachable(file: &str) -> String {
    format!("The demo models could not be loaded ({file}). Check the connection and press “{LOAD_DEMO}” again.")
}
