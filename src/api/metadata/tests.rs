//! What a client is told of brokers and topics, and what the broker is asked.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition};

use super::*;
use crate::api::testing::{Dialogue, World, said, text as name};
use crate::names::Mode;

type Right = (Operation, Resource, &'static str);

const DESCRIBE_ORDERS: Right = (Operation::Describe, Resource::Topic, "orders");
const DESCRIBE_ANY: Right = (Operation::Describe, Resource::Topic, "*");
const CREATE_NEW: Right = (Operation::Create, Resource::Topic, "new*");

fn metadata(topics: &[&str]) -> MetadataRequest {
    let topics =
        topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(TopicName(name(topic)))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

fn by_id(ids: &[u128]) -> MetadataRequest {
    let topics = ids
        .iter()
        .map(|id| MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::from_u128(*id)));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

#[test]
fn a_broker_that_says_a_clients_words_back_teaches_nobody() {
    for version in [10, 11] {
        let mut world = World::allowing(&[DESCRIBE_ANY]);
        let foreign = Uuid::from_u128(9);
        let mut request = metadata(&["mine"]);
        request.topics.iter_mut().flatten().for_each(|topic| topic.topic_id = foreign);
        let talk = world.talk::<Metadata>(version, &request, &MetadataResponse::default());
        assert!(talk.sent.is_empty(), "{version}");
        assert_eq!(talk.refused, Some(Refusal::InvalidRequest), "{version}");
    }
    let mut world = World::allowing(&[DESCRIBE_ANY]);
    let echo = topic("my-mine", 42).with_topic_id(Uuid::from_u128(9));
    let answer = MetadataResponse::default().with_topics(vec![echo]);
    world.talk::<Metadata>(12, &metadata(&["mine"]), &answer);
    assert!(!world.gate().knows_id(Uuid::from_u128(9)));
}

#[test]
fn beside_an_id_no_name_is_read() {
    for version in 12..=13 {
        let mut request = by_id(&[1]);
        request.topics.iter_mut().flatten().for_each(|topic| topic.name = Some(TopicName::default()));
        let theirs = topic("my-orders", 0).with_topic_id(Uuid::from_u128(1));
        let answer = MetadataResponse::default().with_topics(vec![theirs]);
        let talk = World::allowing(&[DESCRIBE_ORDERS]).talk::<Metadata>(version, &request, &answer);
        assert_eq!(talk.sent(), &by_id(&[1]).with_allow_auto_topic_creation(false));
        assert_eq!(talk.seen.topics[0].name, Some(TopicName(name("orders"))));
    }
}

fn topic(topic: &str, code: i16) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_name(Some(TopicName(name(topic)))).with_error_code(code)
}

/// Three brokers, of which the third, which is the controller, has no door here.
fn brokers(version: i16, topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    let brokers = [1, 2, 3].map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(node))
            .with_host(name("kafka"))
            .with_port(9092)
            .with_rack(Some(name("rack")))
    });
    assert!(version >= 4);
    MetadataResponse::default()
        .with_brokers(brokers.to_vec())
        .with_cluster_id(Some(name("backend-id")))
        .with_controller_id(BrokerId(3))
        .with_topics(topics)
}

fn asked(request: &MetadataRequest) -> Option<Vec<&str>> {
    let topics = request.topics.as_ref()?.iter();
    Some(topics.map(|topic| topic.name.as_ref().map_or("", |name| name.0.as_str())).collect())
}

fn seen(response: &MetadataResponse) -> Vec<(&str, i16)> {
    let topics = response.topics.iter();
    topics.map(|topic| (topic.name.as_ref().map_or("", |name| name.0.as_str()), topic.error_code)).collect()
}

fn talk(
    rights: &[Right],
    version: i16,
    request: &MetadataRequest,
    topics: &[(&str, i16)],
) -> Dialogue<Metadata> {
    let topics = topics.iter().map(|(name, code)| topic(name, *code));
    let answer = brokers(Metadata::upstream_version(version), topics.collect());
    World::allowing(rights).talk::<Metadata>(version, request, &answer)
}

#[test]
fn brokers_have_our_addresses_and_the_cluster_our_id() {
    for version in Metadata::VERSIONS {
        let seen = talk(&[], version, &metadata(&["orders"]), &[]).seen;
        let brokers = seen.brokers.iter();
        let brokers: Vec<_> =
            brokers.map(|broker| (broker.node_id.0, broker.host.as_str(), broker.port)).collect();
        assert_eq!(brokers, [(1, "gateway", 19093), (2, "gateway", 19094)]);
        assert_eq!(seen.controller_id.0, if version >= 1 { 1 } else { -1 });
        assert_eq!(seen.cluster_id, (version >= 2).then(|| name("team-id")));
        assert_eq!(seen.brokers[0].rack, (version >= 1).then(|| name("rack")));
    }
}

#[test]
fn a_topic_that_may_not_be_described_is_refused_whether_it_exists_or_not() {
    for version in Metadata::VERSIONS {
        let request = metadata(&["secret", "orders", "absent"]);
        let talk = talk(&[DESCRIBE_ORDERS], version, &request, &[("my-orders", 0)]);
        assert_eq!(asked(talk.sent()), Some(vec!["my-orders"]));
        assert_eq!(seen(&talk.seen), [("orders", 0), ("secret", 29), ("absent", 29)]);
        assert_eq!(talk.denials.len(), 2);
    }
}

#[test]
fn a_list_of_all_topics_has_those_that_may_be_described() {
    for version in Metadata::VERSIONS {
        let all = if version == 0 { Some(Vec::new()) } else { None };
        let request = MetadataRequest::default().with_topics(all);
        let answer = [("my-orders", 0), ("my-secret", 0), ("their-orders", 0), ("__consumer_offsets", 0)];
        let talk = talk(&[DESCRIBE_ORDERS], version, &request, &answer);
        assert_eq!(asked(talk.sent()), None);
        assert!(!talk.sent().allow_auto_topic_creation);
        assert_eq!(seen(&talk.seen), [("orders", 0)]);
    }
}

#[test]
fn an_empty_list_of_topics_is_not_a_list_of_all() {
    for version in 1..=13 {
        let talk = talk(&[DESCRIBE_ANY], version, &metadata(&[]), &[]);
        assert_eq!(asked(talk.sent()), Some(vec![]));
        assert!(!talk.sent().allow_auto_topic_creation);
    }
}

#[test]
fn names_that_can_not_exist_are_answered_here() {
    let request = metadata(&["", "..", "a/b", "__consumer_offsets"]);
    let talk = talk(&[DESCRIBE_ANY], 12, &request, &[]);
    assert_eq!(asked(talk.sent()), Some(vec![]));
    assert_eq!(seen(&talk.seen), [("", 17), ("..", 17), ("a/b", 17), ("__consumer_offsets", 3)]);

    let answer = brokers(12, Vec::new());
    let mut world = World::with(Mode::EnforcePrefix, &[DESCRIBE_ANY], &[]);
    let talk = world.talk::<Metadata>(12, &metadata(&["orders"]), &answer);
    assert_eq!(seen(&talk.seen), [("orders", 29)]);
}

#[test]
fn a_topic_is_made_by_asking_only_with_the_right_to_create_it() {
    for version in Metadata::VERSIONS {
        let request = metadata(&["new-orders"]);
        let talked = talk(&[DESCRIBE_ANY, CREATE_NEW], version, &request, &[("my-new-orders", 3)]);
        assert!(talked.sent().allow_auto_topic_creation);
        assert_eq!(seen(&talked.seen), [("new-orders", 3)]);

        let talked = talk(&[DESCRIBE_ANY], version, &request, &[("my-new-orders", 3)]);
        assert!(!talked.sent().allow_auto_topic_creation, "version {version}");
        assert_eq!(seen(&talked.seen), [("new-orders", 29)], "what a broker says of what it may not make");

        if version >= 4 {
            let request = request.with_allow_auto_topic_creation(false);
            let talked = talk(&[DESCRIBE_ANY], version, &request, &[("my-new-orders", 3)]);
            assert_eq!(seen(&talked.seen), [("new-orders", 3)], "it was not to be made");
        }
    }
}

#[test]
fn an_additional_topic_is_never_made_by_asking() {
    let rights = [DESCRIBE_ANY, (Operation::Create, Resource::Topic, "*")];
    let talk = talk(&rights, 9, &metadata(&["extra_topic"]), &[("extra_topic", 3)]);
    assert!(!talk.sent().allow_auto_topic_creation);
    assert_eq!(seen(&talk.seen), [("extra_topic", 3)]);
}

#[test]
fn what_may_be_made_and_what_may_not_is_asked_apart() {
    for version in Metadata::VERSIONS {
        let request = metadata(&["orders", "new-orders"]);
        let talk = talk(&[DESCRIBE_ANY, CREATE_NEW], version, &request, &[("my-new-orders", 0)]);
        let [with, without] = &talk.sent[..] else { panic!("two requests") };
        assert_eq!((asked(with), with.allow_auto_topic_creation), (Some(vec!["my-new-orders"]), true));
        assert_eq!((asked(without), without.allow_auto_topic_creation), (Some(vec!["my-orders"]), false));
    }
    let mut first = brokers(9, vec![topic("a", 0)]);
    Metadata::join(&mut first, brokers(9, vec![topic("b", 3)]).with_throttle_time_ms(8));
    assert_eq!((seen(&first), first.throttle_time_ms), (vec![("a", 0), ("b", 3)], 8));
    assert_eq!(first.brokers.len(), 3);
}

#[test]
fn a_topic_asked_for_by_its_id_must_be_ones_own() {
    let id = |id: u128| Uuid::from_u128(id);
    for version in 12..=13 {
        let partition = MetadataResponsePartition::default().with_leader_id(BrokerId(1));
        let found = [("my-orders", 1), ("my-secret", 2), ("their-orders", 3)]
            .map(|(name, at)| topic(name, 0).with_topic_id(id(at)).with_partitions(vec![partition.clone()]));
        let unknown =
            MetadataResponseTopic::default().with_name(None).with_topic_id(id(4)).with_error_code(100);
        let answer = brokers(version, found.into_iter().chain([unknown]).collect());
        let mut world = World::allowing(&[DESCRIBE_ORDERS]);
        let talk = world.talk::<Metadata>(version, &by_id(&[1, 2, 3, 4]), &answer);
        assert_eq!(seen(&talk.seen), [("orders", 0), ("", 29), ("", 100), ("", 100)]);
        let topics = &talk.seen.topics;
        assert_eq!(topics.iter().map(|topic| topic.topic_id).collect::<Vec<_>>(), [1, 2, 3, 4].map(id));
        let mut foreign = topics[2].clone();
        foreign.topic_id = id(4);
        assert_eq!(foreign, topics[3], "another tenant's topic looks like none");
        assert!(topics[1].name.is_none() && topics[1].partitions.is_empty());
    }
}

#[test]
fn nothing_tells_anothers_id_from_an_id_that_nobody_has() {
    let unknown = |id: u128| {
        let topic = MetadataResponseTopic::default().with_name(None).with_topic_id(Uuid::from_u128(id));
        topic.with_error_code(100)
    };
    let theirs = topic("their-orders", 0).with_topic_id(Uuid::from_u128(3));
    let closed_to_us = unknown(3).with_error_code(29);
    for version in 12..=13 {
        // A broker names the ids that it does not know first, and those that it keeps from us last.
        for found in [vec![unknown(4), theirs.clone()], vec![unknown(4), closed_to_us.clone()]] {
            let seen = |found: Vec<MetadataResponseTopic>| {
                let answer = brokers(version, found);
                let mut world = World::allowing(&[DESCRIBE_ANY]);
                world.talk::<Metadata>(version, &by_id(&[3, 4]), &answer).seen
            };
            assert_eq!(seen(found), seen(vec![unknown(3), unknown(4)]));
        }
    }
}

#[test]
fn an_id_that_nobody_asked_for_is_not_shown() {
    let id = Uuid::from_u128(3);
    let partition = MetadataResponsePartition::default().with_leader_id(BrokerId(1));
    let nameless = MetadataResponseTopic::default().with_name(None).with_topic_authorized_operations(7);
    let found = [topic("their-orders", 0), nameless]
        .map(|topic| topic.with_topic_id(id).with_partitions(vec![partition.clone()]));
    for version in 12..=13 {
        for request in [metadata(&["orders"]), MetadataRequest::default().with_topics(None), by_id(&[4])] {
            let answer = brokers(version, found.to_vec());
            let talk = World::allowing(&[DESCRIBE_ANY]).talk::<Metadata>(version, &request, &answer);
            assert_eq!(talk.seen.topics, []);
        }
        let answer = brokers(version, found[1..].to_vec());
        let talk = World::allowing(&[DESCRIBE_ANY]).talk::<Metadata>(version, &by_id(&[3]), &answer);
        let [seen] = &talk.seen.topics[..] else { panic!("{:?}", talk.seen.topics) };
        assert_eq!((seen.topic_id, seen.topic_authorized_operations), (id, NOT_ASKED));
        assert!(seen.partitions.is_empty());
    }
}

/// A topic as it is shown: name, code, id.
type Shown = (String, i16, Uuid);

/// What a broker is asked for, and what is shown of its topic that has an alias.
fn under_names(
    rights: &[Right],
    version: i16,
    request: &MetadataRequest,
) -> (Option<Vec<String>>, Vec<Shown>) {
    let id = Uuid::from_u128(2);
    let found = topic("my-orders-v2", 0).with_topic_id(if version >= 10 { id } else { Uuid::nil() });
    let mut world = World::allowing(rights).with_alias("orders", "orders-v2");
    world.learn(id, "my-orders-v2");
    let talk = world.talk::<Metadata>(version, request, &brokers(version.max(4), vec![found]));
    let sent = talk.sent().topics.as_ref().map(|topics| {
        let name = |topic: &MetadataRequestTopic| match &topic.name {
            Some(name) => name.to_string(),
            None => topic.topic_id.to_string(),
        };
        topics.iter().map(name).collect()
    });
    let seen = talk.seen.topics.iter();
    let seen = seen.map(|topic| {
        (
            topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default(),
            topic.error_code,
            topic.topic_id,
        )
    });
    (sent, seen.collect())
}

fn alias_id() -> Uuid {
    crate::cluster::TopicIds::default().learn_alias(Uuid::from_u128(2), "orders")
}

#[test]
fn hazard_33_a_topic_is_told_under_each_name_with_an_id_for_each() {
    let own = Uuid::from_u128(2);
    assert_ne!(alias_id(), own);
    for version in 10..=13 {
        let (alias, real) = (("orders".to_owned(), 0, alias_id()), ("orders-v2".to_owned(), 0, own));
        for (names, expected) in [
            (&["orders"][..], vec![&alias]),
            (&["orders-v2"], vec![&real]),
            (&["orders-v2", "orders"], vec![&real, &alias]),
            (&["orders", "orders-v2"], vec![&alias, &real]),
        ] {
            let (sent, seen) = under_names(&[DESCRIBE_ANY], version, &metadata(names));
            assert!(sent.unwrap().iter().all(|name| name == "my-orders-v2"));
            assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "v{version} {names:?}");
        }
        let all = MetadataRequest::default().with_topics(None);
        let (_, seen) = under_names(&[DESCRIBE_ANY], version, &all);
        assert_eq!(seen, [real.clone(), alias.clone()]);
        let (_, seen) = under_names(&[DESCRIBE_ORDERS], version, &all);
        assert_eq!(seen, [alias], "a right on the alias is none on the topic");
    }
}

#[test]
fn a_right_on_a_topic_is_none_on_its_alias() {
    let rights = [(Operation::Describe, Resource::Topic, "orders-v2")];
    let (sent, seen) = under_names(&rights, 12, &metadata(&["orders", "orders-v2"]));
    assert_eq!(sent, Some(vec!["my-orders-v2".to_owned()]));
    let seen: Vec<_> = seen.iter().map(|(name, code, _)| (name.as_str(), *code)).collect();
    assert_eq!(seen, [("orders-v2", 0), ("orders", 29)]);
}

#[test]
fn the_id_of_an_alias_leads_to_the_topic_under_its_alias() {
    let (own, other) = (Uuid::from_u128(2), Uuid::from_u128(9));
    for version in 12..=13 {
        let by = |ids: &[Uuid]| by_id(&ids.iter().map(Uuid::as_u128).collect::<Vec<_>>());
        let (sent, seen) = under_names(&[DESCRIBE_ORDERS], version, &by(&[alias_id()]));
        assert_eq!(sent, Some(vec![own.to_string()]));
        assert_eq!(seen, [("orders".to_owned(), 0, alias_id())]);
        let (sent, seen) = under_names(&[DESCRIBE_ORDERS], version, &by(&[own, other]));
        assert_eq!(sent, Some(vec![own.to_string(), other.to_string()]));
        assert_eq!(seen, [(String::new(), 29, own)], "a right on the alias is none on the topic");
    }
}

#[test]
fn no_topic_is_made_by_an_alias() {
    let rights = [DESCRIBE_ANY, (Operation::Create, Resource::Topic, "*")];
    let mut world = World::allowing(&rights).with_alias("orders", "orders-v2");
    let answer = brokers(9, vec![topic("my-orders-v2", 3)]);
    let talk = world.talk::<Metadata>(9, &metadata(&["orders"]), &answer);
    assert!(!talk.sent().allow_auto_topic_creation);
    assert_eq!(seen(&talk.seen), [("orders", 3)]);
}

#[test]
fn the_bit_fields_say_what_this_client_may_do() {
    let rights = [
        DESCRIBE_ORDERS,
        (Operation::Write, Resource::Topic, "orders"),
        (Operation::Describe, Resource::Cluster, "kafka-cluster"),
        (Operation::Create, Resource::Cluster, "kafka-cluster"),
    ];
    for version in 8..=10 {
        let request = metadata(&["orders", "secret"])
            .with_include_topic_authorized_operations(true)
            .with_include_cluster_authorized_operations(true);
        let talked = talk(&rights, version, &request, &[("my-orders", 0)]);
        let sent = talked.sent();
        assert!(!sent.include_topic_authorized_operations);
        assert!(!sent.include_cluster_authorized_operations);
        let bits: Vec<_> = talked.seen.topics.iter().map(|topic| topic.topic_authorized_operations).collect();
        assert_eq!(bits, [1 << 4 | 1 << 8, NOT_ASKED]);
        assert_eq!(talked.seen.cluster_authorized_operations, 1 << 5 | 1 << 8);

        let talked = talk(&rights[3..], version, &request, &[]);
        assert_eq!(talked.seen.cluster_authorized_operations, 0);
        let talked = talk(&rights, version, &metadata(&["orders"]), &[("my-orders", 0)]);
        assert_eq!(talked.seen.cluster_authorized_operations, NOT_ASKED);
        assert_eq!(talked.seen.topics[0].topic_authorized_operations, NOT_ASKED);
    }
}

#[test]
fn a_leader_without_a_door_is_not_available() {
    for version in Metadata::VERSIONS {
        let partitions =
            [2, 3, -1].map(|node| {
                MetadataResponsePartition::default()
                    .with_leader_id(BrokerId(node))
                    .with_error_code(if node < 0 { ResponseError::LeaderNotAvailable.code() } else { 0 })
            });
        let found = topic("my-orders", 0).with_is_internal(true).with_partitions(partitions.to_vec());
        let answer = brokers(4, vec![found]);
        let mut world = World::allowing(&[DESCRIBE_ORDERS]);
        let seen = world.talk::<Metadata>(version, &metadata(&["orders"]), &answer).seen;
        let partitions = seen.topics[0].partitions.iter();
        let leaders: Vec<_> =
            partitions.map(|partition| (partition.leader_id.0, partition.error_code)).collect();
        assert_eq!(leaders, [(2, 0), (-1, 5), (-1, 5)]);
        assert!(!seen.topics[0].is_internal);
    }
}

#[test]
fn a_metadata_request_refused_whole_is_refused_topic_by_topic() {
    for version in Metadata::VERSIONS {
        let refused = Metadata::refuse(metadata(&["a", "b"]), Refusal::TopicDenied, version);
        assert_eq!(seen(&said(&refused, version)), [("a", 29), ("b", 29)]);
    }
}

#[test]
fn librdkafka_s_question_for_all_topics_is_read_as_brokers_read_it() {
    for (version, body, read) in [
        (13, &[0, 0, 0, 0, 1, 0, 0][..], 4),
        (11, &[0, 0, 0, 0, 1, 0, 0], 4),
        (10, &[0, 0, 0, 0, 1, 0, 0], 7),
        (13, &[0, 0, 0, 0, 1, 0, 0, 0], 8),
        (13, &[0, 0, 0, 1, 1, 0, 0], 7),
    ] {
        let kept = Metadata::read_by_brokers(Bytes::copy_from_slice(body), version);
        assert_eq!(kept.len(), read, "v{version} {body:?}");
    }
}
