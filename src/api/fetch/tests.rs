//! What becomes of one fetch.

use bytes::Bytes;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{LeaderIdAndEpoch, NodeEndpoint};

use super::*;
use crate::api::testing::{World, text};
use crate::policy::Resource;

pub fn world() -> World {
    let world = World::allowing(&[
        (Operation::Read, Resource::Topic, "orders"),
        (Operation::Read, Resource::Topic, "extra_topic"),
    ]);
    TOPICS.iter().for_each(|(id, name)| world.learn(Uuid::from_u128(*id), name));
    world
}

/// The topics of the backend, and their ids.
const TOPICS: [(u128, &str); 4] =
    [(1, "my-orders"), (2, "my-secret"), (3, "extra_topic"), (4, "their-orders")];

/// As a version calls a topic of the backend; `side` makes of its name what is said.
pub fn called(backend: &str, version: i16, side: fn(&str) -> &str) -> (TopicName, Uuid) {
    if version < BY_ID {
        return (TopicName(text(side(backend))), Uuid::nil());
    }
    let known = TOPICS.iter().find(|(_, name)| *name == backend);
    (TopicName::default(), Uuid::from_u128(known.map_or(77, |(id, _)| *id)))
}

/// The backend's name for what is called either way.
pub fn name(topic: &TopicName, id: Uuid) -> &str {
    let known = TOPICS.iter().find(|(known, _)| Uuid::from_u128(*known) == id);
    if id.is_nil() { topic.0.as_str() } else { known.map_or("nobody's", |(_, name)| *name) }
}

/// A client's name for a topic of the backend.
pub fn hidden(backend: &str) -> &str {
    backend.strip_prefix("my-").unwrap_or(backend)
}

pub fn request(version: i16, topics: &[&str]) -> FetchRequest {
    let topics = topics.iter().map(|topic| {
        let (topic, id) = called(topic, version, hidden);
        let partitions = (0..2).map(|index| FetchPartition::default().with_partition(index));
        FetchTopic::default().with_topic(topic).with_topic_id(id).with_partitions(partitions.collect())
    });
    FetchRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect())
}

pub fn response(version: i16, topics: &[&str]) -> FetchResponse {
    let topics = topics.iter().map(|topic| {
        let (topic, id) = called(topic, version, |name| name);
        FetchableTopicResponse::default().with_topic(topic).with_topic_id(id).with_partitions(vec![
            PartitionData::default()
                .with_preferred_read_replica(BrokerId(-1))
                .with_records(Some(Bytes::from_static(b"records"))),
        ])
    });
    FetchResponse::default().with_responses(topics.collect())
}

pub fn names(request: &FetchRequest) -> Vec<&str> {
    request.topics.iter().map(|topic| name(&topic.topic, topic.topic_id)).collect()
}

/// The topics of an answer, with the code of each partition.
pub fn codes(response: &FetchResponse) -> Vec<(&str, Vec<i16>)> {
    let topics = response.responses.iter().map(|topic| {
        let codes = topic.partitions.iter().map(|partition| partition.error_code);
        (hidden(name(&topic.topic, topic.topic_id)), codes.collect())
    });
    topics.collect()
}

#[test]
fn a_refused_topic_is_answered_for_while_the_rest_is_read() {
    for version in Fetch::VERSIONS {
        let talk = world().talk::<Fetch>(
            version,
            &request(version, &["my-secret", "my-orders", "extra_topic"]),
            &response(version, &["my-orders", "extra_topic", "their-orders"]),
        );
        assert_eq!(names(talk.sent()), ["my-orders", "extra_topic"]);
        let expected = [("orders", vec![0]), ("extra_topic", vec![0]), ("secret", vec![29, 29])];
        assert_eq!(codes(&talk.seen), expected);
        let read = &talk.seen.responses[0].partitions[0];
        assert_eq!(read.records.as_deref(), Some(&b"records"[..]));
        let refused = &talk.seen.responses[2].partitions[1];
        assert_eq!(refused.records.as_deref(), Some(&b""[..]));
        assert_eq!((refused.partition_index, refused.high_watermark), (1, -1));
    }
}

#[test]
fn an_id_of_anothers_topic_is_nobodys() {
    for version in BY_ID..=18 {
        let asked = ["their-orders", "nobody's", "my-orders"];
        let mut asked = request(version, &asked);
        asked.topics.push(FetchTopic::default().with_partitions(asked.topics[0].partitions.clone()));
        let talk = world().talk::<Fetch>(version, &asked, &response(version, &["my-orders"]));
        assert_eq!(names(talk.sent()), ["my-orders"]);
        let unknown = vec![100, 100];
        let seen = codes(&talk.seen);
        assert_eq!(seen[1..], ["their-orders", "nobody's", ""].map(|name| (name, unknown.clone())));
        let mut partitions = talk.seen.responses[1..].iter().map(|topic| &topic.partitions);
        let first = partitions.next().unwrap();
        assert!(partitions.all(|others| others == first));
    }
}

#[test]
fn a_request_of_refused_topics_is_answered_here() {
    for version in Fetch::VERSIONS {
        let asked = request(version, &["my-secret", "their-orders"]);
        let talk = world().talk::<Fetch>(version, &asked, &response(version, &[]));
        assert!(talk.sent.is_empty());
        let foreign = if version < BY_ID { 29 } else { 100 };
        assert_eq!(codes(&talk.seen), [("secret", vec![29, 29]), ("their-orders", vec![foreign, foreign])]);
    }
}

/// As one who says so of itself asks: a broker by its id, a debugging tool by -2.
fn asked_by(node: i32, version: i16) -> FetchRequest {
    let request = request(version, &["my-orders"]);
    match version {
        ..15 => request.with_replica_id(BrokerId(node)),
        _ => request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(node))),
    }
}

#[test]
fn nobody_fetches_as_a_follower() {
    for version in Fetch::VERSIONS {
        let talk = world().talk::<Fetch>(version, &asked_by(0, version), &response(version, &[]));
        assert!(talk.sent.is_empty());
        assert_eq!(codes(&talk.seen), [("orders", vec![29, 29])]);
        let answer = response(version, &["my-orders"]);
        let talk = world().talk::<Fetch>(version, &asked_by(-2, version), &answer);
        assert_eq!(talk.sent().replica_id, BrokerId(-1));
        assert_eq!(talk.sent().replica_state, ReplicaState::default());
    }
}

#[test]
fn what_only_a_follower_says_goes_no_further() {
    for version in 17..=18 {
        let mut asked = request(version, &["my-orders"]);
        let partition = &mut asked.topics[0].partitions[0];
        partition.replica_directory_id = Uuid::from_u128(9);
        if version == 18 {
            partition.high_watermark = 5;
        }
        let talk = world().talk::<Fetch>(version, &asked, &response(version, &["my-orders"]));
        assert_eq!(talk.sent().topics, request(version, &["my-orders"]).topics);
    }
}

#[test]
fn the_backends_cluster_id_is_not_asked_about() {
    for version in 12..=18 {
        let request = request(version, &["my-orders"]).with_cluster_id(Some(text("team-id")));
        let talk = world().talk::<Fetch>(version, &request, &response(version, &["my-orders"]));
        assert_eq!(talk.sent().cluster_id, None);
    }
}

#[test]
fn a_replica_or_leader_without_a_door_is_not_named() {
    for version in 12..=18 {
        let mut answer = response(version, &["my-orders"]);
        answer.responses[0].partitions = [2, 3]
            .map(|node| {
                let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(node)).with_leader_epoch(7);
                PartitionData::default()
                    .with_preferred_read_replica(BrokerId(node))
                    .with_current_leader(leader)
                    .with_records(Some(Bytes::new()))
            })
            .to_vec();
        let talk = world().talk::<Fetch>(version, &request(version, &["my-orders"]), &answer);
        let seen: Vec<_> = talk.seen.responses[0]
            .partitions
            .iter()
            .map(|partition| (partition.preferred_read_replica.0, partition.current_leader.leader_id.0))
            .collect();
        assert_eq!(seen, [(2, 2), (-1, -1)]);
    }
}

#[test]
fn hazard_4_a_new_leader_is_shown_at_the_address_of_its_door() {
    for version in 16..=18 {
        let nodes = [2, 3].map(|node| {
            NodeEndpoint::default().with_node_id(BrokerId(node)).with_host(text("kafka")).with_port(9092)
        });
        let answer = response(version, &["my-orders"]).with_node_endpoints(nodes.to_vec());
        let talk = world().talk::<Fetch>(version, &request(version, &["my-orders"]), &answer);
        let [node] = &talk.seen.node_endpoints[..] else { panic!("{:?}", talk.seen.node_endpoints) };
        assert_eq!((node.host.as_str(), node.port), ("gateway", 19094));
    }
}
