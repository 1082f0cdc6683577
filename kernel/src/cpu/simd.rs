//! Runs the loops compiled for the widest vectors that this processor has.
//!
//! Wider vectors change no bit: every lane does what one element alone would do, and no instruction fuses two.

#![allow(unsafe_code)]

use super::real::Real;
use super::{Scratch, Task};
use crate::{Frame, Window};

/// Runs a task. Everything below [`Scratch::run`] is `#[inline(always)]`, so that it is compiled for those vectors too.
pub(super) fn run<R: Real>(scratch: &mut Scratch<R>, frame: &Frame<'_>, window: &Window<'_>, task: Task<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as was just found.
        return unsafe { run_avx2(scratch, frame, window, task) };
    }
    scratch.run(frame, window, task);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<R: Real>(scratch: &mut Scratch<R>, frame: &Frame<'_>, window: &Window<'_>, task: Task<'_>) {
    scratch.run(frame, window, task);
}
