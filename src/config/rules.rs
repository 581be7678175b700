//! The policies of a virtual cluster, and rules that are probably not meant as they stand.

use kafka_protocol::protocol::StrBytes;

use super::file;
use super::opt_ins::operator_api;
use super::problem::{Place, Report};
use super::shape::{Computable, ListOrComputed, Placed};
use super::yaml::{Text, quoted};
use crate::names::{Glob, InvalidName, Kind, Mode, Namespace, Virtual};
use crate::policy::{
    AclPolicy, Condition, Effect, NameExpression, Operation, OperationSet, Policy, Resource, Rule,
};

/// A policy that counts, with the places of its rules.
struct Read {
    /// As it is written; none means always.
    condition: Option<String>,
    rules: Vec<Placed<Rule>>,
}

impl Read {
    /// Whether this policy's rules count whenever the other's do, as far as their texts say.
    fn counts_with(&self, other: &Read) -> bool {
        self.condition.is_none() || self.condition == other.condition
    }
}

/// Reads the policies of one virtual cluster.
pub(super) fn policy(
    section: &file::VirtualCluster,
    namespace: Option<&Namespace>,
    report: &mut Report,
) -> Policy {
    let sections = section.cluster_policies.iter().flat_map(|policies| &policies.value.items);
    let mut policies = Vec::new();
    let mut read = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for Placed { value: file::ClusterPolicy::AclsPolicy(section), .. } in sections {
        let enabled = section.enabled.as_ref().is_none_or(|enabled| enabled.value);
        let Some(name) = &section.name else { continue };
        if name.value.text.is_empty() {
            report.error(name.at, "the name of the policy is empty");
        } else if names.contains(&name.value.text.as_str()) {
            report.error(
                name.at,
                format!("the policy {} stands twice in this virtual cluster", name.value.shown()),
            );
        }
        names.push(&name.value.text);
        let (condition, rules) = (condition(section.condition.as_ref(), report), rules(section, report));
        let Some(condition) = condition else { continue };
        if !enabled {
            continue;
        }
        let text = section.condition.as_ref().map(|condition| condition.value.text.clone());
        let plain = rules.iter().map(|rule| rule.value.clone()).collect();
        policies.push(AclPolicy { name: name.value.text.as_str().into(), condition, rules: plain });
        read.push(Read { condition: text, rules });
    }
    let passthrough = section.acl_mode.as_ref().filter(|mode| mode.value == file::AclMode::Passthrough);
    if let Some(mode) = passthrough {
        if !policies.is_empty() {
            report.warn(
                mode.at,
                "with acl_mode: passthrough the broker decides, and the policies below are not looked at",
            );
        }
        return Policy::passthrough();
    }
    if let Some(name) = section.name.as_ref().filter(|_| policies.is_empty()) {
        report.warn(
            name.at,
            format!(
                "the virtual cluster {} has no policy that counts, so nobody may do anything in it",
                name.value.shown()
            ),
        );
    }
    doubts(&read, namespace, report);
    unreachable_calls(section, &read, report);
    Policy::enforce(policies)
}

/// The outer `None` is a condition that is broken, the inner one that there is none.
fn condition(written: Option<&Placed<Text>>, report: &mut Report) -> Option<Option<Condition>> {
    let Some(Placed { at, value: text }) = written else { return Some(None) };
    match Condition::parse(&text.text) {
        Ok(condition) => Some(Some(condition)),
        Err(error) if text.stands_for.is_some() => {
            report.error(
                *at,
                format!("what {} brings is no condition, from character {} on", text.shown(), error.at + 1),
            );
            None
        }
        Err(error) => {
            let place = text.place_of(error.at).unwrap_or(*at);
            report.error(place, format!("the condition is none: {}", error.message));
            None
        }
    }
}

fn rules(section: &file::AclsPolicy, report: &mut Report) -> Vec<Placed<Rule>> {
    let Some(config) = &section.config else { return Vec::new() };
    let Some(sections) = &config.value.rules else { return Vec::new() };
    if sections.value.written == 0 {
        report.warn(sections.at, "a policy without rules has no effect");
    }
    let placed = |section: &Placed<file::AclRule>, report: &mut Report| {
        Some(Placed { at: section.at, value: rule(section, report)? })
    };
    sections.value.items.iter().filter_map(|section| placed(section, report)).collect()
}

fn rule(section: &Placed<file::AclRule>, report: &mut Report) -> Option<Rule> {
    let Placed { at, value: section } = section;
    let effect = match section.action.as_ref()?.value {
        file::Action::Allow => Effect::Allow,
        file::Action::Deny => Effect::Deny,
    };
    let resource = resource(section.resource_type.as_ref()?.value);
    let listed = &section.operations.as_ref()?.value;
    let mut operations = Vec::new();
    for Placed { at, value } in &listed.items {
        let operation = operation(value.name.as_ref()?.value);
        if !operation.applies_to(resource) {
            report
                .warn(*at, format!("Kafka knows no {operation} on a {resource}, so this is without effect"));
        }
        operations.push(operation);
    }
    let names = names(section.resource_names.as_ref(), report)?;
    if operations.len() < listed.written {
        return None; // already reported
    }
    let from_outside = matches!(names, Names::Written { from_outside: true, .. });
    let rule = match names {
        Names::Written { names, .. } => Rule::new(effect, resource, operations, names),
        Names::Computed(names) => Rule::with_computed_names(effect, resource, operations, names),
    };
    match rule {
        Ok(rule) => Some(rule),
        Err(_) if from_outside => {
            report.error(*at, "a name that comes from outside makes this rule invalid");
            None
        }
        Err(error) => {
            report.error(*at, error.to_string());
            None
        }
    }
}

/// Where a rule's names come from.
enum Names {
    Written { names: Vec<Glob>, from_outside: bool },
    Computed(NameExpression),
}

fn names(section: Option<&Placed<ListOrComputed<file::ResourceName>>>, report: &mut Report) -> Option<Names> {
    let (at, list) = match section {
        None => return Some(Names::Written { names: Vec::new(), from_outside: false }),
        Some(Placed { at, value: ListOrComputed::Computed(template) }) => {
            return computed_names(*at, &template.expression(), report);
        }
        Some(Placed { at, value: ListOrComputed::Listed(list) }) => (*at, list),
    };
    let texts: Option<Vec<_>> =
        list.items.iter().map(|item| item.value.r#match.as_ref().map(|text| &text.value)).collect();
    let texts = texts.filter(|texts| texts.len() == list.written)?; // already reported
    if texts.iter().any(|text| matches!(text, Computable::Computed(_))) {
        let terms: Vec<String> = texts
            .iter()
            .map(|text| match text {
                Computable::Written(text) => quoted(&text.text),
                Computable::Computed(template) => template.expression(),
            })
            .collect();
        return match terms.as_slice() {
            [one] => computed_names(at, one, report),
            several => computed_names(at, &format!("[{}]", several.join(", ")), report),
        };
    }
    let (mut names, mut from_outside) = (Vec::new(), false);
    for text in texts {
        let Computable::Written(text) = text else { continue };
        from_outside |= text.stands_for.is_some();
        names.push(Glob::new(&text.text));
    }
    Some(Names::Written { names, from_outside })
}

fn computed_names(at: Place, expression: &str, report: &mut Report) -> Option<Names> {
    match NameExpression::parse(expression) {
        Ok(names) => Some(Names::Computed(names)),
        Err(error) => {
            report.error(at, format!("these names can not be computed: {error}"));
            None
        }
    }
}

/// Tells of rules that are allowed and probably not meant.
fn doubts(policies: &[Read], namespace: Option<&Namespace>, report: &mut Report) {
    for policy in policies {
        reads_without_a_group(policy, policies, report);
        for rule in &policy.rules {
            covered_by_a_deny(rule, policy, policies, report);
            let Some(namespace) = namespace else { continue };
            for glob in rule.value.written_names() {
                unreachable_name(rule.at, rule.value.resource(), glob, namespace, report);
            }
        }
    }
}

/// Kafka's consumers ask for a group before they ask for a topic.
fn reads_without_a_group(policy: &Read, policies: &[Read], report: &mut Report) {
    let Some(rule) = policy.rules.iter().find(|rule| rule.value.grants(Operation::Read, Resource::Topic))
    else {
        return;
    };
    let reads_a_group =
        |other: &&Read| other.rules.iter().any(|rule| rule.value.grants(Operation::Read, Resource::Group));
    if !policies.iter().filter(|other| other.counts_with(policy)).any(|other| reads_a_group(&other)) {
        report.warn(
            rule.at,
            "this lets clients read topics and no rule for the same clients lets them read a group, which consuming needs; add a rule with resource_type: group and the operation read",
        );
    }
}

fn covered_by_a_deny(rule: &Placed<Rule>, policy: &Read, policies: &[Read], report: &mut Report) {
    let Placed { at, value: rule } = rule;
    if rule.effect() != Effect::Allow || rule.written_names().is_empty() {
        return;
    }
    let denies: Vec<&Rule> = policies
        .iter()
        .filter(|other| other.counts_with(policy))
        .flat_map(|other| &other.rules)
        .map(|rule| &rule.value)
        .filter(|other| other.effect() == Effect::Deny && other.resource() == rule.resource())
        .collect();
    let denied = |name: &Glob| {
        let covering =
            denies.iter().filter(|deny| deny.written_names().iter().any(|deny| covers(deny, name)));
        covering.map(|deny| deny.covers()).fold(OperationSet::NONE, OperationSet::union)
    };
    if rule.written_names().iter().all(|name| rule.covers().without(denied(name)).is_empty()) {
        report.warn(*at, "this allows nothing: rules that deny cover it wholly");
    }
}

/// Whether every name that the narrow pattern matches is matched by the wide one; sure when it says so.
///
/// Shape: the narrow pattern's own `*` and `?` count as characters that only a star of the wide one
/// swallows.
fn covers(wide: &Glob, narrow: &Glob) -> bool {
    wide.as_str() == narrow.as_str()
        || (narrow.is_literal() || !wide.as_str().contains('?')) && wide.matches(narrow.as_str())
}

fn unreachable_name(at: Place, resource: Resource, glob: &Glob, namespace: &Namespace, report: &mut Report) {
    let kind = match resource {
        Resource::Topic => Kind::Topic,
        Resource::Group => Kind::Group,
        Resource::TransactionalId => Kind::TransactionalId,
        Resource::Cluster => return,
    };
    let (name, prefix) = (glob.as_str(), namespace.prefix());
    match namespace.mode() {
        Mode::HidePrefix => {
            if let Some(short) = name.strip_prefix(prefix).filter(|short| !short.is_empty()) {
                report.warn(at, format!("{name:?} begins with the hidden prefix {prefix:?}, which clients do not write: they call it {short:?}"));
            } else if glob.is_literal() && namespace.check(kind, name).is_err() {
                let why = namespace
                    .check(kind, name)
                    .err()
                    .map_or(String::new(), |why: InvalidName| format!(": {why}"));
                report.warn(at, format!("no {resource} is ever called {name:?}{why}"));
            }
        }
        Mode::EnforcePrefix => {
            let reachable = if glob.is_literal() {
                let asked = Virtual::said_by_client(StrBytes::from_string(name.to_owned()));
                namespace.to_backend(kind, &asked).is_some()
            } else {
                glob.can_match_beginning(prefix)
                    || namespace.additional(kind).is_some_and(|names| !names.is_empty())
            };
            if !reachable {
                report.warn(at, format!("no {resource} of this virtual cluster is called {name:?}: its names begin with {prefix:?}, for clients too"));
            }
        }
    }
}

/// Calls that the virtual cluster asks for and nobody may send.
fn unreachable_calls(section: &file::VirtualCluster, policies: &[Read], report: &mut Report) {
    for Placed { at, value: word } in section.operator_apis.iter().flat_map(|list| &list.value.items) {
        let (api, need) = (operator_api(*word).as_str(), operator_api(*word).needs());
        let mut rules = policies.iter().flat_map(|policy| &policy.rules);
        if !rules.any(|rule| rule.value.grants(need, Resource::Cluster)) {
            report.warn(
                *at,
                format!("nobody may send {api}: it needs {need} on the cluster, which no rule allows; add a rule with resource_type: cluster"),
            );
        }
    }
}

fn resource(word: file::ResourceWord) -> Resource {
    match word {
        file::ResourceWord::Topic => Resource::Topic,
        file::ResourceWord::Group => Resource::Group,
        file::ResourceWord::TransactionalId => Resource::TransactionalId,
        file::ResourceWord::Cluster => Resource::Cluster,
    }
}

fn operation(word: file::OperationWord) -> Operation {
    match word {
        file::OperationWord::All => Operation::All,
        file::OperationWord::Alter => Operation::Alter,
        file::OperationWord::AlterConfigs => Operation::AlterConfigs,
        file::OperationWord::Create => Operation::Create,
        file::OperationWord::Delete => Operation::Delete,
        file::OperationWord::Describe => Operation::Describe,
        file::OperationWord::DescribeConfigs => Operation::DescribeConfigs,
        file::OperationWord::IdempotentWrite => Operation::IdempotentWrite,
        file::OperationWord::Read => Operation::Read,
        file::OperationWord::Write => Operation::Write,
    }
}
