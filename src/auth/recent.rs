//! What was found out about tokens and logins a moment ago, by their hashes: bounded, and never kept beyond its time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::{digest, hmac};

use super::BearerToken;
use crate::names::Secret;

/// The hash of a token, or of a name and a password: who reads this one out of memory can not log in by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub fn of(token: &BearerToken) -> Self {
        let hash = digest::digest(&digest::SHA256, token.expose().as_bytes());
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Shape: the name's length stands before it, so that no two logins are one text.
    pub fn of_login(key: &LoginKey, name: &str, password: &Secret) -> Self {
        let mut context = hmac::Context::with_key(&key.0);
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(password.expose().as_bytes());
        Self(context.sign().as_ref().try_into().expect("HMAC by SHA-256 has 32 bytes"))
    }
}

/// A key of one process: without it a hash would let short passwords be guessed.
#[derive(Clone, Debug)]
pub struct LoginKey(hmac::Key);

impl LoginKey {
    pub fn new(random: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &random))
    }
}

/// Values by the hashes of tokens, for all threads.
///
/// Limits: so many values, and so many bytes of the tokens that they are about; when either is used up,
/// what was not asked for lately is let go of.
#[derive(Debug)]
pub struct Recent<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
}

#[derive(Debug)]
struct Shard<V> {
    young: HashMap<TokenDigest, Entry<V>>,
    old: HashMap<TokenDigest, Entry<V>>,
    young_bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    until: SystemTime,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        let shard = |_| Mutex::new(Shard { young: HashMap::new(), old: HashMap::new(), young_bytes: 0 });
        Self { shards: std::array::from_fn(shard) }
    }
}

impl<V: Clone> Recent<V> {
    pub fn get(&self, digest: &TokenDigest, now: SystemTime) -> Option<V> {
        let mut shard = self.shard(digest);
        if let Some(entry) = shard.young.get(digest) {
            return (now < entry.until).then(|| entry.value.clone());
        }
        let entry = shard.old.remove(digest).filter(|entry| now < entry.until)?;
        let value = entry.value.clone();
        shard.put(*digest, entry);
        Some(value)
    }

    /// Keeps a value until a time, or until there are too many.
    ///
    /// Units: `bytes` is the length of the token.
    pub fn put(&self, digest: TokenDigest, value: V, bytes: usize, until: SystemTime) {
        self.shard(&digest).put(digest, Entry { value, bytes, until });
    }

    pub fn remove(&self, digest: &TokenDigest) {
        let mut shard = self.shard(digest);
        shard.young.remove(digest);
        shard.old.remove(digest);
    }

    fn shard(&self, digest: &TokenDigest) -> MutexGuard<'_, Shard<V>> {
        let place = usize::from(digest.0[0]) % SHARDS;
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Shard<V> {
    fn put(&mut self, digest: TokenDigest, entry: Entry<V>) {
        if self.young.len() >= YOUNG_MAX || self.young_bytes + entry.bytes > YOUNG_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += entry.bytes;
        self.young.insert(digest, entry);
    }
}

const SHARDS: usize = 16;
/// Ten thousand clients of one issuer reconnect without a signature being checked.
const ENTRIES_MAX: usize = 10_000;
/// What is kept of a token takes a few times its length.
const BYTES_MAX: usize = 16 * 1024 * 1024;
const YOUNG_MAX: usize = ENTRIES_MAX / SHARDS / 2;
const YOUNG_BYTES_MAX: usize = BYTES_MAX / SHARDS / 2;

#[cfg(test)]
mod tests {
    use super::super::minting::at;
    use super::*;

    fn digest(number: usize) -> TokenDigest {
        TokenDigest::of(&BearerToken::new(number.to_string()))
    }

    fn held(recent: &Recent<usize>, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| recent.get(&digest(*number), at(0)) == Some(*number)).count()
    }

    #[test]
    fn a_value_is_kept_until_its_time_and_no_longer() {
        let recent = Recent::default();
        recent.put(digest(1), 1, 100, at(10));
        assert_eq!(recent.get(&digest(1), at(9)), Some(1));
        assert_eq!(recent.get(&digest(1), at(10)), None);
        assert_eq!(recent.get(&digest(2), at(9)), None);
        recent.remove(&digest(1));
        assert_eq!(recent.get(&digest(1), at(9)), None);
    }

    #[test]
    fn a_login_is_known_by_its_name_its_password_and_the_key_of_the_process() {
        let of = |key: u8, name: &str, password: &str| {
            TokenDigest::of_login(&LoginKey::new([key; 32]), name, &Secret::new(password))
        };
        assert_eq!(of(1, "app", "pencil"), of(1, "app", "pencil"));
        for other in
            [of(2, "app", "pencil"), of(1, "apppen", "cil"), of(1, "app", "Pencil"), of(1, "", "apppencil")]
        {
            assert_ne!(of(1, "app", "pencil"), other);
        }
        assert!(!format!("{:?}", LoginKey::new([7; 32])).contains("7, 7"));
    }

    #[test]
    fn values_are_bounded_and_those_that_are_asked_for_stay() {
        let recent = Recent::default();
        for number in 0..50_000 {
            recent.put(digest(number), number, 100, at(10));
            assert_eq!(recent.get(&digest(0), at(0)), Some(0), "after {number}");
        }
        let left = held(&recent, 0..50_000);
        assert!((ENTRIES_MAX / 3..=ENTRIES_MAX).contains(&left), "{left}");
    }

    #[test]
    fn long_tokens_are_bounded_by_their_bytes() {
        let recent = Recent::default();
        for number in 0..5_000 {
            recent.put(digest(number), number, 60 * 1024, at(10));
        }
        assert!(held(&recent, 0..5_000) * 60 * 1024 <= BYTES_MAX);
    }
}
