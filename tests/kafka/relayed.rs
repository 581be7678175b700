//! Real clients whose logins go on to a real broker, which decides by its own users, keys and ACLs.

use std::sync::LazyLock;

use crate::direct::until;
use crate::site::{Site, authentication, issuer, site};
use crate::support::clients::Tool::{self, JavaAdmin, JavaFlow, Librdkafka};
use crate::support::clients::run;
use crate::support::process::Issuer;
use crate::support::setup::{Setup, Tenant};
use crate::visitors::{BATCH, BATCH_SECRET, Visitors, WRONG, by_tls, expect_login, expect_refusal, start};

/// How the gateway finds brokers behind listeners for names and passwords.
const GATEWAY: &str =
    "authentication: {type: sasl_scram, algorithm: sha512, username: gateway, password: gw-secret}";

/// All that a client's name and password can be said by, for the broker to decide.
const BY_PASSWORD: [&str; 3] = [
    "{type: sasl_plain, mediation: passthrough}",
    "{type: sasl_scram, algorithm: sha256, mediation: passthrough}",
    "{type: sasl_scram, algorithm: sha512, mediation: passthrough}",
];

const BY_TOKEN: &str = "{type: oauth_bearer, mediation: passthrough, claims_mapping: {sub: client_id}}";

/// The beginnings of the names of each case at the backend, and of its tenants behind them.
const CASES: [&str; 3] = ["relayed-java-", "relayed-librdkafka-", "relayed-again-"];
const TENANTS: [&str; 3] = ["", "token-", "checked-"];

/// The site, whose broker knows batch by his password, and lets him write and read the topics `orders` alone.
fn site_with_batch() -> Option<&'static Site> {
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
fn before(site: &Site, listener: &str, backend: &[String], tenants: &[(&str, &[String])]) -> Setup {
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
/// one more issuer than Kafka does.
fn by_token(site: &Site, prefix: &str, partner: &Issuer) -> Setup {
    let endpoint = site.issuer.token_url();
    let backend = format!(
        "authentication: {{type: oauth_bearer, token_endpoint: \"{endpoint}\", client_id: gateway, client_secret: gw-secret}}"
    );
    let checked = [&site.issuer, partner]
        .map(|issuer| authentication(issuer, "").replace("terminate", "validate_forward"));
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
    let (password_setup, token_setup) = (by_password(site, prefix), by_token(site, prefix, &partner));
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
    expect_login(&password, "sasl_plain", BATCH);
    expect_login(&password, "sasl_scram", BATCH);
    for (mechanism, why) in [
        ("sasl_plain", "Invalid username or password"),
        ("sasl_scram", "invalid credentials with SASL mechanism SCRAM-SHA-256"),
        ("sasl_scram", "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    ] {
        expect_refusal(&password, mechanism, why, &told);
    }
    expect_login(&token, "oauth_bearer", BATCH);
    expect_refusal(&token, "oauth_bearer", "the broker does not take the token", &told);
    expect_refusal(&token, "oauth_bearer", "issuer", &told);
}

/// The gateway ends its sessions after four seconds, and so does Kafka those on its listeners for proofs and tokens.
#[test]
fn java_writes_on_while_its_logins_are_renewed_by_each_way() {
    let Some(site) = site_with_batch() else { return };
    let partner = issuer("5m");
    let here = "renewed-";
    site.direct().create(&format!("{here}orders"));
    let mut own = site.setup(here);
    let batch =
        "principals: [{username: batch, password: \"${env['BATCH_PASSWORD']}\"}], session_lifetime_max: 4s";
    own.tenant().listener.push(by_tls(site, ""));
    own.tenant().authentication =
        ["type: sasl_plain", "type: sasl_scram, algorithm: sha256", "type: sasl_scram, algorithm: sha512"]
            .map(|way| format!("{{{way}, {batch}}}"))
            .to_vec();
    let ways = BY_PASSWORD[1..].iter().map(|way| (*way).to_owned()).collect::<Vec<_>>();
    let proofs = before(site, "SCRAM", &[GATEWAY.to_owned()], &[(CASES[2], &ways)]);
    let tokens = by_token(site, CASES[2], &partner);
    let [own_gateway, proof_gateway, token_gateway] = [&own, &proofs, &tokens].map(start);
    let sha512 = ("SCRAM-SHA-256", "SCRAM-SHA-512");
    Visitors::new(site, JavaFlow)
        .and("plain", own.tenants[0].port, "sasl_plain", &[])
        .and("scram-256", own.tenants[0].port, "sasl_scram", &[])
        .and("scram-512", own.tenants[0].port, "sasl_scram", &[sha512])
        .and("relayed-256", proofs.tenants[0].port, "sasl_scram", &[])
        .and("relayed-512", proofs.tenants[0].port, "sasl_scram", &[sha512])
        .and("relayed-token", tokens.tenants[0].port, "oauth_bearer", &[])
        .and("checked-token", tokens.tenants[1].port, "oauth_bearer", &[])
        .check(
            &[&own_gateway, &proof_gateway, &token_gateway],
            "renew orders 3 plain scram-256 scram-512 relayed-256 relayed-512 relayed-token checked-token -> ok failed=0",
        );
    for (gateway, mechanism, ways) in [
        (&own_gateway, "sasl_plain", 1),
        (&own_gateway, "sasl_scram", 2),
        (&proof_gateway, "sasl_scram", 2),
        (&token_gateway, "oauth_bearer", 2),
    ] {
        until("the audit log has them all", || {
            let audit = gateway.audit();
            assert!(audit.iter().all(|line| line["outcome"] == "success"), "{mechanism}: {audit:#?}");
            let again = audit.iter().filter(|line| {
                line["mechanism"] == mechanism
                    && line["principal"] == BATCH
                    && line["reason"] == "re-authentication"
            });
            (again.count() >= 3 * ways).then_some(())
        });
    }
}
