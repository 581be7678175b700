//! Brokers that speak less than others, and brokers that change: nobody is told of more than is spoken, and who
//! was, finds his way.

use std::ops::RangeInclusive;

use kafka_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, MetadataRequest,
};
use sluicegate::wire::ApiKey;

use super::families::text;
use crate::support::broker::{Broker, Reply};
use crate::support::client::{Client, client_first};
use crate::support::issuer::{ES256, KeyServer};
use crate::support::process::Gateway;
use crate::support::setup::Setup;
use crate::support::stage::{Stage, token, wait_until};

/// What an old broker speaks of Fetch, and a version of it that the gateway serves and the old broker does not speak.
const OLD: RangeInclusive<i16> = 4..=8;
const NEWER: i16 = 11;

/// The gateway does not look again by itself while a test lasts.
const SELDOM: &str = "metadata_update_interval_seconds: 3600";
const OFTEN: &str = "metadata_update_interval_seconds: 1";

/// So many brokers, those with these ids old.
fn cluster(count: i32, old: &[i32]) -> Vec<Broker> {
    let brokers = Broker::cluster(count);
    for broker in &brokers {
        broker.on::<FetchRequest>(|_| FetchResponse::default());
        if old.contains(&broker.node_id()) {
            broker.speaks(ApiKey::Fetch, OLD);
        }
    }
    brokers
}

fn stage(brokers: Vec<Broker>, backend: &str) -> Stage {
    Stage::before(brokers, |setup, _| setup.backend = vec![backend.to_owned()])
}

/// Broker by broker from the first, or the bootstrap door as 0.
fn door(stage: &Stage, node: i32) -> u16 {
    stage.setup.tenants[0].broker_port(node)
}

/// The newest version of Fetch that this connection is told of.
fn newest_fetch(client: &mut Client) -> i16 {
    let answer = client.ask(0, &ApiVersionsRequest::default());
    let fetch = answer.api_keys.iter().find(|api| api.api_key == ApiKey::Fetch as i16);
    fetch.expect("Fetch is advertised").max_version
}

/// The newest version of Fetch that a stranger is told of at a door.
fn shown_at(port: u16) -> i16 {
    newest_fetch(&mut Client::connect(port))
}

fn fetch() -> FetchRequest {
    FetchRequest::default().with_max_bytes(1).with_session_epoch(-1)
}

/// How many connections ended because a version was not served or not spoken.
fn closed_for_the_version(stage: &Stage) -> f64 {
    stage.metric(
        "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"unsupported_version\"}",
    )
}

#[test]
fn each_door_shows_what_its_broker_speaks_and_the_first_what_all_do() {
    let stage = stage(cluster(3, &[2]), SELDOM);
    for (node, is_old) in [(0, true), (1, false), (2, true), (3, false)] {
        let before = shown_at(door(&stage, node));
        assert_eq!(before == *OLD.end(), is_old, "at door {node}: {before}");
        if node > 0 {
            let mut client = stage.log_in_at(door(&stage, node), &token("alice"));
            assert_eq!(newest_fetch(&mut client), before, "at door {node} after the login");
        }
    }
    // Whichever broker is behind the first door, what was shown before is spoken.
    for _ in 0..3 {
        let mut client = stage.connect();
        let shown = newest_fetch(&mut client);
        client.log_in(&token("alice"));
        assert!(newest_fetch(&mut client) >= shown);
        client.ask(shown, &fetch());
    }
    assert!(closed_for_the_version(&stage).abs() < f64::EPSILON);
}

#[test]
fn a_version_that_only_other_brokers_speak_ends_the_connection_and_says_so() {
    let stage = stage(cluster(2, &[2]), SELDOM);
    let mut client = stage.log_in_at(door(&stage, 1), &token("alice"));
    client.ask(NEWER, &fetch());
    let mut client = stage.log_in_at(door(&stage, 2), &token("alice"));
    client.ask(*OLD.end(), &fetch());
    client.send(NEWER, &fetch());
    client.expect_close();
    wait_until("told", || {
        let log = stage.gateway.process.log();
        log.contains("the broker does not speak version 11 of the API with key 1")
    });
    assert!((closed_for_the_version(&stage) - 1.0).abs() < f64::EPSILON);
    assert_eq!(stage.brokers[1].expect(ApiKey::Fetch, 1).len(), 1, "the broker was not asked");
}

#[test]
fn hazard_35_who_asks_once_before_the_login_is_told_of_nothing_that_the_cluster_lacks() {
    let stage = stage(cluster(3, &[1, 2, 3]), SELDOM);
    for node in 0..=3 {
        let mut client = Client::connect(door(&stage, node));
        let before = newest_fetch(&mut client);
        client.log_in(&token("alice"));
        client.ask(before, &fetch());
        assert_eq!(newest_fetch(&mut client), before, "at door {node}");
    }
}

#[test]
fn hazard_9_a_client_of_tomorrow_is_told_what_is_spoken_today_and_goes_on() {
    // ApiVersions 5, as Java clients of 4.4 say it: the cluster they want to be at, and the node.
    let five = |correlation_id: u8| {
        let header = [&[0, 18, 0, 5, 0, 0, 0, correlation_id, 0, 1, b'c', 0][..]].concat();
        let software = b"\x12apache-kafka-java\x064.4.0";
        [&header[..], software, b"\x05team", &[0, 0, 0, 1], &[0]].concat()
    };
    let stage = stage(cluster(1, &[1]), SELDOM);
    let mut client = Client::connect(door(&stage, 1));
    let is_told = |client: &mut Client, correlation_id: u8| {
        client.send_frame(&five(correlation_id));
        let frame = client.read_frame();
        // Error 35 in version 0, and one entry: ApiVersions from 0 to 4.
        assert_eq!(frame[..], [0, 0, 0, correlation_id, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
        let software = ApiVersionsRequest::default()
            .with_client_software_name(text("apache-kafka-java"))
            .with_client_software_version(text("4.4.0"));
        let answer = client.ask(4, &software);
        assert_eq!(answer.error_code, 0);
        let fetch = answer.api_keys.iter().find(|api| api.api_key == ApiKey::Fetch as i16);
        assert_eq!(fetch.map(|api| api.max_version), Some(*OLD.end()));
    };
    is_told(&mut client, 50);
    client.log_in(&token("alice"));
    is_told(&mut client, 51);
    let answer = client.ask(9, &MetadataRequest::default().with_topics(Some(Vec::new())));
    assert_eq!(answer.brokers.len(), 1);
}

#[test]
fn after_an_upgrade_the_first_login_lets_strangers_know() {
    let stage = stage(cluster(2, &[1, 2]), SELDOM);
    for (node, broker) in (1..).zip(&stage.brokers) {
        assert_eq!(shown_at(door(&stage, node)), *OLD.end());
        broker.speaks(ApiKey::Fetch, 4..=NEWER);
        // What stands at that door is not known before somebody has been there: less is shown than is spoken.
        assert_eq!(shown_at(door(&stage, node)), *OLD.end());
        assert_eq!(shown_at(door(&stage, 0)), *OLD.end());
        let mut client = stage.log_in_at(door(&stage, node), &token("alice"));
        assert_eq!(newest_fetch(&mut client), NEWER);
        assert_eq!(shown_at(door(&stage, node)), NEWER);
    }
    assert_eq!(shown_at(door(&stage, 0)), NEWER, "all have been upgraded");
}

#[test]
fn after_a_downgrade_who_comes_first_comes_again() {
    for node in [0, 1] {
        let stage = stage(cluster(1, &[]), SELDOM);
        stage.broker().speaks(ApiKey::Fetch, OLD);
        let mut client = Client::connect(door(&stage, node));
        assert!(newest_fetch(&mut client) >= NEWER, "nobody has been at the older broker yet");
        client.log_in(&token("alice"));
        client.send(NEWER, &fetch());
        client.expect_close();
        assert_eq!(stage.broker().keys_asked(), [] as [i16; 0]);
        let mut client = Client::connect(door(&stage, node));
        let shown = newest_fetch(&mut client);
        assert_eq!(shown, *OLD.end());
        client.log_in(&token("alice"));
        client.ask(shown, &fetch());
    }
}

#[test]
fn a_change_is_seen_in_the_interval_without_any_client() {
    let stage = stage(cluster(2, &[]), OFTEN);
    assert!(shown_at(door(&stage, 0)) >= NEWER);
    stage.brokers[1].speaks(ApiKey::Fetch, OLD);
    wait_until("seen at the broker's door", || shown_at(door(&stage, 2)) == *OLD.end());
    wait_until("seen at the first door", || shown_at(door(&stage, 0)) == *OLD.end());
    assert!(shown_at(door(&stage, 1)) >= NEWER);
    stage.brokers[1].speaks(ApiKey::Fetch, 4..=NEWER);
    wait_until("seen at the broker's door", || shown_at(door(&stage, 2)) == NEWER);
    wait_until("seen at the first door", || shown_at(door(&stage, 0)) == NEWER);
}

#[test]
fn a_broker_that_is_away_is_expected_back_as_it_was() {
    let stage = stage(cluster(2, &[2]), OFTEN);
    let nodes: Vec<(i32, u16)> =
        stage.brokers.iter().map(|broker| (broker.node_id(), broker.port())).collect();
    let all_know = |nodes: &[(i32, u16)]| stage.brokers.iter().for_each(|broker| broker.knows_nodes(nodes));
    all_know(&nodes[..1]);
    // Those who are left decide what is common.
    wait_until("it is away", || shown_at(door(&stage, 0)) >= NEWER);
    assert_eq!(shown_at(door(&stage, 2)), *OLD.end());
    all_know(&nodes);
    wait_until("it is back", || shown_at(door(&stage, 0)) == *OLD.end());
}

/// A gateway whose broker does as the test says from its first word on.
fn with_broker<T>(prepare: impl FnOnce(&Broker), then: impl FnOnce(&Broker, &Setup, &Gateway) -> T) -> T {
    let brokers = cluster(1, &[1]);
    prepare(&brokers[0]);
    let keys = KeyServer::start(&[&ES256]);
    let mut setup =
        Setup::new(&[brokers[0].address()], &format!("{{endpoint: \"{}\", timeout: 5s}}", keys.url()));
    setup.backend = vec![SELDOM.to_owned()];
    let mut gateway = Gateway::launch(&setup.text(), setup.admin_port);
    gateway.process.wait_until("listening", |process| process.log().contains("listening"));
    then(&brokers[0], &setup, &gateway)
}

fn what_an_old_broker_says() -> ApiVersionsResponse {
    let api = |key: ApiKey, versions: RangeInclusive<i16>| {
        kafka_protocol::messages::api_versions_response::ApiVersion::default()
            .with_api_key(key as i16)
            .with_min_version(*versions.start())
            .with_max_version(*versions.end())
    };
    ApiVersionsResponse::default().with_api_keys(vec![
        api(ApiKey::ApiVersions, 0..=3),
        api(ApiKey::Fetch, OLD),
        api(ApiKey::Metadata, 0..=9),
    ])
}

#[test]
fn who_comes_before_any_broker_was_seen_is_cut_off_at_most_once() {
    with_broker(
        |broker| broker.on_key(ApiKey::ApiVersions, |_| Reply::Close),
        |broker, setup, _| {
            let port = setup.tenants[0].port;
            let mut client = Client::connect(port);
            assert!(newest_fetch(&mut client) >= NEWER, "nobody knows better");
            broker.on::<ApiVersionsRequest>(|_| what_an_old_broker_says());
            client.log_in(&token("alice"));
            client.send(NEWER, &fetch());
            client.expect_close();
            let mut client = Client::connect(port);
            let shown = newest_fetch(&mut client);
            assert_eq!(shown, *OLD.end());
            client.handshake();
            assert_eq!(client.authenticate(&client_first(&token("alice"))).error_code, 0);
            client.ask(shown, &fetch());
        },
    );
}

#[test]
fn who_comes_while_the_brokers_are_first_looked_for_is_answered_when_they_are_found() {
    with_broker(
        |broker| broker.hold(ApiKey::ApiVersions),
        |broker, setup, _| {
            let mut client = Client::connect(setup.tenants[0].port);
            let asked = client.send(0, &ApiVersionsRequest::default());
            wait_until("asked by the gateway", || !broker.asked_by_anybody().is_empty());
            broker.on::<ApiVersionsRequest>(|_| what_an_old_broker_says());
            broker.asked_by_anybody()[0].answer::<ApiVersionsRequest>(&what_an_old_broker_says());
            let answer = client.read::<ApiVersionsRequest>(0, asked);
            let fetch = answer.api_keys.iter().find(|api| api.api_key == ApiKey::Fetch as i16);
            assert_eq!(fetch.map(|api| api.max_version), Some(*OLD.end()));
        },
    );
}

#[test]
fn features_are_those_of_the_newest_epoch_as_far_as_all_brokers_have_them() {
    // In the midst of an upgrade: the old one has not yet heard of what was finalized last.
    let brokers = cluster(2, &[]);
    for (broker, supported, finalized, epoch) in [(&brokers[0], 21, 20, 7), (&brokers[1], 29, 21, 9)] {
        let feature = SupportedFeatureKey::default()
            .with_name(text("metadata.version"))
            .with_min_version(1)
            .with_max_version(supported);
        let level = FinalizedFeatureKey::default()
            .with_name(text("metadata.version"))
            .with_min_version_level(finalized)
            .with_max_version_level(finalized);
        let response = what_an_old_broker_says()
            .with_supported_features(vec![feature])
            .with_finalized_features(vec![level])
            .with_finalized_features_epoch(epoch);
        broker.on::<ApiVersionsRequest>(move |_| response.clone());
    }
    let stage = stage(brokers, SELDOM);
    for (node, supported, finalized, epoch) in [(0, 21, 21, 9), (1, 21, 20, 7), (2, 29, 21, 9)] {
        let software = ApiVersionsRequest::default()
            .with_client_software_name(text("raw-client"))
            .with_client_software_version(text("1"));
        let answer = Client::connect(door(&stage, node)).ask(4, &software);
        let shown = (
            answer.supported_features[0].max_version,
            answer.finalized_features[0].max_version_level,
            answer.finalized_features_epoch,
        );
        assert_eq!(shown, (supported, finalized, epoch), "at door {node}");
    }
}
