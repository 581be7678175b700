//! Where an issuer says its keys are, how it is asked, and what it can do to those who ask.
//!
//! The names of tests begin with the rules of the threat model that they show.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::broker::Broker;
use crate::support::client::client_first;
use crate::support::hostile::{Answer, HostileIssuer};
use crate::support::issuer::{AUDIENCE, ES256, KeyServer, RS256, Signer, claims, jwks, with};
use crate::support::process::Gateway;
use crate::support::setup::{Setup, Tenant};
use crate::support::stage::{Stage, token, wait_until};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// An item of `authentication` for tokens of this issuer, by a `jwks` item.
fn tokens_of(issuer: &str, jwks: &str) -> String {
    format!(
        "{{type: oauth_bearer, jwks: {jwks}, \
         validate: {{issuer: \"{issuer}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}}}"
    )
}

fn token_of(issuer: &str, signer: &Signer) -> String {
    signer.token(&with(claims("alice", 3600), json!({"iss": issuer})))
}

/// A gateway whose only tenant takes tokens by these items.
fn stage_with(authentication: Vec<String>) -> Stage {
    Stage::start_with(1, |setup, _| setup.tenant().authentication = authentication)
}

/// The same, as soon as its brokers are there: its issuer may not be.
fn launched_with(authentication: Vec<String>) -> Stage {
    let brokers = Broker::cluster(1);
    let mut setup = Setup::new(&[brokers[0].address()], "{}");
    setup.tenant().authentication = authentication;
    let gateway = Gateway::launch(&setup.text(), setup.admin_port);
    let stage = Stage { gateway, brokers, keys: KeyServer::start(&[]), setup };
    wait_until("connected to its brokers", || {
        stage.gateway.admin("/readyz").is_some_and(|(_, missing)| !missing.contains("no broker"))
    });
    stage
}

fn metadata(issuer: &str, jwks_uri: &str) -> Answer {
    Answer::Body(json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string())
}

const EAGER: &str = "{timeout: 5s, refresh_interval_min: 1ms}";

#[test]
fn s_27_keys_are_found_where_the_issuers_metadata_says() {
    // Each of the standards' two places, with a path and without.
    for (path, document) in [
        ("", OPENID.to_owned()),
        ("", OAUTH.to_owned()),
        ("/realms/a", format!("/realms/a{OPENID}")),
        ("/realms/a", format!("{OAUTH}/realms/a")),
    ] {
        let idp = HostileIssuer::start();
        let issuer = idp.url(path);
        idp.answers(&document, metadata(&issuer, &idp.url("/keys")));
        idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
        let stage = stage_with(vec![tokens_of(&issuer, EAGER)]);
        assert!(stage.is_let_in(&token_of(&issuer, &ES256)), "{document}");
        assert!(!stage.is_let_in(&token("alice")), "of another issuer");
        // The keys move, and the issuer says so.
        idp.answers("/keys", Answer::status(404));
        idp.answers("/moved", Answer::Body(jwks(&[&RS256])));
        idp.answers(&document, metadata(&issuer, &idp.url("/moved")));
        wait_until("moved along", || stage.is_let_in(&token_of(&issuer, &RS256)));
    }
}

#[test]
fn i_14_metadata_of_another_issuer_is_not_taken() {
    let idp = HostileIssuer::start();
    let issuer = idp.url("");
    idp.answers(OPENID, metadata(&format!("{issuer}/"), &idp.url("/keys")));
    idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
    let stage = launched_with(vec![tokens_of(&issuer, EAGER)]);
    assert!(!stage.is_let_in(&token_of(&issuer, &ES256)));
    assert_eq!(idp.asked("/keys"), 0);
    let (code, text) = stage.gateway.admin("/readyz").expect("the admin port answers");
    assert!(code == 503 && text.contains(&issuer), "{code} {text}");
    idp.answers(OPENID, metadata(&issuer, &idp.url("/keys")));
    assert!(stage.is_let_in(&token_of(&issuer, &ES256)));
}

#[test]
fn i_02_a_redirect_leads_nowhere() {
    let (idp, canary) = (HostileIssuer::start(), HostileIssuer::start());
    let issuer = idp.url("");
    canary.answers("/keys", Answer::Body(jwks(&[&ES256])));
    idp.answers(OPENID, metadata(&issuer, &idp.url("/keys")));
    let stage = launched_with(vec![tokens_of(&issuer, EAGER)]);
    for code in [301, 302, 303, 307, 308] {
        idp.answers("/keys", Answer::redirect(code, &canary.url("/keys")));
        assert!(!stage.is_let_in(&token_of(&issuer, &ES256)), "{code}");
    }
    idp.answers(OPENID, Answer::redirect(302, &canary.url("/keys")));
    assert!(!stage.is_let_in(&token_of(&issuer, &ES256)));
    assert_eq!(canary.asked("/keys"), 0);
}

#[test]
fn i_04_i_05_i_13_whatever_an_issuer_answers_the_last_good_keys_serve_on() {
    let idp = HostileIssuer::start();
    let issuer = idp.url("");
    idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
    let jwks_item = format!("{{endpoint: \"{}\", timeout: 1s, refresh_interval_min: 1ms}}", idp.url("/keys"));
    let stage = stage_with(vec![tokens_of(&issuer, &jwks_item)]);
    assert!(stage.is_let_in(&token_of(&issuer, &ES256)));
    let many: Vec<_> = (0..101).map(|i| Signer::es256(&format!("key-{i}")).jwk()).collect();
    let symmetric = json!({"keys": [{"kty": "oct", "kid": "new", "k": "c2VjcmV0"}]});
    let stranger = token_of(&issuer, &RS256);
    for bad in [
        Answer::Endless,
        Answer::Dripping,
        Answer::Stalled,
        Answer::Dead,
        Answer::status(500),
        Answer::Body(String::new()),
        Answer::Body("<html>welcome</html>".to_owned()),
        Answer::Body("{\"keys\": []}".to_owned()),
        Answer::Body(symmetric.to_string()),
        Answer::Body(json!({"keys": many}).to_string()),
        Answer::Body(format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(2 << 20))),
        Answer::with_headers("content-encoding: gzip\r\n", &jwks(&[&RS256])),
    ] {
        let shown = format!("{bad:.60?}");
        let asked = idp.asked("/keys");
        idp.answers("/keys", bad);
        assert!(!stage.is_let_in(&stranger), "{shown}");
        idp.wait_until_asked("/keys", asked + 1);
        assert!(stage.is_let_in(&token_of(&issuer, &ES256)), "{shown}");
    }
    idp.answers("/keys", Answer::Body(jwks(&[&RS256])));
    wait_until("mended", || stage.is_let_in(&stranger));
    assert!(!stage.is_let_in(&token_of(&issuer, &ES256)), "a key that is gone opens nothing");
}

#[test]
fn i_05_a_slow_issuer_holds_up_neither_known_keys_nor_other_issuers() {
    let (slow, other) = (HostileIssuer::start(), HostileIssuer::start());
    slow.answers("/keys", Answer::Body(jwks(&[&ES256])));
    other.answers("/keys", Answer::Body(jwks(&[&ES256])));
    let item = |idp: &HostileIssuer| {
        format!("{{endpoint: \"{}\", timeout: 30s, refresh_interval_min: 1ms}}", idp.url("/keys"))
    };
    let stage = stage_with(vec![
        tokens_of("https://slow.example", &item(&slow)),
        tokens_of("https://other.example", &item(&other)),
    ]);
    slow.wait_until_asked("/keys", 1);
    assert!(stage.is_let_in(&token_of("https://slow.example", &ES256)));
    slow.answers("/keys", Answer::Stalled);
    let mut waiting = stage.connect();
    waiting.handshake();
    let unknown = client_first(&token_of("https://slow.example", &RS256));
    waiting.send(2, &crate::support::client::authenticate(&unknown));
    slow.wait_until_asked("/keys", 2);
    assert!(stage.is_let_in(&token_of("https://slow.example", &ES256)));
    other.answers("/keys", Answer::Body(jwks(&[&ES256, &RS256])));
    assert!(stage.is_let_in(&token_of("https://other.example", &RS256)), "a new key of another issuer");
}

#[test]
fn i_06_a_gateway_starts_without_its_issuer_and_is_ready_when_that_is_there() {
    let idp = HostileIssuer::start();
    let issuer = idp.url("");
    let stage = launched_with(vec![tokens_of(&issuer, EAGER)]);
    assert!(!stage.is_let_in(&token_of(&issuer, &ES256)));
    assert_eq!(stage.gateway.admin("/readyz").map(|(code, _)| code), Some(503));
    idp.answers(OPENID, metadata(&issuer, &idp.url("/keys")));
    idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
    assert!(stage.is_let_in(&token_of(&issuer, &ES256)));
    wait_until("ready", || stage.gateway.admin("/readyz").is_some_and(|(code, _)| code == 200));
}

#[test]
fn i_07_an_old_key_set_is_seen_and_ends() {
    let idp = HostileIssuer::start();
    let issuer = idp.url("");
    idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
    let url = idp.url("/keys");
    let item =
        format!("{{endpoint: \"{url}\", cache_expiration: 1s, stale_max: 25s, refresh_interval_min: 1ms}}");
    let stage = stage_with(vec![tokens_of(&issuer, &item)]);
    let stale = format!("sluicegate_key_set_stale{{source=\"{}\"}}", url.trim_start_matches("http://"));
    assert!(stage.is_let_in(&token_of(&issuer, &ES256)));
    idp.answers("/keys", Answer::status(500));
    stage.expect_metric(&stale, 1.0);
    let (code, text) = stage.gateway.admin("/readyz").expect("the admin port answers");
    assert!(code == 200 && text.contains("degraded: the key set of 127.0.0.1"), "{code} {text}");
    assert!(stage.is_let_in(&token_of(&issuer, &ES256)), "the last good set serves on");
    // The set's time and two tries that fail are longer than other waits.
    let deadline = Instant::now() + Duration::from_secs(90);
    while stage.is_let_in(&token_of(&issuer, &ES256)) {
        assert!(Instant::now() < deadline, "the set is not let go of");
        sleep(Duration::from_millis(100));
    }
    assert_eq!(stage.gateway.admin("/readyz").map(|(code, _)| code), Some(503));
    idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
    wait_until("back", || stage.is_let_in(&token_of(&issuer, &ES256)));
    stage.expect_metric(&stale, 0.0);
}

#[test]
fn i_09_s_25_a_flood_of_unknown_keys_asks_once_in_the_interval_for_all_who_share_the_issuer() {
    let idp = HostileIssuer::start();
    idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
    let item = format!("{{endpoint: \"{}\", refresh_interval_min: 1h}}", idp.url("/keys"));
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenants.push(Tenant::new("other", "other-", &item));
        for tenant in &mut setup.tenants {
            tenant.authentication = vec![tokens_of("https://idp.example", &item)];
        }
    });
    let ports: Vec<u16> = stage.setup.tenants.iter().map(|tenant| tenant.port).collect();
    for kid in 0..20 {
        let token = token_of("https://idp.example", &Signer::es256(&format!("kid-{kid}")));
        assert!(!stage.is_let_in_at(ports[kid % 2], &token));
    }
    assert_eq!(idp.asked("/keys"), 2, "one at the start, and one for the first of them");
    assert!(ports.iter().all(|port| stage.is_let_in_at(*port, &token("alice"))));
}

#[test]
fn i_15_what_the_issuer_says_of_caching_changes_nothing() {
    let idp = HostileIssuer::start();
    let headers = "cache-control: max-age=0, no-store\r\nexpires: 0\r\n";
    idp.answers("/keys", Answer::with_headers(headers, &jwks(&[&ES256])));
    let item = format!("{{endpoint: \"{}\", refresh_interval_min: 1h}}", idp.url("/keys"));
    let stage = stage_with(vec![tokens_of("https://idp.example", &item)]);
    for _ in 0..5 {
        assert!(stage.is_let_in(&token("alice")));
    }
    assert_eq!(idp.asked("/keys"), 1);
}

#[test]
fn i_16_a_key_of_one_issuer_never_verifies_a_token_of_another() {
    let (a, b) = (Signer::es256("same"), Signer::es256("same"));
    let idp = HostileIssuer::start();
    idp.answers("/a", Answer::Body(jwks(&[&a])));
    idp.answers("/b", Answer::Body(jwks(&[&b])));
    let item = |path| format!("{{endpoint: \"{}\", refresh_interval_min: 1ms}}", idp.url(path));
    let (of_a, of_b) = ("https://a.example", "https://b.example");
    let stage = stage_with(vec![tokens_of(of_a, &item("/a")), tokens_of(of_b, &item("/b"))]);
    assert!(stage.is_let_in(&token_of(of_a, &a)) && stage.is_let_in(&token_of(of_b, &b)));
    assert!(!stage.is_let_in(&token_of(of_a, &b)) && !stage.is_let_in(&token_of(of_b, &a)));
}

#[test]
fn an_issuer_with_a_certificate_of_its_own_is_trusted_by_its_bundle_alone() {
    let idp = HostileIssuer::start_with_tls();
    let issuer = idp.url("");
    idp.answers(OPENID, metadata(&issuer, &idp.url("/keys")));
    idp.answers("/keys", Answer::Body(jwks(&[&ES256])));
    let bundle = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(&bundle, idp.certificate.as_deref().expect("it speaks TLS")).expect("the file can be written");
    let tls = format!(
        "{{refresh_interval_min: 1ms, tls: {{ca_bundle: \"${{file['{}']}}\"}}}}",
        bundle.path().display()
    );
    assert!(stage_with(vec![tokens_of(&issuer, &tls)]).is_let_in(&token_of(&issuer, &ES256)));
    let asked = idp.asked("/keys");
    assert!(!launched_with(vec![tokens_of(&issuer, EAGER)]).is_let_in(&token_of(&issuer, &ES256)));
    assert_eq!(idp.asked("/keys"), asked, "by the system's certificates nobody gets through");
}

#[test]
fn i_03_an_issuer_is_asked_through_the_proxy_that_the_file_names() {
    let proxy = HostileIssuer::start();
    let url = "http://idp.invalid/keys";
    proxy.answers(url, Answer::Body(jwks(&[&ES256])));
    let item = format!("{{endpoint: \"{url}\", proxy: \"{}\", insecure_allow_http: true}}", proxy.url(""));
    let stage = stage_with(vec![tokens_of("https://idp.example", &item)]);
    assert!(stage.is_let_in(&token("alice")));
    assert!(proxy.asked(url) >= 1);
}
