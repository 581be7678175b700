//! `sluicegate run`: serve what a file describes.

use std::process::ExitCode;

use sluicegate::config::{self, AuditTarget, Gateway};
use sluicegate::server;
use sluicegate::telemetry::{self, Audit};

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
fn serve(gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
    let audit = match &gateway.audit {
        AuditTarget::Stdout => Audit::stdout()?,
        AuditTarget::File(path) => Audit::file(path)?,
        AuditTarget::Disabled => Audit::disabled(),
    };
    server::run(server::Settings {
        directory: gateway.directory,
        limits: gateway.limits,
        admin: gateway.admin,
        drain_timeout: gateway.drain_timeout,
        metrics: telemetry::Metrics::new(),
        audit,
    })?;
    Ok(())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate run --config config/gateway.yaml
  SLUICEGATE_CONFIG=/etc/sluicegate/gateway.yaml sluicegate run";
