//! Bytes that no Kafka client and no broker would send: whoever sends them loses his connection, and nobody else.
//!
//! The bodies are made from the grammar, for every API and version that is served: a good one, which is answered,
//! and its broken kin, none of which is.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use sluicegate::api::{Row, rows};
use sluicegate::wire::sample::{self, Filler};
use sluicegate::wire::{
    ApiKey, Direction, Field, FieldKind, Gather, RequestHead, RequestHeader, grammar, write_request,
    write_response,
};
use uuid::Uuid;

use crate::support::broker::{Asked, Reply, topic_id};
use crate::support::client::{CLIENT_ID, Client};
use crate::support::stage::Stage;

/// Two cores carry the gateway and the test.
const THREADS: usize = 4;
/// What the process may take more, at its highest, than before somebody was hostile.
const MORE_KIB_MAX: u64 = 64 << 10;
/// Address space costs nothing until it is used, but one announced length believed would take 4 GB of it.
const MORE_ADDRESSES_KIB_MAX: u64 = 3 << 20;

#[test]
fn a_05_a_clients_broken_body_ends_its_own_connection_only() {
    let stage = Stage::start_with(1, |setup, _| setup.tenant().offer_everything());
    for row in rows() {
        stage.broker().on_key(row.key, answer_by_itself);
    }
    learn_ids(&stage);
    let before = Memory::of(&stage);
    let sent = in_threads(|row| {
        let mut witness = stage.log_in("witness");
        let mut sent = 0;
        for version in row.versions.clone() {
            let good = Example::of(row.key as i16, Direction::Request, version);
            ask(&mut witness, row.key as i16, version, &good.body);
            let bodies = good.broken();
            let frames = bodies.iter().map(|(_, body)| request(row.key as i16, version, 7, body));
            let clients: Vec<Client> = frames.map(|frame| say(&stage, &frame)).collect();
            for (mut client, (what, _)) in clients.into_iter().zip(&bodies) {
                expect_close_after(&mut client, &format!("{} {version}: {what}", row.name));
            }
            sent += bodies.len();
        }
        ask_for_topics(&mut witness);
        sent
    });
    stage.expect_metric(&closed("client_malformed"), sent as f64);
    let versions: usize = rows().iter().map(|row| row.versions.clone().count()).sum();
    let reached = stage.broker().asked().len();
    assert_eq!(reached, versions + rows().len() + LEARNED_BY, "what reached the broker are the good bodies");
    before.has_hardly_grown(&stage);
}

#[test]
fn a_brokers_broken_body_ends_its_pair_only() {
    let stage = Stage::start_with(1, |setup, _| setup.tenant().offer_everything());
    let before = Memory::of(&stage);
    let sent = in_threads(|row| {
        let body = Arc::new(Mutex::new(Bytes::new()));
        let said = body.clone();
        stage.broker().on_key(row.key, move |asked| match asked.client_id() {
            Some("victim") => answer(asked, &said.lock().expect("nobody panics with it")),
            _ => answer_by_itself(asked),
        });
        let mut witness = stage.log_in("witness");
        let mut sent = 0;
        for version in row.versions.clone() {
            let good = Example::of(row.key as i16, Direction::Request, version);
            ask(&mut witness, row.key as i16, version, &good.body);
            let upstream = (row.upstream_version)(version);
            for (what, broken) in Example::of(row.key as i16, Direction::Response, upstream).broken() {
                *body.lock().expect("nobody panics with it") = broken.into();
                let frame = request_of("victim", row.key as i16, version, 7, &good.body);
                expect_close_after(&mut say(&stage, &frame), &format!("{} {version}: {what}", row.name));
                sent += 1;
            }
        }
        let oldest = *row.versions.start();
        let good = Example::of(row.key as i16, Direction::Request, oldest);
        ask(&mut witness, row.key as i16, oldest, &good.body);
        sent
    });
    stage.expect_metric(&closed("broker_malformed"), sent as f64);
    before.has_hardly_grown(&stage);
}

/// A broker says something else than the answer; the pair ends for this reason.
fn check_broker(says: impl Fn(&Asked) -> Reply + Send + Sync + 'static, reason: &str) {
    let stage = Stage::start_with(1, |setup, _| {
        setup.sections.push("limits: {frame_bytes_from_broker: 4KiB}".to_owned());
    });
    let mut witness = stage.log_in("witness");
    ask_for_topics(&mut witness);
    let open = stage.broker().connections();
    stage.broker().on_key(ApiKey::ListGroups, says);
    let body = Example::of(16, Direction::Request, 0).body;
    let mut victim = stage.log_in("victim");
    victim.send_bytes(&request(16, 0, 7, &body));
    victim.expect_close();
    stage.expect_metric(&closed(reason), 1.0);
    assert_eq!(stage.broker().connections(), open + 1, "the question is not asked again");
    ask_for_topics(&mut witness);
}

fn good_answer(asked: &Asked) -> Bytes {
    let Reply::Frame(frame) = answer_by_itself(asked) else { panic!("an answer is a frame") };
    frame
}

#[test]
fn p_12_an_answer_under_a_wrong_correlation_id_ends_the_pair() {
    let says = |asked: &Asked| {
        let mut frame = good_answer(asked).to_vec();
        frame[3] ^= 1;
        Reply::Frame(frame.into())
    };
    check_broker(says, "broker_out_of_order");
}

#[test]
fn a_frame_shorter_than_a_correlation_id_ends_the_pair() {
    check_broker(|_| Reply::Frame(Bytes::from_static(&[0, 0, 1])), "broker_malformed");
}

#[test]
fn frames_of_a_broker_that_can_not_be_end_the_pair() {
    let sizes: [i32; 4] = [0, -1, i32::MAX, 4 * 1024 + 1];
    for size in sizes {
        let says = move |_: &Asked| Reply::Bytes(Bytes::copy_from_slice(&size.to_be_bytes()));
        check_broker(says, "broker_malformed");
    }
}

#[test]
fn a_second_answer_ends_the_pair_after_the_first() {
    let stage = Stage::start();
    stage.broker().on_key(ApiKey::ListGroups, |asked| {
        let frame = good_answer(asked);
        let length = (frame.len() as i32).to_be_bytes();
        Reply::Bytes([&length[..], &frame, &length, &frame].concat().into())
    });
    let mut witness = stage.log_in("witness");
    ask_for_topics(&mut witness);
    let mut victim = stage.log_in("victim");
    ask(&mut victim, 16, 0, &[]);
    victim.expect_close();
    stage.expect_metric(&closed("broker_out_of_order"), 1.0);
    ask_for_topics(&mut witness);
}

#[test]
fn librdkafkas_seven_bytes_are_the_only_ones_beyond_a_metadata_request() {
    let stage = Stage::start();
    let mut client = stage.log_in("librdkafka");
    for version in 11..=13 {
        ask(&mut client, 3, version, &[0, 0, 0, 0, 1, 0, 0]);
    }
    for (version, body) in [
        (11, &[0, 0, 0, 0, 1, 0][..]),
        (11, &[0, 0, 0, 0, 1, 0, 0, 0]),
        (13, &[0, 0, 0, 0, 1, 0, 0, 0]),
        (13, &[1, 0, 0, 0, 1, 0, 0]),
    ] {
        let frame = request(3, version, 7, body);
        expect_close_after(&mut say(&stage, &frame), &format!("version {version}: {body:02x?}"));
    }
    ask_for_topics(&mut client);
}

#[test]
fn a_05_a_broken_login_ends_its_own_connection_only() {
    let stage = Stage::start();
    let mut witness = stage.log_in("witness");
    let own: [(i16, RangeInclusive<i16>); 3] = [(18, 0..=4), (17, 0..=1), (36, 0..=2)];
    let before = Memory::of(&stage);
    let mut sent = 0;
    for (key, versions) in own {
        for version in versions {
            for (what, body) in Example::of(key, Direction::Request, version).broken() {
                let mut client = stage.connect();
                if key == 36 {
                    client.handshake();
                }
                client.send_bytes(&request(key, version, 7, &body));
                expect_close_after(&mut client, &format!("key {key} version {version}: {what}"));
                sent += 1;
            }
        }
        ask_for_topics(&mut witness);
    }
    stage.expect_metric(&closed("client_malformed"), f64::from(sent));
    before.has_hardly_grown(&stage);
}

#[test]
fn a_stranger_who_asks_for_more_than_a_login_is_not_even_read() {
    let stage = Stage::start();
    let mut witness = stage.log_in("witness");
    let served = rows().iter().flat_map(|row| row.versions.clone().map(|version| (row.key as i16, version)));
    let mut strangers: Vec<(i16, i16, Client)> = Vec::new();
    for (key, version) in served {
        let mut stranger = stage.connect();
        stranger.send_bytes(&request(key, version, 7, &[0x7f, 0xff, 0xff, 0xff]));
        strangers.push((key, version, stranger));
    }
    let count = strangers.len();
    for (key, version, mut stranger) in strangers {
        expect_close_after(&mut stranger, &format!("key {key} version {version}"));
    }
    stage.expect_metric(&closed("not_authenticated"), count as f64);
    ask_for_topics(&mut witness);
}

#[test]
fn a_04_lengths_that_can_not_be_end_a_strangers_connection_without_memory() {
    const STRANGERS: usize = 250;
    let stage = Stage::start();
    let mut witness = stage.log_in("witness");
    let before = Memory::of(&stage);
    let lengths: [i32; 5] = [i32::MAX, -1, i32::MIN, 0, 100 << 20];
    for length in lengths {
        let mut strangers: Vec<Client> = (0..STRANGERS).map(|_| stage.connect()).collect();
        for stranger in &mut strangers {
            stranger.send_bytes(&length.to_be_bytes());
        }
        for stranger in &mut strangers {
            expect_close_after(stranger, &format!("a frame of {length} bytes"));
        }
        ask_for_topics(&mut witness);
    }
    stage.expect_metric(&closed("client_malformed"), (STRANGERS * lengths.len()) as f64);
    before.has_grown_at_most(&stage, 16 << 10);
}

#[test]
fn an_announced_frame_takes_memory_only_as_it_comes() {
    const CONNECTIONS: usize = 100;
    let stage = Stage::start();
    let mut witness = stage.log_in("witness");
    let before = Memory::of(&stage);
    let mut strangers: Vec<Client> = (0..CONNECTIONS).map(|_| stage.connect()).collect();
    let mut users: Vec<Client> = (0..CONNECTIONS).map(|_| stage.log_in("user")).collect();
    for stranger in &mut strangers {
        stranger.send_bytes(&(64 * 1024_i32).to_be_bytes());
    }
    for user in &mut users {
        user.send_bytes(&[&(100_i32 << 20).to_be_bytes()[..], &[0; 1000]].concat());
    }
    // Each worker has taken what came before this.
    for _ in 0..8 {
        ask_for_topics(&mut stage.log_in("later"));
    }
    ask_for_topics(&mut witness);
    before.has_grown_at_most(&stage, 32 << 10);
    drop((strangers, users));
    stage.expect_metric(&closed("client_malformed"), 0.0);
}

#[test]
fn a_16_other_protocols_are_turned_away() {
    let stage = Stage::start();
    let mut witness = stage.log_in("witness");
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0x5a; 506]].concat();
    for (what, bytes) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("TLS", &hello),
    ] {
        let mut stranger = stage.connect();
        stranger.send_bytes(bytes);
        expect_close_after(&mut stranger, what);
    }
    stage.expect_metric(&closed("client_malformed"), 4.0);
    ask_for_topics(&mut witness);
}

#[test]
fn a_16_random_bytes_are_turned_away() {
    const BLOBS: u64 = 400;
    let stage = Stage::start();
    let mut witness = stage.log_in("witness");
    let mut random = Random(0x5eed);
    for blob in 0..BLOBS {
        let mut bytes = random.bytes(1 + blob as usize % 300);
        if blob % 2 == 0 {
            // A frame that could be one, up to its length.
            let length = (bytes.len() as i32).to_be_bytes();
            bytes = [&length[..], &bytes].concat();
        }
        // The gateway may have closed before all is said; then nobody minds.
        let mut stranger = TcpStream::connect(("127.0.0.1", stage.setup.tenants[0].port)).unwrap();
        stranger.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stranger.write_all(&bytes);
        let _ = stranger.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        match stranger.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "blob {blob}"),
        }
        assert!(answer.is_empty(), "blob {blob} {bytes:02x?} is answered: {answer:02x?}");
    }
    ask_for_topics(&mut witness);
}

/// A good body, and where it counts.
struct Example {
    body: Vec<u8>,
    /// The place of each array's count, with the array's path.
    counts: Vec<(String, RangeInclusive<usize>)>,
    compact: bool,
}

impl Example {
    fn of(key: i16, direction: Direction, version: i16) -> Self {
        let body =
            |filler: &mut Plain| sample::body(key, direction, version, filler).expect("it is in the grammar");
        let compact = grammar().flexible(key, direction, version);
        let definition = grammar().definition(key, direction).expect("it is in the grammar");
        let named = with_names(&definition.fields, version, "");
        let mut plain = Plain { named: named.clone(), ..Plain::default() };
        let good = body(&mut plain);
        let place = |path: &String| {
            let two =
                body(&mut Plain { twice: Some(path.clone()), named: named.clone(), ..Plain::default() });
            // Both say the same as far as the count; in a tagged field already its length is another, and that
            // is as good a place for a wrong number.
            let differs =
                good.iter().zip(&two).position(|(one, two)| one != two).expect("a count is written");
            (path.clone(), if compact { differs..=differs } else { differs - 3..=differs })
        };
        let counts = plain.paths.iter().map(place).collect();
        Self { body: good, counts, compact }
    }

    /// Bodies none of which is one of this version, each with what is wrong with it.
    fn broken(&self) -> Vec<(String, Vec<u8>)> {
        let mut broken = vec![
            ("the four bytes".to_owned(), vec![0x7f, 0xff, 0xff, 0xff]),
            ("a byte more".to_owned(), [&self.body[..], &[0]].concat()),
            ("itself again".to_owned(), [&self.body[..], &self.body, &[0]].concat()),
        ];
        if self.compact {
            broken.push(("the five bytes".to_owned(), vec![0xff, 0xff, 0xff, 0xff, 0x07]));
        }
        let length = self.body.len();
        let mut cuts = vec![0, 1, length / 3, length / 2, length.saturating_sub(1)];
        cuts.retain(|cut| *cut < length);
        cuts.dedup();
        broken.extend(cuts.iter().map(|cut| (format!("the first {cut} bytes"), self.body[..*cut].to_vec())));
        for (path, place) in &self.counts {
            let left = length - place.end() - 1;
            for count in [left + 1, i32::MAX as usize] {
                let (before, behind) = (&self.body[..*place.start()], &self.body[place.end() + 1..]);
                let body = [before, &self.counted(count), behind].concat();
                broken.push((format!("{count} of {path}"), body));
            }
        }
        broken
    }

    fn counted(&self, count: usize) -> Vec<u8> {
        if !self.compact {
            return (count as i32).to_be_bytes().to_vec();
        }
        let (mut count, mut out) = (count as u64 + 1, Vec::new());
        while count >= 0x80 {
            out.push(count as u8 | 0x80);
            count >>= 7;
        }
        out.push(count as u8);
        out
    }
}

/// The structures in which a topic's name stands in this version, as their fields' paths begin.
fn with_names(fields: &[Field], version: i16, parent: &str) -> Vec<String> {
    let mut found = Vec::new();
    for field in fields.iter().filter(|field| field.versions.contains(version)) {
        if matches!(field.name, "Name" | "Topic" | "TopicName") && field.kind == FieldKind::Text {
            found.push(parent.to_owned());
        }
        let brackets = if field.array { "[]" } else { "" };
        found.extend(with_names(&field.fields, version, &format!("{parent}{}{brackets}.", field.name)));
    }
    found
}

/// Says the same in every field, and one element in every array but one.
#[derive(Clone, Default)]
struct Plain {
    /// The elements that have a topic's name.
    named: Vec<String>,
    paths: Vec<String>,
    twice: Option<String>,
}

impl Filler for Plain {
    fn text(&mut self, path: &str) -> String {
        // Group members of which the gateway reads no topics.
        if path.ends_with("ProtocolType") { "connect" } else { "plain" }.to_owned()
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        // A topic that is called by its name is not called by its id as well.
        if self.named.iter().any(|named| path.starts_with(named.as_str())) {
            return Uuid::nil();
        }
        topic_id("my-plain")
    }

    fn bytes(&mut self, _path: &str) -> Vec<u8> {
        b"bytes".to_vec()
    }

    fn int(&mut self, path: &str) -> i64 {
        match path.rsplit('.').next() {
            Some("Acks" | "EndpointType") => 1,
            Some("ShareSessionEpoch") => 1, // what opens a session acknowledges nothing
            Some("ReplicaId") => -1,        // a consumer
            Some("ResourceType" | "ResourceTypeFilter") => 2, // a topic
            Some("PatternType" | "PatternTypeFilter" | "ResourcePatternType") => 3, // literal
            _ => 0,
        }
    }

    fn count(&mut self, path: &str) -> usize {
        // A topology with patterns is refused.
        if path.contains("SourceTopicRegex") {
            return 0;
        }
        if !self.paths.iter().any(|known| known == path) {
            self.paths.push(path.to_owned());
        }
        if self.twice.as_deref() == Some(path) { 2 } else { 1 }
    }
}

/// Does something for every API that is served, a few at once; returns the sum.
fn in_threads(work: impl Fn(&Row) -> usize + Sync) -> usize {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                let work = &work;
                scope.spawn(move || rows().iter().skip(first).step_by(THREADS).map(work).sum::<usize>())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("what it says stands above")).sum()
    })
}

fn answer_by_itself(asked: &Asked) -> Reply {
    answer(asked, &Example::of(asked.key(), Direction::Response, asked.version()).body)
}

fn answer(asked: &Asked, body: &[u8]) -> Reply {
    let flexible = grammar().header_flexible(asked.key(), Direction::Response, asked.version());
    let mut out = Gather::around(None);
    write_response(&mut out, asked.correlation_id(), flexible);
    out.put_slice(body);
    Reply::Frame(Bytes::from(out.finish().to_vec()).slice(4..))
}

fn request(key: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    request_of(CLIENT_ID, key, version, correlation_id, body)
}

fn request_of(client_id: &'static str, key: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let head = RequestHead { key, version, correlation_id };
    let header = RequestHeader { head, client_id: Some(StrBytes::from_static_str(client_id)) };
    let mut out = Gather::around(None);
    write_request(&mut out, &header, grammar().header_flexible(key, Direction::Request, version));
    out.put_slice(body);
    out.finish().to_vec()
}

/// Somebody who is logged in says these bytes.
fn say(stage: &Stage, bytes: &[u8]) -> Client {
    let mut client = stage.log_in("somebody");
    client.send_bytes(bytes);
    client
}

fn expect_close_after(client: &mut Client, what: &str) {
    let closed = catch_unwind(AssertUnwindSafe(|| client.expect_close()));
    assert!(closed.is_ok(), "{what}: the connection does not end");
}

/// Sends a body that is right, and gets the answer.
fn ask(client: &mut Client, key: i16, version: i16, body: &[u8]) {
    client.send_bytes(&request(key, version, 0x0a5c, body));
    let answer = client.read_frame();
    assert_eq!(answer[..4], [0, 0, 0x0a, 0x5c], "key {key} version {version}");
}

fn ask_for_topics(client: &mut Client) {
    client.ask(9, &MetadataRequest::default().with_topics(Some(vec![])));
}

/// Has the broker tell whose the id is that the examples call topics by.
fn learn_ids(stage: &Stage) {
    stage.broker().on_key(ApiKey::Metadata, |asked| match asked.client_id() {
        Some("learner") => {
            let topic = MetadataResponseTopic::default().with_topic_id(topic_id("my-plain"));
            let name = TopicName(StrBytes::from_static_str("my-plain"));
            asked.reply::<MetadataRequest>(
                &MetadataResponse::default().with_topics(vec![topic.with_name(Some(name))]),
            )
        }
        _ => answer_by_itself(asked),
    });
    let body = Example::of(3, Direction::Request, 12).body;
    let mut client = stage.log_in("learner");
    client.send_bytes(&request_of("learner", 3, 12, 7, &body));
    client.read_frame();
}

/// How often the broker is asked for that.
const LEARNED_BY: usize = 1;

fn closed(reason: &str) -> String {
    format!("sluicegate_connections_closed_total{{virtual_cluster=\"team\",reason=\"{reason}\"}}")
}

/// What the gateway's process has taken at its highest, as its kernel says.
struct Memory {
    resident_kib: u64,
    addresses_kib: u64,
}

impl Memory {
    fn of(stage: &Stage) -> Self {
        let path = format!("/proc/{}/status", stage.gateway.process.id());
        let status = fs::read_to_string(path).expect("the process is up");
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says so");
            line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
        };
        Self { resident_kib: line("VmHWM:"), addresses_kib: line("VmPeak:") }
    }

    fn has_hardly_grown(&self, stage: &Stage) {
        self.has_grown_at_most(stage, MORE_KIB_MAX);
    }

    fn has_grown_at_most(&self, stage: &Stage, more_kib: u64) {
        let now = Self::of(stage);
        let (resident, addresses) =
            (now.resident_kib - self.resident_kib, now.addresses_kib - self.addresses_kib);
        assert!(resident <= more_kib, "{resident} KiB more memory than before");
        assert!(addresses <= MORE_ADDRESSES_KIB_MAX, "{addresses} KiB more of addresses than before");
    }
}

/// The same random numbers in each run.
///
/// Source: xorshift64.
struct Random(u64);

impl Random {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 32) as u8
        };
        (0..count).map(|_| next()).collect()
    }
}
