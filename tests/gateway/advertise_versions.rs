//! What the gateway says it speaks, it speaks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;
use sluicegate::wire::ApiKey;
use sluicegate::wire::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeShareGroupOffsetsRequest, ListOffsetsRequest,
    OffsetCommitRequest, OffsetFetchRequest, ShareAcknowledgeRequest, ShareFetchRequest,
    StreamsGroupDescribeRequest, StreamsGroupDescribeResponse, StreamsGroupHeartbeatRequest,
    StreamsGroupHeartbeatResponse,
};

use super::families::{About, Manner, for_each_of_groups, for_each_of_topics, script};
use crate::support::client::Client;
use crate::support::stage::Stage;

type Ranges = BTreeMap<i16, RangeInclusive<i16>>;

fn advertised(client: &mut Client) -> Ranges {
    let answer = client.ask(0, &ApiVersionsRequest::default());
    assert_eq!(answer.error_code, 0);
    answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect()
}

/// Asks in each version that is advertised, and strikes the API off the list.
fn is_spoken<R: Request>(ranges: &mut Ranges, client: &mut Client, request: impl Fn(i16) -> R) {
    let range = ranges.remove(&R::KEY).unwrap_or_else(|| panic!("key {} is not advertised", R::KEY));
    for version in range {
        client.ask(version, &request(version));
    }
}

fn family_is_spoken<R: About>(ranges: &mut Ranges, stage: &Stage, client: &mut Client) {
    // Below what a broker can be shown and still compress for, the codec knows no body.
    let advertised = ranges.get_mut(&R::KEY).unwrap_or_else(|| panic!("key {} is not advertised", R::KEY));
    if R::KEY == ApiKey::Produce as i16 {
        assert_eq!(*advertised.start(), 0, "librdkafka compresses only where Produce is shown from 0");
        *advertised = 3..=*advertised.end();
    }
    // Those who go through all versions of a family go through what is advertised.
    assert_eq!(*advertised, R::SERVED, "key {}", R::KEY);
    script::<R>(stage.broker(), &Manner { nodes: vec![(1, stage.broker().port())], ..Manner::default() });
    is_spoken::<R>(ranges, client, |version| R::about(&["open"], version));
}

macro_rules! each_is_spoken {
    ($($request:ident)+) => {
        |ranges: &mut Ranges, stage: &Stage, client: &mut Client| {
            $(family_is_spoken::<$request>(ranges, stage, client);)+
        }
    };
}

#[test]
fn hazard_42_each_advertised_version_goes_through_the_codec_both_ways() {
    let stage = Stage::start();
    let broker = stage.broker();
    broker.on::<InitProducerIdRequest>(|_| InitProducerIdResponse::default());
    broker.on::<ListGroupsRequest>(|_| ListGroupsResponse::default());
    broker.on::<DescribeClusterRequest>(|_| DescribeClusterResponse::default());
    broker.on::<DescribeLogDirsRequest>(|_| DescribeLogDirsResponse::default());
    broker.on::<AddPartitionsToTxnRequest>(|_| AddPartitionsToTxnResponse::default());
    broker.on::<AddOffsetsToTxnRequest>(|_| AddOffsetsToTxnResponse::default());
    broker.on::<EndTxnRequest>(|_| EndTxnResponse::default());
    broker.on::<DescribeTransactionsRequest>(|_| DescribeTransactionsResponse::default());
    broker.on::<ListTransactionsRequest>(|_| ListTransactionsResponse::default());
    broker.on::<StreamsGroupHeartbeatRequest>(|_| StreamsGroupHeartbeatResponse::default());
    broker.on::<StreamsGroupDescribeRequest>(|_| StreamsGroupDescribeResponse::default());
    let mut client = stage.log_in("alice");
    let mut ranges = advertised(&mut client);
    for_each_of_topics!(each_is_spoken)(&mut ranges, &stage, &mut client);
    for_each_of_groups!(each_is_spoken)(&mut ranges, &stage, &mut client);
    is_spoken(&mut ranges, &mut client, |_| InitProducerIdRequest::default().with_transactional_id(None));
    is_spoken(&mut ranges, &mut client, |_| ListGroupsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| DescribeClusterRequest::default());
    is_spoken(&mut ranges, &mut client, |_| DescribeLogDirsRequest::default());
    let id = || TransactionalId(super::families::text("mover"));
    is_spoken(&mut ranges, &mut client, |_| {
        AddPartitionsToTxnRequest::default().with_v3_and_below_transactional_id(id())
    });
    is_spoken(&mut ranges, &mut client, |_| AddOffsetsToTxnRequest::default().with_transactional_id(id()));
    is_spoken(&mut ranges, &mut client, |_| EndTxnRequest::default().with_transactional_id(id()));
    is_spoken(&mut ranges, &mut client, |_| DescribeTransactionsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| ListTransactionsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| {
        StreamsGroupHeartbeatRequest::default().with_group_id(super::families::group("app"))
    });
    is_spoken(&mut ranges, &mut client, |_| StreamsGroupDescribeRequest::default());
    is_spoken(&mut ranges, &mut client, |version| {
        let name = if version >= 3 { "raw-client" } else { "" };
        let name = super::families::text(name);
        ApiVersionsRequest::default()
            .with_client_software_name(name.clone())
            .with_client_software_version(name)
    });
    // Those about the whole Kafka cluster, and its ACLs, are answered by the gateway.
    is_spoken(&mut ranges, &mut client, |_| DescribeAclsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| CreateAclsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| DeleteAclsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| ElectLeadersRequest::default());
    is_spoken(&mut ranges, &mut client, |_| AlterPartitionReassignmentsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| ListPartitionReassignmentsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| DescribeClientQuotasRequest::default());
    is_spoken(&mut ranges, &mut client, |_| AlterClientQuotasRequest::default());
    is_spoken(&mut ranges, &mut client, |_| DescribeUserScramCredentialsRequest::default());
    is_spoken(&mut ranges, &mut client, |_| AlterUserScramCredentialsRequest::default());
    // Logging in is what the client did first.
    let login = [ApiKey::SaslHandshake as i16, ApiKey::SaslAuthenticate as i16];
    assert_eq!(ranges.keys().copied().collect::<Vec<_>>(), login);
}
