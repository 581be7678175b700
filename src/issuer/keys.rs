//! The signing key, and the set that verifies what it and its forerunners signed.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};

use super::{Algorithm, IssuerError};

/// A key pair with its id and its public half as it is published.
pub struct SigningKey {
    id: String,
    algorithm: Algorithm,
    pair: Pair,
    jwk: Value,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes a key; an RSA key takes a good part of a second.
    ///
    /// Shape: without an id it is called by its thumbprint.
    /// Source: RFC 7517 and 7518 (keys), RFC 8037 (Ed25519), RFC 7638 (thumbprint).
    pub fn generate(algorithm: Algorithm, id: Option<String>) -> Result<Self, IssuerError> {
        let failed = |_| IssuerError::Key(algorithm);
        let (pair, public) = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let n = BASE64.encode(pair.public_key().modulus().big_endian_without_leading_zero());
                let e = BASE64.encode(pair.public_key().exponent().big_endian_without_leading_zero());
                (Pair::Rsa(pair), json!({"e": e, "kty": "RSA", "n": n}))
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
                // An uncompressed point: one byte that says so, then the two coordinates.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(P256_COORDINATE_BYTES);
                let public =
                    json!({"crv": "P-256", "kty": "EC", "x": BASE64.encode(x), "y": BASE64.encode(y)});
                (Pair::Ec(pair), public)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let public =
                    json!({"crv": "Ed25519", "kty": "OKP", "x": BASE64.encode(pair.public_key().as_ref())});
                (Pair::Ed(pair), public)
            }
        };
        // The members above are the required ones in the order of their names, as a thumbprint wants them.
        let id = id.unwrap_or_else(|| BASE64.encode(digest(&SHA256, public.to_string().as_bytes())));
        let mut jwk = Map::from_iter([
            ("kid".to_owned(), json!(id)),
            ("use".to_owned(), json!("sig")),
            ("alg".to_owned(), json!(algorithm.name())),
        ]);
        jwk.extend(public.as_object().cloned().unwrap_or_default());
        Ok(Self { id, algorithm, pair, jwk: jwk.into() })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// A compact JWS over the claims.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, IssuerError> {
        let header = json!({"alg": self.algorithm.name(), "typ": "JWT", "kid": self.id});
        let claims = Value::from(claims.clone());
        let mut token =
            format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = self.signature(token.as_bytes()).ok_or(IssuerError::Key(self.algorithm))?;
        token.push('.');
        token.push_str(&BASE64.encode(signature));
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Pair::Ec(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Ed(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// The key that signs now, and the public halves of those before it.
pub struct KeySet {
    signing: SigningKey,
    /// Newest first.
    old: Vec<Value>,
    /// How many keys there have been: the number in the name of a key that is called by the operator.
    generation: u64,
}

impl KeySet {
    pub fn new(signing: SigningKey) -> Self {
        Self { signing, old: Vec::new(), generation: 1 }
    }

    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The set after a new key took over.
    ///
    /// Limits: keeps the newest `keep` old keys, at most `OLD_KEYS_MAX`.
    pub fn rotated(&self, signing: SigningKey, keep: usize) -> Self {
        let old = std::iter::once(&self.signing.jwk).chain(&self.old).take(keep.min(OLD_KEYS_MAX));
        Self { signing, old: old.cloned().collect(), generation: self.generation + 1 }
    }

    /// The public halves, the newest first.
    pub fn jwks(&self) -> Value {
        json!({"keys": std::iter::once(&self.signing.jwk).chain(&self.old).collect::<Vec<_>>()})
    }
}

const P256_COORDINATE_BYTES: usize = 32;
/// Anybody may rotate, so the set has to have an end; gateways bound the sets they read.
pub const OLD_KEYS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::{Jwk, ThumbprintHash};

    fn ids(set: &KeySet) -> Vec<String> {
        let jwks = set.jwks();
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    fn key(id: &str) -> SigningKey {
        SigningKey::generate(Algorithm::EdDsa, Some(id.to_owned())).unwrap()
    }

    #[test]
    fn a_key_without_a_name_is_called_by_its_thumbprint() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let key = SigningKey::generate(algorithm, None).unwrap();
            let jwk: Jwk = serde_json::from_value(key.jwk.clone()).unwrap();
            assert_eq!(key.id(), jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), "{algorithm}");
        }
    }

    #[test]
    fn nothing_private_is_published() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let key = SigningKey::generate(algorithm, None).unwrap();
            for name in key.jwk.as_object().unwrap().keys() {
                let public = ["kid", "use", "alg", "kty", "n", "e", "crv", "x", "y"];
                assert!(public.contains(&name.as_str()), "{algorithm}: {name}");
            }
        }
    }

    #[test]
    fn old_keys_stay_as_long_as_they_are_wanted() {
        let set = KeySet::new(key("a")).rotated(key("b"), OLD_KEYS_MAX).rotated(key("c"), OLD_KEYS_MAX);
        assert_eq!(ids(&set), ["c", "b", "a"]);
        assert_eq!(set.signing().id(), "c");
        assert_eq!(ids(&set.rotated(key("d"), 1)), ["d", "c"]);
        assert_eq!(ids(&set.rotated(key("d"), 0)), ["d"]);
    }

    #[test]
    fn the_set_has_an_end() {
        let set = (0..40).fold(KeySet::new(key("first")), |set, _| set.rotated(key("next"), usize::MAX));
        assert_eq!(ids(&set).len(), 1 + OLD_KEYS_MAX);
        assert_eq!(set.generation(), 41);
    }
}
