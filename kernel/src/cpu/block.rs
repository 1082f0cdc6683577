//! One block of elements at a time: decoded from the files' bytes, made into terms, encoded into the result's.

use super::float16::{bf16_to_f32, f16_to_f32};
use super::real::Real;
use crate::{BLOCK, Float, Raw, Space, Window};

/// The values of one block. What lies past the end of the tensor is zero.
pub(super) type Block<R> = [R; BLOCK];

/// The sums of a reduction, and the elements that loops take together: element j belongs to lane j mod 8.
pub(super) const LANES: usize = 8;

/// Where a block lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Index of its first element in the window.
    pub at: usize,
    /// Index of its first element in the tensor.
    pub first: u64,
    /// Elements: [`BLOCK`], except in the tensor's last block.
    pub len: usize,
}

/// The blocks of a window, in order.
pub(super) fn spans(window: &Window<'_>) -> impl Iterator<Item = Span> + use<> {
    let (first, len) = (window.first, window.len);
    (0..len).step_by(BLOCK).map(move |at| Span { at, first: first + at as u64, len: BLOCK.min(len - at) })
}

/// Fills `block` with `finish(j, element j)` for the span's elements, and zeros.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn decode_with<R: Real>(raw: Raw<'_>, span: Span, block: &mut Block<R>, finish: impl Fn(usize, R) -> R) {
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn fill<const N: usize, R: Real>(bytes: &[u8], block: &mut Block<R>, value: impl Fn(usize, [u8; N]) -> R) {
        let (elements, _) = bytes.as_chunks::<N>();
        for (j, (slot, element)) in block.iter_mut().zip(elements).enumerate() {
            *slot = value(j, *element);
        }
        block[elements.len()..].fill(R::ZERO);
    }
    let size = raw.dtype.size();
    let bytes = &raw.bytes[span.at * size..(span.at + span.len) * size];
    match raw.dtype {
        Float::F16 => fill(bytes, block, |j, b| finish(j, R::from_f32(f16_to_f32(u16::from_le_bytes(b))))),
        Float::BF16 => fill(bytes, block, |j, b| finish(j, R::from_f32(bf16_to_f32(u16::from_le_bytes(b))))),
        Float::F32 => fill(bytes, block, |j, b| finish(j, R::from_f32(f32::from_le_bytes(b)))),
        Float::F64 => fill(bytes, block, |j, b| finish(j, R::nearest(f64::from_le_bytes(b)))),
    }
}

/// Decodes a span of an input.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn decode<R: Real>(raw: Raw<'_>, span: Span, block: &mut Block<R>) {
    decode_with(raw, span, block, |_, value| value);
}

/// Decodes the base, if the terms are relative to one.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn decode_base<R: Real>(space: Space, window: &Window<'_>, span: Span, base: &mut Block<R>) {
    if let Space::Deltas { base: input } = space {
        decode(window.inputs[input], span, base);
    }
}

/// Forms a term, given the decoded base.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn form<R: Real>(
    space: Space,
    term: usize,
    window: &Window<'_>,
    span: Span,
    base: &Block<R>,
    block: &mut Block<R>,
) {
    let raw = window.inputs[space.input_of(term)];
    match space {
        Space::Inputs => decode(raw, span, block),
        Space::Deltas { .. } => decode_with(raw, span, block, |j, value| value - base[j]),
    }
}

/// Appends values, rounded once, to the result.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn encode<R: Real>(values: &[R], out: Float, into: &mut Vec<u8>) {
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn fill<const N: usize, R: Real>(values: &[R], into: &mut Vec<u8>, bytes: impl Fn(R) -> [u8; N]) {
        let mut encoded = [[0; N]; BLOCK];
        for (slot, &value) in encoded.iter_mut().zip(values) {
            *slot = bytes(value);
        }
        into.extend_from_slice(encoded[..values.len()].as_flattened());
    }
    match out {
        Float::F16 => fill(values, into, |value| value.encode_f16().to_le_bytes()),
        Float::BF16 => fill(values, into, |value| value.encode_bf16().to_le_bytes()),
        Float::F32 => fill(values, into, |value| value.encode_f32().to_le_bytes()),
        Float::F64 => fill(values, into, |value| value.encode_f64().to_le_bytes()),
    }
}
