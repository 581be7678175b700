//! Reading by name and by id, in fetch sessions, and from the nearest replica.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::direct::until;
use crate::site::{self, AUDIENCE, Front, Site, site};
use crate::support::client::Client;
use crate::support::clients::Tool::{JavaAdmin, JavaFlow, Librdkafka};
use crate::support::kafka::{self, Kafka};
use crate::support::setup::{Policy, rule};
use crate::world::Way;

cases! {
    hazard_15_a_consumer_is_told_of_a_denied_topic_each_time
    hazard_15_a_session_tells_of_a_denied_topic_in_each_answer
    a_session_ends_as_it_is_said
    a_topic_that_is_made_again_is_read_on
    hazard_27_a_client_does_not_read_as_a_broker
}

/// The code of a broker that does not lead the partition, or not yet.
const NOT_LEADER: i16 = 6;

/// By name, and by id.
const VERSIONS: [i16; 2] = [12, 17];

fn hazard_15_a_consumer_is_told_of_a_denied_topic_each_time(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-both 1 {brokers} -> ok
         create visible-both 1 {brokers} -> ok",
    );
    way.check(JavaFlow, "producer-app", "produce readable-both one two -> ok");
    way.check(
        JavaFlow,
        "reader-app",
        "assign - readable-both:1 visible-both:1 -> ok
         poll 100 -> TOPIC_AUTHORIZATION_FAILED
         poll 100 -> TOPIC_AUTHORIZATION_FAILED
         assign - readable-both:1 -> ok
         poll 2 -> ok one two",
    );
}

fn hazard_15_a_session_tells_of_a_denied_topic_in_each_answer(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-raw 1 {brokers} -> ok
         create visible-raw 1 {brokers} -> ok",
    );
    way.check(JavaFlow, "producer-app", "produce readable-raw one -> ok");
    let mut client = way.log_in("reader-app");
    let ids = ["readable-raw", "visible-raw"].map(|name| (name, id_of(&mut client, name)));
    for version in VERSIONS {
        let opening = fetch(version, 0, 0, &ids);
        let opened = until("the topic is there on this broker", || {
            let answer = client.ask(version, &opening);
            (codes(&answer, &ids) == [("readable-raw", 0), ("visible-raw", 29)]).then_some(answer)
        });
        assert!(opened.session_id > 0, "{opened:?}");
        for epoch in 1..4 {
            let answer = client.ask(version, &fetch(version, opened.session_id, epoch, &[]));
            assert_eq!((answer.error_code, answer.session_id), (0, opened.session_id));
            let told = codes(&answer, &ids);
            assert_eq!(told.last(), Some(&("visible-raw", 29)), "{answer:?}");
        }
    }
}

fn a_session_ends_as_it_is_said(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-ends 1 {brokers} -> ok");
    let mut client = way.log_in("reader-app");
    let ids = [("readable-ends", id_of(&mut client, "readable-ends"))];
    for version in VERSIONS {
        let other = if version == 12 { 17 } else { 12 };
        let mut code = |version: i16, session: i32, epoch: i32| {
            let answer = client.ask(version, &fetch(version, session, epoch, &ids));
            (answer.error_code, answer.session_id)
        };
        let (_, session) = code(version, 0, 0);
        assert_eq!(code(version, session, 1), (0, session));
        assert_eq!(code(version, session, 7), (71, 0), "not its turn");
        let (_, next) = code(version, session, 0);
        assert!(next != session && next > 0);
        assert_eq!(code(version, session, 2), (70, 0), "it was closed");
        assert_eq!(code(other, next, 1), (106, 0), "it is by name or by id");
        assert_eq!(code(version, next, -1), (0, 0));
        assert_eq!(code(version, next, 1), (70, 0), "it was ended");
    }
}

fn hazard_27_a_client_does_not_read_as_a_broker(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-copied 1 {brokers} -> ok");
    let mut client = way.log_in("reader-app");
    let ids = [("readable-copied", id_of(&mut client, "readable-copied"))];
    for version in [4, 12, 13, 15, 18] {
        let request = match version {
            ..7 => FetchRequest::default().with_topics(fetch(version, 0, -1, &ids).topics),
            _ => fetch(version, 0, -1, &ids),
        };
        let request = match version {
            ..15 => request.with_replica_id(BrokerId(1)),
            _ => request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(1))),
        };
        assert_eq!(codes(&client.ask(version, &request), &ids), [("readable-copied", 29)], "{version}");
    }
}

fn a_topic_that_is_made_again_is_read_on(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-again 1 {brokers} -> ok");
    way.check(JavaFlow, "producer-app", "produce readable-again one -> ok");
    let mut reader = way.converse(JavaFlow, "reader-app");
    assert_eq!(reader.say("assign - readable-again:1"), "ok");
    assert_eq!(reader.say("poll 1"), "ok one");
    way.check(
        JavaAdmin,
        "admin-app",
        "delete readable-again -> ok
         create readable-again 1 {brokers} -> ok",
    );
    way.check(JavaFlow, "producer-app", "produce readable-again two three -> ok");
    assert_eq!(reader.say("poll-for three"), "ok");
}

#[test]
fn hazard_16_many_partitions_are_read_in_sessions() {
    let Some(site) = site() else { return };
    let front = site.front(site.setup("many-"));
    let topics: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let made: Vec<String> = topics.iter().map(|topic| format!("create {topic} 10 1 -> ok")).collect();
    front.check(JavaAdmin, &made.join("\n"));
    let all = topics.iter().map(|topic| format!("{topic}:10")).collect::<Vec<_>>().join(" ");
    front.check(
        JavaFlow,
        &format!(
            "spread one {all} -> ok
             assign - {all} -> ok
             count 200 -> ok 200
             spread two t7:10 -> ok
             poll 10 -> ok two two two two two two two two two two
             spread three {all} -> ok
             count 200 -> ok 200"
        ),
    );
    front.check(Librdkafka, "consume t1 readers 1 -> ok one");
    what_is_refused_makes_no_fetch_full(site, &all);
}

fn what_is_refused_makes_no_fetch_full(site: &Site, all: &str) {
    let mut setup = site.setup("many-");
    let rules = [rule("allow", "topic", "all", "*"), rule("deny", "topic", "read", "t19")];
    setup.tenant().policies = vec![Policy::new("but one", None, &rules)];
    let front = site.front(setup);
    let mut reader = front.converse(JavaFlow);
    let mut read = |line: &str| {
        until("the value is read among refusals", || match reader.say(line).as_str() {
            "ok" => Some(()),
            "TOPIC_AUTHORIZATION_FAILED" => None,
            other => panic!("{line}: {other}"),
        });
    };
    read(&format!("assign - {all}"));
    read("poll-for three");
    let fetched = || {
        let [bytes, requests] = ["sluicegate_request_bytes_total", "sluicegate_requests_total"]
            .map(|metric| front.count(metric, "api=\"Fetch\""));
        (bytes, requests)
    };
    let before = fetched();
    for number in 0..20 {
        read(&format!("spread v{number} t0:1"));
        read(&format!("poll-for v{number}"));
    }
    let (bytes, requests) = (fetched().0 - before.0, fetched().1 - before.1);
    // A partition takes more than thirty bytes of a request, and there are two hundred.
    assert!(requests > 19.5 && bytes / requests < 2000.0, "{bytes} bytes in {requests} fetches");
}

#[test]
fn hazard_21_another_tenants_id_is_as_unknown_as_nobodys() {
    let Some(site) = site() else { return };
    let theirs = site.front(site.setup("theirs-"));
    let ours = site.front(site.setup("ours-"));
    theirs.check(JavaAdmin, "create secrets 1 1 -> ok");
    theirs.check(JavaFlow, "produce secrets one -> ok");
    let ids = [("secrets", id_of(&mut theirs.log_in(), "secrets")), ("nobody's", Uuid::from_u128(77))];
    let mut client = ours.log_in();
    for version in 13..=18 {
        let [foreign, unknown] =
            [0, 1].map(|place| client.ask(version, &fetch(version, 0, -1, &ids[place..=place])));
        assert_eq!(codes(&foreign, &ids), [("secrets", 100)]);
        assert_eq!(codes(&unknown, &ids), [("nobody's", 100)]);
        assert_eq!(foreign.responses[0].partitions, unknown.responses[0].partitions);
        let both = client.ask(version, &fetch(version, 0, 0, &ids));
        assert_eq!(codes(&both, &ids), [("nobody's", 100), ("secrets", 100)]);
    }
}

#[test]
fn hazard_22_a_topic_made_through_one_gateway_is_read_by_its_id_through_another() {
    let Some(site) = site() else { return };
    let (one, other) = (site.front(site.setup("twins-")), site.front(site.setup("twins-")));
    let mut reader = other.log_in();
    for number in 0..5 {
        let topic = format!("new-{number}");
        let mut maker = one.log_in();
        site.direct().create(&format!("twins-{topic}"));
        let ids = [(topic.as_str(), id_of(&mut maker, &topic))];
        // The other has never heard of it. A broker may know a topic before it leads it.
        let code = until("the broker leads the topic", || {
            match codes(&reader.ask(17, &fetch(17, 0, -1, &ids)), &ids)[0].1 {
                NOT_LEADER => None,
                code => Some(code),
            }
        });
        assert_eq!(code, 0, "{topic}");
    }
}

/// One test, so that its three brokers are gone when it is over.
#[test]
fn a_consumer_reads_from_the_replica_in_its_rack() {
    if !kafka::is_here() {
        return;
    }
    let issuer = site::issuer("1h");
    let selector = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let kafka = Kafka::start(3, &issuer, AUDIENCE, &["--set", "broker.rack=rack-{node}", "--set", selector]);
    let front = Front::start(site::setup(&kafka, &issuer, "racks-"), &issuer);
    front.check(JavaAdmin, "create near 1 3 -> ok");
    front.check(JavaFlow, "produce near one -> ok");
    let mut reader = front.converse(JavaFlow);
    let mut read_from = Vec::new();
    for rack in 1..=3 {
        assert_eq!(reader.say(&format!("assign rack-{rack} near:1")), "ok");
        assert_eq!(reader.say("poll 1"), "ok one");
        read_from.push(reader.say("read-from"));
    }
    let leader = read_from.iter().position(|node| node == "ok -1").expect("one rack is the leader's");
    let followers = (0..3).filter(|place| *place != leader);
    assert!(followers.clone().all(|place| read_from[place] == format!("ok {}", place + 1)), "{read_from:?}");
}

/// A fetch of the first partition of these topics, by name or by id as the version has it.
fn fetch(version: i16, session: i32, epoch: i32, topics: &[(&str, Uuid)]) -> FetchRequest {
    let topics = topics.iter().map(|(name, id)| {
        let topic = match version {
            ..13 => FetchTopic::default().with_topic(topic(name)),
            _ => FetchTopic::default().with_topic_id(*id),
        };
        topic.with_partitions(vec![FetchPartition::default().with_partition_max_bytes(1 << 20)])
    });
    FetchRequest::default()
        .with_max_wait_ms(200)
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_session_id(session)
        .with_session_epoch(epoch)
        .with_topics(topics.collect())
}

/// The code of each topic's first partition, by name.
fn codes<'m>(answer: &FetchResponse, ids: &[(&'m str, Uuid)]) -> Vec<(&'m str, i16)> {
    let topics = answer.responses.iter().filter_map(|found| {
        let is_it = |(name, id): &&(&str, Uuid)| found.topic == topic(name) || found.topic_id == *id;
        Some((ids.iter().find(is_it)?.0, found.partitions[0].error_code))
    });
    let mut codes: Vec<_> = topics.collect();
    codes.sort_unstable();
    codes
}

/// The id of a topic, as Metadata tells it.
fn id_of(client: &mut Client, name: &str) -> Uuid {
    let asked = MetadataRequestTopic::default().with_name(Some(topic(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    until("the topic is known", || {
        let answer = client.ask(12, &request);
        let found = &answer.topics[0];
        (found.error_code == 0 && !found.topic_id.is_nil()).then_some(found.topic_id)
    })
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
