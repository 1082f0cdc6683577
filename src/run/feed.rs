//! The windows of one tensor: read once and kept where the inputs fit the budget, read again each pass where they do not.

use super::{RunError, Task};
use crate::format::Source;
use crate::kernel::{Float, Raw, Window};
use crate::plan::{Job, float_of};

/// The raw inputs of one job.
pub(super) struct Feed {
    dtypes: Vec<Float>,
    elements: u64,
    window: usize,
    /// One buffer an input: the whole tensor if `kept`, else the current window.
    buffers: Vec<Vec<u8>>,
    kept: bool,
    loaded: bool,
}

impl Feed {
    /// A feed that has read nothing yet.
    pub(super) fn new<S>(task: &Task<'_, S>, job: &Job, elements: u64) -> Self {
        let dtypes: Vec<Float> =
            job.sources.iter().map(|source| float_of(source.dtype).unwrap_or(Float::F32)).collect();
        let raw: u64 = job.sources.iter().map(|source| source.len).sum();
        Self {
            buffers: vec![Vec::new(); dtypes.len()],
            dtypes,
            elements,
            window: task.limits.window,
            kept: raw <= task.limits.keep,
            loaded: false,
        }
    }

    /// First element and length of every window, in order.
    pub(super) fn windows(&self) -> impl Iterator<Item = (u64, usize)> + use<> {
        let (elements, window) = (self.elements, self.window as u64);
        (0..elements.div_ceil(window)).map(move |number| {
            let first = number * window;
            (first, window.min(elements - first) as usize)
        })
    }

    /// Makes the window's bytes present.
    pub(super) async fn load<S: Source>(
        &mut self,
        task: &mut Task<'_, S>,
        first: u64,
        len: usize,
    ) -> Result<(), RunError> {
        if self.kept && self.loaded {
            return Ok(());
        }
        let (first, len) = if self.kept { (0, self.elements as usize) } else { (first, len) };
        let plan = task.plan;
        let job = &plan.jobs[task.index];
        for (number, source) in job.sources.iter().enumerate() {
            let size = self.dtypes[number].size();
            let buffer = &mut self.buffers[number];
            buffer.resize(len * size, 0);
            task.sources[source.input][source.file].read(source.offset + first * size as u64, buffer).await.map_err(
                |error| RunError::Read {
                    tensor: source.name.clone(),
                    input: plan.inputs[source.input].name.clone(),
                    error,
                },
            )?;
            task.report.read += buffer.len() as u64;
            task.report.largest_allocation = task.report.largest_allocation.max(buffer.capacity() as u64);
        }
        self.loaded = true;
        Ok(())
    }

    /// The raw inputs of a window that was loaded.
    pub(super) fn raws(&self, first: u64, len: usize) -> Vec<Raw<'_>> {
        let from = if self.kept { first as usize } else { 0 };
        self.dtypes
            .iter()
            .zip(&self.buffers)
            .map(|(&dtype, buffer)| Raw { dtype, bytes: &buffer[from * dtype.size()..(from + len) * dtype.size()] })
            .collect()
    }

    /// The window over `raws`.
    pub(super) fn window<'a>(first: u64, len: usize, raws: &'a [Raw<'a>]) -> Window<'a> {
        Window { first, len, inputs: raws }
    }
}
