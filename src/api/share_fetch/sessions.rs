//! What a client keeps in its share sessions on one connection, and what the broker was told of it.
//!
//! A broker keeps a session for each member, bound to the connection, and speaks in every answer of each
//! partition in it that may not be read. What is refused here is never told to the broker, so what a
//! client believes to be in its session stands here. Source: KIP-932.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

/// The share sessions of one connection.
///
/// Limits: `SESSIONS_MAX` sessions, and `PARTITIONS_MAX` partitions in all of them.
#[derive(Debug, Default)]
pub struct ShareSessions {
    sessions: HashMap<SessionKey, ShareSession>,
}

/// Whose a session is: the group and the member, as the client calls them.
pub type SessionKey = (String, String);

/// What one member reads.
#[derive(Debug, Default)]
pub struct ShareSession {
    topics: BTreeMap<Uuid, Topic>,
}

#[derive(Debug, Default)]
struct Topic {
    partitions: BTreeSet<i32>,
    /// Whether the broker's session has it.
    told: bool,
}

/// Partitions by their topics.
pub type Partitions = Vec<(Uuid, Vec<i32>)>;

impl ShareSessions {
    /// Begins a session anew; `None` when there are too many.
    pub fn open(&mut self, key: SessionKey) -> Option<&mut ShareSession> {
        self.close(&key);
        self.resume(key)
    }

    /// A session as it stands; whether there is one is the broker's to say. `None` when there are too many.
    pub fn resume(&mut self, key: SessionKey) -> Option<&mut ShareSession> {
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&key) {
            return None;
        }
        Some(self.sessions.entry(key).or_default())
    }

    pub fn close(&mut self, key: &SessionKey) {
        self.sessions.remove(key);
    }

    /// The topics in a session, if there is one.
    pub fn topics(&self, key: &SessionKey) -> impl Iterator<Item = Uuid> {
        self.sessions.get(key).into_iter().flat_map(|session| session.topics.keys().copied())
    }

    /// Whether they hold more than a connection may have kept here.
    pub fn are_too_large(&self) -> bool {
        let topics = self.sessions.values().flat_map(|session| session.topics.values());
        // A topic that is named without partitions takes room as well.
        topics.map(|topic| topic.partitions.len().max(1)).sum::<usize>() > PARTITIONS_MAX
    }
}

impl ShareSession {
    pub fn add(&mut self, topic: Uuid, partitions: impl Iterator<Item = i32>) {
        self.topics.entry(topic).or_default().partitions.extend(partitions);
    }

    /// Takes partitions out; whether the broker's session may have them.
    pub fn forget(&mut self, topic: Uuid, partitions: &[i32]) -> bool {
        let Some(entry) = self.topics.get_mut(&topic) else { return false };
        let told = entry.told;
        partitions.iter().for_each(|partition| {
            entry.partitions.remove(partition);
        });
        if entry.partitions.is_empty() {
            self.topics.remove(&topic);
        }
        told
    }

    /// Notes what the broker's session will have once the partitions handed back were added to it and
    /// taken from it: all that is granted, and nothing else.
    pub fn settle(&mut self, is_granted: impl Fn(Uuid) -> bool) -> (Partitions, Partitions) {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let mut topics: Vec<_> = self.topics.iter_mut().collect();
        // Of two names of a topic, the one that the broker was told of stays.
        topics.sort_by_key(|(_, topic)| !topic.told);
        for (id, topic) in topics {
            let granted = is_granted(*id);
            let partitions = || (*id, topic.partitions.iter().copied().collect());
            match (granted, topic.told) {
                (true, false) => added.push(partitions()),
                (false, true) => removed.push(partitions()),
                _ => {}
            }
            topic.told = granted;
        }
        (added, removed)
    }

    /// What the broker's session does not have.
    pub fn untold(&self) -> impl Iterator<Item = (Uuid, &BTreeSet<i32>)> {
        self.topics.iter().filter(|(_, topic)| !topic.told).map(|(id, topic)| (*id, &topic.partitions))
    }
}

/// A share consumer has one session on a connection.
const SESSIONS_MAX: usize = 64;

/// What a member reads from one broker, with room to spare; a quarter of a megabyte.
const PARTITIONS_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn key(member: usize) -> SessionKey {
        ("readers".to_owned(), member.to_string())
    }

    fn untold(session: &ShareSession) -> Vec<(u128, Vec<i32>)> {
        session.untold().map(|(id, of)| (id.as_u128(), of.iter().copied().collect())).collect()
    }

    #[test]
    fn the_broker_is_told_of_what_is_granted_once_and_again_when_that_changes() {
        let mut session = ShareSession::default();
        session.add(id(1), 0..2);
        session.add(id(2), 0..1);
        let granted = |these: &'static [u128]| move |id: Uuid| these.contains(&id.as_u128());
        assert_eq!(session.settle(granted(&[1])), (vec![(id(1), vec![0, 1])], vec![]));
        assert_eq!(untold(&session), [(2, vec![0])]);
        assert_eq!(session.settle(granted(&[1])), (vec![], vec![]));
        assert_eq!(session.settle(granted(&[2])), (vec![(id(2), vec![0])], vec![(id(1), vec![0, 1])]));
        assert_eq!(untold(&session), [(1, vec![0, 1])]);
    }

    #[test]
    fn what_is_forgotten_is_the_brokers_to_forget_where_it_was_told() {
        let mut session = ShareSession::default();
        session.add(id(1), 0..2);
        session.add(id(2), 0..2);
        session.settle(|id| id.as_u128() == 1);
        assert!(session.forget(id(1), &[0]));
        assert!(!session.forget(id(2), &[1, 7]));
        assert!(!session.forget(id(3), &[0]));
        assert_eq!(untold(&session), [(2, vec![0])]);
        assert!(!session.forget(id(2), &[0]));
        assert_eq!(untold(&session), []);
    }

    #[test]
    fn a_session_begins_anew_and_ends() {
        let mut sessions = ShareSessions::default();
        sessions.open(key(1)).unwrap().add(id(1), 0..1);
        assert_eq!(untold(sessions.resume(key(1)).unwrap()), [(1, vec![0])]);
        sessions.open(key(1)).unwrap();
        assert_eq!(untold(sessions.resume(key(1)).unwrap()), []);
        sessions.resume(key(1)).unwrap().add(id(1), 0..1);
        sessions.close(&key(1));
        assert_eq!(untold(sessions.resume(key(1)).unwrap()), []);
    }

    #[test]
    fn a_connection_makes_only_so_much_grow() {
        let mut sessions = ShareSessions::default();
        for member in 0..SESSIONS_MAX {
            assert!(sessions.open(key(member)).is_some());
        }
        assert!(sessions.open(key(SESSIONS_MAX)).is_none());
        assert!(sessions.resume(key(SESSIONS_MAX)).is_none());
        assert!(sessions.open(key(0)).is_some());
        sessions.resume(key(1)).unwrap().add(id(1), 0..PARTITIONS_MAX as i32);
        assert!(!sessions.are_too_large());
        sessions.resume(key(2)).unwrap().add(id(1), 0..0);
        assert!(sessions.are_too_large());
    }
}
