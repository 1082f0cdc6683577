//! SHA-256 of a result file, streamed, after the merge and never in its way.

use merge_studio::format::Source;
use sha2::{Digest, Sha256};

use crate::io::WebFile;

/// Large reads are the fast ones.
const PIECE: u64 = 16 << 20;

/// Lower-case hex; `None` if the file cannot be read (it was removed by a new merge).
pub(super) fn sha256(file: &WebFile) -> Option<String> {
    let mut hash = Sha256::new();
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < file.len() {
        buffer.resize(PIECE.min(file.len() - at) as usize, 0);
        file.read_now(at, &mut buffer).ok()?;
        hash.update(&buffer);
        at += buffer.len() as u64;
    }
    Some(hex(&hash.finalize()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
