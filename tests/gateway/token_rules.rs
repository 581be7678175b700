//! What a token must say beside who signed it, and that a token is not verified twice.

use serde_json::{Value, json};

use crate::support::issuer::{AUDIENCE, ES256, ISSUER, RS256, Signer, claims, with};
use crate::support::stage::{Stage, token};

/// A stage whose tenant takes tokens by these keys of `validate`, and by these of the entry.
fn stage_with(validate: &str, more: &str) -> Stage {
    Stage::start_with(1, |setup, jwks| {
        setup.tenant().authentication = vec![format!(
            "{{type: oauth_bearer, jwks: {jwks}, validate: {{issuer: \"{ISSUER}\", \
             audiences: [{{name: \"{AUDIENCE}\"}}]{validate}}}{more}}}"
        )];
    })
}

fn token_with(exchanged: Value) -> String {
    ES256.token(&with(claims("alice", 3600), exchanged))
}

#[test]
fn j_14_s_26_types_and_parties_and_claims_are_those_of_the_file() {
    let stage = stage_with(
        ", types: [at+jwt], authorized_parties: [alice], required_claims: [{name: realm_access.roles, values: [kafka]}]",
        "",
    );
    let good = json!({"realm_access": {"roles": ["x", "kafka"]}});
    assert!(stage.is_let_in(&token_with(good.clone())));
    assert!(!stage.is_let_in(&token("alice")), "without the claim");
    assert!(!stage.is_let_in(&token_with(json!({"realm_access": {"roles": ["x"]}}))));
    let other_party = with(claims("alice", 3600), good.clone());
    assert!(!stage.is_let_in(&ES256.token(&with(other_party.clone(), json!({"azp": "stranger"})))));
    assert!(!stage.is_let_in(&ES256.token_of(&json!({"alg": "ES256", "kid": "es256"}), &other_party)));
}

#[test]
fn the_principal_may_stand_inside_another_claim() {
    let stage = stage_with("", ", claims_mapping: {sub: \"person['http://x.y/name']\"}");
    assert!(stage.is_let_in(&token_with(json!({"person": {"http://x.y/name": "zoe"}}))));
    stage.expect_audit("zoe", |line| line["principal"] == "zoe");
    assert!(!stage.is_let_in(&token("alice")));
}

#[test]
fn j_15_s_29_s_30_a_token_that_is_bound_to_a_sender_is_no_bearer_token() {
    let stage = stage_with("", "");
    for cnf in [json!({"x5t#S256": "A".repeat(43)}), json!({"jkt": "x"}), json!({})] {
        assert!(!stage.is_let_in(&token_with(json!({"cnf": cnf}))), "{cnf}");
    }
}

#[test]
fn j_19_a_token_is_verified_once_until_its_key_is_gone() {
    let stage = stage_with("", "");
    let source = stage.keys.url();
    let source = source.trim_start_matches("http://");
    let lookups = |result| {
        stage.metric(&format!("sluicegate_token_lookups_total{{source=\"{source}\",result=\"{result}\"}}"))
    };
    let token = token("alice");
    for _ in 0..5 {
        assert!(stage.is_let_in(&token));
    }
    assert_eq!((lookups("new"), lookups("known")), (1.0, 4.0));
    stage.keys.rotate(&[&RS256]);
    let stranger = Signer::es256("stranger").token(&claims("alice", 3600));
    assert!(!stage.is_let_in(&stranger), "an unknown key has the set fetched");
    assert!(!stage.is_let_in(&token), "its key is gone");
    stage.keys.rotate(&[&ES256]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !stage.is_let_in(&token) {
        assert!(std::time::Instant::now() < deadline, "the key is back");
    }
}
