//! The workers' side: one desk, which opens, plans, hands out and writes, and compute workers, which read and merge.
//!
//! All of them run the page's own compiled module (see `web/worker.js`); its first message says which one a worker is.

mod compute;
mod desk;
mod finish;
mod gauge;
mod hash;
mod merge;
mod panic;
mod stages;
mod state;
mod stretch;

use std::collections::BTreeMap;

use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort};

use crate::io::WebFile;
use crate::protocol::Event;
use crate::wire::{self, Hello, Role, scope};

/// Waits for the page's first message and becomes what it says.
pub fn start() {
    panic::report_to_page();
    let first = Closure::once_into_js(|event: MessageEvent| {
        let Some((hello, beside)) = wire::parse::<Hello>(&event.data()) else { return };
        match hello.role {
            Role::Desk { session, workers } => desk::start(session, workers),
            Role::Compute { gpu } => compute::start(&beside.unchecked_into::<MessagePort>(), gpu, hello.inject),
        }
    });
    scope().set_onmessage(Some(first.unchecked_ref()));
    wire::say_loaded();
}

/// Files by their paths. Not collected: that would be sorted first, by code of its own for this type.
fn by_path(paths: Vec<String>, files: Vec<WebFile>) -> BTreeMap<String, WebFile> {
    let mut all = BTreeMap::new();
    all.extend(paths.into_iter().zip(files));
    all
}

/// Tells the page something.
fn say(event: &Event) {
    wire::post(&scope(), event, None, None);
}

/// Calls `handle` with every message that comes in.
fn on_message(handle: impl FnMut(MessageEvent) + 'static) -> JsValue {
    Closure::<dyn FnMut(MessageEvent)>::new(handle).into_js_value()
}
