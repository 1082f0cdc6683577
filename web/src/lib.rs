//! What the page and its workers share: the protocol, the page's side of it, and the browser's files.

pub mod bridge;
pub mod protocol;
