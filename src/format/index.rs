//! `model.safetensors.index.json`: which shard of a checkpoint holds which tensor.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::IndexError;
use super::json::{Pairs, duplicate};

/// The name of the index of a sharded checkpoint.
pub const INDEX_NAME: &str = "model.safetensors.index.json";

/// A shard index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardIndex {
    /// The shard's file name, by tensor.
    pub weight_map: BTreeMap<String, String>,
    /// `metadata.total_size`: bytes of all tensors together, headers not counted.
    pub total_size: Option<u64>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with a weight_map")]
struct RawIndex {
    #[serde(default)]
    metadata: RawMetadata,
    weight_map: Pairs<String>,
}

#[derive(Default, Deserialize)]
#[serde(expecting = "an object")]
struct RawMetadata {
    #[serde(default)]
    total_size: Option<serde_json::Number>,
}

impl ShardIndex {
    /// Reads an index. Shards are names of files beside it; anything that leads elsewhere is refused.
    pub fn parse(text: &str) -> Result<Self, IndexError> {
        let raw: RawIndex =
            serde_json::from_str(text).map_err(|error| IndexError::Malformed { problem: error.to_string() })?;
        let pairs = raw.weight_map.0;
        if let Some(tensor) = duplicate(pairs.iter().map(|(tensor, _)| tensor.as_str())) {
            return Err(IndexError::DuplicateTensor { tensor: tensor.to_owned() });
        }
        if let Some((tensor, shard)) = pairs.iter().find(|(_, shard)| shard.is_empty() || shard.contains(['/', '\\'])) {
            return Err(IndexError::NotAFileName { tensor: tensor.clone(), shard: shard.clone() });
        }
        // Some writers give a float.
        let total_size = raw.metadata.total_size.and_then(|size| {
            size.as_u64().or_else(|| size.as_f64().filter(|size| *size >= 0.0).map(|size| size as u64))
        });
        let mut weight_map = BTreeMap::new();
        weight_map.extend(pairs);
        Ok(Self { weight_map, total_size })
    }

    /// The index as text, laid out as Hugging Face's libraries do, ending in a newline.
    pub fn to_json(&self) -> String {
        let metadata =
            self.total_size.map_or_else(|| serde_json::json!({}), |size| serde_json::json!({ "total_size": size }));
        let index = serde_json::json!({ "metadata": metadata, "weight_map": self.weight_map });
        format!("{index:#}\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_index_written_is_read_back_the_same() {
        let weight_map = [("b", "model-2.safetensors"), ("a", "model-1.safetensors")];
        let index = ShardIndex {
            weight_map: weight_map.iter().map(|(tensor, shard)| ((*tensor).into(), (*shard).into())).collect(),
            total_size: Some(13_476_835_328),
        };
        let text = index.to_json();
        assert!(text.starts_with(
            "{\n  \"metadata\": {\n    \"total_size\": 13476835328\n  },\n  \"weight_map\": {\n    \"a\""
        ));
        assert_eq!(ShardIndex::parse(&text).unwrap(), index);
    }

    #[test]
    fn a_total_size_may_be_a_float_or_absent() {
        let total = |metadata: &str| {
            ShardIndex::parse(&format!(r#"{{{metadata}"weight_map":{{"a":"x.safetensors"}}}}"#)).unwrap().total_size
        };
        assert_eq!(total(r#""metadata":{"total_size":8.0},"#), Some(8));
        assert_eq!(total(r#""metadata":{},"#), None);
        assert_eq!(total(""), None);
    }
}
