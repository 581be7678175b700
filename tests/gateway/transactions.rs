//! Transactions of two tenants over one Kafka, and of those who may not have one.

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;
use sluicegate::wire::ApiKey;

use super::families::{About, Manner, group, script, text, topic};
use super::wary::Wary;
use crate::support::broker::Broker;
use crate::support::setup::{Policy, Setup, Tenant, rule};
use crate::support::stage::{Stage, token};

/// Words that neither tenant may read: a prefix, and what is nobody's.
const FOREIGN: &[&str] = &["red-", "blue-", "stranger", "__consumer_offsets"];

fn id(id: &str) -> TransactionalId {
    TransactionalId(text(id))
}

fn red_and_blue(setup: &mut Setup, jwks: &str) {
    setup.tenants = vec![Tenant::new("red", "red-", jwks), Tenant::new("blue", "blue-", jwks)];
}

fn log_in(stage: &Stage, tenant: usize) -> Wary {
    Wary::of(stage.log_in_at(stage.setup.tenants[tenant].port, &token("alice")), FOREIGN)
}

/// What the last request of a client asked the broker.
fn last<R: Request>(broker: &Broker) -> R {
    broker.asked().last().expect("something was asked").request::<R>()
}

fn adding(producer: &str, topics: &[&str]) -> AddPartitionsToTxnRequest {
    let topics = topics
        .iter()
        .map(|name| AddPartitionsToTxnTopic::default().with_name(topic(name)).with_partitions(vec![0]));
    AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id(producer))
        .with_v3_and_below_topics(topics.collect())
}

/// A broker that adds what it is asked for, and speaks of a neighbour's topic besides.
fn adds_partitions(broker: &Broker) {
    broker.on::<AddPartitionsToTxnRequest>(|request| {
        let asked = request.v3_and_below_topics.iter().map(|topic| topic.name.clone());
        let results = asked.chain([topic("stranger")]).map(|name| {
            AddPartitionsToTxnTopicResult::default()
                .with_name(name)
                .with_results_by_partition(vec![AddPartitionsToTxnPartitionResult::default()])
        });
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
    });
}

fn codes(answer: &AddPartitionsToTxnResponse) -> Vec<(&str, i16)> {
    let topics = answer.results_by_topic_v3_and_below.iter();
    topics.map(|topic| (topic.name.as_str(), topic.results_by_partition[0].partition_error_code)).collect()
}

#[test]
fn two_tenants_have_each_a_transaction_of_one_name() {
    let stage = Stage::start_with(1, red_and_blue);
    let broker = stage.broker();
    adds_partitions(broker);
    broker.on::<AddOffsetsToTxnRequest>(|_| AddOffsetsToTxnResponse::default());
    broker.on::<EndTxnRequest>(|_| EndTxnResponse::default().with_producer_epoch(-1));
    script::<TxnOffsetCommitRequest>(broker, &Manner::default());
    for (tenant, prefix) in ["red-", "blue-"].into_iter().enumerate() {
        let mut client = log_in(&stage, tenant);
        for version in 0..=3 {
            let answer = client.ask(version, &adding("mover", &["orders", "b"]));
            assert_eq!(codes(&answer), [("orders", 0), ("b", 0)]);
            let backend = [format!("{prefix}orders"), format!("{prefix}b")];
            let expected = adding(&format!("{prefix}mover"), &backend.each_ref().map(String::as_str));
            assert_eq!(last::<AddPartitionsToTxnRequest>(broker), expected);
        }
        for version in 0..=4 {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(id("mover"))
                .with_group_id(group("readers"));
            assert_eq!(client.ask(version, &request).error_code, 0);
            let asked = last::<AddOffsetsToTxnRequest>(broker);
            assert_eq!(asked.transactional_id.as_str(), format!("{prefix}mover"));
            assert_eq!(asked.group_id.as_str(), format!("{prefix}readers"));
        }
        for version in 0..=5 {
            let request = EndTxnRequest::default().with_transactional_id(id("mover"));
            assert_eq!(client.ask(version, &request).error_code, 0);
            let asked = last::<EndTxnRequest>(broker).transactional_id;
            assert_eq!(asked.as_str(), format!("{prefix}mover"));
        }
        for version in 0..=5 {
            let request =
                TxnOffsetCommitRequest::about(&["orders"], version).with_transactional_id(id("mover"));
            assert_eq!(
                TxnOffsetCommitRequest::codes(&client.ask(version, &request)),
                [("orders".to_owned(), 0)]
            );
            let asked = last::<TxnOffsetCommitRequest>(broker);
            assert_eq!(asked.transactional_id.as_str(), format!("{prefix}mover"));
            assert_eq!(asked.group_id.as_str(), format!("{prefix}app"));
        }
    }
}

#[test]
fn an_administrator_sees_the_transactions_of_one_s_own() {
    let stage = Stage::start_with(1, red_and_blue);
    let broker = stage.broker();
    broker.on::<DescribeTransactionsRequest>(|request| {
        let topics = ["red-orders", "blue-orders", "stranger", "__consumer_offsets"];
        let topics = topics.map(|name| TopicData::default().with_topic(topic(name)).with_partitions(vec![0]));
        let states = request
            .transactional_ids
            .iter()
            .cloned()
            .chain([id("stranger")])
            .map(|id| TransactionState::default().with_transactional_id(id).with_topics(topics.to_vec()));
        DescribeTransactionsResponse::default().with_transaction_states(states.collect())
    });
    broker.on::<ListTransactionsRequest>(|_| {
        let states = ["red-mover", "blue-mover", "stranger", "red-"].map(|name| {
            list_transactions_response::TransactionState::default().with_transactional_id(id(name))
        });
        ListTransactionsResponse::default().with_transaction_states(states.to_vec())
    });
    for tenant in [0, 1] {
        let mut client = log_in(&stage, tenant);
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id("mover")]);
        let states = client.ask(0, &request).transaction_states;
        assert_eq!((states.len(), states[0].transactional_id.as_str()), (1, "mover"));
        let topics: Vec<_> = states[0].topics.iter().map(|topic| topic.topic.as_str()).collect();
        assert_eq!(topics, ["orders"]);
        for version in 0..=2 {
            let states = client.ask(version, &ListTransactionsRequest::default()).transaction_states;
            let ids: Vec<_> = states.iter().map(|state| state.transactional_id.as_str()).collect();
            assert_eq!(ids, ["mover"], "version {version}");
        }
    }
}

#[test]
fn a_transaction_needs_its_id_and_each_of_its_topics() {
    let rules = [
        rule("allow", "transactional_id", "write", "mover"),
        rule("allow", "transactional_id", "describe", "watched"),
        rule("allow", "topic", "write", "open"),
        rule("allow", "topic", "read", "open"),
        rule("allow", "group", "read", "app"),
    ];
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().policies = vec![Policy::new("mover", None, &rules)];
    });
    adds_partitions(stage.broker());
    let mut client = stage.log_in("somebody");
    for version in 0..=3 {
        let answer = client.ask(version, &adding("mover", &["open", "shut", "closed"]));
        assert_eq!(codes(&answer), [("open", 55), ("shut", 29), ("closed", 29)]);
        let answer = client.ask(version, &adding("watched", &["open", "shut"]));
        assert_eq!(codes(&answer), [("open", 53), ("shut", 53)]);
    }
    for version in 0..=4 {
        for (producer, reader, code) in [("watched", "app", 53), ("mover", "other", 30)] {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(id(producer))
                .with_group_id(group(reader));
            assert_eq!(client.ask(version, &request).error_code, code, "version {version}");
        }
    }
    for version in 0..=5 {
        let request = EndTxnRequest::default().with_transactional_id(id("watched"));
        let answer = client.ask(version, &request);
        assert_eq!((answer.error_code, answer.producer_id.0, answer.producer_epoch), (53, -1, -1));
        for (producer, reader, code) in [("watched", "app", 53), ("mover", "other", 30)] {
            let request = TxnOffsetCommitRequest::about(&["open", "shut"], version)
                .with_transactional_id(id(producer))
                .with_group_id(group(reader));
            let told = TxnOffsetCommitRequest::codes(&client.ask(version, &request));
            assert_eq!(told, ["open", "shut"].map(|name| (name.to_owned(), code)), "version {version}");
        }
    }
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id("other")]);
    let states = client.ask(0, &request).transaction_states;
    assert_eq!((states[0].transactional_id.as_str(), states[0].error_code), ("other", 53));
    assert_eq!(stage.broker().keys_asked(), [] as [i16; 0]);
}

#[test]
fn hazard_26_partitions_are_not_added_as_brokers_add_them() {
    let stage = Stage::start();
    adds_partitions(stage.broker());
    for version in 4..=5 {
        let mut client = stage.log_in("alice");
        let ranges = client.ask(0, &ApiVersionsRequest::default()).api_keys;
        let range = ranges.iter().find(|api| api.api_key == ApiKey::AddPartitionsToTxn as i16);
        assert_eq!(range.map(|api| (api.min_version, api.max_version)), Some((0, 3)));
        let of_others = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(id("mover"))
            .with_verify_only(false)
            .with_topics(vec![
                AddPartitionsToTxnTopic::default().with_name(topic("orders")).with_partitions(vec![0]),
            ]);
        client.send(version, &AddPartitionsToTxnRequest::default().with_transactions(vec![of_others]));
        client.expect_close();
    }
    assert_eq!(stage.broker().keys_asked(), [] as [i16; 0]);
}

#[test]
fn hazard_19_a_pattern_over_transactional_ids_stays_in_the_namespace() {
    let stage = Stage::start_with(1, red_and_blue);
    let broker = stage.broker();
    broker.on::<ListTransactionsRequest>(|_| ListTransactionsResponse::default());
    let mut client = log_in(&stage, 0);
    let mut listed = |pattern: Option<&str>| {
        let request = ListTransactionsRequest::default().with_transactional_id_pattern(pattern.map(text));
        client.ask(2, &request).error_code
    };
    for (pattern, on_backend) in [
        (None, "red-(?:(?s:.*))"),
        (Some(""), "red-(?:(?s:.*))"),
        (Some("x|.*"), "red-(?:x|.*)"),
        (Some("^mover$"), "red-(?:mover)"),
        (Some(r"\bmover"), "red-(?:(?s:.*))"),
    ] {
        assert_eq!(listed(pattern), 0, "{pattern:?}");
        let asked = last::<ListTransactionsRequest>(broker).transactional_id_pattern;
        assert_eq!(asked.as_deref(), Some(on_backend), "{pattern:?}");
    }
    let before = broker.asked().len();
    for pattern in ["a)|(.*", "[a[b])|(.*|x]"] {
        assert_eq!(listed(Some(pattern)), 128, "{pattern:?}");
    }
    assert_eq!(broker.asked().len(), before);
}
