//! Where an issuer's keys come from, as a value; the shell does the fetching.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// The place from which a key set is read, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A key set served over HTTP.
    Endpoint {
        url: Url,
        /// For one fetch as a whole.
        timeout: Duration,
        /// A set older than this is fetched again.
        cache_expiration: Duration,
        /// At most one fetch in this time, however many unknown keys are named.
        refresh_interval_min: Duration,
        /// A set older than this is no longer used, and logins fail.
        stale_max: Duration,
    },
    /// A key set in a file beside the configuration.
    File { path: PathBuf },
}
