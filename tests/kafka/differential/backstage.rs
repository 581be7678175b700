//! What is really there on the broker: seen and put right past both ways, by somebody who may do everything.
#![allow(clippy::disallowed_methods, reason = "it waits for a real broker, by the real clock")]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, FindCoordinatorRequest, GroupId,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, LeaveGroupRequest, MetadataRequest,
    OffsetCommitRequest, ProduceRequest, TopicName, TransactionalId,
};
use uuid::Uuid;

use super::generator::Batch;
use super::ground::{Ground, WAYS, Way, text};
use super::names::{GROUPS, OTHERS, OURS, TOPICS, TRANSACTIONAL_IDS, name};
use crate::direct::until_within;
use crate::support::client::Client;

/// The topics of one world by the names it has for them: their ids, and how many partitions they have.
pub type Topics = BTreeMap<String, (Uuid, usize)>;

pub struct Backstage {
    broker: Client,
    /// Counts up with every wait for the broker to know what its controller has written.
    marks: u64,
}

impl Backstage {
    pub fn enter(ground: &Ground) -> Self {
        let mut backstage =
            Self { broker: Client::connect(ground.kafka.port("PLAINTEXT")), marks: 3_600_000 };
        backstage.create(&[(OTHERS.to_owned(), 1)]);
        backstage.await_share_coordinator();
        // Gets the producer id 0, which also stands where there is none.
        backstage.init_producer(OTHERS);
        backstage
    }

    /// Sets up all that a round begins with, in both worlds.
    pub fn prepare(&mut self, round: u64) {
        self.put_topics(round, &TOPICS);
        for way in WAYS {
            for standing in GROUPS {
                let group = format!("{}{}", way.prefix(), name(standing, round, "g"));
                for (topic, rest) in [("full", "a"), ("read", "a"), ("hide", "a")] {
                    self.commit(&group, &format!("{}{}", way.prefix(), name(topic, round, rest)));
                }
            }
            for standing in TRANSACTIONAL_IDS {
                self.init_producer(&format!("{}{}", way.prefix(), name(standing, round, "t")));
            }
        }
    }

    /// Leaves nothing of a round but its groups, which are empty.
    pub fn clear(&mut self) {
        let ours = self.topics();
        let names = WAYS.iter().zip(&ours).flat_map(|(way, topics)| backend(*way, topics.keys()));
        let names: Vec<String> = names.collect();
        self.delete(&names);
    }

    /// Makes the topics of a round what they were at its beginning.
    ///
    /// Errors: what is in one world and not in the other, before that.
    pub fn restore(&mut self, round: u64) -> Result<(), String> {
        self.pass_barrier();
        let same = |worlds: &[Topics; 2]| {
            let [reference, gateway] = worlds.each_ref().map(|topics| {
                topics.iter().map(|(name, (_, count))| (name.clone(), *count)).collect::<Vec<_>>()
            });
            (reference, gateway)
        };
        let mut worlds = self.topics();
        let deadline = Instant::now() + SETTLES;
        while same(&worlds).0 != same(&worlds).1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            worlds = self.topics();
        }
        let (reference, gateway) = same(&worlds);
        let base: Vec<_> = TOPICS
            .iter()
            .map(|(standing, rest, partitions)| (name(standing, round, rest), *partitions as usize))
            .collect();
        for (way, there) in WAYS.iter().zip([&reference, &gateway]) {
            let wrong = there.iter().filter(|found| !base.contains(found)).map(|(name, _)| name);
            self.delete(&backend(*way, wrong).collect::<Vec<_>>());
        }
        let missing: Vec<_> = TOPICS
            .iter()
            .zip(&base)
            .filter(|(_, wanted)| !reference.contains(wanted) || !gateway.contains(wanted))
            .map(|(topic, _)| *topic)
            .collect();
        self.put_topics(round, &missing);
        if reference == gateway { Ok(()) } else { Err(format!("{reference:?}, and {gateway:?}")) }
    }

    /// The topics of the rounds in each world.
    pub fn topics(&mut self) -> [Topics; 2] {
        let all = self.all_topics();
        WAYS.map(|way| {
            let ours = all.iter().filter_map(|(name, found)| {
                let name = name.strip_prefix(way.prefix()).filter(|name| name.starts_with(OURS))?;
                Some((name.to_owned(), *found))
            });
            ours.collect()
        })
    }

    /// All topics there are.
    pub fn all_topics(&mut self) -> HashMap<String, (Uuid, usize)> {
        let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        let answer = self.broker.ask(12, &request);
        let topics = answer.topics.iter().filter_map(|topic| {
            let name = topic.name.as_ref()?.to_string();
            Some((name, (topic.topic_id, topic.partitions.len())))
        });
        topics.collect()
    }

    /// Waits for topics that a broker makes behind its answer.
    pub fn await_topics(&mut self, made: &[Vec<String>; 2]) {
        let deadline = Instant::now() + SETTLES;
        while made
            .iter()
            .zip(self.topics())
            .any(|(made, there)| made.iter().any(|name| !there.contains_key(name)))
        {
            if Instant::now() > deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the broker has made its own all that its controller had written before.
    ///
    /// Twice: the first mark may come in one gulp with what was written before it, and be seen while the broker still
    /// works on that; then the second one is behind it.
    pub fn pass_barrier(&mut self) {
        for _ in 0..2 {
            self.marks += 1;
            let mark = text(&self.marks.to_string());
            let retention = text("retention.ms");
            let config =
                AlterableConfig::default().with_name(retention.clone()).with_value(Some(mark.clone()));
            let resource = AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(OTHERS))
                .with_configs(vec![config]);
            let alter = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            let answer = self.broker.ask(1, &alter);
            assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
            let resource = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(OTHERS))
                .with_configuration_keys(Some(vec![retention]));
            let describe = DescribeConfigsRequest::default().with_resources(vec![resource]);
            let deadline = Instant::now() + PATIENCE;
            while self.broker.ask(4, &describe).results[0].configs[0].value.as_ref() != Some(&mark) {
                assert!(Instant::now() < deadline, "the broker does not hear of its controller");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Has a member leave its group, so that nobody waits for it.
    pub fn leave(&mut self, group: &str, member: &str) {
        let request =
            LeaveGroupRequest::default().with_group_id(GroupId(text(group))).with_member_id(text(member));
        self.broker.ask(0, &request);
    }

    fn put_topics(&mut self, round: u64, topics: &[(&str, &str, i32)]) {
        let all = WAYS.iter().flat_map(|way| {
            topics.iter().map(|(standing, rest, partitions)| {
                (format!("{}{}", way.prefix(), name(standing, round, rest)), *partitions)
            })
        });
        let all: Vec<(String, i32)> = all.collect();
        self.create(&all);
        for (topic, _) in &all {
            self.write(topic, 2);
            self.write(topic, 1);
        }
    }

    fn create(&mut self, topics: &[(String, i32)]) {
        if topics.is_empty() {
            return;
        }
        let wanted = topics.iter().map(|(name, partitions)| {
            CreatableTopic::default()
                .with_name(TopicName(text(name)))
                .with_num_partitions(*partitions)
                .with_replication_factor(1)
        });
        let request =
            CreateTopicsRequest::default().with_topics(wanted.collect()).with_timeout_ms(TIMEOUT_MS);
        let answer = self.broker.ask(7, &request);
        assert!(answer.topics.iter().all(|topic| topic.error_code == 0), "{answer:?}");
        self.pass_barrier();
    }

    fn delete(&mut self, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let states =
            names.iter().map(|name| DeleteTopicState::default().with_name(Some(TopicName(text(name)))));
        let request =
            DeleteTopicsRequest::default().with_topics(states.collect()).with_timeout_ms(TIMEOUT_MS);
        let answer = self.broker.ask(6, &request);
        assert!(answer.responses.iter().all(|topic| topic.error_code == 0), "{answer:?}");
        self.pass_barrier();
    }

    fn write(&mut self, topic: &str, records: usize) {
        let records = Batch::plain(records).bytes(&HashMap::new());
        let partition = PartitionProduceData::default().with_records(Some(records.into()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(topic)))
            .with_partition_data(vec![partition]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(TIMEOUT_MS).with_topic_data(vec![topic]);
        until_within(PATIENCE, "a record is written", || {
            let answer = self.broker.ask(9, &request);
            (answer.responses[0].partition_responses[0].error_code == 0).then_some(())
        });
    }

    fn commit(&mut self, group: &str, topic: &str) {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(topic)))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        self.await_coordinator(group, 0);
        until_within(PATIENCE, "an offset is committed", || {
            let answer = self.broker.ask(8, &request);
            (answer.topics[0].partitions[0].error_code == 0).then_some(())
        });
    }

    fn init_producer(&mut self, transactional_id: &str) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(transactional_id))))
            .with_transaction_timeout_ms(60_000);
        self.await_coordinator(transactional_id, 1);
        until_within(PATIENCE, "a producer has its id", || {
            (self.broker.ask(4, &request).error_code == 0).then_some(())
        });
    }

    /// Where share groups stand is kept in a topic that is made when somebody first asks for it.
    fn await_share_coordinator(&mut self) {
        let request = FindCoordinatorRequest::default()
            .with_key_type(2)
            .with_coordinator_keys(vec![text(&format!("{OTHERS}:{AN_ID}:0"))]);
        until_within(PATIENCE, "there is a coordinator of share groups", || {
            (self.broker.ask(6, &request).coordinators[0].error_code == 0).then_some(())
        });
    }

    fn await_coordinator(&mut self, key: &str, kind: i8) {
        let request = FindCoordinatorRequest::default().with_key(text(key)).with_key_type(kind);
        until_within(PATIENCE, "there is a coordinator", || {
            (self.broker.ask(3, &request).error_code == 0).then_some(())
        });
    }
}

fn backend<'a>(way: Way, names: impl Iterator<Item = &'a String>) -> impl Iterator<Item = String> {
    names.map(move |name| format!("{}{name}", way.prefix()))
}

/// A topic id as Kafka writes it, of no topic.
const AN_ID: &str = "q83vEjRWeJCrze8SNFZ4kA";
/// What is not the same in both worlds by then is not the same.
const SETTLES: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const TIMEOUT_MS: i32 = 20_000;
