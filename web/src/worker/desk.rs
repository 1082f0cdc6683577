//! The desk: opens models, plans, hands out jobs, and is the one writer of the output.
//!
//! It computes nothing, so that it answers at once. What must wait (the private file system) is done one request at a time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use js_sys::{Array, Date, Uint8Array};
use merge_studio::format::retain;
use merge_studio::kernel::BackendError;
use merge_studio::model::tokenizer::TokenizerFiles;
use merge_studio::model::{self, Folder};
use merge_studio::plan;
use merge_studio::recipe::Recipe;
use merge_studio::run::{JobReport, RunError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, File, MessageEvent, MessagePort};

use super::finish::{Finished, read_copies};
use super::gauge::Gauge;
use super::merge::{Merge, merge_error};
use super::stages::{Stages, Step};
use super::state::{Compute, Gpu, State};
use super::{on_message, say};
use crate::io::{OutputError, Store, WebFile, short_of};
use crate::protocol::{
    Event, GpuState, MergeError, ModelId, NoGpu, OpenError, PlanToken, Request, RunNotice, RunOn, Storage,
};
use crate::wire::{self, FromCompute, How, ToCompute, ToDesk, words};

/// What is done one after another.
enum Task {
    /// What the page asks for, and what came beside it.
    Request(Request, JsValue),
    /// Closing the files of the merge of this number, all of whose tensors are made, and beginning the next.
    Finish(u32),
}

/// The desk. What must wait stands in line; what compute workers say is dealt with at once.
struct Desk {
    store: RefCell<Option<Rc<Store>>>,
    state: RefCell<State>,
    line: RefCell<VecDeque<Task>>,
    busy: Cell<bool>,
}

/// Becomes the desk.
pub(super) fn start(session: String, workers: u32) {
    let desk = Rc::new(Desk {
        store: RefCell::default(),
        state: RefCell::new(State {
            workers,
            ids: Vec::new(),
            models: Vec::new(),
            folders: Vec::new(),
            tokenizers: BTreeMap::new(),
            latest: None,
            computes: Vec::new(),
            gpu: Gpu { state: GpuState::Probing, probing: false },
            merges: 0,
            run_on: RunOn::Auto,
            merge: None,
            stages: None,
            small: Vec::new(),
            files: Array::new(),
            finished: None,
            gauge: None,
        }),
        line: RefCell::default(),
        busy: Cell::new(true),
    });
    let hearing = desk.clone();
    let handler = on_message(move |event: MessageEvent| hearing.clone().hear(&event));
    super::scope().set_onmessage(Some(handler.unchecked_ref()));
    spawn_local(async move {
        let store = Rc::new(Store::open(session).await);
        say(&Event::Ready { storage: store.describe() });
        desk.store.replace(Some(store));
        desk.work().await;
    });
}

impl Desk {
    fn hear(self: Rc<Self>, event: &MessageEvent) {
        let Some((message, beside)) = wire::parse::<ToDesk>(&event.data()) else { return };
        match message {
            ToDesk::Compute { number, gpu } => self.attach(number, gpu, beside.unchecked_into()),
            ToDesk::Dismissed => self.dismiss(),
            ToDesk::Died { number, why } => {
                self.state.borrow_mut().forget(number);
                self.state.borrow_mut().stop_gauge(why.clone()).iter().for_each(say);
                self.fail(MergeError::WorkerDied(why));
            }
            ToDesk::Request(request) => self.stand_in_line(Task::Request(request, beside)),
        }
    }

    fn stand_in_line(self: &Rc<Self>, task: Task) {
        self.line.borrow_mut().push_back(task);
        if !self.busy.replace(true) {
            let desk = self.clone();
            spawn_local(async move { desk.work().await });
        }
    }

    /// Does what waits.
    async fn work(self: Rc<Self>) {
        loop {
            let Some(task) = self.line.borrow_mut().pop_front() else { break };
            match task {
                Task::Request(request, beside) => self.answer(request, &beside).await,
                Task::Finish(number) => self.finish(number).await,
            }
        }
        self.busy.set(false);
    }

    async fn answer(&self, request: Request, beside: &JsValue) {
        match request {
            Request::Open { id, name, paths } => self.open(id, name, paths, beside).await,
            Request::Close { id } => self.state.borrow_mut().close(id),
            Request::Plan { token, recipe, binding, options } => {
                self.read_tokenizers(&recipe, &binding).await;
                say(&self.state.borrow_mut().plan(token, *recipe, &binding, options));
            }
            Request::Merge { token, run_on } => self.merge(token, run_on).await,
            Request::Cancel => {
                self.state.borrow_mut().finished = None;
                if !self.drop_merge().await {
                    // It had just finished.
                    self.store().clear().await;
                }
                say(&Event::Cancelled);
            }
            Request::Discard => {
                self.state.borrow_mut().finished = None;
                self.store().clear().await;
            }
            Request::Gauge { number, layers } => {
                self.state.borrow_mut().gauge = Some(Gauge::new(number, layers));
                self.hand_out();
            }
        }
    }

    fn store(&self) -> Rc<Store> {
        // Requests wait until there is one.
        self.store.borrow().clone().unwrap_or_else(|| Rc::new(Store::Memory(crate::protocol::NoDisk::Unsupported)))
    }

    async fn open(&self, id: ModelId, name: String, paths: Vec<String>, files: &JsValue) {
        let files =
            files.unchecked_ref::<Array>().iter().map(|file| WebFile::new(file.unchecked_into::<File>().into()));
        let files = match files.collect::<Result<Vec<_>, JsValue>>() {
            Ok(files) => super::by_path(paths, files),
            Err(error) => return say(&Event::OpenFailed { id, error: OpenError::Browser(words(&error)) }),
        };
        let folder = Folder { name, files };
        let event = match model::open(&folder).await {
            Ok(model) => {
                let event = Event::Opened { id, model: Box::new(model.clone()) };
                let mut state = self.state.borrow_mut();
                state.close(id);
                state.ids.push(id);
                state.models.push(model);
                state.folders.push(folder);
                event
            }
            Err(error) => Event::OpenFailed { id, error: OpenError::Model(error) },
        };
        say(&event);
    }

    /// Reads the tokenizers that a plan wants to see, and lets go of all others. One that cannot be read is as good as missing.
    async fn read_tokenizers(&self, recipe: &Recipe, binding: &BTreeMap<String, ModelId>) {
        let unread: Vec<(usize, Folder<WebFile>)> = {
            let mut state = self.state.borrow_mut();
            let wanted = plan::tokenizers_wanted(recipe, &state.models, &state.bound(binding));
            retain(&mut state.tokenizers, &mut |index, _| wanted.contains(index));
            let unread = wanted.into_iter().filter(|index| !state.tokenizers.contains_key(index));
            unread.map(|index| (index, state.folders[index].clone())).collect()
        };
        for (index, folder) in unread {
            if let Ok(files) = TokenizerFiles::read(&folder).await {
                self.state.borrow_mut().tokenizers.insert(index, files);
            }
        }
    }

    async fn merge(&self, token: PlanToken, run_on: RunOn) {
        let started = Date::now();
        self.drop_merge().await;
        let prepared = {
            let mut state = self.state.borrow_mut();
            state.finished = None;
            for compute in &mut state.computes {
                compute.hashing = None;
            }
            state.merges += 1;
            state.run_on = run_on;
            state.prepare(token)
        };
        let step = match prepared {
            Ok(step) => step,
            Err(error) => return say(&Event::MergeFailed { error }),
        };
        say(&Event::Progress(step.around.progress()));
        let store = self.store();
        store.clear().await;
        let needed = self.state.borrow().stages.as_ref().map_or(0, |stages| stages.plan.disk_at_most());
        if let Err(error) = store.fits(needed).await {
            return self.stop(merge_error(error, &step.plan, 0)).await;
        }
        if !self.begin(step, started, Vec::new()).await {
            return;
        }
        if let Storage::Memory(why) = store.describe() {
            self.notice(RunNotice::InMemory(why));
        }
        let absent = match &self.state.borrow().gpu {
            Gpu { state: GpuState::Absent(why), probing: false } if run_on == RunOn::WebGpu => Some(why.clone()),
            _ => None,
        };
        if let Some(why) = absent {
            self.notice(RunNotice::GpuAbsent(why));
        }
        self.go().await;
    }

    /// Makes the files of a merge and notes it as the running one, with the notices of the stages before it. False where it failed, or
    /// is not wanted any more.
    async fn begin(&self, step: Step, started: f64, noted: Vec<RunNotice>) -> bool {
        let Step { plan, place, small, sources, notices, around } = step;
        let files: Vec<(String, u64)> = plan.files.iter().map(|file| (file.name.clone(), file.len)).collect();
        let before = self.running();
        let created = match self.store().create(place, &files).await {
            Ok(output) => output.share().await,
            Err(error) => Err(error),
        };
        if self.is_cancelled() || self.running() != before {
            drop(created);
            self.store().clear().await;
            return false;
        }
        let begun = created.and_then(|(output, shared)| {
            let mut state = self.state.borrow_mut();
            let possible = state.gpu.probing || matches!(state.gpu.state, GpuState::Ready { .. });
            let gpu = state.run_on != RunOn::Cpu && possible;
            let mut merge = Merge::new(state.merges, plan.clone(), output, state.workers, gpu, started, around)?;
            for notice in noted {
                merge.note(notice);
            }
            (state.small, state.files, state.merge) = (small, Array::of2(&sources, &shared), Some(merge));
            Ok(())
        });
        if let Err(error) = begun {
            self.stop(merge_error(error, &plan, 0)).await;
            return false;
        }
        for notice in notices {
            self.notice(notice);
        }
        true
    }

    /// The number of the running merge.
    fn running(&self) -> Option<u32> {
        self.state.borrow().merge.as_ref().map(|merge| merge.number)
    }

    /// Whether a request to stop waits in line.
    fn is_cancelled(&self) -> bool {
        self.line.borrow().iter().any(|task| matches!(task, Task::Request(Request::Cancel, _)))
    }

    /// Sets the workers to the running merge.
    async fn go(&self) {
        self.progress();
        {
            let state = self.state.borrow();
            for compute in &state.computes {
                state.prepare_compute(compute);
            }
        }
        self.hand_out();
        let read = read_copies(&mut self.state.borrow_mut().small);
        if let Err(error) = read {
            self.stop(error).await;
        }
    }

    /// Takes in what a stage made and begins the merge after it.
    async fn after_stage(&self, weights: Vec<Blob>) {
        let next = {
            let mut state = self.state.borrow_mut();
            let small = std::mem::take(&mut state.small);
            let Some(stages) = &mut state.stages else { return };
            stages.done(weights, small).and_then(|over| Ok((over, stages.step()?)))
        };
        let (over, step) = match next {
            Ok(next) => next,
            Err(error) => return self.stop(error).await,
        };
        let after = {
            let mut state = self.state.borrow_mut();
            state.merges += 1;
            state.merge.as_ref().map(|merge| (merge.started, merge.noted()))
        };
        let Some((started, noted)) = after else { return };
        for place in over {
            self.store().remove(place).await;
        }
        if self.begin(step, started, noted).await {
            self.go().await;
        }
    }

    /// Tells a notice and keeps it for the report.
    fn notice(&self, notice: RunNotice) {
        say(&Event::Notice(notice.clone()));
        if let Some(merge) = &mut self.state.borrow_mut().merge {
            merge.note(notice);
        }
    }

    fn progress(&self) {
        let due = self.state.borrow_mut().merge.as_mut().and_then(|merge| merge.progress(Date::now()));
        if let Some(progress) = due {
            say(&Event::Progress(progress));
        }
    }

    /// Gives every worker that has nothing to do a job, or a file to hash.
    fn hand_out(&self) {
        let mut state = self.state.borrow_mut();
        if state.gauge.is_some() {
            return state.gauge_on().iter().for_each(say);
        }
        let State { computes, merge, finished, gpu, .. } = &mut *state;
        for compute in computes.iter_mut().filter(|compute| !(compute.gpu && gpu.probing)) {
            if let Some(job) = merge.as_mut().and_then(|merge| merge.next(compute.number, compute.gpu)) {
                wire::post(&compute.port, &ToCompute::Run { job, how: How::Make }, None, None);
            } else if merge.is_none()
                && compute.hashing.is_none()
                && let Some((merge, file, blob)) = finished.as_mut().and_then(Finished::next)
            {
                compute.hashing = Some(file);
                wire::post(&compute.port, &ToCompute::Hash { merge, file }, Some(&blob), None);
            }
        }
    }

    fn attach(self: Rc<Self>, number: u32, gpu: bool, port: MessagePort) {
        let hearing = self.clone();
        let handler = on_message(move |event: MessageEvent| {
            if let Some((message, beside)) = wire::parse(&event.data()) {
                hearing.clone().hear_compute(number, message, &beside);
            }
        });
        port.set_onmessage(Some(handler.unchecked_ref()));
        {
            let mut state = self.state.borrow_mut();
            let compute = Compute { number, port, gpu, hashing: None };
            state.gpu.probing |= gpu;
            state.prepare_compute(&compute);
            state.computes.push(compute);
        }
        self.tell_workers();
        self.hand_out();
    }

    fn tell_workers(&self) {
        let state = self.state.borrow();
        say(&Event::Workers { cpu: state.workers, gpu: state.gpu.state.clone() });
    }

    /// Forgets every compute worker: the page has ended them.
    fn dismiss(&self) {
        let mut state = self.state.borrow_mut();
        state.gauge = None;
        let numbers: Vec<u32> = state.computes.iter().map(|compute| compute.number).collect();
        for number in numbers {
            state.forget(number);
        }
    }

    fn hear_compute(self: Rc<Self>, worker: u32, message: FromCompute, beside: &JsValue) {
        let running = self.state.borrow().merge.as_ref().map(|merge| merge.number);
        match message {
            FromCompute::Gpu(state) => self.probed(state),
            FromCompute::Window { merge, file, offset } if running == Some(merge) => {
                self.write(worker, file, offset, &Uint8Array::new(beside));
                self.progress();
            }
            FromCompute::Working { merge, job, share } if running == Some(merge) => {
                if let Some(merge) = &mut self.state.borrow_mut().merge {
                    merge.working(worker, job, share);
                }
                self.progress();
            }
            FromCompute::Done { merge, job, report, memory, .. } if running == Some(merge) => {
                self.done(worker, job, report, memory);
            }
            FromCompute::Failed { merge, job, error: RunError::Write(error) } if running == Some(merge) => {
                let state = self.state.borrow();
                let file = state.merge.as_ref().map_or(0, |merge| merge.plan.jobs[job].file);
                drop(state);
                self.unwritten(file, error.into());
            }
            FromCompute::Failed { merge, error, .. } if running == Some(merge) => self.fail(MergeError::Run(error)),
            FromCompute::Hashed { merge, file, sha256 } => {
                let events = {
                    let mut state = self.state.borrow_mut();
                    if let Some(compute) = state.computes.iter_mut().find(|compute| compute.number == worker) {
                        compute.hashing = None;
                    }
                    state.finished.as_mut().map_or_else(Vec::new, |finished| finished.hashed(merge, file, sha256))
                };
                events.iter().for_each(say);
                self.hand_out();
            }
            // Of a measurement, or from a merge that was cancelled or failed.
            message => self.state.borrow_mut().gauged(worker, message).iter().for_each(say),
        }
    }

    fn probed(&self, found: GpuState) {
        let missing = {
            let mut state = self.state.borrow_mut();
            let run_on = state.run_on;
            state.gpu = Gpu { state: found.clone(), probing: false };
            match (found, &mut state.merge) {
                (GpuState::Absent(why), Some(merge)) if merge.gpu => {
                    merge.lose_gpu();
                    (run_on == RunOn::WebGpu).then_some(why)
                }
                _ => None,
            }
        };
        if let Some(why) = missing {
            self.notice(RunNotice::GpuAbsent(why));
        }
        self.tell_workers();
        self.hand_out();
    }

    fn write(self: &Rc<Self>, worker: u32, file: usize, offset: u64, bytes: &Uint8Array) {
        let mut state = self.state.borrow_mut();
        let State { computes, merge, .. } = &mut *state;
        let Some(merge) = merge else { return };
        let Some(output) = &mut merge.output else { return };
        match output.write(file, offset, bytes) {
            Ok(()) => {
                if let Some(compute) = computes.iter().find(|compute| compute.number == worker) {
                    wire::post(&compute.port, &ToCompute::Ack { bytes: bytes.length().into() }, None, None);
                }
            }
            Err(error) => {
                drop(state);
                self.unwritten(file, error);
            }
        }
    }

    /// Ends the running merge, of which a window could not be written.
    fn unwritten(self: &Rc<Self>, file: usize, error: OutputError) {
        let state = self.state.borrow();
        let Some(merge) = &state.merge else { return };
        let (plan, left) = (merge.plan.clone(), merge.bytes_left());
        drop(state);
        let desk = self.clone();
        spawn_local(async move {
            desk.fail(merge_error(short_of(error, left).await, &plan, file));
        });
    }

    fn done(self: Rc<Self>, worker: u32, job: usize, report: JobReport, memory: u64) {
        let declined = report.declined.clone();
        let (number, last, notice) = {
            let mut state = self.state.borrow_mut();
            let State { merge, gpu, .. } = &mut *state;
            let Some(merge) = merge else { return };
            let tensor = merge.plan.jobs[job].name.clone();
            let last = merge.done(worker, job, report, memory);
            let notice = match declined {
                Some(BackendError::Lost(why)) => {
                    merge.lose_gpu();
                    gpu.state = GpuState::Absent(NoGpu::Lost(why.clone()));
                    Some(RunNotice::GpuLost { tensor, why })
                }
                Some(why @ BackendError::OutOfMemory) => {
                    merge.lose_gpu();
                    gpu.state = GpuState::Absent(NoGpu::OutOfMemory);
                    Some(RunNotice::GpuDeclined { tensor, why })
                }
                Some(why) if merge.was_for_gpu(job) => Some(RunNotice::GpuDeclined { tensor, why }),
                _ => None,
            };
            (merge.number, last, notice)
        };
        if let Some(notice) = notice {
            self.notice(notice);
            self.tell_workers();
        }
        if last {
            self.stand_in_line(Task::Finish(number));
        } else {
            self.progress();
            self.hand_out();
        }
    }

    /// Publishes, flushes, and starts hashing.
    async fn finish(&self, number: u32) {
        let output = {
            let mut state = self.state.borrow_mut();
            let merge = state.merge.as_mut().filter(|merge| merge.number == number);
            merge.and_then(|merge| merge.output.take())
        };
        let Some(output) = output else { return };
        for compute in &self.state.borrow().computes {
            wire::post(&compute.port, &ToCompute::Over, None, None);
        }
        let shared = output.is_shared();
        let flushed = if shared { Ok(()) } else { output.flush() };
        let weights = match flushed {
            Ok(()) => output.files().await,
            Err(error) => Err(error),
        };
        // It may have failed in the meantime.
        let running =
            self.state.borrow().merge.as_ref().filter(|merge| merge.number == number).map(|merge| merge.plan.clone());
        let Some(plan) = running else { return };
        let weights = match weights {
            Ok(weights) => weights,
            Err(error) => {
                drop(output);
                return self.stop(merge_error(error, &plan, 0)).await;
            }
        };
        let is_stage = self.state.borrow().stages.as_ref().is_some_and(Stages::is_stage);
        if is_stage {
            // Only the merges after it read it.
            drop(output);
            return self.after_stage(weights).await;
        }
        let over = self.publish(weights);
        if shared && let Err(error) = output.flush() {
            drop(output);
            self.state.borrow_mut().finished = None;
            return self.stop(merge_error(error, &plan, 0)).await;
        }
        self.hand_out();
        for place in over {
            self.store().remove(place).await;
        }
    }

    /// Tells the page of the result; gives the places of the stages' results that are left.
    fn publish(&self, weights: Vec<Blob>) -> Vec<usize> {
        let mut state = self.state.borrow_mut();
        let over = state.stages.take().map_or_else(Vec::new, |stages| stages.until_the_end());
        let small = std::mem::take(&mut state.small);
        let Some(merge) = state.merge.take() else { return over };
        let report = merge.report(Date::now());
        let finished = Finished::new(&merge, weights, small);
        let event = Event::Finished { files: finished.files(), report: Box::new(report) };
        wire::post(&super::scope(), &event, Some(&finished.blobs()), None);
        state.finished = Some(finished);
        over
    }

    /// Ends a running merge, if there is one, with an error.
    fn fail(self: &Rc<Self>, error: MergeError) {
        if self.state.borrow().merge.is_none() {
            return;
        }
        let desk = self.clone();
        spawn_local(async move { desk.stop(error).await });
    }

    async fn stop(&self, error: MergeError) {
        say(&Event::MergeStopping);
        self.drop_merge().await;
        self.store().clear().await;
        say(&Event::MergeFailed { error });
    }

    /// Lets go of a running merge and removes what it wrote; false if there was none.
    async fn drop_merge(&self) -> bool {
        self.state.borrow_mut().stages = None;
        if self.state.borrow_mut().merge.take().is_none() {
            return false;
        }
        self.store().clear().await;
        true
    }
}
