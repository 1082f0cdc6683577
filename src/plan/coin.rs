//! Where the random methods' coins come from.

use sha2::{Digest, Sha256};

use crate::method::CoinKey;

/// The coins of one input for one tensor: a hash of the seed, the tensor's name and the input's position in the recipe. The name
/// of a model is not in it: whoever opens a link may call the same files something else and must get the same bytes.
pub(super) fn key(seed: u64, tensor: &str, input: usize) -> CoinKey {
    let mut hash = Sha256::new();
    hash.update(b"merge-studio coin 1\0");
    hash.update(seed.to_le_bytes());
    hash.update((input as u64).to_le_bytes());
    hash.update(tensor.as_bytes());
    let digest = hash.finalize();
    let word = |at: usize| u32::from_le_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]]);
    CoinKey { key: [word(0), word(4)], stream: [word(8), word(12)] }
}
