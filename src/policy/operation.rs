//! What can be done, and to what: Kafka's operations and resource types in the words of the file.

use std::fmt;

use super::words::nearest;
use crate::names::Kind;

/// What somebody wants to do to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Every operation there is; in a rule, never asked by an API.
    All,
    Alter,
    AlterConfigs,
    Create,
    Delete,
    Describe,
    DescribeConfigs,
    IdempotentWrite,
    Read,
    Write,
}

impl Operation {
    /// Every operation that an API can ask for: all but `All`.
    pub const EACH: [Operation; 9] = [
        Operation::Alter,
        Operation::AlterConfigs,
        Operation::Create,
        Operation::Delete,
        Operation::Describe,
        Operation::DescribeConfigs,
        Operation::IdempotentWrite,
        Operation::Read,
        Operation::Write,
    ];

    /// The words of the file, in its order.
    pub const WORDS: [&'static str; 10] = [
        "all",
        "alter",
        "alter_configs",
        "create",
        "delete",
        "describe",
        "describe_configs",
        "idempotent_write",
        "read",
        "write",
    ];

    pub fn parse(word: &str) -> Result<Self, UnknownOperation> {
        [Operation::All]
            .into_iter()
            .chain(Self::EACH)
            .find(|operation| operation.as_str() == word)
            .ok_or_else(|| UnknownOperation(unknown(word, &Self::WORDS)))
    }

    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Kafka's number for it, and its place in the authorized-operations bit fields.
    ///
    /// Source: `AclOperation` of the Kafka clients.
    pub fn acl_code(self) -> u8 {
        match self {
            Operation::All => 2,
            Operation::Read => 3,
            Operation::Write => 4,
            Operation::Create => 5,
            Operation::Delete => 6,
            Operation::Alter => 7,
            Operation::Describe => 8,
            Operation::DescribeConfigs => 10,
            Operation::AlterConfigs => 11,
            Operation::IdempotentWrite => 12,
        }
    }

    /// Whether Kafka knows this operation on this type of resource; elsewhere a rule is without effect.
    ///
    /// Source: `AclEntry.supportedOperations` of the Kafka server.
    pub fn applies_to(self, resource: Resource) -> bool {
        use Operation::*;
        match resource {
            Resource::Topic => !matches!(self, IdempotentWrite),
            Resource::Group => {
                matches!(self, All | Read | Describe | Delete | DescribeConfigs | AlterConfigs)
            }
            Resource::TransactionalId => matches!(self, All | Describe | Write),
            Resource::Cluster => !matches!(self, Read | Write | Delete),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of operations, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OperationSet(u16);

impl OperationSet {
    pub const NONE: OperationSet = OperationSet(0);
    /// What `all` covers: every operation.
    pub const ALL: OperationSet = OperationSet(0b11_1111_1110);

    pub fn of(operations: impl IntoIterator<Item = Operation>) -> Self {
        operations.into_iter().map(Self::just).fold(Self::NONE, Self::union)
    }

    pub fn just(operation: Operation) -> Self {
        match operation {
            Operation::All => Self::ALL,
            one => Self(1 << one as u16),
        }
    }

    /// Whether the operation is in the set; `All` is when every one is.
    pub fn contains(self, operation: Operation) -> bool {
        let wanted = Self::just(operation).0;
        self.0 & wanted == wanted
    }

    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::EACH.into_iter().filter(move |operation| self.contains(*operation))
    }

    /// The set with what an allow of it implies.
    ///
    /// Source: `IMPLIES_DESCRIBE` and `IMPLIES_DESCRIBE_CONFIGS` of Kafka's `StandardAuthorizerData`.
    pub fn with_implied(self) -> Self {
        use Operation::*;
        let mut implied = self;
        if self.intersects(Self::of([Read, Write, Delete, Alter])) {
            implied = implied.union(Self::just(Describe));
        }
        if self.contains(AlterConfigs) {
            implied = implied.union(Self::just(DescribeConfigs));
        }
        implied
    }
}

impl fmt::Debug for OperationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Operation::as_str)).finish()
    }
}

/// What kind of thing a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Topic,
    Group,
    TransactionalId,
    Cluster,
}

impl Resource {
    /// The words of the file, in its order.
    pub const WORDS: [&'static str; 4] = ["topic", "group", "transactional_id", "cluster"];

    /// Kafka's name for the one resource of type cluster.
    pub const CLUSTER_NAME: &'static str = "kafka-cluster";

    pub fn parse(word: &str) -> Result<Self, UnknownResource> {
        [Resource::Topic, Resource::Group, Resource::TransactionalId, Resource::Cluster]
            .into_iter()
            .find(|resource| resource.as_str() == word)
            .ok_or_else(|| UnknownResource(unknown(word, &Self::WORDS)))
    }

    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Topic => Resource::Topic,
            Kind::Group => Resource::Group,
            Kind::TransactionalId => Resource::TransactionalId,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no operation; the text lists those that do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown operation {0}")]
pub struct UnknownOperation(String);

/// A word that names no type of resource; the text lists those that do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown resource type {0}")]
pub struct UnknownResource(String);

fn unknown(word: &str, known: &[&'static str]) -> String {
    let shown: String = word.chars().take(40).collect();
    let all = known.join(", ");
    match nearest(word, known) {
        Some(meant) => format!("{shown:?}; did you mean {meant}? Known are {all}"),
        None => format!("{shown:?}; expected one of {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_file_is_read_and_written_alike() {
        for word in Operation::WORDS {
            assert_eq!(Operation::parse(word).unwrap().as_str(), word);
        }
        for word in Resource::WORDS {
            assert_eq!(Resource::parse(word).unwrap().as_str(), word);
        }
    }

    #[test]
    fn an_unknown_word_names_the_nearest_and_the_known_ones() {
        let text = Operation::parse("Wriet").unwrap_err().to_string();
        assert!(
            text.starts_with("unknown operation \"Wriet\"; did you mean write? Known are all, "),
            "{text}"
        );
        let text = Resource::parse("galaxy-far-away").unwrap_err().to_string();
        assert_eq!(
            text,
            "unknown resource type \"galaxy-far-away\"; expected one of topic, group, transactional_id, cluster"
        );
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set = OperationSet::of([Operation::Read, Operation::Create]);
        assert!(set.contains(Operation::Read) && set.contains(Operation::Create));
        assert!(!set.contains(Operation::Write) && !set.contains(Operation::All));
        assert_eq!(OperationSet::of(Operation::EACH), OperationSet::ALL);
        assert_eq!(OperationSet::just(Operation::All).iter().collect::<Vec<_>>(), Operation::EACH);
        assert_eq!(set.without(OperationSet::ALL), OperationSet::NONE);
    }

    #[test]
    fn an_allow_implies_what_kafka_says() {
        use Operation::*;
        for (one, implied) in [
            (Read, Some(Describe)),
            (Write, Some(Describe)),
            (Delete, Some(Describe)),
            (Alter, Some(Describe)),
            (AlterConfigs, Some(DescribeConfigs)),
            (Create, None),
            (Describe, None),
            (DescribeConfigs, None),
            (IdempotentWrite, None),
        ] {
            let expected = OperationSet::of([one].into_iter().chain(implied));
            assert_eq!(OperationSet::just(one).with_implied(), expected, "{one}");
        }
    }

    #[test]
    fn an_operation_applies_where_kafka_supports_it() {
        use Operation::*;
        for (operation, resource, expected) in [
            (Write, Resource::Topic, true),
            (IdempotentWrite, Resource::Topic, false),
            (IdempotentWrite, Resource::Cluster, true),
            (Write, Resource::Group, false),
            (Read, Resource::TransactionalId, false),
            (All, Resource::TransactionalId, true),
            (Delete, Resource::Cluster, false),
        ] {
            assert_eq!(operation.applies_to(resource), expected, "{operation} on {resource}");
        }
    }
}
