//! What comes out of a session: bytes for both sides, what happened, and the next step.

use std::sync::Arc;
use std::time::Duration;

use super::LoginFailed;
use super::phase::Mechanism;
use crate::api::Refusal;
use crate::api::versions::BrokerVersions;
use crate::auth::Evidence;
use crate::cluster::Denial;
use crate::names::{Backend, Virtual};
use crate::policy::ConditionFailure;
use crate::wire::{ApiKey, Broken, Segments};

/// Bytes to send, in order, and what there is to count and to log.
#[derive(Default)]
pub struct Outbox {
    pub to_client: Vec<Virtual<Segments>>,
    pub to_broker: Vec<Backend<Segments>>,
    pub events: Vec<Event>,
}

/// Something that the operator may want to know.
#[derive(Debug)]
pub enum Event {
    Request {
        key: i16,
        bytes: usize,
    },
    Answer {
        key: i16,
        bytes: usize,
    },
    /// The request before this one gets no answer: its sender wanted none.
    Unanswered,
    /// A request was refused, wholly (`why`) or for some of its names.
    Refused {
        key: i16,
        why: Option<Refusal>,
        denials: Vec<Denial>,
    },
    Withheld {
        key: ApiKey,
    },
    LoggedIn {
        mechanism: Mechanism,
        /// Whether the connection was logged in before (KIP-368).
        again: bool,
        lifetime: Option<Duration>,
        conditions_failed: Vec<ConditionFailure>,
    },
    LoginFailed {
        /// What the client was told instead of the reason.
        id: String,
        mechanism: Option<Mechanism>,
        why: &'static str,
        detail: String,
    },
    /// The broker let us in, and speaks this.
    BrokerReady(Arc<BrokerVersions>),
}

/// What the shell does next, when the outbox is on its way.
#[derive(Debug)]
pub enum Next {
    /// Go on reading, from the sides that may be read.
    Read,
    /// Find out whether this is true, and bring the verdict.
    Verify(Evidence),
    /// Connect to the broker behind this door, and say when it is done.
    Connect,
    Close(Reason),
}

/// Every reason for which a connection ends by our will.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the client did not log in in time")]
    LoginTimeout,
    #[error("the login was refused")]
    LoginFailed,
    #[error("too many logins go on to the brokers at once")]
    TooManyLogins,
    #[error("the client asks for a SASL mechanism that is not offered")]
    UnsupportedMechanism,
    #[error("a SASL message came out of turn")]
    OutOfTurn,
    #[error("the client sends {api} before it has logged in")]
    NotAuthenticated { api: &'static str },
    #[error("the session's lifetime is over")]
    SessionExpired,
    #[error("there is no API with key {key}")]
    UnknownApi { key: i16 },
    #[error("the API with key {key} is not served")]
    Withheld { key: i16 },
    #[error("version {version} of the API with key {key} is not served")]
    UnsupportedVersion { key: i16, version: i16 },
    #[error("the broker does not speak version {version} of the API with key {key}")]
    UnspokenVersion { key: i16, version: i16 },
    #[error("the client sends what is no Kafka request: {0}")]
    ClientMalformed(Broken),
    #[error("a produce request that wants no answer was refused")]
    UnansweredRefusal,
    #[error("the broker sends what is no Kafka response: {0}")]
    BrokerMalformed(Broken),
    #[error("the broker answers what was not asked, or not in order")]
    BrokerOutOfOrder,
    #[error("the broker does not answer what the gateway itself asks in time")]
    LookupTimeout,
    #[error("the client left before its request could be admitted")]
    ClientLeft,
    #[error("the login at the broker failed: {0}")]
    BrokerLogin(LoginFailed),
    #[error("the gateway is shutting down")]
    Drained,
}

impl Reason {
    /// The metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Reason::LoginTimeout => "login_timeout",
            Reason::LoginFailed => "login_failed",
            Reason::TooManyLogins => "too_many_logins",
            Reason::UnsupportedMechanism => "unsupported_mechanism",
            Reason::OutOfTurn => "out_of_turn",
            Reason::NotAuthenticated { .. } => "not_authenticated",
            Reason::SessionExpired => "session_expired",
            Reason::UnknownApi { .. } => "unknown_api",
            Reason::Withheld { .. } => "withheld",
            Reason::UnsupportedVersion { .. } | Reason::UnspokenVersion { .. } => "unsupported_version",
            Reason::ClientMalformed(_) => "client_malformed",
            Reason::UnansweredRefusal => "unanswered_refusal",
            Reason::BrokerMalformed(_) => "broker_malformed",
            Reason::BrokerOutOfOrder => "broker_out_of_order",
            Reason::LookupTimeout => "lookup_timeout",
            Reason::ClientLeft => "client_gone",
            Reason::BrokerLogin(_) => "broker_login",
            Reason::Drained => "drained",
        }
    }

    /// Whether something is wrong that the operator can mend.
    pub fn is_worth_a_warning(&self) -> bool {
        matches!(
            self,
            Reason::BrokerMalformed(_)
                | Reason::BrokerOutOfOrder
                | Reason::LookupTimeout
                | Reason::BrokerLogin(_)
        )
    }

    /// Whether somebody tried to get in and could not: the shell lets such a client wait.
    pub fn is_failed_login(&self) -> bool {
        matches!(
            self,
            Reason::LoginFailed
                | Reason::TooManyLogins
                | Reason::UnsupportedMechanism
                | Reason::OutOfTurn
                | Reason::NotAuthenticated { .. }
        )
    }
}
