//! The plain copy that merges are put beside: a job's bytes are moved as a merge moves them, and nothing is computed.

use std::hint::black_box;

use crate::format::{ReadError, Source};
use crate::kernel::{BackendError, Float, Pass, Raw, Window};
use crate::plan::{Job, Plan};
use crate::run::{Bench, RunError};

/// What every tensor of the made-up models is of, and of the outputs.
const DTYPE: Float = Float::BF16;

/// Copies what a job of [`super::plan`] reads and writes, `window` elements at a time: every source into memory; and from there, as many bytes as the output
/// has, on the CPU to other memory, and on the GPU, if the bench has one, all of it to the device and the output's bytes back.
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
    let mut pass = Copying { job, sources, buffers: &mut bench.buffers, window, first: 0, len: 0 };
    #[cfg(feature = "gpu")]
    if let Some(gpu) = &mut bench.gpu {
        return gpu.copy(DTYPE, &mut pass).await.map_err(|stop| pass.why(stop));
    }
    loop {
        match pass.next().await {
            Ok(true) => pass.see(|window| drop(black_box(window.inputs[0].bytes.to_vec()))),
            Ok(false) => return Ok(()),
            Err(stop) => return Err(pass.why(stop)),
        }
    }
}

/// The windows of a job, read anew for a single pass.
struct Copying<'a, S> {
    job: &'a Job,
    sources: &'a [Vec<S>],
    buffers: &'a mut [Vec<u8>],
    window: usize,
    first: u64,
    len: usize,
}

/// Why a copy stopped: a source, by its place in the job, or the GPU.
enum Stop {
    Read(usize, ReadError),
    Backend(BackendError),
}

impl From<BackendError> for Stop {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl<S> Copying<'_, S> {
    fn why(&self, stop: Stop) -> RunError {
        let tensor = self.job.name.clone();
        match stop {
            Stop::Read(source, error) => RunError::Read { tensor, input: self.job.sources[source].name.clone(), error },
            Stop::Backend(error) => RunError::Backend { tensor, error },
        }
    }
}

impl<S: Source> Pass for Copying<'_, S> {
    type Error = Stop;

    async fn next(&mut self) -> Result<bool, Stop> {
        self.first += self.len as u64;
        let elements = self.job.shape.iter().product::<u64>();
        self.len = (self.window as u64).min(elements - self.first) as usize;
        if self.len == 0 {
            return Ok(false);
        }
        for (at, (source, buffer)) in self.job.sources.iter().zip(&mut *self.buffers).enumerate() {
            let bytes = self.len * DTYPE.size();
            if buffer.len() < bytes {
                buffer.resize(bytes, 0);
            }
            let from = source.offset + self.first * DTYPE.size() as u64;
            let read = self.sources[source.input][source.file].read(from, &mut buffer[..bytes]).await;
            read.map_err(|error| Stop::Read(at, error))?;
        }
        Ok(true)
    }

    fn see<T>(&self, see: impl FnOnce(Window<'_>) -> T) -> T {
        let bytes = self.len * DTYPE.size();
        let inputs: Vec<Raw<'_>> =
            self.buffers.iter().map(|buffer| Raw { dtype: DTYPE, bytes: &buffer[..bytes] }).collect();
        see(Window::new(self.first, self.len, &inputs))
    }

    fn put(&mut self, values: Vec<u8>) {
        drop(black_box(values));
    }
}
