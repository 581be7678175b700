//! How the gateway gets in at real brokers: each login, with and without TLS, and what refuses it.

use std::fs;

use crate::direct::until;
use crate::site::{CLIENT, SECRET, Site, issuer, site};
use crate::support::clients::Tool::Librdkafka;
use crate::support::process::Gateway;
use crate::support::setup::Setup;
use crate::support::tls::{Authority, inline};
use crate::support::token_server::{TokenServer, granted};

const PLAIN: &str = "authentication: {type: sasl_plain, username: gateway, password: gw-secret}";
const SCRAM_256: &str =
    "authentication: {type: sasl_scram, algorithm: sha256, username: gateway, password: gw-secret}";
const SCRAM_512: &str =
    "authentication: {type: sasl_scram, algorithm: sha512, username: gateway, password: gw-secret}";

/// A wrong password that is nowhere else in a log.
const WRONG: &str = "open-sesame-7261";

#[test]
fn the_gateway_logs_in_by_plain() {
    serves("PLAIN", "plain", |_| vec![PLAIN.to_owned()]);
}

#[test]
fn the_gateway_logs_in_by_scram_sha_256() {
    serves("SCRAM", "scram256", |_| vec![SCRAM_256.to_owned()]);
}

#[test]
fn the_gateway_logs_in_by_scram_sha_512() {
    serves("SCRAM", "scram512", |_| vec![SCRAM_512.to_owned()]);
}

#[test]
fn the_gateway_logs_in_by_plain_inside_tls() {
    serves("SCRAM_SSL", "plain-tls", |site| vec![PLAIN.to_owned(), trusting(site)]);
}

#[test]
fn the_gateway_logs_in_by_scram_sha_512_inside_tls() {
    serves("SCRAM_SSL", "scram512-tls", |site| vec![SCRAM_512.to_owned(), trusting(site)]);
}

#[test]
fn the_gateway_takes_any_certificate_when_it_is_told_to() {
    serves("SCRAM_SSL", "skip-verify", |_| {
        vec![SCRAM_256.to_owned(), "tls: {enabled: true, insecure_skip_verify: true}".to_owned()]
    });
}

#[test]
fn the_gateway_shows_its_certificate() {
    serves("SSL", "mutual-tls", |site| {
        let (ca, certificate, key) = (site.pem("ca.crt"), site.pem("broker.crt"), site.pem("broker.key"));
        let identity = format!("{{certificate: {certificate}, key: {key}}}");
        vec![format!("tls: {{enabled: true, ca_bundle: {ca}, client_identity: {identity}}}")]
    });
}

/// The broker cuts off whoever writes for longer than four seconds without logging in again.
#[test]
fn the_gateway_renews_its_login() {
    let Some(site) = site() else { return };
    let front = site.front(setup(site, "SCRAM", "renewing-", |_| vec![SCRAM_512.to_owned()]));
    front.check(
        Librdkafka,
        "create orders 1 1 -> ok
         keep-producing orders 15 -> ok cuts=0",
    );
}

/// A token for the broker, as Kafka itself verifies it.
fn token_login(site: &Site, secret: &str) -> String {
    let endpoint = site.issuer.token_url();
    format!(
        "authentication: {{type: oauth_bearer, token_endpoint: \"{endpoint}\", client_id: gateway, client_secret: {secret}}}"
    )
}

#[test]
fn the_gateway_logs_in_by_a_token() {
    serves("OAUTH", "token", |site| vec![token_login(site, "gw-secret")]);
}

/// Both the session at the broker, of four seconds, and the token are renewed several times meanwhile.
#[test]
fn the_gateway_renews_its_login_by_ever_new_tokens() {
    let Some(site) = site() else { return };
    let server = TokenServer::start(|_| {
        Some(granted(&site.issuer.token("gateway", "gw-secret"), ", \"expires_in\": 16"))
    });
    let keys = format!("token_endpoint: \"{}\", client_id: gateway, client_secret: gw-secret", server.url());
    let backend = format!("authentication: {{type: oauth_bearer, {keys}}}");
    let front = site.front(setup(site, "OAUTH", "renewing-token-", |_| vec![backend.clone()]));
    front.check(
        Librdkafka,
        "create orders 1 1 -> ok
         keep-producing orders 20 -> ok cuts=0",
    );
    assert!(server.asked().len() > 1, "no new token was asked for");
}

#[test]
fn a_token_that_kafka_does_not_take_is_told_and_not_shown() {
    let Some(site) = site() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("token");
    // Of an issuer whose keys the broker does not have.
    fs::write(&path, issuer("5m").token(CLIENT, SECRET)).expect("the file can be written");
    let login = format!("authentication: {{type: oauth_bearer, token_file: \"{}\"}}", path.display());
    let told = "the broker refuses the token of this backend cluster: invalid_token";
    is_refused("OAUTH", |_| vec![login.clone()], told);
    let secret = token_login(site, WRONG);
    let mut setup = setup(site, "OAUTH", "refused-", |_| vec![secret.clone()]);
    setup.sections.push("logging: {level: debug}".to_owned());
    let gateway = Gateway::launch(&setup.text(), setup.admin_port);
    let refused = "the token for backend cluster backend is not there: 127.0.0.1 answers 401 Unauthorized, invalid_client";
    until("the reason is told", || {
        gateway.admin("/readyz").filter(|(code, body)| *code == 503 && body.contains(refused))
    });
    assert!(!gateway.process.log().contains(WRONG), "the secret is shown");
}

#[test]
fn a_broker_that_wants_a_certificate_is_not_reached_without() {
    is_refused("SSL", |site| vec![trusting(site)], "");
}

#[test]
fn a_broker_of_another_ca_is_not_trusted() {
    is_refused(
        "SCRAM_SSL",
        |_| {
            // Its name is that of the right one.
            let ca = inline(&Authority::new("throw-away CA").pem());
            vec![SCRAM_512.to_owned(), format!("tls: {{enabled: true, ca_bundle: {ca}}}")]
        },
        "invalid peer certificate",
    );
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    for (listener, login) in [("PLAIN", PLAIN), ("SCRAM", SCRAM_256), ("SCRAM", SCRAM_512)] {
        is_refused(
            listener,
            |_| vec![login.replace("gw-secret", WRONG)],
            "the broker refuses the credentials of this backend cluster",
        );
    }
}

#[test]
fn a_mechanism_that_the_broker_has_not_is_told() {
    is_refused(
        "PLAIN",
        |_| vec![SCRAM_256.to_owned()],
        "the broker does not offer SCRAM-SHA-256; it offers PLAIN",
    );
}

fn trusting(site: &Site) -> String {
    format!("tls: {{enabled: true, ca_bundle: {}}}", site.pem("ca.crt"))
}

fn setup(site: &Site, listener: &str, prefix: &str, backend: impl Fn(&Site) -> Vec<String>) -> Setup {
    let mut setup = site.setup(prefix);
    setup.bootstrap = vec![site.kafka.bootstrap(listener).to_owned()];
    setup.backend = backend(site);
    setup
}

/// A client writes and reads through a gateway that gets in so.
fn serves(listener: &str, name: &str, backend: impl Fn(&Site) -> Vec<String>) {
    let Some(site) = site() else { return };
    let front = site.front(setup(site, listener, &format!("{name}-"), backend));
    front.check(
        Librdkafka,
        "create orders 1 1 -> ok
         produce orders one -> ok
         consume orders readers 1 -> ok one",
    );
    let backend_name = format!("{name}-orders");
    assert!(site.direct().topics().contains(&backend_name), "{backend_name} is not on the backend");
}

/// A gateway that does not get in is alive, not ready, and says why.
fn is_refused(listener: &str, backend: impl Fn(&Site) -> Vec<String>, why: &str) {
    let Some(site) = site() else { return };
    let setup = setup(site, listener, "refused-", backend);
    let mut gateway = Gateway::launch(&setup.text(), setup.admin_port);
    let told = "no broker of the backend answers";
    gateway.process.wait_until("refused", |process| process.log().contains(told));
    let log = gateway.process.log();
    assert!(log.lines().any(|line| line.contains(told) && line.contains(why)), "{why:?} is not in:\n{log}");
    assert!(!log.contains(WRONG), "the password is shown:\n{log}");
    let (code, body) = until("the admin port answers", || gateway.admin("/readyz"));
    assert_eq!(code, 503, "{body}");
    assert!(body.contains("no broker of backend cluster backend answers"), "{body}");
}
