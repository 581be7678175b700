//! Brokers that come and go under a gateway that stays.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::direct::until;
use crate::site::{self, Front};
use crate::support::clients::Tool::{JavaAdmin, Librdkafka};
use crate::support::kafka::{self, Kafka, SCRIPT};

const AUDIENCE: &str = "http://kafka.dev";

/// One test, so that its three brokers are gone when it is over.
#[test]
fn a_broker_may_join_later_and_go_for_a_while() {
    if !kafka::is_here() {
        return;
    }
    let issuer = site::issuer("1h");
    let kafka = Kafka::start(3, &issuer, AUDIENCE, &[]);
    kafka.stop_broker(3);
    let mut setup = site::setup(&kafka, &issuer, "elastic-");
    setup.backend = vec!["metadata_update_interval_seconds: 1".to_owned()];
    let front = Front::start(setup, &issuer);
    front.check(JavaAdmin, "cluster -> ok brokers=2");
    a_broker_that_joins_later_is_served(&kafka, &front);
    nothing_is_lost_while_a_broker_restarts(&kafka, &front);
}

fn a_broker_that_joins_later_is_served(kafka: &Kafka, front: &Front<'_>) {
    kafka.start_broker_again(3);
    front.check(
        JavaAdmin,
        "cluster -> ok brokers=3
         create spread 6 1 -> ok
         create safe 3 3 -> ok",
    );
    // One partition of three at least is led by the new one.
    front.check(
        Librdkafka,
        "produce-all spread 6 -> ok
         consume-all spread readers 6 -> ok to-0 to-1 to-2 to-3 to-4 to-5",
    );
}

fn nothing_is_lost_while_a_broker_restarts(kafka: &Kafka, front: &Front<'_>) {
    let mut producer = Verifiable::start(front, "producer", &["--throughput", "100", "--acks", "-1"]);
    let mut consumer = Verifiable::start(
        front,
        "consumer",
        &["--group-id", "verifiers", "--reset-policy", "earliest", "--verbose"],
    );
    until("records flow", || (consumer.values("record_data").len() > 100).then_some(()));
    kafka.stop_broker(2);
    let before = producer.values("producer_send_success").len();
    until("records flow with two brokers", || {
        (producer.values("producer_send_success").len() > before + 200).then_some(())
    });
    kafka.start_broker_again(2);
    let before = producer.values("producer_send_success").len();
    until("records flow with three brokers again", || {
        (producer.values("producer_send_success").len() > before + 200).then_some(())
    });
    producer.finish();
    let acknowledged = producer.values("producer_send_success");
    // This producer tries once: what was on its way to the broker that went may fail, and is told so.
    until("all that was acknowledged is read", || {
        acknowledged.is_subset(&consumer.values("record_data")).then_some(())
    });
    consumer.finish();
    let log = front.gateway.process.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Kafka's own producer or consumer of numbers, which tells each of them in a line of JSON.
pub struct Verifiable {
    tool: Child,
    dir: TempDir,
}

impl Verifiable {
    pub fn start(front: &Front<'_>, which: &str, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let settings = dir.path().join("client.properties");
        fs::write(&settings, front.properties()).expect("the file can be written");
        let out = fs::File::create(dir.path().join("out")).expect("the file can be written");
        let tool = Command::new(SCRIPT)
            .args(["run", &format!("verifiable-{which}"), "--topic", "safe"])
            .args(["--bootstrap-server", &front.bootstrap(0), "--command-config"])
            .arg(&settings)
            .args(more)
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .expect("scripts/kafka starts");
        Self { tool, dir }
    }

    /// The values of all lines of this kind so far.
    pub fn values(&self, kind: &str) -> BTreeSet<String> {
        let text = fs::read_to_string(self.dir.path().join("out")).expect("the file can be read");
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_kind = lines.filter(|line| line["name"] == kind);
        of_kind.filter_map(|line| Some(line["value"].as_str()?.to_owned())).collect()
    }

    /// Tells it to finish what it began.
    pub fn finish(&mut self) {
        crate::support::process::signal("TERM", self.tool.id());
        for _ in 0..300 {
            if self.tool.try_wait().expect("a child can be asked").is_some() {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("the tool does not end");
    }
}

impl Drop for Verifiable {
    fn drop(&mut self) {
        let _ = self.tool.kill();
        let _ = self.tool.wait();
    }
}
