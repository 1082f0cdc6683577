//! The examiner's program, for the page thread and for a worker.

mod memory;

#[global_allocator]
static MEMORY: memory::Lines = memory::Lines;

fn main() {
    merge_studio_examiner::start();
}
