//! Real clients that know PLAIN and nothing of OAuth, with the id and the secret of a client of the issuer.

use crate::site::{authentication, site};
use crate::support::clients::Tool::{self, JavaFlow, Librdkafka};
use crate::support::setup::{Policy, rule};
use crate::visitors::{
    BATCH, BATCH_SECRET, Visitors, WRONG, by_tls, expect_login, expect_refusal, is_renewal, start,
};

#[test]
fn java_logs_in_with_a_client_id_and_its_secret_as_name_and_password() {
    a_client_id_is_a_name(JavaFlow, "idplain-java-", "renew orders 1 batch -> ok failed=0");
}

#[test]
fn librdkafka_logs_in_with_a_client_id_and_its_secret_as_name_and_password() {
    a_client_id_is_a_name(Librdkafka, "idplain-librdkafka-", "write-until FILE orders batch -> ok");
}

fn a_client_id_is_a_name(tool: Tool, prefix: &str, renewal: &str) {
    let Some(site) = site() else { return };
    let mut setup = site.setup(prefix);
    let tenant = setup.tenant();
    tenant.listener.push(by_tls(site, ""));
    tenant.authentication = vec![
        authentication(&site.issuer, ""),
        format!(
            "{{type: sasl_plain, token_endpoint: {{endpoint: \"{}\"}}, session_lifetime_max: 10s}}",
            site.issuer.token_url()
        ),
    ];
    let is_batch = "context.auth.type == 'sasl_plain' && context.auth.token.claims.client_id == 'batch'";
    let rules = [rule("allow", "topic", "all", "orders"), rule("allow", "group", "all", "*")];
    tenant.policies = vec![Policy::new("batch", Some(is_batch), &rules)];
    let gateway = start(&setup);
    for topic in ["orders", "closed"] {
        site.direct().create(&format!("{prefix}{topic}"));
    }
    let port = setup.tenants[0].port;
    let visitors = Visitors::new(site, tool).and("batch", port, "sasl_plain", &[]).and(
        "wrong",
        port,
        "sasl_plain",
        &[(BATCH_SECRET, WRONG)],
    );
    let told = visitors.check_until(
        &[&gateway],
        &format!(
            "as batch -> ok
         produce orders one -> ok
         produce closed never -> TOPIC_AUTHORIZATION_FAILED
         consume orders readers 1 -> ok one
         {renewal}
         as wrong -> ok
         produce orders never -> SASL_AUTHENTICATION_FAILED"
        ),
        || gateway.audit().iter().any(|line| is_renewal(line, "batch")),
    );
    expect_login(&gateway, "batch", "sasl_plain", BATCH);
    expect_refusal(
        &gateway,
        "wrong",
        "sasl_plain",
        "the token endpoint refuses: 127.0.0.1 answers 401",
        &told,
    );
    gateway.expect_audit("a session that was renewed", |line| is_renewal(line, "batch"));
    let (_, metrics) = gateway.admin("/metrics").expect("the admin port answers");
    let fetched = "sluicegate_login_token_fetches_total{virtual_cluster=\"team\",result=\"success\"} 1";
    assert!(metrics.lines().any(|line| line == fetched), "one token for all connections:\n{metrics}");
}
