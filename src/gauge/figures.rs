//! From seconds to figures, and figures in a table.

use serde::{Deserialize, Serialize};

use super::{COPY, TASKS};
use crate::kernel::{BackendError, BackendKind, GpuCounters};
use crate::plan::{Plan, PlanError};
use crate::run::JobReport;

/// The most rounds that count.
const ROUNDS: usize = 5;
/// Seconds after which no further round is begun.
const ENOUGH: f64 = 1.0;

/// A task while it is timed on one backend: a round that does not count, and then as many as count.
#[derive(Debug)]
pub struct Timed {
    /// What is run in each round.
    pub plan: Plan,
    bytes: u64,
    warm: bool,
    seconds: Vec<f64>,
    figure: Figure,
}

/// What was measured of one task on one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Bytes of inputs and of the output a second, both once however often they were passed over: the median of the rounds.
    pub rate: f64,
    /// Bytes of the output.
    pub output: u64,
    /// What the GPU did in one round; zeros on the CPU, and for a copy.
    pub gpu: GpuCounters,
    /// Tensors of a round that the GPU was asked for and the CPU made.
    pub declined: u64,
    /// What the GPU made, beside what the CPU makes of the same; `None` on the CPU, and for a copy.
    pub beside: Option<Beside>,
}

/// One output beside another one of the same tensors, in bf16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Elements.
    pub elements: u64,
    /// Those whose bytes differ.
    pub differ: u64,
    /// The most that one of them differs by, in units in the last place.
    pub most: u32,
}

/// A backend and what was measured on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub backend: BackendKind,
    /// The adapter's name; on the CPU, how many workers.
    pub device: String,
    /// One a task, in the order of [`TASKS`], as far as it came.
    pub figures: Vec<Figure>,
    /// Why it came no further.
    pub failed: Option<String>,
}

impl Timed {
    /// A task ([`TASKS`]) that was not run yet, on models of `layers` layers.
    ///
    /// # Errors
    /// Those of [`super::plan`].
    pub fn new(task: usize, layers: u64) -> Result<Self, PlanError> {
        let plan = super::plan(task, layers)?;
        let read: u64 = plan.jobs.iter().flat_map(|job| &job.sources).map(|source| source.len).sum();
        let output = plan.jobs.iter().map(|job| job.len).sum();
        let figure = Figure { output, ..Figure::default() };
        Ok(Self { plan, bytes: read + output, warm: false, seconds: Vec::new(), figure })
    }

    /// Whether the round that does not count is still to be run. On a GPU it is the one in which every tensor is compared.
    pub fn is_cold(&self) -> bool {
        !self.warm
    }

    /// A tensor of this round was made; fails where that cost the device.
    ///
    /// # Errors
    /// The GPU was lost, or ran out of memory.
    pub fn made(&mut self, report: &JobReport) -> Result<(), BackendError> {
        self.figure.gpu += report.gpu;
        match &report.declined {
            Some(lost @ (BackendError::Lost(_) | BackendError::OutOfMemory)) => return Err(lost.clone()),
            Some(_) => self.figure.declined += 1,
            None => {}
        }
        Ok(())
    }

    /// A tensor was compared.
    pub fn compared(&mut self, beside: Beside) {
        let all = self.figure.beside.get_or_insert_default();
        all.elements += beside.elements;
        all.differ += beside.differ;
        all.most = all.most.max(beside.most);
    }

    /// A round took so many seconds; gives the figure if it was the last one.
    pub fn round(&mut self, seconds: f64) -> Option<Figure> {
        if std::mem::replace(&mut self.warm, true) {
            self.seconds.push(seconds);
            if self.seconds.len() == ROUNDS || self.seconds.iter().sum::<f64>() >= ENOUGH {
                self.seconds.sort_by(f64::total_cmp);
                self.figure.rate = self.bytes as f64 / self.seconds[self.seconds.len() / 2];
                return Some(std::mem::take(&mut self.figure));
            }
        }
        (self.figure.gpu, self.figure.declined) = (GpuCounters::default(), 0);
        None
    }
}

impl Beside {
    /// Compares two tensors' bytes.
    pub fn of(made: &[u8], expected: &[u8]) -> Self {
        let numbers = |bytes: &[u8]| -> Vec<i32> {
            // In the order of their values, so that neighbours differ by one; both zeros are 0.
            let place = |bytes: &[u8; 2]| match i32::from(i16::from_le_bytes(*bytes)) {
                negative @ ..0 => i32::from(i16::MIN) - negative,
                number => number,
            };
            bytes.as_chunks().0.iter().map(place).collect()
        };
        let differing =
            made.as_chunks::<2>().0.iter().zip(expected.as_chunks::<2>().0).filter(|(one, other)| one != other);
        let steps = numbers(made).into_iter().zip(numbers(expected)).map(|(one, other)| one.abs_diff(other));
        Self { elements: expected.len() as u64 / 2, differ: differing.count() as u64, most: steps.max().unwrap_or(0) }
    }
}

impl Row {
    /// Nothing measured yet.
    pub fn new(backend: BackendKind, device: String) -> Self {
        Self { backend, device, figures: Vec::new(), failed: None }
    }

    /// The rate of a task beside that of the plain copy.
    pub fn share(&self, figure: &Figure) -> f64 {
        figure.rate / self.figures.first().map_or(f64::NAN, |copy| copy.rate)
    }

    /// The backend and its device in one line.
    pub fn title(&self) -> String {
        let kind = match self.backend {
            BackendKind::Cpu => "CPU",
            BackendKind::Gpu => "GPU",
        };
        format!("{kind} · {}", self.device)
    }
}

impl Figure {
    /// GB/s: 10⁹ bytes a second.
    pub fn gigabytes(&self) -> String {
        format!("{:.*}", if self.rate < 9.995e8 { 3 } else { 2 }, self.rate / 1e9)
    }

    /// Bytes sent to the GPU, and fetched from it, for each byte of the output; `None` where it was not asked.
    pub fn crossed(&self) -> Option<(String, String)> {
        let each = |bytes: u64| format!("{:.2}", bytes as f64 / self.output as f64);
        (self.gpu.submissions > 0).then(|| (each(self.gpu.bytes_up), each(self.gpu.bytes_down)))
    }
}

/// The rows as a table in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut table = "| device | task | GB/s | of the copy | beside the CPU's bytes | bytes up, down per byte of output | submissions |\n\
                     | --- | --- | ---: | ---: | --- | ---: | ---: |\n"
        .to_owned();
    for row in rows {
        for (task, figure) in TASKS.iter().zip(&row.figures) {
            let share = if *task == COPY { String::new() } else { format!("{:.0} %", row.share(figure) * 100.0) };
            let beside = figure.beside.as_ref().map_or_else(String::new, ToString::to_string);
            let (crossed, submissions) = figure.crossed().map_or_else(Default::default, |(up, down)| {
                (format!("{up}, {down}"), figure.gpu.submissions.to_string())
            });
            table += &format!(
                "| {} | {task} | {} | {share} | {beside} | {crossed} | {submissions} |\n",
                row.title(),
                figure.gigabytes()
            );
        }
        if let Some(why) = &row.failed {
            table += &format!("| {} | {why} | | | | | |\n", row.title());
        }
    }
    table
}

impl std::fmt::Display for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { elements, differ, most } = self;
        match differ {
            0 => f.write_str("the same"),
            _ => write!(f, "{differ} of {elements} elements differ, by {most} ulp at most"),
        }
    }
}
