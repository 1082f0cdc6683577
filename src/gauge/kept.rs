//! Where a tensor goes that is only made to be timed, or to be compared.

use crate::run::{Sink, WriteError};

/// Nowhere, or into memory: one tensor at a time, whose first byte has this place in the output's file.
pub struct Kept {
    first: u64,
    bytes: Option<Vec<u8>>,
}

impl Kept {
    /// Takes a tensor that begins at `first`, and keeps its bytes if they are `wanted`.
    pub fn new(first: u64, wanted: bool) -> Self {
        Self { first, bytes: wanted.then(Vec::new) }
    }

    /// The tensor's bytes, once; `None` if they were not wanted.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        self.bytes.as_mut().map(std::mem::take)
    }
}

impl Sink for Kept {
    async fn write(&mut self, _: usize, offset: u64, written: Vec<u8>) -> Result<(), WriteError> {
        if let Some(bytes) = &mut self.bytes {
            // A job writes in order; a range that is written again counts as it is then.
            bytes.truncate((offset - self.first) as usize);
            bytes.extend(written);
        }
        Ok(())
    }
}
