//! The beginning of a GGUF file, version 3: metadata, and what tensors there are. All numbers are little-endian.
//!
//! Magic, version, two counts; the metadata, each a key, a type and a value; the tensors, each a name, dimensions (the fastest
//! first, so reversed), type and offset; then zeros up to the alignment, where the first tensor's bytes begin.

/// Every tensor begins at a multiple of this many bytes. It is the format's default, so the metadata need not say it.
pub(super) const ALIGNMENT: u64 = 32;

const VERSION: u32 = 3;

/// Types of values, as the format numbers them.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Metadata on their way.
#[derive(Default)]
pub(super) struct Metadata {
    count: u64,
    bytes: Vec<u8>,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) {
        self.count += 1;
        put_text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn array(&mut self, key: &str, kind: u32, len: usize) {
        self.key(key, ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((len as u64).to_le_bytes());
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key, TEXT);
        put_text(&mut self.bytes, value);
    }

    pub(super) fn number(&mut self, key: &str, value: u32) {
        self.key(key, U32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn float(&mut self, key: &str, value: f32) {
        self.key(key, F32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.key(key, BOOL);
        self.bytes.push(u8::from(value));
    }

    pub(super) fn texts<'a>(&mut self, key: &str, values: impl ExactSizeIterator<Item = &'a str>) {
        self.array(key, TEXT, values.len());
        for value in values {
            put_text(&mut self.bytes, value);
        }
    }

    pub(super) fn integers(&mut self, key: &str, values: impl ExactSizeIterator<Item = i32>) {
        self.array(key, I32, values.len());
        for value in values {
            self.bytes.extend(value.to_le_bytes());
        }
    }

    pub(super) fn floats(&mut self, key: &str, values: impl ExactSizeIterator<Item = f32>) {
        self.array(key, F32, values.len());
        for value in values {
            self.bytes.extend(value.to_le_bytes());
        }
    }

    /// The whole beginning of a file with these metadata and `tensors` (name, dimensions as in safetensors, type as the format
    /// numbers it, offset from the first tensor's first byte).
    pub(super) fn header<'a>(&self, tensors: impl ExactSizeIterator<Item = (&'a str, &'a [u64], u32, u64)>) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend_from_slice(&self.bytes);
        for (name, shape, kind, offset) in tensors {
            put_text(&mut bytes, name);
            bytes.extend((shape.len() as u32).to_le_bytes());
            for dimension in shape.iter().rev() {
                bytes.extend(dimension.to_le_bytes());
            }
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        bytes
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
