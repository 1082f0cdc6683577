//! The command line from end to end, on tiny models.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

const PROGRAM: &str = env!("CARGO_BIN_EXE_merge-studio");
const METHODS: [&str; 20] = [
    "linear",
    "slerp",
    "nuslerp",
    "multislerp",
    "karcher",
    "task_arithmetic",
    "ties",
    "dare_linear",
    "dare_ties",
    "della_linear",
    "della",
    "breadcrumbs",
    "breadcrumbs_ties",
    "sce",
    "ram",
    "ramplus_tl",
    "model_stock",
    "nearswap",
    "arcee_fusion",
    "passthrough",
];

/// A folder with the models `base`, `one` and `two`.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (seed, name) in ["base", "one", "two"].into_iter().enumerate() {
            model(&folder.path().join(name), seed as u32, &[]);
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn recipe(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs the program in the folder, on the CPU unless the words say otherwise.
    fn run(&self, words: &[&str]) -> Run {
        let on_cpu = words.first() == Some(&"merge") && !words.contains(&"--device");
        let device = if on_cpu { &["--device", "cpu"][..] } else { &[] };
        let mut command = Command::new(PROGRAM);
        command.args(words).args(device).current_dir(self.folder.path());
        Run::of(command.output().unwrap())
    }

    fn merge(&self, recipe: &str, out: &str, more: &[&str]) -> Run {
        self.run(&[&["merge", recipe, out], more].concat())
    }

    /// What lies in the folder, besides the models: what a command may have left.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["base", "one", "two"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }
}

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "{word} is not in: {}", self.err);
        }
    }

    fn link(&self) -> String {
        self.out.lines().last().unwrap().to_owned()
    }
}

/// Bytes of pseudo-random bf16 numbers around zero.
fn bf16(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9).wrapping_add(12_345);
    (0..count)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5) as f32;
            ((value.to_bits() >> 16) as u16).to_le_bytes()
        })
        .collect()
}

/// A llama of two layers with tied embeddings, and integers that every model has. `without` names tensors to leave out.
fn model(folder: &Path, seed: u32, without: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let mut add = |name: &str, shape: &[usize], seed: u32| {
        let bytes = bf16(seed, shape.iter().product());
        tensors.insert(name.to_owned(), (Dtype::BF16, shape.to_vec(), bytes));
    };
    add("model.embed_tokens.weight", &[96, 32], seed);
    add("model.norm.weight", &[32], seed + 10);
    for layer in 0..2 {
        add(&format!("model.layers.{layer}.self_attn.q_proj.weight"), &[32, 32], seed + 20 + layer);
        add(&format!("model.layers.{layer}.mlp.up_proj.weight"), &[65, 32], seed + 30 + layer);
    }
    tensors.insert("model.position_ids".into(), (Dtype::I64, vec![3], (0..24).collect()));
    for name in without {
        tensors.remove(*name);
    }
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let bytes = safetensors::serialize(views, None).unwrap();
    fs::write(folder.join("model.safetensors"), bytes).unwrap();
    let config = r#"{
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "num_hidden_layers": 2,
  "tie_word_embeddings": true,
  "torch_dtype": "bfloat16",
  "vocab_size": 96
}
"#;
    fs::write(folder.join("config.json"), config).unwrap();
    fs::write(folder.join("tokenizer.json"), r#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}}}"#).unwrap();
    fs::write(folder.join("generation_config.json"), "{}\n").unwrap();
}

fn recipe(method: &str) -> String {
    let one = "  - model: one\n    parameters:\n      weight: 0.6\n      density: 0.5\n";
    let two = "  - model: two\n    parameters:\n      weight: 0.5\n      density: 0.5\n";
    let (base, models, shared) = match method {
        "linear" | "nuslerp" | "multislerp" => (false, "  - model: one\n  - model: two\n", "weight: 0.6"),
        "karcher" => (false, "  - model: one\n  - model: two\n", "max_iter: 5"),
        "passthrough" => (false, "  - model: one\n", "scale: 0.5"),
        "slerp" => (true, "  - model: base\n  - model: one\n", "t: [0.2, 0.8]"),
        "nearswap" => (true, "  - model: one\n", "t: 0.01"),
        "arcee_fusion" => (true, "  - model: one\n", ""),
        "model_stock" => (true, "  - model: one\n  - model: two\n", "filter_wise: true"),
        "sce" => (true, "  - model: one\n  - model: two\n", "select_topk: 0.5"),
        "ram" | "ramplus_tl" => (true, "  - model: one\n  - model: two\n", "epsilon: 0.01"),
        "task_arithmetic" => (
            true,
            "  - model: one\n    parameters: {weight: 0.6}\n  - model: two\n    parameters: {weight: 0.5}\n",
            "lambda: 0.7",
        ),
        _ => (true, &*format!("{one}{two}"), ""),
    };
    let base = if base { "base_model: base\n" } else { "" };
    let shared = if shared.is_empty() { String::new() } else { format!("parameters: {{{shared}}}\n") };
    format!("merge_method: {method}\n{base}models:\n{models}{shared}dtype: bfloat16\n")
}

/// SHA-256 of every file of a folder, by name.
fn fingerprint(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let hash = Sha256::digest(fs::read(entry.path()).unwrap()).to_vec();
            (entry.file_name().into_string().unwrap(), hash)
        })
        .collect()
}

/// The tensors of a model folder: type, shape and bytes by name.
fn tensors(folder: &Path) -> BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
    let mut tensors = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let bytes = fs::read(path).unwrap();
            for (name, view) in safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors() {
                tensors.insert(name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()));
            }
        }
    }
    tensors
}

#[test]
fn every_method_merges_to_the_same_folder_on_any_number_of_threads() {
    let bench = Bench::new();
    let mut seen = Vec::new();
    for method in METHODS {
        bench.recipe("r.yml", &recipe(method));
        let counters = bench.path("counters.json");
        let mut folders = Vec::new();
        for threads in ["1", "2", "5"] {
            let out = format!("{method}-{threads}");
            let more = ["--threads", threads, "--counters", counters.to_str().unwrap(), "--random-seed", "7"];
            bench.merge("r.yml", &out, &more).ok();
            folders.push(fingerprint(&bench.path(&out)));
        }
        assert_eq!(folders[0], folders[1], "{method}");
        assert_eq!(folders[0], folders[2], "{method}");
        let names: Vec<&str> = folders[0].keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "README.md",
                "config.json",
                "generation_config.json",
                "merge-studio.json",
                "mergekit_config.yml",
                "model.safetensors",
                "tokenizer.json"
            ]
        );
        assert!(!seen.contains(&folders[0]["model.safetensors"]), "{method} gave what another method gave");
        seen.push(folders[0]["model.safetensors"].clone());

        let counters: serde_json::Value = serde_json::from_slice(&fs::read(counters).unwrap()).unwrap();
        assert_eq!(counters["backends"], serde_json::json!({ "copy": 1, "cpu": 6 }));
        assert!(counters["largest_allocation"].as_u64().unwrap() > 0);
        assert!(["seconds_synced", "seconds_hashed"].iter().all(|name| counters[*name].as_f64().unwrap() > 0.0));
        assert_eq!(counters["bytes_written"].as_u64().unwrap(), (96 * 32 + 32 + 2 * (32 * 32 + 65 * 32)) * 2 + 24);

        let merged = tensors(&bench.path(&format!("{method}-1")));
        let base = tensors(&bench.path("base"));
        assert_eq!(merged.keys().collect::<Vec<_>>(), base.keys().collect::<Vec<_>>());
        for (name, (dtype, shape, bytes)) in &merged {
            assert_eq!((dtype, shape), (&base[name].0, &base[name].1), "{name}");
            // A vector of 32 may hold no change that stands out.
            if (method, name.as_str()) != ("arcee_fusion", "model.norm.weight") {
                assert_eq!(*bytes == base[name].2, name == "model.position_ids", "{method}: {name}");
            }
        }
    }
}

/// Bytes may differ on a GPU; what is computed may not: here everything agreed to the bit (see docs), so equality is asked for.
#[cfg(feature = "gpu")]
#[test]
fn the_gpu_makes_every_tensor_when_it_is_asked_to() {
    if std::env::var("MERGE_STUDIO_NEED_GPU").as_deref() != Ok("1") {
        println!(
            "skipped: MERGE_STUDIO_NEED_GPU is not 1, so that this machine may have no GPU, nor one that is simulated"
        );
        return;
    }
    let bench = Bench::new();
    for method in METHODS {
        bench.recipe("r.yml", &recipe(method));
        let counters = bench.path("counters.json");
        bench.merge("r.yml", &format!("{method}-cpu"), &["--random-seed", "7"]).ok();
        let more = ["--device", "gpu", "--counters", counters.to_str().unwrap(), "--random-seed", "7"];
        bench.merge("r.yml", &format!("{method}-gpu"), &more).ok();
        let counters: serde_json::Value = serde_json::from_slice(&fs::read(counters).unwrap()).unwrap();
        assert_eq!(counters["backends"], serde_json::json!({ "copy": 1, "gpu": 6 }), "{method}");
        // Everything is read once, and goes up once.
        let count = |of: &serde_json::Value| of.as_u64().unwrap();
        let (read, up) = (count(&counters["bytes_read"]), count(&counters["gpu"]["bytes_up"]));
        assert!((read..read + 100_000).contains(&up), "{method}: {counters}");
        let made_by = |device: &str| tensors(&bench.path(&format!("{method}-{device}")));
        assert!(made_by("gpu") == made_by("cpu"), "{method}");
    }
}

#[test]
fn the_average_is_the_average() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("linear"));
    bench.merge("r.yml", "out", &[]).ok();
    let (one, two, out) = (tensors(&bench.path("one")), tensors(&bench.path("two")), tensors(&bench.path("out")));
    let numbers = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks(2).map(|pair| f32::from_bits(u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16)).collect()
    };
    for name in ["model.embed_tokens.weight", "model.norm.weight", "model.layers.1.mlp.up_proj.weight"] {
        let (one, two, out) = (numbers(&one[name].2), numbers(&two[name].2), numbers(&out[name].2));
        for ((one, two), out) in one.into_iter().zip(two).zip(out) {
            // Half a unit in the last of bf16's eight places, at most.
            let exact = f32::midpoint(one, two);
            assert!((exact - out).abs() <= one.abs().max(two.abs()) / 256.0, "{name}: {exact} {out}");
        }
    }
}

#[test]
fn shards_in_and_out_hold_the_same_tensors() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("ties"));
    bench.merge("r.yml", "whole", &[]).ok();
    bench.merge("r.yml", "shards", &["--out-shard-size", "6KB"]).ok();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.path("shards/model.safetensors.index.json")).unwrap()).unwrap();
    let files: std::collections::BTreeSet<&str> =
        index["weight_map"].as_object().unwrap().values().map(|file| file.as_str().unwrap()).collect();
    assert!(files.len() > 2, "{files:?}");
    for file in &files {
        assert!(bench.path("shards").join(file).is_file(), "{file}");
    }
    assert!(!bench.path("shards/model.safetensors").exists());
    assert_eq!(tensors(&bench.path("shards")), tensors(&bench.path("whole")));

    // And in again: a merge of the shards is the merge of the whole.
    let recipe = |name: &str| {
        format!(
            "merge_method: linear\nmodels:\n  - model: {name}\n    parameters: {{weight: 1}}\n  - model: one\n    parameters: {{weight: 1}}\n"
        )
    };
    bench.recipe("a.yml", &recipe("whole"));
    bench.recipe("b.yml", &recipe("shards"));
    bench.merge("a.yml", "a", &[]).ok();
    bench.merge("b.yml", "b", &[]).ok();
    assert_eq!(tensors(&bench.path("a")), tensors(&bench.path("b")));
}

#[test]
fn a_link_gives_the_same_bytes() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("dare_ties"));
    let link = bench.merge("r.yml", "first", &["--random-seed", "11"]).ok().link();
    assert!(link.starts_with("http://127.0.0.1:8080/#r="), "{link}");
    bench.run(&["merge", "second", "--from-link", &link]).ok();
    assert_eq!(fingerprint(&bench.path("first")), fingerprint(&bench.path("second")));

    bench.merge("r.yml", "other-seed", &["--random-seed", "12"]).ok();
    assert_ne!(
        fingerprint(&bench.path("first"))["model.safetensors"],
        fingerprint(&bench.path("other-seed"))["model.safetensors"]
    );
    // A link made without merging carries recipe, seed and fingerprints as well.
    let link = bench.run(&["link", "r.yml", "--random-seed", "11", "--page", "https://example.org/x/"]).ok().link();
    assert!(link.starts_with("https://example.org/x/#r="), "{link}");
    bench.run(&["merge", "third", "--from-link", &link]).ok();
    assert_eq!(fingerprint(&bench.path("first")), fingerprint(&bench.path("third")));
}

#[test]
fn a_link_is_refused_with_other_models_or_a_wrong_character() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("linear"));
    let link = bench.run(&["link", "r.yml"]).ok().link();
    let mut damaged = link.clone().into_bytes();
    let last = damaged.last_mut().unwrap();
    *last = if *last == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).unwrap();
    bench.run(&["merge", "out", "--from-link", &damaged]).fails(3, &["link"]);
    model(&bench.path("one"), 77, &[]);
    bench.run(&["merge", "out", "--from-link", &link]).fails(4, &["one is not the model", "fingerprint"]);
    assert_eq!(bench.names(), ["r.yml"]);
}

#[test]
fn a_refused_recipe_says_where_and_why() {
    let bench = Bench::new();
    bench.recipe("r.yml", "merge_method: tis\nmodels:\n  - model: one\n");
    bench.merge("r.yml", "out", &[]).fails(3, &["r.yml:1:15: error", "ties", "^^^"]);
    fs::write(bench.path("r.yml"), b"merge\xff\xfe").unwrap();
    bench.merge("r.yml", "out", &[]).fails(3, &["not a text in UTF-8 (byte 5)"]);
    bench.merge("absent.yml", "out", &[]).fails(3, &["absent.yml"]);
    assert_eq!(bench.names(), ["r.yml"]);
}

#[test]
fn strict_makes_errors_of_warnings() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("ties").replace("density", "densty"));
    let run = bench.merge("r.yml", "out", &[]).ok();
    assert!(run.err.contains("warning") && run.err.contains("density"), "{}", run.err);
    bench.merge("r.yml", "strict", &["--strict"]).fails(3, &["error", "density"]);
    assert!(!bench.path("strict").exists());
}

#[test]
fn lost_indentation_is_repaired_only_when_asked() {
    let bench = Bench::new();
    let whole = recipe("dare_ties");
    let flat = whole.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    bench.recipe("whole.yml", &whole);
    bench.recipe("flat.yml", &flat);
    bench.merge("flat.yml", "out", &[]).fails(3, &["--repair", "    parameters:\n", "weight: 0.6"]);
    assert!(!bench.path("out").exists());
    bench.merge("flat.yml", "repaired", &["--repair"]).ok();
    bench.merge("whole.yml", "whole", &[]).ok();
    assert_eq!(fingerprint(&bench.path("repaired")), fingerprint(&bench.path("whole")));
    assert_eq!(fs::read_to_string(bench.path("flat.yml")).unwrap(), flat);
}

#[test]
fn a_missing_model_lists_the_places_that_were_tried() {
    let bench = Bench::new();
    fs::create_dir(bench.path("recipes")).unwrap();
    bench.recipe("recipes/r.yml", &recipe("linear").replace("two", "owner/third"));
    let places = ["owner/third was not found", "recipes/owner/third", "store/owner/third", "store/third.safetensors"];
    bench.merge("recipes/r.yml", "out", &["--models", "store"]).fails(4, &places);
    model(&bench.path("store/third"), 9, &[]);
    bench.merge("recipes/r.yml", "out", &["--models", "store"]).ok();
    // Beside the recipe comes before --models.
    model(&bench.path("recipes/owner/third"), 10, &[]);
    bench.merge("recipes/r.yml", "nearer", &["--models", "store"]).ok();
    assert_ne!(tensors(&bench.path("out")), tensors(&bench.path("nearer")));
}

#[test]
fn models_that_do_not_fit_are_refused_before_anything_is_written() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("slerp"));
    model(&bench.path("one"), 1, &["model.norm.weight"]);
    let run = bench.merge("r.yml", "copied", &[]).ok();
    assert!(run.err.contains("model.norm.weight is missing from one"), "{}", run.err);
    fs::write(bench.path("one/model.safetensors"), b"PK\x03\x04 a zip, renamed").unwrap();
    bench.merge("r.yml", "out", &[]).fails(4, &["one", "model.safetensors"]);
    assert!(!bench.path("out").exists());
}

#[test]
fn a_merge_that_fails_midway_leaves_nothing() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("ties"));
    let file = bench.path("one/model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    // Integers that differ are found while they are copied.
    let at = bytes.windows(24).position(|window| window == (0..24).collect::<Vec<u8>>()).unwrap();
    bytes[at] = 99;
    fs::write(&file, bytes).unwrap();
    bench.merge("r.yml", "out", &[]).fails(1, &["model.position_ids", "integers"]);
    assert_eq!(bench.names(), ["r.yml"]);
}

#[test]
fn a_folder_that_others_made_is_not_replaced() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("linear"));
    fs::create_dir(bench.path("out")).unwrap();
    fs::write(bench.path("out/thesis.txt"), "years of work").unwrap();
    bench.merge("r.yml", "out", &[]).fails(2, &["--force"]);
    bench.merge("r.yml", "base", &["--force"]).ok(); // No input of this recipe.
    bench.merge("r.yml", "one", &["--force"]).fails(2, &["holds an input"]);
    assert_eq!(fs::read_to_string(bench.path("out/thesis.txt")).unwrap(), "years of work");
    bench.merge("r.yml", "out", &["--force"]).ok();
    assert!(!bench.path("out/thesis.txt").exists());
    bench.merge("r.yml", "out", &[]).ok();
    assert_eq!(bench.names(), ["out", "r.yml"]);
}

#[test]
fn plan_shows_every_tensor_and_writes_nothing() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("ties"));
    let text = bench.run(&["plan", "r.yml"]).ok().out;
    for name in tensors(&bench.path("base")).keys() {
        assert!(text.lines().any(|line| line.starts_with(name.as_str())), "{name} is not in\n{text}");
    }
    assert!(text.contains("ties: 6 merged, 1 copied, 0 left out"), "{text}");
    let json = bench.run(&["plan", "r.yml", "--json"]).ok().out;
    bench.merge("r.yml", "out", &[]).ok();
    assert_eq!(json, fs::read_to_string(bench.path("out/merge-studio.json")).unwrap());
}

#[test]
fn a_tokenizer_that_cannot_be_written_is_told_before_the_merge() {
    let bench = Bench::new();
    // A token without a row is taken out, and the merges that made it with it: here one is no merge.
    let tokenizer = r#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 96}, "merges": [["a"]]}}"#;
    fs::write(bench.path("base/tokenizer.json"), tokenizer).unwrap();
    bench.recipe("r.yml", &(recipe("ties") + "tokenizer_source: base\n"));
    for run in [bench.merge("r.yml", "out", &[]), bench.run(&["plan", "r.yml"])] {
        assert!(!run.err.contains("Merging on"), "{}", run.err);
        run.fails(4, &["tokenizer.json"]);
    }
    assert_eq!(bench.names(), ["r.yml"]);
}

#[test]
fn inspect_and_methods_speak_to_people_and_to_programs() {
    let bench = Bench::new();
    let text = bench.run(&["inspect", "one", "--tensors"]).ok().out;
    for words in ["LlamaForCausalLM", "layers        2", "model.norm.weight"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&bench.run(&["inspect", "one", "--json"]).ok().out).unwrap();
    assert!(text.contains(json["fingerprint"].as_str().unwrap()));
    let text = bench.run(&["methods"]).ok().out;
    let json: serde_json::Value = serde_json::from_str(&bench.run(&["methods", "--json"]).ok().out).unwrap();
    let ids: Vec<&str> = json.as_array().unwrap().iter().map(|method| method["id"].as_str().unwrap()).collect();
    assert_eq!(ids, METHODS);
    assert!(METHODS.iter().all(|method| text.contains(method)), "{text}");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/methods.md")).unwrap();
    let made = bench.run(&["methods", "--markdown"]).ok().out;
    assert!(page == made, "docs/methods.md is not what `merge-studio methods --markdown` prints: make it again");
}

#[test]
fn nonsense_is_a_usage_error() {
    let bench = Bench::new();
    for words in [&["merge"][..], &["merge", "r.yml", "out", "--threads", "0"], &["fly"], &["merge", "--device", "x"]] {
        assert_eq!(bench.run(words).code, Some(2), "{words:?}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_merge_leaves_nothing_and_says_130() {
    let bench = Bench::new();
    bench.recipe("r.yml", &recipe("ties"));
    // Large enough to be met in the middle.
    for (seed, name) in ["base", "one", "two"].into_iter().enumerate() {
        let bytes = bf16(seed as u32, 40_000_000);
        let view = TensorView::new(Dtype::BF16, vec![5000, 8000], &bytes).unwrap();
        let file = safetensors::serialize([("w", view)], None).unwrap();
        fs::write(bench.path(name).join("model.safetensors"), file).unwrap();
    }
    let mut child = Command::new(PROGRAM)
        .args(["merge", "r.yml", "out", "--device", "cpu", "--threads", "1"])
        .current_dir(bench.folder.path())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !bench.names().iter().any(|name| name.starts_with(".out.part-")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::yield_now();
    }
    let interrupted = std::time::Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(interrupted.elapsed().as_secs() < 5, "it took {:?}", interrupted.elapsed());
    run.fails(130, &["interrupted"]);
    assert_eq!(bench.names(), ["r.yml"]);
}

#[test]
fn a_benchmark_has_a_figure_for_every_task_beside_the_copy() {
    let bench = Bench::new();
    let run = bench.run(&["benchmark", "--threads", "2", "--layers", "1"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.starts_with("| task | CPU · 2 workers |"), "{}", run.out);
    for task in ["copy", "linear", "slerp", "ties", "dare_ties"] {
        let line = run.out.lines().find(|line| line.starts_with(&format!("| {task} | "))).unwrap_or_default();
        let (cpu, gpu) = line.split_once(" |").and_then(|(_, cells)| cells.split_once(" |")).unwrap_or_default();
        assert!(cpu.contains(" GB/s"), "{}", run.out);
        assert_eq!(cpu.contains("% of the copy"), task != "copy", "{cpu}");
        assert!(gpu.is_empty() || task == "copy" || gpu.contains("same bytes"), "{gpu}");
    }
    let json = bench.run(&["benchmark", "--layers", "1", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(rows[0]["figures"][4]["rate"].as_f64().unwrap() > 0.0, "{}", json.out);
}
