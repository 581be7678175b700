//! Answers in the order of their requests, one for each that wants one, whoever makes them.

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, SaslHandshakeRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::ApiKey;
use sluicegate::wire::messages::ListOffsetsRequest;
use sluicegate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use crate::support::broker::{Asked, Reply, topic_id};
use crate::support::client::{authenticate, client_first, request_bytes};
use crate::support::setup::{Policy, rule};
use crate::support::stage::{Stage, token};

/// Everything is allowed to everybody, but for topics that begin with `secret`.
fn stage() -> Stage {
    Stage::start_with(1, |setup, _| {
        let Policy { name, condition, mut rules } = Policy::everything();
        rules.push(rule("deny", "topic", "all", "secret*"));
        setup.tenant().policies = vec![Policy { name, condition, rules }];
    })
}

#[test]
fn hazard_13_a_refusal_made_here_waits_for_earlier_answers() {
    let stage = stage();
    stage.broker().hold(ApiKey::Fetch);
    let mut client = stage.log_in("alice");
    let fetched = client.send(4, &fetch("orders"));
    let refused = client.send(4, &list_offsets("secret"));
    let listed = client.send(9, &metadata(&["orders"]));
    // The last has reached the broker, so the one before it was dealt with.
    stage.broker().expect(ApiKey::Metadata, 1);
    assert!(client.is_silent(), "an answer overtakes the first");

    let [asked] = &stage.broker().expect(ApiKey::Fetch, 1)[..] else { panic!("one Fetch") };
    asked.answer::<FetchRequest>(&FetchResponse::default());
    client.read::<FetchRequest>(4, fetched);
    let answer = client.read::<ListOffsetsRequest>(4, refused);
    assert_eq!(answer.topics[0].partitions[0].error_code, 29);
    client.read::<MetadataRequest>(9, listed);
    assert_eq!(keys(&stage), [1, 3], "the refused one never reached the broker");
}

#[test]
fn hazard_13_a_question_about_versions_waits_its_turn() {
    let stage = stage();
    stage.broker().hold(ApiKey::Fetch);
    let mut client = stage.log_in("alice");
    let fetched = client.send(4, &fetch("orders"));
    let versions = client.send(0, &ApiVersionsRequest::default());
    let unknown = client.send(0, &ApiVersionsRequest::default());
    let listed = client.send(9, &metadata(&["orders"]));
    stage.broker().expect(ApiKey::Metadata, 1);
    assert!(client.is_silent(), "an answer overtakes the first");
    stage.broker().expect(ApiKey::Fetch, 1)[0].answer::<FetchRequest>(&FetchResponse::default());
    client.read::<FetchRequest>(4, fetched);
    assert_eq!(client.read::<ApiVersionsRequest>(0, versions).error_code, 0);
    assert_eq!(client.read::<ApiVersionsRequest>(0, unknown).error_code, 0);
    client.read::<MetadataRequest>(9, listed);
}

#[test]
fn hazard_14_p_11_five_requests_under_one_correlation_id_get_their_own_answers() {
    let stage = stage();
    stage.broker().hold(ApiKey::Metadata);
    let mut client = stage.log_in("alice");
    let topics = ["a", "b", "c", "d", "e"];
    for topic in topics {
        client.send_as(9, 0, Some("always-0"), &metadata(&[topic]));
    }
    let asked = stage.broker().expect(ApiKey::Metadata, 5);
    // The broker's words come at once or late, in the order of the requests.
    for asked in &asked {
        let request = asked.request::<MetadataRequest>();
        let topics = request.topics.iter().flatten().map(|topic| {
            kafka_protocol::messages::metadata_response::MetadataResponseTopic::default()
                .with_name(topic.name.clone())
                .with_error_code(3)
        });
        asked.answer::<MetadataRequest>(&MetadataResponse::default().with_topics(topics.collect()));
    }
    for topic in topics {
        let answer = client.read::<MetadataRequest>(9, 0);
        let names: Vec<String> = answer.topics.iter().map(|topic| name_of(topic.name.as_ref())).collect();
        assert_eq!(names, [topic]);
    }
    let mut ids: Vec<i32> = asked.iter().map(Asked::correlation_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 5, "the gateway tells its own questions apart");
}

#[test]
fn hazard_14_the_same_request_twice_is_answered_twice() {
    let stage = stage();
    stage.broker().has_topics(&["my-orders"]);
    let mut client = stage.log_in("alice");
    for _ in 0..3 {
        client.send_as(9, -7, None, &metadata(&["orders"]));
    }
    client.send_as(4, -7, None, &list_offsets("secret"));
    for _ in 0..3 {
        assert_eq!(client.read::<MetadataRequest>(9, -7).topics.len(), 1);
    }
    assert_eq!(client.read::<ListOffsetsRequest>(4, -7).topics[0].partitions[0].error_code, 29);
    assert!(client.is_silent());
}

#[test]
fn hazard_11_p_13_nothing_answers_a_produce_that_wants_no_answer() {
    let stage = stage();
    stage.broker().on_key(ApiKey::Produce, |_| Reply::Nothing);
    stage.broker().has_topics(&["my-orders"]);
    let mut client = stage.log_in("alice");
    for version in [3, 8, 9, 12] {
        client.send(version, &produce(0, &["orders"]));
        let listed = client.send(9, &metadata(&["orders"]));
        let answer = client.read::<MetadataRequest>(9, listed);
        assert_eq!(answer.topics.len(), 1, "version {version}");
        assert!(client.is_silent(), "version {version}: one answer is enough");
    }
    assert_eq!(keys(&stage), [0, 3, 0, 3, 0, 3, 0, 3]);
}

#[test]
fn hazard_11_a_broker_that_answers_nevertheless_is_not_believed() {
    let stage = stage();
    let answer = |asked: &Asked| asked.reply::<ProduceRequest>(&ProduceResponse::default());
    stage.broker().on_key(ApiKey::Produce, answer);
    let mut client = stage.log_in("alice");
    client.send(9, &produce(0, &["orders"]));
    client.expect_close();
    stage.expect_metric(&closed("broker_out_of_order"), 1.0);
}

#[test]
fn hazard_12_p_13_without_acks_the_granted_part_goes_on_and_the_connection_ends() {
    let stage = stage();
    stage.broker().on_key(ApiKey::Produce, |_| Reply::Nothing);
    let mut client = stage.log_in("alice");
    let mut other = stage.log_in("bob");
    // What comes behind it is not taken any more.
    let more = request_bytes(9, 8, None, &metadata(&["orders"]));
    let said = request_bytes(9, 7, None, &produce(0, &["orders", "secret", "payments"]));
    client.send_bytes(&[said, more].concat());
    client.expect_close();
    stage.expect_metric(&closed("unanswered_refusal"), 1.0);

    let [asked] = &stage.broker().expect(ApiKey::Produce, 1)[..] else { panic!("one Produce") };
    let request = asked.request::<ProduceRequest>();
    let names: Vec<String> = request.topic_data.iter().map(|topic| name_of(Some(&topic.name))).collect();
    assert_eq!((request.acks, names), (0, vec!["my-orders".to_owned(), "my-payments".to_owned()]));
    assert_eq!(keys(&stage), [0]);
    let refused = stage.expect_audit("the refusal", |line| line["outcome"] == "refused");
    assert_eq!((&refused["principal"], &refused["name"]), (&"alice".into(), &"secret".into()), "{refused}");
    other.ask(9, &metadata(&["orders"]));
}

#[test]
fn hazard_12_without_acks_and_without_any_right_the_connection_ends() {
    let stage = stage();
    let mut client = stage.log_in("alice");
    client.send(9, &produce(0, &["secret"]));
    client.expect_close();
    stage.expect_metric(&closed("unanswered_refusal"), 1.0);
    assert!(keys(&stage).is_empty());
}

#[test]
fn hazard_12_earlier_requests_are_answered_before_that_end() {
    let stage = stage();
    stage.broker().hold(ApiKey::Fetch);
    let mut client = stage.log_in("alice");
    let fetched = client.send(4, &fetch("orders"));
    client.send(9, &produce(0, &["secret"]));
    let asked = stage.broker().expect(ApiKey::Fetch, 1);
    assert!(client.is_silent(), "the first is still to be answered");
    asked[0].answer::<FetchRequest>(&FetchResponse::default());
    client.read::<FetchRequest>(4, fetched);
    client.expect_close();
    stage.expect_metric(&closed("unanswered_refusal"), 1.0);
}

#[test]
fn what_is_not_served_ends_the_connection() {
    let stage = stage();
    let mut other = stage.log_in("bob");
    for (key, version, reason) in [
        (999, 0, "unknown_api"),
        (-1, 0, "unknown_api"),
        (7, 0, "withheld"),  // ControlledShutdown, between brokers
        (40, 1, "withheld"), // ExpireDelegationToken, which no file asks for here
        (71, 0, "withheld"), // GetTelemetrySubscriptions
        (86, 0, "withheld"), // DeleteShareGroupState, between brokers
        (29, 0, "unsupported_version"),
        (3, 14, "unsupported_version"),
        (0, 14, "unsupported_version"),
        (0, 2, "unsupported_version"),
        (1, -1, "unsupported_version"),
        (17, 2, "unsupported_version"),
    ] {
        let before = stage.metric(&closed(reason));
        let mut client = stage.log_in("alice");
        let head = [i16::to_be_bytes(key), i16::to_be_bytes(version)].concat();
        client.send_frame(&[&head[..], &[0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0, 0]].concat());
        client.expect_close();
        stage.expect_metric(&closed(reason), before + 1.0);
        other.ask(9, &metadata(&["orders"]));
    }
}

#[test]
fn whole_frames_before_a_half_close_reach_the_broker() {
    const FRAMES: i32 = 1000;
    let stage = stage();
    stage.broker().on_key(ApiKey::Produce, |_| Reply::Nothing);
    let mut client = stage.log_in("alice");
    let mut batch = Vec::new();
    for id in 0..FRAMES {
        batch.extend(request_bytes(9, id, None, &produce(0, &[&format!("orders-{id}")])));
    }
    // The last one is not whole: nobody can know what it would have been.
    let half = request_bytes(9, FRAMES, None, &produce(0, &["orders"]));
    batch.extend(&half[..half.len() - 1]);
    client.send_bytes(&batch);
    client.finish_sending();
    let asked = stage.broker().expect(ApiKey::Produce, 1000);
    client.expect_close();
    stage.expect_metric(&closed("client_gone"), 1.0);
    assert_eq!(stage.broker().asked().len(), 1000);
    for (id, asked) in asked.iter().enumerate() {
        let request = asked.request::<ProduceRequest>();
        assert_eq!(name_of(Some(&request.topic_data[0].name)), format!("my-orders-{id}"));
    }
}

#[test]
fn a_producer_that_leaves_right_after_its_login_has_still_said_all() {
    let stage = stage();
    stage.broker().on_key(ApiKey::Produce, |_| Reply::Nothing);
    let mut client = stage.connect();
    client.log_in(&token("alice"));
    // The gateway has not met the broker yet.
    client.send(9, &produce(0, &["orders"]));
    drop(client);
    stage.broker().expect(ApiKey::Produce, 1);
}

#[test]
fn a_producer_that_leaves_while_the_broker_is_asked_has_still_said_all() {
    let stage = stage();
    stage.broker().on_clients_key(ApiKey::Metadata, |_| Reply::Held);
    stage.broker().on_key(ApiKey::Produce, |_| Reply::Nothing);
    let mut client = stage.log_in("alice");
    let id = topic_id("my-orders");
    let data = TopicProduceData::default()
        .with_topic_id(id)
        .with_partition_data(vec![PartitionProduceData::default()]);
    client.send(13, &ProduceRequest::default().with_topic_data(vec![data]));
    client.send(9, &produce(0, &["orders"]));
    client.finish_sending();
    let [asked] = &stage.broker().expect(ApiKey::Metadata, 1)[..] else { panic!("one question") };
    let told = MetadataResponseTopic::default().with_topic_id(id).with_name(Some(topic("my-orders")));
    asked.answer::<MetadataRequest>(&MetadataResponse::default().with_topics(vec![told]));
    stage.broker().expect(ApiKey::Produce, 2);
    client.expect_close();
    stage.expect_metric(&closed("client_gone"), 1.0);
}

#[test]
fn a_client_that_leaves_while_the_broker_is_asked_is_let_go() {
    let stage = stage();
    stage.broker().on_clients_key(ApiKey::Metadata, |_| Reply::Held);
    let mut client = stage.log_in("alice");
    let topics = vec![FetchTopic::default().with_topic_id(topic_id("my-orders"))];
    client.send(13, &FetchRequest::default().with_topics(topics));
    stage.broker().expect(ApiKey::Metadata, 1);
    client.finish_sending();
    client.expect_close();
    stage.expect_metric(&closed("client_gone"), 1.0);
}

/// A whole dialogue as bytes, the login included, and all that is answered.
fn dialogue() -> Vec<u8> {
    let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("OAUTHBEARER"));
    [
        request_bytes(0, 1, None, &ApiVersionsRequest::default()),
        request_bytes(1, 2, None, &handshake),
        request_bytes(2, 3, None, &authenticate(&client_first(&token("alice")))),
        request_bytes(9, 4, None, &metadata(&["orders", "secret"])),
        request_bytes(9, 5, None, &produce(0, &["orders"])),
        request_bytes(9, 6, None, &produce(-1, &["orders", "secret"])),
        request_bytes(4, 7, None, &list_offsets("secret")),
        request_bytes(4, 8, None, &fetch("orders")),
    ]
    .concat()
}

/// Says the dialogue in segments of this size, and returns the answers.
fn said_in_segments(stage: &Stage, segment_bytes: usize) -> Vec<Bytes> {
    let mut client = stage.connect();
    for segment in dialogue().chunks(segment_bytes) {
        client.send_bytes(segment);
    }
    let mut answers: Vec<Bytes> = (0..7).map(|_| client.read_frame()).collect();
    assert!(client.is_silent());
    // The time that is left to the session depends on when it began.
    let lifetime = answers.remove(2);
    assert_eq!(lifetime[..6], [0, 0, 0, 3, 0, 0], "the login: {lifetime:02x?}");
    answers
}

#[test]
fn segments_of_any_size_get_the_same_answers() {
    let stage = stage();
    stage.broker().has_topics(&["my-orders"]);
    stage.broker().on_key(ApiKey::Produce, |asked| {
        let request = asked.request::<ProduceRequest>();
        if request.acks == 0 {
            return Reply::Nothing;
        }
        let partition = PartitionProduceResponse::default().with_base_offset(42);
        let topics = request.topic_data.iter().map(|topic| {
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_partition_responses(vec![partition.clone()])
        });
        asked.reply::<ProduceRequest>(&ProduceResponse::default().with_responses(topics.collect()))
    });
    stage.broker().on::<FetchRequest>(|_| FetchResponse::default());
    let at_once = said_in_segments(&stage, usize::MAX);
    let ids: Vec<u8> = at_once.iter().map(|answer| answer[3]).collect();
    assert_eq!(ids, [1, 2, 4, 6, 7, 8]);
    let reached =
        |stage: &Stage| stage.broker().asked().iter().map(|asked| asked.frame.clone()).collect::<Vec<_>>();
    let whole = reached(&stage);
    assert_eq!(whole.len(), 4);
    for (times, segment_bytes) in [1, 3, 7, 64, 1000].into_iter().enumerate() {
        assert_eq!(said_in_segments(&stage, segment_bytes), at_once, "segments of {segment_bytes} bytes");
        assert_eq!(reached(&stage)[4 * (times + 1)..], whole, "segments of {segment_bytes} bytes");
    }
}

fn keys(stage: &Stage) -> Vec<i16> {
    stage.broker().keys_asked()
}

fn closed(reason: &str) -> String {
    format!("sluicegate_connections_closed_total{{virtual_cluster=\"team\",reason=\"{reason}\"}}")
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn name_of(name: Option<&TopicName>) -> String {
    name.expect("it has a name").0.to_string()
}

fn metadata(topics: &[&str]) -> MetadataRequest {
    let topics = topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic(name))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

fn produce(acks: i16, topics: &[&str]) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(Bytes::from_static(b"records")));
    let topics = topics.iter().map(|name| {
        TopicProduceData::default().with_name(topic(name)).with_partition_data(vec![partition.clone()])
    });
    ProduceRequest::default().with_acks(acks).with_topic_data(topics.collect())
}

fn fetch(name: &str) -> FetchRequest {
    let topics =
        vec![FetchTopic::default().with_topic(topic(name)).with_partitions(vec![FetchPartition::default()])];
    FetchRequest::default().with_topics(topics).with_max_wait_ms(60_000)
}

fn list_offsets(name: &str) -> ListOffsetsRequest {
    let topics = vec![
        ListOffsetsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![ListOffsetsPartition::default()]),
    ];
    ListOffsetsRequest::default().with_topics(topics)
}
