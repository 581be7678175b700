//! A client that proves itself at a token endpoint by a key instead of a secret.
//!
//! Source: RFC 7523 section 2.2 and 3, OpenID Connect Core section 9 (`private_key_jwt`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::jwk::{Algorithm, install_provider};
use crate::names::Secret;

/// The key of a client and what is written into each assertion.
#[derive(Clone)]
pub struct ClientAssertion {
    algorithm: Algorithm,
    key: Arc<EncodingKey>,
    key_id: Option<String>,
    audience: String,
}

impl ClientAssertion {
    /// A key that signs; which is tried, so that a wrong one is told before it is needed.
    ///
    /// Shape: the key as PEM; the audience is mostly the token endpoint's own URL.
    pub fn new(
        algorithm: Algorithm,
        key: &Secret,
        key_id: Option<String>,
        audience: impl Into<String>,
    ) -> Result<Self, UnfitKey> {
        let pem = key.expose().as_bytes();
        let read = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem),
            _ => EncodingKey::from_rsa_pem(pem),
        };
        let key = Arc::new(read.map_err(|_| UnfitKey(algorithm))?);
        let assertion = Self { algorithm, key, key_id, audience: audience.into() };
        assertion.sign("client", "id", UNIX_EPOCH).map(|_| assertion)
    }

    /// An assertion of this client, good for one request; the id must never have been used before.
    pub fn sign(&self, client_id: &str, id: &str, now: SystemTime) -> Result<Secret, UnfitKey> {
        install_provider();
        let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": self.audience, "jti": id,
            "iat": issued, "nbf": issued, "exp": issued + LIFETIME.as_secs(),
        });
        let mut header = Header::new(self.algorithm.as_jsonwebtoken());
        header.kid.clone_from(&self.key_id);
        let signed = jsonwebtoken::encode(&header, &claims, &self.key);
        signed.map(Secret::new).map_err(|_| UnfitKey(self.algorithm))
    }
}

impl fmt::Debug for ClientAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAssertion")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// The key does not sign by this algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no private key in PEM form that signs by {}; EC and Ed25519 keys are wanted as PKCS#8", self.0.name())]
pub struct UnfitKey(pub Algorithm);

/// Long enough for a request and for clocks that differ, and nobody else has any use for it.
const LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use jsonwebtoken::{DecodingKey, Validation};
    use rcgen::{
        KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData,
        SignatureAlgorithm,
    };
    use serde_json::Value;

    use super::*;

    fn pair(algorithm: &'static SignatureAlgorithm) -> (Secret, KeyPair) {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        (Secret::new(pair.serialize_pem()), pair)
    }

    #[test]
    fn s_33_an_assertion_says_who_it_is_for_and_is_signed_by_the_client_s_key() {
        for (algorithm, kind) in [
            (Algorithm::Es256, &PKCS_ECDSA_P256_SHA256),
            (Algorithm::Es384, &PKCS_ECDSA_P384_SHA384),
            (Algorithm::EdDsa, &PKCS_ED25519),
        ] {
            let (pem, pair) = pair(kind);
            let endpoint = "https://idp.example/token";
            let assertion = ClientAssertion::new(algorithm, &pem, Some("k1".to_owned()), endpoint).unwrap();
            let now = UNIX_EPOCH + Duration::from_secs(1000);
            let signed = assertion.sign("gateway", "unique", now).unwrap();
            let point = pair.der_bytes();
            let key = match algorithm {
                Algorithm::EdDsa => DecodingKey::from_ed_der(point),
                _ => DecodingKey::from_ec_der(point),
            };
            let mut validation = Validation::new(algorithm.as_jsonwebtoken());
            validation.set_audience(&[endpoint]);
            validation.validate_exp = false;
            let read = jsonwebtoken::decode::<Value>(signed.expose(), &key, &validation).unwrap();
            assert_eq!(read.header.kid.as_deref(), Some("k1"));
            let expected = json!({
                "iss": "gateway", "sub": "gateway", "aud": endpoint, "jti": "unique",
                "iat": 1000, "nbf": 1000, "exp": 1060,
            });
            assert_eq!(read.claims, expected);
        }
    }

    #[test]
    fn a_key_that_does_not_fit_is_told_when_it_is_read() {
        let (p256, _) = pair(&PKCS_ECDSA_P256_SHA256);
        let (ed25519, _) = pair(&PKCS_ED25519);
        for (algorithm, key) in [
            (Algorithm::Rs256, &p256),
            (Algorithm::Es384, &p256),
            (Algorithm::EdDsa, &p256),
            (Algorithm::Es256, &ed25519),
            (Algorithm::Es256, &Secret::new("no PEM")),
            (Algorithm::Ps256, &Secret::new("")),
        ] {
            let refused = ClientAssertion::new(algorithm, key, None, "a").unwrap_err();
            assert_eq!(refused, UnfitKey(algorithm));
        }
    }

    #[test]
    fn no_key_is_shown() {
        let (pem, _) = pair(&PKCS_ED25519);
        let assertion = ClientAssertion::new(Algorithm::EdDsa, &pem, None, "https://idp.example").unwrap();
        assert_eq!(
            format!("{assertion:?}"),
            "ClientAssertion { algorithm: EdDsa, key_id: None, audience: \"https://idp.example\", .. }"
        );
        let signed = assertion.sign("gateway", "unique", UNIX_EPOCH).unwrap();
        let header = signed.expose().split('.').next().unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).unwrap();
        assert_eq!(header, br#"{"typ":"JWT","alg":"EdDSA"}"#);
    }
}
