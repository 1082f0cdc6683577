//! The browser's files: `File` slices in; the private file system, Blob parts and picked folders out.

mod access;
mod file;
mod folder;
mod locks;
mod output;
mod stream;

pub use access::SharedFiles;
pub use file::WebFile;
pub use folder::{can_pick, save};
pub use locks::new_session;
pub use output::{Output, OutputError, Store, short_of};
pub use stream::StreamedFile;
