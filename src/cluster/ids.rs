//! Which topic an id stands for (KIP-516).
//!
//! An id belongs to one topic for ever, so what a broker has told stays true: nothing here expires. A
//! topic that is deleted and made again has another id. Shared by all connections to one Kafka.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use kafka_protocol::protocol::StrBytes;
use uuid::{Builder, Uuid};

use crate::names::Backend;

/// The topics of one Kafka cluster by their ids, as far as its brokers have told.
///
/// Limits: `IDS_MAX` ids; beyond, the ones learned first are forgotten, and asked for again when needed.
pub struct TopicIds {
    shards: [RwLock<Shard>; SHARDS],
    /// The ids that clients are shown of topics under their aliases.
    aliases: RwLock<HashMap<Uuid, AliasId>>,
}

/// What the id of an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasId {
    /// The broker's id of the topic.
    pub topic: Uuid,
    pub alias: Box<str>,
}

impl AliasId {
    /// The id that an alias has beside its topic's own, by which some clients die: the same on every
    /// instance of the gateway.
    ///
    /// Source: RFC 9562, version 5, in the namespace of the topic's id.
    pub fn id(&self) -> Uuid {
        let mut hashed = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        hashed.update(self.topic.as_bytes());
        hashed.update(self.alias.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hashed.finish().as_ref()[..16]);
        Builder::from_sha1_bytes(bytes).into_uuid()
    }
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

    /// Keeps the id of an alias; the id is handed back.
    ///
    /// Limits: `ALIAS_IDS_MAX`; beyond, all are forgotten, and made again as their topics are seen.
    pub fn learn_alias(&self, topic: Uuid, alias: &str) -> Uuid {
        let known = AliasId { topic, alias: alias.into() };
        let id = known.id();
        if self.alias(id).is_none() {
            let mut aliases = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
            if aliases.len() >= ALIAS_IDS_MAX {
                aliases.clear();
            }
            aliases.insert(id, known);
        }
        id
    }

    /// What the id of an alias stands for; whose alias it is, is asked elsewhere.
    pub fn alias(&self, id: Uuid) -> Option<AliasId> {
        self.aliases.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
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
        Self { shards: std::array::from_fn(|_| RwLock::default()), aliases: RwLock::default() }
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

/// More aliases than a file has, and each topic is made anew now and then.
const ALIAS_IDS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_has_an_id_that_every_instance_computes_alike() {
        // RFC 9562, appendix A.4: www.example.com among domain names.
        let domains = Uuid::from_u128(0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8);
        let ids = TopicIds::default();
        let id = ids.learn_alias(domains, "www.example.com");
        assert_eq!(id.to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
        let expected = AliasId { topic: domains, alias: "www.example.com".into() };
        assert_eq!((ids.alias(id), ids.alias(domains)), (Some(expected), None));
    }

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
