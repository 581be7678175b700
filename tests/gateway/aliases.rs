//! A topic under two names: each is a topic of its own to clients, with an id of its own.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FetchRequest, MetadataRequest, TopicName};
use sluicegate::wire::ApiKey;
use uuid::Uuid;

use super::families::{About, Manner, script};
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
