//! `sluicegate check`: is this file right?

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sluicegate::cluster::{Behind, Entrance, Listener};
use sluicegate::config::Gateway;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: super::ConfigFile,
}

pub(super) fn check(args: &Args) -> ExitCode {
    let Some((gateway, warnings)) = args.file.load() else { return ExitCode::FAILURE };
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    match std::io::stdout().lock().write_all(summary(&args.file.path, &gateway).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // the reader of a pipe went away
    }
}

fn summary(path: &Path, gateway: &Gateway) -> String {
    let directory = &gateway.directory;
    let mut text = format!(
        "{} is right: {}, {}, {}\n",
        path.display(),
        counted(directory.backends.len(), "backend cluster"),
        counted(directory.clusters.len(), "virtual cluster"),
        counted(directory.entrances.len(), "listener"),
    );
    for entrance in &directory.entrances {
        let tls = if entrance.tls.is_some() { " with TLS" } else { "" };
        let _ = writeln!(
            text,
            "  {} opens {}{tls} for {}",
            entrance.name,
            doors(entrance),
            behind(entrance, &directory.listeners)
        );
    }
    if let Some(admin) = gateway.admin {
        let _ = writeln!(text, "  admin opens {admin}");
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn behind(entrance: &Entrance, listeners: &[Arc<Listener>]) -> String {
    match &entrance.behind {
        Behind::Ports { place, map } => {
            let brokers = counted(map.brokers_max(), "broker");
            format!("{}: ports for {brokers}", listeners[*place].cluster.name)
        }
        Behind::Names(names) => format!("{} by server name", counted(names.count(), "virtual cluster")),
    }
}

/// Every address, with its ports in runs.
fn doors(entrance: &Entrance) -> String {
    let mut ports: Vec<u16> = entrance.ports.clone();
    ports.sort_unstable();
    let runs: Vec<String> = ports
        .chunk_by(|one, next| one + 1 == *next)
        .map(|run| match run {
            [only] => only.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        })
        .collect();
    let ports = runs.join(",");
    let at = |address: &std::net::IpAddr| match address {
        std::net::IpAddr::V4(address) => format!("{address}:{ports}"),
        std::net::IpAddr::V6(address) => format!("[{address}]:{ports}"),
    };
    entrance.addresses.iter().map(at).collect::<Vec<_>>().join(", ")
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate check --config config/gateway.yaml
  SLUICEGATE_CONFIG=config/gateway.yaml sluicegate check && echo ready to deploy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_every_port_that_will_be_opened() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/gateway.yaml"));
        let (gateway, _) = sluicegate::config::load(path, &|_| None).unwrap();
        assert_eq!(
            summary(Path::new("f"), &gateway),
            "f is right: 1 backend cluster, 2 virtual clusters, 2 listeners\n\
             \x20 localhost-listener opens 0.0.0.0:19092-19192 for virtual-cluster: ports for 100 brokers\n\
             \x20 other-listener opens 0.0.0.0:19292-19392 for other-cluster: ports for 100 brokers\n\
             \x20 admin opens 127.0.0.1:8090\n"
        );
    }
}
