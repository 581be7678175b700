//! Finding out which brokers a backend has, at start and again in its interval.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::stream::{Side, Stream};
use super::upstream::{Asks, Brokers, Upstream};
use super::{Tenants, random};
use crate::cluster::{Address, Limits};
use crate::names::{Backend, Kind, Mode};
use crate::session::{Discovered, Discovery, Found};
use crate::telemetry::Metrics;
use crate::wire::{Segments, split_frame};

/// Keeps what is known of one backend true.
pub struct BrokerFinder {
    pub upstream: Arc<Upstream>,
    pub asks: Asks,
    pub limits: Arc<Limits>,
    pub tenants: Arc<Tenants>,
    pub metrics: Metrics,
    /// When somebody last had the brokers asked for.
    pub last_asked: Option<Instant>,
}

impl BrokerFinder {
    /// Runs until nobody can ask any more, and says when it has looked for the first time.
    pub async fn run(mut self, has_looked: oneshot::Sender<()>) {
        let mut next = self.look().await;
        // It may have taken longer than anybody waits.
        let _ = has_looked.send(());
        loop {
            tokio::select! {
                () = sleep_until(next) => next = self.look().await,
                ask = self.asks.recv() => {
                    let Some(ask) = ask else { return };
                    let mut waiting = vec![ask];
                    // However many stand before the doors of brokers that are not there, the brokers have rest.
                    // Who comes too soon waits a little: there may be a new one since.
                    if let Some(asked) = self.last_asked {
                        sleep_until(asked + ASKED_INTERVAL_MIN).await;
                    }
                    self.last_asked = Some(Instant::now());
                    next = self.look().await;
                    // One answer serves all who came while it was looked for.
                    while let Ok(ask) = self.asks.try_recv() {
                        waiting.push(ask);
                    }
                    for ask in waiting {
                        let _ = ask.send(());
                    }
                }
            }
        }
    }

    /// Finds out once, and says when to do so again.
    async fn look(&self) -> Instant {
        let again_after = match self.find().await {
            Ok(()) => self.upstream.cluster.metadata_interval,
            Err(why) => {
                self.failed(&why);
                RETRY_AFTER
            }
        };
        Instant::now() + again_after
    }

    fn failed(&self, why: &str) {
        let name = &*self.upstream.cluster.name;
        warn!(backend = name, why, "no broker of the backend answers");
        self.metrics.backend_up(name, false);
        self.upstream.change(|brokers| brokers.is_up = false);
    }

    async fn find(&self) -> Result<(), String> {
        self.upstream.wait_for_token().await.map_err(|why| why.to_string())?;
        let before = self.upstream.brokers();
        let known = before.addresses().values().take(KNOWN_TRIED_MAX).cloned();
        let mut why = "no address is known".to_owned();
        for address in known.chain(self.upstream.cluster.bootstrap.iter().cloned()) {
            match self.ask(address.clone(), self.topics_that_matter()).await {
                Ok(found) => {
                    self.learn(found, &before).await;
                    return Ok(());
                }
                Err(failed) => why = format!("{}: {failed}", address.as_ref()),
            }
        }
        Err(why)
    }

    async fn learn(&self, found: Found, before: &Brokers) {
        let name = &*self.upstream.cluster.name;
        let addresses: HashMap<i32, Backend<Address>> = found.brokers.into_iter().collect();
        // New ones can be connected to while the silent ones are waited for.
        self.upstream.change(|brokers| brokers.are(addresses.clone()));
        if self.hear_versions(&addresses).await == 0 {
            self.upstream.learn_versions(None, &found.versions);
        }
        if addresses.keys().collect::<BTreeSet<_>>() != before.addresses().keys().collect::<BTreeSet<_>>() {
            info!(backend = name, brokers = ?addresses.keys().collect::<BTreeSet<_>>(), "the backend's brokers");
            self.tell_of_brokers_without_a_door(&addresses);
        }
        self.tenants.learn_conflicts(&self.upstream.cluster, &found.topics, &self.metrics);
        self.metrics.backend_up(name, true);
        self.upstream.change(|brokers| brokers.is_up = true);
    }

    /// Has each broker say what it speaks; those that do not answer count as speaking what they spoke
    /// before. Returns how many answered.
    async fn hear_versions(&self, addresses: &HashMap<i32, Backend<Address>>) -> usize {
        let mut answered = 0;
        let mut asking = JoinSet::new();
        let mut left = addresses.iter();
        loop {
            while asking.len() < ASKED_AT_ONCE_MAX
                && let Some((node, address)) = left.next()
            {
                let (node, asked) = (*node, self.ask(address.clone(), Some(Vec::new())));
                asking.spawn(async move { (node, asked.await) });
            }
            // A question that panics is one without an answer.
            let Some(asked) = asking.join_next().await else { return answered };
            match asked {
                Ok((node, Ok(answer))) => {
                    self.upstream.learn_versions(Some(node), &answer.versions);
                    answered += 1;
                }
                Ok((node, Err(why))) => {
                    let backend = &*self.upstream.cluster.name;
                    warn!(backend, node, why, "a broker of the backend does not answer");
                }
                Err(_) => {}
            }
        }
    }

    /// The twins of additional topics and aliases; `None` where a pattern makes any topic one.
    fn topics_that_matter(&self) -> Option<Vec<String>> {
        let mut twins = BTreeSet::new();
        for cluster in self.tenants.of_backend(&self.upstream.cluster) {
            twins.extend(cluster.namespace.alias_twins());
            let Some(additional) = cluster.namespace.additional(Kind::Topic) else { continue };
            if !additional.globs().is_empty() && cluster.namespace.mode() == Mode::HidePrefix {
                return None;
            }
            twins.extend(additional.exact().map(|name| format!("{}{name}", cluster.namespace.prefix())));
        }
        Some(twins.into_iter().collect())
    }

    fn tell_of_brokers_without_a_door(&self, addresses: &HashMap<i32, Backend<Address>>) {
        for listener in self.tenants.listeners_of_backend(&self.upstream.cluster) {
            let mut outside: Vec<i32> =
                addresses.keys().copied().filter(|node| listener.book.broker(*node).is_none()).collect();
            outside.sort_unstable();
            if !outside.is_empty() {
                warn!(
                    listener = &*listener.name,
                    brokers = ?outside,
                    "these brokers have no port on this listener, and clients are not told of them; \
                     give it more ports, or lower min_broker_id"
                );
            }
        }
    }

    fn ask(
        &self,
        address: Backend<Address>,
        topics: Option<Vec<String>>,
    ) -> impl Future<Output = Result<Found, String>> + use<> {
        let (upstream, limits) = (self.upstream.clone(), self.limits.clone());
        let asking = async move {
            let stream = upstream.connect_to(address.as_ref()).await.map_err(|why| why.to_string())?;
            let login = upstream.cluster.login.clone();
            let (discovery, first) =
                Discovery::start(login, random(), topics, limits.clone()).map_err(|why| why.to_string())?;
            converse(stream, discovery, first, limits.frame_bytes_from_broker, &upstream).await
        };
        async {
            timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
        }
    }
}

/// Carries a conversation to its end.
async fn converse(
    stream: Stream,
    mut discovery: Discovery,
    first: Backend<Segments>,
    frame_bytes_max: usize,
    upstream: &Upstream,
) -> Result<Found, String> {
    let mut side = Side::new(stream);
    side.send(first.into_inner());
    loop {
        std::future::poll_fn(|cx| side.poll_send(cx)).await.map_err(|why| why.to_string())?;
        let frame = loop {
            if let Some(frame) =
                split_frame(&mut side.inbox, frame_bytes_max).map_err(|why| why.to_string())?
            {
                break frame;
            }
            let received = std::future::poll_fn(|cx| side.poll_receive(cx)).await;
            if received.map_err(|why| why.to_string())? == 0 {
                return Err("the broker closes the connection".to_owned());
            }
        };
        let told = discovery.on_frame(&frame).map_err(|why| {
            upstream.login_failed(&why);
            why.to_string()
        });
        match told? {
            Discovered::Send(message) => side.send(message.into_inner()),
            Discovered::Done(found) => return Ok(found),
        }
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often those who stand before the door of an unknown broker have the brokers asked for.
const ASKED_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How many brokers are tried before the addresses in the file: all of them may be gone.
const KNOWN_TRIED_MAX: usize = 5;
/// A broker that is down takes its time, and others do not wait for it.
const ASKED_AT_ONCE_MAX: usize = 64;
