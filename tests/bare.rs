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

/// What mergekit-pytorch makes with --tensor-union; without it, it stops at the first tensor that is missing.
#[test]
fn bare_checkpoints_that_lack_whole_blocks_are_merged_where_they_have_them() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path());
    file(&folder.path().join("c.safetensors"), &[("net.0.conv", &[2, 3, 3, 3], 5.0), ("stem", &[1, 1, 4], 5.0)]);
    file(&folder.path().join("z.safetensors"), &[("net.0.conv", &[2, 3, 3, 3], 0.5), ("stem", &[1, 1, 4], 0.5)]);
    let linear = |first: &str, second: &str| {
        format!(
            "models:\n- {{model: {first}, parameters: {{weight: 0.25}}}}\n- {{model: {second}, parameters: {{weight: 0.75}}}}\nmerge_method: linear\n"
        )
    };
    for (recipe, shared) in [(linear("a", "c"), 4.0), (linear("c", "a"), 2.0)] {
        let (said, code) = merge(folder.path(), &recipe);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("net.1.conv is missing from c") && said.contains("net.2.conv is missing from c"),
            "{said}"
        );
        let expected = [("net.0.conv", shared), ("net.1.conv", 1.0), ("net.2.conv", 1.0), ("stem", shared)];
        assert_eq!(made(folder.path()), expected.map(|(name, value)| (name.to_owned(), value)));
    }
    let on = |base: &str| {
        format!(
            "base_model: {base}\nmodels:\n- {{model: a, parameters: {{weight: 0.5}}}}\n- {{model: c, parameters: {{weight: 0.25}}}}\nmerge_method: task_arithmetic\n"
        )
    };
    let (said, code) = merge(folder.path(), &on("b"));
    assert_eq!(code, Some(0), "{said}");
    let expected = [("net.0.conv", 2.5), ("net.1.conv", 2.0), ("net.2.conv", 2.0), ("stem", 2.5)];
    assert_eq!(made(folder.path()), expected.map(|(name, value)| (name.to_owned(), value)));
    let (said, code) = merge(folder.path(), &on("z"));
    assert!(code == Some(4) && said.contains("net.1.conv is in a but not in the base z"), "{said}");
}

/// The deepest one's, whichever of them gives the output's order.
#[test]
fn what_only_one_bare_checkpoint_has_is_kept_base_or_not() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path());
    file(&folder.path().join("c.safetensors"), &[("net.0.conv", &[2, 3, 3, 3], 1.0), ("stem", &[1, 1, 4], 1.0)]);
    let (said, code) = merge(
        folder.path(),
        "base_model: c\nmodels:\n- {model: a}\n- {model: c}\nmerge_method: slerp\nparameters: {t: 0.5}\n",
    );
    assert_eq!(code, Some(0), "{said}");
    let expected = [("net.0.conv", 1.0), ("net.1.conv", 1.0), ("net.2.conv", 1.0), ("stem", 1.0)];
    assert_eq!(
        made(folder.path()),
        expected.map(|(name, value)| (name.to_owned(), value)),
        "slerp, the base lacks them"
    );
    let (said, code) = merge(
        folder.path(),
        "base_model: b\nmodels:\n- {model: c, parameters: {weight: 1.0}}\nmerge_method: task_arithmetic\n",
    );
    assert_eq!(code, Some(0), "{said}");
    let expected = [("net.0.conv", 1.0), ("net.1.conv", 3.0), ("net.2.conv", 3.0), ("stem", 1.0)];
    assert_eq!(made(folder.path()), expected.map(|(name, value)| (name.to_owned(), value)), "only the base has them");
}

#[test]
fn gradients_of_bare_checkpoints_of_unequal_depth_run_along_all_blocks() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path());
    file(&folder.path().join("c.safetensors"), &[("net.0.conv", &[2, 3, 3, 3], 5.0)]);
    let recipe = "models:\n- {model: c}\n- {model: a}\n- {model: b, parameters: {weight: 1}}\nparameters: {weight: [1, 3, 7]}\nmerge_method: linear\n";
    let (said, code) = merge(folder.path(), recipe);
    assert_eq!(code, Some(0), "{said}");
    // The shares of a are 1, 3 and 7 along the blocks, and b's are 1.
    let expected = [("net.0.conv", 3.0), ("net.1.conv", 1.5), ("net.2.conv", 1.25), ("stem", 2.0)];
    assert_eq!(made(folder.path()), expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn a_bare_checkpoint_is_as_deep_as_a_model_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path());
    let model = folder.path().join("m");
    file(&model.join("model.safetensors"), &[("net.0.conv", &[2, 3, 3, 3], 1.0)]);
    fs::write(model.join("config.json"), r#"{"num_hidden_layers": 1}"#).unwrap();
    let recipe = "models: [{model: m}, {model: a}]\nparameters: {weight: 1}\nmerge_method: linear\n";
    let (said, code) = merge(folder.path(), recipe);
    assert_eq!(code, Some(4));
    assert!(said.contains("m has 1 layers and a has 3"), "{said}");
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
