//! From seconds to figures, and figures in a table.

use serde::{Deserialize, Serialize};

use super::{COPY, TASKS};
use crate::format::order;
use crate::kernel::{BackendError, BackendKind};
use crate::plan::{Plan, PlanError};
use crate::run::JobReport;

/// Tensors that are compared, of the first layers: what follows is more of the same.
const COMPARED: usize = 8;
/// The most rounds that count.
const ROUNDS: usize = 5;
/// Seconds after which no further round is begun.
const ENOUGH: f64 = 1.0;

/// A task while it is timed on one backend: a round that does not count, and then as many as count.
#[derive(Debug)]
pub struct Timed {
    /// What is run in each round.
    pub plan: Plan,
    task: usize,
    bytes: u64,
    warm: bool,
    seconds: Vec<f64>,
    figure: Figure,
}

/// What was measured of one task on one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// Bytes of inputs and of the output a second, both once however often they were passed over: the median of the rounds.
    pub rate: f64,
    /// Bytes of the output.
    pub output: u64,
    /// Bytes that were sent to the GPU in one round, and fetched; zero on the CPU, and for a copy.
    pub crossed: (u64, u64),
    /// What was submitted to it.
    pub submissions: u64,
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
        Ok(Self { plan, task, bytes: read + output, warm: false, seconds: Vec::new(), figure })
    }

    /// Whether the round that does not count is still to be run. On a GPU its tensors are compared.
    pub fn is_cold(&self) -> bool {
        !self.warm
    }

    /// Whether the plan's bytes are only to be moved.
    pub fn is_copy(&self) -> bool {
        TASKS[self.task] == COPY
    }

    /// How many of the plan's tensors are made in this round.
    pub fn tensors(&self, backend: BackendKind) -> usize {
        let all = self.plan.jobs.len();
        if backend == BackendKind::Gpu && self.is_cold() { all.min(COMPARED) } else { all }
    }

    /// A tensor of this round was made, and compared or not.
    ///
    /// # Errors
    /// The GPU was lost, or ran out of memory.
    pub fn made(&mut self, report: &JobReport, beside: Option<Beside>) -> Result<(), BackendError> {
        let figure = &mut self.figure;
        figure.crossed = (figure.crossed.0 + report.gpu.bytes_up, figure.crossed.1 + report.gpu.bytes_down);
        figure.submissions += report.gpu.submissions;
        if let Some(beside) = beside {
            let all = figure.beside.get_or_insert_default();
            all.elements += beside.elements;
            all.differ += beside.differ;
            all.most = all.most.max(beside.most);
        }
        match &report.declined {
            Some(lost @ (BackendError::Lost(_) | BackendError::OutOfMemory)) => return Err(lost.clone()),
            Some(_) => figure.declined += 1,
            None => {}
        }
        Ok(())
    }

    /// A round took so many seconds; gives the figure if it was the last one.
    pub fn round(&mut self, seconds: f64) -> Option<Figure> {
        if std::mem::replace(&mut self.warm, true) {
            self.seconds.push(seconds);
            if self.seconds.len() == ROUNDS || self.seconds.iter().sum::<f64>() >= ENOUGH {
                // Times are positive, and their bits in their order.
                let middle = order(self.seconds.iter().map(|seconds| seconds.to_bits()))[self.seconds.len() / 2];
                self.figure.rate = self.bytes as f64 / self.seconds[middle];
                return Some(std::mem::take(&mut self.figure));
            }
        }
        self.figure = Figure { output: self.figure.output, beside: self.figure.beside, ..Figure::default() };
        None
    }
}

impl Beside {
    /// Compares two tensors' bytes.
    pub fn of(made: &[u8], expected: &[u8]) -> Self {
        // In the order of their values, so that neighbours differ by one; both zeros are 0.
        let place = |bytes: &[u8; 2]| match i32::from(i16::from_le_bytes(*bytes)) {
            negative @ ..0 => i32::from(i16::MIN) - negative,
            number => number,
        };
        let mut beside = Self { elements: expected.len() as u64 / 2, ..Self::default() };
        for (one, other) in made.as_chunks().0.iter().zip(expected.as_chunks().0) {
            if one != other {
                beside.differ += 1;
                beside.most = beside.most.max(place(one).abs_diff(place(other)));
            }
        }
        beside
    }
}

impl Row {
    /// Of the CPU with so many workers: nothing is measured yet.
    pub fn cpu(workers: usize) -> Self {
        Self::new(BackendKind::Cpu, format!("{workers} worker{}", if workers == 1 { "" } else { "s" }))
    }

    /// Of a GPU by its adapter's name, which may be empty.
    pub fn gpu(adapter: &str) -> Self {
        Self::new(BackendKind::Gpu, if adapter.trim().is_empty() { "unnamed adapter" } else { adapter }.to_owned())
    }

    fn new(backend: BackendKind, device: String) -> Self {
        Self { backend, device, figures: Vec::new(), failed: None }
    }

    /// The next task to run; `None` where there is nothing more.
    pub fn next(&self) -> Option<usize> {
        (self.failed.is_none() && self.figures.len() < TASKS.len()).then_some(self.figures.len())
    }

    /// What there is to say of a task: GB/s (10⁹ bytes a second), the share of the plain copy, and of a GPU whether its bytes are the CPU's, and how
    /// many went up and came down for each byte of output.
    fn words(&self, task: usize, figure: &Figure) -> Vec<String> {
        // Three digits of what is small: the last of 0.004 is as good as that of 4.21.
        let mut words = vec![format!("{:.*} GB/s", if figure.rate < 1e9 { 3 } else { 2 }, figure.rate / 1e9)];
        if task > 0 {
            let share = figure.rate / self.figures[0].rate * 100.0;
            words.push(format!("{share:.*} % of the copy", usize::from(share < 9.95)));
        }
        words.extend(figure.beside.map(|beside| beside.to_string()));
        if figure.submissions > 0 {
            let each = |bytes: u64| bytes as f64 / figure.output as f64;
            let (up, down) = figure.crossed;
            words.push(format!("↑ {:.2} ↓ {:.2}, {} submissions", each(up), each(down), figure.submissions));
        }
        if figure.declined > 0 {
            words.push(format!("made on the CPU: {} tensors", figure.declined));
        }
        words
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

/// The rows as a table, a task a line and a backend a column, so that they stand side by side on a phone, too: heads first, the lines of a cell
/// parted by line breaks, a dash where nothing was measured.
pub fn table(rows: &[Row]) -> Vec<Vec<String>> {
    let mut table = vec![vec!["task".to_owned()]];
    table[0].extend(rows.iter().map(Row::title));
    for (at, task) in TASKS.iter().enumerate() {
        let mut line = vec![(*task).to_owned()];
        for row in rows {
            line.push(match row.figures.get(at) {
                Some(figure) => row.words(at, figure).join("\n"),
                None => row.failed.clone().filter(|_| at == row.figures.len()).unwrap_or_else(|| "–".to_owned()),
            });
        }
        table.push(line);
    }
    table
}

/// A table in Markdown.
pub fn markdown(table: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (at, line) in table.iter().enumerate() {
        text += &format!("| {} |\n", line.join(" | ").replace('\n', "; "));
        if at == 0 {
            text += &format!("|{}\n", " --- |".repeat(line.len()));
        }
    }
    text
}

impl std::fmt::Display for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { elements, differ, most } = self;
        match differ {
            0 => f.write_str("same bytes"),
            _ => write!(f, "{differ} of {elements} elements differ, by {most} ulp at most"),
        }
    }
}
