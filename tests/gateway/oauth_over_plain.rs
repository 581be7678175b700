//! Logging in by PLAIN with a client id and its secret, which become a token at the token endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kafka_protocol::messages::{MetadataRequest, SaslAuthenticateRequest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS13;
use serde_json::{Value, json};

use crate::authenticate::id_of_failure;
use crate::support::client::{Client, authenticate, plain};
use crate::support::codes::SASL_AUTHENTICATION_FAILED;
use crate::support::issuer::{ES256, ISSUER, b64, claims, with};
use crate::support::process::Issuer;
use crate::support::setup::{Policy, rule};
use crate::support::stage::{Stage, wait_until};
use crate::support::tls::{Authority, written};
use crate::support::token_server::{Question, TokenServer, granted, http};

const SECRET: &str = "open-sesame-4711";

/// A tenant whose clients bring tokens, passwords that the file knows, or what this endpoint takes.
fn stage(endpoint: &str, more: &str) -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        let batch = "{username: batch, password: open-door-0815}";
        let plain = format!(
            "{{type: sasl_plain, principals: [{batch}], token_endpoint: {{endpoint: \"{endpoint}\"{more}}}}}"
        );
        setup.tenant().authentication.push(plain);
        let condition = "context.auth.type == 'sasl_plain' && context.auth.token.claims.team == 'orders'";
        setup.tenant().policies =
            vec![Policy::new("orders", Some(condition), &[rule("allow", "topic", "describe", "*")])];
        setup.sections.push("logging: {level: trace}".to_owned());
    });
    stage.broker().has_topics(&["my-orders"]);
    stage
}

fn invalid_client() -> String {
    http(
        401,
        "application/json",
        &format!("{{\"error\": \"invalid_client\", \"error_description\": \"{SECRET}\"}}"),
    )
}

/// The client id that is asked for, if its secret is right.
fn client_of(question: &Question) -> Option<String> {
    let (id, secret) = question.authorization.as_deref()?.split_once(':')?;
    (secret == SECRET).then(|| id.to_owned())
}

/// An endpoint that knows every client by one secret, and gives tokens of so many seconds.
fn endpoint(seconds: i64) -> TokenServer {
    TokenServer::start(move |question| {
        Some(match client_of(question) {
            Some(id) => granted_to(&id, seconds, json!({"team": "orders"})),
            None => invalid_client(),
        })
    })
}

fn granted_to(id: &str, seconds: i64, more: Value) -> String {
    granted(&ES256.token(&with(claims(id, seconds), more)), &format!(", \"expires_in\": {seconds}"))
}

/// A connection that is logged in, and how long its session lasts, in milliseconds.
fn log_in(stage: &Stage, id: &str) -> (Client, i64) {
    let mut client = stage.connect();
    let answer = client.authenticate_by_plain(id, SECRET);
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");
    (client, answer.session_lifetime_ms)
}

/// Is refused, for this reason, with these words.
#[track_caller]
fn refuse(stage: &Stage, id: &str, secret: &str, label: &str, why: &str) {
    let before = stage.refused_logins("sasl_plain", label);
    let mut client = stage.connect();
    let id = id_of_failure(&client.authenticate_by_plain(id, secret));
    client.expect_close();
    let line = stage.expect_audit(label, |line| line["id"] == id.as_str());
    assert_eq!((&line["mechanism"], &line["outcome"]), (&json!("sasl_plain"), &json!("failure")));
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains(why)), "{why} is not in {line}");
    assert_eq!(stage.refused_logins("sasl_plain", label), before + 1.0, "{label}: {line}");
}

fn fetches(stage: &Stage, result: &str) -> f64 {
    stage.metric(&format!(
        "sluicegate_login_token_fetches_total{{virtual_cluster=\"team\",result=\"{result}\"}}"
    ))
}

fn topics(client: &mut Client) -> usize {
    client.ask(9, &MetadataRequest::default().with_topics(None)).topics.len()
}

/// No secret and no token is told.
#[track_caller]
fn assert_silent(stage: &Stage) {
    let basic = BASE64_STANDARD.encode(format!("app:{SECRET}"));
    stage.gateway.assert_silent(&[SECRET, &basic, "open-door", "eyJ"]);
}

#[test]
fn a_client_id_and_its_secret_open_the_session_of_their_token() {
    let server = endpoint(300);
    let stage = stage(&server.url(), ", scope: \"kafka read\", audience: kafka");
    let (mut client, lifetime) = log_in(&stage, "app");
    assert!((200_000..=310_000).contains(&lifetime), "{lifetime}");
    assert_eq!(topics(&mut client), 1, "the token's claims count");
    let line = stage.expect_audit("app", |line| line["principal"] == "app");
    assert_eq!((&line["outcome"], &line["mechanism"]), (&json!("success"), &json!("sasl_plain")));
    let [asked] = &server.asked()[..] else { panic!("{:?}", server.asked()) };
    assert_eq!(asked.says("grant_type"), Some("client_credentials"));
    assert_eq!((asked.says("scope"), asked.says("audience")), (Some("kafka read"), Some("kafka")));
    assert_eq!((asked.says("client_id"), asked.says("client_secret")), (None, None));
    // A name that the file knows is nobody else's business, also with another password.
    let mut batch = stage.connect();
    assert_eq!(batch.authenticate_by_plain("batch", "open-door-0815").session_lifetime_ms, 0);
    assert_eq!(topics(&mut batch), 0, "there are no claims");
    refuse(&stage, "batch", SECRET, "wrong_password", "there is no such name");
    refuse(&stage, "ålice", SECRET, "wrong_password", "characters that no client id has");
    assert_eq!(server.asked().len(), 1);
    assert_silent(&stage);
}

#[test]
fn a_secret_goes_into_the_body_where_the_file_says_so() {
    let server = TokenServer::start(|question| {
        let is_right = question.authorization.is_none() && question.says("client_secret") == Some(SECRET);
        let id = question.says("client_id").filter(|_| is_right);
        Some(id.map_or_else(invalid_client, |id| granted_to(id, 300, json!({}))))
    });
    let stage = stage(&server.url(), ", client_authentication: post");
    log_in(&stage, "app");
    refuse(&stage, "app", "wrong", "wrong_password", "invalid_client");
    assert_silent(&stage);
}

#[test]
fn the_development_issuer_tells_right_from_wrong() {
    let issuer = Issuer::start(&["app:open-sesame-4711"], &[]);
    let stage = Stage::start_with(1, |setup, _| {
        let (url, jwks) = (issuer.url(), issuer.jwks_url());
        setup.tenant().authentication = vec![
            format!(
                "{{type: oauth_bearer, jwks: {{endpoint: \"{jwks}\"}}, validate: {{issuer: \"{url}\"}}}}"
            ),
            format!("{{type: sasl_plain, token_endpoint: {{endpoint: \"{}\"}}}}", issuer.token_url()),
        ];
    });
    let (mut client, lifetime) = log_in(&stage, "app");
    assert!(lifetime > 0);
    client.ask(9, &MetadataRequest::default());
    refuse(&stage, "app", "wrong", "wrong_password", "invalid_client");
    refuse(&stage, "batch", SECRET, "wrong_password", "invalid_client");
}

#[test]
fn one_token_serves_all_logins_of_a_client_and_a_wrong_secret_is_asked_for_each_time() {
    let server = endpoint(300);
    let stage = stage(&server.url(), "");
    for _ in 0..5 {
        log_in(&stage, "app");
    }
    assert_eq!(server.asked().len(), 1);
    for _ in 0..2 {
        refuse(&stage, "app", "open-sesame-4712", "wrong_password", "401 Unauthorized, invalid_client");
    }
    assert_eq!(server.asked().len(), 3);
    log_in(&stage, "app");
    log_in(&stage, "other");
    assert_eq!(server.asked().len(), 4);
    assert_eq!((fetches(&stage, "success"), fetches(&stage, "refused")), (2.0, 2.0));
    assert_silent(&stage);
}

#[test]
fn a_storm_of_reconnects_asks_once_whether_the_secret_is_right_or_not() {
    const CLIENTS: usize = 50;
    for (secret, error_code) in [(SECRET, 0), ("wrong", SASL_AUTHENTICATION_FAILED)] {
        // Answers once all have said their secrets.
        let said = Arc::new(AtomicUsize::new(0));
        let heard = said.clone();
        let server = TokenServer::start(move |question| {
            if question.earlier == 0 {
                wait_until("all have said it", || heard.load(Ordering::Relaxed) == CLIENTS);
            }
            let id = client_of(question);
            Some(id.map_or_else(invalid_client, |id| granted_to(&id, 300, json!({}))))
        });
        let stage = stage(&server.url(), "");
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = stage.connect();
                    client.agree_on("PLAIN");
                    let id = client.send(2, &authenticate(&plain("app", secret)));
                    said.fetch_add(1, Ordering::Relaxed);
                    let answer = client.read::<SaslAuthenticateRequest>(2, id);
                    assert_eq!(answer.error_code, error_code, "{answer:?}");
                });
            }
        });
        if error_code == 0 {
            assert_eq!(server.asked().len(), 1);
        } else {
            // Of a failure nothing is kept: who is read only after the answer is asked for again.
            assert!(server.asked().len() < CLIENTS / 2, "{}", server.asked().len());
        }
    }
}

#[test]
fn a_token_is_renewed_while_it_is_good_for_a_session() {
    let server = endpoint(20);
    let stage = stage(&server.url(), "");
    wait_until("asked again", || {
        let (_, lifetime) = log_in(&stage, "app");
        // Half of its life is left at least, less what a busy machine takes.
        assert!(lifetime > 2_000, "{lifetime}");
        server.asked().len() > 1
    });
}

#[test]
fn while_the_endpoint_fails_a_token_serves_on_to_its_end_and_others_are_refused() {
    let server = endpoint(30);
    let stage = stage(&server.url(), ", timeout: 1s");
    log_in(&stage, "app");
    server.answers(|_| Some(http(503, "text/html", "<h1>sorry</h1>")));
    refuse(&stage, "other", SECRET, "token_endpoint", "503 Service Unavailable");
    let mut served = 0;
    wait_until("over", || {
        let asked = server.asked().len();
        let answer = stage.connect().authenticate_by_plain("app", SECRET);
        // Asked for a new one, and let in with the old one.
        served += usize::from(answer.error_code == 0 && server.asked().len() > asked);
        answer.error_code != 0
    });
    // At half of its life, and each five seconds after.
    assert!((1..=4).contains(&served), "an endpoint that fails is left alone for a while: {served}");
    refuse(&stage, "app", SECRET, "token_endpoint", "503 Service Unavailable");
    assert_silent(&stage);
}

#[test]
fn a_secret_that_is_taken_back_ends_with_the_look_for_a_newer_token() {
    let server = endpoint(8);
    let stage = stage(&server.url(), "");
    log_in(&stage, "app");
    server.answers(|_| Some(invalid_client()));
    wait_until("refused", || stage.connect().authenticate_by_plain("app", SECRET).error_code != 0);
    refuse(&stage, "app", SECRET, "wrong_password", "invalid_client");
    assert_silent(&stage);
}

#[test]
fn what_a_token_endpoint_must_not_answer_lets_nobody_in() {
    let huge = http(200, "application/json", &"x".repeat(300 * 1024));
    let redirect = "HTTP/1.1 307 told\r\nlocation: /token\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let own_word = format!("{{\"error\": \"{SECRET}\"}}");
    let server = TokenServer::start(|_| None);
    let stage = stage(&server.url(), ", timeout: 1s");
    for (answer, result, why) in [
        (Some(http(500, "text/html", "<h1>sorry</h1>")), "refused", "answers 500"),
        (Some(http(400, "application/json", &own_word)), "refused", "without a word of RFC 6749"),
        (Some(http(400, "application/json", "{\"error\": \"invalid_scope\"}")), "refused", "invalid_scope"),
        (Some(redirect.to_owned()), "refused", "answers 307"),
        (Some(http(200, "text/html", "<h1>log in</h1>")), "malformed", "something else than JSON"),
        (Some(http(200, "application/json", "{}{}")), "malformed", "not one JSON object"),
        (Some(huge), "malformed", "longer than 262144 bytes"),
        (Some(granted("a.b c", "")), "malformed", "characters that no token has"),
        (Some(granted("a.b.c", ", \"expires_in\": 0")), "malformed", "over already"),
        (None, "unreachable", "no answer within 1s"),
    ] {
        let before = (server.asked().len(), fetches(&stage, result));
        server.answers(move |_| answer.clone());
        refuse(&stage, "app", SECRET, "token_endpoint", why);
        assert_eq!((server.asked().len(), fetches(&stage, result)), (before.0 + 1, before.1 + 1.0), "{why}");
    }
    // As where a connection ends at the moment at which it is used again.
    let before = server.asked().len();
    server.answers(|_| Some("nonsense".to_owned()));
    refuse(&stage, "app", SECRET, "token_endpoint", "the token endpoint gives no token");
    assert_eq!(server.asked().len(), before + 2, "it is asked once more");
    // A client that is known is not held up by one that waits.
    server.answers(|question| match client_of(question) {
        Some(id) if id == "app" => Some(granted_to("app", 300, json!({}))),
        _ => None,
    });
    log_in(&stage, "app");
    let mut waiting = stage.connect();
    waiting.agree_on("PLAIN");
    let id = waiting.send(2, &authenticate(&plain("slow", SECRET)));
    log_in(&stage, "app");
    assert_eq!(waiting.read::<SaslAuthenticateRequest>(2, id).error_code, SASL_AUTHENTICATION_FAILED);
    drop(server);
    refuse(&stage, "other", SECRET, "token_endpoint", "gives no token");
    stage.broker().assert_untouched();
    assert_silent(&stage);
}

#[test]
fn a_token_that_the_rules_do_not_take_lets_nobody_in_and_is_not_kept() {
    let server = TokenServer::start(|_| None);
    let stage = stage(&server.url(), "");
    let thumbprint = "A".repeat(43);
    for (changed, label) in [
        (json!({"aud": "https://other.example"}), "audience_mismatch"),
        (json!({"iss": "https://other.example"}), "issuer_mismatch"),
        (json!({"exp": 1}), "expired"),
        (json!({"sub": null}), "principal_missing"),
        (json!({"cnf": {"x5t#S256": thumbprint}}), "certificate_missing"),
        (json!({"cnf": {"jkt": "x"}}), "sender_constrained"),
    ] {
        server.answers(move |_| Some(granted_to("app", 300, changed.clone())));
        let before = server.asked().len();
        for _ in 0..2 {
            refuse(&stage, "app", SECRET, label, "token");
        }
        assert_eq!(server.asked().len(), before + 2, "{label}");
    }
    server.answers(|_| Some(granted("opaque", ", \"expires_in\": 300")));
    refuse(&stage, "app", SECRET, "not_a_jwt", "token");
    stage.broker().assert_untouched();
    assert_silent(&stage);
}

#[test]
fn a_session_is_renewed_by_the_client_that_began_it() {
    let server = endpoint(300);
    let stage = stage(&server.url(), "");
    let again = |id: &str, secret: &str| {
        let (mut client, _) = log_in(&stage, "app");
        client.handshake_again("PLAIN");
        let answer = client.authenticate(&plain(id, secret));
        (client, answer)
    };
    let (mut client, answer) = again("app", SECRET);
    assert_eq!(answer.error_code, 0, "{answer:?}");
    assert!(answer.session_lifetime_ms > 0);
    assert_eq!(topics(&mut client), 1);
    for (id, secret, label) in [
        ("other", SECRET, "principal_changed"),
        ("batch", "open-door-0815", "principal_changed"),
        ("app", "wrong", "wrong_password"),
    ] {
        let before = stage.refused_logins("sasl_plain", label);
        let (mut client, answer) = again(id, secret);
        id_of_failure(&answer);
        client.expect_close();
        assert_eq!(stage.refused_logins("sasl_plain", label), before + 1.0, "{id}");
    }
}

#[test]
fn the_shorter_of_two_lifetimes_is_the_session_s() {
    let server = endpoint(300);
    for (of_tokens, of_passwords, expected) in
        [("", "30s", 30_000), ("20s", "30s", 20_000), ("20s", "", 20_000)]
    {
        let key = |time: &str| match time {
            "" => String::new(),
            time => format!(", session_lifetime_max: {time}"),
        };
        let stage = Stage::start_with(1, |setup, jwks| {
            setup.tenant().authentication = vec![
                crate::support::setup::oauth_bearer(jwks, &key(of_tokens)),
                format!(
                    "{{type: sasl_plain, token_endpoint: {{endpoint: \"{}\"}}{}}}",
                    server.url(),
                    key(of_passwords)
                ),
            ];
        });
        let (_, lifetime) = log_in(&stage, "app");
        assert_eq!(lifetime, expected);
    }
}

#[test]
fn a_token_endpoint_is_told_secrets_only_behind_a_certificate_of_the_file_s_ca() {
    let ours = Authority::new("our authority");
    let server = TokenServer::start_tls(&ours.pair(&["127.0.0.1"]), |question| {
        Some(client_of(question).map_or_else(invalid_client, |id| granted_to(&id, 300, json!({}))))
    });
    let trusting = |authority: &Authority| stage(&server.url(), &format!(", {}", authority.trusted()));
    log_in(&trusting(&ours), "app");
    assert_eq!(server.asked().len(), 1);
    let stage = trusting(&Authority::new("our authority"));
    refuse(&stage, "app", SECRET, "token_endpoint", "invalid peer certificate");
    assert_eq!(server.asked().len(), 1, "nothing is said to whom nobody vouches for");
    assert_silent(&stage);
}

#[test]
fn j_15_a_token_that_is_bound_to_a_certificate_is_good_on_its_connection_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let [own, other] = ["app", "other"].map(|name| clients.pair(&[name]));
    let own_der = CertificateDer::from_pem_slice(own.certificate.as_bytes()).expect("it is PEM");
    let thumbprint = b64(digest::digest(&digest::SHA256, &own_der));
    let server =
        TokenServer::start(move |_| Some(granted_to("app", 300, json!({"cnf": {"x5t#S256": thumbprint}}))));
    let certificate = servers.pair(&["localhost"]).write(dir.path(), "server");
    let bundle = written(dir.path(), "clients.crt", &clients.pem());
    let stage = Stage::start_with(1, |setup, _| {
        let plain = format!("{{type: sasl_plain, token_endpoint: {{endpoint: \"{}\"}}}}", server.url());
        setup.tenant().authentication.push(plain);
        setup.tenant().listener.push(format!(
            "tls_server: {{certificates: [{certificate}], \
             client_authentication: {{mode: requested, trust_bundle: {bundle}}}}}"
        ));
    });
    for (pair, error_code) in [
        (Some(&own), 0),
        (Some(&other), SASL_AUTHENTICATION_FAILED),
        (None, SASL_AUTHENTICATION_FAILED),
        (Some(&own), 0),
    ] {
        let config = servers.client_with(&[&TLS13], pair);
        let mut client =
            Client::connect_tls(stage.setup.tenants[0].port, config).expect("the handshake succeeds");
        assert_eq!(client.authenticate_by_plain("app", SECRET).error_code, error_code);
    }
    for label in ["certificate_mismatch", "certificate_missing"] {
        assert_eq!(stage.refused_logins("sasl_plain", label), 1.0, "{label}");
    }
}

#[test]
fn a_token_that_only_its_issuer_can_read_is_asked_about_as_any_other() {
    let server = TokenServer::start(|question| {
        let id = client_of(question);
        Some(id.map_or_else(invalid_client, |id| granted(&format!("opaque-{id}"), ", \"expires_in\": 300")))
    });
    let introspection = TokenServer::start(|question| {
        let said = match question.says("token") {
            Some("opaque-app") => with(claims("app", 300), json!({"active": true})),
            _ => json!({"active": false}),
        };
        Some(http(200, "application/json", &said.to_string()))
    });
    let stage = Stage::start_with(1, |setup, _| {
        let url = introspection.introspection_url();
        setup.tenant().authentication = vec![
            format!(
                "{{type: oauth_bearer, validate: {{issuer: \"{ISSUER}\"}}, \
                 introspection: {{endpoint: \"{url}\", client_id: gateway, client_secret: gw-secret}}}}"
            ),
            format!("{{type: sasl_plain, token_endpoint: {{endpoint: \"{}\"}}}}", server.url()),
        ];
    });
    for _ in 0..2 {
        let (_, lifetime) = log_in(&stage, "app");
        assert!((200_000..=310_000).contains(&lifetime), "{lifetime}");
    }
    stage.expect_audit("app", |line| line["principal"] == "app" && line["outcome"] == "success");
    refuse(&stage, "other", SECRET, "inactive", "");
    assert_eq!((server.asked().len(), introspection.asked().len()), (2, 2));
}
