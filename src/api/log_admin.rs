//! The logs of partitions as an administrator sees them.

use std::ops::RangeInclusive;

use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, TopicResponse};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeProducersRequest, DescribeProducersResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::parts::Parting;
use super::{Api, Asking, Pass, Refusal, Showing, put_back, standard_text};
use crate::cluster::Cause;
use crate::names::{InvalidName, Kind};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;
use crate::wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

/// Partitions forget their records up to an offset.
pub struct DeleteRecords;

impl Api for DeleteRecords {
    type Request = DeleteRecordsRequest;
    type Response = DeleteRecordsResponse;
    type Aside = Vec<(DeleteRecordsTopic, Refusal)>;

    const KEY: ApiKey = ApiKey::DeleteRecords;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn part(
        request: &mut DeleteRecordsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<DeleteRecordsRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(mut request: DeleteRecordsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut refused = Vec::new();
        request.topics.retain_mut(|topic| match admit_deletion(ask, &mut topic.name) {
            Ok(()) => true,
            Err(why) => {
                refused.push((std::mem::take(topic), why));
                false
            }
        });
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut DeleteRecordsResponse, refused: Self::Aside, show: &Showing<'_>) {
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.name).into());
        // Brokers answer for partitions, and not for a topic without any.
        let refused = refused.into_iter().filter(|(topic, _)| !topic.partitions.is_empty());
        response.topics.extend(refused.map(undeleted));
    }

    fn refuse(request: DeleteRecordsRequest, why: Refusal, _version: i16) -> DeleteRecordsResponse {
        let refused = request.topics.into_iter().map(|topic| undeleted((topic, why)));
        DeleteRecordsResponse::default().with_topics(refused.collect())
    }

    fn join(first: &mut DeleteRecordsResponse, later: DeleteRecordsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.topics.extend(later.topics);
    }
}

/// Who shares a topic does not empty it: that would be to delete it by halves.
fn admit_deletion(ask: &Asking<'_>, name: &mut TopicName) -> Result<(), Refusal> {
    if ask.gate.cluster().namespace.is_additional(Kind::Topic, &name.0) {
        ask.gate.ask(Operation::Delete, Resource::Topic, &name.0)?;
        ask.gate.note(Operation::Delete, Resource::Topic, &name.0, Cause::Additional);
        return Err(Refusal::AdditionalTopic);
    }
    Ok(ask.gate.one(Operation::Delete, name)?)
}

fn undeleted((topic, why): (DeleteRecordsTopic, Refusal)) -> DeleteRecordsTopicResult {
    let partitions = topic.partitions.iter().map(|partition| {
        DeleteRecordsPartitionResult::default()
            .with_partition_index(partition.partition_index)
            .with_low_watermark(-1)
            .with_error_code(why.code())
    });
    DeleteRecordsTopicResult::default().with_partitions(partitions.collect()).with_name(topic.name)
}

/// Who is writing to partitions, by the ids of producers.
pub struct DescribeProducers;

impl Api for DescribeProducers {
    type Request = DescribeProducersRequest;
    type Response = DescribeProducersResponse;
    /// Each with its place in the request.
    type Aside = Vec<(usize, TopicRequest, Refusal)>;

    const KEY: ApiKey = ApiKey::DescribeProducers;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn part(
        request: &mut DescribeProducersRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<DescribeProducersRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(mut request: DescribeProducersRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut refused = Vec::new();
        let mut places = 0..;
        request.topics.retain_mut(|topic| {
            let place = places.next().unwrap_or_default();
            let verdict = admit_look(ask, &mut topic.name);
            refused.extend(verdict.err().map(|why| (place, std::mem::take(topic), why)));
            verdict.is_ok()
        });
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut DescribeProducersResponse, refused: Self::Aside, show: &Showing<'_>) {
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.name).into());
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let text = partition.error_message.take();
            partition.error_message = text.and_then(|_| standard_text(partition.error_code));
        }
        let refused = refused.into_iter().map(|(place, topic, why)| (place, unseen((topic, why))));
        put_back(&mut response.topics, refused);
    }

    fn refuse(request: DescribeProducersRequest, why: Refusal, _version: i16) -> DescribeProducersResponse {
        let refused = request.topics.into_iter().map(|topic| unseen((topic, why)));
        DescribeProducersResponse::default().with_topics(refused.collect())
    }

    fn join(first: &mut DescribeProducersResponse, later: DescribeProducersResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.topics.extend(later.topics);
    }
}

/// A broker looks at the name before it looks at the rights.
fn admit_look(ask: &Asking<'_>, name: &mut TopicName) -> Result<(), Refusal> {
    match ask.gate.cluster().namespace.check(Kind::Topic, &name.0) {
        Ok(()) | Err(InvalidName::Internal | InvalidName::OutsidePrefix) => {}
        Err(why) => return Err(Refusal::InvalidTopic(why)),
    }
    Ok(ask.gate.one(Operation::Read, name)?)
}

fn unseen((topic, why): (TopicRequest, Refusal)) -> TopicResponse {
    let partitions = topic.partition_indexes.iter().map(|index| {
        PartitionResponse::default()
            .with_partition_index(*index)
            .with_error_code(why.code())
            .with_error_message(standard_text(why.code()))
    });
    TopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
}

/// How large partitions are on each disk of a broker.
///
/// Which disks there are, how full, and whether they take more, is the backend's own: each is shown
/// without its path and its sizes, with what this virtual cluster has on it.
pub struct DescribeLogDirs;

impl Api for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    type Response = DescribeLogDirsResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const VERSIONS: RangeInclusive<i16> = 1..=5;

    fn part(
        request: &mut DescribeLogDirsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<DescribeLogDirsRequest> {
        let others = names.topics(request.topics.as_mut()?, |topic| (&mut topic.topic).into())?;
        Some(request.clone().with_topics(Some(others)))
    }

    /// Where no topic is named the broker tells of all, and those of others are taken from the answer.
    fn admit(mut request: DescribeLogDirsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_cluster(Operation::Describe)?;
        if let Some(topics) = &mut request.topics {
            // A broker is silent of a topic that it does not have.
            topics
                .retain_mut(|topic| ask.gate.rename(Operation::Describe, (&mut topic.topic).into()).is_ok());
        }
        Ok(Pass::Forward(request, ()))
    }

    /// The right to describe the cluster is all that is asked for, as with a broker.
    fn reveal(response: &mut DescribeLogDirsResponse, (): (), show: &Showing<'_>) {
        response.results.sort_by(|one, other| one.log_dir.cmp(&other.log_dir));
        for (place, directory) in response.results.iter_mut().enumerate() {
            // Clients tell directories apart by their paths.
            directory.log_dir = StrBytes::from_string(format!("/disk-{}", place + 1));
            (directory.total_bytes, directory.usable_bytes) = (UNKNOWN_BYTES, UNKNOWN_BYTES);
            directory.is_cordoned = false; // said from version 5 on
            show.lens.echoed(&mut directory.topics, |topic| (&mut topic.name).into());
        }
    }

    /// Before version 3 there is no place for the code, and a broker shows no directories.
    fn refuse(_request: DescribeLogDirsRequest, why: Refusal, version: i16) -> DescribeLogDirsResponse {
        let code = if version >= 3 { why.code() } else { 0 };
        DescribeLogDirsResponse::default().with_error_code(code)
    }

    fn join(first: &mut DescribeLogDirsResponse, later: DescribeLogDirsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            first.error_code = later.error_code;
        }
        for directory in later.results {
            match first.results.iter_mut().find(|known| known.log_dir == directory.log_dir) {
                Some(known) => known.topics.extend(directory.topics),
                None => first.results.push(directory),
            }
        }
    }
}

/// As a broker says it that does not know.
const UNKNOWN_BYTES: i64 = -1;

#[cfg(test)]
mod tests {
    use crate::wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
    use crate::wire::messages::describe_log_dirs_response::{DescribeLogDirsResult, DescribeLogDirsTopic};
    use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
    use kafka_protocol::messages::describe_producers_response::ProducerState;

    use super::*;
    use crate::api::testing::{World, said, text};

    fn world() -> World {
        World::allowing(&[
            (Operation::Delete, Resource::Topic, "orders"),
            (Operation::Delete, Resource::Topic, "extra_topic"),
            (Operation::Read, Resource::Topic, "watched"),
            (Operation::Read, Resource::Topic, "extra_topic"),
            (Operation::Read, Resource::Topic, ".."),
        ])
    }

    fn deletion(topics: &[&str]) -> DeleteRecordsRequest {
        let partitions =
            [0, 7].map(|index| DeleteRecordsPartition::default().with_partition_index(index).with_offset(5));
        let topics = topics.iter().map(|topic| {
            DeleteRecordsTopic::default().with_name(text(topic).into()).with_partitions(partitions.to_vec())
        });
        DeleteRecordsRequest::default().with_topics(topics.collect()).with_timeout_ms(1000)
    }

    fn deleted(topic: &str, code: i16, low_watermark: i64) -> DeleteRecordsTopicResult {
        let partitions = [0, 7].map(|index| {
            DeleteRecordsPartitionResult::default()
                .with_partition_index(index)
                .with_low_watermark(low_watermark)
                .with_error_code(code)
        });
        DeleteRecordsTopicResult::default().with_name(text(topic).into()).with_partitions(partitions.to_vec())
    }

    #[test]
    fn a_topic_that_may_not_be_deleted_keeps_its_records_while_others_lose_theirs() {
        for version in DeleteRecords::VERSIONS {
            let answer = vec![deleted("my-orders", 0, 5), deleted("their-orders", 0, 5)];
            let answer = DeleteRecordsResponse::default().with_topics(answer);
            let request = deletion(&["watched", "orders"]);
            let talk = world().talk::<DeleteRecords>(version, &request, &answer);
            assert_eq!(talk.sent(), &deletion(&["my-orders"]));
            assert_eq!(talk.seen.topics, [deleted("orders", 0, 5), deleted("watched", 29, -1)]);

            let talk = world().talk::<DeleteRecords>(version, &deletion(&["watched"]), &answer);
            assert_eq!(talk.sent.len(), 0);
            assert_eq!(talk.seen.topics, [deleted("watched", 29, -1)]);
            assert_eq!(talk.denials.len(), 1);
        }
    }

    #[test]
    fn who_shares_a_topic_does_not_empty_it() {
        let request = deletion(&["extra_topic"]);
        for (mut world, code) in [(world(), 44), (World::allowing(&[]), 29)] {
            let talk = world.talk::<DeleteRecords>(2, &request, &DeleteRecordsResponse::default());
            assert_eq!((talk.sent.len(), talk.denials.len()), (0, 1));
            assert_eq!(talk.seen.topics, [deleted("extra_topic", code, -1)]);
        }
    }

    fn look(topics: &[&str]) -> DescribeProducersRequest {
        let topics = topics.iter().map(|topic| {
            TopicRequest::default().with_name(text(topic).into()).with_partition_indexes(vec![0, 7])
        });
        DescribeProducersRequest::default().with_topics(topics.collect())
    }

    fn looked(topic: &str, code: i16, message: Option<&str>) -> TopicResponse {
        let partitions = [0, 7].map(|index| {
            PartitionResponse::default()
                .with_partition_index(index)
                .with_error_code(code)
                .with_error_message(message.map(text))
                .with_active_producers(match code {
                    0 => vec![ProducerState::default().with_producer_id(4711.into())],
                    _ => Vec::new(),
                })
        });
        TopicResponse::default().with_name(text(topic).into()).with_partitions(partitions.to_vec())
    }

    #[test]
    fn the_producers_of_a_topic_are_shown_to_those_who_may_read_it() {
        let answer = vec![
            looked("my-watched", 0, None),
            looked("extra_topic", 3, Some("my-watched is not here")),
            looked("their-orders", 0, None),
        ];
        let answer = DescribeProducersResponse::default().with_topics(answer);
        let request = look(&["orders", "watched", "..", "extra_topic", "a/b"]);
        let talk = world().talk::<DescribeProducers>(0, &request, &answer);
        assert_eq!(talk.sent(), &look(&["my-watched", "extra_topic"]));
        let words = |code| standard_text(code).map(|words| words.to_string());
        let expected = [
            looked("orders", 29, Some("Topic authorization failed.")),
            looked("watched", 0, None),
            looked("..", 17, words(17).as_deref()),
            looked("extra_topic", 3, words(3).as_deref()),
            looked("a/b", 17, words(17).as_deref()),
        ];
        assert_eq!(talk.seen.topics, expected);

        let talk = world().talk::<DescribeProducers>(0, &look(&["orders"]), &answer);
        assert_eq!(talk.sent.len(), 0);
        assert_eq!(talk.seen.topics, [looked("orders", 29, Some("Topic authorization failed."))]);
    }

    const DESCRIBE_CLUSTER: (Operation, Resource, &str) =
        (Operation::Describe, Resource::Cluster, "kafka-cluster");

    fn directory(path: &str, bytes: i64, topics: &[&str]) -> DescribeLogDirsResult {
        let topics = topics.iter().map(|topic| DescribeLogDirsTopic::default().with_name(text(topic).into()));
        DescribeLogDirsResult::default()
            .with_log_dir(text(path))
            .with_topics(topics.collect())
            .with_total_bytes(bytes)
            .with_usable_bytes(bytes)
    }

    fn disks(topics: Option<&[&str]>) -> DescribeLogDirsRequest {
        let topic = |topic: &&str| DescribableLogDirTopic::default().with_topic(text(topic).into());
        DescribeLogDirsRequest::default().with_topics(topics.map(|topics| topics.iter().map(topic).collect()))
    }

    #[test]
    fn disks_are_shown_with_what_is_the_tenants_own_on_them_and_nothing_of_themselves() {
        for version in DescribeLogDirs::VERSIONS {
            let bytes = if version >= 4 { 1 << 40 } else { -1 };
            let full = directory("/var/kafka-b", bytes, &["their-orders"]);
            let answer = DescribeLogDirsResponse::default().with_results(vec![
                full.with_is_cordoned(version >= 5),
                directory("/var/kafka-a", bytes, &["my-orders", "orders", "extra_topic"]),
            ]);
            let named = disks(Some(&["orders", "", "extra_topic"]));
            for (asked, sent) in
                [(disks(None), disks(None)), (named, disks(Some(&["my-orders", "extra_topic"])))]
            {
                let mut world = World::allowing(&[DESCRIBE_CLUSTER]);
                let talk = world.talk::<DescribeLogDirs>(version, &asked, &answer);
                assert_eq!(talk.sent(), &sent);
                let expected =
                    [directory("/disk-1", -1, &["orders", "extra_topic"]), directory("/disk-2", -1, &[])];
                assert_eq!(talk.seen.results, expected);
            }
        }
    }

    #[test]
    fn who_may_not_describe_the_cluster_sees_no_disk() {
        for version in DescribeLogDirs::VERSIONS {
            let answer = DescribeLogDirsResponse::default().with_results(vec![directory("/var", -1, &[])]);
            let talk = world().talk::<DescribeLogDirs>(version, &disks(None), &answer);
            let code = if version >= 3 { 31 } else { 0 };
            assert_eq!(talk.seen, DescribeLogDirsResponse::default().with_error_code(code));
            assert_eq!((talk.sent.len(), talk.refused), (0, Some(Refusal::ClusterDenied)));
        }
    }

    #[test]
    fn who_asks_about_nothing_is_answered_by_the_broker() {
        assert_eq!(world().talk::<DeleteRecords>(2, &deletion(&[]), &Default::default()).sent.len(), 1);
        assert_eq!(world().talk::<DescribeProducers>(0, &look(&[]), &Default::default()).sent.len(), 1);
    }

    #[test]
    fn a_request_can_be_refused_whole_in_every_version() {
        let why = Refusal::InvalidRequest;
        for version in DeleteRecords::VERSIONS {
            let seen = said(&DeleteRecords::refuse(deletion(&["orders"]), why, version), version);
            assert_eq!(seen.topics, [deleted("orders", 42, -1)]);
        }
        let seen = said(&DescribeProducers::refuse(look(&["orders"]), why, 0), 0);
        assert_eq!(seen.topics, [looked("orders", 42, standard_text(42).as_deref())]);
    }
}
