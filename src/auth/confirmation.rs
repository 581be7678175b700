//! Tokens that only their owner may bring: the claim `cnf`.
//!
//! Source: RFC 7800 section 3.1, RFC 8705 section 3.1, RFC 9449 section 7.2.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::PeerCertificate;
use super::json::Object;
use super::rejected::Rejected;

/// Whether a token that is bound to its sender comes from him; one that is not is anybody's.
///
/// Kafka's login can prove a certificate and nothing else, so every other binding is refused: a token
/// that is bound must not become one that is not.
pub(super) fn check_confirmation(
    claims: &Object,
    certificate: Option<&PeerCertificate>,
) -> Result<(), Rejected> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(()) };
    let Value::Object(members) = confirmation else { return Err(Rejected::WrongTypeOfClaim("cnf")) };
    let Some(bound) = members.get(CERTIFICATE).filter(|_| members.len() == 1) else {
        return Err(Rejected::SenderConstrained);
    };
    let bound = bound.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let bound = bound.ok_or(Rejected::WrongTypeOfClaim("cnf"))?;
    match certificate {
        None => Err(Rejected::CertificateMissing),
        Some(certificate) if bound == certificate.thumbprint => Ok(()),
        Some(_) => Err(Rejected::CertificateMismatch),
    }
}

const CERTIFICATE: &str = "x5t#S256";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn j_15_s_29_s_30_a_bound_token_is_good_with_its_certificate_alone() {
        let certificate =
            |byte: u8| PeerCertificate { thumbprint: [byte; 32], subject: "CN=a".to_owned(), not_after: 0 };
        let (own, other) = (certificate(1), certificate(2));
        let bound = URL_SAFE_NO_PAD.encode([1; 32]);
        let check = |cnf: Value, certificate: Option<&PeerCertificate>, expected: Result<(), &str>| {
            let claims = json!({"sub": "alice", "cnf": cnf});
            let verdict = check_confirmation(claims.as_object().unwrap(), certificate);
            assert_eq!(verdict.map_err(|why| why.label()), expected, "{cnf}");
        };
        check(json!({"x5t#S256": bound}), Some(&own), Ok(()));
        check(json!({"x5t#S256": bound}), Some(&other), Err("certificate_mismatch"));
        check(json!({"x5t#S256": bound}), None, Err("certificate_missing"));
        check(json!({"x5t#S256": ""}), Some(&own), Err("certificate_mismatch"));
        check(json!({"x5t#S256": "AQ"}), Some(&own), Err("certificate_mismatch"));
        for odd in [json!({"x5t#S256": 5}), json!({"x5t#S256": "="}), json!("x"), json!(null), json!([])] {
            check(odd, Some(&own), Err("wrong_type_of_claim"));
        }
        for unproven in [
            json!({}),
            json!({"jkt": "x"}),
            json!({"jwk": {}}),
            json!({"kid": "x"}),
            json!({"x5t#S256": bound, "jkt": "x"}),
        ] {
            check(unproven, Some(&own), Err("sender_constrained"));
        }
        assert_eq!(check_confirmation(json!({"sub": "alice"}).as_object().unwrap(), None), Ok(()));
    }
}
