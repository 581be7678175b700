//! Whose tokens are taken, and what they grant.

use crate::site::{OTHER, REALM, ROTATING, authentication, keycloak, sees_orders, stage, stage_with};
use crate::support::codes::{SASL_AUTHENTICATION_FAILED, TOPIC_AUTHORIZATION_FAILED};
use crate::support::keycloak::AUDIENCE;
use crate::support::stage::Stage;

fn told_of_orders(stage: &Stage, token: &str) -> i16 {
    sees_orders(&mut stage.log_in_at(stage.setup.tenants[0].port, token))
}

#[test]
fn a_client_is_known_by_the_name_it_has_in_keycloak() {
    let Some(keycloak) = keycloak() else { return };
    for claim in ["client_id", "azp"] {
        let stage = stage(keycloak, &[REALM], &format!("context.auth.token.claims.{claim} == 'reader-app'"));
        assert_eq!(told_of_orders(&stage, &keycloak.token(REALM, "reader-app", "reader-secret")), 0);
        let other = keycloak.token(REALM, "producer-app", "producer-secret");
        assert_eq!(told_of_orders(&stage, &other), TOPIC_AUTHORIZATION_FAILED);
        stage.expect_audit("the login", |line| {
            line["outcome"] == "success" && line["principal"] == "reader-app"
        });
    }
}

#[test]
fn a_role_of_the_realm_grants_what_its_condition_says() {
    let Some(keycloak) = keycloak() else { return };
    for condition in [
        "context.auth.token.claims.realm_access.roles.includes('reader')",
        "'reader' in context.auth.token.claims.realm_access.roles",
    ] {
        let stage = stage(keycloak, &[REALM], condition);
        assert_eq!(told_of_orders(&stage, &keycloak.token(REALM, "reader-app", "reader-secret")), 0);
        let writer = keycloak.token(REALM, "producer-app", "producer-secret");
        assert_eq!(told_of_orders(&stage, &writer), TOPIC_AUTHORIZATION_FAILED);
    }
}

#[test]
fn two_realms_are_two_issuers_of_one_virtual_cluster() {
    let Some(keycloak) = keycloak() else { return };
    let of_the_first = format!("context.auth.token.claims.iss == '{}'", keycloak.issuer(REALM));
    let stage = stage(keycloak, &[REALM, OTHER], &of_the_first);
    assert_eq!(told_of_orders(&stage, &keycloak.token(REALM, "reader-app", "reader-secret")), 0);
    // Of the same name, and let in, but not the same.
    let namesake = keycloak.token(OTHER, "reader-app", "reader-secret");
    assert_eq!(told_of_orders(&stage, &namesake), TOPIC_AUTHORIZATION_FAILED);
}

#[test]
fn a_realm_that_the_file_does_not_name_opens_nothing() {
    let Some(keycloak) = keycloak() else { return };
    let stage = stage(keycloak, &[REALM, OTHER], "true");
    for stranger in [keycloak.token(ROTATING, "reader-app", "reader-secret"), keycloak.administrators_token()]
    {
        assert!(!stage.is_let_in(&stranger));
    }
    assert!(stage.is_let_in(&keycloak.token(OTHER, "reader-app", "reader-secret")));
}

#[test]
fn a_realm_says_itself_where_its_keys_are() {
    let Some(keycloak) = keycloak() else { return };
    let of_the_realm = format!(
        "{{type: oauth_bearer, mediation: terminate, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}], authorized_parties: [reader-app], \
         required_claims: [{{name: realm_access.roles, values: [reader]}}]}}, claims_mapping: {{sub: azp}}}}",
        keycloak.issuer(REALM)
    );
    let stage = stage_with(vec![of_the_realm], "context.auth.principal.name == 'reader-app'");
    assert_eq!(told_of_orders(&stage, &keycloak.token(REALM, "reader-app", "reader-secret")), 0);
    assert!(!stage.is_let_in(&keycloak.token(REALM, "producer-app", "producer-secret")));
    assert!(!stage.is_let_in(&keycloak.token(OTHER, "reader-app", "reader-secret")));
}

#[test]
fn a_client_that_knows_nothing_of_oauth_logs_in_by_its_id_and_its_secret() {
    let Some(keycloak) = keycloak() else { return };
    for way in ["basic", "post"] {
        let by_plain = format!(
            "{{type: sasl_plain, token_endpoint: {{endpoint: \"{}\", client_authentication: {way}}}}}",
            keycloak.token_url(REALM)
        );
        let stage = stage_with(
            vec![authentication(keycloak, REALM), by_plain],
            "context.auth.token.claims.realm_access.roles.includes('reader')",
        );
        let log_in = |id: &str, secret: &str| {
            let mut client = stage.connect();
            let answer = client.authenticate_by_plain(id, secret);
            (client, answer.error_code)
        };
        let (mut reader, code) = log_in("reader-app", "reader-secret");
        assert_eq!((code, sees_orders(&mut reader)), (0, 0));
        let (mut writer, code) = log_in("producer-app", "producer-secret");
        assert_eq!((code, sees_orders(&mut writer)), (0, TOPIC_AUTHORIZATION_FAILED));
        for (id, secret, word) in
            [("reader-app", "producer-secret", "unauthorized_client"), ("nobody", "s", "invalid_client")]
        {
            assert_eq!(log_in(id, secret).1, SASL_AUTHENTICATION_FAILED);
            stage.expect_audit(word, |line| {
                line["outcome"] == "failure"
                    && line["reason"].as_str().is_some_and(|reason| reason.contains(word))
            });
        }
    }
}
