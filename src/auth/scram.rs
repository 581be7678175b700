//! Our own login at a broker, by SCRAM-SHA-256 or SCRAM-SHA-512.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::credentials::ScramCredentials;

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

    pub(super) fn algorithms(self) -> (hmac::Algorithm, &'static digest::Algorithm, pbkdf2::Algorithm) {
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
/// `on_challenge` where waiting hurts nobody; the credentials remember the outcome for the next login.
/// Source: RFC 5802, RFC 7677; like Kafka without channel binding, and with names and passwords as
/// they are.
pub struct ScramClient {
    credentials: ScramCredentials,
    first_bare: String,
    nonce: String,
    phase: Phase,
}

enum Phase {
    AwaitingChallenge,
    /// Knows what the broker must answer.
    AwaitingFinal {
        signature: hmac::Tag,
    },
    Over,
}

impl ScramClient {
    /// Begins an exchange; the nonce must be random and used once.
    pub fn new(credentials: ScramCredentials, nonce: [u8; 24]) -> Self {
        Self::with_nonce(credentials, STANDARD.encode(nonce))
    }

    fn with_nonce(credentials: ScramCredentials, nonce: String) -> Self {
        let username = credentials.username().replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={username},r={nonce}");
        Self { credentials, first_bare, nonce, phase: Phase::AwaitingChallenge }
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

        let keys = self.credentials.keys(&challenge.salt, challenge.iterations);
        let signature = hmac::sign(&keys.stored_key, auth_message.as_bytes());
        let proof: Vec<u8> =
            keys.client_key.iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        self.phase =
            Phase::AwaitingFinal { signature: hmac::sign(&keys.server_key, auth_message.as_bytes()) };
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }

    /// Checks that the broker, too, knows the password; nothing may be sent to it before.
    pub fn on_final(&mut self, message: &[u8]) -> Result<(), ScramError> {
        let Phase::AwaitingFinal { signature: expected } = std::mem::replace(&mut self.phase, Phase::Over)
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
        constant_time::verify_slices_are_equal(expected.as_ref(), &signature)
            .map_err(|_| ScramError::Impostor)
    }
}

impl fmt::Debug for ScramClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::AwaitingChallenge => "awaiting challenge",
            Phase::AwaitingFinal { .. } => "awaiting final",
            Phase::Over => "over",
        };
        write!(f, "ScramClient({}, {phase})", self.credentials.mechanism().name())
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

#[cfg(test)]
mod tests {
    use super::super::minting::Noise;
    use super::*;
    use crate::names::Secret;

    const OUR_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

    fn client(mechanism: ScramMechanism, username: &str) -> ScramClient {
        let credentials = ScramCredentials::new(mechanism, username, Secret::new("pencil"));
        ScramClient::with_nonce(credentials, OUR_NONCE.to_owned())
    }

    fn challenge(nonce: &str, salt: &str, iterations: &str) -> String {
        format!("r={nonce},s={salt},i={iterations}")
    }

    /// A whole exchange: what the client proves, and what it takes as the broker's proof.
    fn check(mechanism: ScramMechanism, proof: &str, signature: &str) {
        let mut client = client(mechanism, "user");
        assert_eq!(client.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answer = client.on_challenge(challenge(NONCE, SALT, "4096").as_bytes()).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), format!("c=biws,r={NONCE},p={proof}"));
        client.on_final(format!("v={signature}").as_bytes()).unwrap();
    }

    #[test]
    fn the_example_of_rfc_7677_is_reproduced() {
        check(
            ScramMechanism::Sha256,
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        );
    }

    #[test]
    fn the_same_exchange_by_sha_512_agrees_with_another_implementation() {
        // No RFC has an example; these values were computed from RFC 5802 by other means.
        check(
            ScramMechanism::Sha512,
            "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
            "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
        );
    }

    #[test]
    fn a_name_is_escaped_and_a_nonce_is_printable() {
        assert_eq!(client(ScramMechanism::Sha256, "a=b,c").first(), b"n,,n=a=3Db=2Cc,r=rOprNGfwEbeRWgbNEkqO");
        let client = ScramClient::new(
            ScramCredentials::new(ScramMechanism::Sha512, "u", Secret::new("p")),
            [0xff; 24],
        );
        assert_eq!(client.first(), format!("n,,n=u,r={}", "/".repeat(32)).into_bytes());
    }

    #[test]
    fn a_broker_that_asks_for_the_wrong_thing_gets_no_proof() {
        let long_salt = STANDARD.encode([7; SALT_BYTES_MAX + 1]);
        let long_nonce = format!("{OUR_NONCE}{}", "x".repeat(MESSAGE_BYTES_MAX));
        let mandatory = format!("m=x,{}", challenge(NONCE, SALT, "4096"));
        for (challenge, expected) in [
            (challenge(OUR_NONCE, SALT, "4096"), ScramError::Nonce),
            (challenge("another-nonce-altogether", SALT, "4096"), ScramError::Nonce),
            (challenge("", SALT, "4096"), ScramError::Nonce),
            (challenge(&format!("{OUR_NONCE} x"), SALT, "4096"), ScramError::Malformed),
            (challenge(&long_nonce, SALT, "4096"), ScramError::Malformed),
            (challenge(NONCE, "", "4096"), ScramError::Salt),
            (challenge(NONCE, &long_salt, "4096"), ScramError::Salt),
            (challenge(NONCE, "!", "4096"), ScramError::Malformed),
            (challenge(NONCE, SALT, "4095"), ScramError::Iterations),
            (challenge(NONCE, SALT, "1000001"), ScramError::Iterations),
            (challenge(NONCE, SALT, "0"), ScramError::Iterations),
            (challenge(NONCE, SALT, "4294967296"), ScramError::Iterations),
            (challenge(NONCE, SALT, "99999999999999999999999"), ScramError::Iterations),
            (challenge(NONCE, SALT, "+4096"), ScramError::Malformed),
            (challenge(NONCE, SALT, ""), ScramError::Malformed),
            (mandatory, ScramError::Malformed),
            (format!("r={NONCE},i=4096,s={SALT}"), ScramError::Malformed),
            (format!("r={NONCE},s={SALT}"), ScramError::Malformed),
            (String::new(), ScramError::Malformed),
        ] {
            let mut client = client(ScramMechanism::Sha256, "user");
            assert_eq!(client.on_challenge(challenge.as_bytes()), Err(expected), "{challenge}");
            // One attempt: a second challenge is not answered either.
            assert_eq!(client.on_challenge(challenge.as_bytes()), Err(ScramError::OutOfTurn));
        }
        let extended = format!("{},x=later", challenge(NONCE, SALT, "4096"));
        assert!(client(ScramMechanism::Sha256, "user").on_challenge(extended.as_bytes()).is_ok());
        assert_eq!(client(ScramMechanism::Sha256, "user").on_challenge(b"\xff"), Err(ScramError::Malformed));
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_found_out() {
        for (message, expected) in [
            (format!("v={}", STANDARD.encode([0; 32])), ScramError::Impostor),
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=".to_owned(), ScramError::Impostor),
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==".to_owned(), ScramError::Impostor),
            ("v=".to_owned(), ScramError::Impostor),
            ("v=!".to_owned(), ScramError::Malformed),
            ("e=invalid-proof".to_owned(), ScramError::Refused),
            (String::new(), ScramError::Malformed),
            ("x=1".to_owned(), ScramError::Malformed),
        ] {
            let mut client = client(ScramMechanism::Sha256, "user");
            client.on_challenge(challenge(NONCE, SALT, "4096").as_bytes()).unwrap();
            assert_eq!(client.on_final(message.as_bytes()), Err(expected), "{message}");
            assert_eq!(client.on_final(message.as_bytes()), Err(ScramError::OutOfTurn));
        }
        let mut early = client(ScramMechanism::Sha256, "user");
        assert_eq!(early.on_final(b"v="), Err(ScramError::OutOfTurn));
    }

    #[test]
    fn noise_from_a_broker_is_never_a_panic_and_never_a_success() {
        let mut noise = Noise::new();
        let good = challenge(NONCE, SALT, "4096");
        for _ in 0..300 {
            let mut client = client(ScramMechanism::Sha256, "user");
            // A mutated count may be large, and would only cost time.
            let message = noise.mutated(good.trim_end_matches("4096").as_bytes());
            let _ = client.on_challenge(&message);
            assert!(client.on_final(&noise.mutated(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5n")).is_err());
        }
    }

    #[test]
    fn a_client_shows_its_mechanism_and_how_far_it_is() {
        let mut client = client(ScramMechanism::Sha256, "user");
        assert_eq!(format!("{client:?}"), "ScramClient(SCRAM-SHA-256, awaiting challenge)");
        client.on_challenge(challenge(NONCE, SALT, "4096").as_bytes()).unwrap();
        assert_eq!(format!("{client:?}"), "ScramClient(SCRAM-SHA-256, awaiting final)");
    }

    #[test]
    fn a_second_login_with_remembered_keys_proves_the_same() {
        let credentials = ScramCredentials::new(ScramMechanism::Sha256, "user", Secret::new("pencil"));
        let answer = |credentials: &ScramCredentials| {
            let mut client = ScramClient::with_nonce(credentials.clone(), OUR_NONCE.to_owned());
            let answer = client.on_challenge(challenge(NONCE, SALT, "4096").as_bytes()).unwrap();
            client.on_final(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
            answer
        };
        assert_eq!(answer(&credentials), answer(&credentials));
    }
}
