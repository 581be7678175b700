//! Our own question amid a client's requests: which topics have these ids, and which are there at all?
//!
//! It goes out on the client's own broker connection and takes its turn among the requests; the request
//! that needs it waits, and so does every later one.

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::versions::BrokerVersions;
use crate::api::{Known, Question};
use crate::cluster::{Limits, TopicIds};
use crate::names::Backend;
use crate::wire::{
    ApiKey, Broken, Direction, Gather, RequestHead, RequestHeader, Segments, decode, encode_body, grammar,
    read_response, write_request,
};

/// A question that the broker has.
pub struct Lookup {
    question: Question,
    version: i16,
}

impl Lookup {
    /// Shape: Metadata, by id where the question is for ids, in a version that the broker speaks.
    pub fn ask(
        question: Question,
        versions: &BrokerVersions,
        correlation_id: i32,
        client_id: Option<StrBytes>,
    ) -> Result<(Self, Backend<Segments>), Broken> {
        let newest = versions.range(ApiKey::Metadata).map_or(BY_NAME, |range| *range.end());
        let version = if newest >= BY_ID { BY_ID } else { BY_NAME };
        let by_id = |id: &Uuid| MetadataRequestTopic::default().with_name(None).with_topic_id(*id);
        let topics = match &question {
            Question::Ids(ids) => Some(ids.iter().map(by_id).collect()),
            Question::Topics => None,
        };
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let header = RequestHeader { head: RequestHead { key: KEY, version, correlation_id }, client_id };
        let mut out = Gather::around(None);
        write_request(&mut out, &header, grammar().header_flexible(KEY, Direction::Request, version));
        encode_body(&mut out, &request, version)?;
        Ok((Self { question, version }, Backend::meant_for_broker(out.finish())))
    }

    /// Reads what the broker says, and keeps every id that it tells.
    pub fn answered(&self, frame: &Bytes, limits: &Limits, ids: &TopicIds) -> Result<Answered, Broken> {
        let flexible = grammar().header_flexible(KEY, Direction::Response, self.version);
        let (_, body) = read_response(frame, flexible)?;
        grammar().walk(KEY, Direction::Response, self.version, &body, limits.elements_per_response)?;
        let response: MetadataResponse = decode(&body, self.version)?;
        let mut topics = Vec::new();
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            let name = Backend::said_by_broker(StrBytes::from_string(name.0.to_string()));
            ids.learn(topic.topic_id, &name);
            topics.push(name);
        }
        Ok(match &self.question {
            Question::Ids(asked) => {
                let absent = asked.iter().filter(|id| ids.name(**id).is_none()).copied().collect();
                Answered { absent, known: Known { ids: true, topics: None } }
            }
            Question::Topics => {
                Answered { absent: Vec::new(), known: Known { ids: false, topics: Some(topics) } }
            }
        })
    }
}

/// What the broker said.
pub struct Answered {
    pub known: Known,
    /// The ids that nobody has.
    pub absent: Vec<Uuid>,
}

const KEY: i16 = ApiKey::Metadata as i16;
/// The first version that is asked by id (KIP-516).
const BY_ID: i16 = 12;
/// The first version with a flag against creating topics.
const BY_NAME: i16 = 4;
