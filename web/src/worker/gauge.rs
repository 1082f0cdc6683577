//! How fast this device merges, as the desk measures it: backend after backend, task after task, round after round.
//!
//! Workers get the fixed merge's tensors as they get any merge's, one after another, and make its weights themselves.

use merge_studio::gauge::{Row, TASKS, Timed, table};
use merge_studio::kernel::BackendKind;

use super::merge::limits;
use super::state::{Compute, State};
use crate::protocol::{Event, Gauged, GpuState};
use crate::wire::{self, FromCompute, How, ToCompute};

/// A measurement on its way.
pub(super) struct Gauge {
    number: u32,
    layers: u64,
    rows: Vec<Row>,
    running: Option<Running>,
}

/// A task on one backend.
struct Running {
    /// What the workers know it by.
    merge: u32,
    row: usize,
    backend: BackendKind,
    timed: Timed,
    /// Tensors of the round, the next of them to hand out, and how many are not done.
    tensors: usize,
    next: usize,
    left: usize,
    began: f64,
}

impl Running {
    fn begin_round(&mut self, computes: &[Compute]) {
        (self.next, self.tensors) = (0, self.timed.tensors(self.backend));
        self.left = self.tensors;
        self.began = now();
        for compute in computes {
            if self.has(compute) {
                self.give(compute);
            }
        }
    }

    /// Whether a worker has a part in it.
    fn has(&self, compute: &Compute) -> bool {
        self.backend == BackendKind::Cpu || compute.gpu
    }

    /// Gives a worker that has nothing to do the next tensor.
    fn give(&mut self, compute: &Compute) {
        let job = self.next;
        if job < self.tensors {
            self.next += 1;
            let how = match self.backend {
                _ if self.timed.is_copy() => How::Copy,
                BackendKind::Gpu if self.timed.is_cold() => How::Compare,
                _ => How::Make,
            };
            wire::post(&compute.port, &ToCompute::Run { job, how }, None, None);
        }
    }
}

impl Gauge {
    /// One that begins when the workers are free for it.
    pub(super) fn new(number: u32, layers: u64) -> Self {
        Self { number, layers, rows: Vec::new(), running: None }
    }

    fn event(&self, over: bool, why: Option<String>) -> Event {
        let (done, all) = (self.rows.iter().map(|row| row.figures.len()).sum(), TASKS.len() * self.rows.len());
        Event::Gauge { number: self.number, gauged: Gauged { table: table(&self.rows), done, all, over, why } }
    }
}

fn now() -> f64 {
    super::scope().performance().map_or(0.0, |clock| clock.now())
}

impl State {
    /// Begins the next task of a measurement that runs none, once the workers are free for it; what the page must hear.
    pub(super) fn gauge_on(&mut self) -> Option<Event> {
        let State { gauge, computes, gpu, merges, .. } = self;
        let current = gauge.as_mut().filter(|gauge| gauge.running.is_none())?;
        if gpu.probing || computes.iter().any(|compute| compute.hashing.is_some()) {
            return None;
        }
        if current.rows.is_empty() {
            current.rows.push(Row::cpu(computes.len()));
            if let GpuState::Ready { adapter } = &gpu.state {
                current.rows.push(Row::gpu(adapter));
            }
        }
        let Some(row) = current.rows.iter().position(|row| row.next().is_some()) else {
            let event = current.event(true, None);
            *gauge = None;
            return Some(event);
        };
        let (backend, task) = (current.rows[row].backend, current.rows[row].figures.len());
        let timed = match Timed::new(task, current.layers) {
            Ok(timed) => timed,
            Err(error) => return self.stop_gauge(error.to_string()),
        };
        *merges += 1;
        let mut running = Running { merge: *merges, row, backend, timed, tensors: 0, next: 0, left: 0, began: 0.0 };
        let on_gpu = backend == BackendKind::Gpu;
        let limits = limits(if on_gpu { 1 } else { computes.len() as u32 }, running.timed.plan.inputs.len());
        for compute in computes.iter().filter(|compute| running.has(compute)) {
            compute.prepare(*merges, &running.timed.plan, limits, on_gpu, None);
        }
        running.begin_round(computes);
        current.running = Some(running);
        Some(current.event(false, None))
    }

    /// Takes in what a worker says, if it is of the running measurement; what the page must hear. What fails on the GPU ends its row, what
    /// fails on the CPU all of it.
    pub(super) fn gauged(&mut self, worker: u32, message: FromCompute) -> Option<Event> {
        let gauge = self.gauge.as_mut()?;
        let running = gauge.running.as_mut()?;
        let failed = match message {
            FromCompute::Done { merge, report, beside, .. } if merge == running.merge => {
                running.timed.made(&report, beside).err().map(|error| error.to_string())
            }
            FromCompute::Failed { merge, error, .. } if merge == running.merge => Some(error.to_string()),
            _ => return None,
        };
        running.left -= 1;
        let row = &mut gauge.rows[running.row];
        match failed {
            Some(why) if running.backend == BackendKind::Gpu => row.failed = Some(why),
            Some(why) => return self.stop_gauge(why),
            None if running.left > 0 => {
                if let Some(compute) = self.computes.iter().find(|compute| compute.number == worker) {
                    running.give(compute);
                }
                return None;
            }
            None => {
                let Some(figure) = running.timed.round((now() - running.began) / 1000.0) else {
                    running.begin_round(&self.computes);
                    return None;
                };
                row.figures.push(figure);
            }
        }
        gauge.running = None;
        self.gauge_on()
    }

    /// Ends the measurement, if there is one; what the page must hear.
    pub(super) fn stop_gauge(&mut self, why: String) -> Option<Event> {
        self.gauge.take().map(|gauge| gauge.event(true, Some(why)))
    }
}
