//! The scribe, as the page holds it: a worker with a program of its own (`web/scribe`), which writes a result in another form.
//!
//! That program is fetched when somebody wants such a file, and not before.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ErrorEvent, MessageEvent, Worker};

use crate::crew;
use crate::protocol::{GgufEvent, GgufFailure};
use crate::wire::{self, ToScribe};

/// Where the page's document says what the program's JavaScript is called; the build ends the name with a hash.
const PROGRAM: &str = r#"meta[name="merge-studio-scribe"]"#;

/// A scribe at work, or one that keeps what it wrote. Dropped, it removes that and ends.
pub struct Scribe {
    worker: Worker,
    /// Whether it has loaded, and did not die since.
    listens: Rc<Cell<bool>>,
}

impl Scribe {
    /// Calls a scribe for one order, with `files` beside it. `hear` gets what it says, and beside [`GgufEvent::Done`] the file.
    pub fn call(order: ToScribe, files: JsValue, hear: impl Fn(GgufEvent, JsValue) + 'static) -> Result<Self, JsValue> {
        let worker = crew::start(&crew::said_by_document(PROGRAM, "content")?, &JsValue::UNDEFINED)?;
        let listens = Rc::new(Cell::new(false));
        let hear = Rc::new(hear);
        let on_message = {
            let (worker, listens, hear) = (worker.clone(), listens.clone(), hear.clone());
            Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                if event.data().is_null() {
                    listens.set(true);
                    wire::post(&worker, &order, Some(&files), None);
                } else if let Some((event, beside)) = wire::parse(&event.data()) {
                    if matches!(event, GgufEvent::Failed(GgufFailure::Died(_))) {
                        listens.set(false);
                    }
                    hear(event, beside);
                }
            })
        };
        let on_error = {
            let listens = listens.clone();
            Closure::<dyn Fn(ErrorEvent)>::new(move |event: ErrorEvent| {
                listens.set(false);
                hear(GgufEvent::Failed(GgufFailure::Died(crew::last_words(&event))), JsValue::NULL);
            })
        };
        worker.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(on_error.into_js_value().unchecked_ref()));
        Ok(Self { worker, listens })
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        if self.listens.get() {
            wire::post(&self.worker, &ToScribe::Over, None, None);
        } else {
            self.worker.terminate();
        }
    }
}
