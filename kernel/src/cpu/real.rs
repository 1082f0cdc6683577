//! The two widths that arithmetic is done in, as one trait.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, BitAnd, Div, Mul, Neg, Shr, Sub};

use super::float16::{f32_to_bf16, f32_to_f16, f64_to_odd_f32};
use crate::TIE_SHARE;

/// f32 or f64: arithmetic is the operators', one rounding each, never fused.
pub(super) trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// What [`Real::bits`] gives: a signed integer, because every instruction set can compare those.
    type Bits: Bits;

    const ZERO: Self;
    const ONE: Self;
    const TIE_SHARE: Self;

    /// The nearest value of this width.
    fn nearest(value: f64) -> Self;
    fn from_f32(value: f32) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    fn abs(self) -> Self;
    /// The bit pattern of the magnitude. Every NaN scores the same: hosts differ in the NaNs that they compute.
    fn bits(self) -> Self::Bits;

    /// Rounds once, NaN made canonical; likewise the next three.
    fn encode_f16(self) -> u16;
    fn encode_bf16(self) -> u16;
    fn encode_f32(self) -> f32;
    fn encode_f64(self) -> f64;
}

/// A magnitude's bit pattern.
pub(super) trait Bits: Copy + Ord + Shr<u32, Output = Self> + BitAnd<Output = Self> {
    /// Bits of a score.
    const BITS: u32;
    /// The largest score not above `wide`.
    fn at_most(wide: u64) -> Self;
    fn to_u64(self) -> u64;
    /// The lowest 32 bits.
    fn low(self) -> u32;
    /// One less, which may be negative.
    fn before(self) -> Self;
}

macro_rules! bits {
    ($($integer:ty)*) => {$(
        impl Bits for $integer {
            const BITS: u32 = <$integer>::BITS - 1;

            fn at_most(wide: u64) -> Self {
                Self::try_from(wide).unwrap_or(Self::MAX)
            }

            #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
            fn to_u64(self) -> u64 {
                self as u64
            }

            #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
            fn low(self) -> u32 {
                self as u32
            }

            #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
            fn before(self) -> Self {
                self - 1
            }
        }
    )*};
}

bits!(i32 i64);

/// The bits of the NaN that outputs hold.
const F32_NAN: u32 = 0x7FC0_0000;
/// The bits of the NaN that outputs hold.
const F64_NAN: u64 = 0x7FF8_0000_0000_0000;

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn canonical_f32(value: f32) -> f32 {
    if value.is_nan() { f32::from_bits(F32_NAN) } else { value }
}

#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn canonical_f64(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(F64_NAN) } else { value }
}

impl Real for f32 {
    type Bits = i32;

    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const TIE_SHARE: Self = TIE_SHARE;

    fn nearest(value: f64) -> Self {
        value as Self
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn abs(self) -> Self {
        self.abs()
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn bits(self) -> i32 {
        let magnitude = (self.to_bits() & 0x7FFF_FFFF) as i32;
        if self.is_nan() { F32_NAN as i32 } else { magnitude }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_f16(self) -> u16 {
        f32_to_f16(self)
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_bf16(self) -> u16 {
        f32_to_bf16(self)
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_f32(self) -> f32 {
        canonical_f32(self)
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_f64(self) -> f64 {
        canonical_f64(f64::from(self))
    }
}

impl Real for f64 {
    type Bits = i64;

    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const TIE_SHARE: Self = TIE_SHARE as Self;

    fn nearest(value: f64) -> Self {
        value
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn to_f64(self) -> f64 {
        self
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn abs(self) -> Self {
        self.abs()
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn bits(self) -> i64 {
        let magnitude = (self.to_bits() & 0x7FFF_FFFF_FFFF_FFFF) as i64;
        if self.is_nan() { F64_NAN as i64 } else { magnitude }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_f16(self) -> u16 {
        f32_to_f16(f64_to_odd_f32(self))
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_bf16(self) -> u16 {
        f32_to_bf16(f64_to_odd_f32(self))
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_f32(self) -> f32 {
        canonical_f32(self as f32)
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn encode_f64(self) -> f64 {
        canonical_f64(self)
    }
}
