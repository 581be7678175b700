//! Fetching our own tokens for brokers: at the start, before the one in use ends, and when the files
//! change that say how.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::fs;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

use super::oauth::{self, Failed, read_file};
use super::random;
use crate::auth::{CREDENTIAL_FILES, OwnToken, TokenAnswer, TokenEndpoint, TokenLogin, TokenSource};
use crate::telemetry::Metrics;

/// One backend's token, as those see it who wait for it.
#[derive(Clone)]
pub struct Tokens {
    standing: watch::Receiver<Standing>,
    refused: Arc<Notify>,
}

/// Whether there is a token, and if not, why.
#[derive(Clone)]
enum Standing {
    Held,
    Missing(Arc<str>),
}

impl Tokens {
    pub fn new(
        backend: Arc<str>,
        login: Arc<TokenLogin>,
        client: reqwest::Client,
        metrics: Metrics,
    ) -> (Self, TokenFetcher) {
        let why: Arc<str> = "it is being fetched".into();
        let (told, standing) = watch::channel(Standing::Missing(why.clone()));
        let refused = Arc::new(Notify::new());
        let fetcher = TokenFetcher {
            backend,
            login,
            client,
            metrics,
            told,
            refused: refused.clone(),
            failures: 0,
            why,
            read: Texts::new(),
            ends_at: None,
        };
        (Self { standing, refused }, fetcher)
    }

    /// Why there is no token, if there is none.
    pub fn missing(&self) -> Option<Arc<str>> {
        match &*self.standing.borrow() {
            Standing::Held => None,
            Standing::Missing(why) => Some(why.clone()),
        }
    }

    /// Waits until there is a token, but not for long.
    pub async fn wait(&self) -> io::Result<()> {
        let mut standing = self.standing.clone();
        let is_held = |standing: &Standing| matches!(standing, Standing::Held);
        let held = timeout(WAIT_FOR_TOKEN, standing.wait_for(is_held)).await.is_ok_and(|held| held.is_ok());
        match self.missing() {
            Some(why) if !held => Err(io::Error::other(format!("there is no token to log in with: {why}"))),
            _ => Ok(()),
        }
    }

    /// A broker did not take the token: there may be a better one by now.
    pub fn refused(&self) {
        self.refused.notify_one();
    }
}

/// What files said when they were last read, by name.
type Texts = HashMap<&'static str, Zeroizing<String>>;

/// Fetches one backend's tokens.
pub struct TokenFetcher {
    backend: Arc<str>,
    login: Arc<TokenLogin>,
    client: reqwest::Client,
    metrics: Metrics,
    told: watch::Sender<Standing>,
    refused: Arc<Notify>,
    /// Fetches that failed since the last that did not.
    failures: u32,
    /// Why the last fetch failed that did.
    why: Arc<str>,
    read: Texts,
    ends_at: Option<Instant>,
}

impl TokenFetcher {
    /// Runs until nobody wants a token any more.
    pub async fn run(mut self) {
        let mut next = self.fetch().await;
        let mut fetched = Instant::now();
        let refused = self.refused.clone();
        let told = self.told.clone();
        loop {
            let ends_at = self.ends_at.unwrap_or(next);
            tokio::select! {
                () = told.closed() => return,
                () = sleep_until(ends_at), if self.ends_at.is_some() => {
                    self.let_go();
                    continue;
                }
                () = sleep_until(next) => {}
                // However many connections are refused, the token endpoint has rest.
                () = async {
                    sleep_until(fetched + REFUSED_INTERVAL_MIN).await;
                    refused.notified().await;
                } => {}
                () = sleep(LOOK_INTERVAL), if self.watches_files() => {
                    if !self.have_files_changed().await {
                        continue;
                    }
                }
            }
            next = self.fetch().await;
            fetched = Instant::now();
        }
    }

    /// Fetches once, and says when to fetch again.
    async fn fetch(&mut self) -> Instant {
        let newest = self.newest().await;
        let (backend, now) = (&*self.backend, Instant::now());
        match newest {
            Ok((answer, extensions)) => {
                let ends_at = now + answer.lifetime;
                self.login.cell.replace(OwnToken {
                    token: answer.token,
                    extensions,
                    ends_at: ends_at.into_std(),
                });
                self.ends_at = Some(ends_at);
                self.metrics.token_fetched(backend, "success");
                self.metrics.token_held(backend, ends_at.into_std());
                let is_new = !matches!(self.told.send_replace(Standing::Held), Standing::Held);
                if is_new || self.failures > 0 {
                    info!(backend, lifetime = ?answer.lifetime, "the token for the brokers is here");
                } else {
                    debug!(backend, lifetime = ?answer.lifetime, "the token for the brokers is renewed");
                }
                self.failures = 0;
                now + renewed_after(answer.lifetime, chance())
            }
            Err(Failed { outcome, why, .. }) => {
                self.metrics.token_fetched(backend, outcome);
                let last_token_serves_on = self.ends_at.is_some_and(|end| end > now);
                warn!(backend, why, last_token_serves_on, "no new token for the brokers");
                self.why = why.into();
                self.told.send_modify(|standing| {
                    if let Standing::Missing(last) = standing {
                        last.clone_from(&self.why);
                    }
                });
                self.failures = self.failures.saturating_add(1);
                now + retried_after(self.failures, chance())
            }
        }
    }

    /// The token in use is over, and there is no newer one.
    fn let_go(&mut self) {
        self.ends_at = None;
        self.login.cell.clear();
        self.metrics.token_gone(&self.backend);
        self.told.send_replace(Standing::Missing(self.why.clone()));
        warn!(backend = &*self.backend, why = &*self.why, "the token for the brokers is over");
    }

    async fn newest(&mut self) -> Result<(TokenAnswer, Vec<(String, String)>), Failed> {
        match &self.login.source {
            TokenSource::Endpoint { endpoint, extensions } => {
                Ok((oauth::token(&self.client, endpoint, self.login.timeout).await?, extensions.clone()))
            }
            TokenSource::File { extensions, .. } => {
                let extensions = extensions.clone();
                self.read = self.read_files().await.map_err(Failed::of("unreadable"))?;
                let text = self.read.get(TOKEN).map_or("", |text| text.as_str());
                let answer = TokenAnswer::bare(text, SystemTime::now());
                Ok((answer.map_err(|why| Failed::of("malformed")(format!("in the file {why}")))?, extensions))
            }
            TokenSource::Directory { sends_in_body, audience, .. } => {
                let (sends_in_body, audience) = (*sends_in_body, audience.clone());
                self.read = self.read_files().await.map_err(Failed::of("unreadable"))?;
                let text = |name: &str| self.read.get(name).map(|text| text.as_str());
                let said = TokenEndpoint::from_files(text, sends_in_body, audience);
                let (endpoint, extensions) = said.map_err(Failed::of("malformed"))?;
                if endpoint.is_in_clear() {
                    warn!(backend = &*self.backend, "the token for the brokers comes over plain http");
                }
                Ok((oauth::token(&self.client, &endpoint, self.login.timeout).await?, extensions))
            }
        }
    }

    fn watches_files(&self) -> bool {
        !matches!(self.login.source, TokenSource::Endpoint { .. })
    }

    /// Whether the files say something else than when a token was last fetched. While they cannot be
    /// read, they are being changed.
    async fn have_files_changed(&self) -> bool {
        self.read_files().await.is_ok_and(|texts| texts != self.read)
    }

    /// Reads the files of one point in time.
    ///
    /// Shape: Kubernetes puts new files into a new directory, and then turns the link `..data` to it;
    /// who goes by the link for each file may read half of the old and half of the new.
    async fn read_files(&self) -> Result<Texts, String> {
        match &self.login.source {
            TokenSource::Endpoint { .. } => Ok(Texts::new()),
            TokenSource::File { path, .. } => Ok(Texts::from([(TOKEN, read_file(path).await?)])),
            TokenSource::Directory { path, .. } => {
                let path = match fs::read_link(path.join("..data")).await {
                    Ok(target) => path.join(target),
                    Err(_) => path.clone(),
                };
                let mut texts = Texts::new();
                for name in CREDENTIAL_FILES {
                    let file = path.join(name);
                    match fs::try_exists(&file).await {
                        Ok(false) => {}
                        Ok(true) | Err(_) => drop(texts.insert(name, read_file(&file).await?)),
                    }
                }
                Ok(texts)
            }
        }
    }
}

/// When a token is renewed: with a fifth of its life left, and a little before, so that many gateways
/// that were started at once do not ask at once for ever.
fn renewed_after(lifetime: Duration, chance: f64) -> Duration {
    lifetime.mul_f64(0.8 - 0.1 * chance).max(FETCH_INTERVAL_MIN)
}

/// When a fetch that failed is tried again: soon, and then more and more rarely.
fn retried_after(failures: u32, chance: f64) -> Duration {
    let doubled = FETCH_INTERVAL_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(RETRY_AFTER_MAX).mul_f64(1.0 - 0.5 * chance)
}

/// A number from 0 to 1.
fn chance() -> f64 {
    f64::from(u16::from_ne_bytes(random())) / f64::from(u16::MAX)
}

/// What the one text of a token file goes by.
const TOKEN: &str = "token";
/// A client that connects waits no longer than this for a token.
const WAIT_FOR_TOKEN: Duration = Duration::from_secs(5);
/// Tokens that end sooner than they can be renewed are asked for no more often than this.
const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15);
/// How often a token may be fetched because brokers refuse the last.
const REFUSED_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// How often files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_while_a_good_part_of_its_life_is_left() {
        for (lifetime, chance, expected) in
            [(100, 0.0, 80), (100, 1.0, 70), (3600, 0.5, 2700), (1, 0.0, 1), (0, 1.0, 1)]
        {
            let after = renewed_after(Duration::from_secs(lifetime), chance);
            assert_eq!(after.as_secs_f64().round(), f64::from(expected), "{lifetime} {chance}");
        }
    }

    #[test]
    fn a_failed_fetch_is_tried_again_soon_and_then_more_rarely() {
        let check = |failures, chance, milliseconds| {
            assert_eq!(retried_after(failures, chance).as_millis(), milliseconds, "{failures} {chance}");
        };
        check(1, 0.0, 1_000);
        check(1, 1.0, 500);
        check(2, 0.0, 2_000);
        check(4, 0.5, 6_000);
        check(5, 0.0, 15_000);
        check(u32::MAX, 1.0, 7_500);
    }

    #[tokio::test]
    async fn a_directory_is_read_as_it_was_at_one_time() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (generation, id) in [("..1", "old"), ("..2", "new")] {
            std::fs::create_dir(at(generation)).unwrap();
            std::fs::write(at(generation).join("client_id"), id).unwrap();
        }
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/client_id", at("client_id")).unwrap();
        let source = TokenSource::Directory {
            path: directory.path().to_owned(),
            sends_in_body: false,
            audience: None,
        };
        let login = TokenLogin {
            source,
            ca_bundle: None,
            timeout: Duration::from_secs(1),
            cell: Arc::new(crate::auth::TokenCell::empty()),
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = crate::server::http::client(None).unwrap();
        let (_tokens, mut fetcher) = Tokens::new("backend".into(), login.into(), client, Metrics::new());
        fetcher.read = fetcher.read_files().await.unwrap();
        assert_eq!(fetcher.read["client_id"].as_str(), "old");
        assert!(!fetcher.have_files_changed().await);
        std::os::unix::fs::symlink("..2", at("..next")).unwrap();
        std::fs::rename(at("..next"), at("..data")).unwrap();
        assert!(fetcher.have_files_changed().await);
        std::fs::remove_dir_all(at("..2")).unwrap();
        assert_eq!(fetcher.read_files().await.unwrap(), Texts::new());
    }
}
