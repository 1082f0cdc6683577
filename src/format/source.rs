//! The one way bytes come into the engine: random access to a file, wherever it lives.

/// A file that can be read at any offset: a local file, a browser's `File`, bytes in memory.
#[allow(async_fn_in_trait)] // Every host runs a job on one thread: natively `block_on`, in a page a worker.
pub trait Source {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// True when the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `into` with the bytes from `offset` on. Reading past the end is an error, never a short read.
    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError>;
}

/// A read that did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum ReadError {
    /// The range reaches past the end of the file.
    #[error("bytes {offset}..{} are past the end of a file of {len} bytes", offset + wanted)]
    PastEnd {
        /// First byte asked for.
        offset: u64,
        /// Number of bytes asked for.
        wanted: u64,
        /// Length of the file.
        len: u64,
    },
    /// The host could not read: its own words.
    #[error("{0}")]
    Host(String),
}

impl Source for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let past_end = ReadError::PastEnd { offset, wanted: into.len() as u64, len: Source::len(self) };
        let start = usize::try_from(offset).map_err(|_| past_end.clone())?;
        let end = start.checked_add(into.len()).ok_or_else(|| past_end.clone())?;
        into.copy_from_slice(self.get(start..end).ok_or(past_end)?);
        Ok(())
    }
}

macro_rules! source_behind {
    ($($pointer:ty),*) => {$(
        impl<S: Source> Source for $pointer {
            fn len(&self) -> u64 {
                S::len(self)
            }

            async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
                S::read(self, offset, into).await
            }
        }
    )*};
}

source_behind!(&S, std::rc::Rc<S>, std::sync::Arc<S>);
