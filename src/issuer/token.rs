//! What a token says.

use serde_json::{Map, Value, json};

use super::Client;
use super::settings::RESERVED_CLAIMS;

/// What goes into a token besides the client.
pub struct Stamp<'a> {
    pub issuer: &'a str,
    pub audiences: &'a [String],
    /// Seconds since 1970.
    pub issued_at: u64,
    pub lifetime_seconds: u64,
    pub token_id: String,
}

/// The claims of a client's token; its extra claims win, except over the reserved ones.
pub fn claims(client: &Client, scope: Option<&str>, stamp: Stamp<'_>) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", json!(stamp.issuer));
    put("sub", json!(client.id));
    put("client_id", json!(client.id));
    put("azp", json!(client.id));
    put("aud", json!(stamp.audiences));
    put("iat", json!(stamp.issued_at));
    put("nbf", json!(stamp.issued_at));
    put("exp", json!(stamp.issued_at.saturating_add(stamp.lifetime_seconds)));
    put("jti", json!(stamp.token_id));
    if let Some(scope) = scope {
        put("scope", json!(scope));
    }
    for (name, value) in &client.claims {
        if !RESERVED_CLAIMS.contains(&name.as_str()) {
            claims.insert(name.clone(), value.clone());
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(extra: Value, scope: Option<&str>, expected: Value) {
        let mut client = Client::new("app", "secret");
        client.claims = extra.as_object().unwrap().clone();
        let stamp = Stamp {
            issuer: "http://i",
            audiences: &["one".to_owned(), "two".to_owned()],
            issued_at: 1000,
            lifetime_seconds: 300,
            token_id: "t".to_owned(),
        };
        let found = Value::from(claims(&client, scope, stamp));
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(found.get(name).unwrap_or(&Value::Null), value, "{name} in {found}");
        }
    }

    #[test]
    fn a_token_names_its_client_three_times_and_lives_as_long_as_told() {
        check(
            json!({}),
            Some("a b"),
            json!({"iss": "http://i", "sub": "app", "client_id": "app", "azp": "app", "aud": ["one", "two"],
                   "iat": 1000, "nbf": 1000, "exp": 1300, "jti": "t", "scope": "a b"}),
        );
        check(json!({}), None, json!({"scope": null}));
    }

    #[test]
    fn extra_claims_win_except_over_the_reserved() {
        check(
            json!({"sub": "me", "aud": "x", "nbf": "soon", "groups": ["g"], "iss": "http://evil", "exp": 1, "iat": 2}),
            None,
            json!({"sub": "me", "aud": "x", "nbf": "soon", "groups": ["g"], "iss": "http://i", "exp": 1300,
                   "iat": 1000, "client_id": "app"}),
        );
    }
}
