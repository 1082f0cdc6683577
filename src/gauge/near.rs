//! Weights of a generated model and of near fine-tunes of it, as training makes them.
//!
//! In bf16 a quarter of a fine-tune's elements did not move, because there is no number that near; the others moved by few
//! distinct amounts. The cosine to the base is above 0.9999.

/// Standard deviation of the weights.
const SPREAD: f32 = 0.15;

/// Standard deviation of the change that a fine-tune makes, before it is rounded.
const CHANGE: f32 = 0.001;

/// Element after element, without end, of a model whose type `round` rounds to. Model 0 is the base, each other number another
/// fine-tune of it.
pub fn weights(model: u64, round: impl Fn(f32) -> f32) -> impl Iterator<Item = f32> {
    let mut base = Normal::new(0);
    let mut change = (model > 0).then(|| Normal::new(model));
    std::iter::repeat_with(move || {
        let weight = round(SPREAD * base.draw());
        change.as_mut().map_or(weight, |change| round(weight + CHANGE * change.draw()))
    })
}

/// Normal numbers near enough: sums of four uniform ones.
struct Normal(u64);

impl Normal {
    fn new(stream: u64) -> Self {
        // An odd factor: no two streams start alike, and none at zero, from where xorshift never leaves.
        Self((stream + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Mean 0, standard deviation 1, at most 2√3 in magnitude.
    fn draw(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let sum: u32 = [0, 16, 32, 48].iter().map(|shift| (self.0 >> shift) as u16 as u32).sum();
        (sum as f32 / 65_536.0 - 2.0) * 3_f32.sqrt()
    }
}
