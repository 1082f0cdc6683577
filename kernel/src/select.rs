//! The exact k-th largest score of a stream: a radix select, one digit a pass, the same on every backend.

use super::{Cut, Precision, Score, TieHunt};

/// One digit of a score, and the bits above it that an element must have to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// Position of the digit's lowest bit.
    pub shift: u32,
    /// Width of the digit.
    pub bits: u32,
    /// The bits above the digit: only scores with `score >> (shift + bits) == prefix` count.
    pub prefix: u64,
}

/// The digits of a score from the top, as (shift, bits). At most 11 bits a digit: 2,048 counters fit a workgroup.
pub fn digits(precision: Precision) -> &'static [(u32, u32)] {
    match precision {
        Precision::F32 => &[(20, 11), (10, 10), (0, 10)],
        Precision::F64 => &[(52, 11), (41, 11), (30, 11), (20, 10), (10, 10), (0, 10)],
    }
}

/// The state of one term's selection: feed it the histogram of [`Selection::digit`] until that is `None`.
#[derive(Clone, Debug)]
pub struct Selection {
    precision: Precision,
    keep: u64,
    prefix: u64,
    passes: usize,
    ties: u64,
}

impl Selection {
    /// The hunt for the `keep`-th largest score, `keep ≥ 1`.
    pub fn new(precision: Precision, keep: u64) -> Self {
        Self { precision, keep, prefix: 0, passes: 0, ties: 0 }
    }

    /// The digit to count next; `None` when the threshold is known.
    pub fn digit(&self) -> Option<Digit> {
        digits(self.precision).get(self.passes).map(|&(shift, bits)| Digit { shift, bits, prefix: self.prefix })
    }

    /// Takes the complete histogram of [`Selection::digit`] over the tensor.
    pub fn narrow(&mut self, histogram: &[u64]) {
        let Some(digit) = self.digit() else { return };
        for (value, &count) in histogram.iter().enumerate().rev() {
            if count >= self.keep || value == 0 {
                self.prefix = (self.prefix << digit.bits) | value as u64;
                self.ties = count;
                break;
            }
            self.keep -= count;
        }
        self.passes += 1;
    }

    /// The hunt for the last kept tie of a term; `None` when every tie is kept, or when the threshold is zero: a zero adds nothing
    /// to any sum and has no sign, so whether it is kept cannot be seen.
    pub fn tie_hunt(&self, term: usize, score: Score) -> Option<TieHunt> {
        (self.keep < self.ties && self.prefix != 0).then_some(TieHunt {
            term,
            score,
            threshold: self.prefix,
            wanted: self.keep,
            met: 0,
            end: None,
        })
    }

    /// The score found.
    pub fn threshold(&self) -> u64 {
        self.prefix
    }

    /// The finished cut, given where the hunt (if there was one) ended.
    pub fn cut(&self, hunt: Option<TieHunt>) -> Cut {
        Cut { threshold: self.prefix, ties_end: hunt.and_then(|hunt| hunt.end).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The selection's cut of `scores`, driven as a run drives it.
    fn selected(precision: Precision, scores: &[u64], keep: u64) -> Cut {
        let mut selection = Selection::new(precision, keep);
        while let Some(digit) = selection.digit() {
            let mut histogram = vec![0; 1 << digit.bits];
            for score in scores.iter().filter(|&score| score >> (digit.shift + digit.bits) == digit.prefix) {
                histogram[(score >> digit.shift) as usize & ((1 << digit.bits) - 1)] += 1;
            }
            selection.narrow(&histogram);
        }
        let hunt = selection.tie_hunt(0, Score::Magnitude).map(|mut hunt| {
            let mut ties = scores.iter().enumerate().filter(|&(_, &score)| score == hunt.threshold);
            hunt.end = ties.nth(hunt.wanted as usize - 1).map(|(index, _)| index as u64 + 1);
            hunt
        });
        selection.cut(hunt)
    }

    /// The indices kept, zeros left out: whether a zero is kept cannot be seen.
    fn kept(scores: &[u64], cut: Cut) -> Vec<usize> {
        (0..scores.len()).filter(|&index| scores[index] != 0 && cut.has(scores[index], index as u64)).collect()
    }

    fn sorted(scores: &[u64], keep: u64) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..scores.len()).collect();
        indices.sort_by_key(|&index| (std::cmp::Reverse(scores[index]), index));
        indices.truncate(keep as usize);
        indices.retain(|&index| scores[index] != 0);
        indices.sort_unstable();
        indices
    }

    fn every_keep_agrees_with_sorting(precision: Precision, scores: &[u64]) {
        for keep in 1..scores.len() as u64 {
            let cut = selected(precision, scores, keep);
            assert_eq!(kept(scores, cut), sorted(scores, keep), "keep {keep} of {scores:?}");
        }
    }

    fn f32_scores(values: &[f32]) -> Vec<u64> {
        values.iter().map(|value| u64::from(value.abs().to_bits())).collect()
    }

    fn f64_scores(values: &[f64]) -> Vec<u64> {
        values.iter().map(|value| value.abs().to_bits()).collect()
    }

    #[test]
    fn digits_cover_a_score_without_gap_or_overlap() {
        for (precision, width) in [(Precision::F32, 31), (Precision::F64, 63)] {
            let mut top = width;
            for &(shift, bits) in digits(precision) {
                assert_eq!(shift + bits, top);
                assert!(bits <= 11);
                top = shift;
            }
            assert_eq!(top, 0);
        }
    }

    #[test]
    fn a_selection_keeps_what_sorting_keeps() {
        let values = [0.5, -3.0, 0.25, 1e-30, -2.0, 7.5, -0.125, 1e30, 6.0, -5.0];
        every_keep_agrees_with_sorting(Precision::F32, &f32_scores(&values));
        every_keep_agrees_with_sorting(Precision::F64, &f64_scores(&values.map(f64::from)));
    }

    #[test]
    fn of_equal_magnitudes_the_lowest_indices_are_kept() {
        let values = [1.0, -2.0, 2.0, 1.0, -1.0, 2.0, 0.5, 1.0];
        every_keep_agrees_with_sorting(Precision::F32, &f32_scores(&values));
        every_keep_agrees_with_sorting(Precision::F64, &f64_scores(&values.map(f64::from)));
        assert_eq!(kept(&f32_scores(&values), selected(Precision::F32, &f32_scores(&values), 5)), [0, 1, 2, 3, 5]);
    }

    #[test]
    fn scores_that_differ_in_their_last_bit_are_told_apart() {
        let wide = [1.0_f64, 1.0_f64.next_up(), 1.0_f64.next_down(), 1.0];
        every_keep_agrees_with_sorting(Precision::F64, &f64_scores(&wide));
        let narrow = [1.0_f32, 1.0_f32.next_up(), 1.0_f32.next_down(), 1.0];
        every_keep_agrees_with_sorting(Precision::F32, &f32_scores(&narrow));
    }

    #[test]
    fn infinity_and_nan_are_the_largest() {
        let values = [f32::INFINITY, 1.0, f32::NAN, f32::MAX, f32::NEG_INFINITY, f32::NAN];
        every_keep_agrees_with_sorting(Precision::F32, &f32_scores(&values));
        assert_eq!(kept(&f32_scores(&values), selected(Precision::F32, &f32_scores(&values), 3)), [0, 2, 5]);
        every_keep_agrees_with_sorting(Precision::F64, &f64_scores(&values.map(f64::from)));
    }

    #[test]
    fn zeros_need_no_hunt() {
        let scores = f32_scores(&[0.0, 3.0, -0.0, 0.0, 1e-45]);
        every_keep_agrees_with_sorting(Precision::F32, &scores);
        // The fourth largest is a zero: every zero is kept, and nobody can tell.
        assert_eq!(selected(Precision::F32, &scores, 4), Cut { threshold: 0, ties_end: u64::MAX });
    }

    #[test]
    fn all_equal_scores_are_cut_by_index_alone() {
        let scores = f32_scores(&[0.75; 6]);
        every_keep_agrees_with_sorting(Precision::F32, &scores);
        let threshold = u64::from(0.75_f32.to_bits());
        assert_eq!(selected(Precision::F32, &scores, 5), Cut { threshold, ties_end: 5 });
    }
}
