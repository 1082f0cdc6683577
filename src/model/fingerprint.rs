//! The quick fingerprint of a model: tells checkpoints apart without reading their weights.
//!
//! It is the SHA-256, in lower-case hexadecimal, over the weight files in order of their names. Each file contributes, in this order:
//!
//! 1. its length in bytes, as 8 bytes, little-endian;
//! 2. everything before its data section: the 8 bytes of the length prefix and the header's JSON, padding included;
//! 3. of its data section of D bytes: all of it if D ≤ 64 · 4096; otherwise 64 blocks of 4096 bytes, block i (0 ≤ i < 64)
//!    beginning ⌊i · (D − 4096) / 63⌋ bytes into the section. So the first and the last block are always among them.
//!
//! File names do not count: a copy under another name has the same fingerprint. A change that spares every block goes
//! unseen; the fingerprint recognises checkpoints, it does not protect against forgery.

use sha2::{Digest, Sha256};

use crate::format::{ReadError, Source};

/// Blocks looked at in each file.
const BLOCKS: u64 = 64;

/// Bytes of a block.
const BLOCK: u64 = 4096;

/// A fingerprint in the making.
#[derive(Default)]
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds the next weight file: `head` is everything before its data section.
    pub(super) async fn add<S: Source>(&mut self, file: &S, head: &[u8]) -> Result<(), ReadError> {
        self.0.update(file.len().to_le_bytes());
        self.0.update(head);
        let data_start = head.len() as u64;
        let data_len = file.len().saturating_sub(data_start);
        if data_len <= BLOCKS * BLOCK {
            let mut data = vec![0; data_len as usize];
            file.read(data_start, &mut data).await?;
            self.0.update(&data);
            return Ok(());
        }
        let mut block = [0; BLOCK as usize];
        for i in 0..BLOCKS {
            // In 128 bits, since the product can pass 2⁶⁴; the quotient cannot.
            let offset = u128::from(i) * u128::from(data_len - BLOCK) / u128::from(BLOCKS - 1);
            file.read(data_start + offset as u64, &mut block).await?;
            self.0.update(block);
        }
        Ok(())
    }

    /// The fingerprint in lower-case hexadecimal.
    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fingerprint(file: &Vec<u8>, head: usize) -> String {
        let mut fingerprint = Fingerprint::default();
        pollster::block_on(fingerprint.add(file, &file[..head])).unwrap();
        fingerprint.finish()
    }

    #[test]
    fn a_short_file_counts_whole() {
        let file: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
        let expected = Sha256::new().chain_update(100_000_u64.to_le_bytes()).chain_update(&file).finalize();
        assert_eq!(fingerprint(&file, 16), hex(&expected));
        for at in [0, 15, 16, 50_000, 99_999] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_ne!(fingerprint(&changed, 16), fingerprint(&file, 16), "byte {at}");
        }
    }

    #[test]
    fn of_a_long_file_64_blocks_count_the_first_and_the_last_among_them() {
        let (head, data) = (24, 1_000_003_usize);
        let file = vec![7; head + data];
        let whole = fingerprint(&file, head);
        let changed_at = |at: usize| {
            let mut changed = file.clone();
            changed[at] ^= 1;
            fingerprint(&changed, head) != whole
        };
        assert!(changed_at(head) && changed_at(head + 4095) && !changed_at(head + 4096));
        let second = (data - 4096) / 63;
        assert!(!changed_at(head + second - 1) && changed_at(head + second));
        assert!(changed_at(head + data - 1) && changed_at(head + data - 4096) && !changed_at(head + data - 4097));
    }

    #[test]
    fn bytes_are_spelled_in_lower_case() {
        assert_eq!(hex(&[0, 0x0a, 0xf9, 0xff]), "000af9ff");
    }
}
