//! What an administrator asks for, in the form of `families.rs`.

use std::ops::RangeInclusive;

use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, TopicResponse};
use kafka_protocol::messages::describe_topic_partitions_request;
use kafka_protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, OffsetDeleteRequest, OffsetDeleteResponse, TopicName,
    alter_configs_request, alter_configs_response,
};

use super::families::{About, GROUP, Manner, OF_TOPIC, group, strings, text, topic};

impl About for DeleteRecordsRequest {
    const SERVED: RangeInclusive<i16> = 0..=2;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            DeleteRecordsTopic::default()
                .with_name(topic(name))
                .with_partitions(vec![DeleteRecordsPartition::default()])
        });
        Self::default().with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> DeleteRecordsResponse {
        let partition = DeleteRecordsPartitionResult::default().with_error_code(manner.code);
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            DeleteRecordsTopicResult::default()
                .with_name(TopicName(name))
                .with_partitions(vec![partition.clone()])
        });
        DeleteRecordsResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &DeleteRecordsResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics.map(|topic| (topic.name.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for DescribeProducersRequest {
    const SERVED: RangeInclusive<i16> = 0..=0;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names
            .iter()
            .map(|name| TopicRequest::default().with_name(topic(name)).with_partition_indexes(vec![0]));
        Self::default().with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> DescribeProducersResponse {
        let partition =
            PartitionResponse::default().with_error_code(manner.code).with_error_message(manner.words());
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            TopicResponse::default().with_name(TopicName(name)).with_partitions(vec![partition.clone()])
        });
        DescribeProducersResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &DescribeProducersResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics.map(|topic| (topic.name.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for OffsetDeleteRequest {
    const SERVED: RangeInclusive<i16> = 0..=0;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            OffsetDeleteRequestTopic::default()
                .with_name(topic(name))
                .with_partitions(vec![OffsetDeleteRequestPartition::default()])
        });
        Self::default().with_group_id(group(GROUP)).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> OffsetDeleteResponse {
        let partition = OffsetDeleteResponsePartition::default().with_error_code(manner.code);
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            OffsetDeleteResponseTopic::default()
                .with_name(TopicName(name))
                .with_partitions(vec![partition.clone()])
        });
        OffsetDeleteResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &OffsetDeleteResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics.map(|topic| (topic.name.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for AlterConfigsRequest {
    const SERVED: RangeInclusive<i16> = 0..=2;

    fn about(names: &[&str], _version: i16) -> Self {
        let resources = names.iter().map(|name| {
            alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(OF_TOPIC)
                .with_resource_name(text(name))
        });
        Self::default().with_resources(resources.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.resources.iter().map(|resource| &resource.resource_name))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> AlterConfigsResponse {
        let asked = self.names();
        let results = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            alter_configs_response::AlterConfigsResourceResponse::default()
                .with_resource_type(OF_TOPIC)
                .with_resource_name(name)
                .with_error_code(manner.code)
                .with_error_message(manner.words())
        });
        AlterConfigsResponse::default().with_responses(results.collect())
    }

    fn codes(response: &AlterConfigsResponse) -> Vec<(String, i16)> {
        let results = response.responses.iter();
        results.map(|result| (result.resource_name.to_string(), result.error_code)).collect()
    }
}

impl About for DescribeTopicPartitionsRequest {
    const SERVED: RangeInclusive<i16> = 0..=0;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names
            .iter()
            .map(|name| describe_topic_partitions_request::TopicRequest::default().with_name(topic(name)));
        Self::default().with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> DescribeTopicPartitionsResponse {
        let leader = manner.node().0;
        let partition = DescribeTopicPartitionsResponsePartition::default()
            .with_leader_id(leader)
            .with_replica_nodes(vec![leader])
            .with_isr_nodes(vec![leader]);
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(TopicName(name)))
                .with_error_code(manner.code)
                .with_is_internal(true)
                .with_partitions(vec![partition.clone()])
        });
        DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &DescribeTopicPartitionsResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics
            .map(|topic| (topic.name.as_ref().expect("it has a name").to_string(), topic.error_code))
            .collect()
    }
}
