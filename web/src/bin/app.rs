//! The page: yew on the page thread.

fn main() {}
