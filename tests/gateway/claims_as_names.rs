//! Names that come out of a token: prefixes, and the names that rules speak of.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use serde_json::{Value, json};

use super::families::{About, Manner, script};
use crate::support::client::{Client, client_first};
use crate::support::codes::SASL_AUTHENTICATION_FAILED;
use crate::support::issuer::{ES256, claims, with};
use crate::support::setup::{Policy, Setup};
use crate::support::stage::Stage;

fn a_prefix_from_the_token(setup: &mut Setup, _: &str) {
    setup.tenant().namespace =
        "{mode: hide_prefix, prefix: \"t-${context.auth.token.claims.tenant}.\"}".to_owned();
}

fn token_of(tenant: Value) -> String {
    ES256.token(&with(claims("alice", 3600), json!({"tenant": tenant})))
}

fn log_in(stage: &Stage, tenant: &str) -> Client {
    stage.log_in_at(stage.setup.tenants[0].port, &token_of(json!(tenant)))
}

#[test]
fn each_tenant_has_the_prefix_of_its_token() {
    let stage = Stage::start_with(1, a_prefix_from_the_token);
    script::<MetadataRequest>(stage.broker(), &Manner::default());
    for (tenant, on_backend) in [("blue", "t-blue.orders"), ("red", "t-red.orders")] {
        let mut client = log_in(&stage, tenant);
        let answer = client.ask(9, &MetadataRequest::behind("", &["orders"], 9));
        let asked = stage.broker().asked().last().unwrap().request::<MetadataRequest>();
        assert_eq!(asked.names(), [on_backend]);
        assert_eq!(MetadataRequest::codes(&answer), [("orders".to_owned(), 0)]);
    }
}

#[test]
fn a_tenant_is_told_nothing_of_the_others() {
    let stage = Stage::start_with(1, a_prefix_from_the_token);
    let neighbours = ["t-red.orders", "t-blue.bills", "t-bluer.x", "orders", "t-.x"];
    let manner = Manner { neighbours: neighbours.map(str::to_owned).to_vec(), ..Manner::default() };
    script::<MetadataRequest>(stage.broker(), &manner);
    let all = MetadataRequest::default().with_topics(None);
    let answer = log_in(&stage, "blue").ask(9, &all);
    let names = answer.topics.iter().filter_map(|topic| topic.name.as_ref()).map(|name| name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["bills"]);
}

#[test]
fn two_tenants_are_two_clusters() {
    let stage = Stage::start_with(1, a_prefix_from_the_token);
    script::<MetadataRequest>(stage.broker(), &Manner::default());
    let id = |tenant: &str| {
        let answer = log_in(&stage, tenant).ask(9, &MetadataRequest::default());
        answer.cluster_id.expect("a cluster has an id").to_string()
    };
    assert_ne!(id("blue"), id("red"));
    assert_eq!(id("blue"), id("blue"));
}

#[test]
fn j_13_a_token_that_says_no_tenant_is_refused() {
    let stage = Stage::start_with(1, a_prefix_from_the_token);
    let hostile = [
        json!("a.b"),
        json!("*"),
        json!(""),
        json!("x".repeat(300)),
        json!(5),
        Value::Null,
        json!(["blue"]),
        json!({"blue": true}),
        json!("blue\n"),
        json!("ä"),
    ];
    for (at, tenant) in hostile.into_iter().enumerate() {
        let mut client = stage.connect();
        client.handshake();
        let answer = client.authenticate(&client_first(&token_of(tenant.clone())));
        assert!(!answer.auth_bytes.is_empty(), "{tenant} is let in");
        let answer = client.authenticate(b"\x01");
        assert_eq!(answer.error_code, SASL_AUTHENTICATION_FAILED, "{tenant}");
        client.expect_close();
        let line = stage.expect_audit("the refusal", |_| {
            stage
                .audit()
                .iter()
                .filter(|line| line["reason"].as_str().is_some_and(|why| why.contains("namespace's prefix")))
                .count()
                == at + 1
        });
        assert!(!line.to_string().contains("blue"), "{line}");
    }
}

#[test]
fn a_session_stays_with_its_tenant() {
    let stage = Stage::start_with(1, a_prefix_from_the_token);
    let mut client = log_in(&stage, "blue");
    stage.expect_audit("the login", |line| line["event"] == "login");
    client.handshake_again("OAUTHBEARER");
    let answer = client.authenticate(&client_first(&token_of(json!("red"))));
    assert!(!answer.auth_bytes.is_empty());
    assert_eq!(client.authenticate(b"\x01").error_code, SASL_AUTHENTICATION_FAILED);
    client.expect_close();
    stage.expect_audit("the refusal", |line| {
        line["reason"] == "a session is renewed by the tenant that began it"
    });
}

/// A rule over topics, with these names as they stand in the file.
fn writes(names: &str) -> impl FnOnce(&mut Setup, &str) {
    let rule = format!(
        "{{resource_type: topic, action: allow, operations: [{{name: all}}], resource_names: {names}}}"
    );
    move |setup, _| setup.tenant().policies = vec![Policy::new("names", None, &[rule])]
}

/// Which of these topics somebody with these claims may describe.
fn may_describe(stage: &Stage, more: Value, names: &[&str]) -> Vec<String> {
    let token = ES256.token(&with(claims("alice", 3600), more));
    let mut client = stage.log_in_at(stage.setup.tenants[0].port, &token);
    let named = |name: &&str| {
        let name = TopicName(StrBytes::from_string((*name).to_owned()));
        MetadataRequestTopic::default().with_name(Some(name))
    };
    let request = MetadataRequest::default().with_topics(Some(names.iter().map(named).collect()));
    let answer = client.ask(9, &request);
    let allowed = answer.topics.iter().filter(|topic| topic.error_code == 0);
    let mut allowed: Vec<_> =
        allowed.filter_map(|topic| topic.name.as_ref()).map(|name| name.to_string()).collect();
    allowed.sort();
    allowed
}

#[test]
fn a_rule_speaks_of_the_names_in_a_claim_and_of_no_pattern() {
    let stage = Stage::start_with(1, writes("\"${context.auth.token.claims.topics}\""));
    script::<MetadataRequest>(stage.broker(), &Manner::default());
    let names = ["orders", "bills", "x", "a.b"];
    for (topics, expected) in [
        (json!(["orders", "bills"]), vec!["bills", "orders"]),
        (json!("orders"), vec!["orders"]),
        (json!(["*"]), vec![]),
        (json!("order?"), vec![]),
        (json!([]), vec![]),
        (json!(["orders", 5]), vec![]),
        (json!(5), vec![]),
        (Value::Null, vec![]),
        (json!([["orders"]]), vec![]),
        (json!("a.b"), vec!["a.b"]),
    ] {
        let described = may_describe(&stage, json!({"topics": topics}), &names);
        assert_eq!(described, expected, "{topics}");
    }
}

#[test]
fn a_name_of_a_rule_may_have_a_claim_in_it() {
    let names = "[{match: \"${context.auth.token.claims.team}-*\"}, {match: shared}]";
    let stage = Stage::start_with(1, writes(names));
    script::<MetadataRequest>(stage.broker(), &Manner::default());
    let names = ["red-a", "blue-a", "shared", "-a"];
    for (team, expected) in [
        (json!("red"), vec!["red-a", "shared"]),
        // A star in a claim that would widen the pattern: the rule covers nothing.
        (json!("*"), vec![]),
        (Value::Null, vec![]),
    ] {
        assert_eq!(may_describe(&stage, json!({"team": team}), &names), expected, "{team}");
    }
}

#[test]
fn a_claim_is_a_pattern_where_the_file_says_so_aloud() {
    let stage = Stage::start_with(1, writes("[{match: \"${glob(context.auth.token.claims.topics)}\"}]"));
    script::<MetadataRequest>(stage.broker(), &Manner::default());
    let described = may_describe(&stage, json!({"topics": "order*"}), &["orders", "bills"]);
    assert_eq!(described, ["orders"]);
}
