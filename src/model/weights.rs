//! Which of a folder's files hold its weights.

use std::collections::{BTreeMap, BTreeSet};

use crate::format::ShardIndex;

use super::{IgnoredReason, ModelError, ModelNotice, OtherFormat};

/// The weight files of a folder, in order of their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub files: Vec<String>,
    pub notices: Vec<ModelNotice>,
}

/// Chooses among files called `names` (paths inside the folder), where there is no index.
pub(super) fn without_index<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<Choice, ModelError> {
    // A file that was given alone is the model, whatever it is called.
    let mut all = names.clone();
    if let (Some(only), None) = (all.next(), all.next()) {
        return Ok(Choice {
            files: vec![only.to_owned()],
            notices: missing_by_name(&[only.to_owned()]).into_iter().collect(),
        });
    }
    let candidates: Vec<&str> = names.clone().filter(|name| is_candidate(name)).collect();
    let has_model = candidates.iter().any(|name| name.starts_with("model"));
    let mut choice = Choice::default();
    for &name in &candidates {
        match beside_a_model(name).filter(|_| has_model) {
            Some(reason) => choice.notices.push(ModelNotice::IgnoredFile { name: name.to_owned(), reason }),
            None => choice.files.push(name.to_owned()),
        }
    }
    if choice.files.is_empty() {
        return Err(no_weights(names));
    }
    choice.notices.extend(missing_by_name(&choice.files));
    Ok(choice)
}

/// Chooses the shards of `index` among files called `names`.
pub(super) fn by_index<'a>(
    index: &ShardIndex,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<Choice, ModelError> {
    let (mut present, mut shards) = (BTreeSet::new(), BTreeSet::new());
    present.extend(names.clone());
    shards.extend(index.weight_map.values().map(String::as_str));
    let (files, missing): (Vec<String>, Vec<String>) =
        shards.iter().map(|shard| (*shard).to_owned()).partition(|shard| present.contains(shard.as_str()));
    if files.is_empty() {
        return Err(ModelError::NoShards(missing));
    }
    let mut notices = Vec::new();
    if !missing.is_empty() {
        notices.push(ModelNotice::MissingShards(missing));
    }
    notices.extend(names.filter(|name| is_candidate(name) && !shards.contains(name)).map(|name| {
        let reason = beside_a_model(name).unwrap_or(IgnoredReason::NotInIndex);
        ModelNotice::IgnoredFile { name: name.to_owned(), reason }
    }));
    Ok(Choice { files, notices })
}

/// True for safetensors files at the top of the folder. Hidden files are none: macOS leaves `._model.safetensors` beside a copy.
fn is_candidate(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains('/') && !name.starts_with('.')
}

/// Why a file that lies beside `model….safetensors` is not part of it.
fn beside_a_model(name: &str) -> Option<IgnoredReason> {
    if name.starts_with("adapter_") {
        Some(IgnoredReason::Adapter)
    } else if name.starts_with("consolidated") {
        Some(IgnoredReason::Consolidated)
    } else {
        None
    }
}

/// What names of the form `STEM-00001-of-00003.safetensors` tell of shards that are not there.
fn missing_by_name(files: &[String]) -> Option<ModelNotice> {
    let mut series: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
    for file in files {
        if let Some((stem, number, count)) = shard_number(file) {
            series.entry((stem, count)).or_default().insert(number);
        }
    }
    let mut missing = Vec::new();
    for ((stem, count), there) in series {
        // A name that asks for more shards than any checkpoint has is not a series.
        let total = count.parse().ok().filter(|total| *total <= 10_000).unwrap_or(0);
        let absent = (1..=total).filter(|number| !there.contains(number));
        missing.extend(
            absent.map(|number| format!("{stem}-{number:0width$}-of-{count}.safetensors", width = count.len())),
        );
    }
    (!missing.is_empty()).then_some(ModelNotice::MissingShards(missing))
}

/// `STEM-00001-of-00003.safetensors` → (STEM, 1, 00003).
fn shard_number(name: &str) -> Option<(&str, u64, &str)> {
    let (rest, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    (number.len() == count.len() && count.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| Some((stem, number.parse().ok()?, count)))?
}

/// Why a folder without safetensors files at its top has none.
fn no_weights<'a>(names: impl Iterator<Item = &'a str> + Clone) -> ModelError {
    let other = names.clone().filter(|name| !name.contains('/')).find_map(|name| Some((name, OtherFormat::of(name)?)));
    if let Some((file, format)) = other {
        return ModelError::OtherFormat { file: file.to_owned(), format };
    }
    let nested = names.into_iter().find(|name| name.ends_with(".safetensors") && name.contains('/'));
    ModelError::NoWeights { nested: nested.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn choose(names: &[&str]) -> Result<Choice, ModelError> {
        without_index(names.iter().copied())
    }

    fn files(names: &[&str]) -> Vec<String> {
        choose(names).unwrap().files
    }

    #[test]
    fn adapters_and_consolidated_weights_beside_a_model_are_ignored_with_a_notice() {
        let choice = choose(&["adapter_model.safetensors", "consolidated.safetensors", "model.safetensors"]).unwrap();
        assert_eq!(choice.files, ["model.safetensors"]);
        let ignored = |name: &str, reason| ModelNotice::IgnoredFile { name: name.into(), reason };
        assert_eq!(
            choice.notices,
            [
                ignored("adapter_model.safetensors", IgnoredReason::Adapter),
                ignored("consolidated.safetensors", IgnoredReason::Consolidated),
            ]
        );
        assert_eq!(files(&["adapter_model.safetensors", "config.json"]), ["adapter_model.safetensors"]);
    }

    #[test]
    fn a_lone_file_is_the_model_whatever_it_is_called() {
        assert_eq!(files(&["weights.of.mine"]), ["weights.of.mine"]);
    }

    #[test]
    fn hidden_files_and_sub_folders_hold_no_weights() {
        assert_eq!(files(&["._a.safetensors", "a.safetensors", "onnx/b.safetensors"]), ["a.safetensors"]);
        assert_eq!(
            choose(&["readme", "x/model.safetensors"]),
            Err(ModelError::NoWeights { nested: Some("x/model.safetensors".into()) })
        );
    }

    #[test]
    fn weights_in_another_format_only_are_named() {
        let other = |file: &str, format| Err(ModelError::OtherFormat { file: file.into(), format });
        assert_eq!(choose(&["config.json", "pytorch_model.bin"]), other("pytorch_model.bin", OtherFormat::PyTorch));
        assert_eq!(choose(&["a.Q4_0.gguf", "config.json"]), other("a.Q4_0.gguf", OtherFormat::Gguf));
    }

    #[test]
    fn shards_without_an_index_tell_by_their_names_which_are_missing() {
        let choice = choose(&["config.json", "model-00002-of-00003.safetensors"]).unwrap();
        let missing = ["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"];
        assert_eq!(choice.notices, [ModelNotice::MissingShards(missing.map(String::from).to_vec())]);
        assert_eq!(choose(&["a.json", "model-00001-of-00001.safetensors"]).unwrap().notices, []);
        assert_eq!(choose(&["a.json", "model-1-of-99999999999.safetensors"]).unwrap().notices, []);
    }
}
