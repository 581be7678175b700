//! A name where it stands in a message.

use kafka_protocol::messages::{GroupId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Topic,
    Group,
    TransactionalId,
}

impl Kind {
    /// A plain string of a message says aloud what it names.
    pub fn at(self, text: &mut StrBytes) -> NameSlot<'_> {
        NameSlot { kind: self, text }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Topic => "topic",
            Kind::Group => "group",
            Kind::TransactionalId => "transactional_id",
        }
    }
}

/// A place in a message where a name stands and can be exchanged for its other side.
pub struct NameSlot<'m> {
    pub kind: Kind,
    pub text: &'m mut StrBytes,
}

impl<'m> From<&'m mut TopicName> for NameSlot<'m> {
    fn from(name: &'m mut TopicName) -> Self {
        Kind::Topic.at(&mut name.0)
    }
}

/// A place in a message where a topic stands, by its name or, in newer versions, by its id (KIP-516).
pub enum TopicSlot<'m> {
    Name(&'m mut TopicName),
    Id(&'m mut Uuid),
}

impl<'m> TopicSlot<'m> {
    /// The one of two fields that a version has.
    pub fn of(by_id: bool, name: &'m mut TopicName, id: &'m mut Uuid) -> Self {
        if by_id { TopicSlot::Id(id) } else { TopicSlot::Name(name) }
    }
}

impl<'m> From<&'m mut TopicName> for TopicSlot<'m> {
    fn from(name: &'m mut TopicName) -> Self {
        TopicSlot::Name(name)
    }
}

impl<'m> From<&'m mut GroupId> for NameSlot<'m> {
    fn from(name: &'m mut GroupId) -> Self {
        Kind::Group.at(&mut name.0)
    }
}

impl<'m> From<&'m mut TransactionalId> for NameSlot<'m> {
    fn from(name: &'m mut TransactionalId) -> Self {
        Kind::TransactionalId.at(&mut name.0)
    }
}
