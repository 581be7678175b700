//! Kafka Streams, in groups whose coordinator assigns tasks and makes topics (KIP-1071).

use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use sluicegate::wire::messages::streams_group_describe_response::DescribedGroup;
use sluicegate::wire::messages::streams_group_heartbeat_request::{
    Endpoint, StreamsGroupHeartbeatRequest, Subtopology, TopicInfo, Topology,
};
use sluicegate::wire::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;

use crate::direct::until;
use crate::support::client::Client;
use crate::support::clients::Tool::{JavaAdmin, JavaFlow, JavaStreams};
use crate::world::Way;

cases! {
    hazard_41_internal_topics_are_made_for_those_who_may_create_them
    hazard_39_an_applications_own_address_is_told_as_it_is
    a_streams_group_refuses_as_a_broker_does
    a_streams_group_is_described_to_those_who_may_know_all_of_it
    an_application_counts_words
}

fn hazard_41_internal_topics_are_made_for_those_who_may_create_them(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-in41 1 {brokers} -> ok");
    let (group, parts) = ("reader-41", ["readable-by41-repartition", "readable-counts41-changelog"]);
    let mut reader = member(way, "reader-app", group);
    let topology = counting("readable-in41", parts);
    let refused = until("the broker knows the topic", || {
        let answer = heartbeat(&mut reader, &joining(group, "m-1", topology.clone()));
        answer.status.iter().flatten().any(|status| status.status_code == INTERNAL_MISSING).then_some(answer)
    });
    assert_eq!(refused.error_code, 0, "{refused:?}");
    let told = refused.status.iter().flatten().find(|status| status.status_code == INTERNAL_MISSING).unwrap();
    for part in parts {
        assert!(told.status_detail.contains(part), "{told:?}");
    }
    assert!(told.status_detail.contains("Unauthorized to CREATE"), "{told:?}");
    assert!(refused.active_tasks.iter().flatten().all(|task| task.partitions.is_empty()), "{refused:?}");

    // Whoever may create has them made; and had the others been asked for, they would be there by then.
    let (other, made) = ("producer-41", ["readable-by41p-repartition", "readable-counts41p-changelog"]);
    let mut producer = member(way, "producer-app", other);
    heartbeat(&mut producer, &joining(other, "m-1", counting("readable-in41", made)));
    until("the topics are made", || made.iter().all(|topic| is_there(&mut producer, topic)).then_some(()));
    heartbeat(&mut reader, &joining(group, "m-1", topology.clone()));
    assert_eq!(parts.map(|topic| is_there(&mut producer, topic)), [false, false]);

    // Once somebody has made them, the member comes in.
    for part in parts {
        way.check(JavaAdmin, "admin-app", &format!("create {part} 1 {{brokers}} -> ok"));
    }
    let tasks = until("the member has its tasks", || {
        let answer = heartbeat(&mut reader, &joining(group, "m-1", topology.clone()));
        answer.active_tasks.filter(|tasks| tasks.len() == 2)
    });
    assert_eq!(tasks.iter().map(|task| task.partitions.as_slice()).collect::<Vec<_>>(), [[0], [0]]);
}

fn hazard_39_an_applications_own_address_is_told_as_it_is(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-in39 1 {brokers} -> ok");
    let (group, parts) = ("app-39", ["app-39-by-repartition", "app-39-counts-changelog"]);
    let mut client = member(way, "producer-app", group);
    let endpoint = Endpoint::default().with_host(text("app.example")).with_port(7_070);
    let join = joining(group, "m-1", counting("readable-in39", parts)).with_user_endpoint(Some(endpoint));
    let told = until("the member is told of itself", || {
        let answer = heartbeat(&mut client, &join);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer
            .partitions_by_user_endpoint
            .filter(|told| told.iter().any(|member| !member.active_partitions.is_empty()))
    });
    assert_eq!((told[0].user_endpoint.host.as_str(), told[0].user_endpoint.port), ("app.example", 7_070));
    let mut topics: Vec<_> = told[0].active_partitions.iter().map(|topic| topic.topic.to_string()).collect();
    topics.sort();
    assert_eq!(topics, [parts[0], "readable-in39"]);
}

fn a_streams_group_refuses_as_a_broker_does(way: &Way<'_>) {
    let mut client = member(way, "reader-app", "reader-no");
    let right = ["readable-a", "readable-b"];
    let mut by_pattern = counting("readable-in", right);
    by_pattern.subtopologies[0].source_topic_regex = vec![text("readable-.*")];
    for (request, code) in [
        (joining("other-no", "m-1", counting("readable-in", right)), 30),
        (joining("reader-no", "m-1", counting("hidden-in", right)), 29),
        (joining("reader-no", "m-1", counting("readable-in", ["hidden-a", "readable-b"])), 29),
        (joining("reader-no", "m-1", counting("readable-in", ["readable-a", "hidden-b"])), 29),
        (joining("reader-no", "m-1", counting("__consumer_offsets", right)), 130),
        (joining("reader-no", "m-1", counting("readable/in", right)), 130),
        (joining("reader-no", "m-1", by_pattern), 42),
        (staying("other-no", "m-1", 3), 30),
        (staying("reader-no", "m-1", 3), 69),
    ] {
        let answer = heartbeat(&mut client, &request);
        assert_eq!(answer.error_code, code, "{request:?} {answer:?}");
    }
    let answer = heartbeat(&mut client, &joining("reader-no", "m-1", counting("readable-gone", right)));
    let statuses: Vec<_> = answer.status.iter().flatten().map(|status| status.status_code).collect();
    assert_eq!((answer.error_code, statuses.contains(&SOURCES_MISSING)), (0, true), "{answer:?}");
}

fn a_streams_group_is_described_to_those_who_may_know_all_of_it(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-indesc 1 {brokers} -> ok
         create hidden-indesc 1 {brokers} -> ok",
    );
    for (source, known) in [("readable-indesc", 0), ("hidden-indesc", 29)] {
        let group = format!("reader-desc-{source}");
        let parts = [format!("readable-by-{source}"), format!("readable-counts-{source}")];
        let parts = [parts[0].as_str(), parts[1].as_str()];
        let mut producer = member(way, "producer-app", &group);
        until("the member is in", || {
            let answer = heartbeat(&mut producer, &joining(&group, "m-1", counting(source, parts)));
            (answer.error_code == 0 && answer.status.iter().flatten().count() == 0).then_some(())
        });
        let full = describe(&mut producer, &group);
        assert_eq!((full.error_code, full.members.len()), (0, 1), "{full:?}");
        let topology = full.topology.as_ref().and_then(|topology| topology.subtopologies.as_ref()).unwrap();
        assert_eq!(topology[0].source_topics, [name(source)]);
        assert_eq!(topology[0].repartition_sink_topics, [name(parts[0])]);
        assert_eq!(topology[1].repartition_source_topics[0].name, name(parts[0]));
        assert_eq!(topology[1].state_changelog_topics[0].name, name(parts[1]));

        let mut reader = member(way, "reader-app", &group);
        let seen = describe(&mut reader, &group);
        assert_eq!(seen.error_code, known, "{seen:?}");
        assert_eq!(seen.topology.is_some(), known == 0);
        assert_eq!(seen.members.len(), usize::from(known == 0));
        let (read, describes) = (1 << 3, 1 << 8);
        let operations = if known == 0 { read | describes } else { i32::MIN };
        assert_eq!(seen.authorized_operations, operations);
        let mut stranger = member(way, "mover-app", &group);
        assert_eq!(describe(&mut stranger, &group).error_code, 30);
    }
}

/// By another key than the records have: there is a repartition topic, and a changelog.
fn an_application_counts_words(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create words-in 2 {brokers} -> ok
         create words-out 1 {brokers} -> ok",
    );
    way.check(JavaFlow, "producer-app", "produce words-in one_two two -> ok");
    let mut application = way.converse(JavaStreams, "admin-app");
    assert_eq!(application.say("count words words-in words-out app.example:7070"), "ok RUNNING");
    assert_eq!(
        application.say("describe words"),
        "ok Stable 1 words-by-word-repartition words-counts-changelog words-in"
    );
    assert_eq!(application.say("servers"), "ok app.example:7070 [counts]");
    way.check(JavaFlow, "producer-app", "produce words-in two -> ok");
    let mut reader = way.converse(JavaFlow, "producer-app");
    assert_eq!(reader.say("assign - words-out:1"), "ok");
    assert_eq!(reader.say("poll-for two=3"), "ok");
    assert_eq!(application.say("close"), "ok true");
}

/// A connection of this client to the coordinator of a group.
fn member(way: &Way<'_>, client: &str, group: &str) -> Client {
    let mut first = way.log_in("admin-app");
    let request = FindCoordinatorRequest::default().with_key(text(group));
    let port = until("the group has a coordinator", || {
        let answer = first.ask(3, &request);
        (answer.error_code == 0).then_some(answer.port)
    });
    way.log_in_at(client, u16::try_from(port).expect("a port"))
}

/// A topology that counts by another key: one repartition topic, one changelog.
fn counting(source: &str, [by, counts]: [&str; 2]) -> Topology {
    let reads = Subtopology::default()
        .with_subtopology_id(text("0"))
        .with_source_topics(vec![name(source)])
        .with_repartition_sink_topics(vec![name(by)]);
    let made = |topic: &str| TopicInfo::default().with_name(name(topic)).with_replication_factor(1);
    let counts = Subtopology::default()
        .with_subtopology_id(text("1"))
        .with_repartition_source_topics(vec![made(by)])
        .with_state_changelog_topics(vec![made(counts)]);
    Topology::default().with_subtopologies(vec![reads, counts])
}

fn joining(group: &str, id: &str, topology: Topology) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(id))
        .with_rebalance_timeout_ms(30_000)
        .with_topology(Some(topology))
        .with_process_id(Some(text(id)))
        .with_client_tags(Some(Vec::new()))
        .with_active_tasks(Some(Vec::new()))
        .with_standby_tasks(Some(Vec::new()))
        .with_warmup_tasks(Some(Vec::new()))
}

fn staying(group: &str, id: &str, epoch: i32) -> StreamsGroupHeartbeatRequest {
    let request = StreamsGroupHeartbeatRequest::default().with_group_id(GroupId(text(group)));
    request.with_member_id(text(id)).with_member_epoch(epoch)
}

/// Says it until the coordinator is there to listen.
fn heartbeat(client: &mut Client, request: &StreamsGroupHeartbeatRequest) -> StreamsGroupHeartbeatResponse {
    until("the coordinator is ready", || {
        Some(client.ask(0, request)).filter(|answer| !NOT_READY.contains(&answer.error_code))
    })
}

fn describe(client: &mut Client, group: &str) -> DescribedGroup {
    let request = StreamsGroupDescribeRequest::default()
        .with_group_ids(vec![GroupId(text(group))])
        .with_include_authorized_operations(true);
    client.ask(0, &request).groups.remove(0)
}

fn is_there(client: &mut Client, topic: &str) -> bool {
    let asked = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
        .with_name(Some(name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    let request = request.with_allow_auto_topic_creation(false);
    client.ask(9, &request).topics[0].error_code == 0
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

const SOURCES_MISSING: i8 = 1;
const INTERNAL_MISSING: i8 = 3;
/// The codes of a coordinator that loads its group, or is another.
const NOT_READY: [i16; 3] = [14, 15, 16];
