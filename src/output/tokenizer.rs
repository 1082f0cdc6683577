//! The tokenizer's files in the output: those of the model whose tokenizer it is made from, with tokens and chat template changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template::{OLD_TEMPLATE_FILE, TEMPLATE_FILE};
use super::{Content, SmallFile, config, json};
use crate::format::retain;
use crate::model::tokenizer::{Tokenizer, TokenizerError, TokenizerFiles, added_tokens_decoder};
use crate::plan::vocabulary::Alignment;

const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const GENERATION: &str = "generation_config.json";
/// Files that hold the same vocabulary once more, for older programs; they know nothing of added tokens.
const OTHER_VOCABULARIES: [&str; 6] =
    ["merges.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "vocab.json", "vocab.txt"];

/// What a person should know about the tokenizer's files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FilesNotice {
    /// A file names tokens by ids that the output's vocabulary has no place for: they stand as they were.
    #[error("{file} names tokens by ids that the merged vocabulary has no place for; they stand as they were: {}", .members.join(", "))]
    IdsKept {
        /// The file.
        file: String,
        /// Its members.
        members: Vec<String>,
    },
    /// The recipe asks for a chat template, and there is no tokenizer that would have it.
    #[error("the recipe asks for a chat template, and the output has no tokenizer that would hold it")]
    NoTokenizerForTemplate,
}

/// The tokenizer's files of an output, and generation_config.json, which names tokens by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizerOutput {
    /// The files, sorted by name. They replace everything that the donor has of the names in
    /// [`is_of_the_tokenizer`].
    pub files: Vec<SmallFile>,
    /// What a person should know.
    pub notices: Vec<FilesNotice>,
}

/// Whether a file of this name belongs to the tokenizer: [`files`] gives all of them that the output has.
pub fn is_of_the_tokenizer(name: &str) -> bool {
    OTHER_VOCABULARIES.contains(&name)
        || [
            "added_tokens.json",
            OLD_TEMPLATE_FILE,
            TEMPLATE_FILE,
            GENERATION,
            "special_tokens_map.json",
            TOKENIZER,
            TOKENIZER_CONFIG,
        ]
        .contains(&name)
}

/// The tokenizer's files. `inputs` are those of the plan's inputs, `donor` is the one that the configuration comes from,
/// `alignment` is what the recipe's `tokenizer` makes, and `template` what its `chat_template` stands for.
///
/// # Errors
/// The tokenizer cannot be written back: its tokenizer.json is damaged.
pub fn files(
    inputs: &[&TokenizerFiles],
    donor: usize,
    alignment: Option<&Alignment>,
    template: Option<&str>,
) -> Result<TokenizerOutput, TokenizerError> {
    let source = alignment.map_or(donor, |alignment| alignment.source);
    let mut output: BTreeMap<String, Content> = BTreeMap::new();
    let mut notices = Vec::new();
    if let Some(own) = inputs.get(source) {
        for name in own.names() {
            output.insert(name.to_owned(), Content::CopyOf { input: source, file: name.to_owned() });
        }
        let mut gone = vec![GENERATION];
        let mut settings = own.text(TOKENIZER_CONFIG).map(str::to_owned);
        if let Some(alignment) = alignment.filter(|alignment| !alignment.is_unchanged()) {
            output.insert(TOKENIZER.to_owned(), Content::Bytes(alignment.tokenizer.to_json()?.into_bytes()));
            // tokenizer.json says all that it would.
            gone.push("added_tokens.json");
            if alignment.tokenizer.is_stripped() {
                gone.extend(OTHER_VOCABULARIES);
            }
            settings = settings.map(|text| with_added_tokens(&text, &alignment.tokenizer));
        }
        let has_tokenizer = output.contains_key(TOKENIZER) || OTHER_VOCABULARIES.iter().any(|name| own.has(name));
        if let Some(template) = template {
            if has_tokenizer {
                let quoted = Value::from(template).to_string();
                settings = Some(json::set(settings.as_deref().unwrap_or("{}"), &["chat_template"], &quoted));
                output.insert(TEMPLATE_FILE.to_owned(), Content::Bytes(template.as_bytes().to_vec()));
                gone.push(OLD_TEMPLATE_FILE);
            } else {
                notices.push(FilesNotice::NoTokenizerForTemplate);
            }
        }
        retain(&mut output, &mut |name, _| !gone.contains(&name.as_str()));
        if let Some(settings) = settings.filter(|settings| own.text(TOKENIZER_CONFIG) != Some(settings)) {
            output.insert(TOKENIZER_CONFIG.to_owned(), Content::Bytes(settings.into_bytes()));
        }
    }
    if let Some(text) = inputs.get(donor).and_then(|files| files.text(GENERATION)) {
        let content = match alignment.map(|alignment| with_token_ids(GENERATION, text, alignment, donor, &mut notices))
        {
            Some(edited) if edited != text => Content::Bytes(edited.into_bytes()),
            _ => Content::CopyOf { input: donor, file: GENERATION.to_owned() },
        };
        output.insert(GENERATION.to_owned(), content);
    }
    let files = output.into_iter().map(|(name, content)| SmallFile { name, content }).collect();
    Ok(TokenizerOutput { files, notices })
}

/// A config.json of the donor with the aligned vocabulary: its size, and the ids of special tokens.
pub fn with_vocabulary(text: &str, alignment: &Alignment, donor: usize) -> (String, Vec<FilesNotice>) {
    let mut notices = Vec::new();
    let text = config::with_vocab_size(text, alignment.rows);
    let text = with_token_ids(super::CONFIG_FILE, &text, alignment, donor, &mut notices);
    (text, notices)
}

fn with_token_ids(
    file: &str,
    text: &str,
    alignment: &Alignment,
    donor: usize,
    notices: &mut Vec<FilesNotice>,
) -> String {
    let (edited, members) = config::with_token_ids(text, |id| alignment.moved(donor, id));
    if !members.is_empty() {
        notices.push(FilesNotice::IdsKept { file: file.to_owned(), members });
    }
    edited
}

/// tokenizer_config.json with the tokenizer's added tokens, where it lists them: since transformers 5 it does not.
fn with_added_tokens(text: &str, tokenizer: &Tokenizer) -> String {
    json::replace(text, &["added_tokens_decoder"], &added_tokens_decoder(tokenizer.added()))
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
