//! The gateway as its client: how it proves itself where tokens for brokers come from.
//!
//! oidc-provider verifies assertions: by whom, for whom, until when, and that each is used once.

use std::fs;
use std::sync::LazyLock;

use kafka_protocol::messages::MetadataRequest;
use serde_json::json;

use crate::site::{SPELLED, authentication, expect_login, stage};
use crate::support::bearer_broker::{broker, last_token, said};
use crate::support::issuer::{ES256, KeyServer, now_seconds};
use crate::support::oidc::{self, KEYS, Key, OidcProvider, Registration};
use crate::support::process::{Gateway, http_get};
use crate::support::setup::Setup;
use crate::support::stage::{Stage, wait_until};

const FETCHED: &str = "sluicegate_token_fetches_total{backend=\"backend\",result=\"success\"}";
const REFUSED: &str = "sluicegate_token_fetches_total{backend=\"backend\",result=\"refused\"}";

static RSA: LazyLock<Key> = LazyLock::new(|| Key::rs256("gateway-rsa"));
static EC: LazyLock<Key> = LazyLock::new(|| Key::es256("gateway-ec"));
static ED: LazyLock<Key> = LazyLock::new(|| Key::ed25519("gateway-ed"));

/// Its clients, and the provider itself; `None` when it is not here.
fn provider() -> Option<&'static OidcProvider> {
    static PROVIDER: LazyLock<OidcProvider> = LazyLock::new(|| {
        let clients = [
            Registration::new(SPELLED.0, SPELLED.1, "RS256"),
            Registration::by_key("by-rs256", &RSA, "RS256"),
            Registration::by_key("by-ps256", &RSA, "PS256"),
            Registration::by_key("by-es256", &EC, "ES256"),
            Registration::by_key("renewing", &EC, "ES256").with_tokens_for(4),
            Registration::by_key("by-eddsa", &ED, "EdDSA"),
            Registration::by_jwk("by-file", &ES256.jwk(), "ES256").with_tokens_for(4),
        ];
        OidcProvider::start(&*KEYS, &clients)
    });
    oidc::is_here().then(|| &*PROVIDER)
}

/// The backend's own login, as this client of the provider.
fn login(provider: &OidcProvider, client: &str, proof: &str) -> String {
    format!(
        "authentication: {{type: oauth_bearer, token_endpoint: \"{}\", client_id: {client}, {proof}}}",
        provider.token_url()
    )
}

fn secret() -> String {
    format!("client_secret: {}", json!(SPELLED.1))
}

fn assertion(key: &Key, algorithm: &str, more: &str) -> String {
    format!(
        "client_assertion: {{key: {}, algorithm: {algorithm}, key_id: {}{more}}}",
        json!(key.pem),
        key.kid
    )
}

/// A gateway that logs in so, before a broker that takes every token, whether it gets one or not.
fn launched_with(login: String) -> Stage {
    let brokers = vec![broker(0)];
    let keys = KeyServer::start(&[&ES256]);
    let mut setup =
        Setup::new(&[brokers[0].address()], &format!("{{endpoint: \"{}\", timeout: 5s}}", keys.url()));
    setup.backend.push(login);
    let mut gateway = Gateway::launch(&setup.text(), setup.admin_port);
    gateway.process.wait_until("up", |_| http_get(setup.admin_port, "/livez").is_some());
    Stage { gateway, brokers, keys, setup }
}

/// The gateway gets tokens so, and what it takes to the broker is a token of that client.
fn check(client: &str, proof: &str) {
    let Some(provider) = provider() else { return };
    let login = login(provider, client, proof);
    let getting = Stage::before(vec![broker(0)], |setup, _| setup.backend.push(login));
    getting.log_in("alice").ask(9, &MetadataRequest::default());
    expect_login(&stage(&authentication(provider)), &last_token(getting.broker()), client);
}

#[test]
fn a_secret_is_said_in_the_header_or_in_the_body_whatever_stands_in_it() {
    check(SPELLED.0, &secret());
    check(SPELLED.0, &format!("{}, client_authentication: post, scope: kafka", secret()));
}

#[test]
fn a_client_proves_itself_by_a_key_of_any_kind() {
    check("by-rs256", &assertion(&RSA, "RS256", ""));
    check("by-ps256", &assertion(&RSA, "PS256", ""));
    check("by-es256", &assertion(&EC, "ES256", ""));
    check("by-eddsa", &assertion(&ED, "EdDSA", ""));
}

#[test]
fn no_assertion_is_used_twice() {
    let Some(provider) = provider() else { return };
    let stage = launched_with(login(provider, "renewing", &assertion(&EC, "ES256", "")));
    wait_until("renewed twice", || stage.metric(FETCHED) >= 3.0);
    assert!(stage.metric(REFUSED).abs() < f64::EPSILON);
}

#[test]
fn an_assertion_may_be_for_the_issuer_instead_of_its_token_endpoint() {
    let Some(provider) = provider() else { return };
    let audience = format!(", audience: \"{}\"", provider.issuer());
    check("by-es256", &assertion(&EC, "ES256", &audience));
}

#[test]
fn an_assertion_of_somebody_else_is_read_again_for_each_token() {
    let Some(provider) = provider() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("assertion");
    // As a kubelet does it: a new file in the place of the old one.
    let write = |id: &str| {
        let now = now_seconds();
        let claims = json!({
            "iss": "by-file", "sub": "by-file", "aud": provider.issuer(), "jti": id, "iat": now, "exp": now + 600,
        });
        let new = dir.path().join(id);
        fs::write(&new, ES256.token_of(&json!({"alg": "ES256"}), &claims)).expect("the file can be written");
        fs::rename(&new, &path).expect("the file can be moved");
    };
    write("first");
    let proof = format!("client_assertion: {{file: \"{}\"}}", path.display());
    let stage = launched_with(login(provider, "by-file", &proof));
    wait_until("fetched", || stage.metric(FETCHED) >= 1.0);
    // The same once more is refused.
    wait_until("refused", || stage.metric(REFUSED) >= 1.0);
    let before = stage.metric(FETCHED);
    write("second");
    wait_until("renewed", || stage.metric(FETCHED) > before);
}

#[test]
fn a_proof_that_does_not_hold_gets_no_token_and_readyz_says_the_issuers_word() {
    let Some(provider) = provider() else { return };
    let stranger = Key::es256("gateway-ec");
    for (client, proof) in [
        (SPELLED.0, "client_secret: another".to_owned()),
        (SPELLED.0, "client_secret: another, client_authentication: post".to_owned()),
        ("nobody", secret()),
        ("by-es256", assertion(&stranger, "ES256", "")),
        ("by-es256", assertion(&EC, "ES256", ", audience: \"https://elsewhere.example\"")),
        ("by-rs256", assertion(&RSA, "PS256", "")),
        ("by-es256", secret()),
    ] {
        let stage = launched_with(login(provider, client, &proof));
        let is_it = |line: &str| {
            line.starts_with("the token for backend cluster backend is not there")
                && line.ends_with("invalid_client")
        };
        wait_until(&format!("refused as {client}"), || {
            stage.gateway.admin("/readyz").is_some_and(|(_, missing)| missing.lines().any(is_it))
        });
        assert!(said(stage.broker()).is_empty());
    }
}
