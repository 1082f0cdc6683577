//! A `File` as a merge reads it: from front to back, in a stream that the browser fills ahead of us.
//!
//! Every read that a page asks of its browser costs a message between processes, so that one long stream is twice as fast as slices of
//! 16 MiB, and it fills one buffer again and again instead of leaving a new one a slice for the collector (docs/measured.md).

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Reflect, Uint8Array};
use merge_studio::format::{ReadError, Source};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, ReadableStreamByobReader};

use crate::wire::words;

/// Bytes of the buffer that travels to the browser and back.
const CHUNK: u32 = 1 << 20;
/// The most that is read and thrown away to reach a place further on, where a new stream would cost more.
const SKIP: u64 = 1 << 20;

/// A file of weights.
pub struct StreamedFile {
    blob: Blob,
    len: u64,
    /// Taken out while a read is on its way, so that one that is given up leaves no stream at an unknown place.
    stream: Rc<RefCell<Option<Stream>>>,
}

impl StreamedFile {
    /// Nothing is read yet.
    pub fn new(blob: Blob) -> Self {
        Self { len: blob.size() as u64, blob, stream: Rc::default() }
    }

    /// The files of one model, which have one stream together: what is read ahead does not grow with their number.
    pub fn of_model(blobs: impl Iterator<Item = Blob>) -> Vec<Self> {
        let stream = Rc::default();
        blobs.map(|blob| Self { stream: Rc::clone(&stream), ..Self::new(blob) }).collect()
    }

    /// The stream of this file that is at `offset` or shortly before, or a new one from there on.
    fn at(&self, offset: u64) -> Result<Stream, JsValue> {
        let reaches =
            |stream: &Stream| stream.blob == self.blob && offset.checked_sub(stream.at).is_some_and(|gap| gap <= SKIP);
        match self.stream.take() {
            Some(stream) if reaches(&stream) => Ok(stream),
            // The last one is cancelled where it is dropped.
            _ => Stream::open(&self.blob, offset),
        }
    }
}

impl Source for StreamedFile {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let wanted = into.len() as u64;
        let past_end = ReadError::PastEnd { offset, wanted, len: self.len };
        if offset.checked_add(wanted).is_none_or(|end| end > self.len) {
            return Err(past_end);
        }
        let host = |error: JsValue| ReadError::Host(words(&error));
        let mut stream = self.at(offset).map_err(host)?;
        while stream.at < offset {
            if stream.rest.length() == 0 && !stream.fill().await.map_err(host)? {
                return Err(past_end);
            }
            stream.take((offset - stream.at).min(u64::from(u32::MAX)) as u32);
        }
        let mut done = 0;
        while done < into.len() {
            if stream.rest.length() == 0 && !stream.fill().await.map_err(host)? {
                return Err(past_end);
            }
            let part = stream.take((into.len() - done).min(u32::MAX as usize) as u32);
            let end = done + part.length() as usize;
            part.copy_to(&mut into[done..end]);
            done = end;
        }
        self.stream.replace(Some(stream));
        Ok(())
    }
}

/// The bytes of a file from a place on.
struct Stream {
    blob: Blob,
    reader: ReadableStreamByobReader,
    /// Where in the file `rest` begins.
    at: u64,
    /// What has come and was not taken.
    rest: Uint8Array,
}

impl Stream {
    fn open(blob: &Blob, offset: u64) -> Result<Self, JsValue> {
        let stream = blob.slice_with_f64(offset as f64)?.stream();
        // A browser whose Blobs cannot fill our buffer has a reader that brings buffers of its own, and ignores ours.
        let reader = ReadableStreamByobReader::new(&stream).unwrap_or_else(|_| stream.get_reader().unchecked_into());
        Ok(Self { blob: blob.clone(), reader, at: offset, rest: Uint8Array::new_with_length(0) })
    }

    /// Waits for more bytes; false at the end of the file.
    async fn fill(&mut self) -> Result<bool, JsValue> {
        let buffer = self.rest.buffer();
        let view =
            if buffer.byte_length() == CHUNK { Uint8Array::new(&buffer) } else { Uint8Array::new_with_length(CHUNK) };
        let result = JsFuture::from(self.reader.read_with_array_buffer_view(&view)).await?;
        match Reflect::get(&result, &"value".into())?.dyn_into::<Uint8Array>() {
            Ok(chunk) if chunk.length() > 0 => {
                self.rest = chunk;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// At most `most` of the bytes that have come.
    fn take(&mut self, most: u32) -> Uint8Array {
        let len = most.min(self.rest.length());
        let part = self.rest.subarray(0, len);
        self.rest = self.rest.subarray(len, self.rest.length());
        self.at += u64::from(len);
        part
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Lets the browser stop reading ahead. There is nobody left to tell if it cannot.
        let cancelled = JsFuture::from(self.reader.cancel());
        spawn_local(async { drop(cancelled.await) });
    }
}
