//! Files as the engine's sources and sinks: positioned reads and writes, no memory maps.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use merge_studio::format::{ReadError, Source};
use merge_studio::run::{Sink, WriteError};

/// Set once the work must end: by Ctrl-C or by the first failure. Reads and writes fail from then on, so that no worker goes
/// on for longer than a window takes.
pub(super) static STOP: AtomicBool = AtomicBool::new(false);

const STOPPED: &str = "stopped";

/// A file that is opened when it is first read.
#[derive(Debug)]
pub(super) struct FileSource {
    pub(super) path: PathBuf,
    len: u64,
    file: OnceLock<File>,
}

impl FileSource {
    pub(super) fn new(path: PathBuf, len: u64) -> Self {
        Self { path, len, file: OnceLock::new() }
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }
}

impl Source for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let wanted = into.len() as u64;
        if offset.checked_add(wanted).is_none_or(|end| end > self.len) {
            return Err(ReadError::PastEnd { offset, wanted, len: self.len });
        }
        if STOP.load(Ordering::Relaxed) {
            return Err(ReadError::Host(STOPPED.into()));
        }
        self.file()
            .and_then(|file| read_exact_at(file, into, offset))
            .map_err(|error| ReadError::Host(format!("{}: {error}", self.path.display())))
    }
}

/// The output's weight files, all open for writing.
pub(super) struct WeightFiles {
    files: Vec<File>,
    /// Bytes of all of them.
    total: u64,
    written: AtomicU64,
}

impl WeightFiles {
    /// Creates the files of `names` and lengths in `folder`.
    pub(super) fn create<'a>(folder: &Path, names: impl Iterator<Item = (&'a str, u64)>) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut total = 0;
        for (name, len) in names {
            files.push(File::create(folder.join(name))?);
            total += len;
        }
        Ok(Self { files, total, written: AtomicU64::new(0) })
    }

    /// Hands everything to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(File::sync_all)
    }

    pub(super) fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        if STOP.load(Ordering::Relaxed) {
            return Err(WriteError::Host(STOPPED.into()));
        }
        let file = self.files.get(file).ok_or_else(|| WriteError::Host("no such file".into()))?;
        write_all_at(file, bytes, offset).map_err(|error| self.error(&error))?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// On a full disk nothing more fits: what is still to be written is what is short.
    fn error(&self, error: &io::Error) -> WriteError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                WriteError::NoRoom { short: self.total.saturating_sub(self.written.load(Ordering::Relaxed)) }
            }
            _ => WriteError::Host(error.to_string()),
        }
    }
}

impl Sink for &WeightFiles {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        self.write_at(file, offset, &bytes)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, into, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                into = &mut into[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_full_disk_is_told_by_the_bytes_that_do_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let files = WeightFiles::create(folder.path(), [("a", 100), ("b", 50)].into_iter()).unwrap();
        files.write_at(1, 10, &[7; 40]).unwrap();
        let error = |kind: io::ErrorKind| files.error(&kind.into());
        assert_eq!(error(io::ErrorKind::StorageFull), WriteError::NoRoom { short: 110 });
        assert_eq!(error(io::ErrorKind::QuotaExceeded), WriteError::NoRoom { short: 110 });
        assert!(matches!(error(io::ErrorKind::PermissionDenied), WriteError::Host(_)));
    }

    #[test]
    fn reads_are_exact_and_never_past_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"0123456789").unwrap();
        let source = FileSource::new(path.clone(), 10);
        let read = |offset, len| {
            let mut bytes = vec![0; len];
            pollster::block_on(source.read(offset, &mut bytes)).map(|()| bytes)
        };
        assert_eq!(read(3, 4).unwrap(), b"3456");
        assert_eq!(read(10, 0).unwrap(), b"");
        assert!(matches!(read(7, 4), Err(ReadError::PastEnd { offset: 7, wanted: 4, len: 10 })));
        assert!(matches!(read(u64::MAX, 4), Err(ReadError::PastEnd { .. })));
        // A file that shrank behind our back.
        std::fs::write(&path, b"01").unwrap();
        assert!(matches!(read(3, 4), Err(ReadError::Host(_))));
    }
}
