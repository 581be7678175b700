//! Fetch.

use std::ops::RangeInclusive;

use crate::wire::ApiKey;
use kafka_protocol::messages::fetch_request::{FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use uuid::Uuid;

use super::{Api, Asking, METADATA_BY_ID, Pass, Refusal, Showing};
use crate::names::TopicSlot;
use crate::policy::Operation;

/// Records from topics.
///
/// No fetch session is ever given out (KIP-227 allows that): each fetch is full, so what is refused
/// is refused in each.
pub struct Fetch;

impl Api for Fetch {
    type Request = FetchRequest;
    type Response = FetchResponse;
    type Aside = Vec<(FetchTopic, Refusal)>;

    const KEY: ApiKey = ApiKey::Fetch;
    const VERSIONS: RangeInclusive<i16> = 4..=18;

    fn needs(version: i16) -> Option<(ApiKey, i16)> {
        (version >= BY_ID).then_some(METADATA_BY_ID)
    }

    fn ids(request: &FetchRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        if !is_follower(request) {
            request.topics.iter().for_each(|topic| tell(topic.topic_id));
        }
    }

    fn admit(mut request: FetchRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        if is_follower(&request) {
            // A follower reads what is not committed, and moves the high watermark.
            return Err(Refusal::TopicDenied);
        }
        if request.session_id != 0 {
            return Err(Refusal::UnknownFetchSession);
        }
        request.replica_id = BrokerId(-1);
        request.replica_state = ReplicaState::default();
        request.cluster_id = None;
        request.session_epoch = -1; // neither an old session nor a new one
        request.forgotten_topics_data.clear();
        let nothing_asked = request.topics.is_empty();
        for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            // Only a follower says these.
            partition.replica_directory_id = Uuid::nil();
            partition.high_watermark = i64::MAX;
        }
        let by_id = ask.version >= BY_ID;
        let refused = ask.gate.each_topic(Operation::Read, &mut request.topics, |topic| {
            TopicSlot::of(by_id, &mut topic.topic, &mut topic.topic_id)
        });
        let refused = refused.into_iter().map(|(topic, no)| (topic, no.into())).collect();
        Ok(if request.topics.is_empty() && !nothing_asked {
            Pass::Answer(refused)
        } else {
            Pass::Forward(request, refused)
        })
    }

    fn reveal(response: &mut FetchResponse, refused: Self::Aside, show: &Showing<'_>) {
        response.session_id = 0;
        let by_id = show.version >= BY_ID;
        show.lens.echoed_topics(&mut response.responses, |topic| {
            TopicSlot::of(by_id, &mut topic.topic, &mut topic.topic_id)
        });
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if !show.lens.has_door(partition.current_leader.leader_id.0) {
                partition.current_leader.leader_id = BrokerId(-1);
                partition.current_leader.leader_epoch = -1;
            }
            if !show.lens.has_door(partition.preferred_read_replica.0) {
                partition.preferred_read_replica = BrokerId(-1);
            }
        }
        response
            .node_endpoints
            .retain_mut(|node| show.lens.advertise(node.node_id.0, &mut node.host, &mut node.port));
        refuse_topics(response, refused);
    }

    fn refuse(request: FetchRequest, why: Refusal, version: i16) -> FetchResponse {
        let mut response = FetchResponse::default();
        if why == Refusal::UnknownFetchSession && version >= 7 {
            response.error_code = why.code();
        } else {
            refuse_topics(&mut response, request.topics.into_iter().map(|topic| (topic, why)).collect());
        }
        response
    }
}

/// A broker that copies a partition says which it is.
fn is_follower(request: &FetchRequest) -> bool {
    request.replica_id.0 >= 0 || request.replica_state.replica_id.0 >= 0
}

fn refuse_topics(response: &mut FetchResponse, refused: Vec<(FetchTopic, Refusal)>) {
    response.responses.extend(refused.into_iter().map(|(topic, why)| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition)
                .with_error_code(why.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_preferred_read_replica(BrokerId(-1))
                // Java takes a null for a missing field, and an empty run of bytes for no records.
                .with_records(Some(bytes::Bytes::new()))
        });
        FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    }));
}

/// From here on a topic goes by its id (KIP-516).
const BY_ID: i16 = 13;

#[cfg(test)]
mod tests;
