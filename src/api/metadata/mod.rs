//! Metadata.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::called::Called;
use super::described::{admit_name, hide_lost_leader};
use super::operations::{NOT_ASKED, TOPIC_OPERATIONS, cluster_operations};
use super::{Api, Asking, Pass, Refusal, Showing};
use crate::names::Kind;
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// Brokers, and topics with their partitions.
pub struct Metadata;

/// What a Metadata request asked for, as far as its answer depends on it.
#[derive(Default)]
pub struct MetadataAside {
    /// The topics that were asked for by their ids.
    ids: BTreeSet<Uuid>,
    /// Only where topics have several names.
    called: Option<Called>,
    refused: Vec<(MetadataRequestTopic, i16)>,
    /// Names that a broker would have made topics of, had the client the right to create them.
    uncreatable: HashSet<StrBytes>,
    cluster_operations: bool,
    topic_operations: bool,
}

impl Api for Metadata {
    type Request = MetadataRequest;
    type Response = MetadataResponse;
    type Aside = MetadataAside;

    const KEY: ApiKey = ApiKey::Metadata;
    const VERSIONS: RangeInclusive<i16> = 0..=13;
    const ASKS_BY_ID: bool = true;

    /// Before 4 there is no flag, and a broker makes a topic of every name it does not know.
    fn upstream_version(version: i16) -> i16 {
        version.max(4)
    }

    /// librdkafka asks for all topics by a null of four bytes where the version has one, so that its
    /// flags come after the end of the message. Brokers do not look there.
    fn read_by_brokers(mut body: Bytes, version: i16) -> Bytes {
        const ALL_TOPICS_BYTES: usize = 4; // a null, two flags, no tagged fields
        if version >= 11 && body.len() == 7 && body.starts_with(&[0; ALL_TOPICS_BYTES]) {
            body.truncate(ALL_TOPICS_BYTES);
        }
        body
    }

    fn ids(request: &MetadataRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request.topics.iter().flatten().for_each(|topic| tell(topic.topic_id));
    }

    fn admit(mut request: MetadataRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut aside = MetadataAside {
            cluster_operations: std::mem::take(&mut request.include_cluster_authorized_operations),
            topic_operations: std::mem::take(&mut request.include_topic_authorized_operations),
            called: ask.gate.cluster().namespace.has_aliases().then(Called::default),
            ..MetadataAside::default()
        };
        if ask.version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty) {
            request.topics = None; // in version 0 none named means all
        }
        // No broker takes ids before 12, and one that refuses them says both words of the client back,
        // which are not to be taken for its own.
        if ask.version < BY_ID && request.topics.iter().flatten().any(|topic| !topic.topic_id.is_nil()) {
            return Err(Refusal::InvalidRequest);
        }
        let Some(topics) = request.topics.take() else {
            request.allow_auto_topic_creation = false;
            aside.called.iter_mut().for_each(|called| called.all = true);
            return Ok(Pass::Forward(request, aside));
        };
        let creates = request.allow_auto_topic_creation;
        let creates_any = creates && ask.gate.grants_cluster(Operation::Create);
        let (mut creatable, mut known_only) = (Vec::new(), Vec::new());
        for mut topic in topics {
            if !topic.topic_id.is_nil() {
                aside.ids.insert(topic.topic_id);
                aside.called.iter_mut().for_each(|called| called.note_id(&mut topic.topic_id, ask.gate));
                // The Java client says the empty name beside an id, and brokers read none there.
                if ask.version >= BY_ID {
                    topic.name = None;
                }
            }
            let Some(name) = &mut topic.name else {
                known_only.push(topic); // asked for by its id; whose it is shows in the answer
                continue;
            };
            let shown = name.0.clone();
            let admitted = admit_name(ask, name);
            if admitted.is_ok() {
                aside.called.iter_mut().for_each(|called| called.note(name, shown.clone()));
            }
            match admitted {
                Err(code) => aside.refused.push((topic, code)),
                Ok(()) if !creates => known_only.push(topic),
                Ok(()) if !creates_any && !ask.gate.grants(Operation::Create, Resource::Topic, &shown) => {
                    aside.uncreatable.insert(shown);
                    known_only.push(topic);
                }
                Ok(()) if is_not_to_be_made(ask, &shown) => known_only.push(topic),
                Ok(()) => creatable.push(topic),
            }
        }
        if !request.allow_auto_topic_creation || known_only.is_empty() || creatable.is_empty() {
            request.allow_auto_topic_creation &= !creatable.is_empty();
            creatable.append(&mut known_only);
            return Ok(Pass::Forward(request.with_topics(Some(creatable)), aside));
        }
        let without = request.clone().with_topics(Some(known_only)).with_allow_auto_topic_creation(false);
        Ok(Pass::ForwardBoth(request.with_topics(Some(creatable)), without, aside))
    }

    fn reveal(response: &mut MetadataResponse, aside: MetadataAside, show: &Showing<'_>) {
        // What a broker refuses, it may say in the client's own words.
        let is_told = |code| code == 0 || code == ResponseError::LeaderNotAvailable.code();
        for topic in response.topics.iter().filter(|topic| is_told(topic.error_code)) {
            topic.name.iter().for_each(|name| show.lens.learn_only(topic.topic_id, &name.0));
        }
        reveal_brokers(response, show);
        match &aside.called {
            None => response.topics.retain_mut(|topic| reveal_topic(topic, None, &aside, show)),
            Some(called) => {
                let topics = called.under_each(std::mem::take(&mut response.topics), show.lens);
                response.topics.extend(topics.into_iter().filter_map(|(mut topic, name)| {
                    reveal_topic(&mut topic, name, &aside, show).then_some(topic)
                }));
            }
        }
        if !aside.ids.is_empty() {
            // A broker names the ids that it does not know first, by which another's would stand out.
            response.topics.sort_by_key(|topic| topic.name.is_none().then_some(topic.topic_id));
        }
        response.topics.extend(aside.refused.into_iter().map(|(topic, code)| {
            MetadataResponseTopic::default()
                .with_name(topic.name)
                .with_error_code(code)
                .with_topic_authorized_operations(NOT_ASKED)
        }));
        response.cluster_authorized_operations = match aside.cluster_operations {
            true => cluster_operations(show.lens),
            false => NOT_ASKED,
        };
    }

    fn refuse(request: MetadataRequest, why: Refusal, version: i16) -> MetadataResponse {
        let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
            // Before 12 no answer can leave the name out.
            let name = topic.name.or_else(|| (version < BY_ID).then(TopicName::default));
            MetadataResponseTopic::default().with_name(name).with_error_code(why.code())
        });
        MetadataResponse::default().with_topics(topics.collect())
    }

    fn join(first: &mut MetadataResponse, second: MetadataResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(second.throttle_time_ms);
        first.topics.extend(second.topics);
    }
}

/// From here on topics are asked for by their ids as well (KIP-516).
const BY_ID: i16 = 12;

/// Clients may not create what stands outside their prefix, nor by an alias.
fn is_not_to_be_made(ask: &Asking<'_>, name: &str) -> bool {
    let namespace = &ask.gate.cluster().namespace;
    namespace.is_additional(Kind::Topic, name) || namespace.behind_alias(name).is_some()
}

fn reveal_brokers(response: &mut MetadataResponse, show: &Showing<'_>) {
    response
        .brokers
        .retain_mut(|broker| show.lens.advertise(broker.node_id.0, &mut broker.host, &mut broker.port));
    let is_listed = response.brokers.iter().any(|broker| broker.node_id == response.controller_id);
    if !is_listed {
        response.controller_id = response.brokers.first().map_or(BrokerId(-1), |broker| broker.node_id);
    }
    response.cluster_id = (show.version >= 2).then(|| show.lens.cluster_id());
    // What the broker's version has and the client's has not.
    if show.version < 1 {
        response.controller_id = BrokerId(-1);
        response.brokers.iter_mut().for_each(|broker| broker.rack = None);
    }
    if show.version < 3 {
        response.throttle_time_ms = 0;
    }
}

/// Leaves of a topic what the client may see, under the name that is given or else its own.
fn reveal_topic(
    topic: &mut MetadataResponseTopic,
    shown: Option<StrBytes>,
    aside: &MetadataAside,
    show: &Showing<'_>,
) -> bool {
    topic.is_internal = false;
    // Before 12 no answer can leave the name out.
    let by_id = show.version >= BY_ID && aside.ids.contains(&topic.topic_id);
    let Some(name) = &mut topic.name else {
        // Nobody has it; or somebody has whom the broker does not show to us, which is not for the client.
        let code = match topic.error_code {
            code if code == ResponseError::TopicAuthorizationFailed.code() => {
                ResponseError::UnknownTopicId.code()
            }
            code => code,
        };
        *topic = only_its_id(topic.topic_id, code);
        return by_id;
    };
    let is_ours = match shown {
        Some(shown) => {
            name.0 = shown;
            true
        }
        None => show.lens.one(&mut *name),
    };
    let may_describe = is_ours && show.lens.grants(Operation::Describe, Resource::Topic, &name.0);
    if !may_describe {
        // By name only what may be described was asked for, so this one was asked for by its id.
        if !by_id {
            return false;
        }
        let code =
            if is_ours { ResponseError::TopicAuthorizationFailed } else { ResponseError::UnknownTopicId };
        *topic = only_its_id(topic.topic_id, code.code());
        return true;
    }
    topic.topic_authorized_operations = match aside.topic_operations {
        true => show.lens.authorized_operations(Resource::Topic, &name.0, &TOPIC_OPERATIONS),
        false => NOT_ASKED,
    };
    if topic.error_code == ResponseError::UnknownTopicOrPartition.code()
        && aside.uncreatable.contains(&name.0)
    {
        topic.error_code = ResponseError::TopicAuthorizationFailed.code();
        topic.topic_authorized_operations = NOT_ASKED;
    }
    for partition in &mut topic.partitions {
        hide_lost_leader(&mut partition.leader_id, &mut partition.error_code, show.lens);
    }
    true
}

/// What is said of a topic that the client knows the id of, and may know nothing else of.
fn only_its_id(id: Uuid, code: i16) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_name(None)
        .with_topic_id(id)
        .with_error_code(code)
        .with_topic_authorized_operations(NOT_ASKED)
}
