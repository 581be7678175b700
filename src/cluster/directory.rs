//! Which virtual cluster answers at which door.

use std::net::IpAddr;
use std::sync::Arc;

use super::{AddressBook, BackendCluster, TlsVersions, VirtualCluster};
use crate::names::Secret;

/// Everything that the gateway serves, as one snapshot.
#[derive(Debug, Clone)]
pub struct Directory {
    pub backends: Vec<Arc<BackendCluster>>,
    pub clusters: Vec<Arc<VirtualCluster>>,
    pub listeners: Vec<Arc<Listener>>,
}

/// A set of ports, and the virtual cluster behind them.
#[derive(Debug, Clone)]
pub struct Listener {
    pub name: Arc<str>,
    pub addresses: Vec<IpAddr>,
    pub tls: Option<ServerTls>,
    pub book: Arc<AddressBook>,
    pub cluster: Arc<VirtualCluster>,
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
    pub trust_bundle: String,
}

/// A certificate chain and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub chain: String,
    pub key: Secret,
}
