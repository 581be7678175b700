//! An issuer in the test's own hand: it signs any token, and serves its keys with any fault.
//!
//! Not the development issuer of the binary (`process::Issuer`), which only makes good tokens.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What `claims` says, and what the gateways of these tests want.
pub const ISSUER: &str = "https://idp.example";
pub const AUDIENCE: &str = "http://kafka.dev";

const PATIENCE: Duration = Duration::from_secs(20);

/// A key pair with its name.
pub struct Signer {
    kid: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// The key of all tests that do not say another.
pub static ES256: LazyLock<Signer> = LazyLock::new(|| Signer::es256("es256"));
/// The same with RSA: to find two primes takes longer than a test.
pub static RS256: LazyLock<Signer> = LazyLock::new(|| Signer::rs256("rs256"));

impl Signer {
    pub fn es256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
        Self { kid: kid.to_owned(), pair: Pair::Es256(pair.expect("keys can be made")) }
    }

    pub fn rs256(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("keys can be made");
        Self { kid: kid.to_owned(), pair: Pair::Rs256(pair) }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
        }
    }

    /// The public key as a key set has it.
    pub fn jwk(&self) -> Value {
        let kid = &self.kid;
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": x, "y": y})
            }
            Pair::Rs256(pair) => {
                // The DER of a 2048-bit key: nine bytes, the modulus, and 65537.
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": b64(&der[9..265]), "e": "AQAB"})
            }
        }
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_of(&json!({"alg": self.algorithm(), "kid": self.kid, "typ": "at+jwt"}), claims)
    }

    /// A token with this header, whatever it says, signed by this key.
    pub fn token_of(&self, header: &Value, claims: &Value) -> String {
        self.token_of_text(&header.to_string(), &claims.to_string())
    }

    /// A token of these texts, whether they are JSON or not, signed by this key.
    pub fn token_of_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Es256(pair) => {
                pair.sign(&random, message.as_bytes()).expect("a key signs").as_ref().to_vec()
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature)
                    .expect("a key signs");
                signature
            }
        };
        format!("{message}.{}", b64(signature))
    }
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The name of the key by which a token is signed.
pub fn key_id(token: &str) -> String {
    let header = token.split('.').next().expect("a text has a first part");
    let header = URL_SAFE_NO_PAD.decode(header).expect("a token's header is base64");
    let header: Value = serde_json::from_slice(&header).expect("a token's header is JSON");
    header["kid"].as_str().expect("a token's header names its key").to_owned()
}

/// A key set of these keys.
pub fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({"keys": keys}).to_string()
}

/// The claims of a good token for a principal, that lives for so many seconds.
pub fn claims(principal: &str, seconds: i64) -> Value {
    let now = now_seconds();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": principal, "client_id": principal,
        "iat": now, "exp": now + seconds,
    })
}

/// These claims with some of them exchanged; null takes one away.
pub fn with(mut claims: Value, exchanged: Value) -> Value {
    let Value::Object(exchanged) = exchanged else { panic!("claims are an object: {exchanged}") };
    let of_token = claims.as_object_mut().expect("claims are an object");
    for (name, value) in exchanged {
        of_token.insert(name, value);
    }
    of_token.retain(|_, value| !value.is_null());
    claims
}

pub fn now_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    i64::try_from(now.as_secs()).expect("the clock is right")
}

/// Serves a key set over HTTP, with faults at will, and counts how often it is asked.
pub struct KeyServer {
    shared: Arc<Shared>,
}

struct Shared {
    port: u16,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    jwks: String,
    fault: Option<Fault>,
    asked: usize,
    is_gone: bool,
}

/// What is wrong with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this code.
    Status(u16),
    /// It takes the question, and answers when the fault is mended.
    Stalled,
    /// It closes without an answer.
    Dead,
}

impl KeyServer {
    pub fn start(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let state = State { jwks: jwks(signers), fault: None, asked: 0, is_gone: false };
        let shared = Arc::new(Shared { port, state: Mutex::new(state), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || accepting.accept(&listener));
        Self { shared }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/jwks", self.shared.port)
    }

    /// From now on these are its keys.
    pub fn rotate(&self, signers: &[&Signer]) {
        self.shared.state().jwks = jwks(signers);
    }

    /// From now on this is wrong with it; `None` mends it, also for those who wait.
    pub fn fails(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
        self.shared.changed.notify_all();
    }

    /// How often it has been asked for its keys.
    pub fn asked(&self) -> usize {
        self.shared.state().asked
    }

    /// Waits until it has been asked so often.
    pub fn wait_until_asked(&self, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while state.asked < times {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "asked for keys {} times, not {times}", state.asked);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.is_gone = true;
            state.fault = None;
        }
        self.shared.changed.notify_all();
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.shared.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.state().is_gone {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = self.clone();
            // Who asks may go away before the answer; that is his affair.
            thread::spawn(move || drop(shared.serve(stream)));
        }
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut question = Vec::new();
        let mut chunk = [0; 4096];
        while !question.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                count => question.extend_from_slice(&chunk[..count]),
            }
        }
        let mut state = self.state();
        state.asked += 1;
        self.changed.notify_all();
        while state.fault == Some(Fault::Stalled) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (status, body) = match state.fault {
            Some(Fault::Dead) => return Ok(()),
            Some(Fault::Status(code)) => (code, String::from("{}")),
            _ => (200, state.jwks.clone()),
        };
        drop(state);
        let head = format!(
            "HTTP/1.1 {status} told\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())
    }
}
