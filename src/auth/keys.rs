//! A key set as a value, and the ring that holds the newest.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use serde_json::Value;

use super::json;
use super::jwk::{Algorithm, Key, Unfit};

/// The usable public keys of one issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Ids that stood on more than one key, so that no key can be meant by them.
    ambiguous: Vec<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set; keys that are not fit for use are left aside and told.
    ///
    /// Limits: 100 keys; the caller bounds the bytes.
    /// Errors: `InvalidKeySet` when it is no key set, or when nothing usable is left.
    /// Source: RFC 7517 section 5.
    pub fn from_jwks(text: &[u8]) -> Result<(Self, Vec<SkippedKey>), InvalidKeySet> {
        let set = json::read_object(text, VALUES_MAX).ok_or(InvalidKeySet::NotAnObject)?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(InvalidKeySet::NoList);
        };
        if members.len() > KEYS_MAX {
            return Err(InvalidKeySet::TooMany(members.len()));
        }
        let ambiguous = ids_that_stand_twice(members);
        let mut keys = Vec::new();
        let mut skipped = Vec::new();
        for (position, member) in members.iter().enumerate() {
            let id = member.get("kid").and_then(Value::as_str).filter(|id| super::jwk::is_key_id(id));
            let key = match member {
                _ if id.is_some_and(|id| ambiguous.iter().any(|other| other == id)) => {
                    Err(Unfit::AmbiguousId)
                }
                Value::Object(jwk) => Key::from_jwk(jwk),
                _ => Err(Unfit::NotAnObject),
            };
            match key {
                Ok(key) => keys.push(key),
                Err(why) => skipped.push(SkippedKey { position, id: id.map(str::to_owned), why }),
            }
        }
        if keys.is_empty() {
            return Err(InvalidKeySet::NoneUsable(skipped));
        }
        Ok((Self { keys, ambiguous }, skipped))
    }

    /// The key that a token's header asks for, if it may verify the algorithm the header names.
    ///
    /// Without an id the answer must be beyond doubt: exactly one key for that algorithm.
    pub fn key_for(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, NoKey> {
        let Some(id) = id else {
            let mut fitting = self.keys.iter().filter(|key| key.permits(algorithm));
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                (Some(_), Some(_)) => Err(NoKey::Ambiguous),
                (None, _) => Err(NoKey::Unknown),
            };
        };
        match self.keys.iter().find(|key| key.id() == Some(id)) {
            Some(key) if key.permits(algorithm) => Ok(key),
            Some(_) => Err(NoKey::WrongAlgorithm),
            None if self.ambiguous.iter().any(|other| other == id) => Err(NoKey::Ambiguous),
            None => Err(NoKey::Unknown),
        }
    }

    /// Whether a key of this id is still in the set; sessions that it signed may end when it is not.
    pub fn contains(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id() == Some(id))
    }

    /// Whether any key is in both, under whatever id.
    pub fn shares_a_key_with(&self, other: &Self) -> bool {
        let is_in_other = |key: &Key| other.keys.iter().any(|theirs| theirs.thumbprint() == key.thumbprint());
        self.keys.iter().any(is_in_other)
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

/// Holds the newest key set of one issuer: read by every login, replaced by whoever fetches.
#[derive(Debug)]
pub struct KeyRing {
    held: ArcSwapOption<Held>,
    generations: AtomicU64,
}

#[derive(Debug)]
struct Held {
    keys: Arc<KeySet>,
    fetched_at: SystemTime,
    generation: u64,
}

impl KeyRing {
    /// A ring with no keys yet: every token is refused.
    pub fn empty() -> Self {
        Self { held: ArcSwapOption::empty(), generations: AtomicU64::new(0) }
    }

    pub fn replace(&self, keys: KeySet, fetched_at: SystemTime) {
        let same = self.held.load().as_ref().filter(|held| *held.keys == keys).map(|held| held.generation);
        let generation = same.unwrap_or_else(|| self.generations.fetch_add(1, Ordering::Relaxed) + 1);
        self.held.store(Some(Arc::new(Held { keys: Arc::new(keys), fetched_at, generation })));
    }

    /// The issuer still says what it said: the set is as good as new.
    pub fn confirm(&self, fetched_at: SystemTime) {
        if let Some(held) = &*self.held.load() {
            let (keys, generation) = (held.keys.clone(), held.generation);
            self.held.store(Some(Arc::new(Held { keys, fetched_at, generation })));
        }
    }

    /// Lets go of keys that have grown too old to be trusted.
    pub fn clear(&self) {
        self.held.store(None);
    }

    pub fn newest(&self) -> Option<Arc<KeySet>> {
        self.held.load().as_ref().map(|held| Arc::clone(&held.keys))
    }

    /// The newest set, and which it is: another number means other keys.
    pub(super) fn current(&self) -> Option<(Arc<KeySet>, u64)> {
        self.held.load().as_ref().map(|held| (Arc::clone(&held.keys), held.generation))
    }

    pub fn fetched_at(&self) -> Option<SystemTime> {
        self.held.load().as_ref().map(|held| held.fetched_at)
    }
}

/// A key that stood in a set and is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Where it stood in `keys`, from 0.
    pub position: usize,
    pub id: Option<String>,
    pub why: Unfit,
}

/// Why a key set is refused as a whole; the one before it stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    #[error("the key set is not one JSON object of bounded size without repeated members")]
    NotAnObject,
    #[error("the key set has no list named \"keys\"; check that the address is that of a key set")]
    NoList,
    #[error("the key set has {0} keys; at most {KEYS_MAX} are read")]
    TooMany(usize),
    #[error("none of the {} keys of the set is usable{}", .0.len(), first_reason(.0))]
    NoneUsable(Vec<SkippedKey>),
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    #[error("the set has no such key")]
    Unknown,
    #[error("more than one key of the set could be meant")]
    Ambiguous,
    #[error("the key is not for this algorithm")]
    WrongAlgorithm,
}

fn ids_that_stand_twice(members: &[Value]) -> Vec<String> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for id in members.iter().filter_map(|member| member.get("kid")?.as_str()) {
        *seen.entry(id).or_default() += 1;
    }
    let mut twice: Vec<String> =
        seen.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id.to_owned()).collect();
    twice.sort_unstable();
    twice
}

fn first_reason(skipped: &[SkippedKey]) -> String {
    skipped.first().map_or_else(String::new, |first| format!("; of the first, {}", first.why))
}

/// Parses whatever it is given; a set that is accepted must have a key.
#[doc(hidden)]
pub fn fuzz_key_set(text: &[u8]) {
    if let Ok((set, _)) = KeySet::from_jwks(text) {
        assert!(!set.keys.is_empty() && set.keys.len() <= KEYS_MAX);
    }
}

/// Issuers publish two to ten.
const KEYS_MAX: usize = 100;
/// A hundred keys, each with a chain of certificates and members nobody knows.
const VALUES_MAX: usize = 5_000;

#[cfg(test)]
mod tests {
    use super::super::minting::{ISSUER, Noise, at};
    use super::*;
    use serde_json::json;

    fn read(jwks: Value) -> Result<(KeySet, Vec<SkippedKey>), InvalidKeySet> {
        KeySet::from_jwks(jwks.to_string().as_bytes())
    }

    fn check(set: &KeySet, id: Option<&str>, algorithm: Algorithm, expected: Result<Option<&str>, NoKey>) {
        assert_eq!(set.key_for(id, algorithm).map(Key::id), expected, "{id:?} {algorithm:?}");
    }

    #[test]
    fn a_token_s_key_is_found_by_its_id_and_must_permit_the_algorithm() {
        let (set, skipped) = read(ISSUER.jwks()).unwrap();
        assert_eq!(skipped, []);
        check(&set, Some("rsa"), Algorithm::Rs256, Ok(Some("rsa")));
        check(&set, Some("rsa"), Algorithm::Ps512, Ok(Some("rsa")));
        check(&set, Some("rsa"), Algorithm::Es256, Err(NoKey::WrongAlgorithm));
        check(&set, Some("RSA"), Algorithm::Rs256, Err(NoKey::Unknown));
        check(&set, Some(""), Algorithm::Rs256, Err(NoKey::Unknown));
        assert!(set.contains("ed") && !set.contains("gone"));
    }

    #[test]
    fn i_10_without_an_id_exactly_one_key_may_be_meant() {
        let mut second = ISSUER.p256_jwk();
        second["kid"] = json!("second");
        let mut nameless = ISSUER.ed25519_jwk();
        nameless.as_object_mut().unwrap().remove("kid");
        let (set, _) = read(json!({"keys": [ISSUER.p256_jwk(), second, nameless]})).unwrap();
        check(&set, None, Algorithm::EdDsa, Ok(None));
        check(&set, None, Algorithm::Es256, Err(NoKey::Ambiguous));
        check(&set, None, Algorithm::Rs256, Err(NoKey::Unknown));
    }

    #[test]
    fn i_11_an_id_that_stands_twice_means_no_key_and_the_others_stay() {
        let mut twin = ISSUER.ed25519_jwk();
        twin["kid"] = json!("p256");
        let (set, skipped) = read(json!({"keys": [ISSUER.p256_jwk(), ISSUER.rsa_jwk(), twin]})).unwrap();
        let reasons: Vec<_> = skipped.iter().map(|key| (key.position, key.id.as_deref(), key.why)).collect();
        assert_eq!(reasons, [(0, Some("p256"), Unfit::AmbiguousId), (2, Some("p256"), Unfit::AmbiguousId)]);
        check(&set, Some("p256"), Algorithm::Es256, Err(NoKey::Ambiguous));
        check(&set, Some("p256"), Algorithm::EdDsa, Err(NoKey::Ambiguous));
        check(&set, Some("rsa"), Algorithm::Rs256, Ok(Some("rsa")));
        // Also when one of the two could not have been used.
        let (_, skipped) =
            read(json!({"keys": [ISSUER.rsa_jwk(), ISSUER.ed25519_jwk(), {"kty": "oct", "kid": "ed"}]}))
                .unwrap();
        assert_eq!(skipped.len(), 2);
    }

    #[test]
    fn s_21_jsonwebtoken_gap_broken_keys_are_told_only_when_they_are_used() {
        let broken = json!({"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"});
        let members = json!({"keys": [broken, 1, {"kty": "new"}, {}, ISSUER.rsa_jwk()], "other": [1]});
        let (set, skipped) = read(members).unwrap();
        let reasons: Vec<_> = skipped.iter().map(|key| (key.position, key.why)).collect();
        let expected = [(0, Unfit::Number), (1, Unfit::NotAnObject), (2, Unfit::Kind), (3, Unfit::Kind)];
        assert_eq!(reasons, expected);
        assert_eq!(set.keys().len(), 1);
    }

    #[test]
    fn what_is_no_key_set_or_has_no_usable_key_is_refused() {
        for text in ["", "<html>", "[]", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[]} x"] {
            assert_eq!(KeySet::from_jwks(text.as_bytes()).unwrap_err(), InvalidKeySet::NotAnObject, "{text}");
        }
        for keys in [json!({}), json!({"keys": {}}), json!({"keys": null}), ISSUER.rsa_jwk()] {
            assert_eq!(read(keys).unwrap_err(), InvalidKeySet::NoList);
        }
        assert_eq!(read(json!({"keys": []})).unwrap_err(), InvalidKeySet::NoneUsable(Vec::new()));
        let symmetric = read(json!({"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]})).unwrap_err();
        assert!(matches!(&symmetric, InvalidKeySet::NoneUsable(skipped) if skipped.len() == 1));
        assert!(!format!("{symmetric} {symmetric:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let keys = |count: usize| {
            let numbered = |i| {
                let mut key = ISSUER.ed25519_jwk();
                key["kid"] = json!(format!("key-{i}"));
                key
            };
            json!({"keys": (0..count).map(numbered).collect::<Vec<_>>()})
        };
        assert_eq!(read(keys(KEYS_MAX)).unwrap().0.keys().len(), KEYS_MAX);
        assert_eq!(read(keys(KEYS_MAX + 1)).unwrap_err(), InvalidKeySet::TooMany(KEYS_MAX + 1));
        assert_eq!(read(json!({"keys": vec![0; 100_000]})).unwrap_err(), InvalidKeySet::NotAnObject);
    }

    #[test]
    fn a_ring_holds_the_newest_set_until_it_is_cleared() {
        let ring = KeyRing::empty();
        assert!(ring.newest().is_none() && ring.fetched_at().is_none());
        ring.replace(read(ISSUER.jwks()).unwrap().0, at(1));
        let held_by_a_login = ring.newest().unwrap();
        ring.replace(read(json!({"keys": [ISSUER.rsa_jwk()]})).unwrap().0, at(2));
        assert_eq!((ring.newest().unwrap().keys().len(), ring.fetched_at()), (1, Some(at(2))));
        assert_eq!(held_by_a_login.keys().len(), 4);
        ring.clear();
        assert!(ring.newest().is_none() && ring.fetched_at().is_none());
    }

    #[test]
    fn noise_is_never_a_panic() {
        let mut noise = Noise::new();
        let sample = json!({"keys": [ISSUER.p256_jwk(), ISSUER.ed25519_jwk(), ISSUER.rsa_jwk()]}).to_string();
        for _ in 0..2_000 {
            fuzz_key_set(&noise.mutated(sample.as_bytes()));
        }
    }
}
