//! Real Kafka, started and stopped by `scripts/kafka` on ports and in a folder of its own.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::process::Issuer;
use super::{ports, provided};

/// The script that knows all about starting Kafka.
pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");

/// Where in a broker's folder its certificates are.
const TLS: &str = "tls";

/// How many ports the script counts from one broker to the next.
const PORTS_PER_BROKER: u16 = 10;

/// Whether this run has Kafka.
pub fn is_here() -> bool {
    provided::required("SLUICEGATE_KAFKA_LIBS", "real Kafka")
}

/// Some brokers, for as long as the value or the test binary lives.
pub struct Kafka {
    /// Comma-separated `host:port` by listener: `PLAINTEXT`, `OAUTH`, `SCRAM`, `PLAIN`, `SSL`, `SCRAM_SSL`.
    addresses: HashMap<String, String>,
    /// The script ends the brokers and removes its folder when its standard input does, thus also without a drop.
    script: Child,
    dir: TempDir,
}

impl Kafka {
    /// Starts one broker or three, whose listener `OAUTH` verifies tokens of this issuer.
    pub fn start(brokers: u16, issuer: &Issuer, audience: &str, more: &[&str]) -> Self {
        Self::start_trusting(brokers, &issuer.jwks_url(), &issuer.url(), audience, more)
    }

    /// The same for any issuer, by where its keys are and what its tokens call it.
    pub fn start_trusting(brokers: u16, jwks_url: &str, issuer: &str, audience: &str, more: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("kafka-").tempdir().expect("a temporary directory");
        let port = ports::free_range(brokers * PORTS_PER_BROKER).to_string();
        let mut script = Command::new(SCRIPT)
            .args(["start", "--while-stdin-open", "--nodes", &brokers.to_string(), "--port", &port])
            .args(["--jwks", jwks_url, "--issuer", issuer, "--audience", audience])
            .arg("--dir")
            .arg(dir.path())
            .arg("--tls")
            .arg(dir.path().join(TLS))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/kafka starts");
        let mut addresses = String::new();
        let stdout = script.stdout.as_mut().expect("it was asked for above");
        stdout.read_to_string(&mut addresses).expect("the script writes UTF-8");
        assert!(!addresses.is_empty(), "Kafka did not start; scripts/kafka says why above");
        let addresses = addresses.lines().filter_map(|line| line.split_once('='));
        let addresses = addresses.map(|(name, list)| (name.to_owned(), list.to_owned())).collect();
        Self { addresses, script, dir }
    }

    /// Where all brokers listen by this name, comma-separated.
    pub fn bootstrap(&self, listener: &str) -> &str {
        self.addresses.get(listener).unwrap_or_else(|| panic!("no listener {listener}"))
    }

    /// The port at which the first broker listens by this name.
    pub fn port(&self, listener: &str) -> u16 {
        let first = self.bootstrap(listener).split(',').next().expect("a list has a first item");
        let (_, port) = first.rsplit_once(':').expect("an address has a port");
        port.parse().expect("a port is a number")
    }

    /// A file of the throw-away CA, by which a certificate for localhost was made: `ca.crt`, `broker.crt`,
    /// `broker.key`.
    pub fn certificate_file(&self, name: &str) -> PathBuf {
        self.dir.path().join(TLS).join(name)
    }

    /// Stops one of several brokers, which are counted from 1; it hands its partitions over first.
    pub fn stop_broker(&self, node: u16) {
        self.tell_script("stop", node, &[]);
    }

    /// Starts a stopped broker again, and waits until it serves.
    pub fn start_broker_again(&self, node: u16) {
        self.tell_script("again", node, &[]);
    }

    /// The same as another version of Kafka, with the data it has.
    pub fn start_broker_again_as(&self, node: u16, version: &str) {
        self.tell_script("again", node, &["--version", version]);
    }

    fn tell_script(&self, what: &str, node: u16, more: &[&str]) {
        let mut script = Command::new(SCRIPT);
        script.arg(what).arg("--dir").arg(self.dir.path()).args(["--node", &node.to_string()]).args(more);
        let status = script.stdin(Stdio::null()).status().expect("scripts/kafka starts");
        assert!(status.success(), "broker {node} could not be told to {what}; scripts/kafka says why above");
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
