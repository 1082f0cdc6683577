//! Merge Studio's engine: mergekit recipes over safetensors checkpoints, on the CPU and on WebGPU.
//!
//! A tour, in the order in which a merge passes through:
//!
//! - [`format`]: the bytes of safetensors files. Element types, headers read from hostile input and written back,
//!   shard indexes. It does no I/O of its own: bytes come in through its [`format::Source`] trait.
//! - [`recipe`]: mergekit's YAML. One position-aware reader, parameters with their gradients and filters, the linter,
//!   the repair of recipes that lost their indentation, and the share link.
//! - [`model`]: what a folder of files is: its tensors, config.json, architecture family, tokenizer, fingerprint.
//! - [`method`]: one small file a merge method: its parameters, what it measures, its mask and its mix.
//! - [`plan`]: recipe + models → one job an output tensor, and the ledger that explains every one of them.
//! - [`kernel`]: measure → mask → mix on windows of raw bytes, on the CPU (the reference) and on the GPU.
//! - [`run`]: streams the plan's jobs through a backend, window by window.
//! - [`gauge`]: a fixed merge of made-up models beside a plain copy, to tell how fast a device merges.
//! - [`output`]: the model folder around the weights: config, tokenizer, card, recipe, ledger, zip.

#![warn(missing_docs)]

pub mod format;
pub mod gauge;
pub mod method;
pub mod model;
pub mod output;
pub mod plan;
pub mod recipe;
pub mod run;

/// Measure → mask → mix: the packages in `kernel/`, as one module.
pub mod kernel {
    #[cfg(feature = "gpu")]
    pub use merge_studio_gpu as gpu;
    pub use merge_studio_kernel::*;
}
