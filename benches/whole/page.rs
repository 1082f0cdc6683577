//! The page, beside the command line: `tools/measure_page.mjs` drives it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::merges::METHODS;
use crate::table::{barred, most, ratio, spread};
use crate::{Models, Place};

/// How many times the command line's seconds the page may take.
const BAR: f64 = 4.0;
/// The most memory that the tab may hold, in MB.
const PEAK: f64 = 600.0;

/// A line of `measure_page.mjs --json`.
#[derive(Deserialize)]
struct Measured {
    /// From the click on Merge to the finished file.
    seconds: f64,
    /// The most memory that the tab held, in bytes.
    peak: f64,
    /// Tensors that were not copied and not made by the CPU: none.
    elsewhere: u64,
}

/// Every method, each round's merges on the command line and in the page beside each other.
pub fn measure(place: &Place, models: &Models, runs: u32, dist: &Path) -> anyhow::Result<()> {
    let mut native: Vec<Vec<f64>> = METHODS.iter().map(|_| Vec::new()).collect();
    let mut page: Vec<Vec<Measured>> = METHODS.iter().map(|_| Vec::new()).collect();
    for round in 1..=runs {
        for ((method, native), page) in METHODS.iter().zip(&mut native).zip(&mut page) {
            eprintln!("The page, round {round} of {runs}, {}", method.name);
            let recipe = method.recipe(models);
            native.push(place.merge(models, &recipe)?.seconds);
            page.push(merge(place, models, &recipe, dist)?);
        }
    }
    println!("| the page, CPU | click to file, s | command line, s | × | bar | the tab's peak, MB | bar |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for ((method, native), page) in METHODS.iter().zip(&native).zip(&page) {
        let column = |figure: fn(&Measured) -> f64| page.iter().map(figure).collect::<Vec<_>>();
        let (seconds, peaks) = (column(|run| run.seconds), column(|run| run.peak / 1e6));
        println!(
            "| {} | {} | {} | {} | {BAR} | {} | {PEAK} |",
            method.name,
            spread(&seconds),
            spread(native),
            barred(ratio(&seconds, native), 1, BAR),
            barred(most(&peaks), 0, PEAK),
        );
    }
    println!(
        "\nFrom the click on Merge until the zip can be downloaded, in a new headless browser without WebGPU each time; flush and SHA-256 \
         come after that. The command line's seconds are the whole process's, less fsync and SHA-256. The tab's peak is its process's \
         resident memory, the browser's libraries included.\n"
    );
    Ok(())
}

fn merge(place: &Place, models: &Models, recipe: &str, dist: &Path) -> anyhow::Result<Measured> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(root.join("tools/measure_page.mjs")).arg(place.recipe(recipe)?);
    command.args(models.names[..3].iter().map(|name| models.folder.join(name)));
    command.args(["--json", "--runs", "1", "--dist"]).arg(root.join(dist)).current_dir(root);
    let output = command.stderr(Stdio::inherit()).output().context("node")?;
    ensure!(output.status.success(), "the page could not be measured");
    let measured: Measured = serde_json::from_slice(&output.stdout).context("what measure_page.mjs prints")?;
    ensure!(measured.elsewhere == 0, "{} tensors were not made by the CPU", measured.elsewhere);
    Ok(measured)
}
