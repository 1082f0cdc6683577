//! Locks that tell pages and workers of one browser which of them live: whose results are still wanted.
//!
//! By reflection, since web-sys counts the Web Locks among its unstable interfaces. Without a secure context there are
//! none, and no files either.

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

fn manager() -> Result<JsValue, JsValue> {
    Reflect::get(&Reflect::get(&js_sys::global(), &"navigator".into())?, &"locks".into())
}

/// Our folder in the private file system, and the prefix of the locks' names.
pub const ROOT: &str = "merge-studio";

/// A name for a folder of results that nobody else has, with its lock held for as long as this page or worker lives.
pub fn new_session() -> String {
    let session = format!("{:x}-{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 1e15) as u64);
    hold(&format!("{ROOT}/{session}"));
    session
}

fn hold(name: &str) {
    let forever = Closure::once_into_js(|| Promise::new(&mut |_, _| {}));
    let held = manager().and_then(|locks| {
        if locks.is_undefined() {
            return Ok(JsValue::UNDEFINED);
        }
        Reflect::get(&locks, &"request".into())?.dyn_into::<Function>()?.call2(&locks, &name.into(), &forever)
    });
    if let Err(error) = held {
        web_sys::console::warn_1(&error);
    }
}

/// The names of all locks that pages of this origin hold.
pub async fn held() -> Result<Vec<String>, JsValue> {
    let locks = manager()?;
    let query: Function = Reflect::get(&locks, &"query".into())?.dyn_into()?;
    let snapshot = JsFuture::from(query.call0(&locks)?.dyn_into::<Promise>()?).await?;
    let held: Array = Reflect::get(&snapshot, &"held".into())?.dyn_into()?;
    Ok(held.iter().filter_map(|lock| Reflect::get(&lock, &"name".into()).ok()?.as_string()).collect())
}
