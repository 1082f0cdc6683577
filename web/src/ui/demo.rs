//! The demo models: files beside the page, fetched when asked for.

use js_sys::Array;
use serde::Deserialize;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, Response};

use super::files::Given;

/// Where they are, relative to the page.
const FOLDER: &str = "demo";

/// One entry of `demo/index.json`.
#[derive(Deserialize)]
struct Entry {
    name: String,
    files: Vec<String>,
}

/// Every file of every demo model.
///
/// # Errors
///
/// The path of the file that could not be had.
pub async fn fetch() -> Result<Vec<Given>, String> {
    let index = format!("{FOLDER}/index.json");
    let text = get(&index, Response::text).await.ok_or(index.clone())?;
    let entries: Vec<Entry> = text.as_string().and_then(|text| serde_json::from_str(&text).ok()).ok_or(index)?;
    let mut given = Vec::new();
    for Entry { name, files } in entries {
        for file in files {
            let path = format!("{name}/{file}");
            let url = format!("{FOLDER}/{path}");
            let blob = get(&url, Response::blob).await.ok_or_else(|| url.clone())?;
            let file = File::new_with_blob_sequence(&Array::of1(&blob), &file).map_err(|_| url)?;
            given.push(Given { path, file });
        }
    }
    Ok(given)
}

async fn get(url: &str, body: fn(&Response) -> Result<js_sys::Promise, JsValue>) -> Option<JsValue> {
    let response = JsFuture::from(gloo::utils::window().fetch_with_str(url)).await.ok()?;
    let response: Response = response.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    JsFuture::from(body(&response).ok()?).await.ok()
}
