//! Damaged and hostile checkpoint files: each is refused with exactly its error, and the reference implementation agrees.

#![allow(clippy::unwrap_used)]

use merge_studio::format::{DType, Entry, Foreign, Header, HeaderError, IndexError, MAX_HEADER, ShardIndex};
use proptest::prelude::*;
use safetensors::SafeTensors;

/// What opening a file does with its header, on bytes in memory.
fn read(file: &[u8]) -> Result<Header, HeaderError> {
    let first_eight = file.first_chunk().copied().unwrap_or_default();
    let length = Header::length(first_eight, file.len() as u64)? as usize;
    Header::parse(&file[8..8 + length], file.len() as u64)
}

/// A file with this header and so many bytes of data.
fn file(json: &str, data: usize) -> Vec<u8> {
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(json.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

/// A header entry of F32s.
fn f32s(name: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

/// A file of such entries.
fn file_of(entries: &[String], data: usize) -> Vec<u8> {
    file(&format!("{{{}}}", entries.join(",")), data)
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// Every way in which a file can be bad, the file, and what is said of it.
fn malformed() -> Vec<(&'static str, Vec<u8>, HeaderError)> {
    let entry = |member: &str| format!(r#"{{"a":{{{member}}}}}"#);
    let sound = file_of(&[f32s("a", "[2]", 0, 8), f32s("b", "[2]", 8, 16)], 16);
    let mut long_prefix = sound.clone();
    long_prefix[..8].copy_from_slice(&(MAX_HEADER + 1).to_le_bytes());
    vec![
        ("empty", vec![], HeaderError::TooShort { len: 0 }),
        ("seven bytes", vec![0; 7], HeaderError::TooShort { len: 7 }),
        ("header above 100 MB", long_prefix, HeaderError::TooLong { found: MAX_HEADER + 1, limit: MAX_HEADER }),
        ("length that wraps around", vec![0xff; 16], HeaderError::TooLong { found: u64::MAX, limit: MAX_HEADER }),
        (
            "cut in the header",
            sound[..50].to_vec(),
            HeaderError::HeaderCut { expected: sound.len() as u64 - 8 - 16, found: 42 },
        ),
        (
            "cut in the data",
            sound[..sound.len() - 3].to_vec(),
            HeaderError::DataCut { tensor: text("b"), expected: 16, found: 13 },
        ),
        ("offsets past the file", file_of(&[f32s("a", "[1152921504606846975]", 0, 4_611_686_018_427_387_900)], 8), {
            // 2⁶² bytes overflow when counted in bits, as the reference implementation counts.
            HeaderError::ShapeOverflow { tensor: text("a"), shape: vec![1_152_921_504_606_846_975] }
        }),
        ("trailing bytes", file_of(&[f32s("a", "[2]", 0, 8)], 9), HeaderError::TrailingBytes { expected: 8, found: 9 }),
        ("data without tensors", file("{}", 1), HeaderError::TrailingBytes { expected: 0, found: 1 }),
        (
            "overlap",
            file_of(&[f32s("a", "[2]", 0, 8), f32s("b", "[2]", 4, 12)], 12),
            HeaderError::Overlap { tensor: text("b"), other: text("a"), expected: 8, found: 4 },
        ),
        (
            "same bytes twice",
            file_of(&[f32s("a", "[2]", 0, 8), f32s("b", "[2]", 0, 8)], 8),
            HeaderError::Overlap { tensor: text("b"), other: text("a"), expected: 8, found: 0 },
        ),
        (
            "hole",
            file_of(&[f32s("a", "[1]", 0, 4), f32s("b", "[1]", 8, 12)], 12),
            HeaderError::Hole { tensor: text("b"), expected: 4, found: 8 },
        ),
        (
            "hole at the beginning",
            file_of(&[f32s("a", "[1]", 4, 8)], 8),
            HeaderError::Hole { tensor: text("a"), expected: 0, found: 4 },
        ),
        (
            "too few bytes for the shape",
            file_of(&[f32s("a", "[3]", 0, 8)], 8),
            HeaderError::SizeMismatch { tensor: text("a"), dtype: DType::F32, shape: vec![3], expected: 12, found: 8 },
        ),
        (
            "scalar of no bytes",
            file_of(&[f32s("a", "[]", 0, 0)], 0),
            HeaderError::SizeMismatch { tensor: text("a"), dtype: DType::F32, shape: vec![], expected: 4, found: 0 },
        ),
        (
            "offsets reversed",
            file_of(&[f32s("a", "[2]", 8, 0)], 8),
            HeaderError::OffsetsReversed { tensor: text("a"), start: 8, end: 0 },
        ),
        (
            "shape overflow",
            file_of(&[f32s("a", "[4294967296,4294967296,0]", 0, 0)], 0),
            HeaderError::ShapeOverflow { tensor: text("a"), shape: vec![1 << 32, 1 << 32, 0] },
        ),
        (
            "duplicate tensor",
            file_of(&[f32s("a", "[1]", 0, 4), f32s("a", "[1]", 4, 8)], 8),
            HeaderError::DuplicateTensor { tensor: text("a") },
        ),
        (
            "duplicate tensor by an escape",
            file_of(&[f32s("a", "[1]", 0, 4), f32s(r"\u0061", "[1]", 4, 8)], 8),
            HeaderError::DuplicateTensor { tensor: text("a") },
        ),
        (
            "two metadata",
            file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0),
            HeaderError::DuplicateMetadata { key: text("__metadata__") },
        ),
        (
            "duplicate metadata",
            file(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0),
            HeaderError::DuplicateMetadata { key: text("k") },
        ),
        (
            "metadata of a number",
            file(r#"{"__metadata__":{"k":1}}"#, 0),
            HeaderError::MetadataNotText {
                problem: text("invalid type: integer `1`, expected a string at line 1 column 22"),
            },
        ),
        (
            "metadata of a list",
            file(r#"{"__metadata__":[]}"#, 0),
            HeaderError::MetadataNotText {
                problem: text("invalid type: sequence, expected an object at line 1 column 16"),
            },
        ),
        (
            "unknown type",
            file(&entry(r#""dtype":"Q4_1","shape":[1],"data_offsets":[0,4]"#), 4),
            HeaderError::UnknownDType { tensor: text("a"), found: text("Q4_1") },
        ),
        (
            "no type",
            file(&entry(r#""shape":[1],"data_offsets":[0,4]"#), 4),
            HeaderError::MalformedEntry {
                tensor: text("a"),
                problem: text("missing field `dtype` at line 1 column 39"),
            },
        ),
        (
            "entry that is no object",
            file(r#"{"a":7}"#, 0),
            HeaderError::MalformedEntry {
                tensor: text("a"),
                problem: text(
                    "invalid type: integer `7`, expected an object with dtype, shape and data_offsets at line 1 column 6",
                ),
            },
        ),
        (
            "negative dimension",
            file(&entry(r#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#), 4),
            HeaderError::MalformedEntry {
                tensor: text("a"),
                problem: text("invalid value: integer `-1`, expected u64 at line 1 column 31"),
            },
        ),
        (
            "three offsets",
            file(&entry(r#""dtype":"F32","shape":[1],"data_offsets":[0,4,8]"#), 4),
            HeaderError::MalformedEntry { tensor: text("a"), problem: text("data_offsets must be two numbers, not 3") },
        ),
        ("not UTF-8", [&4_u64.to_le_bytes()[..], b"{\"\xff}"].concat(), HeaderError::NotUtf8 { at: 2 }),
        ("no header", vec![0; 8], HeaderError::NotAnObject),
        ("header that is a list", file("[]", 0), HeaderError::NotAnObject),
        (
            "JSON cut short",
            file(r#"{"a":{"dtype":"#, 0),
            HeaderError::NotJson { problem: text("EOF while parsing a value at line 1 column 14") },
        ),
        (
            "JSON and more",
            file("{}{}", 0),
            HeaderError::NotJson { problem: text("trailing characters at line 1 column 3") },
        ),
        (
            "padding other than blanks",
            file("{}\0\0", 0),
            HeaderError::NotJson { problem: text("trailing characters at line 1 column 3") },
        ),
        (
            "over-deep",
            file(&format!(r#"{{"a":{}"#, "[".repeat(1_000_000)), 0),
            HeaderError::TooDeep { at: 20, limit: 16 },
        ),
        (
            "over-deep in a member that nobody reads",
            file(&entry(&format!(r#""x":{}{}"#, "[".repeat(99), "]".repeat(99))), 0),
            HeaderError::TooDeep { at: 24, limit: 16 },
        ),
        ("zip renamed", b"PK\x03\x04\x14\x00\x00\x00\x08\x00".to_vec(), HeaderError::Foreign(Foreign::Zip)),
        ("pickle", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9".to_vec(), HeaderError::Foreign(Foreign::Pickle)),
        ("GGUF", b"GGUF\x03\x00\x00\x00\x22\x01".to_vec(), HeaderError::Foreign(Foreign::Gguf)),
        ("HTML", b"<!DOCTYPE html><html>".to_vec(), HeaderError::Foreign(Foreign::Html)),
        ("HTML after a newline", b"\n<html lang=en>".to_vec(), HeaderError::Foreign(Foreign::Html)),
        ("git-lfs pointer", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), {
            HeaderError::Foreign(Foreign::LfsPointer)
        }),
        ("gzip", b"\x1f\x8b\x08\x08\x01\x02\x03\x04name".to_vec(), HeaderError::Foreign(Foreign::Gzip)),
        (
            "gzip without a time",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec(),
            HeaderError::Foreign(Foreign::Gzip),
        ),
        ("HDF5", b"\x89HDF\r\n\x1a\n\x00".to_vec(), HeaderError::Foreign(Foreign::Hdf5)),
        ("JSON", b"{\"error\": \"Entry not found\"}".to_vec(), HeaderError::Foreign(Foreign::Json)),
    ]
}

#[test]
fn every_malformed_file_is_refused_with_exactly_its_error() {
    for (what, file, expected) in malformed() {
        assert_eq!(read(&file), Err(expected), "{what}");
    }
}

#[test]
fn no_kind_of_failure_is_left_untested() {
    // A match without a catch-all: a new variant does not compile until it is counted here, and then wants a row in the table.
    let number = |error: &HeaderError| match error {
        HeaderError::Foreign(_) => 0,
        HeaderError::TooShort { .. } => 1,
        HeaderError::TooLong { .. } => 2,
        HeaderError::HeaderCut { .. } => 3,
        HeaderError::NotUtf8 { .. } => 4,
        HeaderError::NotAnObject => 5,
        HeaderError::TooDeep { .. } => 6,
        HeaderError::NotJson { .. } => 7,
        HeaderError::MetadataNotText { .. } => 8,
        HeaderError::DuplicateMetadata { .. } => 9,
        HeaderError::MalformedEntry { .. } => 10,
        HeaderError::DuplicateTensor { .. } => 11,
        HeaderError::UnknownDType { .. } => 12,
        HeaderError::ShapeOverflow { .. } => 13,
        HeaderError::OffsetsReversed { .. } => 14,
        HeaderError::SizeMismatch { .. } => 15,
        HeaderError::Overlap { .. } => 16,
        HeaderError::Hole { .. } => 17,
        HeaderError::DataCut { .. } => 18,
        HeaderError::TrailingBytes { .. } => 19,
    };
    let mut met: Vec<i32> = malformed().iter().map(|(_, _, error)| number(error)).collect();
    met.sort_unstable();
    met.dedup();
    assert_eq!(met, (0..20).collect::<Vec<_>>());
}

#[test]
fn every_message_names_its_tensor() {
    for (what, _, error) in malformed() {
        let message = error.to_string();
        let json = serde_json::to_value(&error).unwrap();
        let tensor =
            json.as_object().and_then(|variant| variant.values().next()).and_then(|fields| fields.get("tensor"));
        if let Some(tensor) = tensor.and_then(serde_json::Value::as_str) {
            assert!(message.contains(&format!("tensor {tensor}")), "{what}: {message}");
        }
        assert!(message.len() > 10, "{what}: {message}");
    }
}

#[test]
fn a_header_of_100_mb_is_accepted_by_its_length_and_one_byte_more_is_not() {
    assert_eq!(Header::length(MAX_HEADER.to_le_bytes(), u64::MAX), Ok(MAX_HEADER));
    let found = MAX_HEADER + 1;
    assert_eq!(Header::length(found.to_le_bytes(), u64::MAX), Err(HeaderError::TooLong { found, limit: MAX_HEADER }));
}

#[test]
fn a_length_that_a_file_can_have_is_never_taken_for_another_format() {
    // 0x88b1f is also how gzip begins when it records no time.
    let gzip_like = 0x0008_8b1f_u64;
    assert_eq!(Header::length(gzip_like.to_le_bytes(), 1 << 20), Ok(gzip_like));
}

#[test]
fn files_above_four_gigabytes_are_read_by_64_bit_offsets() {
    let bytes = 5_u64 << 30;
    let json = format!("{{{}}}", f32s("a", "[1342177280]", 0, bytes));
    let header = Header::parse(json.as_bytes(), 8 + json.len() as u64 + bytes).unwrap();
    assert_eq!(header.tensors[0].end, bytes);
    assert_eq!(
        Header::parse(json.as_bytes(), 8 + json.len() as u64 + bytes - 1),
        Err(HeaderError::DataCut { tensor: text("a"), expected: bytes, found: bytes - 1 })
    );
}

#[test]
fn scalars_empty_tensors_any_order_and_unread_members_are_fine() {
    let entries = [
        f32s("late", "[1]", 4, 8),
        f32s("empty", "[3,0,5]", 4, 4),
        r#""scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4],"note":{"by":["someone"]}}"#.to_owned(),
        f32s("nothing", "[0]", 0, 0),
    ];
    let file = file_of(&entries, 8);
    let header = read(&file).unwrap();
    let names: Vec<&str> = header.tensors.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["nothing", "scalar", "empty", "late"]);
    assert_eq!(SafeTensors::deserialize(&file).unwrap().len(), 4);
}

#[test]
fn indexes_are_refused_with_exactly_their_error() {
    let malformed = |problem: &str| IndexError::Malformed { problem: text(problem) };
    let not_a_name = |shard: &str| IndexError::NotAFileName { tensor: text("a"), shard: text(shard) };
    let cases = [
        ("", malformed("EOF while parsing a value at line 1 column 0")),
        ("{}", malformed("missing field `weight_map` at line 1 column 2")),
        (r#"{"weight_map":{"a":1}}"#, malformed("invalid type: integer `1`, expected a string at line 1 column 20")),
        (r#"{"weight_map":{"a":"x","a":"y"}}"#, IndexError::DuplicateTensor { tensor: text("a") }),
        (r#"{"weight_map":{"a":"../x.safetensors"}}"#, not_a_name("../x.safetensors")),
        (r#"{"weight_map":{"a":"..\\x.safetensors"}}"#, not_a_name("..\\x.safetensors")),
        (r#"{"weight_map":{"a":""}}"#, not_a_name("")),
    ];
    for (index, expected) in cases {
        assert_eq!(ShardIndex::parse(index), Err(expected), "{index}");
    }
}

/// Headers whose tensors lie one after the other, with names that need escaping.
fn sound_header() -> impl Strategy<Value = Header> {
    let tensor = ("\\PC{0,8}", 0..DType::ALL.len(), prop::collection::vec(0_u64..4, 0..4));
    let metadata = prop::collection::btree_map("\\PC{0,4}", any::<String>(), 0..3);
    (prop::collection::vec(tensor, 0..6), metadata).prop_map(|(tensors, metadata)| {
        let mut end = 0;
        let entries = tensors.into_iter().enumerate().map(|(i, (name, dtype, shape))| {
            let dtype = DType::ALL[dtype];
            let start = end;
            end += shape.iter().product::<u64>() * dtype.size();
            Entry { name: format!("{i}\"\\\n{name}"), dtype, shape, start, end }
        });
        let mut header = Header { tensors: entries.collect(), metadata, data_start: 0 };
        header.data_start = header.to_bytes().len() as u64;
        header
    })
}

fn file_with(header: &Header) -> Vec<u8> {
    let mut file = header.to_bytes();
    file.resize(file.len() + header.tensors.last().map_or(0, |entry| entry.end as usize), 0);
    file
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same_by_us_and_by_the_reference(header in sound_header()) {
        let file = file_with(&header);
        prop_assert_eq!(header.data_start % 8, 0);
        prop_assert_eq!(&read(&file).unwrap(), &header);
        let (length, reference) = SafeTensors::read_metadata(&file).unwrap();
        prop_assert_eq!(length as u64 + 8, header.data_start);
        for entry in &header.tensors {
            let info = reference.info(&entry.name).unwrap();
            prop_assert_eq!(info.dtype.to_string(), entry.dtype.name());
            prop_assert_eq!(info.data_offsets, (entry.start as usize, entry.end as usize));
        }
        let metadata = reference.metadata().clone().unwrap_or_default();
        prop_assert_eq!(metadata.into_iter().collect::<std::collections::BTreeMap<_, _>>(), header.metadata);
    }

    #[test]
    fn what_the_reference_writes_is_read(shapes in prop::collection::vec(prop::collection::vec(0_usize..4, 0..4), 0..5)) {
        let data = [7_u8; 27 * 4];
        let views = shapes.iter().enumerate().map(|(i, shape)| {
            let bytes = shape.iter().product::<usize>() * 4;
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), &data[..bytes]);
            (format!("tensor {i}"), view.unwrap())
        });
        let metadata = std::collections::HashMap::from([(text("format"), text("pt"))]);
        let header = read(&safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
        prop_assert_eq!(header.tensors.len(), shapes.len());
        prop_assert_eq!(header.metadata.get("format").map(String::as_str), Some("pt"));
    }

    #[test]
    fn hostile_bytes_never_panic_and_what_is_accepted_the_reference_accepts(
        header in sound_header(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = file_with(&header);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(read) = read(&file) {
            prop_assert_eq!(SafeTensors::deserialize(&file).unwrap().len(), read.tensors.len());
        }
    }

    #[test]
    fn hostile_json_never_panics_and_what_is_accepted_the_reference_accepts(
        entries in prop::collection::vec(
            ("[ab_]", prop::sample::select(vec!["F32", "U8", "X"]), prop::collection::vec(0_u64..3, 0..3), 0_u64..9, 0_u64..9),
            0..4,
        ),
        data in 0_usize..9,
    ) {
        let entries: Vec<String> = entries
            .iter()
            .map(|(name, dtype, shape, start, end)| {
                format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
            })
            .collect();
        let file = file_of(&entries, data);
        if let Ok(read) = read(&file) {
            prop_assert_eq!(SafeTensors::deserialize(&file).unwrap().len(), read.tensors.len());
        }
    }
}
