//! How far the rows of two inputs are apart, as distributions: KL(softmax(other) ‖ softmax(base)), what arcee_fusion weighs
//! changes by. Always in f64: between near fine-tunes it is noise in f32.

use super::block::{Block, decode, spans};
use crate::{BLOCK, Window};

/// Added to every probability, as mergekit does.
const FLOOR: f64 = 1e-8;

/// The running measure of one tensor. It is shown every window in order, three times over.
#[derive(Debug)]
pub struct Divergence {
    row: u64,
    /// The base and the other, by their places among the inputs.
    inputs: [usize; 2],
    /// Of each input, by row: the largest element, then Σ exp(x − largest).
    largest: [Vec<f64>; 2],
    sums: [Vec<f64>; 2],
    scales: Vec<f64>,
}

impl Divergence {
    /// How often it is to be shown the tensor.
    pub const PASSES: usize = 3;

    /// The measure of `rows` rows of `row` elements.
    pub fn new(rows: u64, row: u64, base: usize, other: usize) -> Self {
        let of = |value| vec![value; rows as usize];
        Self {
            row,
            inputs: [base, other],
            largest: [of(f64::NEG_INFINITY), of(f64::NEG_INFINITY)],
            sums: [of(0.0), of(0.0)],
            scales: of(0.0),
        }
    }

    /// Takes a window in pass `pass`, from 0 on.
    pub fn feed(&mut self, pass: usize, window: &Window<'_>) {
        let mut blocks: [Block<f64>; 2] = [[0.0; BLOCK]; 2];
        for span in spans(window) {
            for (block, input) in blocks.iter_mut().zip(self.inputs) {
                decode(window.inputs[input], span, block);
            }
            for (j, values) in blocks[0].iter().zip(&blocks[1]).take(span.len).enumerate() {
                self.take(pass, ((span.first + j as u64) / self.row) as usize, [*values.0, *values.1]);
            }
        }
    }

    /// Takes one element of both inputs.
    fn take(&mut self, pass: usize, row: usize, values: [f64; 2]) {
        if pass == 0 {
            for (largest, value) in self.largest.iter_mut().zip(values) {
                // A NaN stays.
                if value > largest[row] || value.is_nan() {
                    largest[row] = value;
                }
            }
            return;
        }
        let power = |side: usize| libm::exp(values[side] - self.largest[side][row]);
        let [q, p] = [power(0), power(1)];
        if pass == 1 {
            self.sums[0][row] += q;
            self.sums[1][row] += p;
        } else {
            let [q, p] = [q / self.sums[0][row] + FLOOR, p / self.sums[1][row] + FLOOR];
            self.scales[row] += p * libm::log(p / q);
        }
    }

    /// One a row. What rounding makes negative is zero.
    pub fn scales(self) -> Vec<f64> {
        self.scales.into_iter().map(|scale| if scale < 0.0 { 0.0 } else { scale }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Float, Raw};

    fn divergence(base: &[f64], other: &[f64], row: usize) -> Vec<f64> {
        let bytes = |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
        let (base_bytes, other_bytes) = (bytes(base), bytes(other));
        let inputs = [Raw { dtype: Float::F64, bytes: &base_bytes }, Raw { dtype: Float::F64, bytes: &other_bytes }];
        let window = Window::new(0, base.len(), &inputs);
        let mut divergence = Divergence::new((base.len() / row) as u64, row as u64, 0, 1);
        for pass in 0..Divergence::PASSES {
            divergence.feed(pass, &window);
        }
        divergence.scales()
    }

    #[test]
    fn equal_rows_do_not_diverge_and_a_shift_does_not_count() {
        let scales = divergence(&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 11.0, 12.0, 13.0], 3);
        assert_eq!(scales[0].to_bits(), 0);
        assert!(scales[1].abs() < 1e-15);
    }

    #[test]
    fn two_known_distributions_diverge_as_computed_by_hand() {
        // softmax(0, 0) = (1/2, 1/2); softmax(ln 3, 0) = (3/4, 1/4). KL = 3/4·ln(3/2) + 1/4·ln(1/2), but for the floor.
        let scales = divergence(&[0.0, 0.0], &[3.0_f64.ln(), 0.0], 2);
        let expected = 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln();
        assert!((scales[0] - expected).abs() < 1e-7, "{}", scales[0]);
    }

    #[test]
    fn large_values_do_not_overflow() {
        let scales = divergence(&[1000.0, 999.0], &[999.0, 1000.0], 2);
        assert!(scales[0].is_finite() && scales[0] > 0.1);
    }
}
