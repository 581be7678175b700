//! How clients log in to us, and how we log in at brokers, as values.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Introspection, KeySource, LoginEndpoint, Passwords, PrincipalMapping, Rules, ScramCredentials,
    ScramMechanism, ScramUsers, TokenLogin, Verifier,
};
use crate::names::Secret;

/// How the clients of a virtual cluster may log in, in the order in which it is tried.
#[derive(Debug, Clone, Default)]
pub struct Authentication {
    pub methods: Vec<Method>,
    /// Whether a token that was verified here logs in at the broker, too.
    pub forwards_tokens: bool,
}

/// One way to log in.
// A virtual cluster has a handful of them, made once and looked at by reference: a box saves nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum Method {
    OauthBearer(OauthBearer),
    SaslPlain(SaslPlain),
    SaslScram(SaslScram),
    /// The broker decides.
    Passthrough(Passthrough),
    /// Whom the certificate names that TLS has verified.
    ClientCertificate(PrincipalMapping),
    Anonymous,
}

/// Tokens of one issuer, verified here by its keys, or by asking it.
#[derive(Debug, Clone)]
pub struct OauthBearer {
    /// What metrics call the key set: the host that serves it, or its file.
    pub name: Arc<str>,
    pub verifier: Verifier,
    /// Where the keys are; without them every token is introspected.
    pub source: Option<KeySource>,
    /// Whom to ask about tokens that no key can verify.
    pub introspection: Option<Arc<Introspection>>,
}

/// Names and passwords.
#[derive(Debug, Clone)]
pub struct SaslPlain {
    pub passwords: Arc<Passwords>,
    /// Who says of other names whether a password is right, if anybody does.
    pub endpoint: Option<Arc<LoginEndpoint>>,
    /// When a client must log in again; never, where there is none.
    pub session_lifetime_max: Option<Duration>,
}

/// Names, and passwords that are proven and never said.
#[derive(Debug, Clone)]
pub struct SaslScram {
    pub users: Arc<ScramUsers>,
    /// When a client must log in again; never, where there is none.
    pub session_lifetime_max: Option<Duration>,
}

/// What the broker decides about, and how the client's name is read.
#[derive(Debug, Clone)]
pub enum Passthrough {
    /// Of the rules only those count that say where in a token names stand.
    OauthBearer(Box<Rules>),
    SaslPlain,
    SaslScram(ScramMechanism),
}

/// How the gateway logs in at the brokers of a backend cluster.
#[derive(Debug, Clone)]
pub enum BrokerLogin {
    Anonymous,
    SaslPlain { username: String, password: Secret },
    SaslScram(ScramCredentials),
    OauthBearer(Arc<TokenLogin>),
}

impl BrokerLogin {
    /// Whether logging in now would last beyond this time: not with a token that is over by then.
    pub fn outlasts(&self, time: Instant) -> bool {
        match self {
            BrokerLogin::OauthBearer(login) => login.cell.outlasts(time),
            BrokerLogin::Anonymous | BrokerLogin::SaslPlain { .. } | BrokerLogin::SaslScram(_) => true,
        }
    }
}
