//! How Python writes values, and what its text methods take for white space and digits.

use crate::task::Value;

/// `str.isspace()` of one character.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// A character as a word begins with it. Of what becomes several the first is a capital: `ß` is `Ss`.
fn title_form(character: char) -> String {
    match character {
        // A digraph's title form is not its capital form.
        'Ǆ' | 'ǆ' | 'ǅ' => "ǅ".into(),
        'Ǉ' | 'ǉ' | 'ǈ' => "ǈ".into(),
        'Ǌ' | 'ǌ' | 'ǋ' => "ǋ".into(),
        'Ǳ' | 'ǳ' | 'ǲ' => "ǲ".into(),
        'ŉ' => "ʼN".into(),
        other => {
            let mut capital = other.to_uppercase();
            capital.next().into_iter().chain(capital.flat_map(char::to_lowercase)).collect()
        }
    }
}

/// A text with the characters that `begins` names, by those before them, in their title form and all others small.
fn cased(text: &str, begins: impl Fn(Option<char>) -> bool) -> String {
    // What a small sigma is depends on the whole text.
    let small = text.to_lowercase();
    let (mut small, mut before, mut found) = (small.chars(), None, String::with_capacity(text.len()));
    for character in text.chars() {
        let own: String = small.by_ref().take(character.to_lowercase().count()).collect();
        found.push_str(&if begins(before) { title_form(character) } else { own });
        before = Some(character);
    }
    found
}

/// `str.capitalize()`.
pub(crate) fn capitalized(text: &str) -> String {
    cased(text, |before| before.is_none())
}

/// `str.title()`: words are what stands between characters that are neither capital nor small.
pub(crate) fn titled(text: &str) -> String {
    let letter = |c: char| c.is_lowercase() || c.is_uppercase() || matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ');
    cased(text, |before| !before.is_some_and(letter))
}

/// `str.splitlines(keep)`.
pub(crate) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let breaks = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(end) = rest.find(breaks) {
        let after = &rest[end..];
        let width = if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        lines.push(&rest[..if keep { end + width } else { end }]);
        rest = &rest[end + width..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// `str(value)`.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        _ => represent(value),
    }
}

/// `repr(value)`.
pub(crate) fn represent(value: &Value) -> String {
    match value {
        Value::None => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Text(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(represent).collect::<Vec<_>>().join(", ")),
        Value::Map(pairs) => {
            let pairs: Vec<_> =
                pairs.iter().map(|(key, value)| format!("{}: {}", quoted(key), represent(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// The shortest digits that give the number again, with an exponent below 10⁻⁴ and from 10¹⁶ on.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// `repr(text)`: in single quotes unless it holds some and no double ones; what does not print is escaped.
pub(crate) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut written = String::from(quote);
    for character in text.chars() {
        let code = character as u32;
        match character {
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            _ if character == quote => {
                written.push('\\');
                written.push(quote);
            }
            _ if prints(character) => written.push(character),
            _ if code < 0x100 => written.push_str(&format!("\\x{code:02x}")),
            _ if code < 0x1_0000 => written.push_str(&format!("\\u{code:04x}")),
            _ => written.push_str(&format!("\\U{code:08x}")),
        }
    }
    written.push(quote);
    written
}

/// Whether a character stands for itself in a `repr`: no control, no space but the plain one, no format mark, no private use.
fn prints(character: char) -> bool {
    let hidden = matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}');
    character == ' ' || !(hidden || character.is_control() || is_space(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (number, written) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-2.5e-300, "-2.5e-300"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(number), written);
        }
    }

    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        for (text, written) in [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("both ' and \"", "'both \\' and \"'"),
            ("a\\b\n\t\r", "'a\\\\b\\n\\t\\r'"),
            ("\u{1}\u{a0}\u{200b}é\u{1f600}", "'\\x01\\xa0\\u200bé\u{1f600}'"),
        ] {
            assert_eq!(quoted(text), written);
        }
        let list = Value::List(vec![Value::None, Value::Bool(true), Value::Int(-3), Value::Text("x".into())]);
        assert_eq!(display(&list), "[None, True, -3, 'x']");
        assert_eq!(display(&Value::Map(vec![("k".into(), Value::List(vec![]))])), "{'k': []}");
    }
}
