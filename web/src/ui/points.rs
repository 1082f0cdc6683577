//! The text of a value or of a list of values, as the form's plain fields take it.

use merge_studio::recipe::{ParameterKind, Setting, Value};

use super::numbers;

/// `0.5`, `0, 0.5, 1` or `true, false`: a value, or a gradient where there are several. `None` if a word is neither number nor flag.
pub fn parse(text: &str, kind: ParameterKind) -> Option<Setting> {
    let words = text.split([',', ' ', ';', '[', ']']).filter(|word| !word.is_empty());
    let mut values = words.map(|word| value(word, kind)).collect::<Option<Vec<Value>>>()?;
    match values.len() {
        0 => None,
        1 => values.pop().map(Setting::Scalar),
        _ => Some(Setting::Gradient(values)),
    }
}

fn value(word: &str, kind: ParameterKind) -> Option<Value> {
    match (kind, word.to_ascii_lowercase().as_str()) {
        (ParameterKind::Flag, "true" | "yes" | "on") => Some(Value::Flag(true)),
        (ParameterKind::Flag, "false" | "no" | "off") => Some(Value::Flag(false)),
        (ParameterKind::Flag, _) => None,
        (ParameterKind::Number { .. }, word) => {
            word.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Number)
        }
    }
}

/// The inverse of [`parse`]; filters are counted, not spelled out.
pub fn text(setting: &Setting) -> String {
    match setting {
        Setting::Scalar(value) => plain(value),
        Setting::Gradient(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Setting::Filters(entries) => {
            let entry = |(filter, setting): &(Option<String>, Setting)| {
                format!("{} → {}", filter.as_deref().unwrap_or("*"), text(setting))
            };
            entries.iter().map(entry).collect::<Vec<_>>().join("; ")
        }
    }
}

/// One value.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => numbers::plain(*number),
        Value::Text(text) => text.clone(),
    }
}

/// The points of a gradient of numbers.
pub fn curve(setting: &Setting) -> Option<Vec<f64>> {
    let number = |value: &Value| if let Value::Number(number) = value { Some(*number) } else { None };
    match setting {
        Setting::Gradient(values) => values.iter().map(number).collect(),
        _ => None,
    }
}

/// A gradient through these points.
pub fn gradient(points: &[f64]) -> Setting {
    Setting::Gradient(points.iter().copied().map(Value::Number).collect())
}

/// One point more or fewer, the curve's form kept as well as it can be: resampled at even steps.
pub fn resampled(points: &[f64], count: usize) -> Vec<f64> {
    let setting = gradient(points);
    let at = |index: usize| {
        let t = if count > 1 { index as f64 / (count - 1) as f64 } else { 1.0 };
        match setting.resolve("", t) {
            Some(Value::Number(number)) => (number * 1e4).round() / 1e4,
            _ => 0.0,
        }
    };
    (0..count).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: ParameterKind = ParameterKind::Number { min: 0.0, max: 1.0, floor: None };

    #[test]
    fn one_word_is_a_value_and_several_are_a_gradient() {
        assert_eq!(parse(" 0.5 ", NUMBER), Some(Setting::Scalar(Value::Number(0.5))));
        assert_eq!(parse("[0, 0.5 1]", NUMBER), Some(gradient(&[0.0, 0.5, 1.0])));
        let flags = Setting::Gradient(vec![Value::Flag(true), Value::Flag(false)]);
        assert_eq!(parse("true, no", ParameterKind::Flag), Some(flags));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "half", "0.5, x", "inf", "NaN"] {
            assert_eq!(parse(text, NUMBER), None, "{text}");
        }
        assert_eq!(parse("0.5", ParameterKind::Flag), None);
    }

    #[test]
    fn text_is_read_back_as_it_was() {
        let setting = gradient(&[0.0, 0.25, 1.0]);
        assert_eq!(parse(&text(&setting), NUMBER), Some(setting));
    }

    #[test]
    fn more_points_keep_the_curve() {
        assert_eq!(resampled(&[0.0, 1.0], 3), [0.0, 0.5, 1.0]);
        assert_eq!(resampled(&[0.0, 0.5, 1.0], 2), [0.0, 1.0]);
    }
}
