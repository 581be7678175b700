//! Two tenants over one Kafka: each sees what is its own, under its own names, and nothing else.
//!
//! Tenant `red` hides its prefix, tenant `blue` shows it. The broker is indiscreet: it tells whoever asks of
//! everybody's things, of its own address, and quotes names wherever a text may stand.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::fetch_request::ReplicaState;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use sluicegate::wire::ApiKey;
use sluicegate::wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use sluicegate::wire::messages::describe_log_dirs_response::{DescribeLogDirsResult, DescribeLogDirsTopic};
use sluicegate::wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use sluicegate::wire::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeShareGroupOffsetsRequest, ListOffsetsRequest,
    OffsetCommitRequest, OffsetFetchRequest, ShareAcknowledgeRequest, ShareFetchRequest,
};
use uuid::Uuid;

use super::families::{
    About, BACKEND_HOST, GROUP, Manner, for_each_of_groups, for_each_of_topics, group, script, text, topic,
};
use super::wary::Wary;
use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::process::{ConfigFile, Gateway, sluicegate};
use crate::support::setup::{Setup, Tenant};
use crate::support::stage::{Stage, token};

const HIDDEN: &str = "{mode: hide_prefix, prefix: \"red-\"}";
/// The group of those questions that are about topics is shown to it as an additional one.
const SHOWN: &str = "{mode: enforce_prefix, prefix: \"blue-\", additional: {consumer_groups: [{type: exact_list, \
                     exact_list: [{backend: app}]}]}}";

/// Words that no byte to `red` may hold: also its own prefix is none of its business.
const NOT_FOR_RED: &[&str] =
    &["red-", "blue-", "stranger", "__consumer_offsets", BACKEND_HOST, "backend-cluster"];
const NOT_FOR_BLUE: &[&str] = &["red-", "stranger", "__consumer_offsets", BACKEND_HOST, "backend-cluster"];

/// Where clients are sent, as these tests' gateway calls itself.
const ADVERTISED: &str = "advertised_host: gateway.example, min_broker_id: 1";

fn red_and_blue(setup: &mut Setup, jwks: &str) {
    let mut red = Tenant::new("red", "red-", jwks);
    let mut blue = Tenant::new("blue", "blue-", jwks);
    (red.namespace, blue.namespace) = (HIDDEN.to_owned(), SHOWN.to_owned());
    (red.mapping, blue.mapping) = (ADVERTISED.to_owned(), ADVERTISED.to_owned());
    setup.tenants = vec![red, blue];
}

fn only_red(namespace: &str) -> impl FnOnce(&mut Setup, &str) {
    move |setup, _| {
        setup.tenant().name = "red".to_owned();
        setup.tenant().namespace = namespace.to_owned();
        setup.tenant().mapping = ADVERTISED.to_owned();
    }
}

fn red(stage: &Stage) -> Wary {
    Wary::of(log_in(stage, 0), NOT_FOR_RED)
}

fn blue(stage: &Stage) -> Wary {
    Wary::of(log_in(stage, 1), NOT_FOR_BLUE)
}

fn log_in(stage: &Stage, tenant: usize) -> Client {
    stage.log_in_at(stage.setup.tenants[tenant].port, &token("alice"))
}

/// What the last request of a client asked the broker.
fn last<R: Request>(broker: &Broker) -> R {
    broker.asked().last().expect("something was asked").request::<R>()
}

fn nodes(broker: &Broker) -> Vec<(i32, u16)> {
    vec![(broker.node_id(), broker.port())]
}

/// Asks about one thing in every version, and is told of that one alone, by its own name.
fn sees_its_own<R: About>(stage: &Stage, client: &mut Wary, name: &str, on_backend: &str) {
    let neighbours = ["stranger", "__consumer_offsets", "red-", "purple-red-x"];
    let others =
        if on_backend.starts_with("red-") { ["blue-orders", "blue-"] } else { ["red-orders", "red"] };
    let neighbours = neighbours.iter().chain(&others).map(|name| (*name).to_owned());
    let quiet = Manner { nodes: nodes(stage.broker()), ..Manner::default() };
    let says = format!("{on_backend} of stranger on {BACKEND_HOST} stands beside blue-x and red-x");
    let indiscreet = Manner { neighbours: neighbours.collect(), says: Some(says), ..quiet.clone() };
    let failing = Manner { code: 36, ..indiscreet.clone() };
    for version in R::SERVED {
        for manner in [&quiet, &indiscreet, &failing] {
            script::<R>(stage.broker(), manner);
            let prefix = on_backend.strip_suffix(name).expect("a prefix stands before a name");
            let response = client.ask(version, &R::behind(prefix, &[name], version));
            let asked = last::<R>(stage.broker()).names();
            assert_eq!(asked, [on_backend], "key {} version {version}", R::KEY);
            let told = R::codes(&response);
            let shown = if told[0].0.is_empty() { "" } else { name };
            assert_eq!(told, [(shown.to_owned(), manner.code)], "key {} version {version}", R::KEY);
        }
    }
}

macro_rules! each_sees_its_own {
    ($($request:ident)+) => {
        |stage: &Stage, client: &mut Wary, name: &str, on_backend: &str| {
            $(sees_its_own::<$request>(stage, client, name, on_backend);)+
        }
    };
}

#[test]
fn no_answer_about_topics_tells_of_a_neighbour_or_of_a_broker() {
    let stage = Stage::start_with(1, red_and_blue);
    let each = for_each_of_topics!(each_sees_its_own);
    each(&stage, &mut red(&stage), "orders", "red-orders");
    each(&stage, &mut blue(&stage), "blue-orders", "blue-orders");
    // Typed by hand, a prefix is a part of the name like any other.
    each(&stage, &mut Wary::of(log_in(&stage, 0), &["stranger"]), "red-orders", "red-red-orders");
    each(&stage, &mut Wary::of(log_in(&stage, 0), &["stranger"]), "blue-orders", "red-blue-orders");
}

#[test]
fn hazard_25_whoever_names_no_topic_is_told_of_no_strangers_on_a_disk() {
    let stage = Stage::start_with(1, red_and_blue);
    stage.broker().on::<DescribeLogDirsRequest>(|_| {
        let topics = ["red-orders", "stranger", "blue-orders", "__consumer_offsets"];
        let topics = topics.map(|name| DescribeLogDirsTopic::default().with_name(topic(name)));
        let disk = |path: &str, topics: &[DescribeLogDirsTopic]| {
            DescribeLogDirsResult::default().with_log_dir(text(path)).with_topics(topics.to_vec())
        };
        let results = vec![disk("/disks/stranger", &topics[1..]), disk("/disks/red-and-blue", &topics)];
        DescribeLogDirsResponse::default().with_results(results)
    });
    let mut client = red(&stage);
    let orders = DescribableLogDirTopic::default().with_topic(topic("orders"));
    for asked in [None, Some(Vec::new()), Some(vec![orders])] {
        for version in 1..=5 {
            let request = DescribeLogDirsRequest::default().with_topics(asked.clone());
            let answer = client.ask(version, &request);
            let told: Vec<_> =
                answer.results.iter().map(|disk| (disk.log_dir.as_str(), strings(disk))).collect();
            assert_eq!(told, [("/disk-1", vec!["orders".to_owned()]), ("/disk-2", vec![])]);
            let sent = last::<DescribeLogDirsRequest>(stage.broker()).topics;
            let sent = sent.map(|topics| topics.iter().map(|one| one.topic.to_string()).collect::<Vec<_>>());
            let expected = asked.as_ref().map(|topics| vec!["red-orders".to_owned(); topics.len()]);
            assert_eq!(sent, expected, "{version}");
        }
    }
}

fn strings(disk: &DescribeLogDirsResult) -> Vec<String> {
    disk.topics.iter().map(|topic| topic.name.to_string()).collect()
}

#[test]
fn whoever_names_no_topic_is_shown_page_by_page_what_is_its_own() {
    let stage = Stage::start_with(1, red_and_blue);
    let there = ["stranger", "red-orders", "blue-orders", "__consumer_offsets", "red-bills", "red-"];
    script::<MetadataRequest>(
        stage.broker(),
        &Manner { neighbours: there.map(str::to_owned).to_vec(), ..Manner::default() },
    );
    script::<DescribeTopicPartitionsRequest>(
        stage.broker(),
        &Manner { nodes: nodes(stage.broker()), ..Manner::default() },
    );
    let mut client = red(&stage);
    let mut request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(1);
    for (expected, next) in [("bills", Some("orders")), ("orders", None)] {
        let answer = client.ask(0, &request);
        assert_eq!(DescribeTopicPartitionsRequest::codes(&answer), [(expected.to_owned(), 0)]);
        assert_eq!(answer.topics[0].partitions[0].leader_id, stage.broker().node_id());
        assert!(!answer.topics[0].is_internal);
        let sent = last::<DescribeTopicPartitionsRequest>(stage.broker()).names();
        assert_eq!(sent, [format!("red-{expected}")]);
        assert_eq!(answer.next_cursor.as_ref().map(|cursor| cursor.topic_name.as_str()), next);
        request.cursor = answer.next_cursor.map(|cursor| {
            describe_topic_partitions_request::Cursor::default().with_topic_name(cursor.topic_name)
        });
    }
}

#[test]
fn no_answer_about_groups_tells_of_a_neighbour_or_of_a_broker() {
    let stage = Stage::start_with(1, red_and_blue);
    let each = for_each_of_groups!(each_sees_its_own);
    each(&stage, &mut red(&stage), "app", "red-app");
    each(&stage, &mut blue(&stage), "blue-app", "blue-app");
}

#[test]
fn transactional_ids_are_each_tenant_s_own() {
    let stage = Stage::start_with(1, red_and_blue);
    let quiet = Manner { nodes: nodes(stage.broker()), ..Manner::default() };
    script::<FindCoordinatorRequest>(stage.broker(), &quiet);
    script::<ProduceRequest>(stage.broker(), &quiet);
    stage.broker().on::<InitProducerIdRequest>(|_| InitProducerIdResponse::default());
    for (mut client, id, on_backend) in
        [(red(&stage), "mover", "red-mover"), (blue(&stage), "blue-mover", "blue-mover")]
    {
        for version in 0..=5 {
            let request =
                InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text(id))));
            client.ask(version, &request);
            let asked = last::<InitProducerIdRequest>(stage.broker()).transactional_id;
            assert_eq!(asked.as_deref().map(StrBytes::as_str), Some(on_backend));
        }
        for version in 1..=6 {
            let request = FindCoordinatorRequest::about(&[id], version).with_key_type(1);
            let found = client.ask(version, &request);
            assert_eq!(last::<FindCoordinatorRequest>(stage.broker()).names(), [on_backend]);
            assert_eq!(FindCoordinatorRequest::codes(&found)[0].1, 0);
        }
        for version in 3..=12 {
            let name = if id == "mover" { "orders" } else { "blue-orders" };
            let request = ProduceRequest::about(&[name], version)
                .with_transactional_id(Some(TransactionalId(text(id))));
            client.ask(version, &request);
            let asked = last::<ProduceRequest>(stage.broker()).transactional_id;
            assert_eq!(asked.as_deref().map(StrBytes::as_str), Some(on_backend));
        }
    }
}

#[test]
fn hazard_23_all_topics_are_one_s_own_and_none_is_internal() {
    let stage = Stage::start_with(1, red_and_blue);
    let all = ["red-orders", "red-b", "blue-orders", "stranger", "__consumer_offsets", "orders", "red-"];
    let neighbours = all.map(str::to_owned).to_vec();
    let manner = Manner { neighbours, nodes: nodes(stage.broker()), ..Manner::default() };
    script::<MetadataRequest>(stage.broker(), &manner);
    let (mut red, mut blue) = (red(&stage), blue(&stage));
    for version in 0..=13 {
        // In version 0 none named means all.
        let request = MetadataRequest::default().with_topics((version == 0).then(Vec::new));
        for (client, own) in [(&mut red, &[("orders", 0), ("b", 0)][..]), (&mut blue, &[("blue-orders", 0)])]
        {
            let answer = client.ask(version, &request);
            let own: Vec<_> = own.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect();
            assert_eq!(MetadataRequest::codes(&answer), own, "version {version}");
            assert!(answer.topics.iter().all(|topic| !topic.is_internal));
        }
    }
    // By its name an internal topic is not there, and the broker is not asked.
    let before = stage.broker().expect(ApiKey::Metadata, 28).len();
    script::<MetadataRequest>(stage.broker(), &Manner { nodes: nodes(stage.broker()), ..Manner::default() });
    let mut anybody = Wary::of(red.client, &[]);
    let answer = anybody.ask(13, &MetadataRequest::about(&["__consumer_offsets"], 13));
    assert_eq!(MetadataRequest::codes(&answer), [("__consumer_offsets".to_owned(), 3)]);
    let asked = stage.broker().expect(ApiKey::Metadata, before + 1).pop().expect("it came");
    assert!(asked.request::<MetadataRequest>().names().is_empty());
}

#[test]
fn all_groups_are_one_s_own() {
    let stage = Stage::start_with(1, red_and_blue);
    stage.broker().on::<ListGroupsRequest>(|_| {
        let listed = ["red-app", "blue-app", "stranger", "red-", "ap"];
        let listed = listed.map(|id| ListedGroup::default().with_group_id(group(id)));
        ListGroupsResponse::default().with_groups(listed.to_vec())
    });
    for (mut client, own) in [(red(&stage), "app"), (blue(&stage), "blue-app")] {
        for version in 0..=5 {
            let answer = client.ask(version, &ListGroupsRequest::default());
            let seen: Vec<_> = answer.groups.iter().map(|group| group.group_id.as_str()).collect();
            assert_eq!(seen, [own], "version {version}");
        }
    }
}

#[test]
fn hazard_34_offsets_of_all_topics_are_those_of_one_s_own() {
    let stage = Stage::start_with(1, red_and_blue);
    let neighbours = ["red-orders", "blue-orders", "stranger"].map(str::to_owned).to_vec();
    script::<OffsetFetchRequest>(stage.broker(), &Manner { neighbours, ..Manner::default() });
    for (mut client, id, own) in [(red(&stage), GROUP, "orders"), (blue(&stage), "blue-app", "blue-orders")] {
        for version in 2..=9 {
            let request = if version < 8 {
                OffsetFetchRequest::default().with_group_id(group(id)).with_topics(None)
            } else {
                let of_group = OffsetFetchRequestGroup::default().with_group_id(group(id)).with_topics(None);
                OffsetFetchRequest::default().with_groups(vec![of_group])
            };
            let answer = client.ask(version, &request);
            assert_eq!(OffsetFetchRequest::codes(&answer), [(own.to_owned(), 0)], "version {version}");
        }
    }
}

#[test]
fn outside_its_prefix_an_enforced_tenant_has_no_rights() {
    let stage = Stage::start_with(1, red_and_blue);
    let mut blue = Wary::of(log_in(&stage, 1), &[BACKEND_HOST]);
    let told = |code: i16| vec![("red-orders".to_owned(), code)];
    // What reaches for a neighbour's names is told to who watches over them.
    let noted = |api: &'static str, name: &str| {
        let line = stage.expect_audit(api, |line| line["api"] == api);
        assert_eq!(line["name"], name);
        assert_eq!(line["policy_rule"], "the name lies outside the virtual cluster");
        let metric = format!("sluicegate_refusals_total{{virtual_cluster=\"blue\",api=\"{api}\"");
        let shown = stage.gateway.admin("/metrics").expect("the admin port answers").1;
        assert!(shown.lines().any(|shown| shown.starts_with(&metric) && shown.ends_with(" 1")), "{shown}");
    };
    let answer = blue.ask(9, &ProduceRequest::about(&["red-orders"], 9));
    assert_eq!(ProduceRequest::codes(&answer), told(29));
    let answer = blue.ask(7, &CreateTopicsRequest::about(&["red-orders"], 7));
    assert_eq!(CreateTopicsRequest::codes(&answer), told(17));
    let answer = blue.ask(5, &DeleteTopicsRequest::about(&["red-orders"], 5));
    assert_eq!(DeleteTopicsRequest::codes(&answer), told(29));
    let answer = blue.ask(4, &DescribeConfigsRequest::about(&["red-orders"], 4));
    assert_eq!(DescribeConfigsRequest::codes(&answer), told(29));
    let answer = blue.ask(4, &HeartbeatRequest::about(&["red-app"], 4));
    assert_eq!(answer.error_code, 30);
    let id = Some(TransactionalId(text("red-mover")));
    let answer = blue.ask(4, &InitProducerIdRequest::default().with_transactional_id(id));
    assert_eq!(answer.error_code, 53);
    assert_eq!(stage.broker().keys_asked(), [] as [i16; 0]);
    let answer = blue.ask(9, &MetadataRequest::about(&["red-orders"], 9));
    assert_eq!(MetadataRequest::codes(&answer), told(29));
    for api in ["Produce", "DeleteTopics", "DescribeConfigs", "Metadata"] {
        noted(api, "red-orders");
    }
    noted("Heartbeat", "red-app");
    noted("InitProducerId", "red-mover");
}

/// A subscription of version 1: topics, user data, and owned partitions of the same topics.
fn subscription(topics: &[&str], user_data: &[u8]) -> Bytes {
    let mut blob = BytesMut::new();
    blob.put_i16(1);
    put_strings(&mut blob, topics);
    put_bytes(&mut blob, user_data);
    put_partitions(&mut blob, topics);
    blob.freeze()
}

fn assignment(topics: &[&str], user_data: &[u8]) -> Bytes {
    let mut blob = BytesMut::new();
    blob.put_i16(1);
    put_partitions(&mut blob, topics);
    put_bytes(&mut blob, user_data);
    blob.freeze()
}

fn put_strings(blob: &mut BytesMut, strings: &[&str]) {
    blob.put_i32(i32::try_from(strings.len()).expect("few"));
    for string in strings {
        put_string(blob, string);
    }
}

fn put_partitions(blob: &mut BytesMut, topics: &[&str]) {
    blob.put_i32(i32::try_from(topics.len()).expect("few"));
    for topic in topics {
        put_string(blob, topic);
        blob.put_i32(1);
        blob.put_i32(0);
    }
}

fn put_string(blob: &mut BytesMut, string: &str) {
    blob.put_i16(i16::try_from(string.len()).expect("short"));
    blob.put_slice(string.as_bytes());
}

fn put_bytes(blob: &mut BytesMut, bytes: &[u8]) {
    blob.put_i32(i32::try_from(bytes.len()).expect("short"));
    blob.put_slice(bytes);
}

#[test]
fn what_members_hand_each_other_is_renamed_both_ways() {
    let stage = Stage::start_with(1, red_and_blue);
    stage.broker().on::<JoinGroupRequest>(|request| {
        let metadata = request.protocols[0].metadata.clone();
        let own = JoinGroupResponseMember::default().with_member_id(text("m")).with_metadata(metadata);
        // A member that is on the backend directly, and reads what is not this tenant's.
        let foreign = subscription(&["blue-orders", "red-b", "stranger"], b"kept");
        let other = JoinGroupResponseMember::default().with_member_id(text("n")).with_metadata(foreign);
        JoinGroupResponse::default().with_members(vec![own, other])
    });
    stage.broker().on::<SyncGroupRequest>(|request| {
        SyncGroupResponse::default().with_assignment(request.assignments[0].assignment.clone())
    });
    let mut red = red(&stage);
    for version in 0..=9 {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(subscription(&["orders", "b"], b"mine"));
        let request = JoinGroupRequest::about(&["app"], version)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let answer = red.ask(version, &request);
        let on_backend = last::<JoinGroupRequest>(stage.broker());
        assert_eq!(on_backend.protocols[0].metadata, subscription(&["red-orders", "red-b"], b"mine"));
        assert_eq!(answer.members[0].metadata, subscription(&["orders", "b"], b"mine"));
        assert_eq!(answer.members[1].metadata, subscription(&["b"], b"kept"));
    }
    for version in 0..=5 {
        let of_member =
            SyncGroupRequestAssignment::default().with_assignment(assignment(&["orders"], b"mine"));
        let request = SyncGroupRequest::about(&["app"], version).with_assignments(vec![of_member]);
        let request = match version {
            5 => request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range"))),
            _ => request,
        };
        let answer = red.ask(version, &request);
        let on_backend = last::<SyncGroupRequest>(stage.broker());
        assert_eq!(on_backend.assignments[0].assignment, assignment(&["red-orders"], b"mine"));
        assert_eq!(answer.assignment, assignment(&["orders"], b"mine"));
    }
}

#[test]
fn an_administrator_sees_members_by_their_own_names_and_not_where_they_are() {
    let stage = Stage::start_with(1, red_and_blue);
    stage.broker().on::<DescribeGroupsRequest>(|request| {
        let member = DescribedGroupMember::default()
            .with_client_host(text("/127.0.0.1"))
            .with_member_metadata(subscription(&["red-orders", "blue-orders"], b""))
            .with_member_assignment(assignment(&["red-orders", "stranger"], b""));
        let described = DescribedGroup::default()
            .with_group_id(request.groups[0].clone())
            .with_protocol_type(text("consumer"))
            .with_members(vec![member]);
        DescribeGroupsResponse::default().with_groups(vec![described])
    });
    let mut red = red(&stage);
    for version in 0..=6 {
        let answer = red.ask(version, &DescribeGroupsRequest::about(&["app"], version));
        let member = &answer.groups[0].members[0];
        assert_eq!(member.member_metadata, subscription(&["orders"], b""));
        assert_eq!(member.member_assignment, assignment(&["orders"], b""));
        assert_eq!(member.client_host.as_str(), "");
    }
}

#[test]
fn hazard_29_a_broker_s_words_are_replaced_by_our_own() {
    let stage = Stage::start_with(1, red_and_blue);
    let broker = stage.broker();
    let mut red = red(&stage);
    for (code, says, of_topic, shown) in [
        (
            36,
            "Topic 'red-orders' already exists.",
            Some("Topic 'orders' already exists."),
            Some("Topic with this name already exists."),
        ),
        (
            17,
            "Topic 'red-a.b' collides with existing topics: blue-a_b",
            Some("The name of the topic is not valid."),
            Some("The name of the topic is not valid."),
        ),
        (
            -1,
            "red-orders broke the log on 127.0.0.1",
            Some("The broker met an error that it did not expect."),
            Some("The broker met an error that it did not expect."),
        ),
        (9999, "red-orders is too new a problem", None, None),
    ] {
        let manner = Manner { code, says: Some(says.to_owned()), ..Manner::default() };
        script::<CreateTopicsRequest>(broker, &manner);
        script::<ProduceRequest>(broker, &manner);
        let answer = red.ask(7, &CreateTopicsRequest::about(&["orders"], 7));
        assert_eq!(answer.topics[0].error_message.as_deref(), of_topic);
        let answer = red.ask(9, &ProduceRequest::about(&["orders"], 9));
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_message.as_deref(), shown);
        assert_eq!(partition.record_errors[0].batch_index_error_message.as_deref(), shown);
    }
    let manner = Manner { code: 69, says: Some("Group red-app not found.".to_owned()), ..Manner::default() };
    script::<DescribeGroupsRequest>(broker, &manner);
    let answer = red.ask(6, &DescribeGroupsRequest::about(&["app"], 6));
    assert_eq!(answer.groups[0].error_code, 69);
    assert_eq!(answer.groups[0].error_message.as_deref(), Some("The group id does not exist."));
}

#[test]
fn hazard_30_what_the_prefix_would_make_valid_stays_invalid() {
    let stage = Stage::start_with(1, red_and_blue);
    let mut red = red(&stage);
    let mut unwary = Wary::of(log_in(&stage, 0), &[]);
    for version in CreateTopicsRequest::SERVED {
        for name in ["", ".", "..", "a/b", "a b", "é", "__consumer_offsets", "__transaction_state"] {
            let answer = unwary.ask(version, &CreateTopicsRequest::about(&[name], version));
            assert_eq!(CreateTopicsRequest::codes(&answer), [(name.to_owned(), 17)], "version {version}");
        }
    }
    let code = |codes: Vec<(String, i16)>| codes[0].1;
    for version in FindCoordinatorRequest::SERVED {
        let answer = red.ask(version, &FindCoordinatorRequest::about(&[""], version));
        assert_eq!(code(FindCoordinatorRequest::codes(&answer)), 24);
    }
    for version in JoinGroupRequest::SERVED {
        assert_eq!(red.ask(version, &JoinGroupRequest::about(&[""], version)).error_code, 24);
    }
    for version in SyncGroupRequest::SERVED {
        assert_eq!(red.ask(version, &SyncGroupRequest::about(&[""], version)).error_code, 24);
    }
    for version in HeartbeatRequest::SERVED {
        assert_eq!(red.ask(version, &HeartbeatRequest::about(&[""], version)).error_code, 24);
    }
    for version in LeaveGroupRequest::SERVED {
        assert_eq!(red.ask(version, &LeaveGroupRequest::about(&[""], version)).error_code, 24);
    }
    for version in OffsetCommitRequest::SERVED {
        let request = OffsetCommitRequest::about(&["orders"], version).with_group_id(group(""));
        assert_eq!(OffsetCommitRequest::codes(&red.ask(version, &request)), [("orders".to_owned(), 24)]);
    }
    for version in DeleteGroupsRequest::SERVED {
        let answer = red.ask(version, &DeleteGroupsRequest::about(&[""], version));
        assert_eq!(code(DeleteGroupsRequest::codes(&answer)), 24);
    }
    let id = Some(TransactionalId(text("")));
    assert_eq!(red.ask(4, &InitProducerIdRequest::default().with_transactional_id(id)).error_code, 42);
    // Whose topics the ids of the newest commits are is another question.
    let asked = stage.broker().keys_asked();
    assert!(asked.iter().all(|key| *key == ApiKey::Metadata as i16), "{asked:?}");
}

#[test]
fn hazard_31_the_hidden_prefix_counts_in_the_length_of_a_name() {
    let stage = Stage::start_with(1, red_and_blue);
    script::<CreateTopicsRequest>(stage.broker(), &Manner::default());
    let mut red = red(&stage);
    let longest = "x".repeat(249 - "red-".len());
    let too_long = format!("{longest}x");
    for version in CreateTopicsRequest::SERVED {
        let answer = red.ask(version, &CreateTopicsRequest::about(&[&too_long, &"x".repeat(249)], version));
        assert!(answer.topics.iter().all(|topic| topic.error_code == 17), "{answer:?}");
        let message = answer.topics[0].error_message.as_deref().expect("it says why");
        assert!(message.contains("245"), "{message}");
        let answer = red.ask(version, &CreateTopicsRequest::about(&[&longest], version));
        assert_eq!(CreateTopicsRequest::codes(&answer), [(longest.clone(), 0)]);
    }
    let asked = stage.broker().asked();
    assert_eq!(asked.len(), CreateTopicsRequest::SERVED.count());
    assert!(
        asked
            .iter()
            .all(|asked| asked.request::<CreateTopicsRequest>().names() == [format!("red-{longest}")])
    );
}

#[test]
fn hazard_32_prefixes_that_overlap_are_refused_with_their_place() {
    let file = |prefixes: [&str; 2]| {
        let mut setup =
            Setup::new(&["kafka.example:9092".to_owned()], "{endpoint: \"https://idp.example/keys\"}");
        setup.tenants = ["one", "two"]
            .into_iter()
            .zip(prefixes)
            .map(|(name, prefix)| Tenant::new(name, prefix, "{endpoint: \"https://idp.example/keys\"}"))
            .collect();
        ConfigFile::new(&setup.text())
    };
    let check = |prefixes| {
        let file: ConfigFile = file(prefixes);
        let path = file.path().to_str().expect("a path in UTF-8").to_owned();
        let output = sluicegate(&["check", "--config", &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = std::fs::read_to_string(&path).expect("the file is there");
        // The second prefix, counted from 1.
        let place = text
            .lines()
            .enumerate()
            .filter_map(|(line, text)| Some((line + 1, text.find("prefix: \"")? + 9)));
        let (line, column) = place.last().expect("there are two");
        (output.status.code(), said, format!("{path}:{line}:{column}: "))
    };
    for prefixes in [["a-", "a-b-"], ["a-", "a-"], ["a.b-", "a_b-"], ["a.", "a_b."]] {
        let (code, said, place) = check(prefixes);
        assert_eq!(code, Some(1), "{prefixes:?}");
        assert!(said.lines().any(|line| line.starts_with(&place)), "{said:?} has no line with {place:?}");
        assert!(said.contains("prefix"), "{said}");
    }
    let (code, said, _) = check(["a-", "b-"]);
    assert_eq!(code, Some(0), "{said}");
}

/// What the broker is asked for when `red` asks for this.
fn produced_as(stage: &Stage, client: &mut Client, name: &str) -> Vec<String> {
    let answer = client.ask(9, &ProduceRequest::about(&[name], 9));
    assert_eq!(ProduceRequest::codes(&answer), [(name.to_owned(), 0)]);
    last::<ProduceRequest>(stage.broker()).names()
}

#[test]
fn additional_names_stand_for_themselves_and_are_nobody_s_to_create() {
    let namespace = "{mode: hide_prefix, prefix: \"red-\", additional: {topics: [{type: exact_list, exact_list: \
                     [{backend: extra_topic}]}, {type: glob, glob: \"shared-*\"}], consumer_groups: [{type: \
                     exact_list, exact_list: [{backend: extra_group}]}, {type: glob, glob: \"legacy-*\"}]}}";
    let stage = Stage::start_with(1, only_red(namespace));
    script::<ProduceRequest>(stage.broker(), &Manner::default());
    script::<HeartbeatRequest>(stage.broker(), &Manner::default());
    let mut red = stage.log_in("alice");
    for (name, on_backend) in [
        ("extra_topic", "extra_topic"),
        ("shared-prices", "shared-prices"),
        ("extra_topics", "red-extra_topics"),
        ("share", "red-share"),
    ] {
        assert_eq!(produced_as(&stage, &mut red, name), [on_backend]);
    }
    for (id, on_backend) in [
        ("extra_group", "extra_group"),
        ("legacy-app", "legacy-app"),
        ("extra_topic", "red-extra_topic"),
        ("app", "red-app"),
    ] {
        red.ask(4, &HeartbeatRequest::about(&[id], 4));
        assert_eq!(last::<HeartbeatRequest>(stage.broker()).names(), [on_backend]);
    }
    let listed = ["extra_topic", "shared-prices", "red-orders", "blue-orders", "shared", "red-shared-prices"];
    let neighbours = listed.map(str::to_owned).to_vec();
    let manner = Manner { neighbours, nodes: nodes(stage.broker()), ..Manner::default() };
    script::<MetadataRequest>(stage.broker(), &manner);
    let answer = red.ask(9, &MetadataRequest::default().with_topics(None));
    let mut seen: Vec<String> = MetadataRequest::codes(&answer).into_iter().map(|(name, _)| name).collect();
    seen.sort();
    assert_eq!(seen, ["extra_topic", "orders", "shared-prices"]);
    // A name of the backend is neither made nor removed from here.
    let before = stage.broker().asked().len();
    let names = ["extra_topic", "shared-new"];
    let answer = red.ask(7, &CreateTopicsRequest::about(&names, 7));
    assert_eq!(CreateTopicsRequest::codes(&answer), names.map(|name| (name.to_owned(), 44)));
    let answer = red.ask(5, &DeleteTopicsRequest::about(&names, 5));
    assert_eq!(DeleteTopicsRequest::codes(&answer), names.map(|name| (name.to_owned(), 44)));
    assert_eq!(stage.broker().asked().len(), before);
    // Nor by asking for what is not there.
    let mut asks = MetadataRequest::about(&["shared-new"], 9);
    asks.allow_auto_topic_creation = true;
    red.ask(9, &asks);
    assert!(!last::<MetadataRequest>(stage.broker()).allow_auto_topic_creation);
}

#[test]
fn where_a_name_could_mean_two_things_the_prefixed_one_wins_and_it_is_told() {
    let conflict = |conflict: &str| {
        format!(
            "{{mode: hide_prefix, prefix: \"my-\", additional: {{topics: [{{type: exact_list, exact_list: \
             [{{backend: extra_topic}}], conflict: {conflict}}}]}}}}"
        )
    };
    for (namespace, warns) in [(conflict("warn"), true), (conflict("ignore"), false)] {
        let brokers = vec![Broker::start()];
        brokers[0].has_topics(&["extra_topic"]);
        let stage = Stage::before(brokers, |setup, _| {
            setup.tenant().namespace.clone_from(&namespace);
            setup.backend.push("metadata_update_interval_seconds: 1".to_owned());
        });
        script::<ProduceRequest>(stage.broker(), &Manner::default());
        let gauge = "sluicegate_namespace_conflicts{virtual_cluster=\"team\"}";
        stage.expect_metric(gauge, 0.0);
        let mut before = stage.log_in("alice");
        assert_eq!(produced_as(&stage, &mut before, "extra_topic"), ["extra_topic"]);
        stage.broker().has_topics(&["my-extra_topic"]);
        stage.expect_metric(gauge, 1.0);
        let mut after = stage.log_in("alice");
        assert_eq!(produced_as(&stage, &mut after, "extra_topic"), ["my-extra_topic"]);
        let answer = after.ask(9, &MetadataRequest::default().with_topics(None));
        assert_eq!(MetadataRequest::codes(&answer), [("extra_topic".to_owned(), 0)]);
        let told = stage.gateway.process.log().lines().any(|line| {
            line.contains("WARN") && line.contains("extra_topic") && line.contains("rename one of each pair")
        });
        assert_eq!(told, warns, "{}", stage.gateway.process.log());
    }
}

/// Three tenants: two on one backend, one with the same prefix on another.
fn three(setup: &mut Setup, jwks: &str, other: &Broker) {
    setup.more_backends = vec![("elsewhere".to_owned(), vec![other.address()])];
    let mut abroad = Tenant::new("abroad", "red-", jwks);
    abroad.destination = "elsewhere".to_owned();
    setup.tenants = vec![Tenant::new("red", "red-", jwks), Tenant::new("blue", "blue-", jwks), abroad];
}

fn cluster_id(stage: &Stage, tenant: usize) -> String {
    let mut client = log_in(stage, tenant);
    let metadata = client.ask(9, &MetadataRequest::about(&[], 9));
    let described = client.ask(0, &DescribeClusterRequest::default());
    let id = metadata.cluster_id.expect("there is one").to_string();
    assert_eq!(described.cluster_id.as_str(), id);
    id
}

#[test]
fn virtual_clusters_lead_to_their_backends_and_have_ids_that_last() {
    let other = Broker::start();
    let mut stage = Stage::start_with(1, |setup, jwks| three(setup, jwks, &other));
    for broker in [stage.broker(), &other] {
        script::<ProduceRequest>(broker, &Manner::default());
        broker.on::<DescribeClusterRequest>(|_| {
            DescribeClusterResponse::default().with_cluster_id(text("backend-cluster"))
        });
    }
    for (tenant, home, on_backend) in
        [(0, stage.broker(), "red-orders"), (1, stage.broker(), "blue-orders"), (2, &other, "red-orders")]
    {
        let (here, there) = (stage.broker().asked().len(), other.asked().len());
        let mut client = log_in(&stage, tenant);
        client.ask(9, &ProduceRequest::about(&["orders"], 9));
        assert_eq!(last::<ProduceRequest>(home).names(), [on_backend]);
        assert_eq!(stage.broker().asked().len() + other.asked().len(), here + there + 1);
    }
    let ids = [0, 1, 2].map(|tenant| cluster_id(&stage, tenant));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    assert!(!ids.contains(&"backend-cluster".to_owned()));
    stage.gateway.process.signal("TERM");
    stage.gateway.process.wait(std::time::Duration::from_secs(20));
    stage.gateway = Gateway::start(&stage.setup.text(), stage.setup.admin_port);
    assert_eq!([0, 1, 2].map(|tenant| cluster_id(&stage, tenant)), ids);
}

#[test]
fn names_that_can_not_be_are_answered_for_while_the_rest_is_created() {
    let stage = Stage::start_with(1, red_and_blue);
    script::<CreateTopicsRequest>(stage.broker(), &Manner::default());
    let mut red = red(&stage);
    let names = ["a", "..", "b", ""];
    let topics = names.map(|name| CreatableTopic::default().with_name(topic(name)).with_num_partitions(1));
    let answer = red.ask(5, &CreateTopicsRequest::default().with_topics(topics.to_vec()));
    let mut told = CreateTopicsRequest::codes(&answer);
    told.sort();
    let expected = [("", 17), ("..", 17), ("a", 0), ("b", 0)].map(|(name, code)| (name.to_owned(), code));
    assert_eq!(told, expected);
    assert_eq!(last::<CreateTopicsRequest>(stage.broker()).names(), ["red-a", "red-b"]);
}

#[test]
fn a_neighbour_s_topic_id_is_an_id_that_nobody_has() {
    let stage = Stage::start_with(1, red_and_blue);
    let known = nodes(stage.broker());
    stage.broker().on_key(ApiKey::Metadata, move |asked| {
        let request = asked.request::<MetadataRequest>();
        let quiet = Manner { nodes: known.clone(), ..Manner::default() };
        let mut answer = MetadataRequest::about(&[], 9).answered(asked.version(), &quiet);
        answer.topics = request
            .topics
            .iter()
            .flatten()
            .map(|asked| {
                let found = MetadataResponseTopic::default().with_topic_id(asked.topic_id);
                match asked.topic_id.as_u128() {
                    1 => found.with_name(Some(topic("red-orders"))),
                    2 => found.with_name(Some(topic("blue-orders"))),
                    _ => found.with_name(None).with_error_code(100),
                }
            })
            .collect();
        asked.reply::<MetadataRequest>(&answer)
    });
    let mut red = red(&stage);
    for version in 12..=13 {
        let mut of_id = |id: u128| {
            let asked = MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::from_u128(id));
            let answer = red.ask(version, &MetadataRequest::default().with_topics(Some(vec![asked])));
            let [found] = &answer.topics[..] else { panic!("{:?}", answer.topics) };
            assert_eq!(found.topic_id.as_u128(), id);
            found.clone().with_topic_id(Uuid::nil())
        };
        let own = of_id(1);
        assert_eq!(own.name.as_deref().map(StrBytes::as_str), Some("orders"));
        let (foreign, unknown) = (of_id(2), of_id(3));
        assert_eq!((foreign.error_code, &foreign.name), (100, &None));
        assert_eq!(foreign, unknown);
    }
}

#[test]
fn hazard_27_nobody_reads_as_a_broker_or_in_another_s_fetch_session() {
    let stage = Stage::start_with(1, red_and_blue);
    let answering = Manner::default();
    stage.broker().on_key(ApiKey::Fetch, move |asked| {
        let request = asked.request::<FetchRequest>();
        let session = if request.session_epoch < 0 { 0 } else { 77 };
        let answer = request.answered(asked.version(), &answering).with_session_id(session);
        asked.reply::<FetchRequest>(&answer)
    });
    script::<ListOffsetsRequest>(stage.broker(), &Manner::default());
    stage.broker().has_topics(&["red-orders"]);
    let mut red = red(&stage);
    for version in 7..=18 {
        let mut owner = log_in(&stage, 0);
        let request = FetchRequest::behind("red-", &["orders"], version);
        let answer = owner.ask(version, &request.clone().with_session_epoch(0));
        assert_eq!((answer.error_code, answer.session_id), (0, 77));
        // Sessions are the broker's: by their number any client could go on with one, or end it.
        let before = stage.broker().asked().len();
        let in_session = request.clone().with_session_id(77).with_session_epoch(1);
        let answer = red.ask(version, &in_session);
        assert_eq!((answer.error_code, answer.responses.len()), (70, 0));
        assert_eq!(stage.broker().asked().len(), before);
        let ending = request.clone().with_session_id(77).with_session_epoch(-1);
        red.ask(version, &ending);
        assert_eq!(last::<FetchRequest>(stage.broker()).session_id, 0);
        let answer = owner.ask(version, &in_session);
        assert_eq!((answer.error_code, answer.session_id), (0, 77));
        assert_eq!(last::<FetchRequest>(stage.broker()).session_id, 77);
    }
    let before = stage.broker().asked().len();
    for version in FetchRequest::SERVED {
        let request = FetchRequest::behind("red-", &["orders"], version);
        let as_follower = match version {
            ..15 => request.with_replica_id(BrokerId(1)),
            _ => request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(1))),
        };
        let told = FetchRequest::codes(&red.ask(version, &as_follower));
        assert_eq!(told, [("orders".to_owned(), 29)]);
    }
    assert_eq!(stage.broker().asked().len(), before);
    for version in ListOffsetsRequest::SERVED {
        let as_follower = ListOffsetsRequest::about(&["orders"], version).with_replica_id(BrokerId(1));
        red.ask(version, &as_follower);
        assert_eq!(last::<ListOffsetsRequest>(stage.broker()).replica_id.0, -1);
    }
}
