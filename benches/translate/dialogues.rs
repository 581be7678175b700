//! Requests of a client, and a broker's answers.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use sluicegate::api::{Admission, Admitted, Conversation, Disposition, Incoming, Pending, Row, disposition};
use sluicegate::names::{Backend, Virtual};
use sluicegate::wire::{
    ApiKey, Direction, Gather, RequestHead, RequestHeader, Segments, encode_body, grammar, read_request,
    write_request, write_response,
};

use super::World;

/// One request and its answer, as bytes.
pub struct Dialogue {
    pub api: &'static str,
    pub payload: String,
    row: &'static Row,
    request: Bytes,
    answer: Backend<Bytes>,
}

/// Everything that is measured.
pub fn all() -> Vec<Dialogue> {
    let payloads = [("1 KiB", 1 << 10), ("64 KiB", 1 << 16), ("1 MiB", 1 << 20)];
    let produces = payloads.map(|(payload, bytes)| produce(payload, bytes));
    let fetches = payloads.map(|(payload, bytes)| fetch(payload, bytes));
    produces.into_iter().chain(fetches).chain([10, 1000].map(metadata)).collect()
}

impl Dialogue {
    fn new<Q: Encodable, A: Encodable>(
        key: ApiKey,
        version: i16,
        payload: String,
        request: &Q,
        answer: &A,
    ) -> Self {
        let Disposition::Serve(row) = disposition(key) else { panic!("{key:?} is served") };
        let head = RequestHead { key: key as i16, version, correlation_id: CORRELATION_ID };
        let header = RequestHeader { head, client_id: Some(StrBytes::from_static_str("bench-client")) };
        let mut out = Gather::around(None);
        write_request(&mut out, &header, grammar().header_flexible(key as i16, Direction::Request, version));
        encode_body(&mut out, request, version).expect("the request can be said in its version");
        let request = frame(&out.finish());
        let mut out = Gather::around(None);
        let flexible = grammar().header_flexible(key as i16, Direction::Response, version);
        write_response(&mut out, CORRELATION_ID, flexible);
        encode_body(&mut out, answer, version).expect("the answer can be said in its version");
        let answer = Backend::said_by_broker(frame(&out.finish()));
        Self { api: row.name, payload, row, request, answer }
    }

    /// The request on its way to the broker, as the session takes it.
    #[inline(never)]
    pub fn admit(&self, world: &World) -> Admitted {
        let head = RequestHead::peek(&self.request).expect("the frame has a header");
        let flexible = grammar().header_flexible(head.key, Direction::Request, head.version);
        let (header, body) = read_request(&self.request, flexible).expect("the frame has a header");
        let incoming =
            Incoming { frame: &self.request, header: &header, body, limits: &world.limits, known: None };
        let mut conversation = Conversation::default();
        let mut next_id = || CORRELATION_ID;
        (self.row.admit)(&incoming, world.gate(), &world.lens(), &mut conversation, &mut next_id)
            .expect("the request is well-formed")
    }

    /// What waits for the broker's answer.
    pub fn pending(&self, world: &World) -> Box<dyn Pending> {
        match self.admit(world).admission {
            Admission::Forward { pending, .. } => pending,
            _ => panic!("the request goes on to the broker"),
        }
    }

    /// The answer on its way to the client.
    #[inline(never)]
    pub fn reveal(&self, world: &World, pending: Box<dyn Pending>) -> Virtual<Segments> {
        let frames = std::slice::from_ref(&self.answer);
        pending
            .reveal(frames, CORRELATION_ID, &world.lens(), &world.limits, &mut Conversation::default())
            .expect("the answer is well-formed")
    }

    /// Nothing is refused, and every name has changed sides.
    pub fn check(&self, world: &World) {
        let Admitted { admission, denials, refused } = self.admit(world);
        assert!(denials.is_empty() && refused.is_none(), "{} is granted", self.api);
        let Admission::Forward { requests, .. } = admission else { panic!("the request goes on") };
        let [(_, sent)] = &requests[..] else { panic!("the request goes on as one") };
        check_names(&self.request, &sent.as_ref().to_vec(), "team-", "my-team-");
        let seen = self.reveal(world, self.pending(world));
        check_names(self.answer.as_ref(), &seen.as_ref().to_vec(), "my-team-", "team-");
    }
}

/// Each name of one frame stands renamed in the other.
fn check_names(before: &[u8], after: &[u8], from: &str, to: &str) {
    let count = |text: &[u8], name: &str| text.windows(name.len()).filter(|w| *w == name.as_bytes()).count();
    let (named, renamed) = (count(before, from), count(after, to));
    assert!(named > 0 && named == renamed, "{named} names, {renamed} renamed");
    assert_eq!(count(after, "my-") > 0, to.starts_with("my-"));
}

/// A frame as the socket's buffer hands it out.
fn frame(segments: &Segments) -> Bytes {
    let mut buffer = BytesMut::from(&segments.to_vec()[..]);
    buffer.split_off(4).freeze()
}

fn produce(payload: &str, bytes: usize) -> Dialogue {
    let partition = PartitionProduceData::default().with_index(3).with_records(Some(records(bytes)));
    let topic =
        TopicProduceData::default().with_name(name("team-orders")).with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let partition = PartitionProduceResponse::default().with_index(3).with_base_offset(42);
    let topic = TopicProduceResponse::default()
        .with_name(name("my-team-orders"))
        .with_partition_responses(vec![partition]);
    let answer = ProduceResponse::default().with_responses(vec![topic]);
    Dialogue::new(ApiKey::Produce, 9, payload.to_owned(), &request, &answer)
}

fn fetch(payload: &str, bytes: usize) -> Dialogue {
    let partition = FetchPartition::default().with_partition(3).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name("team-orders")).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_topics(vec![topic]);
    let partition = PartitionData::default()
        .with_partition_index(3)
        .with_high_watermark(42)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(records(bytes)));
    let topic =
        FetchableTopicResponse::default().with_topic(name("my-team-orders")).with_partitions(vec![partition]);
    let answer = FetchResponse::default().with_responses(vec![topic]);
    Dialogue::new(ApiKey::Fetch, 12, payload.to_owned(), &request, &answer)
}

fn metadata(topics: usize) -> Dialogue {
    let asked = |number: usize| {
        MetadataRequestTopic::default().with_name(Some(name(&format!("team-topic-{number:04}"))))
    };
    let request = MetadataRequest::default()
        .with_topics(Some((0..topics).map(asked).collect()))
        .with_allow_auto_topic_creation(true);
    let brokers = (1..=3).map(|id| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_static_str("kafka.internal"))
            .with_port(9092)
    });
    let told = |number: usize| {
        let partitions = (0..PARTITIONS).map(|index| {
            let replicas = vec![BrokerId(1), BrokerId(2), BrokerId(3)];
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(1 + index % 3))
                .with_replica_nodes(replicas.clone())
                .with_isr_nodes(replicas)
        });
        MetadataResponseTopic::default()
            .with_name(Some(name(&format!("my-team-topic-{number:04}"))))
            .with_topic_id(uuid::Uuid::from_u128(1 + number as u128))
            .with_partitions(partitions.collect())
    };
    let answer = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_controller_id(BrokerId(1))
        .with_cluster_id(Some(StrBytes::from_static_str("backend-id")))
        .with_topics((0..topics).map(told).collect());
    Dialogue::new(ApiKey::Metadata, 12, format!("{topics} topics"), &request, &answer)
}

/// A record batch, as far as the gateway looks at one.
fn records(bytes: usize) -> Bytes {
    let mut records = vec![0x5a; bytes];
    records[16] = 2; // the format's number
    records[22] = 0; // not transactional
    records.into()
}

fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

const CORRELATION_ID: i32 = 42;
const PARTITIONS: i32 = 6;
