//! What each field of Kafka's messages means: `entity-fields.tsv`, and a list of what is plain text.

use crate::wire::{ApiKey, Definition, Direction, Embedded, Field, FieldKind, grammar};

/// The two lists that know fields; a field that stands in neither has not been read by anybody.
pub struct Register {
    entities: Vec<Entity>,
    plain: &'static [(ApiKey, &'static str, &'static str)],
}

/// A field that names something virtualised, in the versions that have it.
#[derive(Clone)]
pub struct Entity {
    pub place: Place,
    pub first: i16,
    pub last: i16,
    pub path: &'static str,
    pub meaning: Meaning,
}

/// Which structure a field stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Message(i16, Direction),
    Blob(Embedded),
}

/// What the gateway owes to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Topic,
    Group,
    TransactionalId,
    /// A topic or a group, as the resource's type says.
    ConfigResource,
    /// A regular expression over names.
    Regex,
    /// A topic, a group or a transactional id, as the type of the ACL's resource says.
    AclResource,
    Blob(Embedded),
    Host,
    Port,
    Node,
    /// Passes as it is; whose topic it is, is asked about.
    TopicId,
    ClusterId,
    AuthorizedOperations,
    ErrorMessage,
    ClientHost,
    /// Where a broker keeps its logs.
    LogDir,
    Plain,
}

impl Register {
    pub fn read() -> Self {
        Self::of(include_str!("../entity-fields.tsv"), PLAIN)
    }

    pub fn of(table: &'static str, plain: &'static [(ApiKey, &'static str, &'static str)]) -> Self {
        Self { entities: table.lines().skip(1).filter_map(entity).collect(), plain }
    }

    /// The same register, ignorant of one field.
    pub fn without(mut self, path: &str) -> Self {
        self.entities.retain(|entity| entity.path != path);
        self
    }

    /// What a field means in a version; `None` where nobody knows.
    pub fn meaning(&self, place: Place, version: i16, path: &str) -> Option<Meaning> {
        let entity = self.entities_of(place, version).find(|entity| entity.path == path);
        entity.map(|entity| entity.meaning).or_else(|| {
            let Place::Message(key, _) = place else { return None };
            let is_plain = self.plain.iter().any(|(plain, at, _)| *plain as i16 == key && *at == path);
            is_plain.then_some(Meaning::Plain)
        })
    }

    pub fn entities_of(&self, place: Place, version: i16) -> impl Iterator<Item = &Entity> {
        let here = move |entity: &&Entity| entity.place == place;
        self.entities
            .iter()
            .filter(here)
            .filter(move |entity| (entity.first..=entity.last).contains(&version))
    }

    /// Whether the field's element is called by its id alone: no name stands beside it.
    pub fn is_only_id(&self, place: Place, version: i16, path: &str) -> bool {
        let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        self.meaning(place, version, path) == Some(Meaning::TopicId)
            && !self
                .entities_of(place, version)
                .any(|entity| entity.meaning == Meaning::Topic && parent(entity.path) == parent(path))
    }

    /// The node whose host or port stands at `path`.
    pub fn node_beside(&self, place: Place, version: i16, path: &str) -> Option<&'static str> {
        let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        let is_beside =
            |entity: &&Entity| entity.meaning == Meaning::Node && parent(entity.path) == parent(path);
        self.entities_of(place, version).find(is_beside).map(|entity| entity.path)
    }
}

impl Meaning {
    pub fn is_name(self) -> bool {
        matches!(
            self,
            Self::Topic | Self::Group | Self::TransactionalId | Self::ConfigResource | Self::AclResource
        )
    }
}

impl Place {
    pub fn definition(self) -> &'static Definition {
        match self {
            Self::Message(key, direction) => {
                grammar().definition(key, direction).expect("what is served stands in the grammar")
            }
            Self::Blob(embedded) => grammar().embedded(embedded),
        }
    }

    /// Every field of the structure in a version, by its path.
    pub fn fields(self, version: i16) -> Vec<(String, FieldKind)> {
        fn collect(fields: &[Field], version: i16, parent: &str, found: &mut Vec<(String, FieldKind)>) {
            for field in fields.iter().filter(|field| field.versions.contains(version)) {
                let dot = if parent.is_empty() { "" } else { "." };
                let brackets = if field.array { "[]" } else { "" };
                let path = format!("{parent}{dot}{}{brackets}", field.name);
                collect(&field.fields, version, &path, found);
                found.push((path, field.kind));
            }
        }
        let mut found = Vec::new();
        collect(&self.definition().fields, version, "", &mut found);
        found
    }
}

fn entity(line: &'static str) -> Option<Entity> {
    let columns: Vec<_> = line.split('\t').collect();
    let &[key, name, direction, versions, path, r#type, _, _, _, note] = &columns[..] else {
        panic!("the table has ten columns: {line}");
    };
    let place = match direction {
        "request" => Place::Message(key.parse().unwrap(), Direction::Request),
        "response" => Place::Message(key.parse().unwrap(), Direction::Response),
        _ => Place::Blob(if name.ends_with("Subscription") {
            Embedded::Subscription
        } else {
            Embedded::Assignment
        }),
    };
    let meaning = match r#type {
        "topic_name" if key == QUORUM => Meaning::Plain, // the one topic that a quorum has
        "topic_name" => Meaning::Topic,
        "group_id" => Meaning::Group,
        "transactional_id" => Meaning::TransactionalId,
        "config_resource" => Meaning::ConfigResource,
        "regex" => Meaning::Regex,
        "resource_name" => Meaning::AclResource,
        "blob" if note.contains("Subscription bytes") => Meaning::Blob(Embedded::Subscription),
        "blob" if note.contains("Assignment bytes") => Meaning::Blob(Embedded::Assignment),
        "host" => Meaning::Host,
        "port" => Meaning::Port,
        "node_id" => Meaning::Node,
        "cluster_id" => Meaning::ClusterId,
        "authorized_ops" => Meaning::AuthorizedOperations,
        "error_message" => Meaning::ErrorMessage,
        "client_host" => Meaning::ClientHost,
        "log_dir" => Meaning::LogDir,
        "topic_id" => Meaning::TopicId,
        "member_id" | "instance_id" | "rack" | "client_id" => Meaning::Plain,
        "app_endpoint" => Meaning::Plain, // where an application is to be found, which is its own
        // Users, and what quotas are for, are the backend's own.
        "principal" => Meaning::Plain,
        "acl_host" => Meaning::Plain, // a client's address, for which an ACL counts
        "blob" if path == "UserData" => Meaning::Plain, // an assignor's own
        _ => return None,             // a kind of entity that no served API has: its fields are unknown
    };
    let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
    Some(Entity { place, first: first.parse().unwrap(), last: last.parse().unwrap(), path, meaning })
}

/// What passes as it is, in requests and responses, and why it may.
pub const PLAIN: &[(ApiKey, &str, &str)] = &[
    (ApiKey::Produce, "TopicData[].PartitionData[].Records", RECORDS),
    (ApiKey::Fetch, "Responses[].Partitions[].Records", RECORDS),
    (ApiKey::Fetch, "Topics[].Partitions[].ReplicaDirectoryId", "a follower's, which no client is"),
    (ApiKey::ShareFetch, "Responses[].Partitions[].Records", RECORDS),
    (ApiKey::OffsetCommit, "Topics[].Partitions[].CommittedMetadata", COMMITTED),
    (ApiKey::TxnOffsetCommit, "Topics[].Partitions[].CommittedMetadata", COMMITTED),
    (ApiKey::OffsetFetch, "Topics[].Partitions[].Metadata", COMMITTED),
    (ApiKey::OffsetFetch, "Groups[].Topics[].Partitions[].Metadata", COMMITTED),
    (ApiKey::JoinGroup, "ProtocolType", PROTOCOL),
    (ApiKey::JoinGroup, "ProtocolName", PROTOCOL),
    (ApiKey::JoinGroup, "Protocols[].Name", PROTOCOL),
    (ApiKey::JoinGroup, "Reason", REASON),
    (ApiKey::LeaveGroup, "Members[].Reason", REASON),
    (ApiKey::SyncGroup, "ProtocolType", PROTOCOL),
    (ApiKey::SyncGroup, "ProtocolName", PROTOCOL),
    (ApiKey::DescribeGroups, "Groups[].GroupState", STATE),
    (ApiKey::DescribeGroups, "Groups[].ProtocolType", PROTOCOL),
    (ApiKey::DescribeGroups, "Groups[].ProtocolData", PROTOCOL),
    (ApiKey::ListGroups, "StatesFilter[]", STATE),
    (ApiKey::ListGroups, "TypesFilter[]", STATE),
    (ApiKey::ListGroups, "Groups[].ProtocolType", PROTOCOL),
    (ApiKey::ListGroups, "Groups[].GroupState", STATE),
    (ApiKey::ListGroups, "Groups[].GroupType", STATE),
    (ApiKey::ShareGroupDescribe, "Groups[].GroupState", STATE),
    (ApiKey::ShareGroupDescribe, "Groups[].AssignorName", PROTOCOL),
    (ApiKey::DescribeTransactions, "TransactionStates[].TransactionState", STATE),
    (ApiKey::ListTransactions, "StateFilters[]", STATE),
    (ApiKey::ListTransactions, "UnknownStateFilters[]", STATE),
    (ApiKey::ListTransactions, "TransactionStates[].TransactionState", STATE),
    (ApiKey::ConsumerGroupHeartbeat, "ServerAssignor", PROTOCOL),
    (ApiKey::ConsumerGroupDescribe, "Groups[].GroupState", STATE),
    (ApiKey::ConsumerGroupDescribe, "Groups[].AssignorName", PROTOCOL),
    (ApiKey::CreateTopics, "Topics[].Configs[].Name", CONFIG),
    (ApiKey::CreateTopics, "Topics[].Configs[].Value", CONFIG),
    (ApiKey::DescribeConfigs, "Resources[].ConfigurationKeys[]", CONFIG),
    (ApiKey::DescribeConfigs, "Results[].Configs[].Name", CONFIG),
    (ApiKey::DescribeConfigs, "Results[].Configs[].Value", CONFIG),
    (ApiKey::DescribeConfigs, "Results[].Configs[].Synonyms[].Name", CONFIG),
    (ApiKey::DescribeConfigs, "Results[].Configs[].Synonyms[].Value", CONFIG),
    (ApiKey::DescribeConfigs, "Results[].Configs[].Documentation", "Kafka's own text about a config"),
    (ApiKey::AlterConfigs, "Resources[].Configs[].Name", CONFIG),
    (ApiKey::AlterConfigs, "Resources[].Configs[].Value", CONFIG),
    (ApiKey::IncrementalAlterConfigs, "Resources[].Configs[].Name", CONFIG),
    (ApiKey::IncrementalAlterConfigs, "Resources[].Configs[].Value", CONFIG),
    (ApiKey::DescribeClientQuotas, "Components[].EntityType", QUOTA),
    (ApiKey::DescribeClientQuotas, "Entries[].Entity[].EntityType", QUOTA),
    (ApiKey::DescribeClientQuotas, "Entries[].Values[].Key", QUOTA),
    (ApiKey::AlterClientQuotas, "Entries[].Entity[].EntityType", QUOTA),
    (ApiKey::AlterClientQuotas, "Entries[].Ops[].Key", QUOTA),
    (ApiKey::AlterReplicaLogDirs, "Dirs[].Path", "a directory of the brokers, which the client names itself"),
    (ApiKey::CreateDelegationToken, "OwnerPrincipalType", PRINCIPAL),
    (ApiKey::CreateDelegationToken, "Renewers[].PrincipalType", PRINCIPAL),
    (ApiKey::CreateDelegationToken, "PrincipalType", PRINCIPAL),
    (ApiKey::CreateDelegationToken, "TokenRequesterPrincipalType", PRINCIPAL),
    (ApiKey::CreateDelegationToken, "TokenId", TOKEN),
    (ApiKey::CreateDelegationToken, "Hmac", TOKEN),
    (ApiKey::RenewDelegationToken, "Hmac", TOKEN),
    (ApiKey::ExpireDelegationToken, "Hmac", TOKEN),
    (ApiKey::DescribeDelegationToken, "Owners[].PrincipalType", PRINCIPAL),
    (ApiKey::DescribeDelegationToken, "Tokens[].PrincipalType", PRINCIPAL),
    (ApiKey::DescribeDelegationToken, "Tokens[].TokenRequesterPrincipalType", PRINCIPAL),
    (ApiKey::DescribeDelegationToken, "Tokens[].TokenId", TOKEN),
    (ApiKey::DescribeDelegationToken, "Tokens[].Hmac", TOKEN),
    (ApiKey::DescribeDelegationToken, "Tokens[].Renewers[].PrincipalType", PRINCIPAL),
    (ApiKey::DescribeQuorum, "Topics[].Partitions[].CurrentVoters[].ReplicaDirectoryId", DIRECTORY),
    (ApiKey::DescribeQuorum, "Topics[].Partitions[].Observers[].ReplicaDirectoryId", DIRECTORY),
    (ApiKey::DescribeQuorum, "Nodes[].Listeners[].Name", "a listener, which is left out with its address"),
    (ApiKey::UpdateFeatures, "FeatureUpdates[].Feature", FEATURE),
    (ApiKey::UpdateFeatures, "Results[].Feature", FEATURE),
    (ApiKey::GetTelemetrySubscriptions, "ClientInstanceId", INSTANCE),
    (ApiKey::GetTelemetrySubscriptions, "RequestedMetrics[]", "the beginnings of metrics' names"),
    (ApiKey::PushTelemetry, "ClientInstanceId", INSTANCE),
    (ApiKey::PushTelemetry, "Metrics", "what a client tells of itself, where the file says that it may"),
    (ApiKey::StreamsGroupHeartbeat, "Topology.Subtopologies[].SubtopologyId", PART),
    (
        ApiKey::StreamsGroupHeartbeat,
        "Topology.Subtopologies[].StateChangelogTopics[].TopicConfigs[].Key",
        CONFIG,
    ),
    (
        ApiKey::StreamsGroupHeartbeat,
        "Topology.Subtopologies[].StateChangelogTopics[].TopicConfigs[].Value",
        CONFIG,
    ),
    (
        ApiKey::StreamsGroupHeartbeat,
        "Topology.Subtopologies[].RepartitionSourceTopics[].TopicConfigs[].Key",
        CONFIG,
    ),
    (
        ApiKey::StreamsGroupHeartbeat,
        "Topology.Subtopologies[].RepartitionSourceTopics[].TopicConfigs[].Value",
        CONFIG,
    ),
    (ApiKey::StreamsGroupHeartbeat, "ActiveTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupHeartbeat, "StandbyTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupHeartbeat, "WarmupTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupHeartbeat, "ClientTags[].Key", CLIENT_TAG),
    (ApiKey::StreamsGroupHeartbeat, "ClientTags[].Value", CLIENT_TAG),
    (ApiKey::StreamsGroupHeartbeat, "TaskOffsets[].SubtopologyId", PART),
    (ApiKey::StreamsGroupHeartbeat, "TaskEndOffsets[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].GroupState", STATE),
    (ApiKey::StreamsGroupDescribe, "Groups[].Topology.Subtopologies[].SubtopologyId", PART),
    (
        ApiKey::StreamsGroupDescribe,
        "Groups[].Topology.Subtopologies[].StateChangelogTopics[].TopicConfigs[].Key",
        CONFIG,
    ),
    (
        ApiKey::StreamsGroupDescribe,
        "Groups[].Topology.Subtopologies[].StateChangelogTopics[].TopicConfigs[].Value",
        CONFIG,
    ),
    (
        ApiKey::StreamsGroupDescribe,
        "Groups[].Topology.Subtopologies[].RepartitionSourceTopics[].TopicConfigs[].Key",
        CONFIG,
    ),
    (
        ApiKey::StreamsGroupDescribe,
        "Groups[].Topology.Subtopologies[].RepartitionSourceTopics[].TopicConfigs[].Value",
        CONFIG,
    ),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].ClientTags[].Key", CLIENT_TAG),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].ClientTags[].Value", CLIENT_TAG),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].TaskOffsets[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].TaskEndOffsets[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].Assignment.ActiveTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].Assignment.StandbyTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].Assignment.WarmupTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].TargetAssignment.ActiveTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].TargetAssignment.StandbyTasks[].SubtopologyId", PART),
    (ApiKey::StreamsGroupDescribe, "Groups[].Members[].TargetAssignment.WarmupTasks[].SubtopologyId", PART),
    (ApiKey::AlterUserScramCredentials, "Upsertions[].Salt", CREDENTIAL),
    (ApiKey::AlterUserScramCredentials, "Upsertions[].SaltedPassword", CREDENTIAL),
];

/// DescribeQuorum, as the table of entities has it.
const QUORUM: &str = "55";

const RECORDS: &str = "what producers write is theirs, byte for byte";
const COMMITTED: &str = "what a group notes beside an offset is its own";
const PROTOCOL: &str = "a word that members agree on, such as `range`";
const REASON: &str = "what a member says of its coming or going, to the log of the coordinator";
const STATE: &str = "one of Kafka's words, such as `Stable`";
const QUOTA: &str = "one of Kafka's words, such as `user` or `producer_byte_rate`";
const PRINCIPAL: &str = "one of Kafka's words, such as `User`";
const TOKEN: &str = "the backend's own, for one who may have it";
const DIRECTORY: &str = "where a controller keeps its log";
const FEATURE: &str = "one of Kafka's features, such as `metadata.version`";
const INSTANCE: &str = "what the broker calls a client's life";
const PART: &str = "what an application calls a part of its topology";
const CLIENT_TAG: &str = "what an application says of where it runs";
const CREDENTIAL: &str = "what a user of the backend logs in with there";
const CONFIG: &str = "Kafka's configs of a topic or a group name no topic and no group";
