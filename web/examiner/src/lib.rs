//! The examiner: evaluates models. One program that is the page's Evaluate view on the page thread, and computes in a worker; a program
//! of its own, so that nobody waits for it who only merges.

mod protocol;
mod view;
mod worker;

use js_sys::{Array, Function};
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlElement;

/// Becomes a worker in a worker. On the page thread it waits for [`show`].
pub fn start() {
    if web_sys::window().is_none() {
        worker::start();
    }
}

/// Shows the view in `host`, or what is new in it: the models that there are, each an array of its name, the paths of its files, and the
/// files; and the recipe, an array of its text, the seed, and the names in it that are models', each before a model's place.
/// `set_recipe` takes another text.
#[wasm_bindgen]
pub fn show(host: HtmlElement, models: &Array, recipe: &Array, set_recipe: Function) {
    view::show(host, models, recipe, set_recipe);
}

/// Takes files that were dropped on the page: tasks.
#[wasm_bindgen]
pub fn take(files: &Array) {
    view::take(files);
}
