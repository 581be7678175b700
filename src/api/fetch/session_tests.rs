//! What becomes of a fetch that stands on earlier ones.

use kafka_protocol::messages::fetch_request::{FetchPartition, ForgottenTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use uuid::Uuid;

use super::sessions::{PARTITIONS_MAX, SESSIONS_MAX};
use super::tests::{called, codes, hidden, name, names, request, response, world};
use super::{Api, BY_ID, Fetch};
use crate::api::testing::{Dialogue, World, text};
use crate::api::{Asking, Pass, Refusal};
use crate::cluster::TopicIds;
use crate::policy::{Operation, Resource};

/// The number that the broker gives to a session.
const SESSION: i32 = 7;

/// The versions that know sessions.
const VERSIONS: std::ops::RangeInclusive<i16> = 7..=18;

/// A fetch of these topics in a session; epoch 0 opens one.
fn fetch(version: i16, session: i32, epoch: i32, topics: &[&str]) -> FetchRequest {
    request(version, topics).with_session_id(session).with_session_epoch(epoch)
}

fn forgetting(mut request: FetchRequest, version: i16, topics: &[&str]) -> FetchRequest {
    let topics = topics.iter().map(|topic| {
        let (topic, id) = called(topic, version, hidden);
        ForgottenTopic::default().with_topic(topic).with_topic_id(id).with_partitions(vec![0, 1])
    });
    request.forgotten_topics_data = topics.collect();
    request
}

fn answer(version: i16, topics: &[&str]) -> FetchResponse {
    response(version, topics).with_session_id(SESSION)
}

/// A client that has opened a session with these topics.
fn opened(version: i16, topics: &[&str]) -> World {
    let mut world = world();
    open(&mut world, version, topics);
    world
}

fn open(world: &mut World, version: i16, topics: &[&str]) -> Dialogue<Fetch> {
    let talk = world.talk::<Fetch>(version, &fetch(version, 0, 0, topics), &answer(version, &[]));
    assert_eq!((talk.sent().session_id, talk.sent().session_epoch), (0, 0));
    assert_eq!(talk.seen.session_id, SESSION);
    talk
}

/// What the client says next in its session, to which the broker answers nothing new.
fn next(world: &mut World, version: i16, epoch: i32, topics: &[&str]) -> Dialogue<Fetch> {
    world.talk::<Fetch>(version, &fetch(version, SESSION, epoch, topics), &answer(version, &[]))
}

fn forgotten(request: &FetchRequest) -> Vec<(&str, Vec<i32>)> {
    let topics = request.forgotten_topics_data.iter();
    topics.map(|topic| (name(&topic.topic, topic.topic_id), topic.partitions.clone())).collect()
}

fn read(topic: &'static str) -> (Operation, Resource, &'static str) {
    (Operation::Read, Resource::Topic, topic)
}

#[test]
fn hazard_17_a_fetch_that_says_nothing_new_goes_to_the_broker() {
    for version in VERSIONS {
        let mut world = opened(version, &["my-orders"]);
        for epoch in 1..4 {
            let talk = next(&mut world, version, epoch, &[]);
            assert_eq!((talk.sent().session_id, talk.sent().session_epoch), (SESSION, epoch));
            assert!(talk.sent().topics.is_empty());
            assert_eq!((talk.seen.session_id, talk.seen.responses.len()), (SESSION, 0));
        }
    }
}

#[test]
fn hazard_15_what_is_refused_is_said_each_time_until_it_is_forgotten() {
    for version in VERSIONS {
        let mut world = world();
        let talk = open(&mut world, version, &["my-secret", "my-orders"]);
        assert_eq!(names(talk.sent()), ["my-orders"]);
        assert_eq!(codes(&talk.seen), [("secret", vec![29, 29])]);
        for epoch in 1..3 {
            let talk = next(&mut world, version, epoch, &["my-orders", "my-secret"]);
            assert_eq!(names(talk.sent()), ["my-orders"]);
            assert_eq!(codes(&talk.seen), [("secret", vec![29, 29])]);
        }
        let talk = next(&mut world, version, 3, &[]);
        let partition = &talk.seen.responses[0].partitions[1];
        assert_eq!((partition.high_watermark, partition.records.as_deref()), (-1, Some(&b""[..])));
        let forgets = forgetting(fetch(version, SESSION, 4, &[]), version, &["my-secret", "my-orders"]);
        let talk = world.talk::<Fetch>(version, &forgets, &answer(version, &[]));
        assert_eq!(forgotten(talk.sent()), [("my-orders", vec![0, 1])]);
        assert!(talk.seen.responses.is_empty());
    }
}

#[test]
fn hazard_16_a_session_with_refused_topics_needs_no_second_full_fetch() {
    for version in VERSIONS {
        let mut world = world();
        // A full answer tells of each partition that was asked for, and of no other.
        let asked = fetch(version, 0, 0, &["my-secret", "my-orders"]);
        let talk = world.talk::<Fetch>(version, &asked, &answer(version, &["my-orders"]));
        assert_eq!(codes(&talk.seen), [("orders", vec![0]), ("secret", vec![29, 29])]);
        assert_eq!(talk.seen.session_id, SESSION);
    }
}

#[test]
fn where_all_is_refused_no_session_is_opened() {
    for version in VERSIONS {
        let mut world = world();
        let asked = fetch(version, 0, 0, &["my-secret"]);
        let talk = world.talk::<Fetch>(version, &asked, &answer(version, &[]));
        assert!(talk.sent.is_empty());
        assert_eq!((talk.seen.session_id, codes(&talk.seen)), (0, vec![("secret", vec![29, 29])]));
        assert_eq!(next(&mut world, version, 1, &[]).seen.error_code, 70);
    }
}

#[test]
fn a_session_of_another_connection_is_unknown_and_stays_open() {
    for version in VERSIONS {
        let mut world = world();
        for epoch in [1, 2, i32::MAX, -2] {
            let talk = next(&mut world, version, epoch, &["my-orders"]);
            assert!(talk.sent.is_empty());
            assert_eq!(talk.refused, Some(Refusal::UnknownFetchSession));
            assert_eq!((talk.seen.error_code, talk.seen.responses.len()), (70, 0));
        }
        for epoch in [-1, 0] {
            let talk = next(&mut world, version, epoch, &["my-orders"]);
            assert_eq!((talk.sent().session_id, talk.sent().session_epoch), (0, epoch));
        }
    }
}

#[test]
fn a_client_closes_its_session_and_opens_another() {
    for version in VERSIONS {
        let mut world = opened(version, &["my-orders", "my-secret"]);
        let asked = fetch(version, SESSION, 0, &["extra_topic"]);
        let talk = world.talk::<Fetch>(version, &asked, &answer(version, &[]).with_session_id(8));
        assert_eq!((talk.sent().session_id, talk.sent().session_epoch), (SESSION, 0));
        assert_eq!((talk.seen.session_id, talk.seen.responses.len()), (8, 0));
        assert_eq!(next(&mut world, version, 1, &[]).seen.error_code, 70);
        let talk =
            world.talk::<Fetch>(version, &fetch(version, 8, -1, &["my-orders"]), &answer(version, &[]));
        assert_eq!((talk.sent().session_id, talk.sent().session_epoch), (8, -1));
        assert_eq!(talk.seen.session_id, 0);
        let talk = world.talk::<Fetch>(version, &fetch(version, 8, 1, &[]), &answer(version, &[]));
        assert_eq!(talk.seen.error_code, 70);
    }
}

#[test]
fn a_session_is_closed_at_the_broker_also_by_a_fetch_that_is_all_refused() {
    for version in VERSIONS {
        for epoch in [0, -1] {
            let mut world = opened(version, &["my-orders"]);
            let talk = next(&mut world, version, epoch, &["my-secret"]);
            assert_eq!((talk.sent().session_id, talk.sent().session_epoch), (SESSION, -1));
            assert!(talk.sent().topics.is_empty());
            assert_eq!((talk.seen.session_id, codes(&talk.seen)), (0, vec![("secret", vec![29, 29])]));
        }
    }
}

#[test]
fn hazard_18_a_right_that_is_lost_ends_the_records_and_is_told_each_time() {
    for version in VERSIONS {
        let mut world = opened(version, &["my-orders", "extra_topic"]);
        world.log_in_again(&[read("extra_topic")]);
        for epoch in 1..4 {
            // A broker that goes on nevertheless.
            let asked = fetch(version, SESSION, epoch, &["my-orders"]);
            let talk = world.talk::<Fetch>(version, &asked, &answer(version, &["my-orders", "extra_topic"]));
            assert!(talk.sent().topics.is_empty());
            let lost = if epoch == 1 { vec![("my-orders", vec![0, 1])] } else { vec![] };
            assert_eq!(forgotten(talk.sent()), lost);
            assert_eq!(codes(&talk.seen), [("extra_topic", vec![0]), ("orders", vec![29, 29])]);
            let told = &talk.seen.responses[1].partitions;
            assert!(told.iter().all(|partition| partition.records.as_deref() == Some(b"")));
        }
    }
}

#[test]
fn an_answer_shows_nothing_that_may_not_be_read() {
    for version in VERSIONS {
        for epoch in [-1, 0] {
            let asked = fetch(version, 0, epoch, &["my-orders"]);
            let talk = world().talk::<Fetch>(version, &asked, &answer(version, &["my-secret", "my-orders"]));
            assert_eq!(codes(&talk.seen), [("orders", vec![0])]);
        }
    }
}

#[test]
fn a_right_that_is_gained_has_the_broker_read_on_from_where_the_client_is() {
    for version in VERSIONS {
        let mut world = opened(version, &["my-secret", "my-orders"]);
        let mut asked = fetch(version, SESSION, 1, &["my-secret"]);
        asked.topics[0].partitions[1].fetch_offset = 42;
        world.talk::<Fetch>(version, &asked, &answer(version, &[]));
        world.log_in_again(&[read("*")]);
        // The client does not say again what it has said.
        let talk = next(&mut world, version, 2, &[]);
        assert_eq!(names(talk.sent()), ["my-secret"]);
        assert_eq!(talk.sent().topics[0].partitions, asked.topics[0].partitions);
        assert!(talk.seen.responses.is_empty());
        assert!(next(&mut world, version, 3, &[]).sent().topics.is_empty());
        assert_eq!(names(next(&mut world, version, 4, &["my-secret"]).sent()), ["my-secret"]);
    }
}

#[test]
fn what_is_gained_and_named_at_once_is_said_once() {
    for version in VERSIONS {
        let mut world = opened(version, &["my-secret", "my-orders"]);
        world.log_in_again(&[read("*")]);
        let mut asked = fetch(version, SESSION, 1, &["my-secret"]);
        asked.topics[0].partitions.truncate(1);
        asked.topics[0].partitions[0].fetch_offset = 5;
        let mut forgets = forgetting(asked, version, &["my-secret"]);
        forgets.forgotten_topics_data[0].partitions = vec![1];
        let talk = world.talk::<Fetch>(version, &forgets, &answer(version, &[]));
        assert_eq!(names(talk.sent()), ["my-secret"]);
        let partition = FetchPartition::default().with_partition(0).with_fetch_offset(5);
        assert_eq!(talk.sent().topics[0].partitions, [partition]);
        assert!(forgotten(talk.sent()).is_empty());
    }
}

#[test]
fn hazard_22_an_id_that_becomes_known_is_read_without_being_named_again() {
    for version in BY_ID..=18 {
        let mut world = world();
        let new = Uuid::from_u128(77);
        let talk = open(&mut world, version, &["my-orders", "new"]);
        assert_eq!(codes(&talk.seen), [("nobody's", vec![100, 100])]);
        let again = fetch(version, SESSION, 1, &[]);
        let mut told = Vec::new();
        Fetch::ids_kept(&again, &world.conversation, &mut |id| told.push(id));
        assert_eq!(told, [new], "it is asked about again");
        assert_eq!(codes(&next(&mut world, version, 1, &[]).seen), [("nobody's", vec![100, 100])]);
        world.learn(new, "my-orders");
        let talk = next(&mut world, version, 2, &[]);
        assert_eq!(talk.sent().topics[0].topic_id, new);
        assert_eq!(talk.sent().topics[0].partitions.len(), 2);
        assert!(talk.seen.responses.is_empty());
        told.clear();
        Fetch::ids_kept(&again, &world.conversation, &mut |id| told.push(id));
        assert!(told.is_empty());
    }
}

#[test]
fn an_id_that_turns_out_to_be_anothers_stays_nobodys() {
    for version in BY_ID..=18 {
        let mut world = opened(version, &["my-orders", "new"]);
        world.learn(Uuid::from_u128(77), "their-orders");
        let talk = next(&mut world, version, 1, &[]);
        assert!(talk.sent().topics.is_empty());
        assert_eq!(codes(&talk.seen), [("nobody's", vec![100, 100])]);
    }
}

/// The broker answers with an error; whether the client may close the session afterwards.
fn check_error(error: i16, is_there: bool) {
    for version in VERSIONS {
        let mut world = opened(version, &["my-orders", "my-secret"]);
        let failed = FetchResponse::default().with_error_code(error);
        let asked = fetch(version, SESSION, 5, &[]);
        let talk = world.talk::<Fetch>(version, &asked, &failed);
        assert_eq!((talk.seen.error_code, talk.seen.responses.len()), (error, 0));
        // What the broker keeps by now is not known.
        assert_eq!(next(&mut world, version, 6, &[]).refused, Some(Refusal::UnknownFetchSession));
        let talk = next(&mut world, version, 0, &["my-orders"]);
        assert_eq!(talk.sent().session_id, if is_there { SESSION } else { 0 }, "{error}");
    }
}

#[test]
fn what_the_broker_says_of_a_session_is_passed_on_and_ends_it() {
    check_error(70, false);
    check_error(71, true);
    check_error(106, true);
}

#[test]
fn a_session_does_not_change_from_names_to_ids() {
    for (version, other) in [(12, 13), (13, 12)] {
        let mut world = opened(version, &["my-orders", "my-secret"]);
        let failed = FetchResponse::default().with_error_code(106);
        let changed = forgetting(fetch(other, SESSION, 1, &["my-orders"]), other, &["my-orders"]);
        let talk = world.talk::<Fetch>(other, &changed, &failed);
        assert!(talk.sent().topics.is_empty() && talk.sent().forgotten_topics_data.is_empty());
        assert_eq!((talk.sent().session_id, talk.seen.error_code), (SESSION, 106));
        assert_eq!(next(&mut world, version, 2, &[]).seen.error_code, 70);
    }
}

#[test]
fn a_session_that_the_broker_does_not_give_or_ends_is_none() {
    for version in VERSIONS {
        let mut world = world();
        let asked = fetch(version, 0, 0, &["my-orders"]);
        let talk = world.talk::<Fetch>(version, &asked, &response(version, &["my-orders"]));
        assert_eq!(talk.seen.session_id, 0);
        let mut world = opened(version, &["my-orders", "my-secret"]);
        let asked = fetch(version, SESSION, 1, &[]);
        let talk = world.talk::<Fetch>(version, &asked, &response(version, &[]));
        assert_eq!((talk.seen.session_id, codes(&talk.seen)), (0, vec![("secret", vec![29, 29])]));
        assert_eq!(next(&mut world, version, 2, &[]).seen.error_code, 70);
    }
}

#[test]
fn a_fetch_that_is_put_off_says_nothing_of_any_topic() {
    for version in VERSIONS {
        let put_off = FetchResponse::default().with_throttle_time_ms(100);
        for epoch in [-1, 0] {
            let asked = fetch(version, 0, epoch, &["my-orders", "my-secret"]);
            let talk = world().talk::<Fetch>(version, &asked, &put_off);
            assert!(talk.seen.responses.is_empty());
        }
        let mut world = opened(version, &["my-orders", "my-secret"]);
        let asked = fetch(version, SESSION, 1, &[]);
        let talk = world.talk::<Fetch>(version, &asked, &put_off.with_session_id(SESSION));
        assert_eq!(codes(&talk.seen), [("secret", vec![29, 29])]);
    }
}

#[test]
fn requests_in_flight_change_a_session_in_their_order() {
    for version in VERSIONS {
        let mut world = opened(version, &["my-orders"]);
        let mut conversation = std::mem::take(&mut world.conversation);
        let mut admit = |request| {
            let gate = world.gate();
            let mut ask = Asking {
                gate: &gate,
                version,
                conversation: &mut conversation,
                topics: None,
                internal_topics: None,
            };
            match Fetch::admit(request, &mut ask) {
                Ok(Pass::Forward(_, apart)) => apart,
                _ => panic!("it goes to the broker"),
            }
        };
        let adds = admit(fetch(version, SESSION, 1, &["my-secret"]));
        let forgets = admit(forgetting(fetch(version, SESSION, 2, &[]), version, &["my-secret"]));
        let closes = admit(fetch(version, SESSION, 0, &["extra_topic"]));
        assert_eq!([&adds, &forgets, &closes].map(|apart| apart.refused.len()), [1, 0, 0]);
        // The answers come after the session is closed, and open it for nobody.
        for (apart, session) in [(adds, SESSION), (forgets, SESSION), (closes, 8)] {
            Fetch::remember(&response(version, &[]).with_session_id(session), &apart, &mut conversation);
        }
        assert!(conversation.fetch_sessions.find(SESSION).is_none());
        assert!(conversation.fetch_sessions.find(8).is_some());
    }
}

#[test]
fn a_connection_has_so_many_sessions_and_the_oldest_makes_room() {
    let mut world = world();
    for session in 1..=SESSIONS_MAX as i32 + 1 {
        let asked = fetch(12, 0, 0, &["my-orders"]);
        world.talk::<Fetch>(12, &asked, &response(12, &[]).with_session_id(session));
    }
    for (session, code) in [(1, 70), (2, 0), (SESSIONS_MAX as i32 + 1, 0)] {
        let talk = world.talk::<Fetch>(12, &fetch(12, session, 1, &[]), &response(12, &[]));
        assert_eq!(talk.seen.error_code, code, "{session}");
    }
}

#[test]
fn more_partitions_than_are_kept_are_fetched_without_a_session() {
    let many = |session: i32, epoch: i32, count: usize| {
        let mut request = fetch(12, session, epoch, &["my-orders"]);
        request.topics[0].partitions =
            (0..count as i32).map(|index| FetchPartition::default().with_partition(index)).collect();
        request
    };
    let mut world = world();
    let talk = world.talk::<Fetch>(12, &many(0, 0, PARTITIONS_MAX + 1), &answer(12, &["my-orders"]));
    assert_eq!((talk.sent().session_epoch, talk.seen.session_id), (-1, 0));
    assert_eq!(talk.sent().topics[0].partitions.len(), PARTITIONS_MAX + 1);
    let talk = world.talk::<Fetch>(12, &many(0, 0, PARTITIONS_MAX), &answer(12, &[]));
    assert_eq!((talk.sent().session_epoch, talk.seen.session_id), (0, SESSION));
    let talk = world.talk::<Fetch>(12, &many(SESSION, 1, PARTITIONS_MAX + 1), &answer(12, &[]));
    assert_eq!(talk.refused, Some(Refusal::UnknownFetchSession));
    let talk = world.talk::<Fetch>(12, &many(SESSION, 2, 1), &answer(12, &[]));
    assert_eq!(talk.refused, Some(Refusal::UnknownFetchSession));
}

/// A client to whom a topic has a second name, and who may read it by both.
fn aliased() -> World {
    let world = World::allowing(&[read("orders"), read("sales")]).with_alias("sales", "orders");
    world.learn(Uuid::from_u128(1), "my-orders");
    world
}

/// A fetch of a topic by these of its names.
fn by_names(version: i16, session: i32, epoch: i32, said: &[&str]) -> FetchRequest {
    let mut request = fetch(version, session, epoch, &vec!["my-orders"; said.len()]);
    for (topic, said) in request.topics.iter_mut().zip(said) {
        if version < BY_ID {
            topic.topic = TopicName(text(said));
        } else if *said == "sales" {
            topic.topic_id = TopicIds::default().learn_alias(Uuid::from_u128(1), "sales");
        }
    }
    request.with_max_wait_ms(500).with_max_bytes(1000)
}

#[test]
fn who_reads_a_topic_by_two_names_is_given_no_session() {
    for version in VERSIONS {
        for said in [["orders", "sales"], ["sales", "orders"]] {
            let mut world = aliased();
            let request = by_names(version, 0, 0, &said);
            let talk = world.talk::<Fetch>(version, &request, &answer(version, &["my-orders"]));
            let sent = talk.sent.iter().map(|sent| (sent.session_id, sent.session_epoch, names(sent)));
            assert_eq!(sent.collect::<Vec<_>>(), vec![(0, -1, vec!["my-orders"]); 2]);
            assert!(talk.sent.iter().all(|sent| (sent.max_wait_ms, sent.max_bytes) == (250, 500)));
            let shown = talk.seen.responses.iter().map(|topic| (&topic.topic, topic.topic_id));
            let said = request.topics.iter().map(|topic| (&topic.topic, topic.topic_id));
            assert_eq!(shown.collect::<Vec<_>>(), said.collect::<Vec<_>>());
            assert_eq!((talk.seen.session_id, talk.seen.error_code), (0, 0));
        }
    }
}

#[test]
fn a_second_name_in_a_session_ends_it() {
    for version in VERSIONS {
        let mut world = aliased();
        world.talk::<Fetch>(version, &by_names(version, 0, 0, &["orders"]), &answer(version, &["my-orders"]));
        let more = by_names(version, SESSION, 1, &["orders"]);
        let talk = world.talk::<Fetch>(version, &more, &answer(version, &["my-orders"]));
        assert_eq!((names(talk.sent()), talk.seen.error_code), (vec!["my-orders"], 0));
        let second = by_names(version, SESSION, 2, &["sales"]);
        for again in 0..2 {
            let talk = world.talk::<Fetch>(version, &second, &answer(version, &[]));
            assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 70), "{again}");
        }
    }
}

#[test]
fn a_session_calls_a_topic_as_it_was_called_in_it() {
    let mut world = aliased();
    world.talk::<Fetch>(12, &by_names(12, 0, 0, &["sales"]), &answer(12, &["my-orders"]));
    world.talk::<Fetch>(12, &by_names(12, 0, -1, &["orders"]), &response(12, &["my-orders"]));
    let talk = world.talk::<Fetch>(12, &fetch(12, SESSION, 1, &[]), &answer(12, &["my-orders"]));
    assert_eq!(codes(&talk.seen), [("sales", vec![0])]);
}
