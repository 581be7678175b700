//! The words of the command line, one file for each subcommand.

mod check; //  is this file right?
mod explain; // may this client do that?
mod issuer; // tokens for development
mod keycloak; // clients of Keycloak
mod run; //    serve
mod schema; // what a file may say
mod token; //  why is this token refused?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sluicegate::config::{self, Gateway, Warning};

/// A Kafka gateway: OAuth login, virtual clusters, ACLs over a token's claims
#[derive(Parser)]
#[command(name = "sluicegate", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a file describes, until SIGTERM or Ctrl-C
    #[command(after_help = run::EXAMPLES)]
    Run(run::Args),
    /// Say whether a file is right, and what in it is probably not meant
    #[command(after_help = check::EXAMPLES)]
    Check(check::Args),
    /// Say whether a client may do something, and which rule decides
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Args),
    /// Look at an access token
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::Command),
    /// Print the JSON Schema of the file, for editors
    #[command(after_help = schema::EXAMPLES)]
    Schema,
    /// Give out access tokens: an OAuth issuer for development and tests
    Issuer(sluicegate::issuer::Args),
    /// Register clients in Keycloak, and hand their secrets on
    #[command(after_help = keycloak::EXAMPLES)]
    Keycloak(keycloak::Args),
}

/// Where the file is.
#[derive(Args)]
struct ConfigFile {
    /// The file that describes the gateway
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "SLUICEGATE_CONFIG")]
    path: PathBuf,
}

impl ConfigFile {
    /// Reads the file; what is wrong with it is printed, and then there is nothing.
    fn load(&self) -> Option<(Gateway, Vec<Warning>)> {
        match config::load(&self.path, &|name| std::env::var(name).ok()) {
            Ok(loaded) => Some(loaded),
            Err(errors) => {
                let count = errors.problems().len();
                let problems = if count == 1 { "problem" } else { "problems" };
                eprintln!("{errors}\n{} is not right: {count} {problems}", self.path.display());
                None
            }
        }
    }
}

/// Does what the command line says.
pub fn obey() -> ExitCode {
    match Words::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Token(command) => token::obey(&command),
        Command::Schema => schema::schema(),
        Command::Issuer(args) => issuer::issuer(args),
        Command::Keycloak(args) => keycloak::keycloak(args),
    }
}

/// Ends when the process is told to end, by SIGTERM or Ctrl-C.
async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await; // without a handler SIGTERM ends us at once, which is an end too
        }
    }
}

const WRONG_USE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  sluicegate check --config config/gateway.yaml
  sluicegate run --config config/gateway.yaml
  sluicegate explain --config config/gateway.yaml --token-file token --operation write --topic orders
  sluicegate issuer --client reader-app:reader-secret
  sluicegate keycloak register --realm kafka --client reader-app
  sluicegate schema > gateway.schema.json

Exit codes: 0 right, 1 refused or failed, 2 wrong use.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_words_do_not_contradict_each_other() {
        Words::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_help_with_an_example() {
        for subcommand in Words::command().get_subcommands_mut() {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("sluicegate "), "{help}");
        }
    }
}
