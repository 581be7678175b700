//! The issuers whose tokens clients bring, and the way to their newest keys.

mod asking; //  asking them over HTTP
mod fetcher; // fetching key sets: at start, before they grow old, and when a token names an unknown key

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::auth::{
    BearerToken, Identity, KeyRing, KeySource, OauthBearer, PeerCertificate, Rejected, Unverified, Verifier,
};
use crate::telemetry::Metrics;
use asking::Ways;
pub use fetcher::KeyFetcher;

/// The issuers whose tokens a virtual cluster takes.
#[derive(Clone, Default)]
pub struct Issuers(Arc<[Issuer]>);

/// One issuer, with its rules for one virtual cluster.
#[derive(Clone)]
pub struct Issuer {
    verifier: Verifier,
    keys: Keys,
    metrics: Metrics,
}

/// The way to one key set; all who take their keys from one place share it.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    /// What metrics call the key set.
    name: Arc<str>,
    ring: Arc<KeyRing>,
    /// The last fetch failed, and an older set serves on.
    is_stale: AtomicBool,
    wishes: mpsc::Sender<oneshot::Sender<()>>,
}

impl Issuers {
    pub fn new(issuers: Vec<Issuer>) -> Self {
        Self(issuers.into())
    }

    /// The issuer that a token names; where it names none of several, the first, which refuses it.
    fn named_by(&self, token: &BearerToken) -> Option<&Issuer> {
        let (first, others) = self.0.split_first()?;
        if others.is_empty() {
            return Some(first);
        }
        let said = Unverified::read(token, first.verifier.rules.token_bytes_max).ok();
        let is_meant =
            |issuer: &&Issuer| said.as_ref().is_some_and(|said| said.is_of(&issuer.verifier.rules));
        self.0.iter().find(is_meant).or(Some(first))
    }

    pub async fn verify(
        &self,
        token: &BearerToken,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Identity, Rejected> {
        match self.named_by(token) {
            Some(issuer) => issuer.verify(token, certificate).await,
            None => Err(Rejected::NoKeys),
        }
    }
}

impl Issuer {
    /// Verifies a token; a key that is not known is asked for before the answer.
    async fn verify(
        &self,
        token: &BearerToken,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Identity, Rejected> {
        if let Some(verdict) = self.verifier.recall(token, certificate, SystemTime::now()) {
            self.metrics.token_looked_up(self.keys.name(), "known");
            return verdict;
        }
        self.metrics.token_looked_up(self.keys.name(), "new");
        match self.verifier.verify(token, certificate, SystemTime::now()) {
            Err(rejected) if rejected.wants_fresh_keys() => {
                self.keys.wish().await;
                self.verifier.verify(token, certificate, SystemTime::now())
            }
            verdict => verdict,
        }
    }
}

impl Keys {
    pub fn is_there(&self) -> bool {
        self.0.ring.newest().is_some()
    }

    pub fn is_stale(&self) -> bool {
        self.0.is_stale.load(Ordering::Relaxed)
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Has the set fetched again, and waits until that is done; not for ever.
    async fn wish(&self) {
        let (done, is_done) = oneshot::channel();
        if self.0.wishes.try_send(done).is_ok() {
            let _ = timeout(WAIT_FOR_KEYS, is_done).await;
        }
    }
}

/// All key sets of a gateway, one for each place.
pub struct KeySets {
    by_source: HashMap<KeySource, Keys>,
    fetchers: Vec<KeyFetcher>,
    ways: Ways,
    key_set_bytes: usize,
    metrics: Metrics,
}

impl KeySets {
    pub fn new(key_set_bytes: usize, metrics: Metrics) -> Self {
        let ways = Ways::default();
        Self { by_source: HashMap::new(), fetchers: Vec::new(), ways, key_set_bytes, metrics }
    }

    /// An issuer whose keys are fetched once for all who take them from the same place.
    pub fn issuer(&mut self, bearer: &OauthBearer) -> Result<Issuer, reqwest::Error> {
        let keys = match self.by_source.get(&bearer.source) {
            Some(keys) => keys.clone(),
            None => self.first(bearer)?,
        };
        let verifier = Verifier::new(bearer.verifier.rules.clone(), keys.0.ring.clone());
        Ok(Issuer { verifier, keys, metrics: self.metrics.clone() })
    }

    fn first(&mut self, bearer: &OauthBearer) -> Result<Keys, reqwest::Error> {
        let (sender, wishes) = mpsc::channel(WAITING_MAX);
        let keys = Keys(Arc::new(Shared {
            name: bearer.name.clone(),
            ring: bearer.verifier.ring.clone(),
            is_stale: AtomicBool::new(false),
            wishes: sender,
        }));
        let fetcher = KeyFetcher::new(
            &keys,
            bearer.source.clone(),
            wishes,
            &mut self.ways,
            self.key_set_bytes,
            self.metrics.clone(),
        )?;
        self.fetchers.push(fetcher);
        self.by_source.insert(bearer.source.clone(), keys.clone());
        Ok(keys)
    }

    /// Every way to a key set, and who is to run for it.
    pub fn finish(self) -> (Vec<Keys>, Vec<KeyFetcher>) {
        (self.by_source.into_values().collect(), self.fetchers)
    }
}

/// Logins that wait for one fetch; more are answered without.
const WAITING_MAX: usize = 4096;
/// A login waits no longer for a fetch than this, whatever the issuer's own time-out is.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;
    use crate::auth::{KeyPlace, Pace, Rules};

    fn bearer(issuer: &str, file: &str) -> OauthBearer {
        let rules = Rules { issuer: Some(issuer.to_owned()), ..Rules::default() };
        OauthBearer {
            name: issuer.into(),
            verifier: Verifier::new(rules, Arc::new(KeyRing::empty())),
            source: KeySource { place: KeyPlace::File { path: file.into() }, pace: Pace::default() },
        }
    }

    fn sets() -> KeySets {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        KeySets::new(1024, Metrics::new())
    }

    #[test]
    fn of_several_issuers_the_one_that_a_token_names_is_asked() {
        let mut sets = sets();
        let both =
            ["https://a.example", "https://b.example"].map(|name| sets.issuer(&bearer(name, name)).unwrap());
        let check = |all: &[Issuer], claims: &str, expected: Option<&str>| {
            let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
            let token = BearerToken::new(format!("{}.{}.{}", part("{}"), part(claims), part("x")));
            let issuers = Issuers::new(all.to_vec());
            assert_eq!(issuers.named_by(&token).map(|issuer| issuer.keys.name()), expected, "{claims}");
        };
        check(&both, r#"{"iss": "https://a.example"}"#, Some("https://a.example"));
        check(&both, r#"{"iss": "https://b.example"}"#, Some("https://b.example"));
        for odd in [r#"{"iss": "https://c.example"}"#, r#"{"iss": 5}"#, "{}", "no JSON"] {
            check(&both, odd, Some("https://a.example"));
            check(&both[1..], odd, Some("https://b.example"));
            check(&[], odd, None);
        }
    }

    #[test]
    fn one_fetcher_is_enough_for_all_who_take_keys_from_one_place() {
        let mut sets = sets();
        let rings: Vec<_> = [("a", "keys"), ("b", "keys"), ("a", "others")]
            .map(|(name, file)| sets.issuer(&bearer(name, file)).unwrap().verifier.ring)
            .into();
        assert!(Arc::ptr_eq(&rings[0], &rings[1]) && !Arc::ptr_eq(&rings[0], &rings[2]));
        let (keys, fetchers) = sets.finish();
        assert_eq!((keys.len(), fetchers.len()), (2, 2));
    }
}
