//! A topic under two names: each is a topic of its own to clients, with an id of its own.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};
use sluicegate::wire::ApiKey;
use sluicegate::wire::messages::{
    DescribeShareGroupOffsetsRequest, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
    ShareAcknowledgeRequest, ShareFetchRequest,
};
use uuid::Uuid;

use super::families::{About, Manner, for_each_of_topics, script};
use crate::support::broker::topic_id;
use crate::support::client::Client;
use crate::support::setup::{Policy, rule};
use crate::support::stage::Stage;

const ON_BACKEND: &str = "my-orders-v2";

/// Who may read and describe `orders`, an alias of `orders-v2`, and describe the topic itself.
fn stage() -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().more.push("topic_aliases: [{alias: orders, topic: orders-v2}]".to_owned());
        let rules =
            [rule("allow", "topic", "read", "orders"), rule("allow", "topic", "describe", "orders-v2")];
        setup.tenant().policies = vec![Policy::new("readers", None, &rules)];
    });
    stage.broker().has_topics(&[ON_BACKEND]);
    stage
}

/// The topics that a client is shown, with their ids and codes.
fn described(client: &mut Client, names: Option<&[&str]>) -> Vec<(String, Uuid, i16)> {
    let topic = |name: &&str| {
        let name = TopicName((*name).to_owned().into());
        MetadataRequestTopic::default().with_name(Some(name))
    };
    let request =
        MetadataRequest::default().with_topics(names.map(|names| names.iter().map(topic).collect()));
    let topics = client.ask(12, &request).topics;
    let shown = topics.into_iter();
    shown
        .map(|topic| (topic.name.unwrap_or_default().to_string(), topic.topic_id, topic.error_code))
        .collect()
}

#[test]
fn hazard_33_an_alias_and_its_topic_have_an_id_each() {
    let stage = stage();
    let mut client = stage.log_in("alice");
    let (own, alias) = (topic_id(ON_BACKEND), described(&mut client, Some(&["orders"]))[0].1);
    assert_ne!(alias, own);
    let (topic, second) = (("orders-v2".to_owned(), own, 0), ("orders".to_owned(), alias, 0));
    assert_eq!(described(&mut client, Some(&["orders", "orders-v2"])), [second.clone(), topic.clone()]);
    assert_eq!(described(&mut client, None), [topic, second]);
}

#[test]
fn an_alias_is_read_by_its_name_and_by_its_id_with_the_right_to_the_alias() {
    let stage = stage();
    let mut client = stage.log_in("alice");
    let alias = described(&mut client, Some(&["orders"]))[0].1;
    script::<FetchRequest>(stage.broker(), &Manner::default());
    for version in [12, 13] {
        for (name, id, expected) in [("orders", alias, 0), ("orders-v2", topic_id(ON_BACKEND), 29)] {
            let before = stage.broker().expect(ApiKey::Fetch, 0).len();
            let mut request = FetchRequest::about(&[name], version);
            if version >= 13 {
                request.topics[0].topic_id = id;
            }
            let answer = client.ask(version, &request);
            let [topic] = &answer.responses[..] else { panic!("{answer:?}") };
            let (shown, said) = (&topic.topic, &request.topics[0]);
            assert_eq!((shown, topic.topic_id), (&said.topic, said.topic_id), "v{version} {name}");
            assert_eq!(topic.partitions[0].error_code, expected, "v{version} {name}");
            let asked = stage.broker().expect(ApiKey::Fetch, before);
            let names = asked[before..].iter().map(|asked| asked.request::<FetchRequest>().names());
            let names: Vec<_> = names.collect();
            let sent = if expected == 0 { vec![vec![ON_BACKEND.to_owned()]] } else { vec![] };
            assert_eq!(names, sent, "v{version} {name}");
        }
    }
}

#[test]
fn the_id_of_an_alias_is_known_to_a_gateway_that_never_told_it() {
    let (first, second) = (stage(), stage());
    let alias = described(&mut first.log_in("alice"), Some(&["orders"]))[0].1;
    script::<FetchRequest>(second.broker(), &Manner::default());
    let mut client = second.log_in("alice");
    let mut request = FetchRequest::about(&["orders"], 13);
    for (id, expected) in [(alias, 0), (Uuid::from_u128(7), 100)] {
        request.topics[0].topic_id = id;
        let answer = client.ask(13, &request);
        let [topic] = &answer.responses[..] else { panic!("{answer:?}") };
        assert_eq!((topic.topic_id, topic.partitions[0].error_code), (id, expected));
    }
}

/// Who may do everything with a topic under both of its names.
fn stage_of_both() -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().more.push("topic_aliases: [{alias: orders, topic: orders-v2}]".to_owned());
        let everything = ["topic", "group", "transactional_id", "cluster"];
        let rules = everything.map(|resource| rule("allow", resource, "all", "*"));
        setup.tenant().policies = vec![Policy::new("everything", None, &rules)];
    });
    stage.broker().has_topics(&[ON_BACKEND]);
    stage
}

/// The same message, in which one id stands in place of another.
fn exchanged<M: Encodable + Decodable>(message: &M, version: i16, id: Uuid, by: Uuid) -> M {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("it was just read, or written by a test");
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(16).position(|window| window == id.as_bytes()) {
        at += next;
        bytes[at..at + 16].copy_from_slice(by.as_bytes());
    }
    M::decode(&mut Bytes::from(bytes), version).expect("ids are all of one length")
}

/// Asks about a topic by both of its names in one request, in every version, and is told of both.
fn is_told_of_both<R: About>(stage: &Stage, alias: Uuid) {
    script::<R>(stage.broker(), &Manner::default());
    let key = ApiKey::try_from(R::KEY).expect("a request has a known key");
    let said_by_the_helpers = topic_id("my-orders");
    for version in R::SERVED {
        // Of its own for each: what a connection has said before is another story.
        let mut client = stage.log_in("alice");
        let before = stage.broker().expect(key, 0).len();
        let request = R::about(&["orders", "orders-v2"], version);
        let answer = client.ask(version, &exchanged(&request, version, said_by_the_helpers, alias));
        let mut told = R::codes(&exchanged(&answer, version, alias, said_by_the_helpers));
        told.sort();
        let expected = match key {
            ApiKey::CreateTopics => &[("orders", 36), ("orders-v2", 0)],
            // What comes next stands on a page of its own.
            ApiKey::DescribeTopicPartitions => &[("orders", 0)][..],
            // A share session has a partition once.
            ApiKey::ShareFetch | ApiKey::ShareAcknowledge => &[("orders", 0), ("orders-v2", 42)],
            _ => &[("orders", 0), ("orders-v2", 0)],
        };
        let expected: Vec<_> = expected.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect();
        assert_eq!(told, expected, "{key:?} version {version}");
        for asked in &stage.broker().expect(key, before)[before..] {
            let names = asked.request::<R>().names();
            assert!(names.iter().all(|name| name == ON_BACKEND), "{key:?} version {version}: {names:?}");
        }
    }
}

macro_rules! each_is_told_of_both {
    ($($request:ident)+) => {
        |stage: &Stage, alias: Uuid| { $(is_told_of_both::<$request>(stage, alias);)+ }
    };
}

#[test]
fn hazard_33_one_request_speaks_of_a_topic_by_both_of_its_names() {
    let stage = stage_of_both();
    let alias = described(&mut stage.log_in("alice"), Some(&["orders"]))[0].1;
    for_each_of_topics!(each_is_told_of_both)(&stage, alias);
}
