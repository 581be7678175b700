//! Who has not logged in: how long he may stay, what he may ask, and how much he is told.
//!
//! The tests bear the numbers of the rules that they show; docs/security.md lists them with those of other files.
#![allow(clippy::disallowed_methods, reason = "a time-out goes by the real clock")]

use std::fs;
use std::time::{Duration, Instant};

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::ApiKey;
use tempfile::TempDir;

use crate::support::broker::Broker;
use crate::support::client::{Client, authenticate, request_bytes};
use crate::support::codes::{ILLEGAL_SASL_STATE, UNSUPPORTED_SASL_MECHANISM};
use crate::support::ports;
use crate::support::setup::Setup;
use crate::support::stage::{Stage, wait_until};
use crate::support::tls::Authority;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn closed(cluster: &str, reason: &str) -> String {
    format!("sluicegate_connections_closed_total{{virtual_cluster=\"{cluster}\",reason=\"{reason}\"}}")
}

/// A tenant behind TLS, at a port of its own and at a port that goes by server names.
struct Site {
    stage: Stage,
    by_port: u16,
    by_name: u16,
    _dir: TempDir,
}

impl Site {
    fn start(change: impl FnOnce(&mut Setup)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pair = Authority::new("servers").pair(&["*.team.gw.example"]);
        let certificates = format!("tls_server: {{certificates: [{}]}}", pair.write(dir.path(), "server"));
        let by_name = ports::free();
        let stage = Stage::start_with(1, |setup, _| {
            setup.tenant().more.push("dns_label: team".to_owned());
            setup.tenant().listener.push(certificates.clone());
            setup.listeners.push(format!(
                "name: names, addresses: [\"127.0.0.1\"], ports: [\"{by_name}\"], {certificates}, policies: \
                 [{{type: forward_to_virtual_cluster, config: {{type: sni, sni_suffix: .gw.example}}}}]"
            ));
            change(setup);
        });
        let by_port = stage.setup.tenants[0].port;
        Self { stage, by_port, by_name, _dir: dir }
    }
}

/// The first record of a client that speaks TLS, and of what is in it nothing but the beginning.
fn hello() -> Vec<u8> {
    [&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 506]].concat()
}

#[test]
fn a_02_a_hello_byte_by_byte_is_cut_off_at_the_deadline() {
    let timeout = Duration::from_millis(500);
    let site = Site::start(|setup| setup.sections.push("limits: {login_timeout: 500ms}".to_owned()));
    for port in [site.by_port, site.by_name] {
        let begun = Instant::now();
        let mut dripping = Client::connect(port);
        let hello = hello();
        let mut bytes = hello.iter();
        while dripping.is_silent() {
            let byte = bytes.next().expect("it is cut off before all is said");
            // The gateway may close between the look and the byte.
            let _ = dripping.try_send_bytes(&[*byte]);
        }
        dripping.expect_close();
        assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
    }
    site.stage.expect_metric(&closed("team", "tls_failed"), 1.0);
    site.stage.expect_metric(&closed("", "tls_failed"), 1.0);
}

#[test]
fn a_06_of_all_keys_three_are_answered_and_nothing_reaches_the_broker() {
    let stage = Stage::start();
    let own = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate].map(|key| key as i16);
    let mut turned_away = 0.0;
    for version in [0, 3, i16::MAX] {
        let strangers: Vec<(i16, Client)> = (-1..=127)
            .filter(|key| !own.contains(key))
            .map(|key: i16| {
                let mut stranger = stage.connect();
                let head = [key.to_be_bytes(), version.to_be_bytes()].concat();
                stranger.send_frame(&[&head[..], &[0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0]].concat());
                (key, stranger)
            })
            .collect();
        for (_, mut stranger) in strangers {
            stranger.expect_close();
            turned_away += 1.0;
        }
    }
    let count = || {
        ["not_authenticated", "unknown_api"].map(|reason| stage.metric(&closed("team", reason))).iter().sum()
    };
    wait_until("counted", || {
        let count: f64 = count();
        (count - turned_away).abs() < f64::EPSILON
    });
    let mut client = stage.connect();
    assert_eq!(client.ask(0, &ApiVersionsRequest::default()).error_code, 0);
    assert_eq!(
        client.ask(1, &SaslHandshakeRequest::default().with_mechanism(text("X"))).error_code,
        UNSUPPORTED_SASL_MECHANISM
    );
    assert_eq!(stage.connect().ask(0, &authenticate(b"")).error_code, ILLEGAL_SASL_STATE);
    stage.broker().assert_untouched();
}

#[test]
fn a_07_a_client_that_calls_itself_by_no_name_is_told_so_and_not_written_down() {
    let stage = Stage::start_with(1, |setup, _| setup.sections.push("logging: {level: trace}".to_owned()));
    let names = |name: &str, version: &str| {
        ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(version))
    };
    let unfit =
        ["", "canary\u{1b}[31m", "canary\nlevel=error", "canary\0", "-canary", "can ary", &"é".repeat(99)];
    for unfit in unfit {
        for request in [names(unfit, "1"), names("raw", unfit)] {
            let mut stranger = stage.connect();
            let answer = stranger.ask(3, &request);
            assert_eq!((answer.error_code, answer.api_keys.len()), (42, 0), "{unfit:?}");
        }
    }
    assert_eq!(stage.connect().ask(3, &names("raw", "1")).error_code, 0);
    stage.gateway.assert_silent(&["canary", "é"]);
}

#[test]
fn a_16_what_is_no_tls_is_turned_away_where_tls_is_spoken() {
    let site = Site::start(|_| {});
    let versions = request_bytes(0, 7, None, &ApiVersionsRequest::default());
    for port in [site.by_port, site.by_name] {
        for (what, bytes) in [
            ("HTTP", &b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..]),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
            ("Kafka", &versions),
            ("noise", &[0x9d; 300]),
            ("half a hello", &hello()[..200]),
            ("a hello of noise", &hello()),
        ] {
            let mut stranger = Client::connect(port);
            // The gateway may have gone before all is said.
            let _ = stranger.try_send_bytes(bytes);
            stranger.finish_sending();
            let answer = stranger.read_to_end();
            // An alert, if anything.
            assert!(answer.first().is_none_or(|first| *first == 21), "{what}: {answer:02x?}");
        }
    }
    let log = site.stage.gateway.process.log();
    assert!(!log.contains("panicked") && !log.contains("GET /"), "{log}");
    site.stage.broker().assert_untouched();
}

/// The kernel's clock for a connection: which one runs, and for how many hundredths of a second.
fn kernel_clock(is_it: impl Fn(u16, u16) -> bool) -> Option<(u8, u64)> {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel tells of its connections");
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    table.lines().skip(1).find_map(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (port(cells.get(1)?)?, port(cells.get(2)?)?);
        let (which, left) = cells.get(5)?.split_once(':')?;
        let clock = (u8::from_str_radix(which, 16).ok()?, u64::from_str_radix(left, 16).ok()?);
        (cells[3] == ESTABLISHED && is_it(local, remote)).then_some(clock)
    })
}

#[test]
fn a_18_a_silent_peer_is_asked_whether_it_is_still_there() {
    const KEEPALIVE: u8 = 2;
    /// In ticks of the kernel.
    const HALF_A_MINUTE: u64 = 30 * 100;
    let stage = Stage::start();
    let mut client = stage.log_in("alice");
    client.ask(9, &MetadataRequest::default());
    let (own, broker) = (stage.setup.tenants[0].port, stage.broker().port());
    let is_asked = |is_it: &dyn Fn(u16, u16) -> bool| matches!(kernel_clock(is_it), Some((KEEPALIVE, left)) if left <= HALF_A_MINUTE);
    wait_until("the client asked", || is_asked(&|local, _| local == own));
    wait_until("the broker asked", || is_asked(&|_, remote| remote == broker));
}

/// A broker that has every API and feature there is.
fn broker_with_everything() -> Broker {
    let api = |key: ApiKey| ApiVersion::default().with_api_key(key as i16).with_max_version(99);
    let names = [
        "metadata.version",
        "kraft.version",
        "eligible.leader.replicas.version",
        "transaction.version",
        "group.version",
        "share.version",
        "streams.version",
    ];
    let supported =
        names.map(|name| SupportedFeatureKey::default().with_name(text(name)).with_max_version(99));
    let finalized = names.map(|name| {
        FinalizedFeatureKey::default()
            .with_name(text(name))
            .with_min_version_level(9)
            .with_max_version_level(9)
    });
    let answer = ApiVersionsResponse::default()
        .with_api_keys(ApiKey::all().map(api).collect())
        .with_supported_features(supported.to_vec())
        .with_finalized_features(finalized.to_vec())
        .with_finalized_features_epoch(i64::MAX);
    let broker = Broker::start();
    broker.on::<ApiVersionsRequest>(move |_| answer.clone());
    broker
}

#[test]
fn a_19_no_question_of_a_stranger_has_a_long_answer() {
    const ANSWER_BYTES_MAX: usize = 1024;
    let stage = Stage::before(vec![broker_with_everything()], |setup, _| setup.tenant().offer_everything());
    // What the broker has is known once somebody was there.
    stage.log_in("alice").ask(9, &MetadataRequest::default());
    let own_words = ApiVersionsRequest::default()
        .with_client_software_name(text("raw"))
        .with_client_software_version(text("1"));
    let mut longest = 0;
    let mut check = |what: &str, question: &[u8]| {
        let mut stranger = stage.connect();
        stranger.send_bytes(question);
        let answer = stranger.read_frame();
        assert!(answer.len() <= ANSWER_BYTES_MAX, "{what}: {} bytes", answer.len());
        longest = longest.max(answer.len());
    };
    for version in 0..=2 {
        check("versions", &request_bytes(version, 1, None, &ApiVersionsRequest::default()));
    }
    for version in 3..=4 {
        check("versions", &request_bytes(version, 1, None, &own_words));
    }
    check("versions of tomorrow", &[0, 0, 0, 8, 0, 18, 0, 99, 0, 0, 0, 1]);
    let long = SaslHandshakeRequest::default().with_mechanism(text(&"x".repeat(30_000)));
    for version in 0..=1 {
        check("a mechanism", &request_bytes(version, 1, None, &long));
    }
    for version in 0..=2 {
        check("a login out of turn", &request_bytes(version, 1, None, &authenticate(&[b'x'; 30_000])));
    }
    assert!(longest > 700, "the longest answer tells of all APIs: {longest} bytes");

    let mut stranger = stage.connect();
    stranger.handshake();
    stranger.send(2, &authenticate(&[b'x'; 30_000]));
    assert!(stranger.read_frame().len() <= ANSWER_BYTES_MAX);
}
