//! One tensor through measure → mask → mix, on any backend.

use super::feed::Feed;
use super::{Progress, RunError, Sink, Task};
use crate::format::Source;
use crate::kernel::{
    Backend, BackendError, Combine, Digit, Float, Gram, L1, Mask, MaskRule, Mix, Precision, Selection, Space, TieHunt,
    digits,
};
use crate::method::{self, Measured, Method, Program, Resolved, TensorInputs};
use crate::plan::{Job, MergeRule, Plan, Rule, float_of};

/// A job in the kernel's words.
pub(super) struct Lowered<'a> {
    elements: u64,
    program: Program,
    precision: Precision,
    out: Float,
    /// Method, base and parameters; `None` for a copy that only changes the type.
    method: Option<(&'static dyn Method, &'a MergeRule)>,
}

impl<'a> Lowered<'a> {
    /// What `rule` means for `job`.
    pub(super) fn new(plan: &Plan, job: &Job, rule: &'a Rule) -> Result<Self, RunError> {
        let elements = job.shape.iter().product();
        Ok(match rule {
            Rule::Merge(merge) => {
                let method = method::find(&plan.method).ok_or_else(|| RunError::UnknownMethod(plan.method.clone()))?;
                Self {
                    elements,
                    program: method.program(&tensor_inputs(elements, merge)),
                    precision: merge.precision,
                    out: merge.out,
                    method: Some((method, merge)),
                }
            }
            Rule::Copy(_) => Self {
                elements,
                program: Program { space: Space::Inputs, masks: vec![MaskRule::All], gram: false, l1: false },
                precision: Precision::F64,
                out: float_of(job.dtype).unwrap_or(Float::F32),
                method: None,
            },
        })
    }

    fn combine(&self, measured: &Measured) -> Combine {
        match self.method {
            Some((method, merge)) => method.combine(&tensor_inputs(self.elements, merge), measured),
            None => Combine::Sum { coefficients: vec![1.0] },
        }
    }

    /// Passes over the inputs, for progress: those that are certain and the digits of a selection.
    fn passes(&self) -> u64 {
        let selects = self.program.masks.iter().any(|mask| matches!(mask, MaskRule::Top { .. }));
        let select = if selects { digits(self.precision).len() as u64 + 1 } else { 0 };
        1 + select + u64::from(self.program.gram) + u64::from(self.program.l1)
    }
}

fn tensor_inputs(elements: u64, merge: &MergeRule) -> TensorInputs<'_> {
    let parameters: &Resolved = &merge.parameters;
    TensorInputs { elements, base: merge.base, parameters, coins: &merge.coins }
}

/// Why a tensor was not made.
pub(super) enum Stop {
    /// Nothing can make it.
    Run(RunError),
    /// This backend could not.
    Backend(BackendError),
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<BackendError> for Stop {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

/// Calls `$call` with every window in order, counting progress.
macro_rules! each_window {
    ($state:ident, |$window:ident| $call:expr) => {
        for (first, len) in $state.feed.windows() {
            $state.feed.load($state.task, first, len).await?;
            let raws = $state.feed.raws(first, len);
            let $window = Feed::window(first, len, &raws);
            $call;
            $state.advance(len);
        }
    };
}

struct State<'t, 'a, S, W> {
    task: &'t mut Task<'a, S>,
    feed: Feed,
    watch: &'t mut W,
    done: u64,
    total: u64,
    bytes_an_element: u64,
}

impl<S, W: FnMut(Progress)> State<'_, '_, S, W> {
    fn advance(&mut self, elements: usize) {
        self.done = (self.done + elements as u64 * self.bytes_an_element).min(self.total);
        (self.watch)(Progress { job: self.task.index, done: self.done, total: self.total });
    }
}

/// Makes the tensor on `backend` and writes it.
pub(super) async fn merge<B: Backend, S: Source, K: Sink, W: FnMut(Progress)>(
    task: &mut Task<'_, S>,
    lowered: &Lowered<'_>,
    backend: &mut B,
    sink: &mut K,
    watch: &mut W,
) -> Result<(), Stop> {
    let (space, precision) = (lowered.program.space, lowered.precision);
    let job = &task.plan.jobs[task.index];
    let bytes_an_element = job.sources.iter().map(|source| source.dtype.size()).sum::<u64>();
    let feed = Feed::new(task, job, lowered.elements);
    let total = lowered.elements * bytes_an_element * lowered.passes();
    let mut state = State { task, feed, watch, done: 0, total, bytes_an_element };

    let masks = mask(&mut state, lowered, backend).await?;
    let mut measured = Measured::default();
    if lowered.program.gram {
        let mut gram = Gram::new(masks.len());
        each_window!(state, |window| backend.gram(precision, space, window, &mut gram).await?);
        measured.gram = Some(gram);
    }
    if lowered.program.l1 {
        measured.l1 = vec![L1::default(); masks.len()];
        each_window!(state, |window| backend.l1(precision, space, &masks, window, &mut measured.l1).await?);
    }
    let mix = Mix { space, masks, combine: lowered.combine(&measured), precision, out: lowered.out };
    let size = lowered.out.size();
    for (first, len) in state.feed.windows() {
        state.feed.load(state.task, first, len).await?;
        let mut bytes = Vec::with_capacity(len * size);
        {
            let raws = state.feed.raws(first, len);
            backend.mix(&mix, Feed::window(first, len, &raws), &mut bytes).await?;
        }
        state.task.write(sink, first * size as u64, bytes).await?;
        state.advance(len);
    }
    state.task.report.backend = Some(backend.kind());
    (state.watch)(Progress { job: state.task.index, done: total, total });
    Ok(())
}

/// Measures what the masks need: thresholds digit by digit, then the last kept tie.
async fn mask<B: Backend, S: Source, W: FnMut(Progress)>(
    state: &mut State<'_, '_, S, W>,
    lowered: &Lowered<'_>,
    backend: &mut B,
) -> Result<Vec<Mask>, Stop> {
    let (space, precision) = (lowered.program.space, lowered.precision);
    let mut selections: Vec<Option<Selection>> = lowered
        .program
        .masks
        .iter()
        .map(|rule| match rule {
            MaskRule::Top { keep } => Some(Selection::new(precision, *keep)),
            _ => None,
        })
        .collect();
    loop {
        let asked: Vec<Option<Digit>> =
            selections.iter().map(|selection| selection.as_ref().and_then(Selection::digit)).collect();
        if asked.iter().all(Option::is_none) {
            break;
        }
        let mut histograms: Vec<Vec<u64>> =
            asked.iter().map(|digit| vec![0; digit.map_or(0, |digit| 1 << digit.bits)]).collect();
        each_window!(state, |window| backend.histogram(precision, space, &asked, window, &mut histograms).await?);
        for (selection, histogram) in selections.iter_mut().zip(&histograms) {
            if let Some(selection) = selection {
                selection.narrow(histogram);
            }
        }
    }
    let mut hunts: Vec<Option<TieHunt>> =
        selections.iter().map(|selection| selection.as_ref().and_then(Selection::tie_hunt)).collect();
    if hunts.iter().any(Option::is_some) {
        each_window!(state, |window| backend.ties(precision, space, window, &mut hunts).await?);
    }
    Ok(lowered
        .program
        .masks
        .iter()
        .zip(selections.iter().zip(hunts))
        .map(|(rule, (selection, hunt))| match (rule, selection) {
            (_, Some(selection)) => selection.mask(hunt),
            (MaskRule::Nothing, None) => Mask::Nothing,
            (MaskRule::Coin(coin), None) => Mask::Coin(*coin),
            _ => Mask::All,
        })
        .collect())
}
