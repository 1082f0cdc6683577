//! Products in WebAssembly, of vectors of four f32.
//!
//! Eight rows of the matrix lie together, a column of them after the other. A tile is such a panel times four tokens: eight vectors of sums,
//! two of weights and one of what they are multiplied with, which is as much as fits into registers. The compiler makes the vectors.
//!
//! A sum's terms are added in the order of the columns, whatever else is computed beside it: what comes out for a token does not depend on
//! the tokens that go through the model with it.

/// Rows of a panel.
const HIGH: usize = 8;
/// Tokens of a tile.
const WIDE: usize = 4;
/// Bytes of panels that all tokens pass before the next ones are fetched: they stay near the processor.
const NEAR: usize = 1 << 17;

/// A column of a panel.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Column([f32; HIGH]);

pub struct Panels {
    rows: usize,
    columns: usize,
    /// Rows handed over so far.
    pushed: usize,
    /// Empty until the first row comes. The last panel's missing rows are 0.
    values: Vec<Column>,
}

impl Panels {
    pub fn new(rows: usize, columns: usize) -> Self {
        Self { rows, columns, pushed: 0, values: Vec::new() }
    }

    pub fn push(&mut self, row: &[f32]) {
        if self.values.is_empty() {
            self.values = vec![Column([0.0; HIGH]); self.rows.div_ceil(HIGH) * self.columns];
        }
        let (panel, place) = (self.pushed / HIGH, self.pushed % HIGH);
        for (column, value) in self.values[panel * self.columns..].iter_mut().zip(row) {
            column.0[place] = *value;
        }
        self.pushed += 1;
    }

    #[cfg(target_family = "wasm")]
    pub fn rows(&self) -> usize {
        self.rows
    }

    #[cfg(target_family = "wasm")]
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        self.values[row / HIGH * self.columns..][..self.columns].iter().map(move |column| column.0[row % HIGH])
    }

    /// [tokens, columns] times this, transposed: [tokens, rows].
    pub fn product(&self, input: &[f32]) -> Vec<f32> {
        let mut output = vec![0.0; input.len() / self.columns * self.rows];
        let near = (NEAR / (self.columns * size_of::<Column>())).max(1);
        for (block, panels) in self.values.chunks(near * self.columns).enumerate() {
            let from = block * near * HIGH;
            let tiles = input.chunks(WIDE * self.columns).zip(output.chunks_mut(WIDE * self.rows));
            for (input, output) in tiles {
                match input.len() / self.columns {
                    1 => self.pass::<1>(panels, input, output, from),
                    2 => self.pass::<2>(panels, input, output, from),
                    3 => self.pass::<3>(panels, input, output, from),
                    _ => self.pass::<WIDE>(panels, input, output, from),
                }
            }
        }
        output
    }

    /// `TOKENS` tokens through panels whose first row is `from`.
    fn pass<const TOKENS: usize>(&self, panels: &[Column], input: &[f32], output: &mut [f32], from: usize) {
        let input: [&[f32]; TOKENS] = std::array::from_fn(|token| &input[token * self.columns..][..self.columns]);
        for (panel, from) in panels.chunks_exact(self.columns).zip((from..).step_by(HIGH)) {
            let sums = tile(panel, input);
            let rows = from..self.rows.min(from + HIGH);
            for (sums, output) in sums.iter().zip(output.chunks_exact_mut(self.rows)) {
                output[rows.clone()].copy_from_slice(&sums.0[..rows.len()]);
            }
        }
    }
}

#[inline(always)]
fn tile<const TOKENS: usize>(panel: &[Column], input: [&[f32]; TOKENS]) -> [Column; TOKENS] {
    let mut sums = [Column([0.0; HIGH]); TOKENS];
    // So that no bound is checked in the loop.
    let input = input.map(|values| &values[..panel.len()]);
    for (at, weights) in panel.iter().enumerate() {
        for (sums, input) in sums.iter_mut().zip(input) {
            let value = input[at];
            for (sum, weight) in sums.0.iter_mut().zip(weights.0) {
                *sum += value * weight;
            }
        }
    }
    sums
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    /// Numbers between −1 and 1 that repeat nothing.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn panels(values: &[f32], rows: usize, columns: usize) -> Panels {
        let mut panels = Panels::new(rows, columns);
        values.chunks_exact(columns).for_each(|row| panels.push(row));
        panels
    }

    #[test]
    fn products_are_candles() {
        // Whole and broken panels, tiles and blocks.
        for (tokens, columns, rows) in [(1, 1, 1), (3, 5, 7), (4, 64, 8), (5, 576, 99), (9, 1536, 64), (18, 33, 130)] {
            let (weights, input) = (numbers(rows * columns, 1), numbers(tokens * columns, 2));
            let ours = panels(&weights, rows, columns).product(&input);
            let weights = Tensor::from_vec(weights, (rows, columns), &Device::Cpu).unwrap();
            let input = Tensor::from_vec(input, (tokens, columns), &Device::Cpu).unwrap();
            let candles = input.matmul(&weights.t().unwrap()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(ours.len(), candles.len());
            for (ours, candles) in ours.iter().zip(candles) {
                assert!((ours - candles).abs() < 1e-6 * columns as f32, "{ours} {candles}");
            }
        }
    }

    #[test]
    fn a_token_alone_gets_the_same_bits_as_in_company() {
        let (tokens, columns, rows) = (7, 200, 50);
        let input = numbers(tokens * columns, 3);
        let panels = panels(&numbers(rows * columns, 4), rows, columns);
        let together = panels.product(&input);
        let alone: Vec<f32> = input.chunks_exact(columns).flat_map(|token| panels.product(token)).collect();
        assert_eq!(together, alone);
    }

    #[test]
    fn rows_are_those_handed_over() {
        let weights = numbers(19 * 6, 5);
        let panels = panels(&weights, 19, 6);
        assert_eq!((0..19).flat_map(|row| panels.row(row)).collect::<Vec<_>>(), weights);
    }
}
