//! The page and its workers: the protocol between them, either side of it, the browser's files, and the user interface.

pub mod bridge;
pub mod crew;
pub mod io;
pub mod protocol;
mod scribe;
pub mod ui;
pub mod wire;
pub mod worker;

/// Becomes the page on the page thread, and a worker in a worker.
pub fn start() {
    if web_sys::window().is_some() {
        ui::mount();
    } else {
        worker::start();
    }
}
