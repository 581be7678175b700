//! Real clients whose logins go on to a real broker, which decides by its own users, keys and ACLs.

use std::sync::LazyLock;

use crate::site::{Site, authentication, issuer, site};
use crate::support::clients::Tool::{self, JavaAdmin, JavaFlow, Librdkafka};
use crate::support::clients::run;
use crate::support::process::Issuer;
use crate::support::setup::{Setup, Tenant};
use crate::visitors::{BATCH, BATCH_SECRET, Visitors, WRONG, by_tls, expect_login, expect_refusal, start};

/// How the gateway finds brokers behind listeners for names and passwords.
pub const GATEWAY: &str =
    "authentication: {type: sasl_scram, algorithm: sha512, username: gateway, password: gw-secret}";

/// All that a client's name and password can be said by, for the broker to decide.
pub const BY_PASSWORD: [&str; 3] = [
    "{type: sasl_plain, mediation: passthrough}",
    "{type: sasl_scram, algorithm: sha256, mediation: passthrough}",
    "{type: sasl_scram, algorithm: sha512, mediation: passthrough}",
];

const BY_TOKEN: &str = "{type: oauth_bearer, mediation: passthrough, claims_mapping: {sub: client_id}}";

/// The beginnings of the names of each case at the backend, and of its tenants behind them.
pub const CASES: [&str; 4] = ["relayed-java-", "relayed-librdkafka-", "renewed-java-", "renewed-librdkafka-"];
const TENANTS: [&str; 3] = ["", "token-", "checked-"];

/// The site, whose broker knows batch by his password, and lets him write and read the topics `orders` alone.
pub fn site_with_batch() -> Option<&'static Site> {
    static KNOWN: LazyLock<()> = LazyLock::new(|| {
        let Some(site) = site() else { return };
        let mut lines = vec![
            format!("set-user {BATCH} {BATCH_SECRET}"),
            format!("set-user {BATCH} {BATCH_SECRET} 512"),
            format!("allow {BATCH} group relayed- PREFIXED describe,read"),
        ];
        let prefixes = CASES.iter().flat_map(|case| TENANTS.map(|tenant| format!("{case}{tenant}")));
        for prefix in prefixes {
            lines.push(format!("allow {BATCH} topic {prefix}orders LITERAL describe,read,write"));
            for topic in ["orders", "closed"] {
                site.direct().create(&format!("{prefix}{topic}"));
            }
        }
        let commands: Vec<&str> = lines.iter().map(String::as_str).collect();
        let said = run(JavaAdmin, site.kafka.bootstrap("PLAINTEXT"), None, &commands);
        let right: Vec<String> = lines.iter().map(|line| format!("{line} -> ok")).collect();
        assert_eq!(said.outcomes, right, "the broker could not be told of batch: {}", said.aside);
    });
    LazyLock::force(&KNOWN);
    site()
}

/// A gateway before a listener of the broker, whose ACLs decide.
pub fn before(site: &Site, listener: &str, backend: &[String], tenants: &[(&str, &[String])]) -> Setup {
    let mut setup = site.setup(tenants[0].0);
    setup.bootstrap = vec![site.kafka.bootstrap(listener).to_owned()];
    setup.backend = backend.to_vec();
    setup.tenants = tenants
        .iter()
        .enumerate()
        .map(|(place, (prefix, ways))| {
            let mut tenant = Tenant::new(&format!("team-{place}"), prefix, "");
            tenant.authentication = ways.to_vec();
            tenant.more.push("acl_mode: passthrough".to_owned());
            tenant.policies.clear();
            tenant.listener.push(by_tls(site, ""));
            tenant
        })
        .collect();
    setup
}

/// Before the listener where a name and a password are said by TLS.
fn by_password(site: &Site, prefix: &str) -> Setup {
    let tls = format!("tls: {{enabled: true, ca_bundle: {}}}", site.pem("ca.crt"));
    before(site, "SCRAM_SSL", &[GATEWAY.to_owned(), tls], &[(prefix, &BY_PASSWORD.map(str::to_owned))])
}

/// Before the listener where Kafka verifies tokens; the second tenant's are verified by the gateway too, which trusts
/// these issuers.
pub fn by_token(site: &Site, prefix: &str, trusted: &[&Issuer]) -> Setup {
    let endpoint = site.issuer.token_url();
    let backend = format!(
        "authentication: {{type: oauth_bearer, token_endpoint: \"{endpoint}\", client_id: gateway, client_secret: gw-secret}}"
    );
    let checked = trusted.iter().map(|issuer| authentication(issuer, ""));
    let checked: Vec<String> = checked.map(|way| way.replace("terminate", "validate_forward")).collect();
    let [_, passed_names, checked_names] = TENANTS.map(|tenant| format!("{prefix}{tenant}"));
    let passed = [BY_TOKEN.to_owned()];
    before(site, "OAUTH", &[backend], &[(&passed_names, &passed), (&checked_names, &checked)])
}

#[test]
fn kafka_decides_who_comes_by_java() {
    kafka_decides(JavaFlow, CASES[0]);
}

#[test]
fn kafka_decides_who_comes_by_librdkafka() {
    kafka_decides(Librdkafka, CASES[1]);
}

fn kafka_decides(tool: Tool, prefix: &str) {
    let Some(site) = site_with_batch() else { return };
    let (partner, stranger) = (issuer("5m"), issuer("5m"));
    // The gateway trusts one more issuer than Kafka does.
    let password_setup = by_password(site, prefix);
    let token_setup = by_token(site, prefix, &[&site.issuer, &partner]);
    let (password, token) = (start(&password_setup), start(&token_setup));
    let wrong = (BATCH_SECRET, WRONG);
    let sha512 = ("SCRAM-SHA-256", "SCRAM-SHA-512");
    let by_password = password_setup.tenants[0].port;
    let (passed, checked) = (token_setup.tenants[0].port, token_setup.tenants[1].port);
    let token_url = "https://idp.example/token";
    let told = Visitors::new(site, tool)
        .and("plain", by_password, "sasl_plain", &[])
        .and("wrong-plain", by_password, "sasl_plain", &[wrong])
        .and("scram-256", by_password, "sasl_scram", &[])
        .and("wrong-256", by_password, "sasl_scram", &[wrong])
        .and("scram-512", by_password, "sasl_scram", &[sha512])
        .and("wrong-512", by_password, "sasl_scram", &[wrong, sha512])
        .and("token", passed, "oauth_bearer", &[])
        .and("strange-token", passed, "oauth_bearer", &[(token_url, &stranger.token_url())])
        .and("checked", checked, "oauth_bearer", &[])
        .and("strange-checked", checked, "oauth_bearer", &[(token_url, &stranger.token_url())])
        .and("partner", checked, "oauth_bearer", &[(token_url, &partner.token_url())])
        .check(
            &[&password, &token],
            "as plain -> ok
             produce orders one -> ok
             produce closed never -> TOPIC_AUTHORIZATION_FAILED
             consume orders by-plain 1 -> ok one
             as wrong-plain -> ok
             produce orders never -> SASL_AUTHENTICATION_FAILED
             as scram-256 -> ok
             produce orders two -> ok
             produce closed never -> TOPIC_AUTHORIZATION_FAILED
             consume orders by-256 2 -> ok one two
             as wrong-256 -> ok
             produce orders never -> SASL_AUTHENTICATION_FAILED
             as scram-512 -> ok
             produce orders three -> ok
             produce closed never -> TOPIC_AUTHORIZATION_FAILED
             consume orders by-512 3 -> ok one two three
             as wrong-512 -> ok
             produce orders never -> SASL_AUTHENTICATION_FAILED
             as token -> ok
             produce orders one -> ok
             produce closed never -> TOPIC_AUTHORIZATION_FAILED
             consume orders by-token 1 -> ok one
             as strange-token -> ok
             produce orders never -> SASL_AUTHENTICATION_FAILED
             as checked -> ok
             produce orders one -> ok
             produce closed never -> TOPIC_AUTHORIZATION_FAILED
             consume orders by-checked 1 -> ok one
             as strange-checked -> ok
             produce orders never -> SASL_AUTHENTICATION_FAILED
             as partner -> ok
             produce orders never -> SASL_AUTHENTICATION_FAILED",
        );
    for (gateway, client, mechanism) in [
        (&password, "plain", "sasl_plain"),
        (&password, "scram-256", "sasl_scram"),
        (&password, "scram-512", "sasl_scram"),
        (&token, "token", "oauth_bearer"),
        (&token, "checked", "oauth_bearer"),
    ] {
        expect_login(gateway, client, mechanism, BATCH);
    }
    let by_kafka = "the broker does not take the token";
    for (gateway, client, mechanism, why) in [
        (&password, "wrong-plain", "sasl_plain", "the broker refuses the login"),
        (&password, "wrong-256", "sasl_scram", "the broker refuses the login"),
        (&password, "wrong-512", "sasl_scram", "the broker refuses the login"),
        (&token, "strange-token", "oauth_bearer", by_kafka),
        (&token, "strange-checked", "oauth_bearer", "issuer"),
        (&token, "partner", "oauth_bearer", by_kafka),
    ] {
        expect_refusal(gateway, client, mechanism, why, &told);
    }
}
