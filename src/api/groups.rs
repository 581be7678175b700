//! The classic group protocol, as its members speak it.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::blobs::{Blob, assigns_topics, is_consumer};
use super::{Api, Asking, Pass, Refusal, Showing};
use crate::policy::Operation;
use crate::wire::ApiKey;

/// A member enters a group, and learns who leads it.
pub struct JoinGroup;

impl Api for JoinGroup {
    type Request = JoinGroupRequest;
    type Response = JoinGroupResponse;
    /// Whether the members speak the consumer protocol.
    type Aside = bool;

    const KEY: ApiKey = ApiKey::JoinGroup;
    const VERSIONS: RangeInclusive<i16> = 0..=9;

    fn admit(mut request: JoinGroupRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let group = request.group_id.0.clone();
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        let is_consumer = is_consumer(&request.protocol_type);
        if is_consumer {
            let blobs = request.protocols.iter_mut().map(|protocol| &mut protocol.metadata);
            Blob::Subscription.to_backend(blobs, ask.gate)?;
        }
        ask.conversation.note_protocol(&group, is_consumer);
        Ok(Pass::Forward(request, is_consumer))
    }

    /// Only the leader is told of members.
    fn reveal(response: &mut JoinGroupResponse, is_consumer: bool, show: &Showing<'_>) {
        if is_consumer {
            for member in &mut response.members {
                Blob::Subscription.to_virtual(&mut member.metadata, show.lens);
            }
        }
    }

    fn refuse(_request: JoinGroupRequest, why: Refusal, version: i16) -> JoinGroupResponse {
        let response = JoinGroupResponse::default().with_error_code(why.code()).with_generation_id(-1);
        // No protocol is null from version 7 on, and the empty one before.
        if version >= 7 { response.with_protocol_name(None) } else { response }
    }
}

/// The leader says who reads what, and each member learns its part.
pub struct SyncGroup;

impl Api for SyncGroup {
    type Request = SyncGroupRequest;
    type Response = SyncGroupResponse;
    /// Whether the members speak the consumer protocol, where somebody said it.
    type Aside = Option<bool>;

    const KEY: ApiKey = ApiKey::SyncGroup;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn admit(mut request: SyncGroupRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let is_consumer = match &request.protocol_type {
            Some(protocol_type) => Some(is_consumer(protocol_type)),
            None => ask.conversation.speaks_consumer_protocol(&request.group_id.0),
        };
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        let blobs = request.assignments.iter_mut().map(|member| &mut member.assignment);
        let of_topics = blobs.filter(|assignment| assigns_topics(is_consumer, assignment));
        Blob::Assignment.to_backend(of_topics, ask.gate)?;
        Ok(Pass::Forward(request, is_consumer))
    }

    fn reveal(response: &mut SyncGroupResponse, is_consumer: Option<bool>, show: &Showing<'_>) {
        if assigns_topics(is_consumer, &response.assignment) {
            Blob::Assignment.to_virtual(&mut response.assignment, show.lens);
        }
    }

    fn refuse(_request: SyncGroupRequest, why: Refusal, _version: i16) -> SyncGroupResponse {
        SyncGroupResponse::default().with_error_code(why.code())
    }
}

/// A member is alive.
pub struct Heartbeat;

impl Api for Heartbeat {
    type Request = HeartbeatRequest;
    type Response = HeartbeatResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::Heartbeat;
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    fn admit(mut request: HeartbeatRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(_response: &mut HeartbeatResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(_request: HeartbeatRequest, why: Refusal, _version: i16) -> HeartbeatResponse {
        HeartbeatResponse::default().with_error_code(why.code())
    }
}

/// Members go.
pub struct LeaveGroup;

impl Api for LeaveGroup {
    type Request = LeaveGroupRequest;
    type Response = LeaveGroupResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::LeaveGroup;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn admit(mut request: LeaveGroupRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Read, &mut request.group_id)?;
        Ok(Pass::Forward(request, ()))
    }

    /// Member ids are the group's own, and free of names.
    fn reveal(_response: &mut LeaveGroupResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(_request: LeaveGroupRequest, why: Refusal, _version: i16) -> LeaveGroupResponse {
        LeaveGroupResponse::default().with_error_code(why.code())
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
    use kafka_protocol::messages::leave_group_response::MemberResponse;
    use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;

    use super::*;
    use crate::api::blobs::sample as blob;
    use crate::api::testing::{World, text};
    use crate::policy::Resource;

    const ALLOWED: &[(Operation, Resource, &str)] = &[(Operation::Read, Resource::Group, "readers")];

    fn world() -> World {
        World::allowing(ALLOWED)
    }

    fn join(protocol_type: &str, topics: &[&str]) -> JoinGroupRequest {
        let protocols = ["range", "sticky"].map(|name| {
            JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(blob::subscription(topics))
        });
        JoinGroupRequest::default()
            .with_group_id(text("readers").into())
            .with_protocol_type(text(protocol_type))
            .with_protocols(protocols.into())
    }

    fn joined(topics: &[&str]) -> JoinGroupResponse {
        let member = JoinGroupResponseMember::default()
            .with_member_id(text("m-1"))
            .with_metadata(blob::subscription(topics));
        JoinGroupResponse::default()
            .with_protocol_name(Some(text("range")))
            .with_leader(text("m-1"))
            .with_members(vec![member])
    }

    fn sync(assignment: &[(&str, &[i32])]) -> SyncGroupRequest {
        let member = SyncGroupRequestAssignment::default()
            .with_member_id(text("m-1"))
            .with_assignment(blob::assignment(assignment));
        SyncGroupRequest::default().with_group_id(text("readers").into()).with_assignments(vec![member])
    }

    fn synced(assignment: &[(&str, &[i32])]) -> SyncGroupResponse {
        SyncGroupResponse::default().with_assignment(blob::assignment(assignment))
    }

    #[test]
    fn members_of_a_consumer_group_name_their_topics_on_each_side_as_it_knows_them() {
        for version in JoinGroup::VERSIONS {
            let request = join("consumer", &["orders", "extra_topic", "."]);
            let answer = joined(&["my-orders", "extra_topic", "their-orders"]);
            let dialogue = world().talk::<JoinGroup>(version, &request, &answer);
            assert_eq!(dialogue.sent().group_id.as_str(), "my-readers");
            for protocol in &dialogue.sent().protocols {
                assert_eq!(protocol.metadata, blob::subscription(&["my-orders", "extra_topic"]));
            }
            assert_eq!(dialogue.seen.leader.as_str(), "m-1");
            assert_eq!(dialogue.seen.members[0].metadata, blob::subscription(&["orders", "extra_topic"]));
        }
    }

    #[test]
    fn a_member_that_subscribes_to_both_names_of_a_topic_reads_it_once() {
        for (said, first) in [(["orders", "sales"], "orders"), (["sales", "orders"], "sales")] {
            let mut world = world().with_alias("sales", "orders");
            let talk = world.talk::<JoinGroup>(7, &join("consumer", &said), &joined(&["my-orders"]));
            for protocol in &talk.sent().protocols {
                assert_eq!(protocol.metadata, blob::subscription(&["my-orders"]));
            }
            assert_eq!(talk.seen.members[0].metadata, blob::subscription(&[first]));
            // What the leader gives under any name is given.
            let given: &[(&str, &[i32])] = &[("sales", &[0]), ("orders", &[1])];
            let sent: &[(&str, &[i32])] = &[("my-orders", &[0]), ("my-orders", &[1])];
            let talk = world.talk::<SyncGroup>(3, &sync(given), &synced(&[("my-orders", &[0, 1])]));
            assert_eq!(talk.sent().assignments[0].assignment, blob::assignment(sent));
            assert_eq!(talk.denials.len(), 0);
            // A follower says nothing of topics, and is told by the name that it joined by.
            world.talk::<JoinGroup>(7, &join("consumer", &said), &joined(&[]));
            let talk = world.talk::<SyncGroup>(3, &sync(&[]), &synced(&[("my-orders", &[0, 1])]));
            assert_eq!(talk.seen.assignment, blob::assignment(&[(first, &[0, 1])]));
        }
    }

    #[test]
    fn what_members_of_another_protocol_say_is_theirs() {
        let mut world = world();
        let dialogue = world.talk::<JoinGroup>(7, &join("connect", &["orders"]), &joined(&["my-orders"]));
        assert_eq!(dialogue.sent().protocols[0].metadata, blob::subscription(&["orders"]));
        assert_eq!(dialogue.seen.members[0].metadata, blob::subscription(&["my-orders"]));
        let assigned: &[(&str, &[i32])] = &[("my-orders", &[1])];
        let dialogue = world.talk::<SyncGroup>(3, &sync(assigned), &synced(assigned));
        assert_eq!(dialogue.sent().assignments[0].assignment, blob::assignment(assigned));
        assert_eq!(dialogue.seen.assignment, blob::assignment(assigned));
    }

    #[test]
    fn assignments_name_topics_on_each_side_as_it_knows_them() {
        let shown: &[(&str, &[i32])] = &[("orders", &[0, 1]), ("", &[2])];
        let backend: &[(&str, &[i32])] = &[("my-orders", &[0, 1]), ("their-orders", &[0])];
        for version in SyncGroup::VERSIONS {
            let mut world = world();
            world.talk::<JoinGroup>(version, &join("consumer", &["orders"]), &JoinGroupResponse::default());
            let dialogue = world.talk::<SyncGroup>(version, &sync(shown), &synced(backend));
            assert_eq!(dialogue.sent().group_id.as_str(), "my-readers");
            assert_eq!(dialogue.sent().assignments[0].assignment, blob::assignment(&backend[..1]));
            assert_eq!(dialogue.seen.assignment, blob::assignment(&shown[..1]));
        }
    }

    #[test]
    fn an_assignment_tells_its_protocol_where_nobody_else_does() {
        let dialogue =
            world().talk::<SyncGroup>(3, &sync(&[("orders", &[1])]), &synced(&[("my-orders", &[1])]));
        assert_eq!(dialogue.sent().assignments[0].assignment, blob::assignment(&[("my-orders", &[1])]));
        assert_eq!(dialogue.seen.assignment, blob::assignment(&[("orders", &[1])]));
    }

    #[test]
    fn what_a_sync_says_of_its_protocol_counts_more_than_what_the_join_said() {
        let mut world = world();
        world.talk::<JoinGroup>(9, &join("consumer", &[]), &JoinGroupResponse::default());
        let request = sync(&[("orders", &[1])]).with_protocol_type(Some(text("connect")));
        let dialogue = world.talk::<SyncGroup>(5, &request, &synced(&[("my-orders", &[1])]));
        assert_eq!(dialogue.sent().assignments[0].assignment, blob::assignment(&[("orders", &[1])]));
        assert_eq!(dialogue.seen.assignment, blob::assignment(&[("my-orders", &[1])]));
    }

    #[test]
    fn a_group_is_renamed_for_those_who_stay_and_those_who_go() {
        for version in Heartbeat::VERSIONS {
            let request = HeartbeatRequest::default().with_group_id(text("readers").into());
            let answer = HeartbeatResponse::default().with_error_code(27);
            let dialogue = world().talk::<Heartbeat>(version, &request, &answer);
            assert_eq!(dialogue.sent().group_id.as_str(), "my-readers");
            assert_eq!(dialogue.seen, answer);
        }
        for version in LeaveGroup::VERSIONS {
            let request = LeaveGroupRequest::default().with_group_id(text("readers").into());
            let mut answer = LeaveGroupResponse::default();
            if version >= 3 {
                answer.members = vec![MemberResponse::default().with_member_id(text("m-1"))];
            }
            let dialogue = world().talk::<LeaveGroup>(version, &request, &answer);
            assert_eq!(dialogue.sent().group_id.as_str(), "my-readers");
            assert_eq!(dialogue.seen, answer);
        }
    }

    /// The code with which a request for this group is refused, whatever API and version.
    fn check_refused(group: &str, code: i16) {
        let group = || text(group).into();
        for version in JoinGroup::VERSIONS {
            let request = join("consumer", &["orders"]).with_group_id(group());
            let dialogue = world().talk::<JoinGroup>(version, &request, &JoinGroupResponse::default());
            let nothing = if version >= 7 { None } else { Some(text("")) };
            let expected = JoinGroupResponse::default()
                .with_error_code(code)
                .with_generation_id(-1)
                .with_protocol_name(nothing);
            assert_eq!((dialogue.sent.len(), dialogue.seen), (0, expected), "JoinGroup {version}");
        }
        for version in SyncGroup::VERSIONS {
            let request = sync(&[]).with_group_id(group());
            let dialogue = world().talk::<SyncGroup>(version, &request, &SyncGroupResponse::default());
            let expected = SyncGroupResponse::default().with_error_code(code);
            assert_eq!((dialogue.sent.len(), dialogue.seen), (0, expected), "SyncGroup {version}");
        }
        for version in Heartbeat::VERSIONS {
            let request = HeartbeatRequest::default().with_group_id(group());
            let dialogue = world().talk::<Heartbeat>(version, &request, &HeartbeatResponse::default());
            let expected = HeartbeatResponse::default().with_error_code(code);
            assert_eq!((dialogue.sent.len(), dialogue.seen), (0, expected), "Heartbeat {version}");
        }
        for version in LeaveGroup::VERSIONS {
            let request = LeaveGroupRequest::default().with_group_id(group());
            let dialogue = world().talk::<LeaveGroup>(version, &request, &LeaveGroupResponse::default());
            let expected = LeaveGroupResponse::default().with_error_code(code);
            assert_eq!((dialogue.sent.len(), dialogue.seen), (0, expected), "LeaveGroup {version}");
        }
    }

    #[test]
    fn a_group_that_may_not_be_read_is_refused() {
        check_refused("writers", 30);
    }

    #[test]
    fn a_group_without_a_name_is_refused_whatever_is_granted() {
        check_refused("", 30);
        let mut world = World::allowing(&[(Operation::Read, Resource::Group, "*")]);
        let request = join("consumer", &[]).with_group_id(text("").into());
        let talk = world.talk::<JoinGroup>(5, &request, &JoinGroupResponse::default());
        assert_eq!((talk.sent.len(), talk.seen.error_code), (0, 24));
    }

    #[test]
    fn a_refused_member_leaves_no_trace_in_the_conversation() {
        let mut world = world();
        let request = join("consumer", &[]).with_group_id(text("writers").into());
        world.talk::<JoinGroup>(7, &request, &JoinGroupResponse::default());
        assert_eq!(world.conversation.speaks_consumer_protocol("writers"), None);
    }

    #[test]
    fn members_that_name_more_topics_than_a_request_may_are_refused() {
        let request = join("consumer", &vec!["a"; 50_001]); // in each of two protocols
        let dialogue = world().talk::<JoinGroup>(7, &request, &JoinGroupResponse::default());
        assert_eq!((dialogue.sent.len(), dialogue.seen.error_code), (0, 42));
        assert_eq!(dialogue.refused, Some(Refusal::InvalidRequest));
        let request = sync(&vec![("a", &[][..]); 100_001]);
        let dialogue = world().talk::<SyncGroup>(3, &request, &SyncGroupResponse::default());
        assert_eq!((dialogue.sent.len(), dialogue.seen.error_code), (0, 42));
    }
}
