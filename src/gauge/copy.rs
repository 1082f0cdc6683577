//! The plain copy that merges are put beside: a job's bytes are moved as a merge moves them, and nothing is computed.

use std::hint::black_box;

use crate::format::Source;
use crate::kernel::{Float, Raw};
#[cfg(feature = "gpu")]
use crate::kernel::{Given, Window};
use crate::plan::Plan;
use crate::run::{Bench, RunError};

/// What every tensor of the made-up models is of, and of the outputs.
const DTYPE: Float = Float::BF16;

/// Copies what a job of [`super::plan`] reads and writes: every source into memory; and from there, `window` elements at a time, as many bytes as
/// the output has to other memory, or on the GPU, if the bench has one, all of it to the device and the output's bytes back.
///
/// # Errors
/// [`RunError::Read`], and of a GPU [`RunError::Backend`]: no CPU takes over.
pub async fn copy<S: Source>(
    plan: &Plan,
    job: usize,
    sources: &[Vec<S>],
    bench: &mut Bench,
    window: usize,
) -> Result<(), RunError> {
    let job = &plan.jobs[job];
    bench.buffers.resize_with(job.sources.len(), Vec::new);
    for (source, buffer) in job.sources.iter().zip(&mut bench.buffers) {
        buffer.resize(source.len as usize, 0);
        let read = sources[source.input][source.file].read(source.offset, buffer).await;
        read.map_err(|error| RunError::Read {
            tensor: source.name.clone(),
            input: plan.inputs[source.input].name.clone(),
            error,
        })?;
    }
    let (buffers, step) = (&bench.buffers, window * DTYPE.size());
    let cut = |at: usize| -> Vec<Raw<'_>> {
        let bytes = |buffer: &'_ [u8]| at..buffer.len().min(at + step);
        buffers.iter().map(|buffer| Raw { dtype: DTYPE, bytes: &buffer[bytes(buffer)] }).collect()
    };
    let raws: Vec<Vec<Raw<'_>>> = (0..job.len as usize).step_by(step).map(cut).collect();
    #[cfg(feature = "gpu")]
    if let Some(gpu) = &mut bench.gpu {
        let mut windows = Vec::new();
        for (raws, number) in raws.iter().zip(0..) {
            windows.push(Window::new(number * window as u64, raws[0].bytes.len() / DTYPE.size(), raws));
        }
        let copied = gpu.copy(DTYPE, &mut Given::new(&windows)).await;
        return copied.map_err(|error| RunError::Backend { tensor: job.name.clone(), error });
    }
    for raws in raws {
        drop(black_box(raws[0].bytes.to_vec()));
    }
    Ok(())
}
