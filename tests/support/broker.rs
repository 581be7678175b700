//! A scripted broker: it answers what a test tells it to, and remembers every frame that reached it.
//!
//! By itself it answers ApiVersions and Metadata, so that a gateway before it becomes ready. What else comes must be
//! in the script, or the connection is closed and the test fails when the broker goes. As a real broker it answers
//! the requests of a connection in the order they came, but it reads on while an answer is held back, so that a test
//! sees what has arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use sluicegate::wire::{
    ApiKey, Direction, Gather, RequestHeader, decode, grammar, read_request, split_frame, write_response,
};
use uuid::Uuid;

use super::client::{response_frame, with_length};

/// As the gateway calls itself in its own questions.
pub const GATEWAY_CLIENT_ID: &str = "sluicegate";

const PATIENCE: Duration = Duration::from_secs(20);
const FRAME_BYTES_MAX: usize = 256 << 20;

/// One broker of a scripted cluster.
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    node_id: i32,
    port: u16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The brokers of the cluster, by id.
    nodes: BTreeMap<i32, u16>,
    topics: BTreeSet<String>,
    ranges: BTreeMap<i16, RangeInclusive<i16>>,
    script: BTreeMap<i16, Script>,
    script_for_clients: BTreeMap<i16, Script>,
    asked: Vec<Asked>,
    /// Those that are open, each by its place among all that were made.
    connections: BTreeMap<usize, TcpStream>,
    connections_made: usize,
    unscripted: Vec<String>,
    is_gone: bool,
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A frame that reached the broker.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The place of its connection among all that were made to the broker.
    pub connection: usize,
    pub header: RequestHeader,
    /// Header and body, without the length.
    pub frame: Bytes,
    body: Bytes,
    answered: mpsc::Sender<Reply>,
}

/// What the broker does about a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Sends this frame; its length is put before it.
    Frame(Bytes),
    /// Sends these bytes as they are, whatever they say about their length.
    Bytes(Bytes),
    /// Sends nothing, and serves on: for requests that want no answer.
    Nothing,
    /// Sends nothing until the test says what, by `Asked::answer` and its kin.
    Held,
    Close,
}

impl Asked {
    pub fn key(&self) -> i16 {
        self.header.head.key
    }

    pub fn version(&self) -> i16 {
        self.header.head.version
    }

    pub fn correlation_id(&self) -> i32 {
        self.header.head.correlation_id
    }

    pub fn client_id(&self) -> Option<&str> {
        self.header.client_id.as_deref()
    }

    /// Whether the gateway asks for itself.
    pub fn is_the_gateways_own(&self) -> bool {
        self.client_id() == Some(GATEWAY_CLIENT_ID)
    }

    pub fn request<R: Request>(&self) -> R {
        assert_eq!(self.key(), R::KEY, "another request came: {self:?}");
        decode(&self.body, self.version()).expect("the gateway sends what decodes")
    }

    /// The frame that answers this.
    pub fn reply<R: Request>(&self, response: &R::Response) -> Reply {
        assert_eq!(self.key(), R::KEY, "another request came: {self:?}");
        Reply::Frame(response_frame(R::KEY, self.version(), self.correlation_id(), response))
    }

    /// The frame that answers this, with a body that is written already.
    pub fn reply_with_body(&self, body: &[u8]) -> Reply {
        let mut out = Gather::around(None);
        let flexible = grammar().header_flexible(self.key(), Direction::Response, self.version());
        write_response(&mut out, self.correlation_id(), flexible);
        Reply::Frame([&out.finish().to_vec()[4..], body].concat().into())
    }

    /// Answers a request that was held back.
    pub fn answer<R: Request>(&self, response: &R::Response) {
        self.answer_with(self.reply::<R>(response));
    }

    pub fn answer_with(&self, reply: Reply) {
        // The connection may be over, and then nobody wants to know.
        let _ = self.answered.send(reply);
    }
}

impl Broker {
    /// The one broker of a cluster, with id 1.
    pub fn start() -> Self {
        Self::cluster(1).remove(0)
    }

    /// The brokers of one cluster, with ids from 1.
    pub fn cluster(count: i32) -> Vec<Self> {
        let listeners: Vec<_> = (1..=count)
            .map(|node_id| (node_id, TcpListener::bind("127.0.0.1:0").expect("there are free ports")))
            .collect();
        let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
        let nodes: BTreeMap<i32, u16> =
            listeners.iter().map(|(node_id, listener)| (*node_id, port(listener))).collect();
        let start = |(node_id, listener): (i32, TcpListener)| {
            let state = State { nodes: nodes.clone(), ..State::default() };
            let shared = Arc::new(Shared {
                node_id,
                port: port(&listener),
                state: Mutex::new(state),
                changed: Condvar::new(),
            });
            let accepting = shared.clone();
            thread::spawn(move || accepting.accept(&listener));
            Self { shared }
        };
        listeners.into_iter().map(start).collect()
    }

    pub fn node_id(&self) -> i32 {
        self.shared.node_id
    }

    pub fn port(&self) -> u16 {
        self.shared.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Says what the cluster's brokers are, from now on.
    pub fn knows_nodes(&self, nodes: &[(i32, u16)]) {
        self.state().nodes = nodes.iter().copied().collect();
    }

    /// Topics that exist, as the backend names them: one partition each, led by this broker.
    pub fn has_topics(&self, topics: &[&str]) {
        self.state().topics.extend(topics.iter().map(|&topic| topic.to_owned()));
    }

    /// The versions of an API that the broker says it speaks; of all others, those that the codec knows.
    pub fn speaks(&self, key: ApiKey, versions: RangeInclusive<i16>) {
        self.state().ranges.insert(key as i16, versions);
    }

    /// From now on every request of this kind is answered so.
    pub fn on<R: Request>(&self, answer: impl Fn(&R) -> R::Response + Send + Sync + 'static) {
        let script = move |asked: &Asked| asked.reply::<R>(&answer(&asked.request::<R>()));
        self.state().script.insert(R::KEY, Arc::new(script));
    }

    /// From now on this is done about every request with this key.
    pub fn on_key(&self, key: ApiKey, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        self.state().script.insert(key as i16, Arc::new(answer));
    }

    /// From now on this is done about clients' requests with this key; what the gateway asks for itself is answered
    /// as before.
    pub fn on_clients_key(&self, key: ApiKey, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        self.state().script_for_clients.insert(key as i16, Arc::new(answer));
    }

    /// Holds answers to this kind of request back until the test gives them, one by one.
    pub fn hold(&self, key: ApiKey) {
        self.on_key(key, |_| Reply::Held);
    }

    /// What clients' requests have reached the broker so far: all but what the gateway asks for itself.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.iter().filter(|asked| !asked.is_the_gateways_own()).cloned().collect()
    }

    /// All that has reached the broker so far.
    pub fn asked_by_anybody(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// The keys of clients' requests so far.
    pub fn keys_asked(&self) -> Vec<i16> {
        self.asked().iter().map(Asked::key).collect()
    }

    /// Nothing of any client has reached the broker.
    pub fn assert_untouched(&self) {
        let keys = self.keys_asked();
        assert!(keys.is_empty(), "requests reached the broker, with keys {keys:?}");
    }

    /// Waits until so many requests of clients with this key have come, and returns them.
    pub fn expect(&self, key: ApiKey, count: usize) -> Vec<Asked> {
        let of_key = |asked: &&Asked| asked.key() == key as i16 && !asked.is_the_gateways_own();
        let state = self.wait_until(&format!("{count} of {key:?}"), |state| {
            state.asked.iter().filter(of_key).count() >= count
        });
        state.asked.iter().filter(of_key).cloned().collect()
    }

    /// How many connections have been made so far, the gateway's own included.
    pub fn connections(&self) -> usize {
        self.state().connections_made
    }

    /// Waits until so many connections are open, the gateway's own included.
    pub fn expect_open(&self, count: usize) {
        drop(self.wait_until(&format!("{count} open connections"), |state| state.connections.len() == count));
    }

    /// Ends all connections there are now; new ones are welcome.
    pub fn cut_connections(&self) {
        for connection in self.state().connections.values() {
            // It may have ended by itself.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !holds(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            let keys: Vec<i16> = state.asked.iter().map(Asked::key).collect();
            assert!(!left.is_zero(), "the broker waits for {what}; it has keys {keys:?}");
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let unscripted = {
            let mut state = self.state();
            state.is_gone = true;
            std::mem::take(&mut state.unscripted)
        };
        self.cut_connections();
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.port()));
        if !thread::panicking() {
            assert!(
                unscripted.is_empty(),
                "the broker was asked what its script does not have: {unscripted:?}"
            );
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let mut state = self.state();
            if state.is_gone {
                return;
            }
            let Ok(for_reading) = stream.try_clone() else { continue };
            let place = state.connections_made;
            state.connections_made += 1;
            state.connections.insert(place, stream);
            drop(state);
            self.changed.notify_all();
            let shared = self.clone();
            thread::spawn(move || {
                shared.serve(place, for_reading);
                shared.state().connections.remove(&place);
                shared.changed.notify_all();
            });
        }
    }

    /// Reads one connection to its end; a second thread answers, in order.
    fn serve(&self, connection: usize, mut stream: TcpStream) {
        let (queue, in_order) = mpsc::channel::<mpsc::Receiver<Reply>>();
        let Ok(writing) = stream.try_clone() else { return };
        thread::spawn(move || answer_in_order(writing, &in_order));
        let mut inbox = BytesMut::new();
        let mut chunk = [0; 65_536];
        loop {
            while let Ok(Some(frame)) = split_frame(&mut inbox, FRAME_BYTES_MAX) {
                let (answered, answer) = mpsc::channel();
                self.on_frame(connection, frame, answered);
                if queue.send(answer).is_err() {
                    return;
                }
            }
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(count) => inbox.extend_from_slice(&chunk[..count]),
            }
        }
    }

    fn on_frame(&self, connection: usize, frame: Bytes, answered: mpsc::Sender<Reply>) {
        let asked = match read(connection, frame, answered) {
            Ok(asked) => asked,
            Err((why, answered)) => {
                self.state().unscripted.push(why);
                let _ = answered.send(Reply::Close);
                return;
            }
        };
        let mut state = self.state();
        state.asked.push(asked.clone());
        let of_client = state.script_for_clients.get(&asked.key()).filter(|_| !asked.is_the_gateways_own());
        let script = of_client.or_else(|| state.script.get(&asked.key())).cloned();
        drop(state);
        self.changed.notify_all();
        let reply = match script {
            Some(script) => script(&asked),
            None => self.by_itself(&asked),
        };
        if !matches!(reply, Reply::Held) {
            asked.answer_with(reply);
        }
    }

    fn by_itself(&self, asked: &Asked) -> Reply {
        match ApiKey::try_from(asked.key()) {
            Ok(ApiKey::ApiVersions) => asked.reply::<ApiVersionsRequest>(&self.state().api_versions()),
            Ok(ApiKey::Metadata) => {
                let request = asked.request::<MetadataRequest>();
                asked.reply::<MetadataRequest>(&self.state().metadata(
                    self.node_id,
                    asked.version(),
                    &request,
                ))
            }
            _ => {
                self.state().unscripted.push(format!("key {} version {}", asked.key(), asked.version()));
                Reply::Close
            }
        }
    }
}

impl State {
    fn api_versions(&self) -> ApiVersionsResponse {
        let range = |key: ApiKey| match self.ranges.get(&(key as i16)) {
            Some(range) => Some(range.clone()),
            None => grammar().versions(key as i16, Direction::Request),
        };
        let api = |key: ApiKey| {
            let range = range(key)?;
            Some(
                ApiVersion::default()
                    .with_api_key(key as i16)
                    .with_min_version(*range.start())
                    .with_max_version(*range.end()),
            )
        };
        ApiVersionsResponse::default().with_api_keys(ApiKey::all().filter_map(api).collect())
    }

    fn metadata(&self, leader: i32, version: i16, request: &MetadataRequest) -> MetadataResponse {
        let brokers = self.nodes.iter().map(|(node_id, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*node_id))
                .with_host(StrBytes::from_static_str("127.0.0.1"))
                .with_port(i32::from(*port))
        });
        let by_id = request.topics.iter().flatten().filter(|topic| topic.name.is_none());
        let by_id = by_id.map(|topic| {
            let id = MetadataResponseTopic::default().with_name(None).with_topic_id(topic.topic_id);
            match topic_of(topic.topic_id).filter(|name| self.topics.contains(name)) {
                Some(name) => self.topic(&name, leader, version),
                None => id.with_error_code(100),
            }
        });
        let wanted: Vec<String> = match &request.topics {
            Some(topics) if version > 0 || !topics.is_empty() => {
                topics.iter().filter_map(|topic| topic.name.as_ref()).map(|name| name.0.to_string()).collect()
            }
            _ => self.topics.iter().cloned().collect(),
        };
        let topics = wanted.iter().map(|name| self.topic(name, leader, version)).chain(by_id);
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id((version >= 2).then(|| StrBytes::from_static_str("backend-cluster")))
            .with_controller_id(BrokerId(leader))
            .with_topics(topics.collect())
    }

    fn topic(&self, name: &str, leader: i32, version: i16) -> MetadataResponseTopic {
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))));
        if !self.topics.contains(name) {
            return topic.with_error_code(3);
        }
        let partition = MetadataResponsePartition::default()
            .with_leader_id(BrokerId(leader))
            .with_replica_nodes(vec![BrokerId(leader)])
            .with_isr_nodes(vec![BrokerId(leader)]);
        let id = if version >= 10 { topic_id(name) } else { Uuid::nil() };
        topic.with_topic_id(id).with_partitions(vec![partition])
    }
}

/// The id that the broker gives a topic: its name, as far as there is room.
pub fn topic_id(name: &str) -> Uuid {
    let mut id = [0; 16];
    for (place, byte) in id.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    Uuid::from_bytes(id.map(veiled))
}

/// The topic that the broker gives this id; `None` for an id that is no name's.
pub fn topic_of(id: Uuid) -> Option<String> {
    let name = String::from_utf8(id.into_bytes().map(veiled).to_vec()).ok()?;
    let name = name.trim_end_matches('\0');
    (!id.is_nil() && !name.is_empty()).then(|| name.to_owned())
}

/// No id is to be taken for a name that leaks.
fn veiled(byte: u8) -> u8 {
    byte ^ 0xa5
}

fn read(
    connection: usize,
    frame: Bytes,
    answered: mpsc::Sender<Reply>,
) -> Result<Asked, (String, mpsc::Sender<Reply>)> {
    let key_and_version = frame
        .first_chunk()
        .map(|[a, b, c, d]: &[u8; 4]| (i16::from_be_bytes([*a, *b]), i16::from_be_bytes([*c, *d])));
    let Some((key, version)) = key_and_version else {
        return Err((format!("a frame without a header: {frame:02x?}"), answered));
    };
    let flexible = grammar().header_flexible(key, Direction::Request, version);
    match read_request(&frame, flexible) {
        Ok((header, body)) => Ok(Asked { connection, header, frame, body, answered }),
        Err(why) => Err((format!("a frame with a broken header ({why}): {frame:02x?}"), answered)),
    }
}

fn answer_in_order(mut stream: TcpStream, in_order: &mpsc::Receiver<mpsc::Receiver<Reply>>) {
    for answer in in_order {
        match answer.recv() {
            Ok(Reply::Frame(frame)) => {
                if stream.write_all(&with_length(&frame)).is_err() {
                    return;
                }
            }
            Ok(Reply::Bytes(bytes)) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Ok(Reply::Nothing) => {}
            Ok(Reply::Close | Reply::Held) | Err(_) => {
                // It may have ended by itself.
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
