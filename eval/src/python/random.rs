//! Python's `random.Random`: the Mersenne Twister (MT19937) and how `sample` and `choices` draw from it.

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// A generator in the state that `random.Random(seed)` begins with.
#[derive(Clone)]
pub(crate) struct Random {
    state: [u32; WORDS],
    at: usize,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let key = match seed >> 32 {
            0 => vec![seed as u32],
            high => vec![seed as u32, high as u32],
        };
        let mut random = Self { state: [0; WORDS], at: WORDS };
        random.seed_with(19_650_218);
        random.mix(&key);
        random
    }

    fn seed_with(&mut self, seed: u32) {
        self.state[0] = seed;
        for index in 1..WORDS {
            let before = self.state[index - 1];
            self.state[index] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(index as u32);
        }
    }

    /// The published seeding by an array.
    fn mix(&mut self, key: &[u32]) {
        let (mut index, mut word) = (1, 0);
        let turned = |state: &[u32; WORDS], index: usize, factor: u32| {
            let before = state[index - 1];
            state[index] ^ (before ^ (before >> 30)).wrapping_mul(factor)
        };
        for _ in 0..WORDS.max(key.len()) {
            self.state[index] = turned(&self.state, index, 1_664_525).wrapping_add(key[word]).wrapping_add(word as u32);
            index += 1;
            word = (word + 1) % key.len();
            if index == WORDS {
                self.state[0] = self.state[WORDS - 1];
                index = 1;
            }
        }
        for _ in 1..WORDS {
            self.state[index] = turned(&self.state, index, 1_566_083_941).wrapping_sub(index as u32);
            index += 1;
            if index == WORDS {
                self.state[0] = self.state[WORDS - 1];
                index = 1;
            }
        }
        self.state[0] = 0x8000_0000;
    }

    fn refill(&mut self) {
        for index in 0..WORDS {
            let joined = (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % WORDS] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[index] = self.state[(index + MIDDLE) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.at = 0;
    }

    /// 32 random bits.
    fn word(&mut self) -> u32 {
        if self.at == WORDS {
            self.refill();
        }
        let mut word = self.state[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// `random()`: 53 random bits in [0, 1).
    fn fraction(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// A whole number below `limit`, which is above 0 and below 2³²: bits are drawn until they are below.
    fn below(&mut self, limit: usize) -> usize {
        let bits = usize::BITS - limit.leading_zeros();
        loop {
            let drawn = (self.word() >> (32 - bits)) as usize;
            if drawn < limit {
                return drawn;
            }
        }
    }

    /// `sample(range(size), count)`: places in the order drawn; `None` where there are fewer than `count`.
    ///
    /// Small populations are drawn from a list in which the last takes a drawn one's place, larger ones by drawing again what was
    /// drawn before; which of the two, Python decides by the memory that each would take.
    pub(crate) fn sample(&mut self, size: usize, count: usize) -> Option<Vec<usize>> {
        if count > size {
            return None;
        }
        let mut set_size = 21;
        if count > 5 {
            let mut table = 1;
            while table < count * 3 {
                table *= 4;
            }
            set_size += table;
        }
        let mut drawn: Vec<usize> = Vec::with_capacity(count);
        if size <= set_size {
            let mut pool: Vec<usize> = (0..size).collect();
            for left in (size - count + 1..=size).rev() {
                let place = self.below(left);
                drawn.push(pool[place]);
                pool[place] = pool[left - 1];
            }
        } else {
            for _ in 0..count {
                let mut place = self.below(size);
                while drawn.contains(&place) {
                    place = self.below(size);
                }
                drawn.push(place);
            }
        }
        Some(drawn)
    }

    /// One of `choices(range(size), k=…)`, with replacement.
    pub(crate) fn choice(&mut self, size: usize) -> usize {
        (self.fraction() * size as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_words_that_its_authors_publish() {
        // mt19937ar.out: seeded by the array 0x123, 0x234, 0x345, 0x456.
        let mut random = Random::new(0);
        random.seed_with(19_650_218);
        random.mix(&[0x123, 0x234, 0x345, 0x456]);
        random.at = WORDS;
        let words: Vec<u32> = (0..5).map(|_| random.word()).collect();
        assert_eq!(words, [1_067_595_299, 955_945_823, 477_289_528, 4_107_218_783, 4_228_976_476]);
    }

    #[test]
    fn draws_are_pythons() {
        // CPython 3.11: r = random.Random(seed); r.sample(range(size), count), then r.random().
        for (seed, size, count, expected, then) in SAMPLES {
            let mut random = Random::new(seed);
            assert_eq!(random.sample(size, count).as_deref(), Some(expected), "seed {seed}: {count} of {size}");
            assert_eq!(random.fraction(), then, "seed {seed}: after {count} of {size}");
        }
        assert_eq!(Random::new(1).sample(3, 4), None);
    }

    const SAMPLES: [(u64, usize, usize, &[usize], f64); 8] = [
        (1234, 10, 3, &[7, 1, 0], 0.090_643_606_416_701_88),
        (1234, 21, 5, &[14, 3, 0, 2, 1], 0.671_563_481_487_985_1),
        (1234, 22, 5, &[14, 3, 0, 2, 18], 0.034_926_166_173_543_605),
        (1234, 85, 6, &[56, 14, 0, 11, 74, 4], 0.671_563_481_487_985_1),
        (1234, 86, 6, &[56, 14, 0, 11, 74, 4], 0.671_563_481_487_985_1),
        (0, 1000, 12, &[864, 394, 776, 911, 430, 41, 265, 988, 523, 497, 414, 940], 0.783_798_589_034_772_6),
        (7, 5, 5, &[2, 1, 3, 0, 4], 0.821_274_291_991_308_3),
        (1_099_511_627_779, 300, 4, &[112, 31, 281, 48], 0.566_404_469_172_667_8),
    ];
}
