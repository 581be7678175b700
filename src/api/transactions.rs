//! What a transactional producer says: who it is, what its transaction has, how it ends.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId, TopicName,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::parts::Parting;
use super::{Api, Asking, Pass, Refusal, Showing, put_first};
use crate::cluster::No;
use crate::names::Kind;
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// A producer's id and epoch, for idempotent and transactional writes.
pub struct InitProducerId;

impl Api for InitProducerId {
    type Request = InitProducerIdRequest;
    type Response = InitProducerIdResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::InitProducerId;
    /// 6 is unstable: two-phase commit (KIP-939).
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn admit(mut request: InitProducerIdRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        match &mut request.transactional_id {
            Some(id) => ask.gate.one(Operation::Write, id)?,
            // A new producer has no topic yet: the right to write to any will do.
            None if ask.gate.grants_cluster(Operation::IdempotentWrite) => {}
            None => {
                ask.gate.ask_any(Operation::Write, Resource::Topic).map_err(|_| Refusal::ClusterDenied)?
            }
        }
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(_response: &mut InitProducerIdResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(_request: InitProducerIdRequest, why: Refusal, _version: i16) -> InitProducerIdResponse {
        InitProducerIdResponse::default()
            .with_error_code(why.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    }
}

/// The partitions that a transaction is about to write to.
pub struct AddPartitionsToTxn;

/// Where nothing is added: each topic, and why not.
type NotAdded = Vec<(AddPartitionsToTxnTopic, Refusal)>;

impl Api for AddPartitionsToTxn {
    type Request = AddPartitionsToTxnRequest;
    type Response = AddPartitionsToTxnResponse;
    type Aside = NotAdded;

    const KEY: ApiKey = ApiKey::AddPartitionsToTxn;
    /// From 4 on brokers speak among themselves (KIP-890), and nobody asks about topics any more.
    const VERSIONS: RangeInclusive<i16> = 0..=3;

    /// One topic that is refused keeps all others out of the transaction, whichever part they would be in.
    fn part(
        request: &mut AddPartitionsToTxnRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<AddPartitionsToTxnRequest> {
        let topics = &mut request.v3_and_below_topics;
        if !topics.iter().all(|topic| names.gate.passes(Operation::Write, Kind::Topic, &topic.name.0)) {
            return None;
        }
        let others = names.topics(topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_v3_and_below_topics(others))
    }

    fn admit(mut request: AddPartitionsToTxnRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Write, &mut request.v3_and_below_transactional_id)?;
        let said = request.v3_and_below_topics.clone();
        let refused = ask
            .gate
            .each_topic(Operation::Write, &mut request.v3_and_below_topics, |topic| (&mut topic.name).into());
        if refused.is_empty() {
            return Ok(Pass::Forward(request, Vec::new()));
        }
        // A second name is refused where the first would pass, and nothing passes beside what is denied.
        let denied = refused.iter().any(|(_, no)| *no != No::TwoNames);
        let refused = refused.into_iter().filter(|(_, no)| !denied || *no != No::TwoNames);
        let refused: HashMap<TopicName, No> = refused.map(|(topic, no)| (topic.name, no)).collect();
        let not_added = said.into_iter().map(|topic| {
            let why = refused.get(&topic.name).map_or(Refusal::NotAttempted, |no| (*no).into());
            (topic, why)
        });
        Ok(Pass::Answer(not_added.collect()))
    }

    fn reveal(response: &mut AddPartitionsToTxnResponse, not_added: NotAdded, show: &Showing<'_>) {
        show.lens.echoed(&mut response.results_by_topic_v3_and_below, |topic| (&mut topic.name).into());
        response.results_by_topic_v3_and_below.extend(not_added.into_iter().map(without_partitions));
    }

    fn refuse(request: AddPartitionsToTxnRequest, why: Refusal, _version: i16) -> AddPartitionsToTxnResponse {
        let topics = request.v3_and_below_topics.into_iter().map(|topic| without_partitions((topic, why)));
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
    }

    fn join(first: &mut AddPartitionsToTxnResponse, later: AddPartitionsToTxnResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.results_by_topic_v3_and_below.extend(later.results_by_topic_v3_and_below);
    }
}

fn without_partitions((topic, why): (AddPartitionsToTxnTopic, Refusal)) -> AddPartitionsToTxnTopicResult {
    let partitions = topic.partitions.iter().map(|index| {
        AddPartitionsToTxnPartitionResult::default()
            .with_partition_index(*index)
            .with_partition_error_code(why.code())
    });
    AddPartitionsToTxnTopicResult::default()
        .with_results_by_partition(partitions.collect())
        .with_name(topic.name)
}

/// The group whose offsets a transaction is about to commit.
pub struct AddOffsetsToTxn;

impl Api for AddOffsetsToTxn {
    type Request = AddOffsetsToTxnRequest;
    type Response = AddOffsetsToTxnResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::AddOffsetsToTxn;
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    fn admit(mut request: AddOffsetsToTxnRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Write, &mut request.transactional_id)?;
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(_response: &mut AddOffsetsToTxnResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(_request: AddOffsetsToTxnRequest, why: Refusal, _version: i16) -> AddOffsetsToTxnResponse {
        AddOffsetsToTxnResponse::default().with_error_code(why.code())
    }
}

/// A transaction is committed or aborted.
pub struct EndTxn;

impl Api for EndTxn {
    type Request = EndTxnRequest;
    type Response = EndTxnResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::EndTxn;
    /// 5 hands the producer its next epoch (KIP-890).
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn admit(mut request: EndTxnRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Write, &mut request.transactional_id)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(_response: &mut EndTxnResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(_request: EndTxnRequest, why: Refusal, _version: i16) -> EndTxnResponse {
        EndTxnResponse::default().with_error_code(why.code())
    }
}

/// A group notes how far it has read, once the transaction is committed.
pub struct TxnOffsetCommit;

impl Api for TxnOffsetCommit {
    type Request = TxnOffsetCommitRequest;
    type Response = TxnOffsetCommitResponse;
    type Aside = Vec<TxnOffsetCommitRequestTopic>;

    const KEY: ApiKey = ApiKey::TxnOffsetCommit;
    /// From 6 on a topic goes by its id, which the codec does not know yet.
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn part(
        request: &mut TxnOffsetCommitRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<TxnOffsetCommitRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(mut request: TxnOffsetCommitRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Write, &mut request.transactional_id)?;
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        let refused = ask.gate.each(Operation::Read, &mut request.topics, |topic| (&mut topic.name).into());
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(
        response: &mut TxnOffsetCommitResponse,
        refused: Vec<TxnOffsetCommitRequestTopic>,
        show: &Showing<'_>,
    ) {
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.name).into());
        let refused = refused.into_iter().map(|topic| uncommitted(topic, Refusal::TopicDenied));
        put_first(&mut response.topics, refused);
    }

    fn refuse(request: TxnOffsetCommitRequest, why: Refusal, _version: i16) -> TxnOffsetCommitResponse {
        let refused = request.topics.into_iter().map(|topic| uncommitted(topic, why));
        TxnOffsetCommitResponse::default().with_topics(refused.collect())
    }

    fn join(first: &mut TxnOffsetCommitResponse, later: TxnOffsetCommitResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.topics.extend(later.topics);
    }
}

fn uncommitted(topic: TxnOffsetCommitRequestTopic, why: Refusal) -> TxnOffsetCommitResponseTopic {
    let partitions = topic.partitions.iter().map(|partition| {
        TxnOffsetCommitResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(why.code())
    });
    TxnOffsetCommitResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TransactionalId;
    use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;

    use super::*;
    use crate::api::testing::{World, text};
    use crate::names::Mode;

    type Right = (Operation, Resource, &'static str);

    const ANY_WRITE: Right = (Operation::Write, Resource::Topic, "*");
    const MOVER: Right = (Operation::Write, Resource::TransactionalId, "mover");

    fn id(id: &str) -> TransactionalId {
        TransactionalId(text(id))
    }

    /// Initialises a producer; what goes on as its id, and the code that it reads.
    fn check(allowed: &[Right], denied: &[Right], id: Option<&str>, expected: Result<Option<&str>, i16>) {
        for version in InitProducerId::VERSIONS {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(id.map(|id| TransactionalId(text(id))));
            let answer = InitProducerIdResponse::default().with_producer_id(ProducerId(5));
            let talk = World::with(Mode::HidePrefix, allowed, denied)
                .talk::<InitProducerId>(version, &request, &answer);
            let seen = match talk.sent.first() {
                Some(sent) => {
                    assert_eq!(talk.seen, answer);
                    Ok(sent.transactional_id.as_ref().map(|id| id.0.as_str()))
                }
                None => {
                    assert_eq!((talk.seen.producer_id.0, talk.seen.producer_epoch), (-1, -1));
                    Err(talk.seen.error_code)
                }
            };
            assert_eq!(seen, expected, "{id:?} in version {version}");
        }
    }

    #[test]
    fn a_transactional_producer_needs_the_right_to_its_id() {
        check(&[MOVER], &[], Some("mover"), Ok(Some("my-mover")));
        check(&[MOVER], &[], Some("other"), Err(53));
        check(&[MOVER], &[], Some(""), Err(53));
        check(&[ANY_WRITE], &[], Some("mover"), Err(53));
    }

    #[test]
    fn an_idempotent_producer_needs_some_topic_to_write_to() {
        check(&[(Operation::Write, Resource::Topic, "orders-*")], &[], None, Ok(None));
        check(&[(Operation::IdempotentWrite, Resource::Cluster, "kafka-cluster")], &[], None, Ok(None));
        check(&[(Operation::Read, Resource::Topic, "*")], &[], None, Err(31));
        check(&[ANY_WRITE], &[ANY_WRITE], None, Err(31));
    }

    fn world() -> World {
        World::allowing(&[
            MOVER,
            (Operation::Write, Resource::Topic, "orders"),
            (Operation::Read, Resource::Topic, "orders"),
            (Operation::Write, Resource::Topic, "extra_topic"),
            (Operation::Read, Resource::Topic, "invoices"),
            (Operation::Read, Resource::Group, "readers"),
        ])
    }

    fn adding(producer: &str, topics: &[&str]) -> AddPartitionsToTxnRequest {
        let topics = topics.iter().map(|topic| {
            AddPartitionsToTxnTopic::default().with_name(text(topic).into()).with_partitions(vec![0, 7])
        });
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id(producer))
            .with_v3_and_below_topics(topics.collect())
    }

    fn added(topics: &[(&str, i16)]) -> AddPartitionsToTxnResponse {
        let topics = topics.iter().map(|(topic, code)| {
            let partitions = [0, 7].map(|index| {
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(index)
                    .with_partition_error_code(*code)
            });
            AddPartitionsToTxnTopicResult::default()
                .with_name(text(topic).into())
                .with_results_by_partition(partitions.into())
        });
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
    }

    /// Adds topics to a transaction; what goes on to the broker, and the code of each topic.
    fn check_added(producer: &str, topics: &[&str], sent: Option<&[&str]>, seen: &[(&str, i16)]) {
        for version in AddPartitionsToTxn::VERSIONS {
            let taken: Vec<_> = sent.unwrap_or_default().iter().map(|topic| (*topic, 0)).collect();
            let talk = world().talk::<AddPartitionsToTxn>(version, &adding(producer, topics), &added(&taken));
            let expected: Vec<_> =
                sent.iter().map(|topics| adding(&format!("my-{producer}"), topics)).collect();
            assert_eq!(talk.sent, expected, "{topics:?} in version {version}");
            assert_eq!(talk.seen, added(seen), "{topics:?} in version {version}");
        }
    }

    #[test]
    fn a_topic_that_is_refused_keeps_all_others_out_of_the_transaction() {
        let both = [("orders", 0), ("extra_topic", 0)];
        check_added("mover", &["orders", "extra_topic"], Some(&["my-orders", "extra_topic"]), &both);
        let seen = [("orders", 55), ("invoices", 29), ("extra_topic", 55), ("secret", 29)];
        check_added("mover", &["orders", "invoices", "extra_topic", "secret"], None, &seen);
        check_added("other", &["orders", "secret"], None, &[("orders", 53), ("secret", 53)]);
        check_added("", &["orders"], None, &[("orders", 53)]);
        check_added("mover", &[], Some(&[]), &[]);
    }

    #[test]
    fn a_topic_is_added_to_a_transaction_by_each_of_its_names_or_by_none() {
        let world = |rights: &[Right]| {
            let mover = (Operation::Write, Resource::TransactionalId, "mover");
            World::allowing(&[rights, &[mover]].concat()).with_alias("sales", "orders")
        };
        let (orders, sales) =
            ((Operation::Write, Resource::Topic, "orders"), (Operation::Write, Resource::Topic, "sales"));
        let answer = added(&[("my-orders", 0)]);
        for (rights, parts, codes) in
            [(&[orders, sales][..], 2, [0, 0]), (&[orders], 0, [55, 29]), (&[sales], 0, [29, 55])]
        {
            let talk =
                world(rights).talk::<AddPartitionsToTxn>(3, &adding("mover", &["orders", "sales"]), &answer);
            assert_eq!(talk.sent, vec![adding("my-mover", &["my-orders"]); parts]);
            assert_eq!(talk.seen, added(&[("orders", codes[0]), ("sales", codes[1])]));
        }
    }

    #[test]
    fn the_offsets_of_a_group_need_the_id_and_the_group() {
        for (producer, group, code) in [
            ("mover", "readers", 0),
            ("other", "readers", 53),
            ("mover", "watched", 30),
            ("other", "watched", 53),
            ("", "readers", 53),
            ("mover", "", 30),
        ] {
            for version in AddOffsetsToTxn::VERSIONS {
                let request = |prefix: &str| {
                    AddOffsetsToTxnRequest::default()
                        .with_transactional_id(id(&format!("{prefix}{producer}")))
                        .with_group_id(text(&format!("{prefix}{group}")).into())
                };
                let answer = AddOffsetsToTxnResponse::default();
                let talk = world().talk::<AddOffsetsToTxn>(version, &request(""), &answer);
                let expected = if code == 0 { vec![request("my-")] } else { vec![] };
                assert_eq!((talk.sent, talk.seen.error_code), (expected, code), "{producer:?} {group:?}");
            }
        }
    }

    #[test]
    fn who_ends_a_transaction_needs_its_id() {
        for (producer, code) in [("mover", 0), ("other", 53), ("", 53)] {
            for version in EndTxn::VERSIONS {
                let request = |id: &str| {
                    EndTxnRequest::default().with_transactional_id(text(id).into()).with_committed(true)
                };
                let epoch = if version >= 5 { 3 } else { -1 };
                let answer = EndTxnResponse::default().with_producer_epoch(epoch);
                let talk = world().talk::<EndTxn>(version, &request(producer), &answer);
                if code == 0 {
                    assert_eq!(talk.sent(), &request("my-mover"));
                    assert_eq!(talk.seen, answer);
                } else {
                    assert_eq!(talk.sent, []);
                    assert_eq!(talk.seen, EndTxnResponse::default().with_error_code(code));
                }
            }
        }
    }

    fn commit(producer: &str, group: &str, topics: &[&str]) -> TxnOffsetCommitRequest {
        let topics = topics.iter().map(|topic| {
            let partition = |index| TxnOffsetCommitRequestPartition::default().with_partition_index(index);
            TxnOffsetCommitRequestTopic::default()
                .with_name(text(topic).into())
                .with_partitions(vec![partition(0), partition(7)])
        });
        TxnOffsetCommitRequest::default()
            .with_transactional_id(id(producer))
            .with_group_id(text(group).into())
            .with_topics(topics.collect())
    }

    fn committed(topics: &[(&str, i16)]) -> TxnOffsetCommitResponse {
        let topics = topics.iter().map(|(topic, code)| {
            let partitions = [0, 7].map(|index| {
                TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(*code)
            });
            TxnOffsetCommitResponseTopic::default()
                .with_name(text(topic).into())
                .with_partitions(partitions.into())
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    /// What a commit of these topics is answered when the broker takes all that it gets.
    fn check_commit(who: (&str, &str), topics: &[&str], sent: Option<&[&str]>, seen: &[(&str, i16)]) {
        let (producer, group) = who;
        for version in TxnOffsetCommit::VERSIONS {
            let taken: Vec<_> = sent.unwrap_or_default().iter().map(|topic| (*topic, 0)).collect();
            let request = commit(producer, group, topics);
            let talk = world().talk::<TxnOffsetCommit>(version, &request, &committed(&taken));
            let renamed =
                |topics: &&[&str]| commit(&format!("my-{producer}"), &format!("my-{group}"), topics);
            let expected: Vec<_> = sent.iter().map(renamed).collect();
            assert_eq!(talk.sent, expected, "{who:?} {topics:?} in version {version}");
            assert_eq!(talk.seen, committed(seen), "{who:?} {topics:?} in version {version}");
        }
    }

    #[test]
    fn a_topic_that_may_not_be_read_is_answered_for_while_the_rest_is_committed() {
        let (mover, other) = (("mover", "readers"), ("other", "readers"));
        let seen = [("payments", 29), ("orders", 0)];
        check_commit(mover, &["payments", "orders"], Some(&["my-orders"]), &seen);
        check_commit(mover, &["payments"], None, &[("payments", 29)]);
        check_commit(mover, &[], Some(&[]), &[]);
        check_commit(other, &["orders", "payments"], None, &[("orders", 53), ("payments", 53)]);
        check_commit(
            ("mover", "watched"),
            &["orders", "payments"],
            None,
            &[("orders", 30), ("payments", 30)],
        );
        check_commit(("", "readers"), &["orders"], None, &[("orders", 53)]);
        check_commit(("mover", ""), &["orders"], None, &[("orders", 30)]);
    }

    #[test]
    fn what_the_broker_says_of_others_topics_is_not_told() {
        let answer = added(&[("my-orders", 0), ("their-orders", 0)]);
        let talk = world().talk::<AddPartitionsToTxn>(3, &adding("mover", &["orders"]), &answer);
        assert_eq!(talk.seen, added(&[("orders", 0)]));
        let answer = committed(&[("my-orders", 0), ("their-orders", 0)]);
        let talk = world().talk::<TxnOffsetCommit>(5, &commit("mover", "readers", &["orders"]), &answer);
        assert_eq!(talk.seen, committed(&[("orders", 0)]));
    }
}
