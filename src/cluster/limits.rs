//! What a peer may make grow, and how far.

use std::time::Duration;

/// A limit on everything that somebody else decides the size of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A stranger's frame: a token and a little around it.
    pub frame_bytes_before_login: usize,
    /// A client's frame; Kafka's own default for a request.
    pub frame_bytes: usize,
    /// A broker's frame: a Fetch answer may be as large as the client asks for.
    pub frame_bytes_from_broker: usize,
    /// Client connections, over all listeners.
    pub connections: usize,
    /// From the first byte to a finished login.
    pub login_timeout: Duration,
    /// Logins of one virtual cluster that go on to its brokers unverified and are not answered yet; more wait.
    pub relayed_logins: usize,
    /// Requests of one connection that are not answered yet; more are left unread.
    pub requests_in_flight: usize,
    /// Strings in one request: names above all.
    pub names_per_request: usize,
    /// Elements of all arrays in one request.
    pub elements_per_request: usize,
    /// Elements of all arrays in one response of a broker.
    pub elements_per_response: usize,
    pub token_bytes: usize,
    pub key_set_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_before_login: 64 * 1024,
            frame_bytes: 100 * 1024 * 1024,
            frame_bytes_from_broker: 512 * 1024 * 1024,
            connections: 10_000,
            login_timeout: Duration::from_secs(10),
            relayed_logins: 256,
            requests_in_flight: 256,
            names_per_request: 100_000,
            elements_per_request: 1_000_000,
            elements_per_response: 10_000_000,
            token_bytes: 16 * 1024,
            key_set_bytes: 1024 * 1024,
        }
    }
}
