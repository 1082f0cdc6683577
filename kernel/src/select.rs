//! The exact k-th largest score of a stream: a radix select, one digit a pass, the same on every backend.

use super::{Cut, Precision, Score, TieHunt};

/// The digits that scores are cut into, from the top, as (shift, bits).
pub type Digits = &'static [(u32, u32)];

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

/// Digits of at most 11 bits: 2,048 counters fit a workgroup.
pub fn narrow_digits(precision: Precision) -> Digits {
    match precision {
        Precision::F32 => &[(20, 11), (10, 10), (0, 10)],
        Precision::F64 => &[(52, 11), (41, 11), (30, 11), (20, 10), (10, 10), (0, 10)],
    }
}

/// Digits of at most 15 bits, or 16 at the end. The highest holds the eight bits of significance that a difference of near BF16s has:
/// there, nothing is below it, and one pass is enough.
pub fn wide_digits(precision: Precision) -> Digits {
    match precision {
        Precision::F32 => &[(16, 15), (0, 16)],
        Precision::F64 => &[(48, 15), (33, 15), (18, 15), (9, 9), (0, 9)],
    }
}

/// What was counted of a digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// How many elements have each value of the digit.
    pub counts: Vec<u64>,
    /// How many of those have nothing but zeros below the digit.
    pub exact: Vec<u64>,
}

impl Histogram {
    /// Nothing is counted.
    pub fn new(digit: Digit) -> Self {
        let zeros = || vec![0; 1 << digit.bits];
        Self { counts: zeros(), exact: zeros() }
    }
}

/// The state of one term's selection: feed it the histogram of [`Selection::digit`] until that is `None`.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Those still to be counted.
    digits: Digits,
    keep: u64,
    prefix: u64,
    ties: u64,
}

impl Selection {
    /// The hunt for the `keep`-th largest score, `keep ≥ 1`, by the digits that the backend counts.
    pub fn new(digits: Digits, keep: u64) -> Self {
        Self { digits, keep, prefix: 0, ties: 0 }
    }

    /// The digit to count next; `None` when the threshold is known.
    pub fn digit(&self) -> Option<Digit> {
        self.digits.first().map(|&(shift, bits)| Digit { shift, bits, prefix: self.prefix })
    }

    /// Takes the complete histogram of [`Selection::digit`] over the tensor.
    pub fn narrow(&mut self, histogram: &Histogram) {
        let Some((digit, rest)) = self.digit().zip(self.digits.get(1..)) else { return };
        self.digits = rest;
        for (value, (&count, &exact)) in histogram.counts.iter().zip(&histogram.exact).enumerate().rev() {
            if count >= self.keep || value == 0 {
                self.prefix = (self.prefix << digit.bits) | value as u64;
                self.ties = count;
                // Those with something below the digit are the larger ones.
                let larger = count - exact;
                if self.keep > larger {
                    // All that are still in question are equal.
                    self.keep -= larger;
                    self.ties = exact;
                    self.prefix <<= digit.shift;
                    self.digits = &[];
                }
                break;
            }
            self.keep -= count;
        }
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

    /// The selection's cut of `scores`, driven as a run drives it, and how many digits it took.
    fn driven(digits: Digits, scores: &[u64], keep: u64) -> (Cut, usize) {
        let mut selection = Selection::new(digits, keep);
        let mut passes = 0;
        while let Some(digit) = selection.digit() {
            let mut histogram = Histogram::new(digit);
            for score in scores.iter().filter(|&score| score >> (digit.shift + digit.bits) == digit.prefix) {
                let value = (score >> digit.shift) as usize & ((1 << digit.bits) - 1);
                histogram.counts[value] += 1;
                histogram.exact[value] += u64::from(score & ((1 << digit.shift) - 1) == 0);
            }
            selection.narrow(&histogram);
            passes += 1;
        }
        let hunt = selection.tie_hunt(0, Score::Magnitude).map(|mut hunt| {
            let mut ties = scores.iter().enumerate().filter(|&(_, &score)| score == hunt.threshold);
            hunt.end = ties.nth(hunt.wanted as usize - 1).map(|(index, _)| index as u64 + 1);
            hunt
        });
        (selection.cut(hunt), passes)
    }

    /// The cut, which is the same whatever the digits are.
    fn selected(precision: Precision, scores: &[u64], keep: u64) -> Cut {
        let [(narrow, _), (wide, _)] =
            [narrow_digits, wide_digits].map(|digits| driven(digits(precision), scores, keep));
        assert_eq!(narrow, wide);
        narrow
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
            for (digits, widest) in [(narrow_digits(precision), 11), (wide_digits(precision), 16)] {
                let mut top = width;
                for &(shift, bits) in digits {
                    assert_eq!(shift + bits, top);
                    assert!(bits <= widest);
                    top = shift;
                }
                assert_eq!(top, 0);
            }
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
    fn a_selection_ends_where_only_equals_are_left() {
        // Differences of BF16s that lie near each other have eight bits of significance.
        let scores = f32_scores(&[0.0, 0.25 + 0.001_953_125, 3.0, 0.25, 0.25 + 2e-7, 3.0, 0.5]);
        let passes = |digits, keep| driven(digits, &scores, keep).1;
        // The sixth is one quarter: whatever else has its digit is larger.
        for (keep, narrow, wide) in [(1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 2, 1), (5, 3, 2), (6, 1, 1), (7, 1, 1)] {
            let took = (passes(narrow_digits(Precision::F32), keep), passes(wide_digits(Precision::F32), keep));
            assert_eq!(took, (narrow, wide), "keep {keep}");
        }
        assert_eq!(driven(wide_digits(Precision::F64), &f64_scores(&[1.0, 1.5]), 1).1, 1);
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
