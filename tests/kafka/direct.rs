//! A conversation with a broker past the gateway: what is really there?
#![allow(clippy::disallowed_methods, reason = "it waits for real brokers, by the real clock")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeGroupsRequest, FetchRequest, FindCoordinatorRequest, GroupId,
    MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use sluicegate::wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use sluicegate::wire::messages::{OffsetCommitRequest, OffsetFetchRequest};

use crate::support::client::Client;
use crate::support::kafka::Kafka;

const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(100);

/// A client of the first broker, who may do everything.
pub struct Direct(Client);

impl Direct {
    pub fn connect(kafka: &Kafka) -> Self {
        Self(Client::connect(kafka.port("PLAINTEXT")))
    }

    /// All topics there are.
    pub fn topics(&mut self) -> Vec<String> {
        let answer = self.0.ask(9, &MetadataRequest::default().with_topics(None));
        answer.topics.iter().filter_map(|topic| Some(topic.name.as_ref()?.0.to_string())).collect()
    }

    /// Makes a topic with one partition, and waits until it has a leader.
    pub fn create(&mut self, name: &str) {
        let topic = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer = self.0.ask(5, &request);
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
        until("the topic has a leader", || self.topics().iter().any(|found| found == name).then_some(()));
    }

    /// Commits an offset as somebody who is no member of the group.
    pub fn commit(&mut self, group: &str, name: &str, offset: i64) {
        self.await_coordinator(group);
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic =
            OffsetCommitRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        until("the offset is committed", || {
            let answer = self.0.ask(8, &request);
            (answer.topics[0].partitions[0].error_code == 0).then_some(())
        });
    }

    /// What a group has committed for a topic's first partition.
    pub fn committed(&mut self, group: &str, name: &str) -> Option<i64> {
        let topic = OffsetFetchRequestTopic::default().with_name(topic(name)).with_partition_indexes(vec![0]);
        let request =
            OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![topic]));
        let answer = self.0.ask(7, &request);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        Some(answer.topics[0].partitions[0].committed_offset).filter(|offset| *offset >= 0)
    }

    /// In which state a group is, as its coordinator sees it.
    pub fn describe_group(&mut self, group: &str) -> DescribedGroup {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        self.0.ask(5, &request).groups.remove(0)
    }

    /// The first batch of a topic, byte by byte as its producer made it.
    pub fn first_batch(&mut self, name: &str) -> Bytes {
        let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(topic(name)).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(5000)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_topics(vec![topic]);
        let answer = self.0.ask(11, &request);
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0, "{answer:?}");
        partition.records.clone().expect("there is a batch")
    }

    fn await_coordinator(&mut self, group: &str) {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        until("the group has a coordinator", || (self.0.ask(3, &request).error_code == 0).then_some(()));
    }
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, ask)
}

/// The same with a patience of one's own.
pub fn until_within<T>(patience: Duration, what: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_soon(patience, TICK, what, ask)
}

/// The same, asking as often as one likes: for what is waited for many times.
pub fn until_soon<T>(
    patience: Duration,
    tick: Duration,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not after {patience:?}");
        sleep(tick);
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}
