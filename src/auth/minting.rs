//! Keys and tokens for the tests of this room.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Algorithm, BearerToken, KeyRing, KeySet, Rules, Verifier};

/// The time of every test that does not say another.
pub const NOW_SECONDS: u64 = 1_700_000_000;

pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One key pair of each kind; the test issuer signs with it.
pub struct Issuer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

/// The same for all tests: to find two primes takes longer than all the rest.
pub static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    p256: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    p384: EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
    ed25519: Ed25519KeyPair::generate().unwrap(),
});

impl Issuer {
    pub fn rsa_jwk(&self) -> Value {
        // The DER of a 2048-bit key: nine bytes, the modulus, and 65537.
        let der = self.rsa.public_key().as_ref();
        assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
        json!({"kty": "RSA", "kid": "rsa", "n": b64(&der[9..265]), "e": "AQAB"})
    }

    pub fn p256_jwk(&self) -> Value {
        let point = self.p256.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": "p256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
    }

    pub fn p384_jwk(&self) -> Value {
        let point = self.p384.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-384", "kid": "p384", "x": b64(&point[1..49]), "y": b64(&point[49..])})
    }

    pub fn ed25519_jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed25519.public_key())})
    }

    pub fn jwks(&self) -> Value {
        json!({"keys": [self.rsa_jwk(), self.p256_jwk(), self.p384_jwk(), self.ed25519_jwk()]})
    }

    /// The id of the key that signs this algorithm.
    pub fn key_id(algorithm: Algorithm) -> &'static str {
        match algorithm {
            Algorithm::Es256 => "p256",
            Algorithm::Es384 => "p384",
            Algorithm::EdDsa => "ed",
            _ => "rsa",
        }
    }

    pub fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::Es256 => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            Algorithm::Es384 => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            Algorithm::EdDsa => self.ed25519.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of exactly these texts, signed by Ed25519, the cheapest.
    pub fn token_of(&self, header: &str, payload: &str) -> BearerToken {
        let message = format!("{}.{}", b64(header), b64(payload));
        let signature = self.signature(Algorithm::EdDsa, message.as_bytes());
        BearerToken::new(format!("{message}.{}", b64(signature)))
    }

    pub fn token(&self, algorithm: Algorithm, claims: &Value) -> BearerToken {
        let header = json!({"alg": algorithm.name(), "kid": Self::key_id(algorithm)});
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.signature(algorithm, message.as_bytes());
        BearerToken::new(format!("{message}.{}", b64(signature)))
    }

    pub fn ring(&self) -> Arc<KeyRing> {
        ring(&self.jwks())
    }

    /// A verifier that knows this issuer's keys.
    pub fn verifier(&self, rules: Rules) -> Verifier {
        Verifier::new(rules, self.ring())
    }
}

pub fn ring(jwks: &Value) -> Arc<KeyRing> {
    let (keys, _) = KeySet::from_jwks(jwks.to_string().as_bytes()).unwrap();
    let ring = KeyRing::empty();
    ring.replace(keys, at(NOW_SECONDS));
    Arc::new(ring)
}

/// Rules that check everything.
pub fn rules() -> Rules {
    Rules {
        issuer: Some("https://idp.example".to_owned()),
        audiences: vec!["kafka".to_owned(), "http://kafka.dev".to_owned()],
        ..Rules::default()
    }
}

/// The claims of a good token, with some of them exchanged; null takes one away.
pub fn claims(exchanged: Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.example", "aud": "kafka", "sub": "alice", "scope": "a b",
        "iat": NOW_SECONDS - 60, "exp": NOW_SECONDS + 300,
    });
    for (name, value) in exchanged.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// Bytes that look random and are the same in every run.
pub struct Noise(u64);

impl Noise {
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    /// Some bytes of the sample flipped, taken out, doubled or replaced; at times nothing but noise.
    pub fn mutated(&mut self, sample: &[u8]) -> Vec<u8> {
        if self.below(8) == 0 {
            return (0..self.below(200)).map(|_| self.below(256) as u8).collect();
        }
        let mut bytes = sample.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2 => {
                    bytes.remove(at);
                }
                3 => bytes.truncate(at),
                _ => {
                    let end = at + self.below(bytes.len() - at);
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
        bytes
    }
}
