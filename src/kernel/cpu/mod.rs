//! The CPU backend: the reference, to the byte, on every host.
