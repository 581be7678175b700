//! The end of the process: what is in flight is answered, the rest is closed, and nothing stays.
#![allow(clippy::disallowed_methods, reason = "a process takes its time by the real clock")]

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::ApiKey;

use crate::support::broker::Asked;
use crate::support::client::Client;
use crate::support::stage::{Stage, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that lets requests in flight take so long.
fn stage(drain_timeout: &str) -> Stage {
    Stage::start_with(1, |setup, _| {
        setup.sections.push(format!("shutdown: {{drain_timeout: {drain_timeout}}}"));
    })
}

/// A client with one request that the broker has not answered yet.
fn in_flight(stage: &Stage) -> (Client, i32, Asked) {
    stage.broker().hold(ApiKey::Fetch);
    let mut client = stage.log_in("alice");
    let partitions = vec![FetchPartition::default()];
    let topic = TopicName(StrBytes::from_static_str("orders"));
    let topics = vec![FetchTopic::default().with_topic(topic).with_partitions(partitions)];
    let id = client.send(4, &FetchRequest::default().with_topics(topics));
    let asked = stage.broker().expect(ApiKey::Fetch, 1).swap_remove(0);
    (client, id, asked)
}

fn terminate(stage: &Stage) {
    stage.gateway.process.signal("TERM");
    let not_ready =
        || matches!(stage.gateway.admin("/readyz"), Some((503, text)) if text.contains("stopping"));
    wait_until("not ready", not_ready);
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Waits for the process's end, and sees that nothing of it is left.
fn expect_end(stage: &mut Stage, at_most: Duration) {
    let status = stage.gateway.process.wait(at_most);
    assert!(status.success(), "{status}\n{}", stage.gateway.process.log());
    let tenant = &stage.setup.tenants[0];
    for port in (tenant.port..tenant.port + tenant.ports).chain([stage.setup.admin_port]) {
        assert!(!is_open(port), "somebody still listens on {port}");
    }
    stage.broker().expect_open(0);
}

#[test]
fn what_is_in_flight_is_answered_and_the_rest_is_closed() {
    let mut stage = stage("30s");
    let mut idle = stage.log_in("bob");
    idle.ask(9, &MetadataRequest::default().with_topics(Some(vec![])));
    let mut half_in = stage.connect();
    half_in.handshake();
    let mut silent = stage.connect();
    let (mut busy, id, asked) = in_flight(&stage);

    terminate(&stage);
    assert_eq!(stage.gateway.admin("/livez").map(|(code, _)| code), Some(200));
    for client in [&mut idle, &mut half_in, &mut silent] {
        client.expect_close();
    }
    let tenant = &stage.setup.tenants[0];
    for port in tenant.port..tenant.port + tenant.ports {
        wait_until("closed", || !is_open(port));
    }
    // What comes behind the request is not taken any more.
    busy.send(9, &MetadataRequest::default().with_topics(Some(vec![])));
    assert!(busy.is_silent(), "it waits for its answer");
    let open = "sluicegate_connections_open{virtual_cluster=\"team\"}";
    stage.expect_metric(open, 1.0);

    asked.answer::<FetchRequest>(&FetchResponse::default().with_throttle_time_ms(42));
    assert_eq!(busy.read::<FetchRequest>(4, id).throttle_time_ms, 42);
    busy.expect_close();
    assert_eq!(stage.broker().keys_asked(), [3, 1]);
    expect_end(&mut stage, PATIENCE);
}

#[test]
fn a_gateway_without_clients_ends_at_once() {
    let mut stage = stage("30s");
    stage.gateway.process.signal("TERM");
    expect_end(&mut stage, Duration::from_secs(10));
}

#[test]
fn an_interrupt_drains_as_well() {
    let mut stage = stage("30s");
    let (mut busy, id, asked) = in_flight(&stage);
    stage.gateway.process.signal("INT");
    wait_until("stopping", || stage.gateway.admin("/readyz").is_some_and(|(code, _)| code == 503));
    asked.answer::<FetchRequest>(&FetchResponse::default());
    busy.read::<FetchRequest>(4, id);
    expect_end(&mut stage, PATIENCE);
}

#[test]
fn a_stuck_request_is_cut_off_at_the_drain_timeout() {
    let mut stage = stage("1s");
    let (mut stuck, _, asked) = in_flight(&stage);
    let began = Instant::now();
    stage.gateway.process.signal("TERM");
    expect_end(&mut stage, PATIENCE);
    assert!(began.elapsed() >= Duration::from_secs(1), "it had a second to be answered");
    stuck.expect_close();
    drop(asked);
    assert!(stage.gateway.process.log().contains("cut off"), "{}", stage.gateway.process.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut stage = stage("1h");
    let (mut stuck, _, _asked) = in_flight(&stage);
    terminate(&stage);
    assert!(stuck.is_silent(), "the first signal waits");
    stage.gateway.process.signal("TERM");
    expect_end(&mut stage, PATIENCE);
    stuck.expect_close();
}

#[test]
fn a_client_that_goes_meanwhile_is_not_waited_for() {
    let mut stage = stage("1h");
    let (stuck, _, _asked) = in_flight(&stage);
    terminate(&stage);
    drop(stuck);
    expect_end(&mut stage, PATIENCE);
}

#[test]
fn a_tls_handshake_that_does_not_go_on_is_not_waited_for() {
    let certified =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    fs::write(&certificate, certified.cert.pem()).expect("the file can be written");
    fs::write(&key, certified.signing_key.serialize_pem()).expect("the file can be written");
    let mut stage = Stage::start_with(1, |setup, _| {
        let [certificate, key] =
            [&certificate, &key].map(|path| format!("\"${{file['{}']}}\"", path.display()));
        let tls = format!("tls_server: {{certificates: [{{certificate: {certificate}, key: {key}}}]}}");
        setup.tenant().listener.push(tls);
        setup.sections.push("limits: {login_timeout: 1h}".to_owned());
        setup.sections.push("shutdown: {drain_timeout: 1h}".to_owned());
    });
    let mut silent = stage.connect();
    stage.expect_metric("sluicegate_connections_open{virtual_cluster=\"team\"}", 1.0);
    stage.gateway.process.signal("TERM");
    silent.expect_close();
    expect_end(&mut stage, PATIENCE);
}
