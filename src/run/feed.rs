//! The windows of one tensor: read once and kept where the inputs fit the budget, read again each pass where they do not.
//!
//! A source that is put together from several stretches is put together here, and looks like a plain one.

use std::ops::Range;

use super::assemble::{Assembler, width};
use super::{RunError, Task};
use crate::format::Source;
use crate::kernel::{Float, Generation, Raw};
use crate::plan::Job;

/// The raw inputs of one job.
pub(super) struct Feed {
    dtypes: Vec<Float>,
    elements: u64,
    window: usize,
    /// Elements that are never parted in memory: 1, or the lines of a rule that needs whole ones.
    whole: u64,
    /// One buffer an input, at least as long as it must be: the whole tensor if `kept`, else the current window and the rest of the
    /// lines that it touches.
    buffers: Vec<Vec<u8>>,
    kept: bool,
    /// Which elements the buffers hold.
    loaded: Range<u64>,
    /// Taken anew whenever the buffers are filled.
    generation: Generation,
    /// Puts together the sources that are more than a stretch of a file, where there are any.
    assembler: Option<Assembler>,
}

impl Feed {
    /// A feed that has read nothing yet. What is seen in a single pass need not be kept.
    pub(super) fn new<S>(
        task: &mut Task<'_, S>,
        job: &Job,
        elements: u64,
        whole: u64,
        passes: u64,
    ) -> Result<Self, RunError> {
        let mut buffers = std::mem::take(task.buffers);
        buffers.resize_with(job.sources.len(), Vec::new);
        let dtypes: Vec<Float> = job.sources.iter().map(width).collect();
        let raw = dtypes.iter().map(|dtype| dtype.size() as u64).sum::<u64>().saturating_mul(elements);
        Ok(Self {
            buffers,
            dtypes,
            elements,
            window: task.limits.window,
            whole,
            kept: passes > 1 && raw <= task.limits.keep,
            loaded: 0..0,
            generation: Generation::fresh(),
            assembler: Assembler::new(task, job)?,
        })
    }

    /// Length of the window that begins with the element `first`; none after the last.
    pub(super) fn window(&self, first: u64) -> usize {
        (self.window as u64).min(self.elements - first) as usize
    }

    /// Makes the window's bytes present.
    pub(super) async fn load<S: Source>(
        &mut self,
        task: &mut Task<'_, S>,
        first: u64,
        len: usize,
    ) -> Result<(), RunError> {
        let wanted = if self.kept { 0..self.elements } else { self.around(first, len) };
        if self.loaded == wanted {
            return Ok(());
        }
        let len = (wanted.end - wanted.start) as usize;
        let plan = task.plan;
        self.loaded = 0..0;
        self.generation = Generation::fresh();
        for (number, source) in plan.jobs[task.index].sources.iter().enumerate() {
            let size = self.dtypes[number].size();
            let buffer = &mut self.buffers[number];
            if buffer.len() < len * size {
                buffer.resize(len * size, 0);
                task.allocated(buffer.capacity());
            }
            let buffer = &mut buffer[..len * size];
            match &mut self.assembler {
                Some(assembler) if source.assembly.is_some() => {
                    assembler.fill(task, number, wanted.clone(), buffer).await?;
                }
                _ => task.read(source, wanted.start * size as u64, buffer).await?,
            }
        }
        self.loaded = wanted;
        Ok(())
    }

    /// Leaves the buffers to the next job.
    pub(super) fn leave<S>(self, task: &mut Task<'_, S>) {
        *task.buffers = self.buffers;
    }

    /// The window, and the rest of the lines that it touches.
    pub(super) fn around(&self, first: u64, len: usize) -> Range<u64> {
        let end = (first + len as u64).next_multiple_of(self.whole).min(self.elements);
        first - first % self.whole..end
    }

    /// Of the bytes that were loaded.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// The raw inputs of elements that were loaded.
    pub(super) fn raws(&self, elements: Range<u64>) -> Vec<Raw<'_>> {
        let at = |element: u64, dtype: Float| (element - self.loaded.start) as usize * dtype.size();
        self.dtypes
            .iter()
            .zip(&self.buffers)
            .map(|(&dtype, buffer)| Raw { dtype, bytes: &buffer[at(elements.start, dtype)..at(elements.end, dtype)] })
            .collect()
    }
}
