//! A key's own name, which nobody chooses: the hash of what makes it the key it is.
//!
//! Source: RFC 7638 section 3, RFC 8037 section 2.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json::Object;

/// The thumbprint of a public key that was found fit, in base64url.
pub(super) fn thumbprint(jwk: &Object) -> String {
    let text = |member: &str| jwk.get(member).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kty");
    // In the order of the alphabet, each as its JSON text; what is fit holds nothing to escape.
    let members: &[&str] = match kind {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let written: Vec<String> = members
        .iter()
        .map(|member| {
            let value = if kind == "RSA" && *member != "kty" {
                shortest(text(member))
            } else {
                text(member).to_owned()
            };
            format!("\"{member}\":\"{value}\"")
        })
        .collect();
    let written = format!("{{{}}}", written.join(","));
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, written.as_bytes()))
}

/// A number without the zeros that some libraries write before it.
fn shortest(number: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(number).unwrap_or_default();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    URL_SAFE_NO_PAD.encode(&bytes[zeros..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(jwk: Value, expected: &str) {
        assert_eq!(thumbprint(jwk.as_object().unwrap()), expected, "{jwk}");
    }

    #[test]
    fn the_examples_of_the_standards_have_their_thumbprints() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZ\
                 CiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJ\
                 ZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn\
                 iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        check(json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}), rsa);
        let padded = URL_SAFE_NO_PAD.encode([vec![0], URL_SAFE_NO_PAD.decode(n).unwrap()].concat());
        check(json!({"kty": "RSA", "n": padded, "e": "AAEAAQ"}), rsa);
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        check(json!({"kty": "OKP", "crv": "Ed25519", "x": x}), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
