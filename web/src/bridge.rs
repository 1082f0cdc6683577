//! The page's side: starts the workers, sends requests, hands their events to the page, ends and replaces them.
//!
//! Nothing here waits and nothing here computes: the page thread only draws.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use merge_studio::gauge::LAYERS;
use merge_studio::output::gguf::GgufType;
use merge_studio::output::zip::{self, Entry, Part};
use merge_studio::plan::PlanOptions;
use merge_studio::recipe::Recipe;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, File};
use yew::Callback;

use crate::crew::{Crew, Who};
use crate::io;
use crate::protocol::{
    Event, Gauged, GgufEvent, GgufFailure, MergeError, ModelId, PlanToken, Report, Request, ResultFile, RunOn,
};
use crate::scribe::Scribe;
use crate::wire::{self, ToDesk, ToScribe};

/// The page's handle on its workers. Cloning it is cheap; there is one set of workers.
#[derive(Clone)]
pub struct Bridge(Rc<Inner>);

/// A model as it was given: its name, the paths of its files, and the files.
type GivenModel = (String, Vec<String>, Array);

struct Inner {
    on_event: Callback<Event>,
    crew: Crew,
    ids: Cell<u32>,
    tokens: Cell<u32>,
    merging: Cell<bool>,
    /// Cancels that the desk has not confirmed: until then it speaks of a merge that is over.
    cancelling: Cell<u32>,
    /// Kept so that a new desk can be given what the old one had.
    models: RefCell<Vec<(ModelId, GivenModel)>>,
    last_plan: RefCell<Option<Request>>,
    result: RefCell<Vec<(ResultFile, Blob)>>,
    scribe: RefCell<Option<Scribe>>,
    gguf: RefCell<Option<Blob>>,
    gauges: Cell<u32>,
    /// The running measurement.
    gauge: Cell<Option<u32>>,
}

/// Two handles on the same workers are equal.
impl PartialEq for Bridge {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

/// Why a result could not be saved to a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveError {
    /// The person closed the picker.
    Dismissed,
    /// The browser refused: the file (empty: the folder) and its words.
    Failed {
        /// Which file.
        file: String,
        /// Why.
        why: String,
    },
}

impl Bridge {
    /// Starts the workers. Their events arrive on the page thread, in order.
    pub fn start(on_event: Callback<Event>) -> Self {
        Self(Rc::new_cyclic(|weak: &std::rc::Weak<Inner>| {
            let (heard, died) = (weak.clone(), weak.clone());
            let on_message = move |event, beside| {
                if let Some(inner) = heard.upgrade() {
                    inner.hear(event, &beside);
                }
            };
            let on_death = move |who, message| {
                if let Some(inner) = died.upgrade() {
                    inner.died(who, message);
                }
            };
            Inner {
                on_event,
                crew: Crew::start(on_message, on_death),
                ids: Cell::new(0),
                tokens: Cell::new(0),
                merging: Cell::new(false),
                cancelling: Cell::new(0),
                models: RefCell::default(),
                last_plan: RefCell::default(),
                result: RefCell::default(),
                scribe: RefCell::default(),
                gguf: RefCell::default(),
                gauges: Cell::new(0),
                gauge: Cell::new(None),
            }
        }))
    }

    /// Opens a model: the files by their paths inside its folder (a lone file: its name). Answered by
    /// [`Event::Opened`] or [`Event::OpenFailed`].
    pub fn open(&self, name: String, files: Vec<(String, File)>) -> ModelId {
        let id = ModelId(next(&self.0.ids));
        let (paths, files): (Vec<String>, Vec<File>) = files.into_iter().unzip();
        let files: Array = files.iter().collect();
        self.0.send_open(id, &name, &paths, &files);
        self.0.models.borrow_mut().push((id, (name, paths, files)));
        id
    }

    /// Forgets a model. Not answered.
    pub fn close(&self, id: ModelId) {
        self.0.models.borrow_mut().retain(|(each, _)| *each != id);
        self.0.send(Request::Close { id });
    }

    /// Plans a merge. Answered by [`Event::Planned`] or [`Event::PlanFailed`]; later requests have greater tokens.
    pub fn plan(&self, recipe: &Recipe, binding: BTreeMap<String, ModelId>, options: PlanOptions) -> PlanToken {
        let token = PlanToken(next(&self.0.tokens));
        let request = Request::Plan { token, recipe: Box::new(recipe.clone()), binding, options };
        self.0.last_plan.replace(Some(request.clone()));
        self.0.send(request);
        token
    }

    /// Runs a plan. Answered by [`Event::Progress`] … and one of [`Event::Finished`], [`Event::MergeFailed`], [`Event::Cancelled`].
    /// The result before it is gone from now on.
    pub fn merge(&self, token: PlanToken, run_on: RunOn) {
        self.0.merging.set(true);
        self.0.forget_result();
        self.0.send(Request::Merge { token, run_on });
        self.0.crew.call_everyone();
    }

    /// Stops the merge. Answered by [`Event::Cancelled`] at once; the desk removes what was written, whatever the disk takes.
    pub fn cancel(&self) {
        if self.0.merging.replace(false) {
            self.0.cancelling.set(self.0.cancelling.get() + 1);
            self.0.crew.dismiss();
            self.0.send(Request::Cancel);
            self.0.on_event.emit(Event::Cancelled);
        }
    }

    /// Removes the finished result from disk. Not answered.
    pub fn discard(&self) {
        self.0.forget_result();
        self.0.send(Request::Discard);
    }

    /// What can be read as a model: those that were opened, and the finished result, called `result`. Each is an array: its name, the
    /// paths of its files, and the files.
    pub fn given(&self, result: &str) -> Array {
        let model = |name: &str, paths: Array, files: Array| Array::of3(&name.into(), &paths, &files);
        let models = self.0.models.borrow();
        let given: Array =
            models.iter().map(|(_, (name, paths, files))| model(name, strings(paths.iter()), files.clone())).collect();
        let made = self.0.result.borrow();
        if !made.is_empty() {
            let paths = strings(made.iter().map(|(file, _)| &file.name));
            given.push(&model(result, paths, made.iter().map(|(_, blob)| blob).collect()));
        }
        given
    }

    /// Measures how fast this device merges. Answered by [`Event::Gauge`]s, the last of which says that it is over. Not beside a merge.
    pub fn gauge(&self) {
        let number = next(&self.0.gauges);
        self.0.gauge.set(Some(number));
        self.0.crew.call_everyone();
        self.0.send(Request::Gauge { number, layers: layers() });
    }

    /// Stops it. Not answered.
    pub fn stop_gauge(&self) {
        if self.0.gauge.take().is_some() {
            self.0.start_over();
        }
    }

    /// Writes the finished result, called `name`, as one GGUF file; whatever was written so before goes. Answered by
    /// [`Event::Gguf`]s, the last of which says that it is done or failed.
    pub fn write_gguf(&self, name: &str, dtype: Option<GgufType>) {
        self.forget_gguf();
        let result = self.0.result.borrow();
        let paths = result.iter().map(|(file, _)| file.name.clone()).collect();
        let files: Array = result.iter().map(|(_, blob)| blob).collect();
        let inner = Rc::downgrade(&self.0);
        let hear = move |event, beside| {
            if let Some(inner) = inner.upgrade() {
                inner.hear_scribe(event, &beside);
            }
        };
        match Scribe::call(ToScribe::Write { name: name.to_owned(), paths, dtype }, files.into(), hear) {
            Ok(scribe) => drop(self.0.scribe.replace(Some(scribe))),
            Err(error) => {
                self.0.hear_scribe(GgufEvent::Failed(GgufFailure::Died(wire::words(&error))), &JsValue::NULL);
            }
        }
    }

    /// The GGUF file is no longer wanted, whole or not. Not answered.
    pub fn forget_gguf(&self) {
        self.0.forget_gguf();
    }

    /// The GGUF file, once it is whole.
    pub fn gguf(&self) -> Option<Blob> {
        self.0.gguf.borrow().clone()
    }

    /// A file of the finished result, backed by the disk: for a link (`URL.createObjectURL`) or for reading.
    pub fn result_file(&self, name: &str) -> Option<Blob> {
        self.0.result.borrow().iter().find(|(file, _)| file.name == name).map(|(_, blob)| blob.clone())
    }

    /// The finished result as one stored zip whose entries lie in a folder called `folder`; made of parts, nothing is copied.
    pub fn zip(&self, folder: &str) -> Option<Blob> {
        let result = self.0.result.borrow();
        if result.is_empty() {
            return None;
        }
        let entries: Vec<Entry> = result
            .iter()
            .map(|(file, _)| Entry { name: format!("{folder}/{}", file.name), len: file.len, crc32: file.crc32 })
            .collect();
        let parts = Array::new();
        for part in zip::layout(&entries) {
            match part {
                Part::Bytes(bytes) => parts.push(&Uint8Array::from(bytes.as_slice())),
                Part::File(index) => parts.push(&result[index].1),
            };
        }
        let options = BlobPropertyBag::new();
        options.set_type("application/zip");
        Blob::new_with_blob_sequence_and_options(&parts, &options).ok()
    }

    /// Whether this browser lets a person pick a folder to save to.
    pub fn can_save_to_folder() -> bool {
        io::can_pick()
    }

    /// Asks for a folder and writes the finished result into it; `on_bytes` hears (written, all). Call it from a click.
    pub async fn save_to_folder(&self, on_bytes: Callback<(u64, u64)>) -> Result<(), SaveError> {
        let files: Vec<(String, Blob)> =
            self.0.result.borrow().iter().map(|(file, blob)| (file.name.clone(), blob.clone())).collect();
        io::save(&files, |written, all| on_bytes.emit((written, all))).await
    }
}

impl Inner {
    fn send(&self, request: Request) {
        self.crew.tell_desk(ToDesk::Request(request), None, None);
    }

    /// The result is gone from now on, and all that was made of it.
    fn forget_result(&self) {
        self.forget_gguf();
        self.result.borrow_mut().clear();
    }

    fn forget_gguf(&self) {
        self.gguf.replace(None);
        self.scribe.replace(None);
    }

    fn send_open(&self, id: ModelId, name: &str, paths: &[String], files: &Array) {
        let request = Request::Open { id, name: name.to_owned(), paths: paths.to_vec() };
        self.crew.tell_desk(ToDesk::Request(request), Some(files.clone().into()), None);
    }

    fn hear(&self, event: Event, beside: &JsValue) {
        if self.cancelling.get() > 0 {
            match event {
                Event::Cancelled => {
                    self.cancelling.set(self.cancelling.get() - 1);
                    self.crew.call_first();
                    return;
                }
                Event::Progress(_)
                | Event::Notice(_)
                | Event::Finished { .. }
                | Event::MergeStopping
                | Event::MergeFailed { .. } => return,
                _ => {}
            }
        }
        match &event {
            Event::Finished { files, report } => {
                self.merging.set(false);
                let blobs = beside.unchecked_ref::<Array>().iter().map(JsCast::unchecked_into);
                self.result.replace(files.iter().cloned().zip(blobs).collect());
                expose(report);
            }
            // A merge may come next: its workers need not be waited for then.
            Event::Planned { .. } => self.crew.call_everyone(),
            Event::MergeStopping => {
                // They may be deep in a tensor that nobody wants any more.
                self.start_over();
                return;
            }
            Event::Gauge { number, .. } if self.gauge.get() != Some(*number) => return,
            Event::Gauge { gauged: Gauged { over: true, .. }, .. } => {
                self.gauge.set(None);
                // What they took is given back with them.
                self.start_over();
            }
            Event::MergeFailed { .. } => {
                self.merging.set(false);
                self.forget_result();
            }
            _ => {}
        }
        self.on_event.emit(event);
    }

    /// Ends all compute workers and calls the one that tries WebGPU anew.
    fn start_over(&self) {
        self.crew.dismiss();
        self.crew.call_first();
    }

    fn hear_scribe(&self, event: GgufEvent, beside: &JsValue) {
        match &event {
            GgufEvent::Progress { .. } => {}
            GgufEvent::Done { .. } => drop(self.gguf.replace(beside.clone().dyn_into().ok())),
            GgufEvent::Failed(_) => drop(self.scribe.replace(None)),
        }
        self.on_event.emit(Event::Gguf(event));
    }

    /// A worker is dead and was let go of by the crew.
    fn died(&self, who: Who, message: String) {
        self.on_event.emit(Event::Crashed { message: message.clone() });
        match who {
            Who::Compute(number) => {
                self.crew.tell_desk(ToDesk::Died { number, why: message }, None, None);
                if !self.merging.get() {
                    self.crew.call_first();
                }
            }
            Who::Desk => {
                self.cancelling.set(0);
                self.crew.dismiss();
                self.crew.new_desk();
                for (id, (name, paths, files)) in self.models.borrow().iter() {
                    self.send_open(*id, name, paths, files);
                }
                if let Some(plan) = self.last_plan.borrow().clone() {
                    self.send(plan);
                }
                self.crew.call_first();
                if let Some(number) = self.gauge.take() {
                    let gauged = Gauged { over: true, why: Some(message.clone()), ..Gauged::default() };
                    self.on_event.emit(Event::Gauge { number, gauged });
                }
                if self.merging.replace(false) {
                    self.on_event.emit(Event::MergeFailed { error: MergeError::WorkerDied(message) });
                }
            }
        }
    }
}

fn strings<'a>(texts: impl Iterator<Item = &'a String>) -> Array {
    texts.map(|text| wasm_bindgen::JsValue::from(text.as_str())).collect()
}

/// Layers of the models that a device is measured with: one for tests, whose page's address asks for it.
fn layers() -> u64 {
    let query = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
    if query.contains("benchmark=small") { 1 } else { LAYERS }
}

fn next(counter: &Cell<u32>) -> u32 {
    counter.set(counter.get() + 1);
    counter.get()
}

/// `window.__studio.report`: the counters of the last merge, for tests and for the curious.
fn expose(report: &Report) {
    let report = serde_json::to_string(report).ok().and_then(|json| js_sys::JSON::parse(&json).ok());
    if let (Some(window), Some(report)) = (web_sys::window(), report) {
        let studio = js_sys::Object::new();
        // Setting a field of an object that was just made does not fail.
        let _ = js_sys::Reflect::set(&studio, &"report".into(), &report);
        let _ = js_sys::Reflect::set(&window, &"__studio".into(), &studio);
    }
}
