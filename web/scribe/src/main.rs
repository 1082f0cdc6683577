//! The scribe: a worker that writes a finished result once more, as one GGUF file. A program of its own, so that nobody waits for it
//! who wants no such file.
//!
//! It lives for one file: it writes it when ordered to, keeps it for as long as the page wants it, then removes it and ends.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::{Array, Date, Function, Promise, Uint8Array};
use merge_studio::model::{self, Folder};
use merge_studio::output::gguf::{self, GgufError, GgufPlan, GgufType, Texts};
use merge_studio::run::{Sink, WriteError};
use merge_studio_web::io::{self, Output, OutputError, Store, StreamedFile, short_of};
use merge_studio_web::protocol::{GgufEvent, GgufFailure};
use merge_studio_web::wire::{self, ToScribe};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::MessageEvent;

/// The file's name in the private file system.
const FILE: &str = "model.gguf";
/// Milliseconds between reports. Between them nothing else is heard either.
const REPORT_EVERY: f64 = 100.0;

fn main() {
    std::panic::set_hook(Box::new(|info| {
        let died = GgufEvent::Failed(GgufFailure::Died(info.to_string()));
        wire::post(&wire::scope(), &died, None, None);
    }));
    let is_over = Rc::new(Cell::new(false));
    let mut end = None;
    let over = Promise::new(&mut |resolve, _| end = Some(resolve));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        match wire::parse(&event.data()) {
            Some((ToScribe::Write { name, paths, dtype }, files)) => {
                let (is_over, over) = (is_over.clone(), over.clone());
                spawn_local(async move {
                    let store = Store::open(io::new_session()).await;
                    let (said, file) = match write(&store, name, paths, &files, dtype, is_over).await {
                        Ok((file, notices)) => (GgufEvent::Done { notices }, file),
                        Err(why) => (GgufEvent::Failed(why), JsValue::NULL),
                    };
                    wire::post(&wire::scope(), &said, Some(&file), None);
                    // It is resolved, and never rejected.
                    let _ = JsFuture::from(over).await;
                    store.clear().await;
                    wire::scope().close();
                });
            }
            Some((ToScribe::Over, _)) => {
                is_over.set(true);
                if let Some(end) = &end {
                    // What it gives is undefined.
                    let _ = end.call0(&JsValue::NULL);
                }
            }
            None => {}
        }
    });
    wire::scope().set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
    wire::say_loaded();
}

/// Writes the file: its handle, and what is odd about it.
async fn write(
    store: &Store,
    name: String,
    paths: Vec<String>,
    files: &JsValue,
    dtype: Option<GgufType>,
    is_over: Rc<Cell<bool>>,
) -> Result<(JsValue, Vec<String>), GgufFailure> {
    let files = StreamedFile::of_model(files.unchecked_ref::<Array>().iter().map(JsCast::unchecked_into));
    let mut folder = Folder { name, files: BTreeMap::new() };
    // Not collected: that would be sorted first, by code of its own for this type.
    folder.files.extend(paths.into_iter().zip(files));
    let model = model::open(&folder).await.map_err(|error| GgufFailure::Refused(error.to_string()))?;
    let texts = Texts::read(&folder).await.map_err(refused)?;
    let plan = gguf::plan(&model, &texts, dtype).map_err(refused)?;
    let output = store.create(None, &[(FILE.to_owned(), plan.len)]).await.map_err(unwritten)?;
    let mut sink = File { output, done: 0, total: plan.len, told: 0.0, is_over };
    plan.write(&folder.weight_sources(&model), &mut sink, &mut |_| ()).await.map_err(refused)?;
    let GgufPlan { notices, .. } = plan;
    sink.output.flush().map_err(unwritten)?;
    let file = sink.output.files().await.map_err(unwritten)?.pop();
    Ok((file.into(), notices.iter().map(ToString::to_string).collect()))
}

/// The file, as the engine's place to write to.
struct File {
    output: Output,
    /// Bytes that were written.
    done: u64,
    /// Bytes in all.
    total: u64,
    /// When the page last heard of it.
    told: f64,
    /// Whether nobody wants it any more.
    is_over: Rc<Cell<bool>>,
}

impl Sink for File {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        if let Err(error) = self.output.write(file, offset, &Uint8Array::from(bytes.as_slice())) {
            let left = self.total - self.done;
            return Err(match short_of(error, left).await {
                OutputError::NoSpace(short) => WriteError::NoRoom { short: short.unwrap_or(left) },
                OutputError::Failed(why) => WriteError::Host(why),
            });
        }
        self.done += bytes.len() as u64;
        let now = Date::now();
        if now - self.told >= REPORT_EVERY {
            self.told = now;
            let progress = GgufEvent::Progress { done: self.done, total: self.total };
            wire::post(&wire::scope(), &progress, None, None);
            listen().await;
        }
        if self.is_over.get() { Err(WriteError::Host("it is no longer wanted".to_owned())) } else { Ok(()) }
    }
}

/// Lets messages in.
async fn listen() {
    let turn = Promise::new(&mut |resolve: Function, _| {
        if let Err(error) = wire::scope().set_timeout_with_callback(&resolve) {
            web_sys::console::error_1(&error);
        }
    });
    // It is never rejected.
    let _ = JsFuture::from(turn).await;
}

fn refused(error: GgufError) -> GgufFailure {
    match error {
        GgufError::Write(WriteError::NoRoom { short }) => GgufFailure::NoSpace { short: Some(short) },
        GgufError::Write(WriteError::Host(why)) => GgufFailure::Write(why),
        error => GgufFailure::Refused(error.to_string()),
    }
}

fn unwritten(error: OutputError) -> GgufFailure {
    match error {
        OutputError::NoSpace(short) => GgufFailure::NoSpace { short },
        OutputError::Failed(why) => GgufFailure::Write(why),
    }
}
