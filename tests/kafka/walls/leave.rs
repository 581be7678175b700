//! Members leave their groups, of whichever kind: nothing has to wait until a broker gives them up.

use sluicegate::wire::sample::{Leaf, LeafValue};

use super::deeds::until;
use crate::support::client::Client;
use crate::support::words::{Answer, Word, ask};

/// A group as the list of all groups has it.
pub struct Group {
    pub name: String,
    kind: String,
    state: String,
}

impl Group {
    /// All the groups on the broker.
    pub fn all(direct: &mut Client) -> Vec<Self> {
        let group = |element: Vec<Leaf>| Self {
            name: text(&element, "GroupId").expect("a group has a name"),
            kind: text(&element, "GroupType").expect("a group has a kind").to_ascii_lowercase(),
            state: text(&element, "GroupState").expect("a group is in a state"),
        };
        ask(direct, 16, 5, vec![]).elements("Groups[]").into_iter().map(group).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.state == "Empty"
    }

    /// Makes its members leave; who joins just now may stay.
    pub fn leave(&self, direct: &mut Client) {
        let group = || Word::from(self.name.as_str());
        let members = match self.kind.as_str() {
            "consumer" => members(&ask(direct, 69, 0, vec![("GroupIds[]", group())])),
            "share" => {
                let description = ask(direct, 77, 1, vec![("GroupIds[]", group())]);
                self.await_sharing(direct, &description);
                members(&description)
            }
            "streams" => members(&ask(direct, 89, 0, vec![("GroupIds[]", group())])),
            _ => members(&ask(direct, 15, 5, vec![("Groups[]", group())])),
        };
        for (member, instance) in members {
            let member = || Word::from(member.as_str());
            let instance = || instance.as_deref().map_or(Word::Null, Word::from);
            let mut words = vec![("GroupId", group()), ("MemberId", member()), ("MemberEpoch", (-1).into())];
            match self.kind.as_str() {
                "share" => ask(direct, 76, 1, words),
                "streams" => {
                    words.push(("InstanceId", instance()));
                    ask(direct, 88, 0, words)
                }
                kind => {
                    if kind == "consumer" {
                        words.push(("InstanceId", instance()));
                        ask(direct, 68, 0, words);
                    }
                    // Also in a group of the new protocol there may be members of the old one.
                    let words = vec![
                        ("GroupId", group()),
                        ("Members[].MemberId", member()),
                        ("Members[].GroupInstanceId", instance()),
                    ];
                    ask(direct, 13, 5, words)
                }
            };
        }
    }

    /// Waits until what its members have asked for is shared: a group that is removed before leaves that behind,
    /// and the next one of its name is told to be fenced off.
    fn await_sharing(&self, direct: &mut Client, description: &Answer) {
        for topic in texts(&description.leaves, "Groups[].Members[].SubscribedTopicNames[]") {
            let known = ask(direct, 3, 4, vec![("Topics[].Name", topic.into())]);
            if known.int("Topics[].ErrorCode") != 0 {
                continue;
            }
            until(&format!("{} shares {topic}", self.name), || {
                let shared = ask(direct, 90, 0, vec![("Groups[].GroupId", self.name.as_str().into())]);
                texts(&shared.leaves, "Groups[].Topics[].TopicName")
                    .any(|shared| shared == topic)
                    .then_some(())
            });
        }
    }

    /// Removes it, if nobody is in it.
    pub fn delete(&self, direct: &mut Client) {
        ask(direct, 42, 2, vec![("GroupsNames[]", self.name.as_str().into())]);
    }
}

/// The members in a description, with the name of those that come back under it.
fn members(answer: &Answer) -> Vec<(String, Option<String>)> {
    let member = |element: Vec<Leaf>| {
        let instance = text(&element, "InstanceId").or_else(|| text(&element, "GroupInstanceId"));
        (text(&element, "MemberId").expect("a member has an id"), instance)
    };
    answer.elements("Groups[].Members[]").into_iter().map(member).collect()
}

fn texts<'l>(leaves: &'l [Leaf], path: &'static str) -> impl Iterator<Item = &'l str> {
    leaves.iter().filter(move |leaf| leaf.path == path).filter_map(|leaf| match &leaf.value {
        LeafValue::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

fn text(element: &[Leaf], field: &str) -> Option<String> {
    let leaf = element.iter().find(|leaf| leaf.path.rsplit('.').next() == Some(field))?;
    match &leaf.value {
        LeafValue::Text(text) => Some(text.clone()),
        _ => None,
    }
}
