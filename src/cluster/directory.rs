//! Which virtual cluster answers at which door.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{AddressBook, BackendCluster, Pem, PortMap, ServerNames, TlsVersions, VirtualCluster};

/// Everything that the gateway serves, as one snapshot.
#[derive(Debug, Clone)]
pub struct Directory {
    pub backends: Vec<Arc<BackendCluster>>,
    pub clusters: Vec<Arc<VirtualCluster>>,
    pub listeners: Vec<Arc<Listener>>,
    pub entrances: Vec<Entrance>,
}

/// One virtual cluster as clients find it at one entrance.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The entrance's; where server names tell clusters apart, several have the same.
    pub name: Arc<str>,
    pub book: Arc<AddressBook>,
    pub cluster: Arc<VirtualCluster>,
}

/// Ports that are opened together, and who is behind them.
#[derive(Debug, Clone)]
pub struct Entrance {
    pub name: Arc<str>,
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<u16>,
    pub tls: Option<ServerTls>,
    pub behind: Behind,
}

/// Who is behind an entrance, by places among the directory's listeners.
#[derive(Debug, Clone)]
pub enum Behind {
    /// One, whose brokers are told apart by ports.
    Ports { place: usize, map: PortMap },
    /// Any number; server names tell apart both clusters and brokers.
    Names(Arc<ServerNames>),
}

impl Entrance {
    /// Everywhere it listens.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAddr> {
        let ports = |address: IpAddr| self.ports.iter().map(move |port| SocketAddr::new(address, *port));
        self.addresses.iter().copied().flat_map(ports)
    }
}

/// How TLS is spoken to clients.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// At least one; the first serves clients that name no server.
    pub certificates: Vec<Certificate>,
    pub versions: TlsVersions,
    /// Whether clients show certificates of their own; none are asked for by default.
    pub client_authentication: Option<ClientAuthentication>,
}

/// How clients prove by certificates who they are.
#[derive(Debug, Clone)]
pub struct ClientAuthentication {
    /// Who shows none is turned away.
    pub is_required: bool,
    /// The certificates of those who may vouch for a client, as PEM.
    pub trust_bundle: Pem,
    /// The lists of what these have revoked, as PEM; without one nobody asks.
    pub crl: Option<Pem>,
}

/// A certificate chain and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub chain: Pem,
    pub key: Pem,
}

impl ServerTls {
    /// Every text that TLS is made of here.
    pub fn pems(&mut self) -> impl Iterator<Item = &mut Pem> {
        let of_clients = self
            .client_authentication
            .iter_mut()
            .flat_map(|wanted| std::iter::once(&mut wanted.trust_bundle).chain(&mut wanted.crl));
        let pairs = self.certificates.iter_mut().flat_map(|pair| [&mut pair.chain, &mut pair.key]);
        pairs.chain(of_clients)
    }
}
