//! Many virtual clusters behind one port: the server name that a client asks for says which is meant, and which broker.

use std::sync::Arc;

use kafka_protocol::messages::{HeartbeatRequest, MetadataRequest, MetadataResponse};
use rustls::AlertDescription::{MissingExtension, UnrecognisedName};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig};
use serde_json::json;
use tempfile::TempDir;

use super::families::{About, Manner, script};
use crate::support::client::{Client, alert_in, client_first};
use crate::support::issuer::{ES256, claims, with};
use crate::support::ports;
use crate::support::setup::{Tenant, oauth_bearer};
use crate::support::stage::{Stage, token};
use crate::support::tls::Authority;

/// Two tenants, `red` and `blue`, by server names at one port; beside it each has its own listener without TLS.
struct Site {
    stage: Stage,
    port: u16,
    authority: Authority,
    _dir: TempDir,
}

impl Site {
    fn start(brokers: i32, config: &str, hosts: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let authority = Authority::new("servers");
        let certificate = authority.pair(hosts).write(dir.path(), "server");
        let port = ports::free();
        let stage = Stage::start_with(brokers, |setup, jwks| {
            let mut red = Tenant::new("red", "red-", jwks);
            let mut blue = Tenant::new("blue", "blue-", jwks);
            red.more.push("dns_label: red".to_owned());
            blue.more.push("dns_label: blue".to_owned());
            // A token for the one is none for the other.
            blue.authentication =
                vec![oauth_bearer(jwks, "").replace("http://kafka.dev", "http://blue.example")];
            setup.tenants = vec![red, blue];
            setup.listeners.push(format!(
                "name: names, addresses: [\"127.0.0.1\"], ports: [\"{port}\"], tls_server: {{certificates: \
                 [{certificate}]}}, policies: [{{type: forward_to_virtual_cluster, config: {{type: sni, {config}}}}}]"
            ));
        });
        Self { stage, port, authority, _dir: dir }
    }

    fn connect(&self, name: &str) -> Result<Client, Option<AlertDescription>> {
        self.connect_by(name, self.authority.client())
    }

    fn connect_by(&self, name: &str, config: Arc<ClientConfig>) -> Result<Client, Option<AlertDescription>> {
        Client::connect_tls_to(self.port, name, config).map_err(|error| alert_in(&error))
    }

    fn log_in(&self, name: &str, token: &str) -> Client {
        let mut client = self.connect(name).expect("the name leads somewhere");
        client.log_in(token);
        client
    }
}

fn blues(principal: &str) -> String {
    ES256.token(&with(claims(principal, 3600), json!({"aud": "http://blue.example"})))
}

fn shown(answer: &MetadataResponse) -> Vec<String> {
    answer.brokers.iter().map(|broker| format!("{}:{}", &*broker.host, broker.port)).collect()
}

/// Asks at the bootstrap name who is there, and at each name that is told, whether its broker is behind it.
fn each_broker_is_behind_its_name(site: &Site, bootstrap: &str, token: &str, names: [&str; 3], port: u16) {
    let answer = site.log_in(bootstrap, token).ask(9, &MetadataRequest::about(&[], 9));
    assert_eq!(shown(&answer), names.map(|name| format!("{name}:{port}")));
    for (broker, name) in site.stage.brokers.iter().zip(names) {
        script::<HeartbeatRequest>(broker, &Manner::default());
        let before = broker.asked().len();
        site.log_in(name, token).ask(4, &HeartbeatRequest::about(&["app"], 4));
        assert_eq!(broker.asked().len(), before + 1, "{name} does not lead to its broker");
    }
}

#[test]
fn each_tenant_and_broker_has_a_name_of_its_own() {
    let hosts = ["*.red.gw.example", "*.blue.gw.example"];
    let site = Site::start(3, "sni_suffix: .gw.example", &hosts);
    let names = ["broker-1.red.gw.example", "broker-2.red.gw.example", "broker-3.red.gw.example"];
    each_broker_is_behind_its_name(&site, "bootstrap.red.gw.example", &token("alice"), names, site.port);
    let names = ["broker-1.blue.gw.example", "broker-2.blue.gw.example", "broker-3.blue.gw.example"];
    each_broker_is_behind_its_name(&site, "bootstrap.blue.gw.example", &blues("bob"), names, site.port);
    // Beside it a listener tells brokers apart by ports, as ever.
    let mut client = site.stage.log_in("alice");
    assert_eq!(client.ask(9, &MetadataRequest::about(&[], 9)).brokers.len(), 3);
}

#[test]
fn one_wildcard_serves_all_names_under_a_shared_suffix() {
    let config = "sni_suffix: .gw.example, advertised_port: 9092, broker_host_format: {type: shared_suffix}";
    let site = Site::start(3, config, &["*.gw.example"]);
    let names = ["broker-1-red.gw.example", "broker-2-red.gw.example", "broker-3-red.gw.example"];
    each_broker_is_behind_its_name(&site, "bootstrap-red.gw.example", &token("alice"), names, 9092);
    let names = ["broker-1-blue.gw.example", "broker-2-blue.gw.example", "broker-3-blue.gw.example"];
    each_broker_is_behind_its_name(&site, "BOOTSTRAP-blue.gw.example", &blues("bob"), names, 9092);
}

#[test]
fn a_15_a_name_that_leads_nowhere_is_an_alert_and_none_leads_to_a_default() {
    let site = Site::start(1, "sni_suffix: .gw.example, destination: {name: red}", &["*.red.gw.example"]);
    for version in [&TLS12, &TLS13] {
        let config = || site.authority.client_with(&[version], None);
        for name in ["gw.example", "red.gw.example", "bootstrap.blue.gw.example", "broker-x.red.gw.example"] {
            let alert = site.connect_by(name, config()).err();
            assert_eq!(alert, Some(Some(UnrecognisedName)), "{name}");
        }
        let mut nameless = (*config()).clone();
        nameless.enable_sni = false;
        let alert = site.connect_by("bootstrap.red.gw.example", nameless.into()).err();
        assert_eq!(alert, Some(Some(MissingExtension)));
        // An address is no name.
        assert_eq!(site.connect_by("127.0.0.1", config()).err(), Some(Some(MissingExtension)));
    }
    let closed = |reason: &str| {
        format!("sluicegate_connections_closed_total{{virtual_cluster=\"\",reason=\"{reason}\"}}")
    };
    site.stage.expect_metric(&closed("unknown_server_name"), 8.0);
    site.stage.expect_metric(&closed("no_server_name"), 4.0);
    site.stage.broker().assert_untouched();
    site.log_in("bootstrap.red.gw.example", &token("alice"));
}

#[test]
fn a_15_no_old_version_and_no_early_data_is_taken() {
    let site = Site::start(1, "sni_suffix: .gw.example", &["*.red.gw.example"]);
    for version in [0, 1, 2] {
        let mut client = Client::connect(site.port);
        client.send_bytes(&hello_of_version(version, "bootstrap.red.gw.example"));
        // A fatal alert: handshake_failure (40) or protocol_version (70).
        let answer = client.read_to_end();
        assert!(matches!(answer[..], [21, 3, _, 0, 2, 2, 40 | 70]), "3.{version}: {answer:02x?}");
    }
    let mut config = (*site.authority.client_with(&[&TLS13], None)).clone();
    config.enable_early_data = true;
    let config = Arc::new(config);
    for _ in 0..2 {
        let mut client = site.connect_by("bootstrap.red.gw.example", config.clone()).expect("a good name");
        assert!(!client.offered_early_data());
        client.log_in(&token("alice"));
    }
}

#[test]
fn p_17_a_token_for_one_tenant_is_refused_at_the_name_of_another_as_any_other() {
    let hosts = ["*.red.gw.example", "*.blue.gw.example"];
    let site = Site::start(1, "sni_suffix: .gw.example", &hosts);
    let refused = |name: &str, token: &str| {
        let mut client = site.connect(name).expect("a good name");
        client.handshake();
        let answer = client.authenticate(&client_first(token));
        assert_eq!(answer.error_code, 0);
        String::from_utf8(answer.auth_bytes.to_vec()).expect("the error document is text")
    };
    let foreign = refused("bootstrap.blue.gw.example", &token("alice"));
    assert!(foreign.contains("invalid_token"), "{foreign}");
    assert_eq!(foreign, refused("bootstrap.blue.gw.example", "nonsense"));
    assert_eq!(foreign, refused("broker-1.red.gw.example", &blues("bob")));
    site.stage.broker().assert_untouched();
}

/// A TLS session is taken up again only under the name that it began with.
#[test]
fn p_17_a_session_of_one_name_is_none_of_another() {
    let hosts = ["*.red.gw.example", "*.blue.gw.example"];
    let site = Site::start(1, "sni_suffix: .gw.example", &hosts);
    let config = site.authority.client();
    site.connect_by("bootstrap.red.gw.example", config.clone()).expect("a good name").log_in(&token("alice"));
    let mut other = site.connect_by("bootstrap.blue.gw.example", config).expect("a good name");
    other.handshake();
    let answer = other.authenticate(&client_first(&token("alice")));
    assert!(!answer.auth_bytes.is_empty(), "a token for red is none for blue");
}

/// The first record of a client that speaks TLS up to `3.minor` and knows nothing newer.
fn hello_of_version(minor: u8, name: &str) -> Vec<u8> {
    let long = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).expect("a test's hello is short");
        [&length.to_be_bytes(), bytes].concat()
    };
    let host = [&[0][..], &long(name.as_bytes())].concat();
    let server_name = [&[0, 0][..], &long(&long(&host))].concat();
    let body = [&[3, minor][..], &[7; 32], &[0], &long(&[0xc0, 0x13]), &[1, 0], &long(&server_name)].concat();
    let message = [&[1, 0][..], &long(&body)].concat();
    [&[22, 3, minor.min(1)][..], &long(&message)].concat()
}
