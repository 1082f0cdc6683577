//! Words about the result as one GGUF file.

use super::super::numbers;
use crate::protocol::GgufFailure;

/// The button. While the file is written, [`CANCEL`] stands in its place.
pub const DOWNLOAD: &str = "Download GGUF";
/// The button.
pub const CANCEL: &str = "Cancel GGUF";
/// What it is.
pub const WHAT: &str = "One file for llama.cpp and what is built on it, tokenizer included. It is not quantised.";
/// Label of its type.
pub const TYPE: &str = "GGUF type";
/// Choices.
pub const SAME: &str = "As merged";
/// The bar.
pub const PROGRESS: &str = "GGUF progress";
/// Status.
pub const WRITING: &str = "The GGUF file is being written.";

/// Status.
pub fn done(size: u64) -> String {
    format!("The GGUF file ({}) is saved as a download. The button saves it once more.", numbers::bytes(size))
}

/// What is odd about it.
pub fn notice(notice: &str) -> String {
    format!("{notice}.")
}

/// Why there is no file, and what to do.
pub fn failed(why: &GgufFailure) -> String {
    match why {
        GgufFailure::Refused(why) => format!("This result has no GGUF file: {why}. The result itself is whole."),
        GgufFailure::NoSpace { short } => format!(
            "The browser gives no more room for the GGUF file.{} Save the zip and free disk space, or choose a smaller type, then try again.",
            short.map_or_else(String::new, super::run::short)
        ),
        GgufFailure::Write(why) => format!("The GGUF file could not be written: {why}. Nothing half-written is left."),
        GgufFailure::Died(why) => format!(
            "What writes GGUF files could not be loaded, ran out of memory or died ({why}). The result itself is whole. Try again; if the \
             page was open for long, save the result first and reload it."
        ),
    }
}
