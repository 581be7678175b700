//! `sluicegate`, the program: reads its words and does what they say.
//!
//! Exit codes: 0 right, 1 refused or failed, 2 wrong use.

#![deny(unsafe_code)]

mod cli;

use std::process::ExitCode;

/// Measured fastest where many small messages are decoded.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Whatever speaks TLS afterwards finds one provider, and it is this one.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.install_default().expect("nothing before this line installs a provider");
    cli::obey()
}
