//! Sources that are more than one stretch of a file: W + s·B·A, and rows of vocabularies in the output's order. Methods see them
//! as plain tensors of F32, or of F64 where the source is.
//!
//! The arithmetic is the same however a tensor is cut: the sum over the rank is taken in f64, in the order of its index, scaled in
//! f64, rounded once to f32 and added in f32 to the widened weight. (PEFT rounds that sum to the weight's type.) Means are sums in
//! f64, of rows in the order of the plan, divided and rounded once. Where the source is F64, nothing is rounded to f32.
//!
//! Memory: one piece (a window of elements, 8 bytes each) for the values, one each for a change's sums and for a mean's, as many
//! bytes for what is read at once and for the rows of a change, and the change's lines (rank × columns, as they are stored).
//! The mean that pads a vocabulary is measured once, before the first window, by a reading of its own.

use std::ops::Range;

use super::{RunError, Task};
use crate::format::{DType, Source, in_order};
use crate::kernel::cpu::{add_change, add_scaled, narrow, widen};
use crate::kernel::{Float, Raw};
use crate::plan::{Job, LowRank, Plan, RowMap, RowOrigin, SourceTensor, float_of};

/// Bytes between two rows that are read rather than skipped: a page reads this much in the time that a call takes.
const GAP: u64 = 256 << 10;

/// Elements whose change is summed up at a time: they stay in the processor's second cache.
const CHUNK: usize = 32 << 10;

/// The sources of one job, and what is kept of them between pieces.
pub(super) struct Assembler {
    parts: Vec<Part>,
    /// Elements of a row: a one-dimensional tensor has rows of one.
    columns: u64,
    /// Elements of the longest piece.
    piece: usize,
    /// What was read last, before it is widened.
    raw: Vec<u8>,
}

/// One source.
struct Part {
    dtype: Float,
    /// Its own rows, before any map.
    rows: u64,
    change: Option<Lines>,
    map: Option<Runs>,
}

/// What is kept of a low-rank change.
#[derive(Default)]
struct Lines {
    /// The factor over the columns, whole: line k holds column after column. Empty until it is read.
    across: Vec<u8>,
    /// The factor over the rows, of these rows: row by row, or line by line if the matrix is stored transposed.
    along: Vec<u8>,
    along_rows: Range<u64>,
}

/// A row map's runs, ready to be looked up.
struct Runs {
    /// The first output row of each run.
    starts: Vec<u64>,
    /// Of each [`RowOrigin::MeanAbove`] in order, the row that it stands for. Measured before the first piece.
    means: Vec<(u64, Vec<f64>)>,
    measured: bool,
}

/// Elements that follow each other both in a source and in a piece.
#[derive(Clone, Copy)]
struct Stretch {
    /// The first in the source, before its row map.
    from: u64,
    /// The first in the piece.
    to: usize,
    len: usize,
}

/// A part of a row that a change is added to.
struct Segment {
    row: u64,
    column: usize,
    to: usize,
    len: usize,
}

/// The type that a source's windows have: its own, or if it is assembled, F32, or F64 where it is F64.
pub(super) fn width(source: &SourceTensor) -> Float {
    match (float_of(source.dtype).unwrap_or(Float::F32), &source.assembly) {
        (dtype, None) => dtype,
        (Float::F64, Some(_)) => Float::F64,
        _ => Float::F32,
    }
}

impl Assembler {
    /// For a job with assembled sources; `None` where there are none.
    ///
    /// # Errors
    /// [`RunError::Assembly`] if a source lacks rows, or a change numbers, that the plan asks for: nothing past their ends is read.
    pub(super) fn new<S>(task: &Task<'_, S>, job: &Job) -> Result<Option<Self>, RunError> {
        if job.sources.iter().all(|source| source.assembly.is_none()) {
            return Ok(None);
        }
        let rows = job.shape.first().copied().unwrap_or(1);
        let columns = job.shape.iter().skip(1).try_fold(1_u64, |product, size| product.checked_mul(*size));
        let mut parts = Vec::with_capacity(job.sources.len());
        for source in &job.sources {
            let bad = || RunError::Assembly {
                tensor: source.name.clone(),
                input: task.plan.inputs[source.input].name.clone(),
            };
            let part = columns.and_then(|columns| Part::new(task.plan, job, source, rows, columns));
            parts.push(part.ok_or_else(bad)?);
        }
        let columns = columns.unwrap_or(1).max(1);
        Ok(Some(Self { parts, columns, piece: task.limits.window, raw: Vec::new() }))
    }

    /// Fills `into` with elements of source `number`, which must be assembled, in its [`width`].
    pub(super) async fn fill<S: Source>(
        &mut self,
        task: &mut Task<'_, S>,
        number: usize,
        elements: Range<u64>,
        into: &mut [u8],
    ) -> Result<(), RunError> {
        self.measure(task, number).await?;
        let wide = self.parts[number].dtype == Float::F64;
        let size = if wide { 8 } else { 4 };
        let mut values = Vec::new();
        let mut first = elements.start;
        for bytes in into.chunks_mut(self.piece * size) {
            let end = first + (bytes.len() / size) as u64;
            self.values(task, number, first..end, &mut values).await?;
            narrow(&values, wide, bytes);
            first = end;
        }
        Ok(())
    }

    /// Measures the means that pad source `number`'s rows, if it has any.
    async fn measure<S: Source>(&mut self, task: &mut Task<'_, S>, number: usize) -> Result<(), RunError> {
        let plan = task.plan;
        let Some(map) = row_map(plan, &plan.jobs[task.index].sources[number]) else { return Ok(()) };
        match &mut self.parts[number].map {
            Some(runs) if !runs.measured => runs.measured = true,
            _ => return Ok(()),
        }
        let (mut sums, mut values) = (Vec::new(), Vec::new());
        let mut done = 0;
        let mut start = 0;
        for (rows, origin) in &map.runs {
            if *origin == RowOrigin::MeanAbove && *rows > 0 {
                sums.resize(self.columns as usize, 0.0);
                let end = start * self.columns;
                while done < end {
                    let next = end.min(done + self.piece as u64);
                    self.values(task, number, done..next, &mut values).await?;
                    let mut column = (done % self.columns) as usize;
                    for value in &values {
                        sums[column] += value;
                        column = if column + 1 == sums.len() { 0 } else { column + 1 };
                    }
                    done = next;
                }
                let rounded = self.parts[number].rounded();
                // Nothing above has no mean: zeros.
                let mean = sums.iter().map(|sum| rounded(sum / start.max(1) as f64)).collect();
                if let Some(runs) = &mut self.parts[number].map {
                    runs.means.push((start, mean));
                }
            }
            start += rows;
        }
        Ok(())
    }

    /// Replaces `values` by the elements of a piece of source `number`, each a value of its [`width`].
    async fn values<S: Source>(
        &mut self,
        task: &mut Task<'_, S>,
        number: usize,
        piece: Range<u64>,
        values: &mut Vec<f64>,
    ) -> Result<(), RunError> {
        let plan = task.plan;
        let sources = &plan.jobs[task.index].sources;
        let len = (piece.end - piece.start) as usize;
        values.clear();
        values.resize(len, 0.0);
        task.allocated(len * size_of::<f64>());
        let Some((runs, map)) = self.parts[number].map.as_ref().zip(row_map(plan, &sources[number])) else {
            return self.fetch(task, number, &[Stretch { from: piece.start, to: 0, len }], values).await;
        };
        let columns = self.columns;
        let mut own = Vec::new();
        let mut means = Vec::new();
        let from = runs.starts.partition_point(|start| start * columns <= piece.start).saturating_sub(1);
        for ((rows, origin), start) in map.runs.iter().zip(&runs.starts).skip(from) {
            let (first, end) = (start * columns, (start + rows) * columns);
            if first >= piece.end {
                break;
            }
            let at = first.max(piece.start);
            let stretch =
                |row: u64, len| Stretch { from: row * columns + at - first, to: (at - piece.start) as usize, len };
            let len = end.min(piece.end).saturating_sub(at) as usize;
            match origin {
                _ if len == 0 => {}
                RowOrigin::Own(row) => own.push(stretch(*row, len)),
                RowOrigin::Mean(of) => means.push((of, stretch(0, len))),
                RowOrigin::Zero => {}
                RowOrigin::MeanAbove => {
                    let mean = runs.means.iter().find(|(row, _)| row == start);
                    for (element, value) in values[stretch(0, len).to..][..len].iter_mut().enumerate() {
                        let column = ((at + element as u64) % columns) as usize;
                        *value = mean.map_or(0.0, |(_, mean)| mean[column]);
                    }
                }
            }
        }
        self.fetch(task, number, &in_order(own, |stretch| stretch.from), values).await?;
        if means.is_empty() {
            return Ok(());
        }
        let (mut sums, mut one) = (vec![0.0; len], vec![0.0; len]);
        task.allocated(2 * len * size_of::<f64>());
        for place in 0..means.iter().map(|(of, _)| of.len()).max().unwrap_or(0) {
            for (other, source) in sources.iter().enumerate() {
                let taken = means.iter().filter_map(|(of, stretch)| {
                    let (input, row) = of.get(place)?;
                    // An input may stand behind several sources only if they are the same tensor: the first one counts.
                    let is_it = *input == source.input && sources[..other].iter().all(|before| before.input != *input);
                    is_it.then(|| Stretch { from: stretch.from + row * columns, ..*stretch })
                });
                let taken = in_order(taken.collect(), |stretch: &Stretch| stretch.from);
                self.fetch(task, other, &taken, &mut one).await?;
                for Stretch { to, len, .. } in taken {
                    add_scaled(&mut sums[to..to + len], &one[to..to + len], 1.0);
                }
            }
        }
        let rounded = self.parts[number].rounded();
        for (of, Stretch { to, len, .. }) in means {
            for (value, sum) in values[to..to + len].iter_mut().zip(&sums[to..to + len]) {
                *value = rounded(sum / of.len() as f64);
            }
        }
        Ok(())
    }

    /// Puts stretches of source `number`, in the order of their places there and before its row map, where they go in `values`.
    /// Neighbours are read together.
    async fn fetch<S: Source>(
        &mut self,
        task: &mut Task<'_, S>,
        number: usize,
        stretches: &[Stretch],
        values: &mut [f64],
    ) -> Result<(), RunError> {
        let plan = task.plan;
        let source = &plan.jobs[task.index].sources[number];
        let dtype = self.parts[number].dtype;
        let (size, most) = (dtype.size() as u64, self.most());
        let mut left = stretches;
        while let Some(Stretch { from: first, .. }) = left.first().copied() {
            let mut end = first;
            let mut taken = 0;
            for stretch in left {
                let next = end.max(stretch.from + stretch.len as u64);
                if taken > 0 && (stretch.from.saturating_sub(end) * size > GAP || (next - first) * size > most) {
                    break;
                }
                end = next;
                taken += 1;
            }
            let (together, rest) = left.split_at(taken);
            left = rest;
            self.raw.resize(((end - first) * size) as usize, 0);
            task.read(source, first * size, &mut self.raw).await?;
            for Stretch { from, to, len } in together {
                let at = (from - first) as usize * dtype.size();
                let bytes = &self.raw[at..at + len * dtype.size()];
                widen(Raw { dtype, bytes }, &mut values[*to..to + len]);
            }
            if let Some(change) = source.assembly.as_ref().and_then(|assembly| assembly.change.as_ref()) {
                self.change(task, number, change, together, values).await?;
            }
        }
        Ok(())
    }

    /// Adds source `number`'s change to stretches of it.
    async fn change<S: Source>(
        &mut self,
        task: &mut Task<'_, S>,
        number: usize,
        change: &LowRank,
        stretches: &[Stretch],
        values: &mut [f64],
    ) -> Result<(), RunError> {
        let (columns, most) = (self.columns, self.most());
        let Part { dtype, rows, change: Some(lines), .. } = &mut self.parts[number] else { return Ok(()) };
        let (wide, rows) = (*dtype == Float::F64, *rows);
        let (mut segments, mut gathered) = (Vec::new(), 0);
        let mut sums = Vec::new();
        for stretch in stretches {
            let (mut from, mut to) = (stretch.from, stretch.to);
            while to < stretch.to + stretch.len {
                let (row, column) = (from / columns, (from % columns) as usize);
                let len = (columns as usize - column).min(stretch.to + stretch.len - to).min(CHUNK);
                if gathered + len > CHUNK || !lines.along_rows.contains(&row) {
                    lines.sum(change, columns, &segments, &mut sums);
                    add(&segments, &sums, change.scale, wide, values);
                    segments.clear();
                    gathered = 0;
                    lines.load(task, change, row, rows, columns, most).await?;
                }
                segments.push(Segment { row, column, to, len });
                gathered += len;
                from += len as u64;
                to += len;
            }
        }
        lines.sum(change, columns, &segments, &mut sums);
        add(&segments, &sums, change.scale, wide, values);
        Ok(())
    }

    /// The most bytes that are read at once, but for a change's lines: a piece of the widest elements.
    fn most(&self) -> u64 {
        self.piece as u64 * 8
    }
}

/// Adds `sums`, times `scale`, to the segments' values.
fn add(segments: &[Segment], sums: &[f64], scale: f64, wide: bool, values: &mut [f64]) {
    let mut at = 0;
    for Segment { to, len, .. } in segments {
        add_change(&mut values[*to..to + len], &sums[at..at + len], scale, wide);
        at += len;
    }
}

fn row_map<'a>(plan: &'a Plan, source: &SourceTensor) -> Option<&'a RowMap> {
    plan.row_maps.get(source.assembly.as_ref()?.rows?)
}

/// The plan's float of a type that is one.
fn float(dtype: DType) -> Float {
    float_of(dtype).unwrap_or(Float::F32)
}

impl Part {
    /// `None` if the plan asks for what is not there.
    fn new(plan: &Plan, job: &Job, source: &SourceTensor, rows: u64, columns: u64) -> Option<Self> {
        let dtype = float_of(source.dtype)?;
        let own_rows = |source: &SourceTensor| (source.len / source.dtype.size()).checked_div(columns);
        let own = own_rows(source).unwrap_or(0);
        rows.checked_mul(columns)?;
        let assembly = source.assembly.as_deref();
        if let Some(LowRank { down, up, rank, transposed, .. }) = assembly.and_then(|assembly| assembly.change.as_ref())
        {
            let (across, along) = if *transposed { (up, down) } else { (down, up) };
            let len = |factor: &SourceTensor, size: u64| {
                float_of(factor.dtype)?;
                rank.checked_mul(size)?.checked_mul(factor.dtype.size())
            };
            let fits = |factor: &SourceTensor, size| len(factor, size) == Some(factor.len);
            let addressable = isize::try_from(across.len).is_ok();
            if job.shape.len() != 2 || !addressable || !fits(across, columns) || !fits(along, own) {
                return None;
            }
        }
        let map = match assembly.and_then(|assembly| assembly.rows) {
            None if own == rows || columns == 0 => None,
            None => return None,
            Some(map) => {
                let mut starts = Vec::new();
                let mut start = 0_u64;
                for (count, origin) in &plan.row_maps.get(map)?.runs {
                    let has = |rows: u64, first: u64| first.checked_add(*count).is_some_and(|end| end <= rows);
                    let there = match origin {
                        RowOrigin::Own(first) => has(own, *first),
                        RowOrigin::Mean(of) => {
                            !of.is_empty()
                                && of.iter().all(|(input, row)| {
                                    let source = job.sources.iter().find(|source| source.input == *input);
                                    source.and_then(own_rows).is_some_and(|rows| has(rows, *row))
                                })
                        }
                        RowOrigin::Zero | RowOrigin::MeanAbove => true,
                    };
                    if !there && columns > 0 {
                        return None;
                    }
                    starts.push(start);
                    start = start.checked_add(*count)?;
                }
                if start != rows {
                    return None;
                }
                Some(Runs { starts, means: Vec::new(), measured: false })
            }
        };
        let change = assembly.is_some_and(|assembly| assembly.change.is_some()).then(Lines::default);
        Some(Self { dtype, rows: own, change, map })
    }

    /// Rounds to what the part's values are.
    fn rounded(&self) -> fn(f64) -> f64 {
        if self.dtype == Float::F64 { |value| value } else { |value| f64::from(value as f32) }
    }
}

impl Lines {
    /// Makes the factor over the columns present, and of that over the rows at least `row`.
    async fn load<S: Source>(
        &mut self,
        task: &mut Task<'_, S>,
        change: &LowRank,
        row: u64,
        rows: u64,
        columns: u64,
        most: u64,
    ) -> Result<(), RunError> {
        let LowRank { down, up, rank, transposed, .. } = change;
        let (across, along) = if *transposed { (up, down) } else { (down, up) };
        if self.across.is_empty() {
            let mut bytes = vec![0; across.len as usize];
            task.read(across, 0, &mut bytes).await?;
            self.across = if *transposed {
                turned(&bytes, *rank as usize, columns as usize, across.dtype.size() as usize)
            } else {
                bytes
            };
        }
        if self.along_rows.contains(&row) {
            return Ok(());
        }
        let size = along.dtype.size();
        let block = (most / (rank * size).max(1)).max(1);
        let wanted = if block >= rows { 0..rows } else { row..rows.min(row + block) };
        let count = wanted.end - wanted.start;
        self.along_rows = 0..0;
        self.along.resize((count * rank * size) as usize, 0);
        if !*transposed || count == rows {
            task.read(along, wanted.start * if *transposed { 1 } else { rank * size }, &mut self.along).await?;
        } else {
            for (k, line) in self.along.chunks_mut((count * size) as usize).enumerate() {
                task.read(along, (k as u64 * rows + wanted.start) * size, line).await?;
            }
        }
        self.along_rows = wanted;
        Ok(())
    }

    /// Replaces `sums` by those of the segments' elements over the rank, one segment after the other.
    fn sum(&self, change: &LowRank, columns: u64, segments: &[Segment], sums: &mut Vec<f64>) {
        sums.clear();
        sums.resize(segments.iter().map(|segment| segment.len).sum(), 0.0);
        let Some(first) = segments.iter().map(|segment| segment.column).min() else { return };
        let end = segments.iter().map(|segment| segment.column + segment.len).max().unwrap_or(first);
        let LowRank { down, up, rank, transposed, .. } = change;
        let (across, along) = if *transposed { (up, down) } else { (down, up) };
        let (across, along) = (float(across.dtype), float(along.dtype));
        let count = (self.along_rows.end - self.along_rows.start) as usize;
        let mut line = vec![0.0; end - first];
        for k in 0..*rank as usize {
            let at = (k * columns as usize + first) * across.size();
            widen(Raw { dtype: across, bytes: &self.across[at..at + line.len() * across.size()] }, &mut line);
            let mut to = 0;
            for segment in segments {
                let row = (segment.row - self.along_rows.start) as usize;
                let at = if *transposed { k * count + row } else { row * *rank as usize + k } * along.size();
                let mut factor = [0.0];
                widen(Raw { dtype: along, bytes: &self.along[at..at + along.size()] }, &mut factor);
                let column = segment.column - first;
                add_scaled(&mut sums[to..to + segment.len], &line[column..column + segment.len], factor[0]);
                to += segment.len;
            }
        }
    }
}

/// `columns` rows of `rank` elements as `rank` rows of `columns` elements.
fn turned(bytes: &[u8], rank: usize, columns: usize, size: usize) -> Vec<u8> {
    let mut turned = Vec::with_capacity(bytes.len());
    for k in 0..rank {
        for column in 0..columns {
            let at = (column * rank + k) * size;
            turned.extend_from_slice(&bytes[at..at + size]);
        }
    }
    turned
}
