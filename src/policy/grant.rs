//! One rule: who matches its policy's condition may, or may not, do these things to these names.

use super::condition::NameExpression;
use super::operation::{Operation, OperationSet, Resource};
use crate::names::Glob;

/// One rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    effect: Effect,
    resource: Resource,
    operations: OperationSet,
    names: Names,
}

/// Whether a rule gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Allow,
    Deny,
}

/// Where a rule's names come from.
#[derive(Clone, Debug)]
pub(super) enum Names {
    Written(Vec<Glob>),
    Computed(NameExpression),
}

impl Rule {
    /// A rule over names that are written in the file; a rule about the cluster may leave them out.
    pub fn new(
        effect: Effect,
        resource: Resource,
        operations: impl IntoIterator<Item = Operation>,
        mut names: Vec<Glob>,
    ) -> Result<Self, InvalidRule> {
        let operations = OperationSet::of(operations);
        if operations.is_empty() {
            return Err(InvalidRule::NoOperation);
        }
        if resource == Resource::Cluster {
            if let Some(glob) = names.iter().find(|glob| !glob.matches(Resource::CLUSTER_NAME)) {
                return Err(InvalidRule::NotTheCluster(glob.as_str().to_owned()));
            }
            names = vec![Glob::new("*")];
        }
        if names.is_empty() {
            return Err(InvalidRule::NoName(resource));
        }
        if names.iter().any(|glob| glob.as_str().is_empty()) {
            return Err(InvalidRule::EmptyName);
        }
        Ok(Self { effect, resource, operations, names: Names::Written(names) })
    }

    /// A rule over names that an expression yields for each login.
    pub fn with_computed_names(
        effect: Effect,
        resource: Resource,
        operations: impl IntoIterator<Item = Operation>,
        names: NameExpression,
    ) -> Result<Self, InvalidRule> {
        let operations = OperationSet::of(operations);
        if operations.is_empty() {
            return Err(InvalidRule::NoOperation);
        }
        if resource == Resource::Cluster {
            return Err(InvalidRule::ComputedCluster);
        }
        Ok(Self { effect, resource, operations, names: Names::Computed(names) })
    }

    pub fn effect(&self) -> Effect {
        self.effect
    }

    pub fn resource(&self) -> Resource {
        self.resource
    }

    /// The operations as written, without what they imply.
    pub fn operations(&self) -> OperationSet {
        self.operations
    }

    /// The operations that the rule decides: an allow with what it implies, a deny as it stands.
    pub fn covers(&self) -> OperationSet {
        match self.effect {
            Effect::Allow => self.operations.with_implied(),
            Effect::Deny => self.operations,
        }
    }

    /// The names that are written in the file; none where an expression yields them.
    pub fn written_names(&self) -> &[Glob] {
        match &self.names {
            Names::Written(globs) => globs,
            Names::Computed(_) => &[],
        }
    }

    /// The expression that yields the names, where one does.
    pub fn computed_names(&self) -> Option<&NameExpression> {
        match &self.names {
            Names::Written(_) => None,
            Names::Computed(expression) => Some(expression),
        }
    }

    /// Whether the rule allows this operation on some name of this type.
    pub fn grants(&self, operation: Operation, resource: Resource) -> bool {
        self.effect == Effect::Allow && self.resource == resource && self.covers().contains(operation)
    }
}

/// Why a rule is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    #[error("the rule lists no operation; name at least one, or all")]
    NoOperation,
    #[error("the rule names no {0}; list names under resource_names, or write \"*\" for every one")]
    NoName(Resource),
    #[error("the rule holds an empty name, which matches nothing; write \"*\" for every name")]
    EmptyName,
    #[error("{0:?} is not the cluster's name; leave resource_names out, or write \"kafka-cluster\"")]
    NotTheCluster(String),
    #[error("a rule about the cluster needs no expression for its name; leave resource_names out")]
    ComputedCluster,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(
        effect: Effect,
        resource: Resource,
        operations: &[Operation],
        names: &[&str],
    ) -> Result<Rule, InvalidRule> {
        let globs = names.iter().map(|name| Glob::new(name)).collect();
        Rule::new(effect, resource, operations.iter().copied(), globs)
    }

    #[test]
    fn a_rule_that_says_nothing_is_refused() {
        use Effect::Allow;
        use Operation::Read;
        for (resource, operations, names, expected) in [
            (Resource::Topic, &[][..], &["orders"][..], InvalidRule::NoOperation),
            (Resource::Topic, &[Read], &[], InvalidRule::NoName(Resource::Topic)),
            (Resource::Group, &[Read], &["g", ""], InvalidRule::EmptyName),
            (
                Resource::Cluster,
                &[Operation::Create],
                &["orders"],
                InvalidRule::NotTheCluster("orders".into()),
            ),
        ] {
            assert_eq!(rule(Allow, resource, operations, names).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_rule_about_the_cluster_needs_no_name() {
        for names in [&[][..], &["*"], &["kafka-cluster"], &["kafka*"]] {
            assert!(rule(Effect::Allow, Resource::Cluster, &[Operation::Create], names).is_ok(), "{names:?}");
        }
    }

    #[test]
    fn an_allow_grants_what_it_implies_and_a_deny_grants_nothing() {
        let allow = rule(Effect::Allow, Resource::Topic, &[Operation::Read], &["*"]).unwrap();
        assert!(allow.grants(Operation::Read, Resource::Topic));
        assert!(allow.grants(Operation::Describe, Resource::Topic));
        assert!(!allow.grants(Operation::Write, Resource::Topic));
        assert!(!allow.grants(Operation::Read, Resource::Group));
        let deny = rule(Effect::Deny, Resource::Topic, &[Operation::Read], &["*"]).unwrap();
        assert!(!deny.grants(Operation::Read, Resource::Topic));
        assert!(!deny.covers().contains(Operation::Describe));
    }
}
