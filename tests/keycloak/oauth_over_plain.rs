//! Clients that know only names and passwords, and log in with their id and their secret.

use serde_json::json;

use crate::site::{REALM, authentication, keycloak, sees_orders, stage_with};
use crate::support::client::{Client, plain};
use crate::support::codes::TOPIC_AUTHORIZATION_FAILED;
use crate::support::keycloak::Keycloak;
use crate::support::stage::{Stage, wait_until};

/// Shows the topic to readers who came by PLAIN.
fn stage(keycloak: &Keycloak, more: &str) -> Stage {
    let endpoint = keycloak.token_url(REALM);
    let plain = format!("{{type: sasl_plain, token_endpoint: {{endpoint: \"{endpoint}\"{more}}}}}");
    let condition = "context.auth.type == 'sasl_plain' && \
                     context.auth.token.claims.realm_access.roles.includes('reader')";
    stage_with(vec![authentication(keycloak, REALM), plain], condition)
}

/// Whether a client is let in, and how long its session lasts, in milliseconds.
fn log_in(stage: &Stage, id: &str, secret: &str) -> Option<(Client, i64)> {
    let mut client = stage.connect();
    let answer = client.authenticate_by_plain(id, secret);
    (answer.error_code == 0).then_some((client, answer.session_lifetime_ms))
}

fn expect_refusal(stage: &Stage, id: &str, secret: &str, word: &str) {
    assert!(log_in(stage, id, secret).is_none(), "{id} is let in");
    stage.expect_audit(word, |line| {
        let reason = line["reason"].as_str().unwrap_or_default();
        line["outcome"] == "failure"
            && reason.contains("the token endpoint refuses")
            && reason.ends_with(word)
    });
}

#[test]
fn a_client_logs_in_by_its_id_and_its_secret_as_name_and_password() {
    let Some(keycloak) = keycloak() else { return };
    for way in ["basic", "post"] {
        let stage = stage(keycloak, &format!(", client_authentication: {way}"));
        for (id, secret, sees) in [
            ("reader-app", "reader-secret", 0),
            ("producer-app", "producer-secret", TOPIC_AUTHORIZATION_FAILED),
        ] {
            let (mut client, lifetime) = log_in(&stage, id, secret).expect("the secret is right");
            assert!(lifetime > 0);
            assert_eq!(sees_orders(&mut client), sees, "{id}");
            stage.expect_audit(id, |line| line["principal"] == id && line["outcome"] == "success");
            client.handshake_again("PLAIN");
            let answer = client.authenticate(&plain(id, secret));
            assert_eq!(answer.error_code, 0, "{answer:?}");
        }
        expect_refusal(&stage, "reader-app", "producer-secret", "unauthorized_client");
        expect_refusal(&stage, "stranger-app", "reader-secret", "invalid_client");
        // A token comes once for each client, whoever it logs in as often.
        let fetched = "sluicegate_login_token_fetches_total{virtual_cluster=\"team\",result=\"success\"}";
        stage.expect_metric(fetched, 2.0);
    }
}

#[test]
fn a_client_that_is_disabled_and_a_secret_that_is_renewed_end_with_the_next_look() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage(keycloak, "");
    let apps = ["plain-disabled-app", "plain-renewed-app"];
    for app in apps {
        keycloak.change_client(REALM, app, |client| {
            client["attributes"]["access.token.lifespan"] = json!("12");
        });
        assert!(log_in(&stage, app, "some-secret").is_some());
    }
    keycloak.change_client(REALM, "plain-disabled-app", |client| client["enabled"] = json!(false));
    let renewed = keycloak.renew_secret(REALM, "plain-renewed-app");
    let (mut client, _) = log_in(&stage, "plain-renewed-app", &renewed).expect("the new secret is asked for");
    assert_eq!(sees_orders(&mut client), 0);
    for app in apps {
        wait_until("refused", || log_in(&stage, app, "some-secret").is_none());
    }
    expect_refusal(&stage, "plain-disabled-app", "some-secret", "invalid_client");
    expect_refusal(&stage, "plain-renewed-app", "some-secret", "unauthorized_client");
    assert!(log_in(&stage, "plain-renewed-app", &renewed).is_some());
}
