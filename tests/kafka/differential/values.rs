//! What stands in fields that are no names: numbers and words that make sense there, and some that do not.

use super::random::Random;

/// A number for a field, by its name.
pub fn int(random: &mut Random, path: &str) -> i64 {
    let name = last(path);
    if is_bool(name) {
        return i64::from(random.percent(40));
    }
    if let Some(choices) = ints(name) {
        return random.pick(choices);
    }
    // Never for times: nobody waits as long as some of these are.
    if random.percent(4) && !name.to_lowercase().ends_with("ms") {
        return random.pick(&[i64::MAX, i64::MIN, 0x7fff_ffff, 0xff]);
    }
    random.pick(&[0, 0, 0, 1, -1])
}

/// A word for a field, by its name; `before` is the word that stood before it.
pub fn text(random: &mut Random, path: &str, before: &str) -> &'static str {
    if path.ends_with("Configs[].Name") {
        return random.pick(&["retention.ms", "cleanup.policy", "max.message.bytes", "no.such.config", ""]);
    }
    if path.ends_with("Configs[].Value") {
        return match before {
            "retention.ms" => random.pick(&["7200000", "7200000", "soon", "-1", ""]),
            "cleanup.policy" => random.pick(&["compact", "delete", "compact,delete", "x"]),
            "max.message.bytes" => random.pick(&["1000000", "-5"]),
            _ => "x",
        };
    }
    match last(path) {
        "ProtocolType" => random.pick(&["consumer", "consumer", "consumer", "connect", ""]),
        "ProtocolName" => random.pick(&["range", "range", "sticky"]),
        "Name" if path.ends_with("Protocols[].Name") => random.pick(&["range", "roundrobin"]),
        "Reason" | "CommittedMetadata" => random.pick(&["", "because", "elevflk-d-because"]),
        "ConfigurationKeys" => random.pick(&["retention.ms", "cleanup.policy", "no.such.config"]),
        "StatesFilter" => random.pick(&["Stable", "Empty", "empty", "Dead", "Nonsense"]),
        "TypesFilter" => random.pick(&["classic", "consumer", "Classic", "share", "Nonsense"]),
        "StateFilters" => random.pick(&["Ongoing", "Empty", "CompleteCommit", "Nonsense"]),
        "ServerAssignor" => random.pick(&["uniform", "range", "nonsense"]),
        "SubscribedTopicRegex" | "TransactionalIdPattern" => random.pick(&[
            "d-full-.*",
            "d-.*",
            "d-hide-.*|d-full-.*",
            ".*",
            "",
            "a)|(b",
            "^d-full.*$",
            "yow-.*",
        ]),
        "Principal" | "PrincipalFilter" => random.pick(&["User:user-app", "User:nobody-app", "nonsense"]),
        "Host" | "HostFilter" => random.pick(&["*", "127.0.0.1"]),
        "ResourceNameFilter" => random.pick(&["d-full-", "*", "d-none"]),
        "SubtopologyId" => "0",
        _ => random.pick(&["", "nonsense"]),
    }
}

/// Resource types as configs name them: a topic, a group, brokers and clients, and what is none.
pub const TOPIC_RESOURCE: i64 = 2;
pub const GROUP_RESOURCE: i64 = 32;

fn ints(name: &str) -> Option<&'static [i64]> {
    Some(match name {
        "Acks" => &[-1, -1, -1, 1, 1, 0, 2],
        "TimeoutMs" | "timeoutMs" => &[5000, 9000],
        "MaxWaitMs" => &[0, 1, 20],
        "MinBytes" => &[0, 1, 1],
        "MaxBytes" | "PartitionMaxBytes" => &[1 << 20, 1 << 20, 100],
        "IsolationLevel" => &[0, 0, 1, 1, 2],
        "ReplicaId" => &[-1, -1, -1, -1, -1, -1, -1, -2, 0, 1],
        "SessionId" => &[0, 0, 0, 0, 99],
        "SessionEpoch" => &[-1, -1, -1, 0, 1],
        "Partition" | "PartitionIndex" | "PartitionIndexes" | "Partitions" | "Index" => {
            &[0, 0, 0, 0, 1, 1, 2, -1, 99]
        }
        "CurrentLeaderEpoch" => &[-1, -1, -1, 0, 0, 5, -2],
        "LeaderEpoch" => &[0, 0, -1, 3],
        "LastFetchedEpoch" => &[-1, -1, 0, 3],
        "CommittedLeaderEpoch" => &[-1, -1, 0],
        "FetchOffset" => &[0, 0, 1, 2, 3, 99, -1],
        "LogStartOffset" => &[-1, -1, 0],
        "Timestamp" => &[-1, -1, -2, -2, -3, -4, -5, -6, 0, 1_700_000_000_000, i64::MAX],
        "CommittedOffset" => &[0, 1, 2, -1],
        "RetentionTimeMs" => &[-1, -1, 60_000],
        "GenerationId" | "GenerationIdOrMemberEpoch" => &[-1, -1, -1, 0, 1, 7],
        "MemberEpoch" => &[0, 0, -1, 1, -2, 7],
        "SessionTimeoutMs" => &[60_000, 60_000, 60_000, 10, 3_000_000],
        "RebalanceTimeoutMs" => &[5000, 9000],
        "KeyType" => &[0, 0, 0, 1, 1, 1, 2, 3],
        "NumPartitions" => &[1, 1, 1, 2, -1, 0],
        "ReplicationFactor" => &[1, 1, 1, -1, 2, 0],
        "BrokerIds" | "Replicas" => &[1, 1, 1, 9, -1],
        "Count" => &[1, 2, 3, 4, 0, -1],
        "ConfigOperation" => &[0, 0, 0, 1, 2, 3, 9],
        "ResourceType" => &[2, 2, 2, 2, 2, 32, 32, 4, 8, 16, 0, 3],
        "ResourceTypes" => &[2, 4, 8, 16, 32, 99],
        "ProducerId" | "V3AndBelowProducerId" => &[-1, 4711],
        "ProducerEpoch" | "V3AndBelowProducerEpoch" => &[-1, 0],
        "ProducerIdFilters" => &[4711, -1],
        "DurationFilter" => &[-1, -1, 0, 99_999_999],
        "TransactionTimeoutMs" => &[60_000, 60_000, 60_000, 0, 2_000_000_000],
        "EndpointType" => &[1, 1, 1, 2, 3],
        "Offset" => &[0, 1, -1, 2, 99],
        "ResponsePartitionLimit" => &[2000, 1, 2, 0],
        "AcknowledgeTypes" => &[1, 1, 2, 3, 0, 9],
        "BatchSize" | "MaxRecords" => &[1, 10, 500],
        "ShareSessionEpoch" => &[0, 0, -1, 1],
        "ShareAcquireMode" => &[0, 0, 1, 7],
        "FirstOffset" => &[0, 0, 1],
        "LastOffset" => &[0, 1, 2],
        "ElectionType" => &[0, 0, 1, 2],
        "Operation" => &[2, 3, 8, 1],
        "PermissionType" => &[3, 2, 1],
        "PatternTypeFilter" | "ResourcePatternType" => &[3, 4, 1, 2],
        "ResourceTypeFilter" => &[1, 2, 3, 4, 5],
        "StartOffset" => &[0, 1, -1],
        "Port" => &[9092],
        _ => return None,
    })
}

fn is_bool(name: &str) -> bool {
    let beginnings =
        ["Include", "Allow", "Validate", "validate", "Require", "Verify", "Is", "Keep", "Enable"];
    beginnings.iter().any(|beginning| name.starts_with(beginning))
        || ["Committed", "ShutdownApplication", "Terminating", "TransactionResult", "Strict"].contains(&name)
}

/// The last word of a path, without the mark of an array.
pub fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path).trim_end_matches("[]")
}
