//! Real clients whom the gateway lets in by itself: tokens, passwords and proofs side by side on one port, and
//! certificates.

use rcgen::{DistinguishedName, DnType};
use tempfile::TempDir;

use crate::site::{Site, authentication, issuer, site};
use crate::support::clients::Tool::{self, JavaFlow, Librdkafka};
use crate::support::process::Gateway;
use crate::support::setup::{Policy, Setup, rule};
use crate::support::tls::{Authority, Pair, written};
use crate::visitors::{BATCH, BATCH_SECRET, Visitors, WRONG, by_tls, expect_login, expect_refusal, start};

/// The password of ops: hashed, and as Kafka keeps it for SCRAM-SHA-256 and for SCRAM-SHA-512.
const OPS_SECRET: &str = "ops-secret";
const HASHED: &str =
    "$pbkdf2-sha256$i=4096$0lyAOcYYcSblrVKqAiGAwA$gSRmR4JC5pcr5M4JgSJWRvoIQJnusPnZme973H6ENQY";
const KEPT_256: &str = "salt=9J8+JKU9lCsjs7Blj2ouEA==,stored_key=C7mcGDR6fEo/0zZMcWEiKf2gRa6SQR2pZE1iPmBKCDY=,\
                        server_key=+bcHqr7/zao1ulUTe30fLfdPc/9er3K6FBBFT2V7iwk=,iterations=4096";
const KEPT_512: &str = "salt=r+JInmfCxWgtykn2vPp1Ig==,stored_key=bRzjERC6n4Vvs+PGbhY7KZ0uwiN4WXWWmEmjc5tssXIfzi6U\
                        uhZS20Y3ff9GDs98sqWErPlRixgyMCnhU9dszw==,server_key=rsAX8ygHayXBfMIABaFGnj2jE/Sj2BjrU99BE\
                        F0p3FAZqXhfqqsYI3Fg16ggivzgg5Sg3YreV4csvCGVgbBwoQ==,iterations=4096";

#[test]
fn java_logs_in_by_token_password_and_proof_on_one_port() {
    each_way_on_one_port(JavaFlow, "logins-java-");
}

#[test]
fn librdkafka_logs_in_by_token_password_and_proof_on_one_port() {
    each_way_on_one_port(Librdkafka, "logins-librdkafka-");
}

/// The same name has the same rights, whatever it logs in by, and another has others.
fn each_way_on_one_port(tool: Tool, prefix: &str) {
    let Some(site) = site() else { return };
    let setup = with_each_way(site, prefix);
    let gateway = start(&setup);
    for topic in ["orders", "closed"] {
        site.direct().create(&format!("{prefix}{topic}"));
    }
    let stranger = issuer("5m");
    let ops = [(BATCH_SECRET, OPS_SECRET), (BATCH, "ops")];
    let wrong = [(BATCH_SECRET, WRONG)];
    let sha512 = ("SCRAM-SHA-256", "SCRAM-SHA-512");
    let port = setup.tenants[0].port;
    let visitors = Visitors::new(site, tool)
        .and("token", port, "oauth_bearer", &[])
        .and("strange-token", port, "oauth_bearer", &[("https://idp.example/token", &stranger.token_url())])
        .and("plain", port, "sasl_plain", &[])
        .and("hashed", port, "sasl_plain", &ops)
        .and("wrong-plain", port, "sasl_plain", &wrong)
        .and("scram-256", port, "sasl_scram", &[])
        .and("kept-256", port, "sasl_scram", &ops)
        .and("wrong-256", port, "sasl_scram", &wrong)
        .and("scram-512", port, "sasl_scram", &[sha512])
        .and("kept-512", port, "sasl_scram", &[ops[0], ops[1], sha512])
        .and("wrong-512", port, "sasl_scram", &[wrong[0], sha512]);
    let told = visitors.check(
        &[&gateway],
        "as token -> ok
         produce orders one -> ok
         produce closed never -> TOPIC_AUTHORIZATION_FAILED
         consume orders by-token 1 -> ok one
         as strange-token -> ok
         produce orders never -> SASL_AUTHENTICATION_FAILED
         as plain -> ok
         produce orders two -> ok
         produce closed never -> TOPIC_AUTHORIZATION_FAILED
         consume orders by-plain 2 -> ok one two
         as hashed -> ok
         produce closed three -> ok
         as wrong-plain -> ok
         produce orders never -> SASL_AUTHENTICATION_FAILED
         as scram-256 -> ok
         produce orders four -> ok
         produce closed never -> TOPIC_AUTHORIZATION_FAILED
         consume orders by-256 3 -> ok one two four
         as kept-256 -> ok
         produce closed five -> ok
         as wrong-256 -> ok
         produce orders never -> SASL_AUTHENTICATION_FAILED
         as scram-512 -> ok
         produce orders six -> ok
         produce closed never -> TOPIC_AUTHORIZATION_FAILED
         consume orders by-512 4 -> ok one two four six
         as kept-512 -> ok
         consume closed ops 2 -> ok three five
         as wrong-512 -> ok
         produce orders never -> SASL_AUTHENTICATION_FAILED",
    );
    for (client, mechanism, principal) in [
        ("token", "oauth_bearer", BATCH),
        ("plain", "sasl_plain", BATCH),
        ("hashed", "sasl_plain", "ops"),
        ("scram-256", "sasl_scram", BATCH),
        ("kept-256", "sasl_scram", "ops"),
        ("scram-512", "sasl_scram", BATCH),
        ("kept-512", "sasl_scram", "ops"),
    ] {
        expect_login(&gateway, client, mechanism, principal);
    }
    expect_refusal(&gateway, "strange-token", "oauth_bearer", "issuer", &told);
    let why = "there is no such name, or its password is another";
    for (client, mechanism) in
        [("wrong-plain", "sasl_plain"), ("wrong-256", "sasl_scram"), ("wrong-512", "sasl_scram")]
    {
        expect_refusal(&gateway, client, mechanism, why, &told);
    }
}

/// A tenant who takes tokens, passwords and proofs, of batch and of ops.
fn with_each_way(site: &Site, prefix: &str) -> Setup {
    let batch = "{username: batch, password: \"${env['BATCH_PASSWORD']}\"}";
    let mut setup = site.setup(prefix);
    let tenant = setup.tenant();
    tenant.listener.push(by_tls(site, ""));
    tenant.authentication = vec![
        authentication(&site.issuer, ""),
        format!("{{type: sasl_plain, principals: [{batch}, {{username: ops, password: \"{HASHED}\"}}]}}"),
    ];
    for (algorithm, kept) in [("sha256", KEPT_256), ("sha512", KEPT_512)] {
        let ops = format!("{{username: ops, credential: \"{kept}\"}}");
        let way = format!("{{type: sasl_scram, algorithm: {algorithm}, principals: [{batch}, {ops}]}}");
        tenant.authentication.push(way);
    }
    let is = |name: &str| format!("context.auth.principal.name == '{name}'");
    let groups = rule("allow", "group", "all", "*");
    tenant.policies = vec![
        Policy::new("batch", Some(&is(BATCH)), &[rule("allow", "topic", "all", "orders"), groups.clone()]),
        Policy::new("ops", Some(&is("ops")), &[rule("allow", "topic", "all", "*"), groups]),
    ];
    setup
}

#[test]
fn java_is_let_in_by_its_certificate() {
    a_certificate_is_the_login(JavaFlow, "mtls-java-");
}

#[test]
fn librdkafka_is_let_in_by_its_certificate() {
    a_certificate_is_the_login(Librdkafka, "mtls-librdkafka-");
}

fn a_certificate_is_the_login(tool: Tool, prefix: &str) {
    let Some(site) = site() else { return };
    let site = ByCertificate::start(site, prefix);
    let file = |name: &str| site.dir.path().join(name).display().to_string();
    let (batch, reader, stranger) = (file("batch.pem"), file("reader.pem"), file("stranger.pem"));
    let port = site.setup.tenants[0].port;
    let shown = "/etc/kafka/client.pem";
    let mut visitors = Visitors::new(site.site, tool)
        .and("batch", port, "client_certificate", &[(shown, &batch)])
        .and("reader", port, "client_certificate", &[(shown, &reader)])
        .and("stranger", port, "client_certificate", &[(shown, &stranger)])
        .and("nobody", port, "client_certificate", &[]);
    visitors.leave_out("nobody", shown);
    visitors.check(
        &[&site.gateway],
        "as batch -> ok
         produce orders one -> ok
         consume orders readers-1 1 -> ok one
         as reader -> ok
         produce orders never -> TOPIC_AUTHORIZATION_FAILED
         consume orders readers-2 1 -> ok one
         as nobody -> ok
         produce orders never -> SSL_AUTHENTICATION_FAILED
         as stranger -> ok
         produce orders never -> SSL_AUTHENTICATION_FAILED",
    );
    for principal in ["batch", "reader"] {
        expect_login(&site.gateway, principal, "client_certificate", principal);
    }
    let log = site.gateway.process.log();
    for why in ["peer sent no certificates", "invalid peer certificate: BadSignature"] {
        assert!(log.contains(why), "{why:?} is not in:\n{log}");
    }
}

/// A gateway that asks for certificates, with those of some clients in a folder.
struct ByCertificate<'s> {
    site: &'s Site,
    setup: Setup,
    gateway: Gateway,
    dir: TempDir,
}

impl<'s> ByCertificate<'s> {
    fn start(site: &'s Site, prefix: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let clients = Authority::new("clients");
        for (name, pair) in [
            ("batch", service(&clients, "Batch")),
            ("reader", service(&clients, "reader")),
            ("stranger", service(&Authority::new("clients"), "batch")),
        ] {
            written(dir.path(), &format!("{name}.pem"), &(pair.key + &pair.certificate));
        }
        let bundle = written(dir.path(), "clients.crt", &clients.pem());
        let mut setup = site.setup(prefix);
        let tenant = setup.tenant();
        let asked = format!(", client_authentication: {{mode: required, trust_bundle: {bundle}}}");
        tenant.listener.push(by_tls(site, &asked));
        let rules = "\"RULE:^CN=(.*?),OU=services.*$/$1/L\", DEFAULT";
        tenant.authentication = vec![format!("{{type: client_certificate, principal_mapping: [{rules}]}}")];
        let is = |name: &str| {
            format!("context.auth.type == 'client_certificate' && context.auth.principal.name == '{name}'")
        };
        let groups = rule("allow", "group", "all", "*");
        tenant.policies = vec![
            Policy::new("batch", Some(&is("batch")), &[rule("allow", "topic", "all", "*"), groups.clone()]),
            Policy::new(
                "reader",
                Some(&is("reader")),
                &[rule("allow", "topic", "read", "*"), rule("allow", "topic", "write", "notes"), groups],
            ),
        ];
        site.direct().create(&format!("{prefix}orders"));
        let gateway = start(&setup);
        Self { site, setup, gateway, dir }
    }
}

/// A certificate of a service, as `principal_mapping` expects its subject.
fn service(authority: &Authority, name: &str) -> Pair {
    authority.vouch_for(&[name], |params| {
        params.distinguished_name = DistinguishedName::new();
        for (part, value) in [
            (DnType::OrganizationName, "Example"),
            (DnType::OrganizationalUnitName, "services"),
            (DnType::CommonName, name),
        ] {
            params.distinguished_name.push(part, value);
        }
    })
}
