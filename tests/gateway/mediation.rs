//! Logins that go on to the broker: verified here before, or not at all.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::{
    MetadataRequest, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;
use sluicegate::auth::{ScramClient, ScramCredentials, ScramMechanism, ScramSecret, ScramServer, ScramUsers};
use sluicegate::names::Secret;
use sluicegate::wire::ApiKey;

use crate::authenticate::{expect_refusal, id_of_failure};
use crate::support::broker::Broker;
use crate::support::client::{Client, client_first, response_of};
use crate::support::codes::SASL_AUTHENTICATION_FAILED;
use crate::support::issuer::{ES256, Signer, claims, with};
use crate::support::setup::{Policy, oauth_bearer, rule};
use crate::support::stage::{Stage, token};

/// A tenant whose clients log in so, behind a broker that takes what `accepts` says.
fn stage(
    way: impl FnOnce(&str) -> String,
    condition: &str,
    accepts: impl Fn(&[u8]) -> SaslAuthenticateResponse + Send + Sync + 'static,
) -> Stage {
    let broker = Broker::start();
    broker.on(|_: &SaslHandshakeRequest| SaslHandshakeResponse::default());
    broker.on(move |request: &SaslAuthenticateRequest| accepts(&request.auth_bytes));
    let stage = Stage::before(vec![broker], |setup, jwks| {
        setup.tenant().authentication = vec![way(jwks)];
        setup.tenant().policies =
            vec![Policy::new("known", Some(condition), &[rule("allow", "topic", "describe", "*")])];
    });
    stage.broker().has_topics(&["my-orders"]);
    stage
}

fn refused() -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_code(SASL_AUTHENTICATION_FAILED)
        .with_error_message(Some(StrBytes::from_static_str("not in my house")))
}

/// Tokens that are verified here, and then log in at the broker.
fn validated_and_forwarded(jwks: &str) -> String {
    oauth_bearer(jwks, "").replace("mediation: terminate", "mediation: validate_forward")
}

/// A login by a token of alice in this role.
fn as_alice(role: &str) -> Vec<u8> {
    client_first(&ES256.token(&with(claims("alice", 3600), json!({"role": role}))))
}

fn lasting(milliseconds: i64) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_session_lifetime_ms(milliseconds)
}

fn topics_seen(client: &mut Client) -> usize {
    client.ask(9, &MetadataRequest::default().with_topics(None)).topics.len()
}

/// What was said to the broker in logins, in its order.
fn said_to_broker(stage: &Stage, count: usize) -> Vec<Vec<u8>> {
    let asked = stage.broker().asked_by_anybody();
    let logins = asked.iter().filter(|asked| asked.key() == ApiKey::SaslAuthenticate as i16);
    let said: Vec<_> =
        logins.map(|asked| asked.request::<SaslAuthenticateRequest>().auth_bytes.to_vec()).collect();
    assert_eq!(said.len(), count);
    said
}

#[test]
fn a_password_goes_through_and_the_broker_decides() {
    let way = |_: &str| "{type: sasl_plain, mediation: passthrough}".to_owned();
    let condition = "context.auth.type == 'sasl_plain' && context.auth.principal.name == 'alice'";
    let stage =
        stage(
            way,
            condition,
            |message| {
                if message.ends_with(b"\0pencil") { lasting(5_000_000) } else { refused() }
            },
        );
    for (message, sees) in [(&b"\0alice\0pencil"[..], 1), (b"\0bob\0pencil", 0)] {
        let mut client = stage.connect();
        client.handshake_again("PLAIN");
        let answer = client.authenticate(message);
        assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 5_000_000));
        assert_eq!(topics_seen(&mut client), sees);
    }
    let mut client = stage.connect();
    client.handshake_again("PLAIN");
    let id = id_of_failure(&client.authenticate(b"\0alice\0pen"));
    client.expect_close();
    let line = stage.expect_audit("the refusal", |line| line["id"] == id.as_str());
    assert_eq!(line["reason"], "the broker refuses the login: \"not in my house\"");
    assert_eq!(said_to_broker(&stage, 3), [&b"\0alice\0pencil"[..], b"\0bob\0pencil", b"\0alice\0pen"]);
    // What cannot be read is said to nobody.
    for hostile in [&b""[..], b"\0alice", b"root\0alice\0pencil", b"\0al\nice\0pencil"] {
        let mut client = stage.connect();
        client.handshake_again("PLAIN");
        id_of_failure(&client.authenticate(hostile));
        client.expect_close();
    }
    said_to_broker(&stage, 3);
}

#[test]
fn a_token_goes_through_and_its_claims_count_once_the_broker_takes_it() {
    let way = |_: &str| "{type: oauth_bearer, mediation: passthrough, claims_mapping: {sub: who}}".to_owned();
    let condition = "context.auth.principal.name == 'carol' && context.auth.claims.role == 'reader'";
    // Signed by nobody that the gateway knows.
    let forged = |role: &str| {
        Signer::es256("nobody's").token(&with(claims("alice", 3600), json!({"who": "carol", "role": role})))
    };
    let taken = client_first(&forged("reader"));
    let also_taken = client_first(&forged("writer"));
    let (first, second) = (taken.clone(), also_taken.clone());
    let stage = stage(way, condition, move |message| {
        if message == first || message == second {
            lasting(60_000)
        } else {
            SaslAuthenticateResponse::default().with_auth_bytes(r#"{"status":"invalid_token"}"#.into())
        }
    });
    let mut client = stage.connect();
    client.handshake_again("OAUTHBEARER");
    let answer = client.authenticate(&taken);
    assert_eq!((answer.error_code, answer.auth_bytes.len(), answer.session_lifetime_ms), (0, 0, 60_000));
    assert_eq!(topics_seen(&mut client), 1);
    // Again, on both sides; the new claims count.
    client.handshake_again("OAUTHBEARER");
    assert_eq!(client.authenticate(&also_taken).error_code, 0);
    assert_eq!(topics_seen(&mut client), 0);
    assert_eq!(said_to_broker(&stage, 2), [taken, also_taken]);

    let mut client = stage.connect();
    client.handshake_again("OAUTHBEARER");
    expect_refusal(&mut client, &client_first(&forged("other")));
    let mut client = stage.connect();
    client.handshake_again("OAUTHBEARER");
    expect_refusal_of_opaque(&mut client);
    said_to_broker(&stage, 3);
}

/// A token that names nobody is refused here.
fn expect_refusal_of_opaque(client: &mut Client) {
    let answer = client.authenticate(&client_first("an-opaque-token"));
    id_of_failure(&answer);
    client.expect_close();
}

#[test]
fn an_exchange_by_scram_goes_through_message_by_message() {
    let way = |_: &str| "{type: sasl_scram, algorithm: sha512, mediation: passthrough}".to_owned();
    let alice = [("alice".to_owned(), ScramSecret::Password(Secret::new("pencil")))];
    let users = Arc::new(ScramUsers::new(ScramMechanism::Sha512, &alice).expect("one user"));
    let exchanges: Mutex<HashMap<Vec<u8>, ScramServer>> = Mutex::default();
    let nonce_in = |message: &[u8]| {
        message.split(|byte| *byte == b',').find(|part| part.starts_with(b"r=")).map(<[u8]>::to_vec)
    };
    let stage = stage(way, "context.auth.principal.name == 'alice'", move |message| {
        let mut exchanges = exchanges.lock().expect("nobody panics");
        let begun = nonce_in(message).and_then(|nonce| exchanges.remove(&nonce));
        match begun {
            Some(server) => match server.finish(message) {
                Ok((_, last)) => lasting(7_000_000).with_auth_bytes(last.into()),
                Err(_) => refused(),
            },
            None => {
                let (server, first) = ScramServer::start(users.clone(), message, [9; 24]).expect("it is one");
                exchanges.insert(nonce_in(&first).expect("a nonce"), server);
                SaslAuthenticateResponse::default().with_auth_bytes(first.into())
            }
        }
    });
    for (at, (password, expected)) in [("pencil", true), ("pen", false)].into_iter().enumerate() {
        let mut client = stage.connect();
        client.handshake_again("SCRAM-SHA-512");
        let credentials = ScramCredentials::new(ScramMechanism::Sha512, "alice", Secret::new(password));
        let mut scram = ScramClient::new(credentials, [at as u8; 24]);
        let challenge = client.authenticate(&scram.first());
        assert_eq!(challenge.error_code, 0, "{challenge:?}");
        let proof = scram.on_challenge(&challenge.auth_bytes).expect("the challenge is the broker's");
        let last = client.authenticate(&proof);
        if expected {
            scram.on_final(&last.auth_bytes).expect("the broker knows the password too");
            assert_eq!(last.session_lifetime_ms, 7_000_000);
            assert_eq!(topics_seen(&mut client), 1);
        } else {
            id_of_failure(&last);
            client.expect_close();
        }
    }
}

#[test]
fn a_token_that_is_verified_here_logs_in_there_again_and_again() {
    let stage = stage(validated_and_forwarded, "context.auth.claims.role == 'reader'", |_| lasting(60_000));
    let (first, second) = (as_alice("writer"), as_alice("reader"));
    let mut client = stage.connect();
    client.handshake_again("OAUTHBEARER");
    let answer = client.authenticate(&first);
    // The broker's time is shorter than the token's.
    assert_eq!((answer.error_code, answer.auth_bytes.len(), answer.session_lifetime_ms), (0, 0, 60_000));
    assert_eq!(topics_seen(&mut client), 0);
    client.handshake_again("OAUTHBEARER");
    assert_eq!(client.authenticate(&second).session_lifetime_ms, 60_000);
    assert_eq!(topics_seen(&mut client), 1);
    assert_eq!(said_to_broker(&stage, 2), [first, second]);

    // What is not good here is not shown there, nor is anybody else's on this session.
    let mut stranger = stage.connect();
    stranger.handshake_again("OAUTHBEARER");
    expect_refusal(&mut stranger, &client_first(&Signer::es256("es256").token(&claims("alice", 3600))));
    client.handshake_again("OAUTHBEARER");
    expect_refusal(&mut client, &client_first(&token("bob")));
    said_to_broker(&stage, 2);
}

#[test]
fn a_broker_that_gives_a_login_no_end_is_not_asked_for_another() {
    let stage = stage(validated_and_forwarded, "context.auth.claims.role == 'reader'", |_| lasting(0));
    let (first, second) = (as_alice("writer"), as_alice("reader"));
    let mut client = stage.connect();
    client.handshake_again("OAUTHBEARER");
    // The token's own time is told.
    assert!(client.authenticate(&first).session_lifetime_ms > 3_000_000);
    assert_eq!(topics_seen(&mut client), 0);
    // Kafka refuses a second login then; here the new token counts, and the connection stays.
    client.handshake_again("OAUTHBEARER");
    assert!(client.authenticate(&second).session_lifetime_ms > 3_000_000);
    assert_eq!(topics_seen(&mut client), 1);
    said_to_broker(&stage, 1);
}

#[test]
fn a_token_that_the_broker_does_not_take_is_refused_though_it_is_good_here() {
    let stage = stage(validated_and_forwarded, "context.auth.type == 'oauth_bearer'", |_| refused());
    let mut client = stage.connect();
    client.handshake_again("OAUTHBEARER");
    let id = id_of_failure(&client.authenticate(&client_first(&token("alice"))));
    client.expect_close();
    stage.expect_audit("the refusal", |line| line["id"] == id.as_str() && line["outcome"] == "failure");
}

/// Where everybody knows alice's password, and so many may find out at once.
fn crowded(limits: &str) -> Stage {
    let alice = [("alice".to_owned(), ScramSecret::Password(Secret::new("pencil")))];
    let users = Arc::new(ScramUsers::new(ScramMechanism::Sha512, &alice).expect("one user"));
    let broker = Broker::start();
    broker.on(|_: &SaslHandshakeRequest| SaslHandshakeResponse::default());
    broker.on(move |request: &SaslAuthenticateRequest| {
        let started = ScramServer::start(users.clone(), &request.auth_bytes, [9; 24]);
        let (_, challenge) = started.expect("only first messages come here");
        SaslAuthenticateResponse::default().with_auth_bytes(challenge.into())
    });
    let limits = format!("limits: {{{limits}}}");
    Stage::before(vec![broker], |setup, _| {
        setup.tenant().authentication =
            vec!["{type: sasl_scram, algorithm: sha512, mediation: passthrough}".to_owned()];
        setup.sections.push(limits);
    })
}

/// Begins an exchange, and awaits nothing.
fn begin(client: &mut Client) {
    client.handshake_again("SCRAM-SHA-512");
    let first = SaslAuthenticateRequest::default().with_auth_bytes(b"n,,n=alice,r=abcdefgh"[..].into());
    client.send(1, &first);
}

/// The broker's challenge, at which the client may look as long as it likes.
fn expect_challenge(client: &mut Client) {
    let frame = client.read_frame();
    let (_, answer) = response_of::<SaslAuthenticateRequest>(1, &frame);
    assert_eq!((answer.error_code, answer.auth_bytes.is_empty()), (0, false));
}

fn expect_nothing(client: &mut Client) {
    assert_eq!(client.read_frame_within(Duration::from_millis(500)), Err(ErrorKind::TimedOut));
}

#[test]
fn strangers_do_not_reach_brokers_without_bound() {
    // Of one address two.
    let stage = crowded("relayed_logins: 3, login_timeout: 60s");
    let mut strangers: Vec<Client> = (0..2).map(|_| stage.connect()).collect();
    for stranger in &mut strangers {
        begin(stranger);
        expect_challenge(stranger);
    }
    let mut third = stage.connect();
    begin(&mut third);
    expect_nothing(&mut third);
    said_to_broker(&stage, 2);
    // One leaves, and it is the next one's turn.
    strangers.pop();
    expect_challenge(&mut third);
    said_to_broker(&stage, 3);
}

#[test]
fn a_crowd_of_strangers_leaves_room_for_who_comes_from_elsewhere() {
    let stage = crowded("relayed_logins: 4, login_timeout: 60s");
    let port = stage.setup.tenants[0].port;
    let mut crowd: Vec<Client> = (0..10).map(|_| Client::connect_from([127, 0, 0, 2], port)).collect();
    for (at, stranger) in crowd.iter_mut().enumerate() {
        begin(stranger);
        if at < 3 {
            expect_challenge(stranger);
        }
    }
    expect_nothing(&mut crowd[3]);
    let mut other = Client::connect_from([127, 0, 0, 3], port);
    begin(&mut other);
    expect_challenge(&mut other);
    said_to_broker(&stage, 4);
}

#[test]
fn a_login_whose_turn_does_not_come_is_closed_and_told_in_the_audit_log() {
    let stage = crowded("relayed_logins: 1, login_timeout: 10s");
    let mut waits = stage.connect();
    waits.handshake_again("SCRAM-SHA-512");
    // Its time runs out first.
    expect_nothing(&mut waits);
    expect_nothing(&mut waits);
    let mut stranger = stage.connect();
    begin(&mut stranger);
    expect_challenge(&mut stranger);
    let first = SaslAuthenticateRequest::default().with_auth_bytes(b"n,,n=alice,r=abcdefgh"[..].into());
    waits.send(1, &first);
    waits.expect_close();
    let line = stage.expect_audit("who waited", |line| line["outcome"] == "failure");
    assert_eq!(line["reason"], "too many logins go on to the brokers at once (limits.relayed_logins)");
    assert_eq!(line["mechanism"], "sasl_scram");
    let closed = "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"too_many_logins\"}";
    stage.expect_metric(closed, 1.0);
    said_to_broker(&stage, 1);
}
