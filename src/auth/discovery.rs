//! Which documents an issuer describes itself in, and where these say its keys are.
//!
//! Source: RFC 8414 sections 3 and 5, OpenID Connect Discovery 1.0 section 4.

use serde_json::Value;
use url::Url;

use super::json;
use super::token_source::is_in_clear;

/// The addresses at which an issuer may describe itself, in the order in which they are asked.
///
/// Shape: OpenID Connect puts the well-known part behind the issuer's path, RFC 8414 before it.
/// Errors: `InvalidIssuer` when the issuer is no URL that may be asked.
pub fn metadata_urls(issuer: &str, insecure_allow_http: bool) -> Result<[Url; 2], InvalidIssuer> {
    let url = Url::parse(issuer).map_err(|_| InvalidIssuer::NoUrl)?;
    check_address(&url, insecure_allow_http)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidIssuer::Query);
    }
    let path = url.path().trim_end_matches('/');
    let at = |path: String| {
        let mut there = url.clone();
        there.set_path(&path);
        there
    };
    Ok([at(format!("{path}{OPENID}")), at(format!("{OAUTH}{path}"))])
}

/// Where the keys of an issuer are, as its own document says.
///
/// Errors: `InvalidMetadata` when the document is another issuer's, or leads where keys must not come from.
/// Source: RFC 8414 section 3.3: the `issuer` must be identical to the one that was asked for.
pub fn jwks_uri(document: &[u8], issuer: &str, insecure_allow_http: bool) -> Result<Url, InvalidMetadata> {
    let document = json::read_object(document, VALUES_MAX).ok_or(InvalidMetadata::NotAnObject)?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(InvalidMetadata::OtherIssuer);
    }
    let uri = document.get("jwks_uri").and_then(Value::as_str).ok_or(InvalidMetadata::NoKeys)?;
    let uri = Url::parse(uri).map_err(|_| InvalidMetadata::Address(InvalidIssuer::NoUrl))?;
    check_address(&uri, insecure_allow_http).map_err(InvalidMetadata::Address)?;
    // What is trusted because it came over https is not to be left to plain http on this machine.
    if uri.scheme() == "http" && issuer.starts_with("https:") && !insecure_allow_http {
        return Err(InvalidMetadata::Address(InvalidIssuer::PlainHttp));
    }
    Ok(uri)
}

/// Whether keys may come from an address: https, or plain http on this machine.
pub fn check_address(url: &Url, insecure_allow_http: bool) -> Result<(), InvalidIssuer> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidIssuer::Credentials);
    }
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(InvalidIssuer::NoUrl);
    }
    if is_in_clear(url) && !insecure_allow_http {
        return Err(InvalidIssuer::PlainHttp);
    }
    Ok(())
}

/// Why an address is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    #[error("it is no URL like https://idp.example")]
    NoUrl,
    #[error("it is plain http to another machine, so anybody on the way could forge tokens; use https")]
    PlainHttp,
    #[error("a URL with a user or a password is not supported")]
    Credentials,
    #[error("an issuer has neither a query nor a fragment")]
    Query,
}

/// What is wrong with an issuer's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    #[error("the issuer's metadata is not one JSON object of bounded size without repeated members")]
    NotAnObject,
    #[error(
        "the issuer's metadata names another issuer; write validate.issuer as the issuer does, to the letter"
    )]
    OtherIssuer,
    #[error("the issuer's metadata has no jwks_uri")]
    NoKeys,
    #[error("the issuer's metadata leads to no keys by its jwks_uri: {0}")]
    Address(InvalidIssuer),
}

/// Reads whatever it is given; what is accepted leads to an address that may be asked.
#[doc(hidden)]
pub fn fuzz_metadata(document: &[u8]) {
    if let Ok(url) = jwks_uri(document, "https://idp.example", false) {
        assert_eq!(url.scheme(), "https");
    }
}

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
/// The largest we have seen has about three hundred.
const VALUES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::super::minting::Noise;
    use super::*;
    use serde_json::json;

    #[test]
    fn an_issuer_is_asked_where_both_standards_say() {
        let check = |issuer: &str, expected: [&str; 2]| {
            let urls = metadata_urls(issuer, false).unwrap().map(|url| url.to_string());
            assert_eq!(urls, expected, "{issuer}");
        };
        for issuer in ["https://idp.example", "https://idp.example/"] {
            check(
                issuer,
                [
                    "https://idp.example/.well-known/openid-configuration",
                    "https://idp.example/.well-known/oauth-authorization-server",
                ],
            );
        }
        for issuer in ["https://idp.example:8443/realms/a", "https://idp.example:8443/realms/a/"] {
            check(
                issuer,
                [
                    "https://idp.example:8443/realms/a/.well-known/openid-configuration",
                    "https://idp.example:8443/.well-known/oauth-authorization-server/realms/a",
                ],
            );
        }
    }

    #[test]
    fn i_01_plain_http_is_asked_on_this_machine_alone() {
        let check = |issuer: &str, allowed: bool, expected: Result<(), InvalidIssuer>| {
            assert_eq!(metadata_urls(issuer, allowed).map(|_| ()), expected, "{issuer}");
        };
        for near in ["http://localhost:9080", "http://127.0.0.1:1/x", "http://127.8.0.1", "http://[::1]:80"] {
            check(near, false, Ok(()));
        }
        for far in [
            "http://idp.example",
            "http://localhost.evil.example",
            "http://169.254.169.254",
            "http://10.0.0.1",
        ] {
            check(far, false, Err(InvalidIssuer::PlainHttp));
            check(far, true, Ok(()));
        }
        for none in ["idp.example", "file:///etc/passwd", "ftp://idp.example", "https://", "data:,x", ""] {
            check(none, true, Err(InvalidIssuer::NoUrl));
        }
        check("https://me:pw@idp.example", true, Err(InvalidIssuer::Credentials));
        check("https://idp.example?realm=a", true, Err(InvalidIssuer::Query));
        check("https://idp.example#a", true, Err(InvalidIssuer::Query));
    }

    #[test]
    fn i_14_a_document_is_taken_only_from_the_issuer_that_was_asked() {
        let issuer = "https://idp.example";
        let check = |document: Value, expected: Result<&str, InvalidMetadata>| {
            let found = jwks_uri(document.to_string().as_bytes(), issuer, false);
            assert_eq!(found.as_ref().map(Url::as_str), expected.as_ref().copied(), "{document}");
        };
        let keys = "https://keys.example/jwks";
        check(json!({"issuer": issuer, "jwks_uri": keys, "more": [1, {}]}), Ok(keys));
        for other in
            ["https://idp.example/", "HTTPS://idp.example", "https://idp.example ", "https://evil.example"]
        {
            check(json!({"issuer": other, "jwks_uri": keys}), Err(InvalidMetadata::OtherIssuer));
        }
        check(json!({"issuer": [issuer], "jwks_uri": keys}), Err(InvalidMetadata::OtherIssuer));
        check(json!({"jwks_uri": keys}), Err(InvalidMetadata::OtherIssuer));
        check(json!({"issuer": issuer}), Err(InvalidMetadata::NoKeys));
        check(json!({"issuer": issuer, "jwks_uri": 5}), Err(InvalidMetadata::NoKeys));
        for (uri, why) in [
            ("http://keys.example/jwks", InvalidIssuer::PlainHttp),
            ("http://127.0.0.1/jwks", InvalidIssuer::PlainHttp),
            ("file:///etc/passwd", InvalidIssuer::NoUrl),
            ("/jwks", InvalidIssuer::NoUrl),
            ("https://a:b@keys.example/", InvalidIssuer::Credentials),
        ] {
            check(json!({"issuer": issuer, "jwks_uri": uri}), Err(InvalidMetadata::Address(why)));
        }
        let twice = format!(r#"{{"issuer":"{issuer}","issuer":"{issuer}","jwks_uri":"{keys}"}}"#);
        assert_eq!(jwks_uri(twice.as_bytes(), issuer, false).unwrap_err(), InvalidMetadata::NotAnObject);
        let local =
            json!({"issuer": "http://localhost:1", "jwks_uri": "http://localhost:1/jwks"}).to_string();
        assert!(jwks_uri(local.as_bytes(), "http://localhost:1", false).is_ok());
    }

    #[test]
    fn noise_is_never_a_panic() {
        let mut noise = Noise::new();
        let sample =
            json!({"issuer": "https://idp.example", "jwks_uri": "https://idp.example/jwks"}).to_string();
        for _ in 0..2_000 {
            fuzz_metadata(&noise.mutated(sample.as_bytes()));
        }
    }
}
