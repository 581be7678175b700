//! Every way the gateway says no to a request, and Kafka's error code for it.

use kafka_protocol::error::ResponseError;

use crate::cluster::No;
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
    /// A fetch session that this gateway never gave out.
    UnknownFetchSession,
    /// An additional topic is the backend's: nobody creates or deletes it from here.
    AdditionalTopic,
    /// Controllers are not shown.
    MismatchedEndpoint,
    UnsupportedEndpoint,
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
            Refusal::InvalidRequest => ResponseError::InvalidRequest,
            Refusal::UnknownFetchSession => ResponseError::FetchSessionIdNotFound,
            Refusal::AdditionalTopic => ResponseError::PolicyViolation,
            Refusal::MismatchedEndpoint => ResponseError::MismatchedEndpointType,
            Refusal::UnsupportedEndpoint => ResponseError::UnsupportedEndpointType,
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
            Refusal::UnknownFetchSession => "unknown_fetch_session",
            Refusal::AdditionalTopic => "additional_topic",
            Refusal::MismatchedEndpoint => "mismatched_endpoint",
            Refusal::UnsupportedEndpoint => "unsupported_endpoint",
        }
    }

    /// The text that stands beside the code, where a message has room for one.
    pub fn text(self) -> String {
        match self {
            Refusal::TopicDenied
            | Refusal::GroupDenied
            | Refusal::TransactionalIdDenied
            | Refusal::ClusterDenied => "Authorization failed.".to_owned(),
            Refusal::InvalidTopic(why) => format!("Invalid topic: {why}."),
            Refusal::InvalidGroup => "The group id is empty.".to_owned(),
            Refusal::InvalidRequest => "The request is not valid.".to_owned(),
            Refusal::UnknownFetchSession => "There is no such fetch session.".to_owned(),
            Refusal::AdditionalTopic => {
                "This topic is shared with the virtual cluster; it is managed on the backend.".to_owned()
            }
            Refusal::MismatchedEndpoint | Refusal::UnsupportedEndpoint => {
                "Only brokers are shown here.".to_owned()
            }
        }
    }
}

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        match no {
            No::Denied(resource) => Refusal::of(resource),
            No::Empty(Kind::Topic) => Refusal::InvalidTopic(InvalidName::Empty),
            No::Empty(Kind::Group) => Refusal::InvalidGroup,
            No::Empty(Kind::TransactionalId) => Refusal::InvalidRequest,
        }
    }
}

/// The standard message of a code: the broker's own text quotes backend names.
pub fn standard_text(code: i16) -> Option<String> {
    use kafka_protocol::error::ParseResponseErrorCode;
    code.err().map(|error| error.to_string())
}
