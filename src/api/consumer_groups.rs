//! Groups whose coordinator assigns the partitions (KIP-848).

use std::ops::RangeInclusive;

use kafka_protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, GroupId,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::described_groups::{DescribedAside, group_operations};
use super::operations::NOT_ASKED;
use super::subscriptions::{Settled, settle};
use super::{Api, Asking, METADATA_BY_ID, Pass, Refusal, Showing, put_first, regex, standard_text};
use crate::cluster::{Lens, No};
use crate::names::Mode;
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// A member joins, stays or leaves, and is told what it reads.
pub struct ConsumerGroupHeartbeat;

impl Api for ConsumerGroupHeartbeat {
    type Request = ConsumerGroupHeartbeatRequest;
    type Response = ConsumerGroupHeartbeatResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::ConsumerGroupHeartbeat;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn needs(_version: i16) -> Option<(ApiKey, i16)> {
        Some(METADATA_BY_ID)
    }

    fn ids(request: &ConsumerGroupHeartbeatRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request.topic_partitions.iter().flatten().for_each(|topic| tell(topic.topic_id));
    }

    /// One topic that may not be described refuses the whole heartbeat.
    fn admit(
        mut request: ConsumerGroupHeartbeatRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        match ask.gate.one(Operation::Read, &mut request.group_id) {
            Err(No::Empty(_)) => return Err(Refusal::InvalidRequest),
            verdict => verdict?,
        }
        if let Some(topics) = &mut request.subscribed_topic_names {
            ask.gate.each_once(Operation::Describe, topics, |topic| topic.into())?;
        }
        // What a member holds is compared with what it was given, and an id that it was not given is no
        // part of that: what is nobody's here is left out, and a right that went away takes nothing.
        if let Some(topics) = &mut request.topic_partitions {
            topics.retain_mut(|topic| {
                ask.gate.topic_behind(topic.topic_id).is_some()
                    && ask.gate.rename_id(Operation::Describe, &mut topic.topic_id).is_ok()
            });
        }
        if ask.version >= REGEX_SINCE && settle(&mut request, ask)? == Settled::TopicsWanted {
            return Ok(Pass::AskTopics);
        }
        Ok(Pass::Forward(request, ()))
    }

    /// An id of which no broker has told yet passes: it opens nothing, and the member would lose what it
    /// was given.
    fn reveal(response: &mut ConsumerGroupHeartbeatResponse, (): (), show: &Showing<'_>) {
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        if let Some(assignment) = &mut response.assignment {
            assignment.topic_partitions.retain_mut(|topic| !show.lens.is_foreign(&mut topic.topic_id));
        }
    }

    fn refuse(
        _request: ConsumerGroupHeartbeatRequest,
        why: Refusal,
        _version: i16,
    ) -> ConsumerGroupHeartbeatResponse {
        let text = match why {
            // A broker leaves it at the code.
            Refusal::GroupDenied | Refusal::TopicDenied => None,
            _ => standard_text(why.code()),
        };
        ConsumerGroupHeartbeatResponse::default().with_error_code(why.code()).with_error_message(text)
    }
}

/// From here on a member may subscribe by a pattern.
const REGEX_SINCE: i16 = 1;

/// Members of such groups, and what they read.
pub struct ConsumerGroupDescribe;

impl Api for ConsumerGroupDescribe {
    type Request = ConsumerGroupDescribeRequest;
    type Response = ConsumerGroupDescribeResponse;
    type Aside = DescribedAside;

    const KEY: ApiKey = ApiKey::ConsumerGroupDescribe;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn admit(mut request: ConsumerGroupDescribeRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let operations = &mut request.include_authorized_operations;
        let aside = DescribedAside::take(&mut request.group_ids, operations, ask.gate);
        let left = request.group_ids.len();
        Ok(aside.pass(request, left))
    }

    fn reveal(response: &mut ConsumerGroupDescribeResponse, aside: DescribedAside, show: &Showing<'_>) {
        show.lens.echoed(&mut response.groups, |group| (&mut group.group_id).into());
        for group in &mut response.groups {
            reveal_group(group, aside.operations, show.lens);
        }
        put_first(&mut response.groups, aside.refused.into_iter().map(refused_group));
    }

    fn refuse(
        request: ConsumerGroupDescribeRequest,
        why: Refusal,
        _version: i16,
    ) -> ConsumerGroupDescribeResponse {
        let refused = request.group_ids.into_iter().map(|group| refused_group((group, why)));
        ConsumerGroupDescribeResponse::default().with_groups(refused.collect())
    }
}

/// Who may not know of one topic that a member reads is told nothing of the group.
fn reveal_group(group: &mut DescribedGroup, operations: bool, lens: &Lens<'_>) {
    group.error_message = group.error_message.take().and_then(|_| standard_text(group.error_code));
    if !group.members.iter_mut().all(|member| reveal_member(member, lens)) {
        *group = refused_group((std::mem::take(&mut group.group_id), Refusal::TopicDenied))
            .with_error_message(Some(StrBytes::from_static_str(DENIED_INSIDE)));
        return;
    }
    group.authorized_operations = group_operations(operations, group.error_code, &group.group_id, lens);
}

/// False where the client may not know of something that the member was given.
fn reveal_member(member: &mut Member, lens: &Lens<'_>) -> bool {
    // The address from which this gateway, or whoever is on the backend directly, reaches the broker.
    member.client_host = StrBytes::default();
    lens.echoed(&mut member.subscribed_topic_names, |name| name.into());
    member.subscribed_topic_regex =
        member.subscribed_topic_regex.take().map(|regex| reveal_regex(&regex, lens));
    let now = reveal_assignment(&mut member.assignment, lens);
    reveal_assignment(&mut member.target_assignment, lens) && now
}

/// The client's own pattern; one that was never confined here may speak of others' topics.
fn reveal_regex(regex: &str, lens: &Lens<'_>) -> StrBytes {
    let namespace = lens.namespace();
    let own = match namespace.mode() {
        Mode::HidePrefix => regex::unwrapped(regex, namespace.prefix()),
        Mode::EnforcePrefix => None,
    };
    StrBytes::from_string(own.unwrap_or_default())
}

fn reveal_assignment(assignment: &mut Assignment, lens: &Lens<'_>) -> bool {
    for topic in &mut assignment.topic_partitions {
        lens.learn(&mut topic.topic_id, &topic.topic_name.0);
    }
    assignment.topic_partitions.iter_mut().all(|topic| {
        lens.one(&mut topic.topic_name)
            && lens.grants(Operation::Describe, Resource::Topic, &topic.topic_name.0)
    })
}

/// A broker leaves the text out here, and so does this.
fn refused_group((group, why): (GroupId, Refusal)) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(group)
        .with_error_code(why.code())
        .with_authorized_operations(NOT_ASKED)
}

/// Kafka's own words, which name nothing.
const DENIED_INSIDE: &str = "The group has described topic(s) that the client is not authorized to describe.";

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::consumer_group_describe_response::TopicPartitions;
    use kafka_protocol::messages::{consumer_group_heartbeat_request, consumer_group_heartbeat_response};

    use super::*;
    use crate::api::testing::{World, text};

    const ALLOWED: &[(Operation, Resource, &str)] = &[
        (Operation::Read, Resource::Group, "readers"),
        (Operation::Describe, Resource::Topic, "orders"),
        (Operation::Describe, Resource::Topic, "gone"),
    ];

    fn world() -> World {
        World::allowing(ALLOWED)
    }

    fn names(names: &[&str]) -> Vec<TopicName> {
        names.iter().map(|name| TopicName(text(name))).collect()
    }

    fn joining(group: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(group).into())
            .with_member_id(text("m-1"))
            .with_rack_id(Some(text("rack-1")))
            .with_subscribed_topic_names(Some(names(topics)))
    }

    fn answer() -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse::default().with_member_id(Some(text("m-1"))).with_member_epoch(3)
    }

    #[test]
    fn a_member_joins_under_the_brokers_names() {
        for version in ConsumerGroupHeartbeat::VERSIONS {
            let talk =
                world().talk::<ConsumerGroupHeartbeat>(version, &joining("readers", &["orders"]), &answer());
            assert_eq!(talk.sent(), &joining("my-readers", &["my-orders"]));
            assert_eq!(talk.seen, answer());
            let mut still = joining("readers", &[]);
            still.subscribed_topic_names = None;
            let talk = world().talk::<ConsumerGroupHeartbeat>(version, &still, &answer());
            assert_eq!(talk.sent().subscribed_topic_names, None);
        }
    }

    #[test]
    fn a_group_without_a_name_is_invalid_where_all_is_granted() {
        let mut world = World::allowing(&[(Operation::Read, Resource::Group, "*")]);
        let talk = world.talk::<ConsumerGroupHeartbeat>(1, &joining("", &[]), &answer());
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 42));
    }

    #[test]
    fn a_member_that_names_a_topic_twice_reads_it_once() {
        let rights = [
            (Operation::Read, Resource::Group, "readers"),
            (Operation::Read, Resource::Topic, "orders"),
            (Operation::Read, Resource::Topic, "sales"),
        ];
        let mut world = World::allowing(&rights).with_alias("sales", "orders").with_alias("secret", "orders");
        let said = joining("readers", &["sales", "orders"]);
        let talk = world.talk::<ConsumerGroupHeartbeat>(0, &said, &answer());
        assert_eq!(talk.sent(), &joining("my-readers", &["my-orders"]));
        assert_eq!((talk.seen.error_code, talk.denials.len()), (0, 0));
        let said = joining("readers", &["orders", "secret"]);
        let talk = world.talk::<ConsumerGroupHeartbeat>(0, &said, &answer());
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 29));
    }

    #[test]
    fn a_heartbeat_with_one_thing_that_is_denied_is_refused_whole() {
        for version in ConsumerGroupHeartbeat::VERSIONS {
            for (group, topics, code) in [
                ("writers", &["orders"][..], 30),
                ("", &["orders"], 30),
                ("readers", &["orders", "secret"], 29),
                ("readers", &[""], 29),
            ] {
                let talk =
                    world().talk::<ConsumerGroupHeartbeat>(version, &joining(group, topics), &answer());
                assert_eq!(talk.sent, []);
                let refused = ConsumerGroupHeartbeatResponse::default()
                    .with_error_code(code)
                    .with_error_message(standard_text(code).filter(|_| code == 24));
                assert_eq!(talk.seen, refused, "{group} {topics:?}");
            }
        }
    }

    #[test]
    fn a_member_holds_and_is_given_what_is_its_tenants_or_yet_unknown() {
        let id = Uuid::from_u128;
        let world = || {
            let world = world();
            for (number, name) in [(1, "my-orders"), (2, "my-secret"), (3, "their-orders")] {
                world.learn(id(number), name);
            }
            world
        };
        let held = |ids: &[u128]| {
            let topic = consumer_group_heartbeat_request::TopicPartitions::default;
            ids.iter().map(|number| topic().with_topic_id(id(*number)).with_partitions(vec![0])).collect()
        };
        let given = |ids: &[u128]| {
            let topic = consumer_group_heartbeat_response::TopicPartitions::default;
            let topics = ids.iter().map(|number| topic().with_topic_id(id(*number)).with_partitions(vec![1]));
            consumer_group_heartbeat_response::Assignment::default().with_topic_partitions(topics.collect())
        };
        for version in ConsumerGroupHeartbeat::VERSIONS {
            let request = joining("readers", &[]).with_topic_partitions(Some(held(&[1, 2, 3, 4])));
            let answer = answer().with_assignment(Some(given(&[1, 2, 3, 4])));
            let talk = world().talk::<ConsumerGroupHeartbeat>(version, &request, &answer);
            assert_eq!(talk.sent().topic_partitions, Some(held(&[1, 2])));
            assert_eq!(talk.seen.assignment, Some(given(&[1, 2, 4])));
        }
    }

    #[test]
    fn a_pattern_goes_on_confined_or_as_the_topics_that_it_means() {
        let request = joining("readers", &[]).with_subscribed_topic_regex(Some(text("o.*|x")));
        let everything = [(Operation::Read, Resource::Group, "*"), (Operation::Read, Resource::Topic, "*")];
        let talk = World::alone(&everything).talk::<ConsumerGroupHeartbeat>(1, &request, &answer());
        assert_eq!(talk.sent().subscribed_topic_regex.as_deref(), Some("my-(?:o.*|x)"));
        let mut world = world();
        world.topics = Some(
            ["my-orders", "my-other", "orders"]
                .map(|topic| crate::names::Backend::said_by_broker(text(topic)))
                .into(),
        );
        let talk = world.talk::<ConsumerGroupHeartbeat>(1, &request, &answer());
        assert_eq!(talk.sent().subscribed_topic_names, Some(names(&["my-orders"])));
        assert_eq!(talk.sent().subscribed_topic_regex.as_deref(), Some(""));
        let request = joining("readers", &[]).with_subscribed_topic_regex(Some(text("a)|(.*")));
        let talk = world.talk::<ConsumerGroupHeartbeat>(1, &request, &answer());
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 128));
    }

    #[test]
    fn what_the_broker_says_of_a_member_quotes_no_name_of_the_backend() {
        for (code, expected) in [(25, true), (110, true), (0, false), (1000, false)] {
            let answer = answer().with_error_code(code).with_error_message(Some(text("Group my-readers.")));
            let talk = world().talk::<ConsumerGroupHeartbeat>(1, &joining("readers", &[]), &answer);
            let message = talk.seen.error_message.as_deref().unwrap_or_default();
            assert_eq!((!message.is_empty(), message.contains("my-")), (expected, false), "{message}");
        }
    }

    fn given(topics: &[(u128, &str)]) -> Assignment {
        let topics = topics.iter().map(|(id, topic)| {
            TopicPartitions::default()
                .with_topic_id(Uuid::from_u128(*id))
                .with_topic_name(TopicName(text(topic)))
                .with_partitions(vec![0, 7])
        });
        Assignment::default().with_topic_partitions(topics.collect())
    }

    fn member(host: &str, subscribed: &[&str], regex: &str, now: Assignment, then: Assignment) -> Member {
        Member::default()
            .with_member_id(text("m-1"))
            .with_client_host(text(host))
            .with_subscribed_topic_names(names(subscribed))
            .with_subscribed_topic_regex(Some(text(regex)))
            .with_assignment(now)
            .with_target_assignment(then)
    }

    fn described(group: &str, code: i16, member: Member) -> DescribedGroup {
        DescribedGroup::default()
            .with_group_id(text(group).into())
            .with_error_code(code)
            .with_group_state(text("Stable"))
            .with_assignor_name(text("uniform"))
            .with_members(vec![member])
    }

    fn asking(groups: &[&str]) -> ConsumerGroupDescribeRequest {
        let groups = groups.iter().map(|group| text(group).into()).collect();
        ConsumerGroupDescribeRequest::default().with_group_ids(groups)
    }

    fn answering(groups: Vec<DescribedGroup>) -> ConsumerGroupDescribeResponse {
        ConsumerGroupDescribeResponse::default().with_groups(groups)
    }

    #[test]
    fn a_group_is_described_with_the_names_that_the_client_knows() {
        for version in ConsumerGroupDescribe::VERSIONS {
            let world = &mut world();
            let subscribed = ["my-orders", "their-orders", "my-secret"];
            let orders = || given(&[(1, "my-orders")]);
            let theirs = member("/10.1.2.3", &subscribed, "my-(?:o.*|x)", orders(), orders());
            let answer = answering(vec![described("my-readers", 0, theirs)]);
            let talk = world.talk::<ConsumerGroupDescribe>(version, &asking(&["readers"]), &answer);
            assert_eq!(talk.sent(), &asking(&["my-readers"]));
            let orders = || given(&[(1, "orders")]);
            let shown = member("", &["orders", "secret"], "o.*|x", orders(), orders());
            assert_eq!(talk.seen, answering(vec![described("readers", 0, shown)]));
            assert!(world.gate().knows_id(Uuid::from_u128(1)));
        }
    }

    #[test]
    fn a_pattern_that_was_not_confined_here_is_not_shown() {
        for (regex, expected) in [("their.*", ""), ("my-(?:a)|(b)", ""), ("my-.*", ""), ("", "")] {
            let theirs = member("", &[], regex, given(&[]), given(&[]));
            let answer = answering(vec![described("my-readers", 0, theirs)]);
            let talk = world().talk::<ConsumerGroupDescribe>(1, &asking(&["readers"]), &answer);
            let seen = talk.seen.groups[0].members[0].subscribed_topic_regex.as_deref();
            assert_eq!(seen, Some(expected), "{regex}");
        }
    }

    #[test]
    fn a_group_that_reads_what_the_client_may_not_know_of_is_told_of_by_its_name_alone() {
        let (orders, hidden) = (given(&[(1, "my-orders")]), |name| given(&[(1, "my-orders"), (2, name)]));
        for (now, then) in [
            (hidden("my-secret"), orders.clone()),
            (orders.clone(), hidden("my-secret")),
            (hidden("their-orders"), orders.clone()),
            (orders.clone(), hidden("orders")),
        ] {
            let group = described("my-readers", 0, member("", &["my-orders"], "", now, then));
            let request = asking(&["readers"]).with_include_authorized_operations(true);
            let talk = world().talk::<ConsumerGroupDescribe>(1, &request, &answering(vec![group]));
            let expected = DescribedGroup::default()
                .with_group_id(text("readers").into())
                .with_error_code(29)
                .with_error_message(Some(text(DENIED_INSIDE)));
            assert_eq!(talk.seen, answering(vec![expected]));
        }
    }

    #[test]
    fn a_group_that_may_not_be_described_is_answered_for_while_the_rest_goes_through() {
        for version in ConsumerGroupDescribe::VERSIONS {
            let request = asking(&["writers", "readers", ""]);
            let answer = answering(vec![described("my-readers", 69, Member::default())]);
            let talk = world().talk::<ConsumerGroupDescribe>(version, &request, &answer);
            assert_eq!(talk.sent(), &asking(&["my-readers"]));
            let codes = |seen: &ConsumerGroupDescribeResponse| {
                let groups = seen.groups.iter();
                groups.map(|group| (group.group_id.to_string(), group.error_code)).collect::<Vec<_>>()
            };
            let expected = [("writers", 30), ("", 30), ("readers", 69)];
            assert_eq!(codes(&talk.seen), expected.map(|(group, code)| (group.to_owned(), code)));
            let talk = world().talk::<ConsumerGroupDescribe>(version, &asking(&["writers"]), &answer);
            assert_eq!(talk.sent, []);
            assert_eq!(codes(&talk.seen), [("writers".to_owned(), 30)]);
        }
    }

    #[test]
    fn operations_on_a_group_are_those_of_the_client() {
        let (read, describe) = (1 << 3, 1 << 8);
        for (asked, code, expected) in
            [(true, 0, read | describe), (false, 0, i32::MIN), (true, 15, i32::MIN)]
        {
            let request = asking(&["readers"]).with_include_authorized_operations(asked);
            let group = described("my-readers", code, Member::default()).with_authorized_operations(0x1148);
            let group = group.with_error_message(Some(text("Group my-readers.")));
            let talk = world().talk::<ConsumerGroupDescribe>(0, &request, &answering(vec![group]));
            assert!(!talk.sent().include_authorized_operations);
            let seen = &talk.seen.groups[0];
            assert_eq!(seen.authorized_operations, expected, "{asked} {code}");
            assert_eq!(seen.error_message, standard_text(code));
        }
    }
}
