//! What becomes of a member's heartbeat, and how a group is described.

use super::*;
use crate::api::testing::{Dialogue, World, text};
use crate::names::Mode;
use crate::wire::messages::streams_group_describe_response::{
    Member, Subtopology as DescribedSubtopology, TopicInfo as DescribedTopicInfo,
};
use crate::wire::messages::streams_group_heartbeat_request::{
    CopartitionGroup, Endpoint, Subtopology, TopicInfo,
};
use crate::wire::messages::streams_group_heartbeat_response::{
    Endpoint as ToldEndpoint, EndpointToPartitions, TopicPartition,
};

const READS: (Operation, Resource, &str) = (Operation::Read, Resource::Group, "words");
const DESCRIBES: (Operation, Resource, &str) = (Operation::Describe, Resource::Topic, "words*");
const SEES_INPUT: (Operation, Resource, &str) = (Operation::Describe, Resource::Topic, "input");
const CREATES: (Operation, Resource, &str) = (Operation::Create, Resource::Topic, "words-*");

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn backend(topics: &[&str]) -> Vec<Backend<StrBytes>> {
    topics.iter().map(|topic| Backend::said_by_broker(text(topic))).collect()
}

/// A word count: sources, one repartition topic, one changelog.
fn topology(prefix: &str) -> Topology {
    let name = |topic: &str| TopicName(text(&format!("{prefix}{topic}")));
    let made = |topic: &str| TopicInfo::default().with_name(name(topic)).with_replication_factor(1);
    let reads = Subtopology::default()
        .with_subtopology_id(text("0"))
        .with_source_topics(vec![name("input")])
        .with_repartition_sink_topics(vec![name("words-by-word")]);
    let counts = Subtopology::default()
        .with_subtopology_id(text("1"))
        .with_repartition_source_topics(vec![made("words-by-word")])
        .with_state_changelog_topics(vec![made("words-counts")])
        .with_copartition_groups(vec![CopartitionGroup::default().with_source_topics(vec![0])]);
    Topology::default().with_epoch(1).with_subtopologies(vec![reads, counts])
}

fn joining(group: &str, topology: Topology) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest::default()
        .with_group_id(text(group).into())
        .with_member_id(text("m-1"))
        .with_topology(Some(topology))
        .with_user_endpoint(Some(Endpoint::default().with_host(text("app-1")).with_port(7_070)))
}

fn staying(group: &str, epoch: i32) -> StreamsGroupHeartbeatRequest {
    let request = StreamsGroupHeartbeatRequest::default().with_group_id(text(group).into());
    request.with_member_id(text("m-1")).with_member_epoch(epoch)
}

fn answer() -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse::default().with_member_id(text("m-1")).with_member_epoch(3)
}

fn world(rules: &[(Operation, Resource, &str)]) -> World {
    let mut world = World::allowing(rules);
    world.internal_topics = Some(Ok(None));
    world
}

fn talk(world: &mut World, request: &StreamsGroupHeartbeatRequest) -> Dialogue<StreamsGroupHeartbeat> {
    world.talk::<StreamsGroupHeartbeat>(0, request, &answer())
}

fn told(talk: &Dialogue<StreamsGroupHeartbeat>) -> (i8, &str) {
    let status = &talk.seen.status.as_ref().unwrap()[0];
    (status.status_code, &status.status_detail)
}

#[test]
fn a_member_joins_under_the_brokers_names_and_its_own_address() {
    let mut world = world(&[READS, DESCRIBES, SEES_INPUT, CREATES]);
    let talk = talk(&mut world, &joining("words", topology("")));
    assert_eq!(talk.sent(), &joining("my-words", topology("my-")));
    assert_eq!(talk.seen, answer());
}

#[test]
fn what_a_topology_may_not_name_refuses_the_whole_heartbeat() {
    let named = |topic: &str| {
        let mut topology = topology("");
        topology.subtopologies[1].state_changelog_topics[0].name = name(topic);
        joining("words", topology)
    };
    let mut by_pattern = topology("");
    by_pattern.subtopologies[0].source_topic_regex = vec![text("in.*")];
    // With the prefix it has the 249 characters that a topic may have.
    let long = format!("words-{}", "w".repeat(240));
    for (request, code) in [
        (joining("others", topology("")), 30),
        (joining("", topology("")), 30),
        (named("secret"), 29),
        (named("__consumer_offsets"), 130),
        (named(""), 130),
        (named(".."), 130),
        (named("words/counts"), 130),
        (named(&format!("{long}w")), 130),
        (joining("words", by_pattern), 42),
    ] {
        let talk = talk(&mut world(&[READS, DESCRIBES, SEES_INPUT, CREATES]), &request);
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, code), "{request:?}");
        assert_eq!(talk.seen.error_message.is_some(), matches!(code, 130 | 42), "{request:?}");
    }
    assert_eq!(talk(&mut world(&[READS, DESCRIBES, SEES_INPUT, CREATES]), &named(&long)).sent.len(), 1);
}

#[test]
fn who_may_make_topics_of_the_whole_cluster_is_not_asked_about() {
    let create = (Operation::Create, Resource::Cluster, "kafka-cluster");
    let mut world = World::allowing(&[READS, DESCRIBES, SEES_INPUT, create]);
    assert_eq!(talk(&mut world, &joining("words", topology(""))).sent.len(), 1);
    assert_eq!(talk(&mut world, &staying("words", 3)).sent(), &staying("my-words", 3));
}

#[test]
fn what_the_client_may_not_make_must_be_there() {
    let rules = [READS, DESCRIBES, SEES_INPUT];
    let all = ["my-input", "my-words-by-word", "my-words-counts"];
    for (there, status) in [
        (&all[..], None),
        (
            &all[..2],
            Some((
                3,
                "Internal topics are missing: words-counts; \
                 Unauthorized to CREATE on topics words-counts.",
            )),
        ),
        (
            &all[..1],
            Some((
                3,
                "Internal topics are missing: words-by-word, words-counts; \
                 Unauthorized to CREATE on topics words-by-word, words-counts.",
            )),
        ),
        (&["words-counts", "input"], Some((1, "Source topics input are missing."))),
    ] {
        let mut world = world(&rules);
        world.topics = Some(backend(there));
        let talk = talk(&mut world, &joining("words", topology("")));
        assert_eq!(talk.sent.len(), usize::from(status.is_none()), "{there:?}");
        if status.is_some() {
            assert_eq!(Some(told(&talk)), status);
            assert_eq!((talk.seen.error_code, talk.seen.member_epoch), (0, 0));
            assert_eq!(talk.seen.member_id.as_str(), "m-1");
            assert!(talk.seen.active_tasks.is_none() && talk.seen.heartbeat_interval_ms > 0);
            assert!(!talk.denials.is_empty());
        }
    }
}

#[test]
fn who_may_make_some_has_them_made_when_the_others_are_there() {
    let makes_one = (Operation::Create, Resource::Topic, "words-counts");
    let rules = [READS, DESCRIBES, SEES_INPUT, makes_one];
    for (there, sent) in [(&["my-input", "my-words-by-word"][..], 1), (&["my-input"], 0)] {
        let mut world = world(&rules);
        world.topics = Some(backend(there));
        assert_eq!(talk(&mut world, &joining("words", topology(""))).sent.len(), sent);
    }
}

#[test]
fn a_member_that_stays_is_held_to_what_its_group_makes() {
    for internal in [&["my-words-counts"][..], &["their-counts"], &["extra_topic"]] {
        for (there, sent) in [(internal, 1), (&[], 0)] {
            let mut world = World::allowing(&[READS, DESCRIBES]);
            world.internal_topics = Some(Ok(Some(backend(internal))));
            world.topics = Some(backend(there));
            let talk = talk(&mut world, &staying("words", 3));
            assert_eq!(talk.sent.len(), sent, "{internal:?}");
            if sent == 0 {
                assert_eq!((told(&talk).0, talk.seen.member_epoch), (3, 3));
                assert!(!told(&talk).1.contains("their") && !told(&talk).1.contains("my-"));
            }
        }
    }
}

#[test]
fn what_a_group_makes_is_asked_once_on_a_connection() {
    let mut world = World::allowing(&[READS, DESCRIBES, SEES_INPUT]);
    world.internal_topics = Some(Ok(Some(backend(&["my-words-counts"]))));
    world.topics = Some(backend(&["my-words-counts"]));
    assert_eq!(talk(&mut world, &staying("words", 3)).sent.len(), 1);
    world.internal_topics = None;
    assert_eq!(talk(&mut world, &staying("words", 3)).sent.len(), 1);
    world.topics = Some(Vec::new());
    assert_eq!(talk(&mut world, &staying("words", 3)).sent.len(), 0);
}

#[test]
fn what_a_group_makes_must_be_known_where_the_client_may_not_make_all() {
    for code in [-1, 14, 15, 16, 29, 30] {
        for request in [staying("words", 3), joining("words", topology(""))] {
            let mut world = World::allowing(&[READS, DESCRIBES, SEES_INPUT, CREATES]);
            world.internal_topics = Some(Err(code));
            let talk = talk(&mut world, &request);
            assert_eq!((talk.sent.len(), talk.seen.error_code), (0, code));
        }
    }
}

#[test]
fn a_name_outside_an_enforced_prefix_is_denied() {
    let rules =
        [READS, DESCRIBES, SEES_INPUT, CREATES].map(|(operation, resource, _)| (operation, resource, "*"));
    for (prefix, code) in [("my-", 0), ("their-", 29), ("", 29)] {
        let mut world = World::with(Mode::EnforcePrefix, &rules, &[]);
        world.internal_topics = Some(Ok(None));
        let talk = talk(&mut world, &joining("my-words", topology(prefix)));
        assert_eq!((talk.sent.len(), talk.seen.error_code), (usize::from(code == 0), code), "{prefix:?}");
    }
}

#[test]
fn who_leaves_is_not_held() {
    for epoch in [-1, -2] {
        let mut world = World::allowing(&[READS]);
        assert_eq!(talk(&mut world, &staying("words", epoch)).sent(), &staying("my-words", epoch));
    }
}

#[test]
fn what_the_broker_tells_a_member_names_what_it_knows() {
    let topic = |topic: &str| TopicPartition::default().with_topic(name(topic)).with_partitions(vec![0]);
    let endpoint = ToldEndpoint::default().with_host(text("app-2")).with_port(7_071);
    let told = |topics: &[&str]| {
        EndpointToPartitions::default()
            .with_user_endpoint(endpoint.clone())
            .with_active_partitions(topics.iter().map(|name| topic(name)).collect())
            .with_standby_partitions(topics.iter().map(|name| topic(name)).collect())
    };
    let status =
        |code, detail: &str| Status::default().with_status_code(code).with_status_detail(text(detail));
    let detail = "Internal topics are missing: my-words-counts; Creation failed.";
    let said = answer()
        .with_error_code(25)
        .with_error_message(Some(text("No member m-1 in my-words.")))
        .with_status(Some(vec![status(3, detail), status(77, detail)]))
        .with_partitions_by_user_endpoint(Some(vec![told(&["my-input", "their-input"])]));
    let mut world = World::allowing(&[READS]);
    world.internal_topics = Some(Ok(None));
    let talk = world.talk::<StreamsGroupHeartbeat>(0, &staying("words", 3), &said);
    assert_eq!(talk.seen.partitions_by_user_endpoint, Some(vec![told(&["input"])]));
    let statuses = vec![status(3, "One or more internal topics are missing."), status(77, "")];
    assert_eq!(talk.seen.status, Some(statuses));
    assert!(!talk.seen.error_message.unwrap_or_default().contains("my-"));
}

fn described(group: &str, topics: [&str; 4]) -> DescribedGroup {
    let made = |topic: &str| DescribedTopicInfo::default().with_name(name(topic));
    let part = DescribedSubtopology::default()
        .with_source_topics(vec![name(topics[0])])
        .with_repartition_sink_topics(vec![name(topics[1])])
        .with_repartition_source_topics(vec![made(topics[2])])
        .with_state_changelog_topics(vec![made(topics[3])]);
    DescribedGroup::default()
        .with_group_id(text(group).into())
        .with_group_state(text("Stable"))
        .with_topology(Some(DescribedTopology::default().with_subtopologies(Some(vec![part]))))
        .with_members(vec![Member::default().with_member_id(text("m-1"))])
}

fn describing(groups: &[&str]) -> StreamsGroupDescribeRequest {
    let groups = groups.iter().map(|group| text(group).into());
    StreamsGroupDescribeRequest::default().with_group_ids(groups.collect())
}

#[test]
fn a_group_is_described_by_the_names_that_the_client_knows() {
    let mut world = World::allowing(&[READS, DESCRIBES, SEES_INPUT]);
    let ours = ["my-input", "my-words-a", "my-words-a", "my-words-b"];
    let mut group = described("my-words", ours).with_authorized_operations(0x1148);
    group.members[0].client_host = text("/10.1.2.3");
    let said = StreamsGroupDescribeResponse::default().with_groups(vec![group]);
    let request = describing(&["words", "others", ""]).with_include_authorized_operations(true);
    let talk = world.talk::<StreamsGroupDescribe>(0, &request, &said);
    assert_eq!(talk.sent(), &describing(&["my-words"]));
    let group = described("words", ["input", "words-a", "words-a", "words-b"]);
    let refused =
        |group: &str, code| DescribedGroup::default().with_group_id(text(group).into()).with_error_code(code);
    let (read, describe) = (1 << 3, 1 << 8);
    let expected =
        [refused("others", 30), refused("", 30), group.with_authorized_operations(read | describe)];
    assert_eq!(talk.seen.groups, expected);
    assert_eq!(world.talk::<StreamsGroupDescribe>(0, &describing(&["others"]), &said).sent.len(), 0);
}

#[test]
fn who_may_not_know_of_one_topic_is_told_nothing_of_the_group() {
    for at in 0..4 {
        for other in ["my-secret", "their-input"] {
            let mut topics = ["my-input", "my-words-a", "my-words-a", "my-words-b"];
            topics[at] = other;
            let said = StreamsGroupDescribeResponse::default()
                .with_groups(vec![described("my-words", topics).with_authorized_operations(7)]);
            let mut world = World::allowing(&[READS, DESCRIBES, SEES_INPUT]);
            let talk = world.talk::<StreamsGroupDescribe>(0, &describing(&["words"]), &said);
            let expected = DescribedGroup::default()
                .with_group_id(text("words").into())
                .with_error_code(29)
                .with_error_message(Some(text(DENIED_INSIDE)));
            assert_eq!(talk.seen.groups, [expected], "{at} {other}");
        }
    }
}

#[test]
fn a_description_can_be_refused_whole() {
    let refused = StreamsGroupDescribe::refuse(describing(&["words"]), Refusal::InvalidRequest, 0);
    assert_eq!((refused.groups[0].group_id.as_str(), refused.groups[0].error_code), ("words", 42));
}
