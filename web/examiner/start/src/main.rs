//! The examiner's program, for the page thread and for a worker.

fn main() {
    merge_studio_examiner::start();
}
