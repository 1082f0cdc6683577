//! Numbers as people compare them: aligned digits, units, no false precision.

use merge_studio::format::{DType, in_order};

/// Bytes in decimal units, as file managers and model hubs count them.
pub fn bytes(count: u64) -> String {
    scaled(count as f64, &["B", "kB", "MB", "GB", "TB"])
}

/// Element types by the bytes that are of them, the one with most first.
pub fn dtypes(tensors: impl Iterator<Item = (DType, u64)>) -> String {
    let mut bytes: Vec<(DType, u64)> = Vec::new();
    for (dtype, len) in tensors {
        match bytes.iter_mut().find(|(known, _)| *known == dtype) {
            Some((_, sum)) => *sum += len,
            None => bytes.push((dtype, len)),
        }
    }
    let names = in_order(bytes, |(_, bytes)| u64::MAX - bytes);
    names.iter().map(|(dtype, _)| dtype.name()).collect::<Vec<_>>().join(", ")
}

/// Parameters: 2,048 · 1.2 M · 6.74 B.
pub fn parameters(count: u64) -> String {
    if count < 10_000 { grouped(count) } else { scaled(count as f64, &["", "K", "M", "B", "T"]) }
}

/// Three significant digits and a unit.
fn scaled(value: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", units[unit]).trim_end().to_owned()
}

/// 49,152.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Seconds: 0.42 s · 12.3 s · 2 min 05 s.
pub fn seconds(seconds: f64) -> String {
    if seconds < 9.995 {
        format!("{seconds:.2} s")
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

/// Time left, coarse enough not to flicker: a few seconds · 40 s · 3 min.
pub fn left(seconds: f64) -> String {
    if seconds < 5.0 {
        "a few seconds".to_owned()
    } else if seconds < 90.0 {
        format!("{:.0} s", (seconds / 5.0).ceil() * 5.0)
    } else {
        format!("{:.0} min", (seconds / 60.0).ceil())
    }
}

/// 64 × 128.
pub fn shape(dimensions: &[u64]) -> String {
    let words: Vec<String> = dimensions.iter().map(ToString::to_string).collect();
    if words.is_empty() { "scalar".to_owned() } else { words.join(" × ") }
}

/// A parameter's number, without a tail of digits that nobody wrote.
pub fn plain(number: f64) -> String {
    let rounded = (number * 1e6).round() / 1e6;
    if rounded == 0.0 && number != 0.0 { format!("{number:e}") } else { rounded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_three_digits_and_cross_units_by_their_rounded_value() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.00 kB");
        assert_eq!(bytes(999_600), "1.00 MB");
        assert_eq!(bytes(90_868_376), "90.9 MB");
        assert_eq!(bytes(269_060_552), "269 MB");
    }

    #[test]
    fn parameters_use_the_fields_letters() {
        assert_eq!(parameters(2_048), "2,048");
        assert_eq!(parameters(134_515_008), "135 M");
        assert_eq!(parameters(6_738_415_616), "6.74 B");
    }

    #[test]
    fn durations_grow_coarser_as_they_grow() {
        assert_eq!(seconds(0.4231), "0.42 s");
        assert_eq!(seconds(12.34), "12.3 s");
        assert_eq!(seconds(125.2), "2 min 05 s");
        assert_eq!(left(2.0), "a few seconds");
        assert_eq!(left(37.0), "40 s");
        assert_eq!(left(130.0), "3 min");
    }

    #[test]
    fn a_parameter_is_shown_as_it_was_written() {
        assert_eq!(plain(0.1 + 0.2), "0.3");
        assert_eq!(plain(1.0), "1");
        assert_eq!(plain(1e-9), "1e-9");
        assert_eq!(plain(0.0), "0");
    }
}
