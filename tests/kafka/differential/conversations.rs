//! Conversations: requests that stand on what was answered before. A member joins, commits and leaves; a producer
//! opens a transaction, writes and ends it; a topic is made, filled and deleted.
//!
//! Each step is a request from the grammar like any other, with the fields pinned that make it one of this
//! conversation. A step whose API is not served is left out, and so is what it would have said.

use sluicegate::api::rows;
use sluicegate::wire::ApiKey;

use super::generator::{Batch, Pin, Policy, Symbol, request};
use super::ground::Role;
use super::names::{Kind, Standing};
use super::player::Line;
use super::round::{Case, Round};

/// One request of a conversation.
struct Step {
    key: ApiKey,
    pins: Vec<Pin>,
    takes: Vec<(&'static str, &'static str)>,
    until: Option<&'static str>,
}

fn step(key: ApiKey, pins: &[Pin], more: Vec<Pin>) -> Step {
    // What a step says itself comes before what all of them say.
    let pins = more.into_iter().chain(pins.iter().cloned()).collect();
    Step { key, pins, takes: Vec::new(), until: None }
}

impl Step {
    fn takes(mut self, word: &'static str, path: &'static str) -> Self {
        self.takes.push((word, path));
        self
    }

    /// Says it again and again until something stands in the answer under this path.
    fn until(mut self, path: &'static str) -> Self {
        self.until = Some(path);
        self
    }
}

fn text(at: &'static str, text: &str) -> Pin {
    Pin(at, Symbol::Text(text.to_owned()))
}

fn int(at: &'static str, value: i64) -> Pin {
    Pin(at, Symbol::Int(value))
}

fn count(at: &'static str, count: usize) -> Pin {
    Pin(at, Symbol::Count(count))
}

fn there(at: &'static str) -> Pin {
    Pin(at, Symbol::Present(true))
}

fn absent(at: &'static str) -> Pin {
    Pin(at, Symbol::Present(false))
}

/// What each world has called it, or else this text.
fn said(at: &'static str, word: &'static str, otherwise: &str) -> Pin {
    Pin(at, Symbol::Said(word, Box::new(Symbol::Text(otherwise.to_owned()))))
}

fn said_number(at: &'static str, word: &'static str, otherwise: i64) -> Pin {
    Pin(at, Symbol::Said(word, Box::new(Symbol::Int(otherwise))))
}

impl Round<'_> {
    /// Plays each conversation so many times.
    pub fn converse(&mut self, times: usize) {
        for _ in 0..times {
            let group = self.classic_group();
            self.play_steps(group);
            let group = self.consumer_group();
            self.play_steps(group);
            let group = self.share_group();
            self.play_steps(group);
            let transaction = self.transaction();
            self.play_steps(transaction);
            let session = self.fetch_session();
            self.play_steps(session);
            self.keeps_topics = true;
            let topic = self.topic();
            self.play_steps(topic);
            self.keeps_topics = false;
            self.tidy_topics();
        }
    }

    fn play_steps(&mut self, steps: Vec<Step>) {
        self.begin_conversation();
        let role = self.random.pick(&[Role::User, Role::User, Role::Owner]);
        for Step { key, pins, takes, until } in steps {
            let Some(row) = rows().iter().find(|row| row.key == key) else { continue };
            let versions = self.versions(row);
            if versions.is_empty() {
                continue;
            }
            let version = self.random.pick(&versions);
            let policy = Policy::Mostly(Standing::Granted);
            let symbols = request(
                (&mut self.random, &mut self.names),
                (key, version),
                (policy, Kind::Topic),
                &pins,
                self.other_topic,
            );
            self.play(&Case { line: Line { role, lane: 0 }, key, version, symbols, takes, until });
        }
        self.begin_conversation();
    }

    fn classic_group(&mut self) -> Vec<Step> {
        use ApiKey::*;
        let name = self.names.fresh("full");
        let group = [
            text("GroupId", &name),
            text("Key", &name),
            text("CoordinatorKeys", &name),
            count("CoordinatorKeys", 1),
            text("Groups", &name),
            count("Groups", 1),
            text("GroupsNames", &name),
            count("GroupsNames", 1),
            text("GroupIds", &name),
            count("GroupIds", 1),
            int("KeyType", 0),
            said("MemberId", "member", ""),
            said_number("GenerationId", "generation", 0),
            said_number("GenerationIdOrMemberEpoch", "generation", 0),
            absent("GroupInstanceId"),
            text("ProtocolType", "consumer"),
            there("ProtocolType"),
            text("ProtocolName", "range"),
            there("ProtocolName"),
            text("Protocols[].Name", "range"),
            count("Protocols", 1),
            int("SessionTimeoutMs", 60_000),
            int("RebalanceTimeoutMs", 5000),
        ];
        let join = || {
            step(JoinGroup, &group, vec![]).takes("member", "MemberId").takes("generation", "GenerationId")
        };
        let same = |key| step(key, &group, vec![]);
        vec![
            same(FindCoordinator),
            join(),
            // The first one may have got no more than a member id to join with.
            join(),
            step(SyncGroup, &group, vec![count("Assignments", 1)]),
            same(Heartbeat),
            same(OffsetCommit),
            step(OffsetFetch, &group, vec![absent("Groups[].MemberId"), int("MemberEpoch", -1)]),
            same(DescribeGroups),
            same(ConsumerGroupDescribe),
            step(ListGroups, &group, vec![count("StatesFilter", 0), count("TypesFilter", 0)]),
            same(OffsetDelete),
            same(DeleteGroups),
            step(LeaveGroup, &group, vec![count("Members", 1)]),
            same(Heartbeat),
            same(OffsetDelete),
            step(
                OffsetFetch,
                &group,
                vec![absent("Topics"), absent("Groups[].MemberId"), int("MemberEpoch", -1)],
            ),
            same(DeleteGroups),
            same(DescribeGroups),
        ]
    }

    fn consumer_group(&mut self) -> Vec<Step> {
        use ApiKey::*;
        let name = self.names.fresh("full");
        let topic = self.names.there(Kind::Topic);
        let group = [
            text("GroupId", &name),
            text("GroupIds", &name),
            count("GroupIds", 1),
            text("Groups", &name),
            count("Groups", 1),
            text("GroupsNames", &name),
            count("GroupsNames", 1),
            said("MemberId", "member", "member-of-these-rounds"),
            said_number("MemberEpoch", "epoch", 0),
            said_number("GenerationIdOrMemberEpoch", "epoch", 0),
            absent("InstanceId"),
            absent("GroupInstanceId"),
            absent("RackId"),
            text("ServerAssignor", "uniform"),
            int("RebalanceTimeoutMs", 5000),
        ];
        let beat = |more| step(ConsumerGroupHeartbeat, &group, more).takes("member", "MemberId");
        let joining = || {
            vec![
                there("SubscribedTopicNames"),
                count("SubscribedTopicNames", 2),
                text("SubscribedTopicNames", &topic),
                absent("SubscribedTopicRegex"),
                there("TopicPartitions"),
                count("TopicPartitions", 0),
            ]
        };
        let same = |key| step(key, &group, vec![]);
        vec![
            beat(joining()).takes("epoch", "MemberEpoch"),
            beat(vec![
                absent("SubscribedTopicNames"),
                absent("SubscribedTopicRegex"),
                absent("TopicPartitions"),
            ])
            .takes("epoch", "MemberEpoch"),
            same(ConsumerGroupDescribe),
            same(OffsetCommit),
            step(OffsetFetch, &group, vec![there("Groups[].MemberId")]),
            same(DescribeGroups),
            step(ListGroups, &group, vec![count("StatesFilter", 0), count("TypesFilter", 0)]),
            step(ConsumerGroupHeartbeat, &group, vec![int("MemberEpoch", -1)]),
            same(ConsumerGroupDescribe),
            same(DeleteGroups),
        ]
    }

    fn share_group(&mut self) -> Vec<Step> {
        use ApiKey::*;
        let name = self.names.fresh("full");
        let topic = self.names.there(Kind::Topic);
        let group = [
            text("GroupId", &name),
            there("GroupId"),
            text("GroupIds", &name),
            count("GroupIds", 1),
            text("GroupsNames", &name),
            count("GroupsNames", 1),
            count("Groups", 1),
            text("MemberId", "q83vEjRWeJCrze8SNFZ4kA"),
            there("MemberId"),
            absent("RackId"),
            text("SubscribedTopicNames", &topic),
            count("SubscribedTopicNames", 1),
            there("SubscribedTopicNames"),
            Pin("TopicId", Symbol::IdOf(topic.clone())),
            text("TopicName", &topic),
            count("Topics", 1),
            count("Partitions", 1),
            count("ForgottenTopicsData", 0),
            count("AcknowledgementBatches", 0),
            int("PartitionIndex", 0),
            int("IsRenewAck", 0),
        ];
        let same = |key| step(key, &group, vec![]);
        let fetch =
            |epoch| step(ShareFetch, &group, vec![int("ShareSessionEpoch", epoch), int("MinBytes", 0)]);
        vec![
            step(ShareGroupHeartbeat, &group, vec![int("MemberEpoch", 0)]).takes("epoch", "MemberEpoch"),
            // Before there is anything to assign, the group's state is written elsewhere.
            step(ShareGroupHeartbeat, &group, vec![said_number("MemberEpoch", "epoch", 1)])
                .takes("epoch", "MemberEpoch")
                .until("Assignment.TopicPartitions[]"),
            same(ShareGroupDescribe),
            fetch(0),
            fetch(1),
            step(ShareAcknowledge, &group, vec![int("ShareSessionEpoch", 2)]),
            step(ShareAcknowledge, &group, vec![int("ShareSessionEpoch", -1)]),
            step(DescribeShareGroupOffsets, &group, vec![there("Topics")]),
            step(ShareGroupHeartbeat, &group, vec![int("MemberEpoch", -1)]),
            same(AlterShareGroupOffsets),
            same(DescribeShareGroupOffsets),
            same(DeleteShareGroupOffsets),
            same(DeleteGroups),
        ]
    }

    fn transaction(&mut self) -> Vec<Step> {
        use ApiKey::*;
        let name = self.names.fresh("full");
        let (topic, group) = (self.names.there(Kind::Topic), self.names.there(Kind::Group));
        let producer = [
            text("TransactionalId", &name),
            there("TransactionalId"),
            text("V3AndBelowTransactionalId", &name),
            text("TransactionalIds", &name),
            count("TransactionalIds", 1),
            text("Key", &name),
            text("CoordinatorKeys", &name),
            count("CoordinatorKeys", 1),
            int("KeyType", 1),
            said_number("ProducerId", "producer id", -1),
            said_number("ProducerEpoch", "producer epoch", -1),
            said_number("V3AndBelowProducerId", "producer id", -1),
            said_number("V3AndBelowProducerEpoch", "producer epoch", -1),
            int("TransactionTimeoutMs", 60_000),
            int("Enable2Pc", 0),
            int("KeepPreparedTxn", 0),
            int("VerifyOnly", 0),
            count("Transactions", 1),
            text("GroupId", &group),
            text("MemberId", ""),
            absent("GroupInstanceId"),
            int("GenerationIdOrMemberEpoch", -1),
            text("V3AndBelowTopics[].Name", &topic),
            text("Transactions[].Topics[].Name", &topic),
            text("TopicData[].Name", &topic),
            text("Topics[].Name", &topic),
            text("Topics[].Topic", &topic),
            Pin("TopicId", Symbol::IdOf(topic.clone())),
            count("V3AndBelowTopics", 1),
            count("Topics", 1),
            count("TopicData", 1),
            count("PartitionData", 1),
            count("Partitions", 1),
            int("Partitions", 0),
            int("PartitionIndex", 0),
            int("PartitionIndexes", 0),
            int("Partition", 0),
            int("Index", 0),
            int("Acks", -1),
            int("FetchOffset", 0),
            int("CurrentLeaderEpoch", -1),
            int("IsolationLevel", 1),
            int("SessionId", 0),
            int("SessionEpoch", -1),
            int("ReplicaId", -1),
        ];
        let same = |key| step(key, &producer, vec![]);
        let init = |more| {
            step(InitProducerId, &producer, more)
                .takes("producer id", "ProducerId")
                .takes("producer epoch", "ProducerEpoch")
        };
        let write = |sequence| {
            let batch = Batch { records: 1, transactional: true, sequence: Some(sequence) };
            step(Produce, &producer, vec![Pin("Records", Symbol::Batch(batch))])
        };
        let commits = i64::from(self.random.percent(60));
        vec![
            same(FindCoordinator),
            init(vec![int("ProducerId", -1), int("ProducerEpoch", -1)]),
            same(AddPartitionsToTxn),
            write(0),
            write(1),
            same(AddOffsetsToTxn),
            same(TxnOffsetCommit),
            same(DescribeTransactions),
            step(ListTransactions, &producer, vec![count("StateFilters", 0), count("ProducerIdFilters", 0)]),
            same(DescribeProducers),
            same(ListOffsets),
            same(Fetch),
            step(EndTxn, &producer, vec![int("Committed", commits)])
                .takes("producer id", "ProducerId")
                .takes("producer epoch", "ProducerEpoch"),
            // The end is answered before it is written everywhere, and this is answered only after that.
            init(vec![]),
            same(OffsetFetch),
            same(Fetch),
            same(DescribeTransactions),
            same(EndTxn),
        ]
    }

    fn fetch_session(&mut self) -> Vec<Step> {
        let fetch = |epoch, more: Vec<Pin>| {
            let session = [
                said_number("SessionId", "session", 0),
                int("SessionEpoch", epoch),
                int("ReplicaId", -1),
                int("CurrentLeaderEpoch", -1),
                int("MaxBytes", 1 << 20),
            ];
            step(ApiKey::Fetch, &session, more)
        };
        vec![
            fetch(0, vec![count("ForgottenTopicsData", 0)]).takes("session", "SessionId"),
            fetch(1, vec![count("Topics", 0), count("ForgottenTopicsData", 0)]),
            fetch(2, vec![count("ForgottenTopicsData", 0)]),
            fetch(3, vec![count("Topics", 0), count("ForgottenTopicsData", 1)]),
            fetch(9, vec![count("Topics", 1)]),
            fetch(-1, vec![]),
        ]
    }

    fn topic(&mut self) -> Vec<Step> {
        use ApiKey::*;
        let name = self.names.fresh("full");
        let topic = [
            text("Topics[].Name", &name),
            text("Topics[].Topic", &name),
            text("TopicData[].Name", &name),
            text("TopicNames", &name),
            text("Resources[].ResourceName", &name),
            int("ResourceType", 2),
            Pin("TopicId", Symbol::IdOf(name.clone())),
            count("Topics", 1),
            count("TopicNames", 1),
            count("TopicData", 1),
            count("PartitionData", 1),
            count("Resources", 1),
            count("Configs", 1),
            text("Configs[].Name", "retention.ms"),
            text("Resources[].Configs[].Name", "retention.ms"),
            text("Resources[].Configs[].Value", "7200000"),
            there("Value"),
            there("Topics[].Name"),
            there("Topics"),
            int("ConfigOperation", 0),
            int("NumPartitions", 2),
            int("ReplicationFactor", 1),
            count("Assignments", 0),
            absent("Assignments"),
            int("Count", 3),
            int("validateOnly", 0),
            int("ValidateOnly", 0),
            int("Acks", -1),
            absent("TransactionalId"),
            int("Index", 0),
            int("PartitionIndex", 0),
            int("Partition", 0),
            int("Offset", 1),
            int("CurrentLeaderEpoch", -1),
            int("ReplicaId", -1),
            int("SessionId", 0),
            int("SessionEpoch", -1),
            absent("Cursor"),
        ];
        let same = |key| step(key, &topic, vec![]);
        // From version 6 on DeleteTopics goes by a name or by an id, and never by both.
        let nameless = vec![Pin("TopicId", Symbol::Uuid(uuid::Uuid::nil()))];
        vec![
            step(CreateTopics, &topic, vec![count("Configs", 0)]),
            step(Metadata, &topic, nameless.clone()),
            same(DescribeTopicPartitions),
            same(CreateTopics),
            same(CreatePartitions),
            step(Metadata, &topic, nameless.clone()),
            same(IncrementalAlterConfigs),
            same(DescribeConfigs),
            same(AlterConfigs),
            same(DescribeConfigs),
            same(Produce),
            same(Produce),
            same(ListOffsets),
            same(DeleteRecords),
            same(ListOffsets),
            same(Fetch),
            same(OffsetForLeaderEpoch),
            same(DescribeProducers),
            same(ElectLeaders),
            step(DeleteTopics, &topic, nameless.clone()),
            step(Metadata, &topic, nameless),
        ]
    }
}
