//! The CPU backend: the reference, to the byte, on every host.
//!
//! [`Cpu`] goes through a window block by block: 1,024 elements are decoded from the files' bytes, made into terms, masked, summed
//! or mixed, and encoded, all within the first-level cache. Its loops are written over arrays of fixed size for LLVM to vectorise.
//! What it computes is defined by [`Reference`], one element at a time, and tests hold the two equal to the bit.

// Inlining is what compiles a loop for the vectors of its caller (see `simd`). WebAssembly has one width of vectors: there LLVM
// decides, and the kernels are 10 kB smaller for it after gzip.
#![allow(clippy::inline_always)]

mod block;
mod float16;
mod mask;
mod measure;
mod mix;
mod real;
mod reference;
mod simd;

pub use reference::Reference;

use super::{BLOCK, Backend, BackendError, BackendKind, Digit, Gram, L1, Mask, Mix, Precision, Space, TieHunt, Window};
use block::{Block, decode_base, encode, form, spans};
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
    values: Box<Block<R>>,
}

impl<R: Real> Default for Scratch<R> {
    fn default() -> Self {
        Self { base: Box::new([R::ZERO; BLOCK]), terms: Vec::new(), values: Box::new([R::ZERO; BLOCK]) }
    }
}

/// One call of the backend.
enum Task<'a> {
    Gram(&'a mut Gram),
    L1(&'a [Mask], &'a mut [L1]),
    Histogram(&'a [Option<Digit>], &'a mut Vec<Counters>, &'a mut [Vec<u64>]),
    Ties(&'a mut [Option<TieHunt>]),
    Mix(&'a Mix, &'a mut Vec<u8>),
}

impl<R: Real> Scratch<R> {
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn run(&mut self, space: Space, window: &Window<'_>, task: Task<'_>) {
        match task {
            Task::Gram(into) => self.gram(space, window, into),
            Task::L1(masks, into) => self.l1(space, masks, window, into),
            Task::Histogram(digits, counters, into) => self.histogram(counters, space, digits, window, into),
            Task::Ties(hunts) => self.ties(space, window, hunts),
            Task::Mix(mix, into) => self.mix(mix, window, into),
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn gram(&mut self, space: Space, window: &Window<'_>, into: &mut Gram) {
        self.terms.resize(into.terms, [R::ZERO; BLOCK]);
        for span in spans(window) {
            decode_base(space, window, span, &mut self.base);
            for (term, block) in self.terms.iter_mut().enumerate() {
                form(space, term, window, span, &self.base, block);
            }
            let mut sums = into.sums.iter_mut();
            for (term, a) in self.terms.iter().enumerate() {
                for (b, sum) in self.terms[term..].iter().zip(&mut sums) {
                    *sum += measure::product(a, b);
                }
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn l1(&mut self, space: Space, masks: &[Mask], window: &Window<'_>, into: &mut [L1]) {
        let values = &mut self.values;
        for span in spans(window) {
            decode_base(space, window, span, &mut self.base);
            for (term, (mask, norms)) in masks.iter().zip(&mut *into).enumerate() {
                form(space, term, window, span, &self.base, values);
                let all = measure::magnitude(values);
                norms.all += all;
                norms.kept += if *mask == Mask::All {
                    all
                } else {
                    mask::apply(mask, span, values);
                    measure::magnitude(values)
                };
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn histogram(
        &mut self,
        counters: &mut Vec<Counters>,
        space: Space,
        digits: &[Option<Digit>],
        window: &Window<'_>,
        into: &mut [Vec<u64>],
    ) {
        counters.resize_with(counters.len().max(digits.len()), Counters::default);
        let asked = || digits.iter().enumerate().filter_map(|(term, digit)| digit.map(|digit| (term, digit)));
        for span in spans(window) {
            decode_base(space, window, span, &mut self.base);
            for (term, digit) in asked() {
                form(space, term, window, span, &self.base, &mut self.values);
                counters[term].count(digit, &self.values, span, &mut into[term]);
            }
        }
        for (term, _) in asked() {
            counters[term].flush(&mut into[term]);
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn ties(&mut self, space: Space, window: &Window<'_>, hunts: &mut [Option<TieHunt>]) {
        for span in spans(window) {
            decode_base(space, window, span, &mut self.base);
            for (term, hunt) in hunts.iter_mut().enumerate() {
                if let Some(hunt) = hunt {
                    form(space, term, window, span, &self.base, &mut self.values);
                    measure::hunt(hunt, &self.values, span);
                }
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn mix(&mut self, mix: &Mix, window: &Window<'_>, into: &mut Vec<u8>) {
        let formula = Formula::new(&mix.combine);
        self.terms.resize(mix.masks.len(), [R::ZERO; BLOCK]);
        into.reserve(window.len * mix.out.size());
        for span in spans(window) {
            decode_base(mix.space, window, span, &mut self.base);
            for (term, (mask, block)) in mix.masks.iter().zip(&mut self.terms).enumerate() {
                form(mix.space, term, window, span, &self.base, block);
                mask::apply(mask, span, block);
            }
            let base = matches!(mix.space, Space::Deltas { .. }).then_some(&*self.base);
            formula.combine(&self.terms, base, &mut self.values);
            encode(&self.values[..span.len], mix.out, into);
        }
    }
}

impl Cpu {
    fn run(&mut self, precision: Precision, space: Space, window: &Window<'_>, task: Task<'_>) {
        match precision {
            Precision::F32 => simd::run(&mut self.narrow, space, window, task),
            Precision::F64 => simd::run(&mut self.wide, space, window, task),
        }
    }
}

impl Backend for Cpu {
    fn kind(&self) -> BackendKind {
        BackendKind::Cpu
    }

    async fn gram(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        into: &mut Gram,
    ) -> Result<(), BackendError> {
        self.run(precision, space, &window, Task::Gram(into));
        Ok(())
    }

    async fn l1(
        &mut self,
        precision: Precision,
        space: Space,
        masks: &[Mask],
        window: Window<'_>,
        into: &mut [L1],
    ) -> Result<(), BackendError> {
        self.run(precision, space, &window, Task::L1(masks, into));
        Ok(())
    }

    async fn histogram(
        &mut self,
        precision: Precision,
        space: Space,
        digits: &[Option<Digit>],
        window: Window<'_>,
        into: &mut [Vec<u64>],
    ) -> Result<(), BackendError> {
        let mut counters = std::mem::take(&mut self.counters);
        self.run(precision, space, &window, Task::Histogram(digits, &mut counters, into));
        self.counters = counters;
        Ok(())
    }

    async fn ties(
        &mut self,
        precision: Precision,
        space: Space,
        window: Window<'_>,
        hunts: &mut [Option<TieHunt>],
    ) -> Result<(), BackendError> {
        self.run(precision, space, &window, Task::Ties(hunts));
        Ok(())
    }

    async fn mix(&mut self, mix: &Mix, window: Window<'_>, into: &mut Vec<u8>) -> Result<(), BackendError> {
        self.run(mix.precision, mix.space, &window, Task::Mix(mix, into));
        Ok(())
    }
}
