//! SHA-256 of a result file, streamed, after the merge and never in its way.

use merge_studio::format::Source;
use merge_studio::output::hex;
use sha2::{Digest, Sha256};

use crate::io::StreamedFile;
use crate::wire::pause;

/// Bytes between two looks at whether the hash is still wanted.
const PIECE: u64 = 4 << 20;

/// Lower-case hex; `None` if the file cannot be read, or is not `wanted` any more (a new merge removes it).
///
/// It lets messages in after each piece, so that a new merge need not wait for the hash of the old one.
pub(super) async fn sha256(file: &StreamedFile, wanted: impl Fn() -> bool) -> Option<String> {
    let mut hash = Sha256::new();
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < file.len() {
        buffer.resize(PIECE.min(file.len() - at) as usize, 0);
        file.read(at, &mut buffer).await.ok()?;
        hash.update(&buffer);
        at += buffer.len() as u64;
        pause(0).await;
        if !wanted() {
            return None;
        }
    }
    Some(hex(&hash.finalize()))
}
