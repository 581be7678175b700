//! Which topic an id stands for (KIP-516).
//!
//! An id belongs to one topic for ever, so what a broker has told stays true: nothing here expires. A
//! topic that is deleted and made again has another id. Shared by all connections to one Kafka.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{PoisonError, RwLock};

use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::names::Backend;

/// The topics of one Kafka cluster by their ids, as far as its brokers have told.
///
/// Limits: `IDS_MAX` ids; beyond, the ones learned first are forgotten, and asked for again when needed.
pub struct TopicIds {
    shards: [RwLock<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    names: HashMap<Uuid, Box<str>>,
    /// In the order in which they were learned.
    order: VecDeque<Uuid>,
}

impl TopicIds {
    /// Keeps what a broker says of an id; the nil id is nobody's.
    pub fn learn(&self, id: Uuid, name: &Backend<StrBytes>) {
        if id.is_nil() || name.as_ref().is_empty() {
            return;
        }
        let shard = self.shard(id);
        if shard.read().unwrap_or_else(PoisonError::into_inner).names.contains_key(&id) {
            return;
        }
        shard.write().unwrap_or_else(PoisonError::into_inner).keep(id, name.as_ref());
    }

    /// The topic that an id stands for; `None` when no broker has told yet.
    pub fn name(&self, id: Uuid) -> Option<Backend<StrBytes>> {
        let shard = self.shard(id).read().unwrap_or_else(PoisonError::into_inner);
        let name = shard.names.get(&id)?;
        Some(Backend::said_by_broker(StrBytes::from_string(name.to_string())))
    }

    /// Brokers make ids at random, so any byte of one spreads them.
    fn shard(&self, id: Uuid) -> &RwLock<Shard> {
        &self.shards[usize::from(id.as_bytes()[15]) % SHARDS]
    }
}

impl Shard {
    fn keep(&mut self, id: Uuid, name: &str) {
        if self.names.insert(id, name.into()).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > IDS_MAX / SHARDS {
            if let Some(oldest) = self.order.pop_front() {
                self.names.remove(&oldest);
            }
        }
    }
}

impl Default for TopicIds {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl fmt::Debug for TopicIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TopicIds")
    }
}

/// Few enough to be small, and enough that workers seldom meet.
const SHARDS: usize = 16;

/// Some tens of megabytes at most, and more topics than a cluster has.
const IDS_MAX: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Backend<StrBytes> {
        Backend::said_by_broker(StrBytes::from_string(name.to_owned()))
    }

    #[test]
    fn an_id_stands_for_the_topic_that_a_broker_named() {
        let ids = TopicIds::default();
        ids.learn(Uuid::from_u128(7), &name("my-orders"));
        assert_eq!(ids.name(Uuid::from_u128(7)), Some(name("my-orders")));
        assert_eq!(ids.name(Uuid::from_u128(8)), None);
    }

    #[test]
    fn nobody_has_the_nil_id_and_no_topic_has_no_name() {
        let ids = TopicIds::default();
        ids.learn(Uuid::nil(), &name("my-orders"));
        ids.learn(Uuid::from_u128(7), &name(""));
        assert_eq!((ids.name(Uuid::nil()), ids.name(Uuid::from_u128(7))), (None, None));
    }

    #[test]
    fn an_id_never_changes_its_topic() {
        let ids = TopicIds::default();
        ids.learn(Uuid::from_u128(7), &name("my-orders"));
        ids.learn(Uuid::from_u128(7), &name("their-orders"));
        assert_eq!(ids.name(Uuid::from_u128(7)), Some(name("my-orders")));
    }

    #[test]
    fn the_ids_learned_first_are_forgotten_first() {
        let ids = TopicIds::default();
        let in_one_shard = |n: usize| Uuid::from_u128((n as u128 + 1) * 16);
        for n in 0..=IDS_MAX / SHARDS {
            ids.learn(in_one_shard(n), &name("my-orders"));
        }
        assert_eq!(ids.name(in_one_shard(0)), None);
        assert!(ids.name(in_one_shard(1)).is_some() && ids.name(in_one_shard(IDS_MAX / SHARDS)).is_some());
    }
}
