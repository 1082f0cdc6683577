//! The CRC-32 that zip and gzip have, with tables that the page makes itself.
//!
//! A library's tables are 16 kB of what looks like noise: gzip saves nothing of them, and the page would download them whole. Made
//! at first use they cost some microseconds. It is a package of its own because everything needs it: the engine's link and zip,
//! and the page.

#![warn(missing_docs)]

/// The polynomial, the highest power in the lowest bit; x³² is not written.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// The CRC-32 of `bytes`.
#[cfg(not(target_arch = "wasm32"))]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(target_arch = "wasm32")]
pub use tables::crc32;

/// The CRC-32 of `first` followed by `second`, from those of both and the length of `second` in bytes.
///
/// What follows multiplies the first one's remainder by x⁸ a byte, modulo the polynomial.
pub fn combine(first: u32, second: u32, second_len: u64) -> u32 {
    // x⁸, squared at every bit of the length.
    let mut power = 1 << (31 - 8);
    let mut moved = first;
    let mut len = second_len;
    while len > 0 {
        if len & 1 == 1 {
            moved = product(moved, power);
        }
        power = product(power, power);
        len >>= 1;
    }
    moved ^ second
}

/// The polynomial times x, reduced.
const fn times_x(value: u32) -> u32 {
    if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 }
}

/// The product of two polynomials, reduced. x⁰ is the highest bit.
fn product(left: u32, mut right: u32) -> u32 {
    let mut sum = 0;
    for bit in (0..32).rev() {
        if left >> bit & 1 == 1 {
            sum ^= right;
        }
        right = times_x(right);
    }
    sum
}

/// Without the processor's own instructions: most bytes are folded into those behind them, the last ones looked up.
#[cfg(any(target_arch = "wasm32", test))]
mod tables {
    use std::sync::LazyLock;

    use super::times_x;

    const STEP: usize = 16;

    /// How many bytes behind it a byte can be added instead of being where it is. The polynomial divides x³⁰⁰⁶ + x²⁸⁶⁶ + x²²¹⁵ + 1, the
    /// first of its multiples that has no more terms than four, and so the eighth power of that, whose exponents are whole bytes: these,
    /// taken from the first. None is less than a step.
    const FOLDS: [usize; 3] = [3006 - 2866, 3006 - 2215, REACH];
    const REACH: usize = 3006;
    /// Bytes that are folded before the last of them are moved to the front: with those they fit the first-level cache.
    const CHUNK: usize = 1 << 13;

    /// Table i: what a byte that is followed by i others of its step adds to the remainder.
    static TABLES: LazyLock<Box<[[u32; 256]; STEP]>> = LazyLock::new(|| {
        let mut tables = Box::new([[0; 256]; STEP]);
        for byte in 0..=255_u8 {
            let mut value = u32::from(byte);
            for table in &mut *tables {
                for _ in 0..8 {
                    value = times_x(value);
                }
                table[usize::from(byte)] = value;
            }
        }
        tables
    });

    /// The CRC-32 of `bytes`.
    pub fn crc32(bytes: &[u8]) -> u32 {
        let (folded, last) = bytes.split_at(bytes.len().saturating_sub(REACH) / STEP * STEP);
        if folded.is_empty() {
            return !looked_up(u32::MAX, bytes);
        }
        // What became of the bytes so far, the last of those before a chunk at its front. A remainder of ones before the first byte is
        // four bytes of ones so far in front that they are folded into the first four.
        let mut folds = [0; REACH + CHUNK];
        folds[..4].fill(u8::MAX);
        for chunk in folded.chunks(CHUNK) {
            for (number, step) in chunk.as_chunks::<STEP>().0.iter().enumerate() {
                let (before, rest) = folds.split_at_mut(REACH + number * STEP);
                let mut sum = *step;
                for fold in FOLDS {
                    for (sum, byte) in sum.iter_mut().zip(&before[before.len() - fold..]) {
                        *sum ^= byte;
                    }
                }
                rest[..STEP].copy_from_slice(&sum);
            }
            folds.copy_within(chunk.len()..chunk.len() + REACH, 0);
        }
        let mut last = last.to_vec();
        for fold in FOLDS {
            for (byte, before) in last.iter_mut().zip(&folds[REACH - fold..REACH]) {
                *byte ^= before;
            }
        }
        !looked_up(0, &last)
    }

    /// The remainder after `bytes`: sixteen bytes at a time, by a table for each of them.
    fn looked_up(mut remainder: u32, bytes: &[u8]) -> u32 {
        let tables = &**TABLES;
        let (steps, rest) = bytes.as_chunks::<STEP>();
        for step in steps {
            let mut step = *step;
            for (byte, of) in step.iter_mut().zip(remainder.to_le_bytes()) {
                *byte ^= of;
            }
            remainder = 0;
            for (byte, table) in step.iter().zip(tables.iter().rev()) {
                remainder ^= table[usize::from(*byte)];
            }
        }
        for byte in rest {
            remainder = (remainder >> 8) ^ tables[0][usize::from(remainder as u8 ^ byte)];
        }
        remainder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * i / 7 + i * 31) as u8).collect()
    }

    #[test]
    fn the_pages_tables_give_what_the_library_gives_at_every_length() {
        // Of 3,022 bytes on some are folded, of 11,214 on more than a chunk of them.
        for len in (0..70).chain(2_990..3_050).chain(11_190..11_230).chain([1 << 16, (1 << 16) + 9]) {
            assert_eq!(tables::crc32(&bytes(len)), crc32(&bytes(len)), "{len} bytes");
        }
        // The check value that catalogues of CRCs give.
        assert_eq!(tables::crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_checksum_of_two_follows_from_those_of_each() {
        let all = bytes(70_000);
        for at in [0, 1, 5, 4_096, 69_999, 70_000] {
            let (first, second) = all.split_at(at);
            assert_eq!(combine(crc32(first), crc32(second), second.len() as u64), crc32(&all), "cut at {at}");
        }
    }
}
