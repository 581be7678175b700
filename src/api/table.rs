//! Every API key of Kafka: served, answered by the session itself, or withheld.

use std::ops::RangeInclusive;

use super::{Admitted, Api, Conversation, Incoming, admit};
use crate::cluster::{Gate, Lens, OperatorApi, OptIn, OptIns};
use crate::wire::{ApiKey, Broken};

/// What the gateway does with an API.
#[derive(Clone, Copy)]
pub enum Disposition {
    /// Admitted, forwarded and revealed by its family.
    Serve(&'static Row),
    /// Answered by the session: it is about the connection.
    Answer,
    /// Not advertised, and refused when sent.
    Withhold,
}

/// A served API without its types.
pub struct Row {
    pub key: ApiKey,
    pub name: &'static str,
    pub versions: RangeInclusive<i16>,
    /// The version in which a request goes on to the broker.
    pub upstream_version: fn(i16) -> i16,
    /// What else a broker must speak for a version to be served.
    pub needs: fn(i16) -> Option<(ApiKey, i16)>,
    pub admit: AdmitFn,
    /// What a virtual cluster's file must ask for before its clients see this API at all.
    pub on_request: Option<OptIn>,
}

impl Row {
    /// Whether a virtual cluster that asks for these serves the API.
    pub fn is_offered(&self, opt_ins: &OptIns) -> bool {
        self.on_request.is_none_or(|opt_in| opt_ins.has(opt_in))
    }
}

type AdmitFn = fn(
    &Incoming<'_>,
    Gate<'_>,
    &Lens<'_>,
    &mut Conversation,
    &mut dyn FnMut() -> i32,
) -> Result<Admitted, Broken>;

pub(super) const fn row<A: Api>(name: &'static str) -> Row {
    Row {
        key: A::KEY,
        name,
        versions: A::VERSIONS,
        upstream_version: A::upstream_version,
        needs: A::needs,
        admit: admit::<A>,
        on_request: None,
    }
}

/// Each key stands in one of four lists; one that stands in none does not compile.
macro_rules! table {
    (
        serve { $($served:ident: $family:ident,)+ }
        on_request { $($asked_for:ident: $asked_family:ident, $opt_in:expr;)* }
        answer { $($answered:ident)+ }
        withhold { $($withheld:ident)+ }
    ) => {
        static ROWS: &[Row] = &[
            $(row::<super::$family::$served>(stringify!($served)),)+
            $(Row {
                on_request: Some($opt_in),
                ..row::<super::$asked_family::$asked_for>(stringify!($asked_for))
            },)*
        ];

        /// Where a key stands.
        pub fn disposition(key: ApiKey) -> Disposition {
            match key {
                $(ApiKey::$served => {
                    static ROW: Row = row::<super::$family::$served>(stringify!($served));
                    Disposition::Serve(&ROW)
                })+
                $(ApiKey::$asked_for => {
                    static ROW: Row = Row {
                        on_request: Some($opt_in),
                        ..row::<super::$asked_family::$asked_for>(stringify!($asked_for))
                    };
                    Disposition::Serve(&ROW)
                })*
                $(ApiKey::$answered => Disposition::Answer,)+
                $(ApiKey::$withheld => Disposition::Withhold,)+
            }
        }
    };
}

table! {
    serve {
        Produce: produce,
        Fetch: fetch,
        ListOffsets: offsets,
        Metadata: metadata,
        OffsetCommit: commits,
        OffsetFetch: commits,
        FindCoordinator: cluster,
        JoinGroup: groups,
        Heartbeat: groups,
        LeaveGroup: groups,
        SyncGroup: groups,
        DescribeGroups: group_admin,
        ListGroups: group_admin,
        CreateTopics: topics,
        DeleteTopics: topics,
        DeleteRecords: log_admin,
        InitProducerId: transactions,
        OffsetForLeaderEpoch: offsets,
        AddPartitionsToTxn: transactions,
        AddOffsetsToTxn: transactions,
        EndTxn: transactions,
        TxnOffsetCommit: transactions,
        DescribeAcls: acls,
        CreateAcls: acls,
        DeleteAcls: acls,
        DescribeConfigs: configs,
        AlterConfigs: configs,
        DescribeLogDirs: log_admin,
        CreatePartitions: topics,
        DeleteGroups: group_admin,
        ElectLeaders: operator,
        IncrementalAlterConfigs: configs,
        AlterPartitionReassignments: operator,
        ListPartitionReassignments: operator,
        OffsetDelete: group_admin,
        DescribeClientQuotas: operator,
        AlterClientQuotas: operator,
        DescribeUserScramCredentials: operator,
        AlterUserScramCredentials: operator,
        DescribeCluster: cluster,
        DescribeProducers: log_admin,
        DescribeTransactions: transaction_admin,
        ListTransactions: transaction_admin,
        ConsumerGroupHeartbeat: consumer_groups,
        ConsumerGroupDescribe: consumer_groups,
        DescribeTopicPartitions: partitions,
        ShareGroupHeartbeat: share_groups,
        ShareGroupDescribe: share_groups,
        ShareFetch: share_fetch,
        ShareAcknowledge: share_fetch,
        StreamsGroupHeartbeat: streams_groups,
        StreamsGroupDescribe: streams_groups,
        DescribeShareGroupOffsets: share_offsets,
        AlterShareGroupOffsets: share_offsets,
        DeleteShareGroupOffsets: share_offsets,
    }
    on_request {
        WriteTxnMarkers: operator, OptIn::Operator(OperatorApi::WriteTxnMarkers);
        AlterReplicaLogDirs: operator, OptIn::Operator(OperatorApi::AlterReplicaLogDirs);
        CreateDelegationToken: operator, OptIn::Operator(OperatorApi::CreateDelegationToken);
        RenewDelegationToken: operator, OptIn::Operator(OperatorApi::RenewDelegationToken);
        ExpireDelegationToken: operator, OptIn::Operator(OperatorApi::ExpireDelegationToken);
        DescribeDelegationToken: operator, OptIn::Operator(OperatorApi::DescribeDelegationToken);
        DescribeQuorum: operator, OptIn::Operator(OperatorApi::DescribeQuorum);
        UpdateFeatures: operator, OptIn::Operator(OperatorApi::UpdateFeatures);
        UnregisterBroker: operator, OptIn::Operator(OperatorApi::UnregisterBroker);
        ListConfigResources: operator, OptIn::Operator(OperatorApi::ListConfigResources);
        GetTelemetrySubscriptions: client_telemetry, OptIn::Telemetry;
        PushTelemetry: client_telemetry, OptIn::Telemetry;
    }
    answer { ApiVersions SaslHandshake SaslAuthenticate }
    withhold {
        LeaderAndIsr
        StopReplica
        UpdateMetadata
        ControlledShutdown
        Vote
        BeginQuorumEpoch
        EndQuorumEpoch
        AlterPartition
        Envelope
        FetchSnapshot
        BrokerRegistration
        BrokerHeartbeat
        AllocateProducerIds
        ControllerRegistration
        AssignReplicasToDirs
        AddRaftVoter
        RemoveRaftVoter
        UpdateRaftVoter
        InitializeShareGroupState
        ReadShareGroupState
        WriteShareGroupState
        DeleteShareGroupState
        ReadShareGroupStateSummary
        StreamsGroupTopologyDescriptionUpdate
        UnregisterController
    }
}

/// Every served API, those included that a virtual cluster's file must ask for.
pub fn rows() -> &'static [Row] {
    ROWS
}
