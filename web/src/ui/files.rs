//! Files that a person gives: from the two inputs, by a drop, or the demo models.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DataTransfer, File, FileSystemDirectoryEntry, FileSystemDirectoryReader, FileSystemEntry, FileSystemFileEntry,
    HtmlInputElement,
};

/// A file and where it lies: `folder/sub/file`, or its bare name.
#[derive(Clone, Debug)]
pub struct Given {
    /// The path, as far as the browser tells it.
    pub path: String,
    /// The file.
    pub file: File,
}

/// What was chosen in a file input. The input is emptied, so that the same files can be chosen again.
pub fn of_input(input: &HtmlInputElement) -> Vec<Given> {
    let list = input.files();
    let files = list.iter().flat_map(|list| (0..list.length()).filter_map(|at| list.get(at)));
    let given = files.map(|file| Given { path: path_of(&file), file }).collect();
    input.set_value("");
    given
}

fn path_of(file: &File) -> String {
    let relative = js_sys::Reflect::get(file, &JsValue::from_str("webkitRelativePath")).ok();
    relative.and_then(|path| path.as_string()).filter(|path| !path.is_empty()).unwrap_or_else(|| file.name())
}

/// What was dropped. The entries are taken at once, since the browser forgets them when the event is over; the future reads
/// folders. What can't be read is left out.
pub fn of_drop(transfer: &DataTransfer) -> impl Future<Output = Vec<Given>> + use<> {
    let items = transfer.items();
    let mut entries = Vec::new();
    let mut plain = Vec::new();
    for item in (0..items.length()).filter_map(|at| items.get(at)) {
        if let Some(entry) = item.webkit_get_as_entry().ok().flatten() {
            entries.push((String::new(), entry));
        } else if let Some(file) = item.get_as_file().ok().flatten() {
            plain.push(Given { path: file.name(), file });
        }
    }
    async move {
        let mut given = plain;
        while let Some((folder, entry)) = entries.pop() {
            let path = if folder.is_empty() { entry.name() } else { format!("{folder}/{}", entry.name()) };
            if entry.is_directory() {
                let children = children(entry.unchecked_into()).await;
                entries.extend(children.into_iter().map(|child| (path.clone(), child)));
            } else if let Some(file) = file_of(entry.unchecked_into()).await {
                given.push(Given { path, file });
            }
        }
        // Not by std's sort, which would be compiled once more for this type.
        let mut sorted: Vec<Given> = Vec::with_capacity(given.len());
        for one in given {
            let at = sorted.partition_point(|other| other.path <= one.path);
            sorted.insert(at, one);
        }
        sorted
    }
}

/// All entries of a folder: the browser hands them out a hundred at a time.
async fn children(folder: FileSystemDirectoryEntry) -> Vec<FileSystemEntry> {
    let reader: FileSystemDirectoryReader = folder.create_reader();
    let mut all = Vec::new();
    loop {
        let read = promise(|resolve, reject| reader.read_entries_with_callback_and_callback(resolve, reject));
        let Ok(batch) = JsFuture::from(read).await else { break };
        let batch: Array = batch.unchecked_into();
        if batch.length() == 0 {
            break;
        }
        all.extend(batch.iter().map(JsCast::unchecked_into));
    }
    all
}

async fn file_of(entry: FileSystemFileEntry) -> Option<File> {
    let file = promise(|resolve, reject| {
        entry.file_with_callback_and_callback(resolve, reject);
        Ok(())
    });
    JsFuture::from(file).await.ok().map(JsCast::unchecked_into)
}

/// A promise around an old interface of two callbacks.
fn promise(start: impl Fn(&Function, &Function) -> Result<(), JsValue>) -> Promise {
    Promise::new(&mut |resolve, reject| {
        if let Err(error) = start(&resolve, &reject) {
            // A promise's own callbacks do not throw.
            let _ = reject.call1(&JsValue::NULL, &error);
        }
    })
}

/// The text of a file, or `None` where it is not text.
pub async fn text_of(file: &File) -> Option<String> {
    let buffer = JsFuture::from(file.array_buffer()).await.ok()?;
    String::from_utf8(js_sys::Uint8Array::new(&buffer).to_vec()).ok()
}

/// Saves a file under a name, through a link that is clicked.
pub fn save(blob: &web_sys::Blob, name: &str) {
    let Some(url) = link_to(blob) else { return };
    let document = gloo::utils::document();
    if let Ok(link) = document.create_element("a") {
        let link: web_sys::HtmlAnchorElement = link.unchecked_into();
        link.set_href(&url);
        link.set_download(name);
        link.click();
    }
    // The download holds the bytes by then, but takes a moment to say so.
    let revoke = Closure::once_into_js(move || forget_link(&url));
    let window = gloo::utils::window();
    let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(revoke.unchecked_ref(), 60_000);
}

/// An address of a file, until [`forget_link`].
pub fn link_to(blob: &web_sys::Blob) -> Option<String> {
    web_sys::Url::create_object_url_with_blob(blob).ok()
}

/// Gives an address back, so that the browser can let go of the file.
pub fn forget_link(link: &str) {
    // An address that is gone already is as good.
    let _ = web_sys::Url::revoke_object_url(link);
}

/// A text as something to save.
pub fn text_blob(text: &str) -> Option<web_sys::Blob> {
    web_sys::Blob::new_with_str_sequence(&Array::of1(&JsValue::from_str(text))).ok()
}
