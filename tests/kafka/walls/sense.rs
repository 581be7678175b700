//! A request that makes sense to a broker: about our own things, but for where a probe aims.
//!
//! A broker would do all of it if it came so far.

use sluicegate::wire::sample::{Filler, body};
use sluicegate::wire::{ApiKey, Direction, Embedded};
use uuid::Uuid;

use super::aims::{Aim, Probe};
use super::deeds::{CLIENT_METRICS, GROUP_CONFIGS, TOPIC_CONFIGS, assignment, batch, subscription};
use super::neighbour::{Neighbour, OWN_GROUP, OWN_TOPIC, OWN_TRANSACTION, TWINS};
use crate::support::entities::entities;
use crate::support::words::is_within;

/// A request's body, and what the client has said in it.
pub struct Request {
    pub body: Vec<u8>,
    /// In the order of the fields; in both twins of a probe there are as many.
    pub said: Vec<Vec<u8>>,
}

/// Writes the request of a probe, with what stands before the names of our own where it is said.
///
/// Of two that are compared each is about own things of its own.
pub fn request(probe: &Probe, neighbour: &Neighbour, prefix: &'static str, twin: usize) -> Request {
    let mut sense = Sense { probe, neighbour, prefix, twin, said: Vec::new() };
    let body =
        body(probe.key, Direction::Request, probe.version, &mut sense).expect("it is a served version");
    Request { body, said: sense.said }
}

struct Sense<'a> {
    probe: &'a Probe,
    neighbour: &'a Neighbour,
    prefix: &'static str,
    twin: usize,
    said: Vec<Vec<u8>>,
}

impl Sense<'_> {
    fn key(&self) -> ApiKey {
        ApiKey::try_from(self.probe.key).expect("it is served")
    }

    fn kind(&self, path: &str) -> Option<&'static str> {
        let mut entities = entities(self.probe.key, Direction::Request, self.probe.version);
        entities.find(|entity| entity.path == path).map(|entity| entity.kind)
    }

    fn own(&self, word: &str) -> String {
        format!("{}{word}{}", self.prefix, TWINS[self.twin])
    }

    fn resource(&self) -> i64 {
        self.probe.of_type.unwrap_or(TOPIC_CONFIGS)
    }

    fn is_of_group(&self) -> bool {
        use ApiKey::{Heartbeat, LeaveGroup, SyncGroup};
        matches!(self.key(), Heartbeat | LeaveGroup | SyncGroup) || self.probe.is_of_the_crew()
    }

    fn own_text(&self, kind: &str) -> String {
        match kind {
            "topic_name" if self.key() == ApiKey::DescribeQuorum => "__cluster_metadata".to_owned(),
            // What a probe deletes is nothing that others need.
            "topic_name" if self.key() == ApiKey::DeleteTopics => self.own("spare"),
            "group_id" if self.key() == ApiKey::DeleteGroups => self.own("spare"),
            "topic_name" => self.own(OWN_TOPIC),
            // Who is in it depends on the time.
            "group_id" if self.key() == ApiKey::JoinGroup => self.own("joiners"),
            "group_id" => self.own(OWN_GROUP),
            "transactional_id" => self.own(OWN_TRANSACTION),
            "config_resource" | "resource_name" => self.own(OWN_TOPIC),
            "principal" => "User:some-app".to_owned(),
            "member_id" if self.is_of_group() => self.neighbour.member.clone(),
            "member_id" if self.key() as i16 >= ApiKey::ConsumerGroupHeartbeat as i16 => {
                Uuid::from_u128(0xabcd_0000_0000 + self.twin as u128).to_string()
            }
            _ => String::new(),
        }
    }

    fn plain_text(&self, name: &str) -> &'static str {
        match (self.key(), name) {
            (_, "ProtocolType") => "consumer",
            (ApiKey::JoinGroup, "Name") | (_, "ProtocolName") => "range",
            (_, "EntityType") => "user",
            (_, "OwnerPrincipalType" | "PrincipalType") => "User",
            (ApiKey::AlterClientQuotas, "Key") => "producer_byte_rate",
            (_, "Name") if self.resource() == GROUP_CONFIGS => "consumer.session.timeout.ms",
            (_, "Name") if self.resource() == CLIENT_METRICS => "interval.ms",
            (_, "Name") => "retention.ms",
            (_, "Value") if self.resource() == GROUP_CONFIGS => "51234",
            (_, "Value") => "86412345",
            (_, "Path") => "/nowhere",
            (_, "Host" | "HostFilter") => "*",
            _ => "",
        }
    }
}

impl Filler for Sense<'_> {
    fn text(&mut self, path: &str) -> String {
        let text = match (self.probe.aims.get(path), self.kind(path)) {
            (Some(Aim::Text(text)), _) => text.clone(),
            (_, Some(kind)) => self.own_text(kind),
            _ => return self.plain_text(path.rsplit('.').next().unwrap_or(path)).to_owned(),
        };
        self.said.push(text.clone().into_bytes());
        text
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        let id = match (self.probe.aims.get(path), self.kind(path)) {
            (Some(Aim::Uuid(id)), _) => *id,
            // What has a name has no id beside it.
            (_, Some("topic_id")) if self.has_name_beside(path) => return Uuid::nil(),
            (_, Some("topic_id")) => self.neighbour.own_topic_ids[self.twin],
            _ => return Uuid::nil(),
        };
        self.said.push(id.as_bytes().to_vec());
        id
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        let own = self.own(OWN_TOPIC);
        let (embedded, topic) = match (self.probe.aims.get(path), self.key()) {
            (Some(Aim::Topic(embedded, topic)), _) => (*embedded, topic.clone()),
            (_, ApiKey::JoinGroup) => (Embedded::Subscription, own),
            (_, ApiKey::SyncGroup) => (Embedded::Assignment, own),
            (_, ApiKey::Produce) if self.probe.aims_within("TransactionalId") => {
                let (producer, epoch) = self.neighbour.producer;
                return batch("notes", producer, epoch, true);
            }
            (_, ApiKey::Produce) => return batch("notes", -1, -1, false),
            _ => return vec![9; 32],
        };
        self.said.push(topic.clone().into_bytes());
        match embedded {
            Embedded::Subscription => subscription(&topic),
            Embedded::Assignment => assignment(&topic),
        }
    }

    fn int(&mut self, path: &str) -> i64 {
        let name = path.rsplit('.').next().unwrap_or(path);
        match (self.probe.aims.get(path), self.kind(path)) {
            (Some(Aim::Int(int)), _) => return *int,
            (_, Some("node_id")) => return if name == "ReplicaId" { -1 } else { 1 },
            _ => {}
        }
        let producer = self.neighbour.producer;
        match (self.key(), name) {
            (ApiKey::Produce, "Acks") => -1,
            (ApiKey::InitProducerId, "ProducerId" | "ProducerEpoch") => -1,
            (_, "ProducerId" | "V3AndBelowProducerId") => producer.0,
            (_, "ProducerEpoch" | "V3AndBelowProducerEpoch") => producer.1,
            (ApiKey::Fetch, "SessionEpoch") => -1,
            (_, "CurrentLeaderEpoch" | "LastFetchedEpoch" | "CommittedLeaderEpoch") => -1,
            (ApiKey::Fetch, "LogStartOffset") => -1,
            (_, "MaxBytes" | "PartitionMaxBytes") => 1 << 20,
            (_, "MaxRecords" | "BatchSize" | "ResponsePartitionLimit") => 10,
            (ApiKey::ListOffsets, "Timestamp") => -2,
            (_, "MaxWaitMs" | "AllowAutoTopicCreation") => 0,
            (_, "RetentionTimeMs" | "DurationFilter") => -1,
            (ApiKey::OffsetCommit | ApiKey::TxnOffsetCommit, "GenerationIdOrMemberEpoch") => {
                if self.is_of_group() { self.neighbour.generation } else { -1 }
            }
            (ApiKey::OffsetFetch, "MemberEpoch") => -1,
            (_, "GenerationId") => self.neighbour.generation,
            (_, "CommittedOffset" | "Offset" | "StartOffset") => 1,
            (_, "KeyType") => self.probe.of_type.unwrap_or(0),
            (_, "ResourceType" | "ResourceTypeFilter") => self.resource(),
            (_, "ResourcePatternType" | "PatternTypeFilter") => 3, // literal
            (ApiKey::CreateAcls, "Operation" | "PermissionType") => 3,
            (_, "Operation" | "PermissionType") => 1, // any
            (_, "SessionTimeoutMs" | "RebalanceTimeoutMs") => 10,
            (_, "TransactionTimeoutMs") => 60_000,
            (_, "TimeoutMs" | "timeoutMs") => 10_000,
            (ApiKey::CreateTopics, "NumPartitions" | "ReplicationFactor") => {
                if self.probe.aims_within("Topics[].Assignments[]") { -1 } else { 1 }
            }
            (ApiKey::CreatePartitions, "Count") => 2,
            (_, "Committed" | "EndpointType" | "Mechanism" | "ShareSessionEpoch" | "TopologyEpoch") => 1,
            (_, "Iterations") => 4096,
            (ApiKey::AlterClientQuotas, "Value") => 1_000_000,
            (ApiKey::StreamsGroupHeartbeat, "ReplicationFactor") => 1,
            _ if name.starts_with("Include") => 1,
            _ => 0,
        }
    }

    fn count(&mut self, path: &str) -> usize {
        if self.probe.aims.get(path) == Some(&Aim::Empty) {
            return 0;
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        usize::from(!EMPTY.contains(&name) || self.probe.aims_within(path))
    }

    fn present(&mut self, path: &str) -> bool {
        if self.probe.aims.get(path) == Some(&Aim::Null) {
            return false;
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        let by_id = self.probe.aims.contains_key("Topics[].TopicId") && path == "Topics[].Name";
        !by_id && !ABSENT.contains(&name) || self.probe.aims.keys().any(|aim| is_within(aim, path))
    }
}

impl Sense<'_> {
    fn has_name_beside(&self, path: &str) -> bool {
        let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        entities(self.probe.key, Direction::Request, self.probe.version)
            .any(|entity| entity.kind == "topic_name" && parent(entity.path) == parent(path))
    }
}

/// Lists that are empty unless a probe aims into them.
const EMPTY: &[&str] = &[
    "ForgottenTopicsData[]",
    "Assignments[]",
    "StatesFilter[]",
    "TypesFilter[]",
    "StateFilters[]",
    "ProducerIdFilters[]",
    "ResourceTypes[]",
    "SourceTopicRegex[]",
    "Deletions[]",
    "Upsertions[]",
    "Renewers[]",
    "AcknowledgementBatches[]",
    "CopartitionGroups[]",
    "TopicConfigs[]",
    "RepartitionSinkTopics[]",
    "RepartitionSourceTopics[]",
    "StateChangelogTopics[]",
];

/// What is null, or a tagged field left out, unless a probe aims at it.
const ABSENT: &[&str] = &[
    "TransactionalId",
    "GroupInstanceId",
    "InstanceId",
    "RackId",
    "ClusterId",
    "ReplicaState",
    "ReplicaDirectoryId",
    "HighWatermark",
    "Cursor",
    "Assignments",
    "ConfigurationKeys",
    "SubscribedTopicRegex",
    "ServerAssignor",
    "TopicPartitions",
    "HostFilter",
    "PrincipalFilter",
    "Reason",
    "TransactionalIdPattern",
    "ActiveTasks",
    "StandbyTasks",
    "WarmupTasks",
    "ClientTags",
    "TaskOffsets",
    "TaskEndOffsets",
    "UserEndpoint",
    "ProcessId",
    "OwnerPrincipalType",
    "OwnerPrincipalName",
];
