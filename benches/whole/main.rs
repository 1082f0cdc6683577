//! Whole merges, measured side by side: the command line beside copying the same bytes, the page beside the command line.
//!
//! `./studio bench --merges --page` runs it. What is compared runs in turn, round after round, so that a busy machine is busy for all
//! of them; figures are medians over the rounds, ratios medians of each round's. The checkpoints are generated once and kept
//! under `target/`. The result is Markdown on standard output.

#[path = "../../tests/support/checkpoints.rs"]
mod checkpoints;
mod merges;
mod page;
mod table;
#[path = "../../tests/support/watch.rs"]
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use checkpoints::{SMALL, Shape};
use clap::{Parser, ValueEnum};
use watch::{Taken, watch};

/// Twice SmolLM2-135M's parameters, within 1 %: wider and deeper by the same share.
const GROWN: Shape = Shape { layers: 44, hidden: 704, key_value: 240, mlp: 1888 };

/// Changed with the generator, so that kept checkpoints of an earlier one are not used.
const GENERATION: u32 = 1;

#[derive(Parser)]
#[command(name = "./studio bench")]
struct Options {
    /// Measure the command line
    #[arg(long)]
    merges: bool,
    /// Measure the page in `--dist`
    #[arg(long)]
    page: bool,
    /// Also measure another program, if a Python on the PATH has it
    #[arg(long, value_enum)]
    against: Option<Other>,
    /// Rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Merge the model folders of this one instead of generated ones: the first by name is the base
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// The built page
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Other {
    Mergekit,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let place = Place::new()?;
    let models = match &options.models {
        Some(folder) => Models::found(folder)?,
        None => place.generated("small", &SMALL, 3)?,
    };
    let threads = std::thread::available_parallelism()?;
    println!("Rounds: {}; processors: {threads}; models: {}.\n", options.runs, models.describe()?);
    if options.merges {
        merges::measure(&place, &models, options.runs, options.against.is_some())?;
        if options.models.is_none() {
            merges::growth(&place, options.runs)?;
        }
    }
    if options.page {
        page::measure(&place, &models, options.runs, &options.dist)?;
    }
    Ok(())
}

/// Model folders beside each other.
struct Models {
    folder: PathBuf,
    /// The base, then its fine-tunes.
    names: Vec<String>,
}

impl Models {
    /// Those that are there.
    fn found(folder: &Path) -> anyhow::Result<Self> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.path().join("model.safetensors").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        if names.len() < 3 {
            bail!("{} holds {} model folders: a base and two fine-tunes are needed", folder.display(), names.len());
        }
        Ok(Self { folder: fs::canonicalize(folder)?, names })
    }

    /// The weights of a model.
    fn file(&self, model: usize) -> PathBuf {
        self.folder.join(&self.names[model]).join("model.safetensors")
    }

    fn describe(&self) -> anyhow::Result<String> {
        let bytes = fs::metadata(self.file(0))?.len();
        Ok(format!("{} and its fine-tunes, {:.0} MB each", self.names[0], bytes as f64 / 1e6))
    }
}

/// Where everything is kept that a measurement needs.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// `count` checkpoints of a shape, made now or earlier.
    fn generated(&self, name: &str, shape: &Shape, count: usize) -> anyhow::Result<Models> {
        let folder = self.folder.join(format!("{name}-{GENERATION}"));
        let names: Vec<String> = (0..count).map(|number| format!("model-{number}")).collect();
        for (number, name) in (0..).zip(&names) {
            let (whole, part) = (folder.join(name), folder.join("part"));
            if !whole.exists() {
                eprintln!("Generating {}", whole.display());
                checkpoints::write(&part, shape, number)?;
                fs::rename(part, whole)?;
            }
        }
        Ok(Models { folder, names })
    }

    /// Writes the recipe for the command line, which finds its models by name.
    fn recipe(&self, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.folder.join("recipe.yml");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Where results go; nothing is there.
    fn output(&self) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join("out");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(folder)
    }

    /// Merges on the command line, on the CPU.
    fn merge(&self, models: &Models, recipe: &str) -> anyhow::Result<Merged> {
        let (recipe, out, counters) = (self.recipe(recipe)?, self.output()?, self.folder.join("counters.json"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_merge-studio"));
        command.args(["merge", "--device", "cpu"]).arg("--models").arg(&models.folder);
        command.arg("--counters").arg(&counters).arg(recipe).arg(&out);
        let taken = run(&mut command)?;
        let counters: serde_json::Value = serde_json::from_slice(&fs::read(counters)?)?;
        let counted = |name: &str| counters[name].as_f64().with_context(|| format!("no {name} was counted"));
        let after = counted("seconds_synced")? + counted("seconds_hashed")?;
        fs::remove_dir_all(out)?;
        Ok(Merged { taken, seconds: taken.seconds - after, after })
    }
}

/// A merge on the command line.
struct Merged {
    taken: Taken,
    /// Without what comes after the last weight.
    seconds: f64,
    /// Until the disk has the files and their SHA-256 are known.
    after: f64,
}

/// Runs a program that is to succeed, and says what it said if it does not.
fn run(command: &mut Command) -> anyhow::Result<Taken> {
    let log = tempfile::NamedTempFile::new()?;
    command.stdout(Stdio::null()).stderr(log.reopen()?);
    let taken = watch(command).with_context(|| format!("{command:?}"))?;
    ensure!(taken.status.success(), "{command:?}: {}", fs::read_to_string(log.path())?);
    Ok(taken)
}
