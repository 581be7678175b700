//! `sluicegate run`: serve what a file describes.

use std::process::ExitCode;

use sluicegate::config::{self, Gateway};
use sluicegate::telemetry;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: super::ConfigFile,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let Some((gateway, warnings)) = args.file.load() else { return ExitCode::FAILURE };
    let format = match gateway.logging.format {
        config::LogFormat::Text => telemetry::LogFormat::Text,
        config::LogFormat::Json => telemetry::LogFormat::Json,
    };
    if let Err(error) = telemetry::init_logs(format, &gateway.logging.level) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    match serve(gateway) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the process is told to end.
fn serve(_: Gateway) -> Result<(), String> {
    Err("this program was built without a server".to_owned())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate run --config config/gateway.yaml
  SLUICEGATE_CONFIG=/etc/sluicegate/gateway.yaml sluicegate run";
