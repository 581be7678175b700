//! Behind each client's connection stands one to a broker, and nothing but what was read goes from one to the other.
//!
//! The tests bear the numbers of the rules that they show; docs/security.md lists them with those of other files.

use std::collections::BTreeSet;
use std::thread;

use kafka_protocol::messages::{HeartbeatRequest, MetadataRequest};
use sluicegate::api::rows;
use sluicegate::wire::ApiKey;

use crate::support::broker::Reply;
use crate::support::client::{CLIENT_ID, request_bytes, with_length};
use crate::support::stage::{Stage, wait_until};

#[test]
fn p_09_no_two_clients_share_a_connection_to_a_broker() {
    let stage = Stage::start();
    let mut clients: Vec<_> = ["alice", "bob", "alice"].iter().map(|name| stage.log_in(name)).collect();
    for client in &mut clients {
        client.ask(9, &MetadataRequest::default());
        client.ask(9, &MetadataRequest::default());
    }
    let asked = stage.broker().expect(ApiKey::Metadata, 6);
    let places: Vec<usize> = asked.iter().map(|asked| asked.connection).collect();
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), clients.len(), "{places:?}");
    assert!(places.chunks(2).all(|both| both[0] == both[1]), "{places:?}");
}

#[test]
fn p_10_a_connection_ends_with_its_client_and_its_answers_with_it() {
    let stage = Stage::start();
    stage.broker().on_clients_key(ApiKey::Metadata, |_| Reply::Held);
    let mut leaving = stage.log_in("alice");
    leaving.send_as(9, 7, Some(CLIENT_ID), &MetadataRequest::default());
    let stray = stage.broker().expect(ApiKey::Metadata, 1).remove(0);
    let open = |stage: &Stage| stage.metric("sluicegate_connections_open{virtual_cluster=\"team\"}");
    drop(leaving);
    wait_until("closed", || open(&stage) < 0.5);

    let mut next = stage.log_in("alice");
    next.send_as(9, 7, Some(CLIENT_ID), &MetadataRequest::default());
    let asked = stage.broker().expect(ApiKey::Metadata, 2).remove(1);
    assert_ne!(asked.connection, stray.connection);
    stray.answer_with(stray.reply_with_body(&[0xff; 40]));
    assert!(next.is_silent(), "an answer for somebody else");
    asked.answer::<MetadataRequest>(&kafka_protocol::messages::MetadataResponse::default());
    next.read::<MetadataRequest>(9, 7);
}

#[test]
fn p_14_a_version_that_is_not_shown_ends_the_connection() {
    const THREADS: usize = 4;
    let stage = Stage::start_with(1, |setup, _| setup.tenant().offer_everything());
    let sent: usize = thread::scope(|scope| {
        let check = |first: usize| {
            let mut sent = 0;
            for row in rows().iter().skip(first).step_by(THREADS) {
                let (min, max) = (*row.versions.start(), *row.versions.end());
                for version in [min - 1, max + 1, max + 3, i16::MAX] {
                    let mut client = stage.log_in("alice");
                    let head = [(row.key as i16).to_be_bytes(), version.to_be_bytes()].concat();
                    client.send_frame(&[&head[..], &[0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0]].concat());
                    client.expect_close();
                    sent += 1;
                }
            }
            sent
        };
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || check(first))).collect();
        threads.into_iter().map(|thread| thread.join().expect("what it says stands above")).sum()
    });
    let reason =
        "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"unsupported_version\"}";
    stage.expect_metric(reason, sent as f64);
    stage.broker().assert_untouched();
}

#[test]
fn p_15_a_tagged_field_that_nobody_knows_passes_in_no_direction() {
    /// One field, with tag 99 and this value of five bytes.
    fn tagged(value: &[u8; 5]) -> Vec<u8> {
        [&[1, 99, 5][..], value].concat()
    }
    let stage = Stage::start();
    stage.broker().on_clients_key(ApiKey::Heartbeat, |asked| {
        asked.reply_with_body(&[&[0, 0, 0, 0, 0, 0][..], &tagged(b"alien")].concat())
    });
    let mut client = stage.log_in("alice");
    let request = HeartbeatRequest::default()
        .with_group_id(kafka_protocol::protocol::StrBytes::from_static_str("app").into());
    let plain = request_bytes(4, 7, None, &request);
    let (last, before) = plain[4..].split_last().expect("a request has bytes");
    assert_eq!(*last, 0, "there are no tagged fields");
    client.send_bytes(&with_length(&[before, &tagged(b"canny")].concat()));
    // The correlation id, no field of the header, the body, and no field of that.
    assert_eq!(client.read_frame()[..], [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    let request: HeartbeatRequest = stage.broker().expect(ApiKey::Heartbeat, 1)[0].request();
    assert_eq!(request.group_id.as_str(), "my-app");
    assert!(request.unknown_tagged_fields.is_empty(), "{request:?}");
}
