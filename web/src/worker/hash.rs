//! SHA-256 of a result file, streamed, after the merge and never in its way.

use js_sys::Promise;
use merge_studio::format::Source;
use merge_studio::output::hex;
use sha2::{Digest, Sha256};
use wasm_bindgen_futures::JsFuture;

use crate::io::StreamedFile;

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
        turn().await;
        if !wanted() {
            return None;
        }
    }
    Some(hex(&hash.finalize()))
}

/// Waits for one turn of the event loop.
async fn turn() {
    let promise = Promise::new(&mut |resolve, _| {
        // Cannot fail: the handler is a function.
        let _ = super::scope().set_timeout_with_callback(&resolve);
    });
    let _ = JsFuture::from(promise).await;
}
