//! Clients, roles, secrets and keys that the administrator changes while the gateway runs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::site::{REALM, ROTATING, keycloak, log_in_again, sees_orders, stage};
use crate::support::codes::TOPIC_AUTHORIZATION_FAILED;
use crate::support::rotation;

const IS_READER: &str = "context.auth.token.claims.realm_access.roles.includes('reader')";

#[test]
fn no_login_fails_while_keys_are_rotated() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage(keycloak, &[ROTATING], IS_READER);
    let token = || keycloak.token(ROTATING, "reader-app", "reader-secret");
    rotation::expect_no_failure(&stage, token, |time| keycloak.rotate_keys(ROTATING, 100 + time * 100));
}

#[test]
fn a_disabled_client_gets_no_token_and_its_session_ends_with_the_last() {
    const LIFETIME: Duration = Duration::from_secs(12);
    let Some(keycloak) = keycloak() else { return };
    let stage = stage(keycloak, &[REALM], IS_READER);
    keycloak.change_client(REALM, "disabled-app", |client| {
        client["attributes"]["access.token.lifespan"] = json!(LIFETIME.as_secs().to_string());
    });
    let token = keycloak.token(REALM, "disabled-app", "some-secret");
    let begun = Instant::now();
    let mut client = stage.connect();
    let lifetime = client.log_in(&token);
    assert!((1..=12_000).contains(&lifetime), "{lifetime}");
    keycloak.change_client(REALM, "disabled-app", |client| client["enabled"] = json!(false));
    let (code, answer) = keycloak.ask_for_token(REALM, "disabled-app", "some-secret");
    assert!((400..500).contains(&code) && answer["access_token"].is_null(), "{code} {answer}");
    // The token was good when it was given, and the session lasts as long as it; on a machine that is so slow that
    // this time is over already, there is nothing to see.
    if begun.elapsed() < LIFETIME - Duration::from_secs(4) {
        assert_eq!(sees_orders(&mut client), 0);
    }
    client.expect_close();
    stage.expect_metric(
        "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"session_expired\"}",
        1.0,
    );
}

#[test]
fn a_changed_role_takes_effect_at_the_next_login_or_reauthentication() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage(keycloak, &[REALM], IS_READER);
    let token = || keycloak.token(REALM, "promoted-app", "some-secret");
    let log_in = || stage.log_in_at(stage.setup.tenants[0].port, &token());

    let mut client = log_in();
    assert_eq!(sees_orders(&mut client), TOPIC_AUTHORIZATION_FAILED);
    keycloak.give_role(REALM, "promoted-app", "reader");
    assert_eq!(
        sees_orders(&mut client),
        TOPIC_AUTHORIZATION_FAILED,
        "the session is still that of its token"
    );
    assert_eq!(sees_orders(&mut log_in()), 0);
    log_in_again(&mut client, &token());
    assert_eq!(sees_orders(&mut client), 0);

    keycloak.take_role(REALM, "promoted-app", "reader");
    assert_eq!(sees_orders(&mut client), 0, "the session is still that of its token");
    assert_eq!(sees_orders(&mut log_in()), TOPIC_AUTHORIZATION_FAILED);
    log_in_again(&mut client, &token());
    assert_eq!(sees_orders(&mut client), TOPIC_AUTHORIZATION_FAILED);
}

#[test]
fn a_secret_counts_until_it_is_renewed() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage(keycloak, &[REALM], IS_READER);
    let refused = |secret: &str| {
        let (code, answer) = keycloak.ask_for_token(REALM, "renewed-app", secret);
        assert_eq!((code, answer["error"].as_str()), (401, Some("unauthorized_client")), "{answer}");
    };
    refused("no-secret-of-anybody");
    let before = keycloak.token(REALM, "renewed-app", "some-secret");
    let renewed = keycloak.renew_secret(REALM, "renewed-app");
    refused("some-secret");
    assert!(stage.is_let_in(&keycloak.token(REALM, "renewed-app", &renewed)));
    // What was given by the old secret is good to its end.
    assert!(stage.is_let_in(&before));
}
