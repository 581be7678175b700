//! Fetch sessions (KIP-227): which partitions each stands for, and which of them the broker has.
//!
//! A broker keeps a session's partitions, so a client names only what has changed. What is refused is kept
//! here instead and never there: it is answered for each time, as a broker repeats its errors. Sessions are
//! known by a number that all clients of a broker share; only a connection's own are let through.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::Refusal;
use crate::cluster::Gate;
use crate::names::{Kind, Virtual};
use crate::policy::{Operation, Rights};

/// The fetch sessions of one connection, oldest first.
///
/// Limits: `SESSIONS_MAX` sessions, the oldest making room; `PARTITIONS_MAX` partitions in all of them.
#[derive(Debug, Default)]
pub struct Sessions {
    kept: Vec<Session>,
    opened: u64,
}

/// A session, from the request that opens it on, before it has the broker's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// What a client believes to be in one session.
#[derive(Debug)]
pub struct Session {
    ticket: Ticket,
    state: State,
    /// Whether its topics go by their ids.
    by_id: bool,
    /// By which the topics were sorted into granted and refused.
    rights: Rights,
    /// The broker has these.
    granted: HashMap<Key, Kept>,
    /// The broker knows nothing of these.
    refused: BTreeMap<Key, (Kept, Refusal)>,
    partitions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The broker is still to say its number.
    Opening,
    Open(i32),
    /// The broker did not take a request of it: the client may close it, and nothing else.
    Broken(i32),
}

/// One topic of a session, as the client says it, and its partitions as the client sent them last.
#[derive(Debug, Default)]
struct Kept {
    name: TopicName,
    id: Uuid,
    partitions: BTreeMap<i32, FetchPartition>,
    /// The request at hand gives it to the broker again.
    is_regained: bool,
}

/// The bytes of the client's name for a topic, or of its id.
type Key = Box<[u8]>;

impl Sessions {
    /// The session of this number, if this connection has it and may go on with it.
    pub fn find(&mut self, id: i32) -> Option<&mut Session> {
        self.kept.iter_mut().find(|session| session.state == State::Open(id))
    }

    /// Forgets the session of this number; whether this connection had it.
    pub fn close(&mut self, id: i32) -> bool {
        let before = self.kept.len();
        self.kept.retain(|session| ![State::Open(id), State::Broken(id)].contains(&session.state));
        self.kept.len() < before
    }

    /// Keeps a session that a request opens, if there is room for its partitions.
    pub fn open(&mut self, mut session: Session) -> Option<Ticket> {
        if self.partitions() + session.partitions > PARTITIONS_MAX {
            return None;
        }
        if self.kept.len() == SESSIONS_MAX {
            self.kept.remove(0);
        }
        self.opened += 1;
        session.ticket = Ticket(self.opened);
        self.kept.push(session);
        Some(Ticket(self.opened))
    }

    /// Whether no more is kept than may be.
    pub fn has_room(&self) -> bool {
        self.partitions() <= PARTITIONS_MAX
    }

    fn partitions(&self) -> usize {
        self.kept.iter().map(|session| session.partitions).sum()
    }

    /// Takes the broker's word for what has become of a session.
    pub fn answered(&mut self, ticket: Ticket, response: &FetchResponse) {
        let Some(at) = self.kept.iter().position(|session| session.ticket == ticket) else { return };
        let no_such = ResponseError::FetchSessionIdNotFound.code();
        let next = match (self.kept[at].state, response.error_code, response.session_id) {
            (State::Opening, 0, id @ 1..) => Some(State::Open(id)),
            (State::Open(id), 0, said) if said == id => Some(State::Open(id)),
            (State::Broken(id), ..) => Some(State::Broken(id)),
            (State::Open(id), error, _) if error != 0 && error != no_such => Some(State::Broken(id)),
            _ => None,
        };
        match next {
            Some(state) => self.kept[at].state = state,
            None => drop(self.kept.remove(at)),
        }
    }

    /// The ids in the session of this number that nobody had when they were asked about.
    pub fn unknown_ids(&self, id: i32, tell: &mut dyn FnMut(Uuid)) {
        let sessions = self.kept.iter().filter(|session| session.state == State::Open(id));
        let refused = sessions.flat_map(|session| session.refused.values());
        refused.filter(|(_, why)| *why == Refusal::UnknownTopicId).for_each(|(kept, _)| tell(kept.id));
    }
}

impl Session {
    pub fn new(by_id: bool, rights: Rights) -> Self {
        Self {
            ticket: Ticket(0),
            state: State::Opening,
            by_id,
            rights,
            granted: HashMap::new(),
            refused: BTreeMap::new(),
            partitions: 0,
        }
    }

    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    pub fn goes_by_id(&self) -> bool {
        self.by_id
    }

    /// The client may close it, and nothing else.
    pub fn break_off(&mut self) {
        if let State::Open(id) = self.state {
            self.state = State::Broken(id);
        }
    }

    /// Whether the session goes on to call each topic by one name, of which the answer is told; one that a
    /// request calls by another as well is to be fetched without a session.
    pub fn keeps_names(&self, request: &FetchRequest, gate: &Gate<'_>) -> bool {
        if !gate.cluster().namespace.has_aliases() {
            return true;
        }
        let kept = self.granted.values().map(|kept| (&kept.name, &kept.id));
        let added = request.topics.iter().map(|topic| (&topic.topic, &topic.topic_id));
        kept.chain(added).all(|(name, id)| {
            let said = match self.by_id {
                true => gate.topic_behind(*id).map(Virtual::into_inner),
                false => Some(name.0.clone()),
            };
            let said = said.filter(|said| gate.passes(Operation::Read, Kind::Topic, said));
            said.is_none_or(|said| gate.speaks(&said))
        })
    }

    /// Takes in what a request adds to the session, changes in it and takes out of it. What is left in
    /// the request is for the broker, in its names.
    pub fn take_in(&mut self, request: &mut FetchRequest, gate: &Gate<'_>) {
        let mut lost = Vec::new();
        let rights_changed = !self.rights.is_same(gate.rights());
        // What was refused is asked about before it is joined by what is refused from now on.
        let has_regained = self.give_back(gate, rights_changed);
        if rights_changed {
            self.rights = gate.rights().clone();
            self.take_away(gate, &mut lost);
        }
        request.topics.retain_mut(|topic| self.keep(topic, gate));
        request.forgotten_topics_data.retain_mut(|topic| self.forget(topic, gate));
        request.forgotten_topics_data.extend(lost);
        if has_regained {
            // All of each, with what this request says of it.
            for kept in self.granted.values_mut().filter(|kept| kept.is_regained) {
                kept.is_regained = false;
                let mut topic = kept.said();
                if rename(self.by_id, &mut topic.topic, &mut topic.topic_id, gate) {
                    request.topics.push(topic);
                }
            }
        }
    }

    /// The topics that are answered for here.
    pub fn refused(&self) -> Vec<(FetchTopic, Refusal)> {
        self.refused.values().map(|(kept, why)| (kept.said(), *why)).collect()
    }

    /// Takes from the broker what the client may not read any more.
    fn take_away(&mut self, gate: &Gate<'_>, lost: &mut Vec<ForgottenTopic>) {
        let by_id = self.by_id;
        self.granted.retain(|key, kept| {
            let Err(why) = verdict(by_id, &kept.name, kept.id, gate) else { return true };
            let (mut name, mut id) = (kept.name.clone(), kept.id);
            if rename(by_id, &mut name, &mut id, gate) {
                let partitions = kept.partitions.keys().copied().collect();
                let topic = ForgottenTopic::default().with_topic(name).with_topic_id(id);
                lost.push(topic.with_partitions(partitions));
            }
            self.refused.insert(key.clone(), (std::mem::take(kept), why));
            false
        });
    }

    /// Gives to the broker what the client may read by now: its rights have changed, or an id has become
    /// known. True when there is any.
    fn give_back(&mut self, gate: &Gate<'_>, rights_changed: bool) -> bool {
        let by_id = self.by_id;
        let is_due = |(kept, why): &(Kept, Refusal)| match why {
            // A broker says so of it each time; that it asks again is not news for the audit log.
            Refusal::UnknownTopicId => gate.topic_behind(kept.id).is_some(),
            _ => rights_changed,
        };
        let due = self.refused.iter().filter(|(_, refused)| is_due(refused));
        let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
        let mut has_regained = false;
        for key in due {
            let Some((mut kept, _)) = self.refused.remove(&key) else { continue };
            match verdict(by_id, &kept.name, kept.id, gate) {
                Ok(()) => {
                    kept.is_regained = true;
                    has_regained = true;
                    self.granted.insert(key, kept);
                }
                Err(why) => drop(self.refused.insert(key, (kept, why))),
            }
        }
        has_regained
    }

    /// Keeps what is said of a topic's partitions; true when it is for the broker, and renamed.
    fn keep(&mut self, topic: &mut FetchTopic, gate: &Gate<'_>) -> bool {
        if topic.partitions.is_empty() {
            return false; // a broker reads nothing in it, and says nothing of it
        }
        let key = key(self.by_id, &topic.topic, &topic.topic_id);
        if let Some(kept) = self.granted.get_mut(key) {
            self.partitions += kept.take_in(&topic.partitions);
            return !kept.is_regained && rename(self.by_id, &mut topic.topic, &mut topic.topic_id, gate);
        }
        if let Some((kept, _)) = self.refused.get_mut(key) {
            self.partitions += kept.take_in(&topic.partitions);
            return false;
        }
        let key = Key::from(key);
        let mut kept = Kept::of(topic);
        self.partitions += kept.take_in(&topic.partitions);
        match verdict(self.by_id, &topic.topic, topic.topic_id, gate) {
            Ok(()) => {
                self.granted.insert(key, kept);
                rename(self.by_id, &mut topic.topic, &mut topic.topic_id, gate)
            }
            Err(why) => {
                self.refused.insert(key, (kept, why));
                false
            }
        }
    }

    /// Forgets a topic's partitions; true when the broker is to forget them too, by its name.
    fn forget(&mut self, topic: &mut ForgottenTopic, gate: &Gate<'_>) -> bool {
        let key = key(self.by_id, &topic.topic, &topic.topic_id);
        let (kept, is_granted) = match (self.granted.get_mut(key), self.refused.get_mut(key)) {
            (Some(kept), _) => (kept, true),
            (None, Some((kept, _))) => (kept, false),
            (None, None) => return false,
        };
        let before = kept.partitions.len();
        topic.partitions.iter().for_each(|index| drop(kept.partitions.remove(index)));
        self.partitions -= before - kept.partitions.len();
        let passes = is_granted && !kept.is_regained;
        if kept.partitions.is_empty() {
            self.granted.remove(key);
            self.refused.remove(key);
        }
        passes && rename(self.by_id, &mut topic.topic, &mut topic.topic_id, gate)
    }
}

impl Kept {
    /// A topic without partitions yet. Owns its name: the client's is a slice of a whole frame.
    fn of(topic: &FetchTopic) -> Self {
        let name = TopicName(StrBytes::from_string(topic.topic.0.to_string()));
        Self { name, id: topic.topic_id, ..Self::default() }
    }

    /// How many partitions are new.
    fn take_in(&mut self, partitions: &[FetchPartition]) -> usize {
        let before = self.partitions.len();
        self.partitions.extend(partitions.iter().map(|partition| (partition.partition, partition.clone())));
        self.partitions.len() - before
    }

    /// As the client says it.
    fn said(&self) -> FetchTopic {
        let partitions = self.partitions.values().cloned().collect();
        let topic = FetchTopic::default().with_topic(self.name.clone()).with_topic_id(self.id);
        topic.with_partitions(partitions)
    }
}

fn key<'m>(by_id: bool, name: &'m TopicName, id: &'m Uuid) -> &'m [u8] {
    if by_id { id.as_bytes() } else { name.0.as_bytes() }
}

/// Whether the client may read a topic, with nothing renamed.
fn verdict(by_id: bool, name: &TopicName, mut id: Uuid, gate: &Gate<'_>) -> Result<(), Refusal> {
    let asked = match by_id {
        true => gate.topic_id(Operation::Read, &mut id),
        false => gate.one(Operation::Read, &mut name.clone()),
    };
    asked.map_err(Refusal::from)
}

/// Writes what the backend has in place of the client's: the name, or the id.
fn rename(by_id: bool, name: &mut TopicName, id: &mut Uuid, gate: &Gate<'_>) -> bool {
    let renamed = match by_id {
        true => gate.rename_id(Operation::Read, id),
        false => gate.rename(Operation::Read, name.into()),
    };
    renamed.is_ok()
}

/// A client has one for each broker, and a connection leads to one broker.
pub const SESSIONS_MAX: usize = 100;

/// Some ten megabytes, and more than a broker leads.
pub const PARTITIONS_MAX: usize = 100_000;
