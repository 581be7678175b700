//! What a stranger, or a client with a good token and bad intentions, tries; each ends as the policy says.

use bytes::Bytes;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;
use sluicegate::wire::ApiKey;
use uuid::Uuid;

use crate::support::client::client_first;
use crate::support::issuer::{ES256, ISSUER, claims, with};
use crate::support::setup::{Policy, oauth_bearer, rule};
use crate::support::stage::Stage;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[test]
fn a_08_a_stranger_who_asks_for_versions_again_and_again_is_shown_the_door() {
    let stage = Stage::start();
    let mut stranger = stage.connect();
    let too_new = [0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff];
    for _ in 0..4 {
        stranger.send_frame(&too_new);
        assert_eq!(stranger.read_frame()[..6], [0, 0, 0, 1, 0, 35]);
    }
    stranger.send_frame(&too_new);
    stranger.expect_close();
}

fn asking_by(topics: &[(Option<&str>, u128)]) -> MetadataRequest {
    let topics = topics.iter().map(|(name, id)| {
        let topic = MetadataRequestTopic::default().with_topic_id(Uuid::from_u128(*id));
        topic.with_name(name.map(|name| text(name).into()))
    });
    MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false)
}

#[test]
fn the_name_of_ones_own_topic_lends_nothing_to_anothers_id() {
    let stage = Stage::start();
    stage.broker().on::<MetadataRequest>(|_| {
        // As a broker does: where an id is given, names are not looked at.
        let found = MetadataResponseTopic::default().with_name(Some(text("their-secret").into()));
        let found = found.with_topic_id(Uuid::from_u128(7));
        MetadataResponse::default().with_topics(vec![found])
    });
    let mut client = stage.log_in("mallory");
    let asked = asking_by(&[(Some("orders"), 7), (None, 0), (Some("payments"), 0)]);
    let answer = client.ask(12, &asked);
    let [topic] = &answer.topics[..] else { panic!("{:?}", answer.topics) };
    assert_eq!((&topic.name, topic.error_code, topic.partitions.len()), (&None, 100, 0));
}

#[test]
fn whoever_may_change_everything_changes_no_shared_topic() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().namespace = "{mode: hide_prefix, prefix: \"my-\", additional: {topics: [{type: glob, \
             glob: \"shared-*\"}]}}"
            .to_owned();
    });
    stage.broker().on::<IncrementalAlterConfigsRequest>(|request| {
        let responses = request.resources.iter().map(|resource| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
        });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    });
    let resources = ["shared-news", "orders"].map(|topic| {
        let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("1")));
        AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(topic))
            .with_configs(vec![config])
    });
    let mut client = stage.log_in("mallory");
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources.to_vec());
    let answer = client.ask(1, &request);
    let codes: Vec<_> =
        answer.responses.iter().map(|one| (one.resource_name.as_str(), one.error_code)).collect();
    assert_eq!(codes, [("shared-news", 44), ("orders", 0)]);
    let asked: IncrementalAlterConfigsRequest =
        stage.broker().expect(ApiKey::IncrementalAlterConfigs, 1)[0].request();
    assert_eq!(asked.resources.len(), 1);
    assert_eq!(asked.resources[0].resource_name.as_str(), "my-orders");
}

/// Logs in with a first message of any kind; whether that succeeds.
fn enters(stage: &Stage, message: &[u8]) -> bool {
    let mut client = stage.connect();
    client.handshake();
    let answer = client.authenticate(message);
    answer.error_code == 0 && answer.auth_bytes.is_empty()
}

fn message(header: &str, token: &str, more: &str) -> Vec<u8> {
    format!("{header}\u{1}auth=Bearer {token}\u{1}{more}\u{1}").into_bytes()
}

#[test]
fn nobody_enters_as_somebody_else() {
    let stage = Stage::start();
    let token = ES256.token(&claims("mallory", 3600));
    for (header, more, expected) in [
        ("n,,", "", true),
        ("n,a=mallory,", "", true),
        ("n,a=alice,", "", false),
        ("n,a=Mallory,", "", false),
        ("n,a=mallory=2Calice,", "", false),
        ("n,a=mallory,a=alice,", "", false),
        ("n,,", "auth=Bearer x\u{1}", false),
        ("n,,", "Auth=Bearer x\u{1}", false),
        ("n,,", "tenant=a\u{1}tenant=b\u{1}", false),
        ("n,,", "sub=alice\u{1}", true),
        ("p=tls-unique,,", "", false),
    ] {
        assert_eq!(enters(&stage, &message(header, &token, more)), expected, "{header:?} {more:?}");
    }
    // The same claim twice, one of them written otherwise: each reader would take another.
    let good = claims("mallory", 3600).to_string();
    let twice = good.replace("\"sub\":", "\"s\\u0075b\":\"alice\",\"sub\":");
    let twice = ES256.token_of_text(r#"{"alg":"ES256","kid":"es256"}"#, &twice);
    assert!(!enters(&stage, &client_first(&twice)));
    for (name, value) in
        [("sub", json!(["mallory"])), ("sub", json!("")), ("sub", json!("a\nb")), ("sub", json!(5))]
    {
        let token = ES256.token(&with(claims("mallory", 3600), json!({name: value})));
        assert!(!enters(&stage, &client_first(&token)), "{name}: {value}");
    }
}

#[test]
fn an_extension_is_no_claim_and_a_claim_of_another_type_is_not_equal() {
    let stage = Stage::start_with(1, |setup, _| {
        let everything = rule("allow", "topic", "all", "*");
        setup.tenant().policies =
            vec![Policy::new("of-acme", Some("context.auth.token.claims.tenant == 'acme'"), &[everything])];
    });
    stage.broker().has_topics(&["my-orders"]);
    let sees = |token: &str, more: &str| {
        let mut client = stage.connect();
        client.handshake();
        let answer = client.authenticate(&message("n,,", token, more));
        assert_eq!((answer.error_code, answer.auth_bytes), (0, Bytes::new()));
        client.ask(9, &MetadataRequest::default().with_topics(None)).topics.len()
    };
    let of =
        |tenant: serde_json::Value| ES256.token(&with(claims("mallory", 3600), json!({"tenant": tenant})));
    assert_eq!(sees(&of(json!("acme")), ""), 1);
    assert_eq!(sees(&of(json!("other")), "tenant=acme\u{1}claims=acme\u{1}"), 0);
    for tenant in [json!(["acme"]), json!({"acme": true}), json!(true), json!("ACME"), json!("acme\u{0}")] {
        assert_eq!(sees(&of(tenant.clone()), ""), 0, "{tenant}");
    }
}

#[test]
fn p_02_a_session_is_not_renewed_by_the_namesake_of_another_issuer() {
    const OTHER: &str = "https://other.example";
    let stage = Stage::start_with(1, |setup, jwks| {
        let ours = oauth_bearer(jwks, "");
        setup.tenant().authentication = vec![ours.clone(), ours.replace(ISSUER, OTHER)];
    });
    let namesake = ES256.token(&with(claims("alice", 3600), json!({"iss": OTHER})));
    assert!(enters(&stage, &client_first(&namesake)), "of itself the token is good");
    for (token, expected) in [(ES256.token(&claims("alice", 3600)), true), (namesake, false)] {
        let mut client = stage.log_in("alice");
        client.handshake_again("OAUTHBEARER");
        let answer = client.authenticate(&client_first(&token));
        assert_eq!((answer.error_code, answer.auth_bytes.is_empty()), (0, expected), "{answer:?}");
    }
}
