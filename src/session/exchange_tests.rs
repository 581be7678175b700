//! The steps of a login, and what each is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::tests::{bearer, session};
use super::*;
use crate::auth::{
    Evidence, Method, Password, Passwords, Proven, Refused, SaslPlain, SaslScram, ScramClient,
    ScramCredentials, ScramMechanism, ScramSecret, ScramUsers,
};
use crate::names::{Principal, Secret};

#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
fn now() -> Instant {
    Instant::now()
}

fn plain() -> Method {
    let password = Password::read(&Secret::new("pencil")).unwrap();
    let passwords = Passwords::new(vec![("alice".to_owned(), password)]).unwrap();
    Method::SaslPlain(SaslPlain {
        passwords: Arc::new(passwords),
        endpoint: None,
        session_lifetime_max: None,
    })
}

/// A frame of a request without tagged fields.
fn frame(key: ApiKey, version: i16, body: &impl Encodable) -> BytesMut {
    let mut request = BytesMut::new();
    request.put_i16(key as i16);
    request.put_i16(version);
    request.put_i32(7);
    request.put_i16(-1);
    body.encode(&mut request, version).unwrap();
    let mut frame = BytesMut::new();
    frame.put_u32(request.len() as u32);
    frame.unsplit(request);
    frame
}

/// Sends a frame, and returns the next step and the bodies of what is answered.
fn say(session: &mut Session, mut frame: BytesMut, now: Instant) -> (Next, Vec<Bytes>) {
    let mut out = Outbox::default();
    let next = session.on_client_bytes(&mut frame, now, &mut out);
    (next, answers(out))
}

fn answers(out: Outbox) -> Vec<Bytes> {
    let body = |answer: crate::names::Virtual<crate::wire::Segments>| {
        Bytes::from(answer.into_inner().to_vec()).slice(8..)
    };
    out.to_client.into_iter().map(body).collect()
}

fn handshake(session: &mut Session, mechanism: &'static str, now: Instant) -> (Next, i16, Vec<String>) {
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let (next, mut answers) = say(session, frame(ApiKey::SaslHandshake, 1, &request), now);
    let answer = SaslHandshakeResponse::decode(&mut answers.remove(0), 1).unwrap();
    (next, answer.error_code, answer.mechanisms.iter().map(ToString::to_string).collect())
}

/// One message of a mechanism, and its answer.
fn exchange(session: &mut Session, message: &[u8], now: Instant) -> (Next, SaslAuthenticateResponse) {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(message));
    let (next, mut answers) = say(session, frame(ApiKey::SaslAuthenticate, 1, &request), now);
    (next, SaslAuthenticateResponse::decode(&mut answers.remove(0), 1).unwrap())
}

fn authenticate(session: &mut Session, message: &[u8], now: Instant) -> (Next, Option<i16>) {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(message));
    let (next, answers) = say(session, frame(ApiKey::SaslAuthenticate, 1, &request), now);
    let code = |body: &Bytes| SaslAuthenticateResponse::decode(&mut body.clone(), 1).unwrap().error_code;
    (next, answers.first().map(code))
}

#[test]
fn each_mechanism_of_the_file_is_offered_once_in_its_order() {
    for (methods, expected) in [
        (vec![bearer(), plain()], &["OAUTHBEARER", "PLAIN"][..]),
        (vec![plain(), Method::Anonymous, bearer(), bearer()], &["PLAIN", "OAUTHBEARER"]),
    ] {
        let mut session = session(methods, now());
        let (next, code, offered) = handshake(&mut session, "GSSAPI", now());
        assert!(matches!(next, Next::Close(Reason::UnsupportedMechanism)), "{next:?}");
        assert_eq!(
            (code, &offered[..]),
            (33, &expected.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..])
        );
    }
}

#[test]
fn a_password_is_handed_out_and_no_frame_is_taken_before_the_verdict() {
    let now = now();
    let mut session = session(vec![plain()], now);
    assert_eq!(handshake(&mut session, "PLAIN", now).1, 0);
    let (next, answer) = authenticate(&mut session, b"\0alice\0pencil", now);
    let Next::Verify(Evidence::Password { username, password }) = next else { panic!("{next:?}") };
    assert_eq!((username.as_str(), password.expose(), answer), ("alice", "pencil", None));
    assert!(!session.takes_frames());
    let mut out = Outbox::default();
    let proven = Proven::named(Principal::new("alice"), Some(Duration::from_secs(9)));
    let next = session.on_verdict(Ok(proven), now, &mut out);
    assert!(matches!(next, Next::Connect), "{next:?}");
    let answer = SaslAuthenticateResponse::decode(&mut answers(out)[0].clone(), 1).unwrap();
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 9_000));
    assert_eq!(session.principal().map(Principal::name), Some("alice"));
    assert_eq!(session.deadline(), Some(now + Duration::from_secs(9)));
}

#[test]
fn a_verdict_that_nobody_awaits_changes_nothing() {
    let now = now();
    let mut session = session(vec![plain(), bearer()], now);
    let verdict = || Ok(Proven::named(Principal::new("mallory"), None));
    let mut out = Outbox::default();
    assert!(matches!(session.on_verdict(verdict(), now, &mut out), Next::Read));
    handshake(&mut session, "PLAIN", now);
    assert!(matches!(session.on_verdict(verdict(), now, &mut out), Next::Read));
    assert!(session.principal().is_none() && out.to_client.is_empty());
    assert!(matches!(authenticate(&mut session, b"\0alice\0pencil", now).0, Next::Verify(_)));
}

#[test]
fn a_password_that_is_wrong_is_refused_without_the_document_of_tokens() {
    let now = now();
    let mut session = session(vec![plain()], now);
    handshake(&mut session, "PLAIN", now);
    authenticate(&mut session, b"\0alice\0pen", now);
    let mut out = Outbox::default();
    let next = session.on_verdict(Err(Refused::new("wrong_password", "no")), now, &mut out);
    assert!(matches!(next, Next::Close(Reason::LoginFailed)), "{next:?}");
    let answer = SaslAuthenticateResponse::decode(&mut answers(out)[0].clone(), 1).unwrap();
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (58, 0));
}

fn scram() -> Method {
    let alice = ("alice".to_owned(), ScramSecret::Password(Secret::new("pencil")));
    let users = ScramUsers::new(ScramMechanism::Sha512, &[alice]).unwrap();
    let session_lifetime_max = Some(Duration::from_secs(5));
    Method::SaslScram(SaslScram { users: Arc::new(users), session_lifetime_max })
}

#[test]
fn a_proof_is_taken_where_its_exchange_began() {
    let now = now();
    for (name, password, expected) in
        [("alice", "pencil", true), ("alice", "pen", false), ("stranger", "pencil", false)]
    {
        let mut session = session(vec![scram()], now);
        assert_eq!(handshake(&mut session, "SCRAM-SHA-512", now).1, 0);
        let credentials = ScramCredentials::new(ScramMechanism::Sha512, name, Secret::new(password));
        let mut client = ScramClient::new(credentials, [1; 24]);
        let (next, answer) = exchange(&mut session, &client.first(), now);
        assert!(matches!(next, Next::Read), "{next:?}");
        assert_eq!(answer.error_code, 0);
        let proof = client.on_challenge(&answer.auth_bytes).unwrap();
        let (next, answer) = exchange(&mut session, &proof, now);
        if expected {
            assert!(matches!(next, Next::Connect), "{next:?}");
            client.on_final(&answer.auth_bytes).unwrap();
            assert_eq!(answer.session_lifetime_ms, 5_000);
        } else {
            assert!(matches!(next, Next::Close(Reason::LoginFailed)), "{next:?}");
            assert_eq!((answer.error_code, answer.auth_bytes.len()), (58, 0));
        }
        assert_eq!(session.principal().is_some(), expected);
    }
}

#[test]
fn a_proof_without_its_exchange_is_none() {
    let now = now();
    let mut session = session(vec![scram()], now);
    handshake(&mut session, "SCRAM-SHA-512", now);
    let (next, answer) = exchange(&mut session, b"c=biws,r=abc,p=AAAA", now);
    assert!(matches!(next, Next::Close(Reason::LoginFailed)), "{next:?}");
    assert_eq!(answer.error_code, 58);
}
