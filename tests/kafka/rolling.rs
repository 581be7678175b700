//! A cluster that becomes another version broker by broker, under clients that stay.

use std::fs;
use std::thread;

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::ApiKey;

use crate::direct::until;
use crate::elastic::Verifiable;
use crate::site::{self, Front};
use crate::support::client::Client;
use crate::support::clients::Tool::{JavaAdmin, Librdkafka};
use crate::support::kafka::{self, Kafka};
use crate::world::OLD_VERSION;

const AUDIENCE: &str = "http://kafka.dev";
const BROKERS: u16 = 3;
/// A broker that is back leads again what it led, and clients come back to it.
const LEADERS_COME_BACK: [&str; 4] = [
    "--set",
    "leader.imbalance.check.interval.seconds=2",
    "--set",
    "leader.imbalance.per.broker.percentage=0",
];
/// The newest version of Metadata that Kafka speaks, before 4 and since.
const METADATA: [i16; 2] = [12, 13];

/// One test, so that its three brokers are gone when it is over.
#[test]
fn a_cluster_is_upgraded_under_clients_that_stay_and_a_broker_goes_back() {
    if !kafka::is_here() {
        return;
    }
    let issuer = site::issuer("1h");
    let more = [&["--version", OLD_VERSION], &LEADERS_COME_BACK[..]].concat();
    let kafka = Kafka::start(BROKERS, &issuer, AUDIENCE, &more);
    // The gateway looks for brokers as seldom as it does by itself: once a minute.
    let front = Front::start(site::setup(&kafka, &issuer, "rolling-"), &issuer);
    front.check(JavaAdmin, "create safe 6 3 -> ok\ncreate numbers 1 3 -> ok");
    let level = finalized_metadata(&front);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let stop = folder.path().join("stop");
    thread::scope(|scope| {
        let round_trips = format!("round-trips numbers travellers {} -> ok", stop.display());
        let front = &front;
        let librdkafka = scope.spawn(move || front.check(Librdkafka, &round_trips));
        let java = scope.spawn(|| {
            roll(&kafka, front, level);
        });
        let rolled = java.join();
        fs::write(&stop, "").expect("the file can be written");
        librdkafka.join().expect("no number was lost or late");
        if let Err(panic) = rolled {
            std::panic::resume_unwind(panic);
        }
    });
    let log = front.gateway.process.log();
    assert!(!log.contains("panicked"), "{log}");
}

fn roll(kafka: &Kafka, front: &Front<'_>, level: i16) {
    let mut producer = Verifiable::start(front, "producer", &["--throughput", "100", "--acks", "-1"]);
    let mut consumer = Verifiable::start(
        front,
        "consumer",
        &["--group-id", "verifiers", "--reset-policy", "earliest", "--verbose"],
    );
    let more_flows = |what: &str, more: usize| {
        let before = consumer.values("record_data").len();
        until(what, || (consumer.values("record_data").len() > before + more).then_some(()));
    };
    more_flows("records flow", 100);
    assert_eq!(shown(front), [METADATA[0]; 4], "before it begins");
    for node in 1..=BROKERS {
        kafka.stop_broker(node);
        kafka.start_broker_again_as(node, "4.3");
        more_flows(&format!("records flow with broker {node} upgraded"), 200);
        let shown = shown(front);
        // The first door shows what all of them speak, and none shows more than its broker speaks.
        assert!(node == BROKERS || shown[0] == METADATA[0], "after broker {node}: {shown:?}");
        assert!(shown[1 + usize::from(node)..].iter().all(|newest| *newest == METADATA[0]), "{shown:?}");
    }
    until("all doors show what has come", || (shown(front) == [METADATA[1]; 4]).then_some(()));
    assert_eq!(
        finalized_metadata(front),
        level,
        "the version of the metadata stays until somebody raises it"
    );
    assert!(
        front.count(CLOSED, "reason=\"unsupported_version\"").abs() < f64::EPSILON,
        "nobody was told too much"
    );
    kafka.stop_broker(2);
    kafka.start_broker_again_as(2, OLD_VERSION);
    more_flows("records flow with broker 2 as it was", 200);
    until("its door shows less again", || {
        let shown = shown(front);
        ((shown[0], shown[2]) == (METADATA[0], METADATA[0])).then_some(())
    });
    producer.finish();
    let acknowledged = producer.values("producer_send_success");
    until("all that was acknowledged is read", || {
        acknowledged.is_subset(&consumer.values("record_data")).then_some(())
    });
    consumer.finish();
}

const CLOSED: &str = "sluicegate_connections_closed_total";

fn ask_versions(client: &mut Client) -> ApiVersionsResponse {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("raw-client"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    client.ask(3, &request)
}

/// The newest version of Metadata that a stranger is told of, at the first door and at each broker's.
fn shown(front: &Front<'_>) -> [i16; 4] {
    [0, 1, 2, 3].map(|door| {
        let answer = ask_versions(&mut front.connect(0, door));
        let metadata = answer.api_keys.iter().find(|api| api.api_key == ApiKey::Metadata as i16);
        metadata.expect("Metadata is shown").max_version
    })
}

/// The level of the metadata that the brokers agree on, as a client is told.
fn finalized_metadata(front: &Front<'_>) -> i16 {
    let mut client = front.connect(0, 0);
    client.log_in(&front.token());
    let answer = ask_versions(&mut client);
    let metadata =
        answer.finalized_features.iter().find(|feature| feature.name.as_str() == "metadata.version");
    metadata.expect("it is shown").max_version_level
}
