//! A worker with orders, as the view holds it. Dropped, it ends.

use merge_studio_web::{crew, wire};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ErrorEvent, MessageEvent, Worker};
use yew::Callback;

use crate::protocol::{Order, Said};

/// Where the page's document says what this program's JavaScript is called.
const PROGRAM: &str = r#"meta[name="merge-studio-examiner"]"#;

pub struct Examiner {
    /// None where it could not be started.
    worker: Option<Worker>,
}

impl Examiner {
    /// Gives a new worker its order, with what travels beside. `hear` gets what it says.
    pub fn call(order: Order, beside: JsValue, hear: Callback<Said>) -> Self {
        let started =
            crew::said_by_document(PROGRAM, "content").and_then(|glue| crew::start(&glue, &wasm_bindgen::module()));
        let worker = match started {
            Ok(worker) => worker,
            Err(error) => {
                hear.emit(Said::Died(wire::words(&error)));
                return Self { worker: None };
            }
        };
        let on_message = {
            let (worker, hear) = (worker.clone(), hear.clone());
            Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                if event.data().is_null() {
                    wire::post(&worker, &order, Some(&beside), None);
                } else if let Some((said, _)) = wire::parse(&event.data()) {
                    hear.emit(said);
                }
            })
        };
        let on_error = Closure::<dyn Fn(ErrorEvent)>::new(move |event: ErrorEvent| {
            hear.emit(Said::Died(crew::last_words(&event)));
        });
        worker.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(on_error.into_js_value().unchecked_ref()));
        Self { worker: Some(worker) }
    }

    /// Gives it another order. It must have said something before: it listens only then.
    pub fn order(&self, order: &Order, beside: &JsValue) {
        if let Some(worker) = &self.worker {
            wire::post(worker, order, Some(beside), None);
        }
    }
}

impl Drop for Examiner {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            worker.set_onmessage(None);
            worker.set_onerror(None);
            worker.terminate();
        }
    }
}
