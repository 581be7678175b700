//! What a member is told in its session, and what the broker is.

use bytes::Bytes;
use kafka_protocol::messages::BrokerId;

use super::*;
use crate::api::testing::{Dialogue, World, text};
use crate::wire::messages::share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic};
use crate::wire::messages::share_fetch_request::AcknowledgementBatch;
use crate::wire::messages::share_fetch_response::{LeaderIdAndEpoch, NodeEndpoint};

const ORDERS: u128 = 1;
const SECRET: u128 = 2;
const THEIRS: u128 = 3;
const NOBODYS: u128 = 4;

fn world(readable: &[&str]) -> World {
    let mut rules = vec![(Operation::Read, Resource::Group, "readers")];
    rules.extend(readable.iter().map(|name| (Operation::Read, Resource::Topic, *name)));
    knowing(World::allowing(&rules))
}

fn knowing(world: World) -> World {
    for (id, name) in [(ORDERS, "my-orders"), (SECRET, "my-secret"), (THEIRS, "their-orders")] {
        world.learn(Uuid::from_u128(id), name);
    }
    world
}

/// Another login of the same connection.
fn with_rights_of(world: World, mut other: World) -> World {
    other.conversation = world.conversation;
    other
}

/// A topic and partitions of it; one with a bar acknowledges something.
type Asked<'a> = (u128, &'a [(i32, bool)]);

fn fetch(epoch: i32, topics: &[Asked<'_>], forgotten: &[(u128, &[i32])]) -> ShareFetchRequest {
    let topics = topics.iter().map(|(id, partitions)| {
        let partitions = partitions.iter().map(|(index, acknowledges)| {
            let batch = AcknowledgementBatch::default().with_acknowledge_types(vec![1]);
            let batches = if *acknowledges { vec![batch] } else { vec![] };
            FetchPartition::default().with_partition_index(*index).with_acknowledgement_batches(batches)
        });
        FetchTopic::default().with_topic_id(Uuid::from_u128(*id)).with_partitions(partitions.collect())
    });
    let forgotten = forgotten.iter().map(|(id, partitions)| {
        ForgottenTopic::default().with_topic_id(Uuid::from_u128(*id)).with_partitions(partitions.to_vec())
    });
    ShareFetchRequest::default()
        .with_group_id(Some(GroupId(text("readers"))))
        .with_member_id(Some(text("member")))
        .with_share_session_epoch(epoch)
        .with_topics(topics.collect())
        .with_forgotten_topics_data(forgotten.collect())
}

fn fetched(topics: &[(u128, i32)]) -> ShareFetchResponse {
    let topics = topics.iter().map(|(id, index)| {
        let partition = PartitionData::default()
            .with_partition_index(*index)
            .with_records(Some(Bytes::from_static(b"records")));
        ShareFetchableTopicResponse::default()
            .with_topic_id(Uuid::from_u128(*id))
            .with_partitions(vec![partition])
    });
    ShareFetchResponse::default().with_responses(topics.collect())
}

/// Topics with partitions of theirs.
type Indexes = Vec<(u128, Vec<i32>)>;

/// The topics and partitions that a broker is asked for, and those that it is to forget.
fn sent(talk: &Dialogue<ShareFetch>) -> (Indexes, Indexes) {
    let topics = talk.sent().topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
        (topic.topic_id.as_u128(), partitions.collect())
    });
    let forgotten = talk.sent().forgotten_topics_data.iter();
    let forgotten = forgotten.map(|topic| (topic.topic_id.as_u128(), topic.partitions.clone()));
    (topics.collect(), forgotten.collect())
}

/// Each partition of an answer: topic, index, its code, and that of what was acknowledged.
fn codes(response: &ShareFetchResponse) -> Vec<(u128, i32, i16, i16)> {
    let partitions = response.responses.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let codes = (partition.error_code, partition.acknowledge_error_code);
            (topic.topic_id.as_u128(), partition.partition_index, codes.0, codes.1)
        })
    });
    partitions.collect()
}

#[test]
fn what_may_not_be_read_is_told_in_each_answer_until_it_is_forgotten() {
    for version in ShareFetch::VERSIONS {
        let mut world = world(&["orders"]);
        let none = fetched(&[]);
        let all = [(ORDERS, &[(0, false)][..]), (SECRET, &[(0, false), (1, false)]), (THEIRS, &[(0, false)])];
        let talk = world.talk::<ShareFetch>(version, &fetch(0, &all, &[]), &fetched(&[(ORDERS, 0)]));
        assert_eq!(sent(&talk), (vec![(ORDERS, vec![0])], vec![]));
        let refused = [(SECRET, 0, 29, 0), (SECRET, 1, 29, 0), (THEIRS, 0, 100, 0)];
        assert_eq!(codes(&talk.seen)[1..], refused);
        assert_eq!(talk.seen.responses[0].partitions[0].records.as_deref(), Some(&b"records"[..]));

        let talk = world.talk::<ShareFetch>(version, &fetch(1, &[], &[]), &none);
        assert_eq!(sent(&talk), (vec![], vec![]));
        assert_eq!(codes(&talk.seen), refused);

        let forget = [(SECRET, &[1][..]), (THEIRS, &[0]), (ORDERS, &[0])];
        let talk = world.talk::<ShareFetch>(version, &fetch(2, &[], &forget), &none);
        let told = sent(&talk).1;
        assert!(told.contains(&(ORDERS, vec![0])) && told.iter().all(|(id, _)| *id != THEIRS), "{told:?}");
        assert_eq!(codes(&talk.seen), [(SECRET, 0, 29, 0)]);

        let talk = world.talk::<ShareFetch>(version, &fetch(0, &[], &[]), &none);
        assert_eq!(codes(&talk.seen), []);
    }
}

#[test]
fn sessions_of_two_members_are_two() {
    let mut world = world(&["orders"]);
    world.talk::<ShareFetch>(1, &fetch(0, &[(SECRET, &[(0, false)])], &[]), &fetched(&[]));
    let other = fetch(0, &[], &[]).with_member_id(Some(text("other")));
    assert_eq!(codes(&world.talk::<ShareFetch>(1, &other, &fetched(&[])).seen), []);
    let again = fetch(1, &[], &[]);
    assert_eq!(codes(&world.talk::<ShareFetch>(1, &again, &fetched(&[])).seen), [(SECRET, 0, 29, 0)]);
}

#[test]
fn acknowledgements_of_what_may_not_be_read_are_refused() {
    let mut world = world(&["orders"]);
    world.talk::<ShareFetch>(1, &fetch(0, &[(SECRET, &[(0, false)])], &[]), &fetched(&[]));
    let asked = [
        (ORDERS, &[(0, true)][..]),
        (SECRET, &[(0, true), (1, false)]),
        (THEIRS, &[(0, false)]),
        (NOBODYS, &[(5, true)]),
    ];
    let talk = world.talk::<ShareFetch>(1, &fetch(1, &asked, &[]), &fetched(&[(ORDERS, 0)]));
    assert_eq!(sent(&talk).0, [(ORDERS, vec![0])]);
    assert!(!talk.sent().topics[0].partitions[0].acknowledgement_batches.is_empty());
    let refused = [(SECRET, 0, 29, 29), (SECRET, 1, 29, 0), (THEIRS, 0, 100, 100), (NOBODYS, 5, 100, 100)];
    assert_eq!(codes(&talk.seen)[1..], refused);
    // The last request of a session acknowledges, and fetches nothing.
    let talk = world.talk::<ShareFetch>(1, &fetch(-1, &asked, &[]), &fetched(&[]));
    assert_eq!(sent(&talk).0, [(ORDERS, vec![0])]);
    assert_eq!(codes(&talk.seen), [(SECRET, 0, 0, 29), (THEIRS, 0, 0, 100), (NOBODYS, 5, 0, 100)]);
    assert_eq!(codes(&world.talk::<ShareFetch>(1, &fetch(1, &[], &[]), &fetched(&[])).seen), []);
}

#[test]
fn what_is_acknowledged_and_forgotten_at_once_is_fetched_no_more() {
    let mut world = world(&["orders"]);
    let both = [(ORDERS, &[(0, false)][..]), (SECRET, &[(0, false)])];
    world.talk::<ShareFetch>(1, &fetch(0, &both, &[]), &fetched(&[]));
    let both = [(ORDERS, &[(0, true)][..]), (SECRET, &[(0, true)])];
    let forgotten = [(ORDERS, &[0][..]), (SECRET, &[0])];
    let talk = world.talk::<ShareFetch>(1, &fetch(1, &both, &forgotten), &fetched(&[]));
    assert_eq!(sent(&talk).0, [(ORDERS, vec![0])]);
    assert!(sent(&talk).1.contains(&(ORDERS, vec![0])));
    assert_eq!(codes(&talk.seen), [(SECRET, 0, 0, 29)]);
}

#[test]
fn a_session_that_opens_acknowledges_nothing() {
    for topic in [ORDERS, SECRET] {
        let talk =
            world(&["orders"]).talk::<ShareFetch>(1, &fetch(0, &[(topic, &[(0, true)])], &[]), &fetched(&[]));
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 42));
    }
}

#[test]
fn rights_that_are_lost_or_won_change_the_session() {
    let mut open = world(&["orders", "secret"]);
    let both = [(ORDERS, &[(0, false)][..]), (SECRET, &[(0, false), (1, false)])];
    let talk = open.talk::<ShareFetch>(1, &fetch(0, &both, &[]), &fetched(&[]));
    assert_eq!(sent(&talk), (vec![(ORDERS, vec![0]), (SECRET, vec![0, 1])], vec![]));

    let mut lost = with_rights_of(open, world(&["orders"]));
    // What the broker had under way is not shown either.
    let talk = lost.talk::<ShareFetch>(1, &fetch(1, &[], &[]), &fetched(&[(ORDERS, 0), (SECRET, 0)]));
    assert_eq!(sent(&talk), (vec![], vec![(SECRET, vec![0, 1])]));
    assert_eq!(codes(&talk.seen), [(ORDERS, 0, 0, 0), (SECRET, 0, 29, 0), (SECRET, 1, 29, 0)]);
    let talk = lost.talk::<ShareFetch>(1, &fetch(2, &[], &[]), &fetched(&[]));
    assert_eq!(sent(&talk), (vec![], vec![]));

    let mut won = with_rights_of(lost, world(&["orders", "secret"]));
    let more = [(SECRET, &[(1, true)][..])];
    let talk = won.talk::<ShareFetch>(1, &fetch(3, &more, &[]), &fetched(&[]));
    assert_eq!(sent(&talk), (vec![(SECRET, vec![1]), (SECRET, vec![0])], vec![]));
    assert_eq!(codes(&talk.seen), []);
}

#[test]
fn a_member_needs_the_right_to_its_group() {
    for (group, code) in [(Some("writers"), 30), (Some(""), 30), (None, 42)] {
        let group = group.map(|group| GroupId(text(group)));
        let request = fetch(0, &[(ORDERS, &[(0, false)])], &[]).with_group_id(group.clone());
        let talk = world(&["orders"]).talk::<ShareFetch>(2, &request, &fetched(&[]));
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, code));
        assert_eq!(codes(&talk.seen), []);
        let request = acknowledge(1, &[ORDERS]).with_group_id(group);
        let talk = world(&["orders"]).talk::<ShareAcknowledge>(2, &request, &Default::default());
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, code));
    }
}

#[test]
fn a_session_that_the_broker_does_not_have_is_told_of_nothing() {
    let answer = fetched(&[]).with_error_code(122).with_error_message(Some(text("my-readers has none")));
    let talk = world(&[]).talk::<ShareFetch>(1, &fetch(3, &[(SECRET, &[(0, false)])], &[]), &answer);
    assert_eq!((codes(&talk.seen), talk.seen.error_code), (vec![], 122));
    assert_eq!(talk.seen.error_message, standard_text(122));
}

#[test]
fn a_connection_has_only_so_many_sessions() {
    let mut world = world(&["orders"]);
    let code = |world: &mut World, member: usize| {
        let request = fetch(0, &[], &[]).with_member_id(Some(text(&member.to_string())));
        world.talk::<ShareFetch>(1, &request, &fetched(&[])).seen.error_code
    };
    let codes: Vec<_> = (0..65).map(|member| code(&mut world, member)).collect();
    assert_eq!((codes[63], codes[64]), (0, 133));
    let many: Vec<_> = (0..20_001).map(|index| (index, false)).collect();
    let request = fetch(1, &[(SECRET, &many)], &[]).with_member_id(Some(text("1")));
    let talk = world.talk::<ShareFetch>(1, &request, &fetched(&[]));
    assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 133));
    assert_eq!(code(&mut world, 64), 0);
}

#[test]
fn leaders_are_found_at_our_doors() {
    let mut answer = fetched(&[(ORDERS, 0), (ORDERS, 1)]);
    for (topic, leader) in answer.responses.iter_mut().zip([1, 9]) {
        let partition = &mut topic.partitions[0];
        partition.error_code = 6;
        partition.error_message = Some(text("my-orders moved"));
        partition.acknowledge_error_code = 121;
        partition.acknowledge_error_message = Some(text("my-orders is wrong"));
        partition.current_leader = LeaderIdAndEpoch::default().with_leader_id(leader).with_leader_epoch(5);
    }
    let node = |id, host: &str, port| {
        NodeEndpoint::default().with_node_id(BrokerId(id)).with_host(text(host)).with_port(port)
    };
    answer.node_endpoints = vec![node(1, "kafka-1", 9092), node(9, "kafka-9", 9092)];
    let seen = world(&["orders"]).talk::<ShareFetch>(1, &fetch(1, &[], &[]), &answer).seen;
    assert_eq!(seen.node_endpoints, [node(1, "gateway", 19093)]);
    let leaders = seen.responses.iter().map(|topic| topic.partitions[0].current_leader.clone());
    let leaders: Vec<_> = leaders.map(|leader| (leader.leader_id, leader.leader_epoch)).collect();
    assert_eq!(leaders, [(1, 5), (-1, -1)]);
    let partition = &seen.responses[0].partitions[0];
    assert_eq!(partition.error_message, standard_text(6));
    assert_eq!(partition.acknowledge_error_message, standard_text(121));
}

fn acknowledge(epoch: i32, topics: &[u128]) -> ShareAcknowledgeRequest {
    let topics = topics.iter().map(|id| {
        let partition = AcknowledgePartition::default().with_partition_index(7);
        AcknowledgeTopic::default().with_topic_id(Uuid::from_u128(*id)).with_partitions(vec![partition])
    });
    ShareAcknowledgeRequest::default()
        .with_group_id(Some(GroupId(text("readers"))))
        .with_member_id(Some(text("member")))
        .with_share_session_epoch(epoch)
        .with_topics(topics.collect())
}

fn acknowledged(topics: &[(u128, i16)]) -> ShareAcknowledgeResponse {
    let topics = topics.iter().map(|(id, code)| {
        let partition = share_acknowledge_response::PartitionData::default()
            .with_partition_index(7)
            .with_error_code(*code);
        ShareAcknowledgeTopicResponse::default()
            .with_topic_id(Uuid::from_u128(*id))
            .with_partitions(vec![partition])
    });
    ShareAcknowledgeResponse::default().with_responses(topics.collect())
}

#[test]
fn an_acknowledgement_of_a_refused_topic_is_answered_for_while_the_rest_goes_through() {
    for version in ShareAcknowledge::VERSIONS {
        let all = acknowledge(1, &[SECRET, ORDERS, THEIRS, NOBODYS]);
        let answer = acknowledged(&[(ORDERS, 0)]);
        let talk = world(&["orders"]).talk::<ShareAcknowledge>(version, &all, &answer);
        let expected = acknowledge(1, &[ORDERS]).with_group_id(Some(GroupId(text("my-readers"))));
        assert_eq!(talk.sent(), &expected);
        let seen = talk.seen.responses.iter().map(|topic| {
            let partition = &topic.partitions[0];
            (topic.topic_id.as_u128(), partition.partition_index, partition.error_code)
        });
        let expected = [(ORDERS, 7, 0), (SECRET, 7, 29), (THEIRS, 7, 100), (NOBODYS, 7, 100)];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        // The broker counts requests, also those that ask for nothing.
        let talk = world(&[]).talk::<ShareAcknowledge>(version, &all, &acknowledged(&[]));
        assert_eq!(talk.sent().topics, []);
    }
}

#[test]
fn the_last_acknowledgement_ends_a_session() {
    let mut world = world(&["orders"]);
    world.talk::<ShareFetch>(1, &fetch(0, &[(SECRET, &[(0, false)])], &[]), &fetched(&[]));
    world.talk::<ShareAcknowledge>(1, &acknowledge(1, &[]), &acknowledged(&[]));
    let talk = world.talk::<ShareFetch>(1, &fetch(2, &[], &[]), &fetched(&[]));
    assert_eq!(codes(&talk.seen), [(SECRET, 0, 29, 0)]);
    world.talk::<ShareAcknowledge>(1, &acknowledge(-1, &[]), &acknowledged(&[]));
    assert_eq!(codes(&world.talk::<ShareFetch>(1, &fetch(3, &[], &[]), &fetched(&[])).seen), []);
}

#[test]
fn what_a_session_holds_is_asked_about_when_its_id_is_forgotten() {
    let told = |world: &World, epoch| {
        let mut told = Vec::new();
        let mut tell = |id: Uuid| told.push(id.as_u128());
        ShareFetch::ids_kept(&fetch(epoch, &[], &[]), &world.conversation, &mut tell);
        told
    };
    let mut world = world(&["orders"]);
    let topics: [Asked<'_>; 2] = [(ORDERS, &[(0, false)]), (NOBODYS, &[(0, false)])];
    world.talk::<ShareFetch>(1, &fetch(0, &topics, &[]), &fetched(&[]));
    assert_eq!(told(&world, 1), [ORDERS, NOBODYS]);
    // These stand on nothing.
    assert_eq!((told(&world, 0), told(&world, -1)), (vec![], vec![]));
    world.talk::<ShareFetch>(1, &fetch(-1, &[], &[]), &fetched(&[]));
    assert_eq!(told(&world, 1), []);
}
