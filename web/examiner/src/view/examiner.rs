//! A worker with orders, as the view holds it. Dropped, it ends.

use std::cell::Cell;

use merge_studio_web::{crew, wire};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ErrorEvent, MessageEvent, Worker};
use yew::Callback;

use crate::protocol::{Order, Said};

/// Where the page's document says what this program's JavaScript is called.
const PROGRAM: &str = r#"meta[name="merge-studio-examiner"]"#;

thread_local! {
    /// Workers that were called.
    static CALLED: Cell<u32> = const { Cell::new(0) };
}

pub struct Examiner {
    /// Never used twice: what a worker says may still be on its way when it is ended.
    number: u32,
    /// None where it could not be started.
    worker: Option<Worker>,
}

impl Examiner {
    /// Gives a new worker its order, with what travels beside. `hear` gets what it says, with its number.
    pub fn call(order: Order, beside: JsValue, hear: Callback<(u32, Said)>) -> Self {
        let number = CALLED.get() + 1;
        CALLED.set(number);
        let started =
            crew::said_by_document(PROGRAM, "content").and_then(|glue| crew::start(&glue, &wasm_bindgen::module()));
        let worker = match started {
            Ok(worker) => worker,
            Err(error) => {
                hear.emit((number, Said::Died(wire::words(&error))));
                return Self { number, worker: None };
            }
        };
        let on_message = {
            let (worker, hear) = (worker.clone(), hear.clone());
            Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                if event.data().is_null() {
                    wire::post(&worker, &order, Some(&beside), None);
                } else if let Some((said, _)) = wire::parse(&event.data()) {
                    hear.emit((number, said));
                }
            })
        };
        let on_error = Closure::<dyn Fn(ErrorEvent)>::new(move |event: ErrorEvent| {
            hear.emit((number, Said::Died(crew::last_words(&event))));
        });
        worker.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(on_error.into_js_value().unchecked_ref()));
        Self { number, worker: Some(worker) }
    }

    pub fn number(&self) -> u32 {
        self.number
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
