//! `sluicegate keycloak`: clients of Keycloak, and where their secrets go.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use sluicegate::keycloak::{self, RegisterArgs, Settings};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Register a confidential client with a service account, and hand its secret on
    Register(Box<RegisterArgs>),
}

pub(super) fn keycloak(args: Args) -> ExitCode {
    let Command::Register(args) = args.command;
    let environment = |name: &str| std::env::var(name).ok();
    let settings = match Settings::read(*args, &environment) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(super::WRONG_USE);
        }
    };
    if settings.is_in_the_clear() {
        eprintln!(
            "warning: the admin's password and the secret go over the network in the clear; prefer https"
        );
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let registered = match runtime.block_on(keycloak::register(&settings, &environment)) {
        Ok(registered) => registered,
        Err(failure) => return failed(&failure),
    };
    for step in &registered.steps {
        eprintln!("{step}");
    }
    match std::io::stdout().lock().write_all(registered.output.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error), // a secret that nobody got must not look handed on
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate keycloak register --realm kafka --client reader-app --role reader > reader.env
  sluicegate keycloak register --help";
