//! Twins: one test body runs every kernel on every backend and holds it to the definition ([`Reference`]).
//!
//! A backend joins with one line in this file. Its tests are named after it: `cpu::sums_are_as_defined`.

#![allow(clippy::unwrap_used)]

mod bodies;
mod case;
mod compare;
#[cfg(not(target_arch = "wasm32"))]
mod cuts;
mod drive;

use compare::Tolerance;
use merge_studio_kernel::cpu::Cpu;

/// Runs every body on a backend; `$open` gives it, or `None` (said aloud) where this machine has none.
macro_rules! twins {
    ($backend:ident, $tolerance:expr, $open:expr) => {
        bodies::each!(twins @each $backend, $tolerance, $open,);
    };
    (@each $backend:ident, $tolerance:expr, $open:expr, $($body:ident)*) => {
        mod $backend {
            use super::*;
            // The same tests as WebAssembly, SIMD and all: `./studio test` runs them there, too.
            #[cfg(target_arch = "wasm32")]
            use wasm_bindgen_test::wasm_bindgen_test as test;
            $(
                #[test]
                fn $body() {
                    if let Some(mut backend) = $open {
                        bodies::$body(&mut backend, &$tolerance);
                    }
                }
            )*
        }
    };
}

twins!(cpu, Tolerance::EXACT, Some(Cpu::default()));
