//! The program's commands and options. What they do is in the modules; what they mean is in docs/cli.md.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use merge_studio::gauge::LAYERS;

mod benchmark;
#[cfg(feature = "eval")]
mod eval;
mod failure;
mod files;
mod gguf;
mod merge;
mod models;
mod progress;
mod publish;
mod recipe;
mod show;
mod stages;
mod words;
mod workers;

/// Merge safetensors models with mergekit recipes.
#[derive(Parser)]
#[command(name = "merge-studio", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Merge: make the model that a recipe describes
    Merge(MergeArgs),
    /// Show what a merge would do to every tensor, without doing it
    Plan {
        #[command(flatten)]
        recipe: RecipeArgs,
        #[command(flatten)]
        options: PlanArgs,
        /// Print the ledger as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a model is: its architecture, tensors, tokenizer and fingerprint
    Inspect {
        /// A folder, or a safetensors file
        model: PathBuf,
        /// List every tensor
        #[arg(long)]
        tensors: bool,
        /// Print all of it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a model as one GGUF file, for llama.cpp
    Gguf(GgufArgs),
    /// Evaluate models with lm-evaluation-harness's tasks
    #[cfg(feature = "eval")]
    Eval(EvalArgs),
    /// Measure how fast this device merges, on the CPU and on the GPU, beside a plain copy
    Benchmark {
        /// Threads that compute on the CPU [default: one a core]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
        threads: Option<u16>,
        /// Print the figures as JSON
        #[arg(long)]
        json: bool,
        /// Layers of the made-up models: for tests
        #[arg(long, hide = true, default_value_t = LAYERS, value_parser = clap::value_parser!(u64).range(1..=LAYERS))]
        layers: u64,
    },
    /// Print a link that carries recipe, seed and fingerprints
    Link {
        #[command(flatten)]
        recipe: RecipeArgs,
        /// Seed of the random methods
        #[arg(long, value_name = "N", default_value_t = 0)]
        random_seed: u64,
        /// Address of the page that the link opens
        #[arg(long, value_name = "URL", default_value = show::PAGE)]
        page: String,
    },
    /// List the merge methods and their parameters
    Methods {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
        /// Print them as Markdown: docs/methods.md
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
}

/// Where the recipe and its models come from.
#[derive(Args)]
struct RecipeArgs {
    /// A recipe in mergekit's YAML
    recipe: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Args)]
struct ReadingArgs {
    /// Where models are looked for, after the working directory and the recipe's folder
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Treat the recipe's warnings as errors
    #[arg(long)]
    strict: bool,
    /// Put back the indentation that the recipe lost
    #[arg(long)]
    repair: bool,
}

/// What else a plan depends on.
#[derive(Args)]
struct PlanArgs {
    /// Seed of the random methods
    #[arg(long, value_name = "N")]
    random_seed: Option<u64>,
    /// Largest size of one weight file: bytes, or with a unit (500MB, 5GB, 2GiB)
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = size)]
    out_shard_size: u64,
}

#[derive(Args)]
#[command(allow_missing_positional = true)]
struct MergeArgs {
    /// A recipe in mergekit's YAML
    #[arg(required_unless_present = "from_link", conflicts_with = "from_link")]
    recipe: Option<PathBuf>,
    /// The folder to make
    #[arg(required = true)]
    out: PathBuf,
    /// Take recipe, seed and fingerprints from a link instead of a file
    #[arg(long, value_name = "LINK", conflicts_with_all = ["random_seed", "repair"])]
    from_link: Option<String>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    options: PlanArgs,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    device: Device,
    /// Threads that compute on the CPU [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Replace OUT whatever it holds
    #[arg(long)]
    force: bool,
    /// Also write the output as one GGUF file, for llama.cpp
    #[arg(long, value_name = "FILE")]
    gguf: Option<PathBuf>,
    /// Write what was counted (backends, bytes, largest allocation) to this file, as JSON
    #[arg(long, value_name = "FILE")]
    counters: Option<PathBuf>,
}

#[derive(Args)]
struct GgufArgs {
    /// A model folder, such as a merge's output
    model: PathBuf,
    /// The file to make
    out: PathBuf,
    /// Element type of the matrices
    #[arg(long, value_enum, default_value_t = GgufKind::Auto)]
    r#type: GgufKind,
    /// Replace OUT if it is there
    #[arg(long)]
    force: bool,
}

#[cfg(feature = "eval")]
#[derive(Args)]
struct EvalArgs {
    /// Model folders, such as a merge's output and its inputs
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// Task files (.yaml), data files that are tasks by themselves (.jsonl), or public tasks by name
    #[arg(long, value_name = "TASKS", value_delimiter = ',', required = true)]
    tasks: Vec<String>,
    /// Data files of public tasks, with their split (train, dev, validation, test) in the name
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    data: Vec<PathBuf>,
    /// The first N questions of each task only, or a share of them below 1
    #[arg(long, value_name = "N", value_parser = eval::Limit::parse)]
    limit: Option<eval::Limit>,
    /// Examples before each question, where a task does not say 0
    #[arg(long, value_name = "N")]
    num_fewshot: Option<usize>,
    /// Seed that examples are drawn with
    #[arg(long, value_name = "N", default_value_t = 1234)]
    seed: u64,
    /// Print JSON: a short form, or lm-evaluation-harness's layout; several models by their names
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "short", value_enum)]
    json: Option<Report>,
    /// In JSON, also what was answered to each question
    #[arg(long, requires = "json")]
    log_samples: bool,
}

/// A form of results.
#[cfg(feature = "eval")]
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Report {
    /// Values and their standard errors by task
    Short,
    /// For programs that read lm-evaluation-harness's results
    LmEval,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GgufKind {
    /// The type of most of the model's elements
    Auto,
    /// Half precision; values beyond ±65,504 are refused
    F16,
    /// Brain floats
    Bf16,
    /// Single precision
    F32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    /// The GPU if there is a real one, else the CPU
    Auto,
    /// The CPU: the reference, the same bytes on every machine
    Cpu,
    /// Any GPU, a simulated one too
    Gpu,
}

/// Runs the program; says what failed and gives its exit code.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Merge(args) => merge::merge(&args),
        Command::Plan { recipe, options, json } => show::plan(&recipe, &options, json),
        Command::Inspect { model, tensors, json } => show::inspect(&model, tensors, json),
        Command::Gguf(args) => gguf::gguf(&args),
        #[cfg(feature = "eval")]
        Command::Eval(args) => eval::eval(&args),
        Command::Benchmark { threads, json, layers } => {
            benchmark::benchmark(threads.map_or_else(merge::default_threads, usize::from), layers, json)
        }
        Command::Link { recipe, random_seed, page } => show::link(&recipe, random_seed, &page),
        Command::Methods { json, markdown } => show::methods(json, markdown),
    };
    result.map_or_else(failure::Failure::report, |()| ExitCode::SUCCESS)
}

/// A size in bytes: a number, with a unit of a thousand (KB, MB, GB) or of 1024 (KiB, MiB, GiB) behind it.
fn size(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err("the units are B, KB, MB, GB, KiB, MiB and GiB".into()),
    };
    let bytes = match number.parse::<u64>() {
        Ok(number) => number.checked_mul(factor).ok_or("that is too large")?,
        Err(_) => (number.parse::<f64>().map_err(|_| "expected a number, like 500MB or 5GB")? * factor as f64) as u64,
    };
    if bytes == 0 { Err("it must be more than nothing".into()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        let cases = [
            ("1", Ok(1)),
            ("5GB", Ok(5_000_000_000)),
            ("500 mb", Ok(500_000_000)),
            ("2GiB", Ok(2 << 30)),
            ("1.5K", Ok(1500)),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), bytes, "{text}");
        }
        for text in ["", "GB", "5 apples", "0", "-1", "99999999999GB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_stands_in_for_the_recipe() {
        let parse = |words: &[&str]| match Cli::try_parse_from(words).map(|cli| cli.command) {
            Ok(Command::Merge(args)) => Ok((args.recipe, args.out)),
            Ok(_) => panic!("not a merge"),
            Err(error) => Err(error.kind()),
        };
        assert_eq!(parse(&["", "merge", "r.yml", "out"]), Ok((Some("r.yml".into()), "out".into())));
        assert_eq!(parse(&["", "merge", "out", "--from-link", "x"]), Ok((None, "out".into())));
        assert!(parse(&["", "merge", "out"]).is_err());
        assert!(parse(&["", "merge", "r.yml", "out", "--from-link", "x"]).is_err());
    }
}
