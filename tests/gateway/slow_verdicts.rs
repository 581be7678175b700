//! Logins of which it takes long to find out whether they are right.

use std::time::{Duration, Instant};

use kafka_protocol::messages::{MetadataRequest, MetadataResponse, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::ApiKey;

use crate::support::client::{Client, authenticate, client_first};
use crate::support::setup::oauth_bearer;
use crate::support::stage::{Stage, token, wait_until};
use crate::support::token_server::TokenServer;

const OPAQUE: &str = "opaque-token";

/// An endpoint that takes a question and does not answer it.
fn endpoint() -> TokenServer {
    TokenServer::start(|_| None)
}

/// A gateway that asks there about every token that no key can verify.
fn stage(server: &TokenServer, limits: &str, shutdown: &str) -> Stage {
    Stage::start_with(1, |setup, jwks| {
        let introspection = format!(
            ", introspection: {{endpoint: \"{}\", client_id: gateway, client_secret: hunter2, timeout: 10m}}",
            server.introspection_url()
        );
        setup.tenant().authentication = vec![oauth_bearer(jwks, &introspection)];
        setup.sections.push(format!("limits: {{{limits}}}"));
        setup.sections.push(format!("shutdown: {{{shutdown}}}"));
    })
}

/// A client whose token the endpoint is being asked about.
fn waiting(stage: &Stage, server: &TokenServer) -> Client {
    let mut client = stage.connect();
    client.handshake();
    client.send(2, &authenticate(&client_first(OPAQUE)));
    wait_until("asked", || !server.asked().is_empty());
    client
}

#[test]
fn a_03_a_login_whose_verdict_does_not_come_ends_at_the_deadline_and_is_told() {
    let server = endpoint();
    let stage = stage(&server, "login_timeout: 2s", "drain_timeout: 30s");
    let mut client = waiting(&stage, &server);
    client.expect_close();
    stage.expect_audit("a login that took too long", |line| {
        let reason = line["reason"].as_str().unwrap_or_default();
        line["event"] == "login" && line["outcome"] == "failure" && reason.contains("limits.login_timeout")
    });
}

#[test]
fn who_leaves_before_the_verdict_keeps_no_place() {
    let server = endpoint();
    let stage = stage(&server, "login_timeout: 10m", "drain_timeout: 30s");
    let client = waiting(&stage, &server);
    let open = "sluicegate_connections_open{virtual_cluster=\"team\"}";
    stage.expect_metric(open, 1.0);
    drop(client);
    stage.expect_metric(open, 0.0);
}

#[test]
fn the_end_of_the_process_waits_for_no_verdict() {
    let server = endpoint();
    let mut stage = stage(&server, "login_timeout: 10m", "drain_timeout: 10m");
    let mut client = waiting(&stage, &server);
    stage.gateway.process.signal("TERM");
    client.expect_close();
    assert!(stage.gateway.process.wait(Duration::from_secs(60)).success());
}

#[test]
fn answers_go_on_while_a_verdict_on_the_next_login_is_awaited() {
    let server = endpoint();
    let stage = stage(&server, "login_timeout: 10m", "drain_timeout: 30s");
    let mut client = stage.log_in_at(stage.setup.tenants[0].port, &token("alice"));
    let since = Instant::now();
    wait_until("allowed to log in again", || since.elapsed() > Duration::from_secs(1));
    stage.broker().hold(ApiKey::Metadata);
    let before = client.send(9, &MetadataRequest::default().with_topics(Some(Vec::new())));
    let asked = stage.broker().expect(ApiKey::Metadata, 1).remove(0);
    let mechanism = StrBytes::from_static_str("OAUTHBEARER");
    client.send(1, &SaslHandshakeRequest::default().with_mechanism(mechanism));
    client.send(2, &authenticate(&client_first(OPAQUE)));
    wait_until("asked", || !server.asked().is_empty());
    asked.answer::<MetadataRequest>(&MetadataResponse::default());
    client.read::<MetadataRequest>(9, before);
}
