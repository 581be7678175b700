//! The shell: sockets, TLS, tasks, timers. Everything that waits is here.
//!
//! One runtime of one thread for each core carries the connections; a connection stays where it was
//! put when it was accepted, and both its sockets with it. The thread that calls [`run`] accepts,
//! fetches keys, finds brokers and serves the admin port. Knows no message body, no name and no rule.
#![expect(clippy::disallowed_methods, reason = "this is where time comes from and where tasks live")]

mod admin; //      /livez, /readyz, /metrics
mod brokers; //    finding out which brokers a backend has
mod certificates; // read again when their files change, and the end of each
mod client_tokens; // the tokens of clients that show a name and a password
mod connection; // drives one session
mod entrance; //   what is behind a port, and the TLS before it
mod http; //       what is asked of OAuth servers, with limits
mod issuers; //    the issuers whose tokens clients bring, their keys and their word
mod journal; //    what happens on a connection, told to metrics, log and audit log
mod listener; //   binding, accepting, choosing a worker
mod logins; //     finding out whether what a client shows is true
mod oauth; //      asking OAuth servers as one of their clients
mod stream; //     a socket of either kind, and one side of a connection
mod tenants; //    the listeners as they are now
mod tls; //        TLS for both sides
mod together; //   one question for all who ask the same
mod tokens; //     fetching our own tokens for brokers
mod turns; //      at what there is little of, fairly between those who want it
mod upstream; //   connecting to brokers
mod ways; //       asking OAuth servers, each in the way that the file says
mod worker; //     one thread with its connections

pub use tls::TlsError;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::auth::{BearerToken, BrokerLogin, Identity, Method, Rejected, SaslPlain};
use crate::cluster::{BackendCluster, Directory, Entrance, Limits, VirtualCluster};
use crate::telemetry::{Audit, Metrics};
use brokers::BrokerFinder;
use certificates::Certificates;
use client_tokens::ClientTokens;
use issuers::{Issuers, KeyFetcher, KeySets, Keys};
use listener::Doors;
use tenants::Tenants;
use tokens::Tokens;
use upstream::Upstream;
use ways::Ways;
use worker::{House, Workers};

/// What the gateway serves, and how.
pub struct Settings {
    pub directory: Directory,
    pub limits: Limits,
    /// Where health and metrics are served, if they are.
    pub admin: Option<SocketAddr>,
    /// How long requests in flight may take when the gateway stops.
    pub drain_timeout: Duration,
    pub metrics: Metrics,
    pub audit: Audit,
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("{what} can not listen on {address}: {why}")]
    Bind { what: String, address: SocketAddr, why: io::Error },
    #[error("TLS of {what}: {why}")]
    Tls { what: String, why: TlsError },
    #[error("the HTTP client for OAuth servers can not be made: {0}")]
    HttpClient(reqwest::Error),
    #[error("a thread or its runtime can not be started: {0}")]
    Thread(io::Error),
}

/// Serves until the process is told to stop, and lets requests in flight finish.
pub fn run(settings: Settings) -> Result<(), ServerError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServerError::Thread)?;
    let served = runtime.block_on(serve(settings));
    // A name that is being looked up, or a file that does not end, is not waited for.
    runtime.shutdown_background();
    served
}

/// Verifies one token as a login at this virtual cluster would, and no more.
pub fn verify_once(
    cluster: &Arc<VirtualCluster>,
    limits: &Limits,
    token: &BearerToken,
) -> Result<Result<Identity, Rejected>, ServerError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServerError::Thread)?;
    let clusters = vec![cluster.clone()];
    let directory =
        Directory { clusters, backends: Vec::new(), listeners: Vec::new(), entrances: Vec::new() };
    let verdict = runtime.block_on(async {
        let (issuers, _, fetchers) = issuers(&directory, limits, &mut Ways::default(), &Metrics::new())?;
        for fetcher in fetchers {
            tokio::spawn(fetcher.run());
        }
        match issuers.get(&cluster.name) {
            Some(issuers) => Ok(issuers.verify(token, None, IpAddr::from(Ipv4Addr::LOCALHOST).into()).await),
            None => Ok(Err(Rejected::NoKeys)),
        }
    });
    runtime.shutdown_background();
    verdict
}

async fn serve(settings: Settings) -> Result<(), ServerError> {
    let Settings { directory, limits, admin, drain_timeout, metrics, audit } = settings;
    crate::wire::grammar(); // laid out once, before somebody waits for it
    let limits = Arc::new(limits);
    let tenants = Arc::new(Tenants::new(&directory));
    let admin_socket = match admin {
        Some(address) => Some(bind("the admin port", address).await?),
        None => None,
    };
    let mut certificates = Certificates::new(metrics.clone());
    let doors = Doors::open(&directory, &mut certificates).await?;

    let (upstreams, finders) = upstreams(&directory, admin, &limits, &tenants, &metrics)?;
    let mut ways = Ways::default();
    let (issuers, key_sets, fetchers) = issuers(&directory, &limits, &mut ways, &metrics)?;
    let client_tokens = client_tokens(&directory, &mut ways, &metrics)?;
    for upstream in upstreams.values() {
        certificates.of_backend(upstream);
        let tls = upstream.cluster.tls.as_ref();
        let is_unverified = tls.is_some_and(|tls| tls.insecure_skip_verify);
        metrics.backend_unverified(&upstream.cluster.name, is_unverified);
    }
    tokio::spawn(certificates.watch());
    let first_looks: Vec<_> = finders.into_iter().map(look).collect();
    for fetcher in fetchers {
        tokio::spawn(fetcher.run());
    }
    metrics.watch_audit(&audit);
    let readiness = admin::Readiness::new(upstreams.values().cloned().collect(), key_sets);
    if let Some(socket) = admin_socket {
        tokio::spawn(admin::serve(socket, readiness.clone(), metrics.clone()));
    }

    let house =
        Arc::new(House::new(tenants, limits, upstreams, issuers, client_tokens, metrics, audit.clone()));
    // Held to the end: a worker that nobody can give a connection ends, with all that it carries.
    let workers = Arc::new(Workers::start(&house).map_err(ServerError::Thread)?);
    let all_have_looked = async {
        for first_look in first_looks {
            let _ = first_look.await;
        }
    };
    // Who comes sooner would be told of more versions than the brokers may speak, and waits in the backlog.
    let _ = timeout(FIRST_LOOK_TIMEOUT, all_have_looked).await;
    let accepting = doors.accept(&house, &workers);
    tokio::spawn(tell_when_ready(readiness.clone()));

    wait_for_signal().await;
    info!("stopping: no further connection is accepted");
    readiness.stop();
    for task in accepting {
        task.abort();
    }
    drain(&house, drain_timeout).await;
    drop(workers);
    audit.flush(FLUSH_TIMEOUT);
    Ok(())
}

/// Has the brokers of a backend looked for from here on.
fn look(finder: BrokerFinder) -> oneshot::Receiver<()> {
    let (has_looked, first_look) = oneshot::channel();
    tokio::spawn(finder.run(has_looked));
    first_look
}

type Upstreams = HashMap<Arc<str>, Arc<Upstream>>;

fn upstreams(
    directory: &Directory,
    admin: Option<SocketAddr>,
    limits: &Arc<Limits>,
    tenants: &Arc<Tenants>,
    metrics: &Metrics,
) -> Result<(Upstreams, Vec<BrokerFinder>), ServerError> {
    let own: Arc<[SocketAddr]> =
        directory.entrances.iter().flat_map(Entrance::sockets).chain(admin).collect();
    let (mut upstreams, mut finders) = (HashMap::new(), Vec::new());
    for backend in &directory.backends {
        let tokens = tokens(backend, metrics)?;
        let (upstream, asks) = Upstream::new(backend.clone(), tokens, own.clone())
            .map_err(|why| ServerError::Tls { what: format!("backend cluster {}", backend.name), why })?;
        let upstream = Arc::new(upstream);
        upstreams.insert(backend.name.clone(), upstream.clone());
        finders.push(BrokerFinder {
            upstream,
            asks,
            limits: limits.clone(),
            tenants: tenants.clone(),
            metrics: metrics.clone(),
            last_asked: None,
        });
    }
    Ok((upstreams, finders))
}

/// Has tokens fetched for a backend from here on, if the gateway logs in there with its own.
fn tokens(backend: &BackendCluster, metrics: &Metrics) -> Result<Option<Tokens>, ServerError> {
    let BrokerLogin::OauthBearer(login) = &backend.login else { return Ok(None) };
    let client = http::client(login.ca_bundle.as_deref()).map_err(ServerError::HttpClient)?;
    let (tokens, fetcher) = Tokens::new(backend.name.clone(), login.clone(), client, metrics.clone());
    tokio::spawn(fetcher.run());
    Ok(Some(tokens))
}

/// The issuers, by virtual cluster.
type IssuersByCluster = HashMap<Arc<str>, Issuers>;

fn issuers(
    directory: &Directory,
    limits: &Limits,
    ways: &mut Ways,
    metrics: &Metrics,
) -> Result<(IssuersByCluster, Vec<Keys>, Vec<KeyFetcher>), ServerError> {
    let mut key_sets = KeySets::new(limits, ways, metrics.clone());
    let mut issuers = HashMap::new();
    for cluster in &directory.clusters {
        let mut of_cluster = Vec::new();
        for method in &cluster.authentication.methods {
            let Method::OauthBearer(bearer) = method else { continue };
            of_cluster.push(key_sets.issuer(bearer).map_err(ServerError::HttpClient)?);
        }
        issuers.insert(cluster.name.clone(), Issuers::new(of_cluster));
    }
    let (keys, fetchers) = key_sets.finish();
    Ok((issuers, keys, fetchers))
}

/// Who asks for the tokens of clients that show a name and a password, by virtual cluster.
fn client_tokens(
    directory: &Directory,
    ways: &mut Ways,
    metrics: &Metrics,
) -> Result<HashMap<Arc<str>, ClientTokens>, ServerError> {
    let mut by_cluster = HashMap::new();
    for cluster in &directory.clusters {
        for method in &cluster.authentication.methods {
            let Method::SaslPlain(SaslPlain { endpoint: Some(endpoint), .. }) = method else { continue };
            let tokens = ClientTokens::new(cluster.name.clone(), endpoint.clone(), ways, metrics.clone());
            by_cluster.insert(cluster.name.clone(), tokens.map_err(ServerError::HttpClient)?);
        }
    }
    Ok(by_cluster)
}

async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|why| ServerError::Bind { what: what.to_owned(), address, why })
}

async fn tell_when_ready(readiness: admin::Readiness) {
    while let Err(_missing) = readiness.check() {
        sleep(Duration::from_millis(50)).await;
    }
    info!("ready");
}

async fn wait_for_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Waits for the connections to end by themselves; a second signal or the time-out ends the wait.
async fn drain(house: &House, drain_timeout: Duration) {
    house.drain();
    let all_gone = async {
        while house.connections.load(Ordering::Relaxed) > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let started = Instant::now();
    let finished = tokio::select! {
        finished = timeout(drain_timeout, all_gone) => finished.is_ok(),
        () = wait_for_signal() => false,
    };
    let left = house.connections.load(Ordering::Relaxed);
    if finished {
        info!(took = ?started.elapsed(), "stopped");
    } else {
        warn!(connections = left, took = ?started.elapsed(), "stopped; connections were cut off");
    }
}

/// Fresh random bytes.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source does not fail once it has started");
    bytes
}

const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// A backend that answers does so sooner; behind one that does not, nobody is served anyway.
const FIRST_LOOK_TIMEOUT: Duration = Duration::from_secs(2);
