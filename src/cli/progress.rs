//! How far a merge is: a bar on a terminal, a line every tenth of the way elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// Counts bytes of input, from any thread.
pub(super) struct Progress {
    bar: ProgressBar,
    total: u64,
    done: AtomicU64,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        let bar = ProgressBar::new(total);
        let template =
            "{bar:32} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, total, done: AtomicU64::new(0) }
    }

    /// Counts `bytes` more.
    pub(super) fn add(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        self.bar.inc(bytes);
        let tenth = |done: u64| (done.saturating_mul(10)).checked_div(self.total).unwrap_or(0);
        if self.bar.is_hidden() && tenth(before) != tenth(before + bytes) {
            eprintln!("{} %", tenth(before + bytes) * 10);
        }
    }

    /// Says `words` without disturbing the bar.
    pub(super) fn say(&self, words: &str) {
        self.bar.suspend(|| super::failure::warn(words));
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
