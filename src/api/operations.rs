//! The authorized-operations bit fields: which bits a topic, a group and the cluster have.
//!
//! A broker fills them for the gateway's own login, so they are always reckoned anew.
//! Source: KIP-430.

use crate::cluster::Lens;
use crate::policy::Operation;

/// The cluster's bit field for this client; empty without the right to describe the cluster.
pub fn cluster_operations(lens: &Lens<'_>) -> i32 {
    if lens.grants_cluster(Operation::Describe) {
        lens.authorized_cluster_operations(&CLUSTER_OPERATIONS)
    } else {
        0
    }
}

/// What a bit field says that nobody asked for.
pub const NOT_ASKED: i32 = i32::MIN;

/// The operations that a topic has.
pub const TOPIC_OPERATIONS: [Operation; 8] = [
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Describe,
    Operation::Delete,
    Operation::Alter,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// The operations that a cluster has; CLUSTER_ACTION is for brokers and never granted.
pub const CLUSTER_OPERATIONS: [Operation; 6] = [
    Operation::Create,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
    Operation::Alter,
    Operation::Describe,
];

/// The operations that a group has.
pub const GROUP_OPERATIONS: [Operation; 5] = [
    Operation::Read,
    Operation::Describe,
    Operation::Delete,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];
