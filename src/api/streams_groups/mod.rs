//! Groups of Kafka Streams, whose coordinator assigns tasks and makes topics (KIP-1071).
//!
//! A broker makes a group's missing internal topics with the rights of whoever sends a heartbeat: here,
//! with the gateway's. So a heartbeat of one who may not make all of them goes on only when there are all
//! that he may not make; otherwise it is answered here, in the words of a broker. The member is then told
//! the same as there, but is not in the group, or falls out of it when its session ends, and comes in
//! with the heartbeat that finds the topics.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::described_groups::{DescribedAside, group_operations};
use super::operations::NOT_ASKED;
use super::{Api, Asking, Pass, Refusal, Showing, put_first, standard_text};
use crate::cluster::{Cause, Lens, No};
use crate::names::{Backend, InvalidName, Kind, Virtual, is_internal_topic};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;
use crate::wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use crate::wire::messages::streams_group_describe_response::{
    DescribedGroup, StreamsGroupDescribeResponse, Topology as DescribedTopology,
};
use crate::wire::messages::streams_group_heartbeat_request::{StreamsGroupHeartbeatRequest, Topology};
use crate::wire::messages::streams_group_heartbeat_response::{Status, StreamsGroupHeartbeatResponse};

/// A member joins, stays or leaves, and is told its tasks.
pub struct StreamsGroupHeartbeat;

impl Api for StreamsGroupHeartbeat {
    type Request = StreamsGroupHeartbeatRequest;
    type Response = StreamsGroupHeartbeatResponse;
    /// The answer, where the broker is not asked.
    type Aside = Option<Box<StreamsGroupHeartbeatResponse>>;

    const KEY: ApiKey = ApiKey::StreamsGroupHeartbeat;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn needs(_version: i16) -> Option<(ApiKey, i16)> {
        Some((ApiKey::StreamsGroupDescribe, 0))
    }

    fn admit(mut request: StreamsGroupHeartbeatRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let group = request.group_id.0.clone();
        match ask.gate.one(Operation::Read, &mut request.group_id) {
            Err(No::Empty(_)) => return Err(Refusal::InvalidRequest),
            verdict => verdict?,
        }
        if let Some(topology) = &mut request.topology {
            admit_topology(topology, ask)?;
        }
        // Who may create all passes at once, but for what is shared, which nobody makes from here.
        let namespace = &ask.gate.cluster().namespace;
        let makes_shared = request.topology.iter().flat_map(made).any(|name| {
            let name = namespace.to_virtual(Kind::Topic, &Backend::meant_for_broker(name.0.clone()));
            name.is_none_or(|name| namespace.is_additional(Kind::Topic, name.as_ref()))
        });
        if request.member_epoch < 0 || (!makes_shared && ask.gate.grants_cluster(Operation::Create)) {
            return Ok(Pass::Forward(request, None));
        }
        let internal = match internal_topics(&group, &request, ask) {
            Some(Ok(internal)) => internal,
            // What cannot be found out may be what the client may not make: it is told as the gateway is.
            Some(Err(code)) => {
                let untold = StreamsGroupHeartbeatResponse::default().with_error_code(code);
                return Ok(Pass::Answer(Some(Box::new(untold.with_error_message(standard_text(code))))));
            }
            None => return Ok(Pass::AskInternalTopics(Backend::meant_for_broker(request.group_id.0))),
        };
        if internal.iter().all(|topic| may_create(topic, ask)) {
            return Ok(Pass::Forward(request, None));
        }
        let sources = request.topology.iter().flat_map(sources).cloned();
        let sources: Vec<_> = sources.map(|topic| Backend::meant_for_broker(topic.0)).collect();
        let Some(there) = ask.topics else {
            return Ok(Pass::AskNamed(internal.into_iter().chain(sources).collect()));
        };
        let there: HashSet<&str> = there.iter().map(|topic| topic.as_ref().as_str()).collect();
        let missing = |topics: Vec<Backend<StrBytes>>| -> Vec<_> {
            topics.into_iter().filter(|topic| !there.contains(topic.as_ref().as_str())).collect()
        };
        let internal = missing(internal);
        let withheld = withheld(&internal, ask);
        if withheld.is_empty() {
            return Ok(Pass::Forward(request, None));
        }
        let status = match missing(sources) {
            sources if sources.is_empty() => internal_missing(&internal, &withheld, ask),
            sources => sources_missing(&sources, ask),
        };
        Ok(Pass::Answer(Some(Box::new(waiting(request, status)))))
    }

    fn reveal(
        response: &mut StreamsGroupHeartbeatResponse,
        answer: Option<Box<StreamsGroupHeartbeatResponse>>,
        show: &Showing<'_>,
    ) {
        if let Some(answer) = answer {
            *response = *answer;
            return;
        }
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        for status in response.status.iter_mut().flatten() {
            status.status_detail = StrBytes::from_static_str(status_text(status.status_code));
        }
        // Where the members are to be found is the application's own.
        for member in response.partitions_by_user_endpoint.iter_mut().flatten() {
            show.lens.echoed(&mut member.active_partitions, |topic| (&mut topic.topic).into());
            show.lens.echoed(&mut member.standby_partitions, |topic| (&mut topic.topic).into());
        }
    }

    fn refuse(
        _request: StreamsGroupHeartbeatRequest,
        why: Refusal,
        _version: i16,
    ) -> StreamsGroupHeartbeatResponse {
        let explained = matches!(why, Refusal::InvalidTopology | Refusal::InvalidRequest);
        StreamsGroupHeartbeatResponse::default()
            .with_error_code(why.code())
            .with_error_message(explained.then(|| StrBytes::from_string(why.text())))
    }
}

/// Asks about every topic of a topology and renames it in its place: groups of sources that are to be
/// partitioned alike are said by where they stand.
fn admit_topology(topology: &mut Topology, ask: &Asking<'_>) -> Result<(), Refusal> {
    let namespace = &ask.gate.cluster().namespace;
    for name in names(topology) {
        let wrong = match namespace.check(Kind::Topic, &name.0) {
            _ if is_internal_topic(&name.0) => Some(Cause::OutsideNamespace),
            // It is as foreign as any other, and denied below.
            Err(InvalidName::OutsidePrefix) => None,
            Err(why) if !namespace.is_additional(Kind::Topic, &name.0) => Some(Cause::InvalidName(why)),
            _ => None,
        };
        if let Some(cause) = wrong {
            ask.gate.note(Operation::Describe, Resource::Topic, &name.0, cause);
            return Err(Refusal::InvalidTopology);
        }
    }
    let refused = names(topology).filter_map(|name| ask.gate.one(Operation::Describe, name).err());
    match refused.reduce(|one, other| if one == No::TwoNames { other } else { one }) {
        // Its tasks would read each partition twice, and commit one place of two.
        Some(No::TwoNames) => return Err(Refusal::InvalidTopology),
        Some(_) => return Err(Refusal::TopicDenied),
        None => {}
    }
    // No broker resolves a pattern of sources yet.
    let by_pattern = topology.subtopologies.iter().any(|part| !part.source_topic_regex.is_empty());
    if by_pattern { Err(Refusal::InvalidRequest) } else { Ok(()) }
}

fn names(topology: &mut Topology) -> impl Iterator<Item = &mut TopicName> {
    topology.subtopologies.iter_mut().flat_map(|part| {
        let made = part.repartition_source_topics.iter_mut().chain(&mut part.state_changelog_topics);
        let named = part.source_topics.iter_mut().chain(&mut part.repartition_sink_topics);
        named.chain(made.map(|topic| &mut topic.name))
    })
}

/// What the coordinator makes of a topology.
fn made(topology: &Topology) -> impl Iterator<Item = &TopicName> {
    topology.subtopologies.iter().flat_map(|part| {
        let made = part.repartition_source_topics.iter().chain(&part.state_changelog_topics);
        made.map(|topic| &topic.name)
    })
}

fn sources(topology: &Topology) -> impl Iterator<Item = &TopicName> {
    topology.subtopologies.iter().flat_map(|part| &part.source_topics)
}

/// Every topic that the coordinator might make at this heartbeat: those of the member's own topology and
/// those of the group's, which need not be the same. `None` where the group's is to be asked for; Kafka's
/// code where it was asked for in vain.
fn internal_topics(
    group: &str,
    request: &StreamsGroupHeartbeatRequest,
    ask: &mut Asking<'_>,
) -> Option<Result<Vec<Backend<StrBytes>>, i16>> {
    if request.topology.is_none()
        && let Some(known) = ask.conversation.internal_topics(group)
    {
        return Some(Ok(known.to_vec()));
    }
    let of_group = match ask.internal_topics? {
        Ok(of_group) => of_group,
        Err(code) => return Some(Err(*code)),
    };
    let own = request.topology.iter().flat_map(made).map(|name| name.0.clone());
    let of_others = of_group.iter().flatten().map(|topic| topic.as_ref().clone());
    let topics: BTreeSet<_> = own.chain(of_others).collect();
    let topics: Vec<_> = topics.into_iter().map(Backend::meant_for_broker).collect();
    if request.topology.is_some() || of_group.is_some() {
        ask.conversation.note_internal_topics(group, &topics);
    }
    Some(Ok(topics))
}

/// What is not of this virtual cluster, or is shared with it, nobody makes from here.
fn may_create(topic: &Backend<StrBytes>, ask: &Asking<'_>) -> bool {
    let namespace = &ask.gate.cluster().namespace;
    namespace.to_virtual(Kind::Topic, topic).is_some_and(|name| {
        !namespace.is_additional(Kind::Topic, name.as_ref())
            && (ask.gate.grants_cluster(Operation::Create)
                || ask.gate.grants(Operation::Create, Resource::Topic, name.as_ref()))
    })
}

/// The missing topics that the client may not make, each noted.
fn withheld(missing: &[Backend<StrBytes>], ask: &Asking<'_>) -> Vec<Backend<StrBytes>> {
    let namespace = &ask.gate.cluster().namespace;
    let withheld: Vec<_> = missing.iter().filter(|topic| !may_create(topic, ask)).cloned().collect();
    for topic in &withheld {
        let name = namespace.to_virtual(Kind::Topic, topic).map(Virtual::into_inner).unwrap_or_default();
        if name.is_empty() {
            ask.gate.note(Operation::Create, Resource::Topic, &name, Cause::OutsideNamespace);
        } else if namespace.is_additional(Kind::Topic, &name) {
            ask.gate.note(Operation::Create, Resource::Topic, &name, Cause::Additional);
        } else {
            // It is refused already; asked again, it is noted with the rule that refuses it.
            let _ = ask.gate.ask(Operation::Create, Resource::Topic, &name);
        }
    }
    withheld
}

fn internal_missing(
    missing: &[Backend<StrBytes>],
    withheld: &[Backend<StrBytes>],
    ask: &Asking<'_>,
) -> Status {
    let (missing, withheld) = (listed(missing, ask), listed(withheld, ask));
    let text =
        format!("Internal topics are missing: {missing}; Unauthorized to CREATE on topics {withheld}.");
    Status::default().with_status_code(INTERNAL_MISSING).with_status_detail(StrBytes::from_string(text))
}

fn sources_missing(missing: &[Backend<StrBytes>], ask: &Asking<'_>) -> Status {
    let text = format!("Source topics {} are missing.", listed(missing, ask));
    Status::default().with_status_code(SOURCES_MISSING).with_status_detail(StrBytes::from_string(text))
}

/// The names by which the client knows topics, of those that it may know of; more are counted.
fn listed(topics: &[Backend<StrBytes>], ask: &Asking<'_>) -> String {
    let namespace = &ask.gate.cluster().namespace;
    let names = topics.iter().filter_map(|topic| namespace.to_virtual(Kind::Topic, topic));
    let names = names.filter(|name| ask.gate.grants(Operation::Describe, Resource::Topic, name.as_ref()));
    let names: BTreeSet<_> = names.map(Virtual::into_inner).collect();
    let more = names.len().saturating_sub(NAMES_TOLD_MAX);
    let mut text = names.iter().take(NAMES_TOLD_MAX).map(StrBytes::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} additional topics"));
    }
    text
}

/// What a member is told that is to ask again, with all that it had.
///
/// Source: the defaults of `group.streams.heartbeat.interval.ms`, `group.streams.acceptable.recovery.lag`
/// and `group.streams.task.offset.interval.ms`.
fn waiting(request: StreamsGroupHeartbeatRequest, status: Status) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse::default()
        .with_member_id(request.member_id)
        .with_member_epoch(request.member_epoch)
        .with_heartbeat_interval_ms(5_000)
        .with_acceptable_recovery_lag(10_000)
        .with_task_offset_interval_ms(60_000)
        .with_endpoint_information_epoch(request.endpoint_information_epoch)
        .with_status(Some(vec![status]))
}

/// A line of a log has room for some.
const NAMES_TOLD_MAX: usize = 10;

const SOURCES_MISSING: i8 = 1;
const INTERNAL_MISSING: i8 = 3;

/// Kafka's own words for a status: what a broker adds to them quotes names.
fn status_text(code: i8) -> &'static str {
    match code {
        0 => "The topology epoch supplied is inconsistent with the topology for this streams group.",
        SOURCES_MISSING => {
            "One or more source topics are missing or a source topic regex resolves to zero topics."
        }
        2 => "One or more topics expected to be copartitioned are not copartitioned.",
        INTERNAL_MISSING => "One or more internal topics are missing.",
        4 => "A client requested the shutdown of the whole application.",
        5 => "The assignment was delayed by the coordinator.",
        _ => "",
    }
}

/// Members of such groups, their topology and their tasks.
pub struct StreamsGroupDescribe;

impl Api for StreamsGroupDescribe {
    type Request = StreamsGroupDescribeRequest;
    type Response = StreamsGroupDescribeResponse;
    type Aside = DescribedAside;

    const KEY: ApiKey = ApiKey::StreamsGroupDescribe;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(mut request: StreamsGroupDescribeRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let operations = &mut request.include_authorized_operations;
        let aside = DescribedAside::take(&mut request.group_ids, operations, ask.gate);
        let left = request.group_ids.len();
        Ok(aside.pass(request, left))
    }

    fn reveal(response: &mut StreamsGroupDescribeResponse, aside: DescribedAside, show: &Showing<'_>) {
        show.lens.echoed(&mut response.groups, |group| (&mut group.group_id).into());
        for group in &mut response.groups {
            reveal_group(group, aside.operations, show.lens);
        }
        put_first(&mut response.groups, aside.refused.into_iter().map(refused_group));
    }

    fn refuse(
        request: StreamsGroupDescribeRequest,
        why: Refusal,
        _version: i16,
    ) -> StreamsGroupDescribeResponse {
        let refused = request.group_ids.into_iter().map(|group| refused_group((group, why)));
        StreamsGroupDescribeResponse::default().with_groups(refused.collect())
    }
}

/// Who may not know of one topic of the topology is told nothing of the group.
fn reveal_group(group: &mut DescribedGroup, operations: bool, lens: &Lens<'_>) {
    group.error_message = group.error_message.take().and_then(|_| standard_text(group.error_code));
    let may_know = group
        .topology
        .iter_mut()
        .flat_map(described_names)
        .all(|name| lens.one(&mut *name) && lens.grants(Operation::Describe, Resource::Topic, &name.0));
    if !may_know {
        *group = refused_group((std::mem::take(&mut group.group_id), Refusal::TopicDenied))
            .with_error_message(Some(StrBytes::from_static_str(DENIED_INSIDE)));
        return;
    }
    for member in &mut group.members {
        // The address from which this gateway, or whoever is on the backend directly, reaches the broker.
        member.client_host = StrBytes::default();
    }
    group.authorized_operations = group_operations(operations, group.error_code, &group.group_id, lens);
}

fn described_names(topology: &mut DescribedTopology) -> impl Iterator<Item = &mut TopicName> {
    topology.subtopologies.iter_mut().flatten().flat_map(|part| {
        let made = part.repartition_source_topics.iter_mut().chain(&mut part.state_changelog_topics);
        let named = part.source_topics.iter_mut().chain(&mut part.repartition_sink_topics);
        named.chain(made.map(|topic| &mut topic.name))
    })
}

/// A broker leaves the text out here, and so does this.
fn refused_group((group, why): (GroupId, Refusal)) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(group)
        .with_error_code(why.code())
        .with_authorized_operations(NOT_ASKED)
}

/// Kafka's own words, which name nothing.
const DENIED_INSIDE: &str = "The described group uses topics that the client is not authorized to describe.";
