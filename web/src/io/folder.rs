//! Saving a result into a folder that the person picks, where the browser can. On the page thread.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetFileOptions, FileSystemWritableFileStream,
    ReadableStreamDefaultReader,
};

use crate::bridge::SaveError;
use crate::wire::{error_name, words};

/// Whether the browser has a folder picker.
pub fn can_pick() -> bool {
    picker().is_some()
}

fn picker() -> Option<Function> {
    let window = web_sys::window()?;
    Reflect::get(&window, &"showDirectoryPicker".into()).ok()?.dyn_into().ok()
}

/// Asks for a folder and writes `files` into it. Each is published under its name only when it is whole.
pub async fn save(files: &[(String, Blob)], on_bytes: impl Fn(u64, u64)) -> Result<(), SaveError> {
    let options = js_sys::Object::new();
    let Some(window) = web_sys::window() else { return Err(SaveError::Dismissed) };
    let picked = picker().and_then(|pick| {
        Reflect::set(&options, &"mode".into(), &"readwrite".into()).ok()?;
        pick.call1(&window, &options).ok()?.dyn_into::<Promise>().ok()
    });
    let failed = |file: &str| {
        let file = file.to_owned();
        move |error: JsValue| match error_name(&error).as_str() {
            "AbortError" if file.is_empty() => SaveError::Dismissed,
            _ => SaveError::Failed { file, why: words(&error) },
        }
    };
    let Some(picked) = picked else { return Err(SaveError::Dismissed) };
    let folder: FileSystemDirectoryHandle = JsFuture::from(picked).await.map_err(failed(""))?.unchecked_into();
    let all: u64 = files.iter().map(|(_, blob)| blob.size() as u64).sum();
    let mut written = 0;
    for (name, blob) in files {
        write(&folder, name, blob, |bytes| {
            written += bytes;
            on_bytes(written, all);
        })
        .await
        .map_err(failed(name))?;
    }
    Ok(())
}

async fn write(
    folder: &FileSystemDirectoryHandle,
    name: &str,
    blob: &Blob,
    mut on_bytes: impl FnMut(u64),
) -> Result<(), JsValue> {
    let options = FileSystemGetFileOptions::new();
    options.set_create(true);
    let handle: FileSystemFileHandle =
        JsFuture::from(folder.get_file_handle_with_options(name, &options)).await?.unchecked_into();
    let stream: FileSystemWritableFileStream = JsFuture::from(handle.create_writable()).await?.unchecked_into();
    let reader: ReadableStreamDefaultReader = blob.stream().get_reader().unchecked_into();
    loop {
        let chunk = JsFuture::from(reader.read()).await?;
        let Ok(bytes) = Reflect::get(&chunk, &"value".into())?.dyn_into::<Uint8Array>() else { break };
        let len = u64::from(bytes.length());
        JsFuture::from(stream.write_with_buffer_source(&bytes)?).await?;
        on_bytes(len);
    }
    JsFuture::from(stream.close()).await?;
    Ok(())
}
