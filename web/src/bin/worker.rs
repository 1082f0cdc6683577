//! The worker: the engine, off the page thread.

fn main() {
    merge_studio_web::worker::start();
}
