//! What stands on the other side of the wall: another tenant's things on the same brokers, and some that are nobody's.
//!
//! All of it is made, and looked at, by a conversation with the broker itself.

use std::collections::BTreeSet;

use sluicegate::wire::sample::Leaf;
use uuid::Uuid;

use super::deeds::{
    allow, begin, commit, commit_as, create, delete_topics, describe_configs, describe_producers, end, join,
    join_by_heartbeat, join_sharing, join_streams, list_offsets, offsets_of, produce, set_config,
    set_password, set_quota, until,
};
use super::leave::Group;
use crate::support::client::Client;
use crate::support::sense::{BROKER_CONFIGS, CLIENT_METRICS, GROUP_CONFIGS, TOPIC_CONFIGS};
use crate::support::words::{Answer, ask};

/// What stands before our names at the backend, and before theirs.
pub const OURS: &str = "qzx-";
pub const THEIRS: &str = "wvk-";

/// The words in their names: nobody but them says these.
const WORDS: &[&str] = &[
    "harbour", "quay", "anchors", "crew", "flock", "shoal", "creek", "voyage", "homeward", "barge",
    "tugboat", "gauges", "cargo",
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
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// The neighbours, as far as somebody who wants to reach them would have to know them.
pub struct Neighbour {
    direct: Client,
    pub topic_ids: Vec<Uuid>,
    /// Of `OWN_TOPIC` with each of `TWINS`.
    pub own_topic_ids: Vec<Uuid>,
    /// The member of `wvk-crew`, and the group's generation.
    pub member: String,
    pub generation: i64,
    /// Who is in a transaction under `wvk-voyage`, and its epoch.
    pub producer: (i64, i64),
    pub cluster_id: String,
    /// Where the broker keeps its logs.
    pub log_dir: String,
}

impl Neighbour {
    /// Makes what is ours; nobody else is there yet.
    pub fn before_moving_in(mut direct: Client) -> Self {
        let cluster_id = metadata(&mut direct).text("ClusterId").to_owned();
        let log_dir = ask(&mut direct, 35, 1, vec![]).text("Results[].LogDir").to_owned();
        // Of nobody, for as long as nobody is there.
        let topic_ids = vec![Uuid::from_u128(0xfeed); TOPICS.len() + INTERNAL_TOPICS.len()];
        let (member, generation, producer) = ("nobody".to_owned(), 1, (4711, 0));
        let own_topic_ids = Vec::new();
        let mut neighbour =
            Self { direct, topic_ids, own_topic_ids, member, generation, producer, cluster_id, log_dir };
        neighbour.make_our_own();
        neighbour
    }

    fn make_our_own(&mut self) {
        let direct = &mut self.direct;
        for twin in TWINS {
            let topic = format!("{OURS}{OWN_TOPIC}{twin}");
            create(direct, &topic, 1);
            produce(direct, &topic, None, -1, -1);
            produce(direct, &topic, None, -1, -1);
            commit(direct, &format!("{OURS}{OWN_GROUP}{twin}"), &topic, 1);
            let transaction = format!("{OURS}{OWN_TRANSACTION}{twin}");
            let producer = begin(direct, &transaction, &topic);
            end(direct, &transaction, producer);
        }
        let all = metadata(direct);
        self.own_topic_ids = TWINS.map(|twin| id_of(&all, &format!("{OURS}{OWN_TOPIC}{twin}"))).to_vec();
    }

    /// Makes our own anew if the two of everything are no more alike, and answers would differ by that.
    pub fn make_twins_alike(&mut self) {
        self.tidy_groups(OWN_GROUP);
        let [first, second] = TWINS.map(|twin| self.own_state(twin));
        if first == second {
            return;
        }
        self.tidy_topics(NOTHING);
        self.tidy_groups(NOTHING);
        self.make_our_own();
    }

    fn own_state(&mut self, twin: char) -> Vec<String> {
        let topic = format!("{OURS}{OWN_TOPIC}{twin}");
        let direct = &mut self.direct;
        let group = format!("{OURS}{OWN_GROUP}{twin}");
        let transaction = format!("{OURS}{OWN_TRANSACTION}{twin}");
        let mut answers = vec![
            ask(direct, 3, 4, vec![("Topics[].Name", topic.as_str().into())]),
            describe_configs(direct, TOPIC_CONFIGS, &topic),
            ask(direct, 9, 8, vec![("Groups[].GroupId", group.as_str().into())]),
            ask(direct, 15, 5, vec![("Groups[]", group.as_str().into())]),
            ask(direct, 65, 0, vec![("TransactionalIds[]", transaction.as_str().into())]),
        ];
        for (isolation, timestamp) in [(0, -1), (1, -1), (0, -2)] {
            let mut words = offsets_of(&topic, 0, timestamp);
            words.push(("IsolationLevel", isolation.into()));
            answers.push(ask(direct, 2, 2, words));
        }
        let never_alike = ["ProducerId", "ProducerEpoch", "TransactionStartTimeMs"];
        let leaves = answers.iter().flat_map(|answer| &answer.leaves);
        let leaves = leaves.filter(|leaf| !never_alike.iter().any(|name| leaf.path.ends_with(name)));
        let line = |leaf: &Leaf| {
            [&topic, &group, &transaction]
                .iter()
                .fold(format!("{leaf:?}"), |line, name| line.replace(*name, "ours"))
        };
        leaves.map(line).collect()
    }

    /// Makes all that is theirs, and again what somebody took from them.
    pub fn move_in(&mut self) {
        let direct = &mut self.direct;
        for (topic, partitions) in TOPICS {
            create(direct, topic, *partitions);
            produce(direct, topic, None, -1, -1);
            produce(direct, topic, None, -1, -1);
        }
        commit(direct, "wvk-anchors", "wvk-harbour", 2);
        commit(direct, "barge-hands", "barge", 1);
        (self.member, self.generation) = join(direct, "wvk-crew", "wvk-harbour");
        commit_as(direct, "wvk-crew", "wvk-harbour", 1, self.generation, &self.member);
        self.producer = begin(direct, "wvk-voyage", "wvk-quay");
        let producer = begin(direct, "wvk-homeward", "wvk-harbour");
        end(direct, "wvk-homeward", producer);
        begin(direct, "barge-trip", "barge");
        allow(direct, PRINCIPAL, "wvk-harbour");
        set_quota(direct, PRINCIPAL);
        set_password(direct, PRINCIPAL);
        for (kind, name, config, value) in [
            (TOPIC_CONFIGS, "wvk-harbour", "retention.ms", "86400321"),
            (GROUP_CONFIGS, "wvk-flock", "consumer.session.timeout.ms", "1799321"),
            (GROUP_CONFIGS, "wvk-shoal", "share.session.timeout.ms", "1799321"),
            (GROUP_CONFIGS, "wvk-creek", "streams.session.timeout.ms", "1799321"),
            (CLIENT_METRICS, "wvk-gauges", "interval.ms", "64321"),
        ] {
            set_config(direct, kind, name, config, value);
        }
        join_by_heartbeat(direct, "wvk-flock", "wvk-harbour");
        join_sharing(direct, "wvk-shoal", "wvk-harbour");
        join_streams(direct, "wvk-creek", "wvk-harbour");
        let all = metadata(direct);
        let topics = TOPICS.iter().map(|(topic, _)| *topic).chain(INTERNAL_TOPICS);
        self.topic_ids = topics.map(|topic| id_of(&all, topic)).collect();
    }

    /// What no answer may hold, each with the words for it.
    pub fn marks(&self) -> Vec<(String, Vec<u8>)> {
        let texts = [OURS, THEIRS, "127.0.0.1", "ANONYMOUS"];
        let texts = texts
            .iter()
            .chain(&INTERNAL_TOPICS)
            .chain(WORDS)
            .map(|text| ((*text).to_owned(), text.as_bytes().to_vec()));
        let ids = self.topic_ids.iter().map(|id| (format!("topic id {id}"), id.as_bytes().to_vec()));
        let of_text = |text: &String| (text.clone(), text.as_bytes().to_vec());
        texts.chain(ids).chain([&self.member, &self.cluster_id, &self.log_dir].map(of_text)).collect()
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
        note("group", &ask(direct, 77, 1, vec![("GroupIds[]", "wvk-shoal".into())]), "Groups[]");
        note("group", &ask(direct, 89, 0, vec![("GroupIds[]", "wvk-creek".into())]), "Groups[]");
        let shared = vec![("Groups[].GroupId", "wvk-shoal".into())];
        note("shared", &ask(direct, 90, 0, shared), "Groups[]");
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
        self.tidy_topics(OWN_TOPIC);
        self.tidy_groups(OWN_GROUP);
    }

    /// Removes our topics that do not begin so.
    pub fn tidy_topics(&mut self, stay: &str) {
        let direct = &mut self.direct;
        until("our topics are gone", || {
            let topics = ours(&metadata(direct), "Topics[]", "Topics[].Name", stay);
            if !topics.is_empty() {
                delete_topics(direct, &topics);
            }
            topics.is_empty().then_some(())
        });
    }

    /// Removes our groups that do not begin so, and makes the others empty.
    pub fn tidy_groups(&mut self, stay: &str) {
        let direct = &mut self.direct;
        until("our groups are gone", || {
            let mut is_tidy = true;
            for group in Group::all(direct) {
                let Some(name) = group.name.strip_prefix(OURS) else { continue };
                let stays = name.starts_with(stay);
                is_tidy &= stays && group.is_empty();
                if !group.is_empty() {
                    group.leave(direct);
                }
                if !stays {
                    group.delete(direct);
                }
            }
            is_tidy.then_some(())
        });
    }

    /// Makes again what somebody took from them; a group that somebody has joined, or that is of another kind, anew.
    pub fn restore(&mut self, state: &BTreeSet<String>, intact: &BTreeSet<String>) {
        let changed: Vec<_> = state.symmetric_difference(intact).collect();
        let direct = &mut self.direct;
        for group in Group::all(direct) {
            let name = format!("{:?}", group.name);
            if changed.iter().any(|line| line.contains(&name)) {
                group.leave(direct);
                group.delete(direct);
            }
        }
        self.move_in();
    }

    /// Waits until groups know as well which topics there are: a broker tells them before it sees the next change.
    pub fn tell_coordinators(&mut self) {
        create(&mut self.direct, &format!("{OURS}news"), 1);
        self.tidy_topics(OWN_TOPIC);
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
fn ours(answer: &Answer, array: &str, name: &str, stays: &str) -> Vec<String> {
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

/// No name begins so.
const NOTHING: &str = "\u{0}";
