//! What is said to the broker itself, to make things there and to look at them.

use std::time::Duration;

use kafka_protocol::messages::{DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::direct::until_soon;
use crate::support::client::Client;
use crate::support::words::{Answer, Word, ask};

use super::neighbour::OURS;
use crate::support::sense::{assignment, batch, subscription};

/// Asks again and again until there is an answer; a broker is through with most things in a moment.
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_soon(Duration::from_secs(30), Duration::from_millis(5), what, ask)
}

/// Asks until the answer has no error at this path.
fn insist(
    direct: &mut Client,
    key: i16,
    version: i16,
    code: &str,
    words: Vec<(&'static str, Word)>,
) -> Answer {
    until(&format!("key {key} is answered without an error: {words:?}"), || {
        Some(ask(direct, key, version, words.clone())).filter(|answer| answer.int(code) == 0)
    })
}

pub fn create(direct: &mut Client, topic: &str, partitions: i64) {
    let words = vec![
        ("Topics[].Name", topic.into()),
        ("Topics[].NumPartitions", partitions.into()),
        ("Topics[].ReplicationFactor", 1.into()),
        ("timeoutMs", PATIENCE_MS.into()),
    ];
    let answer = ask(direct, 19, 5, words);
    let code = answer.int("Topics[].ErrorCode");
    assert!(code == 0 || code == TOPIC_ALREADY_EXISTS, "{answer:?}");
    until("it has a leader", || {
        let answer = ask(direct, 3, 4, vec![("Topics[].Name", topic.into())]);
        (answer.int("Topics[].ErrorCode") == 0 && answer.int("Topics[].Partitions[].LeaderId") == 1)
            .then_some(())
    });
}

pub fn produce(direct: &mut Client, topic: &str, transaction: Option<&str>, producer: i64, epoch: i64) {
    let text = if topic.starts_with(OURS) { "notes" } else { "cargo" };
    let words = vec![
        ("TransactionalId", transaction.map_or(Word::Null, Word::from)),
        ("Acks", (-1).into()),
        ("TimeoutMs", PATIENCE_MS.into()),
        ("TopicData[].Name", topic.into()),
        ("TopicData[].PartitionData[].Records", batch(text, producer, epoch, transaction.is_some()).into()),
    ];
    insist(direct, 0, 9, "Responses[].PartitionResponses[].ErrorCode", words);
}

pub fn commit(direct: &mut Client, group: &str, topic: &str, offset: i64) {
    commit_as(direct, group, topic, offset, -1, "");
}

pub fn commit_as(direct: &mut Client, group: &str, topic: &str, offset: i64, generation: i64, member: &str) {
    find_coordinator(direct, group, 0);
    let words = vec![
        ("GroupId", group.into()),
        ("GenerationIdOrMemberEpoch", generation.into()),
        ("MemberId", member.into()),
        ("Topics[].Name", topic.into()),
        ("Topics[].Partitions[].CommittedOffset", offset.into()),
    ];
    insist(direct, 8, 8, "Topics[].Partitions[].ErrorCode", words);
}

fn find_coordinator(direct: &mut Client, name: &str, kind: i64) {
    insist(direct, 10, 3, "ErrorCode", vec![("Key", name.into()), ("KeyType", kind.into())]);
}

/// A consumer of the classic protocol that stays for as long as the tests do, without a word.
pub fn join(direct: &mut Client, group: &str, topic: &str) -> (String, i64) {
    find_coordinator(direct, group, 0);
    let words = vec![
        ("GroupId", group.into()),
        ("SessionTimeoutMs", FOREVER_MS.into()),
        // Whom others join does not make them wait.
        ("RebalanceTimeoutMs", 300.into()),
        ("ProtocolType", "consumer".into()),
        ("Protocols[].Name", "range".into()),
        ("Protocols[].Metadata", subscription(topic).into()),
        ("GroupInstanceId", "wvk-statics".into()),
    ];
    let joined = insist(direct, 11, 5, "ErrorCode", words);
    let (member, generation) = (joined.text("MemberId").to_owned(), joined.int("GenerationId"));
    let words = vec![
        ("GroupId", group.into()),
        ("GenerationId", generation.into()),
        ("MemberId", member.as_str().into()),
        ("GroupInstanceId", "wvk-statics".into()),
        ("Assignments[].MemberId", member.as_str().into()),
        ("Assignments[].Assignment", assignment(topic).into()),
    ];
    insist(direct, 14, 3, "ErrorCode", words);
    (member, generation)
}

/// A consumer of the new protocol.
pub fn join_by_heartbeat(direct: &mut Client, group: &str, topic: &str) {
    find_coordinator(direct, group, 0);
    let words = vec![
        ("GroupId", group.into()),
        ("MemberId", "AAAAAAAAAAAAAAAAAAAAAQ".into()),
        ("RebalanceTimeoutMs", FOREVER_MS.into()),
        ("SubscribedTopicNames[]", topic.into()),
        ("TopicPartitions[]", Word::Empty),
    ];
    insist(direct, 68, 0, "ErrorCode", words);
}

/// A consumer that shares a topic with others.
pub fn join_sharing(direct: &mut Client, group: &str, topic: &str) {
    find_coordinator(direct, group, 0);
    let words = vec![
        ("GroupId", group.into()),
        ("MemberId", "AAAAAAAAAAAAAAAAAAAAAQ".into()),
        ("SubscribedTopicNames[]", topic.into()),
    ];
    insist(direct, 76, 1, "ErrorCode", words);
    until("the group has begun to share", || {
        let answer = ask(direct, 90, 0, vec![("Groups[].GroupId", group.into())]);
        answer.at("Groups[].Topics[].TopicName").map(|_| ())
    });
}

/// A Streams application.
pub fn join_streams(direct: &mut Client, group: &str, topic: &str) {
    find_coordinator(direct, group, 0);
    let words = vec![
        ("GroupId", group.into()),
        ("MemberId", "AAAAAAAAAAAAAAAAAAAAAQ".into()),
        ("RebalanceTimeoutMs", FOREVER_MS.into()),
        ("Topology.Subtopologies[].SubtopologyId", "0".into()),
        ("Topology.Subtopologies[].SourceTopics[]", topic.into()),
        ("ActiveTasks[]", Word::Empty),
        ("StandbyTasks[]", Word::Empty),
        ("WarmupTasks[]", Word::Empty),
        ("ProcessId", "process".into()),
        ("ClientTags[]", Word::Empty),
    ];
    insist(direct, 88, 0, "ErrorCode", words);
}

/// Opens a transaction with a record in it.
pub fn begin(direct: &mut Client, transaction: &str, topic: &str) -> (i64, i64) {
    find_coordinator(direct, transaction, 1);
    let words = vec![
        ("TransactionalId", transaction.into()),
        ("TransactionTimeoutMs", TRANSACTION_MS.into()),
        ("ProducerId", (-1).into()),
        ("ProducerEpoch", (-1).into()),
    ];
    let answer = insist(direct, 22, 3, "ErrorCode", words);
    let (producer, epoch) = (answer.int("ProducerId"), answer.int("ProducerEpoch"));
    let words = vec![
        ("V3AndBelowTransactionalId", transaction.into()),
        ("V3AndBelowProducerId", producer.into()),
        ("V3AndBelowProducerEpoch", epoch.into()),
        ("V3AndBelowTopics[].Name", topic.into()),
        ("V3AndBelowTopics[].Partitions[]", 0.into()),
    ];
    insist(direct, 24, 3, "ResultsByTopicV3AndBelow[].ResultsByPartition[].PartitionErrorCode", words);
    produce(direct, topic, Some(transaction), producer, epoch);
    (producer, epoch)
}

pub fn end(direct: &mut Client, transaction: &str, (producer, epoch): (i64, i64)) {
    let words = vec![
        ("TransactionalId", transaction.into()),
        ("ProducerId", producer.into()),
        ("ProducerEpoch", epoch.into()),
        ("Committed", 1.into()),
    ];
    insist(direct, 26, 3, "ErrorCode", words);
}

pub fn allow(direct: &mut Client, principal: &str, topic: &str) {
    let words = vec![
        ("Creations[].ResourceType", 2.into()),
        ("Creations[].ResourceName", topic.into()),
        ("Creations[].ResourcePatternType", 3.into()),
        ("Creations[].Principal", format!("User:{principal}").as_str().into()),
        ("Creations[].Host", "*".into()),
        ("Creations[].Operation", 3.into()),
        ("Creations[].PermissionType", 3.into()),
    ];
    insist(direct, 30, 3, "Results[].ErrorCode", words);
}

pub fn set_quota(direct: &mut Client, principal: &str) {
    let words = vec![
        ("Entries[].Entity[].EntityType", "user".into()),
        ("Entries[].Entity[].EntityName", principal.into()),
        ("Entries[].Ops[].Key", "producer_byte_rate".into()),
        ("Entries[].Ops[].Value", 1_000_000.into()),
    ];
    insist(direct, 49, 1, "Entries[].ErrorCode", words);
}

pub fn set_password(direct: &mut Client, principal: &str) {
    let words = vec![
        ("Upsertions[].Name", principal.into()),
        ("Upsertions[].Mechanism", 1.into()),
        ("Upsertions[].Iterations", 4096.into()),
        ("Upsertions[].Salt", vec![7; 16].into()),
        ("Upsertions[].SaltedPassword", vec![8; 32].into()),
    ];
    insist(direct, 51, 0, "Results[].ErrorCode", words);
}

pub fn set_config(direct: &mut Client, kind: i64, name: &str, config: &'static str, value: &'static str) {
    let words = vec![
        ("Resources[].ResourceType", kind.into()),
        ("Resources[].ResourceName", name.into()),
        ("Resources[].Configs[].Name", config.into()),
        ("Resources[].Configs[].Value", value.into()),
    ];
    insist(direct, 44, 1, "Responses[].ErrorCode", words);
}

pub fn list_offsets(direct: &mut Client, topic: &str, partition: i64, timestamp: i64) -> Answer {
    ask(direct, 2, 2, offsets_of(topic, partition, timestamp))
}

/// The words that ask for an offset.
pub fn offsets_of(topic: &str, partition: i64, timestamp: i64) -> Vec<(&'static str, Word)> {
    vec![
        ("ReplicaId", (-1).into()),
        ("Topics[].Name", topic.into()),
        ("Topics[].Partitions[].PartitionIndex", partition.into()),
        ("Topics[].Partitions[].Timestamp", timestamp.into()),
    ]
}

pub fn delete_topics(direct: &mut Client, topics: &[String]) {
    let names = topics.iter().map(|topic| TopicName(StrBytes::from_string(topic.clone()))).collect();
    let timeout = i32::try_from(PATIENCE_MS).expect("it is short");
    direct.ask(5, &DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(timeout));
}

pub fn describe_producers(direct: &mut Client, topic: &str) -> Answer {
    ask(direct, 61, 0, vec![("Topics[].Name", topic.into()), ("Topics[].PartitionIndexes[]", 0.into())])
}

pub fn describe_configs(direct: &mut Client, kind: i64, name: &str) -> Answer {
    let words = vec![("Resources[].ResourceType", kind.into()), ("Resources[].ResourceName", name.into())];
    ask(direct, 32, 4, words)
}

const TOPIC_ALREADY_EXISTS: i64 = 36;
const PATIENCE_MS: i64 = 10_000;
/// As long as brokers let somebody be silent.
const FOREVER_MS: i64 = 1_800_000;
const TRANSACTION_MS: i64 = 900_000;
