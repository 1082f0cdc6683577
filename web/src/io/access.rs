//! Writing to files of the private file system: by one worker, or by several at once through a handle each, where the browser can.

use std::ops::Range;

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{FileSystemFileHandle, FileSystemReadWriteOptions, FileSystemSyncAccessHandle};

use super::OutputError;

/// Writes larger than this are ten times slower in Chromium.
const PIECE: usize = 1 << 20;
/// The mode of a handle beside which there may be others.
const SHARED: &str = "readwrite-unsafe";

/// Opens a file beside others that have it open; alone where the browser does not know how to.
///
/// By reflection, since web-sys counts the mode among its unstable interfaces.
pub(super) async fn shared(handle: &FileSystemFileHandle) -> Result<FileSystemSyncAccessHandle, JsValue> {
    let options = Object::new();
    Reflect::set(&options, &"mode".into(), &SHARED.into())?;
    let open = Reflect::get(handle, &"createSyncAccessHandle".into())?.dyn_into::<Function>()?;
    let promise = open.call1(handle, &options)?.dyn_into::<Promise>()?;
    Ok(JsFuture::from(promise).await?.unchecked_into())
}

/// Whether others may have the file open, too.
pub(super) fn is_shared(access: &FileSystemSyncAccessHandle) -> bool {
    Reflect::get(access, &"mode".into()).is_ok_and(|mode| mode == SHARED)
}

/// Writes `len` bytes at `offset`, a piece after another: `write` writes one and says how many bytes it took.
pub(super) fn pieces(
    offset: u64,
    len: usize,
    write: impl Fn(Range<usize>, &FileSystemReadWriteOptions) -> Result<f64, JsValue>,
) -> Result<(), OutputError> {
    let options = FileSystemReadWriteOptions::new();
    let mut done = 0;
    while done < len {
        let end = len.min(done + PIECE);
        options.set_at((offset + done as u64) as f64);
        // A disk that is full writes less than it was given; Chromium then even returns a negative number as if it were an
        // unsigned one.
        if write(done..end, &options)? != (end - done) as f64 {
            return Err(OutputError::NoSpace(None));
        }
        done = end;
    }
    Ok(())
}

/// The weight files of a merge, as a worker beside others writes to them: each opened at its first byte.
pub struct SharedFiles(Vec<(FileSystemFileHandle, Option<FileSystemSyncAccessHandle>)>);

impl SharedFiles {
    /// Of the handles that [`Output::share`](super::Output::share) gave.
    pub fn new(handles: &Array) -> Self {
        Self(handles.iter().map(|handle| (handle.unchecked_into(), None)).collect())
    }

    /// Writes `bytes` at `offset` of file number `file`, straight from the program's memory.
    pub async fn write(&mut self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), OutputError> {
        let Some((handle, open)) = self.0.get_mut(file) else { return Ok(()) };
        let access = match open {
            Some(access) => access,
            None => open.insert(shared(handle).await?),
        };
        pieces(offset, bytes.len(), |piece, options| access.write_with_u8_array_and_options(&bytes[piece], options))
    }
}

impl Drop for SharedFiles {
    fn drop(&mut self) {
        self.0.iter().filter_map(|(_, open)| open.as_ref()).for_each(FileSystemSyncAccessHandle::close);
    }
}
