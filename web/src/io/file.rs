//! A `File` as the engine's source of bytes, read in a worker with `FileReaderSync`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use js_sys::Uint8Array;
use merge_studio::format::{ReadError, Source};
use wasm_bindgen::JsValue;
use web_sys::{Blob, FileReaderSync};

use crate::wire::words;

/// A read costs milliseconds whatever its size, so small ones that follow one another fetch this much.
const READ_AHEAD: u64 = 4 << 20;
/// Blocks that a worker keeps: one an input is what a merge wants.
const BLOCKS: usize = 8;

/// What was read ahead.
struct Block {
    file: u32,
    start: u64,
    bytes: Vec<u8>,
}

thread_local! {
    static AHEAD: RefCell<VecDeque<Block>> = const { RefCell::new(VecDeque::new()) };
    static FILES: Cell<u32> = const { Cell::new(0) };
}

/// A file that a person gave, or a result.
#[derive(Clone)]
pub struct WebFile {
    blob: Blob,
    len: u64,
    reader: FileReaderSync,
    number: u32,
    /// Where the last read ended.
    end: Cell<u64>,
}

impl WebFile {
    /// Only workers can read like this.
    pub fn new(blob: Blob) -> Result<Self, JsValue> {
        let number = FILES.get();
        FILES.set(number + 1);
        Ok(Self { len: blob.size() as u64, blob, reader: FileReaderSync::new()?, number, end: Cell::new(u64::MAX) })
    }

    /// The file itself.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Reads without waiting.
    pub fn read_now(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let wanted = into.len() as u64;
        let end = offset.checked_add(wanted).filter(|end| *end <= self.len).ok_or(ReadError::PastEnd {
            offset,
            wanted,
            len: self.len,
        })?;
        let follows = offset.checked_sub(self.end.replace(end)).is_some_and(|gap| gap < READ_AHEAD);
        if wanted >= READ_AHEAD {
            self.fetch(offset, end)?.copy_to(into);
            return Ok(());
        }
        AHEAD.with_borrow_mut(|blocks| {
            let holds = |block: &Block| {
                block.file == self.number && block.start <= offset && end <= block.start + block.bytes.len() as u64
            };
            if !blocks.iter().any(holds) {
                if !follows {
                    self.fetch(offset, end)?.copy_to(into);
                    return Ok(());
                }
                let fetched = self.fetch(offset, (offset + READ_AHEAD).min(self.len))?;
                blocks.retain(|block| block.file != self.number);
                blocks.truncate(BLOCKS - 1);
                blocks.push_front(Block { file: self.number, start: offset, bytes: fetched.to_vec() });
            }
            if let Some(block) = blocks.iter().find(|block| holds(block)) {
                let from = (offset - block.start) as usize;
                into.copy_from_slice(&block.bytes[from..from + into.len()]);
            }
            Ok(())
        })
    }

    /// Forgets what was read ahead, of every file.
    pub fn forget() {
        AHEAD.with_borrow_mut(VecDeque::clear);
    }

    fn fetch(&self, start: u64, end: u64) -> Result<Uint8Array, ReadError> {
        let host = |error: JsValue| ReadError::Host(words(&error));
        let slice = self.blob.slice_with_f64_and_f64(start as f64, end as f64).map_err(host)?;
        let bytes = Uint8Array::new(&self.reader.read_as_array_buffer(&slice).map_err(host)?.into());
        if u64::from(bytes.length()) == end - start {
            Ok(bytes)
        } else {
            Err(ReadError::PastEnd { offset: start, wanted: end - start, len: start + u64::from(bytes.length()) })
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
