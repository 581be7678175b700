//! Every served API in one form: a question about things with names, a broker's answer, and what that says of each.
//!
//! So that a test about names or permissions goes through all APIs and all their versions.

use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{self, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use sluicegate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use sluicegate::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use sluicegate::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use sluicegate::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use sluicegate::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use sluicegate::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use sluicegate::wire::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};
use uuid::Uuid;

use crate::support::broker::{Broker, topic_id, topic_of};

/// The group of those requests that are about topics.
pub const GROUP: &str = "app";
/// The producer of those requests that are about topics; every tenant of the tests may call one so.
pub const PRODUCER: &str = "blue-mover";

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

pub fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

/// As a version calls a topic of the tenant behind this prefix: by its name, or by its id.
fn by_either(prefix: &str, name: &str, by_id: bool) -> (TopicName, Uuid) {
    match by_id {
        true => (TopicName::default(), topic_id(&format!("{prefix}{name}"))),
        false => (topic(name), Uuid::nil()),
    }
}

/// The backend's name for a topic that is called either way.
pub fn called(name: &TopicName, id: Uuid) -> String {
    topic_of(id).unwrap_or_else(|| name.to_string())
}

/// The client's name for a topic that is called either way.
pub fn shown(name: &TopicName, id: Uuid) -> String {
    match topic_of(id) {
        Some(backend) => {
            let hidden = [PREFIX, "red-"].into_iter().find_map(|prefix| backend.strip_prefix(prefix));
            hidden.unwrap_or(&backend).to_owned()
        }
        None => name.to_string(),
    }
}

/// What stands before the tenant's names on the broker.
pub const PREFIX: &str = "my-";

/// How a broker answers beside what it is asked.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Things that nobody asked for, and that it tells of nevertheless.
    pub neighbours: Vec<String>,
    /// The code that everything is answered with.
    pub code: i16,
    /// What it says wherever a text may stand.
    pub says: Option<String>,
    /// The brokers that it names wherever one may be named.
    pub nodes: Vec<(i32, u16)>,
}

/// As a broker calls its host where it tells of addresses.
pub const BACKEND_HOST: &str = "127.0.0.1";

impl Manner {
    pub fn with<'a>(&'a self, asked: impl IntoIterator<Item = &'a str>) -> Vec<StrBytes> {
        asked.into_iter().chain(self.neighbours.iter().map(String::as_str)).map(text).collect()
    }

    pub fn words(&self) -> Option<StrBytes> {
        self.says.as_deref().map(text)
    }

    pub fn node(&self) -> (BrokerId, u16) {
        self.nodes.first().map_or((BrokerId(-1), 0), |(id, port)| (BrokerId(*id), *port))
    }
}

/// A request about things with names.
pub trait About: Request + 'static {
    const SERVED: RangeInclusive<i16>;

    fn about(names: &[&str], version: i16) -> Self;

    /// The same, where topics that go by their ids stand behind this prefix.
    fn behind(_prefix: &str, names: &[&str], version: i16) -> Self {
        Self::about(names, version)
    }

    /// The names in the request.
    fn names(&self) -> Vec<String>;

    /// A broker's answer.
    fn answered(&self, version: i16, manner: &Manner) -> Self::Response;

    /// Each name in the answer, with its code; of an answer without names, its code.
    fn codes(response: &Self::Response) -> Vec<(String, i16)>;
}

/// From now on the broker answers all such requests in this manner.
pub fn script<R: About>(broker: &Broker, manner: &Manner) {
    let manner = manner.clone();
    let key = R::KEY.try_into().expect("a request has a known key");
    broker.on_key(key, move |asked| {
        let version = asked.version();
        asked.reply::<R>(&asked.request::<R>().answered(version, &manner))
    });
}

pub fn strings<'a>(names: impl IntoIterator<Item = &'a StrBytes>) -> Vec<String> {
    names.into_iter().map(ToString::to_string).collect()
}

impl About for MetadataRequest {
    const SERVED: RangeInclusive<i16> = 0..=13;

    fn about(names: &[&str], version: i16) -> Self {
        let named = names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic(name))));
        // Before version 4 there is no flag, and it is as if it were said.
        Self::default().with_topics(Some(named.collect())).with_allow_auto_topic_creation(version < 4)
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().flatten().filter_map(|topic| topic.name.as_deref()))
    }

    fn answered(&self, version: i16, manner: &Manner) -> MetadataResponse {
        let leader = manner.node().0;
        let partition = MetadataResponsePartition::default()
            .with_leader_id(leader)
            .with_replica_nodes(vec![leader])
            .with_isr_nodes(vec![leader]);
        let asked = self.names();
        let by_id =
            self.topics.iter().flatten().filter_map(|topic| topic_of(topic.topic_id)).collect::<Vec<_>>();
        let asked = asked.iter().chain(&by_id);
        let topics = manner.with(asked.map(String::as_str)).into_iter().map(|name| {
            MetadataResponseTopic::default()
                .with_topic_id(if version >= 10 { topic_id(&name) } else { Uuid::nil() })
                .with_name(Some(TopicName(name)))
                .with_error_code(manner.code)
                .with_is_internal(version >= 1)
                .with_partitions(vec![partition.clone()])
        });
        let brokers = manner.nodes.iter().map(|(id, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*id))
                .with_host(text(BACKEND_HOST))
                .with_port(i32::from(*port))
        });
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id((version >= 2).then(|| text("backend-cluster")))
            .with_controller_id(if version >= 1 { leader } else { BrokerId(-1) })
            .with_topics(topics.collect())
    }

    fn codes(response: &MetadataResponse) -> Vec<(String, i16)> {
        let name =
            |topic: &MetadataResponseTopic| topic.name.as_deref().map_or("?".into(), |n| n.to_string());
        response.topics.iter().map(|topic| (name(topic), topic.error_code)).collect()
    }
}

impl About for ProduceRequest {
    const SERVED: RangeInclusive<i16> = 3..=13;

    fn about(names: &[&str], version: i16) -> Self {
        Self::behind(PREFIX, names, version)
    }

    fn behind(prefix: &str, names: &[&str], version: i16) -> Self {
        let partition = PartitionProduceData::default().with_records(Some(Bytes::from_static(b"records")));
        let topics = names.iter().map(|name| {
            let (name, id) = by_either(prefix, name, version >= 13);
            let topic = TopicProduceData::default().with_name(name).with_topic_id(id);
            topic.with_partition_data(vec![partition.clone()])
        });
        Self::default().with_acks(1).with_timeout_ms(1000).with_topic_data(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        self.topic_data.iter().map(|topic| called(&topic.name, topic.topic_id)).collect()
    }

    fn answered(&self, version: i16, manner: &Manner) -> ProduceResponse {
        let mut partition = PartitionProduceResponse::default().with_error_code(manner.code);
        if version >= 8 {
            partition.error_message = manner.words();
            let of_record = BatchIndexAndErrorMessage::default();
            partition.record_errors = vec![of_record.with_batch_index_error_message(manner.words())];
        }
        let (node, port) = manner.node();
        let mut response = ProduceResponse::default();
        if version >= 10 && node.0 >= 0 {
            partition.current_leader.leader_id = node;
            let endpoint = NodeEndpoint::default().with_node_id(node).with_host(text(BACKEND_HOST));
            response.node_endpoints = vec![endpoint.with_port(port.into())];
        }
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            let id = if version >= 13 { topic_id(&name) } else { Uuid::nil() };
            let topic = TopicProduceResponse::default().with_topic_id(id);
            let topic = topic.with_name(if id.is_nil() { TopicName(name) } else { TopicName::default() });
            topic.with_partition_responses(vec![partition.clone()])
        });
        response.with_responses(topics.collect())
    }

    fn codes(response: &ProduceResponse) -> Vec<(String, i16)> {
        let topics = response.responses.iter();
        topics
            .map(|topic| (shown(&topic.name, topic.topic_id), topic.partition_responses[0].error_code))
            .collect()
    }
}

impl About for FetchRequest {
    const SERVED: RangeInclusive<i16> = 4..=18;

    fn about(names: &[&str], version: i16) -> Self {
        Self::behind(PREFIX, names, version)
    }

    fn behind(prefix: &str, names: &[&str], version: i16) -> Self {
        let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
        let topics = names.iter().map(|name| {
            let (name, id) = by_either(prefix, name, version >= 13);
            let topic = FetchTopic::default().with_topic(name).with_topic_id(id);
            topic.with_partitions(vec![partition.clone()])
        });
        Self::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        self.topics.iter().map(|topic| called(&topic.topic, topic.topic_id)).collect()
    }

    fn answered(&self, version: i16, manner: &Manner) -> FetchResponse {
        let mut partition = PartitionData::default()
            .with_error_code(manner.code)
            .with_preferred_read_replica(BrokerId(-1))
            .with_records(Some(Bytes::from_static(b"records")));
        let (node, port) = manner.node();
        let mut response = FetchResponse::default();
        if version >= 12 && node.0 >= 0 {
            partition.current_leader = fetch_response::LeaderIdAndEpoch::default().with_leader_id(node);
        }
        if version >= 16 && node.0 >= 0 {
            let endpoint = fetch_response::NodeEndpoint::default().with_node_id(node);
            response.node_endpoints = vec![endpoint.with_host(text(BACKEND_HOST)).with_port(port.into())];
        }
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            let id = if version >= 13 { topic_id(&name) } else { Uuid::nil() };
            let topic = FetchableTopicResponse::default().with_topic_id(id);
            let topic = topic.with_topic(if id.is_nil() { TopicName(name) } else { TopicName::default() });
            topic.with_partitions(vec![partition.clone()])
        });
        response.with_responses(topics.collect())
    }

    fn codes(response: &FetchResponse) -> Vec<(String, i16)> {
        let topics = response.responses.iter();
        topics.map(|topic| (shown(&topic.topic, topic.topic_id), topic.partitions[0].error_code)).collect()
    }
}

impl About for ListOffsetsRequest {
    const SERVED: RangeInclusive<i16> = 1..=11;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            ListOffsetsTopic::default()
                .with_name(topic(name))
                .with_partitions(vec![ListOffsetsPartition::default()])
        });
        Self::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> ListOffsetsResponse {
        let partition = ListOffsetsPartitionResponse::default().with_error_code(manner.code);
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            ListOffsetsTopicResponse::default()
                .with_name(TopicName(name))
                .with_partitions(vec![partition.clone()])
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &ListOffsetsResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics.map(|topic| (topic.name.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for OffsetForLeaderEpochRequest {
    const SERVED: RangeInclusive<i16> = 2..=4;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            OffsetForLeaderTopic::default()
                .with_topic(topic(name))
                .with_partitions(vec![OffsetForLeaderPartition::default()])
        });
        Self::default().with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.topic.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> OffsetForLeaderEpochResponse {
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            OffsetForLeaderTopicResult::default()
                .with_topic(TopicName(name))
                .with_partitions(vec![EpochEndOffset::default().with_error_code(manner.code)])
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &OffsetForLeaderEpochResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics.map(|topic| (topic.topic.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for OffsetCommitRequest {
    const SERVED: RangeInclusive<i16> = 2..=10;

    fn about(names: &[&str], version: i16) -> Self {
        Self::behind(PREFIX, names, version)
    }

    fn behind(prefix: &str, names: &[&str], version: i16) -> Self {
        let topics = names.iter().map(|name| {
            let (name, id) = by_either(prefix, name, version >= 10);
            OffsetCommitRequestTopic::default()
                .with_name(name)
                .with_topic_id(id)
                .with_partitions(vec![OffsetCommitRequestPartition::default()])
        });
        Self::default().with_group_id(group(GROUP)).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        self.topics.iter().map(|topic| called(&topic.name, topic.topic_id)).collect()
    }

    fn answered(&self, version: i16, manner: &Manner) -> OffsetCommitResponse {
        let partition = OffsetCommitResponsePartition::default().with_error_code(manner.code);
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            let (name, id) = by_either("", &name, version >= 10);
            OffsetCommitResponseTopic::default()
                .with_name(name)
                .with_topic_id(id)
                .with_partitions(vec![partition.clone()])
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &OffsetCommitResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics.map(|topic| (shown(&topic.name, topic.topic_id), topic.partitions[0].error_code)).collect()
    }
}

impl About for TxnOffsetCommitRequest {
    const SERVED: RangeInclusive<i16> = 0..=5;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            TxnOffsetCommitRequestTopic::default()
                .with_name(topic(name))
                .with_partitions(vec![TxnOffsetCommitRequestPartition::default()])
        });
        let id = TransactionalId(text(PRODUCER));
        Self::default().with_transactional_id(id).with_group_id(group(GROUP)).with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> TxnOffsetCommitResponse {
        let partition = TxnOffsetCommitResponsePartition::default().with_error_code(manner.code);
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            TxnOffsetCommitResponseTopic::default()
                .with_name(TopicName(name))
                .with_partitions(vec![partition.clone()])
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &TxnOffsetCommitResponse) -> Vec<(String, i16)> {
        let topics = response.topics.iter();
        topics.map(|topic| (topic.name.to_string(), topic.partitions[0].error_code)).collect()
    }
}

impl About for OffsetFetchRequest {
    const SERVED: RangeInclusive<i16> = 1..=10;

    fn about(names: &[&str], version: i16) -> Self {
        Self::behind(PREFIX, names, version)
    }

    fn behind(prefix: &str, names: &[&str], version: i16) -> Self {
        if version < 8 {
            let topics = names.iter().map(|name| {
                OffsetFetchRequestTopic::default().with_name(topic(name)).with_partition_indexes(vec![0])
            });
            return Self::default().with_group_id(group(GROUP)).with_topics(Some(topics.collect()));
        }
        let topics = names.iter().map(|name| {
            let (name, id) = by_either(prefix, name, version >= 10);
            let topic = OffsetFetchRequestTopics::default().with_name(name).with_topic_id(id);
            topic.with_partition_indexes(vec![0])
        });
        let of_group = OffsetFetchRequestGroup::default().with_group_id(group(GROUP));
        Self::default().with_groups(vec![of_group.with_topics(Some(topics.collect()))])
    }

    fn names(&self) -> Vec<String> {
        let of_one = self.topics.iter().flatten().map(|topic| topic.name.to_string());
        let of_groups = self.groups.iter().flat_map(|group| group.topics.iter().flatten());
        of_one.chain(of_groups.map(|topic| called(&topic.name, topic.topic_id))).collect()
    }

    fn answered(&self, version: i16, manner: &Manner) -> OffsetFetchResponse {
        let asked = self.names();
        let names = manner.with(asked.iter().map(String::as_str)).into_iter();
        if version < 8 {
            let partition = OffsetFetchResponsePartition::default().with_error_code(manner.code);
            let topics = names.map(|name| {
                OffsetFetchResponseTopic::default()
                    .with_name(TopicName(name))
                    .with_partitions(vec![partition.clone()])
            });
            return OffsetFetchResponse::default().with_topics(topics.collect());
        }
        let partition = OffsetFetchResponsePartitions::default().with_error_code(manner.code);
        let topics = names.map(|name| {
            let (name, id) = by_either("", &name, version >= 10);
            OffsetFetchResponseTopics::default()
                .with_name(name)
                .with_topic_id(id)
                .with_partitions(vec![partition.clone()])
        });
        let topics: Vec<_> = topics.collect();
        let groups = self.groups.iter().map(|group| {
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id.clone())
                .with_topics(topics.clone())
        });
        OffsetFetchResponse::default().with_groups(groups.collect())
    }

    fn codes(response: &OffsetFetchResponse) -> Vec<(String, i16)> {
        let of_one = response.topics.iter();
        let of_one = of_one.map(|topic| (topic.name.to_string(), topic.partitions[0].error_code));
        let of_groups = response.groups.iter().flat_map(|group| &group.topics);
        let of_groups =
            of_groups.map(|topic| (shown(&topic.name, topic.topic_id), topic.partitions[0].error_code));
        of_one.chain(of_groups).collect()
    }
}

impl About for CreateTopicsRequest {
    const SERVED: RangeInclusive<i16> = 2..=7;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics = names.iter().map(|name| {
            CreatableTopic::default().with_name(topic(name)).with_num_partitions(1).with_replication_factor(1)
        });
        Self::default().with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> CreateTopicsResponse {
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            CreatableTopicResult::default()
                .with_name(TopicName(name))
                .with_error_code(manner.code)
                .with_error_message(manner.words())
        });
        CreateTopicsResponse::default().with_topics(topics.collect())
    }

    fn codes(response: &CreateTopicsResponse) -> Vec<(String, i16)> {
        response.topics.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect()
    }
}

impl About for DeleteTopicsRequest {
    const SERVED: RangeInclusive<i16> = 1..=6;

    fn about(names: &[&str], version: i16) -> Self {
        let named = names.iter().map(|name| topic(name));
        match version {
            6.. => {
                let topics = named.map(|name| DeleteTopicState::default().with_name(Some(name)));
                Self::default().with_topics(topics.collect())
            }
            _ => Self::default().with_topic_names(named.collect()),
        }
    }

    fn names(&self) -> Vec<String> {
        let topics = self.topics.iter().filter_map(|topic| topic.name.as_ref());
        strings(self.topic_names.iter().chain(topics).map(|name| &name.0))
    }

    fn answered(&self, version: i16, manner: &Manner) -> DeleteTopicsResponse {
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            DeletableTopicResult::default()
                .with_name(Some(TopicName(name)))
                .with_error_code(manner.code)
                .with_error_message(manner.words().filter(|_| version >= 5))
        });
        DeleteTopicsResponse::default().with_responses(topics.collect())
    }

    fn codes(response: &DeleteTopicsResponse) -> Vec<(String, i16)> {
        let name = |topic: &DeletableTopicResult| topic.name.as_deref().map_or("?".into(), |n| n.to_string());
        response.responses.iter().map(|topic| (name(topic), topic.error_code)).collect()
    }
}

impl About for CreatePartitionsRequest {
    const SERVED: RangeInclusive<i16> = 0..=3;

    fn about(names: &[&str], _version: i16) -> Self {
        let topics =
            names.iter().map(|name| CreatePartitionsTopic::default().with_name(topic(name)).with_count(2));
        Self::default().with_topics(topics.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.topics.iter().map(|topic| &topic.name.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> CreatePartitionsResponse {
        let asked = self.names();
        let topics = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            CreatePartitionsTopicResult::default()
                .with_name(TopicName(name))
                .with_error_code(manner.code)
                .with_error_message(manner.words())
        });
        CreatePartitionsResponse::default().with_results(topics.collect())
    }

    fn codes(response: &CreatePartitionsResponse) -> Vec<(String, i16)> {
        response.results.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect()
    }
}

/// `ConfigResource.Type` of a topic.
pub const OF_TOPIC: i8 = 2;

impl About for DescribeConfigsRequest {
    const SERVED: RangeInclusive<i16> = 1..=4;

    fn about(names: &[&str], _version: i16) -> Self {
        let resources = names.iter().map(|name| {
            DescribeConfigsResource::default().with_resource_type(OF_TOPIC).with_resource_name(text(name))
        });
        Self::default().with_resources(resources.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.resources.iter().map(|resource| &resource.resource_name))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> DescribeConfigsResponse {
        let asked = self.names();
        let results = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            DescribeConfigsResult::default()
                .with_resource_type(OF_TOPIC)
                .with_resource_name(name)
                .with_error_code(manner.code)
                .with_error_message(manner.words())
        });
        DescribeConfigsResponse::default().with_results(results.collect())
    }

    fn codes(response: &DescribeConfigsResponse) -> Vec<(String, i16)> {
        let results = response.results.iter();
        results.map(|result| (result.resource_name.to_string(), result.error_code)).collect()
    }
}

impl About for IncrementalAlterConfigsRequest {
    const SERVED: RangeInclusive<i16> = 0..=1;

    fn about(names: &[&str], _version: i16) -> Self {
        let resources = names.iter().map(|name| {
            AlterConfigsResource::default().with_resource_type(OF_TOPIC).with_resource_name(text(name))
        });
        Self::default().with_resources(resources.collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.resources.iter().map(|resource| &resource.resource_name))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> IncrementalAlterConfigsResponse {
        let asked = self.names();
        let results = manner.with(asked.iter().map(String::as_str)).into_iter().map(|name| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(OF_TOPIC)
                .with_resource_name(name)
                .with_error_code(manner.code)
                .with_error_message(manner.words())
        });
        IncrementalAlterConfigsResponse::default().with_responses(results.collect())
    }

    fn codes(response: &IncrementalAlterConfigsResponse) -> Vec<(String, i16)> {
        let results = response.responses.iter();
        results.map(|result| (result.resource_name.to_string(), result.error_code)).collect()
    }
}

impl About for FindCoordinatorRequest {
    const SERVED: RangeInclusive<i16> = 0..=6;

    /// Of one group before version 4: of the first.
    fn about(names: &[&str], version: i16) -> Self {
        if version < 4 {
            return Self::default().with_key(text(names[0]));
        }
        Self::default().with_coordinator_keys(names.iter().map(|name| text(name)).collect())
    }

    fn names(&self) -> Vec<String> {
        if self.coordinator_keys.is_empty() {
            return vec![self.key.to_string()];
        }
        strings(&self.coordinator_keys)
    }

    fn answered(&self, version: i16, manner: &Manner) -> FindCoordinatorResponse {
        let (node, port) = manner.node();
        if version < 4 {
            return FindCoordinatorResponse::default()
                .with_error_code(manner.code)
                .with_error_message(manner.words().filter(|_| version >= 1))
                .with_node_id(node)
                .with_host(text(BACKEND_HOST))
                .with_port(port.into());
        }
        let asked = self.names();
        let found = manner.with(asked.iter().map(String::as_str)).into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_error_code(manner.code)
                .with_error_message(manner.words())
                .with_node_id(node)
                .with_host(text(BACKEND_HOST))
                .with_port(port.into())
        });
        FindCoordinatorResponse::default().with_coordinators(found.collect())
    }

    fn codes(response: &FindCoordinatorResponse) -> Vec<(String, i16)> {
        if response.coordinators.is_empty() {
            return vec![(String::new(), response.error_code)];
        }
        response.coordinators.iter().map(|found| (found.key.to_string(), found.error_code)).collect()
    }
}

impl About for DescribeGroupsRequest {
    const SERVED: RangeInclusive<i16> = 0..=6;

    fn about(names: &[&str], _version: i16) -> Self {
        Self::default().with_groups(names.iter().map(|name| group(name)).collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.groups.iter().map(|group| &group.0))
    }

    fn answered(&self, version: i16, manner: &Manner) -> DescribeGroupsResponse {
        let member = DescribedGroupMember::default().with_client_host(text(BACKEND_HOST));
        let asked = self.names();
        let groups = manner.with(asked.iter().map(String::as_str)).into_iter().map(|id| {
            DescribedGroup::default()
                .with_group_id(GroupId(id))
                .with_error_code(manner.code)
                .with_error_message(manner.words().filter(|_| version >= 6))
                .with_members(vec![member.clone()])
        });
        DescribeGroupsResponse::default().with_groups(groups.collect())
    }

    fn codes(response: &DescribeGroupsResponse) -> Vec<(String, i16)> {
        response.groups.iter().map(|group| (group.group_id.to_string(), group.error_code)).collect()
    }
}

impl About for DeleteGroupsRequest {
    const SERVED: RangeInclusive<i16> = 0..=2;

    fn about(names: &[&str], _version: i16) -> Self {
        Self::default().with_groups_names(names.iter().map(|name| group(name)).collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.groups_names.iter().map(|group| &group.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> DeleteGroupsResponse {
        let asked = self.names();
        let results = manner.with(asked.iter().map(String::as_str)).into_iter().map(|id| {
            DeletableGroupResult::default().with_group_id(GroupId(id)).with_error_code(manner.code)
        });
        DeleteGroupsResponse::default().with_results(results.collect())
    }

    fn codes(response: &DeleteGroupsResponse) -> Vec<(String, i16)> {
        response.results.iter().map(|result| (result.group_id.to_string(), result.error_code)).collect()
    }
}

/// What the members of a group say names the group and nothing else.
macro_rules! of_one_group {
    ($($request:ident, $response:ident, $versions:expr;)+) => {$(
        impl About for $request {
            const SERVED: RangeInclusive<i16> = $versions;

            fn about(names: &[&str], _version: i16) -> Self {
                Self::default().with_group_id(group(names[0]))
            }

            fn names(&self) -> Vec<String> {
                vec![self.group_id.to_string()]
            }

            fn answered(&self, _version: i16, manner: &Manner) -> $response {
                $response::default().with_error_code(manner.code)
            }

            fn codes(response: &$response) -> Vec<(String, i16)> {
                vec![(String::new(), response.error_code)]
            }
        }
    )+};
}

of_one_group! {
    JoinGroupRequest, JoinGroupResponse, 0..=9;
    SyncGroupRequest, SyncGroupResponse, 0..=5;
    HeartbeatRequest, HeartbeatResponse, 0..=4;
    LeaveGroupRequest, LeaveGroupResponse, 0..=5;
}

/// Calls a macro with every request that names topics.
macro_rules! for_each_of_topics {
    ($then:ident) => {
        $then! {
            MetadataRequest ProduceRequest FetchRequest ListOffsetsRequest OffsetForLeaderEpochRequest
            OffsetCommitRequest OffsetFetchRequest CreateTopicsRequest DeleteTopicsRequest
            CreatePartitionsRequest DescribeConfigsRequest IncrementalAlterConfigsRequest
            AlterConfigsRequest DeleteRecordsRequest DescribeProducersRequest OffsetDeleteRequest
            TxnOffsetCommitRequest DescribeTopicPartitionsRequest ShareFetchRequest ShareAcknowledgeRequest
            DescribeShareGroupOffsetsRequest AlterShareGroupOffsetsRequest DeleteShareGroupOffsetsRequest
        }
    };
}

/// Calls a macro with every request that names groups.
macro_rules! for_each_of_groups {
    ($then:ident) => {
        $then! {
            FindCoordinatorRequest DescribeGroupsRequest DeleteGroupsRequest JoinGroupRequest SyncGroupRequest
            HeartbeatRequest LeaveGroupRequest ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest
            ShareGroupHeartbeatRequest ShareGroupDescribeRequest
        }
    };
}

pub(crate) use {for_each_of_groups, for_each_of_topics};
