//! Offsets as a log has them: by time, and by leader epoch.

use std::ops::RangeInclusive;

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{BrokerId, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::parts::Parting;
use super::{Api, Asking, Pass, Refusal, Showing};
use crate::policy::Operation;
use crate::wire::ApiKey;
use crate::wire::messages::list_offsets_request::ListOffsetsTopic;
use crate::wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

/// The first, the last, and the offset at a time.
pub struct ListOffsets;

impl Api for ListOffsets {
    type Request = ListOffsetsRequest;
    type Response = ListOffsetsResponse;
    type Aside = Vec<ListOffsetsTopic>;

    const KEY: ApiKey = ApiKey::ListOffsets;
    /// What 7 to 11 bring are more places in the log to ask for, as times below zero, and how long to
    /// wait for remote storage; no name.
    const VERSIONS: RangeInclusive<i16> = 1..=11;

    fn part(
        request: &mut ListOffsetsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<ListOffsetsRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(mut request: ListOffsetsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        request.replica_id = CONSUMER;
        let refused =
            ask.gate.each(Operation::Describe, &mut request.topics, |topic| (&mut topic.name).into());
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut ListOffsetsResponse, refused: Vec<ListOffsetsTopic>, show: &Showing<'_>) {
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.name).into());
        response.topics.extend(refused.into_iter().map(|topic| unlisted(topic, Refusal::TopicDenied)));
    }

    fn refuse(request: ListOffsetsRequest, why: Refusal, _version: i16) -> ListOffsetsResponse {
        let refused = request.topics.into_iter().map(|topic| unlisted(topic, why));
        ListOffsetsResponse::default().with_topics(refused.collect())
    }

    fn join(first: &mut ListOffsetsResponse, later: ListOffsetsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.topics.extend(later.topics);
    }
}

fn unlisted(topic: ListOffsetsTopic, why: Refusal) -> ListOffsetsTopicResponse {
    let partitions = topic.partitions.iter().map(|partition| {
        ListOffsetsPartitionResponse::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(why.code())
            .with_timestamp(-1)
            .with_offset(-1)
    });
    ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
}

/// Where a leader epoch ends: how a consumer notices that the log was cut.
pub struct OffsetForLeaderEpoch;

impl Api for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    type Response = OffsetForLeaderEpochResponse;
    type Aside = Vec<OffsetForLeaderTopic>;

    const KEY: ApiKey = ApiKey::OffsetForLeaderEpoch;
    const VERSIONS: RangeInclusive<i16> = 2..=4;

    fn part(
        request: &mut OffsetForLeaderEpochRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<OffsetForLeaderEpochRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.topic).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(mut request: OffsetForLeaderEpochRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        request.replica_id = CONSUMER; // said from version 3 on
        let refused =
            ask.gate.each(Operation::Describe, &mut request.topics, |topic| (&mut topic.topic).into());
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(
        response: &mut OffsetForLeaderEpochResponse,
        refused: Vec<OffsetForLeaderTopic>,
        show: &Showing<'_>,
    ) {
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.topic).into());
        response.topics.extend(refused.into_iter().map(|topic| endless(topic, Refusal::TopicDenied)));
    }

    fn refuse(
        request: OffsetForLeaderEpochRequest,
        why: Refusal,
        _version: i16,
    ) -> OffsetForLeaderEpochResponse {
        let refused = request.topics.into_iter().map(|topic| endless(topic, why));
        OffsetForLeaderEpochResponse::default().with_topics(refused.collect())
    }

    fn join(first: &mut OffsetForLeaderEpochResponse, later: OffsetForLeaderEpochResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.topics.extend(later.topics);
    }
}

fn endless(topic: OffsetForLeaderTopic, why: Refusal) -> OffsetForLeaderTopicResult {
    let partitions = topic.partitions.iter().map(|partition| {
        EpochEndOffset::default()
            .with_partition(partition.partition)
            .with_error_code(why.code())
            .with_leader_epoch(-1)
            .with_end_offset(-1)
    });
    OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(topic.topic)
}

/// Who asks: no follower, which would see what is not committed, and no debugging tool.
const CONSUMER: BrokerId = BrokerId(-1);

#[cfg(test)]
mod tests {
    use crate::wire::messages::list_offsets_request::ListOffsetsPartition;
    use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;

    use super::*;
    use crate::api::testing::{World, said, text};
    use crate::policy::Resource;

    fn world() -> World {
        World::allowing(&[
            (Operation::Read, Resource::Topic, "orders"),
            (Operation::Describe, Resource::Topic, "extra_topic"),
        ])
    }

    fn list(topics: &[&str]) -> ListOffsetsRequest {
        let topics = topics.iter().map(|topic| {
            let partition = |index| ListOffsetsPartition::default().with_partition_index(index);
            ListOffsetsTopic::default()
                .with_name(text(topic).into())
                .with_partitions(vec![partition(0), partition(7)])
        });
        ListOffsetsRequest::default().with_replica_id(BrokerId(3)).with_topics(topics.collect())
    }

    fn listed(topic: &str, code: i16, offset: i64) -> ListOffsetsTopicResponse {
        let partitions = [0, 7].map(|index| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(index)
                .with_error_code(code)
                .with_timestamp(offset)
                .with_offset(offset)
        });
        ListOffsetsTopicResponse::default().with_name(text(topic).into()).with_partitions(partitions.into())
    }

    #[test]
    fn a_topic_whose_offsets_may_not_be_listed_is_answered_for_while_the_rest_goes_through() {
        for version in ListOffsets::VERSIONS {
            let request = list(&["payments", "orders", "extra_topic"]);
            let topics = vec![listed("my-orders", 0, 5), listed("extra_topic", 0, 6)];
            let answer = ListOffsetsResponse::default().with_topics(topics);
            let dialogue = world().talk::<ListOffsets>(version, &request, &answer);
            let sent: Vec<_> = dialogue.sent().topics.iter().map(|topic| topic.name.as_str()).collect();
            assert_eq!(sent, ["my-orders", "extra_topic"]);
            assert_eq!(dialogue.sent().replica_id, BrokerId(-1));
            let expected = [listed("orders", 0, 5), listed("extra_topic", 0, 6), listed("payments", 29, -1)];
            assert_eq!(dialogue.seen.topics, expected);
        }
    }

    #[test]
    fn where_no_topic_is_left_no_broker_is_asked_for_its_offsets() {
        for version in ListOffsets::VERSIONS {
            let dialogue = world().talk::<ListOffsets>(version, &list(&["payments"]), &Default::default());
            assert_eq!(dialogue.sent.len(), 0);
            assert_eq!(dialogue.seen.topics, [listed("payments", 29, -1)]);
        }
        assert_eq!(world().talk::<ListOffsets>(9, &list(&[]), &Default::default()).sent.len(), 1);
    }

    fn ask_epoch(topics: &[&str]) -> OffsetForLeaderEpochRequest {
        let topics = topics.iter().map(|topic| {
            let partition = |index| OffsetForLeaderPartition::default().with_partition(index);
            OffsetForLeaderTopic::default()
                .with_topic(text(topic).into())
                .with_partitions(vec![partition(0), partition(7)])
        });
        OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(3)).with_topics(topics.collect())
    }

    fn epoch_end(topic: &str, code: i16, end: i64) -> OffsetForLeaderTopicResult {
        let partitions = [0, 7].map(|index| {
            EpochEndOffset::default()
                .with_partition(index)
                .with_error_code(code)
                .with_leader_epoch(end as i32)
                .with_end_offset(end)
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(text(topic).into())
            .with_partitions(partitions.into())
    }

    #[test]
    fn a_topic_whose_epochs_may_not_be_known_is_answered_for_while_the_rest_goes_through() {
        for version in OffsetForLeaderEpoch::VERSIONS {
            let answer =
                OffsetForLeaderEpochResponse::default().with_topics(vec![epoch_end("my-orders", 0, 5)]);
            let request = ask_epoch(&["payments", "orders"]);
            let dialogue = world().talk::<OffsetForLeaderEpoch>(version, &request, &answer);
            assert_eq!(dialogue.sent().topics.len(), 1);
            assert_eq!(dialogue.sent().topics[0].topic.as_str(), "my-orders");
            if version >= 3 {
                assert_eq!(dialogue.sent().replica_id, BrokerId(-1));
            }
            assert_eq!(dialogue.seen.topics, [epoch_end("orders", 0, 5), epoch_end("payments", 29, -1)]);

            let request = ask_epoch(&["payments"]);
            let dialogue = world().talk::<OffsetForLeaderEpoch>(version, &request, &answer);
            assert_eq!(dialogue.sent.len(), 0);
            assert_eq!(dialogue.seen.topics, [epoch_end("payments", 29, -1)]);
        }
    }

    #[test]
    fn a_request_can_be_refused_whole_in_every_version() {
        let why = Refusal::InvalidRequest;
        for version in ListOffsets::VERSIONS {
            let seen = said(&ListOffsets::refuse(list(&["orders"]), why, version), version);
            assert_eq!(seen.topics, [listed("orders", 42, -1)]);
        }
        for version in OffsetForLeaderEpoch::VERSIONS {
            let seen = said(&OffsetForLeaderEpoch::refuse(ask_epoch(&["orders"]), why, version), version);
            assert_eq!(seen.topics, [epoch_end("orders", 42, -1)]);
        }
    }
}
