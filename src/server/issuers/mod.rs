//! The issuers whose tokens clients bring, and the ways to their newest keys and to their word.

mod fetcher; // fetching key sets: at start, before they grow old, and when a token names an unknown key
mod introspector; // asking about tokens that keys can not verify

use std::collections::HashMap;
use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::auth::{
    BearerToken, Identity, Introspected, Introspection, KeyRing, KeySource, OauthBearer, PeerCertificate,
    Rejected, Rules, Unverified, Verifier,
};
use crate::cluster::Limits;
use crate::server::turns::Origin;
use crate::server::ways::Ways;
use crate::telemetry::Metrics;
pub use fetcher::KeyFetcher;
use introspector::Introspector;

/// The issuers whose tokens a virtual cluster takes.
#[derive(Clone, Default)]
pub struct Issuers(Arc<[Issuer]>);

/// One issuer, with its rules for one virtual cluster.
#[derive(Clone)]
pub struct Issuer {
    verifier: Verifier,
    /// Without them every token is introspected.
    keys: Option<Keys>,
    introspector: Option<Introspector>,
    metrics: Metrics,
}

/// The way to one key set; all who take their keys from one place share it.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    /// What metrics call the key set.
    name: Arc<str>,
    ring: Arc<KeyRing>,
    /// The last fetch failed, and an older set serves on.
    is_stale: AtomicBool,
    wishes: mpsc::Sender<oneshot::Sender<()>>,
}

/// Who finds out about a token.
enum Finder<'i> {
    Keys(&'i Issuer, &'i Keys),
    /// All of whom are asked at once.
    Endpoints(Vec<(&'i Issuer, &'i Introspector)>),
}

impl Issuers {
    pub fn new(issuers: Vec<Issuer>) -> Self {
        Self(issuers.into())
    }

    pub async fn verify(
        &self,
        token: &BearerToken,
        certificate: Option<&PeerCertificate>,
        origin: Origin,
    ) -> Result<Identity, Rejected> {
        match self.finder(token) {
            Finder::Keys(issuer, keys) => issuer.verify(keys, token, certificate).await,
            Finder::Endpoints(endpoints) => introspect(&endpoints, token, certificate, origin).await,
        }
    }

    /// A signed token goes to the issuer that it names, and to its keys if there are any; where it names
    /// none, to the first keys, which refuse it. About what no key can verify all endpoints are asked.
    fn finder(&self, token: &BearerToken) -> Finder<'_> {
        fn keys(issuer: &Issuer) -> Option<Finder<'_>> {
            Some(Finder::Keys(issuer, issuer.keys.as_ref()?))
        }
        fn endpoints(issuers: &[Issuer]) -> Vec<(&Issuer, &Introspector)> {
            issuers.iter().filter_map(|issuer| Some((issuer, issuer.introspector.as_ref()?))).collect()
        }
        let first_keys = self.0.iter().find_map(keys);
        let all = endpoints(&self.0);
        let is_signed = Unverified::is_signed(token);
        match self.named_by(token).filter(|_| is_signed) {
            Some(issuer) => keys(issuer).unwrap_or_else(|| Finder::Endpoints(endpoints(from_ref(issuer)))),
            // With no endpoint to ask, the keys say what is wrong with it.
            None => match first_keys {
                Some(keys) if is_signed || all.is_empty() => keys,
                _ => Finder::Endpoints(all),
            },
        }
    }

    /// The issuer that a signed token names.
    fn named_by(&self, token: &BearerToken) -> Option<&Issuer> {
        let bytes_max = self.0.first()?.verifier.rules.token_bytes_max;
        let said = Unverified::read(token, bytes_max).ok()?;
        self.0.iter().find(|issuer| said.is_of(&issuer.verifier.rules))
    }
}

/// What the first endpoint says that takes the token for active; one that is slow holds up no other.
async fn introspect(
    endpoints: &[(&Issuer, &Introspector)],
    token: &BearerToken,
    certificate: Option<&PeerCertificate>,
    origin: Origin,
) -> Result<Identity, Rejected> {
    let identity = |issuer: &Issuer, said: &Introspected| {
        said.identity(&issuer.verifier.rules, certificate, SystemTime::now())
    };
    for (issuer, introspector) in endpoints {
        if let Some(said) = introspector.recall(token) {
            issuer.metrics.token_looked_up(introspector.name(), "known");
            return identity(issuer, &said);
        }
    }
    let mut asking = JoinSet::new();
    for (place, (issuer, introspector)) in endpoints.iter().enumerate() {
        issuer.metrics.token_looked_up(introspector.name(), "new");
        let (introspector, token) = ((*introspector).clone(), token.clone());
        asking.spawn(async move { (place, introspector.ask(token, origin).await) });
    }
    let mut refused = Err(Rejected::NoKeys);
    while let Some(answered) = asking.join_next().await {
        match answered {
            Ok((place, Ok(said))) => return identity(endpoints[place].0, &said),
            // Whoever could not be asked might have said yes: that is what there is to be told.
            Ok((_, Err(why))) if matches!(refused, Err(Rejected::NoKeys | Rejected::Inactive)) => {
                refused = Err(why);
            }
            Ok(_) | Err(_) => {}
        }
    }
    refused
}

impl Issuer {
    /// Verifies a token by keys; one that is not known is asked for before the answer.
    async fn verify(
        &self,
        keys: &Keys,
        token: &BearerToken,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Identity, Rejected> {
        if let Some(verdict) = self.verifier.recall(token, certificate, SystemTime::now()) {
            self.metrics.token_looked_up(keys.name(), "known");
            return verdict;
        }
        self.metrics.token_looked_up(keys.name(), "new");
        match self.verifier.verify(token, certificate, SystemTime::now()) {
            Err(rejected) if rejected.wants_fresh_keys() => {
                keys.wish().await;
                self.verifier.verify(token, certificate, SystemTime::now())
            }
            verdict => verdict,
        }
    }
}

impl Keys {
    pub fn is_there(&self) -> bool {
        self.0.ring.newest().is_some()
    }

    pub fn is_stale(&self) -> bool {
        self.0.is_stale.load(Ordering::Relaxed)
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Has the set fetched again, and waits until that is done; not for ever.
    async fn wish(&self) {
        let (done, is_done) = oneshot::channel();
        if self.0.wishes.try_send(done).is_ok() {
            let _ = timeout(WAIT_FOR_KEYS, is_done).await;
        }
    }
}

/// All issuers of a gateway: one key set for each place, and the endpoints of each virtual cluster.
pub struct KeySets<'w> {
    by_source: HashMap<KeySource, Keys>,
    fetchers: Vec<KeyFetcher>,
    ways: &'w mut Ways,
    key_set_bytes: usize,
    login_timeout: Duration,
    metrics: Metrics,
}

impl<'w> KeySets<'w> {
    pub fn new(limits: &Limits, ways: &'w mut Ways, metrics: Metrics) -> Self {
        let &Limits { key_set_bytes, login_timeout, .. } = limits;
        let (by_source, fetchers) = (HashMap::new(), Vec::new());
        Self { by_source, fetchers, ways, key_set_bytes, login_timeout, metrics }
    }

    /// An issuer whose keys are fetched once for all who take them from the same place.
    pub fn issuer(&mut self, bearer: &OauthBearer) -> Result<Issuer, reqwest::Error> {
        let keys = match &bearer.source {
            Some(source) => Some(self.keys(bearer, source)?),
            None => None,
        };
        let introspector = match &bearer.introspection {
            Some(introspection) => Some(self.introspector(introspection, &bearer.verifier.rules)?),
            None => None,
        };
        let ring = keys.as_ref().map_or_else(|| bearer.verifier.ring.clone(), |keys| keys.0.ring.clone());
        let verifier = Verifier::new(bearer.verifier.rules.clone(), ring);
        Ok(Issuer { verifier, keys, introspector, metrics: self.metrics.clone() })
    }

    fn introspector(
        &mut self,
        introspection: &Arc<Introspection>,
        rules: &Rules,
    ) -> Result<Introspector, reqwest::Error> {
        // The rest of the login's time is for the answer.
        let (metrics, patience) = (self.metrics.clone(), self.login_timeout / 2);
        Introspector::new(introspection.clone(), rules, self.ways, patience, metrics)
    }

    fn keys(&mut self, bearer: &OauthBearer, source: &KeySource) -> Result<Keys, reqwest::Error> {
        if let Some(keys) = self.by_source.get(source) {
            return Ok(keys.clone());
        }
        let (sender, wishes) = mpsc::channel(WAITING_MAX);
        let keys = Keys(Arc::new(Shared {
            name: bearer.name.clone(),
            ring: bearer.verifier.ring.clone(),
            is_stale: AtomicBool::new(false),
            wishes: sender,
        }));
        let fetcher = KeyFetcher::new(
            &keys,
            source.clone(),
            wishes,
            self.ways,
            self.key_set_bytes,
            self.metrics.clone(),
        )?;
        self.fetchers.push(fetcher);
        self.by_source.insert(source.clone(), keys.clone());
        Ok(keys)
    }

    /// Every way to a key set, and who is to run for it.
    pub fn finish(self) -> (Vec<Keys>, Vec<KeyFetcher>) {
        (self.by_source.into_values().collect(), self.fetchers)
    }
}

/// Logins that wait for one fetch; more are answered without.
const WAITING_MAX: usize = 4096;
/// A login waits no longer for a fetch than this, whatever the issuer's own time-out is.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;
    use crate::auth::{ClientProof, HttpSettings, KeyPlace, Pace};
    use crate::names::Secret;

    /// Tokens of an issuer: by the keys in a file, by an endpoint, or by both.
    fn bearer(issuer: &str, file: Option<&str>, endpoint: Option<&str>) -> OauthBearer {
        let rules = Rules { issuer: Some(issuer.to_owned()), ..Rules::default() };
        let introspection = |name: &str| Introspection {
            name: name.into(),
            endpoint: "http://127.0.0.1:1/".parse().unwrap(),
            client_id: "gateway".to_owned(),
            proof: ClientProof::Basic(Secret::new("hunter2")),
            http: HttpSettings::default(),
            kept_max: Introspection::KEPT_MAX,
        };
        let source =
            |file: &str| KeySource { place: KeyPlace::File { path: file.into() }, pace: Pace::default() };
        OauthBearer {
            name: issuer.into(),
            verifier: Verifier::new(rules, Arc::new(KeyRing::empty())),
            source: file.map(source),
            introspection: endpoint.map(|name| Arc::new(introspection(name))),
        }
    }

    fn sets(ways: &mut Ways) -> KeySets<'_> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        KeySets::new(&Limits::default(), ways, Metrics::new())
    }

    /// Who finds out about a token of these claims, or about an opaque one: keys, or endpoints.
    fn found(issuers: &[Issuer], claims: Option<&str>) -> String {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed = |claims: &str| format!("{}.{}.{}", part("{}"), part(claims), part("x"));
        let token = BearerToken::new(claims.map_or_else(|| "opaque".to_owned(), signed));
        match Issuers::new(issuers.to_vec()).finder(&token) {
            Finder::Keys(_, keys) => keys.name().to_owned(),
            Finder::Endpoints(all) => {
                all.iter().map(|(_, introspector)| introspector.name()).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn of_several_issuers_the_one_that_a_token_names_is_asked() {
        let mut ways = Ways::default();
        let mut sets = sets(&mut ways);
        let (a, b) = ("https://a.example", "https://b.example");
        let both = [a, b].map(|name| sets.issuer(&bearer(name, Some(name), None)).unwrap());
        assert_eq!(found(&both, Some(r#"{"iss": "https://a.example"}"#)), a);
        assert_eq!(found(&both, Some(r#"{"iss": "https://b.example"}"#)), b);
        for odd in [Some(r#"{"iss": "https://c.example"}"#), Some(r#"{"iss": 5}"#), Some("no JSON"), None] {
            assert_eq!(found(&both, odd), a, "{odd:?}");
            assert_eq!(found(&both[1..], odd), b, "{odd:?}");
            assert_eq!(found(&[], odd), "", "{odd:?}");
        }
    }

    #[test]
    fn endpoints_are_asked_about_what_no_key_can_verify() {
        let mut ways = Ways::default();
        let mut sets = sets(&mut ways);
        let mut issuer = |name: &str, file, endpoint| {
            sets.issuer(&bearer(&format!("https://{name}.example"), file, endpoint)).unwrap()
        };
        let all = [
            issuer("a", None, Some("endpoint-a")),
            issuer("b", Some("keys"), None),
            issuer("c", Some("others"), Some("endpoint-c")),
        ];
        let of = |name: &str| format!(r#"{{"iss": "https://{name}.example"}}"#);
        for (name, expected) in [
            ("a", "endpoint-a"),
            ("b", "https://b.example"),
            ("c", "https://c.example"),
            ("d", "https://b.example"),
        ] {
            assert_eq!(found(&all, Some(&of(name))), expected, "{name}");
        }
        assert_eq!(found(&all, None), "endpoint-a endpoint-c");
        assert_eq!(found(&all[..1], Some(&of("d"))), "endpoint-a", "it has no keys to refuse it");
    }

    #[test]
    fn one_fetcher_is_enough_for_all_who_take_keys_from_one_place() {
        let mut ways = Ways::default();
        let mut sets = sets(&mut ways);
        let rings: Vec<_> = [("a", "keys"), ("b", "keys"), ("a", "others")]
            .map(|(name, file)| sets.issuer(&bearer(name, Some(file), None)).unwrap().verifier.ring)
            .into();
        assert!(Arc::ptr_eq(&rings[0], &rings[1]) && !Arc::ptr_eq(&rings[0], &rings[2]));
        let (keys, fetchers) = sets.finish();
        assert_eq!((keys.len(), fetchers.len()), (2, 2));
    }
}
