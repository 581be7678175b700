//! Connecting to brokers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::tls::{TlsError, client_config};
use crate::api::versions::BrokerVersions;
use crate::cluster::{Address, BackendCluster, Door};
use crate::names::Backend;

/// A backend cluster as it is now: which brokers there are, and what they speak.
pub struct Upstream {
    pub cluster: Arc<BackendCluster>,
    tls: Option<TlsConnector>,
    brokers: ArcSwap<Brokers>,
    ask_again: mpsc::Sender<oneshot::Sender<()>>,
    /// Where the gateway itself listens.
    own: Arc<[SocketAddr]>,
}

/// What was last found out.
#[derive(Default, Clone)]
pub struct Brokers {
    pub addresses: HashMap<i32, Backend<Address>>,
    pub versions: HashMap<i32, Arc<BrokerVersions>>,
    /// What all of them speak: for clients that are not yet with one of them.
    pub common: Option<Arc<BrokerVersions>>,
    /// Whether the last question was answered.
    pub is_up: bool,
}

/// A wish to be told of the brokers now: somebody stands at the door of one that is not known.
pub type Asks = mpsc::Receiver<oneshot::Sender<()>>;

impl Upstream {
    pub fn new(cluster: Arc<BackendCluster>, own: Arc<[SocketAddr]>) -> Result<(Self, Asks), TlsError> {
        let tls = cluster.tls.as_ref().map(client_config).transpose()?.map(TlsConnector::from);
        let (ask_again, asks) = mpsc::channel(WAITING_MAX);
        Ok((Self { cluster, tls, brokers: ArcSwap::default(), ask_again, own }, asks))
    }

    pub fn brokers(&self) -> Arc<Brokers> {
        self.brokers.load_full()
    }

    pub fn learn(&self, brokers: Brokers) {
        self.brokers.store(Arc::new(brokers));
    }

    /// What the brokers behind a door speak, as far as it is known.
    pub fn versions(&self, door: Door) -> Option<Arc<BrokerVersions>> {
        let brokers = self.brokers.load();
        match door {
            Door::Broker(node) => brokers.versions.get(&node).or(brokers.common.as_ref()).cloned(),
            Door::Bootstrap => brokers.common.clone(),
        }
    }

    /// What a broker said at a client's connection: it may be newer than what was found out last.
    pub fn learn_versions(&self, door: Door, versions: &Arc<BrokerVersions>) {
        let Door::Broker(node) = door else { return };
        if self.brokers.load().versions.get(&node).is_some_and(|known| known == versions) {
            return;
        }
        self.change(|brokers| drop(brokers.versions.insert(node, versions.clone())));
    }

    /// Changes what is known, and nothing that was found out meanwhile.
    pub fn change(&self, change: impl Fn(&mut Brokers)) {
        self.brokers.rcu(|known| {
            let mut brokers = (**known).clone();
            change(&mut brokers);
            brokers
        });
    }

    /// Connects to the broker behind a door; behind the bootstrap door, to any that answers.
    pub async fn connect(&self, door: Door, preferred: usize) -> io::Result<Stream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "no broker is known");
        for address in self.candidates(door, preferred).await {
            match self.connect_to(address.as_ref()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    pub async fn connect_to(&self, address: &Address) -> io::Result<Stream> {
        let connecting = async {
            let stream = TcpStream::connect((&*address.host, address.port)).await?;
            if self.is_own(stream.local_addr()?, stream.peer_addr()?) {
                return Err(io::Error::other("this is a port of the gateway itself"));
            }
            tune(&stream)?;
            match &self.tls {
                None => Ok(Stream::Plain(stream)),
                Some(connector) => {
                    let name = ServerName::try_from(address.host.to_string()).map_err(io::Error::other)?;
                    Ok(Stream::Connected(Box::new(connector.connect(name, stream).await?)))
                }
            }
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether we have come out where we listen: each connection would bring forth the next.
    fn is_own(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let is_peer = |own: &SocketAddr| {
            let is_any = own.ip().is_unspecified() && peer.ip() == local.ip();
            own.port() == peer.port() && (is_any || own.ip() == peer.ip())
        };
        self.own.iter().any(is_peer)
    }

    async fn candidates(&self, door: Door, preferred: usize) -> Vec<Backend<Address>> {
        match door {
            Door::Broker(node) => {
                if !self.brokers.load().addresses.contains_key(&node) {
                    self.refresh().await;
                }
                self.brokers.load().addresses.get(&node).cloned().into_iter().collect()
            }
            Door::Bootstrap => {
                let brokers = self.brokers.load();
                let mut known: Vec<_> = brokers.addresses.iter().collect();
                known.sort_by_key(|(node, _)| **node);
                let mut addresses: Vec<_> = known.into_iter().map(|(_, address)| address.clone()).collect();
                if !addresses.is_empty() {
                    let start = preferred % addresses.len();
                    addresses.rotate_left(start);
                }
                addresses.extend(self.cluster.bootstrap.iter().cloned());
                addresses.truncate(CANDIDATES_MAX);
                addresses
            }
        }
    }

    /// Has the brokers asked for, and waits until that is done.
    async fn refresh(&self) {
        let (done, is_done) = oneshot::channel();
        if self.ask_again.try_send(done).is_ok() {
            let _ = timeout(CONNECT_TIMEOUT, is_done).await;
        }
    }
}

/// No delay for small frames, and an end to peers that are gone without a word.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_AFTER / 3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// A broker that does not answer by now is as good as gone; clients try another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Connections that wait for one answer; more are turned away, and try again.
const WAITING_MAX: usize = 1024;
/// How many brokers a bootstrap connection tries.
const CANDIDATES_MAX: usize = 5;
