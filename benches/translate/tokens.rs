//! Logins by a token of the usual size.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sluicegate::auth::{BearerToken, Identity, KeyRing, KeySet, Rejected, Rules, Verifier};

/// A token, and the verifier that knows its key.
pub struct Login {
    pub name: &'static str,
    verifier: Verifier,
    token: BearerToken,
    key: ParsedPublicKey,
    message: String,
    signature: Vec<u8>,
}

impl Login {
    pub fn rs256() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the machine has randomness");
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
        let jwk = json!({"kty": "RSA", "kid": "RS256", "n": b64(&modulus), "e": "AQAB"});
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        Self::new("RS256", &jwk, key.expect("it is a key"), |message| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                .expect("the signature fits the modulus");
            signature
        })
    }

    pub fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the curve is known");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32); // behind one byte that says how
        let jwk = json!({"kty": "EC", "kid": "ES256", "crv": "P-256", "x": b64(x), "y": b64(y)});
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        Self::new("ES256", &jwk, key.expect("it is a key"), |message| {
            let signature = pair.sign(&SystemRandom::new(), message).expect("the machine has randomness");
            signature.as_ref().to_vec()
        })
    }

    fn new(name: &'static str, jwk: &Value, key: ParsedPublicKey, sign: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let key_set = json!({"keys": [jwk]}).to_string();
        let (keys, _) = KeySet::from_jwks(key_set.as_bytes()).expect("the key set is one");
        let ring = KeyRing::empty();
        ring.replace(keys, now());
        let rules = Rules {
            issuer: Some("https://idp.example".to_owned()),
            audiences: vec!["http://kafka.dev".to_owned()],
            ..Rules::default()
        };
        let header = json!({"alg": name, "typ": "at+jwt", "kid": name});
        let claims = json!({
            "iss": "https://idp.example", "sub": "producer-app", "client_id": "producer-app",
            "aud": ["http://kafka.dev"], "iat": NOW_SECONDS, "nbf": NOW_SECONDS, "exp": NOW_SECONDS + 300,
            "jti": "7d9f2f1c-52cb-4a77-8cf5-6c1d8f4ad2a1", "scope": "kafka.read kafka.write",
        });
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = sign(message.as_bytes());
        let token = BearerToken::new(format!("{message}.{}", b64(&signature)));
        Self { name, verifier: Verifier::new(rules, Arc::new(ring)), token, key, message, signature }
    }

    /// What no verifier can do without.
    #[inline(never)]
    pub fn check_signature(&self) -> bool {
        self.key.verify_sig(self.message.as_bytes(), &self.signature).is_ok()
    }

    /// The first login with a token.
    #[inline(never)]
    pub fn verify(&self) -> Result<Identity, Rejected> {
        self.verifier.verify(&self.token, None, now())
    }

    /// A login with a token that was here before.
    #[inline(never)]
    pub fn recall(&self) -> Option<Result<Identity, Rejected>> {
        self.verifier.recall(&self.token, None, now())
    }

    pub fn check(&self) {
        assert!(self.recall().is_none() && self.check_signature(), "{}", self.name);
        for verdict in [Some(self.verify()), self.recall()] {
            let is_right = |identity: Identity| identity.principal.name() == "producer-app";
            assert!(verdict.is_some_and(|verdict| verdict.is_ok_and(is_right)), "{}", self.name);
        }
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_SECONDS)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

const NOW_SECONDS: u64 = 1_700_000_000;
