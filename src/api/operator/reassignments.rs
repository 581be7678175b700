//! Who leads a partition, and which brokers hold it.

use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ElectLeadersRequest,
    ElectLeadersResponse, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::super::{Api, Asking, Pass, Refusal, Showing};
use super::{RefusedTopic, own, reword, text};
use crate::api::parts::Parting;
use crate::cluster::OperatorApi;
use crate::policy::Operation;
use crate::wire::ApiKey;

/// Partitions get their leaders anew.
pub struct ElectLeaders;

impl Api for ElectLeaders {
    type Request = ElectLeadersRequest;
    type Response = ElectLeadersResponse;
    type Aside = Vec<RefusedTopic>;

    const KEY: ApiKey = ApiKey::ElectLeaders;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn part(
        request: &mut ElectLeadersRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<ElectLeadersRequest> {
        let others = names.topics(request.topic_partitions.as_mut()?, |topic| (&mut topic.topic).into())?;
        Some(request.clone().with_topic_partitions(Some(others)))
    }

    fn admit(mut request: ElectLeadersRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::ElectLeaders)?;
        // No list is the list of every partition there is, those of all tenants.
        let Some(topics) = &mut request.topic_partitions else { return Err(Refusal::WholeCluster) };
        let mut refused = Vec::new();
        topics.retain_mut(|topic| {
            let verdict = own(&mut topic.topic, ask);
            refused.extend(verdict.err().map(|why| RefusedTopic {
                name: topic.topic.clone(),
                partitions: topic.partitions.clone(),
                why,
            }));
            verdict.is_ok()
        });
        let nothing_left = topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut ElectLeadersResponse, refused: Vec<RefusedTopic>, show: &Showing<'_>) {
        show.lens.echoed(&mut response.replica_election_results, |result| (&mut result.topic).into());
        for result in
            response.replica_election_results.iter_mut().flat_map(|topic| &mut topic.partition_result)
        {
            reword(&mut result.error_message, result.error_code);
        }
        response.replica_election_results.extend(refused.into_iter().map(unelected));
    }

    fn refuse(request: ElectLeadersRequest, why: Refusal, version: i16) -> ElectLeadersResponse {
        let results =
            request.topic_partitions.into_iter().flatten().map(|topic| {
                unelected(RefusedTopic { name: topic.topic, partitions: topic.partitions, why })
            });
        ElectLeadersResponse::default()
            .with_error_code(if version >= 1 { why.code() } else { 0 })
            .with_replica_election_results(results.collect())
    }

    fn join(first: &mut ElectLeadersResponse, later: ElectLeadersResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            first.error_code = later.error_code;
        }
        first.replica_election_results.extend(later.replica_election_results);
    }
}

fn unelected(RefusedTopic { name, partitions, why }: RefusedTopic) -> ReplicaElectionResult {
    let partitions = partitions.into_iter().map(|partition| {
        PartitionResult::default()
            .with_partition_id(partition)
            .with_error_code(why.code())
            .with_error_message(text(why))
    });
    ReplicaElectionResult::default().with_topic(name).with_partition_result(partitions.collect())
}

/// Partitions move to other brokers.
pub struct AlterPartitionReassignments;

impl Api for AlterPartitionReassignments {
    type Request = AlterPartitionReassignmentsRequest;
    type Response = AlterPartitionReassignmentsResponse;
    type Aside = Vec<RefusedTopic>;

    const KEY: ApiKey = ApiKey::AlterPartitionReassignments;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn part(
        request: &mut AlterPartitionReassignmentsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<AlterPartitionReassignmentsRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(
        mut request: AlterPartitionReassignmentsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::AlterPartitionReassignments)?;
        let mut refused = Vec::new();
        request.topics.retain_mut(|topic| {
            let verdict = own(&mut topic.name, ask);
            refused.extend(verdict.err().map(|why| RefusedTopic {
                name: topic.name.clone(),
                partitions: topic.partitions.iter().map(|partition| partition.partition_index).collect(),
                why,
            }));
            verdict.is_ok()
        });
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(
        response: &mut AlterPartitionReassignmentsResponse,
        refused: Vec<RefusedTopic>,
        show: &Showing<'_>,
    ) {
        reword(&mut response.error_message, response.error_code);
        show.lens.echoed(&mut response.responses, |topic| (&mut topic.name).into());
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            reword(&mut partition.error_message, partition.error_code);
        }
        response.responses.extend(refused.into_iter().map(unmoved));
    }

    fn refuse(
        request: AlterPartitionReassignmentsRequest,
        why: Refusal,
        _version: i16,
    ) -> AlterPartitionReassignmentsResponse {
        let responses = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            unmoved(RefusedTopic { name: topic.name, partitions, why })
        });
        AlterPartitionReassignmentsResponse::default()
            .with_error_code(why.code())
            .with_error_message(text(why))
            .with_responses(responses.collect())
    }

    fn join(first: &mut AlterPartitionReassignmentsResponse, later: AlterPartitionReassignmentsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            (first.error_code, first.error_message) = (later.error_code, later.error_message);
        }
        first.responses.extend(later.responses);
    }
}

fn unmoved(RefusedTopic { name, partitions, why }: RefusedTopic) -> ReassignableTopicResponse {
    let partitions = partitions.into_iter().map(|partition| {
        ReassignablePartitionResponse::default()
            .with_partition_index(partition)
            .with_error_code(why.code())
            .with_error_message(text(why))
    });
    ReassignableTopicResponse::default().with_name(name).with_partitions(partitions.collect())
}

/// Partitions that are on their way to other brokers.
pub struct ListPartitionReassignments;

impl Api for ListPartitionReassignments {
    type Request = ListPartitionReassignmentsRequest;
    type Response = ListPartitionReassignmentsResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::ListPartitionReassignments;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn part(
        request: &mut ListPartitionReassignmentsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<ListPartitionReassignmentsRequest> {
        let others = names.topics(request.topics.as_mut()?, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(Some(others)))
    }

    fn admit(
        mut request: ListPartitionReassignmentsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::ListPartitionReassignments)?;
        // No list asks for those of all tenants, of which the answer keeps this one's.
        let Some(topics) = &mut request.topics else { return Ok(Pass::Forward(request, ())) };
        let asked = topics.len();
        // Of a topic that does not exist, or does not move, a broker says nothing.
        topics.retain_mut(|topic| ask.gate.rename(Operation::Describe, (&mut topic.name).into()).is_ok());
        let nothing_left = topics.is_empty() && asked > 0;
        Ok(if nothing_left { Pass::Answer(()) } else { Pass::Forward(request, ()) })
    }

    fn reveal(response: &mut ListPartitionReassignmentsResponse, (): (), show: &Showing<'_>) {
        reword(&mut response.error_message, response.error_code);
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.name).into());
    }

    fn refuse(
        request: ListPartitionReassignmentsRequest,
        why: Refusal,
        _version: i16,
    ) -> ListPartitionReassignmentsResponse {
        // A broker that refuses repeats what it was asked about.
        let topics = request.topics.into_iter().flatten().map(|topic| {
            let partitions = topic.partition_indexes.into_iter();
            let partitions = partitions
                .map(|partition| OngoingPartitionReassignment::default().with_partition_index(partition));
            OngoingTopicReassignment::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        ListPartitionReassignmentsResponse::default()
            .with_error_code(why.code())
            .with_error_message(text(why))
            .with_topics(topics.collect())
    }

    fn join(first: &mut ListPartitionReassignmentsResponse, later: ListPartitionReassignmentsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            (first.error_code, first.error_message) = (later.error_code, later.error_message);
        }
        first.topics.extend(later.topics);
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_partition_reassignments_request::{
        ReassignablePartition, ReassignableTopic,
    };
    use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
    use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
    use kafka_protocol::messages::{BrokerId, TopicName};

    use super::*;
    use crate::api::standard_text;
    use crate::api::testing::{World, text as name};
    use crate::cluster::OptIns;
    use crate::policy::Resource;

    fn topic(topic: &str) -> TopicName {
        TopicName(name(topic))
    }

    fn operator(need: Operation) -> World {
        World::allowing(&[(need, Resource::Cluster, "kafka-cluster")])
    }

    fn election(topics: &[&str]) -> ElectLeadersRequest {
        let topics = topics
            .iter()
            .map(|name| TopicPartitions::default().with_topic(topic(name)).with_partitions(vec![0, 3]));
        ElectLeadersRequest::default().with_topic_partitions(Some(topics.collect())).with_timeout_ms(5)
    }

    fn elected(topics: &[(&str, i16)]) -> ElectLeadersResponse {
        let results = topics.iter().map(|(name, code)| {
            let partition = PartitionResult::default()
                .with_error_code(*code)
                .with_error_message((*code != 0).then(|| self::name("about my-orders")));
            ReplicaElectionResult::default().with_topic(topic(name)).with_partition_result(vec![partition])
        });
        ElectLeadersResponse::default().with_replica_election_results(results.collect())
    }

    #[test]
    fn who_asks_for_an_election_is_refused_by_kafkas_own_shape() {
        for (world, why) in [
            (World::allowing(&[(Operation::All, Resource::Topic, "*")]), "no rule"),
            (operator(Operation::All).with_opt_ins(OptIns::default()), "no opt-in"),
        ] {
            let mut world = world;
            for version in ElectLeaders::VERSIONS {
                let talk = world.talk::<ElectLeaders>(
                    version,
                    &election(&["orders"]),
                    &ElectLeadersResponse::default(),
                );
                assert!(talk.sent.is_empty(), "{why}");
                assert_eq!(talk.seen.error_code, if version == 0 { 0 } else { 31 });
                let [result] = &talk.seen.replica_election_results[..] else { panic!("{:?}", talk.seen) };
                let codes: Vec<_> =
                    result.partition_result.iter().map(|one| (one.partition_id, one.error_code)).collect();
                assert_eq!((result.topic.as_str(), &codes[..]), ("orders", &[(0, 31), (3, 31)][..]));
                assert_eq!(talk.denials[0].resource, Resource::Cluster);
            }
        }
    }

    #[test]
    fn an_operator_elects_leaders_of_its_own_topics_alone() {
        for version in ElectLeaders::VERSIONS {
            let talk = operator(Operation::Alter).talk::<ElectLeaders>(
                version,
                &election(&["orders", "extra_topic", ".."]),
                &elected(&[("my-orders", 84), ("their-orders", 0)]),
            );
            let sent = talk.sent().topic_partitions.as_ref().unwrap();
            assert_eq!((sent.len(), sent[0].topic.as_str()), (1, "my-orders"));
            let seen = talk.seen.replica_election_results.iter();
            let seen: Vec<_> =
                seen.map(|result| (result.topic.as_str(), result.partition_result[0].error_code)).collect();
            assert_eq!(seen, [("orders", 84), ("extra_topic", 44), ("..", 29)]);
            let told = &talk.seen.replica_election_results[0].partition_result[0].error_message;
            assert_eq!(*told, standard_text(84));
        }
    }

    #[test]
    fn nobody_elects_the_leaders_of_the_whole_cluster() {
        for version in ElectLeaders::VERSIONS {
            let all = ElectLeadersRequest::default().with_topic_partitions(None);
            let talk = operator(Operation::All).talk::<ElectLeaders>(version, &all, &elected(&[]));
            assert!(talk.sent.is_empty());
            assert_eq!(talk.seen.error_code, if version == 0 { 0 } else { 42 });
            assert_eq!(talk.refused, Some(Refusal::WholeCluster));
        }
    }

    fn move_of(topics: &[&str]) -> AlterPartitionReassignmentsRequest {
        let topics = topics.iter().map(|name| {
            let partition = ReassignablePartition::default().with_partition_index(2);
            let partition = partition.with_replicas(Some(vec![BrokerId(1)]));
            ReassignableTopic::default().with_name(topic(name)).with_partitions(vec![partition])
        });
        AlterPartitionReassignmentsRequest::default().with_topics(topics.collect())
    }

    #[test]
    fn who_moves_partitions_is_refused_on_top_and_each_one() {
        for version in AlterPartitionReassignments::VERSIONS {
            let answer = AlterPartitionReassignmentsResponse::default();
            let mut world = operator(Operation::Describe);
            let talk =
                world.talk::<AlterPartitionReassignments>(version, &move_of(&["orders", "more"]), &answer);
            assert!(talk.sent.is_empty());
            assert_eq!(talk.seen.error_code, 31);
            let seen = talk.seen.responses.iter();
            let seen: Vec<_> = seen
                .map(|topic| (topic.partitions[0].partition_index, topic.partitions[0].error_code))
                .collect();
            assert_eq!(seen, [(2, 31), (2, 31)]);
        }
    }

    #[test]
    fn an_operator_moves_its_own_partitions_alone() {
        let response = |name: &str, code: i16| {
            let partition = ReassignablePartitionResponse::default()
                .with_partition_index(2)
                .with_error_code(code)
                .with_error_message(Some(self::name("my-orders is not right")));
            ReassignableTopicResponse::default().with_name(topic(name)).with_partitions(vec![partition])
        };
        for version in AlterPartitionReassignments::VERSIONS {
            let answer = AlterPartitionReassignmentsResponse::default()
                .with_error_message(None)
                .with_responses(vec![response("my-orders", 39), response("their-orders", 0)]);
            let talk = operator(Operation::Alter).talk::<AlterPartitionReassignments>(
                version,
                &move_of(&["orders", "extra_topic"]),
                &answer,
            );
            let sent = talk.sent();
            assert_eq!((sent.topics.len(), sent.topics[0].name.as_str()), (1, "my-orders"));
            assert_eq!(sent.topics[0].partitions[0].replicas, Some(vec![BrokerId(1)]));
            let seen = talk.seen.responses.iter();
            let seen: Vec<_> =
                seen.map(|topic| (topic.name.as_str(), topic.partitions[0].error_code)).collect();
            assert_eq!(seen, [("orders", 39), ("extra_topic", 44)]);
            assert_eq!(talk.seen.responses[0].partitions[0].error_message, standard_text(39));
        }
    }

    #[test]
    fn an_operator_sees_what_moves_of_its_own_whatever_it_asks() {
        let moving = |name: &str| {
            let partition = OngoingPartitionReassignment::default().with_replicas(vec![BrokerId(7)]);
            OngoingTopicReassignment::default().with_name(topic(name)).with_partitions(vec![partition])
        };
        let answer = ListPartitionReassignmentsResponse::default()
            .with_error_message(None)
            .with_topics(["my-orders", "their-orders", "extra_topic"].map(moving).to_vec());
        for asked in [None, Some(vec!["orders", ".", "extra_topic"])] {
            let topics = asked.clone().map(|names| {
                let topics = names.iter().map(|name| {
                    ListPartitionReassignmentsTopics::default()
                        .with_name(topic(name))
                        .with_partition_indexes(vec![0])
                });
                topics.collect()
            });
            let request = ListPartitionReassignmentsRequest::default().with_topics(topics);
            let talk = operator(Operation::Describe).talk::<ListPartitionReassignments>(0, &request, &answer);
            let sent = talk.sent().topics.as_ref();
            let sent =
                sent.map(|topics| topics.iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>());
            assert_eq!(sent, asked.map(|_| vec!["my-orders".to_owned(), "extra_topic".to_owned()]));
            let seen: Vec<_> = talk.seen.topics.iter().map(|topic| topic.name.as_str()).collect();
            assert_eq!(seen, ["orders", "extra_topic"]);
        }
    }

    #[test]
    fn who_may_not_see_what_moves_is_told_what_was_asked() {
        let asked = ListPartitionReassignmentsTopics::default()
            .with_name(topic("orders"))
            .with_partition_indexes(vec![4]);
        let request = ListPartitionReassignmentsRequest::default().with_topics(Some(vec![asked]));
        let talk = World::allowing(&[]).talk::<ListPartitionReassignments>(0, &request, &Default::default());
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 31));
        let topic = &talk.seen.topics[0];
        assert_eq!((topic.name.as_str(), topic.partitions[0].partition_index), ("orders", 4));
    }
}
