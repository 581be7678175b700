//! Groups whose coordinator assigns the partitions (KIP-848): in the form of `families.rs`, and what they alone have.

use std::ops::RangeInclusive;

use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;
use sluicegate::wire::ApiKey;
use uuid::Uuid;

use super::families::{About, BACKEND_HOST, Manner, group, script, strings, text, topic};
use super::wary::Wary;
use crate::support::broker::{Broker, topic_id};
use crate::support::setup::{Policy, Setup, Tenant, rule};
use crate::support::stage::{Stage, token};

impl About for ConsumerGroupHeartbeatRequest {
    const SERVED: RangeInclusive<i16> = 0..=1;

    fn about(names: &[&str], _version: i16) -> Self {
        Self::default().with_group_id(group(names[0]))
    }

    fn names(&self) -> Vec<String> {
        vec![self.group_id.to_string()]
    }

    fn answered(&self, _version: i16, manner: &Manner) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse::default()
            .with_error_code(manner.code)
            .with_error_message(manner.words())
    }

    fn codes(response: &ConsumerGroupHeartbeatResponse) -> Vec<(String, i16)> {
        vec![(String::new(), response.error_code)]
    }
}

impl About for ConsumerGroupDescribeRequest {
    const SERVED: RangeInclusive<i16> = 0..=1;

    fn about(names: &[&str], _version: i16) -> Self {
        Self::default().with_group_ids(names.iter().map(|name| group(name)).collect())
    }

    fn names(&self) -> Vec<String> {
        strings(self.group_ids.iter().map(|group| &group.0))
    }

    fn answered(&self, _version: i16, manner: &Manner) -> ConsumerGroupDescribeResponse {
        let member = Member::default()
            .with_client_host(text(BACKEND_HOST))
            .with_subscribed_topic_names(manner.neighbours.iter().map(|name| topic(name)).collect());
        let asked = self.names();
        let groups = manner.with(asked.iter().map(String::as_str)).into_iter().map(|id| {
            DescribedGroup::default()
                .with_group_id(GroupId(id))
                .with_error_code(manner.code)
                .with_error_message(manner.words())
                .with_members(vec![member.clone()])
        });
        ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
    }

    fn codes(response: &ConsumerGroupDescribeResponse) -> Vec<(String, i16)> {
        response.groups.iter().map(|group| (group.group_id.to_string(), group.error_code)).collect()
    }
}

/// Words that `red` may not read.
const FOREIGN: &[&str] = &["red-", "blue-", "stranger", "__consumer_offsets", BACKEND_HOST];

const TOPICS: [&str; 5] = ["red-orders", "red-secret", "blue-orders", "stranger", "__consumer_offsets"];

fn red(setup: &mut Setup, jwks: &str) {
    setup.tenants = vec![Tenant::new("red", "red-", jwks)];
}

/// A tenant whose clients may not know of `secret`.
fn red_with_a_secret(setup: &mut Setup, jwks: &str) {
    red(setup, jwks);
    let rules = [
        rule("allow", "group", "read", "*"),
        rule("allow", "topic", "read", "*"),
        rule("deny", "topic", "describe", "secret"),
    ];
    setup.tenant().policies = vec![Policy::new("reader", None, &rules)];
}

fn log_in(stage: &Stage) -> Wary {
    Wary::of(stage.log_in_at(stage.setup.tenants[0].port, &token("alice")), FOREIGN)
}

/// What the last request of a client asked the broker.
fn last<R: Request>(broker: &Broker) -> R {
    broker.asked().last().expect("something was asked").request::<R>()
}

fn heartbeat(epoch: i32, names: Option<&[&str]>, pattern: Option<&str>) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("app"))
        .with_member_id(text("member"))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(names.map(|names| names.iter().map(|name| topic(name)).collect()))
        .with_subscribed_topic_regex(pattern.map(text))
}

/// Says something of a subscription, and expects what the broker hears of it.
fn check(
    (client, broker): (&mut Wary, &Broker),
    said: &ConsumerGroupHeartbeatRequest,
    names: Option<&[&str]>,
    pattern: Option<&str>,
) {
    assert_eq!(client.ask(1, said).error_code, 0, "{said:?}");
    let heard = last::<ConsumerGroupHeartbeatRequest>(broker);
    assert_eq!(heard.group_id.as_str(), "red-app");
    let expected = heartbeat(0, names, pattern);
    assert_eq!(heard.subscribed_topic_names, expected.subscribed_topic_names, "{said:?}");
    assert_eq!(heard.subscribed_topic_regex, expected.subscribed_topic_regex, "{said:?}");
}

#[test]
fn hazard_19_a_pattern_over_topics_stays_in_the_namespace() {
    for tenant in [red, red_with_a_secret] {
        let stage = Stage::start_with(1, tenant);
        let broker = stage.broker();
        broker.has_topics(&TOPICS);
        script::<ConsumerGroupHeartbeatRequest>(broker, &Manner::default());
        let mut client = log_in(&stage);
        for pattern in ["a)|(.*", "[a[b])|(.*|x]", "*"] {
            let answer = client.ask(1, &heartbeat(0, Some(&[]), Some(pattern)));
            assert_eq!((answer.error_code, answer.member_epoch), (128, 0), "{pattern:?}");
        }
        broker.assert_untouched();
    }
    let stage = Stage::start_with(1, red);
    script::<ConsumerGroupHeartbeatRequest>(stage.broker(), &Manner::default());
    let mut client = log_in(&stage);
    let dialogue = (&mut client, stage.broker());
    check(dialogue, &heartbeat(0, Some(&[]), Some("x|.*")), Some(&[]), Some("red-(?:x|.*)"));
    let stage = Stage::start_with(1, red_with_a_secret);
    stage.broker().has_topics(&TOPICS);
    script::<ConsumerGroupHeartbeatRequest>(stage.broker(), &Manner::default());
    let mut client = log_in(&stage);
    let dialogue = (&mut client, stage.broker());
    check(dialogue, &heartbeat(0, Some(&[]), Some("x|.*")), Some(&["red-orders"]), Some(""));
}

#[test]
fn hazard_20_neither_null_nor_the_empty_pattern_is_prefixed() {
    for tenant in [red, red_with_a_secret] {
        let stage = Stage::start_with(1, tenant);
        let broker = stage.broker();
        broker.has_topics(&TOPICS);
        script::<ConsumerGroupHeartbeatRequest>(broker, &Manner::default());
        let mut client = log_in(&stage);
        check((&mut client, broker), &heartbeat(0, Some(&["bills"]), None), Some(&["red-bills"]), None);
        check((&mut client, broker), &heartbeat(1, None, None), None, None);
        client.ask(1, &heartbeat(1, None, Some("orders")));
        let taken_back = heartbeat(1, None, Some(""));
        client.ask(1, &taken_back);
        let heard = last::<ConsumerGroupHeartbeatRequest>(broker);
        assert_eq!(heard.subscribed_topic_regex.as_deref(), Some(""));
        // What was found for the pattern goes with it.
        let names = heard.subscribed_topic_names.map(|names| strings(names.iter().map(|name| &name.0)));
        assert!(names.is_none_or(|names| names == ["red-bills"]));
    }
}

#[test]
fn a_topic_that_comes_later_is_found_where_the_gateway_looks() {
    let stage = Stage::start_with(1, red_with_a_secret);
    let broker = stage.broker();
    broker.has_topics(&TOPICS);
    script::<ConsumerGroupHeartbeatRequest>(broker, &Manner::default());
    let mut client = log_in(&stage);
    check((&mut client, broker), &heartbeat(0, Some(&[]), Some("o.*")), Some(&["red-orders"]), Some(""));
    broker.has_topics(&["red-others", "blue-others"]);
    for _ in 0..2 {
        check((&mut client, broker), &heartbeat(1, None, None), None, None);
    }
    let both: &[&str] = &["red-orders", "red-others"];
    check((&mut client, broker), &heartbeat(1, None, None), Some(both), None);
    // On a connection of its own nobody knows what the member said; what it changes, it must say whole.
    let mut other = log_in(&stage);
    check((&mut other, broker), &heartbeat(1, None, None), None, None);
    assert_eq!(other.ask(1, &heartbeat(1, None, Some("x"))).error_code, 110);
    check((&mut other, broker), &heartbeat(0, Some(&[]), Some("others")), Some(&["red-others"]), Some(""));
}

#[test]
fn a_member_is_given_and_holds_topics_of_its_own_tenant() {
    let stage = Stage::start_with(1, red);
    let broker = stage.broker();
    broker.has_topics(&TOPICS);
    let topics = ["red-orders", "blue-orders"].map(topic_id);
    broker.on::<ConsumerGroupHeartbeatRequest>(move |request| {
        let given = request.topic_partitions.iter().flatten().map(|topic| topic.topic_id).chain(topics);
        let given =
            given.map(|id| consumer_group_heartbeat_response::TopicPartitions::default().with_topic_id(id));
        let assignment = consumer_group_heartbeat_response::Assignment::default();
        ConsumerGroupHeartbeatResponse::default()
            .with_assignment(Some(assignment.with_topic_partitions(given.collect())))
    });
    let mut client = log_in(&stage);
    let [own, foreign] = topics;
    let nobodys = Uuid::from_u128(0xdead);
    let held = [own, foreign, nobodys]
        .map(|id| consumer_group_heartbeat_request::TopicPartitions::default().with_topic_id(id));
    for version in 0..=1 {
        let request = heartbeat(1, None, None).with_topic_partitions(Some(held.to_vec()));
        let answer = client.ask(version, &request);
        let heard = last::<ConsumerGroupHeartbeatRequest>(broker).topic_partitions.unwrap();
        assert_eq!(heard.iter().map(|topic| topic.topic_id).collect::<Vec<_>>(), [own]);
        let given = answer.assignment.unwrap().topic_partitions;
        assert_eq!(given.iter().map(|topic| topic.topic_id).collect::<Vec<_>>(), [own, own]);
    }
}

#[test]
fn one_topic_that_may_not_be_described_refuses_the_heartbeat() {
    let stage = Stage::start_with(1, red_with_a_secret);
    script::<ConsumerGroupHeartbeatRequest>(stage.broker(), &Manner::default());
    let mut client = log_in(&stage);
    for version in 0..=1 {
        let request = heartbeat(0, Some(&["orders", "secret"]), None);
        assert_eq!(client.ask(version, &request).error_code, 29);
        stage.broker().assert_untouched();
    }
}

#[test]
fn members_are_described_by_their_own_names_or_not_at_all() {
    let stage = Stage::start_with(1, red_with_a_secret);
    let given = |name: &str| {
        let partitions =
            TopicPartitions::default().with_topic_id(topic_id(name)).with_topic_name(topic(name));
        Assignment::default().with_topic_partitions(vec![partitions.with_partitions(vec![0])])
    };
    for version in 0..=1 {
        for (reads, code) in [("red-orders", 0), ("red-secret", 29), ("blue-orders", 29)] {
            let member = Member::default()
                .with_client_host(text(BACKEND_HOST))
                .with_subscribed_topic_names(vec![topic("red-orders"), topic("stranger")])
                .with_subscribed_topic_regex(Some(text("red-(?:o.*)")))
                .with_assignment(given("red-orders"))
                .with_target_assignment(given(reads));
            stage.broker().on::<ConsumerGroupDescribeRequest>(move |request| {
                let described = DescribedGroup::default().with_group_id(request.group_ids[0].clone());
                let described = described.with_members(vec![member.clone()]);
                ConsumerGroupDescribeResponse::default().with_groups(vec![described])
            });
            let mut client = log_in(&stage);
            let answer = client.ask(version, &ConsumerGroupDescribeRequest::about(&["app"], version));
            let group = &answer.groups[0];
            assert_eq!((group.group_id.as_str(), group.error_code), ("app", code));
            let [member] = &group.members[..] else {
                assert_eq!((code, group.members.len()), (29, 0));
                continue;
            };
            assert_eq!(member.client_host.as_str(), "");
            assert_eq!(member.subscribed_topic_names, [topic("orders")]);
            assert_eq!(member.subscribed_topic_regex.as_deref(), Some("o.*"));
            assert_eq!(member.target_assignment.topic_partitions[0].topic_name, topic("orders"));
        }
    }
    assert_eq!(last::<ConsumerGroupDescribeRequest>(stage.broker()).names(), ["red-app"]);
    assert!(stage.broker().keys_asked().iter().all(|key| *key == ApiKey::ConsumerGroupDescribe as i16));
}
