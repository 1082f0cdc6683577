//! A zip that only stores: headers around whole files, laid out without reading one of them.
//!
//! Lengths and CRC-32s are known from writing the files, so that the archive is a list of parts: some header bytes, then a
//! file as it stands, and so on. A page hands the parts to a `Blob`, which copies nothing. Zip64 records appear exactly
//! where a 32-bit field would overflow; timestamps are fixed, so that equal files give equal archives.

use super::CrcRange;
use crate::format::order;

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path inside the archive, with `/` between folders.
    pub name: String,
    /// Length in bytes.
    pub len: u64,
    /// CRC-32 of the contents.
    pub crc32: u32,
}

/// One stretch of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The whole of the entry with this index.
    File(usize),
}

/// 1980-01-01, the first day that a DOS date can hold; the time beside it is zero.
const DATE: u16 = 0x0021;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// Plain stored entries need 1.0; those with a zip64 field need 4.5.
const NEEDS_PLAIN: u16 = 10;
const NEEDS_ZIP64: u16 = 45;
/// Made by zip 4.5 on Unix, for the permissions below.
const MADE_BY: u16 = (3 << 8) + NEEDS_ZIP64;
/// An ordinary file, `rw-r--r--`.
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// In a 32-bit field: look in the zip64 field. So a value that equals it needs one, too.
const IN_ZIP64: u32 = u32::MAX;
/// The same for a 16-bit count.
const COUNT_IN_ZIP64: u16 = u16::MAX;

/// The archive of `entries`, in their order: header bytes and whole files by turns.
pub fn layout(entries: &[Entry]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(entries.len() * 2 + 1);
    let mut directory = Vec::new();
    let mut offset = 0;
    for (index, entry) in entries.iter().enumerate() {
        let header = local_header(entry);
        central_header(entry, offset, &mut directory);
        offset += header.len() as u64 + entry.len;
        parts.push(Part::Bytes(header));
        parts.push(Part::File(index));
    }
    end_of_directory(entries.len() as u64, offset, &mut directory);
    parts.push(Part::Bytes(directory));
    parts
}

/// Length of the archive that [`layout`] gives for `entries`.
pub fn total_len(entries: &[Entry], parts: &[Part]) -> u64 {
    parts
        .iter()
        .map(|part| match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File(index) => entries.get(*index).map_or(0, |entry| entry.len),
        })
        .sum()
}

/// The CRC-32 of a file from those of its pieces, which together cover it.
pub fn combine(pieces: &[CrcRange]) -> u32 {
    let in_order = order(pieces.iter().map(|(offset, ..)| *offset)).into_iter().map(|place| pieces[place]);
    in_order.fold(0, |whole, (_, len, crc)| merge_studio_crc32::combine(whole, crc, len))
}

fn local_header(entry: &Entry) -> Vec<u8> {
    let mut zip64 = Vec::new();
    if entry.len >= u64::from(IN_ZIP64) {
        // A local header must give both lengths, stored and original.
        zip64.extend(entry.len.to_le_bytes());
        zip64.extend(entry.len.to_le_bytes());
    }
    let mut header = b"PK\x03\x04".to_vec();
    common_fields(entry, &zip64, &mut header);
    header.extend(entry.name.as_bytes());
    extra_field(&zip64, &mut header);
    header
}

fn central_header(entry: &Entry, offset: u64, into: &mut Vec<u8>) {
    let mut zip64 = Vec::new();
    if entry.len >= u64::from(IN_ZIP64) {
        zip64.extend(entry.len.to_le_bytes());
        zip64.extend(entry.len.to_le_bytes());
    }
    if offset >= u64::from(IN_ZIP64) {
        zip64.extend(offset.to_le_bytes());
    }
    into.extend(b"PK\x01\x02");
    into.extend(MADE_BY.to_le_bytes());
    common_fields(entry, &zip64, into);
    into.extend([0; 6]); // No comment, first disk, not known to be text.
    into.extend(ATTRIBUTES.to_le_bytes());
    into.extend(narrow(offset).to_le_bytes());
    into.extend(entry.name.as_bytes());
    extra_field(&zip64, into);
}

/// What local and central headers have in common: from the version needed to the length of the extra field.
fn common_fields(entry: &Entry, zip64: &[u8], into: &mut Vec<u8>) {
    let needs = if zip64.is_empty() { NEEDS_PLAIN } else { NEEDS_ZIP64 };
    let extra_len = if zip64.is_empty() { 0 } else { 4 + zip64.len() as u16 };
    into.extend(needs.to_le_bytes());
    into.extend(FLAGS.to_le_bytes());
    into.extend(0_u16.to_le_bytes()); // Stored.
    into.extend(0_u16.to_le_bytes()); // Midnight.
    into.extend(DATE.to_le_bytes());
    into.extend(entry.crc32.to_le_bytes());
    into.extend(narrow(entry.len).to_le_bytes());
    into.extend(narrow(entry.len).to_le_bytes());
    into.extend((entry.name.len() as u16).to_le_bytes());
    into.extend(extra_len.to_le_bytes());
}

fn extra_field(zip64: &[u8], into: &mut Vec<u8>) {
    if !zip64.is_empty() {
        into.extend(1_u16.to_le_bytes());
        into.extend((zip64.len() as u16).to_le_bytes());
        into.extend(zip64);
    }
}

fn end_of_directory(entries: u64, start: u64, directory: &mut Vec<u8>) {
    let len = directory.len() as u64;
    let wide = entries >= u64::from(COUNT_IN_ZIP64) || start >= u64::from(IN_ZIP64) || len >= u64::from(IN_ZIP64);
    if wide {
        directory.extend(b"PK\x06\x06");
        directory.extend(44_u64.to_le_bytes()); // Bytes of this record that follow.
        directory.extend(MADE_BY.to_le_bytes());
        directory.extend(NEEDS_ZIP64.to_le_bytes());
        directory.extend([0; 8]); // One disk.
        directory.extend(entries.to_le_bytes());
        directory.extend(entries.to_le_bytes());
        directory.extend(len.to_le_bytes());
        directory.extend(start.to_le_bytes());
        directory.extend(b"PK\x06\x07");
        directory.extend(0_u32.to_le_bytes());
        directory.extend((start + len).to_le_bytes());
        directory.extend(1_u32.to_le_bytes());
    }
    let count = u16::try_from(entries).unwrap_or(COUNT_IN_ZIP64);
    directory.extend(b"PK\x05\x06");
    directory.extend([0; 4]); // One disk.
    directory.extend(count.to_le_bytes());
    directory.extend(count.to_le_bytes());
    directory.extend(narrow(len).to_le_bytes());
    directory.extend(narrow(start).to_le_bytes());
    directory.extend(0_u16.to_le_bytes()); // No comment.
}

/// The 32-bit field for `value`.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(IN_ZIP64)
}

#[cfg(test)]
#[path = "zip_tests.rs"]
mod tests;
