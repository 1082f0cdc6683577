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

/// Sixteen bytes at a time, by a table for each of them.
#[cfg(any(target_arch = "wasm32", test))]
mod tables {
    use std::sync::LazyLock;

    use super::times_x;

    const STEP: usize = 16;

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
        let tables = &**TABLES;
        let (steps, rest) = bytes.as_chunks::<STEP>();
        let mut remainder = u32::MAX;
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
        !remainder
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
        for len in (0..70).chain([1 << 16, (1 << 16) + 9]) {
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
