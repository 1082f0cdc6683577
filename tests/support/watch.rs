//! Runs a program and looks at what it takes.

use std::fs;
use std::io;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Ticks a second in `/proc/PID/stat`, the same on every Linux.
const TICKS: f64 = 100.0;

/// What a program took.
#[derive(Clone, Copy)]
pub struct Taken {
    /// How it ended.
    pub status: ExitStatus,
    /// From its start to its end.
    pub seconds: f64,
    /// Of all its threads and children, computing or in the system.
    pub processor_seconds: f64,
    /// The most memory that it held, in bytes; 0 where `/proc` does not tell.
    pub peak: u64,
}

/// Runs `command` to its end.
pub fn watch(command: &mut Command) -> io::Result<Taken> {
    let began = Instant::now();
    let mut child = command.spawn()?;
    let (pid, ended) = (child.id(), AtomicBool::new(false));
    thread::scope(|scope| {
        // The system keeps the highest mark for us, so looking now and then misses at most the last moments of the end.
        let looking = scope.spawn(|| {
            let (mut peak, mut processor_seconds) = (0, 0.0);
            while !ended.load(Ordering::Relaxed) {
                peak = self::peak(pid).unwrap_or(0).max(peak);
                processor_seconds = self::processor_seconds(pid).unwrap_or(0.0).max(processor_seconds);
                thread::sleep(Duration::from_millis(2));
            }
            (peak, processor_seconds)
        });
        let status = child.wait();
        let seconds = began.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        let (peak, processor_seconds) = looking.join().map_err(|_| io::Error::other("a thread ended early"))?;
        Ok(Taken { status: status?, seconds, processor_seconds, peak })
    })
}

/// The most memory that a process has held; `None` once it has ended.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// User and system time so far, with that of its children that have ended.
fn processor_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which may hold anything, stands in parentheses; its times are the 12th to 15th word behind it.
    let (_, words) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> = words.split_whitespace().skip(11).take(4).filter_map(|word| word.parse().ok()).collect();
    Some(ticks.iter().sum::<f64>() / TICKS)
}
