//! The way back: hide what is foreign, rename the rest.

use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::gate::CLUSTER_NAME;
use super::{AddressBook, Spoken, VirtualCluster};
use crate::names::{Backend, Kind, NameSlot, Namespace, Pattern, TopicSlot, Virtual};
use crate::policy::{Operation, Resource, Rights};

/// One client's view of what a broker says.
pub struct Lens<'a> {
    cluster: &'a VirtualCluster,
    rights: &'a Rights,
    book: &'a AddressBook,
    spoken: Option<&'a Spoken>,
}

impl<'a> Lens<'a> {
    pub fn new(cluster: &'a VirtualCluster, rights: &'a Rights, book: &'a AddressBook) -> Self {
        Self { cluster, rights, book, spoken: None }
    }

    /// The same view, where topics are called as the client calls them.
    pub fn speaking<'b>(&self, spoken: &'b Spoken) -> Lens<'b>
    where
        'a: 'b,
    {
        let spoken = self.cluster.namespace.has_aliases().then_some(spoken);
        Lens { cluster: self.cluster, rights: self.rights, book: self.book, spoken }
    }

    pub fn cluster_id(&self) -> StrBytes {
        StrBytes::from_string(self.cluster.cluster_id.to_string())
    }

    /// Writes the client's name in place of the broker's; false when it is not this tenant's to see.
    #[must_use]
    pub fn one<'m>(&self, name: impl Into<NameSlot<'m>>) -> bool {
        let slot = name.into();
        let name = Backend::said_by_broker(std::mem::take(slot.text));
        match self.shown(slot.kind, &name) {
            Some(shown) => {
                *slot.text = shown.into_inner();
                true
            }
            None => {
                *slot.text = name.into_inner();
                false
            }
        }
    }

    /// Renames the elements that the client asked for; what is not its own is dropped.
    pub fn echoed<E>(&self, of: &mut Vec<E>, name: impl Fn(&mut E) -> NameSlot<'_>) {
        of.retain_mut(|element| self.one(name(element)));
    }

    /// Renames the topics that the client asked for, by whatever the version has of them; what is not its
    /// own is dropped.
    pub fn echoed_topics<E>(&self, of: &mut Vec<E>, topic: impl Fn(&mut E) -> TopicSlot<'_>) {
        of.retain_mut(|element| match topic(element) {
            TopicSlot::Name(name) => self.one(name),
            TopicSlot::Id(id) => self.topic_behind(id).is_some(),
        });
    }

    /// Renames the elements that the broker volunteered, and drops what the client may not know of.
    pub fn listed<E>(&self, need: Operation, of: &mut Vec<E>, name: impl Fn(&mut E) -> NameSlot<'_>) {
        of.retain_mut(|element| {
            let slot = name(element);
            self.listed_one(need, slot)
        });
    }

    /// Renames one thing that the broker volunteered; false when the client may not know of it.
    fn listed_one(&self, need: Operation, slot: NameSlot<'_>) -> bool {
        let NameSlot { kind, text } = slot;
        let on_broker = text.clone();
        if !self.one(NameSlot { kind, text: &mut *text }) {
            return false;
        }
        if self.grants(need, kind.into(), text) {
            return true;
        }
        // By the name that the client said last it may not be known, and by its own it may.
        let own = (kind == Kind::Topic).then(|| self.own_name(&on_broker)).flatten();
        own.filter(|own| self.grants(need, Resource::Topic, own)).map(|own| *text = own).is_some()
    }

    /// Renames the topics that the broker volunteered, by whatever the version has of them, and drops what
    /// the client may not know of.
    pub fn listed_topics<E>(
        &self,
        need: Operation,
        of: &mut Vec<E>,
        topic: impl Fn(&mut E) -> TopicSlot<'_>,
    ) {
        of.retain_mut(|element| match topic(element) {
            TopicSlot::Name(name) => self.listed_one(need, name.into()),
            TopicSlot::Id(id) => {
                self.topic_behind(id).is_some_and(|name| self.grants(need, Resource::Topic, &name))
            }
        });
    }

    /// The client's name for a broker's, where no slot of a message holds it.
    pub fn to_virtual(&self, kind: Kind, name: &StrBytes) -> Option<StrBytes> {
        Some(self.shown(kind, &Backend::said_by_broker(name.clone()))?.into_inner())
    }

    /// The client's name for a broker's: of a topic that has several, the one that the client said.
    fn shown(&self, kind: Kind, name: &Backend<StrBytes>) -> Option<Virtual<StrBytes>> {
        let own = self.cluster.namespace.to_virtual(kind, name)?;
        match self.spoken.filter(|_| kind == Kind::Topic).and_then(|spoken| spoken.name(own.as_ref())) {
            Some(said) => Some(Virtual::shown_to_client(StrBytes::from_string(said.to_owned()))),
            None => Some(own),
        }
    }

    /// A topic's own name, however the client calls it.
    pub fn own_name(&self, topic: &StrBytes) -> Option<StrBytes> {
        let topic = Backend::said_by_broker(topic.clone());
        Some(self.cluster.namespace.to_virtual(Kind::Topic, &topic)?.into_inner())
    }

    /// The second names of a topic.
    pub fn aliases_of<'n>(&'n self, topic: &'n str) -> impl Iterator<Item = &'n str> {
        self.cluster.namespace.aliases_of(topic)
    }

    /// The id that a topic is shown with under this name.
    pub fn id_under(&self, id: Uuid, name: &str) -> Uuid {
        match self.cluster.namespace.behind_alias(name) {
            Some(_) if !id.is_nil() => self.cluster.backend.topic_ids.learn_alias(id, name),
            _ => id,
        }
    }

    /// Keeps what a broker says of a topic's id, before anything is hidden: whose it is, is asked later.
    pub fn learn_only(&self, id: Uuid, name: &StrBytes) {
        self.cluster.learn(id, &Backend::said_by_broker(name.clone()));
    }

    /// Keeps what a broker says of a topic's id, and writes the client's in its place, which is another
    /// where the client calls the topic by an alias.
    pub fn learn(&self, id: &mut Uuid, name: &StrBytes) {
        self.learn_only(*id, name);
        if self.spoken.is_some()
            && let Some(shown) = self.to_virtual(Kind::Topic, name)
        {
            *id = self.id_under(*id, &shown);
        }
    }

    /// The client's name for the topic behind a broker's id, in whose place the client's is written; `None`
    /// where it is not in this virtual cluster.
    pub fn topic_behind(&self, id: &mut Uuid) -> Option<StrBytes> {
        let name = self.cluster.backend.topic_ids.name(*id)?;
        let shown = self.shown(Kind::Topic, &name)?.into_inner();
        if self.spoken.is_some() {
            *id = self.id_under(*id, &shown);
        }
        Some(shown)
    }

    /// The client's pattern for a broker's; `None` where it is not this tenant's alone.
    pub fn pattern(&self, kind: Kind, pattern: Pattern) -> Option<Pattern> {
        let said = Backend::said_by_broker(pattern);
        Some(self.cluster.namespace.pattern_to_virtual(kind, &said)?.into_inner())
    }

    /// Whether the topic behind a broker's id is known to be another tenant's; else the client's id is
    /// written in its place.
    pub fn is_foreign(&self, id: &mut Uuid) -> bool {
        let is_known = self.cluster.backend.topic_ids.name(*id).is_some();
        is_known && self.topic_behind(id).is_none()
    }

    pub fn namespace(&self) -> &'a Namespace {
        &self.cluster.namespace
    }

    pub fn grants(&self, need: Operation, resource: Resource, name: &str) -> bool {
        self.rights.allows(need, resource, name)
    }

    pub fn grants_cluster(&self, need: Operation) -> bool {
        self.grants(need, Resource::Cluster, CLUSTER_NAME)
    }

    /// The authorized-operations bit field for this client: the broker's is that of the gateway.
    ///
    /// Source: KIP-430.
    pub fn authorized_operations(&self, resource: Resource, name: &str, of: &[Operation]) -> i32 {
        self.rights.authorized_bits(resource, name, of)
    }

    pub fn authorized_cluster_operations(&self, of: &[Operation]) -> i32 {
        self.authorized_operations(Resource::Cluster, CLUSTER_NAME, of)
    }

    /// Puts the address where clients find a broker in place of its own; false when it has no door here.
    #[must_use]
    pub fn advertise(&self, node: i32, host: &mut StrBytes, port: &mut i32) -> bool {
        let Some(address) = self.book.broker(node) else { return false };
        let address = address.into_inner();
        *host = StrBytes::from_string(address.host.to_string());
        *port = address.port.into();
        true
    }

    /// Whether clients find this broker at all: asked for every partition, so it makes no address.
    pub fn has_door(&self, node: i32) -> bool {
        self.book.has(node)
    }
}
