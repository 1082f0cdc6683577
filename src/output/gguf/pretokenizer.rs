//! How a byte-level tokenizer cuts text before it merges: tokenizer.json's description, and llama.cpp's name for the same cuts.
//!
//! llama.cpp knows such ways by name only, and its converter tells them by what the tokenizer makes of a test string. Here
//! tokenizers are not run: a way is told by its description, which is the same in every model of a family.

use serde_json::Value;

/// Contractions that GPT-4 and its followers cut off, in any case.
const CONTRACTIONS: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
/// What follows the numbers in the same patterns: punctuation, line ends, blanks.
const REST: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same, where a slash may follow punctuation.
const REST_SLASH: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Words that may begin with capitals.
const CAPITALISED: [&str; 2] = [
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
];

/// One step of a pre-tokenizer.
#[derive(PartialEq)]
enum Step<'a> {
    /// Every digit for itself.
    Digits,
    /// A pattern's matches for themselves.
    Split(&'a str),
    /// GPT-2's pattern.
    Gpt2,
    /// Bytes only, the text cut before.
    Bytes,
}

/// llama.cpp's name for the way that tokenizer.json's `pre_tokenizer` cuts, if it is known. `ignore_merges` is the model's:
/// whether a word that is a token is taken whole.
pub(super) fn name(pre_tokenizer: &Value, ignore_merges: bool) -> Option<&'static str> {
    let steps = steps(pre_tokenizer)?;
    match (&steps[..], ignore_merges) {
        ([Step::Gpt2], false) => Some("gpt-2"),
        ([Step::Digits, Step::Gpt2], false) => Some("smollm"),
        ([Step::Split(pattern), Step::Bytes], _) => by_pattern(pattern, ignore_merges),
        _ => None,
    }
}

fn by_pattern(pattern: &str, ignore_merges: bool) -> Option<&'static str> {
    let words = |numbers: &str| format!(r"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{numbers}{REST}");
    let capitalised = |end: &str, numbers: &str| {
        format!(r"{}{end}|{}{end}|\p{{N}}{numbers}{REST_SLASH}", CAPITALISED[0], CAPITALISED[1])
    };
    let known = [
        (words("{1,3}"), true, "llama-bpe"),
        (words("{1,3}"), false, "smaug-bpe"),
        (words(""), false, "qwen2"),
        (capitalised("", ""), true, "tekken"),
        (capitalised(&format!("{CONTRACTIONS}?"), "{1,3}"), false, "gpt-4o"),
    ];
    known.into_iter().find(|(known, merges, _)| known == pattern && *merges == ignore_merges).map(|(_, _, name)| name)
}

/// The steps of a pre-tokenizer, if all of them are of a kind that is known.
fn steps(value: &Value) -> Option<Vec<Step<'_>>> {
    match value.get("pretokenizers") {
        Some(steps) => steps.as_array()?.iter().map(step).collect(),
        None => Some(vec![step(value)?]),
    }
}

fn step(value: &Value) -> Option<Step<'_>> {
    let is = |key: &str, wanted: bool| value.get(key).and_then(Value::as_bool) == Some(wanted);
    match value.get("type")?.as_str()? {
        "ByteLevel" if is("add_prefix_space", false) && is("use_regex", false) => Some(Step::Bytes),
        // Files that are older than `use_regex` mean the pattern.
        "ByteLevel" if is("add_prefix_space", false) => Some(Step::Gpt2),
        "Digits" if is("individual_digits", true) => Some(Step::Digits),
        "Split" if value.get("behavior")?.as_str()? == "Isolated" && !is("invert", true) => {
            Some(Step::Split(value.get("pattern")?.get("Regex")?.as_str()?))
        }
        _ => None,
    }
}

/// Whether a pre-tokenizer turns text into bytes at all.
pub(super) fn is_byte_level(value: &Value) -> bool {
    let is = |step: &Value| step.get("type").and_then(Value::as_str) == Some("ByteLevel");
    is(value) || value.get("pretokenizers").and_then(Value::as_array).is_some_and(|steps| steps.iter().any(is))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    fn split(pattern: &str) -> Value {
        json!({ "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        ]})
    }

    #[test]
    fn families_are_told_by_how_they_cut() {
        let gpt2 = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true });
        assert_eq!(name(&gpt2, false), Some("gpt-2"));
        let digits = json!({ "type": "Digits", "individual_digits": true });
        let smollm = json!({ "type": "Sequence", "pretokenizers": [digits, gpt2] });
        assert_eq!(name(&smollm, false), Some("smollm"));
        assert_eq!(name(&split(LLAMA3), true), Some("llama-bpe"));
        assert_eq!(name(&split(LLAMA3), false), Some("smaug-bpe"));
        assert_eq!(name(&split(QWEN2), false), Some("qwen2"));
        assert_eq!(name(&split(TEKKEN), true), Some("tekken"));
        assert_eq!(name(&split(GPT4O), false), Some("gpt-4o"));
    }

    #[test]
    fn another_pattern_is_not_taken_for_a_known_one() {
        assert_eq!(name(&split(&LLAMA3.replace("1,3", "1,4")), true), None);
        assert_eq!(name(&split(QWEN2), true), None);
        let prefixed = json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true });
        assert_eq!(name(&prefixed, false), None);
        assert!(is_byte_level(&prefixed) && is_byte_level(&split("x")));
        let pairs = json!({ "type": "Digits", "individual_digits": false });
        assert_eq!(name(&json!({ "pretokenizers": [pairs, prefixed] }), false), None);
        assert_eq!(name(&Value::Null, false), None);
        assert!(!is_byte_level(&Value::Null));
    }
}
