//! What a peer can not do to the gateway by being slow, greedy, silent or many.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, MetadataRequest, MetadataResponse, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;
use sluicegate::wire::ApiKey;

use crate::support::broker::Reply;
use crate::support::client::{Client, authenticate, client_first, request_bytes, with_length};
use crate::support::issuer::{AUDIENCE, ES256, KeyServer, Signer, claims, jwks, with};
use crate::support::process::Background;
use crate::support::setup::oauth_bearer;
use crate::support::stage::{Stage, token, wait_until};

/// How much of memory the gateway holds, in MiB.
fn resident_mib(process: &Background) -> u64 {
    let path = format!("/proc/{}/status", process.id());
    let status = std::fs::read_to_string(path).expect("the gateway runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number of kB") / 1024
}

/// Sends these bytes again and again and reads nothing, until nobody takes them any more; says how many went, and
/// whether the connection is still there.
fn flood(stream: &mut TcpStream, bytes: &[u8], at_most: usize) -> (usize, bool) {
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket has options");
    let mut sent = 0;
    while sent < at_most {
        match stream.write(&bytes[sent % bytes.len()..]) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(_) => return (sent, false),
        }
    }
    (sent, true)
}

/// Whether somebody on this machine waits for this port to accept: the kernel's table says so.
fn is_connecting_to(port: u16) -> bool {
    const SYN_SENT: &str = "02";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let (remote, state) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        remote.ends_with(&format!(":{port:04X}")) && state == SYN_SENT
    })
}

/// ApiVersions in a version that nobody has: the answer is larger than the question, and needs no login.
fn unanswerable_questions() -> Vec<u8> {
    with_length(&[0, 18, 0, 99, 0, 0, 0, 1, 255, 255]).repeat(4096)
}

#[test]
fn a_stranger_who_asks_and_never_reads_costs_no_memory() {
    let stage = Stage::start();
    let before = resident_mib(&stage.gateway.process);
    let mut stream = TcpStream::connect(("127.0.0.1", stage.setup.tenants[0].port)).unwrap();
    let (sent, _) = flood(&mut stream, &unanswerable_questions(), 64 << 20);
    let grown = resident_mib(&stage.gateway.process).saturating_sub(before);
    assert!(sent < 64 << 20, "the gateway goes on reading");
    assert!(grown < 32, "{grown} MiB for {sent} bytes");
}

#[test]
fn a_client_who_asks_and_never_reads_costs_no_memory() {
    let stage = Stage::start();
    let before = resident_mib(&stage.gateway.process);
    let mut stream = raw_log_in(stage.setup.tenants[0].port);
    let question = request_bytes(3, 7, None, &ApiVersionsRequest::default()).repeat(4096);
    let (sent, is_open) = flood(&mut stream, &question, 64 << 20);
    let grown = resident_mib(&stage.gateway.process).saturating_sub(before);
    assert!(is_open, "closed after {sent} bytes");
    assert!(sent < 64 << 20, "the gateway goes on reading");
    assert!(grown < 32, "{grown} MiB for {sent} bytes");
}

/// Logs in on a bare socket.
fn raw_log_in(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mechanism = StrBytes::from_static_str("OAUTHBEARER");
    let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
    stream.write_all(&request_bytes(1, 1, None, &handshake)).unwrap();
    read_frame(&mut stream);
    let login = authenticate(&client_first(&token("alice")));
    stream.write_all(&request_bytes(2, 2, None, &login)).unwrap();
    read_frame(&mut stream);
    stream
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    frame
}

#[test]
fn every_answer_comes_however_many_questions_came_in_one_piece() {
    let stage = Stage::start();
    let mut client = stage.log_in("alice");
    let metadata = MetadataRequest::default().with_topics(Some(vec![]));
    let mut bytes = Vec::new();
    for id in 0..1000 {
        bytes.extend(request_bytes(3, id, None, &ApiVersionsRequest::default()));
        if id % 100 == 99 {
            bytes.extend(request_bytes(9, 10_000 + id, None, &metadata));
        }
    }
    client.send_bytes(&bytes);
    for id in 0..1000 {
        let frame = client.read_frame();
        assert_eq!(frame[..4], i32::to_be_bytes(id), "in order");
        if id % 100 == 99 {
            client.read::<MetadataRequest>(9, 10_000 + id);
        }
    }
}

#[test]
fn the_count_of_open_connections_and_requests_returns_to_what_is_there() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.sections.push("limits: {connections: 2}".to_owned());
    });
    let open = r#"sluicegate_connections_open{virtual_cluster="team"}"#;
    let in_flight = r#"sluicegate_requests_in_flight{virtual_cluster="team"}"#;
    let first = stage.log_in("alice");
    let second = stage.log_in("bob");
    for _ in 0..3 {
        Client::connect(stage.setup.tenants[0].port).expect_close();
    }
    stage.expect_metric(open, 2.0);
    drop((first, second));
    stage.expect_metric(open, 0.0);

    // After SaslHandshake 0 a token comes bare.
    let mut stream = TcpStream::connect(("127.0.0.1", stage.setup.tenants[0].port)).unwrap();
    let mechanism = StrBytes::from_static_str("OAUTHBEARER");
    let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
    stream.write_all(&request_bytes(0, 1, None, &handshake)).unwrap();
    read_frame(&mut stream);
    stream.write_all(&with_length(&client_first(&token("alice")))).unwrap();
    assert!(read_frame(&mut stream).is_empty(), "logged in");
    let metadata = MetadataRequest::default().with_topics(Some(vec![]));
    stream.write_all(&request_bytes(9, 2, None, &metadata)).unwrap();
    read_frame(&mut stream);
    stage.expect_metric(in_flight, 0.0);
    drop(stream);
    stage.expect_metric(open, 0.0);
    stage.expect_metric(in_flight, 0.0);
}

/// Tells the gateway to end, and says how long it took.
fn end(stage: &mut Stage) -> Duration {
    let started = Instant::now();
    stage.gateway.process.signal("TERM");
    stage.gateway.process.wait(Duration::from_secs(40));
    started.elapsed()
}

#[test]
fn a_client_that_never_pauses_does_not_hold_up_the_end() {
    let mut stage = Stage::start();
    let mut stream = raw_log_in(stage.setup.tenants[0].port);
    let mut answers = stream.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut chunk = vec![0; 1 << 20];
        while answers.read(&mut chunk).is_ok_and(|count| count > 0) {}
    });
    let writing = thread::spawn(move || {
        let questions = request_bytes(3, 7, None, &ApiVersionsRequest::default()).repeat(4096);
        while stream.write_all(&questions).is_ok() {}
    });
    let asked = "sluicegate_requests_total{virtual_cluster=\"team\",api=\"ApiVersions\"}";
    wait_until("flooded", || stage.metric(asked) > 1000.0);
    let took = end(&mut stage);
    assert!(took < Duration::from_secs(5), "{took:?}");
    reading.join().unwrap();
    writing.join().unwrap();
}

#[test]
fn a_stranger_who_never_finishes_tls_does_not_hold_up_the_end() {
    let mut stage = Stage::start_with(1, |setup, _| {
        let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let quoted = |pem: String| serde_json::to_string(&pem).unwrap();
        setup.tenant().listener.push(format!(
            "tls_server: {{certificates: [{{certificate: {}, key: {}}}]}}",
            quoted(identity.cert.pem()),
            quoted(identity.signing_key.serialize_pem())
        ));
    });
    let _silent = TcpStream::connect(("127.0.0.1", stage.setup.tenants[0].port)).unwrap();
    stage.expect_metric(r#"sluicegate_connections_open{virtual_cluster="team"}"#, 1.0);
    let took = end(&mut stage);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_broker_that_does_not_accept_does_not_hold_up_the_end() {
    // Nobody accepts here, and the queue is full: whoever connects waits.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    let mut stage = Stage::start();
    let own = stage.broker().port();
    let mut queue = Vec::new();
    let address = deaf.local_addr().unwrap();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queue.push(stream);
    }
    stage.broker().knows_nodes(&[(1, own), (2, port)]);
    // Who knocks at the door of an unknown broker has the brokers asked for.
    let _asking = stage.log_in_at(stage.setup.tenants[0].broker_port(2), &token("alice"));
    let _waiting = stage.log_in_at(stage.setup.tenants[0].broker_port(2), &token("alice"));
    wait_until("connecting to the deaf broker", || is_connecting_to(port));
    let took = end(&mut stage);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_key_file_that_can_not_be_read_to_its_end_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, jwks(&[&ES256])).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let mut stage = Stage::start_with(1, |setup, _| {
        setup.tenant().authentication = vec![oauth_bearer(&format!("{{file: \"{path}\"}}"), "")];
    });
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    // An unknown key has the file read again, and nobody writes into it.
    let unknown = Signer::es256("unknown").token(&claims("alice", 60));
    let mut client = stage.connect();
    client.handshake();
    client.authenticate(&client_first(&unknown));
    stage.log_in("alice");
    let took = end(&mut stage);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn tokens_of_each_of_several_issuers_are_taken() {
    let other = Signer::es256("other");
    let other_keys = KeyServer::start(&[&other]);
    let stage = Stage::start_with(1, |setup, jwks| {
        let second = format!(
            "{{type: oauth_bearer, mediation: terminate, jwks: {{endpoint: \"{}\"}}, \
             validate: {{issuer: \"https://other.example\", audiences: [{{name: \"{AUDIENCE}\"}}]}}}}",
            other_keys.url()
        );
        setup.tenant().authentication = vec![oauth_bearer(jwks, ""), second];
    });
    stage.log_in("alice");
    let of_other = with(claims("bob", 60), json!({"iss": "https://other.example"}));
    stage.log_in_at(stage.setup.tenants[0].port, &other.token(&of_other));
    // The keys of one do not speak for the other.
    for token in [ES256.token(&of_other), other.token(&claims("alice", 60))] {
        let mut client = stage.connect();
        client.handshake();
        assert!(!client.authenticate(&client_first(&token)).auth_bytes.is_empty(), "refused");
    }
}

#[test]
fn a_broker_that_calls_the_gateway_a_broker_does_not_make_it_talk_to_itself() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.backend.push("insecure_allow_anonymous_virtual_cluster_auth: true".to_owned());
        setup.tenant().authentication = vec!["{type: anonymous}".to_owned()];
    });
    let door = stage.setup.tenants[0].broker_port(2);
    stage.broker().knows_nodes(&[(1, stage.broker().port()), (2, door)]);
    let metadata = MetadataRequest::default().with_topics(Some(vec![]));
    // The first has the brokers asked for; the door is that of a broker by the second, at the latest.
    for _ in 0..2 {
        let mut client = Client::connect(door);
        client.send(9, &metadata);
        client.expect_close();
    }
    let accepted = stage.metric(r#"sluicegate_connections_accepted_total{virtual_cluster="team"}"#);
    assert!(accepted < 20.0, "{accepted} connections, all but one of them its own");
}

#[test]
fn a_backend_that_was_away_when_it_was_asked_is_found_again() {
    let stage = Stage::start();
    let broker = stage.broker();
    broker.on_key(ApiKey::Metadata, |_| Reply::Close);
    // Nobody is behind this door, so the brokers are asked for, and none answers.
    let mut client = Client::connect(stage.setup.tenants[0].broker_port(2));
    client.handshake();
    client.authenticate(&client_first(&token("alice")));
    client.expect_close();
    let (code, _) = stage.gateway.admin("/readyz").unwrap();
    assert_eq!(code, 503);
    let nodes = broker.port();
    broker.on::<MetadataRequest>(move |_| MetadataResponse::default().with_brokers(vec![the_broker(nodes)]));
    stage.expect_metric(r#"sluicegate_backend_up{backend="backend"}"#, 1.0);
    assert_eq!(stage.gateway.admin("/readyz").unwrap().0, 200);
}

fn the_broker(port: u16) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(BrokerId(1))
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(i32::from(port))
}
