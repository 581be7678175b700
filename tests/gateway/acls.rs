//! Kafka's own ACLs: none where the gateway decides, a tenant's own where the broker does.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_acls_response::DescribeAclsResource;
use kafka_protocol::messages::*;
use sluicegate::wire::ApiKey;

use super::families::text;
use crate::support::stage::Stage;

const ANY: i8 = 1;
const TOPIC: i8 = 2;
const CLUSTER: i8 = 4;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;

fn creation(resource: i8, name: &str, pattern: i8) -> AclCreation {
    AclCreation::default()
        .with_resource_type(resource)
        .with_resource_name(text(name))
        .with_resource_pattern_type(pattern)
        .with_principal(text("User:my-app"))
        .with_host(text("10.0.0.1"))
}

fn deletion(resource: i8, name: Option<&str>, pattern: i8) -> DeleteAclsFilter {
    DeleteAclsFilter::default()
        .with_resource_type_filter(resource)
        .with_resource_name_filter(name.map(text))
        .with_pattern_type_filter(pattern)
        .with_principal_filter(None)
        .with_host_filter(None)
}

#[test]
fn where_the_gateway_decides_it_is_as_without_an_authorizer() {
    let stage = Stage::start();
    let mut client = stage.log_in("alice");
    for version in 1..=3 {
        assert_eq!(client.ask(version, &DescribeAclsRequest::default()).error_code, 54);
        let creations = vec![creation(TOPIC, "orders", LITERAL), creation(CLUSTER, "kafka-cluster", LITERAL)];
        let created = client.ask(version, &CreateAclsRequest::default().with_creations(creations));
        assert_eq!(created.results.iter().map(|one| one.error_code).collect::<Vec<_>>(), [54, 54]);
        let all = DeleteAclsRequest::default().with_filters(vec![deletion(ANY, None, ANY)]);
        assert_eq!(client.ask(version, &all).filter_results[0].error_code, 54);
    }
    stage.broker().assert_untouched();
}

fn passthrough() -> Stage {
    Stage::start_with(1, |setup, _| {
        setup.tenant().policies = Vec::new();
        setup.tenant().more.push("acl_mode: passthrough".to_owned());
    })
}

#[test]
fn hazard_25_a_filter_that_matches_others_acls_deletes_none() {
    let stage = passthrough();
    let mut client = stage.log_in("alice");
    for version in 1..=3 {
        for (filter, code) in [
            (deletion(ANY, None, ANY), 42),
            (deletion(TOPIC, None, LITERAL), 42),
            (deletion(TOPIC, Some("orders"), ANY), 42),
            (deletion(CLUSTER, Some("kafka-cluster"), LITERAL), 31),
        ] {
            let request = DeleteAclsRequest::default().with_filters(vec![filter.clone()]);
            assert_eq!(client.ask(version, &request).filter_results[0].error_code, code, "{filter:?}");
        }
    }
    stage.broker().assert_untouched();
}

#[test]
fn hazard_39_an_acls_principal_and_host_are_not_rewritten() {
    let stage = passthrough();
    stage.broker().on::<CreateAclsRequest>(|request: &CreateAclsRequest| {
        let results = request.creations.iter().map(|_| AclCreationResult::default());
        CreateAclsResponse::default().with_results(results.collect())
    });
    let creations = vec![
        creation(TOPIC, "*", LITERAL),
        creation(CLUSTER, "kafka-cluster", LITERAL),
        creation(TOPIC, "or", PREFIXED),
    ];
    let created = stage.log_in("alice").ask(3, &CreateAclsRequest::default().with_creations(creations));
    assert_eq!(created.results.iter().map(|one| one.error_code).collect::<Vec<_>>(), [0, 31, 0]);
    let asked = stage.broker().expect(ApiKey::CreateAcls, 1)[0].request::<CreateAclsRequest>();
    assert_eq!(asked.creations, [creation(TOPIC, "my-", PREFIXED), creation(TOPIC, "my-or", PREFIXED)]);
}

#[test]
fn a_tenant_sees_the_acls_of_its_own_names_by_these_names() {
    let stage = passthrough();
    stage.broker().on::<DescribeAclsRequest>(|_| {
        let resource = |name: &str, pattern| {
            DescribeAclsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(name))
                .with_pattern_type(pattern)
        };
        DescribeAclsResponse::default().with_resources(vec![
            resource("my-orders", LITERAL),
            resource("their-orders", LITERAL),
            resource("my-", PREFIXED),
            resource("*", LITERAL),
            resource("m", PREFIXED),
        ])
    });
    let all = DescribeAclsRequest::default()
        .with_resource_type_filter(ANY)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(ANY);
    let seen = stage.log_in("alice").ask(3, &all);
    let seen: Vec<_> =
        seen.resources.iter().map(|one| (one.resource_name.as_str(), one.pattern_type)).collect();
    assert_eq!(seen, [("orders", LITERAL), ("*", LITERAL)]);
}
