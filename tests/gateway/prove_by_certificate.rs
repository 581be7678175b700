//! Listeners that ask clients for certificates.

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use rcgen::CertificateParams;
use rustls::AlertDescription::{CertificateExpired, CertificateRequired, UnknownCA, UnsupportedCertificate};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::support::client::{Client, alert_in};
use crate::support::stage::{Stage, token};
use crate::support::tls::{Authority, Pair, written};

/// A gateway whose listener asks for certificates, and those who vouch for either side.
struct Site {
    stage: Stage,
    servers: Authority,
    clients: Authority,
    _dir: TempDir,
}

impl Site {
    fn start(mode: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let certificate = servers.pair(&["localhost"]).write(dir.path(), "server");
        let bundle = written(dir.path(), "clients.crt", &clients.pem());
        let stage = Stage::start_with(1, |setup, _| {
            setup.tenant().listener.push(format!(
                "tls_server: {{certificates: [{certificate}], \
                 client_authentication: {{mode: {mode}, trust_bundle: {bundle}}}}}"
            ));
        });
        Self { stage, servers, clients, _dir: dir }
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
fn rule_a17_a_chain_without_end_harms_nobody() {
    let site = Site::start("required");
    let mut bomb = site.from(|_| {});
    for _ in 0..100 {
        bomb.certificate.push_str(&Authority::new(&"x".repeat(1000)).pem());
    }
    // More than one message of a handshake holds.
    site.alert_for(&TLS13, Some(&bomb));
    site.expect_heard(&TLS13, Some(&site.from(|_| {})));
}
