//! Kafka's clients and librdkafka, which fetch their tokens from Keycloak, with a real Kafka behind the gateway.
//!
//! The gateway gets in at the broker by a token of Keycloak too, which Kafka itself verifies.

use std::sync::LazyLock;

use crate::site::{REALM, authentication, keycloak};
use crate::support::clients::Tool::{Console, JavaAdmin, Librdkafka};
use crate::support::clients::{self, Java, Login, Tool};
use crate::support::kafka::{self, Kafka};
use crate::support::keycloak::{AUDIENCE, Keycloak};
use crate::support::process::Gateway;
use crate::support::setup::{Policy, Setup, rule};

/// A broker whose reference listener takes tokens of the realm, for as long as the test binary lives.
fn broker() -> &'static Kafka {
    static KAFKA: LazyLock<Kafka> = LazyLock::new(|| {
        let keycloak = keycloak().expect("who asks for a broker has it");
        Kafka::start_trusting(1, &keycloak.jwks_url(REALM), &keycloak.issuer(REALM), AUDIENCE, &[])
    });
    &KAFKA
}

/// A gateway before the broker, where writers may do everything and readers read what begins with `open-`.
struct Front {
    keycloak: &'static Keycloak,
    gateway: Gateway,
    bootstrap: String,
}

impl Front {
    fn start(prefix: &str) -> Option<Self> {
        let keycloak = keycloak().filter(|_| kafka::is_here())?;
        let mut setup = Setup::new(&[broker().bootstrap("OAUTH").to_owned()], "");
        setup.backend = vec![format!(
            "authentication: {{type: oauth_bearer, token_endpoint: \"{}\", client_id: gateway, client_secret: gw-secret}}",
            keycloak.token_url(REALM)
        )];
        let tenant = setup.tenant();
        tenant.namespace = format!("{{mode: hide_prefix, prefix: \"{prefix}\"}}");
        tenant.authentication = vec![authentication(keycloak, REALM)];
        let has = |role: &str| format!("context.auth.token.claims.realm_access.roles.includes('{role}')");
        tenant.policies = vec![
            Policy { condition: Some(has("writer")), ..Policy::everything() },
            Policy::new(
                "readers",
                Some(&has("reader")),
                &[rule("allow", "topic", "read", "open-*"), rule("allow", "group", "read", "reader-*")],
            ),
        ];
        let bootstrap = format!("127.0.0.1:{}", tenant.port);
        let gateway = Gateway::start(&setup.text(), setup.admin_port);
        Some(Self { keycloak, gateway, bootstrap })
    }

    /// Says these lines with a tool as this client, and compares the outcomes.
    fn check(&self, tool: Tool, client: &str, dialogue: &str) {
        let secret = client.replace("-app", "-secret");
        let token_url = self.keycloak.token_url(REALM);
        let login = Login { client, secret: &secret, token_url: &token_url, ca: None, java: Java::default() };
        let expected: Vec<&str> = dialogue.lines().map(str::trim).collect();
        let commands: Vec<&str> =
            expected.iter().map(|line| line.split_once(" -> ").expect("a line has an outcome").0).collect();
        let said = clients::run(tool, &self.bootstrap, Some(login), &commands);
        assert_eq!(
            said.outcomes,
            expected,
            "{tool:?} (left: seen, right: expected); aside it said:\n{}\nand the gateway's log is:\n{}",
            said.aside,
            self.gateway.process.log()
        );
    }
}

#[test]
fn kafkas_own_clients_work_with_tokens_of_keycloak() {
    let Some(front) = Front::start("java-") else { return };
    front.check(
        JavaAdmin,
        "producer-app",
        "create open-orders 1 1 -> ok
         create closed-orders 1 1 -> ok",
    );
    front.check(Console, "producer-app", "produce open-orders one two -> ok");
    front.check(Console, "reader-app", "consume open-orders reader-console 2 -> ok one two");
    front.check(
        JavaAdmin,
        "reader-app",
        "topics -> ok open-orders
         topic closed-orders -> TOPIC_AUTHORIZATION_FAILED
         create open-more 1 1 -> TOPIC_AUTHORIZATION_FAILED",
    );
}

#[test]
fn librdkafka_works_with_tokens_of_keycloak() {
    let Some(front) = Front::start("rd-") else { return };
    front.check(
        Librdkafka,
        "producer-app",
        "create open-orders 1 1 -> ok
         produce open-orders one -> ok",
    );
    front.check(
        Librdkafka,
        "reader-app",
        "consume open-orders reader-rd 1 -> ok one
         produce open-orders two -> TOPIC_AUTHORIZATION_FAILED",
    );
}
