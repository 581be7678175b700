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

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::auth::{Method, Passthrough, Proven, ScramMechanism, ScramServer};
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
    /// A token was refused; the client's one byte is awaited, then the refusal goes out.
    Failing { id: String },
    /// Logged in.
    Ready,
}

/// One SASL exchange, first or repeated.
#[derive(Debug)]
pub struct Exchange {
    pub mechanism: Mechanism,
    /// After SaslHandshake 0 messages come as bare frames, without Kafka's headers.
    pub raw: bool,
    pub stage: Stage,
}

/// How far an exchange is.
#[derive(Debug)]
pub enum Stage {
    /// The mechanism's first message is awaited.
    First,
    /// The shell finds out whether it is true.
    AwaitingVerdict(Attempt),
    /// By SCRAM: the client's proof is awaited.
    AwaitingProof(Box<ScramServer>),
    /// The broker decides, or is to take what was verified here.
    AwaitingBroker(Box<Relayed>),
    /// The broker wants more of the client.
    AwaitingClient(Box<Relayed>),
}

/// A login that goes on to the broker.
pub struct Relayed {
    pub attempt: Attempt,
    /// Who the client is, once the broker says yes.
    pub proven: Proven,
    /// When what was found true here is over, however long the broker takes to say its own.
    pub ends_at: Option<Instant>,
    /// The mechanism's message, as the client said it.
    pub message: Bytes,
    /// How often the broker answers before the login is over.
    pub answers_left: u8,
}

/// A login that is being looked at.
pub struct Attempt {
    pub mechanism: Mechanism,
    pub raw: bool,
    pub correlation_id: i32,
    pub version: i16,
    pub authzid: Option<String>,
    pub extensions: Vec<(String, String)>,
    /// The message with the token that is to log in at the broker, too, once it is verified.
    pub forwarded: Option<Bytes>,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attempt({})", self.mechanism.as_str())
    }
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relayed({} bytes)", self.message.len())
    }
}

impl Attempt {
    /// A login whose message came in this request.
    pub fn new(mechanism: Mechanism, raw: bool, header: &RequestHeader) -> Self {
        let RequestHead { correlation_id, version, .. } = header.head;
        Self {
            mechanism,
            raw,
            correlation_id,
            version,
            authzid: None,
            extensions: Vec::new(),
            forwarded: None,
        }
    }

    /// The header of the request that is to be answered.
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

/// How a client logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Anonymous,
    OauthBearer,
    SaslPlain,
    SaslScram(ScramMechanism),
    ClientCertificate,
}

impl Mechanism {
    pub fn of(method: &Method) -> Self {
        match method {
            Method::Anonymous => Mechanism::Anonymous,
            Method::OauthBearer(_) | Method::Passthrough(Passthrough::OauthBearer(_)) => {
                Mechanism::OauthBearer
            }
            Method::SaslPlain(_) | Method::Passthrough(Passthrough::SaslPlain) => Mechanism::SaslPlain,
            Method::Passthrough(Passthrough::SaslScram(mechanism)) => Mechanism::SaslScram(*mechanism),
            Method::ClientCertificate(_) => Mechanism::ClientCertificate,
            Method::SaslScram(scram) => Mechanism::SaslScram(scram.users.mechanism()),
        }
    }

    /// The word for conditions, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::Anonymous => "anonymous",
            Mechanism::OauthBearer => "oauth_bearer",
            Mechanism::SaslPlain => "sasl_plain",
            Mechanism::SaslScram(_) => "sasl_scram",
            Mechanism::ClientCertificate => "client_certificate",
        }
    }

    /// What it is called in a SASL handshake; `None` where there is none.
    pub fn sasl_name(self) -> Option<&'static str> {
        match self {
            Mechanism::Anonymous | Mechanism::ClientCertificate => None,
            Mechanism::OauthBearer => Some("OAUTHBEARER"),
            Mechanism::SaslPlain => Some("PLAIN"),
            Mechanism::SaslScram(mechanism) => Some(mechanism.name()),
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
