//! What the cluster is made of: its controllers, features, brokers and configured resources.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{
    DescribeQuorumRequest, DescribeQuorumResponse, ListConfigResourcesRequest, ListConfigResourcesResponse,
    TopicName, UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest,
    UpdateFeaturesResponse,
};

use super::super::{Api, Asking, Pass, Refusal, Showing};
use super::{reword, text};
use crate::cluster::OperatorApi;
use crate::names::Kind;
use crate::wire::ApiKey;

/// How the controllers fare.
pub struct DescribeQuorum;

impl Api for DescribeQuorum {
    type Request = DescribeQuorumRequest;
    type Response = DescribeQuorumResponse;
    /// The topics that were asked about. A quorum has one, of Kafka's own; to others a broker says no.
    type Aside = Vec<TopicName>;

    const KEY: ApiKey = ApiKey::DescribeQuorum;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn admit(request: DescribeQuorumRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::DescribeQuorum)?;
        let asked = request.topics.iter().map(|topic| topic.topic_name.clone()).collect();
        Ok(Pass::Forward(request, asked))
    }

    fn reveal(response: &mut DescribeQuorumResponse, asked: Vec<TopicName>, _show: &Showing<'_>) {
        reword(&mut response.error_message, response.error_code);
        response.topics.retain(|topic| asked.contains(&topic.topic_name));
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            reword(&mut partition.error_message, partition.error_code);
        }
        // Controllers keep their ids; nobody reaches one from here.
        for node in &mut response.nodes {
            node.listeners.clear();
        }
    }

    fn refuse(_request: DescribeQuorumRequest, why: Refusal, _version: i16) -> DescribeQuorumResponse {
        DescribeQuorumResponse::default().with_error_code(why.code()).with_error_message(text(why))
    }
}

/// Features switched on or off.
pub struct UpdateFeatures;

impl Api for UpdateFeatures {
    type Request = UpdateFeaturesRequest;
    type Response = UpdateFeaturesResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::UpdateFeatures;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn admit(request: UpdateFeaturesRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::UpdateFeatures)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut UpdateFeaturesResponse, (): (), _show: &Showing<'_>) {
        reword(&mut response.error_message, response.error_code);
        for result in &mut response.results {
            reword(&mut result.error_message, result.error_code);
        }
    }

    fn refuse(_request: UpdateFeaturesRequest, why: Refusal, _version: i16) -> UpdateFeaturesResponse {
        UpdateFeaturesResponse::default().with_error_code(why.code()).with_error_message(text(why))
    }
}

/// A broker that will not come back.
pub struct UnregisterBroker;

impl Api for UnregisterBroker {
    type Request = UnregisterBrokerRequest;
    type Response = UnregisterBrokerResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::UnregisterBroker;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(request: UnregisterBrokerRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::UnregisterBroker)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut UnregisterBrokerResponse, (): (), _show: &Showing<'_>) {
        reword(&mut response.error_message, response.error_code);
    }

    fn refuse(_request: UnregisterBrokerRequest, why: Refusal, _version: i16) -> UnregisterBrokerResponse {
        UnregisterBrokerResponse::default().with_error_code(why.code()).with_error_message(text(why))
    }
}

/// What has a configuration of its own.
pub struct ListConfigResources;

impl Api for ListConfigResources {
    type Request = ListConfigResourcesRequest;
    type Response = ListConfigResourcesResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::ListConfigResources;
    /// Version 0 knows of client metrics alone, which are no tenant's: its list is empty.
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn admit(request: ListConfigResourcesRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::ListConfigResources)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut ListConfigResourcesResponse, (): (), show: &Showing<'_>) {
        // Brokers, their loggers and client metrics are every tenant's.
        response.config_resources.retain_mut(|resource| match resource.resource_type {
            2 => show.lens.one(Kind::Topic.at(&mut resource.resource_name)),
            32 => show.lens.one(Kind::Group.at(&mut resource.resource_name)),
            _ => false,
        });
    }

    fn refuse(
        _request: ListConfigResourcesRequest,
        why: Refusal,
        _version: i16,
    ) -> ListConfigResourcesResponse {
        ListConfigResourcesResponse::default().with_error_code(why.code())
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::describe_quorum_request::TopicData as Asked;
    use kafka_protocol::messages::describe_quorum_response::{
        Listener, Node, PartitionData, ReplicaState, TopicData,
    };
    use kafka_protocol::messages::list_config_resources_response::ConfigResource;

    use super::*;
    use crate::api::testing::{World, text as name};
    use crate::policy::{Operation, Resource};

    fn operator(need: Operation) -> World {
        World::allowing(&[(need, Resource::Cluster, "kafka-cluster")])
    }

    #[test]
    fn controllers_are_known_by_their_ids_and_not_by_their_addresses() {
        let metadata = TopicName(name("__cluster_metadata"));
        for version in DescribeQuorum::VERSIONS {
            let asked = Asked::default().with_topic_name(metadata.clone());
            let request = DescribeQuorumRequest::default().with_topics(vec![asked]);
            let voter = ReplicaState::default().with_replica_id(BrokerId(3001));
            let partition = PartitionData::default().with_leader_id(BrokerId(3001));
            let partition = partition.with_current_voters(vec![voter]);
            let topic = |name: &TopicName| {
                TopicData::default().with_topic_name(name.clone()).with_partitions(vec![partition.clone()])
            };
            let mut answer = DescribeQuorumResponse::default()
                .with_topics(vec![topic(&metadata), topic(&TopicName(name("their-orders")))]);
            if version >= 2 {
                let listener = Listener::default().with_host(name("controller")).with_port(9093);
                let node = Node::default().with_node_id(BrokerId(3001)).with_listeners(vec![listener]);
                answer.nodes = vec![node];
            }
            let talk = operator(Operation::Describe).talk::<DescribeQuorum>(version, &request, &answer);
            assert_eq!(*talk.sent(), request);
            let [topic] = &talk.seen.topics[..] else { panic!("{:?}", talk.seen) };
            assert_eq!(topic.partitions[0].current_voters[0].replica_id, BrokerId(3001));
            assert_eq!(talk.seen.nodes.len(), usize::from(version >= 2));
            assert!(talk.seen.nodes.iter().all(|node| node.node_id.0 == 3001 && node.listeners.is_empty()));

            let talk = operator(Operation::Create).talk::<DescribeQuorum>(version, &request, &answer);
            assert_eq!((talk.sent.len(), talk.seen.error_code, talk.seen.topics.len()), (0, 31, 0));
        }
    }

    #[test]
    fn what_has_a_configuration_is_listed_as_far_as_it_is_this_tenants() {
        let resource = |r#type: i8, resource: &str| {
            ConfigResource::default().with_resource_type(r#type).with_resource_name(name(resource))
        };
        let all = [
            resource(2, "my-orders"),
            resource(2, "their-orders"),
            resource(4, "1"),
            resource(8, "1"),
            resource(16, "my-metrics"),
            resource(32, "my-readers"),
            resource(32, "readers"),
        ];
        let answer = ListConfigResourcesResponse::default().with_config_resources(all.to_vec());
        let request = ListConfigResourcesRequest::default();
        let talk = operator(Operation::DescribeConfigs).talk::<ListConfigResources>(1, &request, &answer);
        assert_eq!(talk.seen.config_resources, [resource(2, "orders"), resource(32, "readers")]);
        let old = ConfigResource::default().with_resource_name(name("my-metrics"));
        let answer = ListConfigResourcesResponse::default().with_config_resources(vec![old]);
        let talk = operator(Operation::DescribeConfigs).talk::<ListConfigResources>(0, &request, &answer);
        assert_eq!((talk.sent.len(), talk.seen.config_resources.len()), (1, 0));
        let talk = operator(Operation::Describe).talk::<ListConfigResources>(1, &request, &answer_of(&all));
        assert_eq!((talk.sent.len(), talk.seen.error_code, talk.seen.config_resources.len()), (0, 31, 0));
    }

    fn answer_of(resources: &[ConfigResource]) -> ListConfigResourcesResponse {
        ListConfigResourcesResponse::default().with_config_resources(resources.to_vec())
    }

    #[test]
    fn the_cluster_is_changed_by_whom_a_rule_lets_and_nobody_else() {
        for version in UpdateFeatures::VERSIONS {
            for (operation, code) in [(Operation::Describe, 31), (Operation::Alter, 0)] {
                let answer = UpdateFeaturesResponse::default().with_error_message(None);
                let request = UpdateFeaturesRequest::default();
                let talk = operator(operation).talk::<UpdateFeatures>(version, &request, &answer);
                assert_eq!(talk.seen.error_code, code);
            }
        }
        let failed = UnregisterBrokerResponse::default()
            .with_error_code(102)
            .with_error_message(Some(name("broker at kafka:9092")));
        for (operation, code) in [(Operation::Describe, 31), (Operation::Alter, 102)] {
            let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(7));
            let talk = operator(operation).talk::<UnregisterBroker>(0, &request, &failed);
            assert_eq!(talk.seen.error_code, code);
            assert!(talk.seen.error_message.is_none_or(|text| !text.contains("kafka:9092")));
        }
    }
}
