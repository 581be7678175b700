//! Where an issuer's keys come from, as a value; the shell does the fetching.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// The place from which a key set is read, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySource {
    pub place: KeyPlace,
    pub pace: Pace,
}

/// The place from which a key set is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPlace {
    /// A key set served over HTTP.
    Endpoint { url: Url, http: HttpSettings },
    /// Where the issuer's own metadata says.
    Issuer { issuer: String, http: HttpSettings },
    /// A key set in a file beside the configuration.
    File { path: PathBuf },
}

/// How often a key set is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// A set older than this is read again.
    pub cache_expiration: Duration,
    /// At most one fetch in this time, however many unknown keys are named.
    pub refresh_interval_min: Duration,
    /// A set older than this is no longer used, and logins fail.
    pub stale_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            cache_expiration: Duration::from_secs(3600),
            refresh_interval_min: Duration::from_secs(30),
            stale_max: Duration::from_secs(24 * 3600),
        }
    }
}

/// How an issuer is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpSettings {
    /// For one answer as a whole.
    pub timeout: Duration,
    /// Certificates to trust, as PEM; the system's own when there are none.
    pub ca_bundle: Option<Arc<str>>,
    /// The only proxy there is: what the environment names is not looked at.
    pub proxy: Option<Url>,
    /// Whether plain http may lead away from this machine.
    pub insecure_allow_http: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), ca_bundle: None, proxy: None, insecure_allow_http: false }
    }
}
