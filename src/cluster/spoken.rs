//! By which of its names a client calls a topic, and the ids that go with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::VirtualCluster;
use super::ids::AliasId;
use crate::names::{Backend, Kind, Virtual};

/// What a client called the topics that have aliases, each by the name that it said last.
///
/// Limits: no more topics than the file gives aliases.
#[derive(Clone, Debug, Default)]
pub struct Spoken(Option<Arc<Names>>);

/// The name that was said, by the topic's own.
type Names = BTreeMap<Box<str>, Box<str>>;

impl Spoken {
    /// The name by which a topic was called.
    pub fn name(&self, topic: &str) -> Option<&str> {
        self.0.as_ref()?.get(topic).map(|said| &**said)
    }

    /// Keeps the name by which a topic was called; the first one stays.
    pub fn keep(&mut self, topic: &str, said: &str) {
        let names = Arc::make_mut(self.0.get_or_insert_default());
        names.entry(topic.into()).or_insert_with(|| said.into());
    }

    /// Takes in what was said since.
    pub fn update(&mut self, newer: &Spoken) {
        let Some(newer) = &newer.0 else { return };
        let names = Arc::make_mut(self.0.get_or_insert_default());
        names.extend(newer.iter().map(|(topic, said)| (topic.clone(), said.clone())));
    }
}

impl VirtualCluster {
    /// Keeps what a broker says of a topic's id, whosever it is, and makes the ids of its aliases.
    pub fn learn(&self, id: Uuid, name: &Backend<StrBytes>) {
        let ids = &self.backend.topic_ids;
        ids.learn(id, name);
        if !self.namespace.has_aliases() || id.is_nil() {
            return;
        }
        if let Some(topic) = self.namespace.to_virtual(Kind::Topic, name) {
            self.namespace.aliases_of(topic.as_ref()).for_each(|alias| _ = ids.learn_alias(id, alias));
        }
    }

    /// The broker's id and the client's name of the topic that the client gives an id of; `None` where it
    /// is not in this virtual cluster.
    pub(super) fn topic_of(&self, id: Uuid) -> Option<(Uuid, Virtual<StrBytes>)> {
        if let Some(AliasId { topic, alias }) = self.alias_of(id) {
            let topic_name = self.backend.topic_ids.name(topic)?;
            let name = Virtual::said_by_client(StrBytes::from_string(alias.into_string()));
            self.namespace.behind_alias(name.as_ref())?;
            let is_its = self.namespace.to_backend(Kind::Topic, &name)? == topic_name;
            return is_its.then_some((topic, name));
        }
        let name = self.backend.topic_ids.name(id)?;
        Some((id, self.namespace.to_virtual(Kind::Topic, &name)?))
    }

    /// Whether an id is known to stand for a topic of this virtual cluster.
    pub fn has_id(&self, id: Uuid) -> bool {
        self.topic_of(id).is_some()
    }

    pub(super) fn alias_of(&self, id: Uuid) -> Option<AliasId> {
        if self.namespace.has_aliases() { self.backend.topic_ids.alias(id) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_until_the_next_request_says_another() {
        let (mut spoken, mut newer) = (Spoken::default(), Spoken::default());
        newer.keep("orders-v2", "orders");
        newer.keep("orders-v2", "orders-v2");
        spoken.update(&newer);
        assert_eq!(spoken.name("orders-v2"), Some("orders"));
        let (earlier, mut newer) = (spoken.clone(), Spoken::default());
        newer.keep("orders-v2", "orders-v2");
        spoken.update(&newer);
        assert_eq!(
            (earlier.name("orders-v2"), spoken.name("orders-v2")),
            (Some("orders"), Some("orders-v2"))
        );
        assert_eq!(spoken.name("orders"), None);
    }
}
