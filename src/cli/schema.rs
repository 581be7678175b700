//! `sluicegate schema`: what a file may say.

use std::io::Write;
use std::process::ExitCode;

pub(super) fn schema() -> ExitCode {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{:#}", sluicegate::config::schema()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // the reader of a pipe went away
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate schema > gateway.schema.json

  # then, in the first line of the file, for editors that speak the YAML language server's protocol:
  # yaml-language-server: $schema=gateway.schema.json";
