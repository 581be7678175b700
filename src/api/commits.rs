//! Offsets as a group has them: how far it has read.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::parts::Parting;
use super::{Api, Asking, METADATA_BY_ID, Pass, Refusal, Showing, put_back, put_first};
use crate::names::TopicSlot;
use crate::policy::Operation;
use crate::wire::ApiKey;
use crate::wire::messages::offset_commit_request::OffsetCommitRequestTopic;
use crate::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};

/// A group notes how far it has read.
pub struct OffsetCommit;

impl Api for OffsetCommit {
    type Request = OffsetCommitRequest;
    type Response = OffsetCommitResponse;
    type Aside = Vec<(OffsetCommitRequestTopic, Refusal)>;

    const KEY: ApiKey = ApiKey::OffsetCommit;
    const VERSIONS: RangeInclusive<i16> = 2..=10;

    fn needs(version: i16) -> Option<(ApiKey, i16)> {
        (version >= BY_ID).then_some(METADATA_BY_ID)
    }

    fn ids(request: &OffsetCommitRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request.topics.iter().for_each(|topic| tell(topic.topic_id));
    }

    fn part(
        request: &mut OffsetCommitRequest,
        version: i16,
        names: &mut Parting<'_>,
    ) -> Option<OffsetCommitRequest> {
        let others = names.topics(&mut request.topics, |topic| {
            TopicSlot::of(version >= BY_ID, &mut topic.name, &mut topic.topic_id)
        })?;
        Some(request.clone().with_topics(others))
    }

    fn admit(mut request: OffsetCommitRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        let by_id = ask.version >= BY_ID;
        let refused = ask.gate.each_topic(Operation::Read, &mut request.topics, |topic| {
            TopicSlot::of(by_id, &mut topic.name, &mut topic.topic_id)
        });
        let refused: Vec<_> = refused.into_iter().map(|(topic, no)| (topic, no.into())).collect();
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut OffsetCommitResponse, refused: Self::Aside, show: &Showing<'_>) {
        let by_id = show.version >= BY_ID;
        show.lens.echoed_topics(&mut response.topics, |topic| {
            TopicSlot::of(by_id, &mut topic.name, &mut topic.topic_id)
        });
        put_first(&mut response.topics, refused.into_iter().map(|(topic, why)| uncommitted(topic, why)));
    }

    fn refuse(request: OffsetCommitRequest, why: Refusal, _version: i16) -> OffsetCommitResponse {
        let refused = request.topics.into_iter().map(|topic| uncommitted(topic, why));
        OffsetCommitResponse::default().with_topics(refused.collect())
    }

    fn join(first: &mut OffsetCommitResponse, later: OffsetCommitResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.topics.extend(later.topics);
    }
}

fn uncommitted(topic: OffsetCommitRequestTopic, why: Refusal) -> OffsetCommitResponseTopic {
    let partitions = topic.partitions.iter().map(|partition| {
        OffsetCommitResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(why.code())
    });
    OffsetCommitResponseTopic::default()
        .with_partitions(partitions.collect())
        .with_name(topic.name)
        .with_topic_id(topic.topic_id)
}

/// How far groups have read.
///
/// Up to version 7 one group, in fields of its own; from 8 on a list of groups.
pub struct OffsetFetch;

/// What of an OffsetFetch was refused, or not worth asking, by the names that the client uses.
#[derive(Default)]
pub struct OffsetFetchAside {
    /// Of the one group, up to version 7.
    topics: Vec<OffsetFetchRequestTopic>,
    /// Of each group, from version 8 on.
    topics_of: BTreeMap<GroupId, Vec<(OffsetFetchRequestTopics, Refusal)>>,
    /// The answers of those of which the broker is asked nothing, each with its place in the request.
    groups: Vec<(usize, OffsetFetchResponseGroup)>,
}

impl Api for OffsetFetch {
    type Request = OffsetFetchRequest;
    type Response = OffsetFetchResponse;
    type Aside = OffsetFetchAside;

    const KEY: ApiKey = ApiKey::OffsetFetch;
    const VERSIONS: RangeInclusive<i16> = 1..=10;

    fn needs(version: i16) -> Option<(ApiKey, i16)> {
        (version >= BY_ID).then_some(METADATA_BY_ID)
    }

    fn ids(request: &OffsetFetchRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request
            .groups
            .iter()
            .flat_map(|group| group.topics.iter().flatten())
            .for_each(|topic| tell(topic.topic_id));
    }

    fn part(
        request: &mut OffsetFetchRequest,
        version: i16,
        names: &mut Parting<'_>,
    ) -> Option<OffsetFetchRequest> {
        if version < 8 {
            let others = names.topics(request.topics.as_mut()?, |topic| (&mut topic.name).into())?;
            return Some(request.clone().with_topics(Some(others)));
        }
        let (mut parted, mut left) = (Vec::new(), Vec::new());
        for mut group in std::mem::take(&mut request.groups) {
            let topics = group.topics.as_mut();
            let others = topics.and_then(|topics| {
                names.topics(topics, |topic| {
                    TopicSlot::of(version >= BY_ID, &mut topic.name, &mut topic.topic_id)
                })
            });
            // A group of which nothing is left is asked about in the other part alone.
            let is_empty = others.is_some() && group.topics.as_ref().is_some_and(Vec::is_empty);
            parted.extend(others.map(|topics| group.clone().with_topics(Some(topics))));
            left.extend((!is_empty).then_some(group));
        }
        request.groups = left;
        (!parted.is_empty()).then(|| request.clone().with_groups(parted))
    }

    fn admit(mut request: OffsetFetchRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut aside = OffsetFetchAside::default();
        let nothing_left = if ask.version < 8 {
            ask.gate.one(Operation::Describe, &mut request.group_id)?;
            request.topics.as_mut().is_some_and(|topics| {
                aside.topics = ask.gate.each(Operation::Describe, topics, |topic| (&mut topic.name).into());
                topics.is_empty() && !aside.topics.is_empty()
            })
        } else {
            let asks_for_all = request.groups.iter().any(|group| group.topics.is_none());
            if ask.version >= BY_ID && asks_for_all && ask.topics.is_none() {
                // The answer will be ids alone, and whose they are must be known by then.
                return Ok(Pass::AskTopics);
            }
            let nothing_asked = request.groups.is_empty();
            let mut places = 0..;
            request.groups.retain_mut(|group| {
                let (place, shown) = (places.next().unwrap_or_default(), group.group_id.clone());
                let answer = match admit_group(group, &mut aside, ask) {
                    Ok(true) => return true,
                    Ok(false) => {
                        let topics = aside.topics_of.remove(&shown).unwrap_or_default();
                        OffsetFetchResponseGroup::default()
                            .with_group_id(shown)
                            .with_topics(topics.into_iter().map(unknown_topics).collect())
                    }
                    Err(why) => refused_group((shown, why)),
                };
                aside.groups.push((place, answer));
                false
            });
            request.groups.is_empty() && !nothing_asked
        };
        Ok(if nothing_left { Pass::Answer(aside) } else { Pass::Forward(request, aside) })
    }

    /// Where no topic was named the broker names all of them, foreign and denied ones too. Those that
    /// were named are granted, so the same look at them takes nothing away.
    fn reveal(response: &mut OffsetFetchResponse, mut aside: OffsetFetchAside, show: &Showing<'_>) {
        if show.version < 8 {
            show.lens.listed(Operation::Describe, &mut response.topics, |topic| (&mut topic.name).into());
            if response.error_code == 0 {
                let refused = aside.topics.into_iter();
                response.topics.extend(refused.map(|topic| unknown_topic(topic, Refusal::TopicDenied)));
            }
            return;
        }
        response.groups.retain_mut(|group| {
            if !show.lens.one(&mut group.group_id) {
                return false;
            }
            show.lens.listed_topics(Operation::Describe, &mut group.topics, |topic| {
                TopicSlot::of(show.version >= BY_ID, &mut topic.name, &mut topic.topic_id)
            });
            let refused = aside.topics_of.remove(&group.group_id).unwrap_or_default();
            if group.error_code == 0 {
                group.topics.extend(refused.into_iter().map(unknown_topics));
            }
            true
        });
        put_back(&mut response.groups, aside.groups);
    }

    fn refuse(request: OffsetFetchRequest, why: Refusal, version: i16) -> OffsetFetchResponse {
        let response = OffsetFetchResponse::default();
        match version {
            ..=1 => {
                let topics = request.topics.unwrap_or_default().into_iter();
                response.with_topics(topics.map(|topic| unknown_topic(topic, why)).collect())
            }
            2..=7 => response.with_error_code(why.code()),
            8.. => {
                let groups = request.groups.into_iter();
                response.with_groups(groups.map(|group| refused_group((group.group_id, why))).collect())
            }
        }
    }

    fn join(first: &mut OffsetFetchResponse, later: OffsetFetchResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            first.error_code = later.error_code;
        }
        first.topics.extend(later.topics);
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

/// Whether something is left to ask of this group; what is not is set aside.
fn admit_group(
    group: &mut OffsetFetchRequestGroup,
    aside: &mut OffsetFetchAside,
    ask: &Asking<'_>,
) -> Result<bool, Refusal> {
    let (gate, by_id) = (ask.gate, ask.version >= BY_ID);
    let shown = group.group_id.clone();
    gate.one(Operation::Describe, &mut group.group_id)?;
    let Some(topics) = &mut group.topics else { return Ok(true) };
    let refused = gate.each_topic(Operation::Describe, topics, |topic| {
        TopicSlot::of(by_id, &mut topic.name, &mut topic.topic_id)
    });
    if refused.is_empty() {
        return Ok(true);
    }
    let refused = refused.into_iter().map(|(topic, no)| (topic, no.into()));
    aside.topics_of.entry(shown).or_default().extend(refused);
    Ok(!topics.is_empty())
}

fn unknown_topic(topic: OffsetFetchRequestTopic, why: Refusal) -> OffsetFetchResponseTopic {
    let partitions = topic.partition_indexes.iter().map(|index| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(*index)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()))
            .with_error_code(why.code())
    });
    OffsetFetchResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name)
}

fn unknown_topics((topic, why): (OffsetFetchRequestTopics, Refusal)) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*index)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()))
            .with_error_code(why.code())
    });
    OffsetFetchResponseTopics::default()
        .with_partitions(partitions.collect())
        .with_name(topic.name)
        .with_topic_id(topic.topic_id)
}

/// From here on a topic goes by its id (KIP-848).
const BY_ID: i16 = 10;

fn refused_group((group, why): (GroupId, Refusal)) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup::default().with_group_id(group).with_error_code(why.code())
}

#[cfg(test)]
mod tests {
    use crate::wire::messages::offset_commit_request::OffsetCommitRequestPartition;

    use super::*;
    use crate::api::testing::{World, said, text};
    use crate::policy::Resource;

    fn world() -> World {
        World::allowing(&[
            (Operation::Read, Resource::Topic, "orders"),
            (Operation::Describe, Resource::Topic, "extra_topic"),
            (Operation::Read, Resource::Group, "readers"),
            (Operation::Describe, Resource::Group, "watched"),
        ])
    }

    fn commit(group: &str, topics: &[&str]) -> OffsetCommitRequest {
        let topics = topics.iter().map(|topic| {
            let partition = |index| OffsetCommitRequestPartition::default().with_partition_index(index);
            OffsetCommitRequestTopic::default()
                .with_name(text(topic).into())
                .with_partitions(vec![partition(0), partition(7)])
        });
        OffsetCommitRequest::default().with_group_id(text(group).into()).with_topics(topics.collect())
    }

    fn committed(topic: &str, code: i16) -> OffsetCommitResponseTopic {
        let partitions = [0, 7].map(|index| {
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
        });
        OffsetCommitResponseTopic::default().with_name(text(topic).into()).with_partitions(partitions.into())
    }

    /// What a commit of these topics is answered when the broker takes all that it gets.
    fn check_commit(group: &str, topics: &[&str], sent: &[&str], seen: &[(&str, i16)]) {
        for version in 2..=9 {
            let taken = sent.iter().map(|topic| committed(topic, 0)).collect();
            let answer = OffsetCommitResponse::default().with_topics(taken);
            let dialogue = world().talk::<OffsetCommit>(version, &commit(group, topics), &answer);
            let names: Vec<_> =
                dialogue.sent.iter().flat_map(|sent| &sent.topics).map(|topic| topic.name.as_str()).collect();
            assert_eq!(names, sent, "{version}");
            assert!(dialogue.sent.iter().all(|sent| sent.group_id.as_str() == format!("my-{group}")));
            let expected: Vec<_> = seen.iter().map(|(topic, code)| committed(topic, *code)).collect();
            assert_eq!(dialogue.seen.topics, expected, "{version}");
        }
    }

    #[test]
    fn a_topic_that_may_not_be_read_is_answered_for_while_the_rest_is_committed() {
        let seen = [("payments", 29), ("extra_topic", 29), ("orders", 0)];
        check_commit("readers", &["payments", "orders", "extra_topic"], &["my-orders"], &seen);
        check_commit("readers", &["payments"], &[], &[("payments", 29)]);
    }

    #[test]
    fn who_may_not_read_the_group_commits_nothing() {
        check_commit("watched", &["orders", "payments"], &[], &[("orders", 30), ("payments", 30)]);
        check_commit("", &["orders"], &[], &[("orders", 30)]);
    }

    #[test]
    fn offsets_of_topics_by_their_ids_are_those_of_ones_own() {
        let mut world = world();
        for (id, name) in [(1, "my-orders"), (2, "my-payments"), (3, "their-orders")] {
            world.learn(Uuid::from_u128(id), name);
        }
        let ids = [1, 2, 3, 4].map(Uuid::from_u128);
        let expected = [0, 29, 100, 100];
        let partition = OffsetCommitRequestPartition::default();
        let topics = ids.map(|id| {
            OffsetCommitRequestTopic::default().with_topic_id(id).with_partitions(vec![partition.clone()])
        });
        let request = commit("readers", &[]).with_topics(topics.to_vec());
        let taken = OffsetCommitResponseTopic::default()
            .with_topic_id(ids[0])
            .with_partitions(vec![OffsetCommitResponsePartition::default()]);
        let answer = OffsetCommitResponse::default().with_topics(vec![taken]);
        let talk = world.talk::<OffsetCommit>(10, &request, &answer);
        let sent: Vec<_> = talk.sent().topics.iter().map(|topic| topic.topic_id).collect();
        assert_eq!(sent, [ids[0]]);
        let seen = talk.seen.topics.iter().map(|topic| (topic.topic_id, topic.partitions[0].error_code));
        let mut in_place: Vec<_> = std::iter::zip(ids, expected).collect();
        in_place.rotate_left(1);
        assert_eq!(seen.collect::<Vec<_>>(), in_place);

        let topics = ids
            .map(|id| OffsetFetchRequestTopics::default().with_topic_id(id).with_partition_indexes(vec![0]));
        let group = OffsetFetchRequestGroup::default().with_group_id(text("readers").into());
        let request =
            OffsetFetchRequest::default().with_groups(vec![group.clone().with_topics(Some(topics.to_vec()))]);
        let told = |ids: &[Uuid]| {
            let topics = ids.iter().map(|id| {
                let partition = OffsetFetchResponsePartitions::default().with_committed_offset(5);
                OffsetFetchResponseTopics::default().with_topic_id(*id).with_partitions(vec![partition])
            });
            let group = OffsetFetchResponseGroup::default().with_group_id(text("my-readers").into());
            OffsetFetchResponse::default().with_groups(vec![group.with_topics(topics.collect())])
        };
        let talk = world.talk::<OffsetFetch>(10, &request, &told(&ids[..1]));
        let seen = talk.seen.groups[0].topics.iter();
        let seen = seen.map(|topic| (topic.topic_id, topic.partitions[0].error_code));
        assert_eq!(seen.collect::<Vec<_>>(), std::iter::zip(ids, expected).collect::<Vec<_>>());

        // All topics: the broker tells of others', too.
        world.topics = Some(Vec::new());
        let request = OffsetFetchRequest::default().with_groups(vec![group.with_topics(None)]);
        let talk = world.talk::<OffsetFetch>(10, &request, &told(&ids));
        let seen: Vec<_> = talk.seen.groups[0].topics.iter().map(|topic| topic.topic_id).collect();
        assert_eq!(seen, [ids[0]]);
    }

    fn fetch_one(group: &str, topics: Option<&[&str]>) -> OffsetFetchRequest {
        let topic = |name: &&str| {
            OffsetFetchRequestTopic::default().with_name(text(name).into()).with_partition_indexes(vec![0, 7])
        };
        OffsetFetchRequest::default()
            .with_group_id(text(group).into())
            .with_topics(topics.map(|topics| topics.iter().map(topic).collect()))
    }

    fn read_one(topic: &str, code: i16, offset: i64) -> OffsetFetchResponseTopic {
        let partitions = [0, 7].map(|index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_error_code(code)
        });
        OffsetFetchResponseTopic::default().with_name(text(topic).into()).with_partitions(partitions.into())
    }

    fn answer_one(topics: &[OffsetFetchResponseTopic]) -> OffsetFetchResponse {
        OffsetFetchResponse::default().with_topics(topics.to_vec())
    }

    #[test]
    fn a_topic_that_may_not_be_described_is_answered_for_while_the_rest_is_fetched() {
        for version in 1..=7 {
            let request = fetch_one("watched", Some(&["payments", "orders"]));
            let answer = answer_one(&[read_one("my-orders", 0, 5)]);
            let dialogue = world().talk::<OffsetFetch>(version, &request, &answer);
            assert_eq!(dialogue.sent(), &fetch_one("my-watched", Some(&["my-orders"])));
            let expected = answer_one(&[read_one("orders", 0, 5), read_one("payments", 29, -1)]);
            assert_eq!(dialogue.seen, expected);

            let request = fetch_one("watched", Some(&["payments"]));
            let dialogue = world().talk::<OffsetFetch>(version, &request, &answer);
            assert_eq!(dialogue.sent.len(), 0);
            assert_eq!(dialogue.seen, answer_one(&[read_one("payments", 29, -1)]));
        }
    }

    #[test]
    fn all_topics_of_a_group_are_those_that_the_client_may_describe() {
        let backend = ["my-orders", "my-payments", "orders", "extra_topic"];
        for version in 2..=7 {
            let answer = answer_one(&backend.map(|topic| read_one(topic, 0, 5)));
            let dialogue = world().talk::<OffsetFetch>(version, &fetch_one("readers", None), &answer);
            assert_eq!(dialogue.sent().topics, None);
            let expected = answer_one(&[read_one("orders", 0, 5), read_one("extra_topic", 0, 5)]);
            assert_eq!(dialogue.seen, expected);
        }
        for version in 8..=9 {
            let request = fetch_many(&[("readers", None)]);
            let answer = answer_many(&[("my-readers", 0, &backend.map(|topic| (topic, 0, 5)))]);
            let dialogue = world().talk::<OffsetFetch>(version, &request, &answer);
            assert_eq!(dialogue.sent().groups[0].topics, None);
            let expected = answer_many(&[("readers", 0, &[("orders", 0, 5), ("extra_topic", 0, 5)])]);
            assert_eq!(dialogue.seen, expected);
        }
    }

    #[test]
    fn where_a_group_failed_its_topics_are_not_spoken_of() {
        for version in 2..=7 {
            let request = fetch_one("readers", Some(&["payments", "orders"]));
            let answer = OffsetFetchResponse::default().with_error_code(16);
            assert_eq!(world().talk::<OffsetFetch>(version, &request, &answer).seen, answer);
        }
        for version in 8..=9 {
            let request = fetch_many(&[("readers", Some(&["payments", "orders"]))]);
            let answer = answer_many(&[("my-readers", 16, &[])]);
            let dialogue = world().talk::<OffsetFetch>(version, &request, &answer);
            assert_eq!(dialogue.seen, answer_many(&[("readers", 16, &[])]));
        }
    }

    #[test]
    fn a_refused_group_is_told_where_its_version_has_room_for_it() {
        for (group, code) in [("writers", 30), ("", 30)] {
            let of_partitions = answer_one(&[read_one("orders", code, -1)]);
            let of_the_group = OffsetFetchResponse::default().with_error_code(code);
            for version in 1..=7 {
                let request = fetch_one(group, Some(&["orders"]));
                let dialogue = world().talk::<OffsetFetch>(version, &request, &Default::default());
                assert_eq!(dialogue.sent.len(), 0);
                let expected = if version < 2 { &of_partitions } else { &of_the_group };
                assert_eq!(&dialogue.seen, expected, "{version}");
            }
            for version in 8..=9 {
                let request = fetch_many(&[(group, Some(&["orders"]))]);
                let dialogue = world().talk::<OffsetFetch>(version, &request, &Default::default());
                assert_eq!(dialogue.sent.len(), 0);
                assert_eq!(dialogue.seen, answer_many(&[(group, code, &[])]), "{version}");
            }
        }
    }

    type Fetched<'a> = (&'a str, i16, i64);

    fn fetch_many(groups: &[(&str, Option<&[&str]>)]) -> OffsetFetchRequest {
        let topic = |name: &&str| {
            OffsetFetchRequestTopics::default()
                .with_name(text(name).into())
                .with_partition_indexes(vec![0, 7])
        };
        let groups = groups.iter().map(|(group, topics)| {
            OffsetFetchRequestGroup::default()
                .with_group_id(text(group).into())
                .with_topics(topics.map(|topics| topics.iter().map(topic).collect()))
        });
        OffsetFetchRequest::default().with_groups(groups.collect())
    }

    fn answer_many(groups: &[(&str, i16, &[Fetched<'_>])]) -> OffsetFetchResponse {
        let topic = |(name, code, offset): &Fetched<'_>| {
            let partitions = [0, 7].map(|index| {
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_committed_offset(*offset)
                    .with_error_code(*code)
            });
            OffsetFetchResponseTopics::default()
                .with_name(text(name).into())
                .with_partitions(partitions.into())
        };
        let groups = groups.iter().map(|(group, code, topics)| {
            OffsetFetchResponseGroup::default()
                .with_group_id(text(group).into())
                .with_error_code(*code)
                .with_topics(topics.iter().map(topic).collect())
        });
        OffsetFetchResponse::default().with_groups(groups.collect())
    }

    #[test]
    fn groups_are_answered_for_one_by_one() {
        for version in 8..=9 {
            let request = fetch_many(&[
                ("writers", Some(&["orders"])),
                ("readers", Some(&["orders", "payments"])),
                ("watched", Some(&["payments"])),
                ("", None),
            ]);
            let answer = answer_many(&[
                ("my-readers", 0, &[("my-orders", 0, 5)]),
                ("their-readers", 0, &[("my-orders", 0, 6)]),
            ]);
            let dialogue = world().talk::<OffsetFetch>(version, &request, &answer);
            assert_eq!(dialogue.sent(), &fetch_many(&[("my-readers", Some(&["my-orders"]))]));
            let expected = answer_many(&[
                ("writers", 30, &[]),
                ("readers", 0, &[("orders", 0, 5), ("payments", 29, -1)]),
                ("watched", 0, &[("payments", 29, -1)]),
                ("", 30, &[]),
            ]);
            assert_eq!(dialogue.seen, expected);
        }
    }

    #[test]
    fn where_no_group_is_left_no_broker_is_asked() {
        for version in 8..=9 {
            let request = fetch_many(&[("watched", Some(&["payments"])), ("writers", None)]);
            let dialogue = world().talk::<OffsetFetch>(version, &request, &Default::default());
            assert_eq!(dialogue.sent.len(), 0);
            let expected = answer_many(&[("watched", 0, &[("payments", 29, -1)]), ("writers", 30, &[])]);
            assert_eq!(dialogue.seen, expected);
            assert_eq!(world().talk::<OffsetFetch>(version, &fetch_many(&[]), &expected).sent.len(), 1);
        }
    }

    #[test]
    fn a_group_named_twice_is_answered_for_with_all_its_topics() {
        let request =
            fetch_many(&[("readers", Some(&["payments"])), ("readers", Some(&["orders", "others"]))]);
        let answer = answer_many(&[("my-readers", 0, &[("my-orders", 0, 5)])]);
        let dialogue = world().talk::<OffsetFetch>(9, &request, &answer);
        let (first, second) = ([("payments", 29, -1)], [("orders", 0, 5), ("others", 29, -1)]);
        assert_eq!(dialogue.seen, answer_many(&[("readers", 0, &first), ("readers", 0, &second)]));
    }

    #[test]
    fn groups_can_be_refused_whole() {
        for version in 8..=9 {
            let request = fetch_many(&[("readers", None), ("watched", Some(&["orders"]))]);
            let seen = said(&OffsetFetch::refuse(request, Refusal::InvalidRequest, version), version);
            assert_eq!(seen, answer_many(&[("readers", 42, &[]), ("watched", 42, &[])]));
        }
    }
}
