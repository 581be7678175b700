//! A request that makes sense to a broker: about one's own things, but for where it aims at something else.
//!
//! A broker would do all of it if it came so far.

use std::collections::BTreeMap;

use sluicegate::wire::sample::{Filler, body};
use sluicegate::wire::{ApiKey, Direction, Embedded};
use uuid::Uuid;

use super::entities::entities;
use super::words::is_within;

/// One's own things, as the client calls them.
pub struct Own {
    pub topic: String,
    pub topic_id: Uuid,
    pub group: String,
    /// A group that others join and leave.
    pub joiners: String,
    /// Neither a topic nor a group, so that it can be deleted.
    pub spare: String,
    pub transaction: String,
    pub producer: (i64, i64),
    /// A member of the group that is asked about, if it has one, and the group's generation.
    pub member: String,
    pub generation: i64,
    /// Whether offsets are committed as that member.
    pub is_member: bool,
    /// Where the broker keeps its logs.
    pub log_dir: String,
    /// A member that joins by itself.
    pub new_member: String,
}

/// What stands in a field instead of something of one's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Aim {
    Text(String),
    Uuid(Uuid),
    Int(i64),
    /// The topic in a blob.
    Topic(Embedded, String),
    Null,
    Empty,
}

/// What is aimed at, by the paths of the fields.
pub type Aims = BTreeMap<String, Aim>;

/// A request's body, and what the client has said in it.
pub struct Request {
    pub body: Vec<u8>,
    /// Names and ids, in the order of the fields.
    pub said: Vec<Vec<u8>>,
    /// Whether it asks for something of one's own beside what it aims at.
    pub is_beside_own: bool,
    /// Whether it aims at ids.
    pub is_by_id: bool,
}

/// Writes a request; `of_type` is its `ResourceType` or `KeyType`, if that is not the usual one.
pub fn request(key: ApiKey, version: i16, own: &Own, aims: &Aims, of_type: Option<i64>) -> Request {
    written(Sense { key, version, own, aims, of_type, said: Vec::new(), beside: None })
}

/// The same, but that in the list that is aimed into something of one's own comes first.
pub fn request_beside_own(
    key: ApiKey,
    version: i16,
    own: &Own,
    aims: &Aims,
    of_type: Option<i64>,
) -> Request {
    let list = aims.keys().find_map(|path| Some(format!("{}[]", path.split_once("[]")?.0)));
    let beside = list.map(|list| Beside { list, first: None, elements: 0 });
    written(Sense { key, version, own, aims, of_type, said: Vec::new(), beside })
}

fn written(mut sense: Sense<'_>) -> Request {
    let (key, version) = (sense.key, sense.version);
    let body = body(key as i16, Direction::Request, version, &mut sense).expect("it is a served version");
    let is_by_id = sense.aims.values().any(|aim| matches!(aim, Aim::Uuid(_)));
    Request { body, said: sense.said, is_beside_own: sense.beside.is_some(), is_by_id }
}

/// Whether something below a path is aimed at.
pub fn aims_within(aims: &Aims, path: &str) -> bool {
    aims.iter().any(|(at, aim)| *aim != Aim::Null && *aim != Aim::Empty && is_within(at, path))
}

struct Sense<'a> {
    key: ApiKey,
    version: i16,
    own: &'a Own,
    aims: &'a Aims,
    of_type: Option<i64>,
    said: Vec<Vec<u8>>,
    beside: Option<Beside>,
}

/// A list in which something of one's own comes first, and then what is aimed at.
struct Beside {
    list: String,
    /// What is asked for first in each element: by it another one is seen to begin.
    first: Option<(&'static str, String)>,
    elements: usize,
}

impl Sense<'_> {
    /// What is aimed at here; in the first element of a list that has something of one's own, nothing.
    fn aim(&self, path: &str) -> Option<&Aim> {
        let is_own = |beside: &Beside| beside.elements == 1 && is_within(path, &beside.list);
        let aim = self.aims.get(path).or_else(|| self.aims.get(written_by(path)?));
        aim.filter(|_| !self.beside.as_ref().is_some_and(is_own))
    }

    /// Sees elements begin.
    fn visit(&mut self, what: &'static str, path: &str) {
        let Some(beside) = self.beside.as_mut().filter(|beside| is_within(path, &beside.list)) else {
            return;
        };
        let begins = beside.first.get_or_insert_with(|| (what, path.to_owned()));
        if begins.0 == what && begins.1 == path {
            beside.elements += 1;
        }
    }

    fn kind(&self, path: &str) -> Option<&'static str> {
        let mut entities = entities(self.key as i16, Direction::Request, self.version);
        entities.find(|entity| entity.path == path).map(|entity| entity.kind)
    }

    fn resource(&self) -> i64 {
        self.of_type.unwrap_or(TOPIC_CONFIGS)
    }

    fn is_of_group(&self) -> bool {
        use ApiKey::{Heartbeat, LeaveGroup, SyncGroup};
        matches!(self.key, Heartbeat | LeaveGroup | SyncGroup) || self.own.is_member
    }

    fn own_text(&self, kind: &str) -> String {
        match kind {
            "log_dir" => self.own.log_dir.clone(),
            "topic_name" if self.key == ApiKey::DescribeQuorum => "__cluster_metadata".to_owned(),
            // What a probe deletes is nothing that others need.
            "topic_name" if self.key == ApiKey::DeleteTopics => self.own.spare.clone(),
            "group_id" if self.key == ApiKey::DeleteGroups => self.own.spare.clone(),
            "topic_name" => self.own.topic.clone(),
            // Who is in it depends on the time, and of which kind it is on who is.
            "group_id" if JOINS.contains(&self.key) => self.own.joiners.clone(),
            "group_id" => self.own.group.clone(),
            "transactional_id" => self.own.transaction.clone(),
            "config_resource" | "resource_name" => self.own.topic.clone(),
            "principal" => "User:some-app".to_owned(),
            "member_id" if self.is_of_group() => self.own.member.clone(),
            "member_id" if self.key as i16 >= ApiKey::ConsumerGroupHeartbeat as i16 => {
                self.own.new_member.clone()
            }
            _ => String::new(),
        }
    }

    fn plain_text(&self, name: &str) -> &str {
        match (self.key, name) {
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
            (_, "Path") => &self.own.log_dir,
            (_, "Host" | "HostFilter") => "*",
            _ => "",
        }
    }
}

impl Filler for Sense<'_> {
    fn text(&mut self, path: &str) -> String {
        self.visit("text", path);
        let text = match (self.aim(path), self.kind(path)) {
            (Some(Aim::Text(text)), _) => text.clone(),
            (_, Some(kind)) => self.own_text(kind),
            // Each part of a topology has a name of its own.
            _ if path.ends_with("SubtopologyId") => {
                return self.beside.as_ref().map_or(0, |beside| beside.elements).to_string();
            }
            _ => return self.plain_text(path.rsplit('.').next().unwrap_or(path)).to_owned(),
        };
        self.said.push(text.clone().into_bytes());
        text
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        self.visit("uuid", path);
        let id = match (self.aim(path), self.kind(path)) {
            (Some(Aim::Uuid(id)), _) => *id,
            // What has a name has no id beside it.
            (_, Some("topic_id")) if self.has_name_beside(path) && !self.aims.contains_key(path) => {
                return Uuid::nil();
            }
            // What is deleted is there for nobody, also by its id.
            (_, Some("topic_id")) if self.key == ApiKey::DeleteTopics => Uuid::from_u128(0x0005_9a2e),
            (_, Some("topic_id")) => {
                // An answer may call it by its name.
                self.said.push(self.own.topic.clone().into_bytes());
                self.own.topic_id
            }
            _ => return Uuid::nil(),
        };
        self.said.push(id.as_bytes().to_vec());
        id
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        self.visit("bytes", path);
        let own = self.own.topic.clone();
        let (embedded, topic) = match (self.aim(path), self.key) {
            (Some(Aim::Topic(embedded, topic)), _) => (*embedded, topic.clone()),
            (_, ApiKey::JoinGroup) => (Embedded::Subscription, own),
            (_, ApiKey::SyncGroup) => (Embedded::Assignment, own),
            (_, ApiKey::Produce) if aims_within(self.aims, "TransactionalId") => {
                let (producer, epoch) = self.own.producer;
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
        self.visit("int", path);
        let name = path.rsplit('.').next().unwrap_or(path);
        match (self.aim(path), self.kind(path)) {
            (Some(Aim::Int(int)), _) => return *int,
            (_, Some("node_id")) => return if name == "ReplicaId" { -1 } else { 1 },
            _ => {}
        }
        let producer = self.own.producer;
        match (self.key, name) {
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
                if self.is_of_group() { self.own.generation } else { -1 }
            }
            (ApiKey::OffsetFetch, "MemberEpoch") => -1,
            (_, "GenerationId") => self.own.generation,
            (_, "CommittedOffset" | "Offset" | "StartOffset") => 1,
            (_, "KeyType") => self.of_type.unwrap_or(0),
            (_, "ResourceType" | "ResourceTypeFilter") => self.resource(),
            (_, "ResourcePatternType" | "PatternTypeFilter") => 3, // literal
            (ApiKey::CreateAcls, "Operation" | "PermissionType") => 3,
            (_, "Operation" | "PermissionType") => 1, // any
            (_, "SessionTimeoutMs" | "RebalanceTimeoutMs") => 10,
            (_, "TransactionTimeoutMs") => 60_000,
            (_, "TimeoutMs" | "timeoutMs") => 10_000,
            (ApiKey::CreateTopics, "NumPartitions" | "ReplicationFactor") => {
                if aims_within(self.aims, "Topics[].Assignments[]") { -1 } else { 1 }
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
        if self.beside.as_ref().is_some_and(|beside| beside.list == path) {
            return 2;
        }
        self.visit("count", path);
        if self.aim(path) == Some(&Aim::Empty) {
            return 0;
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        // Who joins has no partitions yet.
        let joins = self.key == ApiKey::ConsumerGroupHeartbeat && name == "TopicPartitions[]";
        if joins && !aims_within(self.aims, path) {
            return 0;
        }
        let is_aimed =
            aims_within(self.aims, path) || written_by(path).is_some_and(|by| self.aims.contains_key(by));
        usize::from(!EMPTY.contains(&name) || is_aimed)
    }

    fn present(&mut self, path: &str) -> bool {
        self.visit("present", path);
        if self.aim(path) == Some(&Aim::Null) {
            return false;
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        let by_id = self.aims.contains_key("Topics[].TopicId") && path == "Topics[].Name";
        !by_id && !ABSENT.contains(&name) || self.aims.keys().any(|aim| is_within(aim, path))
    }
}

impl Sense<'_> {
    fn has_name_beside(&self, path: &str) -> bool {
        let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        entities(self.key as i16, Direction::Request, self.version)
            .any(|entity| entity.kind == "topic_name" && parent(entity.path) == parent(path))
    }
}

/// What a Streams application reads of its own it writes as well: where it does so, and where the other is said.
fn written_by(path: &str) -> Option<&'static str> {
    let is_written = path == "Topology.Subtopologies[].RepartitionSinkTopics[]";
    is_written.then_some("Topology.Subtopologies[].RepartitionSourceTopics[].Name")
}

/// What brings a member into a group.
pub const JOINS: &[ApiKey] = &[
    ApiKey::JoinGroup,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ShareGroupHeartbeat,
    ApiKey::StreamsGroupHeartbeat,
];

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
    // Who joins has nothing to do yet.
    "ActiveTasks[]",
    "StandbyTasks[]",
    "WarmupTasks[]",
    "ClientTags[]",
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
    "HostFilter",
    "PrincipalFilter",
    "Reason",
    "TransactionalIdPattern",
    "TaskOffsets",
    "TaskEndOffsets",
    "UserEndpoint",
    "OwnerPrincipalType",
    "OwnerPrincipalName",
];

/// A subscription to one topic, in the first version of the consumer protocol.
pub fn subscription(topic: &str) -> Vec<u8> {
    let length = u16::try_from(topic.len()).expect("a test's names are short").to_be_bytes();
    [&[0, 0, 0, 0, 0, 1][..], &length, topic.as_bytes(), &[0xff; 4]].concat()
}

/// An assignment of a topic's first partition.
pub fn assignment(topic: &str) -> Vec<u8> {
    let length = u16::try_from(topic.len()).expect("a test's names are short").to_be_bytes();
    [&[0, 0, 0, 0, 0, 1][..], &length, topic.as_bytes(), &[0, 0, 0, 1, 0, 0, 0, 0], &[0xff; 4]].concat()
}

/// A batch of one record.
pub fn batch(text: &str, producer: i64, epoch: i64, transactional: bool) -> Vec<u8> {
    let length = 2 * u8::try_from(text.len()).expect("a test's records are short");
    let record = [&[0, 0, 0, 1, length], text.as_bytes(), &[0]].concat();
    let mut body = Vec::new();
    body.extend(if transactional { 0x10_i16 } else { 0 }.to_be_bytes());
    body.extend(0_i32.to_be_bytes()); // the last offset
    body.extend(1_000_i64.to_be_bytes());
    body.extend(1_000_i64.to_be_bytes());
    body.extend(producer.to_be_bytes());
    body.extend(i16::try_from(epoch).expect("an epoch is short").to_be_bytes());
    body.extend(if producer < 0 { -1_i32 } else { 0 }.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.push(2 * u8::try_from(record.len()).expect("it is short"));
    body.extend(record);
    let mut batch = 0_i64.to_be_bytes().to_vec();
    let length = i32::try_from(4 + 1 + 4 + body.len()).expect("it is short");
    batch.extend(length.to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2); // the format
    batch.extend(crc32c(&body).to_be_bytes());
    batch.extend(body);
    batch
}

fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    !crc
}

pub const TOPIC_CONFIGS: i64 = 2;
pub const BROKER_CONFIGS: i64 = 4;
pub const CLIENT_METRICS: i64 = 16;
pub const GROUP_CONFIGS: i64 = 32;
