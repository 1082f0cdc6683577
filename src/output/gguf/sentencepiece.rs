//! SentencePiece vocabularies: pieces with scores, from tokenizer.model, or from the order of tokenizer.json's merges.
//!
//! llama.cpp merges the neighbours whose piece has the highest score, whatever two parts it is of. tokenizer.json lists merges of
//! two parts in order. Both find the same tokens if the list is of a SentencePiece model: every way to part a piece is listed, and
//! the ways of one piece follow each other. Then the place of a piece in that order is its score.

use std::collections::BTreeMap;

use super::GgufError;
use super::vocabulary::{Kind, Token};

/// tokenizer.model, as far as it matters.
pub(super) struct Model {
    /// By id.
    pub(super) pieces: Vec<Token>,
    /// Whether a space is put before a text; `None` where the file leaves the default.
    pub(super) space_before: Option<bool>,
    /// 2 is BPE.
    algorithm: u64,
}

const FILE: &str = "tokenizer.model";

fn damaged() -> GgufError {
    GgufError::BadTokenizer { file: FILE, problem: "it is cut short, or not a SentencePiece model".into() }
}

impl Model {
    /// Reads tokenizer.model, a protocol-buffers message.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, GgufError> {
        let mut model = Self { pieces: Vec::new(), space_before: None, algorithm: 1 };
        let mut message = Message(bytes);
        while let Some((field, value)) = message.next().ok_or_else(damaged)? {
            match (field, value) {
                (1, Field::Bytes(bytes)) => model.pieces.push(piece(bytes)?),
                // The trainer's settings: the algorithm.
                (2, Field::Bytes(bytes)) => model.algorithm = number(bytes, 3)?.unwrap_or(1),
                // The normalizer's settings: the dummy prefix.
                (3, Field::Bytes(bytes)) => model.space_before = number(bytes, 3)?.map(|flag| flag != 0),
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err(damaged());
        }
        if model.algorithm != 2 {
            let what = "it is not a BPE model, and llama.cpp's SentencePiece merges as BPE does".into();
            return Err(GgufError::UnsupportedTokenizer { file: FILE, what });
        }
        Ok(model)
    }
}

fn piece(bytes: &[u8]) -> Result<Token, GgufError> {
    let mut token = Token { text: String::new(), kind: Kind::Normal, score: 0.0 };
    let mut message = Message(bytes);
    while let Some((field, value)) = message.next().ok_or_else(damaged)? {
        match (field, value) {
            (1, Field::Bytes(text)) => token.text = String::from_utf8(text.to_vec()).map_err(|_| damaged())?,
            (2, Field::Four(bytes)) => token.score = f32::from_le_bytes(bytes),
            (3, Field::Number(kind)) => {
                token.kind = match kind {
                    1 => Kind::Normal,
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => return Err(damaged()),
                }
            }
            _ => {}
        }
    }
    Ok(token)
}

/// The last number of `field` in a message.
fn number(bytes: &[u8], field: u64) -> Result<Option<u64>, GgufError> {
    let (mut message, mut found) = (Message(bytes), None);
    while let Some((key, value)) = message.next().ok_or_else(damaged)? {
        if let (true, Field::Number(number)) = (key == field, value) {
            found = Some(number);
        }
    }
    Ok(found)
}

/// What is left of a protocol-buffers message.
struct Message<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Four([u8; 4]),
    Eight,
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The next field; `Some(None)` at the end, `None` where the message is damaged.
    #[allow(clippy::option_option)] // A Result's error would say nothing.
    fn next(&mut self) -> Option<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Eight)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Four(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        Some(Some((key >> 3, value)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7F).checked_shl(7 * place)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Scores from the order of tokenizer.json's merges, or why there are none.
pub(super) fn score(tokens: &mut [Option<Token>], merges: &[(String, String)]) -> Result<(), String> {
    let mut ranks: BTreeMap<&str, Option<f32>> = BTreeMap::new();
    ranks.extend(tokens.iter().flatten().map(|token| (token.text.as_str(), None)));
    let (mut last, mut rank, mut listed) = (String::new(), 0_u32, BTreeMap::<&str, u32>::new());
    let mut joined = String::new();
    for (left, right) in merges {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        let Some((&text, _)) = ranks.get_key_value(joined.as_str()) else {
            return Err(format!("its merges make {joined:?}, which is no token"));
        };
        if joined != last {
            // 24 bits count in a float; no vocabulary has as many pieces.
            if ranks.insert(text, Some(-(rank as f32))).flatten().is_some() || rank == 1 << 24 {
                return Err(format!("its merges are not in a SentencePiece model's order (see {joined:?})"));
            }
            rank += 1;
            last.clone_from(&joined);
        }
        *listed.entry(text).or_default() += 1;
    }
    for token in tokens.iter().flatten().filter(|token| token.kind == Kind::Normal) {
        let parts = token.text.char_indices().skip(1).map(|(at, _)| token.text.split_at(at));
        let ways = parts.filter(|(left, right)| ranks.contains_key(left) && ranks.contains_key(right)).count();
        if ways as u32 != listed.get(token.text.as_str()).copied().unwrap_or(0) {
            return Err(format!("its merges do not list every way to part {:?}", token.text));
        }
    }
    let scores: Vec<Option<f32>> = tokens
        .iter()
        .map(|token| token.as_ref().and_then(|token| ranks.get(token.text.as_str()).copied().flatten()))
        .collect();
    for (token, score) in tokens.iter_mut().zip(scores) {
        if let Some(token) = token.as_mut().filter(|token| token.kind == Kind::Normal) {
            // Pieces that nothing merges to are never compared.
            token.score = score.unwrap_or(-(rank as f32));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tokens(texts: &[&str]) -> Vec<Option<Token>> {
        texts.iter().map(|text| Some(Token { text: (*text).into(), kind: Kind::Normal, score: 0.0 })).collect()
    }

    fn merges(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(left, right)| ((*left).into(), (*right).into())).collect()
    }

    #[test]
    fn scores_follow_the_order_of_merges() {
        let mut pieces = tokens(&["a", "b", "c", "ab", "bc", "abc"]);
        score(&mut pieces, &merges(&[("b", "c"), ("a", "b"), ("ab", "c"), ("a", "bc")])).unwrap();
        let scores: Vec<f32> = pieces.iter().flatten().map(|token| token.score).collect();
        assert_eq!(scores, [-3.0, -3.0, -3.0, -1.0, 0.0, -2.0]);
    }

    #[test]
    fn merges_of_another_make_have_no_scores() {
        let pieces = || tokens(&["a", "b", "c", "ab", "bc", "abc"]);
        let all = [("b", "c"), ("a", "b"), ("ab", "c"), ("a", "bc")];
        let refused = |pairs: &[(&str, &str)]| score(&mut pieces(), &merges(pairs)).unwrap_err();
        assert!(refused(&all[..3]).contains("every way to part \"abc\""));
        assert!(refused(&[all[0], all[2], all[1], all[3]]).contains("order"));
        assert!(refused(&[("a", "c")]).contains("no token"));
    }

    #[test]
    fn a_damaged_model_is_an_error() {
        for bytes in [&b""[..], b"\x0a", b"\x0a\xff", b"\x0a\x05ab", b"GGUF", &[0xFF; 20], b"\x0a\x02\x18\x09"] {
            assert!(Model::read(bytes).is_err(), "{bytes:?}");
        }
    }
}
