//! Certificates, keys and bundles whose files change while the gateway runs, on both sides.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_protocol::messages::MetadataRequest;
use rustls::version::TLS13;
use tempfile::TempDir;

use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::issuer::{ES256, KeyServer};
use crate::support::process::Gateway;
use crate::support::setup::Setup;
use crate::support::stage::{Stage, token, wait_until};
use crate::support::tls::{Authority, Pair, TlsFront, server, written};

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn port(stage: &Stage) -> u16 {
    stage.setup.tenants[0].port
}

fn serve(setup: &mut Setup, certificate: &str, more: &str) {
    setup.tenant().listener.push(format!("tls_server: {{certificates: [{certificate}]{more}}}"));
}

/// Whether a new connection meets this certificate.
fn meets(stage: &Stage, authority: &Authority, pair: &Pair) -> bool {
    let client = Client::connect_tls(port(stage), authority.client()).expect("the handshake succeeds");
    client.server_certificate().as_ref() == pair.chain().first()
}

fn reloads(owner: &str, name: &str, result: &str) -> String {
    format!("sluicegate_certificate_reloads_total{{owner=\"{owner}\",name=\"{name}\",result=\"{result}\"}}")
}

/// Puts a pair into a folder of this name, and turns the link to it, as Kubernetes does with a changed secret.
fn turn(dir: &Path, version: &str, pair: &Pair) {
    let folder = dir.join(version);
    fs::create_dir(&folder).expect("a new folder");
    pair.write(&folder, "tls");
    symlink(version, dir.join("..tmp")).expect("a new link");
    fs::rename(dir.join("..tmp"), dir.join("..data")).expect("the link is replaced");
}

#[test]
fn a_changed_pair_meets_new_connections_and_ends_no_open_one() {
    let (dir, authority) = (temporary(), Authority::new("servers"));
    let (old, new) = (authority.pair(&["localhost"]), authority.pair(&["localhost"]));
    turn(dir.path(), "..v1", &old);
    let shown = dir.path().join("..data").display().to_string();
    let item =
        format!("{{certificate: \"${{file['{shown}/tls.crt']}}\", key: \"${{file['{shown}/tls.key']}}\"}}");
    let stage = Stage::start_with(1, |setup, _| serve(setup, &item, ""));
    let mut open = Client::connect_tls(port(&stage), authority.client()).expect("the handshake succeeds");
    open.log_in(&token("alice"));
    assert!(meets(&stage, &authority, &old));

    turn(dir.path(), "..v2", &new);
    wait_until("renewed", || meets(&stage, &authority, &new));
    assert_eq!(open.ask(9, &MetadataRequest::default()).brokers.len(), 1);
    stage.expect_metric(&reloads("listener", "team-listener", "ok"), 1.0);
}

#[test]
fn a_pair_that_does_not_fit_is_refused_once_and_the_old_one_serves_on() {
    let (dir, authority) = (temporary(), Authority::new("servers"));
    let (old, new) = (authority.pair(&["localhost"]), authority.pair(&["localhost"]));
    let item = old.write(dir.path(), "tls");
    let stage = Stage::start_with(1, |setup, _| serve(setup, &item, ""));
    fs::write(dir.path().join("tls.key"), &new.key).expect("the file can be written");
    stage.expect_metric(&reloads("listener", "team-listener", "refused"), 1.0);
    assert!(meets(&stage, &authority, &old));
    let told = "the changed certificates are not taken";
    wait_until("told", || stage.gateway.process.log().contains(told));

    fs::write(dir.path().join("tls.key"), "no key").expect("the file can be written");
    stage.expect_metric(&reloads("listener", "team-listener", "refused"), 2.0);
    fs::remove_file(dir.path().join("tls.crt")).expect("the file can be removed");
    stage.expect_metric(&reloads("listener", "team-listener", "refused"), 3.0);
    assert!(meets(&stage, &authority, &old));

    new.write(dir.path(), "tls");
    wait_until("renewed", || meets(&stage, &authority, &new));
    let log = stage.gateway.process.log();
    assert_eq!(log.matches(told).count(), 3, "{log}");
    let secret = new.key.lines().nth(1).expect("a key has lines");
    assert!(!log.contains(secret), "a key stands in the log");
}

#[test]
fn a_changed_trust_bundle_says_anew_whose_clients_come_in() {
    let (dir, servers) = (temporary(), Authority::new("servers"));
    let (old, new) = (Authority::new("old clients"), Authority::new("new clients"));
    let item = servers.pair(&["localhost"]).write(dir.path(), "tls");
    let bundle = written(dir.path(), "clients.crt", &old.pem());
    let stage = Stage::start_with(1, |setup, _| {
        let more = format!(", client_authentication: {{mode: required, trust_bundle: {bundle}}}");
        serve(setup, &item, &more);
    });
    // In TLS 1.3 the client hears of a refusal with the first thing that it reads.
    let comes_in = |pair: &Pair| {
        let config = servers.client_with(&[&TLS13], Some(pair));
        let mut client = Client::connect_tls(port(&stage), config).expect("the client has finished");
        let _ = client.try_send_bytes(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
        client.read_frame_or_alert().is_ok()
    };
    let (of_old, of_new) = (old.pair(&["reader"]), new.pair(&["reader"]));
    assert!(comes_in(&of_old) && !comes_in(&of_new));
    written(dir.path(), "clients.crt", &new.pem());
    wait_until("renewed", || comes_in(&of_new));
    assert!(!comes_in(&of_old));
}

#[test]
fn the_end_of_each_certificate_is_shown_and_warned_of() {
    let (dir, authority) = (temporary(), Authority::new("servers"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let day = 24 * 3600;
    let ends = [now + 400 * day, now + 3 * day + 100, now - day];
    let items = ends.map(|end| {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let pair = authority.vouch_for(&["localhost"], |params| {
            params.not_before = epoch;
            params.not_after = epoch + Duration::from_secs(end);
        });
        pair.write(dir.path(), &end.to_string())
    });
    let stage = Stage::start_with(1, |setup, _| serve(setup, &items.join(", "), ""));
    for (place, end) in ends.into_iter().enumerate() {
        let line = format!(
            "sluicegate_certificate_expiry_timestamp_seconds{{owner=\"listener\",name=\"team-listener\",\
             certificate=\"certificates[{place}]\"}}"
        );
        #[allow(clippy::cast_precision_loss, reason = "seconds are far from the limit")]
        stage.expect_metric(&line, end as f64);
    }
    let log = stage.gateway.process.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("this certificate")).collect();
    assert_eq!(told.len(), 2, "{log}");
    assert!(told[0].contains("expires soon") && told[0].contains("days=3"), "{}", told[0]);
    assert!(told[1].contains("has expired") && told[1].contains("certificates[2]"), "{}", told[1]);
}

/// A broker behind TLS, and a gateway whose CA bundle and identity are in files.
struct Upstream {
    stage: Stage,
    front: TlsFront,
    dir: TempDir,
}

impl Upstream {
    fn start(more: &str, brokers: &Authority, pair: &Pair, clients: &Authority) -> Self {
        let dir = temporary();
        let bundle = written(dir.path(), "ca.crt", &brokers.pem());
        let identity = clients.pair(&["gateway"]).write(dir.path(), "gateway");
        let broker = Broker::start();
        let front = TlsFront::before(broker.port(), server(pair, Some(clients)));
        broker.knows_nodes(&[(1, front.port())]);
        let address = format!("127.0.0.1:{}", front.port());
        let stage = Stage::before(vec![broker], |setup, _| {
            setup.bootstrap = vec![address];
            setup.backend.push(format!(
                "tls: {{enabled: true, ca_bundle: {bundle}, client_identity: {identity}{more}}}"
            ));
        });
        Self { stage, front, dir }
    }

    /// Whether a new client reaches the broker.
    fn is_reached(&self) -> bool {
        let mut client = self.stage.log_in("alice");
        let _ = client.try_send_bytes(&crate::support::client::request_bytes(
            9,
            7,
            None,
            &MetadataRequest::default(),
        ));
        client.read_frame_or_alert().is_ok()
    }
}

#[test]
fn b_08_a_broker_that_is_not_trusted_is_not_spoken_to_until_the_bundle_says_so() {
    let (old, new, clients) = (Authority::new("old"), Authority::new("new"), Authority::new("clients"));
    let upstream = Upstream::start("", &old, &old.pair(&["127.0.0.1"]), &clients);
    let mut open = upstream.stage.log_in("alice");
    assert_eq!(open.ask(9, &MetadataRequest::default()).brokers.len(), 1);

    let fresh = new.pair(&["127.0.0.1"]);
    upstream.front.serve(server(&fresh, Some(&clients)));
    let asked = upstream.stage.broker().asked().len();
    assert!(!upstream.is_reached());
    assert_eq!(upstream.stage.broker().asked().len(), asked, "somebody spoke to it");

    written(upstream.dir.path(), "ca.crt", &(old.pem() + &new.pem()));
    wait_until("trusted", || upstream.is_reached());
    assert_eq!(open.ask(9, &MetadataRequest::default()).brokers.len(), 1);
    upstream.stage.expect_metric(&reloads("backend_cluster", "backend", "ok"), 1.0);

    // Of the right authority, and for another host.
    upstream.front.serve(server(&new.pair(&["kafka.example"]), Some(&clients)));
    assert!(!upstream.is_reached());
}

#[test]
fn the_gateways_own_certificate_and_the_name_of_brokers_are_as_the_file_says() {
    let (brokers, old, new) = (Authority::new("brokers"), Authority::new("old"), Authority::new("new"));
    let pair = brokers.pair(&["kafka.example"]);
    let upstream = Upstream::start(", server_name: kafka.example", &brokers, &pair, &old);
    assert!(upstream.is_reached());
    upstream.front.serve(server(&pair, Some(&new)));
    assert!(!upstream.is_reached());
    new.pair(&["gateway"]).write(upstream.dir.path(), "gateway");
    wait_until("renewed", || upstream.is_reached());
}

#[test]
fn b_08_what_is_not_verified_is_told() {
    let (brokers, clients) = (Authority::new("brokers"), Authority::new("clients"));
    let pair = brokers.pair(&["elsewhere.example"]);
    let upstream = Upstream::start(", insecure_skip_verify: true", &brokers, &pair, &clients);
    upstream.stage.expect_metric("sluicegate_backend_tls_unverified{backend=\"backend\"}", 1.0);
    let (code, text) = upstream.stage.gateway.admin("/readyz").expect("the admin port answers");
    assert_eq!((code, &*text), (200, "ready\nany certificate of backend cluster backend is accepted\n"));
}

#[test]
fn b_07_credentials_wait_for_tls() {
    let broker = Broker::start();
    let keys = KeyServer::start(&[&ES256]);
    let mut setup = Setup::new(&[broker.address()], &format!("{{endpoint: \"{}\"}}", keys.url()));
    // The broker speaks no TLS, and would take the password as it is.
    setup.backend.push("tls: {enabled: true}".to_owned());
    setup.backend.push("authentication: {type: sasl_plain, username: gateway, password: hunter2}".to_owned());
    let mut gateway = Gateway::launch(&setup.text(), setup.admin_port);
    gateway
        .process
        .wait_until("refused", |process| process.log().contains("no broker of the backend answers"));
    assert_eq!(broker.asked_by_anybody().len(), 0, "something was said in clear");
}
