//! The cluster as a client sees it: its brokers, its topics, its coordinators.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Api, Asking, Pass, Refusal, Showing, standard_text};
use crate::cluster::{Cause, Lens};
use crate::names::{InvalidName, Kind};
use crate::policy::{Operation, Resource};

/// Brokers, and topics with their partitions.
pub struct Metadata;

/// What a Metadata request asked for, as far as its answer depends on it.
#[derive(Default)]
pub struct MetadataAside {
    /// The topics that were asked for by their ids.
    ids: BTreeSet<Uuid>,
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

    fn admit(mut request: MetadataRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut aside = MetadataAside {
            cluster_operations: std::mem::take(&mut request.include_cluster_authorized_operations),
            topic_operations: std::mem::take(&mut request.include_topic_authorized_operations),
            ..MetadataAside::default()
        };
        if ask.version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty) {
            request.topics = None; // in version 0 none named means all
        }
        let Some(topics) = request.topics.take() else {
            request.allow_auto_topic_creation = false;
            return Ok(Pass::Forward(request, aside));
        };
        let creates = request.allow_auto_topic_creation;
        let creates_any = creates && ask.gate.grants_cluster(Operation::Create);
        let (mut creatable, mut known_only) = (Vec::new(), Vec::new());
        for mut topic in topics {
            if !topic.topic_id.is_nil() {
                aside.ids.insert(topic.topic_id);
            }
            let Some(name) = &mut topic.name else {
                known_only.push(topic); // asked for by its id; whose it is shows in the answer
                continue;
            };
            let shown = name.0.clone();
            match admit_name(ask, name) {
                Err(code) => aside.refused.push((topic, code)),
                Ok(()) if !creates => known_only.push(topic),
                Ok(()) if !creates_any && !ask.gate.grants(Operation::Create, Resource::Topic, &shown) => {
                    aside.uncreatable.insert(shown);
                    known_only.push(topic);
                }
                Ok(()) if is_additional(ask, &shown) => known_only.push(topic),
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
        reveal_brokers(response, show);
        response.topics.retain_mut(|topic| reveal_topic(topic, &aside, show));
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

    fn refuse(request: MetadataRequest, why: Refusal, _version: i16) -> MetadataResponse {
        let topics =
            request.topics.unwrap_or_default().into_iter().map(|topic| {
                MetadataResponseTopic::default().with_name(topic.name).with_error_code(why.code())
            });
        MetadataResponse::default().with_topics(topics.collect())
    }

    fn join(first: &mut MetadataResponse, second: MetadataResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(second.throttle_time_ms);
        first.topics.extend(second.topics);
    }
}

/// Lets a name through to the broker, or says with which code it is answered here.
fn admit_name(ask: &Asking<'_>, name: &mut TopicName) -> Result<(), i16> {
    ask.gate.ask(Operation::Describe, Resource::Topic, &name.0).map_err(|no| Refusal::from(no).code())?;
    match ask.gate.cluster().namespace.check(Kind::Topic, &name.0) {
        Ok(()) => {}
        Err(InvalidName::OutsidePrefix) => {
            ask.gate.note(Operation::Describe, Resource::Topic, &name.0, Cause::OutsideNamespace);
            return Err(Refusal::TopicDenied.code());
        }
        Err(InvalidName::Internal) => return Err(ResponseError::UnknownTopicOrPartition.code()),
        Err(why) => {
            ask.gate.note(Operation::Describe, Resource::Topic, &name.0, Cause::InvalidName(why));
            return Err(Refusal::InvalidTopic(why).code());
        }
    }
    ask.gate.rename(Operation::Describe, name.into()).map_err(|no| Refusal::from(no).code())
}

/// Clients may not create what stands outside their prefix.
fn is_additional(ask: &Asking<'_>, name: &str) -> bool {
    ask.gate.cluster().namespace.is_additional(Kind::Topic, name)
}

fn reveal_brokers(response: &mut MetadataResponse, show: &Showing<'_>) {
    response.brokers.retain_mut(|broker| advertise(broker, show.lens));
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

/// Puts our address in place of a broker's; false for a broker without a door.
fn advertise(broker: &mut MetadataResponseBroker, lens: &Lens<'_>) -> bool {
    let Some(address) = lens.broker(broker.node_id.0) else { return false };
    broker.host = StrBytes::from_string(address.host.to_string());
    broker.port = address.port.into();
    true
}

fn reveal_topic(topic: &mut MetadataResponseTopic, aside: &MetadataAside, show: &Showing<'_>) -> bool {
    topic.is_internal = false;
    // Before 12 no answer can leave the name out.
    let by_id = show.version >= 12 && aside.ids.contains(&topic.topic_id);
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
    let is_ours = show.lens.one(&mut *name);
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
        if partition.leader_id.0 >= 0 && !show.lens.has_door(partition.leader_id.0) {
            partition.leader_id = BrokerId(-1);
            partition.error_code = ResponseError::LeaderNotAvailable.code();
        }
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

/// Which broker answers for a group or a transactional id.
pub struct FindCoordinator;

/// The kind of the keys, which the answer does not repeat, and the refused ones.
pub struct FindCoordinatorAside {
    kind: Kind,
    refused: Vec<(StrBytes, Refusal)>,
}

impl Api for FindCoordinator {
    type Request = FindCoordinatorRequest;
    type Response = FindCoordinatorResponse;
    type Aside = FindCoordinatorAside;

    const KEY: ApiKey = ApiKey::FindCoordinator;
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    fn admit(mut request: FindCoordinatorRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let kind = match request.key_type {
            0 => Kind::Group,
            1 => Kind::TransactionalId,
            _ => return Err(Refusal::InvalidRequest), // 2 is a share partition, and brokers ask for it
        };
        if ask.version < 4 {
            ask.gate.one(Operation::Describe, kind.at(&mut request.key))?;
            return Ok(Pass::Forward(request, FindCoordinatorAside { kind, refused: Vec::new() }));
        }
        let mut refused = Vec::new();
        request.coordinator_keys.retain_mut(|key| match ask.gate.one(Operation::Describe, kind.at(key)) {
            Ok(()) => true,
            Err(no) => {
                refused.push((key.clone(), no.into()));
                false
            }
        });
        let nothing_left = request.coordinator_keys.is_empty() && !refused.is_empty();
        let aside = FindCoordinatorAside { kind, refused };
        Ok(if nothing_left { Pass::Answer(aside) } else { Pass::Forward(request, aside) })
    }

    fn reveal(response: &mut FindCoordinatorResponse, aside: FindCoordinatorAside, show: &Showing<'_>) {
        if show.version < 4 {
            let place = place(response.node_id, &mut response.error_code, show.lens);
            (response.node_id, response.host, response.port) = place;
            response.error_message = if show.version >= 1 { text(response.error_code) } else { None };
            return;
        }
        response.coordinators.retain_mut(|coordinator| {
            show.lens.one(aside.kind.at(&mut coordinator.key)) && {
                reveal_coordinator(coordinator, show.lens);
                true
            }
        });
        response
            .coordinators
            .extend(aside.refused.into_iter().map(|(key, why)| refused_coordinator(key, why)));
    }

    fn refuse(request: FindCoordinatorRequest, why: Refusal, version: i16) -> FindCoordinatorResponse {
        if version >= 4 {
            let refused = request.coordinator_keys.into_iter().map(|key| refused_coordinator(key, why));
            return FindCoordinatorResponse::default().with_coordinators(refused.collect());
        }
        let (node_id, host, port) = nowhere();
        FindCoordinatorResponse::default()
            .with_error_code(why.code())
            .with_error_message(if version >= 1 { text(why.code()) } else { None })
            .with_node_id(node_id)
            .with_host(host)
            .with_port(port)
    }
}

fn reveal_coordinator(coordinator: &mut Coordinator, lens: &Lens<'_>) {
    let place = place(coordinator.node_id, &mut coordinator.error_code, lens);
    (coordinator.node_id, coordinator.host, coordinator.port) = place;
    coordinator.error_message = text(coordinator.error_code);
}

/// Where a client finds the coordinator; nowhere when there is an error, or the broker has no door.
fn place(node: BrokerId, error_code: &mut i16, lens: &Lens<'_>) -> (BrokerId, StrBytes, i32) {
    if *error_code != 0 {
        return nowhere();
    }
    match lens.broker(node.0) {
        Some(address) => (node, StrBytes::from_string(address.host.to_string()), address.port.into()),
        None => {
            *error_code = ResponseError::CoordinatorNotAvailable.code();
            nowhere()
        }
    }
}

fn refused_coordinator(key: StrBytes, why: Refusal) -> Coordinator {
    let (node_id, host, port) = nowhere();
    Coordinator::default()
        .with_key(key)
        .with_error_code(why.code())
        .with_error_message(text(why.code()))
        .with_node_id(node_id)
        .with_host(host)
        .with_port(port)
}

fn nowhere() -> (BrokerId, StrBytes, i32) {
    (BrokerId(-1), StrBytes::from_static_str(""), -1)
}

/// Brokers and the cluster's id.
pub struct DescribeCluster;

impl Api for DescribeCluster {
    type Request = DescribeClusterRequest;
    type Response = DescribeClusterResponse;
    /// Whether the authorized operations were asked for.
    type Aside = bool;

    const KEY: ApiKey = ApiKey::DescribeCluster;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn admit(mut request: DescribeClusterRequest, _ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        match request.endpoint_type {
            1 => {}
            2 => return Err(Refusal::MismatchedEndpoint),
            _ => return Err(Refusal::UnsupportedEndpoint),
        }
        let operations = std::mem::take(&mut request.include_cluster_authorized_operations);
        Ok(Pass::Forward(request, operations))
    }

    fn reveal(response: &mut DescribeClusterResponse, operations: bool, show: &Showing<'_>) {
        response.error_message = response.error_message.take().and_then(|_| text(response.error_code));
        response.cluster_id = show.lens.cluster_id();
        response.brokers.retain_mut(|broker| match show.lens.broker(broker.broker_id.0) {
            Some(address) => {
                broker.host = StrBytes::from_string(address.host.to_string());
                broker.port = address.port.into();
                true
            }
            None => false,
        });
        if !response.brokers.iter().any(|broker| broker.broker_id == response.controller_id) {
            response.controller_id = response.brokers.first().map_or(BrokerId(-1), |broker| broker.broker_id);
        }
        response.cluster_authorized_operations =
            if operations { cluster_operations(show.lens) } else { NOT_ASKED };
    }

    fn refuse(_request: DescribeClusterRequest, why: Refusal, _version: i16) -> DescribeClusterResponse {
        DescribeClusterResponse::default()
            .with_error_code(why.code())
            .with_error_message(Some(StrBytes::from_string(why.text())))
    }
}

fn cluster_operations(lens: &Lens<'_>) -> i32 {
    if lens.grants_cluster(Operation::Describe) {
        lens.authorized_cluster_operations(&CLUSTER_OPERATIONS)
    } else {
        0
    }
}

fn text(code: i16) -> Option<StrBytes> {
    standard_text(code).map(StrBytes::from_string)
}

/// What a bit field says that nobody asked for.
const NOT_ASKED: i32 = i32::MIN;

/// The operations that a topic has.
const TOPIC_OPERATIONS: [Operation; 8] = [
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Describe,
    Operation::Delete,
    Operation::Alter,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// The operations that a cluster has; CLUSTER_ACTION is for brokers and never granted.
const CLUSTER_OPERATIONS: [Operation; 6] = [
    Operation::Create,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
    Operation::Alter,
    Operation::Describe,
];

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
    use kafka_protocol::messages::metadata_response::MetadataResponsePartition;

    use super::*;
    use crate::api::testing::{Dialogue, World, said, text as name};
    use crate::names::Mode;

    type Right = (Operation, Resource, &'static str);

    const DESCRIBE_ORDERS: Right = (Operation::Describe, Resource::Topic, "orders");
    const DESCRIBE_ANY: Right = (Operation::Describe, Resource::Topic, "*");
    const CREATE_NEW: Right = (Operation::Create, Resource::Topic, "new*");

    fn metadata(topics: &[&str]) -> MetadataRequest {
        let topics = topics
            .iter()
            .map(|topic| MetadataRequestTopic::default().with_name(Some(TopicName(name(topic)))));
        MetadataRequest::default().with_topics(Some(topics.collect()))
    }

    fn by_id(ids: &[u128]) -> MetadataRequest {
        let topics = ids
            .iter()
            .map(|id| MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::from_u128(*id)));
        MetadataRequest::default().with_topics(Some(topics.collect()))
    }

    fn topic(topic: &str, code: i16) -> MetadataResponseTopic {
        MetadataResponseTopic::default().with_name(Some(TopicName(name(topic)))).with_error_code(code)
    }

    /// Three brokers, of which the third, which is the controller, has no door here.
    fn brokers(version: i16, topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
        let brokers = [1, 2, 3].map(|node| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node))
                .with_host(name("kafka"))
                .with_port(9092)
                .with_rack(Some(name("rack")))
        });
        assert!(version >= 4);
        MetadataResponse::default()
            .with_brokers(brokers.to_vec())
            .with_cluster_id(Some(name("backend-id")))
            .with_controller_id(BrokerId(3))
            .with_topics(topics)
    }

    fn asked(request: &MetadataRequest) -> Option<Vec<&str>> {
        let topics = request.topics.as_ref()?.iter();
        Some(topics.map(|topic| topic.name.as_ref().map_or("", |name| name.0.as_str())).collect())
    }

    fn seen(response: &MetadataResponse) -> Vec<(&str, i16)> {
        let topics = response.topics.iter();
        topics
            .map(|topic| (topic.name.as_ref().map_or("", |name| name.0.as_str()), topic.error_code))
            .collect()
    }

    fn talk(
        rights: &[Right],
        version: i16,
        request: &MetadataRequest,
        topics: &[(&str, i16)],
    ) -> Dialogue<Metadata> {
        let topics = topics.iter().map(|(name, code)| topic(name, *code));
        let answer = brokers(Metadata::upstream_version(version), topics.collect());
        World::allowing(rights).talk::<Metadata>(version, request, &answer)
    }

    #[test]
    fn brokers_have_our_addresses_and_the_cluster_our_id() {
        for version in Metadata::VERSIONS {
            let seen = talk(&[], version, &metadata(&["orders"]), &[]).seen;
            let brokers = seen.brokers.iter();
            let brokers: Vec<_> =
                brokers.map(|broker| (broker.node_id.0, broker.host.as_str(), broker.port)).collect();
            assert_eq!(brokers, [(1, "gateway", 19093), (2, "gateway", 19094)]);
            assert_eq!(seen.controller_id.0, if version >= 1 { 1 } else { -1 });
            assert_eq!(seen.cluster_id, (version >= 2).then(|| name("team-id")));
            assert_eq!(seen.brokers[0].rack, (version >= 1).then(|| name("rack")));
        }
    }

    #[test]
    fn a_topic_that_may_not_be_described_is_refused_whether_it_exists_or_not() {
        for version in Metadata::VERSIONS {
            let request = metadata(&["secret", "orders", "absent"]);
            let talk = talk(&[DESCRIBE_ORDERS], version, &request, &[("my-orders", 0)]);
            assert_eq!(asked(talk.sent()), Some(vec!["my-orders"]));
            assert_eq!(seen(&talk.seen), [("orders", 0), ("secret", 29), ("absent", 29)]);
            assert_eq!(talk.denials.len(), 2);
        }
    }

    #[test]
    fn a_list_of_all_topics_has_those_that_may_be_described() {
        for version in Metadata::VERSIONS {
            let all = if version == 0 { Some(Vec::new()) } else { None };
            let request = MetadataRequest::default().with_topics(all);
            let answer = [("my-orders", 0), ("my-secret", 0), ("their-orders", 0), ("__consumer_offsets", 0)];
            let talk = talk(&[DESCRIBE_ORDERS], version, &request, &answer);
            assert_eq!(asked(talk.sent()), None);
            assert!(!talk.sent().allow_auto_topic_creation);
            assert_eq!(seen(&talk.seen), [("orders", 0)]);
        }
    }

    #[test]
    fn an_empty_list_of_topics_is_not_a_list_of_all() {
        for version in 1..=13 {
            let talk = talk(&[DESCRIBE_ANY], version, &metadata(&[]), &[]);
            assert_eq!(asked(talk.sent()), Some(vec![]));
            assert!(!talk.sent().allow_auto_topic_creation);
        }
    }

    #[test]
    fn names_that_can_not_exist_are_answered_here() {
        let request = metadata(&["", "..", "a/b", "__consumer_offsets"]);
        let talk = talk(&[DESCRIBE_ANY], 12, &request, &[]);
        assert_eq!(asked(talk.sent()), Some(vec![]));
        assert_eq!(seen(&talk.seen), [("", 17), ("..", 17), ("a/b", 17), ("__consumer_offsets", 3)]);

        let answer = brokers(12, Vec::new());
        let mut world = World::with(Mode::EnforcePrefix, &[DESCRIBE_ANY], &[]);
        let talk = world.talk::<Metadata>(12, &metadata(&["orders"]), &answer);
        assert_eq!(seen(&talk.seen), [("orders", 29)]);
    }

    #[test]
    fn a_topic_is_made_by_asking_only_with_the_right_to_create_it() {
        for version in Metadata::VERSIONS {
            let request = metadata(&["new-orders"]);
            let talked = talk(&[DESCRIBE_ANY, CREATE_NEW], version, &request, &[("my-new-orders", 3)]);
            assert!(talked.sent().allow_auto_topic_creation);
            assert_eq!(seen(&talked.seen), [("new-orders", 3)]);

            let talked = talk(&[DESCRIBE_ANY], version, &request, &[("my-new-orders", 3)]);
            assert!(!talked.sent().allow_auto_topic_creation, "version {version}");
            assert_eq!(
                seen(&talked.seen),
                [("new-orders", 29)],
                "what a broker says of what it may not make"
            );

            if version >= 4 {
                let request = request.with_allow_auto_topic_creation(false);
                let talked = talk(&[DESCRIBE_ANY], version, &request, &[("my-new-orders", 3)]);
                assert_eq!(seen(&talked.seen), [("new-orders", 3)], "it was not to be made");
            }
        }
    }

    #[test]
    fn an_additional_topic_is_never_made_by_asking() {
        let rights = [DESCRIBE_ANY, (Operation::Create, Resource::Topic, "*")];
        let talk = talk(&rights, 9, &metadata(&["extra_topic"]), &[("extra_topic", 3)]);
        assert!(!talk.sent().allow_auto_topic_creation);
        assert_eq!(seen(&talk.seen), [("extra_topic", 3)]);
    }

    #[test]
    fn what_may_be_made_and_what_may_not_is_asked_apart() {
        for version in Metadata::VERSIONS {
            let request = metadata(&["orders", "new-orders"]);
            let talk = talk(&[DESCRIBE_ANY, CREATE_NEW], version, &request, &[("my-new-orders", 0)]);
            let [with, without] = &talk.sent[..] else { panic!("two requests") };
            assert_eq!((asked(with), with.allow_auto_topic_creation), (Some(vec!["my-new-orders"]), true));
            assert_eq!((asked(without), without.allow_auto_topic_creation), (Some(vec!["my-orders"]), false));
        }
        let mut first = brokers(9, vec![topic("a", 0)]);
        Metadata::join(&mut first, brokers(9, vec![topic("b", 3)]).with_throttle_time_ms(8));
        assert_eq!((seen(&first), first.throttle_time_ms), (vec![("a", 0), ("b", 3)], 8));
        assert_eq!(first.brokers.len(), 3);
    }

    #[test]
    fn a_topic_asked_for_by_its_id_must_be_ones_own() {
        let id = |id: u128| Uuid::from_u128(id);
        for version in 12..=13 {
            let partition = MetadataResponsePartition::default().with_leader_id(BrokerId(1));
            let found = [("my-orders", 1), ("my-secret", 2), ("their-orders", 3)].map(|(name, at)| {
                topic(name, 0).with_topic_id(id(at)).with_partitions(vec![partition.clone()])
            });
            let unknown =
                MetadataResponseTopic::default().with_name(None).with_topic_id(id(4)).with_error_code(100);
            let answer = brokers(version, found.into_iter().chain([unknown]).collect());
            let mut world = World::allowing(&[DESCRIBE_ORDERS]);
            let talk = world.talk::<Metadata>(version, &by_id(&[1, 2, 3, 4]), &answer);
            assert_eq!(seen(&talk.seen), [("orders", 0), ("", 29), ("", 100), ("", 100)]);
            let topics = &talk.seen.topics;
            assert_eq!(topics.iter().map(|topic| topic.topic_id).collect::<Vec<_>>(), [1, 2, 3, 4].map(id));
            let mut foreign = topics[2].clone();
            foreign.topic_id = id(4);
            assert_eq!(foreign, topics[3], "another tenant's topic looks like none");
            assert!(topics[1].name.is_none() && topics[1].partitions.is_empty());
        }
    }

    #[test]
    fn nothing_tells_anothers_id_from_an_id_that_nobody_has() {
        let unknown = |id: u128| {
            let topic = MetadataResponseTopic::default().with_name(None).with_topic_id(Uuid::from_u128(id));
            topic.with_error_code(100)
        };
        let theirs = topic("their-orders", 0).with_topic_id(Uuid::from_u128(3));
        let closed_to_us = unknown(3).with_error_code(29);
        for version in 12..=13 {
            // A broker names the ids that it does not know first, and those that it keeps from us last.
            for found in [vec![unknown(4), theirs.clone()], vec![unknown(4), closed_to_us.clone()]] {
                let seen = |found: Vec<MetadataResponseTopic>| {
                    let answer = brokers(version, found);
                    let mut world = World::allowing(&[DESCRIBE_ANY]);
                    world.talk::<Metadata>(version, &by_id(&[3, 4]), &answer).seen
                };
                assert_eq!(seen(found), seen(vec![unknown(3), unknown(4)]));
            }
        }
    }

    #[test]
    fn an_id_that_nobody_asked_for_is_not_shown() {
        let id = Uuid::from_u128(3);
        let partition = MetadataResponsePartition::default().with_leader_id(BrokerId(1));
        let nameless = MetadataResponseTopic::default().with_name(None).with_topic_authorized_operations(7);
        let found = [topic("their-orders", 0), nameless]
            .map(|topic| topic.with_topic_id(id).with_partitions(vec![partition.clone()]));
        for version in 12..=13 {
            for request in [metadata(&["orders"]), MetadataRequest::default().with_topics(None), by_id(&[4])]
            {
                let answer = brokers(version, found.to_vec());
                let talk = World::allowing(&[DESCRIBE_ANY]).talk::<Metadata>(version, &request, &answer);
                assert_eq!(talk.seen.topics, []);
            }
            let answer = brokers(version, found[1..].to_vec());
            let talk = World::allowing(&[DESCRIBE_ANY]).talk::<Metadata>(version, &by_id(&[3]), &answer);
            let [seen] = &talk.seen.topics[..] else { panic!("{:?}", talk.seen.topics) };
            assert_eq!((seen.topic_id, seen.topic_authorized_operations), (id, NOT_ASKED));
            assert!(seen.partitions.is_empty());
        }
    }

    #[test]
    fn the_bit_fields_say_what_this_client_may_do() {
        let rights = [
            DESCRIBE_ORDERS,
            (Operation::Write, Resource::Topic, "orders"),
            (Operation::Describe, Resource::Cluster, "kafka-cluster"),
            (Operation::Create, Resource::Cluster, "kafka-cluster"),
        ];
        for version in 8..=10 {
            let request = metadata(&["orders", "secret"])
                .with_include_topic_authorized_operations(true)
                .with_include_cluster_authorized_operations(true);
            let talked = talk(&rights, version, &request, &[("my-orders", 0)]);
            let sent = talked.sent();
            assert!(!sent.include_topic_authorized_operations);
            assert!(!sent.include_cluster_authorized_operations);
            let bits: Vec<_> =
                talked.seen.topics.iter().map(|topic| topic.topic_authorized_operations).collect();
            assert_eq!(bits, [1 << 4 | 1 << 8, NOT_ASKED]);
            assert_eq!(talked.seen.cluster_authorized_operations, 1 << 5 | 1 << 8);

            let talked = talk(&rights[3..], version, &request, &[]);
            assert_eq!(talked.seen.cluster_authorized_operations, 0);
            let talked = talk(&rights, version, &metadata(&["orders"]), &[("my-orders", 0)]);
            assert_eq!(talked.seen.cluster_authorized_operations, NOT_ASKED);
            assert_eq!(talked.seen.topics[0].topic_authorized_operations, NOT_ASKED);
        }
    }

    #[test]
    fn a_leader_without_a_door_is_not_available() {
        for version in Metadata::VERSIONS {
            let partitions = [2, 3, -1].map(|node| {
                MetadataResponsePartition::default()
                    .with_leader_id(BrokerId(node))
                    .with_error_code(if node < 0 { ResponseError::LeaderNotAvailable.code() } else { 0 })
            });
            let found = topic("my-orders", 0).with_is_internal(true).with_partitions(partitions.to_vec());
            let answer = brokers(4, vec![found]);
            let mut world = World::allowing(&[DESCRIBE_ORDERS]);
            let seen = world.talk::<Metadata>(version, &metadata(&["orders"]), &answer).seen;
            let partitions = seen.topics[0].partitions.iter();
            let leaders: Vec<_> =
                partitions.map(|partition| (partition.leader_id.0, partition.error_code)).collect();
            assert_eq!(leaders, [(2, 0), (-1, 5), (-1, 5)]);
            assert!(!seen.topics[0].is_internal);
        }
    }

    fn finder() -> World {
        World::allowing(&[
            (Operation::Describe, Resource::Group, "readers*"),
            (Operation::Describe, Resource::TransactionalId, "mover"),
        ])
    }

    /// Asks for the coordinator of one key; what goes on, and the code and place that come back.
    fn check_found(
        version: i16,
        (r#type, key): (i8, &str),
        (code, node): (i16, i32),
        expected: (Option<&str>, i16, &str),
    ) {
        let message = (code != 0).then(|| name("my-readers is not here"));
        let (host, port, node) = (name("kafka"), 9092, BrokerId(node));
        let (mut request, mut answer) =
            (FindCoordinatorRequest::default(), FindCoordinatorResponse::default());
        if version >= 1 {
            request.key_type = r#type;
        }
        if version >= 4 {
            request.coordinator_keys = vec![name(key)];
            let kept = |key: &str| {
                Coordinator::default()
                    .with_key(name(key))
                    .with_error_code(code)
                    .with_error_message(message.clone())
                    .with_node_id(node)
                    .with_host(host.clone())
                    .with_port(port)
            };
            answer.coordinators = vec![kept(&format!("my-{key}")), kept("their-readers")];
        } else {
            request.key = name(key);
            (answer.error_code, answer.error_message) = (code, message);
            (answer.node_id, answer.host, answer.port) = (node, host, port);
        }
        let talk = finder().talk::<FindCoordinator>(version, &request, &answer);
        let sent = talk.sent.first();
        let sent = sent.map(|sent| sent.coordinator_keys.first().unwrap_or(&sent.key).as_str());
        let (code, node, host, port, text) = match &talk.seen.coordinators[..] {
            [] => {
                assert!(version < 4);
                let seen = &talk.seen;
                (seen.error_code, seen.node_id, &seen.host, seen.port, &seen.error_message)
            }
            [seen] => {
                assert_eq!(seen.key.as_str(), key);
                (seen.error_code, seen.node_id, &seen.host, seen.port, &seen.error_message)
            }
            more => panic!("{more:?}"),
        };
        assert_eq!((sent, code, format!("{} {host} {port}", node.0).as_str()), expected, "version {version}");
        assert_eq!(
            text.as_deref().unwrap_or(""),
            standard_text(code).filter(|_| version > 0).unwrap_or_default()
        );
    }

    #[test]
    fn a_coordinator_has_our_address_and_our_words() {
        for version in FindCoordinator::VERSIONS {
            check_found(version, (0, "readers"), (0, 2), (Some("my-readers"), 0, "2 gateway 19094"));
            check_found(version, (0, "readers"), (0, 3), (Some("my-readers"), 15, "-1  -1"));
            check_found(version, (0, "readers"), (16, 2), (Some("my-readers"), 16, "-1  -1"));
            check_found(version, (0, "others"), (0, 2), (None, 30, "-1  -1"));
            check_found(version, (0, "mover"), (0, 2), (None, 30, "-1  -1"));
            check_found(version, (0, ""), (0, 2), (None, 24, "-1  -1"));
            if version >= 1 {
                check_found(version, (1, "mover"), (0, 1), (Some("my-mover"), 0, "1 gateway 19093"));
                check_found(version, (1, "readers"), (0, 1), (None, 53, "-1  -1"));
                check_found(version, (2, "readers:0:0"), (0, 1), (None, 42, "-1  -1"));
            }
        }
    }

    #[test]
    fn refused_keys_are_answered_for_while_the_rest_is_looked_up() {
        for version in 4..=6 {
            let keys = ["others", "readers", "readers-2"].map(name).to_vec();
            let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
            let found = ["my-readers", "my-readers-2"]
                .map(|key| Coordinator::default().with_key(name(key)).with_node_id(BrokerId(1)));
            let answer = FindCoordinatorResponse::default().with_coordinators(found.to_vec());
            let talk = finder().talk::<FindCoordinator>(version, &request, &answer);
            assert_eq!(talk.sent().coordinator_keys, ["my-readers", "my-readers-2"].map(name));
            let seen = talk.seen.coordinators.iter();
            let seen: Vec<_> = seen.map(|found| (found.key.as_str(), found.error_code)).collect();
            assert_eq!(seen, [("readers", 0), ("readers-2", 0), ("others", 30)]);
        }
    }

    fn described() -> DescribeClusterResponse {
        let brokers = [2, 3].map(|node| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(node))
                .with_host(name("kafka"))
                .with_port(9092)
        });
        DescribeClusterResponse::default()
            .with_error_message(Some(name("kafka says")))
            .with_cluster_id(name("backend-id"))
            .with_controller_id(BrokerId(3))
            .with_brokers(brokers.to_vec())
    }

    #[test]
    fn the_cluster_is_described_as_the_client_knows_it() {
        let rights: [Right; 1] = [(Operation::Describe, Resource::Cluster, "kafka-cluster")];
        for version in DescribeCluster::VERSIONS {
            for (asks, rights, bits) in
                [(true, &rights[..], 1 << 8), (true, &[], 0), (false, &rights, NOT_ASKED)]
            {
                let request =
                    DescribeClusterRequest::default().with_include_cluster_authorized_operations(asks);
                let talk = World::allowing(rights).talk::<DescribeCluster>(version, &request, &described());
                assert!(!talk.sent().include_cluster_authorized_operations);
                assert_eq!(talk.seen.cluster_authorized_operations, bits);
                assert_eq!(talk.seen.cluster_id.as_str(), "team-id");
                assert_eq!(talk.seen.controller_id.0, 2);
                assert_eq!(talk.seen.error_message, None);
                let [broker] = &talk.seen.brokers[..] else { panic!("{:?}", talk.seen.brokers) };
                assert_eq!((broker.host.as_str(), broker.port), ("gateway", 19094));
            }
        }
    }

    #[test]
    fn controllers_are_not_shown() {
        for version in 1..=2 {
            for (endpoint, code) in [(2, 114), (3, 115)] {
                let request = DescribeClusterRequest::default().with_endpoint_type(endpoint);
                let talk = World::allowing(&[]).talk::<DescribeCluster>(version, &request, &described());
                assert!(talk.sent.is_empty());
                assert_eq!(talk.seen.error_code, code);
                assert!(talk.seen.brokers.is_empty());
            }
        }
    }

    #[test]
    fn a_metadata_request_refused_whole_is_refused_topic_by_topic() {
        for version in Metadata::VERSIONS {
            let refused = Metadata::refuse(metadata(&["a", "b"]), Refusal::TopicDenied, version);
            assert_eq!(seen(&said(&refused, version)), [("a", 29), ("b", 29)]);
        }
    }

    #[test]
    fn librdkafka_s_question_for_all_topics_is_read_as_brokers_read_it() {
        for (version, body, read) in [
            (13, &[0, 0, 0, 0, 1, 0, 0][..], 4),
            (11, &[0, 0, 0, 0, 1, 0, 0], 4),
            (10, &[0, 0, 0, 0, 1, 0, 0], 7),
            (13, &[0, 0, 0, 0, 1, 0, 0, 0], 8),
            (13, &[0, 0, 0, 1, 1, 0, 0], 7),
        ] {
            let kept = Metadata::read_by_brokers(Bytes::copy_from_slice(body), version);
            assert_eq!(kept.len(), read, "v{version} {body:?}");
        }
    }
}
