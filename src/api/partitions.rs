//! DescribeTopicPartitions: topics with their partitions, page by page (KIP-966).
//!
//! A page ends with a cursor, which names the topic that comes next. Only names that the client may
//! describe are asked for, so no cursor names another; where none is named, and so all are meant, it is
//! asked first which there are. Topics come in the order of the client's names. Where additional topics
//! and those behind aliases stand elsewhere in the broker's order, a page ends before the first that would
//! come out of turn.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor as NextCursor, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::described::{admit_name, hide_lost_leader};
use super::operations::{NOT_ASKED, TOPIC_OPERATIONS};
use super::{Api, Asking, Pass, Refusal, Showing};
use crate::names::{Backend, Kind};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// Topics with their partitions, page by page.
pub struct DescribeTopicPartitions;

/// What the answer to a DescribeTopicPartitions depends on.
#[derive(Default)]
pub struct PartitionsAside {
    /// No topic was named, and so all are meant.
    all: bool,
    /// The names that are answered here, with their codes.
    told: BTreeMap<StrBytes, i16>,
    /// The first topic behind this page, when the broker gets to the end of what it is asked.
    next: Option<TopicName>,
}

/// A topic by the client's name and by the broker's.
type Named = (StrBytes, TopicName);

impl Api for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;
    type Response = DescribeTopicPartitionsResponse;
    type Aside = PartitionsAside;

    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(
        mut request: DescribeTopicPartitionsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        let topics = std::mem::take(&mut request.topics);
        let cursor = request.cursor.take();
        check_cursor(cursor.as_ref(), &topics)?;
        let from = cursor.as_ref().map_or("", |cursor| cursor.topic_name.as_str());
        let mut aside = PartitionsAside { all: topics.is_empty(), ..PartitionsAside::default() };
        let mut named = match (aside.all, ask.topics) {
            (true, None) => return Ok(Pass::AskTopics),
            (true, Some(topics)) => topics.iter().flat_map(|topic| shown(ask, topic)).collect(),
            (false, _) => admit_named(topics, from, ask, &mut aside.told),
        };
        named.retain(|(shown, _)| shown.as_str() >= from);
        named.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        let asked_max = if aside.all { page(request.response_partition_limit) } else { usize::MAX };
        let asked = in_both_orders(&named).min(asked_max);
        aside.next = named.get(asked).map(|(shown, _)| TopicName(shown.clone()));
        named.truncate(asked);
        // By this name, whatever the client called it before; on one page, no topic stands by two.
        named.iter().for_each(|(shown, _)| _ = ask.gate.speaks(shown));
        let Some((first, on_broker)) = named.first() else { return Ok(Pass::Answer(aside)) };
        request.cursor = cursor
            .filter(|cursor| cursor.topic_name.0 == *first)
            .map(|cursor| cursor.with_topic_name(on_broker.clone()));
        let topics = named.into_iter().map(|(_, name)| TopicRequest::default().with_name(name));
        Ok(Pass::Forward(request.with_topics(topics.collect()), aside))
    }

    fn reveal(response: &mut DescribeTopicPartitionsResponse, aside: PartitionsAside, show: &Showing<'_>) {
        response.topics.retain_mut(|topic| reveal_topic(topic, aside.all, show));
        let cursor = response.next_cursor.take();
        let cursor = cursor.and_then(|mut cursor| is_shown(&mut cursor.topic_name, show).then_some(cursor));
        let behind = aside.next.map(|name| NextCursor::default().with_topic_name(name));
        response.next_cursor = cursor.or(behind);
        response.topics.extend(aside.told.into_iter().map(|(name, code)| {
            let operations = match code == Refusal::TopicDenied.code() {
                true => NOT_ASKED,
                false => show.lens.authorized_operations(Resource::Topic, &name, &TOPIC_OPERATIONS),
            };
            undescribed(TopicName(name), code).with_topic_authorized_operations(operations)
        }));
    }

    fn refuse(
        request: DescribeTopicPartitionsRequest,
        why: Refusal,
        _version: i16,
    ) -> DescribeTopicPartitionsResponse {
        let topics = request.topics.into_iter().map(|topic| undescribed(topic.name, why.code()));
        DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
    }
}

/// A cursor stands in one of the topics that are asked for, as a broker wants it.
fn check_cursor(cursor: Option<&Cursor>, topics: &[TopicRequest]) -> Result<(), Refusal> {
    let Some(cursor) = cursor else { return Ok(()) };
    let is_named = topics.is_empty() || topics.iter().any(|topic| topic.name == cursor.topic_name);
    if is_named && cursor.partition_index >= 0 { Ok(()) } else { Err(Refusal::InvalidRequest) }
}

/// A topic of the backend by each name under which the client may know of it.
fn shown(ask: &Asking<'_>, topic: &Backend<StrBytes>) -> Vec<Named> {
    let namespace = &ask.gate.cluster().namespace;
    let Some(own) = namespace.to_virtual(Kind::Topic, topic) else { return Vec::new() };
    let aliases = namespace.aliases_of(own.as_ref()).map(|alias| StrBytes::from_string(alias.to_owned()));
    let mut names: Vec<_> = aliases.chain([own.as_ref().clone()]).collect();
    names.retain(|name| ask.gate.grants(Operation::Describe, Resource::Topic, name));
    names.into_iter().map(|name| (name, TopicName(topic.as_ref().clone()))).collect()
}

/// The topics that the broker is asked about; what is told here instead goes into `told`. Of what lies
/// before the cursor nothing is said.
fn admit_named(
    topics: Vec<TopicRequest>,
    from: &str,
    ask: &Asking<'_>,
    told: &mut BTreeMap<StrBytes, i16>,
) -> Vec<Named> {
    let mut named = Vec::new();
    for mut topic in topics {
        let shown = topic.name.0.clone();
        if shown.as_str() < from {
            continue;
        }
        match admit_name(ask, &mut topic.name) {
            Ok(()) => named.push((shown, topic.name)),
            Err(code) => _ = told.insert(shown, code),
        }
    }
    named
}

/// How many topics, in the order of the client's names, are in the order of the broker's as well; one that
/// comes by another name again is out of turn, since the broker tells of it once.
fn in_both_orders(named: &[Named]) -> usize {
    let is_out_of_turn = |pair: &[Named]| {
        let (one, other) = (&pair[0], &pair[1]);
        one.1.as_str() > other.1.as_str() || (one.1 == other.1 && one.0 != other.0)
    };
    named.windows(2).position(is_out_of_turn).map_or(named.len(), |last| last + 1)
}

/// How many topics fit on a page: each has one partition or more.
fn page(partitions_max: i32) -> usize {
    usize::try_from(partitions_max).unwrap_or(0).clamp(1, PARTITIONS_PER_PAGE)
}

fn reveal_topic(topic: &mut DescribeTopicPartitionsResponseTopic, all: bool, show: &Showing<'_>) -> bool {
    // Deleted since it was listed.
    let is_gone = all && topic.error_code != 0;
    topic.is_internal = false;
    let Some(name) = &mut topic.name else { return false };
    show.lens.learn(&mut topic.topic_id, &name.0);
    if is_gone || !is_shown(name, show) {
        return false;
    }
    topic.topic_authorized_operations =
        show.lens.authorized_operations(Resource::Topic, &name.0, &TOPIC_OPERATIONS);
    for partition in &mut topic.partitions {
        hide_lost_leader(&mut partition.leader_id, &mut partition.error_code, show.lens);
    }
    true
}

/// Writes the client's name in place of the broker's; false where the client may not know of it.
fn is_shown(name: &mut TopicName, show: &Showing<'_>) -> bool {
    show.lens.one(&mut *name) && show.lens.grants(Operation::Describe, Resource::Topic, &name.0)
}

fn undescribed(name: TopicName, code: i16) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(name))
        .with_error_code(code)
        .with_topic_authorized_operations(NOT_ASKED)
}

/// A broker's own limit, `max.request.partition.size.limit`, as it is unless somebody changes it.
const PARTITIONS_PER_PAGE: usize = 2000;

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition;

    use super::*;
    use crate::api::testing::{World, said, text};

    /// What may be described; of the rest nobody is to hear.
    fn world() -> World {
        let mut world = World::allowing(&[
            (Operation::Describe, Resource::Topic, "a*"),
            (Operation::Read, Resource::Topic, "orders*"),
            (Operation::Describe, Resource::Topic, "extra_topic"),
            (Operation::Describe, Resource::Topic, "__consumer_offsets"),
        ]);
        let there = [
            "their-orders",
            "my-orders-2",
            "my-secret",
            "extra_topic",
            "my-ab",
            "my-aa",
            "my-orders-1",
            "orders",
        ];
        world.topics = Some(there.map(|topic| Backend::said_by_broker(text(topic))).to_vec());
        world
    }

    fn named(topics: &[&str], cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
        let topics = topics.iter().map(|topic| TopicRequest::default().with_name(text(topic).into()));
        DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(100)
            .with_cursor(cursor.map(|(topic, index)| {
                Cursor::default().with_topic_name(text(topic).into()).with_partition_index(index)
            }))
    }

    fn topic(name: &str, code: i16) -> DescribeTopicPartitionsResponseTopic {
        let partition = |leader| {
            DescribeTopicPartitionsResponsePartition::default()
                .with_leader_id(BrokerId(leader))
                .with_replica_nodes(vec![BrokerId(leader)])
        };
        DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(text(name).into()))
            .with_error_code(code)
            .with_is_internal(true)
            .with_topic_authorized_operations(0x0fff)
            .with_partitions(vec![partition(1), partition(9)])
    }

    fn answer(topics: &[(&str, i16)], next: Option<(&str, i32)>) -> DescribeTopicPartitionsResponse {
        let topics = topics.iter().map(|(name, code)| topic(name, *code));
        DescribeTopicPartitionsResponse::default().with_topics(topics.collect()).with_next_cursor(next.map(
            |(topic, index)| {
                NextCursor::default().with_topic_name(text(topic).into()).with_partition_index(index)
            },
        ))
    }

    type Told = (Vec<(String, i16)>, Option<(String, i32)>);

    fn told(topics: &[(&str, i16)], next: Option<(&str, i32)>) -> Told {
        let topics = topics.iter().map(|(name, code)| ((*name).to_owned(), *code));
        (topics.collect(), next.map(|(name, index)| (name.to_owned(), index)))
    }

    fn seen(response: &DescribeTopicPartitionsResponse) -> Told {
        let topics = response.topics.iter();
        let topics = topics.map(|topic| (topic.name.as_ref().unwrap().to_string(), topic.error_code));
        let cursor = response.next_cursor.as_ref();
        (topics.collect(), cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index)))
    }

    /// What a client that asks this is told, when the broker is asked that and answers so.
    fn check(
        request: &DescribeTopicPartitionsRequest,
        sent: &DescribeTopicPartitionsRequest,
        answer: &DescribeTopicPartitionsResponse,
        expected: &Told,
    ) {
        let talk = world().talk::<DescribeTopicPartitions>(0, request, answer);
        assert_eq!(talk.sent(), sent, "{request:?}");
        assert_eq!(seen(&talk.seen), *expected, "{request:?}");
    }

    #[test]
    fn named_topics_are_answered_for_one_by_one() {
        check(
            &named(&["secret", "orders-2", "absent", "orders-1", "a/b", "__consumer_offsets"], None),
            &named(&["my-absent", "my-orders-1", "my-orders-2"], None),
            &answer(&[("my-absent", 3), ("my-orders-1", 0), ("my-orders-2", 0), ("their-orders", 0)], None),
            &told(
                &[
                    ("absent", 3),
                    ("orders-1", 0),
                    ("orders-2", 0),
                    ("__consumer_offsets", 3),
                    ("a/b", 17),
                    ("secret", 29),
                ],
                None,
            ),
        );
        let talk = world().talk::<DescribeTopicPartitions>(0, &named(&["secret"], None), &answer(&[], None));
        assert_eq!((talk.sent.len(), talk.denials.len()), (0, 1));
        assert_eq!(seen(&talk.seen), told(&[("secret", 29)], None));
        assert_eq!(talk.seen.topics[0].topic_authorized_operations, NOT_ASKED);
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended() {
        check(
            &named(&["aa", "orders-1", "secret", "ab", "a-"], Some(("ab", 7))),
            &named(&["my-ab", "my-orders-1"], Some(("my-ab", 7))),
            &answer(&[("my-ab", 0)], Some(("my-orders-1", 2))),
            &told(&[("ab", 0), ("secret", 29)], Some(("orders-1", 2))),
        );
        // Where the cursor stands in a topic that is refused, the next one is begun.
        check(
            &named(&["a", "orders", "b"], Some(("b", 7))),
            &named(&["my-orders"], None),
            &answer(&[("my-orders", 0)], Some(("their-orders", 0))),
            &told(&[("orders", 0), ("b", 29)], None),
        );
    }

    #[test]
    fn all_topics_are_those_that_the_client_may_describe() {
        check(
            &named(&[], None),
            &named(&["my-aa", "my-ab"], None),
            &answer(&[("my-aa", 0), ("my-ab", 3)], None),
            &told(&[("aa", 0)], Some(("extra_topic", 0))),
        );
        // The additional topic comes before all others on the broker, and here after two of them.
        check(
            &named(&[], Some(("extra_topic", 0))),
            &named(&["extra_topic", "my-orders-1", "my-orders-2"], Some(("extra_topic", 0))),
            &answer(&[("extra_topic", 0), ("my-orders-1", 0)], Some(("my-orders-2", 5))),
            &told(&[("extra_topic", 0), ("orders-1", 0)], Some(("orders-2", 5))),
        );
        // Of a topic that is gone, or that is not to be seen, the cursor keeps the place.
        for gone in ["orders-10", "p", "secret"] {
            let talk = world().talk::<DescribeTopicPartitions>(
                0,
                &named(&[], Some((gone, 3))),
                &answer(&[("my-orders-2", 0)], None),
            );
            let sent = talk.sent.first().cloned();
            let expected = (gone == "orders-10").then(|| named(&["my-orders-2"], None));
            assert_eq!(sent, expected, "{gone}");
        }
    }

    /// What a client is told page by page, until there are no more.
    fn pages(world: &mut World, topics: &[&str]) -> Vec<(Vec<String>, Vec<String>)> {
        let (mut pages, mut next) = (Vec::new(), None::<(String, i32)>);
        loop {
            let cursor = next.as_ref().map(|(name, index)| (name.as_str(), *index));
            let request = named(topics, cursor);
            let there = answer(&[("my-orders", 0)], None);
            let talk = world.talk::<DescribeTopicPartitions>(0, &request, &there);
            let sent: Vec<_> = talk.sent().topics.iter().map(|topic| topic.name.to_string()).collect();
            let (told, cursor) = seen(&talk.seen);
            let told = told.into_iter().map(|(name, _)| name);
            pages.push((sent, told.collect()));
            next = cursor;
            if next.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn a_topic_is_told_of_by_each_name_that_the_client_may_know() {
        for (topics, rights, expected) in [
            (
                &[][..],
                &["*"][..],
                &[("my-orders", "a-sale"), ("my-orders", "orders"), ("my-orders", "sales")][..],
            ),
            (&[], &["sales"], &[("my-orders", "sales")]),
            (&["sales", "orders"], &["*"], &[("my-orders", "orders"), ("my-orders", "sales")]),
            (&["sales"], &["sales"], &[("my-orders", "sales")]),
        ] {
            let rights: Vec<_> =
                rights.iter().map(|name| (Operation::Read, Resource::Topic, *name)).collect();
            let mut world =
                World::alone(&rights).with_alias("sales", "orders").with_alias("a-sale", "orders");
            world.topics = Some(vec![Backend::said_by_broker(text("my-orders"))]);
            let pages = pages(&mut world, topics);
            let seen: Vec<_> =
                pages.iter().map(|(sent, told)| (sent[0].as_str(), told[0].as_str())).collect();
            assert_eq!(seen, expected, "{topics:?} {rights:?}");
        }
    }

    #[test]
    fn a_page_of_all_topics_has_no_more_of_them_than_partitions() {
        for (limit, sent, next) in [
            (1, &["my-aa"][..], Some(("ab", 0))),
            (0, &["my-aa"], Some(("ab", 0))),
            (i32::MIN, &["my-aa"], Some(("ab", 0))),
            (2, &["my-aa", "my-ab"], Some(("extra_topic", 0))),
            (i32::MAX, &["my-aa", "my-ab"], Some(("extra_topic", 0))),
        ] {
            let there: Vec<_> = sent.iter().map(|name| (*name, 0)).collect();
            let shown: Vec<_> = sent.iter().map(|name| (&name[3..], 0)).collect();
            check(
                &named(&[], None).with_response_partition_limit(limit),
                &named(sent, None).with_response_partition_limit(limit),
                &answer(&there, None),
                &told(&shown, next),
            );
        }
    }

    #[test]
    fn who_may_describe_nothing_is_told_of_nothing() {
        let mut world = World::allowing(&[]);
        let request = named(&[], None);
        world.topics = Some(vec![Backend::said_by_broker(text("my-orders"))]);
        let talk = world.talk::<DescribeTopicPartitions>(0, &request, &answer(&[("my-orders", 0)], None));
        assert_eq!((talk.sent.len(), seen(&talk.seen), talk.denials.len()), (0, told(&[], None), 0));
    }

    #[test]
    fn a_cursor_that_no_broker_takes_is_refused() {
        for (topics, cursor, expected) in [
            (&["orders", "secret"][..], ("payments", 0), &[("orders", 42), ("secret", 42)][..]),
            (&["orders"], ("orders", -1), &[("orders", 42)]),
            (&[], ("orders", -1), &[]),
        ] {
            let request = named(topics, Some(cursor));
            let talk = world().talk::<DescribeTopicPartitions>(0, &request, &answer(&[], None));
            assert_eq!((talk.sent.len(), talk.refused), (0, Some(Refusal::InvalidRequest)));
            assert_eq!(seen(&talk.seen), told(expected, None));
        }
    }

    #[test]
    fn brokers_that_clients_do_not_find_lead_nothing() {
        let request = named(&["orders"], None);
        let seen =
            world().talk::<DescribeTopicPartitions>(0, &request, &answer(&[("my-orders", 0)], None)).seen;
        let topic = &seen.topics[0];
        let leaders: Vec<_> = topic.partitions.iter().map(|one| (one.leader_id.0, one.error_code)).collect();
        assert_eq!(leaders, [(1, 0), (-1, 5)]);
        assert!(!topic.is_internal);
        assert_eq!(topic.topic_authorized_operations, (1 << 3) | (1 << 8));
    }

    #[test]
    fn a_request_can_be_refused_whole() {
        let seen = said(&DescribeTopicPartitions::refuse(named(&["a"], None), Refusal::TopicDenied, 0), 0);
        assert_eq!(self::seen(&seen), told(&[("a", 29)], None));
    }
}
