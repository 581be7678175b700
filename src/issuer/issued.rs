//! Which tokens were given out and are still good.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};

/// The newest tokens, by their hashes.
///
/// Limits: `TOKENS_MAX`; of more the oldest are no longer known.
#[derive(Default)]
pub struct Issued {
    by_hash: HashMap<[u8; 32], Token>,
    /// From the oldest on.
    order: VecDeque<[u8; 32]>,
}

struct Token {
    client: String,
    claims: Map<String, Value>,
    /// Seconds since 1970.
    expires_at: u64,
}

impl Issued {
    pub fn note(&mut self, token: &str, client: &str, claims: Map<String, Value>, expires_at: u64) {
        while self.order.len() >= TOKENS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_hash.remove(&oldest);
        }
        let hash = hash(token);
        self.order.push_back(hash);
        self.by_hash.insert(hash, Token { client: client.to_owned(), claims, expires_at });
    }

    /// What a token says, if it is good now.
    pub fn find(&self, token: &str, now: u64) -> Option<&Map<String, Value>> {
        self.by_hash.get(&hash(token)).filter(|token| now < token.expires_at).map(|token| &token.claims)
    }

    /// Forgets a token of this client; others' are none of its business.
    pub fn revoke(&mut self, token: &str, client: &str) {
        let hash = hash(token);
        if self.by_hash.get(&hash).is_some_and(|token| token.client == client) {
            self.by_hash.remove(&hash);
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

const TOKENS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_until_its_end_or_until_it_is_revoked() {
        let mut issued = Issued::default();
        issued.note("a", "app", Map::new(), 10);
        assert!(issued.find("a", 9).is_some());
        assert!(issued.find("a", 10).is_none() && issued.find("b", 9).is_none());
        issued.revoke("a", "other");
        assert!(issued.find("a", 9).is_some(), "another's");
        issued.revoke("a", "app");
        assert!(issued.find("a", 9).is_none());
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let mut issued = Issued::default();
        for number in 0..=TOKENS_MAX {
            issued.note(&number.to_string(), "app", Map::new(), 10);
        }
        assert_eq!((issued.by_hash.len(), issued.order.len()), (TOKENS_MAX, TOKENS_MAX));
        assert!(issued.find("0", 0).is_none() && issued.find("1", 0).is_some());
    }
}
