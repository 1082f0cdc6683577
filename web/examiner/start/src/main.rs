//! The examiner's program, for the page thread and for a worker.

mod memory;

#[global_allocator]
static MEMORY: memory::Called = memory::Called;

fn main() {
    merge_studio_examiner::start();
}
