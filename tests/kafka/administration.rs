//! What an administrator does with logs, offsets and configs, and how much of it each may do.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, DescribeTopicPartitionsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::messages::DescribeLogDirsRequest;

use crate::direct::until;
use crate::support::client::Client;
use crate::support::clients::Tool::{JavaAdmin, JavaFlow};
use crate::world::Way;

cases! {
    a_topic_is_emptied_by_those_who_may_delete_it
    producers_are_shown_to_those_who_may_read
    a_group_forgets_what_the_client_may_read
    whole_configs_are_replaced
    topics_are_described_one_by_one
    topics_are_described_page_by_page
    disks_are_shown_to_those_who_may_describe_the_cluster
}

fn a_topic_is_emptied_by_those_who_may_delete_it(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-full 1 {brokers} -> ok
         create visible-full 1 {brokers} -> ok",
    );
    way.check(JavaFlow, "producer-app", "produce readable-full one two three -> ok");
    way.check(JavaAdmin, "reader-app", "empty readable-full 2 -> TOPIC_AUTHORIZATION_FAILED");
    way.check(
        JavaAdmin,
        "cleaner-app",
        "empty visible-full 0 -> TOPIC_AUTHORIZATION_FAILED
         empty readable-full 9 -> OFFSET_OUT_OF_RANGE
         empty readable-full 2 -> ok 2
         offsets readable-full 0 -> ok 2 3
         empty readable-full -1 -> ok 3
         offsets readable-full 0 -> ok 3 3",
    );
}

fn producers_are_shown_to_those_who_may_read(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-written 1 {brokers} -> ok
         create visible-written 1 {brokers} -> ok
         producers readable-written -> ok 0",
    );
    way.check(JavaFlow, "producer-app", "produce readable-written one -> ok");
    way.check(
        JavaAdmin,
        "reader-app",
        "producers readable-written -> ok 1
         producers visible-written -> TOPIC_AUTHORIZATION_FAILED",
    );
}

fn a_group_forgets_what_the_client_may_read(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-forgotten 1 {brokers} -> ok
         create visible-forgotten 1 {brokers} -> ok
         commit reader-forgotten readable-forgotten 3 -> ok
         commit reader-forgotten visible-forgotten 4 -> ok",
    );
    let (both, denied) = ("readable-forgotten visible-forgotten", "TOPIC_AUTHORIZATION_FAILED");
    way.check(
        JavaAdmin,
        "cleaner-app",
        &format!(
            "forget other-forgotten {both} -> ok GROUP_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED
             forget reader-forgotten-not {both} -> ok GROUP_ID_NOT_FOUND GROUP_ID_NOT_FOUND
             forget reader-forgotten-not visible-forgotten -> ok GROUP_ID_NOT_FOUND
             forget reader-forgotten {both} readable-forgotten-not -> ok ok {denied} UNKNOWN_TOPIC_OR_PARTITION
             forget reader-forgotten visible-forgotten -> ok {denied}"
        ),
    );
    way.check(JavaAdmin, "admin-app", "committed reader-forgotten -> ok {visible-forgotten-0=4}");
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER_LOGGER: i8 = 8;

fn whole_configs_are_replaced(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-config 1 {brokers} -> ok
         create visible-whole 1 {brokers} -> ok
         set-config readable-config cleanup.policy compact -> ok",
    );
    let mut client = way.log_in("cleaner-app");
    for version in 0..=2 {
        let retention = format!("720000{version}");
        let mut replace = |r#type, name: &str, value: Option<&str>| {
            let config = AlterableConfig::default().with_name(text("retention.ms"));
            let resource = AlterConfigsResource::default()
                .with_resource_type(r#type)
                .with_resource_name(text(name))
                .with_configs(vec![config.with_value(value.map(text))]);
            let request = AlterConfigsRequest::default().with_resources(vec![resource]);
            let answer = client.ask(version, &request).responses.remove(0);
            let told = answer.error_message.unwrap_or_default();
            assert!(way.prefix().is_empty() || !told.contains(way.prefix()), "{told}");
            (answer.resource_type, answer.resource_name.to_string(), answer.error_code)
        };
        let said = |r#type, name: &str, code| (r#type, name.to_owned(), code);
        let whole = "readable-config";
        assert_eq!(replace(TOPIC, whole, Some(&retention)), said(TOPIC, whole, 0));
        assert_eq!(replace(TOPIC, whole, Some("soon")), said(TOPIC, whole, 40));
        assert_eq!(replace(TOPIC, whole, None), said(TOPIC, whole, 42));
        assert_eq!(replace(TOPIC, "visible-whole", Some("1")), said(TOPIC, "visible-whole", 29));
        assert_eq!(replace(TOPIC, "visible-whole", None), said(TOPIC, "visible-whole", 42));
        assert_eq!(replace(BROKER_LOGGER, "1", Some("1")), said(BROKER_LOGGER, "1", 42));
        let mut client = way.log_in("admin-app");
        until("the configs are replaced", || {
            (configs(&mut client, whole) == [text("delete"), text(&retention)]).then_some(())
        });
    }
}

/// The cleanup policy and the retention of a topic.
fn configs(client: &mut Client, topic: &str) -> Vec<StrBytes> {
    let keys = ["cleanup.policy", "retention.ms"];
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configuration_keys(Some(keys.map(text).to_vec()));
    let answer = client.ask(4, &DescribeConfigsRequest::default().with_resources(vec![resource]));
    let mut configs = answer.results.into_iter().next().expect("it was asked for").configs;
    configs.sort_by_key(|config| config.name.to_string());
    configs.into_iter().filter_map(|config| config.value).collect()
}

fn topics_are_described_one_by_one(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-several 2 {brokers} -> ok
         create visible-several 3 {brokers} -> ok
         create hidden-several 1 {brokers} -> ok",
    );
    way.check(
        JavaAdmin,
        "reader-app",
        "described visible-several hidden-several readable-several readable-several-not hidden-several-not \
         -> ok 3 TOPIC_AUTHORIZATION_FAILED 2 UNKNOWN_TOPIC_OR_PARTITION TOPIC_AUTHORIZATION_FAILED",
    );
}

type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn page(client: &mut Client, topics: &[&str], limit: i32, from: Option<(&str, i32)>) -> Page {
    let topics = topics.iter().map(|topic| TopicRequest::default().with_name(TopicName(text(topic))));
    let cursor = from.map(|(topic, partition)| {
        Cursor::default().with_topic_name(TopicName(text(topic))).with_partition_index(partition)
    });
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor);
    let answer = client.ask(0, &request);
    let mut topics: Vec<_> = answer
        .topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
            (topic.name.as_ref().expect("it has a name").to_string(), topic.error_code, partitions.collect())
        })
        .collect();
    // What is refused comes last, in any order.
    topics.sort_by_key(|(name, code, _)| (*code == 29, name.clone()));
    let next = answer.next_cursor;
    (topics, next.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index)))
}

fn topics_are_described_page_by_page(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create visible-page-1 2 {brokers} -> ok
         create visible-page-2 1 {brokers} -> ok
         create hidden-page 1 {brokers} -> ok",
    );
    let mut client = way.log_in("reader-app");
    until("this broker knows of the topics", || {
        let (topics, _) = page(&mut client, &["visible-page-1", "visible-page-2"], 9, None);
        topics.iter().all(|(_, code, _)| *code == 0).then_some(())
    });
    let described = |name: &str, partitions: &[i32]| (name.to_owned(), 0, partitions.to_vec());
    let refused = |name: &str| (name.to_owned(), 29, Vec::new());
    let next = |name: &str, partition| Some((name.to_owned(), partition));
    let named = ["visible-page-2", "hidden-page", "visible-page-1", "visible-page-2"];
    for (topics, limit, from, expected) in [
        (
            &named[..],
            2,
            None,
            (vec![described("visible-page-1", &[0, 1]), refused("hidden-page")], next("visible-page-2", 0)),
        ),
        (
            &named,
            1,
            None,
            (vec![described("visible-page-1", &[0]), refused("hidden-page")], next("visible-page-1", 1)),
        ),
        (
            &named,
            1,
            Some(("visible-page-1", 1)),
            (vec![described("visible-page-1", &[1])], next("visible-page-2", 0)),
        ),
        (&named, 9, Some(("visible-page-2", 0)), (vec![described("visible-page-2", &[0])], None)),
        (
            &["visible-page-1", "hidden-page"],
            9,
            Some(("hidden-page", 0)),
            (vec![described("visible-page-1", &[0, 1]), refused("hidden-page")], None),
        ),
        (
            &["visible-page-1"],
            9,
            Some(("visible-page-2", 0)),
            (vec![("visible-page-1".to_owned(), 42, vec![])], None),
        ),
        // All topics, from one on.
        (
            &[],
            1,
            Some(("visible-page-", 7)),
            (vec![described("visible-page-1", &[0])], next("visible-page-1", 1)),
        ),
        (
            &[],
            1,
            Some(("visible-page-1", 1)),
            (vec![described("visible-page-1", &[1])], next("visible-page-2", 0)),
        ),
        (&[], 1, Some(("visible-page-1", -1)), (vec![], None)),
    ] {
        assert_eq!(page(&mut client, topics, limit, from), expected, "{topics:?} {limit} {from:?}");
    }
}

fn disks_are_shown_to_those_who_may_describe_the_cluster(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create hidden-disk 2 {brokers} -> ok");
    way.check(
        JavaAdmin,
        "cleaner-app",
        "disks hidden-disk -> ok disks={brokers} hidden-disk-0 hidden-disk-1",
    );
    way.check(JavaAdmin, "reader-app", "disks hidden-disk -> CLUSTER_AUTHORIZATION_FAILED");
    let mut client = way.log_in("reader-app");
    for (version, code) in [(1, 0), (2, 0), (3, 31), (4, 31), (5, 31)] {
        let answer = client.ask(version, &DescribeLogDirsRequest::default().with_topics(None));
        assert_eq!((answer.error_code, answer.results.len()), (code, 0), "{version}");
    }
}
