//! What is not aimed at anybody, and why.

use sluicegate::wire::ApiKey;

use super::aims::Probe;
use crate::support::entities::Entity;
use crate::support::sense::Aim;

/// Kinds of fields that can name nothing of another tenant's.
const UNAIMED: &[(&str, &str)] = &[
    ("rack", "a rack is the client's own word, and racks of brokers are shown to all"),
    ("client_id", "a client calls itself as it likes"),
    ("client_host", "no request has it"),
    ("acl_host", "an address of a client, and none of a broker"),
    ("app_endpoint", "the address of the client's own application"),
];

/// Fields that can name something, and yet nobody is reached by them.
const UNAIMED_FIELDS: &[(ApiKey, &str, &str)] = &[
    (
        ApiKey::PushTelemetry,
        "Metrics",
        "what a client measures goes to a collector, and no answer tells of it",
    ),
    (ApiKey::RenewDelegationToken, "Hmac", "it is a secret that nobody guesses"),
    (ApiKey::ExpireDelegationToken, "Hmac", "it is a secret that nobody guesses"),
];

/// Whether nobody has to aim a field.
pub fn is_unaimed(entity: &Entity) -> bool {
    let is_of_kind = UNAIMED.iter().any(|(kind, _)| *kind == entity.kind);
    is_of_kind
        || UNAIMED_FIELDS.iter().any(|(key, path, _)| *key as i16 == entity.key && *path == entity.path)
}

/// Fields for which brokers refuse a whole request, so that nothing else in it would count.
const ALONE: &[(ApiKey, &str, &str)] = &[
    (ApiKey::StreamsGroupHeartbeat, "InstanceId", "brokers do not let members come back to a Streams group"),
    (
        ApiKey::StreamsGroupHeartbeat,
        "Topology.Subtopologies[].SourceTopicRegex[]",
        "brokers read no patterns of a Streams group",
    ),
];

/// Whether a field is aimed together with the others of its request.
pub fn goes_with_others(entity: &Entity) -> bool {
    !ALONE.iter().any(|(key, path, _)| *key as i16 == entity.key && *path == entity.path)
}

/// Whether a name that a probe aims at may be told from one that exists nowhere: nobody may create it.
pub fn is_told_apart(probe: &Probe) -> bool {
    let creates =
        [ApiKey::CreateTopics, ApiKey::Metadata, ApiKey::StreamsGroupHeartbeat].contains(&probe.key);
    let is_internal = |aim: &Aim| matches!(aim, Aim::Text(text) if text.starts_with("__"));
    creates && probe.aims.values().any(is_internal)
}

/// Whether a field is one by which a broker tells nothing, so that no probe can find out that there is no wall.
pub fn is_blunt(key: ApiKey, field: &str) -> bool {
    BLUNT.iter().any(|(blunt, at, _)| *blunt == key && *at == field)
}

/// Kinds of fields that may be blunt by themselves.
pub const BLUNT_KINDS: &[(&str, &str)] = &[
    ("member_id", "a member is one of its group: it is found by that, together with its id"),
    ("instance_id", "as a member's id"),
    ("node_id", "the brokers are shown to everybody"),
    ("blob", "what a member says of topics is read by the others of its group"),
];

const BLUNT: &[(ApiKey, &str, &str)] = &[
    (ApiKey::Fetch, "ClusterId", "brokers look at it only among themselves"),
    (ApiKey::DescribeQuorum, "Topics[].TopicName", "brokers know of one topic here, and it is their own"),
    (
        ApiKey::ConsumerGroupHeartbeat,
        "TopicPartitions[].TopicId",
        "who joins has no partitions, and brokers but compare a member's with what they gave it",
    ),
    (ApiKey::Fetch, "ForgottenTopicsData[].Topic", "a fetch without a session has nothing to forget"),
    (
        ApiKey::ListPartitionReassignments,
        "Topics[].Name",
        "one broker alone has nobody to give a partition to",
    ),
    (
        ApiKey::StreamsGroupHeartbeat,
        "Topology.Subtopologies[].SourceTopicRegex[]",
        "brokers read no patterns of a Streams group",
    ),
    (ApiKey::ShareFetch, "ForgottenTopicsData[].TopicId", SHARING),
    (ApiKey::ShareFetch, "GroupId", SHARING),
    (ApiKey::ShareFetch, "Topics[].TopicId", SHARING),
    (ApiKey::ShareAcknowledge, "GroupId", SHARING),
    (ApiKey::ShareAcknowledge, "Topics[].TopicId", SHARING),
];

const SHARING: &str = "what is shared shows only by the later requests of a session";
