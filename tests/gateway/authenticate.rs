//! Logging in, and each way in which it can fail.

use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, SaslAuthenticateRequest,
    SaslAuthenticateResponse, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;
use sluicegate::wire::{ApiKey, decode, read_response};

use crate::support::broker::Broker;
use crate::support::client::{
    CLIENT_ID, Client, authenticate, client_first, request_bytes, separated, with_length,
};
use crate::support::codes::{ILLEGAL_SASL_STATE, SASL_AUTHENTICATION_FAILED, UNSUPPORTED_SASL_MECHANISM};
use crate::support::issuer::{ES256, RS256, Signer, b64, claims, with};
use crate::support::setup::{Policy, rule};
use crate::support::stage::{Stage, token};

#[test]
fn a_good_token_opens_the_session() {
    let stage = Stage::start();
    stage.keys.rotate(&[&ES256, &RS256]);
    for (signer, principal) in [(&ES256, "alice"), (&RS256, "bob")] {
        let mut client =
            stage.log_in_at(stage.setup.tenants[0].port, &signer.token(&claims(principal, 3600)));
        let answer = client.ask(9, &MetadataRequest::default().with_topics(Some(vec![])));
        assert_eq!(answer.brokers.len(), 1);
        let line = stage.expect_audit(principal, |line| line["principal"] == principal);
        assert_eq!(
            (&line["event"], &line["outcome"], &line["mechanism"], &line["client_id"]),
            (&json!("login"), &json!("success"), &json!("oauth_bearer"), &json!(CLIENT_ID))
        );
    }
    stage.broker().expect(ApiKey::Metadata, 2);
}

#[test]
fn a_session_lasts_as_long_as_its_token() {
    let stage = Stage::start();
    let lifetime = stage.connect().log_in(&token("alice"));
    assert!((3_500_000..=3_600_000).contains(&lifetime), "{lifetime}");

    // Version 0 has no room for it.
    let mut client = stage.connect();
    client.handshake();
    let answer: SaslAuthenticateResponse = client.ask(0, &authenticate(&client_first(&token("alice"))));
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 0));
    client.ask(9, &MetadataRequest::default());
}

#[test]
fn a_session_lasts_no_longer_than_the_file_says() {
    let stage = Stage::start_with(1, |setup, jwks| {
        setup.tenant().authentication =
            vec![crate::support::setup::oauth_bearer(jwks, ", session_lifetime_max: 10m")];
    });
    assert_eq!(stage.connect().log_in(&token("alice")), 600_000);
    let lifetime = stage.connect().log_in(&ES256.token(&claims("alice", 60)));
    assert!((1..=60_000).contains(&lifetime), "{lifetime}");
}

#[test]
fn s_02_each_bad_token_is_refused_for_its_own_reason_and_the_client_is_told_none() {
    let good = claims("alice", 3600);
    let now = good["iat"].as_i64().expect("iat is a number");
    let changed = |exchanged| ES256.token(&with(good.clone(), exchanged));
    let cases = [
        ("expired", ES256.token(&claims("alice", -60))),
        ("expiry_missing", changed(json!({"exp": null}))),
        ("wrong_type_of_claim", changed(json!({"exp": "tomorrow"}))),
        ("not_yet_valid", changed(json!({"nbf": now + 1800}))),
        ("issued_in_future", changed(json!({"iat": now + 1800}))),
        ("lifetime_too_long", changed(json!({"exp": now + 3 * 86_400}))),
        ("issuer_mismatch", changed(json!({"iss": "https://idp.example/"}))),
        ("issuer_missing", changed(json!({"iss": null}))),
        ("audience_mismatch", changed(json!({"aud": ["http://kafka.dev.evil", "kafka"]}))),
        ("audience_missing", changed(json!({"aud": null}))),
        ("principal_missing", changed(json!({"sub": null}))),
        ("principal_unusable", changed(json!({"sub": "a\nb"}))),
        ("sender_constrained", changed(json!({"cnf": {"jkt": "x"}}))),
        ("bad_signature", Signer::es256("es256").token(&good)),
        ("bad_signature", other_claims_under_a_signature()),
        ("wrong_key_for_algorithm", ES256.token_of(&json!({"alg": "RS256", "kid": "es256"}), &good)),
        ("unknown_key", ES256.token_of(&json!({"alg": "ES256", "kid": "nobody's"}), &good)),
        ("unsupported_algorithm", unsigned()),
        ("unsupported_algorithm", signed_by_the_public_key()),
        (
            "critical_header",
            ES256.token_of(&json!({"alg": "ES256", "kid": "es256", "crit": ["exp"], "exp": 1}), &good),
        ),
        ("type", ES256.token_of(&json!({"alg": "ES256", "kid": "es256", "typ": "dpop+jwt"}), &good)),
        ("not_a_jwt", "an-opaque-token".to_owned()),
        ("not_a_jwt", format!("{}.x", token("alice"))),
    ];
    let stage = Stage::start();
    // A refusal takes its time: side by side they take it once.
    thread::scope(|scope| {
        for (label, token) in &cases {
            let stage = &stage;
            scope.spawn(move || {
                let mut client = stage.connect();
                client.handshake();
                let id = expect_refusal(&mut client, &client_first(token));
                let line = stage.expect_audit(label, |line| line["id"] == id.as_str());
                assert_eq!((&line["event"], &line["outcome"]), (&json!("login"), &json!("failure")));
                let reason = line["reason"].as_str().expect("a failure has a reason");
                assert!(reason.len() > 20 && !reason.contains(token.as_str()), "{label}: {reason}");
            });
        }
    });
    for (label, _) in &cases {
        let count = cases.iter().filter(|(other, _)| other == label).count();
        assert_eq!(stage.refused_logins("oauth_bearer", label), count as f64, "{label}");
    }
    stage.broker().assert_untouched();
    let log = stage.gateway.process.log();
    let told = |token: &str| token.split('.').any(|part| part.len() > 20 && log.contains(part));
    assert!(!cases.iter().any(|(_, token)| told(token)), "a token stands in the log:\n{log}");
}

fn other_claims_under_a_signature() -> String {
    let good = token("alice");
    let parts: Vec<&str> = good.split('.').collect();
    format!("{}.{}.{}", parts[0], b64(claims("root", 3600).to_string()), parts[2])
}

fn unsigned() -> String {
    format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(claims("alice", 3600).to_string()))
}

/// The oldest forgery: what everybody knows is taken for a secret.
fn signed_by_the_public_key() -> String {
    let header = json!({"alg": "HS256", "kid": "es256"}).to_string();
    let message = format!("{}.{}", b64(header), b64(claims("alice", 3600).to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, ES256.jwk().to_string().as_bytes());
    format!("{message}.{}", b64(hmac::sign(&key, message.as_bytes())))
}

/// Says a client's first message and sees it refused in the way of RFC 7628; returns the id that the client is told.
pub fn expect_refusal(client: &mut Client, first: &[u8]) -> String {
    let answer = client.authenticate(first);
    // Kafka's own default for the text is an empty one, too.
    assert_eq!((answer.error_code, answer.error_message.as_deref()), (0, Some("")));
    assert_eq!(&answer.auth_bytes[..], br#"{"status":"invalid_token"}"#);
    assert_eq!(answer.session_lifetime_ms, 0);
    let answer = client.authenticate(b"\x01");
    let id = id_of_failure(&answer);
    client.expect_close();
    id
}

/// The id in a refusal, which says nothing else.
pub fn id_of_failure(answer: &SaslAuthenticateResponse) -> String {
    assert_eq!(answer.error_code, SASL_AUTHENTICATION_FAILED, "{answer:?}");
    assert!(answer.auth_bytes.is_empty(), "{answer:?}");
    let message = answer.error_message.as_deref().expect("a refusal has a message");
    let id = message
        .strip_prefix("Authentication failed; the gateway's audit log has the reason under id ")
        .unwrap_or_else(|| panic!("more is told than where to ask: {message}"));
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    id.to_owned()
}

#[test]
fn a_12_guessing_is_slow_and_holds_nobody_up() {
    let stage = Stage::start();
    let refused = |first: &[u8], more: &[u8]| {
        let mut client = stage.connect();
        client.handshake();
        let mut begun = Instant::now();
        if !more.is_empty() {
            client.authenticate(first);
            begun = Instant::now();
        }
        id_of_failure(&client.authenticate(if more.is_empty() { first } else { more }));
        // Kafka's own delay is a tenth of a second.
        assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
        client.expect_close();
    };
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| refused(&client_first("an-opaque-token"), b"\x01"));
            scope.spawn(|| refused(b"nonsense", b""));
        }
        stage.log_in("alice");
    });
}

#[test]
fn after_a_refused_token_only_the_end_of_the_login_is_heard() {
    let stage = Stage::start();
    for is_refused in [false, true] {
        let begin = || {
            let mut client = stage.connect();
            client.handshake();
            if is_refused {
                client.authenticate(&client_first("an-opaque-token"));
            }
            client
        };
        for version in 0..=4 {
            let mut client = begin();
            let request = if version < 3 { ApiVersionsRequest::default() } else { api_versions() };
            let answer = client.ask(version, &request);
            assert_eq!((answer.error_code, answer.api_keys.len()), (ILLEGAL_SASL_STATE, 0));
            client.expect_close();
        }
        let mut client = begin();
        assert_eq!(client.ask_for_mechanism("OAUTHBEARER").error_code, ILLEGAL_SASL_STATE);
        client.expect_close();
        // What would have to be read to be answered is not read before the login.
        let mut client = begin();
        client.send(9, &MetadataRequest::default());
        client.expect_close();
    }
    stage.broker().assert_untouched();
}

#[test]
fn s_05_a_malformed_first_message_is_refused_at_once() {
    let token = token("alice");
    let long = "x".repeat(17 * 1024);
    let cases = [
        ("gs2_header", String::new()),
        ("gs2_header", format!("x,,|auth=Bearer {token}||")),
        ("channel_binding", format!("p=tls-unique,,|auth=Bearer {token}||")),
        ("authzid", format!("n,a==41,|auth=Bearer {token}||")),
        ("pair", format!("n,,|auth=Bearer {token}")),
        ("duplicate", format!("n,,|auth=Bearer {token}|auth=Bearer {token}||")),
        ("no_token", "n,,|host=example||".to_owned()),
        ("scheme", format!("n,,|auth=Basic {token}||")),
        ("too_long", format!("n,,|auth=Bearer {long}||")),
        ("too_long", format!("n,,|auth=Bearer {token}|x={long}||")),
        ("pair", format!("n,,|auth=Bearer {token}|{}=y||", "not a key")),
    ];
    let stage = Stage::start();
    thread::scope(|scope| {
        for (label, message) in &cases {
            let stage = &stage;
            scope.spawn(move || {
                let mut client = stage.connect();
                client.handshake();
                let id = id_of_failure(&client.authenticate(&separated(message)));
                client.expect_close();
                stage.expect_audit(label, |line| line["id"] == id.as_str() && line["outcome"] == "failure");
            });
        }
    });
    for (label, _) in &cases {
        let count = cases.iter().filter(|(other, _)| other == label).count();
        assert_eq!(stage.refused_logins("oauth_bearer", label), count as f64, "{label}");
    }
}

#[test]
fn a_client_may_answer_the_document_with_one_byte_only() {
    let stage = Stage::start();
    let bad = client_first("an-opaque-token");
    for answer in [b"".to_vec(), b"\x01\x01".to_vec(), client_first(&token("alice"))] {
        let mut client = stage.connect();
        client.handshake();
        client.authenticate(&bad);
        id_of_failure(&client.authenticate(&answer));
        client.expect_close();
    }
}

#[test]
fn j_21_s_03_a_client_acts_as_the_tokens_principal_or_not_at_all() {
    let stage = Stage::start();
    let token = token("a,b");
    let mut client = stage.connect();
    client.handshake();
    let answer = client.authenticate(&separated(&format!("n,a=a=2Cb,|auth=Bearer {token}||")));
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");

    let mut client = stage.connect();
    client.handshake();
    let id = expect_refusal(&mut client, &separated(&format!("n,a=root,|auth=Bearer {token}||")));
    stage.expect_audit("the authzid", |line| line["id"] == id.as_str());
    assert_eq!(stage.refused_logins("oauth_bearer", "authzid_mismatch"), 1.0);
}

#[test]
fn sasl_extensions_are_accepted_and_seen_by_conditions() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().policies = vec![Policy::new(
            "traced",
            Some("context.auth.extensions.traceId == '42'"),
            &[rule("allow", "topic", "describe", "*")],
        )];
    });
    stage.broker().has_topics(&["my-orders"]);
    for (extensions, seen) in [("", 0), ("|traceId=41", 0), ("|logicalCluster=lkc-1|traceId=42", 1)] {
        let mut client = stage.connect();
        client.handshake();
        let first = separated(&format!("n,,|auth=Bearer {}{extensions}||", token("alice")));
        let answer = client.authenticate(&first);
        assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{extensions}");
        let topics = client.ask(9, &MetadataRequest::default().with_topics(None)).topics;
        assert_eq!(topics.len(), seen, "{extensions}");
    }
}

#[test]
fn a_11_s_08_another_mechanism_is_answered_with_those_there_are_and_closed() {
    let stage = Stage::start();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "oauthbearer", "", "OAUTHBEARER "] {
        let mut client = stage.connect();
        let answer = client.ask_for_mechanism(mechanism);
        assert_eq!(answer.error_code, UNSUPPORTED_SASL_MECHANISM, "{mechanism}");
        let offered: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
        assert_eq!(offered, ["OAUTHBEARER"]);
        client.expect_close();
    }
}

#[test]
fn a_10_a_raw_login_after_handshake_0_is_answered_by_an_empty_frame() {
    let stage = Stage::start();
    let mut client = stage.connect();
    raw_handshake(&mut client);
    client.send_frame(&client_first(&token("alice")));
    assert!(client.read_frame().is_empty());
    client.ask(9, &MetadataRequest::default());
}

#[test]
fn a_raw_login_that_fails_is_closed_without_a_word() {
    let stage = Stage::start();
    for message in [client_first("an-opaque-token"), b"nonsense".to_vec(), request_of_a_session()] {
        let mut client = stage.connect();
        raw_handshake(&mut client);
        client.send_frame(&message);
        client.expect_close();
    }
    stage.broker().assert_untouched();
}

fn raw_handshake(client: &mut Client) {
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("OAUTHBEARER"));
    let answer = client.ask(0, &request);
    assert_eq!(answer.error_code, 0);
}

/// A Metadata request, without its length.
fn request_of_a_session() -> Vec<u8> {
    request_bytes(9, 1, None, &MetadataRequest::default())[4..].to_vec()
}

#[test]
fn a_06_any_other_request_before_login_ends_the_connection() {
    let stage = Stage::start();
    let served = ApiKey::all().map(|key| key as i16);
    let unknown = [-1, 95, 999, i16::MAX];
    for key in served.chain(unknown) {
        if [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate]
            .iter()
            .any(|&own| own as i16 == key)
        {
            continue;
        }
        let [high, low] = key.to_be_bytes();
        let mut client = stage.connect();
        client.send_frame(&[high, low, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
        client.expect_close();
    }
    // Nor between the handshake and the token.
    let mut client = stage.connect();
    client.handshake();
    client.send_frame(&request_of_a_session());
    client.expect_close();
    stage.broker().assert_untouched();
}

#[test]
fn sasl_messages_come_in_their_order() {
    let stage = Stage::start();
    let mut client = stage.connect();
    let answer = client.authenticate(&client_first(&token("alice")));
    assert_eq!(answer.error_code, ILLEGAL_SASL_STATE);
    client.expect_close();

    let mut client = stage.connect();
    client.handshake();
    assert_eq!(client.ask_for_mechanism("OAUTHBEARER").error_code, ILLEGAL_SASL_STATE);
    client.expect_close();

    let mut client = stage.connect();
    client.handshake();
    assert_eq!(client.ask(0, &ApiVersionsRequest::default()).error_code, ILLEGAL_SASL_STATE);
    client.expect_close();
}

#[test]
fn versions_are_told_once_before_login_and_again_after_it() {
    let stage = Stage::start();
    let mut client = stage.connect();
    let before = client.ask(3, &api_versions());
    assert_eq!(before.error_code, 0);
    client.log_in(&token("alice"));
    assert_eq!(client.ask(3, &api_versions()), before);

    let mut client = stage.connect();
    client.ask(3, &api_versions());
    client.send(3, &api_versions());
    client.expect_close();
}

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("raw"))
        .with_client_software_version(StrBytes::from_static_str("1.0"))
}

#[test]
fn hazard_7_a_07_a_too_new_api_versions_is_answered_in_version_0() {
    let stage = Stage::start();
    let mut client = stage.connect();
    // Nobody knows what the body of version 9 will be.
    for body in [&b"\0\x03raw\0whatever"[..], &[0xff; 40], b""] {
        client.send_frame(&[&[0, 18, 0, 9, 0, 0, 0, 77], body].concat());
        let (correlation_id, body) = read_response(&client.read_frame(), false).expect("the oldest header");
        assert_eq!(correlation_id, 77);
        let answer: ApiVersionsResponse = decode(&body, 0).expect("the oldest body");
        assert_eq!(answer.error_code, 35);
        let of_api_versions = answer.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions as i16);
        let api = of_api_versions.expect("the client learns which version to ask in");
        assert_eq!((api.min_version, api.max_version), (0, 4));
    }
    // And the client that asks again in a version of these is served.
    assert_eq!(client.ask(4, &api_versions()).error_code, 0);
    client.log_in(&token("alice"));
}

#[test]
fn hazard_8_the_answer_to_api_versions_has_the_oldest_header() {
    let stage = Stage::start();
    for version in 0..=4 {
        let mut client = stage.connect();
        let request = if version < 3 { ApiVersionsRequest::default() } else { api_versions() };
        client.send_as(version, 0x0102_0304, None, &request);
        let frame = client.read_frame();
        assert_eq!(frame[..4], [1, 2, 3, 4]);
        // Were there a field for tags behind it, the body would not decode.
        let answer: ApiVersionsResponse = decode(&frame.slice(4..), version).expect("the body follows");
        assert_eq!(answer.error_code, 0);
        assert!(answer.api_keys.len() > 20, "{}", answer.api_keys.len());
    }
}

#[test]
fn a_09_what_is_pipelined_behind_a_token_waits_for_the_verdict() {
    let stage = Stage::start();
    // Refused: nothing of it is done.
    let mut client = stage.connect();
    client.handshake();
    let bad = request_bytes(2, 7, None, &authenticate(&client_first("an-opaque-token")));
    client.send_bytes(&[bad, with_length(&request_of_a_session())].concat());
    let answer = client.read::<SaslAuthenticateRequest>(2, 7);
    assert_eq!(&answer.auth_bytes[..], br#"{"status":"invalid_token"}"#);
    client.expect_close();
    stage.broker().assert_untouched();

    // Accepted: all of it, in its order, as soon as the broker has let us in.
    let mut client = stage.connect();
    client.handshake();
    let good = request_bytes(2, 8, None, &authenticate(&client_first(&token("alice"))));
    let metadata = |correlation_id| request_bytes(9, correlation_id, None, &MetadataRequest::default());
    client.send_bytes(&[good, metadata(9), metadata(10)].concat());
    assert!(client.read::<SaslAuthenticateRequest>(2, 8).auth_bytes.is_empty());
    client.read::<MetadataRequest>(9, 9);
    client.read::<MetadataRequest>(9, 10);
}

#[test]
fn a_stranger_may_not_send_more_than_a_token_needs() {
    let stage = Stage::start();
    for length in [64 * 1024 + 1, i32::MAX, -1, 0] {
        let mut client = stage.connect();
        // The length is enough.
        client.send_bytes(&length.to_be_bytes());
        client.expect_close();
    }
    let mut client = stage.log_in("alice");
    let metadata = request_bytes(9, 3, Some(&"x".repeat(30_000)), &many_topics());
    assert!(metadata.len() > 64 * 1024, "{}", metadata.len());
    client.send_bytes(&metadata);
    assert_eq!(client.read::<MetadataRequest>(9, 3).topics.len(), 3_000);
}

fn many_topics() -> MetadataRequest {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    let topic = |at| {
        let name = TopicName(StrBytes::from_string(format!("a-topic-that-is-not-there-{at:05}")));
        MetadataRequestTopic::default().with_name(Some(name))
    };
    MetadataRequest::default().with_topics(Some((0..3_000).map(topic).collect()))
}

#[test]
fn a_01_a_03_a_client_that_does_not_log_in_is_closed_in_time() {
    let timeout = Duration::from_millis(500);
    let stage = Stage::start_with(1, |setup, _| {
        setup.sections.push("limits: {login_timeout: 500ms}".to_owned());
    });
    // Silent from the start, and silent after a good beginning.
    let begun = Instant::now();
    let mut silent = stage.connect();
    let mut stuck = stage.connect();
    stuck.ask(3, &api_versions());
    stuck.handshake();
    let mut refused = stage.connect();
    refused.handshake();
    refused.authenticate(&client_first("an-opaque-token"));
    silent.expect_close();
    assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
    stuck.expect_close();
    refused.expect_close();

    // A byte now and then is no login either.
    let begun = Instant::now();
    let mut dripping = stage.connect();
    let token = request_bytes(2, 1, None, &authenticate(&client_first(&token("alice"))));
    let mut bytes = token.chunks(1).cycle();
    while dripping.is_silent() {
        // The gateway may close between the look and the byte.
        let _ = dripping.try_send_bytes(bytes.next().expect("a cycle does not end"));
        assert!(begun.elapsed() < Duration::from_secs(20), "still open");
    }
    assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());

    // Who is in stays in.
    let mut client = stage.log_in("alice");
    let logged_in = Instant::now();
    while logged_in.elapsed() < timeout * 2 {
        client.ask(9, &MetadataRequest::default());
    }
    stage.expect_metric(
        "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"login_timeout\"}",
        4.0,
    );
}

#[test]
fn anonymous_clients_are_let_in_where_the_backend_says_so() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.backend.push("insecure_allow_anonymous_virtual_cluster_auth: true".to_owned());
        setup.tenant().authentication = vec!["{type: anonymous}".to_owned()];
        setup.tenant().policies = vec![Policy::new(
            "anybody",
            Some("context.auth.type == 'anonymous' && context.client.id == 'raw-client'"),
            &[rule("allow", "topic", "describe", "*")],
        )];
    });
    stage.broker().has_topics(&["my-orders"]);
    let mut nameless = stage.connect();
    nameless.send_as(9, 1, None, &MetadataRequest::default().with_topics(None));
    assert_eq!(nameless.read::<MetadataRequest>(9, 1).topics.len(), 0);
    let mut client = stage.connect();
    assert_eq!(client.ask(3, &api_versions()).error_code, 0);
    assert_eq!(client.ask(9, &MetadataRequest::default().with_topics(None)).topics.len(), 1);
    // There is nothing to log in to.
    assert_eq!(client.ask_for_mechanism("OAUTHBEARER").error_code, ILLEGAL_SASL_STATE);
    client.ask(9, &MetadataRequest::default());
}

#[test]
fn where_both_are_allowed_a_token_counts() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.backend.push("insecure_allow_anonymous_virtual_cluster_auth: true".to_owned());
        setup.tenant().authentication.push("{type: anonymous}".to_owned());
        setup.tenant().policies = vec![Policy::new(
            "alice",
            Some("context.auth.principal.name == 'alice'"),
            &[rule("allow", "topic", "describe", "*")],
        )];
    });
    stage.broker().has_topics(&["my-orders"]);
    let seen = |mut client: Client| client.ask(9, &MetadataRequest::default().with_topics(None)).topics.len();
    assert_eq!(seen(stage.log_in("alice")), 1);
    assert_eq!(seen(stage.connect()), 0);
    let mut client = stage.connect();
    client.handshake();
    expect_refusal(&mut client, &client_first("an-opaque-token"));
}

#[test]
fn anonymous_clients_are_refused_by_the_file_where_the_backend_does_not_say_so() {
    use crate::support::process::{ConfigFile, sluicegate};
    use crate::support::setup::Setup;

    let broker = Broker::start();
    let mut setup = Setup::new(&[broker.address()], "{file: keys.json}");
    setup.tenant().authentication = vec!["{type: anonymous}".to_owned()];
    let check = |setup: &Setup| {
        let file = ConfigFile::new(&setup.text());
        sluicegate(&["check", "--config", file.path().to_str().expect("a path in UTF-8")])
    };
    let said = check(&setup);
    assert_eq!(said.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(complaint.contains("insecure_allow_anonymous_virtual_cluster_auth: true"), "{complaint}");
    setup.backend.push("insecure_allow_anonymous_virtual_cluster_auth: true".to_owned());
    assert_eq!(check(&setup).status.code(), Some(0));
}
