//! One tensor through measure → mask → mix, on any backend.

use super::feed::Feed;
use super::{Progress, RunError, Sink, Task};
use crate::format::Source;
use crate::kernel::cpu::{self, Divergence};
use crate::kernel::{
    Backend, BackendError, Combine, Cut, Digits, Float, Frame, Gram, Histogram, Mask, MaskRule, Mix, Norms, Overlap,
    Pass, Precision, Query, RankedCoin, Score, Selection, Space, TieHunt, Window,
};
use crate::method::{self, Measured, Method, Program, Resolved, TensorInputs};
use crate::plan::{Job, MergeRule, Plan, Rule, float_of};

/// The ranks from below that the outliers' fence is made of.
const QUARTILES: [f64; 3] = [0.25, 0.5, 0.75];

/// A job in the kernel's words.
pub(super) struct Lowered<'a> {
    shape: &'a [u64],
    program: Program,
    precision: Precision,
    out: Float,
    /// Method, base and parameters; `None` for a copy that only changes the type.
    method: Option<(&'static dyn Method, &'a MergeRule)>,
}

impl<'a> Lowered<'a> {
    /// What `rule` means for `job`.
    pub(super) fn new(plan: &Plan, job: &'a Job, rule: &'a Rule) -> Result<Self, RunError> {
        let shape = &job.shape;
        Ok(match rule {
            Rule::Merge(merge) => {
                let method = method::find(&plan.method).ok_or_else(|| RunError::UnknownMethod(plan.method.clone()))?;
                Self {
                    shape,
                    program: method.program(&tensor_inputs(shape, merge)),
                    precision: merge.precision,
                    out: merge.out,
                    method: Some((method, merge)),
                }
            }
            Rule::Copy(_) => Self {
                shape,
                program: Program::new(Space::Inputs, vec![MaskRule::All]),
                precision: Precision::F64,
                out: float_of(job.dtype).unwrap_or(Float::F32),
                method: None,
            },
        })
    }

    fn combine(&self, measured: &Measured) -> Combine {
        match self.method {
            Some((method, merge)) => method.combine(&tensor_inputs(self.shape, merge), measured),
            None => Combine::Sum { coefficients: vec![1.0] },
        }
    }

    /// The most passes over the inputs, where a selection takes one for each of its digits.
    fn passes(&self, digits: Digits) -> u64 {
        let program = &self.program;
        let has = |of: fn(&MaskRule) -> bool| u64::from(program.masks.iter().any(of));
        let selects = has(|mask| matches!(mask, MaskRule::Band { .. } | MaskRule::Varied { .. } | MaskRule::Outliers));
        1 + selects * (digits.len() as u64 + 1)
            + has(|mask| matches!(mask, MaskRule::Varied { .. }))
            + u64::from(program.gram.is_some())
            + u64::from(program.norms.is_some())
            + u64::from(program.overlap)
            + u64::from(program.divergence) * Divergence::PASSES as u64
    }

    /// Elements of the lines that must be seen whole: 1 where no rule is by lines.
    fn whole(&self) -> u64 {
        let lines = self.program.masks.iter().map(|mask| match mask {
            MaskRule::Ranked(coin) => coin.line * coin.stride,
            _ => 1,
        });
        lines.max().unwrap_or(1).max(1)
    }

    /// Elements of a row, and how many rows there are.
    fn rows(&self) -> (u64, u64) {
        let row = self.shape.last().copied().unwrap_or(1).max(1);
        (row, self.shape.iter().product::<u64>().div_ceil(row))
    }
}

fn tensor_inputs<'a>(shape: &'a [u64], merge: &'a MergeRule) -> TensorInputs<'a> {
    let parameters: &Resolved = &merge.parameters;
    TensorInputs { shape, base: merge.base, parameters, coins: &merge.coins }
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

/// A tensor on its way through its passes.
struct State<'t, 'a, S, K, W> {
    task: &'t mut Task<'a, S>,
    feed: Feed,
    /// The masks that are drawn, by term.
    ranked: Vec<(usize, RankedCoin)>,
    sink: &'t mut K,
    watch: &'t mut W,
    done: u64,
    total: u64,
    bytes_an_element: u64,
    /// Bytes of the tensor that were written.
    written: u64,
}

impl<'t, 'a, S: Source, K: Sink, W: FnMut(Progress)> State<'t, 'a, S, K, W> {
    /// One more pass over the windows.
    fn pass<'p>(&'p mut self, frame: &'p Frame<'p>) -> Windows<'p, 't, 'a, S, K, W> {
        Windows { state: self, frame, first: 0, len: 0, drawn: Vec::new(), made: Vec::new() }
    }

    fn advance(&mut self, elements: usize) {
        self.done = (self.done + elements as u64 * self.bytes_an_element).min(self.total);
        (self.watch)(Progress { job: self.task.index, done: self.done, total: self.total });
    }

    /// [`Window::drawn`] of a window that was loaded.
    fn draw(&self, frame: &Frame<'_>, first: u64, len: usize) -> Vec<Vec<u32>> {
        let Some((last, _)) = self.ranked.last() else { return Vec::new() };
        let around = self.feed.around(first, len);
        let inputs = self.feed.raws(around.clone());
        let lines = Window::new(around.start, (around.end - around.start) as usize, &inputs);
        let mut drawn = vec![Vec::new(); last + 1];
        for (term, coin) in &self.ranked {
            drawn[*term] = cpu::draw(frame, *term, coin, &lines, first..first + len as u64);
        }
        drawn
    }
}

/// A pass over a tensor's windows, as the feed reads them. What masks draw is drawn for each.
struct Windows<'p, 't, 'a, S, K, W> {
    state: &'p mut State<'t, 'a, S, K, W>,
    frame: &'p Frame<'p>,
    /// The window that is present.
    first: u64,
    len: usize,
    drawn: Vec<Vec<u32>>,
    /// Merged values that are not written yet.
    made: Vec<Vec<u8>>,
}

impl<S: Source, K: Sink, W: FnMut(Progress)> Windows<'_, '_, '_, S, K, W> {
    /// Writes what was merged.
    async fn write(&mut self) -> Result<(), RunError> {
        for values in std::mem::take(&mut self.made) {
            let at = self.state.written;
            self.state.written += values.len() as u64;
            self.state.task.write(self.state.sink, at, values).await?;
        }
        Ok(())
    }
}

impl<S: Source, K: Sink, W: FnMut(Progress)> Pass for Windows<'_, '_, '_, S, K, W> {
    type Error = Stop;

    async fn next(&mut self) -> Result<bool, Stop> {
        self.write().await?;
        if self.len > 0 {
            self.state.advance(self.len);
        }
        self.first += self.len as u64;
        self.len = self.state.feed.window(self.first);
        if self.len == 0 {
            return Ok(false);
        }
        self.state.feed.load(self.state.task, self.first, self.len).await?;
        self.drawn = self.state.draw(self.frame, self.first, self.len);
        Ok(true)
    }

    fn see<T>(&self, see: impl FnOnce(Window<'_>) -> T) -> T {
        let Self { first, len, .. } = *self;
        let inputs = self.state.feed.raws(first..first + len as u64);
        let generation = self.state.feed.generation();
        see(Window { generation, first, len, inputs: &inputs, drawn: &self.drawn })
    }

    fn put(&mut self, values: Vec<u8>) {
        self.made.push(values);
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
    let program = &lowered.program;
    let job = &task.plan.jobs[task.index];
    let bytes_an_element = job.sources.iter().map(|source| source.dtype.size()).sum::<u64>();
    let elements = lowered.shape.iter().product::<u64>();
    let passes = lowered.passes(backend.digits(lowered.precision, elements));
    let feed = Feed::new(task, job, elements, lowered.whole(), passes)?;
    let total = elements * bytes_an_element * passes;
    let ranked = program.masks.iter().enumerate().filter_map(|(term, mask)| match mask {
        MaskRule::Ranked(coin) => Some((term, *coin)),
        _ => None,
    });
    let ranked = ranked.collect();
    let mut state = State { task, feed, ranked, sink, watch, done: 0, total, bytes_an_element, written: 0 };
    let mut frame = Frame::new(lowered.precision, program.space);
    let scales;
    if let (true, Space::Deltas { base }) = (program.divergence, program.space) {
        let (row, rows) = lowered.rows();
        let mut divergence = Divergence::new(rows, row, base, program.space.input_of(0));
        for number in 0..Divergence::PASSES {
            let mut pass = state.pass(&frame);
            while pass.next().await? {
                pass.see(|window| divergence.feed(number, &window));
            }
        }
        scales = divergence.scales();
        frame = Frame { row, scales: &scales, ..frame };
    }

    let masks = mask(&mut state, lowered, &frame, backend).await?;
    let mut measured = Measured::default();
    if let Some(groups) = program.gram {
        let mut gram = Gram::new(masks.len(), groups, elements);
        backend.gram(&frame, &mut state.pass(&frame), &mut gram).await?;
        measured.gram = Some(gram);
    }
    if let Some(power) = program.norms {
        measured.norms = vec![Norms::default(); masks.len()];
        backend.norms(&frame, power, &masks, &mut state.pass(&frame), &mut measured.norms).await?;
    }
    if program.overlap {
        measured.overlap = vec![Overlap::default(); masks.len()];
        backend.overlap(&frame, &masks, &mut state.pass(&frame), &mut measured.overlap).await?;
    }
    let mix = Mix { masks, combine: lowered.combine(&measured), out: lowered.out };
    let mut pass = state.pass(&frame);
    backend.mix(&frame, &mix, &mut pass).await?;
    pass.write().await?;
    let State { task, feed, watch, .. } = state;
    feed.leave(task);
    task.report.backend = Some(backend.kind());
    watch(Progress { job: task.index, done: total, total });
    Ok(())
}

/// One selection: the k-th largest score of a term, and which of the hunts is for its last tie.
struct Ask {
    term: usize,
    score: Score,
    selection: Selection,
    hunt: Option<usize>,
}

/// Measures what the masks need: thresholds digit by digit, then the last kept tie.
async fn mask<B: Backend, S: Source, K: Sink, W: FnMut(Progress)>(
    state: &mut State<'_, '_, S, K, W>,
    lowered: &Lowered<'_>,
    frame: &Frame<'_>,
    backend: &mut B,
) -> Result<Vec<Mask>, Stop> {
    let (rules, precision) = (&lowered.program.masks, lowered.precision);
    let elements = lowered.shape.iter().product::<u64>();
    // The variance is that of all terms: it is selected from once.
    let varied =
        match rules.iter().find_map(|rule| if let MaskRule::Varied { share } = rule { Some(share) } else { None }) {
            Some(share) => {
                let mut zeros =
                    [TieHunt { term: 0, score: Score::Variance, threshold: 0, wanted: u64::MAX, met: 0, end: None }];
                backend.ties(frame, &mut state.pass(frame), &mut zeros).await?;
                ((elements - zeros[0].met) as f64 * share) as u64
            }
            None => 0,
        };
    let ask = |term, score, keep| Ask {
        term,
        score,
        selection: Selection::new(backend.digits(precision, elements), keep),
        hunt: None,
    };
    let mut asked: Vec<Ask> = Vec::new();
    if varied > 0 {
        asked.push(ask(0, Score::Variance, varied));
    }
    for (term, rule) in rules.iter().enumerate() {
        match *rule {
            MaskRule::Band { skip, keep } => {
                let ranks = [skip, skip + keep].into_iter().filter(|rank| *rank > 0 && *rank < elements);
                asked.extend(ranks.map(|rank| ask(term, Score::Magnitude, rank)));
            }
            MaskRule::Outliers => {
                asked.extend(QUARTILES.map(|share| {
                    let from_below = (share * (elements - 1) as f64) as u64;
                    ask(term, Score::Scaled, elements - from_below)
                }));
            }
            _ => {}
        }
    }
    loop {
        let open: Vec<(&mut Ask, Query)> = asked
            .iter_mut()
            .filter_map(|ask| {
                let query = Query { term: ask.term, score: ask.score, digit: ask.selection.digit()? };
                Some((ask, query))
            })
            .collect();
        if open.is_empty() {
            break;
        }
        let (open, queries): (Vec<&mut Ask>, Vec<Query>) = open.into_iter().unzip();
        let mut counts: Vec<Histogram> = queries.iter().map(|query| Histogram::new(query.digit)).collect();
        backend.histogram(frame, &queries, &mut state.pass(frame), &mut counts).await?;
        for (ask, counts) in open.into_iter().zip(&counts) {
            ask.selection.narrow(counts);
        }
    }
    let mut hunts: Vec<TieHunt> = Vec::new();
    // A fence is made of scores alone.
    for ask in asked.iter_mut().filter(|ask| ask.score != Score::Scaled) {
        if let Some(hunt) = ask.selection.tie_hunt(ask.term, ask.score) {
            ask.hunt = Some(hunts.len());
            hunts.push(hunt);
        }
    }
    if !hunts.is_empty() {
        backend.ties(frame, &mut state.pass(frame), &mut hunts).await?;
    }
    let mut cuts = asked.iter().map(|ask| ask.selection.cut(ask.hunt.map(|hunt| hunts[hunt])));
    let varied = if varied > 0 { cuts.next() } else { None };
    let whole = Cut { threshold: 0, ties_end: u64::MAX };
    let mut taken = || cuts.next().unwrap_or(whole);
    Ok(rules
        .iter()
        .map(|rule| match *rule {
            MaskRule::All => Mask::All,
            MaskRule::Nothing => Mask::Nothing,
            MaskRule::Coin(coin) => Mask::Coin(coin),
            MaskRule::Ranked(_) => Mask::Drawn,
            MaskRule::Band { skip, keep } => {
                let above = if skip > 0 { taken() } else { Cut::NONE };
                let from = if skip + keep < elements { taken() } else { whole };
                Mask::Band { score: Score::Magnitude, from, above }
            }
            MaskRule::Above(least) => {
                let from = Cut { threshold: precision.bits(least), ties_end: 0 };
                Mask::Band { score: Score::Magnitude, from, above: Cut::NONE }
            }
            MaskRule::Varied { .. } => {
                varied.map_or(Mask::Nothing, |from| Mask::Band { score: Score::Variance, from, above: Cut::NONE })
            }
            MaskRule::Outliers => {
                let [first, median, third] = [taken(), taken(), taken()].map(|cut| cut.threshold);
                let from = Cut { threshold: precision.fence(first, median, third), ties_end: u64::MAX };
                Mask::Band { score: Score::Scaled, from, above: Cut::NONE }
            }
        })
        .collect())
}
