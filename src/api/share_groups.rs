//! Members of share groups, and what an administrator sees of them (KIP-932).

use std::ops::RangeInclusive;

use kafka_protocol::messages::share_group_describe_response::{DescribedGroup, Member};
use kafka_protocol::messages::{
    GroupId, ShareGroupDescribeRequest, ShareGroupDescribeResponse, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::described_groups::{DescribedAside, group_operations};
use super::operations::NOT_ASKED;
use super::{Api, Asking, Pass, Refusal, Showing, put_first, standard_text};
use crate::cluster::{Lens, No};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// A member of a share group shows that it lives, and learns what it reads.
pub struct ShareGroupHeartbeat;

impl Api for ShareGroupHeartbeat {
    type Request = ShareGroupHeartbeatRequest;
    type Response = ShareGroupHeartbeatResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::ShareGroupHeartbeat;
    /// 0 was Kafka's early access, and is gone.
    const VERSIONS: RangeInclusive<i16> = 1..=1;

    /// One topic that may not be described refuses it all; no topics at all means the same as before.
    fn admit(mut request: ShareGroupHeartbeatRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        match ask.gate.one(Operation::Read, &mut request.group_id) {
            Err(No::Empty(_)) => return Err(Refusal::InvalidRequest),
            verdict => verdict?,
        }
        if let Some(topics) = &mut request.subscribed_topic_names {
            ask.gate.each_once(Operation::Describe, topics, |topic| topic.into())?;
        }
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut ShareGroupHeartbeatResponse, (): (), show: &Showing<'_>) {
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        if let Some(assignment) = &mut response.assignment {
            assignment.topic_partitions.retain_mut(|topic| !show.lens.is_foreign(&mut topic.topic_id));
        }
    }

    fn refuse(
        _request: ShareGroupHeartbeatRequest,
        why: Refusal,
        _version: i16,
    ) -> ShareGroupHeartbeatResponse {
        ShareGroupHeartbeatResponse::default().with_error_code(why.code())
    }
}

/// Members of share groups, and what they read.
pub struct ShareGroupDescribe;

impl Api for ShareGroupDescribe {
    type Request = ShareGroupDescribeRequest;
    type Response = ShareGroupDescribeResponse;
    type Aside = DescribedAside;

    const KEY: ApiKey = ApiKey::ShareGroupDescribe;
    const VERSIONS: RangeInclusive<i16> = 1..=1;

    fn admit(mut request: ShareGroupDescribeRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let operations = &mut request.include_authorized_operations;
        let aside = DescribedAside::take(&mut request.group_ids, operations, ask.gate);
        let left = request.group_ids.len();
        Ok(aside.pass(request, left))
    }

    fn reveal(response: &mut ShareGroupDescribeResponse, aside: DescribedAside, show: &Showing<'_>) {
        show.lens.echoed(&mut response.groups, |group| (&mut group.group_id).into());
        for group in &mut response.groups {
            reveal_group(group, aside.operations, show.lens);
        }
        put_first(&mut response.groups, aside.refused.into_iter().map(refused_group));
    }

    fn refuse(request: ShareGroupDescribeRequest, why: Refusal, _version: i16) -> ShareGroupDescribeResponse {
        let refused = request.group_ids.into_iter().map(|group| refused_group((group, why)));
        ShareGroupDescribeResponse::default().with_groups(refused.collect())
    }
}

/// A group whose members read what the client may not describe is hidden but for its name, as brokers do.
fn reveal_group(group: &mut DescribedGroup, operations: bool, lens: &Lens<'_>) {
    group.error_message = group.error_message.take().and_then(|_| standard_text(group.error_code));
    let mut seen = true;
    for member in &mut group.members {
        seen &= reveal_member(member, lens);
    }
    if !seen {
        let denied = Refusal::TopicDenied;
        *group = refused_group((std::mem::take(&mut group.group_id), denied));
        group.error_message = standard_text(denied.code());
        return;
    }
    group.authorized_operations = group_operations(operations, group.error_code, &group.group_id, lens);
}

/// Whether the client may describe all that this member reads.
fn reveal_member(member: &mut Member, lens: &Lens<'_>) -> bool {
    // The address from which this gateway, or whoever is on the backend directly, reaches the broker.
    member.client_host = StrBytes::default();
    lens.echoed(&mut member.subscribed_topic_names, |topic| topic.into());
    let mut seen = true;
    for topic in &mut member.assignment.topic_partitions {
        lens.learn(&mut topic.topic_id, &topic.topic_name.0);
        seen &= lens.one(&mut topic.topic_name)
            && lens.grants(Operation::Describe, Resource::Topic, &topic.topic_name.0);
    }
    seen
}

/// A broker leaves the text out here, and so does this.
fn refused_group((group, why): (GroupId, Refusal)) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(group)
        .with_error_code(why.code())
        .with_authorized_operations(NOT_ASKED)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::share_group_describe_response::{Assignment, TopicPartitions};
    use kafka_protocol::messages::share_group_heartbeat_response;
    use uuid::Uuid;

    use super::*;
    use crate::api::testing::{World, said, text};

    fn world() -> World {
        World::allowing(&[
            (Operation::Read, Resource::Group, "readers"),
            (Operation::Describe, Resource::Topic, "orders"),
            (Operation::Describe, Resource::Topic, "extra_topic"),
        ])
    }

    fn topics(names: &[&str]) -> Vec<TopicName> {
        names.iter().map(|name| TopicName(text(name))).collect()
    }

    fn beat(group: &str, of: Option<&[&str]>) -> ShareGroupHeartbeatRequest {
        ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_member_id(text("member"))
            .with_subscribed_topic_names(of.map(topics))
    }

    /// What goes on of a heartbeat's topics, or the code of the answer.
    fn check_beat(group: &str, of: Option<&[&str]>, expected: Result<Option<&[&str]>, i16>) {
        let answer = ShareGroupHeartbeatResponse::default();
        let talk = world().talk::<ShareGroupHeartbeat>(1, &beat(group, of), &answer);
        match expected {
            Ok(names) => {
                assert_eq!(talk.sent(), &beat("my-readers", names));
                assert_eq!(talk.seen, answer);
            }
            Err(code) => {
                assert!(talk.sent.is_empty());
                assert_eq!(talk.seen.error_code, code, "{group} {of:?}");
            }
        }
    }

    #[test]
    fn a_group_without_a_name_is_invalid_where_all_is_granted() {
        let mut world = World::allowing(&[(Operation::Read, Resource::Group, "*")]);
        let answer = ShareGroupHeartbeatResponse::default();
        let talk = world.talk::<ShareGroupHeartbeat>(1, &beat("", None), &answer);
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 42));
    }

    #[test]
    fn a_member_needs_the_right_to_its_group_and_to_each_topic() {
        check_beat("readers", Some(&["orders", "extra_topic"]), Ok(Some(&["my-orders", "extra_topic"])));
        check_beat("readers", Some(&["orders", "secret"]), Err(29));
        check_beat("readers", Some(&["secret"]), Err(29));
        check_beat("writers", Some(&["orders"]), Err(30));
        check_beat("writers", Some(&["secret"]), Err(30));
        check_beat("", None, Err(30));
    }

    #[test]
    fn no_topics_are_the_topics_as_they_were() {
        check_beat("readers", None, Ok(None));
        check_beat("readers", Some(&[]), Ok(Some(&[])));
    }

    #[test]
    fn a_member_is_not_told_to_read_what_is_anothers() {
        let world = world();
        world.learn(Uuid::from_u128(1), "my-orders");
        world.learn(Uuid::from_u128(2), "their-orders");
        let assigned = [1, 2, 3].map(|id| {
            share_group_heartbeat_response::TopicPartitions::default()
                .with_topic_id(Uuid::from_u128(id))
                .with_partitions(vec![0])
        });
        let assignment = share_group_heartbeat_response::Assignment::default();
        let answer = ShareGroupHeartbeatResponse::default()
            .with_error_code(42)
            .with_error_message(Some(text("my-orders is wrong")))
            .with_assignment(Some(assignment.with_topic_partitions(assigned.into())));
        let mut world = world;
        let seen = world.talk::<ShareGroupHeartbeat>(1, &beat("readers", None), &answer).seen;
        let assigned = seen.assignment.unwrap().topic_partitions;
        let ids: Vec<_> = assigned.iter().map(|topic| topic.topic_id.as_u128()).collect();
        assert_eq!(ids, [1, 3]);
        assert_eq!(seen.error_message, standard_text(42));
    }

    fn named(groups: &[&str]) -> ShareGroupDescribeRequest {
        let groups = groups.iter().map(|group| GroupId(text(group)));
        ShareGroupDescribeRequest::default().with_group_ids(groups.collect())
    }

    /// A group with a member that was told to read these.
    fn reading(group: &str, assigned: &[&str]) -> DescribedGroup {
        let partitions = assigned.iter().zip(1..).map(|(name, id)| {
            TopicPartitions::default()
                .with_topic_id(Uuid::from_u128(id))
                .with_topic_name(TopicName(text(name)))
        });
        let member = Member::default()
            .with_member_id(text("m-1"))
            .with_client_host(text("/10.1.2.3"))
            .with_subscribed_topic_names(topics(&["my-orders", "their-orders", "my-secret"]))
            .with_assignment(Assignment::default().with_topic_partitions(partitions.collect()));
        DescribedGroup::default()
            .with_group_id(GroupId(text(group)))
            .with_group_state(text("Stable"))
            .with_members(vec![member])
    }

    fn described(groups: Vec<DescribedGroup>) -> ShareGroupDescribeResponse {
        ShareGroupDescribeResponse::default().with_groups(groups)
    }

    #[test]
    fn a_group_is_described_with_the_names_that_the_client_knows() {
        let answer = described(vec![reading("my-readers", &["my-orders", "extra_topic"])]);
        let mut world = world();
        let talk = world.talk::<ShareGroupDescribe>(1, &named(&["readers"]), &answer);
        assert_eq!(talk.sent(), &named(&["my-readers"]));
        let member = &talk.seen.groups[0].members[0];
        assert_eq!(talk.seen.groups[0].group_id.as_str(), "readers");
        assert_eq!(member.client_host.as_str(), "");
        assert_eq!(member.subscribed_topic_names, topics(&["orders", "secret"]));
        let assigned = member.assignment.topic_partitions.iter().map(|topic| topic.topic_name.clone());
        assert_eq!(assigned.collect::<Vec<_>>(), topics(&["orders", "extra_topic"]));
        assert_eq!(world.lens().topic_behind(&mut Uuid::from_u128(1)), Some(text("orders")));
    }

    #[test]
    fn of_a_group_that_reads_what_the_client_may_not_describe_only_the_name_is_told() {
        for assigned in [&["my-orders", "my-secret"][..], &["their-orders", "my-orders"]] {
            let request = named(&["readers"]).with_include_authorized_operations(true);
            let answer = described(vec![reading("my-readers", assigned)]);
            let seen = world().talk::<ShareGroupDescribe>(1, &request, &answer).seen;
            let expected = DescribedGroup::default()
                .with_group_id(GroupId(text("readers")))
                .with_error_code(29)
                .with_error_message(standard_text(29));
            assert_eq!(seen, described(vec![expected]), "{assigned:?}");
        }
    }

    #[test]
    fn a_group_that_may_not_be_described_is_answered_for_while_the_rest_goes_through() {
        let answer = described(vec![reading("my-readers", &[]), reading("my-writers", &[])]);
        let refused = |group: &str, code| {
            DescribedGroup::default().with_group_id(GroupId(text(group))).with_error_code(code)
        };
        let talk = world().talk::<ShareGroupDescribe>(1, &named(&["writers", "readers", ""]), &answer);
        assert_eq!(talk.sent(), &named(&["my-readers"]));
        assert_eq!(talk.seen.groups[..2], [refused("writers", 30), refused("", 30)]);
        let talk = world().talk::<ShareGroupDescribe>(1, &named(&["writers"]), &answer);
        assert!(talk.sent.is_empty());
        assert_eq!(talk.seen, described(vec![refused("writers", 30)]));
    }

    #[test]
    fn operations_on_a_group_are_those_of_the_client() {
        let (read, describe) = (1 << 3, 1 << 8);
        for (asked, code, expected) in
            [(true, 0, read | describe), (false, 0, i32::MIN), (true, 15, i32::MIN)]
        {
            let request = named(&["readers"]).with_include_authorized_operations(asked);
            let group = reading("my-readers", &[]).with_error_code(code).with_authorized_operations(0x1148);
            let talk = world().talk::<ShareGroupDescribe>(1, &request, &described(vec![group]));
            assert!(!talk.sent().include_authorized_operations);
            assert_eq!(talk.seen.groups[0].authorized_operations, expected, "{asked} {code}");
        }
    }

    #[test]
    fn a_request_can_be_refused_whole() {
        let why = Refusal::InvalidRequest;
        assert_eq!(said(&ShareGroupHeartbeat::refuse(beat("readers", None), why, 1), 1).error_code, 42);
        let seen = said(&ShareGroupDescribe::refuse(named(&["readers"]), why, 1), 1);
        assert_eq!((seen.groups[0].group_id.as_str(), seen.groups[0].error_code), ("readers", 42));
    }
}
