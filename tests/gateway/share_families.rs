//! What members of share groups and their administrators ask for, in the form of `families.rs`.

use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use kafka_protocol::messages::share_group_describe_response::{DescribedGroup, Member};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, BrokerId, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse, GroupId, ShareGroupDescribeRequest, ShareGroupDescribeResponse,
    ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, TopicName,
};
use sluicegate::wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use sluicegate::wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use sluicegate::wire::messages::share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic};
use sluicegate::wire::messages::share_acknowledge_response::{
    self, PartitionData as AcknowledgedPartition, ShareAcknowledgeTopicResponse,
};
use sluicegate::wire::messages::share_fetch_request::{FetchPartition, FetchTopic};
use sluicegate::wire::messages::share_fetch_response::{self, PartitionData, ShareFetchableTopicResponse};
use sluicegate::wire::messages::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, ShareAcknowledgeRequest,
    ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse,
};

use super::families::{
    About, BACKEND_HOST, GROUP, Manner, PREFIX, called, group, shown, strings, text, topic,
};
use crate::support::broker::topic_id;

impl About for ShareFetchRequest {
    const SERVED: RangeInclusive<i16> = 1..=2;

    fn about(names: &[&str], version: i16) -> Self {
        Self::behind(PREFIX, names, version)
    }

    /// Each opens its session anew.
    fn behind(prefix: &str, names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            FetchTopic::default()
                .with_topic_id(topic_id(&format!("{prefix}{name}")))
                .with_partitions(vec![FetchPartition::default()])
        });
        Self::default().with_group_id(Some(group(GROUP))).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        self.topics.iter().map(|topic| called(&TopicName::default(), topic.topic_id)).collect()
    }

    fn answered(&self, _version: i16, manner: &Manner) -> ShareFetchResponse {
        let (node, port) = manner.node();
        let partition = PartitionData::default()
            .with_error_code(manner.code)
            .with_error_message(manner.words())
            .with_acknowledge_error_code(manner.code)
            .with_acknowledge_error_message(manner.words())
            .with_current_leader(share_fetch_response::LeaderIdAndEpoch::default().with_leader_id(node.0))
            .with_records(Some(Bytes::from_static(b"records")));
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            ShareFetchableTopicResponse::default()
                .with_topic_id(topic_id(&name))
                .with_partitions(vec![partition.clone()])
        });
        let endpoint =
            share_fetch_response::NodeEndpoint::default().with_node_id(node).with_host(text(BACKEND_HOST));
        ShareFetchResponse::default()
            .with_error_message(manner.words())
            .with_responses(topics.collect())
            .with_node_endpoints(if node == BrokerId(-1) {
                vec![]
            } else {
                vec![endpoint.with_port(port.into())]
            })
    }

    fn codes(response: &ShareFetchResponse) -> Vec<(String, i16)> {
        let topics = response.responses.iter();
        topics
            .map(|topic| {
                let name = shown(&TopicName::default(), topic.topic_id);
                (name, topic.partitions[0].error_code)
            })
            .collect()
    }
}

impl About for ShareAcknowledgeRequest {
    const SERVED: RangeInclusive<i16> = 1..=2;

    fn about(names: &[&str], version: i16) -> Self {
        Self::behind(PREFIX, names, version)
    }

    fn behind(prefix: &str, names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            AcknowledgeTopic::default()
                .with_topic_id(topic_id(&format!("{prefix}{name}")))
                .with_partitions(vec![AcknowledgePartition::default()])
        });
        Self::default().with_group_id(Some(group(GROUP))).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        self.topics.iter().map(|topic| called(&TopicName::default(), topic.topic_id)).collect()
    }

    fn answered(&self, _version: i16, manner: &Manner) -> ShareAcknowledgeResponse {
        let (node, port) = manner.node();
        let leader = share_acknowledge_response::LeaderIdAndEpoch::default().with_leader_id(node.0);
        let partition = AcknowledgedPartition::default()
            .with_error_code(manner.code)
            .with_error_message(manner.words())
            .with_current_leader(leader);
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            ShareAcknowledgeTopicResponse::default()
                .with_topic_id(topic_id(&name))
                .with_partitions(vec![partition.clone()])
        });
        let endpoint = share_acknowledge_response::NodeEndpoint::default()
            .with_node_id(node)
            .with_host(text(BACKEND_HOST));
        ShareAcknowledgeResponse::default()
            .with_error_message(manner.words())
            .with_responses(topics.collect())
            .with_node_endpoints(if node == BrokerId(-1) {
                vec![]
            } else {
                vec![endpoint.with_port(port.into())]
            })
    }

    fn codes(response: &ShareAcknowledgeResponse) -> Vec<(String, i16)> {
        let topics = response.responses.iter();
        topics
            .map(|topic| {
                let name = shown(&TopicName::default(), topic.topic_id);
                (name, topic.partitions[0].error_code)
            })
            .collect()
    }
}

impl About for DescribeShareGroupOffsetsRequest {
    const SERVED: RangeInclusive<i16> = 0..=1;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            DescribeShareGroupOffsetsRequestTopic::default()
                .with_topic_name(topic(name))
                .with_partitions(vec![0])
        });
        let asked = DescribeShareGroupOffsetsRequestGroup::default().with_group_id(group(GROUP));
        Self::default().with_groups(vec![asked.with_topics(Some(topics.collect()))])
    }

    fn names(&self) -> Vec<String> {
        strings(
            self.groups
                .iter()
                .flat_map(|group| group.topics.iter().flatten())
                .map(|topic| &topic.topic_name.0),
        )
    }

    fn answered(&self, _version: i16, manner: &Manner) -> DescribeShareGroupOffsetsResponse {
        let partition = DescribeShareGroupOffsetsResponsePartition::default()
            .with_error_code(manner.code)
            .with_error_message(manner.words());
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            DescribeShareGroupOffsetsResponseTopic::default()
                .with_topic_id(topic_id(&name))
                .with_topic_name(TopicName(name))
                .with_partitions(vec![partition.clone()])
        });
        let told = DescribeShareGroupOffsetsResponseGroup::default()
            .with_group_id(self.groups[0].group_id.clone())
            .with_topics(topics.collect())
            .with_error_message(manner.words());
        DescribeShareGroupOffsetsResponse::default().with_groups(vec![told])
    }

    fn codes(response: &DescribeShareGroupOffsetsResponse) -> Vec<(String, i16)> {
        let topics = response.groups.iter().flat_map(|group| &group.topics);
        topics.map(|topic| (topic.topic_name.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for AlterShareGroupOffsetsRequest {
    const SERVED: RangeInclusive<i16> = 0..=0;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            AlterShareGroupOffsetsRequestTopic::default()
                .with_topic_name(topic(name))
                .with_partitions(vec![AlterShareGroupOffsetsRequestPartition::default()])
        });
        Self::default().with_group_id(group(GROUP)).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.topic_name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> AlterShareGroupOffsetsResponse {
        let partition = AlterShareGroupOffsetsResponsePartition::default()
            .with_error_code(manner.code)
            .with_error_message(manner.words());
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            AlterShareGroupOffsetsResponseTopic::default()
                .with_topic_name(TopicName(name))
                .with_partitions(vec![partition.clone()])
        });
        AlterShareGroupOffsetsResponse::default()
            .with_error_message(manner.words())
            .with_responses(topics.collect())
    }

    fn codes(response: &AlterShareGroupOffsetsResponse) -> Vec<(String, i16)> {
        let topics = response.responses.iter();
        topics.map(|topic| (topic.topic_name.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for DeleteShareGroupOffsetsRequest {
    const SERVED: RangeInclusive<i16> = 0..=0;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names
            .iter()
            .map(|name| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic(name)));
        Self::default().with_group_id(group(GROUP)).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.topic_name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> DeleteShareGroupOffsetsResponse {
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            DeleteShareGroupOffsetsResponseTopic::default()
                .with_topic_name(TopicName(name))
                .with_error_code(manner.code)
                .with_error_message(manner.words())
        });
        DeleteShareGroupOffsetsResponse::default()
            .with_error_message(manner.words())
            .with_responses(topics.collect())
    }

    fn codes(response: &DeleteShareGroupOffsetsResponse) -> Vec<(String, i16)> {
        let topics = response.responses.iter();
        topics.map(|topic| (topic.topic_name.to_string(), topic.error_code)).collect()
    }
}

impl About for ShareGroupHeartbeatRequest {
    const SERVED: RangeInclusive<i16> = 1..=1;

    fn about(names: &[&str], _version: i16) -> Self {
        Self::default().with_group_id(group(names[0]))
    }

    fn names(&self) -> Vec<String> {
        vec![self.group_id.to_string()]
    }

    fn answered(&self, _version: i16, manner: &Manner) -> ShareGroupHeartbeatResponse {
        ShareGroupHeartbeatResponse::default().with_error_code(manner.code).with_error_message(manner.words())
    }

    fn codes(response: &ShareGroupHeartbeatResponse) -> Vec<(String, i16)> {
        vec![(String::new(), response.error_code)]
    }
}

impl About for ShareGroupDescribeRequest {
    const SERVED: RangeInclusive<i16> = 1..=1;

    fn about(names: &[&str], _version: i16) -> Self {
        Self::default().with_group_ids(names.iter().map(|name| group(name)).collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.group_ids.iter().map(|group| &group.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> ShareGroupDescribeResponse {
        let stranger = manner.neighbours.iter().map(|name| topic(name));
        let member = Member::default()
            .with_client_host(text(BACKEND_HOST))
            .with_subscribed_topic_names(stranger.collect());
        let asked = self.names();
        let groups = manner.with(asked.iter().map(String::as_str)).into_iter().map(|id| {
            DescribedGroup::default()
                .with_group_id(GroupId(id))
                .with_error_code(manner.code)
                .with_error_message(manner.words())
                .with_members(vec![member.clone()])
        });
        ShareGroupDescribeResponse::default().with_groups(groups.collect())
    }

    fn codes(response: &ShareGroupDescribeResponse) -> Vec<(String, i16)> {
        response.groups.iter().map(|group| (group.group_id.to_string(), group.error_code)).collect()
    }
}
