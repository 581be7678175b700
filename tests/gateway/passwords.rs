//! Logging in by a name and a password: PLAIN and SCRAM.

use std::thread;

use kafka_protocol::messages::{MetadataRequest, SaslAuthenticateResponse, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;
use sluicegate::auth::{ScramClient, ScramCredentials, ScramMechanism};
use sluicegate::names::Secret;

use crate::authenticate::id_of_failure;
use crate::support::client::{CLIENT_ID, Client, authenticate, client_first, plain};
use crate::support::codes::UNSUPPORTED_SASL_MECHANISM;
use crate::support::setup::{Policy, rule};
use crate::support::stage::{Stage, token};

/// The password of bob, `pencil`, hashed.
const HASHED: &str =
    "$pbkdf2-sha256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ$xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0";

/// A tenant that takes passwords after tokens, in the order of the file.
fn stage(more: &str) -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        let alice = "{username: alice, password: open-sesame}";
        let bob = format!("{{username: bob, password: \"{HASHED}\"}}");
        let plain = format!("{{type: sasl_plain, principals: [{alice}, {bob}]{more}}}");
        setup.tenant().authentication.push(plain);
        let condition = "context.auth.type == 'sasl_plain' && context.auth.principal.name == 'alice' \
                         && context.auth.token.claims.sub == null";
        let by_password =
            Policy::new("by-password", Some(condition), &[rule("allow", "topic", "describe", "*")]);
        setup.tenant().policies = vec![by_password];
    });
    stage.broker().has_topics(&["my-orders"]);
    stage
}

/// A NUL is written as `|`.
fn say(client: &mut Client, message: &str) -> SaslAuthenticateResponse {
    client.authenticate(message.replace('|', "\0").as_bytes())
}

fn log_in(client: &mut Client, message: &str) -> i64 {
    client.agree_on("PLAIN");
    let answer = say(client, message);
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");
    answer.session_lifetime_ms
}

#[test]
fn a_name_and_its_password_open_the_session() {
    let stage = stage("");
    for (message, sees) in
        [("|alice|open-sesame", 1), ("alice|alice|open-sesame", 1), ("|bob|pencil", 0), ("|bob|pencil", 0)]
    {
        let mut client = stage.connect();
        assert_eq!(log_in(&mut client, message), 0);
        let topics = client.ask(9, &MetadataRequest::default().with_topics(None)).topics;
        assert_eq!(topics.len(), sees, "{message}");
    }
    let line = stage.expect_audit("alice", |line| line["principal"] == "alice");
    assert_eq!(
        (&line["event"], &line["outcome"], &line["mechanism"], &line["client_id"]),
        (&json!("login"), &json!("success"), &json!("sasl_plain"), &json!(CLIENT_ID))
    );
    assert_eq!(stage.logins("sasl_plain"), 4.0);
}

#[test]
fn each_wrong_password_is_refused_and_nobody_is_told_why() {
    let long = "x".repeat(5_000);
    let cases = [
        ("wrong_password", "|alice|Open-Sesame".to_owned()),
        ("wrong_password", "|alice|open-sesame ".to_owned()),
        ("wrong_password", format!("|bob|{HASHED}")),
        ("wrong_password", "|Alice|open-sesame".to_owned()),
        ("wrong_password", "|carol|open-sesame".to_owned()),
        ("authzid_mismatch", "root|alice|open-sesame".to_owned()),
        ("empty", "|alice|".to_owned()),
        ("empty", "||open-sesame".to_owned()),
        ("parts", String::new()),
        ("parts", "|alice|open-sesame|".to_owned()),
        ("parts", format!("n,,\u{1}auth=Bearer {}\u{1}\u{1}", token("alice"))),
        ("username", "|al\nice|open-sesame".to_owned()),
        ("too_long", format!("|alice|{long}")),
    ];
    let stage = stage("");
    thread::scope(|scope| {
        for (label, message) in &cases {
            let stage = &stage;
            scope.spawn(move || {
                let mut client = stage.connect();
                client.agree_on("PLAIN");
                let id = id_of_failure(&say(&mut client, message));
                client.expect_close();
                let line = stage.expect_audit(label, |line| line["id"] == id.as_str());
                assert_eq!((&line["mechanism"], &line["outcome"]), (&json!("sasl_plain"), &json!("failure")));
            });
        }
    });
    for (label, _) in &cases {
        let count = cases.iter().filter(|(other, _)| other == label).count();
        assert_eq!(stage.refused_logins("sasl_plain", label), count as f64, "{label}");
    }
    stage.broker().assert_untouched();
    let audit = format!("{:?}", stage.audit());
    for told in [stage.gateway.process.log(), audit] {
        assert!(!told.to_lowercase().contains("sesame") && !told.contains("pencil"), "{told}");
    }
}

#[test]
fn the_mechanisms_are_offered_in_the_order_of_the_file() {
    let stage = stage("");
    for asked in ["SCRAM-SHA-256", "plain", ""] {
        let mut client = stage.connect();
        let answer = client.ask_for_mechanism(asked);
        let offered: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
        assert_eq!(
            (answer.error_code, &offered[..]),
            (UNSUPPORTED_SASL_MECHANISM, &["OAUTHBEARER", "PLAIN"][..])
        );
        client.expect_close();
    }
    stage.log_in("alice").ask(9, &MetadataRequest::default());
}

#[test]
fn a_raw_password_is_answered_by_an_empty_frame_or_by_none() {
    let stage = stage("");
    let raw = || {
        let mut client = stage.connect();
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("PLAIN"));
        assert_eq!(client.ask(0, &request).error_code, 0);
        client
    };
    let mut client = raw();
    client.send_frame(&plain("alice", "open-sesame"));
    assert!(client.read_frame().is_empty());
    client.ask(9, &MetadataRequest::default());
    for wrong in [plain("alice", "sesame"), b"\0\0\0".to_vec()] {
        let mut client = raw();
        client.send_frame(&wrong);
        client.expect_close();
    }
}

#[test]
fn a_session_by_password_lasts_as_long_as_the_file_says_and_is_renewed() {
    let stage = stage(", session_lifetime_max: 10m");
    let mut client = stage.connect();
    assert_eq!(log_in(&mut client, "|alice|open-sesame"), 600_000);
    client.handshake_again("PLAIN");
    let answer = say(&mut client, "|alice|open-sesame");
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 600_000));
    client.ask(9, &MetadataRequest::default());
}

#[test]
fn a_session_is_renewed_by_whom_and_by_what_began_it() {
    let stage = stage("");
    let refuse = |label: &str, mechanism: &str, message: &[u8]| {
        let mut client = stage.connect();
        log_in(&mut client, "|alice|open-sesame");
        client.handshake_again(mechanism);
        let id = id_of_failure(&client.authenticate(message));
        client.expect_close();
        stage.expect_audit(label, |line| line["id"] == id.as_str() && line["outcome"] == "failure");
    };
    refuse("another principal", "PLAIN", &plain("bob", "pencil"));
    assert_eq!(stage.refused_logins("sasl_plain", "principal_changed"), 1.0);
    // The same name, by another's word.
    refuse("another mechanism", "OAUTHBEARER", &client_first(&token("alice")));
    assert_eq!(stage.refused_logins("oauth_bearer", "mechanism_changed"), 1.0);
    let mut client = stage.log_in("alice");
    client.handshake_again("PLAIN");
    id_of_failure(&say(&mut client, "|alice|open-sesame"));
    client.expect_close();
    assert_eq!(stage.refused_logins("sasl_plain", "mechanism_changed"), 1.0);
    stage.broker().assert_untouched();
}

/// The password `pencil` again, hashed at a cost that keeps a core busy for a while.
const COSTLY: &str =
    "$pbkdf2-sha256$i=1000000$AAECAwQFBgcICQoLDA0ODw$TAlBMdQmu06lfDlh9ZxJTHM5Hz3Rj+PgZac9ZFTvvgE";

#[test]
fn a_13_a_crowd_that_guesses_passwords_holds_nobody_else_up() {
    let stage = Stage::start_with(1, |setup, _| {
        let carol = format!("{{username: carol, password: \"{COSTLY}\"}}");
        setup.tenant().authentication = vec![format!("{{type: sasl_plain, principals: [{carol}]}}")];
    });
    let port = stage.setup.tenants[0].port;
    let crowd: Vec<Client> = (0..100)
        .map(|at| {
            let mut client = Client::connect_from([127, 0, 0, 2], port);
            client.agree_on("PLAIN");
            client.send(1, &authenticate(&plain("carol", &format!("pencil-{at}"))));
            client
        })
        .collect();
    let mut client = Client::connect_from([127, 0, 0, 3], port);
    assert_eq!(log_in(&mut client, "|carol|pencil"), 0);
    let guessed = stage.refused_logins("sasl_plain", "wrong_password");
    assert!(guessed < 80.0, "{guessed} of {} guesses were computed before", crowd.len());
    client.ask(9, &MetadataRequest::default());
}

/// What Kafka would keep of the password `pencil` for SCRAM-SHA-256.
const CREDENTIAL: &str = "salt=W22ZaJ0SNY7soEsUEjb6gQ==,stored_key=WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,\
                          server_key=wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=,iterations=4096";

fn scram_stage() -> Stage {
    Stage::start_with(1, |setup, _| {
        let alice = "{username: alice, password: open-sesame}";
        let bob = format!("{{username: bob, credential: \"{CREDENTIAL}\"}}");
        setup.tenant().authentication = vec![
            format!("{{type: sasl_scram, algorithm: sha256, principals: [{alice}, {bob}]}}"),
            format!(
                "{{type: sasl_scram, algorithm: sha512, principals: [{alice}], session_lifetime_max: 1h}}"
            ),
        ];
    })
}

/// One exchange on a connection that has agreed on it: `Ok` with the session's lifetime, or the last answer.
fn prove(
    client: &mut Client,
    mechanism: ScramMechanism,
    name: &str,
    password: &str,
) -> Result<i64, SaslAuthenticateResponse> {
    let credentials = ScramCredentials::new(mechanism, name, Secret::new(password));
    let mut scram = ScramClient::new(credentials, [7; 24]);
    let challenge = client.authenticate(&scram.first());
    assert_eq!(challenge.error_code, 0, "anybody's name is answered: {challenge:?}");
    let proof = scram.on_challenge(&challenge.auth_bytes).expect("the challenge is one");
    let last = client.authenticate(&proof);
    if last.error_code != 0 {
        return Err(last);
    }
    scram.on_final(&last.auth_bytes).expect("the gateway knows the password too");
    Ok(last.session_lifetime_ms)
}

#[test]
fn a_password_that_is_proven_opens_the_session() {
    let stage = scram_stage();
    let (sha256, sha512) = (ScramMechanism::Sha256, ScramMechanism::Sha512);
    for (mechanism, name, password, lifetime) in [
        (sha256, "alice", "open-sesame", 0),
        (sha256, "bob", "pencil", 0),
        (sha512, "alice", "open-sesame", 3_600_000),
    ] {
        let mut client = stage.connect();
        client.agree_on(mechanism.name());
        assert_eq!(prove(&mut client, mechanism, name, password), Ok(lifetime));
        client.ask(9, &MetadataRequest::default());
        let line = stage.expect_audit(name, |line| line["principal"] == name && line["outcome"] == "success");
        assert_eq!(line["mechanism"], "sasl_scram");
    }
    // Again on the same connection, by the same mechanism.
    let mut client = stage.connect();
    client.ask_for_mechanism("SCRAM-SHA-512");
    assert_eq!(prove(&mut client, sha512, "alice", "open-sesame"), Ok(3_600_000));
    client.handshake_again("SCRAM-SHA-512");
    assert_eq!(prove(&mut client, sha512, "alice", "open-sesame"), Ok(3_600_000));
    client.ask(9, &MetadataRequest::default());
    client.handshake_again("SCRAM-SHA-256");
    let first = b"n,,n=alice,r=abcdefgh";
    id_of_failure(&client.authenticate(first));
    client.expect_close();
}

#[test]
fn who_is_not_known_is_challenged_as_if_he_were() {
    let stage = scram_stage();
    let sha256 = ScramMechanism::Sha256;
    for (name, password) in [("alice", "open-sesam"), ("bob", "open-sesame"), ("stranger", "pencil")] {
        let mut client = stage.connect();
        client.agree_on("SCRAM-SHA-256");
        let last = prove(&mut client, sha256, name, password).expect_err("nobody gets in");
        let id = id_of_failure(&last);
        client.expect_close();
        let line = stage.expect_audit(name, |line| line["id"] == id.as_str());
        assert_eq!(line["reason"], "there is no such name, or its password is another");
    }
    // Whoever asks again gets the same salt, as a known name would.
    let salt = |name: &str| {
        let mut client = stage.connect();
        client.ask_for_mechanism("SCRAM-SHA-256");
        let answer = client.authenticate(format!("n,,n={name},r=abcdefgh").as_bytes());
        String::from_utf8_lossy(&answer.auth_bytes).split_once(",s=").expect("a salt").1.to_owned()
    };
    for name in ["alice", "bob", "stranger", "nobody"] {
        assert_eq!(salt(name), salt(name));
    }
    assert_ne!(salt("stranger"), salt("nobody"));
    stage.broker().assert_untouched();
}

#[test]
fn a_scram_message_of_another_form_is_refused_at_once() {
    let stage = scram_stage();
    for (label, message) in [
        ("malformed", &b""[..]),
        ("malformed", b"\0alice\0open-sesame"),
        ("malformed", b"n,,n=alice"),
        ("malformed", b"n,,m=x,n=alice,r=abc"),
        ("malformed", b"\xff\xff"),
        ("channel_binding", b"p=tls-unique,,n=alice,r=abc"),
        ("authzid_mismatch", b"n,a=root,n=alice,r=abc"),
        ("delegation_token", b"n,,n=alice,r=abc,tokenauth=true"),
    ] {
        let mut client = stage.connect();
        client.ask_for_mechanism("SCRAM-SHA-512");
        let id = id_of_failure(&client.authenticate(message));
        client.expect_close();
        stage.expect_audit(label, |line| line["id"] == id.as_str() && line["mechanism"] == "sasl_scram");
    }
    for proof in [&b""[..], b"c=biws,r=abc,p=AAAA", b"n,,n=alice,r=abcdefgh", &[b'x'; 5_000]] {
        let mut client = stage.connect();
        client.ask_for_mechanism("SCRAM-SHA-512");
        assert_eq!(client.authenticate(b"n,,n=alice,r=abcdefgh").error_code, 0);
        id_of_failure(&client.authenticate(proof));
        client.expect_close();
    }
    stage.broker().assert_untouched();
}

#[test]
fn a_raw_exchange_by_scram_is_had_in_bare_frames() {
    let stage = scram_stage();
    for (password, expected) in [("open-sesame", true), ("open", false)] {
        let mut client = stage.connect();
        let request =
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("SCRAM-SHA-256"));
        assert_eq!(client.ask(0, &request).error_code, 0);
        let credentials = ScramCredentials::new(ScramMechanism::Sha256, "alice", Secret::new(password));
        let mut scram = ScramClient::new(credentials, [7; 24]);
        client.send_frame(&scram.first());
        let proof = scram.on_challenge(&client.read_frame()).expect("the challenge is one");
        client.send_frame(&proof);
        if expected {
            scram.on_final(&client.read_frame()).expect("the gateway knows the password too");
            client.ask(9, &MetadataRequest::default());
        } else {
            client.expect_close();
        }
    }
}
