//! What a virtual cluster offers only where its file says so: calls about the whole Kafka cluster, and
//! client telemetry.

use std::collections::BTreeSet;

use crate::policy::Operation;

/// Something that is withheld, or refused, unless the file asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OptIn {
    Operator(OperatorApi),
    /// KIP-714: clients tell the brokers how they fare.
    Telemetry,
}

/// All that one virtual cluster's file asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptIns(BTreeSet<OptIn>);

impl OptIns {
    pub fn of(opt_ins: impl IntoIterator<Item = OptIn>) -> Self {
        Self(opt_ins.into_iter().collect())
    }

    /// Everything that can be asked for.
    pub fn all() -> Self {
        Self::of(OperatorApi::EACH.into_iter().map(OptIn::Operator).chain([OptIn::Telemetry]))
    }

    pub fn has(&self, opt_in: OptIn) -> bool {
        self.0.contains(&opt_in)
    }
}

/// Declares the calls, each with what a client needs on the cluster.
macro_rules! operator_apis {
    ($($api:ident: $need:ident,)+) => {
        /// A call that is about the whole Kafka cluster, and so not a tenant's by itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum OperatorApi { $($api,)+ }

        impl OperatorApi {
            /// Every one, in the order of their keys.
            pub const EACH: [OperatorApi; [$(stringify!($api)),+].len()] = [$(OperatorApi::$api,)+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(OperatorApi::$api => stringify!($api),)+
                }
            }

            /// The operation on the cluster that a client must be granted beside the opt-in.
            ///
            /// Source: `authorization.tsv` of the protocol facts. A delegation token would open the brokers
            /// past the gateway, so to see one takes the right to alter.
            pub fn needs(self) -> Operation {
                match self {
                    $(OperatorApi::$api => Operation::$need,)+
                }
            }
        }
    };
}

operator_apis! {
    WriteTxnMarkers: Alter,
    AlterReplicaLogDirs: Alter,
    CreateDelegationToken: Alter,
    RenewDelegationToken: Alter,
    ExpireDelegationToken: Alter,
    DescribeDelegationToken: Alter,
    ElectLeaders: Alter,
    AlterPartitionReassignments: Alter,
    ListPartitionReassignments: Describe,
    DescribeClientQuotas: DescribeConfigs,
    AlterClientQuotas: AlterConfigs,
    DescribeUserScramCredentials: Describe,
    AlterUserScramCredentials: Alter,
    DescribeQuorum: Describe,
    UpdateFeatures: Alter,
    UnregisterBroker: Alter,
    ListConfigResources: DescribeConfigs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_offered_that_nobody_asked_for() {
        let some = OptIns::of([OptIn::Operator(OperatorApi::ElectLeaders)]);
        assert!(some.has(OptIn::Operator(OperatorApi::ElectLeaders)));
        assert!(!some.has(OptIn::Operator(OperatorApi::AlterClientQuotas)) && !some.has(OptIn::Telemetry));
        assert!(OperatorApi::EACH.into_iter().all(|api| OptIns::all().has(OptIn::Operator(api))));
        assert_eq!(OperatorApi::ElectLeaders.as_str(), "ElectLeaders");
    }
}
