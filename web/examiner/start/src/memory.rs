//! Large pieces of memory begin at cache lines: WebAssembly's own allocator gives them out at multiples of 8 bytes, and what is read 16 bytes
//! at a time is read across lines then, which makes products of matrices a third slower.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

/// Bytes from which on a piece is large.
const LARGE: usize = 4096;
/// Bytes of a cache line.
const LINE: usize = 64;

/// The system's allocator, with large pieces at cache lines.
pub struct Lines;

/// What is asked for: the same for the same piece, given out and taken back.
fn at_lines(layout: Layout) -> Layout {
    if layout.size() < LARGE { layout } else { layout.align_to(LINE).unwrap_or(layout) }
}

// SAFETY: all is the system's, and a piece goes back with the layout that it was given out with. Growing is to give out another and to copy,
// as the trait does by itself.
unsafe impl GlobalAlloc for Lines {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; only the alignment is larger.
        unsafe { System.alloc(at_lines(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(at_lines(layout)) }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: it was given out with this very layout.
        unsafe { System.dealloc(piece, at_lines(layout)) }
    }
}
