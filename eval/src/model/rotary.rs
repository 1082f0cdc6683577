//! Rotary positions: the frequencies that a configuration asks for.

use super::error::{Error, Result};
use super::fields::Fields;

/// One set of frequencies. A head's first `2 · frequencies.len()` elements are turned, the first half with the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Radians a position, of each pair.
    pub frequencies: Vec<f32>,
    /// What cosines and sines are multiplied with (YaRN).
    pub scale: f32,
}

impl Rotary {
    /// What `rope_parameters` (or, before transformers 5, `rope_scaling` with `rope_theta` beside it) says of heads of `head_dim`
    /// elements in a model with a context of `context` tokens.
    pub fn read(parameters: &Fields, theta: f64, fraction: f64, head_dim: usize, context: usize) -> Result<Self> {
        let theta = parameters.positive_or("rope_theta", theta)?;
        let fraction = parameters.positive_or("partial_rotary_factor", fraction)?;
        let turned = (head_dim as f64 * fraction) as usize;
        if fraction > 1.0 || turned == 0 || turned % 2 == 1 {
            return Err(Error::FieldInvalid {
                field: "partial_rotary_factor".into(),
                found: format!("{fraction} (of heads of {head_dim})"),
                expected: "an even number of elements of a head".into(),
            });
        }
        let plain: Vec<f32> = (0..turned / 2)
            .map(|pair| {
                let exponent = (2 * pair) as f32 / turned as f32;
                1.0 / libm::pow(theta, f64::from(exponent)) as f32
            })
            .collect();
        let kind = match parameters.text("rope_type")? {
            Some(kind) => kind,
            None => parameters.text("type")?.unwrap_or("default"),
        };
        match kind {
            // Dynamic scaling begins beyond the context, which nothing here exceeds.
            "default" | "dynamic" => Ok(Self { frequencies: plain, scale: 1.0 }),
            "linear" => {
                let factor = factor(parameters)? as f32;
                Ok(Self { frequencies: plain.iter().map(|frequency| frequency / factor).collect(), scale: 1.0 })
            }
            "llama3" => llama3(parameters, &plain, context),
            "yarn" => yarn(parameters, theta, turned, context),
            _ => Err(parameters.unsupported(if parameters.has("rope_type") { "rope_type" } else { "type" })),
        }
    }
}

fn factor(parameters: &Fields) -> Result<f64> {
    parameters.maybe_positive("factor")?.ok_or(Error::FieldMissing("rope_parameters.factor"))
}

/// The largest context that a configuration may name.
pub const LONGEST: usize = 1 << 31;

fn original(parameters: &Fields, context: usize) -> Result<f64> {
    Ok(parameters.count_or("original_max_position_embeddings", LONGEST, context)? as f64)
}

/// Llama 3.1's: long waves are slowed by `factor`, short ones are left, and those between are mixed.
fn llama3(parameters: &Fields, plain: &[f32], context: usize) -> Result<Rotary> {
    let factor = factor(parameters)? as f32;
    let need = |name| parameters.maybe_positive(name)?.ok_or(Error::FieldMissing(name));
    let low = need("low_freq_factor")? as f32;
    let high = need("high_freq_factor")? as f32;
    let original = original(parameters, context)? as f32;
    let frequencies = plain.iter().map(|&frequency| {
        let wave = std::f32::consts::TAU / frequency;
        if wave > original / low {
            frequency / factor
        } else if wave < original / high {
            frequency
        } else {
            let smooth = (original / wave - low) / (high - low);
            (1.0 - smooth) * frequency / factor + smooth * frequency
        }
    });
    finite(Rotary { frequencies: frequencies.collect(), scale: 1.0 })
}

/// YaRN (Peng et al. 2023): a ramp over the pairs, between the frequencies as they are and those slowed by `factor`.
fn yarn(parameters: &Fields, theta: f64, turned: usize, context: usize) -> Result<Rotary> {
    let original = original(parameters, context)?;
    let factor = match parameters.maybe_positive("factor")? {
        Some(factor) => factor,
        None => context as f64 / original,
    };
    let magnitude = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * libm::log(factor) + 1.0 };
    let scale = match (
        parameters.maybe_number("attention_factor")?,
        parameters.maybe_number("mscale")?,
        parameters.maybe_number("mscale_all_dim")?,
    ) {
        (Some(scale), ..) => scale,
        (None, Some(of), Some(all)) if of != 0.0 && all != 0.0 => magnitude(of) / magnitude(all),
        _ => magnitude(1.0),
    };
    let bound =
        |turns: f64| turned as f64 * libm::log(original / (turns * std::f64::consts::TAU)) / (2.0 * libm::log(theta));
    let (mut low, mut high) =
        (bound(parameters.positive_or("beta_fast", 32.0)?), bound(parameters.positive_or("beta_slow", 1.0)?));
    if parameters.flag_or("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    let low = low.max(0.0);
    let mut high = high.min(turned as f64 - 1.0);
    if low == high {
        high += 0.001;
    }
    let frequencies = (0..turned / 2).map(|pair| {
        let wave = libm::pow(theta, f64::from((2 * pair) as f32 / turned as f32)) as f32;
        let ramp = ((pair as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        let kept = 1.0 - ramp;
        1.0 / (factor as f32 * wave) * (1.0 - kept) + 1.0 / wave * kept
    });
    finite(Rotary { frequencies: frequencies.collect(), scale: scale as f32 })
}

/// Settings may each be possible and together not.
fn finite(rotary: Rotary) -> Result<Rotary> {
    if rotary.frequencies.iter().all(|frequency| frequency.is_finite()) && rotary.scale.is_finite() {
        return Ok(rotary);
    }
    Err(Error::FieldInvalid {
        field: "rope_parameters".into(),
        found: "settings without finite frequencies".into(),
        expected: "finite frequencies".into(),
    })
}
