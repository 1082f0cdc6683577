//! The command line: the same engine as the page, on files.

#[cfg(not(target_arch = "wasm32"))]
mod cli;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

/// In a browser the engine is a library.
#[cfg(target_arch = "wasm32")]
fn main() {}
