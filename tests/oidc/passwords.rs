//! Clients that log in by PLAIN, with the id and the secret that they have at the provider.

use crate::introspection::{asking, by_secret};
use crate::site::{GATEWAY, OPAQUE, READER, SPELLED, STRANGER, authentication, provider, stage_with};
use crate::support::codes::SASL_AUTHENTICATION_FAILED;

#[test]
fn an_id_and_its_secret_become_a_token_that_is_held_to_the_same_rules() {
    let Some(provider) = provider() else { return };
    for way in ["basic", "post"] {
        let by_plain = format!(
            "{{type: sasl_plain, token_endpoint: {{endpoint: \"{}\", client_authentication: {way}}}}}",
            provider.token_url()
        );
        // Signed tokens are verified by keys, opaque ones asked about.
        for (bearer, clients) in [
            (authentication(provider), [READER, SPELLED]),
            (asking(provider, &by_secret(), ", jwks: {}"), [SPELLED, OPAQUE]),
        ] {
            let stage = stage_with(vec![bearer, by_plain.clone()]);
            let log_in = |(id, secret)| stage.connect().authenticate_by_plain(id, secret).error_code;
            for client in clients {
                assert_eq!(log_in(client), 0, "{} by {way}", client.0);
                stage.expect_audit("the login", |line| {
                    line["outcome"] == "success" && line["principal"] == client.0
                });
            }
            for (client, reason) in [
                ((READER.0, GATEWAY.1), "invalid_client"),
                (("nobody", "no-secret"), "invalid_client"),
                (STRANGER, "for another audience"),
            ] {
                assert_eq!(log_in(client), SASL_AUTHENTICATION_FAILED, "{} by {way}", client.0);
                stage.expect_audit(reason, |line| {
                    line["outcome"] == "failure"
                        && line["reason"].as_str().is_some_and(|told| told.contains(reason))
                });
            }
        }
    }
}
