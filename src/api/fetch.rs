//! Fetch.

use std::ops::RangeInclusive;

use crate::wire::ApiKey;
use kafka_protocol::messages::fetch_request::{FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};

use super::{Api, Asking, Pass, Refusal, Showing};
use crate::policy::Operation;

/// Records from topics.
///
/// No fetch session is ever given out (KIP-227 allows that): each fetch is full, so what is refused
/// is refused in each.
pub struct Fetch;

impl Api for Fetch {
    type Request = FetchRequest;
    type Response = FetchResponse;
    type Aside = Vec<FetchTopic>;

    const KEY: ApiKey = ApiKey::Fetch;
    /// From 13 on a topic goes by its id (KIP-516).
    const VERSIONS: RangeInclusive<i16> = 4..=12;

    fn admit(mut request: FetchRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        if request.replica_id.0 >= 0 {
            // A follower reads what is not committed, and moves the high watermark.
            return Err(Refusal::TopicDenied);
        }
        if request.session_id != 0 {
            return Err(Refusal::UnknownFetchSession);
        }
        request.replica_id = BrokerId(-1);
        request.replica_state = ReplicaState::default();
        request.cluster_id = None;
        request.session_epoch = -1; // neither an old session nor a new one
        request.forgotten_topics_data.clear();
        let nothing_asked = request.topics.is_empty();
        let refused = ask.gate.each(Operation::Read, &mut request.topics, |topic| (&mut topic.topic).into());
        Ok(if request.topics.is_empty() && !nothing_asked {
            Pass::Answer(refused)
        } else {
            Pass::Forward(request, refused)
        })
    }

    fn reveal(response: &mut FetchResponse, refused: Vec<FetchTopic>, show: &Showing<'_>) {
        response.session_id = 0;
        show.lens.echoed(&mut response.responses, |topic| (&mut topic.topic).into());
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if !show.lens.has_door(partition.current_leader.leader_id.0) {
                partition.current_leader.leader_id = BrokerId(-1);
                partition.current_leader.leader_epoch = -1;
            }
            if !show.lens.has_door(partition.preferred_read_replica.0) {
                partition.preferred_read_replica = BrokerId(-1);
            }
        }
        response
            .node_endpoints
            .retain_mut(|node| show.lens.advertise(node.node_id.0, &mut node.host, &mut node.port));
        refuse_topics(response, refused, Refusal::TopicDenied);
    }

    fn refuse(request: FetchRequest, why: Refusal, version: i16) -> FetchResponse {
        let mut response = FetchResponse::default();
        if why == Refusal::UnknownFetchSession && version >= 7 {
            response.error_code = why.code();
        } else {
            refuse_topics(&mut response, request.topics, why);
        }
        response
    }
}

fn refuse_topics(response: &mut FetchResponse, refused: Vec<FetchTopic>, why: Refusal) {
    response.responses.extend(refused.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition)
                .with_error_code(why.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_preferred_read_replica(BrokerId(-1))
                // Java takes a null for a missing field, and an empty run of bytes for no records.
                .with_records(Some(bytes::Bytes::new()))
        });
        FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    }));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::fetch_request::{FetchPartition, ForgottenTopic};
    use kafka_protocol::messages::fetch_response::{LeaderIdAndEpoch, NodeEndpoint};

    use super::*;
    use crate::api::testing::{World, text};
    use crate::policy::Resource;

    fn world() -> World {
        World::allowing(&[
            (Operation::Read, Resource::Topic, "orders"),
            (Operation::Read, Resource::Topic, "extra_topic"),
        ])
    }

    fn request(topics: &[&str]) -> FetchRequest {
        let topics = topics.iter().map(|topic| {
            FetchTopic::default().with_topic(TopicName(text(topic))).with_partitions(
                (0..2).map(|index| FetchPartition::default().with_partition(index)).collect(),
            )
        });
        FetchRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect())
    }

    fn response(topics: &[&str]) -> FetchResponse {
        let topics = topics.iter().map(|topic| {
            FetchableTopicResponse::default().with_topic(TopicName(text(topic))).with_partitions(vec![
                PartitionData::default()
                    .with_preferred_read_replica(BrokerId(-1))
                    .with_records(Some(Bytes::from_static(b"records"))),
            ])
        });
        FetchResponse::default().with_responses(topics.collect())
    }

    fn names(request: &FetchRequest) -> Vec<&str> {
        request.topics.iter().map(|topic| topic.topic.0.as_str()).collect()
    }

    /// The topics of an answer, with the code of each partition.
    fn codes(response: &FetchResponse) -> Vec<(&str, Vec<i16>)> {
        let topics = response.responses.iter().map(|topic| {
            let codes = topic.partitions.iter().map(|partition| partition.error_code);
            (topic.topic.0.as_str(), codes.collect())
        });
        topics.collect()
    }

    #[test]
    fn a_refused_topic_is_answered_for_while_the_rest_is_read() {
        for version in Fetch::VERSIONS {
            let talk = world().talk::<Fetch>(
                version,
                &request(&["secret", "orders", "extra_topic"]),
                &response(&["my-orders", "extra_topic", "their-orders"]),
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
    fn a_request_of_refused_topics_is_answered_here() {
        let talk = world().talk::<Fetch>(12, &request(&["secret", "their-orders"]), &response(&[]));
        assert!(talk.sent.is_empty());
        assert_eq!(codes(&talk.seen), [("secret", vec![29, 29]), ("their-orders", vec![29, 29])]);
    }

    #[test]
    fn each_fetch_is_full_and_no_session_is_given_out() {
        for version in 7..=12 {
            let forgotten = ForgottenTopic::default().with_topic(TopicName(text("orders")));
            let request = request(&["orders"]).with_session_epoch(0);
            let request = request.with_forgotten_topics_data(vec![forgotten]);
            let talk = world().talk::<Fetch>(version, &request, &response(&["my-orders"]).with_session_id(7));
            assert_eq!((talk.sent().session_id, talk.sent().session_epoch), (0, -1));
            assert!(talk.sent().forgotten_topics_data.is_empty());
            assert_eq!(talk.seen.session_id, 0);
        }
    }

    #[test]
    fn a_session_that_was_never_given_out_is_unknown() {
        for version in 7..=12 {
            let request = request(&["orders"]).with_session_id(7).with_session_epoch(3);
            let talk = world().talk::<Fetch>(version, &request, &response(&[]));
            assert!(talk.sent.is_empty());
            assert_eq!(talk.refused, Some(Refusal::UnknownFetchSession));
            assert_eq!((talk.seen.error_code, talk.seen.responses.len()), (70, 0));
        }
    }

    #[test]
    fn nobody_fetches_as_a_follower() {
        for version in Fetch::VERSIONS {
            let follower = request(&["orders"]).with_replica_id(BrokerId(0));
            let talk = world().talk::<Fetch>(version, &follower, &response(&[]));
            assert!(talk.sent.is_empty());
            assert_eq!(codes(&talk.seen), [("orders", vec![29, 29])]);
            let debugger = request(&["orders"]).with_replica_id(BrokerId(-2));
            let talk = world().talk::<Fetch>(version, &debugger, &response(&["my-orders"]));
            assert_eq!(talk.sent().replica_id, BrokerId(-1));
        }
    }

    #[test]
    fn the_backends_cluster_id_is_not_asked_about() {
        let request = request(&["orders"]).with_cluster_id(Some(text("team-id")));
        let talk = world().talk::<Fetch>(12, &request, &response(&["my-orders"]));
        assert_eq!(talk.sent().cluster_id, None);
    }

    #[test]
    fn a_replica_or_leader_without_a_door_is_not_named() {
        let mut answer = response(&["my-orders"]);
        answer.responses[0].partitions = [2, 3]
            .map(|node| {
                let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(node)).with_leader_epoch(7);
                PartitionData::default()
                    .with_preferred_read_replica(BrokerId(node))
                    .with_current_leader(leader)
                    .with_records(Some(Bytes::new()))
            })
            .to_vec();
        let talk = world().talk::<Fetch>(12, &request(&["orders"]), &answer);
        let seen: Vec<_> = talk.seen.responses[0]
            .partitions
            .iter()
            .map(|partition| (partition.preferred_read_replica.0, partition.current_leader.leader_id.0))
            .collect();
        assert_eq!(seen, [(2, 2), (-1, -1)]);
    }

    #[test]
    fn no_version_shows_a_brokers_own_address() {
        // Versions that have addresses are not served yet; the answer is ready for them.
        let world = world();
        let show = Showing { lens: &world.lens(), version: 16 };
        let nodes = [2, 3].map(|node| {
            NodeEndpoint::default().with_node_id(BrokerId(node)).with_host(text("kafka")).with_port(9092)
        });
        let mut answer = FetchResponse::default().with_node_endpoints(nodes.to_vec());
        Fetch::reveal(&mut answer, Vec::new(), &show);
        let [node] = &answer.node_endpoints[..] else { panic!("{:?}", answer.node_endpoints) };
        assert_eq!((node.host.as_str(), node.port), ("gateway", 19094));
    }
}
