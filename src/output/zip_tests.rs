//! The zip layout, read back by the `zip` crate, and beyond 4 GiB by its structure.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read, Seek, SeekFrom};

use merge_studio_crc32::crc32;

use super::*;

fn entry(name: &str, contents: &[u8]) -> Entry {
    Entry { name: name.into(), len: contents.len() as u64, crc32: crc32(contents) }
}

#[test]
fn another_reader_finds_every_file_with_its_bytes() {
    let files: [(&str, &[u8]); 4] =
        [("a/model.safetensors", b"weights"), ("a/config.json", b"{}"), ("a/empty", b""), ("a/模型.txt", b"text")];
    let entries: Vec<Entry> = files.iter().map(|(name, contents)| entry(name, contents)).collect();
    let parts = layout(&entries);
    let mut bytes = Vec::new();
    for part in &parts {
        match part {
            Part::Bytes(header) => bytes.extend(header),
            Part::File(index) => bytes.extend(files[*index].1),
        }
    }
    assert_eq!(bytes.len() as u64, total_len(&entries, &parts));

    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), files.len());
    for (name, contents) in files {
        let mut read = Vec::new();
        let mut file = archive.by_name(name).unwrap();
        assert_eq!(file.unix_mode(), Some(0o100_644));
        file.read_to_end(&mut read).unwrap(); // Checks the CRC-32 as well.
        assert_eq!(read, contents);
    }
}

#[test]
fn a_wrong_checksum_is_noticed_by_the_other_reader() {
    let entries = [Entry { crc32: 1, ..entry("a", b"weights") }];
    let mut bytes = Vec::new();
    for part in layout(&entries) {
        match part {
            Part::Bytes(header) => bytes.extend(header),
            Part::File(_) => bytes.extend(b"weights"),
        }
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert!(archive.by_index(0).unwrap().read_to_end(&mut Vec::new()).is_err());
}

/// An archive whose files are zeros that nobody stores.
struct Sparse {
    entries: Vec<Entry>,
    parts: Vec<Part>,
    at: u64,
}

impl Read for Sparse {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut start = 0;
        for part in &self.parts {
            let len = total_len(&self.entries, std::slice::from_ref(part));
            if self.at < start + len {
                let skip = (self.at - start) as usize;
                let count = into.len().min((len - (self.at - start)).min(1 << 20) as usize);
                match part {
                    Part::Bytes(bytes) => into[..count].copy_from_slice(&bytes[skip..skip + count]),
                    Part::File(_) => into[..count].fill(0),
                }
                self.at += count as u64;
                return Ok(count);
            }
            start += len;
        }
        Ok(0)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let end = total_len(&self.entries, &self.parts);
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(by) => end.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

fn of_lens(lens: &[u64]) -> Sparse {
    let entries: Vec<Entry> = lens
        .iter()
        .enumerate()
        .map(|(index, &len)| Entry { name: format!("f{index}"), len, crc32: index as u32 })
        .collect();
    Sparse { parts: layout(&entries), entries, at: 0 }
}

fn header_lens(archive: &Sparse) -> Vec<usize> {
    archive
        .parts
        .iter()
        .filter_map(|part| if let Part::Bytes(bytes) = part { Some(bytes.len()) } else { None })
        .collect()
}

#[test]
fn files_and_offsets_beyond_4_gib_are_found_by_the_other_reader() {
    let lens = [5, 5 << 30, 7, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 0];
    let mut archive = zip::ZipArchive::new(of_lens(&lens)).unwrap();
    assert_eq!(archive.len(), lens.len());
    for (index, len) in lens.into_iter().enumerate() {
        let file = archive.by_index_raw(index).unwrap();
        assert_eq!((file.size(), file.compressed_size(), file.crc32()), (len, len, index as u32));
        assert_eq!(file.name().unwrap(), format!("f{index}"));
    }
}

#[test]
fn zip64_fields_stand_exactly_where_32_bits_do_not_hold() {
    const LOCAL: usize = 30 + 2;
    const CENTRAL: usize = 46 + 2;
    const END: usize = 22;
    const END64: usize = 56 + 20;
    let largest = u64::from(u32::MAX) - 1;
    // The file fits; so does the offset of the directory only if it and its header stay below the mark.
    assert_eq!(header_lens(&of_lens(&[1000])), [LOCAL, CENTRAL + END]);
    assert_eq!(header_lens(&of_lens(&[largest])), [LOCAL, CENTRAL + END64 + END]);
    assert_eq!(header_lens(&of_lens(&[largest - LOCAL as u64])), [LOCAL, CENTRAL + END]);
    assert_eq!(header_lens(&of_lens(&[largest + 1])), [LOCAL + 20, CENTRAL + 20 + END64 + END]);
    // A small file behind a large one: only its offset is wide.
    assert_eq!(header_lens(&of_lens(&[largest, 1])), [LOCAL, LOCAL, 2 * CENTRAL + 12 + END64 + END]);
    // Both wide in one entry.
    assert_eq!(header_lens(&of_lens(&[largest, largest + 1])), [LOCAL, LOCAL + 20, 2 * CENTRAL + 28 + END64 + END]);
}

#[test]
fn more_files_than_a_16_bit_count_holds_need_zip64() {
    let plain = of_lens(&vec![0; 65_534]);
    let wide = of_lens(&vec![0; 65_535]);
    let end = |archive: &Sparse| match archive.parts.last() {
        Some(Part::Bytes(bytes)) => bytes.windows(4).any(|window| window == b"PK\x06\x06"),
        _ => panic!("an archive ends with its directory"),
    };
    assert_eq!((end(&plain), end(&wide)), (false, true));
    let bytes: Vec<u8> = wide
        .parts
        .into_iter()
        .flat_map(|part| if let Part::Bytes(bytes) = part { bytes } else { Vec::new() })
        .collect();
    assert_eq!(zip::ZipArchive::new(Cursor::new(bytes)).unwrap().len(), 65_535);
}

#[test]
fn the_checksum_of_a_file_follows_from_its_pieces_in_any_order() {
    let bytes: Vec<u8> = (0..10_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let piece = |from: usize, to: usize| (from as u64, (to - from) as u64, crc32(&bytes[from..to]));
    let whole = crc32(&bytes);
    assert_eq!(combine(&[piece(4096, 10_000), piece(0, 1), piece(1, 4096)]), whole);
    assert_eq!(combine(&[piece(0, 10_000)]), whole);
    assert_ne!(combine(&[piece(0, 4096), piece(4097, 10_000)]), whole);
    assert_eq!(combine(&[]), crc32(b""));
}
