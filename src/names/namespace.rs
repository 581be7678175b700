//! The only door between the client's names and the broker's.

use std::collections::{BTreeSet, HashSet};

use bytes::Buf;
use kafka_protocol::protocol::StrBytes;

use super::alias::{Aliases, InvalidAlias};
use super::glob::Glob;
use super::{Backend, Kind, Virtual};

/// Which backend names one virtual cluster owns, and what its clients call them.
///
/// But for aliases the mapping is injective: two virtual names never mean one backend name, nor the
/// reverse. Names under the prefix come first; additional names keep their own.
#[derive(Clone, Debug)]
pub struct Namespace {
    mode: Mode,
    prefix: String,
    topics: Additional,
    groups: Additional,
    aliases: Aliases,
    /// Additional topics and aliases whose twin exists on the backend: for these the twin wins.
    overshadowed: BTreeSet<String>,
}

/// What clients see of the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Clients use short names; the prefix is put on and taken off.
    HidePrefix,
    /// Clients use full names, and none but those under the prefix.
    EnforcePrefix,
}

/// Backend names outside the prefix that a virtual cluster shows as they are.
#[derive(Clone, Debug, Default)]
pub struct Additional {
    exact: HashSet<String>,
    globs: Vec<Glob>,
}

impl Namespace {
    pub fn new(
        mode: Mode,
        prefix: &str,
        topics: Additional,
        groups: Additional,
    ) -> Result<Self, InvalidNamespace> {
        if prefix.is_empty() {
            return Err(InvalidNamespace::EmptyPrefix);
        }
        if let Some(character) = prefix.chars().find(|c| !is_topic_character(*c)) {
            return Err(InvalidNamespace::PrefixCharacter(character));
        }
        if prefix.len() > PREFIX_BYTES_MAX {
            return Err(InvalidNamespace::PrefixTooLong(prefix.len()));
        }
        for additional in [&topics, &groups] {
            if let Some(name) = additional.exact.iter().find(|name| name.starts_with(prefix)) {
                return Err(InvalidNamespace::AdditionalUnderPrefix(name.clone()));
            }
        }
        Ok(Self {
            mode,
            prefix: prefix.to_owned(),
            topics,
            groups,
            aliases: Aliases::default(),
            overshadowed: BTreeSet::new(),
        })
    }

    /// A namespace whose prefix is not known yet: no topic is in it.
    pub fn unresolved(mode: Mode) -> Self {
        Self {
            mode,
            prefix: UNRESOLVED.to_owned(),
            topics: Additional::default(),
            groups: Additional::default(),
            aliases: Aliases::default(),
            overshadowed: BTreeSet::new(),
        }
    }

    /// The same namespace with another prefix.
    pub fn with_prefix(&self, prefix: &str) -> Result<Self, InvalidNamespace> {
        let topics = self.topics.clone();
        let aliases = self.aliases.clone();
        Ok(Self { aliases, ..Self::new(self.mode, prefix, topics, self.groups.clone())? })
    }

    /// Gives a topic of this namespace a second name.
    pub fn add_alias(&mut self, alias: &str, topic: &str) -> Result<(), InvalidAlias> {
        let named = |name: &str| Virtual::said_by_client(StrBytes::from_string(name.to_owned()));
        self.check(Kind::Topic, alias).map_err(InvalidAlias::Name)?;
        if alias == topic {
            return Err(InvalidAlias::OwnTopic);
        }
        if self.is_additional(Kind::Topic, alias) {
            return Err(InvalidAlias::Additional);
        }
        if self.to_backend(Kind::Topic, &named(topic)).is_none() || self.check(Kind::Topic, topic).is_err() {
            return Err(InvalidAlias::Topic(topic.to_owned()));
        }
        self.aliases.add(alias, topic)
    }

    /// Whether any topic has a second name.
    pub fn has_aliases(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// The topic that an alias stands for; `None` where the name is no alias, or a real topic's.
    pub fn behind_alias(&self, name: &str) -> Option<&str> {
        let topic = self.aliases.topic(name)?;
        (!self.overshadowed.contains(name)).then_some(topic)
    }

    /// The second names of a topic.
    pub fn aliases_of<'n>(&'n self, topic: &str) -> impl Iterator<Item = &'n str> {
        self.aliases.of(topic).filter(|alias| !self.overshadowed.contains(*alias))
    }

    /// The topics that aliases stand for, as the broker calls them.
    pub fn aliased_topics(&self) -> impl Iterator<Item = Backend<StrBytes>> {
        let topics = self.aliases.topics().map(|topic| StrBytes::from_string(topic.to_owned()));
        topics.filter_map(|topic| self.to_backend(Kind::Topic, &Virtual::said_by_client(topic)))
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn additional(&self, kind: Kind) -> Option<&Additional> {
        match kind {
            Kind::Topic => Some(&self.topics),
            Kind::Group => Some(&self.groups),
            Kind::TransactionalId => None,
        }
    }

    /// The broker's name for what a client named; `None` where no such name can be in this namespace.
    pub fn to_backend(&self, kind: Kind, name: &Virtual<StrBytes>) -> Option<Backend<StrBytes>> {
        let name = name.as_ref();
        if name.is_empty() || (kind == Kind::Topic && matches!(name.as_str(), "." | "..")) {
            return None;
        }
        if let Some(topic) = self.topic_behind_alias(kind, name) {
            let topic = StrBytes::from_string(topic.to_owned());
            return self.to_backend(kind, &Virtual::said_by_client(topic));
        }
        if self.is_additional(kind, name) {
            return Some(Backend::meant_for_broker(name.clone()));
        }
        let full = match self.mode {
            Mode::HidePrefix => {
                let mut full = String::with_capacity(self.prefix.len() + name.len());
                full.push_str(&self.prefix);
                full.push_str(name);
                StrBytes::from_string(full)
            }
            Mode::EnforcePrefix if name.starts_with(&self.prefix) => name.clone(),
            Mode::EnforcePrefix => return None,
        };
        // A prefix with which such a name begins would lead there.
        let is_internal = kind == Kind::Topic && is_internal_topic(&full);
        (!is_internal).then(|| Backend::meant_for_broker(full))
    }

    fn topic_behind_alias(&self, kind: Kind, name: &str) -> Option<&str> {
        if kind == Kind::Topic && self.has_aliases() { self.behind_alias(name) } else { None }
    }

    /// The client's name for what the broker named, and of a topic its own, never an alias; `None` where
    /// it is not this tenant's to see.
    pub fn to_virtual(&self, kind: Kind, name: &Backend<StrBytes>) -> Option<Virtual<StrBytes>> {
        let name = name.as_ref();
        if kind == Kind::Topic && is_internal_topic(name) {
            return None;
        }
        let shown = match (name.as_str().strip_prefix(self.prefix.as_str()), self.mode) {
            (Some(short), Mode::HidePrefix) => {
                if short.is_empty() || (kind == Kind::Topic && matches!(short, "." | "..")) {
                    return None;
                }
                // An additional topic keeps its name until its prefixed twin is known to exist.
                if self.is_additional(kind, short) {
                    return None;
                }
                behind(name, self.prefix.len())?
            }
            (Some(_), Mode::EnforcePrefix) => name.clone(),
            (None, _) if self.is_additional(kind, name) => name.clone(),
            (None, _) => return None,
        };
        // A name that means another topic, until its real topic is known to exist.
        if self.topic_behind_alias(kind, &shown).is_some() {
            return None;
        }
        Some(Virtual::shown_to_client(shown))
    }

    /// What the broker calls something, for people; `None` where no such name can be in this namespace.
    pub fn full_name(&self, kind: Kind, name: &str) -> Option<String> {
        let name = Virtual::said_by_client(StrBytes::from_string(name.to_owned()));
        self.to_backend(kind, &name).map(|full| full.into_inner().to_string())
    }

    /// Whether a virtual name stands for something outside the prefix, which clients may not create.
    pub fn is_additional(&self, kind: Kind, name: &str) -> bool {
        let name = self.topic_behind_alias(kind, name).unwrap_or(name);
        if name.starts_with(&self.prefix) {
            return false;
        }
        match kind {
            Kind::Topic => {
                self.topics.contains(name) && !is_internal_topic(name) && !self.overshadowed.contains(name)
            }
            Kind::Group => self.groups.contains(name),
            Kind::TransactionalId => false,
        }
    }

    /// Whether the topics here are those behind the hidden prefix and no others.
    pub fn is_all_behind_prefix(&self) -> bool {
        self.mode == Mode::HidePrefix
            && self.topics.is_empty()
            && !INTERNAL_TOPICS.iter().any(|topic| topic.starts_with(&self.prefix))
    }

    /// The additional topics and aliases whose twin is among the backend's topics.
    pub fn conflicts<'n>(&self, backend_topics: impl Iterator<Item = &'n str>) -> BTreeSet<String> {
        let shown = |topic: &'n str| match (topic.strip_prefix(self.prefix.as_str()), self.mode) {
            (Some(short), Mode::HidePrefix) => Some(short),
            (Some(_), Mode::EnforcePrefix) => Some(topic),
            (None, _) => None,
        };
        let is_twin = |name: &str| {
            let is_additional = self.mode == Mode::HidePrefix && self.topics.contains(name);
            is_additional || self.aliases.topic(name).is_some()
        };
        backend_topics.filter_map(shown).filter(|name| is_twin(name)).map(str::to_owned).collect()
    }

    /// The topics, as the broker calls them, that would win over aliases if they were there.
    pub fn alias_twins(&self) -> impl Iterator<Item = String> {
        let prefix = if self.mode == Mode::HidePrefix { self.prefix.as_str() } else { "" };
        self.aliases.names().map(move |alias| format!("{prefix}{alias}"))
    }

    /// The same namespace, where for these additional topics and aliases the twin wins.
    pub fn with_conflicts(&self, overshadowed: BTreeSet<String>) -> Self {
        Self { overshadowed, ..self.clone() }
    }

    pub fn known_conflicts(&self) -> &BTreeSet<String> {
        &self.overshadowed
    }

    /// Whether a name may be given to something new.
    ///
    /// Limits: 249 characters of `[a-zA-Z0-9._-]` for a topic, the hidden prefix included.
    /// Source: Kafka's `Topic.validate`.
    pub fn check(&self, kind: Kind, name: &str) -> Result<(), InvalidName> {
        if name.is_empty() {
            return Err(InvalidName::Empty);
        }
        let hidden = if self.mode == Mode::HidePrefix { self.prefix.len() } else { 0 };
        let length_max = match kind {
            Kind::Topic => TOPIC_CHARACTERS_MAX,
            Kind::Group | Kind::TransactionalId => i16::MAX as usize,
        } - hidden;
        if name.len() > length_max {
            return Err(InvalidName::TooLong { length_max });
        }
        if kind == Kind::Topic {
            if matches!(name, "." | "..") {
                return Err(InvalidName::Dots);
            }
            if !name.chars().all(is_topic_character) {
                return Err(InvalidName::Character);
            }
            if is_internal_topic(name) {
                return Err(InvalidName::Internal);
            }
            if self.mode == Mode::EnforcePrefix
                && !name.starts_with(&self.prefix)
                && !self.is_additional(kind, name)
            {
                return Err(InvalidName::OutsidePrefix);
            }
        }
        Ok(())
    }
}

impl Additional {
    pub fn new(exact: impl IntoIterator<Item = String>, globs: impl IntoIterator<Item = Glob>) -> Self {
        Self { exact: exact.into_iter().collect(), globs: globs.into_iter().collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }

    pub fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(String::as_str)
    }

    pub fn globs(&self) -> &[Glob] {
        &self.globs
    }

    fn contains(&self, name: &str) -> bool {
        self.exact.contains(name) || self.globs.iter().any(|glob| glob.matches(name))
    }
}

/// Why a prefix and its additional names make no namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNamespace {
    #[error("the prefix is empty; give each virtual cluster a prefix of its own")]
    EmptyPrefix,
    #[error("the prefix contains {0:?}; a prefix may hold letters, digits, '.', '_' and '-'")]
    PrefixCharacter(char),
    #[error("the prefix has {0} characters; at most {PREFIX_BYTES_MAX} leave room for the names behind it")]
    PrefixTooLong(usize),
    #[error("{0:?} already lies under the prefix and is reached by its short name; take it off the list")]
    AdditionalUnderPrefix(String),
}

/// Why a name can not be given to something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidName {
    #[error("the name is empty")]
    Empty,
    #[error("the name is longer than {length_max} characters")]
    TooLong { length_max: usize },
    #[error("the name must not be '.' or '..'")]
    Dots,
    #[error("the name may hold only letters, digits, '.', '_' and '-'")]
    Character,
    #[error("the name belongs to Kafka itself")]
    Internal,
    #[error("the name does not begin with the prefix of this virtual cluster")]
    OutsidePrefix,
}

/// Topics that Kafka keeps for itself; they are outside every namespace.
pub fn is_internal_topic(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// Their names.
pub(super) const INTERNAL_TOPICS: [&str; 4] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];

fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// A copy of its own: a slice of the frame would keep the whole frame alive.
/// The name without its first bytes, which are a prefix of it; shares the memory of the whole.
fn behind(name: &StrBytes, prefix_bytes: usize) -> Option<StrBytes> {
    let mut shared = name.clone().into_bytes();
    shared.advance(prefix_bytes);
    StrBytes::from_utf8(shared).ok()
}

/// Kafka's own limit on a topic's name, `Topic.MAX_NAME_LENGTH`.
const TOPIC_CHARACTERS_MAX: usize = 249;
/// Leaves at least 49 characters of a topic's name to the client.
const PREFIX_BYTES_MAX: usize = 200;

/// Nothing that Kafka has begins so.
const UNRESOLVED: &str = "\u{0}unresolved\u{0}";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn namespace(mode: Mode) -> Namespace {
        let topics = Additional::new(["extra_topic".to_owned()], [Glob::new("shared-*")]);
        let groups = Additional::new([], [Glob::new("legacy-*")]);
        Namespace::new(mode, "my-", topics, groups).unwrap()
    }

    fn there(namespace: &Namespace, kind: Kind, name: &str) -> Option<String> {
        let name = Virtual::said_by_client(StrBytes::from_string(name.to_owned()));
        namespace.to_backend(kind, &name).map(|name| name.into_inner().to_string())
    }

    fn back(namespace: &Namespace, kind: Kind, name: &str) -> Option<String> {
        let name = Backend::said_by_broker(StrBytes::from_string(name.to_owned()));
        namespace.to_virtual(kind, &name).map(|name| name.into_inner().to_string())
    }

    #[test]
    fn a_hidden_prefix_is_put_on_and_taken_off() {
        let namespace = namespace(Mode::HidePrefix);
        for kind in [Kind::Topic, Kind::Group, Kind::TransactionalId] {
            assert_eq!(there(&namespace, kind, "orders").as_deref(), Some("my-orders"));
            assert_eq!(back(&namespace, kind, "my-orders").as_deref(), Some("orders"));
            assert_eq!(back(&namespace, kind, "their-orders"), None);
            assert_eq!(there(&namespace, kind, ""), None);
            assert_eq!(back(&namespace, kind, "my-"), None);
        }
        assert_eq!(there(&namespace, Kind::Topic, "my-orders").as_deref(), Some("my-my-orders"));
    }

    #[test]
    fn an_enforced_prefix_is_left_on_and_demanded() {
        let namespace = namespace(Mode::EnforcePrefix);
        assert_eq!(there(&namespace, Kind::Topic, "my-orders").as_deref(), Some("my-orders"));
        assert_eq!(there(&namespace, Kind::Topic, "orders"), None);
        assert_eq!(back(&namespace, Kind::Topic, "my-orders").as_deref(), Some("my-orders"));
        assert_eq!(there(&namespace, Kind::Topic, "extra_topic").as_deref(), Some("extra_topic"));
    }

    #[test]
    fn a_prefix_says_it_all_where_nothing_stands_outside_it_and_nothing_of_kafkas_behind_it() {
        let extra = || Additional::new(["extra_topic".to_owned()], []);
        for (mode, prefix, topics, expected) in [
            (Mode::HidePrefix, "my-", Additional::default(), true),
            (Mode::HidePrefix, "my-", extra(), false),
            (Mode::EnforcePrefix, "my-", Additional::default(), false),
            (Mode::HidePrefix, "__consumer_", Additional::default(), false),
        ] {
            let namespace = Namespace::new(mode, prefix, topics, extra()).unwrap();
            assert_eq!(namespace.is_all_behind_prefix(), expected, "{mode:?} {prefix}");
        }
    }

    #[test]
    fn additional_names_keep_their_own() {
        let namespace = namespace(Mode::HidePrefix);
        assert_eq!(there(&namespace, Kind::Topic, "extra_topic").as_deref(), Some("extra_topic"));
        assert_eq!(back(&namespace, Kind::Topic, "shared-a").as_deref(), Some("shared-a"));
        assert_eq!(there(&namespace, Kind::Group, "legacy-a").as_deref(), Some("legacy-a"));
        assert_eq!(there(&namespace, Kind::Group, "extra_topic").as_deref(), Some("my-extra_topic"));
    }

    #[test]
    fn the_prefixed_twin_of_an_additional_topic_wins_once_it_is_known() {
        let namespace = namespace(Mode::HidePrefix);
        assert_eq!(back(&namespace, Kind::Topic, "my-extra_topic"), None);
        let conflicts = namespace.conflicts(["my-extra_topic", "extra_topic", "my-x"].into_iter());
        let namespace = namespace.with_conflicts(conflicts);
        assert_eq!(there(&namespace, Kind::Topic, "extra_topic").as_deref(), Some("my-extra_topic"));
        assert_eq!(back(&namespace, Kind::Topic, "my-extra_topic").as_deref(), Some("extra_topic"));
        assert_eq!(back(&namespace, Kind::Topic, "extra_topic"), None);
    }

    #[test]
    fn an_alias_leads_to_its_topic_and_is_never_a_topics_own_name() {
        for (mode, alias, topic, real) in [
            (Mode::HidePrefix, "orders", "orders-v2", "my-orders-v2"),
            (Mode::HidePrefix, "orders", "extra_topic", "extra_topic"),
            (Mode::EnforcePrefix, "my-orders", "my-orders-v2", "my-orders-v2"),
        ] {
            let mut namespace = namespace(mode);
            namespace.add_alias(alias, topic).unwrap();
            assert_eq!(there(&namespace, Kind::Topic, alias).as_deref(), Some(real), "{mode:?}");
            assert_eq!(back(&namespace, Kind::Topic, real).as_deref(), Some(topic), "{mode:?}");
            assert_eq!(namespace.aliases_of(topic).collect::<Vec<_>>(), [alias]);
            assert_eq!(namespace.behind_alias(topic), None);
            assert_ne!(there(&namespace, Kind::Group, alias).as_deref(), Some(real));
            assert_eq!(namespace.is_additional(Kind::Topic, alias), topic == "extra_topic");
        }
    }

    #[test]
    fn the_real_topic_of_an_aliass_name_wins_once_it_is_known() {
        for (mode, alias, topic) in
            [(Mode::HidePrefix, "orders", "orders-v2"), (Mode::EnforcePrefix, "my-orders", "my-orders-v2")]
        {
            let mut namespace = namespace(mode);
            namespace.add_alias(alias, topic).unwrap();
            assert_eq!(back(&namespace, Kind::Topic, "my-orders"), None);
            let conflicts = namespace.conflicts(["my-orders", "my-orders-v2", "orders"].into_iter());
            assert_eq!(conflicts.iter().collect::<Vec<_>>(), [alias]);
            let namespace = namespace.with_conflicts(conflicts);
            assert_eq!(there(&namespace, Kind::Topic, alias).as_deref(), Some("my-orders"));
            assert_eq!(back(&namespace, Kind::Topic, "my-orders").as_deref(), Some(alias));
            assert_eq!(namespace.aliases_of(topic).count(), 0);
        }
    }

    #[test]
    fn an_alias_that_could_mean_two_things_or_none_is_none() {
        for (mode, alias, topic, why) in [
            (Mode::HidePrefix, "a", "a", InvalidAlias::OwnTopic),
            (Mode::HidePrefix, "first", "orders", InvalidAlias::Twice),
            (Mode::HidePrefix, "a", "first", InvalidAlias::OfAlias("first".to_owned())),
            (Mode::HidePrefix, "orders-v2", "b", InvalidAlias::HasAlias),
            (Mode::HidePrefix, "extra_topic", "orders", InvalidAlias::Additional),
            (Mode::HidePrefix, "shared-a", "orders", InvalidAlias::Additional),
            (Mode::HidePrefix, "a/b", "orders", InvalidAlias::Name(InvalidName::Character)),
            (Mode::HidePrefix, "a", "", InvalidAlias::Topic(String::new())),
            (Mode::HidePrefix, "a", "a b", InvalidAlias::Topic("a b".to_owned())),
            (Mode::EnforcePrefix, "orders", "my-orders", InvalidAlias::Name(InvalidName::OutsidePrefix)),
            (Mode::EnforcePrefix, "my-a", "orders", InvalidAlias::Topic("orders".to_owned())),
        ] {
            let mut namespace = namespace(mode);
            if mode == Mode::HidePrefix {
                namespace.add_alias("first", "orders-v2").unwrap();
            }
            assert_eq!(namespace.add_alias(alias, topic), Err(why), "{alias} of {topic}");
        }
    }

    #[test]
    fn internal_topics_are_outside_every_namespace() {
        let all = Additional::new([], [Glob::new("*")]);
        let namespace = Namespace::new(Mode::HidePrefix, "my-", all, Additional::default()).unwrap();
        assert_eq!(back(&namespace, Kind::Topic, "__consumer_offsets"), None);
        assert_eq!(namespace.check(Kind::Topic, "__consumer_offsets"), Err(InvalidName::Internal));
    }

    #[test]
    fn no_prefix_reaches_an_internal_topic() {
        for (mode, name) in
            [(Mode::HidePrefix, "consumer_offsets"), (Mode::EnforcePrefix, "__consumer_offsets")]
        {
            let namespace = Namespace::new(mode, "__", Additional::default(), Additional::default()).unwrap();
            assert_eq!(there(&namespace, Kind::Topic, name), None, "{mode:?}");
            assert_eq!(back(&namespace, Kind::Topic, "__consumer_offsets"), None, "{mode:?}");
            assert!(there(&namespace, Kind::Group, name).is_some());
        }
    }

    #[test]
    fn a_new_topic_needs_a_name_that_kafka_accepts() {
        let namespace = namespace(Mode::HidePrefix);
        for (name, expected) in [
            ("orders", Ok(())),
            ("", Err(InvalidName::Empty)),
            (".", Err(InvalidName::Dots)),
            ("..", Err(InvalidName::Dots)),
            ("a/b", Err(InvalidName::Character)),
            (&"a".repeat(246), Ok(())),
            (&"a".repeat(247), Err(InvalidName::TooLong { length_max: 246 })),
        ] {
            assert_eq!(namespace.check(Kind::Topic, name), expected, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_goes_there_comes_back(name in "[a-zA-Z0-9._-]{1,12}", shown in any::<bool>()) {
            let namespace = namespace(if shown { Mode::EnforcePrefix } else { Mode::HidePrefix });
            for kind in [Kind::Topic, Kind::Group, Kind::TransactionalId] {
                if let Some(backend) = there(&namespace, kind, &name) {
                    prop_assert_eq!(back(&namespace, kind, &backend), Some(name.clone()));
                }
            }
        }

        #[test]
        fn whatever_comes_back_goes_there(name in "(my-|shared-|legacy-)?[a-zA-Z0-9._-]{0,12}") {
            let namespace = namespace(Mode::HidePrefix);
            for kind in [Kind::Topic, Kind::Group, Kind::TransactionalId] {
                if let Some(shown) = back(&namespace, kind, &name) {
                    prop_assert_eq!(there(&namespace, kind, &shown), Some(name.clone()));
                }
            }
        }
    }
}
