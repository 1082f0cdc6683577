//! Recipe → YAML, the same text for the same recipe; mergekit runs it, and [`super::check`] reads it back.

use std::fmt::Write as _;

use super::check::words;
use super::scalar::{self, Scalar};
use super::{ModelEntry, Recipe, Setting, Settings, Slice, TokenSource, TokenizerRule, TokenizerSource, Value};

/// The recipe as YAML, a document for each of its stages and then its own.
///
/// Two settings that mergekit's language has no words for do not come back as they were: filters within filters, which are
/// written but refused when read, and a list of no filters, which comes back as a list of no values (both mean nothing).
pub fn write(recipe: &Recipe) -> String {
    let mut yaml = String::new();
    for stage in &recipe.stages {
        line(&mut yaml, 0, format_args!("name: {}", plain_or_quoted(&stage.name)));
        document(&mut yaml, &stage.recipe);
        line(&mut yaml, 0, format_args!("---"));
    }
    document(&mut yaml, recipe);
    yaml
}

/// A recipe without its stages.
fn document(yaml: &mut String, recipe: &Recipe) {
    if recipe.modules.is_empty() {
        merged(yaml, 0, &recipe.models, &recipe.slices);
    } else {
        yaml.push_str("modules:\n");
    }
    for module in &recipe.modules {
        line(yaml, 2, format_args!("{}:", plain_or_quoted(&module.name)));
        merged(yaml, 4, &module.models, &module.slices);
        settings(yaml, 4, &module.parameters);
    }
    line(yaml, 0, format_args!("merge_method: {}", plain_or_quoted(&recipe.merge_method)));
    if let Some(base) = &recipe.base_model {
        line(yaml, 0, format_args!("base_model: {}", plain_or_quoted(base)));
    }
    settings(yaml, 0, &recipe.parameters);
    for (key, float) in [("dtype", recipe.dtype), ("out_dtype", recipe.out_dtype)] {
        if let Some(float) = float {
            line(yaml, 0, format_args!("{key}: {}", float.name()));
        }
    }
    if let Some(rule) = &recipe.tokenizer {
        tokenizer(yaml, rule);
    }
    if let Some(template) = &recipe.chat_template {
        text(yaml, "chat_template", template);
    }
}

/// `models`, or `slices`.
fn merged(yaml: &mut String, indent: usize, models: &[ModelEntry], slices: &[Slice]) {
    if slices.is_empty() {
        line(yaml, indent, format_args!("models:{}", if models.is_empty() { " []" } else { "" }));
        for entry in models {
            line(yaml, indent + 2, format_args!("- model: {}", plain_or_quoted(&entry.model)));
            settings(yaml, indent + 4, &entry.parameters);
        }
        return;
    }
    line(yaml, indent, format_args!("slices:"));
    for slice in slices {
        line(yaml, indent + 2, format_args!("- sources:{}", if slice.sources.is_empty() { " []" } else { "" }));
        for source in &slice.sources {
            line(yaml, indent + 6, format_args!("- model: {}", plain_or_quoted(&source.model)));
            line(yaml, indent + 8, format_args!("layer_range: [{}, {}]", source.layers.0, source.layers.1));
            settings(yaml, indent + 8, &source.parameters);
        }
        if let Some(base) = &slice.base_model {
            line(yaml, indent + 4, format_args!("base_model: {}", plain_or_quoted(base)));
        }
        settings(yaml, indent + 4, &slice.parameters);
    }
}

fn tokenizer(yaml: &mut String, rule: &TokenizerRule) {
    line(yaml, 0, format_args!("tokenizer:"));
    let source = match &rule.source {
        TokenizerSource::Union => "union".to_owned(),
        TokenizerSource::Base => "base".to_owned(),
        // As a text it would be the word.
        TokenizerSource::Model(name) if words::TOKENIZER_SOURCES.contains(&name.as_str()) => {
            format!("{{model: {}}}", plain_or_quoted(name))
        }
        TokenizerSource::Model(name) => plain_or_quoted(name),
    };
    line(yaml, 2, format_args!("source: {source}"));
    if let Some(multiple) = rule.pad_to_multiple_of {
        line(yaml, 2, format_args!("pad_to_multiple_of: {multiple}"));
    }
    if !rule.tokens.is_empty() {
        line(yaml, 2, format_args!("tokens:"));
    }
    for (token, rule) in &rule.tokens {
        let bare = rule.source.is_none() && !rule.force;
        line(yaml, 4, format_args!("{}:{}", plain_or_quoted(token), if bare { " {}" } else { "" }));
        let other = match &rule.source {
            None => None,
            Some(TokenSource::Model(name)) => {
                line(yaml, 6, format_args!("source: {}", plain_or_quoted(name)));
                None
            }
            Some(TokenSource::Zero) => {
                line(yaml, 6, format_args!("source:"));
                line(yaml, 8, format_args!("kind: zero"));
                None
            }
            Some(TokenSource::Token { model, token }) => Some((model, "token", plain_or_quoted(token))),
            Some(TokenSource::Id { model, id }) => Some((model, "token_id", id.to_string())),
        };
        if let Some((model, key, value)) = other {
            line(yaml, 6, format_args!("source:"));
            line(yaml, 8, format_args!("kind: model_token"));
            line(yaml, 8, format_args!("model: {}", plain_or_quoted(model)));
            line(yaml, 8, format_args!("{key}: {value}"));
        }
        if rule.force {
            line(yaml, 6, format_args!("force: true"));
        }
    }
}

/// A text that may have several lines: as they are where YAML keeps them so, else in quotation marks.
fn text(yaml: &mut String, key: &str, text: &str) {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    let kept = lines.contains('\n')
        && lines.split('\n').all(|line| !line.ends_with(' ') && line.chars().all(is_plain))
        && !lines.starts_with([' ', '\n'])
        && !lines.ends_with('\n');
    if !kept {
        return line(yaml, 0, format_args!("{key}: {}", plain_or_quoted(text)));
    }
    line(yaml, 0, format_args!("{key}: |{}", if lines.len() == text.len() { "-" } else { "" }));
    for written in lines.split('\n') {
        line(yaml, if written.is_empty() { 0 } else { 2 }, format_args!("{written}"));
    }
}

/// Characters that no YAML reader minds.
fn is_plain(character: char) -> bool {
    character == ' ' || character.is_alphanumeric() || character.is_ascii_graphic()
}

fn line(yaml: &mut String, indent: usize, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(yaml, "{:indent$}{text}", "");
}

fn settings(yaml: &mut String, indent: usize, settings: &Settings) {
    if settings.is_empty() {
        return;
    }
    line(yaml, indent, format_args!("parameters:"));
    for (key, setting) in settings {
        entry(yaml, indent + 2, &plain_or_quoted(key), setting);
    }
}

fn entry(yaml: &mut String, indent: usize, key: &str, setting: &Setting) {
    match setting {
        Setting::Scalar(scalar) => line(yaml, indent, format_args!("{key}: {}", value(scalar))),
        Setting::Gradient(values) => {
            let values: Vec<String> = values.iter().map(value).collect();
            line(yaml, indent, format_args!("{key}: [{}]", values.join(", ")));
        }
        Setting::Filters(entries) if entries.is_empty() => line(yaml, indent, format_args!("{key}: []")),
        Setting::Filters(entries) => {
            line(yaml, indent, format_args!("{key}:"));
            for (filter, setting) in entries {
                match filter {
                    Some(filter) => {
                        line(yaml, indent + 2, format_args!("- filter: {}", plain_or_quoted(filter)));
                        entry(yaml, indent + 4, "value", setting);
                    }
                    None => entry(yaml, indent + 2, "- value", setting),
                }
            }
        }
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(value) => number(*value),
        Value::Text(text) => plain_or_quoted(text),
    }
}

/// A number that YAML 1.1 reads as the same number: with a point, and a sign in the exponent, where there is one.
pub(super) fn number(number: f64) -> String {
    if number.is_nan() {
        return ".nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let magnitude = number.abs();
    if number == 0.0 && number.is_sign_negative() {
        return "-0.0".into();
    }
    if number == 0.0 || (1e-4..1e15).contains(&magnitude) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}

/// The text as it is where every YAML reader takes it for that text, else in double quotation marks.
pub(super) fn plain_or_quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.trim() == text
        && matches!(scalar::resolve(text), Scalar::Text(_))
        // YAML 1.2 reads numbers that YAML 1.1 does not.
        && scalar::number_of(text).is_none()
        && !text.starts_with("0o")
        && !text.starts_with(['-', '?', ':', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', '=', '<', '~'])
        && !text.contains(['[', ']', '{', '}', ','])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && text.chars().all(is_plain);
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(character),
            _ if character.is_alphanumeric() => quoted.push(character),
            // Writing to a String cannot fail.
            _ if (character as u32) < 0x1_0000 => drop(write!(quoted, "\\u{:04X}", character as u32)),
            _ => drop(write!(quoted, "\\U{:08X}", character as u32)),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value_in_yaml_1_1() {
        for (value, expected) in [
            (0.5, "0.5"),
            (1.0, "1"),
            (-0.0, "-0.0"),
            (1e-5, "1.0e-5"),
            (1.25e-7, "1.25e-7"),
            (1e300, "1.0e+300"),
            (-2.5e20, "-2.5e+20"),
            (f64::INFINITY, ".inf"),
        ] {
            assert_eq!(number(value), expected);
            assert_eq!(scalar::resolve(expected), Scalar::Number(value));
        }
    }

    #[test]
    fn texts_that_yaml_would_misread_are_quoted() {
        for text in [
            "on",
            "1e5",
            "010",
            "0o10",
            "a: b",
            "- a",
            "@a",
            "a #b",
            "",
            " a",
            "null",
            "2001-01-01",
            "=",
            "<<",
            "a,b",
            "a:",
        ] {
            assert_eq!(plain_or_quoted(text), format!("\"{text}\""));
        }
        assert_eq!(plain_or_quoted("a\"\\\n\u{2028}\u{1F600}"), r#""a\"\\\n\u2028\U0001F600""#);
        for text in ["meta-llama/Llama-2-7b-hf", "./models/a b", "C:\\models\\a", "模型", "a@main", "y"] {
            assert_eq!(plain_or_quoted(text), text);
        }
    }
}
