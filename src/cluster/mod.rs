//! A virtual cluster: one tenant's whole world as a value that never changes.
//!
//! Holds how its clients log in, and how the gateway logs in behind it, without looking into either.
//! Knows names and policy. Knows no Kafka message, no socket, no file.

mod address; //   which host:port a client may see for which broker
mod backend; //   the Kafka cluster behind it
mod certificate; //  for which hosts a certificate is good, and until when
mod directory; // which virtual cluster answers at which door
mod gate; //      the way in: ask, then rename
mod ids; //       which topic an id stands for
mod lens; //      the way back: hide what is foreign, rename the rest
mod limits; //    what a peer may make grow, and how far
mod opt_in; //    what is offered only where the file says so
mod pem; //       certificates and keys, and where they are read again
mod server_names; // virtual clusters and brokers by server names
mod spoken; //    by which of its names a client calls a topic
mod tenancy; //   a prefix that each login brings

pub use address::{Address, AddressBook, BootstrapPort, Door, InvalidAddress, PortMap};
pub use backend::{BackendCluster, ClientIdentity, TlsVersions, UpstreamTls};
pub use certificate::{CertificateFacts, revocation_list_end};
pub use directory::{Behind, Certificate, ClientAuthentication, Directory, Entrance, Listener, ServerTls};
pub use gate::{Cause, Denial, Gate, No};
pub use ids::TopicIds;
pub use lens::Lens;
pub use limits::Limits;
pub use opt_in::{OperatorApi, OptIn, OptIns};
pub use pem::{Pem, Piece};
pub use server_names::{BrokerNames, NameForm, ServerNames, TooLong};
pub use spoken::Spoken;
pub use tenancy::{ComputedPrefix, NoTenant};

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::Authentication;
use crate::names::Namespace;
use crate::policy::Policy;

/// One virtual cluster, as the file describes it.
#[derive(Debug, Clone)]
pub struct VirtualCluster {
    pub name: Arc<str>,
    /// What clients are told the cluster is called: stable across restarts and instances, never the
    /// backend's own, by which tools would take two tenants for one cluster.
    pub cluster_id: Arc<str>,
    pub backend: Arc<BackendCluster>,
    pub authentication: Arc<Authentication>,
    /// Where the prefix is computed, no name lies in it before a login.
    pub namespace: Namespace,
    /// The prefix, where each login brings its own.
    pub computed_prefix: Option<Arc<ComputedPrefix>>,
    /// Whether the log tells of additional topics that stand behind one of the same name.
    pub warns_of_conflicts: bool,
    pub policy: Arc<Policy>,
    /// What it offers beyond what every virtual cluster does.
    pub opt_ins: OptIns,
}

impl VirtualCluster {
    /// A cluster id in the form that Kafka's own have; the same for every instance that reads the same words.
    pub fn derived_id(words: &str) -> String {
        let hash = digest::digest(&digest::SHA256, words.as_bytes());
        URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
    }
}
