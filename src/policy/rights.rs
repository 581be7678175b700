//! The rules that count for one login, ready to be asked about any name.

use std::collections::HashMap;
use std::sync::Arc;

use super::condition::ComputedName;
use super::decision::{ConditionFailure, Decision, RuleRef};
use super::expression::{Circumstances, EvalError};
use super::grant::{Effect, Rule};
use super::operation::{Operation, OperationSet, Resource};
use crate::names::Glob;

/// What one login may do; never changes.
///
/// Shape: cheap to clone.
#[derive(Clone, Debug)]
pub struct Rights(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    Everything,
    Ruled { rules: Arc<[RuleRef]>, shares: Vec<Share>, failures: Vec<ConditionFailure> },
}

/// One index that counts for this login, wholly or by its denials alone.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub index: Arc<Index>,
    pub denies_only: bool,
}

impl Rights {
    /// The rights of a login about which the broker decides.
    pub fn everything() -> Self {
        Self(Arc::new(Inner::Everything))
    }

    pub(super) fn ruled(rules: Arc<[RuleRef]>, shares: Vec<Share>, failures: Vec<ConditionFailure>) -> Self {
        Self(Arc::new(Inner::Ruled { rules, shares, failures }))
    }

    /// Whether these are of one login, and so alike: two logins' are different, even if they say the same.
    pub fn is_same(&self, other: &Rights) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the operation on this name is granted, and by which rule; a deny beats every allow.
    ///
    /// Shape: of several rules that say the same, the first of the file is named. `Operation::All`
    /// is granted where every operation is.
    pub fn decide(&self, operation: Operation, resource: Resource, name: &str) -> Decision {
        let Inner::Ruled { rules, shares, .. } = &*self.0 else {
            return Decision { allowed: true, by: None };
        };
        if operation == Operation::All {
            return self.decide_all(resource, name);
        }
        let (allow, deny) = first_rules(shares, operation, resource, name);
        let by = deny.or(allow).map(|rule| rules[rule as usize].clone());
        Decision { allowed: deny.is_none() && allow.is_some(), by }
    }

    /// Whether the operation on this name is granted: the same answer without its rule.
    ///
    /// Shape: touches nothing that another thread may be asking with.
    pub fn allows(&self, operation: Operation, resource: Resource, name: &str) -> bool {
        match &*self.0 {
            Inner::Everything => true,
            Inner::Ruled { .. } if operation == Operation::All => self.decide_all(resource, name).allowed,
            Inner::Ruled { shares, .. } => {
                let (allow, deny) = first_rules(shares, operation, resource, name);
                deny.is_none() && allow.is_some()
            }
        }
    }

    /// Whether the operation is granted on at least one possible name.
    ///
    /// Shape: each pattern of an allow is tried with names that only its own stars produce, so a
    /// deny counts when it covers that pattern whole, as Kafka's dominating denies do.
    /// Source: `Authorizer.authorizeByResourceType` of the Kafka server.
    pub fn decide_on_any(&self, operation: Operation, resource: Resource) -> Decision {
        let Inner::Ruled { shares, .. } = &*self.0 else {
            return Decision { allowed: true, by: None };
        };
        let mut refused = None;
        let mut patterns: Vec<_> =
            shares.iter().flat_map(|share| share.index.shelf(resource).allowed_patterns(operation)).collect();
        patterns.sort_unstable(); // the first rule of the file is tried first
        for (_, pattern) in patterns {
            for example in pattern.examples() {
                let decision = self.decide(operation, resource, &example);
                if decision.allowed {
                    return decision;
                }
                refused = refused.or(Some(decision));
            }
        }
        refused.unwrap_or(Decision { allowed: false, by: None })
    }

    /// Whether the operation is granted on every possible name, as far as that is plain to see: a rule
    /// allows it everywhere, and none denies it anywhere.
    pub fn allows_on_every(&self, operation: Operation, resource: Resource) -> bool {
        let Inner::Ruled { shares, .. } = &*self.0 else { return true };
        let is_allowed =
            |share: &Share| !share.denies_only && share.index.shelf(resource).allows_everywhere(operation);
        shares.iter().any(is_allowed)
            && !shares.iter().any(|share| share.index.shelf(resource).denies_anywhere(operation))
    }

    /// Every operation that is granted on this name.
    pub fn operations_on(&self, resource: Resource, name: &str) -> OperationSet {
        let Inner::Ruled { shares, .. } = &*self.0 else {
            return OperationSet::ALL;
        };
        let (mut allowed, mut denied) = (OperationSet::NONE, OperationSet::NONE);
        for entry in entries(shares, resource, name, OperationSet::ALL) {
            let side = if entry.effect == Effect::Allow { &mut allowed } else { &mut denied };
            *side = side.union(entry.operations);
        }
        allowed.without(denied)
    }

    /// The authorized-operations bit field that Kafka's answers carry: of these operations, the granted.
    pub fn authorized_bits(&self, resource: Resource, name: &str, of: &[Operation]) -> i32 {
        let granted = self.operations_on(resource, name);
        of.iter()
            .filter(|operation| granted.contains(**operation))
            .fold(0, |bits, operation| bits | 1 << operation.acl_code())
    }

    /// Which expressions failed for this login.
    pub fn failures(&self) -> &[ConditionFailure] {
        match &*self.0 {
            Inner::Everything => &[],
            Inner::Ruled { failures, .. } => failures,
        }
    }

    fn decide_all(&self, resource: Resource, name: &str) -> Decision {
        let mut each = Operation::EACH.into_iter().map(|one| self.decide(one, resource, name));
        let first = each.next().expect("EACH holds nine operations");
        each.fold(first, |kept, next| if kept.allowed { next } else { kept })
    }
}

/// The first rule that allows, and the first that denies.
fn first_rules(
    shares: &[Share],
    operation: Operation,
    resource: Resource,
    name: &str,
) -> (Option<u32>, Option<u32>) {
    let (mut allow, mut deny) = (None, None);
    for entry in entries(shares, resource, name, OperationSet::just(operation)) {
        let first = if entry.effect == Effect::Allow { &mut allow } else { &mut deny };
        *first = Some(first.map_or(entry.rule, |rule: u32| rule.min(entry.rule)));
    }
    (allow, deny)
}

fn entries<'r>(
    shares: &'r [Share],
    resource: Resource,
    name: &'r str,
    wanted: OperationSet,
) -> impl Iterator<Item = &'r Entry> {
    shares.iter().flat_map(move |share| {
        let matching = share.index.shelf(resource).matching(name, wanted);
        matching.filter(|entry| !share.denies_only || entry.effect == Effect::Deny)
    })
}

/// Rules by the type of resource they speak of.
#[derive(Debug, Default)]
pub(super) struct Index([Shelf; 4]);

/// Rules about one type of resource, by how their names are found.
#[derive(Debug, Default)]
struct Shelf {
    everywhere: Vec<Entry>,
    exact: HashMap<Box<str>, Vec<Entry>>,
    globs: Vec<(Glob, Entry)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    effect: Effect,
    /// What it decides: for an allow, with what it implies.
    operations: OperationSet,
    /// Its number in the order of the file.
    rule: u32,
}

impl Index {
    pub fn add_written(&mut self, number: u32, rule: &Rule) {
        for glob in rule.written_names() {
            self.shelf_mut(rule.resource()).add_pattern(glob.clone(), Entry::of(number, rule));
        }
    }

    /// Adds a rule with the names that its expression yields for this login.
    ///
    /// Errors: where the expression fails, an allow covers nothing and a deny every name.
    pub fn add_computed(
        &mut self,
        number: u32,
        rule: &Rule,
        circumstances: &Circumstances,
    ) -> Result<(), EvalError> {
        let Some(expression) = rule.computed_names() else { return Ok(()) };
        let shelf = self.shelf_mut(rule.resource());
        let entry = Entry::of(number, rule);
        match expression.evaluate(circumstances) {
            Ok(names) => {
                for name in names {
                    match name {
                        ComputedName::Literal(text) => shelf.add_exact(&text, entry),
                        ComputedName::Pattern(glob) => shelf.add_pattern(glob, entry),
                    }
                }
                Ok(())
            }
            Err(error) => {
                if rule.effect() == Effect::Deny {
                    shelf.everywhere.push(entry);
                }
                Err(error)
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Shelf::is_empty)
    }

    fn shelf(&self, resource: Resource) -> &Shelf {
        &self.0[resource as usize]
    }

    fn shelf_mut(&mut self, resource: Resource) -> &mut Shelf {
        &mut self.0[resource as usize]
    }
}

impl Shelf {
    fn add_pattern(&mut self, glob: Glob, entry: Entry) {
        if glob.is_literal() {
            self.add_exact(glob.as_str(), entry);
        } else if glob.as_str().bytes().all(|byte| byte == b'*') {
            self.everywhere.push(entry);
        } else {
            self.globs.push((glob, entry));
        }
    }

    fn add_exact(&mut self, name: &str, entry: Entry) {
        self.exact.entry(name.into()).or_default().push(entry);
    }

    fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.exact.is_empty() && self.globs.is_empty()
    }

    fn matching<'r>(&'r self, name: &'r str, wanted: OperationSet) -> impl Iterator<Item = &'r Entry> {
        let exact = self.exact.get(name).map_or(&[][..], Vec::as_slice);
        let globs = self.globs.iter().filter(move |(glob, entry)| {
            entry.operations.intersects(wanted) && glob.matches(name) // the cheap question first
        });
        let plain =
            self.everywhere.iter().chain(exact).filter(move |entry| entry.operations.intersects(wanted));
        plain.chain(globs.map(|(_, entry)| entry))
    }

    fn allows_everywhere(&self, operation: Operation) -> bool {
        let allows = |entry: &Entry| entry.effect == Effect::Allow && entry.operations.contains(operation);
        self.everywhere.iter().any(allows)
    }

    fn denies_anywhere(&self, operation: Operation) -> bool {
        let globs = self.globs.iter().map(|(_, entry)| entry);
        let mut entries = self.everywhere.iter().chain(globs).chain(self.exact.values().flatten());
        entries.any(|entry| entry.effect == Effect::Deny && entry.operations.contains(operation))
    }

    /// What the allows of this operation name, each with its rule.
    fn allowed_patterns(&self, operation: Operation) -> impl Iterator<Item = (u32, Pattern<'_>)> {
        let everywhere = self.everywhere.iter().map(|entry| (entry, Pattern::Glob("*")));
        let globs = self.globs.iter().map(|(glob, entry)| (entry, Pattern::Glob(glob.as_str())));
        let exact = self
            .exact
            .iter()
            .flat_map(|(name, entries)| entries.iter().map(move |entry| (entry, Pattern::Exact(name))));
        everywhere
            .chain(globs)
            .chain(exact)
            .filter(move |(entry, _)| entry.effect == Effect::Allow && entry.operations.contains(operation))
            .map(|(entry, pattern)| (entry.rule, pattern))
    }
}

impl Entry {
    fn of(number: u32, rule: &Rule) -> Self {
        Self { effect: rule.effect(), operations: rule.covers(), rule: number }
    }
}

/// What an allow rule names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern<'r> {
    Exact(&'r str),
    Glob(&'r str),
}

impl Pattern<'_> {
    /// Names that the pattern matches and hardly anything narrower does.
    fn examples(self) -> Vec<String> {
        let pattern = match self {
            Pattern::Exact(name) => return vec![name.to_owned()],
            Pattern::Glob(pattern) => pattern,
        };
        let with_runs_of = |length: usize| {
            let mut name = String::new();
            for character in pattern.chars() {
                match character {
                    '*' => name.extend(std::iter::repeat_n(IN_NO_RULE, length)),
                    '?' => name.push(IN_NO_RULE),
                    other => name.push(other),
                }
            }
            name
        };
        [1, LONG_RUN, 0].into_iter().map(with_runs_of).filter(|name| !name.is_empty()).collect()
    }
}

/// No file names a thing with this character, so only a star or a question mark matches it.
const IN_NO_RULE: char = '\u{1}';
/// Longer than a run of question marks that anybody writes.
const LONG_RUN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Principal;
    use crate::policy::{AclPolicy, Policy};
    use proptest::prelude::*;

    type Line = (Effect, Operation, &'static str);

    fn rights_of(policies: Vec<AclPolicy>) -> Rights {
        let circumstances = Circumstances {
            auth_type: "anonymous",
            principal: &Principal::anonymous(),
            claims: &serde_json::Value::Null,
            extensions: &[],
            client_id: None,
            client_address: "127.0.0.1",
            listener: "front",
        };
        Policy::enforce(policies).rights(&circumstances)
    }

    fn rule((effect, operation, name): Line) -> Rule {
        Rule::new(effect, Resource::Topic, [operation], vec![Glob::new(name)]).unwrap()
    }

    fn topics(lines: &[Line]) -> Rights {
        let rules = lines.iter().copied().map(rule).collect();
        rights_of(vec![AclPolicy { name: "p".into(), condition: None, rules }])
    }

    fn check(lines: &[Line], operation: Operation, name: &str, allowed: bool, by: Option<usize>) {
        let decision = topics(lines).decide(operation, Resource::Topic, name);
        assert_eq!(decision.allowed, allowed, "{operation} {name} under {lines:?}");
        assert_eq!(decision.by.map(|by| by.rule), by, "{operation} {name} under {lines:?}");
    }

    use Effect::{Allow, Deny};
    use Operation::*;

    #[test]
    fn what_no_rule_allows_is_refused() {
        check(&[], Read, "orders", false, None);
        check(&[(Allow, Read, "orders")], Read, "orders-2", false, None);
        check(&[(Allow, Read, "orders")], Write, "orders", false, None);
        let decision = topics(&[(Allow, All, "*")]).decide(Read, Resource::Group, "orders");
        assert!(!decision.allowed);
    }

    #[test]
    fn a_rule_reaches_the_names_it_says() {
        check(&[(Allow, Read, "orders")], Read, "orders", true, Some(0));
        check(&[(Allow, Read, "team-*")], Read, "team-a", true, Some(0));
        check(&[(Allow, Read, "team-?")], Read, "team-ab", false, None);
        check(&[(Allow, Read, "**")], Read, "anything", true, Some(0));
    }

    #[test]
    fn a_deny_beats_an_allow_however_broad_and_in_whatever_order() {
        check(&[(Allow, All, "*"), (Deny, Read, "secret")], Read, "secret", false, Some(1));
        check(&[(Deny, Read, "secret"), (Allow, All, "*")], Read, "secret", false, Some(0));
        check(&[(Deny, All, "*"), (Allow, Read, "orders")], Read, "orders", false, Some(0));
        check(&[(Allow, Read, "*"), (Deny, Write, "*")], Read, "orders", true, Some(0));
    }

    #[test]
    fn of_several_rules_that_agree_the_first_is_named() {
        check(
            &[(Allow, Write, "*"), (Allow, All, "o*"), (Allow, Read, "orders")],
            Read,
            "orders",
            true,
            Some(1),
        );
        check(&[(Deny, Read, "o*"), (Deny, Read, "orders")], Read, "orders", false, Some(0));
    }

    #[test]
    fn what_is_allowed_everywhere_is_denied_nowhere() {
        for (lines, expected) in [
            (&[(Allow, Describe, "*")][..], true),
            (&[(Allow, Read, "**")], true),
            (&[(Allow, Describe, "*"), (Deny, Write, "secret")], true),
            (&[], false),
            (&[(Allow, Create, "*")], false),
            (&[(Allow, Describe, "a*"), (Allow, Describe, "?")], false),
            (&[(Allow, Describe, "*"), (Deny, Describe, "secret")], false),
            (&[(Allow, Describe, "*"), (Deny, All, "secret-*")], false),
            (&[(Allow, Describe, "*"), (Deny, Describe, "*")], false),
        ] {
            assert_eq!(topics(lines).allows_on_every(Describe, Resource::Topic), expected, "{lines:?}");
        }
        assert!(!topics(&[(Allow, All, "*")]).allows_on_every(Describe, Resource::Group));
        assert!(Rights::everything().allows_on_every(Describe, Resource::Topic));
    }

    #[test]
    fn an_allow_implies_describe_and_a_deny_implies_nothing() {
        for operation in [Read, Write, Delete, Alter] {
            check(&[(Allow, operation, "*")], Describe, "orders", true, Some(0));
            check(&[(Allow, Describe, "*"), (Deny, operation, "*")], Describe, "orders", true, Some(0));
        }
        check(&[(Allow, AlterConfigs, "*")], DescribeConfigs, "orders", true, Some(0));
        check(&[(Allow, AlterConfigs, "*")], Describe, "orders", false, None);
        check(&[(Allow, Read, "*"), (Deny, Describe, "*")], Read, "orders", true, Some(0));
        check(&[(Allow, Read, "*"), (Deny, Describe, "*")], Describe, "orders", false, Some(1));
    }

    #[test]
    fn all_covers_every_operation_in_both_effects() {
        for operation in Operation::EACH {
            check(&[(Allow, All, "*")], operation, "orders", true, Some(0));
            check(&[(Allow, operation, "*"), (Deny, All, "*")], operation, "orders", false, Some(1));
        }
        check(&[(Allow, All, "*")], All, "orders", true, Some(0));
        check(&[(Allow, All, "*"), (Deny, Create, "*")], All, "orders", false, Some(1));
        check(&[(Allow, Read, "*")], All, "orders", false, None);
    }

    #[test]
    fn a_rule_about_the_cluster_needs_no_name() {
        let rule = Rule::new(Allow, Resource::Cluster, [IdempotentWrite], vec![]).unwrap();
        let rights = rights_of(vec![AclPolicy { name: "p".into(), condition: None, rules: vec![rule] }]);
        assert!(rights.decide(IdempotentWrite, Resource::Cluster, Resource::CLUSTER_NAME).allowed);
        assert!(!rights.decide(Create, Resource::Cluster, Resource::CLUSTER_NAME).allowed);
        assert!(rights.decide_on_any(IdempotentWrite, Resource::Cluster).allowed);
    }

    #[test]
    fn something_is_writable_unless_a_deny_covers_every_allow() {
        for (lines, expected) in [
            (&[][..], false),
            (&[(Allow, Write, "team-*")], true),
            (&[(Allow, Read, "team-*")], false),
            (&[(Allow, All, "orders")], true),
            (&[(Allow, Write, "orders"), (Deny, Write, "orders")], false),
            (&[(Allow, Write, "orders"), (Deny, Write, "*")], false),
            (&[(Allow, Write, "orders"), (Deny, Write, "or*")], false),
            (&[(Allow, Write, "orders"), (Deny, Write, "orders-*")], true),
            (&[(Allow, Write, "team-*"), (Deny, Write, "team-a")], true),
            (&[(Allow, Write, "team-*"), (Deny, Write, "team-*")], false),
            (&[(Allow, Write, "team-*"), (Deny, Write, "te*")], false),
            (&[(Allow, Write, "team-*"), (Deny, Write, "team-a*")], true),
            (&[(Allow, Write, "team-*"), (Deny, Write, "team-?")], true),
            (&[(Allow, Write, "team-*"), (Deny, Write, "team-?*")], true), // "team-" itself
            (&[(Allow, Write, "*"), (Deny, Write, "team-*")], true),
            (&[(Allow, Write, "*"), (Deny, Write, "?*")], false),
            (&[(Allow, Write, "*"), (Deny, Write, "?"), (Deny, Write, "??")], true),
            (&[(Allow, Write, "*"), (Deny, Write, "??*")], true),
            (&[(Allow, Write, "*"), (Deny, All, "*")], false),
            (&[(Allow, Write, "a"), (Allow, Write, "b"), (Deny, Write, "a")], true),
        ] {
            let decision = topics(lines).decide_on_any(Write, Resource::Topic);
            assert_eq!(decision.allowed, expected, "{lines:?}");
        }
    }

    #[test]
    fn the_bit_field_holds_kafkas_numbers() {
        let rights = topics(&[(Allow, Read, "*"), (Allow, AlterConfigs, "*"), (Deny, DescribeConfigs, "*")]);
        let bits = rights.authorized_bits(Resource::Topic, "orders", &Operation::EACH);
        assert_eq!(bits, 1 << 3 | 1 << 8 | 1 << 11);
        assert_eq!(rights.authorized_bits(Resource::Topic, "orders", &[Describe, Write]), 1 << 8);
        assert_eq!(rights.authorized_bits(Resource::Group, "orders", &Operation::EACH), 0);
        assert_eq!(Rights::everything().authorized_bits(Resource::Group, "g", &[Read]), 1 << 3);
    }

    fn line() -> impl Strategy<Value = Line> {
        let effects = prop::sample::select(vec![Allow, Allow, Deny]);
        let operations = prop::sample::select([[All].as_slice(), &Operation::EACH].concat());
        let names = prop::sample::select(vec!["*", "a", "ab", "a*", "?", "*b", "a?", "b*", "?*", "ba"]);
        (effects, operations, names)
    }

    proptest! {
        #[test]
        fn the_order_of_rules_and_policies_changes_no_answer(
            (lines, shuffled) in prop::collection::vec(line(), 0..8)
                .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
            split in 0..8usize,
            operation in prop::sample::select(Operation::EACH.to_vec()),
            name in "[ab]{1,3}",
        ) {
            let (first, second) = shuffled.split_at(split.min(shuffled.len()));
            let policies = [first, second].map(|lines| AclPolicy {
                name: "p".into(),
                condition: None,
                rules: lines.iter().copied().map(rule).collect(),
            });
            let (one, other) = (topics(&lines), rights_of(policies.into()));
            let allowed = one.decide(operation, Resource::Topic, &name).allowed;
            prop_assert_eq!(allowed, other.decide(operation, Resource::Topic, &name).allowed);
            let on_any = one.decide_on_any(operation, Resource::Topic).allowed;
            prop_assert_eq!(on_any, other.decide_on_any(operation, Resource::Topic).allowed);
        }

        #[test]
        fn the_index_answers_as_a_plain_walk_over_the_rules_does(
            lines in prop::collection::vec(line(), 0..8),
            operation in prop::sample::select(Operation::EACH.to_vec()),
            name in "[ab]{1,3}",
        ) {
            let says = |effect| lines.iter().copied().any(|line| {
                line.0 == effect && rule(line).covers().contains(operation) && Glob::new(line.2).matches(&name)
            });
            let rights = topics(&lines);
            let decision = rights.decide(operation, Resource::Topic, &name);
            prop_assert_eq!(rights.allows(operation, Resource::Topic, &name), decision.allowed);
            prop_assert_eq!(decision.allowed, says(Allow) && !says(Deny));
            prop_assert_eq!(decision.by.is_some(), says(Allow) || says(Deny));
            prop_assert_eq!(rights.operations_on(Resource::Topic, &name).contains(operation), decision.allowed);
            if rights.decide_on_any(operation, Resource::Topic).allowed {
                let allows = |line: &Line| line.0 == Allow && rule(*line).covers().contains(operation);
                prop_assert!(lines.iter().any(allows));
            } else {
                // No name of three letters out of a wider alphabet is allowed either.
                for other in ["abc", "c", "cc", "acb", "ccb", "bcc", "acc", "cab"] {
                    prop_assert!(!rights.decide(operation, Resource::Topic, other).allowed, "{other}");
                }
            }
        }
    }
}
