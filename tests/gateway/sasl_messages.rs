//! The messages of OAUTHBEARER, to the letter.
//!
//! The tests bear the numbers of the rules that they show; docs/security.md lists them with those of other files.

use std::thread::sleep;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{
    MetadataRequest, MetadataResponse, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::{Value, json};
use sluicegate::wire::ApiKey;

use crate::authenticate::id_of_failure;
use crate::support::client::{CLIENT_ID, authenticate, client_first, separated};
use crate::support::codes::ILLEGAL_SASL_STATE;
use crate::support::issuer::{ES256, claims, with};
use crate::support::stage::{Stage, token};

fn closed(reason: &str) -> String {
    format!("sluicegate_connections_closed_total{{virtual_cluster=\"team\",reason=\"{reason}\"}}")
}

#[test]
fn s_02_an_acknowledgement_of_nothing_is_a_failure_at_once() {
    let stage = Stage::start();
    let mut client = stage.connect();
    client.handshake();
    let id = id_of_failure(&client.authenticate(b"\x01"));
    client.expect_close();
    let line = stage.expect_audit("the failure", |line| line["id"] == id.as_str());
    assert_eq!(line["outcome"], "failure");
}

#[test]
fn s_04_the_document_is_json_and_the_same_whatever_is_wrong() {
    let stage = Stage::start();
    let spoiled = json!({"iss": "\"}{\"status\":\"ok\"}", "scope": "\\\"\u{1}"});
    for token in [ES256.token(&with(claims("alice", 3600), spoiled)), "an-opaque-token".to_owned()] {
        let mut client = stage.connect();
        client.handshake();
        let answer = client.authenticate(&client_first(&token));
        assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 0));
        let document: Value = serde_json::from_slice(&answer.auth_bytes).expect("it is JSON");
        assert_eq!(document, json!({"status": "invalid_token"}));
    }
}

/// A client of KIP-368 takes ids from the top for its second login, so that no answer is taken for another.
#[test]
fn s_10_a_second_login_goes_under_the_highest_ids_among_other_answers() {
    const FIRST_RESERVED: i32 = i32::MAX - 7;
    let stage = Stage::start();
    let mut client = stage.log_in("alice");
    client.ask(9, &MetadataRequest::default());
    stage.broker().hold(ApiKey::Metadata);
    client.send_as(9, i32::MAX, Some(CLIENT_ID), &MetadataRequest::default());
    let held = stage.broker().expect(ApiKey::Metadata, 2).remove(1);

    let oauthbearer =
        SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("OAUTHBEARER"));
    client.send_as(1, FIRST_RESERVED, Some(CLIENT_ID), &oauthbearer);
    assert!(client.is_silent(), "an answer overtakes the first");
    held.answer::<MetadataRequest>(&MetadataResponse::default());
    client.read::<MetadataRequest>(9, i32::MAX);
    let mut handshake = client.read::<SaslHandshakeRequest>(1, FIRST_RESERVED);
    // Kafka's second between two logins may not be over.
    let deadline = Instant::now() + Duration::from_secs(20);
    while handshake.error_code == ILLEGAL_SASL_STATE {
        assert!(Instant::now() < deadline, "no second login is allowed");
        sleep(Duration::from_millis(20));
        client.send_as(1, FIRST_RESERVED + 1, Some(CLIENT_ID), &oauthbearer);
        handshake = client.read::<SaslHandshakeRequest>(1, FIRST_RESERVED + 1);
    }
    assert_eq!(handshake.error_code, 0);
    client.send_as(2, FIRST_RESERVED + 2, Some(CLIENT_ID), &authenticate(&client_first(&token("alice"))));
    let answer = client.read::<SaslAuthenticateRequest>(2, FIRST_RESERVED + 2);
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");
    assert!(answer.session_lifetime_ms > 0);
}

#[test]
fn s_13_a_version_of_a_login_that_nobody_knows_is_not_answered() {
    let stage = Stage::start();
    let mut sent = 0.0;
    for (key, version) in [(36, 3_i16), (36, -1), (36, i16::MAX), (17, 2), (17, -1)] {
        let frame =
            [&[0, key][..], &version.to_be_bytes(), &[0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0]].concat();
        let mut in_a_login = stage.connect();
        in_a_login.handshake();
        for mut client in [stage.connect(), in_a_login, stage.log_in("alice")] {
            client.send_frame(&frame);
            client.expect_close();
            sent += 1.0;
        }
    }
    stage.expect_metric(&closed("unsupported_version"), sent);
}

#[test]
fn s_14_a_client_may_leave_instead_of_acknowledging() {
    let stage = Stage::start();
    let mut client = stage.connect();
    client.handshake();
    let answer = client.authenticate(&client_first("an-opaque-token"));
    assert_eq!(answer.error_code, 0);
    client.finish_sending();
    client.expect_close();
    stage.expect_metric(&closed("client_gone"), 1.0);
    stage.expect_audit("the failure", |line| line["outcome"] == "failure");
    let failures = stage.audit().iter().filter(|line| line["outcome"] == "failure").count();
    assert_eq!(failures, 1, "it is told once");
    stage.expect_metric(&closed("login_failed"), 0.0);
}

#[test]
fn s_14_what_java_librdkafka_and_franz_go_say_first_is_taken() {
    let stage = Stage::start();
    let token = token("alice");
    for first in [
        format!("n,,|auth=Bearer {token}||"),
        format!("n,a=alice,|auth=Bearer {token}||"),
        format!("n,,|auth=Bearer {token}|b=2|a=1||"),
        format!("n,a=alice,|auth=Bearer {token}|a=1|b=2||"),
        format!("n,,|auth=bearer  {token}||"),
        format!("y,,|auth=Bearer {token}||"),
    ] {
        let mut client = stage.connect();
        client.handshake();
        let answer = client.authenticate(&separated(&first));
        assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{first}");
    }
}
