//! The share link: a recipe, its seed and its inputs' fingerprints, as text that fits behind `#r=`.
//!
//! base64url without padding of: JSON, deflated, then the CRC-32 of the deflated bytes (little endian). The checksum covers
//! everything before it in one run of bits, so that it finds any one changed character, and not only with high
//! probability; the strict alphabet finds one in the bits that are left over at the end. The envelope stays for later
//! versions: what is damaged is told from what is newer.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use merge_studio_crc32::crc32;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};
use serde::{Deserialize, Serialize};

/// The version that is written.
const VERSION: u64 = 1;
/// Longest link that is read. A long recipe makes one of some thousand characters.
const MAX_CHARACTERS: usize = 1 << 18;
/// Most JSON that a link may unfold to.
const MAX_JSON: usize = 1 << 21;
/// Best compression: links are made rarely and should be short.
const LEVEL: u8 = 10;

/// What a link carries. It is data: it cannot run, fetch or overwrite anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The recipe's YAML.
    pub recipe: String,
    /// The seed of the random methods.
    pub seed: u64,
    /// The models, by the names in the recipe.
    pub inputs: Vec<LinkInput>,
    /// SHA-256 of the output in hexadecimal, when known.
    pub output: Option<String>,
}

/// A model that the recipe was run with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkInput {
    /// Its name in the recipe.
    pub name: String,
    /// Its quick fingerprint, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// Why a link cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is nothing behind `#r=`.
    #[error("the link carries no recipe; copy it again, to its end")]
    Empty,
    /// Longer than any link of ours, or unfolding to more.
    #[error("the link is too long (at most {limit}); it was not made here")]
    TooLong {
        /// The limit, in characters of the link or in bytes of what it unfolds to.
        limit: usize,
    },
    /// Characters were changed, lost or added.
    #[error("the link is damaged; copy it again from where it came from, to its end")]
    Damaged,
    /// It is whole, but of a version that this program does not know.
    #[error("the link has version {found}, and this program knows version {known}; open it with a newer one")]
    Version {
        /// The link's.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// It is whole, but what it says is no link's content.
    #[error("the link is whole, but does not say what a link must: {detail}")]
    Content {
        /// What is missing or wrong.
        detail: String,
    },
}

/// The JSON of version 1. The seed is a text: JavaScript's numbers cannot hold every u64.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u64,
    recipe: String,
    seed: String,
    inputs: Vec<LinkInput>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

impl Link {
    /// The link's text, without the `#r=` before it.
    pub fn encode(&self) -> String {
        let wire = Wire {
            v: VERSION,
            recipe: self.recipe.clone(),
            seed: self.seed.to_string(),
            inputs: self.inputs.clone(),
            output: self.output.clone(),
        };
        // Texts, numbers and lists always have a JSON form.
        let json = serde_json::to_vec(&wire).unwrap_or_default();
        seal(&json)
    }

    /// Reads a link: the text of [`Link::encode`], or an address that has it behind `r=` in its fragment.
    pub fn decode(text: &str) -> Result<Self, LinkError> {
        let json = unseal(payload(text.trim()))?;
        let content = |error: serde_json::Error| LinkError::Content { detail: error.to_string() };
        let Versioned { v: found } = serde_json::from_slice(&json).map_err(content)?;
        if found != VERSION {
            return Err(LinkError::Version { found, known: VERSION });
        }
        let wire: Wire = serde_json::from_slice(&json).map_err(content)?;
        let seed = wire.seed.parse().map_err(|_| LinkError::Content { detail: format!("the seed `{}`", wire.seed) })?;
        Ok(Self { recipe: wire.recipe, seed, inputs: wire.inputs, output: wire.output })
    }
}

/// What stands behind `r=` in an address' fragment; the text itself if it is no address.
fn payload(text: &str) -> &str {
    let Some((_, fragment)) = text.split_once('#') else { return text.strip_prefix("r=").unwrap_or(text) };
    fragment.split(['&', '?', '/']).find_map(|part| part.strip_prefix("r=")).unwrap_or("")
}

fn seal(json: &[u8]) -> String {
    let mut bytes = compress_to_vec(json, LEVEL);
    bytes.extend(crc32(&bytes).to_le_bytes());
    BASE64.encode(bytes)
}

fn unseal(text: &str) -> Result<Vec<u8>, LinkError> {
    if text.is_empty() {
        return Err(LinkError::Empty);
    }
    if text.len() > MAX_CHARACTERS {
        return Err(LinkError::TooLong { limit: MAX_CHARACTERS });
    }
    let bytes = BASE64.decode(text).map_err(|_| LinkError::Damaged)?;
    let (deflated, checksum) = bytes.split_last_chunk::<4>().ok_or(LinkError::Damaged)?;
    if crc32(deflated) != u32::from_le_bytes(*checksum) {
        return Err(LinkError::Damaged);
    }
    decompress_to_vec_with_limit(deflated, MAX_JSON).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => LinkError::TooLong { limit: MAX_JSON },
        _ => LinkError::Damaged,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn link() -> Link {
        let input = |name: &str, fingerprint: Option<&str>| LinkInput {
            name: name.into(),
            fingerprint: fingerprint.map(str::to_owned),
        };
        Link {
            recipe: super::super::examples()[0].text.into(),
            seed: u64::MAX,
            inputs: vec![input("meta-llama/Llama-2-7b-hf", Some(&"0f".repeat(32))), input("模型", None)],
            output: Some("ab".repeat(32)),
        }
    }

    #[test]
    fn a_link_comes_back_as_it_was() {
        let text = link().encode();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        assert_eq!(Link::decode(&text), Ok(link()));
        for address in ["#r=", "#merge&r=", "https://example.org/studio/#/merge?r=", "r="] {
            assert_eq!(Link::decode(&format!("{address}{text}\n")), Ok(link()), "{address}");
        }
    }

    #[test]
    fn any_one_changed_character_is_detected() {
        let text = link().encode();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/=%é#&";
        for (at, was) in text.char_indices() {
            for other in alphabet.chars().filter(|other| *other != was) {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(matches!(Link::decode(&changed), Err(LinkError::Damaged | LinkError::Empty)), "{at}: {other}");
            }
        }
    }

    #[test]
    fn a_link_that_was_cut_is_damaged() {
        let text = link().encode();
        for length in 1..text.len() {
            assert_eq!(Link::decode(&text[..length]), Err(LinkError::Damaged), "{length}");
        }
        assert_eq!(Link::decode("#r="), Err(LinkError::Empty));
        assert_eq!(Link::decode(""), Err(LinkError::Empty));
        assert_eq!(Link::decode("https://example.org/#merge"), Err(LinkError::Empty));
    }

    #[test]
    fn what_is_newer_is_told_from_what_is_damaged() {
        assert_eq!(Link::decode(&seal(br#"{"v":2,"other":1}"#)), Err(LinkError::Version { found: 2, known: 1 }));
        assert!(matches!(Link::decode(&seal(br#"{"v":1}"#)), Err(LinkError::Content { .. })));
        assert!(matches!(Link::decode(&seal(b"hello")), Err(LinkError::Content { .. })));
        let bad_seed = br#"{"v":1,"recipe":"","seed":"-1","inputs":[]}"#;
        assert!(matches!(Link::decode(&seal(bad_seed)), Err(LinkError::Content { .. })));
    }

    #[test]
    fn bombs_stay_folded() {
        let bomb = seal(&vec![b' '; MAX_JSON + 1]);
        assert!(bomb.len() < MAX_CHARACTERS);
        assert_eq!(Link::decode(&bomb), Err(LinkError::TooLong { limit: MAX_JSON }));
        assert_eq!(Link::decode(&"A".repeat(MAX_CHARACTERS + 1)), Err(LinkError::TooLong { limit: MAX_CHARACTERS }));
    }

    proptest! {
        #[test]
        fn every_recipe_and_seed_comes_back(recipe in any::<String>(), seed in any::<u64>(), name in any::<String>()) {
            let link = Link { recipe, seed, inputs: vec![LinkInput { name, fingerprint: None }], output: None };
            prop_assert_eq!(Link::decode(&link.encode()), Ok(link));
        }
    }
}
