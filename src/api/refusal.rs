//! Every way the gateway says no to a request, and Kafka's error code for it.

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::cluster::{Cause, Denial, No};
use crate::names::{InvalidName, Kind};
use crate::policy::Resource;

/// Why a request, or a part of one, does not pass.
///
/// Source: `authorization.tsv` of the protocol facts: the error is that of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    TopicDenied,
    GroupDenied,
    TransactionalIdDenied,
    ClusterDenied,
    InvalidTopic(InvalidName),
    InvalidGroup,
    InvalidRequest,
    /// No topic of this virtual cluster has the id.
    UnknownTopicId,
    /// A fetch session that this gateway never gave out.
    UnknownFetchSession,
    /// More share sessions, or more in them, than one connection may have.
    ShareSessionsFull,
    /// An additional topic is the backend's: nobody creates or deletes it from here.
    AdditionalTopic,
    /// It would concern everything there is on the Kafka cluster, other tenants' things included.
    WholeCluster,
    /// ACLs are the gateway's to decide, so Kafka's own are not to be had.
    NoAuthorizer,
    /// A filter by which more ACLs than this virtual cluster's could go.
    InexactFilter,
    /// An ACL about what is not in this virtual cluster.
    ForeignPattern,
    /// An ACL about an additional name, which is the backend's.
    AdditionalName,
    /// A token of the brokers' own, which would open them past the gateway.
    TokenDenied,
    /// Controllers are not shown.
    MismatchedEndpoint,
    UnsupportedEndpoint,
    /// A pattern over names that says nothing, or too much.
    InvalidPattern,
    /// A member of a group that must say everything again.
    FencedMember,
    /// A topology with topics that can not be.
    InvalidTopology,
    /// Granted by itself, and refused with something beside it.
    NotAttempted,
    /// An alias is called so.
    NameTaken,
}

impl Refusal {
    /// The refusal of an operation on a resource of this kind.
    pub fn of(resource: Resource) -> Self {
        match resource {
            Resource::Topic => Refusal::TopicDenied,
            Resource::Group => Refusal::GroupDenied,
            Resource::TransactionalId => Refusal::TransactionalIdDenied,
            Resource::Cluster => Refusal::ClusterDenied,
        }
    }

    /// The refusal behind one "no" of the gate.
    pub fn behind(denial: &Denial) -> Self {
        match denial.cause {
            Cause::Rule(_) | Cause::NoRule | Cause::OutsideNamespace | Cause::NotOptedIn => {
                Self::of(denial.resource)
            }
            Cause::InvalidName(why) => Refusal::InvalidTopic(why),
            Cause::UnknownId => Refusal::UnknownTopicId,
            Cause::Additional => Refusal::AdditionalTopic,
            Cause::TwoNames => Refusal::InvalidRequest,
        }
    }

    pub fn code(self) -> i16 {
        self.error().code()
    }

    pub fn error(self) -> ResponseError {
        match self {
            Refusal::TopicDenied => ResponseError::TopicAuthorizationFailed,
            Refusal::GroupDenied => ResponseError::GroupAuthorizationFailed,
            Refusal::TransactionalIdDenied => ResponseError::TransactionalIdAuthorizationFailed,
            Refusal::ClusterDenied => ResponseError::ClusterAuthorizationFailed,
            Refusal::InvalidTopic(_) => ResponseError::InvalidTopicException,
            Refusal::InvalidGroup => ResponseError::InvalidGroupId,
            Refusal::InvalidRequest
            | Refusal::WholeCluster
            | Refusal::InexactFilter
            | Refusal::ForeignPattern => ResponseError::InvalidRequest,
            Refusal::NoAuthorizer => ResponseError::SecurityDisabled,
            Refusal::TokenDenied => ResponseError::DelegationTokenAuthorizationFailed,
            Refusal::UnknownTopicId => ResponseError::UnknownTopicId,
            Refusal::UnknownFetchSession => ResponseError::FetchSessionIdNotFound,
            Refusal::ShareSessionsFull => ResponseError::ShareSessionLimitReached,
            Refusal::AdditionalTopic | Refusal::AdditionalName => ResponseError::PolicyViolation,
            Refusal::MismatchedEndpoint => ResponseError::MismatchedEndpointType,
            Refusal::UnsupportedEndpoint => ResponseError::UnsupportedEndpointType,
            Refusal::InvalidPattern => ResponseError::InvalidRegularExpression,
            Refusal::FencedMember => ResponseError::FencedMemberEpoch,
            Refusal::InvalidTopology => ResponseError::StreamsInvalidTopology,
            Refusal::NotAttempted => ResponseError::OperationNotAttempted,
            Refusal::NameTaken => ResponseError::TopicAlreadyExists,
        }
    }

    /// The metric label and the audit log's word.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::TopicDenied => "topic_denied",
            Refusal::GroupDenied => "group_denied",
            Refusal::TransactionalIdDenied => "transactional_id_denied",
            Refusal::ClusterDenied => "cluster_denied",
            Refusal::InvalidTopic(_) => "invalid_topic",
            Refusal::InvalidGroup => "invalid_group",
            Refusal::InvalidRequest => "invalid_request",
            Refusal::UnknownTopicId => "unknown_topic_id",
            Refusal::UnknownFetchSession => "unknown_fetch_session",
            Refusal::ShareSessionsFull => "share_sessions_full",
            Refusal::AdditionalTopic => "additional_topic",
            Refusal::WholeCluster => "whole_cluster",
            Refusal::NoAuthorizer => "no_authorizer",
            Refusal::TokenDenied => "token_denied",
            Refusal::InexactFilter => "inexact_filter",
            Refusal::ForeignPattern => "foreign_pattern",
            Refusal::AdditionalName => "additional_name",
            Refusal::MismatchedEndpoint => "mismatched_endpoint",
            Refusal::UnsupportedEndpoint => "unsupported_endpoint",
            Refusal::InvalidPattern => "invalid_pattern",
            Refusal::FencedMember => "fenced_member",
            Refusal::InvalidTopology => "invalid_topology",
            Refusal::NotAttempted => "not_attempted",
            Refusal::NameTaken => "name_taken",
        }
    }

    /// The text that stands beside the code, where a message has room for one.
    pub fn text(self) -> String {
        match self {
            Refusal::TopicDenied
            | Refusal::GroupDenied
            | Refusal::TransactionalIdDenied
            | Refusal::ClusterDenied
            | Refusal::TokenDenied => "Authorization failed.".to_owned(),
            Refusal::InvalidTopic(why) => format!("Invalid topic: {why}."),
            Refusal::InvalidGroup => "The group id is empty.".to_owned(),
            Refusal::InvalidRequest => "The request is not valid.".to_owned(),
            Refusal::UnknownTopicId => "This server does not host this topic ID.".to_owned(),
            Refusal::UnknownFetchSession => "There is no such fetch session.".to_owned(),
            Refusal::ShareSessionsFull => "The limit of share sessions is reached.".to_owned(),
            Refusal::AdditionalTopic => {
                "This topic is shared with the virtual cluster; it is managed on the backend.".to_owned()
            }
            Refusal::WholeCluster => {
                "Name what you mean: without names it is everything on the Kafka cluster.".to_owned()
            }
            Refusal::NoAuthorizer => "No Authorizer is configured.".to_owned(),
            Refusal::InexactFilter => {
                "Name the resource exactly: its type, its name, and whether it is literal or prefixed."
                    .to_owned()
            }
            Refusal::ForeignPattern => "No resource of this virtual cluster is called so.".to_owned(),
            Refusal::AdditionalName => {
                "This name is shared with the virtual cluster; it is managed on the backend.".to_owned()
            }
            Refusal::MismatchedEndpoint | Refusal::UnsupportedEndpoint => {
                "Only brokers are shown here.".to_owned()
            }
            Refusal::InvalidPattern => "The regular expression is not valid.".to_owned(),
            Refusal::FencedMember => "The member must join the group again.".to_owned(),
            Refusal::InvalidTopology => "The topology has a topic that can not be.".to_owned(),
            Refusal::NotAttempted => "Another part of the request was refused.".to_owned(),
            Refusal::NameTaken => "A topic of this name already exists.".to_owned(),
        }
    }
}

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        match no {
            No::Denied(resource) => Refusal::of(resource),
            No::UnknownId => Refusal::UnknownTopicId,
            No::Empty(Kind::Topic) => Refusal::InvalidTopic(InvalidName::Empty),
            No::Empty(Kind::Group) => Refusal::InvalidGroup,
            No::Empty(Kind::TransactionalId) | No::TwoNames => Refusal::InvalidRequest,
        }
    }
}

/// A text for a code that a broker explains: its own words quote backend names.
///
/// Shape: `None` for every other code; where no text comes, clients have one of their own.
pub fn standard_text(code: i16) -> Option<StrBytes> {
    let text = match ResponseError::try_from_code(code)? {
        ResponseError::UnknownServerError => "The broker met an error that it did not expect.",
        ResponseError::CorruptMessage => "The records fail their checksum, are too large, or lack a key.",
        ResponseError::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        ResponseError::RequestTimedOut => "The request timed out.",
        ResponseError::MessageTooLarge => "The records are larger than the broker accepts.",
        ResponseError::CoordinatorLoadInProgress => {
            "The coordinator is loading and hence can't process requests."
        }
        ResponseError::CoordinatorNotAvailable => "The coordinator is not available.",
        ResponseError::NotCoordinator => "This is not the correct coordinator.",
        ResponseError::InvalidTopicException => "The name of the topic is not valid.",
        ResponseError::RecordListTooLarge => "The batch is larger than a segment of the topic.",
        ResponseError::NotEnoughReplicas => "There are fewer in-sync replicas than required.",
        ResponseError::NotEnoughReplicasAfterAppend => {
            "The records are written, but to fewer in-sync replicas than required."
        }
        ResponseError::TopicAuthorizationFailed => "Topic authorization failed.",
        ResponseError::GroupAuthorizationFailed => "Group authorization failed.",
        ResponseError::ClusterAuthorizationFailed => "Cluster authorization failed.",
        ResponseError::InvalidGroupId => "The group id is not valid.",
        ResponseError::UnknownMemberId => "The coordinator is not aware of this member.",
        ResponseError::UnsupportedVersion => "The version of the API is not supported.",
        ResponseError::GroupMaxSizeReached => "The consumer group has reached its max size.",
        ResponseError::FencedInstanceId => {
            "Another consumer with the same group.instance.id has registered with a different member.id."
        }
        ResponseError::FencedMemberEpoch => {
            "The member epoch is fenced by the group coordinator. The member must abandon all its \
             partitions and rejoin."
        }
        ResponseError::UnreleasedInstanceId => {
            "The instance ID is still used by another member in the consumer group. That member must leave \
             first."
        }
        ResponseError::UnsupportedAssignor => {
            "The assignor or its version range is not supported by the consumer group."
        }
        ResponseError::InvalidRegularExpression => "The regular expression is not valid.",
        ResponseError::InvalidTimestamp => "The timestamp of the message is out of acceptable range.",
        ResponseError::TopicAlreadyExists => "Topic with this name already exists.",
        ResponseError::InvalidPartitions => "The number of partitions is not valid.",
        ResponseError::InvalidReplicationFactor => {
            "The replication factor is below 1 or larger than the number of brokers."
        }
        ResponseError::InvalidReplicaAssignment => "Replica assignment is invalid.",
        ResponseError::PreferredLeaderNotAvailable => "The preferred leader is not available.",
        ResponseError::EligibleLeadersNotAvailable => "No eligible leader is available.",
        ResponseError::ElectionNotNeeded => "Leader election is not needed for this partition.",
        ResponseError::ReassignmentInProgress => "A reassignment of this partition is in progress.",
        ResponseError::NoReassignmentInProgress => "No reassignment of this partition is in progress.",
        ResponseError::ResourceNotFound => "There is no such resource.",
        ResponseError::DuplicateResource => "The request names a resource twice.",
        ResponseError::UnacceptableCredential => {
            "The credential does not meet the criteria for acceptability."
        }
        ResponseError::FeatureUpdateFailed => "The features could not be updated.",
        ResponseError::InvalidUpdateVersion => "The given update version is not valid.",
        ResponseError::BrokerIdNotRegistered => "This broker is not registered.",
        ResponseError::InvalidConfig => "Configuration is invalid.",
        ResponseError::NotController => "This is not the correct controller for this cluster.",
        ResponseError::InvalidRequest => "The request is not valid.",
        ResponseError::PolicyViolation => "Request parameters do not satisfy the configured policy.",
        ResponseError::TransactionalIdAuthorizationFailed => "Transactional Id authorization failed.",
        ResponseError::NonEmptyGroup => "The group is not empty.",
        ResponseError::GroupIdNotFound => "The group id does not exist.",
        ResponseError::InvalidRecord => "The broker's checks refuse the record.",
        ResponseError::UnknownTopicId => "This server does not host this topic ID.",
        ResponseError::StreamsInvalidTopology => "The supplied topology is invalid.",
        ResponseError::StreamsInvalidTopologyEpoch => "The supplied topology epoch is invalid.",
        ResponseError::StreamsTopologyFenced => "The supplied topology epoch is outdated.",
        ResponseError::ThrottlingQuotaExceeded => "The throttling quota has been exceeded.",
        ResponseError::InvalidRecordState => "The record state is not valid for the acknowledgement.",
        ResponseError::ShareSessionNotFound => "The share session was not found.",
        ResponseError::InvalidShareSessionEpoch => "The epoch of the share session is not valid.",
        ResponseError::ShareSessionLimitReached => "The limit of share sessions is reached.",
        ResponseError::MismatchedEndpointType => "The request was sent to an endpoint of the wrong type.",
        ResponseError::UnsupportedEndpointType => "This endpoint type is not supported yet.",
        _ => return None,
    };
    Some(StrBytes::from_static_str(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_in_words_or_left_to_the_client() {
        assert_eq!(standard_text(0), None);
        assert_eq!(standard_text(1000), None);
        assert_eq!(standard_text(15).as_deref(), Some("The coordinator is not available."));
    }

    #[test]
    fn every_refusal_that_a_code_speaks_for_has_words() {
        for refusal in [
            Refusal::TopicDenied,
            Refusal::GroupDenied,
            Refusal::TransactionalIdDenied,
            Refusal::ClusterDenied,
            Refusal::InvalidTopic(InvalidName::Empty),
            Refusal::InvalidGroup,
            Refusal::InvalidPattern,
            Refusal::FencedMember,
            Refusal::InvalidRequest,
            Refusal::InvalidTopology,
            Refusal::UnknownTopicId,
            Refusal::ShareSessionsFull,
            Refusal::AdditionalTopic,
            Refusal::MismatchedEndpoint,
            Refusal::UnsupportedEndpoint,
        ] {
            assert!(standard_text(refusal.code()).is_some_and(|text| text.ends_with('.')), "{refusal:?}");
        }
    }
}
