//! Choosing the next token.

use super::error::{Error, Result};
use super::math;
use crate::Generation;

/// Uniform in [0, 1): SplitMix64 (Steele, Lea and Flood 2014) at a place in its sequence, so that a draw depends on seed and place alone.
pub fn uniform(seed: u64, place: u64) -> f64 {
    let mut bits = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Refuses what is no way to draw.
pub fn check(how: &Generation) -> Result<()> {
    let invalid = |field, found, expected| Err(Error::SamplingInvalid { field, found, expected });
    if !(how.temperature >= 0.0 && how.temperature.is_finite()) {
        return invalid("temperature", how.temperature, "0 or more");
    }
    if !(how.top_p > 0.0 && how.top_p <= 1.0) {
        return invalid("top_p", how.top_p, "above 0, up to 1");
    }
    Ok(())
}

/// Makes tokens that were there already less likely (generation_config.json's `repetition_penalty`; 1: none).
pub fn penalise(logits: &mut [f32], tokens: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let mut tokens: Vec<u32> = tokens.to_vec();
    tokens.sort_unstable();
    tokens.dedup();
    for token in tokens {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }
}

/// The token at `place` of a generation.
pub fn choose(logits: &[f32], how: &Generation, place: u64) -> Result<u32> {
    let (first, largest) = math::argmax(logits).ok_or(Error::NotANumber)?;
    if how.temperature == 0.0 {
        return Ok(first as u32);
    }
    let mut drawn: Vec<(u32, f64)> = logits
        .iter()
        .enumerate()
        .map(|(token, logit)| (token as u32, libm::exp(f64::from(logit - largest) / how.temperature)))
        .collect();
    // Of equally likely ones the first goes first.
    drawn.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    if how.top_k > 0 {
        drawn.truncate(how.top_k);
    }
    let total: f64 = drawn.iter().map(|(_, weight)| weight).sum();
    let mut reached = 0.0;
    let enough = drawn.iter().position(|(_, weight)| {
        reached += weight;
        reached >= how.top_p * total
    });
    drawn.truncate(enough.map_or(drawn.len(), |at| at + 1));
    let total: f64 = drawn.iter().map(|(_, weight)| weight).sum();
    let mut left = uniform(how.seed, place) * total;
    let token = drawn.iter().find(|(_, weight)| {
        left -= weight;
        left < 0.0
    });
    // Rounding may leave a little behind the last.
    Ok(token.or(drawn.last()).map_or(first as u32, |(token, _)| *token))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn how(temperature: f64, top_p: f64, top_k: usize) -> Generation {
        Generation { until: Vec::new(), max_tokens: 1, temperature, top_p, top_k, seed: 3 }
    }

    /// How often each token is drawn at 4000 places.
    fn shares(logits: &[f32], how: &Generation) -> Vec<f64> {
        let mut shares = vec![0.0; logits.len()];
        for place in 0..4000 {
            shares[choose(logits, how, place).unwrap() as usize] += 1.0 / 4000.0;
        }
        shares
    }

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        // 1/2, 1/4, 1/8, 1/8.
        let logits = [0.25f32.ln(), 0.5f32.ln(), 0.125f32.ln(), 0.125f32.ln()];
        // Five standard deviations of a share of one half.
        let close = |found: Vec<f64>, expected: [f64; 4]| {
            assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.04), "{found:?}");
        };
        close(shares(&logits, &how(1.0, 1.0, 0)), [0.25, 0.5, 0.125, 0.125]);
        close(shares(&logits, &how(0.5, 1.0, 0)), [2.0 / 11.0, 8.0 / 11.0, 0.5 / 11.0, 0.5 / 11.0]);
        close(shares(&logits, &how(1.0, 1.0, 2)), [1.0 / 3.0, 2.0 / 3.0, 0.0, 0.0]);
        close(shares(&logits, &how(1.0, 0.7, 0)), [1.0 / 3.0, 2.0 / 3.0, 0.0, 0.0]);
        close(shares(&logits, &how(1.0, 0.8, 0)), [2.0 / 7.0, 4.0 / 7.0, 1.0 / 7.0, 0.0]);
    }

    #[test]
    fn draws_are_splitmix64s() {
        // The first three of the sequence from 1234567, as its authors' program gives them.
        let expected = [6_457_827_717_110_365_317u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for (place, bits) in expected.into_iter().enumerate() {
            assert_eq!(uniform(1_234_567, place as u64), (bits >> 11) as f64 / (1u64 << 53) as f64);
        }
    }

    #[test]
    fn a_penalty_makes_either_sign_less_likely_once() {
        let mut logits = [2.0, -2.0, 1.0];
        penalise(&mut logits, &[0, 1, 1, 7], 2.0);
        assert_eq!(logits, [1.0, -4.0, 1.0]);
    }
}
