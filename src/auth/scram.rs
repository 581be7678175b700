//! Our own login at a broker, by SCRAM-SHA-256 or SCRAM-SHA-512.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// A password; its bytes are wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    /// The password itself: for the proof, and for SASL/PLAIN.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Password({} bytes)", self.0.len())
    }
}

/// The two mechanisms that Kafka has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramMechanism {
    Sha256,
    Sha512,
}

impl ScramMechanism {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn algorithms(self) -> (hmac::Algorithm, &'static digest::Algorithm, pbkdf2::Algorithm) {
        match self {
            Self::Sha256 => (hmac::HMAC_SHA256, &digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256),
            Self::Sha512 => (hmac::HMAC_SHA512, &digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512),
        }
    }
}

/// The client's side of one exchange.
///
/// ```text
/// first() ──▶ on_challenge(server-first) ──▶ on_final(server-final)
///              proves that we know the        proves that the broker
///              password                       knows it too
/// ```
///
/// Limits: 4096 to 1,000,000 iterations, a salt of 512 bytes, messages of 4 KiB; a broker that asks for
/// more is after our time. A million iterations take about half a second, so the shell runs
/// `on_challenge` where waiting hurts nobody.
/// Source: RFC 5802, RFC 7677; like Kafka without channel binding, and with names and passwords as
/// they are.
pub struct ScramClient {
    mechanism: ScramMechanism,
    first_bare: String,
    nonce: String,
    password: Password,
    phase: Phase,
}

enum Phase {
    AwaitingChallenge,
    AwaitingFinal { server_key: hmac::Key, auth_message: String },
    Over,
}

impl ScramClient {
    /// Begins an exchange; the nonce must be random and used once.
    pub fn new(mechanism: ScramMechanism, username: &str, password: Password, nonce: [u8; 24]) -> Self {
        Self::with_nonce(mechanism, username, password, STANDARD.encode(nonce))
    }

    fn with_nonce(mechanism: ScramMechanism, username: &str, password: Password, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={username},r={nonce}");
        Self { mechanism, first_bare, nonce, password, phase: Phase::AwaitingChallenge }
    }

    /// The client-first message.
    pub fn first(&self) -> Vec<u8> {
        format!("{GS2_HEADER}{}", self.first_bare).into_bytes()
    }

    /// The client-final message for the broker's challenge.
    pub fn on_challenge(&mut self, message: &[u8]) -> Result<Vec<u8>, ScramError> {
        if !matches!(self.phase, Phase::AwaitingChallenge) {
            return Err(ScramError::OutOfTurn);
        }
        self.phase = Phase::Over;
        let challenge = Challenge::parse(message, &self.nonce)?;
        let without_proof = format!("c={},r={}", STANDARD.encode(GS2_HEADER), challenge.nonce);
        let auth_message = format!("{},{},{without_proof}", self.first_bare, challenge.text);

        let (hmac_algorithm, digest_algorithm, pbkdf2_algorithm) = self.mechanism.algorithms();
        let mut salted = Zeroizing::new(vec![0; digest_algorithm.output_len()]);
        let password = self.password.expose().as_bytes();
        pbkdf2::derive(pbkdf2_algorithm, challenge.iterations, &challenge.salt, password, &mut salted);
        let salted = hmac::Key::new(hmac_algorithm, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(digest_algorithm, client_key.as_ref());
        let stored_key = hmac::Key::new(hmac_algorithm, stored_key.as_ref());
        let signature = hmac::sign(&stored_key, auth_message.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();

        let server_key = hmac::sign(&salted, b"Server Key");
        let server_key = hmac::Key::new(hmac_algorithm, server_key.as_ref());
        self.phase = Phase::AwaitingFinal { server_key, auth_message };
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }

    /// Checks that the broker, too, knows the password; nothing may be sent to it before.
    pub fn on_final(&mut self, message: &[u8]) -> Result<(), ScramError> {
        let Phase::AwaitingFinal { server_key, auth_message } =
            std::mem::replace(&mut self.phase, Phase::Over)
        else {
            return Err(ScramError::OutOfTurn);
        };
        let message = text(message)?;
        let first = message.split(',').next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let signature = first.strip_prefix("v=").ok_or(ScramError::Malformed)?;
        let signature = STANDARD.decode(signature).map_err(|_| ScramError::Malformed)?;
        // Compares in constant time.
        hmac::verify(&server_key, auth_message.as_bytes(), &signature).map_err(|_| ScramError::Impostor)
    }
}

impl fmt::Debug for ScramClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::AwaitingChallenge => "awaiting challenge",
            Phase::AwaitingFinal { .. } => "awaiting final",
            Phase::Over => "over",
        };
        write!(f, "ScramClient({}, {phase})", self.mechanism.name())
    }
}

/// The server-first message.
struct Challenge<'m> {
    text: &'m str,
    nonce: &'m str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'m> Challenge<'m> {
    fn parse(message: &'m [u8], our_nonce: &str) -> Result<Self, ScramError> {
        let text = text(message)?;
        // A mandatory extension, `m=`, would stand first and is refused with whatever else does.
        let mut attributes = text.split(',');
        let mut attribute = |name| attributes.next().and_then(|next| next.strip_prefix(name));
        let nonce = attribute("r=").ok_or(ScramError::Malformed)?;
        let salt = attribute("s=").ok_or(ScramError::Malformed)?;
        let iterations = attribute("i=").ok_or(ScramError::Malformed)?;
        if nonce.len() <= our_nonce.len() || !nonce.starts_with(our_nonce) {
            return Err(ScramError::Nonce);
        }
        if !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScramError::Malformed);
        }
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Malformed)?;
        if !(1..=SALT_BYTES_MAX).contains(&salt.len()) {
            return Err(ScramError::Salt);
        }
        if iterations.is_empty() || !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ScramError::Malformed);
        }
        let iterations = iterations.parse().ok().and_then(NonZeroU32::new);
        let iterations = iterations
            .filter(|count| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&count.get()))
            .ok_or(ScramError::Iterations)?;
        Ok(Self { text, nonce, salt, iterations })
    }
}

/// Why a login at a broker failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("the broker's SCRAM message is malformed or too long")]
    Malformed,
    #[error("the broker's SCRAM message came out of turn")]
    OutOfTurn,
    #[error("the broker's nonce does not extend ours")]
    Nonce,
    #[error("the broker's salt is empty or longer than {SALT_BYTES_MAX} bytes")]
    Salt,
    #[error(
        "the broker's iteration count is not from {ITERATIONS_MIN} to {ITERATIONS_MAX}; set the user's \
         credentials anew with a count in this range"
    )]
    Iterations,
    #[error("the broker refused the login; check the user name and the password")]
    Refused,
    #[error("the broker does not know the password; check that it is the broker it should be")]
    Impostor,
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

/// No channel binding, no authorization id.
const GS2_HEADER: &str = "n,,";
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
const SALT_BYTES_MAX: usize = 512;
/// RFC 7677 section 4.
const ITERATIONS_MIN: u32 = 4096;
const ITERATIONS_MAX: u32 = 1_000_000;
