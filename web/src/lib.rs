//! What the page and its workers share: the protocol, the page's side of it, the workers, and the browser's files.

pub mod bridge;
mod crew;
mod io;
pub mod protocol;
mod wire;
pub mod worker;
