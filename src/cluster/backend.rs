//! The Kafka cluster behind a virtual one.

use std::sync::Arc;
use std::time::Duration;

use super::{Address, Pem, TopicIds};
use crate::auth::BrokerLogin;
use crate::names::Backend;

/// One real Kafka cluster, and how the gateway reaches it.
#[derive(Debug, Clone)]
pub struct BackendCluster {
    pub name: Arc<str>,
    pub bootstrap: Vec<Backend<Address>>,
    pub login: BrokerLogin,
    pub tls: Option<UpstreamTls>,
    /// How often the brokers are asked for again.
    pub metadata_interval: Duration,
    /// What its brokers have told of topic ids, for all who connect through here.
    pub topic_ids: Arc<TopicIds>,
}

/// How TLS is spoken to brokers.
#[derive(Debug, Clone, Default)]
pub struct UpstreamTls {
    /// Certificates to trust, as PEM; the system's own when there are none.
    pub ca_bundle: Option<Pem>,
    /// Accept any certificate. The file's word for it says what it is.
    pub insecure_skip_verify: bool,
    pub versions: TlsVersions,
    /// The name that brokers' certificates must bear; that of the address by default.
    pub server_name: Option<String>,
    pub client_identity: Option<ClientIdentity>,
}

/// The certificate that the gateway shows to a broker, as PEM.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    pub certificate: Pem,
    pub key: Pem,
}

impl UpstreamTls {
    /// Every text that TLS is made of here.
    pub fn pems(&mut self) -> impl Iterator<Item = &mut Pem> {
        let identity = self.client_identity.iter_mut();
        let identity = identity.flat_map(|identity| [&mut identity.certificate, &mut identity.key]);
        self.ca_bundle.iter_mut().chain(identity)
    }
}

/// Which TLS versions may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsVersions {
    pub tls12: bool,
    pub tls13: bool,
}

impl Default for TlsVersions {
    fn default() -> Self {
        Self { tls12: true, tls13: true }
    }
}
