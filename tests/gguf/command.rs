//! `merge-studio gguf`, and `merge --gguf`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::Made;
use crate::reader::Gguf;

fn put(made: &Made, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in made.folder().files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_merge-studio")).args(words).current_dir(folder).output().unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_becomes_a_file_that_is_replaced_only_if_forced() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let made = Made::new("LlamaForCausalLM");
    put(&made, &place.join("m"));
    let text = said(&run(place, &["gguf", "m", "m.gguf"]), 0);
    assert!(text.contains("m.gguf: llama, F32, 21 tensors"), "{text}");
    let read = |name: &str| Gguf::read(&fs::read(place.join(name)).unwrap());
    assert_eq!(read("m.gguf").text("general.name"), Some("m"));
    assert!(said(&run(place, &["gguf", "m", "m.gguf"]), 2).contains("--force"));
    said(&run(place, &["gguf", "m", "m.gguf", "--type", "f16", "--force"]), 0);
    assert_eq!(read("m.gguf").number("general.file_type"), Some(1));
    said(&run(place, &["gguf", "m", "m/model.safetensors", "--force"]), 2);
    said(&run(place, &["gguf", "m", "m", "--force"]), 2);
    assert!(said(&run(place, &["gguf", "m.gguf", "n.gguf"]), 4).contains("nothing is merged from it"));
    assert_eq!(names(place), ["m", "m.gguf"]);
}

#[test]
fn a_file_that_fails_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let mut made = Made::new("LlamaForCausalLM");
    let bytes = &mut made.tensors.get_mut("model.layers.1.mlp.down_proj.weight").unwrap().2;
    bytes[..4].copy_from_slice(&1e9_f32.to_le_bytes());
    put(&made, &place.join("m"));
    assert!(said(&run(place, &["gguf", "m", "out.gguf", "--type", "f16"]), 1).contains("1 values of model.layers.1"));
    put(&Made::new("GPT2LMHeadModel"), &place.join("g"));
    assert!(said(&run(place, &["gguf", "g", "out.gguf"]), 4).contains("cannot be written as GGUF yet"));
    assert_eq!(names(place), ["g", "m"]);
}

#[test]
fn a_merge_writes_the_file_of_its_output_or_says_beforehand_that_it_cannot() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let mut made = Made::new("Qwen3ForCausalLM");
    put(&made, &place.join("one"));
    made.put("model.norm.weight", &[crate::WIDTH]);
    put(&made, &place.join("two"));
    fs::write(
        place.join("r.yml"),
        "merge_method: linear\nmodels:\n- {model: one, parameters: {weight: 0.5}}\n- {model: two, parameters: {weight: 0.5}}\ndtype: float16\n",
    )
    .unwrap();
    let text = said(&run(place, &["merge", "r.yml", "out", "--device", "cpu", "--gguf", "out.gguf"]), 0);
    assert!(text.contains("out.gguf: qwen3, F16, 25 tensors"), "{text}");
    said(&run(place, &["gguf", "out", "again.gguf"]), 0);
    assert_eq!(fs::read(place.join("out.gguf")).unwrap(), fs::read(place.join("again.gguf")).unwrap());

    // An existing file, or one that cannot be, is told before the merge.
    said(&run(place, &["merge", "r.yml", "more", "--device", "cpu", "--gguf", "out.gguf"]), 2);
    fs::remove_file(place.join("one/tokenizer.json")).unwrap();
    let text = said(&run(place, &["merge", "r.yml", "more", "--device", "cpu", "--gguf", "more.gguf"]), 4);
    assert!(text.contains("no tokenizer.json"), "{text}");
    assert_eq!(names(place), ["again.gguf", "one", "out", "out.gguf", "r.yml", "two"]);
}

#[test]
fn whether_a_result_of_stages_can_be_written_is_seen_before_anything_is_merged() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let mut made = Made::new("LlamaForCausalLM");
    put(&made, &place.join("one"));
    made.put("model.norm.weight", &[crate::WIDTH]);
    put(&made, &place.join("two"));
    let half = "models:\n- {model: one, parameters: {weight: 0.5}}\n- {model: two, parameters: {weight: 0.5}}\n";
    let text = format!(
        "name: x\nmerge_method: linear\n{half}---\nname: y\nmerge_method: passthrough\nmodels: [{{model: x}}]\n---\nmerge_method: slerp\nbase_model: y\nmodels: [{{model: y}}, {{model: two}}]\nparameters: {{t: 0.5}}\ndtype: bfloat16\n"
    );
    fs::write(place.join("r.yml"), text).unwrap();
    let merge = |out: &str, code: i32| {
        let file = format!("{out}.gguf");
        said(&run(place, &["merge", "r.yml", out, "--device", "cpu", "--gguf", &file]), code)
    };
    let text = merge("out", 0);
    assert!(text.contains("Stage 2 of 2") && text.contains("out.gguf: llama, BF16, 21 tensors"), "{text}");
    said(&run(place, &["gguf", "out", "again.gguf"]), 0);
    assert_eq!(fs::read(place.join("out.gguf")).unwrap(), fs::read(place.join("again.gguf")).unwrap());

    let there = ["again.gguf", "one", "out", "out.gguf", "r.yml", "two"];
    // The first stage's donor gives the tokenizer to all that come after it.
    fs::rename(place.join("one/tokenizer.json"), place.join("one/other.json")).unwrap();
    let text = merge("more", 4);
    assert!(text.contains("more cannot be written as GGUF: there is no tokenizer.json"), "{text}");
    assert!(!text.contains("Stage"), "{text}");
    assert_eq!(names(place), there);
    fs::rename(place.join("one/other.json"), place.join("one/tokenizer.json")).unwrap();
    // What no donor shows: a tensor that only another input brings.
    made.put("model.extra.weight", &[crate::WIDTH]);
    put(&made, &place.join("two"));
    let text = merge("more", 4);
    assert!(text.contains("llama has no place for the tensor model.extra.weight"), "{text}");
    assert!(!text.contains("Stage"), "{text}");
    assert_eq!(names(place), there);
}
