//! The issuer's keys: fetched again before a login is answered, once for all who wait, and kept while he is down.

use std::fs;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{MetadataRequest, SaslAuthenticateRequest};

use crate::support::client::{Client, authenticate, client_first};
use crate::support::issuer::{ES256, Fault, RS256, Signer, claims, jwks};
use crate::support::setup::oauth_bearer;
use crate::support::stage::{Stage, token};

/// A stage that fetches keys again as often as a token wants it.
fn eager() -> Stage {
    with_interval("1ms")
}

fn with_interval(interval: &str) -> Stage {
    Stage::start_with(1, |setup, jwks| {
        let jwks = jwks.replace("refresh_interval_min: 1s", &format!("refresh_interval_min: {interval}"));
        setup.tenant().authentication = vec![oauth_bearer(&jwks, "")];
    })
}

fn token_by(signer: &Signer) -> String {
    signer.token(&claims("alice", 3600))
}

#[test]
fn i_08_a_key_that_is_new_at_the_issuer_is_fetched_before_the_login_is_answered() {
    let stage = eager();
    let new = Signer::es256("new");
    assert!(stage.is_let_in(&token_by(&ES256)));
    assert_eq!(stage.keys.asked(), 1);
    stage.keys.rotate(&[&new]);
    assert!(stage.is_let_in(&token_by(&new)));
    assert_eq!(stage.keys.asked(), 2);
    // What the issuer has taken back counts no more.
    assert!(!stage.is_let_in(&token_by(&ES256)));
}

#[test]
fn one_fetch_is_enough_for_all_who_wait() {
    const CLIENTS: usize = 12;
    let stage = with_interval("1h");
    stage.keys.rotate(&[&RS256]);
    stage.keys.fails(Some(Fault::Stalled));
    let mut waiting: Vec<(Client, i32)> = (0..CLIENTS).map(|_| handed_in(&stage)).collect();
    stage.expect_metric("sluicegate_requests_in_flight{virtual_cluster=\"team\"}", CLIENTS as f64);
    assert!(waiting[0].0.is_silent(), "answered before the keys are there");
    stage.keys.fails(None);
    for (client, correlation_id) in &mut waiting {
        let answer = client.read::<SaslAuthenticateRequest>(2, *correlation_id);
        assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");
    }
    assert_eq!(stage.keys.asked(), 2, "one at the start, and one for all of them");
}

/// A client whose token is handed in, and not answered yet.
fn handed_in(stage: &Stage) -> (Client, i32) {
    let mut client = stage.connect();
    client.handshake();
    let correlation_id = client.send(2, &authenticate(&client_first(&token_by(&RS256))));
    (client, correlation_id)
}

#[test]
fn what_comes_while_keys_are_fetched_waits_for_the_verdict() {
    for (serves, is_good) in [(&RS256, true), (&ES256, false)] {
        let stage = eager();
        stage.keys.rotate(&[serves]);
        stage.keys.fails(Some(Fault::Stalled));
        let (mut client, login) = handed_in(&stage);
        let metadata = client.send(9, &MetadataRequest::default());
        stage.keys.wait_until_asked(2);
        assert!(client.is_silent());
        stage.broker().assert_untouched();
        stage.keys.fails(None);
        let answer = client.read::<SaslAuthenticateRequest>(2, login);
        assert_eq!(answer.auth_bytes.is_empty(), is_good);
        if is_good {
            client.read::<MetadataRequest>(9, metadata);
        } else {
            client.expect_close();
            stage.broker().assert_untouched();
        }
    }
}

#[test]
fn unknown_keys_do_not_make_the_gateway_ask_more_often_than_the_file_says() {
    let stage = with_interval("1h");
    for kid in ["a", "b", "c"] {
        assert!(!stage.is_let_in(&token_by(&Signer::es256(kid))));
        assert_eq!(stage.keys.asked(), 2, "one at the start, and one for the first of them: {kid}");
    }
    assert!(stage.is_let_in(&token("alice")));
}

#[test]
fn while_the_issuer_is_down_the_last_keys_serve_on() {
    let stage = eager();
    let stranger = token_by(&Signer::es256("stranger"));
    for (fault, asked) in [(Fault::Status(500), 2), (Fault::Status(302), 3), (Fault::Dead, 4)] {
        stage.keys.fails(Some(fault));
        assert!(!stage.is_let_in(&stranger), "{fault:?}");
        // A connection that breaks may be tried again.
        assert!(stage.keys.asked() >= asked, "{fault:?}: {}", stage.keys.asked());
        assert!(stage.is_let_in(&token("alice")), "{fault:?}");
    }
    assert!(stage.metric(&fetches(&stage, "failure")) >= 3.0);
    stage.keys.fails(None);
    let new = Signer::es256("new");
    stage.keys.rotate(&[&new]);
    assert!(stage.is_let_in(&token_by(&new)));
}

fn fetches(stage: &Stage, result: &str) -> String {
    let source = stage.keys.url();
    let source = source.trim_start_matches("http://");
    format!("sluicegate_key_fetches_total{{source=\"{source}\",result=\"{result}\"}}")
}

#[test]
fn an_issuer_that_does_not_answer_holds_nobody_else_up() {
    let stage = eager();
    stage.keys.fails(Some(Fault::Stalled));
    let mut waiting = stage.connect();
    waiting.handshake();
    let correlation_id = waiting.send(2, &authenticate(&client_first(&token_by(&RS256))));
    stage.keys.wait_until_asked(2);
    assert!(stage.is_let_in(&token("alice")));
    assert!(waiting.is_silent());
    stage.keys.fails(None);
    assert!(!waiting.read::<SaslAuthenticateRequest>(2, correlation_id).auth_bytes.is_empty());
}

#[test]
fn keys_come_from_a_file_too_and_it_is_read_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("keys.json");
    fs::write(&path, jwks(&[&ES256])).expect("the file can be written");
    let stage = Stage::start_with(1, |setup, _| {
        let jwks = format!("{{file: \"{}\"}}", path.display());
        setup.tenant().authentication = vec![oauth_bearer(&jwks, "")];
    });
    assert!(stage.is_let_in(&token("alice")));
    let new = Signer::es256("new");
    assert!(!stage.is_let_in(&token_by(&new)));
    fs::write(&path, jwks(&[&ES256, &new])).expect("the file can be written");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !stage.is_let_in(&token_by(&new)) {
        assert!(Instant::now() < deadline, "the file is not read again");
    }
    assert_eq!(stage.keys.asked(), 0);
}
