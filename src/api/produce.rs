//! Produce.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{
    NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};
use uuid::Uuid;

use super::parts::Parting;
use super::{Api, Asking, METADATA_BY_ID, Pass, Refusal, Showing, standard_text};
use crate::cluster::{Cause, No, Spoken};
use crate::names::{Kind, TopicSlot, Virtual};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// Records to topics.
pub struct Produce;

impl Api for Produce {
    type Request = ProduceRequest;
    type Response = ProduceResponse;
    type Aside = Vec<(TopicProduceData, Refusal)>;

    const KEY: ApiKey = ApiKey::Produce;
    const VERSIONS: RangeInclusive<i16> = 3..=13;

    fn needs(version: i16) -> Option<(ApiKey, i16)> {
        (version >= BY_ID).then_some(METADATA_BY_ID)
    }

    fn ids(request: &ProduceRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request.topic_data.iter().for_each(|topic| tell(topic.topic_id));
    }

    fn part(request: &mut ProduceRequest, version: i16, names: &mut Parting<'_>) -> Option<ProduceRequest> {
        let others = names.topics(&mut request.topic_data, |topic| {
            TopicSlot::of(version >= BY_ID, &mut topic.name, &mut topic.topic_id)
        })?;
        Some(request.clone().with_topic_data(others))
    }

    fn admit(mut request: ProduceRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let unanswered = request.acks == 0;
        if let Err(no) = admit_transaction(&mut request, ask) {
            return if unanswered {
                Ok(Pass::Unanswered { request: None, close: true })
            } else {
                Err(no.into())
            };
        }
        let nothing_asked = request.topic_data.is_empty();
        let by_id = ask.version >= BY_ID;
        let renamed = take_renamed(&mut request, ask);
        let refused = ask.gate.each_topic(Operation::Write, &mut request.topic_data, |topic| {
            TopicSlot::of(by_id, &mut topic.name, &mut topic.topic_id)
        });
        // A broker answers for partitions: of a topic without any, it says nothing.
        let refused: Vec<_> = refused
            .into_iter()
            .chain(renamed)
            .filter(|(topic, _)| !topic.partition_data.is_empty())
            .map(|(topic, no)| (topic, no.into()))
            .collect();
        let nothing_left = request.topic_data.is_empty() && !nothing_asked;
        Ok(match (unanswered, nothing_left) {
            (true, _) => {
                Pass::Unanswered { close: !refused.is_empty(), request: (!nothing_left).then_some(request) }
            }
            (false, true) => Pass::Answer(refused),
            (false, false) => Pass::Forward(request, refused),
        })
    }

    fn reveal(response: &mut ProduceResponse, refused: Self::Aside, show: &Showing<'_>) {
        let by_id = show.version >= BY_ID;
        show.lens.echoed_topics(&mut response.responses, |topic| {
            TopicSlot::of(by_id, &mut topic.name, &mut topic.topic_id)
        });
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
            // What a broker says of a record may quote a name of the backend.
            for record in &mut partition.record_errors {
                record.batch_index_error_message =
                    record.batch_index_error_message.take().and_then(|_| standard_text(partition.error_code));
            }
            partition.error_message =
                partition.error_message.take().and_then(|_| standard_text(partition.error_code));
            if !show.lens.has_door(partition.current_leader.leader_id.0) {
                partition.current_leader.leader_id = BrokerId(-1);
                partition.current_leader.leader_epoch = -1;
            }
        }
        response
            .node_endpoints
            .retain_mut(|node| show.lens.advertise(node.node_id.0, &mut node.host, &mut node.port));
        refuse_topics(response, refused);
    }

    fn refuse(request: ProduceRequest, why: Refusal, _version: i16) -> ProduceResponse {
        let mut response = ProduceResponse::default();
        refuse_topics(&mut response, request.topic_data.into_iter().map(|topic| (topic, why)).collect());
        response
    }

    fn join(first: &mut ProduceResponse, later: ProduceResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        let known =
            |node: &NodeEndpoint| first.node_endpoints.iter().any(|other| other.node_id == node.node_id);
        let nodes: Vec<_> = later.node_endpoints.into_iter().filter(|node| !known(node)).collect();
        first.node_endpoints.extend(nodes);
        first.responses.extend(later.responses);
    }
}

/// A transactional producer needs its id; records say whether they are transactional.
///
/// Errors: also when a batch is transactional and no id is given: a broker calls that denied.
fn admit_transaction(request: &mut ProduceRequest, ask: &Asking<'_>) -> Result<(), No> {
    let is_transactional = request
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data)
        .any(|partition| partition.records.as_deref().is_some_and(is_transactional));
    match &mut request.transactional_id {
        Some(id) if is_transactional => ask.gate.one(Operation::Write, id),
        // Not transactional after all: a broker does not ask about the id, and neither may it pass as
        // another tenant's.
        Some(id) => ask.gate.rename(Operation::Write, Kind::TransactionalId.at(&mut id.0)),
        None if is_transactional => Err(No::Denied(Resource::TransactionalId)),
        None => Ok(()),
    }
}

/// Whether the first batch carries the transactional bit.
///
/// Source: record batch format 2: attributes stand 21 bytes in, the format's number at byte 16.
fn is_transactional(records: &[u8]) -> bool {
    const ATTRIBUTES_LOW_BYTE_AT: usize = 22;
    const TRANSACTIONAL: u8 = 0b1_0000;
    records.get(MAGIC_AT) == Some(&2)
        && records.get(ATTRIBUTES_LOW_BYTE_AT).is_some_and(|attributes| attributes & TRANSACTIONAL != 0)
}

/// By which names producers call topics, that have several, as long as they number their records.
///
/// Limits: `PRODUCERS_MAX` producers; beyond, who came first is forgotten.
#[derive(Debug, Default)]
pub struct Producers(VecDeque<(i64, Spoken)>);

impl Producers {
    fn names(&mut self, producer: i64) -> &mut Spoken {
        let at = self.0.iter().position(|(known, _)| *known == producer).unwrap_or_else(|| {
            self.0.truncate(PRODUCERS_MAX - 1);
            self.0.push_front((producer, Spoken::default()));
            0
        });
        &mut self.0[at].1
    }
}

/// Takes out the topics that a producer called by another name before, if it numbers its records: under
/// each name it begins at zero, and a broker takes the second beginning for the first one, sent again.
///
/// Source: KIP-98.
fn take_renamed(request: &mut ProduceRequest, ask: &mut Asking<'_>) -> Vec<(TopicProduceData, No)> {
    let gate = ask.gate;
    if !gate.cluster().namespace.has_aliases() {
        return Vec::new();
    }
    let by_id = ask.version >= BY_ID;
    let producers = &mut ask.conversation.producers;
    let is_renamed = |topic: &mut TopicProduceData| {
        let records = topic.partition_data.iter().filter_map(|partition| partition.records.as_deref());
        let Some(producer) = records.filter_map(producer_id).next() else { return false };
        let name = match by_id {
            true => gate.topic_behind(topic.topic_id).map(Virtual::into_inner),
            false => Some(topic.name.0.clone()),
        };
        let Some(name) = name.filter(|name| gate.passes(Operation::Write, Kind::Topic, name)) else {
            return false;
        };
        if gate.keep_name(producers.names(producer), &name) {
            return false;
        }
        gate.note(Operation::Write, Resource::Topic, &name, Cause::TwoNames);
        true
    };
    let renamed = request.topic_data.extract_if(.., is_renamed);
    renamed.map(|topic| (topic, No::TwoNames)).collect()
}

/// The producer of the first batch, if it numbers its records.
///
/// Source: record batch format 2: eight bytes, 43 in.
fn producer_id(records: &[u8]) -> Option<i64> {
    const PRODUCER_ID_AT: usize = 43;
    let id = i64::from_be_bytes(*records.get(PRODUCER_ID_AT..)?.first_chunk()?);
    (records.get(MAGIC_AT) == Some(&2) && id >= 0).then_some(id)
}

fn refuse_topics(response: &mut ProduceResponse, refused: Vec<(TopicProduceData, Refusal)>) {
    response.responses.extend(refused.into_iter().map(|(topic, why)| {
        let partitions = topic.partition_data.iter().map(|partition| {
            PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_error_code(why.code())
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1)
        });
        TopicProduceResponse::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partition_responses(partitions.collect())
    }));
}

/// Where a batch has the number of its format.
const MAGIC_AT: usize = 16;

/// From here on a topic goes by its id (KIP-516).
const BY_ID: i16 = 13;

/// A producer has a connection of its own; what relays others' records has a handful on one.
const PRODUCERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::produce_request::PartitionProduceData;
    use kafka_protocol::messages::produce_response::{
        BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint,
    };
    use kafka_protocol::messages::{TopicName, TransactionalId};

    use super::*;
    use crate::api::testing::{Dialogue, World, said, text as name};

    fn world() -> World {
        World::allowing(&[
            (Operation::Write, Resource::Topic, "orders"),
            (Operation::Write, Resource::Topic, "extra_topic"),
            (Operation::Write, Resource::TransactionalId, "mover"),
        ])
    }

    /// A batch, as far as this file reads one; its records are not numbered.
    fn batch(magic: u8, attributes: u8) -> Bytes {
        let mut batch = vec![0; 61];
        batch[16] = magic;
        batch[22] = attributes;
        batch[43..51].fill(0xff);
        Bytes::from(batch)
    }

    /// A batch of a producer that numbers its records.
    fn numbered(producer: i64) -> Bytes {
        let mut numbered = batch(2, 0).to_vec();
        numbered[43..51].copy_from_slice(&producer.to_be_bytes());
        Bytes::from(numbered)
    }

    fn request(topics: &[&str], records: &Bytes) -> ProduceRequest {
        let topics = topics.iter().map(|topic| {
            let partitions = (0..2).map(|index| {
                PartitionProduceData::default().with_index(index).with_records(Some(records.clone()))
            });
            TopicProduceData::default()
                .with_name(TopicName(name(topic)))
                .with_partition_data(partitions.collect())
        });
        ProduceRequest::default().with_acks(-1).with_topic_data(topics.collect())
    }

    fn response(topics: &[&str]) -> ProduceResponse {
        let topics = topics.iter().map(|topic| {
            TopicProduceResponse::default()
                .with_name(TopicName(name(topic)))
                .with_partition_responses(vec![PartitionProduceResponse::default().with_base_offset(5)])
        });
        ProduceResponse::default().with_responses(topics.collect())
    }

    fn names(request: &ProduceRequest) -> Vec<&str> {
        request.topic_data.iter().map(|topic| topic.name.0.as_str()).collect()
    }

    /// The versions in which a topic goes by its name.
    const BY_NAME: RangeInclusive<i16> = 3..=12;

    #[test]
    fn a_topic_goes_by_its_id_and_an_id_of_anothers_is_nobodys() {
        let world = world();
        let topics = [("my-orders", 1), ("my-secret", 2), ("their-orders", 3), ("my-orders", 4)];
        topics.iter().take(3).for_each(|(name, id)| world.learn(Uuid::from_u128(*id), name));
        let request = request(&["", "", "", ""], &batch(2, 0));
        let mut request = request;
        for (topic, (_, id)) in request.topic_data.iter_mut().zip(topics) {
            topic.topic_id = Uuid::from_u128(id);
        }
        let mut answer = response(&["", ""]);
        for (topic, id) in answer.responses.iter_mut().zip([1, 3]) {
            topic.topic_id = Uuid::from_u128(id);
        }
        let mut world = world;
        let talk = world.talk::<Produce>(13, &request, &answer);
        let sent: Vec<_> = talk.sent().topic_data.iter().map(|topic| topic.topic_id.as_u128()).collect();
        assert_eq!(sent, [1]);
        let seen = talk.seen.responses.iter().map(|topic| {
            let codes: Vec<_> =
                topic.partition_responses.iter().map(|partition| partition.error_code).collect();
            (topic.topic_id.as_u128(), codes)
        });
        let expected = [(1, vec![0]), (2, vec![29, 29]), (3, vec![100, 100]), (4, vec![100, 100])];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_topic_is_answered_for_by_the_name_or_the_id_that_its_producer_said() {
        let id = Uuid::from_u128(1);
        let aliased = || {
            let rights = [(Operation::Write, Resource::Topic, "*")];
            let world = World::allowing(&rights).with_alias("alias", "orders");
            world.learn(id, "my-orders");
            world
        };
        let alias_id = crate::cluster::TopicIds::default().learn_alias(id, "alias");
        let codes = |talk: &Dialogue<Produce>| -> Vec<_> {
            let topics = talk.seen.responses.iter();
            topics
                .map(|topic| {
                    (topic.name.to_string(), topic.topic_id, topic.partition_responses[0].error_code)
                })
                .collect()
        };
        for (said, parts, expected) in [
            (["alias", ""], 1, [("alias", 0), ("", 29)]),
            (["orders", "alias"], 2, [("orders", 0), ("alias", 0)]),
            (["alias", "orders"], 2, [("alias", 0), ("orders", 0)]),
        ] {
            let talk =
                aliased().talk::<Produce>(12, &request(&said, &batch(2, 0)), &response(&["my-orders"]));
            assert_eq!(talk.sent.iter().map(names).collect::<Vec<_>>(), vec![vec!["my-orders"]; parts]);
            let expected = expected.map(|(name, code)| (name.to_owned(), Uuid::nil(), code));
            assert_eq!(codes(&talk), expected);
        }
        for ids in [[alias_id, id], [id, alias_id]] {
            let mut request = request(&["", ""], &batch(2, 0));
            request.topic_data.iter_mut().zip(ids).for_each(|(topic, id)| topic.topic_id = id);
            let mut answer = response(&[""]);
            answer.responses[0].topic_id = id;
            let talk = aliased().talk::<Produce>(13, &request, &answer);
            let sent = talk.sent.iter().flat_map(|request| &request.topic_data);
            assert_eq!(sent.map(|topic| topic.topic_id).collect::<Vec<_>>(), [id, id]);
            assert_eq!(codes(&talk), ids.map(|id| (String::new(), id, 0)));
        }
    }

    #[test]
    fn a_producer_that_numbers_its_records_calls_a_topic_by_one_name() {
        let rights =
            [(Operation::Write, Resource::Topic, "orders"), (Operation::Write, Resource::Topic, "alias")];
        let mut world = World::allowing(&rights).with_alias("alias", "orders").with_alias("secret", "orders");
        let mut code = |name: &str, producer: i64| {
            let records = numbered(producer);
            let talk = world.talk::<Produce>(9, &request(&[name], &records), &response(&["my-orders"]));
            assert_eq!(talk.denials.is_empty(), !talk.sent.is_empty(), "{name} {producer}");
            talk.seen.responses[0].partition_responses[0].error_code
        };
        let said = [
            ("secret", 7, 29), // who may not write under a name has not called the topic so
            ("alias", 7, 0),
            ("alias", 7, 0),
            ("orders", 7, 42),
            ("orders", 8, 0),
            ("orders", -1, 0),
            ("alias", -1, 0),
        ];
        for (name, producer, expected) in said {
            assert_eq!(code(name, producer), expected, "{name} {producer}");
        }
        (100..100 + i64::try_from(PRODUCERS_MAX).unwrap())
            .for_each(|other| assert_eq!(code("alias", other), 0));
        assert_eq!((code("orders", 7), code("orders", 101)), (0, 42), "the oldest is forgotten");
        let both =
            world.talk::<Produce>(9, &request(&["orders", "alias"], &numbered(9)), &response(&["my-orders"]));
        assert_eq!(both.seen.responses[1].partition_responses[0].error_code, 42);
    }

    /// The topics of an answer, with the code of each partition.
    fn codes(response: &ProduceResponse) -> Vec<(&str, Vec<i16>)> {
        let topics = response.responses.iter().map(|topic| {
            let codes = topic.partition_responses.iter().map(|partition| partition.error_code);
            (topic.name.0.as_str(), codes.collect())
        });
        topics.collect()
    }

    #[test]
    fn a_refused_topic_is_answered_for_while_the_rest_goes_through() {
        for version in BY_NAME {
            let talk = world().talk::<Produce>(
                version,
                &request(&["secret", "orders", "extra_topic"], &batch(2, 0)),
                &response(&["my-orders", "extra_topic", "their-orders"]),
            );
            assert_eq!(names(talk.sent()), ["my-orders", "extra_topic"]);
            assert_eq!(talk.sent().topic_data[0].partition_data[1].records, Some(batch(2, 0)));
            let expected = [("orders", vec![0]), ("extra_topic", vec![0]), ("secret", vec![29, 29])];
            assert_eq!(codes(&talk.seen), expected);
            let refused = &talk.seen.responses[2].partition_responses[1];
            assert_eq!((refused.index, refused.base_offset), (1, -1));
            assert_eq!(talk.denials.len(), 1);
        }
    }

    #[test]
    fn a_request_of_refused_topics_is_answered_here() {
        let talk =
            world().talk::<Produce>(12, &request(&["secret", ""], &batch(2, 0)), &response(&["my-orders"]));
        assert!(talk.sent.is_empty());
        assert_eq!(codes(&talk.seen), [("secret", vec![29, 29]), ("", vec![29, 29])]);
    }

    #[test]
    fn of_a_refused_topic_without_partitions_nothing_is_said() {
        let mut request = request(&["secret", "orders"], &batch(2, 0));
        request.topic_data[0].partition_data.clear();
        let talk = world().talk::<Produce>(9, &request, &response(&["my-orders"]));
        assert_eq!(codes(&talk.seen), [("orders", vec![0])]);
        assert_eq!(unanswered(request), (Some(vec!["my-orders".to_owned()]), false));
    }

    /// What goes on of a request that nobody answers, and whether the connection closes.
    fn unanswered(request: ProduceRequest) -> (Option<Vec<String>>, bool) {
        let mut world = world();
        let mut conversation = std::mem::take(&mut world.conversation);
        let gate = world.gate();
        let mut ask = Asking {
            gate: &gate,
            version: 9,
            conversation: &mut conversation,
            topics: None,
            internal_topics: None,
        };
        match Produce::admit(request.with_acks(0), &mut ask) {
            Ok(Pass::Unanswered { request, close }) => {
                let request = request.map(|request| said(&request, 9));
                (request.map(|request| names(&request).into_iter().map(str::to_owned).collect()), close)
            }
            _ => panic!("a request without acks is never answered"),
        }
    }

    #[test]
    fn without_acks_a_refusal_closes_the_connection_and_the_rest_goes_through() {
        let sent = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        for (topics, expected) in [
            (&["orders"][..], (sent(&["my-orders"]), false)),
            (&["orders", "secret"], (sent(&["my-orders"]), true)),
            (&["secret"], (None, true)),
            (&[], (sent(&[]), false)),
        ] {
            assert_eq!(unanswered(request(topics, &batch(2, 0))), expected, "{topics:?}");
        }
        assert_eq!(unanswered(request(&["orders"], &batch(2, 0b1_0000))), (None, true));
    }

    /// Produces transactionally or not, by an id or by none; what goes on as the id, and the code.
    fn check_transaction(id: Option<&str>, records: &Bytes, expected: (Option<&str>, i16)) {
        for version in BY_NAME {
            let request = request(&["orders"], records);
            let request = request.with_transactional_id(id.map(|id| TransactionalId(name(id))));
            let talk = world().talk::<Produce>(version, &request, &response(&["my-orders"]));
            let sent = talk.sent.first().and_then(|sent| sent.transactional_id.as_ref());
            let code = codes(&talk.seen)[0].1[0];
            assert_eq!((sent.map(|id| id.0.as_str()), code), expected, "{id:?} in version {version}");
        }
    }

    #[test]
    fn records_of_a_transaction_need_the_right_to_its_id() {
        let transactional = batch(2, 0b1_0001);
        check_transaction(Some("mover"), &transactional, (Some("my-mover"), 0));
        check_transaction(Some("other"), &transactional, (None, 53));
        check_transaction(Some(""), &transactional, (None, 53));
        check_transaction(None, &transactional, (None, 53));
    }

    #[test]
    fn an_id_without_a_transaction_is_renamed_and_needs_no_right() {
        check_transaction(None, &batch(2, 0b0_1111), (None, 0));
        check_transaction(Some("other"), &batch(2, 0), (Some("my-other"), 0));
        check_transaction(Some("other"), &batch(1, 0b1_0000), (Some("my-other"), 0));
        check_transaction(Some("other"), &Bytes::from_static(b"short"), (Some("my-other"), 0));
        check_transaction(Some(""), &batch(2, 0), (None, 53));
    }

    #[test]
    fn what_a_broker_says_of_records_names_no_backend_topic() {
        for version in 8..=12 {
            let mut answer = response(&["my-orders"]);
            answer.responses[0].partition_responses = vec![
                PartitionProduceResponse::default()
                    .with_error_code(87)
                    .with_error_message(Some(name("my-orders is wrong")))
                    .with_record_errors(vec![
                        BatchIndexAndErrorMessage::default()
                            .with_batch_index_error_message(Some(name("my-orders is wrong"))),
                    ]),
            ];
            let talk = world().talk::<Produce>(version, &request(&["orders"], &batch(2, 0)), &answer);
            let partition = &talk.seen.responses[0].partition_responses[0];
            assert_eq!(partition.error_message, standard_text(87));
            assert_eq!(partition.record_errors[0].batch_index_error_message, standard_text(87));
        }
    }

    #[test]
    fn a_new_leader_is_named_only_with_a_door() {
        for version in 10..=12 {
            let mut answer = response(&["my-orders"]);
            answer.responses[0].partition_responses = [1, 3]
                .map(|node| {
                    let leader =
                        LeaderIdAndEpoch::default().with_leader_id(BrokerId(node)).with_leader_epoch(7);
                    PartitionProduceResponse::default().with_error_code(6).with_current_leader(leader)
                })
                .to_vec();
            answer.node_endpoints = [1, 3]
                .map(|node| {
                    NodeEndpoint::default()
                        .with_node_id(BrokerId(node))
                        .with_host(name("kafka"))
                        .with_port(9092)
                })
                .to_vec();
            let talk = world().talk::<Produce>(version, &request(&["orders"], &batch(2, 0)), &answer);
            let leaders = talk.seen.responses[0].partition_responses.iter();
            let leaders: Vec<_> = leaders
                .map(|partition| {
                    (partition.current_leader.leader_id.0, partition.current_leader.leader_epoch)
                })
                .collect();
            assert_eq!(leaders, [(1, 7), (-1, -1)]);
            let [node] = &talk.seen.node_endpoints[..] else { panic!("{:?}", talk.seen.node_endpoints) };
            assert_eq!((node.node_id.0, node.host.as_str(), node.port), (1, "gateway", 19093));
        }
    }
}
