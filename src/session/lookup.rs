//! Our own question amid a client's requests: which topics have these ids, which are there at all, and
//! which does a coordinator make for a streams group?
//!
//! It goes out on the client's own broker connection and takes its turn among the requests; the request
//! that needs it waits, and so does every later one.

use bytes::Bytes;
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{GroupId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::versions::BrokerVersions;
use crate::api::{InternalTopics, Known, Question};
use crate::cluster::{Limits, VirtualCluster};
use crate::names::Backend;
use crate::wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use crate::wire::messages::streams_group_describe_response::StreamsGroupDescribeResponse;
use crate::wire::{
    ApiKey, Broken, Direction, Gather, RequestHead, RequestHeader, Segments, decode, encode_body, grammar,
    read_response, write_request,
};

/// A question that the broker has.
pub struct Lookup {
    question: Question,
    key: i16,
    version: i16,
}

impl Lookup {
    /// Shape: Metadata, by id where the question is for ids, in a version that the broker speaks; about a
    /// streams group, StreamsGroupDescribe.
    pub fn ask(
        question: Question,
        versions: &BrokerVersions,
        correlation_id: i32,
        client_id: Option<StrBytes>,
    ) -> Result<(Self, Backend<Segments>), Broken> {
        let newest = versions.range(ApiKey::Metadata).map_or(BY_NAME, |range| *range.end());
        let (key, version) = match &question {
            Question::InternalTopics(_) => (ApiKey::StreamsGroupDescribe as i16, DESCRIBE),
            _ if newest >= BY_ID => (ApiKey::Metadata as i16, BY_ID),
            _ => (ApiKey::Metadata as i16, BY_NAME),
        };
        let header = RequestHeader { head: RequestHead { key, version, correlation_id }, client_id };
        let mut out = Gather::around(None);
        write_request(&mut out, &header, grammar().header_flexible(key, Direction::Request, version));
        match &question {
            Question::InternalTopics(group) => {
                let groups = vec![GroupId(group.as_ref().clone())];
                let request = StreamsGroupDescribeRequest::default().with_group_ids(groups);
                encode_body(&mut out, &request, version)?;
            }
            Question::Ids(ids) => {
                let by_id = |id: &Uuid| MetadataRequestTopic::default().with_name(None).with_topic_id(*id);
                encode_body(&mut out, &about(Some(ids.iter().map(by_id).collect())), version)?;
            }
            Question::Named(names) | Question::Aliased(names) => {
                let by_name = |name: &Backend<StrBytes>| {
                    MetadataRequestTopic::default().with_name(Some(TopicName(name.as_ref().clone())))
                };
                encode_body(&mut out, &about(Some(names.iter().map(by_name).collect())), version)?;
            }
            Question::Topics => encode_body(&mut out, &about(None), version)?,
        }
        Ok((Self { question, key, version }, Backend::meant_for_broker(out.finish())))
    }

    /// Reads what the broker says, and keeps every id that it tells.
    pub fn answered(
        &self,
        frame: &Bytes,
        limits: &Limits,
        cluster: &VirtualCluster,
    ) -> Result<Answered, Broken> {
        let flexible = grammar().header_flexible(self.key, Direction::Response, self.version);
        let (_, body) = read_response(frame, flexible)?;
        grammar().walk(self.key, Direction::Response, self.version, &body, limits.elements_per_response)?;
        if let Question::InternalTopics(_) = &self.question {
            let response: StreamsGroupDescribeResponse = decode(&body, self.version)?;
            let internal_topics = Some(internal_topics(response));
            return Ok(Answered { absent: Vec::new(), known: Known { internal_topics, ..Known::default() } });
        }
        let response: MetadataResponse = decode(&body, self.version)?;
        let all = matches!(self.question, Question::Topics);
        let mut topics = Vec::new();
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            let name = Backend::said_by_broker(StrBytes::from_string(name.0.to_string()));
            cluster.learn(topic.topic_id, &name);
            if all || THERE.contains(&topic.error_code) {
                topics.push(name);
            }
        }
        Ok(match &self.question {
            Question::Ids(asked) => {
                let absent = asked.iter().filter(|id| !cluster.has_id(**id)).copied().collect();
                Answered { absent, known: Known { ids: true, ..Known::default() } }
            }
            Question::Aliased(_) => {
                Answered { absent: Vec::new(), known: Known { aliased: true, ..Known::default() } }
            }
            _ => Answered { absent: Vec::new(), known: Known { topics: Some(topics), ..Known::default() } },
        })
    }
}

fn about(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false)
}

/// What the coordinator makes for the one group that was asked about. Only where it says that it has no
/// such group, or one without a topology yet, is that nothing.
fn internal_topics(response: StreamsGroupDescribeResponse) -> InternalTopics {
    let Some(group) = response.groups.into_iter().next() else {
        return Err(ResponseError::UnknownServerError.code());
    };
    match group.error_code.err() {
        None => {}
        Some(ResponseError::GroupIdNotFound) => return Ok(None),
        Some(_) => return Err(group.error_code),
    }
    let Some(subtopologies) = group.topology.and_then(|topology| topology.subtopologies) else {
        return Ok(None);
    };
    let made = subtopologies.into_iter().flat_map(|subtopology| {
        subtopology.repartition_source_topics.into_iter().chain(subtopology.state_changelog_topics)
    });
    Ok(Some(made.map(|topic| Backend::said_by_broker(topic.name.0)).collect()))
}

/// What the broker said.
pub struct Answered {
    pub known: Known,
    /// The ids that nobody has in this virtual cluster.
    pub absent: Vec<Uuid>,
}

/// The codes of a topic that there is: it may be without a leader.
const THERE: [i16; 2] = [0, 5];
/// The first version that is asked by id (KIP-516).
const BY_ID: i16 = 12;
/// The first version with a flag against creating topics.
const BY_NAME: i16 = 4;
const DESCRIBE: i16 = 0;
