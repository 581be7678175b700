//! Second names under which clients find topics.

use std::collections::{BTreeMap, BTreeSet};

use super::InvalidName;

/// The aliases of one virtual cluster and the topics that they stand for, all as clients say them.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases {
    topics: BTreeMap<String, String>,
    aliases: BTreeMap<String, BTreeSet<String>>,
}

impl Aliases {
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub fn add(&mut self, alias: &str, topic: &str) -> Result<(), InvalidAlias> {
        if self.topics.contains_key(alias) {
            return Err(InvalidAlias::Twice);
        }
        if self.aliases.contains_key(alias) {
            return Err(InvalidAlias::HasAlias);
        }
        if self.topics.contains_key(topic) {
            return Err(InvalidAlias::OfAlias(topic.to_owned()));
        }
        self.topics.insert(alias.to_owned(), topic.to_owned());
        self.aliases.entry(topic.to_owned()).or_default().insert(alias.to_owned());
        Ok(())
    }

    /// The topic that an alias stands for.
    pub fn topic(&self, alias: &str) -> Option<&str> {
        self.topics.get(alias).map(String::as_str)
    }

    /// All aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// The aliases of a topic.
    pub fn of<'a>(&'a self, topic: &str) -> impl Iterator<Item = &'a str> {
        self.aliases.get(topic).into_iter().flatten().map(String::as_str)
    }

    /// The topics that have aliases.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.aliases.keys().map(String::as_str)
    }
}

/// Why a topic can not have this second name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAlias {
    #[error("no topic can be called so: {0}; choose another alias")]
    Name(InvalidName),
    #[error("the alias is its topic's own name; leave it out")]
    OwnTopic,
    #[error("the alias stands here twice; give each topic an alias of its own")]
    Twice,
    #[error("the alias is the name of an additional topic; choose another")]
    Additional,
    #[error("no topic of this virtual cluster can be called {0:?}; name the topic as clients do")]
    Topic(String),
    #[error("{0:?} is an alias itself; name the topic that it stands for")]
    OfAlias(String),
    #[error("the alias is the name of a topic that has an alias; choose another")]
    HasAlias,
}
