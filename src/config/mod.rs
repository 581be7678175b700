//! The operator's file, turned into values that cannot be wrong.
//!
//! A file is read in steps: the YAML becomes a tree whose every node knows its place, stand-ins for
//! the environment and other files are filled in, the tree becomes sections, and the sections become
//! the rooms' own values. No step stops at the first problem, so one run tells all of them.
//!
//! Knows the values of `cluster`, `policy`, `auth` and `names`. Knows no socket and no Kafka message,
//! and is seen by `main` alone.

mod access; //    how their clients log in
mod backends; //  the real Kafka clusters
mod bearer; //    by access tokens: what these must say, where the keys are
mod broker_token; // how the gateway gets tokens of its own for brokers
mod clusters; //  the virtual clusters
mod file; //      every section, every key, every word
mod http; //      how an OAuth server is asked over HTTP
mod introspection; // by tokens about which an OAuth server is asked
mod listeners; // where they connect
mod login_endpoint; // where their names and passwords are exchanged for tokens
mod measure; //   sizes, times, ports, secrets
mod oauth_client; // the gateway as a client of an OAuth server
mod opt_ins; //   what is offered beyond what every virtual cluster does
mod principals; // by name and password
mod problem; //   what is wrong, and where
mod rules; //     what these may do
mod server_names; // which server names lead where
mod settings; //  what concerns the gateway as a whole
mod shape; //     how a tree becomes sections
mod stand_in; //  ${env['NAME']} and ${file['path']}
mod walls; //     no name belongs to two
mod yaml; //      the file as a tree

#[cfg(test)]
mod corpus; //    files that are wrong, and what is said of them

pub use problem::{Errors, Place, Problem, Warning};
pub use settings::{AuditTarget, LogFormat, Logging};

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::cluster::{Directory, Limits};
use problem::Report;
use shape::Read;
use stand_in::Elsewhere;
use yaml::Node;

/// Everything that the file says.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub directory: Directory,
    /// Where metrics and health are served, if they are.
    pub admin: Option<SocketAddr>,
    pub limits: Limits,
    pub logging: Logging,
    pub audit: AuditTarget,
    pub drain_timeout: Duration,
}

/// Reads a file, and those that it names.
///
/// Limits: 4 MiB for each file.
/// Errors: every problem that the file has, each with its place.
pub fn load(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Gateway, Vec<Warning>), Errors> {
    let shown = path.display().to_string();
    let source =
        read_file(path).map_err(|why| Errors::of_file(&shown, format!("the file can not be read: {why}")))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let files = |name: &str| read_file(&directory.join(name));
    read(&source, &shown, &Elsewhere { directory, environment, files: &files })
}

/// The JSON Schema of the file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(file::File).to_value()
}

fn read(source: &str, shown: &str, elsewhere: &Elsewhere<'_>) -> Result<(Gateway, Vec<Warning>), Errors> {
    let mut report = Report::default();
    let gateway = Node::parse(source, &mut report).and_then(|mut tree| {
        elsewhere.fill_in(&mut tree, &mut report);
        let file = file::File::read(&tree, &mut report)?;
        Some(build(&file, elsewhere, &mut report))
    });
    report.conclude(shown, gateway)
}

fn build(file: &file::File, elsewhere: &Elsewhere<'_>, report: &mut Report) -> Gateway {
    let limits = settings::limits(file.limits.as_ref(), report);
    let admin = settings::admin(file.admin.as_ref(), report);
    let admin_at = file.admin.as_ref().map_or(Place { line: 1, column: 1 }, |section| {
        section.value.listen.as_ref().map_or(section.at, |listen| listen.at)
    });
    let (backend_names, backends) = backends::backends(file.backend_clusters.as_ref(), elsewhere, report);
    let sections = file.virtual_clusters.as_ref();
    let (cluster_names, clusters) = clusters::clusters(sections, &backend_names, &limits, elsewhere, report);
    walls::check(&clusters, &backends, report);
    let admin_door = admin.map(|address| (admin_at, address));
    let (listeners, entrances) =
        listeners::listeners(file.listeners.as_ref(), &cluster_names, &clusters, admin_door, report);
    let served: HashSet<&str> = listeners.iter().map(|listener| &*listener.cluster.name).collect();
    for entry in clusters.iter().filter(|entry| !served.contains(&*entry.cluster.name)) {
        report.warn(
            entry.at(),
            format!("no listener leads to the virtual cluster {}", entry.name.value.shown()),
        );
    }
    let clusters = clusters.into_iter().map(|entry| entry.cluster).collect();
    Gateway {
        directory: Directory { backends, clusters, listeners, entrances },
        admin,
        limits,
        logging: settings::logging(file.logging.as_ref(), report),
        audit: settings::audit(file.audit.as_ref(), elsewhere.directory, report),
        drain_timeout: settings::drain_timeout(file.shutdown.as_ref()),
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, whatever its size claims to be.
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is larger than 4 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Ten thousand virtual clusters take about three.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
