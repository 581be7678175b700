//! A session goes on with a new token (KIP-368), or ends when the old one does.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FetchResponse, MetadataRequest, SaslAuthenticateRequest,
    SaslHandshakeRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::{Value, json};
use sluicegate::wire::ApiKey;

use crate::authenticate::{expect_refusal, id_of_failure};
use crate::support::client::{Client, authenticate, client_first, request_bytes};
use crate::support::codes::{ILLEGAL_SASL_STATE, TOPIC_AUTHORIZATION_FAILED, UNSUPPORTED_SASL_MECHANISM};
use crate::support::issuer::{ES256, Signer, claims, with};
use crate::support::setup::{Policy, oauth_bearer, rule};
use crate::support::stage::{Stage, token};

/// What a client may do depends on its claim `role`: a reader sees `orders`, nobody else does.
fn stage() -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        let rules = [rule("allow", "topic", "read", "orders")];
        setup.tenant().policies =
            vec![Policy::new("readers", Some("context.auth.token.claims.role == 'reader'"), &rules)];
    });
    stage.broker().has_topics(&["my-orders"]);
    stage
}

fn token_with(principal: &str, seconds: i64, more: Value) -> String {
    ES256.token(&with(claims(principal, seconds), more))
}

fn reader(principal: &str) -> String {
    token_with(principal, 3600, json!({"role": "reader"}))
}

fn named(topic: &'static str) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(topic))));
    MetadataRequest::default().with_topics(Some(vec![topic]))
}

/// What a client is told of the topic `orders`.
fn sees_orders(client: &mut Client) -> i16 {
    client.ask(9, &named("orders")).topics[0].error_code
}

fn log_in_again(client: &mut Client, token: &str) -> i64 {
    client.handshake_again("OAUTHBEARER");
    let answer = client.authenticate(&client_first(token));
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");
    answer.session_lifetime_ms
}

fn closed_for(stage: &Stage, reason: &str, count: f64) {
    let line = format!("sluicegate_connections_closed_total{{virtual_cluster=\"team\",reason=\"{reason}\"}}");
    stage.expect_metric(&line, count);
}

#[test]
fn p_03_new_claims_count_from_the_next_request() {
    let stage = stage();
    let mut client = stage.log_in("alice");
    assert_eq!(sees_orders(&mut client), TOPIC_AUTHORIZATION_FAILED);
    let lifetime = log_in_again(&mut client, &reader("alice"));
    assert!((3_500_000..=3_600_000).contains(&lifetime), "{lifetime}");
    assert_eq!(sees_orders(&mut client), 0);
    log_in_again(&mut client, &token_with("alice", 60, json!({"role": "writer"})));
    assert_eq!(sees_orders(&mut client), TOPIC_AUTHORIZATION_FAILED);
    let asked = stage.broker().expect(ApiKey::Metadata, 3);
    let named =
        asked.iter().map(|asked| asked.request::<MetadataRequest>().topics.map_or(0, |topics| topics.len()));
    assert_eq!(named.collect::<Vec<_>>(), [0, 1, 0], "a name that is denied does not reach the broker");
    stage.expect_audit("the re-authentication", |line| {
        line["reason"] == "re-authentication" && line["outcome"] == "success" && line["principal"] == "alice"
    });
}

#[test]
fn hazard_37_p_01_another_principal_may_not_take_a_session_over() {
    let stage = stage();
    let mut client = stage.log_in("alice");
    client.handshake_again("OAUTHBEARER");
    // His own session he would get.
    let id = expect_refusal(&mut client, &client_first(&reader("bob")));
    let line = stage.expect_audit("the other principal", |line| line["id"] == id.as_str());
    assert_eq!((&line["outcome"], &line["principal"]), (&json!("failure"), &json!("alice")));
    closed_for(&stage, "login_failed", 1.0);
    stage.broker().assert_untouched();
}

#[test]
fn hazard_37_p_02_s_10_another_mechanism_may_not_take_a_session_over() {
    let stage = stage();
    let mut client = stage.log_in("alice");
    client.handshake_again("OAUTHBEARER");
    // While the login is under way, there is no other way back than to finish it.
    assert_eq!(client.ask_for_mechanism("PLAIN").error_code, ILLEGAL_SASL_STATE);
    client.expect_close();

    let mut client = stage.log_in("alice");
    let deadline = Instant::now() + Duration::from_secs(20);
    let answer = loop {
        let answer = client.ask_for_mechanism("PLAIN");
        if answer.error_code != ILLEGAL_SASL_STATE {
            break answer;
        }
        assert!(Instant::now() < deadline, "no second login is allowed");
        sleep(Duration::from_millis(20));
    };
    assert_eq!(answer.error_code, UNSUPPORTED_SASL_MECHANISM);
    assert!(answer.mechanisms.iter().map(StrBytes::as_str).eq(["OAUTHBEARER"]), "{answer:?}");
    client.expect_close();
}

#[test]
fn p_04_a_bad_token_ends_the_session_it_was_to_renew() {
    let stage = stage();
    let expired = ES256.token(&claims("alice", -60));
    let forged = Signer::es256("es256").token(&claims("alice", 3600));
    // Each waits for Kafka's second; side by side they wait once.
    thread::scope(|scope| {
        for bad in [expired.as_str(), "an-opaque-token", &forged] {
            let mut client = stage.log_in_at(stage.setup.tenants[0].port, &reader("alice"));
            scope.spawn(move || {
                client.handshake_again("OAUTHBEARER");
                expect_refusal(&mut client, &client_first(bad));
            });
        }
        let mut client = stage.log_in("alice");
        client.handshake_again("OAUTHBEARER");
        id_of_failure(&client.authenticate(b"nonsense"));
        client.expect_close();
    });
    closed_for(&stage, "login_failed", 4.0);
}

#[test]
fn between_handshake_and_token_there_is_no_session() {
    let stage = stage();
    thread::scope(|scope| {
        let mut client = stage.log_in_at(stage.setup.tenants[0].port, &reader("alice"));
        scope.spawn(move || {
            client.handshake_again("OAUTHBEARER");
            client.send_bytes(&request_bytes(9, 1, None, &named("orders")));
            client.expect_close();
        });
        let mut client = stage.log_in_at(stage.setup.tenants[0].port, &reader("alice"));
        scope.spawn(move || {
            client.handshake_again("OAUTHBEARER");
            assert_eq!(client.ask(0, &ApiVersionsRequest::default()).error_code, ILLEGAL_SASL_STATE);
            client.expect_close();
        });
    });
    stage.broker().assert_untouched();
}

#[test]
fn p_05_s_09_a_second_login_within_a_second_is_refused_and_the_session_goes_on() {
    let stage = stage();
    let mut client = stage.connect();
    client.handshake();
    let begun = Instant::now();
    client.authenticate(&client_first(&reader("alice")));
    let answer = client.ask_for_mechanism("OAUTHBEARER");
    let took = begun.elapsed();
    // On a machine that is so slow the second is over, and there is nothing to see.
    if took < Duration::from_secs(1) {
        assert_eq!(answer.error_code, ILLEGAL_SASL_STATE);
        assert_eq!(sees_orders(&mut client), 0);
        // It is no login either.
        let answer = client.authenticate(&client_first(&token("alice")));
        assert_eq!(answer.error_code, ILLEGAL_SASL_STATE);
        assert_eq!(sees_orders(&mut client), 0);
        client.handshake_again("OAUTHBEARER");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[test]
fn requests_from_before_are_answered_in_their_order_and_by_the_old_rights() {
    let stage = stage();
    let mut client = stage.log_in_at(stage.setup.tenants[0].port, &reader("alice"));
    let since = Instant::now();
    while since.elapsed() <= Duration::from_secs(1) {
        // From then on another login is allowed, and its answers have to wait for nothing but their turn.
        sees_orders(&mut client);
    }
    let asked = stage.broker().expect(ApiKey::Metadata, 1).len();
    stage.broker().hold(ApiKey::Fetch);
    stage.broker().hold(ApiKey::Metadata);

    let fetch = client.send(4, &FetchRequest::default());
    let before = client.send(9, &MetadataRequest::default().with_topics(None));
    let of_fetch = stage.broker().expect(ApiKey::Fetch, 1).remove(0);
    let of_before = stage.broker().expect(ApiKey::Metadata, asked + 1).remove(asked);
    let handshake = client.send(1, &oauthbearer());
    let login = client.send(2, &authenticate(&client_first(&token("alice"))));
    let after = client.send(9, &MetadataRequest::default().with_topics(None));
    assert!(client.is_silent());

    let of_after = stage.broker().expect(ApiKey::Metadata, asked + 2).remove(asked + 1);
    of_fetch.answer::<FetchRequest>(&FetchResponse::default());
    client.read::<FetchRequest>(4, fetch);
    assert!(client.is_silent());
    let topics = metadata_of_orders();
    of_before.answer::<MetadataRequest>(&topics);
    assert_eq!(client.read::<MetadataRequest>(9, before).topics.len(), 1, "who asked was a reader");
    assert_eq!(client.read::<SaslHandshakeRequest>(1, handshake).error_code, 0);
    assert_eq!(client.read::<SaslAuthenticateRequest>(2, login).error_code, 0);
    of_after.answer::<MetadataRequest>(&topics);
    assert_eq!(client.read::<MetadataRequest>(9, after).topics.len(), 0, "who asked was none");
}

fn oauthbearer() -> SaslHandshakeRequest {
    SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("OAUTHBEARER"))
}

fn metadata_of_orders() -> kafka_protocol::messages::MetadataResponse {
    use kafka_protocol::messages::MetadataResponse;
    use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
    let name = TopicName(StrBytes::from_static_str("my-orders"));
    MetadataResponse::default().with_topics(vec![MetadataResponseTopic::default().with_name(Some(name))])
}

#[test]
fn hazard_36_p_06_s_11_an_idle_session_is_closed_when_its_token_ends() {
    let stage = stage();
    let mut client = stage.connect();
    let begun = Instant::now();
    let lifetime = client.log_in(&ES256.token(&claims("alice", 2)));
    client.expect_close();
    check_end(begun, lifetime);
    closed_for(&stage, "session_expired", 1.0);
}

#[test]
fn hazard_36_p_06_s_11_a_busy_session_is_closed_when_its_token_ends() {
    let stage = stage();
    let mut client = stage.connect();
    let begun = Instant::now();
    let lifetime = client.log_in(&token_with("alice", 2, json!({"role": "reader"})));
    let deadline = begun + Duration::from_secs(20);
    // Asks without a pause, and reads what comes, until no more does.
    while client.try_send_bytes(&request_bytes(9, 1, None, &named("orders"))).is_ok() {
        let Some(answer) = client.read_frame_or_close() else { break };
        assert!(!answer.is_empty());
        assert!(Instant::now() < deadline, "still served");
    }
    check_end(begun, lifetime);
    closed_for(&stage, "session_expired", 1.0);
    assert!(stage.broker().expect(ApiKey::Metadata, 2).len() > 1, "it was served before");
}

#[test]
fn hazard_36_p_07_a_session_with_a_request_in_flight_is_closed_when_its_token_ends() {
    let stage = stage();
    stage.broker().hold(ApiKey::Metadata);
    let mut client = stage.connect();
    let begun = Instant::now();
    let lifetime = client.log_in(&token_with("alice", 2, json!({"role": "reader"})));
    client.send(9, &named("orders"));
    client.expect_close();
    check_end(begun, lifetime);
}

fn check_end(begun: Instant, lifetime_ms: i64) {
    let lifetime = Duration::from_millis(u64::try_from(lifetime_ms).expect("a lifetime is not negative"));
    let lasted = begun.elapsed();
    assert!(lasted >= lifetime, "it lasted {lasted:?} of {lifetime:?}");
    assert!(lasted < lifetime + Duration::from_secs(10), "it lasted {lasted:?} of {lifetime:?}");
}

#[test]
fn hazard_36_a_session_that_is_renewed_outlives_its_token() {
    let stage = stage();
    let mut client = stage.connect();
    let begun = Instant::now();
    let lifetime = client.log_in(&token_with("alice", 4, json!({"role": "reader"})));
    log_in_again(&mut client, &reader("alice"));
    let first_end = begun + Duration::from_millis(lifetime.unsigned_abs() + 500);
    while Instant::now() < first_end {
        assert_eq!(sees_orders(&mut client), 0);
    }
}

#[test]
fn a_renewed_session_may_be_a_shorter_one() {
    let stage = stage();
    let mut client = stage.log_in("alice");
    let begun = Instant::now();
    // In time for the token, that is made before the second between two logins has passed.
    let lifetime = log_in_again(&mut client, &ES256.token(&claims("alice", 4)));
    assert!(lifetime < 60_000, "{lifetime}");
    client.expect_close();
    check_end(begun, lifetime);
}

#[test]
fn p_08_a_session_ends_after_the_longest_time_that_the_file_allows() {
    let stage = Stage::start_with(1, |setup, jwks| {
        setup.tenant().authentication = vec![oauth_bearer(jwks, ", session_lifetime_max: 1s")];
    });
    let mut client = stage.connect();
    let begun = Instant::now();
    assert_eq!(client.log_in(&token("alice")), 1_000);
    client.expect_close();
    check_end(begun, 1_000);

    // Also where a client can not be told: its SaslAuthenticate has no room for it.
    let mut client = stage.connect();
    client.handshake();
    let begun = Instant::now();
    let answer = client.ask(0, &authenticate(&client_first(&token("alice"))));
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 0));
    client.expect_close();
    check_end(begun, 1_000);
}

#[test]
fn a_login_that_is_under_way_may_finish_though_the_old_token_ends() {
    let stage = stage();
    let mut client = stage.connect();
    let begun = Instant::now();
    let lifetime = client.log_in(&token_with("alice", 3, json!({"role": "reader"})));
    let end = begun + Duration::from_millis(lifetime.unsigned_abs() + 200);
    // The last moment at which it may begin lies before the end.
    while client.ask_for_mechanism("OAUTHBEARER").error_code != 0 {
        sleep(Duration::from_millis(10));
    }
    while Instant::now() < end {
        assert!(client.is_silent(), "closed while it logs in");
    }
    let answer = client.authenticate(&client_first(&reader("alice")));
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");
    assert_eq!(sees_orders(&mut client), 0);
}

#[test]
fn who_began_anonymously_stays_so() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.backend.push("insecure_allow_anonymous_virtual_cluster_auth: true".to_owned());
        setup.tenant().authentication.push("{type: anonymous}".to_owned());
    });
    let mut client = stage.connect();
    client.ask(9, &MetadataRequest::default());
    assert_eq!(client.ask_for_mechanism("OAUTHBEARER").error_code, ILLEGAL_SASL_STATE);
    client.ask(9, &MetadataRequest::default());
}
