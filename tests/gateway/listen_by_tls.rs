//! Listeners that speak TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::MetadataRequest;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::setup::Setup;
use crate::support::stage::{Stage, token};

/// A certificate for `localhost` in files, for as long as the value lives.
struct Certificate {
    der: CertificateDer<'static>,
    dir: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let CertifiedKey::<KeyPair> { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write =
            |name, text| std::fs::write(dir.path().join(name), text).expect("the file can be written");
        write("tls.crt", cert.pem());
        write("tls.key", signing_key.serialize_pem());
        Self { der: cert.der().clone(), dir }
    }

    fn serve(&self, setup: &mut Setup, more: &str) {
        let dir = self.dir.path().display();
        setup.tenant().listener.push(format!(
            "tls_server: {{certificates: [{{certificate: \"${{file['{dir}/tls.crt']}}\", \
             key: \"${{file['{dir}/tls.key']}}\"}}]{more}}}"
        ));
    }

    fn trusted(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate of our own");
        trusting(roots, versions)
    }
}

fn trusting(roots: RootCertStore, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("the provider has these versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn port(stage: &Stage) -> u16 {
    stage.setup.tenants[0].port
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    let certificate = Certificate::new();
    let stage = Stage::start_with(1, |setup, _| certificate.serve(setup, ""));
    for (offered, agreed) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (&[&TLS12, &TLS13], ProtocolVersion::TLSv1_3),
    ] {
        let mut client =
            Client::connect_tls(port(&stage), certificate.trusted(offered)).expect("the handshake succeeds");
        assert_eq!(client.tls_version(), Some(agreed));
        client.log_in(&token("alice"));
        assert_eq!(client.ask(9, &MetadataRequest::default()).brokers.len(), 1);
        // An end by the gateway is said, so that nobody else can cut an answer off.
        client.send_bytes(&[0, 0, 0, 4, 0x7f, 0xff, 0, 0]);
        client.expect_close();
    }
}

#[test]
fn a_version_that_the_file_leaves_out_is_refused() {
    let certificate = Certificate::new();
    let stage = Stage::start_with(1, |setup, _| certificate.serve(setup, ", tls_versions: [tls13]"));
    assert!(Client::connect_tls(port(&stage), certificate.trusted(&[&TLS12])).is_err());
    Client::connect_tls(port(&stage), certificate.trusted(&[&TLS12, &TLS13]))
        .expect("the handshake succeeds");
}

#[test]
fn a_client_that_does_not_trust_the_certificate_goes_away_and_harms_nobody() {
    let certificate = Certificate::new();
    let stage = Stage::start_with(1, |setup, _| certificate.serve(setup, ""));
    assert!(Client::connect_tls(port(&stage), trusting(RootCertStore::empty(), &[&TLS13])).is_err());
    stage.expect_metric(
        "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"tls_failed\"}",
        1.0,
    );
    Client::connect_tls(port(&stage), certificate.trusted(&[&TLS13])).expect("the handshake succeeds");
}

#[test]
fn a_client_without_tls_is_not_heard() {
    let certificate = Certificate::new();
    let stage = Stage::start_with(1, |setup, _| {
        certificate.serve(setup, "");
        setup.sections.push("limits: {login_timeout: 500ms}".to_owned());
    });
    let mut client = Client::connect(port(&stage));
    // ApiVersions 0, as a client that knows nothing of TLS begins. It is told so in TLS, and the connection ends.
    client.send_frame(&[0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    assert!(
        !client.read_to_end().windows(4).any(|bytes| bytes == [0, 0, 0, 1]),
        "Kafka's answer came in clear"
    );

    // Nor is one that says nothing waited for.
    let begun = Instant::now();
    let mut silent = Client::connect(port(&stage));
    silent.expect_close();
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    stage.broker().assert_untouched();
}
