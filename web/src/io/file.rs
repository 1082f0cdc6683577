//! A `File` as the engine's source of bytes, read in a worker with `FileReaderSync`.

use js_sys::Uint8Array;
use merge_studio::format::{ReadError, Source};
use wasm_bindgen::JsValue;
use web_sys::{Blob, FileReaderSync};

use crate::wire::words;

/// A file that a person gave, or a result. Weights are read through [`StreamedFile`](super::StreamedFile).
#[derive(Clone)]
pub struct WebFile {
    blob: Blob,
    len: u64,
    reader: FileReaderSync,
}

impl WebFile {
    /// Only workers can read like this.
    pub fn new(blob: Blob) -> Result<Self, JsValue> {
        Ok(Self { len: blob.size() as u64, blob, reader: FileReaderSync::new()? })
    }

    /// The file itself.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Reads without waiting.
    pub fn read_now(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let wanted = into.len() as u64;
        let past_end = |len| ReadError::PastEnd { offset, wanted, len };
        let end = offset.checked_add(wanted).filter(|end| *end <= self.len).ok_or_else(|| past_end(self.len))?;
        let host = |error: JsValue| ReadError::Host(words(&error));
        let slice = self.blob.slice_with_f64_and_f64(offset as f64, end as f64).map_err(host)?;
        let bytes = Uint8Array::new(&self.reader.read_as_array_buffer(&slice).map_err(host)?.into());
        if bytes.length() as usize == into.len() {
            bytes.copy_to(into);
            Ok(())
        } else {
            Err(past_end(offset + u64::from(bytes.length())))
        }
    }
}

impl Source for WebFile {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.read_now(offset, into)
    }
}
