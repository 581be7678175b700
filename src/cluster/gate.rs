//! The way in: ask, then rename.

use std::cell::RefCell;
use std::fmt;

use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{OperatorApi, OptIn, Spoken, VirtualCluster};
use crate::names::{InvalidName, InvalidPattern, Kind, NameSlot, Pattern, TopicSlot, Virtual};
use crate::policy::{Operation, Resource, Rights, RuleRef};

/// One client's way in: asks the policy about each name, and renames what is granted.
///
/// Every "no" is kept until [`Gate::into_denials`], for the audit log.
pub struct Gate<'a> {
    cluster: &'a VirtualCluster,
    rights: &'a Rights,
    denials: RefCell<Vec<Denial>>,
    spoken: RefCell<Spoken>,
}

/// One "no", and why.
#[derive(Debug, Clone)]
pub struct Denial {
    pub operation: Operation,
    pub resource: Resource,
    pub name: String,
    pub cause: Cause,
}

/// What decided against a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    Rule(RuleRef),
    /// Nothing allows it.
    NoRule,
    /// No such name can be in this virtual cluster.
    OutsideNamespace,
    /// Kafka takes no such name.
    InvalidName(InvalidName),
    /// It is managed on the backend.
    Additional,
    /// It concerns the whole Kafka cluster, and this virtual cluster's file does not ask for it.
    NotOptedIn,
    /// No topic of this virtual cluster has this id.
    UnknownId,
    /// The client calls the topic by another of its names as well, where one must do.
    TwoNames,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Rule(rule) => rule.fmt(f),
            Cause::NoRule => f.write_str("no rule allows it"),
            Cause::OutsideNamespace => f.write_str("the name lies outside the virtual cluster"),
            Cause::InvalidName(why) => why.fmt(f),
            Cause::UnknownId => f.write_str("no topic of the virtual cluster has this id"),
            Cause::TwoNames => f.write_str("the client calls the topic by another of its names as well"),
            Cause::Additional => f.write_str("an additional name is managed on the backend"),
            Cause::NotOptedIn => f.write_str("operator_apis of the virtual cluster does not list it"),
        }
    }
}

/// Why a name does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum No {
    /// The policy says no, or the name can not be in this namespace: the client can not tell which.
    Denied(Resource),
    /// The name is empty where Kafka wants one.
    Empty(Kind),
    /// No topic of this virtual cluster has the id.
    UnknownId,
    /// The client calls the topic by another of its names as well, and the broker knows one.
    TwoNames,
}

impl<'a> Gate<'a> {
    pub fn new(cluster: &'a VirtualCluster, rights: &'a Rights) -> Self {
        Self { cluster, rights, denials: RefCell::default(), spoken: RefCell::default() }
    }

    pub fn cluster(&self) -> &'a VirtualCluster {
        self.cluster
    }

    /// What the client may do as long as these are its rights.
    pub fn rights(&self) -> &'a Rights {
        self.rights
    }

    /// By which names the request, or this part of it, calls topics that have several.
    pub fn take_spoken(&self) -> Spoken {
        self.spoken.take()
    }

    pub fn into_denials(self) -> Vec<Denial> {
        self.denials.into_inner()
    }

    /// Asks about one name, and writes the backend's name in its place.
    pub fn one<'m>(&self, need: Operation, name: impl Into<NameSlot<'m>>) -> Result<(), No> {
        let slot = name.into();
        self.ask(need, slot.kind.into(), slot.text)?;
        if slot.text.is_empty() && slot.kind != Kind::Topic {
            return Err(No::Empty(slot.kind));
        }
        self.rename(need, slot)
    }

    /// Asks about each element's name; the granted stay, renamed, and the refused are handed back as
    /// the client sent them.
    pub fn each<E>(&self, need: Operation, of: &mut Vec<E>, name: impl Fn(&mut E) -> NameSlot<'_>) -> Vec<E> {
        self.each_with(of, |element| self.one(need, name(element)).is_ok())
    }

    /// Asks about each topic that a member of a group reads: a group reads a topic once, so further names of
    /// one are left out.
    pub fn each_once<E>(
        &self,
        need: Operation,
        of: &mut Vec<E>,
        name: impl Fn(&mut E) -> NameSlot<'_>,
    ) -> Result<(), No> {
        let mut verdict = Ok(());
        of.retain_mut(|element| {
            let slot = name(element);
            verdict = verdict.and_then(|()| self.ask(need, slot.kind.into(), slot.text));
            if verdict.is_err() || !self.speaks(slot.text) {
                return false;
            }
            verdict = self.rename(need, slot);
            verdict.is_ok()
        });
        verdict
    }

    /// Keeps what passes and hands back the rest, both in order.
    pub fn each_with<E>(&self, of: &mut Vec<E>, mut passes: impl FnMut(&mut E) -> bool) -> Vec<E> {
        of.extract_if(.., |element| !passes(element)).collect()
    }

    /// Asks about each element's topic, by whatever the version has of it; the refused are handed back as
    /// the client sent them, each with its reason.
    pub fn each_topic<E>(
        &self,
        need: Operation,
        of: &mut Vec<E>,
        topic: impl Fn(&mut E) -> TopicSlot<'_>,
    ) -> Vec<(E, No)> {
        let mut refused = Vec::new();
        for mut element in std::mem::take(of) {
            let verdict = match topic(&mut element) {
                TopicSlot::Name(name) => self.one(need, name),
                TopicSlot::Id(id) => self.topic_id(need, id),
            };
            match verdict {
                Ok(()) => of.push(element),
                Err(no) => refused.push((element, no)),
            }
        }
        refused
    }

    /// Asks about a topic by its id, and writes the broker's in its place. Another tenant's is as unknown
    /// as one that nobody has.
    pub fn topic_id(&self, need: Operation, id: &mut Uuid) -> Result<(), No> {
        let Some(name) = self.topic_behind(*id) else {
            self.note(need, Resource::Topic, &id.to_string(), Cause::UnknownId);
            return Err(No::UnknownId);
        };
        self.ask(need, Resource::Topic, name.as_ref())?;
        self.rename_id(need, id)
    }

    /// Writes the broker's id of a topic in place of the client's, which is another where the client calls
    /// the topic by an alias.
    pub fn rename_id(&self, need: Operation, id: &mut Uuid) -> Result<(), No> {
        if self.has_aliases()
            && let Some((topic, name)) = self.cluster.topic_of(*id)
        {
            self.note_name(need, name.as_ref())?;
            *id = topic;
        }
        Ok(())
    }

    /// The client's name for the topic behind an id; `None` where it is not in this virtual cluster.
    pub fn topic_behind(&self, id: Uuid) -> Option<Virtual<StrBytes>> {
        Some(self.cluster.topic_of(id)?.1)
    }

    /// The broker's id for a client's; the same where it is not the id of an alias.
    pub fn broker_id(&self, id: Uuid) -> Uuid {
        self.cluster.topic_of(id).map_or(id, |(topic, _)| topic)
    }

    /// Whether an id needs no question: it stands for a topic of this virtual cluster, or for none. Another
    /// tenant's is asked about as one that nobody has is, so that the time of the answer tells neither.
    pub fn knows_id(&self, id: Uuid) -> bool {
        id.is_nil() || self.cluster.has_id(id)
    }

    fn has_aliases(&self) -> bool {
        self.cluster.namespace.has_aliases()
    }

    /// Keeps the name by which the client calls a topic, for the answer; a second one is refused, since
    /// the broker answers once.
    pub fn note_name(&self, need: Operation, said: &str) -> Result<(), No> {
        if self.speaks(said) {
            return Ok(());
        }
        self.note(need, Resource::Topic, said, Cause::TwoNames);
        Err(No::TwoNames)
    }

    /// As [`Gate::note_name`]; false where it is a second one, of which nothing is noted.
    pub fn speaks(&self, said: &str) -> bool {
        self.keep_name(&mut self.spoken.borrow_mut(), said)
    }

    /// Keeps among others the name by which a topic is called; false where it is called by another there.
    pub fn keep_name(&self, spoken: &mut Spoken, said: &str) -> bool {
        let namespace = &self.cluster.namespace;
        if !namespace.has_aliases() {
            return true;
        }
        let topic = namespace.behind_alias(said).unwrap_or(said);
        if namespace.aliases_of(topic).next().is_none() {
            return true;
        }
        spoken.keep(topic, said);
        spoken.name(topic) == Some(said)
    }

    /// Asks about a resource without renaming anything.
    pub fn ask(&self, need: Operation, resource: Resource, name: &str) -> Result<(), No> {
        if self.grants(need, resource, name) {
            return Ok(());
        }
        self.note(need, resource, name, self.rights.decide(need, resource, name).by.into());
        Err(No::Denied(resource))
    }

    /// Asks about the cluster itself.
    pub fn ask_cluster(&self, need: Operation) -> Result<(), No> {
        self.ask(need, Resource::Cluster, CLUSTER_NAME)
    }

    /// Asks about a call that concerns the whole Kafka cluster: the file must list it, and a rule allow it.
    pub fn ask_operator(&self, api: OperatorApi) -> Result<(), No> {
        if self.cluster.opt_ins.has(OptIn::Operator(api)) {
            return self.ask_cluster(api.needs());
        }
        self.note(api.needs(), Resource::Cluster, CLUSTER_NAME, Cause::NotOptedIn);
        Err(No::Denied(Resource::Cluster))
    }

    /// Whether an operation is granted; nothing is noted when it is not.
    pub fn grants(&self, need: Operation, resource: Resource, name: &str) -> bool {
        self.rights.allows(need, resource, name)
    }

    /// Whether a name would pass; nothing is noted when it would not.
    pub fn passes(&self, need: Operation, kind: Kind, name: &StrBytes) -> bool {
        let said = Virtual::said_by_client(name.clone());
        self.grants(need, kind.into(), name) && self.cluster.namespace.to_backend(kind, &said).is_some()
    }

    /// Whether an operation is granted on every name that a client could say.
    pub fn grants_every(&self, need: Operation, resource: Resource) -> bool {
        self.rights.allows_on_every(need, resource)
    }

    pub fn grants_cluster(&self, need: Operation) -> bool {
        self.grants(need, Resource::Cluster, CLUSTER_NAME)
    }

    /// Asks whether the operation is granted on any name at all.
    pub fn ask_any(&self, need: Operation, resource: Resource) -> Result<(), No> {
        let decision = self.rights.decide_on_any(need, resource);
        if decision.allowed {
            return Ok(());
        }
        self.note(need, resource, "*", decision.by.into());
        Err(No::Denied(resource))
    }

    /// Writes the backend's name in place of the client's, for an operation that is granted.
    pub fn rename(&self, need: Operation, slot: NameSlot<'_>) -> Result<(), No> {
        if slot.kind == Kind::Topic {
            self.note_name(need, slot.text)?;
        }
        self.rename_again(need, slot)
    }

    /// As [`Gate::rename`], where a topic may be named by several names and is answered for under each.
    pub fn rename_again(&self, need: Operation, slot: NameSlot<'_>) -> Result<(), No> {
        let name = Virtual::said_by_client(std::mem::take(slot.text));
        match self.cluster.namespace.to_backend(slot.kind, &name) {
            Some(backend) => {
                *slot.text = backend.into_inner();
                Ok(())
            }
            None => {
                *slot.text = name.into_inner();
                self.note(need, slot.kind.into(), slot.text, Cause::OutsideNamespace);
                Err(No::Denied(slot.kind.into()))
            }
        }
    }

    /// The backend's name for a client's, where no slot of a message holds it.
    pub fn to_backend(&self, kind: Kind, name: &str) -> Option<StrBytes> {
        let name = Virtual::said_by_client(StrBytes::from_string(name.to_owned()));
        Some(self.cluster.namespace.to_backend(kind, &name)?.into_inner())
    }

    /// The backend's pattern for a client's; nothing is asked and nothing noted.
    pub fn pattern(&self, kind: Kind, pattern: Pattern) -> Result<Pattern, InvalidPattern> {
        let asked = Virtual::said_by_client(pattern);
        Ok(self.cluster.namespace.pattern_to_backend(kind, &asked)?.into_inner())
    }

    /// Keeps a "no" that is not the policy's, for the audit log.
    pub fn note(&self, operation: Operation, resource: Resource, name: &str, cause: Cause) {
        let mut denials = self.denials.borrow_mut();
        if denials.len() < DENIALS_NOTED_MAX {
            denials.push(Denial { operation, resource, name: name.to_owned(), cause });
        }
    }
}

impl From<Option<RuleRef>> for Cause {
    fn from(rule: Option<RuleRef>) -> Self {
        rule.map_or(Cause::NoRule, Cause::Rule)
    }
}

/// The one resource of kind cluster, as Kafka names it.
pub(super) const CLUSTER_NAME: &str = "kafka-cluster";

/// A request of a thousand refused names is one misconfigured client, not a thousand events.
const DENIALS_NOTED_MAX: usize = 16;
