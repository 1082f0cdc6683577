//! The worker: the engine, off the page thread.

fn main() {}
