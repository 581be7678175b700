//! Fetch.

mod sessions; // which partitions a fetch session stands for

pub use sessions::Sessions;

use std::ops::RangeInclusive;

use kafka_protocol::messages::fetch_request::{FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, NodeEndpoint, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use uuid::Uuid;

use self::sessions::{Session, Ticket};
use super::parts::Parting;
use super::{Api, Asking, Conversation, METADATA_BY_ID, Pass, Refusal, Showing};
use crate::cluster::Lens;
use crate::names::TopicSlot;
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// Records from topics.
///
/// Shape: from version 7 on a fetch may stand on earlier ones (KIP-227); see [`Sessions`].
pub struct Fetch;

/// What is kept of a fetch until its answer comes.
#[derive(Debug, Default)]
pub struct Apart {
    refused: Vec<(FetchTopic, Refusal)>,
    /// The session that the fetch opens or goes on with.
    session: Option<Ticket>,
    /// Whether the answer tells of each partition that the broker was asked for.
    is_full: bool,
}

impl Api for Fetch {
    type Request = FetchRequest;
    type Response = FetchResponse;
    type Aside = Apart;

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

    fn ids_kept(request: &FetchRequest, conversation: &Conversation, tell: &mut dyn FnMut(Uuid)) {
        conversation.fetch_sessions.unknown_ids(request.session_id, tell);
    }

    /// A session has one place in a partition, so what reads one under two names is given none.
    fn part(request: &mut FetchRequest, version: i16, names: &mut Parting<'_>) -> Option<FetchRequest> {
        if is_follower(request) || ![OPENS, CLOSES].contains(&request.session_epoch) {
            return None;
        }
        let others = names.topics(&mut request.topics, |topic| {
            TopicSlot::of(version >= BY_ID, &mut topic.topic, &mut topic.topic_id)
        })?;
        request.session_epoch = CLOSES;
        // One part is read after the other, and all of them together are what the client waits for.
        request.max_wait_ms /= 2;
        request.max_bytes /= 2;
        Some(request.clone().with_session_id(0).with_topics(others))
    }

    fn admit(mut request: FetchRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        if is_follower(&request) {
            // A follower reads what is not committed, and moves the high watermark.
            return Err(Refusal::TopicDenied);
        }
        request.replica_id = BrokerId(-1);
        request.replica_state = ReplicaState::default();
        request.cluster_id = None;
        for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            // Only a follower says these.
            partition.replica_directory_id = Uuid::nil();
            partition.high_watermark = i64::MAX;
        }
        match request.session_epoch {
            OPENS | CLOSES => Ok(admit_full(request, ask)),
            _ => admit_change(request, ask),
        }
    }

    fn remember(response: &FetchResponse, apart: &Apart, conversation: &mut Conversation) {
        if let Some(ticket) = apart.session {
            conversation.fetch_sessions.answered(ticket, response);
        }
    }

    fn reveal(response: &mut FetchResponse, apart: Apart, show: &Showing<'_>) {
        if apart.session.is_none() {
            response.session_id = 0;
        }
        // A broker that throttles says nothing of any partition, and a client knows that by it.
        let is_put_off = apart.is_full && response.responses.is_empty() && response.throttle_time_ms > 0;
        let by_id = show.version >= BY_ID;
        response.responses.retain_mut(|topic| is_shown(topic, by_id, show.lens));
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
        if response.error_code == 0 && !is_put_off {
            refuse_topics(response, apart.refused);
        }
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

    fn join(first: &mut FetchResponse, later: FetchResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        if first.error_code == 0 {
            first.error_code = later.error_code;
        }
        first.responses.extend(later.responses);
        let known =
            |node: &NodeEndpoint| first.node_endpoints.iter().any(|other| other.node_id == node.node_id);
        let nodes: Vec<_> = later.node_endpoints.into_iter().filter(|node| !known(node)).collect();
        first.node_endpoints.extend(nodes);
    }
}

/// A fetch that names all its partitions. It ends the session that it shows, and may open another.
fn admit_full(mut request: FetchRequest, ask: &mut Asking<'_>) -> Pass<Fetch> {
    let by_id = ask.version >= BY_ID;
    let closes = ask.conversation.fetch_sessions.close(request.session_id);
    if !closes {
        request.session_id = 0; // another connection's, or nobody's
    }
    request.forgotten_topics_data.clear();
    let nothing_asked = request.topics.is_empty();
    let mut apart = Apart { is_full: true, ..Apart::default() };
    if request.session_epoch == OPENS {
        let mut session = Session::new(by_id, ask.gate.rights().clone());
        session.take_in(&mut request, ask.gate);
        apart.refused = session.refused();
        if nothing_asked || !request.topics.is_empty() {
            apart.session = ask.conversation.fetch_sessions.open(session);
        }
    } else {
        let refused = ask.gate.each_topic(Operation::Read, &mut request.topics, |topic| {
            TopicSlot::of(by_id, &mut topic.topic, &mut topic.topic_id)
        });
        apart.refused = refused.into_iter().map(|(topic, no)| (topic, no.into())).collect();
    }
    if apart.session.is_none() {
        request.session_epoch = CLOSES;
    }
    if request.topics.is_empty() && !nothing_asked && !closes {
        return Pass::Answer(apart);
    }
    apart.is_full = !request.topics.is_empty();
    Pass::Forward(request, apart)
}

/// A fetch that names what has changed in its session, which may be nothing.
fn admit_change(mut request: FetchRequest, ask: &mut Asking<'_>) -> Result<Pass<Fetch>, Refusal> {
    let sessions = &mut ask.conversation.fetch_sessions;
    // By its number alone, anybody could read on in another's session, or end it.
    let session = sessions.find(request.session_id).ok_or(Refusal::UnknownFetchSession)?;
    if !session.keeps_names(&request, ask.gate) {
        // All in one go, it comes again without a session.
        sessions.close(request.session_id);
        return Err(Refusal::UnknownFetchSession);
    }
    let ticket = session.ticket();
    let mut apart = Apart { session: Some(ticket), ..Apart::default() };
    if session.goes_by_id() != (ask.version >= BY_ID) {
        // The broker refuses the change from names to ids, or back, whatever else is said.
        session.break_off();
        request.topics.clear();
        request.forgotten_topics_data.clear();
    } else {
        session.take_in(&mut request, ask.gate);
        apart.refused = session.refused();
    }
    if !sessions.has_room() {
        sessions.close(request.session_id);
        return Err(Refusal::UnknownFetchSession);
    }
    Ok(Pass::Forward(request, apart))
}

/// Whether a topic of an answer is this client's to read; it gets the client's name.
fn is_shown(topic: &mut FetchableTopicResponse, by_id: bool, lens: &Lens<'_>) -> bool {
    let may_read = |name: &str| lens.grants(Operation::Read, Resource::Topic, name);
    match by_id {
        true => lens.topic_behind(&mut topic.topic_id).is_some_and(|name| may_read(&name)),
        false => lens.one(&mut topic.topic) && may_read(&topic.topic.0),
    }
}

/// A broker that copies a partition says which it is.
fn is_follower(request: &FetchRequest) -> bool {
    request.replica_id.0 >= 0 || request.replica_state.replica_id.0 >= 0
}

fn refuse_topics(response: &mut FetchResponse, refused: Vec<(FetchTopic, Refusal)>) {
    // Brokers answer for partitions, and not for a topic without any.
    let refused = refused.into_iter().filter(|(topic, _)| !topic.partitions.is_empty());
    response.responses.extend(refused.map(|(topic, why)| {
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

/// The epoch of a fetch that opens a session.
const OPENS: i32 = 0;
/// The epoch of a fetch that ends its session, and opens none.
const CLOSES: i32 = -1;

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod tests;
