//! The GPU held to the definition by the twins' bodies.
fn main() {}
