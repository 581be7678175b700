//! Groups as an administrator sees them.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::blobs::{Blob, is_consumer};
use super::described_groups::{DescribedAside, admit_groups, group_operations};
use super::operations::NOT_ASKED;
use super::parts::Parting;
use super::{Api, Asking, Pass, Refusal, Showing, put_first, standard_text};
use crate::cluster::Lens;
use crate::policy::Operation;
use crate::wire::ApiKey;

/// Members of groups, and what they read.
pub struct DescribeGroups;

impl Api for DescribeGroups {
    type Request = DescribeGroupsRequest;
    type Response = DescribeGroupsResponse;
    type Aside = DescribedAside;

    const KEY: ApiKey = ApiKey::DescribeGroups;
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    fn admit(mut request: DescribeGroupsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let operations = &mut request.include_authorized_operations;
        let aside = DescribedAside::take(&mut request.groups, operations, ask.gate);
        let left = request.groups.len();
        Ok(aside.pass(request, left))
    }

    fn reveal(response: &mut DescribeGroupsResponse, aside: DescribedAside, show: &Showing<'_>) {
        show.lens.echoed(&mut response.groups, |group| (&mut group.group_id).into());
        for group in &mut response.groups {
            reveal_group(group, aside.operations, show.lens);
        }
        put_first(&mut response.groups, aside.refused.into_iter().map(refused_group));
    }

    fn refuse(request: DescribeGroupsRequest, why: Refusal, _version: i16) -> DescribeGroupsResponse {
        let refused = request.groups.into_iter().map(|group| refused_group((group, why)));
        DescribeGroupsResponse::default().with_groups(refused.collect())
    }
}

fn reveal_group(group: &mut DescribedGroup, operations: bool, lens: &Lens<'_>) {
    group.error_message = group.error_message.take().and_then(|_| standard_text(group.error_code));
    let speaks_of_topics = is_consumer(&group.protocol_type);
    for member in &mut group.members {
        reveal_member(member, speaks_of_topics, lens);
    }
    group.authorized_operations = group_operations(operations, group.error_code, &group.group_id, lens);
}

fn reveal_member(member: &mut DescribedGroupMember, speaks_of_topics: bool, lens: &Lens<'_>) {
    // The address from which this gateway, or whoever is on the backend directly, reaches the broker.
    member.client_host = StrBytes::default();
    if speaks_of_topics {
        Blob::Subscription.to_virtual(&mut member.member_metadata, lens);
        Blob::Assignment.to_virtual(&mut member.member_assignment, lens);
    }
}

/// A broker leaves the text out here, and so does this.
fn refused_group((group, why): (GroupId, Refusal)) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(group)
        .with_error_code(why.code())
        .with_authorized_operations(NOT_ASKED)
}

/// Which groups there are.
pub struct ListGroups;

impl Api for ListGroups {
    type Request = ListGroupsRequest;
    type Response = ListGroupsResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::ListGroups;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn admit(request: ListGroupsRequest, _ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        Ok(Pass::Forward(request, ()))
    }

    /// Who may describe the cluster sees all groups of it; anybody else those that he may describe.
    fn reveal(response: &mut ListGroupsResponse, (): (), show: &Showing<'_>) {
        if show.lens.grants_cluster(Operation::Describe) {
            show.lens.echoed(&mut response.groups, |group| (&mut group.group_id).into());
        } else {
            show.lens.listed(Operation::Describe, &mut response.groups, |group| (&mut group.group_id).into());
        }
    }

    fn refuse(_request: ListGroupsRequest, why: Refusal, _version: i16) -> ListGroupsResponse {
        ListGroupsResponse::default().with_error_code(why.code())
    }
}

/// Groups go, with all that they committed.
pub struct DeleteGroups;

impl Api for DeleteGroups {
    type Request = DeleteGroupsRequest;
    type Response = DeleteGroupsResponse;
    type Aside = Vec<(GroupId, Refusal)>;

    const KEY: ApiKey = ApiKey::DeleteGroups;
    /// 3, which Kafka 4.3 does not have yet, brings an error text.
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn admit(mut request: DeleteGroupsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut refused = admit_groups(Operation::Delete, &mut request.groups_names, ask.gate);
        // A broker answers for a refused group once, however often it is named.
        let mut seen = HashSet::new();
        refused.retain(|(group, _)| seen.insert(group.clone()));
        let nothing_left = request.groups_names.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut DeleteGroupsResponse, refused: Vec<(GroupId, Refusal)>, show: &Showing<'_>) {
        show.lens.echoed(&mut response.results, |result| (&mut result.group_id).into());
        response.results.extend(refused.into_iter().map(undeleted));
    }

    fn refuse(request: DeleteGroupsRequest, why: Refusal, _version: i16) -> DeleteGroupsResponse {
        let refused = request.groups_names.into_iter().map(|group| undeleted((group, why)));
        DeleteGroupsResponse::default().with_results(refused.collect())
    }
}

fn undeleted((group, why): (GroupId, Refusal)) -> DeletableGroupResult {
    DeletableGroupResult::default().with_group_id(group).with_error_code(why.code())
}

/// A group forgets how far it has read some topics.
pub struct OffsetDelete;

impl Api for OffsetDelete {
    type Request = OffsetDeleteRequest;
    type Response = OffsetDeleteResponse;
    type Aside = Vec<OffsetDeleteRequestTopic>;

    const KEY: ApiKey = ApiKey::OffsetDelete;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn part(
        request: &mut OffsetDeleteRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<OffsetDeleteRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(others))
    }

    /// Goes on even where no topic is left: whether there is such a group comes before its topics.
    fn admit(mut request: OffsetDeleteRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.one(Operation::Delete, &mut request.group_id)?;
        let refused = ask.gate.each(Operation::Read, &mut request.topics, |topic| (&mut topic.name).into());
        Ok(Pass::Forward(request, refused))
    }

    fn reveal(
        response: &mut OffsetDeleteResponse,
        refused: Vec<OffsetDeleteRequestTopic>,
        show: &Showing<'_>,
    ) {
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.name).into());
        if response.error_code == 0 {
            put_first(&mut response.topics, refused.into_iter().map(remembered));
        }
    }

    fn refuse(_request: OffsetDeleteRequest, why: Refusal, _version: i16) -> OffsetDeleteResponse {
        OffsetDeleteResponse::default().with_error_code(why.code())
    }

    fn join(first: &mut OffsetDeleteResponse, later: OffsetDeleteResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            first.error_code = later.error_code;
        }
        first.topics.extend(later.topics);
    }
}

fn remembered(topic: OffsetDeleteRequestTopic) -> OffsetDeleteResponseTopic {
    let partitions = topic.partitions.iter().map(|partition| {
        OffsetDeleteResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(Refusal::TopicDenied.code())
    });
    OffsetDeleteResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::list_groups_response::ListedGroup;
    use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestPartition;

    use super::*;
    use crate::api::blobs::sample as blob;
    use crate::api::testing::{World, said, text};
    use crate::policy::Resource;

    const ALLOWED: &[(Operation, Resource, &str)] =
        &[(Operation::Read, Resource::Group, "readers"), (Operation::Delete, Resource::Group, "old-*")];

    fn world() -> World {
        World::allowing(ALLOWED)
    }

    fn named(groups: &[&str]) -> Vec<GroupId> {
        groups.iter().map(|group| text(group).into()).collect()
    }

    fn described(group: &str, protocol_type: &str) -> DescribedGroup {
        let member = DescribedGroupMember::default()
            .with_member_id(text("m-1"))
            .with_client_host(text("/10.1.2.3"))
            .with_member_metadata(blob::subscription(&["my-orders", "their-orders"]))
            .with_member_assignment(blob::assignment(&[("my-orders", &[0]), ("their-orders", &[1])]));
        DescribedGroup::default()
            .with_group_id(text(group).into())
            .with_group_state(text("Stable"))
            .with_protocol_type(text(protocol_type))
            .with_members(vec![member])
    }

    fn answering(groups: Vec<DescribedGroup>) -> DescribeGroupsResponse {
        DescribeGroupsResponse::default().with_groups(groups)
    }

    #[test]
    fn a_group_is_described_with_the_names_that_the_client_knows() {
        for version in DescribeGroups::VERSIONS {
            let request = DescribeGroupsRequest::default().with_groups(named(&["readers"]));
            let answer = answering(vec![described("my-readers", "consumer")]);
            let dialogue = world().talk::<DescribeGroups>(version, &request, &answer);
            assert_eq!(dialogue.sent().groups, named(&["my-readers"]));
            let group = &dialogue.seen.groups[0];
            assert_eq!((group.group_id.as_str(), group.group_state.as_str()), ("readers", "Stable"));
            assert_eq!(group.members[0].client_host.as_str(), "");
            assert_eq!(group.members[0].member_metadata, blob::subscription(&["orders"]));
            assert_eq!(group.members[0].member_assignment, blob::assignment(&[("orders", &[0])]));
        }
    }

    #[test]
    fn what_members_of_another_protocol_say_is_theirs() {
        let request = DescribeGroupsRequest::default().with_groups(named(&["readers"]));
        let answer = answering(vec![described("my-readers", "connect")]);
        let dialogue = world().talk::<DescribeGroups>(5, &request, &answer);
        let (seen, said) = (&dialogue.seen.groups[0].members[0], &answer.groups[0].members[0]);
        assert_eq!(seen.member_metadata, said.member_metadata);
        assert_eq!(seen.member_assignment, said.member_assignment);
    }

    #[test]
    fn a_group_that_may_not_be_described_is_answered_for_while_the_rest_goes_through() {
        for version in DescribeGroups::VERSIONS {
            let request = DescribeGroupsRequest::default().with_groups(named(&["writers", "readers", ""]));
            let answer =
                answering(vec![described("my-readers", "consumer"), described("writers", "consumer")]);
            let dialogue = world().talk::<DescribeGroups>(version, &request, &answer);
            assert_eq!(dialogue.sent().groups, named(&["my-readers"]));
            let refused = |group: &str, code| {
                DescribedGroup::default().with_group_id(text(group).into()).with_error_code(code)
            };
            assert_eq!(dialogue.seen.groups[..2], [refused("writers", 30), refused("", 30)]);
            let request = DescribeGroupsRequest::default().with_groups(named(&["writers"]));
            let dialogue = world().talk::<DescribeGroups>(version, &request, &answer);
            assert_eq!(dialogue.sent.len(), 0);
            assert_eq!(dialogue.seen, answering(vec![refused("writers", 30)]));
        }
    }

    #[test]
    fn operations_on_a_group_are_those_of_the_client() {
        let (read, describe) = (1 << 3, 1 << 8);
        for (asked, code, expected) in
            [(true, 0, read | describe), (false, 0, i32::MIN), (true, 15, i32::MIN)]
        {
            let request = DescribeGroupsRequest::default()
                .with_groups(named(&["readers"]))
                .with_include_authorized_operations(asked);
            let group = described("my-readers", "consumer").with_error_code(code);
            let answer = answering(vec![group.with_authorized_operations(0x1148)]);
            let dialogue = world().talk::<DescribeGroups>(3, &request, &answer);
            assert!(!dialogue.sent().include_authorized_operations);
            assert_eq!(dialogue.seen.groups[0].authorized_operations, expected, "{asked} {code}");
        }
    }

    #[test]
    fn what_the_broker_says_of_a_group_quotes_no_name_of_the_backend() {
        let request = DescribeGroupsRequest::default().with_groups(named(&["readers"]));
        let group = described("my-readers", "").with_error_code(69);
        let answer = answering(vec![group.with_error_message(Some(text("Group my-readers not found.")))]);
        let dialogue = world().talk::<DescribeGroups>(6, &request, &answer);
        let message = dialogue.seen.groups[0].error_message.as_deref().unwrap();
        assert!(!message.is_empty() && !message.contains("my-"), "{message}");
    }

    fn check_listed(allowed: &[(Operation, Resource, &str)], expected: &[&str]) {
        for version in ListGroups::VERSIONS {
            let groups = ["my-readers", "my-writers", "their-readers", "readers", "my-", ""];
            let listed = groups.map(|group| ListedGroup::default().with_group_id(text(group).into()));
            let answer = ListGroupsResponse::default().with_error_code(15).with_groups(listed.into());
            let request = ListGroupsRequest::default();
            let dialogue = World::allowing(allowed).talk::<ListGroups>(version, &request, &answer);
            assert_eq!(dialogue.sent(), &request);
            assert_eq!(dialogue.seen.error_code, 15);
            let seen: Vec<_> = dialogue.seen.groups.into_iter().map(|group| group.group_id).collect();
            assert_eq!(seen, named(expected), "{version}");
        }
    }

    #[test]
    fn a_client_is_told_of_the_groups_that_it_may_describe() {
        check_listed(&[], &[]);
        check_listed(ALLOWED, &["readers"]);
    }

    #[test]
    fn who_may_describe_the_cluster_is_told_of_all_groups_of_the_namespace() {
        let describe_cluster = (Operation::Describe, Resource::Cluster, "kafka-cluster");
        check_listed(&[describe_cluster], &["readers", "writers"]);
    }

    #[test]
    fn a_group_that_may_not_be_deleted_is_answered_for_while_the_rest_goes_through() {
        let result = |group: &str, code| {
            DeletableGroupResult::default().with_group_id(text(group).into()).with_error_code(code)
        };
        for version in DeleteGroups::VERSIONS {
            let groups = named(&["readers", "old-1", "", "old-2"]);
            let request = DeleteGroupsRequest::default().with_groups_names(groups);
            let results = vec![result("my-old-1", 0), result("my-old-2", 68)];
            let answer = DeleteGroupsResponse::default().with_results(results);
            let dialogue = world().talk::<DeleteGroups>(version, &request, &answer);
            assert_eq!(dialogue.sent().groups_names, named(&["my-old-1", "my-old-2"]));
            let expected = [result("old-1", 0), result("old-2", 68), result("readers", 30), result("", 30)];
            assert_eq!(dialogue.seen.results, expected);

            let request = DeleteGroupsRequest::default().with_groups_names(named(&["readers"]));
            let dialogue = world().talk::<DeleteGroups>(version, &request, &answer);
            assert_eq!(dialogue.sent.len(), 0);
            assert_eq!(dialogue.seen.results, [result("readers", 30)]);
            assert_eq!(dialogue.denials.len(), 1);
        }
    }

    fn forget(group: &str, topics: &[&str]) -> OffsetDeleteRequest {
        let partition = |index| OffsetDeleteRequestPartition::default().with_partition_index(index);
        let topics = topics.iter().map(|topic| {
            OffsetDeleteRequestTopic::default()
                .with_name(text(topic).into())
                .with_partitions(vec![partition(0), partition(7)])
        });
        OffsetDeleteRequest::default().with_group_id(text(group).into()).with_topics(topics.collect())
    }

    fn forgotten(topics: &[(&str, i16)]) -> OffsetDeleteResponse {
        let topics = topics.iter().map(|(topic, code)| {
            let partitions = [0, 7].map(|index| {
                OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(*code)
            });
            OffsetDeleteResponseTopic::default()
                .with_name(text(topic).into())
                .with_partitions(partitions.into())
        });
        OffsetDeleteResponse::default().with_topics(topics.collect())
    }

    #[test]
    fn a_group_forgets_the_topics_that_the_client_may_read() {
        let answer = forgotten(&[("my-orders", 0), ("extra_topic", 86), ("their-orders", 0)]);
        let request = forget("old-1", &["secret", "orders", "extra_topic"]);
        let dialogue = forgetful().talk::<OffsetDelete>(0, &request, &answer);
        assert_eq!(dialogue.sent(), &forget("my-old-1", &["my-orders", "extra_topic"]));
        let expected = [("secret", 29), ("orders", 0), ("extra_topic", 86)];
        assert_eq!(dialogue.seen, forgotten(&expected));
    }

    #[test]
    fn whether_there_is_a_group_comes_before_its_topics() {
        let answer = OffsetDeleteResponse::default().with_error_code(69);
        for topics in [&["secret"][..], &["secret", "orders"], &[]] {
            let dialogue = forgetful().talk::<OffsetDelete>(0, &forget("old-1", topics), &answer);
            assert_eq!(dialogue.sent().group_id.as_str(), "my-old-1");
            assert_eq!(dialogue.seen, answer);
        }
    }

    #[test]
    fn who_may_not_delete_a_group_makes_it_forget_nothing() {
        for (group, code) in [("readers", 30), ("", 30)] {
            let request = forget(group, &["orders"]);
            let dialogue = forgetful().talk::<OffsetDelete>(0, &request, &forgotten(&[]));
            assert_eq!(dialogue.sent.len(), 0);
            assert_eq!(dialogue.seen, OffsetDeleteResponse::default().with_error_code(code));
        }
    }

    fn forgetful() -> World {
        World::allowing(&[
            (Operation::Delete, Resource::Group, "old-*"),
            (Operation::Read, Resource::Topic, "orders"),
            (Operation::Read, Resource::Topic, "extra_topic"),
        ])
    }

    #[test]
    fn who_asks_about_no_group_is_answered_by_the_broker() {
        let answer = answering(vec![]);
        assert_eq!(world().talk::<DescribeGroups>(6, &Default::default(), &answer).sent.len(), 1);
        let answer = DeleteGroupsResponse::default();
        assert_eq!(world().talk::<DeleteGroups>(2, &Default::default(), &answer).sent.len(), 1);
    }

    #[test]
    fn a_request_can_be_refused_whole_in_every_version() {
        let why = Refusal::InvalidRequest;
        for version in DescribeGroups::VERSIONS {
            let request = DescribeGroupsRequest::default().with_groups(named(&["readers"]));
            let seen = said(&DescribeGroups::refuse(request, why, version), version);
            assert_eq!((seen.groups[0].group_id.as_str(), seen.groups[0].error_code), ("readers", 42));
        }
        for version in ListGroups::VERSIONS {
            let seen = said(&ListGroups::refuse(ListGroupsRequest::default(), why, version), version);
            assert_eq!(seen.error_code, 42);
        }
        for version in DeleteGroups::VERSIONS {
            let request = DeleteGroupsRequest::default().with_groups_names(named(&["readers"]));
            let seen = said(&DeleteGroups::refuse(request, why, version), version);
            assert_eq!((seen.results[0].group_id.as_str(), seen.results[0].error_code), ("readers", 42));
        }
    }
}
