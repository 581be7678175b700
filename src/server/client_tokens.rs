//! The tokens of clients that show a name and a password, got for them at a token endpoint.
//!
//! A token is held for the client's next logins, by a keyed hash of what it showed. Whoever shows the same
//! while it is being asked for waits for the one answer; a name with another password is always asked for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tracing::warn;

use super::issuers::Issuers;
use super::oauth::{self, Failed};
use super::{http, random};
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
    client: reqwest::Client,
    key: LoginKey,
    held: Recent<HeldToken>,
    asking: Mutex<HashMap<TokenDigest, watch::Receiver<Option<Asked>>>>,
    turns: Turns,
    metrics: Metrics,
}

/// What came of asking; the same for all who wait.
type Asked = Result<HeldToken, Refused>;

impl ClientTokens {
    pub fn new(
        cluster: Arc<str>,
        endpoint: Arc<LoginEndpoint>,
        metrics: Metrics,
    ) -> Result<Self, reqwest::Error> {
        let bundle = endpoint.http.ca_bundle.as_deref();
        let client = match &endpoint.http.proxy {
            Some(proxy) => http::client_through(proxy, bundle)?,
            None => http::client(bundle)?,
        };
        Ok(Self(Arc::new(Shared {
            cluster,
            endpoint,
            client,
            key: LoginKey::new(random()),
            held: Recent::default(),
            asking: Mutex::default(),
            turns: Turns::default(),
            metrics,
        })))
    }

    /// Finds out who a client is: what it shows becomes a token, and the token is verified as any other.
    pub async fn verify(
        &self,
        issuers: &Issuers,
        username: &str,
        password: &Secret,
        source: IpAddr,
        certificate: Option<&PeerCertificate>,
    ) -> Verdict {
        let shared = &self.0;
        let digest = TokenDigest::of_login(&shared.key, username, password);
        let now = SystemTime::now();
        if let Some(held) = shared.held.get(&digest, now).filter(|held| held.is_fresh(now)) {
            if let Ok(identity) = issuers.verify(&held.token, certificate).await {
                return Ok(identity.into());
            }
            // Its key may be gone at the issuer by now; a new token has another.
            shared.held.remove(&digest);
        }
        let Some(endpoint) = shared.endpoint.asked_by(username, password.clone()) else {
            return Err(Refused::new("wrong_password", "the name has characters that no client id has"));
        };
        let held = self.ask(digest, endpoint, source).await?;
        let verified = issuers.verify(&held.token, certificate).await;
        if verified.is_err() {
            shared.held.remove(&digest);
        }
        Ok(Proven::from(verified?))
    }

    /// Asks for a token, or waits for the answer where the same is being asked already.
    async fn ask(&self, digest: TokenDigest, endpoint: TokenEndpoint, source: IpAddr) -> Asked {
        let mut answer = {
            let mut asking = locked(&self.0.asking);
            // Whoever was asking may have the answer since this one looked.
            let now = SystemTime::now();
            if let Some(held) = self.0.held.get(&digest, now).filter(|held| held.is_fresh(now)) {
                return Ok(held);
            }
            match asking.get(&digest) {
                Some(answer) => answer.clone(),
                None => {
                    let (answered, answer) = watch::channel(None);
                    asking.insert(digest, answer.clone());
                    let asked = Asking { shared: self.0.clone(), digest };
                    // A task of its own: the others wait on, whatever becomes of the first.
                    tokio::spawn(async move {
                        let answer = asked.shared.exchange(digest, &endpoint, source).await;
                        drop(asked);
                        answered.send_replace(Some(answer));
                    });
                    answer
                }
            }
        };
        let answered = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answered
            .unwrap_or_else(|| Err(Refused::new("token_endpoint", "the token endpoint could not be asked")))
    }
}

impl Shared {
    /// One exchange at the token endpoint. While the endpoint itself fails, a token that is not over serves on.
    async fn exchange(&self, digest: TokenDigest, endpoint: &TokenEndpoint, source: IpAddr) -> Asked {
        let answer = match self.turns.take(source, WAIT_FOR_TURN).await {
            Some(_turn) => oauth::token(&self.client, endpoint, self.endpoint.http.timeout).await,
            None => Err(Failed::of("busy")("too many are asking; is somebody guessing?".to_owned())),
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
                    return Err(Refused::new(
                        "token_endpoint",
                        format!("the token endpoint gives no token: {why}"),
                    ));
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

/// Something that is being asked for; whoever asks once this is gone has it asked anew.
struct Asking {
    shared: Arc<Shared>,
    digest: TokenDigest,
}

impl Drop for Asking {
    fn drop(&mut self) {
        locked(&self.shared.asking).remove(&self.digest);
    }
}

/// How many exchanges go on at once: so many in all, and of one address fewer.
///
/// Whoever guesses waits for himself; of those who wait for a turn, no address has more than its own few.
struct Turns {
    all: Arc<Semaphore>,
    by_source: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(EXCHANGES_MAX)), by_source: Mutex::default() }
    }
}

impl Turns {
    async fn take(&self, source: IpAddr, patience: Duration) -> Option<Turn> {
        let of_source = self.of(network_of(source));
        let turn = async {
            let of_source = of_source.acquire_owned().await.ok()?;
            let of_all = self.all.clone().acquire_owned().await.ok()?;
            Some(Turn { _of_source: of_source, _of_all: of_all })
        };
        timeout(patience, turn).await.ok()?
    }

    fn of(&self, network: IpAddr) -> Arc<Semaphore> {
        let mut by_source = locked(&self.by_source);
        if let Some(known) = by_source.get(&network).and_then(Weak::upgrade) {
            return known;
        }
        if by_source.len() >= SOURCES_MAX {
            by_source.retain(|_, known| known.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(EXCHANGES_OF_SOURCE_MAX));
        by_source.insert(network, Arc::downgrade(&new));
        new
    }
}

/// The right to one exchange.
struct Turn {
    _of_source: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Whose an address is: of IPv6 everybody has a whole network.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into(),
        address => address,
    }
}

/// No panic leaves these maps half-changed, so a poisoned one is as good as any.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one token endpoint is asked at once.
const EXCHANGES_MAX: usize = 64;
const EXCHANGES_OF_SOURCE_MAX: usize = 16;
/// Of more addresses those are forgotten of which nobody waits.
const SOURCES_MAX: usize = 1024;
const WAIT_FOR_TURN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// For what is there at once, or never.
    const PATIENCE: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn an_address_waits_for_its_own_turns_and_keeps_none_of_another_s() {
        let turns = Turns::default();
        let [guesser, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let mut held = Vec::new();
        for _ in 0..EXCHANGES_OF_SOURCE_MAX {
            held.push(turns.take(guesser, PATIENCE).await.expect("a turn"));
        }
        assert!(turns.take(guesser, PATIENCE).await.is_none());
        assert!(turns.take(other, PATIENCE).await.is_some());
        held.pop();
        assert!(turns.take(guesser, PATIENCE).await.is_some());
    }

    #[tokio::test]
    async fn all_addresses_together_have_so_many_turns_and_no_more() {
        let turns = Turns::default();
        let source = |number: u32| IpAddr::V4(number.to_be_bytes().into());
        let mut held = Vec::new();
        for number in 0..EXCHANGES_MAX {
            held.push(turns.take(source(u32::try_from(number).unwrap()), PATIENCE).await.expect("a turn"));
        }
        assert!(turns.take(source(u32::MAX), PATIENCE).await.is_none());
    }

    #[tokio::test]
    async fn addresses_of_which_nobody_waits_are_forgotten() {
        let turns = Turns::default();
        let held = turns.take("2001:db8::1".parse().unwrap(), PATIENCE).await;
        for number in 0..10_000_u32 {
            drop(turns.take(IpAddr::V4(number.to_be_bytes().into()), PATIENCE).await);
        }
        let known = locked(&turns.by_source);
        assert!(known.len() <= SOURCES_MAX && known.contains_key(&"2001:db8::".parse().unwrap()));
        drop(held);
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_an_address_in_two_forms_too() {
        let check = |address: &str, expected: &str| {
            assert_eq!(
                network_of(address.parse().unwrap()),
                expected.parse::<IpAddr>().unwrap(),
                "{address}"
            );
        };
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("192.0.2.1", "192.0.2.1");
    }
}
