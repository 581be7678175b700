//! Fetching issuers' keys: at start, before they grow old, and when a token names one that is not known.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant as Tick, sleep_until, timeout};
use tracing::{info, warn};

use super::http;
use crate::auth::{BearerToken, Identity, KeySet, KeySource, OauthBearer, Rejected, Unverified};
use crate::telemetry::Metrics;

/// The issuers whose tokens a virtual cluster takes.
#[derive(Clone, Default)]
pub struct Issuers(Arc<[Keys]>);

impl Issuers {
    pub fn new(issuers: Vec<Keys>) -> Self {
        Self(issuers.into())
    }

    pub fn all(&self) -> &[Keys] {
        &self.0
    }

    /// The keys of the issuer that a token names; where it names none of several, the first, which
    /// refuse it.
    pub fn named_by(&self, token: &BearerToken) -> Option<&Keys> {
        let (first, others) = self.0.split_first()?;
        if others.is_empty() {
            return Some(first);
        }
        let said = Unverified::read(token, first.bearer.verifier.rules.token_bytes_max).ok();
        let issuer = said.as_ref().and_then(Unverified::issuer);
        let is_meant =
            |keys: &&Keys| issuer.is_some() && keys.bearer.verifier.rules.issuer.as_deref() == issuer;
        self.0.iter().find(is_meant).or(Some(first))
    }

    pub async fn verify(&self, token: &BearerToken) -> Result<Identity, Rejected> {
        match self.named_by(token) {
            Some(keys) => keys.verify(token).await,
            None => Err(Rejected::NoKeys),
        }
    }
}

/// The way to one issuer's newest keys.
#[derive(Clone)]
pub struct Keys {
    bearer: OauthBearer,
    wishes: mpsc::Sender<oneshot::Sender<()>>,
}

/// Fetches one issuer's keys, one fetch at a time, for all who wait.
pub struct KeyFetcher {
    bearer: OauthBearer,
    wishes: mpsc::Receiver<oneshot::Sender<()>>,
    client: reqwest::Client,
    key_set_bytes: usize,
    metrics: Metrics,
    /// When an unknown key last had the issuer asked. Its own fetches do not count: a key may be new a
    /// moment after one of them.
    last_asked: Option<Instant>,
}

impl Keys {
    pub fn new(
        bearer: OauthBearer,
        client: reqwest::Client,
        key_set_bytes: usize,
        metrics: Metrics,
    ) -> (Self, KeyFetcher) {
        let (sender, wishes) = mpsc::channel(WAITING_MAX);
        let keys = Self { bearer: bearer.clone(), wishes: sender };
        (keys, KeyFetcher { bearer, wishes, client, key_set_bytes, metrics, last_asked: None })
    }

    pub fn is_there(&self) -> bool {
        self.bearer.verifier.ring.newest().is_some()
    }

    pub fn name(&self) -> &str {
        &self.bearer.name
    }

    /// Verifies a token; a key that is not known is asked for before the answer.
    pub async fn verify(&self, token: &BearerToken) -> Result<Identity, Rejected> {
        let verifier = &self.bearer.verifier;
        match verifier.verify(token, SystemTime::now()) {
            Err(rejected) if rejected.wants_fresh_keys() => {
                let (done, is_done) = oneshot::channel();
                if self.wishes.try_send(done).is_ok() {
                    let _ = timeout(WAIT_FOR_KEYS, is_done).await;
                }
                verifier.verify(token, SystemTime::now())
            }
            verdict => verdict,
        }
    }
}

impl KeyFetcher {
    /// Runs until nobody can ask any more.
    pub async fn run(mut self) {
        let mut next = Tick::now() + self.fetch().await;
        loop {
            tokio::select! {
                wish = self.wishes.recv() => {
                    let Some(wish) = wish else { return };
                    let mut waiting = vec![wish];
                    if self.may_ask_again() {
                        self.last_asked = Some(Instant::now());
                        next = Tick::now() + self.fetch().await;
                    }
                    while let Ok(wish) = self.wishes.try_recv() {
                        waiting.push(wish);
                    }
                    for wish in waiting {
                        let _ = wish.send(());
                    }
                }
                () = sleep_until(next) => next = Tick::now() + self.fetch().await,
            }
        }
    }

    /// However many unknown keys are named, the issuer is asked once in the interval.
    fn may_ask_again(&self) -> bool {
        let interval = match &self.bearer.source {
            KeySource::Endpoint { refresh_interval_min, .. } => *refresh_interval_min,
            KeySource::File { .. } => FILE_INTERVAL_MIN,
        };
        self.last_asked.is_none_or(|asked| asked.elapsed() >= interval)
    }

    /// Fetches once, and says when to fetch again.
    async fn fetch(&mut self) -> Duration {
        let name = &*self.bearer.name;
        match self.newest().await {
            Ok(keys) => {
                self.metrics.keys_fetched(name, "success");
                self.metrics.keys_renewed(name, Instant::now());
                let ring = &self.bearer.verifier.ring;
                if ring.newest().is_none() {
                    info!(source = name, keys = keys.keys().len(), "the issuer's keys are here");
                }
                ring.replace(keys, SystemTime::now());
                self.interval()
            }
            Err(why) => {
                self.metrics.keys_fetched(name, "failure");
                let held = self.bearer.verifier.ring.fetched_at().is_some();
                self.let_go_of_stale();
                warn!(source = name, %why, last_set_serves_on = held, "the issuer's keys can not be fetched");
                RETRY_AFTER.min(self.interval())
            }
        }
    }

    fn interval(&self) -> Duration {
        match &self.bearer.source {
            KeySource::Endpoint { cache_expiration, .. } => *cache_expiration,
            KeySource::File { .. } => FILE_INTERVAL,
        }
    }

    /// The last good set serves on while the issuer is down, but not for ever.
    fn let_go_of_stale(&self) {
        let KeySource::Endpoint { stale_max, .. } = &self.bearer.source else { return };
        let ring = &self.bearer.verifier.ring;
        let age = ring.fetched_at().and_then(|fetched| SystemTime::now().duration_since(fetched).ok());
        if age.is_some_and(|age| age > *stale_max) {
            ring.clear();
            self.metrics.keys_gone(&self.bearer.name);
        }
    }

    async fn newest(&self) -> Result<KeySet, String> {
        let text = match &self.bearer.source {
            KeySource::Endpoint { url, timeout: patience, .. } => {
                let fetching = self.download(url.clone());
                timeout(*patience, fetching)
                    .await
                    .map_err(|_| format!("no answer within {}", humantime::format_duration(*patience)))??
            }
            KeySource::File { path } => timeout(FILE_PATIENCE, self.read(path))
                .await
                .map_err(|_| "the file does not end; is it a pipe?".to_owned())??,
        };
        let (keys, skipped) = KeySet::from_jwks(&text).map_err(|why| why.to_string())?;
        for key in skipped {
            warn!(
                source = &*self.bearer.name,
                position = key.position,
                why = key.why.label(),
                "a key is not used"
            );
        }
        Ok(keys)
    }

    async fn download(&self, url: url::Url) -> Result<Vec<u8>, String> {
        let response = self.client.get(url).send().await.map_err(http::told)?;
        if !response.status().is_success() {
            return Err(format!("the issuer answers {}", response.status()));
        }
        http::body(response, self.key_set_bytes).await
    }

    async fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let file = File::open(path).await.map_err(|why| why.to_string())?;
        let mut text = Vec::new();
        let bytes_max = u64::try_from(self.key_set_bytes).unwrap_or(u64::MAX).saturating_add(1);
        file.take(bytes_max).read_to_end(&mut text).await.map_err(|why| why.to_string())?;
        if text.len() > self.key_set_bytes { Err(self.too_long()) } else { Ok(text) }
    }

    fn too_long(&self) -> String {
        format!("the key set is longer than {} bytes", self.key_set_bytes)
    }
}

/// Logins that wait for one fetch; more are answered without.
const WAITING_MAX: usize = 4096;
/// A login waits no longer for a fetch than this, whatever the issuer's own time-out is.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_secs(5);
const FILE_INTERVAL: Duration = Duration::from_secs(10);
/// A file on a disk is read in no time; what takes longer is none.
const FILE_PATIENCE: Duration = Duration::from_secs(5);
const FILE_INTERVAL_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;
    use crate::auth::{KeyRing, Rules, Verifier};

    fn keys(issuer: &str) -> Keys {
        let rules = Rules { issuer: Some(issuer.to_owned()), ..Rules::default() };
        let bearer = OauthBearer {
            name: issuer.into(),
            verifier: Verifier::new(rules, Arc::new(KeyRing::empty())),
            source: KeySource::File { path: "keys.json".into() },
        };
        Keys::new(bearer, http::client(None).unwrap(), 1024, Metrics::new()).0
    }

    #[test]
    fn of_several_issuers_the_one_that_a_token_names_is_asked() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let both = [keys("https://a.example"), keys("https://b.example")];
        let check = |all: &[Keys], claims: &str, expected: Option<&str>| {
            let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
            let token = BearerToken::new(format!("{}.{}.{}", part("{}"), part(claims), part("x")));
            let issuers = Issuers::new(all.to_vec());
            assert_eq!(issuers.named_by(&token).map(Keys::name), expected, "{claims}");
        };
        check(&both, r#"{"iss": "https://a.example"}"#, Some("https://a.example"));
        check(&both, r#"{"iss": "https://b.example"}"#, Some("https://b.example"));
        for odd in [r#"{"iss": "https://c.example"}"#, r#"{"iss": 5}"#, "{}", "no JSON"] {
            check(&both, odd, Some("https://a.example"));
            check(&both[1..], odd, Some("https://b.example"));
            check(&[], odd, None);
        }
    }
}
