//! Whose tokens are taken: those of the issuer that the file names, for the audience that it names, whatever key it
//! signs by.

use crate::site::{
    OPAQUE, READER, STRANGER, WRITER, authentication, clients, expect_login, expect_refusal, provider, stage,
    token,
};
use crate::support::issuer::key_id;
use crate::support::oidc::{self, KEYS, Key, OidcProvider};
use crate::support::rotation;

#[test]
fn keys_are_found_by_the_issuer_and_tokens_of_both_kinds_of_key_taken() {
    let Some(provider) = provider() else { return };
    let stage = stage(&authentication(provider));
    for (client, kid) in [(READER, "rsa-1"), (WRITER, "ec-1")] {
        let token = token(provider, client);
        assert_eq!(key_id(&token), kid);
        expect_login(&stage, &token, client.0);
    }
}

#[test]
fn a_token_for_somebody_else_opens_nothing() {
    let Some(provider) = provider() else { return };
    let stage = stage(&authentication(provider));
    expect_refusal(&stage, &token(provider, STRANGER), "audience_mismatch");
    expect_refusal(&stage, &token(provider, OPAQUE), "not_a_jwt");
    expect_login(&stage, &token(provider, READER), READER.0);
}

#[test]
fn a_token_of_another_issuer_opens_nothing_also_not_by_the_same_key() {
    let Some(provider) = provider() else { return };
    let stage = stage(&authentication(provider));
    let stranger = OidcProvider::start(&*KEYS, &clients());
    expect_refusal(&stage, &token(&stranger, READER), "issuer_mismatch");
    stranger.restart(&[Key::rs256("rsa-2"), Key { kid: "ec-1".to_owned(), ..Key::es256("ec-2") }]);
    expect_refusal(&stage, &token(&stranger, READER), "unknown_key");
    expect_refusal(&stage, &token(&stranger, WRITER), "bad_signature");
    expect_login(&stage, &token(provider, READER), READER.0);
}

#[test]
fn no_login_fails_while_the_issuer_is_started_again_with_another_key() {
    if !oidc::is_here() {
        return;
    }
    let mut keys = vec![Key::es256("generation-0"), KEYS[0].clone()];
    let provider = OidcProvider::start(&keys, &clients());
    let stage = stage(&authentication(&provider));
    rotation::expect_no_failure(
        &stage,
        || token(&provider, WRITER),
        |time| {
            // The new one signs; those before it stay for as long as their tokens are about.
            keys.insert(0, Key::es256(&format!("generation-{time}")));
            provider.restart(&keys);
        },
    );
}
