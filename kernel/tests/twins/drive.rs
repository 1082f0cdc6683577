//! Drives a backend over a case, in windows, as a run does.

use merge_studio_kernel::{
    Backend, BackendError, Cut, Given, Gram, Groups, Histogram, Mask, Mix, Norms, Overlap, Power, Query, Score,
    Selection, TieHunt,
};
use pollster::block_on;

use crate::case::Case;

pub type Driven<T> = Result<T, BackendError>;

pub fn gram(backend: &mut impl Backend, case: &Case, groups: Groups, cut: usize) -> Driven<Gram> {
    let mut gram = Gram::new(case.terms(), groups, case.len as u64);
    case.windows(cut, |windows| block_on(backend.gram(&case.frame(), &mut Given::new(windows), &mut gram)))?;
    Ok(gram)
}

pub fn norms(backend: &mut impl Backend, case: &Case, power: Power, masks: &[Mask], cut: usize) -> Driven<Vec<Norms>> {
    let mut norms = vec![Norms::default(); case.terms()];
    case.windows(cut, |windows| {
        block_on(backend.norms(&case.frame(), power, masks, &mut Given::new(windows), &mut norms))
    })?;
    Ok(norms)
}

pub fn overlap(backend: &mut impl Backend, case: &Case, masks: &[Mask], cut: usize) -> Driven<Vec<Overlap>> {
    let mut overlap = vec![Overlap::default(); case.terms()];
    case.windows(cut, |windows| {
        block_on(backend.overlap(&case.frame(), masks, &mut Given::new(windows), &mut overlap))
    })?;
    Ok(overlap)
}

pub fn mix(backend: &mut impl Backend, case: &Case, mix: &Mix, cut: usize) -> Driven<Vec<u8>> {
    case.windows(cut, |windows| {
        let mut pass = Given::new(windows);
        block_on(backend.mix(&case.frame(), mix, &mut pass))?;
        Ok(pass.values)
    })
}

/// How many scores are zero.
pub fn zeros(backend: &mut impl Backend, case: &Case, score: Score, cut: usize) -> Driven<u64> {
    let mut hunts = [TieHunt { term: 0, score, threshold: 0, wanted: u64::MAX, met: 0, end: None }];
    case.windows(cut, |windows| block_on(backend.ties(&case.frame(), &mut Given::new(windows), &mut hunts)))?;
    Ok(hunts[0].met)
}

/// What is to be selected: of which term, by which score, how many.
pub type Wanted = (usize, Score, u64);

/// The cuts that hold what is wanted: all histogram passes, by the digits of a tensor of `elements` elements, then the ties.
pub fn select(
    backend: &mut impl Backend,
    case: &Case,
    wanted: &[Wanted],
    elements: u64,
    cut: usize,
) -> Driven<Vec<Cut>> {
    let digits = backend.digits(case.precision, elements);
    let mut selections: Vec<Selection> = wanted.iter().map(|&(.., keep)| Selection::new(digits, keep)).collect();
    loop {
        let queries: Vec<Query> = wanted
            .iter()
            .zip(&selections)
            .filter_map(|(&(term, score, _), selection)| Some(Query { term, score, digit: selection.digit()? }))
            .collect();
        if queries.is_empty() {
            break;
        }
        let mut counts: Vec<Histogram> = queries.iter().map(|query| Histogram::new(query.digit)).collect();
        case.windows(cut, |windows| {
            block_on(backend.histogram(&case.frame(), &queries, &mut Given::new(windows), &mut counts))
        })?;
        let open = selections.iter_mut().filter(|selection| selection.digit().is_some());
        for (selection, counts) in open.zip(&counts) {
            selection.narrow(counts);
        }
    }
    let mut hunts: Vec<TieHunt> = wanted
        .iter()
        .zip(&selections)
        .filter_map(|(&(term, score, _), selection)| selection.tie_hunt(term, score))
        .collect();
    case.windows(cut, |windows| block_on(backend.ties(&case.frame(), &mut Given::new(windows), &mut hunts)))?;
    let mut hunts = hunts.into_iter();
    Ok(wanted
        .iter()
        .zip(&selections)
        .map(|(&(term, score, _), selection)| {
            let hunt = selection.tie_hunt(term, score).and_then(|_| hunts.next());
            selection.cut(hunt)
        })
        .collect())
}
