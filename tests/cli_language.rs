//! The recipe language through the command line, on the goldens' small models: what lands in the folder around the weights.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::SafeTensors;
use serde_json::Value;

/// A folder for recipes and outputs, beside the goldens' models.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `merge` on the CPU with these words.
    fn merge(&self, words: &[&str]) -> Output {
        let models = goldens().join("inputs");
        let mut command = Command::new(env!("CARGO_BIN_EXE_merge-studio"));
        command.arg("merge").args(words).args(["--device", "cpu"]).arg("--models").arg(models);
        command.current_dir(self.0.path()).output().unwrap()
    }

    /// Merges a recipe into `out`.
    fn recipe(&self, text: &str, out: &str) -> Output {
        fs::write(self.path("recipe.yml"), text).unwrap();
        self.merge(&["recipe.yml", out])
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap()
    }

    /// The shape of a tensor of the output `out`.
    fn shape(&self, out: &str, tensor: &str) -> Vec<usize> {
        let bytes = fs::read(self.path(out).join("model.safetensors")).unwrap();
        SafeTensors::deserialize(&bytes).unwrap().tensor(tensor).unwrap().shape().to_vec()
    }
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn case(name: &str) -> String {
    fs::read_to_string(goldens().join("cases").join(name).join("recipe.yml")).unwrap()
}

#[track_caller]
fn ok(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
}

#[test]
fn a_link_to_a_merge_with_adapters_names_every_folder_and_gives_the_same_bytes() {
    let bench = Bench::new();
    let out = ok(bench.recipe(&case("lora-linear-on-two-models"), "one"));
    let link = out.lines().last().unwrap();
    ok(bench.merge(&["two", "--from-link", link]));
    for file in ["model.safetensors", "merge-studio.json", "README.md"] {
        let [one, two] = ["one", "two"].map(|out| fs::read(bench.path(out).join(file)).unwrap());
        assert!(one == two, "{file}");
    }
    let adapters: Vec<Value> = bench.json("one/merge-studio.json")["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|tensor| tensor["sources"][0].get("adapter").cloned())
        .collect();
    assert!(!adapters.is_empty() && adapters.iter().all(|adapter| adapter["input"] == "lora-far"), "{adapters:?}");
}

#[test]
fn an_adapter_is_no_model() {
    let bench = Bench::new();
    let recipe = "models:\n- model: lora-far\nmerge_method: passthrough\n";
    fails(&bench.recipe(recipe, "out"), 4, &["lora-far is a LoRA adapter", "MODEL+lora-far"]);
    assert!(!bench.path("out").exists());
}

#[test]
fn aligned_vocabularies_bring_their_tokenizer() {
    let bench = Bench::new();
    ok(bench.recipe(&case("tokenizer-union-linear"), "out"));
    let config = bench.json("out/config.json");
    let rows = bench.shape("out", "model.embed_tokens.weight")[0];
    assert_eq!(config["vocab_size"], rows);
    let tokenizer = bench.json("out/tokenizer.json");
    let last = tokenizer["added_tokens"].as_array().unwrap().last().unwrap()["id"].as_u64().unwrap();
    assert_eq!(last + 1, rows as u64);
}

#[test]
fn vocabularies_of_unequal_size_are_refused_with_what_to_write() {
    let bench = Bench::new();
    let recipe: String = case("tokenizer-union-linear")
        .lines()
        .filter(|line| !line.starts_with("tokenizer"))
        .fold(String::new(), |recipe, line| recipe + line + "\n");
    fails(&bench.recipe(&recipe, "out"), 4, &["the vocabularies differ in size", "`tokenizer_source: union`"]);
}

#[test]
fn a_model_of_slices_says_how_many_layers_it_has() {
    let bench = Bench::new();
    ok(bench.recipe(&case("slices-passthrough-repeats-drops-and-interleaves"), "out"));
    assert_eq!(bench.json("out/config.json")["num_hidden_layers"], 8);
    assert_eq!(bench.shape("out", "model.layers.7.mlp.up_proj.weight"), [48, 32]);
}
