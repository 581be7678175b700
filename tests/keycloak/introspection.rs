//! Keycloak asked about its tokens by the gateway, which is a confidential client of the realm.

use serde_json::json;

use crate::site::{OTHER, REALM, keycloak, sees_orders, stage_with};
use crate::support::keycloak::{AUDIENCE, Keycloak};

/// An item of `authentication`: Keycloak is asked about every token at each login.
fn asked(keycloak: &Keycloak, client: &str, secret: &str) -> String {
    format!(
        "{{type: oauth_bearer, \
         introspection: {{endpoint: \"{}\", client_id: {client}, client_secret: {secret}, cache_lifetime_max: 0s}}, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}, claims_mapping: {{sub: client_id}}}}",
        keycloak.introspection_url(REALM),
        keycloak.issuer(REALM)
    )
}

const IS_READER: &str = "context.auth.token.claims.realm_access.roles.includes('reader')";

#[test]
fn a_token_opens_sessions_until_it_is_revoked() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage_with(vec![asked(keycloak, "gateway", "gw-secret")], IS_READER);
    let new_token = || keycloak.token(REALM, "asked-app", "some-secret");
    assert!(!stage.is_let_in(&new_token()), "Keycloak tells a client only of tokens that are for it");
    keycloak.add_audience(REALM, "asked-app", "gateway");
    let token = new_token();
    let mut client = stage.log_in_at(stage.setup.tenants[0].port, &token);
    assert_eq!(sees_orders(&mut client), 0, "what Keycloak says are the claims of conditions");
    stage.expect_audit("the login", |line| line["outcome"] == "success" && line["principal"] == "asked-app");
    assert!(!stage.is_let_in(&keycloak.token(OTHER, "asked-app", "some-secret")), "of another realm");
    keycloak.revoke(REALM, "asked-app", "some-secret", &token);
    assert!(!stage.is_let_in(&token), "revoked");
    assert!(stage.is_let_in(&new_token()), "a new one");
    stage.expect_refused_logins("oauth_bearer", "inactive", 3.0);
}

#[test]
fn the_tokens_of_a_disabled_client_open_nothing_at_once() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage_with(vec![asked(keycloak, "gateway", "gw-secret")], IS_READER);
    keycloak.add_audience(REALM, "suspended-app", "gateway");
    let token = keycloak.token(REALM, "suspended-app", "some-secret");
    assert!(stage.is_let_in(&token));
    keycloak.change_client(REALM, "suspended-app", |client| client["enabled"] = json!(false));
    assert!(!stage.is_let_in(&token));
}

#[test]
fn a_gateway_with_a_wrong_secret_lets_nobody_in() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage_with(vec![asked(keycloak, "gateway", "wrong")], IS_READER);
    assert!(!stage.is_let_in(&keycloak.token(REALM, "reader-app", "reader-secret")));
    stage.expect_refused_logins("oauth_bearer", "introspection_failed", 1.0);
    stage.expect_audit("the refusal", |line| {
        line["reason"].as_str().is_some_and(|why| why.contains("answers 401"))
    });
}
