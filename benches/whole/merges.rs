//! The command line, beside copying the same bytes and, if wanted, beside mergekit.

use std::process::Command;

use anyhow::Context as _;

use crate::checkpoints::SMALL;
use crate::table::{barred, median, most, ratio, spread};
use crate::watch::Taken;
use crate::{GROWN, Merged, Models, Place, run};

/// The most memory that a merge may hold, in MB.
const PEAK: f64 = 250.0;
/// How many times its share of time growth may take: twice the parameters 2.1 times the seconds.
const SHARE: f64 = 1.05;
/// How many times the memory twice the parameters may take.
const MEMORY: f64 = 1.1;

/// A merge that is measured.
pub struct Method {
    pub name: &'static str,
    recipe: fn(&[String]) -> String,
    /// How many times the copy's seconds it may take, and how many it is to take.
    bar: f64,
    aim: f64,
}

/// Every method that is.
pub const METHODS: [Method; 4] = [
    Method { name: "linear", recipe: |names| linear(&names[1..3]), bar: 4.0, aim: 3.0 },
    Method { name: "slerp", recipe: slerp, bar: 6.0, aim: 4.0 },
    Method { name: "ties", recipe: |names| sparse("ties", names), bar: 10.0, aim: 6.0 },
    Method { name: "dare_ties", recipe: |names| sparse("dare_ties", names), bar: 8.0, aim: 6.0 },
];

impl Method {
    /// Its recipe for a base and its fine-tunes.
    pub fn recipe(&self, models: &Models) -> String {
        (self.recipe)(&models.names)
    }
}

/// The mean of the models, in equal parts.
fn linear(names: &[String]) -> String {
    let weight = 1.0 / names.len() as f64;
    let models: String =
        names.iter().map(|name| format!("  - model: {name}\n    parameters: {{weight: {weight}}}\n")).collect();
    format!("merge_method: linear\nmodels:\n{models}dtype: bfloat16\n")
}

fn slerp(names: &[String]) -> String {
    let (one, two) = (&names[1], &names[2]);
    format!(
        "merge_method: slerp\nbase_model: {one}\nmodels:\n  - model: {one}\n  - model: {two}\nparameters: {{t: 0.5}}\ndtype: bfloat16\n"
    )
}

fn sparse(method: &str, names: &[String]) -> String {
    let models: String = names[1..3]
        .iter()
        .map(|name| format!("  - model: {name}\n    parameters: {{weight: 0.5, density: 0.5}}\n"))
        .collect();
    format!("merge_method: {method}\nbase_model: {}\nmodels:\n{models}dtype: bfloat16\n", names[0])
}

/// One column of figures: a number a round.
fn column(runs: &[Merged], figure: impl Fn(&Merged) -> f64) -> Vec<f64> {
    runs.iter().map(figure).collect()
}

fn peaks(runs: &[Merged]) -> Vec<f64> {
    column(runs, |run| run.taken.peak as f64 / 1e6)
}

fn seconds(runs: &[Merged]) -> Vec<f64> {
    column(runs, |run| run.seconds)
}

/// Every method, each round's merges beside a copy of the same files.
pub fn measure(place: &Place, models: &Models, runs: u32, against: bool) -> anyhow::Result<()> {
    let python = if against { python() } else { None };
    if against && python.is_none() {
        eprintln!("No Python on the PATH has mergekit: it is left out.");
    }
    // Reads every file into the system's memory, and the program's too.
    copy(place, models)?;
    let mut copied = Vec::new();
    let mut ours: Vec<Vec<Merged>> = METHODS.iter().map(|_| Vec::new()).collect();
    let mut theirs: Vec<Vec<(f64, f64)>> = METHODS.iter().map(|_| Vec::new()).collect();
    for round in 1..=runs {
        eprintln!("Round {round} of {runs}");
        copied.push(copy(place, models)?);
        for ((method, ours), theirs) in METHODS.iter().zip(&mut ours).zip(&mut theirs) {
            let recipe = method.recipe(models);
            ours.push(place.merge(models, &recipe)?);
            if let Some(python) = python {
                theirs.push(mergekit(python, place, models, &recipe)?);
            }
        }
    }

    println!(
        "| command line, CPU | seconds | × the copy | bar | aim | peak, MB | bar | processor, s | fsync + SHA-256, s |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let processor = median(&copied.iter().map(|copy| copy.processor_seconds).collect::<Vec<_>>());
    let copies: Vec<f64> = copied.iter().map(|copy| copy.seconds).collect();
    println!("| the copy | {} | 1 | | | | | {processor:.2} | |", spread(&copies));
    for (method, runs) in METHODS.iter().zip(&ours) {
        println!(
            "| {} | {} | {} | {} | {} | {} | {PEAK} | {:.2} | {:.2} |",
            method.name,
            spread(&seconds(runs)),
            barred(ratio(&seconds(runs), &copies), 1, method.bar),
            method.bar,
            method.aim,
            barred(most(&peaks(runs)), 0, PEAK),
            median(&column(runs, |run| run.taken.processor_seconds)),
            median(&column(runs, |run| run.after)),
        );
    }
    println!(
        "\nSeconds are the whole process's, start and end included, less fsync and SHA-256 of the output, which the program does after \
         the last weight. The copy is `cat` of the base and two fine-tunes to nothing and `cp` of one, no fsync. Median \
         (least–most); ratios are medians of each round's; peaks are the largest. Figures over their bar are bold. \
         Processor seconds are of all threads, SHA-256 included.\n"
    );
    if python.is_some() {
        println!("| beside mergekit | Merge Studio, s | peak, MB | mergekit, s | peak, MB | × |");
        println!("| --- | ---: | ---: | ---: | ---: | ---: |");
        for ((method, ours), theirs) in METHODS.iter().zip(&ours).zip(&theirs) {
            let whole = column(ours, |run| run.taken.seconds);
            let (seconds, peaks): (Vec<f64>, Vec<f64>) = theirs.iter().copied().unzip();
            println!(
                "| {} | {} | {:.0} | {} | {:.0} | {:.1} |",
                method.name,
                spread(&whole),
                most(&self::peaks(ours)),
                spread(&seconds),
                most(&peaks),
                ratio(&seconds, &whole)
            );
        }
        println!(
            "\nBoth are whole processes: Python's imports on one side, fsync and SHA-256 on the other included.\n"
        );
    }
    Ok(())
}

/// Twice the parameters, and more models.
pub fn growth(place: &Place, runs: u32) -> anyhow::Result<()> {
    let (small, grown) = (place.generated("small", &SMALL, 9)?, place.generated("grown", &GROWN, 3)?);
    let cases = [
        ("ties", &small, sparse("ties", &small.names)),
        ("ties, 2 × the parameters, wider and deeper", &grown, sparse("ties", &grown.names)),
        ("linear, 2 models", &small, linear(&small.names[1..3])),
        ("linear, 4 models", &small, linear(&small.names[1..5])),
        ("linear, 8 models", &small, linear(&small.names[1..9])),
    ];
    // Which other case each is times how large, and how many times its memory it may take.
    let growth = [None, Some((0, 2.0, Some(MEMORY))), None, Some((2, 2.0, None)), Some((2, 4.0, None))];
    let mut measured: Vec<Vec<Merged>> = cases.iter().map(|_| Vec::new()).collect();
    let mut copied = [Vec::new(), Vec::new()];
    for round in 0..=runs {
        eprintln!("Growth, round {round} of {runs}");
        for (models, copied) in [&small, &grown].into_iter().zip(&mut copied) {
            let copy = copy(place, models)?.seconds;
            // The first only reads the files into the system's memory.
            if round > 0 {
                copied.push(copy);
            }
        }
        for ((_, models, recipe), measured) in cases.iter().zip(&mut measured) {
            let merged = place.merge(models, recipe)?;
            if round > 0 {
                measured.push(merged);
            }
        }
    }
    println!("| growth | seconds | × | bar | processor, s | peak, MB | × | bar |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    println!("| the copy | {} | 1 | | | | | |", spread(&copied[0]));
    println!("| the copy, 2 × the bytes | {} | {:.2} | | | | | |", spread(&copied[1]), ratio(&copied[1], &copied[0]));
    for (((name, ..), runs), growth) in cases.iter().zip(&measured).zip(growth) {
        let (times, peak) = (seconds(runs), median(&peaks(runs)));
        let processor = median(&column(runs, |run| run.taken.processor_seconds));
        let line = |times_more: String, memory_more: String| {
            println!("| {name} | {} | {times_more} | {processor:.2} | {peak:.0} | {memory_more} |", spread(&times));
        };
        let Some((to, share, memory)) = growth else {
            line("1 |".to_owned(), "1 |".to_owned());
            continue;
        };
        let (bar, more) = (share * SHARE, peak / median(&peaks(&measured[to])));
        let times_more = ratio(&times, &seconds(&measured[to]));
        line(
            format!("{} | {bar:.1}", barred(times_more, 2, bar)),
            memory.map_or(format!("{more:.2} |"), |bar| format!("{} | {bar}", barred(more, 2, bar))),
        );
    }
    println!(
        "\nWhere the system has no free memory it makes room for what is written, and that costs more than twice for twice the bytes: \
         the copy shows it.\n"
    );
    Ok(())
}

/// Reads a base and two fine-tunes and writes one.
fn copy(place: &Place, models: &Models) -> anyhow::Result<Taken> {
    let out = place.output()?;
    // Some file systems copy nothing unless they are asked to.
    let copying = if cfg!(target_os = "linux") { "cp --reflink=never" } else { "cp" };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("cat \"$1\" \"$2\" \"$3\" >/dev/null && exec {copying} \"$2\" \"$4\""), "copy"]);
    command.args((0..3).map(|model| models.file(model))).arg(&out);
    let taken = run(&mut command)?;
    std::fs::remove_file(out)?;
    Ok(taken)
}

/// A Python that has mergekit.
fn python() -> Option<&'static str> {
    ["python3", "python"].into_iter().find(|python| run(Command::new(python).args(["-c", "import mergekit"])).is_ok())
}

/// Seconds and MB of mergekit's merge, on the CPU.
fn mergekit(python: &str, place: &Place, models: &Models, recipe: &str) -> anyhow::Result<(f64, f64)> {
    let (recipe, out) = (place.recipe(recipe)?, place.output()?);
    let mut command = Command::new(python);
    command.args(["-m", "mergekit.scripts.run_yaml"]).arg(recipe).arg(&out).current_dir(&models.folder);
    command.args(["--no-write-model-card", "--no-copy-tokenizer", "--quiet"]).env("HF_HUB_OFFLINE", "1");
    let taken = run(&mut command).context("mergekit")?;
    std::fs::remove_dir_all(out)?;
    Ok((taken.seconds, taken.peak as f64 / 1e6))
}
