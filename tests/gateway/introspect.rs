//! Tokens that no key can verify: the issuer is asked about them, once for all who bring them, and not believed blindly.

use std::sync::{Arc, Condvar, Mutex, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kafka_protocol::messages::{MetadataRequest, SaslAuthenticateRequest};
use serde_json::{Value, json};

use crate::authenticate::id_of_failure;
use crate::support::bearer_broker::{broker, said};
use crate::support::broker::Broker;
use crate::support::client::{Client, authenticate, client_first};
use crate::support::issuer::{AUDIENCE, ES256, ISSUER, RS256, claims, now_seconds, with};
use crate::support::process::{Gateway, Issuer, sluicegate};
use crate::support::setup::{Policy, Setup, oauth_bearer, rule};
use crate::support::stage::{Stage, token, wait_until};
use crate::support::tls::Authority;
use crate::support::token_server::{Question, TokenServer, http};

const SECRET: &str = "open-sesame-4711";
const OPAQUE: &str = "opaque-token-0815";

/// What an endpoint answers about an active token of alice, with some members exchanged; null takes one away.
fn active(exchanged: Value) -> String {
    let answer =
        with(with(claims("alice", 3600), json!({"active": true, "token_type": "Bearer"})), exchanged);
    http(200, "application/json", &answer.to_string())
}

fn inactive() -> String {
    http(200, "application/json", "{\"active\": false}")
}

/// An endpoint to which every token is active and alice's.
fn endpoint() -> TokenServer {
    TokenServer::start(|_| Some(active(json!({}))))
}

fn section(server: &TokenServer, more: &str) -> String {
    format!(
        "introspection: {{endpoint: \"{}\", client_id: gateway, client_secret: {SECRET}{more}}}",
        server.introspection_url()
    )
}

/// An item of `authentication`: every token is asked about there, with more keys of the section and of the item.
fn asked_at(server: &TokenServer, more: &str, of_item: &str) -> String {
    format!(
        "{{type: oauth_bearer, {}, validate: {{issuer: \"{ISSUER}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}{of_item}}}",
        section(server, more)
    )
}

/// A gateway whose only tenant takes tokens by these items.
fn stage(authentication: Vec<String>) -> Stage {
    Stage::start_with(1, |setup, _| setup.tenant().authentication = authentication)
}

/// A connection whose login has been asked for and not answered.
fn waiting(stage: &Stage, token: &str) -> (Client, i32) {
    let mut client = stage.connect();
    client.handshake();
    let correlation_id = client.send(2, &authenticate(&client_first(token)));
    (client, correlation_id)
}

fn is_answered_well((mut client, correlation_id): (Client, i32)) -> bool {
    let answer = client.read::<SaslAuthenticateRequest>(2, correlation_id);
    (answer.error_code, answer.auth_bytes.len()) == (0, 0)
}

fn lookups(stage: &Stage, server: &TokenServer, result: &str) -> f64 {
    let name = name_of(server);
    stage.metric(&format!("sluicegate_token_lookups_total{{source=\"{name}\",result=\"{result}\"}}"))
}

fn introspections(server: &TokenServer, result: &str) -> String {
    let name = name_of(server);
    format!("sluicegate_introspections_total{{endpoint=\"{name}\",result=\"{result}\"}}")
}

fn name_of(server: &TokenServer) -> String {
    server.introspection_url().trim_start_matches("http://").to_owned()
}

/// Holds answers back until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let (is_open, changed) = &*self.0;
        drop(changed.wait_while(is_open.lock().expect("nobody panics with it"), |is_open| !*is_open));
    }

    fn open(&self) {
        *self.0.0.lock().expect("nobody panics with it") = true;
        self.0.1.notify_all();
    }
}

#[test]
fn i_17_s_28_an_opaque_token_logs_in_while_the_endpoint_says_that_it_is_active() {
    let server = TokenServer::start(|asked| {
        let is_known = asked.says("token") == Some(OPAQUE);
        Some(if is_known { active(json!({"groups": ["ops"], "iss": null})) } else { inactive() })
    });
    let condition =
        format!("'ops' in context.auth.token.claims.groups && context.auth.claims.iss == '{ISSUER}'");
    let stage = Stage::start_with(1, |setup, _| {
        let tenant = setup.tenant();
        tenant.authentication = vec![asked_at(&server, "", ", claims_mapping: {sub: client_id}")];
        tenant.policies =
            vec![Policy::new("ops", Some(&condition), &[rule("allow", "topic", "describe", "*")])];
    });
    stage.broker().has_topics(&["my-orders"]);
    let mut client = stage.connect();
    let lifetime = client.log_in(OPAQUE);
    assert!((3_000_000..=3_600_000).contains(&lifetime), "{lifetime}");
    let topics = client.ask(9, &MetadataRequest::default().with_topics(None)).topics;
    assert_eq!(topics.len(), 1, "the answer's claims are those of conditions");
    stage.expect_audit("the login", |line| line["principal"] == "alice" && line["outcome"] == "success");
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /introspect HTTP/1.1", "the token stands in no address");
    assert_eq!(asked.authorization.as_deref(), Some("gateway:open-sesame-4711"));
    assert_eq!(asked.says("token_type_hint"), Some("access_token"));

    let mut client = stage.connect();
    client.handshake();
    let failure = client.authenticate(&client_first("another-token"));
    assert_eq!(&failure.auth_bytes[..], b"{\"status\":\"invalid_token\"}", "the client is told no more");
    let id = id_of_failure(&client.authenticate(b"\x01"));
    let line = stage.expect_audit("the refusal", |line| line["id"] == id.as_str());
    let reason = line["reason"].as_str().expect("it has a reason");
    assert!(reason.starts_with("the introspection endpoint says that the token is not active"), "{reason}");
    stage.expect_refused_logins("oauth_bearer", "inactive", 1.0);
    stage.expect_metric(&introspections(&server, "active"), 1.0);
    stage.expect_metric(&introspections(&server, "inactive"), 1.0);
}

#[test]
fn i_17_whatever_else_an_endpoint_answers_opens_nothing_and_is_not_remembered() {
    let server = endpoint();
    let stage = stage(vec![asked_at(&server, ", timeout: 1s", "")]);
    let redirect =
        "HTTP/1.1 307 told\r\nlocation: /introspect\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let json = |body: &str| http(200, "application/json", body);
    let huge = json(&format!("{{\"active\": true, \"x\": \"{}\"}}", "x".repeat(300 * 1024)));
    let cases: Vec<(Option<String>, &str, &str)> = vec![
        (Some(active(json!({"active": "true"}))), "malformed", "introspection_failed"),
        (Some(active(json!({"active": 1}))), "malformed", "introspection_failed"),
        (Some(active(json!({"active": null}))), "malformed", "introspection_failed"),
        (Some(json("{\"active\": false, \"active\": true}")), "malformed", "introspection_failed"),
        (Some(json("[]")), "malformed", "introspection_failed"),
        (Some(json("")), "malformed", "introspection_failed"),
        (Some(huge), "malformed", "introspection_failed"),
        (
            Some(active(json!({})).replace("application/json", "text/html")),
            "malformed",
            "introspection_failed",
        ),
        (Some(http(500, "application/json", "{\"active\": true}")), "refused", "introspection_failed"),
        (
            Some(http(401, "application/json", "{\"error\": \"invalid_client\"}")),
            "refused",
            "introspection_failed",
        ),
        (Some(redirect.to_owned()), "refused", "introspection_failed"),
        (Some("nonsense".to_owned()), "unreachable", "introspection_failed"),
        (None, "unreachable", "introspection_failed"),
        (Some(active(json!({"token_type": "DPoP"}))), "malformed", "not_an_access_token"),
        (Some(active(json!({"typ": "Refresh"}))), "malformed", "not_an_access_token"),
        (Some(active(json!({"cnf": {"jkt": "x"}}))), "active", "sender_constrained"),
        (Some(active(json!({"exp": null}))), "active", "expiry_missing"),
        (Some(active(json!({"aud": null}))), "active", "audience_missing"),
        (Some(active(json!({"iss": "https://other.example"}))), "active", "issuer_mismatch"),
    ];
    for (place, (answer, result, reason)) in cases.into_iter().enumerate() {
        let shown = format!("{answer:.80?}");
        let (before, refused) =
            (stage.metric(&introspections(&server, result)), stage.refused_logins("oauth_bearer", reason));
        server.answers(move |_| answer.clone());
        let token = format!("{OPAQUE}-{place}");
        let mut client = stage.connect();
        client.handshake();
        assert!(!client.authenticate(&client_first(&token)).auth_bytes.is_empty(), "{shown}");
        id_of_failure(&client.authenticate(b"\x01"));
        stage.expect_metric(&introspections(&server, result), before + 1.0);
        stage.expect_refused_logins("oauth_bearer", reason, refused + 1.0);
        if result != "active" {
            server.answers(|_| Some(active(json!({}))));
            assert!(stage.is_let_in(&token), "a failure is not remembered: {shown}");
        }
    }
    assert_eq!(stage.gateway.admin("/readyz").map(|(code, _)| code), Some(200));
}

#[test]
fn i_17_s_28_an_active_token_is_asked_about_once_for_a_bounded_time() {
    let server = endpoint();
    let stage = stage(vec![asked_at(&server, "", "")]);
    for _ in 0..5 {
        assert!(stage.is_let_in(OPAQUE));
    }
    assert_eq!(server.asked().len(), 1);
    assert_eq!((lookups(&stage, &server, "new"), lookups(&stage, &server, "known")), (1.0, 4.0));
    // By the file's own time.
    let server = endpoint();
    let stage = self::stage(vec![asked_at(&server, ", cache_lifetime_max: 1s", "")]);
    assert!(stage.is_let_in(OPAQUE) && server.asked().len() == 1);
    wait_until("asked again", || stage.is_let_in(OPAQUE) && server.asked().len() > 1);
    server.answers(|_| Some(inactive()));
    wait_until("revoked", || !stage.is_let_in(OPAQUE));
    // By the token's own end: inside the clock skew it logs in still, and is asked about each time.
    let end = Arc::new(OnceLock::new());
    let said = end.clone();
    let server =
        TokenServer::start(move |_| Some(active(json!({"exp": said.get_or_init(|| now_seconds() + 3)}))));
    let stage = self::stage(vec![asked_at(&server, "", ", clock_skew: 5m")]);
    assert!(stage.is_let_in(OPAQUE));
    wait_until("asked again", || stage.is_let_in(OPAQUE) && server.asked().len() > 1);
    assert!(end.get().is_some_and(|end| now_seconds() >= *end), "it was kept to its end");
    // Not at all.
    let server = endpoint();
    let stage = self::stage(vec![asked_at(&server, ", cache_lifetime_max: 0s", "")]);
    assert!(stage.is_let_in(OPAQUE) && stage.is_let_in(OPAQUE));
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn i_17_a_herd_with_one_token_asks_once() {
    const HERD: usize = 50;
    let (server, gate) = (endpoint(), Gate::default());
    let stage = stage(vec![asked_at(&server, ", timeout: 60s", "")]);
    let held = gate.clone();
    server.answers(move |_| {
        held.pass();
        Some(active(json!({})))
    });
    let herd: Vec<_> = (0..HERD).map(|_| waiting(&stage, OPAQUE)).collect();
    wait_until("all there", || lookups(&stage, &server, "new") >= HERD as f64);
    gate.open();
    assert!(herd.into_iter().all(is_answered_well));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_flood_of_tokens_is_no_flood_at_the_endpoint() {
    /// Of one address.
    const AT_ONCE: usize = 48;
    const FLOOD: usize = AT_ONCE + 10;
    const OF_ANOTHER: [u8; 4] = [127, 0, 0, 2];
    let (server, gate) = (endpoint(), Gate::default());
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().authentication = vec![asked_at(&server, ", timeout: 60s", "")];
        setup.sections.push("limits: {login_timeout: 60s}".to_owned());
    });
    assert!(stage.is_let_in(OPAQUE));
    let held = gate.clone();
    server.answers(move |_| {
        held.pass();
        Some(active(json!({})))
    });
    let flood: Vec<_> = (0..FLOOD).map(|number| waiting(&stage, &format!("{OPAQUE}-{number}"))).collect();
    wait_until("all there", || lookups(&stage, &server, "new") >= (FLOOD + 1) as f64);
    wait_until("asked", || server.asked().len() == AT_ONCE + 1);
    assert!(stage.is_let_in(OPAQUE), "what is known does not wait");
    assert_eq!(server.asked().len(), AT_ONCE + 1);
    let mut other = Client::connect_from(OF_ANOTHER, stage.setup.tenants[0].port);
    other.handshake();
    let correlation_id = other.send(2, &authenticate(&client_first(&format!("{OPAQUE}-of-another"))));
    wait_until("asked for another", || server.asked().len() == AT_ONCE + 2);
    gate.open();
    assert!(is_answered_well((other, correlation_id)));
    assert!(flood.into_iter().all(is_answered_well));
    assert_eq!(server.asked().len(), FLOOD + 2);
}

#[test]
fn an_endpoint_that_is_down_holds_up_neither_known_tokens_nor_other_issuers() {
    let (down, other, gate) = (endpoint(), endpoint(), Gate::default());
    let stage = Stage::start_with(1, |setup, jwks| {
        let of = |issuer: &str, by: &str| {
            format!(
                "{{type: oauth_bearer, {by}, validate: {{issuer: \"{issuer}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}}}"
            )
        };
        setup.tenant().authentication = vec![
            of("https://down.example", &section(&down, ", timeout: 60s")),
            of("https://other.example", &section(&other, ", timeout: 60s")),
            oauth_bearer(jwks, ""),
        ];
    });
    let answer = |issuer: &str| active(json!({"iss": issuer}));
    let of_down = answer("https://down.example");
    down.answers(move |_| Some(of_down.clone()));
    other.answers(|_| Some(inactive()));
    assert!(stage.is_let_in(OPAQUE));
    let held = gate.clone();
    down.answers(move |_| {
        held.pass();
        Some(inactive())
    });
    let new = waiting(&stage, "another-token");
    wait_until("asked", || down.asked().len() == 2);
    assert!(stage.is_let_in(OPAQUE), "known");
    assert!(stage.is_let_in(&token("alice")), "by keys");
    let of_other = answer("https://other.example");
    other.answers(move |_| Some(of_other.clone()));
    assert!(stage.is_let_in("a-third-token"), "of another endpoint");
    gate.open();
    assert!(!is_answered_well(new), "nobody knows it");
}

#[test]
fn signed_tokens_go_by_keys_where_there_are_any() {
    let server = TokenServer::start(|asked| {
        let token = asked.says("token").unwrap_or_default();
        Some(if token.starts_with("ey") { inactive() } else { active(json!({})) })
    });
    let both = Stage::start_with(1, |setup, jwks| {
        setup.tenant().authentication = vec![oauth_bearer(jwks, &format!(", {}", section(&server, "")))];
    });
    assert!(both.is_let_in(&token("alice")));
    assert!(!both.is_let_in(&RS256.token(&claims("alice", 3600))), "by another key");
    assert!(!both.is_let_in(&ES256.token(&claims("alice", -3600))), "expired");
    assert_eq!(server.asked().len(), 0);
    assert!(both.is_let_in(OPAQUE) && server.asked().len() == 1);
    // Without keys the endpoint decides about everything.
    let alone = stage(vec![asked_at(&server, "", "")]);
    assert!(!alone.is_let_in(&token("alice")), "signed, and not active");
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn without_exp_a_session_lasts_as_long_as_the_file_says() {
    let server = TokenServer::start(|_| Some(active(json!({"exp": null}))));
    let stage = stage(vec![asked_at(&server, "", ", session_lifetime_max: 10m")]);
    assert_eq!(stage.connect().log_in(OPAQUE), 600_000);
}

#[test]
fn an_opaque_token_goes_on_to_the_broker_as_it_is() {
    let server = endpoint();
    let stage = Stage::before(vec![broker(0)], |setup, _| {
        setup.tenant().authentication = vec![asked_at(&server, "", ", mediation: validate_forward")];
    });
    assert!(stage.is_let_in(OPAQUE));
    assert_eq!(said(stage.broker())[0].1, client_first(OPAQUE));
}

#[test]
fn a_client_logs_in_again_only_while_its_token_is_active() {
    let server = endpoint();
    let stage = stage(vec![asked_at(&server, ", cache_lifetime_max: 0s", "")]);
    let mut client = stage.connect();
    client.log_in(OPAQUE);
    client.handshake_again("OAUTHBEARER");
    assert_eq!(client.authenticate(&client_first(OPAQUE)).auth_bytes.len(), 0);
    server.answers(|_| Some(inactive()));
    client.handshake_again("OAUTHBEARER");
    assert!(!client.authenticate(&client_first(OPAQUE)).auth_bytes.is_empty());
    id_of_failure(&client.authenticate(b"\x01"));
    client.expect_close();
}

#[test]
fn opaque_tokens_of_the_development_issuer_open_sessions_until_they_are_revoked() {
    let issuer = Issuer::start(&["reader-app:reader-secret", "gateway:gw-secret"], &["--opaque"]);
    let url = issuer.url();
    let stage = stage(vec![format!(
        "{{type: oauth_bearer, introspection: {{endpoint: \"{url}/introspect\", client_id: gateway, \
         client_secret: gw-secret, cache_lifetime_max: 0s}}, \
         validate: {{issuer: \"{url}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}}}"
    )]);
    let token = issuer.token("reader-app", "reader-secret");
    assert!(stage.is_let_in(&token));
    stage.expect_audit("the login", |line| line["principal"] == "reader-app");
    issuer.revoke("reader-app", "reader-secret", &token);
    assert!(!stage.is_let_in(&token));
    stage.expect_refused_logins("oauth_bearer", "inactive", 1.0);
}

#[test]
fn an_endpoint_is_trusted_by_the_ca_that_the_file_names() {
    let ours = Authority::new("our authority");
    let server = TokenServer::start_tls(&ours.pair(&["127.0.0.1"]), |_| Some(active(json!({}))));
    let trusting =
        |authority: &Authority| stage(vec![asked_at(&server, &format!(", {}", authority.trusted()), "")]);
    assert!(trusting(&ours).is_let_in(OPAQUE));
    assert!(!trusting(&Authority::new("our authority")).is_let_in(OPAQUE));
    assert_eq!(server.asked().len(), 1, "nothing is said to whom nobody vouches for");
}

#[test]
fn a_connection_that_ends_as_it_is_used_is_no_answer() {
    let server =
        TokenServer::start(|asked| Some(if asked.earlier == 0 { String::new() } else { active(json!({})) }));
    let stage = stage(vec![asked_at(&server, ", timeout: 60s", "")]);
    assert!(stage.is_let_in(OPAQUE));
    assert_eq!(server.asked().len(), 2);
    stage.expect_metric(&introspections(&server, "active"), 1.0);
}

#[test]
fn a_gateway_is_ready_without_its_endpoint() {
    let mut setup = Setup::new(&[], "");
    let broker = Broker::start();
    setup.bootstrap = vec![broker.address()];
    let server = endpoint();
    setup.tenant().authentication = vec![asked_at(&server, "", "")];
    drop(server);
    Gateway::start(&setup.text(), setup.admin_port);
}

#[test]
fn i_17_neither_the_token_nor_the_secret_stands_in_any_log_at_any_level() {
    for way in ["basic", "post"] {
        let server = endpoint();
        let stage = Stage::start_with(1, |setup, _| {
            let way = format!(", client_authentication: {way}, timeout: 1s");
            setup.tenant().authentication = vec![asked_at(&server, &way, "")];
            setup.sections.push("logging: {level: trace}".to_owned());
        });
        assert!(stage.is_let_in(OPAQUE) && stage.is_let_in(OPAQUE));
        let asked: Question = server.asked().remove(0);
        assert_eq!(asked.says("client_secret").is_some(), way == "post");
        let echo = json!({"active": format!("{OPAQUE} {SECRET}"), "error": SECRET}).to_string();
        for answer in [
            Some(inactive()),
            Some(http(400, "application/json", &echo)),
            Some(http(200, "application/json", &echo)),
            Some(http(200, SECRET, &echo)),
            None,
        ] {
            server.answers(move |_| answer.clone());
            assert!(!stage.is_let_in(&format!("{OPAQUE}-new")));
        }
        assert!(stage.audit().len() > 1);
        let basic = BASE64_STANDARD.encode(format!("gateway:{SECRET}"));
        stage.gateway.assert_silent(&[SECRET, OPAQUE, &basic]);
    }
}

#[test]
fn an_opaque_token_is_inspected_as_in_a_login_and_not_shown() {
    let server = TokenServer::start(|asked| {
        Some(if asked.says("token") == Some(OPAQUE) { active(json!({})) } else { inactive() })
    });
    let stage = stage(vec![asked_at(&server, "", "")]);
    let path = stage.gateway.config.path().to_str().expect("a path in UTF-8");
    let said = |arguments: &[&str]| {
        let output = sluicegate(arguments);
        let text = [&output.stdout[..], &output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    let (status, text) = said(&["token", "inspect", "-c", path, "--token", OPAQUE]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("principal  alice"), "{text}");
    assert!(text.contains("vouched    by the introspection endpoint, which was asked"), "{text}");
    assert!(!text.contains(OPAQUE), "{text}");
    let (status, text) = said(&["token", "inspect", "-c", path, "--token", "another"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("refuses the token: the introspection endpoint says that"), "{text}");
    let ask = ["explain", "-c", path, "--operation", "read", "--topic", "x", "--token", OPAQUE];
    let (status, text) = said(&ask);
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("alice (its token is active, as the introspection endpoint says, and good for "),
        "{text}"
    );
}
