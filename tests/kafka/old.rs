//! Kafka 3.9 behind the gateway: alone, and beside 4.3 behind the same gateway.
//!
//! Alone it has the cases of `main.rs`: its reference listener says what is right, and the gateway the same.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use sluicegate::api::{Row, rows};
use sluicegate::wire::ApiKey;
use sluicegate::wire::messages::ListOffsetsRequest;
use sluicegate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use crate::direct::until;
use crate::site::{Front, Site, site};
use crate::support::client::Client;
use crate::support::clients::Tool::{Console, JavaAdmin, JavaFlow, Librdkafka};
use crate::support::kafka::Kafka;
use crate::support::setup::Tenant;
use crate::world;

/// The cases of `main.rs` that 3.9 knows, each as a test on one broker of it.
macro_rules! cases {
    ($($name:ident)*) => {
        mod on_an_old_broker {
            $(#[test]
            fn $name() {
                if let Some(world) = crate::world::old_broker() {
                    world.compare(crate::$name);
                }
            })*
        }
    };
}

cases! {
    the_console_tools_create_write_and_read
    the_console_tools_are_refused
    librdkafka_creates_writes_and_reads
    librdkafka_is_refused
    librdkafka_administers_topics_and_groups
    the_java_admin_client_administers_topics
    the_java_admin_client_administers_groups
    the_java_admin_client_is_told_what_went_wrong
    the_java_admin_client_is_refused_topics
    the_java_admin_client_is_refused_groups
    a_client_without_grants_sees_nothing
    a_client_sees_what_it_may_describe
    a_topic_tells_what_a_client_may_do_with_it
    a_token_for_another_audience_is_refused
}

/// One gateway with two tenants: the first before 3.9, the second before 4.3.
fn old_and_new(prefix: &str) -> Option<(Front<'static>, [&'static Kafka; 2])> {
    let (site, old): (&Site, _) = (site()?, world::old_broker()?.kafka());
    let mut setup = site.setup(prefix);
    setup.bootstrap = vec![old.bootstrap("PLAINTEXT").to_owned()];
    setup.more_backends = vec![("new".to_owned(), vec![site.kafka.bootstrap("PLAINTEXT").to_owned()])];
    let mut second = Tenant::new("second", prefix, "");
    second.destination = "new".to_owned();
    second.authentication = setup.tenant().authentication.clone();
    setup.tenants.push(second);
    Some((site.front(setup), [old, &site.kafka]))
}

#[test]
fn clients_use_an_old_and_a_new_cluster_by_one_gateway() {
    let Some((front, _)) = old_and_new("both-") else { return };
    for (tenant, here) in [(0, "old"), (1, "new")] {
        front.check_at(
            tenant,
            JavaAdmin,
            &format!(
                "create orders 2 1 -> ok
                 create only-{here} 1 1 -> ok
                 topics -> ok only-{here} orders
                 cluster -> ok brokers=1"
            ),
        );
        front.check_at(
            tenant,
            JavaFlow,
            &format!(
                "produce only-{here} one two -> ok
                 consume only-{here} java-readers 2 -> ok one two"
            ),
        );
        front.check_at(
            tenant,
            Librdkafka,
            &format!(
                "produce orders {here} -> ok
                 consume orders readers 1 -> ok {here}
                 groups -> ok java-readers readers"
            ),
        );
        front.check_at(tenant, Console, &format!("consume only-{here} readers 2 -> ok one two"));
        front.check_at(
            tenant,
            JavaAdmin,
            &format!(
                "group java-readers -> ok state=Empty members=0
                 committed java-readers -> ok {{only-{here}-0=2}}
                 configs orders cleanup.policy -> ok delete
                 set-config orders cleanup.policy compact -> ok
                 partitions orders 3 -> ok
                 offsets only-{here} 0 -> ok 0 2
                 delete orders -> ok
                 delete-group java-readers -> ok"
            ),
        );
    }
}

#[test]
fn hazard_35_every_door_shows_what_both_speak_before_and_after_the_login() {
    let Some((front, clusters)) = old_and_new("shown-") else { return };
    let token = front.token();
    for (tenant, kafka) in clusters.into_iter().enumerate() {
        let broker = ask_versions(&mut Client::connect(kafka.port("PLAINTEXT")));
        // The bootstrap door, and that of the only broker.
        for door in [0, 1] {
            let mut client = front.connect(tenant, door);
            let before = ask_versions(&mut client);
            client.log_in(&token);
            let after = ask_versions(&mut client);
            for answer in [&before, &after] {
                is_what_both_speak(&ranges(answer), &ranges(&broker));
                are_no_more_than_the_brokers(answer, &broker);
            }
            assert_eq!(ranges(&before), ranges(&after));
        }
    }
}

/// What is served and spoken is shown, and nothing else.
fn is_what_both_speak(shown: &Ranges, broker: &Ranges) {
    let own = [ApiKey::SaslHandshake, ApiKey::ApiVersions, ApiKey::SaslAuthenticate].map(|key| key as i16);
    for (key, shown) in shown.iter().filter(|(key, _)| !own.contains(key)) {
        let spoken = broker.get(key).unwrap_or_else(|| panic!("the broker has no API {key}"));
        let lowest = if *key == ApiKey::Produce as i16 { 0 } else { *spoken.start() };
        assert!(
            lowest <= *shown.start() && shown.end() <= spoken.end(),
            "API {key} is shown as {shown:?}, and the broker speaks {spoken:?}"
        );
    }
    let is_spoken =
        |key: ApiKey, version: i16| broker.get(&(key as i16)).is_some_and(|range| range.contains(&version));
    let is_served = |row: &Row, version: i16| {
        is_spoken(row.key, (row.upstream_version)(version))
            && (row.needs)(version).is_none_or(|(key, version)| is_spoken(key, version))
    };
    // What a file must ask for is not shown by itself.
    for row in rows().iter().filter(|row| row.on_request.is_none()) {
        let served: Vec<i16> = row.versions.clone().filter(|version| is_served(row, *version)).collect();
        let range = served.first().zip(served.last()).map(|(first, last)| *first..=*last);
        let produce = |range: RangeInclusive<i16>| 0..=*range.end();
        let range = if row.key == ApiKey::Produce { range.map(produce) } else { range };
        assert_eq!(shown.get(&(row.key as i16)), range.as_ref(), "{}", row.name);
    }
}

fn are_no_more_than_the_brokers(shown: &ApiVersionsResponse, broker: &ApiVersionsResponse) {
    assert!(!shown.supported_features.is_empty(), "the version of the metadata is no secret");
    for feature in &shown.supported_features {
        assert!(broker.supported_features.contains(feature), "{feature:?} is not the broker's");
    }
    for feature in &shown.finalized_features {
        assert!(broker.finalized_features.contains(feature), "{feature:?} is not the broker's");
    }
    // The epoch goes on by itself; what is shown is never of tomorrow, unless the broker was asked before.
    assert!(shown.finalized_features_epoch > 0);
}

type Ranges = BTreeMap<i16, RangeInclusive<i16>>;

fn ranges(answer: &ApiVersionsResponse) -> Ranges {
    answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect()
}

fn ask_versions(client: &mut Client) -> ApiVersionsResponse {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("raw-client"))
        .with_client_software_version(text("1"));
    let answer = client.ask(3, &request);
    assert_eq!(answer.error_code, 0);
    answer
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Asks in every version that is shown, and hands each answer to somebody who looks at it.
fn in_each_version<R: Request>(
    client: &mut Client,
    shown: &Ranges,
    request: impl Fn(i16) -> R,
    look: impl Fn(i16, R::Response),
) {
    let range = shown.get(&R::KEY).unwrap_or_else(|| panic!("API {} is not shown", R::KEY)).clone();
    for version in range {
        let answer = client.ask(version, &request(version));
        look(version, answer);
    }
}

#[test]
fn each_version_that_is_shown_is_answered_by_an_old_and_a_new_broker() {
    let Some((front, _)) = old_and_new("each-") else { return };
    let token = front.token();
    for tenant in [0, 1] {
        front.check_at(
            tenant,
            Librdkafka,
            "create orders 1 1 -> ok\nproduce orders one -> ok\nconsume orders readers 1 -> ok one",
        );
        let mut client = front.connect(tenant, 1);
        client.log_in(&token);
        let shown = ranges(&ask_versions(&mut client));
        ask_about_topics(&mut client, &shown);
        ask_about_groups(&mut client, &shown);
        in_each_version(
            &mut client,
            &shown,
            |_| DescribeClusterRequest::default(),
            |version, answer| assert_eq!((answer.error_code, answer.brokers.len()), (0, 1), "{version}"),
        );
        let producer = || InitProducerIdRequest::default().with_transactional_id(None);
        until("the broker has ids for producers", || {
            (client.ask(*shown[&InitProducerIdRequest::KEY].end(), &producer()).error_code == 0).then_some(())
        });
        in_each_version(
            &mut client,
            &shown,
            |_| producer(),
            |version, answer| assert_eq!(answer.error_code, 0, "{version}"),
        );
    }
}

fn ask_about_topics(client: &mut Client, shown: &Ranges) {
    use metadata_request::MetadataRequestTopic;
    let name = || TopicName(text("orders"));
    let topic = || MetadataRequestTopic::default().with_name(Some(name()));
    in_each_version(
        client,
        shown,
        |_| MetadataRequest::default().with_topics(Some(vec![topic()])),
        |version, answer| {
            assert_eq!((answer.topics.len(), answer.topics[0].error_code), (1, 0), "Metadata {version}");
        },
    );
    in_each_version(
        client,
        shown,
        |_| {
            let partition = ListOffsetsPartition::default().with_timestamp(-1);
            let topic = ListOffsetsTopic::default().with_name(name()).with_partitions(vec![partition]);
            ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
        },
        |version, answer| {
            let partition = &answer.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.offset), (0, 1), "ListOffsets {version}");
        },
    );
    let metadata = MetadataRequest::default().with_topics(Some(vec![topic()]));
    let id = client.ask(*shown[&MetadataRequest::KEY].end(), &metadata).topics[0].topic_id;
    in_each_version(
        client,
        shown,
        |version| {
            use fetch_request::{FetchPartition, FetchTopic};
            let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
            let topic = FetchTopic::default().with_partitions(vec![partition]);
            let topic = if version >= 13 { topic.with_topic_id(id) } else { topic.with_topic(name()) };
            FetchRequest::default()
                .with_max_wait_ms(500)
                .with_min_bytes(1)
                .with_max_bytes(1 << 20)
                .with_session_epoch(-1)
                .with_topics(vec![topic])
        },
        |version, answer| {
            let partition = &answer.responses[0].partitions[0];
            assert_eq!((partition.error_code, partition.high_watermark), (0, 1), "Fetch {version}");
            assert!(partition.records.as_ref().is_some_and(|records| !records.is_empty()), "Fetch {version}");
        },
    );
    in_each_version(
        client,
        shown,
        |_| {
            use describe_configs_request::DescribeConfigsResource;
            let resource = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("orders"))
                .with_configuration_keys(Some(vec![text("retention.ms")]));
            DescribeConfigsRequest::default().with_resources(vec![resource])
        },
        |version, answer| {
            let result = &answer.results[0];
            assert_eq!((result.error_code, result.configs.len()), (0, 1), "DescribeConfigs {version}");
        },
    );
    in_each_version(
        client,
        shown,
        |_| {
            use create_topics_request::CreatableTopic;
            let topic = CreatableTopic::default()
                .with_name(TopicName(text("more")))
                .with_num_partitions(1)
                .with_replication_factor(1);
            CreateTopicsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(10_000)
                .with_validate_only(true)
        },
        |version, answer| assert_eq!(answer.topics[0].error_code, 0, "CreateTopics {version}"),
    );
}

fn ask_about_groups(client: &mut Client, shown: &Ranges) {
    let group = || GroupId(text("readers"));
    in_each_version(
        client,
        shown,
        |version| {
            let request = FindCoordinatorRequest::default();
            if version >= 4 {
                request.with_coordinator_keys(vec![group().0])
            } else {
                request.with_key(group().0)
            }
        },
        |version, answer| {
            let (error, port) = match answer.coordinators.first() {
                Some(coordinator) => (coordinator.error_code, coordinator.port),
                None => (answer.error_code, answer.port),
            };
            assert!(error == 0 && port > 0, "FindCoordinator {version}: {answer:?}");
        },
    );
    in_each_version(
        client,
        shown,
        |_| ListGroupsRequest::default(),
        |version, answer| {
            let groups: Vec<&str> = answer.groups.iter().map(|group| group.group_id.as_str()).collect();
            assert_eq!((answer.error_code, groups), (0, vec!["readers"]), "ListGroups {version}");
        },
    );
    in_each_version(
        client,
        shown,
        |_| DescribeGroupsRequest::default().with_groups(vec![group()]),
        |version, answer| {
            let group = &answer.groups[0];
            assert_eq!(
                (group.error_code, group.group_state.as_str()),
                (0, "Empty"),
                "DescribeGroups {version}"
            );
        },
    );
    in_each_version(
        client,
        shown,
        |_| HeartbeatRequest::default().with_group_id(group()).with_member_id(text("nobody")),
        |version, answer| assert_eq!(answer.error_code, 25, "Heartbeat {version}"),
    );
}
