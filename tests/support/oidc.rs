//! The npm package oidc-provider as an issuer: started on a port of its own with the keys and clients of a test.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use super::process::{Background, ConfigFile, client_credentials, granted_token, http_get, http_post};
use super::{ports, provided};

/// The program, which knows all about that package.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc/provider.mjs");

/// What the tokens say in `aud`, of clients that are made without a word about it.
pub const AUDIENCE: &str = "http://kafka.dev";

/// An answer that is not here by now does not come: a machine with two cores may compile beside the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this run has it.
pub fn is_here() -> bool {
    provided::required("SLUICEGATE_OIDC_PROVIDER", "oidc-provider")
}

/// A private key with its name and what it signs by.
#[derive(Clone)]
pub struct Key {
    pub kid: String,
    pub algorithm: &'static str,
    pub pem: String,
    pub public_pem: String,
}

impl Key {
    pub fn es256(kid: &str) -> Self {
        Self::of(kid, "ES256", KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256))
    }

    pub fn ed25519(kid: &str) -> Self {
        Self::of(kid, "EdDSA", KeyPair::generate_for(&PKCS_ED25519))
    }

    pub fn rs256(kid: &str) -> Self {
        Self::of(kid, "RS256", KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048))
    }

    fn of(kid: &str, algorithm: &'static str, pair: Result<KeyPair, rcgen::Error>) -> Self {
        let pair = pair.expect("a key can be made");
        Self { kid: kid.to_owned(), algorithm, pem: pair.serialize_pem(), public_pem: pair.public_key_pem() }
    }
}

/// Keys of all tests that do not say others.
pub static KEYS: LazyLock<[Key; 2]> = LazyLock::new(|| [Key::rs256("rsa-1"), Key::es256("ec-1")]);

/// A client: what the issuer knows of it, and what its tokens are like.
#[derive(Clone)]
pub struct Registration(Value);

impl Registration {
    /// With a secret that it says in the body, and tokens that are JWTs signed by this algorithm.
    pub fn new(id: &str, secret: &str, algorithm: &str) -> Self {
        Self(json!({
            "metadata": {
                "client_id": id, "client_secret": secret, "token_endpoint_auth_method": "client_secret_post",
            },
            "tokens": {"format": "jwt", "audience": AUDIENCE, "alg": algorithm, "lifetime": 300},
        }))
    }

    /// With a key instead of a secret (`private_key_jwt`), by this algorithm alone.
    pub fn by_key(id: &str, key: &Key, algorithm: &str) -> Self {
        let Self(mut client) = Self::by_assertion(id, algorithm);
        client["key"] = json!({"kid": key.kid, "pem": key.public_pem});
        Self(client)
    }

    /// The same, with a public key as a key set has it.
    pub fn by_jwk(id: &str, jwk: &Value, algorithm: &str) -> Self {
        let Self(mut client) = Self::by_assertion(id, algorithm);
        client["metadata"]["jwks"] = json!({"keys": [jwk]});
        Self(client)
    }

    fn by_assertion(id: &str, algorithm: &str) -> Self {
        let Self(mut client) = Self::new(id, "", "ES256");
        client["metadata"] = json!({
            "client_id": id, "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm,
        });
        Self(client)
    }

    /// Its tokens are for somebody else.
    pub fn for_audience(mut self, audience: &str) -> Self {
        self.0["tokens"]["audience"] = json!(audience);
        self
    }

    /// Its tokens live for so many seconds.
    pub fn with_tokens_for(mut self, seconds: u32) -> Self {
        self.0["tokens"]["lifetime"] = json!(seconds);
        self
    }

    /// Its tokens say nothing to anybody but the issuer.
    pub fn with_opaque_tokens(mut self) -> Self {
        self.0["tokens"]["format"] = json!("opaque");
        self
    }
}

/// A running oidc-provider.
pub struct OidcProvider {
    port: u16,
    clients: Vec<Registration>,
    running: Mutex<Option<Running>>,
}

/// The process, with the file that it was started by.
type Running = (Background, ConfigFile);

impl OidcProvider {
    /// Of the keys, the first of an algorithm signs.
    pub fn start(keys: &[Key], clients: &[Registration]) -> Self {
        let provider = Self { port: ports::free(), clients: clients.to_vec(), running: Mutex::new(None) };
        provider.restart(keys);
        provider
    }

    /// Ends it, and starts it again with these keys and the same clients.
    pub fn restart(&self, keys: &[Key]) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the next one wants its port.
        drop(running.take());
        let keys: Vec<Value> = keys
            .iter()
            .map(|Key { kid, algorithm, pem, .. }| json!({"kid": kid, "alg": algorithm, "pem": pem}))
            .collect();
        let clients: Vec<&Value> = self.clients.iter().map(|Registration(client)| client).collect();
        let file = ConfigFile::new(&json!({"port": self.port, "keys": keys, "clients": clients}).to_string());
        let path = file.path().to_str().expect("a path in UTF-8");
        let mut process = Background::start("node", &[PROGRAM, path]);
        process.wait_until("ready", |_| {
            http_get(self.port, "/.well-known/openid-configuration").is_some_and(|(code, _)| code == 200)
        });
        *running = Some((process, file));
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn token_url(&self) -> String {
        format!("{}/token", self.issuer())
    }

    pub fn introspection_url(&self) -> String {
        format!("{}/token/introspection", self.issuer())
    }

    /// A token of a client that says its secret in the body.
    pub fn token(&self, client: &str, secret: &str) -> String {
        granted_token(self.post("/token", &client_credentials(client, secret)))
    }

    /// Has a token of that client count no more (RFC 7009).
    pub fn revoke(&self, client: &str, secret: &str, token: &str) {
        let form = format!("token={token}&client_id={client}&client_secret={secret}");
        let (code, answer) = self.post("/token/revocation", &form);
        assert_eq!(code, 200, "{answer}");
    }

    /// Asks until it answers whole, for it may be on its way from one start to the next.
    fn post(&self, path: &str, form: &str) -> (u16, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = http_post(self.port, path, form) {
                return answer;
            }
            assert!(Instant::now() < deadline, "oidc-provider does not answer");
            sleep(Duration::from_millis(20));
        }
    }
}
