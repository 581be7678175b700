//! Asking an introspection endpoint about tokens: once for all who bring the same one, and not about
//! too many at once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::auth::{BearerToken, Introspected, Introspection, Recent, Rejected, Rules, TokenDigest};
use crate::server::oauth::{self, Failed};
use crate::server::together::Together;
use crate::server::turns::{Origin, Turns};
use crate::server::ways::{Way, Ways};
use crate::telemetry::Metrics;

/// The way to one introspection endpoint, for those who log in at one virtual cluster.
#[derive(Clone)]
pub struct Introspector(Arc<Shared>);

struct Shared {
    introspection: Arc<Introspection>,
    /// For whom the endpoint speaks.
    issuer: Option<String>,
    token_bytes_max: usize,
    way: Way,
    turns: Turns,
    /// How long a login waits for its turn.
    patience: Duration,
    asking: Together<Found>,
    /// What was said of active tokens a moment ago.
    known: Recent<Introspected>,
    metrics: Metrics,
}

/// What comes of asking.
type Found = Result<Introspected, Rejected>;

impl Introspector {
    /// Shape: `patience` is how long a login waits for its turn.
    pub fn new(
        introspection: Arc<Introspection>,
        rules: &Rules,
        ways: &mut Ways,
        patience: Duration,
        metrics: Metrics,
    ) -> Result<Self, reqwest::Error> {
        let way = ways.by(&introspection.http)?;
        Ok(Self(Arc::new(Shared {
            introspection,
            issuer: rules.issuer.clone(),
            token_bytes_max: rules.token_bytes_max,
            way,
            turns: Turns::new(ASKED_AT_ONCE_MAX, ASKED_FOR_ONE_ORIGIN_MAX, WAITING_EACH_MAX),
            patience,
            asking: Together::default(),
            known: Recent::default(),
            metrics,
        })))
    }

    pub fn name(&self) -> &str {
        &self.0.introspection.name
    }

    /// What was said of a token a moment ago.
    pub fn recall(&self, token: &BearerToken) -> Option<Introspected> {
        self.0.known.get(&TokenDigest::of(token), SystemTime::now())
    }

    /// Has the endpoint asked about a token, once for all who bring it, and waits for its answer; not for ever.
    pub async fn ask(&self, token: BearerToken, origin: Origin) -> Found {
        let bytes_max = self.0.token_bytes_max;
        if token.expose().len() > bytes_max {
            return Err(Rejected::TooLong { bytes_max });
        }
        let digest = TokenDigest::of(&token);
        let known = || self.0.known.get(&digest, SystemTime::now()).map(Ok);
        let question = {
            let shared = self.0.clone();
            async move {
                let Ok(Some(_turn)) = timeout(shared.patience, shared.turns.take(origin)).await else {
                    shared.metrics.introspected(&shared.introspection.name, "busy");
                    return Err(Rejected::Busy);
                };
                shared.ask(&token).await
            }
        };
        let lost = || Err(Rejected::IntrospectionFailed { why: "the question was lost".to_owned() });
        self.0.asking.ask(digest, known, question).await.unwrap_or_else(lost)
    }
}

impl Shared {
    /// Asks the endpoint, whatever was known before.
    async fn ask(&self, token: &BearerToken) -> Found {
        let Introspection { name, kept_max, .. } = &*self.introspection;
        let asked_at = SystemTime::now();
        let answer = match self.post(token).await {
            Ok(answer) => answer,
            Err(Failed { outcome, why, .. }) => {
                self.metrics.introspected(name, outcome);
                return Err(Rejected::IntrospectionFailed { why });
            }
        };
        let found = Introspected::read(&answer, self.issuer.as_deref());
        let result = match &found {
            Ok(_) => "active",
            Err(Rejected::Inactive) => "inactive",
            Err(_) => "malformed",
        };
        self.metrics.introspected(name, result);
        let found = found?;
        let until = found.kept_until(*kept_max, asked_at);
        if until > asked_at {
            let bytes = token.expose().len().max(answer.len());
            self.known.put(TokenDigest::of(token), found.clone(), bytes, until);
        }
        Ok(found)
    }

    async fn post(&self, token: &BearerToken) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let Introspection { endpoint, client_id, proof, .. } = &*self.introspection;
        let form = vec![
            ("token", Zeroizing::new(token.expose().to_owned())),
            ("token_type_hint", Zeroizing::new("access_token".to_owned())),
        ];
        oauth::post(&self.way.client, endpoint, client_id, proof, form, self.way.timeout).await
    }
}

/// Enough for a thousand logins a second where the endpoint answers in good time; it is not to be
/// flooded by whoever floods us.
const ASKED_AT_ONCE_MAX: usize = 64;
/// Whoever brings one made-up token after another leaves turns to others.
const ASKED_FOR_ONE_ORIGIN_MAX: usize = 48;
/// All clients behind one address that come back at once; more are refused.
const WAITING_EACH_MAX: usize = 4096;
