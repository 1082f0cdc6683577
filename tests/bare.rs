//! Checkpoints as they are found outside hubs, through the command line: tensors without a config.json, pickles, quantized weights.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// What the program wrote to stdout and stderr, and its exit code.
fn run(folder: &Path, words: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_merge-studio")).args(words).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// Merges by `recipe` into `out`; gives what was said and the exit code.
fn merge(folder: &Path, recipe: &str) -> (String, Option<i32>) {
    fs::write(folder.join("recipe.yml"), recipe).unwrap();
    let (_, said, code) = run(folder, &["merge", "recipe.yml", "out", "--device", "cpu"]);
    (said, code)
}

/// A file with these tensors: name, shape, and the value of every element.
fn file(path: &Path, tensors: &[(&str, &[usize], f32)]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, shape, value)| value.to_le_bytes().repeat(shape.iter().product())).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The first element of every tensor of the merged file, by name.
fn made(folder: &Path) -> Vec<(String, f32)> {
    let bytes = fs::read(folder.join("out/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut made: Vec<(String, f32)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, f32::from_le_bytes(*view.data().first_chunk().unwrap())))
        .collect();
    made.sort_by(|(one, _), (other, _)| one.cmp(other));
    made
}

const BLOCKS: [&str; 3] = ["net.0.conv", "net.1.conv", "net.2.conv"];

/// `a.safetensors` of ones and `b.safetensors` of threes.
fn two_files(folder: &Path) {
    for (name, value) in [("a", 1.0), ("b", 3.0)] {
        let shapes: [&[usize]; 4] = [&[2, 3, 3, 3], &[], &[5], &[1, 1, 4]];
        let names = BLOCKS.into_iter().chain(["stem"]).zip(shapes).map(|(name, shape)| (name, shape, value));
        file(&folder.join(format!("{name}.safetensors")), &names.collect::<Vec<_>>());
    }
}

#[test]
fn lone_files_merge_whatever_their_tensors_are_called_and_the_output_has_no_config() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path());
    let recipe = "models:\n- model: a.safetensors\n  parameters: {weight: 1}\n- model: b.safetensors\n  parameters: {weight: 1}\nmerge_method: linear\n";
    let (said, code) = merge(folder.path(), recipe);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("config.json"), "{said}");
    assert!(!folder.path().join("out/config.json").exists());
    assert!(made(folder.path()).iter().all(|(_, value)| *value == 2.0));
}

/// A known difference: mergekit-pytorch knows no layers, and takes a gradient's first value everywhere.
#[test]
fn gradients_run_along_the_numbers_in_names_where_mergekit_takes_the_first_value() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path());
    let recipe = "models: [{model: a.safetensors}, {model: b.safetensors}]\nmerge_method: slerp\nbase_model: a.safetensors\nparameters: {t: [0, 1]}\n";
    let (said, code) = merge(folder.path(), recipe);
    assert_eq!(code, Some(0), "{said}");
    let expected = [("net.0.conv", 1.0), ("net.1.conv", 2.0), ("net.2.conv", 3.0), ("stem", 1.0)];
    for ((name, value), (expected_name, expected)) in made(folder.path()).iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert!((value - expected).abs() < 1e-6, "{name} is {value}");
    }
}

/// A known difference: with --tensor-union mergekit-pytorch merges what there is.
#[test]
fn a_checkpoint_that_lacks_whole_blocks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path());
    file(&folder.path().join("c.safetensors"), &[("net.0.conv", &[2, 3, 3, 3], 1.0)]);
    let recipe = "models:\n- model: a.safetensors\n  parameters: {weight: 1}\n- model: c.safetensors\n  parameters: {weight: 1}\nmerge_method: linear\n";
    let (said, code) = merge(folder.path(), recipe);
    assert_eq!(code, Some(4));
    assert!(said.contains("a.safetensors has 3 layers and c.safetensors has 1"), "{said}");
}

#[test]
fn a_pickle_is_refused_with_the_line_that_converts_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("old")).unwrap();
    fs::write(folder.path().join("old/last.ckpt"), b"PK\x03\x04").unwrap();
    let (_, said, code) = run(folder.path(), &["inspect", "old"]);
    assert_eq!(code, Some(4));
    assert!(said.contains("torch.load('last.ckpt', map_location='cpu', weights_only=True)"), "{said}");
}

#[test]
fn quantized_models_are_refused_by_their_method_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let path = folder.path().join(name);
        file(&path.join("model.safetensors"), &[("layers.0.q_proj.scales", &[4], 1.0)]);
        let config = r#"{"model_type": "llama", "quantization_config": {"quant_method": "awq", "bits": 4}}"#;
        fs::write(path.join("config.json"), config).unwrap();
    }
    let recipe =
        "models:\n- model: a\n  parameters: {weight: 1}\n- model: b\n  parameters: {weight: 1}\nmerge_method: linear\n";
    let (said, code) = merge(folder.path(), recipe);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("a is quantized with awq"), "{said}");
    assert!(!folder.path().join("out").exists());
    // The leftover of a model that was dequantized, once deleted, is in nobody's way.
    for name in ["a", "b"] {
        fs::write(folder.path().join(name).join("config.json"), r#"{"quantization_config": null}"#).unwrap();
    }
    assert_eq!(merge(folder.path(), recipe).1, Some(0));
}
