//! Where a connection stands between its first byte and its last.
//!
//! ```text
//!                    SaslHandshake            token verified
//!  Unauthenticated ───────────────▶ Authenticating ───────────────▶ Ready(who)
//!         │                            ▲    │ rejected                 │
//!         │ any other key              │    ▼                          │
//!         ▼                            │  Failing ─▶ Close             │
//!  Close(NotAuthenticated)             └───────── SaslHandshake ───────┘
//!                                                 (re-authentication, KIP-368)
//! ```

use std::time::{Duration, Instant};

use crate::names::Principal;
use crate::policy::Rights;
use crate::wire::{ApiKey, RequestHead, RequestHeader};

/// What a connection may send now.
#[derive(Debug)]
pub enum Phase {
    /// ApiVersions once, and a few times before that in versions too new for us; then SaslHandshake.
    Unauthenticated { too_new_answered: u8, api_versions_answered: bool },
    /// A mechanism is agreed on, and its first message is awaited, or its verdict.
    Authenticating(Exchange),
    /// The token was refused; the client's one byte is awaited, then the refusal goes out.
    Failing { id: String },
    /// Logged in.
    Ready,
}

/// One SASL exchange, first or repeated.
#[derive(Debug)]
pub struct Exchange {
    /// After SaslHandshake 0 tokens come as bare frames, without Kafka's headers.
    pub raw: bool,
    /// Set while the shell verifies.
    pub awaiting_verdict: Option<Attempt>,
}

/// A login whose token is being verified.
#[derive(Debug, Default)]
pub struct Attempt {
    pub correlation_id: i32,
    pub version: i16,
    pub authzid: Option<String>,
    pub extensions: Vec<(String, String)>,
}

impl Attempt {
    /// The header of the request that waits for the verdict.
    pub fn header(&self) -> RequestHeader {
        let key = ApiKey::SaslAuthenticate as i16;
        let head = RequestHead { key, version: self.version, correlation_id: self.correlation_id };
        RequestHeader { head, client_id: None }
    }
}

/// Who is logged in, and what that allows until when.
#[derive(Debug, Clone)]
pub struct Who {
    pub principal: Principal,
    /// Who says so, where a token named its issuer.
    pub issuer: Option<String>,
    pub mechanism: Mechanism,
    pub rights: Rights,
    /// No request is served from here on.
    pub ends_at: Option<Instant>,
    pub since: Instant,
}

/// How a client logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Anonymous,
    OauthBearer,
}

impl Mechanism {
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::Anonymous => "anonymous",
            Mechanism::OauthBearer => "oauth_bearer",
        }
    }
}

impl Who {
    pub fn is_over(&self, now: Instant) -> bool {
        self.ends_at.is_some_and(|end| now >= end)
    }

    /// Kafka lets a session log in again once a second.
    pub fn may_log_in_again(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= BETWEEN_LOGINS
    }
}

/// The least time between two logins of a connection; Kafka's own.
const BETWEEN_LOGINS: Duration = Duration::from_secs(1);
