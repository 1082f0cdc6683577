//! The vocabulary in tokenizer.json, boiled down to what two tokenizers are compared by.

use sha2::{Digest, Sha256};

use super::Vocabulary;
use super::fingerprint::hex;
use super::tokenizer::Raw;
use crate::format::set_of;

impl Vocabulary {
    /// Reads the text of tokenizer.json: the `vocab` of its model (BPE, WordPiece and WordLevel map tokens to ids, Unigram lists
    /// them) and `added_tokens`. The error is the parser's words.
    pub fn parse(tokenizer: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(tokenizer).map_err(|error| error.to_string())?;
        let raw = Raw::parse(text)?;
        // Added tokens may stand in the model's vocabulary as well; a set counts them once.
        let mut tokens = set_of(raw.tokens.into_iter().map(|(token, id)| (id, token)));
        tokens.extend(raw.added.into_iter().map(|token| (token.id, token.content)));
        let mut hash = Sha256::new();
        for (id, token) in &tokens {
            hash.update(id.to_le_bytes());
            hash.update((token.len() as u64).to_le_bytes());
            hash.update(token);
        }
        Ok(Self { tokens: tokens.len() as u64, sha256: hex(&hash.finalize()) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Vocabulary {
        Vocabulary::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_same_tokens_with_the_same_ids_are_the_same_vocabulary() {
        let map = parse(r#"{"model": {"type": "BPE", "vocab": {"b": 1, "a": 0}, "merges": ["a b"]}}"#);
        let list = parse(r#"{"version": "1.0", "model": {"type": "Unigram", "vocab": [["a", -1.5], ["b", 0]]}}"#);
        assert_eq!(map.tokens, 2);
        assert_eq!(map, list);
        let swapped = parse(r#"{"model": {"vocab": {"b": 0, "a": 1}}}"#);
        assert_ne!(map.sha256, swapped.sha256);
    }

    #[test]
    fn added_tokens_count_once() {
        let tokenizer = |added: &str| {
            parse(&format!(r#"{{"added_tokens": [{added}], "model": {{"vocab": {{"a": 0, "<s>": 1}}}}}}"#))
        };
        let plain = tokenizer("");
        assert_eq!(tokenizer(r#"{"id": 1, "content": "<s>", "special": true}"#), plain);
        let longer = tokenizer(r#"{"id": 2, "content": "</s>"}"#);
        assert_eq!(longer.tokens, 3);
        assert_ne!(longer.sha256, plain.sha256);
    }

    #[test]
    fn a_tokenizer_of_another_make_is_an_error() {
        assert!(Vocabulary::parse(b"{}").is_err());
        assert!(Vocabulary::parse(br#"{"model": {"vocab": 7}}"#).is_err());
        assert!(Vocabulary::parse(b"\xff").is_err());
    }
}
