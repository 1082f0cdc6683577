//! The numbers of a source as methods see them, put together one by one in double precision.
//!
//! Written apart from the engine's windows. What the engine promises to round is rounded here too: a change and its sum with the weight,
//! and means, to f32 unless the source is F64, so that the truth about equal magnitudes is about the same numbers.

use merge_studio::format::DType;
use merge_studio::plan::{Job, RowOrigin, SourceTensor};

use crate::case::decode;
use crate::engine::Made;

/// All elements of the job's `source`-th source.
pub fn numbers(made: &Made, job: &Job, source: usize) -> Vec<f64> {
    numbers_by(made, job, source, |number| number)
}

/// The same with `by` of the weights and of the products of factors.
fn numbers_by(made: &Made, job: &Job, source: usize, by: fn(f64) -> f64) -> Vec<f64> {
    let of = &job.sources[source];
    let Some(map) = of.assembly.as_ref().and_then(|assembly| assembly.rows) else {
        return changed_by(made, job, of, by);
    };
    let columns = job.shape[1..].iter().product::<u64>() as usize;
    let row = |of: &[f64], row: u64| of[row as usize * columns..][..columns].to_vec();
    let all: Vec<Vec<f64>> = job.sources.iter().map(|source| changed_by(made, job, source, by)).collect();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for (count, origin) in &made.plan.row_maps[map].runs {
        let above = rows.clone();
        for next in 0..*count {
            rows.push(match origin {
                RowOrigin::Own(first) => row(&all[source], first + next),
                RowOrigin::Zero => vec![0.0; columns],
                RowOrigin::MeanAbove => mean(of, &above),
                RowOrigin::Mean(from) => {
                    let place = |input| job.sources.iter().position(|source| source.input == input).unwrap();
                    let rows = from.iter().map(|(input, first)| row(&all[place(*input)], first + next));
                    mean(of, &rows.collect::<Vec<_>>())
                }
            });
        }
    }
    rows.concat()
}

/// The mean of rows, in their order.
fn mean(of: &SourceTensor, rows: &[Vec<f64>]) -> Vec<f64> {
    let sum = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>();
    (0..rows[0].len()).map(|column| rounded(of, sum(column) / rows.len() as f64)).collect()
}

/// The largest number on the way to each element of the job's sources, where one of them is put together: a weight and its change may
/// cancel, and so may the rows of a mean.
pub fn largest(made: &Made, job: &Job) -> Option<Vec<f64>> {
    let assembled = |source: &usize| job.sources[*source].assembly.is_some();
    let sums = (0..job.sources.len()).filter(assembled).map(|source| numbers_by(made, job, source, f64::abs));
    sums.reduce(|largest, sums| largest.into_iter().zip(sums).map(|(one, other)| one.max(other)).collect())
}

/// The elements before any row map, the weight and a change of it, with `of` of the weights and of the products of factors.
fn changed_by(made: &Made, job: &Job, source: &SourceTensor, of: fn(f64) -> f64) -> Vec<f64> {
    let read = |source: &SourceTensor| decode(source.dtype, made.bytes(source));
    let mut numbers = read(source);
    let Some(change) = source.assembly.as_ref().and_then(|assembly| assembly.change.as_ref()) else { return numbers };
    let (a, b, rank) = (read(&change.down), read(&change.up), change.rank as usize);
    let (columns, a_columns) = (job.shape[1] as usize, a.len() / rank);
    for (at, number) in numbers.iter_mut().enumerate() {
        let (row, column) = (at / columns, at % columns);
        let (row, column) = if change.transposed { (column, row) } else { (row, column) };
        let sum: f64 = (0..rank).map(|k| of(b[row * rank + k] * a[k * a_columns + column])).sum();
        *number = rounded(source, of(*number) + rounded(source, change.scale * sum));
    }
    numbers
}

/// A number as the source's windows hold it.
fn rounded(source: &SourceTensor, number: f64) -> f64 {
    if source.dtype == DType::F64 { number } else { f64::from(number as f32) }
}
