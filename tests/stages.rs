//! Recipes of several documents from end to end: what is foreseen of a stage, what the command line makes of it, and what it leaves.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use merge_studio::method;
use merge_studio::model::tokenizer::TokenizerFiles;
use merge_studio::model::{self, Folder, Model};
use merge_studio::output;
use merge_studio::plan::{self, PlanError, PlanOptions};
use merge_studio::recipe::{self, Link, Recipe};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

const FIRST: &str = "models:\n  - model: tok-base\n  - model: tok-a\nmerge_method: linear\nparameters:\n  weight: 0.5\ndtype: float32\ntokenizer_source: union\n";
const LAST: &str = "models:\n  - model: first\n  - model: tok-b\nmerge_method: task_arithmetic\nbase_model: tok-base\nparameters:\n  weight: 0.7\ndtype: bfloat16\ntokenizer_source: union\nchat_template: chatml\n";

fn both() -> String {
    format!("name: first\n{FIRST}---\n{LAST}")
}

fn inputs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inputs")
}

fn folder(path: &Path) -> Folder<Vec<u8>> {
    let files = fs::read_dir(path).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
    });
    Folder { name: path.file_name().unwrap().to_str().unwrap().to_owned(), files: files.collect() }
}

fn read(text: &str) -> Recipe {
    recipe::check(text, &method::infos()).recipe.unwrap()
}

/// The models that a recipe names, and their tokenizers.
fn opened(recipe: &Recipe) -> (Vec<Model>, BTreeMap<String, usize>, BTreeMap<usize, TokenizerFiles>) {
    let names = plan::input_names(recipe);
    let folders: Vec<_> = names.iter().map(|name| folder(&inputs().join(name))).collect();
    let models: Vec<Model> = folders.iter().map(|folder| pollster::block_on(model::open(folder)).unwrap()).collect();
    let binding = names.into_iter().enumerate().map(|(index, name)| (name, index)).collect();
    let tokenizers = plan::tokenizers_wanted(recipe, &models, &binding).into_iter();
    let tokenizers =
        tokenizers.map(|index| (index, pollster::block_on(TokenizerFiles::read(&folders[index])).unwrap()));
    let tokenizers = tokenizers.collect();
    (models, binding, tokenizers)
}

/// A folder to run the program in.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            fs::write(bench.path(name), text).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Exit code, what was printed, and what was said beside it.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_merge-studio"));
        let output = command.args(words).arg("--models").arg(inputs()).current_dir(self.0.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn merge(&self, recipe: &str, out: &str) -> String {
        let (code, printed, said) = self.run(&["merge", recipe, out, "--device", "cpu", "--counters", "counters"]);
        assert_eq!(code, Some(0), "{said}");
        printed
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn counter(&self, name: &str) -> u64 {
        let counters: serde_json::Value = serde_json::from_slice(&fs::read(self.path("counters")).unwrap()).unwrap();
        counters[name].as_u64().unwrap()
    }
}

/// The tensors of an output, by name.
fn tensors(folder: &Path) -> BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
    tensors.tensors().into_iter().map(|(name, view)| (name, tensor(view))).collect()
}

#[test]
fn a_result_is_foreseen_as_it_will_be_opened() {
    let bench = Bench::new(&[("first.yml", FIRST)]);
    bench.merge("first.yml", "first");
    let made = folder(&bench.path("first"));
    let model = pollster::block_on(model::open(&made)).unwrap();

    let recipe = read(&both());
    let (models, binding, tokenizers) = opened(&recipe);
    let given = models.len();
    let staged = output::plan_all(&recipe, models, &binding, tokenizers, &PlanOptions::default()).unwrap();
    let foreseen = &staged.models[given];
    // The metadata in a header depends on the recipe alone, so even places are the same.
    assert_eq!((&foreseen.tensors, &foreseen.weight_files), (&model.tensors, &model.weight_files));
    assert_eq!((&foreseen.config, foreseen.family), (&model.config, model.family));
    assert_eq!((&foreseen.companions, &foreseen.vocabulary), (&model.companions, &model.vocabulary));
    assert!(foreseen.vocabulary.is_some());
    assert_eq!(staged.tokenizers[&given], pollster::block_on(TokenizerFiles::read(&made)).unwrap());
    assert!(model.notices.is_empty());
}

#[test]
fn stages_give_the_tensors_that_merging_by_hand_gives_and_leave_nothing() {
    let bench = Bench::new(&[("both.yml", &both()), ("first.yml", FIRST), ("last.yml", LAST)]);
    bench.merge("both.yml", "staged");
    let read = bench.counter("bytes_read");
    assert_eq!(bench.names(), ["both.yml", "counters", "first.yml", "last.yml", "staged"]);
    bench.merge("first.yml", "first");
    let first = bench.counter("bytes_read");
    bench.merge("last.yml", "by-hand");
    assert_eq!(read, first + bench.counter("bytes_read"));
    assert_eq!(tensors(&bench.path("staged")), tensors(&bench.path("by-hand")));
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        let of = |folder: &str| fs::read(bench.path(folder).join(name)).unwrap();
        assert_eq!(of("staged"), of("by-hand"), "{name}");
    }

    let text = |name: &str| fs::read_to_string(bench.path("staged").join(name)).unwrap();
    assert_eq!(self::read(&text("mergekit_config.yml")), self::read(&both()));
    let ledger: serde_json::Value = serde_json::from_str(&text("merge-studio.json")).unwrap();
    assert_eq!(ledger["stages"][0]["name"], "first");
    assert_eq!(ledger["stages"][0]["inputs"].as_array().unwrap().len(), 2);
    assert!(text("README.md").contains("1. `first`: Linear merge of `tok-base` and `tok-a`"));
}

#[test]
fn a_link_names_the_models_and_no_result() {
    let bench = Bench::new(&[("both.yml", &both())]);
    let printed = bench.merge("both.yml", "out");
    let (_, link) = printed.lines().last().unwrap().split_once("#r=").unwrap();
    let decoded = Link::decode(link).unwrap();
    assert_eq!(decoded.recipe, both());
    let names: Vec<&str> = decoded.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["tok-base", "tok-a", "tok-b"]);
    let (code, _, said) = bench.run(&["merge", "again", "--from-link", link]);
    assert_eq!(code, Some(0), "{said}");
    let bytes = |folder: &str| fs::read(bench.path(folder).join("model.safetensors")).unwrap();
    assert_eq!(bytes("out"), bytes("again"));
}

#[test]
fn a_plan_shows_every_stage_and_what_is_kept() {
    let bench = Bench::new(&[("both.yml", &both())]);
    let (code, printed, _) = bench.run(&["plan", "both.yml"]);
    assert_eq!(code, Some(0));
    let places: Vec<_> = ["Stage first", "linear: ", "Output (", "task_arithmetic: "]
        .into_iter()
        .map(|words| printed.find(words).unwrap_or_else(|| panic!("{words} is not in {printed}")))
        .collect();
    assert!(places.is_sorted());
}

#[test]
fn results_are_kept_until_the_last_merge_that_reads_them() {
    let one =
        |name: &str, of: &str| format!("name: {name}\nmodels:\n  - model: {of}\nmerge_method: passthrough\n---\n");
    let text = one("a", "near-a") + &one("b", "a") + &one("c", "b") + &one("", "c").replace("name: \n", "");
    let recipe = read(text.trim_end_matches("---\n"));
    let (models, binding, tokenizers) = opened(&recipe);
    let plan = output::plan_all(&recipe, models, &binding, tokenizers, &PlanOptions::default()).unwrap().plan;
    assert_eq!(plan.stages.iter().map(|stage| stage.until).collect::<Vec<_>>(), [1, 2, 3]);
    let sizes: Vec<u64> = plan.stages.iter().map(|stage| stage.len).collect();
    assert_eq!(plan.kept_at_most(), (sizes[0] + sizes[1]).max(sizes[1] + sizes[2]));
    assert_eq!(plan.disk_at_most(), plan.kept_at_most().max(sizes[2] + plan.files[0].len));
    assert_eq!(plan.models().iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["near-a"]);
}

#[test]
fn what_keeps_a_stage_from_being_planned_is_told_with_its_name() {
    let shallow = both().replace("  - model: tok-a\n", "  - model: far-a\n");
    let recipe = read(&shallow);
    let (models, binding, tokenizers) = opened(&recipe);
    let error = output::plan_all(&recipe, models, &binding, tokenizers, &PlanOptions::default()).unwrap_err();
    assert!(matches!(&error, PlanError::InStage { stage, .. } if stage == "first"), "{error}");
    let bench = Bench::new(&[("r.yml", &shallow)]);
    let (code, _, said) = bench.run(&["merge", "r.yml", "out"]);
    assert!(code == Some(4) && said.contains("first: "), "{said}");
    assert_eq!(bench.names(), ["r.yml"]);
}

#[test]
fn a_failure_midway_leaves_nothing() {
    let text = "name: x\nmodels:\n  - model: one\nmerge_method: passthrough\n---\nmodels:\n  - model: x\n  - model: two\nmerge_method: linear\nparameters:\n  weight: 1\n";
    let bench = Bench::new(&[("r.yml", text)]);
    for (name, id) in [("one", 1_u8), ("two", 2)] {
        fs::create_dir(bench.path(name)).unwrap();
        // Integers that differ are found while they are copied.
        let (weight, ids) = (vec![0; 8], [[id; 8]].concat());
        let views = [
            ("layers.0.w", TensorView::new(Dtype::F32, vec![2], &weight).unwrap()),
            ("ids", TensorView::new(Dtype::I64, vec![1], &ids).unwrap()),
        ];
        fs::write(bench.path(name).join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    }
    let (code, _, said) = bench.run(&["merge", "r.yml", "out", "--device", "cpu"]);
    assert!(code == Some(1) && said.contains("Stage 1 of 1: x, passthrough of one"), "{said}");
    assert!(said.contains("holds integers that differ between x and two"), "{said}");
    assert_eq!(bench.names(), ["one", "r.yml", "two"]);
}

/// Names of everything in a folder and below it, hidden ones too.
#[cfg(unix)]
fn below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    // What vanishes meanwhile is not there.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        names.extend(below(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}")));
        names.push(name);
    }
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn an_interrupted_stage_leaves_nothing_and_what_was_there_before_stays() {
    let stage = |name: &str, models: &str| format!("name: {name}\nmodels: {models}\nmerge_method: karcher\n");
    let text = [
        stage("x", "[{model: one}, {model: two}]"),
        stage("y", "[{model: x}, {model: two}]"),
        "models: [{model: x}, {model: y}]\nmerge_method: karcher\n".to_owned(),
    ];
    let bench = Bench::new(&[("r.yml", &text.join("---\n"))]);
    for (name, value) in [("one", 1.0_f32), ("two", 2.0)] {
        // Large enough for every stage to be met in its middle.
        let bytes = value.to_le_bytes().repeat(12_000_000);
        let view = TensorView::new(Dtype::F32, vec![3000, 4000], &bytes).unwrap();
        fs::create_dir(bench.path(name)).unwrap();
        fs::write(bench.path(name).join("model.safetensors"), safetensors::serialize([("w", view)], None).unwrap())
            .unwrap();
    }
    // An earlier output, which would be replaced.
    fs::create_dir(bench.path("out")).unwrap();
    fs::write(bench.path("out/merge-studio.json"), "earlier").unwrap();
    let before = below(bench.0.path());
    for stage in [0, 1] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_merge-studio"))
            .args(["merge", "r.yml", "out", "--device", "cpu", "--threads", "1"])
            .current_dir(bench.0.path())
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let folder = format!(".out.stages-{}/{stage}/model.safetensors", child.id());
        while !bench.path(&folder).exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
            std::thread::yield_now();
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(130) && said.contains("interrupted; nothing unfinished was kept"),
            "{said}"
        );
        assert!(said.contains(&format!("Stage {} of 2", stage + 1)), "{said}");
        assert_eq!(below(bench.0.path()), before);
        assert_eq!(fs::read_to_string(bench.path("out/merge-studio.json")).unwrap(), "earlier");
    }
}
