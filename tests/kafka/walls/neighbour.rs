//! What stands on the other side of the wall: another tenant's things on the same brokers, and some that are nobody's.
//!
//! All of it is made, and looked at, by a conversation with the broker itself.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::direct::until;
use crate::support::client::Client;
use crate::support::words::{Answer, Word, ask};

/// What stands before our names at the backend, and before theirs.
pub const OURS: &str = "qzx-";
pub const THEIRS: &str = "wvk-";

/// The words in their names: nobody but them says these.
const WORDS: &[&str] = &[
    "harbour", "quay", "anchors", "crew", "flock", "voyage", "homeward", "barge", "tugboat", "gauges",
    "cargo",
];

/// Our own topics, groups and transactional ids; of each a twin, so that two requests can be alike.
pub const OWN_TOPIC: &str = "ledger";
pub const OWN_GROUP: &str = "clerks";
pub const OWN_TRANSACTION: &str = "till";
pub const TWINS: [char; 2] = ['1', '2'];

/// The other tenant's topics, and one without any prefix.
const TOPICS: &[(&str, i64)] = &[("wvk-harbour", 2), ("wvk-quay", 1), ("barge", 1)];
const GROUPS: &[&str] = &["wvk-anchors", "wvk-crew", "wvk-flock", "barge-hands"];
const TRANSACTIONS: &[&str] = &["wvk-voyage", "wvk-homeward", "barge-trip"];
const PRINCIPAL: &str = "tugboat";
pub const INTERNAL_TOPICS: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// The neighbours, as far as somebody who wants to reach them would have to know them.
pub struct Neighbour {
    direct: Client,
    pub topic_ids: Vec<Uuid>,
    /// Of `OWN_TOPIC` with each of `TWINS`.
    pub own_topic_ids: Vec<Uuid>,
    /// A member of `wvk-crew`, which is in its first generation.
    pub member: String,
    /// Who is in a transaction under `wvk-voyage`, and its epoch.
    pub producer: (i64, i64),
    pub cluster_id: String,
}

impl Neighbour {
    /// Makes what is ours; nobody else is there yet.
    pub fn before_moving_in(mut direct: Client) -> Self {
        for twin in TWINS {
            let topic = format!("{OURS}{OWN_TOPIC}{twin}");
            create(&mut direct, &topic, 1);
            produce(&mut direct, &topic, None, -1, -1);
            produce(&mut direct, &topic, None, -1, -1);
            commit(&mut direct, &format!("{OURS}{OWN_GROUP}{twin}"), &topic, 1);
            let transaction = format!("{OURS}{OWN_TRANSACTION}{twin}");
            let producer = begin(&mut direct, &transaction, &topic);
            end(&mut direct, &transaction, producer);
        }
        let cluster_id = metadata(&mut direct).text("ClusterId").to_owned();
        let own = |twin: char| id_of(&metadata(&mut direct), &format!("{OURS}{OWN_TOPIC}{twin}"));
        let own_topic_ids = TWINS.map(own).to_vec();
        // Of nobody, for as long as nobody is there.
        let topic_ids = vec![Uuid::from_u128(0xfeed); TOPICS.len() + INTERNAL_TOPICS.len()];
        let (member, producer) = ("nobody".to_owned(), (4711, 0));
        Self { direct, topic_ids, own_topic_ids, member, producer, cluster_id }
    }

    /// Makes all that is theirs.
    pub fn move_in(&mut self) {
        let direct = &mut self.direct;
        for (topic, partitions) in TOPICS {
            create(direct, topic, *partitions);
            produce(direct, topic, None, -1, -1);
            produce(direct, topic, None, -1, -1);
        }
        commit(direct, "wvk-anchors", "wvk-harbour", 2);
        commit(direct, "barge-hands", "barge", 1);
        self.member = join(direct, "wvk-crew", "wvk-harbour");
        commit_as(direct, "wvk-crew", "wvk-harbour", 1, 1, &self.member);
        self.producer = begin(direct, "wvk-voyage", "wvk-quay");
        let producer = begin(direct, "wvk-homeward", "wvk-harbour");
        end(direct, "wvk-homeward", producer);
        begin(direct, "barge-trip", "barge");
        allow(direct);
        set_quota(direct);
        set_password(direct);
        for (kind, name, config, value) in [
            (TOPIC_CONFIGS, "wvk-harbour", "retention.ms", "86400321"),
            (GROUP_CONFIGS, "wvk-flock", "consumer.session.timeout.ms", "1799321"),
            (CLIENT_METRICS, "wvk-gauges", "interval.ms", "64321"),
        ] {
            set_config(direct, kind, name, config, value);
        }
        join_by_heartbeat(direct, "wvk-flock", "wvk-harbour");
        let all = metadata(direct);
        let topics = TOPICS.iter().map(|(topic, _)| *topic).chain(INTERNAL_TOPICS);
        self.topic_ids = topics.map(|topic| id_of(&all, topic)).collect();
    }

    /// What no answer may hold, each with the words for it.
    pub fn marks(&self) -> Vec<(String, Vec<u8>)> {
        let texts = [OURS, THEIRS, INTERNAL_TOPICS[0], INTERNAL_TOPICS[1], "127.0.0.1", "ANONYMOUS"];
        let texts = texts.iter().chain(WORDS).map(|text| ((*text).to_owned(), text.as_bytes().to_vec()));
        let ids = self.topic_ids.iter().map(|id| (format!("topic id {id}"), id.as_bytes().to_vec()));
        let member = (self.member.clone(), self.member.as_bytes().to_vec());
        let cluster_id = (self.cluster_id.clone(), self.cluster_id.as_bytes().to_vec());
        texts.chain(ids).chain([member, cluster_id]).collect()
    }

    /// All there is on the brokers that is not ours, a line for each thing.
    pub fn state(&mut self) -> BTreeSet<String> {
        let direct = &mut self.direct;
        let mut state = BTreeSet::new();
        let mut note = |what: &str, answer: &Answer, array: &str| {
            for element in answer.elements(array) {
                let fields = element.iter().filter(|leaf| !leaf.path.ends_with("LastTimestamp"));
                let fields: Vec<_> = fields.map(|leaf| format!("{}={:?}", leaf.path, leaf.value)).collect();
                let line = format!("{what}: {}", fields.join(" "));
                if !line.contains(OURS) {
                    state.insert(line);
                }
            }
        };
        note("topic", &metadata(direct), "Topics[]");
        for (topic, partitions) in TOPICS {
            for partition in 0..*partitions {
                for timestamp in [-1, -2] {
                    let offsets = list_offsets(direct, topic, partition, timestamp);
                    note(&format!("offset {timestamp}"), &offsets, "Topics[]");
                }
            }
            note("producers", &describe_producers(direct, topic), "Topics[]");
        }
        for (kind, name) in [
            (TOPIC_CONFIGS, "wvk-harbour"),
            (TOPIC_CONFIGS, "wvk-quay"),
            (TOPIC_CONFIGS, "barge"),
            (GROUP_CONFIGS, "wvk-flock"),
            (GROUP_CONFIGS, "wvk-crew"),
            (CLIENT_METRICS, "wvk-gauges"),
            (BROKER_CONFIGS, "1"),
            (BROKER_CONFIGS, ""),
        ] {
            note("config", &describe_configs(direct, kind, name), "Results[]");
        }
        note("group", &ask(direct, 16, 5, vec![]), "Groups[]");
        for group in GROUPS {
            note("group", &ask(direct, 15, 5, vec![("Groups[]", (*group).into())]), "Groups[]");
            note("committed", &ask(direct, 9, 8, vec![("Groups[].GroupId", (*group).into())]), "Groups[]");
        }
        note("group", &ask(direct, 69, 0, vec![("GroupIds[]", "wvk-flock".into())]), "Groups[]");
        note(
            "transaction",
            &ask(direct, 66, 1, vec![("DurationFilter", (-1).into())]),
            "TransactionStates[]",
        );
        for transaction in TRANSACTIONS {
            let answer = ask(direct, 65, 0, vec![("TransactionalIds[]", (*transaction).into())]);
            note("transaction", &answer, "TransactionStates[]");
        }
        let any = vec![
            ("ResourceTypeFilter", 1.into()),
            ("PatternTypeFilter", 1.into()),
            ("Operation", 1.into()),
            ("PermissionType", 1.into()),
        ];
        note("acl", &ask(direct, 29, 3, any), "Resources[]");
        note("quota", &ask(direct, 48, 1, vec![]), "Entries[]");
        note("password", &ask(direct, 50, 0, vec![]), "Results[]");
        state
    }

    /// Removes our topics and groups beyond those of the beginning, and waits until they are gone.
    pub fn tidy(&mut self) {
        self.tidy_topics();
        let direct = &mut self.direct;
        until("our new groups are gone", || {
            let groups = new(&ask(direct, 16, 5, vec![]), "Groups[]", "Groups[].GroupId", OWN_GROUP);
            for group in &groups {
                // While it has members it stays.
                ask(direct, 42, 2, vec![("GroupsNames[]", group.as_str().into())]);
            }
            groups.is_empty().then_some(())
        });
    }

    /// The topics alone.
    pub fn tidy_topics(&mut self) {
        let direct = &mut self.direct;
        until("our new topics are gone", || {
            let topics = new(&metadata(direct), "Topics[]", "Topics[].Name", OWN_TOPIC);
            for topic in &topics {
                ask(
                    direct,
                    20,
                    5,
                    vec![("TopicNames[]", topic.as_str().into()), ("TimeoutMs", PATIENCE_MS.into())],
                );
            }
            topics.is_empty().then_some(())
        });
    }

    /// Waits until a topic that an answer has announced is there.
    pub fn await_topic(&mut self, name: &str) {
        let direct = &mut self.direct;
        until(&format!("{name} is there"), || {
            let answer = ask(direct, 3, 4, vec![("Topics[].Name", name.into())]);
            (answer.int("Topics[].ErrorCode") == 0).then_some(())
        });
    }
}

fn metadata(direct: &mut Client) -> Answer {
    ask(direct, 3, 12, vec![])
}

/// Our names in a list that do not begin as those that are to stay.
fn new(answer: &Answer, array: &str, name: &str, stays: &str) -> Vec<String> {
    let names = answer.elements(array).into_iter().map(|element| text(&element, name));
    names.filter(|name| name.strip_prefix(OURS).is_some_and(|name| !name.starts_with(stays))).collect()
}

fn text(element: &[sluicegate::wire::sample::Leaf], path: &str) -> String {
    use sluicegate::wire::sample::LeafValue;
    match element.iter().find(|leaf| leaf.path == path).map(|leaf| &leaf.value) {
        Some(LeafValue::Text(text)) => text.clone(),
        other => panic!("{path} is {other:?}"),
    }
}

fn id_of(metadata: &Answer, topic: &str) -> Uuid {
    use sluicegate::wire::sample::LeafValue;
    let elements = metadata.elements("Topics[]");
    let element =
        elements.iter().find(|element| text(element, "Topics[].Name") == topic).expect("it is there");
    match element.iter().find(|leaf| leaf.path == "Topics[].TopicId").map(|leaf| &leaf.value) {
        Some(LeafValue::Uuid(id)) => *id,
        other => panic!("{topic} has the id {other:?}"),
    }
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

fn create(direct: &mut Client, topic: &str, partitions: i64) {
    let words = vec![
        ("Topics[].Name", topic.into()),
        ("Topics[].NumPartitions", partitions.into()),
        ("Topics[].ReplicationFactor", 1.into()),
        ("timeoutMs", PATIENCE_MS.into()),
    ];
    let answer = ask(direct, 19, 5, words);
    assert_eq!(answer.int("Topics[].ErrorCode"), 0, "{answer:?}");
    until("it has a leader", || {
        let answer = ask(direct, 3, 4, vec![("Topics[].Name", topic.into())]);
        (answer.int("Topics[].ErrorCode") == 0 && answer.int("Topics[].Partitions[].LeaderId") == 1)
            .then_some(())
    });
}

fn produce(direct: &mut Client, topic: &str, transaction: Option<&str>, producer: i64, epoch: i64) {
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

fn commit(direct: &mut Client, group: &str, topic: &str, offset: i64) {
    commit_as(direct, group, topic, offset, -1, "");
}

fn commit_as(direct: &mut Client, group: &str, topic: &str, offset: i64, generation: i64, member: &str) {
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
fn join(direct: &mut Client, group: &str, topic: &str) -> String {
    find_coordinator(direct, group, 0);
    let words = vec![
        ("GroupId", group.into()),
        ("SessionTimeoutMs", FOREVER_MS.into()),
        ("RebalanceTimeoutMs", FOREVER_MS.into()),
        ("ProtocolType", "consumer".into()),
        ("Protocols[].Name", "range".into()),
        ("Protocols[].Metadata", subscription(topic).into()),
        ("GroupInstanceId", "wvk-statics".into()),
    ];
    let joined = insist(direct, 11, 5, "ErrorCode", words);
    let member = joined.text("MemberId").to_owned();
    let words = vec![
        ("GroupId", group.into()),
        ("GenerationId", joined.int("GenerationId").into()),
        ("MemberId", member.as_str().into()),
        ("GroupInstanceId", "wvk-statics".into()),
        ("Assignments[].MemberId", member.as_str().into()),
        ("Assignments[].Assignment", assignment(topic).into()),
    ];
    insist(direct, 14, 3, "ErrorCode", words);
    member
}

/// A consumer of the new protocol.
fn join_by_heartbeat(direct: &mut Client, group: &str, topic: &str) {
    find_coordinator(direct, group, 0);
    let words = vec![
        ("GroupId", group.into()),
        ("RebalanceTimeoutMs", FOREVER_MS.into()),
        ("SubscribedTopicNames[]", topic.into()),
        ("TopicPartitions[]", Word::Empty),
    ];
    insist(direct, 68, 0, "ErrorCode", words);
}

/// Opens a transaction with a record in it.
fn begin(direct: &mut Client, transaction: &str, topic: &str) -> (i64, i64) {
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

fn end(direct: &mut Client, transaction: &str, (producer, epoch): (i64, i64)) {
    let words = vec![
        ("TransactionalId", transaction.into()),
        ("ProducerId", producer.into()),
        ("ProducerEpoch", epoch.into()),
        ("Committed", 1.into()),
    ];
    insist(direct, 26, 3, "ErrorCode", words);
}

fn allow(direct: &mut Client) {
    let words = vec![
        ("Creations[].ResourceType", 2.into()),
        ("Creations[].ResourceName", "wvk-harbour".into()),
        ("Creations[].ResourcePatternType", 3.into()),
        ("Creations[].Principal", format!("User:{PRINCIPAL}").as_str().into()),
        ("Creations[].Host", "*".into()),
        ("Creations[].Operation", 3.into()),
        ("Creations[].PermissionType", 3.into()),
    ];
    insist(direct, 30, 3, "Results[].ErrorCode", words);
}

fn set_quota(direct: &mut Client) {
    let words = vec![
        ("Entries[].Entity[].EntityType", "user".into()),
        ("Entries[].Entity[].EntityName", PRINCIPAL.into()),
        ("Entries[].Ops[].Key", "producer_byte_rate".into()),
        ("Entries[].Ops[].Value", 1_000_000.into()),
    ];
    insist(direct, 49, 1, "Entries[].ErrorCode", words);
}

fn set_password(direct: &mut Client) {
    let words = vec![
        ("Upsertions[].Name", PRINCIPAL.into()),
        ("Upsertions[].Mechanism", 1.into()),
        ("Upsertions[].Iterations", 4096.into()),
        ("Upsertions[].Salt", vec![7; 16].into()),
        ("Upsertions[].SaltedPassword", vec![8; 32].into()),
    ];
    insist(direct, 51, 0, "Results[].ErrorCode", words);
}

fn set_config(direct: &mut Client, kind: i64, name: &str, config: &'static str, value: &'static str) {
    let words = vec![
        ("Resources[].ResourceType", kind.into()),
        ("Resources[].ResourceName", name.into()),
        ("Resources[].Configs[].Name", config.into()),
        ("Resources[].Configs[].Value", value.into()),
    ];
    insist(direct, 44, 1, "Responses[].ErrorCode", words);
}

fn list_offsets(direct: &mut Client, topic: &str, partition: i64, timestamp: i64) -> Answer {
    let words = vec![
        ("ReplicaId", (-1).into()),
        ("Topics[].Name", topic.into()),
        ("Topics[].Partitions[].PartitionIndex", partition.into()),
        ("Topics[].Partitions[].Timestamp", timestamp.into()),
    ];
    ask(direct, 2, 2, words)
}

fn describe_producers(direct: &mut Client, topic: &str) -> Answer {
    ask(direct, 61, 0, vec![("Topics[].Name", topic.into()), ("Topics[].PartitionIndexes[]", 0.into())])
}

fn describe_configs(direct: &mut Client, kind: i64, name: &str) -> Answer {
    let words = vec![("Resources[].ResourceType", kind.into()), ("Resources[].ResourceName", name.into())];
    ask(direct, 32, 4, words)
}

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

const PATIENCE_MS: i64 = 10_000;
/// As long as brokers let somebody be silent.
const FOREVER_MS: i64 = 1_800_000;
const TRANSACTION_MS: i64 = 900_000;
