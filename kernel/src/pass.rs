//! What backends are shown: the windows of a tensor, one after another.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{BackendError, Float};

/// The raw little-endian bytes of one input within a window.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// Element type of `bytes`.
    pub dtype: Float,
    /// Exactly `len · dtype.size()` bytes of the window.
    pub bytes: &'a [u8],
}

/// Which bytes windows are cut from: whoever fills or changes them takes a new one, and no two that were taken are equal. So a backend
/// that keeps a window's inputs knows by generation, first element and length that it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    /// One that nothing else has.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The same range of elements of every input of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Which bytes the inputs are part of.
    pub generation: Generation,
    /// Index in the tensor of the window's first element: a multiple of [`BLOCK`](super::BLOCK).
    pub first: u64,
    /// Elements in the window: a multiple of [`BLOCK`](super::BLOCK), except in the tensor's last window.
    pub len: usize,
    /// One entry an input, in recipe order (the base, if any, among them).
    pub inputs: &'a [Raw<'a>],
    /// For [`Mask::Drawn`](super::Mask::Drawn): one entry a term, bit j (of word j / 32, from the lowest on) for element j of the window. Empty
    /// where no mask is drawn.
    pub drawn: &'a [Vec<u32>],
}

impl<'a> Window<'a> {
    /// A window of bytes that nothing else is a window of, without drawn masks.
    pub fn new(first: u64, len: usize, inputs: &'a [Raw<'a>]) -> Self {
        Self { generation: Generation::fresh(), first, len, inputs, drawn: &[] }
    }

    /// A pass over this window alone.
    pub fn alone(&'a self) -> Given<'a> {
        Given::new(std::slice::from_ref(self))
    }
}

/// One pass over a tensor: its windows in order, each once, and where merged values go.
#[allow(async_fn_in_trait)] // Every host runs a job on one thread: natively `block_on`, in a page a worker.
pub trait Pass {
    /// Why the pass cannot be finished: what its host says, or its backend.
    type Error: From<BackendError>;

    /// Makes the next window present, the first one at first; false after the last.
    async fn next(&mut self) -> Result<bool, Self::Error>;

    /// Shows the window that is present.
    fn see<T>(&self, see: impl FnOnce(Window<'_>) -> T) -> T;

    /// Takes merged values: those that follow the ones it took before.
    fn put(&mut self, values: Vec<u8>);
}

/// A pass over windows that are there.
#[derive(Debug)]
pub struct Given<'a> {
    windows: &'a [Window<'a>],
    next: usize,
    /// What was merged.
    pub values: Vec<u8>,
}

impl<'a> Given<'a> {
    /// A pass over these windows.
    pub fn new(windows: &'a [Window<'a>]) -> Self {
        Self { windows, next: 0, values: Vec::new() }
    }
}

impl Pass for Given<'_> {
    type Error = BackendError;

    async fn next(&mut self) -> Result<bool, BackendError> {
        self.next += 1;
        Ok(self.next <= self.windows.len())
    }

    fn see<T>(&self, see: impl FnOnce(Window<'_>) -> T) -> T {
        see(self.windows[self.next - 1])
    }

    fn put(&mut self, mut values: Vec<u8>) {
        if self.values.is_empty() {
            self.values = values;
        } else {
            self.values.append(&mut values);
        }
    }
}
