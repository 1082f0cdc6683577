//! What a scalar means: PyYAML's YAML 1.1 for plain text, then pydantic's leniency where a number or a flag is wanted.

/// A scalar as PyYAML's safe loader constructs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Flag(bool),
    /// An integer or a float.
    Number(f64),
    /// A date, with or without a time. mergekit has no use for one.
    Date,
    Text(String),
}

/// Plain (unquoted) text.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Flag(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Scalar::Flag(false),
        _ => {}
    }
    if let Some(number) = integer(text).or_else(|| float(text)) {
        return Scalar::Number(number);
    }
    if is_date(text) { Scalar::Date } else { Scalar::Text(text.to_owned()) }
}

fn signed(text: &str) -> (f64, &str) {
    match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { -1.0 } else { 1.0 }, rest),
        None => (1.0, text),
    }
}

fn all(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.chars().all(allowed)
}

fn integer(text: &str) -> Option<f64> {
    let (sign, digits) = signed(text);
    let radix = |digits: &str, radix: u32| {
        let digits = digits.replace('_', "");
        let valid = !digits.is_empty() && all(&digits, |digit| digit.is_digit(radix));
        valid.then(|| {
            let digits = digits.chars().filter_map(|digit| digit.to_digit(radix));
            digits.fold(0.0, |value, digit| value * f64::from(radix) + f64::from(digit))
        })
    };
    let magnitude = if let Some(binary) = digits.strip_prefix("0b") {
        radix(binary, 2)?
    } else if let Some(hexadecimal) = digits.strip_prefix("0x") {
        radix(hexadecimal, 16)?
    } else if digits == "0" {
        0.0
    } else if let Some(octal) = digits.strip_prefix('0') {
        if !all(octal, |digit| matches!(digit, '0'..='7' | '_')) {
            return None;
        }
        radix(octal, 8).unwrap_or(0.0)
    } else if digits.contains(':') {
        if !digits.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        sexagesimal(digits)?
    } else {
        decimal(digits)?
    };
    Some(sign * magnitude)
}

/// `[0-9][0-9_]*`
fn decimal(text: &str) -> Option<f64> {
    let valid = text.starts_with(|first: char| first.is_ascii_digit())
        && all(text, |digit| digit.is_ascii_digit() || digit == '_');
    valid.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// `1:30` is 90: base 60, the last part of a float may have decimals (which come in separately).
fn sexagesimal(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let mut value = decimal(parts.next()?)?;
    for part in parts {
        let valid = (1..=2).contains(&part.len()) && all(part, |digit| digit.is_ascii_digit());
        let part: f64 = part.parse().ok().filter(|part| valid && *part < 60.0)?;
        value = value * 60.0 + part;
    }
    Some(value)
}

fn float(text: &str) -> Option<f64> {
    let (sign, rest) = signed(text);
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        _ => {}
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(f64::NAN);
    }
    let (whole, decimals) = rest.split_once('.')?;
    if whole.contains(':') {
        let valid = all(decimals, |digit| digit.is_ascii_digit() || digit == '_');
        let decimals: f64 = format!("0.{}0", decimals.replace('_', "")).parse().ok().filter(|_| valid)?;
        return Some(sign * (sexagesimal(whole)? + decimals));
    }
    let (decimals, exponent) = match decimals.find(['e', 'E']) {
        Some(at) => (&decimals[..at], Some(&decimals[at + 1..])),
        None => (decimals, None),
    };
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['-', '+'])?;
        if digits.is_empty() || !all(digits, |digit| digit.is_ascii_digit()) {
            return None;
        }
    }
    if !all(decimals, |digit| digit.is_ascii_digit() || digit == '_') {
        return None;
    }
    if whole.is_empty() {
        // PyYAML wants a digit after a leading point, and no sign before it.
        if rest.len() != text.len() || !decimals.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
    } else {
        decimal(whole)?;
    }
    let plain = format!("{whole}.{decimals}0e{}", exponent.unwrap_or("0")).replace('_', "");
    Some(sign * plain.parse::<f64>().ok()?)
}

/// `2001-01-01`, with or without a time.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    if !digits(0..4) || bytes.get(4) != Some(&b'-') {
        return false;
    }
    if bytes.len() == 10 && digits(5..7) && bytes[7] == b'-' && digits(8..10) {
        return true;
    }
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else { return false };
    let numbers = |text: &str, between: char, parts: usize| {
        let fields: Vec<&str> = text.split(between).collect();
        fields.len() == parts && fields.iter().all(|part| !part.is_empty() && all(part, |digit| digit.is_ascii_digit()))
    };
    let clock = time.trim_start().split(['.', ' ', 'Z', '+', '-']).next().unwrap_or("");
    numbers(date, '-', 3) && numbers(clock, ':', 3)
}

/// What pydantic makes of a text where a float is wanted: Python's `float()`, underscores between digits included.
pub(super) fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        at > 0 && digit(at - 1) && digit(at + 1)
    };
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'_' && !between_digits(at)) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// What pydantic makes of a text where a whole number is wanted: digits with single underscores between them, and `.0` behind.
pub(super) fn whole_of(text: &str) -> Option<f64> {
    let (sign, digits) = signed(text.trim());
    let (digits, zeros) = digits.split_once('.').unwrap_or((digits, "0"));
    let groups = || digits.split('_').all(|group| !group.is_empty() && all(group, |digit| digit.is_ascii_digit()));
    let valid = !zeros.is_empty() && all(zeros, |zero| zero == '0') && groups();
    valid.then(|| digits.replace('_', "").parse::<f64>().ok()).flatten().map(|magnitude| sign * magnitude)
}

/// What pydantic makes of a text where a flag is wanted.
pub(super) fn flag_of(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_pyyaml_makes_of_them() {
        let number = Scalar::Number;
        for (text, expected) in [
            ("yes", Scalar::Flag(true)),
            ("OFF", Scalar::Flag(false)),
            ("010", number(8.0)),
            ("00", number(0.0)),
            ("-010", number(-8.0)),
            ("0_1", number(1.0)),
            ("0x1F", number(31.0)),
            ("+0b11", number(3.0)),
            ("1_000", number(1000.0)),
            ("1__0", number(10.0)),
            ("1:30", number(90.0)),
            ("-1:30", number(-90.0)),
            ("1:30.5", number(90.5)),
            ("190:20:30", number(685_230.0)),
            ("60:00", number(3600.0)),
            ("1.0e-5", number(1e-5)),
            ("1.e+5", number(1e5)),
            (".5", number(0.5)),
            ("5.", number(5.0)),
            ("09.5", number(9.5)),
            ("0.5_0", number(0.5)),
            ("1_000.5", number(1000.5)),
            ("-.inf", number(f64::NEG_INFINITY)),
            ("+.INF", number(f64::INFINITY)),
            ("~", Scalar::Null),
            ("", Scalar::Null),
            ("2001-01-01", Scalar::Date),
            ("2001-1-1 10:00:00", Scalar::Date),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
        for text in [
            "yEs", "y", "n", "08", "0o10", "_1", "1e-5", "1e5", "1.0e5", "+.5", "-.5", "0x", "1,000", "._5", "._",
            "1:60", "0:0", "1.5e+3_0", ".Nan", "nULL", "a.b", "1.2.3", "-", "+", ".", "1:2:3:", "2001-1-1",
        ] {
            assert_eq!(resolve(text), Scalar::Text(text.to_owned()));
        }
        assert!(matches!(resolve(".NaN"), Scalar::Number(number) if number.is_nan()));
    }

    #[test]
    fn a_text_is_a_number_where_python_says_so() {
        for (text, expected) in [("1e-5", 1e-5), (" 1 ", 1.0), ("1_000", 1000.0), ("+.5", 0.5), ("5.", 5.0)] {
            assert_eq!(number_of(text), Some(expected), "{text}");
        }
        assert_eq!(number_of("Infinity"), Some(f64::INFINITY));
        for text in ["", "0x10", "1__0", "_1", "1_", "1:30", "0,5", "abc", "true"] {
            assert_eq!(number_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_a_whole_number_where_pydantic_says_so() {
        for (text, expected) in
            [("2", 2.0), (" 1 ", 1.0), ("-1", -1.0), ("+2", 2.0), ("1_000", 1000.0), ("1.00", 1.0), ("01", 1.0)]
        {
            assert_eq!(whole_of(text), Some(expected), "{text}");
        }
        for text in ["", "1.5", "0x10", "1e3", "1_", "_1", "1__0", "1.", "1.0_0", ".0", "- 1", "٣"] {
            assert_eq!(whole_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_a_flag_where_pydantic_says_so() {
        for text in ["1", "tRue", "T", "YES", "y", "on"] {
            assert_eq!(flag_of(text), Some(true), "{text}");
        }
        for text in ["0", "F", "no", "N", "OFF", "false"] {
            assert_eq!(flag_of(text), Some(false), "{text}");
        }
        for text in ["2", " true", "1.0", ""] {
            assert_eq!(flag_of(text), None, "{text}");
        }
    }
}
