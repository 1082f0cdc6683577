//! The header of a safetensors file: read from bytes that may be hostile, and written.
//!
//! A file is eight bytes (the header's length, little-endian), the header (a JSON object), and the tensors' bytes without gap or
//! overlap. What this accepts, the `safetensors` crate accepts too; beyond it, names that are there twice are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;

use super::json::{Pairs, duplicate, quoted, too_deep};
use super::{DType, Foreign, HeaderError, in_order};

/// The length prefix.
const PREFIX: u64 = 8;

/// The longest header that is accepted, in bytes: the same limit as the reference implementation's.
pub const MAX_HEADER: u64 = 100_000_000;

/// The deepest nesting that is accepted. A header needs three levels; the rest is for members that readers ignore.
const MAX_DEPTH: usize = 16;

const METADATA: &str = "__metadata__";

/// A parsed and checked header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Tensors in the order of their bytes.
    pub tensors: Vec<Entry>,
    /// `__metadata__`.
    pub metadata: BTreeMap<String, String>,
    /// Where the tensors' bytes begin in the file.
    pub data_start: u64,
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its dimensions; empty for a scalar.
    pub shape: Vec<u64>,
    /// First byte, counted from [`Header::data_start`].
    pub start: u64,
    /// One past the last byte, counted likewise.
    pub end: u64,
}

impl Header {
    /// Number of bytes of JSON that follow the file's first eight, checked before anything is allocated for them.
    ///
    /// `file_len` is the length of the whole file in bytes; for a file of less than eight, any `first_eight` will do.
    pub fn length(first_eight: [u8; 8], file_len: u64) -> Result<u64, HeaderError> {
        let Some(found) = file_len.checked_sub(PREFIX) else {
            return Err(HeaderError::TooShort { len: file_len });
        };
        let expected = u64::from_le_bytes(first_eight);
        if expected <= MAX_HEADER && expected <= found {
            return Ok(expected);
        }
        // Only an impossible length is looked at for other formats: no sound file can be mistaken for one.
        Err(match Foreign::of(first_eight) {
            Some(foreign) => HeaderError::Foreign(foreign),
            None if expected > MAX_HEADER => HeaderError::TooLong { found: expected, limit: MAX_HEADER },
            None => HeaderError::HeaderCut { expected, found },
        })
    }

    /// Reads the JSON of a header and checks it against the length of the whole file.
    pub fn parse(json: &[u8], file_len: u64) -> Result<Self, HeaderError> {
        let text =
            std::str::from_utf8(json).map_err(|error| HeaderError::NotUtf8 { at: error.valid_up_to() as u64 })?;
        if !text.starts_with('{') {
            return Err(HeaderError::NotAnObject);
        }
        if let Some(at) = too_deep(json, MAX_DEPTH) {
            return Err(HeaderError::TooDeep { at: at as u64, limit: MAX_DEPTH as u64 });
        }
        let data_start = PREFIX + json.len() as u64;
        let Some(data_len) = file_len.checked_sub(data_start) else {
            return Err(HeaderError::HeaderCut { expected: json.len() as u64, found: file_len.saturating_sub(PREFIX) });
        };
        let mut header = Reader::read(text)?;
        header.data_start = data_start;
        // By their beginnings; of those that begin together, the empty ones come first.
        let by_end = in_order(std::mem::take(&mut header.tensors), |entry| entry.end);
        header.tensors = in_order(by_end, |entry| entry.start);
        header.check(data_len)?;
        Ok(header)
    }

    /// Checks what JSON cannot: that the tensors, in the order of their bytes, fill `data_len` bytes exactly.
    fn check(&self, data_len: u64) -> Result<(), HeaderError> {
        if let Some(name) = duplicate(self.tensors.iter().map(|entry| entry.name.as_str())) {
            return Err(HeaderError::DuplicateTensor { tensor: name.to_owned() });
        }
        let mut previous: Option<&Entry> = None;
        for entry in &self.tensors {
            entry.check_size()?;
            let tensor = || entry.name.clone();
            let (expected, found) = (previous.map_or(0, |entry| entry.end), entry.start);
            match previous {
                Some(other) if found < expected => {
                    return Err(HeaderError::Overlap { tensor: tensor(), other: other.name.clone(), expected, found });
                }
                _ if found > expected => return Err(HeaderError::Hole { tensor: tensor(), expected, found }),
                _ => {}
            }
            if entry.end > data_len {
                return Err(HeaderError::DataCut { tensor: tensor(), expected: entry.end, found: data_len });
            }
            previous = Some(entry);
        }
        let expected = previous.map_or(0, |entry| entry.end);
        if expected < data_len {
            return Err(HeaderError::TrailingBytes { expected, found: data_len });
        }
        Ok(())
    }

    /// The beginning of a file with this header: the length prefix and the JSON, padded with spaces to a multiple of eight bytes.
    ///
    /// Tensors and offsets are written as they stand; [`Header::data_start`] is not read: it is the length of the result.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut json = String::from("{");
        if !self.metadata.is_empty() {
            let members: Vec<String> =
                self.metadata.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
            let _ = write!(json, "\"{METADATA}\":{{{}}}", members.join(","));
        }
        for entry in &self.tensors {
            let comma = if json.len() > 1 { "," } else { "" };
            let dimensions: Vec<String> = entry.shape.iter().map(u64::to_string).collect();
            let _ = write!(
                json,
                r#"{comma}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}}"#,
                quoted(&entry.name),
                entry.dtype,
                dimensions.join(","),
                entry.start,
                entry.end,
            );
        }
        json.push('}');
        let len = json.len().next_multiple_of(PREFIX as usize);
        let mut bytes = (len as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.resize(PREFIX as usize + len, b' ');
        bytes
    }
}

impl Entry {
    /// Number of elements; `None` if 64 bits cannot count them.
    ///
    /// Dimensions are multiplied in order, so a zero does not excuse an overflow before it: other readers refuse that too.
    fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1_u64, |product, dimension| product.checked_mul(*dimension))
    }

    /// Checks that shape × type is what the offsets give.
    fn check_size(&self) -> Result<(), HeaderError> {
        let tensor = || self.name.clone();
        // Counted in bits, as the reference implementation does: what it cannot count is refused here as well.
        let Some(bits) = self.elements().and_then(|elements| elements.checked_mul(self.dtype.size() * 8)) else {
            return Err(HeaderError::ShapeOverflow { tensor: tensor(), shape: self.shape.clone() });
        };
        let Some(found) = self.end.checked_sub(self.start) else {
            return Err(HeaderError::OffsetsReversed { tensor: tensor(), start: self.start, end: self.end });
        };
        let expected = bits / 8;
        if expected == found {
            return Ok(());
        }
        Err(HeaderError::SizeMismatch {
            tensor: tensor(),
            dtype: self.dtype,
            shape: self.shape.clone(),
            expected,
            found,
        })
    }
}

/// The three members of a tensor's entry, before its type is looked up.
#[derive(serde::Deserialize)]
#[serde(expecting = "an object with dtype, shape and data_offsets")]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: Vec<u64>,
}

/// Collects a header's members. serde can only carry sentences out of a visitor, so what went wrong, and where, waits here.
#[derive(Default)]
struct Reader {
    header: Header,
    metadata_seen: bool,
    /// The member whose value is being read.
    member: Option<String>,
    fault: Option<HeaderError>,
}

impl Reader {
    fn read(text: &str) -> Result<Header, HeaderError> {
        let mut reader = Self::default();
        let mut json = serde_json::Deserializer::from_str(text);
        let Err(error) = reader.deserialize(&mut json).and_then(|()| json.end()) else {
            return Ok(reader.header);
        };
        if let Some(fault) = reader.fault {
            return Err(fault);
        }
        let problem = error.to_string();
        Err(match reader.member {
            Some(member) if error.classify() == Category::Data && member == METADATA => {
                HeaderError::MetadataNotText { problem }
            }
            Some(tensor) if error.classify() == Category::Data => HeaderError::MalformedEntry { tensor, problem },
            _ => HeaderError::NotJson { problem },
        })
    }

    fn add_metadata(&mut self, pairs: Vec<(String, String)>) -> Result<(), HeaderError> {
        let twice = if std::mem::replace(&mut self.metadata_seen, true) {
            Some(METADATA)
        } else {
            duplicate(pairs.iter().map(|(key, _)| key.as_str()))
        };
        if let Some(key) = twice {
            return Err(HeaderError::DuplicateMetadata { key: key.to_owned() });
        }
        self.header.metadata.clear();
        self.header.metadata.extend(pairs);
        Ok(())
    }

    fn add_tensor(&mut self, name: String, raw: RawEntry) -> Result<(), HeaderError> {
        let Some(dtype) = DType::from_name(&raw.dtype) else {
            return Err(HeaderError::UnknownDType { tensor: name, found: raw.dtype });
        };
        let [start, end] = raw.data_offsets[..] else {
            let problem = format!("data_offsets must be two numbers, not {}", raw.data_offsets.len());
            return Err(HeaderError::MalformedEntry { tensor: name, problem });
        };
        self.header.tensors.push(Entry { name, dtype, shape: raw.shape, start, end });
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reader {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            self.member = Some(name.clone());
            let added = if name == METADATA {
                let Pairs(pairs) = map.next_value()?;
                self.add_metadata(pairs)
            } else {
                let raw = map.next_value()?;
                self.add_tensor(name, raw)
            };
            self.member = None;
            if let Err(fault) = added {
                self.fault = Some(fault);
                return Err(A::Error::custom("see Reader::fault"));
            }
        }
        Ok(())
    }
}
