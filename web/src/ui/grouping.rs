//! Which of the files that a person gave make up one model: pure, on paths alone.

use std::collections::{BTreeMap, BTreeSet};

/// One model among the given files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The folder's name, or the stem of a lone file.
    pub name: String,
    /// Its files: index into what was given, and path inside the model's folder.
    pub files: Vec<(usize, String)>,
}

/// Sorts paths (`folder/sub/file`, or a bare name) into models: every folder that holds weights directly is one, with all below
/// it that is not another model; bare files are one model per file or set of shards.
pub fn models(paths: &[String]) -> Vec<Group> {
    let mut homes = BTreeSet::new();
    homes.extend(paths.iter().filter(|path| is_weights(path)).filter_map(|path| Some(path.rsplit_once('/')?.0)));
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (at, path) in paths.iter().enumerate() {
        let home = homes.iter().filter(|home| is_below(path, home)).max_by_key(|home| home.len());
        if let Some(home) = home {
            let name = home.rsplit('/').next().unwrap_or(home);
            let group = groups.entry(home).or_insert_with(|| Group { name: name.to_owned(), files: Vec::new() });
            group.files.push((at, path[home.len() + 1..].to_owned()));
        }
    }
    let mut found: Vec<Group> = groups.into_values().collect();
    found.extend(bare(paths));
    found
}

/// The models among files without a folder. Companions (config.json …) go with the weights if those are one model.
fn bare(paths: &[String]) -> Vec<Group> {
    let bare: Vec<(usize, &String)> = paths.iter().enumerate().filter(|(_, path)| !path.contains('/')).collect();
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (at, name) in bare.iter().filter(|(_, name)| is_weights(name)) {
        let stem = stem(name);
        let group = groups.entry(stem).or_insert_with(|| Group { name: stem.to_owned(), files: Vec::new() });
        group.files.push((*at, (*name).clone()));
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    if let [only] = groups.as_mut_slice() {
        only.files.extend(bare.iter().filter(|(_, name)| !is_weights(name)).map(|(at, name)| (*at, (*name).clone())));
    }
    groups
}

/// Whether it is a recipe rather than a part of a model.
pub fn is_recipe(path: &str) -> bool {
    has_extension(path, "yaml") || has_extension(path, "yml")
}

fn is_weights(path: &str) -> bool {
    has_extension(path, "safetensors")
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case(extension))
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// `model` of `model.safetensors` and of `model-00001-of-00002.safetensors`.
fn stem(name: &str) -> &str {
    let stem = name.len().checked_sub(".safetensors".len()).map_or(name, |end| &name[..end]);
    let shard = stem.rsplit_once("-of-").and_then(|(head, last)| {
        let (prefix, first) = head.rsplit_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(first) && digits(last)).then_some(prefix)
    });
    shard.unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(paths: &[&str]) -> Vec<(String, Vec<String>)> {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let plain = |group: Group| (group.name, group.files.into_iter().map(|(_, path)| path).collect());
        models(&paths).into_iter().map(plain).collect()
    }

    fn expect(name: &str, files: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), files.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_folder_is_one_model_with_its_subfolders() {
        let found = grouped(&["llama/config.json", "llama/model.safetensors", "llama/extra/readme.txt"]);
        assert_eq!(found, [expect("llama", &["config.json", "model.safetensors", "extra/readme.txt"])]);
    }

    #[test]
    fn a_folder_of_folders_is_several_models() {
        let found = grouped(&["all/a/model.safetensors", "all/b/model.safetensors", "all/notes.txt"]);
        assert_eq!(found, [expect("a", &["model.safetensors"]), expect("b", &["model.safetensors"])]);
    }

    #[test]
    fn lone_files_are_models_named_by_their_stems() {
        let found = grouped(&["a.safetensors", "b.safetensors", "config.json"]);
        assert_eq!(found, [expect("a", &["a.safetensors"]), expect("b", &["b.safetensors"])]);
    }

    #[test]
    fn shards_are_one_model_and_take_the_companions_given_with_them() {
        let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json"];
        assert_eq!(grouped(&shards), [expect("model", &shards)]);
    }

    #[test]
    fn a_folder_without_weights_is_no_model() {
        assert!(grouped(&["notes/a.txt", "b.json"]).is_empty());
        assert!(is_recipe("Recipe.YML"));
    }
}
