//! One thread with its connections.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout_at;
use tracing::{debug, info};

use super::client_tokens::ClientTokens;
use super::connection::Connection;
use super::entrance::{Entry, NoDoor};
use super::journal::Journal;
use super::logins::{Computing, Logins};
use super::tenants::Tenants;
use super::turns::{Contender, Origin, Turns};
use super::{IssuersByCluster, Upstreams, random};
use crate::auth::PeerCertificate;
use crate::cluster::Limits;
use crate::session::{Client, Session};
use crate::telemetry::{Audit, ClusterMetrics, Metrics};

/// What all workers share, and none changes.
pub struct House {
    pub tenants: Arc<Tenants>,
    pub limits: Arc<Limits>,
    pub metrics: Metrics,
    /// Connections that are open now.
    pub connections: Arc<AtomicUsize>,
    upstreams: Upstreams,
    issuers: IssuersByCluster,
    client_tokens: HashMap<Arc<str>, ClientTokens>,
    /// Turns at computing passwords.
    computing: Turns,
    /// Turns at logins that only a broker can check, by virtual cluster.
    relaying: Mutex<HashMap<Arc<str>, Turns>>,
    audit: Audit,
    stopping: Arc<Stopping>,
}

impl House {
    pub fn new(
        tenants: Arc<Tenants>,
        limits: Arc<Limits>,
        upstreams: Upstreams,
        issuers: IssuersByCluster,
        client_tokens: HashMap<Arc<str>, ClientTokens>,
        metrics: Metrics,
        audit: Audit,
    ) -> Self {
        Self {
            tenants,
            limits,
            metrics,
            connections: Arc::default(),
            upstreams,
            issuers,
            client_tokens,
            computing: Computing::turns(),
            relaying: Mutex::default(),
            audit,
            stopping: Arc::default(),
        }
    }

    pub fn hold_connection(&self) -> Held {
        Held::of(&self.connections)
    }

    /// The turns at logins that only the brokers of this virtual cluster can check; of one client's address
    /// there are never all, where there are two.
    fn relaying(&self, cluster: &Arc<str>) -> Turns {
        let mut relaying = self.relaying.lock().unwrap_or_else(PoisonError::into_inner);
        let at_once = self.limits.relayed_logins;
        relaying
            .entry(cluster.clone())
            .or_insert_with(|| Turns::new(at_once, (at_once * 3 / 4).max(1), WAITING_EACH_MAX))
            .clone()
    }

    /// Has every connection end when nothing is in flight on it.
    pub fn drain(&self) {
        self.stopping.is_told.store(true, Ordering::Release);
        self.stopping.told.notify_waiters();
    }
}

/// The word that the gateway stops.
#[derive(Default)]
struct Stopping {
    is_told: AtomicBool,
    told: Arc<Notify>,
}

/// One connection's ear for that word.
pub struct Stop {
    stopping: Arc<Stopping>,
    told: Pin<Box<OwnedNotified>>,
}

impl Stop {
    fn heard_from(stopping: &Arc<Stopping>) -> Self {
        Self { stopping: stopping.clone(), told: Box::pin(stopping.told.clone().notified_owned()) }
    }

    pub fn is_told(&self) -> bool {
        self.stopping.is_told.load(Ordering::Acquire)
    }

    /// Ready when it is told, also when that was before anybody listened.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_told() { Poll::Ready(()) } else { self.told.as_mut().poll(cx) }
    }
}

/// One more of something that is counted, for as long as this lives.
pub struct Held(Arc<AtomicUsize>);

impl Held {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on its way to its worker.
pub struct Accepted {
    pub stream: std::net::TcpStream,
    pub address: SocketAddr,
    pub entry: Entry,
    pub accepted_at: Instant,
    pub held: Held,
}

/// The threads that carry connections.
pub struct Workers(Vec<Worker>);

struct Worker {
    inbox: mpsc::UnboundedSender<(Accepted, Held)>,
    load: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts one worker for each core.
    pub fn start(house: &Arc<House>) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).map(|place| Worker::start(place, house.clone())).collect::<io::Result<_>>().map(Self)
    }

    /// Gives a connection to the worker that has the fewest.
    pub fn carry(&self, accepted: Accepted) {
        let least = self.0.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        if let Some(worker) = least {
            // A worker that is gone was told to go: the process is stopping.
            let _ = worker.inbox.send((accepted, Held::of(&worker.load)));
        }
    }
}

impl Worker {
    fn start(place: usize, house: Arc<House>) -> io::Result<Self> {
        let (inbox, mut accepted) = mpsc::unbounded_channel::<(Accepted, Held)>();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name(format!("worker-{place}")).spawn(move || {
            LocalSet::new().block_on(&runtime, async move {
                let mut counted = 0;
                while let Some((accepted, _load)) = accepted.recv().await {
                    counted += 1;
                    let house = house.clone();
                    spawn_local(async move {
                        let _load = _load;
                        carry(accepted, &house, counted).await;
                    });
                }
            });
        })?;
        Ok(Self { inbox, load: Arc::default() })
    }
}

/// Carries one connection from TLS to its end.
async fn carry(accepted: Accepted, house: &House, preferred: usize) {
    let Accepted { stream, address, entry, accepted_at, held: _held } = accepted;
    let mut stop = Stop::heard_from(&house.stopping);
    let deadline = tokio::time::Instant::from_std(accepted_at + house.limits.login_timeout);
    let turned_away = |why: &str, label| {
        house.metrics.connection_turned_away(NO_CLUSTER, label);
        info!(%address, why, "closed: {label}");
    };
    let meeting = async {
        let stream = TcpStream::from_std(stream)?;
        timeout_at(deadline, entry.meet(stream)).await.unwrap_or_else(|_| Err(NoDoor::TooLate))
    };
    let met = tokio::select! {
        biased;
        met = meeting => met,
        () = poll_fn(|cx| stop.poll(cx)) => return turned_away(STOPPING, "tls_failed"),
    };
    let arrival = match met {
        Ok(arrival) => arrival,
        Err(why) => return turned_away(&why.to_string(), why.label()),
    };
    let door = arrival.door;
    let listener = house.tenants.listener(arrival.place);
    let Some(upstream) = house.upstreams.get(&listener.cluster.backend.name).cloned() else { return };
    let counts: ClusterMetrics = house.metrics.for_cluster(&listener.cluster.name);
    let journal =
        Journal::open(listener.clone(), address, house.metrics.clone(), counts, house.audit.clone());
    let shaking_hands = timeout_at(deadline, arrival.shake_hands());
    let shaken = tokio::select! {
        biased;
        () = poll_fn(|cx| stop.poll(cx)) => return journal.never_began(STOPPING),
        shaken = shaking_hands => shaken,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(why)) => return journal.never_began(&why.to_string()),
        Err(_) => return journal.never_began(&NoDoor::TooLate.to_string()),
    };
    let certificate = match stream.peer_certificate().map(PeerCertificate::from_der).transpose() {
        Ok(certificate) => certificate.map(Arc::new),
        Err(why) => return journal.never_began(&why.to_string()),
    };
    debug!(%address, listener = &*listener.name, "connected");
    let client = Client {
        connection_id: u64::from_ne_bytes(random()),
        address: address.ip().to_string(),
        certificate_ends_at: certificate.as_ref().and_then(|certificate| {
            // The handshake has just found it good.
            Instant::now().checked_add(certificate.lasts(SystemTime::now()))
        }),
        certificate,
        nonce: random,
    };
    let origin = Origin::from(address.ip());
    let logins = Logins {
        issuers: house.issuers.get(&listener.cluster.name).cloned().unwrap_or_default(),
        authentication: listener.cluster.authentication.clone(),
        computing: Computing::new(house.computing.clone(), origin),
        client_tokens: house.client_tokens.get(&listener.cluster.name).cloned(),
        origin,
    };
    let relaying = Contender { turns: house.relaying(&listener.cluster.name), origin };
    let versions = upstream.versions(door);
    let session = Session::new(listener, house.limits.clone(), versions, client, accepted_at);
    Connection::new(session, stream, door, upstream, logins, relaying, journal, stop, preferred).run().await;
}

/// The label of what concerns no virtual cluster, or none that is known.
pub const NO_CLUSTER: &str = "";
/// Logins of one address that wait for their turn at a broker; more are refused.
const WAITING_EACH_MAX: usize = 4096;
const STOPPING: &str = "the gateway is shutting down";
