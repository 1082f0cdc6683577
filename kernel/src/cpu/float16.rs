//! F16 and BF16 to and from wider types: exact, on integers, rounding to nearest even exactly once.
//!
//! Nothing here branches, so that LLVM turns loops over these functions into vector code. Comparisons are of signed
//! integers, which every instruction set can compare.

/// The NaN that outputs hold.
pub(super) const F16_NAN: u16 = 0x7E00;
/// The NaN that outputs hold.
pub(super) const BF16_NAN: u16 = 0x7FC0;

const F32_INFINITY: i32 = 0x7F80_0000;
/// What F16's exponents lack to be F32's, in an F32's place.
const REBIAS: i32 = (127 - 15) << 23;
/// The bits of the smallest normal F16, 2⁻¹⁴, as an F32.
const SMALLEST_NORMAL: i32 = (127 - 14) << 23;
/// The bits of 2¹⁶, which no F16 reaches, as an F32.
const TOO_LARGE: i32 = (127 + 16) << 23;

/// Exact.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = i32::from(bits & 0x7FFF) << 13;
    let normal = magnitude + REBIAS;
    // 2⁻¹⁴ + m·2⁻²⁴ − 2⁻¹⁴ is exact, and no operand is a subnormal.
    let smallest = f32::from_bits(SMALLEST_NORMAL as u32);
    let subnormal = (f32::from_bits((magnitude + SMALLEST_NORMAL) as u32) - smallest).to_bits() as i32;
    let finite = if magnitude < 1 << 23 { subnormal } else { normal };
    let value = if magnitude >= 0x1F << 23 { normal + REBIAS } else { finite };
    f32::from_bits(sign | value as u32)
}

/// Exact.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// To nearest even; overflow is infinity, a NaN is [`F16_NAN`].
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as i32 & 0x8000;
    let magnitude = (bits & 0x7FFF_FFFF) as i32;
    let even = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(REBIAS).wrapping_add(0x0FFF + even) >> 13;
    // The last bit of a value just above one half weighs 2⁻²⁴, as does an F16 subnormal's: the sum rounds for us.
    let subnormal = (f32::from_bits(magnitude as u32) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits()) as i32;
    let rounded = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    let finite = if magnitude >= TOO_LARGE { 0x7C00 } else { rounded };
    let result = if magnitude > F32_INFINITY { i32::from(F16_NAN) } else { finite | sign };
    result as u16
}

/// To nearest even; overflow is infinity, a NaN is [`BF16_NAN`].
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1));
    let result = if value.is_nan() { u32::from(BF16_NAN) << 16 } else { rounded };
    (result >> 16) as u16
}

/// To the F32 next to `value` whose last bit is one, unless `value` is an F32. Rounding that to a type of at least two bits less
/// gives what rounding `value` itself gives (Boldo and Melquiond, "When double rounding is odd", 2005).
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn f64_to_odd_f32(value: f64) -> f32 {
    let nearest = value as f32;
    let bits = nearest.to_bits();
    let back = f64::from(nearest);
    let even = bits & 1 == 0;
    let up = even & (back.abs() < value.abs());
    let down = even & (back.abs() > value.abs());
    f32::from_bits(bits.wrapping_add(u32::from(up)).wrapping_sub(u32::from(down)))
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    /// Both sides' bits, all NaNs taken for one.
    fn canonical(bits: u32, nan: bool) -> u32 {
        if nan { u32::MAX } else { bits }
    }

    #[test]
    fn every_sixteen_bit_pattern_decodes_as_half_decodes_it() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), f16::from_bits(bits).to_f32_const());
            assert_eq!(
                canonical(ours.to_bits(), ours.is_nan()),
                canonical(theirs.to_bits(), theirs.is_nan()),
                "{bits:#x}"
            );
            let (ours, theirs) = (bf16_to_f32(bits), bf16::from_bits(bits).to_f32_const());
            assert_eq!(
                canonical(ours.to_bits(), ours.is_nan()),
                canonical(theirs.to_bits(), theirs.is_nan()),
                "{bits:#x}"
            );
        }
    }

    #[test]
    fn every_sixteen_bit_pattern_survives_the_way_there_and_back() {
        for bits in 0..=u16::MAX {
            let half = f16_to_f32(bits);
            assert_eq!(f32_to_f16(half), if half.is_nan() { F16_NAN } else { bits });
            let brain = bf16_to_f32(bits);
            assert_eq!(f32_to_bf16(brain), if brain.is_nan() { BF16_NAN } else { bits });
        }
    }

    fn same_as_half(value: f32) {
        let (ours, theirs) = (f32_to_f16(value), f16::from_f32_const(value).to_bits());
        assert_eq!(ours, if value.is_nan() { F16_NAN } else { theirs }, "{value:e} {:#x}", value.to_bits());
        let (ours, theirs) = (f32_to_bf16(value), bf16::from_f32_const(value).to_bits());
        assert_eq!(ours, if value.is_nan() { BF16_NAN } else { theirs }, "{value:e} {:#x}", value.to_bits());
    }

    #[test]
    fn a_dense_sample_of_f32_encodes_as_half_encodes_it() {
        // A step that is odd and coprime to every power of two visits all exponents and all kinds of low bits.
        for bits in (0..=u32::MAX).step_by(1_021) {
            same_as_half(f32::from_bits(bits));
        }
    }

    #[test]
    fn values_on_and_beside_every_halfway_point_encode_as_half_encodes_them() {
        for bits in 0..=u16::MAX {
            for wide in [f16_to_f32(bits).to_bits() | 0x1000, (u32::from(bits) << 16) | 0x8000] {
                for neighbour in [wide.wrapping_sub(1), wide, wide.wrapping_add(1)] {
                    same_as_half(f32::from_bits(neighbour));
                }
            }
        }
        for bits in 0..0x400_u16 {
            // Between two subnormal F16s the halfway point is not at a fixed bit.
            let halfway = f32::midpoint(f16_to_f32(bits), f16_to_f32(bits + 1));
            for value in [halfway.next_down(), halfway, halfway.next_up()] {
                same_as_half(value);
                same_as_half(-value);
            }
        }
    }

    /// Checks that f64s on and beside the point halfway between two neighbours round once: to even, or to the nearer one.
    fn rounds_once(low: u16, widen: fn(u16) -> f32, round: impl Fn(f64) -> u16) {
        let (below, above) = (f64::from(widen(low)), f64::from(widen(low + 1)));
        let halfway = f64::midpoint(below, above);
        for (sign, flag) in [(1.0, 0), (-1.0, 0x8000)] {
            let even = low + (low & 1);
            assert_eq!(round(sign * halfway), even | flag, "halfway above {below:e}");
            assert_eq!(round(sign * halfway.next_down()), low | flag, "just under halfway above {below:e}");
            assert_eq!(round(sign * halfway.next_up()), (low + 1) | flag, "just over halfway above {below:e}");
        }
    }

    #[test]
    fn f64_rounds_to_sixteen_bits_once_at_every_halfway_point() {
        for low in 0..0x7BFF {
            rounds_once(low, f16_to_f32, |value| f32_to_f16(f64_to_odd_f32(value)));
        }
        for low in 0..0x7F7F {
            rounds_once(low, bf16_to_f32, |value| f32_to_bf16(f64_to_odd_f32(value)));
        }
    }

    #[test]
    fn f64_beyond_the_range_becomes_infinity_or_zero() {
        for (value, half, brain) in [
            (65_519.999_999_999_99, 0x7BFF, 0x4780),
            (65_520.0, 0x7C00, 0x4780),
            (1e300, 0x7C00, 0x7F80),
            (f64::INFINITY, 0x7C00, 0x7F80),
            (1e-300, 0, 0),
            (-1e-300, 0x8000, 0x8000),
            (f64::NAN, F16_NAN, BF16_NAN),
        ] {
            assert_eq!(f32_to_f16(f64_to_odd_f32(value)), half, "{value:e}");
            assert_eq!(f32_to_bf16(f64_to_odd_f32(value)), brain, "{value:e}");
        }
    }
}
