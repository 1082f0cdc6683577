//! The CPU backend: the reference, to the byte, on every host.
//!
//! [`Cpu`] goes through a window block by block: 1,024 elements are decoded from the files' bytes, made into terms, masked, summed
//! or mixed, and encoded, all within the first-level cache. Its loops are written over arrays of fixed size for LLVM to vectorise.
//! What it computes is defined by [`Reference`], one element at a time, and tests hold the two equal to the bit.

// Inlining is what compiles a loop for the vectors of its caller (see `simd`). WebAssembly has one width of vectors: there LLVM
// decides, and the kernels are 10 kB smaller for it after gzip.
#![allow(clippy::inline_always)]

mod block;
mod divergence;
mod float16;
mod line;
mod mask;
mod measure;
mod mix;
mod ranked;
mod real;
mod reference;
mod simd;

pub use divergence::Divergence;
pub use line::{add_change, add_scaled, narrow, widen};
pub use ranked::draw;
pub use reference::Reference;

use super::{
    BLOCK, Backend, BackendKind, Digits, Frame, Gram, Groups, Histogram, Mask, Mix, Norms, Overlap, Pass, Power,
    Precision, Query, Score, Space, TieHunt, Window, narrow_digits, wide_digits,
};
use block::{Block, Span, decode_base, encode, form, spans};
pub use mask::REMEMBERED;
use mask::Tosses;
use measure::Counters;
use mix::Formula;
use real::Real;

/// The CPU.
#[derive(Default)]
pub struct Cpu {
    narrow: Scratch<f32>,
    wide: Scratch<f64>,
    counters: Vec<Counters>,
}

/// Blocks that are reused from window to window.
struct Scratch<R> {
    base: Box<Block<R>>,
    /// One a term.
    terms: Vec<Block<R>>,
    /// What elements are ranked by, where that is not the term itself.
    ranked: Box<Block<R>>,
    values: Box<Block<R>>,
    /// One a term.
    tosses: Vec<Tosses>,
}

impl<R: Real> Default for Scratch<R> {
    fn default() -> Self {
        let block = || Box::new([R::ZERO; BLOCK]);
        Self { base: block(), terms: Vec::new(), ranked: block(), values: block(), tosses: Vec::new() }
    }
}

/// One call of the backend.
enum Task<'a> {
    Gram(&'a mut Gram),
    Norms(Power, &'a [Mask], &'a mut [Norms]),
    Overlap(&'a [Mask], &'a mut [Overlap]),
    Histogram(&'a [Query], &'a mut Vec<Counters>, &'a mut [Histogram]),
    Ties(&'a mut [TieHunt]),
    Mix(&'a Mix, &'a mut Vec<u8>),
}

impl<R: Real> Scratch<R> {
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn run(&mut self, frame: &Frame<'_>, window: &Window<'_>, task: Task<'_>) {
        match task {
            Task::Gram(into) => self.gram(frame, window, into),
            Task::Norms(power, masks, into) => self.norms(frame, power, masks, window, into),
            Task::Overlap(masks, into) => self.overlap(frame, masks, window, into),
            Task::Histogram(queries, counters, into) => self.histogram(counters, frame, queries, window, into),
            Task::Ties(hunts) => self.ties(frame, window, hunts),
            Task::Mix(mix, into) => self.mix(frame, mix, window, into),
        }
    }

    /// Forms every term of a span.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn form(&mut self, space: Space, window: &Window<'_>, span: Span) {
        self.terms.resize(space.terms(window.inputs.len()), [R::ZERO; BLOCK]);
        decode_base(space, window, span, &mut self.base);
        for (term, block) in self.terms.iter_mut().enumerate() {
            form(space, term, window, span, &self.base, block);
        }
    }

    /// Zeroes what masks do not keep of the terms, all of which were formed.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn mask(&mut self, frame: &Frame<'_>, masks: &[Mask], window: &Window<'_>, span: Span) {
        if masks.iter().any(|mask| matches!(mask, Mask::Band { score: Score::Variance, .. })) {
            measure::variance(&self.terms, &mut self.ranked);
        }
        self.tosses.resize_with(masks.len(), Tosses::default);
        for (number, (mask, term)) in masks.iter().zip(&mut self.terms).enumerate() {
            match mask {
                Mask::All => {}
                Mask::Nothing => term.fill(R::ZERO),
                Mask::Band { score, from, above } => {
                    if *score == Score::Scaled {
                        scale(frame, span, term, &mut self.ranked);
                    }
                    let by = (*score != Score::Magnitude).then_some(&*self.ranked);
                    mask::cut::<R, true>(*from, span, by, term);
                    mask::cut::<R, false>(*above, span, by, term);
                }
                Mask::Coin(coin) => mask::keep(&self.tosses[number].of(coin, span.first, masks.len()), term),
                Mask::Drawn => mask::keep(&window.drawn[number][span.at / 32..], &mut term[..span.len]),
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn gram(&mut self, frame: &Frame<'_>, window: &Window<'_>, into: &mut Gram) {
        let pairs = Gram::pairs(into.terms);
        for span in spans(window) {
            self.form(frame.space, window, span);
            let products = self.terms.iter().enumerate();
            let products = products.flat_map(|(number, a)| self.terms[number..].iter().map(move |b| (a, b)));
            for (pair, (a, b)) in products.enumerate() {
                match into.groups {
                    Groups::Whole => into.sums[pair] += measure::product(a, b),
                    Groups::Rows(row) => {
                        let mut at = 0;
                        while at < span.len {
                            let place = span.first + at as u64;
                            let end = span.len.min(at + usize::try_from(row - place % row).unwrap_or(BLOCK));
                            into.sums[(place / row) as usize * pairs + pair] += measure::part(&a[at..end], &b[at..end]);
                            at = end;
                        }
                    }
                    Groups::Columns(columns) => {
                        let mut column = span.first % columns;
                        for (a, b) in a[..span.len].iter().zip(b) {
                            into.sums[column as usize * pairs + pair] += a.to_f64() * b.to_f64();
                            column = if column + 1 == columns { 0 } else { column + 1 };
                        }
                    }
                }
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn norms(&mut self, frame: &Frame<'_>, power: Power, masks: &[Mask], window: &Window<'_>, into: &mut [Norms]) {
        for span in spans(window) {
            self.form(frame.space, window, span);
            for (term, norms) in self.terms.iter().zip(&mut *into) {
                norms.all += measure::norm(power, term);
            }
            self.mask(frame, masks, window, span);
            for (term, norms) in self.terms.iter().zip(&mut *into) {
                norms.kept += measure::norm(power, term);
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn overlap(&mut self, frame: &Frame<'_>, masks: &[Mask], window: &Window<'_>, into: &mut [Overlap]) {
        for span in spans(window) {
            self.form(frame.space, window, span);
            self.mask(frame, masks, window, span);
            measure::overlap(&self.terms, into);
        }
    }

    /// Makes `values` what a term's elements are ranked by. The base was decoded.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn rank(&mut self, frame: &Frame<'_>, term: usize, score: Score, window: &Window<'_>, span: Span) {
        match score {
            Score::Magnitude => form(frame.space, term, window, span, &self.base, &mut self.values),
            Score::Variance => {
                self.form(frame.space, window, span);
                measure::variance(&self.terms, &mut self.values);
            }
            Score::Scaled => {
                form(frame.space, term, window, span, &self.base, &mut self.ranked);
                scale(frame, span, &self.ranked, &mut self.values);
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn histogram(
        &mut self,
        counters: &mut Vec<Counters>,
        frame: &Frame<'_>,
        queries: &[Query],
        window: &Window<'_>,
        into: &mut [Histogram],
    ) {
        counters.resize_with(counters.len().max(queries.len()), Counters::default);
        for span in spans(window) {
            decode_base(frame.space, window, span, &mut self.base);
            for (number, query) in queries.iter().enumerate() {
                let again = |before: &Query| (before.term, before.score) == (query.term, query.score);
                if !queries[..number].last().is_some_and(again) {
                    self.rank(frame, query.term, query.score, window, span);
                }
                counters[number].count(query.digit, &self.values, span, &mut into[number]);
            }
        }
        for ((counters, query), into) in counters.iter_mut().zip(queries).zip(into) {
            counters.flush(query.digit, into);
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn ties(&mut self, frame: &Frame<'_>, window: &Window<'_>, hunts: &mut [TieHunt]) {
        for span in spans(window) {
            if hunts.iter().all(TieHunt::over) {
                return;
            }
            decode_base(frame.space, window, span, &mut self.base);
            for hunt in hunts.iter_mut().filter(|hunt| !hunt.over()) {
                self.rank(frame, hunt.term, hunt.score, window, span);
                measure::hunt(hunt, &self.values, span);
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn mix(&mut self, frame: &Frame<'_>, mix: &Mix, window: &Window<'_>, into: &mut Vec<u8>) {
        let formula = Formula::new(&mix.combine);
        into.reserve(window.len * mix.out.size());
        for span in spans(window) {
            self.form(frame.space, window, span);
            self.mask(frame, &mix.masks, window, span);
            let base = matches!(frame.space, Space::Deltas { .. }).then_some(&*self.base);
            formula.combine(span.first, &self.terms, base, &mut self.values);
            encode(&self.values[..span.len], mix.out, into);
        }
    }
}

/// What a term is ranked by where rows have scales.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn scale<R: Real>(frame: &Frame<'_>, span: Span, term: &Block<R>, ranked: &mut Block<R>) {
    for j in 0..span.len {
        let row = Groups::Rows(frame.row).of(span.first + j as u64);
        ranked[j] = term[j].abs() * R::nearest(frame.scales[row]);
    }
}

impl Cpu {
    fn run(&mut self, frame: &Frame<'_>, window: &Window<'_>, task: Task<'_>) {
        match frame.precision {
            Precision::F32 => simd::run(&mut self.narrow, frame, window, task),
            Precision::F64 => simd::run(&mut self.wide, frame, window, task),
        }
    }
}

impl Backend for Cpu {
    fn kind(&self) -> BackendKind {
        BackendKind::Cpu
    }

    async fn gram<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, into: &mut Gram) -> Result<(), P::Error> {
        while pass.next().await? {
            pass.see(|window| self.run(frame, &window, Task::Gram(into)));
        }
        Ok(())
    }

    async fn norms<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        power: Power,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Norms],
    ) -> Result<(), P::Error> {
        while pass.next().await? {
            pass.see(|window| self.run(frame, &window, Task::Norms(power, masks, into)));
        }
        Ok(())
    }

    async fn overlap<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Overlap],
    ) -> Result<(), P::Error> {
        while pass.next().await? {
            pass.see(|window| self.run(frame, &window, Task::Overlap(masks, into)));
        }
        Ok(())
    }

    fn digits(&self, precision: Precision, elements: u64) -> Digits {
        // In a small tensor, going through all counters of a wide digit would cost more than another pass.
        if elements < 1 << 18 { narrow_digits(precision) } else { wide_digits(precision) }
    }

    async fn histogram<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        queries: &[Query],
        pass: &mut P,
        into: &mut [Histogram],
    ) -> Result<(), P::Error> {
        let mut counters = std::mem::take(&mut self.counters);
        while pass.next().await? {
            pass.see(|window| self.run(frame, &window, Task::Histogram(queries, &mut counters, into)));
        }
        self.counters = counters;
        Ok(())
    }

    async fn ties<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, hunts: &mut [TieHunt]) -> Result<(), P::Error> {
        while !hunts.iter().all(TieHunt::over) && pass.next().await? {
            pass.see(|window| self.run(frame, &window, Task::Ties(hunts)));
        }
        Ok(())
    }

    async fn mix<P: Pass>(&mut self, frame: &Frame<'_>, mix: &Mix, pass: &mut P) -> Result<(), P::Error> {
        while pass.next().await? {
            let mut values = Vec::new();
            pass.see(|window| self.run(frame, &window, Task::Mix(mix, &mut values)));
            pass.put(values);
        }
        Ok(())
    }
}
