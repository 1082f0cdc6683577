//! Philox 4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! Its constants are written here once: the CPU's lanes and the GPU's shader take them from this file.

use super::Coin;

/// Multipliers of the first and third counter word.
pub const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What the key words grow by after every round: the golden ratio and √3 − 1.
pub const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Rounds.
pub const ROUNDS: u32 = 10;

/// The four words at `counter`.
#[inline(always)] // Loops over counters become vector code only around the rounds themselves.
#[allow(clippy::inline_always)]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let third = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (third >> 32) as u32 ^ counter[1] ^ key[0],
            third as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

impl Coin {
    /// The word drawn for the element at `index` of the tensor.
    pub fn word(&self, index: u64) -> u32 {
        let block = index / 4;
        let counter = [block as u32, (block >> 32) as u32, self.stream[0], self.stream[1]];
        philox(counter, self.key)[(index % 4) as usize]
    }

    /// Whether the element at `index` of the tensor is kept.
    pub fn keeps(&self, index: u64) -> bool {
        self.word(index) < self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answers_of_random123_are_reproduced() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_coin_keeps_about_its_density() {
        let coin = Coin { key: [1, 2], stream: [3, 4], threshold: 1 << 30 };
        let kept = (0..40_000).filter(|&index| coin.keeps(index)).count();
        // A quarter of 40,000, give or take six standard deviations.
        assert!((9_480..=10_520).contains(&kept), "{kept}");
    }

    #[test]
    fn coins_beyond_four_billion_blocks_use_the_second_counter_word() {
        let coin = Coin { key: [1, 2], stream: [3, 4], threshold: 0 };
        assert_eq!(coin.word((1 << 34) + 5), philox([1, 1, 3, 4], [1, 2])[1]);
    }
}
