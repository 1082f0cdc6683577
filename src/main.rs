//! The command line: the same engine as the page.

fn main() {}
