//! The tokens of clients that show a name and a password, got for them at a token endpoint.
//!
//! A token is held for the client's next logins, by a keyed hash of what it showed. Whoever shows the same
//! while it is being asked for waits for the one answer; a name with another password is always asked for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;
use tracing::warn;

use super::issuers::Issuers;
use super::oauth::{self, Failed};
use super::random;
use super::together::Together;
use super::turns::{Origin, Turns};
use super::ways::{Way, Ways};
use crate::auth::{
    HeldToken, LoginEndpoint, LoginKey, PeerCertificate, Proven, Recent, Refused, TokenDigest, TokenEndpoint,
    Verdict, refuses_client,
};
use crate::names::Secret;
use crate::telemetry::Metrics;

/// The tokens of one virtual cluster's clients.
#[derive(Clone)]
pub struct ClientTokens(Arc<Shared>);

struct Shared {
    cluster: Arc<str>,
    endpoint: Arc<LoginEndpoint>,
    way: Way,
    key: LoginKey,
    held: Recent<HeldToken>,
    asking: Together<Asked>,
    turns: Turns,
    metrics: Metrics,
}

/// What came of asking; the same for all who wait.
type Asked = Result<HeldToken, Refused>;

impl ClientTokens {
    pub fn new(
        cluster: Arc<str>,
        endpoint: Arc<LoginEndpoint>,
        ways: &mut Ways,
        metrics: Metrics,
    ) -> Result<Self, reqwest::Error> {
        let way = ways.by(&endpoint.http)?;
        Ok(Self(Arc::new(Shared {
            cluster,
            endpoint,
            way,
            key: LoginKey::new(random()),
            held: Recent::default(),
            asking: Together::default(),
            turns: Turns::new(EXCHANGES_MAX, EXCHANGES_OF_ORIGIN_MAX, WAITING_OF_ORIGIN_MAX),
            metrics,
        })))
    }

    /// Finds out who a client is: what it shows becomes a token, and the token is verified as any other.
    pub async fn verify(
        &self,
        issuers: &Issuers,
        username: &str,
        password: &Secret,
        origin: Origin,
        certificate: Option<&PeerCertificate>,
    ) -> Verdict {
        let shared = &self.0;
        let digest = TokenDigest::of_login(&shared.key, username, password);
        let now = SystemTime::now();
        if let Some(held) = shared.held.get(&digest, now).filter(|held| held.is_fresh(now)) {
            match issuers.verify(&held.token, certificate, origin).await {
                Err(rejected) if !rejected.may_pass() => {
                    // Its key may be gone at the issuer by now; a new token has another.
                    shared.held.remove(&digest);
                }
                verified => return Ok(verified?.into()),
            }
        }
        let Some(endpoint) = shared.endpoint.asked_by(username, password.clone()) else {
            return Err(Refused::new("wrong_password", "the name has characters that no client id has"));
        };
        let held = self.ask(digest, endpoint, origin).await?;
        let verified = issuers.verify(&held.token, certificate, origin).await;
        if verified.as_ref().is_err_and(|rejected| !rejected.may_pass()) {
            shared.held.remove(&digest);
        }
        Ok(Proven::from(verified?))
    }

    /// Asks for a token, once for all who show the same.
    async fn ask(&self, digest: TokenDigest, endpoint: TokenEndpoint, origin: Origin) -> Asked {
        let shared = self.0.clone();
        let known = || {
            let now = SystemTime::now();
            shared.held.get(&digest, now).filter(|held| held.is_fresh(now)).map(Ok)
        };
        let exchange = {
            let shared = shared.clone();
            async move { shared.exchange(digest, &endpoint, origin).await }
        };
        let answer = shared.asking.ask(digest, known, exchange).await;
        answer.unwrap_or_else(|| Err(Refused::new("token_endpoint", "the token endpoint could not be asked")))
    }
}

impl Shared {
    /// One exchange at the token endpoint. While the endpoint itself fails, a token that is not over serves on.
    async fn exchange(&self, digest: TokenDigest, endpoint: &TokenEndpoint, origin: Origin) -> Asked {
        let answer = match timeout(WAIT_FOR_TURN, self.turns.take(origin)).await.ok().flatten() {
            Some(_turn) => oauth::token(&self.way.client, endpoint, self.way.timeout).await,
            None => Err(Failed::of(BUSY)("too many are asking; is somebody guessing?".to_owned())),
        };
        let now = SystemTime::now();
        match answer {
            Ok(answer) => {
                self.metrics.login_token_fetched(&self.cluster, "success");
                let held = HeldToken::new(answer, now);
                self.hold(digest, held.clone());
                Ok(held)
            }
            Err(Failed { outcome, why, word }) => {
                self.metrics.login_token_fetched(&self.cluster, outcome);
                if refuses_client(word) {
                    self.held.remove(&digest);
                    return Err(Refused::new("wrong_password", format!("the token endpoint refuses: {why}")));
                }
                let Some(last) = self.held.get(&digest, now) else {
                    return Err(match outcome {
                        BUSY => Refused::new(BUSY, why),
                        _ => Refused::new(
                            "token_endpoint",
                            format!("the token endpoint gives no token: {why}"),
                        ),
                    });
                };
                warn!(virtual_cluster = &*self.cluster, why, "a client's last token serves on");
                let last = last.renewed_later(now);
                self.hold(digest, last.clone());
                Ok(last)
            }
        }
    }

    fn hold(&self, digest: TokenDigest, held: HeldToken) {
        let (bytes, until) = (held.token.expose().len(), held.ends_at);
        self.held.put(digest, held, bytes, until);
    }
}

/// Where no turn at the endpoint came in time.
const BUSY: &str = "busy";
/// Enough for hundreds of logins a second where the endpoint answers in good time.
const EXCHANGES_MAX: usize = 64;
/// Whoever guesses has the endpoint compute for each password, and leaves most turns to others.
const EXCHANGES_OF_ORIGIN_MAX: usize = 16;
/// All clients behind one address that come back at once; more are refused.
const WAITING_OF_ORIGIN_MAX: usize = 4096;
/// Half of what a login has by default; the other half is for the exchange itself.
const WAIT_FOR_TURN: Duration = Duration::from_secs(5);
