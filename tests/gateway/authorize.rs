//! What a client may do: refusals with Kafka's own errors where Kafka shows them, for every API and version.
//!
//! Principals are called after their rights: `only-read` may do nothing but read, `not-read` everything else.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::*;
use serde_json::{Value, json};
use sluicegate::wire::ApiKey;
use sluicegate::wire::messages::{
    DescribeLogDirsRequest, DescribeShareGroupOffsetsRequest, ListOffsetsRequest, OffsetCommitRequest,
    OffsetFetchRequest, ShareAcknowledgeRequest, ShareFetchRequest,
};

use super::families::{About, GROUP, Manner, for_each_of_groups, for_each_of_topics, group, script, text};
use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::issuer::{ES256, claims, with};
use crate::support::setup::{Policy, Setup, rule};
use crate::support::stage::Stage;

const OPERATIONS: [&str; 8] =
    ["alter", "alter_configs", "create", "delete", "describe", "describe_configs", "read", "write"];

fn is(principal: &str) -> Option<String> {
    Some(format!("context.auth.principal.name == '{principal}'"))
}

/// A policy for one principal, of the same name.
fn of(principal: &str, rules: &[String]) -> Policy {
    Policy::new(principal, is(principal).as_deref(), rules)
}

fn policies(policies: Vec<Policy>) -> impl FnOnce(&mut Setup, &str) {
    move |setup, _| setup.tenant().policies = policies
}

/// For each operation one who may do it alone, and one who may do all but that.
fn by_operation(kind: &str, others: &str) -> Vec<Policy> {
    let mut all = Vec::new();
    for operation in OPERATIONS {
        let the_rest = [rule("allow", others, "all", "*"), rule("allow", "transactional_id", "all", "*")];
        let [others, producers] = the_rest;
        let only = [rule("allow", kind, operation, "open"), others.clone(), producers.clone()];
        let not = [rule("allow", kind, "all", "*"), rule("deny", kind, operation, "shut"), others, producers];
        // A group has no such operation.
        if kind == "group" && !matches!(operation, "delete" | "describe" | "read") {
            continue;
        }
        all.push(of(&format!("only-{operation}"), &only));
        all.push(of(&format!("not-{operation}"), &not));
    }
    all
}

/// What the requests about topics need.
fn needed(key: ApiKey) -> (&'static str, i16) {
    match key {
        ApiKey::Produce => ("write", 29),
        ApiKey::Fetch | ApiKey::OffsetCommit | ApiKey::OffsetDelete => ("read", 29),
        ApiKey::DescribeProducers | ApiKey::TxnOffsetCommit => ("read", 29),
        ApiKey::ShareFetch
        | ApiKey::ShareAcknowledge
        | ApiKey::AlterShareGroupOffsets
        | ApiKey::DeleteShareGroupOffsets => ("read", 29),
        ApiKey::ListOffsets
        | ApiKey::OffsetForLeaderEpoch
        | ApiKey::Metadata
        | ApiKey::OffsetFetch
        | ApiKey::DescribeTopicPartitions
        | ApiKey::DescribeShareGroupOffsets => ("describe", 29),
        ApiKey::CreateTopics => ("create", 29),
        ApiKey::DeleteTopics | ApiKey::DeleteRecords => ("delete", 29),
        ApiKey::CreatePartitions => ("alter", 29),
        ApiKey::DescribeConfigs => ("describe_configs", 29),
        ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => ("alter_configs", 29),
        ApiKey::FindCoordinator | ApiKey::DescribeGroups => ("describe", 30),
        ApiKey::ConsumerGroupDescribe | ApiKey::ShareGroupDescribe => ("describe", 30),
        ApiKey::DeleteGroups => ("delete", 30),
        ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::Heartbeat | ApiKey::LeaveGroup => ("read", 30),
        ApiKey::ConsumerGroupHeartbeat | ApiKey::ShareGroupHeartbeat => ("read", 30),
        other => panic!("{other:?} is not about topics or groups"),
    }
}

/// Asks about what is granted and what is not, in every version: with the one right that is needed, and with all others.
fn is_refused_partly_and_wholly<R: About>(stage: &Stage, clients: &mut BTreeMap<String, Client>) {
    let key = ApiKey::try_from(R::KEY).expect("a request has a known key");
    let (operation, code) = needed(key);
    let broker = stage.broker();
    script::<R>(broker, &Manner { nodes: vec![(1, broker.port())], ..Manner::default() });
    for principal in [format!("only-{operation}"), format!("not-{operation}")] {
        let client = clients.entry(principal.clone()).or_insert_with(|| stage.log_in(&principal));
        // What ids stand for is looked up once.
        for name in ["open", "shut"] {
            client.ask(*R::SERVED.end(), &R::about(&[name], *R::SERVED.end()));
        }
        for version in R::SERVED {
            let said = format!("{key:?} version {version} by {principal}");
            let one_at_a_time = R::about(&["open", "shut"], version).names().len() == 1;
            if !one_at_a_time {
                let mut told = R::codes(&client.ask(version, &R::about(&["shut", "open"], version)));
                told.sort();
                assert_eq!(told, [("open".to_owned(), 0), ("shut".to_owned(), code)], "{said}");
                assert_eq!(last::<R>(broker), ["my-open"], "{said}");
            }
            let told = R::codes(&client.ask(version, &R::about(&["open"], version)));
            assert_eq!(told[0].1, 0, "{said}");
            let before = broker.asked().len();
            let told = R::codes(&client.ask(version, &R::about(&["shut"], version)));
            let shown = if told[0].0.is_empty() { "" } else { "shut" };
            assert_eq!(told, [(shown.to_owned(), code)], "{said}");
            let is_about_more = matches!(
                key,
                ApiKey::Metadata
                    | ApiKey::OffsetDelete
                    | ApiKey::ShareFetch
                    | ApiKey::ShareAcknowledge
                    | ApiKey::DescribeShareGroupOffsets
                    | ApiKey::AlterShareGroupOffsets
                    | ApiKey::DeleteShareGroupOffsets
            );
            if is_about_more {
                // The brokers, the group or the session are asked for all the same.
                assert_eq!(last::<R>(broker), [] as [&str; 0], "{said}");
            } else {
                assert_eq!(broker.asked().len(), before, "{said}");
            }
        }
    }
}

fn last<R: About>(broker: &Broker) -> Vec<String> {
    broker.asked().last().expect("something was asked").request::<R>().names()
}

macro_rules! each_is_refused {
    ($($request:ident)+) => {
        |stage: &Stage, clients: &mut BTreeMap<String, Client>| {
            $(is_refused_partly_and_wholly::<$request>(stage, clients);)+
        }
    };
}

#[test]
fn each_request_about_topics_needs_its_right_and_no_other() {
    let stage = Stage::start_with(1, policies(by_operation("topic", "group")));
    for_each_of_topics!(each_is_refused)(&stage, &mut BTreeMap::new());
}

#[test]
fn each_request_about_groups_needs_its_right_and_no_other() {
    let stage = Stage::start_with(1, policies(by_operation("group", "topic")));
    for_each_of_groups!(each_is_refused)(&stage, &mut BTreeMap::new());
}

#[test]
fn a_refused_part_looks_as_if_there_were_nothing() {
    let stage = Stage::start_with(1, policies(Vec::new()));
    let mut client = stage.log_in("nobody");
    let answer = client.ask(12, &FetchRequest::about(&["shut"], 12));
    let part = &answer.responses[0].partitions[0];
    assert_eq!((part.high_watermark, part.last_stable_offset, part.log_start_offset), (-1, -1, -1));
    assert_eq!((part.preferred_read_replica.0, part.records.as_deref()), (-1, Some(&b""[..])));
    let answer = client.ask(9, &ListOffsetsRequest::about(&["shut"], 9));
    let part = &answer.topics[0].partitions[0];
    assert_eq!((part.timestamp, part.offset, part.leader_epoch), (-1, -1, -1));
    let answer = client.ask(12, &ProduceRequest::about(&["shut"], 12));
    let part = &answer.responses[0].partition_responses[0];
    assert_eq!((part.base_offset, part.log_append_time_ms, part.log_start_offset), (-1, -1, -1));
    let answer = client.ask(4, &OffsetForLeaderEpochRequest::about(&["shut"], 4));
    let part = &answer.topics[0].partitions[0];
    assert_eq!((part.leader_epoch, part.end_offset), (-1, -1));
    let answer = client.ask(13, &MetadataRequest::about(&["shut"], 13));
    let shut = &answer.topics[0];
    assert!(shut.topic_id.is_nil() && shut.partitions.is_empty() && !shut.is_internal, "{shut:?}");
    let answer = client.ask(7, &CreateTopicsRequest::about(&["shut"], 7));
    let shut = &answer.topics[0];
    assert_eq!(shut.error_message.as_deref(), Some("Authorization failed."));
    assert!(shut.topic_id.is_nil(), "{shut:?}");
    let answer = client.ask(4, &FindCoordinatorRequest::about(&["shut"], 4));
    let shut = &answer.coordinators[0];
    assert_eq!((shut.node_id.0, shut.host.as_str(), shut.port), (-1, "", -1));
    let answer = client.ask(2, &DeleteRecordsRequest::about(&["shut"], 2));
    assert_eq!(answer.topics[0].partitions[0].low_watermark, -1);
    let answer = client.ask(0, &DescribeProducersRequest::about(&["shut"], 0));
    let part = &answer.topics[0].partitions[0];
    assert_eq!(part.error_message.as_deref(), Some("Topic authorization failed."));
    assert!(part.active_producers.is_empty(), "{part:?}");
    for (version, code) in [(1, 0), (2, 0), (3, 31), (5, 31)] {
        let answer = client.ask(version, &DescribeLogDirsRequest::default().with_topics(None));
        assert_eq!((answer.error_code, answer.results.len()), (code, 0));
    }
    let answer = client.ask(5, &JoinGroupRequest::about(&["shut"], 5));
    assert_eq!((answer.generation_id, answer.members.len()), (-1, 0));
}

#[test]
fn no_policy_means_no_access() {
    let stage = Stage::start_with(1, policies(Vec::new()));
    stage.broker().has_topics(&["my-open"]);
    stage.broker().on::<ListGroupsRequest>(|_| {
        ListGroupsResponse::default().with_groups(vec![ListedGroup::default().with_group_id(group("my-app"))])
    });
    let mut client = stage.log_in("somebody");
    assert!(client.ask(9, &MetadataRequest::default().with_topics(None)).topics.is_empty());
    assert!(client.ask(4, &ListGroupsRequest::default()).groups.is_empty());
    assert_eq!(ProduceRequest::codes(&client.ask(9, &ProduceRequest::about(&["open"], 9)))[0].1, 29);
    assert_eq!(client.ask(4, &HeartbeatRequest::about(&["app"], 4)).error_code, 30);
    assert_eq!(client.ask(4, &idempotent()).error_code, 31);
    let line = stage.expect_audit("the write", |line| line["api"] == "Produce");
    assert_eq!(line["policy_rule"], "no rule allows it");
}

#[test]
fn a_group_that_is_refused_is_refused_where_its_version_shows_it() {
    let rules = [rule("allow", "topic", "all", "*"), rule("allow", "group", "read", "open-group")];
    let stage = Stage::start_with(1, policies(vec![Policy::new("topics", None, &rules)]));
    let mut client = stage.log_in("somebody");
    let both = ["a", "b"];
    for version in OffsetCommitRequest::SERVED {
        let told = client.ask(version, &OffsetCommitRequest::about(&both, version));
        assert_eq!(OffsetCommitRequest::codes(&told), both.map(|name| (name.to_owned(), 30)));
    }
    for version in OffsetFetchRequest::SERVED {
        let told = client.ask(version, &OffsetFetchRequest::about(&both, version));
        match version {
            1 => assert_eq!(OffsetFetchRequest::codes(&told), both.map(|name| (name.to_owned(), 30))),
            2..=7 => assert_eq!((told.error_code, told.topics.len()), (30, 0)),
            _ => assert_eq!((told.groups[0].error_code, told.groups[0].topics.len()), (30, 0)),
        }
    }
    // Whose topics the ids are is another question.
    assert!(stage.broker().asked().iter().all(|asked| asked.key() == ApiKey::Metadata as i16));
}

/// Asks for a producer id without a transactional one.
fn idempotent() -> InitProducerIdRequest {
    InitProducerIdRequest::default().with_transactional_id(None)
}

/// Records whose first batch bears the transactional bit.
fn transactional() -> Option<Bytes> {
    let mut batch = vec![0; 61];
    (batch[16], batch[22]) = (2, 0b1_0000);
    Some(Bytes::from(batch))
}

#[test]
fn a_transactional_id_is_asked_for_where_records_are_transactional() {
    let rules = [rule("allow", "topic", "all", "*"), rule("allow", "transactional_id", "write", "mover")];
    let stage = Stage::start_with(1, policies(vec![Policy::new("mover", None, &rules)]));
    script::<MetadataRequest>(stage.broker(), &Manner::default());
    script::<ProduceRequest>(stage.broker(), &Manner::default());
    script::<FindCoordinatorRequest>(stage.broker(), &Manner::default());
    stage.broker().on::<InitProducerIdRequest>(|_| InitProducerIdResponse::default());
    let mut client = stage.log_in("somebody");
    let id = |id: &str| Some(TransactionalId(text(id)));
    for version in ProduceRequest::SERVED {
        for (transactional_id, code) in [(id("mover"), 0), (id("other"), 53), (None, 53)] {
            let mut request = ProduceRequest::about(&["a", "b"], version);
            request.transactional_id = transactional_id;
            request.topic_data[1].partition_data[0].records = transactional();
            let told = ProduceRequest::codes(&client.ask(version, &request));
            assert_eq!(told, ["a", "b"].map(|name| (name.to_owned(), code)), "version {version}");
        }
    }
    for version in 0..=5 {
        for (name, code) in [("mover", 0), ("other", 53)] {
            let request = InitProducerIdRequest::default().with_transactional_id(id(name));
            let answer = client.ask(version, &request);
            assert_eq!(answer.error_code, code);
            assert!(code == 0 || (answer.producer_id.0, answer.producer_epoch) == (-1, -1));
        }
    }
    for version in 1..=6 {
        for (name, code) in [("mover", 0), ("other", 53)] {
            let request = FindCoordinatorRequest::about(&[name], version).with_key_type(1);
            let told = FindCoordinatorRequest::codes(&client.ask(version, &request));
            // The scripted broker is no coordinator of anything, and has no address.
            let found = if code == 0 { 15 } else { code };
            assert_eq!(told[0].1, found, "version {version}");
        }
    }
}

#[test]
fn what_belongs_to_the_cluster_is_refused_with_the_cluster_s_error() {
    let stage = Stage::start();
    let mut client = stage.log_in("who may do everything");
    // A broker's configuration is every tenant's, so that not even all rights open it.
    for version in DescribeConfigsRequest::SERVED {
        for resource_type in [4, 8, 16] {
            let broker = DescribeConfigsResource::default()
                .with_resource_type(resource_type)
                .with_resource_name(text("1"));
            let request = DescribeConfigsRequest::default().with_resources(vec![broker]);
            let told = DescribeConfigsRequest::codes(&client.ask(version, &request));
            assert_eq!(told, [("1".to_owned(), 31)]);
        }
    }
    // Where share groups keep their state is asked by brokers alone.
    for version in 1..=6 {
        let request = FindCoordinatorRequest::about(&["app:id:0"], version).with_key_type(2);
        let code = if version >= 6 { 31 } else { 42 };
        assert_eq!(FindCoordinatorRequest::codes(&client.ask(version, &request))[0].1, code);
    }
    assert!(stage.broker().asked().is_empty());
}

#[test]
fn the_cluster_s_rights_stand_for_those_of_its_topics_and_groups() {
    let stage = Stage::start_with(
        1,
        policies(vec![
            of("maker", &[rule("allow", "cluster", "create describe", "")]),
            of("other", &[rule("allow", "group", "describe", "app")]),
        ]),
    );
    script::<CreateTopicsRequest>(stage.broker(), &Manner::default());
    stage.broker().on::<ListGroupsRequest>(|_| {
        let listed =
            ["my-app", "my-secret", "theirs"].map(|id| ListedGroup::default().with_group_id(group(id)));
        ListGroupsResponse::default().with_groups(listed.to_vec())
    });
    for (principal, created, listed) in [("maker", 0, &["app", "secret"][..]), ("other", 29, &["app"])] {
        let mut client = stage.log_in(principal);
        let told = client.ask(7, &CreateTopicsRequest::about(&["a"], 7));
        assert_eq!(CreateTopicsRequest::codes(&told)[0].1, created);
        let answer = client.ask(4, &ListGroupsRequest::default());
        let ids: Vec<_> = answer.groups.iter().map(|group| group.group_id.as_str()).collect();
        assert_eq!(ids, listed);
    }
    // Who may not see configurations creates a topic and does not see its own.
    let answer = stage.log_in("maker").ask(7, &CreateTopicsRequest::about(&["a"], 7));
    let made = &answer.topics[0];
    assert_eq!((made.error_code, made.topic_config_error_code), (0, 29));
    assert_eq!((made.num_partitions, made.replication_factor), (-1, -1));
    assert!(made.configs.as_ref().is_some_and(Vec::is_empty), "{made:?}");
}

/// The code of a read and of a look at a topic by a principal with these claims.
fn may(stage: &Stage, claims: &Value, topic: &str) -> (i16, i16) {
    let mut client = stage.log_in_at(stage.setup.tenants[0].port, &ES256.token(claims));
    let read = FetchRequest::codes(&client.ask(11, &FetchRequest::about(&[topic], 11)))[0].1;
    let look = MetadataRequest::codes(&client.ask(9, &MetadataRequest::about(&[topic], 9)))[0].1;
    (read, look)
}

fn readable() -> Vec<Broker> {
    let brokers = vec![Broker::start()];
    let manner = Manner { nodes: vec![(1, brokers[0].port())], ..Manner::default() };
    script::<FetchRequest>(&brokers[0], &manner);
    script::<MetadataRequest>(&brokers[0], &manner);
    brokers
}

#[test]
fn a_deny_beats_every_allow_whatever_their_order() {
    let allow = || rule("allow", "topic", "all", "*");
    let deny = || rule("deny", "topic", "read", "secret-*");
    for rules in [[allow(), deny()], [deny(), allow()]] {
        let stage = Stage::before(readable(), policies(vec![Policy::new("mixed", None, &rules)]));
        assert_eq!(may(&stage, &claims("a", 60), "secret-plans"), (29, 0));
        assert_eq!(may(&stage, &claims("a", 60), "secrets"), (0, 0));
        let line = stage.expect_audit("the denial", |line| line["api"] == "Fetch");
        let at = if rules[0] == deny() { 1 } else { 2 };
        let said = line["policy_rule"].as_str().expect("it names the rule");
        assert!(said.contains("mixed") && said.contains(&at.to_string()), "{said}");
        assert_eq!(
            json!([line["event"], line["operation"], line["resource"], line["name"], line["principal"]]),
            json!(["refusal", "read", "topic", "secret-plans", "a"])
        );
    }
    // Also from another policy.
    let one = Policy::new("one", None, &[allow()]);
    let two = Policy::new("two", None, &[deny()]);
    let stage = Stage::before(readable(), policies(vec![one, two]));
    assert_eq!(may(&stage, &claims("a", 60), "secret-plans"), (29, 0));
    let line = stage.expect_audit("the denial", |line| line["api"] == "Fetch");
    assert!(line["policy_rule"].as_str().is_some_and(|rule| rule.contains("two")), "{line}");
}

#[test]
fn who_may_do_something_to_a_topic_may_look_at_it() {
    let rules = |operation: &str| [rule("allow", "topic", operation, "orders")];
    let named = |operation: &'static str| of(operation, &rules(operation));
    let stage = Stage::before(
        readable(),
        policies(
            ["read", "write", "delete", "alter", "describe", "create", "describe_configs"].map(named).into(),
        ),
    );
    for (principal, expected) in [
        ("read", (0, 0)),
        ("write", (29, 0)),
        ("delete", (29, 0)),
        ("alter", (29, 0)),
        ("describe", (29, 0)),
        ("create", (29, 29)),
        ("describe_configs", (29, 29)),
    ] {
        assert_eq!(may(&stage, &claims(principal, 60), "orders"), expected, "{principal}");
        assert_eq!(may(&stage, &claims(principal, 60), "order"), (29, 29), "{principal}");
    }
}

#[test]
fn conditions_look_at_claims_and_at_the_connection() {
    let read = [rule("allow", "topic", "read", "orders")];
    let on = |name: &str, condition: &str| Policy::new(name, Some(condition), &read);
    let stage = Stage::before(
        readable(),
        policies(vec![
            on("role", "'reader' in context.auth.token.claims.roles"),
            on("old spelling", "context.auth.claims.client_id == 'reader-app'"),
            on("scope", "context.auth.token.claims.scope.split(' ').includes('orders:read')"),
            on("place", "context.listener.name == 'elsewhere' || context.client.address.startsWith('10.')"),
        ]),
    );
    let base = || with(claims("a", 60), json!({"roles": [], "scope": ""}));
    for (claims, code) in [
        (base(), 29),
        (with(base(), json!({"roles": ["writer", "reader"]})), 0),
        (with(base(), json!({"roles": "reader"})), 29),
        (with(base(), json!({"client_id": "reader-app"})), 0),
        (with(base(), json!({"scope": "a orders:read b"})), 0),
        (with(base(), json!({"scope": "orders:reader"})), 29),
    ] {
        assert_eq!(may(&stage, &claims, "orders").0, code, "{claims}");
    }
}

#[test]
fn of_a_condition_that_fails_only_the_denials_count_and_it_is_told() {
    let rules = [rule("allow", "topic", "all", "*"), rule("deny", "topic", "read", "orders")];
    let failing = Policy::new("golden", Some("context.auth.token.claims.tier.startsWith('gold')"), &rules);
    let reader = Policy::new("readers", None, &[rule("allow", "topic", "read", "*")]);
    let stage = Stage::before(readable(), policies(vec![failing, reader]));
    let metric = "sluicegate_condition_failures_total{policy=\"golden\"}";
    let tiered = |tier: &str| with(claims("a", 60), json!({"tier": tier}));
    assert_eq!(may(&stage, &tiered("golden"), "orders").0, 29);
    assert_eq!(may(&stage, &tiered("silver"), "orders").0, 0);
    assert!((stage.metric(metric) - 0.0).abs() < 0.1);
    // Without the claim it does not evaluate.
    assert_eq!(may(&stage, &claims("a", 60), "orders").0, 29);
    assert_eq!(may(&stage, &claims("a", 60), "other").0, 0);
    stage.expect_metric(metric, 2.0);
    let mut client = stage.log_in("a");
    let told = client.ask(9, &ProduceRequest::about(&["other"], 9));
    assert_eq!(ProduceRequest::codes(&told)[0].1, 29, "its allow rules do not count");
    assert!(stage.gateway.process.log().contains("golden"), "{}", stage.gateway.process.log());
}

#[test]
fn in_passthrough_the_broker_decides() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().policies = Vec::new();
        setup.tenant().more.push("acl_mode: passthrough".to_owned());
    });
    let mut client = stage.log_in("anybody");
    for code in [0, 29] {
        script::<ProduceRequest>(stage.broker(), &Manner { code, ..Manner::default() });
        let told = client.ask(9, &ProduceRequest::about(&["orders"], 9));
        assert_eq!(ProduceRequest::codes(&told), [("orders".to_owned(), code)]);
        assert_eq!(last::<ProduceRequest>(stage.broker()), ["my-orders"]);
    }
    stage.broker().on::<InitProducerIdRequest>(|_| InitProducerIdResponse::default().with_error_code(31));
    assert_eq!(client.ask(4, &idempotent()).error_code, 31);
}

/// What brokers and controllers say among themselves, some of it at the brokers' own listeners.
const OF_BROKERS: [ApiKey; 25] = [
    ApiKey::LeaderAndIsr,
    ApiKey::StopReplica,
    ApiKey::UpdateMetadata,
    ApiKey::ControlledShutdown,
    ApiKey::Vote,
    ApiKey::BeginQuorumEpoch,
    ApiKey::EndQuorumEpoch,
    ApiKey::AlterPartition,
    ApiKey::Envelope,
    ApiKey::FetchSnapshot,
    ApiKey::BrokerRegistration,
    ApiKey::BrokerHeartbeat,
    ApiKey::AllocateProducerIds,
    ApiKey::ControllerRegistration,
    ApiKey::AssignReplicasToDirs,
    ApiKey::AddRaftVoter,
    ApiKey::RemoveRaftVoter,
    ApiKey::UpdateRaftVoter,
    ApiKey::InitializeShareGroupState,
    ApiKey::ReadShareGroupState,
    ApiKey::WriteShareGroupState,
    ApiKey::DeleteShareGroupState,
    ApiKey::ReadShareGroupStateSummary,
    ApiKey::UnregisterController,
    ApiKey::WriteTxnMarkers,
];

#[test]
fn what_brokers_say_among_themselves_is_taken_from_no_client() {
    let offering = Stage::start_with(1, |setup, _| setup.tenant().offer_everything());
    for (stage, keys) in [(Stage::start(), &OF_BROKERS[..]), (offering, &OF_BROKERS[..24])] {
        for key in keys {
            let mut client = stage.log_in("who may do everything");
            let shown = client.ask(0, &ApiVersionsRequest::default()).api_keys;
            assert!(shown.iter().all(|api| api.api_key != *key as i16), "{key:?} is advertised");
            for version in [0, 1] {
                let mut client = stage.log_in("who may do everything");
                let mut frame = (*key as i16).to_be_bytes().to_vec();
                frame.extend([0, version, 0, 0, 0, 9, 0xff, 0xff]);
                client.send_frame(&frame);
                client.expect_close();
            }
            let name = format!("{key:?}");
            stage.expect_audit(&name, |line| line["api"] == name.as_str() && line["outcome"] == "closed");
        }
        assert!(stage.broker().asked().is_empty());
    }
}

/// Lets a Metadata request through that is for names of which some do not exist.
fn missing(setup: Vec<Policy>) -> Stage {
    let brokers = vec![Broker::start()];
    brokers[0].has_topics(&["my-known"]);
    Stage::before(brokers, policies(setup))
}

#[test]
fn hazard_24_nothing_is_created_by_looking_without_the_right_to_create() {
    let stage = missing(vec![
        of("looker", &[rule("allow", "topic", "describe read", "*")]),
        of("maker", &[rule("allow", "topic", "describe", "*"), rule("allow", "topic", "create", "new-*")]),
    ]);
    let ask = |client: &mut Client, version: i16, names: &[&str]| {
        let mut request = MetadataRequest::about(names, version);
        request.allow_auto_topic_creation = true; // before 4 it is not said, and meant
        let mut told = MetadataRequest::codes(&client.ask(version, &request));
        told.sort();
        told
    };
    let codes = |codes: &[(&str, i16)]| -> Vec<(String, i16)> {
        codes.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect()
    };
    let mut looker = stage.log_in("looker");
    for version in [0, 1, 3, 4, 9, 13] {
        let told = ask(&mut looker, version, &["known", "missing"]);
        assert_eq!(told, codes(&[("known", 0), ("missing", 29)]), "version {version}");
    }
    let asked = stage.broker().asked();
    assert_eq!(asked.len(), 6);
    for asked in &asked {
        assert!(asked.version() >= 4, "before 4 a broker always creates");
        let request = asked.request::<MetadataRequest>();
        assert!(!request.allow_auto_topic_creation, "{request:?}");
    }
    let mut maker = stage.log_in("maker");
    for version in [1, 9] {
        let before = stage.broker().asked().len();
        let told = ask(&mut maker, version, &["missing", "new-one", "known"]);
        assert_eq!(told, codes(&[("known", 0), ("missing", 29), ("new-one", 3)]), "version {version}");
        let asked = stage.broker().asked().split_off(before);
        let asked: BTreeMap<bool, Vec<String>> = asked
            .iter()
            .map(|asked| asked.request::<MetadataRequest>())
            .map(|request| (request.allow_auto_topic_creation, request.names()))
            .collect();
        assert_eq!(asked[&true], ["my-new-one"]);
        assert_eq!(asked[&false], ["my-missing", "my-known"]);
        assert_eq!(asked.len(), 2, "two requests, and one answer");
    }
}

/// A bit for each operation, as Kafka numbers them.
const READ: i32 = 1 << 3;
const DESCRIBE: i32 = 1 << 8;
/// What nobody asked for.
const NOT_ASKED: i32 = i32::MIN;
/// What the broker says: everything.
const ALL_BITS: i32 = 0x1ff8;

#[test]
fn hazard_28_the_operations_one_may_do_are_one_s_own_and_not_the_gateway_s() {
    let reader = [
        rule("allow", "topic", "read", "orders"),
        rule("allow", "group", "read", "*"),
        rule("allow", "cluster", "describe", ""),
    ];
    let stage = Stage::start_with(1, policies(vec![of("reader", &reader)]));
    let broker = stage.broker();
    let quiet = Manner { nodes: vec![(1, broker.port())], ..Manner::default() };
    let metadata = quiet.clone();
    broker.on_key(ApiKey::Metadata, move |asked| {
        let request = asked.request::<MetadataRequest>();
        assert!(!request.include_topic_authorized_operations);
        let mut answer = request.answered(asked.version(), &metadata);
        if asked.version() >= 8 {
            answer.topics.iter_mut().for_each(|topic| topic.topic_authorized_operations = ALL_BITS);
        }
        if (8..=10).contains(&asked.version()) {
            answer.cluster_authorized_operations = ALL_BITS;
        }
        asked.reply::<MetadataRequest>(&answer)
    });
    broker.on::<DescribeGroupsRequest>(move |request| {
        assert!(!request.include_authorized_operations);
        let mut answer = request.answered(5, &quiet);
        answer.groups.iter_mut().for_each(|group| group.authorized_operations = ALL_BITS);
        answer
    });
    broker.on::<DescribeClusterRequest>(|request| {
        assert!(!request.include_cluster_authorized_operations);
        DescribeClusterResponse::default().with_cluster_authorized_operations(ALL_BITS)
    });
    let mut client = stage.log_in("reader");
    for asks in [true, false] {
        let expected = |bits: i32| if asks { bits } else { NOT_ASKED };
        for version in 8..=13 {
            let request =
                MetadataRequest::about(&["orders"], version).with_include_topic_authorized_operations(asks);
            let request = match version {
                ..=10 => request.with_include_cluster_authorized_operations(asks),
                _ => request,
            };
            let answer = client.ask(version, &request);
            assert_eq!(answer.topics[0].topic_authorized_operations, expected(READ | DESCRIBE));
            if version <= 10 {
                assert_eq!(answer.cluster_authorized_operations, expected(DESCRIBE));
            }
        }
        for version in 3..=5 {
            let request =
                DescribeGroupsRequest::about(&[GROUP], version).with_include_authorized_operations(asks);
            let answer = client.ask(version, &request);
            assert_eq!(answer.groups[0].authorized_operations, expected(READ | DESCRIBE));
        }
        for version in 0..=2 {
            let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(asks);
            let answer = client.ask(version, &request);
            assert_eq!(answer.cluster_authorized_operations, expected(DESCRIBE));
        }
    }
}

#[test]
fn hazard_40_an_idempotent_producer_needs_the_right_to_write_and_no_topic() {
    let write = |names: &str| rule("allow", "topic", "write", names);
    let stage = Stage::start_with(
        1,
        policies(vec![
            of("writer", &[write("orders-*")]),
            of("cluster", &[rule("allow", "cluster", "idempotent_write", "")]),
            of("reader", &[rule("allow", "topic", "read", "*")]),
            of("stopped", &[write("orders-*"), rule("deny", "topic", "write", "*")]),
            of("narrowed", &[write("orders-*"), rule("deny", "topic", "write", "orders-secret")]),
        ]),
    );
    stage
        .broker()
        .on::<InitProducerIdRequest>(|_| InitProducerIdResponse::default().with_producer_id(ProducerId(7)));
    for (principal, code) in
        [("writer", 0), ("cluster", 0), ("narrowed", 0), ("reader", 31), ("stopped", 31), ("nobody", 31)]
    {
        let mut client = stage.log_in(principal);
        for version in 0..=5 {
            let answer = client.ask(version, &idempotent());
            let producer = if code == 0 { 7 } else { -1 };
            assert_eq!((answer.error_code, answer.producer_id.0), (code, producer), "{principal}");
        }
    }
}
