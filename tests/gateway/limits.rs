//! Every limit of the file's `limits` section: what just fits is served, what is more is not, and nobody else notices.
#![allow(clippy::disallowed_methods, reason = "a time-out goes by the real clock")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, MetadataRequest, MetadataResponse, SaslHandshakeRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;
use sluicegate::wire::ApiKey;

use crate::support::broker::{Asked, Reply};
use crate::support::client::{Client, client_first, request_bytes};
use crate::support::codes::{SASL_AUTHENTICATION_FAILED, UNSUPPORTED_SASL_MECHANISM};
use crate::support::issuer::{ES256, Signer, claims, jwks, with};
use crate::support::stage::{Stage, token, wait_until};

fn stage(limits: &str) -> Stage {
    Stage::start_with(1, |setup, _| setup.sections.push(format!("limits: {{{limits}}}")))
}

/// A request in a frame of this size: a client may call itself what it likes.
fn frame_of<R: kafka_protocol::protocol::Request>(version: i16, request: &R, bytes: usize) -> Vec<u8> {
    let shortest = request_bytes(version, 7, Some(""), request).len() - 4;
    let frame = request_bytes(version, 7, Some(&"x".repeat(bytes - shortest)), request);
    assert_eq!(frame.len(), 4 + bytes);
    frame
}

#[test]
fn s_12_frame_bytes_before_login() {
    let stage = stage("frame_bytes_before_login: 2KiB, token_bytes: 1KiB");
    let versions = ApiVersionsRequest::default();
    let mut client = stage.connect();
    client.send_bytes(&frame_of(0, &versions, 2048));
    client.read::<ApiVersionsRequest>(0, 7);
    client.log_in(&token("alice"));
    // From here on the other limit counts.
    client.send_bytes(&frame_of(9, &topics(1), 2049));
    client.read::<MetadataRequest>(9, 7);

    let mut stranger = stage.connect();
    // The length alone is enough.
    stranger.send_bytes(&frame_of(0, &versions, 2049)[..4]);
    stranger.expect_close();
    stage.expect_metric(&closed("client_malformed"), 1.0);

    // Inside a login one is still a stranger.
    let mut stranger = stage.connect();
    stranger.handshake();
    stranger.send_bytes(&2049_i32.to_be_bytes());
    stranger.expect_close();
    stage.expect_metric(&closed("client_malformed"), 2.0);
    client.ask(9, &topics(1));
}

#[test]
fn frame_bytes() {
    let stage = stage("frame_bytes_before_login: 2KiB, token_bytes: 1KiB, frame_bytes: 4KiB");
    let (mut client, mut other) = (stage.log_in("alice"), stage.log_in("bob"));
    client.send_bytes(&frame_of(9, &topics(1), 4096));
    client.read::<MetadataRequest>(9, 7);
    client.send_bytes(&frame_of(9, &topics(1), 4097)[..4]);
    client.expect_close();
    stage.expect_metric(&closed("client_malformed"), 1.0);
    other.ask(9, &topics(1));
}

/// Whether a new connection is served; it is closed either way.
fn is_served(port: u16) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has options");
    // Who is turned away may learn of it already here.
    let _ = stream.write_all(&request_bytes(0, 7, None, &ApiVersionsRequest::default()));
    match stream.read(&mut [0; 4]) {
        Ok(count) => count > 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "neither served nor turned away");
            false
        }
    }
}

#[test]
fn a_14_connections() {
    let stage = stage("connections: 3");
    let port = stage.setup.tenants[0].port;
    let mut clients: Vec<Client> = (0..3).map(|_| stage.log_in("alice")).collect();
    for _ in 0..5 {
        assert!(!is_served(port));
        assert!(!is_served(stage.setup.tenants[0].broker_port(1)), "the limit is over all ports");
    }
    for client in &mut clients {
        client.ask(9, &topics(1));
    }
    stage.expect_metric(&closed("too_many_connections"), 10.0);
    stage.expect_metric("sluicegate_connections_open{virtual_cluster=\"team\"}", 3.0);

    drop(clients.pop());
    wait_until("served again", || is_served(port));
    for client in &mut clients {
        client.ask(9, &topics(1));
    }
}

#[test]
fn login_timeout() {
    let stage = stage("login_timeout: 1s");
    let mut logged_in = stage.log_in("alice");
    let began = Instant::now();
    let mut silent = stage.connect();
    let mut half_in = stage.connect();
    half_in.ask(0, &ApiVersionsRequest::default());
    half_in.handshake();
    let mut slow = stage.connect();
    let dripped = request_bytes(0, 7, Some(&"x".repeat(3000)), &ApiVersionsRequest::default());
    let mut refused = stage.connect();
    refused.handshake();
    assert!(!refused.authenticate(&client_first("no.token.here")).auth_bytes.is_empty());
    // A byte at a time is no way to stay.
    let said = dripped.iter().take_while(|byte| slow.try_send_bytes(&[**byte]).is_ok() && slow.is_silent());
    assert!(said.count() < dripped.len(), "it could go on for ever");
    assert!(began.elapsed() >= Duration::from_secs(1), "the time was not over");
    for client in [&mut silent, &mut half_in, &mut slow, &mut refused] {
        client.expect_close();
    }
    stage.expect_metric(&closed("login_timeout"), 4.0);
    logged_in.ask(9, &topics(1));
}

#[test]
fn requests_in_flight() {
    const LIMIT: usize = 3;
    const REQUESTS: usize = 500;
    let stage = stage("requests_in_flight: 3");
    // What the broker has and has not answered, and the most that it ever was.
    let (open, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (opened, at_most) = (open.clone(), most.clone());
    stage.broker().on_key(ApiKey::Metadata, move |asked| {
        if asked.is_the_gateways_own() {
            return asked.reply::<MetadataRequest>(&MetadataResponse::default());
        }
        at_most.fetch_max(opened.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Reply::Held
    });
    let mut client = stage.log_in("alice");
    let requests: Vec<u8> =
        (0..REQUESTS).flat_map(|id| request_bytes(9, id as i32, None, &topics(1))).collect();
    client.send_bytes(&requests);
    let first = stage.broker().expect(ApiKey::Metadata, LIMIT);
    assert!(client.is_silent());
    assert_eq!(stage.broker().asked().len(), LIMIT, "more is left unread");
    assert_eq!(first.len(), LIMIT);
    for id in 0..REQUESTS {
        let asked = stage.broker().expect(ApiKey::Metadata, id + 1).swap_remove(id);
        open.fetch_sub(1, Ordering::SeqCst);
        asked.answer::<MetadataRequest>(&MetadataResponse::default().with_controller_id(1.into()));
        client.read::<MetadataRequest>(9, id as i32);
    }
    assert!(most.load(Ordering::SeqCst) <= LIMIT as i64, "the broker had {most:?} at once");
    assert!(client.is_silent());
}

/// A Metadata request for so many topics is served and for one more it is not.
fn check_metadata(limits: &str, most: usize) {
    let stage = stage(limits);
    let (mut client, mut other) = (stage.log_in("alice"), stage.log_in("bob"));
    assert_eq!(client.ask(9, &topics(most)).topics.len(), most);
    client.send(9, &topics(most + 1));
    client.expect_close();
    stage.expect_metric(&closed("client_malformed"), 1.0);
    assert_eq!(other.ask(9, &topics(most)).topics.len(), most);
    assert_eq!(stage.broker().asked().len(), 2);
}

#[test]
fn names_per_request() {
    check_metadata("names_per_request: 10", 10);
}

#[test]
fn elements_per_request() {
    check_metadata("elements_per_request: 10", 10);
}

#[test]
fn elements_per_response() {
    let stage = stage("elements_per_response: 20");
    let (mut client, mut other) = (stage.log_in("alice"), stage.log_in("bob"));
    // One of them is the broker.
    assert_eq!(client.ask(9, &topics(19)).topics.len(), 19);
    client.send(9, &topics(20));
    client.expect_close();
    stage.expect_metric(&closed("broker_malformed"), 1.0);
    assert_eq!(other.ask(9, &topics(19)).topics.len(), 19);
}

#[test]
fn frame_bytes_from_broker() {
    let stage = stage("frame_bytes_from_broker: 4KiB");
    let answer_bytes = |names: usize| {
        let topics = topics(1).topics.into_iter().flatten().map(|topic| {
            let name = topic.name.map(|_| name_of_bytes(names));
            kafka_protocol::messages::metadata_response::MetadataResponseTopic::default().with_name(name)
        });
        MetadataResponse::default().with_topics(topics.collect())
    };
    stage.broker().on_key(ApiKey::Metadata, move |asked: &Asked| {
        let wanted = asked.client_id().and_then(|id| id.parse::<usize>().ok()).unwrap_or(1);
        let Reply::Frame(empty) = asked.reply::<MetadataRequest>(&answer_bytes(0)) else {
            return Reply::Close;
        };
        // The name's length takes a byte more from 127 on.
        let names = wanted.saturating_sub(empty.len() + 1);
        asked.reply::<MetadataRequest>(&answer_bytes(names))
    });
    let mut client = stage.log_in("alice");
    client.send_as(9, 7, Some("4096"), &topics(1));
    client.read::<MetadataRequest>(9, 7);
    client.send_as(9, 8, Some("4097"), &topics(1));
    client.expect_close();
    stage.expect_metric(&closed("broker_malformed"), 1.0);
    let mut other = stage.log_in("bob");
    other.send_as(9, 7, Some("4096"), &topics(1));
    other.read::<MetadataRequest>(9, 7);
}

#[test]
fn token_bytes() {
    const LIMIT: usize = 1024;
    let stage = stage("token_bytes: 1KiB");
    let mut other = stage.log_in("bob");
    // A claim says as much as it takes; four bytes of a token hold three of its claims.
    let of_bytes = |bytes: usize| {
        let said = |word: &str| ES256.token(&with(claims("alice", 3600), json!({"said": word})));
        let found = (0..LIMIT).map(|length| said(&"x".repeat(length))).find(|token| token.len() >= bytes);
        found.expect("a claim may be long")
    };
    let (fits, too_long) = (of_bytes(LIMIT - 1), of_bytes(LIMIT + 1));
    assert!((LIMIT - 1..=LIMIT).contains(&fits.len()) && too_long.len() <= LIMIT + 2);
    stage.connect().log_in(&fits);

    let mut client = stage.connect();
    client.handshake();
    let answer = client.authenticate(&client_first(&too_long));
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (SASL_AUTHENTICATION_FAILED, 0), "{answer:?}");
    client.expect_close();
    stage.expect_metric(&closed("login_failed"), 1.0);
    other.ask(9, &topics(1));
}

#[test]
fn key_set_bytes() {
    const LIMIT: usize = 256;
    let newer = Signer::es256("newer");
    assert!(jwks(&[&newer]).len() < LIMIT && jwks(&[&ES256, &newer]).len() > LIMIT);
    let stage = stage("key_set_bytes: 256");
    stage.connect().log_in(&token("alice"));

    stage.keys.rotate(&[&ES256, &newer]);
    // An unknown key has the set asked for, at most once a second.
    let lets_in = |signer: &Signer| {
        let mut client = stage.connect();
        client.handshake();
        let answer = client.authenticate(&client_first(&signer.token(&claims("alice", 3600))));
        answer.auth_bytes.is_empty()
    };
    let asked = stage.keys.asked();
    wait_until("asked again", || {
        assert!(!lets_in(&newer), "a set that is too long was taken");
        stage.keys.asked() > asked
    });
    assert!(!lets_in(&newer), "a set that is too long was taken");
    assert!(stage.gateway.process.log().contains("longer than"), "{}", stage.gateway.process.log());
    assert!(lets_in(&ES256), "the last good set serves on");
    stage.keys.rotate(&[&newer]);
    wait_until("taken", || lets_in(&newer));
}

#[test]
fn a_name_of_a_mechanism_has_no_room_to_grow_in_the_log() {
    let stage = stage("token_bytes: 1KiB, frame_bytes_before_login: 64KiB");
    let mut client = stage.connect();
    let mechanism = StrBytes::from_string("x".repeat(30_000));
    let answer = client.ask(1, &SaslHandshakeRequest::default().with_mechanism(mechanism));
    assert_eq!(answer.error_code, UNSUPPORTED_SASL_MECHANISM);
    client.expect_close();
    let line =
        stage.expect_audit("the refusal", |line| line["event"] != "login" || line["outcome"] != "success");
    assert!(line.to_string().len() < 1000, "{line}");
}

fn topics(count: usize) -> MetadataRequest {
    let topic = |number| {
        let name = TopicName(StrBytes::from_string(format!("topic-{number}")));
        MetadataRequestTopic::default().with_name(Some(name))
    };
    MetadataRequest::default().with_topics(Some((0..count).map(topic).collect()))
}

fn name_of_bytes(count: usize) -> TopicName {
    TopicName(StrBytes::from_string("x".repeat(count)))
}

fn closed(reason: &str) -> String {
    format!("sluicegate_connections_closed_total{{virtual_cluster=\"team\",reason=\"{reason}\"}}")
}
