//! Where a merge's weight files go: the private file system on disk, or Blob parts in memory where there is none.
//!
//! Nothing outlives the page: every session writes into a folder of its own, named by it, and holds a lock of that name; whoever
//! comes next removes the folders whose lock nobody holds.

use js_sys::{Array, JsString, Promise, Uint8Array};
use merge_studio::run::WriteError;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, DedicatedWorkerGlobalScope, File, FileSystemDirectoryHandle, FileSystemFileHandle,
    FileSystemGetDirectoryOptions, FileSystemGetFileOptions, FileSystemRemoveOptions, FileSystemSyncAccessHandle,
    StorageEstimate,
};

use merge_studio::format::in_order;

use super::access;
use super::locks::{self, ROOT};
use crate::protocol::{NoDisk, Storage};
use crate::wire::{error_name, pause, words};

/// How often it is tried to remove what an ended worker may still hold, and milliseconds between: browsers give one two seconds to end.
const TRIES: u32 = 250;
const BETWEEN: i32 = 20;

/// Why bytes were not written.
#[derive(Clone, Debug)]
pub enum OutputError {
    /// The quota or the disk is full; how many bytes are short, where the browser says.
    NoSpace(Option<u64>),
    /// The browser's words.
    Failed(String),
}

impl From<WriteError> for OutputError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NoRoom { .. } => Self::NoSpace(None),
            WriteError::Host(why) => Self::Failed(why),
        }
    }
}

impl From<JsValue> for OutputError {
    fn from(error: JsValue) -> Self {
        match error_name(&error).as_str() {
            "QuotaExceededError" => Self::NoSpace(None),
            _ => Self::Failed(words(&error)),
        }
    }
}

/// Where outputs are made.
pub enum Store {
    /// In this session's folder.
    Disk {
        /// Our folder.
        root: FileSystemDirectoryHandle,
        /// The name of this session's folder in it.
        session: String,
    },
    /// In memory, and why.
    Memory(NoDisk),
}

impl Store {
    /// Finds out what the browser offers, and removes what earlier sessions left behind.
    pub async fn open(session: String) -> Self {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        if !scope.is_secure_context() {
            return Self::Memory(NoDisk::InsecureContext);
        }
        let has_handles = js_sys::Reflect::has(&scope, &"FileSystemSyncAccessHandle".into()).unwrap_or(false);
        if !has_handles {
            return Self::Memory(NoDisk::Unsupported);
        }
        match our_root(&scope).await {
            Ok(root) => {
                // Left-overs cost room, not correctness: what cannot be removed now is tried again next time.
                let _ = remove_leftovers(&root, &session).await;
                Self::Disk { root, session }
            }
            Err(error) => Self::Memory(NoDisk::Denied(words(&error))),
        }
    }

    /// What the page is told.
    pub fn describe(&self) -> Storage {
        match self {
            Self::Disk { .. } => Storage::Disk,
            Self::Memory(why) => Storage::Memory(why.clone()),
        }
    }

    /// Removes everything that this session wrote.
    pub async fn clear(&self) {
        if let Self::Disk { root, session } = self {
            remove(root, session).await;
        }
    }

    /// Removes the results of a stage.
    pub async fn remove(&self, place: usize) {
        if let Self::Disk { root, session } = self
            && let Ok(folder) = folder_in(root, session).await
        {
            remove(&folder, &stage_name(place)).await;
        }
    }

    /// Fails if the disk has no room for `total` bytes.
    pub async fn fits(&self, total: u64) -> Result<(), OutputError> {
        match self {
            Self::Disk { .. } => match room().await {
                Some(room) if room < total => Err(OutputError::NoSpace(Some(total - room))),
                _ => Ok(()),
            },
            Self::Memory(_) => Ok(()),
        }
    }

    /// Makes the files of a merge, by name and length: of a stage in a place of their own. Fails before anything is computed if they
    /// cannot fit.
    pub async fn create(&self, place: Option<usize>, files: &[(String, u64)]) -> Result<Output, OutputError> {
        let Self::Disk { root, session } = self else {
            let files = files.iter().map(|(name, _)| MemoryFile { name: name.clone(), parts: Vec::new() }).collect();
            return Ok(Output::Memory(files));
        };
        let total: u64 = files.iter().map(|(_, len)| len).sum();
        self.fits(total).await?;
        let folder = match folder_of(root, session, place).await {
            Ok(folder) => folder,
            Err(error) => return Err(short_of(error.into(), total).await),
        };
        let mut open = Vec::new();
        let mut claimed = 0;
        for (name, len) in files {
            match DiskFile::create(&folder, name, *len).await {
                Ok(file) => {
                    claimed += file.claim();
                    open.push(file);
                }
                Err(error) => {
                    drop(open);
                    return Err(short_of(error.into(), total - claimed).await);
                }
            }
        }
        if claimed < total {
            return Err(OutputError::NoSpace(Some(total - claimed)));
        }
        Ok(Output::Disk(open))
    }
}

/// Removes the folder called `name` from another, once no worker holds a file of it. What cannot be removed is removed by whoever comes
/// next.
async fn remove(folder: &FileSystemDirectoryHandle, name: &str) {
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    for _ in 0..TRIES {
        match JsFuture::from(folder.remove_entry_with_options(name, &options)).await {
            Err(error) if error_name(&error) == "NoModificationAllowedError" => pause(BETWEEN).await,
            // Most often there is nothing to remove.
            Ok(_) | Err(_) => return,
        }
    }
}

/// The folder of a stage.
fn stage_name(place: usize) -> String {
    format!("stage-{place}")
}

/// The folder of a session, or that of a stage in it; made if it is not there.
async fn folder_of(
    root: &FileSystemDirectoryHandle,
    session: &str,
    place: Option<usize>,
) -> Result<FileSystemDirectoryHandle, JsValue> {
    let folder = folder_in(root, session).await?;
    match place {
        Some(place) => folder_in(&folder, &stage_name(place)).await,
        None => Ok(folder),
    }
}

/// The folder called `name` in another, which is made if it is not there.
async fn folder_in(folder: &FileSystemDirectoryHandle, name: &str) -> Result<FileSystemDirectoryHandle, JsValue> {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    Ok(JsFuture::from(folder.get_directory_handle_with_options(name, &options)).await?.unchecked_into())
}

/// Says how many of `wanted` bytes are short, if that is what is wrong: all of them where the browser believes in room that the
/// disk does not have.
pub async fn short_of(error: OutputError, wanted: u64) -> OutputError {
    match error {
        OutputError::NoSpace(None) => {
            let short = room().await.map(|room| wanted.saturating_sub(room)).filter(|short| *short > 0);
            OutputError::NoSpace(short.or(Some(wanted)))
        }
        other => other,
    }
}

/// The weight files of one merge, being written. Dropped, it lets go of them, so that they can be removed.
pub enum Output {
    /// On disk.
    Disk(Vec<DiskFile>),
    /// In memory.
    Memory(Vec<MemoryFile>),
}

/// One file on disk.
pub struct DiskFile {
    name: String,
    len: u64,
    handle: FileSystemFileHandle,
    access: FileSystemSyncAccessHandle,
}

impl DiskFile {
    async fn create(folder: &FileSystemDirectoryHandle, name: &str, len: u64) -> Result<Self, JsValue> {
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        let handle: FileSystemFileHandle =
            JsFuture::from(folder.get_file_handle_with_options(name, &options)).await?.unchecked_into();
        let access: FileSystemSyncAccessHandle =
            JsFuture::from(handle.create_sync_access_handle()).await?.unchecked_into();
        Ok(Self { name: name.to_owned(), len, handle, access })
    }

    /// Claims the file's room at once, so that a lack of it shows now and not after an hour: how many bytes there were.
    ///
    /// Chromium's `truncate` does nothing, and says nothing, where there is too little; then the most that it does is sought.
    fn claim(&self) -> u64 {
        let fits = |len: u64| {
            let sized = self.access.truncate_with_f64(len as f64).and_then(|()| self.access.get_size());
            sized.is_ok_and(|size| size == len as f64)
        };
        if fits(self.len) {
            return self.len;
        }
        let (mut fitting, mut excessive) = (0, self.len);
        while excessive - fitting > 1 {
            let middle = fitting.midpoint(excessive);
            if fits(middle) {
                fitting = middle;
            } else {
                excessive = middle;
            }
        }
        fitting
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        self.access.close();
    }
}

/// One file in memory: its parts by offset.
pub struct MemoryFile {
    name: String,
    parts: Vec<(u64, Blob)>,
}

impl Output {
    /// Writes `bytes` at `offset` of file number `file`.
    pub fn write(&mut self, file: usize, offset: u64, bytes: &Uint8Array) -> Result<(), OutputError> {
        match self {
            Self::Disk(files) => {
                let Some(file) = files.get(file) else { return Ok(()) };
                access::pieces(offset, bytes.length() as usize, |piece, options| {
                    let piece = bytes.subarray(piece.start as u32, piece.end as u32);
                    file.access.write_with_js_u8_array_and_options(&piece, options)
                })?;
            }
            Self::Memory(files) => {
                let Some(file) = files.get_mut(file) else { return Ok(()) };
                let part = Blob::new_with_u8_array_sequence(&Array::of1(bytes))?;
                // A backend that failed midway is replaced by one that writes the same ranges again.
                file.parts.retain(|(at, _)| *at != offset);
                file.parts.push((offset, part));
            }
        }
        Ok(())
    }

    /// Lets several workers write at once, where the browser can: the files' handles, for each to open (see
    /// [`SharedFiles`](super::SharedFiles)). Where it cannot there are none, and all is written here.
    pub async fn share(mut self) -> Result<(Self, Array), OutputError> {
        let handles = Array::new();
        if let Self::Disk(files) = &mut self {
            for file in files {
                file.access.close();
                file.access = access::shared(&file.handle).await?;
                if access::is_shared(&file.access) {
                    handles.push(&file.handle);
                }
            }
        }
        Ok((self, handles))
    }

    /// Whether the files can be read while they are open here.
    pub fn is_shared(&self) -> bool {
        if let Self::Disk(files) = self { files.iter().all(|file| access::is_shared(&file.access)) } else { true }
    }

    /// Sees to it that all that was written reaches the disk, and lets go of the files.
    pub fn flush(&self) -> Result<(), OutputError> {
        if let Self::Disk(files) = self {
            for file in files {
                file.access.flush()?;
                file.access.close();
            }
        }
        Ok(())
    }

    /// Hands the files out, in order; unless they are shared, they are flushed first.
    pub async fn files(&self) -> Result<Vec<Blob>, OutputError> {
        match self {
            Self::Disk(files) => {
                let mut blobs = Vec::new();
                for file in files {
                    let got: File = JsFuture::from(file.handle.get_file()).await?.unchecked_into();
                    if got.size() as u64 != file.len {
                        return Err(OutputError::Failed(format!(
                            "{} has {} bytes, not {}",
                            file.name,
                            got.size(),
                            file.len
                        )));
                    }
                    blobs.push(got.into());
                }
                Ok(blobs)
            }
            Self::Memory(files) => files
                .iter()
                .map(|file| {
                    let parts = in_order(file.parts.clone(), |(offset, _)| *offset);
                    let parts: Array = parts.iter().map(|(_, part)| part).collect();
                    let whole = File::new_with_blob_sequence(&parts, &file.name)?;
                    Ok(whole.into())
                })
                .collect(),
        }
    }
}

async fn our_root(scope: &DedicatedWorkerGlobalScope) -> Result<FileSystemDirectoryHandle, JsValue> {
    let top: FileSystemDirectoryHandle =
        JsFuture::from(scope.navigator().storage().get_directory()).await?.unchecked_into();
    folder_in(&top, ROOT).await
}

async fn remove_leftovers(root: &FileSystemDirectoryHandle, session: &str) -> Result<(), JsValue> {
    let held = locks::held().await?;
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    let keys = root.keys();
    loop {
        let next = JsFuture::from(keys.next()?).await?;
        let next: js_sys::IteratorNext = next.unchecked_into();
        if next.done() {
            return Ok(());
        }
        let name = String::from(next.value().unchecked_into::<JsString>());
        if name != session && !held.contains(&format!("{ROOT}/{name}")) {
            // Another page may be removing it too.
            let _ = JsFuture::from(root.remove_entry_with_options(&name, &options)).await;
        }
    }
}

/// Bytes that the browser still gives, where it says.
async fn room() -> Option<u64> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let promise: Promise = scope.navigator().storage().estimate().ok()?.unchecked_into();
    let estimate: StorageEstimate = JsFuture::from(promise).await.ok()?.unchecked_into();
    Some((estimate.get_quota()? - estimate.get_usage()?).max(0.0) as u64)
}
