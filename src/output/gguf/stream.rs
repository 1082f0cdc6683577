//! One tensor of the file, window by window: read, put in order, converted, written.

use super::header::ALIGNMENT;
use super::{Content, GgufError, GgufPlan, GgufType, Piece};
use crate::format::{DType, Source};
use crate::kernel::cpu::Cpu;
use crate::kernel::{Backend as _, Combine, Float, Frame, Mask, Mix, Precision, Raw, Space, Window};
use crate::plan::float_of;
use crate::run::Sink;

/// Elements of a window: 1 MiB of F32.
const WINDOW: u64 = 1 << 18;

impl GgufPlan {
    /// Writes everything before the tensors.
    pub async fn write_header<K: Sink>(&self, sink: &mut K) -> Result<(), GgufError> {
        sink.write(0, 0, self.header.clone()).await.map_err(GgufError::Write)
    }

    /// Writes the piece number `piece`, and the zeros up to the next one. Pieces may be written in any order and by any number of
    /// workers; windows of one follow each other and are of about 1 MiB.
    ///
    /// `sources` are the model's weight files ([`crate::model::Folder::weight_sources`]); the sink's only file, number 0, is the
    /// GGUF file. `watch` is told how many bytes more were written, after each window.
    pub async fn write_piece<S: Source, K: Sink>(
        &self,
        piece: usize,
        sources: &[S],
        cpu: &mut Cpu,
        sink: &mut K,
        watch: &mut impl FnMut(u64),
    ) -> Result<(), GgufError> {
        let piece = &self.pieces[piece];
        let padded = |mut bytes: Vec<u8>, end: u64| {
            if end == piece.len {
                bytes.resize(bytes.len() + (piece.len.next_multiple_of(ALIGNMENT) - piece.len) as usize, 0);
            }
            bytes
        };
        let (name, tensor, interleave) = match &piece.content {
            Content::Bytes(bytes) => {
                let bytes = padded(bytes.clone(), piece.len);
                watch(bytes.len() as u64);
                return sink.write(0, piece.offset, bytes).await.map_err(GgufError::Write);
            }
            Content::Tensor { name, tensor, interleave } => (name, tensor, *interleave),
        };
        let mut converter = Converter::new(piece, tensor.dtype);
        let read = |error| GgufError::Read { what: name.clone(), error };
        let size = tensor.dtype.size();
        let elements = tensor.len / size;
        // Elements of a row; those of a bias are rows of one.
        let row = if tensor.shape.len() < 2 { 1 } else { tensor.shape.last().copied().unwrap_or(1).max(1) };
        let (mut at, mut overflow) = (0, 0);
        while at < elements {
            let raw = match interleave {
                None => {
                    let mut raw = vec![0; (WINDOW.min(elements - at) * size) as usize];
                    sources[tensor.file].read(tensor.offset + at * size, &mut raw).await.map_err(read)?;
                    raw
                }
                Some(head) => {
                    // The first row of the head's first half that is still to be written, and how many follow.
                    let (whole, half) = (head * row, head / 2);
                    let done = at % whole / (2 * row);
                    let rows = (WINDOW / (2 * row)).clamp(1, half - done);
                    let first = tensor.offset + (at - at % whole + done * row) * size;
                    let mut halves = [vec![0; (rows * row * size) as usize], vec![0; (rows * row * size) as usize]];
                    for (number, part) in halves.iter_mut().enumerate() {
                        let offset = first + number as u64 * half * row * size;
                        sources[tensor.file].read(offset, part).await.map_err(read)?;
                    }
                    interleaved(&halves, (row * size) as usize)
                }
            };
            let count = raw.len() as u64 / size;
            let bytes = converter
                .convert(raw, cpu, &mut overflow)
                .await
                .map_err(|error| GgufError::Convert { tensor: name.clone(), error })?;
            let offset = at * piece.dtype.size();
            at += count;
            let bytes = padded(bytes, at * piece.dtype.size());
            let written = bytes.len() as u64;
            sink.write(0, piece.offset + offset, bytes).await.map_err(GgufError::Write)?;
            watch(written);
        }
        if overflow > 0 {
            return Err(GgufError::Overflow { tensor: name.clone(), count: overflow, dtype: piece.dtype });
        }
        Ok(())
    }

    /// Writes the whole file, one piece after the other.
    pub async fn write<S: Source, K: Sink>(
        &self,
        sources: &[S],
        sink: &mut K,
        watch: &mut impl FnMut(u64),
    ) -> Result<(), GgufError> {
        let mut cpu = Cpu::default();
        self.write_header(sink).await?;
        watch(self.header.len() as u64);
        for piece in 0..self.pieces.len() {
            self.write_piece(piece, sources, &mut cpu, sink, watch).await?;
        }
        Ok(())
    }
}

/// Rows of two halves by turns.
fn interleaved([first, second]: &[Vec<u8>; 2], row: usize) -> Vec<u8> {
    let mut rows = Vec::with_capacity(first.len() * 2);
    for (first, second) in first.chunks_exact(row).zip(second.chunks_exact(row)) {
        rows.extend_from_slice(first);
        rows.extend_from_slice(second);
    }
    rows
}

/// From one element type to another.
struct Converter {
    from: Float,
    /// `None` where the bytes stay as they are.
    mix: Option<Mix>,
    to: Float,
}

impl Converter {
    fn new(piece: &Piece, from: DType) -> Self {
        let to = match piece.dtype {
            GgufType::F16 => Float::F16,
            GgufType::BF16 => Float::BF16,
            GgufType::F32 => Float::F32,
        };
        let from = float_of(from).unwrap_or(Float::F32);
        let sum = || Mix { masks: vec![Mask::All], combine: Combine::Sum { coefficients: vec![1.0] }, out: to };
        Self { from, mix: (from != to).then(sum), to }
    }

    /// Converts a window: exactly where the type can, else rounded once to nearest even. Adds to `overflow` how many values became
    /// infinite.
    async fn convert(
        &mut self,
        raw: Vec<u8>,
        cpu: &mut Cpu,
        overflow: &mut u64,
    ) -> Result<Vec<u8>, crate::kernel::BackendError> {
        let Some(mix) = &self.mix else { return Ok(raw) };
        let len = raw.len() / self.from.size();
        let precision = if self.from == Float::F64 { Precision::F64 } else { Precision::F32 };
        let inputs = [Raw { dtype: self.from, bytes: &raw }];
        // Nothing is drawn or measured by place: every window may be the first.
        let window = Window::new(0, len, &inputs);
        let bytes = cpu.mix_window(&Frame::new(precision, Space::Inputs), mix, window).await?;
        *overflow += infinities(&bytes, self.to).saturating_sub(infinities(&raw, self.from));
        Ok(bytes)
    }
}

/// How many elements are plus or minus infinity.
fn infinities(bytes: &[u8], dtype: Float) -> u64 {
    let top: &[u8] = match dtype {
        Float::F16 => &[0, 0x7C],
        Float::BF16 => &[0x80, 0x7F],
        Float::F32 => &[0, 0, 0x80, 0x7F],
        Float::F64 => &[0, 0, 0, 0, 0, 0, 0xF0, 0x7F],
    };
    let (low, high) = top.split_at(top.len() - 1);
    let infinite = |element: &&[u8]| element.ends_with(high) || element[low.len()] == high[0] | 0x80;
    bytes.chunks_exact(top.len()).filter(infinite).filter(|element| element.starts_with(low)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_are_counted_and_nothing_else() {
        let f32s = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::NAN, 0.0, -1.0];
        assert_eq!(infinities(&f32s.map(f32::to_le_bytes).concat(), Float::F32), 2);
        let f64s = [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::NAN, 0.0];
        assert_eq!(infinities(&f64s.map(f64::to_le_bytes).concat(), Float::F64), 2);
        assert_eq!(infinities(&[0x7C00_u16, 0xFC00, 0x7BFF, 0x7C01].map(u16::to_le_bytes).concat(), Float::F16), 2);
        assert_eq!(infinities(&[0x7F80_u16, 0xFF80, 0x7F7F, 0xFF81].map(u16::to_le_bytes).concat(), Float::BF16), 2);
    }

    #[test]
    fn two_halves_take_turns() {
        assert_eq!(interleaved(&[vec![1, 2, 3, 4], vec![5, 6, 7, 8]], 2), [1, 2, 5, 6, 3, 4, 7, 8]);
    }
}
