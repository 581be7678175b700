//! A coordinator makes topics for applications: only for those who may create them (KIP-1071).

use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{GroupId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::ApiKey::{self, Metadata, StreamsGroupDescribe, StreamsGroupHeartbeat};
use sluicegate::wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use sluicegate::wire::messages::streams_group_describe_response::{
    DescribedGroup, StreamsGroupDescribeResponse, Subtopology as DescribedSubtopology,
    TopicInfo as DescribedTopicInfo, Topology as DescribedTopology,
};
use sluicegate::wire::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, Subtopology, TopicInfo, Topology,
};
use sluicegate::wire::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;

use crate::support::client::Client;
use crate::support::setup::{Policy, rule};
use crate::support::stage::Stage;

/// A client that reads and describes all, and creates what begins with `made-`; the broker's group makes this topic.
fn stage(of_group: Option<&'static str>) -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        let rules = [
            rule("allow", "topic", "describe", "*"),
            rule("allow", "topic", "create", "made-*"),
            rule("allow", "group", "read", "*"),
        ];
        setup.tenant().policies = vec![Policy::new("all", None, &rules)];
    });
    stage.broker().has_topics(&["my-input"]);
    stage.broker().on::<StreamsGroupHeartbeatRequest>(|request| {
        StreamsGroupHeartbeatResponse::default()
            .with_member_id(request.member_id.clone())
            .with_member_epoch(7)
    });
    stage.broker().on::<StreamsGroupDescribeRequest>(move |request| {
        let group = DescribedGroup::default().with_group_id(request.group_ids[0].clone());
        let group = match of_group {
            None => group.with_error_code(69),
            Some(topic) => {
                let made = DescribedTopicInfo::default().with_name(name(topic));
                let part = DescribedSubtopology::default().with_state_changelog_topics(vec![made]);
                group.with_topology(Some(DescribedTopology::default().with_subtopologies(Some(vec![part]))))
            }
        };
        StreamsGroupDescribeResponse::default().with_groups(vec![group])
    });
    stage
}

fn heartbeat(epoch: i32, makes: Option<&str>) -> StreamsGroupHeartbeatRequest {
    let topology = makes.map(|topic| {
        let made = TopicInfo::default().with_name(name(topic));
        let part = Subtopology::default()
            .with_source_topics(vec![name("input")])
            .with_state_changelog_topics(vec![made]);
        Topology::default().with_subtopologies(vec![part])
    });
    StreamsGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("app")))
        .with_member_id(text("m-1"))
        .with_member_epoch(epoch)
        .with_topology(topology)
}

/// The status that the client is told, and which requests went to the broker for it.
fn say(
    stage: &Stage,
    client: &mut Client,
    request: &StreamsGroupHeartbeatRequest,
) -> (Option<i8>, Vec<ApiKey>) {
    let before = stage.broker().keys_asked().len();
    let answer = client.ask(0, request);
    assert_eq!((answer.error_code, answer.member_id.as_str()), (0, "m-1"));
    let status = answer.status.iter().flatten().next().map(|status| status.status_code);
    assert_eq!(answer.member_epoch, if status.is_some() { request.member_epoch } else { 7 });
    let keys = stage.broker().keys_asked().split_off(before).into_iter();
    (status, keys.map(|key| ApiKey::try_from(key).unwrap()).collect())
}

#[test]
fn hazard_41_what_a_member_may_not_create_is_made_by_nobody() {
    let stage = stage(None);
    let mut client = stage.log_in("alice");
    let missing = (Some(3), vec![StreamsGroupDescribe, Metadata]);
    assert_eq!(say(&stage, &mut client, &heartbeat(0, Some("counts"))), missing);
    let asked = stage.broker().asked().pop().unwrap().request::<MetadataRequest>();
    assert!(!asked.allow_auto_topic_creation);
    let names: Vec<_> = asked.topics.iter().flatten().filter_map(|topic| topic.name.clone()).collect();
    assert_eq!(names, [name("my-counts"), name("my-input")]);
    stage.expect_audit("the refusal", |line| {
        line["name"] == "counts" && line["operation"] == "create" && line["api"] == "StreamsGroupHeartbeat"
    });
    stage.broker().has_topics(&["my-input", "my-counts"]);
    let passes = (None, vec![StreamsGroupDescribe, Metadata, StreamsGroupHeartbeat]);
    assert_eq!(say(&stage, &mut client, &heartbeat(0, Some("counts"))), passes);
    // What it makes is known now, and looked for with each heartbeat.
    let stays = (None, vec![Metadata, StreamsGroupHeartbeat]);
    assert_eq!(say(&stage, &mut client, &heartbeat(7, None)), stays);
    stage.broker().on::<MetadataRequest>(|request| {
        let gone =
            request.topics.iter().flatten().map(|topic| {
                MetadataResponseTopic::default().with_name(topic.name.clone()).with_error_code(3)
            });
        MetadataResponse::default().with_topics(gone.collect())
    });
    assert_eq!(say(&stage, &mut client, &heartbeat(7, None)), (Some(3), vec![Metadata]));
    assert_eq!(say(&stage, &mut client, &heartbeat(-1, None)), (None, vec![StreamsGroupHeartbeat]));
}

#[test]
fn hazard_41_a_new_connection_is_held_to_what_its_group_makes() {
    for topic in ["my-counts", "red-counts"] {
        let stage = stage(Some(topic));
        for makes in [None, Some("made-counts")] {
            let mut client = stage.log_in("alice");
            let missing = (Some(3), vec![StreamsGroupDescribe, Metadata]);
            assert_eq!(say(&stage, &mut client, &heartbeat(5, makes)), missing);
        }
    }
}

#[test]
fn hazard_41_what_a_group_makes_must_be_known() {
    let stage = stage(None);
    let mut client = stage.log_in("alice");
    for code in [15, 30, -1] {
        stage.broker().on::<StreamsGroupDescribeRequest>(move |request| {
            let group = DescribedGroup::default().with_group_id(request.group_ids[0].clone());
            StreamsGroupDescribeResponse::default().with_groups(vec![group.with_error_code(code)])
        });
        assert_eq!(client.ask(0, &heartbeat(5, None)).error_code, code);
    }
    assert_eq!(stage.broker().keys_asked(), [StreamsGroupDescribe as i16; 3]);
}

#[test]
fn who_may_create_what_is_made_has_it_made_by_the_broker() {
    for (of_group, makes) in [(None, Some("made-counts")), (Some("my-made-counts"), None)] {
        let stage = stage(of_group);
        let mut client = stage.log_in("alice");
        let passes = (None, vec![StreamsGroupDescribe, StreamsGroupHeartbeat]);
        assert_eq!(say(&stage, &mut client, &heartbeat(0, makes)), passes);
        assert_eq!(say(&stage, &mut client, &heartbeat(7, None)), (None, vec![StreamsGroupHeartbeat]));
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}
