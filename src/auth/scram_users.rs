//! The keys of those who may log in by SCRAM; a stranger has some too, which nothing fits.
//!
//! Source: RFC 5802 section 3, and section 5.1 for the stranger.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::plain::is_username;
use super::scram::ScramMechanism;
use crate::names::Secret;

/// Who may log in by SCRAM.
pub struct ScramUsers {
    mechanism: ScramMechanism,
    by_name: HashMap<String, Arc<StoredKeys>>,
    /// Of what form a stranger's keys are: length of the salt and count, one for each name in the file.
    forms: Vec<(usize, NonZeroU32)>,
    /// Made of all that the file keeps secret of them, so that every instance has the same.
    secret: hmac::Key,
}

/// What a server knows of a password.
pub struct StoredKeys {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    pub(super) stored_key: Zeroizing<Vec<u8>>,
    pub(super) server_key: hmac::Key,
    /// A stranger's keys fit no proof, not even by chance.
    pub(super) is_real: bool,
}

/// How the file knows somebody.
pub enum ScramSecret {
    Password(Secret),
    /// As Kafka writes it: `salt=…,stored_key=…,server_key=…,iterations=…`.
    Credential(Secret),
}

impl ScramUsers {
    /// Derives all keys, which takes some milliseconds for each password.
    ///
    /// Errors: the place in the list of what cannot be used, and why.
    pub fn new(
        mechanism: ScramMechanism,
        all: &[(String, ScramSecret)],
    ) -> Result<Self, (usize, InvalidScramUser)> {
        let secret = secret_of(mechanism, all);
        let mut users = Self { mechanism, by_name: HashMap::new(), forms: Vec::new(), secret };
        for (place, (name, known_by)) in all.iter().enumerate() {
            let keys = match known_by {
                ScramSecret::Password(password) => Ok(users.derived(name, password)),
                ScramSecret::Credential(text) => StoredKeys::read(mechanism, text.expose()),
            };
            let keys = keys.map_err(|why| (place, why))?;
            if !is_username(name) {
                return Err((place, InvalidScramUser::Name));
            }
            users.forms.push((keys.salt.len(), keys.iterations));
            if users.by_name.insert(name.clone(), Arc::new(keys)).is_some() {
                return Err((place, InvalidScramUser::Twice));
            }
        }
        Ok(users)
    }

    pub fn mechanism(&self) -> ScramMechanism {
        self.mechanism
    }

    /// The keys of a name; those of a stranger are the same whenever he is asked for.
    pub(super) fn keys(&self, name: &str) -> Arc<StoredKeys> {
        self.by_name.get(name).cloned().unwrap_or_else(|| Arc::new(self.of_stranger(name)))
    }

    fn of_stranger(&self, name: &str) -> StoredKeys {
        let place = self.noise("form", name);
        let place = place.iter().take(4).fold(0, |place, byte| place << 8 | usize::from(*byte));
        let form = place.checked_rem(self.forms.len()).and_then(|place| self.forms.get(place));
        let (salt_bytes, iterations) = form.copied().unwrap_or((SALT_BYTES, ITERATIONS));
        let (hmac_algorithm, _, _) = self.mechanism.algorithms();
        StoredKeys {
            salt: self.salt(name, salt_bytes),
            iterations,
            stored_key: self.noise("stored", name),
            server_key: hmac::Key::new(hmac_algorithm, &self.noise("server", name)),
            is_real: false,
        }
    }

    /// Of a stranger, and of whoever has a password in the file.
    fn salt(&self, name: &str, bytes: usize) -> Vec<u8> {
        let mut salt = Vec::new();
        let mut block = 0;
        while salt.len() < bytes {
            salt.extend_from_slice(&self.noise(&format!("salt {block}"), name));
            block += 1;
        }
        salt.truncate(bytes);
        salt
    }

    /// Bytes that only those can tell from random ones who know the file.
    fn noise(&self, what: &str, name: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(hmac::sign(&self.secret, format!("{what}\0{name}").as_bytes()).as_ref().to_vec())
    }

    fn derived(&self, name: &str, password: &Secret) -> StoredKeys {
        let (hmac_algorithm, digest_algorithm, pbkdf2_algorithm) = self.mechanism.algorithms();
        let salt = self.salt(name, SALT_BYTES);
        let mut salted = Zeroizing::new(vec![0; digest_algorithm.output_len()]);
        pbkdf2::derive(pbkdf2_algorithm, ITERATIONS, &salt, password.expose().as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac_algorithm, &salted);
        let client_key = Zeroizing::new(hmac::sign(&salted, b"Client Key").as_ref().to_vec());
        let stored_key = digest::digest(digest_algorithm, &client_key);
        let server_key = hmac::sign(&salted, b"Server Key");
        StoredKeys {
            salt,
            iterations: ITERATIONS,
            stored_key: Zeroizing::new(stored_key.as_ref().to_vec()),
            server_key: hmac::Key::new(hmac_algorithm, server_key.as_ref()),
            is_real: true,
        }
    }
}

impl fmt::Debug for ScramUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramUsers({}, {})", self.mechanism.name(), self.by_name.len())
    }
}

impl StoredKeys {
    /// Reads what Kafka's `ScramCredentialUtils` writes, with or without the mechanism around it.
    fn read(mechanism: ScramMechanism, text: &str) -> Result<Self, InvalidScramUser> {
        let around = text.strip_prefix(mechanism.name()).and_then(|rest| rest.strip_prefix("=["));
        let inner = around.map_or(Some(text), |rest| rest.strip_suffix(']'));
        let mut parts: HashMap<&str, &str> = HashMap::new();
        for part in inner.ok_or(InvalidScramUser::Credential)?.split(',') {
            let (key, value) = part.split_once('=').ok_or(InvalidScramUser::Credential)?;
            if parts.insert(key, value).is_some() {
                return Err(InvalidScramUser::Credential);
            }
        }
        let decoded = |key: &str| {
            let text = parts.get(key).ok_or(InvalidScramUser::Credential)?;
            STANDARD.decode(text).map(Zeroizing::new).map_err(|_| InvalidScramUser::Credential)
        };
        let (salt, stored_key, server_key) =
            (decoded("salt")?, decoded("stored_key")?, decoded("server_key")?);
        let (hmac_algorithm, digest_algorithm, _) = mechanism.algorithms();
        let key_bytes = digest_algorithm.output_len();
        if parts.len() != 4
            || !(1..=SALT_BYTES_MAX).contains(&salt.len())
            || stored_key.len() != key_bytes
            || server_key.len() != key_bytes
        {
            return Err(InvalidScramUser::Credential);
        }
        let iterations =
            parts.get("iterations").and_then(|count| count.parse().ok()).and_then(NonZeroU32::new);
        let iterations =
            iterations.filter(|count| (ITERATIONS.get()..=ITERATIONS_MAX).contains(&count.get()));
        Ok(Self {
            salt: salt.to_vec(),
            iterations: iterations.ok_or(InvalidScramUser::Iterations)?,
            stored_key,
            server_key: hmac::Key::new(hmac_algorithm, &server_key),
            is_real: true,
        })
    }
}

fn secret_of(mechanism: ScramMechanism, all: &[(String, ScramSecret)]) -> hmac::Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    for (name, known_by) in all {
        let (ScramSecret::Password(secret) | ScramSecret::Credential(secret)) = known_by;
        for part in [name.as_bytes(), b"\0", secret.expose().as_bytes(), b"\0"] {
            hash.update(part);
        }
    }
    hmac::Key::new(mechanism.algorithms().0, hash.finish().as_ref())
}

/// Why somebody cannot log in by SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScramUser {
    #[error("a username has 1 to 256 bytes and no control characters")]
    Name,
    #[error("this username stands twice")]
    Twice,
    #[error(
        "this is no credential of this algorithm; expected salt=…,stored_key=…,server_key=…,iterations=…, in \
         base64, as Kafka writes it"
    )]
    Credential,
    #[error("the credential has too few or too many iterations; expected {ITERATIONS} to {ITERATIONS_MAX}")]
    Iterations,
}

/// Kafka's own count, and the least of RFC 7677; clients compute as much at each login.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
const ITERATIONS_MAX: u32 = 1_000_000;
const SALT_BYTES: usize = 24;
const SALT_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn users(all: &[(&str, &str)]) -> ScramUsers {
        let known_by = |text: &str| match text.starts_with("salt=") {
            true => ScramSecret::Credential(Secret::new(text)),
            false => ScramSecret::Password(Secret::new(text)),
        };
        let all: Vec<_> = all.iter().map(|(name, text)| ((*name).to_owned(), known_by(text))).collect();
        ScramUsers::new(ScramMechanism::Sha256, &all).unwrap_or_else(|why| panic!("{why:?}"))
    }

    /// Of `pencil`, with the salt of RFC 7677 and its count.
    fn credential(salt: &str, iterations: &str) -> String {
        let key = STANDARD.encode([1; 32]);
        format!("salt={salt},stored_key={key},server_key={key},iterations={iterations}")
    }

    #[test]
    fn a_stranger_has_keys_of_a_known_form_that_never_change() {
        let two = users(&[("alice", "pencil"), ("bob", &credential("W22ZaJ0SNY7soEsUEjb6gQ==", "8192"))]);
        let again = users(&[("alice", "pencil"), ("bob", &credential("W22ZaJ0SNY7soEsUEjb6gQ==", "8192"))]);
        let mut forms = Vec::new();
        for number in 0..40 {
            let name = format!("stranger-{number}");
            let (keys, later) = (two.keys(&name), again.keys(&name));
            assert!(!keys.is_real);
            assert_eq!((&keys.salt, keys.iterations), (&later.salt, later.iterations));
            forms.push((keys.salt.len(), keys.iterations.get()));
        }
        forms.sort_unstable();
        forms.dedup();
        assert_eq!(forms, [(16, 8192), (24, 4096)]);
        assert_ne!(two.keys("x").salt, two.keys("y").salt);
        assert_ne!(two.keys("x").salt, users(&[("alice", "pencil2")]).keys("x").salt);
        assert_eq!(two.keys("alice").salt.len(), 24);
        assert!(two.keys("alice").is_real && two.keys("bob").is_real);
    }

    #[test]
    fn a_credential_is_read_as_kafka_writes_it() {
        let read =
            |text: &str| StoredKeys::read(ScramMechanism::Sha256, text).map(|keys| keys.iterations.get());
        let good = credential("W22ZaJ0SNY7soEsUEjb6gQ==", "8192");
        assert_eq!(read(&good), Ok(8192));
        assert_eq!(read(&format!("SCRAM-SHA-256=[{good}]")), Ok(8192));
        for (text, expected) in [
            (format!("SCRAM-SHA-512=[{good}]"), InvalidScramUser::Credential),
            (format!("SCRAM-SHA-256=[{good}"), InvalidScramUser::Credential),
            (format!("{good},iterations=1"), InvalidScramUser::Credential),
            (format!("{good},more=1"), InvalidScramUser::Credential),
            (good.replace("salt=W22Z", "salt=!"), InvalidScramUser::Credential),
            (good.replace("stored_key", "store"), InvalidScramUser::Credential),
            (credential("", "8192"), InvalidScramUser::Credential),
            (credential("W22ZaJ0SNY7soEsUEjb6gQ==", "4095"), InvalidScramUser::Iterations),
            (credential("W22ZaJ0SNY7soEsUEjb6gQ==", "1000001"), InvalidScramUser::Iterations),
            (String::new(), InvalidScramUser::Credential),
        ] {
            assert_eq!(read(&text), Err(expected), "{text}");
        }
        assert!(StoredKeys::read(ScramMechanism::Sha512, &good).is_err());
    }

    #[test]
    fn nobody_is_called_twice_or_by_nothing() {
        let all = |names: &[&str]| -> Vec<(String, ScramSecret)> {
            let one = |name: &&str| ((*name).to_owned(), ScramSecret::Password(Secret::new("x")));
            names.iter().map(one).collect()
        };
        let refused = |names| ScramUsers::new(ScramMechanism::Sha512, &all(names)).unwrap_err();
        assert_eq!(refused(&["a", "b", "a"]), (2, InvalidScramUser::Twice));
        assert_eq!(refused(&["a", ""]), (1, InvalidScramUser::Name));
        let two = ScramUsers::new(ScramMechanism::Sha512, &all(&["a", "b"])).unwrap();
        assert_eq!(format!("{two:?}"), "ScramUsers(SCRAM-SHA-512, 2)");
    }
}
