//! The value of a parameter: a scalar, a gradient over layers, or a list of filters over tensor names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The `parameters` of a scope, by key.
pub type Settings = BTreeMap<String, Setting>;

/// A scalar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// true or false (YAML 1.1: yes, no, on, off as well).
    Flag(bool),
    /// An integer or a float, or a text that reads as one (`1e-5` is a text in YAML 1.1).
    Number(f64),
    /// Anything else.
    Text(String),
}

/// What is written for a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Setting {
    /// One value.
    Scalar(Value),
    /// Values along the layers: numbers are interpolated, flags and texts are picked.
    Gradient(Vec<Value>),
    /// The first entry whose filter is contained in the tensor's name counts; `None` and `*` match every name.
    Filters(Vec<(Option<String>, Setting)>),
}

impl Setting {
    /// The value for a tensor at position `t` (0 to 1) along the layers; `None` if no filter matches or a list is empty.
    pub fn resolve(&self, tensor: &str, t: f64) -> Option<Value> {
        match self {
            Self::Scalar(value) => Some(value.clone()),
            Self::Gradient(values) => gradient(values, t),
            Self::Filters(entries) => entries
                .iter()
                .find(|(filter, _)| filter.as_deref().is_none_or(|filter| filter == "*" || tensor.contains(filter)))
                .and_then(|(_, setting)| setting.resolve(tensor, t)),
        }
    }
}

fn gradient(values: &[Value], t: f64) -> Option<Value> {
    let last = values.len().checked_sub(1)?;
    let scaled = t * last as f64;
    let low = (scaled as usize).min(last);
    let numbers: Option<Vec<f64>> =
        values.iter().map(|value| if let Value::Number(number) = value { Some(*number) } else { None }).collect();
    let Some(numbers) = numbers else { return values.get(low).cloned() };
    let high = (low + 1).min(last);
    let share = scaled - low as f64;
    Some(Value::Number((1.0 - share) * numbers[low] + share * numbers[high]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f64]) -> Setting {
        Setting::Gradient(values.iter().copied().map(Value::Number).collect())
    }

    #[test]
    fn gradients_interpolate_between_their_points() {
        let gradient = numbers(&[0.0, 1.0, 0.5]);
        let at = |t| gradient.resolve("x", t);
        assert_eq!(at(0.0), Some(Value::Number(0.0)));
        assert_eq!(at(0.25), Some(Value::Number(0.5)));
        assert_eq!(at(0.75), Some(Value::Number(0.75)));
        assert_eq!(at(1.0), Some(Value::Number(0.5)));
        assert_eq!(numbers(&[]).resolve("x", 0.5), None);
        assert_eq!(numbers(&[0.3]).resolve("x", 1.0), Some(Value::Number(0.3)));
    }

    #[test]
    fn a_filter_list_without_a_match_has_no_value() {
        let scalar = |number| Setting::Scalar(Value::Number(number));
        let filters =
            Setting::Filters(vec![(Some("mlp".into()), scalar(0.1)), (Some("attn".into()), numbers(&[0.0, 1.0]))]);
        assert_eq!(filters.resolve("layers.0.mlp.up", 0.0), Some(Value::Number(0.1)));
        assert_eq!(filters.resolve("layers.0.self_attn.q", 0.5), Some(Value::Number(0.5)));
        assert_eq!(filters.resolve("norm", 0.0), None);
        let star = Setting::Filters(vec![(Some("*".into()), scalar(0.2))]);
        assert_eq!(star.resolve("norm", 0.0), Some(Value::Number(0.2)));
    }

    #[test]
    fn flags_along_layers_are_picked_not_interpolated() {
        let flags = Setting::Gradient(vec![Value::Flag(true), Value::Flag(false)]);
        assert_eq!(flags.resolve("x", 0.99), Some(Value::Flag(true)));
        assert_eq!(flags.resolve("x", 1.0), Some(Value::Flag(false)));
    }
}
