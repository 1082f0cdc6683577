//! A compute worker: makes the tensors that the desk hands it, one at a time, and writes their windows, or posts them to the desk where
//! only one worker can write.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use js_sys::{Array, ArrayBuffer, Function, Promise, Reflect, Uint8Array};
use merge_studio::format::{ReadError, Source};
use merge_studio::gauge::{self, Beside, Kept, Made};
use merge_studio::kernel::gpu::{Gpu, GpuError};
use merge_studio::plan::Plan;
use merge_studio::run::{self, Bench, JobReport, Limits, RunError, Sink, WriteError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{MessageEvent, MessagePort};

use super::{hash, on_message};
use crate::io::{OutputError, SharedFiles, StreamedFile};
use crate::protocol::{GpuState, NoGpu};
use crate::wire::{self, FromCompute, How, Inject, ToCompute};

/// Bytes that may be on their way to the desk: what bounds memory when the disk is slower than the arithmetic.
pub(super) const IN_FLIGHT: u64 = 32 << 20;
/// Seconds between reports of how far a job is.
const REPORT_EVERY: f64 = 0.1;

/// What the worker holds on to.
struct Compute {
    port: MessagePort,
    inject: Option<Inject>,
    /// The GPU while it is not on the bench.
    gpu: RefCell<Option<Gpu>>,
    /// The merge that this worker last heard of: what it hashes must be of that one.
    merge_number: Cell<u32>,
    /// Taken out while a job runs.
    merge: RefCell<Option<Merge>>,
    flow: Rc<Flow>,
    jobs: Cell<u32>,
    /// What is measured with, once it is.
    made: OnceCell<[Made; 3]>,
}

/// The merge that this worker takes part in.
struct Merge {
    number: u32,
    plan: Plan,
    limits: Limits,
    sources: Vec<Vec<Input>>,
    bench: Bench,
    output: Output,
}

/// A weight file.
enum Input {
    File(StreamedFile),
    Made(Made),
}

impl Source for Input {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Made(made) => made.len(),
        }
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        match self {
            Self::File(file) => file.read(offset, into).await,
            Self::Made(made) => made.read(offset, into).await,
        }
    }
}

/// Windows on their way to the desk.
#[derive(Default)]
struct Flow {
    bytes: Cell<u64>,
    waker: Cell<Option<Waker>>,
}

impl Flow {
    fn acknowledged(&self, bytes: u64) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until there is room for another window.
    async fn room(&self) {
        poll_fn(|context| {
            if self.bytes.get() < IN_FLIGHT {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Becomes a compute worker.
pub(super) fn start(port: &MessagePort, gpu: bool, inject: Option<Inject>) {
    let compute = Rc::new(Compute {
        port: port.clone(),
        inject,
        gpu: RefCell::default(),
        merge_number: Cell::new(0),
        merge: RefCell::default(),
        flow: Rc::default(),
        jobs: Cell::new(0),
        made: OnceCell::new(),
    });
    spawn_local(async move {
        // Jobs wait until the probe is through: a merge that begins at once shall find the GPU.
        if gpu {
            let state = compute.probe().await;
            compute.tell(&FromCompute::Gpu(state));
        }
        let port = compute.port.clone();
        let handler = on_message(move |event: MessageEvent| compute.clone().hear(&event));
        port.set_onmessage(Some(handler.unchecked_ref()));
    });
}

impl Compute {
    async fn probe(&self) -> GpuState {
        let scope = super::scope();
        if !scope.is_secure_context() {
            return GpuState::Absent(NoGpu::InsecureContext);
        }
        if !Reflect::get(&scope.navigator(), &"gpu".into()).is_ok_and(|gpu| gpu.is_object()) {
            return GpuState::Absent(NoGpu::Unsupported);
        }
        match Gpu::open().await {
            Ok(gpu) => {
                let adapter = match gpu.name() {
                    unnamed if unnamed.is_empty() => adapter_name().await.unwrap_or_default(),
                    name => name,
                };
                self.gpu.replace(Some(gpu));
                GpuState::Ready { adapter }
            }
            Err(GpuError::NoAdapter) => GpuState::Absent(NoGpu::NoAdapter),
            Err(GpuError::NoDevice(why)) => GpuState::Absent(NoGpu::NoDevice(why)),
            Err(GpuError::ProbeFailed { what }) => GpuState::Absent(NoGpu::ProbeFailed(what.to_owned())),
        }
    }

    fn tell(&self, message: &FromCompute) {
        wire::post(&self.port, message, None, None);
    }

    fn hear(self: Rc<Self>, event: &MessageEvent) {
        let Some((message, beside)) = wire::parse::<ToCompute>(&event.data()) else { return };
        match message {
            ToCompute::Prepare { merge, plan, limits, gpu } => self.prepare(merge, *plan, limits, gpu, &beside),
            ToCompute::Over => self.rest(),
            ToCompute::Run { job, how } => spawn_local(async move { self.run(job, how).await }),
            ToCompute::Ack { bytes } => self.flow.acknowledged(bytes),
            ToCompute::Hash { merge, file } => spawn_local(async move {
                let wanted = || self.merge_number.get() <= merge;
                let sha256 = hash::sha256(&StreamedFile::new(beside.unchecked_into()), wanted).await;
                self.tell(&FromCompute::Hashed { merge, file, sha256 });
            }),
        }
    }

    /// Forgets the merge, closes its files, and puts the GPU back, which gives its memory back.
    fn rest(&self) {
        if let Some(mut gpu) = self.merge.take().and_then(|merge| merge.bench.gpu) {
            gpu.rest();
            self.gpu.replace(Some(gpu));
        }
    }

    fn prepare(&self, number: u32, plan: Plan, limits: Limits, gpu: bool, beside: &JsValue) {
        self.rest();
        let mut sources: Vec<Vec<Input>> = Vec::new();
        let mut output = Output::Here(Kept::new(0, false));
        if let Some(beside) = beside.dyn_ref::<Array>() {
            self.merge_number.set(number);
            for files in beside.get(0).unchecked_into::<Array>().iter() {
                let files = files.unchecked_into::<Array>();
                let files = StreamedFile::of_model(files.iter().map(JsCast::unchecked_into));
                sources.push(files.into_iter().map(Input::File).collect());
            }
            let shared = beside.get(1).unchecked_into::<Array>();
            output = if shared.length() > 0 {
                Output::Files(SharedFiles::new(&shared))
            } else {
                Output::Desk { port: self.port.clone(), merge: number, flow: self.flow.clone() }
            };
        } else {
            let made = self.made.get_or_init(gauge::models);
            sources.extend(plan.inputs.iter().map(|input| vec![Input::Made(made[input.model].clone())]));
        }
        let bench = Bench { gpu: if gpu { self.gpu.take() } else { None }, ..Bench::default() };
        self.merge.replace(Some(Merge { number, plan, limits, sources, bench, output }));
    }

    async fn run(&self, job: usize, how: How) {
        let Some(mut merge) = self.merge.take() else { return };
        let number = merge.number;
        let done = match how {
            How::Copy => {
                let Merge { plan, limits, sources, bench, .. } = &mut merge;
                gauge::copy(plan, job, sources, bench, limits.window).await.map(|()| Default::default())
            }
            _ => self.make(&mut merge, job, how == How::Compare).await,
        };
        match done {
            Ok((report, beside)) => {
                let memory = wasm_bindgen::memory().unchecked_into::<js_sys::WebAssembly::Memory>();
                let memory = memory.buffer().unchecked_into::<ArrayBuffer>().byte_length().into();
                self.tell(&FromCompute::Done { merge: number, job, report, beside, memory });
            }
            Err(error) => self.tell(&FromCompute::Failed { merge: number, job, error }),
        }
        self.merge.replace(Some(merge));
    }

    /// Makes one tensor; to compare, once with the GPU and once without it.
    async fn make(
        &self,
        Merge { number, plan, limits, sources, bench, output }: &mut Merge,
        job: usize,
        compare: bool,
    ) -> Result<(JobReport, Option<Beside>), RunError> {
        self.jobs.set(self.jobs.get() + 1);
        assert!(self.inject != Some(Inject::Panic) || self.jobs.get() != 2, "a panic, injected");
        if self.inject == Some(Inject::GpuLoss)
            && self.jobs.get() >= 2
            && let Some(gpu) = &mut bench.gpu
        {
            gpu.breaker()();
        }
        let mut told = js_sys::Date::now();
        let mut watch = |progress: run::Progress| {
            let now = js_sys::Date::now();
            if now - told >= REPORT_EVERY * 1000.0 {
                told = now;
                let share = progress.done as f64 / progress.total.max(1) as f64;
                self.tell(&FromCompute::Working { merge: *number, job, share });
            }
        };
        if compare {
            *output = Output::Here(Kept::new(plan.jobs[job].offset, true));
        }
        let mut first: Option<(JobReport, Vec<u8>)> = None;
        let mut gpu = None;
        loop {
            let report = run::job(plan, job, sources, bench, limits, output, &mut watch).await?;
            let bytes = if let Output::Here(kept) = output { kept.take() } else { None };
            let Some(bytes) = bytes else { return Ok((report, None)) };
            if let Some((report, made)) = first {
                bench.gpu = gpu;
                *output = Output::Here(Kept::new(0, false));
                return Ok((report, Some(Beside::of(&made, &bytes))));
            }
            first = Some((report, bytes));
            gpu = bench.gpu.take();
        }
    }
}

/// What the browser says of the adapter, where its driver's name is kept from pages.
async fn adapter_name() -> Option<String> {
    let get = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok();
    let gpu = get(&super::scope().navigator(), "gpu")?;
    let request: Function = get(&gpu, "requestAdapter")?.dyn_into().ok()?;
    let adapter = JsFuture::from(request.call0(&gpu).ok()?.dyn_into::<Promise>().ok()?).await.ok()?;
    let info = get(&adapter, "info")?;
    let words = |names: &[&str]| {
        let words = names.iter().filter_map(|name| get(&info, name)?.as_string()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    Some(words(&["description"])).filter(|name| !name.is_empty()).or_else(|| Some(words(&["vendor", "architecture"])))
}

/// Where a merge's windows go.
enum Output {
    /// Into the files.
    Files(SharedFiles),
    /// To the desk, the one that can write.
    Desk { port: MessagePort, merge: u32, flow: Rc<Flow> },
    /// Nowhere, or into memory: it is only made to see how long that takes, or to be compared.
    Here(Kept),
}

impl Sink for Output {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        match self {
            Self::Here(kept) => kept.write(file, offset, bytes).await,
            Self::Files(files) => files.write(file, offset, &bytes).await.map_err(|error| match error {
                OutputError::NoSpace(short) => WriteError::NoRoom { short: short.unwrap_or(bytes.len() as u64) },
                OutputError::Failed(why) => WriteError::Host(why),
            }),
            Self::Desk { port, merge, flow } => {
                flow.room().await;
                flow.bytes.set(flow.bytes.get() + bytes.len() as u64);
                let buffer = Uint8Array::from(bytes.as_slice()).buffer();
                let message = FromCompute::Window { merge: *merge, file, offset };
                wire::post(port, &message, Some(&buffer), Some(&buffer));
                Ok(())
            }
        }
    }
}
