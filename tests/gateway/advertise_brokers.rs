//! Brokers have addresses of the gateway, everywhere, and each is reached through its own.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::produce_response::NodeEndpoint;
use kafka_protocol::messages::*;
use sluicegate::wire::ApiKey;

use super::families::{About, BACKEND_HOST, Manner, script, text};
use super::wary::Wary;
use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::ports;
use crate::support::setup::Setup;
use crate::support::stage::{Stage, token};

/// Where clients are sent.
const ADVERTISED: &str = "gateway.example";

fn mapped(mapping: &str) -> impl FnOnce(&mut Setup, &str) {
    move |setup, _| setup.tenant().mapping = format!("advertised_host: {ADVERTISED}, {mapping}")
}

/// A client at a port of the gateway that is told of no broker's own address.
fn at(stage: &Stage, port: u16) -> Wary {
    let client = stage.log_in_at(port, &token("alice"));
    Wary::of(client, &[BACKEND_HOST, "backend-cluster"]).of_ports(&stage.brokers)
}

/// The port of the gateway so many places after the first.
fn port(stage: &Stage, place: i32) -> u16 {
    stage.setup.tenants[0].broker_port(place)
}

/// The brokers that Metadata tells of.
fn shown(answer: &MetadataResponse) -> Vec<(i32, String, i32)> {
    answer.brokers.iter().map(|broker| (broker.node_id.0, broker.host.to_string(), broker.port)).collect()
}

fn expected(stage: &Stage, ids_and_places: &[(i32, i32)]) -> Vec<(i32, String, i32)> {
    let shown = |(id, place): &(i32, i32)| (*id, ADVERTISED.to_owned(), i32::from(port(stage, *place)));
    ids_and_places.iter().map(shown).collect()
}

fn nodes(brokers: &[Broker]) -> Vec<(i32, u16)> {
    brokers.iter().map(|broker| (broker.node_id(), broker.port())).collect()
}

/// All brokers answer Heartbeats, and this one of them is who answers at this port.
fn leads_to(stage: &Stage, port: u16, broker: &Broker) {
    for broker in &stage.brokers {
        script::<HeartbeatRequest>(broker, &Manner::default());
    }
    let before = broker.asked().len();
    at(stage, port).ask(4, &HeartbeatRequest::about(&["app"], 4));
    assert_eq!(broker.asked().len(), before + 1, "port {port} does not lead to broker {}", broker.node_id());
}

#[test]
fn each_broker_has_a_port_of_its_own() {
    let stage = Stage::start_with(3, mapped("min_broker_id: 1"));
    for place in 0..=3 {
        let mut client = at(&stage, port(&stage, place));
        for version in MetadataRequest::SERVED {
            let answer = client.ask(version, &MetadataRequest::about(&[], version));
            assert_eq!(shown(&answer), expected(&stage, &[(1, 1), (2, 2), (3, 3)]), "version {version}");
        }
    }
    for broker in &stage.brokers {
        leads_to(&stage, port(&stage, broker.node_id()), broker);
    }
}

#[test]
fn the_first_broker_may_have_any_id_and_any_port() {
    let stage = Stage::start_with(3, mapped("min_broker_id: 2"));
    let mut client = at(&stage, port(&stage, 0));
    let answer = client.ask(9, &MetadataRequest::about(&[], 9));
    assert_eq!(shown(&answer), expected(&stage, &[(2, 1), (3, 2)]));
    leads_to(&stage, port(&stage, 1), &stage.brokers[1]);
    leads_to(&stage, port(&stage, 2), &stage.brokers[2]);

    let stage = Stage::start_with(2, mapped("min_broker_id: 1, bootstrap_port: none"));
    let mut client = at(&stage, port(&stage, 0));
    let answer = client.ask(9, &MetadataRequest::about(&[], 9));
    assert_eq!(shown(&answer), expected(&stage, &[(1, 0), (2, 1)]));
    leads_to(&stage, port(&stage, 0), &stage.brokers[0]);
    leads_to(&stage, port(&stage, 1), &stage.brokers[1]);
}

#[test]
fn a_broker_beyond_the_ports_is_left_out_and_the_log_says_so() {
    let stage = Stage::start_with(3, |setup, jwks| {
        mapped("min_broker_id: 1")(setup, jwks);
        setup.tenant().ports = 3;
    });
    let known = nodes(&stage.brokers);
    for broker in &stage.brokers {
        let known = known.clone();
        broker.on_key(ApiKey::Metadata, move |asked| {
            let manner = Manner { nodes: known.clone(), ..Manner::default() };
            let mut answer = asked.request::<MetadataRequest>().answered(asked.version(), &manner);
            answer.controller_id = BrokerId(3);
            for topic in &mut answer.topics {
                let led_by = |node| MetadataResponsePartition::default().with_leader_id(BrokerId(node));
                topic.partitions = [2, 3].map(led_by).to_vec();
            }
            asked.reply::<MetadataRequest>(&answer)
        });
        let known = nodes(&stage.brokers);
        broker.on::<DescribeClusterRequest>(move |_| {
            let described = known.iter().map(|(node, port)| {
                DescribeClusterBroker::default()
                    .with_broker_id(BrokerId(*node))
                    .with_host(text(BACKEND_HOST))
                    .with_port(i32::from(*port))
            });
            DescribeClusterResponse::default()
                .with_cluster_id(text("backend-cluster"))
                .with_controller_id(BrokerId(3))
                .with_brokers(described.collect())
        });
    }
    let mut client = at(&stage, port(&stage, 0));
    for version in MetadataRequest::SERVED {
        let answer = client.ask(version, &MetadataRequest::about(&["orders"], version));
        assert_eq!(shown(&answer), expected(&stage, &[(1, 1), (2, 2)]));
        let leaders = answer.topics[0].partitions.iter();
        let leaders: Vec<_> =
            leaders.map(|partition| (partition.leader_id.0, partition.error_code)).collect();
        assert_eq!(leaders, [(2, 0), (-1, 5)]);
        // Admin clients send to the controller, which must be one of those they know.
        assert_eq!(answer.controller_id.0, if version == 0 { -1 } else { 1 });
    }
    for version in 0..=2 {
        let answer = client.ask(version, &DescribeClusterRequest::default());
        let brokers = answer.brokers.iter();
        let shown: Vec<_> =
            brokers.map(|broker| (broker.broker_id.0, broker.host.to_string(), broker.port)).collect();
        assert_eq!(shown, expected(&stage, &[(1, 1), (2, 2)]));
        assert_eq!(answer.controller_id.0, 1);
    }
    let log = stage.gateway.process.log();
    assert!(
        log.lines().any(|line| line.contains("WARN") && line.contains("no port") && line.contains("[3]")),
        "{log}"
    );
}

#[test]
fn hazard_04_a_leader_that_moves_is_shown_at_the_gateway() {
    let stage = Stage::start_with(3, |setup, jwks| {
        mapped("min_broker_id: 1")(setup, jwks);
        setup.tenant().ports = 3;
    });
    let known = nodes(&stage.brokers);
    let manner = Manner { nodes: known.clone(), ..Manner::default() };
    stage.brokers[0].has_topics(&["my-moved", "my-gone"]);
    stage.brokers[0].on_key(ApiKey::Produce, move |asked| {
        let request = asked.request::<ProduceRequest>();
        let mut answer = request.answered(asked.version(), &Manner { code: 6, ..manner.clone() });
        if asked.version() >= 10 {
            for (topic, leader) in answer.responses.iter_mut().zip([2, 3]) {
                topic.partition_responses[0].current_leader.leader_id = BrokerId(leader);
                topic.partition_responses[0].current_leader.leader_epoch = 5;
            }
            let endpoint = |(node, port): &(i32, u16)| {
                NodeEndpoint::default()
                    .with_node_id(BrokerId(*node))
                    .with_host(text(BACKEND_HOST))
                    .with_port(i32::from(*port))
            };
            answer.node_endpoints = known[1..].iter().map(endpoint).collect();
        }
        asked.reply::<ProduceRequest>(&answer)
    });
    let mut client = at(&stage, port(&stage, 1));
    for version in ProduceRequest::SERVED {
        let answer = client.ask(version, &ProduceRequest::about(&["moved", "gone"], version));
        let leader = |place: usize| {
            let leader = &answer.responses[place].partition_responses[0].current_leader;
            (leader.leader_id.0, leader.leader_epoch)
        };
        if version < 10 {
            assert!(answer.node_endpoints.is_empty());
            continue;
        }
        // Broker 3 has no port here, so nobody is told to go there.
        assert_eq!((leader(0), leader(1)), ((2, 5), (-1, -1)), "version {version}");
        let [endpoint] = &answer.node_endpoints[..] else { panic!("{:?}", answer.node_endpoints) };
        let shown = (endpoint.node_id.0, endpoint.host.to_string(), endpoint.port);
        assert_eq!([shown], expected(&stage, &[(2, 2)])[..]);
        // And there it is.
        let there = u16::try_from(endpoint.port).expect("a port");
        leads_to(&stage, there, &stage.brokers[1]);
    }
    for version in FetchRequest::SERVED {
        let nodes = vec![(3, stage.brokers[2].port())];
        script::<FetchRequest>(&stage.brokers[0], &Manner { nodes, code: 6, ..Manner::default() });
        let answer = client.ask(version, &FetchRequest::about(&["gone"], version));
        let leader = &answer.responses[0].partitions[0].current_leader;
        assert_eq!(leader.leader_id.0, -1);
    }
}

#[test]
fn hazard_05_a_coordinator_is_shown_at_the_gateway_in_either_shape() {
    let stage = Stage::start_with(3, |setup, jwks| {
        mapped("min_broker_id: 1")(setup, jwks);
        setup.tenant().ports = 3;
    });
    let known = nodes(&stage.brokers);
    let place_of = move |key: &str| known[if key.ends_with("far") { 2 } else { 1 }];
    stage.broker().on::<FindCoordinatorRequest>(move |request| {
        let (node, port) = place_of(&request.key);
        let found = request.coordinator_keys.iter().map(|key| {
            let (node, port) = place_of(key);
            Coordinator::default()
                .with_key(key.clone())
                .with_node_id(BrokerId(node))
                .with_host(text(BACKEND_HOST))
                .with_port(port.into())
        });
        let answer = FindCoordinatorResponse::default();
        if request.coordinator_keys.is_empty() {
            return answer.with_node_id(BrokerId(node)).with_host(text(BACKEND_HOST)).with_port(port.into());
        }
        answer.with_coordinators(found.collect())
    });
    let mut client = at(&stage, port(&stage, 1));
    let near = (0, 2, ADVERTISED.to_owned(), i32::from(port(&stage, 2)));
    // Broker 3 has no port here: it is not available, and clients ask again.
    let far = (15, -1, String::new(), -1);
    for version in 0..=3 {
        for (key, place) in [("near", &near), ("far", &far)] {
            let found = client.ask(version, &FindCoordinatorRequest::about(&[key], version));
            assert_eq!((found.error_code, found.node_id.0, found.host.to_string(), found.port), *place);
        }
    }
    for version in 4..=6 {
        let answer = client.ask(version, &FindCoordinatorRequest::about(&["near", "far"], version));
        for (found, (key, place)) in answer.coordinators.iter().zip([("near", &near), ("far", &far)]) {
            assert_eq!(found.key.as_str(), key);
            assert_eq!((found.error_code, found.node_id.0, found.host.to_string(), found.port), *place);
        }
    }
    leads_to(&stage, port(&stage, 2), &stage.brokers[1]);
}

/// Two brokers of which the second is not yet in the cluster.
fn one_of_two(interval_seconds: u32) -> Stage {
    let brokers = Broker::cluster(2);
    let first = nodes(&brokers[..1]);
    brokers[0].knows_nodes(&first);
    let bootstrap = brokers[0].address();
    Stage::before(brokers, move |setup, jwks| {
        mapped("min_broker_id: 1")(setup, jwks);
        setup.bootstrap = vec![bootstrap];
        setup.backend.push(format!("metadata_update_interval_seconds: {interval_seconds}"));
    })
}

/// At the port of a broker that is not there one may log in, and no more.
fn nobody_is_at(port: u16) {
    let mut client = Client::connect(port);
    client.log_in(&token("alice"));
    client.expect_close();
}

#[test]
fn a_broker_that_joins_later_is_served_without_a_restart() {
    let mut stage = one_of_two(1);
    nobody_is_at(port(&stage, 2));
    stage.expect_metric(
        "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"no_broker\"}",
        1.0,
    );
    stage.brokers[0].knows_nodes(&nodes(&stage.brokers));
    stage.gateway.process.wait_until("told of broker 2", |process| process.log().contains("{1, 2}"));
    let mut client = at(&stage, port(&stage, 0));
    let answer = client.ask(9, &MetadataRequest::about(&[], 9));
    assert_eq!(shown(&answer), expected(&stage, &[(1, 1), (2, 2)]));
    leads_to(&stage, port(&stage, 2), &stage.brokers[1]);
}

#[test]
fn who_stands_at_the_door_of_a_new_broker_does_not_wait_for_the_interval() {
    let stage = one_of_two(40_000);
    stage.brokers[0].knows_nodes(&nodes(&stage.brokers));
    leads_to(&stage, port(&stage, 2), &stage.brokers[1]);
}

#[test]
fn a_broker_that_is_down_is_passed_over_at_the_bootstrap_port() {
    let dead = ports::free();
    let brokers = vec![Broker::start()];
    brokers[0].knows_nodes(&[(1, brokers[0].port()), (2, dead), (3, dead)]);
    let stage = Stage::before(brokers, |setup, jwks| {
        mapped("min_broker_id: 1")(setup, jwks);
        setup.bootstrap.insert(0, format!("127.0.0.1:{dead}"));
    });
    // Every one of them begins with another broker.
    for _ in 0..6 {
        leads_to(&stage, port(&stage, 0), stage.broker());
    }
    nobody_is_at(port(&stage, 2));
    leads_to(&stage, port(&stage, 1), stage.broker());
}
