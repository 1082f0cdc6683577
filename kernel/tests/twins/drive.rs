//! Drives a backend over a case, window by window, as a run does.

use merge_studio_kernel::{Backend, BackendError, Gram, L1, Mask, Mix, Selection, TieHunt, Window};
use pollster::block_on;

use crate::case::Case;

pub type Driven<T> = Result<T, BackendError>;

fn each(case: &Case, cut: usize, mut step: impl FnMut(Window<'_>) -> Driven<()>) -> Driven<()> {
    let mut outcome = Ok(());
    case.windows(cut, |window| {
        if outcome.is_ok() {
            outcome = step(window);
        }
    });
    outcome
}

pub fn gram(backend: &mut impl Backend, case: &Case, cut: usize) -> Driven<Gram> {
    let mut gram = Gram::new(case.terms());
    each(case, cut, |window| block_on(backend.gram(case.precision, case.space, window, &mut gram)))?;
    Ok(gram)
}

pub fn l1(backend: &mut impl Backend, case: &Case, masks: &[Mask], cut: usize) -> Driven<Vec<L1>> {
    let mut norms = vec![L1::default(); case.terms()];
    each(case, cut, |window| block_on(backend.l1(case.precision, case.space, masks, window, &mut norms)))?;
    Ok(norms)
}

pub fn mix(backend: &mut impl Backend, case: &Case, mix: &Mix, cut: usize) -> Driven<Vec<u8>> {
    let mut bytes = Vec::new();
    each(case, cut, |window| block_on(backend.mix(mix, window, &mut bytes)))?;
    Ok(bytes)
}

/// The masks that keep `keep[t]` of term t: all histogram passes, then the ties. `None` is a term without a selection.
pub fn select(backend: &mut impl Backend, case: &Case, keep: &[Option<u64>], cut: usize) -> Driven<Vec<Mask>> {
    let mut selections: Vec<Option<Selection>> =
        keep.iter().map(|keep| keep.map(|keep| Selection::new(case.precision, keep))).collect();
    loop {
        let digits: Vec<_> = selections.iter().map(|selection| selection.as_ref()?.digit()).collect();
        if digits.iter().all(Option::is_none) {
            break;
        }
        let mut counts: Vec<Vec<u64>> =
            digits.iter().map(|digit| vec![0; digit.map_or(0, |digit| 1 << digit.bits)]).collect();
        each(case, cut, |window| {
            block_on(backend.histogram(case.precision, case.space, &digits, window, &mut counts))
        })?;
        for (selection, counts) in selections.iter_mut().zip(&counts) {
            if let Some(selection) = selection {
                selection.narrow(counts);
            }
        }
    }
    let mut hunts: Vec<Option<TieHunt>> = selections.iter().map(|selection| selection.as_ref()?.tie_hunt()).collect();
    each(case, cut, |window| block_on(backend.ties(case.precision, case.space, window, &mut hunts)))?;
    let masks = selections.iter().zip(hunts);
    Ok(masks.map(|(selection, hunt)| selection.as_ref().map_or(Mask::All, |selection| selection.mask(hunt))).collect())
}
