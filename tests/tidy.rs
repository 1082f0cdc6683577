//! The house's rules, kept by a test and not by memory: what may import what, who may name whom, how files open and how long
//! they grow. ARCHITECTURE.md tells the reasons at length.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the engine may import of the others, and why no more.
const DIRECTIONS: [(&str, &[&str], &str); 8] = [
    ("format", &[], "bytes of files: it is read by everything and knows nothing of merging"),
    ("recipe", &[], "text and data: what methods exist comes in as data"),
    ("model", &["format"], "a folder of files, whatever it is used for"),
    ("method", &["kernel", "recipe"], "a formula: it knows no file, no window and no backend"),
    ("plan", &["format", "kernel", "method", "model", "recipe"], "made before a weight is read: it runs nothing"),
    ("run", &["format", "kernel", "method", "plan"], "it executes plans: recipes and models are behind it"),
    (
        "gauge",
        &["format", "kernel", "method", "model", "plan", "recipe", "run"],
        "a merge like any other, of models that are made up: it merges nothing by itself",
    ),
    (
        "output",
        &["format", "kernel", "method", "model", "plan", "recipe", "run"],
        "what surrounds the weights, and other forms of them: it takes what a merge made and merges nothing",
    ),
];

type Words = &'static [&'static str];

/// Packages of their own, which the engine shows as a module. That they import nothing else of ours is seen to by cargo, as is
/// that the CPU's does not know the GPU's.
const KERNEL: &str = "kernel";

/// Words that may stand in some folders only: (words, where files are looked through, where they may stand, why).
const NAMES: [(Words, Words, Words, &str); 9] = [
    (
        &["wgpu"],
        &["src", "kernel", "web"],
        &["kernel/gpu/"],
        "one place knows the GPU's library, so that it can change in one place",
    ),
    (
        &["web_sys", "js_sys", "yew", "gloo", "wasm_bindgen"],
        &["src", "kernel/src", "kernel/gpu/src"],
        &[],
        "the engine runs natively and in any page",
    ),
    (
        &["cpu", "Cpu", "merge_studio_gpu"],
        &["kernel/src", "kernel/gpu/src"],
        &["kernel/src/lib.rs", "kernel/src/cpu/"],
        "the backends are compared by tests: neither may lean on the other",
    ),
    (
        &["std::fs", "std::net", "std::process", "std::thread", "std::time", "anyhow", "clap", "indicatif"],
        &["src", "kernel/src", "kernel/gpu/src", "eval/src"],
        &["src/main.rs", "src/cli/"],
        "a page has none of these: bytes, threads and clocks are the host's",
    ),
    (
        &["yew", "ui", "bridge", "worker"],
        &["web/scribe"],
        &[],
        "what writes one kind of file is fetched by itself: nothing of the page goes with it",
    ),
    (
        &["candle_core", "tokenizers", "rayon"],
        &["eval/src"],
        &["eval/src/model/"],
        "a task asks, and never sees a model",
    ),
    (&["crate::model"], &["eval/src/task", "eval/src/python"], &[], "a task asks, and never sees a model"),
    (&["crate::task", "crate::python"], &["eval/src/model"], &[], "a model answers, and never sees a task"),
    (&["yew", "ui", "view"], &["web/examiner/src/worker"], &[], "what computes draws nothing"),
];

/// Lines in the longest file. One that outgrows about 500 is asked whether it is two; none passes this.
const LONGEST: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Rust file: its path from the root, and its lines.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Code that is shipped: without comments and without the tests at a file's end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.ends_with("tests.rs") || self.path.contains("/tests/");
        let end = if is_test { 0 } else { usize::MAX };
        let mut shipped = true;
        self.text
            .lines()
            .enumerate()
            .take(end)
            .filter(move |(_, line)| {
                shipped &= !line.starts_with("mod tests {");
                shipped
            })
            .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
    }
}

/// Every file of ours under `folder` that ends in one of `extensions`.
fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    const SKIPPED: [&str; 6] = ["target", "dist", "node_modules", ".git", "test-results", "playwright-report"];
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    open.push(entry.path());
                }
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

fn sources(folder: &str) -> Vec<Source> {
    let read = |path: PathBuf| Source { path: relative(&path), text: fs::read_to_string(path).unwrap() };
    files(folder, &[".rs"]).into_iter().map(read).collect()
}

/// The names that follow `crate::` in a line: one, or several in braces.
fn imports(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, prefix) in line.match_indices("crate::") {
        // `$crate` in a macro is `crate`, too; `some_crate::` is not.
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + prefix.len()..];
        let name =
            |text: &str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group.split(',').map(name)),
            None => names.push(name(rest)),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Whether `word` stands in `line` as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(inside) && !line[at + word.len()..].starts_with(inside))
}

/// Fails with all of `offences`, so that one run shows what there is to do.
fn none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn modules_import_in_one_direction() {
    let modules: BTreeSet<&str> = DIRECTIONS.iter().map(|(module, ..)| *module).collect();
    let named = |name: &str| modules.contains(name) || name == KERNEL;
    let mut offences = Vec::new();
    let mut seen = BTreeSet::new();
    for (module, allowed, why) in DIRECTIONS {
        for source in sources(&format!("src/{module}")) {
            seen.insert(module);
            for (number, line) in source.code() {
                for name in imports(line) {
                    if named(&name) && name != module && !allowed.contains(&name.as_str()) {
                        offences.push(format!("{}:{number}: {module} imports {name}; {why}", source.path));
                    }
                }
            }
        }
    }
    assert_eq!(seen, modules, "the table names a module that is not there");
    none(&offences);
}

#[test]
fn every_module_has_its_direction() {
    let listed: BTreeSet<String> = DIRECTIONS.iter().map(|(module, ..)| (*module).to_owned()).collect();
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let there: BTreeSet<String> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned)).collect();
    assert_eq!(listed, there);
}

#[test]
fn libraries_are_named_only_in_their_place() {
    let mut offences = Vec::new();
    for (words, folders, places, why) in NAMES {
        for source in folders.iter().flat_map(|folder| sources(folder)) {
            if places.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            for (number, line) in source.code() {
                for word in words.iter().filter(|word| names(line, word)) {
                    offences.push(format!("{}:{number}: names {word}; {why}", source.path));
                }
            }
        }
    }
    none(&offences);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let offences: Vec<String> = ["src", "crc32", "eval", "kernel", "web", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{} does not open with `//! `: one sentence of what it is", source.path))
        .collect();
    none(&offences);
}

#[test]
fn no_file_outgrows_a_reader() {
    let mut offences = Vec::new();
    for path in ["src", "crc32", "eval", "kernel", "web", "tests", "benches"]
        .iter()
        .flat_map(|folder| files(folder, &[".rs", ".wgsl", ".ts", ".css"]))
    {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > LONGEST {
            offences.push(format!("{} has {lines} lines, more than {LONGEST}: is it two files?", relative(&path)));
        }
    }
    none(&offences);
}

#[test]
fn no_text_names_the_machine_it_was_written_on() {
    // In two parts, so that this file is no offender.
    let machines = [["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"], ["/wo", "rk/"]].map(|parts| parts.concat());
    let extensions =
        [".rs", ".md", ".toml", ".yml", ".json", ".ts", ".js", ".css", ".html", ".wgsl", ".py", "studio", "run"];
    let mut offences = Vec::new();
    for path in files(".", &extensions) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (index, line) in text.lines().enumerate() {
            for machine in machines.iter().filter(|machine| names_path(line, machine)) {
                offences.push(format!("{}:{}: names {machine}", relative(&path), index + 1));
            }
        }
    }
    none(&offences);
}

#[test]
fn every_difference_from_mergekit_is_shown_by_what_is_named() {
    let page = fs::read_to_string(root().join("docs/mergekit.md")).unwrap();
    let (_, differences) = page.split_once("## Where we differ").unwrap();
    let code: String = files(".", &[".rs"]).iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    let cases: Vec<String> = fs::read_dir(root().join("tests/golden/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let is_there = |name: &str| {
        let golden = |case: &String| match name.split_once('*') {
            Some((start, end)) => case.starts_with(start) && case.ends_with(end),
            None => case == name,
        };
        code.contains(&format!("fn {name}("))
            || code.contains(&format!("\"{name}\""))
            || cases.iter().any(golden)
            || root().join(name).is_file()
    };
    let rows: Vec<&str> = differences.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 20, "{} rows are too few to be all", rows.len());
    let shown = |row: &&str| row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default().to_owned();
    let mut offences = Vec::new();
    for row in rows.iter().map(shown) {
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            offences.push(format!("{row}: names no test"));
        }
        offences.extend(names.into_iter().filter(|name| !is_there(name)).map(|name| format!("{name} is nowhere")));
    }
    none(&offences);
}

/// Whether an absolute path under `folder` stands in `line`: not one that ends in it, like `docs/work/`.
fn names_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~*}".contains(c)))
}

#[test]
fn the_rules_see_what_they_should() {
    assert_eq!(imports("use crate::plan::Plan;"), ["plan"]);
    assert_eq!(imports("use crate::{plan, run::job};"), ["plan", "run"]);
    assert_eq!(imports("fn f(x: crate::model::Model) -> $crate::kernel::Mix"), ["model", "kernel"]);
    assert!(imports("use other_crate::plan;").is_empty());
    assert!(names("use wgpu::Device;", "wgpu") && !names("my_wgpu_thing", "wgpu"));
    assert!(names_path("cd /opt_/x/ /tmp/", "/tmp/") && !names_path("docs/tmp/", "/tmp/"));
    let source = Source {
        path: "src/a.rs".into(),
        text: "use crate::run; // crate::plan\n// crate::plan\nmod tests {\n    use crate::plan;\n}".into(),
    };
    assert_eq!(source.code().flat_map(|(_, line)| imports(line)).collect::<Vec<_>>(), ["run"]);
}
