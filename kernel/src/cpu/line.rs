//! Lines of numbers that are put together before a method sees them: widened, added up, and narrowed again.
//!
//! Always in f64, and one element alone at a time: no bit depends on how a line is cut.

use super::float16::{bf16_to_f32, f16_to_f32};
use crate::{Float, Raw};

/// Decodes every element of `raw` into as many slots of `into`. Exact.
pub fn widen(raw: Raw<'_>, into: &mut [f64]) {
    fn fill<const N: usize>(bytes: &[u8], into: &mut [f64], value: impl Fn([u8; N]) -> f64) {
        for (slot, element) in into.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *slot = value(*element);
        }
    }
    debug_assert_eq!(raw.bytes.len(), into.len() * raw.dtype.size());
    match raw.dtype {
        Float::F16 => fill(raw.bytes, into, |b| f64::from(f16_to_f32(u16::from_le_bytes(b)))),
        Float::BF16 => fill(raw.bytes, into, |b| f64::from(bf16_to_f32(u16::from_le_bytes(b)))),
        Float::F32 => fill(raw.bytes, into, |b| f64::from(f32::from_le_bytes(b))),
        Float::F64 => fill(raw.bytes, into, f64::from_le_bytes),
    }
}

/// Adds `factor` times each element of `line` to the slot of `into` at its place, unfused.
pub fn add_scaled(into: &mut [f64], line: &[f64], factor: f64) {
    for (slot, value) in into.iter_mut().zip(line) {
        *slot += factor * value;
    }
}

/// Rounds `scale` times each element of `change` to f32 and adds it, in f32, to the slot of `into` at its place, which must hold
/// a value of f32; both in f64 if `wide`.
pub fn add_change(into: &mut [f64], change: &[f64], scale: f64, wide: bool) {
    if wide {
        add_scaled(into, change, scale);
    } else {
        for (slot, value) in into.iter_mut().zip(change) {
            *slot = f64::from(*slot as f32 + (scale * value) as f32);
        }
    }
}

/// Encodes `values` as F32, or as F64 if `wide`, into exactly as many bytes.
pub fn narrow(values: &[f64], wide: bool, into: &mut [u8]) {
    if wide {
        for (slot, value) in into.as_chunks_mut::<8>().0.iter_mut().zip(values) {
            *slot = value.to_le_bytes();
        }
    } else {
        for (slot, value) in into.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *slot = (*value as f32).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_widened_exactly() {
        let mut values = [0.0; 2];
        widen(Raw { dtype: Float::BF16, bytes: &[0x80, 0x3F, 0x00, 0xC0] }, &mut values);
        assert_eq!(values, [1.0, -2.0]);
        widen(Raw { dtype: Float::F16, bytes: &[0x01, 0x00, 0x00, 0x3C] }, &mut values);
        assert_eq!(values, [2.0_f64.powi(-24), 1.0]);
        for wide in [false, true] {
            let mut bytes = [0; 16];
            let bytes = &mut bytes[..if wide { 16 } else { 8 }];
            narrow(&[0.5, -3.25], wide, bytes);
            widen(Raw { dtype: if wide { Float::F64 } else { Float::F32 }, bytes }, &mut values);
            assert_eq!(values, [0.5, -3.25]);
        }
    }

    #[test]
    fn a_change_is_rounded_to_f32_once_before_it_is_added() {
        // 3 · 0.1 in f64 is above what f32 makes of it; both sums differ from that of f64.
        let mut narrow = [f64::from(0.7_f32)];
        add_change(&mut narrow, &[0.1], 3.0, false);
        assert_eq!(narrow, [f64::from(0.7_f32 + (3.0 * 0.1_f64) as f32)]);
        let mut wide = [0.7];
        add_change(&mut wide, &[0.1], 3.0, true);
        assert_eq!(wide, [0.7 + 3.0 * 0.1]);
    }
}
