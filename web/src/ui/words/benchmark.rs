//! Words about how fast this device merges.

/// The button that opens it, and the dialog.
pub const TITLE: &str = "Benchmark this device";
/// What it does.
pub const WHAT: &str = "Merges a made-up base and two near fine-tunes, 67 MB each in BF16, in memory: on the CPU and, if there is one, on the GPU. No file is read or written. On a slow device it takes minutes.";
/// How to read it.
pub const READ: &str = "How to read it";
/// The figures, the copy they are put beside, the comparison.
pub const HOW: [&str; 3] = [
    "GB/s: bytes of the inputs and of the output, once each, in 10⁹ a second. The median of up to five rounds after one that does not count.",
    "Copy: the same bytes are moved and nothing is computed. CPU: within memory, by as many workers. GPU: the inputs up, the output's bytes down.",
    "Same bytes: the merged elements of the first layers were made on the CPU, too, and compared. ↑ ↓: bytes sent to the GPU and fetched for each byte of output.",
];
/// Buttons.
pub const START: &str = "Start";
/// Buttons.
pub const AGAIN: &str = "Start again";
/// Buttons.
pub const CANCEL: &str = "Cancel";
/// Buttons.
pub const CLOSE: &str = "Close";
/// Buttons.
pub const COPY_RESULTS: &str = "Copy results";
/// After copying.
pub const COPIED: &str = "Results copied.";
/// Where the clipboard is closed.
pub const COPY_HERE: &str = "The clipboard is closed to this page. Copy the results from here:";
/// The results' field.
pub const RESULTS: &str = "Results";
/// The bar.
pub const PROGRESS: &str = "Benchmark progress";
/// A merge runs.
pub const BUSY: &str = "A merge is running. Start when it is finished.";
/// Status.
pub const MEASURING: &str = "Measuring.";
/// Status.
pub const DONE: &str = "The benchmark is finished.";
/// Status.
pub const CANCELLED: &str = "The benchmark was cancelled.";
/// Status.
pub const STOPPED: &str = "The benchmark stopped.";

/// How far it is.
pub fn of(done: usize, all: usize) -> String {
    format!("{done} of {all} figures")
}

/// It stopped, or a backend's part of it.
pub fn failed(why: &str) -> String {
    format!("It stopped early: {why}. Close other tabs and start again.")
}

/// The GPU's part of it where there is none.
pub fn no_gpu(why: &str) -> String {
    format!("GPU: {why}")
}

/// The results for others to read, in Markdown: `browser` is what it calls itself.
pub fn results(table: &str, browser: &str, no_gpu: &str) -> String {
    format!("{} {} · {browser}\n\n{table}\n{no_gpu}", super::NAME, env!("CARGO_PKG_VERSION"))
}
