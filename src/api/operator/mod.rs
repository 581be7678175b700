//! Calls about the whole Kafka cluster, which is not a tenant's.
//!
//! Where the file of a virtual cluster lists a call under `operator_apis`, those go on whom a rule about
//! the cluster lets; what they name is still confined to the namespace. Of calls that are not listed,
//! those that clients in use make are answered as a broker answers one who may do nothing to its
//! cluster; the others are withheld.

mod cluster; //       DescribeQuorum, UpdateFeatures, UnregisterBroker, ListConfigResources
mod quotas; //        DescribeClientQuotas, AlterClientQuotas
mod reassignments; // ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments
mod replicas; //      AlterReplicaLogDirs, WriteTxnMarkers
mod tokens; //        delegation tokens
mod users; //         DescribeUserScramCredentials, AlterUserScramCredentials

pub use cluster::{DescribeQuorum, ListConfigResources, UnregisterBroker, UpdateFeatures};
pub use quotas::{AlterClientQuotas, DescribeClientQuotas};
pub use reassignments::{AlterPartitionReassignments, ElectLeaders, ListPartitionReassignments};
pub use replicas::{AlterReplicaLogDirs, WriteTxnMarkers};
pub use tokens::{
    CreateDelegationToken, DescribeDelegationToken, ExpireDelegationToken, RenewDelegationToken,
};
pub use users::{AlterUserScramCredentials, DescribeUserScramCredentials};

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

use super::{Asking, Refusal, standard_text};
use crate::cluster::Cause;
use crate::names::Kind;
use crate::policy::{Operation, Resource};

/// A topic whose partitions are refused, as the client calls it.
pub struct RefusedTopic {
    pub name: TopicName,
    pub partitions: Vec<i32>,
    pub why: Refusal,
}

/// Writes the backend's name of a topic that is to be changed; a shared one is managed elsewhere.
fn own(name: &mut TopicName, ask: &Asking<'_>) -> Result<(), Refusal> {
    if ask.gate.cluster().namespace.is_additional(Kind::Topic, &name.0) {
        ask.gate.note(Operation::Alter, Resource::Topic, &name.0, Cause::Additional);
        return Err(Refusal::AdditionalTopic);
    }
    Ok(ask.gate.rename(Operation::Alter, name.into())?)
}

/// Puts words of ours in place of a broker's, which quote its names and addresses.
fn reword(message: &mut Option<StrBytes>, code: i16) {
    *message = message.take().and_then(|_| standard_text(code));
}

fn text(why: Refusal) -> Option<StrBytes> {
    Some(StrBytes::from_string(why.text()))
}
