//! Writing tokenizer.json back: the text as it was, with other added tokens and, where tokens were taken out, without those.

use std::collections::BTreeSet;

use super::read::{Merge, Tokens, quoted};
use super::{AddedToken, Source, Tokenizer, TokenizerError};

impl Tokenizer {
    /// Whether tokenizer.json says already what this tokenizer is.
    pub fn is_as_written(&self) -> bool {
        self.stripped.is_none()
            && self.renumbered.is_none()
            && self.source.as_ref().is_some_and(|source| {
                source.added.len() == self.added.len()
                    && source
                        .added
                        .iter()
                        .all(|token| self.added.get(&token.id).is_some_and(|own| own.is_found_like(token)))
            })
    }

    /// Whether the model's own tokens are fewer than those of its file.
    pub fn is_stripped(&self) -> bool {
        self.stripped.is_some()
    }

    /// The text of tokenizer.json with the tokens of this tokenizer: every byte that says something else is as it was.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        let source = self.source.as_ref().ok_or(TokenizerError::NoTokenizerJson)?;
        let pretty = source.text.trim_start().starts_with("{\n") || source.text.trim_start().starts_with("{\r\n");
        let added = array(self.added.values().map(|token| token.to_json(true)), pretty);
        let mut edits = Vec::new();
        edits.push(source.added_at.map_or_else(
            || {
                let start = source.text.find('{').map_or(0, |brace| brace + 1);
                ((start, start), format!("\"added_tokens\": {added},"))
            },
            |place| (place, added.clone()),
        ));
        if let Some(vocab_size) = self.stripped {
            let mut kept = BTreeSet::new();
            let mut members = Vec::new();
            for (token, id) in source.model_tokens()? {
                if id < vocab_size {
                    members.push(format!("{}: {id}", quoted(&token)));
                    kept.insert(token);
                }
            }
            edits.push((source.vocab_at, format!("{{{}}}", members.join(", "))));
            if let Some(place) = source.merges_at {
                let merges = source.merges(place)?.into_iter().filter(|merge| source.makes_one_of(&kept, merge));
                let pairs = merges.map(|Merge(left, right)| format!("[{}, {}]", quoted(&left), quoted(&right)));
                edits.push((place, array(pairs, pretty)));
            }
        }
        let mut text = source.text.clone();
        for ((start, end), new) in crate::format::in_order(edits, |((start, _), _)| u64::MAX - *start as u64) {
            text.replace_range(start..end, &new);
        }
        Ok(text)
    }
}

impl Source {
    /// The tokens of the model, in the order of the file.
    pub(super) fn model_tokens(&self) -> Result<Vec<(String, u64)>, TokenizerError> {
        let (start, end) = self.vocab_at;
        parse::<Tokens>(&self.text[start..end]).map(|tokens| tokens.0)
    }

    fn merges(&self, (start, end): (usize, usize)) -> Result<Vec<Merge>, TokenizerError> {
        parse(&self.text[start..end])
    }

    /// Whether a merge's parts and what they make are all among the tokens: a file with any other merge cannot be loaded.
    fn makes_one_of(&self, kept: &BTreeSet<String>, Merge(left, right): &Merge) -> bool {
        let prefix = self.prefix.as_ref().map_or(0, String::len);
        let made = right.get(prefix..).map(|rest| format!("{left}{rest}"));
        kept.contains(left) && kept.contains(right) && made.is_some_and(|made| kept.contains(&made))
    }
}

/// `added_tokens_decoder` of tokenizer_config.json.
pub fn added_tokens_decoder<'a>(added: impl Iterator<Item = &'a AddedToken>) -> String {
    let entries: Vec<String> = added.map(|token| format!("    \"{}\": {}", token.id, token.to_json(false))).collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{\n{}\n  }}", entries.join(",\n")) }
}

/// A JSON array at the top of a file, one item a line where the file has lines.
fn array(items: impl Iterator<Item = String>, pretty: bool) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() || !pretty {
        return format!("[{}]", items.join(", "));
    }
    format!("[\n    {}\n  ]", items.join(",\n    "))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenizerError> {
    serde_json::from_str(text)
        .map_err(|error| TokenizerError::Malformed { file: "tokenizer.json".to_owned(), problem: error.to_string() })
}
