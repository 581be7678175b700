//! What members of KIP-848 groups subscribe to by a pattern, and who finds the topics: broker or gateway.
//!
//! A broker matches a pattern against all its topics and looks at the gateway's rights. Where the prefix
//! confines it and the client may know of every topic behind, by no name but its own, that is as good as the
//! client's own. Where not, the topics are found here and go on by their names; since a member says its pattern once, what
//! it said is kept, and a heartbeat now and then brings the topics up to date.
//!
//! Limits: the memory is the connection's. What is said on another connection is not known here: such a
//! member keeps the topics that it had. Kafka's clients say everything anew after a broken connection.

use std::collections::{BTreeSet, VecDeque};
use std::iter;

use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::regex::{self, Confined, InvalidPattern, Matcher};
use super::{Asking, Refusal};
use crate::cluster::Gate;
use crate::names::{Backend, Kind};
use crate::policy::{Operation, Resource};

/// What the members on one connection said last.
///
/// Limits: [`MEMBERS_MAX`], [`NAMES_BYTES_MAX`]; beyond, who came first is forgotten.
#[derive(Debug, Default)]
pub struct Subscriptions(VecDeque<Member>);

#[derive(Debug, Clone)]
struct Member {
    /// As the broker calls it.
    group: String,
    id: String,
    /// The topics it named itself, as the broker calls them.
    names: Vec<TopicName>,
    /// As the client wrote it; empty without one.
    pattern: String,
    finder: Finder,
    /// How many heartbeats ago the topics were found here.
    heartbeats: u32,
}

/// Who matches a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finder {
    Broker,
    Gateway,
}

/// Whether a heartbeat says all that the broker is to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled {
    Yes,
    /// All topics of the backend must be known first.
    TopicsWanted,
}

/// Puts what the broker may match in place of a client's pattern, or the topics that were found here.
///
/// Shape: the names that the client said have been renamed. Null stays null and the empty pattern
/// empty: nothing new, and no pattern any more.
/// Errors: [`Refusal::InvalidPattern`]; [`Refusal::FencedMember`] when a change cannot be understood
/// without what was said on another connection, so that the member says everything.
/// Source: KIP-848.
pub fn settle(request: &mut ConsumerGroupHeartbeatRequest, ask: &mut Asking<'_>) -> Result<Settled, Refusal> {
    let members = &mut ask.conversation.subscriptions;
    let said = request.subscribed_topic_regex.take();
    if request.member_epoch < 0 {
        members.forget(request);
        return Ok(Settled::Yes);
    }
    let says_nothing = said.is_none() && request.subscribed_topic_names.is_none();
    let Some(known) = members.known(request) else {
        if says_nothing {
            return Ok(Settled::Yes);
        }
        if request.subscribed_topic_names.is_none() && request.member_epoch > 0 {
            return Err(Refusal::FencedMember);
        }
        let member = Member::new(request, said.as_deref().unwrap_or_default());
        return settle_member(request, member, said, ask);
    };
    let stays = match known.finder {
        Finder::Gateway => known.heartbeats + 1 < HEARTBEATS_BETWEEN,
        Finder::Broker => known.pattern.is_empty() || broker_may_match(ask.gate),
    };
    if says_nothing && stays {
        known.heartbeats = known.heartbeats.saturating_add(1);
        return Ok(Settled::Yes);
    }
    let mut member = known.clone();
    if let Some(names) = &request.subscribed_topic_names {
        member.names = owned(names);
    }
    if let Some(pattern) = &said {
        member.pattern = pattern.to_string();
    }
    settle_member(request, member, said, ask)
}

/// Writes into the request what has to be said of a member, and keeps the member in mind.
fn settle_member(
    request: &mut ConsumerGroupHeartbeatRequest,
    mut member: Member,
    said: Option<StrBytes>,
    ask: &mut Asking<'_>,
) -> Result<Settled, Refusal> {
    let was = member.finder;
    let at_broker = said.is_some() || was == Finder::Broker;
    let namespace = &ask.gate.cluster().namespace;
    let confined = match member.pattern.is_empty() {
        true => None,
        false => Some(match at_broker && broker_may_match(ask.gate) {
            true => regex::confined(&member.pattern, namespace.prefix()),
            false => regex::compiled(&member.pattern).map(Confined::AtGateway),
        }),
    };
    match confined.transpose().map_err(|InvalidPattern| Refusal::InvalidPattern)? {
        Some(Confined::AtGateway(matcher)) => {
            let Some(topics) = ask.topics else { return Ok(Settled::TopicsWanted) };
            request.subscribed_topic_names = Some(found(&matcher, &member.names, topics, ask.gate));
            let is_news = said.is_some() || was == Finder::Broker;
            request.subscribed_topic_regex = is_news.then(StrBytes::default);
            (member.finder, member.heartbeats) = (Finder::Gateway, 0);
        }
        at_broker => {
            if was == Finder::Gateway {
                // The broker's names are those that were found; from now on they are the client's own.
                request.subscribed_topic_names = Some(member.names.clone());
            }
            request.subscribed_topic_regex = said.map(|pattern| match at_broker {
                Some(Confined::Wrapped(wrapped)) => StrBytes::from_string(wrapped),
                _ => pattern,
            });
            (member.finder, member.heartbeats) = (Finder::Broker, 0);
        }
    }
    ask.conversation.subscriptions.keep(member);
    Ok(Settled::Yes)
}

/// Whether what a broker finds behind the prefix is what this client would find by itself: a broker knows
/// no aliases.
fn broker_may_match(gate: &Gate<'_>) -> bool {
    let namespace = &gate.cluster().namespace;
    let is_all = namespace.is_all_behind_prefix() && !namespace.has_aliases();
    is_all && gate.grants_every(Operation::Describe, Resource::Topic)
}

/// The topics that a pattern means to this client, and those that it names beside; a topic that it may
/// not know of is left out and nothing is said of it, as brokers do.
fn found(
    matcher: &Matcher,
    named: &[TopicName],
    topics: &[Backend<StrBytes>],
    gate: &Gate<'_>,
) -> Vec<TopicName> {
    let namespace = &gate.cluster().namespace;
    let own: BTreeSet<&str> = named.iter().map(|name| name.0.as_str()).collect();
    let is_meant =
        |name: &str| matcher.matches(name) && gate.grants(Operation::Describe, Resource::Topic, name);
    let mut found: Vec<&str> = topics
        .iter()
        .filter(|topic| !own.contains(topic.as_ref().as_str()))
        .filter(|topic| {
            namespace.to_virtual(Kind::Topic, topic).is_some_and(|shown| {
                let shown = shown.as_ref().as_str();
                let mut names = iter::once(shown).chain(namespace.aliases_of(shown));
                // By the name that is found the client is told of it.
                names.find(|name| is_meant(name)).is_some_and(|name| gate.speaks(name))
            })
        })
        .map(|topic| topic.as_ref().as_str())
        .collect();
    found.sort_unstable();
    let found = found.into_iter().map(|topic| TopicName(StrBytes::from_string(topic.to_owned())));
    named.iter().cloned().chain(found).collect()
}

impl Subscriptions {
    fn known(&mut self, request: &ConsumerGroupHeartbeatRequest) -> Option<&mut Member> {
        self.0.iter_mut().find(|member| member.is_of(request))
    }

    fn forget(&mut self, request: &ConsumerGroupHeartbeatRequest) {
        self.0.retain(|member| !member.is_of(request));
    }

    fn keep(&mut self, member: Member) {
        self.0.retain(|other| (&other.group, &other.id) != (&member.group, &member.id));
        self.0.push_back(member);
        let bytes = |members: &VecDeque<Member>| {
            let names = members.iter().flat_map(|member| &member.names);
            names.map(|name| name.0.len() + size_of::<TopicName>()).sum::<usize>()
        };
        while self.0.len() > MEMBERS_MAX || bytes(&self.0) > NAMES_BYTES_MAX {
            self.0.pop_front();
        }
    }
}

impl Member {
    fn new(request: &ConsumerGroupHeartbeatRequest, pattern: &str) -> Self {
        Self {
            group: request.group_id.to_string(),
            id: request.member_id.to_string(),
            names: request.subscribed_topic_names.as_deref().map(owned).unwrap_or_default(),
            pattern: pattern.to_owned(),
            finder: Finder::Broker,
            heartbeats: 0,
        }
    }

    fn is_of(&self, request: &ConsumerGroupHeartbeatRequest) -> bool {
        self.group == request.group_id.as_str() && self.id == request.member_id.as_str()
    }
}

/// A copy of their own: a slice of the frame would keep the whole frame alive.
fn owned(names: &[TopicName]) -> Vec<TopicName> {
    names.iter().map(|name| TopicName(StrBytes::from_string(name.to_string()))).collect()
}

/// A consumer is one member, and has a connection to its coordinator alone.
const MEMBERS_MAX: usize = 8;

/// Ten thousand of the longest names that topics have, all members together.
const NAMES_BYTES_MAX: usize = 4 << 20;

/// A member's topics are brought up to date with every third heartbeat: at Kafka's default of five
/// seconds that is the quarter of a minute, where a broker takes ten seconds at least.
const HEARTBEATS_BETWEEN: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Conversation;
    use crate::api::testing::{World, text};
    use crate::cluster::Spoken;
    use crate::names::Mode;

    const EVERYTHING: &[(Operation, Resource, &str)] = &[(Operation::Read, Resource::Topic, "*")];
    const SOME: &[(Operation, Resource, &str)] =
        &[(Operation::Read, Resource::Topic, "orders*"), (Operation::Read, Resource::Topic, "extra_topic")];

    /// What one heartbeat says of its subscription: names and pattern.
    type Said = (Option<Vec<&'static str>>, Option<&'static str>);

    /// A member on one connection, and a broker with these topics.
    struct Talk {
        world: World,
        conversation: Conversation,
        topics: Vec<Backend<StrBytes>>,
        /// How often the broker was asked which topics there are.
        asked: usize,
        /// How the topics of the last heartbeat are called.
        spoken: Spoken,
    }

    impl Talk {
        fn of(world: World) -> Self {
            let topics = ["my-orders", "my-orders-eu", "my-secret", "their-orders", "extra_topic", "my-"];
            let topics = topics.map(|topic| Backend::said_by_broker(text(topic))).to_vec();
            Self { world, conversation: Conversation::default(), topics, asked: 0, spoken: Spoken::default() }
        }

        fn heartbeat(
            &mut self,
            epoch: i32,
            (names, pattern): Said,
        ) -> Result<(Option<Vec<String>>, Option<String>), Refusal> {
            let names = names.map(|names| names.iter().map(|name| TopicName(text(name))).collect());
            let request = ConsumerGroupHeartbeatRequest::default()
                .with_group_id(text("my-readers").into())
                .with_member_id(text("m-1"))
                .with_member_epoch(epoch)
                .with_subscribed_topic_names(names)
                .with_subscribed_topic_regex(pattern.map(text));
            let gate = self.world.gate();
            let mut topics = None;
            loop {
                let mut request = request.clone();
                let mut ask = Asking {
                    gate: &gate,
                    version: 1,
                    conversation: &mut self.conversation,
                    topics,
                    internal_topics: None,
                };
                if settle(&mut request, &mut ask)? == Settled::Yes {
                    self.spoken = gate.take_spoken();
                    let names = request
                        .subscribed_topic_names
                        .map(|names| names.iter().map(|name| name.to_string()).collect());
                    return Ok((names, request.subscribed_topic_regex.map(|pattern| pattern.to_string())));
                }
                assert!(topics.is_none(), "it was told which topics there are");
                self.asked += 1;
                topics = Some(&self.topics);
            }
        }

        /// Says something at an epoch, and tells what the broker hears of it.
        fn check(&mut self, epoch: i32, said: Said, expected: Said) {
            let heard = self.heartbeat(epoch, said.clone()).unwrap();
            let (names, pattern) = expected;
            let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(heard, (names, pattern.map(str::to_owned)), "{said:?}");
        }
    }

    fn free() -> Talk {
        Talk::of(World::alone(EVERYTHING))
    }

    fn bound() -> Talk {
        Talk::of(World::allowing(SOME))
    }

    #[test]
    fn a_client_that_may_know_of_every_topic_has_the_broker_match_behind_its_prefix() {
        let mut talk = free();
        talk.check(0, (Some(vec![]), Some("x|.*")), (Some(vec![]), Some("my-(?:x|.*)")));
        for _ in 0..10 {
            talk.check(1, (None, None), (None, None));
        }
        talk.check(1, (None, Some("^orders.*")), (None, Some("my-(?:orders.*)")));
        assert_eq!(talk.asked, 0);
    }

    #[test]
    fn hazard_19_a_pattern_that_closes_our_parenthesis_is_refused() {
        for mut talk in [free(), bound()] {
            for pattern in ["a)|(.*", ")", "(", "a**", "*"] {
                let refused = talk.heartbeat(0, (Some(vec![]), Some(pattern)));
                assert_eq!(refused, Err(Refusal::InvalidPattern), "{pattern}");
            }
        }
    }

    #[test]
    fn hazard_20_neither_null_nor_the_empty_pattern_is_one() {
        for mut talk in [free(), bound()] {
            talk.check(0, (Some(vec!["my-orders"]), None), (Some(vec!["my-orders"]), None));
            talk.check(1, (None, None), (None, None));
            talk.check(1, (None, Some("")), (None, Some("")));
            assert_eq!(talk.asked, 0);
        }
    }

    #[test]
    fn where_a_topic_may_not_be_known_of_the_topics_are_found_here() {
        let found = vec!["extra_topic", "my-orders", "my-orders-eu"];
        let mut talk = bound();
        talk.check(0, (Some(vec![]), Some(".*")), (Some(found), Some("")));
        let denied =
            World::with(Mode::HidePrefix, EVERYTHING, &[(Operation::Describe, Resource::Topic, "secret")]);
        let mut talk = Talk::of(denied);
        talk.check(0, (Some(vec![]), Some("se.*|orders")), (Some(vec!["my-orders"]), Some("")));
    }

    #[test]
    fn a_topic_is_found_by_any_of_its_names_that_the_client_may_know_of() {
        let aliased = |rights: &[(Operation, Resource, &str)]| {
            let world = World::alone(rights).with_alias("sales", "orders").with_alias("returns", "orders");
            Talk::of(world.with_alias("later", "nowhere"))
        };
        let mut talk = aliased(EVERYTHING);
        talk.check(0, (Some(vec![]), Some("sales|later")), (Some(vec!["my-orders"]), Some("")));
        assert_eq!(talk.spoken.name("orders"), Some("sales"));
        talk.check(1, (None, Some("re.*|or.*")), (Some(vec!["my-orders", "my-orders-eu"]), Some("")));
        assert_eq!(talk.spoken.name("orders"), Some("orders"), "its own comes first");
        let mut talk = aliased(&[(Operation::Read, Resource::Topic, "returns")]);
        talk.check(0, (Some(vec![]), Some(".*")), (Some(vec!["my-orders"]), Some("")));
        assert_eq!(talk.spoken.name("orders"), Some("returns"));
        talk.check(1, (None, Some("sales|orders")), (Some(vec![]), Some("")));
    }

    #[test]
    fn a_prefix_that_clients_say_confines_no_pattern() {
        let mut talk = Talk::of(World::with(Mode::EnforcePrefix, EVERYTHING, &[]));
        let found = vec!["my-orders", "my-orders-eu"];
        talk.check(0, (Some(vec![]), Some(".*orders.*")), (Some(found), Some("")));
    }

    #[test]
    fn a_pattern_that_looks_at_the_edges_of_names_is_matched_here() {
        let mut talk = free();
        talk.check(0, (Some(vec![]), Some(r"\borders")), (Some(vec!["my-orders"]), Some("")));
    }

    #[test]
    fn names_and_a_pattern_are_both_meant() {
        let mut talk = bound();
        let both = vec!["my-later", "my-orders-eu"];
        talk.check(0, (Some(vec!["my-later"]), Some(".*-eu")), (Some(both), Some("")));
        let both = vec!["my-later", "extra_topic"];
        talk.check(1, (None, Some("extra.*")), (Some(both), Some("")));
        let both = vec!["my-soon", "extra_topic"];
        talk.check(1, (Some(vec!["my-soon"]), None), (Some(both), None));
    }

    #[test]
    fn a_topic_that_came_later_is_found_with_a_later_heartbeat() {
        let mut talk = bound();
        talk.check(0, (Some(vec![]), Some(".*-eu")), (Some(vec!["my-orders-eu"]), Some("")));
        talk.topics.push(Backend::said_by_broker(text("my-orders-us-eu")));
        let both = vec!["my-orders-eu", "my-orders-us-eu"];
        for _ in 0..2 {
            talk.check(1, (None, None), (None, None));
            talk.check(1, (None, None), (None, None));
            talk.check(1, (None, None), (Some(both.clone()), None));
        }
        assert_eq!(talk.asked, 3);
    }

    #[test]
    fn a_pattern_that_is_taken_back_takes_the_topics_found_for_it_along() {
        let mut talk = bound();
        talk.check(
            0,
            (Some(vec!["my-later"]), Some("orders")),
            (Some(vec!["my-later", "my-orders"]), Some("")),
        );
        talk.check(1, (None, Some("")), (Some(vec!["my-later"]), Some("")));
        for _ in 0..5 {
            talk.check(1, (None, None), (None, None));
        }
        assert_eq!(talk.asked, 1);
    }

    #[test]
    fn with_other_rights_another_finds_the_topics() {
        let mut talk = free();
        talk.check(0, (Some(vec![]), Some("orders|secret")), (Some(vec![]), Some("my-(?:orders|secret)")));
        talk.world = World::allowing(SOME);
        talk.check(1, (None, None), (Some(vec!["my-orders"]), Some("")));
        talk.world = World::alone(EVERYTHING);
        talk.check(1, (None, None), (None, None));
        talk.check(1, (None, Some("secret")), (Some(vec![]), Some("my-(?:secret)")));
    }

    #[test]
    fn a_change_that_stands_on_another_connections_words_has_the_member_say_everything() {
        for pattern in ["orders", ""] {
            let refused = bound().heartbeat(5, (None, Some(pattern)));
            assert_eq!(refused, Err(Refusal::FencedMember));
        }
        let mut talk = bound();
        talk.check(5, (None, None), (None, None));
        assert_eq!(talk.heartbeat(5, (None, Some(""))), Err(Refusal::FencedMember));
        bound().check(0, (None, Some("orders")), (Some(vec!["my-orders"]), Some("")));
        let mut talk = bound();
        talk.check(0, (Some(vec![]), Some("orders")), (Some(vec!["my-orders"]), Some("")));
        talk.check(-1, (None, Some(".*")), (None, None));
        assert_eq!(talk.heartbeat(5, (None, Some("orders"))), Err(Refusal::FencedMember));
    }

    #[test]
    fn what_is_kept_of_members_is_bounded() {
        let mut kept = Subscriptions::default();
        let names = |count| vec![TopicName(text("my-orders")); count];
        let most = NAMES_BYTES_MAX / ("my-orders".len() + size_of::<TopicName>());
        for (number, count) in [(0, 1), (1, 2), (2, most - 2), (3, most + 1)] {
            let request = ConsumerGroupHeartbeatRequest::default()
                .with_member_id(text(&format!("m-{number}")))
                .with_subscribed_topic_names(Some(names(count)));
            kept.keep(Member::new(&request, ""));
            let ids: Vec<_> = kept.0.iter().map(|member| member.id.as_str()).collect();
            let expected: &[&str] = [&["m-0"][..], &["m-0", "m-1"], &["m-1", "m-2"], &[]][number];
            assert_eq!(ids, expected);
        }
        for number in 0..100 {
            let id = text(&format!("m-{number}"));
            kept.keep(Member::new(&ConsumerGroupHeartbeatRequest::default().with_member_id(id), ""));
        }
        assert_eq!(kept.0.len(), MEMBERS_MAX);
    }
}
