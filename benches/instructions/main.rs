//! Counts the instructions of the kernels under callgrind, and fails where one takes 5 % more than the committed baseline says.
//!
//! Seconds are noise on a shared machine; instructions are the same in every run of the same program. They depend on the compiler,
//! the architecture and the vectors that the processor has, so a baseline of another kind is not compared with, and the run
//! says so. `./studio bench --instructions` runs it, and `--renew` behind that writes the baseline anew.

mod baseline;
mod cases;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail, ensure};
use baseline::{Baseline, Built, Verdict};

/// Asks this program to do one case, under callgrind.
const CASE: &str = "--case";

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [CASE, name] => work(name).map(|()| ExitCode::SUCCESS),
        ["--renew"] => renew().map(|()| ExitCode::SUCCESS),
        [] => compare(),
        _ => bail!("--renew is the one option"),
    }
}

/// Does one case, once to allocate what is reused and once for the count. Says which vectors it ran with.
fn work(name: &str) -> anyhow::Result<()> {
    let (_, prepare) = cases::ALL.iter().find(|(case, _)| *case == name).context("no such case")?;
    let mut work = prepare();
    work();
    counted(&mut work);
    println!("{}", vectors());
    Ok(())
}

/// What callgrind counts: everything from its beginning to its end. It knows it by this name.
#[inline(never)]
fn counted(work: &mut cases::Work) {
    work();
    // So that the call above is not the last thing done: it would become a jump, and this function would be left before it.
    black_box(work);
}

fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "avx2";
    }
    "the least"
}

/// Instructions of a case, and the vectors that it ran with.
fn count(name: &str) -> anyhow::Result<(u64, String)> {
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=instructions::counted*"])
        .arg(format!("--callgrind-out-file={}", report.display()))
        .arg(env::current_exe()?)
        .args([CASE, name])
        .stderr(Stdio::piped())
        .output()
        .context("valgrind")?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&report)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind gave no total")?;
    let count = total.trim().parse()?;
    ensure!(count > 0, "{name}: callgrind did not meet the function that it counts");
    Ok((count, String::from_utf8(output.stdout)?.trim().to_owned()))
}

/// What counts depend on here.
fn built() -> anyhow::Result<Built> {
    let rustc = Command::new("rustc").arg("--version").output().context("rustc")?;
    let (_, vectors) = count(cases::ALL[0].0)?;
    let rustc = String::from_utf8(rustc.stdout)?.trim().to_owned();
    Ok(Built { rustc, architecture: env::consts::ARCH.to_owned(), vectors })
}

/// Counts every case.
fn count_all() -> anyhow::Result<BTreeMap<String, u64>> {
    cases::ALL.iter().map(|(name, _)| Ok(((*name).to_owned(), count(name)?.0))).collect()
}

fn renew() -> anyhow::Result<()> {
    let counted = Baseline { built: built()?, instructions: count_all()? };
    counted.save()?;
    println!("{} counts in {}", counted.instructions.len(), Baseline::file().display());
    Ok(())
}

fn compare() -> anyhow::Result<ExitCode> {
    println!("\nrunning {} tests", cases::ALL.len() + 1);
    let Ok(_) = Command::new("valgrind").arg("--version").output() else {
        return Ok(skip("there is no valgrind on the PATH"));
    };
    let (baseline, built) = (Baseline::load()?, built()?);
    if baseline.built != built {
        return Ok(skip(&format!("the baseline is of {}, this is {built}", baseline.built)));
    }
    let counted = Baseline { built, instructions: count_all()? };
    let (mut passed, mut failed, mut gains) = (0, 0, 0);
    let mut say = |name: &str, ok: bool, words: &str| {
        *(if ok { &mut passed } else { &mut failed }) += 1;
        println!("test {name} ... {}{words}", if ok { "ok" } else { "FAILED" });
    };
    for (name, &count) in &counted.instructions {
        let (verdict, change) = baseline.judge(name, count);
        gains += usize::from(verdict == Verdict::Gain);
        let words = match verdict {
            Verdict::New => " (the baseline has no such case)".to_owned(),
            _ => format!(" ({count} instructions, {:+.2} % from the baseline)", change * 100.0),
        };
        say(name, matches!(verdict, Verdict::Same | Verdict::Gain), &words);
    }
    for name in baseline.instructions.keys().filter(|name| !counted.instructions.contains_key(*name)) {
        say(name, false, " (the baseline has it, and it was not counted)");
    }
    say("a kernel that grows by six percent is refused", refuses_growth(&counted), "");
    if gains > 0 || failed > 0 {
        println!("\nWhere this is as it should be, ./studio bench --instructions --renew writes the baseline anew.");
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the comparison can fail: each count with 6 % more of its own is a loss, and with 4 % more is not.
fn refuses_growth(counted: &Baseline) -> bool {
    counted.instructions.iter().all(|(name, &count)| {
        counted.judge(name, count + count * 6 / 100).0 == Verdict::Loss
            && counted.judge(name, count + count * 4 / 100).0 == Verdict::Same
    })
}

/// Nothing was compared: loudly, and not as a pass.
fn skip(reason: &str) -> ExitCode {
    let cases = cases::ALL.len() + 1;
    println!("\nNOT COMPARED: {reason}");
    println!("\ntest result: ok. 0 passed; 0 failed; {cases} ignored");
    ExitCode::SUCCESS
}
