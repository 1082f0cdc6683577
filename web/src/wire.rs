//! What page, desk and compute workers say to each other beneath the protocol: who they are, jobs, windows, acknowledgements.
//!
//! A message is a JavaScript array: the message in postcard's binary form, and what travels beside it (files, a port, a
//! buffer). Not JSON, whose readers of these types were a fifth of the page's program. Both sides are one compiled module,
//! so that they always agree; a scribe is another one, which is found by the hash that its build gave it.

use js_sys::{Array, Promise, Uint8Array};
use merge_studio::gauge::Beside;
use merge_studio::output::gguf::GgufType;
use merge_studio::plan::Plan;
use merge_studio::run::{JobReport, Limits, RunError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DedicatedWorkerGlobalScope, MessagePort, Worker};

use crate::protocol::{GpuState, Request};

/// The page's first message to a new worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// What the worker is to be.
    pub role: Role,
    /// A fault to inject, for tests.
    pub inject: Option<Inject>,
}

/// What a worker is.
#[derive(Debug, Serialize, Deserialize)]
pub enum Role {
    /// Opens, plans, hands out jobs, writes.
    Desk {
        /// The folder of this page's results in the private file system.
        session: String,
        /// How many compute workers a merge gets.
        workers: u32,
    },
    /// Computes. Its port to the desk travels beside.
    Compute {
        /// Whether it is the one that tries WebGPU.
        gpu: bool,
    },
}

/// Faults that the page injects when its address asks for them (`?inject=gpu-loss`), for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inject {
    /// The GPU is lost after the first tensor that it made.
    GpuLoss,
    /// A compute worker panics at its second job.
    Panic,
}

impl Inject {
    /// The fault that a query string (`?inject=…`) asks for.
    pub fn from_query(query: &str) -> Option<Self> {
        query.trim_start_matches('?').split('&').find_map(|pair| match pair {
            "inject=gpu-loss" => Some(Self::GpuLoss),
            "inject=panic" => Some(Self::Panic),
            _ => None,
        })
    }
}

/// From the page to the desk.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToDesk {
    /// What the person asks for. `File`s travel beside an open.
    Request(Request),
    /// A new compute worker. Its port travels beside.
    Compute {
        /// Its number, never used twice.
        number: u32,
        /// Whether it is the one that tries WebGPU.
        gpu: bool,
    },
    /// The page ended every compute worker.
    Dismissed,
    /// A compute worker died.
    Died {
        /// Its number.
        number: u32,
        /// Its last words.
        why: String,
    },
}

/// From the desk to a compute worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToCompute {
    /// A merge begins: its plan, and beside it the weight files, an array an input, and the files to write to, if they are shared. Nothing is
    /// beside it where the weights are made up.
    Prepare {
        /// Names the merge.
        merge: u32,
        /// The plan.
        plan: Box<Plan>,
        /// What a job may hold.
        limits: Limits,
        /// Whether to use the GPU, if this worker has one.
        gpu: bool,
    },
    /// The merge is over: the files are to be closed.
    Over,
    /// Make one tensor.
    Run {
        /// Its index in the plan.
        job: usize,
        /// How.
        how: How,
    },
    /// A window was written.
    Ack {
        /// Its bytes.
        bytes: u64,
    },
    /// Hash a file, which travels beside.
    Hash {
        /// Names the merge.
        merge: u32,
        /// Its number among the result's files.
        file: usize,
    },
}

/// How a tensor is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// As the plan says.
    Make,
    /// Not at all: its bytes are moved and nothing is computed.
    Copy,
    /// On the GPU and on the CPU, and the two are compared.
    Compare,
}

/// From a compute worker to the desk.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromCompute {
    /// What became of the probe.
    Gpu(GpuState),
    /// A finished window, where this worker does not write itself. Its buffer travels beside.
    Window {
        /// Names the merge.
        merge: u32,
        /// Number of the output's weight file.
        file: usize,
        /// First byte in it.
        offset: u64,
    },
    /// How far a job is.
    Working {
        /// Names the merge.
        merge: u32,
        /// Its index in the plan.
        job: usize,
        /// The share that is done.
        share: f64,
    },
    /// A job is done; all its windows were sent.
    Done {
        /// Names the merge.
        merge: u32,
        /// Its index in the plan.
        job: usize,
        /// How it went.
        report: JobReport,
        /// What a comparison found.
        beside: Option<Beside>,
        /// Bytes of wasm memory.
        memory: u64,
    },
    /// A job failed.
    Failed {
        /// Names the merge.
        merge: u32,
        /// Its index in the plan.
        job: usize,
        /// Why.
        error: RunError,
    },
    /// A file was hashed.
    Hashed {
        /// Names the merge.
        merge: u32,
        /// Its number among the result's files.
        file: usize,
        /// Lower-case hex; `None` if it could not be read.
        sha256: Option<String>,
    },
}

/// From the page to a scribe.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToScribe {
    /// The one order. The result's files travel beside, in the order of `paths`.
    Write {
        /// What the result is called.
        name: String,
        /// The files' names.
        paths: Vec<String>,
        /// The matrices' type; `None` for that of most of the result's numbers.
        dtype: Option<GgufType>,
    },
    /// What it wrote, or is writing, is no longer wanted.
    Over,
}

/// Where messages go.
pub trait Post {
    /// Sends `message`, with `transfer` handed over.
    fn post_array(&self, message: &Array, transfer: &Array) -> Result<(), JsValue>;
}

macro_rules! post {
    ($($target:ty: $method:ident),*) => {$(
        impl Post for $target {
            fn post_array(&self, message: &Array, transfer: &Array) -> Result<(), JsValue> {
                self.$method(message, transfer)
            }
        }
    )*};
}

post!(
    Worker: post_message_with_transfer,
    MessagePort: post_message_with_transferable,
    DedicatedWorkerGlobalScope: post_message_with_transfer
);

/// Sends `message`, `beside` it, and hands over what is in `transfer`.
///
/// A message that cannot be sent is a fault of this program; it shows in the browser's console.
pub fn post(to: &impl Post, message: &impl Serialize, beside: Option<&JsValue>, transfer: Option<&JsValue>) {
    let bytes = match postcard::to_allocvec(message) {
        Ok(bytes) => Uint8Array::from(bytes.as_slice()),
        Err(error) => return web_sys::console::error_1(&error.to_string().into()),
    };
    let array = Array::of1(&bytes);
    let transfers = Array::of1(&bytes.buffer());
    if let Some(beside) = beside {
        array.push(beside);
    }
    if let Some(transfer) = transfer {
        transfers.push(transfer);
    }
    if let Err(error) = to.post_array(&array, &transfers) {
        web_sys::console::error_1(&error);
    }
}

/// Takes a message apart; `None`, and a word in the browser's console, if it is not one of ours.
pub fn parse<T: DeserializeOwned>(data: &JsValue) -> Option<(T, JsValue)> {
    let array = data.dyn_ref::<Array>()?;
    let bytes = array.get(0).dyn_into::<Uint8Array>().ok()?.to_vec();
    match postcard::from_bytes(&bytes) {
        Ok(message) => Some((message, array.get(1))),
        Err(error) => {
            web_sys::console::error_1(&error.to_string().into());
            None
        }
    }
}

/// This worker's global scope.
pub fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Waits for some milliseconds, and one turn of the event loop at least.
pub async fn pause(milliseconds: i32) {
    let promise = Promise::new(&mut |resolve, _| {
        // Cannot fail: the handler is a function.
        let _ = scope().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
    });
    let _ = JsFuture::from(promise).await;
}

/// Tells the page that this worker listens. It sends nothing before: a message to a worker whose program is still loading would be lost.
pub fn say_loaded() {
    if let Err(error) = scope().post_message(&JsValue::NULL) {
        web_sys::console::error_1(&error);
    }
}

/// A JavaScript error's words.
pub fn words(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || error.as_string().unwrap_or_else(|| format!("{error:?}")),
        |error| format!("{}: {}", String::from(error.name()), String::from(error.message())),
    )
}

/// A JavaScript error's name (`QuotaExceededError` and its like).
pub fn error_name(error: &JsValue) -> String {
    js_sys::Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}
