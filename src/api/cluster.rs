//! The cluster as a client sees it: its coordinators, and what it is.

use std::ops::RangeInclusive;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest,
    FindCoordinatorResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::operations::{NOT_ASKED, cluster_operations};
use super::{Api, Asking, Pass, Refusal, Showing, put_back, standard_text};
use crate::cluster::Lens;
use crate::names::Kind;
use crate::policy::Operation;
use crate::wire::ApiKey;

/// Which broker answers for a group or a transactional id.
pub struct FindCoordinator;

/// The kind of the keys, which the answer does not repeat, and the refused ones.
pub struct FindCoordinatorAside {
    kind: Kind,
    /// Each with its place in the request.
    refused: Vec<(usize, StrBytes, Refusal)>,
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
            // Of a share partition brokers ask, with a right that is never granted here.
            2 if ask.version >= SHARE_SINCE => return Err(Refusal::ClusterDenied),
            _ => return Err(Refusal::InvalidRequest),
        };
        if ask.version < 4 {
            ask.gate.one(Operation::Describe, kind.at(&mut request.key))?;
            return Ok(Pass::Forward(request, FindCoordinatorAside { kind, refused: Vec::new() }));
        }
        let mut refused = Vec::new();
        let mut places = 0..;
        request.coordinator_keys.retain_mut(|key| {
            let place = places.next().unwrap_or_default();
            let verdict = ask.gate.one(Operation::Describe, kind.at(key));
            refused.extend(verdict.err().map(|no| (place, key.clone(), no.into())));
            verdict.is_ok()
        });
        let nothing_left = request.coordinator_keys.is_empty() && !refused.is_empty();
        let aside = FindCoordinatorAside { kind, refused };
        Ok(if nothing_left { Pass::Answer(aside) } else { Pass::Forward(request, aside) })
    }

    fn reveal(response: &mut FindCoordinatorResponse, aside: FindCoordinatorAside, show: &Showing<'_>) {
        if show.version < 4 {
            let place = place(response.node_id, &mut response.error_code, show.lens);
            (response.node_id, response.host, response.port) = place;
            response.error_message =
                if show.version >= 1 { standard_text(response.error_code) } else { None };
            return;
        }
        response.coordinators.retain_mut(|coordinator| {
            show.lens.one(aside.kind.at(&mut coordinator.key)) && {
                reveal_coordinator(coordinator, show.lens);
                true
            }
        });
        let refused = aside.refused.into_iter();
        let refused = refused.map(|(place, key, why)| (place, refused_coordinator(key, why)));
        put_back(&mut response.coordinators, refused);
    }

    fn refuse(request: FindCoordinatorRequest, why: Refusal, version: i16) -> FindCoordinatorResponse {
        if version >= 4 {
            let refused = request.coordinator_keys.into_iter().map(|key| refused_coordinator(key, why));
            return FindCoordinatorResponse::default().with_coordinators(refused.collect());
        }
        let (node_id, host, port) = nowhere();
        FindCoordinatorResponse::default()
            .with_error_code(why.code())
            .with_error_message(if version >= 1 { standard_text(why.code()) } else { None })
            .with_node_id(node_id)
            .with_host(host)
            .with_port(port)
    }
}

fn reveal_coordinator(coordinator: &mut Coordinator, lens: &Lens<'_>) {
    let place = place(coordinator.node_id, &mut coordinator.error_code, lens);
    (coordinator.node_id, coordinator.host, coordinator.port) = place;
    coordinator.error_message = standard_text(coordinator.error_code);
}

/// Where a client finds the coordinator; nowhere when there is an error, or the broker has no door.
fn place(node: BrokerId, error_code: &mut i16, lens: &Lens<'_>) -> (BrokerId, StrBytes, i32) {
    if *error_code != 0 {
        return nowhere();
    }
    let (_, mut host, mut port) = nowhere();
    if lens.advertise(node.0, &mut host, &mut port) {
        return (node, host, port);
    }
    *error_code = ResponseError::CoordinatorNotAvailable.code();
    nowhere()
}

fn refused_coordinator(key: StrBytes, why: Refusal) -> Coordinator {
    let (node_id, host, port) = nowhere();
    let text = match why {
        // A broker leaves it at the code.
        Refusal::GroupDenied | Refusal::TransactionalIdDenied => None,
        _ => standard_text(why.code()),
    };
    Coordinator::default()
        .with_key(key)
        .with_error_code(why.code())
        .with_error_message(text)
        .with_node_id(node_id)
        .with_host(host)
        .with_port(port)
}

/// From here on a key may be a share partition (KIP-932).
const SHARE_SINCE: i16 = 6;

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
        response.error_message =
            response.error_message.take().and_then(|_| standard_text(response.error_code));
        response.cluster_id = show.lens.cluster_id();
        response
            .brokers
            .retain_mut(|broker| show.lens.advertise(broker.broker_id.0, &mut broker.host, &mut broker.port));
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

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;

    use super::*;
    use crate::api::testing::{World, text as name};
    use crate::policy::Resource;

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
        let says_more = version > 0 && (version < 4 || ![30, 53].contains(&code));
        assert_eq!(
            text.as_deref().unwrap_or(""),
            standard_text(code).filter(|_| says_more).unwrap_or_default().as_str()
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
            check_found(version, (0, ""), (0, 2), (None, 30, "-1  -1"));
            if version >= 1 {
                check_found(version, (1, "mover"), (0, 1), (Some("my-mover"), 0, "1 gateway 19093"));
                check_found(version, (1, "readers"), (0, 1), (None, 53, "-1  -1"));
                let code = if version >= SHARE_SINCE { 31 } else { 42 };
                check_found(version, (2, "readers:0:0"), (0, 1), (None, code, "-1  -1"));
            }
        }
    }

    #[test]
    fn refused_keys_are_answered_for_while_the_rest_is_looked_up() {
        for version in 4..=6 {
            let keys = ["readers", "others", "readers-2", "mine"].map(name).to_vec();
            let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
            let found = ["my-readers", "my-readers-2"]
                .map(|key| Coordinator::default().with_key(name(key)).with_node_id(BrokerId(1)));
            let answer = FindCoordinatorResponse::default().with_coordinators(found.to_vec());
            let talk = finder().talk::<FindCoordinator>(version, &request, &answer);
            assert_eq!(talk.sent().coordinator_keys, ["my-readers", "my-readers-2"].map(name));
            let seen = talk.seen.coordinators.iter();
            let seen: Vec<_> = seen.map(|found| (found.key.as_str(), found.error_code)).collect();
            assert_eq!(seen, [("readers", 0), ("others", 30), ("readers-2", 0), ("mine", 30)]);
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
        let rights = [(Operation::Describe, Resource::Cluster, "kafka-cluster")];
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
}
