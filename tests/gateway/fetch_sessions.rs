//! A fetch may stand on earlier ones of its connection (KIP-227).

use kafka_protocol::messages::{FetchRequest, FetchResponse};
use serde_json::json;
use sluicegate::wire::ApiKey;

use crate::families::{About, Manner};
use crate::support::broker::Reply;
use crate::support::client::{Client, client_first};
use crate::support::issuer::{ES256, claims, with};
use crate::support::setup::{Policy, rule};
use crate::support::stage::Stage;

/// The number that the broker gives to a session.
const SESSION: i32 = 77;

/// By name, and by id.
const VERSIONS: [i16; 4] = [7, 12, 13, 18];

/// Everybody reads `orders`, and a token's claim says whether also `payments`.
fn stage() -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        let orders = [rule("allow", "topic", "read", "orders")];
        let payments = [rule("allow", "topic", "read", "payments")];
        setup.tenant().policies = vec![
            Policy::new("all", None, &orders),
            Policy::new("payers", Some("context.auth.token.claims.role == 'payer'"), &payments),
        ];
    });
    stage.broker().has_topics(&["my-orders", "my-payments"]);
    stage.broker().on_key(ApiKey::Fetch, |asked| {
        let request = asked.request::<FetchRequest>();
        // Of what is asked for, records; and of what is not, too: the gateway is to look.
        let manner = Manner { neighbours: vec!["my-payments".to_owned()], ..Manner::default() };
        let manner =
            if request.names().contains(&"my-payments".to_owned()) { Manner::default() } else { manner };
        asked.reply::<FetchRequest>(&request.answered(asked.version(), &manner).with_session_id(SESSION))
    });
    stage
}

fn token(role: &str) -> String {
    ES256.token(&with(claims("alice", 3600), json!({ "role": role })))
}

fn log_in(stage: &Stage, role: &str) -> Client {
    stage.log_in_at(stage.setup.tenants[0].port, &token(role))
}

fn fetch(version: i16, epoch: i32, topics: &[&str]) -> FetchRequest {
    let session = if epoch > 0 { SESSION } else { 0 };
    FetchRequest::about(topics, version).with_session_id(session).with_session_epoch(epoch)
}

fn last(stage: &Stage) -> FetchRequest {
    stage.broker().asked().last().expect("the broker was asked").request()
}

/// The topics that the broker is told to forget.
fn forgotten(request: &FetchRequest) -> usize {
    request.forgotten_topics_data.len()
}

fn sorted(mut codes: Vec<(String, i16)>) -> Vec<(String, i16)> {
    codes.sort();
    codes
}

fn told(response: &FetchResponse) -> Vec<(String, i16)> {
    sorted(FetchRequest::codes(response))
}

fn named(codes: &[(&str, i16)]) -> Vec<(String, i16)> {
    codes.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect()
}

#[test]
fn hazard_15_and_16_a_refused_topic_is_told_in_each_answer_of_a_session() {
    let stage = stage();
    for version in VERSIONS {
        let mut client = log_in(&stage, "clerk");
        let answer = client.ask(version, &fetch(version, 0, &["payments", "orders"]));
        assert_eq!((answer.error_code, answer.session_id), (0, SESSION));
        assert_eq!(told(&answer), named(&[("orders", 0), ("payments", 29)]));
        assert_eq!(last(&stage).names(), ["my-orders"]);
        for epoch in 1..4 {
            let answer = client.ask(version, &fetch(version, epoch, &[]));
            assert_eq!((answer.error_code, answer.session_id), (0, SESSION));
            assert_eq!(told(&answer), named(&[("payments", 29)]));
            assert_eq!((last(&stage).session_id, last(&stage).session_epoch), (SESSION, epoch));
            assert!(last(&stage).names().is_empty());
        }
    }
}

#[test]
fn hazard_17_a_fetch_that_says_nothing_new_waits_for_the_broker() {
    let stage = stage();
    for version in VERSIONS {
        let mut client = log_in(&stage, "clerk");
        client.ask(version, &fetch(version, 0, &["orders", "payments"]));
        let before = stage.broker().expect(ApiKey::Fetch, 0).len();
        let script = stage.broker();
        script.on_key(ApiKey::Fetch, |_| Reply::Held);
        let waiting = client.send(version, &fetch(version, 1, &[]));
        let asked = script.expect(ApiKey::Fetch, before + 1);
        // It is the broker's to say when there is something: the client has no answer and asks no more.
        assert!(client.is_silent());
        let held = asked.last().expect("it came");
        held.answer::<FetchRequest>(&FetchResponse::default().with_session_id(SESSION));
        let answer = client.read::<FetchRequest>(version, waiting);
        assert_eq!(told(&answer), named(&[("payments", 29)]));
        script.on_key(ApiKey::Fetch, |asked| {
            let request = asked.request::<FetchRequest>();
            let answer = request.answered(asked.version(), &Manner::default());
            asked.reply::<FetchRequest>(&answer.with_session_id(SESSION))
        });
    }
}

#[test]
fn hazard_18_a_right_that_ends_with_a_login_ends_in_the_session_too() {
    let stage = stage();
    for version in VERSIONS {
        let mut client = log_in(&stage, "payer");
        let answer = client.ask(version, &fetch(version, 0, &["orders", "payments"]));
        assert_eq!(told(&answer), named(&[("orders", 0), ("payments", 0)]));

        client.handshake_again("OAUTHBEARER");
        assert_eq!(client.authenticate(&client_first(&token("clerk"))).error_code, 0);
        for epoch in 1..3 {
            // The broker goes on to send records of the topic.
            let answer = client.ask(version, &fetch(version, epoch, &["orders"]));
            assert_eq!(told(&answer), named(&[("orders", 0), ("payments", 29)]));
            let refused = answer.responses.iter().flat_map(|topic| &topic.partitions);
            let with_records =
                refused.filter(|part| part.error_code != 0 && part.records.as_deref() != Some(b""));
            assert_eq!(with_records.count(), 0, "{answer:?}");
            assert_eq!(forgotten(&last(&stage)), usize::from(epoch == 1));
            assert_eq!(last(&stage).names(), ["my-orders"]);
        }

        client.handshake_again("OAUTHBEARER");
        assert_eq!(client.authenticate(&client_first(&token("payer"))).error_code, 0);
        let answer = client.ask(version, &fetch(version, 3, &[]));
        assert_eq!(told(&answer), named(&[("payments", 0)]));
        assert_eq!(last(&stage).names(), ["my-payments"]);
    }
}
