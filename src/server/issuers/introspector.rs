//! Asking an introspection endpoint about tokens: once for all who bring the same one, and not about
//! too many at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::asking::{Way, Ways};
use crate::auth::{BearerToken, Introspected, Introspection, Recent, Rejected, Rules, TokenDigest};
use crate::server::oauth::{self, Failed};
use crate::telemetry::Metrics;

/// The way to one introspection endpoint, for those who log in at one virtual cluster.
#[derive(Clone)]
pub struct Introspector {
    shared: Arc<Shared>,
    questions: mpsc::Sender<Question>,
}

struct Shared {
    introspection: Arc<Introspection>,
    /// For whom the endpoint speaks.
    issuer: Option<String>,
    token_bytes_max: usize,
    /// What was said of active tokens a moment ago.
    known: Recent<Introspected>,
    metrics: Metrics,
}

/// What comes of asking.
type Found = Result<Introspected, Rejected>;

struct Question {
    token: BearerToken,
    digest: TokenDigest,
    answer: oneshot::Sender<Found>,
}

impl Introspector {
    /// An introspector, and who is to run for it; `patience` is how long a login waits for its turn.
    pub fn new(
        introspection: Arc<Introspection>,
        rules: &Rules,
        ways: &mut Ways,
        patience: Duration,
        metrics: Metrics,
    ) -> Result<(Self, Inquirer), reqwest::Error> {
        let way = ways.by(&introspection.http)?;
        let shared = Arc::new(Shared {
            introspection,
            issuer: rules.issuer.clone(),
            token_bytes_max: rules.token_bytes_max,
            known: Recent::default(),
            metrics,
        });
        let (sender, questions) = mpsc::channel(WAITING_MAX);
        let turns = Arc::new(Semaphore::new(ASKED_AT_ONCE_MAX));
        let inquirer =
            Inquirer { shared: shared.clone(), way, turns, patience, questions, waiting: HashMap::new() };
        Ok((Self { shared, questions: sender }, inquirer))
    }

    pub fn name(&self) -> &str {
        &self.shared.introspection.name
    }

    /// What was said of a token a moment ago.
    pub fn recall(&self, token: &BearerToken) -> Option<Introspected> {
        self.shared.known.get(&TokenDigest::of(token), SystemTime::now())
    }

    /// Has the endpoint asked about a token, and waits for its answer; not for ever.
    pub async fn ask(&self, token: BearerToken) -> Found {
        let bytes_max = self.shared.token_bytes_max;
        if token.expose().len() > bytes_max {
            return Err(Rejected::TooLong { bytes_max });
        }
        let (answer, answered) = oneshot::channel();
        let digest = TokenDigest::of(&token);
        if self.questions.try_send(Question { token, digest, answer }).is_err() {
            return Err(self.shared.busy());
        }
        answered.await.unwrap_or_else(|_| Err(failed("the gateway is stopping")))
    }
}

impl Shared {
    fn busy(&self) -> Rejected {
        self.metrics.introspected(&self.introspection.name, "busy");
        Rejected::Busy
    }
}

fn failed(why: &str) -> Rejected {
    Rejected::IntrospectionFailed { why: why.to_owned() }
}

/// Asks one endpoint for all who wait.
pub struct Inquirer {
    shared: Arc<Shared>,
    way: Way,
    turns: Arc<Semaphore>,
    patience: Duration,
    questions: mpsc::Receiver<Question>,
    /// Those who brought the same token.
    waiting: HashMap<TokenDigest, Vec<oneshot::Sender<Found>>>,
}

impl Inquirer {
    /// Runs until nobody can ask any more.
    pub async fn run(mut self) {
        let mut asking = JoinSet::new();
        let mut asked: HashMap<Id, TokenDigest> = HashMap::new();
        loop {
            tokio::select! {
                question = self.questions.recv() => {
                    let Some(question) = question else { return };
                    let digest = question.digest;
                    if let Some(token) = self.is_to_be_asked(question, asking.len()) {
                        asked.insert(asking.spawn(self.ask(token)).id(), digest);
                    }
                }
                Some(done) = asking.join_next_with_id(), if !asking.is_empty() => {
                    let (id, found) = match done {
                        Ok(done) => done,
                        Err(error) => (error.id(), Err(failed("the gateway is stopping"))),
                    };
                    let waited = asked.remove(&id).and_then(|digest| self.waiting.remove(&digest));
                    for answer in waited.into_iter().flatten() {
                        let _ = answer.send(found.clone());
                    }
                }
            }
        }
    }

    /// The token, if nobody has asked about it yet; whoever brings it waits for the same answer.
    fn is_to_be_asked(&mut self, question: Question, under_way: usize) -> Option<BearerToken> {
        let Question { token, digest, answer } = question;
        // The answer may have come since the login looked for it.
        if let Some(known) = self.shared.known.get(&digest, SystemTime::now()) {
            let _ = answer.send(Ok(known));
            return None;
        }
        match self.waiting.entry(digest) {
            Entry::Vacant(place) if under_way < WAITING_MAX => {
                place.insert(vec![answer]);
                return Some(token);
            }
            Entry::Occupied(mut those) if those.get().len() < WAITING_MAX => those.get_mut().push(answer),
            _ => drop(answer.send(Err(self.shared.busy()))),
        }
        None
    }

    fn ask(&self, token: BearerToken) -> impl Future<Output = Found> + use<> {
        let (shared, way, turns) = (self.shared.clone(), self.way.clone(), self.turns.clone());
        let patience = self.patience;
        async move {
            let Ok(Ok(_turn)) = timeout(patience, turns.acquire()).await else { return Err(shared.busy()) };
            shared.ask(&way, &token).await
        }
    }
}

impl Shared {
    /// Asks the endpoint, whatever was known before.
    async fn ask(&self, way: &Way, token: &BearerToken) -> Found {
        let Introspection { name, kept_max, .. } = &*self.introspection;
        let (asked_at, started) = (SystemTime::now(), Instant::now());
        let mut answer = self.post(way, token).await;
        // A server may close a connection at the moment at which it is used again; that is known soon, and
        // to be asked twice changes nothing there.
        let is_soon = started.elapsed() < way.timeout / 2;
        if is_soon && answer.as_ref().is_err_and(|failed| failed.outcome == "unreachable") {
            answer = self.post(way, token).await;
        }
        let answer = match answer {
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

    async fn post(&self, way: &Way, token: &BearerToken) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let Introspection { endpoint, client_id, proof, .. } = &*self.introspection;
        let form = vec![
            ("token", Zeroizing::new(token.expose().to_owned())),
            ("token_type_hint", Zeroizing::new("access_token".to_owned())),
        ];
        oauth::post(&way.client, endpoint, client_id, proof, form, way.timeout).await
    }
}

/// Enough for a thousand logins a second where the endpoint answers in good time; it is not to be
/// flooded by whoever floods us.
const ASKED_AT_ONCE_MAX: usize = 64;
/// Tokens that wait for their turn, and logins that wait for one token; more are refused.
const WAITING_MAX: usize = 4096;
