//! Connecting to brokers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::tls::{TlsError, client_config};
use super::tokens::Tokens;
use crate::api::versions::BrokerVersions;
use crate::cluster::{Address, BackendCluster, Door};
use crate::names::Backend;
use crate::session::LoginFailed;

/// A backend cluster as it is now: which brokers there are, and what they speak.
pub struct Upstream {
    pub cluster: Arc<BackendCluster>,
    /// As its files are now; whoever connects next takes the newest.
    tls: Option<ArcSwap<ClientConfig>>,
    brokers: ArcSwap<Brokers>,
    ask_again: mpsc::Sender<oneshot::Sender<()>>,
    /// What the gateway logs in with, where it does so with tokens of its own.
    pub tokens: Option<Tokens>,
    /// Where the gateway itself listens.
    own: Arc<[SocketAddr]>,
}

/// What was last found out.
#[derive(Default, Clone)]
pub struct Brokers {
    addresses: HashMap<i32, Backend<Address>>,
    /// What each said last, also of those that are away: one that comes back mostly speaks as before.
    versions: HashMap<i32, Arc<BrokerVersions>>,
    /// What all of them speak: for clients that are not yet with one of them.
    common: Option<Arc<BrokerVersions>>,
    /// Whether the last question was answered.
    pub is_up: bool,
}

impl Brokers {
    pub fn addresses(&self) -> &HashMap<i32, Backend<Address>> {
        &self.addresses
    }

    /// These are the brokers now.
    pub fn are(&mut self, addresses: HashMap<i32, Backend<Address>>) {
        self.addresses = addresses;
        if self.versions.len() > REMEMBERED_MAX {
            self.versions.retain(|node, _| self.addresses.contains_key(node));
        }
        self.find_common();
    }

    /// A broker said what it speaks; `None` stands for one whose id is not known.
    fn hear(&mut self, node: Option<i32>, versions: Arc<BrokerVersions>) {
        if node.is_some() {
            self.versions.remove(&NOBODY);
        }
        self.versions.insert(node.unwrap_or(NOBODY), versions);
        self.find_common();
    }

    fn has_heard(&self, node: Option<i32>, versions: &BrokerVersions) -> bool {
        self.versions.get(&node.unwrap_or(NOBODY)).is_some_and(|known| known.is_as_good_as(versions))
    }

    fn find_common(&mut self) {
        let is_here = |node: &i32| *node == NOBODY || self.addresses.contains_key(node);
        let here = self.versions.iter().filter(|(node, _)| is_here(node));
        let here: Vec<&BrokerVersions> = here.map(|(_, versions)| &**versions).collect();
        // While all are away, what they spoke is as good as anything.
        if !here.is_empty() {
            self.common = Some(Arc::new(BrokerVersions::common(&here)));
        }
    }

    fn speak(&self, door: Door) -> Option<&Arc<BrokerVersions>> {
        match door {
            Door::Broker(node) => self.versions.get(&node).or(self.common.as_ref()),
            Door::Bootstrap => self.common.as_ref(),
        }
    }

    /// Who is at this address, if it is one of those that the brokers themselves say.
    fn at(&self, address: &Backend<Address>) -> Option<i32> {
        self.addresses.iter().find(|(_, known)| *known == address).map(|(node, _)| *node)
    }
}

/// A wish to be told of the brokers now: somebody stands at the door of one that is not known.
pub type Asks = mpsc::Receiver<oneshot::Sender<()>>;

impl Upstream {
    pub fn new(
        cluster: Arc<BackendCluster>,
        tokens: Option<Tokens>,
        own: Arc<[SocketAddr]>,
    ) -> Result<(Self, Asks), TlsError> {
        let tls = cluster.tls.as_ref().map(client_config).transpose()?.map(ArcSwap::new);
        let (ask_again, asks) = mpsc::channel(WAITING_MAX);
        Ok((Self { cluster, tls, brokers: ArcSwap::default(), ask_again, tokens, own }, asks))
    }

    /// Whoever connects next speaks TLS like this.
    pub fn renew_tls(&self, config: Arc<ClientConfig>) {
        if let Some(tls) = &self.tls {
            tls.store(config);
        }
    }

    pub fn brokers(&self) -> Arc<Brokers> {
        self.brokers.load_full()
    }

    /// What the brokers behind a door speak, as far as it is known.
    pub fn versions(&self, door: Door) -> Option<Arc<BrokerVersions>> {
        self.brokers.load().speak(door).cloned()
    }

    /// What a broker said: to the gateway's own question, or at a client's connection, which may be
    /// sooner after it was changed for an older or a newer one.
    pub fn learn_versions(&self, node: Option<i32>, versions: &Arc<BrokerVersions>) {
        if !self.brokers.load().has_heard(node, versions) {
            self.change(|brokers| brokers.hear(node, versions.clone()));
        }
    }

    /// Changes what is known, and nothing that was found out meanwhile.
    pub fn change(&self, change: impl Fn(&mut Brokers)) {
        self.brokers.rcu(|known| {
            let mut brokers = (**known).clone();
            change(&mut brokers);
            brokers
        });
    }

    /// Waits a little for what the gateway logs in with, if it has to be fetched.
    pub async fn wait_for_token(&self) -> io::Result<()> {
        match &self.tokens {
            Some(tokens) => tokens.wait().await,
            None => Ok(()),
        }
    }

    /// A broker has refused our login. If that is for the token, there may be a better one.
    pub fn login_failed(&self, why: &LoginFailed) {
        if let (LoginFailed::Token(_), Some(tokens)) = (why, &self.tokens) {
            tokens.refused();
        }
    }

    /// Connects to the broker behind a door; behind the bootstrap door, to any that answers. Says which
    /// one that is, if it is known.
    pub async fn connect(&self, door: Door, preferred: usize) -> io::Result<(Option<i32>, Stream)> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "no broker is known");
        for (node, address) in self.candidates(door, preferred).await {
            match self.connect_to(address.as_ref()).await {
                Ok(stream) => return Ok((node, stream)),
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
                Some(config) => {
                    let name = self.cluster.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
                    let name = name.unwrap_or(&address.host).to_owned();
                    let name = ServerName::try_from(name).map_err(io::Error::other)?;
                    let connector = TlsConnector::from(config.load_full());
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

    async fn candidates(&self, door: Door, preferred: usize) -> Vec<(Option<i32>, Backend<Address>)> {
        match door {
            Door::Broker(node) => {
                if !self.brokers.load().addresses.contains_key(&node) {
                    self.refresh().await;
                }
                let brokers = self.brokers.load();
                brokers
                    .addresses
                    .get(&node)
                    .map(|address| (Some(node), address.clone()))
                    .into_iter()
                    .collect()
            }
            Door::Bootstrap => {
                let brokers = self.brokers.load();
                let known = brokers.addresses.iter();
                let mut candidates: Vec<_> =
                    known.map(|(node, address)| (Some(*node), address.clone())).collect();
                candidates.sort_by_key(|(node, _)| *node);
                if !candidates.is_empty() {
                    let start = preferred % candidates.len();
                    candidates.rotate_left(start);
                }
                let written = self.cluster.bootstrap.iter();
                candidates.extend(written.map(|address| (brokers.at(address), address.clone())));
                candidates.truncate(CANDIDATES_MAX);
                candidates
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
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_AGAIN_AFTER)
        .with_retries(KEEPALIVE_UNANSWERED_MAX);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// No broker has this id: what one said whose id is not known.
const NOBODY: i32 = -1;
/// Of more brokers than any cluster has, nothing is kept once they are gone.
const REMEMBERED_MAX: usize = 1000;
/// A broker that does not answer by now is as good as gone; clients try another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_AGAIN_AFTER: Duration = Duration::from_secs(10);
const KEEPALIVE_UNANSWERED_MAX: u32 = 3;
/// Connections that wait for one answer; more are turned away, and try again.
const WAITING_MAX: usize = 1024;
/// How many brokers a bootstrap connection tries.
const CANDIDATES_MAX: usize = 5;
