//! Real clients that write on while their logins are renewed (KIP-368), by each way there is.
//!
//! The gateway ends the sessions that it gives after four seconds, and so does Kafka those of its listeners for proofs
//! and for tokens.

use crate::relayed::{BY_PASSWORD, CASES, GATEWAY, before, by_token, site_with_batch};
use crate::site::Site;
use crate::support::clients::Tool::{self, JavaFlow, Librdkafka};
use crate::support::process::Gateway;
use crate::support::setup::Setup;
use crate::visitors::{Visitors, by_tls, is_renewal, start};

/// The clients, by how they log in.
const EACH: &str = "plain scram-256 scram-512 relayed-256 relayed-512 relayed-token checked-token";

/// How often each of them logs in again.
const TIMES: usize = 3;

/// A gateway by whose own clock sessions end, and two by Kafka's.
struct Renewals {
    visitors: Visitors<'static>,
    own: Gateway,
    proofs: Gateway,
    tokens: Gateway,
}

impl Renewals {
    fn start(tool: Tool, prefix: &str) -> Option<Self> {
        let site = site_with_batch()?;
        let own = by_own_clock(site, &format!("own-{prefix}"));
        let ways = BY_PASSWORD[1..].iter().map(|way| (*way).to_owned()).collect::<Vec<_>>();
        let proofs = before(site, "SCRAM", &[GATEWAY.to_owned()], &[(prefix, &ways)]);
        let tokens = by_token(site, prefix, &[&site.issuer]);
        let port = |setup: &Setup, tenant: usize| setup.tenants[tenant].port;
        let sha512 = ("SCRAM-SHA-256", "SCRAM-SHA-512");
        let visitors = Visitors::new(site, tool)
            .and("plain", port(&own, 0), "sasl_plain", &[])
            .and("scram-256", port(&own, 0), "sasl_scram", &[])
            .and("scram-512", port(&own, 0), "sasl_scram", &[sha512])
            .and("relayed-256", port(&proofs, 0), "sasl_scram", &[])
            .and("relayed-512", port(&proofs, 0), "sasl_scram", &[sha512])
            .and("relayed-token", port(&tokens, 0), "oauth_bearer", &[])
            .and("checked-token", port(&tokens, 1), "oauth_bearer", &[]);
        let [own, proofs, tokens] = [&own, &proofs, &tokens].map(start);
        Some(Self { visitors, own, proofs, tokens })
    }

    /// Has them write on until each has logged in again so often, and nobody was refused meanwhile.
    fn check(&self, dialogue: &str) {
        let gateways = [&self.own, &self.proofs, &self.tokens];
        self.visitors.check_until(&gateways, dialogue, || {
            EACH.split(' ').all(|client| {
                let audit = self.gateway_of(client).audit();
                audit.iter().filter(|line| is_renewal(line, client)).count() >= TIMES
            })
        });
        for client in EACH.split(' ') {
            let gateway = self.gateway_of(client);
            let what = format!("{client}, let in again");
            gateway.expect_audits(&what, TIMES, |line| is_renewal(line, client));
            let audit = gateway.audit();
            assert!(audit.iter().all(|line| line["outcome"] == "success"), "{client}: {audit:#?}");
        }
    }

    fn gateway_of(&self, client: &str) -> &Gateway {
        match client {
            "relayed-256" | "relayed-512" => &self.proofs,
            "relayed-token" | "checked-token" => &self.tokens,
            _ => &self.own,
        }
    }
}

/// A gateway that knows batch itself, before Kafka's listener for everybody.
fn by_own_clock(site: &Site, prefix: &str) -> Setup {
    site.direct().create(&format!("{prefix}orders"));
    let mut setup = site.setup(prefix);
    let batch =
        "principals: [{username: batch, password: \"${env['BATCH_PASSWORD']}\"}], session_lifetime_max: 4s";
    setup.tenant().listener.push(by_tls(site, ""));
    setup.tenant().authentication =
        ["type: sasl_plain", "type: sasl_scram, algorithm: sha256", "type: sasl_scram, algorithm: sha512"]
            .map(|way| format!("{{{way}, {batch}}}"))
            .to_vec();
    setup
}

#[test]
fn java_writes_on_while_its_logins_are_renewed() {
    let Some(renewals) = Renewals::start(JavaFlow, CASES[2]) else { return };
    renewals.check(&format!("renew orders {TIMES} {EACH} -> ok failed=0"));
}

#[test]
fn librdkafka_writes_on_while_its_logins_are_renewed() {
    let Some(renewals) = Renewals::start(Librdkafka, CASES[3]) else { return };
    renewals.check(&format!("write-until FILE orders {EACH} -> ok"));
}
