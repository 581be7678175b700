//! Requests made from the grammar, said in symbols that each of the two worlds spells its own way.

use std::collections::HashMap;

use bytes::BytesMut;
use kafka_protocol::records::{
    Compression, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};
use sluicegate::wire::sample::{Filler, LeafValue, body, embedded_body};
use sluicegate::wire::{ApiKey, Direction, Embedded};
use uuid::Uuid;

use super::meaning::{Meaning, meanings};
use super::names::{Kind, Names, Standing};
use super::random::Random;
use super::values::{self, GROUP_RESOURCE, TOPIC_RESOURCE, last};

/// One decision about a body, in the order in which the grammar asks for them.
#[derive(Debug, Clone, PartialEq)]
pub enum Symbol {
    Text(String),
    Int(i64),
    Bytes(Vec<u8>),
    Count(usize),
    Present(bool),
    /// The same id in both worlds.
    Uuid(Uuid),
    /// The id that the topic of this name has in each world.
    IdOf(String),
    /// What each world has called the thing that goes by this word; or else this.
    Said(&'static str, Box<Symbol>),
    /// Records of a producer.
    Batch(Batch),
}

/// A batch of records, as far as they differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub records: usize,
    pub transactional: bool,
    /// Whether it bears the id that the world has given to the producer, and from which sequence number on.
    pub sequence: Option<i32>,
}

/// A decision that is made already, for the field of this path, or of this last word of a path.
#[derive(Debug, Clone)]
pub struct Pin(pub &'static str, pub Symbol);

/// Which names a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Mostly of one standing.
    Mostly(Standing),
    /// Mostly granted, sometimes any.
    Mixed,
}

/// Makes one request.
pub struct Generator<'g> {
    pub random: &'g mut Random,
    pub names: &'g mut Names,
    pub key: ApiKey,
    pub version: i16,
    pub policy: Policy,
    /// Which kind of names the policy is about; the others are granted.
    pub about: Kind,
    pub pins: &'g [Pin],
    pub other_topic: Uuid,
    symbols: Vec<Symbol>,
    /// The number and the word that were chosen last: what a name is, another field may say.
    last_resource: i64,
    key_type: Option<i64>,
    last_text: String,
}

/// A request in symbols.
pub fn request(
    (random, names): (&mut Random, &mut Names),
    (key, version): (ApiKey, i16),
    (policy, about): (Policy, Kind),
    pins: &[Pin],
    other_topic: Uuid,
) -> Vec<Symbol> {
    let mut generator = Generator {
        random,
        names,
        key,
        version,
        policy,
        about,
        pins,
        other_topic,
        symbols: Vec::new(),
        last_resource: TOPIC_RESOURCE,
        key_type: None,
        last_text: String::new(),
    };
    body(key as i16, Direction::Request, version, &mut generator)
        .expect("a served version is in the grammar");
    generator.symbols
}

impl Generator<'_> {
    fn pinned(&self, path: &str, fits: fn(&Symbol) -> bool) -> Option<Symbol> {
        let found =
            self.pins.iter().find(|Pin(at, symbol)| (*at == path || *at == last(path)) && fits(symbol));
        found.map(|Pin(_, symbol)| symbol.clone())
    }

    fn standing(&mut self, kind: Kind) -> Standing {
        let granted = if self.random.percent(80) { Standing::Granted } else { Standing::DescribeOnly };
        match self.policy {
            Policy::Mostly(standing) if kind == self.about && self.random.percent(70) => standing,
            Policy::Mostly(_) if kind != self.about => Standing::Granted,
            _ if self.random.percent(60) => granted,
            _ => self.random.pick(&super::names::STANDINGS),
        }
    }

    fn name(&mut self, kind: Kind) -> String {
        let standing = self.standing(kind);
        self.names.pick(self.random, kind, standing)
    }

    fn new_text(&mut self, path: &str) -> Symbol {
        let found = meanings(self.key, Direction::Request, self.version, path);
        let text = match found[..] {
            [Meaning::Topic, ..] => self.name(Kind::Topic),
            [Meaning::Group, _, ..] | [Meaning::TransactionalId, _, ..] => match self.key_type() {
                1 => self.name(Kind::TransactionalId),
                _ => self.name(Kind::Group),
            },
            [Meaning::Group, ..] => self.name(Kind::Group),
            [Meaning::TransactionalId, ..] => self.name(Kind::TransactionalId),
            [Meaning::Resource, ..] => match self.last_resource {
                TOPIC_RESOURCE => self.name(Kind::Topic),
                GROUP_RESOURCE => self.name(Kind::Group),
                _ => (self.random.pick(&["1", "", "9", "x"])).to_owned(),
            },
            [Meaning::Member, ..] => (self.random.pick(&["", "", "nobody-1"])).to_owned(),
            [Meaning::Instance, ..] => "instance-1".to_owned(),
            [Meaning::Rack, ..] => String::new(),
            _ => values::text(self.random, path, &self.last_text).to_owned(),
        };
        self.last_text.clone_from(&text);
        Symbol::Text(text)
    }

    fn key_type(&mut self) -> i64 {
        let chosen = self.key_type.unwrap_or_else(|| values::int(self.random, "KeyType"));
        *self.key_type.insert(if self.version == 0 { 0 } else { chosen })
    }

    fn new_uuid(&mut self, path: &str) -> Symbol {
        let found = meanings(self.key, Direction::Request, self.version, path);
        if !found.contains(&Meaning::TopicId) {
            return Symbol::Uuid(Uuid::nil());
        }
        match self.standing(Kind::Topic) {
            // Who may do everything with the cluster could delete it.
            Standing::Foreign if self.names.for_operator => Symbol::IdOf(self.names.there(Kind::Topic)),
            Standing::Foreign => Symbol::Uuid(self.other_topic),
            Standing::Illegal => Symbol::Uuid(Uuid::nil()),
            Standing::GrantedAbsent | Standing::DeniedAbsent => {
                Symbol::Uuid(Uuid::from_u64_pair(self.random.next(), self.random.next()))
            }
            standing => Symbol::IdOf(self.names.pick(self.random, Kind::Topic, standing)),
        }
    }

    fn new_bytes(&mut self, path: &str) -> Symbol {
        let found = meanings(self.key, Direction::Request, self.version, path);
        if last(path) == "Records" {
            if self.random.percent(5) {
                return Symbol::Bytes(b"no records".to_vec());
            }
            let records = 1 + self.random.below(2);
            return Symbol::Batch(Batch { records, transactional: false, sequence: None });
        }
        let embedded = match found[..] {
            [Meaning::Subscription, ..] => Embedded::Subscription,
            [Meaning::Assignment, ..] => Embedded::Assignment,
            _ => return Symbol::Bytes(vec![1, 2, 3]),
        };
        let version = i16::try_from(self.random.below(4)).expect("it is small");
        let blob =
            embedded_body(embedded, version, &mut Blob(self)).expect("the grammar has the versions to 3");
        Symbol::Bytes(blob)
    }
}

impl Filler for Generator<'_> {
    fn text(&mut self, path: &str) -> String {
        let fits = |symbol: &Symbol| matches!(symbol, Symbol::Text(_) | Symbol::Said(..));
        let symbol = self.pinned(path, fits).unwrap_or_else(|| self.new_text(path));
        self.symbols.push(symbol);
        String::new()
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        let fits = |symbol: &Symbol| matches!(symbol, Symbol::Uuid(_) | Symbol::IdOf(_) | Symbol::Said(..));
        let symbol = self.pinned(path, fits).unwrap_or_else(|| self.new_uuid(path));
        self.symbols.push(symbol);
        Uuid::nil()
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        let fits = |symbol: &Symbol| matches!(symbol, Symbol::Bytes(_) | Symbol::Batch(_));
        let symbol = self.pinned(path, fits).unwrap_or_else(|| self.new_bytes(path));
        self.symbols.push(symbol);
        Vec::new()
    }

    fn int(&mut self, path: &str) -> i64 {
        let fits = |symbol: &Symbol| matches!(symbol, Symbol::Int(_) | Symbol::Said(..));
        let symbol = self.pinned(path, fits).unwrap_or_else(|| match last(path) {
            "KeyType" => Symbol::Int(self.key_type()),
            // Of a partition that is not there a broker does not tell before its patience with itself is over.
            "Partitions" if self.key == ApiKey::DescribeShareGroupOffsets => Symbol::Int(0),
            _ => Symbol::Int(values::int(self.random, path)),
        });
        if let ("ResourceType", Symbol::Int(value)) = (last(path), &symbol) {
            self.last_resource = *value;
        }
        self.symbols.push(symbol);
        0
    }

    fn count(&mut self, path: &str) -> usize {
        let pinned = self.pinned(path, |symbol| matches!(symbol, Symbol::Count(_)));
        let count = match pinned {
            Some(Symbol::Count(count)) => count,
            _ => match last(path) {
                "Assignments" if self.key == ApiKey::CreateTopics => self.random.pick(&[0, 0, 0, 0, 1, 2]),
                "Assignments" if self.key == ApiKey::CreatePartitions => self.random.pick(&[0, 0, 0, 1]),
                // Twice the same name, and a broker does not answer at all.
                "Protocols" => self.random.pick(&[1, 1, 1, 0]),
                "ForgottenTopicsData" => self.random.pick(&[0, 0, 0, 1]),
                "BrokerIds" => 1,
                _ => self.random.pick(&[1, 1, 1, 1, 1, 2, 2, 2, 3, 0]),
            },
        };
        self.symbols.push(Symbol::Count(count));
        count
    }

    fn present(&mut self, path: &str) -> bool {
        let pinned = self.pinned(path, |symbol| matches!(symbol, Symbol::Present(_)));
        let present = match pinned {
            Some(Symbol::Present(present)) => present,
            _ => {
                let chance = match last(path) {
                    "TransactionalId" if self.key == ApiKey::Produce => 20,
                    "GroupInstanceId" | "InstanceId" => 15,
                    "ClusterId" | "ReplicaState" | "ReplicaDirectoryId" | "HighWatermark" => 5,
                    // Upon null a broker does not answer at all.
                    "Records" | "Users" => 100,
                    _ => 80,
                };
                self.random.percent(chance)
            }
        };
        self.symbols.push(Symbol::Present(present));
        present
    }
}

/// Fills what stands inside a group member's bytes.
struct Blob<'b, 'g>(&'b mut Generator<'g>);

impl Filler for Blob<'_, '_> {
    fn text(&mut self, path: &str) -> String {
        if path == "RackId" {
            return "rack-1".to_owned();
        }
        // What can be no topic the gateway takes out of a member's bytes: no broker ever does anything with it.
        let standing = match self.0.standing(Kind::Topic) {
            Standing::Illegal => Standing::GrantedAbsent,
            standing => standing,
        };
        self.0.names.pick(self.0.random, Kind::Topic, standing)
    }
    fn uuid(&mut self, _path: &str) -> Uuid {
        Uuid::nil()
    }
    fn bytes(&mut self, _path: &str) -> Vec<u8> {
        b"user".to_vec()
    }
    fn int(&mut self, _path: &str) -> i64 {
        0
    }
}

/// One of the two worlds, as far as requests are spelled for it.
pub struct Spelling<'s> {
    pub ids: &'s HashMap<String, Uuid>,
    pub said: &'s HashMap<&'static str, LeafValue>,
}

/// The body of a request as one world spells it.
pub fn spelled(key: ApiKey, version: i16, symbols: &[Symbol], spelling: &Spelling<'_>) -> Vec<u8> {
    let mut speller = Speller { symbols: symbols.iter(), spelling };
    body(key as i16, Direction::Request, version, &mut speller).expect("it was made from the same grammar")
}

struct Speller<'s> {
    symbols: std::slice::Iter<'s, Symbol>,
    spelling: &'s Spelling<'s>,
}

impl<'s> Speller<'s> {
    fn next(&mut self) -> &'s Symbol {
        match self.symbols.next() {
            Some(Symbol::Said(..)) | None => unreachable!("`resolved` takes those"),
            Some(symbol) => symbol,
        }
    }

    /// The next symbol, and what the world has said of it.
    fn resolved(&mut self) -> (Option<&'s LeafValue>, &'s Symbol) {
        match self.symbols.next().expect("there is a symbol for each question") {
            Symbol::Said(word, otherwise) => (self.spelling.said.get(word), &**otherwise),
            symbol => (None, symbol),
        }
    }
}

impl Filler for Speller<'_> {
    fn text(&mut self, path: &str) -> String {
        match self.resolved() {
            (Some(LeafValue::Text(text)), _) | (_, Symbol::Text(text)) => text.clone(),
            other => unreachable!("{path} is a text, and not {other:?}"),
        }
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        match self.resolved() {
            (Some(LeafValue::Uuid(uuid)), _) | (_, Symbol::Uuid(uuid)) => *uuid,
            // A name that has no id yet is spelled as an id that nobody has.
            (_, Symbol::IdOf(name)) => self.spelling.ids.get(name).copied().unwrap_or(Uuid::from_u128(4711)),
            other => unreachable!("{path} is an id, and not {other:?}"),
        }
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        match self.next() {
            Symbol::Bytes(bytes) => bytes.clone(),
            Symbol::Batch(batch) => batch.bytes(self.spelling.said),
            other => unreachable!("{path} is bytes, and not {other:?}"),
        }
    }

    fn int(&mut self, path: &str) -> i64 {
        match self.resolved() {
            (Some(LeafValue::Int(value)), _) | (_, Symbol::Int(value)) => *value,
            other => unreachable!("{path} is a number, and not {other:?}"),
        }
    }

    fn count(&mut self, path: &str) -> usize {
        match self.next() {
            Symbol::Count(count) => *count,
            other => unreachable!("{path} has a count, and not {other:?}"),
        }
    }

    fn present(&mut self, path: &str) -> bool {
        match self.next() {
            Symbol::Present(present) => *present,
            other => unreachable!("{path} is there or not, and not {other:?}"),
        }
    }
}

impl Batch {
    pub fn plain(records: usize) -> Self {
        Self { records, transactional: false, sequence: None }
    }

    pub fn bytes(&self, said: &HashMap<&'static str, LeafValue>) -> Vec<u8> {
        let number = |word| match said.get(word) {
            Some(LeafValue::Int(value)) => Some(*value),
            _ => None,
        };
        let (mut producer_id, mut producer_epoch) = (NO_PRODUCER_ID, NO_PRODUCER_EPOCH);
        if self.sequence.is_some() {
            producer_id = number("producer id").unwrap_or(4711);
            let epoch = number("producer epoch").unwrap_or(0);
            producer_epoch = i16::try_from(epoch).expect("an epoch is a short number");
        }
        let records: Vec<Record> = (0..self.records)
            .map(|place| {
                let place_short = i32::try_from(place).expect("a batch is short");
                Record {
                    transactional: self.transactional,
                    control: false,
                    delete_horizon: false,
                    partition_leader_epoch: -1,
                    producer_id,
                    producer_epoch,
                    timestamp_type: TimestampType::Creation,
                    offset: i64::from(place_short),
                    // The codec counts on in both cases, and makes two batches of records that do not.
                    sequence: self.sequence.unwrap_or(NO_SEQUENCE) + place_short,
                    timestamp: FIRST_TIMESTAMP + i64::from(place_short),
                    key: Some("key".into()),
                    value: Some(format!("value {place}").into()),
                    headers: Default::default(),
                }
            })
            .collect();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        let mut bytes = BytesMut::new();
        RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("records can be encoded");
        bytes.to_vec()
    }
}

/// When the records of these rounds were made, as they say themselves.
const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;
