//! The one Keycloak, and gateways that take its tokens.

use std::sync::LazyLock;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::client::{Client, client_first};
use crate::support::keycloak::{self, AUDIENCE, Keycloak};
use crate::support::setup::{Policy, rule};
use crate::support::stage::Stage;

/// The realm of most cases, where nobody changes anything that others see.
pub const REALM: &str = "kafka";
/// Another realm with clients of the same names and secrets.
pub const OTHER: &str = "other";
/// The realm whose keys change.
pub const ROTATING: &str = "rotating";

/// As everybody may know them: a client, its secret, and its roles in the realm.
const CLIENTS: &[&str] = &[
    "producer-app:producer-secret:writer",
    "reader-app:reader-secret:reader",
    "gateway:gw-secret",
    // Each of these belongs to one case, which changes it.
    "disabled-app:some-secret:reader",
    "suspended-app:some-secret:reader",
    "asked-app:some-secret:reader",
    "promoted-app:some-secret",
    "renewed-app:some-secret:reader",
    "plain-disabled-app:some-secret:reader",
    "plain-renewed-app:some-secret:reader",
];

/// Keycloak, for as long as the test binary lives; `None` when it is not here.
pub fn keycloak() -> Option<&'static Keycloak> {
    static KEYCLOAK: LazyLock<Keycloak> =
        LazyLock::new(|| Keycloak::start(&[REALM, OTHER, ROTATING], CLIENTS));
    keycloak::is_here().then(|| &*KEYCLOAK)
}

/// An item of `authentication`: tokens of this realm.
pub fn authentication(keycloak: &Keycloak, realm: &str) -> String {
    format!(
        "{{type: oauth_bearer, mediation: terminate, \
         jwks: {{endpoint: \"{}\", refresh_interval_min: 1s}}, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}, \
         claims_mapping: {{sub: client_id}}}}",
        keycloak.jwks_url(realm),
        keycloak.issuer(realm)
    )
}

/// A gateway that takes tokens of these realms, and shows the topic `orders` to those for whom the condition is true.
pub fn stage(keycloak: &Keycloak, realms: &[&str], condition: &str) -> Stage {
    stage_with(realms.iter().map(|realm| authentication(keycloak, realm)).collect(), condition)
}

/// The same with any items of `authentication`. The broker is a scripted one, and has the topic.
pub fn stage_with(authentication: Vec<String>, condition: &str) -> Stage {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().authentication = authentication;
        let rules = [rule("allow", "topic", "read", "orders"), rule("allow", "group", "read", "*")];
        setup.tenant().policies = vec![Policy::new("readers", Some(condition), &rules)];
    });
    stage.broker().has_topics(&["my-orders"]);
    stage
}

/// What a client is told of the topic `orders`.
pub fn sees_orders(client: &mut Client) -> i16 {
    let topic = TopicName(StrBytes::from_static_str("orders"));
    let topic = MetadataRequestTopic::default().with_name(Some(topic));
    client.ask(9, &MetadataRequest::default().with_topics(Some(vec![topic]))).topics[0].error_code
}

/// Logs in again on a connection, as soon as that is allowed: a second after the last login.
pub fn log_in_again(client: &mut Client, token: &str) {
    client.handshake_again("OAUTHBEARER");
    let answer = client.authenticate(&client_first(token));
    assert_eq!((answer.error_code, answer.auth_bytes.len()), (0, 0), "{answer:?}");
}
