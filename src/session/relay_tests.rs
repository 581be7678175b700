//! Logins that go on to a broker, which takes its time.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest};
use kafka_protocol::protocol::{Decodable, StrBytes};

use super::tests::{Stage, bearer, request, session_with};
use super::*;
use crate::auth::{Authentication, BrokerLogin, Method, Passthrough, Proven};
use crate::names::Principal;

#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
fn now() -> Instant {
    Instant::now()
}

const TOKEN: &[u8] = b"n,,\x01auth=Bearer e30.e30.e30\x01\x01";

fn shows_token(stage: &mut Stage) {
    let mechanism = StrBytes::from_static_str("OAUTHBEARER");
    let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
    assert!(matches!(stage.client_says(request(ApiKey::SaslHandshake, 1, &handshake)), Next::Read));
    let message = SaslAuthenticateRequest::default().with_auth_bytes(TOKEN.into());
    let next = stage.client_says(request(ApiKey::SaslAuthenticate, 1, &message));
    assert!(matches!(next, Next::Verify(_)), "{next:?}");
}

/// The token is good for so long from now.
fn is_good(stage: &mut Stage, lifetime: Duration) -> Next {
    let mut out = Outbox::default();
    let proven = Proven::named(Principal::new("alice"), Some(lifetime));
    let next = stage.session.on_verdict(Ok(proven), stage.now, &mut out);
    stage.keep(out);
    next
}

/// What the client is told of its login: an error, or how long it lasts.
fn told(stage: &Stage) -> (i16, i64) {
    let mut answer = stage.told.last().expect("the client is told").slice(8..);
    let answer = SaslAuthenticateResponse::decode(&mut answer, 1).expect("it is an answer to a login");
    (answer.error_code, answer.session_lifetime_ms)
}

fn stage() -> Stage {
    let authentication = Authentication { methods: vec![bearer()], forwards_tokens: true };
    let now = now();
    Stage::before(session_with(authentication, BrokerLogin::Anonymous, now), now)
}

/// The token lasts for `token`, the broker takes `answers_after`, and gives `broker`; 0 is no end.
fn check(token: u64, answers_after: u64, broker: u64, expected: u64) {
    let seconds = Duration::from_secs;
    let mut stage = stage();
    shows_token(&mut stage);
    assert!(matches!(is_good(&mut stage, seconds(token)), Next::Connect));
    stage.broker_is_reached();
    stage.now += seconds(answers_after);
    stage.broker_lets_in(seconds(broker));
    assert_eq!(told(&stage), (0, expected as i64 * 1000));
    assert_eq!(stage.session.deadline(), Some(stage.now + seconds(expected)));
    let end = stage.now + seconds(expected);
    assert!(matches!(stage.passes(seconds(expected) - Duration::from_millis(1)), Next::Read));
    assert!(matches!(stage.passes(Duration::from_millis(1)), Next::Close(Reason::SessionExpired)));
    assert_eq!(stage.now, end);
}

#[test]
fn j_15_a_token_that_is_bound_to_a_sender_goes_on_to_no_broker() {
    let goes_on = |claims: &str| {
        let way = Method::Passthrough(Passthrough::OauthBearer(Box::default()));
        let authentication = Authentication { methods: vec![way], forwards_tokens: false };
        let now = now();
        let mut stage = Stage::before(session_with(authentication, BrokerLogin::Anonymous, now), now);
        let mechanism = StrBytes::from_static_str("OAUTHBEARER");
        let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
        stage.client_says(request(ApiKey::SaslHandshake, 1, &handshake));
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
        let message = format!("n,,\x01auth=Bearer e30.{claims}.e30\x01\x01");
        let message = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
        matches!(stage.client_says(request(ApiKey::SaslAuthenticate, 1, &message)), Next::Connect)
    };
    assert!(goes_on(r#"{"sub": "alice"}"#));
    for bound in [r#"{"jkt": "x"}"#, r#"{"x5t#S256": "AAAA"}"#, "5"] {
        assert!(!goes_on(&format!(r#"{{"sub": "alice", "cnf": {bound}}}"#)), "{bound}");
    }
}

#[test]
fn p_06_a_relayed_session_ends_with_its_token_however_long_the_broker_took() {
    check(60, 0, 0, 60);
    check(60, 9, 0, 51);
    check(60, 9, 3600, 51);
    check(60, 9, 50, 50);
    check(10, 9, 3600, 1);
}

#[test]
fn p_06_a_token_that_ends_while_the_broker_is_asked_lets_nobody_in() {
    for answers_after in [5, 9] {
        let mut stage = stage();
        shows_token(&mut stage);
        is_good(&mut stage, Duration::from_secs(5));
        stage.broker_is_reached();
        stage.now += Duration::from_secs(answers_after);
        stage.broker_lets_in(Duration::from_secs(3600));
        assert!(stage.session.principal().is_none());
        assert!(matches!(stage.client_asks(), Next::Close(Reason::NotAuthenticated { .. })));
    }
}

#[test]
fn p_06_a_relayed_session_that_is_renewed_ends_with_the_newer_token() {
    let seconds = Duration::from_secs;
    let mut stage = stage();
    shows_token(&mut stage);
    is_good(&mut stage, seconds(60));
    stage.broker_is_reached();
    stage.broker_lets_in(seconds(3600));
    stage.now += seconds(30);
    shows_token(&mut stage);
    assert!(matches!(is_good(&mut stage, seconds(60)), Next::Read));
    stage.now += seconds(8);
    stage.broker_lets_in(seconds(3600));
    assert_eq!(told(&stage), (0, 52_000));
    assert_eq!(stage.session.deadline(), Some(stage.now + seconds(52)));
}

#[test]
fn a_login_that_is_verified_here_asks_for_no_turn_and_one_that_is_not_does() {
    for forwards_tokens in [true, false] {
        let way = if forwards_tokens { bearer() } else { Method::Passthrough(Passthrough::SaslPlain) };
        let authentication = Authentication { methods: vec![way], forwards_tokens };
        let now = now();
        let mut stage = Stage::before(session_with(authentication, BrokerLogin::Anonymous, now), now);
        if forwards_tokens {
            shows_token(&mut stage);
            is_good(&mut stage, Duration::from_secs(60));
        } else {
            let mechanism = StrBytes::from_static_str("PLAIN");
            let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
            stage.client_says(request(ApiKey::SaslHandshake, 1, &handshake));
            let message = SaslAuthenticateRequest::default().with_auth_bytes(b"\0alice\0pencil"[..].into());
            let next = stage.client_says(request(ApiKey::SaslAuthenticate, 1, &message));
            assert!(matches!(next, Next::Connect), "{next:?}");
        }
        assert!(stage.session.is_relayed());
        assert_eq!(stage.session.is_unverified(), !forwards_tokens);
        let told_before = stage.told.len();
        let mut out = Outbox::default();
        assert_eq!(stage.session.on_no_turn(&mut out), Reason::TooManyLogins);
        assert!(matches!(&out.events[..], [Event::LoginFailed { why: "busy", .. }]), "{:?}", out.events);
        stage.keep(out);
        assert_eq!(stage.told.len(), told_before, "the client may come again");
    }
}
