//! Our name and password at a broker, and the keys that SCRAM derives from them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

use super::scram::ScramMechanism;
use crate::names::Secret;

/// With what the gateway logs in at a broker by SCRAM.
///
/// Clones share what was derived, so that a thousand connections that come back at once do not each
/// compute it.
#[derive(Clone, Debug)]
pub struct ScramCredentials {
    mechanism: ScramMechanism,
    username: String,
    password: Secret,
    derived: Arc<DerivedKeys>,
}

impl ScramCredentials {
    pub fn new(mechanism: ScramMechanism, username: impl Into<String>, password: Secret) -> Self {
        Self { mechanism, username: username.into(), password, derived: Arc::default() }
    }

    pub fn mechanism(&self) -> ScramMechanism {
        self.mechanism
    }

    pub fn username(&self) -> &str {
        &self.username
    }

    /// The keys for a broker's salt and count, computed by the first who asks; the others wait for it.
    pub(super) fn keys(&self, salt: &[u8], iterations: NonZeroU32) -> Arc<ScramKeys> {
        let place = self.derived.place(salt, iterations);
        Arc::clone(
            place.keys.get_or_init(|| {
                Arc::new(ScramKeys::derive(self.mechanism, &self.password, salt, iterations))
            }),
        )
    }
}

/// What a proof needs of the password.
///
/// Source: RFC 5802 section 3.
pub(super) struct ScramKeys {
    pub client_key: Zeroizing<Vec<u8>>,
    pub stored_key: hmac::Key,
    pub server_key: hmac::Key,
}

impl ScramKeys {
    fn derive(mechanism: ScramMechanism, password: &Secret, salt: &[u8], iterations: NonZeroU32) -> Self {
        let (hmac_algorithm, digest_algorithm, pbkdf2_algorithm) = mechanism.algorithms();
        let mut salted = Zeroizing::new(vec![0; digest_algorithm.output_len()]);
        pbkdf2::derive(pbkdf2_algorithm, iterations, salt, password.expose().as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac_algorithm, &salted);
        let client_key = Zeroizing::new(hmac::sign(&salted, b"Client Key").as_ref().to_vec());
        let stored_key = digest::digest(digest_algorithm, &client_key);
        let server_key = hmac::sign(&salted, b"Server Key");
        Self {
            client_key,
            stored_key: hmac::Key::new(hmac_algorithm, stored_key.as_ref()),
            server_key: hmac::Key::new(hmac_algorithm, server_key.as_ref()),
        }
    }
}

/// What was derived so far, the latest used last.
#[derive(Default)]
struct DerivedKeys {
    places: Mutex<Vec<Arc<Place>>>,
}

impl DerivedKeys {
    /// The place for one salt and count; the lock is held for the search only, never while computing.
    fn place(&self, salt: &[u8], iterations: NonZeroU32) -> Arc<Place> {
        // Nothing in here leaves the list half changed.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.iter().position(|place| place.salt == salt && place.iterations == iterations);
        let place = match known {
            Some(at) => places.remove(at),
            None => {
                if places.len() == PLACES_MAX {
                    places.remove(0);
                }
                Arc::new(Place { salt: salt.to_vec(), iterations, keys: OnceLock::new() })
            }
        };
        places.push(Arc::clone(&place));
        place
    }
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKeys")
    }
}

struct Place {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    keys: OnceLock<Arc<ScramKeys>>,
}

/// All brokers of a cluster have the same salt for a user until his password is set anew; the rest is
/// for clusters whose brokers do not agree yet.
const PLACES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: NonZeroU32 = NonZeroU32::new(4096).unwrap();

    fn credentials() -> ScramCredentials {
        ScramCredentials::new(ScramMechanism::Sha256, "user", Secret::new("pencil"))
    }

    /// Whether both are the outcome of one computation.
    fn check(one: &Arc<ScramKeys>, other: &Arc<ScramKeys>, expected: bool) {
        assert_eq!(Arc::ptr_eq(one, other), expected);
    }

    #[test]
    fn keys_are_computed_once_for_a_salt_and_shared_by_clones() {
        let ours = credentials();
        let first = ours.keys(b"salt", FEW);
        check(&first, &ours.keys(b"salt", FEW), true);
        check(&first, &ours.clone().keys(b"salt", FEW), true);
        check(&first, &credentials().keys(b"salt", FEW), false);
    }

    #[test]
    fn another_salt_or_another_count_has_keys_of_its_own() {
        let ours = credentials();
        let first = ours.keys(b"salt", FEW);
        for (salt, iterations) in [(&b"sal"[..], FEW), (b"salt", FEW.saturating_add(1))] {
            let other = ours.keys(salt, iterations);
            check(&first, &other, false);
            assert_ne!(first.client_key, other.client_key);
            assert_ne!(
                hmac::sign(&first.server_key, b"").as_ref(),
                hmac::sign(&other.server_key, b"").as_ref()
            );
        }
    }

    #[test]
    fn a_broker_that_always_finds_a_new_salt_drives_out_only_what_is_not_used() {
        let ours = credentials();
        let used = ours.keys(b"used", FEW);
        let forgotten = ours.keys(b"forgotten", FEW);
        for salt in 0..PLACES_MAX as u8 {
            ours.keys(&[salt], FEW);
            check(&used, &ours.keys(b"used", FEW), true);
            assert!(ours.derived.places.lock().unwrap().len() <= PLACES_MAX);
        }
        check(&forgotten, &ours.keys(b"forgotten", FEW), false);
    }

    #[test]
    fn all_who_come_back_at_once_wait_for_one_computation() {
        let ours = credentials();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| ours.keys(b"salt", FEW))).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for other in &keys {
            check(&keys[0], other, true);
        }
    }

    #[test]
    fn credentials_show_neither_the_password_nor_what_follows_from_it() {
        let ours = credentials();
        ours.keys(b"salt", FEW);
        assert_eq!(
            format!("{ours:?}"),
            "ScramCredentials { mechanism: Sha256, username: \"user\", password: Secret(6 bytes), \
             derived: DerivedKeys }"
        );
    }
}
