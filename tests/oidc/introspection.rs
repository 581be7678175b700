//! Tokens that only the issuer can read: it is asked about them (RFC 7662), also whether they were revoked (RFC 7009).

use serde_json::json;

use crate::site::{
    GATEWAY, GATEWAY_BY_KEY, GATEWAY_KEY, OPAQUE, OPAQUE_STRANGER, READER, clients, expect_login,
    expect_refusal, provider, stage, token,
};
use crate::support::oidc::{AUDIENCE, KEYS, OidcProvider};
use crate::support::stage::wait_until;

/// An item of `authentication`: the provider is asked about tokens, as whom `client` says, and by what else `more` says.
pub fn asking(provider: &OidcProvider, client: &str, more: &str) -> String {
    format!(
        "{{type: oauth_bearer, introspection: {{endpoint: \"{}\", {client}}}, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}, claims_mapping: {{sub: client_id}}{more}}}",
        provider.introspection_url(),
        provider.issuer()
    )
}

/// As whom it is asked.
pub fn by_secret() -> String {
    format!("client_id: {}, client_secret: {}", GATEWAY.0, GATEWAY.1)
}

#[test]
fn an_opaque_token_logs_in_and_a_signed_one_beside_it_by_its_key() {
    let Some(provider) = provider() else { return };
    let by_key = format!(
        "client_id: {GATEWAY_BY_KEY}, client_assertion: {{key: {}, algorithm: ES256, key_id: {}}}",
        json!(GATEWAY_KEY.pem),
        GATEWAY_KEY.kid
    );
    for client in [by_secret(), format!("{}, client_authentication: post", by_secret()), by_key] {
        let stage = stage(&asking(provider, &client, ", jwks: {}"));
        expect_login(&stage, &token(provider, OPAQUE), OPAQUE.0);
        expect_login(&stage, &token(provider, READER), READER.0);
        expect_refusal(&stage, &token(provider, OPAQUE_STRANGER), "audience_mismatch");
    }
}

#[test]
fn a_token_that_was_revoked_opens_nothing_once_the_cache_is_over() {
    let Some(provider) = provider() else { return };
    for kept in ["0s", "2s"] {
        let client = format!("{}, cache_lifetime_max: {kept}", by_secret());
        let stage = stage(&asking(provider, &client, ""));
        let (revoked, other) = (token(provider, OPAQUE), token(provider, OPAQUE));
        expect_login(&stage, &revoked, OPAQUE.0);
        provider.revoke(OPAQUE.0, OPAQUE.1, &revoked);
        if kept != "0s" {
            wait_until("asked again", || !stage.is_let_in(&revoked));
        }
        expect_refusal(&stage, &revoked, "inactive");
        expect_login(&stage, &other, OPAQUE.0);
    }
}

#[test]
fn what_the_provider_does_not_know_or_will_not_say_opens_nothing() {
    let Some(provider) = provider() else { return };
    let stranger = OidcProvider::start(&*KEYS, &clients());
    let asked = stage(&asking(provider, &by_secret(), ""));
    expect_refusal(&asked, &token(&stranger, OPAQUE), "inactive");
    expect_refusal(&asked, "any-text-at-all", "inactive");
    // It says of no signed token whether it is active.
    expect_refusal(&asked, &token(provider, READER), "introspection_failed");
    let refused = stage(&asking(provider, "client_id: gateway, client_secret: another", ""));
    expect_refusal(&refused, &token(provider, OPAQUE), "introspection_failed");
    refused.expect_audit("the refusal", |line| {
        line["reason"].as_str().is_some_and(|reason| reason.contains("invalid_client"))
    });
}
