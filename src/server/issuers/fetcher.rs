//! Fetching one key set: at start, before it grows old, and when a token names a key that is not known.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant as Tick, sleep_until, timeout};
use tracing::{info, warn};
use url::Url;

use super::{Keys, Shared, WAIT_FOR_KEYS};
use crate::auth::{HttpSettings, KeyPlace, KeySet, KeySource, Pace, discovery};
use crate::server::ways::{Way, Ways};
use crate::telemetry::Metrics;

/// Fetches one issuer's keys, one fetch at a time, for all who wait.
pub struct KeyFetcher {
    shared: Arc<Shared>,
    place: Place,
    pace: Pace,
    wishes: mpsc::Receiver<oneshot::Sender<()>>,
    key_set_bytes: usize,
    metrics: Metrics,
    /// When an unknown key last had the issuer asked. Its own fetches do not count: a key may be new a
    /// moment after one of them.
    last_asked: Option<Tick>,
    /// The set in use, as it was read.
    held: Option<Vec<u8>>,
}

/// Where the keys are, with what it takes to get there.
enum Place {
    Endpoint { url: Url, way: Way },
    Issuer { issuer: String, may_be_http: bool, way: Way, jwks_uri: Option<Url> },
    File { path: PathBuf },
}

impl KeyFetcher {
    pub(super) fn new(
        keys: &Keys,
        source: KeySource,
        wishes: mpsc::Receiver<oneshot::Sender<()>>,
        ways: &mut Ways,
        key_set_bytes: usize,
        metrics: Metrics,
    ) -> Result<Self, reqwest::Error> {
        let place = match source.place {
            KeyPlace::Endpoint { url, http } => Place::Endpoint { url, way: ways.by(&http)? },
            KeyPlace::Issuer { issuer, http } => {
                let HttpSettings { insecure_allow_http: may_be_http, .. } = http;
                Place::Issuer { issuer, may_be_http, way: ways.by(&http)?, jwks_uri: None }
            }
            KeyPlace::File { path } => Place::File { path },
        };
        let (shared, pace) = (keys.0.clone(), source.pace);
        Ok(Self { shared, place, pace, wishes, key_set_bytes, metrics, last_asked: None, held: None })
    }

    /// Runs until nobody can ask any more.
    pub async fn run(mut self) {
        let mut next = Tick::now() + self.fetch().await;
        // Those whom the next fetch will answer.
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                wish = self.wishes.recv() => {
                    let Some(wish) = wish else { return };
                    waiting.push(wish);
                    match self.wait_to_ask_again() {
                        // However many unknown keys are named, the issuer is asked once in the interval.
                        Some(wait) if wait > WAIT_FOR_KEYS => {}
                        Some(wait) if !wait.is_zero() => {
                            next = next.min(Tick::now() + wait);
                            continue;
                        }
                        _ => next = self.fetch_for_them().await,
                    }
                }
                () = sleep_until(next) => {
                    next = if waiting.is_empty() {
                        self.forget_address();
                        Tick::now() + self.fetch().await
                    } else {
                        self.fetch_for_them().await
                    };
                }
            }
            while let Ok(wish) = self.wishes.try_recv() {
                waiting.push(wish);
            }
            for wish in waiting.drain(..) {
                let _ = wish.send(());
            }
        }
    }

    async fn fetch_for_them(&mut self) -> Tick {
        self.last_asked = Some(Tick::now());
        let wait = self.fetch().await;
        Tick::now() + wait
    }

    /// How long the issuer is to be left alone; none when nobody has had it asked yet.
    fn wait_to_ask_again(&self) -> Option<Duration> {
        let interval = match self.place {
            Place::File { .. } => FILE_INTERVAL_MIN,
            _ => self.pace.refresh_interval_min,
        };
        self.last_asked.map(|asked| interval.saturating_sub(asked.elapsed()))
    }

    /// Fetches once, and says when to fetch again.
    async fn fetch(&mut self) -> Duration {
        let name = self.shared.name.clone();
        match self.newest().await {
            Ok(text) if self.held.as_ref() == Some(&text) && self.shared.ring.newest().is_some() => {
                if !matches!(self.place, Place::File { .. }) {
                    self.metrics.keys_fetched(&name, "success");
                }
                self.shared.ring.confirm(SystemTime::now());
                self.are_fresh();
                self.interval()
            }
            Ok(text) => match self.read(&text) {
                Ok(keys) => {
                    self.metrics.keys_fetched(&name, "success");
                    self.take(keys, text);
                    self.interval()
                }
                Err(why) => self.failed(&why),
            },
            Err(why) => self.failed(&why),
        }
    }

    fn failed(&mut self, why: &str) -> Duration {
        let name: &str = &self.shared.name.clone();
        self.metrics.keys_fetched(name, "failure");
        self.forget_address();
        self.let_go_of_stale();
        let held = self.shared.ring.fetched_at().is_some();
        self.shared.is_stale.store(held, Ordering::Relaxed);
        self.metrics.keys_stale(name, held);
        warn!(source = name, %why, last_set_serves_on = held, "the issuer's keys can not be fetched");
        RETRY_AFTER.min(self.interval())
    }

    /// The keys may have moved: the next fetch asks the issuer where they are.
    fn forget_address(&mut self) {
        if let Place::Issuer { jwks_uri, .. } = &mut self.place {
            *jwks_uri = None;
        }
    }

    /// Puts a set in use, and tells of keys that nobody has seen before.
    fn take(&mut self, keys: KeySet, text: Vec<u8>) {
        let name = &*self.shared.name;
        let thumbprints: Vec<String> = keys.keys().iter().map(|key| key.thumbprint().to_owned()).collect();
        match self.shared.ring.newest() {
            None => info!(source = name, keys = keys.keys().len(), "the issuer's keys are here"),
            Some(before) if !before.shares_a_key_with(&keys) => {
                warn!(
                    source = name,
                    ?thumbprints,
                    "all of the issuer's keys are new; if that was not meant, look at the issuer"
                );
            }
            Some(before) if *before != keys => {
                info!(source = name, ?thumbprints, "the issuer's keys have changed")
            }
            Some(_) => {}
        }
        self.shared.ring.replace(keys, SystemTime::now());
        self.held = Some(text);
        self.are_fresh();
    }

    fn are_fresh(&self) {
        let name = &*self.shared.name;
        self.shared.is_stale.store(false, Ordering::Relaxed);
        self.metrics.keys_renewed(name, Instant::now());
        self.metrics.keys_stale(name, false);
    }

    fn interval(&self) -> Duration {
        match &self.place {
            Place::File { .. } => FILE_INTERVAL,
            _ => self.pace.cache_expiration,
        }
    }

    /// The last good set serves on while the issuer is down, but not for ever.
    fn let_go_of_stale(&mut self) {
        let ring = &self.shared.ring;
        let age = ring.fetched_at().and_then(|fetched| SystemTime::now().duration_since(fetched).ok());
        if age.is_some_and(|age| age > self.pace.stale_max) {
            ring.clear();
            self.held = None;
            self.metrics.keys_gone(&self.shared.name);
        }
    }

    fn read(&self, text: &[u8]) -> Result<KeySet, String> {
        let (keys, skipped) = KeySet::from_jwks(text).map_err(|why| why.to_string())?;
        for key in skipped {
            let (source, why) = (&*self.shared.name, key.why.label());
            warn!(source, position = key.position, why, "a key is not used");
        }
        Ok(keys)
    }

    async fn newest(&mut self) -> Result<Vec<u8>, String> {
        let bytes_max = self.key_set_bytes;
        match &mut self.place {
            Place::Endpoint { url, way } => way.get(url.clone(), bytes_max).await,
            Place::Issuer { issuer, may_be_http, way, jwks_uri } => {
                let url = match jwks_uri {
                    Some(url) => url.clone(),
                    None => jwks_uri.insert(discovered(issuer, *may_be_http, way, bytes_max).await?).clone(),
                };
                way.get(url, bytes_max).await
            }
            Place::File { path } => timeout(FILE_PATIENCE, text_of(path, bytes_max))
                .await
                .map_err(|_| "the file does not end; is it a pipe?".to_owned())?,
        }
    }
}

/// Where an issuer says its keys are, in the first of its documents that is one.
async fn discovered(issuer: &str, may_be_http: bool, way: &Way, bytes_max: usize) -> Result<Url, String> {
    let urls = discovery::metadata_urls(issuer, may_be_http).map_err(|why| why.to_string())?;
    let mut problems = Vec::new();
    for url in urls {
        let shown = url.to_string();
        let found = way.get(url, bytes_max).await.and_then(|document| {
            discovery::jwks_uri(&document, issuer, may_be_http).map_err(|why| why.to_string())
        });
        match found {
            Ok(url) => return Ok(url),
            Err(why) => problems.push(format!("{shown}: {why}")),
        }
    }
    Err(problems.join("; "))
}

async fn text_of(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let file = File::open(path).await.map_err(|why| why.to_string())?;
    let mut text = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut text).await.map_err(|why| why.to_string())?;
    if text.len() > bytes_max { Err(format!("the file is longer than {bytes_max} bytes")) } else { Ok(text) }
}

const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(2);
/// A file on a disk is read in no time; what takes longer is none.
const FILE_PATIENCE: Duration = Duration::from_secs(5);
const FILE_INTERVAL_MIN: Duration = Duration::from_secs(1);
