//! How far share groups have read, as an administrator sees and changes it (KIP-932).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse, GroupId,
};

use super::parts::Parting;
use super::{Api, Asking, Pass, Refusal, Showing, put_back, put_first, standard_text};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;
use crate::wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic;
use crate::wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use crate::wire::messages::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};

/// How far share groups have read.
pub struct DescribeShareGroupOffsets;

/// What a DescribeShareGroupOffsets request asked for and did not get.
#[derive(Default)]
pub struct DescribeShareGroupOffsetsAside {
    /// Each with its place in the request.
    groups: Vec<(usize, GroupId, Refusal)>,
    /// The refused topics of a group that went on, by the group's name as the client says it.
    topics: HashMap<String, Vec<DescribeShareGroupOffsetsRequestTopic>>,
}

impl Api for DescribeShareGroupOffsets {
    type Request = DescribeShareGroupOffsetsRequest;
    type Response = DescribeShareGroupOffsetsResponse;
    type Aside = DescribeShareGroupOffsetsAside;

    const KEY: ApiKey = ApiKey::DescribeShareGroupOffsets;
    /// 1 tells how far a group lags.
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn part(
        request: &mut DescribeShareGroupOffsetsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<DescribeShareGroupOffsetsRequest> {
        let mut parted = Vec::new();
        for group in &mut request.groups {
            let topics = group.topics.as_mut();
            let others =
                topics.and_then(|topics| names.topics(topics, |topic| (&mut topic.topic_name).into()));
            parted.extend(others.map(|topics| group.clone().with_topics(Some(topics))));
        }
        (!parted.is_empty()).then(|| request.clone().with_groups(parted))
    }

    /// A group goes on even where no topic of it is left: whether there is such a group comes first.
    fn admit(
        mut request: DescribeShareGroupOffsetsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        let mut aside = DescribeShareGroupOffsetsAside::default();
        let mut places = 0..;
        request.groups.retain_mut(|group| {
            let place = places.next().unwrap_or_default();
            let name = group.group_id.clone();
            if let Err(no) = ask.gate.one(Operation::Describe, &mut group.group_id) {
                aside.groups.push((place, name, no.into()));
                return false;
            }
            if let Some(topics) = &mut group.topics {
                let refused =
                    ask.gate.each(Operation::Describe, topics, |topic| (&mut topic.topic_name).into());
                aside.topics.entry(name.to_string()).or_default().extend(refused);
            }
            true
        });
        let nothing_left = request.groups.is_empty() && !aside.groups.is_empty();
        Ok(if nothing_left { Pass::Answer(aside) } else { Pass::Forward(request, aside) })
    }

    fn reveal(
        response: &mut DescribeShareGroupOffsetsResponse,
        mut aside: DescribeShareGroupOffsetsAside,
        show: &Showing<'_>,
    ) {
        show.lens.echoed(&mut response.groups, |group| (&mut group.group_id).into());
        for group in &mut response.groups {
            group.error_message = group.error_message.take().and_then(|_| standard_text(group.error_code));
            group.topics.retain_mut(|topic| {
                show.lens.learn(&mut topic.topic_id, &topic.topic_name.0);
                show.lens.one(&mut topic.topic_name)
                    && show.lens.grants(Operation::Describe, Resource::Topic, &topic.topic_name.0)
            });
            for partition in group.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.error_message =
                    partition.error_message.take().and_then(|_| standard_text(partition.error_code));
            }
            let refused = aside.topics.remove(group.group_id.as_str()).unwrap_or_default();
            if group.error_code == 0 {
                group.topics.extend(refused.into_iter().map(undescribed));
            }
        }
        let refused = aside.groups.into_iter();
        let refused = refused.map(|(place, group, why)| (place, refused_group((group, why))));
        put_back(&mut response.groups, refused);
    }

    fn refuse(
        request: DescribeShareGroupOffsetsRequest,
        why: Refusal,
        _version: i16,
    ) -> DescribeShareGroupOffsetsResponse {
        let groups = request.groups.into_iter().map(|group| refused_group((group.group_id, why)));
        DescribeShareGroupOffsetsResponse::default().with_groups(groups.collect())
    }

    fn join(first: &mut DescribeShareGroupOffsetsResponse, later: DescribeShareGroupOffsetsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        for group in later.groups {
            match first.groups.iter_mut().find(|known| known.group_id == group.group_id) {
                Some(known) if known.error_code == 0 && group.error_code == 0 => {
                    known.topics.extend(group.topics);
                }
                Some(known) if known.error_code == 0 => *known = group,
                Some(_) => {}
                None => first.groups.push(group),
            }
        }
    }
}

/// A broker leaves the text out here, and so does this.
fn refused_group((group, why): (GroupId, Refusal)) -> DescribeShareGroupOffsetsResponseGroup {
    DescribeShareGroupOffsetsResponseGroup::default().with_group_id(group).with_error_code(why.code())
}

fn undescribed(topic: DescribeShareGroupOffsetsRequestTopic) -> DescribeShareGroupOffsetsResponseTopic {
    let code = Refusal::TopicDenied.code();
    let partitions = topic.partitions.iter().map(|index| {
        DescribeShareGroupOffsetsResponsePartition::default()
            .with_partition_index(*index)
            .with_start_offset(-1)
            .with_error_code(code)
            .with_error_message(standard_text(code))
    });
    let partitions = partitions.collect();
    DescribeShareGroupOffsetsResponseTopic::default()
        .with_topic_name(topic.topic_name)
        .with_partitions(partitions)
}

/// A share group reads on from elsewhere.
pub struct AlterShareGroupOffsets;

impl Api for AlterShareGroupOffsets {
    type Request = AlterShareGroupOffsetsRequest;
    type Response = AlterShareGroupOffsetsResponse;
    type Aside = Vec<AlterShareGroupOffsetsRequestTopic>;

    const KEY: ApiKey = ApiKey::AlterShareGroupOffsets;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn part(
        request: &mut AlterShareGroupOffsetsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<AlterShareGroupOffsetsRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.topic_name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(
        mut request: AlterShareGroupOffsetsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        let refused =
            ask.gate.each(Operation::Read, &mut request.topics, |topic| (&mut topic.topic_name).into());
        Ok(Pass::Forward(request, refused))
    }

    fn reveal(response: &mut AlterShareGroupOffsetsResponse, refused: Self::Aside, show: &Showing<'_>) {
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        show.lens.echoed(&mut response.responses, |topic| (&mut topic.topic_name).into());
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_message =
                partition.error_message.take().and_then(|_| standard_text(partition.error_code));
        }
        if response.error_code == 0 {
            put_first(&mut response.responses, refused.into_iter().map(unaltered));
        }
    }

    fn refuse(
        _request: AlterShareGroupOffsetsRequest,
        why: Refusal,
        _version: i16,
    ) -> AlterShareGroupOffsetsResponse {
        AlterShareGroupOffsetsResponse::default()
            .with_error_code(why.code())
            .with_error_message(standard_text(why.code()))
    }

    fn join(first: &mut AlterShareGroupOffsetsResponse, later: AlterShareGroupOffsetsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            (first.error_code, first.error_message) = (later.error_code, later.error_message);
        }
        first.responses.extend(later.responses);
    }
}

fn unaltered(topic: AlterShareGroupOffsetsRequestTopic) -> AlterShareGroupOffsetsResponseTopic {
    let code = Refusal::TopicDenied.code();
    let partitions = topic.partitions.iter().map(|partition| {
        AlterShareGroupOffsetsResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(code)
            .with_error_message(standard_text(code))
    });
    let partitions = partitions.collect();
    AlterShareGroupOffsetsResponseTopic::default()
        .with_topic_name(topic.topic_name)
        .with_partitions(partitions)
}

/// A share group forgets how far it has read some topics.
pub struct DeleteShareGroupOffsets;

impl Api for DeleteShareGroupOffsets {
    type Request = DeleteShareGroupOffsetsRequest;
    type Response = DeleteShareGroupOffsetsResponse;
    type Aside = Vec<DeleteShareGroupOffsetsRequestTopic>;

    const KEY: ApiKey = ApiKey::DeleteShareGroupOffsets;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn part(
        request: &mut DeleteShareGroupOffsetsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<DeleteShareGroupOffsetsRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.topic_name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(
        mut request: DeleteShareGroupOffsetsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Delete, &mut request.group_id)?;
        let refused =
            ask.gate.each(Operation::Read, &mut request.topics, |topic| (&mut topic.topic_name).into());
        Ok(Pass::Forward(request, refused))
    }

    fn reveal(response: &mut DeleteShareGroupOffsetsResponse, refused: Self::Aside, show: &Showing<'_>) {
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        show.lens.echoed(&mut response.responses, |topic| (&mut topic.topic_name).into());
        for topic in &mut response.responses {
            topic.error_message = topic.error_message.take().and_then(|_| standard_text(topic.error_code));
        }
        if response.error_code == 0 {
            put_first(&mut response.responses, refused.into_iter().map(remembered));
        }
    }

    fn refuse(
        _request: DeleteShareGroupOffsetsRequest,
        why: Refusal,
        _version: i16,
    ) -> DeleteShareGroupOffsetsResponse {
        DeleteShareGroupOffsetsResponse::default()
            .with_error_code(why.code())
            .with_error_message(standard_text(why.code()))
    }

    fn join(first: &mut DeleteShareGroupOffsetsResponse, later: DeleteShareGroupOffsetsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            (first.error_code, first.error_message) = (later.error_code, later.error_message);
        }
        first.responses.extend(later.responses);
    }
}

fn remembered(topic: DeleteShareGroupOffsetsRequestTopic) -> DeleteShareGroupOffsetsResponseTopic {
    let code = Refusal::TopicDenied.code();
    DeleteShareGroupOffsetsResponseTopic::default()
        .with_topic_name(topic.topic_name)
        .with_error_code(code)
        .with_error_message(standard_text(code))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestPartition;
    use kafka_protocol::protocol::StrBytes;
    use uuid::Uuid;

    use super::*;
    use crate::api::testing::{World, said, text};
    use crate::wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;

    const WORDS: &str = "my-orders of my-readers is wrong";

    fn world() -> World {
        World::allowing(&[
            (Operation::Read, Resource::Group, "readers"),
            (Operation::Delete, Resource::Group, "old"),
            (Operation::Read, Resource::Topic, "orders"),
            (Operation::Describe, Resource::Topic, "visible"),
            (Operation::Read, Resource::Topic, "extra_topic"),
        ])
    }

    fn topic(name: &str) -> TopicName {
        TopicName(text(name))
    }

    fn words() -> Option<StrBytes> {
        Some(text(WORDS))
    }

    type Groups<'a> = &'a [(&'a str, Option<&'a [&'a str]>)];

    fn ask(groups: Groups<'_>) -> DescribeShareGroupOffsetsRequest {
        let groups = groups.iter().map(|(group, topics)| {
            let topics = topics.map(|topics| {
                let topics = topics.iter().map(|name| {
                    DescribeShareGroupOffsetsRequestTopic::default()
                        .with_topic_name(topic(name))
                        .with_partitions(vec![0, 7])
                });
                topics.collect()
            });
            DescribeShareGroupOffsetsRequestGroup::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(topics)
        });
        DescribeShareGroupOffsetsRequest::default().with_groups(groups.collect())
    }

    /// One group of an answer, with topics of one partition.
    fn told(group: &str, topics: &[(&str, u128)]) -> DescribeShareGroupOffsetsResponseGroup {
        let topics = topics.iter().map(|(name, id)| {
            let partition = DescribeShareGroupOffsetsResponsePartition::default()
                .with_start_offset(5)
                .with_error_code(3)
                .with_error_message(words());
            DescribeShareGroupOffsetsResponseTopic::default()
                .with_topic_name(topic(name))
                .with_topic_id(Uuid::from_u128(*id))
                .with_partitions(vec![partition])
        });
        DescribeShareGroupOffsetsResponseGroup::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(topics.collect())
    }

    fn telling(groups: Vec<DescribeShareGroupOffsetsResponseGroup>) -> DescribeShareGroupOffsetsResponse {
        DescribeShareGroupOffsetsResponse::default().with_groups(groups)
    }

    fn names(group: &DescribeShareGroupOffsetsResponseGroup) -> Vec<&str> {
        group.topics.iter().map(|topic| topic.topic_name.as_str()).collect()
    }

    #[test]
    fn offsets_are_told_of_the_topics_that_may_be_described() {
        for version in DescribeShareGroupOffsets::VERSIONS {
            let asked = ask(&[("readers", Some(&["secret", "orders", "visible"]))]);
            let answer = telling(vec![told("my-readers", &[("my-orders", 1), ("their-orders", 2)])]);
            let mut world = world();
            let talk = world.talk::<DescribeShareGroupOffsets>(version, &asked, &answer);
            assert_eq!(talk.sent(), &ask(&[("my-readers", Some(&["my-orders", "my-visible"]))]));
            let group = &talk.seen.groups[0];
            assert_eq!((group.group_id.as_str(), names(group)), ("readers", vec!["orders", "secret"]));
            assert_eq!(group.topics[0].partitions[0].error_message, standard_text(3));
            let refused = &group.topics[1];
            let partitions: Vec<_> = refused.partitions.iter().collect();
            assert!(refused.topic_id.is_nil());
            let of = |at: usize| {
                (partitions[at].partition_index, partitions[at].start_offset, partitions[at].error_code)
            };
            assert_eq!([of(0), of(1)], [(0, -1, 29), (7, -1, 29)]);
            let known = [1, 2].map(|id| world.lens().topic_behind(&mut Uuid::from_u128(id)));
            assert_eq!(known, [Some(text("orders")), None]);
            assert!(world.lens().is_foreign(&mut Uuid::from_u128(2)));
        }
    }

    #[test]
    fn who_asks_of_all_topics_is_told_of_those_that_he_may_describe() {
        let asked = ask(&[("readers", None)]);
        let all = [("my-orders", 1), ("my-secret", 2), ("their-orders", 3), ("extra_topic", 4)];
        let answer = telling(vec![told("my-readers", &all)]);
        let talk = world().talk::<DescribeShareGroupOffsets>(1, &asked, &answer);
        assert_eq!(talk.sent(), &ask(&[("my-readers", None)]));
        assert_eq!(names(&talk.seen.groups[0]), ["orders", "extra_topic"]);
    }

    #[test]
    fn a_group_that_may_not_be_described_is_answered_for_while_the_rest_goes_through() {
        let refused = |group: &str, code| told(group, &[]).with_error_code(code);
        let asked = ask(&[("writers", None), ("readers", Some(&["secret"])), ("", None)]);
        let broken = told("my-readers", &[]).with_error_code(69).with_error_message(words());
        let talk = world().talk::<DescribeShareGroupOffsets>(0, &asked, &telling(vec![broken]));
        assert_eq!(talk.sent(), &ask(&[("my-readers", Some(&[]))]));
        let broken = refused("readers", 69).with_error_message(standard_text(69));
        let expected = [refused("writers", 30), broken, refused("", 30)];
        assert_eq!(talk.seen.groups, expected);
        let asked = ask(&[("writers", None)]);
        let talk = world().talk::<DescribeShareGroupOffsets>(0, &asked, &telling(vec![]));
        assert!(talk.sent.is_empty());
        assert_eq!(talk.seen.groups, [refused("writers", 30)]);
    }

    fn alter(group: &str, topics: &[&str]) -> AlterShareGroupOffsetsRequest {
        let topics = topics.iter().map(|name| {
            let partitions = [0, 7]
                .map(|index| AlterShareGroupOffsetsRequestPartition::default().with_partition_index(index));
            AlterShareGroupOffsetsRequestTopic::default()
                .with_topic_name(topic(name))
                .with_partitions(partitions.into())
        });
        AlterShareGroupOffsetsRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(topics.collect())
    }

    fn altered(topics: &[(&str, i16)]) -> AlterShareGroupOffsetsResponse {
        let topics = topics.iter().map(|(name, code)| {
            let partitions = [0, 7].map(|index| {
                AlterShareGroupOffsetsResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(*code)
                    .with_error_message((*code == 29).then(|| standard_text(29)).flatten())
            });
            AlterShareGroupOffsetsResponseTopic::default()
                .with_topic_name(topic(name))
                .with_partitions(partitions.into())
        });
        AlterShareGroupOffsetsResponse::default().with_responses(topics.collect())
    }

    #[test]
    fn offsets_are_altered_of_the_topics_that_may_be_read() {
        let answer = altered(&[("my-orders", 0), ("their-orders", 0)]);
        let asked = alter("readers", &["secret", "orders", "visible"]);
        let talk = world().talk::<AlterShareGroupOffsets>(0, &asked, &answer);
        assert_eq!(talk.sent(), &alter("my-readers", &["my-orders"]));
        assert_eq!(talk.seen, altered(&[("secret", 29), ("visible", 29), ("orders", 0)]));
        let failed =
            AlterShareGroupOffsetsResponse::default().with_error_code(68).with_error_message(words());
        let seen = world().talk::<AlterShareGroupOffsets>(0, &asked, &failed).seen;
        assert_eq!(seen, failed.with_error_message(standard_text(68)));
        for (group, code) in [("writers", 30), ("old", 30), ("", 30)] {
            let talk = world().talk::<AlterShareGroupOffsets>(0, &alter(group, &["orders"]), &answer);
            assert_eq!((talk.sent.len(), talk.seen.error_code), (0, code));
        }
    }

    fn forget(group: &str, topics: &[&str]) -> DeleteShareGroupOffsetsRequest {
        let topics = topics
            .iter()
            .map(|name| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic(name)));
        DeleteShareGroupOffsetsRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(topics.collect())
    }

    fn forgotten(topics: &[(&str, i16)]) -> DeleteShareGroupOffsetsResponse {
        let topics = topics.iter().map(|(name, code)| {
            DeleteShareGroupOffsetsResponseTopic::default()
                .with_topic_name(topic(name))
                .with_error_code(*code)
                .with_error_message((*code == 29).then(|| standard_text(29)).flatten())
        });
        DeleteShareGroupOffsetsResponse::default().with_responses(topics.collect())
    }

    #[test]
    fn a_group_forgets_the_topics_that_may_be_read() {
        let answer = forgotten(&[("my-orders", 0), ("extra_topic", 86), ("their-orders", 0)]);
        let asked = forget("old", &["secret", "orders", "extra_topic"]);
        let talk = world().talk::<DeleteShareGroupOffsets>(0, &asked, &answer);
        assert_eq!(talk.sent(), &forget("my-old", &["my-orders", "extra_topic"]));
        assert_eq!(talk.seen, forgotten(&[("secret", 29), ("orders", 0), ("extra_topic", 86)]));
        let failed =
            DeleteShareGroupOffsetsResponse::default().with_error_code(69).with_error_message(words());
        let seen = world().talk::<DeleteShareGroupOffsets>(0, &asked, &failed).seen;
        assert_eq!(seen, failed.with_error_message(standard_text(69)));
        for (group, code) in [("readers", 30), ("", 30)] {
            let talk = world().talk::<DeleteShareGroupOffsets>(0, &forget(group, &["orders"]), &answer);
            assert_eq!((talk.sent.len(), talk.seen.error_code), (0, code));
        }
    }

    #[test]
    fn a_request_can_be_refused_whole_in_every_version() {
        let why = Refusal::InvalidRequest;
        for version in DescribeShareGroupOffsets::VERSIONS {
            let refused = DescribeShareGroupOffsets::refuse(ask(&[("readers", None)]), why, version);
            let seen = said(&refused, version);
            assert_eq!((seen.groups[0].group_id.as_str(), seen.groups[0].error_code), ("readers", 42));
        }
        assert_eq!(said(&AlterShareGroupOffsets::refuse(alter("readers", &[]), why, 0), 0).error_code, 42);
        assert_eq!(said(&DeleteShareGroupOffsets::refuse(forget("old", &[]), why, 0), 0).error_code, 42);
    }
}
