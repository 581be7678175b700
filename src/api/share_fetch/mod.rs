//! ShareFetch, ShareAcknowledge (KIP-932).

mod sessions; // what a client keeps in its share sessions
#[cfg(test)]
mod tests; // test: the two families

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub use self::sessions::ShareSessions;
use self::sessions::{Partitions, SessionKey};
use super::{Api, Asking, Conversation, METADATA_BY_ID, Pass, Refusal, Showing, standard_text};
use crate::cluster::{Gate, Lens};
use crate::names::TopicSlot;
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;
use crate::wire::messages::share_acknowledge_response::ShareAcknowledgeTopicResponse;
use crate::wire::messages::share_fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::wire::messages::share_fetch_response::{PartitionData, ShareFetchableTopicResponse};
use crate::wire::messages::{
    ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse,
    share_acknowledge_response,
};

/// Records to the members of a share group, and what became of those before.
///
/// A session holds what the client may not read as well, and says so in each answer until the client
/// forgets it, as brokers do; the broker's own session is never told of it.
pub struct ShareFetch;

impl Api for ShareFetch {
    type Request = ShareFetchRequest;
    type Response = ShareFetchResponse;
    /// What is said of the topics that the broker was not told of.
    type Aside = Vec<ShareFetchableTopicResponse>;

    const KEY: ApiKey = ApiKey::ShareFetch;
    /// 0 was Kafka's early access, and is gone; 2 says how records are acquired, and renews locks.
    const VERSIONS: RangeInclusive<i16> = 1..=2;

    fn needs(_version: i16) -> Option<(ApiKey, i16)> {
        Some(METADATA_BY_ID)
    }

    fn ids(request: &ShareFetchRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request.topics.iter().for_each(|topic| tell(topic.topic_id));
    }

    /// What has been forgotten of a topic in a session is no reason to take the topic out of it.
    fn ids_kept(request: &ShareFetchRequest, conversation: &Conversation, tell: &mut dyn FnMut(Uuid)) {
        if let Some(group) = &request.group_id
            && !matches!(request.share_session_epoch, FIRST | LAST)
        {
            conversation
                .share_sessions
                .topics(&session_key(group, request.member_id.as_ref()))
                .for_each(tell);
        }
    }

    /// Goes on even where no topic is left: the broker counts the requests of a session.
    fn admit(mut request: ShareFetchRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let key = admit_member(&mut request.group_id, request.member_id.as_ref(), ask.gate)?;
        let epoch = request.share_session_epoch;
        let acknowledges = request
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .any(|partition| !partition.acknowledgement_batches.is_empty());
        if epoch == FIRST && acknowledges {
            // The broker would not see it, were all of these refused.
            return Err(Refusal::InvalidRequest);
        }
        let sessions = &mut ask.conversation.share_sessions;
        let session = match epoch {
            LAST => {
                sessions.close(&key);
                None
            }
            FIRST => Some(sessions.open(key.clone()).ok_or(Refusal::ShareSessionsFull)?),
            _ => Some(sessions.resume(key.clone()).ok_or(Refusal::ShareSessionsFull)?),
        };
        let mut answers = Answers::default();
        if let Some(session) = session {
            for topic in &request.topics {
                session
                    .add(topic.topic_id, topic.partitions.iter().map(|partition| partition.partition_index));
            }
            request.forgotten_topics_data.retain(|topic| {
                session.forget(topic.topic_id, &topic.partitions)
                    || ask.gate.topic_behind(topic.topic_id).is_some()
            });
            let (added, removed) = session.settle(|id| verdict(ask.gate, id).is_ok());
            for (id, partitions) in session.untold() {
                if let Err(why) = verdict(ask.gate, id) {
                    partitions.iter().for_each(|index| answers.partition(id, *index).error_code = why.code());
                }
            }
            tell(&mut request, added, removed);
        }
        if sessions.are_too_large() {
            sessions.close(&key);
            return Err(Refusal::ShareSessionsFull);
        }
        request
            .forgotten_topics_data
            .retain_mut(|topic| ask.gate.rename_id(Operation::Read, &mut topic.topic_id).is_ok());
        let refused = ask
            .gate
            .each_topic(Operation::Read, &mut request.topics, |topic| TopicSlot::Id(&mut topic.topic_id));
        for (topic, no) in refused.iter().filter(|_| acknowledges) {
            answers.acknowledge(topic, (*no).into());
        }
        Ok(Pass::Forward(request, answers.finish()))
    }

    fn reveal(response: &mut ShareFetchResponse, refused: Self::Aside, show: &Showing<'_>) {
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        response.responses.retain_mut(|topic| may_see(show.lens, &mut topic.topic_id));
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_message =
                partition.error_message.take().and_then(|_| standard_text(partition.error_code));
            partition.acknowledge_error_message = partition
                .acknowledge_error_message
                .take()
                .and_then(|_| standard_text(partition.acknowledge_error_code));
            let leader = &mut partition.current_leader;
            hide_leader(&mut leader.leader_id, &mut leader.leader_epoch, show.lens);
        }
        response
            .node_endpoints
            .retain_mut(|node| show.lens.advertise(node.node_id.0, &mut node.host, &mut node.port));
        if response.error_code == 0 {
            response.responses.extend(refused);
        }
    }

    /// A broker leaves the text out here, and so does this.
    fn refuse(_request: ShareFetchRequest, why: Refusal, _version: i16) -> ShareFetchResponse {
        ShareFetchResponse::default().with_error_code(why.code())
    }
}

/// What became of records that the members of a share group were given.
pub struct ShareAcknowledge;

impl Api for ShareAcknowledge {
    type Request = ShareAcknowledgeRequest;
    type Response = ShareAcknowledgeResponse;
    type Aside = Vec<ShareAcknowledgeTopicResponse>;

    const KEY: ApiKey = ApiKey::ShareAcknowledge;
    const VERSIONS: RangeInclusive<i16> = 1..=2;

    fn needs(_version: i16) -> Option<(ApiKey, i16)> {
        Some(METADATA_BY_ID)
    }

    fn ids(request: &ShareAcknowledgeRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request.topics.iter().for_each(|topic| tell(topic.topic_id));
    }

    /// Goes on even where no topic is left: the broker counts the requests of a session, or ends it.
    fn admit(mut request: ShareAcknowledgeRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let key = admit_member(&mut request.group_id, request.member_id.as_ref(), ask.gate)?;
        if request.share_session_epoch == LAST {
            ask.conversation.share_sessions.close(&key);
        }
        let refused = ask
            .gate
            .each_topic(Operation::Read, &mut request.topics, |topic| TopicSlot::Id(&mut topic.topic_id));
        let refused = refused.into_iter().filter(|(topic, _)| !topic.partitions.is_empty());
        let refused = refused.map(|(topic, no)| {
            let code = Refusal::from(no).code();
            let partitions = topic.partitions.iter().map(|partition| {
                share_acknowledge_response::PartitionData::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            ShareAcknowledgeTopicResponse::default()
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions.collect())
        });
        let refused = refused.collect();
        Ok(Pass::Forward(request, refused))
    }

    fn reveal(response: &mut ShareAcknowledgeResponse, refused: Self::Aside, show: &Showing<'_>) {
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        response.responses.retain_mut(|topic| may_see(show.lens, &mut topic.topic_id));
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_message =
                partition.error_message.take().and_then(|_| standard_text(partition.error_code));
            let leader = &mut partition.current_leader;
            hide_leader(&mut leader.leader_id, &mut leader.leader_epoch, show.lens);
        }
        response
            .node_endpoints
            .retain_mut(|node| show.lens.advertise(node.node_id.0, &mut node.host, &mut node.port));
        if response.error_code == 0 {
            response.responses.extend(refused);
        }
    }

    /// A broker leaves the text out here, and so does this.
    fn refuse(_request: ShareAcknowledgeRequest, why: Refusal, _version: i16) -> ShareAcknowledgeResponse {
        ShareAcknowledgeResponse::default().with_error_code(why.code())
    }
}

/// A member needs the right to read by its group; whose its session is, as the client says it.
fn admit_member(
    group: &mut Option<GroupId>,
    member: Option<&StrBytes>,
    gate: &Gate<'_>,
) -> Result<SessionKey, Refusal> {
    let group = group.as_mut().ok_or(Refusal::InvalidRequest)?;
    let key = session_key(group, member);
    gate.one(Operation::Read, group)?;
    Ok(key)
}

fn session_key(group: &GroupId, member: Option<&StrBytes>) -> SessionKey {
    (group.to_string(), member.map(ToString::to_string).unwrap_or_default())
}

/// Whether the client may read the topic behind an id; what it is told else. Nothing is noted.
fn verdict(gate: &Gate<'_>, id: Uuid) -> Result<(), Refusal> {
    let name = gate.topic_behind(id).ok_or(Refusal::UnknownTopicId)?;
    match gate.grants(Operation::Read, Resource::Topic, name.as_ref()) {
        true if gate.speaks(name.as_ref()) => Ok(()),
        true => Err(Refusal::InvalidRequest), // a session has a topic once, whatever its names
        false => Err(Refusal::TopicDenied),
    }
}

/// What is not granted is answered for here, whatever the broker says of it.
fn may_see(lens: &Lens<'_>, id: &mut Uuid) -> bool {
    lens.topic_behind(id).is_some_and(|name| lens.grants(Operation::Read, Resource::Topic, &name))
}

fn hide_leader(id: &mut i32, epoch: &mut i32, lens: &Lens<'_>) {
    if !lens.has_door(*id) {
        (*id, *epoch) = (-1, -1);
    }
}

/// Has the broker's session follow what is granted now.
fn tell(request: &mut ShareFetchRequest, added: Partitions, removed: Partitions) {
    let partitions_of = |topic: &FetchTopic| {
        let id = topic.topic_id;
        topic.partitions.iter().map(move |one| (id, one.partition_index)).collect::<Vec<_>>()
    };
    let said: HashSet<(Uuid, i32)> = request.topics.iter().flat_map(partitions_of).collect();
    for (id, partitions) in added {
        let missing = partitions.into_iter().filter(|index| !said.contains(&(id, *index)));
        let missing: Vec<_> =
            missing.map(|index| FetchPartition::default().with_partition_index(index)).collect();
        if !missing.is_empty() {
            request.topics.push(FetchTopic::default().with_topic_id(id).with_partitions(missing));
        }
    }
    let removed = removed.into_iter();
    request.forgotten_topics_data.extend(
        removed
            .map(|(id, partitions)| ForgottenTopic::default().with_topic_id(id).with_partitions(partitions)),
    );
}

/// The answers for what is refused, each partition once.
#[derive(Default)]
struct Answers(BTreeMap<Uuid, BTreeMap<i32, PartitionData>>);

impl Answers {
    fn partition(&mut self, topic: Uuid, index: i32) -> &mut PartitionData {
        let partitions = self.0.entry(topic).or_default();
        partitions.entry(index).or_insert_with(|| PartitionData::default().with_partition_index(index))
    }

    /// Of a topic that nobody has a broker speaks where anything is acknowledged; else only of what is.
    fn acknowledge(&mut self, topic: &FetchTopic, why: Refusal) {
        for partition in &topic.partitions {
            if why == Refusal::UnknownTopicId || !partition.acknowledgement_batches.is_empty() {
                self.partition(topic.topic_id, partition.partition_index).acknowledge_error_code = why.code();
            }
        }
    }

    fn finish(self) -> Vec<ShareFetchableTopicResponse> {
        let topics = self.0.into_iter().map(|(id, partitions)| {
            ShareFetchableTopicResponse::default()
                .with_topic_id(id)
                .with_partitions(partitions.into_values().collect())
        });
        topics.collect()
    }
}

/// The epoch of a request that opens a session.
const FIRST: i32 = 0;

/// The epoch of a request that ends one.
const LAST: i32 = -1;
