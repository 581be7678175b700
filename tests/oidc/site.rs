//! Gateways that take tokens of oidc-provider.

use std::sync::LazyLock;

use kafka_protocol::messages::MetadataRequest;

use crate::support::client::client_first;
use crate::support::oidc::{self, AUDIENCE, KEYS, Key, OidcProvider, Registration};
use crate::support::stage::Stage;

/// A client whose tokens are for the gateway.
pub const READER: (&str, &str) = ("reader-app", "reader-secret");
/// Another, by whose tokens an elliptic curve is tried.
pub const WRITER: (&str, &str) = ("writer-app", "writer-secret");
/// A client of the same issuer whose tokens are for somebody else.
pub const STRANGER: (&str, &str) = ("stranger-app", "stranger-secret");
/// A client whose tokens are opaque.
pub const OPAQUE: (&str, &str) = ("opaque-app", "opaque-secret");
/// Another, whose tokens are for somebody else.
pub const OPAQUE_STRANGER: (&str, &str) = ("opaque-stranger-app", "opaque-secret");
/// A client whose secret has all that a form and a header would take for something of their own.
pub const SPELLED: (&str, &str) = ("spelled-app", "s3cret a+b&c=d:e%20/f\\\"?");
/// The gateway itself, which asks about tokens; and as it does so by a key.
pub const GATEWAY: (&str, &str) = ("gateway", "gw-secret");
pub const GATEWAY_BY_KEY: &str = "gateway-by-key";

/// The key by which it does so.
pub static GATEWAY_KEY: LazyLock<Key> = LazyLock::new(|| Key::es256("gateway-ec"));

/// All of them.
pub fn clients() -> Vec<Registration> {
    let registration = |(id, secret), algorithm| Registration::new(id, secret, algorithm);
    vec![
        registration(READER, "RS256"),
        registration(WRITER, "ES256"),
        registration(STRANGER, "RS256").for_audience("http://elsewhere.dev"),
        registration(OPAQUE, "RS256").with_opaque_tokens(),
        registration(OPAQUE_STRANGER, "RS256").with_opaque_tokens().for_audience("http://elsewhere.dev"),
        registration(SPELLED, "ES256"),
        registration(GATEWAY, "RS256"),
        Registration::by_key(GATEWAY_BY_KEY, &GATEWAY_KEY, "ES256"),
    ]
}

/// The provider of those who change nothing about it; `None` when it is not here.
pub fn provider() -> Option<&'static OidcProvider> {
    static PROVIDER: LazyLock<OidcProvider> = LazyLock::new(|| OidcProvider::start(&*KEYS, &clients()));
    oidc::is_here().then(|| &*PROVIDER)
}

/// An item of `authentication`: tokens of this provider, which says itself where its keys are.
pub fn authentication(provider: &OidcProvider) -> String {
    format!(
        "{{type: oauth_bearer, mediation: terminate, jwks: {{refresh_interval_min: 1s}}, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}], types: [at+jwt]}}}}",
        provider.issuer()
    )
}

/// A token of one of these clients.
pub fn token(provider: &OidcProvider, (id, secret): (&str, &str)) -> String {
    provider.token(id, secret)
}

/// A gateway that takes tokens by this item, before a scripted broker.
pub fn stage(authentication: &str) -> Stage {
    stage_with(vec![authentication.to_owned()])
}

/// The same with any items.
pub fn stage_with(authentication: Vec<String>) -> Stage {
    Stage::start_with(1, |setup, _| setup.tenant().authentication = authentication)
}

/// A login by this token is one of this principal, whose requests are answered.
pub fn expect_login(stage: &Stage, token: &str, principal: &str) {
    let mut client = stage.log_in_at(stage.setup.tenants[0].port, token);
    client.ask(9, &MetadataRequest::default());
    stage.expect_audit("the login", |line| line["outcome"] == "success" && line["principal"] == principal);
}

/// A login by this token is refused for this reason.
pub fn expect_refusal(stage: &Stage, token: &str, reason: &str) {
    let before = stage.refused_logins("oauth_bearer", reason);
    let mut client = stage.connect();
    client.handshake();
    let answer = client.authenticate(&client_first(token));
    assert!(!answer.auth_bytes.is_empty(), "the token is taken: {answer:?}");
    assert_ne!(client.authenticate(b"\x01").error_code, 0);
    stage.expect_refused_logins("oauth_bearer", reason, before + 1.0);
}
