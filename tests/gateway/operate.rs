//! Calls about the whole Kafka cluster: refused as by Kafka, unless the file lists them and a rule allows them.

use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::*;
use sluicegate::wire::ApiKey;

use super::families::topic;
use crate::support::client::CLIENT_ID;
use crate::support::setup::{Policy, rule};
use crate::support::stage::Stage;

/// A stage whose tenant lists these calls, on which everybody may do everything.
fn offering(apis: &str) -> Stage {
    Stage::start_with(1, |setup, _| setup.tenant().more.push(format!("operator_apis: [{apis}]")))
}

fn election(of: Option<&str>) -> ElectLeadersRequest {
    let topics =
        of.map(|name| vec![TopicPartitions::default().with_topic(topic(name)).with_partitions(vec![0])]);
    ElectLeadersRequest::default().with_topic_partitions(topics)
}

#[test]
fn who_may_do_everything_here_may_do_nothing_to_the_kafka_cluster() {
    let stage = Stage::start();
    let mut client = stage.log_in("alice");
    let elected = client.ask(2, &election(Some("orders")));
    assert_eq!(
        (elected.error_code, elected.replica_election_results[0].partition_result[0].error_code),
        (31, 31)
    );
    assert_eq!(client.ask(1, &AlterPartitionReassignmentsRequest::default()).error_code, 31);
    assert_eq!(client.ask(0, &ListPartitionReassignmentsRequest::default()).error_code, 31);
    let quotas = client.ask(1, &DescribeClientQuotasRequest::default());
    assert_eq!((quotas.error_code, quotas.entries), (31, None));
    assert_eq!(client.ask(1, &AlterClientQuotasRequest::default()).entries, []);
    assert_eq!(client.ask(0, &DescribeUserScramCredentialsRequest::default()).error_code, 31);
    assert_eq!(client.ask(0, &AlterUserScramCredentialsRequest::default()).results, []);
    stage.broker().assert_untouched();
    let line = stage.expect_audit("the election", |line| line["api"] == "ElectLeaders");
    assert_eq!(line["policy_rule"], "operator_apis of the virtual cluster does not list it");
}

#[test]
fn a_listed_call_goes_on_for_those_whom_a_rule_about_the_cluster_lets() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().more.push("operator_apis: [ElectLeaders]".to_owned());
        let is = |name: &str| Some(format!("context.auth.principal.name == '{name}'"));
        let (alter, describe) =
            (rule("allow", "cluster", "alter", ""), rule("allow", "cluster", "describe", ""));
        setup.tenant().policies = vec![
            Policy::new("operator", is("operator").as_deref(), &[alter]),
            Policy::new("looker", is("looker").as_deref(), &[describe]),
        ];
    });
    stage.broker().on::<ElectLeadersRequest>(|_| ElectLeadersResponse::default());
    assert_eq!(stage.log_in("looker").ask(2, &election(Some("orders"))).error_code, 31);
    stage.broker().assert_untouched();
    let mut operator = stage.log_in("operator");
    assert_eq!(operator.ask(2, &election(Some("orders"))).error_code, 0);
    let asked = stage.broker().expect(ApiKey::ElectLeaders, 1)[0].request::<ElectLeadersRequest>();
    assert_eq!(asked, election(Some("my-orders")));
}

#[test]
fn a_call_that_is_not_listed_is_neither_shown_nor_taken() {
    let listed = offering("DescribeQuorum");
    listed.broker().on::<DescribeQuorumRequest>(|_| DescribeQuorumResponse::default());
    for (stage, is_listed) in [(listed, true), (Stage::start(), false)] {
        let is_shown = |shown: &ApiVersionsResponse, key: ApiKey| {
            shown.api_keys.iter().any(|api| api.api_key == key as i16)
        };
        // Before the login and after it.
        let mut stranger = stage.connect();
        let mut client = stage.log_in("alice");
        for client in [&mut stranger, &mut client] {
            let shown = client.ask(0, &ApiVersionsRequest::default());
            assert_eq!(is_shown(&shown, ApiKey::DescribeQuorum), is_listed);
            assert!(!is_shown(&shown, ApiKey::UpdateFeatures) && is_shown(&shown, ApiKey::ElectLeaders));
        }
        if is_listed {
            assert_eq!(client.ask(2, &DescribeQuorumRequest::default()).error_code, 0);
            stage.broker().expect(ApiKey::DescribeQuorum, 1);
        } else {
            client.send(2, &DescribeQuorumRequest::default());
            client.expect_close();
            stage.broker().assert_untouched();
        }
        let mut client = stage.log_in("alice");
        client.send(1, &UpdateFeaturesRequest::default());
        client.expect_close();
    }
}

#[test]
fn what_clients_tell_of_themselves_goes_on_where_the_file_says_so() {
    let stage = Stage::start_with(1, |setup, _| setup.tenant().more.push("telemetry: forward".to_owned()));
    let instance = uuid::Uuid::from_u128(0x1234_5678);
    stage.broker().on::<GetTelemetrySubscriptionsRequest>(move |_| {
        GetTelemetrySubscriptionsResponse::default()
            .with_client_instance_id(instance)
            .with_requested_metrics(vec![super::families::text("org.apache.kafka.")])
    });
    stage.broker().on::<PushTelemetryRequest>(|_| PushTelemetryResponse::default());
    let mut client = stage.log_in("alice");
    let wanted = client.ask(0, &GetTelemetrySubscriptionsRequest::default());
    assert_eq!(
        (wanted.client_instance_id, wanted.requested_metrics[0].as_str()),
        (instance, "org.apache.kafka.")
    );
    let told = PushTelemetryRequest::default()
        .with_client_instance_id(instance)
        .with_metrics(bytes::Bytes::from_static(b"compressed"));
    assert_eq!(client.ask(0, &told).error_code, 0);
    let pushed = &stage.broker().expect(ApiKey::PushTelemetry, 1)[0];
    assert_eq!(pushed.request::<PushTelemetryRequest>(), told);
    assert_eq!(pushed.client_id(), Some(CLIENT_ID));

    let mut client = Stage::start().log_in("alice");
    client.send(0, &GetTelemetrySubscriptionsRequest::default());
    client.expect_close();
}

#[test]
fn hazard_25_a_null_list_elects_no_leaders_and_lists_no_neighbours_moves() {
    use kafka_protocol::messages::list_partition_reassignments_response::OngoingTopicReassignment;
    let stage = offering("ElectLeaders, ListPartitionReassignments");
    stage.broker().on::<ListPartitionReassignmentsRequest>(|_| {
        let moving = |name: &str| OngoingTopicReassignment::default().with_name(topic(name));
        ListPartitionReassignmentsResponse::default()
            .with_topics(vec![moving("my-orders"), moving("their-orders")])
    });
    let mut client = stage.log_in("alice");
    assert_eq!(client.ask(2, &election(None)).error_code, 42);
    stage.broker().assert_untouched();
    let listed = client.ask(0, &ListPartitionReassignmentsRequest::default().with_topics(None));
    let listed: Vec<_> = listed.topics.iter().map(|moving| moving.name.as_str()).collect();
    assert_eq!(listed, ["orders"]);
}
