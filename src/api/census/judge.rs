//! Holds what came out of the gateway against what went in, field by field.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use uuid::Uuid;

use super::case::{Absent, Case};
use super::filler::{
    ALIASED_PREFIX, BACKEND_CLUSTER, BACKEND_HOST, BACKEND_OPERATIONS, FOREIGN_PREFIX, MARKERS_MAX,
    OWN_PREFIX, alias_id, marker,
};
use super::register::{Meaning, Place, Register};
use crate::wire::sample::{self, Leaf, LeafValue};
use crate::wire::{ApiKey, Direction, Embedded};

/// What stands in a message of a version.
pub struct Said {
    pub version: i16,
    pub leaves: Vec<Leaf>,
}

/// Judges messages of one kind.
pub struct Judge<'a> {
    pub register: &'a Register,
    pub place: Place,
    /// Whether the message goes to the client; otherwise to the broker.
    pub to_client: bool,
    pub case: &'a Case,
}

type Values<'m> = BTreeMap<&'m str, Vec<&'m LeafValue>>;

impl Judge<'_> {
    /// What is wrong with `after`, a sentence for each field.
    pub fn complaints(&self, before: &Said, after: &Said) -> Vec<String> {
        let (said, shown) = (self.values(before), self.values(after));
        if self.is_told_by_name_alone(&said) {
            return self.judge_name_alone(after.version, &said, &shown);
        }
        let fields = |version| self.place.fields(version).into_iter().map(|(path, _)| path);
        let has: BTreeSet<String> = fields(after.version).collect();
        let paths: BTreeSet<&str> = said.keys().chain(shown.keys()).copied().collect();
        let mut complaints = Vec::new();
        for path in paths {
            let meaning = [after, before]
                .iter()
                .find_map(|message| self.register.meaning(self.place, message.version, path));
            let Some(meaning) = meaning else {
                complaints
                    .push(format!("{path}: neither the entity table nor the list of plain text knows it"));
                continue;
            };
            let none = Vec::new();
            let shown_here = shown.get(path).unwrap_or(&none);
            let is_gone = self.is_gone(path, before.version) || !has.contains(path);
            if is_gone && !shown_here.is_empty() {
                complaints.push(format!("{path}: it is not for the other side, and it is {shown_here:?}"));
            }
            if is_gone {
                continue;
            }
            let said_here = said.get(path).unwrap_or(&none);
            let verdict = match (self.to_client, meaning) {
                (true, Meaning::Port) => self.judge_ports(path, after.version, &shown, shown_here),
                _ => self.judge(meaning, path, said_here, shown_here),
            };
            complaints.extend(verdict.err().map(|why| format!("{path}: {why}")));
        }
        complaints
    }

    /// The values that somebody must account for, by path.
    fn values<'m>(&self, message: &'m Said) -> Values<'m> {
        let mut values = Values::new();
        for leaf in &message.leaves {
            let counts = match leaf.value {
                LeafValue::Null | LeafValue::Float(_) => false,
                LeafValue::Int(_) => self.register.meaning(self.place, message.version, &leaf.path).is_some(),
                LeafValue::Text(_) | LeafValue::Uuid(_) | LeafValue::Bytes(_) => true,
            };
            if counts {
                values.entry(&leaf.path).or_default().push(&leaf.value);
            }
        }
        values
    }

    /// Whether a group is described that reads what is another tenant's.
    fn is_told_by_name_alone(&self, said: &Values<'_>) -> bool {
        let foreign = self.case.foreign.as_ref();
        READING_GROUPS.contains(&self.place)
            && foreign.is_some_and(|(place, path)| {
                let is_topic = path.ends_with(".TopicName") || path.contains(".Topology.");
                *place == self.place && is_topic && said.contains_key(path.as_str())
            })
    }

    fn judge_name_alone(&self, version: i16, said: &Values<'_>, shown: &Values<'_>) -> Vec<String> {
        let none = Vec::new();
        let verdicts = shown.iter().map(|(path, shown)| {
            let said = said.get(path).unwrap_or(&none);
            match self.register.meaning(self.place, version, path) {
                Some(name @ Meaning::Group) => self.judge(name, path, said, shown),
                Some(error @ Meaning::ErrorMessage) => self.judge(error, path, said, shown),
                Some(Meaning::AuthorizedOperations) => {
                    every(shown, |value| *value == LeafValue::Int(i64::from(i32::MIN)))
                }
                _ => every(shown, |value| is_text(value, "")),
            }
            .err()
            .map(|why| format!("{path}: {why}"))
        });
        verdicts.flatten().collect()
    }

    /// Whether nothing of this field may come out: it belongs to an element with a foreign name, to a
    /// broker without a door, or is one that the gateway leaves out.
    fn is_gone(&self, path: &str, version: i16) -> bool {
        let is_under = |element: &str| {
            path.strip_prefix(element).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_foreign = self.case.foreign.as_ref().is_some_and(|(place, name)| {
            let end = name.rfind("[]").map(|at| at + 2).or(name.rfind('.'));
            let element = end.map_or("", |end| &name[..end]);
            *place == self.place && !element.is_empty() && is_under(element)
        });
        let is_left_out = LEFT_OUT.iter().any(|(place, element, why)| {
            *place == self.place && is_under(element) && (*why != CLIENT_METRICS || version == 0)
        });
        let is_nowhere = self.case.nodes == NO_DOOR && LISTS_OF_BROKERS.iter().any(|list| is_under(list));
        is_foreign || is_left_out || is_nowhere
    }

    fn judge(
        &self,
        meaning: Meaning,
        path: &str,
        said: &[&LeafValue],
        shown: &[&LeafValue],
    ) -> Result<(), String> {
        match meaning {
            Meaning::Blob(embedded) if self.case.consumer_protocol => self.judge_blobs(embedded, said, shown),
            Meaning::TopicId if self.case.names_aliases => {
                let real = |value: &&LeafValue| real_id(value, said, self.to_client);
                let shown: Vec<_> = shown.iter().map(real).collect();
                let expected: Vec<_> = said.iter().map(real).collect();
                self.same(expected.into_iter(), &shown.iter().collect::<Vec<_>>())
            }
            name if self.to_client && self.case.is_alias(name) => {
                // By its own name, or by the alias that the request said.
                let alias = |value: &&LeafValue| match value {
                    LeafValue::Text(name) => LeafValue::Text(alias(name).to_owned()),
                    _ => (*value).clone(),
                };
                let shown: Vec<_> = shown.iter().map(alias).collect();
                self.same(said.iter().map(alias), &shown.iter().collect::<Vec<_>>())
            }
            Meaning::Plain | Meaning::TopicId | Meaning::Blob(_) => {
                self.same(said.iter().map(|value| (*value).clone()), shown)
            }
            // Who names none means all, and the broker is asked about those of this tenant.
            Meaning::Topic if self.place == ALL_PARTITIONS && self.case.elements == 0 => {
                every(shown, |value| matches!(value, LeafValue::Text(name) if name.starts_with(OWN_PREFIX)))
            }
            name if name.is_name() => self.same(said.iter().map(|value| self.renamed(name, value)), shown),
            // Beside an additional topic no prefix confines it, and its topics are found here.
            Meaning::Regex if self.place == SUBSCRIBING => self.each(said, shown, |value| is_text(value, "")),
            Meaning::Regex => self.judge_patterns(said, shown),
            Meaning::Node if self.to_client => self.judge_nodes(path, said, shown),
            Meaning::Node if path == "ReplicaId" => self.same(said.iter().map(|_| LeafValue::Int(-1)), shown),
            Meaning::Node => self.same(said.iter().map(|value| (*value).clone()), shown),
            _ if !self.to_client => Err("no request has such a field".to_owned()),
            Meaning::Host => {
                let nowhere = self.case.has_no_place();
                self.each(said, shown, |value| is_text(value, "gateway") || (nowhere && is_text(value, "")))
            }
            Meaning::ClusterId => self.each(said, shown, |value| is_text(value, "team-id")),
            Meaning::ClientHost => self.each(said, shown, |value| is_text(value, "")),
            Meaning::LogDir => {
                let disks: Vec<_> = (1..=said.len()).map(|disk| format!("/disk-{disk}")).collect();
                self.each(said, shown, |value| disks.iter().any(|disk| is_text(value, disk)))
            }
            Meaning::ErrorMessage => every(shown, |value| !said.contains(&value)),
            Meaning::AuthorizedOperations => self.each(said, shown, |value| self.is_recomputed(value)),
            _ => Err("nobody judges it".to_owned()),
        }
    }

    fn renamed(&self, meaning: Meaning, value: &LeafValue) -> LeafValue {
        let LeafValue::Text(name) = value else { return value.clone() };
        LeafValue::Text(match self.to_client {
            _ if self.case.is_additional(meaning) => name.clone(),
            true => name.strip_prefix(OWN_PREFIX).unwrap_or("a name with our prefix").to_owned(),
            false if self.case.is_alias(meaning) => format!("{ALIASED_PREFIX}{name}"),
            false => format!("{OWN_PREFIX}{name}"),
        })
    }

    /// What was expected came out, in its order; where a case leaves elements without what they need,
    /// nothing else did.
    fn same(&self, expected: impl Iterator<Item = LeafValue>, shown: &[&LeafValue]) -> Result<(), String> {
        let expected: Vec<_> = expected.collect();
        let is_same = match self.case.absent {
            Absent::Nothing => expected.iter().eq(shown.iter().copied()),
            Absent::Names | Absent::Everything => shown.iter().all(|value| expected.contains(value)),
        };
        if is_same { Ok(()) } else { Err(format!("expected {expected:?}, and it is {shown:?}")) }
    }

    /// As many came out as went in, and each is right.
    fn each(
        &self,
        said: &[&LeafValue],
        shown: &[&LeafValue],
        is_right: impl Fn(&LeafValue) -> bool,
    ) -> Result<(), String> {
        if self.case.absent == Absent::Nothing && said.len() != shown.len() {
            return Err(format!("{} of {} came out", shown.len(), said.len()));
        }
        every(shown, is_right)
    }

    fn judge_blobs(
        &self,
        embedded: Embedded,
        said: &[&LeafValue],
        shown: &[&LeafValue],
    ) -> Result<(), String> {
        if said.len() != shown.len() {
            return Err(format!("{} of {} blobs came out", shown.len(), said.len()));
        }
        let inner = Judge { place: Place::Blob(embedded), ..*self };
        for (said, shown) in said.iter().zip(shown) {
            let read = |value: &LeafValue| {
                let LeafValue::Bytes(bytes) = value else { return Err("not a blob".to_owned()) };
                let leaves = sample::embedded_leaves(embedded, bytes).map_err(|why| why.to_string())?;
                let version = bytes.first_chunk().map_or(-1, |version| i16::from_be_bytes(*version));
                Ok(Said { version, leaves })
            };
            if let Some(why) = inner.complaints(&read(said)?, &read(shown)?).first() {
                return Err(format!("in the {embedded:?}: {why}"));
            }
        }
        Ok(())
    }

    /// To the broker each is confined, also what asks for all; to the client none is.
    fn judge_patterns(&self, said: &[&LeafValue], shown: &[&LeafValue]) -> Result<(), String> {
        let confined = |inner: &str| LeafValue::Text(format!("{OWN_PREFIX}(?:{inner})"));
        let here = |value: &LeafValue| match (value, self.to_client) {
            (LeafValue::Text(inner), false) => confined(inner),
            (LeafValue::Text(text), true) => {
                let inner = text.strip_prefix(OWN_PREFIX).and_then(|text| text.strip_prefix("(?:"));
                LeafValue::Text(
                    inner.and_then(|text| text.strip_suffix(')')).unwrap_or("confined").to_owned(),
                )
            }
            _ => value.clone(),
        };
        if said.is_empty() && !self.to_client {
            return every(shown, |value| *value == confined("(?s:.*)"));
        }
        self.same(said.iter().map(|value| here(value)), shown)
    }

    /// Brokers keep their ids, and none is named whom the client cannot find.
    fn judge_nodes(&self, path: &str, said: &[&LeafValue], shown: &[&LeafValue]) -> Result<(), String> {
        let nobody = LeafValue::Int(-1);
        let stays = self.place == QUORUM || REPLICAS.iter().any(|list| path.ends_with(list));
        if self.case.has_no_place() && !stays {
            let is_known =
                |value: &LeafValue| *value == nobody || (self.case.nodes != NO_DOOR && said.contains(&value));
            return every(shown, is_known);
        }
        self.same(said.iter().map(|value| (*value).clone()), shown)
    }

    fn judge_ports(
        &self,
        path: &str,
        version: i16,
        all: &Values<'_>,
        shown: &[&LeafValue],
    ) -> Result<(), String> {
        let node = self.register.node_beside(self.place, version, path).ok_or("no node stands beside it")?;
        let expected = all.get(node).into_iter().flatten().map(|node| match node {
            LeafValue::Int(node @ 0..) => LeafValue::Int(FIRST_PORT + node),
            _ => LeafValue::Int(-1),
        });
        self.same(expected, shown)
    }

    fn is_recomputed(&self, value: &LeafValue) -> bool {
        let LeafValue::Int(bits) = value else { return false };
        let is_computed = *bits & !KNOWN_OPERATIONS == 0 && *bits != 0;
        let is_not_asked = *bits == i64::from(i32::MIN);
        match self.case.operations || self.place == DESCRIBED_PARTITIONS {
            true => {
                is_computed
                    || (is_not_asked && (self.case.error_code != 0 || self.case.absent != Absent::Nothing))
            }
            false => is_not_asked,
        }
    }
}

fn every(shown: &[&LeafValue], is_right: impl Fn(&LeafValue) -> bool) -> Result<(), String> {
    match shown.iter().find(|value| !is_right(value)) {
        Some(wrong) => Err(format!("{wrong:?} came out")),
        None => Ok(()),
    }
}

fn is_text(value: &LeafValue, text: &str) -> bool {
    matches!(value, LeafValue::Text(value) if value == text)
}

/// The alias of a topic, from any of its names but the backend's to a client: that would be a leak.
fn alias(name: &str) -> &str {
    let real = ALIASED_PREFIX.strip_prefix(OWN_PREFIX).unwrap_or(ALIASED_PREFIX);
    name.strip_prefix(ALIASED_PREFIX).or(name.strip_prefix(real)).unwrap_or(name)
}

/// The broker's id of a topic that has one under an alias as well.
fn real_id(value: &LeafValue, said: &[&LeafValue], to_client: bool) -> LeafValue {
    let LeafValue::Uuid(id) = value else { return value.clone() };
    let is_of = |topic: &Uuid| (1..=MARKERS_MAX).any(|place| alias_id(*topic, place) == *id);
    let topic = match to_client {
        true if said.contains(&value) => None,
        true => said.iter().find_map(|said| match said {
            LeafValue::Uuid(topic) => is_of(topic).then_some(*topic),
            _ => None,
        }),
        false => REAL_IDS.get(id).copied(),
    };
    LeafValue::Uuid(topic.unwrap_or(*id))
}

/// The topics that a request gives the ids of aliases of.
static REAL_IDS: LazyLock<HashMap<Uuid, Uuid>> = LazyLock::new(|| {
    let topics = (1..=MARKERS_MAX).map(|place| (marker(true, place), place));
    topics.map(|(topic, place)| (alias_id(topic, place), topic)).collect()
});

/// The first mark of the backend, or of another tenant, in bytes that go to a client.
pub fn leak(bytes: &[u8]) -> Option<&'static str> {
    let operations = (BACKEND_OPERATIONS as i32).to_be_bytes();
    let contains = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    let words = [OWN_PREFIX, FOREIGN_PREFIX, BACKEND_HOST, BACKEND_CLUSTER];
    let word = words.into_iter().find(|word| contains(word.as_bytes()));
    word.or(contains(&operations).then_some("the broker's operations"))
}

/// What a client says and no broker is told, and why.
const LEFT_OUT: &[(Place, &str, &str)] = &[
    (FETCH, "ForgottenTopicsData[]", "a fetch that opens a session forgets nothing"),
    (FETCH, "ClusterId", "what the client knows is the virtual cluster's"),
    (FETCH, "ReplicaState", "a client is no follower"),
    (FETCH, "Topics[].Partitions[].ReplicaDirectoryId", "a client is no follower"),
    (QUORUM, "Nodes[].Listeners[]", "no controller is reached through the gateway"),
    (CONFIG_RESOURCES, "ConfigResources[]", CLIENT_METRICS),
];
const QUORUM: Place = Place::Message(55, Direction::Response);
const CONFIG_RESOURCES: Place = Place::Message(74, Direction::Response);
/// What ListConfigResources lists in its oldest version, and in no other.
const CLIENT_METRICS: &str = "client metrics are no tenant's";
const FETCH: Place = Place::Message(1, Direction::Request);

/// Describes groups with what their members read.
const READING_GROUPS: [Place; 3] = [
    Place::Message(ApiKey::ConsumerGroupDescribe as i16, Direction::Response),
    Place::Message(ApiKey::ShareGroupDescribe as i16, Direction::Response),
    Place::Message(ApiKey::StreamsGroupDescribe as i16, Direction::Response),
];
const SUBSCRIBING: Place = Place::Message(ApiKey::ConsumerGroupHeartbeat as i16, Direction::Request);
/// Asks about all topics by their names.
const ALL_PARTITIONS: Place = Place::Message(ApiKey::DescribeTopicPartitions as i16, Direction::Request);
/// Tells of operations whether they are asked for or not.
const DESCRIBED_PARTITIONS: Place =
    Place::Message(ApiKey::DescribeTopicPartitions as i16, Direction::Response);

/// Where brokers are listed with their addresses.
const LISTS_OF_BROKERS: [&str; 2] = ["Brokers[]", "NodeEndpoints[]"];
/// Lists of brokers that hold a partition, whether a client finds them or not.
const REPLICAS: [&str; 8] = [
    "ReplicaNodes[]",
    "IsrNodes[]",
    "OfflineReplicas[]",
    "EligibleLeaderReplicas[]",
    "LastKnownElr[]",
    "].Replicas[]",
    "AddingReplicas[]",
    "RemovingReplicas[]",
];
/// A broker that the listener of these tests has no port for.
pub const NO_DOOR: &[i64] = &[9];
/// The port of the bootstrap door; broker 1 has the next.
const FIRST_PORT: i64 = 19092;
/// The bits of READ to IDEMPOTENT_WRITE, but for CLUSTER_ACTION, which is never granted.
const KNOWN_OPERATIONS: i64 = 0b1_1101_1111_1000;
