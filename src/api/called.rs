//! A topic under each of its names: what Metadata says of topics that have aliases.

use std::collections::{HashMap, HashSet};

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::cluster::{Gate, Lens};

/// By which names a request asks for topics, where some have several.
#[derive(Default)]
pub struct Called {
    /// All topics are asked for, and so all names.
    pub all: bool,
    by_name: HashMap<StrBytes, Vec<StrBytes>>,
    by_id: HashMap<Uuid, Vec<StrBytes>>,
}

impl Called {
    /// Keeps the client's name beside the broker's.
    pub fn note(&mut self, topic: &TopicName, said: StrBytes) {
        self.by_name.entry(topic.0.clone()).or_default().push(said);
    }

    /// Keeps the name behind the client's id, and writes the broker's id in its place.
    pub fn note_id(&mut self, id: &mut Uuid, gate: &Gate<'_>) {
        let Some(name) = gate.topic_behind(*id) else { return };
        *id = gate.broker_id(*id);
        self.by_id.entry(*id).or_default().push(name.into_inner());
    }

    /// Each topic of an answer once for each name by which it was asked for, beside the client's name
    /// for it; no name where it is not this client's.
    pub fn under_each(
        &self,
        topics: Vec<MetadataResponseTopic>,
        lens: &Lens<'_>,
    ) -> Vec<(MetadataResponseTopic, Option<StrBytes>)> {
        let mut told = HashSet::new();
        let mut shown = Vec::new();
        for topic in topics {
            let own = topic.name.as_ref().and_then(|name| lens.own_name(&name.0));
            let asked = topic.name.as_ref().and_then(|name| self.by_name.get(&name.0));
            let mut names = asked.or_else(|| self.by_id.get(&topic.topic_id)).cloned().unwrap_or_default();
            if names.is_empty() {
                names.extend(own.clone());
            }
            if let Some(own) = own.filter(|_| self.all) {
                let aliases = lens.aliases_of(&own);
                names.extend(aliases.map(|alias| StrBytes::from_string(alias.to_owned())));
            }
            if names.is_empty() {
                shown.push((topic, None));
                continue;
            }
            names.retain(|name| told.insert(name.clone()));
            shown.extend(names.into_iter().map(|name| {
                let id = lens.id_under(topic.topic_id, &name);
                (topic.clone().with_topic_id(id), Some(name))
            }));
        }
        shown
    }
}
