//! Listeners that ask clients for certificates.
#![allow(clippy::disallowed_methods, reason = "certificates end by the real clock")]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use rcgen::CertificateParams;
use rustls::AlertDescription::{
    CertificateExpired, CertificateRequired, CertificateRevoked, UnknownCA, UnsupportedCertificate,
};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::support::client::{Client, alert_in, request_bytes};
use crate::support::setup::{Policy, Setup, rule};
use crate::support::stage::{Stage, token, wait_until};
use crate::support::tls::{Authority, Pair, written};

/// A gateway whose listener asks for certificates, and those who vouch for either side.
struct Site {
    stage: Stage,
    servers: Authority,
    clients: Authority,
    dir: TempDir,
}

impl Site {
    fn start(mode: &str) -> Self {
        Self::start_with(mode, |_| {})
    }

    fn start_with(mode: &str, change: impl FnOnce(&mut Setup)) -> Self {
        Self::start_wanting(mode, |_, _| String::new(), change)
    }

    /// With more in `client_authentication`, which may lie in this folder.
    fn start_wanting(
        mode: &str,
        more: impl FnOnce(&Authority, &Path) -> String,
        change: impl FnOnce(&mut Setup),
    ) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let certificate = servers.pair(&["localhost"]).write(dir.path(), "server");
        let bundle = written(dir.path(), "clients.crt", &clients.pem());
        let more = more(&clients, dir.path());
        let stage = Stage::start_with(1, |setup, _| {
            change(setup);
            setup.tenant().listener.push(format!(
                "tls_server: {{certificates: [{certificate}], \
                 client_authentication: {{mode: {mode}, trust_bundle: {bundle}{more}}}}}"
            ));
        });
        Self { stage, servers, clients, dir }
    }

    fn connect(
        &self,
        version: &'static SupportedProtocolVersion,
        pair: Option<&Pair>,
    ) -> Result<Client, Option<AlertDescription>> {
        let config = self.servers.client_with(&[version], pair);
        Client::connect_tls(self.stage.setup.tenants[0].port, config).map_err(|error| alert_in(&error))
    }

    fn expect_heard(&self, version: &'static SupportedProtocolVersion, pair: Option<&Pair>) {
        let mut client = self.connect(version, pair).expect("the handshake succeeds");
        client.ask(0, &ApiVersionsRequest::default());
    }

    /// The alert by which a client is turned away that has said nothing yet. In TLS 1.3 it has finished before the
    /// other side looks at its certificate.
    fn alert_for(
        &self,
        version: &'static SupportedProtocolVersion,
        pair: Option<&Pair>,
    ) -> Option<AlertDescription> {
        match self.connect(version, pair) {
            Ok(mut client) => client.read_frame_or_alert().expect_err("nobody answers"),
            Err(alert) => alert,
        }
    }

    fn from(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.clients.vouch_for(&["reader"], change)
    }
}

#[test]
fn a_required_certificate_must_be_there_and_vouched_for() {
    let site = Site::start("required");
    let stranger = Authority::new("strangers").pair(&["reader"]);
    let old = site.from(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let of_server =
        site.from(|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    for version in [&TLS12, &TLS13] {
        site.expect_heard(version, Some(&site.from(|_| {})));
        assert_eq!(site.alert_for(version, None), Some(CertificateRequired));
        assert_eq!(site.alert_for(version, Some(&stranger)), Some(UnknownCA));
        assert_eq!(site.alert_for(version, Some(&old)), Some(CertificateExpired));
        assert_eq!(site.alert_for(version, Some(&of_server)), Some(UnsupportedCertificate));
    }
    site.stage.broker().assert_untouched();
}

#[test]
fn a_requested_certificate_may_be_left_out_and_must_be_good() {
    let site = Site::start("requested");
    let stranger = Authority::new("strangers").pair(&["reader"]);
    for version in [&TLS12, &TLS13] {
        site.expect_heard(version, Some(&site.from(|_| {})));
        site.expect_heard(version, None);
        assert_eq!(site.alert_for(version, Some(&stranger)), Some(UnknownCA));
    }
    // A token logs in as ever.
    let mut client = site.connect(&TLS13, None).expect("the handshake succeeds");
    client.log_in(&token("alice"));
    assert_eq!(client.ask(9, &MetadataRequest::default()).brokers.len(), 1);
}

#[test]
fn a_17_a_chain_without_end_harms_nobody() {
    let site = Site::start("required");
    let mut bomb = site.from(|_| {});
    for _ in 0..100 {
        bomb.certificate.push_str(&Authority::new(&"x".repeat(1000)).pem());
    }
    // More than one message of a handshake holds.
    site.alert_for(&TLS13, Some(&bomb));
    site.expect_heard(&TLS13, Some(&site.from(|_| {})));
}

/// A gateway that lets clients in by their certificates, and in front of that by these ways.
fn by_certificate(mode: &str, before: &[&str], rules: &str) -> Site {
    let change = |setup: &mut Setup| {
        let tenant = setup.tenant();
        tenant.authentication = before.iter().map(|way| (*way).to_owned()).collect();
        tenant.authentication.push(format!("{{type: client_certificate, principal_mapping: [{rules}]}}"));
        let condition =
            "context.auth.type == 'client_certificate' && context.auth.principal.name == 'reader'";
        tenant.policies =
            vec![Policy::new("by-certificate", Some(condition), &[rule("allow", "topic", "describe", "*")])];
    };
    let site = Site::start_with(mode, change);
    site.stage.broker().has_topics(&["my-orders"]);
    site
}

const COMMON_NAME: &str = "\"RULE:^CN=(.*)$/$1/L\"";
const BY_NAME: &str = "{type: sasl_plain, principals: [{username: alice, password: open-sesame}]}";

fn named(site: &Site, name: &str) -> Pair {
    site.from(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
    })
}

#[test]
fn a_certificate_lets_in_whom_the_rules_make_of_it() {
    let site = by_certificate("required", &[], COMMON_NAME);
    for (name, sees) in [("Reader", 1), ("writer", 0)] {
        let mut client = site.connect(&TLS13, Some(&named(&site, name))).expect("the handshake succeeds");
        let topics = client.ask(9, &MetadataRequest::default().with_topics(None)).topics;
        assert_eq!(topics.len(), sees, "{name}");
    }
    let line = site.stage.expect_audit("reader", |line| line["principal"] == "reader");
    assert_eq!((&line["outcome"], &line["mechanism"]), (&"success".into(), &"client_certificate".into()));
}

#[test]
fn a_certificate_that_no_rule_matches_lets_nobody_in() {
    let site = by_certificate("required", &[], "\"RULE:^CN=team-(.*)$/$1/\"");
    let mut client = site.connect(&TLS13, Some(&named(&site, "reader"))).expect("the handshake succeeds");
    client.send(9, &MetadataRequest::default());
    client.expect_close();
    let reason = "no rule of principal_mapping matches the name in the client's certificate";
    site.stage.expect_audit("no rule", |line| line["reason"] == reason && line["outcome"] == "failure");
    site.stage.broker().assert_untouched();
}

#[test]
fn who_has_no_certificate_must_log_in_and_who_has_one_may() {
    let site = by_certificate("requested", &[BY_NAME], COMMON_NAME);
    let mut nobody = site.connect(&TLS13, None).expect("the handshake succeeds");
    nobody.send(9, &MetadataRequest::default());
    nobody.expect_close();
    let pair = named(&site, "reader");
    for (pair, logs_in, sees) in [(None, true, 0), (Some(&pair), true, 0), (Some(&pair), false, 1)] {
        let mut client = site.connect(&TLS13, pair).expect("the handshake succeeds");
        client.ask(0, &ApiVersionsRequest::default());
        if logs_in {
            assert_eq!(client.authenticate_by_plain("alice", "open-sesame").error_code, 0);
        }
        let topics = client.ask(9, &MetadataRequest::default().with_topics(None)).topics;
        assert_eq!(topics.len(), sees, "{logs_in}");
    }
}

#[test]
fn a_condition_sees_what_a_client_by_certificate_calls_itself() {
    let change = |setup: &mut Setup| {
        let tenant = setup.tenant();
        tenant.authentication =
            vec![format!("{{type: client_certificate, principal_mapping: [{COMMON_NAME}]}}")];
        let condition = "context.client.id == 'batch' && context.auth.principal.name == 'reader'";
        tenant.policies =
            vec![Policy::new("batch", Some(condition), &[rule("allow", "topic", "describe", "*")])];
    };
    let site = Site::start_with("required", change);
    site.stage.broker().has_topics(&["my-orders"]);
    let pair = named(&site, "reader");
    for asks_for_versions in [false, true] {
        for (client_id, sees) in [(Some("batch"), 1), (Some("batches"), 0), (None, 0)] {
            let mut client = site.connect(&TLS13, Some(&pair)).expect("the handshake succeeds");
            if asks_for_versions {
                client.send_as(0, 1, client_id, &ApiVersionsRequest::default());
                client.read::<ApiVersionsRequest>(0, 1);
            }
            client.send_as(9, 2, client_id, &MetadataRequest::default().with_topics(None));
            let topics = client.read::<MetadataRequest>(9, 2).topics;
            assert_eq!(topics.len(), sees, "{client_id:?}");
            // What it says later changes nothing.
            client.send_as(9, 3, Some("batch"), &MetadataRequest::default().with_topics(None));
            assert_eq!(client.read::<MetadataRequest>(9, 3).topics.len(), sees);
        }
    }
    site.stage.expect_audit("the login of batch", |line| {
        line["event"] == "login" && line["client_id"] == "batch" && line["principal"] == "reader"
    });
}

#[test]
fn p_06_a_session_by_certificate_is_closed_when_the_certificate_ends() {
    let site = by_certificate("required", &[], COMMON_NAME);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    let end = Duration::from_secs(since_1970.as_secs() + 15);
    let short = site.from(|params| params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end);
    let mut idle = site.connect(&TLS13, Some(&short)).expect("the handshake succeeds");
    let mut lasting = site.connect(&TLS13, Some(&named(&site, "reader"))).expect("the handshake succeeds");
    for client in [&mut idle, &mut lasting] {
        client.ask(9, &MetadataRequest::default());
    }
    idle.expect_close();
    let a_moment = Duration::from_millis(100);
    assert!(SystemTime::now() + a_moment >= UNIX_EPOCH + end, "not before it ends");
    let expired = "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"session_expired\"}";
    site.stage.expect_metric(expired, 1.0);
    lasting.ask(9, &MetadataRequest::default());
}

const CRL: &str = "clients.crl";

/// A gateway that looks who is revoked: the certificate of this number, by a list for so many seconds.
fn revoking(number: u64, seconds: i64) -> Site {
    let more = |clients: &Authority, dir: &Path| {
        format!(", crl: {}", written(dir, CRL, &clients.revokes(&[number], seconds)))
    };
    Site::start_wanting("requested", more, |_| {})
}

fn numbered(site: &Site, number: u64) -> Pair {
    site.from(|params| params.serial_number = Some(number.into()))
}

#[test]
fn a_revoked_certificate_is_turned_away_from_the_next_list_on() {
    let site = revoking(7, 3600);
    let (seven, eight) = (numbered(&site, 7), numbered(&site, 8));
    for version in [&TLS12, &TLS13] {
        assert_eq!(site.alert_for(version, Some(&seven)), Some(CertificateRevoked));
        site.expect_heard(version, Some(&eight));
        site.expect_heard(version, None);
    }
    let mut before = site.connect(&TLS13, Some(&eight)).expect("the handshake succeeds");
    before.log_in(&token("alice"));
    before.ask(0, &ApiVersionsRequest::default());
    written(site.dir.path(), CRL, &site.clients.revokes(&[8], 3600));
    wait_until("revoked", || {
        let Ok(mut client) = site.connect(&TLS13, Some(&eight)) else { return false };
        let _ = client.try_send_bytes(&request_bytes(0, 1, None, &ApiVersionsRequest::default()));
        client.read_frame_or_alert().is_err()
    });
    assert_eq!(site.alert_for(&TLS13, Some(&eight)), Some(CertificateRevoked));
    before.ask(0, &ApiVersionsRequest::default());
    site.expect_heard(&TLS13, Some(&seven));
    // What is no list is not taken.
    written(site.dir.path(), CRL, "no list");
    let refused =
        "sluicegate_certificate_reloads_total{owner=\"listener\",name=\"team-listener\",result=\"refused\"}";
    site.stage.expect_metric(refused, 1.0);
    assert_eq!(site.alert_for(&TLS13, Some(&eight)), Some(CertificateRevoked));
}

#[test]
fn a_list_that_is_too_old_lets_nobody_in_by_a_certificate() {
    let site = revoking(7, -60);
    let alert = site.alert_for(&TLS13, Some(&numbered(&site, 8)));
    assert!(alert.is_some(), "nobody knows whether it is revoked");
    site.expect_heard(&TLS13, None);
    assert!(site.stage.gateway.process.log().contains("the list of revoked certificates is too old"));
}

#[test]
fn a_list_of_another_issuer_says_nothing_of_a_certificate() {
    let more = |_: &Authority, dir: &Path| {
        format!(", crl: {}", written(dir, CRL, &Authority::new("others").revokes(&[7], 3600)))
    };
    let site = Site::start_wanting("required", more, |_| {});
    assert_eq!(site.alert_for(&TLS13, Some(&numbered(&site, 8))), Some(UnknownCA));
    site.stage.broker().assert_untouched();
}
